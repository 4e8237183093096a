/* sparse: random cells against a dense product in double, at odd addresses that end where the
 * buffer ends; empty cells, no and full overlap, the greatest index; scan and gather like one. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>

#include "core/base/rng.h"
#include "core/simd/sparse.h"

enum { INDEXES = 200, ROWS = 50 };

/* Each index with probability p; dense [INDEXES] gets the same numbers. */
static size_t s_make(rng_t *rng, double p, uint8_t *at, float *dense)
{
    size_t len = 0;
    for (uint32_t i = 0; i < INDEXES; i++) {
        dense[i] = rng_chance(rng, p) ? (float)(rng_unit(rng) * 20 - 10) : 0;
        if (dense[i] == 0)
            continue;
        store_u32(at + len, i);
        memcpy(at + len + 4, &dense[i], 4);
        len += 8;
    }
    return len;
}

static void s_assert_near(float score, const float *a, const float *b)
{
    double sum = 0, size = 0;
    for (size_t i = 0; i < INDEXES; i++) {
        sum += (double)a[i] * (double)b[i];
        size += fabs((double)a[i] * (double)b[i]);
    }
    assert_true(fabs((double)score - sum) <= fabs(sum) * 0x1p-24 + INDEXES * 0x1p-51 * size);
}

static void s_check_density(rng_t *rng, double p_query, double p_row)
{
    static float query_dense[INDEXES], dense[ROWS][INDEXES];
    uint8_t query[INDEXES * 8], *made = malloc(ROWS * INDEXES * 8);
    uint64_t offsets[ROWS + 1] = {0};
    size_t query_len = s_make(rng, p_query, query, query_dense);
    for (size_t r = 0; r < ROWS; r++)
        offsets[r + 1] = offsets[r] + s_make(rng, r % 9 ? p_row : 0, made + offsets[r], dense[r]);
    uint8_t *block = malloc(offsets[ROWS] + 1), *cells = block + 1;
    memcpy(cells, made, offsets[ROWS]);

    float scan[ROWS], gather[3];
    const uint32_t ids[3] = { 49, 0, 7 };
    view_t q = view_of(query, query_len);
    sparse_scan(q, cells, offsets, ROWS, scan);
    sparse_gather(q, cells, offsets, ids, 3, gather);
    for (size_t r = 0; r < ROWS; r++) {
        view_t row = view_of(cells + offsets[r], offsets[r + 1] - offsets[r]);
        assert_true(scan[r] == sparse_ip(q, row) && scan[r] == sparse_ip(row, q));
        s_assert_near(scan[r], query_dense, dense[r]);
    }
    for (size_t i = 0; i < 3; i++)
        assert_true(gather[i] == scan[ids[i]]);
    free(made);
    free(block);
}

static void score_is_that_of_the_dense_vectors(void **state)
{
    (void)state;
    static const double p[] = { 0, 0.02, 0.3, 1 };
    rng_t rng;
    rng_seed(&rng, 4);
    for (size_t i = 0; i < ARRAY_LEN(p); i++)
        for (size_t j = 0; j < ARRAY_LEN(p); j++)
            s_check_density(&rng, p[i], p[j]);
}

static void greatest_index_counts(void **state)
{
    (void)state;
    uint8_t a[16], b[8];
    float two = 2, three = 3;
    store_u32(a, 0);
    memcpy(a + 4, &two, 4);
    store_u32(a + 8, UINT32_MAX);
    memcpy(a + 12, &two, 4);
    store_u32(b, UINT32_MAX);
    memcpy(b + 4, &three, 4);
    assert_true(sparse_ip(view_of(a, 16), view_of(b, 8)) == 6);
    assert_true(sparse_ip(view_of(a, 8), view_of(b, 8)) == 0);
    assert_true(sparse_ip(view_of(NULL, 0), view_of(b, 8)) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(score_is_that_of_the_dense_vectors),
        cmocka_unit_test(greatest_index_counts),
    };
    return cmocka_run_group_tests_name("sparse", tests, NULL, NULL);
}
