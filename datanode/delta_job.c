/* delta_job - see delta_job.h */
#include "datanode/delta_job.h"

#include "core/base/map.h"
#include "core/base/vec.h"
#include "core/segment/delta.h"

/* Deletes of one vchannel, in the order of time. */
typedef struct stream {
    char *vchannel;             /* owned */
    column_builder_t pks;
    vec_t times;                /* timed_t a run of equal requests */
} stream_t;

typedef struct timed { uint64_t ts; int64_t partition; size_t first, n; } timed_t;

typedef struct aim {
    Elanus__Segment *record;    /* memory */
    uint64_t after_ts;
    bool hit;
} aim_t;

struct delta_job {
    ctx_t memory;               /* records */
    delta_job_options_t options;
    vec_t streams;              /* stream_t */
    vec_t aims;                 /* aim_t */
};

delta_job_t *delta_job_new(const delta_job_options_t *options)
{
    delta_job_t *self = mem_new(sizeof *self);
    ctx_init(&self->memory);
    self->options = *options;
    vec_init(&self->streams, sizeof(stream_t));
    vec_init(&self->aims, sizeof(aim_t));
    return self;
}

void delta_job_destroy(delta_job_t **self_p)
{
    delta_job_t *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    for (size_t i = 0; i < self->streams.len; i++) {
        stream_t *stream = vec_at(&self->streams, i);
        mem_free(stream->vchannel);
        column_builder_fini(&stream->pks);
        vec_fini(&stream->times);
    }
    vec_fini(&self->streams);
    vec_fini(&self->aims);
    ctx_fini(&self->memory);
    mem_free(self);
}

static stream_t *s_stream(const delta_job_t *self, const char *vchannel)
{
    for (size_t i = 0; i < self->streams.len; i++) {
        stream_t *stream = vec_at(&self->streams, i);
        if (strcmp(stream->vchannel, vchannel) == 0)
            return stream;
    }
    return NULL;
}

static stream_t *s_new_stream(delta_job_t *self, const char *vchannel, type_t pk)
{
    stream_t fresh = { .vchannel = mem_strdup(vchannel) };
    column_builder_init(&fresh.pks, &(field_t){ .type = pk });
    vec_init(&fresh.times, sizeof(timed_t));
    return vec_push(&self->streams, &fresh);
}

err_t delta_job_add(ctx_t *ctx, delta_job_t *self, const char *vchannel, uint64_t ts,
                    int64_t partition, const column_t *pks)
{
    check(ts <= self->options.upto_ts);
    stream_t *stream = s_stream(self, vchannel);
    if (!stream)
        stream = s_new_stream(self, vchannel, pks->type);
    timed_t run = { .ts = ts, .partition = partition, .first = stream->pks.n, .n = pks->n };
    for (size_t i = 0; i < pks->n; i++)
        column_builder_add(&stream->pks, column_cell(pks, i));
    if (!column_builder_ok(&stream->pks))
        return ctx_fail(ctx, ERR_MEMORY, "no memory to flush the deletes of %s", vchannel);
    vec_push(&stream->times, &run);
    return OK;
}

err_t delta_job_aim(ctx_t *ctx, delta_job_t *self, const Elanus__Segment *segment,
                    uint64_t after_ts)
{
    aim_t aim = { .after_ts = after_ts };
    if (data_record_copy(&self->memory, segment, &aim.record) != OK)
        return ctx_fail(ctx, ERR_MEMORY, "no memory to flush deletes to segment %llu",
                        (unsigned long long)segment->id);
    vec_push(&self->aims, &aim);
    return OK;
}

/* --- one segment ------------------------------------------ */

typedef struct hits {
    column_builder_t pks;
    buf_t ts;                   /* u64 each */
    map_t *settled;             /* keys with a delete newer than all rows: no other matters */
} hits_t;

static void s_hits_init(hits_t *hits, type_t pk)
{
    *hits = (hits_t){ .settled = map_new() };
    column_builder_init(&hits->pks, &(field_t){ .type = pk });
}

static void s_hits_fini(hits_t *hits)
{
    column_builder_fini(&hits->pks);
    buf_fini(&hits->ts);
    map_destroy(&hits->settled);
}

/* stats NULL: nobody knows, so every key may be there. */
static void s_look_at_run(const column_t *keys, const timed_t *run, uint64_t max_ts,
                          const stats_t *stats, hits_t *hits)
{
    for (size_t i = run->first; i < run->first + run->n; i++) {
        view_t pk = column_cell(keys, i);
        if ((stats && !stats_may_have(stats, pk)) || map_get(hits->settled, pk))
            continue;
        if (run->ts > max_ts)
            map_put(hits->settled, pk, hits);
        column_builder_add(&hits->pks, pk);
        buf_add_u64(&hits->ts, run->ts);
    }
}

static bool s_concerns(const timed_t *run, const aim_t *aim)
{
    return run->ts > aim->after_ts && run->ts > aim->record->min_ts &&
           (run->partition < 0 || (uint64_t)run->partition == aim->record->partition);
}

static err_t s_put(ctx_t *ctx, delta_job_t *self, aim_t *aim, const hits_t *hits)
{
    column_t pks = column_builder_view(&hits->pks);
    buf_scoped bytes = {0};
    TRY(delta_write(ctx, aim->record->id, &pks, (const uint64_t *)(const void *)hits->ts.ptr,
                    &bytes));
    const char *key = ctx_printf(&self->memory, "deltalog/%s/%llu",
                                 data_record_place(&self->memory, aim->record),
                                 (unsigned long long)self->options.attempt);
    TRY(store_put(ctx, self->options.store, key, buf_view(&bytes)));
    Elanus__Segment *record = aim->record;
    data_record_add_deltalog(&self->memory, record, key);
    record->delta_ts = self->options.upto_ts;
    record->bytes += bytes.len;
    record->deleted += pks.n;           /* at most so many: some hit a dead row, or none */
    record->deleted = record->deleted < record->rows ? record->deleted : record->rows;
    aim->hit = true;
    return OK;
}

/* Stats that cannot be read stay NULL: then the segment gets all deletes, which costs space and
 * loses nothing, and the checkpoint is not held up by one damaged object. */
static err_t s_stats(ctx_t *ctx, delta_job_t *self, const aim_t *aim, const stats_t **ret)
{
    err_t err = stats_cache_get(ctx, self->options.cache, self->options.store, aim->record->id,
                                aim->record->stats, ret);
    return err == ERR_CORRUPT || err == ERR_KEY_NOT_FOUND || err == ERR_VERSION ? OK : err;
}

static err_t s_collect(ctx_t *ctx, delta_job_t *self, const aim_t *aim, const stream_t *stream,
                       hits_t *hits)
{
    const stats_t *stats = NULL;
    column_t keys = column_builder_view(&stream->pks);
    bool asked = false;
    for (size_t i = 0; i < stream->times.len; i++) {
        const timed_t *run = vec_at(&stream->times, i);
        if (!s_concerns(run, aim))
            continue;
        if (!asked)
            TRY(s_stats(ctx, self, aim, &stats));
        asked = true;
        s_look_at_run(&keys, run, aim->record->max_ts, stats, hits);
    }
    return column_builder_ok(&hits->pks) && buf_ok(&hits->ts)
         ? OK : ctx_fail(ctx, ERR_MEMORY, "no memory for the deletes of a segment");
}

static err_t s_route(ctx_t *ctx, delta_job_t *self, aim_t *aim, const stream_t *stream)
{
    hits_t hits;
    s_hits_init(&hits, stream->pks.type);
    err_t err = s_collect(ctx, self, aim, stream, &hits);
    if (err == OK && hits.pks.n)
        err = s_put(ctx, self, aim, &hits);
    s_hits_fini(&hits);
    return err;
}

err_t delta_job_run(ctx_t *ctx, void *job)
{
    delta_job_t *self = job;
    for (size_t i = 0; i < self->aims.len; i++) {
        TRY(ctx_alive(ctx));
        aim_t *aim = vec_at(&self->aims, i);
        const stream_t *stream = s_stream(self, aim->record->vchannel);
        if (!stream)
            continue;
        ctx_t part;
        ctx_init(&part);
        part.deadline_ms = ctx->deadline_ms;
        err_t err = s_route(&part, self, aim, stream);
        if (err != OK)
            ctx_fail(ctx, err, "deletes of segment %llu: %s",
                     (unsigned long long)aim->record->id, part.text);
        ctx_fini(&part);
        TRY(err);
    }
    return OK;
}

size_t delta_job_aims(const delta_job_t *self)
{
    return self->aims.len;
}

const Elanus__Segment *delta_job_record(const delta_job_t *self, size_t i, uint64_t *ret_segment)
{
    const aim_t *aim = vec_at(&self->aims, i);
    *ret_segment = aim->record->id;
    return aim->hit ? aim->record : NULL;
}

uint64_t delta_job_upto(const delta_job_t *self)
{
    return self->options.upto_ts;
}
