/* brute - the exact answer: every row that takes part is looked at
 *
 * What a segment without an index is searched with, and what indexes are
 * measured against.  Single queries are read-bandwidth bound; several
 * queries share each row while it is in the cache.
 */
#ifndef CORE_SIMD_BRUTE_H
#define CORE_SIMD_BRUTE_H

#include "core/base/bitset.h"
#include "core/simd/simd.h"
#include "core/simd/topk.h"

typedef struct brute {
    simd_kernel_t kernel;
    size_t dim;
    const void *rows;           /* [n] cells, one after the other; borrowed */
    size_t n;                   /* up to 2^32 - 1 */
    const bitset_t *keep;       /* bit 1: the row takes part; NULL: all do; n_bits = n */
    const float *scale;         /* [n] factor of each row's score, COSINE: 1 / |row|; NULL: 1 */
} brute_t;

/* Add every row of `of` that takes part to the top-k of each query.
 *   first     number of the first row: lets threads and segments share one numbering
 *   queries   [n_queries] prepared, one after the other
 *   factors   [n_queries] of all scores of a query, COSINE: 1 / |query|; with `scale` or NULL
 *   best      [n_queries] borrowed; descending as simd_kernel_descends says
 * Errors  ERR_CANCELED, ERR_TIMEOUT  ctx says so; asked about once per MiB of work
 *         ERR_MEMORY                 68 KiB were refused
 * Thread  any, beside others that have their own `best`
 * Cost    n · n_queries rows read; a score's bits are those of simd()->ops[].pair, scaled */
err_t must_use brute_search(ctx_t *ctx, const brute_t *of, uint32_t first, const void *queries,
                            const float *factors, size_t n_queries, topk_t *const *best);

#endif
