/* query_int - what search, retrieve and merge share: building an answer within its bound */
#ifndef CORE_QUERY_QUERY_INT_H
#define CORE_QUERY_QUERY_INT_H

#include "core/query/query.h"

/* An answer that grows. */
typedef struct answer {
    const char *what;           /* "search" or "query": Milvus's text names it */
    size_t most_bytes;          /* 0: no bound */
    size_t bytes;
} answer_t;

/* n more bytes: ERR_UNEXPECTED past the bound. */
err_t must_use answer_add(ctx_t *ctx, answer_t *self, size_t n);

/* Append a cell. */
err_t must_use answer_copy(ctx_t *ctx, answer_t *self, column_builder_t *into,
                           const column_t *from, size_t row);

/* Builders for n_outputs fields. */
err_t must_use answer_outputs(ctx_t *ctx, const schema_t *schema, const size_t *outputs,
                              size_t n_outputs, column_builder_t **ret);

/* Empty, but with memory for nq queries and n hits.  On failure it is empty too. */
err_t must_use found_make(ctx_t *ctx, const schema_t *schema, size_t group_field,
                          const size_t *outputs, size_t n_outputs, size_t nq, size_t n,
                          search_found_t *ret);
err_t must_use retrieved_make(ctx_t *ctx, const schema_t *schema, const size_t *outputs,
                              size_t n_outputs, size_t n, retrieved_t *ret);

#endif
