/* What an index of sparse vectors finds of what a scan finds: everything, and with drop ratios
 * nearly; and what is found has its whole score, but for the values that the build dropped.  The
 * floors are some hundredths below what was measured. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

#include "tests/support/sparse_data.h"

enum { TOPK = 10 };

static const sparse_shape_t s_shape = {
    .n_rows = 30000, .n_queries = 30, .row_terms = 60, .query_terms = 25, .n_terms = 20000,
    .seed = 9,
};

static const struct { float build, search; double floor; } s_ratios[] = {
    { 0, 0, 1 }, { 0, 0.2f, 0.98 }, { 0, 0.5f, 0.96 }, { 0.1f, 0, 0.96 }, { 0.3f, 0, 0.92 },
    { 0.2f, 0.2f, 0.95 },
};

static void s_one(index_type_t type, size_t i, const topk_hit_t *exact, sparse_data_t *data)
{
    ctx_t ctx;
    owned(index) index = NULL;
    topk_hit_t *found = mem_new(data->n_queries * TOPK * sizeof *found);
    sparse_ask_t ask = { .k = TOPK, .knobs = { .drop_ratio_search = s_ratios[i].search } };
    ctx_init(&ctx);
    data->spec.type = type;
    data->spec.drop_ratio_build = s_ratios[i].build;
    assert_int_equal(sparse_data_build(data, &ctx, NULL), OK);
    assert_int_equal(sparse_data_open(data, &ctx, &index), OK);
    sparse_data_search(data, &ctx, index, &ask, found);
    double recall = sparse_data_recall(data, exact, found, TOPK);
    printf("%s, drop ratios %.1f, %.1f: %.3f; %.2f of the cells' bytes\n", index_type_name(type),
           (double)s_ratios[i].build, (double)s_ratios[i].search, recall,
           (double)data->built.bytes / (double)data->rows.len);
    assert_true(recall >= s_ratios[i].floor);
    for (size_t at = 0; s_ratios[i].build == 0 && at < data->n_queries * TOPK; at++)
        for (size_t e = at / TOPK * TOPK; e < at / TOPK * TOPK + TOPK; e++)
            assert_true(exact[e].row != found[at].row || exact[e].score == found[at].score);
    mem_free(found);
    index_destroy(&index);
    ctx_fini(&ctx);
}

static void floors(void **state)
{
    (void)state;
    ctx_t ctx;
    sparse_data_t data;
    ctx_init(&ctx);
    sparse_data_init(&data, INDEX_SPARSE_INVERTED, &s_shape);
    topk_hit_t *exact = mem_new(data.n_queries * TOPK * sizeof *exact);
    sparse_data_search(&data, &ctx, NULL, &(sparse_ask_t){ .k = TOPK }, exact);
    for (size_t i = 0; i < ARRAY_LEN(s_ratios); i++) {
        s_one(INDEX_SPARSE_INVERTED, i, exact, &data);
        s_one(INDEX_SPARSE_WAND, i, exact, &data);
    }
    mem_free(exact);
    sparse_data_fini(&data);
    ctx_fini(&ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(floors) };
    return cmocka_run_group_tests_name("sparse recall", tests, NULL, NULL);
}
