/* results - see results.h */
#include "proxy/results.h"

#include <math.h>

#include "core/expr/jsonpath.h"

/* --- memory --------------------------------------------------------------------- */

/* Room for n elements, for one when n is 0; NULL when the budget refuses. */
static void *s_room(ctx_t *ctx, size_t n, size_t bytes)
{
    void *room = ctx_try(ctx, (n ? n : 1) * bytes);
    if (!room)
        (void)ctx_fail(ctx, ERR_MEMORY, "memory limit exceeded: %zu values of a result", n);
    return room;
}

/* `TYPE *at = NEW(ctx, schema__x, Schema__X)`: an initialised message in the arena. */
#define NEW(ctx, prefix, type) \
    ({ type *new_ = ctx_new((ctx), sizeof *new_); prefix##__init(new_); new_; })

/* --- scalars ----------------------------------------------------------------------- */

static err_t s_bools(ctx_t *ctx, const uint8_t *cells, size_t n, Schema__ScalarField *into)
{
    Schema__BoolArray *array = NEW(ctx, schema__bool_array, Schema__BoolArray);
    array->data = s_room(ctx, n, sizeof *array->data);
    if (!array->data)
        return ERR_MEMORY;
    for (size_t i = 0; i < n; i++)
        array->data[i] = cells[i] != 0;
    array->n_data = n;
    into->data_case = SCHEMA__SCALAR_FIELD__DATA_BOOL_DATA;
    into->bool_data = array;
    return OK;
}

static int32_t s_int_at(const uint8_t *cells, size_t width, size_t i)
{
    if (width == 1)
        return (int8_t)cells[i];
    if (width == 2)
        return (int16_t)load_u16(cells + 2 * i);
    return (int32_t)load_u32(cells + 4 * i);
}

static err_t s_ints(ctx_t *ctx, const uint8_t *cells, size_t width, size_t n,
                    Schema__ScalarField *into)
{
    Schema__IntArray *array = NEW(ctx, schema__int_array, Schema__IntArray);
    array->data = s_room(ctx, n, sizeof *array->data);
    if (!array->data)
        return ERR_MEMORY;
    for (size_t i = 0; i < n; i++)
        array->data[i] = s_int_at(cells, width, i);
    array->n_data = n;
    into->data_case = SCHEMA__SCALAR_FIELD__DATA_INT_DATA;
    into->int_data = array;
    return OK;
}

/* Cells that lie as the message wants them: point there, or copy what is not aligned (the
 * elements of an array cell). */
static err_t s_wide(ctx_t *ctx, const uint8_t *cells, size_t width, size_t n, void *ret)
{
    if (n == 0 || (uintptr_t)cells % width == 0) {
        *(const void **)ret = cells;
        return OK;
    }
    void *copy = s_room(ctx, n, width);
    if (!copy)
        return ERR_MEMORY;
    memcpy(copy, cells, n * width);
    *(const void **)ret = copy;
    return OK;
}

static err_t s_longs(ctx_t *ctx, const uint8_t *cells, size_t n, Schema__ScalarField *into)
{
    Schema__LongArray *array = NEW(ctx, schema__long_array, Schema__LongArray);
    TRY(s_wide(ctx, cells, 8, n, &array->data));
    array->n_data = n;
    into->data_case = SCHEMA__SCALAR_FIELD__DATA_LONG_DATA;
    into->long_data = array;
    return OK;
}

static err_t s_floats(ctx_t *ctx, const uint8_t *cells, size_t n, Schema__FloatArray **ret)
{
    Schema__FloatArray *array = NEW(ctx, schema__float_array, Schema__FloatArray);
    TRY(s_wide(ctx, cells, 4, n, &array->data));
    array->n_data = n;
    *ret = array;
    return OK;
}

static err_t s_doubles(ctx_t *ctx, const uint8_t *cells, size_t n, Schema__ScalarField *into)
{
    Schema__DoubleArray *array = NEW(ctx, schema__double_array, Schema__DoubleArray);
    TRY(s_wide(ctx, cells, 8, n, &array->data));
    array->n_data = n;
    into->data_case = SCHEMA__SCALAR_FIELD__DATA_DOUBLE_DATA;
    into->double_data = array;
    return OK;
}

/* Cells of one width, as they lie in a column or in an array cell. */
static err_t s_fixed(ctx_t *ctx, type_t type, const uint8_t *cells, size_t n,
                     Schema__ScalarField *into)
{
    size_t width = type_width(type, 0);
    switch ((int)type) {
    case TYPE_BOOL:
        return s_bools(ctx, cells, n, into);
    case TYPE_INT8:
    case TYPE_INT16:
    case TYPE_INT32:
        return s_ints(ctx, cells, width, n, into);
    case TYPE_INT64:
        return s_longs(ctx, cells, n, into);
    case TYPE_FLOAT:
        into->data_case = SCHEMA__SCALAR_FIELD__DATA_FLOAT_DATA;
        return s_floats(ctx, cells, n, &into->float_data);
    case TYPE_DOUBLE:
        return s_doubles(ctx, cells, n, into);
    default:
        check(!"a scalar of fixed width");
    }
}

/* The cells as a list of bytes; null cells are `nothing`. */
static err_t s_slices(ctx_t *ctx, const column_t *c, const char *nothing, ProtobufCBinaryData **ret)
{
    ProtobufCBinaryData *list = s_room(ctx, c->n, sizeof *list);
    if (!list)
        return ERR_MEMORY;
    for (size_t i = 0; i < c->n; i++) {
        view_t cell = column_is_null(c, i) ? view_str(nothing) : column_cell(c, i);
        list[i] = (ProtobufCBinaryData){ .data = (uint8_t *)(uintptr_t)cell.ptr, .len = cell.len };
    }
    *ret = list;
    return OK;
}

static err_t s_strings(ctx_t *ctx, const column_t *c, Schema__ScalarField *into)
{
    Schema__StringArray *array = NEW(ctx, schema__string_array, Schema__StringArray);
    TRY(s_slices(ctx, c, "", &array->data));
    array->n_data = c->n;
    into->data_case = SCHEMA__SCALAR_FIELD__DATA_STRING_DATA;
    into->string_data = array;
    return OK;
}

static err_t s_jsons(ctx_t *ctx, const column_t *c, Schema__ScalarField *into)
{
    Schema__JSONArray *array = NEW(ctx, schema__jsonarray, Schema__JSONArray);
    TRY(s_slices(ctx, c, "null", &array->data));
    array->n_data = c->n;
    into->data_case = SCHEMA__SCALAR_FIELD__DATA_JSON_DATA;
    into->json_data = array;
    return OK;
}

/* --- arrays ------------------------------------------------------------------------ */

static err_t s_damaged(ctx_t *ctx, const field_t *field)
{
    return ctx_fail(ctx, ERR_CORRUPT, "field %s: a cell is no array of %s", field->name,
                    type_name(field->element));
}

static err_t s_texts(ctx_t *ctx, const field_t *field, view_t cell, uint32_t n,
                     Schema__ScalarField *into)
{
    Schema__StringArray *array = NEW(ctx, schema__string_array, Schema__StringArray);
    array->data = s_room(ctx, n, sizeof *array->data);
    if (!array->data)
        return ERR_MEMORY;
    size_t at = 4;
    for (uint32_t i = 0; i < n; i++) {
        if (cell.len - at < 4 || load_u32(cell.ptr + at) > cell.len - at - 4)
            return s_damaged(ctx, field);
        size_t len = load_u32(cell.ptr + at);
        array->data[i] = (ProtobufCBinaryData){
            .data = (uint8_t *)(uintptr_t)(cell.ptr + at + 4), .len = len };
        at += 4 + len;
    }
    array->n_data = n;
    into->data_case = SCHEMA__SCALAR_FIELD__DATA_STRING_DATA;
    into->string_data = array;
    return OK;
}

static err_t s_array(ctx_t *ctx, const field_t *field, view_t cell, Schema__ScalarField *into)
{
    uint32_t n = 0;
    size_t width = type_width(field->element, 0);
    if (cell.len > 0 && !array_len(cell, &n))
        return s_damaged(ctx, field);
    if (n > (cell.len - (n ? 4 : 0)) / (width ? width : 4))
        return s_damaged(ctx, field);
    if (width == 0)
        return s_texts(ctx, field, cell, n, into);
    return s_fixed(ctx, field->element, n ? cell.ptr + 4 : NULL, n, into);
}

static err_t s_arrays(ctx_t *ctx, const field_t *field, const column_t *c,
                      Schema__ScalarField *into)
{
    Schema__ArrayArray *array = NEW(ctx, schema__array_array, Schema__ArrayArray);
    array->data = s_room(ctx, c->n, sizeof *array->data);
    Schema__ScalarField *rows = s_room(ctx, c->n, sizeof *rows);
    if (!array->data || !rows)
        return ERR_MEMORY;
    for (size_t i = 0; i < c->n; i++) {
        schema__scalar_field__init(&rows[i]);
        array->data[i] = &rows[i];
        view_t cell = column_is_null(c, i) ? view_of(NULL, 0) : column_cell(c, i);
        TRY(s_array(ctx, field, cell, &rows[i]));
    }
    array->n_data = c->n;
    array->element_type = (Schema__DataType)field->element;
    into->data_case = SCHEMA__SCALAR_FIELD__DATA_ARRAY_DATA;
    into->array_data = array;
    return OK;
}

/* --- vectors ------------------------------------------------------------------------- */

/* Dense cells one after the other, without those of nulls. */
static err_t s_dense(ctx_t *ctx, const column_t *c, view_t *ret)
{
    *ret = view_of(c->cells, c->n * c->width);
    if (!c->valid)
        return OK;
    uint8_t *packed = s_room(ctx, c->n, c->width);
    if (!packed)
        return ERR_MEMORY;
    size_t len = 0;
    for (size_t i = 0; i < c->n; i++)
        if (!column_is_null(c, i)) {
            memcpy(packed + len, column_cell(c, i).ptr, c->width);
            len += c->width;
        }
    *ret = view_of(packed, len);
    return OK;
}

static err_t s_sparse(ctx_t *ctx, const column_t *c, Schema__VectorField *into)
{
    Schema__SparseFloatArray *array = NEW(ctx, schema__sparse_float_array,
                                          Schema__SparseFloatArray);
    array->contents = s_room(ctx, c->n, sizeof *array->contents);
    if (!array->contents)
        return ERR_MEMORY;
    for (size_t i = 0; i < c->n; i++) {
        if (column_is_null(c, i))
            continue;
        view_t cell = column_cell(c, i);
        array->contents[array->n_contents++] = (ProtobufCBinaryData){
            .data = (uint8_t *)(uintptr_t)cell.ptr, .len = cell.len };
        int64_t top = cell.len >= 8 ? (int64_t)load_u32(cell.ptr + cell.len - 8) + 1 : 0;
        if (top > array->dim)
            array->dim = top;
    }
    into->dim = array->dim;
    into->data_case = SCHEMA__VECTOR_FIELD__DATA_SPARSE_FLOAT_VECTOR;
    into->sparse_float_vector = array;
    return OK;
}

static err_t s_vectors(ctx_t *ctx, const field_t *field, const column_t *c,
                       Schema__VectorField *into)
{
    view_t cells = {0};
    if (field->type == TYPE_SPARSE_VECTOR)
        return s_sparse(ctx, c, into);
    TRY(s_dense(ctx, c, &cells));
    ProtobufCBinaryData bytes = { .data = (uint8_t *)(uintptr_t)cells.ptr, .len = cells.len };
    into->dim = field->dim;
    switch ((int)field->type) {
    case TYPE_FLOAT_VECTOR:
        into->data_case = SCHEMA__VECTOR_FIELD__DATA_FLOAT_VECTOR;
        return s_floats(ctx, cells.ptr, cells.len / 4, &into->float_vector);
    case TYPE_BINARY_VECTOR:
        into->data_case = SCHEMA__VECTOR_FIELD__DATA_BINARY_VECTOR;
        into->binary_vector = bytes;
        return OK;
    case TYPE_FLOAT16_VECTOR:
        into->data_case = SCHEMA__VECTOR_FIELD__DATA_FLOAT16_VECTOR;
        into->float16_vector = bytes;
        return OK;
    case TYPE_BFLOAT16_VECTOR:
        into->data_case = SCHEMA__VECTOR_FIELD__DATA_BFLOAT16_VECTOR;
        into->bfloat16_vector = bytes;
        return OK;
    case TYPE_INT8_VECTOR:
        into->data_case = SCHEMA__VECTOR_FIELD__DATA_INT8_VECTOR;
        into->int8_vector = bytes;
        return OK;
    default:
        check(!"a dense vector");
    }
}

/* --- a field ------------------------------------------------------------------------- */

static err_t s_validity(ctx_t *ctx, const column_t *c, Schema__FieldData *into)
{
    into->valid_data = s_room(ctx, c->n, sizeof *into->valid_data);
    if (!into->valid_data)
        return ERR_MEMORY;
    for (size_t i = 0; i < c->n; i++)
        into->valid_data[i] = !column_is_null(c, i);
    into->n_valid_data = c->n;
    return OK;
}

static err_t s_scalars(ctx_t *ctx, const field_t *field, const column_t *c,
                       Schema__ScalarField *into)
{
    if (field->type == TYPE_VARCHAR)
        return s_strings(ctx, c, into);
    if (field->type == TYPE_JSON)
        return s_jsons(ctx, c, into);
    if (field->type == TYPE_ARRAY)
        return s_arrays(ctx, field, c, into);
    return s_fixed(ctx, field->type, c->cells, c->n, into);
}

err_t results_field(ctx_t *ctx, const field_t *field, const column_t *column,
                    Schema__FieldData **ret)
{
    check(column->type == field->type);
    Schema__FieldData *data = NEW(ctx, schema__field_data, Schema__FieldData);
    data->type = (Schema__DataType)field->type;
    data->field_name = field->name;
    data->field_id = field->id;
    data->is_dynamic = field->dynamic;
    if (field->nullable || column->valid)
        TRY(s_validity(ctx, column, data));
    if (type_is_vector(field->type)) {
        data->field_case = SCHEMA__FIELD_DATA__FIELD_VECTORS;
        data->vectors = NEW(ctx, schema__vector_field, Schema__VectorField);
        TRY(s_vectors(ctx, field, column, data->vectors));
    } else {
        data->field_case = SCHEMA__FIELD_DATA__FIELD_SCALARS;
        data->scalars = NEW(ctx, schema__scalar_field, Schema__ScalarField);
        TRY(s_scalars(ctx, field, column, data->scalars));
    }
    *ret = data;
    return OK;
}

/* --- the dynamic field ------------------------------------------------------------------ */

static void s_quote(buf_t *into, view_t text)
{
    buf_add_u8(into, '"');
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        if (c < 0x20)
            buf_addf(into, "\\u%04x", c);
        else if (c == '"' || c == '\\')
            buf_addf(into, "\\%c", c);
        else
            buf_add_u8(into, c);
    }
    buf_add_u8(into, '"');
}

/* A value in the row's own spelling. */
static void s_spell(const json_value_t *value, buf_t *into)
{
    switch (value->kind) {
    case JSON_NULL:
        buf_add_str(into, "null");
        break;
    case JSON_BOOL:
        buf_add_str(into, value->b ? "true" : "false");
        break;
    case JSON_STRING:
        buf_add_u8(into, '"');
        buf_add_view(into, value->raw);
        buf_add_u8(into, '"');
        break;
    case JSON_INT:
    case JSON_DOUBLE:
    case JSON_ARRAY:
    case JSON_OBJECT:
        buf_add_view(into, value->raw);
        break;
    }
}

/* {"k": value …} of the keys the row has. */
static void s_pick(view_t row, const view_t *keys, size_t n_keys, buf_t *scratch, buf_t *into)
{
    buf_add_u8(into, '{');
    bool first = true;
    for (size_t i = 0; i < n_keys; i++) {
        json_value_t value;
        if (!jsonpath_find(row, &keys[i], 1, scratch, &value))
            continue;
        if (!first)
            buf_add_u8(into, ',');
        first = false;
        s_quote(into, keys[i]);
        buf_add_u8(into, ':');
        s_spell(&value, into);
    }
    buf_add_u8(into, '}');
}

err_t results_dynamic(ctx_t *ctx, const field_t *field, const column_t *column,
                      const view_t *keys, size_t n_keys, Schema__FieldData **ret)
{
    if (n_keys == 0)
        return results_field(ctx, field, column, ret);
    column_t picked = *column;
    uint64_t *offsets = s_room(ctx, column->n + 1, sizeof *offsets);
    if (!offsets)
        return ERR_MEMORY;
    buf_scoped cells = {0}, scratch = {0};
    buf_init(&cells, 0);
    buf_init(&scratch, 0);
    for (size_t i = 0; i < column->n; i++) {
        s_pick(column_cell(column, i), keys, n_keys, &scratch, &cells);
        offsets[i + 1] = cells.len;
    }
    view_t copy = {0};
    if (!buf_ok(&cells) || !buf_ok(&scratch))
        return ctx_fail(ctx, ERR_MEMORY, "memory limit exceeded: dynamic fields of a result");
    TRY(ctx_copy(ctx, buf_view(&cells), &copy));
    picked.cells = copy.ptr;
    picked.offsets = offsets;
    return results_field(ctx, field, &picked, ret);
}

/* --- the rest ------------------------------------------------------------------------------ */

err_t results_ids(ctx_t *ctx, const column_t *pks, Schema__IDs **ret)
{
    Schema__IDs *ids = NEW(ctx, schema__ids, Schema__IDs);
    if (pks->type == TYPE_INT64) {
        ids->id_field_case = SCHEMA__IDS__ID_FIELD_INT_ID;
        ids->int_id = NEW(ctx, schema__long_array, Schema__LongArray);
        TRY(s_wide(ctx, pks->cells, 8, pks->n, &ids->int_id->data));
        ids->int_id->n_data = pks->n;
    } else {
        ids->id_field_case = SCHEMA__IDS__ID_FIELD_STR_ID;
        ids->str_id = NEW(ctx, schema__string_array, Schema__StringArray);
        TRY(s_slices(ctx, pks, "", &ids->str_id->data));
        ids->str_id->n_data = pks->n;
    }
    *ret = ids;
    return OK;
}

Schema__FieldData *results_count(ctx_t *ctx, uint64_t count)
{
    Schema__FieldData *data = NEW(ctx, schema__field_data, Schema__FieldData);
    data->type = SCHEMA__DATA_TYPE__Int64;
    data->field_name = "count(*)";
    data->field_case = SCHEMA__FIELD_DATA__FIELD_SCALARS;
    data->scalars = NEW(ctx, schema__scalar_field, Schema__ScalarField);
    data->scalars->data_case = SCHEMA__SCALAR_FIELD__DATA_LONG_DATA;
    data->scalars->long_data = NEW(ctx, schema__long_array, Schema__LongArray);
    data->scalars->long_data->data = ctx_new(ctx, sizeof(int64_t));
    data->scalars->long_data->data[0] = (int64_t)count;
    data->scalars->long_data->n_data = 1;
    return data;
}

void results_round(float *scores, size_t n, int decimals)
{
    if (decimals < 0)
        return;
    float power = powf(10.0f, (float)decimals);
    for (size_t i = 0; i < n; i++)
        scores[i] = roundf(scores[i] * power) / power;
}
