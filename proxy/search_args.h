/* search_args - the pairs of text that tell how to search
 *
 * Search and each part of a HybridSearch carry `search_params`: topk, offset,
 * metric and so on as text, and under `params` a JSON object with what belongs
 * to the index.  Parameters that only an index reads (nprobe …) are none of this
 * file's business: core/index/index_spec.c reads them where the field has such an index.
 */
#ifndef PROXY_SEARCH_ARGS_H
#define PROXY_SEARCH_ARGS_H

#include "core/base/base.h"
#include "milvus.pb-c.h"

typedef struct search_args {
    const char *anns_field;     /* "": not said; so with the other texts */
    const char *metric;
    const char *group_field;
    int64_t topk, offset;
    int round_decimal;          /* -1: none */
    bool ignore_growing;
    bool has_radius, has_range_filter;
    float radius, range_filter;
    uint32_t group_size;
    bool strict_group_size;
    int64_t collection_id;      /* of an iterator; 0: not said */
    bool iterator;
    bool iterator_v2;           /* pages follow from the last score, see below */
    int64_t batch_size;
    bool has_last_bound;        /* only what lies behind this score */
    float last_bound;
    const char *token;
} search_args_t;

/* Read and check them.
 *   part   of a hybrid search: offset does not count
 * Errors  Milvus's codes and texts */
err_t must_use search_args_read(ctx_t *ctx, Common__KeyValuePair *const *pairs, size_t n, bool part,
                                search_args_t *ret);

/* Do radius and range_filter make sense for the metric?  Also puts the last bound of an
 * iterator into them. */
err_t must_use search_args_range(ctx_t *ctx, search_args_t *args, const char *metric,
                                 bool descends);

/* The same for `limit` and `offset` of a query or a ranking; false: there is no limit.
 * Errors  Milvus's texts */
err_t must_use search_args_window(ctx_t *ctx, Common__KeyValuePair *const *pairs, size_t n,
                                  bool *ret_limited, int64_t *ret_limit, int64_t *ret_offset);

/* -1, or 0..6; -1 when not said. */
err_t must_use search_args_decimals(ctx_t *ctx, Common__KeyValuePair *const *pairs, size_t n,
                                    int *ret);

/* Go's ParseBool; what is no bool is false. */
bool search_args_flag(Common__KeyValuePair *const *pairs, size_t n, const char *key);

#endif
