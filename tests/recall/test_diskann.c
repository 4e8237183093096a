/* How much a graph on disk finds of what a scan finds: floors for every kind of vector, metric and
 * filter, on clustered data from fixed seeds, with the default sizes of codes and links.  The
 * floors are some hundredths below what was measured; int8 has a byte of code for 8 cells only,
 * so it finds less at such a list. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

#include "tests/support/index_data.h"

enum { ROWS = 4000, QUERIES = 100, DIM = 64, TOPK = 10 };

typedef struct kind {
    metric_t metric;
    cell_t cells;
    double few, some;           /* floors for lists of 16, 50 */
} kind_t;

static const kind_t s_kinds[] = {
    { METRIC_L2, CELL_F32, 0.90, 0.97 },
    { METRIC_IP, CELL_F32, 0.90, 0.97 },
    { METRIC_COSINE, CELL_F32, 0.90, 0.97 },
    { METRIC_L2, CELL_F16, 0.80, 0.95 },
    { METRIC_IP, CELL_F16, 0.80, 0.95 },
    { METRIC_COSINE, CELL_F16, 0.80, 0.95 },
    { METRIC_L2, CELL_BF16, 0.80, 0.95 },
    { METRIC_IP, CELL_BF16, 0.80, 0.95 },
    { METRIC_COSINE, CELL_BF16, 0.80, 0.95 },
    { METRIC_L2, CELL_I8, 0.60, 0.80 },
    { METRIC_IP, CELL_I8, 0.60, 0.80 },
    { METRIC_COSINE, CELL_I8, 0.60, 0.80 },
};

typedef struct fixture {
    ctx_t ctx;
    index_data_t data;
    index_t *index;
    uint32_t exact[QUERIES * TOPK], found[QUERIES * TOPK];
} fixture_t;

static void s_open(fixture_t *f, const kind_t *kind)
{
    index_spec_t spec = { .type = INDEX_DISKANN, .metric = kind->metric, .cells = kind->cells,
                          .dim = DIM, .seed = 11 };
    pool_t *pool = pool_new("test", 2);
    index_how_t how = { .pool = pool, .threads = 2 };
    ctx_init(&f->ctx);
    f->index = NULL;
    index_data_init(&f->data, &spec, ROWS, QUERIES, 2024);
    assert_int_equal(index_data_build(&f->data, &f->ctx, &how), OK);
    assert_int_equal(index_data_open(&f->data, &f->ctx, &f->index), OK);
    pool_destroy(&pool);
}

static void s_close(fixture_t *f)
{
    index_destroy(&f->index);
    index_data_fini(&f->data);
    ctx_fini(&f->ctx);
}

static double s_recall(fixture_t *f, const bitset_t *keep, size_t list)
{
    index_knobs_t knobs = { .search_list = list };
    index_data_search(&f->data, &f->ctx, NULL, TOPK, keep, &knobs, f->exact);
    index_data_search(&f->data, &f->ctx, f->index, TOPK, keep, &knobs, f->found);
    return index_data_recall(f->exact, f->found, QUERIES, TOPK);
}

static void s_check_filters(fixture_t *f, size_t list, double floor)
{
    static const double shares[] = { 0.001, 0.01, 0.1, 0.5, 0.9 };
    for (size_t i = 0; i < ARRAY_LEN(shares); i++) {
        rng_t rng;
        rng_seed(&rng, i);
        bitset_t keep;
        assert_int_equal(bitset_init(&f->ctx, &keep, ROWS), OK);
        for (size_t row = 0; row < ROWS; row++)
            if (rng_chance(&rng, shares[i]))
                bitset_set(&keep, row);
        double recall = s_recall(f, &keep, list);
        printf("    %g kept: %.3f\n", shares[i], recall);
        assert_true(recall >= floor);
        for (size_t at = 0; at < QUERIES * TOPK; at++)
            assert_true((f->found[at] == UINT32_MAX) == (f->exact[at] == UINT32_MAX));
        bitset_fini(&keep);
    }
}

static void floors(void **state)
{
    (void)state;
    fixture_t *f = mem_new(sizeof *f);
    for (size_t i = 0; i < ARRAY_LEN(s_kinds); i++) {
        const kind_t *kind = &s_kinds[i];
        s_open(f, kind);
        double few = s_recall(f, NULL, 16), some = s_recall(f, NULL, 50);
        printf("%s of cells %d: %.3f, %.3f\n", metric_name(kind->metric), (int)kind->cells, few,
               some);
        assert_true(few >= kind->few && some >= kind->some);
        assert_true(s_recall(f, NULL, ROWS) == 1);
        s_check_filters(f, 50, kind->some < 0.95 ? kind->some : 0.95);
        s_close(f);
    }
    mem_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(floors),
    };
    return cmocka_run_group_tests_name("diskann_recall", tests, NULL, NULL);
}
