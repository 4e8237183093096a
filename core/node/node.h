/* node - the seam between a role's decisions and the world
 *
 * A role (coord, datanode, …) is a step function: it is given one event and
 * its own state, and answers with actions.  It does no I/O, reads no clock,
 * draws no random number that is not seeded by EV_START.  Two things run it:
 *
 *     host.c         real sockets, metadata, workers          (the daemons)
 *     tests/sim      a seeded world in one thread             (the simulator)
 *
 *          net ─┐                        ┌─► call, reply, dial
 *        timers ─┤   event ┌──────┐ actions├─► timer
 *    meta, jobs ─┼────────►│ step │───────┼─► meta op, job
 *       clients ─┘         └──────┘        └─► item for a client, leave
 *
 * Everything asked for ends in exactly one event that carries the asker's
 * cookie: a call in EV_REPLY, a metadata operation in EV_META, a job in
 * EV_JOB.  What an event points to lives until the step returns; what an
 * action is given is copied.
 *
 * What a step asks for is done for the request that the event belongs to: a
 * call's for EV_CALL, and that of the asking step for what comes back.  A role
 * says so itself (act_trace) where it begins something at another's event: a
 * timer's, or the end of what was in the way.  What goes on for ever, a long
 * poll, is nobody's.
 */
#ifndef CORE_NODE_NODE_H
#define CORE_NODE_NODE_H

#include "core/base/base.h"
#include "core/base/buf.h"
#include "core/base/log.h"
#include "core/base/metrics.h"
#include "core/base/rng.h"
#include "core/base/spans.h"
#include "core/base/vec.h"
#include "core/meta/meta.h"
#include "core/net/net.h"

/* Who this node is: given at its making, never changing. */
typedef struct node_self {
    const char *role;           /* "coord", … */
    const char *cluster;        /* metadata root */
    const char *address;        /* how others dial it */
    const char *ops_address;
    const char *host;           /* machine name */
    const char *version;
    uint64_t id;
    uint64_t incarnation;
    int64_t started_ms;         /* wall clock */
    int64_t lease_ttl_ms;
    int64_t heartbeat_ms;       /* of its links; five missed make a peer suspect */
    bool standalone;
    const char *const *settings;    /* what it tells of its configuration: key, value … NULL; may
                                     * be NULL */
    metrics_t *metrics;         /* borrowed; where it counts; NULL, as in the simulator: nowhere */
} node_self_t;

typedef enum {
    EV_START,                   /* first event of all */
    EV_TIMER,                   /* a timer set by act_timer is due */
    EV_CALL,                    /* a peer asks; ends with act_reply */
    EV_CANCELLED,               /* that peer does not want the answer any more */
    EV_REPLY,                   /* a call of ours has ended */
    EV_PEER,                    /* a link came up, is suspect, is gone, was refused */
    EV_META,                    /* a metadata operation has ended */
    EV_WATCH,                   /* keys under a watched prefix changed */
    EV_JOB,                     /* a job has ended */
    EV_ITEM,                    /* something from the role's own I/O (proxy: a client's request) */
    EV_STOP,                    /* drain, then act_leave */
} event_kind_t;

typedef enum {
    META_GET, META_LIST, META_TXN, META_GRANT, META_KEEP, META_REVOKE, META_WATCH,
} meta_request_t;

typedef struct event {
    event_kind_t kind;
    int64_t now_ms;             /* this node's monotonic clock */
    int64_t wall_ms;
    ctx_t *ctx;                 /* of this step: scratch arena, error text */
    uint64_t cookie;            /* REPLY, META, WATCH, JOB: as given with the action */
    err_t err;                  /* REPLY, META, JOB */
    const char *text;           /* what went wrong, "" when OK */
    trace_t trace;              /* whose work it is */
    union {
        uint64_t seed;          /* START */
        uint32_t timer;         /* TIMER */
        struct {                /* CALL, CANCELLED */
            const net_peer_t *peer;
            net_from_t from;
            uint32_t method;
            view_t payload;
            uint64_t epoch;
            int64_t deadline_ms;
        } call;
        view_t payload;         /* REPLY */
        struct {                /* PEER */
            const char *endpoint;   /* as dialled */
            const net_peer_t *who;
            net_peer_state_t state;
        } peer;
        struct {                /* META */
            meta_item_t item;   /* GET */
            meta_items_t items; /* LIST */
            meta_txn_result_t txn;
            int64_t lease;      /* GRANT */
        } meta;
        struct {                /* WATCH */
            const meta_change_t *changes;
            size_t n;
        } watch;
        void *item;             /* ITEM: moved to the node; JOB: its argument */
    };
} event_t;

typedef enum {
    ACT_CALL, ACT_CANCEL, ACT_REPLY, ACT_DIAL, ACT_HANG_UP, ACT_TIMER, ACT_META, ACT_JOB,
    ACT_ITEM, ACT_LEAVE,
} action_kind_t;

/* Runs on a worker; err and text of ctx reach the node with EV_JOB. */
typedef err_t job_fn(ctx_t *ctx, void *arg);

typedef struct action {
    action_kind_t kind;
    uint64_t cookie;
    trace_t trace;              /* whose work it is */
    const char *endpoint;       /* CALL, DIAL, HANG_UP */
    net_call_t call;            /* CALL */
    net_from_t from;            /* REPLY */
    err_t err;
    const char *text;
    view_t payload;             /* REPLY */
    bool moved;                 /* CALL, REPLY: the bytes of a buf_t; who runs it frees them */
    uint64_t expect_id;         /* DIAL */
    uint32_t timer;             /* TIMER */
    int64_t after_ms;           /* TIMER; < 0: disarm */
    meta_request_t op;          /* META */
    const char *key;            /* META: key or prefix */
    meta_txn_t txn;
    int64_t lease, ttl_ms, timeout_ms;
    job_fn *fn;                 /* JOB */
    const char *name;           /* JOB: a literal, for people */
    bool compute;               /* JOB: on a thread that searches and builds, not on an I/O one */
    void *item;                 /* JOB: argument; ITEM: moved to the role's I/O */
} action_t;

/* What a step wants done, in order.  The host (or simulator) runs the list
 * after the step and empties it. */
typedef struct actions {
    vec_t list;                 /* of action_t */
    ctx_t memory;               /* arena of the copies */
    rng_t rng;                  /* the node's only source of chance; seeded at EV_START */
    uint64_t next_cookie;
    trace_t trace;              /* of what is asked for from here on */
} actions_t;

void actions_init(actions_t *act);
void actions_reset(actions_t *act);     /* after the list was run */
void actions_fini(actions_t *act);

/* From here on the step works for this one.  Returns whom it worked for before. */
trace_t act_trace(actions_t *act, trace_t trace);

/* A number no other call, operation or job of this node has. */
uint64_t act_cookie(actions_t *act);

void act_call(actions_t *act, const char *endpoint, uint32_t method, view_t payload,
              int64_t timeout_ms, uint64_t cookie);

/* The answer to the call with this cookie is not wanted any more: its EV_REPLY comes soon, with
 * ERR_CANCELED unless it was on its way already, and whoever was asked is told. */
void act_cancel(actions_t *act, uint64_t cookie);

void act_reply(actions_t *act, net_from_t from, view_t payload);

/* The same with a large payload: the bytes of buf are moved, not copied; buf is empty after. */
void act_call_moved(actions_t *act, const char *endpoint, uint32_t method, buf_t *payload,
                    int64_t timeout_ms, uint64_t cookie);
void act_reply_moved(actions_t *act, net_from_t from, buf_t *payload);
void act_refuse(actions_t *act, net_from_t from, err_t err, const char *format, ...)
    printf_like(4, 5);
void act_dial(actions_t *act, const char *endpoint, uint64_t expect_id);
void act_hang_up(actions_t *act, const char *endpoint);

/* One shot; setting it again moves it; after_ms < 0 disarms. */
void act_timer(actions_t *act, uint32_t timer, int64_t after_ms);

/* Metadata; every one but the watch ends in one EV_META, the watch goes on with
 * EV_WATCH for the life of the node (EV_META only when it cannot be set up). */
void act_meta_get(actions_t *act, const char *key, uint64_t cookie);
void act_meta_list(actions_t *act, const char *prefix, uint64_t cookie);
void act_meta_txn(actions_t *act, const meta_txn_t *txn, uint64_t cookie);

/* All of a transaction in the arena of ctx: for those who run it later.  Aborts without memory. */
meta_txn_t act_copy_txn(ctx_t *ctx, const meta_txn_t *txn);

void act_lease_grant(actions_t *act, int64_t ttl_ms, uint64_t cookie);
void act_lease_keep(actions_t *act, int64_t lease, uint64_t cookie);
void act_lease_revoke(actions_t *act, int64_t lease, uint64_t cookie);
void act_meta_watch(actions_t *act, const char *prefix, uint64_t cookie);

/* A job on an I/O thread (it waits), or on a compute thread (it works; about one a core). */
#define act_job(act, fn, arg, cookie) act_job_named(act, fn, #fn, arg, cookie)
#define act_compute(act, fn, arg, cookie) act_compute_named(act, fn, #fn, arg, cookie)

/* The same where the function's name says little; name: a literal. */
void act_job_named(actions_t *act, job_fn *fn, const char *name, void *arg, uint64_t cookie);
void act_compute_named(actions_t *act, job_fn *fn, const char *name, void *arg, uint64_t cookie);
void act_item(actions_t *act, void *item);

/* Stop running this node: it has drained (OK), or cannot go on and says why. */
void act_leave(actions_t *act, err_t err, const char *text);

/* A number a role lets the world see: on /metrics, and to those who wait for it. */
typedef struct figure {
    const char *name, *help;    /* a gauge; a counter when the name ends in _total */
    int64_t (*read)(const void *node);
} figure_t;

/* A role: how to make, run and end its node. */
typedef struct role {
    const char *name;
    /* Both borrowed for the node's life; options are the role's own kind. */
    void *(*make)(const node_self_t *self, const void *options);
    void (*step)(void *node, const event_t *ev, actions_t *act);
    void (*end)(void *node);
    bool (*ready)(const void *node);    /* can it do its work now? */
    const figure_t *figures;            /* ends with a NULL name; NULL: none */
    /* Set the gauges of node_self_t.metrics; after steps, at most once a second, less often when
     * that takes long.  NULL: none.
     * It changes nothing that a step looks at. */
    void (*measure)(void *node, int64_t wall_ms);
} role_t;

#endif
