/* net_world - several nodes, raw sockets and a breakable wire in one thread
 *
 * world_until() steps everybody until the wanted event is in a node's inbox, so a
 * test reads as a script and waits for facts, never for time to pass.
 */
#ifndef TESTS_SUPPORT_NET_WORLD_H
#define TESTS_SUPPORT_NET_WORLD_H

#include "core/base/vec.h"
#include "core/net/net.h"
#include "core/wire/envelope.h"

enum { WORLD_SIDES = 4, WORLD_WIRES = 16 };

typedef struct side {
    net_t *net;
    vec_t inbox;                /* net_event_t, not yet looked at */
} side_t;

/* A TCP relay that can be cut and frozen.  It forwards between who connects to
 * `port` and `target`. */
typedef struct relay {
    int listener;
    int port, target;
    bool frozen;                /* accepts, forwards nothing */
    bool refuses;               /* closes at once what connects */
    size_t n;
    struct { int near, far; } pair[WORLD_WIRES];
} relay_t;

typedef struct world {
    ctx_t ctx;
    side_t side[WORLD_SIDES];
    relay_t relay;
} world_t;

int world_up(void **state);
int world_down(void **state);

/* Open side i with sensible values for what is left out. */
net_t *world_open(world_t *world, int i, net_options_t options);
void world_close(world_t *world, int i);

/* Let everybody work for a moment. */
void world_step(world_t *world);

/* Step until side i has an event of this kind (and, for NET_PEER, this state) and take it
 * out; events before it stay.  Fails the test after ten seconds. */
net_event_t world_until(world_t *world, int i, net_event_kind_t kind, net_peer_state_t state);
net_event_t world_peer(world_t *world, int i, net_peer_state_t state);

/* Whether one is in the inbox already. */
bool world_has(const world_t *world, int i, net_event_kind_t kind, net_peer_state_t state);

/* The reply to this call, whichever else there is. */
net_event_t world_reply(world_t *world, int i, uint64_t call_id);

/* Call with a text as payload and plenty of time. */
uint64_t world_call(world_t *world, int i, const char *endpoint, const char *payload);

/* The relay in front of a "tcp://127.0.0.1:port" endpoint; returns the endpoint to dial. */
const char *world_relay(world_t *world, const char *endpoint);
void world_cut(world_t *world);

/* --- raw ZeroMQ ends, for saying what a net_t would not --- */

typedef struct raw {
    void *context, *socket;
} raw_t;

raw_t raw_open(int zmq_type, const char *endpoint);         /* ROUTER binds, others connect */
void raw_close(raw_t *raw);
const char *raw_endpoint(raw_t *raw, char text[64]);        /* the bound one */
void raw_send(raw_t *raw, const envelope_t *envelope, const char *payload);

/* Step the world until an envelope of this type has come; others are dropped. */
envelope_t raw_until(world_t *world, raw_t *raw, envelope_type_t type);
void raw_hello(world_t *world, raw_t *raw, uint64_t node_id, uint64_t incarnation);

#endif
