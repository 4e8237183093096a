/* scalar - the level that runs everywhere
 *
 * Vectors of four floats in the compiler's own notation: it makes the
 * baseline's instructions of them (SSE2, NEON) or plain ones.  No fused
 * multiply-add, so a product rounds once more than at the other levels.
 */
#include "core/simd/simd_int.h"

enum { LANES = 4, INTS = 4, TILE_Q = 2, TILE_ROWS = 2 };

typedef float    vf __attribute__((vector_size(16)));
typedef int32_t  vi __attribute__((vector_size(16)));
typedef uint32_t vu __attribute__((vector_size(16)));
typedef int16_t  vs __attribute__((vector_size(8)));
typedef uint16_t vh __attribute__((vector_size(8)));
typedef int8_t   vb __attribute__((vector_size(4)));

ALWAYS_INLINE vf vf_all(float x)            { return (vf){ x, x, x, x }; }
ALWAYS_INLINE vf vf_zero(void)              { return vf_all(0); }
ALWAYS_INLINE vf vf_add(vf a, vf b)         { return a + b; }
ALWAYS_INLINE vf vf_sub(vf a, vf b)         { return a - b; }
ALWAYS_INLINE vf vf_mul(vf a, vf b)         { return a * b; }
ALWAYS_INLINE vf vf_fma(vf a, vf b, vf c)   { return a * b + c; }
ALWAYS_INLINE float vf_sum(vf v)            { return (v[0] + v[2]) + (v[1] + v[3]); }
ALWAYS_INLINE void vf_store(float *p, vf v) { memcpy(p, &v, sizeof v); }

ALWAYS_INLINE uint32_t vf_mask_le(vf a, vf b)
{
    vi m = a <= b;
    return (uint32_t)((m[0] & 1) | (m[1] & 2) | (m[2] & 4) | (m[3] & 8));
}

ALWAYS_INLINE vf vf_load_f32(const uint8_t *p)
{
    vf v;
    memcpy(&v, p, sizeof v);
    return v;
}

ALWAYS_INLINE vf vf_part_f32(const uint8_t *p, size_t n)
{
    simd_rest_t rest = simd_rest(p, n * 4);
    vf v;
    memcpy(&v, &rest, sizeof v);
    return v;
}

ALWAYS_INLINE vf s_bf16(uint64_t cells)
{
    vh h;
    memcpy(&h, &cells, sizeof h);
    return (vf)(__builtin_convertvector(h, vu) << 16);
}

/* core/simd/half.c, four at a time. */
ALWAYS_INLINE vf s_f16(uint64_t cells)
{
    vh h;
    memcpy(&h, &cells, sizeof h);
    vu u = __builtin_convertvector(h, vu);
    vu sign = (u & 0x8000) << 16, size = (u & 0x7fff) << 13;
    vu big = (vu)(size >= 0x0f800000);
    vu value = (vu)((vf)size * vf_all(0x1p112f));
    return (vf)(sign | (big & (size | 0x7f800000)) | (~big & value));
}

ALWAYS_INLINE vf vf_load_f16(const uint8_t *p)            { return s_f16(load_u64(p)); }
ALWAYS_INLINE vf vf_load_bf16(const uint8_t *p)           { return s_bf16(load_u64(p)); }
ALWAYS_INLINE vf vf_part_f16(const uint8_t *p, size_t n)  { return s_f16(simd_rest(p, n * 2).low); }
ALWAYS_INLINE vf vf_part_bf16(const uint8_t *p, size_t n)
{
    return s_bf16(simd_rest(p, n * 2).low);
}

ALWAYS_INLINE vf s_bytes_to_floats(uint32_t bytes)
{
    return (vf){ (float)(bytes & 255), (float)(bytes >> 8 & 255), (float)(bytes >> 16 & 255),
                 (float)(bytes >> 24) };
}
ALWAYS_INLINE vf vf_load_u8(const uint8_t *p)           { return s_bytes_to_floats(load_u32(p)); }
ALWAYS_INLINE vf vf_part_u8(const uint8_t *p, size_t n)
{
    return s_bytes_to_floats((uint32_t)simd_rest(p, n).low);
}

ALWAYS_INLINE vs s_i16(uint64_t cells)
{
    vs v;
    memcpy(&v, &cells, sizeof v);
    return v;
}

ALWAYS_INLINE vs s_i8(uint32_t cells)
{
    vb v;
    memcpy(&v, &cells, sizeof v);
    return __builtin_convertvector(v, vs);
}

ALWAYS_INLINE vs vs_sub(vs a, vs b)                      { return a - b; }
ALWAYS_INLINE vs vs_load_i16(const uint8_t *p)           { return s_i16(load_u64(p)); }
ALWAYS_INLINE vs vs_load_i8(const uint8_t *p)            { return s_i8(load_u32(p)); }
ALWAYS_INLINE vs vs_part_i16(const uint8_t *p, size_t n) { return s_i16(simd_rest(p, n * 2).low); }
ALWAYS_INLINE vs vs_part_i8(const uint8_t *p, size_t n)
{
    return s_i8((uint32_t)simd_rest(p, n).low);
}

ALWAYS_INLINE vi vi_zero(void)      { return (vi){ 0, 0, 0, 0 }; }
ALWAYS_INLINE int32_t vi_sum(vi v)  { return v[0] + v[1] + v[2] + v[3]; }
ALWAYS_INLINE vi vi_dot(vi sum, vs a, vs b)
{
    return sum + __builtin_convertvector(a, vi) * __builtin_convertvector(b, vi);
}

/* Counts in pairs, fours, bytes, then all bytes by one multiplication. */
ALWAYS_INLINE uint64_t pop64(uint64_t x)
{
    x -= (x >> 1) & 0x5555555555555555ull;
    x = (x & 0x3333333333333333ull) + ((x >> 2) & 0x3333333333333333ull);
    x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0full;
    return (x * 0x0101010101010101ull) >> 56;
}

static uint32_t s_nibbles(const uint8_t *tables, const uint8_t *codes, size_t groups,
                          uint16_t least, uint16_t *ret)
{
    uint16_t sums[SIMD_BLOCK_ROWS] = {0};
    uint32_t bits = 0;
    for (size_t g = 0; g < groups; g++, tables += SIMD_TABLE_BYTES, codes += SIMD_GROUP_BYTES)
        for (size_t r = 0; r < SIMD_BLOCK_ROWS; r++) {
            uint8_t a = codes[r], b = codes[SIMD_BLOCK_ROWS + r];
            sums[r] = (uint16_t)(sums[r] + tables[a & 15] + tables[32 + (b & 15)] +
                                 tables[64 + (a >> 4)] + tables[96 + (b >> 4)]);
        }
    for (uint32_t r = 0; r < SIMD_BLOCK_ROWS; r++)
        bits |= (uint32_t)(sums[r] >= least) << r;
    if (bits)
        memcpy(ret, sums, sizeof sums);
    return bits;
}

#define LEVEL CPU_SCALAR
#define LEVEL_TABLE simd_scalar
#include "core/simd/kernels.inc"
