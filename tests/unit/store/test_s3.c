/* s3: the driver against the shim: the conformance suite, every fault at every
 * operation (once: it must come right; for ever: a clear error before the
 * deadline, never wrong bytes), a storm of random faults against a model,
 * credentials, buckets, TLS, cancellation. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/rng.h"
#include "core/store/footer.h"
#include "core/store/store_int.h"
#include "tests/support/s3_shim.h"
#include "tests/support/store_conformance.h"

enum { B = FOOTER_BLOCK_BYTES, SLACK_MS = 1500 };

typedef struct fixture {
    s3_shim_t *shim;
    store_t *store;
    ctx_t ctx;
} fixture_t;

static const s3_shim_options_t s_shim_options = {
    .bucket = "elanus", .access_key = "key", .secret_key = "secret", .slow_ms = 50, .late_ms = 100,
};

static store_s3_options_t s_options(const s3_shim_t *shim)
{
    return (store_s3_options_t){ .address = "127.0.0.1", .port = s3_shim_port(shim),
                                 .access_key = "key", .secret_key = "secret", .bucket = "elanus",
                                 .root = "files" };
}

static int fixture_up(void **state)
{
    fixture_t *fx = mem_new(sizeof *fx);
    ctx_init(&fx->ctx);
    fx->shim = s3_shim_new(&s_shim_options);
    store_s3_options_t options = s_options(fx->shim);
    *state = fx;
    return store_s3_open(&fx->ctx, &options, &fx->store) == OK ? 0 : -1;
}

static int fixture_down(void **state)
{
    fixture_t *fx = *state;
    store_destroy(&fx->store);
    s3_shim_destroy(&fx->shim);
    ctx_fini(&fx->ctx);
    mem_free(fx);
    return 0;
}

static void s_deadline(fixture_t *fx, int64_t ms)
{
    fx->ctx.deadline_ms = INT64_MAX;
    ctx_limit_ms(&fx->ctx, ms);
    ctx_clear(&fx->ctx);
}

/* --- one operation of each kind on an object that is there ---------------------- */

typedef struct op {
    const char *name;
    unsigned kind;              /* s3_shim_op_t that the fault goes to */
} op_t;

static const op_t s_ops[] = {
    { "put", S3_SHIM_PUT }, { "get", S3_SHIM_GET }, { "range", S3_SHIM_GET },
    { "head", S3_SHIM_HEAD }, { "list", S3_SHIM_LIST }, { "delete", S3_SHIM_DELETE },
};

static const char *s_fault_names[] = {
    "fine", "truncate", "flip", "slow", "stall", "500", "slowdown", "bare 503", "drop",
    "lost answer", "late", "garbage", "ignore range",
};

/* Do it; when it says OK, what it gave must be right. */
static err_t s_do(fixture_t *fx, const op_t *op, const char *key, view_t body)
{
    ctx_t *ctx = &fx->ctx;
    view_t got = {0};
    uint64_t len = 0;
    store_list_t list = {0};
    err_t err = OK;
    if (strcmp(op->name, "put") == 0)
        return store_put(ctx, fx->store, key, body);
    if (strcmp(op->name, "delete") == 0)
        return store_delete(ctx, fx->store, key);
    if (strcmp(op->name, "get") == 0) {
        err = store_get(ctx, fx->store, key, &got);
        assert_true(err != OK || view_eq(got, body));
    } else if (strcmp(op->name, "range") == 0) {
        err = store_get_range(ctx, fx->store, key, B - 5, 10, &got);
        assert_true(err != OK || view_eq(got, view_of(body.ptr + B - 5, 10)));
    } else if (strcmp(op->name, "head") == 0) {
        err = store_head(ctx, fx->store, key, &len);
        assert_true(err != OK || len == body.len);
    } else {
        err = store_list(ctx, fx->store, key, NULL, 10, &list);
        assert_true(err != OK || (list.n == 1 && strcmp(list.at[0].key, key) == 0));
    }
    return err;
}

static const char *s_prepare(fixture_t *fx, const op_t *op, int fault, view_t body)
{
    const char *key = ctx_printf(&fx->ctx, "f/%s/%d", op->name, fault);
    if (op->kind != S3_SHIM_PUT)
        assert_int_equal(store_put(&fx->ctx, fx->store, key, body), OK);
    return key;
}

static void a_passing_fault_is_not_noticed(void **state)
{
    fixture_t *fx = *state;
    view_t body = store_test_body(&fx->ctx, 1, B + 1000);
    for (size_t i = 0; i < ARRAY_LEN(s_ops); i++)
        for (int fault = 1; fault < S3_SHIM_WEATHER; fault++) {
            const op_t *op = &s_ops[i];
            if (fault == S3_SHIM_STALL && op->kind != S3_SHIM_PUT)
                continue;                       /* costs the second until we give it up */
            s_deadline(fx, 10000);
            const char *key = s_prepare(fx, op, fault, body);
            s_deadline(fx, 3000);
            s3_shim_next(fx->shim, op->kind, (s3_shim_fault_t)fault, 1);
            err_t err = s_do(fx, op, key, body);
            if (err != OK)
                fail_msg("%s with %s: %s", op->name, s_fault_names[fault], fx->ctx.text);
            bool there = s3_shim_has(fx->shim, ctx_printf(&fx->ctx, "files/%s", key));
            assert_int_equal(there, op->kind != S3_SHIM_DELETE);
        }
    assert_int_equal(s3_shim_rewrites(fx->shim), 0);
    assert_int_equal(s3_shim_rude(fx->shim), 0);
}

static void a_lasting_fault_is_a_clear_error_in_time(void **state)
{
    enum { DEADLINE_MS = 40 };
    fixture_t *fx = *state;
    view_t body = store_test_body(&fx->ctx, 2, B + 1000);
    for (size_t i = 0; i < ARRAY_LEN(s_ops); i++)
        for (int fault = 1; fault < S3_SHIM_WEATHER; fault++) {
            const op_t *op = &s_ops[i];
            s_deadline(fx, 10000);
            const char *key = s_prepare(fx, op, fault, body);
            s_deadline(fx, DEADLINE_MS);
            s3_shim_next(fx->shim, op->kind, (s3_shim_fault_t)fault, 1000000);
            int64_t start = clock_mono_ms();
            err_t err = s_do(fx, op, key, body);
            assert_true(clock_mono_ms() - start < DEADLINE_MS + SLACK_MS);
            s3_shim_next(fx->shim, 0, S3_SHIM_FINE, 0);
            if (err == OK)
                continue;                       /* the fault means nothing to this operation */
            bool corrupt = op->kind == S3_SHIM_GET && err == ERR_CORRUPT;
            if (err != ERR_STORE && err != ERR_TIMEOUT && !corrupt)
                fail_msg("%s with %s: %s: %s", op->name, s_fault_names[fault], err_name(err),
                         fx->ctx.text);
            assert_non_null(strstr(fx->ctx.text, err == ERR_TIMEOUT ? "" : key));
        }
    assert_int_equal(s3_shim_rewrites(fx->shim), 0);
    assert_int_equal(s3_shim_rude(fx->shim), 0);
}

static void refusals_are_told_at_once(void **state)
{
    static const struct { s3_shim_fault_t fault; err_t err; const char *word; } refusals[] = {
        { S3_SHIM_FULL, ERR_DISK_FULL, "no room" },
        { S3_SHIM_FORBIDDEN, ERR_DENIED, "minio.accessKeyID" },
    };
    fixture_t *fx = *state;
    for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
        int before = s3_shim_count(fx->shim, S3_SHIM_PUT);
        s3_shim_next(fx->shim, S3_SHIM_ANY, refusals[i].fault, 1);
        assert_int_equal(store_put(&fx->ctx, fx->store, "r", view_str("x")), refusals[i].err);
        assert_non_null(strstr(fx->ctx.text, refusals[i].word));
        assert_int_equal(s3_shim_count(fx->shim, S3_SHIM_PUT), before + 1);
    }
}

/* The client has given up; the put arrives all the same, whole and right. */
static void a_put_may_arrive_after_it_was_given_up(void **state)
{
    fixture_t *fx = *state;
    view_t body = store_test_body(&fx->ctx, 3, 5000), got = {0};
    s3_shim_next(fx->shim, S3_SHIM_PUT, S3_SHIM_LATE, 1000);
    s_deadline(fx, 30);
    err_t err = store_put(&fx->ctx, fx->store, "late", body);
    assert_true(err == ERR_STORE || err == ERR_TIMEOUT);
    assert_false(s3_shim_has(fx->shim, "files/late"));
    int64_t until = clock_mono_ms() + 5000;
    for (; !s3_shim_has(fx->shim, "files/late"); clock_sleep_ms(5))
        assert_true(clock_mono_ms() < until);
    s_deadline(fx, 5000);
    assert_int_equal(store_get(&fx->ctx, fx->store, "late", &got), OK);
    assert_true(view_eq(got, body));
    assert_int_equal(s3_shim_rewrites(fx->shim), 0);
}

static void a_damaged_object_is_named_after_three_reads(void **state)
{
    fixture_t *fx = *state;
    view_t got = {0};
    view_t body = store_test_body(&fx->ctx, 4, 3 * B);
    assert_int_equal(store_put(&fx->ctx, fx->store, "d/x", body), OK);
    assert_true(s3_shim_damage(fx->shim, "files/d/x", B + 17));
    assert_int_equal(store_get(&fx->ctx, fx->store, "d/x", &got), ERR_CORRUPT);
    assert_non_null(strstr(fx->ctx.text, "object d/x is damaged: checksum of the 64 KiB at 65536"));
    assert_int_equal(s3_shim_count(fx->shim, S3_SHIM_GET), 3);
    assert_int_equal(store_get_range(&fx->ctx, fx->store, "d/x", 2 * B, 10, &got), OK);
    assert_int_equal(store_get_range(&fx->ctx, fx->store, "d/x", B, 10, &got), ERR_CORRUPT);
}

/* A footer once read is kept: a range then costs one request. */
static void ranges_keep_the_footer(void **state)
{
    fixture_t *fx = *state;
    view_t body = store_test_body(&fx->ctx, 5, 8 * B), got = {0};
    assert_int_equal(store_put(&fx->ctx, fx->store, "kept", body), OK);
    for (uint64_t i = 0; i < 8; i++)
        assert_int_equal(store_get_range(&fx->ctx, fx->store, "kept", i * B, 100, &got), OK);
    assert_int_equal(s3_shim_count(fx->shim, S3_SHIM_HEAD), 1);
    assert_int_equal(s3_shim_count(fx->shim, S3_SHIM_GET), 9);
}

static void a_list_may_lag_a_head_does_not(void **state)
{
    (void)state;
    s3_shim_options_t shim_options = s_shim_options;
    shim_options.list_lag_ms = 1000000;
    owned(s3_shim) shim = s3_shim_new(&shim_options);
    store_s3_options_t options = s_options(shim);
    ctx_t ctx;
    ctx_init(&ctx);
    store_t *store = NULL;
    store_list_t list;
    uint64_t len = 0;
    assert_int_equal(store_s3_open(&ctx, &options, &store), OK);
    assert_int_equal(store_put(&ctx, store, "l/1", view_str("abc")), OK);
    assert_int_equal(store_list(&ctx, store, "l/", NULL, 10, &list), OK);
    assert_int_equal(list.n, 0);
    assert_int_equal(store_head(&ctx, store, "l/1", &len), OK);
    assert_int_equal(len, 3);
    store_destroy(&store);
    ctx_fini(&ctx);
}

/* --- storm ------------------------------------------------------------------------ */

typedef enum { ABSENT, PRESENT, UNKNOWN } known_t;

static void s_storm_step(fixture_t *fx, rng_t *rng, known_t *known, int n_keys)
{
    int i = (int)rng_below(rng, (uint64_t)n_keys);
    ctx_t *ctx = &fx->ctx;
    const char *key = ctx_printf(ctx, "storm/%d", i);
    view_t body = store_test_body(ctx, (uint64_t)i, (size_t)i * 5000), got = {0};
    s_deadline(fx, 2000);
    err_t err = OK;
    switch (rng_below(rng, 4)) {
    case 0:
        err = store_put(ctx, fx->store, key, body);
        known[i] = err == OK ? PRESENT : UNKNOWN;
        break;
    case 1:
        err = store_get_range(ctx, fx->store, key, 0, body.len / 2, &got);
        assert_true(err != OK || view_eq(got, view_of(body.ptr, body.len / 2)));
        break;
    default:
        err = store_get(ctx, fx->store, key, &got);
        assert_true(err != OK || view_eq(got, body));
        break;
    }
    if (err == OK)
        assert_true(known[i] != ABSENT);
    if (err == ERR_KEY_NOT_FOUND)
        assert_true(known[i] != PRESENT);
    else if (err != OK)
        assert_true(err == ERR_STORE || err == ERR_TIMEOUT || err == ERR_CORRUPT);
}

static void a_storm_never_yields_wrong_bytes(void **state)
{
    enum { KEYS = 30, STEPS = 250 };
    fixture_t *fx = *state;
    known_t known[KEYS] = {0};
    rng_t rng;
    rng_seed(&rng, 42);
    s3_shim_storm(fx->shim, 43, 0.3);
    for (int step = 0; step < STEPS; step++) {
        s_storm_step(fx, &rng, known, KEYS);
        arena_fini(&fx->ctx.arena);
    }
    s3_shim_storm(fx->shim, 0, 0);
    assert_int_equal(s3_shim_rewrites(fx->shim), 0);
    assert_int_equal(s3_shim_rude(fx->shim), 0);
}

/* --- opening ------------------------------------------------------------------------- */

static void s_expect_open(fixture_t *fx, const store_s3_options_t *options, err_t want,
                          const char *word)
{
    store_t *store = NULL;
    s_deadline(fx, want == ERR_STORE ? 200 : 5000);
    err_t err = store_s3_open(&fx->ctx, options, &store);
    bool late = want == ERR_STORE && err == ERR_TIMEOUT;        /* a slow resolver */
    if ((err != want && !late) || !strstr(fx->ctx.text, word))
        fail_msg("want %s with \"%s\", not %s: %s", err_name(want), word, err_name(err),
                 fx->ctx.text);
    assert_null(store);
}

static void what_is_wrong_with_the_options_is_told(void **state)
{
    fixture_t *fx = *state;
    store_s3_options_t good = s_options(fx->shim), bad = good;
    bad.access_key = "other";
    s_expect_open(fx, &bad, ERR_DENIED, "minio.accessKeyID");
    bad = good, bad.secret_key = "other";
    s_expect_open(fx, &bad, ERR_DENIED, "SignatureDoesNotMatch");
    bad = good, bad.access_key = "";
    s_expect_open(fx, &bad, ERR_CONFIG, "minio.accessKeyID");
    bad = good, bad.address = "http://127.0.0.1";
    s_expect_open(fx, &bad, ERR_CONFIG, "without http://");
    bad = good, bad.port = 0;
    s_expect_open(fx, &bad, ERR_CONFIG, "minio.port");
    bad = good, bad.bucket = "no bucket!";
    s_expect_open(fx, &bad, ERR_CONFIG, "minio.bucketName");
    bad = good, bad.root = "/files";
    s_expect_open(fx, &bad, ERR_CONFIG, "minio.rootPath");
    bad = good, bad.ca_file = "/nowhere/ca.pem";
    s_expect_open(fx, &bad, ERR_CONFIG, "minio.ssl.tlsCACert");
    bad = good, bad.tls = true;
    s_expect_open(fx, &bad, ERR_STORE, "127.0.0.1");
    bad = good, bad.address = "nowhere.invalid";
    s_expect_open(fx, &bad, ERR_STORE, "nowhere.invalid");
    bad = good, bad.port = 1;
    s_expect_open(fx, &bad, ERR_STORE, "gave up after");
}

static void a_missing_bucket_is_told_or_made(void **state)
{
    fixture_t *fx = *state;
    s3_shim_options_t shim_options = s_shim_options;
    shim_options.bucket = NULL;
    owned(s3_shim) shim = s3_shim_new(&shim_options);
    store_s3_options_t options = s_options(shim);
    s_expect_open(fx, &options, ERR_CONFIG, "minio.bucketName");
    options.create_bucket = true;
    store_t *store = NULL;
    s3_shim_next(shim, S3_SHIM_BUCKET, S3_SHIM_500, 1);      /* a server that is just starting */
    assert_int_equal(store_s3_open(&fx->ctx, &options, &store), OK);
    assert_int_equal(store_put(&fx->ctx, store, "x", view_str("y")), OK);
    store_destroy(&store);
}

static void tls_is_verified(void **state)
{
    fixture_t *fx = *state;
    char cert[] = "/tmp/elanus-shim-cert-XXXXXX";
    int fd = mkstemp(cert);
    assert_true(fd >= 0);
    close(fd);
    s3_shim_options_t shim_options = s_shim_options;
    shim_options.cert_file = cert;
    owned(s3_shim) shim = s3_shim_new(&shim_options);
    store_s3_options_t options = s_options(shim);
    options.tls = true;
    s_expect_open(fx, &options, ERR_DENIED, "minio.ssl.tlsCACert");
    options.ca_file = cert;
    options.address = "localhost";                          /* the certificate says 127.0.0.1 */
    s_expect_open(fx, &options, ERR_DENIED, "minio.ssl.tlsCACert");
    options.address = "127.0.0.1";
    store_t *store = NULL;
    view_t got = {0}, body = store_test_body(&fx->ctx, 6, 3 * B);
    s_deadline(fx, 5000);
    assert_int_equal(store_s3_open(&fx->ctx, &options, &store), OK);
    assert_int_equal(store_put(&fx->ctx, store, "x", body), OK);
    assert_int_equal(store_get(&fx->ctx, store, "x", &got), OK);
    assert_true(view_eq(got, body));
    store_destroy(&store);
    unlink(cert);
}

static void *s_cancel_soon(void *arg)
{
    clock_sleep_ms(100);
    ctx_cancel(arg);
    return NULL;
}

static void a_stalled_call_can_be_cancelled(void **state)
{
    fixture_t *fx = *state;
    view_t got = {0};
    s3_shim_next(fx->shim, S3_SHIM_ANY, S3_SHIM_STALL, 1000);
    s_deadline(fx, 20000);
    pthread_t thread;
    pthread_create(&thread, NULL, s_cancel_soon, &fx->ctx);
    int64_t start = clock_mono_ms();
    assert_int_equal(store_get(&fx->ctx, fx->store, "x", &got), ERR_CANCELED);
    assert_true(clock_mono_ms() - start < 4000);
    pthread_join(thread, NULL);
}

static store_t *s_open_for_suite(void *arg)
{
    store_s3_options_t options = s_options(arg);
    ctx_t ctx;
    ctx_init(&ctx);
    store_t *store = NULL;
    if (store_s3_open(&ctx, &options, &store) != OK)
        fprintf(stderr, "%s\n", ctx.text);
    ctx_fini(&ctx);
    return store;
}

#define T(f) cmocka_unit_test_setup_teardown(f, fixture_up, fixture_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_passing_fault_is_not_noticed),
        T(a_lasting_fault_is_a_clear_error_in_time),
        T(refusals_are_told_at_once),
        T(a_put_may_arrive_after_it_was_given_up),
        T(a_damaged_object_is_named_after_three_reads),
        T(ranges_keep_the_footer),
        T(a_list_may_lag_a_head_does_not),
        T(a_storm_never_yields_wrong_bytes),
        T(what_is_wrong_with_the_options_is_told),
        T(a_missing_bucket_is_told_or_made),
        T(tls_is_verified),
        T(a_stalled_call_can_be_cancelled),
    };
    int failed = cmocka_run_group_tests_name("s3 against the shim", tests, NULL, NULL);
    owned(s3_shim) shim = s3_shim_new(&s_shim_options);
    failed += store_conformance_run("store on S3 (shim)", s_open_for_suite, shim, "c", false);
    return failed;
}
