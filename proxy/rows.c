/* rows - see rows.h: which message belongs to which field, nulls, defaults, automatic keys */
#include <inttypes.h>
#include <stdio.h>

#include "core/base/limits.h"
#include "proxy/rows_int.h"

#define INVALID(...) ctx_fail(ctx, ERR_PARAM_INVALID, __VA_ARGS__)

enum { DECIMAL_BYTES = 20 };    /* of the longest uint64_t */

/* --- which message for which field ------------------------------------------------------ */

static bool s_is_given(const rows_input_t *in, const field_t *field)
{
    return !(field->primary_key && field->auto_id && in->kind == ROWS_INSERT);
}

static err_t s_assign(ctx_t *ctx, const rows_input_t *in, const Schema__FieldData **by_field,
                      size_t *ret_unknown)
{
    const field_t *dynamic = schema_dynamic(in->schema);
    size_t unknown = 0;
    for (size_t i = 0; i < in->n_data; i++) {
        const Schema__FieldData *data = in->data[i];
        const field_t *field =
            data->is_dynamic ? dynamic : schema_by_name(in->schema, data->field_name);
        if (data->is_dynamic && !dynamic)
            return ctx_fail(ctx, ERR_UNEXPECTED, "without dynamic schema enabled, the field name "
                            "cannot be set to $meta");
        unknown += !field;
        if (!field)
            continue;
        const Schema__FieldData **slot = &by_field[schema_index(in->schema, field)];
        if (*slot)
            return INVALID("The FieldDatas parameter being passed contains duplicate data for "
                           "field %s: invalid parameter", field->name);
        *slot = data;
    }
    *ret_unknown = unknown;
    return OK;
}

static err_t s_check_given(ctx_t *ctx, const rows_input_t *in,
                           const Schema__FieldData *const *by_field, size_t unknown)
{
    size_t n = schema_len(in->schema);
    for (size_t i = 0; i < n; i++) {
        const field_t *field = schema_at(in->schema, i);
        bool may_miss = field->nullable || field->has_default || field->dynamic;
        if (by_field[i] && !s_is_given(in, field))
            return INVALID("can not assign primary field data when auto id enabled %s: invalid "
                           "parameter", field->name);
        if (by_field[i] || may_miss || !s_is_given(in, field))
            continue;
        if (field->primary_key && in->kind == ROWS_UPSERT)
            return INVALID("must assign pk when upsert, primary field: %s: invalid parameter",
                           field->name);
        return INVALID("fieldSchema(%s) has no corresponding fieldData pass in: invalid parameter",
                       field->name);
    }
    if (unknown > 0)
        return INVALID("more fieldData has pass in: invalid parameter[expected=%zu][actual=%zu]",
                       n, n + unknown);
    return OK;
}

/* --- nulls and defaults ----------------------------------------------------------------- */

/* n times the same cell. */
static err_t s_repeat(ctx_t *ctx, const field_t *field, view_t cell, size_t n, column_t *ret)
{
    column_t c = { .type = field->type, .element = field->element, .n = n,
                   .width = type_width(field->type, field->dim) };
    check(c.width == 0 || c.width == cell.len);
    uint64_t *offsets = c.width ? NULL : rows_alloc(ctx, n + 1, sizeof *offsets);
    uint8_t *cells = c.width || offsets ? rows_alloc(ctx, n, cell.len) : NULL;
    if (!cells)
        return rows_no_memory(ctx, field->name, n * (cell.len + 8));
    for (size_t i = 0; i < n && cell.len > 0; i++)
        memcpy(cells + i * cell.len, cell.ptr, cell.len);
    for (size_t i = 0; offsets && i < n; i++)
        offsets[i + 1] = (i + 1) * cell.len;
    c.cells = cells;
    c.offsets = offsets;
    *ret = c;
    return OK;
}

/* What stands in a cell that has no value: the default, or a null's zeros. */
static view_t s_filler(ctx_t *ctx, const field_t *field)
{
    if (field->has_default)
        return field->default_value;
    if (field->dynamic)
        return view_str("{}");
    size_t width = type_width(field->type, field->dim);
    return view_of(width ? ctx_new(ctx, width) : "", width);
}

static bool s_fills_with_null(const field_t *field)
{
    return !field->has_default && !field->dynamic;
}

/* No message at all. */
static err_t s_missing(ctx_t *ctx, const field_t *field, size_t n, column_t *ret)
{
    TRY(s_repeat(ctx, field, s_filler(ctx, field), n, ret));
    if (!s_fills_with_null(field))
        return OK;
    ret->valid = rows_alloc(ctx, (n + 63) / 64, sizeof(uint64_t));
    return ret->valid ? OK : rows_no_memory(ctx, field->name, n / 8);
}

static size_t s_bytes_of_values(const column_t *values)
{
    return values->width ? values->n * values->width : (size_t)values->offsets[values->n];
}

/* Put the values where valid says, and the filler elsewhere. */
static err_t s_spread(ctx_t *ctx, const field_t *field, const Schema__FieldData *data,
                      const column_t *values, column_t *ret)
{
    size_t n = data->n_valid_data;
    view_t filler = s_filler(ctx, field);
    column_t c = *values;
    c.n = n;
    size_t total = s_bytes_of_values(values) + (n - values->n) * filler.len;
    uint64_t *valid = rows_alloc(ctx, (n + 63) / 64, sizeof *valid);
    uint64_t *offsets = valid ? rows_alloc(ctx, n + 1, sizeof *offsets) : NULL;
    uint8_t *cells = offsets ? rows_alloc(ctx, total, 1) : NULL;
    if (!cells)
        return rows_no_memory(ctx, field->name, total + (n + 1) * sizeof *offsets);
    for (size_t i = 0, from = 0, at = 0; i < n; i++) {
        view_t cell = data->valid_data[i] ? column_cell(values, from++) : filler;
        if (cell.len)
            memcpy(cells + at, cell.ptr, cell.len);
        offsets[i + 1] = at += cell.len;
        valid[i / 64] |= (uint64_t)(data->valid_data[i] != 0) << (i % 64);
    }
    c.cells = cells;
    c.offsets = c.width ? NULL : offsets;
    c.valid = s_fills_with_null(field) ? valid : NULL;
    *ret = c;
    return OK;
}

static err_t s_check_valid(ctx_t *ctx, const field_t *field, const Schema__FieldData *data,
                           size_t n_rows)
{
    size_t expected = field->nullable || field->has_default ? n_rows : 0;
    if (data->n_valid_data == 0 || data->n_valid_data == expected)
        return OK;
    return INVALID("the length of valid_data of field(%s) is wrong: invalid parameter"
                   "[expected=%zu][actual=%zu]", field->name, expected, data->n_valid_data);
}

/* One field's message as its column. */
static err_t s_field(ctx_t *ctx, const rows_input_t *in, const field_t *field,
                     const Schema__FieldData *data, column_t *ret)
{
    const schema_t *named = field->dynamic ? in->schema : NULL;
    TRY(s_check_valid(ctx, field, data, in->n_rows));
    size_t n_values = data->n_valid_data ? 0 : in->n_rows;
    for (size_t i = 0; i < data->n_valid_data; i++)
        n_values += data->valid_data[i] != 0;
    if (n_values == 0)
        return s_missing(ctx, field, in->n_rows, ret);
    column_t values;
    TRY(rows_values(ctx, field, data, n_values, named, &values));
    if (n_values < in->n_rows)
        return s_spread(ctx, field, data, &values, ret);
    *ret = values;
    return OK;
}

/* --- all of them ------------------------------------------------------------------------ */

static err_t s_fields(ctx_t *ctx, const rows_input_t *in, const Schema__FieldData *const *by_field,
                      rows_t *rows)
{
    const field_t *key = schema_pk(in->schema);
    size_t n = schema_len(in->schema);
    rows->numbered = !key->auto_id;
    for (size_t i = 0; i < n; i++)              /* these show that n_rows is true … */
        if (by_field[i])
            TRY(s_field(ctx, in, schema_at(in->schema, i), by_field[i], &rows->columns[i]));
    for (size_t i = 0; i < n; i++)              /* … before so many are made up */
        if (!by_field[i] && schema_at(in->schema, i) != key)
            TRY(s_missing(ctx, schema_at(in->schema, i), in->n_rows, &rows->columns[i]));
    if (in->kind == ROWS_INSERT || !key->auto_id)
        return OK;
    column_t *replaced = ctx_new(ctx, sizeof *replaced);
    *replaced = rows->columns[schema_index(in->schema, key)];
    rows->replaced = replaced;
    return OK;
}

err_t rows_read(ctx_t *ctx, const rows_input_t *in, rows_t *ret)
{
    if (in->n_rows == 0)
        return INVALID("num_rows should be greater than 0: invalid parameter[expected=invalid "
                       "num_rows][actual=0]");
    size_t n_fields = schema_len(in->schema), unknown = 0;
    const Schema__FieldData **by_field = ctx_new(ctx, n_fields * sizeof *by_field);
    rows_t rows = { .n = in->n_rows, .columns = ctx_new(ctx, n_fields * sizeof *rows.columns) };
    TRY(s_assign(ctx, in, by_field, &unknown));
    TRY(s_check_given(ctx, in, by_field, unknown));
    TRY(s_fields(ctx, in, by_field, &rows));
    *ret = rows;
    return OK;
}

/* --- automatic keys --------------------------------------------------------------------- */

static err_t s_number_texts(ctx_t *ctx, uint64_t first, column_t *c)
{
    uint64_t *offsets = rows_alloc(ctx, c->n + 1, sizeof *offsets);
    char *cells = offsets ? rows_alloc(ctx, c->n + 1, DECIMAL_BYTES) : NULL;
    if (!cells)
        return rows_no_memory(ctx, "of automatic keys", c->n * (DECIMAL_BYTES + 8));
    for (size_t i = 0; i < c->n; i++) {
        int len = snprintf(cells + offsets[i], DECIMAL_BYTES + 1, "%" PRIu64, first + i);
        offsets[i + 1] = offsets[i] + (uint64_t)len;
    }
    c->cells = (const uint8_t *)cells;
    c->offsets = offsets;
    return OK;
}

err_t rows_number(ctx_t *ctx, const schema_t *schema, rows_t *rows, uint64_t first)
{
    const field_t *key = schema_pk(schema);
    check(key->auto_id && !rows->numbered);
    column_t c = { .type = key->type, .n = rows->n, .width = type_width(key->type, 0) };
    if (key->type == TYPE_VARCHAR) {
        TRY(s_number_texts(ctx, first, &c));
    } else {
        uint64_t *cells = rows_alloc(ctx, rows->n, sizeof *cells);
        if (!cells)
            return rows_no_memory(ctx, key->name, rows->n * sizeof *cells);
        for (size_t i = 0; i < rows->n; i++)
            cells[i] = first + i;
        c.cells = (const uint8_t *)cells;
    }
    rows->columns[schema_index(schema, key)] = c;
    rows->numbered = true;
    return OK;
}

/* --- some of them ----------------------------------------------------------------------- */

static void s_take_fixed(uint8_t *to, const column_t *from, const uint32_t *rows, size_t n)
{
    size_t width = from->width;
    if (width == 8) {
        for (size_t i = 0; i < n; i++)
            memcpy(to + i * 8, from->cells + rows[i] * (size_t)8, 8);
        return;
    }
    for (size_t i = 0; i < n; i++)
        memcpy(to + i * width, from->cells + rows[i] * width, width);
}

static err_t s_take_strings(ctx_t *ctx, const column_t *from, const uint32_t *rows, column_t *c)
{
    uint64_t *offsets = rows_alloc(ctx, c->n + 1, sizeof *offsets);
    if (!offsets)
        return rows_no_memory(ctx, "offsets", (c->n + 1) * sizeof *offsets);
    for (size_t i = 0; i < c->n; i++)
        offsets[i + 1] = offsets[i] + column_cell(from, rows[i]).len;
    uint8_t *cells = rows_alloc(ctx, offsets[c->n], 1);
    if (!cells)
        return rows_no_memory(ctx, "texts", offsets[c->n]);
    for (size_t i = 0; i < c->n; i++) {
        view_t cell = column_cell(from, rows[i]);
        if (cell.len)
            memcpy(cells + offsets[i], cell.ptr, cell.len);
    }
    c->cells = cells;
    c->offsets = offsets;
    return OK;
}

static err_t s_take_valid(ctx_t *ctx, const column_t *from, const uint32_t *rows, column_t *c)
{
    uint64_t *valid = rows_alloc(ctx, (c->n + 63) / 64, sizeof *valid);
    if (!valid)
        return rows_no_memory(ctx, "nulls", c->n / 8);
    for (size_t i = 0; i < c->n; i++)
        valid[i / 64] |= (uint64_t)!column_is_null(from, rows[i]) << (i % 64);
    c->valid = valid;
    return OK;
}

err_t rows_take(ctx_t *ctx, const column_t *from, const uint32_t *rows, size_t n, column_t *ret)
{
    if (!rows) {
        *ret = column_slice(from, 0, n);
        return OK;
    }
    column_t c = { .type = from->type, .element = from->element, .width = from->width, .n = n };
    if (c.width) {
        uint8_t *cells = rows_alloc(ctx, n, c.width);
        if (!cells)
            return rows_no_memory(ctx, "cells", n * c.width);
        s_take_fixed(cells, from, rows, n);
        c.cells = cells;
    } else {
        TRY(s_take_strings(ctx, from, rows, &c));
    }
    if (from->valid)
        TRY(s_take_valid(ctx, from, rows, &c));
    *ret = c;
    return OK;
}
