/* merge_job - flushed segments of one partition to one, without what nobody can see
 *
 * The inputs keep serving while it runs; afterwards one transaction puts the new record and
 * marks the old ones DROPPED.  What the new segment knows of deletes is what all
 * inputs' objects knew: its `delta_ts` is the least of theirs, and newer deletes, which
 * are still pending for an input, are pending for it.  Inputs get no deltalogs meanwhile.
 */
#ifndef DATANODE_MERGE_JOB_H
#define DATANODE_MERGE_JOB_H

#include "datanode/data_record.h"

typedef struct merge_job merge_job_t;

typedef struct merge_job_options {
    store_t *store;             /* borrowed */
    schema_t *schema;           /* shared */
    uint64_t id;                /* of the new segment */
    uint64_t attempt;
    uint64_t safe_ts;           /* no reader at an older instant begins any more */
    uint64_t expire_ts;         /* rows older than this are gone (TTL); 0: none */
} merge_job_options_t;

merge_job_t *merge_job_new(const merge_job_options_t *options);
void merge_job_destroy(merge_job_t **self_p);

/* One more input, whose record is copied; all of one vchannel and partition.  known_ts: the
 * instant up to which its objects have every delete.  ERR_MEMORY. */
err_t must_use merge_job_add(ctx_t *ctx, merge_job_t *self, const Elanus__Segment *segment,
                             uint64_t known_ts);

/* A job_fn: open the inputs, put the new segment's objects.  Errors of sealed_open and of
 * flush_put; ERR_CORRUPT when an input cannot be read. */
err_t merge_job_run(ctx_t *ctx, void *job);

/* After a run that was OK.  The new record has no rows, and no objects, when none is left.
 * Borrowed. */
const Elanus__Segment *merge_job_record(const merge_job_t *self);
size_t merge_job_inputs(const merge_job_t *self);
const Elanus__Segment *merge_job_input(const merge_job_t *self, size_t i);
uint64_t merge_job_id(const merge_job_t *self);

#endif
