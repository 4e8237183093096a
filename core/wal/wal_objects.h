/* wal_objects - the log of one pchannel as objects of a store (cluster)
 *
 *     wal/<channel>/<epoch>/<seq>     one object (wal_record.h), numbers as 16 hex digits;
 *                                     seq counts from 1 in each epoch, without a gap
 *
 * An object holds what was appended between two commits, up to LIMIT_WAL_PUT_BYTES, so
 * several batches have one position: group commit, paid for by one put.  WAL_PUTS_AT_ONCE
 * commits may run side by side; each takes what one object holds.
 *
 * Storing an object makes it durable, not committed.  Somebody else may have taken the
 * channel in the meantime and found this epoch's end before the object was there.  So
 * after a commit the owner asks the metadata, linearizably and *after* the put had
 * returned, whether the channel is still its own, and only then believes wal_frontier
 * (the fence check; it is the node's, one question for all its channels).
 *
 * Takeover, with the metadata's part done by the caller:
 *
 *     T1  compare-and-swap owner/<channel> to a new epoch       caller
 *     T2  wal_objects_survey: where each epoch ended            here
 *     T3  one transaction writes seal/<channel>/<epoch> for
 *         each of them and makes the owner ACTIVE               caller
 *         wal_objects_open: writes go on                        here
 *     T4  wal_objects_replay, beside them                       here
 *
 * T2 has to come after T1: whoever got an acknowledgement passed a fence check before T1,
 * and its objects were stored before that, so T2 finds them.  Objects behind a seal
 * (puts that arrived late) are never read.  docs: core/wal/README.md.
 */
#ifndef CORE_WAL_WAL_OBJECTS_H
#define CORE_WAL_WAL_OBJECTS_H

#include "core/base/vec.h"
#include "core/store/store.h"
#include "core/wal/wal.h"

enum {
    WAL_PUT_MS = 3000,          /* a put that is undecided for so long ends the epoch */
    WAL_PUTS_AT_ONCE = 4,       /* commits that may run side by side */
};

/* How an epoch ended: seal/<channel>/<epoch>. */
typedef struct wal_seal {
    uint64_t epoch, end;        /* end: its last seq; 0: it wrote nothing */
    uint64_t max_ts;            /* largest timestamp of this epoch and of those before */
    uint8_t hash[WAL_HASH_BYTES];   /* of the last object of it or, when it has none, before */
} wal_seal_t;

/* Find out how the epochs ended that nobody sealed yet: those from known's last + 1 (or from
 * the checkpoint's epoch) up to below `epoch`, which the caller has just claimed.
 *
 *   known   [n_known] seals that metadata has, by epoch, none missing between them; those
 *           before the checkpoint's epoch may be absent
 *   ckpt    the checkpoint; {0, 0}: none.  Objects up to it may be gone
 *   ret     of wal_seal_t, initialised by the caller; the new ones are pushed
 *
 * Errors  ERR_CORRUPT  an object at the end is damaged or not chained to the one before: named
 *         of store_list, store_head and store_get
 * Thread  I/O worker */
err_t must_use wal_objects_survey(ctx_t *ctx, store_t *store, view_t channel, uint64_t epoch,
                                  wal_position_t ckpt, const wal_seal_t *known, size_t n_known,
                                  vec_t *ret);

typedef struct wal_objects_options {
    view_t channel;
    uint64_t epoch;             /* claimed by the caller, and every epoch before is sealed */
    const wal_seal_t *seals;    /* [n_seals] by epoch; before the checkpoint's none is needed */
    size_t n_seals;
    wal_position_t ckpt;        /* replay what lies behind */
    wal_replay_fn *replay;      /* NULL: nothing is read */
    void *arg;
    unsigned readers;           /* objects fetched side by side; 0, 1: one after the other */
} wal_objects_options_t;

/* Open for writing under a fresh epoch; the store must stay until the log is destroyed.
 *
 * Errors  ERR_CORRUPT  an object is missing, damaged, or not chained: named; nothing was changed
 *         ERR_FENCED   the last seal is not of the epoch before: another node has gone on
 *         of store_get, or the callback's */
err_t must_use wal_objects_open(ctx_t *ctx, store_t *store, const wal_objects_options_t *options,
                                wal_t **ret);

/* Read what the epochs before wrote behind the checkpoint; it needs no log.  replay is not NULL.
 *
 * Errors  as above        Thread  I/O worker */
err_t must_use wal_objects_replay(ctx_t *ctx, store_t *store,
                                  const wal_objects_options_t *options);

#endif
