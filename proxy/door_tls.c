/* door_tls - TLS 1.2 and 1.3 by OpenSSL, on sockets that never block
 *
 * One-way: we show a certificate.  Mutual: the client must show one, too, that
 * the CA file vouches for.  ALPN picks h2 when the client offers it (gRPC
 * clients insist), else http/1.1; what is then spoken is found by looking.
 */
#include "proxy/door_int.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

struct door_tls {
    SSL_CTX *ssl;
};

struct door_tls_conn {
    SSL *ssl;
};

/* --- certificate and key --------------------------------------------------------- */

static int s_pick_alpn(SSL *ssl, const unsigned char **ret, unsigned char *ret_len,
                       const unsigned char *offered, unsigned int len, void *arg)
{
    static const unsigned char ours[] = "\x02h2\x08http/1.1";
    unsigned char *picked = NULL;
    if (SSL_select_next_proto(&picked, ret_len, ours, sizeof ours - 1, offered, len) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *ret = picked;
    return SSL_TLSEXT_ERR_OK;
}

static err_t s_fail(ctx_t *ctx, const char *file, const char *key)
{
    const char *why = ERR_reason_error_string(ERR_get_error());
    ERR_clear_error();
    return ctx_fail(ctx, ERR_CONFIG, "cannot use %s: %s; check %s", file ? file : "(no file)",
                    file && why ? why : "a PEM file is needed", key);
}

static err_t s_load(ctx_t *ctx, SSL_CTX *ssl, const door_options_t *opt)
{
    if (!opt->cert_file || SSL_CTX_use_certificate_chain_file(ssl, opt->cert_file) != 1)
        return s_fail(ctx, opt->cert_file, "tls.serverPemPath");
    if (!opt->key_file || SSL_CTX_use_PrivateKey_file(ssl, opt->key_file, SSL_FILETYPE_PEM) != 1)
        return s_fail(ctx, opt->key_file, "tls.serverKeyPath");
    if (SSL_CTX_check_private_key(ssl) != 1)
        return s_fail(ctx, opt->key_file, "tls.serverKeyPath, it is not the certificate's key");
    if (opt->tls_mode != DOOR_MUTUAL_TLS)
        return OK;
    STACK_OF(X509_NAME) *names = opt->ca_file ? SSL_load_client_CA_file(opt->ca_file) : NULL;
    if (!names || SSL_CTX_load_verify_locations(ssl, opt->ca_file, NULL) != 1) {
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        return s_fail(ctx, opt->ca_file, "tls.caPemPath");
    }
    SSL_CTX_set_client_CA_list(ssl, names);     /* takes them */
    SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    return OK;
}

err_t door_tls_open(ctx_t *ctx, const door_options_t *opt, door_tls_t **ret)
{
    owned(door_tls) self = mem_new(sizeof *self);
    self->ssl = SSL_CTX_new(TLS_server_method());
    check(self->ssl);
    SSL_CTX_set_min_proto_version(self->ssl, TLS1_2_VERSION);
    SSL_CTX_set_options(self->ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                   SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(self->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                    SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_id_context(self->ssl, (const unsigned char *)"elanus", 6);
    SSL_CTX_set_alpn_select_cb(self->ssl, s_pick_alpn, NULL);
    TRY(s_load(ctx, self->ssl, opt));
    *ret = take(self);
    return OK;
}

void door_tls_destroy(door_tls_t **self_p)
{
    if (!*self_p)
        return;
    SSL_CTX_free((*self_p)->ssl);
    mem_free(*self_p);
    *self_p = NULL;
}

/* --- one connection ---------------------------------------------------------------- */

void door_tls_accept(door_conn_t *conn)
{
    conn->tls = mem_new(sizeof *conn->tls);
    conn->tls->ssl = SSL_new(conn->door->tls->ssl);
    check(conn->tls->ssl && SSL_set_fd(conn->tls->ssl, conn->fd) == 1);
    SSL_set_accept_state(conn->tls->ssl);
}

void door_tls_conn_destroy(door_tls_conn_t **self_p)
{
    if (!*self_p)
        return;
    SSL_free((*self_p)->ssl);
    mem_free(*self_p);
    *self_p = NULL;
}

/* OpenSSL's answer as recv's.  A read that waits for room to write (or the reverse)
 * happens in handshakes only: renegotiation is off. */
static ssize_t s_result(door_conn_t *conn, int n)
{
    if (n > 0)
        return n;
    int why = SSL_get_error(conn->tls->ssl, n);
    ERR_clear_error();
    if (why == SSL_ERROR_ZERO_RETURN)
        return 0;
    if (why == SSL_ERROR_WANT_WRITE)
        conn->blocked = true;
    errno = why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? EAGAIN : ECONNRESET;
    return -1;
}

ssize_t door_tls_handshake(door_conn_t *conn)
{
    ERR_clear_error();
    return s_result(conn, SSL_do_handshake(conn->tls->ssl));
}

ssize_t door_tls_read(door_conn_t *conn, void *ret, size_t room)
{
    ERR_clear_error();
    return s_result(conn, SSL_read(conn->tls->ssl, ret, (int)room));
}

ssize_t door_tls_write(door_conn_t *conn, const void *bytes, size_t len)
{
    ERR_clear_error();
    bool was_blocked = conn->blocked;
    ssize_t n = s_result(conn, SSL_write(conn->tls->ssl, bytes, (int)len));
    conn->blocked = was_blocked;                /* door_conn_flush decides */
    return n;
}

void door_tls_end(door_conn_t *conn)
{
    (void)SSL_shutdown(conn->tls->ssl);         /* says goodbye; we do not wait for theirs */
    ERR_clear_error();
}
