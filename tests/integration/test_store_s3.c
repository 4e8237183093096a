/* store_s3: the conformance suite on a real S3 server, its words for wrong
 * credentials and missing buckets, and how long puts and gets take there.
 *
 * ELANUS_TEST_S3=host:port says where (keys minioadmin / minioadmin); unset, it
 * skips.  Each run uses a prefix of its own and removes what it put. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/clock.h"
#include "core/base/rng.h"
#include "tests/support/store_conformance.h"

static char s_host[128], s_root[64];
static int s_port;

static store_s3_options_t s_options(void)
{
    return (store_s3_options_t){ .address = s_host, .port = s_port, .access_key = "minioadmin",
                                 .secret_key = "minioadmin", .bucket = "elanus-test",
                                 .root = s_root, .create_bucket = true };
}

static store_t *s_open(void *arg)
{
    (void)arg;
    store_s3_options_t options = s_options();
    ctx_t ctx;
    ctx_init(&ctx);
    ctx_limit_ms(&ctx, 10000);
    store_t *store = NULL;
    if (store_s3_open(&ctx, &options, &store) != OK)
        fprintf(stderr, "%s\n", ctx.text);
    ctx_fini(&ctx);
    return store;
}

static void s_expect_open(const store_s3_options_t *options, err_t want, const char *word)
{
    ctx_t ctx;
    ctx_init(&ctx);
    ctx_limit_ms(&ctx, 5000);
    store_t *store = NULL;
    err_t err = store_s3_open(&ctx, options, &store);
    if (err != want || !strstr(ctx.text, word))
        fail_msg("want %s with \"%s\", not %s: %s", err_name(want), word, err_name(err), ctx.text);
    ctx_fini(&ctx);
}

static void wrong_options_are_told(void **state)
{
    (void)state;
    store_s3_options_t good = s_options(), bad = good;
    bad.access_key = "nobody";
    s_expect_open(&bad, ERR_DENIED, "minio.accessKeyID");
    bad = good, bad.secret_key = "wrong-secret";
    s_expect_open(&bad, ERR_DENIED, "minio.secretAccessKey");
    bad = good, bad.bucket = "elanus-is-not-here", bad.create_bucket = false;
    s_expect_open(&bad, ERR_CONFIG, "elanus-is-not-here");
}

/* --- latencies ------------------------------------------------------------------- */

static int s_compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void s_report(const char *what, size_t kib, double *ms, size_t n)
{
    qsort(ms, n, sizeof ms[0], s_compare);
    print_message("%-12s %6zu KiB  p50 %7.2f ms  p95 %7.2f ms\n", what, kib, ms[n / 2],
                  ms[n * 95 / 100]);
}

static double s_since_ms(int64_t start_ns)
{
    return (double)(clock_mono_ns() - start_ns) / 1e6;
}

static void s_time_size(store_t *store, size_t len, size_t n)
{
    double put[64], get[64], range[64];
    for (size_t i = 0; i < n; i++) {
        ctx_t ctx;
        ctx_init(&ctx);
        view_t body = store_test_body(&ctx, i, len), got = {0};
        const char *key = ctx_printf(&ctx, "time/%zu/%zu", len, i);
        int64_t start = clock_mono_ns();
        assert_int_equal(store_put(&ctx, store, key, body), OK);
        put[i] = s_since_ms(start);
        start = clock_mono_ns();
        assert_int_equal(store_get(&ctx, store, key, &got), OK);
        get[i] = s_since_ms(start);
        assert_true(view_eq(got, body));
        assert_int_equal(store_get_range(&ctx, store, key, 0, 100, &got), OK);
        start = clock_mono_ns();
        assert_int_equal(store_get_range(&ctx, store, key, len / 2, 1000, &got), OK);
        range[i] = s_since_ms(start);
        ctx_fini(&ctx);
    }
    s_report("put", len >> 10, put, n);
    s_report("get", len >> 10, get, n);
    s_report("get 1000 of", len >> 10, range, n);
}

static void puts_and_gets_take_so_long(void **state)
{
    (void)state;
    owned(store) store = s_open(NULL);
    assert_non_null(store);
    s_time_size(store, 4 << 10, 60);
    s_time_size(store, 1 << 20, 20);
    s_time_size(store, 4 << 20, 10);
}

static void everything_can_be_removed(void **state)
{
    (void)state;
    owned(store) store = s_open(NULL);
    assert_non_null(store);
    ctx_t ctx;
    ctx_init(&ctx);
    store_list_t list = {0};
    do {
        assert_int_equal(store_list(&ctx, store, "", NULL, 1000, &list), OK);
        for (size_t i = 0; i < list.n; i++)
            assert_int_equal(store_delete(&ctx, store, list.at[i].key), OK);
    } while (list.more);
    assert_int_equal(store_list(&ctx, store, "", NULL, 1, &list), OK);
    assert_int_equal(list.n, 0);
    ctx_fini(&ctx);
}

int main(void)
{
    const char *where = getenv("ELANUS_TEST_S3");
    if (!where || sscanf(where, "%127[^:]:%d", s_host, &s_port) != 2) {
        printf("skipped: ELANUS_TEST_S3=host:port is not set\n");
        return 0;
    }
    snprintf(s_root, sizeof s_root, "t%016llx", (unsigned long long)rng_from_os());
    const struct CMUnitTest before[] = {
        cmocka_unit_test(wrong_options_are_told),
        cmocka_unit_test(puts_and_gets_take_so_long),
    };
    const struct CMUnitTest after[] = { cmocka_unit_test(everything_can_be_removed) };
    int failed = cmocka_run_group_tests_name("store_s3", before, NULL, NULL);
    failed += store_conformance_run("store on a real S3", s_open, NULL, "c", true);
    failed += cmocka_run_group_tests_name("store_s3, at last", after, NULL, NULL);
    return failed;
}
