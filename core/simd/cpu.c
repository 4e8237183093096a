/* cpu - see cpu.h */
#include "core/simd/cpu.h"

#if defined(__x86_64__)
/* The compiler's runtime asks cpuid for the feature and xgetbv for the registers. */
#define HAS(feature) (__builtin_cpu_supports(feature) > 0)

cpu_level_t cpu_best(void)
{
    __builtin_cpu_init();
    if (!(HAS("avx2") && HAS("fma") && HAS("f16c") && HAS("popcnt")))
        return CPU_SCALAR;
    if (!(HAS("avx512f") && HAS("avx512bw") && HAS("avx512dq") && HAS("avx512vl")))
        return CPU_AVX2;
    return CPU_AVX512;
}
#else
cpu_level_t cpu_best(void)
{
    return CPU_SCALAR;
}
#endif

static const char *const s_names[CPU_LEVELS] = { "scalar", "avx2", "avx512" };

const char *cpu_level_name(cpu_level_t level)
{
    check(level < CPU_LEVELS);
    return s_names[level];
}

bool cpu_level_of(const char *name, cpu_level_t *ret)
{
    cpu_level_t best = cpu_best();
    if (strcmp(name, "auto") == 0) {
        *ret = best;
        return true;
    }
    for (cpu_level_t level = 0; level < CPU_LEVELS; level++)
        if (strcmp(name, s_names[level]) == 0) {
            *ret = level < best ? level : best;
            return true;
        }
    return false;
}
