/* directory - who is there, who owns which channel, who serves which collection
 *
 * A picture of some prefixes of the metadata, as the catalog is one of others:
 *
 *     session/<role>-<id>            NodeInfo
 *     owner/<pchannel>               Owner
 *     replica/<collection>/<id>      Replica
 *     place/<collection>/<replica>   Placement
 *     rg/<name>                      ResourceGroup
 *
 * What a lookup returns is borrowed and lives until the next change of that
 * key.  Thread: the node that owns it.
 */
#ifndef CORE_CATALOG_DIRECTORY_H
#define CORE_CATALOG_DIRECTORY_H

#include "core/meta/meta.h"
#include "elanus.pb-c.h"

typedef enum {
    DIRECTORY_SESSION, DIRECTORY_OWNER, DIRECTORY_REPLICA, DIRECTORY_PLACE, DIRECTORY_GROUP,
    DIRECTORY_KINDS
} directory_kind_t;

typedef struct directory directory_t;

directory_t *directory_new(void);
void directory_destroy(directory_t **self_p);

/* "session/", "owner/" … */
const char *directory_root(directory_kind_t kind);

/* A batch of the watch on one kind's prefix.  What is damaged is logged and left out. */
void directory_watched(directory_t *self, ctx_t *ctx, directory_kind_t kind,
                       const meta_change_t *changes, size_t n);

/* Our own transaction was applied at rev: show it before the watch does.  value NULL: deleted. */
err_t must_use directory_put(directory_t *self, ctx_t *ctx, const char *key, const view_t *value,
                             int64_t rev);

/* That kind's watch has shown the present at least once. */
bool directory_synced(const directory_t *self, directory_kind_t kind);

/* The newest revision at which something of that kind is known to have changed. */
int64_t directory_rev(const directory_t *self, directory_kind_t kind);

/* --- questions: NULL when there is no such thing ------------------------------ */

const Elanus__NodeInfo *directory_node(const directory_t *self, uint64_t id);

/* Of one role, by id; an array in the arena. */
size_t directory_nodes(const directory_t *self, ctx_t *ctx, const char *role,
                       const Elanus__NodeInfo ***ret);

/* *ret_rev: mod revision of the key, for a compare; may be NULL. */
const Elanus__Owner *directory_owner(const directory_t *self, const char *pchannel,
                                     int64_t *ret_rev);

/* The ACTIVE owner of a vchannel's pchannel, if that node is registered with the
 * incarnation that the key names. */
const Elanus__NodeInfo *directory_owner_node(const directory_t *self, const char *vchannel,
                                             uint64_t *ret_epoch);

/* All owners: an array in the arena. */
size_t directory_owners(const directory_t *self, ctx_t *ctx, const Elanus__Owner ***ret);

/* Of one collection (0: of all), by id. */
size_t directory_replicas(const directory_t *self, ctx_t *ctx, uint64_t collection,
                          const Elanus__Replica ***ret);

/* Where its flushed segments shall be. */
const Elanus__Placement *directory_placement(const directory_t *self, uint64_t collection,
                                             uint64_t replica);

const Elanus__ResourceGroup *directory_group(const directory_t *self, const char *name);

/* By name; an array in the arena. */
size_t directory_groups(const directory_t *self, ctx_t *ctx, const Elanus__ResourceGroup ***ret);

/* --- parts -------------------------------------------------------------------- */

/* The pchannel of a vchannel "<pchannel>_<collection>v<shard>": borrowed from it. */
view_t directory_pchannel(const char *vchannel);

/* Keys, in the arena. */
const char *directory_key_owner(ctx_t *ctx, const char *pchannel);
const char *directory_key_replica(ctx_t *ctx, uint64_t collection, uint64_t replica);
const char *directory_key_placement(ctx_t *ctx, uint64_t collection, uint64_t replica);
const char *directory_key_group(ctx_t *ctx, const char *name);

#endif
