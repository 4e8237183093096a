/* codes: kernels over quantized vectors at every level this processor has, and AVX-512's where it
 * has not, beside sums in double; four-bit sums are the same integers everywhere. */
#if defined(__x86_64__)
#include "tests/support/avx512_emulated.h"
#define SIMD_INTRINSICS "tests/support/avx512_emulated.h"
#define simd_avx512 simd_emulated
#include "core/simd/avx512.c"
#pragma GCC pop_options
#endif

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <math.h>

#include "core/base/rng.h"
#include "core/simd/simd.h"

enum { LEVELS = 4, DIM = 131, ROWS = 9 };

/* Level i, NULL: there is none here. */
static const simd_t *s_level(size_t i)
{
#if defined(__x86_64__)
    if (i == CPU_LEVELS)
        return cpu_best() >= CPU_AVX2 ? &simd_emulated : NULL;
#endif
    return i < CPU_LEVELS ? simd_at((cpu_level_t)i) : NULL;
}

static float s_unit(rng_t *rng) { return (float)(2 * rng_unit(rng) - 1); }

static void tables_are_added_to(void **state)
{
    (void)state;
    rng_t rng;
    rng_seed(&rng, 1);
    for (size_t l = 0; l < LEVELS; l++)
        for (size_t n = 0; s_level(l) && n <= 50; n++) {
            float x[50], sums[50], before[50], by = s_unit(&rng);
            for (size_t i = 0; i < n; i++) {
                x[i] = s_unit(&rng);
                before[i] = sums[i] = s_unit(&rng);
            }
            s_level(l)->codes.add_products(sums, x, n, by);
            for (size_t i = 0; i < n; i++) {
                double from = (double)before[i];
                assert_true(fabs((double)sums[i] - (from + (double)by * (double)x[i])) < 1e-6);
            }
        }
}

static void tables_are_made(void **state)
{
    (void)state;
    rng_t rng;
    rng_seed(&rng, 4);
    for (size_t l = 0; l < LEVELS; l++)
        for (size_t n = 1; s_level(l) && n <= 150; n += n < 20 ? 1 : 13)
            for (size_t cells = 1; cells <= 5; cells++) {
                float *x = mem_new(cells * n * sizeof *x), *ret = mem_new(2 * n * sizeof *ret);
                float query[5];                         /* so that asan sees a cell too many */
                for (size_t i = 0; i < cells * n; i++)
                    x[i] = s_unit(&rng);
                for (size_t i = 0; i < cells; i++)
                    query[i] = s_unit(&rng);
                s_level(l)->codes.table_squares(x, n, cells, query, ret);
                s_level(l)->codes.table_products(x, n, cells, query, ret + n);
                for (size_t c = 0; c < n; c++) {
                    double squares = 0, products = 0;
                    for (size_t i = 0; i < cells; i++) {
                        squares += pow((double)query[i] - (double)x[i * n + c], 2);
                        products += (double)query[i] * (double)x[i * n + c];
                    }
                    assert_true(fabs((double)ret[c] - squares) < 2e-6 * (double)cells);
                    assert_true(fabs((double)ret[n + c] - products) < 1e-6 * (double)cells);
                }
                mem_free(x);
                mem_free(ret);
            }
}

/* The bound of simd.h; one row, several, and some of them give the same bits. */
static void bytes_are_scored(void **state)
{
    (void)state;
    rng_t rng;
    rng_seed(&rng, 2);
    static const uint32_t ids[4] = { 8, 0, 3, 8 };
    for (size_t l = 0; l < LEVELS; l++)
        for (size_t dim = 1; s_level(l) && dim <= DIM; dim++) {
            uint8_t *rows = mem_new(ROWS * dim);        /* so that asan sees a byte too many */
            float *query = mem_new(dim * sizeof *query), *step = mem_new(dim * sizeof *step);
            float l2[ROWS], ip[ROWS], some[4];
            for (size_t i = 0; i < ROWS * dim; i++)
                rows[i] = (uint8_t)rng_below(&rng, 256);
            for (size_t i = 0; i < dim; i++) {
                query[i] = s_unit(&rng);
                step[i] = s_unit(&rng) / 128;
            }
            const simd_codes_t *codes = &s_level(l)->codes;
            codes->bytes_l2(query, step, rows, NULL, ROWS, dim, l2);
            codes->bytes_ip(query, rows, NULL, ROWS, dim, ip);
            for (size_t r = 0; r < ROWS; r++) {
                double far = 0, product = 0, size = 0, most = 0;
                for (size_t i = 0; i < dim; i++) {
                    double c = rows[r * dim + i], d = (double)query[i] - (double)step[i] * c;
                    far += d * d;
                    most += pow(fabs((double)query[i]) + fabs((double)step[i] * c), 2);
                    product += (double)query[i] * c;
                    size += fabs((double)query[i] * c);
                }
                double u = ((double)dim / 8 + 12) * 0x1p-24;
                assert_true(fabs((double)l2[r] - far) <= 2 * u * most);
                assert_true(fabs((double)ip[r] - product) <= u * size);
            }
            codes->bytes_l2(query, step, rows, ids, 4, dim, some);
            assert_true(some[0] == l2[8] && some[1] == l2[0] && some[2] == l2[3]);
            codes->bytes_ip(query, rows, ids, 3, dim, some);
            assert_true(some[0] == ip[8] && some[1] == ip[0] && some[2] == ip[3]);
            mem_free(rows);
            mem_free(query);
            mem_free(step);
        }
}

static void nibbles_are_the_same_everywhere(void **state)
{
    (void)state;
    rng_t rng;
    rng_seed(&rng, 3);
    for (size_t groups = 1; groups <= 128; groups += groups < 9 ? 1 : 40) {
        uint8_t *codes = mem_new(groups * SIMD_GROUP_BYTES);
        uint8_t *tables = mem_new(groups * SIMD_TABLE_BYTES);
        unsigned most = 32767 / (unsigned)groups / 4 < 63 ? 32767 / (unsigned)groups / 4 : 63;
        uint16_t want[SIMD_BLOCK_ROWS] = {0}, sums[SIMD_BLOCK_ROWS];
        for (size_t i = 0; i < groups * SIMD_GROUP_BYTES; i++)
            codes[i] = (uint8_t)rng_below(&rng, 256);
        for (size_t i = 0; i < groups * SIMD_TABLE_BYTES; i++)
            tables[i] = i % 32 < 16 ? (uint8_t)(most - rng_below(&rng, 3)) : tables[i - 16];
        for (size_t g = 0; g < groups; g++)
            for (size_t r = 0; r < SIMD_BLOCK_ROWS; r++) {
                const uint8_t *at = codes + g * SIMD_GROUP_BYTES + r;
                const uint8_t *table = tables + g * SIMD_TABLE_BYTES;
                want[r] = (uint16_t)(want[r] + table[at[0] & 15] + table[64 + (at[0] >> 4)] +
                                     table[32 + (at[32] & 15)] + table[96 + (at[32] >> 4)]);
            }
        for (size_t l = 0; l < LEVELS; l++)
            for (unsigned least = 0; s_level(l) && least <= 32767; least += 1 + least / 40) {
                uint32_t bits = s_level(l)->codes.nibbles(tables, codes, groups, (uint16_t)least,
                                                          sums);
                for (size_t r = 0; r < SIMD_BLOCK_ROWS; r++)
                    assert_int_equal(bits >> r & 1, want[r] >= least);
                if (bits)
                    assert_memory_equal(sums, want, sizeof sums);
            }
        mem_free(codes);
        mem_free(tables);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables_are_added_to),
        cmocka_unit_test(tables_are_made),
        cmocka_unit_test(bytes_are_scored),
        cmocka_unit_test(nibbles_are_the_same_everywhere),
    };
    return cmocka_run_group_tests_name("codes", tests, NULL, NULL);
}
