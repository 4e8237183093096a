/* door: gRPC as a client sees it.  The fixture is an echo door on a free port of
 * 127.0.0.1 and one well-behaved client; tests that need odd options open their own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zlib.h>

#include "core/base/limits.h"
#include "core/base/rng.h"
#include "proxy/door_call.h"
#include "tests/support/echo_door.h"
#include "tests/support/h2_client.h"

enum { BIG_WINDOW = 0x7fffffff };

typedef struct fixture {
    ctx_t ctx;
    echo_door_t *door;
    h2_client_t *client;
} fixture_t;

static void s_open(fixture_t *fx, const door_options_t *options)
{
    ctx_init(&fx->ctx);
    assert_int_equal(echo_door_open(&fx->ctx, options, false, &fx->door), OK);
    fx->client = h2_client_new(echo_door_port(fx->door), BIG_WINDOW);
}

static void s_close(fixture_t *fx)
{
    h2_client_destroy(&fx->client);
    echo_door_destroy(&fx->door);
    ctx_fini(&fx->ctx);
}

static int up(void **state)
{
    s_open(*state = mem_new(sizeof(fixture_t)), NULL);
    return 0;
}

static int down(void **state)
{
    s_close(*state);
    mem_free(*state);
    return 0;
}

static void s_assert_echoes(h2_client_t *client, const char *text)
{
    h2_reply_t *reply = h2_client_call(client, ECHO_PATH, view_str(text));
    assert_int_equal(reply->http_status, 200);
    assert_int_equal(reply->grpc_status, GRPC_OK);
    assert_string_equal(reply->content_type, "application/grpc");
    assert_int_equal(reply->body.len, strlen(text) + 5);
    assert_int_equal(reply->body.ptr[0], 0);
    assert_int_equal(reply->body.ptr[4], strlen(text));
    assert_memory_equal(reply->body.ptr + 5, text, strlen(text));
}

static void s_assert_refused(const h2_reply_t *reply, int status, const char *text)
{
    assert_int_equal(reply->grpc_status, status);
    assert_string_equal(reply->text, text);
    assert_int_equal(reply->body.len, 0);
}

/* A call whose headers are the test's. */
static h2_reply_t *s_call_with(h2_client_t *client, const char *method, const char *path,
                               const h2_header_t *more, size_t n_more, view_t framed)
{
    int32_t stream = h2_client_next(client);
    assert_true(h2_client_headers(client, stream, 0, method, path, more, n_more));
    (void)h2_client_data(client, stream, framed, true);
    return h2_client_wait(client, stream);
}

static void a_call_is_echoed(void **state)
{
    fixture_t *fx = *state;
    s_assert_echoes(fx->client, "hello");
    s_assert_echoes(fx->client, "");
    door_stats_t stats;
    door_stats(echo_door_inner(fx->door), &stats);
    assert_int_equal(stats.requests, 2);
    assert_int_equal(stats.open_requests, 0);
    assert_int_equal(stats.h2, 1);
}

/* Whatever TCP does to the bytes of a connection, the call is the same. */
static void framing_survives_a_cut_at_every_byte(void **state)
{
    fixture_t *fx = *state;
    static const h2_header_t more[] = { { "content-type", "application/grpc+proto" } };
    buf_scoped framed = {0};
    h2_client_frame_message(&framed, view_str("abc"), 0);
    for (size_t cut = 1; cut < framed.len; cut++) {
        int32_t stream = h2_client_next(fx->client);
        h2_client_headers(fx->client, stream, 0, "POST", ECHO_PATH, more, 1);
        h2_client_data(fx->client, stream, view_of(framed.ptr, cut), false);
        h2_client_data(fx->client, stream, view_of(framed.ptr + cut, framed.len - cut), true);
        h2_reply_t *reply = h2_client_wait(fx->client, stream);
        assert_int_equal(reply->grpc_status, GRPC_OK);
        assert_memory_equal(reply->body.ptr, framed.ptr, framed.len);
    }
}

/* The raw bytes of a whole connection, written in two pieces. */
static void s_assert_whole_at(int port, view_t bytes, size_t cut)
{
    owned(h2_client) client = h2_client_new_raw(port);
    assert_true(h2_client_write(client, bytes.ptr, cut));
    assert_true(h2_client_write(client, bytes.ptr + cut, bytes.len - cut));
    h2_reply_t *one = h2_client_wait(client, 1);
    h2_reply_t *two = h2_client_wait(client, 3);
    assert_int_equal(one->grpc_status, GRPC_OK);
    assert_int_equal(two->grpc_status, GRPC_OK);
    assert_memory_equal(one->body.ptr, "\0\0\0\0\3one", 8);
    assert_memory_equal(two->body.ptr, "\0\0\0\0\3two", 8);
}

/* Record what a client sends for two calls in a row, from its preface on. */
static void s_record_two_calls(buf_t *into)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    ctx_t ctx;
    ctx_init(&ctx);
    owned(echo_door) door = NULL;
    assert_int_equal(echo_door_open(&ctx, NULL, false, &door), OK);
    owned(h2_client) client = h2_client_new_raw(echo_door_port(door));
    int saved = dup(h2_client_fd(client));
    dup2(pair[0], h2_client_fd(client));        /* it writes to us */
    assert_true(h2_client_write(client, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24));
    h2_client_frame(client, H2_SETTINGS, 0, 0, (view_t){0});
    h2_client_start(client, ECHO_PATH, view_str("one"));
    h2_client_start(client, ECHO_PATH, view_str("two"));
    uint8_t bytes[4096];
    ssize_t n = recv(pair[1], bytes, sizeof bytes, 0);
    assert_true(n > 100);
    buf_add(into, bytes, (size_t)n);
    close(pair[0]);
    close(pair[1]);
    close(saved);
    ctx_fini(&ctx);
}

static void two_calls_in_one_segment_and_cut_anywhere(void **state)
{
    fixture_t *fx = *state;
    buf_scoped bytes = {0};
    s_record_two_calls(&bytes);
    for (size_t cut = 0; cut < bytes.len; cut++)
        s_assert_whole_at(echo_door_port(fx->door), buf_view(&bytes), cut);
}

static void headers_are_judged(void **state)
{
    fixture_t *fx = *state;
    static const h2_header_t grpc[] = { { "content-type", "application/grpc" } };
    buf_scoped framed = {0};
    h2_client_frame_message(&framed, view_str("x"), 0);
    view_t message = buf_view(&framed);
    s_assert_refused(s_call_with(fx->client, "POST", "/" ECHO_SERVICE "/Nope", grpc, 1, message),
                     GRPC_UNIMPLEMENTED, "unknown method Nope for service " ECHO_SERVICE);
    s_assert_refused(s_call_with(fx->client, "POST", "/a.B/C", grpc, 1, message),
                     GRPC_UNIMPLEMENTED, "unknown service a.B");
    s_assert_refused(s_call_with(fx->client, "POST", "/nothing", grpc, 1, message),
                     GRPC_UNIMPLEMENTED, "malformed method name: \"/nothing\"");
    h2_reply_t *reply = s_call_with(fx->client, "PUT", ECHO_PATH, grpc, 1, message);
    assert_int_equal(reply->http_status, 405);
    assert_int_equal(reply->grpc_status, GRPC_INTERNAL);

    static const h2_header_t wrong[] = { { "content-type", "application/grpcx" } };
    reply = s_call_with(fx->client, "POST", ECHO_PATH, wrong, 1, message);
    assert_int_equal(reply->http_status, 415);
    assert_int_equal(reply->grpc_status, GRPC_INVALID_ARGUMENT);
    static const h2_header_t snappy[] = { { "content-type", "application/grpc" },
                                          { "grpc-encoding", "snappy" } };
    s_assert_refused(s_call_with(fx->client, "POST", ECHO_PATH, snappy, 2, message),
                     GRPC_UNIMPLEMENTED,
                     "grpc: Decompressor is not installed for grpc-encoding \"snappy\"");
    static const h2_header_t never[] = { { "content-type", "application/grpc" },
                                         { "grpc-timeout", "soon" } };
    reply = s_call_with(fx->client, "POST", ECHO_PATH, never, 2, message);
    assert_int_equal(reply->http_status, 400);
    assert_int_equal(reply->grpc_status, GRPC_INTERNAL);
    s_assert_echoes(fx->client, "still here");
}

/* A client that likes HTTP/2 for JSON gets REST over it. */
static void json_over_h2_is_rest(void **state)
{
    fixture_t *fx = *state;
    static const h2_header_t json[] = { { "content-type", "application/json" } };
    h2_reply_t *reply =
        s_call_with(fx->client, "POST", "/v2/x?y=1", json, 1, view_str("{\"a\":1}"));
    assert_int_equal(reply->http_status, 200);
    assert_int_equal(reply->grpc_status, -1);
    assert_memory_equal(reply->body.ptr, "{\"a\":1}", 7);
    reply = s_call_with(fx->client, "GET", "/v2/x?y=1", NULL, 0, (view_t){0});
    assert_memory_equal(reply->body.ptr, "GET /v2/x y=1", 13);
}

static void bad_frames_of_a_message_are_refused(void **state)
{
    fixture_t *fx = *state;
    static const h2_header_t grpc[] = { { "content-type", "application/grpc" } };
    static const struct { const char *bytes; size_t len; int status; const char *text; } bad[] = {
        { "", 0, GRPC_INTERNAL, "the call has no message" },
        { "\0\0\0", 3, GRPC_INTERNAL, "unexpected EOF" },
        { "\0\0\0\0\3ab", 7, GRPC_INTERNAL, "unexpected EOF" },
        { "\0\0\0\0\1abc", 8, GRPC_INTERNAL, "more than one message in a unary call" },
        { "\2\0\0\0\1a", 6, GRPC_INTERNAL, "grpc: received unexpected payload format 2" },
        { "\1\0\0\0\1a", 6, GRPC_INTERNAL,
          "grpc: compressed flag set with identity or empty encoding" },
        { "\0\4\0\0\1a", 6, GRPC_RESOURCE_EXHAUSTED,
          "grpc: received message larger than max (67108865 vs. 67108864)" },
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        s_assert_refused(s_call_with(fx->client, "POST", ECHO_PATH, grpc, 1,
                                     view_of(bad[i].bytes, bad[i].len)),
                         bad[i].status, bad[i].text);
    s_assert_echoes(fx->client, "still here");
}

static void s_gzip(buf_t *into, view_t plain)
{
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 9, 0), Z_OK);
    uint8_t *room = buf_reserve(into, plain.len / 100 + 1000);
    z.next_in = (uint8_t *)(uintptr_t)plain.ptr;
    z.avail_in = (uInt)plain.len;
    z.next_out = room;
    z.avail_out = (uInt)(plain.len / 100 + 1000);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    into->len += z.total_out;
    deflateEnd(&z);
}

static h2_reply_t *s_call_gzip(h2_client_t *client, view_t packed)
{
    static const h2_header_t more[] = { { "content-type", "application/grpc" },
                                        { "grpc-encoding", "gzip" } };
    buf_scoped framed = {0};
    h2_client_frame_message(&framed, packed, 1);
    return s_call_with(client, "POST", ECHO_PATH, more, 2, buf_view(&framed));
}

static void gzip_is_unpacked_and_bombs_are_not(void **state)
{
    fixture_t own = {0};
    s_open(&own, &(door_options_t){ .message_bytes = 1 << 20 });
    buf_scoped plain = {0};
    memset(buf_reserve(&plain, 3 << 20), 'a', 3 << 20);
    for (size_t i = 0; i < 3; i++) {
        static const struct { size_t len; int status; } cases[] = {
            { 100, GRPC_OK }, { 1 << 20, GRPC_OK }, { (1 << 20) + 1, GRPC_RESOURCE_EXHAUSTED },
        };
        buf_scoped packed = {0};
        s_gzip(&packed, view_of(plain.ptr, cases[i].len));
        h2_reply_t *reply = s_call_gzip(own.client, buf_view(&packed));
        assert_int_equal(reply->grpc_status, cases[i].status);
        if (cases[i].status == GRPC_OK)
            assert_int_equal(reply->body.len, cases[i].len + 5);
        else
            assert_string_equal(reply->text,
                                "grpc: received message after decompression larger than max "
                                "(1048577 vs. 1048576)");
        for (size_t cut = 0; i == 0 && cut < packed.len; cut++)
            assert_int_equal(s_call_gzip(own.client, view_of(packed.ptr, cut))->grpc_status,
                             GRPC_INTERNAL);
    }
    assert_int_equal(s_call_gzip(own.client, view_str("not gzip"))->grpc_status, GRPC_INTERNAL);
    s_assert_echoes(own.client, "still here");
    door_stats_t stats;
    door_stats(echo_door_inner(own.door), &stats);
    assert_int_equal(stats.open_requests, 0);
    assert_int_equal(stats.held_bytes, 0);
    s_close(&own);
}

static void timeouts_are_read_and_kept(void **state)
{
    static const struct { const char *text; int64_t ms;
    } cases[] = {
        { "1H", 3600000 },    { "2M", 120000 },  { "3S", 3000 }, { "4m", 4 },
        { "1u", 1 },          { "1000001n", 2 }, { "0m", 0 },    { "99999999H", 359999996400000 },
        { "", -1 },           { "S", -1 },       { "5", -1 },    { "5s", -1 },
        { "123456789m", -1 }, { "-1S", -1 },     { "1SS", -1 },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(door_grpc_timeout_ms(cases[i].text), cases[i].ms);

    fixture_t *fx = *state;
    static const h2_header_t soon[] = { { "content-type", "application/grpc" },
                                        { "grpc-timeout", "20m" } };
    buf_scoped framed = {0};
    h2_client_frame_message(&framed, view_str("x"), 0);
    h2_reply_t *reply = s_call_with(fx->client, "POST", HOLD_PATH, soon, 2, buf_view(&framed));
    s_assert_refused(reply, GRPC_DEADLINE_EXCEEDED, "context deadline exceeded");
    assert_true(echo_door_wait_cancelled(fx->door, 1));
    echo_door_release(fx->door);                /* too late, and nobody minds */
    s_assert_echoes(fx->client, "still here");
}

static void a_reset_cancels_the_work(void **state)
{
    fixture_t *fx = *state;
    int32_t stream = h2_client_start(fx->client, HOLD_PATH, view_str("x"));
    assert_true(echo_door_wait_held(fx->door, 1));
    h2_client_frame(fx->client, H2_RST_STREAM, 0, stream, view_of("\0\0\0\10", 4));
    assert_true(echo_door_wait_cancelled(fx->door, 1));
    echo_door_release(fx->door);
    s_assert_echoes(fx->client, "still here");
}

static void a_client_that_goes_away_cancels_the_work(void **state)
{
    fixture_t *fx = *state;
    for (int i = 0; i < 3; i++)
        h2_client_start(fx->client, HOLD_PATH, view_str("x"));
    assert_true(echo_door_wait_held(fx->door, 3));
    h2_client_destroy(&fx->client);
    assert_true(echo_door_wait_cancelled(fx->door, 3));
    echo_door_release(fx->door);
    assert_true(echo_door_wait_stat(fx->door, cancelled, 3));
}

static void texts_are_escaped(void **state)
{
    fixture_t *fx = *state;
    s_assert_refused(h2_client_call(fx->client, FAIL_PATH, view_str("x")), GRPC_NOT_FOUND,
                     "no such collection: n%C3%A9t 100%25%0A");
    for (int c = 1; c < 256; c++) {
        char text[2] = { (char)c }, want[4];
        snprintf(want, sizeof want, c >= ' ' && c <= '~' && c != '%' ? "%c" : "%%%02X", c);
        char *got = door_grpc_escape(text);
        assert_string_equal(got, want);
        mem_free(got);
    }
}

static void big_messages_pass_and_bigger_ones_do_not(void **state)
{
    fixture_t *fx = *state;
    size_t len = LIMIT_REQUEST_BYTES;
    uint8_t *bytes = mem_new(len + 1);
    h2_reply_t *reply = h2_client_call(fx->client, ECHO_PATH, view_of(bytes, len));
    assert_int_equal(reply->grpc_status, GRPC_OK);
    assert_int_equal(reply->body.len, len + 5);
    s_assert_refused(h2_client_call(fx->client, ECHO_PATH, view_of(bytes, len + 1)),
                     GRPC_RESOURCE_EXHAUSTED,
                     "grpc: received message larger than max (67108865 vs. 67108864)");
    s_assert_echoes(fx->client, "still here");
    mem_free(bytes);
}

/* The window of a call opens only when its message fits; those that wait come later. */
static void big_messages_of_one_connection_queue_up(void **state)
{
    enum { CALLS = 6, LEN = 3 << 20 };
    fixture_t own = {0};
    s_open(&own, &(door_options_t){ .conn_bytes = 4 << 20 });
    buf_scoped framed = {0};
    uint8_t *bytes = mem_new(LEN);
    h2_client_frame_message(&framed, view_of(bytes, LEN), 0);
    static const h2_header_t grpc[] = { { "content-type", "application/grpc" } };
    int32_t streams[CALLS];
    for (int i = 0; i < CALLS; i++) {           /* each sends what its first window takes */
        streams[i] = h2_client_next(own.client);
        h2_client_headers(own.client, streams[i], 0, "POST", ECHO_PATH, grpc, 1);
        h2_client_data(own.client, streams[i], view_of(framed.ptr, 60000), false);
    }
    for (int i = CALLS - 1; i > 0; i--)         /* the last first: it has to wait for its turn */
        h2_client_data(own.client, streams[i], view_of(framed.ptr + 60000, 900000), false);
    for (int i = 0; i < CALLS; i++) {
        size_t sent = i == 0 ? 60000 : 960000;
        assert_true(h2_client_data(own.client, streams[i],
                                   view_of(framed.ptr + sent, framed.len - sent), true));
        assert_int_equal(h2_client_wait(own.client, streams[i])->grpc_status, GRPC_OK);
    }
    mem_free(bytes);
    s_close(&own);
}

/* A call that fits into its first window passes one that waits, in whatever state
 * the connection's reservations are when it ends. */
static void small_messages_pass_waiting_ones(void **state)
{
    enum { LEN = 3 << 20 };
    fixture_t own = {0};
    s_open(&own, &(door_options_t){ .conn_bytes = 4 << 20 });
    buf_scoped framed = {0};
    uint8_t *bytes = mem_new(LEN);
    h2_client_frame_message(&framed, view_of(bytes, LEN), 0);
    static const h2_header_t grpc[] = { { "content-type", "application/grpc" } };
    int32_t big[2];
    for (int i = 0; i < 2; i++) {
        big[i] = h2_client_next(own.client);
        h2_client_headers(own.client, big[i], 0, "POST", ECHO_PATH, grpc, 1);
        h2_client_data(own.client, big[i], view_of(framed.ptr, 1000), false);
    }
    s_assert_echoes(own.client, "passes");
    int32_t held = h2_client_start(own.client, HOLD_PATH, view_str("held"));
    assert_true(echo_door_wait_held(own.door, 1));
    s_assert_echoes(own.client, "passes, too");
    for (int i = 0; i < 2; i++) {
        h2_client_data(own.client, big[i], view_of(framed.ptr + 1000, framed.len - 1000), true);
        assert_int_equal(h2_client_wait(own.client, big[i])->grpc_status, GRPC_OK);
    }
    echo_door_release(own.door);
    assert_int_equal(h2_client_wait(own.client, held)->grpc_status, GRPC_OK);
    mem_free(bytes);
    s_close(&own);
}

static void memory_in_all_is_bounded(void **state)
{
    fixture_t own = {0};
    s_open(&own, &(door_options_t){ .total_bytes = 1 << 20 });
    uint8_t *bytes = mem_new(1 << 20);
    h2_reply_t *reply = h2_client_call(own.client, ECHO_PATH, view_of(bytes, (1 << 20) + 0));
    assert_int_equal(reply->grpc_status, GRPC_RESOURCE_EXHAUSTED);      /* no room for the answer */
    reply = h2_client_call(own.client, BIG_PATH, view_str("1048577"));
    assert_int_equal(reply->grpc_status, GRPC_RESOURCE_EXHAUSTED);
    s_assert_echoes(own.client, "still here");
    door_stats_t stats;
    door_stats(echo_door_inner(own.door), &stats);
    assert_int_equal(stats.held_bytes, 0);
    assert_int_equal(stats.refused_memory, 2);
    mem_free(bytes);
    s_close(&own);
}

static void many_calls_at_once(void **state)
{
    enum { CALLS = LIMIT_DOOR_STREAMS };
    ctx_t ctx;
    ctx_init(&ctx);
    owned(echo_door) door = NULL;
    assert_int_equal(echo_door_open(&ctx, NULL, true, &door), OK); /* a second thread answers */
    owned(h2_client) client = h2_client_new(echo_door_port(door), BIG_WINDOW);
    int32_t streams[CALLS];
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < CALLS; i++)
            streams[i] = h2_client_start(client, ECHO_PATH, view_of(&i, sizeof i));
        for (int i = 0; i < CALLS; i++) {
            h2_reply_t *reply = h2_client_wait(client, streams[i]);
            assert_int_equal(reply->grpc_status, GRPC_OK);
            assert_memory_equal(reply->body.ptr + 5, &i, sizeof i);
        }
    }
    ctx_fini(&ctx);
}

/* Stopping lets calls finish that are under way, and takes no new ones. */
static void *s_stop(void *arg)
{
    door_stop(arg, 5000);
    return NULL;
}

static void stopping_lets_open_calls_finish(void **state)
{
    fixture_t *fx = *state;
    int32_t held = h2_client_start(fx->client, HOLD_PATH, view_str("late"));
    assert_true(echo_door_wait_held(fx->door, 1));
    pthread_t stopper;
    pthread_create(&stopper, NULL, s_stop, echo_door_inner(fx->door));
    while (h2_client_goaway(fx->client) < 0 && h2_client_pump(fx->client))
        continue;
    assert_int_equal(h2_client_goaway(fx->client), 0);
    assert_int_equal(h2_client_dial(echo_door_port(fx->door)), -1);
    echo_door_release(fx->door);
    h2_reply_t *reply = h2_client_wait(fx->client, held);
    assert_int_equal(reply->grpc_status, GRPC_OK);
    assert_true(h2_client_closed(fx->client));
    h2_client_destroy(&fx->client);
    pthread_join(stopper, NULL);
}

static void stopping_at_once_cancels(void **state)
{
    fixture_t *fx = *state;
    h2_client_start(fx->client, HOLD_PATH, view_str("never"));
    assert_true(echo_door_wait_held(fx->door, 1));
    door_stop(echo_door_inner(fx->door), 0);
    assert_true(echo_door_wait_cancelled(fx->door, 1));
    assert_true(h2_client_closed(fx->client));
}

static void a_taken_port_says_so(void **state)
{
    fixture_t *fx = *state;
    owned(echo_door) second = NULL;
    door_options_t same = { .port = echo_door_port(fx->door) };
    assert_int_equal(echo_door_open(&fx->ctx, &same, false, &second), ERR_NETWORK);
    char want[128];
    snprintf(want, sizeof want,
             "cannot listen on 127.0.0.1:%d: Address already in use; stop what uses "
             "that port or change proxy.port",
             same.port);
    assert_string_equal(fx->ctx.text, want);
    assert_null(second);
}

#define T(f) cmocka_unit_test_setup_teardown(f, up, down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_call_is_echoed),
        T(framing_survives_a_cut_at_every_byte),
        T(two_calls_in_one_segment_and_cut_anywhere),
        T(headers_are_judged),
        T(json_over_h2_is_rest),
        T(bad_frames_of_a_message_are_refused),
        T(gzip_is_unpacked_and_bombs_are_not),
        T(timeouts_are_read_and_kept),
        T(a_reset_cancels_the_work),
        T(a_client_that_goes_away_cancels_the_work),
        T(texts_are_escaped),
        T(big_messages_pass_and_bigger_ones_do_not),
        T(big_messages_of_one_connection_queue_up),
        T(small_messages_pass_waiting_ones),
        T(memory_in_all_is_bounded),
        T(many_calls_at_once),
        T(stopping_lets_open_calls_finish),
        T(stopping_at_once_cancels),
        T(a_taken_port_says_so),
    };
    return cmocka_run_group_tests_name("door", tests, NULL, NULL);
}
