/* bitset - one bit a row
 *
 * Dense while it is worked on (filters are combined word by word and vector
 * kernels test single bits); CRoaring's portable format when it is stored or
 * sent, where most bitmaps are nearly empty or nearly full.
 */
#ifndef CORE_BASE_BITSET_H
#define CORE_BASE_BITSET_H

#include "core/base/base.h"
#include "core/base/buf.h"

typedef struct bitset {
    uint64_t *words;            /* owned; bits past n_bits are always 0 */
    size_t n_bits;
} bitset_t;

/* All zero.  ERR_MEMORY when refused.  n_bits up to LIMIT_BITSET_BITS. */
err_t must_use bitset_init(ctx_t *ctx, bitset_t *bits, size_t n_bits);
void bitset_fini(bitset_t *bits);

static inline bool bitset_has(const bitset_t *b, size_t i)
{
    return (b->words[i >> 6] >> (i & 63)) & 1;
}
static inline void bitset_set(bitset_t *b, size_t i)   { b->words[i >> 6] |= 1ull << (i & 63); }
static inline void bitset_clear(bitset_t *b, size_t i) { b->words[i >> 6] &= ~(1ull << (i & 63)); }

void bitset_fill(bitset_t *bits, bool value);
void bitset_not(bitset_t *bits);
void bitset_and(bitset_t *into, const bitset_t *other);     /* equal n_bits */
void bitset_or(bitset_t *into, const bitset_t *other);
void bitset_andnot(bitset_t *into, const bitset_t *other);
size_t bitset_count(const bitset_t *bits);

/* First set bit at or after `from`, n_bits when there is none. */
size_t bitset_next(const bitset_t *bits, size_t from);

/* Compressed copy: u64 n_bits, then CRoaring's portable serialisation. */
void bitset_pack(const bitset_t *bits, buf_t *into);

/* The inverse; n_bits must be what the caller expects.  ERR_CORRUPT for
 * anything that is not such a copy. */
err_t must_use bitset_unpack(ctx_t *ctx, bitset_t *bits, size_t n_bits, view_t packed);

#endif
