/* cpu - which vector instructions this processor and its system offer
 *
 * Three levels, each a superset of the one before.  A level counts only when
 * the operating system saves its registers too.
 *
 *     scalar   portable C, whatever the compiler's baseline makes of it
 *     avx2     AVX2, FMA, F16C, POPCNT        (2013 and later)
 *     avx512   F, BW, DQ, VL                  (servers of 2017 and later, Zen 4)
 */
#ifndef CORE_SIMD_CPU_H
#define CORE_SIMD_CPU_H

#include "core/base/base.h"

typedef enum cpu_level { CPU_SCALAR, CPU_AVX2, CPU_AVX512, CPU_LEVELS } cpu_level_t;

/* The highest level that runs here. */
cpu_level_t cpu_best(void);

/* "scalar", "avx2", "avx512". */
const char *cpu_level_name(cpu_level_t level);

/* The level of that name, lowered to cpu_best(); "auto" is cpu_best().  False for
 * any other word, *ret untouched then. */
bool cpu_level_of(const char *name, cpu_level_t *ret);

#endif
