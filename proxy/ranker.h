/* ranker - the hits of several searches in one order
 *
 *     rrf        sum over the searches of 1 / (k + rank), ranks from 1
 *     weighted   sum of weight times score, the score brought into [0, 1] by its metric
 *
 * Greater is better for both.  Equal scores are ordered by primary key.
 */
#ifndef PROXY_RANKER_H
#define PROXY_RANKER_H

#include "core/query/query.h"
#include "milvus.pb-c.h"

typedef enum { RANK_RRF, RANK_WEIGHTED } rank_kind_t;
typedef enum { SCORE_MAX, SCORE_SUM, SCORE_AVG } group_score_t;

typedef struct ranker {
    rank_kind_t kind;
    float k;
    float *weights;             /* [number of searches] */
    bool norm;                  /* bring scores into [0, 1] first */
    int64_t limit, offset;      /* hits; groups when there are groups */
    int round_decimal;
    const char *group_field;    /* "": none */
    uint32_t group_size;
    bool strict_group_size;
    group_score_t group_score;  /* what a group's hits make of the group */
} ranker_t;

/* Read rank_params, and what a function (pymilvus 2.6) says instead.
 * Errors  Milvus's codes and texts */
err_t must_use ranker_read(ctx_t *ctx, Common__KeyValuePair *const *pairs, size_t n,
                           const Schema__FunctionScore *function, size_t n_searches, ranker_t *ret);

/* The hits of one query in one search: rows [first, first + n) of its columns. */
typedef struct rank_list {
    const column_t *pks;
    const column_t *groups;     /* with groups */
    const float *scores;
    size_t first, n;
    metric_t metric;
} rank_list_t;

typedef struct ranked {
    float score;
    uint32_t search, row;       /* where the first hit of this key lies */
} ranked_t;

/* All keys of the lists, each once, best first.
 *   ret   [*ret_n] in the arena
 * Errors  ERR_MEMORY    Cost  O(n log n) */
err_t must_use ranker_merge(ctx_t *ctx, const ranker_t *self, const rank_list_t *lists,
                            size_t n_lists, ranked_t **ret, size_t *ret_n);

/* The same by groups, the best group first; offset and limit count groups and are applied. */
err_t must_use ranker_group(ctx_t *ctx, const ranker_t *self, const rank_list_t *lists,
                            ranked_t **ranked, size_t *n);

#endif
