/* flush - see flush.h */
#include "core/segment/flush.h"

#include "core/base/limits.h"
#include "core/base/vec.h"
#include "core/segment/binlog.h"
#include "core/segment/delta.h"
#include "core/segment/stats.h"

typedef enum kind { KIND_BINLOG, KIND_STATS, KIND_DELTA } kind_t;

typedef struct object {
    kind_t kind;
    size_t part, field;         /* of a binlog; field schema_len: the timestamps */
    const char *key;            /* memory */
} object_t;

typedef struct part { size_t first_piece, n_pieces, first_row, n_rows; } part_t;

struct flush {
    ctx_t memory;               /* keys and lists */
    flush_source_t source;      /* owned */
    size_t n_fields;
    vec_t parts;                /* part_t */
    vec_t objects;              /* object_t */
    sealed_files_t files;       /* into memory */
    column_builder_t dead;      /* primary keys of dead rows */
    buf_t dead_ts;              /* u64 each */
    uint64_t bytes;
};

static const part_t *s_part(const flush_t *self, size_t i)
{
    return vec_at(&self->parts, i);
}

static const object_t *s_object(const flush_t *self, size_t i)
{
    return vec_at(&self->objects, i);
}

/* --- planning ------------------------------------------ */

/* Bytes of the widest field of a piece. */
static err_t s_measure(ctx_t *ctx, flush_t *self, size_t piece, uint64_t *bytes)
{
    size_t n = self->source.rows(self->source.arg, piece);
    for (size_t i = 0; i < self->n_fields; i++) {
        const field_t *field = schema_at(self->source.schema, i);
        column_t c = { .width = type_width(field->type, field->dim) };
        if (c.width == 0)
            TRY(self->source.column(ctx, self->source.arg, piece, i, &c));
        bytes[i] += c.width ? n * c.width : c.offsets[n] - c.offsets[0];
    }
    return OK;
}

static err_t s_add_dead(ctx_t *ctx, flush_t *self, size_t piece)
{
    const flush_source_t *source = &self->source;
    size_t pk = schema_index(source->schema, schema_pk(source->schema));
    size_t n = source->rows(source->arg, piece);
    column_t keys = {0};
    for (size_t at = 0; source->died && at < n; at++) {
        uint64_t ts = source->died(source->arg, piece, at);
        if (ts == SEGMENT_ALIVE)
            continue;
        if (!keys.n)
            TRY(source->column(ctx, source->arg, piece, pk, &keys));
        column_builder_add(&self->dead, column_cell(&keys, at));
        buf_add_u64(&self->dead_ts, ts);
    }
    return column_builder_ok(&self->dead) && buf_ok(&self->dead_ts)
         ? OK : ctx_fail(ctx, ERR_MEMORY, "no memory for the deletes of a segment");
}

static bool s_any_above(const uint64_t *bytes, size_t n, uint64_t most)
{
    for (size_t i = 0; i < n; i++)
        if (bytes[i] > most)
            return true;
    return false;
}

/* Put the piece into the last part, or begin another when that is big enough. */
static void s_add_piece(flush_t *self, size_t piece, bool full)
{
    size_t n = self->source.rows(self->source.arg, piece);
    if (self->parts.len == 0 || full) {
        part_t fresh = { .first_piece = piece, .first_row = (size_t)self->files.n_rows };
        vec_push(&self->parts, &fresh);
    }
    part_t *part = vec_at(&self->parts, self->parts.len - 1);
    part->n_pieces = piece + 1 - part->first_piece;
    part->n_rows += n;
    self->files.n_rows += n;
}

static err_t s_plan_parts(ctx_t *ctx, flush_t *self, uint64_t part_bytes)
{
    uint64_t *bytes = ctx_new(&self->memory, self->n_fields * sizeof *bytes);
    for (size_t piece = 0; piece < self->source.n_pieces; piece++) {
        ctx_t part;
        ctx_init(&part);
        bool full = s_any_above(bytes, self->n_fields, part_bytes);
        if (full)
            memset(bytes, 0, self->n_fields * sizeof *bytes);
        err_t err = s_measure(&part, self, piece, bytes);
        if (err == OK)
            err = s_add_dead(&part, self, piece);
        if (err == OK && self->source.rows(self->source.arg, piece))
            s_add_piece(self, piece, full);
        if (err != OK)
            ctx_fail(ctx, err, "%s", part.text);
        ctx_fini(&part);
        TRY(err);
    }
    if (self->files.n_rows > LIMIT_SEGMENT_ROWS)
        return ctx_fail(ctx, ERR_CAPACITY_EXCEEDED, "%llu rows are too many for one segment",
                        (unsigned long long)self->files.n_rows);
    return OK;
}

static const char *s_place(flush_t *self, const char *what, const char *rest)
{
    const segment_id_t *id = &self->files.id;
    return ctx_printf(&self->memory, "%s/%llu/%llu/%llu/%s", what,
                      (unsigned long long)id->collection, (unsigned long long)id->partition,
                      (unsigned long long)id->segment, rest);
}

static const char *s_binlog_key(flush_t *self, size_t part, size_t field, uint64_t attempt)
{
    int64_t id = field < self->n_fields ? schema_at(self->source.schema, field)->id
                                        : FIELD_TIMESTAMP;
    return s_place(self, "binlog", ctx_printf(&self->memory, "%lld/%llu-%zu", (long long)id,
                                              (unsigned long long)attempt, part));
}

static const char *s_add_object(flush_t *self, object_t object)
{
    vec_push(&self->objects, &object);
    return object.key;
}

static void s_plan_objects(flush_t *self, uint64_t attempt)
{
    sealed_files_t *files = &self->files;
    const char *last = ctx_printf(&self->memory, "%llu", (unsigned long long)attempt);
    size_t slots = self->n_fields + 1;
    const char **binlogs = ctx_new(&self->memory, self->parts.len * slots * sizeof *binlogs);
    const char **deltalogs = ctx_new(&self->memory, sizeof *deltalogs);
    files->n_parts = self->parts.len;
    files->binlogs = binlogs;
    files->deltalogs = deltalogs;
    for (size_t i = 0; i < self->parts.len * slots; i++)
        binlogs[i] = s_add_object(self, (object_t){
            .part = i / slots, .field = i % slots,
            .key = s_binlog_key(self, i / slots, i % slots, attempt) });
    if (files->n_rows)
        files->stats = s_add_object(self, (object_t){
            .kind = KIND_STATS, .key = s_place(self, "stats", last) });
    files->n_deltalogs = self->dead.n > 0;
    if (self->dead.n)
        deltalogs[0] = s_add_object(self, (object_t){
            .kind = KIND_DELTA, .key = s_place(self, "deltalog", last) });
}

err_t flush_plan(ctx_t *ctx, const flush_source_t *source, const flush_options_t *options,
                 flush_t **ret)
{
    check(ret && *ret == NULL);
    owned(flush) self = mem_new(sizeof *self);
    ctx_init(&self->memory);
    self->source = *source;
    self->files.id = options->id;
    self->n_fields = schema_len(source->schema);
    vec_init(&self->parts, sizeof(part_t));
    vec_init(&self->objects, sizeof(object_t));
    column_builder_init(&self->dead, schema_pk(source->schema));
    TRY(s_plan_parts(ctx, self, options->part_bytes ? options->part_bytes : LIMIT_BINLOG_BYTES));
    s_plan_objects(self, options->attempt);
    *ret = take(self);
    return OK;
}

void flush_destroy(flush_t **self_p)
{
    flush_t *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    self->source.destroy(self->source.arg);
    column_builder_fini(&self->dead);
    buf_fini(&self->dead_ts);
    vec_fini(&self->parts);
    vec_fini(&self->objects);
    ctx_fini(&self->memory);
    mem_free(self);
}

/* --- making ------------------------------------------ */

static err_t s_piece_column(ctx_t *ctx, flush_t *self, size_t piece, size_t field, column_t *ret)
{
    if (field < self->n_fields)
        return self->source.column(ctx, self->source.arg, piece, field, ret);
    const uint64_t *ts = NULL;
    TRY(self->source.ts(ctx, self->source.arg, piece, &ts));
    *ret = (column_t){ .type = TYPE_INT64, .width = sizeof *ts, .cells = (const uint8_t *)ts,
                       .n = self->source.rows(self->source.arg, piece) };
    return OK;
}

static err_t s_make_binlog(ctx_t *ctx, flush_t *self, const object_t *object, buf_t *into)
{
    const part_t *part = s_part(self, object->part);
    column_t *columns = ctx_try(ctx, part->n_pieces * sizeof *columns);
    if (!columns)
        return ctx_fail(ctx, ERR_MEMORY, "no memory for %zu columns", part->n_pieces);
    for (size_t i = 0; i < part->n_pieces; i++)
        TRY(s_piece_column(ctx, self, part->first_piece + i, object->field, &columns[i]));
    binlog_head_t head = { .field = FIELD_TIMESTAMP, .segment = self->files.id.segment,
                           .first = part->first_row };
    if (object->field < self->n_fields) {
        const field_t *field = schema_at(self->source.schema, object->field);
        head.field = field->id;
        head.raw = type_is_vector(field->type);
    }
    return binlog_write(ctx, &head, columns, part->n_pieces, into);
}

static err_t s_make_stats(ctx_t *ctx, flush_t *self, buf_t *into)
{
    const field_t *pk = schema_pk(self->source.schema);
    owned(stats) stats = NULL;
    TRY(stats_make(ctx, pk->type, self->files.id.segment, (size_t)self->files.n_rows, &stats));
    for (size_t piece = 0; piece < self->source.n_pieces; piece++) {
        const uint64_t *ts = NULL;
        column_t keys;
        TRY(self->source.ts(ctx, self->source.arg, piece, &ts));
        TRY(s_piece_column(ctx, self, piece, schema_index(self->source.schema, pk), &keys));
        TRY(stats_add(ctx, stats, &keys, ts));
    }
    stats_write(stats, into);
    return buf_ok(into) ? OK : ctx_fail(ctx, ERR_MEMORY, "no memory for the stats of a segment");
}

err_t flush_make(ctx_t *ctx, flush_t *self, size_t i, buf_t *into)
{
    const object_t *object = s_object(self, i);
    column_t dead = column_builder_view(&self->dead);
    switch (object->kind) {
    case KIND_BINLOG:
        return s_make_binlog(ctx, self, object, into);
    case KIND_STATS:
        return s_make_stats(ctx, self, into);
    case KIND_DELTA:
        break;
    }
    return delta_write(ctx, self->files.id.segment, &dead,
                       (const uint64_t *)(const void *)self->dead_ts.ptr, into);
}

err_t flush_put(ctx_t *ctx, flush_t *self, store_t *store)
{
    self->bytes = 0;
    for (size_t i = 0; i < self->objects.len; i++) {
        TRY(ctx_alive(ctx));
        ctx_t part;
        ctx_init(&part);
        part.deadline_ms = ctx->deadline_ms;
        buf_scoped bytes = {0};
        err_t err = flush_make(&part, self, i, &bytes);
        if (err == OK)
            err = store_put(&part, store, s_object(self, i)->key, buf_view(&bytes));
        if (err != OK)
            ctx_fail(ctx, err, "%s: %s", s_object(self, i)->key, part.text);
        ctx_fini(&part);
        TRY(err);
        self->bytes += bytes.len;
    }
    return OK;
}

size_t flush_objects(const flush_t *self)                   { return self->objects.len; }
const char *flush_key(const flush_t *self, size_t i)        { return s_object(self, i)->key; }
const sealed_files_t *flush_files(const flush_t *self)      { return &self->files; }
uint64_t flush_bytes(const flush_t *self)                   { return self->bytes; }
uint64_t flush_deleted(const flush_t *self)                 { return self->dead.n; }

size_t flush_binlogs(const flush_t *self)
{
    return self->files.n_parts * (self->n_fields + 1);
}

/* --- growing segments ------------------------------------------ */

typedef struct grown { growing_t *segment; growing_snapshot_t snap; } grown_t;

static size_t s_grown_rows(void *arg, size_t piece)
{
    const grown_t *g = arg;
    return growing_block(&g->snap, piece).n;
}

static err_t s_grown_ts(ctx_t *ctx, void *arg, size_t piece, const uint64_t **ret)
{
    const grown_t *g = arg;
    *ret = growing_block(&g->snap, piece).ts;
    return OK;
}

static err_t s_grown_column(ctx_t *ctx, void *arg, size_t piece, size_t field, column_t *ret)
{
    const grown_t *g = arg;
    return growing_column(ctx, &g->snap, piece, field, ret);
}

static uint64_t s_grown_died(void *arg, size_t piece, size_t at)
{
    const grown_t *g = arg;
    return growing_died(&g->snap, growing_block(&g->snap, piece).first + at);
}

static void s_grown_destroy(void *arg)
{
    grown_t *g = arg;
    growing_unref(&g->segment);
    mem_free(g);
}

err_t flush_growing(ctx_t *ctx, growing_t *segment, uint64_t read_ts,
                    const flush_options_t *options, flush_t **ret)
{
    flush_options_t mine = *options;
    mine.id = growing_id(segment);
    grown_t *g = mem_new(sizeof *g);
    g->segment = growing_ref(segment);
    g->snap = growing_at(segment, read_ts);
    flush_source_t source = {
        .schema = growing_schema(segment), .arg = g, .n_pieces = g->snap.n_blocks,
        .rows = s_grown_rows, .ts = s_grown_ts, .column = s_grown_column, .died = s_grown_died,
        .destroy = s_grown_destroy,
    };
    return flush_plan(ctx, &source, &mine, ret);
}
