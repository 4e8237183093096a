/* etcd - the driver for etcd v3: reads and leases; see also
 * etcd_txn.c (writes), etcd_watch.c, etcd_http.c (the way there), etcd_json.c.
 *
 * Reads are etcd's default, linearizable range reads.  A list is read in pages
 * pinned to the revision of the first one; when etcd compacts that revision
 * away in between, the list starts over.  A page whose answer would exceed
 * LIMIT_META_ANSWER_BYTES is asked for again with fewer keys.
 *
 * An errand without a deadline gets DEFAULT_MS, so that nothing here can hang.
 */
#include "core/meta/etcd_int.h"

#include "core/base/clock.h"

enum { DEFAULT_MS = 10000, PAGE_KEYS = 1000, CLOSE_MS = 500, PROBE_MS = 2000 };

/* Run a call under a deadline; afterwards ctx has its own again. */
#define BOUNDED(ctx, call) ({ \
    int64_t bounded_ms_ = (ctx)->deadline_ms; \
    if (bounded_ms_ == INT64_MAX) \
        ctx_limit_ms((ctx), DEFAULT_MS); \
    err_t bounded_ = (call); \
    (ctx)->deadline_ms = bounded_ms_; \
    bounded_; })

/* --- reads ------------------------------------------------------------------ */

static err_t s_get(ctx_t *ctx, etcd_t *self, const char *key, meta_item_t *ret)
{
    TRY(etcd_txns_settle(ctx, self));
    buf_scoped body;
    buf_init(&body, 0);
    buf_add_str(&body, "{");
    etcd_add_range(&body, self->root, key, false);
    buf_add_str(&body, "}");
    json_auto_t *answer = NULL;
    TRY(etcd_http_ask(ctx, self->http, "/v3/kv/range", &body, &answer));
    const json_t *kv = json_array_get(json_object_get(answer, "kvs"), 0);
    if (!kv)
        return ctx_fail(ctx, ERR_KEY_NOT_FOUND, "metadata key %s not found", key);
    return etcd_read_item(ctx, kv, strlen(self->root), ret);
}

typedef struct page {
    const char *prefix;
    const char *from;           /* key the page starts at; NULL: the prefix */
    int64_t rev;                /* of the first page; 0 before it */
    size_t keys;
    bool more;
} page_t;

static void s_add_page(buf_t *body, const etcd_t *self, const page_t *page)
{
    buf_add_str(body, "{");
    if (page->from) {
        buf_scoped whole;           /* the range of the prefix, its start replaced */
        buf_init(&whole, 0);
        etcd_add_range(&whole, self->root, page->prefix, true);
        etcd_add_range(body, self->root, page->from, false);
        const char *end = strchr(buf_str(&whole), ',');
        if (end)
            buf_add_str(body, end);
        else
            body->failed = true;
    } else {
        etcd_add_range(body, self->root, page->prefix, true);
    }
    if (page->rev)
        buf_addf(body, ",\"revision\":\"%lld\"", (long long)page->rev);
    buf_addf(body, ",\"limit\":\"%zu\"}", page->keys);
}

/* One page; a first item that repeats the last one of the page before is dropped. */
static err_t s_read_page(ctx_t *ctx, etcd_t *self, page_t *page, meta_items_t *items, size_t *cap)
{
    buf_scoped body;
    buf_init(&body, 0);
    s_add_page(&body, self, page);
    json_auto_t *answer = NULL;
    TRY(etcd_http_ask(ctx, self->http, "/v3/kv/range", &body, &answer));
    if (page->rev == 0)
        page->rev = etcd_int(json_object_get(answer, "header"), "revision");
    json_t *kv;
    size_t i;
    json_array_foreach(json_object_get(answer, "kvs"), i, kv) {
        meta_item_t item = {0};
        TRY(etcd_read_item(ctx, kv, strlen(self->root), &item));
        if (i > 0 || !page->from || strcmp(item.key, page->from) != 0)
            TRY(meta_items_push(ctx, items, cap, &item));
    }
    page->more = json_is_true(json_object_get(answer, "more")) && items->n > 0;
    if (page->more)
        page->from = items->at[items->n - 1].key;
    return OK;
}

static err_t s_list_once(ctx_t *ctx, etcd_t *self, const char *prefix, meta_items_t *ret)
{
    page_t page = { .prefix = prefix, .keys = PAGE_KEYS, .more = true };
    meta_items_t items = {0};
    size_t cap = 0;
    while (page.more) {
        err_t err = s_read_page(ctx, self, &page, &items, &cap);
        if (err == ERR_PARAM_TOO_LARGE && page.keys > 2) {
            ctx_clear(ctx);
            page.keys = page.keys / 4 < 2 ? 2 : page.keys / 4;
            continue;
        }
        TRY(err);
    }
    items.rev = page.rev;
    *ret = items;
    return OK;
}

err_t etcd_list(ctx_t *ctx, etcd_t *self, const char *prefix, meta_items_t *ret)
{
    err_t err;
    while ((err = s_list_once(ctx, self, prefix, ret)) == ERR_CONFLICT) {
        TRY(ctx_alive(ctx));
        ctx_clear(ctx);
    }
    return err;
}

err_t etcd_probe(ctx_t *ctx, etcd_t *self)
{
    buf_scoped body;
    buf_init(&body, 0);
    buf_add_str(&body, "{");
    etcd_add_range(&body, self->root, "", false);
    buf_add_str(&body, ",\"count_only\":true}");
    json_auto_t *answer = NULL;
    int64_t before = ctx->deadline_ms;
    ctx_limit_ms(ctx, PROBE_MS);
    err_t err = etcd_http_try(ctx, self->http, "/v3/kv/range", &body, &answer);
    ctx->deadline_ms = before;
    return err;
}

/* --- leases ----------------------------------------------------------------- */

err_t etcd_grant(ctx_t *ctx, etcd_t *self, int64_t ttl_s, int64_t *ret_lease)
{
    buf_scoped body;
    buf_init(&body, 0);
    buf_addf(&body, "{\"TTL\":\"%lld\"}", (long long)ttl_s);
    json_auto_t *answer = NULL;
    TRY(etcd_http_ask(ctx, self->http, "/v3/lease/grant", &body, &answer));
    int64_t lease = etcd_int(answer, "ID");
    if (lease == 0)
        return ctx_fail(ctx, ERR_META, "etcd granted no lease: %s", etcd_text(answer, "error"));
    *ret_lease = lease;
    return OK;
}

err_t etcd_keep(ctx_t *ctx, etcd_t *self, int64_t lease)
{
    buf_scoped body;
    buf_init(&body, 0);
    buf_addf(&body, "{\"ID\":\"%lld\"}", (long long)lease);
    json_auto_t *answer = NULL;
    TRY(etcd_http_ask(ctx, self->http, "/v3/lease/keepalive", &body, &answer));
    if (etcd_int(json_object_get(answer, "result"), "TTL") > 0)
        return OK;
    return ctx_fail(ctx, ERR_KEY_NOT_FOUND, "lease %lld is gone", (long long)lease);
}

err_t etcd_revoke(ctx_t *ctx, etcd_t *self, int64_t lease)
{
    buf_scoped body;
    buf_init(&body, 0);
    buf_addf(&body, "{\"ID\":\"%lld\"}", (long long)lease);
    json_auto_t *answer = NULL;
    err_t err = etcd_http_ask(ctx, self->http, "/v3/lease/revoke", &body, &answer);
    if (err == ERR_KEY_NOT_FOUND)
        ctx_clear(ctx);
    return err == ERR_KEY_NOT_FOUND ? OK : err;
}

/* --- the driver ------------------------------------------------------------- */

static etcd_t *s_self(meta_t *meta)
{
    return (etcd_t *)meta;
}

static err_t s_do_get(ctx_t *ctx, meta_t *meta, const char *key, meta_item_t *ret)
{
    return BOUNDED(ctx, s_get(ctx, s_self(meta), key, ret));
}

static err_t s_do_list(ctx_t *ctx, meta_t *meta, const char *prefix, meta_items_t *ret)
{
    err_t err = BOUNDED(ctx, etcd_txns_settle(ctx, s_self(meta)));
    return err != OK ? err : BOUNDED(ctx, etcd_list(ctx, s_self(meta), prefix, ret));
}

static err_t s_do_txn(ctx_t *ctx, meta_t *meta, const meta_txn_t *txn, meta_txn_result_t *ret)
{
    return BOUNDED(ctx, etcd_txn(ctx, s_self(meta), txn, ret));
}

static err_t s_do_grant(ctx_t *ctx, meta_t *meta, int64_t ttl_ms, int64_t *ret_lease)
{
    return BOUNDED(ctx, etcd_grant(ctx, s_self(meta), (ttl_ms + 999) / 1000, ret_lease));
}

static err_t s_do_keep(ctx_t *ctx, meta_t *meta, int64_t lease)
{
    return BOUNDED(ctx, etcd_keep(ctx, s_self(meta), lease));
}

static err_t s_do_revoke(ctx_t *ctx, meta_t *meta, int64_t lease)
{
    return BOUNDED(ctx, etcd_revoke(ctx, s_self(meta), lease));
}

static err_t s_do_watch(ctx_t *ctx, meta_t *meta, const char *prefix,
                        meta_watch_fn *fn, void *arg, meta_watch_t **ret)
{
    return etcd_watch(ctx, s_self(meta), prefix, fn, arg, ret);
}

static void s_do_destroy(meta_t *meta)
{
    etcd_t *self = s_self(meta);
    etcd_watcher_destroy(&self->watcher);
    ctx_t ctx;
    ctx_init(&ctx);
    ctx_limit_ms(&ctx, CLOSE_MS);
    if (self->txns)
        etcd_txns_destroy(&ctx, self);
    ctx_fini(&ctx);
    etcd_http_destroy(&self->http);
    mem_free(self->root);
    mem_free(self);
}

static const meta_driver_t s_driver = {
    s_do_get, s_do_list, s_do_txn, s_do_grant, s_do_keep, s_do_revoke,
    s_do_watch, etcd_unwatch, s_do_destroy,
};

/* The root without slashes around it; it must not be empty, or two clusters
 * in one etcd would see each other's keys. */
static err_t s_set_root(ctx_t *ctx, etcd_t *self, const char *root)
{
    root = root ? root : "";
    root += strspn(root, "/");
    size_t len = strlen(root);
    while (len && root[len - 1] == '/')
        len--;
    if (len == 0 || len > 255)
        return ctx_fail(ctx, ERR_CONFIG, "etcd.rootPath: \"%s\" must have 1 to 255 bytes", root);
    const char *name = ctx_printf(ctx, "%.*s", (int)len, root);
    self->root = mem_strdup(ctx_printf(ctx, "%s/meta/", name));
    self->txns = etcd_txns_new(name);
    return OK;
}

/* The first question: it finds out about addresses, passwords and permissions. */
static err_t s_greet(ctx_t *ctx, etcd_t *self)
{
    int64_t pause_ms = 0;
    err_t err;
    while ((err = etcd_probe(ctx, self)) == ERR_NETWORK || err == ERR_OUTCOME_UNKNOWN)
        if (!etcd_http_pause(ctx, self->http, &pause_ms))
            return etcd_http_give_up(ctx, self->http, err);
    return err;
}

err_t meta_etcd_open(ctx_t *ctx, const meta_etcd_options_t *options, meta_t **ret)
{
    etcd_t *self = mem_new(sizeof *self);
    self->base.driver = &s_driver;
    self->watcher = etcd_watcher_new(self);
    err_t err = s_set_root(ctx, self, options->root);
    if (err == OK)
        err = etcd_http_new(ctx, options, &self->http);
    if (err == OK)
        err = BOUNDED(ctx, s_greet(ctx, self));
    if (err == OK)
        *ret = &self->base;
    else
        s_do_destroy(&self->base);
    return err;
}
