/* rows: messages of every type as columns, nulls, defaults, automatic keys, and every memory
 * fault on the way. */
#include "core/base/fault.h"
#include "tests/support/field_data.h"

/* --- every type ------------------------------------------------------------------------- */

static void numbers_become_cells(void **state)
{
    (void)state;
    owned(schema) schema = SCHEMA(
        { .name = "b", .type = TYPE_BOOL }, { .name = "i8", .type = TYPE_INT8 },
        { .name = "i16", .type = TYPE_INT16 }, { .name = "i32", .type = TYPE_INT32 },
        { .name = "f", .type = TYPE_FLOAT }, { .name = "d", .type = TYPE_DOUBLE });
    rows_t rows = fd_take(ROWS_INSERT, schema, 2, DATA(
        fd_doubles("d", (const double[]){ 1e300, -0.5 }, 2), FLOATS("f", 1.5f, -2),
        INTS("i32", INT32_MIN, INT32_MAX), INTS("i16", -32768, 32767), INTS("i8", -128, 127),
        fd_bools("b", (const int[]){ 1, 0 }, 2), LONGS("id", INT64_MIN, INT64_MAX)));
    CELL(&rows.columns[0], 0, int64_t, INT64_MIN);
    CELL(&rows.columns[1], 0, uint8_t, 1);
    CELL(&rows.columns[1], 1, uint8_t, 0);
    CELL(&rows.columns[2], 0, int8_t, -128);
    CELL(&rows.columns[3], 1, int16_t, 32767);
    CELL(&rows.columns[4], 0, int32_t, INT32_MIN);
    CELL(&rows.columns[5], 1, float, -2);
    CELL(&rows.columns[6], 0, double, 1e300);
    for (size_t i = 0; i < schema_len(schema); i++) {
        assert_int_equal(rows.columns[i].type, schema_at(schema, i)->type);
        assert_int_equal(rows.columns[i].n, 2);
        assert_null(rows.columns[i].valid);
    }
    assert_true(rows.numbered);
}

static void texts_and_json_become_cells(void **state)
{
    (void)state;
    owned(schema) schema = SCHEMA({ .name = "s", .type = TYPE_VARCHAR, .max_length = 8 },
                                  { .name = "j", .type = TYPE_JSON }, fd_meta);
    rows_t rows = fd_take(ROWS_INSERT, schema, 3, DATA(
        LONGS("id", 1, 2, 3), TEXTS("s", "", "12345678", "gr\xc3\xbc" "n"),
        JSONS("j", "{\"a\":[1,{\"b\":null}]}", " 3.5e-2 ", "\"\\u00fc\""),
        fd_dynamic(JSONS("", "{}", "{\"x\":1}", " { \"y\" : [ ] } "))));
    fd_text_is(&rows.columns[1], 0, "");
    fd_text_is(&rows.columns[1], 1, "12345678");
    fd_text_is(&rows.columns[1], 2, "gr\xc3\xbc" "n");
    fd_text_is(&rows.columns[2], 0, "{\"a\":[1,{\"b\":null}]}");
    fd_text_is(&rows.columns[3], 1, "{\"x\":1}");
}

static void arrays_become_cells(void **state)
{
    (void)state;
    owned(schema) schema = SCHEMA(
        { .name = "a", .type = TYPE_ARRAY, .element = TYPE_INT16, .max_capacity = 3 },
        { .name = "t", .type = TYPE_ARRAY, .element = TYPE_VARCHAR, .max_capacity = 3,
          .max_length = 4 },
        { .name = "b", .type = TYPE_ARRAY, .element = TYPE_BOOL, .max_capacity = 3 },
        { .name = "d", .type = TYPE_ARRAY, .element = TYPE_DOUBLE, .max_capacity = 3 });
    Schema__ScalarField *a[] = { fd_set_ints(fd_scalar_row(), (int32_t[]){ -1, 2, 3 }, 3),
                                 fd_set_ints(fd_scalar_row(), NULL, 0) };
    const char *const words[] = { "kite", "", "fly" };
    Schema__ScalarField *t[] = { fd_set_texts(fd_scalar_row(), NULL, 0),
                                 fd_set_texts(fd_scalar_row(), words, 3) };
    Schema__ScalarField *b[] = { fd_set_bools(fd_scalar_row(), (int[]){ 1, 0 }, 2),
                                 fd_set_bools(fd_scalar_row(), (int[]){ 1 }, 1) };
    Schema__ScalarField *d[] = { fd_set_doubles(fd_scalar_row(), (double[]){ 2.5 }, 1),
                                 fd_set_doubles(fd_scalar_row(), (double[]){ 1, 2 }, 2) };
    rows_t rows = fd_take(ROWS_INSERT, schema, 2, DATA(LONGS("id", 1, 2), fd_arrays("a", N(a)),
                         fd_arrays("t", N(t)), fd_arrays("b", N(b)), fd_arrays("d", N(d))));
    fd_cell_is(&rows.columns[1], 0, "\3\0\0\0\xff\xff\2\0\3\0", 10);
    fd_cell_is(&rows.columns[1], 1, "\0\0\0\0", 4);
    fd_cell_is(&rows.columns[2], 0, "\0\0\0\0", 4);
    fd_cell_is(&rows.columns[2], 1, "\3\0\0\0\4\0\0\0kite\0\0\0\0\3\0\0\0fly", 23);
    view_t element;
    assert_true(array_at(column_cell(&rows.columns[2], 1), TYPE_VARCHAR, 2, &element));
    assert_memory_equal(element.ptr, "fly", 3);
    fd_cell_is(&rows.columns[3], 0, "\2\0\0\0\1\0", 6);
    assert_true(array_at(column_cell(&rows.columns[4], 1), TYPE_DOUBLE, 1, &element));
    assert_int_equal(element.len, 8);
}

static void vectors_become_cells(void **state)
{
    (void)state;
    owned(schema) schema = SCHEMA(
        fd_vec, { .name = "bin", .type = TYPE_BINARY_VECTOR, .dim = 16 },
        { .name = "f16", .type = TYPE_FLOAT16_VECTOR, .dim = 2 },
        { .name = "bf16", .type = TYPE_BFLOAT16_VECTOR, .dim = 2 },
        { .name = "i8", .type = TYPE_INT8_VECTOR, .dim = 3 },
        { .name = "sp", .type = TYPE_SPARSE_VECTOR });
    static const fd_pair_t one[] = { { 3, 0.5f }, { 4000000000u, 0 } };
    const fd_pair_t *const sparse[] = { one, NULL };
    rows_t rows = fd_take(ROWS_INSERT, schema, 2, DATA(
        LONGS("id", 1, 2), VECTORS("vec", 2, 1, 2, 3, 4),
        fd_byte_vectors("bin", 16, SCHEMA__VECTOR_FIELD__DATA_BINARY_VECTOR, "\1\2\3\4", 4),
        fd_byte_vectors("f16", 2, SCHEMA__VECTOR_FIELD__DATA_FLOAT16_VECTOR, "\0\x3c\0\x40\1\2\3\4",
                       8),
        fd_byte_vectors("bf16", 2, SCHEMA__VECTOR_FIELD__DATA_BFLOAT16_VECTOR,
                        "\0\x3f\0\x40\1\2\3\4", 8),
        fd_byte_vectors("i8", 3, SCHEMA__VECTOR_FIELD__DATA_INT8_VECTOR, "\xff\2\3\4\5\x80", 6),
        fd_sparse("sp", sparse, (const size_t[]){ sizeof one, 0 }, 2)));
    fd_cell_is(&rows.columns[1], 1, (const float[]){ 3, 4 }, 8);
    fd_cell_is(&rows.columns[2], 1, "\3\4", 2);
    fd_cell_is(&rows.columns[3], 0, "\0\x3c\0\x40", 4);
    fd_cell_is(&rows.columns[4], 1, "\1\2\3\4", 4);
    fd_cell_is(&rows.columns[5], 1, "\4\5\x80", 3);
    fd_cell_is(&rows.columns[6], 0, one, sizeof one);
    fd_cell_is(&rows.columns[6], 1, "", 0);
}

/* What lies right already is not copied: the column points into the message. */
static void plain_cells_are_borrowed(void **state)
{
    (void)state;
    owned(schema) schema = SCHEMA(fd_vec);
    fd_data_t *id = LONGS("id", 1, 2), *vec = VECTORS("vec", 2, 1, 2, 3, 4);
    rows_t rows = fd_take(ROWS_INSERT, schema, 2, DATA(vec, id));
    assert_ptr_equal(rows.columns[0].cells, id->scalars->long_data->data);
    assert_ptr_equal(rows.columns[1].cells, vec->vectors->float_vector->data);
}

/* --- nulls, defaults, what is left out -------------------------------------------------- */

static void nulls_are_spread_over_the_rows(void **state)
{
    (void)state;
    owned(schema) schema = SCHEMA(
        fd_vec, { .name = "i", .type = TYPE_INT16, .nullable = true },
        { .name = "s", .type = TYPE_VARCHAR, .max_length = 8, .nullable = true },
        { .name = "j", .type = TYPE_JSON, .nullable = true });
    rows_t rows = fd_take(ROWS_INSERT, schema, 3, DATA(
        LONGS("id", 1, 2, 3), VECTORS("vec", 2, 1, 2, 3, 4, 5, 6),
        fd_valid(INTS("i", 7, 9), (const int[]){ 1, 0, 1 }, 3),
        fd_valid(TEXTS("s", "kite"), (const int[]){ 0, 1, 0 }, 3),
        fd_valid(fd_data("j"), (const int[]){ 0, 0, 0 }, 3)));
    const column_t *i = &rows.columns[2], *s = &rows.columns[3], *j = &rows.columns[4];
    CELL(i, 0, int16_t, 7);
    CELL(i, 1, int16_t, 0);
    CELL(i, 2, int16_t, 9);
    assert_true(!column_is_null(i, 0) && column_is_null(i, 1) && !column_is_null(i, 2));
    fd_text_is(s, 0, "");
    fd_text_is(s, 1, "kite");
    assert_true(column_is_null(s, 0) && !column_is_null(s, 1) && column_is_null(s, 2));
    for (size_t row = 0; row < 3; row++)
        assert_true(column_is_null(j, row));
}

static void a_full_nullable_field_has_no_nulls(void **state)
{
    (void)state;
    owned(schema) schema = SCHEMA({ .name = "i", .type = TYPE_INT32, .nullable = true },
                                  { .name = "k", .type = TYPE_INT32, .nullable = true });
    rows_t rows = fd_take(ROWS_INSERT, schema, 2, DATA(
        LONGS("id", 1, 2), INTS("i", 7, 9), fd_valid(INTS("k", 1, 2), (const int[]){ 1, 1 }, 2)));
    assert_null(rows.columns[1].valid);
    assert_null(rows.columns[2].valid);
}

static void what_is_left_out_is_filled_in(void **state)
{
    (void)state;
    static const int32_t seven = 7;
    owned(schema) schema = SCHEMA(
        { .name = "i", .type = TYPE_INT32, .has_default = true,
          .default_value = { (const uint8_t *)&seven, sizeof seven } },
        { .name = "s", .type = TYPE_VARCHAR, .max_length = 8, .has_default = true,
          .nullable = true, .default_value = { (const uint8_t *)"none", 4 } },
        { .name = "n", .type = TYPE_DOUBLE, .nullable = true }, fd_meta);
    rows_t rows = fd_take(ROWS_INSERT, schema, 2, DATA(
        LONGS("id", 1, 2), fd_valid(TEXTS("s", "some"), (const int[]){ 0, 1 }, 2)));
    for (size_t row = 0; row < 2; row++) {
        CELL(&rows.columns[1], row, int32_t, 7);
        assert_true(column_is_null(&rows.columns[3], row));
        fd_text_is(&rows.columns[4], row, "{}");
    }
    fd_text_is(&rows.columns[2], 0, "none");     /* a default goes before a null */
    fd_text_is(&rows.columns[2], 1, "some");
    assert_null(rows.columns[1].valid);
    assert_null(rows.columns[2].valid);
    assert_null(rows.columns[4].valid);
}

static void wrong_nulls_are_refused(void **state)
{
    (void)state;
    field_t field = { .name = "i", .type = TYPE_INT32 };
    fd_field_is_refused(field, fd_valid(INTS("i", 1), (const int[]){ 1, 0 }, 2), 2, 1100,
        "the length of valid_data of field(i) is wrong: invalid parameter[expected=0][actual=2]");
    field.nullable = true;
    fd_field_is_refused(field, fd_valid(INTS("i", 1), (const int[]){ 1, 0, 0 }, 3), 2, 1100,
        "the length of valid_data of field(i) is wrong: invalid parameter[expected=2][actual=3]");
    fd_field_is_refused(field, fd_valid(INTS("i", 1, 2), (const int[]){ 1, 0 }, 2), 2, 1100,
        "the num_rows (2) of field (i) is not equal to passed num_rows (1): invalid parameter"
        "[expected=1][actual=2]");
}

/* --- automatic keys --------------------------------------------------------------------- */

static void automatic_keys_are_numbers_or_their_texts(void **state)
{
    (void)state;
    owned(schema) numbers = fd_schema(fd_auto_id, &fd_vec, 1);
    owned(schema) texts = fd_schema(fd_auto_text, &fd_vec, 1);
    rows_t rows = fd_take(ROWS_INSERT, numbers, 2, DATA(VECTORS("vec", 2, 1, 2, 3, 4)));
    assert_false(rows.numbered);
    assert_int_equal(rows_number(&fd_ctx, numbers, &rows, 450000000000000009), OK);
    CELL(&rows.columns[0], 0, int64_t, 450000000000000009);
    CELL(&rows.columns[0], 1, int64_t, 450000000000000010);
    assert_true(rows.numbered);

    rows = fd_take(ROWS_INSERT, texts, 2, DATA(VECTORS("vec", 2, 1, 2, 3, 4)));
    assert_int_equal(rows_number(&fd_ctx, texts, &rows, 99), OK);
    fd_text_is(&rows.columns[0], 0, "99");
    fd_text_is(&rows.columns[0], 1, "100");
    rows = fd_take(ROWS_INSERT, texts, 1, DATA(VECTORS("vec", 2, 1, 2)));
    assert_int_equal(rows_number(&fd_ctx, texts, &rows, UINT64_MAX), OK);    /* the longest */
    fd_text_is(&rows.columns[0], 0, "18446744073709551615");
}

static void an_upsert_names_the_rows_it_replaces(void **state)
{
    (void)state;
    owned(schema) automatic = fd_schema(fd_auto_id, &fd_vec, 1);
    rows_t rows = fd_take(ROWS_UPSERT, automatic, 1, DATA(LONGS("id", 5), VECTORS("vec", 2, 1, 2)));
    assert_false(rows.numbered);
    CELL(rows.replaced, 0, int64_t, 5);
    assert_int_equal(rows_number(&fd_ctx, automatic, &rows, 77), OK);
    CELL(&rows.columns[0], 0, int64_t, 77);
    CELL(rows.replaced, 0, int64_t, 5);
    fd_is_refused(ROWS_UPSERT, automatic, 1, DATA(VECTORS("vec", 2, 1, 2)), 1100,
                 "must assign pk when upsert, primary field: id: invalid parameter");
    fd_is_refused(ROWS_INSERT, automatic, 1, DATA(LONGS("id", 5), VECTORS("vec", 2, 1, 2)), 1100,
                 "can not assign primary field data when auto id enabled id: invalid parameter");
    owned(schema) given = SCHEMA(fd_vec);
    rows = fd_take(ROWS_UPSERT, given, 1, DATA(LONGS("id", 5), VECTORS("vec", 2, 1, 2)));
    assert_null(rows.replaced);
    assert_true(rows.numbered);
}

/* --- some of the rows ------------------------------------------------------------------- */

static void rows_can_be_taken_out(void **state)
{
    (void)state;
    owned(schema) schema = SCHEMA(fd_vec, { .name = "s", .type = TYPE_VARCHAR, .max_length = 9,
                                           .nullable = true });
    rows_t rows = fd_take(ROWS_INSERT, schema, 3, DATA(
        LONGS("id", 1, 2, 3), VECTORS("vec", 2, 1, 2, 3, 4, 5, 6),
        fd_valid(TEXTS("s", "one", "three"), (const int[]){ 1, 0, 1 }, 3)));
    static const uint32_t pick[] = { 2, 1 };
    column_t c;
    assert_int_equal(rows_take(&fd_ctx, &rows.columns[1], pick, 2, &c), OK);
    fd_cell_is(&c, 0, (const float[]){ 5, 6 }, 8);
    assert_int_equal(rows_take(&fd_ctx, &rows.columns[2], pick, 2, &c), OK);
    fd_text_is(&c, 0, "three");
    assert_true(!column_is_null(&c, 0) && column_is_null(&c, 1));
    assert_int_equal(rows_take(&fd_ctx, &rows.columns[0], NULL, 2, &c), OK);
    assert_ptr_equal(c.cells, rows.columns[0].cells);
    assert_int_equal(c.n, 2);
}

/* --- memory ----------------------------------------------------------------------------- */

static fd_data_t **s_one_of_each(size_t *ret_n)
{
    fd_data_t **data = ctx_new(&fd_ctx, 16 * sizeof *data);
    Schema__ScalarField *row = fd_set_texts(fd_scalar_row(), (const char *const[]){ "a" }, 1);
    size_t n = 0;
    data[n++] = VECTORS("vec", 2, 1, 2);
    data[n++] = fd_bools("b", (const int[]){ 1 }, 1);
    data[n++] = INTS("i8", 1);
    data[n++] = TEXTS("s", "kite");
    data[n++] = JSONS("j", "{}");
    data[n++] = fd_arrays("a", &row, 1);
    data[n++] = fd_valid(fd_data("n"), (const int[]){ 0 }, 1);
    *ret_n = n;
    return data;
}

static void every_fault_is_told(void **state)
{
    (void)state;
    const field_t others[] = {
        fd_vec, { .name = "b", .type = TYPE_BOOL }, { .name = "i8", .type = TYPE_INT8 },
        { .name = "s", .type = TYPE_VARCHAR, .max_length = 8 }, { .name = "j", .type = TYPE_JSON },
        { .name = "a", .type = TYPE_ARRAY, .element = TYPE_VARCHAR, .max_capacity = 2,
          .max_length = 2 },
        { .name = "n", .type = TYPE_VARCHAR, .max_length = 8, .nullable = true }, fd_meta,
    };
    owned(schema) schema = fd_schema(fd_auto_text, others, ARRAY_LEN(others));
    size_t n = 0;
    fd_data_t **data = s_one_of_each(&n);
    for (int nth = 0; ; nth++) {
        ctx_t ctx;
        ctx_init(&ctx);
        rows_t rows = {0};
        fault_arm(nth);
        err_t err = fd_read(&ctx, ROWS_INSERT, schema, 1, data, n, &rows);
        if (err == OK)
            err = rows_number(&ctx, schema, &rows, 7);
        bool fired = fault_disarm();
        ctx_fini(&ctx);
        assert_int_equal(err, fired ? ERR_MEMORY : OK);
        if (!fired) {
            assert_true(nth >= 12);
            return;
        }
    }
}

#define T(f) cmocka_unit_test_setup_teardown(f, fd_up, fd_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(numbers_become_cells), T(texts_and_json_become_cells), T(arrays_become_cells),
        T(vectors_become_cells), T(plain_cells_are_borrowed), T(nulls_are_spread_over_the_rows),
        T(a_full_nullable_field_has_no_nulls), T(what_is_left_out_is_filled_in),
        T(wrong_nulls_are_refused), T(automatic_keys_are_numbers_or_their_texts),
        T(an_upsert_names_the_rows_it_replaces), T(rows_can_be_taken_out),
        T(every_fault_is_told),
    };
    return cmocka_run_group_tests_name("rows", tests, NULL, NULL);
}
