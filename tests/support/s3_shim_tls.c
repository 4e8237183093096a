/* s3_shim_tls - see s3_shim_tls.h */
#include "tests/support/s3_shim_tls.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#include "core/base/base.h"

static void s_extend(X509 *cert, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, cert, cert, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    check(extension && X509_add_ext(cert, extension, -1));
    X509_EXTENSION_free(extension);
}

static X509 *s_certificate(EVP_PKEY *key)
{
    X509 *cert = X509_new();
    check(cert);
    X509_set_version(cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
    X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    X509_NAME *name = X509_get_subject_name(cert);
    const unsigned char *cn = (const unsigned char *)"s3 shim";
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, cn, -1, -1, 0);
    X509_set_issuer_name(cert, name);
    X509_set_pubkey(cert, key);
    s_extend(cert, NID_subject_alt_name, "IP:127.0.0.1");
    s_extend(cert, NID_basic_constraints, "critical,CA:TRUE");
    check(X509_sign(cert, key, EVP_sha256()) > 0);
    return cert;
}

SSL_CTX *s3_shim_tls_new(const char *cert_file)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    check(key);
    X509 *cert = s_certificate(key);
    FILE *file = fopen(cert_file, "we");
    check(file && PEM_write_X509(file, cert) && fclose(file) == 0);
    SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
    check(tls && SSL_CTX_use_certificate(tls, cert) == 1 && SSL_CTX_use_PrivateKey(tls, key) == 1);
    X509_free(cert);
    EVP_PKEY_free(key);
    return tls;
}
