/* ops: the pages, HTTP manners, and strangers who must not matter.
 *
 * Method: a real server on a loopback port the kernel picks and blocking raw
 * sockets with a receive timeout.  Every hostile test ends by asking /healthz
 * on a fresh connection: that one client is badly treated never shows elsewhere.
 * Time-outs under test are options, tens of milliseconds here. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/fault.h"
#include "core/base/limits.h"
#include "core/base/log.h"
#include "core/ops/ops.h"

static _Atomic int s_sick;      /* how many of the three components are abnormal */

static size_t s_health(void *arg, ops_component_t *ret, size_t most)
{
    static const char *const names[] = { "rootcoord", "querynode", "datanode" };
    (void)arg;
    assert_true(most >= 3);
    for (int i = 0; i < 3; i++)
        ret[i] = (ops_component_t){ names[i], i < s_sick ? OPS_ABNORMAL
                                            : i == 1 ? OPS_STANDBY : OPS_HEALTHY };
    return 3;
}

static void s_figures(void *arg, buf_t *into)
{
    buf_addf(into, "extra_figure %d\n", *(int *)arg);
}

static int s_forty_two = 42;

static ops_t *s_open(ops_options_t options)
{
    ctx_t ctx;
    ctx_init(&ctx);
    options.health = s_health;
    options.figures = s_figures;
    options.arg = &s_forty_two;
    ops_t *ops = NULL;
    assert_int_equal(ops_open(&ctx, &options, &ops), OK);
    ctx_fini(&ctx);
    return ops;
}

/* --- a raw client ---------------------------------------------------------- */

static int s_dial(const ops_t *ops)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)ops_port(ops)),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct timeval patience = { .tv_sec = 10 };
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static void s_send(int fd, const char *bytes)
{
    assert_int_equal(send(fd, bytes, strlen(bytes), MSG_NOSIGNAL), strlen(bytes));
}

/* Read to the end of the connection; false when it was reset or nothing came in time. */
static bool s_read_all(int fd, buf_t *into)
{
    for (;;) {
        uint8_t *room = buf_reserve(into, 65536);
        assert_non_null(room);
        ssize_t got = recv(fd, room, 65536, 0);
        if (got <= 0)
            return got == 0;
        into->len += (size_t)got;
    }
}

/* Read until the text has arrived n times. */
static void s_read_until(int fd, buf_t *into, const char *text, int n)
{
    for (;;) {
        int seen = 0;
        for (const char *at = buf_str(into); (at = strstr(at, text)) != NULL; at++)
            seen++;
        if (seen >= n)
            return;
        uint8_t *room = buf_reserve(into, 4096);
        ssize_t got = recv(fd, room, 4096, 0);
        assert_true(got > 0);
        into->len += (size_t)got;
    }
}

/* One request on its own connection; the whole answer, head and body. */
static void s_ask(const ops_t *ops, const char *request, buf_t *into)
{
    int fd = s_dial(ops);
    buf_reset(into);
    s_send(fd, request);
    assert_true(s_read_all(fd, into));
    close(fd);
}

#define TAIL " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"

static bool s_ends_with(buf_t *text, const char *end)
{
    size_t len = strlen(end);
    return text->len >= len && strcmp(buf_str(text) + text->len - len, end) == 0;
}

static void s_expect(const ops_t *ops, const char *request, const char *start, const char *end)
{
    buf_scoped answer = {0};
    s_ask(ops, request, &answer);
    if (strncmp(buf_str(&answer), start, strlen(start)) != 0 || !s_ends_with(&answer, end))
        print_message("%s\n", buf_str(&answer));
    assert_int_equal(strncmp(buf_str(&answer), start, strlen(start)), 0);
    assert_true(s_ends_with(&answer, end));
}

static void s_expect_alive(const ops_t *ops)
{
    s_expect(ops, "GET /healthz" TAIL "\r\n", "HTTP/1.1 200 OK\r\n", "\r\n\r\nOK");
}

static bool s_metrics_say(const ops_t *ops, const char *line)
{
    buf_scoped page = {0};
    s_ask(ops, "GET /metrics" TAIL "\r\n", &page);
    return strstr(buf_str(&page), line) != NULL;
}

/* --- pages ----------------------------------------------------------------- */

static void health_is_told_as_milvus_tells_it(void **state)
{
    (void)state;
    owned(ops) ops = s_open((ops_options_t){0});
    s_sick = 0;
    s_expect_alive(ops);
    s_expect(ops, "GET /healthz" TAIL "Content-Type: application/json\r\n\r\n", "HTTP/1.1 200 ",
             "\r\n\r\n{\"state\":\"OK\",\"detail\":[{\"name\":\"rootcoord\",\"code\":1},"
             "{\"name\":\"querynode\",\"code\":3},{\"name\":\"datanode\",\"code\":1}]}");
    s_sick = 2;
    s_expect(ops, "GET /healthz" TAIL "\r\n", "HTTP/1.1 500 ",
             "\r\n\r\nNot all components are healthy, 1/3");
    s_expect(ops, "GET /healthz" TAIL "Accept: application/json\r\n\r\n", "HTTP/1.1 500 ",
             "\r\n\r\n{\"state\":\"Not all components are healthy, 1/3\",\"detail\":["
             "{\"name\":\"rootcoord\",\"code\":2},{\"name\":\"querynode\",\"code\":2},"
             "{\"name\":\"datanode\",\"code\":1}]}");
    s_sick = 0;
    s_expect(ops, "GET /api/v1/health" TAIL "\r\n", "HTTP/1.1 200 ", "\r\n\r\n{\"status\":\"ok\"}");
}

static void metrics_are_served_with_extra_figures(void **state)
{
    (void)state;
    owned(metrics) m = metrics_new();
    metrics_add(metrics_cell(metrics_counter(m, "mine_total", "Mine", NULL)), 3);
    owned(ops) ops = s_open((ops_options_t){ .metrics = m });
    assert_ptr_equal(ops_metrics(ops), m);
    s_expect(ops, "GET /metrics" TAIL "\r\n", "HTTP/1.1 200 OK\r\n", "\nextra_figure 42\n");
    assert_true(s_metrics_say(ops, "\nmine_total 3\n"));
    assert_true(s_metrics_say(ops, "\nprocess_resident_memory_bytes "));
    assert_true(s_metrics_say(ops, "\nelanus_ops_requests_total{path=\"/metrics\"} 4\n"));
    assert_true(s_metrics_say(ops, "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
}

static void log_level_is_read_and_set(void **state)
{
    (void)state;
    static const struct { const char *body; int status; } table[] = {
        { "{\"level\":\"debug\"}", 200 }, { " { \"level\" : \"WARN\" } \n", 200 },
        { "level=error", 200 }, { "{\"level\":\"loud\"}", 400 }, { "{\"level\":\"warn\"", 400 },
        { "{\"level\":\"warn\"}x", 400 }, { "", 400 }, { "{}", 400 }, { "warn", 400 },
        { "{\"level\":\"warnwarnwarn\"}", 400 },
    };
    owned(ops) ops = s_open((ops_options_t){0});
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        log_set_level(LOG_FATAL);
        char request[200], start[20];
        snprintf(request, sizeof request, "PUT /log/level" TAIL "Content-Length: %zu\r\n\r\n%s",
                 strlen(table[i].body), table[i].body);
        snprintf(start, sizeof start, "HTTP/1.1 %d ", table[i].status);
        s_expect(ops, request, start, "}");
        assert_int_equal(log_level() != LOG_FATAL, table[i].status == 200);
    }
    log_set_level(LOG_FATAL);
    s_expect(ops, "GET /log/level" TAIL "\r\n", "HTTP/1.1 200 ", "{\"level\":\"fatal\"}");
}

/* --- manners --------------------------------------------------------------- */

static void unknown_pages_and_methods_are_told_apart(void **state)
{
    (void)state;
    owned(ops) ops = s_open((ops_options_t){0});
    s_expect(ops, "GET /nothing" TAIL "\r\n", "HTTP/1.1 404 ", "404 page not found\n");
    s_expect(ops, "DELETE /metrics" TAIL "\r\n", "HTTP/1.1 405 ", "method not allowed\n");
    buf_scoped answer = {0};
    s_ask(ops, "HEAD /healthz" TAIL "\r\n", &answer);
    assert_non_null(strstr(buf_str(&answer), "Content-Length: 2\r\n"));
    assert_true(s_ends_with(&answer, "\r\n\r\n"));
}

static void a_connection_serves_many_requests_in_order(void **state)
{
    (void)state;
    owned(ops) ops = s_open((ops_options_t){0});
    int fd = s_dial(ops);
    buf_scoped answers = {0};
    s_send(fd, "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\nGET /api/v1/health HTTP/1.1\r\nHost: a\r\n"
               "\r\nGET /no HTTP/1.1\r\nHost: a\r\n\r\nGET /log");
    s_read_until(fd, &answers, "404 page not found\n", 1);
    s_send(fd, "/level" TAIL "\r\n");
    assert_true(s_read_all(fd, &answers));
    const char *at = buf_str(&answers);
    static const char *const order[] = { "\r\n\r\nOK", "{\"status\"", "404 page", "{\"level\"" };
    for (size_t i = 0; i < ARRAY_LEN(order); i++) {
        at = strstr(at, order[i]);
        assert_non_null(at);
    }
    close(fd);
}

static void bytes_may_come_one_by_one(void **state)
{
    (void)state;
    owned(ops) ops = s_open((ops_options_t){0});
    int fd = s_dial(ops);
    buf_scoped answer = {0};
    const char *request = "PUT /log/level" TAIL "Transfer-Encoding: chunked\r\n\r\n"
                          "7\r\nlevel=f\r\n4\r\natal\r\n0\r\n\r\n";
    for (const char *p = request; *p; p++)
        assert_int_equal(send(fd, p, 1, MSG_NOSIGNAL), 1);
    assert_true(s_read_all(fd, &answer));
    assert_true(s_ends_with(&answer, "{\"level\":\"fatal\"}"));
    close(fd);
}

static void expect_100_is_answered(void **state)
{
    (void)state;
    owned(ops) ops = s_open((ops_options_t){0});
    int fd = s_dial(ops);
    buf_scoped answer = {0};
    s_send(fd, "PUT /log/level" TAIL "Expect: 100-continue\r\nContent-Length: 11\r\n\r\n");
    s_read_until(fd, &answer, "HTTP/1.1 100 Continue\r\n\r\n", 1);
    s_send(fd, "level=fatal");
    assert_true(s_read_all(fd, &answer));
    assert_true(s_ends_with(&answer, "{\"level\":\"fatal\"}"));
    close(fd);
}

/* --- strangers ------------------------------------------------------------- */

static void garbage_is_refused_and_counted(void **state)
{
    (void)state;
    owned(ops) ops = s_open((ops_options_t){0});
    s_expect(ops, "\x16\x03\x01\x02hello", "HTTP/1.1 400 ", "\n");
    s_expect(ops, "GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 ", "\n");
    s_expect(ops, "POST /metrics" TAIL "Content-Length: 99999999\r\n\r\n", "HTTP/1.1 413 ", "\n");
    buf_scoped big = {0};
    buf_add_str(&big, "GET / HTTP/1.1\r\nX: ");
    for (size_t i = 0; i < LIMIT_H1_HEAD_BYTES; i++)
        buf_add_u8(&big, 'x');
    s_expect(ops, buf_str(&big), "HTTP/1.1 431 ", "\n");
    assert_true(s_metrics_say(ops, "\nelanus_ops_refused_total{status=\"400\"} 2\n"));
    assert_true(s_metrics_say(ops, "\nelanus_ops_refused_total{status=\"431\"} 1\n"));
    s_expect_alive(ops);
}

static void slow_requests_end_in_408(void **state)
{
    (void)state;
    owned(ops) ops = s_open((ops_options_t){ .request_ms = 40, .idle_ms = 60 });
    buf_scoped answer = {0}, nothing = {0}, kept = {0};
    int slow = s_dial(ops), silent = s_dial(ops), idle = s_dial(ops);
    s_send(slow, "GET /healthz HTTP/1.1\r\nHost:");
    s_send(idle, "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
    s_expect_alive(ops);
    assert_true(s_read_all(slow, &answer));
    assert_int_equal(strncmp(buf_str(&answer), "HTTP/1.1 408 ", 13), 0);
    assert_true(s_read_all(silent, &nothing));
    assert_int_equal(nothing.len, 0);
    assert_true(s_read_all(idle, &kept));
    assert_true(s_ends_with(&kept, "\r\n\r\nOK"));
    assert_true(s_metrics_say(ops, "\nelanus_ops_refused_total{status=\"408\"} 1\n"));
    close(slow);
    close(silent);
    close(idle);
}

static void a_crowd_loses_its_most_idle(void **state)
{
    (void)state;
    owned(ops) ops = s_open((ops_options_t){0});
    int fds[LIMIT_OPS_CONNECTIONS];
    buf_scoped warm = {0}, gone = {0}, again = {0};
    for (int i = 0; i < LIMIT_OPS_CONNECTIONS; i++)
        fds[i] = s_dial(ops);
    s_send(fds[0], "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");     /* not idle longest any more */
    s_read_until(fds[0], &warm, "\r\n\r\nOK", 1);
    for (int i = 0; i < 5; i++)
        s_expect_alive(ops);
    assert_true(s_read_all(fds[1], &gone));
    assert_int_equal(gone.len, 0);
    s_send(fds[0], "GET /healthz" TAIL "\r\n");
    assert_true(s_read_all(fds[0], &again));
    assert_true(s_metrics_say(ops, "elanus_ops_refused_total{status=\"crowded\"} "));
    for (int i = 0; i < LIMIT_OPS_CONNECTIONS; i++)
        close(fds[i]);
}

enum { BIG_BYTES = 8 << 20 };

static void s_on_big(void *arg, const ops_request_t *request, ops_reply_t *reply)
{
    (void)arg, (void)request;
    uint8_t *room = buf_reserve(&reply->body, BIG_BYTES);
    for (size_t i = 0; i < BIG_BYTES; i++)
        room[i] = (uint8_t)('a' + i % 26);
    reply->body.len += BIG_BYTES;
}

static void big_answers_arrive_and_stalled_readers_do_not_matter(void **state)
{
    (void)state;
    owned(ops) ops = s_open((ops_options_t){ .request_ms = 300 });
    ops_route(ops, "GET", "/big", s_on_big, NULL);
    int stalled = s_dial(ops);
    s_send(stalled, "GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
    buf_scoped big = {0};
    s_ask(ops, "GET /big" TAIL "\r\n", &big);
    const char *body = strstr(buf_str(&big), "\r\n\r\n");
    assert_non_null(body);
    assert_int_equal(big.len - (size_t)(body + 4 - buf_str(&big)), BIG_BYTES);
    for (size_t i = 0; i < BIG_BYTES; i += 4099)
        assert_int_equal(body[4 + i], 'a' + i % 26);
    while (!s_metrics_say(ops, "elanus_ops_refused_total{status=\"stalled\"} 1\n"))
        poll(NULL, 0, 10);
    close(stalled);
}

/* A client that resets, leaves in the middle, or says nothing: the server goes on. */
static void rude_clients_are_survived(void **state)
{
    (void)state;
    owned(ops) ops = s_open((ops_options_t){0});
    ops_route(ops, "GET", "/big", s_on_big, NULL);
    for (int i = 0; i < 30; i++) {
        static const char *const says[] = { "", "GET", "GET /big HTTP/1.1\r\nHost: a\r\n\r\n" };
        int fd = s_dial(ops);
        s_send(fd, says[i % 3]);
        struct linger reset = { .l_onoff = 1 };
        if (i % 2)
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        close(fd);
    }
    s_expect_alive(ops);
}

/* --- routes and later answers ---------------------------------------------- */

static void s_on_echo(void *arg, const ops_request_t *request, ops_reply_t *reply)
{
    reply->status = 201;
    buf_addf(&reply->body, "%s %s %.*s ? %.*s : %.*s", (const char *)arg, request->method,
             (int)request->path.len, (const char *)request->path.ptr,
             (int)request->query.len, (const char *)request->query.ptr,
             (int)request->body.len, (const char *)request->body.ptr);
}

static void the_longest_route_answers(void **state)
{
    (void)state;
    owned(ops) ops = s_open((ops_options_t){0});
    ops_route(ops, "GET", "/webui/*", s_on_echo, "tree");
    ops_route(ops, "GET", "/webui/data/*", s_on_echo, "old");
    ops_route(ops, "GET", "/webui/data/*", s_on_echo, "branch");
    ops_route(ops, "GET", "/webui/data/x", s_on_echo, "leaf");
    ops_route(ops, "POST", "/webui/data/x", s_on_echo, "post");
    s_expect(ops, "GET /webui/?a=b" TAIL "\r\n", "HTTP/1.1 201 ", "tree GET /webui/ ? a=b : ");
    s_expect(ops, "GET /webui/data/y" TAIL "\r\n", "HTTP/1.1 201 ",
             "branch GET /webui/data/y ?  : ");
    s_expect(ops, "GET /webui/data/x" TAIL "\r\n", "HTTP/1.1 201 ", "leaf GET /webui/data/x ?  : ");
    s_expect(ops, "POST /webui/data/x" TAIL "Content-Length: 2\r\n\r\nhi", "HTTP/1.1 201 ",
             "post POST /webui/data/x ?  : hi");
    s_expect(ops, "GET /webui" TAIL "\r\n", "HTTP/1.1 404 ", "\n");
}

static _Atomic uint64_t s_asked;

static void s_on_later(void *arg, const ops_request_t *request, ops_reply_t *reply)
{
    (void)arg;
    reply->later = true;
    atomic_store(&s_asked, request->id);
}

static uint64_t s_wait_asked(void)
{
    while (atomic_load(&s_asked) == 0)
        poll(NULL, 0, 1);
    return atomic_exchange(&s_asked, 0);
}

static void answers_may_come_later(void **state)
{
    (void)state;
    owned(ops) ops = s_open((ops_options_t){ .later_ms = 60 });
    ops_route(ops, "GET", "/later", s_on_later, NULL);
    int fd = s_dial(ops);
    buf_scoped answer = {0}, late = {0};
    s_send(fd, "GET /later HTTP/1.1\r\nHost: a\r\n\r\nGET /healthz" TAIL "\r\n");
    uint64_t id = s_wait_asked();
    s_expect_alive(ops);                                /* others are not kept waiting */
    ops_answer(ops, id + 1000, 200, "text/plain", view_str("nobody"));
    ops_answer(ops, id, 202, "text/x", view_str("done"));
    ops_answer(ops, id, 202, "text/x", view_str("twice"));
    assert_true(s_read_all(fd, &answer));
    assert_int_equal(strncmp(buf_str(&answer), "HTTP/1.1 202 ", 13), 0);
    assert_non_null(strstr(buf_str(&answer), "\r\n\r\ndoneHTTP/1.1 200 OK"));
    close(fd);

    s_ask(ops, "GET /later" TAIL "\r\n", &late);
    assert_int_equal(strncmp(buf_str(&late), "HTTP/1.1 504 ", 13), 0);
    ops_answer(ops, s_wait_asked(), 200, "text/plain", view_str("too late"));
    s_expect_alive(ops);

    fd = s_dial(ops);                                   /* the asker leaves */
    s_send(fd, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    id = s_wait_asked();
    close(fd);
    ops_answer(ops, id, 200, "text/plain", view_str("gone"));
    s_expect_alive(ops);
}

/* --- start, rest, stop ----------------------------------------------------- */

static void a_taken_port_is_a_clear_error(void **state)
{
    (void)state;
    owned(ops) ops = s_open((ops_options_t){0});
    ctx_t ctx;
    ctx_init(&ctx);
    owned(ops) second = NULL;
    char want[200];
    snprintf(want, sizeof want, "cannot listen on 127.0.0.1:%d: Address already in use; choose "
             "another port with elanus.ops.port (--ops-port)", ops_port(ops));
    ops_options_t options = { .port = ops_port(ops) };
    assert_int_equal(ops_open(&ctx, &options, &second), ERR_NETWORK);
    assert_string_equal(ctx.text, want);
    options = (ops_options_t){ .host = "no.such.host.invalid" };
    assert_int_equal(ops_open(&ctx, &options, &second), ERR_NETWORK);
    assert_non_null(strstr(ctx.text, "check elanus.ops.address"));
    assert_null(second);
    snprintf(want, sizeof want, "127.0.0.1:%d", ops_port(ops));
    assert_string_equal(ops_address(ops), want);
    ctx_fini(&ctx);
}

static void every_fault_of_opening_is_reported(void **state)
{
    (void)state;
    for (int nth = 0; ; nth++) {
        ctx_t ctx;
        ctx_init(&ctx);
        owned(ops) ops = NULL;
        ops_options_t options = {0};
        fault_arm(nth);
        err_t err = ops_open(&ctx, &options, &ops);
        bool fired = fault_disarm();
        ctx_fini(&ctx);
        assert_int_equal(err == OK, !fired);
        assert_int_equal(ops != NULL, !fired);
        if (!fired) {
            assert_true(nth >= 2);
            break;
        }
    }
}

/* From the server's own figures: once the last connection is gone it does nothing. */
static void nothing_wakes_an_idle_server(void **state)
{
    (void)state;
    owned(metrics) m = metrics_new();
    owned(ops) ops = s_open((ops_options_t){ .metrics = m });
    metrics_cell_t *open = metrics_cell(metrics_gauge(m, "elanus_ops_connections", "", NULL));
    metrics_cell_t *wakeups = metrics_cell(metrics_counter(m, "elanus_ops_wakeups_total", "",
                                                           NULL));
    s_expect_alive(ops);
    while (metrics_value(open) > 0)
        poll(NULL, 0, 1);
    double before = metrics_value(wakeups);
    assert_true(before > 0);
    poll(NULL, 0, 150);
    assert_true(metrics_value(wakeups) == before);
}

static void stopping_is_quick_and_lets_answers_go(void **state)
{
    (void)state;
    owned(ops) ops = s_open((ops_options_t){0});
    ops_route(ops, "GET", "/big", s_on_big, NULL);
    ops_route(ops, "GET", "/later", s_on_later, NULL);
    int idle = s_dial(ops), half = s_dial(ops), stalled = s_dial(ops), waiting = s_dial(ops);
    s_send(half, "GET /he");
    s_send(stalled, "GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
    s_send(waiting, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    s_wait_asked();
    s_expect_alive(ops);
    int64_t began = clock_mono_ms();
    ops_destroy(&ops);
    assert_true(clock_mono_ms() - began < 3000);
    buf_scoped rest = {0};
    assert_true(s_read_all(idle, &rest));
    assert_int_equal(rest.len, 0);
    close(idle);
    close(half);
    close(stalled);
    close(waiting);
    ops_destroy(&ops);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(health_is_told_as_milvus_tells_it),
        cmocka_unit_test(metrics_are_served_with_extra_figures),
        cmocka_unit_test(log_level_is_read_and_set),
        cmocka_unit_test(unknown_pages_and_methods_are_told_apart),
        cmocka_unit_test(a_connection_serves_many_requests_in_order),
        cmocka_unit_test(bytes_may_come_one_by_one),
        cmocka_unit_test(expect_100_is_answered),
        cmocka_unit_test(garbage_is_refused_and_counted),
        cmocka_unit_test(slow_requests_end_in_408),
        cmocka_unit_test(a_crowd_loses_its_most_idle),
        cmocka_unit_test(big_answers_arrive_and_stalled_readers_do_not_matter),
        cmocka_unit_test(rude_clients_are_survived),
        cmocka_unit_test(the_longest_route_answers),
        cmocka_unit_test(answers_may_come_later),
        cmocka_unit_test(a_taken_port_is_a_clear_error),
        cmocka_unit_test(every_fault_of_opening_is_reported),
        cmocka_unit_test(nothing_wakes_an_idle_server),
        cmocka_unit_test(stopping_is_quick_and_lets_answers_go),
    };
    log_set_level(LOG_FATAL);
    return cmocka_run_group_tests_name("ops", tests, NULL, NULL);
}
