/* delta_job - deletes of a channel that its flushed segments do not know yet
 *
 * The owner keeps every delete in memory until it is in the deltalogs of all segments
 * that it may concern; only then may the checkpoint pass it.  One job takes the deletes
 * up to one instant, and the channel's flushed segments with the instant up to which each
 * knows them already.  A segment gets one more deltalog with those of its partition
 * that are newer than that and that its stats do not deny; most get none.
 *
 *     deletes ts:   3   5   7   9                     up to 9
 *     segment A     knows up to 5  ─► 7, 9 ∩ its keys  ─► deltalog, knows up to 9
 *     segment B     knows up to 9  ─► nothing to do
 *
 * Within one deltalog, of the deletes of one key that are newer than all rows of
 * the segment only the first says anything.  A hot key that is upserted a thousand times
 * costs an old segment one record a job.
 */
#ifndef DATANODE_DELTA_JOB_H
#define DATANODE_DELTA_JOB_H

#include "datanode/data_record.h"
#include "datanode/stats_cache.h"

typedef struct delta_job delta_job_t;

typedef struct delta_job_options {
    store_t *store;             /* borrowed, like cache */
    stats_cache_t *cache;       /* nobody else uses it while the job runs */
    uint64_t attempt;
    uint64_t upto_ts;           /* of the deletes that are given; no later ones are left out */
} delta_job_options_t;

delta_job_t *delta_job_new(const delta_job_options_t *options);
void delta_job_destroy(delta_job_t **self_p);

/* Take deletes in, which are copied; partition -1: of all.  Of one vchannel in the order of
 * their timestamps.  ERR_MEMORY. */
err_t must_use delta_job_add(ctx_t *ctx, delta_job_t *self, const char *vchannel, uint64_t ts,
                             int64_t partition, const column_t *pks);

/* A flushed segment, whose record is copied, and the instant up to which its objects
 * have every delete.  ERR_MEMORY. */
err_t must_use delta_job_aim(ctx_t *ctx, delta_job_t *self, const Elanus__Segment *segment,
                             uint64_t after_ts);

/* A job_fn.  Errors of the store, ERR_MEMORY. */
err_t delta_job_run(ctx_t *ctx, void *job);

/* After a run that was OK: segment i's record with its new deltalog, NULL where nothing hit.
 * Borrowed.  *ret_segment: its id. */
size_t delta_job_aims(const delta_job_t *self);
const Elanus__Segment *delta_job_record(const delta_job_t *self, size_t i, uint64_t *ret_segment);
uint64_t delta_job_upto(const delta_job_t *self);

#endif
