/* avx512_emulated - the instructions that core/simd/avx512.c uses, in plain C
 *
 * Written from Intel's description of each operation, lane by lane, so that
 * the file's own logic (masks, tails, lanes, order) is run on processors
 * without AVX-512.  Narrower instructions are the real ones: it takes AVX2.
 * A masked load reads only the cells of the mask, so asan guards it too.
 */
#ifndef TESTS_SUPPORT_AVX512_EMULATED_H
#define TESTS_SUPPORT_AVX512_EMULATED_H

#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c,popcnt")
#include <immintrin.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct emu_ps { float lane[16]; } emu_ps_t;
typedef union emu_si { int32_t i32[16]; int16_t i16[32]; uint8_t bytes[64]; } emu_si_t;
typedef uint32_t emu_mask_t;

#define __m512    emu_ps_t
#define __m512i   emu_si_t
#define __mmask16 emu_mask_t
#define __mmask32 emu_mask_t

/* Not inlined: sixteen lanes in each of a kernel's hundred places compile for minutes. */
#define EMU static __attribute__((noinline, unused))
#define EMU_LANES(n, expression) for (size_t i = 0; i < (n); i++) (expression)

EMU emu_ps_t emu_set1_ps(float x)  { emu_ps_t r; EMU_LANES(16, r.lane[i] = x); return r; }
EMU emu_ps_t emu_setzero_ps(void)  { return emu_set1_ps(0); }
EMU emu_ps_t emu_loadu_ps(const void *p) { emu_ps_t r; memcpy(&r, p, 64); return r; }
EMU void emu_storeu_ps(void *p, emu_ps_t a) { memcpy(p, &a, 64); }

EMU emu_ps_t emu_add_ps(emu_ps_t a, emu_ps_t b)
{
    EMU_LANES(16, a.lane[i] += b.lane[i]);
    return a;
}
EMU emu_ps_t emu_sub_ps(emu_ps_t a, emu_ps_t b)
{
    EMU_LANES(16, a.lane[i] -= b.lane[i]);
    return a;
}
EMU emu_ps_t emu_mul_ps(emu_ps_t a, emu_ps_t b)
{
    EMU_LANES(16, a.lane[i] *= b.lane[i]);
    return a;
}
EMU emu_ps_t emu_fmadd_ps(emu_ps_t a, emu_ps_t b, emu_ps_t c)
{
    EMU_LANES(16, a.lane[i] = fmaf(a.lane[i], b.lane[i], c.lane[i]));
    return a;
}
EMU __m256 emu_low_ps(emu_ps_t a) { return _mm256_loadu_ps(a.lane); }
EMU __m256 emu_extractf32x8_ps(emu_ps_t a, int half) { return _mm256_loadu_ps(a.lane + 8 * half); }

/* Only the comparison that avx512.c asks for: ordered, less or equal. */
EMU emu_mask_t emu_cmp_ps_mask(emu_ps_t a, emu_ps_t b, int how)
{
    emu_mask_t r = 0;
    EMU_LANES(16, r |= (emu_mask_t)(how == _CMP_LE_OQ && a.lane[i] <= b.lane[i]) << i);
    return r;
}

EMU void emu_masked_copy(void *into, const void *from, emu_mask_t mask, size_t cells, size_t bytes)
{
    memset(into, 0, cells * bytes);
    for (size_t i = 0; i < cells; i++)
        if (mask >> i & 1)
            memcpy((uint8_t *)into + i * bytes, (const uint8_t *)from + i * bytes, bytes);
}
EMU emu_ps_t emu_maskz_loadu_ps(emu_mask_t mask, const void *p)
{
    emu_ps_t r;
    emu_masked_copy(&r, p, mask, 16, 4);
    return r;
}
EMU emu_si_t emu_maskz_loadu_epi16(emu_mask_t mask, const void *p)
{
    emu_si_t r;
    emu_masked_copy(&r, p, mask, 32, 2);
    return r;
}
EMU __m256i emu_maskz_loadu_epi16_256(emu_mask_t mask, const void *p)
{
    __m256i r;
    emu_masked_copy(&r, p, mask, 16, 2);
    return r;
}
EMU __m256i emu_maskz_loadu_epi8_256(emu_mask_t mask, const void *p)
{
    __m256i r;
    emu_masked_copy(&r, p, mask, 32, 1);
    return r;
}

EMU emu_si_t emu_loadu_si512(const void *p) { emu_si_t r; memcpy(&r, p, 64); return r; }
EMU emu_si_t emu_setzero_si512(void)        { return (emu_si_t){ .bytes = {0} }; }
EMU emu_ps_t emu_as_ps(emu_si_t a)          { return emu_loadu_ps(&a); }
EMU __m256i emu_low_si(emu_si_t a)          { return _mm256_loadu_si256((const void *)a.bytes); }
EMU __m256i emu_extracti64x4_epi64(emu_si_t a, int half)
{
    return _mm256_loadu_si256((const void *)(a.bytes + 32 * half));
}

EMU emu_ps_t emu_cvtph_ps(__m256i a)
{
    emu_ps_t r;
    _mm256_storeu_ps(r.lane, _mm256_cvtph_ps(_mm256_castsi256_si128(a)));
    _mm256_storeu_ps(r.lane + 8, _mm256_cvtph_ps(_mm256_extracti128_si256(a, 1)));
    return r;
}
EMU emu_si_t emu_cvtepu16_epi32(__m256i a)
{
    uint16_t from[16];
    emu_si_t r;
    memcpy(from, &a, 32);
    EMU_LANES(16, r.i32[i] = from[i]);
    return r;
}
EMU emu_si_t emu_cvtepi8_epi16(__m256i a)
{
    int8_t from[32];
    emu_si_t r;
    memcpy(from, &a, 32);
    EMU_LANES(32, r.i16[i] = from[i]);
    return r;
}
EMU emu_si_t emu_slli_epi32(emu_si_t a, unsigned n)
{
    EMU_LANES(16, a.i32[i] = (int32_t)((uint32_t)a.i32[i] << n));
    return a;
}
EMU emu_si_t emu_sub_epi16(emu_si_t a, emu_si_t b)
{
    EMU_LANES(32, a.i16[i] = (int16_t)(a.i16[i] - b.i16[i]));
    return a;
}
EMU emu_si_t emu_add_epi32(emu_si_t a, emu_si_t b)
{
    EMU_LANES(16, a.i32[i] += b.i32[i]);
    return a;
}
EMU emu_si_t emu_madd_epi16(emu_si_t a, emu_si_t b)
{
    emu_si_t r;
    EMU_LANES(16, r.i32[i] = a.i16[2 * i] * b.i16[2 * i] + a.i16[2 * i + 1] * b.i16[2 * i + 1]);
    return r;
}

EMU emu_si_t emu_set1_epi8(int x) { emu_si_t r; memset(r.bytes, x, 64); return r; }
EMU emu_si_t emu_and_si512(emu_si_t a, emu_si_t b)
{
    EMU_LANES(64, a.bytes[i] &= b.bytes[i]);
    return a;
}
EMU emu_si_t emu_add_epi8(emu_si_t a, emu_si_t b)
{
    EMU_LANES(64, a.bytes[i] = (uint8_t)(a.bytes[i] + b.bytes[i]));
    return a;
}
EMU emu_si_t emu_add_epi16(emu_si_t a, emu_si_t b)
{
    EMU_LANES(32, a.i16[i] = (int16_t)(a.i16[i] + b.i16[i]));
    return a;
}
EMU emu_si_t emu_srli_epi16(emu_si_t a, unsigned n)
{
    EMU_LANES(32, a.i16[i] = (int16_t)((uint16_t)a.i16[i] >> n));
    return a;
}
/* Bytes of each quarter by the low four bits of b's; none where b's highest bit is set. */
EMU emu_si_t emu_shuffle_epi8(emu_si_t a, emu_si_t b)
{
    emu_si_t r;
    EMU_LANES(64, r.bytes[i] = b.bytes[i] & 128 ? 0 : a.bytes[(i & ~15u) | (b.bytes[i] & 15)]);
    return r;
}
EMU emu_si_t emu_cvtepu8_epi32(__m128i a)
{
    uint8_t from[16];
    emu_si_t r;
    memcpy(from, &a, 16);
    EMU_LANES(16, r.i32[i] = from[i]);
    return r;
}
EMU emu_ps_t emu_cvtepi32_ps(emu_si_t a)
{
    emu_ps_t r;
    EMU_LANES(16, r.lane[i] = (float)a.i32[i]);
    return r;
}
EMU __m128i emu_maskz_loadu_epi8_128(emu_mask_t mask, const void *p)
{
    __m128i r;
    emu_masked_copy(&r, p, mask, 16, 1);
    return r;
}

/* Some of the compiler's own are macros. */
#undef _mm512_srli_epi16
#undef _mm512_cmp_ps_mask
#undef _mm512_extractf32x8_ps
#undef _mm512_extracti64x4_epi64
#undef _mm512_slli_epi32
#define _mm512_set1_ps            emu_set1_ps
#define _mm512_setzero_ps         emu_setzero_ps
#define _mm512_loadu_ps           emu_loadu_ps
#define _mm512_storeu_ps          emu_storeu_ps
#define _mm512_add_ps             emu_add_ps
#define _mm512_sub_ps             emu_sub_ps
#define _mm512_mul_ps             emu_mul_ps
#define _mm512_fmadd_ps           emu_fmadd_ps
#define _mm512_castps512_ps256    emu_low_ps
#define _mm512_extractf32x8_ps    emu_extractf32x8_ps
#define _mm512_cmp_ps_mask        emu_cmp_ps_mask
#define _mm512_maskz_loadu_ps     emu_maskz_loadu_ps
#define _mm512_maskz_loadu_epi16  emu_maskz_loadu_epi16
#define _mm256_maskz_loadu_epi16  emu_maskz_loadu_epi16_256
#define _mm256_maskz_loadu_epi8   emu_maskz_loadu_epi8_256
#define _mm512_loadu_si512        emu_loadu_si512
#define _mm512_setzero_si512      emu_setzero_si512
#define _mm512_castsi512_ps       emu_as_ps
#define _mm512_castsi512_si256    emu_low_si
#define _mm512_extracti64x4_epi64 emu_extracti64x4_epi64
#define _mm512_cvtph_ps           emu_cvtph_ps
#define _mm512_cvtepu16_epi32     emu_cvtepu16_epi32
#define _mm512_cvtepi8_epi16      emu_cvtepi8_epi16
#define _mm512_slli_epi32         emu_slli_epi32
#define _mm512_sub_epi16          emu_sub_epi16
#define _mm512_add_epi32          emu_add_epi32
#define _mm512_madd_epi16         emu_madd_epi16
#define _mm512_set1_epi8          emu_set1_epi8
#define _mm512_and_si512          emu_and_si512
#define _mm512_add_epi8           emu_add_epi8
#define _mm512_add_epi16          emu_add_epi16
#define _mm512_srli_epi16         emu_srli_epi16
#define _mm512_shuffle_epi8       emu_shuffle_epi8
#define _mm512_cvtepu8_epi32      emu_cvtepu8_epi32
#define _mm512_cvtepi32_ps        emu_cvtepi32_ps
#define _mm_maskz_loadu_epi8      emu_maskz_loadu_epi8_128

#endif
