/* sparse_data - sparse vectors, an index over them in memory, and what is right
 *
 * Terms come with frequencies as of words (Zipf's law), some rows are empty, some null, values may
 * be less than zero; queries come from the same terms.  The exact answer is sparse_scan's.
 */
#ifndef TESTS_SUPPORT_SPARSE_DATA_H
#define TESTS_SUPPORT_SPARSE_DATA_H

#include "core/base/rng.h"
#include "core/index/index.h"

enum { SPARSE_DATA_OBJECTS = 64 };

typedef struct sparse_shape {
    size_t n_rows, n_queries;
    size_t row_terms, query_terms;  /* about so many, 0 to twice as many */
    size_t n_terms;             /* to choose from; indexes are anywhere up to 2^32 - 2 */
    double negative;            /* share of values less than zero */
    double null;                /* share of rows */
    bool equal;                 /* all values are 1 or -1, so many scores are equal */
    uint64_t seed;
} sparse_shape_t;

typedef struct sparse_data {
    index_spec_t spec;
    sparse_shape_t shape;
    size_t n, n_queries;
    buf_t rows, queries;        /* cells */
    uint64_t *offsets, *query_offsets;  /* owned; [n + 1], [n_queries + 1] */
    uint64_t *valid;            /* owned; NULL: no nulls */
    size_t stretch;             /* rows that `source` shows at a time; 0: all */
    buf_t objects[SPARSE_DATA_OBJECTS];     /* of the last build */
    index_blob_t blobs[SPARSE_DATA_OBJECTS];
    index_built_t built;
} sparse_data_t;

void sparse_data_init(sparse_data_t *self, index_type_t type, const sparse_shape_t *shape);
void sparse_data_fini(sparse_data_t *self);

/* Build into self->objects.
 * Errors  of index_build; ERR_MEMORY, ERR_STORE  a fault that was armed */
err_t must_use sparse_data_build(sparse_data_t *self, ctx_t *ctx, const index_how_t *how);

/* Open what was built. */
err_t must_use sparse_data_open(sparse_data_t *self, ctx_t *ctx, index_t **ret);

/* How queries are asked. */
typedef struct sparse_ask {
    size_t k;
    const bitset_t *keep;
    bool has_range;
    float radius, inner;
    index_knobs_t knobs;
} sparse_ask_t;

/* Each query's k best, [n_queries][k], score and row; of the places behind the last one the row is
 * UINT32_MAX.
 *   index  NULL: exact */
void sparse_data_search(const sparse_data_t *self, ctx_t *ctx, const index_t *index,
                        const sparse_ask_t *ask, topk_hit_t *ret);

/* Share of the exact rows that were found. */
double sparse_data_recall(const sparse_data_t *self, const topk_hit_t *exact,
                          const topk_hit_t *found, size_t k);

#endif
