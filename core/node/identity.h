/* identity - is this metadata and are these objects one cluster's, and ours?
 *
 *     metadata  cluster/identity     ClusterIdentity: a random id, made by who comes first
 *     objects   cluster              the same id, as text
 *
 * Two clusters that share a root by mistake would delete each other's objects
 * as garbage, and nobody would notice for a day.  So every daemon compares the
 * two before it does anything.  One of them missing is not repaired: the marker
 * is put only into a place without objects, by a cluster that never had one.
 */
#ifndef CORE_NODE_IDENTITY_H
#define CORE_NODE_IDENTITY_H

#include "core/meta/meta.h"
#include "core/store/store.h"

/* Compare; make both when the cluster is new.
 *   store       NULL: this daemon does not need objects; then only metadata is looked at
 *   meta_where, store_where   for people: "etcd.rootPath elanus at …"
 * Errors  ERR_CONFIG  they are of two clusters; the text says which key to change
 *         what meta and store calls return
 * Cost    two round trips when all is well */
err_t must_use identity_check(ctx_t *ctx, meta_t *meta, store_t *store, const char *meta_where,
                              const char *store_where);

/* Every registered node is of our version.
 * Errors  ERR_VERSION  one is not: the text names both */
err_t must_use identity_check_versions(ctx_t *ctx, meta_t *meta);

#endif
