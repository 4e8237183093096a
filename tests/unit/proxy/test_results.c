/* results: columns of every type as FieldData, nulls, empty columns, the dynamic field, keys,
 * and every memory fault on the way.
 *
 * Method: random columns become messages, and a second reader in this file turns each cell of
 * a message back into a column's cell; both must be the same bytes. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <math.h>

#include "core/base/fault.h"
#include "core/wire/wire.h"
#include "proxy/results.h"
#include "tests/support/random_rows.h"

static ctx_t s_ctx;

static int s_up(void **state)
{
    (void)state;
    ctx_init(&s_ctx);
    return 0;
}

static int s_down(void **state)
{
    (void)state;
    ctx_fini(&s_ctx);
    return 0;
}

/* --- the second reader ------------------------------------------------------------------- */

static view_t s_bytes(ProtobufCBinaryData data)
{
    return view_of(data.data, data.len);
}

static view_t s_scalar_cell(const Schema__FieldData *data, size_t i, uint8_t room[8])
{
    const Schema__ScalarField *s = data->scalars;
    switch ((int)data->type) {
    case TYPE_BOOL:
        room[0] = (uint8_t)s->bool_data->data[i];
        return view_of(room, 1);
    case TYPE_INT8:
    case TYPE_INT16:
    case TYPE_INT32:
        store_u32(room, (uint32_t)s->int_data->data[i]);
        return view_of(room, type_width((type_t)data->type, 0));
    case TYPE_INT64:
        return view_of(&s->long_data->data[i], 8);
    case TYPE_FLOAT:
        return view_of(&s->float_data->data[i], 4);
    case TYPE_DOUBLE:
        return view_of(&s->double_data->data[i], 8);
    case TYPE_VARCHAR:
        return s_bytes(s->string_data->data[i]);
    default:
        return s_bytes(s->json_data->data[i]);
    }
}

static view_t s_vector_cell(const Schema__FieldData *data, size_t i)
{
    const Schema__VectorField *v = data->vectors;
    size_t dim = (size_t)v->dim;
    switch ((int)data->type) {
    case TYPE_FLOAT_VECTOR:
        return view_of(v->float_vector->data + i * dim, dim * 4);
    case TYPE_BINARY_VECTOR:
        return view_of(v->binary_vector.data + i * dim / 8, dim / 8);
    case TYPE_FLOAT16_VECTOR:
        return view_of(v->float16_vector.data + i * dim * 2, dim * 2);
    case TYPE_BFLOAT16_VECTOR:
        return view_of(v->bfloat16_vector.data + i * dim * 2, dim * 2);
    case TYPE_INT8_VECTOR:
        return view_of(v->int8_vector.data + i * dim, dim);
    default:
        return s_bytes(v->sparse_float_vector->contents[i]);
    }
}

static void s_compare(const column_t *column, const Schema__FieldData *data, bool nullable)
{
    size_t place = 0;
    bool vector = data->field_case == SCHEMA__FIELD_DATA__FIELD_VECTORS;
    assert_int_equal(data->n_valid_data, nullable ? column->n : 0);
    for (size_t i = 0; i < column->n; i++) {
        uint8_t room[8];
        bool null = column_is_null(column, i);
        if (nullable)
            assert_int_equal(data->valid_data[i], !null);
        if (!null) {
            view_t cell = vector ? s_vector_cell(data, place) : s_scalar_cell(data, i, room);
            assert_true(view_eq(cell, column_cell(column, i)));
        }
        place += !vector || !null;              /* a null vector has no cell, a scalar has one */
    }
}

/* --- tests ------------------------------------------------------------------------------- */

static void s_every_field(size_t n_rows)
{
    owned(schema) schema = random_rows_schema(TYPE_INT64);
    rng_t rng;
    rng_seed(&rng, 11 + n_rows);
    random_rows_t rows;
    random_rows_init(&rows, schema);
    random_rows_add(&rows, schema, &rng, n_rows, 1000);
    for (size_t i = 0; i < schema_len(schema); i++) {
        const field_t *field = schema_at(schema, i);
        Schema__FieldData *data = NULL;
        if (field->type == TYPE_ARRAY)
            continue;                           /* these cells are random bytes */
        assert_int_equal(results_field(&s_ctx, field, &rows.columns[i], &data), OK);
        assert_int_equal(data->type, field->type);
        assert_string_equal(data->field_name, field->name);
        assert_int_equal(data->field_id, field->id);
        assert_int_equal(data->is_dynamic, field->dynamic);
        s_compare(&rows.columns[i], data, field->nullable);
        if (field->dim)
            assert_int_equal(data->vectors->dim, field->dim);
    }
    random_rows_fini(&rows);
}

static void every_type_comes_back(void **state)
{
    (void)state;
    s_every_field(1);
    s_every_field(130);
}

/* Clients tell a column's length by the member that is set: it must be, for no row too. */
static void a_column_of_no_rows_has_its_member(void **state)
{
    (void)state;
    owned(schema) schema = random_rows_schema(TYPE_VARCHAR);
    random_rows_t rows;
    random_rows_init(&rows, schema);
    for (size_t i = 0; i < schema_len(schema); i++) {
        const field_t *field = schema_at(schema, i);
        Schema__FieldData *data = NULL;
        buf_scoped bytes;
        buf_init(&bytes, 0);
        assert_int_equal(results_field(&s_ctx, field, &rows.columns[i], &data), OK);
        assert_int_equal(wire_pack(&s_ctx, (ProtobufCMessage *)data, &bytes), OK);
        Schema__FieldData *back = NULL;
        assert_int_equal(wire_unpack(&s_ctx, &schema__field_data__descriptor, buf_view(&bytes),
                                     (ProtobufCMessage **)&back), OK);
        assert_int_equal(back->field_case, data->field_case);
        if (back->field_case == SCHEMA__FIELD_DATA__FIELD_SCALARS)
            assert_int_equal(back->scalars->data_case, data->scalars->data_case);
        else
            assert_int_equal(back->vectors->data_case, data->vectors->data_case);
    }
    random_rows_fini(&rows);
}

static void s_add_u32(buf_t *cell, uint32_t n)
{
    buf_add_u32(cell, n);
}

static void arrays_come_back(void **state)
{
    (void)state;
    const field_t ints = { .id = 101, .name = "a", .type = TYPE_ARRAY, .element = TYPE_INT16 };
    const field_t texts = { .id = 102, .name = "t", .type = TYPE_ARRAY, .element = TYPE_VARCHAR };
    column_builder_t a, t;
    buf_scoped cell;
    buf_init(&cell, 0);
    column_builder_init(&a, &ints);
    column_builder_init(&t, &texts);
    s_add_u32(&cell, 2);
    buf_add(&cell, (int16_t[]){ -3, 300 }, 4);
    column_builder_add(&a, buf_view(&cell));
    column_builder_add_null(&a);
    buf_reset(&cell);
    s_add_u32(&cell, 2);
    s_add_u32(&cell, 2);
    buf_add_str(&cell, "xy");
    s_add_u32(&cell, 0);
    column_builder_add(&t, buf_view(&cell));
    Schema__FieldData *data = NULL;
    column_t column = column_builder_view(&a);
    assert_int_equal(results_field(&s_ctx, &ints, &column, &data), OK);
    const Schema__ArrayArray *list = data->scalars->array_data;
    assert_int_equal(list->n_data, 2);
    assert_int_equal(list->element_type, TYPE_INT16);
    assert_int_equal(list->data[0]->int_data->data[0], -3);
    assert_int_equal(list->data[0]->int_data->data[1], 300);
    assert_int_equal(list->data[1]->data_case, SCHEMA__SCALAR_FIELD__DATA_INT_DATA);
    assert_int_equal(list->data[1]->int_data->n_data, 0);
    assert_false(data->valid_data[1]);
    column = column_builder_view(&t);
    assert_int_equal(results_field(&s_ctx, &texts, &column, &data), OK);
    list = data->scalars->array_data;
    assert_int_equal(list->data[0]->string_data->n_data, 2);
    assert_memory_equal(list->data[0]->string_data->data[0].data, "xy", 2);
    assert_int_equal(list->data[0]->string_data->data[1].len, 0);
    column_builder_fini(&a);
    column_builder_fini(&t);
}

/* Damaged cells are refused, never read past their end. */
static void a_damaged_array_is_refused(void **state)
{
    (void)state;
    static const struct { type_t element; const char *bytes; size_t len; } s_rows[] = {
        { TYPE_INT16, "\x01", 1 }, { TYPE_INT16, "\x02\0\0\0ab", 6 },
        { TYPE_INT64, "\xff\xff\xff\xff", 4 }, { TYPE_VARCHAR, "\x01\0\0\0\x05\0\0\0ab", 10 },
        { TYPE_VARCHAR, "\x02\0\0\0\0\0\0\0", 8 }, { TYPE_VARCHAR, "\x01\0\0\0\x01\0", 6 },
    };
    for (size_t i = 0; i < ARRAY_LEN(s_rows); i++) {
        const field_t field = { .id = 101, .name = "a", .type = TYPE_ARRAY,
                                .element = s_rows[i].element };
        column_builder_t b;
        column_builder_init(&b, &field);
        column_builder_add(&b, view_of(s_rows[i].bytes, s_rows[i].len));
        column_t column = column_builder_view(&b);
        Schema__FieldData *data = NULL;
        assert_int_equal(results_field(&s_ctx, &field, &column, &data), ERR_CORRUPT);
        column_builder_fini(&b);
    }
}

static const field_t s_meta = { .id = 109, .name = "$meta", .type = TYPE_JSON, .dynamic = true };

static void only_keys_that_were_asked_for(void **state)
{
    (void)state;
    static const struct { const char *row, *picked; } s_rows[] = {
        { "{\"a\":1,\"b\":\"x\\\"y\",\"c\":{\"d\":[1,2]}}", "{\"c\":{\"d\":[1,2]},\"a\":1}" },
        { "{\"b\":2}", "{}" },
        { "{}", "{}" },
        { "{\"a\": \"t\\u00fc\\\"\" }", "{\"a\":\"t\\u00fc\\\"\"}" },
        { "{\"a\":12345678901234567890,\"c\":1.0}", "{\"c\":1.0,\"a\":12345678901234567890}" },
        { "{\"c\":null,\"a\":true}", "{\"c\":null,\"a\":true}" },
    };
    const view_t keys[] = { view_str("c"), view_str("a") };
    column_builder_t b;
    column_builder_init(&b, &s_meta);
    for (size_t i = 0; i < ARRAY_LEN(s_rows); i++)
        column_builder_add(&b, view_str(s_rows[i].row));
    column_t column = column_builder_view(&b);
    Schema__FieldData *data = NULL;
    assert_int_equal(results_dynamic(&s_ctx, &s_meta, &column, keys, 2, &data), OK);
    assert_true(data->is_dynamic);
    for (size_t i = 0; i < ARRAY_LEN(s_rows); i++) {
        ProtobufCBinaryData cell = data->scalars->json_data->data[i];
        assert_string_equal(ctx_printf(&s_ctx, "%.*s", (int)cell.len, (char *)cell.data),
                            s_rows[i].picked);
    }
    assert_int_equal(results_dynamic(&s_ctx, &s_meta, &column, NULL, 0, &data), OK);
    assert_true(view_eq(s_bytes(data->scalars->json_data->data[1]), view_str(s_rows[1].row)));
    column_builder_fini(&b);
}

static void keys_and_counts(void **state)
{
    (void)state;
    const field_t text = { .id = 100, .name = "k", .type = TYPE_VARCHAR, .primary_key = true };
    const int64_t numbers[] = { -5, 7 };
    const column_t longs = { .type = TYPE_INT64, .width = 8, .n = 2,
                             .cells = (const uint8_t *)numbers };
    Schema__IDs *ids = NULL;
    assert_int_equal(results_ids(&s_ctx, &longs, &ids), OK);
    assert_int_equal(ids->id_field_case, SCHEMA__IDS__ID_FIELD_INT_ID);
    assert_int_equal(ids->int_id->data[0], -5);
    assert_int_equal(ids->int_id->n_data, 2);
    column_builder_t b;
    column_builder_init(&b, &text);
    column_builder_add(&b, view_str("one"));
    column_t texts = column_builder_view(&b);
    assert_int_equal(results_ids(&s_ctx, &texts, &ids), OK);
    assert_true(view_eq(s_bytes(ids->str_id->data[0]), view_str("one")));
    column_builder_fini(&b);
    const Schema__FieldData *count = results_count(&s_ctx, 42);
    assert_string_equal(count->field_name, "count(*)");
    assert_int_equal(count->scalars->long_data->data[0], 42);
}

static void scores_are_rounded(void **state)
{
    (void)state;
    float scores[] = { 1.23456f, -1.5f, 0.0f, 2.5f };
    results_round(scores, 4, -1);
    assert_true(scores[0] == 1.23456f);
    results_round(scores, 4, 3);
    assert_true(scores[0] == roundf(1234.56f) / 1000);
    results_round(scores, 4, 0);
    assert_true(scores[0] == 1 && scores[1] == -2 && scores[3] == 3);
}

static void every_fault_is_reported(void **state)
{
    (void)state;
    owned(schema) schema = random_rows_schema(TYPE_VARCHAR);
    rng_t rng;
    rng_seed(&rng, 5);
    random_rows_t rows;
    random_rows_init(&rows, schema);
    random_rows_add(&rows, schema, &rng, 9, 1000);
    const view_t key = view_str("a");
    size_t faults = 0;
    for (size_t i = 0; i < schema_len(schema); i++) {
        const field_t *field = schema_at(schema, i);
        for (int nth = 0; field->type != TYPE_ARRAY; nth++) {
            Schema__FieldData *data = NULL;
            fault_arm(nth);
            err_t err = results_dynamic(&s_ctx, field, &rows.columns[i], &key, field->dynamic,
                                        &data);
            if (!fault_disarm()) {
                assert_int_equal(err, OK);
                break;
            }
            assert_int_equal(err, ERR_MEMORY);
            faults++;
        }
    }
    assert_true(faults > schema_len(schema));
    random_rows_fini(&rows);
}

#define T(f) cmocka_unit_test_setup_teardown(f, s_up, s_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(every_type_comes_back),
        T(a_column_of_no_rows_has_its_member),
        T(arrays_come_back),
        T(a_damaged_array_is_refused),
        T(only_keys_that_were_asked_for),
        T(keys_and_counts),
        T(scores_are_rounded),
        T(every_fault_is_reported),
    };
    return cmocka_run_group_tests_name("results", tests, NULL, NULL);
}
