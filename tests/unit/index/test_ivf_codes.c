/* Inverted files that keep codes: IVF_SQ8, IVF_PQ, SCANN.  Their scores are near the true ones, the
 * same in batches and alone; SCANN's, which come from the vectors, are exact once every row is
 * looked at twice; filters, ranges, nulls, damage and faults as for any other index. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <math.h>

#include "core/base/fault.h"
#include "tests/support/index_data.h"

enum { ROWS = 3000, QUERIES = 21, DIM = 24, TOPK = 10, LISTS = 40 };

typedef struct kind {
    index_type_t type;
    metric_t metric;
    cell_t cells;
    size_t m, nbits;
    bool without_raw;
    double recall;              /* of all lists, at least */
} kind_t;

static const kind_t s_kinds[] = {
    { INDEX_IVF_SQ8, METRIC_L2, CELL_F32, 0, 0, false, 0.98 },
    { INDEX_IVF_SQ8, METRIC_IP, CELL_F16, 0, 0, false, 0.96 },
    { INDEX_IVF_SQ8, METRIC_COSINE, CELL_BF16, 0, 0, false, 0.96 },
    { INDEX_IVF_SQ8, METRIC_L2, CELL_I8, 0, 0, false, 0.97 },
    { INDEX_IVF_PQ, METRIC_L2, CELL_F32, 12, 8, false, 0.8 },
    { INDEX_IVF_PQ, METRIC_IP, CELL_F32, 12, 8, false, 0.8 },
    { INDEX_IVF_PQ, METRIC_COSINE, CELL_F16, 24, 6, false, 0.85 },
    { INDEX_IVF_PQ, METRIC_L2, CELL_I8, 8, 9, false, 0.6 },
    { INDEX_IVF_PQ, METRIC_COSINE, CELL_BF16, 5, 4, false, 0.25 },
    { INDEX_SCANN, METRIC_L2, CELL_F32, 0, 0, true, 0.5 },
    { INDEX_SCANN, METRIC_IP, CELL_F32, 0, 0, true, 0.5 },
    { INDEX_SCANN, METRIC_COSINE, CELL_F16, 0, 0, true, 0.5 },
    { INDEX_SCANN, METRIC_L2, CELL_F32, 0, 0, false, 0.84 },
    { INDEX_SCANN, METRIC_IP, CELL_BF16, 0, 0, false, 0.84 },
    { INDEX_SCANN, METRIC_COSINE, CELL_F32, 0, 0, false, 0.84 },
    { INDEX_SCANN, METRIC_L2, CELL_I8, 0, 0, false, 0.84 },
    { INDEX_SCANN, METRIC_COSINE, CELL_I8, 0, 0, false, 0.84 },
};

typedef struct fixture {
    ctx_t ctx;
    index_data_t data;
    index_t *index;
    topk_t *best[QUERIES];
} fixture_t;

static index_spec_t s_spec(const kind_t *kind)
{
    return (index_spec_t){ .type = kind->type, .metric = kind->metric, .cells = kind->cells,
                           .dim = DIM, .seed = 7, .nlist = LISTS, .m = kind->m,
                           .nbits = kind->nbits, .without_raw = kind->without_raw };
}

static void s_open(fixture_t *f, const kind_t *kind, size_t n, size_t object_bytes)
{
    index_spec_t spec = s_spec(kind);
    index_how_t how = { .object_bytes = object_bytes };
    *f = (fixture_t){0};
    ctx_init(&f->ctx);
    index_data_init(&f->data, &spec, n, QUERIES, 5);
    index_data_nulls(&f->data, 0.1, 5);
    f->data.stretch = 512;
    assert_int_equal(index_data_build(&f->data, &f->ctx, &how), OK);
    assert_int_equal(index_data_open(&f->data, &f->ctx, &f->index), OK);
}

static void s_close(fixture_t *f)
{
    for (size_t q = 0; q < QUERIES; q++)
        topk_destroy(&f->best[q]);
    index_destroy(&f->index);
    index_data_fini(&f->data);
    ctx_fini(&f->ctx);
}

/* Queries [first, first + n) with a top-k of k each. */
static void s_ask(fixture_t *f, size_t first, size_t n, size_t k, index_ask_t ask)
{
    bool down = simd_kernel_descends(f->data.kernel);
    ask.queries = f->data.queries + first * f->data.query_bytes;
    ask.factors = f->data.factors ? f->data.factors + first : NULL;
    ask.n_queries = n;
    ask.want = k;
    for (size_t q = first; q < first + n; q++) {
        topk_destroy(&f->best[q]);
        assert_int_equal(topk_new(&f->ctx, k, down, &f->best[q]), OK);
        if (ask.has_range)
            topk_range(f->best[q], ask.radius, ask.inner);
    }
    assert_int_equal(index_search(&f->ctx, f->index, &ask, f->best + first), OK);
}

/* What the kernel says of a row, and what would be a great error of it. */
static double s_true(const fixture_t *f, size_t q, uint32_t row)
{
    float score = simd()->ops[f->data.kernel].pair(f->data.queries + q * f->data.query_bytes,
                                                   f->data.rows + row * f->data.width, DIM);
    return f->data.factors ? (double)(score * f->data.norms[row] * f->data.factors[q])
                           : (double)score;
}

static void codes_come_near_the_truth(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(s_kinds); i++) {
        fixture_t f;
        uint32_t exact[QUERIES * TOPK], found[QUERIES * TOPK];
        topk_hit_t hits[TOPK];
        index_knobs_t knobs = { .nprobe = LISTS, .reorder_k = 3 * TOPK };
        s_open(&f, &s_kinds[i], ROWS, 9000);
        index_data_search(&f.data, &f.ctx, NULL, TOPK, NULL, &knobs, exact);
        index_data_search(&f.data, &f.ctx, f.index, TOPK, NULL, &knobs, found);
        double recall = index_data_recall(exact, found, QUERIES, TOPK);
        print_message("%s %s cells %d: %.3f\n", index_type_name(s_kinds[i].type),
                      metric_name(s_kinds[i].metric), (int)s_kinds[i].cells, recall);
        assert_true(recall >= s_kinds[i].recall);
        s_ask(&f, 0, QUERIES, TOPK, (index_ask_t){ .knobs = knobs });
        double off = 0, size = 0;
        for (size_t q = 0; q < QUERIES; q++) {
            size_t n = topk_hits(f.best[q], hits);
            assert_int_equal(n, TOPK);
            for (size_t h = 0; h < n; h++) {
                off += fabs((double)hits[h].score - s_true(&f, q, hits[h].row));
                size += fabs(s_true(&f, q, hits[h].row));
            }
        }
        bool kept = s_kinds[i].type == INDEX_SCANN && !s_kinds[i].without_raw;
        assert_true(off <= (kept ? 0 : s_kinds[i].type == INDEX_IVF_SQ8 ? 0.02 : 0.4) * size);
        s_close(&f);
    }
}

static void a_batch_answers_as_one_query_does(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(s_kinds); i++) {
        fixture_t f;
        topk_hit_t alone[QUERIES][TOPK], hits[TOPK];
        index_ask_t ask = { .knobs = { .nprobe = 5 } };
        s_open(&f, &s_kinds[i], ROWS, 0);
        for (size_t q = 0; q < QUERIES; q++) {
            s_ask(&f, q, 1, TOPK, ask);
            assert_int_equal(topk_hits(f.best[q], alone[q]), TOPK);
        }
        s_ask(&f, 0, QUERIES, TOPK, ask);
        for (size_t q = 0; q < QUERIES; q++) {
            assert_int_equal(topk_hits(f.best[q], hits), TOPK);
            for (size_t h = 0; h < TOPK; h++)
                assert_true(fabsf(hits[h].score - alone[q][h].score) <=
                            1e-4f * (1 + fabsf(hits[h].score)));
        }
        s_close(&f);
    }
}

/* SCANN that looks at every row twice is a scan. */
static void a_second_look_at_all_is_exact(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(s_kinds); i++) {
        if (s_kinds[i].type != INDEX_SCANN || s_kinds[i].without_raw)
            continue;
        fixture_t f;
        uint32_t exact[QUERIES * TOPK], found[QUERIES * TOPK];
        index_knobs_t knobs = { .nprobe = LISTS, .reorder_k = ROWS };
        s_open(&f, &s_kinds[i], ROWS, 8000);
        index_data_search(&f.data, &f.ctx, NULL, TOPK, NULL, &knobs, exact);
        index_data_search(&f.data, &f.ctx, f.index, TOPK, NULL, &knobs, found);
        assert_memory_equal(exact, found, sizeof exact);
        s_close(&f);
    }
}

static void filters_are_kept_and_answers_full(void **state)
{
    (void)state;
    static const double shares[] = { 0.002, 0.02, 0.3, 0.95 };
    for (size_t i = 0; i < ARRAY_LEN(s_kinds); i++) {
        fixture_t f;
        s_open(&f, &s_kinds[i], ROWS, 7000);
        for (size_t s = 0; s < ARRAY_LEN(shares); s++) {
            bitset_t keep;
            rng_t rng;
            size_t left = 0;
            rng_seed(&rng, s);
            assert_int_equal(bitset_init(&f.ctx, &keep, ROWS), OK);
            for (size_t row = 0; row < ROWS; row++)
                if (rng_chance(&rng, shares[s])) {
                    bitset_set(&keep, row);
                    left += f.data.valid[row / 64] >> row % 64 & 1;
                }
            uint32_t found[QUERIES * TOPK];
            index_data_search(&f.data, &f.ctx, f.index, TOPK, &keep,
                              &(index_knobs_t){ .nprobe = 2 }, found);
            for (size_t q = 0; q < QUERIES; q++)
                for (size_t h = 0; h < TOPK; h++) {
                    uint32_t row = found[q * TOPK + h];
                    assert_true((row == UINT32_MAX) == (h >= left));
                    assert_true(row == UINT32_MAX || bitset_has(&keep, row));
                }
            bitset_fini(&keep);
        }
        s_close(&f);
    }
}

static bool s_better(const fixture_t *f, float a, float b)
{
    return simd_kernel_descends(f->data.kernel) ? a > b : a < b;
}

/* With all lists the range has what the order without a range has there, bit for bit. */
static void ranges_are_kept(void **state)
{
    (void)state;
    static topk_hit_t all[ROWS], hits[ROWS];
    for (size_t i = 0; i < ARRAY_LEN(s_kinds); i++) {
        fixture_t f;
        index_knobs_t knobs = { .nprobe = LISTS, .reorder_k = ROWS };
        s_open(&f, &s_kinds[i], ROWS, 0);
        s_ask(&f, 0, 1, ROWS, (index_ask_t){ .knobs = knobs });
        size_t n_all = topk_hits(f.best[0], all), want = 0;
        assert_true(n_all > 300);
        index_ask_t ask = { .knobs = knobs, .has_range = true, .radius = all[220].score,
                            .inner = all[20].score };
        s_ask(&f, 0, 1, ROWS, ask);
        size_t n = topk_hits(f.best[0], hits);
        for (size_t h = 0; h < n_all; h++) {
            if (all[h].score == ask.radius || s_better(&f, ask.radius, all[h].score) ||
                s_better(&f, all[h].score, ask.inner))
                continue;
            assert_true(want < n && hits[want].row == all[h].row);
            assert_true(hits[want++].score == all[h].score);
        }
        assert_true(n == want && n > 100);
        s_close(&f);
    }
}

static void seeds_and_threads_build_the_same(void **state)
{
    (void)state;
    static const size_t kinds[] = { 2, 4, 6, 9, 14 };
    pool_t *pool = pool_new("build", 3);
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        ctx_t ctx;
        index_data_t a, b;
        index_spec_t spec = s_spec(&s_kinds[kinds[i]]);
        index_how_t how = { .pool = pool, .threads = 4, .object_bytes = 20000 };
        index_how_t one = { .object_bytes = 20000 };
        ctx_init(&ctx);
        index_data_init(&a, &spec, ROWS, 1, 1);
        index_data_init(&b, &spec, ROWS, 1, 1);
        b.stretch = 64 * 13;
        assert_int_equal(index_data_build(&a, &ctx, &one), OK);
        assert_int_equal(index_data_build(&b, &ctx, &how), OK);
        assert_int_equal(a.built.n_objects, b.built.n_objects);
        for (size_t o = 0; o < a.built.n_objects; o++)
            assert_true(view_eq(buf_view(&a.objects[o]), buf_view(&b.objects[o])));
        index_data_fini(&a);
        index_data_fini(&b);
        ctx_fini(&ctx);
    }
    pool_destroy(&pool);
}

static void small_segments_and_damaged_ones(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(s_kinds); i++)
        for (size_t n = 0; n < 90; n = 2 * n + 1) {
            ctx_t ctx;
            index_data_t data;
            index_spec_t spec = s_spec(&s_kinds[i]);
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
            for (size_t at = 0; at < data.objects[0].len; at += 131) {
                data.objects[0].ptr[at] ^= 4;
                assert_int_not_equal(index_data_open(&data, &ctx, &index), OK);
                assert_null(index);
                data.objects[0].ptr[at] ^= 4;
            }
            index_data_fini(&data);
            ctx_fini(&ctx);
        }
}

static void s_search_until_no_fault(fixture_t *f)
{
    index_ask_t ask = { .queries = f->data.queries, .factors = f->data.factors, .n_queries = 2,
                        .want = ROWS, .knobs = { .nprobe = 3 } };
    bool down = simd_kernel_descends(f->data.kernel);
    for (size_t q = 0; q < 2; q++)
        assert_int_equal(topk_new(&f->ctx, TOPK, down, &f->best[q]), OK);
    for (int nth = 0; ; nth++) {
        fault_arm(nth);
        err_t err = index_search(&f->ctx, f->index, &ask, f->best);
        if (!fault_disarm()) {
            assert_int_equal(err, OK);
            assert_true(nth > 5);
            break;
        }
        assert_int_equal(err, ERR_MEMORY);
    }
    ctx_cancel(&f->ctx);
    assert_int_equal(index_search(&f->ctx, f->index, &ask, f->best), ERR_CANCELED);
}

static void every_fault_is_reported(void **state)
{
    (void)state;
    static const size_t kinds[] = { 1, 4, 9, 14 };
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        fixture_t f;
        s_open(&f, &s_kinds[kinds[i]], 200, 8000);
        for (int nth = 0; ; nth++) {
            ctx_clear(&f.ctx);
            fault_arm(nth);
            err_t err = index_data_build(&f.data, &f.ctx, &(index_how_t){ .object_bytes = 8000 });
            if (!fault_disarm()) {
                assert_int_equal(err, OK);
                break;
            }
            assert_true(err == ERR_MEMORY || err == ERR_STORE);
        }
        index_destroy(&f.index);
        for (int nth = 0; ; nth++) {
            fault_arm(nth);
            err_t err = index_data_open(&f.data, &f.ctx, &f.index);
            if (!fault_disarm())
                break;
            assert_int_equal(err, ERR_MEMORY);
        }
        assert_non_null(f.index);
        s_search_until_no_fault(&f);
        s_close(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_come_near_the_truth),
        cmocka_unit_test(a_batch_answers_as_one_query_does),
        cmocka_unit_test(a_second_look_at_all_is_exact),
        cmocka_unit_test(filters_are_kept_and_answers_full),
        cmocka_unit_test(ranges_are_kept),
        cmocka_unit_test(seeds_and_threads_build_the_same),
        cmocka_unit_test(small_segments_and_damaged_ones),
        cmocka_unit_test(every_fault_is_reported),
    };
    return cmocka_run_group_tests_name("ivf_codes", tests, NULL, NULL);
}
