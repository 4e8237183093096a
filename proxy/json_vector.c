/* json_vector - see json_vector.h */
#include "proxy/json_vector.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>

#include "core/base/vec.h"
#include "core/schema/column.h"
#include "core/simd/half.h"

static err_t s_none(ctx_t *ctx, const field_t *field)
{
    return ctx_fail(ctx, ERR_PARAM_INVALID, "field %s: this is no %s: invalid parameter",
                    field->name, type_name(field->type));
}

/* --- dense ------------------------------------------------------------------------------ */

static err_t s_base64(ctx_t *ctx, const field_t *field, json_t *value, buf_t *into)
{
    size_t width = type_width(field->type, field->dim), len = 0;
    uint8_t *room = buf_reserve(into, width + 1);
    if (!room)
        return ctx_fail(ctx, ERR_MEMORY, "memory limit exceeded: a vector of %zu bytes", width);
    if (sodium_base642bin(room, width + 1, json_string_value(value), json_string_length(value),
                          NULL, &len, NULL, sodium_base64_VARIANT_ORIGINAL) != 0)
        return s_none(ctx, field);
    if (len != width)
        return ctx_fail(ctx, ERR_PARAM_INVALID, "dimension: %d, but length of bytes is: %zu: "
                        "invalid parameter[expected=%s][actual=%zu bytes]", field->dim, len,
                        type_name(field->type), len);
    into->len += width;
    return OK;
}

static bool s_add_whole(json_t *number, int64_t low, int64_t high, buf_t *into)
{
    int64_t value = json_integer_value(number);
    buf_add_u8(into, (uint8_t)value);
    return json_is_integer(number) && value >= low && value <= high;
}

/* One number of a list; false when it is none that fits. */
static bool s_add_number(type_t type, json_t *number, buf_t *into)
{
    if (!json_is_number(number))
        return false;
    float x = (float)json_number_value(number);
    uint16_t half = type == TYPE_FLOAT16_VECTOR ? half_f16_from_f32(x) : half_bf16_from_f32(x);
    switch ((int)type) {
    case TYPE_FLOAT_VECTOR:
        buf_add(into, &x, sizeof x);
        return true;
    case TYPE_FLOAT16_VECTOR:
    case TYPE_BFLOAT16_VECTOR:
        buf_add(into, &half, sizeof half);
        return true;
    case TYPE_INT8_VECTOR:
        return s_add_whole(number, INT8_MIN, INT8_MAX, into);
    default:
        return s_add_whole(number, 0, UINT8_MAX, into);
    }
}

static err_t s_list(ctx_t *ctx, const field_t *field, json_t *value, buf_t *into)
{
    size_t n = json_array_size(value);
    size_t want = (size_t)field->dim / (field->type == TYPE_BINARY_VECTOR ? 8 : 1);
    if (n != want)
        return ctx_fail(ctx, ERR_PARAM_INVALID, "dimension: %d, but length of []float: %zu: "
                        "invalid parameter[expected=%s][actual=%zu values]", field->dim, n,
                        type_name(field->type), n);
    for (size_t i = 0; i < n; i++)
        if (!s_add_number(field->type, json_array_get(value, i), into))
            return s_none(ctx, field);
    return OK;
}

/* --- sparse ------------------------------------------------------------------------------- */

typedef struct pair { uint32_t index; float value; } pair_t;

static int s_cmp(const void *a, const void *b)
{
    const pair_t *x = a, *y = b;
    return (x->index > y->index) - (x->index < y->index);
}

static bool s_add_pair(json_int_t index, json_t *value, vec_t *pairs)
{
    pair_t pair = { .index = (uint32_t)index, .value = (float)json_number_value(value) };
    vec_push(pairs, &pair);
    return json_is_number(value) && index >= 0 && index < UINT32_MAX;
}

static bool s_by_lists(json_t *indices, json_t *values, vec_t *pairs)
{
    size_t n = json_array_size(indices);
    bool fits = json_is_array(indices) && json_is_array(values) && json_array_size(values) == n;
    for (size_t i = 0; fits && i < n; i++) {
        json_t *index = json_array_get(indices, i);
        fits = json_is_integer(index) &&
               s_add_pair(json_integer_value(index), json_array_get(values, i), pairs);
    }
    return fits;
}

static bool s_by_keys(json_t *object, vec_t *pairs)
{
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(object, key, value) {
        char *end = NULL;
        errno = 0;
        long long index = strtoll(key, &end, 10);
        if (key[0] == '\0' || *end != '\0' || errno != 0 || !s_add_pair(index, value, pairs))
            return false;
    }
    return true;
}

static err_t s_sparse(ctx_t *ctx, const field_t *field, json_t *object, buf_t *into)
{
    vec_scoped pairs;
    vec_init(&pairs, sizeof(pair_t));
    json_t *indices = json_object_get(object, "indices");
    json_t *values = json_object_get(object, "values");
    bool fits = json_is_object(object) && (indices ? s_by_lists(indices, values, &pairs)
                                                   : s_by_keys(object, &pairs));
    if (!fits)
        return s_none(ctx, field);
    if (pairs.len)
        qsort(pairs.ptr, pairs.len, sizeof(pair_t), s_cmp);
    buf_add(into, pairs.ptr, pairs.len * sizeof(pair_t));
    return OK;
}

/* --- all of them ----------------------------------------------------------------------------- */

err_t json_vector(ctx_t *ctx, const field_t *field, json_t *value, buf_t *into)
{
    _Static_assert(sizeof(pair_t) == 8, "a pair of a sparse cell");
    if (field->type == TYPE_SPARSE_VECTOR)
        TRY(s_sparse(ctx, field, value, into));
    else if (json_is_string(value) && field->type != TYPE_FLOAT_VECTOR)
        TRY(s_base64(ctx, field, value, into));
    else if (json_is_array(value))
        TRY(s_list(ctx, field, value, into));
    else
        return s_none(ctx, field);
    return buf_ok(into) ? OK : ctx_fail(ctx, ERR_MEMORY, "memory limit exceeded: a vector");
}
