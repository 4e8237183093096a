/* meta - arguments and limits, the same for every driver */
#include "core/meta/meta_int.h"

#include "core/base/limits.h"

static err_t s_check_key(ctx_t *ctx, const char *key, bool is_prefix)
{
    check(key != NULL);
    size_t len = strlen(key);
    if (len == 0 && !is_prefix)
        return ctx_fail(ctx, ERR_PARAM_INVALID, "metadata key is empty");
    if (len >= LIMIT_META_KEY_BYTES)
        return ctx_fail(ctx, ERR_PARAM_TOO_LARGE, "metadata key %.40s... has %zu bytes, at most %d",
                        key, len, LIMIT_META_KEY_BYTES - 1);
    return OK;
}

/* Do two writes of one transaction touch the same key? */
static bool s_overlap(const meta_op_t *a, const meta_op_t *b)
{
    view_t ka = view_str(a->key), kb = view_str(b->key);
    return view_eq(ka, kb) || (a->kind == META_DELETE_PREFIX && view_starts(kb, ka)) ||
           (b->kind == META_DELETE_PREFIX && view_starts(ka, kb));
}

static err_t s_check_op(ctx_t *ctx, const meta_txn_t *txn, size_t at)
{
    const meta_op_t *op = &txn->ops[at];
    TRY(s_check_key(ctx, op->key, op->kind == META_DELETE_PREFIX));
    if (op->value.len > LIMIT_META_VALUE_BYTES)
        return ctx_fail(ctx, ERR_PARAM_TOO_LARGE, "metadata value of %s has %zu bytes, at most %u",
                        op->key, op->value.len, LIMIT_META_VALUE_BYTES);
    for (size_t i = 0; i < at; i++)
        if (s_overlap(&txn->ops[i], op))
            return ctx_fail(ctx, ERR_PARAM_INVALID, "metadata key %s twice in one transaction",
                            op->key);
    return OK;
}

static err_t s_check_cmp(ctx_t *ctx, const meta_cmp_t *cmp)
{
    TRY(s_check_key(ctx, cmp->key, false));
    bool by_rev = cmp->kind == META_IF_MOD_REV || cmp->kind == META_IF_CREATE_REV;
    if (by_rev && cmp->rev <= 0)
        return ctx_fail(ctx, ERR_PARAM_INVALID,
                        "metadata key %s compared with revision %lld; absence is META_IF_ABSENT",
                        cmp->key, (long long)cmp->rev);
    return OK;
}

static err_t s_check_txn(ctx_t *ctx, const meta_txn_t *txn)
{
    size_t n = txn->n_cmps + txn->n_ops, bytes = 0;
    if (n == 0)
        return ctx_fail(ctx, ERR_PARAM_INVALID, "empty metadata transaction");
    if (n > LIMIT_META_TXN_OPS)
        return ctx_fail(ctx, ERR_PARAM_TOO_LARGE,
                        "metadata transaction with %zu compares and writes, at most %d",
                        n, LIMIT_META_TXN_OPS);
    for (size_t i = 0; i < txn->n_cmps; i++) {
        TRY(s_check_cmp(ctx, &txn->cmps[i]));
        bytes += strlen(txn->cmps[i].key) + txn->cmps[i].value.len;
    }
    for (size_t i = 0; i < txn->n_ops; i++) {
        TRY(s_check_op(ctx, txn, i));
        bytes += strlen(txn->ops[i].key) + txn->ops[i].value.len;
    }
    if (bytes > LIMIT_META_TXN_BYTES)
        return ctx_fail(ctx, ERR_PARAM_TOO_LARGE, "metadata transaction of %zu bytes, at most %u",
                        bytes, LIMIT_META_TXN_BYTES);
    return OK;
}

/* --- counting, by Milvus's names ------------------------------------------------------ */

static const double s_sizes[] = { 1e2, 1e3, 1e4, 1e5, 1e6, 1e7 };

void meta_count(meta_t *self, metrics_t *to)
{
    self->metrics = to;
    self->ops = metrics_counter(to, "milvus_meta_op_count",
        "operations on the metadata and how they ended; status total is all of them",
        "meta_op_type,status");
    self->latency = metrics_histogram(to, "milvus_meta_request_latency",
        "of one operation, in ms", "meta_op_type", metrics_latency_ms, METRICS_LATENCY_N);
    self->sizes = metrics_histogram(to, "milvus_meta_kv_size",
        "bytes of values read, and of those that a transaction carries", "meta_op_type", s_sizes,
        ARRAY_LEN(s_sizes));
}

/* "There is no such key" is an answer and no failure. */
static err_t s_counted(meta_t *meta, const char *what, int64_t began_us, err_t err, size_t bytes)
{
    bool good = err == OK || err == ERR_KEY_NOT_FOUND;
    if (!meta->metrics)
        return err;
    (void)metrics_took_ms(metrics_cell(meta->latency, what), began_us);
    metrics_add(metrics_cell(meta->ops, what, "total"), 1);
    metrics_add(metrics_cell(meta->ops, what, good ? "success" : "fail"), 1);
    if (err == OK && bytes)
        metrics_observe(metrics_cell(meta->sizes, what), (double)bytes);
    return err;
}

static size_t s_list_bytes(const meta_items_t *items)
{
    size_t bytes = 0;
    for (size_t i = 0; i < items->n; i++)
        bytes += items->at[i].value.len;
    return bytes;
}

static size_t s_txn_bytes(const meta_txn_t *txn)
{
    size_t bytes = 0;
    for (size_t i = 0; i < txn->n_ops; i++)
        bytes += txn->ops[i].value.len;
    return bytes;
}

/* --- operations ------------------------------------------------------------------------- */

err_t meta_get(ctx_t *ctx, meta_t *meta, const char *key, meta_item_t *ret)
{
    TRY(ctx_alive(ctx));
    TRY(s_check_key(ctx, key, false));
    int64_t began_us = metrics_began(meta->metrics);
    err_t err = meta->driver->get(ctx, meta, key, ret);
    return s_counted(meta, "get", began_us, err, err == OK ? ret->value.len : 0);
}

err_t meta_list(ctx_t *ctx, meta_t *meta, const char *prefix, meta_items_t *ret)
{
    TRY(ctx_alive(ctx));
    TRY(s_check_key(ctx, prefix, true));
    int64_t began_us = metrics_began(meta->metrics);
    err_t err = meta->driver->list(ctx, meta, prefix, ret);
    return s_counted(meta, "list", began_us, err, err == OK ? s_list_bytes(ret) : 0);
}

err_t meta_txn(ctx_t *ctx, meta_t *meta, const meta_txn_t *txn, meta_txn_result_t *ret)
{
    TRY(ctx_alive(ctx));
    TRY(s_check_txn(ctx, txn));
    int64_t began_us = metrics_began(meta->metrics);
    err_t err = meta->driver->txn(ctx, meta, txn, ret);
    return s_counted(meta, "txn", began_us, err, s_txn_bytes(txn));
}

err_t meta_lease_grant(ctx_t *ctx, meta_t *meta, int64_t ttl_ms, int64_t *ret_lease)
{
    check(ttl_ms > 0);
    TRY(ctx_alive(ctx));
    int64_t began_us = metrics_began(meta->metrics);
    err_t err = meta->driver->lease_grant(ctx, meta, ttl_ms, ret_lease);
    return s_counted(meta, "lease_grant", began_us, err, 0);
}

err_t meta_lease_keep(ctx_t *ctx, meta_t *meta, int64_t lease)
{
    TRY(ctx_alive(ctx));
    int64_t began_us = metrics_began(meta->metrics);
    return s_counted(meta, "lease_keep", began_us, meta->driver->lease_keep(ctx, meta, lease), 0);
}

err_t meta_lease_revoke(ctx_t *ctx, meta_t *meta, int64_t lease)
{
    TRY(ctx_alive(ctx));
    return meta->driver->lease_revoke(ctx, meta, lease);
}

err_t meta_watch(ctx_t *ctx, meta_t *meta, const char *prefix,
                 meta_watch_fn *fn, void *arg, meta_watch_t **ret)
{
    check(fn != NULL && ret != NULL);
    TRY(ctx_alive(ctx));
    TRY(s_check_key(ctx, prefix, true));
    return meta->driver->watch(ctx, meta, prefix, fn, arg, ret);
}

void meta_unwatch(meta_watch_t **watch_p)
{
    if (*watch_p)
        (*watch_p)->meta->driver->unwatch(*watch_p);
    *watch_p = NULL;
}

void meta_destroy(meta_t **self_p)
{
    if (*self_p)
        (*self_p)->driver->destroy(*self_p);
    *self_p = NULL;
}

err_t meta_items_push(ctx_t *ctx, meta_items_t *items, size_t *cap, const meta_item_t *item)
{
    if (items->n == *cap) {
        size_t more = *cap ? *cap * 2 : 16;
        meta_item_t *at = ctx_try(ctx, more * sizeof *at);
        if (!at)
            return ctx_fail(ctx, ERR_MEMORY, "no memory for a list of %zu metadata keys", more);
        if (items->n)
            memcpy(at, items->at, items->n * sizeof *at);
        items->at = at;
        *cap = more;
    }
    items->at[items->n++] = *item;
    return OK;
}
