/* base: the error table, arena and context budget, map against a plain array,
 * bitset against a bool array, crc against RFC 3720 vectors and both versions,
 * queue and pool under threads. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/base.h"
#include "core/base/bitset.h"
#include "core/base/buf.h"
#include "core/base/crc.h"
#include "core/base/fault.h"
#include "core/base/map.h"
#include "core/base/pool.h"
#include "core/base/queue.h"
#include "core/base/rng.h"
#include "core/base/vec.h"

static void every_error_has_codes_and_text(void **state)
{
    (void)state;
    for (int e = 1; e < ERR_COUNT_; e++) {
        assert_int_not_equal(err_code((err_t)e), 0);
        assert_int_not_equal(err_legacy((err_t)e), 0);
        assert_true(strlen(err_text((err_t)e)) > 0);
        assert_int_equal(err_from_wire(e), e);
    }
    assert_int_equal(err_code(OK), 0);
    assert_int_equal(err_from_wire(-1), ERR_UNEXPECTED);
    assert_int_equal(err_from_wire(ERR_COUNT_), ERR_UNEXPECTED);
    assert_int_equal(err_code(ERR_COLLECTION_NOT_FOUND), 100);
    assert_int_equal(err_legacy(ERR_RATE_LIMIT), 49);
}

static void context_keeps_text_and_budget(void **state)
{
    (void)state;
    ctx_t ctx;
    ctx_init(&ctx);
    ctx.budget_bytes = 1000;
    assert_non_null(ctx_try(&ctx, 900));
    assert_null(ctx_try(&ctx, 101));
    assert_null(mem_try(&ctx, SIZE_MAX));
    assert_non_null(ctx_try(&ctx, 100));
    assert_int_equal(ctx_fail(&ctx, ERR_CORRUPT, "%s: magic", "a/b"), ERR_CORRUPT);
    assert_int_equal(ctx_prefix(&ctx, "loading %d", 7), ERR_CORRUPT);
    assert_string_equal(ctx.text, "loading 7: a/b: magic");
    ctx_fail(&ctx, ERR_TIMEOUT, "%s", "");
    assert_string_equal(ctx.text, err_text(ERR_TIMEOUT));
    ctx_limit_ms(&ctx, 0);
    assert_int_equal(ctx_alive(&ctx), ERR_TIMEOUT);
    ctx_cancel(&ctx);
    assert_int_equal(ctx_alive(&ctx), ERR_CANCELED);
    ctx_fini(&ctx);
}

static void arena_blocks_do_not_overlap(void **state)
{
    (void)state;
    arena_t arena;
    arena_init(&arena);
    rng_t rng;
    rng_seed(&rng, 1);
    uint8_t *at[200];
    size_t len[200];
    for (int i = 0; i < 200; i++) {
        len[i] = (size_t)rng_below(&rng, i % 50 == 0 ? 2000000 : 3000) + 1;
        at[i] = arena_try(&arena, len[i]);
        assert_int_equal((uintptr_t)at[i] % 16, 0);
        assert_int_equal(at[i][0], 0);
        memset(at[i], i, len[i]);
    }
    for (int i = 0; i < 200; i++)
        for (size_t k = 0; k < len[i]; k += 61)
            assert_int_equal(at[i][k], (uint8_t)i);
    arena_fini(&arena);
}

static void map_agrees_with_an_array(void **state)
{
    (void)state;
    enum { KEYS = 500 };
    static int values[KEYS];
    bool there[KEYS] = {0};
    owned(map) map = map_new();
    rng_t rng;
    rng_seed(&rng, 2);
    for (int step = 0; step < 20000; step++) {
        uint64_t key = rng_below(&rng, KEYS);
        if (rng_chance(&rng, 0.5)) {
            assert_int_equal(map_put_u64(map, key, &values[key]) != NULL, there[key]);
            there[key] = true;
        } else {
            assert_ptr_equal(map_del_u64(map, key), there[key] ? &values[key] : NULL);
            there[key] = false;
        }
    }
    size_t live = 0;
    for (uint64_t key = 0; key < KEYS; key++) {
        assert_ptr_equal(map_get_u64(map, key), there[key] ? &values[key] : NULL);
        live += there[key];
    }
    assert_int_equal(map_len(map), live);

    view_t key;
    void *value;
    for (size_t at = 0; map_next(map, &at, &key, &value); live--) {
        assert_ptr_equal(value, &values[load_u64(key.ptr)]);
        map_del(map, key);
    }
    assert_int_equal(live, 0);
    assert_int_equal(map_len(map), 0);
    map_put(map, view_of(NULL, 0), &values[0]);
    assert_ptr_equal(map_get_str(map, ""), &values[0]);
}

static void crc_matches_the_rfc_and_itself(void **state)
{
    (void)state;
    uint8_t bytes[32] = {0};
    assert_int_equal(crc32c(bytes, 32), 0x8a9136aau);
    memset(bytes, 0xff, 32);
    assert_int_equal(crc32c(bytes, 32), 0x62a8ab43u);
    assert_int_equal(crc32c("123456789", 9), 0xe3069283u);

    enum { LEN = 20000 };
    uint8_t *big = malloc(LEN);
    rng_t rng;
    rng_seed(&rng, 3);
    for (int i = 0; i < LEN; i++)
        big[i] = (uint8_t)rng_u64(&rng);
    for (size_t len = 0; len < LEN; len += 1 + len / 7) {
        uint32_t want = crc32c_add_portable(0, big, len);
        assert_int_equal(crc32c(big, len), want);
        assert_int_equal(crc32c_add(crc32c(big, len / 3), big + len / 3, len - len / 3), want);
    }
    free(big);
}

static void bitset_agrees_with_bools_and_survives_packing(void **state)
{
    (void)state;
    enum { N = 1000 };
    ctx_t ctx;
    ctx_init(&ctx);
    rng_t rng;
    rng_seed(&rng, 4);
    for (int round = 0; round < 20; round++) {
        bool a[N], b[N];
        bitset_t x, y, back;
        assert_int_equal(bitset_init(&ctx, &x, N), OK);
        assert_int_equal(bitset_init(&ctx, &y, N), OK);
        for (size_t i = 0; i < N; i++) {
            a[i] = rng_chance(&rng, round / 20.0);
            b[i] = rng_chance(&rng, 0.5);
            if (a[i]) bitset_set(&x, i);
            if (b[i]) bitset_set(&y, i);
        }
        bitset_not(&y);
        bitset_or(&x, &y);
        size_t count = 0, next = 0;
        for (size_t i = 0; i < N; i++) {
            assert_int_equal(bitset_has(&x, i), a[i] || !b[i]);
            count += a[i] || !b[i];
        }
        assert_int_equal(bitset_count(&x), count);
        for (size_t i = bitset_next(&x, 0); i < N; i = bitset_next(&x, i + 1))
            next++;
        assert_int_equal(next, count);

        buf_scoped packed = {0};
        bitset_pack(&x, &packed);
        assert_true(buf_ok(&packed));
        assert_int_equal(bitset_unpack(&ctx, &back, N, buf_view(&packed)), OK);
        assert_memory_equal(back.words, x.words, (N + 63) / 64 * 8);
        bitset_fini(&back);
        assert_int_equal(bitset_unpack(&ctx, &back, N - 1, buf_view(&packed)), ERR_CORRUPT);
        for (size_t cut = 0; cut < packed.len; cut++)
            assert_int_equal(bitset_unpack(&ctx, &back, N, view_of(packed.ptr, cut)), ERR_CORRUPT);
        bitset_fini(&x);
        bitset_fini(&y);
    }
    ctx_fini(&ctx);
}

static void buf_remembers_its_first_refusal(void **state)
{
    (void)state;
    buf_scoped buf;
    buf_init(&buf, 10);
    buf_addf(&buf, "%d-%s", 42, "abc");
    assert_string_equal(buf_str(&buf), "42-abc");
    buf_add_str(&buf, "12345");
    assert_false(buf_ok(&buf));
    buf_add_u8(&buf, 1);
    assert_int_equal(buf.len, 6);
    buf_reset(&buf);
    buf_add_u64(&buf, 7);
    buf_consume(&buf, 8);
    assert_true(buf_ok(&buf) && buf.len == 0);

    fault_arm(0);
    buf_scoped other = {0};
    buf_add_u8(&other, 1);
    assert_false(buf_ok(&other));
    assert_true(fault_disarm());
}

static void vec_keeps_order_and_swaps(void **state)
{
    (void)state;
    vec_scoped vec;
    vec_init(&vec, sizeof(int));
    for (int i = 0; i < 100; i++)
        vec_push(&vec, &i);
    vec_remove(&vec, 0);
    assert_int_equal(*(int *)vec_at(&vec, 0), 1);
    vec_swap_remove(&vec, 0);
    assert_int_equal(*(int *)vec_at(&vec, 0), 99);
    assert_int_equal(vec.len, 98);
}

typedef struct { queue_t *queue; int from; } put_job_t;

static void s_put_hundred(void *arg)
{
    put_job_t *job = arg;
    for (int i = 0; i < 100; i++)
        while (!queue_put(job->queue, (void *)(uintptr_t)(job->from + i + 1)))
            continue;
}

static void queue_and_pool_lose_nothing(void **state)
{
    (void)state;
    enum { JOBS = 20 };
    owned(queue) queue = queue_new(150);
    owned(pool) pool = pool_new("test", 4);
    put_job_t jobs[JOBS];
    bool seen[JOBS * 100 + 1] = {0};
    for (int i = 0; i < JOBS; i++) {
        jobs[i] = (put_job_t){ queue, i * 100 };
        assert_true(pool_run(pool, s_put_hundred, &jobs[i]));
    }
    for (int got = 0; got < JOBS * 100; ) {
        struct pollfd fd = { .fd = queue_fd(queue), .events = POLLIN };
        assert_int_equal(poll(&fd, 1, 5000), 1);
        for (void *item; (item = queue_take(queue)) != NULL; got++) {
            assert_false(seen[(uintptr_t)item]);
            seen[(uintptr_t)item] = true;
        }
    }
    pool_destroy(&pool);
    assert_null(queue_take(queue));
    for (int i = 0; i < 150; i++)
        assert_true(queue_put(queue, &jobs[0]));
    assert_false(queue_put(queue, &jobs[0]));
    while (queue_take(queue))
        continue;
}

static void fault_fires_once_on_the_nth_call(void **state)
{
    (void)state;
    fault_arm(2);
    assert_false(fault_hit());
    assert_false(fault_hit());
    assert_true(fault_hit());
    assert_false(fault_hit());
    assert_true(fault_disarm());
    assert_false(fault_disarm());
    assert_false(fault_hit());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_error_has_codes_and_text),
        cmocka_unit_test(context_keeps_text_and_budget),
        cmocka_unit_test(arena_blocks_do_not_overlap),
        cmocka_unit_test(map_agrees_with_an_array),
        cmocka_unit_test(crc_matches_the_rfc_and_itself),
        cmocka_unit_test(bitset_agrees_with_bools_and_survives_packing),
        cmocka_unit_test(buf_remembers_its_first_refusal),
        cmocka_unit_test(vec_keeps_order_and_swaps),
        cmocka_unit_test(queue_and_pool_lose_nothing),
        cmocka_unit_test(fault_fires_once_on_the_nth_call),
    };
    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
