/* How much inverted files that keep codes find of what a scan finds, under filters: floors for each
 * type, metric, kind of cells and share that is kept, on clustered data from fixed seeds.  The
 * floors are some hundredths below what was measured. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

#include "tests/support/index_data.h"

enum { ROWS = 8000, QUERIES = 60, DIM = 32, TOPK = 10, NLIST = 64, SHARES = 5, SEEDS = 3 };

/* Of the rows, that a filter keeps; all without one. */
static const double s_shares[SHARES] = { 0.01, 0.1, 0.5, 0.9, 1 };

typedef struct kind {
    index_type_t type;
    metric_t metric;
    cell_t cells;
    bool without_raw;
    double floors[SHARES];
} kind_t;

static const kind_t s_kinds[] = {
    { INDEX_IVF_SQ8, METRIC_L2, CELL_F32, false, { 0.97, 0.97, 0.86, 0.86, 0.86 } },
    { INDEX_IVF_SQ8, METRIC_IP, CELL_F16, false, { 0.97, 0.97, 0.86, 0.86, 0.86 } },
    { INDEX_IVF_SQ8, METRIC_COSINE, CELL_BF16, false, { 0.97, 0.97, 0.86, 0.86, 0.86 } },
    { INDEX_IVF_SQ8, METRIC_L2, CELL_I8, false, { 0.97, 0.97, 0.86, 0.86, 0.86 } },
    { INDEX_IVF_PQ, METRIC_L2, CELL_F32, false, { 0.89, 0.83, 0.79, 0.80, 0.80 } },
    { INDEX_IVF_PQ, METRIC_IP, CELL_BF16, false, { 0.89, 0.83, 0.79, 0.80, 0.80 } },
    { INDEX_IVF_PQ, METRIC_COSINE, CELL_F16, false, { 0.89, 0.83, 0.79, 0.80, 0.80 } },
    { INDEX_IVF_PQ, METRIC_L2, CELL_I8, false, { 0.89, 0.83, 0.79, 0.80, 0.80 } },
    { INDEX_SCANN, METRIC_L2, CELL_F32, false, { 0.99, 0.99, 0.87, 0.86, 0.86 } },
    { INDEX_SCANN, METRIC_IP, CELL_F16, false, { 0.99, 0.99, 0.87, 0.88, 0.86 } },
    { INDEX_SCANN, METRIC_COSINE, CELL_BF16, false, { 0.99, 0.99, 0.87, 0.88, 0.86 } },
    { INDEX_SCANN, METRIC_COSINE, CELL_I8, false, { 0.99, 0.99, 0.87, 0.88, 0.86 } },
    { INDEX_SCANN, METRIC_L2, CELL_F32, true, { 0.71, 0.62, 0.58, 0.56, 0.55 } },
    { INDEX_SCANN, METRIC_COSINE, CELL_F16, true, { 0.71, 0.62, 0.58, 0.56, 0.55 } },
    { INDEX_BIN_IVF_FLAT, METRIC_HAMMING, CELL_BIN, false, { 1, 1, 0.79, 0.77, 0.76 } },
    { INDEX_BIN_IVF_FLAT, METRIC_JACCARD, CELL_BIN, false, { 1, 1, 0.87, 0.84, 0.83 } },
};

typedef struct fixture {
    ctx_t ctx;
    index_data_t data;
    index_t *index;
    uint32_t exact[QUERIES * TOPK], found[QUERIES * TOPK];
} fixture_t;

static void s_open(fixture_t *f, const kind_t *kind, uint64_t seed)
{
    index_spec_t spec = { .type = kind->type, .metric = kind->metric, .cells = kind->cells,
                          .dim = DIM, .seed = seed, .nlist = NLIST, .m = DIM / 2, .nbits = 8,
                          .without_raw = kind->without_raw };
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

/* Every row that was found is one that is kept, and answers are as full as a scan's. */
static double s_recall(fixture_t *f, size_t share)
{
    index_knobs_t knobs = { .nprobe = NLIST / 4, .reorder_k = 5 * TOPK };
    bitset_t keep;
    rng_t rng;
    rng_seed(&rng, share);
    assert_int_equal(bitset_init(&f->ctx, &keep, ROWS), OK);
    for (size_t row = 0; row < ROWS; row++)
        if (rng_chance(&rng, s_shares[share]))
            bitset_set(&keep, row);
    const bitset_t *filter = s_shares[share] < 1 ? &keep : NULL;
    index_data_search(&f->data, &f->ctx, NULL, TOPK, filter, &knobs, f->exact);
    index_data_search(&f->data, &f->ctx, f->index, TOPK, filter, &knobs, f->found);
    for (size_t i = 0; i < QUERIES * TOPK; i++) {
        assert_true((f->found[i] == UINT32_MAX) == (f->exact[i] == UINT32_MAX));
        assert_true(!filter || f->found[i] == UINT32_MAX || bitset_has(&keep, f->found[i]));
    }
    bitset_fini(&keep);
    return index_data_recall(f->exact, f->found, QUERIES, TOPK);
}

/* The mean of several builds: which clusters a seed leads to decides hundredths. */
static void floors_under_filters(void **state)
{
    (void)state;
    fixture_t *f = mem_new(sizeof *f);
    bool all = true;
    for (size_t i = 0; i < ARRAY_LEN(s_kinds); i++) {
        const kind_t *kind = &s_kinds[i];
        double recalls[SHARES] = {0};
        for (uint64_t seed = 11; seed < 11 + SEEDS; seed++) {
            s_open(f, kind, seed);
            for (size_t s = 0; s < SHARES; s++)
                recalls[s] += s_recall(f, s) / SEEDS;
            s_close(f);
        }
        printf("%s %s cells %d%s:", index_type_name(kind->type), metric_name(kind->metric),
               (int)kind->cells, kind->without_raw ? ", codes only" : "");
        for (size_t s = 0; s < SHARES; s++) {
            printf(" %.3f", recalls[s]);
            all &= recalls[s] >= kind->floors[s];
        }
        printf("\n");
    }
    mem_free(f);
    assert_true(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(floors_under_filters) };
    return cmocka_run_group_tests_name("ivf_codes_recall", tests, NULL, NULL);
}
