/* net_world - see net_world.h */
#include "tests/support/net_world.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zmq.h>

#include <cmocka.h>

#include "core/base/clock.h"

enum { PATIENCE_MS = 10000 };

int world_up(void **state)
{
    world_t *world = mem_new(sizeof *world);
    ctx_init(&world->ctx);
    for (int i = 0; i < WORLD_SIDES; i++)
        vec_init(&world->side[i].inbox, sizeof(net_event_t));
    world->relay.listener = -1;
    *state = world;
    return 0;
}

static void s_close_relay(relay_t *relay)
{
    if (relay->listener >= 0)
        close(relay->listener);
    relay->listener = -1;
}

int world_down(void **state)
{
    world_t *world = *state;
    for (int i = 0; i < WORLD_SIDES; i++) {
        world_close(world, i);
        vec_fini(&world->side[i].inbox);
    }
    world_cut(world);
    s_close_relay(&world->relay);
    ctx_fini(&world->ctx);
    mem_free(world);
    return 0;
}

net_t *world_open(world_t *world, int i, net_options_t options)
{
    if (!options.cluster)
        options.cluster = "elanus";
    if (!options.role)
        options.role = i == 0 ? "coord" : "datanode";
    if (!options.node_id)
        options.node_id = (uint64_t)i + 1;
    if (!options.incarnation)
        options.incarnation = 1000 + (uint64_t)i;
    if (!options.heartbeat_ms)
        options.heartbeat_ms = 10000;   /* slow, so that nothing happens by the clock unasked */
    check(world->side[i].net == NULL);
    err_t err = net_open(&world->ctx, &options, &world->side[i].net);
    if (err != OK)
        fail_msg("net_open: %s", world->ctx.text);
    return world->side[i].net;
}

void world_close(world_t *world, int i)
{
    side_t *side = &world->side[i];
    for (size_t at = 0; at < side->inbox.len; at++)
        net_free(vec_at(&side->inbox, at));
    side->inbox.len = 0;
    net_destroy(&side->net);
}

/* --- relay --- */

static int s_tcp(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    return fd;
}

static struct sockaddr_in s_local(int port)
{
    return (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

static void s_close_pair(relay_t *relay, size_t i)
{
    close(relay->pair[i].near);
    close(relay->pair[i].far);
    relay->pair[i] = relay->pair[--relay->n];
}

void world_cut(world_t *world)
{
    while (world->relay.n > 0)
        s_close_pair(&world->relay, 0);
}

static void s_relay_accept(relay_t *relay)
{
    int near = accept4(relay->listener, NULL, NULL, SOCK_CLOEXEC);
    if (near < 0)
        return;
    struct sockaddr_in addr = s_local(relay->target);
    int far = s_tcp();
    if (relay->refuses || relay->n == WORLD_WIRES ||
        connect(far, (struct sockaddr *)&addr, sizeof addr) != 0) {
        close(near);
        close(far);
        return;
    }
    relay->pair[relay->n].near = near;
    relay->pair[relay->n++].far = far;
}

/* Move what is there from one end to the other; false when an end has closed. */
static bool s_forward(int from, int to)
{
    char bytes[65536];
    ssize_t n = recv(from, bytes, sizeof bytes, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN))
        return false;
    for (ssize_t at = 0; at < n; ) {
        ssize_t sent = send(to, bytes + at, (size_t)(n - at), MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        at += sent;
    }
    return true;
}

static void s_relay_step(relay_t *relay)
{
    if (relay->listener < 0)
        return;
    s_relay_accept(relay);
    for (size_t i = 0; i < relay->n && !relay->frozen; ) {
        if (s_forward(relay->pair[i].near, relay->pair[i].far) &&
            s_forward(relay->pair[i].far, relay->pair[i].near))
            i++;
        else
            s_close_pair(relay, i);
    }
}

const char *world_relay(world_t *world, const char *endpoint)
{
    relay_t *relay = &world->relay;
    struct sockaddr_in addr = s_local(0);
    socklen_t len = sizeof addr;
    relay->target = atoi(strrchr(endpoint, ':') + 1);
    relay->listener = s_tcp();
    assert_int_equal(bind(relay->listener, (struct sockaddr *)&addr, sizeof addr), 0);
    assert_int_equal(listen(relay->listener, 16), 0);
    assert_int_equal(fcntl(relay->listener, F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(getsockname(relay->listener, (struct sockaddr *)&addr, &len), 0);
    relay->port = ntohs(addr.sin_port);
    return ctx_printf(&world->ctx, "tcp://127.0.0.1:%d", relay->port);
}

/* --- stepping --- */

void world_step(world_t *world)
{
    net_event_t events[16];
    s_relay_step(&world->relay);
    for (int i = 0; i < WORLD_SIDES; i++) {
        side_t *side = &world->side[i];
        if (!side->net)
            continue;
        size_t n = net_poll(side->net, 1, events, ARRAY_LEN(events));
        for (size_t k = 0; k < n; k++)
            vec_push(&side->inbox, &events[k]);
    }
}

static ssize_t s_find(const world_t *world, int i, net_event_kind_t kind, net_peer_state_t state)
{
    const vec_t *inbox = &world->side[i].inbox;
    for (size_t at = 0; at < inbox->len; at++) {
        const net_event_t *event = vec_at(inbox, at);
        if (event->kind == kind && (kind != NET_PEER || event->state == state))
            return (ssize_t)at;
    }
    return -1;
}

bool world_has(const world_t *world, int i, net_event_kind_t kind, net_peer_state_t state)
{
    return s_find(world, i, kind, state) >= 0;
}

static net_event_t s_take(world_t *world, int i, size_t at)
{
    net_event_t event = *(net_event_t *)vec_at(&world->side[i].inbox, at);
    vec_remove(&world->side[i].inbox, at);
    return event;
}

net_event_t world_until(world_t *world, int i, net_event_kind_t kind, net_peer_state_t state)
{
    int64_t until = clock_mono_ms() + PATIENCE_MS;
    ssize_t at;
    while ((at = s_find(world, i, kind, state)) < 0) {
        world_step(world);
        if (clock_mono_ms() > until)
            fail_msg("side %d waits in vain for an event of kind %d state %d", i, kind, state);
    }
    return s_take(world, i, (size_t)at);
}

net_event_t world_peer(world_t *world, int i, net_peer_state_t state)
{
    return world_until(world, i, NET_PEER, state);
}

net_event_t world_reply(world_t *world, int i, uint64_t call_id)
{
    int64_t until = clock_mono_ms() + PATIENCE_MS;
    for (;;) {
        const vec_t *inbox = &world->side[i].inbox;
        for (size_t at = 0; at < inbox->len; at++) {
            const net_event_t *event = vec_at(inbox, at);
            if (event->kind == NET_REPLY && event->call_id == call_id)
                return s_take(world, i, at);
        }
        world_step(world);
        if (clock_mono_ms() > until)
            fail_msg("side %d waits in vain for a reply", i);
    }
}

uint64_t world_call(world_t *world, int i, const char *endpoint, const char *payload)
{
    net_call_t call = { .method = 7, .payload = view_str(payload), .timeout_ms = PATIENCE_MS };
    uint64_t id = 0;
    assert_int_equal(net_call(world->side[i].net, endpoint, &call, &id), OK);
    return id;
}

/* --- raw ends --- */

raw_t raw_open(int zmq_type, const char *endpoint)
{
    raw_t raw = { .context = zmq_ctx_new() };
    raw.socket = zmq_socket(raw.context, zmq_type);
    int linger = 0;
    zmq_setsockopt(raw.socket, ZMQ_LINGER, &linger, sizeof linger);
    assert_int_equal(zmq_type == ZMQ_ROUTER ? zmq_bind(raw.socket, endpoint)
                                            : zmq_connect(raw.socket, endpoint), 0);
    return raw;
}

void raw_close(raw_t *raw)
{
    zmq_close(raw->socket);
    zmq_ctx_term(raw->context);
    *raw = (raw_t){0};
}

const char *raw_endpoint(raw_t *raw, char text[64])
{
    size_t len = 64;
    assert_int_equal(zmq_getsockopt(raw->socket, ZMQ_LAST_ENDPOINT, text, &len), 0);
    return text;
}

void raw_send(raw_t *raw, const envelope_t *envelope, const char *payload)
{
    uint8_t bytes[LIMIT_NET_ENVELOPE_BYTES];
    size_t len = envelope_pack(envelope, bytes);
    assert_true(zmq_send(raw->socket, bytes, len, payload ? ZMQ_SNDMORE : 0) >= 0);
    if (payload)
        assert_true(zmq_send(raw->socket, payload, strlen(payload), 0) >= 0);
}

envelope_t raw_until(world_t *world, raw_t *raw, envelope_type_t type)
{
    static envelope_room_t room;        /* what the answer borrows from, until the next call */
    int64_t until = clock_mono_ms() + PATIENCE_MS;
    for (; clock_mono_ms() < until; world_step(world)) {
        uint8_t bytes[65536];
        int n;
        while ((n = zmq_recv(raw->socket, bytes, sizeof bytes, ZMQ_DONTWAIT)) >= 0) {
            envelope_t envelope;
            if (envelope_unpack(&world->ctx, view_of(bytes, (size_t)n), &room, &envelope) == OK &&
                envelope.type == type)
                return envelope;
        }
    }
    fail_msg("a raw socket waits in vain for an envelope of type %d", type);
    return (envelope_t){0};
}

void raw_hello(world_t *world, raw_t *raw, uint64_t node_id, uint64_t incarnation)
{
    envelope_t hello = { .type = ENVELOPE_HELLO, .has_hello = true, .hello = {
        .cluster = "elanus", .version = ELANUS_VERSION, .role = "raw", .node_id = node_id,
        .incarnation = incarnation } };
    raw_send(raw, &hello, NULL);
    envelope_t welcome = raw_until(world, raw, ENVELOPE_WELCOME);
    assert_int_equal(welcome.error, OK);
}
