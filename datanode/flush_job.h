/* flush_job - one sealed growing segment to objects and a record
 *
 * The plan is made on the channel's own thread, because it fixes an instant: all rows,
 * and the deaths known then.  So `delta_ts` is the timestamp of the last entry that was
 * applied to the channel; deletes that come later are pending for the flushed segment,
 * like for any other.  The rest is putting objects.
 */
#ifndef DATANODE_FLUSH_JOB_H
#define DATANODE_FLUSH_JOB_H

#include "datanode/data_record.h"

typedef struct flush_job flush_job_t;

typedef struct flush_job_options {
    store_t *store;             /* borrowed */
    const char *vchannel;
    uint64_t attempt;
    uint64_t delta_ts;          /* every delete up to here has been applied to the segment */
    wal_position_t end;         /* of its last row in the log */
} flush_job_options_t;

/* Plan; the segment is referenced until the job is destroyed.  Errors of flush_growing.
 * Thread: the segment's writer. */
err_t must_use flush_job_new(ctx_t *ctx, growing_t *segment, const flush_job_options_t *options,
                             flush_job_t **ret);
void flush_job_destroy(flush_job_t **self_p);

/* A job_fn: put the objects.  Errors of flush_put. */
err_t flush_job_run(ctx_t *ctx, void *job);

/* What to write into metadata; after a run that was OK.  Borrowed. */
const Elanus__Segment *flush_job_record(const flush_job_t *self);

#endif
