/* net - calls between nodes over ZeroMQ ROUTER/DEALER
 *
 * One net_t is one node's end: a ROUTER that others call and a DEALER to each
 * peer it calls.  It belongs to one thread, the node's loop, which sleeps in
 * net_poll and gets events back; nothing in here calls back.
 *
 * A call is an Envelope (proto/elanus.proto) in one frame and its payload in
 * the next, so that a large payload is never copied into a message.  It ends
 * in exactly one NET_REPLY by its deadline, never in silence: an answer, or
 *
 *     ERR_NETWORK           it was never sent, so surely not done
 *     ERR_TIMEOUT           sent, no answer: may have been done
 *     ERR_OUTCOME_UNKNOWN   sent, then the peer left, was restarted, or is suspect: may have
 *                           been done
 *     ERR_QUEUE_FULL        the peer has too much to do: not done
 *     ERR_CANCELED          net_cancel
 *     ERR_VERSION, ERR_CROSS_CLUSTER, ERR_NODE_NOT_MATCH, ERR_DENIED   the peer was refused
 *
 * A call is sent again with the same request_id when its link was re-made; a
 * receiver that is still at it, or has done it already, does not do it twice
 * (answers are kept for a while).
 *
 * Links start with a handshake (who, role, version, cluster) and end with a
 * goodbye.  Pings every heartbeat_ms; five missed, or a closed socket, make a
 * peer SUSPECT; a goodbye makes it GONE at once, and so does, for one that
 * dialled us, silence for 150 heartbeats.  Nothing pings on inproc.  Suspicion may
 * be wrong, and ends open calls all the same: their callers have other places to go
 * (net_dial.c).  A peer of another version or cluster is refused, with both named in
 * the text.
 *
 * "Full" has an answer: more than LIMIT_NET_IN_FLIGHT calls being answered and
 * the receiver replies ERR_QUEUE_FULL itself; a full socket or more than
 * LIMIT_NET_CALLS open calls and net_call says ERR_QUEUE_FULL at once.
 */
#ifndef CORE_NET_NET_H
#define CORE_NET_NET_H

#include "core/base/base.h"

typedef struct net net_t;

typedef struct net_curve {
    const char *key_file;       /* this node's secret key (czmq certificate file) */
    const char *allow_dir;      /* public keys of the nodes that may talk to us */
    const char *server_key;     /* Z85 public key every server of the cluster uses;
                                 * NULL: the one in key_file */
} net_curve_t;

typedef struct net_options {
    const char *listen;         /* "tcp://0.0.0.0:21124", "tcp://127.0.0.1:*", "inproc://coord";
                                 * NULL: only dials */
    const char *cluster;        /* the metadata root: nodes of two clusters refuse each other */
    const char *version;        /* NULL: ELANUS_VERSION */
    const char *role;           /* "coord", "datanode", … */
    uint64_t node_id;           /* unique in the cluster */
    uint64_t incarnation;       /* of this process start */
    int64_t heartbeat_ms;       /* 0: 200 */
    const net_curve_t *curve;   /* NULL: plain */
} net_options_t;

/* Who is at the other end of a link, from its handshake. */
typedef struct net_peer {
    uint64_t node_id;
    uint64_t incarnation;
    char role[16];
    char endpoint[128];         /* as dialled; "" for a peer that dialled us */
} net_peer_t;

typedef enum { NET_UP, NET_SUSPECT, NET_GONE, NET_REFUSED } net_peer_state_t;

/* Where an answer goes; a value, may be kept as long as the call is open. */
typedef struct net_from {
    uint64_t link;              /* number of the asking process inside this net_t */
    uint64_t request_id;
} net_from_t;

typedef enum { NET_CALL, NET_REPLY, NET_PEER, NET_CANCELLED, NET_FD } net_event_kind_t;

typedef struct net_event {
    net_event_kind_t kind;
    net_peer_t peer;            /* CALL, PEER: the other end */
    net_peer_state_t state;     /* PEER */
    bool dialled;               /* PEER: the link is one we dialled */
    net_from_t from;            /* CALL, CANCELLED */
    uint64_t call_id;           /* REPLY: what net_call returned */
    uint32_t method;            /* CALL: Envelope.kind */
    uint64_t epoch, trace;      /* CALL, REPLY */
    uint64_t span;              /* CALL: of trace, what asks */
    int64_t deadline_ms;        /* CALL: on our clock */
    err_t err;                  /* REPLY; PEER REFUSED: why */
    const char *text;           /* REPLY, PEER: what went wrong, "" when nothing did;
                                 * borrowed until net_free */
    view_t payload;             /* CALL, REPLY: borrowed until net_free */
    int fd;                     /* FD */
    void *frame_;               /* internal: what holds the payload */
} net_event_t;

typedef struct net_call {
    uint32_t method;
    view_t payload;             /* copied before net_call returns; with release: lent */
    void (*release)(void *payload, void *hint);     /* once, on any thread, when nobody
                                 * needs the payload any more; not when net_call fails */
    void *release_hint;
    int64_t timeout_ms;         /* > 0 */
    uint64_t epoch, trace, span;
} net_call_t;

/* Bind and start.
 *
 * Errors  ERR_NETWORK  the port is taken, or there is no such address or no socket
 *         ERR_CONFIG   a key cannot be read
 *         The text names the endpoint or file and says what to do.
 * Thread  a net_t belongs to one thread at a time; many may live in one process */
err_t must_use net_open(ctx_t *ctx, const net_options_t *options, net_t **ret);

/* Says goodbye to every link, flushes for at most 200 ms, closes.  Open calls end
 * here without a reply: there is no poll left to give it.  NULL is fine. */
void net_destroy(net_t **self_p);

/* The bound endpoint with its real port. */
const char *net_endpoint(const net_t *self);

/* Have a link to endpoint; dialling what is dialled already is free.  The link
 * is re-made for ever until net_hang_up.  expect_id 0: whoever answers.
 *
 * Errors  ERR_PARAM_INVALID  not an endpoint
 *         ERR_QUEUE_FULL     LIMIT_NET_PEERS are dialled
 *         ERR_NETWORK        no socket to be had; retriable */
err_t must_use net_dial(net_t *self, const char *endpoint, uint64_t expect_id);

/* Give the link up.  Its open calls end as if the peer had left. */
void net_hang_up(net_t *self, const char *endpoint);

/* Call a dialled endpoint; a NET_REPLY with *ret_call_id follows unless this fails.
 * While the link is not up the call waits for it, but for one that is suspect or has left
 * only until the next attempt to reach it: then it ends with ERR_NETWORK.
 *
 * Errors  ERR_QUEUE_FULL        the socket is full, LIMIT_NET_CALLS are open, or
 *                               LIMIT_NET_HWM wait for this link; retriable
 *         ERR_NETWORK           never dialled
 *         ERR_PARAM_TOO_LARGE   more than LIMIT_NET_MESSAGE_BYTES
 *         ERR_MEMORY            no memory for the payload */
err_t must_use net_call(net_t *self, const char *endpoint, const net_call_t *call,
                        uint64_t *ret_call_id);

/* The peer is told; the NET_REPLY (ERR_CANCELED) comes at the next poll. */
void net_cancel(net_t *self, uint64_t call_id);

/* Answer a NET_CALL, also one that was cancelled since.  Once; an answer to a peer
 * that is gone is silently dropped.  The payload is copied; one that is too large
 * or finds no memory turns the answer into that error. */
void net_reply(net_t *self, net_from_t from, err_t err, const char *text, view_t payload);

/* Answer OK with a payload that is lent, not copied: release is called once, on
 * any thread, when nobody needs it any more. */
void net_reply_lent(net_t *self, net_from_t from, view_t payload,
                    void (*release)(void *payload, void *hint), void *hint);

/* Also wake net_poll (NET_FD) when fd is readable. */
void net_watch_fd(net_t *self, int fd);

/* Wait up to timeout_ms (-1: for ever) and return up to `most` events; 0 when
 * time ran out. */
size_t net_poll(net_t *self, int64_t timeout_ms, net_event_t *ret, size_t most);

/* Release what the event borrows.  Any thread, any time, net_destroy or not. */
void net_free(net_event_t *event);

typedef struct net_stats {
    uint64_t calls_in, calls_out, repeats_in, resent, refused, malformed, full;
    size_t open_calls, in_flight, links;
} net_stats_t;

void net_stats(const net_t *self, net_stats_t *ret);

#endif
