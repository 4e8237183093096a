/* net_int - what the files of net share; nobody else includes this
 *
 *     net.c         open, close, poll; the essay on how a link lives
 *     net_port.c    sockets: making, waking, frames in and out, what monitors tell
 *     net_dial.c    links we dialled: greeting, pings, redialling
 *     net_guest.c   links others dialled: greeting, refusing, strangers
 *     net_call.c    our calls: ids, deadlines, sending again, cancelling
 *     net_serve.c   calls of others: doing each once, answers that are kept
 *     net_curve.c   keys and who is allowed in
 */
#ifndef CORE_NET_NET_INT_H
#define CORE_NET_NET_INT_H

#include "core/base/limits.h"
#include "core/base/map.h"
#include "core/base/rng.h"
#include "core/base/vec.h"
#include "core/net/alarm.h"
#include "core/net/net.h"
#include "core/net/net_port.h"
#include "core/wire/envelope.h"

enum {
    NET_HEARTBEAT_MS = 200,
    NET_MISSED_PINGS = 5,       /* then a peer is suspect */
    NET_STALE_PINGS  = 25,      /* then a dialled link is made anew */
    NET_FORGET_PINGS = 150,     /* then a suspect guest is forgotten */
    NET_LASTED_MS    = 100,     /* a link that was up for so long and breaks is dialled at once */
    NET_RETRY_MS     = 10,      /* between tries to send answers that met a full socket */
    NET_TURN         = 64,      /* messages from one socket before the next has its turn */
    NET_WAKE         = 64,      /* sockets reported by one epoll_wait */
    NET_SERVED_SLOTS = 16384,   /* chains of the table of served calls; a power of two */
};

typedef struct guest guest_t;
typedef struct keys keys_t;     /* net_curve.c */

/* --- our calls (net_call.c) --- */

/* A call without an answer yet.  Its id is seq * LIMIT_NET_CALLS + slot: found
 * without a search, never used twice, and later calls have higher ids. */
typedef struct asked {
    uint64_t id;
    uint32_t slot;
    dial_t *dial;               /* NULL: this slot is free */
    uint32_t method;
    uint64_t epoch, trace, span;
    zmq_msg_t body;
    uint64_t sent_to;           /* incarnation it was last sent to */
    bool sent;                  /* at least once */
    alarm_t deadline;
    TAILQ_ENTRY(asked) at_dial; /* also links the free slots */
} asked_t;

typedef TAILQ_HEAD(, asked) asked_list_t;

void net_call_flush(net_t *self, dial_t *dial);
void net_call_requeue(dial_t *dial);
void net_call_answered(net_t *self, dial_t *dial, const envelope_t *envelope, frames_t *frames);
void net_call_expired(net_t *self, asked_t *asked);
void net_call_restarted(net_t *self, dial_t *dial, uint64_t incarnation);
void net_call_fail_all(net_t *self, dial_t *dial, err_t err_sent, err_t err_unsent,
                       const char *text);
void net_call_fini(net_t *self);

/* --- links we dialled (net_dial.c) --- */

typedef enum { DIAL_DOWN, DIAL_GREETING, DIAL_UP, DIAL_QUIET } dial_state_t;

struct dial {
    char endpoint[sizeof ((net_peer_t *)0)->endpoint];
    bool inproc;
    dial_state_t state;
    port_t dealer, monitor;
    uint64_t expect_id;         /* 0: whoever answers */
    net_peer_t peer;            /* as it last introduced itself */
    int64_t heard_ms;           /* when it last said anything; or since when we dial */
    int64_t up_ms;              /* since when it is, or was, up */
    int64_t backoff_ms;
    alarm_t alarm;              /* DOWN: dial again; GREETING: give up waiting */
    bool has_told;
    net_peer_state_t told;      /* what the node was last told about it, and when */
    int64_t told_ms;
    err_t refused;              /* not OK: it does not work with us */
    char text[LIMIT_NET_TEXT_BYTES + 1];    /* why it was refused or lost, last */
    const char *closed;         /* why the socket closed; what it had sent is read first */
    asked_list_t calls;         /* open ones, by id */
    asked_t *unsent;            /* the first that this link has not sent; all behind it neither */
    size_t n_calls;
};

bool net_dial_input(net_t *self, dial_t *dial);     /* false: the socket is empty or closed */
bool net_dial_monitor(net_t *self, dial_t *dial);
void net_dial_alarm(net_t *self, dial_t *dial);
void net_dial_tick(net_t *self, dial_t *dial);
void net_dial_destroy(net_t *self, dial_t *dial);

/* --- links others dialled (net_guest.c) --- */

/* An accepted TCP connection, as the ROUTER's monitor tells it. */
typedef struct conn {
    int fd;                     /* of the I/O thread: never read, written or closed here */
    uint64_t cookie;            /* the kernel's number of the socket behind fd */
    int64_t since_ms;
    way_t *way;                 /* NULL until it greeted us */
    bool counted;               /* as malformed */
    TAILQ_ENTRY(conn) at_closed;
    char ip[48];
} conn_t;

/* A connection on which a guest has greeted us; its key is ROUTER's routing id. */
struct way {
    uint8_t id[255];
    uint8_t id_len;
    guest_t *guest;
    conn_t *conn;               /* NULL: inproc */
    int64_t heard_ms;
    bool quiet;
    TAILQ_ENTRY(way) at_guest;
};

typedef struct served served_t;
typedef TAILQ_HEAD(, served) served_list_t;

/* One process that dialled us, over one connection after the other. */
struct guest {
    uint64_t number;            /* net_from_t.link; never used twice */
    net_peer_t peer;
    bool remote;                /* links to it can break, so its answers are kept */
    size_t n_loud;              /* ways that are not quiet */
    int64_t quiet_ms;           /* since when n_loud is 0 */
    uint64_t dropped_id;        /* the highest id whose answer was dropped for its age */
    TAILQ_HEAD(, way) ways;
    served_list_t served;
};

bool net_guest_input(net_t *self);                  /* false: nothing more to read */
bool net_guest_monitor(net_t *self);
void net_guest_tick(net_t *self);
void net_guest_fini(net_t *self);

/* --- calls of others (net_serve.c) --- */

struct served {
    guest_t *guest;
    uint64_t request_id;
    way_t *way;                 /* where the answer goes; NULL: that link is gone */
    bool done, cancelled;
    bool unsent;                /* the answer met a full socket */
    bool body_lost;             /* done, but the answer was dropped for its size */
    err_t err;
    char *text;                 /* owned; NULL: "" */
    zmq_msg_t body;
    served_t *chain;            /* next in its slot of the table */
    TAILQ_ENTRY(served) at_guest;
    TAILQ_ENTRY(served) at_done;
};

void net_serve_call(net_t *self, way_t *way, const envelope_t *envelope, frames_t *frames);
void net_serve_cancel(net_t *self, way_t *way, uint64_t request_id);
void net_serve_forget_way(guest_t *guest, const way_t *way);
void net_serve_forget_guest(net_t *self, guest_t *guest);
void net_serve_retry(net_t *self);

/* --- keys (net_curve.c) --- */

err_t must_use net_keys_load(ctx_t *ctx, const net_curve_t *curve, keys_t **ret);
void net_keys_destroy(keys_t **self_p);
void net_keys_server(const keys_t *keys, void *socket);
void net_keys_client(const keys_t *keys, void *socket);
bool net_keys_input(net_t *self);                   /* answer one question of the I/O thread */

/* --- the node's end --- */

typedef enum { ALARM_TICK, ALARM_RETRY, ALARM_DIAL, ALARM_CALL } alarm_kind_t;

struct net {
    char cluster[LIMIT_NAME_BYTES + 1], version[LIMIT_NAME_BYTES + 1];
    char role[sizeof ((net_peer_t *)0)->role];
    char endpoint[256];         /* bound; "" when only dialling */
    uint64_t node_id, incarnation;
    int64_t heartbeat_ms;

    void *context;
    bool own_context;
    int epoll;
    keys_t *keys;               /* NULL: plain */
    port_t router, router_monitor, zap;
    vec_t fds;                  /* port_t *, watched for the node */
    port_list_t dirty;

    map_t *dials;               /* endpoint -> dial_t */
    map_t *ways;                /* routing id -> way_t */
    map_t *guests;              /* {node_id, incarnation} -> guest_t */
    map_t *conns;               /* fd -> conn_t */
    TAILQ_HEAD(, conn) closed;  /* of those that closed what they sent is still to be read */
    uint64_t next_guest;

    asked_t **asked;            /* [n_asked] by slot */
    size_t n_asked;
    asked_list_t free_asked;
    uint64_t next_seq;

    served_t **table;           /* [NET_SERVED_SLOTS] */
    served_list_t done;         /* kept answers, oldest first */
    size_t n_done, done_bytes;
    vec_t unsent;               /* net_from_t of answers to be tried again */

    alarms_t alarms;
    alarm_t tick, retry;
    int64_t now_ms;             /* when this round of net_poll woke up */
    int64_t overslept_ms;       /* how late the present tick is, when that is much */

    vec_t ready;                /* net_event_t for the node, from ready_at on */
    size_t ready_at;
    ctx_t scratch;              /* for the texts of errors only */
    envelope_room_t room;
    rng_t rng;
    net_stats_t stats;
};

/* Append an event; valid until the next one. */
net_event_t *net_emit(net_t *self, net_event_kind_t kind);

/* Give an event its payload (moved out of body, may be NULL) and its text. */
void net_event_fill(net_event_t *event, zmq_msg_t *body, const char *text);

/* See that the tick runs: something now depends on the time. */
void net_need_tick(net_t *self);

/* OK, or why the other end is none of ours. */
err_t must_use net_hello_check(net_t *self, const envelope_t *envelope);
void net_hello_fill(const net_t *self, envelope_t *envelope);
void net_peer_fill(net_peer_t *peer, const envelope_t *envelope);

#define CONTAINER(ptr, type, member) ((type *)((char *)(ptr) - offsetof(type, member)))

#endif
