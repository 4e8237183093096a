/* schema - see schema.h */
#include "core/schema/schema.h"

#include <stdatomic.h>

#include "core/base/map.h"

struct schema {
    _Atomic int refs;
    ctx_t memory;               /* owns names and defaults */
    field_t *fields;            /* [n] */
    size_t n;
    const field_t *pk, *partition_key, *dynamic;
    map_t *by_name;             /* name -> field_t */
};

static void s_copy_field(schema_t *self, field_t *to, const field_t *from)
{
    *to = *from;
    to->name = ctx_strdup(&self->memory, from->name);
    to->description = ctx_strdup(&self->memory, from->description ? from->description : "");
    check(ctx_copy(&self->memory, from->default_value, &to->default_value) == OK);
}

schema_t *schema_new(const field_t *fields, size_t n_fields)
{
    check(n_fields > 0);
    schema_t *self = mem_new(sizeof *self);
    self->refs = 1;
    self->n = n_fields;
    ctx_init(&self->memory);
    self->fields = ctx_new(&self->memory, n_fields * sizeof *fields);
    self->by_name = map_new();
    for (size_t i = 0; i < n_fields; i++) {
        field_t *field = &self->fields[i];
        s_copy_field(self, field, &fields[i]);
        check(i == 0 || field->id > fields[i - 1].id);
        check(map_put_str(self->by_name, field->name, field) == NULL);
        check(!(field->primary_key && self->pk));
        self->pk = field->primary_key ? field : self->pk;
        self->partition_key = field->partition_key ? field : self->partition_key;
        check(!field->dynamic || i == n_fields - 1);
        self->dynamic = field->dynamic ? field : self->dynamic;
    }
    check(self->pk && (self->pk->type == TYPE_INT64 || self->pk->type == TYPE_VARCHAR));
    return self;
}

schema_t *schema_ref(schema_t *self)
{
    check(atomic_fetch_add(&self->refs, 1) > 0);
    return self;
}

void schema_unref(schema_t **self_p)
{
    schema_t *self = *self_p;
    *self_p = NULL;
    if (!self || atomic_fetch_sub(&self->refs, 1) > 1)
        return;
    map_destroy(&self->by_name);
    ctx_fini(&self->memory);
    mem_free(self);
}

size_t schema_len(const schema_t *self)                         { return self->n; }
const field_t *schema_pk(const schema_t *self)                  { return self->pk; }
const field_t *schema_partition_key(const schema_t *self)       { return self->partition_key; }
const field_t *schema_dynamic(const schema_t *self)             { return self->dynamic; }

const field_t *schema_at(const schema_t *self, size_t i)
{
    check(i < self->n);
    return &self->fields[i];
}

const field_t *schema_by_name(const schema_t *self, const char *name)
{
    return map_get_str(self->by_name, name);
}

const field_t *schema_by_id(const schema_t *self, int64_t id)
{
    for (size_t i = 0; i < self->n; i++)
        if (self->fields[i].id == id)
            return &self->fields[i];
    return NULL;
}

size_t schema_index(const schema_t *self, const field_t *field)
{
    check(field >= self->fields && field < self->fields + self->n);
    return (size_t)(field - self->fields);
}

/* --- types --- */

typedef struct {
    type_t type;
    const char *name;
    int bits;                   /* of a cell, or of one dimension; 0: cells differ */
} type_row_t;

static const type_row_t s_types[] = {
    { TYPE_BOOL, "Bool", 8 }, { TYPE_INT8, "Int8", 8 }, { TYPE_INT16, "Int16", 16 },
    { TYPE_INT32, "Int32", 32 }, { TYPE_INT64, "Int64", 64 }, { TYPE_FLOAT, "Float", 32 },
    { TYPE_DOUBLE, "Double", 64 }, { TYPE_VARCHAR, "VarChar", 0 }, { TYPE_ARRAY, "Array", 0 },
    { TYPE_JSON, "JSON", 0 }, { TYPE_BINARY_VECTOR, "BinaryVector", 1 },
    { TYPE_FLOAT_VECTOR, "FloatVector", 32 }, { TYPE_FLOAT16_VECTOR, "Float16Vector", 16 },
    { TYPE_BFLOAT16_VECTOR, "BFloat16Vector", 16 }, { TYPE_SPARSE_VECTOR, "SparseFloatVector", 0 },
    { TYPE_INT8_VECTOR, "Int8Vector", 8 },
};

static const type_row_t *s_type(type_t type)
{
    for (size_t i = 0; i < ARRAY_LEN(s_types); i++)
        if (s_types[i].type == type)
            return &s_types[i];
    return NULL;
}

bool type_is_vector(type_t type)
{
    return type >= TYPE_BINARY_VECTOR;
}

bool type_is_dense_vector(type_t type)
{
    return type_is_vector(type) && type != TYPE_SPARSE_VECTOR;
}

bool type_is_integer(type_t type)
{
    return type >= TYPE_INT8 && type <= TYPE_INT64;
}

bool type_is_number(type_t type)
{
    return type_is_integer(type) || type == TYPE_FLOAT || type == TYPE_DOUBLE;
}

const char *type_name(type_t type)
{
    const type_row_t *row = s_type(type);
    return row ? row->name : "None";
}

size_t type_width(type_t type, int32_t dim)
{
    const type_row_t *row = s_type(type);
    check(row != NULL);
    size_t times = type_is_dense_vector(type) ? (size_t)dim : 1;
    return ((size_t)row->bits * times + 7) / 8;
}
