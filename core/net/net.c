/* net - open, close, poll; and how a link lives
 *
 * The workload: a node has a handful of links, and on each either nothing for
 * minutes (standalone, idle) or tens of thousands of small calls a second, or
 * a few answers of many megabytes.  So a call is a header of some 20 bytes and
 * a body that is shared by reference from here to the kernel, nothing wakes up
 * that has nothing to do, and every event costs a fraction of the two
 * system calls a round of the loop needs.
 *
 * Messages (proto/elanus.proto, Envelope.type); every one is an envelope frame,
 * CALL and REPLY have a second frame when there is a payload:
 *
 *     type      from      says
 *     HELLO     dialler   who I am; the first word on any connection
 *     WELCOME   listener  who I am; or, with an error, why we do not talk
 *     CALL      dialler   do this within deadline_ms; id unique in my incarnation
 *     REPLY     listener  the answer to that id
 *     CANCEL    dialler   do not bother; an answer may come all the same
 *     PING      dialler   each heartbeat, over TCP only
 *     PONG      listener  the answer to PING
 *     BYE       both      I leave, or: I do not know you, greet me again
 *
 * The life of a link, at the dialler (net_dial.c) and the listener (net_guest.c):
 *
 *     dial -> HELLO -> WELCOME -> calls, replies, pings -> BYE
 *              |        |          |
 *              |        |          +- closed socket: SUSPECT; dialled again, calls sent again
 *              |        |          +- 5 missed pings: SUSPECT; on any word UP again
 *              |        |          +- 25 missed pings: the dialler makes a new connection
 *              |        |          +- 150 missed pings: the listener says GONE and forgets
 *              |        +- another version, cluster or node id: REFUSED, calls end with
 *              |           that error, dialled again at leisure
 *              +- no answer: SUSPECT after 5 heartbeats
 *
 *     what fails                      what the caller of net_call gets
 *     never sent before the deadline  ERR_NETWORK: surely not done
 *     sent, no answer by then         ERR_TIMEOUT: may be done
 *     connection lost                 nothing yet: dialled again at once, and when that works
 *                                     sent again under the same id, done once
 *     that fails, or no word within   ERR_OUTCOME_UNKNOWN if sent, ERR_NETWORK if not;
 *     a heartbeat; 5 missed pings     so too for calls made while it lasts, each heartbeat
 *     peer restarted or left          ERR_OUTCOME_UNKNOWN if sent, ERR_NETWORK if not
 *     peer too busy                   ERR_QUEUE_FULL: not done
 *     peer of another kind            ERR_VERSION, ERR_CROSS_CLUSTER, ERR_NODE_NOT_MATCH,
 *                                     ERR_DENIED
 *     link given up (net_hang_up)     as when the peer left
 *
 * A thread that was stopped for a while (SIGSTOP, a debugger) finds all its
 * peers silent.  The tick sees that it rang late itself and gives everybody
 * that much more time.
 *
 * Waiting is epoll over the descriptors of the sockets.  zmq_poll was measured
 * against it: it asks every socket on every round.  See port_t for what such a
 * descriptor means.  Nothing periodic runs while there are only inproc links.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/fault.h"
#include "core/base/tsan.h"
#include "core/net/net_int.h"

/* --- the ZeroMQ context --- */

/* Names on inproc live inside a context, so all nodes of a process must share
 * one: the reason for these two globals.  It is made for the first net_open and
 * goes with the last net_destroy.  The lock is a leaf. */
static pthread_mutex_t s_lock = PTHREAD_MUTEX_INITIALIZER;
static void *s_context;
static size_t s_users;

static void *s_make_context(void)
{
    enum { SOCKETS_PER_PEER = 3 };      /* the DEALER and both ends of its monitor */
    void *context = fault_hit() ? NULL : zmq_ctx_new();
    if (context)
        check(zmq_ctx_set(context, ZMQ_MAX_SOCKETS, 2 * SOCKETS_PER_PEER * LIMIT_NET_PEERS) == 0);
    return context;
}

static void *s_share_context(void)
{
    pthread_mutex_lock(&s_lock);
    if (!s_context)
        s_context = s_make_context();
    void *context = s_context;
    if (context)
        s_users++;
    pthread_mutex_unlock(&s_lock);
    return context;
}

/* Ends when everything is sent or NET_FLUSH_MS are over. */
static void s_end_context(void *context)
{
    while (zmq_ctx_term(context) != 0)
        check(errno == EINTR);
}

static void s_leave_context(void)
{
    pthread_mutex_lock(&s_lock);
    void *last = NULL;
    if (--s_users == 0) {
        last = s_context;
        s_context = NULL;
    }
    pthread_mutex_unlock(&s_lock);
    if (last)
        s_end_context(last);
}

/* --- open --- */

static net_t *s_new(const net_options_t *options)
{
    net_t *self = mem_new(sizeof *self);
    const char *version = options->version ? options->version : ELANUS_VERSION;
    check(options->cluster && strlen(options->cluster) < sizeof self->cluster);
    check(strlen(version) < sizeof self->version);
    check(options->role && strlen(options->role) < sizeof self->role);
    snprintf(self->cluster, sizeof self->cluster, "%s", options->cluster);
    snprintf(self->version, sizeof self->version, "%s", version);
    snprintf(self->role, sizeof self->role, "%s", options->role);
    self->node_id = options->node_id;
    self->incarnation = options->incarnation;
    self->heartbeat_ms = options->heartbeat_ms > 0 ? options->heartbeat_ms : NET_HEARTBEAT_MS;
    self->epoll = -1;
    self->router = (port_t){ .kind = PORT_ROUTER, .fd = -1 };
    self->router_monitor = (port_t){ .kind = PORT_ROUTER_MONITOR, .fd = -1 };
    self->zap = (port_t){ .kind = PORT_ZAP, .fd = -1 };
    self->tick.kind = ALARM_TICK;
    self->retry.kind = ALARM_RETRY;
    self->now_ms = clock_mono_ms();
    self->dials = map_new();
    self->ways = map_new();
    self->guests = map_new();
    self->conns = map_new();
    self->table = mem_new(NET_SERVED_SLOTS * sizeof self->table[0]);
    vec_init(&self->fds, sizeof(port_t *));
    vec_init(&self->unsent, sizeof(net_from_t));
    vec_init(&self->ready, sizeof(net_event_t));
    alarms_init(&self->alarms);
    ctx_init(&self->scratch);
    rng_seed(&self->rng, options->incarnation ^ options->node_id);
    TAILQ_INIT(&self->dirty);
    TAILQ_INIT(&self->done);
    TAILQ_INIT(&self->closed);
    TAILQ_INIT(&self->free_asked);
    return self;
}

static err_t s_start(ctx_t *ctx, net_t *self, const net_curve_t *curve)
{
    if (curve) {
        TRY(net_keys_load(ctx, curve, &self->keys));
        self->own_context = true;
    }
    self->context = self->own_context ? s_make_context() : s_share_context();
    if (!self->context)
        return ctx_fail(ctx, ERR_NETWORK, "cannot start ZeroMQ: %s", zmq_strerror(zmq_errno()));
    self->epoll = fault_hit() ? -1 : epoll_create1(EPOLL_CLOEXEC);
    if (self->epoll < 0)
        return ctx_fail(ctx, ERR_NETWORK, "cannot poll: %s; raise the limit of open files "
                        "(ulimit -n)", strerror(errno));
    if (!self->keys)
        return OK;
    TRY(net_port_open(ctx, self, &self->zap, ZMQ_REP));
    check(zmq_bind(self->zap.socket, "inproc://zeromq.zap.01") == 0);
    return OK;
}

static err_t s_bind_failed(ctx_t *ctx, const char *listen, int why)
{
    switch (why) {
    case EADDRINUSE:
        return ctx_fail(ctx, ERR_NETWORK, "%s is in use by another process; stop that one or "
                        "choose another port", listen);
    case EACCES:
        return ctx_fail(ctx, ERR_NETWORK, "not allowed to listen on %s; choose a port above 1023",
                        listen);
    case ENODEV: case EADDRNOTAVAIL:
        return ctx_fail(ctx, ERR_NETWORK, "cannot listen on %s: this machine has no such address",
                        listen);
    default:
        return ctx_fail(ctx, ERR_NETWORK, "cannot listen on %s: %s", listen, zmq_strerror(why));
    }
}

static err_t s_listen(ctx_t *ctx, net_t *self, const char *listen)
{
    enum { EVENTS = ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_CLOSED };
    bool inproc = strncmp(listen, "inproc://", 9) == 0;
    if (inproc && self->keys)
        return ctx_fail(ctx, ERR_CONFIG, "%s: CURVE is for nodes on different hosts", listen);
    TRY(net_port_open(ctx, self, &self->router, ZMQ_ROUTER));
    if (!inproc)
        TRY(net_port_monitor(ctx, self, &self->router_monitor, self->router.socket, EVENTS));
    if (fault_hit())
        return s_bind_failed(ctx, listen, EADDRINUSE);
    if (zmq_bind(self->router.socket, listen) != 0)
        return s_bind_failed(ctx, listen, zmq_errno());
    size_t len = sizeof self->endpoint;
    check(zmq_getsockopt(self->router.socket, ZMQ_LAST_ENDPOINT, self->endpoint, &len) == 0);
    return OK;
}

err_t net_open(ctx_t *ctx, const net_options_t *options, net_t **ret)
{
    check(options && ret && *ret == NULL);
    owned(net) self = s_new(options);
    TRY(s_start(ctx, self, options->curve));
    if (options->listen && options->listen[0])
        TRY(s_listen(ctx, self, options->listen));
    *ret = take(self);
    return OK;
}

const char *net_endpoint(const net_t *self)
{
    return self->endpoint;
}

/* --- close --- */

/* Say goodbye and take the name or port away.  On inproc the name goes first: who
 * is told goodbye dials again at once and must not find us.  Over TCP it goes
 * last, since it takes the connections along; and we wait until it has gone, so
 * that another process can have the port when net_destroy returns. */
static void s_stop_listening(net_t *self)
{
    bool inproc = self->router_monitor.socket == NULL;
    if (self->endpoint[0] && inproc)
        zmq_unbind(self->router.socket, self->endpoint);
    net_guest_fini(self);
    if (!self->endpoint[0] || inproc)
        return;
    zmq_unbind(self->router.socket, self->endpoint);
    int64_t until = clock_mono_ms() + NET_FLUSH_MS;
    for (;;) {
        monitor_event_t event = {0};
        zmq_pollitem_t item = { .socket = self->router_monitor.socket, .events = ZMQ_POLLIN };
        int64_t left = until - clock_mono_ms();
        if (left <= 0 || zmq_poll(&item, 1, (long)left) <= 0)
            return;
        if (net_monitor_recv(&self->router_monitor, &event) && event.event == ZMQ_EVENT_CLOSED)
            return;
    }
}

static void s_close_sockets(net_t *self)
{
    void *value;
    if (self->router.socket) {
        s_stop_listening(self);
        net_monitor_stop(self, &self->router_monitor, self->router.socket);
    }
    net_port_close(self, &self->router, NET_FLUSH_MS);
    for (size_t at = 0; map_next(self->dials, &at, NULL, &value); )
        net_dial_destroy(self, value);
    net_port_close(self, &self->zap, 0);
    for (size_t i = 0; i < self->fds.len; i++) {
        port_t *port = *(port_t **)vec_at(&self->fds, i);
        net_port_close(self, port, 0);
        mem_free(port);
    }
}

void net_destroy(net_t **self_p)
{
    net_t *self = *self_p;
    if (!self)
        return;
    net_call_fini(self);
    s_close_sockets(self);
    if (self->context && self->own_context)
        s_end_context(self->context);
    else if (self->context)
        s_leave_context();
    if (self->epoll >= 0)
        close(self->epoll);
    for (size_t i = self->ready_at; i < self->ready.len; i++)
        net_free(vec_at(&self->ready, i));
    net_keys_destroy(&self->keys);
    map_destroy(&self->dials);
    map_destroy(&self->ways);
    map_destroy(&self->guests);
    map_destroy(&self->conns);
    mem_free(self->table);
    vec_fini(&self->fds);
    vec_fini(&self->unsent);
    vec_fini(&self->ready);
    alarms_fini(&self->alarms);
    ctx_fini(&self->scratch);
    mem_free(self);
    *self_p = NULL;
}

/* --- who is who --- */

err_t net_hello_check(net_t *self, const envelope_t *envelope)
{
    const char *cluster = envelope->hello.cluster, *version = envelope->hello.version;
    if (strcmp(cluster, self->cluster) != 0)
        return ctx_fail(&self->scratch, ERR_CROSS_CLUSTER, "%s %llu is of cluster \"%s\", %s %llu "
                        "of \"%s\"; check etcd.rootPath of both", envelope->hello.role,
                        (unsigned long long)envelope->hello.node_id, cluster, self->role,
                        (unsigned long long)self->node_id, self->cluster);
    if (strcmp(version, self->version) != 0)
        return ctx_fail(&self->scratch, ERR_VERSION, "%s %llu is version %s, %s %llu is version "
                        "%s; run one version in a cluster", envelope->hello.role,
                        (unsigned long long)envelope->hello.node_id, version, self->role,
                        (unsigned long long)self->node_id, self->version);
    return OK;
}

void net_hello_fill(const net_t *self, envelope_t *envelope)
{
    envelope->has_hello = true;
    envelope->hello.cluster = self->cluster;
    envelope->hello.version = self->version;
    envelope->hello.role = self->role;
    envelope->hello.node_id = self->node_id;
    envelope->hello.incarnation = self->incarnation;
}

void net_peer_fill(net_peer_t *peer, const envelope_t *envelope)
{
    peer->node_id = envelope->hello.node_id;
    peer->incarnation = envelope->hello.incarnation;
    snprintf(peer->role, sizeof peer->role, "%s", envelope->hello.role);
}

/* --- events --- */

/* What an event borrows from: lives until net_free. */
typedef struct {
    zmq_msg_t body;
    char text[];
} held_t;

net_event_t *net_emit(net_t *self, net_event_kind_t kind)
{
    net_event_t event = { .kind = kind, .text = "", .fd = -1 };
    return vec_push(&self->ready, &event);
}

void net_event_fill(net_event_t *event, zmq_msg_t *body, const char *text)
{
    bool has_body = body && zmq_msg_size(body) > 0;
    if (!has_body && !text[0])
        return;
    size_t len = strlen(text);
    held_t *held = mem_new(sizeof *held + len + 1);
    memcpy(held->text, text, len);
    zmq_msg_init(&held->body);
    if (has_body) {
        zmq_msg_move(&held->body, body);
        event->payload = net_frame_view(&held->body);
    }
    event->text = held->text;
    event->frame_ = held;
}

void net_free(net_event_t *event)
{
    held_t *held = event->frame_;
    if (!held)
        return;
    tsan_release(zmq_msg_data(&held->body));
    zmq_msg_close(&held->body);
    mem_free(held);
    event->frame_ = NULL;
    event->payload = (view_t){0};
    event->text = "";
}

/* --- poll --- */

void net_watch_fd(net_t *self, int fd)
{
    check(fd >= 0);
    port_t *port = mem_new(sizeof *port);
    *port = (port_t){ .kind = PORT_FD, .fd = fd };
    check(net_port_watch(&self->scratch, self, port) == OK);
    vec_push(&self->fds, &port);
}

void net_need_tick(net_t *self)
{
    if (self->tick.place == 0)
        alarms_set(&self->alarms, &self->tick, clock_mono_ms() + self->heartbeat_ms);
}

static bool s_has_remotes(const net_t *self)
{
    void *value;
    if (self->router_monitor.socket && map_len(self->guests) + map_len(self->conns) > 0)
        return true;
    for (size_t at = 0; map_next(self->dials, &at, NULL, &value); )
        if (!((dial_t *)value)->inproc)
            return true;
    return false;
}

static void s_tick(net_t *self)
{
    void *value;
    int64_t late = self->now_ms - self->tick.due_ms;
    self->overslept_ms = late > self->heartbeat_ms ? late : 0;
    for (size_t at = 0; map_next(self->dials, &at, NULL, &value); )
        net_dial_tick(self, value);
    net_guest_tick(self);
    if (s_has_remotes(self))
        alarms_set(&self->alarms, &self->tick, self->now_ms + self->heartbeat_ms);
}

static void s_ring(net_t *self, alarm_t *alarm)
{
    switch ((alarm_kind_t)alarm->kind) {
    case ALARM_TICK:
        s_tick(self);
        return;
    case ALARM_RETRY:
        net_serve_retry(self);
        return;
    case ALARM_DIAL:
        net_dial_alarm(self, CONTAINER(alarm, dial_t, alarm));
        return;
    case ALARM_CALL:
        net_call_expired(self, CONTAINER(alarm, asked_t, deadline));
        return;
    }
}

/* One message or event of a port; false when it has no more, or is closed. */
static bool s_input(net_t *self, port_t *port)
{
    switch (port->kind) {
    case PORT_ROUTER:
        return net_guest_input(self);
    case PORT_DEALER:
        return net_dial_input(self, port->dial);
    case PORT_ROUTER_MONITOR:
        return net_guest_monitor(self);
    case PORT_DEALER_MONITOR:
        return net_dial_monitor(self, port->dial);
    case PORT_ZAP:
        return net_keys_input(self);
    case PORT_FD:
        net_emit(self, NET_FD)->fd = port->fd;
        return false;
    }
    return false;
}

static size_t s_ready(const net_t *self)
{
    return self->ready.len - self->ready_at;
}

/* Read dirty ports in turn until none is dirty or there are `most` events. */
static void s_read(net_t *self, size_t most)
{
    port_t *port;
    while (s_ready(self) < most && (port = TAILQ_FIRST(&self->dirty)) != NULL) {
        TAILQ_REMOVE(&self->dirty, port, at_dirty);
        port->dirty = false;
        int turn = 0;
        bool more = true;
        while (more && turn++ < NET_TURN && s_ready(self) < most)
            more = s_input(self, port);
        if (more)
            net_port_touch(self, port);
    }
}

static void s_sleep(net_t *self, int64_t until_ms)
{
    struct epoll_event woken[NET_WAKE];
    int64_t next = alarms_next_ms(&self->alarms);
    int64_t until = next < until_ms ? next : until_ms;
    int wait = -1;
    if (s_ready(self) > 0 || !TAILQ_EMPTY(&self->dirty))
        wait = 0;
    else if (until != INT64_MAX) {
        int64_t left = until - clock_mono_ms();
        wait = left <= 0 ? 0 : left < INT32_MAX ? (int)left : INT32_MAX;
    }
    int n = epoll_wait(self->epoll, woken, NET_WAKE, wait);
    check(n >= 0 || errno == EINTR);
    for (int i = 0; i < n; i++)
        net_port_touch(self, woken[i].data.ptr);
    self->now_ms = clock_mono_ms();
}

static size_t s_hand_out(net_t *self, net_event_t *ret, size_t most)
{
    size_t n = s_ready(self) < most ? s_ready(self) : most;
    if (n > 0)
        memcpy(ret, vec_at(&self->ready, self->ready_at), n * sizeof *ret);
    self->ready_at += n;
    if (n > 0 && self->ready_at * 2 >= self->ready.len) {   /* close up to the front */
        size_t left = s_ready(self);
        net_event_t *all = self->ready.ptr;
        memmove(all, all + self->ready_at, left * sizeof *all);
        self->ready.len = left;
        self->ready_at = 0;
    }
    return n;
}

/* What is there is read before time is judged, so that a node that was busy
 * for long does not take the pings it has not read for missed ones. */
size_t net_poll(net_t *self, int64_t timeout_ms, net_event_t *ret, size_t most)
{
    check(self && ret && most > 0);
    self->now_ms = clock_mono_ms();
    int64_t until_ms = timeout_ms < 0 ? INT64_MAX : self->now_ms + timeout_ms;
    for (;;) {
        s_read(self, most);
        s_sleep(self, until_ms);
        s_read(self, most);
        alarm_t *alarm;
        while ((alarm = alarms_ring(&self->alarms, self->now_ms)) != NULL)
            s_ring(self, alarm);
        if (s_ready(self) > 0 || self->now_ms >= until_ms)
            return s_hand_out(self, ret, most);
    }
}

void net_stats(const net_t *self, net_stats_t *ret)
{
    *ret = self->stats;
    void *value;
    ret->links = map_len(self->ways);
    for (size_t at = 0; map_next(self->dials, &at, NULL, &value); )
        ret->links += ((dial_t *)value)->state == DIAL_UP;
}
