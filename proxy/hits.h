/* hits - what the nodes found, put together, and as the client reads it */
#ifndef PROXY_HITS_H
#define PROXY_HITS_H

#include "core/query/merge.h"
#include "milvus.pb-c.h"
#include "proxy/outputs.h"
#include "proxy/proxy_read.h"

/* Hits of query q are the next per_query[q] rows, best first.  The columns lie in the
 * messages of the nodes, or in `merged`. */
typedef struct hits {
    size_t nq, n;
    uint32_t *per_query;        /* [nq] */
    float *scores;              /* [n] */
    column_t pks, groups;       /* groups.n = 0 without grouping */
    column_t *outputs;
    size_t n_outputs;
    search_found_t merged;
} hits_t;

/* Merge the answers of one part of a read.  One answer that is all there is, is not copied.
 * Errors  of merge_search; ERR_MALFORMED when an answer is damaged */
err_t must_use hits_read(ctx_t *ctx, const merge_search_t *how, const read_part_t *part,
                         hits_t *ret);
void hits_fini(hits_t *self);

/* Keep only the first n hits of the only query. */
void hits_cut(hits_t *self, size_t n);

/* As the client reads them; points into the hits.  group_field: NULL without grouping.
 * Errors  ERR_UNEXPECTED  more than LIMIT_RESULT_BYTES, with Milvus's text; ERR_MEMORY */
err_t must_use hits_answer(ctx_t *ctx, const hits_t *hits, const schema_t *schema,
                           const outputs_t *outputs, const field_t *group_field,
                           Schema__SearchResultData **ret);

/* Bytes of a column's cells: what an answer weighs. */
size_t hits_column_bytes(const column_t *c);

/* A column of this field and n cells, from the bytes of a node's answer.  ERR_MALFORMED, and
 * what column_read says. */
err_t must_use hits_column(ctx_t *ctx, ProtobufCBinaryData bytes, const field_t *field, size_t n,
                           column_t *ret);

/* ERR_MALFORMED, naming what of the answer is damaged. */
err_t hits_malformed(ctx_t *ctx, const char *what);

#endif
