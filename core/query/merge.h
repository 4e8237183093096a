/* merge - answers of several nodes to one
 *
 * A node answers for its channels with what core/query/query.h found there.
 * Whoever asked several nodes puts the answers together here: the columns are
 * borrowed views into the messages, the result is built anew.  The order of the
 * parts does not matter, except between two rows of one key and one score (of
 * one key and one timestamp): then the earlier part's is taken.
 *
 * With group_size > 1 and strict_group_size a group may miss rows of a node
 * that has more than `limit` nearer groups, because that node did not send them.
 */
#ifndef CORE_QUERY_MERGE_H
#define CORE_QUERY_MERGE_H

#include "core/query/query.h"

/* What one node found: search_found_t as it arrives. */
typedef struct found_part {
    const uint32_t *hits;       /* [nq] */
    size_t n;                   /* scores, and rows of each column */
    const float *scores;
    column_t pks, groups;       /* groups.n = 0 without grouping */
    const column_t *outputs;    /* [n_outputs] */
} found_part_t;

typedef struct merge_search {
    schema_t *schema;           /* all borrowed */
    metric_t metric;
    size_t nq;
    size_t offset, limit;       /* hits of a query; with group_field: groups.  limit > 0 */
    size_t group_field;         /* place in the schema; SIZE_MAX: none */
    size_t group_size;          /* at least 1 */
    bool strict_group_size;
    const size_t *outputs;      /* [n_outputs] places in the schema */
    size_t n_outputs;
    size_t most_bytes;          /* of the answer; 0: no bound */
} merge_search_t;

/* Best first, each key once; grouped hits group by group, the best group first.
 * Errors  ERR_MALFORMED   a part's lengths or types do not fit one another or the schema
 *         ERR_UNEXPECTED  more than most_bytes: Milvus's text
 *         ERR_MEMORY
 * Cost    the hits that are taken, times the logarithm of n_parts */
err_t must_use merge_search(ctx_t *ctx, const merge_search_t *how, const found_part_t *parts,
                            size_t n_parts, search_found_t *ret);

/* The rows that one node has: retrieved_t as it arrives, keys rising. */
typedef struct rows_part {
    uint64_t count;
    column_t pks;
    const uint64_t *ts;         /* [pks.n] */
    const column_t *outputs;    /* [n_outputs] */
} rows_part_t;

typedef struct merge_rows {
    schema_t *schema;
    size_t offset, limit;       /* limit 0: all; a part need not have more than offset + limit */
    const size_t *outputs;
    size_t n_outputs;
    size_t most_bytes;          /* of the answer; 0: no bound */
} merge_rows_t;

/* By primary key, each once, the newest row of it; counts are added.  Errors as above. */
err_t must_use merge_rows(ctx_t *ctx, const merge_rows_t *how, const rows_part_t *parts,
                          size_t n_parts, retrieved_t *ret);

#endif
