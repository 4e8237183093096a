/* search_args - see search_args.h */
#include "proxy/search_args.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>

#include "core/base/limits.h"
#include "core/catalog/catalog.h"
#include "proxy/rest.h"
#include "proxy/validate.h"

bool search_args_flag(Common__KeyValuePair *const *pairs, size_t n, const char *key)
{
    const char *text = validate_param(pairs, n, key);
    return text && catalog_true(text);
}

/* "" when it is not there. */
static const char *s_text(Common__KeyValuePair *const *pairs, size_t n, const char *key)
{
    const char *text = validate_param(pairs, n, key);
    return text ? text : "";
}

static err_t s_number(ctx_t *ctx, Common__KeyValuePair *const *pairs, size_t n, const char *key,
                      int64_t *ret)
{
    const char *text = validate_param(pairs, n, key);
    if (text && !validate_number(text, ret))
        return ctx_fail(ctx, ERR_UNEXPECTED, "%s [%s] is invalid", key, text);
    return OK;
}

/* --- how many ------------------------------------------------------------------------ */

static err_t s_topk(ctx_t *ctx, Common__KeyValuePair *const *pairs, size_t n, search_args_t *args)
{
    if (!validate_param(pairs, n, "topk"))
        return ctx_fail(ctx, ERR_UNEXPECTED, "topk not found in search_params");
    TRY(s_number(ctx, pairs, n, "topk", &args->topk));
    if (args->topk >= 1 && args->topk <= LIMIT_TOPK)
        return OK;
    if (!args->iterator)
        return ctx_fail(ctx, ERR_UNEXPECTED, "topk [%lld] is invalid, it should be in range "
                        "[1, %d], but got %lld", (long long)args->topk, LIMIT_TOPK,
                        (long long)args->topk);
    args->topk = LIMIT_TOPK;                    /* an iterator's page may be shorter than asked */
    return OK;
}

static err_t s_offset(ctx_t *ctx, Common__KeyValuePair *const *pairs, size_t n, search_args_t *args)
{
    TRY(s_number(ctx, pairs, n, "offset", &args->offset));
    if (args->offset < 0)
        return ctx_fail(ctx, ERR_UNEXPECTED, "offset [%lld] is invalid, should be gte than 0",
                        (long long)args->offset);
    if (args->offset > LIMIT_TOPK - args->topk)
        return ctx_fail(ctx, ERR_UNEXPECTED, "offset+topk [%lld] is invalid, (offset+limit) should "
                        "be in range [1, %d], but got %lld", (long long)(args->offset + args->topk),
                        LIMIT_TOPK, (long long)(args->offset + args->topk));
    return OK;
}

err_t search_args_window(ctx_t *ctx, Common__KeyValuePair *const *pairs, size_t n,
                         bool *ret_limited, int64_t *ret_limit, int64_t *ret_offset)
{
    int64_t limit = 0, offset = 0;
    *ret_limited = validate_param(pairs, n, "limit") != NULL;
    *ret_limit = *ret_offset = 0;
    if (!*ret_limited)
        return OK;
    TRY(s_number(ctx, pairs, n, "limit", &limit));
    TRY(s_number(ctx, pairs, n, "offset", &offset));
    const char *window = "invalid max query result window";
    if (offset < 0)
        return ctx_fail(ctx, ERR_UNEXPECTED, "%s, offset [%lld] is invalid, should be gte than 0",
                        window, (long long)offset);
    if (limit <= 0)
        return ctx_fail(ctx, ERR_UNEXPECTED, "%s, limit [%lld] is invalid, should be greater than "
                        "0", window, (long long)limit);
    if (offset > LIMIT_TOPK || limit > LIMIT_TOPK - offset)
        return ctx_fail(ctx, ERR_UNEXPECTED, "%s, (offset+limit) should be in range [1, %d], but "
                        "got %lld", window, LIMIT_TOPK,
                        (long long)((uint64_t)offset + (uint64_t)limit));
    *ret_limit = limit;
    *ret_offset = offset;
    return OK;
}

err_t search_args_decimals(ctx_t *ctx, Common__KeyValuePair *const *pairs, size_t n, int *ret)
{
    const char *text = validate_param(pairs, n, "round_decimal");
    int64_t decimals = -1;
    if (text && (!validate_number(text, &decimals) || decimals < -1 || decimals > 6))
        return ctx_fail(ctx, ERR_UNEXPECTED, "round_decimal [%s] is invalid, should be -1 or an "
                        "integer in range [0, 6]", text);
    *ret = (int)decimals;
    return OK;
}

/* --- params: the JSON object ------------------------------------------------------------ */

static err_t s_bound(ctx_t *ctx, json_t *params, const char *key, bool *ret_has, float *ret)
{
    json_t *value = json_object_get(params, key);
    if (!value)
        return OK;
    if (!json_is_number(value))
        return ctx_fail(ctx, ERR_UNEXPECTED, "search param %s has to be a number", key);
    *ret = (float)json_number_value(value);
    *ret_has = true;
    return OK;
}

static err_t s_params(ctx_t *ctx, const char *text, search_args_t *args)
{
    if (text[0] == '\0')
        return OK;
    json_t *params = NULL;
    if (rest_parse(ctx, view_str(text), &params) != OK)
        return ctx_fail(ctx, ERR_UNEXPECTED, "search params are no JSON object: %.200s", text);
    err_t err = s_bound(ctx, params, "radius", &args->has_radius, &args->radius);
    if (err == OK)
        err = s_bound(ctx, params, "range_filter", &args->has_range_filter, &args->range_filter);
    json_t *growing = json_object_get(params, "ignore_growing");
    const char *flag = json_string_value(growing);
    args->ignore_growing |= json_is_true(growing) || (flag && catalog_true(flag));
    json_decref(params);
    return err;
}

err_t search_args_range(ctx_t *ctx, search_args_t *args, const char *metric, bool descends)
{
    args->has_range_filter &= args->has_radius;         /* without a radius it does not count */
    bool empty = descends ? args->range_filter <= args->radius : args->range_filter >= args->radius;
    if (args->has_radius && args->has_range_filter && empty)
        return ctx_fail(ctx, ERR_SEGCORE, "metric type (%s), range_filter(%g) must be %s than "
                        "radius(%g)", metric, (double)args->range_filter,
                        descends ? "greater" : "less", (double)args->radius);
    if (!args->has_last_bound)
        return OK;
    float inner = nextafterf(args->last_bound, descends ? -INFINITY : INFINITY);
    bool nearer = descends ? args->range_filter < inner : args->range_filter > inner;
    if (!args->has_range_filter || !nearer)
        args->range_filter = inner;
    if (!args->has_radius)
        args->radius = descends ? -INFINITY : INFINITY;
    args->has_radius = args->has_range_filter = true;
    return OK;
}

/* --- groups and iterators ------------------------------------------------------------------ */

static err_t s_groups(ctx_t *ctx, Common__KeyValuePair *const *pairs, size_t n, search_args_t *args)
{
    args->group_field = s_text(pairs, n, "group_by_field");
    const char *several = s_text(pairs, n, "group_by_fields");
    if (args->group_field[0] == '\0')
        args->group_field = several;
    if (strchr(several, ','))
        return ctx_fail(ctx, ERR_PARAM_INVALID, "grouping by several fields is not supported: "
                        "invalid parameter");
    int64_t size = 1;
    TRY(s_number(ctx, pairs, n, "group_size", &size));
    if (size < 1 || size > LIMIT_ASKED_GROUP_SIZE)
        return ctx_fail(ctx, ERR_PARAM_INVALID, "input group size:%lld exceeds configured max "
                        "group size:%d: invalid parameter", (long long)size,
                        LIMIT_ASKED_GROUP_SIZE);
    args->group_size = (uint32_t)size;
    args->strict_group_size = search_args_flag(pairs, n, "strict_group_size");
    if (args->group_field[0] == '\0')
        return OK;
    if (args->iterator)
        return ctx_fail(ctx, ERR_PARAM_INVALID, "Not allowed to do groupBy when doing iteration: "
                        "invalid parameter[expected=][actual=]");
    if (args->has_radius)
        return ctx_fail(ctx, ERR_PARAM_INVALID, "Not allowed to do range-search when doing "
                        "search-group-by: invalid parameter[expected=][actual=]");
    return OK;
}

static err_t s_iterator(ctx_t *ctx, Common__KeyValuePair *const *pairs, size_t n,
                        search_args_t *args)
{
    TRY(s_number(ctx, pairs, n, "collection_id", &args->collection_id));
    args->iterator_v2 = search_args_flag(pairs, n, "search_iter_v2");
    if (!args->iterator_v2)
        return OK;
    args->batch_size = args->topk;
    TRY(s_number(ctx, pairs, n, "search_iter_batch_size", &args->batch_size));
    if (args->batch_size < 1 || args->batch_size > LIMIT_TOPK)
        return ctx_fail(ctx, ERR_PARAM_INVALID, "batch size [%lld] is invalid, it should be in "
                        "range [1, %d]: invalid parameter", (long long)args->batch_size,
                        LIMIT_TOPK);
    args->token = s_text(pairs, n, "search_iter_id");
    const char *bound = s_text(pairs, n, "search_iter_last_bound");
    char *end = NULL;
    if (bound[0] == '\0')
        return OK;
    args->last_bound = strtof(bound, &end);
    if (*end != '\0' || isnan(args->last_bound))
        return ctx_fail(ctx, ERR_PARAM_INVALID, "failed to parse input last bound: %s: invalid "
                        "parameter", bound);
    args->has_last_bound = true;
    return OK;
}

/* What newer clients may ask and nobody here does: an answer that ignored it would be wrong. */
static err_t s_refuse_unknown(ctx_t *ctx, Common__KeyValuePair *const *pairs, size_t n)
{
    static const char *const s_unknown[] = { "order_by_fields", "json_path", "json_type" };
    for (size_t i = 0; i < ARRAY_LEN(s_unknown); i++)
        if (s_text(pairs, n, s_unknown[i])[0])
            return ctx_fail(ctx, ERR_PARAM_INVALID, "search param %s is not supported: invalid "
                            "parameter", s_unknown[i]);
    return OK;
}

err_t search_args_read(ctx_t *ctx, Common__KeyValuePair *const *pairs, size_t n, bool part,
                       search_args_t *ret)
{
    search_args_t *args = ret;
    *args = (search_args_t){ .round_decimal = -1, .group_size = 1, .token = "" };
    args->iterator = search_args_flag(pairs, n, "iterator");
    TRY(s_refuse_unknown(ctx, pairs, n));
    TRY(s_topk(ctx, pairs, n, args));
    if (!part)
        TRY(s_offset(ctx, pairs, n, args));
    args->anns_field = s_text(pairs, n, "anns_field");
    args->metric = s_text(pairs, n, "metric_type");
    args->ignore_growing = search_args_flag(pairs, n, "ignore_growing");
    TRY(search_args_decimals(ctx, pairs, n, &args->round_decimal));
    TRY(s_params(ctx, s_text(pairs, n, "params"), args));
    TRY(s_iterator(ctx, pairs, n, args));
    return s_groups(ctx, pairs, n, args);
}
