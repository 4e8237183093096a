/* schema and column: lookups, widths; random columns of every type survive building,
 * slicing, writing and reading; every cut and every flipped header bit is refused or
 * harmless. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>

#include "core/base/rng.h"
#include "core/schema/column.h"

static const field_t s_fields[] = {
    { .id = 100, .name = "id", .type = TYPE_INT64, .primary_key = true },
    { .id = 101, .name = "tiny", .type = TYPE_INT8, .nullable = true },
    { .id = 102, .name = "text", .type = TYPE_VARCHAR, .max_length = 64, .nullable = true },
    { .id = 103, .name = "list", .type = TYPE_ARRAY, .element = TYPE_INT32, .max_capacity = 8 },
    { .id = 104, .name = "vec", .type = TYPE_FLOAT_VECTOR, .dim = 4 },
    { .id = 105, .name = "bits", .type = TYPE_BINARY_VECTOR, .dim = 16 },
    { .id = 106, .name = "sparse", .type = TYPE_SPARSE_VECTOR },
    { .id = 107, .name = "$meta", .type = TYPE_JSON, .dynamic = true },
};

static void a_schema_finds_its_fields(void **state)
{
    (void)state;
    owned(schema) schema = schema_new(s_fields, ARRAY_LEN(s_fields));
    owned(schema) other = schema_ref(schema);
    assert_int_equal(schema_len(other), ARRAY_LEN(s_fields));
    assert_string_equal(schema_pk(schema)->name, "id");
    assert_int_equal(schema_by_name(schema, "vec")->dim, 4);
    assert_int_equal(schema_by_id(schema, 102)->type, TYPE_VARCHAR);
    assert_null(schema_by_name(schema, "nope"));
    assert_null(schema_by_id(schema, 99));
    assert_string_equal(schema_dynamic(schema)->name, "$meta");
    assert_null(schema_partition_key(schema));
    assert_int_equal(schema_index(schema, schema_by_name(schema, "list")), 3);
    assert_int_equal(type_width(TYPE_FLOAT16_VECTOR, 8), 16);
    assert_int_equal(type_width(TYPE_BINARY_VECTOR, 16), 2);
    assert_int_equal(type_width(TYPE_JSON, 0), 0);
    assert_string_equal(type_name(TYPE_SPARSE_VECTOR), "SparseFloatVector");
}

static view_t s_random_cell(rng_t *rng, const field_t *field, uint8_t *room)
{
    size_t width = type_width(field->type, field->dim);
    size_t len = width ? width : (size_t)rng_below(rng, 30);
    for (size_t i = 0; i < len; i++)
        room[i] = (uint8_t)rng_u64(rng);
    return view_of(room, len);
}

static void s_assert_same(const column_t *a, const column_t *b)
{
    assert_int_equal(a->n, b->n);
    assert_int_equal(a->type, b->type);
    for (size_t row = 0; row < a->n; row++) {
        assert_int_equal(column_is_null(a, row), column_is_null(b, row));
        assert_true(view_eq(column_cell(a, row), column_cell(b, row)));
    }
}

static void columns_survive_being_bytes(void **state)
{
    (void)state;
    rng_t rng;
    rng_seed(&rng, 11);
    ctx_t ctx;
    ctx_init(&ctx);
    for (int round = 0; round < 200; round++) {
        const field_t *field = &s_fields[round % ARRAY_LEN(s_fields)];
        size_t n = (size_t)rng_below(&rng, 300);
        column_builder_t b;
        column_builder_init(&b, field);
        uint8_t room[64];
        for (size_t i = 0; i < n; i++) {
            if (field->nullable && rng_chance(&rng, 0.3))
                column_builder_add_null(&b);
            else
                column_builder_add(&b, s_random_cell(&rng, field, room));
        }
        assert_true(column_builder_ok(&b));
        column_t view = column_builder_view(&b), back, part;
        buf_scoped bytes = {0};
        column_write(&view, &bytes);
        size_t len = 0;
        assert_int_equal(column_read(&ctx, buf_view(&bytes), &back, &len), OK);
        assert_int_equal(len, bytes.len);
        s_assert_same(&view, &back);

        size_t from = n < 64 ? 0 : 64;
        part = column_slice(&view, from, n - from);
        buf_reset(&bytes);
        column_write(&part, &bytes);
        assert_int_equal(column_read(&ctx, buf_view(&bytes), &back, &len), OK);
        s_assert_same(&part, &back);

        for (size_t cut = 0; cut < bytes.len; cut += 1 + bytes.len / 50)
            assert_int_equal(column_read(&ctx, view_of(bytes.ptr, cut), &back, &len), ERR_CORRUPT);
        for (size_t bit = 0; bit < 24 * 8 && bytes.len > 0; bit++) {
            bytes.ptr[bit / 8] ^= (uint8_t)(1 << bit % 8);
            if (column_read(&ctx, buf_view(&bytes), &back, &len) == OK)
                assert_true(len <= bytes.len);
            bytes.ptr[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        column_builder_fini(&b);
    }
    ctx_fini(&ctx);
}

static void arrays_are_bounded_by_their_cell(void **state)
{
    (void)state;
    const uint8_t ints[] = { 2, 0, 0, 0, 7, 0, 0, 0, 9, 0, 0, 0 };
    const uint8_t texts[] = { 2, 0, 0, 0, 1, 0, 0, 0, 'a', 2, 0, 0, 0, 'b', 'c' };
    view_t got;
    uint32_t n = 0;
    assert_true(array_len(view_of(ints, sizeof ints), &n) && n == 2);
    assert_true(array_at(view_of(ints, sizeof ints), TYPE_INT32, 1, &got));
    assert_int_equal(load_u32(got.ptr), 9);
    assert_false(array_at(view_of(ints, sizeof ints), TYPE_INT32, 2, &got));
    assert_false(array_at(view_of(ints, sizeof ints - 1), TYPE_INT32, 1, &got));
    assert_true(array_at(view_of(texts, sizeof texts), TYPE_VARCHAR, 1, &got));
    assert_true(view_eq(got, view_str("bc")));
    assert_false(array_at(view_of(texts, sizeof texts - 1), TYPE_VARCHAR, 1, &got));
    assert_false(array_len(view_of(ints, 3), &n));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_schema_finds_its_fields),
        cmocka_unit_test(columns_survive_being_bytes),
        cmocka_unit_test(arrays_are_bounded_by_their_cell),
    };
    return cmocka_run_group_tests_name("schema", tests, NULL, NULL);
}
