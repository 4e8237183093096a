/* meta_local - transactions, leases and watches over a table of records
 *
 * One lock guards everything: metadata is read at start and written when a
 * collection or an owner changes, so a reader that waits for somebody's fsync
 * is rare and cheap next to what a reader-writer scheme would cost to
 * understand.  The lock is a leaf; watchers are called without it.
 *
 * A change is copied into a batch for every watch whose prefix it has.  A new
 * watch, and one that lags by more than LIMIT_META_WATCH_PENDING changes, is
 * marked `resync`: what is pending is thrown away and everything under the
 * prefix is listed instead, under the lock, so that the batches that follow
 * continue exactly there.
 *
 * With the real clock a thread, started by the first lease or watch, ends
 * leases and calls watchers; it sleeps until the next lease is due.  With a
 * clock from outside there is no thread: each call ends the leases that are
 * due when it starts and calls the watchers before it returns, so a
 * single-threaded test or simulation is repeatable.
 *
 * Leases are in memory only.  A key names its lease, so ending one is a scan
 * for its keys: there are few of both.
 */
#include "core/meta/meta_local.h"

#include <pthread.h>
#include <signal.h>
#include <time.h>

#include "core/base/clock.h"
#include "core/base/limits.h"
#include "core/base/log.h"
#include "core/base/vec.h"

enum { RETRY_MS = 500 };        /* after a disk or memory error in the background */

typedef struct lease {
    int64_t id, ttl_ms, ends_ms;
} lease_t;

typedef struct batch {
    struct batch *next;
    size_t n;
    meta_change_t at[];         /* [n], keys and values behind it in the same block */
} batch_t;

typedef struct local_watch {
    meta_watch_t base;
    struct local_watch *next;
    batch_t *first, **last;
    size_t pending;             /* changes in the batches */
    uint64_t served;            /* turn in which it was called last: the lowest is next */
    bool resync;                /* list everything before anything else */
    bool busy;                  /* its fn is being called */
} local_watch_t;

typedef struct local {
    meta_t base;
    const local_table_t *table;
    void *rows;
    int64_t (*now_ms)(void *arg);
    void *now_arg;
    bool threaded;              /* the thread does the background work */

    pthread_mutex_t lock;       /* everything below */
    pthread_cond_t work;        /* the thread has something to do */
    pthread_cond_t calm;        /* a watch is no longer busy */
    int64_t rev;
    vec_t leases;               /* lease_t */
    int64_t next_lease;
    local_watch_t *watches;
    size_t n_watches;
    uint64_t turn;
    bool kick;                  /* the thread does not know of some work yet */
    int64_t retry_ms;           /* not before this; 0: no failure */
    bool started, stopping;
    pthread_t thread;
} local_t;

static int64_t s_real_clock(void *arg)
{
    (void)arg;
    return clock_mono_ms();
}

/* --- watches ---------------------------------------------------------------- */

static bool s_under(const local_watch_t *watch, const meta_change_t *change)
{
    return view_starts(view_str(change->item.key), view_str(watch->base.prefix));
}

/* The changes this watch wants, in one block; NULL when memory is refused. */
static batch_t *s_copy_batch(const local_watch_t *watch, const meta_change_t *changes, size_t n)
{
    size_t wanted = 0, bytes = 0;
    for (size_t i = 0; i < n; i++) {
        if (!s_under(watch, &changes[i]))
            continue;
        wanted++;
        bytes += strlen(changes[i].item.key) + 1 + changes[i].item.value.len;
    }
    batch_t *batch = mem_try(NULL, sizeof *batch + wanted * sizeof batch->at[0] + bytes);
    if (!batch)
        return NULL;
    uint8_t *at = (uint8_t *)&batch->at[wanted];
    for (size_t i = 0; i < n; i++) {
        if (!s_under(watch, &changes[i]))
            continue;
        meta_change_t *copy = &batch->at[batch->n++];
        *copy = changes[i];
        size_t key_len = strlen(changes[i].item.key) + 1;
        copy->item.key = memcpy(at, changes[i].item.key, key_len);
        at += key_len;
        if (copy->item.value.len)
            copy->item.value.ptr = memcpy(at, changes[i].item.value.ptr, copy->item.value.len);
        at += copy->item.value.len;
    }
    return batch;
}

static void s_drop_pending(local_watch_t *watch)
{
    while (watch->first) {
        batch_t *batch = watch->first;
        watch->first = batch->next;
        mem_free(batch);
    }
    watch->last = &watch->first;
    watch->pending = 0;
}

static void s_notify_watch(local_watch_t *watch, const meta_change_t *changes, size_t n)
{
    if (watch->resync)
        return;                             /* the listing to come will show it */
    batch_t *batch = s_copy_batch(watch, changes, n);
    if (!batch || watch->pending + batch->n > LIMIT_META_WATCH_PENDING) {
        mem_free(batch);
        s_drop_pending(watch);
        watch->resync = true;
    } else if (batch->n == 0) {
        mem_free(batch);
    } else {
        *watch->last = batch;
        watch->last = &batch->next;
        watch->pending += batch->n;
    }
}

/* Everything under the prefix as changes in ctx's arena, RESET first. */
static err_t s_listing(ctx_t *ctx, local_t *self, const char *prefix,
                       meta_change_t **ret, size_t *ret_n)
{
    meta_items_t items = {0};
    TRY(self->table->scan(ctx, self->rows, prefix, true, &items));
    size_t n = items.n + 2;
    meta_change_t *changes = ctx_try(ctx, n * sizeof *changes);
    if (!changes)
        return ctx_fail(ctx, ERR_MEMORY, "no memory to list %zu keys for a watch", items.n);
    changes[0].kind = META_WATCH_RESET;
    for (size_t i = 0; i < items.n; i++)
        changes[i + 1] = (meta_change_t){ META_WATCH_PUT, items.at[i] };
    changes[n - 1].kind = META_WATCH_SYNCED;
    changes[n - 1].item.mod_rev = self->rev;
    *ret = changes;
    *ret_n = n;
    return OK;
}

/* Call the watcher once with what is due.  Enters and leaves with the lock
 * held, lets go of it during the call. */
static void s_deliver_to(local_t *self, local_watch_t *watch)
{
    ctx_t ctx;
    ctx_init(&ctx);
    meta_change_t *changes = NULL;
    size_t n = 0;
    batch_t *batch = NULL;
    if (watch->resync) {
        if (s_listing(&ctx, self, watch->base.prefix, &changes, &n) == OK) {
            watch->resync = false;
        } else {
            log_event(LOG_DEBUG, "meta_watch_list_failed", "why=\"%s\"", ctx.text);
            self->retry_ms = self->now_ms(self->now_arg) + RETRY_MS;
        }
    } else {
        batch = watch->first;
        watch->first = batch->next;
        if (!watch->first)
            watch->last = &watch->first;
        watch->pending -= batch->n;
        changes = batch->at;
        n = batch->n;
    }
    if (n) {
        watch->busy = true;
        pthread_mutex_unlock(&self->lock);
        watch->base.fn(watch->base.arg, changes, n);
        pthread_mutex_lock(&self->lock);
        watch->busy = false;
        pthread_cond_broadcast(&self->calm);
    }
    mem_free(batch);
    ctx_fini(&ctx);
}

/* Call one watcher that has something due; false when none has. */
static bool s_deliver_one(local_t *self)
{
    bool waiting = self->retry_ms > self->now_ms(self->now_arg);
    local_watch_t *next = NULL;
    for (local_watch_t *watch = self->watches; watch; watch = watch->next) {
        bool due = watch->resync ? !waiting : watch->first != NULL;
        if (due && !watch->busy && (!next || watch->served < next->served))
            next = watch;
    }
    if (!next)
        return false;
    next->served = ++self->turn;
    s_deliver_to(self, next);
    return true;
}

/* --- changes ---------------------------------------------------------------- */

/* Write them as one revision and tell the watches. */
static err_t s_apply(ctx_t *ctx, local_t *self, const meta_change_t *changes, size_t n)
{
    if (n == 0)
        return OK;
    TRY(self->table->apply(ctx, self->rows, changes, n, self->rev + 1));
    self->rev++;
    self->kick = true;
    for (local_watch_t *watch = self->watches; watch; watch = watch->next)
        s_notify_watch(watch, changes, n);
    return OK;
}

static lease_t *s_find_lease(local_t *self, int64_t id)
{
    for (size_t i = 0; i < self->leases.len; i++) {
        lease_t *lease = vec_at(&self->leases, i);
        if (lease->id == id)
            return lease;
    }
    return NULL;
}

static meta_change_t s_deletion(const local_t *self, const char *key)
{
    return (meta_change_t){ META_WATCH_DELETE, { .key = key, .mod_rev = self->rev + 1 } };
}

/* Delete the keys of a lease, then the lease. */
static err_t s_end_lease(ctx_t *ctx, local_t *self, int64_t id)
{
    meta_items_t items = {0};
    TRY(self->table->scan(ctx, self->rows, "", false, &items));
    meta_change_t *changes = ctx_try(ctx, (items.n + 1) * sizeof *changes);
    if (!changes)
        return ctx_fail(ctx, ERR_MEMORY, "no memory to end lease %lld", (long long)id);
    size_t n = 0;
    for (size_t i = 0; i < items.n; i++)
        if (items.at[i].lease == id)
            changes[n++] = s_deletion(self, items.at[i].key);
    TRY(s_apply(ctx, self, changes, n));
    vec_remove(&self->leases, (size_t)(s_find_lease(self, id) - (lease_t *)self->leases.ptr));
    return OK;
}

/* End what is due; a failure leaves the lease for the next attempt. */
static void s_end_due_leases(local_t *self)
{
    int64_t now = self->now_ms(self->now_arg);
    if (now < self->retry_ms)
        return;
    for (size_t i = 0; i < self->leases.len; ) {
        const lease_t *lease = vec_at(&self->leases, i);
        if (lease->ends_ms > now) {
            i++;
            continue;
        }
        ctx_t ctx;
        ctx_init(&ctx);
        err_t err = s_end_lease(&ctx, self, lease->id);
        if (err != OK) {
            log_event(LOG_DEBUG, "meta_lease_end_failed", "why=\"%s\"", ctx.text);
            self->retry_ms = now + RETRY_MS;
        }
        ctx_fini(&ctx);
        if (err != OK)
            return;
    }
}

/* --- the thread, and the way in and out ------------------------------------- */

/* When the thread has to wake by itself; INT64_MAX: never. */
static int64_t s_next_due_ms(local_t *self)
{
    int64_t due = INT64_MAX;
    for (size_t i = 0; i < self->leases.len; i++) {
        const lease_t *lease = vec_at(&self->leases, i);
        due = lease->ends_ms < due ? lease->ends_ms : due;
    }
    for (const local_watch_t *watch = self->watches; watch; watch = watch->next)
        if (watch->resync)
            due = 0;
    return due > self->retry_ms ? due : self->retry_ms;
}

static void s_wait_for_work(local_t *self)
{
    int64_t due = s_next_due_ms(self);
    if (due == INT64_MAX) {
        pthread_cond_wait(&self->work, &self->lock);
        return;
    }
    struct timespec until = { .tv_sec = due / 1000, .tv_nsec = due % 1000 * 1000000 };
    pthread_cond_timedwait(&self->work, &self->lock, &until);
}

static void *s_background(void *arg)
{
    local_t *self = arg;
    pthread_setname_np(pthread_self(), "meta");
    pthread_mutex_lock(&self->lock);
    while (!self->stopping) {
        s_end_due_leases(self);
        if (!s_deliver_one(self))
            s_wait_for_work(self);
    }
    pthread_mutex_unlock(&self->lock);
    return NULL;
}

/* Signals are for the main thread. */
static void s_start_thread(local_t *self)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    check(pthread_create(&self->thread, NULL, s_background, self) == 0);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    self->started = true;
}

static local_t *s_enter(meta_t *meta)
{
    local_t *self = (local_t *)meta;
    pthread_mutex_lock(&self->lock);
    s_end_due_leases(self);
    return self;
}

static void s_leave(local_t *self)
{
    if (!self->threaded) {
        while (s_deliver_one(self))
            continue;
    } else if (self->kick && (self->watches || self->leases.len)) {
        if (!self->started)
            s_start_thread(self);
        pthread_cond_signal(&self->work);
    }
    self->kick = false;
    pthread_mutex_unlock(&self->lock);
}

/* --- the calls -------------------------------------------------------------- */

static err_t s_get(ctx_t *ctx, meta_t *meta, const char *key, meta_item_t *ret)
{
    local_t *self = s_enter(meta);
    err_t err = self->table->get(ctx, self->rows, key, true, ret);
    s_leave(self);
    if (err == ERR_KEY_NOT_FOUND)
        return ctx_fail(ctx, err, "metadata key %s not found", key);
    return err;
}

static err_t s_list(ctx_t *ctx, meta_t *meta, const char *prefix, meta_items_t *ret)
{
    local_t *self = s_enter(meta);
    meta_items_t items = { .rev = self->rev };
    err_t err = self->table->scan(ctx, self->rows, prefix, true, &items);
    s_leave(self);
    TRY(err);
    *ret = items;
    return OK;
}

static err_t s_compare(ctx_t *ctx, local_t *self, const meta_cmp_t *cmp, bool *ret_holds)
{
    meta_item_t item = {0};
    err_t err = self->table->get(ctx, self->rows, cmp->key, cmp->kind == META_IF_VALUE, &item);
    if (err != OK && err != ERR_KEY_NOT_FOUND)
        return err;
    bool there = err == OK;
    switch (cmp->kind) {
    case META_IF_ABSENT:        *ret_holds = !there; break;
    case META_IF_PRESENT:       *ret_holds = there; break;
    case META_IF_MOD_REV:       *ret_holds = there && item.mod_rev == cmp->rev; break;
    case META_IF_CREATE_REV:    *ret_holds = there && item.create_rev == cmp->rev; break;
    case META_IF_VALUE:         *ret_holds = there && view_eq(item.value, cmp->value); break;
    }
    return OK;
}

static err_t s_stage_put(ctx_t *ctx, local_t *self, const meta_op_t *op, vec_t *changes)
{
    if (op->lease && !s_find_lease(self, op->lease))
        return ctx_fail(ctx, ERR_KEY_NOT_FOUND, "lease %lld of metadata key %s is gone",
                        (long long)op->lease, op->key);
    meta_item_t old = {0};
    err_t err = self->table->get(ctx, self->rows, op->key, false, &old);
    if (err != OK && err != ERR_KEY_NOT_FOUND)
        return err;
    meta_change_t change = { META_WATCH_PUT, {
        .key = op->key, .value = op->value, .lease = op->lease, .mod_rev = self->rev + 1,
        .create_rev = err == OK ? old.create_rev : self->rev + 1 } };
    vec_push(changes, &change);
    return OK;
}

static err_t s_stage_delete(ctx_t *ctx, local_t *self, const meta_op_t *op, vec_t *changes)
{
    meta_items_t items = {0};
    meta_item_t item = {0};
    if (op->kind == META_DELETE_PREFIX) {
        TRY(self->table->scan(ctx, self->rows, op->key, false, &items));
    } else {
        err_t err = self->table->get(ctx, self->rows, op->key, false, &item);
        if (err != OK)
            return err == ERR_KEY_NOT_FOUND ? OK : err;
        items = (meta_items_t){ .at = &item, .n = 1 };
    }
    for (size_t i = 0; i < items.n; i++) {
        meta_change_t change = s_deletion(self, items.at[i].key);
        vec_push(changes, &change);
    }
    return OK;
}

static err_t s_run(ctx_t *ctx, local_t *self, const meta_txn_t *txn, vec_t *changes,
                   meta_txn_result_t *ret)
{
    for (size_t i = 0; i < txn->n_cmps; i++) {
        bool holds = false;
        TRY(s_compare(ctx, self, &txn->cmps[i], &holds));
        if (!holds) {
            *ret = (meta_txn_result_t){ .applied = false, .rev = self->rev };
            return OK;
        }
    }
    for (size_t i = 0; i < txn->n_ops; i++) {
        const meta_op_t *op = &txn->ops[i];
        TRY(op->kind == META_PUT ? s_stage_put(ctx, self, op, changes)
                                 : s_stage_delete(ctx, self, op, changes));
    }
    TRY(s_apply(ctx, self, changes->ptr, changes->len));
    *ret = (meta_txn_result_t){ .applied = true, .rev = self->rev };
    return OK;
}

static err_t s_txn(ctx_t *ctx, meta_t *meta, const meta_txn_t *txn, meta_txn_result_t *ret)
{
    vec_scoped changes;
    vec_init(&changes, sizeof(meta_change_t));
    local_t *self = s_enter(meta);
    err_t err = s_run(ctx, self, txn, &changes, ret);
    s_leave(self);
    return err;
}

static err_t s_lease_grant(ctx_t *ctx, meta_t *meta, int64_t ttl_ms, int64_t *ret_lease)
{
    local_t *self = s_enter(meta);
    bool full = self->leases.len >= LIMIT_META_LEASES;
    if (!full) {
        lease_t lease = { .id = self->next_lease++, .ttl_ms = ttl_ms,
                          .ends_ms = self->now_ms(self->now_arg) + ttl_ms };
        vec_push(&self->leases, &lease);
        self->kick = true;
        *ret_lease = lease.id;
    }
    s_leave(self);
    return full ? ctx_fail(ctx, ERR_PARAM_TOO_LARGE, "more than %d leases", LIMIT_META_LEASES) : OK;
}

static err_t s_lease_keep(ctx_t *ctx, meta_t *meta, int64_t id)
{
    local_t *self = s_enter(meta);
    lease_t *lease = s_find_lease(self, id);
    if (lease)
        lease->ends_ms = self->now_ms(self->now_arg) + lease->ttl_ms;
    s_leave(self);
    return lease ? OK : ctx_fail(ctx, ERR_KEY_NOT_FOUND, "lease %lld is gone", (long long)id);
}

static err_t s_lease_revoke(ctx_t *ctx, meta_t *meta, int64_t id)
{
    local_t *self = s_enter(meta);
    err_t err = s_find_lease(self, id) ? s_end_lease(ctx, self, id) : OK;
    s_leave(self);
    return err;
}

static err_t s_watch(ctx_t *ctx, meta_t *meta, const char *prefix,
                     meta_watch_fn *fn, void *arg, meta_watch_t **ret)
{
    local_t *self = s_enter(meta);
    bool full = self->n_watches >= LIMIT_META_WATCHES;
    if (!full) {
        local_watch_t *watch = mem_new(sizeof *watch);
        watch->base = (meta_watch_t){ meta, mem_strdup(prefix), fn, arg };
        watch->last = &watch->first;
        watch->resync = true;
        watch->next = self->watches;
        self->watches = watch;
        self->n_watches++;
        self->kick = true;
        *ret = &watch->base;
    }
    s_leave(self);
    return full ? ctx_fail(ctx, ERR_PARAM_TOO_LARGE, "more than %d metadata watches",
                           LIMIT_META_WATCHES) : OK;
}

/* Takes the watch out of the list first, so that the thread cannot pick it
 * again while we wait for a call that is under way. */
static void s_unlink_watch(local_t *self, local_watch_t *watch)
{
    local_watch_t **at = &self->watches;
    while (*at != watch)
        at = &(*at)->next;
    *at = watch->next;
    self->n_watches--;
}

static void s_unwatch(meta_watch_t *base)
{
    local_watch_t *watch = (local_watch_t *)base;
    local_t *self = (local_t *)base->meta;
    pthread_mutex_lock(&self->lock);
    s_unlink_watch(self, watch);
    while (watch->busy)
        pthread_cond_wait(&self->calm, &self->lock);
    pthread_mutex_unlock(&self->lock);
    s_drop_pending(watch);
    mem_free(watch->base.prefix);
    mem_free(watch);
}

static void s_destroy(meta_t *meta)
{
    local_t *self = (local_t *)meta;
    pthread_mutex_lock(&self->lock);
    self->stopping = true;
    bool started = self->started;
    pthread_cond_signal(&self->work);
    pthread_mutex_unlock(&self->lock);
    if (started)
        pthread_join(self->thread, NULL);
    while (self->watches)
        s_unwatch(&self->watches->base);
    self->table->destroy(&self->rows);
    vec_fini(&self->leases);
    pthread_cond_destroy(&self->work);
    pthread_cond_destroy(&self->calm);
    pthread_mutex_destroy(&self->lock);
    mem_free(self);
}

static const meta_driver_t s_driver = {
    s_get, s_list, s_txn, s_lease_grant, s_lease_keep, s_lease_revoke,
    s_watch, s_unwatch, s_destroy,
};

meta_t *meta_local_new(const local_table_t *table, void *rows, int64_t rev,
                       int64_t (*now_ms)(void *arg), void *arg)
{
    check(rows != NULL && rev >= 1);
    local_t *self = mem_new(sizeof *self);
    self->base.driver = &s_driver;
    self->table = table;
    self->rows = rows;
    self->rev = rev;
    self->threaded = now_ms == NULL;
    self->now_ms = now_ms ? now_ms : s_real_clock;
    self->now_arg = arg;
    self->next_lease = 1;
    vec_init(&self->leases, sizeof(lease_t));
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&self->lock, NULL);
    pthread_cond_init(&self->work, &monotonic);
    pthread_cond_init(&self->calm, NULL);
    pthread_condattr_destroy(&monotonic);
    return &self->base;
}
