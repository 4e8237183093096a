/* identity - see identity.h */
#include "core/node/identity.h"

#include <string.h>

#include "core/base/rng.h"
#include "core/node/member.h"
#include "core/wire/pb.h"

#define IDENTITY_KEY "cluster/identity"
#define MARKER_KEY   "cluster"

typedef struct {
    meta_t *meta;
    store_t *store;
    const char *meta_where, *store_where;
} places_t;

/* --- metadata --------------------------------------------------------------------------- */

static err_t s_put(ctx_t *ctx, meta_t *meta, const Elanus__ClusterIdentity *identity,
                   int64_t known_rev)
{
    meta_cmp_t cmp = { .kind = known_rev ? META_IF_MOD_REV : META_IF_ABSENT,
                       .key = IDENTITY_KEY, .rev = known_rev };
    meta_op_t put = { .kind = META_PUT, .key = IDENTITY_KEY, .value = pb_pack(ctx, identity) };
    meta_txn_result_t ignored;          /* not applied: somebody else was faster; look again */
    return meta_txn(ctx, meta, &(meta_txn_t){ &cmp, 1, &put, 1 }, &ignored);
}

static err_t s_read(ctx_t *ctx, meta_t *meta, Elanus__ClusterIdentity **ret, int64_t *ret_rev)
{
    meta_item_t item = {0};
    TRY(meta_get(ctx, meta, IDENTITY_KEY, &item));
    TRY(PB_UNPACK(ctx, elanus__cluster_identity, item.value, ret));
    *ret_rev = item.mod_rev;
    return OK;
}

/* The cluster's identity; a new one when there is none. */
static err_t s_find_or_make(ctx_t *ctx, meta_t *meta, Elanus__ClusterIdentity **ret,
                            int64_t *ret_rev)
{
    err_t err = s_read(ctx, meta, ret, ret_rev);
    if (err != ERR_KEY_NOT_FOUND)
        return err;
    ctx_clear(ctx);
    Elanus__ClusterIdentity made = ELANUS__CLUSTER_IDENTITY__INIT;
    made.id = (char *)ctx_printf(ctx, "%016llx%016llx", (unsigned long long)rng_from_os(),
                                 (unsigned long long)rng_from_os());
    TRY(s_put(ctx, meta, &made, 0));
    return s_read(ctx, meta, ret, ret_rev);
}

/* --- objects ------------------------------------------------------------------------------ */

static err_t s_marker(ctx_t *ctx, store_t *store, const char **ret)
{
    view_t body = {0};
    err_t err = store_get(ctx, store, MARKER_KEY, &body);
    *ret = "";
    if (err == ERR_KEY_NOT_FOUND) {
        ctx_clear(ctx);
        return OK;
    }
    if (err == OK)
        *ret = ctx_printf(ctx, "%.*s", (int)body.len, (const char *)body.ptr);
    return err;
}

static err_t s_mark(ctx_t *ctx, const places_t *places, const Elanus__ClusterIdentity *identity)
{
    store_list_t there = {0};
    if (identity->marked)
        return ctx_fail(ctx, ERR_CONFIG, "the metadata (%s) is of cluster %s, whose objects are "
                        "elsewhere: %s has none of it; correct minio.address, minio.bucketName and "
                        "minio.rootPath, or give another etcd.rootPath", places->meta_where,
                        identity->id, places->store_where);
    TRY(store_list(ctx, places->store, "", NULL, 1, &there));
    const char *marker = "";            /* daemons that start together: one was faster */
    if (there.n > 0)
        TRY(s_marker(ctx, places->store, &marker));
    if (marker[0])
        return OK;
    if (there.n > 0)
        return ctx_fail(ctx, ERR_CONFIG, "%s holds objects already (%s …) that the metadata (%s) "
                        "knows nothing of; give another minio.bucketName or minio.rootPath, or the "
                        "etcd.rootPath they belong to", places->store_where, there.at[0].key,
                        places->meta_where);
    return store_put(ctx, places->store, MARKER_KEY, view_str(identity->id));
}

static err_t s_compare(ctx_t *ctx, const places_t *places, Elanus__ClusterIdentity *identity,
                       int64_t rev)
{
    const char *marker = NULL;
    TRY(s_marker(ctx, places->store, &marker));
    if (!marker[0]) {
        TRY(s_mark(ctx, places, identity));
        TRY(s_marker(ctx, places->store, &marker));     /* who marks last is right */
    }
    if (strcmp(marker, identity->id) != 0)
        return ctx_fail(ctx, ERR_CONFIG, "%s belongs to cluster %s, the metadata (%s) to cluster "
                        "%s; give this one another minio.bucketName or minio.rootPath",
                        places->store_where, marker, places->meta_where, identity->id);
    if (identity->marked)
        return OK;
    identity->marked = true;
    return s_put(ctx, places->meta, identity, rev);
}

err_t identity_check(ctx_t *ctx, meta_t *meta, store_t *store, const char *meta_where,
                     const char *store_where)
{
    const places_t places = { meta, store, meta_where, store_where };
    Elanus__ClusterIdentity *identity = NULL;
    int64_t rev = 0;
    TRY(s_find_or_make(ctx, meta, &identity, &rev));
    return store ? s_compare(ctx, &places, identity, rev) : OK;
}

/* --- versions -------------------------------------------------------------------------------- */

err_t identity_check_versions(ctx_t *ctx, meta_t *meta)
{
    meta_items_t sessions = {0};
    TRY(meta_list(ctx, meta, MEMBER_SESSIONS, &sessions));
    for (size_t i = 0; i < sessions.n; i++) {
        Elanus__NodeInfo *info = NULL;
        TRY(PB_UNPACK(ctx, elanus__node_info, sessions.at[i].value, &info));
        if (strcmp(info->version, ELANUS_VERSION) != 0)
            return ctx_fail(ctx, ERR_VERSION, "%s-%llu on %s is of version %s, this is version "
                            ELANUS_VERSION "; a cluster runs one version: stop that node (one that "
                            "died leaves the list after common.session.ttl), or start its version",
                            info->role, (unsigned long long)info->id, info->host, info->version);
    }
    return OK;
}
