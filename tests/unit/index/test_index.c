/* Indexes: what is built can be opened, says the same for the same seed, survives damage and
 * faults, and with every list read finds exactly what a scan finds. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/base/fault.h"
#include "tests/support/index_data.h"

enum { ROWS = 3000, QUERIES = 21, DIM = 24, TOPK = 10 };

static const struct { index_type_t type; metric_t metric; cell_t cells; } s_kinds[] = {
    { INDEX_IVF_FLAT, METRIC_L2, CELL_F32 }, { INDEX_IVF_FLAT, METRIC_IP, CELL_F32 },
    { INDEX_IVF_FLAT, METRIC_COSINE, CELL_F32 }, { INDEX_IVF_FLAT, METRIC_L2, CELL_F16 },
    { INDEX_IVF_FLAT, METRIC_COSINE, CELL_BF16 }, { INDEX_IVF_FLAT, METRIC_L2, CELL_I8 },
    { INDEX_IVF_FLAT, METRIC_COSINE, CELL_I8 },
    { INDEX_BIN_IVF_FLAT, METRIC_HAMMING, CELL_BIN },
    { INDEX_BIN_IVF_FLAT, METRIC_JACCARD, CELL_BIN },
};

static index_spec_t s_spec(size_t kind)
{
    return (index_spec_t){ .type = s_kinds[kind].type, .metric = s_kinds[kind].metric,
                           .cells = s_kinds[kind].cells, .dim = DIM, .seed = 7, .nlist = 40 };
}

static void s_keep_some(ctx_t *ctx, bitset_t *keep, double share)
{
    rng_t rng;
    rng_seed(&rng, 3);
    assert_int_equal(bitset_init(ctx, keep, ROWS), OK);
    for (size_t i = 0; i < ROWS; i++)
        if (rng_chance(&rng, share))
            bitset_set(keep, i);
}

static void s_same_as_scan(index_data_t *data, ctx_t *ctx, const index_t *index,
                           const bitset_t *keep, size_t nprobe)
{
    uint32_t exact[QUERIES * TOPK], found[QUERIES * TOPK];
    index_knobs_t knobs = { .nprobe = nprobe };
    index_data_search(data, ctx, NULL, TOPK, keep, &knobs, exact);
    index_data_search(data, ctx, index, TOPK, keep, &knobs, found);
    assert_memory_equal(exact, found, sizeof exact);
}

static void all_lists_are_exact(void **state)
{
    (void)state;
    for (size_t kind = 0; kind < ARRAY_LEN(s_kinds); kind++) {
        ctx_t ctx;
        index_data_t data;
        owned(index) index = NULL;
        index_spec_t spec = s_spec(kind);
        bitset_t keep;
        ctx_init(&ctx);
        index_data_init(&data, &spec, ROWS, QUERIES, 1 + kind);
        if (kind % 2)
            index_data_nulls(&data, 0.2, 5);
        data.stretch = 256;
        index_how_t how = { .object_bytes = 10000 };
        assert_int_equal(index_data_build(&data, &ctx, &how), OK);
        assert_true(data.built.n_objects > 1);
        assert_int_equal(index_data_open(&data, &ctx, &index), OK);
        assert_int_equal(index_rows(index), ROWS);
        s_same_as_scan(&data, &ctx, index, NULL, 40);
        for (double share = 0.0001; share < 1; share *= 20) {
            s_keep_some(&ctx, &keep, share);
            s_same_as_scan(&data, &ctx, index, &keep, 40);
            bitset_fini(&keep);
        }
        index_destroy(&index);
        index_data_fini(&data);
        ctx_fini(&ctx);
    }
}

/* --- builds ------------------------------------------------------------------------------- */

/* The same bytes, whatever the stretches and threads. */
static void a_seed_builds_the_same_bytes(void **state)
{
    (void)state;
    ctx_t ctx;
    index_data_t a, b;
    pool_t *pool = pool_new("build", 3);
    index_spec_t spec = s_spec(2);
    ctx_init(&ctx);
    index_data_init(&a, &spec, ROWS, 1, 1);
    index_data_init(&b, &spec, ROWS, 1, 1);
    b.stretch = 64 * 13;
    index_how_t how = { .pool = pool, .threads = 4 };
    assert_int_equal(index_data_build(&a, &ctx, NULL), OK);
    assert_int_equal(index_data_build(&b, &ctx, &how), OK);
    assert_int_equal(a.built.n_objects, b.built.n_objects);
    for (size_t i = 0; i < a.built.n_objects; i++)
        assert_true(view_eq(buf_view(&a.objects[i]), buf_view(&b.objects[i])));
    b.spec.seed++;
    assert_int_equal(index_data_build(&b, &ctx, NULL), OK);
    assert_false(view_eq(buf_view(&a.objects[0]), buf_view(&b.objects[0])));
    index_data_fini(&a);
    index_data_fini(&b);
    pool_destroy(&pool);
    ctx_fini(&ctx);
}

/* No rows, nulls only, one row, many equal ones. */
static void odd_segments_have_indexes_too(void **state)
{
    (void)state;
    for (size_t n = 0; n < 90; n = 2 * n + 1) {
        ctx_t ctx;
        index_data_t data;
        index_spec_t spec = s_spec(n % 2 ? 0 : 2);
        owned(index) index = NULL;
        uint32_t found[TOPK];
        ctx_init(&ctx);
        index_data_init(&data, &spec, n, 1, 1);
        if (n == 7)
            index_data_nulls(&data, 1, 1);
        if (n == 31)
            memset(data.rows, 0, n * data.width);
        assert_int_equal(index_data_build(&data, &ctx, NULL), OK);
        assert_int_equal(index_data_open(&data, &ctx, &index), OK);
        index_data_search(&data, &ctx, index, TOPK, NULL, &(index_knobs_t){0}, found);
        size_t most = n == 7 ? 0 : n < TOPK ? n : TOPK, hits = 0;
        while (hits < TOPK && found[hits] != UINT32_MAX)
            hits++;
        assert_int_equal(hits, most);
        index_destroy(&index);
        index_data_fini(&data);
        ctx_fini(&ctx);
    }
}

/* With all it needs it is built, with a byte less it is not begun. */
static void a_build_keeps_to_its_memory(void **state)
{
    (void)state;
    static const index_type_t types[] = { INDEX_IVF_FLAT, INDEX_SCANN, INDEX_HNSW, INDEX_DISKANN };
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        ctx_t ctx;
        index_data_t data;
        index_spec_t spec = { .type = types[i], .metric = METRIC_L2, .cells = CELL_F32, .dim = DIM,
                              .seed = 7, .nlist = 8, .degree = 8, .ef_construction = 20 };
        ctx_init(&ctx);
        index_data_init(&data, &spec, 500, 1, 1);
        uint64_t need = index_build_need(&spec, 500, 500 * data.width);
        assert_true(need > 500 * data.width && need < 20 * 500 * data.width);
        assert_true(index_build_need(&spec, 1000, 1000 * data.width) > need);
        index_how_t how = { .memory_bytes = need - 1 };
        assert_int_equal(index_data_build(&data, &ctx, &how), ERR_MEMORY);
        assert_non_null(strstr(ctx.text, "MiB"));
        assert_int_equal(data.objects[0].len + data.objects[1].len, 0);
        ctx_clear(&ctx);
        how.memory_bytes = need;
        assert_int_equal(index_data_build(&data, &ctx, &how), OK);
        index_data_fini(&data);
        ctx_fini(&ctx);
    }
}

static void every_fault_of_a_build_is_reported(void **state)
{
    (void)state;
    ctx_t ctx;
    index_data_t data;
    index_spec_t spec = s_spec(2);
    ctx_init(&ctx);
    index_data_init(&data, &spec, 300, 1, 1);
    data.stretch = 128;
    for (int nth = 0; ; nth++) {
        ctx_clear(&ctx);
        fault_arm(nth);
        err_t err = index_data_build(&data, &ctx, &(index_how_t){ .object_bytes = 8000 });
        if (!fault_disarm()) {
            assert_int_equal(err, OK);
            assert_true(nth > 20);
            break;
        }
        assert_true(err == ERR_MEMORY || err == ERR_STORE);
        assert_true(ctx.err == err);
    }
    index_data_fini(&data);
    ctx_fini(&ctx);
}

static void a_cancelled_build_stops(void **state)
{
    (void)state;
    ctx_t ctx;
    index_data_t data;
    index_spec_t spec = s_spec(0);
    ctx_init(&ctx);
    index_data_init(&data, &spec, 300, 1, 1);
    ctx_cancel(&ctx);
    assert_int_equal(index_data_build(&data, &ctx, NULL), ERR_CANCELED);
    assert_int_equal(data.objects[0].len, 0);
    index_data_fini(&data);
    ctx_fini(&ctx);
}

/* --- opening and searching ------------------------------------------------------------------ */

/* Any byte of any object: never opened, the object is named. */
static void any_flipped_byte_is_corrupt(void **state)
{
    (void)state;
    ctx_t ctx;
    index_data_t data;
    index_spec_t spec = s_spec(2);
    ctx_init(&ctx);
    index_data_init(&data, &spec, 200, 1, 1);
    assert_int_equal(index_data_build(&data, &ctx, &(index_how_t){ .object_bytes = 9000 }), OK);
    for (size_t i = 0; i < data.built.n_objects; i++)
        for (size_t at = 0; at < data.objects[i].len; at += at < 300 ? 1 : 13) {
            index_t *index = NULL;
            data.objects[i].ptr[at] ^= 16;
            err_t err = index_data_open(&data, &ctx, &index);
            assert_true(err == ERR_CORRUPT || err == ERR_VERSION);
            assert_null(index);
            assert_non_null(strstr(ctx.text, "object"));
            data.objects[i].ptr[at] ^= 16;
        }
    data.built.n_objects--;
    index_t *index = NULL;
    assert_int_equal(index_data_open(&data, &ctx, &index), ERR_CORRUPT);
    index_data_fini(&data);
    ctx_fini(&ctx);
}

static err_t s_ask(index_data_t *data, ctx_t *ctx, const index_t *index, topk_t **best)
{
    index_ask_t ask = { .queries = data->queries, .n_queries = data->n_queries, .want = ROWS,
                        .knobs = { .nprobe = 3 } };
    for (size_t q = 0; q < data->n_queries; q++)
        topk_reset(best[q]);
    return index_search(ctx, index, &ask, best);
}

static void every_fault_of_a_search_is_reported(void **state)
{
    (void)state;
    ctx_t ctx;
    index_data_t data;
    owned(index) index = NULL;
    index_spec_t spec = s_spec(5);
    topk_t *best[3] = {0};
    ctx_init(&ctx);
    index_data_init(&data, &spec, ROWS, 3, 1);
    assert_int_equal(index_data_build(&data, &ctx, NULL), OK);
    for (int nth = 0; ; nth++) {
        fault_arm(nth);
        err_t err = index_data_open(&data, &ctx, &index);
        if (!fault_disarm())
            break;
        assert_int_equal(err, ERR_MEMORY);
    }
    assert_non_null(index);
    for (size_t q = 0; q < 3; q++)
        assert_int_equal(topk_new(&ctx, TOPK, false, &best[q]), OK);
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
    index_data_fini(&data);
    ctx_fini(&ctx);
}

/* --- ranges ------------------------------------------------------------------------------- */

/* With all lists: exactly what lies in the range.  With one, only what lies in it. */
static void a_range_is_kept(void **state)
{
    (void)state;
    ctx_t ctx;
    index_data_t data;
    owned(index) index = NULL;
    index_spec_t spec = s_spec(0);
    topk_hit_t hits[500];
    topk_t *best = NULL;
    ctx_init(&ctx);
    index_data_init(&data, &spec, ROWS, 1, 1);
    assert_int_equal(index_data_build(&data, &ctx, NULL), OK);
    assert_int_equal(index_data_open(&data, &ctx, &index), OK);
    assert_int_equal(topk_new(&ctx, ARRAY_LEN(hits), false, &best), OK);
    index_ask_t all = { .queries = data.queries, .n_queries = 1, .want = ARRAY_LEN(hits),
                        .knobs = { .nprobe = 40 } };
    assert_int_equal(index_search(&ctx, index, &all, &best), OK);
    assert_int_equal(topk_hits(best, hits), ARRAY_LEN(hits));
    float radius = hits[220].score, inner = hits[20].score;
    for (size_t nprobe = 1; nprobe <= 40; nprobe += 39) {
        index_ask_t ask = { .queries = data.queries, .n_queries = 1, .want = ARRAY_LEN(hits),
                            .has_range = true, .radius = radius, .inner = inner,
                            .knobs = { .nprobe = nprobe } };
        topk_reset(best);
        topk_range(best, radius, inner);
        assert_int_equal(index_search(&ctx, index, &ask, &best), OK);
        size_t n = topk_hits(best, hits);
        assert_true(nprobe == 1 ? n <= 200 && n > 0 : n == 200);
        for (size_t i = 0; i < n; i++)
            assert_true(hits[i].score < radius && hits[i].score >= inner);
    }
    topk_destroy(&best);
    index_data_fini(&data);
    ctx_fini(&ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_lists_are_exact),
        cmocka_unit_test(a_seed_builds_the_same_bytes),
        cmocka_unit_test(odd_segments_have_indexes_too),
        cmocka_unit_test(a_build_keeps_to_its_memory),
        cmocka_unit_test(every_fault_of_a_build_is_reported),
        cmocka_unit_test(a_cancelled_build_stops),
        cmocka_unit_test(any_flipped_byte_is_corrupt),
        cmocka_unit_test(every_fault_of_a_search_is_reported),
        cmocka_unit_test(a_range_is_kept),
    };
    return cmocka_run_group_tests_name("index", tests, NULL, NULL);
}
