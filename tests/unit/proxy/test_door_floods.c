/* door: hostile and broken clients.  Every test has a bystander, a second client whose
 * calls must go on before, during and after.  Limits and times are small so that each
 * attack is over in milliseconds; the door's own clock decides, tests only wait. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/log.h"
#include "core/base/rng.h"
#include "tests/support/echo_door.h"
#include "tests/support/h2_client.h"

enum { BIG_WINDOW = 0x7fffffff, CALM = 11, PROTOCOL_ERROR = 1 };
enum { CONTROL_FRAMES = 500, RESET_BURST = 50 };

typedef struct fixture {
    ctx_t ctx;
    echo_door_t *door;
    h2_client_t *bystander;
    h2_client_t *attacker;      /* a well-behaved beginning: preface and SETTINGS */
} fixture_t;

static const door_options_t s_small = {
    .control_frames = CONTROL_FRAMES, .reset_burst = RESET_BURST, .reset_rate = 1,
    .first_ms = 60000, .linger_ms = 20,
};

static void s_assert_calls(h2_client_t *client)
{
    h2_reply_t *reply = h2_client_call(client, ECHO_PATH, view_str("unharmed"));
    assert_int_equal(reply->grpc_status, GRPC_OK);
    assert_int_equal(reply->body.len, 13);
}

static void s_open(fixture_t *fx, const door_options_t *options)
{
    ctx_init(&fx->ctx);
    assert_int_equal(echo_door_open(&fx->ctx, options, false, &fx->door), OK);
    fx->bystander = h2_client_new(echo_door_port(fx->door), BIG_WINDOW);
    s_assert_calls(fx->bystander);
    fx->attacker = h2_client_new(echo_door_port(fx->door), BIG_WINDOW);
}

static void s_close(fixture_t *fx)
{
    if (fx->bystander)
        s_assert_calls(fx->bystander);
    h2_client_destroy(&fx->bystander);
    h2_client_destroy(&fx->attacker);
    echo_door_destroy(&fx->door);
    ctx_fini(&fx->ctx);
}

static int up(void **state)
{
    s_open(*state = mem_new(sizeof(fixture_t)), &s_small);
    return 0;
}

static int up_narrow(void **state)
{
    fixture_t *fx = mem_new(sizeof *fx);
    s_open(*state = fx, &s_small);
    h2_client_destroy(&fx->attacker);           /* room for WINDOW_UPDATEs */
    fx->attacker = h2_client_new(echo_door_port(fx->door), 65535);
    return 0;
}

static int down(void **state)
{
    s_close(*state);
    mem_free(*state);
    return 0;
}

#define s_stat(fx, name) ({ \
    door_stats_t stats_; door_stats(echo_door_inner((fx)->door), &stats_); (int)stats_.name; })

/* The attacker was told to calm down and shown the way out. */
static void s_assert_thrown_out(fixture_t *fx, int code)
{
    assert_true(h2_client_closed(fx->attacker));
    if (h2_client_goaway(fx->attacker) >= 0)    /* a reset may have overtaken it */
        assert_int_equal(h2_client_goaway(fx->attacker), code);
    s_assert_calls(fx->bystander);
}

static bool s_headers(h2_client_t *client, int32_t stream, const char *path)
{
    static const h2_header_t grpc[] = { { "content-type", "application/grpc" } };
    return h2_client_headers(client, stream, 0, "POST", path, grpc, 1);
}

/* --- floods ------------------------------------------------------------------------- */

/* CVE-2023-44487: streams opened and reset as fast as the wire takes them. */
static void rapid_resets(void **state)
{
    fixture_t *fx = *state;
    for (int i = 0; i < 4 * RESET_BURST; i++) {
        int32_t stream = h2_client_next(fx->attacker);
        s_headers(fx->attacker, stream, ECHO_PATH);
        h2_client_frame(fx->attacker, H2_RST_STREAM, 0, stream, view_of("\0\0\0\10", 4));
        if (i % 50 == 0)
            s_assert_calls(fx->bystander);
    }
    s_assert_thrown_out(fx, CALM);
    assert_int_equal(s_stat(fx, flood_reset), 1);
}

/* CVE-2025-8671: the client makes the server do the resetting. */
static void provoked_resets(void **state)
{
    fixture_t *fx = *state;
    for (int i = 0; i < 4 * RESET_BURST; i++) {
        int32_t stream = h2_client_next(fx->attacker);
        s_headers(fx->attacker, stream, ECHO_PATH);
        h2_client_frame(fx->attacker, H2_WINDOW_UPDATE, 0, stream, view_of("\177\377\377\377", 4));
    }
    s_assert_thrown_out(fx, CALM);
    assert_int_equal(s_stat(fx, flood_reset) + s_stat(fx, flood_control), 1);
}

/* Some frames in the limit are nobody's business; more end the connection. */
static void s_flood(fixture_t *fx, uint8_t type, uint8_t flags, int32_t stream, view_t payload)
{
    for (int i = 0; i < CONTROL_FRAMES / 2; i++)
        h2_client_frame(fx->attacker, type, flags, stream, payload);
    if (type != H2_DATA)
        s_assert_calls(fx->attacker);
    for (int i = 0; i < 2 * CONTROL_FRAMES; i++) {
        h2_client_frame(fx->attacker, type, flags, stream, payload);
        if (i % 100 == 0)
            s_assert_calls(fx->bystander);
    }
    s_assert_thrown_out(fx, CALM);
    assert_int_equal(s_stat(fx, flood_control), 1);
}

static void a_ping_flood(void **state)
{
    s_flood(*state, H2_PING, 0, 0, view_of("12345678", 8));
}

static void a_settings_flood(void **state)
{
    s_flood(*state, H2_SETTINGS, 0, 0, view_of("\0\4\0\1\0\0", 6));
}

static void a_priority_flood(void **state)
{
    s_flood(*state, H2_PRIORITY, 0, 9999, view_of("\0\0\0\0\1", 5));
}

static void a_flood_of_unknown_frames(void **state)
{
    s_flood(*state, 0x77, 0, 0, view_of("?", 1));
}

static void a_window_update_flood(void **state)
{
    s_flood(*state, H2_WINDOW_UPDATE, 0, 0, view_of("\0\0\0\1", 4));
}

static void a_flood_of_empty_data(void **state)
{
    fixture_t *fx = *state;
    int32_t stream = h2_client_next(fx->attacker);
    s_headers(fx->attacker, stream, ECHO_PATH);
    s_flood(fx, H2_DATA, 0, stream, (view_t){0});
}

/* PINGs whose answers are never read: acks may not pile up without bound. */
static void pings_whose_answers_nobody_reads(void **state)
{
    fixture_t fx = {0};
    s_open(&fx, &(door_options_t){ .control_frames = 10000000, .linger_ms = 20 });
    buf_scoped pings = {0};
    for (int i = 0; i < 5000; i++)
        buf_add(&pings, "\0\0\10\6\0\0\0\0\0" "12345678", 17);
    while (h2_client_write(fx.attacker, pings.ptr, pings.len))
        continue;
    s_assert_calls(fx.bystander);
    assert_true(echo_door_wait_stat(fx.door, flood_control, 1));
    s_close(&fx);
}

/* A header block that never ends, in frames that cost nothing (CVE-2024-27316's kind). */
static void a_continuation_flood(void **state)
{
    fixture_t *fx = *state;
    h2_client_frame(fx->attacker, H2_HEADERS, 0, 1, view_of("\203", 1));
    for (int i = 0; i < 1000; i++)
        if (!h2_client_frame(fx->attacker, H2_CONTINUATION, 0, 1, (view_t){0}))
            break;
    assert_true(h2_client_closed(fx->attacker));
    assert_int_equal(s_stat(fx, malformed) + s_stat(fx, flood_control), 1);
}

static void more_streams_than_allowed(void **state)
{
    fixture_t *fx = *state;
    for (int i = 0; i < 300; i++)
        s_headers(fx->attacker, h2_client_next(fx->attacker), ECHO_PATH);
    (void)h2_client_closed(fx->attacker);
    s_assert_calls(fx->bystander);
    door_stats_t stats;
    door_stats(echo_door_inner(fx->door), &stats);
    assert_int_equal(stats.open_requests, 0);
}

/* Calls that are cancelled are still work: a client may not have ever more of it. */
static void cancelled_calls_count_until_they_are_done(void **state)
{
    fixture_t fx = {0};
    s_open(&fx, &(door_options_t){ .streams = 10, .linger_ms = 20 });
    for (int i = 0; i < 20; i++) {
        int32_t stream = h2_client_start(fx.attacker, HOLD_PATH, view_str("x"));
        assert_true(echo_door_wait_held(fx.door, i + 1));
        h2_client_frame(fx.attacker, H2_RST_STREAM, 0, stream, view_of("\0\0\0\10", 4));
        assert_true(echo_door_wait_cancelled(fx.door, i + 1));
    }
    h2_reply_t *reply = h2_client_call(fx.attacker, ECHO_PATH, view_str("x"));
    assert_int_equal(reply->grpc_status, GRPC_RESOURCE_EXHAUSTED);
    assert_string_equal(reply->text, "too many concurrent requests, queue is full");
    s_assert_calls(fx.bystander);
    echo_door_release(fx.door);
    s_assert_calls(fx.attacker);
    s_close(&fx);
}

static void too_many_requests_in_all(void **state)
{
    fixture_t fx = {0};
    s_open(&fx, &(door_options_t){ .requests = 5 });
    for (int i = 0; i < 5; i++)
        h2_client_start(fx.attacker, HOLD_PATH, view_str("x"));
    assert_true(echo_door_wait_held(fx.door, 5));
    h2_reply_t *reply = h2_client_call(fx.attacker, ECHO_PATH, view_str("x"));
    assert_int_equal(reply->grpc_status, GRPC_RESOURCE_EXHAUSTED);
    assert_int_equal(s_stat(&fx, refused_busy), 1);
    echo_door_release(fx.door);
    s_close(&fx);
}

/* --- headers ------------------------------------------------------------------------- */

static void a_header_list_over_the_limit(void **state)
{
    fixture_t *fx = *state;
    char value[8000];
    memset(value, 'v', sizeof value);
    value[sizeof value - 1] = '\0';
    h2_header_t more[] = { { "a", value }, { "b", value }, { "c", "" } };
    for (int over = 0; over < 2; over++) {      /* 7999 * 2 + names + 32 each: just below 16384 */
        int32_t stream = h2_client_next(fx->attacker);
        more[2].value = over ? value + 7800 : "";
        h2_client_headers(fx->attacker, stream, H2_END_STREAM, "GET", "/", more, 3);
        h2_reply_t *reply = h2_client_wait(fx->attacker, stream);
        assert_int_equal(reply->http_status, over ? 431 : 200);
    }
    s_assert_calls(fx->attacker);
}

/* One 4000-byte header put into HPACK's table, then named ten thousand times: ten
 * kilobytes that unpack to forty megabytes. */
static void an_hpack_bomb(void **state)
{
    fixture_t *fx = *state;
    buf_scoped block = {0};
    buf_add(&block, "\203\206\204\1\1t", 6);   /* POST, http, /, authority t */
    buf_add(&block, "\100\1a\177\241\36", 6);   /* into the table: a, 127 + 33 + 30*128 bytes */
    for (int i = 0; i < 127 + 33 + 30 * 128; i++)
        buf_add_u8(&block, 'v');
    for (int i = 0; i < 10000; i++)
        buf_add_u8(&block, 0x80 | 62);          /* the newest entry of the table */
    int32_t stream = h2_client_next(fx->attacker);
    h2_client_frame(fx->attacker, H2_HEADERS, H2_END_HEADERS | H2_END_STREAM, stream,
                    buf_view(&block));
    h2_reply_t *reply = h2_client_wait(fx->attacker, stream);
    assert_int_equal(reply->http_status, 431);
    assert_int_equal(reply->grpc_status, GRPC_RESOURCE_EXHAUSTED);
    assert_int_equal(s_stat(fx, refused_headers), 1);
    s_assert_calls(fx->attacker);               /* the table is still in step */
}

/* --- slowness -------------------------------------------------------------------------- */

static void a_silent_connection(void **state)
{
    fixture_t fx = {0};
    s_open(&fx, &(door_options_t){ .first_ms = 50, .linger_ms = 20 });
    static const char *const starts[] = { "", "P", "PRI * HTTP/2.0\r\n",
                                          "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                                          "POST /v2 HTTP/1.1\r\nHost:" };
    for (size_t i = 0; i < ARRAY_LEN(starts); i++) {
        owned(h2_client) client = h2_client_new_raw(echo_door_port(fx.door));
        h2_client_write(client, starts[i], strlen(starts[i]));
        char bytes[4096];
        ssize_t n;
        while ((n = recv(h2_client_fd(client), bytes, sizeof bytes, 0)) > 0)
            continue;
        assert_int_equal(n, 0);
    }
    assert_true(s_stat(&fx, slow_first) >= (int)ARRAY_LEN(starts));
    s_close(&fx);
}

static void headers_that_never_end(void **state)
{
    fixture_t fx = {0};
    s_open(&fx, &(door_options_t){ .first_ms = 100, .linger_ms = 20 });
    s_assert_calls(fx.attacker);
    h2_client_frame(fx.attacker, H2_HEADERS, 0, 3, view_of("\203", 1));
    s_assert_thrown_out(&fx, CALM);
    s_close(&fx);
}

static void a_slow_body(void **state)
{
    fixture_t fx = {0};
    s_open(&fx, &(door_options_t){ .grace_ms = 50, .linger_ms = 20 });
    int32_t stream = h2_client_next(fx.attacker);
    s_headers(fx.attacker, stream, ECHO_PATH);
    h2_client_data(fx.attacker, stream, view_of("\0\0\0\0\100", 5), false);
    h2_reply_t *reply = h2_client_wait(fx.attacker, stream);
    assert_int_equal(reply->grpc_status, GRPC_DEADLINE_EXCEEDED);
    assert_string_equal(reply->text, "request body slower than 1024 bytes a second");
    assert_int_equal(s_stat(&fx, slow_body), 1);
    s_assert_calls(fx.attacker);
    s_close(&fx);
}

/* A client asks for a big answer and never opens its window. */
static void a_window_that_stays_shut(void **state)
{
    fixture_t fx = {0};
    s_open(&fx, &(door_options_t){ .stall_ms = 50, .linger_ms = 20 });
    h2_client_destroy(&fx.attacker);
    fx.attacker = h2_client_new(echo_door_port(fx.door), 100);
    int32_t stream = h2_client_start(fx.attacker, BIG_PATH, view_str("1000000"));
    h2_reply_t *reply = h2_client_wait(fx.attacker, stream);
    assert_true(reply->reset);
    assert_int_equal(reply->reset_code, CALM);
    assert_int_equal(reply->body.len, 100);
    assert_int_equal(s_stat(&fx, stalled), 1);
    s_assert_calls(fx.attacker);                /* small answers fit into what is left */
    assert_int_equal(s_stat(&fx, held_bytes), 0);
    s_close(&fx);
}

/* The windows are wide open, the socket is never read. */
static void an_answer_nobody_reads(void **state)
{
    fixture_t fx = {0};
    s_open(&fx, &(door_options_t){ .stall_ms = 50, .linger_ms = 20 });
    for (int i = 0; i < 4; i++)
        h2_client_start(fx.attacker, BIG_PATH, view_str("50000000"));
    assert_true(echo_door_wait_stat(fx.door, stalled, 1));
    s_assert_calls(fx.bystander);
    door_stats_t stats;
    for (int i = 0; i < 5000; i++) {
        door_stats(echo_door_inner(fx.door), &stats);
        if (stats.held_bytes == 0)
            break;
        echo_door_nap();
    }
    assert_int_equal(stats.held_bytes, 0);
    s_close(&fx);
}

/* --- connections ------------------------------------------------------------------------ */

static void too_many_connections_of_one_address(void **state)
{
    fixture_t fx = {0};
    s_open(&fx, &(door_options_t){ .conns_per_ip = 3, .linger_ms = 20 });
    owned(h2_client) third = h2_client_new(echo_door_port(fx.door), BIG_WINDOW);
    s_assert_calls(third);
    owned(h2_client) fourth = h2_client_new_raw(echo_door_port(fx.door));
    assert_true(h2_client_closed(fourth));
    assert_int_equal(s_stat(&fx, refused_ip), 1);
    h2_client_destroy(&third);
    for (bool served = false; !served; ) {      /* as soon as the door has seen it go */
        owned(h2_client) again = h2_client_new_raw(echo_door_port(fx.door));
        served = h2_client_write(again, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", 33) &&
                 h2_client_pump(again);
    }
    s_close(&fx);
}

static void too_many_connections_in_all(void **state)
{
    fixture_t fx = {0};
    s_open(&fx, &(door_options_t){ .conns = 2, .linger_ms = 20 });
    s_assert_calls(fx.attacker);
    owned(h2_client) third = h2_client_new_raw(echo_door_port(fx.door));
    assert_true(h2_client_closed(third));
    assert_int_equal(s_stat(&fx, refused_conns), 1);
    s_close(&fx);
}

static void garbage_is_counted_and_closed(void **state)
{
    fixture_t *fx = *state;
    rng_t rng;
    rng_seed(&rng, 7);
    log_set_level(LOG_ERROR);
    for (int i = 0; i < 200; i++) {
        uint8_t bytes[100];
        for (size_t k = 0; k < sizeof bytes; k++)
            bytes[k] = (uint8_t)rng_u64(&rng);
        bytes[0] |= 0x80;                       /* no method begins so */
        owned(h2_client) client = h2_client_new_raw(echo_door_port(fx->door));
        h2_client_write(client, bytes, sizeof bytes);
        assert_true(h2_client_closed(client));
    }
    static const char *const nearly[] = { "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n\r\n",
                                          "\x16\x03\x01\x02", "get / " };
    for (size_t i = 0; i < ARRAY_LEN(nearly); i++) {
        owned(h2_client) client = h2_client_new_raw(echo_door_port(fx->door));
        h2_client_write(client, nearly[i], strlen(nearly[i]));
        assert_true(h2_client_closed(client));
    }
    log_set_level(LOG_INFO);
    assert_int_equal(s_stat(fx, garbage), 200 + ARRAY_LEN(nearly));
}

/* Frames with random contents behind a good beginning: whatever happens, happens to them. */
static void random_frames(void **state)
{
    fixture_t *fx = *state;
    rng_t rng;
    rng_seed(&rng, 8);
    log_set_level(LOG_ERROR);
    for (int i = 0; i < 300; i++) {
        owned(h2_client) client = h2_client_new(echo_door_port(fx->door), BIG_WINDOW);
        s_headers(client, 1, i % 2 ? ECHO_PATH : HOLD_PATH);
        for (int k = 0; k < 30; k++) {
            uint8_t bytes[40];
            for (size_t b = 0; b < sizeof bytes; b++)
                bytes[b] = (uint8_t)rng_below(&rng, rng_chance(&rng, 0.5) ? 4 : 256);
            if (!h2_client_frame(client, (uint8_t)rng_below(&rng, 12), (uint8_t)rng_u64(&rng),
                                 (int32_t)rng_below(&rng, 6), view_of(bytes, rng_below(&rng, 40))))
                break;
        }
        if (i % 20 == 0)
            s_assert_calls(fx->bystander);
    }
    log_set_level(LOG_INFO);
}

/* --- life signs ------------------------------------------------------------------------- */

static void a_peer_that_answers_pings_stays(void **state)
{
    fixture_t fx = {0};
    s_open(&fx, &(door_options_t){ .ping_idle_ms = 50, .ping_wait_ms = 200, .linger_ms = 20 });
    while (h2_client_pings(fx.attacker) < 3) {
        int before = h2_client_pings(fx.attacker);
        assert_true(h2_client_pump(fx.attacker));
        if (h2_client_pings(fx.attacker) > before)
            h2_client_frame(fx.attacker, H2_PING, H2_ACK, 0, view_of("\0\0\0\0\0\0\0\0", 8));
    }
    s_assert_calls(fx.attacker);
    h2_client_destroy(&fx.bystander);           /* it did not answer */
    s_close(&fx);
}

static void a_peer_that_does_not_is_let_go(void **state)
{
    fixture_t fx = {0};
    s_open(&fx, &(door_options_t){ .ping_idle_ms = 50, .ping_wait_ms = 50, .linger_ms = 20 });
    assert_true(h2_client_closed(fx.attacker));
    assert_true(s_stat(&fx, dead_peer) >= 1);
    h2_client_destroy(&fx.bystander);           /* it was silent, too */
    s_close(&fx);
}

static void client_pings_are_answered(void **state)
{
    fixture_t *fx = *state;
    for (int i = 0; i < 100; i++)
        h2_client_frame(fx->attacker, H2_PING, 0, 0, view_of("12345678", 8));
    s_assert_calls(fx->attacker);
    assert_int_equal(h2_client_acks(fx->attacker), 100);
}

/* grpc-go sends one at every answer, to measure the bandwidth: that is no flood. */
static void pings_along_with_calls_are_fine(void **state)
{
    fixture_t *fx = *state;
    for (int i = 0; i < 2 * CONTROL_FRAMES; i++) {
        h2_client_frame(fx->attacker, H2_PING, 0, 0, view_of("12345678", 8));
        h2_client_frame(fx->attacker, H2_WINDOW_UPDATE, 0, 0, view_of("\0\0\0\1", 4));
        s_assert_calls(fx->attacker);
    }
    assert_int_equal(s_stat(fx, flood_control), 0);
}

/* Nobody knocks: the loop must not turn.  With a client, only what is due turns it. */
static void an_idle_door_sleeps(void **state)
{
    fixture_t fx = {0};
    s_open(&fx, NULL);
    h2_client_destroy(&fx.attacker);
    assert_true(echo_door_wait_stat(fx.door, turns, 1));
    s_assert_calls(fx.bystander);
    h2_client_destroy(&fx.bystander);
    door_stats_t stats;
    do {
        echo_door_nap();
        door_stats(echo_door_inner(fx.door), &stats);
    } while (stats.open_conns > 0);
    uint64_t turns = stats.turns;
    for (int i = 0; i < 100; i++)
        echo_door_nap();
    door_stats(echo_door_inner(fx.door), &stats);
    assert_true(stats.turns <= turns + 1);
    s_close(&fx);
}

#define T(f) cmocka_unit_test_setup_teardown(f, up, down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(rapid_resets),
        T(provoked_resets),
        T(a_ping_flood),
        T(a_settings_flood),
        T(a_priority_flood),
        T(a_flood_of_unknown_frames),
        cmocka_unit_test_setup_teardown(a_window_update_flood, up_narrow, down),
        T(a_flood_of_empty_data),
        cmocka_unit_test(pings_whose_answers_nobody_reads),
        T(a_continuation_flood),
        T(more_streams_than_allowed),
        cmocka_unit_test(cancelled_calls_count_until_they_are_done),
        cmocka_unit_test(too_many_requests_in_all),
        T(a_header_list_over_the_limit),
        T(an_hpack_bomb),
        cmocka_unit_test(a_silent_connection),
        cmocka_unit_test(headers_that_never_end),
        cmocka_unit_test(a_slow_body),
        cmocka_unit_test(a_window_that_stays_shut),
        cmocka_unit_test(an_answer_nobody_reads),
        cmocka_unit_test(too_many_connections_of_one_address),
        cmocka_unit_test(too_many_connections_in_all),
        T(garbage_is_counted_and_closed),
        T(random_frames),
        cmocka_unit_test(a_peer_that_answers_pings_stays),
        cmocka_unit_test(a_peer_that_does_not_is_let_go),
        T(client_pings_are_answered),
        cmocka_unit_test_setup_teardown(pings_along_with_calls_are_fine, up_narrow, down),
        cmocka_unit_test(an_idle_door_sleeps),
    };
    return cmocka_run_group_tests_name("door_floods", tests, NULL, NULL);
}
