/* meta_conformance - see meta_conformance.h */
#include "tests/support/meta_conformance.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/clock.h"
#include "core/base/limits.h"
#include "core/base/rng.h"
#include "tests/support/meta_recorder.h"

enum { PATIENCE_MS = 10000 };

static const meta_suite_t *s_suite;     /* cmocka's group has no argument of its own */

/* --- short forms ------------------------------------------------------------ */

static void s_ctx(ctx_t *ctx)
{
    ctx_init(ctx);
    ctx_limit_ms(ctx, PATIENCE_MS);
}

#define assert_ok(ctx, call) do { \
    err_t assert_err_ = (call); \
    if (assert_err_ != OK) \
        fail_msg("%s: %s %s", #call, err_name(assert_err_), (ctx)->text); \
} while (0)

static meta_txn_result_t s_run(meta_t *meta, const meta_cmp_t *cmps, size_t n_cmps,
                               const meta_op_t *ops, size_t n_ops)
{
    ctx_t ctx;
    s_ctx(&ctx);
    meta_txn_t txn = { cmps, n_cmps, ops, n_ops };
    meta_txn_result_t result = {0};
    assert_ok(&ctx, meta_txn(&ctx, meta, &txn, &result));
    ctx_fini(&ctx);
    return result;
}

static err_t s_try(meta_t *meta, const meta_cmp_t *cmps, size_t n_cmps,
                   const meta_op_t *ops, size_t n_ops)
{
    ctx_t ctx;
    s_ctx(&ctx);
    meta_txn_t txn = { cmps, n_cmps, ops, n_ops };
    meta_txn_result_t result = {0};
    err_t err = meta_txn(&ctx, meta, &txn, &result);
    ctx_fini(&ctx);
    return err;
}

static meta_item_t s_look(ctx_t *ctx, meta_t *meta, const char *key)
{
    meta_item_t item = {0};
    assert_ok(ctx, meta_get(ctx, meta, key, &item));
    return item;
}

static size_t s_count(meta_t *meta, const char *prefix)
{
    ctx_t ctx;
    s_ctx(&ctx);
    meta_items_t items = {0};
    assert_ok(&ctx, meta_list(&ctx, meta, prefix, &items));
    ctx_fini(&ctx);
    return items.n;
}

static int64_t s_grant(meta_t *meta, int64_t ttl_ms)
{
    ctx_t ctx;
    s_ctx(&ctx);
    int64_t lease = 0;
    assert_ok(&ctx, meta_lease_grant(&ctx, meta, ttl_ms, &lease));
    assert_true(lease != 0);
    ctx_fini(&ctx);
    return lease;
}

static void s_put_leased(meta_t *meta, const char *key, const char *value, int64_t lease)
{
    meta_op_t op = { META_PUT, key, view_str(value), lease };
    assert_true(s_run(meta, NULL, 0, &op, 1).applied);
}

/* --- reading and writing ---------------------------------------------------- */

static void what_is_put_is_read_back(void **state)
{
    meta_t *meta = *state;
    ctx_t ctx;
    s_ctx(&ctx);
    meta_item_t item = { .mod_rev = -7 };
    assert_int_equal(meta_get(&ctx, meta, "a", &item), ERR_KEY_NOT_FOUND);
    assert_int_equal(item.mod_rev, -7);                 /* untouched on failure */
    int64_t first = meta_put_text(meta, "a", "one");
    int64_t second = meta_put_text(meta, "a", "two");
    assert_true(second > first);
    item = s_look(&ctx, meta, "a");
    assert_string_equal(item.key, "a");
    assert_true(view_eq(item.value, view_str("two")));
    assert_int_equal(item.create_rev, first);
    assert_int_equal(item.mod_rev, second);
    assert_int_equal(item.lease, 0);

    meta_op_t gone = { META_DELETE, "a", {0}, 0 };
    assert_true(s_run(meta, NULL, 0, &gone, 1).rev > second);
    assert_null(meta_get_text(meta, "a"));
    assert_true(s_run(meta, NULL, 0, &gone, 1).applied);    /* deleting nothing is fine */
    int64_t again = meta_put_text(meta, "a", "three");
    assert_int_equal(s_look(&ctx, meta, "a").create_rev, again);
    ctx_fini(&ctx);
}

static void values_are_bytes(void **state)
{
    meta_t *meta = *state;
    ctx_t ctx;
    s_ctx(&ctx);
    size_t big = LIMIT_META_VALUE_BYTES;
    uint8_t *bytes = ctx_new(&ctx, big + 1);
    for (size_t i = 0; i < big; i++)
        bytes[i] = (uint8_t)(i * 7 + i / 256);
    size_t lens[] = { 0, 1, 2, 3, 255, 256, 4096, 100001, big };
    for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
        meta_op_t op = { META_PUT, "bytes", view_of(bytes, lens[i]), 0 };
        assert_true(s_run(meta, NULL, 0, &op, 1).applied);
        assert_true(view_eq(s_look(&ctx, meta, "bytes").value, op.value));
    }
    meta_op_t over = { META_PUT, "bytes", view_of(bytes, big + 1), 0 };
    assert_int_equal(s_try(meta, NULL, 0, &over, 1), ERR_PARAM_TOO_LARGE);
    meta_op_t sum[2] = { { META_PUT, "x", view_of(bytes, big), 0 },
                         { META_PUT, "y", view_of(bytes, LIMIT_META_TXN_BYTES - big), 0 } };
    assert_int_equal(s_try(meta, NULL, 0, sum, 2), ERR_PARAM_TOO_LARGE);
    sum[1].value.len -= 2;
    assert_int_equal(s_try(meta, NULL, 0, sum, 2), OK);
    ctx_fini(&ctx);
}

static void keys_are_checked(void **state)
{
    meta_t *meta = *state;
    char key[LIMIT_META_KEY_BYTES + 1];
    memset(key, 'k', sizeof key);
    key[LIMIT_META_KEY_BYTES] = '\0';
    meta_op_t op = { META_PUT, key, view_str("v"), 0 };
    assert_int_equal(s_try(meta, NULL, 0, &op, 1), ERR_PARAM_TOO_LARGE);
    key[LIMIT_META_KEY_BYTES - 1] = '\0';
    assert_int_equal(s_try(meta, NULL, 0, &op, 1), OK);
    assert_string_equal(meta_get_text(meta, key), "v");
    op.key = "";
    assert_int_equal(s_try(meta, NULL, 0, &op, 1), ERR_PARAM_INVALID);
    assert_int_equal(s_try(meta, NULL, 0, NULL, 0), ERR_PARAM_INVALID);
    meta_op_t twice[2] = { { META_PUT, "d/a", {0}, 0 }, { META_DELETE_PREFIX, "d/", {0}, 0 } };
    assert_int_equal(s_try(meta, NULL, 0, twice, 2), ERR_PARAM_INVALID);
    meta_cmp_t zero = { META_IF_MOD_REV, "a", 0, {0} };
    assert_int_equal(s_try(meta, &zero, 1, NULL, 0), ERR_PARAM_INVALID);

    meta_op_t many[LIMIT_META_TXN_OPS + 1];
    char names[LIMIT_META_TXN_OPS + 1][24];
    for (int i = 0; i <= LIMIT_META_TXN_OPS; i++) {
        snprintf(names[i], sizeof names[i], "many/%d", i);
        many[i] = (meta_op_t){ META_PUT, names[i], view_str("x"), 0 };
    }
    assert_int_equal(s_try(meta, NULL, 0, many, LIMIT_META_TXN_OPS + 1), ERR_PARAM_TOO_LARGE);
    assert_int_equal(s_try(meta, NULL, 0, many, LIMIT_META_TXN_OPS), OK);
    assert_int_equal(s_count(meta, "many/"), LIMIT_META_TXN_OPS);
}

/* Every kind against a key that is there and one that is not, alone and as the
 * condition of a write. */
static void compares_mean_what_they_say(void **state)
{
    meta_t *meta = *state;
    int64_t created = meta_put_text(meta, "k", "old");
    int64_t put = meta_put_text(meta, "k", "now");
    const struct { meta_cmp_t cmp; bool holds; } cases[] = {
        { { META_IF_ABSENT, "k", 0, {0} }, false },
        { { META_IF_ABSENT, "none", 0, {0} }, true },
        { { META_IF_PRESENT, "k", 0, {0} }, true },
        { { META_IF_PRESENT, "none", 0, {0} }, false },
        { { META_IF_MOD_REV, "k", put, {0} }, true },
        { { META_IF_MOD_REV, "k", created, {0} }, false },
        { { META_IF_MOD_REV, "none", put, {0} }, false },
        { { META_IF_CREATE_REV, "k", created, {0} }, true },
        { { META_IF_CREATE_REV, "k", put, {0} }, false },
        { { META_IF_CREATE_REV, "none", created, {0} }, false },
        { { META_IF_VALUE, "k", 0, view_str("now") }, true },
        { { META_IF_VALUE, "k", 0, view_str("no") }, false },
        { { META_IF_VALUE, "k", 0, {0} }, false },
        { { META_IF_VALUE, "none", 0, {0} }, false },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(s_run(meta, &cases[i].cmp, 1, NULL, 0).applied, cases[i].holds);
        meta_op_t op = { META_PUT, "witness", view_str("x"), 0 };
        meta_cmp_t both[2] = { { META_IF_PRESENT, "k", 0, {0} }, cases[i].cmp };
        assert_int_equal(s_run(meta, both, 2, &op, 1).applied, cases[i].holds);
        assert_int_equal(meta_get_text(meta, "witness") != NULL, cases[i].holds);
        meta_op_t clean = { META_DELETE, "witness", {0}, 0 };
        assert_true(s_run(meta, NULL, 0, &clean, 1).applied);
    }
    assert_int_equal(s_try(meta, &(meta_cmp_t){ META_IF_VALUE, "none", 0, {0} }, 1, NULL, 0), OK);
}

static void a_transaction_is_one_revision_or_nothing(void **state)
{
    meta_t *meta = *state;
    ctx_t ctx;
    s_ctx(&ctx);
    meta_put_text(meta, "p/1", "x");
    meta_put_text(meta, "p/2", "x");
    meta_put_text(meta, "p0", "beside the prefix");
    meta_put_text(meta, "q", "x");
    meta_op_t ops[] = {
        { META_PUT, "r", view_str("new"), 0 },
        { META_PUT, "q", view_str("newer"), 0 },
        { META_DELETE_PREFIX, "p/", {0}, 0 },
        { META_DELETE, "not there", {0}, 0 },
    };
    meta_cmp_t no = { META_IF_ABSENT, "q", 0, {0} }, yes = { META_IF_PRESENT, "q", 0, {0} };
    meta_txn_result_t refused = s_run(meta, &no, 1, ops, ARRAY_LEN(ops));
    assert_false(refused.applied);
    assert_int_equal(s_count(meta, ""), 4);
    meta_txn_result_t done = s_run(meta, &yes, 1, ops, ARRAY_LEN(ops));
    assert_true(done.applied);
    assert_true(done.rev > refused.rev);
    assert_int_equal(s_look(&ctx, meta, "r").mod_rev, done.rev);
    assert_int_equal(s_look(&ctx, meta, "q").mod_rev, done.rev);
    assert_int_equal(s_count(meta, "p/"), 0);
    assert_int_equal(s_count(meta, ""), 3);
    ctx_fini(&ctx);
}

static void long_lists_come_whole_and_sorted(void **state)
{
    enum { KEYS = 2500, STEP = 100 };
    meta_t *meta = *state;
    char names[STEP][24];
    meta_op_t ops[STEP];
    for (int from = 0; from < KEYS; from += STEP) {
        for (int i = 0; i < STEP; i++) {
            snprintf(names[i], sizeof names[i], "list/%05d", (from + i) * 7919 % KEYS);
            ops[i] = (meta_op_t){ META_PUT, names[i], view_str(names[i]), 0 };
        }
        assert_true(s_run(meta, NULL, 0, ops, STEP).applied);
    }
    int64_t last = meta_put_text(meta, "list0", "outside");
    ctx_t ctx;
    s_ctx(&ctx);
    meta_items_t items = {0};
    assert_ok(&ctx, meta_list(&ctx, meta, "list/", &items));
    assert_int_equal(items.n, KEYS);
    assert_true(items.rev >= last);
    for (int i = 0; i < KEYS; i++) {
        char name[24];
        snprintf(name, sizeof name, "list/%05d", i);
        assert_string_equal(items.at[i].key, name);
        assert_true(view_eq(items.at[i].value, view_str(name)));
    }
    assert_int_equal(s_count(meta, "list/0001"), 10);
    assert_int_equal(s_count(meta, "nothing"), 0);
    assert_int_equal(s_count(meta, ""), KEYS + 1);
    ctx.budget_bytes = ctx.spent_bytes + 4096;          /* a list too big for its errand */
    assert_int_equal(meta_list(&ctx, meta, "list/", &items), ERR_MEMORY);
    ctx_fini(&ctx);
}

/* Prefixes whose last byte is the greatest one, and names that are each other's prefix. */
static void odd_keys_stay_apart(void **state)
{
    meta_t *meta = *state;
    const char *keys[] = { "a", "a/", "a/b", "a/b/c", "a b\"\\\n", "\xff", "\xff\xff", "\xff\xff/x",
                           "\xc3\xa9", "\xfe\xff" };
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        meta_put_text(meta, keys[i], keys[i]);
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        assert_string_equal(meta_get_text(meta, keys[i]), keys[i]);
    assert_int_equal(s_count(meta, "a"), 5);
    assert_int_equal(s_count(meta, "a/"), 3);
    assert_int_equal(s_count(meta, "\xff"), 3);
    assert_int_equal(s_count(meta, "\xff\xff"), 2);
    assert_int_equal(s_count(meta, "\xfe\xff"), 1);
    meta_op_t op = { META_DELETE_PREFIX, "\xff", {0}, 0 };
    assert_true(s_run(meta, NULL, 0, &op, 1).applied);
    assert_int_equal(s_count(meta, ""), ARRAY_LEN(keys) - 3);
    op.key = "";
    assert_true(s_run(meta, NULL, 0, &op, 1).applied);
    assert_int_equal(s_count(meta, ""), 0);
}

static void a_dead_errand_does_nothing(void **state)
{
    meta_t *meta = *state;
    meta_op_t op = { META_PUT, "k", view_str("v"), 0 };
    meta_txn_t txn = { .ops = &op, .n_ops = 1 };
    meta_txn_result_t result = {0};
    meta_item_t item = {0};
    ctx_t ctx;
    ctx_init(&ctx);
    ctx_limit_ms(&ctx, 0);
    assert_int_equal(meta_txn(&ctx, meta, &txn, &result), ERR_TIMEOUT);
    assert_int_equal(meta_get(&ctx, meta, "k", &item), ERR_TIMEOUT);
    ctx_fini(&ctx);
    ctx_init(&ctx);
    ctx_cancel(&ctx);
    assert_int_equal(meta_txn(&ctx, meta, &txn, &result), ERR_CANCELED);
    ctx_fini(&ctx);
    assert_null(meta_get_text(meta, "k"));
}

/* Random transactions, the same on this store and on the memory driver: the
 * same ones apply, and the same keys and values are there afterwards. */
static void s_random_txn(rng_t *rng, char names[][8], meta_cmp_t *cmps, meta_op_t *ops)
{
    static const char *values[] = { "", "1", "2", "3" };
    for (int i = 0; i < 6; i++)
        snprintf(names[i], sizeof names[i], "%c/%c", "ab"[rng_below(rng, 2)],
                 "uvwxyz"[i < 3 ? rng_below(rng, 6) : (uint64_t)i]);
    for (int i = 0; i < 3; i++) {
        static const meta_if_t kinds[] = { META_IF_ABSENT, META_IF_PRESENT, META_IF_VALUE };
        cmps[i] = (meta_cmp_t){ kinds[rng_below(rng, 3)], names[i], 0,
                                view_str(values[rng_below(rng, 4)]) };
        ops[i] = (meta_op_t){ rng_chance(rng, 0.7) ? META_PUT : META_DELETE, names[i + 3],
                              view_str(values[rng_below(rng, 4)]), 0 };
    }
    if (rng_chance(rng, 0.05))
        ops[0] = (meta_op_t){ META_DELETE_PREFIX, rng_chance(rng, 0.5) ? "a/" : "b/", {0}, 0 };
}

static void agrees_with_the_memory_driver(void **state)
{
    meta_t *meta = *state;
    meta_t *model = meta_memory_new(NULL, NULL);
    rng_t rng;
    rng_seed(&rng, 42);
    for (int step = 0; step < 400; step++) {
        char names[6][8];
        meta_cmp_t cmps[3];
        meta_op_t ops[3];
        s_random_txn(&rng, names, cmps, ops);
        size_t n_cmps = rng_below(&rng, 3), n_ops = rng_below(&rng, 3) + 1;
        bool clash = ops[0].kind == META_DELETE_PREFIX && n_ops > 1;
        n_ops = clash ? 1 : n_ops;
        assert_int_equal(s_run(meta, cmps, n_cmps, ops, n_ops).applied,
                         s_run(model, cmps, n_cmps, ops, n_ops).applied);
    }
    ctx_t ctx;
    s_ctx(&ctx);
    meta_items_t ours = {0}, theirs = {0};
    assert_ok(&ctx, meta_list(&ctx, meta, "", &ours));
    assert_ok(&ctx, meta_list(&ctx, model, "", &theirs));
    assert_int_equal(ours.n, theirs.n);
    for (size_t i = 0; i < ours.n; i++) {
        assert_string_equal(ours.at[i].key, theirs.at[i].key);
        assert_true(view_eq(ours.at[i].value, theirs.at[i].value));
    }
    ctx_fini(&ctx);
    meta_destroy(&model);
}

/* --- leases ----------------------------------------------------------------- */

static void a_lease_takes_its_keys_along(void **state)
{
    meta_t *meta = *state;
    int64_t brief = s_grant(meta, s_suite->ttl_ms), kept = s_grant(meta, s_suite->ttl_ms);
    s_put_leased(meta, "brief/1", "x", brief);
    s_put_leased(meta, "brief/2", "x", brief);
    s_put_leased(meta, "kept", "x", kept);
    s_put_leased(meta, "moved", "x", brief);
    meta_put_text(meta, "moved", "stays: it has no lease any more");
    ctx_t ctx;
    s_ctx(&ctx);
    assert_int_equal(s_look(&ctx, meta, "kept").lease, kept);
    for (int64_t passed = 0; passed < 3 * s_suite->ttl_ms; passed += s_suite->ttl_ms / 4) {
        s_suite->pass_ms(s_suite->arg, s_suite->ttl_ms / 4);
        assert_ok(&ctx, meta_lease_keep(&ctx, meta, kept));
    }
    assert_int_equal(s_count(meta, "brief/"), 0);
    assert_non_null(meta_get_text(meta, "kept"));
    assert_non_null(meta_get_text(meta, "moved"));
    assert_int_equal(meta_lease_keep(&ctx, meta, brief), ERR_KEY_NOT_FOUND);
    ctx_clear(&ctx);

    assert_ok(&ctx, meta_lease_revoke(&ctx, meta, kept));
    assert_null(meta_get_text(meta, "kept"));
    assert_ok(&ctx, meta_lease_revoke(&ctx, meta, kept));
    ctx_fini(&ctx);
}

static void nothing_is_put_under_a_lease_that_is_gone(void **state)
{
    meta_t *meta = *state;
    ctx_t ctx;
    s_ctx(&ctx);
    int64_t lease = s_grant(meta, 60000);
    assert_ok(&ctx, meta_lease_revoke(&ctx, meta, lease));
    meta_op_t ops[2] = { { META_PUT, "free", view_str("x"), 0 },
                         { META_PUT, "leased", view_str("x"), lease } };
    assert_int_equal(s_try(meta, NULL, 0, ops, 2), ERR_KEY_NOT_FOUND);
    assert_int_equal(s_count(meta, ""), 0);
    meta_cmp_t no = { META_IF_PRESENT, "free", 0, {0} };
    assert_false(s_run(meta, &no, 1, ops, 2).applied);
    meta_put_text(meta, "free", "still works");
    ctx_fini(&ctx);
}

/* Two candidates want one key under their leases: one wins, the other takes
 * over by comparing, and the first cannot write as leader any more. */
static void an_election_has_one_winner(void **state)
{
    meta_t *meta = *state;
    int64_t leases[2] = { s_grant(meta, 60000), s_grant(meta, 60000) };
    meta_cmp_t free_seat = { META_IF_ABSENT, "leader", 0, {0} };
    meta_txn_result_t won[2];
    for (int i = 0; i < 2; i++) {
        meta_op_t sit = { META_PUT, "leader", view_str(i ? "B" : "A"), leases[i] };
        won[i] = s_run(meta, &free_seat, 1, &sit, 1);
    }
    assert_true(won[0].applied);
    assert_false(won[1].applied);
    assert_string_equal(meta_get_text(meta, "leader"), "A");

    meta_cmp_t still_a = { META_IF_MOD_REV, "leader", won[0].rev, {0} };
    meta_op_t write = { META_PUT, "state", view_str("by A"), 0 };
    assert_true(s_run(meta, &still_a, 1, &write, 1).applied);
    meta_op_t usurp = { META_PUT, "leader", view_str("B"), leases[1] };
    won[1] = s_run(meta, &still_a, 1, &usurp, 1);
    assert_true(won[1].applied);
    assert_false(s_run(meta, &still_a, 1, &write, 1).applied);

    ctx_t ctx;
    s_ctx(&ctx);
    assert_ok(&ctx, meta_lease_revoke(&ctx, meta, leases[0]));   /* A's end is not B's */
    assert_string_equal(meta_get_text(meta, "leader"), "B");
    assert_ok(&ctx, meta_lease_revoke(&ctx, meta, leases[1]));
    assert_null(meta_get_text(meta, "leader"));
    ctx_fini(&ctx);
}

/* --- watches ---------------------------------------------------------------- */

static meta_watch_t *s_follow(meta_t *meta, const char *prefix, recorder_t *rec)
{
    ctx_t ctx;
    s_ctx(&ctx);
    meta_watch_t *watch = NULL;
    assert_ok(&ctx, meta_watch(&ctx, meta, prefix, recorder_watch, rec, &watch));
    ctx_fini(&ctx);
    return watch;
}

static void a_watch_tells_all_in_order(void **state)
{
    meta_t *meta = *state;
    recorder_t rec;
    recorder_init(&rec);
    meta_put_text(meta, "w/old", "1");
    meta_put_text(meta, "elsewhere", "1");
    meta_watch_t *watch = s_follow(meta, "w/", &rec);
    assert_true(recorder_wait(&rec, 3));
    meta_put_text(meta, "w/new", "2");
    meta_put_text(meta, "elsewhere", "2");
    meta_op_t ops[] = { { META_PUT, "w/old", view_str("3"), 0 },
                        { META_DELETE, "w/new", {0}, 0 },
                        { META_PUT, "w0", view_str("3"), 0 } };
    int64_t both = s_run(meta, NULL, 0, ops, ARRAY_LEN(ops)).rev;
    meta_op_t all = { META_DELETE_PREFIX, "w/", {0}, 0 };
    assert_true(s_run(meta, NULL, 0, &all, 1).applied);
    assert_true(recorder_wait(&rec, 7));
    const char *expected[] = { "RESET", "PUT w/old=1", "SYNCED", "PUT w/new=2", NULL, NULL,
                               "DELETE w/old" };
    for (size_t i = 0; i < ARRAY_LEN(expected); i++)
        if (expected[i])
            assert_string_equal(recorder_text(&rec, i), expected[i]);
    assert_true(recorder_wait_for(&rec, META_WATCH_PUT, "w/old", both));
    assert_true(recorder_wait_for(&rec, META_WATCH_DELETE, "w/new", both));
    recorder_check_order(&rec);
    meta_unwatch(&watch);
    assert_null(watch);
    meta_put_text(meta, "w/late", "4");
    assert_int_equal(recorder_len(&rec), 7);
    recorder_fini(&rec);
}

static void a_watch_sees_leases_end(void **state)
{
    meta_t *meta = *state;
    recorder_t rec;
    recorder_init(&rec);
    meta_watch_t *watch = s_follow(meta, "l/", &rec);
    int64_t lease = s_grant(meta, s_suite->ttl_ms);
    s_put_leased(meta, "l/a", "1", lease);
    s_put_leased(meta, "l/b", "1", lease);
    s_suite->pass_ms(s_suite->arg, s_suite->ttl_ms + 1);
    meta_put_text(meta, "other", "an inner clock shows at the next call");
    assert_true(recorder_wait_for(&rec, META_WATCH_DELETE, "l/a", 1));
    assert_true(recorder_wait_for(&rec, META_WATCH_DELETE, "l/b", 1));
    recorder_check_order(&rec);
    meta_unwatch(&watch);
    recorder_fini(&rec);
}

/* --- threads ---------------------------------------------------------------- */

enum { THREADS = 8, STEPS = 20 };

typedef struct worker {
    meta_t *meta;
    int id;
    pthread_t thread;
} worker_t;

/* Read, add one, compare and write; again until it was nobody else's turn. */
static void s_increment(meta_t *meta, const char *key)
{
    for (;;) {
        ctx_t ctx;
        s_ctx(&ctx);
        meta_item_t item = {0};
        assert_ok(&ctx, meta_get(&ctx, meta, key, &item));
        char number[24];
        snprintf(number, sizeof number, "%d", atoi((const char *)item.value.ptr) + 1);
        meta_cmp_t same = { META_IF_MOD_REV, key, item.mod_rev, {0} };
        meta_op_t put = { META_PUT, key, view_str(number), 0 };
        bool applied = s_run(meta, &same, 1, &put, 1).applied;
        ctx_fini(&ctx);
        if (applied)
            return;
    }
}

static void *s_work(void *arg)
{
    worker_t *worker = arg;
    char own[24];
    snprintf(own, sizeof own, "own/%d", worker->id);
    for (int i = 0; i < STEPS; i++) {
        s_increment(worker->meta, "shared");
        meta_put_text(worker->meta, own, "x");
    }
    return NULL;
}

static void s_run_workers(meta_t *meta)
{
    worker_t workers[THREADS];
    for (int i = 0; i < THREADS; i++) {
        workers[i] = (worker_t){ .meta = meta, .id = i };
        assert_int_equal(pthread_create(&workers[i].thread, NULL, s_work, &workers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(workers[i].thread, NULL);
}

static void eight_threads_lose_nothing(void **state)
{
    meta_t *meta = *state;
    meta_put_text(meta, "shared", "0");
    recorder_t rec;
    recorder_init(&rec);
    meta_watch_t *watch = s_follow(meta, "shared", &rec);
    assert_true(recorder_wait(&rec, 3));
    s_run_workers(meta);
    assert_int_equal(atoi(meta_get_text(meta, "shared")), THREADS * STEPS);
    assert_int_equal(s_count(meta, "own/"), THREADS);
    assert_true(recorder_wait(&rec, 3 + THREADS * STEPS));
    for (int i = 0; i < THREADS * STEPS; i++) {
        char text[32];
        snprintf(text, sizeof text, "PUT shared=%d", i + 1);
        assert_string_equal(recorder_text(&rec, (size_t)i + 3), text);
    }
    recorder_check_order(&rec);
    meta_unwatch(&watch);
    recorder_fini(&rec);
}

static void *s_come_and_go(void *arg)
{
    meta_t *meta = arg;
    for (int i = 0; i < STEPS; i++) {
        recorder_t rec;
        recorder_init(&rec);
        meta_watch_t *watch = s_follow(meta, "own/", &rec);
        if (i % 2 == 0)
            assert_true(recorder_wait(&rec, 2));
        meta_unwatch(&watch);
        recorder_check_order(&rec);
        recorder_fini(&rec);
    }
    return NULL;
}

static void watches_come_and_go_under_load(void **state)
{
    meta_t *meta = *state;
    meta_put_text(meta, "shared", "0");
    pthread_t guest;
    assert_int_equal(pthread_create(&guest, NULL, s_come_and_go, meta), 0);
    s_run_workers(meta);
    pthread_join(guest, NULL);
}

/* --- the group -------------------------------------------------------------- */

static int s_up(void **state)
{
    *state = s_suite->open(s_suite->arg);
    return *state ? 0 : -1;
}

static int s_down(void **state)
{
    meta_t *meta = *state;
    meta_destroy(&meta);
    return 0;
}

#define T(f) cmocka_unit_test_setup_teardown(f, s_up, s_down)

int meta_conformance_run(const meta_suite_t *suite)
{
    const struct CMUnitTest tests[] = {
        T(what_is_put_is_read_back),
        T(values_are_bytes),
        T(keys_are_checked),
        T(compares_mean_what_they_say),
        T(a_transaction_is_one_revision_or_nothing),
        T(long_lists_come_whole_and_sorted),
        T(odd_keys_stay_apart),
        T(a_dead_errand_does_nothing),
        T(agrees_with_the_memory_driver),
        T(a_lease_takes_its_keys_along),
        T(nothing_is_put_under_a_lease_that_is_gone),
        T(an_election_has_one_winner),
        T(a_watch_tells_all_in_order),
        T(a_watch_sees_leases_end),
        T(eight_threads_lose_nothing),
        T(watches_come_and_go_under_load),
    };
    s_suite = suite;
    return cmocka_run_group_tests_name(suite->name, tests, NULL, NULL);
}
