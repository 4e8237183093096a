/* avx512 - sixteen floats at a time: AVX-512 F, BW, DQ, VL
 *
 * Tails are masked loads, which touch no byte outside the mask.  The
 * vocabulary is kept to plain instructions, one call each, because few
 * machines that build Elanus can run this file: a test runs it on emulated
 * instructions instead, by naming the emulator's header in SIMD_INTRINSICS.
 */
#include "core/simd/simd_int.h"

#if defined(__x86_64__)
#ifndef SIMD_INTRINSICS
#define SIMD_INTRINSICS <immintrin.h>
#endif
#include SIMD_INTRINSICS

enum { LANES = 16, INTS = 32, TILE_Q = 4, TILE_ROWS = 3 };

typedef __m512  vf;
typedef __m512i vi;
typedef __m512i vs;

ALWAYS_INLINE vf vf_all(float x)            { return _mm512_set1_ps(x); }
ALWAYS_INLINE vf vf_zero(void)              { return _mm512_setzero_ps(); }
ALWAYS_INLINE vf vf_add(vf a, vf b)         { return _mm512_add_ps(a, b); }
ALWAYS_INLINE vf vf_sub(vf a, vf b)         { return _mm512_sub_ps(a, b); }
ALWAYS_INLINE vf vf_mul(vf a, vf b)         { return _mm512_mul_ps(a, b); }
ALWAYS_INLINE vf vf_fma(vf a, vf b, vf c)   { return _mm512_fmadd_ps(a, b, c); }
ALWAYS_INLINE void vf_store(float *p, vf v) { _mm512_storeu_ps(p, v); }

ALWAYS_INLINE float vf_sum(vf v)
{
    __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}

ALWAYS_INLINE uint32_t vf_mask_le(vf a, vf b)
{
    return (uint32_t)_mm512_cmp_ps_mask(a, b, _CMP_LE_OQ);
}

/* The first n of up to 16 or 32 places. */
ALWAYS_INLINE __mmask16 s_first_16(size_t n) { return (__mmask16)((1u << n) - 1); }
ALWAYS_INLINE __mmask32 s_first_32(size_t n) { return (__mmask32)((1ull << n) - 1); }

ALWAYS_INLINE vf vf_load_f32(const uint8_t *p) { return _mm512_loadu_ps(p); }
ALWAYS_INLINE vf vf_part_f32(const uint8_t *p, size_t n)
{
    return _mm512_maskz_loadu_ps(s_first_16(n), p);
}

ALWAYS_INLINE __m256i s_halves(const uint8_t *p) { return _mm256_loadu_si256((const void *)p); }
ALWAYS_INLINE __m256i s_part_halves(const uint8_t *p, size_t n)
{
    return _mm256_maskz_loadu_epi16(s_first_16(n), p);
}

ALWAYS_INLINE vf s_bf16(__m256i cells)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(cells), 16));
}

ALWAYS_INLINE vf vf_load_f16(const uint8_t *p)  { return _mm512_cvtph_ps(s_halves(p)); }
ALWAYS_INLINE vf vf_load_bf16(const uint8_t *p) { return s_bf16(s_halves(p)); }
ALWAYS_INLINE vf vf_part_f16(const uint8_t *p, size_t n)
{
    return _mm512_cvtph_ps(s_part_halves(p, n));
}
ALWAYS_INLINE vf vf_part_bf16(const uint8_t *p, size_t n) { return s_bf16(s_part_halves(p, n)); }

ALWAYS_INLINE vf s_bytes_to_floats(__m128i bytes)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes));
}
ALWAYS_INLINE vf vf_load_u8(const uint8_t *p)
{
    return s_bytes_to_floats(_mm_loadu_si128((const void *)p));
}
ALWAYS_INLINE vf vf_part_u8(const uint8_t *p, size_t n)
{
    return s_bytes_to_floats(_mm_maskz_loadu_epi8(s_first_16(n), p));
}

ALWAYS_INLINE vs vs_sub(vs a, vs b) { return _mm512_sub_epi16(a, b); }
ALWAYS_INLINE vs vs_load_i16(const uint8_t *p) { return _mm512_loadu_si512(p); }
ALWAYS_INLINE vs vs_load_i8(const uint8_t *p)  { return _mm512_cvtepi8_epi16(s_halves(p)); }
ALWAYS_INLINE vs vs_part_i16(const uint8_t *p, size_t n)
{
    return _mm512_maskz_loadu_epi16(s_first_32(n), p);
}
ALWAYS_INLINE vs vs_part_i8(const uint8_t *p, size_t n)
{
    return _mm512_cvtepi8_epi16(_mm256_maskz_loadu_epi8(s_first_32(n), p));
}

ALWAYS_INLINE vi vi_zero(void) { return _mm512_setzero_si512(); }
ALWAYS_INLINE vi vi_dot(vi sum, vs a, vs b)
{
    return _mm512_add_epi32(sum, _mm512_madd_epi16(a, b));
}
ALWAYS_INLINE int32_t vi_sum(vi v)
{
    __m256i eight = _mm256_add_epi32(_mm512_castsi512_si256(v), _mm512_extracti64x4_epi64(v, 1));
    __m128i four = _mm_add_epi32(_mm256_castsi256_si128(eight),
                                 _mm256_extracti128_si256(eight, 1));
    __m128i two = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 0xb1)));
}

ALWAYS_INLINE uint64_t pop64(uint64_t x) { return (uint64_t)_mm_popcnt_u64(x); }

/* As in avx2.c, with the first two codes of a group in the lower half and the others above. */
static uint32_t s_nibbles(const uint8_t *tables, const uint8_t *codes, size_t groups,
                          uint16_t least, uint16_t *ret)
{
    const __m512i low = _mm512_set1_epi8(15);
    __m512i both = _mm512_setzero_si512(), odd = _mm512_setzero_si512();
    for (size_t g = 0; g < groups; g++, tables += SIMD_TABLE_BYTES, codes += SIMD_GROUP_BYTES) {
        __m512i code = _mm512_loadu_si512(codes);
        __m512i high = _mm512_and_si512(_mm512_srli_epi16(code, 4), low);
        __m512i a = _mm512_shuffle_epi8(_mm512_loadu_si512(tables), _mm512_and_si512(code, low));
        __m512i b = _mm512_shuffle_epi8(_mm512_loadu_si512(tables + 64), high);
        __m512i sum = _mm512_add_epi8(a, b);
        both = _mm512_add_epi16(both, sum);
        odd = _mm512_add_epi16(odd, _mm512_srli_epi16(sum, 8));
    }
    __m256i odds = _mm256_add_epi16(_mm512_castsi512_si256(odd),
                                    _mm512_extracti64x4_epi64(odd, 1));
    __m256i evens = _mm256_add_epi16(_mm512_castsi512_si256(both),
                                     _mm512_extracti64x4_epi64(both, 1));
    evens = _mm256_sub_epi16(evens, _mm256_slli_epi16(odds, 8));
    __m256i limit = _mm256_set1_epi16((short)(least - 1));
    __m256i mask = _mm256_blendv_epi8(_mm256_cmpgt_epi16(evens, limit),
                                      _mm256_cmpgt_epi16(odds, limit),
                                      _mm256_set1_epi16((short)0xff00));
    uint32_t bits = (uint32_t)_mm256_movemask_epi8(mask);
    if (bits == 0)
        return 0;
    __m256i first = _mm256_unpacklo_epi16(evens, odds), second = _mm256_unpackhi_epi16(evens, odds);
    _mm256_storeu_si256((void *)ret, _mm256_permute2x128_si256(first, second, 0x20));
    _mm256_storeu_si256((void *)(ret + 16), _mm256_permute2x128_si256(first, second, 0x31));
    return bits;
}

#define LEVEL CPU_AVX512
#define LEVEL_TABLE simd_avx512
#include "core/simd/kernels.inc"
#endif
