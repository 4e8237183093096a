/* HNSW: what is built can be opened, says the same for the same seed, survives damage and faults,
 * and no answer is short while there are rows that a filter keeps. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <math.h>
#include <cmocka.h>

#include "core/base/crc.h"
#include "core/base/fault.h"
#include "core/index/index_file.h"
#include "tests/support/index_data.h"

enum { ROWS = 3000, QUERIES = 21, DIM = 24, TOPK = 10 };

static const struct { index_type_t type; metric_t metric; cell_t cells; bool no_raw; } s_kinds[] = {
    { INDEX_HNSW, METRIC_L2, CELL_F32, false }, { INDEX_HNSW, METRIC_IP, CELL_F32, false },
    { INDEX_HNSW, METRIC_COSINE, CELL_F32, false }, { INDEX_HNSW, METRIC_L2, CELL_F16, false },
    { INDEX_HNSW, METRIC_COSINE, CELL_BF16, false }, { INDEX_HNSW, METRIC_L2, CELL_I8, false },
    { INDEX_HNSW, METRIC_COSINE, CELL_I8, false }, { INDEX_HNSW_SQ, METRIC_L2, CELL_F32, true },
    { INDEX_HNSW_SQ, METRIC_COSINE, CELL_F16, true }, { INDEX_HNSW_SQ, METRIC_IP, CELL_I8, true },
    { INDEX_HNSW_SQ, METRIC_IP, CELL_F32, false },
};

static index_spec_t s_spec(size_t kind)
{
    return (index_spec_t){ .type = s_kinds[kind].type, .metric = s_kinds[kind].metric,
                           .cells = s_kinds[kind].cells, .without_raw = s_kinds[kind].no_raw,
                           .dim = DIM, .seed = 7, .degree = 8, .ef_construction = 60 };
}

typedef struct fixture {
    ctx_t ctx;
    index_data_t data;
    index_t *index;
} fixture_t;

static void s_open(fixture_t *f, const index_spec_t *spec, size_t n, double nulls)
{
    *f = (fixture_t){0};
    ctx_init(&f->ctx);
    index_data_init(&f->data, spec, n, QUERIES, 1);
    if (nulls > 0)
        index_data_nulls(&f->data, nulls, 5);
    index_how_t how = { .object_bytes = 100000 };
    f->data.stretch = 256;
    assert_int_equal(index_data_build(&f->data, &f->ctx, &how), OK);
    assert_int_equal(index_data_open(&f->data, &f->ctx, &f->index), OK);
}

static void s_close(fixture_t *f)
{
    index_destroy(&f->index);
    index_data_fini(&f->data);
    ctx_fini(&f->ctx);
}

static void s_keep_some(fixture_t *f, bitset_t *keep, double share)
{
    rng_t rng;
    rng_seed(&rng, 3);
    assert_int_equal(bitset_init(&f->ctx, keep, f->data.n), OK);
    for (size_t i = 0; i < f->data.n; i++)
        if (rng_chance(&rng, share))
            bitset_set(keep, i);
}

static double s_recall(fixture_t *f, const bitset_t *keep, size_t ef)
{
    uint32_t exact[QUERIES * TOPK], found[QUERIES * TOPK];
    index_knobs_t knobs = { .ef = ef };
    index_data_search(&f->data, &f->ctx, NULL, TOPK, keep, &knobs, exact);
    index_data_search(&f->data, &f->ctx, f->index, TOPK, keep, &knobs, found);
    for (size_t i = 0; i < ARRAY_LEN(found); i++) {
        assert_true((found[i] == UINT32_MAX) == (exact[i] == UINT32_MAX));
        assert_true(found[i] == UINT32_MAX || !keep || bitset_has(keep, found[i]));
    }
    return index_data_recall(exact, found, QUERIES, TOPK);
}

/* Of all kinds, with nulls and without; an ef that is too great for a walk is a scan. */
static void all_kinds_find_what_is_near(void **state)
{
    (void)state;
    for (size_t kind = 0; kind < ARRAY_LEN(s_kinds); kind++) {
        fixture_t f;
        index_spec_t spec = s_spec(kind);
        double least = spec.metric == METRIC_IP ? 0.9 : 0.95;
        s_open(&f, &spec, ROWS, kind % 2 ? 0.2 : 0);
        assert_int_equal(index_rows(f.index), ROWS);
        assert_true(s_recall(&f, NULL, 100) >= least);
        assert_true(s_recall(&f, NULL, ROWS) >= (spec.without_raw ? 0.96 : 1));
        for (double share = 0.0001; share < 1; share *= 9) {
            bitset_t keep;
            s_keep_some(&f, &keep, share);
            assert_true(s_recall(&f, &keep, 100) >= 0.97);
            bitset_fini(&keep);
        }
        s_close(&f);
    }
}

/* What is found has the score that a scan gives it, to the bit. */
static void scores_are_those_of_a_scan(void **state)
{
    (void)state;
    for (size_t kind = 0; kind < 7; kind++) {
        fixture_t f;
        index_spec_t spec = s_spec(kind);
        topk_t *best = NULL;
        topk_hit_t hits[TOPK];
        s_open(&f, &spec, 500, 0);
        const index_data_t *data = &f.data;
        assert_int_equal(topk_new(&f.ctx, TOPK, simd_kernel_descends(data->kernel), &best), OK);
        index_ask_t ask = { .queries = data->queries, .factors = data->factors, .n_queries = 1,
                            .want = TOPK };
        assert_int_equal(index_search(&f.ctx, f.index, &ask, &best), OK);
        assert_int_equal(topk_hits(best, hits), TOPK);
        for (size_t i = 0; i < TOPK; i++) {
            float score = simd()->ops[data->kernel].pair(
                data->queries, data->rows + hits[i].row * data->width, DIM);
            if (data->factors)
                score = score * data->norms[hits[i].row] * data->factors[0];
            assert_memory_equal(&score, &hits[i].score, sizeof score);
        }
        topk_destroy(&best);
        s_close(&f);
    }
}

/* --- builds ------------------------------------------------------------------------------- */

/* The same bytes, whatever the stretches. */
static void a_seed_builds_the_same_bytes(void **state)
{
    (void)state;
    ctx_t ctx;
    index_data_t a, b;
    index_spec_t spec = s_spec(2);
    ctx_init(&ctx);
    index_data_init(&a, &spec, ROWS, 1, 1);
    index_data_init(&b, &spec, ROWS, 1, 1);
    b.stretch = 64 * 13;
    assert_int_equal(index_data_build(&a, &ctx, NULL), OK);
    assert_int_equal(index_data_build(&b, &ctx, NULL), OK);
    assert_int_equal(a.built.n_objects, b.built.n_objects);
    for (size_t i = 0; i < a.built.n_objects; i++)
        assert_true(view_eq(buf_view(&a.objects[i]), buf_view(&b.objects[i])));
    b.spec.seed++;
    assert_int_equal(index_data_build(&b, &ctx, NULL), OK);
    assert_false(view_eq(buf_view(&a.objects[2]), buf_view(&b.objects[2])));
    index_data_fini(&a);
    index_data_fini(&b);
    ctx_fini(&ctx);
}

/* Several threads make another graph, not a worse one. */
static void threads_build_a_good_one(void **state)
{
    (void)state;
    fixture_t f = {0};
    index_spec_t spec = s_spec(0);
    _Atomic unsigned percent = 0;
    pool_t *pool = pool_new("build", 3);
    index_how_t how = { .pool = pool, .threads = 4, .percent = &percent };
    ctx_init(&f.ctx);
    index_data_init(&f.data, &spec, ROWS, QUERIES, 1);
    assert_int_equal(index_data_build(&f.data, &f.ctx, &how), OK);
    assert_int_equal(percent, 100);
    assert_int_equal(index_data_open(&f.data, &f.ctx, &f.index), OK);
    assert_true(s_recall(&f, NULL, 100) >= 0.97);
    s_close(&f);
    pool_destroy(&pool);
}

/* No rows, nulls only, one row, many equal ones; the least M and the greatest ef. */
static void odd_segments_have_indexes_too(void **state)
{
    (void)state;
    for (size_t n = 0; n < 2000; n = 2 * n + 1) {
        fixture_t f = {0};
        index_spec_t spec = s_spec(n % 2 ? 0 : 2);
        uint32_t found[TOPK];
        ctx_init(&f.ctx);
        spec.degree = n % 3 ? 8 : 1;
        spec.ef_construction = n == 63 ? INT32_MAX : 20;
        index_data_init(&f.data, &spec, n, 1, 1);
        if (n == 7)
            index_data_nulls(&f.data, 1, 1);
        if (n == 31 || n == 1023)
            memset(f.data.rows, 0, n * f.data.width);
        assert_int_equal(index_data_build(&f.data, &f.ctx, NULL), OK);
        assert_int_equal(index_data_open(&f.data, &f.ctx, &f.index), OK);
        index_data_search(&f.data, &f.ctx, f.index, TOPK, NULL, &(index_knobs_t){0}, found);
        size_t most = n == 7 ? 0 : n < TOPK ? n : TOPK, hits = 0;
        while (hits < TOPK && found[hits] != UINT32_MAX)
            hits++;
        assert_int_equal(hits, most);
        s_close(&f);
    }
}

/* Cells as great and as small as float32s get: nothing overflows into a file that cannot be
 * opened. */
static void any_numbers_can_be_indexed(void **state)
{
    (void)state;
    static const float cells[] = { 3e38f, -3e38f, 1e-38f, 1e-45f, 0, 1 };
    for (size_t kind = 0; kind < 3; kind++) {
        fixture_t f = {0};
        index_spec_t spec = s_spec(kind);
        ctx_init(&f.ctx);
        index_data_init(&f.data, &spec, 300, QUERIES, 1);
        rng_t rng;
        rng_seed(&rng, 1);
        for (size_t i = 0; i < 300 * DIM; i++)
            memcpy(f.data.rows + 4 * i, &cells[rng_below(&rng, ARRAY_LEN(cells))], 4);
        assert_int_equal(index_data_build(&f.data, &f.ctx, NULL), OK);
        assert_int_equal(index_data_open(&f.data, &f.ctx, &f.index), OK);
        s_close(&f);
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
    index_data_nulls(&data, 0.1, 1);
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

static void any_flipped_byte_is_corrupt(void **state)
{
    (void)state;
    fixture_t f;
    index_spec_t spec = s_spec(2);
    s_open(&f, &spec, 200, 0.1);
    for (size_t i = 0; i < f.data.built.n_objects; i++)
        for (size_t at = 0; at < f.data.objects[i].len; at += at < 300 ? 1 : 31) {
            index_t *index = NULL;
            f.data.objects[i].ptr[at] ^= 16;
            err_t err = index_data_open(&f.data, &f.ctx, &index);
            assert_true(err == ERR_CORRUPT || err == ERR_VERSION);
            assert_null(index);
            f.data.objects[i].ptr[at] ^= 16;
        }
    s_close(&f);
}

/* Write over a word of a section and make its checksum right. */
static void s_spoil(fixture_t *f, section_t kind, size_t at, uint32_t value)
{
    uint8_t *first = f->data.objects[0].ptr, *table = first + INDEX_HEAD_BYTES;
    size_t n = load_u16(table + 2);
    for (size_t i = 0; i < n; i++) {
        uint8_t *entry = table + INDEX_TABLE_BYTES + i * INDEX_ENTRY_BYTES;
        if (load_u32(entry) != (uint32_t)kind)
            continue;
        uint32_t object = load_u32(entry + 4);
        uint8_t *body = f->data.objects[object].ptr + load_u64(entry + 8);
        size_t len = (size_t)load_u64(entry + 16);
        check(at + 4 <= len);
        store_u32(body + at, value);
        len = object ? len : (len + INDEX_ALIGN - 1) / INDEX_ALIGN * INDEX_ALIGN;
        store_u32(entry + 24, crc32c(body, len));
    }
    size_t end = INDEX_TABLE_BYTES + n * INDEX_ENTRY_BYTES;
    end = (INDEX_HEAD_BYTES + end + INDEX_ALIGN - 1) / INDEX_ALIGN * INDEX_ALIGN - INDEX_HEAD_BYTES;
    store_u32(table + 36, crc32c_add(crc32c(table, 36), table + INDEX_TABLE_BYTES,
                                     end - INDEX_TABLE_BYTES));
}

/* With good checksums: what a walk relies on is looked at. */
static void nonsense_is_corrupt(void **state)
{
    (void)state;
    enum { N = 300 };
    static const struct { section_t kind; size_t at; uint32_t value; } bad[] = {
        { SECTION_LINKS, 0, N }, { SECTION_LINKS, 0, UINT32_MAX }, { SECTION_UPPER, 0, N },
        { SECTION_UPPER, 200, 0x7fffffff }, { SECTION_PARAMS, 0, 0 },
        { SECTION_PARAMS, 0, 1 << 30 }, { SECTION_PARAMS, 4, 0 }, { SECTION_PARAMS, 4, 99 },
        { SECTION_PARAMS, 8, 2 }, { SECTION_PARAMS, 12, 1 }, { SECTION_PARAMS, 16, 1 },
        { SECTION_PARAMS, 20, N + 1 },
        { SECTION_CODES, 24, 0x7fc00000 }, { SECTION_CODES, 28, 0x7f800000 },
        { SECTION_IDS, 0, N }, { SECTION_IDS, 8, 0 },
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        fixture_t f;
        index_spec_t spec = s_spec(0);
        s_open(&f, &spec, N, 0.1);
        s_spoil(&f, bad[i].kind, bad[i].at, bad[i].value);
        index_destroy(&f.index);
        assert_int_equal(index_data_open(&f.data, &f.ctx, &f.index), ERR_CORRUPT);
        assert_non_null(strstr(f.ctx.text, "built again"));
        assert_null(f.index);
        s_close(&f);
    }
}

static err_t s_ask(fixture_t *f, size_t want, topk_t **best)
{
    index_ask_t ask = { .queries = f->data.queries, .n_queries = 3, .want = want };
    for (size_t q = 0; q < 3; q++)
        topk_reset(best[q]);
    return index_search(&f->ctx, f->index, &ask, best);
}

static void every_fault_of_a_search_is_reported(void **state)
{
    (void)state;
    fixture_t f;
    index_spec_t spec = s_spec(5);
    topk_t *best[3] = {0};
    s_open(&f, &spec, ROWS, 0);
    index_destroy(&f.index);
    for (int nth = 0; ; nth++) {
        fault_arm(nth);
        err_t err = index_data_open(&f.data, &f.ctx, &f.index);
        if (!fault_disarm())
            break;
        assert_int_equal(err, ERR_MEMORY);
    }
    assert_non_null(f.index);
    for (size_t q = 0; q < 3; q++)
        assert_int_equal(topk_new(&f.ctx, TOPK, false, &best[q]), OK);
    for (int nth = 0; ; nth++) {
        fault_arm(nth);
        err_t err = s_ask(&f, TOPK, best);
        if (!fault_disarm()) {
            assert_int_equal(err, OK);
            assert_true(nth > 5);
            break;
        }
        assert_int_equal(err, ERR_MEMORY);
    }
    ctx_cancel(&f.ctx);
    assert_int_equal(s_ask(&f, TOPK, best), ERR_CANCELED);
    assert_int_equal(s_ask(&f, ROWS, best), ERR_CANCELED);
    for (size_t q = 0; q < 3; q++)
        topk_destroy(&best[q]);
    s_close(&f);
}

/* A filter that keeps what is far from the query, so that a walk meets none of it. */
static void a_filter_that_is_far_away(void **state)
{
    (void)state;
    fixture_t f;
    index_spec_t spec = s_spec(0);
    bitset_t keep;
    uint32_t found[TOPK];
    static float scores[ROWS];
    s_open(&f, &spec, ROWS, 0);
    f.data.n_queries = 1;
    simd()->ops[SIMD_F32_L2].scan(f.data.queries, f.data.rows, ROWS, DIM, scores);
    float mean = 0;
    for (size_t row = 0; row < ROWS; row++)
        mean += scores[row] / ROWS;
    assert_int_equal(bitset_init(&f.ctx, &keep, ROWS), OK);
    for (size_t row = 0; row < ROWS; row++)
        if (scores[row] > mean)
            bitset_set(&keep, row);
    index_data_search(&f.data, &f.ctx, f.index, TOPK, &keep, &(index_knobs_t){ .ef = 1 }, found);
    for (size_t i = 0; i < TOPK; i++)
        assert_true(found[i] != UINT32_MAX && bitset_has(&keep, found[i]));
    bitset_fini(&keep);
    s_close(&f);
}

/* --- ranges ------------------------------------------------------------------------------- */

static void a_range_is_kept(void **state)
{
    (void)state;
    for (size_t kind = 0; kind < 3; kind++) {
        fixture_t f;
        index_spec_t spec = s_spec(kind);
        static topk_hit_t hits[500];
        topk_t *best = NULL;
        bool descends = spec.metric != METRIC_L2;
        s_open(&f, &spec, ROWS, 0);
        assert_int_equal(topk_new(&f.ctx, ARRAY_LEN(hits), descends, &best), OK);
        index_ask_t all = { .queries = f.data.queries, .n_queries = 1, .want = ROWS,
                            .factors = f.data.factors };
        assert_int_equal(index_search(&f.ctx, f.index, &all, &best), OK);
        assert_int_equal(topk_hits(best, hits), ARRAY_LEN(hits));
        float radius = hits[220].score, inner = hits[20].score;
        for (size_t want = 5; want <= ARRAY_LEN(hits); want += 495) {
            index_ask_t ask = all;
            ask.want = want;
            ask.has_range = true;
            ask.radius = radius;
            ask.inner = inner;
            topk_reset(best);
            topk_range(best, radius, inner);
            assert_int_equal(index_search(&f.ctx, f.index, &ask, &best), OK);
            size_t n = topk_hits(best, hits);
            assert_true(n >= want || n >= 198);
            assert_true(n <= 200);
            for (size_t i = 0; i < n; i++)
                assert_true(descends ? hits[i].score > radius && hits[i].score <= inner
                                     : hits[i].score < radius && hits[i].score >= inner);
        }
        topk_destroy(&best);
        s_close(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_kinds_find_what_is_near),
        cmocka_unit_test(scores_are_those_of_a_scan),
        cmocka_unit_test(a_seed_builds_the_same_bytes),
        cmocka_unit_test(threads_build_a_good_one),
        cmocka_unit_test(odd_segments_have_indexes_too),
        cmocka_unit_test(any_numbers_can_be_indexed),
        cmocka_unit_test(every_fault_of_a_build_is_reported),
        cmocka_unit_test(a_cancelled_build_stops),
        cmocka_unit_test(any_flipped_byte_is_corrupt),
        cmocka_unit_test(nonsense_is_corrupt),
        cmocka_unit_test(every_fault_of_a_search_is_reported),
        cmocka_unit_test(a_filter_that_is_far_away),
        cmocka_unit_test(a_range_is_kept),
    };
    return cmocka_run_group_tests_name("hnsw", tests, NULL, NULL);
}
