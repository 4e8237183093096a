/* rows_answer - the rows that the nodes have, put together */
#ifndef PROXY_ROWS_ANSWER_H
#define PROXY_ROWS_ANSWER_H

#include "core/query/merge.h"
#include "proxy/proxy_read.h"

/* The columns lie in the messages of the nodes, or in `merged`. */
typedef struct rows_answer {
    uint64_t count;
    column_t pks;
    column_t *outputs;          /* [n_outputs] */
    retrieved_t merged;
} rows_answer_t;

/* Merge the answers of one part of a read.  One answer that is all there is, is not copied.
 * Errors  of merge_rows; ERR_MALFORMED when an answer is damaged; ERR_UNEXPECTED for more
 *         than how->most_bytes, with Milvus's text */
err_t must_use rows_answer_read(ctx_t *ctx, const merge_rows_t *how, const read_part_t *part,
                                rows_answer_t *ret);
void rows_answer_fini(rows_answer_t *self);

#endif
