/* meta on etcd, before anything works: who may log in, how long that lasts, and
 * what a person is told about wrong addresses and passwords.
 *
 * ELANUS_TEST_ETCD=host:port names an etcd without authentication; the one with
 * users is always our own.  Without an etcd program the program says so and skips. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "tests/support/etcd_process.h"
#include "tests/support/meta_recorder.h"

static const char *s_endpoint;

/* --- logins ----------------------------------------------------------------- */

static void s_etcdctl(const char *endpoint, const char *what)
{
    char command[256];
    snprintf(command, sizeof command, "ETCDCTL_API=3 etcdctl --endpoints %s %s >/dev/null 2>&1",
             endpoint, what);
    if (system(command) != 0)
        fail_msg("%s", command);
}

static meta_t *s_log_in(const char *endpoint, const char *root, const char *user)
{
    ctx_t ctx;
    ctx_init(&ctx);
    ctx_limit_ms(&ctx, 10000);
    meta_t *meta = NULL;
    meta_etcd_options_t options = { .endpoints = endpoint, .root = root, .user = user,
                                    .password = "p\"w\\1" };
    if (meta_etcd_open(&ctx, &options, &meta) != OK)
        fail_msg("%s", ctx.text);
    ctx_fini(&ctx);
    return meta;
}

/* Users with a right on app/ only, and tokens that live two seconds. */
static etcd_process_t *s_guarded_etcd(void)
{
    static const char *const more[] = { "--auth-token-ttl", "2", NULL };
    etcd_process_t *etcd = etcd_process_new(more);
    if (!etcd)
        return NULL;
    const char *at = etcd_process_endpoint(etcd);
    s_etcdctl(at, "user add root:rootpw");
    s_etcdctl(at, "user add 'app:p\"w\\1' --interactive=false");
    s_etcdctl(at, "role add root");
    s_etcdctl(at, "user grant-role root root");
    s_etcdctl(at, "role add app");
    s_etcdctl(at, "role grant-permission app --prefix=true readwrite app/");
    s_etcdctl(at, "user grant-role app app");
    s_etcdctl(at, "auth enable");
    return etcd;
}

static void s_check_refusals(const char *at)
{
    char text[1024];
    meta_etcd_options_t nobody = { .endpoints = at, .root = "app" };
    assert_int_equal(etcd_open_error(&nobody, 3000, text), ERR_DENIED);
    assert_non_null(strstr(text, "etcd.auth.userName"));
    assert_non_null(strstr(text, at));
    meta_etcd_options_t wrong = { .endpoints = at, .root = "app", .user = "app", .password = "no" };
    assert_int_equal(etcd_open_error(&wrong, 3000, text), ERR_DENIED);
    assert_non_null(strstr(text, "etcd.auth.password"));
    assert_null(strstr(text, "\"no\""));            /* a password is not shown */
    meta_etcd_options_t outside = { .endpoints = at, .root = "private", .user = "app",
                                    .password = "p\"w\\1" };
    assert_int_equal(etcd_open_error(&outside, 3000, text), ERR_DENIED);
    assert_non_null(strstr(text, "permission denied"));
}

static void logins_are_renewed(void **state)
{
    (void)state;
    etcd_process_t *etcd = s_guarded_etcd();
    if (!etcd) {
        print_message("skipped: no etcd program on PATH\n");
        skip();
    }
    const char *at = etcd_process_endpoint(etcd);
    s_check_refusals(at);
    meta_t *meta = s_log_in(at, "app", "app"), *other = s_log_in(at, "app/", "app");
    recorder_t rec;
    recorder_init(&rec);
    ctx_t ctx;
    ctx_init(&ctx);
    meta_watch_t *watch = NULL;
    assert_int_equal(meta_watch(&ctx, meta, "w/", recorder_watch, &rec, &watch), OK);
    meta_put_text(meta, "w/0", "0");
    clock_sleep_ms(3500);                           /* both tokens have expired */
    meta_put_text(meta, "w/1", "1");
    assert_string_equal(meta_get_text(other, "w/1"), "1");
    etcd_process_kill(etcd);
    etcd_process_start(etcd);                       /* it forgets all tokens */
    int64_t last = meta_put_text(other, "w/2", "2");
    assert_true(recorder_wait_for(&rec, META_WATCH_PUT, "w/2", last));
    recorder_check_order(&rec);
    meta_unwatch(&watch);
    meta_destroy(&meta);
    meta_destroy(&other);
    recorder_fini(&rec);
    ctx_fini(&ctx);
    etcd_process_destroy(&etcd);
}

/* A name and password where etcd asks for none: harmless. */
static void a_login_nobody_asked_for_is_ignored(void **state)
{
    (void)state;
    meta_t *meta = s_log_in(s_endpoint, etcd_new_root(), "app");
    meta_put_text(meta, "k", "v");
    meta_destroy(&meta);
}

/* --- TLS -------------------------------------------------------------------- */

/* An etcd that speaks TLS only, with a certificate from its own authority. */
static etcd_process_t *s_tls_etcd(const char *dir)
{
    static char command[1024], cert[96], key[96];
    snprintf(cert, sizeof cert, "%s/server.pem", dir);
    snprintf(key, sizeof key, "%s/server.key", dir);
    snprintf(command, sizeof command,
             "cd %s && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes "
             "-keyout server.key -out server.pem -days 2 -subj /CN=localhost "
             "-addext subjectAltName=IP:127.0.0.1,DNS:localhost >/dev/null 2>&1", dir);
    const char *more[] = { "--cert-file", cert, "--key-file", key, NULL };
    return system(command) == 0 ? etcd_process_new(more) : NULL;
}

static void certificates_are_checked(void **state)
{
    (void)state;
    char dir[] = "/tmp/elanus-tls-XXXXXX", ca[64], text[1024], command[64];
    assert_non_null(mkdtemp(dir));
    etcd_process_t *etcd = s_tls_etcd(dir);
    if (!etcd) {
        print_message("skipped: no etcd or openssl program on PATH\n");
        skip();
    }
    snprintf(ca, sizeof ca, "%s/server.pem", dir);
    meta_etcd_options_t options = { .endpoints = etcd_process_endpoint(etcd), .root = "r",
                                    .tls = true, .ca_file = ca };
    ctx_t ctx;
    ctx_init(&ctx);
    ctx_limit_ms(&ctx, 20000);
    meta_t *meta = NULL;
    if (meta_etcd_open(&ctx, &options, &meta) != OK)
        fail_msg("%s", ctx.text);
    recorder_t rec;
    recorder_init(&rec);
    meta_watch_t *watch = NULL;
    assert_int_equal(meta_watch(&ctx, meta, "", recorder_watch, &rec, &watch), OK);
    int64_t rev = meta_put_text(meta, "k", "v");
    assert_true(recorder_wait_for(&rec, META_WATCH_PUT, "k", rev));
    meta_destroy(&meta);
    recorder_fini(&rec);
    options.ca_file = NULL;                         /* the system does not know this authority */
    assert_int_equal(etcd_open_error(&options, 20000, text), ERR_CONFIG);
    assert_non_null(strstr(text, "etcd.ssl"));
    options.tls = false;
    assert_int_not_equal(etcd_open_error(&options, 400, text), OK);
    ctx_fini(&ctx);
    etcd_process_destroy(&etcd);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    assert_int_equal(system(command), 0);
}

/* --- wrong addresses -------------------------------------------------------- */

/* A port that listens and never says a word. */
static int s_silent_server(int *ret_port)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    *ret_port = ntohs(at.sin_port);
    return fd;
}

static void wrong_addresses_are_told(void **state)
{
    (void)state;
    char text[1024], endpoints[96];
    static const char *const bad[] = { "", "localhost", "a:b", "a:1,,b:2", ":1", "a:123456",
                                       "http://a/b:1", "a b:1" };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        meta_etcd_options_t options = { .endpoints = bad[i], .root = "r" };
        assert_int_equal(etcd_open_error(&options, 1000, text), ERR_CONFIG);
        assert_non_null(strstr(text, "etcd.endpoints"));
    }
    meta_etcd_options_t no_root = { .endpoints = "a:1", .root = "/" };
    assert_int_equal(etcd_open_error(&no_root, 1000, text), ERR_CONFIG);
    assert_non_null(strstr(text, "etcd.rootPath"));

    int port = 0, fd = s_silent_server(&port);
    snprintf(endpoints, sizeof endpoints, "127.0.0.1:%d", port);
    meta_etcd_options_t options = { .endpoints = endpoints, .root = "r" };
    int64_t start = clock_mono_ms();
    assert_int_equal(etcd_open_error(&options, 600, text), ERR_TIMEOUT);
    assert_true(clock_mono_ms() - start < 2000);
    assert_non_null(strstr(text, endpoints));
    close(fd);
    assert_int_equal(etcd_open_error(&options, 300, text), ERR_META);
    assert_non_null(strstr(text, endpoints));
    assert_non_null(strstr(text, "etcd.endpoints"));

    /* a dead endpoint before a living one is passed over */
    snprintf(endpoints, sizeof endpoints, "127.0.0.1:%d, http://%s", port, s_endpoint);
    meta_t *meta = etcd_open_at(endpoints, etcd_new_root());
    meta_put_text(meta, "k", "v");
    meta_destroy(&meta);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logins_are_renewed),
        cmocka_unit_test(a_login_nobody_asked_for_is_ignored),
        cmocka_unit_test(certificates_are_checked),
        cmocka_unit_test(wrong_addresses_are_told),
    };
    signal(SIGPIPE, SIG_IGN);
    etcd_process_t *etcd = NULL;
    s_endpoint = getenv("ELANUS_TEST_ETCD");
    if (!s_endpoint && (etcd = etcd_process_new(NULL)) != NULL)
        s_endpoint = etcd_process_endpoint(etcd);
    if (!s_endpoint) {
        printf("[  SKIPPED ] ELANUS_TEST_ETCD is not set and there is no etcd program on PATH\n");
        return 0;
    }
    int failed = cmocka_run_group_tests_name("meta_login", tests, NULL, NULL);
    etcd_process_destroy(&etcd);
    return failed;
}
