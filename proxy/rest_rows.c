/* rest_rows - see rest_rows.h */
#include "proxy/rest_rows.h"

#include <ctype.h>
#include <math.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

/* --- values ------------------------------------------------------------------------------ */

void rest_rows_quote(buf_t *into, view_t text)
{
    buf_add_u8(into, '"');
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        if (c == '"' || c == '\\')
            buf_addf(into, "\\%c", c);
        else if (c == '\n')
            buf_add_str(into, "\\n");
        else if (c < 0x20)
            buf_addf(into, "\\u%04x", c);
        else
            buf_add_u8(into, c);
    }
    buf_add_u8(into, '"');
}

/* The fewest digits that read back as the same number. */
static void s_float(buf_t *into, float x)
{
    char text[32];
    for (int digits = 6; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)x);
        if (strtof(text, NULL) == x)
            break;
    }
    buf_add_str(into, isfinite(x) ? text : "null");
}

static void s_double(buf_t *into, double x)
{
    char text[32];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, x);
        if (strtod(text, NULL) == x)
            break;
    }
    buf_add_str(into, isfinite(x) ? text : "null");
}

static void s_base64(buf_t *into, const uint8_t *bytes, size_t len)
{
    size_t room = sodium_base64_ENCODED_LEN(len, sodium_base64_VARIANT_ORIGINAL);
    buf_add_u8(into, '"');
    uint8_t *text = buf_reserve(into, room);
    if (text) {
        sodium_bin2base64((char *)text, room, bytes, len, sodium_base64_VARIANT_ORIGINAL);
        into->len += room - 1;                  /* without the NUL */
    }
    buf_add_u8(into, '"');
}

static view_t s_view(ProtobufCBinaryData bytes)
{
    return view_of(bytes.data, bytes.len);
}

/* --- scalars -------------------------------------------------------------------------------- */

static void s_scalar(buf_t *into, const Schema__ScalarField *field, size_t i);

static size_t s_len(const Schema__ScalarField *field)
{
    switch ((int)field->data_case) {
    case SCHEMA__SCALAR_FIELD__DATA_BOOL_DATA:   return field->bool_data->n_data;
    case SCHEMA__SCALAR_FIELD__DATA_INT_DATA:    return field->int_data->n_data;
    case SCHEMA__SCALAR_FIELD__DATA_LONG_DATA:   return field->long_data->n_data;
    case SCHEMA__SCALAR_FIELD__DATA_FLOAT_DATA:  return field->float_data->n_data;
    case SCHEMA__SCALAR_FIELD__DATA_DOUBLE_DATA: return field->double_data->n_data;
    case SCHEMA__SCALAR_FIELD__DATA_STRING_DATA: return field->string_data->n_data;
    case SCHEMA__SCALAR_FIELD__DATA_JSON_DATA:   return field->json_data->n_data;
    case SCHEMA__SCALAR_FIELD__DATA_ARRAY_DATA:  return field->array_data->n_data;
    default:                                     return 0;
    }
}

/* Arrays hold no arrays, so this goes one level down and no further. */
static void s_array(buf_t *into, const Schema__ScalarField *array)
{
    size_t n = s_len(array);
    buf_add_u8(into, '[');
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buf_add_u8(into, ',');
        s_scalar(into, array, i);
    }
    buf_add_u8(into, ']');
}

static void s_scalar(buf_t *into, const Schema__ScalarField *field, size_t i)
{
    switch ((int)field->data_case) {
    case SCHEMA__SCALAR_FIELD__DATA_BOOL_DATA:
        buf_add_str(into, field->bool_data->data[i] ? "true" : "false");
        break;
    case SCHEMA__SCALAR_FIELD__DATA_INT_DATA:
        buf_addf(into, "%d", field->int_data->data[i]);
        break;
    case SCHEMA__SCALAR_FIELD__DATA_LONG_DATA:
        buf_addf(into, "%lld", (long long)field->long_data->data[i]);
        break;
    case SCHEMA__SCALAR_FIELD__DATA_FLOAT_DATA:
        s_float(into, field->float_data->data[i]);
        break;
    case SCHEMA__SCALAR_FIELD__DATA_DOUBLE_DATA:
        s_double(into, field->double_data->data[i]);
        break;
    case SCHEMA__SCALAR_FIELD__DATA_STRING_DATA:
        rest_rows_quote(into, s_view(field->string_data->data[i]));
        break;
    case SCHEMA__SCALAR_FIELD__DATA_JSON_DATA:
        rest_rows_quote(into, s_view(field->json_data->data[i]));
        break;
    case SCHEMA__SCALAR_FIELD__DATA_ARRAY_DATA:
        s_array(into, field->array_data->data[i]);
        break;
    default:
        buf_add_str(into, "null");
    }
}

/* --- vectors -------------------------------------------------------------------------------- */

static void s_sparse(buf_t *into, view_t cell)
{
    buf_add_u8(into, '{');
    for (size_t at = 0; at + 8 <= cell.len; at += 8) {
        float value;
        memcpy(&value, cell.ptr + at + 4, sizeof value);
        buf_addf(into, "%s\"%u\":", at ? "," : "", load_u32(cell.ptr + at));
        s_float(into, value);
    }
    buf_add_u8(into, '}');
}

static void s_bytes(buf_t *into, ProtobufCBinaryData all, size_t width, size_t i)
{
    s_base64(into, all.data + i * width, width);
}

static void s_floats(buf_t *into, const Schema__FloatArray *all, size_t dim, size_t i)
{
    buf_add_u8(into, '[');
    for (size_t k = 0; k < dim; k++) {
        if (k > 0)
            buf_add_u8(into, ',');
        s_float(into, all->data[i * dim + k]);
    }
    buf_add_u8(into, ']');
}

static void s_vector(buf_t *into, const Schema__VectorField *field, size_t i)
{
    size_t dim = (size_t)field->dim;
    switch ((int)field->data_case) {
    case SCHEMA__VECTOR_FIELD__DATA_FLOAT_VECTOR:
        s_floats(into, field->float_vector, dim, i);
        break;
    case SCHEMA__VECTOR_FIELD__DATA_BINARY_VECTOR:
        s_bytes(into, field->binary_vector, dim / 8, i);
        break;
    case SCHEMA__VECTOR_FIELD__DATA_FLOAT16_VECTOR:
        s_bytes(into, field->float16_vector, dim * 2, i);
        break;
    case SCHEMA__VECTOR_FIELD__DATA_BFLOAT16_VECTOR:
        s_bytes(into, field->bfloat16_vector, dim * 2, i);
        break;
    case SCHEMA__VECTOR_FIELD__DATA_INT8_VECTOR:
        s_bytes(into, field->int8_vector, dim, i);
        break;
    case SCHEMA__VECTOR_FIELD__DATA_SPARSE_FLOAT_VECTOR:
        s_sparse(into, s_view(field->sparse_float_vector->contents[i]));
        break;
    default:
        buf_add_str(into, "null");
    }
}

/* --- rows ------------------------------------------------------------------------------------- */

static void s_name(buf_t *into, const char *name, bool *first)
{
    if (!*first)
        buf_add_u8(into, ',');
    *first = false;
    rest_rows_quote(into, view_str(name));
    buf_add_u8(into, ':');
}

/* The members of an object, without its brackets. */
static void s_members(buf_t *into, view_t object, bool *first)
{
    while (object.len && isspace(object.ptr[0]))
        object = view_of(object.ptr + 1, object.len - 1);
    while (object.len && isspace(object.ptr[object.len - 1]))
        object.len--;
    if (object.len < 2 || object.ptr[0] != '{' || object.ptr[object.len - 1] != '}')
        return;
    view_t inner = view_of(object.ptr + 1, object.len - 2);
    size_t blank = 0;
    while (blank < inner.len && isspace(inner.ptr[blank]))
        blank++;
    if (blank == inner.len)
        return;
    if (!*first)
        buf_add_u8(into, ',');
    *first = false;
    buf_add_view(into, inner);
}

/* place: of the row among the vectors that are not null */
static void s_cell(buf_t *into, const Schema__FieldData *field, size_t row, size_t place,
                   bool *first)
{
    if (field->is_dynamic) {
        s_members(into, s_view(field->scalars->json_data->data[row]), first);
        return;
    }
    s_name(into, field->field_name, first);
    if (field->n_valid_data && !field->valid_data[row])
        buf_add_str(into, "null");
    else if (field->field_case == SCHEMA__FIELD_DATA__FIELD_VECTORS)
        s_vector(into, field->vectors, place);
    else
        s_scalar(into, field->scalars, row);
}

typedef struct rows {
    Schema__FieldData *const *fields;
    size_t n_fields;
    size_t *places;             /* [n_fields] vectors so far */
} rows_t;

static void s_row(buf_t *into, rows_t *rows, size_t row, bool *first)
{
    for (size_t i = 0; i < rows->n_fields; i++) {
        const Schema__FieldData *field = rows->fields[i];
        s_cell(into, field, row, rows->places[i], first);
        rows->places[i] += !field->n_valid_data || field->valid_data[row];
    }
}

static void s_begin(buf_t *into)
{
    buf_add_str(into, "{\"code\":0,\"cost\":0,\"data\":[");
}

static size_t s_n_rows(const Schema__FieldData *field)
{
    if (field->field_case == SCHEMA__FIELD_DATA__FIELD_SCALARS)
        return s_len(field->scalars);
    return 0;
}

/* A query's answer has the primary key, or the count, as a scalar; so its rows can be told. */
void rest_rows_query(const ProtobufCMessage *message, buf_t *into)
{
    const Milvus__QueryResults *response = (const void *)message;
    size_t n = 0;
    for (size_t i = 0; i < response->n_fields_data; i++)
        if (s_n_rows(response->fields_data[i]) > n)
            n = s_n_rows(response->fields_data[i]);
    rows_t rows = { .fields = response->fields_data, .n_fields = response->n_fields_data,
                    .places = mem_new((response->n_fields_data + 1) * sizeof(size_t)) };
    s_begin(into);
    for (size_t row = 0; row < n; row++) {
        bool first = true;
        buf_add_str(into, row ? ",{" : "{");
        s_row(into, &rows, row, &first);
        buf_add_u8(into, '}');
    }
    buf_add_str(into, "]}");
    mem_free(rows.places);
}

static void s_pk(buf_t *into, const Schema__IDs *ids, size_t row)
{
    if (ids->id_field_case == SCHEMA__IDS__ID_FIELD_INT_ID)
        buf_addf(into, "%lld", (long long)ids->int_id->data[row]);
    else
        rest_rows_quote(into, s_view(ids->str_id->data[row]));
}

/* Is the primary key among the output fields?  Then it comes from there. */
static bool s_has_pk(const Schema__SearchResultData *data)
{
    for (size_t i = 0; i < data->n_fields_data; i++)
        if (strcmp(data->fields_data[i]->field_name, data->primary_field_name) == 0)
            return true;
    return false;
}

static void s_topks(buf_t *into, const Schema__SearchResultData *data)
{
    buf_add_str(into, "],\"topks\":[");
    for (size_t i = 0; i < data->n_topks; i++)
        buf_addf(into, "%s%lld", i ? "," : "", (long long)data->topks[i]);
    buf_add_str(into, "]}");
}

void rest_rows_search(const ProtobufCMessage *message, buf_t *into)
{
    const Milvus__SearchResults *response = (const void *)message;
    const Schema__SearchResultData *data = response->results;
    bool has_pk = s_has_pk(data);
    rows_t rows = { .fields = data->fields_data, .n_fields = data->n_fields_data,
                    .places = mem_new((data->n_fields_data + 1) * sizeof(size_t)) };
    s_begin(into);
    for (size_t row = 0; row < data->n_scores; row++) {
        bool first = true;
        buf_add_str(into, row ? ",{" : "{");
        s_name(into, "distance", &first);
        s_float(into, data->scores[row]);
        if (!has_pk) {
            s_name(into, data->primary_field_name, &first);
            s_pk(into, data->ids, row);
        }
        s_row(into, &rows, row, &first);
        buf_add_u8(into, '}');
    }
    s_topks(into, data);
    mem_free(rows.places);
}
