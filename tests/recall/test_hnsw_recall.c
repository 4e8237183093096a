/* How much a graph finds of what a scan finds: floors for every kind of vector, metric, filter and
 * share of nulls, on clustered data from fixed seeds.  The floors are some hundredths below what
 * was measured, so that a change of the arithmetic passes and a change of the quality does not. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

#include "tests/support/index_data.h"

enum { ROWS = 6000, QUERIES = 100, DIM = 48, TOPK = 10 };

typedef struct kind {
    index_type_t type;
    metric_t metric;
    cell_t cells;
    bool without_raw;
    double nulls;
    double few, some;           /* floors at ef 16, 64 */
} kind_t;

static const kind_t s_kinds[] = {
    { INDEX_HNSW, METRIC_L2, CELL_F32, false, 0, 0.85, 0.97 },
    { INDEX_HNSW, METRIC_IP, CELL_F32, false, 0, 0.80, 0.93 },
    { INDEX_HNSW, METRIC_COSINE, CELL_F32, false, 0.3, 0.88, 0.97 },
    { INDEX_HNSW, METRIC_L2, CELL_F16, false, 0.3, 0.85, 0.97 },
    { INDEX_HNSW, METRIC_IP, CELL_F16, false, 0, 0.80, 0.93 },
    { INDEX_HNSW, METRIC_COSINE, CELL_F16, false, 0, 0.88, 0.97 },
    { INDEX_HNSW, METRIC_L2, CELL_BF16, false, 0, 0.85, 0.97 },
    { INDEX_HNSW, METRIC_IP, CELL_BF16, false, 0, 0.80, 0.93 },
    { INDEX_HNSW, METRIC_COSINE, CELL_BF16, false, 0, 0.88, 0.97 },
    { INDEX_HNSW, METRIC_L2, CELL_I8, false, 0, 0.85, 0.97 },
    { INDEX_HNSW, METRIC_IP, CELL_I8, false, 0, 0.80, 0.93 },
    { INDEX_HNSW, METRIC_COSINE, CELL_I8, false, 0, 0.88, 0.97 },
    { INDEX_HNSW_SQ, METRIC_L2, CELL_F32, true, 0, 0.85, 0.97 },
    { INDEX_HNSW_SQ, METRIC_IP, CELL_F32, true, 0, 0.80, 0.93 },
    { INDEX_HNSW_SQ, METRIC_COSINE, CELL_F32, true, 0.3, 0.88, 0.97 },
    { INDEX_HNSW_SQ, METRIC_L2, CELL_F16, false, 0, 0.85, 0.97 },
    { INDEX_HNSW_SQ, METRIC_IP, CELL_F16, false, 0, 0.80, 0.93 },
    { INDEX_HNSW_SQ, METRIC_COSINE, CELL_F16, false, 0, 0.88, 0.97 },
    { INDEX_HNSW_SQ, METRIC_L2, CELL_BF16, false, 0, 0.85, 0.97 },
    { INDEX_HNSW_SQ, METRIC_IP, CELL_BF16, false, 0, 0.80, 0.93 },
    { INDEX_HNSW_SQ, METRIC_COSINE, CELL_BF16, false, 0, 0.88, 0.97 },
    { INDEX_HNSW_SQ, METRIC_L2, CELL_I8, false, 0, 0.85, 0.97 },
    { INDEX_HNSW_SQ, METRIC_IP, CELL_I8, false, 0, 0.80, 0.93 },
    { INDEX_HNSW_SQ, METRIC_COSINE, CELL_I8, false, 0, 0.88, 0.97 },
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
                          .dim = DIM, .seed = 11, .degree = 16, .ef_construction = 100,
                          .without_raw = kind->without_raw };
    ctx_init(&f->ctx);
    f->index = NULL;
    index_data_init(&f->data, &spec, ROWS, QUERIES, 2024);
    if (kind->nulls > 0)
        index_data_nulls(&f->data, kind->nulls, 1);
    assert_int_equal(index_data_build(&f->data, &f->ctx, NULL), OK);
    assert_int_equal(index_data_open(&f->data, &f->ctx, &f->index), OK);
}

static void s_close(fixture_t *f)
{
    index_destroy(&f->index);
    index_data_fini(&f->data);
    ctx_fini(&f->ctx);
}

static double s_recall(fixture_t *f, const bitset_t *keep, size_t ef)
{
    index_knobs_t knobs = { .ef = ef };
    index_data_search(&f->data, &f->ctx, NULL, TOPK, keep, &knobs, f->exact);
    index_data_search(&f->data, &f->ctx, f->index, TOPK, keep, &knobs, f->found);
    return index_data_recall(f->exact, f->found, QUERIES, TOPK);
}

/* Rows that a filter takes, by chance; always the answer is full, and good. */
static void s_filter(fixture_t *f, double share)
{
    rng_t rng;
    bitset_t keep;
    rng_seed(&rng, (uint64_t)(share * 1000));
    assert_int_equal(bitset_init(&f->ctx, &keep, ROWS), OK);
    for (size_t row = 0; row < ROWS; row++)
        if (rng_chance(&rng, share))
            bitset_set(&keep, row);
    double recall = s_recall(f, &keep, 64);
    printf("    %g kept: %.3f\n", share, recall);
    assert_true(recall >= 0.95);
    for (size_t at = 0; at < QUERIES * TOPK; at++)
        assert_true((f->found[at] == UINT32_MAX) == (f->exact[at] == UINT32_MAX));
    bitset_fini(&keep);
}

static void floors(void **state)
{
    (void)state;
    static const double shares[] = { 0.01, 0.1, 0.5, 0.9 };
    fixture_t *f = mem_new(sizeof *f);
    for (size_t i = 0; i < ARRAY_LEN(s_kinds); i++) {
        const kind_t *kind = &s_kinds[i];
        s_open(f, kind);
        double few = s_recall(f, NULL, 0), some = s_recall(f, NULL, 64);
        printf("%s of cells %d, %g null%s: %.3f, %.3f\n", metric_name(kind->metric),
               (int)kind->cells, kind->nulls, kind->without_raw ? ", codes only" : "", few, some);
        assert_true(few >= kind->few && some >= kind->some);
        for (size_t s = 0; s < ARRAY_LEN(shares); s++)
            s_filter(f, shares[s]);
        s_close(f);
    }
    mem_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(floors) };
    return cmocka_run_group_tests_name("hnsw recall", tests, NULL, NULL);
}
