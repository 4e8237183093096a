/* bloom - "this key is certainly not there", in one cache line
 *
 * A split-block filter: the hash picks one block of 256 bits and sets one bit in
 * each of its eight words, so a question costs one miss and no branch.
 *
 * Source  Putze, Sanders, Singler, "Cache-, Hash- and Space-Efficient Bloom
 *         Filters", 2007, section 3; the shape (8 words of 32 bits) and the eight
 *         odd multipliers are those of Parquet's and Impala's filters.
 */
#ifndef CORE_SEGMENT_BLOOM_H
#define CORE_SEGMENT_BLOOM_H

#include "core/base/base.h"

typedef struct bloom bloom_t;

enum { BLOOM_BLOCK_BYTES = 32 };

/* Blocks for n keys at this rate of false answers (0.0001 .. 0.5). */
size_t bloom_blocks(size_t n_keys, double rate);

/* Hash of a primary key, for ever the same: filters are stored. */
uint64_t bloom_hash(view_t pk);

/* Empty, n_blocks of them; ERR_MEMORY. */
err_t must_use bloom_make(ctx_t *ctx, size_t n_blocks, bloom_t **ret);

/* From the bytes of bloom_bytes, a multiple of 32, which are copied. */
err_t must_use bloom_copy(ctx_t *ctx, view_t bytes, bloom_t **ret);
void bloom_destroy(bloom_t **self_p);

void bloom_add(bloom_t *self, uint64_t hash);
bool bloom_may_have(const bloom_t *self, uint64_t hash);
view_t bloom_bytes(const bloom_t *self);

#endif
