/* door: TLS, one-way and mutual, and the clients that do not speak it.  The client here
 * is OpenSSL's and speaks HTTP/1.1 inside; h2 over TLS is the same bytes after sniffing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/log.h"
#include "tests/support/echo_door.h"
#include "tests/support/h2_client.h"
#include "tests/support/tls_files.h"

typedef struct fixture {
    ctx_t ctx;
    tls_files_t *files;
    echo_door_t *door;
} fixture_t;

static int up(void **state)
{
    fixture_t *fx = *state = mem_new(sizeof *fx);
    ctx_init(&fx->ctx);
    fx->files = tls_files_new();
    return 0;
}

static int down(void **state)
{
    fixture_t *fx = *state;
    echo_door_destroy(&fx->door);
    tls_files_destroy(&fx->files);
    ctx_fini(&fx->ctx);
    mem_free(fx);
    return 0;
}

static door_options_t s_options(fixture_t *fx, door_tls_mode_t mode)
{
    return (door_options_t){ .tls_mode = mode,
                             .cert_file = tls_files_path(fx->files, "server.pem"),
                             .key_file = tls_files_path(fx->files, "server.key"),
                             .ca_file = tls_files_path(fx->files, "ca.pem"),
                             .linger_ms = 20, .first_ms = 2000 };
}

static void s_open(fixture_t *fx, door_tls_mode_t mode)
{
    door_options_t options = s_options(fx, mode);
    assert_int_equal(echo_door_open(&fx->ctx, &options, false, &fx->door), OK);
}

typedef struct client {
    SSL_CTX *tls;
    SSL *ssl;
    int fd;
} client_t;

/* Shake hands; true when it worked.  who: NULL or "client", "stranger". */
static bool s_connect(fixture_t *fx, client_t *ret, const char *who, int max_version)
{
    static const unsigned char alpn[] = "\x02h2\x08http/1.1";
    *ret = (client_t){ .tls = SSL_CTX_new(TLS_client_method()) };
    SSL_CTX_load_verify_locations(ret->tls, tls_files_path(fx->files, "ca.pem"), NULL);
    SSL_CTX_set_verify(ret->tls, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_alpn_protos(ret->tls, alpn, sizeof alpn - 1);
    SSL_CTX_set_max_proto_version(ret->tls, max_version);
    SSL_CTX_set_security_level(ret->tls, 0);
    if (who) {
        char name[32];
        snprintf(name, sizeof name, "%s.pem", who);
        SSL_CTX_use_certificate_file(ret->tls, tls_files_path(fx->files, name), SSL_FILETYPE_PEM);
        snprintf(name, sizeof name, "%s.key", who);
        SSL_CTX_use_PrivateKey_file(ret->tls, tls_files_path(fx->files, name), SSL_FILETYPE_PEM);
    }
    ret->fd = h2_client_dial(echo_door_port(fx->door));
    ret->ssl = SSL_new(ret->tls);
    SSL_set_fd(ret->ssl, ret->fd);
    return SSL_connect(ret->ssl) == 1;
}

static void s_hang_up(client_t *client)
{
    SSL_free(client->ssl);
    SSL_CTX_free(client->tls);
    close(client->fd);
    ERR_clear_error();
}

static const char s_hello[] = "POST /v2/x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello";

/* In TLS 1.3 a server's refusal arrives after the handshake, at the first read. */
static bool s_is_served(client_t *client)
{
    char bytes[4096];
    if (SSL_write(client->ssl, s_hello, sizeof s_hello - 1) <= 0)
        return false;
    int n = SSL_read(client->ssl, bytes, sizeof bytes - 1);
    if (n <= 0)
        return false;
    bytes[n] = '\0';
    return strstr(bytes, "HTTP/1.1 200") == bytes;
}

static void one_way_serves_whoever_asks(void **state)
{
    fixture_t *fx = *state;
    s_open(fx, DOOR_TLS);
    static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };
    for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
        client_t client;
        assert_true(s_connect(fx, &client, NULL, versions[i]));
        assert_int_equal(SSL_version(client.ssl), versions[i]);
        const unsigned char *alpn = NULL;
        unsigned int len = 0;
        SSL_get0_alpn_selected(client.ssl, &alpn, &len);
        assert_int_equal(len, 2);
        assert_memory_equal(alpn, "h2", 2);
        assert_true(s_is_served(&client));      /* whatever was agreed, we look */
        s_hang_up(&client);
    }
}

static void old_versions_are_refused(void **state)
{
    fixture_t *fx = *state;
    s_open(fx, DOOR_TLS);
    client_t client;
    assert_false(s_connect(fx, &client, NULL, TLS1_1_VERSION));
    s_hang_up(&client);
    assert_true(echo_door_wait_stat(fx->door, tls_failed, 1));
}

static void mutual_serves_only_whom_the_ca_knows(void **state)
{
    fixture_t *fx = *state;
    s_open(fx, DOOR_MUTUAL_TLS);
    static const struct { const char *who; bool served; } cases[] = {
        { "client", true }, { NULL, false }, { "stranger", false }, { "client", true },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        client_t client;
        bool served = s_connect(fx, &client, cases[i].who, 0) && s_is_served(&client);
        assert_int_equal(served, cases[i].served);
        s_hang_up(&client);
    }
    assert_true(echo_door_wait_stat(fx->door, tls_failed, 2));
}

static void plain_text_is_counted_and_closed(void **state)
{
    fixture_t *fx = *state;
    s_open(fx, DOOR_TLS);
    static const char *const plain[] = { s_hello, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\1\2\3" };
    for (size_t i = 0; i < ARRAY_LEN(plain); i++) {
        owned(h2_client) client = h2_client_new_raw(echo_door_port(fx->door));
        h2_client_write(client, plain[i], strlen(plain[i]));
        assert_true(h2_client_closed(client));
    }
    assert_true(echo_door_wait_stat(fx->door, garbage, 3));
    owned(h2_client) broken = h2_client_new_raw(echo_door_port(fx->door));
    h2_client_write(broken, "\x16\x03\x01\x00\x05hello", 10);
    assert_true(h2_client_closed(broken));
    assert_true(echo_door_wait_stat(fx->door, tls_failed, 1));
    client_t client;
    assert_true(s_connect(fx, &client, NULL, 0));
    assert_true(s_is_served(&client));
    s_hang_up(&client);
}

/* A body larger than every buffer on the way, both ways. */
static void big_bodies_pass(void **state)
{
    enum { LEN = 8 << 20 };
    fixture_t *fx = *state;
    s_open(fx, DOOR_TLS);
    client_t client;
    assert_true(s_connect(fx, &client, NULL, 0));
    char head[128], *body = mem_new(LEN);
    int n = snprintf(head, sizeof head,
                     "POST /v2/x HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", LEN);
    assert_int_equal(SSL_write(client.ssl, head, n), n);
    assert_int_equal(SSL_write(client.ssl, body, LEN), LEN);
    size_t got = 0;
    for (int more; got < LEN && (more = SSL_read(client.ssl, body, LEN)) > 0; )
        got += (size_t)more;
    assert_true(got >= LEN);                    /* and a head */
    mem_free(body);
    s_hang_up(&client);
}

static void a_handshake_that_stops_is_ended(void **state)
{
    fixture_t *fx = *state;
    door_options_t options = s_options(fx, DOOR_TLS);
    options.first_ms = 50;
    assert_int_equal(echo_door_open(&fx->ctx, &options, false, &fx->door), OK);
    owned(h2_client) client = h2_client_new_raw(echo_door_port(fx->door));
    h2_client_write(client, "\x16\x03\x01", 3);
    assert_true(h2_client_closed(client));
    assert_true(echo_door_wait_stat(fx->door, slow_first, 1));
}

static void files_that_do_not_fit_are_named(void **state)
{
    fixture_t *fx = *state;
    const struct { const char *cert, *key, *ca, *text; } cases[] = {
        { "/nowhere.pem", "server.key", "ca.pem", "tls.serverPemPath" },
        { "server.pem", NULL, "ca.pem", "tls.serverKeyPath" },
        { "server.pem", "client.key", "ca.pem", "tls.serverKeyPath" },
        { "server.pem", "server.key", NULL, "tls.caPemPath" },
        { "server.pem", "server.key", "server.key", "tls.caPemPath" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        door_options_t options = s_options(fx, DOOR_MUTUAL_TLS);
        options.cert_file = cases[i].cert[0] == '/' ? cases[i].cert
                                                    : tls_files_path(fx->files, cases[i].cert);
        options.key_file = cases[i].key ? tls_files_path(fx->files, cases[i].key) : NULL;
        options.ca_file = cases[i].ca ? tls_files_path(fx->files, cases[i].ca) : NULL;
        assert_int_equal(echo_door_open(&fx->ctx, &options, false, &fx->door), ERR_CONFIG);
        assert_non_null(strstr(fx->ctx.text, cases[i].text));
        assert_non_null(strstr(fx->ctx.text, "cannot use "));
    }
}

#define T(f) cmocka_unit_test_setup_teardown(f, up, down)

int main(void)
{
    signal(SIGPIPE, SIG_IGN);                   /* the client's writes, not the door's */
    log_set_level(LOG_ERROR);
    const struct CMUnitTest tests[] = {
        T(one_way_serves_whoever_asks),
        T(old_versions_are_refused),
        T(mutual_serves_only_whom_the_ca_knows),
        T(plain_text_is_counted_and_closed),
        T(big_bodies_pass),
        T(a_handshake_that_stops_is_ended),
        T(files_that_do_not_fit_are_named),
    };
    return cmocka_run_group_tests_name("door_tls", tests, NULL, NULL);
}
