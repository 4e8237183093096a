/* rows: messages of every type as columns, every refusal with its code and text, nulls,
 * defaults, automatic keys, and every memory fault on the way.
 *
 * A message is written as a client would pack it, by the makers below; they live in the
 * arena of the test. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <math.h>

#include "core/base/fault.h"
#include "core/base/limits.h"
#include "proxy/rows.h"

typedef Schema__FieldData data_t;

static ctx_t s_ctx;             /* of the test's own things */

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

/* --- makers ------------------------------------------------------------------------------- */

static void *s_copy(const void *from, size_t bytes)
{
    return bytes ? memcpy(ctx_new(&s_ctx, bytes), from, bytes) : NULL;
}

static data_t *s_data(const char *name)
{
    data_t *data = ctx_new(&s_ctx, sizeof *data);
    schema__field_data__init(data);
    data->field_name = name;
    return data;
}

static Schema__ScalarField *s_scalar_row(void)
{
    Schema__ScalarField *field = ctx_new(&s_ctx, sizeof *field);
    schema__scalar_field__init(field);
    return field;
}

static Schema__ScalarField *s_scalars(data_t *data)
{
    data->field_case = SCHEMA__FIELD_DATA__FIELD_SCALARS;
    return data->scalars = s_scalar_row();
}

static Schema__VectorField *s_vectors(data_t *data, int64_t dim)
{
    data->field_case = SCHEMA__FIELD_DATA__FIELD_VECTORS;
    data->vectors = ctx_new(&s_ctx, sizeof *data->vectors);
    schema__vector_field__init(data->vectors);
    data->vectors->dim = dim;
    return data->vectors;
}

#define LIST(type, init, element, values, n_values) \
    ({ type *list_ = ctx_new(&s_ctx, sizeof *list_); \
       init(list_); \
       list_->n_data = (n_values); \
       list_->data = s_copy((values), (n_values) * sizeof(element)); \
       list_; })

static Schema__ScalarField *s_set_bools(Schema__ScalarField *to, const int *values, size_t n)
{
    to->data_case = SCHEMA__SCALAR_FIELD__DATA_BOOL_DATA;
    to->bool_data = LIST(Schema__BoolArray, schema__bool_array__init, int, values, n);
    return to;
}

static Schema__ScalarField *s_set_ints(Schema__ScalarField *to, const int32_t *values, size_t n)
{
    to->data_case = SCHEMA__SCALAR_FIELD__DATA_INT_DATA;
    to->int_data = LIST(Schema__IntArray, schema__int_array__init, int32_t, values, n);
    return to;
}

static Schema__ScalarField *s_set_longs(Schema__ScalarField *to, const int64_t *values, size_t n)
{
    to->data_case = SCHEMA__SCALAR_FIELD__DATA_LONG_DATA;
    to->long_data = LIST(Schema__LongArray, schema__long_array__init, int64_t, values, n);
    return to;
}

static Schema__ScalarField *s_set_floats(Schema__ScalarField *to, const float *values, size_t n)
{
    to->data_case = SCHEMA__SCALAR_FIELD__DATA_FLOAT_DATA;
    to->float_data = LIST(Schema__FloatArray, schema__float_array__init, float, values, n);
    return to;
}

static Schema__ScalarField *s_set_doubles(Schema__ScalarField *to, const double *values, size_t n)
{
    to->data_case = SCHEMA__SCALAR_FIELD__DATA_DOUBLE_DATA;
    to->double_data = LIST(Schema__DoubleArray, schema__double_array__init, double, values, n);
    return to;
}

static ProtobufCBinaryData *s_binaries(const char *const *texts, size_t n)
{
    ProtobufCBinaryData *list = ctx_new(&s_ctx, (n + 1) * sizeof *list);
    for (size_t i = 0; i < n; i++)
        list[i] = (ProtobufCBinaryData){ strlen(texts[i]), s_copy(texts[i], strlen(texts[i])) };
    return list;
}

static Schema__ScalarField *s_set_texts(Schema__ScalarField *to, const char *const *texts, size_t n)
{
    to->data_case = SCHEMA__SCALAR_FIELD__DATA_STRING_DATA;
    to->string_data = LIST(Schema__StringArray, schema__string_array__init, char, "", 0);
    to->string_data->n_data = n;
    to->string_data->data = s_binaries(texts, n);
    return to;
}

static Schema__ScalarField *s_set_jsons(Schema__ScalarField *to, const char *const *texts, size_t n)
{
    to->data_case = SCHEMA__SCALAR_FIELD__DATA_JSON_DATA;
    to->json_data = LIST(Schema__JSONArray, schema__jsonarray__init, char, "", 0);
    to->json_data->n_data = n;
    to->json_data->data = s_binaries(texts, n);
    return to;
}

static Schema__ScalarField *s_set_arrays(Schema__ScalarField *to, Schema__ScalarField **rows,
                                         size_t n)
{
    to->data_case = SCHEMA__SCALAR_FIELD__DATA_ARRAY_DATA;
    to->array_data = LIST(Schema__ArrayArray, schema__array_array__init, void *, rows, n);
    return to;
}

#define N(array) (array), ARRAY_LEN(array)
#define LONGS(name, ...)   s_longs(name, (const int64_t[]){ __VA_ARGS__ }, \
                                   ARRAY_LEN(((const int64_t[]){ __VA_ARGS__ })))
#define INTS(name, ...)    s_ints(name, (const int32_t[]){ __VA_ARGS__ }, \
                                  ARRAY_LEN(((const int32_t[]){ __VA_ARGS__ })))
#define TEXTS(name, ...)   s_texts(name, (const char *const[]){ __VA_ARGS__ }, \
                                   ARRAY_LEN(((const char *const[]){ __VA_ARGS__ })))
#define JSONS(name, ...)   s_jsons(name, (const char *const[]){ __VA_ARGS__ }, \
                                   ARRAY_LEN(((const char *const[]){ __VA_ARGS__ })))
#define FLOATS(name, ...)  s_floats(name, (const float[]){ __VA_ARGS__ }, \
                                    ARRAY_LEN(((const float[]){ __VA_ARGS__ })))
#define VECTORS(name, dim, ...) s_float_vectors(name, dim, (const float[]){ __VA_ARGS__ }, \
                                                ARRAY_LEN(((const float[]){ __VA_ARGS__ })))

static data_t *s_longs(const char *name, const int64_t *values, size_t n)
{
    data_t *data = s_data(name);
    s_set_longs(s_scalars(data), values, n);
    return data;
}

static data_t *s_ints(const char *name, const int32_t *values, size_t n)
{
    data_t *data = s_data(name);
    s_set_ints(s_scalars(data), values, n);
    return data;
}

static data_t *s_texts(const char *name, const char *const *values, size_t n)
{
    data_t *data = s_data(name);
    s_set_texts(s_scalars(data), values, n);
    return data;
}

static data_t *s_jsons(const char *name, const char *const *values, size_t n)
{
    data_t *data = s_data(name);
    s_set_jsons(s_scalars(data), values, n);
    return data;
}

static data_t *s_floats(const char *name, const float *values, size_t n)
{
    data_t *data = s_data(name);
    s_set_floats(s_scalars(data), values, n);
    return data;
}

static data_t *s_doubles(const char *name, const double *values, size_t n)
{
    data_t *data = s_data(name);
    s_set_doubles(s_scalars(data), values, n);
    return data;
}

static data_t *s_bools(const char *name, const int *values, size_t n)
{
    data_t *data = s_data(name);
    s_set_bools(s_scalars(data), values, n);
    return data;
}

static data_t *s_arrays(const char *name, Schema__ScalarField **rows, size_t n)
{
    data_t *data = s_data(name);
    s_set_arrays(s_scalars(data), rows, n);
    return data;
}

static data_t *s_float_vectors(const char *name, int64_t dim, const float *values, size_t n)
{
    data_t *data = s_data(name);
    Schema__VectorField *vectors = s_vectors(data, dim);
    vectors->data_case = SCHEMA__VECTOR_FIELD__DATA_FLOAT_VECTOR;
    vectors->float_vector = LIST(Schema__FloatArray, schema__float_array__init, float, values, n);
    return data;
}

static data_t *s_byte_vectors(const char *name, int64_t dim, Schema__VectorField__DataCase member,
                              const void *bytes, size_t len)
{
    data_t *data = s_data(name);
    Schema__VectorField *vectors = s_vectors(data, dim);
    vectors->data_case = member;
    vectors->binary_vector = (ProtobufCBinaryData){ len, s_copy(bytes, len) };
    return data;
}

typedef struct { uint32_t index; float value; } pair_t;

static data_t *s_sparse(const char *name, const pair_t *const *rows, const size_t *lens, size_t n)
{
    data_t *data = s_data(name);
    Schema__VectorField *vectors = s_vectors(data, 0);
    vectors->data_case = SCHEMA__VECTOR_FIELD__DATA_SPARSE_FLOAT_VECTOR;
    Schema__SparseFloatArray *list = ctx_new(&s_ctx, sizeof *list);
    schema__sparse_float_array__init(list);
    list->n_contents = n;
    list->contents = ctx_new(&s_ctx, (n + 1) * sizeof *list->contents);
    for (size_t i = 0; i < n; i++)
        list->contents[i] = (ProtobufCBinaryData){ lens[i], s_copy(rows[i], lens[i]) };
    vectors->sparse_float_vector = list;
    return data;
}

static data_t *s_one_sparse(const char *name, const pair_t *row, size_t len)
{
    return s_sparse(name, &row, &len, 1);
}

/* Which of the rows have a value. */
static data_t *s_valid(data_t *data, const int *valid, size_t n)
{
    data->n_valid_data = n;
    data->valid_data = s_copy(valid, n * sizeof *valid);
    return data;
}

static data_t *s_dynamic(data_t *data)
{
    data->is_dynamic = true;
    return data;
}

/* --- schemas --------------------------------------------------------------------------------- */

/* A key and the fields given; ids and places follow. */
static schema_t *s_schema(field_t key, const field_t *others, size_t n)
{
    field_t fields[32] = { key };
    for (size_t i = 0; i < n; i++)
        fields[i + 1] = others[i];
    for (size_t i = 0; i <= n; i++)
        fields[i].id = FIELD_FIRST + (int64_t)i;
    return schema_new(fields, n + 1);
}

#define SCHEMA(...) \
    s_schema(s_id, (const field_t[]){ __VA_ARGS__ }, ARRAY_LEN(((const field_t[]){ __VA_ARGS__ })))

static const field_t s_id = { .name = "id", .type = TYPE_INT64, .primary_key = true };
static const field_t s_auto_id = { .name = "id", .type = TYPE_INT64, .primary_key = true,
                                   .auto_id = true };
static const field_t s_auto_text = { .name = "id", .type = TYPE_VARCHAR, .max_length = 5,
                                     .primary_key = true, .auto_id = true };
static const field_t s_vec = { .name = "vec", .type = TYPE_FLOAT_VECTOR, .dim = 2 };
static const field_t s_meta = { .name = "$meta", .type = TYPE_JSON, .dynamic = true };

/* --- checks ------------------------------------------------------------------------------------ */

static err_t s_read(ctx_t *ctx, rows_kind_t kind, schema_t *schema, uint32_t n_rows,
                    data_t *const *data, size_t n, rows_t *ret)
{
    rows_input_t in = { .kind = kind, .schema = schema, .data = data, .n_data = n,
                        .n_rows = n_rows };
    return rows_read(ctx, &in, ret);
}

#define DATA(...) ((data_t *const[]){ __VA_ARGS__ }), ARRAY_LEN(((data_t *const[]){ __VA_ARGS__ }))

static rows_t s_take(rows_kind_t kind, schema_t *schema, uint32_t n_rows, data_t *const *data,
                     size_t n)
{
    rows_t rows = {0};
    err_t err = s_read(&s_ctx, kind, schema, n_rows, data, n, &rows);
    if (err != OK)
        fail_msg("refused: %s", s_ctx.text);
    assert_int_equal(rows.n, n_rows);
    return rows;
}

static void s_is_refused(rows_kind_t kind, schema_t *schema, uint32_t n_rows, data_t *const *data,
                         size_t n, int code, const char *text)
{
    ctx_t ctx;
    ctx_init(&ctx);
    rows_t rows = {0};
    err_t err = s_read(&ctx, kind, schema, n_rows, data, n, &rows);
    assert_string_equal(err == OK ? "taken" : ctx.text, text);
    assert_int_equal(err_code(err), code);
    ctx_fini(&ctx);
}

/* A field beside the key; one row, or two. */
static void s_field_is_refused(field_t field, data_t *data, size_t n_rows, int code,
                               const char *text)
{
    owned(schema) schema = SCHEMA(field);
    s_is_refused(ROWS_INSERT, schema, (uint32_t)n_rows,
                 DATA(n_rows == 2 ? LONGS("id", 1, 2) : LONGS("id", 1), data), code, text);
}

static void s_cell_is(const column_t *c, size_t row, const void *bytes, size_t len)
{
    view_t cell = column_cell(c, row);
    assert_int_equal(cell.len, len);
    if (len)
        assert_memory_equal(cell.ptr, bytes, len);
}

static void s_text_is(const column_t *c, size_t row, const char *text)
{
    s_cell_is(c, row, text, strlen(text));
}

#define CELL(c, row, type, value) \
    do { type want_ = (value); s_cell_is((c), (row), &want_, sizeof want_); } while (0)

/* --- every type ------------------------------------------------------------------------------------ */

static void numbers_become_cells(void **state)
{
    (void)state;
    owned(schema) schema = SCHEMA(
        { .name = "b", .type = TYPE_BOOL }, { .name = "i8", .type = TYPE_INT8 },
        { .name = "i16", .type = TYPE_INT16 }, { .name = "i32", .type = TYPE_INT32 },
        { .name = "f", .type = TYPE_FLOAT }, { .name = "d", .type = TYPE_DOUBLE });
    rows_t rows = s_take(ROWS_INSERT, schema, 2, DATA(
        s_doubles("d", (const double[]){ 1e300, -0.5 }, 2), FLOATS("f", 1.5f, -2),
        INTS("i32", INT32_MIN, INT32_MAX), INTS("i16", -32768, 32767), INTS("i8", -128, 127),
        s_bools("b", (const int[]){ 1, 0 }, 2), LONGS("id", INT64_MIN, INT64_MAX)));
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
                                  { .name = "j", .type = TYPE_JSON }, s_meta);
    rows_t rows = s_take(ROWS_INSERT, schema, 3, DATA(
        LONGS("id", 1, 2, 3), TEXTS("s", "", "12345678", "gr\xc3\xbc" "n"),
        JSONS("j", "{\"a\":[1,{\"b\":null}]}", " 3.5e-2 ", "\"\\u00fc\""),
        s_dynamic(JSONS("", "{}", "{\"x\":1}", " { \"y\" : [ ] } "))));
    s_text_is(&rows.columns[1], 0, "");
    s_text_is(&rows.columns[1], 1, "12345678");
    s_text_is(&rows.columns[1], 2, "gr\xc3\xbc" "n");
    s_text_is(&rows.columns[2], 0, "{\"a\":[1,{\"b\":null}]}");
    s_text_is(&rows.columns[3], 1, "{\"x\":1}");
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
    Schema__ScalarField *a[] = { s_set_ints(s_scalar_row(), (int32_t[]){ -1, 2, 3 }, 3),
                                 s_set_ints(s_scalar_row(), NULL, 0) };
    const char *const words[] = { "kite", "", "fly" };
    Schema__ScalarField *t[] = { s_set_texts(s_scalar_row(), NULL, 0),
                                 s_set_texts(s_scalar_row(), words, 3) };
    Schema__ScalarField *b[] = { s_set_bools(s_scalar_row(), (int[]){ 1, 0 }, 2),
                                 s_set_bools(s_scalar_row(), (int[]){ 1 }, 1) };
    Schema__ScalarField *d[] = { s_set_doubles(s_scalar_row(), (double[]){ 2.5 }, 1),
                                 s_set_doubles(s_scalar_row(), (double[]){ 1, 2 }, 2) };
    rows_t rows = s_take(ROWS_INSERT, schema, 2, DATA(LONGS("id", 1, 2), s_arrays("a", N(a)),
                         s_arrays("t", N(t)), s_arrays("b", N(b)), s_arrays("d", N(d))));
    s_cell_is(&rows.columns[1], 0, "\3\0\0\0\xff\xff\2\0\3\0", 10);
    s_cell_is(&rows.columns[1], 1, "\0\0\0\0", 4);
    s_cell_is(&rows.columns[2], 0, "\0\0\0\0", 4);
    s_cell_is(&rows.columns[2], 1, "\3\0\0\0\4\0\0\0kite\0\0\0\0\3\0\0\0fly", 23);
    view_t element;
    assert_true(array_at(column_cell(&rows.columns[2], 1), TYPE_VARCHAR, 2, &element));
    assert_memory_equal(element.ptr, "fly", 3);
    s_cell_is(&rows.columns[3], 0, "\2\0\0\0\1\0", 6);
    assert_true(array_at(column_cell(&rows.columns[4], 1), TYPE_DOUBLE, 1, &element));
    assert_int_equal(element.len, 8);
}

static void vectors_become_cells(void **state)
{
    (void)state;
    owned(schema) schema = SCHEMA(
        s_vec, { .name = "bin", .type = TYPE_BINARY_VECTOR, .dim = 16 },
        { .name = "f16", .type = TYPE_FLOAT16_VECTOR, .dim = 2 },
        { .name = "bf16", .type = TYPE_BFLOAT16_VECTOR, .dim = 2 },
        { .name = "i8", .type = TYPE_INT8_VECTOR, .dim = 3 },
        { .name = "sp", .type = TYPE_SPARSE_VECTOR });
    static const pair_t one[] = { { 3, 0.5f }, { 4000000000u, 0 } };
    const pair_t *const sparse[] = { one, NULL };
    rows_t rows = s_take(ROWS_INSERT, schema, 2, DATA(
        LONGS("id", 1, 2), VECTORS("vec", 2, 1, 2, 3, 4),
        s_byte_vectors("bin", 16, SCHEMA__VECTOR_FIELD__DATA_BINARY_VECTOR, "\1\2\3\4", 4),
        s_byte_vectors("f16", 2, SCHEMA__VECTOR_FIELD__DATA_FLOAT16_VECTOR, "\0\x3c\0\x40\1\2\3\4",
                       8),
        s_byte_vectors("bf16", 2, SCHEMA__VECTOR_FIELD__DATA_BFLOAT16_VECTOR, "\0\x3f\0\x40\1\2\3\4",
                       8),
        s_byte_vectors("i8", 3, SCHEMA__VECTOR_FIELD__DATA_INT8_VECTOR, "\xff\2\3\4\5\x80", 6),
        s_sparse("sp", sparse, (const size_t[]){ sizeof one, 0 }, 2)));
    s_cell_is(&rows.columns[1], 1, (const float[]){ 3, 4 }, 8);
    s_cell_is(&rows.columns[2], 1, "\3\4", 2);
    s_cell_is(&rows.columns[3], 0, "\0\x3c\0\x40", 4);
    s_cell_is(&rows.columns[4], 1, "\1\2\3\4", 4);
    s_cell_is(&rows.columns[5], 1, "\4\5\x80", 3);
    s_cell_is(&rows.columns[6], 0, one, sizeof one);
    s_cell_is(&rows.columns[6], 1, "", 0);
}

/* What lies right already is not copied: the column points into the message. */
static void plain_cells_are_borrowed(void **state)
{
    (void)state;
    owned(schema) schema = SCHEMA(s_vec);
    data_t *id = LONGS("id", 1, 2), *vec = VECTORS("vec", 2, 1, 2, 3, 4);
    rows_t rows = s_take(ROWS_INSERT, schema, 2, DATA(vec, id));
    assert_ptr_equal(rows.columns[0].cells, id->scalars->long_data->data);
    assert_ptr_equal(rows.columns[1].cells, vec->vectors->float_vector->data);
}

/* --- nulls, defaults, what is left out ------------------------------------------------------------- */

static void nulls_are_spread_over_the_rows(void **state)
{
    (void)state;
    owned(schema) schema = SCHEMA(
        s_vec, { .name = "i", .type = TYPE_INT16, .nullable = true },
        { .name = "s", .type = TYPE_VARCHAR, .max_length = 8, .nullable = true },
        { .name = "j", .type = TYPE_JSON, .nullable = true });
    rows_t rows = s_take(ROWS_INSERT, schema, 3, DATA(
        LONGS("id", 1, 2, 3), VECTORS("vec", 2, 1, 2, 3, 4, 5, 6),
        s_valid(INTS("i", 7, 9), (const int[]){ 1, 0, 1 }, 3),
        s_valid(TEXTS("s", "kite"), (const int[]){ 0, 1, 0 }, 3),
        s_valid(s_data("j"), (const int[]){ 0, 0, 0 }, 3)));
    const column_t *i = &rows.columns[2], *s = &rows.columns[3], *j = &rows.columns[4];
    CELL(i, 0, int16_t, 7);
    CELL(i, 1, int16_t, 0);
    CELL(i, 2, int16_t, 9);
    assert_true(!column_is_null(i, 0) && column_is_null(i, 1) && !column_is_null(i, 2));
    s_text_is(s, 0, "");
    s_text_is(s, 1, "kite");
    assert_true(column_is_null(s, 0) && !column_is_null(s, 1) && column_is_null(s, 2));
    for (size_t row = 0; row < 3; row++)
        assert_true(column_is_null(j, row));
}

static void a_full_nullable_field_has_no_nulls(void **state)
{
    (void)state;
    owned(schema) schema = SCHEMA({ .name = "i", .type = TYPE_INT32, .nullable = true },
                                  { .name = "k", .type = TYPE_INT32, .nullable = true });
    rows_t rows = s_take(ROWS_INSERT, schema, 2, DATA(
        LONGS("id", 1, 2), INTS("i", 7, 9), s_valid(INTS("k", 1, 2), (const int[]){ 1, 1 }, 2)));
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
        { .name = "n", .type = TYPE_DOUBLE, .nullable = true }, s_meta);
    rows_t rows = s_take(ROWS_INSERT, schema, 2, DATA(
        LONGS("id", 1, 2), s_valid(TEXTS("s", "some"), (const int[]){ 0, 1 }, 2)));
    for (size_t row = 0; row < 2; row++) {
        CELL(&rows.columns[1], row, int32_t, 7);
        assert_true(column_is_null(&rows.columns[3], row));
        s_text_is(&rows.columns[4], row, "{}");
    }
    s_text_is(&rows.columns[2], 0, "none");     /* a default goes before a null */
    s_text_is(&rows.columns[2], 1, "some");
    assert_null(rows.columns[1].valid);
    assert_null(rows.columns[2].valid);
    assert_null(rows.columns[4].valid);
}

static void wrong_nulls_are_refused(void **state)
{
    (void)state;
    field_t field = { .name = "i", .type = TYPE_INT32 };
    s_field_is_refused(field, s_valid(INTS("i", 1), (const int[]){ 1, 0 }, 2), 2, 1100,
        "the length of valid_data of field(i) is wrong: invalid parameter[expected=0][actual=2]");
    field.nullable = true;
    s_field_is_refused(field, s_valid(INTS("i", 1), (const int[]){ 1, 0, 0 }, 3), 2, 1100,
        "the length of valid_data of field(i) is wrong: invalid parameter[expected=2][actual=3]");
    s_field_is_refused(field, s_valid(INTS("i", 1, 2), (const int[]){ 1, 0 }, 2), 2, 1100,
        "the num_rows (2) of field (i) is not equal to passed num_rows (1): invalid parameter"
        "[expected=1][actual=2]");
}

/* --- automatic keys ---------------------------------------------------------------------------------- */

static void automatic_keys_are_numbers_or_their_texts(void **state)
{
    (void)state;
    owned(schema) numbers = s_schema(s_auto_id, &s_vec, 1);
    owned(schema) texts = s_schema(s_auto_text, &s_vec, 1);
    rows_t rows = s_take(ROWS_INSERT, numbers, 2, DATA(VECTORS("vec", 2, 1, 2, 3, 4)));
    assert_false(rows.numbered);
    assert_int_equal(rows_number(&s_ctx, numbers, &rows, 450000000000000009), OK);
    CELL(&rows.columns[0], 0, int64_t, 450000000000000009);
    CELL(&rows.columns[0], 1, int64_t, 450000000000000010);
    assert_true(rows.numbered);

    rows = s_take(ROWS_INSERT, texts, 2, DATA(VECTORS("vec", 2, 1, 2, 3, 4)));
    assert_int_equal(rows_number(&s_ctx, texts, &rows, 99), OK);
    s_text_is(&rows.columns[0], 0, "99");
    s_text_is(&rows.columns[0], 1, "100");
    rows = s_take(ROWS_INSERT, texts, 1, DATA(VECTORS("vec", 2, 1, 2)));
    assert_int_equal(rows_number(&s_ctx, texts, &rows, UINT64_MAX), OK);    /* the longest */
    s_text_is(&rows.columns[0], 0, "18446744073709551615");
}

static void an_upsert_names_the_rows_it_replaces(void **state)
{
    (void)state;
    owned(schema) automatic = s_schema(s_auto_id, &s_vec, 1);
    rows_t rows = s_take(ROWS_UPSERT, automatic, 1, DATA(LONGS("id", 5), VECTORS("vec", 2, 1, 2)));
    assert_false(rows.numbered);
    CELL(rows.replaced, 0, int64_t, 5);
    assert_int_equal(rows_number(&s_ctx, automatic, &rows, 77), OK);
    CELL(&rows.columns[0], 0, int64_t, 77);
    CELL(rows.replaced, 0, int64_t, 5);
    s_is_refused(ROWS_UPSERT, automatic, 1, DATA(VECTORS("vec", 2, 1, 2)), 1100,
                 "must assign pk when upsert, primary field: id: invalid parameter");
    s_is_refused(ROWS_INSERT, automatic, 1, DATA(LONGS("id", 5), VECTORS("vec", 2, 1, 2)), 1100,
                 "can not assign primary field data when auto id enabled id: invalid parameter");
    owned(schema) given = SCHEMA(s_vec);
    rows = s_take(ROWS_UPSERT, given, 1, DATA(LONGS("id", 5), VECTORS("vec", 2, 1, 2)));
    assert_null(rows.replaced);
    assert_true(rows.numbered);
}

/* --- refusals: which fields --------------------------------------------------------------------------- */

static void fields_must_be_those_of_the_schema(void **state)
{
    (void)state;
    owned(schema) schema = SCHEMA(s_vec, { .name = "i", .type = TYPE_INT32 });
    data_t *id = LONGS("id", 1), *vec = VECTORS("vec", 2, 1, 2), *i = INTS("i", 1);
    s_is_refused(ROWS_INSERT, schema, 0, DATA(id, vec, i), 1100,
        "num_rows should be greater than 0: invalid parameter[expected=invalid num_rows]"
        "[actual=0]");
    s_is_refused(ROWS_INSERT, schema, 1, DATA(id, vec), 1100,
        "fieldSchema(i) has no corresponding fieldData pass in: invalid parameter");
    s_is_refused(ROWS_INSERT, schema, 1, DATA(vec, i), 1100,
        "fieldSchema(id) has no corresponding fieldData pass in: invalid parameter");
    s_is_refused(ROWS_INSERT, schema, 1, DATA(id, vec, i, INTS("more", 1), INTS("most", 1)), 1100,
        "more fieldData has pass in: invalid parameter[expected=3][actual=5]");
    s_is_refused(ROWS_INSERT, schema, 1, DATA(id, vec, i, INTS("i", 2)), 1100,
        "The FieldDatas parameter being passed contains duplicate data for field i: invalid "
        "parameter");
    s_is_refused(ROWS_INSERT, schema, 1, DATA(id, vec, i, s_dynamic(JSONS("", "{}"))), 65535,
        "without dynamic schema enabled, the field name cannot be set to $meta");
    s_is_refused(ROWS_INSERT, schema, 2, DATA(id, vec, i), 1100,
        "the num_rows (1) of field (id) is not equal to passed num_rows (2): invalid parameter"
        "[expected=2][actual=1]");
}

/* A client's number of rows is believed only when fields show it. */
static void a_claim_of_many_rows_allocates_nothing(void **state)
{
    (void)state;
    owned(schema) schema = SCHEMA({ .name = "n", .type = TYPE_DOUBLE, .nullable = true }, s_vec);
    s_is_refused(ROWS_INSERT, schema, UINT32_MAX, DATA(LONGS("id", 1), VECTORS("vec", 2, 1, 2)),
        1100, "the num_rows (1) of field (id) is not equal to passed num_rows (4294967295): "
        "invalid parameter[expected=4294967295][actual=1]");
}

/* --- refusals: what is in them ---------------------------------------------------------------------------- */

static void members_of_other_types_are_refused(void **state)
{
    (void)state;
    static const struct { field_t field; const char *text; } s_rows[] = {
        { { .type = TYPE_INT8 }, "field 'x' is illegal, array type mismatch: invalid parameter"
          "[expected=need int array][actual=got nil]" },
        { { .type = TYPE_INT64 }, "field 'x' is illegal, array type mismatch: invalid parameter"
          "[expected=need long int array][actual=got nil]" },
        { { .type = TYPE_FLOAT }, "field 'x' is illegal, array type mismatch: invalid parameter"
          "[expected=need float32 array][actual=got nil]" },
        { { .type = TYPE_DOUBLE }, "field 'x' is illegal, array type mismatch: invalid parameter"
          "[expected=need float64 array][actual=got nil]" },
        { { .type = TYPE_VARCHAR, .max_length = 8 }, "varchar field 'x' is illegal, array type "
          "mismatch: invalid parameter[expected=need string array][actual=got nil]" },
        { { .type = TYPE_JSON }, "json field 'x' is illegal, array type mismatch: invalid "
          "parameter[expected=need string array][actual=got nil]" },
        { { .type = TYPE_ARRAY, .element = TYPE_INT64, .max_capacity = 4 }, "array field 'x' is "
          "illegal, array type mismatch: invalid parameter[expected=need Int64 array]"
          "[actual=got nil]" },
        { { .type = TYPE_BOOL }, "the num_rows (0) of field (x) is not equal to passed num_rows "
          "(1): invalid parameter[expected=1][actual=0]" },
        { { .type = TYPE_FLOAT_VECTOR, .dim = 2 }, "float vector field 'x' is illegal, array type "
          "mismatch: invalid parameter[expected=need float vector][actual=got nil]" },
        { { .type = TYPE_BINARY_VECTOR, .dim = 8 }, "binary float vector field 'x' is illegal, "
          "array type mismatch: invalid parameter[expected=need bytes array][actual=got nil]" },
        { { .type = TYPE_FLOAT16_VECTOR, .dim = 2 }, "float16 float field 'x' is illegal, nil "
          "Vector_Float16 type: invalid parameter[expected=need vector_float16 array]"
          "[actual=got nil]" },
        { { .type = TYPE_BFLOAT16_VECTOR, .dim = 2 }, "bfloat16 float field 'x' is illegal, nil "
          "Vector_BFloat16 type: invalid parameter[expected=need vector_bfloat16 array]"
          "[actual=got nil]" },
        { { .type = TYPE_INT8_VECTOR, .dim = 2 }, "int8 vector field 'x' is illegal, nil "
          "Vector_Int8 type: invalid parameter[expected=need vector_int8 array]"
          "[actual=got nil]" },
        { { .type = TYPE_SPARSE_VECTOR }, "sparse float field 'x' is illegal, nil "
          "SparseFloatVector: invalid parameter[expected=need sparse float array]"
          "[actual=got nil]" },
    };
    for (size_t i = 0; i < ARRAY_LEN(s_rows); i++) {
        field_t field = s_rows[i].field;
        field.name = "x";
        s_field_is_refused(field, s_data("x"), 1, 1100, s_rows[i].text);
        data_t *bytes = s_data("x");            /* a member that no field is made of */
        s_scalars(bytes)->data_case = SCHEMA__SCALAR_FIELD__DATA_BYTES_DATA;
        s_field_is_refused(field, bytes, 1, 1100, s_rows[i].text);
    }
}

static void numbers_out_of_range_are_refused(void **state)
{
    (void)state;
    const field_t i8 = { .name = "x", .type = TYPE_INT8 }, i16 = { .name = "x", .type = TYPE_INT16 };
    s_field_is_refused(i8, INTS("x", 1, 128), 2, 1100, "the 1th element (128) out of range: "
        "[-128, 127]: invalid parameter[expected=integer doesn't overflow][actual=out of range]");
    s_field_is_refused(i16, INTS("x", -32769), 1, 1100, "the 0th element (-32769) out of range: "
        "[-32768, 32767]: invalid parameter[expected=integer doesn't overflow]"
        "[actual=out of range]");
    const field_t f = { .name = "x", .type = TYPE_FLOAT }, d = { .name = "x", .type = TYPE_DOUBLE };
    s_field_is_refused(f, FLOATS("x", 1, NAN), 2, 65535, "value 'NaN' is not a number or infinity");
    s_field_is_refused(d, s_doubles("x", (const double[]){ -INFINITY }, 1), 1, 65535,
                       "value '-Inf' is not a number or infinity");
}

/* Wherever in the row it stands: the check looks at eight floats at once and at the rest. */
static void a_vector_has_finite_numbers_only(void **state)
{
    (void)state;
    field_t field = { .name = "x", .type = TYPE_FLOAT_VECTOR, .dim = 19 };
    for (size_t at = 0; at < 19; at++) {
        float values[19] = {0};
        values[(at + 1) % 19] = 3e38f;
        values[at] = at % 2 ? INFINITY : NAN;
        s_field_is_refused(field, s_float_vectors("x", 19, values, 19), 1, 65535, at % 2
            ? "value '+Inf' is not a number or infinity"
            : "value 'NaN' is not a number or infinity");
    }
    const field_t f16 = { .name = "x", .type = TYPE_FLOAT16_VECTOR, .dim = 2 };
    const field_t bf16 = { .name = "x", .type = TYPE_BFLOAT16_VECTOR, .dim = 2 };
    s_field_is_refused(f16, s_byte_vectors("x", 2, SCHEMA__VECTOR_FIELD__DATA_FLOAT16_VECTOR,
        "\0\0\0\xfc", 4), 1, 65535, "value '-Inf' is not a number or infinity");
    s_field_is_refused(f16, s_byte_vectors("x", 2, SCHEMA__VECTOR_FIELD__DATA_FLOAT16_VECTOR,
        "\0\0\1\x7c", 4), 1, 65535, "value 'NaN' is not a number or infinity");
    s_field_is_refused(bf16, s_byte_vectors("x", 2, SCHEMA__VECTOR_FIELD__DATA_BFLOAT16_VECTOR,
        "\x80\x7f\0\0", 4), 1, 65535, "value '+Inf' is not a number or infinity");
}

static void dimensions_must_fit(void **state)
{
    (void)state;
    s_field_is_refused(s_vec, VECTORS("vec", 4, 1, 2, 3, 4), 1, 1100,
        "the dim (4) of field data(vec) is not equal to schema dim (2): invalid parameter"
        "[expected=2][actual=4]");
    s_field_is_refused(s_vec, VECTORS("vec", 2, 1, 2, 3), 1, 65535,
        "the length(3) of float data should divide the dim(2)");
    s_field_is_refused(s_vec, VECTORS("vec", 2, 1, 2, 3, 4), 1, 1100,
        "the num_rows (2) of field (vec) is not equal to passed num_rows (1): invalid parameter"
        "[expected=1][actual=2]");
    const field_t bin = { .name = "b", .type = TYPE_BINARY_VECTOR, .dim = 16 };
    s_field_is_refused(bin, s_byte_vectors("b", 16, SCHEMA__VECTOR_FIELD__DATA_BINARY_VECTOR,
        "123", 3), 1, 65535, "the num(24) of all bits should divide the dim(16)");
    s_field_is_refused(bin, s_byte_vectors("b", 8, SCHEMA__VECTOR_FIELD__DATA_BINARY_VECTOR,
        "12", 2), 1, 1100, "the dim (8) of field data(b) is not equal to schema dim (16): invalid "
        "parameter[expected=16][actual=8]");
    const field_t i8 = { .name = "b", .type = TYPE_INT8_VECTOR, .dim = 2 };
    s_field_is_refused(i8, s_byte_vectors("b", 2, SCHEMA__VECTOR_FIELD__DATA_INT8_VECTOR,
        "123", 3), 1, 65535, "the length(3) of int8 data should divide the dim(2)");
    s_field_is_refused(i8, s_byte_vectors("b", 2, SCHEMA__VECTOR_FIELD__DATA_BINARY_VECTOR,
        "12", 2), 1, 1100, "int8 vector field 'b' is illegal, nil Vector_Int8 type: invalid "
        "parameter[expected=need vector_int8 array][actual=got nil]");
}

static void sparse_rows_must_rise_and_be_positive(void **state)
{
    (void)state;
    const field_t field = { .name = "x", .type = TYPE_SPARSE_VECTOR };
    static const struct { pair_t row[2]; size_t len; const char *text; } s_rows[] = {
        { { { 2, 1 }, { 1, 1 } }, 16, "unsorted or same indices in sparse float vector" },
        { { { 1, 1 }, { 1, 1 } }, 16, "unsorted or same indices in sparse float vector" },
        { { { 1, 1 }, { 2, -1 } }, 16, "negative value in sparse float vector" },
        { { { 1, NAN } }, 8, "value 'NaN' is not a number or infinity" },
        { { { 1, INFINITY } }, 8, "value '+Inf' is not a number or infinity" },
        { { { UINT32_MAX, 1 } }, 8, "invalid index in sparse float vector: must be less than "
                                    "2^32-1" },
        { { { 1, 1 }, { 2, 1 } }, 12, "invalid data length in sparse float vector: 12" },
    };
    for (size_t i = 0; i < ARRAY_LEN(s_rows); i++)
        s_field_is_refused(field, s_one_sparse("x", s_rows[i].row, s_rows[i].len), 1, 65535,
                           s_rows[i].text);
    data_t *none = s_sparse("x", NULL, NULL, 0);
    s_field_is_refused(field, none, 1, 1100, "sparse float field 'x' is illegal, array type "
        "mismatch: invalid parameter[expected=need sparse float array][actual=got nil]");
}

static void texts_must_fit(void **state)
{
    (void)state;
    const field_t field = { .name = "s", .type = TYPE_VARCHAR, .max_length = 4 };
    s_field_is_refused(field, TEXTS("s", "kite", "kites"), 2, 1100, "length of varchar field s "
        "exceeds max length, row number: 1, length: 5, max length: 4: invalid parameter");
    s_field_is_refused(field, TEXTS("s", "a\xc3\xbc\xc3\xbc"), 1, 1100, "length of varchar field s "
        "exceeds max length, row number: 0, length: 5, max length: 4: invalid parameter");
}

static void arrays_must_fit(void **state)
{
    (void)state;
    field_t field = { .name = "a", .type = TYPE_ARRAY, .element = TYPE_INT8, .max_capacity = 2,
                      .max_length = 4 };
    Schema__ScalarField *row = s_set_ints(s_scalar_row(), (int32_t[]){ 1, 2, 3 }, 3);
    s_field_is_refused(field, s_arrays("a", &row, 1), 1, 1100, "the length (3) of 0th array "
        "exceeds max capacity (2): invalid parameter[expected=valid length array]"
        "[actual=array length exceeds max capacity]");
    row = s_set_ints(s_scalar_row(), (int32_t[]){ 1, -129 }, 2);
    s_field_is_refused(field, s_arrays("a", &row, 1), 1, 1100, "the 1th element (-129) out of "
        "range: [-128, 127]: invalid parameter[expected=integer doesn't overflow]"
        "[actual=out of range]");
    row = s_set_longs(s_scalar_row(), (int64_t[]){ 1 }, 1);
    s_field_is_refused(field, s_arrays("a", &row, 1), 1, 1100, "insert data does not match: "
        "invalid parameter[expected=int array][actual=*schemapb.ScalarField_LongData array]");
    row = s_scalar_row();
    field.element = TYPE_VARCHAR;
    s_field_is_refused(field, s_arrays("a", &row, 1), 1, 1100, "insert data does not match: "
        "invalid parameter[expected=string array][actual=nil array]");
    row = s_set_texts(s_scalar_row(), (const char *const[]){ "kite", "kites" }, 2);
    s_field_is_refused(field, s_arrays("a", &row, 1), 1, 1100, "length of Array array field \"a\" "
        "exceeds max length, row number: 0, array index: 1, length: 5, max length: 4: invalid "
        "parameter");
    field.element = TYPE_FLOAT;
    row = s_set_floats(s_scalar_row(), (float[]){ NAN }, 1);
    s_field_is_refused(field, s_arrays("a", &row, 1), 1, 65535,
                       "value 'NaN' is not a number or infinity");
}

static char *s_long_json(size_t len)
{
    char *text = ctx_new(&s_ctx, len + 1);
    memset(text, 'x', len);
    memcpy(text, "{\"k\":\"", 6);
    memcpy(text + len - 2, "\"}", 2);
    return text;
}

static void json_must_be_json(void **state)
{
    (void)state;
    const field_t field = { .name = "j", .type = TYPE_JSON };
#define SAYS(text) "json field 'j' is illegal, row number: 0, " text ": invalid parameter"
    static const struct { const char *json, *text; } s_rows[] = {
        { "", SAYS("unexpected end of JSON input") },
        { "{", SAYS("unexpected end of JSON input") },
        { "\"a", SAYS("unexpected end of JSON input") },
        { "nul", SAYS("invalid character 'n' looking for beginning of value") },
        { "NaN", SAYS("invalid character 'N' looking for beginning of value") },
        { "1 2", SAYS("invalid character '2' after top-level value") },
        { "01", SAYS("invalid character '1' after top-level value") },
        { "1.", SAYS("unexpected end of JSON input") },
        { "-x", SAYS("invalid character 'x' in numeric literal") },
        { "1e+", SAYS("unexpected end of JSON input") },
        { "[1,]", SAYS("invalid character ']' looking for beginning of value") },
        { "[1}", SAYS("invalid character '}' after array element") },
        { "{\"a\":1]", SAYS("invalid character ']' after object key:value pair") },
        { "{\"a\" 1}", SAYS("invalid character '1' after object key") },
        { "{a:1}", SAYS("invalid character 'a' looking for beginning of object key string") },
        { "{\"a\":1,}", SAYS("invalid character '}' looking for beginning of object key string") },
        { "\"\\x\"", SAYS("invalid character 'x' in string escape code") },
        { "\"\\u12g4\"", SAYS("invalid character in \\u hexadecimal character escape") },
        { "\"a\nb\"", SAYS("invalid character '\\x0a' in string literal") },
        { "\"\xff\"", SAYS("invalid UTF-8") },
    };
    for (size_t i = 0; i < ARRAY_LEN(s_rows); i++)
        s_field_is_refused(field, JSONS("j", s_rows[i].json), 1, 1100, s_rows[i].text);
    s_field_is_refused(field, JSONS("j", s_long_json(65537)), 1, 1100, "the length (65537) of json "
        "field (j) exceeds max length (65536): invalid parameter[expected=valid length json "
        "string][actual=length exceeds max length]");
    owned(schema) schema = SCHEMA(field);
    s_take(ROWS_INSERT, schema, 1, DATA(LONGS("id", 1), JSONS("j", s_long_json(65536))));
}

static void json_may_be_deep_but_not_too_deep(void **state)
{
    (void)state;
    owned(schema) schema = SCHEMA({ .name = "j", .type = TYPE_JSON });
    char text[2 * LIMIT_JSON_DEPTH + 3] = {0};
    memset(text, '[', LIMIT_JSON_DEPTH);
    memset(text + LIMIT_JSON_DEPTH, ']', LIMIT_JSON_DEPTH);
    s_take(ROWS_INSERT, schema, 1, DATA(LONGS("id", 1), JSONS("j", text)));
    memset(text, '[', LIMIT_JSON_DEPTH + 1);
    memset(text + LIMIT_JSON_DEPTH + 1, ']', LIMIT_JSON_DEPTH + 1);
    s_is_refused(ROWS_INSERT, schema, 1, DATA(LONGS("id", 1), JSONS("j", text)), 1100,
                 SAYS("exceeded max depth"));
}

static void dynamic_rows_are_objects_with_keys_of_their_own(void **state)
{
    (void)state;
    owned(schema) schema = SCHEMA(s_vec, s_meta);
    data_t *id = LONGS("id", 1), *vec = VECTORS("vec", 2, 1, 2);
    static const struct { const char *json; int code; const char *text; } s_rows[] = {
        { "{\"a\":1,\"vec\":2}", 65535, "dynamic field name cannot include the static field name: "
                                        "vec" },
        { "{\"v\\u0065c\":2}", 65535, "dynamic field name cannot include the static field name: "
                                      "vec" },
        { "{\"$meta\":2}", 65535, "cannot set json key to: $meta" },
        { "[1]", 1001, "IO failed: json: cannot unmarshal array into Go value of type "
                       "map[string]interface {}" },
        { "\"a\"", 1001, "IO failed: json: cannot unmarshal string into Go value of type "
                         "map[string]interface {}" },
        { "{\"a\"}", 1001, "IO failed: invalid character '}' after object key" },
        { "", 1001, "IO failed: unexpected end of JSON input" },
    };
    for (size_t i = 0; i < ARRAY_LEN(s_rows); i++)
        s_is_refused(ROWS_INSERT, schema, 1, DATA(id, vec, s_dynamic(JSONS("", s_rows[i].json))),
                     s_rows[i].code, s_rows[i].text);
    s_is_refused(ROWS_INSERT, schema, 1, DATA(id, vec, s_dynamic(JSONS("", s_long_json(65537)))),
        1100, "the length (65537) of dynamic field exceeds max length (65536): invalid parameter"
        "[expected=valid length dynamic field][actual=length exceeds max length]");
    /* inner objects may use any name */
    s_take(ROWS_INSERT, schema, 1, DATA(id, vec, s_dynamic(JSONS("", "{\"o\":{\"vec\":1}}"))));
}

/* --- some of the rows -------------------------------------------------------------------------------- */

static void rows_can_be_taken_out(void **state)
{
    (void)state;
    owned(schema) schema = SCHEMA(s_vec, { .name = "s", .type = TYPE_VARCHAR, .max_length = 9,
                                           .nullable = true });
    rows_t rows = s_take(ROWS_INSERT, schema, 3, DATA(
        LONGS("id", 1, 2, 3), VECTORS("vec", 2, 1, 2, 3, 4, 5, 6),
        s_valid(TEXTS("s", "one", "three"), (const int[]){ 1, 0, 1 }, 3)));
    static const uint32_t pick[] = { 2, 1 };
    column_t c;
    assert_int_equal(rows_take(&s_ctx, &rows.columns[1], pick, 2, &c), OK);
    s_cell_is(&c, 0, (const float[]){ 5, 6 }, 8);
    assert_int_equal(rows_take(&s_ctx, &rows.columns[2], pick, 2, &c), OK);
    s_text_is(&c, 0, "three");
    assert_true(!column_is_null(&c, 0) && column_is_null(&c, 1));
    assert_int_equal(rows_take(&s_ctx, &rows.columns[0], NULL, 2, &c), OK);
    assert_ptr_equal(c.cells, rows.columns[0].cells);
    assert_int_equal(c.n, 2);
}

/* --- memory ---------------------------------------------------------------------------------------------- */

static data_t **s_one_of_each(size_t *ret_n)
{
    data_t **data = ctx_new(&s_ctx, 16 * sizeof *data);
    Schema__ScalarField *row = s_set_texts(s_scalar_row(), (const char *const[]){ "a" }, 1);
    size_t n = 0;
    data[n++] = VECTORS("vec", 2, 1, 2);
    data[n++] = s_bools("b", (const int[]){ 1 }, 1);
    data[n++] = INTS("i8", 1);
    data[n++] = TEXTS("s", "kite");
    data[n++] = JSONS("j", "{}");
    data[n++] = s_arrays("a", &row, 1);
    data[n++] = s_valid(s_data("n"), (const int[]){ 0 }, 1);
    *ret_n = n;
    return data;
}

static void every_fault_is_told(void **state)
{
    (void)state;
    static const field_t others[] = {
        s_vec, { .name = "b", .type = TYPE_BOOL }, { .name = "i8", .type = TYPE_INT8 },
        { .name = "s", .type = TYPE_VARCHAR, .max_length = 8 }, { .name = "j", .type = TYPE_JSON },
        { .name = "a", .type = TYPE_ARRAY, .element = TYPE_VARCHAR, .max_capacity = 2,
          .max_length = 2 },
        { .name = "n", .type = TYPE_VARCHAR, .max_length = 8, .nullable = true }, s_meta,
    };
    owned(schema) schema = s_schema(s_auto_text, others, ARRAY_LEN(others));
    size_t n = 0;
    data_t **data = s_one_of_each(&n);
    for (int nth = 0; ; nth++) {
        ctx_t ctx;
        ctx_init(&ctx);
        rows_t rows = {0};
        fault_arm(nth);
        err_t err = s_read(&ctx, ROWS_INSERT, schema, 1, data, n, &rows);
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

#define T(f) cmocka_unit_test_setup_teardown(f, s_up, s_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(numbers_become_cells), T(texts_and_json_become_cells), T(arrays_become_cells),
        T(vectors_become_cells), T(plain_cells_are_borrowed), T(nulls_are_spread_over_the_rows),
        T(a_full_nullable_field_has_no_nulls), T(what_is_left_out_is_filled_in),
        T(wrong_nulls_are_refused), T(automatic_keys_are_numbers_or_their_texts),
        T(an_upsert_names_the_rows_it_replaces), T(fields_must_be_those_of_the_schema),
        T(a_claim_of_many_rows_allocates_nothing), T(members_of_other_types_are_refused),
        T(numbers_out_of_range_are_refused), T(a_vector_has_finite_numbers_only),
        T(dimensions_must_fit), T(sparse_rows_must_rise_and_be_positive), T(texts_must_fit),
        T(arrays_must_fit), T(json_must_be_json), T(json_may_be_deep_but_not_too_deep),
        T(dynamic_rows_are_objects_with_keys_of_their_own), T(rows_can_be_taken_out),
        T(every_fault_is_told),
    };
    return cmocka_run_group_tests_name("rows", tests, NULL, NULL);
}
