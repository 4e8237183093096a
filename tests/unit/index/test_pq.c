/* Product quantization beside the plain thing: centres near the points, codes that name the nearest
 * one, scores that are those of the decoded vectors, for sub-vectors of any length. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <math.h>

#include "core/base/fault.h"
#include "core/base/rng.h"
#include "core/index/pq.h"

enum { ROWS = 600, DIM = 22 };

static const struct { size_t m, nbits; } s_shapes[] = {
    { 1, 4 }, { 5, 1 }, { 11, 4 }, { 11, 8 }, { 22, 6 }, { 4, 9 }, { 7, 8 },
};

static void s_points(float *ret, size_t n, uint64_t seed)
{
    rng_t rng;
    rng_seed(&rng, seed);
    for (size_t i = 0; i < n * DIM; i++)
        ret[i] = (float)(rng_unit(&rng) + rng_unit(&rng) - 1);
}

static size_t s_code(const pq_t *pq, const uint8_t *row, size_t s)
{
    return pq->nbits > 8 ? load_u16(row + 2 * s) : row[s];
}

static double s_gap(const pq_t *pq, const float *row, size_t s, size_t c)
{
    double sum = 0;
    for (size_t i = pq_begin(pq, s); i < pq_begin(pq, s + 1); i++) {
        double d = (double)row[i] - (double)pq->book[i * pq->k + c];
        sum += d * d;
    }
    return sum;
}

static void codes_name_the_nearest_centre(void **state)
{
    (void)state;
    static float points[ROWS * DIM], decoded[ROWS * DIM];
    static uint8_t codes[ROWS * DIM * 2];
    s_points(points, ROWS, 1);
    for (size_t t = 0; t < ARRAY_LEN(s_shapes); t++) {
        ctx_t ctx;
        pq_t pq;
        ctx_init(&ctx);
        assert_int_equal(pq_train(&ctx, &pq, DIM, s_shapes[t].m, s_shapes[t].nbits, points, ROWS,
                                  3, NULL), OK);
        pq_encode(&pq, points, ROWS, codes);
        pq_decode(&pq, codes, ROWS, decoded);
        for (size_t p = 0; p < ROWS; p++) {
            const uint8_t *row = codes + p * pq_code_bytes(&pq);
            for (size_t s = 0; s < pq.m; s++) {
                double got = s_gap(&pq, points + p * DIM, s, s_code(&pq, row, s));
                for (size_t c = 0; c < pq.k; c++)
                    assert_true(got <= s_gap(&pq, points + p * DIM, s, c) + 1e-5);
                for (size_t i = pq_begin(&pq, s); i < pq_begin(&pq, s + 1); i++)
                    assert_true(decoded[p * DIM + i] == pq.book[i * pq.k + s_code(&pq, row, s)]);
            }
        }
        pq_fini(&pq);
        ctx_fini(&ctx);
    }
}

static void scores_are_those_of_decoded_vectors(void **state)
{
    (void)state;
    static float points[ROWS * DIM], decoded[ROWS * DIM], tables[DIM << 9], scores[ROWS];
    static uint8_t codes[ROWS * DIM * 2];
    float query[DIM], some[5];
    static const uint32_t ids[5] = { 9, 599, 0, 9, 77 };
    s_points(points, ROWS, 1);
    s_points(query, 1, 2);
    for (size_t t = 0; t < 2 * ARRAY_LEN(s_shapes); t++) {
        ctx_t ctx;
        pq_t pq;
        ctx_init(&ctx);
        assert_int_equal(pq_train(&ctx, &pq, DIM, s_shapes[t / 2].m, s_shapes[t / 2].nbits,
                                  points, ROWS, 3, NULL), OK);
        pq_encode(&pq, points, ROWS, codes);
        pq_decode(&pq, codes, ROWS, decoded);
        pq_tables(&pq, query, t % 2, tables);
        pq_scan(&pq, tables, codes, ROWS - 1, 0.5f, scores);
        for (size_t p = 0; p < ROWS - 1; p++) {
            double sum = 0.5;
            for (size_t i = 0; i < DIM; i++) {
                double q = (double)query[i], x = (double)decoded[p * DIM + i];
                sum += t % 2 ? q * x : (q - x) * (q - x);
            }
            assert_true(fabs((double)scores[p] - sum) < 1e-5 * DIM);
        }
        pq_gather(&pq, tables, codes, ids, 5, 0.5f, some);
        assert_true(some[0] == scores[9] && some[2] == scores[0] && some[4] == scores[77]);
        pq_fini(&pq);
        ctx_fini(&ctx);
    }
}

/* What is lost: less than with random centres, and less with more bits. */
static void more_bits_lose_less(void **state)
{
    (void)state;
    static float points[ROWS * DIM], decoded[ROWS * DIM];
    static uint8_t codes[ROWS * DIM];
    double before = INFINITY;
    s_points(points, ROWS, 1);
    for (size_t nbits = 1; nbits <= 8; nbits++) {
        ctx_t ctx;
        pq_t pq;
        double lost = 0, all = 0;
        ctx_init(&ctx);
        assert_int_equal(pq_train(&ctx, &pq, DIM, 11, nbits, points, ROWS, 3, NULL), OK);
        pq_encode(&pq, points, ROWS, codes);
        pq_decode(&pq, codes, ROWS, decoded);
        for (size_t i = 0; i < ROWS * DIM; i++) {
            lost += pow((double)points[i] - (double)decoded[i], 2);
            all += pow((double)points[i], 2);
        }
        assert_true(lost < before && (nbits < 4 || lost < 0.15 * all));
        before = lost;
        pq_fini(&pq);
        ctx_fini(&ctx);
    }
}

static void threads_train_the_same(void **state)
{
    (void)state;
    static float points[ROWS * DIM];
    ctx_t ctx;
    pq_t alone, together, few;
    pool_t *pool = pool_new("pq", 3);
    index_how_t how = { .pool = pool, .threads = 4 };
    ctx_init(&ctx);
    s_points(points, ROWS, 1);
    assert_int_equal(pq_train(&ctx, &alone, DIM, 6, 7, points, ROWS, 3, NULL), OK);
    assert_int_equal(pq_train(&ctx, &together, DIM, 6, 7, points, ROWS, 3, &how), OK);
    assert_memory_equal(alone.book, together.book, pq_book_bytes(&alone));
    assert_int_equal(pq_train(&ctx, &few, DIM, 6, 8, points, 3, 3, NULL), OK);
    pq_fini(&alone);
    pq_fini(&together);
    pq_fini(&few);
    pool_destroy(&pool);
    ctx_fini(&ctx);
}

static void faults_and_bad_books_are_reported(void **state)
{
    (void)state;
    static float points[ROWS * DIM], book[DIM << 4];
    ctx_t ctx;
    pq_t pq;
    ctx_init(&ctx);
    s_points(points, ROWS, 1);
    for (int nth = 0; ; nth++) {
        fault_arm(nth);
        err_t err = pq_train(&ctx, &pq, DIM, 2, 4, points, ROWS, 3, NULL);
        pq_fini(&pq);
        if (!fault_disarm()) {
            assert_int_equal(err, OK);
            assert_true(nth > 5);
            break;
        }
        assert_int_equal(err, ERR_MEMORY);
    }
    view_t whole = view_of((const uint8_t *)book, sizeof book);
    assert_int_equal(pq_open(&ctx, &pq, DIM, 2, 4, whole), OK);
    assert_int_equal(pq_open(&ctx, &pq, DIM, 2, 5, whole), ERR_CORRUPT);
    book[17] = NAN;
    assert_int_equal(pq_open(&ctx, &pq, DIM, 2, 4, whole), ERR_CORRUPT);
    ctx_cancel(&ctx);
    assert_int_equal(pq_train(&ctx, &pq, DIM, 2, 4, points, ROWS, 3, NULL), ERR_CANCELED);
    pq_fini(&pq);
    ctx_fini(&ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_name_the_nearest_centre),
        cmocka_unit_test(scores_are_those_of_decoded_vectors),
        cmocka_unit_test(more_bits_lose_less),
        cmocka_unit_test(threads_train_the_same),
        cmocka_unit_test(faults_and_bad_books_are_reported),
    };
    return cmocka_run_group_tests_name("pq", tests, NULL, NULL);
}
