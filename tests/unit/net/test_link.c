/* link: how links between nodes come up, fall silent, break, are refused and end,
 * and what strangers on the port can and cannot do. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zmq.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/rng.h"
#include "tests/support/net_world.h"

static const char TCP[] = "tcp://127.0.0.1:*";

/* A coordinator as side 0, a node that dials it through the relay as side 1, both up. */
static const char *s_pair(world_t *world, int64_t beat_ms)
{
    net_t *coord = world_open(world, 0, (net_options_t){ .listen = TCP, .heartbeat_ms = beat_ms });
    net_t *node = world_open(world, 1, (net_options_t){ .heartbeat_ms = beat_ms });
    const char *at = world_relay(world, net_endpoint(coord));
    assert_int_equal(net_dial(node, at, 1), OK);
    net_event_t up = world_peer(world, 1, NET_UP);
    assert_true(up.dialled);
    assert_int_equal(up.peer.node_id, 1);
    assert_string_equal(up.peer.role, "coord");
    assert_string_equal(up.peer.endpoint, at);
    up = world_peer(world, 0, NET_UP);
    assert_false(up.dialled);
    assert_int_equal(up.peer.incarnation, 1001);
    assert_string_equal(up.peer.endpoint, "");
    return at;
}

/* Side 1's call ends so. */
static void s_ends(world_t *world, uint64_t id, err_t err)
{
    net_event_t reply = world_reply(world, 1, id);
    assert_int_equal(reply.err, err);
    assert_true(err == OK || reply.text[0]);
    net_free(&reply);
}

/* Wait for the event, of which nothing else is of interest. */
static void s_drop(world_t *world, int i, net_peer_state_t state)
{
    net_event_t event = world_peer(world, i, state);
    net_free(&event);
}

static void a_closed_socket_is_noticed_at_once(void **state)
{
    world_t *world = *state;
    s_pair(world, 10000);                               /* so no ping can be missed here */
    world->relay.refuses = true;
    world_cut(world);
    for (int i = 0; i < 2; i++) {
        net_event_t suspect = world_peer(world, i, NET_SUSPECT);
        assert_string_equal(suspect.text, "connection closed");
        net_free(&suspect);
    }
    net_stats_t stats;
    net_stats(world->side[0].net, &stats);
    assert_int_equal(stats.links, 0);
}

static void a_link_is_made_again(void **state)
{
    world_t *world = *state;
    s_pair(world, 20);
    for (int i = 0; i < 5; i++) {
        world_cut(world);
        s_drop(world, 1, NET_SUSPECT);
        world_peer(world, 1, NET_UP);
        world_peer(world, 0, NET_UP);
    }
    net_stats_t stats;
    net_stats(world->side[0].net, &stats);
    assert_int_equal(stats.links, 1);
}

/* The connection stays and carries nothing: suspected by both, and forgiven.  Calls do not
 * wait for that: whoever made them goes elsewhere, and the other side need not bother. */
static void silence_is_suspect_and_forgiven(void **state)
{
    world_t *world = *state;
    const char *at = s_pair(world, 20);
    world->relay.frozen = true;
    uint64_t id = world_call(world, 1, at, "held up");
    s_drop(world, 1, NET_SUSPECT);
    s_drop(world, 0, NET_SUSPECT);
    s_ends(world, id, ERR_OUTCOME_UNKNOWN);
    s_ends(world, world_call(world, 1, at, "not sent while it lasts"), ERR_NETWORK);
    world->relay.frozen = false;
    world_peer(world, 1, NET_UP);
    world_peer(world, 0, NET_UP);
    net_event_t call = world_until(world, 0, NET_CALL, 0);
    assert_true(view_eq(call.payload, view_str("held up")));
    world_until(world, 0, NET_CANCELLED, 0);
    net_reply(world->side[0].net, call.from, ERR_CANCELED, "", (view_t){0});
    net_free(&call);
    id = world_call(world, 1, at, "again");
    call = world_until(world, 0, NET_CALL, 0);
    assert_true(view_eq(call.payload, view_str("again")));
    net_reply(world->side[0].net, call.from, OK, "", call.payload);
    net_free(&call);
    s_ends(world, id, OK);
}

/* A link that breaks as soon as it is made is not dialled at once, others are. */
static void s_let_it_last(world_t *world)
{
    for (int64_t until = clock_mono_ms() + 150; clock_mono_ms() < until; )
        world_step(world);
}

/* Killed: its host says so when it is dialled again, and calls end right then. */
static void calls_to_a_dead_peer_end_at_once(void **state)
{
    world_t *world = *state;
    const char *at = s_pair(world, 10000);              /* no tick helps */
    s_let_it_last(world);
    uint64_t id = world_call(world, 1, at, "work");
    net_event_t call = world_until(world, 0, NET_CALL, 0);
    net_free(&call);
    world->relay.refuses = true;
    world_cut(world);
    s_drop(world, 1, NET_SUSPECT);
    s_ends(world, id, ERR_OUTCOME_UNKNOWN);
}

/* Only the connection broke: the call goes on as if nothing had been. */
static void calls_survive_a_broken_connection(void **state)
{
    world_t *world = *state;
    const char *at = s_pair(world, 10000);
    s_let_it_last(world);
    uint64_t id = world_call(world, 1, at, "work");
    net_event_t call = world_until(world, 0, NET_CALL, 0);
    world_cut(world);
    s_drop(world, 1, NET_SUSPECT);
    world_peer(world, 1, NET_UP);
    net_reply(world->side[0].net, call.from, OK, "", call.payload);
    net_free(&call);
    s_ends(world, id, OK);
}

/* Long silence: the dialler tries a new connection, the listener forgets, stops the
 * work, and both find each other again when the wire works. */
static void a_dead_wire_is_given_up(void **state)
{
    world_t *world = *state;
    const char *at = s_pair(world, 5);
    uint64_t id = world_call(world, 1, at, "work");
    net_event_t call = world_until(world, 0, NET_CALL, 0);
    world->relay.frozen = true;
    net_event_t gone = world_peer(world, 0, NET_GONE);
    assert_int_equal(gone.peer.node_id, 2);
    net_free(&gone);
    world_until(world, 0, NET_CANCELLED, 0);
    net_reply(world->side[0].net, call.from, OK, "", view_str("for nobody"));
    net_free(&call);
    world->relay.frozen = false;
    s_drop(world, 1, NET_SUSPECT);
    s_ends(world, id, ERR_OUTCOME_UNKNOWN);
    world_peer(world, 1, NET_UP);
    world_peer(world, 0, NET_UP);
    id = world_call(world, 1, at, "more work");
    call = world_until(world, 0, NET_CALL, 0);
    net_reply(world->side[0].net, call.from, OK, "", view_str("here"));
    net_free(&call);
    s_ends(world, id, OK);
}

/* A node that was stopped itself must not blame the others for it. */
static void who_overslept_suspects_nobody(void **state)
{
    world_t *world = *state;
    s_pair(world, 100);
    int64_t until = clock_mono_ms() + 800;
    while (clock_mono_ms() < until)
        continue;
    for (int i = 0; i < 20; i++)
        world_step(world);
    assert_false(world_has(world, 0, NET_PEER, NET_SUSPECT));
    assert_false(world_has(world, 1, NET_PEER, NET_SUSPECT));
}

static void goodbye_ends_calls_at_once(void **state)
{
    world_t *world = *state;
    const char *at = s_pair(world, 20);
    uint64_t id = world_call(world, 1, at, "work");
    net_event_t call = world_until(world, 0, NET_CALL, 0);
    net_free(&call);
    char endpoint[128];
    snprintf(endpoint, sizeof endpoint, "%s", net_endpoint(world->side[0].net));
    world_close(world, 0);
    s_drop(world, 1, NET_GONE);
    s_ends(world, id, ERR_OUTCOME_UNKNOWN);
    s_ends(world, world_call(world, 1, at, "for nobody"), ERR_NETWORK);
    world_open(world, 0, (net_options_t){ .listen = endpoint, .incarnation = 2000,
                                          .heartbeat_ms = 20 });
    net_event_t up = world_peer(world, 1, NET_UP);
    assert_int_equal(up.peer.incarnation, 2000);
    id = world_call(world, 1, at, "for who came");
    call = world_until(world, 0, NET_CALL, 0);
    net_reply(world->side[0].net, call.from, OK, "", call.payload);
    net_free(&call);
    s_ends(world, id, OK);
    net_hang_up(world->side[1].net, at);
    net_event_t gone = world_peer(world, 0, NET_GONE);
    assert_int_equal(gone.peer.node_id, 2);
    net_free(&gone);
}

/* Killed without a word and started again: what it may have done is not sent twice. */
static void a_restarted_peer_gets_no_repeats(void **state)
{
    world_t *world = *state;
    const char *at = s_pair(world, 1000);               /* a call outlives the way to the second */
    uint64_t sent = world_call(world, 1, at, "sent");
    net_event_t call = world_until(world, 0, NET_CALL, 0);
    net_free(&call);
    net_t *second = NULL;
    net_options_t again = { .listen = TCP, .cluster = "elanus", .role = "coord", .node_id = 1,
                            .incarnation = 2000, .heartbeat_ms = 1000 };
    assert_int_equal(net_open(&world->ctx, &again, &second), OK);
    world->relay.target = atoi(strrchr(net_endpoint(second), ':') + 1);
    net_t *first = world->side[0].net;
    world->side[0].net = second;                        /* the first one never hears of it */
    world_cut(world);
    s_drop(world, 1, NET_SUSPECT);
    uint64_t unsent = world_call(world, 1, at, "unsent");
    s_ends(world, sent, ERR_OUTCOME_UNKNOWN);
    call = world_until(world, 0, NET_CALL, 0);
    assert_true(view_eq(call.payload, view_str("unsent")));
    net_reply(world->side[0].net, call.from, OK, "", (view_t){0});
    net_free(&call);
    s_ends(world, unsent, OK);
    net_destroy(&first);
}

static void s_refused(world_t *world, net_options_t node, uint64_t expect, err_t err,
                      const char *says, const char *says_too)
{
    net_t *coord = world_open(world, 0, (net_options_t){ .listen = TCP, .version = "2.0" });
    node.heartbeat_ms = 20;
    world_open(world, 1, node);
    char at[128];
    snprintf(at, sizeof at, "%s", net_endpoint(coord));
    assert_int_equal(net_dial(world->side[1].net, at, expect), OK);
    uint64_t waiting = world_call(world, 1, at, "x");
    net_event_t event = world_peer(world, 1, NET_REFUSED);
    assert_int_equal(event.err, err);
    assert_non_null(strstr(event.text, says));
    assert_non_null(strstr(event.text, says_too));
    assert_null(strchr(event.text, '\n'));
    net_free(&event);
    uint64_t late = world_call(world, 1, at, "y");      /* no use waiting for the deadline */
    for (int i = 0; i < 2; i++) {
        event = world_reply(world, 1, i ? late : waiting);
        assert_int_equal(event.err, err);
        net_free(&event);
    }
    for (int i = 0; i < 200; i++)
        world_step(world);
    assert_false(world_has(world, 1, NET_PEER, NET_REFUSED));   /* it tries on, and says it once */
    assert_false(world_has(world, 0, NET_PEER, NET_UP) && err != ERR_NODE_NOT_MATCH);
    world_close(world, 0);
    world_close(world, 1);
}

static void strange_nodes_are_refused_by_name(void **state)
{
    world_t *world = *state;
    s_refused(world, (net_options_t){ .version = "1.9" }, 0, ERR_VERSION, "1.9", "2.0");
    s_refused(world, (net_options_t){ .version = "2.0", .cluster = "other" }, 0, ERR_CROSS_CLUSTER,
              "\"other\"", "\"elanus\"");
    s_refused(world, (net_options_t){ .version = "2.0" }, 77, ERR_NODE_NOT_MATCH, "node 1",
              "node 77");
}

/* The address of a node that died is another one's now: who is told so links to that one. */
static void an_address_may_change_hands(void **state)
{
    world_t *world = *state;
    net_t *coord = world_open(world, 0, (net_options_t){ .listen = TCP });
    world_open(world, 1, (net_options_t){ .heartbeat_ms = 20 });
    char at[128];
    snprintf(at, sizeof at, "%s", net_endpoint(coord));
    assert_int_equal(net_dial(world->side[1].net, at, 77), OK);
    net_event_t event = world_peer(world, 1, NET_REFUSED);
    assert_int_equal(event.err, ERR_NODE_NOT_MATCH);
    net_free(&event);
    assert_int_equal(net_dial(world->side[1].net, at, 1), OK);
    event = world_peer(world, 1, NET_UP);
    net_free(&event);
    uint64_t call = world_call(world, 1, at, "x");
    net_event_t heard = world_until(world, 0, NET_CALL, 0);
    net_reply(world->side[0].net, heard.from, OK, "", (view_t){0});
    net_free(&heard);
    s_ends(world, call, OK);
}

static void a_taken_port_is_one_clear_line(void **state)
{
    world_t *world = *state;
    net_t *coord = world_open(world, 0, (net_options_t){ .listen = TCP });
    net_options_t options = { .listen = net_endpoint(coord), .cluster = "c", .role = "coord" };
    net_t *second = NULL;
    assert_int_equal(net_open(&world->ctx, &options, &second), ERR_NETWORK);
    assert_null(second);
    assert_non_null(strstr(world->ctx.text, net_endpoint(coord)));
    assert_non_null(strstr(world->ctx.text, "in use"));
    assert_null(strchr(world->ctx.text, '\n'));
    options.listen = "tcp://203.0.113.1:1";
    assert_int_equal(net_open(&world->ctx, &options, &second), ERR_NETWORK);
    assert_non_null(strstr(world->ctx.text, "no such address"));
    options.listen = "nonsense";
    assert_int_equal(net_open(&world->ctx, &options, &second), ERR_NETWORK);
}

/* --- strangers --- */

static int s_tcp_to(const char *endpoint)
{
    struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                .sin_port = htons((uint16_t)atoi(strrchr(endpoint, ':') + 1)) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof addr), 0);
    return fd;
}

static bool s_is_closed(int fd)
{
    char bytes[512];
    ssize_t n;
    while ((n = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT)) > 0)
        continue;
    return n == 0 || errno != EAGAIN;
}

static uint64_t s_malformed(world_t *world)
{
    net_stats_t stats;
    net_stats(world->side[0].net, &stats);
    return stats.malformed;
}

static void s_still_works(world_t *world, const char *at)
{
    uint64_t id = world_call(world, 1, at, "still there?");
    net_event_t call = world_until(world, 0, NET_CALL, 0);
    net_reply(world->side[0].net, call.from, OK, "", call.payload);
    net_free(&call);
    net_event_t reply = world_reply(world, 1, id);
    assert_int_equal(reply.err, OK);
    net_free(&reply);
    assert_false(world_has(world, 1, NET_PEER, NET_SUSPECT));
}

/* Bytes of all kinds on a plain TCP connection: closed, counted, others unharmed. */
static void noise_on_the_port_is_cut_off(void **state)
{
    world_t *world = *state;
    const char *at = s_pair(world, 10000);
    const char *endpoint = net_endpoint(world->side[0].net);
    rng_t rng;
    rng_seed(&rng, 11);
    for (int i = 0; i < 20; i++) {
        uint8_t noise[4096];
        for (size_t k = 0; k < sizeof noise; k++)
            noise[k] = (uint8_t)rng_u64(&rng);
        noise[0] = i % 2 ? 0xff : 0x01;                 /* ZMTP's first byte, now and before 2.0 */
        if (i == 0)
            snprintf((char *)noise, sizeof noise, "GET / HTTP/1.1\r\n\r\n");
        int fd = s_tcp_to(endpoint);
        send(fd, noise, sizeof noise, MSG_NOSIGNAL);
        if (i % 3 == 0)
            shutdown(fd, SHUT_WR);
        int64_t until = clock_mono_ms() + 100;          /* some noise is just incomplete */
        while (!s_is_closed(fd) && clock_mono_ms() < until)
            world_step(world);
        close(fd);
    }
    int64_t until = clock_mono_ms() + 5000;
    while (s_malformed(world) < 20 && clock_mono_ms() < until)
        world_step(world);
    assert_true(s_malformed(world) >= 20);
    s_still_works(world, at);
}

/* Speaks ZMTP but not our envelopes: its connection is shut, before and after greeting. */
static void wrong_envelopes_are_cut_off(void **state)
{
    world_t *world = *state;
    const char *at = s_pair(world, 10000);
    for (int greeted = 0; greeted < 2; greeted++) {
        raw_t raw = raw_open(ZMQ_DEALER, net_endpoint(world->side[0].net));
        int on = ZMQ_EVENT_DISCONNECTED;
        assert_int_equal(zmq_socket_monitor(raw.socket, "inproc://watch", on), 0);
        void *watch = zmq_socket(raw.context, ZMQ_PAIR);
        assert_int_equal(zmq_connect(watch, "inproc://watch"), 0);
        if (greeted) {
            raw_hello(world, &raw, 9, 99);
            world_peer(world, 0, NET_UP);
        }
        uint64_t before = s_malformed(world);
        zmq_send(raw.socket, "\x08\x01\xff\xff\xff", 5, 0);
        char event[6];
        int64_t until = clock_mono_ms() + 5000;
        while (zmq_recv(watch, event, sizeof event, ZMQ_DONTWAIT) < 0) {
            assert_true(clock_mono_ms() < until);
            world_step(world);
        }
        assert_int_equal(s_malformed(world), before + 1);
        if (greeted)
            s_drop(world, 0, NET_SUSPECT);
        zmq_close(watch);
        raw_close(&raw);
    }
    s_still_works(world, at);
}

/* One that talks without a greeting is told to greet, and nothing it asks is done. */
static void no_greeting_no_service(void **state)
{
    world_t *world = *state;
    s_pair(world, 10000);
    raw_t raw = raw_open(ZMQ_DEALER, net_endpoint(world->side[0].net));
    envelope_t call = { .type = ENVELOPE_CALL, .request_id = 1, .deadline_ms = 1000 };
    raw_send(&raw, &call, "x");
    raw_until(world, &raw, ENVELOPE_BYE);
    assert_false(world_has(world, 0, NET_CALL, 0));
    raw_close(&raw);
}

/* A listener that answers with nonsense: the dialler leaves, and comes back later. */
static void a_babbling_listener_is_left(void **state)
{
    world_t *world = *state;
    net_t *node = world_open(world, 1, (net_options_t){ .heartbeat_ms = 20 });
    raw_t raw = raw_open(ZMQ_ROUTER, TCP);
    char at[64];
    assert_int_equal(net_dial(node, raw_endpoint(&raw, at), 0), OK);
    for (int i = 0; i < 2; i++) {                       /* it greets, we babble, it greets again */
        uint8_t id[255];
        int len;
        do
            world_step(world);
        while ((len = zmq_recv(raw.socket, id, sizeof id, ZMQ_DONTWAIT)) < 0);
        uint8_t hello[LIMIT_NET_ENVELOPE_BYTES];
        assert_true(zmq_recv(raw.socket, hello, sizeof hello, 0) > 0);
        zmq_send(raw.socket, id, (size_t)len, ZMQ_SNDMORE);
        zmq_send(raw.socket, "nonsense", 8, 0);
    }
    net_stats_t stats;
    net_stats(node, &stats);
    assert_true(stats.malformed >= 1);
    raw_close(&raw);
}

/* --- standalone --- */

/* No call, no timer, no wake-up: an inproc node sleeps until its descriptor stirs. */
static void inproc_sleeps(void **state)
{
    world_t *world = *state;
    net_options_t a = { .listen = "inproc://a", .heartbeat_ms = 1 };
    net_options_t b = { .listen = "inproc://b", .heartbeat_ms = 1 };
    net_t *coord = world_open(world, 0, a), *node = world_open(world, 1, b);
    assert_int_equal(net_dial(node, "inproc://a", 0), OK);
    assert_int_equal(net_dial(coord, "inproc://b", 0), OK);
    world_peer(world, 1, NET_UP);
    world_peer(world, 0, NET_UP);
    for (int i = 0; i < 5; i++)
        world_step(world);
    struct rusage before, after;
    net_event_t event;
    getrusage(RUSAGE_THREAD, &before);
    assert_int_equal(net_poll(node, 300, &event, 1), 0);
    getrusage(RUSAGE_THREAD, &after);
    assert_true(after.ru_nvcsw - before.ru_nvcsw <= 2);

    int fd = eventfd(1, EFD_CLOEXEC);
    net_watch_fd(node, fd);
    assert_int_equal(net_poll(node, -1, &event, 1), 1);
    assert_int_equal(event.kind, NET_FD);
    assert_int_equal(event.fd, fd);
    close(fd);
}

/* The same name again after a node in the same process has left. */
static void inproc_names_can_be_taken_again(void **state)
{
    world_t *world = *state;
    net_t *node = world_open(world, 1, (net_options_t){0});
    assert_int_equal(net_dial(node, "inproc://coord", 0), OK);
    for (uint64_t life = 1; life < 20; life++) {
        world_open(world, 0, (net_options_t){ .listen = "inproc://coord", .incarnation = life });
        net_event_t up = world_peer(world, 1, NET_UP);
        assert_int_equal(up.peer.incarnation, life);
        world_close(world, 0);
        s_drop(world, 1, NET_GONE);
    }
}

#define T(f) cmocka_unit_test_setup_teardown(f, world_up, world_down)

int main(void)
{
    log_set_level(LOG_ERROR);           /* strangers are logged, which is not tested here */
    const struct CMUnitTest tests[] = {
        T(a_closed_socket_is_noticed_at_once),
        T(a_link_is_made_again),
        T(silence_is_suspect_and_forgiven),
        T(calls_to_a_dead_peer_end_at_once),
        T(calls_survive_a_broken_connection),
        T(a_dead_wire_is_given_up),
        T(who_overslept_suspects_nobody),
        T(goodbye_ends_calls_at_once),
        T(a_restarted_peer_gets_no_repeats),
        T(strange_nodes_are_refused_by_name),
        T(an_address_may_change_hands),
        T(a_taken_port_is_one_clear_line),
        T(noise_on_the_port_is_cut_off),
        T(wrong_envelopes_are_cut_off),
        T(no_greeting_no_service),
        T(a_babbling_listener_is_left),
        T(inproc_sleeps),
        T(inproc_names_can_be_taken_again),
    };
    return cmocka_run_group_tests_name("link", tests, NULL, NULL);
}
