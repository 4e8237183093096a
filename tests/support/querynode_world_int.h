/* querynode_world_int - the state that the files of the made-up world share */
#ifndef TESTS_SUPPORT_QUERYNODE_WORLD_INT_H
#define TESTS_SUPPORT_QUERYNODE_WORLD_INT_H

#include "core/segment/flush.h"
#include "tests/support/querynode_world.h"

#define QW_PCHANNEL "dml_0"
#define QW_VCHANNEL "dml_0_500v0"
#define QW_COORD    "inproc://coord"

enum { MOST_ROWS = 60000, MOST_RUNS = 20000, WALL_MS = 1700000, MOST_COMPACTED = 3,
       LINK_READ = 1, LINK_LOADED = 2, LINK_PEER = 100 };

typedef enum { P_META, P_JOB, P_CALL, P_WATCH, P_EVENT } pending_kind_t;

typedef struct pending {
    pending_kind_t kind;
    size_t node;                /* whose it is */
    uint64_t incarnation;       /* of that node: its successor gets nothing of it */
    uint64_t order;             /* WATCH: the watch; its items keep their order */
    bool segments;              /* and it is the one of segments */
    ctx_t memory;
    action_t ask;
    event_t ev;
} pending_t;

typedef struct row {
    int64_t pk;
    uint64_t ts, died, partition, segment, seq;
} row_t;

/* Keys deleted by one entry. */
typedef struct run {
    uint64_t ts, seq;
    int64_t partition;
    size_t n;
    int64_t *pks;
} run_t;

typedef struct seg {
    uint64_t id, partition, first_seq, last_seq;
    growing_t *rows;
    bool sealed;                /* planned to be flushed */
    bool flushed;
} seg_t;

/* A FOLLOW that waits: the call as it came. */
typedef struct parked { uint64_t cookie; pending_t *call; } parked_t;
typedef struct asked { uint64_t request; size_t node; bool count; qw_answer_t *ret; } asked_t;

/* A call from one query node to another that has arrived there. */
typedef struct peer_call {
    uint64_t request, cookie, incarnation;
    size_t from, to;
} peer_call_t;

typedef struct qw_node {
    void *node;                 /* NULL: it is not there */
    node_self_t who;
    char address[32], session[32];
    actions_t act;
    int64_t timer_ms;
} qw_node_t;
typedef struct follow {
    querynode_world_t *world;
    uint64_t cookie;
    size_t node;
    bool segments;
    meta_watch_t *watch;
} follow_t;

struct querynode_world {
    qw_node_t nodes[QW_NODES];
    size_t n_nodes, leader;     /* as replica/ names it */
    uint64_t next_incarnation;
    vec_t peer_calls;           /* of peer_call_t */
    query_options_t options;
    rng_t rng;
    ctx_t ctx;
    int64_t began_ms, now_ms;
    meta_t *meta;
    store_t *store;
    schema_t *schema;
    vec_t bag;                  /* of pending_t * */
    vec_t follows;              /* of follow_t * */
    vec_t asked;                /* of asked_t */
    Elanus__BuildDamaged *damaged;      /* what the coord was told last */
    size_t n_damaged;
    uint64_t requests;
    Elanus__Loaded *loaded;
    ctx_t *loaded_ctx;

    uint64_t incarnation, epoch, seq, last_ts, next_id, ckpt_seq, ckpt_ts, entry_ts;
    vec_t segs;                 /* of seg_t */
    vec_t parked;               /* of parked_t */
    bool remote;                /* rows are sent */
    bool hold_frontiers;
    vec_t held;                 /* of pending_t *: FRONTIER calls */
    size_t frontiers;
    bool hold_watches;
    size_t steps, fault_step;
    int fault_nth;
    bool fault_armed, fault_fired;
    row_t rows[MOST_ROWS];
    size_t n_rows;
    run_t runs[MOST_RUNS];
    size_t n_runs;
    bool part_b_dropped;
    int64_t ttl;                /* seconds; 0: none */

    flush_t *flush;             /* planned */
    uint64_t flush_id, flush_ts;
    flush_t *compaction;
    uint64_t compact_from[MOST_COMPACTED], compact_ts, compact_id;
    size_t n_from;
};

/* To a call of a query node. */
void qw_reply_later(querynode_world_t *w, const pending_t *call, err_t err, const void *message);
void qw_pending_free(pending_t *p);
uint64_t qw_clock(querynode_world_t *w);
seg_t *qw_seg(const querynode_world_t *w, size_t i);
bool qw_call_owner(querynode_world_t *w, pending_t *p);  /* true: the call was kept */
void qw_wake(querynode_world_t *w);             /* answer the parked FOLLOWs */
void qw_show_owner(querynode_world_t *w);       /* in live.h, unless it is remote */
void qw_park_free(querynode_world_t *w);
void qw_free_segs(querynode_world_t *w);

#endif
