/* ranker - see ranker.h */
#include "proxy/ranker.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>

#include "core/base/limits.h"
#include "core/base/map.h"
#include "core/catalog/catalog.h"
#include "core/segment/segment.h"
#include "proxy/rest.h"
#include "proxy/search_args.h"
#include "proxy/validate.h"

enum { RRF_K = 60, RRF_MOST = 16384 };

/* --- parameters ----------------------------------------------------------------------- */

static err_t s_k(ctx_t *ctx, json_t *params, ranker_t *self)
{
    json_t *k = json_object_get(params, "k");
    if (!k)
        return ctx_fail(ctx, ERR_UNEXPECTED, "k not found in rank_params");
    if (!json_is_number(k))
        return ctx_fail(ctx, ERR_UNEXPECTED, "The type of rank param k should be float");
    self->k = (float)json_number_value(k);
    if (!(self->k > 0 && self->k < RRF_MOST))
        return ctx_fail(ctx, ERR_UNEXPECTED, "The rank params k should be in range (0, %d)",
                        RRF_MOST);
    return OK;
}

static err_t s_weight(ctx_t *ctx, json_t *weight, float *ret)
{
    if (!json_is_number(weight))
        return ctx_fail(ctx, ERR_UNEXPECTED, "The type of rank param weight should be float");
    double value = json_number_value(weight);
    if (!(value >= 0 && value <= 1))
        return ctx_fail(ctx, ERR_UNEXPECTED, "rank param weight should be in range [0, 1]");
    *ret = (float)value;
    return OK;
}

static err_t s_weights(ctx_t *ctx, json_t *params, size_t n_searches, ranker_t *self)
{
    json_t *weights = json_object_get(params, "weights");
    if (!weights)
        return ctx_fail(ctx, ERR_UNEXPECTED, "weights not found in rank_params");
    if (!json_is_array(weights))
        return ctx_fail(ctx, ERR_UNEXPECTED, "The weights param should be an array");
    size_t n = json_array_size(weights);
    self->weights = ctx_new(ctx, (n_searches + 1) * sizeof *self->weights);
    for (size_t i = 0; i < n; i++) {
        float weight = 0;
        TRY(s_weight(ctx, json_array_get(weights, i), &weight));
        if (i < n_searches)
            self->weights[i] = weight;
    }
    if (n != n_searches)
        return ctx_fail(ctx, ERR_PARAM_INVALID, "the length of weights param mismatch with ann "
                        "search requests: invalid parameter[expected=%zu][actual=%zu]",
                        n_searches, n);
    json_t *norm = json_object_get(params, "norm_score");
    self->norm = !norm || json_is_true(norm);
    return OK;
}

static err_t s_strategy(ctx_t *ctx, const char *strategy, json_t *params, size_t n_searches,
                        ranker_t *self)
{
    if (strcmp(strategy, "rrf") == 0) {
        self->kind = RANK_RRF;
        return s_k(ctx, params, self);
    }
    if (strcmp(strategy, "weighted") == 0) {
        self->kind = RANK_WEIGHTED;
        return s_weights(ctx, params, n_searches, self);
    }
    return ctx_fail(ctx, ERR_UNEXPECTED, "unsupported rank type %s", strategy);
}

static err_t s_by_pairs(ctx_t *ctx, Common__KeyValuePair *const *pairs, size_t n,
                        size_t n_searches, ranker_t *self)
{
    const char *strategy = validate_param(pairs, n, "strategy");
    const char *text = validate_param(pairs, n, "params");
    if (!strategy)
        return OK;
    if (!text)
        return ctx_fail(ctx, ERR_UNEXPECTED, "params not found in rank_params");
    json_t *params = NULL;
    if (rest_parse(ctx, view_str(text), &params) != OK)
        return ctx_fail(ctx, ERR_UNEXPECTED, "rank params are no JSON object: %.200s", text);
    err_t err = s_strategy(ctx, strategy, params, n_searches, self);
    json_decref(params);
    return err;
}

/* A function says the same in pairs of its own: {"reranker": "rrf", "k": "60"}. */
static err_t s_by_function(ctx_t *ctx, const Schema__FunctionSchema *function, size_t n_searches,
                           ranker_t *self)
{
    const char *strategy = validate_param(function->params, function->n_params, "reranker");
    if (!strategy)
        strategy = "";
    json_t *params = json_object();
    for (size_t i = 0; i < function->n_params; i++) {
        const Common__KeyValuePair *pair = function->params[i];
        json_t *value = json_loads(pair->value, JSON_DECODE_ANY, NULL);
        if (!value && catalog_true(pair->value))
            value = json_true();
        json_object_set_new(params, pair->key, value ? value : json_string(pair->value));
    }
    if (strcmp(strategy, "rrf") == 0 && !json_object_get(params, "k"))
        json_object_set_new(params, "k", json_integer(RRF_K));
    err_t err = s_strategy(ctx, strategy, params, n_searches, self);
    json_decref(params);
    return err;
}

static err_t s_groups(ctx_t *ctx, Common__KeyValuePair *const *pairs, size_t n, ranker_t *self)
{
    const char *field = validate_param(pairs, n, "group_by_field");
    const char *size = validate_param(pairs, n, "group_size");
    const char *scorer = validate_param(pairs, n, "rank_group_scorer");
    int64_t number = 1;
    self->group_field = field ? field : "";
    if (size && (!validate_number(size, &number) || number < 1 || number > LIMIT_ASKED_GROUP_SIZE))
        return ctx_fail(ctx, ERR_PARAM_INVALID, "input group size:%s exceeds configured max group "
                        "size:%d: invalid parameter", size, LIMIT_ASKED_GROUP_SIZE);
    self->group_size = (uint32_t)number;
    self->strict_group_size = search_args_flag(pairs, n, "strict_group_size");
    if (!scorer || strcmp(scorer, "max") == 0)
        self->group_score = SCORE_MAX;
    else if (strcmp(scorer, "sum") == 0)
        self->group_score = SCORE_SUM;
    else if (strcmp(scorer, "avg") == 0)
        self->group_score = SCORE_AVG;
    else
        return ctx_fail(ctx, ERR_PARAM_INVALID, "input group scorer type: %s is not supported!: "
                        "invalid parameter", scorer);
    return OK;
}

err_t ranker_read(ctx_t *ctx, Common__KeyValuePair *const *pairs, size_t n,
                  const Schema__FunctionScore *function, size_t n_searches, ranker_t *ret)
{
    bool limited = false;
    *ret = (ranker_t){ .kind = RANK_RRF, .k = RRF_K, .norm = true };
    TRY(search_args_window(ctx, pairs, n, &limited, &ret->limit, &ret->offset));
    if (!limited)
        return ctx_fail(ctx, ERR_UNEXPECTED, "limit not found in rank_params");
    TRY(search_args_decimals(ctx, pairs, n, &ret->round_decimal));
    TRY(s_groups(ctx, pairs, n, ret));
    if (!function || function->n_functions == 0)
        return s_by_pairs(ctx, pairs, n, n_searches, ret);
    if (function->n_functions > 1)
        return ctx_fail(ctx, ERR_PARAM_INVALID, "more than one ranking function is not supported: "
                        "invalid parameter");
    return s_by_function(ctx, function->functions[0], n_searches, ret);
}

/* --- scores ------------------------------------------------------------------------------ */

static float s_normal(const ranker_t *self, metric_t metric, float score)
{
    if (!self->norm && metric_descends(metric))
        return score;
    switch (metric) {
    case METRIC_COSINE:
        return (1 + score) * 0.5f;
    case METRIC_IP:
        return (float)(0.5 + atan((double)score) / M_PI);
    case METRIC_L2:
    case METRIC_HAMMING:
    case METRIC_JACCARD:
        break;
    }
    return (float)(1.0 - 2 * atan((double)score) / M_PI);
}

static float s_worth(const ranker_t *self, const rank_list_t *lists, size_t search, size_t rank)
{
    if (self->kind == RANK_RRF)
        return 1 / (self->k + (float)rank);
    const rank_list_t *list = &lists[search];
    return self->weights[search] *
           s_normal(self, list->metric, list->scores[list->first + rank - 1]);
}

typedef struct order { const rank_list_t *lists; } order_t;

static int s_cmp(const void *a, const void *b, void *arg)
{
    const ranked_t *x = a, *y = b;
    const rank_list_t *lists = ((const order_t *)arg)->lists;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return pk_cmp(lists[x->search].pks->type, column_cell(lists[x->search].pks, x->row),
                  column_cell(lists[y->search].pks, y->row));
}

err_t ranker_merge(ctx_t *ctx, const ranker_t *self, const rank_list_t *lists, size_t n_lists,
                   ranked_t **ret, size_t *ret_n)
{
    size_t most = 0, n = 0;
    for (size_t i = 0; i < n_lists; i++)
        most += lists[i].n;
    ranked_t *ranked = ctx_try(ctx, (most + 1) * sizeof *ranked);
    if (!ranked)
        return ctx_fail(ctx, ERR_MEMORY, "memory limit exceeded: %zu hits to rank", most);
    owned(map) known = map_new();
    for (size_t i = 0; i < n_lists; i++)
        for (size_t rank = 1; rank <= lists[i].n; rank++) {
            size_t row = lists[i].first + rank - 1;
            view_t pk = column_cell(lists[i].pks, row);
            ranked_t *hit = map_get(known, pk);
            if (!hit) {
                hit = &ranked[n++];
                *hit = (ranked_t){ .search = (uint32_t)i, .row = (uint32_t)row };
                map_put(known, pk, hit);
            }
            hit->score += s_worth(self, lists, i, rank);
        }
    order_t order = { lists };
    qsort_r(ranked, n, sizeof *ranked, s_cmp, &order);
    *ret = ranked;
    *ret_n = n;
    return OK;
}

/* --- groups ------------------------------------------------------------------------------- */

typedef struct group {
    float score;
    size_t first, n;            /* its best hits: places in `places`, group_size each */
} group_t;

static int s_cmp_groups(const void *a, const void *b)
{
    const group_t *x = a, *y = b;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return (x->first > y->first) - (x->first < y->first);     /* the one whose best came first */
}

static float s_group_score(const ranker_t *self, const group_t *group, const ranked_t *hits)
{
    float sum = 0;
    for (size_t i = 0; i < group->n; i++)
        sum += hits[i].score;
    switch (self->group_score) {
    case SCORE_MAX:
        return hits[0].score;
    case SCORE_SUM:
        return sum;
    case SCORE_AVG:
        return sum / (float)group->n;
    }
    check(!"a way to score groups");
}

/* Hits by group: group i's are places[first .. first + n). */
typedef struct sorted {
    group_t *groups;            /* [n] */
    ranked_t *places;
    size_t n;
} sorted_t;

/* A group's value as a key: a null group is its own. */
static view_t s_group_key(const rank_list_t *list, size_t row, buf_t *scratch)
{
    bool null = column_is_null(list->groups, row);
    scratch->len = 0;                           /* and stays refused if it was */
    buf_add_u8(scratch, null);
    if (!null)
        buf_add_view(scratch, column_cell(list->groups, row));
    return buf_view(scratch);
}

/* Sort the hits, which are best first, into their groups; a full group takes no more. */
static err_t s_sort_in(const ranker_t *self, const rank_list_t *lists, const ranked_t *ranked,
                       size_t n, sorted_t *into)
{
    owned(map) known = map_new();
    buf_scoped key;
    buf_init(&key, 0);
    for (size_t i = 0; i < n; i++) {
        view_t value = s_group_key(&lists[ranked[i].search], ranked[i].row, &key);
        group_t *group = map_get(known, value);
        if (!group) {
            group = &into->groups[into->n];
            *group = (group_t){ .first = into->n++ * self->group_size };
            map_put(known, value, group);
        }
        if (group->n < self->group_size)
            into->places[group->first + group->n++] = ranked[i];
    }
    return buf_ok(&key) ? OK : ERR_MEMORY;
}

err_t ranker_group(ctx_t *ctx, const ranker_t *self, const rank_list_t *lists, ranked_t **ranked,
                   size_t *n)
{
    sorted_t sorted = {
        .groups = ctx_try(ctx, (*n + 1) * sizeof *sorted.groups),
        .places = ctx_try(ctx, (*n + 1) * self->group_size * sizeof *sorted.places),
    };
    ranked_t *out = ctx_try(ctx, (*n + 1) * sizeof *out);
    if (!sorted.groups || !sorted.places || !out ||
        s_sort_in(self, lists, *ranked, *n, &sorted) != OK)
        return ctx_fail(ctx, ERR_MEMORY, "memory limit exceeded: %zu hits to group", *n);
    size_t n_kept = 0, n_out = 0;
    for (size_t i = 0; i < sorted.n; i++) {
        group_t *group = &sorted.groups[i];
        if (self->strict_group_size && group->n < self->group_size)
            continue;
        group->score = s_group_score(self, group, sorted.places + group->first);
        sorted.groups[n_kept++] = *group;
    }
    qsort(sorted.groups, n_kept, sizeof *sorted.groups, s_cmp_groups);
    size_t end = (size_t)(self->offset + self->limit);
    for (size_t i = (size_t)self->offset; i < n_kept && i < end; i++)
        for (size_t k = 0; k < sorted.groups[i].n; k++)
            out[n_out++] = sorted.places[sorted.groups[i].first + k];
    *ranked = out;
    *n = n_out;
    return OK;
}
