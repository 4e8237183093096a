/* topk - the k best (score, row) of a stream
 *
 * Two of equal score are ordered by row, the smaller first, so the answer does
 * not depend on the order of arrival, on blocks or on threads.  A NaN is never
 * picked; -0 equals +0.  One thread at a time; workers take one each and merge.
 */
#ifndef CORE_SIMD_TOPK_H
#define CORE_SIMD_TOPK_H

#include "core/base/base.h"

typedef struct topk topk_t;
typedef struct topk_hit { float score; uint32_t row; } topk_hit_t;

/* k 1..LIMIT_TOPK, and one more to see what was left out; descending: greater scores are
 * better (IP, COSINE).
 *   ret     out, caller owns
 * Errors  ERR_MEMORY  about 16 k bytes were refused */
err_t must_use topk_new(ctx_t *ctx, size_t k, bool descending, topk_t **ret);
void topk_destroy(topk_t **self_p);

/* Forget the rows and the range. */
void topk_reset(topk_t *self);

/* Range search: only scores strictly better than radius and not better than inner
 * (Milvus's radius and range_filter).  Call before the first row. */
void topk_range(topk_t *self, float radius, float inner);

void topk_add(topk_t *self, float score, uint32_t row);

/* scores[i] is that of row first + i, or of first + places[i].
 * Cost  n/8 compares and a few instructions for each that is good enough */
void topk_add_run(topk_t *self, const float *scores, size_t n, uint32_t first);
void topk_add_rows(topk_t *self, const float *scores, size_t n, uint32_t first,
                   const uint32_t *places);

/* Everything `from` holds, as if added here. */
void topk_merge(topk_t *self, const topk_t *from);

/* No score worse than this will be picked any more, so an index may stop early.  It
 * follows the k-th best score at a distance: settled about every k accepted rows. */
float topk_bound(const topk_t *self);

/* Best first, into ret [k]; returns how many.  The rows stay; more may be added. */
size_t topk_hits(topk_t *self, topk_hit_t *ret);

/* The same in no order, which is cheaper. */
size_t topk_any(topk_t *self, topk_hit_t *ret);

#endif
