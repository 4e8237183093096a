/* field_index - see field_index.h */
#include "core/segment/field_index.h"

#include <stdatomic.h>
#include "core/segment/field_parts.h"

struct field_index {
    _Atomic int refs;
    index_t *index;
    store_mapping_t *maps;      /* [n] under it */
    size_t n, bytes, mapped;
};

bool field_index_cells(type_t type, cell_t *ret)
{
    static const struct { type_t type; cell_t cells; } vectors[] = {
        { TYPE_FLOAT_VECTOR, CELL_F32 }, { TYPE_FLOAT16_VECTOR, CELL_F16 },
        { TYPE_BFLOAT16_VECTOR, CELL_BF16 }, { TYPE_INT8_VECTOR, CELL_I8 },
        { TYPE_BINARY_VECTOR, CELL_BIN }, { TYPE_SPARSE_VECTOR, CELL_SPARSE },
    };
    for (size_t i = 0; i < ARRAY_LEN(vectors); i++)
        if (vectors[i].type == type) {
            *ret = vectors[i].cells;
            return true;
        }
    return false;
}

bool field_index_made(type_t type, const char *name)
{
    cell_t cells;
    index_type_t index;
    return field_index_cells(type, &cells) && index_type_parse(name, cells, &index) &&
           index_type_built(index);
}

err_t field_index_spec(ctx_t *ctx, const field_t *field, const index_pair_t *params, size_t n,
                       index_spec_t *ret)
{
    cell_t cells;
    index_spec_t spec;
    if (!field_index_cells(field->type, &cells))
        return ctx_fail(ctx, ERR_INDEX_TYPE, "field %s of %s has no index that is built",
                        field->name, type_name(field->type));
    TRY(index_spec_read(ctx, params, n, cells, (size_t)field->dim, &spec));
    if (!index_type_built(spec.type))
        return ctx_fail(ctx, ERR_INDEX_TYPE, "index type %s is not built: its field is scanned",
                        index_type_name(spec.type));
    *ret = spec;
    return OK;
}

/* --- the vectors -------------------------------------------------------------------------- */

static err_t s_read(ctx_t *ctx, void *arg, size_t from, index_rows_t *ret)
{
    (void)ctx;
    const field_parts_t *parts = arg;
    size_t i = 0;
    for (; from >= parts->columns[i].n; i++)
        from -= parts->columns[i].n;
    const column_t *c = &parts->columns[i];
    check(from == 0);
    *ret = (index_rows_t){ .cells = c->cells, .offsets = c->width ? NULL : c->offsets, .n = c->n,
                           .valid = c->valid };
    return OK;
}

/* --- building ------------------------------------------------------------------------------ */

typedef struct output {
    store_t *store;
    const char *prefix;
} output_t;

static err_t s_put(ctx_t *ctx, void *arg, size_t number, view_t bytes)
{
    const output_t *out = arg;
    return store_put(ctx, out->store, ctx_printf(ctx, "%s/%zu", out->prefix, number), bytes);
}

err_t field_index_build(ctx_t *ctx, store_t *store, const field_index_job_t *job,
                        index_built_t *ret)
{
    index_spec_t spec;
    field_parts_t parts;
    field_parts_of_t of = { job->segment, job->n_rows, job->field, job->binlogs, job->n_binlogs };
    TRY(field_index_spec(ctx, job->field, job->params, job->n_params, &spec));
    spec.seed = job->seed;
    output_t out = { store, job->prefix };
    index_source_t source = { .n_rows = (size_t)job->n_rows, .read = s_read, .arg = &parts };
    index_sink_t sink = { s_put, &out };
    err_t err = field_parts_init(ctx, &parts, store, &of);
    if (err == OK)
        err = index_build(ctx, &spec, &source, &sink, job->how, ret);
    field_parts_fini(&parts);
    return err;
}

/* --- searching ------------------------------------------------------------------------------ */

/* An index that reads files says itself what stays of all its objects. */
static void s_count(field_index_t *self)
{
    bool reads = false;
    for (size_t i = 0; i < self->n; i++)
        reads |= self->maps[i].file != 0;
    self->bytes = index_bytes(self->index);
    for (size_t i = 0; i < self->n; i++) {
        const store_mapping_t *map = &self->maps[i];
        if (map->file)
            store_map_cool(map);                /* opening it read all of it */
        if (reads)
            continue;
        self->bytes += map->body.len;
        self->mapped += map->mapped ? map->body.len : 0;
    }
}

static err_t s_open(ctx_t *ctx, store_t *store, copies_t *copies, const char *const *objects,
                    size_t n, field_index_t *self)
{
    index_blob_t *blobs = ctx_new(ctx, n * sizeof *blobs);
    for (; self->n < n; self->n++) {
        store_mapping_t *map = &self->maps[self->n];
        TRY(copies_map(ctx, copies, store, objects[self->n], map));
        blobs[self->n] = (index_blob_t){ .name = objects[self->n], .bytes = map->body };
        if (index_wants_files(&blobs[0]))
            store_map_file(store, objects[self->n], map);
        blobs[self->n].file = map->file;
    }
    TRY(index_open(ctx, blobs, n, &self->index));
    s_count(self);
    return OK;
}

/* Is it of this field, of these rows? */
static err_t s_expect(ctx_t *ctx, const field_index_t *self, const char *name,
                      const field_t *field, size_t n_rows)
{
    cell_t cells;
    const index_spec_t *spec = index_spec(self->index);
    if (index_rows(self->index) == n_rows && field_index_cells(field->type, &cells) &&
        spec->cells == cells && spec->dim == (size_t)field->dim)
        return OK;
    return ctx_fail(ctx, ERR_CORRUPT, "%s is an index of %zu rows and dim %zu, field %s has %zu "
                    "rows and dim %d", name, index_rows(self->index), spec->dim, field->name,
                    n_rows, (int)field->dim);
}

err_t field_index_open(ctx_t *ctx, store_t *store, copies_t *copies, const char *const *objects,
                       size_t n, const field_t *field, size_t n_rows, field_index_t **ret)
{
    check(ret && *ret == NULL);
    if (n == 0)
        return ctx_fail(ctx, ERR_CORRUPT, "an index without objects");
    owned(field_index) self = mem_new(sizeof *self);
    atomic_init(&self->refs, 1);
    self->maps = mem_new(n * sizeof *self->maps);
    TRY(s_open(ctx, store, copies, objects, n, self));
    TRY(s_expect(ctx, self, objects[0], field, n_rows));
    *ret = take(self);
    return OK;
}

field_index_t *field_index_ref(field_index_t *self)
{
    check(atomic_fetch_add(&self->refs, 1) > 0);
    return self;
}

void field_index_unref(field_index_t **self_p)
{
    field_index_t *self = *self_p;
    *self_p = NULL;
    if (!self || atomic_fetch_sub(&self->refs, 1) > 1)
        return;
    index_destroy(&self->index);
    for (size_t i = 0; i < self->n; i++)
        store_unmap(&self->maps[i]);
    mem_free(self->maps);
    mem_free(self);
}

const index_t *field_index_of(const field_index_t *self)   { return self->index; }
size_t field_index_bytes(const field_index_t *self)        { return self->bytes; }
size_t field_index_mapped(const field_index_t *self)       { return self->mapped; }
