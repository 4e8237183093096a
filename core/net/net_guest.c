/* net_guest - links others dialled
 *
 * A guest is a process (node id and incarnation); a way is one connection on
 * which it has greeted us.  A connection that breaks costs the way, not the
 * guest: it is suspect, and what it asked stays, until it dials again or is
 * forgotten after NET_FORGET_PINGS.  Two incarnations of one node are two
 * guests; which of them is right is not for this file to know.
 *
 * Whoever has not greeted us within NET_HELLO_MS, or says something that is
 * no envelope, is a stranger: counted, logged at a bounded rate, and its
 * connection shut.  ZeroMQ has no call for that, so we shut the descriptor the
 * monitor told us of.  It belongs to the I/O thread and its number may be in
 * use for something else by now, so it is pinned by dup() and the kernel's
 * socket cookie compared before anything is done to it.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/net/net_int.h"

/* --- connections --- */

static uint64_t s_cookie(int fd)
{
    uint64_t cookie = 0;
    socklen_t len = sizeof cookie;
    return getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) == 0 ? cookie : 0;
}

static void s_read_ip(conn_t *conn)
{
    struct sockaddr_storage addr;
    socklen_t len = sizeof addr;
    snprintf(conn->ip, sizeof conn->ip, "unknown");
    if (getpeername(conn->fd, (struct sockaddr *)&addr, &len) != 0)
        return;
    if (addr.ss_family == AF_INET)
        inet_ntop(AF_INET, &((struct sockaddr_in *)&addr)->sin_addr, conn->ip, sizeof conn->ip);
    else if (addr.ss_family == AF_INET6)
        inet_ntop(AF_INET6, &((struct sockaddr_in6 *)&addr)->sin6_addr, conn->ip, sizeof conn->ip);
}

static void s_shut(const conn_t *conn)
{
    int pinned = dup(conn->fd);
    if (pinned < 0)
        return;
    if (conn->cookie && s_cookie(pinned) == conn->cookie)
        shutdown(pinned, SHUT_RDWR);
    close(pinned);
}

/* Logged above debug because there is no caller to tell: nobody asked for this. */
static void s_stranger(net_t *self, conn_t *conn, const char *why)
{
    static log_gate_t gate = { .per_second = 5 };
    if (conn && conn->counted)
        return;
    if (conn)
        conn->counted = true;
    self->stats.malformed++;
    log_gated(&gate, LOG_WARN, "net_garbage", "endpoint=%s ip=%s why=\"%s\"", self->endpoint,
              conn ? conn->ip : "unknown", why);
}

/* The I/O thread closed this connection.  What came on it may still have to be
 * read, a goodbye among it, so the rest waits until the ROUTER is empty. */
static void s_closed(net_t *self, int fd)
{
    conn_t *conn = map_del_u64(self->conns, (uint64_t)fd);
    if (!conn)
        return;
    TAILQ_INSERT_TAIL(&self->closed, conn, at_closed);
    net_port_touch(self, &self->router);
}

static void s_accepted(net_t *self, int fd)
{
    conn_t *conn = mem_new(sizeof *conn);
    conn->fd = fd;
    conn->cookie = s_cookie(fd);
    conn->since_ms = clock_mono_ms();
    s_read_ip(conn);
    s_closed(self, fd);         /* the number is in use again, so whoever had it is gone */
    map_put_u64(self->conns, (uint64_t)fd, conn);
    net_need_tick(self);
    if (map_len(self->conns) > LIMIT_NET_CONNECTIONS) {
        s_stranger(self, conn, "too many connections");
        s_shut(conn);
    }
}

/* --- guests and their ways --- */

static void s_tell(net_t *self, const guest_t *guest, net_peer_state_t state, const char *why)
{
    net_event_t *event = net_emit(self, NET_PEER);
    event->peer = guest->peer;
    event->state = state;
    net_event_fill(event, NULL, why);
}

static guest_t *s_guest(net_t *self, const envelope_t *envelope, bool remote)
{
    uint64_t key[2] = { envelope->hello.node_id, envelope->hello.incarnation };
    guest_t *guest = map_get(self->guests, view_of(key, sizeof key));
    if (guest)
        return guest;
    guest = mem_new(sizeof *guest);
    guest->number = ++self->next_guest;
    guest->remote = remote;
    net_peer_fill(&guest->peer, envelope);
    TAILQ_INIT(&guest->ways);
    TAILQ_INIT(&guest->served);
    map_put(self->guests, view_of(key, sizeof key), guest);
    return guest;
}

static void s_forget_guest(net_t *self, guest_t *guest)
{
    check(TAILQ_EMPTY(&guest->ways));
    uint64_t key[2] = { guest->peer.node_id, guest->peer.incarnation };
    net_serve_forget_guest(self, guest);
    map_del(self->guests, view_of(key, sizeof key));
    mem_free(guest);
}

static void s_set_quiet(net_t *self, way_t *way, bool quiet, const char *why)
{
    guest_t *guest = way->guest;
    if (way->quiet == quiet)
        return;
    way->quiet = quiet;
    guest->n_loud += quiet ? (size_t)-1 : 1;
    if (guest->n_loud == (quiet ? 0 : 1)) {
        guest->quiet_ms = self->now_ms;
        s_tell(self, guest, quiet ? NET_SUSPECT : NET_UP, why);
    }
}

static void s_close_way(net_t *self, way_t *way)
{
    guest_t *guest = way->guest;
    TAILQ_REMOVE(&guest->ways, way, at_guest);
    net_serve_forget_way(guest, way);
    if (way->conn) {
        way->conn->way = NULL;
        way->conn->counted = true;          /* it had greeted: no stranger when it closes */
    }
    map_del(self->ways, view_of(way->id, way->id_len));
    mem_free(way);
}

static void s_lose_way(net_t *self, way_t *way, const char *why)
{
    s_set_quiet(self, way, true, why);
    s_close_way(self, way);
}

/* It hung up, or we give it up for good. */
static void s_goodbye(net_t *self, guest_t *guest, const char *why)
{
    while (!TAILQ_EMPTY(&guest->ways)) {
        way_t *way = TAILQ_FIRST(&guest->ways);
        if (way->conn)
            s_shut(way->conn);
        s_close_way(self, way);
    }
    s_tell(self, guest, NET_GONE, why);
    s_forget_guest(self, guest);
}

/* --- what comes in --- */

static void s_send_bare(net_t *self, const way_t *way, envelope_type_t type, err_t err,
                        const char *text)
{
    envelope_t envelope = { .type = type, .error = err, .error_text = text };
    if (type == ENVELOPE_WELCOME)
        net_hello_fill(self, &envelope);
    send_t sent = net_send(self, &self->router, way, &envelope, NULL);
    (void)sent;                 /* it will find us silent, and dial again */
}

static err_t s_check_hello(net_t *self, const envelope_t *envelope)
{
    TRY(net_hello_check(self, envelope));
    if (map_len(self->ways) >= LIMIT_NET_PEERS)
        return ctx_fail(&self->scratch, ERR_QUEUE_FULL, "more than %d nodes are connected to %s",
                        LIMIT_NET_PEERS, self->endpoint);
    return OK;
}

/* Its connection stays until it has read why; it will hang up, or be shut for not greeting. */
static void s_refuse(net_t *self, const way_t *address, err_t err, conn_t *conn)
{
    static log_gate_t gate = { .per_second = 5 };
    self->stats.refused++;
    if (conn)
        conn->counted = true;
    log_gated(&gate, LOG_DEBUG, "net_refused", "ip=%s why=\"%s\"", conn ? conn->ip : "unknown",
              self->scratch.text);
    s_send_bare(self, address, ENVELOPE_WELCOME, err, self->scratch.text);
}

/* `address` is only that: who to answer, before there is a way. */
static void s_hello(net_t *self, const way_t *address, const envelope_t *envelope, int fd)
{
    while (self->router_monitor.socket && net_guest_monitor(self))
        continue;               /* so that the connection it came on is known */
    conn_t *conn = fd >= 0 ? map_get_u64(self->conns, (uint64_t)fd) : NULL;
    if (conn && conn->way)
        conn = NULL;            /* the number is in use again: this connection has closed */
    err_t err = s_check_hello(self, envelope);
    if (err != OK) {
        s_refuse(self, address, err, conn);
        return;
    }
    way_t *way = mem_new(sizeof *way);
    memcpy(way->id, address->id, address->id_len);
    way->id_len = address->id_len;
    way->conn = conn;
    if (conn)
        conn->way = way;
    way->heard_ms = self->now_ms;
    way->quiet = true;
    way->guest = s_guest(self, envelope, self->router_monitor.socket != NULL);
    TAILQ_INSERT_TAIL(&way->guest->ways, way, at_guest);
    map_put(self->ways, view_of(way->id, way->id_len), way);
    if (way->guest->remote)
        net_need_tick(self);
    s_set_quiet(self, way, false, "");
    s_send_bare(self, way, ENVELOPE_WELCOME, OK, "");
}

static void s_take(net_t *self, way_t *way, const envelope_t *envelope, frames_t *frames)
{
    way->heard_ms = self->now_ms;
    s_set_quiet(self, way, false, "");
    switch (envelope->type) {
    case ENVELOPE_CALL:
        net_serve_call(self, way, envelope, frames);
        return;
    case ENVELOPE_CANCEL:
        net_serve_cancel(self, way, envelope->request_id);
        return;
    case ENVELOPE_PING:
        s_send_bare(self, way, ENVELOPE_PONG, OK, "");
        return;
    case ENVELOPE_HELLO:
        s_send_bare(self, way, ENVELOPE_WELCOME, OK, "");
        return;
    case ENVELOPE_BYE:
        if (way == TAILQ_FIRST(&way->guest->ways) && !TAILQ_NEXT(way, at_guest))
            s_goodbye(self, way->guest, "said goodbye");
        else
            s_lose_way(self, way, "said goodbye");
        return;
    case ENVELOPE_REPLY: case ENVELOPE_PONG: case ENVELOPE_WELCOME:
        return;                 /* not for a ROUTER to hear; harmless */
    }
}

/* Good envelope, but nobody we know: forgotten while it was silent, or it has not
 * greeted.  Told to leave, it comes back with a greeting. */
static void s_take_unknown(net_t *self, const way_t *address, const envelope_t *envelope, int fd)
{
    if (envelope->type == ENVELOPE_HELLO)
        s_hello(self, address, envelope, fd);
    else if (envelope->type != ENVELOPE_BYE)
        s_send_bare(self, address, ENVELOPE_BYE, OK, "");
}

static void s_take_garbage(net_t *self, way_t *way, const way_t *address, int fd, err_t err)
{
    conn_t *conn = fd >= 0 ? map_get_u64(self->conns, (uint64_t)fd) : NULL;
    if (err == ERR_VERSION && !way) {
        s_refuse(self, address, err, conn);
        return;
    }
    s_stranger(self, conn, self->scratch.text);
    if (conn)
        s_shut(conn);
    if (way)
        s_lose_way(self, way, "sent something that is no envelope");
}

static err_t s_unpack(net_t *self, frames_t *frames, envelope_t *ret)
{
    if (frames->too_many)
        return ctx_fail(&self->scratch, ERR_MALFORMED, "too many frames");
    return envelope_unpack(&self->scratch, net_frame_view(&frames->head), &self->room, ret);
}

/* From somebody who has not greeted us, or not on this connection. */
static void s_take_first(net_t *self, view_t id, frames_t *frames)
{
    way_t address = { .id_len = (uint8_t)id.len };
    check(id.len > 0 && id.len <= sizeof address.id);
    memcpy(address.id, id.ptr, id.len);
    int fd = zmq_msg_get(&frames->head, ZMQ_SRCFD);

    envelope_t envelope;
    err_t err = s_unpack(self, frames, &envelope);
    if (err == OK)
        s_take_unknown(self, &address, &envelope, fd);
    else
        s_take_garbage(self, NULL, &address, fd, err);
}

static void s_take_frames(net_t *self, frames_t *frames)
{
    view_t id = net_frame_view(&frames->id);
    way_t *way = map_get(self->ways, id);
    if (!way) {
        s_take_first(self, id, frames);
        return;
    }
    envelope_t envelope;
    err_t err = s_unpack(self, frames, &envelope);
    if (err == OK)
        s_take(self, way, &envelope, frames);
    else
        s_take_garbage(self, way, way, way->conn ? way->conn->fd : -1, err);
}

static void s_bury_closed(net_t *self)
{
    conn_t *conn;
    while ((conn = TAILQ_FIRST(&self->closed)) != NULL) {
        TAILQ_REMOVE(&self->closed, conn, at_closed);
        if (conn->way)
            s_lose_way(self, conn->way, "connection closed");
        else
            s_stranger(self, conn, "closed before it greeted");
        mem_free(conn);
    }
}

bool net_guest_monitor(net_t *self)
{
    monitor_event_t event;
    if (!net_monitor_recv(&self->router_monitor, &event))
        return false;
    if (event.event == ZMQ_EVENT_ACCEPTED)
        s_accepted(self, event.value);
    else if (event.event == ZMQ_EVENT_DISCONNECTED)
        s_closed(self, event.value);
    return true;
}

bool net_guest_input(net_t *self)
{
    frames_t frames;
    if (!net_frames_recv(&self->router, &frames)) {
        s_bury_closed(self);
        return false;
    }
    s_take_frames(self, &frames);
    net_frames_fini(&frames);
    return true;
}

static void s_tick_guest(net_t *self, guest_t *guest)
{
    way_t *way;
    TAILQ_FOREACH(way, &guest->ways, at_guest) {
        way->heard_ms += self->overslept_ms;
        if (self->now_ms - way->heard_ms > NET_MISSED_PINGS * self->heartbeat_ms)
            s_set_quiet(self, way, true, "silent");
    }
    int64_t quiet_ms = guest->n_loud == 0 ? self->now_ms - guest->quiet_ms : 0;
    if (quiet_ms > NET_FORGET_PINGS * self->heartbeat_ms)
        s_goodbye(self, guest, "silent for too long");
}

/* Once every heartbeat; nothing to do for guests on inproc. */
void net_guest_tick(net_t *self)
{
    void *value;
    for (size_t at = 0; map_next(self->guests, &at, NULL, &value); ) {
        guest_t *guest = value;
        if (guest->remote)
            s_tick_guest(self, guest);
    }
    for (size_t at = 0; map_next(self->conns, &at, NULL, &value); ) {
        conn_t *conn = value;
        if (conn->way || self->now_ms - conn->since_ms < NET_HELLO_MS)
            continue;
        s_stranger(self, conn, "did not greet in time");
        s_shut(conn);
    }
}

/* Say goodbye to all; the ROUTER sends it while it closes. */
void net_guest_fini(net_t *self)
{
    void *value;
    for (size_t at = 0; map_next(self->ways, &at, NULL, &value); ) {
        way_t *way = value;
        s_send_bare(self, way, ENVELOPE_BYE, OK, "");
        s_close_way(self, way);
    }
    for (size_t at = 0; map_next(self->guests, &at, NULL, &value); )
        s_forget_guest(self, value);
    for (size_t at = 0; map_next(self->conns, &at, NULL, &value); )
        mem_free(value);
    while (!TAILQ_EMPTY(&self->closed)) {
        conn_t *conn = TAILQ_FIRST(&self->closed);
        TAILQ_REMOVE(&self->closed, conn, at_closed);
        mem_free(conn);
    }
}
