/* rows that are refused: for each mistake a client can make, Milvus's code and text. */
#include <math.h>

#include "core/base/limits.h"
#include "tests/support/field_data.h"

/* --- refusals: which fields ------------------------------------------------------------- */

static void fields_must_be_those_of_the_schema(void **state)
{
    (void)state;
    owned(schema) schema = SCHEMA(fd_vec, { .name = "i", .type = TYPE_INT32 });
    fd_data_t *id = LONGS("id", 1), *vec = VECTORS("vec", 2, 1, 2), *i = INTS("i", 1);
    fd_is_refused(ROWS_INSERT, schema, 0, DATA(id, vec, i), 1100,
        "num_rows should be greater than 0: invalid parameter[expected=invalid num_rows]"
        "[actual=0]");
    fd_is_refused(ROWS_INSERT, schema, 1, DATA(id, vec), 1100,
        "fieldSchema(i) has no corresponding fieldData pass in: invalid parameter");
    fd_is_refused(ROWS_INSERT, schema, 1, DATA(vec, i), 1100,
        "fieldSchema(id) has no corresponding fieldData pass in: invalid parameter");
    fd_is_refused(ROWS_INSERT, schema, 1, DATA(id, vec, i, INTS("more", 1), INTS("most", 1)), 1100,
        "more fieldData has pass in: invalid parameter[expected=3][actual=5]");
    fd_is_refused(ROWS_INSERT, schema, 1, DATA(id, vec, i, INTS("i", 2)), 1100,
        "The FieldDatas parameter being passed contains duplicate data for field i: invalid "
        "parameter");
    fd_is_refused(ROWS_INSERT, schema, 1, DATA(id, vec, i, fd_dynamic(JSONS("", "{}"))), 65535,
        "without dynamic schema enabled, the field name cannot be set to $meta");
    fd_is_refused(ROWS_INSERT, schema, 2, DATA(id, vec, i), 1100,
        "the num_rows (1) of field (id) is not equal to passed num_rows (2): invalid parameter"
        "[expected=2][actual=1]");
}

/* A client's number of rows is believed only when fields show it. */
static void a_claim_of_many_rows_allocates_nothing(void **state)
{
    (void)state;
    owned(schema) schema = SCHEMA({ .name = "n", .type = TYPE_DOUBLE, .nullable = true }, fd_vec);
    fd_is_refused(ROWS_INSERT, schema, UINT32_MAX, DATA(LONGS("id", 1), VECTORS("vec", 2, 1, 2)),
        1100, "the num_rows (1) of field (id) is not equal to passed num_rows (4294967295): "
        "invalid parameter[expected=4294967295][actual=1]");
}

/* --- refusals: what is in them ---------------------------------------------------------- */

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
        fd_field_is_refused(field, fd_data("x"), 1, 1100, s_rows[i].text);
        fd_data_t *bytes = fd_data("x");            /* a member that no field is made of */
        fd_scalars(bytes)->data_case = SCHEMA__SCALAR_FIELD__DATA_BYTES_DATA;
        fd_field_is_refused(field, bytes, 1, 1100, s_rows[i].text);
    }
}

static void numbers_out_of_range_are_refused(void **state)
{
    (void)state;
    const field_t i8 = { .name = "x", .type = TYPE_INT8 };
    const field_t i16 = { .name = "x", .type = TYPE_INT16 };
    fd_field_is_refused(i8, INTS("x", 1, 128), 2, 1100, "the 1th element (128) out of range: "
        "[-128, 127]: invalid parameter[expected=integer doesn't overflow][actual=out of range]");
    fd_field_is_refused(i16, INTS("x", -32769), 1, 1100, "the 0th element (-32769) out of range: "
        "[-32768, 32767]: invalid parameter[expected=integer doesn't overflow]"
        "[actual=out of range]");
    const field_t f = { .name = "x", .type = TYPE_FLOAT }, d = { .name = "x", .type = TYPE_DOUBLE };
    fd_field_is_refused(f, FLOATS("x", 1, NAN), 2, 65535,
                        "value 'NaN' is not a number or infinity");
    fd_field_is_refused(d, fd_doubles("x", (const double[]){ -INFINITY }, 1), 1, 65535,
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
        fd_field_is_refused(field, fd_float_vectors("x", 19, values, 19), 1, 65535, at % 2
            ? "value '+Inf' is not a number or infinity"
            : "value 'NaN' is not a number or infinity");
    }
    const field_t f16 = { .name = "x", .type = TYPE_FLOAT16_VECTOR, .dim = 2 };
    const field_t bf16 = { .name = "x", .type = TYPE_BFLOAT16_VECTOR, .dim = 2 };
    fd_field_is_refused(f16, fd_byte_vectors("x", 2, SCHEMA__VECTOR_FIELD__DATA_FLOAT16_VECTOR,
        "\0\0\0\xfc", 4), 1, 65535, "value '-Inf' is not a number or infinity");
    fd_field_is_refused(f16, fd_byte_vectors("x", 2, SCHEMA__VECTOR_FIELD__DATA_FLOAT16_VECTOR,
        "\0\0\1\x7c", 4), 1, 65535, "value 'NaN' is not a number or infinity");
    fd_field_is_refused(bf16, fd_byte_vectors("x", 2, SCHEMA__VECTOR_FIELD__DATA_BFLOAT16_VECTOR,
        "\x80\x7f\0\0", 4), 1, 65535, "value '+Inf' is not a number or infinity");
}

static void dimensions_must_fit(void **state)
{
    (void)state;
    fd_field_is_refused(fd_vec, VECTORS("vec", 4, 1, 2, 3, 4), 1, 1100,
        "the dim (4) of field data(vec) is not equal to schema dim (2): invalid parameter"
        "[expected=2][actual=4]");
    fd_field_is_refused(fd_vec, VECTORS("vec", 2, 1, 2, 3), 1, 65535,
        "the length(3) of float data should divide the dim(2)");
    fd_field_is_refused(fd_vec, VECTORS("vec", 2, 1, 2, 3, 4), 1, 1100,
        "the num_rows (2) of field (vec) is not equal to passed num_rows (1): invalid parameter"
        "[expected=1][actual=2]");
    const field_t bin = { .name = "b", .type = TYPE_BINARY_VECTOR, .dim = 16 };
    fd_field_is_refused(bin, fd_byte_vectors("b", 16, SCHEMA__VECTOR_FIELD__DATA_BINARY_VECTOR,
        "123", 3), 1, 65535, "the num(24) of all bits should divide the dim(16)");
    fd_field_is_refused(bin, fd_byte_vectors("b", 8, SCHEMA__VECTOR_FIELD__DATA_BINARY_VECTOR,
        "12", 2), 1, 1100, "the dim (8) of field data(b) is not equal to schema dim (16): invalid "
        "parameter[expected=16][actual=8]");
    const field_t i8 = { .name = "b", .type = TYPE_INT8_VECTOR, .dim = 2 };
    fd_field_is_refused(i8, fd_byte_vectors("b", 2, SCHEMA__VECTOR_FIELD__DATA_INT8_VECTOR,
        "123", 3), 1, 65535, "the length(3) of int8 data should divide the dim(2)");
    fd_field_is_refused(i8, fd_byte_vectors("b", 2, SCHEMA__VECTOR_FIELD__DATA_BINARY_VECTOR,
        "12", 2), 1, 1100, "int8 vector field 'b' is illegal, nil Vector_Int8 type: invalid "
        "parameter[expected=need vector_int8 array][actual=got nil]");
}

static void sparse_rows_must_rise_and_be_positive(void **state)
{
    (void)state;
    const field_t field = { .name = "x", .type = TYPE_SPARSE_VECTOR };
    static const struct { fd_pair_t row[2]; size_t len; const char *text; } s_rows[] = {
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
        fd_field_is_refused(field, fd_one_sparse("x", s_rows[i].row, s_rows[i].len), 1, 65535,
                           s_rows[i].text);
    fd_data_t *none = fd_sparse("x", NULL, NULL, 0);
    fd_field_is_refused(field, none, 1, 1100, "sparse float field 'x' is illegal, array type "
        "mismatch: invalid parameter[expected=need sparse float array][actual=got nil]");
}

static void texts_must_fit(void **state)
{
    (void)state;
    const field_t field = { .name = "s", .type = TYPE_VARCHAR, .max_length = 4 };
    fd_field_is_refused(field, TEXTS("s", "kite", "kites"), 2, 1100, "length of varchar field s "
        "exceeds max length, row number: 1, length: 5, max length: 4: "
        "invalid parameter");
    fd_field_is_refused(field, TEXTS("s", "a\xc3\xbc\xc3\xbc"), 1, 1100,
        "length of varchar field s exceeds max length, row number: 0, length: 5, max length: 4: "
        "invalid parameter");
}

static void arrays_must_fit(void **state)
{
    (void)state;
    field_t field = { .name = "a", .type = TYPE_ARRAY, .element = TYPE_INT8, .max_capacity = 2,
                      .max_length = 4 };
    Schema__ScalarField *row = fd_set_ints(fd_scalar_row(), (int32_t[]){ 1, 2, 3 }, 3);
    fd_field_is_refused(field, fd_arrays("a", &row, 1), 1, 1100, "the length (3) of 0th array "
        "exceeds max capacity (2): invalid parameter[expected=valid length array]"
        "[actual=array length exceeds max capacity]");
    row = fd_set_ints(fd_scalar_row(), (int32_t[]){ 1, -129 }, 2);
    fd_field_is_refused(field, fd_arrays("a", &row, 1), 1, 1100, "the 1th element (-129) out of "
        "range: [-128, 127]: invalid parameter[expected=integer doesn't overflow]"
        "[actual=out of range]");
    row = fd_set_longs(fd_scalar_row(), (int64_t[]){ 1 }, 1);
    fd_field_is_refused(field, fd_arrays("a", &row, 1), 1, 1100, "insert data does not match: "
        "invalid parameter[expected=int array][actual=*schemapb.ScalarField_LongData array]");
    row = fd_scalar_row();
    field.element = TYPE_VARCHAR;
    fd_field_is_refused(field, fd_arrays("a", &row, 1), 1, 1100, "insert data does not match: "
        "invalid parameter[expected=string array][actual=nil array]");
    row = fd_set_texts(fd_scalar_row(), (const char *const[]){ "kite", "kites" }, 2);
    fd_field_is_refused(field, fd_arrays("a", &row, 1), 1, 1100,
        "length of Array array field \"a\" exceeds max length, row number: 0, array index: 1, "
        "length: 5, max length: 4: invalid parameter");
    field.element = TYPE_FLOAT;
    row = fd_set_floats(fd_scalar_row(), (float[]){ NAN }, 1);
    fd_field_is_refused(field, fd_arrays("a", &row, 1), 1, 65535,
                       "value 'NaN' is not a number or infinity");
}

static char *s_long_json(size_t len)
{
    char *text = ctx_new(&fd_ctx, len + 1);
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
        fd_field_is_refused(field, JSONS("j", s_rows[i].json), 1, 1100, s_rows[i].text);
    fd_field_is_refused(field, JSONS("j", s_long_json(65537)), 1, 1100,
        "the length (65537) of json field (j) exceeds max length (65536): invalid "
        "parameter[expected=valid length json string][actual=length exceeds max length]");
    owned(schema) schema = SCHEMA(field);
    fd_take(ROWS_INSERT, schema, 1, DATA(LONGS("id", 1), JSONS("j", s_long_json(65536))));
}

static void json_may_be_deep_but_not_too_deep(void **state)
{
    (void)state;
    owned(schema) schema = SCHEMA({ .name = "j", .type = TYPE_JSON });
    char text[2 * LIMIT_JSON_DEPTH + 3] = {0};
    memset(text, '[', LIMIT_JSON_DEPTH);
    memset(text + LIMIT_JSON_DEPTH, ']', LIMIT_JSON_DEPTH);
    fd_take(ROWS_INSERT, schema, 1, DATA(LONGS("id", 1), JSONS("j", text)));
    memset(text, '[', LIMIT_JSON_DEPTH + 1);
    memset(text + LIMIT_JSON_DEPTH + 1, ']', LIMIT_JSON_DEPTH + 1);
    fd_is_refused(ROWS_INSERT, schema, 1, DATA(LONGS("id", 1), JSONS("j", text)), 1100,
                 SAYS("exceeded max depth"));
}

static void dynamic_rows_are_objects_with_keys_of_their_own(void **state)
{
    (void)state;
    owned(schema) schema = SCHEMA(fd_vec, fd_meta);
    fd_data_t *id = LONGS("id", 1), *vec = VECTORS("vec", 2, 1, 2);
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
        fd_is_refused(ROWS_INSERT, schema, 1, DATA(id, vec, fd_dynamic(JSONS("", s_rows[i].json))),
                     s_rows[i].code, s_rows[i].text);
    fd_is_refused(ROWS_INSERT, schema, 1, DATA(id, vec, fd_dynamic(JSONS("", s_long_json(65537)))),
        1100, "the length (65537) of dynamic field exceeds max length (65536): invalid parameter"
        "[expected=valid length dynamic field][actual=length exceeds max length]");
    /* inner objects may use any name */
    fd_take(ROWS_INSERT, schema, 1, DATA(id, vec, fd_dynamic(JSONS("", "{\"o\":{\"vec\":1}}"))));
}

#define T(f) cmocka_unit_test_setup_teardown(f, fd_up, fd_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(fields_must_be_those_of_the_schema), T(a_claim_of_many_rows_allocates_nothing),
        T(members_of_other_types_are_refused), T(numbers_out_of_range_are_refused),
        T(a_vector_has_finite_numbers_only), T(dimensions_must_fit),
        T(sparse_rows_must_rise_and_be_positive), T(texts_must_fit), T(arrays_must_fit),
        T(json_must_be_json), T(json_may_be_deep_but_not_too_deep),
        T(dynamic_rows_are_objects_with_keys_of_their_own),
    };
    return cmocka_run_group_tests_name("rows_refused", tests, NULL, NULL);
}
