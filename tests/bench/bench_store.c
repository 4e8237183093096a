/* bench_store - how long puts and gets take on each driver
 *
 *     build/release/bench/bench_store [DIR]      a local directory below DIR (default /tmp),
 *                                                and S3 at ELANUS_TEST_S3=host:port
 *
 * One thread, one call after the other, medians; seconds in all.  "footer" is what
 * the checksums alone cost, "range" reads 1000 bytes with the footer kept.
 */
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/clock.h"
#include "core/base/rng.h"
#include "core/store/footer.h"
#include "tests/support/store_conformance.h"

enum { MOST = 64 };

static int s_compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double s_median(double *ms, size_t n)
{
    qsort(ms, n, sizeof ms[0], s_compare);
    return ms[n / 2];
}

static double s_since_ms(int64_t start_ns)
{
    return (double)(clock_mono_ns() - start_ns) / 1e6;
}

static void s_want_ok(ctx_t *ctx, err_t err)
{
    if (err == OK)
        return;
    fprintf(stderr, "%s\n", ctx->text);
    exit(1);
}

static void s_time_size(const char *name, store_t *store, size_t len, size_t n)
{
    double footer[MOST], put[MOST], get[MOST], range[MOST];
    check(n <= MOST);
    for (size_t i = 0; i < n; i++) {
        ctx_t ctx;
        ctx_init(&ctx);
        view_t body = store_test_body(&ctx, i, len), got = {0};
        const char *key = ctx_printf(&ctx, "bench/%zu/%zu", len, i);
        int64_t start = clock_mono_ns();
        s_want_ok(&ctx, footer_make(&ctx, key, body, &got));
        footer[i] = s_since_ms(start);
        start = clock_mono_ns();
        s_want_ok(&ctx, store_put(&ctx, store, key, body));
        put[i] = s_since_ms(start);
        start = clock_mono_ns();
        s_want_ok(&ctx, store_get(&ctx, store, key, &got));
        get[i] = s_since_ms(start);
        s_want_ok(&ctx, store_get_range(&ctx, store, key, 0, 100, &got));
        start = clock_mono_ns();
        s_want_ok(&ctx, store_get_range(&ctx, store, key, len / 2, 1000, &got));
        range[i] = s_since_ms(start);
        s_want_ok(&ctx, store_delete(&ctx, store, key));
        ctx_fini(&ctx);
    }
    printf("%-7s %6zu KiB  put %8.3f ms  get %8.3f ms  range %8.3f ms  footer %7.3f ms\n", name,
           len >> 10, s_median(put, n), s_median(get, n), s_median(range, n), s_median(footer, n));
}

static void s_time(const char *name, store_t *store)
{
    s_time_size(name, store, 4 << 10, 60);
    s_time_size(name, store, 1 << 20, 20);
    s_time_size(name, store, 4 << 20, 10);
    s_time_size(name, store, 16 << 20, 5);
}

static int s_remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st, (void)flag, (void)ftw;
    return remove(path);
}

static void s_time_local(const char *below)
{
    char dir[256];
    snprintf(dir, sizeof dir, "%s/elanus-bench-XXXXXX", below);
    if (!mkdtemp(dir)) {
        perror(dir);
        exit(1);
    }
    ctx_t ctx;
    ctx_init(&ctx);
    store_t *store = NULL;
    s_want_ok(&ctx, store_local_open(&ctx, dir, &store));
    s_time("local", store);
    store_destroy(&store);
    ctx_fini(&ctx);
    nftw(dir, s_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void s_time_s3(const char *where)
{
    char host[128];
    int port = 0;
    if (sscanf(where, "%127[^:]:%d", host, &port) != 2) {
        fprintf(stderr, "ELANUS_TEST_S3=%s: want host:port\n", where);
        exit(1);
    }
    ctx_t ctx;
    ctx_init(&ctx);
    store_s3_options_t options = { .address = host, .port = port, .access_key = "minioadmin",
                                   .secret_key = "minioadmin", .bucket = "elanus-test",
                                   .root = ctx_printf(&ctx, "bench%016llx",
                                                      (unsigned long long)rng_from_os()),
                                   .create_bucket = true };
    store_t *store = NULL;
    s_want_ok(&ctx, store_s3_open(&ctx, &options, &store));
    s_time("s3", store);
    store_destroy(&store);
    ctx_fini(&ctx);
}

int main(int argc, char **argv)
{
    owned(store) memory = store_memory_new();
    s_time("memory", memory);
    s_time_local(argc > 1 ? argv[1] : "/tmp");
    if (getenv("ELANUS_TEST_S3"))
        s_time_s3(getenv("ELANUS_TEST_S3"));
    else
        printf("s3      skipped: ELANUS_TEST_S3=host:port is not set\n");
    return 0;
}
