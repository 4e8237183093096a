/* wal - one pchannel's log, open for writing under an epoch
 *
 * What a channel's owner works with, whichever log is behind it: local files
 * (wal_local.h), or objects in a store.  The owner's logic does no I/O:
 *
 *     open      job    takes the channel under a new epoch, replays it
 *     append    node   gives a batch its position; memory only
 *     commit    job    makes what was appended durable
 *     frontier  node   after a commit: everything up to here may be acknowledged
 *     truncate  job    after a checkpoint: drop what lies wholly before it
 *
 * Jobs of one log run one at a time (the caller sees to that), but for commits, of which
 * wal_commits may run side by side, and beside a truncation when that is more than one;
 * append and frontier may be called beside all.  A batch appended while a commit runs is in
 * the next one: that is group commit.
 *
 * Failure: ERR_DISK_FULL and ERR_MEMORY from a commit mean that nothing behind
 * the frontier has been written: commit again later, or wal_discard and tell
 * the writers.  Any other error is final for this wal_t: what lies behind the
 * frontier may or may not be there (ERR_OUTCOME_UNKNOWN to its writers), and the
 * channel must be closed and opened again, which settles it.
 */
#ifndef CORE_WAL_WAL_H
#define CORE_WAL_WAL_H

#include "core/wal/wal_meter.h"
#include "core/wal/wal_record.h"

typedef struct wal wal_t;

/* One entry of a replay, borrowed for the call; an error ends the replay. */
typedef err_t wal_replay_fn(ctx_t *ctx, void *arg, const wal_head_t *head,
                            const wal_entry_t *entry);

typedef struct wal_driver {
    err_t must_use (*append)(ctx_t *ctx, wal_t *self, wal_batch_t *batch);
    err_t must_use (*commit)(ctx_t *ctx, wal_t *self);
    void (*discard)(wal_t *self);
    wal_position_t (*frontier)(wal_t *self);
    uint64_t (*max_ts)(wal_t *self);
    err_t must_use (*replay)(ctx_t *ctx, wal_t *self, wal_position_t after, wal_replay_fn *fn,
                             void *arg);
    err_t must_use (*truncate)(ctx_t *ctx, wal_t *self, wal_position_t upto);
    void (*destroy)(wal_t *self);
    size_t (*waiting)(wal_t *self);     /* NULL with one commit at a time */
    uint32_t commits;           /* that may run side by side; 0: one */
} wal_driver_t;

struct wal {
    const wal_driver_t *driver;
    const wal_meter_t *meter;   /* borrowed; set by the owner before the first commit; NULL: none */
};

/* Take a batch (borrowed until the frontier has passed batch->at, or the log was
 * discarded or destroyed) and set batch->at.  Timestamps must not fall from batch to
 * batch.  No I/O.
 *
 * Errors  ERR_QUEUE_FULL  LIMIT_WAL_PENDING_BYTES are waiting for a commit
 *         ERR_DISK        the log failed before; open it again
 */
static inline err_t must_use wal_append(ctx_t *ctx, wal_t *self, wal_batch_t *batch)
{
    return self->driver->append(ctx, self, batch);
}

/* Write what was appended before this call and wait for the disk; of what may be written side
 * by side, the next part.  I/O worker.
 * Errors  above */
static inline err_t must_use wal_commit(ctx_t *ctx, wal_t *self)
{
    return self->driver->commit(ctx, self);
}

/* How many commits may run side by side. */
static inline uint32_t wal_commits(const wal_t *self)
{
    return self->driver->commits ? self->driver->commits : 1;
}

/* Bytes that were appended and that a commit would take now; of a log with several commits. */
static inline size_t wal_waiting(wal_t *self)
{
    return self->driver->waiting(self);
}

/* Forget what was appended and is behind the frontier; the next batch takes its
 * numbers.  Not beside a commit. */
static inline void wal_discard(wal_t *self)
{
    self->driver->discard(self);
}

/* Everything up to here is durable. */
static inline wal_position_t wal_frontier(wal_t *self)
{
    return self->driver->frontier(self);
}

/* The largest timestamp that was ever durable: the clock of a new owner starts above. */
static inline uint64_t wal_max_ts(wal_t *self)
{
    return self->driver->max_ts(self);
}

/* Read what is durable and lies after a position, in order, each entry once.
 * Errors  ERR_CORRUPT, ERR_VERSION, ERR_DISK, ERR_MEMORY, or the callback's */
static inline err_t must_use wal_replay(ctx_t *ctx, wal_t *self, wal_position_t after,
                                        wal_replay_fn *fn, void *arg)
{
    return self->driver->replay(ctx, self, after, fn, arg);
}

/* Everything up to this position, at or before the frontier, is needed no more. */
static inline err_t must_use wal_truncate(ctx_t *ctx, wal_t *self, wal_position_t upto)
{
    return self->driver->truncate(ctx, self, upto);
}

static inline void wal_destroy(wal_t **self_p)
{
    if (*self_p)
        (*self_p)->driver->destroy(*self_p);
    *self_p = NULL;
}

#endif
