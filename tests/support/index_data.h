/* index_data - clustered vectors, an index over them in memory, and what is right
 *
 * Vectors come from centres of their own, with a bit of noise, so that neighbours mean something;
 * queries come from the same.  The exact answer is brute_search's.
 */
#ifndef TESTS_SUPPORT_INDEX_DATA_H
#define TESTS_SUPPORT_INDEX_DATA_H

#include "core/base/rng.h"
#include "core/index/index.h"

enum { INDEX_DATA_OBJECTS = 64 };

typedef struct index_data {
    index_spec_t spec;
    simd_kernel_t kernel;
    size_t n, n_queries, width, query_bytes;
    uint8_t *rows;              /* [n] cells */
    uint64_t *valid;            /* NULL: no nulls */
    uint8_t *queries;           /* [n_queries] prepared */
    float *factors, *norms;     /* COSINE: 1 / |query|, 1 / |row| */
    size_t stretch;             /* rows that `source` shows at a time; 0: all */
    buf_t objects[INDEX_DATA_OBJECTS];      /* of the last build */
    index_blob_t blobs[INDEX_DATA_OBJECTS];
    index_built_t built;
} index_data_t;

void index_data_init(index_data_t *self, const index_spec_t *spec, size_t n, size_t n_queries,
                     uint64_t seed);
void index_data_fini(index_data_t *self);

/* Make a share of the rows null. */
void index_data_nulls(index_data_t *self, double share, uint64_t seed);

/* Build into self->objects.  Errors of index_build; ERR_MEMORY  a fault that was armed */
err_t index_data_build(index_data_t *self, ctx_t *ctx, const index_how_t *how);

/* Open what was built. */
err_t index_data_open(index_data_t *self, ctx_t *ctx, index_t **ret);

/* Rows of each query's k best: [n_queries][k], UINT32_MAX where there are fewer.
 *   index  NULL: exact */
void index_data_search(index_data_t *self, ctx_t *ctx, const index_t *index, size_t k,
                       const bitset_t *keep, const index_knobs_t *knobs, uint32_t *ret);

/* Share of the exact rows that were found. */
double index_data_recall(const uint32_t *exact, const uint32_t *found, size_t n_queries, size_t k);

#endif
