/* etcd_watch - all watches of one open store, on one thread
 *
 * Each watch is a POST to /v3/watch that never ends: etcd writes a line of
 * JSON for every batch of changes.  One thread, started by the first watch,
 * drives them with curl's multi interface.
 *
 *     LIST ──listed at R──▶ WAIT ──due──▶ STREAM from next = R+1
 *       ▲                    ▲                │
 *       │                    └──broken────────┤   next stays: nothing lost
 *       └──compacted, or etcd went back───────┘
 *
 * `next` is the first revision not yet handed on.  etcd sends whole revisions
 * (we do not ask for fragments), so after a break the stream continues at
 * `next`; anything below it would be a repeat and is dropped.  A progress
 * notice moves `next` past revisions that do not concern the prefix, so that
 * compaction does not force a quiet watch to list again.
 *
 * A dead stream can look like a quiet one.  Three things tell: TCP keep-alives
 * and a user timeout (the peer or the way there is gone, 8 s); a linearizable
 * read every PROBE_MS while nothing is heard (etcd hangs, or its member lost
 * the others), after which all streams move to the next endpoint; and silence
 * longer than etcd's own progress notices, which come every 10 minutes.
 *
 * Lists and probes block this thread; they are rare, and when they are slow
 * the streams have nothing to say either.  The lock guards the list of
 * watches, `closing` and `listing`; it is a leaf.  Only the thread unlinks a
 * watch, so it may walk the list without the lock.
 */
#include "core/meta/etcd_int.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>

#include "core/base/clock.h"
#include "core/base/limits.h"
#include "core/base/log.h"

enum {
    LIST_MS = 5000,             /* one attempt to list */
    PAUSE_FIRST_MS = 50,
    PAUSE_MOST_MS = 1000,
    PROBE_MS = 5000,
    SILENT_MS = 11 * 60 * 1000,
    STARTS_MS = 3000,           /* etcd must confirm a new stream within this */
};

typedef struct etcd_watch {
    meta_watch_t base;
    struct etcd_watch *next;
    bool closing;               /* under the lock */
    bool gone;                  /* under the lock; the thread has let go of it */

    bool listed;                /* the rest belongs to the thread */
    int64_t next_rev;
    int64_t due_ms;             /* when to try again */
    int64_t pause_ms;
    CURL *curl;                 /* NULL: no stream */
    size_t endpoint;            /* of the stream */
    bool confirmed;             /* etcd said "created" */
    bool broken;                /* close it as soon as curl is left */
    int64_t heard_ms;
    struct curl_slist *headers;
    buf_t body, line;
} etcd_watch_t;

struct etcd_watcher {
    etcd_t *etcd;
    pthread_mutex_t lock;
    pthread_cond_t gone;
    etcd_watch_t *watches;
    size_t n_watches;
    ctx_t *listing;             /* under the lock; errand of the list being read */
    etcd_watch_t *listing_for;
    bool started, stopping;
    pthread_t thread;
    CURLM *multi;
    int64_t heard_ms;           /* the thread's: when any stream or probe last spoke */
};

/* --- changes to the caller -------------------------------------------------- */

static bool s_closing(etcd_watch_t *watch)
{
    etcd_watcher_t *self = ((etcd_t *)watch->base.meta)->watcher;
    pthread_mutex_lock(&self->lock);
    bool closing = watch->closing || self->stopping;
    pthread_mutex_unlock(&self->lock);
    return closing;
}

static err_t s_hand_on_list(ctx_t *ctx, etcd_watch_t *watch, const meta_items_t *items)
{
    meta_change_t *changes = ctx_try(ctx, (items->n + 2) * sizeof *changes);
    if (!changes)
        return ctx_fail(ctx, ERR_MEMORY, "no memory to list %zu keys for a watch", items->n);
    changes[0].kind = META_WATCH_RESET;
    for (size_t i = 0; i < items->n; i++)
        changes[i + 1] = (meta_change_t){ META_WATCH_PUT, items->at[i] };
    changes[items->n + 1].kind = META_WATCH_SYNCED;
    changes[items->n + 1].item.mod_rev = items->rev;
    if (!s_closing(watch))
        watch->base.fn(watch->base.arg, changes, items->n + 2);
    return OK;
}

/* One message's events.  Those below next_rev were handed on already. */
static err_t s_hand_on_events(ctx_t *ctx, etcd_watch_t *watch, json_t *events)
{
    const etcd_t *etcd = (const etcd_t *)watch->base.meta;
    meta_change_t *changes = ctx_try(ctx, (json_array_size(events) + 1) * sizeof *changes);
    if (!changes)
        return ctx_fail(ctx, ERR_MEMORY, "no memory for the events of a watch");
    size_t i, n = 0;
    json_t *event;
    int64_t last = 0;
    json_array_foreach(events, i, event) {
        meta_change_t *change = &changes[n];
        TRY(etcd_read_item(ctx, json_object_get(event, "kv"), strlen(etcd->root), &change->item));
        bool gone = strcmp(etcd_text(event, "type"), "DELETE") == 0;
        change->kind = gone ? META_WATCH_DELETE : META_WATCH_PUT;
        n += change->item.mod_rev >= watch->next_rev;
        last = change->item.mod_rev > last ? change->item.mod_rev : last;
    }
    if (n && !s_closing(watch))
        watch->base.fn(watch->base.arg, changes, n);
    watch->next_rev = last >= watch->next_rev ? last + 1 : watch->next_rev;
    return OK;
}

/* --- what comes down a stream ----------------------------------------------- */

static void s_later(etcd_watch_t *watch)
{
    watch->pause_ms = watch->pause_ms ? watch->pause_ms * 2 : PAUSE_FIRST_MS;
    watch->pause_ms = watch->pause_ms > PAUSE_MOST_MS ? PAUSE_MOST_MS : watch->pause_ms;
    watch->due_ms = clock_mono_ms() + watch->pause_ms;
}

static void s_cancelled(etcd_watch_t *watch, const json_t *result)
{
    etcd_t *etcd = (etcd_t *)watch->base.meta;
    const char *why = etcd_text(result, "cancel_reason");
    log_event(LOG_DEBUG, "meta_watch_cancelled", "prefix=\"%s\" compacted=%lld why=\"%s\"",
              watch->base.prefix, (long long)etcd_int(result, "compact_revision"), why);
    if (etcd_int(result, "compact_revision") > 0)
        watch->listed = false;
    if (strstr(why, "auth token") || strstr(why, "user name is empty"))
        etcd_http_forget_token(etcd->http);
    watch->broken = true;
}

static err_t s_on_result(ctx_t *ctx, etcd_watch_t *watch, const json_t *result)
{
    int64_t rev = etcd_int(json_object_get(result, "header"), "revision");
    if (json_is_true(json_object_get(result, "canceled"))) {
        s_cancelled(watch, result);
        return OK;
    }
    if (json_is_true(json_object_get(result, "created"))) {
        watch->confirmed = true;
        watch->pause_ms = 0;
        if (rev < watch->next_rev - 1) {        /* restored from a backup, or replaced */
            watch->listed = false;
            watch->broken = true;
        }
        return OK;
    }
    json_t *events = json_object_get(result, "events");
    if (json_array_size(events) > 0)
        return s_hand_on_events(ctx, watch, events);
    if (watch->confirmed && rev >= watch->next_rev)
        watch->next_rev = rev + 1;              /* a progress notice */
    return OK;
}

static void s_on_line(etcd_watch_t *watch, const char *line, size_t len)
{
    json_auto_t *message = json_loadb(line, len, 0, NULL);
    const json_t *result = json_object_get(message, "result");
    ctx_t ctx;
    ctx_init(&ctx);
    err_t err = result ? s_on_result(&ctx, watch, result)
                       : ctx_fail(&ctx, ERR_MALFORMED, "%.*s", len > 200 ? 200 : (int)len, line);
    if (err != OK) {
        log_event(LOG_DEBUG, "meta_watch_broken", "why=\"%s\"", ctx.text);
        watch->broken = true;
    }
    ctx_fini(&ctx);
}

static size_t s_on_bytes(char *ptr, size_t size, size_t n, void *arg)
{
    etcd_watch_t *watch = arg;
    etcd_watcher_t *self = ((etcd_t *)watch->base.meta)->watcher;
    watch->heard_ms = self->heard_ms = clock_mono_ms();
    size_t searched = watch->line.len;
    buf_add(&watch->line, ptr, size * n);
    if (!buf_ok(&watch->line)) {
        watch->listed = false;          /* too far behind to catch up: start over */
        return 0;
    }
    size_t start = 0;
    const uint8_t *end;
    while (!watch->broken && (end = memchr(watch->line.ptr + searched, '\n',
                                           watch->line.len - searched)) != NULL) {
        size_t at = (size_t)(end - watch->line.ptr);
        if (at > start)
            s_on_line(watch, (const char *)watch->line.ptr + start, at - start);
        start = searched = at + 1;
    }
    buf_consume(&watch->line, start);
    return watch->broken ? 0 : size * n;
}

/* --- streams ---------------------------------------------------------------- */

static void s_close_stream(etcd_watcher_t *self, etcd_watch_t *watch)
{
    if (!watch->curl)
        return;
    curl_multi_remove_handle(self->multi, watch->curl);
    curl_easy_cleanup(watch->curl);
    curl_slist_free_all(watch->headers);
    watch->curl = NULL;
    watch->headers = NULL;
    buf_fini(&watch->line);
    buf_init(&watch->line, LIMIT_META_ANSWER_BYTES);
}

static void s_open_stream(ctx_t *ctx, etcd_watcher_t *self, etcd_watch_t *watch)
{
    buf_reset(&watch->body);
    buf_add_str(&watch->body, "{\"create_request\":{");
    etcd_add_range(&watch->body, self->etcd->root, watch->base.prefix, true);
    buf_addf(&watch->body, ",\"start_revision\":\"%lld\",\"progress_notify\":true}}",
             (long long)watch->next_rev);
    watch->endpoint = etcd_http_endpoint(self->etcd->http);
    CURL *curl = curl_easy_init();
    if (!curl || !buf_ok(&watch->body) ||
        etcd_http_prepare(ctx, self->etcd->http, curl, "/v3/watch", &watch->body,
                          &watch->headers) != OK) {
        curl_easy_cleanup(curl);
        s_later(watch);
        return;
    }
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, s_on_bytes);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, watch);
    curl_easy_setopt(curl, CURLOPT_PRIVATE, watch);
    watch->curl = curl;
    watch->confirmed = watch->broken = false;
    watch->heard_ms = clock_mono_ms();
    curl_multi_add_handle(self->multi, curl);
}

/* What the thread does for a watch that has no stream. */
static void s_begin(etcd_watcher_t *self, etcd_watch_t *watch)
{
    ctx_t ctx;
    ctx_init(&ctx);
    ctx_limit_ms(&ctx, LIST_MS);
    pthread_mutex_lock(&self->lock);
    bool wanted = !watch->closing && !self->stopping;
    self->listing = wanted ? &ctx : NULL;
    self->listing_for = watch;
    pthread_mutex_unlock(&self->lock);
    if (wanted && !watch->listed) {
        meta_items_t items = {0};
        err_t err = etcd_list(&ctx, self->etcd, watch->base.prefix, &items);
        if (err == OK)
            err = s_hand_on_list(&ctx, watch, &items);
        watch->listed = err == OK;
        watch->next_rev = items.rev + 1;
        if (err != OK) {
            log_event(LOG_DEBUG, "meta_watch_list_failed", "why=\"%s\"", ctx.text);
            s_later(watch);
        }
    }
    if (wanted && watch->listed)
        s_open_stream(&ctx, self, watch);
    pthread_mutex_lock(&self->lock);
    self->listing = NULL;
    pthread_mutex_unlock(&self->lock);
    ctx_fini(&ctx);
}

static bool s_is_silent(const etcd_watch_t *watch, int64_t now)
{
    return now - watch->heard_ms > (watch->confirmed ? SILENT_MS : STARTS_MS);
}

/* Close what is broken, silent or on an endpoint that failed elsewhere. */
static void s_tend(etcd_watcher_t *self, etcd_watch_t *watch)
{
    int64_t now = clock_mono_ms();
    if (watch->curl) {
        bool silent = s_is_silent(watch, now);
        if (silent)
            etcd_http_rotate(self->etcd->http, watch->endpoint);
        bool moved = watch->endpoint != etcd_http_endpoint(self->etcd->http);
        if (watch->broken || silent || moved) {
            s_close_stream(self, watch);
            s_later(watch);
        }
    }
    if (!watch->curl && now >= watch->due_ms)
        s_begin(self, watch);
}

static void s_read_messages(etcd_watcher_t *self)
{
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(self->multi, &left)) != NULL) {
        if (message->msg != CURLMSG_DONE)
            continue;
        etcd_watch_t *watch = NULL;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&watch);
        log_event(LOG_DEBUG, "meta_watch_ended", "prefix=\"%s\" why=\"%s\"", watch->base.prefix,
                  curl_easy_strerror(message->data.result));
        if (!watch->broken)
            etcd_http_rotate(self->etcd->http, watch->endpoint);
        watch->broken = true;
    }
}

/* Nothing heard for a while: is etcd still there? */
static void s_probe(etcd_watcher_t *self, etcd_watch_t *first)
{
    bool streaming = false;
    for (etcd_watch_t *watch = first; watch; watch = watch->next)
        streaming |= watch->curl != NULL;
    int64_t now = clock_mono_ms();
    if (!streaming || now - self->heard_ms < PROBE_MS)
        return;
    ctx_t ctx;
    ctx_init(&ctx);
    err_t err = etcd_probe(&ctx, self->etcd);
    if (err == ERR_NETWORK || err == ERR_OUTCOME_UNKNOWN) {
        log_event(LOG_DEBUG, "meta_watch_probe_failed", "why=\"%s\"", ctx.text);
        for (etcd_watch_t *watch = first; watch; watch = watch->next)
            watch->broken = true;
    }
    self->heard_ms = clock_mono_ms();
    ctx_fini(&ctx);
}

/* --- the thread ------------------------------------------------------------- */

/* Unlink what is closing and tell those who wait.  Returns the first watch;
 * later ones are reached by `next`, which only this thread changes. */
static etcd_watch_t *s_sweep(etcd_watcher_t *self)
{
    pthread_mutex_lock(&self->lock);
    for (etcd_watch_t **at = &self->watches; *at; ) {
        etcd_watch_t *watch = *at;
        if (!watch->closing) {
            at = &watch->next;
            continue;
        }
        *at = watch->next;
        self->n_watches--;
        s_close_stream(self, watch);
        watch->gone = true;
        pthread_cond_broadcast(&self->gone);
    }
    etcd_watch_t *first = self->watches;
    pthread_mutex_unlock(&self->lock);
    return first;
}

static int s_sleep_ms(const etcd_watcher_t *self, const etcd_watch_t *first)
{
    int64_t now = clock_mono_ms(), due = first ? self->heard_ms + PROBE_MS : now + SILENT_MS;
    for (const etcd_watch_t *watch = first; watch; watch = watch->next) {
        int64_t own = !watch->curl ? watch->due_ms
                    : watch->broken ? now
                    : watch->heard_ms + (watch->confirmed ? SILENT_MS : STARTS_MS) + 1;
        due = own < due ? own : due;
    }
    return due > now ? (int)(due - now) : 0;
}

static void *s_main(void *arg)
{
    etcd_watcher_t *self = arg;
    pthread_setname_np(pthread_self(), "meta-watch");
    self->heard_ms = clock_mono_ms();
    for (;;) {
        etcd_watch_t *first = s_sweep(self);
        pthread_mutex_lock(&self->lock);
        bool stopping = self->stopping;
        pthread_mutex_unlock(&self->lock);
        if (stopping)
            return NULL;
        for (etcd_watch_t *watch = first; watch; watch = watch->next)
            s_tend(self, watch);
        int running;
        curl_multi_perform(self->multi, &running);
        s_read_messages(self);
        s_probe(self, first);
        curl_multi_poll(self->multi, NULL, 0, s_sleep_ms(self, first), NULL);
    }
}

/* Signals are for the main thread. */
static void s_start(etcd_watcher_t *self)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    check(pthread_create(&self->thread, NULL, s_main, self) == 0);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    self->started = true;
}

etcd_watcher_t *etcd_watcher_new(etcd_t *etcd)
{
    etcd_watcher_t *self = mem_new(sizeof *self);
    self->etcd = etcd;
    pthread_mutex_init(&self->lock, NULL);
    pthread_cond_init(&self->gone, NULL);
    return self;
}

static void s_free_watch(etcd_watch_t *watch)
{
    buf_fini(&watch->body);
    buf_fini(&watch->line);
    mem_free(watch->base.prefix);
    mem_free(watch);
}

void etcd_watcher_destroy(etcd_watcher_t **self_p)
{
    etcd_watcher_t *self = *self_p;
    pthread_mutex_lock(&self->lock);
    self->stopping = true;
    if (self->listing)
        ctx_cancel(self->listing);
    if (self->started)
        curl_multi_wakeup(self->multi);
    pthread_mutex_unlock(&self->lock);
    if (self->started)
        pthread_join(self->thread, NULL);
    while (self->watches) {
        etcd_watch_t *watch = self->watches;
        self->watches = watch->next;
        s_close_stream(self, watch);
        s_free_watch(watch);
    }
    if (self->multi)
        curl_multi_cleanup(self->multi);
    pthread_cond_destroy(&self->gone);
    pthread_mutex_destroy(&self->lock);
    mem_free(self);
    *self_p = NULL;
}

err_t etcd_watch(ctx_t *ctx, etcd_t *etcd, const char *prefix,
                 meta_watch_fn *fn, void *arg, meta_watch_t **ret)
{
    etcd_watcher_t *self = etcd->watcher;
    etcd_watch_t *watch = mem_new(sizeof *watch);
    watch->base = (meta_watch_t){ &etcd->base, mem_strdup(prefix), fn, arg };
    buf_init(&watch->body, 0);
    buf_init(&watch->line, LIMIT_META_ANSWER_BYTES);
    pthread_mutex_lock(&self->lock);
    bool full = self->n_watches >= LIMIT_META_WATCHES;
    if (!full) {
        watch->next = self->watches;
        self->watches = watch;
        self->n_watches++;
        if (!self->multi)
            self->multi = curl_multi_init();
        check(self->multi != NULL);
        if (!self->started)
            s_start(self);
        *ret = &watch->base;
        curl_multi_wakeup(self->multi);
    }
    pthread_mutex_unlock(&self->lock);
    if (!full)
        return OK;
    s_free_watch(watch);
    return ctx_fail(ctx, ERR_PARAM_TOO_LARGE, "more than %d metadata watches", LIMIT_META_WATCHES);
}

void etcd_unwatch(meta_watch_t *base)
{
    etcd_watch_t *watch = (etcd_watch_t *)base;
    etcd_watcher_t *self = ((etcd_t *)base->meta)->watcher;
    pthread_mutex_lock(&self->lock);
    check(!pthread_equal(pthread_self(), self->thread));
    watch->closing = true;
    if (self->listing && self->listing_for == watch)
        ctx_cancel(self->listing);
    curl_multi_wakeup(self->multi);
    while (!watch->gone)
        pthread_cond_wait(&self->gone, &self->lock);
    pthread_mutex_unlock(&self->lock);
    s_free_watch(watch);
}
