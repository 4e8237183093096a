/* meta_int - what a driver of meta implements; only core/meta includes it
 *
 * meta.c checks arguments and limits, then calls the driver.  A driver's own
 * struct begins with meta_t, a driver's watch with struct meta_watch.
 */
#ifndef CORE_META_META_INT_H
#define CORE_META_META_INT_H

#include "core/meta/meta.h"

typedef struct meta_driver {
    err_t (*get)(ctx_t *ctx, meta_t *meta, const char *key, meta_item_t *ret);
    err_t (*list)(ctx_t *ctx, meta_t *meta, const char *prefix, meta_items_t *ret);
    err_t (*txn)(ctx_t *ctx, meta_t *meta, const meta_txn_t *txn, meta_txn_result_t *ret);
    err_t (*lease_grant)(ctx_t *ctx, meta_t *meta, int64_t ttl_ms, int64_t *ret_lease);
    err_t (*lease_keep)(ctx_t *ctx, meta_t *meta, int64_t lease);
    err_t (*lease_revoke)(ctx_t *ctx, meta_t *meta, int64_t lease);
    err_t (*watch)(ctx_t *ctx, meta_t *meta, const char *prefix,
                   meta_watch_fn *fn, void *arg, meta_watch_t **ret);
    void (*unwatch)(meta_watch_t *watch);
    void (*destroy)(meta_t *meta);
} meta_driver_t;

struct meta {
    const meta_driver_t *driver;
    metrics_t *metrics;         /* NULL: nobody counts */
    metrics_family_t *ops, *latency, *sizes;
};

struct meta_watch {
    meta_t *meta;
    char *prefix;               /* owned */
    meta_watch_fn *fn;
    void *arg;
};

/* Append an item to a growing arena array; *cap starts at 0 with items->n.
 * ERR_MEMORY when the budget refuses. */
err_t must_use meta_items_push(ctx_t *ctx, meta_items_t *items, size_t *cap,
                               const meta_item_t *item);

#endif
