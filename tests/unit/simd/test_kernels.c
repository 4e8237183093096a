/* kernels: every level this processor has does what simd.h says; int8 cannot overflow; halves
 * convert as the compiler's do; the level is chosen as asked. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "core/base/limits.h"
#include "core/base/rng.h"
#include "core/simd/half.h"
#include "core/simd/simd.h"
#include "tests/support/simd_conformance.h"

static void s_check_level(cpu_level_t which)
{
    const simd_t *level = simd_at(which);
    if (!level) {
        print_message("skipped: this processor has no %s\n", cpu_level_name(which));
        skip();
    }
    simd_conformance(level, LIMIT_DIM);
}

static void scalar_is_right(void **state) { (void)state; s_check_level(CPU_SCALAR); }
static void avx2_is_right(void **state)   { (void)state; s_check_level(CPU_AVX2); }
static void avx512_is_right(void **state) { (void)state; s_check_level(CPU_AVX512); }

/* The greatest sums there are: a wrap-around would be far off, and mostly negative. */
static void int8_never_overflows(void **state)
{
    (void)state;
    int8_t *low = malloc(LIMIT_DIM), *high = malloc(LIMIT_DIM);
    int16_t *query = malloc(LIMIT_DIM * 2);
    memset(low, -128, LIMIT_DIM);
    memset(high, 127, LIMIT_DIM);
    simd_prepare(SIMD_I8_L2, low, LIMIT_DIM, query);
    for (cpu_level_t l = 0; l < CPU_LEVELS; l++) {
        const simd_t *level = simd_at(l);
        if (!level)
            continue;
        const simd_ops_t *l2 = &level->ops[SIMD_I8_L2], *ip = &level->ops[SIMD_I8_IP];
        float norm;
        assert_true(l2->pair(query, high, LIMIT_DIM) == (float)(255.0 * 255 * LIMIT_DIM));
        assert_true(ip->pair(query, high, LIMIT_DIM) == (float)(-128.0 * 127 * LIMIT_DIM));
        assert_true(ip->pair(query, low, LIMIT_DIM) == (float)(128.0 * 128 * LIMIT_DIM));
        ip->norm2(low, 1, LIMIT_DIM, &norm);
        assert_true(norm == (float)(128.0 * 128 * LIMIT_DIM));
    }
    free(low);
    free(high);
    free(query);
}

/* Sums past the greatest float: inf for L2, and sizes near it are still right. */
static void floats_overflow_to_inf(void **state)
{
    (void)state;
    float q[20], r[20];
    for (size_t i = 0; i < 20; i++) {
        q[i] = 1e20f;
        r[i] = -1e20f;
    }
    for (cpu_level_t l = 0; l < CPU_LEVELS; l++) {
        const simd_t *level = simd_at(l);
        if (!level)
            continue;
        assert_true(level->ops[SIMD_F32_L2].pair(q, r, 20) == INFINITY);
        assert_true(level->ops[SIMD_F32_IP].pair(q, r, 20) == -INFINITY);
        assert_true(level->ops[SIMD_F32_L2].pair(q, q, 20) == 0);
    }
}

static void empty_sets_have_jaccard_one(void **state)
{
    (void)state;
    uint8_t none[24] = {0}, some[24] = { [3] = 0x10, [23] = 0x81 };
    for (cpu_level_t l = 0; l < CPU_LEVELS; l++) {
        const simd_t *level = simd_at(l);
        if (!level)
            continue;
        const simd_ops_t *jaccard = &level->ops[SIMD_BIN_JACCARD];
        assert_true(jaccard->pair(none, none, 192) == 1);
        assert_true(jaccard->pair(none, some, 192) == 1);
        assert_true(jaccard->pair(some, some, 192) == 0);
    }
}

/* Every 16-bit pattern: arrays convert as half.c does, and half.c as the compiler does. */
static void halves_convert_exactly(void **state)
{
    (void)state;
    enum { ALL = 65536 };
    uint16_t *cells = malloc(ALL * 2);
    float *f16 = malloc(ALL * 4), *bf16 = malloc(ALL * 4);
    for (uint32_t i = 0; i < ALL; i++)
        cells[i] = (uint16_t)i;
    for (cpu_level_t l = 0; l < CPU_LEVELS; l++) {
        const simd_t *level = simd_at(l);
        if (!level)
            continue;
        level->f32_from_f16(cells, ALL, f16);
        level->f32_from_bf16(cells, ALL, bf16);
        for (uint32_t i = 0; i < ALL; i++) {
            float one = half_f32_from_f16(cells[i]), two = half_f32_from_bf16(cells[i]);
            if (isnan(one))
                assert_true(isnan(f16[i]) && isnan(half_f32_from_f16(half_f16_from_f32(one))));
            else {
                assert_memory_equal(&one, &f16[i], 4);
                assert_int_equal(half_f16_from_f32(one), cells[i]);
            }
            assert_memory_equal(&two, &bf16[i], 4);
            if (!isnan(two))
                assert_int_equal(half_bf16_from_f32(two), cells[i]);
        }
        level->f32_from_f16(cells + 1, 13, f16);        /* a tail */
        assert_true(f16[12] == half_f32_from_f16(13));
    }
    free(cells);
    free(f16);
    free(bf16);
}

#ifdef __FLT16_MAX__
static void halves_round_to_nearest_even(void **state)
{
    (void)state;
    rng_t rng;
    rng_seed(&rng, 9);
    for (int i = 0; i < 300000; i++) {
        uint32_t bits = (uint32_t)rng_u64(&rng);
        if (i % 2)                                      /* half of them within float16's range */
            bits = (bits & 0x80000fff) | ((uint32_t)rng_below(&rng, 48) + 98) << 23
                 | (bits & 0x7ff000);
        float x;
        memcpy(&x, &bits, 4);
        if (isnan(x))
            continue;
        _Float16 theirs = (_Float16)x;
        uint16_t ours = half_f16_from_f32(x);
        assert_memory_equal(&ours, &theirs, 2);
    }
    assert_int_equal(half_f16_from_f32(65519.0f), 0x7bff);
    assert_int_equal(half_f16_from_f32(65520.0f), 0x7c00);
    assert_int_equal(half_bf16_from_f32(0x1.01p0f), 0x3f80);    /* ties to even */
    assert_int_equal(half_bf16_from_f32(0x1.03p0f), 0x3f82);
    assert_int_equal(half_bf16_from_f32(FLT_MAX), 0x7f80);
}
#else
static void halves_round_to_nearest_even(void **state)
{
    (void)state;
    print_message("skipped: this compiler has no _Float16\n");
    skip();
}
#endif

static void survivors_are_those_within(void **state)
{
    (void)state;
    rng_t rng;
    rng_seed(&rng, 5);
    float scores[100];
    uint32_t at[100];
    for (size_t n = 0; n <= 100; n++)
        for (cpu_level_t l = 0; l < CPU_LEVELS; l++) {
            for (size_t i = 0; i < n; i++)
                scores[i] = rng_chance(&rng, 0.1) ? NAN : (float)rng_below(&rng, 10) - 5;
            const simd_t *level = simd_at(l);
            for (int down = 0; down < 2 && level; down++) {
                size_t found = level->survivors(scores, n, -1, down, at), j = 0;
                for (size_t i = 0; i < n; i++)
                    if (down ? scores[i] >= -1 : scores[i] <= -1)
                        assert_true(j < found && at[j++] == i);
                assert_int_equal(j, found);
            }
        }
}

static void scale_multiplies_twice(void **state)
{
    (void)state;
    float scores[37], by[37];
    for (cpu_level_t l = 0; l < CPU_LEVELS; l++) {
        const simd_t *level = simd_at(l);
        for (size_t i = 0; i < 37; i++) {
            scores[i] = 1.1f * (float)i;
            by[i] = 0.3f + (float)i;
        }
        if (level)
            level->scale(scores, 37, by, 0.7f);
        for (size_t i = 0; i < 37 && level; i++)
            assert_true(scores[i] == 1.1f * (float)i * by[i] * 0.7f);
    }
}

/* The environment beats the configuration; nothing beats the processor; nonsense is refused. */
static void level_is_chosen_by_word(void **state)
{
    (void)state;
    unsetenv("ELANUS_SIMD");
    assert_true(simd_setup("scalar"));
    assert_int_equal(simd()->level, CPU_SCALAR);
    assert_false(simd_setup("sse9"));
    assert_int_equal(simd()->level, CPU_SCALAR);
    assert_true(simd_setup("avx512"));
    assert_int_equal(simd()->level, cpu_best());
    setenv("ELANUS_SIMD", "scalar", 1);
    assert_true(simd_setup("auto"));
    assert_int_equal(simd()->level, CPU_SCALAR);
    unsetenv("ELANUS_SIMD");
    assert_true(simd_setup("auto"));
    assert_int_equal(simd()->level, cpu_best());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scalar_is_right),
        cmocka_unit_test(avx2_is_right),
        cmocka_unit_test(avx512_is_right),
        cmocka_unit_test(int8_never_overflows),
        cmocka_unit_test(floats_overflow_to_inf),
        cmocka_unit_test(empty_sets_have_jaccard_one),
        cmocka_unit_test(halves_convert_exactly),
        cmocka_unit_test(halves_round_to_nearest_even),
        cmocka_unit_test(survivors_are_those_within),
        cmocka_unit_test(scale_multiplies_twice),
        cmocka_unit_test(level_is_chosen_by_word),
    };
    return cmocka_run_group_tests_name("kernels", tests, NULL, NULL);
}
