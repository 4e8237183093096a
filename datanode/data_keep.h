/* data_keep - what the files of persistence share, beside data_int.h
 *
 *     data_persist.c   the hooks, the clock, when a segment seals, METHOD_SEAL
 *     data_errand.c    jobs and guarded transactions, one after the other
 *     data_flush.c     sealed segments and deletes to the store, the checkpoint
 *     data_merge.c     compaction, and METHOD_COMPACT, METHOD_COMPACTION
 *     data_gc.c        objects and keys that are not needed any more
 *
 * What must be true at any time, and is decided here and nowhere else:
 *
 * 1. A record names only objects that are durable.
 * 2. Every delete up to the `known_ts` of a flushed segment that hits one of its rows is in
 *    its objects.
 * 3. The checkpoint lies before the first row of every segment that has no record yet, and
 *    before the first delete that is newer than the known_ts of a flushed segment of
 *    its vchannel.  So what is neither in a record's objects nor behind the checkpoint is
 *    in the log.
 * 4. A segment's record is changed by one errand at a time (mark_t.busy), from before its first
 *    transaction is sent: the watch may show what was written while the errand still asks
 *    whether it was.
 *
 * A merge keeps 2 and 3 by itself: what it makes knows what the least of its inputs knows,
 * and no input learns more meanwhile.
 */
#ifndef DATANODE_DATA_KEEP_H
#define DATANODE_DATA_KEEP_H

#include "datanode/data_path.h"
#include "datanode/delta_job.h"
#include "datanode/flush_job.h"
#include "datanode/gc_job.h"
#include "datanode/merge_job.h"

typedef struct keeper keeper_t;
typedef struct errand errand_t;
typedef struct compaction compaction_t;

/* What is remembered of a flushed segment, beside its record. */
typedef struct mark {
    uint64_t known_ts;
    int64_t dense_ms;           /* wall clock: since when so much of it is dead; 0: it is not */
    bool busy;                  /* an errand is about to change its record */
} mark_t;

/* Segments that are to be merged because somebody asked. */
typedef struct merge_wish {
    uint64_t compaction;        /* 0: nobody asked */
    uint64_t *segments;         /* [n], owned */
    size_t n;
    uint32_t failed;            /* times */
} merge_wish_t;

/* Persistence of one ACTIVE channel. */
struct keeper {
    data_channel_t *channel;    /* held */
    bool closed;                /* it is not ours any more: what comes back is void */
    uint32_t users;             /* errands */
    attempts_t attempts;
    stats_cache_t *stats;       /* the delta job's while one is under way */
    map_t *marks;               /* segment -> mark_t, owned */

    bool sealed;                /* something can be flushed once the commit is applied */
    int64_t sizes_at_ms;        /* next look at sizes */
    uint32_t flushes;           /* under way */
    uint64_t flushed_bytes;     /* of memory, ever */

    bool deltas;                /* a delta job is under way */
    bool deltas_asked;
    int64_t deltas_at_ms;       /* not before */
    uint32_t deltas_failed;     /* in a row */

    bool ckpt;                  /* one is being written */
    int64_t ckpt_at_ms;

    bool merging;
    int64_t merge_at_ms;
    uint32_t merges_failed;
    vec_t wishes;               /* of merge_wish_t */
    vec_t asked;                /* of uint64_t: compactions to be planned when deltas are done */
};

/* A manual compaction, as clients ask for it. */
struct compaction {
    uint64_t id, collection;
    uint32_t unplanned;         /* channels that have not said yet what they will merge */
    uint32_t executing, completed, failed;
    vec_t merges;               /* of merge_done_t */
    vec_t askers;               /* of net_from_t: METHOD_COMPACT, until all is planned */
};

typedef struct merge_done { uint64_t *from; size_t n; uint64_t into; } merge_done_t;

typedef struct persist {
    map_t *keepers;             /* by name of the channel -> keeper_t, owned */
    vec_t errands;              /* of errand_t *, owned */
    map_t *compactions;         /* id -> compaction_t, owned */
    vec_t compaction_ids;       /* of uint64_t, oldest first */
    uint32_t merges;            /* under way */
    int64_t gc_at_ms;           /* when the next round begins */
    bool gc_busy;
    gc_look_t *gc_look;         /* this round's, NULL: not there yet; owned */
} persist_t;

static inline persist_t *persist_of(const data_node_t *node)
{
    return node->persist;
}

/* --- data_errand.c ------------------------------------------------------------------------ */

typedef void errand_fn(errand_t *errand, err_t err, const event_t *ev, actions_t *act);

/* Something that takes jobs and transactions, one at a time.  It belongs to the node, so it
 * ends with it wherever it is. */
struct errand {
    data_node_t *node;
    keeper_t *keeper;           /* counted; NULL: of no channel */
    errand_fn *then;            /* what follows the job or transaction under way */
    ctx_t memory;               /* of the errand: keys, values */
    meta_op_t *ops;             /* under way */
    size_t n_ops;
    int64_t begun_ms;           /* its last job */
    int64_t began_us;           /* the errand; for /metrics */
    int64_t read_at_ms;         /* when to ask what became of them; 0: nobody has to */

    flush_job_t *flush;         /* owned, like all of these; most are NULL */
    delta_job_t *deltas;
    merge_job_t *merge;
    gc_sweep_t *sweep;
    char *vchannel;
    uint64_t segment;           /* that is flushed; garbage: a collection, or a segment */
    uint64_t compaction;        /* 0: nobody asked for this merge */
    uint32_t failed;            /* times, this merge before */
    vec_t segments;             /* of uint64_t: a collection of garbage is busy with them */
    size_t at, upto;            /* of a delta job's aims: named up to at, under way up to upto;
                                 * of a look: the place in its page */
    Elanus__Checkpoint ckpt;
};

errand_t *errand_new(data_node_t *node, keeper_t *keeper);
void errand_end(errand_t *errand);
void errands_end(data_node_t *node);    /* all of them: the node ends */

/* Run a job; its argument is one of the errand's own.  Then `then`. */
#define errand_job(errand, fn, ...) errand_job_named(errand, fn, #fn, __VA_ARGS__)
void errand_job_named(errand_t *errand, job_fn *fn, const char *name, void *arg, errand_fn *then,
                      const event_t *ev, actions_t *act);

/* May what its job has put be named by metadata?  Not when the channel is lost, and not when so
 * much time has passed (this process was frozen, say) that another node may take the objects
 * for garbage. */
bool errand_may_name(const errand_t *errand, const event_t *ev);

/* Write, under the compare of the channel's owner.  Keys and values live in errand->memory.
 * `then` is told for sure:
 *     OK          written, and the node's picture shows it
 *     ERR_MOVED   the channel is somebody else's; data_channel_lost was called
 *     others      not written; try again later
 * An outcome that is unknown is read back first, however long it takes. */
void errand_commit(errand_t *errand, const meta_op_t *ops, size_t n_ops, errand_fn *then,
                   const event_t *ev, actions_t *act);

/* Puts of segments' records, in the errand's memory. */
meta_op_t errand_put_segment(errand_t *errand, const Elanus__Segment *record);

/* Outcomes that it is time to ask about. */
void errands_due(data_node_t *node, const event_t *ev, actions_t *act);

/* --- data_persist.c ----------------------------------------------------------------------- */

/* The keeper of a channel; NULL: it is not ACTIVE, or its errand came back too late. */
keeper_t *keeper_of(const data_channel_t *channel);

/* Rows or deletes that begin at `first` make a takeover read too many objects, and are old enough
 * for a checkpoint to pass them. */
bool keeper_lags(const keeper_t *keeper, wal_position_t first, int64_t age_ms);

/* What is remembered of a flushed segment; made when there is nothing yet. */
mark_t *keeper_mark(keeper_t *keeper, const Elanus__Segment *record);
void keeper_forget(keeper_t *keeper, uint64_t segment);

/* FLUSHED segments of the channel: of one vchannel (NULL: all), by id, in the arena. */
size_t keeper_flushed(const keeper_t *keeper, ctx_t *ctx, const char *vchannel,
                      uint64_t collection, const Elanus__Segment ***ret);
size_t keeper_segments(const keeper_t *keeper, ctx_t *ctx, const char *vchannel,
                       uint64_t collection, const Elanus__Segment ***ret);    /* DROPPED too */

/* An errand of it has ended. */
void keeper_release(keeper_t *keeper);

/* Do whatever can be done now. */
void keeper_work(keeper_t *keeper, const event_t *ev, actions_t *act);

/* Milliseconds to wait after so many failures in a row. */
int64_t keeper_pause_ms(uint32_t failures);

/* --- data_flush.c ------------------------------------------------------------------------- */

void keeper_flush(keeper_t *keeper, const event_t *ev, actions_t *act);
void keeper_deltas(keeper_t *keeper, const event_t *ev, actions_t *act);
void keeper_ckpt(keeper_t *keeper, const event_t *ev, actions_t *act);

/* --- data_merge.c ------------------------------------------------------------------------- */

void keeper_merge(keeper_t *keeper, const event_t *ev, actions_t *act);
void keeper_plan_asked(keeper_t *keeper, const event_t *ev, actions_t *act);
void keeper_drop_wishes(keeper_t *keeper);
void data_compact_call(data_node_t *self, const event_t *ev, actions_t *act);
void data_compaction_call(data_node_t *self, const event_t *ev, actions_t *act);
void data_compactions_due(data_node_t *self, const event_t *ev, actions_t *act);
void data_compactions_end(data_node_t *self);

/* --- data_gc.c ---------------------------------------------------------------------------- */

void data_gc_work(data_node_t *self, const event_t *ev, actions_t *act);

#endif
