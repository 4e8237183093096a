/* net: calls and their answers, each done once and each ended once, over inproc
 * and TCP, with links that are cut under them, and with every limit reached. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <zmq.h>

#include "core/base/clock.h"
#include "core/base/fault.h"
#include "core/base/rng.h"
#include "core/base/tsan.h"
#include "tests/support/net_world.h"

static const char TCP[] = "tcp://127.0.0.1:*";
static const char INPROC[] = "inproc://coord";

static void s_answer(world_t *world, int i, net_event_t *call, const char *payload)
{
    assert_int_equal(call->kind, NET_CALL);
    net_reply(world->side[i].net, call->from, OK, "", view_str(payload));
    net_free(call);
}

static void s_check_payload(net_event_t *event, const char *payload)
{
    assert_true(view_eq(event->payload, view_str(payload)));
    net_free(event);
}

static void s_call_and_answer(world_t *world, const char *listen)
{
    net_t *coord = world_open(world, 0, (net_options_t){ .listen = listen });
    net_t *node = world_open(world, 1, (net_options_t){ .listen = NULL });
    const char *at = net_endpoint(coord);
    assert_int_equal(net_dial(node, at, 1), OK);

    uint64_t id;
    net_call_t ask = { .method = 42, .payload = view_str("why?"), .timeout_ms = 5000,
                       .epoch = 9, .trace = 77 };
    assert_int_equal(net_call(node, at, &ask, &id), OK);
    net_event_t call = world_until(world, 0, NET_CALL, 0);
    assert_int_equal(call.method, 42);
    assert_int_equal(call.epoch, 9);
    assert_int_equal(call.trace, 77);
    assert_int_equal(call.peer.node_id, 2);
    assert_string_equal(call.peer.role, "datanode");
    int64_t left = call.deadline_ms - clock_mono_ms();
    assert_true(left > 3000 && left <= 5000);
    assert_true(view_eq(call.payload, view_str("why?")));
    s_answer(world, 0, &call, "because");
    net_event_t reply = world_reply(world, 1, id);
    assert_int_equal(reply.err, OK);
    assert_string_equal(reply.text, "");
    assert_int_equal(reply.trace, 77);
    assert_int_equal(reply.peer.node_id, 1);
    s_check_payload(&reply, "because");

    id = world_call(world, 1, at, "");                  /* no payload, and an error for an answer */
    call = world_until(world, 0, NET_CALL, 0);
    assert_int_equal(call.payload.len, 0);
    net_reply(coord, call.from, ERR_MOVED, "to node 5", view_str(""));
    reply = world_reply(world, 1, id);
    assert_int_equal(reply.err, ERR_MOVED);
    assert_string_equal(reply.text, "to node 5");
    net_free(&reply);
}

static void calls_are_answered_inproc(void **state) { s_call_and_answer(*state, INPROC); }
static void calls_are_answered_over_tcp(void **state) { s_call_and_answer(*state, TCP); }

static void s_count_release(void *payload, void *hint)
{
    tsan_acquire(payload);
    mem_free(payload);
    atomic_fetch_add((_Atomic int *)hint, 1);
}

/* Lent both ways and many megabytes: arrives whole, given back exactly once each. */
static void large_payloads_are_lent(void **state)
{
    enum { BYTES = 9 << 20 };
    world_t *world = *state;
    _Atomic int released = 0;
    net_t *coord = world_open(world, 0, (net_options_t){ .listen = TCP });
    net_t *node = world_open(world, 1, (net_options_t){0});
    const char *at = net_endpoint(coord);
    assert_int_equal(net_dial(node, at, 0), OK);
    uint8_t *there = mem_new(BYTES), *back = mem_new(BYTES);
    memset(there, 'a', BYTES);
    memset(back, 'b', BYTES);
    net_call_t ask = { .method = 1, .payload = view_of(there, BYTES), .timeout_ms = 9000,
                       .release = s_count_release, .release_hint = &released };
    uint64_t id;
    assert_int_equal(net_call(node, at, &ask, &id), OK);
    net_event_t call = world_until(world, 0, NET_CALL, 0);
    assert_int_equal(call.payload.len, BYTES);
    assert_int_equal(call.payload.ptr[BYTES - 1], 'a');
    net_reply_lent(coord, call.from, view_of(back, BYTES), s_count_release, &released);
    net_free(&call);
    net_event_t reply = world_reply(world, 1, id);
    assert_int_equal(reply.payload.len, BYTES);
    assert_int_equal(reply.payload.ptr[0], 'b');
    net_free(&reply);
    net_reply_lent(coord, (net_from_t){ .link = 99, .request_id = 1 }, view_of(mem_new(8), 8),
                   s_count_release, &released);          /* nobody there: given back at once */
    world_close(world, 0);
    world_close(world, 1);
    assert_int_equal(released, 3);
}

/* Dialling comes first in half of all starts. */
static void calls_wait_for_the_listener(void **state)
{
    world_t *world = *state;
    world_open(world, 0, (net_options_t){ .listen = TCP, .heartbeat_ms = 20 });
    const char *at = ctx_strdup(&world->ctx, net_endpoint(world->side[0].net));
    world_close(world, 0);
    net_t *node = world_open(world, 1, (net_options_t){ .heartbeat_ms = 20 });
    assert_int_equal(net_dial(node, at, 0), OK);
    uint64_t in_vain = world_call(world, 1, at, "for five heartbeats");
    net_event_t gone = world_peer(world, 1, NET_SUSPECT);
    net_free(&gone);
    net_event_t end = world_reply(world, 1, in_vain);
    assert_int_equal(end.err, ERR_NETWORK);
    net_free(&end);
    world_close(world, 1);

    node = world_open(world, 1, (net_options_t){ .heartbeat_ms = 2000 });
    assert_int_equal(net_dial(node, at, 0), OK);
    assert_int_equal(net_dial(node, INPROC, 0), OK);
    uint64_t by_tcp = world_call(world, 1, at, "tcp");
    uint64_t by_name = world_call(world, 1, INPROC, "inproc");
    world_open(world, 0, (net_options_t){ .listen = at, .heartbeat_ms = 2000 });
    world_open(world, 2, (net_options_t){ .listen = INPROC, .role = "coord" });
    net_event_t call = world_until(world, 0, NET_CALL, 0);
    s_answer(world, 0, &call, "one");
    call = world_until(world, 2, NET_CALL, 0);
    s_answer(world, 2, &call, "two");
    net_event_t reply = world_reply(world, 1, by_tcp);
    s_check_payload(&reply, "one");
    reply = world_reply(world, 1, by_name);
    s_check_payload(&reply, "two");
}

static void deadlines_tell_unsent_from_unanswered(void **state)
{
    world_t *world = *state;
    net_t *coord = world_open(world, 0, (net_options_t){ .listen = TCP });
    net_t *node = world_open(world, 1, (net_options_t){0});
    const char *at = net_endpoint(coord);
    net_call_t ask = { .method = 1, .timeout_ms = 30 };
    uint64_t id;
    assert_int_equal(net_call(node, at, &ask, &id), ERR_NETWORK);       /* never dialled */
    assert_int_equal(net_dial(node, at, 0), OK);
    assert_int_equal(net_dial(node, "tcp://127.0.0.1:1", 0), OK);
    assert_int_equal(net_dial(node, "carrier-pigeon://1", 0), ERR_PARAM_INVALID);
    world_peer(world, 1, NET_UP);
    assert_int_equal(net_call(node, at, &ask, &id), OK);
    net_event_t reply = world_reply(world, 1, id);
    assert_int_equal(reply.err, ERR_TIMEOUT);
    net_free(&reply);
    assert_int_equal(net_call(node, "tcp://127.0.0.1:1", &ask, &id), OK);
    reply = world_reply(world, 1, id);
    assert_int_equal(reply.err, ERR_NETWORK);
    assert_non_null(strstr(reply.text, "tcp://127.0.0.1:1"));
    net_free(&reply);
    net_event_t call = world_until(world, 0, NET_CALL, 0);
    s_answer(world, 0, &call, "late");                  /* after the deadline: dropped */
    id = world_call(world, 1, at, "next");
    call = world_until(world, 0, NET_CALL, 0);
    s_answer(world, 0, &call, "in time");
    reply = world_reply(world, 1, id);
    s_check_payload(&reply, "in time");
    assert_false(world_has(world, 1, NET_REPLY, 0));
}

static void cancelling_ends_the_call_and_tells_the_peer(void **state)
{
    world_t *world = *state;
    net_t *coord = world_open(world, 0, (net_options_t){ .listen = INPROC });
    net_t *node = world_open(world, 1, (net_options_t){0});
    assert_int_equal(net_dial(node, INPROC, 0), OK);
    uint64_t id = world_call(world, 1, INPROC, "long work");
    net_event_t call = world_until(world, 0, NET_CALL, 0);
    net_cancel(node, id);
    net_cancel(node, id);                               /* twice is once */
    net_cancel(node, id + 1);                           /* never heard of */
    net_event_t reply = world_reply(world, 1, id);
    assert_int_equal(reply.err, ERR_CANCELED);
    net_free(&reply);
    net_event_t cancelled = world_until(world, 0, NET_CANCELLED, 0);
    assert_int_equal(cancelled.from.request_id, call.from.request_id);
    assert_int_equal(cancelled.from.link, call.from.link);
    s_answer(world, 0, &call, "too late");
    net_stats_t stats;
    net_stats(coord, &stats);
    assert_int_equal(stats.in_flight, 0);
}

/* --- threads --- */

/* A node in a thread of its own, as in standalone: answers each call with its payload
 * until it gets an empty one. */
static void *s_echo(void *arg)
{
    net_t *net = arg;
    for (bool stop = false; !stop; ) {
        net_event_t events[16];
        size_t n = net_poll(net, -1, events, ARRAY_LEN(events));
        for (size_t i = 0; i < n; i++) {
            if (events[i].kind == NET_CALL) {
                stop = events[i].payload.len == 0;
                net_reply(net, events[i].from, OK, "", events[i].payload);
            }
            net_free(&events[i]);
        }
    }
    net_destroy(&net);
    return NULL;
}

static void s_threads(world_t *world, const char *listen)
{
    enum { NODES = 3, CALLS = 2000 };
    pthread_t thread[NODES];
    const char *at[NODES];
    net_t *proxy = world_open(world, 3, (net_options_t){0});
    for (int i = 0; i < NODES; i++) {
        net_options_t options = { .listen = ctx_printf(&world->ctx, listen, i) };
        net_t *node = world_open(world, i, options);
        at[i] = ctx_strdup(&world->ctx, net_endpoint(node));
        world->side[i].net = NULL;                      /* it is the thread's now */
        assert_int_equal(pthread_create(&thread[i], NULL, s_echo, node), 0);
        assert_int_equal(net_dial(proxy, at[i], 0), OK);
    }
    _Atomic int released = 0;
    for (int i = 0; i < CALLS; i++) {                   /* some fit into a message, most do not */
        size_t len = 1 + (size_t)i * 7 % 5000;
        uint8_t *bytes = mem_new(len);
        memset(bytes, i, len);
        net_call_t ask = { .payload = view_of(bytes, len), .timeout_ms = 10000,
                           .release = s_count_release, .release_hint = &released };
        uint64_t id;
        assert_int_equal(net_call(proxy, at[i % NODES], &ask, &id), OK);
        net_event_t reply = world_reply(world, 3, id);
        assert_int_equal(reply.payload.len, len);
        for (size_t k = 0; k < len; k++)
            assert_true(reply.payload.ptr[k] == (uint8_t)i);
        net_free(&reply);
    }
    for (int i = 0; i < NODES; i++) {
        uint64_t id = world_call(world, 3, at[i], "");
        net_event_t reply = world_reply(world, 3, id);
        net_free(&reply);
        pthread_join(thread[i], NULL);
        net_event_t gone = world_peer(world, 3, NET_GONE);
        net_free(&gone);
    }
    world_close(world, 3);
    assert_int_equal(released, CALLS);
}

static void threads_talk_inproc(void **state) { s_threads(*state, "inproc://node-%d"); }
static void threads_talk_over_tcp(void **state) { s_threads(*state, "tcp://127.0.0.1:*"); }

/* --- done once --- */

static void s_raw_call(raw_t *raw, uint64_t id, const char *payload)
{
    envelope_t call = { .type = ENVELOPE_CALL, .kind = 7, .request_id = id, .deadline_ms = 60000 };
    raw_send(raw, &call, payload);
}

static void repeats_are_answered_not_repeated(void **state)
{
    world_t *world = *state;
    net_t *coord = world_open(world, 0, (net_options_t){ .listen = TCP });
    raw_t raw = raw_open(ZMQ_DEALER, net_endpoint(coord));
    raw_hello(world, &raw, 5, 55);
    s_raw_call(&raw, 101, "once");
    s_raw_call(&raw, 101, "once");
    net_event_t call = world_until(world, 0, NET_CALL, 0);
    raw_close(&raw);                                    /* the link breaks while it works on it */
    net_event_t gone = world_peer(world, 0, NET_SUSPECT);
    net_free(&gone);

    raw = raw_open(ZMQ_DEALER, net_endpoint(coord));
    raw_hello(world, &raw, 5, 55);
    s_raw_call(&raw, 101, "once");                      /* and is asked again on the new one */
    s_raw_call(&raw, 102, "marker");
    net_event_t marker = world_until(world, 0, NET_CALL, 0);
    assert_int_equal(marker.from.request_id, 102);      /* so the repeats were not handed out */
    s_answer(world, 0, &call, "done");
    envelope_t reply = raw_until(world, &raw, ENVELOPE_REPLY);
    assert_int_equal(reply.request_id, 101);            /* on the new link */
    s_raw_call(&raw, 101, "once");
    reply = raw_until(world, &raw, ENVELOPE_REPLY);
    assert_int_equal(reply.request_id, 101);            /* the kept answer */
    assert_false(world_has(world, 0, NET_CALL, 0));
    net_stats_t stats;
    net_stats(coord, &stats);
    assert_int_equal(stats.calls_in, 2);
    assert_int_equal(stats.repeats_in, 3);
    net_free(&marker);

    raw_t other = raw_open(ZMQ_DEALER, net_endpoint(coord));
    raw_hello(world, &other, 5, 56);                    /* another incarnation: another 101 */
    s_raw_call(&other, 101, "mine");
    call = world_until(world, 0, NET_CALL, 0);
    assert_int_equal(call.peer.incarnation, 56);
    net_free(&call);
    raw_close(&raw);
    raw_close(&other);
}

/* More answers than are kept: an old repeat is told so, never done again. */
static void forgotten_answers_are_outcome_unknown(void **state)
{
    world_t *world = *state;
    net_t *coord = world_open(world, 0, (net_options_t){ .listen = TCP });
    raw_t raw = raw_open(ZMQ_DEALER, net_endpoint(coord));
    raw_hello(world, &raw, 5, 55);
    for (uint64_t id = 1; id <= LIMIT_NET_DEDUP + 2; id++) {
        s_raw_call(&raw, id, NULL);
        if (id % 512 != 0 && id < LIMIT_NET_DEDUP)
            continue;
        for (net_stats_t stats = {0}; stats.calls_in < id; net_stats(coord, &stats)) {
            net_event_t call = world_until(world, 0, NET_CALL, 0);
            s_answer(world, 0, &call, "");
        }
        while (world_has(world, 0, NET_CALL, 0)) {
            net_event_t call = world_until(world, 0, NET_CALL, 0);
            s_answer(world, 0, &call, "");
        }
        while (raw_until(world, &raw, ENVELOPE_REPLY).request_id != id)
            continue;
    }
    s_raw_call(&raw, 3, NULL);
    assert_int_equal(raw_until(world, &raw, ENVELOPE_REPLY).error, OK);
    s_raw_call(&raw, 2, NULL);
    assert_int_equal(raw_until(world, &raw, ENVELOPE_REPLY).error, ERR_OUTCOME_UNKNOWN);
    assert_false(world_has(world, 0, NET_CALL, 0));
    raw_close(&raw);
}

static void large_answers_are_not_kept_for_ever(void **state)
{
    enum { BYTES = LIMIT_NET_DEDUP_BYTES / 2 + 1 };
    world_t *world = *state;
    net_t *coord = world_open(world, 0, (net_options_t){ .listen = TCP });
    raw_t raw = raw_open(ZMQ_DEALER, net_endpoint(coord));
    raw_hello(world, &raw, 5, 55);
    uint8_t *big = mem_new(BYTES);
    for (uint64_t id = 1; id <= 2; id++) {
        s_raw_call(&raw, id, NULL);
        net_event_t call = world_until(world, 0, NET_CALL, 0);
        net_reply(coord, call.from, OK, "", view_of(big, BYTES));
        assert_int_equal(raw_until(world, &raw, ENVELOPE_REPLY).request_id, id);
    }
    s_raw_call(&raw, 2, NULL);
    assert_int_equal(raw_until(world, &raw, ENVELOPE_REPLY).error, OK);
    s_raw_call(&raw, 1, NULL);
    assert_int_equal(raw_until(world, &raw, ENVELOPE_REPLY).error, ERR_OUTCOME_UNKNOWN);
    mem_free(big);
    raw_close(&raw);
}

/* --- full --- */

static void too_many_calls_in_flight_are_refused(void **state)
{
    world_t *world = *state;
    net_t *coord = world_open(world, 0, (net_options_t){ .listen = TCP });
    raw_t raw = raw_open(ZMQ_DEALER, net_endpoint(coord));
    raw_hello(world, &raw, 5, 55);
    for (uint64_t id = 1; id <= LIMIT_NET_IN_FLIGHT; id++)
        s_raw_call(&raw, id, NULL);
    s_raw_call(&raw, 9999, NULL);
    envelope_t reply = raw_until(world, &raw, ENVELOPE_REPLY);
    assert_int_equal(reply.request_id, 9999);
    assert_int_equal(reply.error, ERR_QUEUE_FULL);
    net_event_t call = world_until(world, 0, NET_CALL, 0);
    s_answer(world, 0, &call, "");
    s_raw_call(&raw, 9999, "again");                    /* there is room now, and it was not done */
    raw_until(world, &raw, ENVELOPE_REPLY);
    world_step(world);
    net_stats_t stats;
    net_stats(coord, &stats);
    assert_int_equal(stats.in_flight, LIMIT_NET_IN_FLIGHT);
    assert_int_equal(stats.full, 1);
    raw_close(&raw);
}

static void too_many_open_calls_are_refused(void **state)
{
    world_t *world = *state;
    net_t *node = world_open(world, 1, (net_options_t){0});
    const char *names[] = { "inproc://a", "inproc://b", "inproc://c", "inproc://d", "inproc://e" };
    net_call_t ask = { .method = 1, .timeout_ms = 50 };
    uint64_t id;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        assert_int_equal(net_dial(node, names[i], 0), OK);
    for (size_t i = 0; i < LIMIT_NET_HWM; i++)          /* one that is not there: its share */
        assert_int_equal(net_call(node, names[0], &ask, &id), OK);
    assert_int_equal(net_call(node, names[0], &ask, &id), ERR_QUEUE_FULL);
    for (size_t i = LIMIT_NET_HWM; i < LIMIT_NET_CALLS; i++)
        assert_int_equal(net_call(node, names[i / LIMIT_NET_HWM], &ask, &id), OK);
    assert_int_equal(net_call(node, names[4], &ask, &id), ERR_QUEUE_FULL);
    for (size_t i = 0; i < LIMIT_NET_CALLS; i++) {
        net_event_t events[1];
        assert_int_equal(net_poll(node, 10000, events, 1), 1);
        assert_int_equal(events[0].err, ERR_NETWORK);
        net_free(&events[0]);
    }
    assert_int_equal(net_call(node, names[4], &ask, &id), OK);
}

static void what_fits_no_message_is_refused(void **state)
{
    world_t *world = *state;
    net_t *coord = world_open(world, 0, (net_options_t){ .listen = INPROC });
    net_t *node = world_open(world, 1, (net_options_t){0});
    view_t huge = { .ptr = NULL, .len = LIMIT_NET_MESSAGE_BYTES + 1 };     /* never looked at */
    assert_int_equal(net_dial(node, INPROC, 0), OK);
    net_call_t ask = { .payload = huge, .timeout_ms = 1000 };
    uint64_t id;
    assert_int_equal(net_call(node, INPROC, &ask, &id), ERR_PARAM_TOO_LARGE);
    id = world_call(world, 1, INPROC, "x");
    net_event_t call = world_until(world, 0, NET_CALL, 0);
    net_reply(coord, call.from, OK, "", huge);
    net_free(&call);
    net_event_t reply = world_reply(world, 1, id);
    assert_int_equal(reply.err, ERR_PARAM_TOO_LARGE);
    net_free(&reply);
}

/* A peer that does not read: the socket fills, later answers wait and arrive. */
static void answers_wait_for_a_slow_reader(void **state)
{
    enum { CALLS = 3000 };
    world_t *world = *state;
    net_t *coord = world_open(world, 0, (net_options_t){ .listen = "inproc://slow" });
    net_t *node = world_open(world, 1, (net_options_t){0});
    assert_int_equal(net_dial(node, "inproc://slow", 0), OK);
    world_peer(world, 1, NET_UP);
    uint64_t sum = 0, got = 0;
    net_stats_t stats;
    for (int round = 0; round < 4; round++) {           /* 12000 answers, 8192 fit the pipe */
        for (int i = 0; i < CALLS; i++)
            sum += world_call(world, 1, "inproc://slow", "x");
        net_event_t events[64];
        for (int n = 0; n < CALLS; ) {
            size_t some = net_poll(coord, 10, events, ARRAY_LEN(events));
            for (size_t k = 0; k < some; k++) {
                if (events[k].kind != NET_CALL)
                    continue;
                s_answer(world, 0, &events[k], "y");
                n++;
            }
        }
    }
    net_stats(coord, &stats);
    assert_true(stats.full > 0);
    for (int n = 0; n < 4 * CALLS; n++) {
        net_event_t reply = world_until(world, 1, NET_REPLY, 0);
        assert_int_equal(reply.err, OK);
        got += reply.call_id;
        net_free(&reply);
    }
    assert_true(sum == got);
}

/* --- anything goes wrong, at any time --- */

static int s_which(const uint64_t *ids, int n, uint64_t id)
{
    for (int i = 0; i < n; i++)
        if (ids[i] == id)
            return i;
    fail_msg("an answer to what was not asked");
    return 0;
}

/* 2000 calls through a wire that is cut every so often, sometimes while it is mended: each
 * ends once and is done at most once, what ended well was done, and what is said to be not
 * done was not. */
static void cut_links_lose_and_repeat_nothing(void **state)
{
    enum { CALLS = 2000 };
    world_t *world = *state;
    rng_t rng;
    rng_seed(&rng, 4);
    net_t *coord = world_open(world, 0, (net_options_t){ .listen = TCP, .heartbeat_ms = 20 });
    net_t *node = world_open(world, 1, (net_options_t){ .heartbeat_ms = 20 });
    const char *at = world_relay(world, net_endpoint(coord));
    assert_int_equal(net_dial(node, at, 1), OK);
    uint8_t *seen = mem_new(CALLS), *answered = mem_new(CALLS);
    uint64_t *ids = mem_new(CALLS * sizeof *ids);
    int asked = 0, n_answered = 0, n_good = 0;
    int64_t until = clock_mono_ms() + 30000;
    while (n_answered < CALLS) {
        assert_true(clock_mono_ms() < until);
        for (int burst = (int)rng_below(&rng, 60); burst > 0 && asked < CALLS; burst--, asked++) {
            net_call_t ask = { .method = 1, .payload = view_of(&asked, sizeof asked),
                               .timeout_ms = 20000 };
            assert_int_equal(net_call(node, at, &ask, &ids[asked]), OK);
        }
        world_step(world);
        if (rng_chance(&rng, 0.15))
            world_cut(world);
        while (world_has(world, 0, NET_CALL, 0)) {
            net_event_t call = world_until(world, 0, NET_CALL, 0);
            int which = (int)load_u32(call.payload.ptr);
            assert_int_equal(seen[which]++, 0);
            assert_int_not_equal(answered[which], ERR_NETWORK);
            net_reply(coord, call.from, OK, "", call.payload);
            net_free(&call);
        }
        while (world_has(world, 1, NET_REPLY, 0)) {
            net_event_t reply = world_until(world, 1, NET_REPLY, 0);
            int which = s_which(ids, asked, reply.call_id);
            assert_int_equal(answered[which], 0);
            assert_true(reply.err == OK || reply.err == ERR_NETWORK ||
                        reply.err == ERR_OUTCOME_UNKNOWN);
            assert_true(reply.err != ERR_NETWORK || !seen[which]);
            assert_true(reply.err != OK || load_u32(reply.payload.ptr) == (uint32_t)which);
            answered[which] = reply.err == OK ? UINT8_MAX : (uint8_t)reply.err;
            n_good += reply.err == OK;
            n_answered++;
            net_free(&reply);
        }
    }
    net_stats_t stats;
    net_stats(node, &stats);
    assert_true(stats.resent > 0);
    assert_true(n_good > 0);
    assert_int_equal(stats.open_calls, 0);
    mem_free(ids);
    mem_free(seen);
    mem_free(answered);
}

/* Fail the first, second, third ... thing that can fail from opening to the answer. */
static void every_fault_is_reported(void **state)
{
    world_t *world = *state;
    int nth = 0;
    for (bool fired = true; fired; nth++) {
        net_t *a = NULL, *b = NULL;
        net_options_t options = { .listen = TCP, .cluster = "c", .role = "coord", .node_id = 1 };
        uint64_t id;
        fault_arm(nth);
        err_t err = net_open(&world->ctx, &options, &a);
        if (err == OK)
            err = net_open(&world->ctx, &(net_options_t){ .cluster = "c", .role = "proxy" }, &b);
        if (err == OK)
            err = net_dial(b, net_endpoint(a), 0);
        if (err == OK)
            err = net_call(b, net_endpoint(a), &(net_call_t){ .timeout_ms = 100 }, &id);
        fired = fault_disarm();
        assert_int_equal(fired, err != OK);
        assert_true(err == OK || err == ERR_NETWORK || err == ERR_MEMORY);
        net_destroy(&b);
        net_destroy(&a);
    }
    assert_true(nth > 8);
}

/* An answer that finds no memory is an answer that says so. */
static void answers_without_memory_are_errors(void **state)
{
    world_t *world = *state;
    net_t *coord = world_open(world, 0, (net_options_t){ .listen = INPROC });
    net_t *node = world_open(world, 1, (net_options_t){0});
    assert_int_equal(net_dial(node, INPROC, 0), OK);
    for (int lent = 0; lent < 2; lent++) {
        _Atomic int released = 0;
        uint64_t id = world_call(world, 1, INPROC, "x");
        net_event_t call = world_until(world, 0, NET_CALL, 0);
        fault_arm(0);
        if (lent)
            net_reply_lent(coord, call.from, view_of(mem_new(9), 9), s_count_release, &released);
        else
            net_reply(coord, call.from, OK, "", view_str("payload"));
        assert_true(fault_disarm());
        net_free(&call);
        net_event_t reply = world_reply(world, 1, id);
        assert_int_equal(reply.err, ERR_MEMORY);
        net_free(&reply);
        assert_int_equal(released, lent);
    }
}

#define T(f) cmocka_unit_test_setup_teardown(f, world_up, world_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(calls_are_answered_inproc),
        T(calls_are_answered_over_tcp),
        T(large_payloads_are_lent),
        T(calls_wait_for_the_listener),
        T(deadlines_tell_unsent_from_unanswered),
        T(cancelling_ends_the_call_and_tells_the_peer),
        T(threads_talk_inproc),
        T(threads_talk_over_tcp),
        T(repeats_are_answered_not_repeated),
        T(forgotten_answers_are_outcome_unknown),
        T(large_answers_are_not_kept_for_ever),
        T(too_many_calls_in_flight_are_refused),
        T(too_many_open_calls_are_refused),
        T(what_fits_no_message_is_refused),
        T(answers_wait_for_a_slow_reader),
        T(cut_links_lose_and_repeat_nothing),
        T(every_fault_is_reported),
        T(answers_without_memory_are_errors),
    };
    return cmocka_run_group_tests_name("net", tests, NULL, NULL);
}
