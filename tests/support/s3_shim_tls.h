/* s3_shim_tls - a throw-away certificate for the shim */
#ifndef TESTS_SUPPORT_S3_SHIM_TLS_H
#define TESTS_SUPPORT_S3_SHIM_TLS_H

#include <openssl/ssl.h>

/* A server context with a fresh key and a certificate, signed by itself, for
 * the IP address 127.0.0.1; the certificate is written to cert_file as PEM. */
SSL_CTX *s3_shim_tls_new(const char *cert_file);

#endif
