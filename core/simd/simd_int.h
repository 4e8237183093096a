/* simd_int - what the level files share: their tables, and the last few bytes of a row */
#ifndef CORE_SIMD_SIMD_INT_H
#define CORE_SIMD_SIMD_INT_H

#include "core/simd/simd.h"

extern const simd_t simd_scalar;
extern const simd_t simd_avx2;
extern const simd_t simd_avx512;

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* The first n bytes at p, n < 16, zeros behind them; reads nothing else. */
typedef struct simd_rest { uint64_t low, high; } simd_rest_t;

ALWAYS_INLINE simd_rest_t simd_rest(const uint8_t *p, size_t n)
{
    uint64_t whole = 0, part = 0;
    unsigned shift = 0;
    if (n & 8) {
        whole = load_u64(p);
        p += 8;
    }
    if (n & 4) {
        part = load_u32(p);
        p += 4;
        shift = 32;
    }
    if (n & 2) {
        part |= (uint64_t)load_u16(p) << shift;
        p += 2;
        shift += 16;
    }
    if (n & 1)
        part |= (uint64_t)*p << shift;
    return n & 8 ? (simd_rest_t){ whole, part } : (simd_rest_t){ part, 0 };
}

#endif
