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

/* --- builds ------------------------------------------------------------------------------- */

static const sparse_shape_t s_small = {
    .n_rows = 700, .n_queries = 3, .row_terms = 10, .query_terms = 8, .n_terms = 60,
    .negative = 0.2, .null = 0.1, .seed = 4,
};

static void rows_build_the_same_bytes(void **state)
{
    (void)state;
    ctx_t ctx;
    sparse_data_t a, b;
    ctx_init(&ctx);
    sparse_data_init(&a, INDEX_SPARSE_WAND, &s_small);
    sparse_data_init(&b, INDEX_SPARSE_WAND, &s_small);
    b.stretch = 64 * 3;
    assert_int_equal(sparse_data_build(&a, &ctx, NULL), OK);
    assert_int_equal(sparse_data_build(&b, &ctx, NULL), OK);
    assert_int_equal(a.built.n_objects, b.built.n_objects);
    for (size_t i = 0; i < a.built.n_objects; i++)
        assert_true(view_eq(buf_view(&a.objects[i]), buf_view(&b.objects[i])));
    sparse_data_fini(&a);
    sparse_data_fini(&b);
    ctx_fini(&ctx);
}

/* No rows, nulls only, empty rows only, one row. */
static void odd_segments_have_indexes_too(void **state)
{
    (void)state;
    for (size_t i = 0; i < 8; i++) {
        ctx_t ctx;
        sparse_data_t data;
        owned(index) index = NULL;
        sparse_shape_t shape = s_small;
        shape.n_rows = i / 2 == 0 ? 0 : i / 2 == 1 ? 1 : 70;
        shape.null = i / 2 == 2;
        shape.row_terms = i / 2 == 3 ? 0 : 10;
        ctx_init(&ctx);
        sparse_data_init(&data, s_types[i % 2], &shape);
        assert_int_equal(sparse_data_build(&data, &ctx, NULL), OK);
        assert_int_equal(sparse_data_open(&data, &ctx, &index), OK);
        s_same_as_scan(&data, &ctx, index, &(sparse_ask_t){ .k = 5 });
        index_destroy(&index);
        sparse_data_fini(&data);
        ctx_fini(&ctx);
    }
}

/* What is left out are the smallest values, as many as the ratio says, whatever their signs. */
static void a_share_of_the_values_is_dropped(void **state)
{
    (void)state;
    ctx_t ctx;
    sparse_data_t data;
    owned(index) index = NULL;
    float values[] = { 1, -2, 3, -4, 5, -6, 7, -8 };
    topk_hit_t hits[8];
    ctx_init(&ctx);
    sparse_data_init(&data, INDEX_SPARSE_INVERTED,
                     &(sparse_shape_t){ .n_rows = 8, .n_queries = 1 });
    for (size_t i = 0; i < 8; i++) {
        buf_add_u32(&data.rows, 7);
        buf_add(&data.rows, &values[i], 4);
        data.offsets[i + 1] = data.rows.len;
    }
    buf_reset(&data.queries);
    buf_add_u32(&data.queries, 7);
    buf_add(&data.queries, &values[0], 4);
    data.query_offsets[1] = data.queries.len;
    data.spec.drop_ratio_build = 0.3f;              /* 2 of 8: 1 and -2 */
    assert_int_equal(sparse_data_build(&data, &ctx, NULL), OK);
    assert_int_equal(sparse_data_open(&data, &ctx, &index), OK);
    sparse_data_search(&data, &ctx, index, &(sparse_ask_t){ .k = 8 }, hits);
    for (uint32_t i = 0; i < 3; i++)                /* 7, 5, 3 */
        assert_int_equal(hits[i].row, 6 - 2 * i);
    assert_int_equal(hits[3].row, UINT32_MAX);
    index_destroy(&index);
    sparse_data_fini(&data);
    ctx_fini(&ctx);
}

static void what_is_no_sparse_vector_is_not_built(void **state)
{
    (void)state;
    ctx_t ctx;
    sparse_data_t data;
    sparse_shape_t all_valid = s_small;
    all_valid.null = 0;
    ctx_init(&ctx);
    for (size_t damage = 0; damage < 3; damage++) {
        uint8_t *at;
        sparse_data_init(&data, INDEX_SPARSE_INVERTED, &all_valid);
        for (at = data.rows.ptr; load_u32(at) >= load_u32(at + 8); )
            at += 8;                                /* two of one row */
        if (damage == 0)
            store_u32(at + 8, load_u32(at));        /* the same index twice */
        else if (damage == 1)
            store_u32(at + 4, 0xff800000);          /* no number */
        else
            data.offsets[data.n]--;                 /* half a pair */
        assert_int_equal(sparse_data_build(&data, &ctx, NULL), ERR_CORRUPT);
        sparse_data_fini(&data);
    }
    ctx_fini(&ctx);
}

static void every_fault_of_a_build_is_reported(void **state)
{
    (void)state;
    ctx_t ctx;
    sparse_data_t data;
    ctx_init(&ctx);
    sparse_data_init(&data, INDEX_SPARSE_WAND, &s_small);
    data.spec.drop_ratio_build = 0.2f;
    data.stretch = 256;
    for (int nth = 0; ; nth++) {
        ctx_clear(&ctx);
        fault_arm(nth);
        err_t err = sparse_data_build(&data, &ctx, NULL);
        if (!fault_disarm()) {
            assert_int_equal(err, OK);
            assert_true(nth > 15);
            break;
        }
        assert_true(err == ERR_MEMORY || err == ERR_STORE);
        assert_true(ctx.err == err);
    }
    ctx_cancel(&ctx);
    assert_int_equal(sparse_data_build(&data, &ctx, NULL), ERR_CANCELED);
    assert_int_equal(data.objects[0].len, 0);
    sparse_data_fini(&data);
    ctx_fini(&ctx);
}

/* --- opening and searching ------------------------------------------------------------------ */

static void any_flipped_byte_is_corrupt(void **state)
{
    (void)state;
    ctx_t ctx;
    sparse_data_t data;
    ctx_init(&ctx);
    sparse_data_init(&data, INDEX_SPARSE_WAND, &s_small);
    assert_int_equal(sparse_data_build(&data, &ctx, NULL), OK);
    for (size_t i = 0; i < data.built.n_objects; i++)
        for (size_t at = 0; at < data.objects[i].len; at += at < 300 ? 1 : 13) {
            index_t *index = NULL;
            data.objects[i].ptr[at] ^= 16;
            err_t err = sparse_data_open(&data, &ctx, &index);
            assert_true(err == ERR_CORRUPT || err == ERR_VERSION);
            assert_null(index);
            data.objects[i].ptr[at] ^= 16;
        }
    sparse_data_fini(&data);
    ctx_fini(&ctx);
}

static err_t s_ask(sparse_data_t *data, ctx_t *ctx, const index_t *index, topk_t **best)
{
    index_ask_t ask = { .queries = data->queries.ptr, .offsets = data->query_offsets,
                        .n_queries = data->n_queries, .want = TOPK,
                        .knobs = { .drop_ratio_search = 0.3f } };
    return index_search(ctx, index, &ask, best);
}

static void every_fault_of_a_search_is_reported(void **state)
{
    (void)state;
    ctx_t ctx;
    sparse_data_t data;
    owned(index) index = NULL;
    topk_t *best[3] = {0};
    ctx_init(&ctx);
    sparse_data_init(&data, INDEX_SPARSE_INVERTED, &s_small);
    assert_int_equal(sparse_data_build(&data, &ctx, NULL), OK);
    for (int nth = 0; ; nth++) {
        fault_arm(nth);
        err_t err = sparse_data_open(&data, &ctx, &index);
        if (!fault_disarm())
            break;
        assert_int_equal(err, ERR_MEMORY);
    }
    assert_non_null(index);
    for (size_t q = 0; q < 3; q++)
        assert_int_equal(topk_new(&ctx, TOPK, true, &best[q]), OK);
    for (int nth = 0; ; nth++) {
        fault_arm(nth);
        err_t err = s_ask(&data, &ctx, index, best);
        if (!fault_disarm()) {
            assert_int_equal(err, OK);
            assert_true(nth > 5);
            break;
        }
        assert_int_equal(err, ERR_MEMORY);
    }
    ctx_cancel(&ctx);
    assert_int_equal(s_ask(&data, &ctx, index, best), ERR_CANCELED);
    for (size_t q = 0; q < 3; q++)
        topk_destroy(&best[q]);
    sparse_data_fini(&data);
    ctx_fini(&ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_those_of_a_scan),
        cmocka_unit_test(rows_build_the_same_bytes),
        cmocka_unit_test(odd_segments_have_indexes_too),
        cmocka_unit_test(a_share_of_the_values_is_dropped),
        cmocka_unit_test(what_is_no_sparse_vector_is_not_built),
        cmocka_unit_test(every_fault_of_a_build_is_reported),
        cmocka_unit_test(any_flipped_byte_is_corrupt),
        cmocka_unit_test(every_fault_of_a_search_is_reported),
    };
    return cmocka_run_group_tests_name("sparse index", tests, NULL, NULL);
}
