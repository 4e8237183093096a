/* half - see half.h */
#include "core/simd/half.h"

#include <string.h>

static uint32_t s_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static float s_float(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* Drop the lowest `shift` bits, to nearest, ties to even. */
static uint32_t s_round(uint32_t bits, unsigned shift)
{
    uint32_t half = 1u << (shift - 1), odd = (bits >> shift) & 1;
    return (bits + half - 1 + odd) >> shift;
}

uint16_t half_f16_from_f32(float x)
{
    uint32_t sign = s_bits(x) >> 16 & 0x8000, size = s_bits(x) & 0x7fffffff;
    if (size > 0x7f800000)
        return (uint16_t)(sign | 0x7e00);
    if (size >= 0x47800000)                         /* 65536 and up */
        return (uint16_t)(sign | 0x7c00);
    if (size >= 0x38800000)                         /* 2^-14 and up: exponent moves by 112; */
        return (uint16_t)(sign | s_round(size - (112u << 23), 13));  /* a carry may make inf */
    unsigned exponent = size >> 23;
    if (exponent < 102)                             /* below 2^-25: nothing is left */
        return (uint16_t)sign;
    uint32_t fraction = (size & 0x7fffff) | 0x800000;
    return (uint16_t)(sign | s_round(fraction, 126 - exponent));
}

uint16_t half_bf16_from_f32(float x)
{
    uint32_t bits = s_bits(x);
    if ((bits & 0x7fffffff) > 0x7f800000)
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)s_round(bits, 16);
}

/* The half's bits as a float32 are 2^-112 of its value, subnormals too; inf and NaN
 * need the greatest exponent put back. */
float half_f32_from_f16(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16, size = (uint32_t)(half & 0x7fff) << 13;
    if ((half & 0x7c00) == 0x7c00)
        return s_float(sign | 0x7f800000 | size);
    return s_float(sign | s_bits(s_float(size) * 0x1p112f));
}

float half_f32_from_bf16(uint16_t half)
{
    return s_float((uint32_t)half << 16);
}
