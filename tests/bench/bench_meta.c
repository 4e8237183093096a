/* bench_meta - what one metadata call costs, per driver
 *
 * Medians and 95th percentiles of put, get, compare-and-write and the delay
 * from a put's return to the watcher's call, one caller.  etcd takes part when
 * ELANUS_TEST_ETCD=host:port is set. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/rng.h"
#include "core/meta/meta.h"

enum { CALLS = 400 };

static int s_by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void s_print(const char *driver, const char *call, int64_t *us)
{
    qsort(us, CALLS, sizeof us[0], s_by_value);
    printf("%-8s %-16s p50 %6.3f ms   p95 %6.3f ms\n", driver, call,
           (double)us[CALLS / 2] / 1e3, (double)us[CALLS * 95 / 100] / 1e3);
}

static void s_must(ctx_t *ctx, err_t err)
{
    if (err == OK)
        return;
    fprintf(stderr, "%s\n", ctx->text);
    exit(1);
}

static int64_t s_put(ctx_t *ctx, meta_t *meta, const meta_cmp_t *cmp, const char *key)
{
    meta_op_t op = { META_PUT, key, view_str("forty bytes of value, as metadata has it"), 0 };
    meta_txn_t txn = { cmp, cmp ? 1 : 0, &op, 1 };
    meta_txn_result_t result = {0};
    s_must(ctx, meta_txn(ctx, meta, &txn, &result));
    check(result.applied);
    return result.rev;
}

static void s_calls(const char *driver, meta_t *meta)
{
    int64_t put[CALLS], get[CALLS], cas[CALLS], look[CALLS];
    for (int i = 0; i < CALLS; i++) {
        ctx_t ctx;
        ctx_init(&ctx);
        meta_item_t item = {0};
        int64_t t0 = clock_mono_us();
        int64_t rev = s_put(&ctx, meta, NULL, "bench/key");
        int64_t t1 = clock_mono_us();
        s_must(&ctx, meta_get(&ctx, meta, "bench/key", &item));
        int64_t t2 = clock_mono_us();
        meta_cmp_t same = { META_IF_MOD_REV, "bench/key", rev, {0} };
        rev = s_put(&ctx, meta, &same, "bench/key");
        int64_t t3 = clock_mono_us();
        same.rev = rev;
        meta_txn_result_t result;
        s_must(&ctx, meta_txn(&ctx, meta, &(meta_txn_t){ .cmps = &same, .n_cmps = 1 }, &result));
        int64_t t4 = clock_mono_us();
        put[i] = t1 - t0, get[i] = t2 - t1, cas[i] = t3 - t2, look[i] = t4 - t3;
        ctx_fini(&ctx);
    }
    s_print(driver, "put", put);
    s_print(driver, "get", get);
    s_print(driver, "compare+put", cas);
    s_print(driver, "compare only", look);
}

typedef struct seen {
    pthread_mutex_t lock;
    pthread_cond_t grown;
    int n;
    int64_t us;
} seen_t;

static void s_on_change(void *arg, const meta_change_t *changes, size_t n)
{
    (void)changes;
    seen_t *seen = arg;
    pthread_mutex_lock(&seen->lock);
    seen->n += (int)n;
    seen->us = clock_mono_us();
    pthread_cond_signal(&seen->grown);
    pthread_mutex_unlock(&seen->lock);
}

static int64_t s_await(seen_t *seen, int n)
{
    pthread_mutex_lock(&seen->lock);
    while (seen->n < n)
        pthread_cond_wait(&seen->grown, &seen->lock);
    int64_t us = seen->us;
    pthread_mutex_unlock(&seen->lock);
    return us;
}

/* Counted from before the put, so that a watcher may be quicker than its return. */
static void s_watching(const char *driver, meta_t *meta)
{
    seen_t seen = { .lock = PTHREAD_MUTEX_INITIALIZER, .grown = PTHREAD_COND_INITIALIZER };
    int64_t us[CALLS];
    ctx_t ctx;
    ctx_init(&ctx);
    meta_watch_t *watch = NULL;
    s_must(&ctx, meta_watch(&ctx, meta, "watched/", s_on_change, &seen, &watch));
    s_await(&seen, 2);
    for (int i = 0; i < CALLS; i++) {
        int64_t start = clock_mono_us();
        s_put(&ctx, meta, NULL, "watched/key");
        us[i] = s_await(&seen, 3 + i) - start;
    }
    s_print(driver, "put to watcher", us);
    meta_unwatch(&watch);
    ctx_fini(&ctx);
}

static void s_bench(const char *driver, meta_t *meta)
{
    s_calls(driver, meta);
    s_watching(driver, meta);
    meta_destroy(&meta);
}

static void s_bench_lmdb(void)
{
    char dir[] = "/tmp/elanus-bench-XXXXXX", command[64];
    ctx_t ctx;
    ctx_init(&ctx);
    meta_t *meta = NULL;
    check(mkdtemp(dir) != NULL);
    s_must(&ctx, meta_lmdb_open(&ctx, dir, &meta));
    s_bench("lmdb", meta);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    check(system(command) == 0);
    ctx_fini(&ctx);
}

static void s_bench_etcd(const char *endpoint)
{
    ctx_t ctx;
    ctx_init(&ctx);
    ctx_limit_ms(&ctx, 5000);
    meta_t *meta = NULL;
    char *root = ctx_printf(&ctx, "bench-%llx", (unsigned long long)rng_from_os());
    meta_etcd_options_t options = { .endpoints = endpoint, .root = root };
    s_must(&ctx, meta_etcd_open(&ctx, &options, &meta));
    s_bench("etcd", meta);
    ctx_fini(&ctx);
}

int main(void)
{
    const char *endpoint = getenv("ELANUS_TEST_ETCD");
    s_bench("memory", meta_memory_new(NULL, NULL));
    s_bench_lmdb();
    if (endpoint)
        s_bench_etcd(endpoint);
    else
        printf("etcd     left out: ELANUS_TEST_ETCD is not set\n");
    return 0;
}
