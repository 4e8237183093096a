/* avx2 - eight floats at a time: AVX2, FMA, F16C, POPCNT
 *
 * The only file besides avx512.c that is compiled for more than the baseline;
 * nothing here runs before cpu_best() has said so.
 */
#include "core/simd/simd_int.h"

#if defined(__x86_64__)
#include <immintrin.h>

enum { LANES = 8, INTS = 16, TILE_Q = 3, TILE_ROWS = 2 };

typedef __m256  vf;
typedef __m256i vi;
typedef __m256i vs;

ALWAYS_INLINE vf vf_all(float x)            { return _mm256_set1_ps(x); }
ALWAYS_INLINE vf vf_zero(void)              { return _mm256_setzero_ps(); }
ALWAYS_INLINE vf vf_add(vf a, vf b)         { return _mm256_add_ps(a, b); }
ALWAYS_INLINE vf vf_sub(vf a, vf b)         { return _mm256_sub_ps(a, b); }
ALWAYS_INLINE vf vf_mul(vf a, vf b)         { return _mm256_mul_ps(a, b); }
ALWAYS_INLINE vf vf_fma(vf a, vf b, vf c)   { return _mm256_fmadd_ps(a, b, c); }
ALWAYS_INLINE void vf_store(float *p, vf v) { _mm256_storeu_ps(p, v); }

ALWAYS_INLINE float vf_sum(vf v)
{
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}

ALWAYS_INLINE uint32_t vf_mask_le(vf a, vf b)
{
    return (uint32_t)_mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_LE_OQ));
}

ALWAYS_INLINE __m128i s_16(const uint8_t *p) { return _mm_loadu_si128((const __m128i *)p); }

/* The first n bytes, n < 16. */
ALWAYS_INLINE __m128i s_upto_16(const uint8_t *p, size_t n)
{
    simd_rest_t rest = simd_rest(p, n);
    return _mm_set_epi64x((long long)rest.high, (long long)rest.low);
}

ALWAYS_INLINE vf vf_load_f32(const uint8_t *p)
{
    return _mm256_loadu_ps((const float *)p);
}

ALWAYS_INLINE vf vf_part_f32(const uint8_t *p, size_t n)
{
    static const int32_t ones[16] = { -1, -1, -1, -1, -1, -1, -1, -1 };
    __m256i mask = _mm256_loadu_si256((const __m256i *)(ones + 8 - n));
    return _mm256_maskload_ps((const float *)p, mask);
}

ALWAYS_INLINE vf s_bf16(__m128i cells)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(cells), 16));
}

ALWAYS_INLINE vf vf_load_f16(const uint8_t *p)            { return _mm256_cvtph_ps(s_16(p)); }
ALWAYS_INLINE vf vf_load_bf16(const uint8_t *p)           { return s_bf16(s_16(p)); }
ALWAYS_INLINE vf vf_part_bf16(const uint8_t *p, size_t n) { return s_bf16(s_upto_16(p, n * 2)); }
ALWAYS_INLINE vf vf_part_f16(const uint8_t *p, size_t n)
{
    return _mm256_cvtph_ps(s_upto_16(p, n * 2));
}

ALWAYS_INLINE vf s_bytes_to_floats(__m128i bytes)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes));
}
ALWAYS_INLINE vf vf_load_u8(const uint8_t *p)
{
    return s_bytes_to_floats(_mm_loadl_epi64((const __m128i *)p));
}
ALWAYS_INLINE vf vf_part_u8(const uint8_t *p, size_t n)
{
    return s_bytes_to_floats(s_upto_16(p, n));
}

ALWAYS_INLINE vs vs_sub(vs a, vs b) { return _mm256_sub_epi16(a, b); }
ALWAYS_INLINE vs vs_load_i16(const uint8_t *p) { return _mm256_loadu_si256((const __m256i *)p); }
ALWAYS_INLINE vs vs_load_i8(const uint8_t *p)  { return _mm256_cvtepi8_epi16(s_16(p)); }
ALWAYS_INLINE vs vs_part_i8(const uint8_t *p, size_t n)
{
    return _mm256_cvtepi8_epi16(s_upto_16(p, n));
}
ALWAYS_INLINE vs vs_part_i16(const uint8_t *p, size_t n)
{
    __m128i low = n < 8 ? s_upto_16(p, n * 2) : s_16(p);
    __m128i high = n > 8 ? s_upto_16(p + 16, n * 2 - 16) : _mm_setzero_si128();
    return _mm256_set_m128i(high, low);
}

ALWAYS_INLINE vi vi_zero(void) { return _mm256_setzero_si256(); }
ALWAYS_INLINE vi vi_dot(vi sum, vs a, vs b)
{
    return _mm256_add_epi32(sum, _mm256_madd_epi16(a, b));
}
ALWAYS_INLINE int32_t vi_sum(vi v)
{
    __m128i four = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    __m128i two = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 0xb1)));
}

ALWAYS_INLINE uint64_t pop64(uint64_t x) { return (uint64_t)_mm_popcnt_u64(x); }

/* Bytes are added four at a time, which cannot overflow; then even rows and odd ones apart, the
 * even ones with the odd ones still above them, which the end takes away. */
static uint32_t s_nibbles(const uint8_t *tables, const uint8_t *codes, size_t groups,
                          uint16_t least, uint16_t *ret)
{
    const __m256i low = _mm256_set1_epi8(15);
    const __m256i *table = (const __m256i *)tables, *code = (const __m256i *)codes;
    __m256i both = _mm256_setzero_si256(), odd = both;
    for (size_t g = 0; g < groups; g++, table += 4, code += 2) {
        __m256i a = _mm256_loadu_si256(code), b = _mm256_loadu_si256(code + 1);
        __m256i a_high = _mm256_and_si256(_mm256_srli_epi16(a, 4), low);
        __m256i b_high = _mm256_and_si256(_mm256_srli_epi16(b, 4), low);
        a = _mm256_shuffle_epi8(_mm256_loadu_si256(table), _mm256_and_si256(a, low));
        b = _mm256_shuffle_epi8(_mm256_loadu_si256(table + 1), _mm256_and_si256(b, low));
        a_high = _mm256_shuffle_epi8(_mm256_loadu_si256(table + 2), a_high);
        b_high = _mm256_shuffle_epi8(_mm256_loadu_si256(table + 3), b_high);
        __m256i sum = _mm256_add_epi8(_mm256_add_epi8(a, b), _mm256_add_epi8(a_high, b_high));
        both = _mm256_add_epi16(both, sum);
        odd = _mm256_add_epi16(odd, _mm256_srli_epi16(sum, 8));
    }
    __m256i even = _mm256_sub_epi16(both, _mm256_slli_epi16(odd, 8));
    __m256i limit = _mm256_set1_epi16((short)(least - 1));
    __m256i mask = _mm256_blendv_epi8(_mm256_cmpgt_epi16(even, limit),
                                      _mm256_cmpgt_epi16(odd, limit),
                                      _mm256_set1_epi16((short)0xff00));
    uint32_t bits = (uint32_t)_mm256_movemask_epi8(mask);
    if (bits == 0)
        return 0;
    __m256i first = _mm256_unpacklo_epi16(even, odd), second = _mm256_unpackhi_epi16(even, odd);
    _mm256_storeu_si256((__m256i *)ret, _mm256_permute2x128_si256(first, second, 0x20));
    _mm256_storeu_si256((__m256i *)(ret + 16), _mm256_permute2x128_si256(first, second, 0x31));
    return bits;
}

#define LEVEL CPU_AVX2
#define LEVEL_TABLE simd_avx2
#include "core/simd/kernels.inc"
#endif
