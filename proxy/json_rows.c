/* json_rows - see json_rows.h */
#include "proxy/json_rows.h"

#include <errno.h>
#include <stdlib.h>

#include "core/base/buf.h"
#include "core/base/limits.h"
#include "proxy/json_text.h"
#include "proxy/json_vector.h"

#define REFUSE(...) s_refuse(ctx, ctx_printf(ctx, __VA_ARGS__))

static err_t s_refuse(ctx_t *ctx, const char *why)
{
    return ctx_fail(ctx, ERR_REST_INSERT, "%s, error: %s", err_text(ERR_REST_INSERT), why);
}

static err_t s_no_memory(ctx_t *ctx, size_t bytes)
{
    return ctx_fail(ctx, ERR_MEMORY, "no memory for %zu bytes of rows: send fewer at once", bytes);
}

/* --- one value -------------------------------------------------------------------------- */

static bool s_whole(json_t *value, int64_t *ret)
{
    if (json_is_integer(value)) {
        *ret = json_integer_value(value);
        return true;
    }
    const char *text = json_string_value(value);
    char *end = NULL;
    errno = 0;
    long long parsed = text ? strtoll(text, &end, 10) : 0;
    *ret = parsed;
    return text && text[0] > ' ' && errno == 0 &&
           json_string_length(value) == (size_t)(end - text);
}

static bool s_real(json_t *value, double *ret)
{
    if (json_is_number(value)) {
        *ret = json_number_value(value);
        return true;
    }
    const char *text = json_string_value(value);
    char *end = NULL;
    *ret = text ? strtod(text, &end) : 0;
    return text && text[0] > ' ' && json_string_length(value) == (size_t)(end - text);
}

static bool s_truth(json_t *value, int *ret)
{
    static const struct { const char *text; int is; } s_words[] = {
        { "true", 1 }, { "True", 1 }, { "TRUE", 1 }, { "t", 1 }, { "T", 1 }, { "1", 1 },
        { "false", 0 }, { "False", 0 }, { "FALSE", 0 }, { "f", 0 }, { "F", 0 }, { "0", 0 },
    };
    *ret = json_is_true(value);
    if (json_is_boolean(value))
        return true;
    const char *text = json_string_value(value);
    for (size_t i = 0; text && i < ARRAY_LEN(s_words); i++)
        if (strcmp(text, s_words[i].text) == 0) {
            *ret = s_words[i].is;
            return true;
        }
    return false;
}

static int s_add(const char *text, size_t len, void *into)
{
    buf_add(into, text, len);
    return buf_ok(into) ? 0 : -1;
}

/* A value as JSON text in the arena. */
static err_t s_dump(ctx_t *ctx, json_t *value, ProtobufCBinaryData *ret)
{
    buf_scoped text = {0};
    view_t copy;
    if (json_dump_callback(value, s_add, &text, JSON_COMPACT | JSON_ENCODE_ANY) != 0)
        return s_no_memory(ctx, text.len);
    TRY(ctx_copy(ctx, buf_view(&text), &copy));
    *ret = (ProtobufCBinaryData){ copy.len, (uint8_t *)(uintptr_t)copy.ptr };
    return OK;
}

/* Milvus's words for a value that is not of a field's type. */
static err_t s_mistyped(ctx_t *ctx, type_t type, json_t *value)
{
    ProtobufCBinaryData text;
    TRY(s_dump(ctx, value, &text));
    return REFUSE("cannot use it as %s: invalid parameter[expected=%s][actual=%.64s]",
                  type_name(type), type_name(type), (const char *)text.data);
}

/* What stands in the string, or the text of another value: borrowed or in the arena. */
static err_t s_text(ctx_t *ctx, json_t *value, ProtobufCBinaryData *ret)
{
    if (!json_is_string(value))
        return s_dump(ctx, value, ret);
    *ret = (ProtobufCBinaryData){ json_string_length(value),
                                  (uint8_t *)(uintptr_t)json_string_value(value) };
    return OK;
}

/* JSON in a string is JSON; any other string is a string. */
static err_t s_json(ctx_t *ctx, json_t *value, ProtobufCBinaryData *ret)
{
    char why[JSON_WHY_BYTES];
    TRY(s_text(ctx, value, ret));
    if (json_is_string(value) && json_text_check(view_of(ret->data, ret->len), NULL, NULL, why))
        return s_dump(ctx, value, ret);
    return OK;
}

/* --- lists of values -------------------------------------------------------------------- */

/* Room for n elements of a field's message, and their count, which goes up as they come. */
typedef struct list {
    ctx_t *ctx;
    type_t type;
    size_t *n;
    void *data;
} list_t;

#define LIST(member, kind, init, element) \
    do { \
        kind *list_ = ctx_new(ctx, sizeof *list_); \
        init(list_); \
        list_->data = ctx_try(ctx, (n + 1) * sizeof(element)); \
        if (!list_->data) \
            return s_no_memory(ctx, n * sizeof(element)); \
        into->member = list_; \
        *ret = (list_t){ ctx, type, &list_->n_data, list_->data }; \
    } while (0)

static err_t s_list(ctx_t *ctx, Schema__ScalarField *into, type_t type, size_t n, list_t *ret)
{
    schema__scalar_field__init(into);
    switch ((int)type) {
    case TYPE_BOOL:
        into->data_case = SCHEMA__SCALAR_FIELD__DATA_BOOL_DATA;
        LIST(bool_data, Schema__BoolArray, schema__bool_array__init, protobuf_c_boolean);
        break;
    case TYPE_INT8: case TYPE_INT16: case TYPE_INT32:
        into->data_case = SCHEMA__SCALAR_FIELD__DATA_INT_DATA;
        LIST(int_data, Schema__IntArray, schema__int_array__init, int32_t);
        break;
    case TYPE_INT64:
        into->data_case = SCHEMA__SCALAR_FIELD__DATA_LONG_DATA;
        LIST(long_data, Schema__LongArray, schema__long_array__init, int64_t);
        break;
    case TYPE_FLOAT:
        into->data_case = SCHEMA__SCALAR_FIELD__DATA_FLOAT_DATA;
        LIST(float_data, Schema__FloatArray, schema__float_array__init, float);
        break;
    case TYPE_DOUBLE:
        into->data_case = SCHEMA__SCALAR_FIELD__DATA_DOUBLE_DATA;
        LIST(double_data, Schema__DoubleArray, schema__double_array__init, double);
        break;
    case TYPE_VARCHAR:
        into->data_case = SCHEMA__SCALAR_FIELD__DATA_STRING_DATA;
        LIST(string_data, Schema__StringArray, schema__string_array__init, ProtobufCBinaryData);
        break;
    case TYPE_JSON:
        into->data_case = SCHEMA__SCALAR_FIELD__DATA_JSON_DATA;
        LIST(json_data, Schema__JSONArray, schema__jsonarray__init, ProtobufCBinaryData);
        break;
    default:
        check(type == TYPE_ARRAY);
        into->data_case = SCHEMA__SCALAR_FIELD__DATA_ARRAY_DATA;
        LIST(array_data, Schema__ArrayArray, schema__array_array__init, Schema__ScalarField *);
        break;
    }
    return OK;
}

static err_t s_add_whole(list_t *list, json_t *value)
{
    ctx_t *ctx = list->ctx;
    int64_t whole = 0;
    if (!s_whole(value, &whole))
        return s_mistyped(ctx, list->type, value);
    if (list->type == TYPE_INT64) {
        ((int64_t *)list->data)[(*list->n)++] = whole;
        return OK;
    }
    if (whole < INT32_MIN || whole > INT32_MAX)
        return s_mistyped(ctx, list->type, value);
    ((int32_t *)list->data)[(*list->n)++] = (int32_t)whole;
    return OK;
}

static err_t s_add_real(list_t *list, json_t *value)
{
    double real = 0;
    if (!s_real(value, &real))
        return s_mistyped(list->ctx, list->type, value);
    if (list->type == TYPE_FLOAT)
        ((float *)list->data)[(*list->n)++] = (float)real;
    else
        ((double *)list->data)[(*list->n)++] = real;
    return OK;
}

static err_t s_add_truth(list_t *list, json_t *value)
{
    int truth = 0;
    if (!s_truth(value, &truth))
        return s_mistyped(list->ctx, list->type, value);
    ((protobuf_c_boolean *)list->data)[(*list->n)++] = truth;
    return OK;
}

/* Everything but arrays. */
static err_t s_add_scalar(list_t *list, json_t *value)
{
    switch ((int)list->type) {
    case TYPE_BOOL:
        return s_add_truth(list, value);
    case TYPE_INT8: case TYPE_INT16: case TYPE_INT32: case TYPE_INT64:
        return s_add_whole(list, value);
    case TYPE_FLOAT: case TYPE_DOUBLE:
        return s_add_real(list, value);
    case TYPE_VARCHAR:
        return s_text(list->ctx, value, (ProtobufCBinaryData *)list->data + (*list->n)++);
    default:
        check(list->type == TYPE_JSON);
        return s_json(list->ctx, value, (ProtobufCBinaryData *)list->data + (*list->n)++);
    }
}

static err_t s_add_array(list_t *list, type_t element, json_t *value)
{
    ctx_t *ctx = list->ctx;
    if (!json_is_array(value))
        return s_mistyped(ctx, list->type, value);
    Schema__ScalarField *row = ctx_try(ctx, sizeof *row);
    if (!row)
        return s_no_memory(ctx, sizeof *row);
    list_t elements;
    TRY(s_list(ctx, row, element, json_array_size(value), &elements));
    for (size_t i = 0; i < json_array_size(value); i++)
        TRY(s_add_scalar(&elements, json_array_get(value, i)));
    ((Schema__ScalarField **)list->data)[(*list->n)++] = row;
    return OK;
}

/* --- a field of all rows ---------------------------------------------------------------- */

typedef struct source {
    json_t *data;               /* an array, or the only row */
    size_t n;
} source_t;

static json_t *s_row(const source_t *source, size_t i)
{
    return json_is_array(source->data) ? json_array_get(source->data, i) : source->data;
}

/* The row's value of a field; NULL, and taken down as such, when it has none. */
static err_t s_value(ctx_t *ctx, const source_t *source, const field_t *field, size_t i,
                     Schema__FieldData *data, json_t **ret)
{
    json_t *value = json_object_get(s_row(source, i), field->name);
    bool null = !value || json_is_null(value);
    if (data->valid_data)
        data->valid_data[i] = !null;
    if (null && !data->valid_data && type_is_vector(field->type))
        return REFUSE("missing vector field: %s: invalid parameter", field->name);
    if (null && !data->valid_data)
        return REFUSE("row %zu does not has field %s", i, field->name);
    *ret = null ? NULL : value;
    return OK;
}

static err_t s_scalars(ctx_t *ctx, const source_t *source, const field_t *field,
                       Schema__FieldData *data)
{
    data->field_case = SCHEMA__FIELD_DATA__FIELD_SCALARS;
    data->scalars = ctx_new(ctx, sizeof *data->scalars);
    list_t list;
    TRY(s_list(ctx, data->scalars, field->type, source->n, &list));
    for (size_t i = 0; i < source->n; i++) {
        json_t *value = NULL;
        TRY(s_value(ctx, source, field, i, data, &value));
        if (value && field->type == TYPE_ARRAY)
            TRY(s_add_array(&list, field->element, value));
        else if (value)
            TRY(s_add_scalar(&list, value));
    }
    return OK;
}

static err_t s_set_bytes(ctx_t *ctx, const field_t *field, const buf_t *cells,
                         Schema__VectorField *vectors)
{
    static const struct { type_t type; Schema__VectorField__DataCase member; } s_members[] = {
        { TYPE_BINARY_VECTOR, SCHEMA__VECTOR_FIELD__DATA_BINARY_VECTOR },
        { TYPE_FLOAT16_VECTOR, SCHEMA__VECTOR_FIELD__DATA_FLOAT16_VECTOR },
        { TYPE_BFLOAT16_VECTOR, SCHEMA__VECTOR_FIELD__DATA_BFLOAT16_VECTOR },
        { TYPE_INT8_VECTOR, SCHEMA__VECTOR_FIELD__DATA_INT8_VECTOR },
    };
    view_t copy;
    TRY(ctx_copy(ctx, buf_view(cells), &copy));
    if (field->type == TYPE_FLOAT_VECTOR) {
        vectors->data_case = SCHEMA__VECTOR_FIELD__DATA_FLOAT_VECTOR;
        vectors->float_vector = ctx_new(ctx, sizeof *vectors->float_vector);
        schema__float_array__init(vectors->float_vector);
        vectors->float_vector->n_data = copy.len / sizeof(float);
        vectors->float_vector->data = (float *)(uintptr_t)copy.ptr;
        return OK;
    }
    for (size_t i = 0; i < ARRAY_LEN(s_members); i++)
        if (s_members[i].type == field->type)
            vectors->data_case = s_members[i].member;
    vectors->binary_vector = (ProtobufCBinaryData){ copy.len, (uint8_t *)(uintptr_t)copy.ptr };
    return OK;
}

static err_t s_set_sparse(ctx_t *ctx, const buf_t *cells, const uint64_t *ends, size_t n,
                          Schema__VectorField *vectors)
{
    view_t copy;
    TRY(ctx_copy(ctx, buf_view(cells), &copy));
    Schema__SparseFloatArray *list = ctx_new(ctx, sizeof *list);
    schema__sparse_float_array__init(list);
    list->contents = ctx_try(ctx, (n + 1) * sizeof *list->contents);
    if (!list->contents)
        return s_no_memory(ctx, n * sizeof *list->contents);
    for (uint64_t at = 0; list->n_contents < n; at = ends[list->n_contents++])
        list->contents[list->n_contents] = (ProtobufCBinaryData){
            ends[list->n_contents] - at, (uint8_t *)(uintptr_t)copy.ptr + at };
    vectors->data_case = SCHEMA__VECTOR_FIELD__DATA_SPARSE_FLOAT_VECTOR;
    vectors->sparse_float_vector = list;
    return OK;
}

/* json_vector says what is wrong; here is said where it was. */
static err_t s_vectors(ctx_t *ctx, const source_t *source, const field_t *field,
                       Schema__FieldData *data)
{
    data->field_case = SCHEMA__FIELD_DATA__FIELD_VECTORS;
    data->vectors = ctx_new(ctx, sizeof *data->vectors);
    schema__vector_field__init(data->vectors);
    data->vectors->dim = field->dim;
    uint64_t *ends = ctx_try(ctx, (source->n + 1) * sizeof *ends);
    if (!ends)
        return s_no_memory(ctx, source->n * sizeof *ends);
    buf_scoped cells = {0};
    for (size_t i = 0; i < source->n; i++) {
        json_t *value = NULL;
        TRY(s_value(ctx, source, field, i, data, &value));
        err_t err = json_vector(ctx, field, value, &cells);
        if (err == ERR_PARAM_INVALID)
            return s_refuse(ctx, ctx_strdup(ctx, ctx->text));
        TRY(err);
        ends[i] = cells.len;
    }
    if (field->type == TYPE_SPARSE_VECTOR)
        return s_set_sparse(ctx, &cells, ends, source->n, data->vectors);
    return s_set_bytes(ctx, field, &cells, data->vectors);
}

/* --- the dynamic field ------------------------------------------------------------------ */

static bool s_is_field(const schema_t *schema, const char *name)
{
    const field_t *field = schema_by_name(schema, name);
    return field && !field->dynamic;
}

/* All other members of a row. */
static err_t s_others(ctx_t *ctx, json_t *row, const schema_t *schema, ProtobufCBinaryData *ret)
{
    json_t *others = json_object();
    const char *name = NULL;
    json_t *value = NULL;
    json_object_foreach(row, name, value)
        if (!s_is_field(schema, name) && !json_is_null(value))
            json_object_set(others, name, value);
    err_t err = s_dump(ctx, others, ret);
    json_decref(others);
    return err;
}

static err_t s_dynamic(ctx_t *ctx, const source_t *source, const schema_t *schema,
                       Schema__FieldData *data)
{
    list_t list;
    data->is_dynamic = true;
    data->field_case = SCHEMA__FIELD_DATA__FIELD_SCALARS;
    data->scalars = ctx_new(ctx, sizeof *data->scalars);
    TRY(s_list(ctx, data->scalars, TYPE_JSON, source->n, &list));
    for (size_t i = 0; i < source->n; i++)
        TRY(s_others(ctx, s_row(source, i), schema,
                     (ProtobufCBinaryData *)list.data + (*list.n)++));
    return OK;
}

/* --- all fields ------------------------------------------------------------------------- */

static err_t s_check_rows(ctx_t *ctx, const source_t *source, const schema_t *schema, bool upsert)
{
    const field_t *key = schema_pk(schema);
    for (size_t i = 0; i < source->n; i++) {
        json_t *row = s_row(source, i);
        if (!json_is_object(row))
            return REFUSE("a row has to be an object: invalid parameter[expected=JSON]");
        if (key->auto_id && !upsert && json_object_get(row, key->name))
            return REFUSE("set primary key but autoID == true: invalid parameter");
        const char *name = NULL;
        json_t *value = NULL;
        json_object_foreach(row, name, value)
            if (!schema_dynamic(schema) && !s_is_field(schema, name))
                return REFUSE("has pass more field without dynamic schema, please check it");
    }
    return OK;
}

static err_t s_field(ctx_t *ctx, const source_t *source, const schema_t *schema,
                     const field_t *field, Schema__FieldData **ret)
{
    Schema__FieldData *data = ctx_new(ctx, sizeof *data);
    schema__field_data__init(data);
    data->field_name = field->name;
    data->type = (Schema__DataType)field->type;
    *ret = data;
    if (field->dynamic)
        return s_dynamic(ctx, source, schema, data);
    if (field->nullable || field->has_default) {
        data->valid_data = ctx_try(ctx, source->n * sizeof *data->valid_data);
        if (!data->valid_data)
            return s_no_memory(ctx, source->n * sizeof *data->valid_data);
        data->n_valid_data = source->n;
    }
    return type_is_vector(field->type) ? s_vectors(ctx, source, field, data)
                                       : s_scalars(ctx, source, field, data);
}

err_t json_rows(ctx_t *ctx, json_t *data, const schema_t *schema, bool upsert,
                Schema__FieldData ***ret, size_t *ret_n, uint32_t *ret_rows)
{
    source_t source = { data, json_is_array(data) ? json_array_size(data) : 1 };
    TRY(s_check_rows(ctx, &source, schema, upsert));
    Schema__FieldData **fields = ctx_new(ctx, schema_len(schema) * sizeof *fields);
    size_t n = 0;
    for (size_t i = 0; i < schema_len(schema); i++) {
        const field_t *field = schema_at(schema, i);
        if (field->primary_key && field->auto_id && !upsert)
            continue;
        TRY(s_field(ctx, &source, schema, field, &fields[n++]));
    }
    *ret = fields;
    *ret_n = n;
    *ret_rows = (uint32_t)source.n;
    return OK;
}
