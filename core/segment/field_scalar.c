/* field_scalar - see field_scalar.h */
#include "core/segment/field_scalar.h"

#include <stdatomic.h>

#include "core/segment/field_parts.h"

enum {
    VALUE_BYTES = 72,           /* of a value under way: sorted twice over, then written */
    PACKED_TIMES = 4,           /* texts and arrays in objects are longer than these by so much */
    ROW_BYTES = 64,             /* of a text or an array of which nothing else is known */
    TEXT_BYTES = 16,            /* of a text in an array, the same */
};

struct field_scalar {
    _Atomic int refs;
    scalar_index_t *index;
    store_mapping_t map;        /* under it */
};

bool field_scalar_made(type_t type, type_t element, const char *name)
{
    scalar_type_t scalar;
    return scalar_type_parse(name, &scalar) && scalar_type_fits(scalar, type, element);
}

err_t field_scalar_spec(ctx_t *ctx, const field_t *field, const index_pair_t *params, size_t n,
                        scalar_spec_t *ret)
{
    const char *name = "none";
    scalar_type_t type;
    for (size_t i = 0; i < n; i++)
        if (strcmp(params[i].key, "index_type") == 0)
            name = params[i].value;
    if (!field_scalar_made(field->type, field->element, name))
        return ctx_fail(ctx, ERR_INDEX_TYPE, "field %s of %s has no index %s that is built",
                        field->name, type_name(field->type), name);
    check(scalar_type_parse(name, &type));
    *ret = (scalar_spec_t){ .type = type, .cells = field->type, .element = field->element };
    return OK;
}

/* The longest that a row of texts or an array may be; 0: nobody says. */
static uint64_t s_row_most(const field_t *field)
{
    uint64_t text = (uint64_t)field->max_length;
    if (field->type != TYPE_ARRAY)
        return text;
    uint64_t width = type_width(field->element, 0);
    return (uint64_t)field->max_capacity * (width ? width : text);
}

/* Texts and arrays are there as they are read, and once more in the object. */
static uint64_t s_need_of_long(const field_t *field, uint64_t n_rows, uint64_t bytes)
{
    uint64_t most = n_rows * s_row_most(field), cells = n_rows * ROW_BYTES;
    if (bytes * PACKED_TIMES > cells)
        cells = bytes * PACKED_TIMES;
    if (most && cells > most)
        cells = most;
    if (field->type != TYPE_ARRAY)
        return 2 * cells + n_rows * VALUE_BYTES;
    uint64_t width = type_width(field->element, 0);
    return 2 * cells + cells / (width ? width : TEXT_BYTES) * VALUE_BYTES;
}

uint64_t field_scalar_need(const field_t *field, uint64_t n_rows, uint64_t bytes)
{
    uint64_t cell = type_width(field->type, 0);
    return cell ? n_rows * (cell + VALUE_BYTES) : s_need_of_long(field, n_rows, bytes);
}

/* --- building ------------------------------------------------------------------------------ */

static err_t s_build(ctx_t *ctx, store_t *store, const field_index_job_t *job,
                     const scalar_spec_t *spec, const field_parts_t *parts, index_built_t *ret)
{
    buf_scoped object = {0};
    TRY(scalar_index_build(ctx, spec, parts->columns, parts->n,
                           job->how ? job->how->percent : NULL, &object));
    TRY(store_put(ctx, store, ctx_printf(ctx, "%s/0", job->prefix), buf_view(&object)));
    *ret = (index_built_t){ .n_objects = 1, .bytes = object.len, .rows = parts->rows };
    return OK;
}

err_t field_scalar_build(ctx_t *ctx, store_t *store, const field_index_job_t *job,
                         index_built_t *ret)
{
    field_parts_t parts;
    scalar_spec_t spec;
    field_parts_of_t of = { job->segment, job->n_rows, job->field, job->binlogs, job->n_binlogs };
    TRY(field_scalar_spec(ctx, job->field, job->params, job->n_params, &spec));
    spec.seed = job->seed;
    err_t err = field_parts_init(ctx, &parts, store, &of);
    if (err == OK)
        err = s_build(ctx, store, job, &spec, &parts, ret);
    field_parts_fini(&parts);
    return err;
}

/* --- answering ----------------------------------------------------------------------------- */

err_t field_scalar_open(ctx_t *ctx, store_t *store, copies_t *copies, const char *const *objects,
                        size_t n, const field_t *field, size_t n_rows, field_scalar_t **ret)
{
    check(ret && *ret == NULL);
    if (n != 1)
        return ctx_fail(ctx, ERR_CORRUPT, "a scalar index of %zu objects", n);
    owned(field_scalar) self = mem_new(sizeof *self);
    atomic_init(&self->refs, 1);
    TRY(copies_map(ctx, copies, store, objects[0], &self->map));
    TRY(scalar_index_open(ctx, objects[0], self->map.body, &self->index));
    const scalar_spec_t *spec = scalar_index_spec(self->index);
    if (scalar_index_rows(self->index) != n_rows || spec->cells != field->type ||
        (field->type == TYPE_ARRAY && spec->element != field->element))
        return ctx_fail(ctx, ERR_CORRUPT, "%s is an index of %zu rows of %s, field %s has %zu of "
                        "%s", objects[0], scalar_index_rows(self->index), type_name(spec->cells),
                        field->name, n_rows, type_name(field->type));
    *ret = take(self);
    return OK;
}

field_scalar_t *field_scalar_ref(field_scalar_t *self)
{
    check(atomic_fetch_add(&self->refs, 1) > 0);
    return self;
}

void field_scalar_unref(field_scalar_t **self_p)
{
    field_scalar_t *self = *self_p;
    *self_p = NULL;
    if (!self || atomic_fetch_sub(&self->refs, 1) > 1)
        return;
    scalar_index_destroy(&self->index);
    store_unmap(&self->map);
    mem_free(self);
}

const scalar_index_t *field_scalar_of(const field_scalar_t *self)   { return self->index; }
size_t field_scalar_bytes(const field_scalar_t *self)               { return self->map.body.len; }

size_t field_scalar_mapped(const field_scalar_t *self)
{
    return self->map.mapped ? self->map.body.len : 0;
}
