/* merge_job - see merge_job.h */
#include "datanode/merge_job.h"

#include "core/base/vec.h"
#include "core/segment/compact.h"
#include "datanode/data_planted.h"

struct merge_job {
    ctx_t memory;               /* records */
    merge_job_options_t options;
    vec_t inputs;               /* Elanus__Segment *, memory */
    uint64_t known_ts;
    Elanus__Segment *record;    /* NULL: not put yet */
};

merge_job_t *merge_job_new(const merge_job_options_t *options)
{
    merge_job_t *self = mem_new(sizeof *self);
    ctx_init(&self->memory);
    self->options = *options;
    self->options.schema = schema_ref(options->schema);
    self->known_ts = UINT64_MAX;
    vec_init(&self->inputs, sizeof(Elanus__Segment *));
    return self;
}

void merge_job_destroy(merge_job_t **self_p)
{
    merge_job_t *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    schema_unref(&self->options.schema);
    vec_fini(&self->inputs);
    ctx_fini(&self->memory);
    mem_free(self);
}

err_t merge_job_add(ctx_t *ctx, merge_job_t *self, const Elanus__Segment *segment,
                    uint64_t known_ts)
{
    Elanus__Segment *copy = NULL;
    if (data_record_copy(&self->memory, segment, &copy) != OK)
        return ctx_fail(ctx, ERR_MEMORY, "no memory to merge segment %llu",
                        (unsigned long long)segment->id);
    vec_push(&self->inputs, &copy);
    self->known_ts = known_ts < self->known_ts ? known_ts : self->known_ts;
    return OK;
}

static err_t s_open(ctx_t *ctx, merge_job_t *self, sealed_t **opened)
{
    for (size_t i = 0; i < self->inputs.len; i++) {
        const Elanus__Segment *input = merge_job_input(self, i);
        TRY(ctx_alive(ctx));
        sealed_files_t files = data_record_files(input);
        if (sealed_open(ctx, self->options.store, self->options.schema, &files, false,
                        &opened[i]) != OK)
            return ctx_prefix(ctx, "segment %llu", (unsigned long long)input->id);
    }
    return OK;
}

/* Instants that no row of the result is outside of. */
static void s_bounds(const merge_job_t *self, Elanus__Segment *record)
{
    record->min_ts = UINT64_MAX;
    for (size_t i = 0; i < self->inputs.len; i++) {
        const Elanus__Segment *input = merge_job_input(self, i);
        record->min_ts = input->min_ts < record->min_ts ? input->min_ts : record->min_ts;
        record->max_ts = input->max_ts > record->max_ts ? input->max_ts : record->max_ts;
    }
    if (record->min_ts < self->options.expire_ts)
        record->min_ts = self->options.expire_ts;
}

/* What the inputs lack already, and what was left out now. */
static uint64_t s_purged(const merge_job_t *self, sealed_t *const *opened)
{
    uint64_t newest = compact_purged(opened, self->inputs.len, self->options.safe_ts);
    for (size_t i = 0; i < self->inputs.len; i++) {
        const Elanus__Segment *input = merge_job_input(self, i);
        newest = input->purged_ts > newest ? input->purged_ts : newest;
    }
    return newest;
}

static err_t s_record(ctx_t *ctx, merge_job_t *self, sealed_t *const *opened, const flush_t *plan)
{
    Elanus__Segment *record = NULL;
    if (data_record_of(&self->memory, plan, merge_job_input(self, 0)->vchannel, &record) != OK)
        return ctx_fail(ctx, ERR_MEMORY, "%s", self->memory.text);
    s_bounds(self, record);
    record->delta_ts = PLANTED(BUG_MERGE_FORGETS) ? UINT64_MAX : self->known_ts;
    record->purged_ts = s_purged(self, opened);
    record->level = 2;
    record->n_from = self->inputs.len;
    record->from = ctx_new(&self->memory, self->inputs.len * sizeof *record->from);
    for (size_t i = 0; i < self->inputs.len; i++) {
        const Elanus__Segment *input = merge_job_input(self, i);
        record->from[i] = input->id;
        if (input->end_epoch > record->end_epoch ||
            (input->end_epoch == record->end_epoch && input->end_seq > record->end_seq)) {
            record->end_epoch = input->end_epoch;
            record->end_seq = input->end_seq;
        }
    }
    self->record = record;
    return OK;
}

static err_t s_merge(ctx_t *ctx, merge_job_t *self, sealed_t **opened)
{
    const Elanus__Segment *first = merge_job_input(self, 0);
    compact_options_t options = {
        .flush = { .id = { first->collection, first->partition, self->options.id },
                   .attempt = self->options.attempt },
        .safe_ts = self->options.safe_ts, .expire_ts = self->options.expire_ts,
    };
    owned(flush) plan = NULL;
    TRY(s_open(ctx, self, opened));
    size_t n = self->inputs.len - (PLANTED(BUG_MERGE_DROPS_NEWEST) && self->inputs.len > 1);
    TRY(compact_plan(ctx, opened, n, &options, &plan));
    TRY(flush_put(ctx, plan, self->options.store));
    return s_record(ctx, self, opened, plan);
}

err_t merge_job_run(ctx_t *ctx, void *job)
{
    merge_job_t *self = job;
    check(self->inputs.len > 0);
    sealed_t **opened = mem_new(self->inputs.len * sizeof *opened);
    err_t err = s_merge(ctx, self, opened);
    for (size_t i = 0; i < self->inputs.len; i++)
        sealed_unref(&opened[i]);
    mem_free(opened);
    return err;
}

const Elanus__Segment *merge_job_record(const merge_job_t *self)
{
    check(self->record);
    return self->record;
}

size_t merge_job_inputs(const merge_job_t *self)    { return self->inputs.len; }
uint64_t merge_job_id(const merge_job_t *self)      { return self->options.id; }

const Elanus__Segment *merge_job_input(const merge_job_t *self, size_t i)
{
    return *(Elanus__Segment *const *)vec_at(&self->inputs, i);
}
