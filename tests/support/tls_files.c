/* tls_files - P-256 keys and X.509 certificates by OpenSSL, valid for an hour */
#include "tests/support/tls_files.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/base/base.h"

static const char *const s_names[] = { "ca.pem", "ca.key", "server.pem", "server.key", "client.pem",
                                       "client.key", "stranger.pem", "stranger.key" };

struct tls_files {
    char dir[64];
    char paths[ARRAY_LEN(s_names)][128];
};

const char *tls_files_path(tls_files_t *self, const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(s_names); i++)
        if (strcmp(s_names[i], name) == 0)
            return self->paths[i];
    check(!"a file of that name");
    return NULL;
}

static void s_write(tls_files_t *self, const char *cert_name, const char *key_name, X509 *cert,
                    EVP_PKEY *key)
{
    FILE *to = fopen(tls_files_path(self, cert_name), "w");
    check(to && PEM_write_X509(to, cert) == 1);
    fclose(to);
    to = fopen(tls_files_path(self, key_name), "w");
    check(to && PEM_write_PrivateKey(to, key, NULL, NULL, 0, NULL, NULL) == 1);
    fclose(to);
}

static void s_add(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    check(extension && X509_add_ext(cert, extension, -1) == 1);
    X509_EXTENSION_free(extension);
}

/* issuer NULL: signed by itself, and a CA. */
static X509 *s_certify(const char *name, EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key)
{
    static long serial = 1;                     /* OpenSSL wants them to differ */
    X509 *cert = X509_new();
    X509_set_version(cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), serial++);
    X509_gmtime_adj(X509_getm_notBefore(cert), -60);
    X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    X509_set_pubkey(cert, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC,
                               (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(cert, X509_get_subject_name(issuer ? issuer : cert));
    if (!issuer)
        s_add(cert, cert, NID_basic_constraints, "critical,CA:TRUE");
    s_add(cert, issuer ? issuer : cert, NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1");
    check(X509_sign(cert, issuer ? issuer_key : key, EVP_sha256()) > 0);
    return cert;
}

static void s_issue(tls_files_t *self, const char *name, X509 *ca, EVP_PKEY *ca_key)
{
    char cert_name[32], key_name[32];
    snprintf(cert_name, sizeof cert_name, "%s.pem", name);
    snprintf(key_name, sizeof key_name, "%s.key", name);
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = s_certify(name, key, ca, ca_key);
    s_write(self, cert_name, key_name, cert, key);
    X509_free(cert);
    EVP_PKEY_free(key);
}

tls_files_t *tls_files_new(void)
{
    tls_files_t *self = mem_new(sizeof *self);
    const char *tmp = getenv("TMPDIR");
    snprintf(self->dir, sizeof self->dir, "%s/elanus-tls-XXXXXX", tmp ? tmp : "/tmp");
    check(mkdtemp(self->dir) != NULL);
    for (size_t i = 0; i < ARRAY_LEN(s_names); i++)
        snprintf(self->paths[i], sizeof self->paths[i], "%s/%s", self->dir, s_names[i]);
    EVP_PKEY *ca_key = EVP_EC_gen("P-256");
    X509 *ca = s_certify("ca", ca_key, NULL, NULL);
    s_write(self, "ca.pem", "ca.key", ca, ca_key);
    s_issue(self, "server", ca, ca_key);
    s_issue(self, "client", ca, ca_key);
    s_issue(self, "stranger", NULL, NULL);
    X509_free(ca);
    EVP_PKEY_free(ca_key);
    return self;
}

void tls_files_destroy(tls_files_t **self_p)
{
    tls_files_t *self = *self_p;
    if (!self)
        return;
    for (size_t i = 0; i < ARRAY_LEN(s_names); i++)
        unlink(self->paths[i]);
    rmdir(self->dir);
    mem_free(self);
    *self_p = NULL;
}
