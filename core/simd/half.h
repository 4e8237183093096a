/* half - one number at a time between float32 and its two 16-bit relatives
 *
 *     float16    1 sign, 5 exponent, 10 fraction     IEEE binary16
 *     bfloat16   1 sign, 8 exponent,  7 fraction     the upper half of a float32
 *
 * To 16 bits: to nearest, ties to even; too big becomes inf; a NaN stays one.
 * From 16 bits: exact.  Arrays are converted by core/simd/simd.h.
 */
#ifndef CORE_SIMD_HALF_H
#define CORE_SIMD_HALF_H

#include <stdint.h>

uint16_t half_f16_from_f32(float x);
uint16_t half_bf16_from_f32(float x);
float    half_f32_from_f16(uint16_t half);
float    half_f32_from_bf16(uint16_t half);

#endif
