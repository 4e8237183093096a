/* brute_search of many queries, which screens, beside one query at a time, which does not: the
 * same hits and the same bits, whatever the numbers are. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <math.h>
#include <cmocka.h>

#include "core/base/fault.h"
#include "core/base/rng.h"
#include "core/simd/brute.h"

enum { ROWS = 1500, QUERIES = 53, MOST_DIM = 150, TOPK = 20 };

typedef struct data {
    float rows[ROWS * MOST_DIM], queries[QUERIES * MOST_DIM];
    float scale[ROWS], factors[QUERIES];
    bitset_t keep;
    brute_t of;
    size_t k;
    bool ranged;
    float radius, inner;
} data_t;

/* Kinds of numbers: few small ones (many ties), close together, wild, some not finite sums. */
static float s_number(rng_t *rng, int kind)
{
    switch (kind) {
    case 0:  return (float)rng_below(rng, 3);
    case 1:  return 1000 + (float)rng_unit(rng);
    case 2:  return ldexpf((float)rng_unit(rng) - 0.5f, (int)rng_below(rng, 60) - 30);
    default: return rng_chance(rng, 0.02) ? 3e38f : (float)rng_unit(rng);
    }
}

static void s_fill(rng_t *rng, data_t *d, ctx_t *ctx)
{
    int kind = (int)rng_below(rng, 4);
    size_t dim = 1 + (size_t)rng_below(rng, MOST_DIM);
    size_t n = 1 + (size_t)rng_below(rng, ROWS);
    for (size_t i = 0; i < n * dim; i++)
        d->rows[i] = s_number(rng, kind);
    for (size_t i = 0; i < QUERIES * dim; i++)
        d->queries[i] = s_number(rng, kind);
    if (rng_chance(rng, 0.5))                   /* queries that are rows, and a row of zeros */
        memcpy(d->queries, d->rows, (n < QUERIES ? n : QUERIES) * dim * sizeof(float));
    memset(d->rows, 0, dim * sizeof(float));
    bool cosine = rng_chance(rng, 0.3);
    simd_kernel_t kernel = cosine || rng_chance(rng, 0.5) ? SIMD_F32_IP : SIMD_F32_L2;
    const simd_ops_t *ops = &simd()->ops[kernel];
    ops->norm2(d->rows, n, dim, d->scale);
    ops->norm2(d->queries, QUERIES, dim, d->factors);
    for (size_t i = 0; i < n; i++)
        d->scale[i] = d->scale[i] > 0 ? 1 / sqrtf(d->scale[i]) : 0;
    for (size_t i = 0; i < QUERIES; i++)
        d->factors[i] = d->factors[i] > 0 ? 1 / sqrtf(d->factors[i]) : 0;
    assert_int_equal(bitset_init(ctx, &d->keep, n), OK);
    bool filtered = rng_chance(rng, 0.5);
    double share = rng_unit(rng);
    for (size_t i = 0; i < n; i++)
        if (rng_chance(rng, share))
            bitset_set(&d->keep, i);
    d->of = (brute_t){ .kernel = kernel, .dim = dim, .rows = d->rows, .n = n,
                       .keep = filtered ? &d->keep : NULL, .scale = cosine ? d->scale : NULL };
    d->k = 1 + (size_t)rng_below(rng, TOPK);
    d->ranged = rng_chance(rng, 0.2);
    d->radius = (float)rng_unit(rng) * 100;
    d->inner = simd_kernel_descends(kernel) ? INFINITY : -INFINITY;
}

static topk_t *s_best(ctx_t *ctx, const data_t *d)
{
    topk_t *best = NULL;
    assert_int_equal(topk_new(ctx, d->k, simd_kernel_descends(d->of.kernel), &best), OK);
    if (d->ranged)
        topk_range(best, d->radius, d->inner);
    return best;
}

static void s_same(topk_t *a, topk_t *b)
{
    topk_hit_t x[TOPK], y[TOPK];
    size_t n = topk_hits(a, x);
    assert_int_equal(n, topk_hits(b, y));
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(x[i].row, y[i].row);
        assert_memory_equal(&x[i].score, &y[i].score, sizeof x[i].score);
    }
}

static void s_compare(ctx_t *ctx, const data_t *d)
{
    topk_t *together[QUERIES], *alone[QUERIES];
    for (size_t q = 0; q < QUERIES; q++) {
        together[q] = s_best(ctx, d);
        alone[q] = s_best(ctx, d);
    }
    const float *factors = d->of.scale ? d->factors : NULL;
    assert_int_equal(brute_search(ctx, &d->of, 7, d->queries, factors, QUERIES, together), OK);
    for (size_t q = 0; q < QUERIES; q++) {
        assert_int_equal(brute_search(ctx, &d->of, 7, d->queries + q * d->of.dim,
                                      factors ? factors + q : NULL, 1, &alone[q]), OK);
        s_same(together[q], alone[q]);
        topk_destroy(&together[q]);
        topk_destroy(&alone[q]);
    }
}

static void many_queries_find_what_each_finds_alone(void **state)
{
    (void)state;
    data_t *d = mem_new(sizeof *d);
    ctx_t ctx;
    ctx_init(&ctx);
    for (uint64_t seed = 1; seed <= 250; seed++) {
        rng_t rng;
        rng_seed(&rng, seed);
        s_fill(&rng, d, &ctx);
        s_compare(&ctx, d);
        bitset_fini(&d->keep);
    }
    ctx_fini(&ctx);
    mem_free(d);
}

static void refused_memory_is_an_error(void **state)
{
    (void)state;
    data_t *d = mem_new(sizeof *d);
    ctx_t ctx;
    ctx_init(&ctx);
    rng_t rng;
    rng_seed(&rng, 3);
    s_fill(&rng, d, &ctx);
    topk_t *best[QUERIES];
    for (size_t q = 0; q < QUERIES; q++)
        best[q] = s_best(&ctx, d);
    for (int nth = 0; ; nth++) {
        fault_arm(nth);
        err_t err = brute_search(&ctx, &d->of, 0, d->queries, d->of.scale ? d->factors : NULL,
                                 QUERIES, best);
        bool fired = fault_disarm();
        assert_int_equal(err, fired ? ERR_MEMORY : OK);
        ctx_clear(&ctx);
        if (!fired)
            break;
    }
    for (size_t q = 0; q < QUERIES; q++)
        topk_destroy(&best[q]);
    bitset_fini(&d->keep);
    ctx_fini(&ctx);
    mem_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_queries_find_what_each_finds_alone),
        cmocka_unit_test(refused_memory_is_an_error),
    };
    return cmocka_run_group_tests_name("brute", tests, NULL, NULL);
}
