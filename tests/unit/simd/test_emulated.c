/* emulated: the AVX-512 file on emulated instructions, so that its logic is tested on the many
 * processors that lack them.  test_kernels runs the real one where there is one. */
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

#include "core/simd/cpu.h"
#include "tests/support/simd_conformance.h"

#if defined(__x86_64__)
static bool s_can_emulate(void)
{
    if (cpu_best() < CPU_AVX2)
        print_message("skipped: this processor has no AVX2 to emulate AVX-512 with\n");
    return cpu_best() >= CPU_AVX2;
}

static void avx512_is_right(void **state)
{
    (void)state;
    if (!s_can_emulate())
        skip();
    simd_conformance(&simd_emulated, 1000);
}

static void survivors_are_those_within(void **state)
{
    (void)state;
    if (!s_can_emulate())
        skip();
    float scores[53];
    uint32_t at[53];
    for (size_t n = 0; n <= 53; n++) {
        for (size_t i = 0; i < n; i++)
            scores[i] = i % 7 == 6 ? NAN : (float)(i % 5);
        for (int down = 0; down < 2; down++) {
            size_t found = simd_emulated.survivors(scores, n, 2, down, at), j = 0;
            for (size_t i = 0; i < n; i++)
                if (down ? scores[i] >= 2 : scores[i] <= 2)
                    assert_true(j < found && at[j++] == i);
            assert_int_equal(j, found);
        }
    }
}

static void halves_convert_like_scalar(void **state)
{
    (void)state;
    if (!s_can_emulate())
        skip();
    uint16_t cells[77];
    float ours[77], scalar[77];
    for (size_t i = 0; i < 77; i++)
        cells[i] = (uint16_t)(i * 397);         /* below the first NaN of both kinds */
    simd_emulated.f32_from_f16(cells, 77, ours);
    simd_at(CPU_SCALAR)->f32_from_f16(cells, 77, scalar);
    assert_memory_equal(ours, scalar, sizeof ours);
    simd_emulated.f32_from_bf16(cells, 77, ours);
    simd_at(CPU_SCALAR)->f32_from_bf16(cells, 77, scalar);
    assert_memory_equal(ours, scalar, sizeof ours);
}
#else
static void s_skip(void)
{
    print_message("skipped: no x86 to emulate AVX-512 on\n");
    skip();
}
static void avx512_is_right(void **state)            { (void)state; s_skip(); }
static void survivors_are_those_within(void **state) { (void)state; s_skip(); }
static void halves_convert_like_scalar(void **state) { (void)state; s_skip(); }
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(avx512_is_right),
        cmocka_unit_test(survivors_are_those_within),
        cmocka_unit_test(halves_convert_like_scalar),
    };
    return cmocka_run_group_tests_name("emulated", tests, NULL, NULL);
}
