/* store - the part that all drivers share: keys, limits, checksums, patience
 *
 * A call is made again when the driver says ERR_STORE and the driver is remote:
 * after 20 ms, 40 ms, … 1 s, each shortened by a random part of up to half, so
 * that a herd of nodes does not come back in step.  Every call is safe to
 * repeat: puts carry the same bytes, keys are never reused, the rest reads or
 * deletes.  A local disk is not asked again: what fails there is news.
 *
 * Bytes that do not match their checksum are read LIMIT_STORE_READS times in
 * all, because most damage happens on the way; only then is the object corrupt.
 */
#include "core/store/store.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/limits.h"
#include "core/base/log.h"
#include "core/base/rng.h"
#include "core/store/copies.h"
#include "core/store/footer.h"
#include "core/store/store_int.h"

enum { FIRST_WAIT_MS = 20, MOST_WAIT_MS = 1000, NAP_MS = 50 };

store_t *store_new(const store_driver_t *driver, void *impl)
{
    store_t *self = mem_new(sizeof *self);
    self->driver = driver;
    self->impl = impl;
    self->footers = footer_cache_new(LIMIT_STORE_FOOTERS_BYTES);
    return self;
}

void store_count(store_t *self, metrics_t *to)
{
    store_meter_init(&self->meter, to);
}

void store_destroy(store_t **self_p)
{
    store_t *self = *self_p;
    if (!self)
        return;
    self->driver->destroy(self->impl);
    footer_cache_destroy(&self->footers);
    mem_free(self);
    *self_p = NULL;
}

/* --- keys -------------------------------------------------------------------- */

static bool s_char_ok(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '.' || c == '_' || c == '=' || c == '-';
}

static bool s_part_ok(const char *part, size_t len)
{
    if (len == 0 || len > LIMIT_STORE_KEY_PART_BYTES)
        return false;
    if (part[0] == '.' && (len == 1 || (len == 2 && part[1] == '.')))
        return false;
    for (size_t i = 0; i < len; i++)
        if (!s_char_ok(part[i]))
            return false;
    return true;
}

bool store_key_ok(const char *key)
{
    if (strlen(key) > LIMIT_STORE_KEY_BYTES)
        return false;
    for (;;) {
        size_t len = strcspn(key, "/");
        if (!s_part_ok(key, len))
            return false;
        if (key[len] == '\0')
            return true;
        key += len + 1;
    }
}

/* A prefix may also be empty or end in "/". */
static bool s_prefix_ok(const char *prefix)
{
    size_t len = strlen(prefix);
    if (len == 0)
        return true;
    if (len > LIMIT_STORE_KEY_BYTES)
        return false;
    char whole[LIMIT_STORE_KEY_BYTES + 2];
    snprintf(whole, sizeof whole, "%s%s", prefix, prefix[len - 1] == '/' ? "x" : "");
    return store_key_ok(whole);
}

static err_t s_check_key(ctx_t *ctx, const char *key)
{
    if (store_key_ok(key))
        return OK;
    return ctx_fail(ctx, ERR_PARAM_INVALID, "store key \"%.80s\": want 1..%d of [A-Za-z0-9._/=-], "
                    "parts of 1..%d, none \".\" or \"..\"", key, LIMIT_STORE_KEY_BYTES,
                    LIMIT_STORE_KEY_PART_BYTES);
}

/* --- one call, made until it is decided ---------------------------------------- */

typedef enum { CALL_PUT, CALL_GET, CALL_HEAD, CALL_LIST, CALL_DELETE } call_kind_t;

typedef struct call {
    store_t *store;
    call_kind_t kind;
    const char *key;                /* LIST: the prefix */
    store_parts_t parts;            /* PUT */
    uint64_t offset, len;           /* GET */
    store_sink_t sink;              /* GET: out */
    uint64_t object_len;            /* HEAD: out */
    const char *after;              /* LIST */
    size_t most;
    store_list_t list;              /* out */
} call_t;

/* As Milvus's metrics call it. */
static const char *s_meter_name(call_kind_t kind)
{
    static const char *const names[] = {
        [CALL_PUT] = "put", [CALL_GET] = "get", [CALL_HEAD] = "stat", [CALL_LIST] = "walk",
        [CALL_DELETE] = "remove",
    };
    return names[kind];
}

static const char *s_kind_name(call_kind_t kind)
{
    static const char *const names[] = {
        [CALL_PUT] = "put", [CALL_GET] = "get", [CALL_HEAD] = "head", [CALL_LIST] = "list",
        [CALL_DELETE] = "delete",
    };
    return names[kind];
}

static err_t s_drive(ctx_t *ctx, call_t *call)
{
    const store_driver_t *driver = call->store->driver;
    void *impl = call->store->impl;
    switch (call->kind) {
    case CALL_PUT:
        return driver->put(ctx, impl, call->key, &call->parts);
    case CALL_GET:
        return driver->get(ctx, impl, call->key, call->offset, call->len, &call->sink);
    case CALL_HEAD:
        return driver->head(ctx, impl, call->key, &call->object_len);
    case CALL_LIST:
        call->list.n = 0;
        call->list.more = false;
        return driver->list(ctx, impl, call->key, call->after, call->most, &call->list);
    case CALL_DELETE:
        return driver->remove(ctx, impl, call->key);
    }
    check(!"a kind of call");
    return ERR_INTERNAL;
}

static err_t s_call_once(ctx_t *ctx, void *arg)
{
    call_t *call = arg;
    const store_meter_t *meter = &call->store->meter;
    int64_t began_us = metrics_began(meter->to);
    err_t err = s_drive(ctx, call);
    uint64_t bytes = call->kind == CALL_PUT ? store_parts_len(&call->parts) : call->sink.len;
    store_meter_count(meter, s_meter_name(call->kind), began_us, err, bytes);
    return err;
}

/* 20 ms doubling to 1 s, less a random part of up to half. */
static int64_t s_wait_ms(int tries)
{
    int64_t full = tries < 7 ? (int64_t)FIRST_WAIT_MS << (tries - 1) : MOST_WAIT_MS;
    if (full > MOST_WAIT_MS)
        full = MOST_WAIT_MS;
    return full - (int64_t)(rng_from_os() % (uint64_t)(full / 2));
}

/* Sleep, in naps, because a cancelled errand should not wait for a second. */
static void s_sleep(ctx_t *ctx, int64_t ms)
{
    int64_t until = clock_mono_ms() + ms;
    for (int64_t now = clock_mono_ms(); now < until; now = clock_mono_ms()) {
        if (atomic_load_explicit(&ctx->cancelled, memory_order_relaxed))
            return;
        clock_sleep_ms(until - now < NAP_MS ? until - now : NAP_MS);
    }
}

/* Wait before the next try; false when there is no time for one. */
static bool s_again(ctx_t *ctx, const char *what, const char *key, int tries)
{
    if (ctx->deadline_ms == INT64_MAX && tries >= LIMIT_STORE_TRIES)
        return false;
    int64_t wait_ms = s_wait_ms(tries);
    if (ctx_left_ms(ctx) <= wait_ms)
        return false;
    log_event(LOG_DEBUG, "store_retry", "op=%s key=%s tries=%d wait_ms=%lld why=\"%s\"",
              what, key, tries, (long long)wait_ms, ctx->text);
    s_sleep(ctx, wait_ms);
    return true;
}

err_t store_retry(ctx_t *ctx, const char *what, const char *key,
                  err_t (*once)(ctx_t *ctx, void *arg), void *arg)
{
    int tries = 0;
    err_t err = OK;
    do {
        TRY(ctx_alive(ctx));
        err = once(ctx, arg);
        tries++;
    } while (err == ERR_STORE && s_again(ctx, what, key, tries));
    if ((err == ERR_STORE || err == ERR_TIMEOUT) && tries > 1)
        return ctx_prefix(ctx, "gave up after %d tries", tries);
    return err;
}

static err_t s_run(ctx_t *ctx, store_t *self, call_t *call)
{
    call->store = self;
    if (self->driver->remote)
        return store_retry(ctx, s_kind_name(call->kind), call->key, s_call_once, call);
    TRY(ctx_alive(ctx));
    return s_call_once(ctx, call);
}

/* --- put, head, list, delete ----------------------------------------------------- */

err_t store_put(ctx_t *ctx, store_t *store, const char *key, view_t body)
{
    TRY(s_check_key(ctx, key));
    if (body.len > LIMIT_STORE_OBJECT_BYTES)
        return ctx_fail(ctx, ERR_PARAM_TOO_LARGE, "object %s has %zu bytes, at most %llu fit",
                        key, body.len, LIMIT_STORE_OBJECT_BYTES);
    call_t call = { .kind = CALL_PUT, .key = key, .parts.at[0] = body };
    TRY(footer_make(ctx, key, body, &call.parts.at[1]));
    return s_run(ctx, store, &call);
}

static err_t s_object_len(ctx_t *ctx, store_t *store, const char *key, uint64_t *ret_object_len,
                          uint64_t *ret_body_len)
{
    call_t call = { .kind = CALL_HEAD, .key = key };
    TRY(s_run(ctx, store, &call));
    if (!footer_body_len(call.object_len, ret_body_len))
        return ctx_fail(ctx, ERR_CORRUPT, "object %s is damaged: it has %llu bytes, no object has "
                        "this size", key, (unsigned long long)call.object_len);
    *ret_object_len = call.object_len;
    return OK;
}

err_t store_head(ctx_t *ctx, store_t *store, const char *key, uint64_t *ret_len)
{
    TRY(s_check_key(ctx, key));
    uint64_t object_len = 0;
    return s_object_len(ctx, store, key, &object_len, ret_len);
}

bool store_list_add(ctx_t *ctx, store_list_t *list, size_t most, const char *key,
                    uint64_t object_len)
{
    if (!store_key_ok(key))
        return true;
    if (list->n == most) {
        list->more = true;
        return false;
    }
    uint64_t len = STORE_LEN_UNKNOWN;
    if (!footer_body_len(object_len, &len))
        len = STORE_LEN_UNKNOWN;
    list->at[list->n++] = (store_object_t){ .key = ctx_strdup(ctx, key), .len_bytes = len };
    return true;
}

err_t store_list(ctx_t *ctx, store_t *store, const char *prefix, const char *after,
                 size_t most, store_list_t *ret)
{
    check(most >= 1 && most <= LIMIT_STORE_LIST);
    if (!s_prefix_ok(prefix))
        return ctx_fail(ctx, ERR_PARAM_INVALID, "store prefix \"%.80s\" cannot begin a key",
                        prefix);
    if (after && *after)
        TRY(s_check_key(ctx, after));
    /* Drivers only see an `after` below the prefix: MinIO refuses any other. */
    int order = after ? strcmp(after, prefix) : -1;
    bool inside = after && strncmp(after, prefix, strlen(prefix)) == 0;
    if (!inside && order > 0) {
        *ret = (store_list_t){0};
        return OK;
    }
    call_t call = { .kind = CALL_LIST, .key = prefix, .after = inside ? after : "", .most = most };
    call.list.at = ctx_try(ctx, most * sizeof call.list.at[0]);
    if (!call.list.at)
        return ctx_fail(ctx, ERR_MEMORY, "no memory for a list of %zu objects", most);
    TRY(s_run(ctx, store, &call));
    *ret = call.list;
    return OK;
}

err_t store_delete(ctx_t *ctx, store_t *store, const char *key)
{
    TRY(s_check_key(ctx, key));
    footer_cache_drop(store->footers, key);
    call_t call = { .kind = CALL_DELETE, .key = key };
    return s_run(ctx, store, &call);
}

/* --- get -------------------------------------------------------------------------- */

err_t store_sink_open(ctx_t *ctx, store_sink_t *sink, const char *key, uint64_t len)
{
    if (len > LIMIT_STORE_OBJECT_BYTES + footer_len(LIMIT_STORE_OBJECT_BYTES))
        return ctx_fail(ctx, ERR_CORRUPT, "object %s is damaged: it has %llu bytes, no object has "
                        "this size", key, (unsigned long long)len);
    sink->len = 0;
    if (len <= sink->cap && sink->ptr)
        return OK;
    sink->ptr = ctx_try(ctx, len);
    sink->cap = sink->ptr ? len : 0;
    if (!sink->ptr)
        return ctx_fail(ctx, ERR_MEMORY, "no memory to read %llu bytes of %s",
                        (unsigned long long)len, key);
    return OK;
}

/* Check a whole object.  NULL when all is well, else what is wrong. */
static const char *s_whole_wrong(ctx_t *ctx, const char *key, view_t object, view_t *ret_body)
{
    uint64_t body_len = 0;
    if (!footer_body_len(object.len, &body_len))
        return ctx_printf(ctx, "%zu bytes, no object has this size", object.len);
    footer_t footer;
    view_t bytes = view_of(object.ptr + body_len, object.len - body_len);
    const char *wrong = footer_parse(key, bytes, object.len, &footer);
    if (wrong)
        return wrong;
    uint32_t bad = 0;
    view_t body = view_of(object.ptr, body_len);
    if (!footer_matches(&footer, 0, body, &bad))
        return ctx_printf(ctx, "checksum of the 64 KiB at %llu",
                          (unsigned long long)bad * FOOTER_BLOCK_BYTES);
    *ret_body = body;
    return NULL;
}

static err_t s_corrupt(ctx_t *ctx, const char *key, const char *wrong)
{
    return ctx_fail(ctx, ERR_CORRUPT, "object %s is damaged: %s, in %d reads", key, wrong,
                    LIMIT_STORE_READS);
}

err_t store_get(ctx_t *ctx, store_t *store, const char *key, view_t *ret)
{
    TRY(s_check_key(ctx, key));
    call_t call = { .kind = CALL_GET, .key = key, .len = STORE_WHOLE };
    const char *wrong = NULL;
    for (int reads = 0; reads < LIMIT_STORE_READS; reads++) {
        TRY(s_run(ctx, store, &call));
        view_t body = {0};
        wrong = s_whole_wrong(ctx, key, view_of(call.sink.ptr, call.sink.len), &body);
        if (!wrong) {
            *ret = body;
            return OK;
        }
        log_event(LOG_DEBUG, "store_mismatch", "key=%s reads=%d why=\"%s\"", key, reads + 1, wrong);
    }
    return s_corrupt(ctx, key, wrong);
}

/* Map the object and verify it; *ret_done false: it has to be read instead. */
static err_t s_map(ctx_t *ctx, store_t *store, const char *key, store_mapping_t *ret,
                   bool *ret_done)
{
    store_mapping_t m = {0};
    TRY(store->driver->map(ctx, store->impl, key, &m.mapped, &m.mapped_len));
    if (!m.mapped)
        return OK;
    const char *wrong = s_whole_wrong(ctx, key, view_of(m.mapped, m.mapped_len), &m.body);
    if (wrong) {
        log_event(LOG_DEBUG, "store_mismatch", "key=%s mapped why=\"%s\"", key, wrong);
        store_unmap(&m);
        return OK;                              /* reading says it properly */
    }
    *ret = m;
    *ret_done = true;
    return OK;
}

err_t store_map(ctx_t *ctx, store_t *store, const char *key, store_mapping_t *ret)
{
    TRY(s_check_key(ctx, key));
    bool done = false;
    if (store->driver->map)
        TRY(s_map(ctx, store, key, ret, &done));
    if (done)
        return OK;
    ctx_t part;                                 /* its arena is what the mapping keeps */
    ctx_init(&part);
    part.deadline_ms = ctx->deadline_ms;
    part.budget_bytes = ctx->budget_bytes ? ctx->budget_bytes - ctx->spent_bytes : 0;
    view_t body = {0};
    err_t err = store_get(&part, store, key, &body);
    if (err != OK) {
        ctx_fail(ctx, err, "%s", part.text);
        ctx_fini(&part);
        return err;
    }
    *ret = (store_mapping_t){ .body = body, .memory = part.arena };
    return OK;
}

bool store_maps(const store_t *store)
{
    return store->driver->map != NULL;
}

void store_map_file(store_t *store, const char *key, store_mapping_t *mapping)
{
    struct stat st;
    check(mapping->file == 0);
    if (mapping->copy) {
        (void)posix_fadvise(mapping->copy, 0, 0, POSIX_FADV_RANDOM);
        mapping->file = mapping->copy;
        mapping->copy = 0;
        return;
    }
    int file = mapping->mapped && store->driver->file ? store->driver->file(store->impl, key) : -1;
    if (file < 0)
        return;
    if (fstat(file, &st) == 0 && (uint64_t)st.st_size == mapping->mapped_len) {
        (void)posix_fadvise(file, 0, 0, POSIX_FADV_RANDOM);
        mapping->file = file;
    } else {
        close(file);
    }
}

void store_map_cool(const store_mapping_t *mapping)
{
    if (mapping->mapped)
        (void)madvise(mapping->mapped, mapping->mapped_len, MADV_DONTNEED);
}

void store_unmap(store_mapping_t *mapping)
{
    if (mapping->file > 0)
        close(mapping->file);
    if (mapping->copy > 0)
        close(mapping->copy);
    if (mapping->mapped)
        munmap(mapping->mapped, mapping->mapped_len);
    copies_end(&mapping->copies, mapping->mapped_len);
    arena_fini(&mapping->memory);
    *mapping = (store_mapping_t){0};
}

/* The footer of key, from the cache or by two questions; *ret_wrong says what
 * is wrong with it when it came but is not one. */
static err_t s_footer(ctx_t *ctx, store_t *store, const char *key, footer_t *ret,
                      const char **ret_wrong)
{
    view_t bytes = {0};
    uint64_t object_len = 0, body_len = 0;
    bool cached = footer_cache_get(store->footers, ctx, key, &bytes, &object_len);
    if (!cached) {
        TRY(s_object_len(ctx, store, key, &object_len, &body_len));
        call_t call = { .kind = CALL_GET, .key = key, .offset = body_len,
                        .len = footer_len(body_len) };
        TRY(s_run(ctx, store, &call));
        bytes = view_of(call.sink.ptr, call.sink.len);
    }
    *ret_wrong = footer_parse(key, bytes, object_len, ret);
    check(!cached || !*ret_wrong);
    if (!cached && !*ret_wrong)
        footer_cache_put(store->footers, key, bytes, object_len);
    return OK;
}

/* Read the blocks that hold [offset, offset + len), len > 0, and check them. */
static err_t s_read_blocks(ctx_t *ctx, store_t *store, call_t *call, const footer_t *footer,
                           uint64_t offset, size_t len, view_t *ret, const char **ret_wrong)
{
    uint64_t first = offset / FOOTER_BLOCK_BYTES, last = (offset + len - 1) / FOOTER_BLOCK_BYTES;
    uint64_t start = first * FOOTER_BLOCK_BYTES, end = (last + 1) * FOOTER_BLOCK_BYTES;
    if (end > footer->body_len)
        end = footer->body_len;
    call->offset = start;
    call->len = end - start;
    TRY(s_run(ctx, store, call));
    uint32_t bad = 0;
    *ret_wrong = NULL;
    if (!footer_matches(footer, (uint32_t)first, view_of(call->sink.ptr, call->sink.len), &bad))
        *ret_wrong = ctx_printf(ctx, "checksum of the 64 KiB at %llu",
                                (unsigned long long)bad * FOOTER_BLOCK_BYTES);
    else
        *ret = view_of(call->sink.ptr + (offset - start), len);
    return OK;
}

err_t store_get_range(ctx_t *ctx, store_t *store, const char *key,
                      uint64_t offset, size_t len, view_t *ret)
{
    TRY(s_check_key(ctx, key));
    call_t call = { .kind = CALL_GET, .key = key };
    const char *wrong = NULL;
    for (int reads = 0; reads < LIMIT_STORE_READS; reads++) {
        footer_t footer;
        view_t found = view_of("", 0);
        TRY(s_footer(ctx, store, key, &footer, &wrong));
        if (!wrong && (offset > footer.body_len || len > footer.body_len - offset))
            return ctx_fail(ctx, ERR_PARAM_INVALID, "object %s has %llu bytes, no %zu at %llu", key,
                            (unsigned long long)footer.body_len, len, (unsigned long long)offset);
        if (!wrong && len)
            TRY(s_read_blocks(ctx, store, &call, &footer, offset, len, &found, &wrong));
        if (!wrong) {
            *ret = found;
            return OK;
        }
        footer_cache_drop(store->footers, key);
        log_event(LOG_DEBUG, "store_mismatch", "key=%s reads=%d why=\"%s\"", key, reads + 1, wrong);
    }
    return s_corrupt(ctx, key, wrong);
}
