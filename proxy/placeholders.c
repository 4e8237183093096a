/* placeholders - see placeholders.h */
#include "proxy/placeholders.h"

#include <math.h>

#include "common.pb-c.h"
#include "core/wire/pb.h"

static err_t s_unpack(ctx_t *ctx, view_t group, const Common__PlaceholderValue **ret)
{
    Common__PlaceholderGroup *message = NULL;
    if (wire_unpack_borrow(ctx, &common__placeholder_group__descriptor, group,
                           (ProtobufCMessage **)&message) != OK)
        return ctx_fail(ctx, ERR_PARAM_INVALID, "failed to parse the placeholder group: %s: "
                        "invalid parameter", ctx_strdup(ctx, ctx->text));
    *ret = message->n_placeholders ? message->placeholders[0] : NULL;
    return OK;
}

err_t placeholders_count(ctx_t *ctx, view_t group, size_t *ret)
{
    const Common__PlaceholderValue *value = NULL;
    TRY(s_unpack(ctx, group, &value));
    *ret = value ? value->n_values : 0;
    return OK;
}

/* segcore's names of vector types */
static const char *s_type_text(int type)
{
    switch (type) {
    case TYPE_BINARY_VECTOR:   return "VECTOR_BINARY";
    case TYPE_FLOAT_VECTOR:    return "VECTOR_FLOAT";
    case TYPE_FLOAT16_VECTOR:  return "VECTOR_FLOAT16";
    case TYPE_BFLOAT16_VECTOR: return "VECTOR_BFLOAT16";
    case TYPE_SPARSE_VECTOR:   return "VECTOR_SPARSE_FLOAT";
    case TYPE_INT8_VECTOR:     return "VECTOR_INT8";
    case TYPE_VARCHAR:         return "VARCHAR";
    default:                   return "NONE";
    }
}

static err_t s_check_sparse(ctx_t *ctx, view_t cell)
{
    if (cell.len % 8 != 0)
        return ctx_fail(ctx, ERR_UNEXPECTED, "invalid data length in sparse float vector: %zu",
                        cell.len);
    for (size_t at = 0; at < cell.len; at += 8) {
        uint32_t index = load_u32(cell.ptr + at);
        float value;
        memcpy(&value, cell.ptr + at + 4, sizeof value);
        if (at > 0 && index <= load_u32(cell.ptr + at - 8))
            return ctx_fail(ctx, ERR_UNEXPECTED,
                            "unsorted or same indices in sparse float vector");
        if (index == UINT32_MAX)
            return ctx_fail(ctx, ERR_UNEXPECTED, "invalid index in sparse float vector: must be "
                            "less than 2^32-1");
        if (!isfinite(value))
            return ctx_fail(ctx, ERR_UNEXPECTED, "value '%f' is not a number or infinity",
                            (double)value);
        if (value < 0)
            return ctx_fail(ctx, ERR_UNEXPECTED, "negative value in sparse float vector");
    }
    return OK;
}

static err_t s_check(ctx_t *ctx, const field_t *field, view_t cell)
{
    if (field->type == TYPE_SPARSE_VECTOR)
        return s_check_sparse(ctx, cell);
    size_t width = type_width(field->type, field->dim);
    if (cell.len != width)
        return ctx_fail(ctx, ERR_UNEXPECTED, "vector dimension mismatch, expected vector "
                        "size(byte) %zu, actual %zu.", width, cell.len);
    return OK;
}

err_t placeholders_read(ctx_t *ctx, view_t group, const field_t *field, size_t nq, buf_t *into)
{
    const Common__PlaceholderValue *value = NULL;
    TRY(s_unpack(ctx, group, &value));
    size_t n = value ? value->n_values : 0;
    if (n != nq)
        return ctx_fail(ctx, ERR_PARAM_INVALID, "nq [%zu] is invalid, the placeholder group has "
                        "%zu vectors: invalid parameter", nq, n);
    if (value && (int)value->type != (int)field->type)
        return ctx_fail(ctx, ERR_UNEXPECTED, "vector type must be the same, field %s - type %s, "
                        "search info type %s", field->name, s_type_text((int)field->type),
                        s_type_text((int)value->type));
    column_builder_t builder;
    column_builder_init(&builder, field);
    err_t err = OK;
    for (size_t i = 0; err == OK && i < n; i++) {
        view_t cell = view_of(value->values[i].data, value->values[i].len);
        err = s_check(ctx, field, cell);
        if (err == OK)
            column_builder_add(&builder, cell);
    }
    column_t column = column_builder_view(&builder);
    if (err == OK && column_builder_ok(&builder))
        column_write(&column, into);
    if (err == OK && (!column_builder_ok(&builder) || !buf_ok(into)))
        err = ctx_fail(ctx, ERR_MEMORY, "memory limit exceeded: %zu query vectors", n);
    column_builder_fini(&builder);
    return err;
}
