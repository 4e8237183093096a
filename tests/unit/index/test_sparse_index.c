/* Indexes of sparse vectors: both types answer as a scan does, bit for bit, whatever the data;
 * what is built is the same for the same rows and is refused when it is damaged; every fault is
 * reported. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/base/fault.h"
#include "tests/support/sparse_data.h"

enum { TOPK = 10 };

static const index_type_t s_types[] = { INDEX_SPARSE_INVERTED, INDEX_SPARSE_WAND };

/* Scores may be equal, and then the row decides: so all of a hit is compared. */
static void s_same_as_scan(const sparse_data_t *data, ctx_t *ctx, const index_t *index,
                           const sparse_ask_t *ask)
{
    size_t bytes = data->n_queries * ask->k * sizeof(topk_hit_t);
    topk_hit_t *exact = mem_new(bytes), *found = mem_new(bytes);
    sparse_data_search(data, ctx, NULL, ask, exact);
    sparse_data_search(data, ctx, index, ask, found);
    for (size_t i = 0; i < data->n_queries * ask->k; i++) {
        assert_int_equal(exact[i].row, found[i].row);
        assert_memory_equal(&exact[i].score, &found[i].score, sizeof exact[i].score);
    }
    mem_free(exact);
    mem_free(found);
}

static void s_keep_some(ctx_t *ctx, bitset_t *keep, size_t n, double share)
{
    rng_t rng;
    rng_seed(&rng, 3);
    assert_int_equal(bitset_init(ctx, keep, n), OK);
    for (size_t i = 0; i < n; i++)
        if (rng_chance(&rng, share))
            bitset_set(keep, i);
}

static void s_all_asks(const sparse_data_t *data, ctx_t *ctx, const index_t *index)
{
    s_same_as_scan(data, ctx, index, &(sparse_ask_t){ .k = 1 });
    s_same_as_scan(data, ctx, index, &(sparse_ask_t){ .k = TOPK });
    s_same_as_scan(data, ctx, index, &(sparse_ask_t){ .k = 500 });
    for (double share = 0.0005; share < 1; share *= 8) {
        bitset_t keep;
        s_keep_some(ctx, &keep, data->n, share);
        s_same_as_scan(data, ctx, index, &(sparse_ask_t){ .k = TOPK, .keep = &keep });
        bitset_fini(&keep);
    }
    s_same_as_scan(data, ctx, index, &(sparse_ask_t){ .k = TOPK, .has_range = true, .radius = 1,
                                                      .inner = 2.5f });
    s_same_as_scan(data, ctx, index, &(sparse_ask_t){ .k = TOPK, .has_range = true,
                                                      .radius = -1, .inner = 0.5f });
}

static const sparse_shape_t s_shapes[] = {
    { .n_rows = 20000, .n_queries = 12, .row_terms = 30, .query_terms = 12, .n_terms = 3000 },
    { .n_rows = 9000, .n_queries = 12, .row_terms = 30, .query_terms = 12, .n_terms = 200,
      .negative = 0.4, .null = 0.2 },
    { .n_rows = 9000, .n_queries = 12, .row_terms = 5, .query_terms = 4, .n_terms = 100,
      .equal = true },
    { .n_rows = 9000, .n_queries = 12, .row_terms = 20, .query_terms = 9, .n_terms = 3000000 },
    { .n_rows = 70000, .n_queries = 6, .row_terms = 6, .query_terms = 8, .n_terms = 500,
      .negative = 0.1, .null = 0.01 },
    { .n_rows = 300, .n_queries = 12, .row_terms = 300, .query_terms = 300, .n_terms = 1000,
      .negative = 0.5 },
};

static void answers_are_those_of_a_scan(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(s_shapes) * ARRAY_LEN(s_types); i++) {
        ctx_t ctx;
        sparse_data_t data;
        owned(index) index = NULL;
        ctx_init(&ctx);
        sparse_data_init(&data, s_types[i % 2], &s_shapes[i / 2]);
        data.stretch = 64 * 37;
        assert_int_equal(sparse_data_build(&data, &ctx, &(index_how_t){ .object_bytes = 9000 }),
                         OK);
        assert_true(data.built.n_objects > 1);
        assert_int_equal(sparse_data_open(&data, &ctx, &index), OK);
        assert_int_equal(index_rows(index), data.n);
        s_all_asks(&data, &ctx, index);
        index_destroy(&index);
        sparse_data_fini(&data);
        ctx_fini(&ctx);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_those_of_a_scan),
    };
    return cmocka_run_group_tests_name("sparse index", tests, NULL, NULL);
}
