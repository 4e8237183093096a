/* schema - what a collection's rows look like
 *
 * Milvus's words and numbers (schema.DataType).  Field ids start at 100 in the
 * order of creation; the dynamic column `$meta` comes last and is hidden from
 * clients.  A schema is immutable and reference-counted: whoever works with
 * rows holds the one they were written under.  The proxy checks a client's
 * schema (names, limits, texts) before it makes one of these; here only what
 * would be a programmer's mistake is checked.
 */
#ifndef CORE_SCHEMA_SCHEMA_H
#define CORE_SCHEMA_SCHEMA_H

#include "core/base/base.h"

typedef enum type {
    TYPE_NONE = 0, TYPE_BOOL = 1, TYPE_INT8 = 2, TYPE_INT16 = 3, TYPE_INT32 = 4, TYPE_INT64 = 5,
    TYPE_FLOAT = 10, TYPE_DOUBLE = 11, TYPE_VARCHAR = 21, TYPE_ARRAY = 22, TYPE_JSON = 23,
    TYPE_BINARY_VECTOR = 100, TYPE_FLOAT_VECTOR = 101, TYPE_FLOAT16_VECTOR = 102,
    TYPE_BFLOAT16_VECTOR = 103, TYPE_SPARSE_VECTOR = 104, TYPE_INT8_VECTOR = 105,
} type_t;

enum { FIELD_ROW_ID = 0, FIELD_TIMESTAMP = 1, FIELD_FIRST = 100 };

typedef struct field {
    int64_t id;
    const char *name;
    const char *description;
    type_t type;
    type_t element;             /* TYPE_ARRAY: of its elements */
    int32_t dim;                /* dense vectors; bits for binary */
    int32_t max_length;         /* VarChar, and VarChar elements: bytes */
    int32_t max_capacity;       /* Array: elements */
    bool primary_key, auto_id, partition_key, clustering_key, dynamic, nullable;
    bool has_default;
    view_t default_value;       /* as a cell of a column of this type (core/schema/column.h) */
    bool mmap;                  /* mmap.enabled of the field */
} field_t;

typedef struct schema schema_t;

/* Copies everything.  fields: [n_fields] in order, exactly one primary key,
 * at most one dynamic field and that one last, ids rising. */
schema_t *schema_new(const field_t *fields, size_t n_fields);
schema_t *schema_ref(schema_t *self);
void schema_unref(schema_t **self_p);
static inline void schema_destroy(schema_t **self_p) { schema_unref(self_p); }

size_t schema_len(const schema_t *self);
const field_t *schema_at(const schema_t *self, size_t i);
const field_t *schema_by_name(const schema_t *self, const char *name);      /* NULL: none */
const field_t *schema_by_id(const schema_t *self, int64_t id);              /* NULL: none */
size_t schema_index(const schema_t *self, const field_t *field);            /* its i */
const field_t *schema_pk(const schema_t *self);
const field_t *schema_partition_key(const schema_t *self);                  /* NULL: none */
const field_t *schema_dynamic(const schema_t *self);                        /* NULL: none */

bool type_is_vector(type_t type);
bool type_is_dense_vector(type_t type);
bool type_is_integer(type_t type);
bool type_is_number(type_t type);           /* integers, Float, Double */

/* "Int64", "VarChar", "FloatVector" …: Milvus's names as its error texts spell them. */
const char *type_name(type_t type);

/* Bytes of one cell; 0 when cells differ in length (VarChar, JSON, Array, sparse). */
size_t type_width(type_t type, int32_t dim);

#endif
