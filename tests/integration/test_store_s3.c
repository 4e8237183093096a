/* store_s3: the conformance suite on a real S3 server, and its words for wrong
 * credentials and missing buckets.
 *
 * ELANUS_TEST_S3=host:port says where (keys minioadmin / minioadmin); unset, it
 * skips.  Each run uses a prefix of its own and removes what it put.  An object of
 * several parts also comes as a file (copies.h). */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/limits.h"
#include "core/base/rng.h"
#include "core/store/copies.h"
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

static void an_object_comes_as_a_file(void **state)
{
    (void)state;
    char dir[] = "/tmp/elanus-s3-copies-XXXXXX";
    copies_options_t options = { .dir = dir, .share = 1 };
    owned(store) store = s_open(NULL);
    owned(copies) copies = NULL;
    store_mapping_t map = {0};
    ctx_t ctx;
    ctx_init(&ctx);
    assert_non_null(store);
    assert_non_null(mkdtemp(dir));
    assert_int_equal(copies_open(&ctx, &options, &copies), OK);
    view_t body = store_test_body(&ctx, 4, 2 * LIMIT_STORE_COPY_BYTES + 12345);
    assert_int_equal(store_put(&ctx, store, "copied/x", body), OK);
    assert_int_equal(copies_map(&ctx, copies, store, "copied/x", &map), OK);
    assert_int_equal(store_delete(&ctx, store, "copied/x"), OK);
    assert_true(map.mapped && view_eq(map.body, body));
    store_map_file(store, "copied/x", &map);
    assert_true(map.file > 2);
    store_unmap(&map);
    assert_int_equal(copies_map(&ctx, copies, store, "copied/x", &map), ERR_KEY_NOT_FOUND);
    assert_int_equal(copies_bytes(copies), 0);
    assert_int_equal(remove(dir), 0);
    ctx_fini(&ctx);
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
        cmocka_unit_test(an_object_comes_as_a_file),
    };
    const struct CMUnitTest after[] = { cmocka_unit_test(everything_can_be_removed) };
    int failed = cmocka_run_group_tests_name("store_s3", before, NULL, NULL);
    failed += store_conformance_run("store on a real S3", s_open, NULL, "c", true);
    failed += cmocka_run_group_tests_name("store_s3, at last", after, NULL, NULL);
    return failed;
}
