/* search_request - a client's search, checked, as the question to the nodes
 *
 * Search and the parts of a HybridSearch are the same message and come through
 * here.  Nothing is asked of anybody: what there is to know of the collection
 * is given, so every refusal can be tested by itself.
 */
#ifndef PROXY_SEARCH_REQUEST_H
#define PROXY_SEARCH_REQUEST_H

#include "core/query/query.h"
#include "elanus.pb-c.h"
#include "milvus.pb-c.h"
#include "proxy/outputs.h"
#include "proxy/search_args.h"

typedef struct search_target {
    uint64_t collection;
    schema_t *schema;           /* borrowed, as all here */
    const Elanus__Index *const *indexes;
    size_t n_indexes;
} search_target_t;

typedef struct search_request {
    search_args_t args;
    metric_t metric;
    size_t nq;
    size_t field;               /* place of the vector field in the schema */
    size_t group_field;         /* SIZE_MAX: none */
    Elanus__Search *ask;        /* all but the view */
} search_request_t;

/* Check a request and build the question; all in the arena.
 *   part     of a hybrid search
 *   outputs  of the answer
 * Errors  Milvus's codes and texts; ERR_MEMORY */
err_t must_use search_request_read(ctx_t *ctx, const search_target_t *target,
                                   const Milvus__SearchRequest *request, bool part,
                                   const outputs_t *outputs, search_request_t *ret);

#endif
