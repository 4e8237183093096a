/* exact - scores of certain rows, or of all that a filter keeps, as a scan computes them
 *
 * What an index does with the few rows that it thinks are near, and what it falls back to when a
 * filter leaves so few that looking at all of them costs less than looking for the nearest.
 */
#ifndef CORE_INDEX_EXACT_H
#define CORE_INDEX_EXACT_H

#include "core/index/index.h"

enum { EXACT_BLOCK = 256 };     /* places that are looked at together */

/* Vectors by place; all borrowed. */
typedef struct exact {
    simd_kernel_t kernel;
    size_t dim, width, n;       /* width: bytes of a vector; n: places */
    const uint8_t *const *parts;        /* of `per_part` vectors each, the last with the rest */
    size_t per_part;
    /* Where there are no vectors: write one as float32s.  The kernel is one of float32s then,
     * and so are the queries. */
    void (*decode)(const void *arg, uint32_t place, float *ret);
    const void *arg;
    const uint32_t *rows;       /* [n] row of each place, rising; NULL: the same number */
    const uint8_t *norms;       /* float32 1 / |row| of place 0; COSINE only, and not with
                                   `decode`, whose vectors have length 1 then */
    size_t norm_step;           /* bytes from one to the next */
} exact_t;

/* One query's search. */
typedef struct exact_query {
    const void *query;          /* prepared */
    float factor;               /* COSINE: 1 / |query| */
    const index_ask_t *ask;
    topk_t *best;
} exact_query_t;

/* Add the rows at n places.  Returns how many of them count: with a range those within it. */
size_t exact_rank(const exact_t *self, const exact_query_t *query, const uint32_t *places,
                  size_t n);

/* The next places that the filter keeps, at most EXACT_BLOCK, rising, from *at on, which moves
 * behind them; 0: there are no more.  keep NULL: all are kept. */
size_t exact_next_kept(const exact_t *self, const bitset_t *keep, size_t *at, uint32_t *ret);

/* Add all rows that the filter keeps.
 * Errors  ERR_CANCELED, ERR_TIMEOUT */
err_t must_use exact_scan(ctx_t *ctx, const exact_t *self, const exact_query_t *query);

#endif
