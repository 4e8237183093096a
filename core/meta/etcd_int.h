/* etcd_int - what the parts of the etcd driver share; only core/meta/etcd*.c
 *
 *     <root>/meta/<key>                     what callers see
 *     <root>/txn/<incarnation>/<slot>       markers of writers, see etcd_txn.c
 */
#ifndef CORE_META_ETCD_INT_H
#define CORE_META_ETCD_INT_H

#include "core/meta/etcd_http.h"
#include "core/meta/etcd_json.h"
#include "core/meta/meta_int.h"

typedef struct etcd_txns etcd_txns_t;
typedef struct etcd_watcher etcd_watcher_t;

typedef struct etcd {
    meta_t base;
    etcd_http_t *http;
    char *root;                 /* "<root>/meta/" */
    etcd_txns_t *txns;
    etcd_watcher_t *watcher;
} etcd_t;

/* Everything under prefix at one revision. */
err_t must_use etcd_list(ctx_t *ctx, etcd_t *self, const char *prefix, meta_items_t *ret);

/* OK when the endpoint in use answers a linearizable read: it is alive and in
 * touch with its peers.  One attempt. */
err_t must_use etcd_probe(ctx_t *ctx, etcd_t *self);

err_t must_use etcd_grant(ctx_t *ctx, etcd_t *self, int64_t ttl_s, int64_t *ret_lease);
err_t must_use etcd_keep(ctx_t *ctx, etcd_t *self, int64_t lease);
err_t must_use etcd_revoke(ctx_t *ctx, etcd_t *self, int64_t lease);

/* --- etcd_txn.c ------------------------------------------------------------- */

etcd_txns_t *etcd_txns_new(const char *root);

/* Gives the markers' lease back, if etcd answers within ctx's deadline. */
void etcd_txns_destroy(ctx_t *ctx, etcd_t *self);

err_t must_use etcd_txn(ctx_t *ctx, etcd_t *self, const meta_txn_t *txn, meta_txn_result_t *ret);

/* Settle what earlier transactions had to leave open, so that a read that
 * follows tells the truth about them for good. */
err_t must_use etcd_txns_settle(ctx_t *ctx, etcd_t *self);

/* --- etcd_watch.c ----------------------------------------------------------- */

etcd_watcher_t *etcd_watcher_new(etcd_t *etcd);

/* Ends the thread and all watches. */
void etcd_watcher_destroy(etcd_watcher_t **self_p);

err_t must_use etcd_watch(ctx_t *ctx, etcd_t *self, const char *prefix,
                          meta_watch_fn *fn, void *arg, meta_watch_t **ret);
void etcd_unwatch(meta_watch_t *watch);

#endif
