/* How much an inverted file finds of what a scan finds: floors for every kind of vector, metric and
 * filter, on clustered data from fixed seeds.  The floors are some hundredths below what was
 * measured, so that a change of the arithmetic passes and a change of the quality does not. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

#include "tests/support/index_data.h"

enum { ROWS = 20000, QUERIES = 100, DIM = 64, TOPK = 10, NLIST = 128 };

typedef struct kind {
    index_type_t type;
    metric_t metric;
    cell_t cells;
    double few, some;           /* floors at nprobe 4, 16 */
} kind_t;

static const kind_t s_kinds[] = {
    { INDEX_IVF_FLAT, METRIC_L2, CELL_F32, 0.90, 0.94 },
    { INDEX_IVF_FLAT, METRIC_IP, CELL_F32, 0.90, 0.94 },
    { INDEX_IVF_FLAT, METRIC_COSINE, CELL_F32, 0.90, 0.94 },
    { INDEX_IVF_FLAT, METRIC_L2, CELL_F16, 0.90, 0.94 },
    { INDEX_IVF_FLAT, METRIC_COSINE, CELL_BF16, 0.90, 0.94 },
    { INDEX_IVF_FLAT, METRIC_L2, CELL_I8, 0.90, 0.94 },
    { INDEX_BIN_IVF_FLAT, METRIC_HAMMING, CELL_BIN, 0.29, 0.58 },
    { INDEX_BIN_IVF_FLAT, METRIC_JACCARD, CELL_BIN, 0.29, 0.58 },
};

typedef struct fixture {
    ctx_t ctx;
    index_data_t data;
    index_t *index;
    uint32_t exact[QUERIES * TOPK], found[QUERIES * TOPK];
} fixture_t;

static void s_open(fixture_t *f, const kind_t *kind)
{
    index_spec_t spec = { .type = kind->type, .metric = kind->metric, .cells = kind->cells,
                          .dim = DIM, .seed = 11, .nlist = NLIST };
    ctx_init(&f->ctx);
    f->index = NULL;
    index_data_init(&f->data, &spec, ROWS, QUERIES, 2024);
    assert_int_equal(index_data_build(&f->data, &f->ctx, NULL), OK);
    assert_int_equal(index_data_open(&f->data, &f->ctx, &f->index), OK);
}

static void s_close(fixture_t *f)
{
    index_destroy(&f->index);
    index_data_fini(&f->data);
    ctx_fini(&f->ctx);
}

static double s_recall(fixture_t *f, const bitset_t *keep, size_t nprobe)
{
    index_knobs_t knobs = { .nprobe = nprobe };
    index_data_search(&f->data, &f->ctx, NULL, TOPK, keep, &knobs, f->exact);
    index_data_search(&f->data, &f->ctx, f->index, TOPK, keep, &knobs, f->found);
    return index_data_recall(f->exact, f->found, QUERIES, TOPK);
}

static void floors(void **state)
{
    (void)state;
    fixture_t *f = mem_new(sizeof *f);
    for (size_t i = 0; i < ARRAY_LEN(s_kinds); i++) {
        const kind_t *kind = &s_kinds[i];
        s_open(f, kind);
        double few = s_recall(f, NULL, 4), some = s_recall(f, NULL, 16);
        printf("%s of cells %d: %.3f, %.3f\n", metric_name(kind->metric), (int)kind->cells, few,
               some);
        assert_true(few >= kind->few && some >= kind->some);
        assert_true(s_recall(f, NULL, NLIST) == 1);
        s_close(f);
    }
    mem_free(f);
}

/* Rows that a filter takes: a share by chance, or the first ones, which know nothing of clusters
 * either; always the answer is full, and good. */
static void filters(void **state)
{
    (void)state;
    static const double shares[] = { 0.0005, 0.01, 0.1, 0.5, 0.9 };
    fixture_t *f = mem_new(sizeof *f);
    s_open(f, &s_kinds[0]);
    for (size_t i = 0; i < ARRAY_LEN(shares); i++) {
        rng_t rng;
        rng_seed(&rng, i);
        bitset_t keep;
        assert_int_equal(bitset_init(&f->ctx, &keep, ROWS), OK);
        for (size_t row = 0; row < ROWS; row++)
            if (rng_chance(&rng, shares[i]))
                bitset_set(&keep, row);
        double recall = s_recall(f, &keep, 32);
        printf("%g kept: %.3f\n", shares[i], recall);
        assert_true(recall >= 0.95);
        for (size_t at = 0; at < QUERIES * TOPK; at++)
            assert_true((f->found[at] == UINT32_MAX) == (f->exact[at] == UINT32_MAX));
        bitset_fini(&keep);
    }
    s_close(f);
    mem_free(f);
}

/* A filter that keeps what is far from every query: the nprobe nearest lists have nothing of it,
 * and the answer is full all the same. */
static void a_filter_that_is_far_away(void **state)
{
    (void)state;
    fixture_t *f = mem_new(sizeof *f);
    s_open(f, &s_kinds[0]);
    bitset_t keep;
    assert_int_equal(bitset_init(&f->ctx, &keep, ROWS), OK);
    size_t n = f->data.n_queries;
    f->data.n_queries = 1;
    float *scores = mem_new(ROWS * sizeof *scores), mean = 0;
    simd()->ops[SIMD_F32_L2].scan(f->data.queries, f->data.rows, ROWS, DIM, scores);
    for (size_t row = 0; row < ROWS; row++)
        mean += scores[row] / ROWS;
    for (size_t row = 0; row < ROWS; row++)
        if (scores[row] > mean)
            bitset_set(&keep, row);
    mem_free(scores);
    assert_true(bitset_count(&keep) > ROWS / 4);
    index_knobs_t knobs = { .nprobe = 1 };
    index_data_search(&f->data, &f->ctx, f->index, TOPK, &keep, &knobs, f->found);
    for (size_t i = 0; i < TOPK; i++)
        assert_true(f->found[i] != UINT32_MAX && bitset_has(&keep, f->found[i]));
    f->data.n_queries = n;
    bitset_fini(&keep);
    s_close(f);
    mem_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(floors), cmocka_unit_test(filters),
        cmocka_unit_test(a_filter_that_is_far_away),
    };
    return cmocka_run_group_tests_name("ivf", tests, NULL, NULL);
}
