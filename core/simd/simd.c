/* simd - which table is in use; queries made ready for it */
#include "core/simd/simd.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "core/base/limits.h"
#include "core/simd/simd_int.h"

/* Written once at start, or by whoever asks first; every writer writes the same. */
static _Atomic(const simd_t *) s_in_use;

const simd_t *simd_at(cpu_level_t level)
{
    if (level > cpu_best())
        return NULL;
#if defined(__x86_64__)
    if (level == CPU_AVX512)
        return &simd_avx512;
    if (level == CPU_AVX2)
        return &simd_avx2;
#endif
    return &simd_scalar;
}

bool simd_setup(const char *type)
{
    const char *forced = getenv("ELANUS_SIMD");
    cpu_level_t level;
    if (!cpu_level_of(forced && *forced ? forced : type, &level))
        return false;
    atomic_store(&s_in_use, simd_at(level));
    return true;
}

const simd_t *simd(void)
{
    const simd_t *table = atomic_load_explicit(&s_in_use, memory_order_acquire);
    if (table)
        return table;
    if (!simd_setup("auto"))                /* ELANUS_SIMD is no level: main will say so */
        return simd_at(cpu_best());
    return atomic_load(&s_in_use);
}

static void s_check_dim(simd_kernel_t kernel, size_t dim)
{
    bool bits = kernel == SIMD_BIN_HAMMING || kernel == SIMD_BIN_JACCARD;
    check(kernel < SIMD_KERNELS && dim > 0);
    check(bits ? dim % 8 == 0 && dim <= 8 * LIMIT_DIM : dim <= LIMIT_DIM);
}

size_t simd_row_bytes(simd_kernel_t kernel, size_t dim)
{
    s_check_dim(kernel, dim);
    if (kernel <= SIMD_F32_IP)
        return dim * 4;
    if (kernel <= SIMD_BF16_IP)
        return dim * 2;
    return kernel <= SIMD_I8_IP ? dim : dim / 8;
}

size_t simd_query_bytes(simd_kernel_t kernel, size_t dim)
{
    s_check_dim(kernel, dim);
    if (kernel <= SIMD_BF16_IP)
        return dim * 4;
    return kernel <= SIMD_I8_IP ? dim * 2 : dim / 8;
}

static void s_widen_i8(const int8_t *cell, size_t dim, int16_t *ret)
{
    for (size_t i = 0; i < dim; i++)
        ret[i] = cell[i];
}

void simd_prepare(simd_kernel_t kernel, const void *cell, size_t dim, void *ret)
{
    s_check_dim(kernel, dim);
    if (kernel == SIMD_F16_L2 || kernel == SIMD_F16_IP)
        simd()->f32_from_f16(cell, dim, ret);
    else if (kernel == SIMD_BF16_L2 || kernel == SIMD_BF16_IP)
        simd()->f32_from_bf16(cell, dim, ret);
    else if (kernel == SIMD_I8_L2 || kernel == SIMD_I8_IP)
        s_widen_i8(cell, dim, ret);
    else
        memcpy(ret, cell, simd_query_bytes(kernel, dim));
}

static const char *const s_names[SIMD_KERNELS] = {
    "F32_L2", "F32_IP", "F16_L2", "F16_IP", "BF16_L2", "BF16_IP", "I8_L2", "I8_IP",
    "BIN_HAMMING", "BIN_JACCARD",
};

const char *simd_kernel_name(simd_kernel_t kernel)
{
    check(kernel < SIMD_KERNELS);
    return s_names[kernel];
}

bool simd_kernel_descends(simd_kernel_t kernel)
{
    return kernel == SIMD_F32_IP || kernel == SIMD_F16_IP || kernel == SIMD_BF16_IP
        || kernel == SIMD_I8_IP;
}
