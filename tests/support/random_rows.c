/* random_rows - see random_rows.h */
#include "tests/support/random_rows.h"

#include <stdio.h>

schema_t *random_rows_schema(type_t pk)
{
    const field_t fields[] = {
        { .id = 100, .name = "id", .type = pk, .max_length = 32, .primary_key = true },
        { .id = 101, .name = "flag", .type = TYPE_BOOL, .nullable = true },
        { .id = 102, .name = "tiny", .type = TYPE_INT8 },
        { .id = 103, .name = "small", .type = TYPE_INT16, .nullable = true },
        { .id = 104, .name = "mid", .type = TYPE_INT32 },
        { .id = 105, .name = "big", .type = TYPE_INT64, .nullable = true },
        { .id = 106, .name = "real", .type = TYPE_FLOAT },
        { .id = 107, .name = "wide", .type = TYPE_DOUBLE, .nullable = true },
        { .id = 108, .name = "text", .type = TYPE_VARCHAR, .max_length = 300, .nullable = true },
        { .id = 109, .name = "plain", .type = TYPE_VARCHAR, .max_length = 300 },
        { .id = 110, .name = "list", .type = TYPE_ARRAY, .element = TYPE_INT32, .max_capacity = 9 },
        { .id = 111, .name = "doc", .type = TYPE_JSON, .nullable = true },
        { .id = 112, .name = "vec", .type = TYPE_FLOAT_VECTOR, .dim = 8 },
        { .id = 113, .name = "bits", .type = TYPE_BINARY_VECTOR, .dim = 24 },
        { .id = 114, .name = "half", .type = TYPE_FLOAT16_VECTOR, .dim = 5 },
        { .id = 115, .name = "brain", .type = TYPE_BFLOAT16_VECTOR, .dim = 3 },
        { .id = 116, .name = "sparse", .type = TYPE_SPARSE_VECTOR },
        { .id = 117, .name = "bytes", .type = TYPE_INT8_VECTOR, .dim = 7, .nullable = true },
        { .id = 118, .name = "maybe", .type = TYPE_SPARSE_VECTOR, .nullable = true },
        { .id = 119, .name = "$meta", .type = TYPE_JSON, .dynamic = true },
    };
    return schema_new(fields, ARRAY_LEN(fields));
}

void random_rows_init(random_rows_t *self, schema_t *schema)
{
    *self = (random_rows_t){ .n_fields = schema_len(schema) };
    check(self->n_fields <= RANDOM_ROWS_FIELDS);
    for (size_t i = 0; i < self->n_fields; i++)
        column_builder_init(&self->builders[i], schema_at(schema, i));
    for (size_t i = 0; i < self->n_fields; i++)
        self->columns[i] = column_builder_view(&self->builders[i]);
}

void random_rows_fini(random_rows_t *self)
{
    for (size_t i = 0; i < self->n_fields; i++)
        column_builder_fini(&self->builders[i]);
}

view_t random_rows_key(type_t pk, uint64_t i, uint8_t *room)
{
    if (pk == TYPE_INT64) {
        store_i64(room, (int64_t)i * 7 - 20);
        return view_of(room, 8);
    }
    return view_of(room, (size_t)snprintf((char *)room, 32, "key-%llu", (unsigned long long)i * 7));
}

/* Up to 300 bytes of pairs, indexes rising. */
static view_t s_sparse_cell(rng_t *rng, uint8_t *room)
{
    size_t n = (size_t)rng_below(rng, rng_chance(rng, 0.02) ? 37 : 8);
    for (size_t i = 0; i < n; i++) {
        float value = (float)rng_below(rng, 9) - 4;
        store_u32(room + 8 * i, (uint32_t)(40 * i + rng_below(rng, 40)));
        memcpy(room + 8 * i + 4, &value, sizeof value);
    }
    return view_of(room, 8 * n);
}

static view_t s_cell(const field_t *field, rng_t *rng, uint64_t n_keys, uint8_t *room)
{
    if (field->primary_key)
        return random_rows_key(field->type, rng_below(rng, n_keys), room);
    if (field->type == TYPE_SPARSE_VECTOR)
        return s_sparse_cell(rng, room);
    size_t len = type_width(field->type, field->dim);
    if (field->type == TYPE_BOOL) {
        room[0] = rng_chance(rng, 0.5);
        return view_of(room, 1);
    }
    if (len == 0) {
        len = (size_t)rng_below(rng, 30);
        len = rng_chance(rng, 0.02) ? 300 : len;
    }
    for (size_t i = 0; i < len; i++)
        room[i] = (uint8_t)('a' + rng_below(rng, 26));
    return view_of(room, len);
}

void random_rows_add(random_rows_t *self, schema_t *schema, rng_t *rng, size_t n, uint64_t n_keys)
{
    uint8_t room[512];
    for (size_t row = 0; row < n; row++)
        for (size_t i = 0; i < self->n_fields; i++) {
            const field_t *field = schema_at(schema, i);
            if (field->nullable && rng_chance(rng, 0.3))
                column_builder_add_null(&self->builders[i]);
            else
                column_builder_add(&self->builders[i], s_cell(field, rng, n_keys, room));
        }
    for (size_t i = 0; i < self->n_fields; i++)
        self->columns[i] = column_builder_view(&self->builders[i]);
}

void random_rows_copy(random_rows_t *self, const column_t *columns, size_t row)
{
    for (size_t i = 0; i < self->n_fields; i++) {
        column_builder_copy(&self->builders[i], &columns[i], row);
        self->columns[i] = column_builder_view(&self->builders[i]);
    }
}

bool random_rows_same(const column_t *a, size_t row_a, const column_t *b, size_t row_b)
{
    return column_is_null(a, row_a) == column_is_null(b, row_b) &&
           view_eq(column_cell(a, row_a), column_cell(b, row_b));
}
