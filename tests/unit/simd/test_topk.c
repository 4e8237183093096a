/* topk and brute: against a full sort of all (score, row), with ties, NaN, ranges, filters of
 * every density, blocks, merges; every allocation refused once. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>

#include "core/base/fault.h"
#include "core/base/limits.h"
#include "core/base/rng.h"
#include "core/simd/brute.h"

static int s_up(void **state)
{
    ctx_t *ctx = mem_new(sizeof *ctx);
    ctx_init(ctx);
    *state = ctx;
    return 0;
}

static int s_down(void **state)
{
    ctx_fini(*state);
    mem_free(*state);
    return 0;
}

/* --- the slow way ------------------------------------------------------------------- */

static int s_order_up(const void *a, const void *b)
{
    const topk_hit_t *x = a, *y = b;
    if (x->score != y->score)
        return x->score < y->score ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

static int s_order_down(const void *a, const void *b)
{
    const topk_hit_t *x = a, *y = b;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

/* Drop NaN, sort, cut at k; n is updated. */
static void s_sort(topk_hit_t *hits, size_t *n, size_t k, bool descending)
{
    size_t kept = 0;
    for (size_t i = 0; i < *n; i++)
        if (!isnan(hits[i].score))
            hits[kept++] = hits[i];
    qsort(hits, kept, sizeof *hits, descending ? s_order_down : s_order_up);
    *n = kept < k ? kept : k;
}

static void s_assert_same(topk_t *topk, size_t k, const topk_hit_t *want, size_t n_want)
{
    topk_hit_t *got = mem_new(k * sizeof *got);
    uint64_t any = 0, all = 0;
    assert_int_equal(topk_any(topk, got), n_want);
    for (size_t i = 0; i < n_want; i++) {
        any += got[i].row;
        all += want[i].row;
    }
    assert_true(any == all);
    assert_int_equal(topk_hits(topk, got), n_want);
    for (size_t i = 0; i < n_want; i++) {
        assert_int_equal(got[i].row, want[i].row);
        assert_true(got[i].score == want[i].score);
    }
    mem_free(got);
}

/* --- topk --------------------------------------------------------------------------- */

/* Scores of one kind: 0 spread, 1 few values (ties), 2 rising, 3 falling, 4 with NaN, inf, -0 */
static float s_score(rng_t *rng, int kind, size_t i)
{
    static const float odd[] = { NAN, -NAN, INFINITY, -INFINITY, -0.0f, 0.0f, 1.0f };
    if (kind == 0)
        return (float)(rng_unit(rng) - 0.5);
    if (kind == 1)
        return (float)rng_below(rng, 4);
    if (kind == 2)
        return (float)i;
    return kind == 3 ? -(float)i : odd[rng_below(rng, ARRAY_LEN(odd))];
}

static void s_try_stream(ctx_t *ctx, rng_t *rng, size_t n, size_t k, int kind, bool descending)
{
    float *scores = mem_new((n + 1) * sizeof *scores);
    topk_hit_t *want = mem_new((n + 1) * sizeof *want);
    owned(topk) run = NULL;
    owned(topk) one = NULL;
    owned(topk) left = NULL;
    assert_int_equal(topk_new(ctx, k, descending, &run), OK);
    assert_int_equal(topk_new(ctx, k, descending, &one), OK);
    assert_int_equal(topk_new(ctx, k, descending, &left), OK);
    for (size_t i = 0; i < n; i++) {
        scores[i] = s_score(rng, kind, i);
        want[i] = (topk_hit_t){ scores[i], 7 + (uint32_t)i };
    }
    topk_add_run(run, scores, n, 7);
    for (size_t i = n; i-- > 0; )                   /* backwards: order must not matter */
        topk_add(i % 2 ? one : left, scores[i], 7 + (uint32_t)i);
    topk_merge(one, left);

    size_t n_want = n;
    s_sort(want, &n_want, k, descending);
    s_assert_same(run, k, want, n_want);
    s_assert_same(one, k, want, n_want);
    s_assert_same(one, k, want, n_want);            /* looking changes nothing */
    mem_free(scores);
    mem_free(want);
}

static void best_are_those_of_a_full_sort(void **state)
{
    static const size_t n[] = { 0, 1, 5, 64, 255, 1000, 5000 }, k[] = { 1, 2, 10, 65, 700 };
    rng_t rng;
    rng_seed(&rng, 1);
    for (size_t i = 0; i < ARRAY_LEN(n); i++)
        for (size_t j = 0; j < ARRAY_LEN(k); j++)
            for (int kind = 0; kind < 5; kind++)
                for (int down = 0; down < 2; down++)
                    s_try_stream(*state, &rng, n[i], k[j], kind, down);
    s_try_stream(*state, &rng, 100000, LIMIT_TOPK, 0, true);
    s_try_stream(*state, &rng, 50000, LIMIT_TOPK, 1, false);
}

static void places_name_rows(void **state)
{
    owned(topk) topk = NULL;
    assert_int_equal(topk_new(*state, 2, false, &topk), OK);
    topk_add_rows(topk, (float[]){ 3, 1, 2 }, 3, 100, (uint32_t[]){ 9, 4, 30 });
    s_assert_same(topk, 2, (topk_hit_t[]){ { 1, 104 }, { 2, 130 } }, 2);
    topk_reset(topk);
    s_assert_same(topk, 2, NULL, 0);
}

/* L2: inner <= d < radius; IP: radius < s <= inner. */
static void range_is_half_open(void **state)
{
    const float scores[] = { 0, 1, 2, 3, 4, 5 };
    owned(topk) up = NULL;
    owned(topk) down = NULL;
    assert_int_equal(topk_new(*state, 10, false, &up), OK);
    assert_int_equal(topk_new(*state, 10, true, &down), OK);
    topk_range(up, 4, 1);
    topk_add_run(up, scores, 6, 0);
    s_assert_same(up, 10, (topk_hit_t[]){ { 1, 1 }, { 2, 2 }, { 3, 3 } }, 3);
    topk_range(down, 1, 4);
    topk_add_run(down, scores, 6, 0);
    s_assert_same(down, 10, (topk_hit_t[]){ { 4, 4 }, { 3, 3 }, { 2, 2 } }, 3);
    topk_reset(up);
    topk_range(up, 0, -INFINITY);                   /* nothing is nearer than 0 */
    topk_add_run(up, scores, 6, 0);
    s_assert_same(up, 10, NULL, 0);
}

static void bound_follows_the_kth(void **state)
{
    owned(topk) topk = NULL;
    assert_int_equal(topk_new(*state, 4, false, &topk), OK);
    assert_true(topk_bound(topk) == INFINITY);
    for (uint32_t i = 0; i < 1000; i++)
        topk_add(topk, (float)(i * 7919 % 1000), i);
    topk_hit_t hits[4];
    assert_int_equal(topk_hits(topk, hits), 4);
    assert_true(topk_bound(topk) == hits[3].score);
}

/* --- brute ---------------------------------------------------------------------------- */

typedef struct flat {
    brute_t of;
    uint8_t *rows, *queries;
    float *scale, *factors;
    size_t n_queries;
} flat_t;

static void s_flat_init(flat_t *flat, rng_t *rng, simd_kernel_t kernel, size_t n, size_t dim,
                        size_t n_queries)
{
    size_t row_bytes = simd_row_bytes(kernel, dim), query_bytes = simd_query_bytes(kernel, dim);
    *flat = (flat_t){ .n_queries = n_queries, .rows = mem_new(n * row_bytes),
                      .queries = mem_new(n_queries * query_bytes),
                      .scale = mem_new(n * 4), .factors = mem_new(n_queries * 4) };
    for (size_t i = 0; i < n * row_bytes; i++)              /* small whole numbers: many ties */
        flat->rows[i] = kernel == SIMD_F32_IP ? 0 : (uint8_t)rng_below(rng, 4);
    for (size_t i = 0; i < n * dim && kernel == SIMD_F32_IP; i++)
        ((float *)(void *)flat->rows)[i] = (float)rng_unit(rng) - 0.5f;
    for (size_t q = 0; q < n_queries; q++) {
        simd_prepare(kernel, flat->rows + q * row_bytes, dim, flat->queries + q * query_bytes);
        flat->factors[q] = 1 / (1.0f + (float)q);
    }
    for (size_t i = 0; i < n; i++)
        flat->scale[i] = 1 / (1.0f + (float)(i % 10));
    flat->of = (brute_t){ .kernel = kernel, .dim = dim, .rows = flat->rows, .n = n };
}

static void s_flat_fini(flat_t *flat)
{
    mem_free(flat->rows);
    mem_free(flat->queries);
    mem_free(flat->scale);
    mem_free(flat->factors);
}

static void s_want(const flat_t *flat, size_t q, size_t k, topk_hit_t *ret, size_t *ret_n)
{
    const brute_t *of = &flat->of;
    size_t query_bytes = simd_query_bytes(of->kernel, of->dim);
    size_t row_bytes = simd_row_bytes(of->kernel, of->dim), n = 0;
    for (size_t i = 0; i < of->n; i++) {
        if (of->keep && !bitset_has(of->keep, i))
            continue;
        float score = simd()->ops[of->kernel].pair(flat->queries + q * query_bytes,
                                                   flat->rows + i * row_bytes, of->dim);
        if (of->scale)
            score = score * of->scale[i] * flat->factors[q];
        ret[n++] = (topk_hit_t){ score, 50 + (uint32_t)i };
    }
    s_sort(ret, &n, k, simd_kernel_descends(of->kernel));
    *ret_n = n;
}

static void s_check_search(ctx_t *ctx, const flat_t *flat, size_t k)
{
    const brute_t *of = &flat->of;
    topk_t *best[40] = {0};
    for (size_t q = 0; q < flat->n_queries; q++)
        assert_int_equal(topk_new(ctx, k, simd_kernel_descends(of->kernel), &best[q]), OK);
    assert_int_equal(brute_search(ctx, of, 50, flat->queries, of->scale ? flat->factors : NULL,
                                  flat->n_queries, best), OK);
    topk_hit_t *want = mem_new((of->n + 1) * sizeof *want);
    for (size_t q = 0; q < flat->n_queries; q++) {
        size_t n_want = 0;
        s_want(flat, q, k, want, &n_want);
        s_assert_same(best[q], k, want, n_want);
        topk_destroy(&best[q]);
    }
    mem_free(want);
}

static void s_try_search(ctx_t *ctx, simd_kernel_t kernel, size_t n, size_t dim, size_t n_queries)
{
    static const double kept[] = { 0, 0.002, 0.1, 0.45, 0.55, 0.95, 1 };
    rng_t rng;
    rng_seed(&rng, n + dim);
    flat_t flat;
    s_flat_init(&flat, &rng, kernel, n, dim, n_queries);
    for (int scaled = 0; scaled < 2; scaled++) {
        flat.of.scale = scaled ? flat.scale : NULL;
        flat.of.keep = NULL;
        s_check_search(ctx, &flat, 12);
        for (size_t f = 0; f < ARRAY_LEN(kept); f++) {
            bitset_t keep;
            assert_int_equal(bitset_init(ctx, &keep, n), OK);
            for (size_t i = 0; i < n; i++)
                if (rng_chance(&rng, i / 500 % 2 ? kept[f] : 1 - kept[f]))
                    bitset_set(&keep, i);           /* dense and sparse stretches */
            flat.of.keep = &keep;
            s_check_search(ctx, &flat, 12);
            bitset_fini(&keep);
        }
    }
    s_flat_fini(&flat);
}

static void search_finds_what_a_sort_finds(void **state)
{
    s_try_search(*state, SIMD_F32_IP, 3001, 20, 1);
    s_try_search(*state, SIMD_F32_IP, 2000, 33, 37);
    s_try_search(*state, SIMD_I8_L2, 2777, 10, 5);
    s_try_search(*state, SIMD_BIN_HAMMING, 3333, 16, 3);
    s_try_search(*state, SIMD_BF16_L2, 130, 9, 16);
    s_try_search(*state, SIMD_F32_IP, 63, 3000, 2);
    s_try_search(*state, SIMD_F32_IP, 3, 3, 1);
}

static void search_of_nothing_is_nothing(void **state)
{
    owned(topk) topk = NULL;
    assert_int_equal(topk_new(*state, 3, false, &topk), OK);
    brute_t none = { .kernel = SIMD_F32_L2, .dim = 2 };
    float query[2] = { 0, 0 };
    assert_int_equal(brute_search(*state, &none, 0, query, NULL, 1, &topk), OK);
    s_assert_same(topk, 3, NULL, 0);
}

static void search_stops_when_cancelled(void **state)
{
    enum { DIM = 1024, N = 600 };
    ctx_t *ctx = *state;
    owned(topk) topk = NULL;
    assert_int_equal(topk_new(ctx, 3, false, &topk), OK);
    float *rows = mem_new(N * DIM * 4);
    brute_t of = { .kernel = SIMD_F32_L2, .dim = DIM, .rows = rows, .n = N };
    ctx_cancel(ctx);
    assert_int_equal(brute_search(ctx, &of, 0, rows, NULL, 1, &topk), ERR_CANCELED);
    mem_free(rows);
}

static void every_refused_allocation_is_reported(void **state)
{
    ctx_t *ctx = *state;
    float row[2] = { 1, 2 };
    brute_t of = { .kernel = SIMD_F32_L2, .dim = 2, .rows = row, .n = 1 };
    for (int nth = 0; ; nth++) {
        owned(topk) topk = NULL;
        fault_arm(nth);
        err_t err = topk_new(ctx, 3, false, &topk);
        if (err == OK)
            err = brute_search(ctx, &of, 0, row, NULL, 1, &topk);
        if (!fault_disarm()) {
            assert_int_equal(err, OK);
            assert_int_equal(nth, 3);
            break;
        }
        assert_int_equal(err, ERR_MEMORY);
    }
}

#define T(f) cmocka_unit_test_setup_teardown(f, s_up, s_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(best_are_those_of_a_full_sort),
        T(places_name_rows),
        T(range_is_half_open),
        T(bound_follows_the_kth),
        T(search_finds_what_a_sort_finds),
        T(search_of_nothing_is_nothing),
        T(search_stops_when_cancelled),
        T(every_refused_allocation_is_reported),
    };
    return cmocka_run_group_tests_name("topk", tests, NULL, NULL);
}
