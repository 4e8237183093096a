/* clusters - k points that stand for many: training them, and whose is nearest
 *
 * What IVF lists hang on, and later codebooks.  Three spaces:
 *
 *     L2        float32; the nearest by squared distance, centres are means
 *     sphere    float32; the greatest inner product with a centre of length 1 (IP, COSINE)
 *     bits      the least distance by HAMMING or JACCARD; a bit of a centre is what most have
 *
 * Training is Lloyd's, from D² seeds of a sample (k-means++), for a fixed number of rounds; a
 * centre that lost all its points takes half of the fullest one's.  All of it depends on the
 * points, their order and the seed, not on threads.
 *
 * Source  Lloyd 1982; Arthur & Vassilvitskii 2007; Cohen-Addad et al. 2020 (clusters.c)
 */
#ifndef CORE_INDEX_CLUSTERS_H
#define CORE_INDEX_CLUSTERS_H

#include "core/index/index.h"

typedef struct clusters {
    size_t dim, width, k;       /* width: bytes of a centre */
    bool sphere, bits;
    simd_kernel_t kernel;       /* bits */
    uint8_t *centres;           /* owned; [k] float32, or bits */
    float *base;                /* owned; [k] |c|² for L2, else 0 */
} clusters_t;

/* Of the space in which vectors of such a spec are clustered; centres are zeros.  ERR_MEMORY,
 * then fini is still needed. */
err_t must_use clusters_init(ctx_t *ctx, clusters_t *self, const index_spec_t *spec, size_t k);
void clusters_fini(clusters_t *self);

/* Bytes of a point of this space, and n cells of the spec's vectors as points. */
size_t clusters_point_bytes(const clusters_t *self);
void clusters_points(const clusters_t *self, cell_t cells, const void *rows, size_t n, void *ret);

/* Find centres for n points in a random order, n >= k.  On a sphere they are made length 1.
 * Errors  ERR_MEMORY; of crew_run */
err_t must_use clusters_train(ctx_t *ctx, clusters_t *self, void *points, size_t n,
                              uint64_t seed, const index_how_t *how);

/* The same for several at a time, of equally many points and centres, for what is too small to be
 * shared out alone.  Each comes out as it would alone. */
typedef struct clusters_job {
    clusters_t *of;
    void *points;
    uint64_t seed;
} clusters_job_t;

err_t must_use clusters_train_all(ctx_t *ctx, const clusters_job_t *jobs, size_t n_jobs, size_t n,
                                  const index_how_t *how);

/* The nearest centre of each of n points; of equals the first.  Thread: any */
void clusters_assign(const clusters_t *self, const void *points, size_t n, uint32_t *ret);

#endif
