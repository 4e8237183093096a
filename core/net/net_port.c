/* net_port - sockets and frames
 *
 * The frames of a message, both ways:
 *
 *     frame      ROUTER   DEALER   what
 *     routing id   x               who; made by the ROUTER for each connection
 *     envelope     x        x      proto/elanus.proto, at most LIMIT_NET_ENVELOPE_BYTES
 *     body         x        x      CALL and REPLY with a payload: its bytes as they are
 *
 * Raw zmq_* calls and not zsock/zmsg: a zmsg_t costs an allocation per frame
 * and a list, which is most of what a small call costs in here.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/epoll.h>

#include "core/base/fault.h"
#include "core/base/tsan.h"
#include "core/net/net_int.h"

/* Names of monitor pipes: unique in the process, because a closed one keeps
 * its name for a moment.  Hence this one counter for all nodes. */
static _Atomic uint64_t s_monitor_names;

static void s_set_int(void *socket, int option, int value)
{
    check(zmq_setsockopt(socket, option, &value, sizeof value) == 0);
}

static void s_configure(net_t *self, void *socket, int zmq_type)
{
    int64_t most = LIMIT_NET_MESSAGE_BYTES;
    check(zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &most, sizeof most) == 0);
    s_set_int(socket, ZMQ_SNDHWM, LIMIT_NET_HWM);
    s_set_int(socket, ZMQ_RCVHWM, LIMIT_NET_HWM);
    s_set_int(socket, ZMQ_HANDSHAKE_IVL, NET_HELLO_MS);
    s_set_int(socket, ZMQ_LINGER, NET_FLUSH_MS);
    if (zmq_type == ZMQ_ROUTER) {
        s_set_int(socket, ZMQ_ROUTER_MANDATORY, 1);
        if (self->keys)
            net_keys_server(self->keys, socket);
    }
    if (zmq_type == ZMQ_DEALER) {
        s_set_int(socket, ZMQ_RECONNECT_IVL, NET_NEVER_MS);
        s_set_int(socket, ZMQ_CONNECT_TIMEOUT, NET_CONNECT_MS);
        if (self->keys)
            net_keys_client(self->keys, socket);
    }
}

err_t net_port_watch(ctx_t *ctx, net_t *self, port_t *port)
{
    struct epoll_event want = { .events = EPOLLIN, .data.ptr = port };
    if (fault_hit() || epoll_ctl(self->epoll, EPOLL_CTL_ADD, port->fd, &want) != 0)
        return ctx_fail(ctx, ERR_NETWORK, "cannot watch a socket: %s", strerror(errno));
    return OK;
}

static err_t s_watch_socket(ctx_t *ctx, net_t *self, port_t *port)
{
    size_t len = sizeof port->fd;
    check(zmq_getsockopt(port->socket, ZMQ_FD, &port->fd, &len) == 0);
    err_t err = net_port_watch(ctx, self, port);
    if (err != OK) {
        port->fd = -1;
        net_port_close(self, port, 0);
        return err;
    }
    net_port_touch(self, port);
    return OK;
}

err_t net_port_open(ctx_t *ctx, net_t *self, port_t *port, int zmq_type)
{
    check(port->socket == NULL);
    void *socket = fault_hit() ? NULL : zmq_socket(self->context, zmq_type);
    if (!socket)
        return ctx_fail(ctx, ERR_NETWORK, "cannot make a socket: %s; raise the limit of open "
                        "files (ulimit -n)", zmq_strerror(zmq_errno()));
    port->socket = socket;
    s_configure(self, socket, zmq_type);
    return s_watch_socket(ctx, self, port);
}

/* The pipe from a monitor has no high-water mark: the I/O thread blocks when
 * it is full, and every link of the process would wait for this node's loop. */
err_t net_port_monitor(ctx_t *ctx, net_t *self, port_t *port, void *socket, int events)
{
    char name[64];
    snprintf(name, sizeof name, "inproc://net-monitor-%llu",
             (unsigned long long)atomic_fetch_add(&s_monitor_names, 1));
    void *pair = fault_hit() ? NULL : zmq_socket(self->context, ZMQ_PAIR);
    if (!pair)
        return ctx_fail(ctx, ERR_NETWORK, "cannot make a socket: %s; raise the limit of open "
                        "files (ulimit -n)", zmq_strerror(zmq_errno()));
    port->socket = pair;
    s_set_int(pair, ZMQ_RCVHWM, 0);
    check(zmq_socket_monitor(socket, name, events) == 0);
    check(zmq_connect(pair, name) == 0);
    err_t err = s_watch_socket(ctx, self, port);
    if (err != OK)
        zmq_socket_monitor(socket, NULL, 0);
    return err;
}

/* First the sender stops, then the reader goes: the other way round the I/O
 * thread would block on a pipe without an end. */
void net_monitor_stop(net_t *self, port_t *monitor, void *socket)
{
    if (!monitor->socket)
        return;
    zmq_socket_monitor(socket, NULL, 0);
    net_port_close(self, monitor, 0);
}

void net_port_close(net_t *self, port_t *port, int linger_ms)
{
    if (port->dirty)
        TAILQ_REMOVE(&self->dirty, port, at_dirty);
    port->dirty = false;
    if (port->fd >= 0)
        epoll_ctl(self->epoll, EPOLL_CTL_DEL, port->fd, NULL);
    port->fd = -1;
    if (!port->socket)
        return;
    s_set_int(port->socket, ZMQ_LINGER, linger_ms);
    check(zmq_close(port->socket) == 0);
    port->socket = NULL;
}

void net_port_touch(net_t *self, port_t *port)
{
    if (port->dirty)
        return;
    port->dirty = true;
    TAILQ_INSERT_TAIL(&self->dirty, port, at_dirty);
}

view_t net_frame_view(zmq_msg_t *frame)
{
    return view_of(zmq_msg_data(frame), zmq_msg_size(frame));
}

/* What is left of a message with more frames than any of ours has. */
static void s_skip_rest(void *socket, bool more)
{
    while (more) {
        zmq_msg_t extra;
        zmq_msg_init(&extra);
        check(zmq_msg_recv(&extra, socket, ZMQ_DONTWAIT) >= 0);
        more = zmq_msg_more(&extra);
        zmq_msg_close(&extra);
    }
}

static int s_recv(void *socket, zmq_msg_t *frame)
{
    int len = zmq_msg_recv(frame, socket, ZMQ_DONTWAIT);
    if (len > 0)
        tsan_acquire(zmq_msg_data(frame));
    return len;
}

/* The frames of one message arrive together, so only the first can be missing. */
bool net_frames_recv(port_t *port, frames_t *ret)
{
    void *socket = port->socket;
    bool router = port->kind == PORT_ROUTER;
    zmq_msg_init(&ret->id);
    zmq_msg_init(&ret->head);
    zmq_msg_init(&ret->body);
    ret->too_many = false;
    zmq_msg_t *first = router ? &ret->id : &ret->head;
    if (s_recv(socket, first) < 0) {
        check(errno == EAGAIN || errno == EINTR);
        return false;           /* three messages that hold nothing need no close */
    }
    bool more = zmq_msg_more(first);
    if (router && more) {
        check(s_recv(socket, &ret->head) >= 0);
        more = zmq_msg_more(&ret->head);
    }
    if (more) {
        check(s_recv(socket, &ret->body) >= 0);
        more = zmq_msg_more(&ret->body);
    }
    ret->too_many = more;
    s_skip_rest(socket, more);
    return true;
}

void net_frames_fini(frames_t *frames)
{
    zmq_msg_close(&frames->id);
    zmq_msg_close(&frames->head);
    zmq_msg_close(&frames->body);
}

bool net_port_flows(port_t *port, bool *ret_readable)
{
    int events;
    size_t len = sizeof events;
    check(zmq_getsockopt(port->socket, ZMQ_EVENTS, &events, &len) == 0);
    *ret_readable = (events & ZMQ_POLLIN) != 0;
    return (events & ZMQ_POLLOUT) != 0;
}

static send_t s_send_failed(void)
{
    check(errno == EAGAIN || errno == EHOSTUNREACH || errno == EINTR);
    return errno == EHOSTUNREACH ? SEND_NOBODY : SEND_FULL;
}

send_t net_send(net_t *self, port_t *port, const way_t *way, const envelope_t *envelope,
                zmq_msg_t *body)
{
    check((way != NULL) == (port->kind == PORT_ROUTER));
    bool with_body = body && zmq_msg_size(body) > 0;
    uint8_t head[LIMIT_NET_ENVELOPE_BYTES];
    size_t len = envelope_pack(envelope, head);
    int last = with_body ? ZMQ_SNDMORE : 0;

    if (way && zmq_send(port->socket, way->id, way->id_len, ZMQ_DONTWAIT | ZMQ_SNDMORE) < 0)
        return s_send_failed();
    if (zmq_send(port->socket, head, len, ZMQ_DONTWAIT | last) < 0) {
        check(!way);            /* the ROUTER took the address, so it takes the rest */
        return s_send_failed();
    }
    if (with_body) {
        zmq_msg_t shared;
        zmq_msg_init(&shared);
        check(zmq_msg_copy(&shared, body) == 0);
        tsan_release(zmq_msg_data(&shared));
        check(zmq_msg_send(&shared, port->socket, ZMQ_DONTWAIT) >= 0);
    }
    net_port_touch(self, port);
    return SENT;
}

/* A monitor's message: {uint16 event, uint32 value}, then the endpoint. */
bool net_monitor_recv(port_t *port, monitor_event_t *ret)
{
    frames_t frames;
    if (!net_frames_recv(port, &frames))
        return false;
    view_t head = net_frame_view(&frames.head);
    check(head.len == 6);
    ret->event = load_u16(head.ptr);
    ret->value = (int)load_u32(head.ptr + 2);
    net_frames_fini(&frames);
    return true;
}
