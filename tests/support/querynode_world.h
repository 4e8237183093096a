/* querynode_world - query nodes, one as a rule, with everything around them made up
 *
 * Metadata and objects are the memory drivers.  The data node is a model of one: a log of
 * inserts and deletes for one vchannel, real growing segments in live.h, flushes, deltalogs,
 * checkpoints and compactions as metadata and objects.  Whatever the node asks for waits in a
 * bag, and the seed decides what ends next; only the changes of one watch stay in order.
 *
 * The model knows when each row came and died, so every read can be checked: it has to see
 * exactly the rows of its timestamp, each once.
 */
#ifndef TESTS_SUPPORT_QUERYNODE_WORLD_H
#define TESTS_SUPPORT_QUERYNODE_WORLD_H

#include "core/base/rng.h"
#include "core/meta/meta.h"
#include "core/node/node.h"
#include "core/segment/growing.h"
#include "core/store/store.h"
#include "elanus.pb-c.h"
#include "querynode/query_node.h"

enum { QW_COLL = 500, QW_PART = 501, QW_PART_B = 502, QW_INDEX = 700, QW_BUILD = 900, QW_NODE = 7,
       QW_DIM = 2, QW_ROWS = 30000, QW_NODES = 4 };

/* What a read is answered with. */
typedef struct qw_answer {
    bool there;
    err_t err;
    char text[256];
    uint64_t read_ts, count;
    size_t n;
    int64_t pks[QW_ROWS];
    uint64_t ts[QW_ROWS];
} qw_answer_t;

typedef struct querynode_world querynode_world_t;

/* Worlds made from now on have the data node in another process: rows travel.  Of the form of a
 * group's setup, so that its tests can be run in both. */
int qw_setup_remote(void **state);
bool qw_remote(const querynode_world_t *self);

querynode_world_t *qw_new(uint64_t seed, const query_options_t *options);

/* The same with several nodes of one replica; the first leads, until qw_lead. */
querynode_world_t *qw_new_many(uint64_t seed, const query_options_t *options, size_t n);
void qw_free(querynode_world_t **self_p);

rng_t *qw_rng(querynode_world_t *self);
store_t *qw_store(querynode_world_t *self);
int64_t *qw_now_ms(querynode_world_t *self);
int64_t qw_figure(querynode_world_t *self, const char *name);

/* --- what happens */

void qw_one(querynode_world_t *self);           /* one thing out of the bag, if there is any */
bool qw_idle(const querynode_world_t *self);    /* nothing is under way but parked FOLLOWs */
void qw_settle(querynode_world_t *self);        /* until idle, timers and all, for a while */
void qw_pass(querynode_world_t *self, int64_t ms);      /* time goes by; timers that are due fire */

/* Arm the nth fault within step number `step` from now on (of the node
 * but those of watches, or a job). */
void qw_fault(querynode_world_t *self, size_t step, int nth);
bool qw_fault_fired(const querynode_world_t *self);

/* --- metadata */

void qw_create(querynode_world_t *self);        /* coll/, session/, owner/ */
void qw_load(querynode_world_t *self, bool whole, bool part_a, bool part_b);
void qw_release(querynode_world_t *self);
void qw_set_ttl(querynode_world_t *self, int64_t seconds);
void qw_drop_partition(querynode_world_t *self);        /* QW_PART_B */

/* A coord that leads, and hears of damaged indexes: the last it was told, and how often. */
void qw_lead_coord(querynode_world_t *self);
const Elanus__BuildDamaged *qw_damaged(const querynode_world_t *self, size_t *ret_n);

/* The definition of an index of the vectors, and an attempt at it for the i-th segment, which is
 * flushed: built for real, and DONE in metadata.  The n-th of its objects, by name. */
void qw_define_index(querynode_world_t *self);
void qw_build(querynode_world_t *self, size_t i, uint64_t attempt);
const char *qw_build_object(querynode_world_t *self, uint64_t attempt, size_t n);

/* --- several nodes.  Reads go to the one that leads by metadata. */

void qw_lead(querynode_world_t *self, size_t node);
void qw_place(querynode_world_t *self);         /* place/: every flushed segment somewhere */
void qw_kill(querynode_world_t *self, size_t node);     /* what it had asked for comes to nothing */
void qw_start(querynode_world_t *self, size_t node);    /* another process under its id */
bool qw_lives(const querynode_world_t *self, size_t node);
void qw_lose(querynode_world_t *self);          /* one call between nodes, or its answer */
int64_t qw_figures(querynode_world_t *self, const char *name);         /* of all of them */

/* --- the data node */

void qw_insert(querynode_world_t *self, uint64_t partition, const int64_t *pks, size_t n,
               bool upsert);
void qw_delete(querynode_world_t *self, int64_t partition, const int64_t *pks, size_t n);
void qw_plan_flush(querynode_world_t *self, uint64_t partition);    /* sealed, put, not named */
void qw_commit_flush(querynode_world_t *self);
void qw_persist_deletes(querynode_world_t *self);       /* deltalogs, then the checkpoint */
bool qw_plan_compaction(querynode_world_t *self);       /* false: nothing to compact */
void qw_commit_compaction(querynode_world_t *self);
void qw_crash(querynode_world_t *self);         /* another incarnation, after a replay */
void qw_hold_watches(querynode_world_t *self, bool hold);       /* of segments */
void qw_hold_frontiers(querynode_world_t *self, bool hold);
size_t qw_frontiers(const querynode_world_t *self);     /* that arrived so far */
uint64_t qw_last_ts(const querynode_world_t *self);
size_t qw_flushed(const querynode_world_t *self);
const char *qw_object(const querynode_world_t *self, const char *prefix);  /* NULL: none */

/* --- reads */

/* Ask; the answer appears in *ret, some time.  view: its collection and channel are filled in. */
uint64_t qw_query(querynode_world_t *self, Elanus__ReadView view, bool count, qw_answer_t *ret);
void qw_cancel(querynode_world_t *self, uint64_t request);
const Elanus__Loaded *qw_loaded(querynode_world_t *self, ctx_t *ctx);

/* What the leading node tells of itself, in the arena of ctx; names are borrowed from it. */
const Elanus__Inspection *qw_inspect(const querynode_world_t *self, ctx_t *ctx,
                                     const Elanus__InspectAsk *ask);

/* Is this the answer of that timestamp?  NULL: yes; else what is wrong. */
const char *qw_wrong(querynode_world_t *self, const qw_answer_t *answer, bool count,
                     uint64_t partition);

#endif
