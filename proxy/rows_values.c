/* rows_values - the values of a client's field as a column: one way for each type
 *
 * A message's member of another type than the field's is read as if it were
 * empty, and an empty one is refused as such: so does Milvus.  The order of the
 * checks is its own too, because tests look at which of two mistakes is named.
 */
#include <math.h>
#include <stdio.h>

#include "core/base/limits.h"
#include "proxy/json_text.h"
#include "proxy/rows_int.h"
#include "proxy/validate.h"

#define INVALID(...) ctx_fail(ctx, ERR_PARAM_INVALID, __VA_ARGS__)

err_t rows_no_memory(ctx_t *ctx, const char *field, size_t bytes)
{
    return ctx_fail(ctx, ERR_MEMORY, "no memory for %zu bytes of field %s: send fewer rows at once",
                    bytes, field);
}

void *rows_alloc(ctx_t *ctx, size_t n, size_t each)
{
    if (each && n > SIZE_MAX / 2 / each)
        return NULL;
    size_t bytes = n * each;
    return ctx_try(ctx, bytes ? bytes : 1);
}

/* Milvus's words for "nothing of the right type in it". */
static err_t s_nothing(ctx_t *ctx, const field_t *field, const char *what, const char *need)
{
    return INVALID("%sfield '%s' is illegal, array type mismatch: invalid parameter[expected=need "
                   "%s][actual=got nil]", what, field->name, need);
}

static err_t s_count(ctx_t *ctx, const field_t *field, size_t n, size_t expected)
{
    if (n == expected)
        return OK;
    return INVALID("the num_rows (%zu) of field (%s) is not equal to passed num_rows (%zu): "
                   "invalid parameter[expected=%zu][actual=%zu]", n, field->name, expected,
                   expected, n);
}

static column_t s_column(const field_t *field, size_t n, const void *cells)
{
    return (column_t){ .type = field->type, .element = field->element, .n = n, .cells = cells,
                       .width = type_width(field->type, field->dim) };
}

/* --- finite numbers --------------------------------------------------------------------- */

/* A float is infinite or none when all bits of its exponent are set.  Vectors of the compiler's,
 * of the width that every machine has, and two at a time: 16 GB/s where a plain loop does 5. */
typedef uint32_t words_t __attribute__((vector_size(16)));
typedef uint16_t halves_t __attribute__((vector_size(16)));

static bool s_floats_finite(const float *at, size_t n)
{
    const words_t exponent = (words_t){0} + 0x7f800000u;
    words_t bad[2] = { { 0 } }, bits[2];
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        memcpy(bits, at + i, sizeof bits);
        bad[0] |= (words_t)((bits[0] & exponent) == exponent);
        bad[1] |= (words_t)((bits[1] & exponent) == exponent);
    }
    bad[0] |= bad[1];
    bool finite = (bad[0][0] | bad[0][1] | bad[0][2] | bad[0][3]) == 0;
    for (; i < n; i++)
        finite &= isfinite(at[i]) != 0;
    return finite;
}

/* Halves of either kind, by the bits of its exponent: 0x7c00 or 0x7f80. */
static bool s_halves_finite(const uint8_t *at, size_t n, uint16_t exponent)
{
    const halves_t all = (halves_t){0} + exponent;
    halves_t bad = {0}, bits;
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        memcpy(&bits, at + 2 * i, sizeof bits);
        bad |= (halves_t)((bits & all) == all);
    }
    bool finite = true;
    for (size_t k = 0; k < 8; k++)
        finite &= bad[k] == 0;
    for (; i < n; i++)
        finite &= (load_u16(at + 2 * i) & exponent) != exponent;
    return finite;
}

static bool s_doubles_finite(const double *at, size_t n)
{
    bool finite = true;
    for (size_t i = 0; i < n; i++)
        finite &= isfinite(at[i]) != 0;
    return finite;
}

static err_t s_not_finite(ctx_t *ctx, double value)
{
    const char *text = isnan(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf";
    return ctx_fail(ctx, ERR_UNEXPECTED, "value '%s' is not a number or infinity", text);
}

static err_t s_check_floats(ctx_t *ctx, const float *at, size_t n)
{
    if (s_floats_finite(at, n))
        return OK;
    size_t i = 0;
    while (isfinite(at[i]))
        i++;
    return s_not_finite(ctx, (double)at[i]);
}

static err_t s_check_doubles(ctx_t *ctx, const double *at, size_t n)
{
    if (s_doubles_finite(at, n))
        return OK;
    size_t i = 0;
    while (isfinite(at[i]))
        i++;
    return s_not_finite(ctx, at[i]);
}

static err_t s_check_halves(ctx_t *ctx, const uint8_t *at, size_t n, uint16_t exponent)
{
    if (s_halves_finite(at, n, exponent))
        return OK;
    for (size_t i = 0; i < n; i++) {
        uint16_t bits = load_u16(at + 2 * i);
        if ((bits & exponent) != exponent)
            continue;
        bool fraction = bits & ~exponent & 0x7fff;
        return s_not_finite(ctx, fraction ? (double)NAN : bits >> 15 ? -HUGE_VAL : HUGE_VAL);
    }
    return OK;
}

/* --- numbers ---------------------------------------------------------------------------- */

static err_t s_bools(ctx_t *ctx, const field_t *field, const Schema__ScalarField *scalars,
                     size_t expected, column_t *ret)
{
    const Schema__BoolArray *list =
        scalars->data_case == SCHEMA__SCALAR_FIELD__DATA_BOOL_DATA ? scalars->bool_data : NULL;
    size_t n = list ? list->n_data : 0;
    TRY(s_count(ctx, field, n, expected));
    uint8_t *cells = rows_alloc(ctx, n, 1);
    if (!cells)
        return rows_no_memory(ctx, field->name, n);
    for (size_t i = 0; i < n; i++)
        cells[i] = list->data[i] != 0;
    *ret = s_column(field, n, cells);
    return OK;
}

static err_t s_in_range(ctx_t *ctx, type_t type, const int32_t *at, size_t n)
{
    if (type == TYPE_INT32)
        return OK;
    int32_t high = type == TYPE_INT8 ? INT8_MAX : INT16_MAX, low = -high - 1;
    for (size_t i = 0; i < n; i++)
        if (at[i] < low || at[i] > high)
            return INVALID("the %zuth element (%d) out of range: [%d, %d]: invalid parameter"
                           "[expected=integer doesn't overflow][actual=out of range]", i, at[i],
                           low, high);
    return OK;
}

static void s_narrow(uint8_t *to, size_t width, const int32_t *from, size_t n)
{
    for (size_t i = 0; width == 1 && i < n; i++)
        to[i] = (uint8_t)from[i];
    for (size_t i = 0; width == 2 && i < n; i++)
        store_u16(to + 2 * i, (uint16_t)from[i]);
    if (width == 4)
        memcpy(to, from, n * sizeof *from);
}

static err_t s_ints(ctx_t *ctx, const field_t *field, const Schema__ScalarField *scalars,
                    size_t expected, column_t *ret)
{
    const Schema__IntArray *list =
        scalars->data_case == SCHEMA__SCALAR_FIELD__DATA_INT_DATA ? scalars->int_data : NULL;
    if (!list || list->n_data == 0)
        return s_nothing(ctx, field, "", "int array");
    size_t n = list->n_data, width = type_width(field->type, 0);
    TRY(s_in_range(ctx, field->type, list->data, n));
    TRY(s_count(ctx, field, n, expected));
    *ret = s_column(field, n, list->data);
    if (field->type == TYPE_INT32)
        return OK;
    uint8_t *cells = rows_alloc(ctx, n, width);
    if (!cells)
        return rows_no_memory(ctx, field->name, n * width);
    s_narrow(cells, width, list->data, n);
    ret->cells = cells;
    return OK;
}

static err_t s_longs(ctx_t *ctx, const field_t *field, const Schema__ScalarField *scalars,
                     size_t expected, column_t *ret)
{
    if (scalars->data_case != SCHEMA__SCALAR_FIELD__DATA_LONG_DATA || !scalars->long_data->n_data)
        return s_nothing(ctx, field, "", "long int array");
    const Schema__LongArray *list = scalars->long_data;
    TRY(s_count(ctx, field, list->n_data, expected));
    *ret = s_column(field, list->n_data, list->data);
    return OK;
}

static err_t s_floats(ctx_t *ctx, const field_t *field, const Schema__ScalarField *scalars,
                      size_t expected, column_t *ret)
{
    if (scalars->data_case != SCHEMA__SCALAR_FIELD__DATA_FLOAT_DATA || !scalars->float_data->n_data)
        return s_nothing(ctx, field, "", "float32 array");
    const Schema__FloatArray *list = scalars->float_data;
    TRY(s_check_floats(ctx, list->data, list->n_data));
    TRY(s_count(ctx, field, list->n_data, expected));
    *ret = s_column(field, list->n_data, list->data);
    return OK;
}

static err_t s_doubles(ctx_t *ctx, const field_t *field, const Schema__ScalarField *scalars,
                       size_t expected, column_t *ret)
{
    if (scalars->data_case != SCHEMA__SCALAR_FIELD__DATA_DOUBLE_DATA ||
        !scalars->double_data->n_data)
        return s_nothing(ctx, field, "", "float64 array");
    const Schema__DoubleArray *list = scalars->double_data;
    TRY(s_check_doubles(ctx, list->data, list->n_data));
    TRY(s_count(ctx, field, list->n_data, expected));
    *ret = s_column(field, list->n_data, list->data);
    return OK;
}

/* --- texts and JSON --------------------------------------------------------------------- */

/* Byte strings, one after the other. */
static err_t s_strings(ctx_t *ctx, const field_t *field, const ProtobufCBinaryData *data, size_t n,
                       column_t *ret)
{
    size_t total = 0;
    for (size_t i = 0; i < n; i++)
        total += data[i].len;
    uint64_t *offsets = rows_alloc(ctx, n + 1, sizeof *offsets);
    uint8_t *cells = offsets ? rows_alloc(ctx, total, 1) : NULL;
    if (!cells)
        return rows_no_memory(ctx, field->name, total + (n + 1) * sizeof *offsets);
    for (size_t i = 0, at = 0; i < n; i++) {
        if (data[i].len)
            memcpy(cells + at, data[i].data, data[i].len);
        at += data[i].len;
        offsets[i + 1] = at;
    }
    *ret = s_column(field, n, cells);
    ret->offsets = offsets;
    return OK;
}

static err_t s_varchars(ctx_t *ctx, const field_t *field, const Schema__ScalarField *scalars,
                        size_t expected, column_t *ret)
{
    if (scalars->data_case != SCHEMA__SCALAR_FIELD__DATA_STRING_DATA ||
        !scalars->string_data->n_data)
        return s_nothing(ctx, field, "varchar ", "string array");
    const Schema__StringArray *list = scalars->string_data;
    for (size_t i = 0; i < list->n_data && !field->auto_id; i++)
        if (list->data[i].len > (size_t)field->max_length)
            return INVALID("length of varchar field %s exceeds max length, row number: %zu, "
                           "length: %zu, max length: %d: invalid parameter", field->name, i,
                           list->data[i].len, field->max_length);
    TRY(s_count(ctx, field, list->n_data, expected));
    return s_strings(ctx, field, list->data, list->n_data, ret);
}

static err_t s_json_len(ctx_t *ctx, const field_t *field, size_t len)
{
    if (len <= LIMIT_JSON_BYTES)
        return OK;
    if (field->dynamic)
        return INVALID("the length (%zu) of dynamic field exceeds max length (%d): invalid "
                       "parameter[expected=valid length dynamic field][actual=length exceeds max "
                       "length]", len, LIMIT_JSON_BYTES);
    return INVALID("the length (%zu) of json field (%s) exceeds max length (%d): invalid parameter"
                   "[expected=valid length json string][actual=length exceeds max length]", len,
                   field->name, LIMIT_JSON_BYTES);
}

/* A dynamic row must not hold what is a field of its own. */
typedef struct keys { const schema_t *schema; view_t bad; uint8_t room[LIMIT_NAME_BYTES]; } keys_t;

static bool s_key_is_free(void *arg, view_t key)
{
    keys_t *keys = arg;
    char name[LIMIT_NAME_BYTES + 1];
    if (key.len > LIMIT_NAME_BYTES || (key.len && memchr(key.ptr, '\0', key.len)))
        return true;
    memcpy(name, key.ptr, key.len);
    name[key.len] = '\0';
    if (!schema_by_name(keys->schema, name))
        return true;
    memcpy(keys->room, key.ptr, key.len);
    keys->bad = view_of(keys->room, key.len);
    return false;
}

static err_t s_dynamic_row(ctx_t *ctx, const field_t *field, view_t text, keys_t *keys)
{
    char why[JSON_WHY_BYTES];
    const char *wrong = json_text_check(text, s_key_is_free, keys, why);
    if (!wrong)
        return OK;
    if (wrong != json_text_key_refused)
        return ctx_fail(ctx, ERR_IO_FAILED, "IO failed: %s", wrong);
    if (view_eq(keys->bad, view_str(field->name)))
        return ctx_fail(ctx, ERR_UNEXPECTED, "cannot set json key to: %s", field->name);
    return ctx_fail(ctx, ERR_UNEXPECTED, "dynamic field name cannot include the static field name: "
                    "%.*s", (int)keys->bad.len, keys->bad.ptr);
}

static err_t s_json_rows(ctx_t *ctx, const field_t *field, const Schema__JSONArray *list,
                         const schema_t *named)
{
    keys_t keys = { .schema = named };
    char why[JSON_WHY_BYTES];
    for (size_t i = 0; i < list->n_data; i++) {
        view_t text = view_of(list->data[i].data, list->data[i].len);
        TRY(s_json_len(ctx, field, text.len));
        if (named) {
            TRY(s_dynamic_row(ctx, field, text, &keys));
            continue;
        }
        const char *wrong = json_text_check(text, NULL, NULL, why);
        if (wrong)
            return INVALID("json field '%s' is illegal, row number: %zu, %s: invalid parameter",
                           field->name, i, wrong);
    }
    return OK;
}

static err_t s_jsons(ctx_t *ctx, const field_t *field, const Schema__ScalarField *scalars,
                     size_t expected, const schema_t *named, column_t *ret)
{
    if (scalars->data_case != SCHEMA__SCALAR_FIELD__DATA_JSON_DATA || !scalars->json_data->n_data)
        return s_nothing(ctx, field, "json ", "string array");
    const Schema__JSONArray *list = scalars->json_data;
    TRY(s_json_rows(ctx, field, list, named));
    TRY(s_count(ctx, field, list->n_data, expected));
    return s_strings(ctx, field, list->data, list->n_data, ret);
}

/* --- arrays ----------------------------------------------------------------------------- */

/* Which member of ScalarField holds elements of this type, and Go's name of it. */
typedef struct array_kind {
    Schema__ScalarField__DataCase member;
    const char *needs;
} array_kind_t;

static array_kind_t s_array_kind(type_t element)
{
    switch (element) {
    case TYPE_BOOL:
        return (array_kind_t){ SCHEMA__SCALAR_FIELD__DATA_BOOL_DATA, "bool array" };
    case TYPE_INT8: case TYPE_INT16: case TYPE_INT32:
        return (array_kind_t){ SCHEMA__SCALAR_FIELD__DATA_INT_DATA, "int array" };
    case TYPE_INT64:
        return (array_kind_t){ SCHEMA__SCALAR_FIELD__DATA_LONG_DATA, "int64 array" };
    case TYPE_FLOAT:
        return (array_kind_t){ SCHEMA__SCALAR_FIELD__DATA_FLOAT_DATA, "float array" };
    case TYPE_DOUBLE:
        return (array_kind_t){ SCHEMA__SCALAR_FIELD__DATA_DOUBLE_DATA, "double array" };
    case TYPE_VARCHAR:
        return (array_kind_t){ SCHEMA__SCALAR_FIELD__DATA_STRING_DATA, "string array" };
    case TYPE_NONE: case TYPE_ARRAY: case TYPE_JSON: case TYPE_BINARY_VECTOR:
    case TYPE_FLOAT_VECTOR: case TYPE_FLOAT16_VECTOR: case TYPE_BFLOAT16_VECTOR:
    case TYPE_SPARSE_VECTOR: case TYPE_INT8_VECTOR:
        break;
    }
    check(!"an array of such elements is no field");
    return (array_kind_t){0};
}

static const char *s_member_name(Schema__ScalarField__DataCase member)
{
    switch ((int)member) {
    case SCHEMA__SCALAR_FIELD__DATA__NOT_SET:    return "nil";
    case SCHEMA__SCALAR_FIELD__DATA_BOOL_DATA:   return "*schemapb.ScalarField_BoolData";
    case SCHEMA__SCALAR_FIELD__DATA_INT_DATA:    return "*schemapb.ScalarField_IntData";
    case SCHEMA__SCALAR_FIELD__DATA_LONG_DATA:   return "*schemapb.ScalarField_LongData";
    case SCHEMA__SCALAR_FIELD__DATA_FLOAT_DATA:  return "*schemapb.ScalarField_FloatData";
    case SCHEMA__SCALAR_FIELD__DATA_DOUBLE_DATA: return "*schemapb.ScalarField_DoubleData";
    case SCHEMA__SCALAR_FIELD__DATA_STRING_DATA: return "*schemapb.ScalarField_StringData";
    case SCHEMA__SCALAR_FIELD__DATA_BYTES_DATA:  return "*schemapb.ScalarField_BytesData";
    case SCHEMA__SCALAR_FIELD__DATA_ARRAY_DATA:  return "*schemapb.ScalarField_ArrayData";
    case SCHEMA__SCALAR_FIELD__DATA_JSON_DATA:   return "*schemapb.ScalarField_JsonData";
    default:                                     return "unknown";
    }
}

/* Elements of one row, all lists having their count and data at the same place. */
static size_t s_array_n(const Schema__ScalarField *row)
{
    switch ((int)row->data_case) {
    case SCHEMA__SCALAR_FIELD__DATA_BOOL_DATA:   return row->bool_data->n_data;
    case SCHEMA__SCALAR_FIELD__DATA_INT_DATA:    return row->int_data->n_data;
    case SCHEMA__SCALAR_FIELD__DATA_LONG_DATA:   return row->long_data->n_data;
    case SCHEMA__SCALAR_FIELD__DATA_FLOAT_DATA:  return row->float_data->n_data;
    case SCHEMA__SCALAR_FIELD__DATA_DOUBLE_DATA: return row->double_data->n_data;
    case SCHEMA__SCALAR_FIELD__DATA_STRING_DATA: return row->string_data->n_data;
    default:                                     return 0;
    }
}

static err_t s_array_text(ctx_t *ctx, const field_t *field, const Schema__StringArray *list,
                          size_t row, size_t *ret_bytes)
{
    for (size_t i = 0; i < list->n_data; i++) {
        if (list->data[i].len > (size_t)field->max_length)
            return INVALID("length of Array array field \"%s\" exceeds max length, row number: "
                           "%zu, array index: %zu, length: %zu, max length: %d: invalid parameter",
                           field->name, row, i, list->data[i].len, field->max_length);
        *ret_bytes += 4 + list->data[i].len;
    }
    return OK;
}

/* One row may be there: its kind, its length, its elements.  *ret_bytes: of its cell. */
static err_t s_array_row(ctx_t *ctx, const field_t *field, const Schema__ScalarField *row, size_t i,
                         size_t *ret_bytes)
{
    array_kind_t kind = s_array_kind(field->element);
    size_t n = s_array_n(row), bytes = 4 + n * type_width(field->element, 0);
    if (n > (size_t)field->max_capacity)
        return INVALID("the length (%zu) of %zuth array exceeds max capacity (%d): invalid "
                       "parameter[expected=valid length array][actual=array length exceeds max "
                       "capacity]", n, i, field->max_capacity);
    if (row->data_case != kind.member)
        return INVALID("insert data does not match: invalid parameter[expected=%s][actual=%s "
                       "array]", kind.needs, s_member_name(row->data_case));
    if (field->element == TYPE_VARCHAR)
        TRY(s_array_text(ctx, field, row->string_data, i, &bytes));
    if (field->element == TYPE_INT8 || field->element == TYPE_INT16)
        TRY(s_in_range(ctx, field->element, row->int_data->data, n));
    if (field->element == TYPE_FLOAT)
        TRY(s_check_floats(ctx, row->float_data->data, n));
    if (field->element == TYPE_DOUBLE)
        TRY(s_check_doubles(ctx, row->double_data->data, n));
    *ret_bytes = bytes;
    return OK;
}

static void s_put_texts(uint8_t *to, const Schema__StringArray *list)
{
    for (size_t i = 0; i < list->n_data; i++) {
        store_u32(to, (uint32_t)list->data[i].len);
        if (list->data[i].len)
            memcpy(to + 4, list->data[i].data, list->data[i].len);
        to += 4 + list->data[i].len;
    }
}

static void s_put_array(uint8_t *to, type_t element, const Schema__ScalarField *row)
{
    size_t n = s_array_n(row), width = type_width(element, 0);
    store_u32(to, (uint32_t)n);
    to += 4;
    if (n == 0)
        return;
    if (element == TYPE_VARCHAR)
        s_put_texts(to, row->string_data);
    else if (element == TYPE_INT64)
        memcpy(to, row->long_data->data, n * width);
    else if (element == TYPE_FLOAT)
        memcpy(to, row->float_data->data, n * width);
    else if (element == TYPE_DOUBLE)
        memcpy(to, row->double_data->data, n * width);
    else if (element == TYPE_BOOL)
        for (size_t i = 0; i < n; i++)
            to[i] = row->bool_data->data[i] != 0;
    else
        s_narrow(to, width, row->int_data->data, n);
}

static err_t s_arrays(ctx_t *ctx, const field_t *field, const Schema__ScalarField *scalars,
                      size_t expected, column_t *ret)
{
    if (scalars->data_case != SCHEMA__SCALAR_FIELD__DATA_ARRAY_DATA ||
        !scalars->array_data->n_data)
        return INVALID("array field '%s' is illegal, array type mismatch: invalid parameter"
                       "[expected=need %s array][actual=got nil]", field->name,
                       validate_type_name((int)field->element));
    const Schema__ArrayArray *list = scalars->array_data;
    size_t n = list->n_data;
    uint64_t *offsets = rows_alloc(ctx, n + 1, sizeof *offsets);
    if (!offsets)
        return rows_no_memory(ctx, field->name, (n + 1) * sizeof *offsets);
    for (size_t i = 0; i < n; i++) {
        size_t bytes = 0;
        TRY(s_array_row(ctx, field, list->data[i], i, &bytes));
        offsets[i + 1] = offsets[i] + bytes;
    }
    TRY(s_count(ctx, field, n, expected));
    uint8_t *cells = rows_alloc(ctx, offsets[n], 1);
    if (!cells)
        return rows_no_memory(ctx, field->name, offsets[n]);
    for (size_t i = 0; i < n; i++)
        s_put_array(cells + offsets[i], field->element, list->data[i]);
    *ret = s_column(field, n, cells);
    ret->offsets = offsets;
    return OK;
}

/* --- vectors ---------------------------------------------------------------------------- */

static err_t s_dim(ctx_t *ctx, const field_t *field, int64_t dim)
{
    if (dim == field->dim)
        return OK;
    return INVALID("the dim (%lld) of field data(%s) is not equal to schema dim (%d): invalid "
                   "parameter[expected=%d][actual=%lld]", (long long)dim, field->name, field->dim,
                   field->dim, (long long)dim);
}

static err_t s_float_vectors(ctx_t *ctx, const field_t *field, const Schema__VectorField *vectors,
                             size_t expected, column_t *ret)
{
    if (vectors->data_case != SCHEMA__VECTOR_FIELD__DATA_FLOAT_VECTOR ||
        !vectors->float_vector->n_data)
        return s_nothing(ctx, field, "float vector ", "float vector");
    const Schema__FloatArray *list = vectors->float_vector;
    TRY(s_check_floats(ctx, list->data, list->n_data));
    if (list->n_data % (size_t)field->dim)
        return ctx_fail(ctx, ERR_UNEXPECTED, "the length(%zu) of float data should divide the "
                        "dim(%d)", list->n_data, field->dim);
    TRY(s_dim(ctx, field, vectors->dim));
    TRY(s_count(ctx, field, list->n_data / (size_t)field->dim, expected));
    *ret = s_column(field, expected, list->data);
    return OK;
}

/* Vectors that come as bytes: their member of the message and Milvus's words about them. */
typedef struct bytes_kind {
    type_t type;
    Schema__VectorField__DataCase member;
    const char *nothing, *need; /* when there is none */
    uint16_t exponent;          /* of its halves; 0: any bits will do */
    const char *uneven;         /* when bytes are left over */
} bytes_kind_t;

static const bytes_kind_t s_bytes_kinds[] = {
    { TYPE_BINARY_VECTOR, SCHEMA__VECTOR_FIELD__DATA_BINARY_VECTOR,
      "binary float vector field '%s' is illegal, array type mismatch", "bytes array", 0,
      "the num(%zu) of all bits should divide the dim(%d)" },
    { TYPE_FLOAT16_VECTOR, SCHEMA__VECTOR_FIELD__DATA_FLOAT16_VECTOR,
      "float16 float field '%s' is illegal, nil Vector_Float16 type", "vector_float16 array",
      0x7c00, "the length(%zu) of float16 data should divide the dim(%d)" },
    { TYPE_BFLOAT16_VECTOR, SCHEMA__VECTOR_FIELD__DATA_BFLOAT16_VECTOR,
      "bfloat16 float field '%s' is illegal, nil Vector_BFloat16 type", "vector_bfloat16 array",
      0x7f80, "the length(%zu) of bfloat16 data should divide the dim(%d)" },
    { TYPE_INT8_VECTOR, SCHEMA__VECTOR_FIELD__DATA_INT8_VECTOR,
      "int8 vector field '%s' is illegal, nil Vector_Int8 type", "vector_int8 array", 0,
      "the length(%zu) of int8 data should divide the dim(%d)" },
};

static const bytes_kind_t *s_bytes_kind(type_t type)
{
    size_t i = 0;
    while (s_bytes_kinds[i].type != type)
        check(++i < ARRAY_LEN(s_bytes_kinds));
    return &s_bytes_kinds[i];
}

static err_t s_byte_vectors(ctx_t *ctx, const field_t *field, const Schema__VectorField *vectors,
                            size_t expected, column_t *ret)
{
    const bytes_kind_t *kind = s_bytes_kind(field->type);
    const ProtobufCBinaryData *bytes = &vectors->binary_vector;     /* all at one place */
    size_t width = type_width(field->type, field->dim);
    char text[LIMIT_NAME_BYTES + 128];
    if (vectors->data_case != kind->member || bytes->len == 0) {
        snprintf(text, sizeof text, kind->nothing, field->name);
        return INVALID("%s: invalid parameter[expected=need %s][actual=got nil]", text, kind->need);
    }
    if (kind->exponent)
        TRY(s_check_halves(ctx, bytes->data, bytes->len / 2, kind->exponent));
    if (bytes->len % width) {
        size_t len = field->type == TYPE_BINARY_VECTOR ? 8 * bytes->len : bytes->len;
        snprintf(text, sizeof text, kind->uneven, len, field->dim);
        return ctx_fail(ctx, ERR_UNEXPECTED, "%s", text);
    }
    TRY(s_dim(ctx, field, vectors->dim));
    TRY(s_count(ctx, field, bytes->len / width, expected));
    *ret = s_column(field, expected, bytes->data);
    return OK;
}

static err_t s_sparse_row(ctx_t *ctx, view_t row)
{
    if (row.len % 8)
        return ctx_fail(ctx, ERR_UNEXPECTED, "invalid data length in sparse float vector: %zu",
                        row.len);
    for (size_t at = 0; at < row.len; at += 8) {
        uint32_t index = load_u32(row.ptr + at);
        float value;
        memcpy(&value, row.ptr + at + 4, sizeof value);
        if (index == UINT32_MAX)
            return ctx_fail(ctx, ERR_UNEXPECTED, "invalid index in sparse float vector: must be "
                            "less than 2^32-1");
        if (at > 0 && index <= load_u32(row.ptr + at - 8))
            return ctx_fail(ctx, ERR_UNEXPECTED, "unsorted or same indices in sparse float vector");
        if (!isfinite(value))
            return s_not_finite(ctx, (double)value);
        if (value < 0)
            return ctx_fail(ctx, ERR_UNEXPECTED, "negative value in sparse float vector");
    }
    return OK;
}

static err_t s_sparse_vectors(ctx_t *ctx, const field_t *field, const Schema__VectorField *vectors,
                              size_t expected, column_t *ret)
{
    if (vectors->data_case != SCHEMA__VECTOR_FIELD__DATA_SPARSE_FLOAT_VECTOR)
        return INVALID("sparse float field '%s' is illegal, nil SparseFloatVector: invalid "
                       "parameter[expected=need sparse float array][actual=got nil]", field->name);
    const Schema__SparseFloatArray *list = vectors->sparse_float_vector;
    if (list->n_contents == 0)
        return s_nothing(ctx, field, "sparse float ", "sparse float array");
    for (size_t i = 0; i < list->n_contents; i++)
        TRY(s_sparse_row(ctx, view_of(list->contents[i].data, list->contents[i].len)));
    TRY(s_count(ctx, field, list->n_contents, expected));
    return s_strings(ctx, field, list->contents, list->n_contents, ret);
}

/* --- which way -------------------------------------------------------------------------- */

err_t rows_values(ctx_t *ctx, const field_t *field, const Schema__FieldData *data, size_t expected,
                  const schema_t *named, column_t *ret)
{
    static const Schema__ScalarField s_no_scalars = SCHEMA__SCALAR_FIELD__INIT;
    static const Schema__VectorField s_no_vectors = SCHEMA__VECTOR_FIELD__INIT;
    const Schema__ScalarField *scalars =
        data->field_case == SCHEMA__FIELD_DATA__FIELD_SCALARS ? data->scalars : &s_no_scalars;
    const Schema__VectorField *vectors =
        data->field_case == SCHEMA__FIELD_DATA__FIELD_VECTORS ? data->vectors : &s_no_vectors;
    switch (field->type) {
    case TYPE_BOOL:            return s_bools(ctx, field, scalars, expected, ret);
    case TYPE_INT8:
    case TYPE_INT16:
    case TYPE_INT32:           return s_ints(ctx, field, scalars, expected, ret);
    case TYPE_INT64:           return s_longs(ctx, field, scalars, expected, ret);
    case TYPE_FLOAT:           return s_floats(ctx, field, scalars, expected, ret);
    case TYPE_DOUBLE:          return s_doubles(ctx, field, scalars, expected, ret);
    case TYPE_VARCHAR:         return s_varchars(ctx, field, scalars, expected, ret);
    case TYPE_JSON:            return s_jsons(ctx, field, scalars, expected, named, ret);
    case TYPE_ARRAY:           return s_arrays(ctx, field, scalars, expected, ret);
    case TYPE_FLOAT_VECTOR:    return s_float_vectors(ctx, field, vectors, expected, ret);
    case TYPE_BINARY_VECTOR:
    case TYPE_FLOAT16_VECTOR:
    case TYPE_BFLOAT16_VECTOR:
    case TYPE_INT8_VECTOR:     return s_byte_vectors(ctx, field, vectors, expected, ret);
    case TYPE_SPARSE_VECTOR:   return s_sparse_vectors(ctx, field, vectors, expected, ret);
    case TYPE_NONE:
        break;
    }
    return ctx_fail(ctx, ERR_INTERNAL, "field %s has no type", field->name);
}
