/* simd_conformance - see simd_conformance.h */
#include "tests/support/simd_conformance.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>

#include "core/base/limits.h"
#include "core/base/rng.h"
#include "core/simd/half.h"

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

void simd_conformance(const simd_t *level, size_t most_dim)
{
    static const size_t big[] = { 384, 511, 768, 1000, 1536, 4099, LIMIT_DIM };
    for (simd_kernel_t k = 0; k < SIMD_KERNELS; k++) {
        for (size_t dim = 1; dim <= 300; dim++)
            s_check_kernel(level, k, dim);
        for (size_t i = 0; i < ARRAY_LEN(big) && big[i] <= most_dim; i++)
            s_check_kernel(level, k, big[i]);
    }
}
