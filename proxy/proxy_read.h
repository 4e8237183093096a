/* proxy_read - one question to everybody who serves a collection
 *
 * A read is cut by shard: each vchannel has a leader that answers for it, one
 * leader may have several, and each node is asked once for all of its own.
 *
 *     start ─► route ─► ask node ─► answer ──┐ all vchannels answered
 *                ▲         │ retriable       ├────────────────────────► finish ─► done
 *                └─ news ◄─┘                 │ final error
 *                                            └───────────────────────────────────► done
 *
 * What a node did not answer is routed anew, by the picture as it is then, until
 * the client's deadline; what it does not answer soon is asked elsewhere as well
 * (proxy_lots.h).  A hybrid search has several parts, each a question of
 * its own, under way at the same time.
 *
 * Messages live in the call's arena.  The read itself does not: a node that is
 * slow may answer when the client has long been told of an error, so it goes
 * with the last answer.  Putting big answers together is work for a compute
 * thread: `finish` decides nothing and touches nothing but its read and the
 * call's arena.
 */
#ifndef PROXY_PROXY_READ_H
#define PROXY_PROXY_READ_H

#include "proxy/proxy_int.h"

typedef struct proxy_read proxy_read_t;

enum { READ_RETRY_MS = 100 };   /* until a node that failed is asked again */

typedef struct read_answer read_answer_t;

struct read_answer {
    read_answer_t *next;
    const ProtobufCMessage *message;    /* Found or Rows */
};

/* One question: its message and what was answered so far. */
typedef struct read_part {
    proxy_read_t *read;
    ProtobufCMessage *ask;      /* Elanus__Search or Elanus__Query */
    Elanus__ReadView *view;     /* of it; vchannels are filled in for each node */
    bool *open;                 /* [n_vchannels] not asked, or to be asked again */
    struct read_lot *lots;      /* what was asked, over or not; see proxy_lots.h */
    size_t n_lots;              /* that are not over */
    read_answer_t *answers;
    size_t n_answers;
} read_part_t;

/* Put the answers together: in a step, or on a compute thread.  Errors end the call. */
typedef err_t read_finish_fn(ctx_t *ctx, proxy_read_t *read);

/* In the step: answer the client; read->err tells how it went. */
typedef void read_done_fn(proxy_node_t *self, proxy_read_t *read, const event_t *ev,
                          actions_t *act);

struct proxy_read {
    proxy_read_t *prev, *next;  /* of the node's list */
    proxy_call_t *call;
    schema_t *schema;           /* held */
    uint64_t collection;
    char **vchannels;           /* [n_vchannels] in the call's arena */
    size_t n_vchannels;
    uint32_t method;
    size_t refs;                /* itself until done, calls, the wait for news */
    const char *doing;          /* "search": of "failed to search: …" */
    read_part_t *parts;         /* [n_parts] */
    size_t n_parts;
    int64_t give_up_ms;
    proxy_node_t *node;
    int64_t began_us;           /* for /metrics */
    bool waiting;               /* for news */
    bool ended;                 /* finish or done has begun: late answers do not count */
    size_t bytes;               /* of the answers */
    struct { uint64_t node; int64_t until_ms; } avoid[8];   /* those that failed, for a while */
    size_t n_avoided;
    err_t last_err;             /* why one failed, last; OK: none has */
    const char *last_text;
    err_t err;
    const char *text;
    read_finish_fn *finish;
    read_done_fn *done;
    void *arg;
};

/* A read of this collection; the caller fills in ask and view of each part, finish, done and
 * arg (in the call's arena), and starts it.  Gone after done. */
proxy_read_t *proxy_read_new(proxy_node_t *self, proxy_call_t *call,
                             const Elanus__Collection *coll, uint32_t method, size_t n_parts);
void proxy_read_start(proxy_node_t *self, proxy_read_t *read, const event_t *ev, actions_t *act);
void proxy_read_fini(proxy_node_t *self);

/* Look after reads under way then; when that time has come. */
void proxy_read_look_at(proxy_node_t *self, int64_t at_ms, const event_t *ev, actions_t *act);
void proxy_read_timer(proxy_node_t *self, const event_t *ev, actions_t *act);

/* The newest instant that an answer shows. */
uint64_t proxy_read_ts(const read_part_t *part);

/* A done for reads that put the response into the call's body themselves. */
read_done_fn proxy_read_answer;

/* The partitions that a request names, or those that are loaded, and whether the collection
 * is.  Errors  Milvus's codes and texts */
err_t must_use proxy_read_partitions(proxy_node_t *self, proxy_call_t *call,
                                     const Elanus__Collection *coll, const char *const *names,
                                     size_t n, Elanus__ReadView *view);

#endif
