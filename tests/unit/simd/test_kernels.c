/* kernels: every level this processor has against sums in double, all dims 1..300 and a few
 * big ones, at odd addresses that end where the buffer ends (so that asan sees a byte too
 * many); all paths of a level give the same bits; levels agree; int8 cannot overflow. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/limits.h"
#include "core/base/rng.h"
#include "core/simd/half.h"
#include "core/simd/simd.h"

enum { ROWS = 7, QUERIES = 5 };

static bool s_is_bits(simd_kernel_t k)  { return k >= SIMD_BIN_HAMMING; }
static bool s_is_int(simd_kernel_t k)   { return k == SIMD_I8_L2 || k == SIMD_I8_IP; }
static bool s_is_l2(simd_kernel_t k)    { return k < SIMD_BIN_HAMMING && !simd_kernel_descends(k); }

/* Number i of a cell. */
static double s_number(simd_kernel_t k, const uint8_t *cell, size_t i)
{
    float x;
    if (k <= SIMD_F32_IP) {
        memcpy(&x, cell + i * 4, 4);
        return (double)x;
    }
    if (k <= SIMD_F16_IP)
        return (double)half_f32_from_f16(load_u16(cell + i * 2));
    if (k <= SIMD_BF16_IP)
        return (double)half_f32_from_bf16(load_u16(cell + i * 2));
    return (double)(int8_t)cell[i];
}

typedef struct truth { double score, size; } truth_t;   /* size: the terms' sizes added up */

static truth_t s_truth_bits(simd_kernel_t k, const uint8_t *a, const uint8_t *b, size_t dim)
{
    double differ = 0, both = 0, either = 0;
    for (size_t i = 0; i < dim / 8; i++) {
        differ += __builtin_popcount(a[i] ^ b[i]);
        both += __builtin_popcount(a[i] & b[i]);
        either += __builtin_popcount(a[i] | b[i]);
    }
    if (k == SIMD_BIN_HAMMING)
        return (truth_t){ differ, 0 };
    return (truth_t){ either > 0 ? 1 - both / either : 1, 1 };
}

static truth_t s_truth(simd_kernel_t k, const uint8_t *a, const uint8_t *b, size_t dim)
{
    if (s_is_bits(k))
        return s_truth_bits(k, a, b, dim);
    truth_t sum = { 0, 0 };
    for (size_t i = 0; i < dim; i++) {
        double x = s_number(k, a, i), y = s_number(k, b, i);
        double term = s_is_l2(k) ? (x - y) * (x - y) : x * y;
        sum.score += term;
        sum.size += fabs(term);
    }
    return sum;
}

/* What simd.h promises; 2^-24 twice for sums in double. */
static double s_allowed(simd_kernel_t k, size_t dim, truth_t t)
{
    if (k == SIMD_BIN_HAMMING)
        return 0;
    if (s_is_bits(k))
        return 2 * 0x1p-24;
    if (s_is_int(k))
        return fabs(t.score) * 0x1p-24;
    return ((double)dim / 8 + 12) * 0x1p-24 * t.size + (double)dim * 0x1p-149;
}

static void s_fill(rng_t *rng, simd_kernel_t k, uint8_t *cells, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        float x = (float)(rng_unit(rng) * 2 - 1) * (rng_chance(rng, 0.1) ? 100.0f : 1.0f);
        if (k <= SIMD_F32_IP)
            memcpy(cells + i * 4, &x, 4);
        else if (k <= SIMD_F16_IP)
            store_u16(cells + i * 2, half_f16_from_f32(x));
        else if (k <= SIMD_BF16_IP)
            store_u16(cells + i * 2, half_bf16_from_f32(x));
        else
            cells[i] = (uint8_t)rng_u64(rng);
    }
}

/* n bytes that end at the end of an allocation, at an odd address where possible. */
typedef struct edge { uint8_t *block, *at; } edge_t;

static edge_t s_edge(size_t n, size_t odd)
{
    edge_t e = { .block = malloc(n + odd) };
    assert_non_null(e.block);
    e.at = e.block + odd;
    return e;
}

typedef struct case_ {
    simd_kernel_t k;
    size_t dim, row_bytes, query_bytes;
    edge_t rows, queries, cells;        /* cells: the queries before they were prepared */
} case_t;

static void s_open(case_t *c, rng_t *rng, simd_kernel_t k, size_t dim)
{
    *c = (case_t){ .k = k, .dim = dim, .row_bytes = simd_row_bytes(k, dim),
                   .query_bytes = simd_query_bytes(k, dim) };
    size_t numbers = s_is_bits(k) ? dim / 8 : dim;
    c->rows = s_edge(ROWS * c->row_bytes, 1 + dim % 3);
    c->cells = s_edge(QUERIES * c->row_bytes, 1 + dim % 5);
    c->queries = s_edge(QUERIES * c->query_bytes, 4 * (dim % 3));
    s_fill(rng, k, c->rows.at, ROWS * numbers);
    s_fill(rng, k, c->cells.at, QUERIES * numbers);
    for (size_t q = 0; q < QUERIES; q++)
        simd_prepare(k, c->cells.at + q * c->row_bytes, dim, c->queries.at + q * c->query_bytes);
}

static void s_close(case_t *c)
{
    free(c->rows.block);
    free(c->cells.block);
    free(c->queries.block);
}

static void s_assert_near(const case_t *c, const simd_t *level, float score, truth_t t)
{
    double off = fabs((double)score - t.score), most = s_allowed(c->k, c->dim, t);
    if (!(off <= most))
        fail_msg("%s %s dim %zu: %.9g, should be %.9g within %.3g",
                 cpu_level_name(level->level), simd_kernel_name(c->k), c->dim, (double)score,
                 t.score, most);
}

/* Same bits by all paths. */
static void s_check_paths(const case_t *c, const simd_t *level)
{
    const simd_ops_t *ops = &level->ops[c->k];
    float tile[QUERIES * ROWS], scan[ROWS], gather[ROWS];
    static const uint32_t ids[ROWS] = { 3, 0, 6, 6, 1, 5, 2 };
    ops->tile(c->queries.at, QUERIES, c->rows.at, ROWS, c->dim, tile);
    for (size_t q = 0; q < QUERIES; q++) {
        const uint8_t *query = c->queries.at + q * c->query_bytes;
        ops->scan(query, c->rows.at, ROWS, c->dim, scan);
        ops->gather(query, c->rows.at, ids, ROWS, c->dim, gather);
        assert_memory_equal(scan, tile + q * ROWS, sizeof scan);
        for (size_t r = 0; r < ROWS; r++) {
            float pair = ops->pair(query, c->rows.at + r * c->row_bytes, c->dim);
            assert_memory_equal(&pair, &scan[r], sizeof pair);
            assert_memory_equal(&gather[r], &scan[ids[r]], sizeof pair);
            if (q == c->dim % QUERIES)
                s_assert_near(c, level, pair, s_truth(c->k, c->cells.at + q * c->row_bytes,
                                                      c->rows.at + r * c->row_bytes, c->dim));
        }
    }
}

static void s_check_norms(const case_t *c, const simd_t *level)
{
    const simd_ops_t *ops = &level->ops[c->k];
    float norms[QUERIES];
    ops->norm2(c->cells.at, QUERIES, c->dim, norms);
    for (size_t q = 0; q < QUERIES; q++) {
        const uint8_t *cell = c->cells.at + q * c->row_bytes;
        if (s_is_bits(c->k)) {
            truth_t ones = { 0, 0 };
            for (size_t i = 0; i < c->dim / 8; i++)
                ones.score += __builtin_popcount(cell[i]);
            assert_true((double)norms[q] == ones.score);
        } else {
            simd_kernel_t ip = s_is_l2(c->k) ? c->k + 1 : c->k;
            float self = level->ops[ip].pair(c->queries.at + q * c->query_bytes, cell, c->dim);
            assert_memory_equal(&self, &norms[q], sizeof self);
        }
    }
}

static void s_check_kernel(const simd_t *level, simd_kernel_t k, size_t dim)
{
    rng_t rng;
    rng_seed(&rng, dim * 100 + k);
    case_t c;
    s_open(&c, &rng, k, s_is_bits(k) ? dim * 8 : dim);
    s_check_paths(&c, level);
    s_check_norms(&c, level);
    s_close(&c);
}

static void s_check_level(cpu_level_t which)
{
    const simd_t *level = simd_at(which);
    if (!level) {
        print_message("skipped: this processor has no %s\n", cpu_level_name(which));
        skip();
    }
    static const size_t big[] = { 384, 511, 768, 1000, 1536, 4099, LIMIT_DIM };
    for (simd_kernel_t k = 0; k < SIMD_KERNELS; k++) {
        for (size_t dim = 1; dim <= 300; dim++)
            s_check_kernel(level, k, dim);
        for (size_t i = 0; i < ARRAY_LEN(big); i++)
            s_check_kernel(level, k, big[i]);
    }
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
static void halves_round_to_nearest_even(void **state) { (void)state; skip(); }
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
