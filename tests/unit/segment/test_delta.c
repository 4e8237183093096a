/* delta, stats, bloom: visibility rules, round trips of both key types, hostile bytes,
 * every fault; the filter's rate of false answers is what was asked for. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/base/fault.h"
#include "core/base/crc.h"
#include "core/segment/delta.h"
#include "core/segment/stats.h"
#include "tests/support/random_rows.h"

enum { N = 40 };

typedef struct records { column_builder_t pks; uint64_t ts[N]; column_t view; } records_t;

static void s_make(records_t *r, type_t type, uint64_t seed)
{
    const field_t field = { .type = type };
    rng_t rng;
    rng_seed(&rng, seed);
    column_builder_init(&r->pks, &field);
    for (size_t i = 0; i < N; i++) {
        uint8_t room[32];
        column_builder_add(&r->pks, random_rows_key(type, rng_below(&rng, 15), room));
        r->ts[i] = 10 * rng_below(&rng, 10);
    }
    r->view = column_builder_view(&r->pks);
}

/* The rule, word by word. */
static bool s_hidden(const records_t *r, view_t pk, uint64_t row_ts, uint64_t read_ts)
{
    for (size_t i = 0; i < N; i++)
        if (view_eq(column_cell(&r->view, i), pk) && r->ts[i] > row_ts && r->ts[i] <= read_ts)
            return true;
    return false;
}

static void a_delta_hides_by_the_rule(void **state)
{
    (void)state;
    static const type_t types[] = { TYPE_INT64, TYPE_VARCHAR };
    ctx_t ctx;
    ctx_init(&ctx);
    store_t *store = store_memory_new();
    for (size_t t = 0; t < ARRAY_LEN(types); t++) {
        records_t r;
        s_make(&r, types[t], 5);
        buf_scoped bytes = {0};
        owned(delta) delta = NULL;
        assert_int_equal(delta_write(&ctx, 9, &r.view, r.ts, &bytes), OK);
        const char *key = t ? "d/1" : "d/2";
        assert_int_equal(store_put(&ctx, store, key, buf_view(&bytes)), OK);
        assert_int_equal(delta_load(&ctx, store, key, &delta), OK);
        assert_int_equal(delta_segment(delta), 9);
        assert_true(delta_pks(delta)->n <= N);
        for (uint64_t k = 0; k < 17; k++)
            for (uint64_t row_ts = 0; row_ts < 110; row_ts += 5)
                for (uint64_t read_ts = 0; read_ts < 110; read_ts += 5) {
                    uint8_t room[32];
                    view_t pk = random_rows_key(types[t], k, room);
                    assert_int_equal(delta_hides(delta, pk, row_ts, read_ts),
                                     s_hidden(&r, pk, row_ts, read_ts));
                }
        column_builder_fini(&r.pks);
    }
    store_destroy(&store);
    ctx_fini(&ctx);
}

typedef err_t read_fn(ctx_t *ctx, view_t bytes);

static err_t s_read_delta(ctx_t *ctx, view_t bytes)
{
    owned(delta) delta = NULL;
    return delta_read(ctx, bytes, "some/key", &delta);
}

static err_t s_read_stats(ctx_t *ctx, view_t bytes)
{
    owned(stats) stats = NULL;
    return stats_read(ctx, bytes, "some/key", &stats);
}

static void s_damage(buf_t *bytes, read_fn *read)
{
    ctx_t ctx;
    ctx_init(&ctx);
    assert_int_equal(read(&ctx, buf_view(bytes)), OK);
    for (size_t at = 0; at < bytes->len; at++) {
        bytes->ptr[at] ^= (uint8_t)(1u << at % 8);
        assert_int_equal(read(&ctx, buf_view(bytes)), ERR_CORRUPT);
        assert_non_null(strstr(ctx.text, "some/key"));
        bytes->ptr[at] ^= (uint8_t)(1u << at % 8);
    }
    for (size_t len = 0; len < bytes->len; len++)
        assert_int_equal(read(&ctx, view_of(bytes->ptr, len)), ERR_CORRUPT);
    /* Well sealed but wrong: each byte in turn, with a good checksum over it. */
    for (size_t at = 0; at + 4 < bytes->len; at++) {
        uint8_t was = bytes->ptr[at];
        bytes->ptr[at] = (uint8_t)(was ^ 0x81);
        store_u32(bytes->ptr + bytes->len - 4, crc32c(bytes->ptr, bytes->len - 4));
        err_t err = read(&ctx, buf_view(bytes));
        assert_true(err == OK || err == ERR_CORRUPT || err == ERR_VERSION);
        bytes->ptr[at] = was;
    }
    for (int nth = 0; ; nth++) {
        store_u32(bytes->ptr + bytes->len - 4, crc32c(bytes->ptr, bytes->len - 4));
        fault_arm(nth);
        err_t err = read(&ctx, buf_view(bytes));
        if (!fault_disarm()) {
            assert_int_equal(err, OK);
            break;
        }
        assert_int_equal(err, ERR_MEMORY);
    }
    ctx_fini(&ctx);
}

static err_t s_make_stats(ctx_t *ctx, const records_t *r, type_t type, stats_t **ret)
{
    TRY(stats_make(ctx, type, 9, N, ret));
    return stats_add(ctx, *ret, &r->view, r->ts);
}

static void damage_is_found(void **state)
{
    (void)state;
    static const type_t types[] = { TYPE_INT64, TYPE_VARCHAR };
    ctx_t ctx;
    ctx_init(&ctx);
    for (size_t t = 0; t < ARRAY_LEN(types); t++) {
        records_t r;
        s_make(&r, types[t], 6);
        buf_scoped delta = {0}, bytes = {0};
        assert_int_equal(delta_write(&ctx, 9, &r.view, r.ts, &delta), OK);
        s_damage(&delta, s_read_delta);
        owned(stats) stats = NULL;
        assert_int_equal(s_make_stats(&ctx, &r, types[t], &stats), OK);
        stats_write(stats, &bytes);
        s_damage(&bytes, s_read_stats);
        column_builder_fini(&r.pks);
    }
    ctx_fini(&ctx);
}

static void writing_reports_every_fault(void **state)
{
    (void)state;
    ctx_t ctx;
    ctx_init(&ctx);
    records_t r;
    s_make(&r, TYPE_VARCHAR, 6);
    for (int nth = 0; ; nth++) {
        buf_scoped bytes = {0};
        owned(stats) stats = NULL;
        fault_arm(nth);
        err_t err = delta_write(&ctx, 9, &r.view, r.ts, &bytes);
        if (err == OK)
            err = s_make_stats(&ctx, &r, TYPE_VARCHAR, &stats);
        if (!fault_disarm()) {
            assert_int_equal(err, OK);
            break;
        }
        assert_int_equal(err, ERR_MEMORY);
    }
    column_builder_fini(&r.pks);
    ctx_fini(&ctx);
}

static void stats_never_deny_a_key(void **state)
{
    (void)state;
    ctx_t ctx;
    ctx_init(&ctx);
    records_t r;
    s_make(&r, TYPE_INT64, 7);
    owned(stats) stats = NULL;
    owned(stats) back = NULL;
    buf_scoped bytes = {0};
    assert_int_equal(s_make_stats(&ctx, &r, TYPE_INT64, &stats), OK);
    stats_write(stats, &bytes);
    assert_int_equal(stats_read(&ctx, buf_view(&bytes), "s", &back), OK);
    for (size_t i = 0; i < N; i++) {
        assert_true(stats_may_have(back, column_cell(&r.view, i)));
        assert_true(r.ts[i] >= back->min_ts && r.ts[i] <= back->max_ts);
    }
    int64_t outside = 15 * 7;
    assert_false(stats_may_have(back, view_of(&outside, 8)));
    assert_int_equal(back->rows, N);
    column_builder_fini(&r.pks);
    ctx_fini(&ctx);
}

static void the_filter_is_as_good_as_ordered(void **state)
{
    (void)state;
    enum { KEYS = 20000 };
    static const double rates[] = { 0.001, 0.01, 0.1 };
    ctx_t ctx;
    ctx_init(&ctx);
    for (size_t k = 0; k < ARRAY_LEN(rates); k++) {
        owned(bloom) bloom = NULL;
        assert_int_equal(bloom_make(&ctx, bloom_blocks(KEYS, rates[k]), &bloom), OK);
        for (uint64_t i = 0; i < KEYS; i++)
            bloom_add(bloom, bloom_hash(view_of(&i, 8)));
        size_t wrong = 0;
        for (uint64_t i = 0; i < KEYS; i++)
            assert_true(bloom_may_have(bloom, bloom_hash(view_of(&i, 8))));
        for (uint64_t i = KEYS; i < 11 * KEYS; i++)
            wrong += bloom_may_have(bloom, bloom_hash(view_of(&i, 8)));
        double rate = (double)wrong / (10.0 * KEYS);
        assert_true(rate < rates[k] * 1.3 && rate > rates[k] * 0.5);
    }
    ctx_fini(&ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_delta_hides_by_the_rule),
        cmocka_unit_test(damage_is_found),
        cmocka_unit_test(writing_reports_every_fault),
        cmocka_unit_test(stats_never_deny_a_key),
        cmocka_unit_test(the_filter_is_as_good_as_ordered),
    };
    return cmocka_run_group_tests_name("delta", tests, NULL, NULL);
}
