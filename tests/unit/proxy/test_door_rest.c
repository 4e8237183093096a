/* door: REST over HTTP/1.1, byte by byte and many at once.  Same door, raw sockets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/echo_door.h"
#include "tests/support/h2_client.h"

typedef struct fixture {
    ctx_t ctx;
    echo_door_t *door;
    int fd;
    buf_t in;                   /* read, not consumed yet */
} fixture_t;

static void s_open(fixture_t *fx, const door_options_t *options)
{
    ctx_init(&fx->ctx);
    assert_int_equal(echo_door_open(&fx->ctx, options, true, &fx->door), OK);
    fx->fd = h2_client_dial(echo_door_port(fx->door));
    assert_true(fx->fd >= 0);
}

static void s_close(fixture_t *fx)
{
    close(fx->fd);
    buf_fini(&fx->in);
    echo_door_destroy(&fx->door);
    ctx_fini(&fx->ctx);
}

static void s_redial(fixture_t *fx)
{
    close(fx->fd);
    buf_reset(&fx->in);
    fx->fd = h2_client_dial(echo_door_port(fx->door));
    assert_true(fx->fd >= 0);
}

static int up(void **state)
{
    s_open(*state = mem_new(sizeof(fixture_t)), &(door_options_t){ .linger_ms = 20 });
    return 0;
}

static int down(void **state)
{
    s_close(*state);
    mem_free(*state);
    return 0;
}

static void s_write(fixture_t *fx, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fx->fd, bytes, len, MSG_NOSIGNAL);
        assert_true(n > 0);
        bytes += n;
        len -= (size_t)n;
    }
}

static void s_say(fixture_t *fx, const char *text)
{
    s_write(fx, text, strlen(text));
}

/* false at the end of the connection */
static bool s_more(fixture_t *fx)
{
    uint8_t *room = buf_reserve(&fx->in, 65536);
    assert_non_null(room);
    ssize_t n = recv(fx->fd, room, 65536, 0);
    assert_true(n >= 0);
    fx->in.len += (size_t)n;
    return n > 0;
}

typedef struct reply {
    int status;
    char head[2048];
    char body[4096];
    size_t body_bytes;
} reply_t;

/* The next answer of the connection. */
static void s_read(fixture_t *fx, reply_t *ret)
{
    char *end;
    while (!(end = strstr(buf_str(&fx->in), "\r\n\r\n")))
        assert_true(s_more(fx));
    size_t head = (size_t)(end - (char *)fx->in.ptr) + 4;
    assert_true(head < sizeof ret->head);
    memcpy(ret->head, fx->in.ptr, head);
    ret->head[head] = '\0';
    assert_int_equal(sscanf(ret->head, "HTTP/1.1 %d", &ret->status), 1);
    const char *length = strstr(ret->head, "Content-Length: ");
    ret->body_bytes = length ? strtoull(length + 16, NULL, 10) : 0;
    while (fx->in.len < head + ret->body_bytes)
        assert_true(s_more(fx));
    snprintf(ret->body, sizeof ret->body, "%.*s", (int)ret->body_bytes, (char *)fx->in.ptr + head);
    buf_consume(&fx->in, head + ret->body_bytes);
}

static void s_ask(fixture_t *fx, const char *request, int status, const char *body)
{
    reply_t reply;
    s_say(fx, request);
    s_read(fx, &reply);
    assert_int_equal(reply.status, status);
    assert_string_equal(reply.body, body);
}

static void s_assert_closed(fixture_t *fx)
{
    assert_int_equal(fx->in.len, 0);
    assert_false(s_more(fx));
}

#define HELLO "POST /v2/hello HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
#define CHUNKED "POST /v2/hello HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" \
                "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"

static void a_connection_is_used_again(void **state)
{
    fixture_t *fx = *state;
    s_ask(fx, HELLO, 200, "hello");
    s_ask(fx, "GET /a/b?c=d HTTP/1.1\r\nHost: x\r\n\r\n", 200, "GET /a/b c=d");
    s_ask(fx, CHUNKED, 200, "abcde");
    s_ask(fx, "POST /missing HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n?", 404, "?");
    s_ask(fx,
          "POST /v2/bye HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbye",
          200, "bye");
    s_assert_closed(fx);
    door_stats_t stats;
    door_stats(echo_door_inner(fx->door), &stats);
    assert_int_equal(stats.rest, 1);
    assert_int_equal(stats.requests, 5);
    assert_int_equal(stats.held_bytes, 0);
}

static void a_request_cut_at_every_byte(void **state)
{
    fixture_t *fx = *state;
    static const char *const requests[] = { HELLO, CHUNKED };
    for (size_t i = 0; i < ARRAY_LEN(requests); i++)
        for (size_t cut = 1; cut < strlen(requests[i]); cut++) {
            reply_t reply;
            s_write(fx, requests[i], cut);
            s_write(fx, requests[i] + cut, strlen(requests[i]) - cut);
            s_read(fx, &reply);
            assert_int_equal(reply.status, 200);
            assert_string_equal(reply.body, i == 0 ? "hello" : "abcde");
        }
    s_redial(fx);
    for (size_t at = 0; at < strlen(HELLO); at++)       /* sniffing, too, sees single bytes */
        s_write(fx, HELLO + at, 1);
    reply_t reply;
    s_read(fx, &reply);
    assert_string_equal(reply.body, "hello");
}

/* Many requests at once: answered all, in order, and none of them waits for a byte more. */
static void pipelined_requests_keep_their_order(void **state)
{
    enum { REQUESTS = 5000 };                   /* far more than the door keeps in memory */
    fixture_t *fx = *state;
    buf_scoped all = {0};
    for (int i = 0; i < REQUESTS; i++)
        buf_addf(&all, "POST /v2/n HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\n%06d", i);
    int read = 0;
    for (size_t at = 0; read < REQUESTS; ) {
        ssize_t n = at < all.len ? send(fx->fd, all.ptr + at, all.len - at,
                                        MSG_NOSIGNAL | MSG_DONTWAIT) : 0;
        if (n > 0)
            at += (size_t)n;
        char want[16];
        reply_t reply;
        s_read(fx, &reply);
        snprintf(want, sizeof want, "%06d", read++);
        assert_string_equal(reply.body, want);
    }
}

static void a_pipeline_behind_a_held_request_waits(void **state)
{
    fixture_t *fx = *state;
    char big[3 * 65536];
    memset(big, 'p', sizeof big);
    s_say(fx, "POST /hold HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nheld");
    assert_true(echo_door_wait_held(fx->door, 1));
    s_say(fx, HELLO);
    char head[128];
    int len = snprintf(head, sizeof head,
                       "POST /v2/b HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n", sizeof big);
    s_write(fx, head, (size_t)len);
    s_write(fx, big, sizeof big);
    echo_door_release(fx->door);
    reply_t reply;
    s_read(fx, &reply);
    assert_string_equal(reply.body, "held");
    s_read(fx, &reply);
    assert_string_equal(reply.body, "hello");
    s_read(fx, &reply);
    assert_int_equal(reply.body_bytes, sizeof big);
}

static void browsers_may_ask_first(void **state)
{
    fixture_t *fx = *state;
    reply_t reply;
    const char *ask = "OPTIONS /v2/vectordb/x HTTP/1.1\r\nHost: x\r\nOrigin: http://y\r\n\r\n";
    s_say(fx, ask);
    s_read(fx, &reply);
    assert_int_equal(reply.status, 204);
    assert_non_null(strstr(reply.head, "Access-Control-Allow-Origin: *\r\n"));
    assert_non_null(strstr(reply.head, "Access-Control-Allow-Methods: "));
    assert_non_null(strstr(reply.head, "Access-Control-Allow-Headers: "));
    s_say(fx, HELLO);
    s_read(fx, &reply);
    assert_non_null(strstr(reply.head, "Access-Control-Allow-Origin: *\r\n"));
    assert_non_null(strstr(reply.head, "Content-Type: application/json"));
}

static void a_client_that_waits_for_100(void **state)
{
    fixture_t *fx = *state;
    const char *head =
        "POST /v2/x HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
    s_ask(fx, head, 100, "");
    s_ask(fx, "ok", 200, "ok");
}

static void bad_requests_are_told_so_and_closed(void **state)
{
    fixture_t *fx = *state;
    static const struct { const char *bytes; int status; } bad[] = {
        { "POST /x HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", 400 },
        { "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 67108865\r\n\r\n", 413 },
        { "POST /x HTTP/3.0\r\n\r\n", 505 },
        { "POST x\r\n\r\n", 400 },
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        reply_t reply;
        s_say(fx, bad[i].bytes);
        s_read(fx, &reply);
        assert_int_equal(reply.status, bad[i].status);
        assert_non_null(strstr(reply.head, "Connection: close"));
        s_assert_closed(fx);
        s_redial(fx);
    }
    s_ask(fx, HELLO, 200, "hello");
}

static void a_request_runs_out_of_time(void **state)
{
    fixture_t fx = {0};
    s_open(&fx, &(door_options_t){ .rest_ms = 30, .linger_ms = 20 });
    s_ask(&fx, "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n", 408, "timeout");
    assert_true(echo_door_wait_cancelled(fx.door, 1));
    s_ask(&fx, HELLO, 200, "hello");            /* the connection is still good */
    s_close(&fx);
    memset(&fx, 0, sizeof fx);
    s_open(&fx, &(door_options_t){ .rest_ms = 1, .linger_ms = 20 });
    const char *ask = "GET /hold HTTP/1.1\r\nHost: x\r\nRequest-Timeout: 60\r\n\r\n";
    s_say(&fx, ask);
    assert_true(echo_door_wait_held(fx.door, 1));
    echo_door_release(fx.door);
    reply_t reply;
    s_read(&fx, &reply);
    assert_int_equal(reply.status, 200);
    s_close(&fx);
}

static void slow_clients_are_let_go(void **state)
{
    fixture_t fx = {0};
    s_open(&fx, &(door_options_t){
                    .first_ms = 60, .grace_ms = 60, .rest_idle_ms = 60, .linger_ms = 20 });
    reply_t reply;
    s_say(&fx, "POST /x HTTP/1.1\r\nHost: x\r\n");       /* a head that stops */
    s_read(&fx, &reply);
    assert_int_equal(reply.status, 408);
    s_assert_closed(&fx);
    s_redial(&fx);
    s_write(&fx, HELLO, strlen(HELLO) - 1);                     /* a body that stops */
    s_read(&fx, &reply);
    assert_int_equal(reply.status, 408);
    s_assert_closed(&fx);
    s_redial(&fx);
    s_ask(&fx, HELLO, 200, "hello");                            /* and nothing more */
    s_assert_closed(&fx);
    s_close(&fx);
}

static void a_client_that_hangs_up_cancels_the_work(void **state)
{
    fixture_t *fx = *state;
    s_say(fx, "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_true(echo_door_wait_held(fx->door, 1));
    s_redial(fx);
    assert_true(echo_door_wait_cancelled(fx->door, 1));
    s_ask(fx, HELLO, 200, "hello");
}

static void *s_stop(void *arg)
{
    door_stop(arg, 5000);
    return NULL;
}

static void stopping_lets_the_request_finish(void **state)
{
    fixture_t *fx = *state;
    int idle = h2_client_dial(echo_door_port(fx->door));
    assert_int_equal(send(idle, HELLO, strlen(HELLO), 0), strlen(HELLO));
    char bytes[1024];
    assert_true(recv(idle, bytes, sizeof bytes, 0) > 0);
    s_say(fx, "POST /hold HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nlast");
    assert_true(echo_door_wait_held(fx->door, 1));
    pthread_t stopper;
    pthread_create(&stopper, NULL, s_stop, echo_door_inner(fx->door));
    while (recv(idle, bytes, sizeof bytes, 0) > 0)      /* the idle one goes at once */
        continue;
    close(idle);
    echo_door_release(fx->door);
    reply_t reply;
    s_read(fx, &reply);
    assert_string_equal(reply.body, "last");
    assert_non_null(strstr(reply.head, "Connection: close"));
    s_assert_closed(fx);
    pthread_join(stopper, NULL);
}

static void a_big_body_goes_through(void **state)
{
    fixture_t *fx = *state;
    size_t len = 16 << 20;
    char *body = mem_new(len), head[128];
    memset(body, 'b', len);
    int n = snprintf(head, sizeof head,
                     "POST /v2/b HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n", len);
    s_write(fx, head, (size_t)n);
    s_write(fx, body, len);
    reply_t reply;
    s_read(fx, &reply);
    assert_int_equal(reply.status, 200);
    assert_int_equal(reply.body_bytes, len);
    mem_free(body);
}

#define T(f) cmocka_unit_test_setup_teardown(f, up, down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_connection_is_used_again),
        T(a_request_cut_at_every_byte),
        T(pipelined_requests_keep_their_order),
        T(a_pipeline_behind_a_held_request_waits),
        T(browsers_may_ask_first),
        T(a_client_that_waits_for_100),
        T(bad_requests_are_told_so_and_closed),
        cmocka_unit_test(a_request_runs_out_of_time),
        cmocka_unit_test(slow_clients_are_let_go),
        T(a_client_that_hangs_up_cancels_the_work),
        T(stopping_lets_the_request_finish),
        T(a_big_body_goes_through),
    };
    return cmocka_run_group_tests_name("door_rest", tests, NULL, NULL);
}
