/* flush_job - see flush_job.h */
#include "datanode/flush_job.h"

struct flush_job {
    ctx_t memory;               /* the record */
    store_t *store;
    char *vchannel;             /* owned */
    flush_t *plan;
    uint64_t min_ts, max_ts, delta_ts;
    wal_position_t end;
    Elanus__Segment *record;    /* NULL: not put yet */
};

err_t flush_job_new(ctx_t *ctx, growing_t *segment, const flush_job_options_t *options,
                    flush_job_t **ret)
{
    check(ret && *ret == NULL && growing_rows(segment) > 0);
    owned(flush_job) self = mem_new(sizeof *self);
    ctx_init(&self->memory);
    self->store = options->store;
    self->vchannel = mem_strdup(options->vchannel);
    self->min_ts = growing_min_ts(segment);
    self->max_ts = growing_max_ts(segment);
    self->delta_ts = options->delta_ts;
    self->end = options->end;
    flush_options_t plan = { .attempt = options->attempt };
    TRY(flush_growing(ctx, segment, UINT64_MAX, &plan, &self->plan));
    *ret = take(self);
    return OK;
}

void flush_job_destroy(flush_job_t **self_p)
{
    flush_job_t *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    flush_destroy(&self->plan);
    mem_free(self->vchannel);
    ctx_fini(&self->memory);
    mem_free(self);
}

err_t flush_job_run(ctx_t *ctx, void *job)
{
    flush_job_t *self = job;
    TRY(flush_put(ctx, self->plan, self->store));
    Elanus__Segment *record = NULL;
    err_t err = data_record_of(&self->memory, self->plan, self->vchannel, &record);
    if (err != OK)
        return ctx_fail(ctx, err, "%s", self->memory.text);
    record->min_ts = self->min_ts;
    record->max_ts = self->max_ts;
    record->delta_ts = self->delta_ts;
    record->end_epoch = self->end.epoch;
    record->end_seq = self->end.seq;
    record->level = 1;
    self->record = record;
    return OK;
}

const Elanus__Segment *flush_job_record(const flush_job_t *self)
{
    check(self->record);
    return self->record;
}
