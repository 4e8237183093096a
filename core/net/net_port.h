/* net_port - the sockets of a net, and messages as frames; for the files of net only */
#ifndef CORE_NET_NET_PORT_H
#define CORE_NET_NET_PORT_H

#include <sys/queue.h>
#include <zmq.h>

#include "core/net/net.h"
#include "core/wire/envelope.h"

typedef struct dial dial_t;
typedef struct way way_t;

enum {
    NET_HELLO_MS   = 5000,      /* for a handshake, from connect or accept to our greeting */
    NET_CONNECT_MS = 2000,      /* for TCP's own handshake */
    NET_FLUSH_MS   = 200,       /* for what is still to be sent when a socket closes */
    NET_NEVER_MS   = 3600000,   /* until libzmq reconnects by itself; net_dial.c is first.  Its
                                 * own "never", -1, drops what has come and is not yet read */
};

typedef enum { PORT_ROUTER, PORT_DEALER, PORT_ROUTER_MONITOR, PORT_DEALER_MONITOR,
               PORT_ZAP, PORT_FD } port_kind_t;

/* Something epoll watches.  A ZeroMQ descriptor only says that the socket has
 * changed since it was last used, so a port is *dirty* until reading it said
 * "nothing more": after epoll reported it, and after each send on it.  Whoever
 * tries to send outside the port's own turn touches it even when that failed;
 * within the turn that would make a full socket spin. */
typedef struct port {
    port_kind_t kind;
    void *socket;               /* NULL: not open; always NULL for PORT_FD */
    int fd;
    dial_t *dial;               /* DEALER and its monitor */
    bool dirty;
    TAILQ_ENTRY(port) at_dirty;
} port_t;

typedef TAILQ_HEAD(, port) port_list_t;

/* One message as it came; close with net_frames_fini. */
typedef struct frames {
    zmq_msg_t id;               /* ROUTER: who sent it */
    zmq_msg_t head, body;       /* body is empty when there was none */
    bool too_many;
} frames_t;

typedef enum { SENT, SEND_FULL, SEND_NOBODY } send_t;

err_t must_use net_port_open(ctx_t *ctx, net_t *self, port_t *port, int zmq_type);
err_t must_use net_port_watch(ctx_t *ctx, net_t *self, port_t *port);
err_t must_use net_port_monitor(ctx_t *ctx, net_t *self, port_t *port, void *socket, int events);
void net_port_close(net_t *self, port_t *port, int linger_ms);
void net_port_touch(net_t *self, port_t *port);
void net_monitor_stop(net_t *self, port_t *monitor, void *socket);

/* False when nothing is there.  The frames are the caller's on true. */
bool must_use net_frames_recv(port_t *port, frames_t *ret);
void net_frames_fini(frames_t *frames);
view_t net_frame_view(zmq_msg_t *frame);

/* Whether the socket takes messages, and whether it has some. */
bool net_port_flows(port_t *port, bool *ret_readable);

/* Send an envelope, with the body behind it when there is one (shared, not
 * copied); way NULL on a DEALER. */
send_t must_use net_send(net_t *self, port_t *port, const way_t *way,
                         const envelope_t *envelope, zmq_msg_t *body);

typedef struct monitor_event { int event, value; } monitor_event_t;
bool must_use net_monitor_recv(port_t *port, monitor_event_t *ret);

#endif
