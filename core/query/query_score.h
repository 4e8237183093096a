/* query_score - queries against stretches of rows
 *
 * A scorer holds the prepared queries of one search.  A stretch is a run of rows
 * of one block with their vectors, and which of them take part.
 */
#ifndef CORE_QUERY_QUERY_SCORE_H
#define CORE_QUERY_QUERY_SCORE_H

#include "core/query/query_scan.h"
#include "core/simd/simd.h"
#include "core/simd/topk.h"

enum { CHUNK_ROWS = 1024 };

typedef struct scorer {
    metric_t metric;
    bool sparse, descends;
    simd_kernel_t kernel;       /* dense */
    size_t field, dim, width;   /* width of a cell; 0: sparse */
    size_t nq, query_bytes;
    uint8_t *queries;           /* owned; [nq] prepared; sparse: the cells */
    uint64_t *offsets;          /* owned; [nq + 1] of sparse cells */
    float *factors;             /* owned; COSINE: [nq] inverse norms */
    bool has_range;             /* only scores better than radius, not better than inner */
    float radius, inner;
} scorer_t;

/* Errors  ERR_PARAM_INVALID  the field has no such metric, or queries of another shape
 *         ERR_MEMORY         On failure fini is still needed. */
err_t must_use scorer_init(ctx_t *ctx, scorer_t *self, const search_plan_t *plan);
void scorer_fini(scorer_t *self);

/* Rows that have about so many bytes of vectors; 0: what is good for one part. */
size_t scorer_part_rows(const scorer_t *self, size_t bytes);

/* True when a score may be in the answer: sparse rows must have something in common with the
 * query, as in Milvus; then the range. */
static inline bool scorer_in_range(const scorer_t *self, float score)
{
    if (!self->has_range)
        return true;
    return self->descends ? score > self->radius && score <= self->inner
                          : score < self->radius && score >= self->inner;
}

/* What clients see: no -0; COSINE of a vector with itself may be a bit more than 1. */
static inline float scorer_show(const scorer_t *self, float score)
{
    if (self->metric != METRIC_COSINE)
        return score + 0.0f;
    return score > 1 ? 1 : score < -1 ? -1 : score + 0.0f;
}

typedef struct stretch {
    size_t block, from, n;      /* rows [from, from + n) of the block */
    size_t first;               /* the first one's place in the segment */
    column_t cells;             /* of these rows */
    bitset_t keep;              /* owned */
    size_t n_kept;
    const float *scale;         /* COSINE: [n] inverse norms */
    float *own_scale;           /* owned */
} stretch_t;

/* Errors  of scan_keep and scan_column; on failure fini is still needed */
err_t must_use stretch_open(ctx_t *ctx, const scan_t *scan, const scorer_t *scorer, size_t b,
                            size_t from, size_t n, stretch_t *ret);

/* All of a block without its vectors: for a segment's index.  Where every row takes part there
 * is no bitmap. */
err_t must_use stretch_open_keep(ctx_t *ctx, const scan_t *scan, size_t b, stretch_t *ret);
void stretch_fini(stretch_t *self);

/* Add all rows that take part to the top-k of queries [q, q + n_queries); rows are numbered by
 * their place in the segment, scores are not shown yet.  Errors of brute_search. */
err_t must_use scorer_search(ctx_t *ctx, const scorer_t *self, const stretch_t *stretch, size_t q,
                             size_t n_queries, topk_t *const *best);

/* Rows that stay in the cache together. */
typedef struct chunk {
    size_t at, n;               /* of the stretch */
    size_t n_kept;
    uint32_t kept[CHUNK_ROWS];  /* rows that take part, from `at` on */
    float scores[CHUNK_ROWS];   /* theirs, as clients see them */
} chunk_t;

/* The chunk of a stretch that begins at row `at`, a multiple of 64. */
void chunk_open(const scorer_t *self, const stretch_t *stretch, size_t at, chunk_t *ret);

/* The scores of query q. */
void chunk_score(const scorer_t *self, const stretch_t *stretch, size_t q, chunk_t *chunk);

#endif
