/* meta_recorder - see meta_recorder.h */
#include "tests/support/meta_recorder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <time.h>

#include "core/base/clock.h"

enum { PATIENCE_MS = 10000 };

void recorder_init(recorder_t *rec)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&rec->lock, NULL);
    pthread_cond_init(&rec->grown, &monotonic);
    pthread_condattr_destroy(&monotonic);
    vec_init(&rec->seen, sizeof(recorded_t));
    rec->resets = 0;
}

void recorder_fini(recorder_t *rec)
{
    for (size_t i = 0; i < rec->seen.len; i++) {
        recorded_t *one = vec_at(&rec->seen, i);
        mem_free(one->key);
        mem_free(one->value);
    }
    vec_fini(&rec->seen);
    pthread_cond_destroy(&rec->grown);
    pthread_mutex_destroy(&rec->lock);
}

void recorder_watch(void *arg, const meta_change_t *changes, size_t n)
{
    recorder_t *rec = arg;
    pthread_mutex_lock(&rec->lock);
    for (size_t i = 0; i < n; i++) {
        const meta_item_t *item = &changes[i].item;
        recorded_t one = { .kind = changes[i].kind, .mod_rev = item->mod_rev };
        if (item->key) {
            one.key = mem_strdup(item->key);
            one.value = mem_new(item->value.len + 1);
            if (item->value.len)
                memcpy(one.value, item->value.ptr, item->value.len);
        }
        rec->resets += one.kind == META_WATCH_RESET;
        vec_push(&rec->seen, &one);
    }
    pthread_cond_broadcast(&rec->grown);
    pthread_mutex_unlock(&rec->lock);
}

static bool s_wait_more(recorder_t *rec, int64_t until_ms)
{
    struct timespec until = { until_ms / 1000, until_ms % 1000 * 1000000 };
    return pthread_cond_timedwait(&rec->grown, &rec->lock, &until) == 0;
}

bool recorder_wait(recorder_t *rec, size_t n)
{
    int64_t until = clock_mono_ms() + PATIENCE_MS;
    pthread_mutex_lock(&rec->lock);
    while (rec->seen.len < n && s_wait_more(rec, until))
        continue;
    bool there = rec->seen.len >= n;
    pthread_mutex_unlock(&rec->lock);
    return there;
}

static bool s_recorded(recorder_t *rec, meta_watch_kind_t kind, const char *key, int64_t rev)
{
    for (size_t i = 0; i < rec->seen.len; i++) {
        const recorded_t *one = vec_at(&rec->seen, i);
        if (one->kind == kind && one->mod_rev >= rev && one->key && strcmp(one->key, key) == 0)
            return true;
    }
    return false;
}

bool recorder_wait_for(recorder_t *rec, meta_watch_kind_t kind, const char *key, int64_t rev)
{
    int64_t until = clock_mono_ms() + 2 * PATIENCE_MS;
    pthread_mutex_lock(&rec->lock);
    bool there;
    while (!(there = s_recorded(rec, kind, key, rev)) && s_wait_more(rec, until))
        continue;
    pthread_mutex_unlock(&rec->lock);
    return there;
}

const char *recorder_text(recorder_t *rec, size_t i)
{
    static _Thread_local char text[512];
    pthread_mutex_lock(&rec->lock);
    const recorded_t *one = vec_at(&rec->seen, i);
    switch (one->kind) {
    case META_WATCH_RESET:  snprintf(text, sizeof text, "RESET"); break;
    case META_WATCH_SYNCED: snprintf(text, sizeof text, "SYNCED"); break;
    case META_WATCH_PUT:    snprintf(text, sizeof text, "PUT %s=%s", one->key, one->value); break;
    case META_WATCH_DELETE: snprintf(text, sizeof text, "DELETE %s", one->key); break;
    }
    pthread_mutex_unlock(&rec->lock);
    return text;
}

size_t recorder_len(recorder_t *rec)
{
    pthread_mutex_lock(&rec->lock);
    size_t len = rec->seen.len;
    pthread_mutex_unlock(&rec->lock);
    return len;
}

size_t recorder_resets(recorder_t *rec)
{
    pthread_mutex_lock(&rec->lock);
    size_t resets = rec->resets;
    pthread_mutex_unlock(&rec->lock);
    return resets;
}

static void s_check_no_repeat(recorder_t *rec, size_t from, size_t at)
{
    const recorded_t *one = vec_at(&rec->seen, at);
    for (size_t i = at; i-- > from; ) {
        const recorded_t *before = vec_at(&rec->seen, i);
        if (before->mod_rev != one->mod_rev)
            break;
        assert_true(!before->key || strcmp(before->key, one->key) != 0);
    }
}

void recorder_check_order(recorder_t *rec)
{
    pthread_mutex_lock(&rec->lock);
    bool listing = false;
    size_t live_from = 0;               /* first single change after the last SYNCED */
    int64_t rev = 0;
    for (size_t i = 0; i < rec->seen.len; i++) {
        const recorded_t *one = vec_at(&rec->seen, i);
        assert_true(i > 0 || one->kind == META_WATCH_RESET);
        if (one->kind == META_WATCH_RESET) {
            assert_false(listing);
            listing = true;
        } else if (one->kind == META_WATCH_SYNCED) {
            assert_true(listing);
            listing = false;
            live_from = i + 1;
        } else if (listing) {
            assert_int_equal(one->kind, META_WATCH_PUT);
            rev = one->mod_rev > rev ? one->mod_rev : rev;
        } else {
            assert_true(one->mod_rev >= rev);
            rev = one->mod_rev;
            s_check_no_repeat(rec, live_from, i);
        }
    }
    assert_false(listing);
    pthread_mutex_unlock(&rec->lock);
}

/* --- short forms ------------------------------------------------------------ */

int64_t meta_put_text(meta_t *meta, const char *key, const char *value)
{
    ctx_t ctx;
    ctx_init(&ctx);
    ctx_limit_ms(&ctx, PATIENCE_MS);
    meta_op_t op = { META_PUT, key, view_str(value), 0 };
    meta_txn_t txn = { .ops = &op, .n_ops = 1 };
    meta_txn_result_t result = {0};
    if (meta_txn(&ctx, meta, &txn, &result) != OK)
        fail_msg("putting %s: %s", key, ctx.text);
    assert_true(result.applied);
    ctx_fini(&ctx);
    return result.rev;
}

const char *meta_get_text(meta_t *meta, const char *key)
{
    static _Thread_local char text[4096];
    ctx_t ctx;
    ctx_init(&ctx);
    ctx_limit_ms(&ctx, PATIENCE_MS);
    meta_item_t item = {0};
    err_t err = meta_get(&ctx, meta, key, &item);
    if (err != OK && err != ERR_KEY_NOT_FOUND)
        fail_msg("getting %s: %s", key, ctx.text);
    snprintf(text, sizeof text, "%.*s", (int)item.value.len, (const char *)item.value.ptr);
    ctx_fini(&ctx);
    return err == OK ? text : NULL;
}
