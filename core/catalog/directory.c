/* directory - see directory.h */
#include "core/catalog/directory.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/base/limits.h"
#include "core/catalog/picture.h"

struct directory {
    picture_t *picture;
};

static const char *s_session_key(ctx_t *ctx, const void *message)
{
    const Elanus__NodeInfo *info = message;
    return ctx_printf(ctx, "session/%s-%llu", info->role, (unsigned long long)info->id);
}

static const char *s_owner_key(ctx_t *ctx, const void *message)
{
    return directory_key_owner(ctx, ((const Elanus__Owner *)message)->pchannel);
}

static const char *s_replica_key(ctx_t *ctx, const void *message)
{
    const Elanus__Replica *replica = message;
    return directory_key_replica(ctx, replica->collection, replica->id);
}

static const char *s_placement_key(ctx_t *ctx, const void *message)
{
    const Elanus__Placement *placement = message;
    return directory_key_placement(ctx, placement->collection, placement->replica);
}

static const char *s_group_key(ctx_t *ctx, const void *message)
{
    return directory_key_group(ctx, ((const Elanus__ResourceGroup *)message)->name);
}

static const picture_kind_t s_kinds[DIRECTORY_KINDS] = {
    [DIRECTORY_SESSION] = { "session/", &elanus__node_info__descriptor, s_session_key },
    [DIRECTORY_OWNER] = { "owner/", &elanus__owner__descriptor, s_owner_key },
    [DIRECTORY_REPLICA] = { "replica/", &elanus__replica__descriptor, s_replica_key },
    [DIRECTORY_PLACE] = { "place/", &elanus__placement__descriptor, s_placement_key },
    [DIRECTORY_GROUP] = { "rg/", &elanus__resource_group__descriptor, s_group_key },
};

directory_t *directory_new(void)
{
    directory_t *self = mem_new(sizeof *self);
    self->picture = picture_new(s_kinds, DIRECTORY_KINDS);
    return self;
}

void directory_destroy(directory_t **self_p)
{
    if (!*self_p)
        return;
    picture_destroy(&(*self_p)->picture);
    mem_free(*self_p);
    *self_p = NULL;
}

const char *directory_root(directory_kind_t kind)
{
    return s_kinds[kind].root;
}

void directory_watched(directory_t *self, ctx_t *ctx, directory_kind_t kind,
                       const meta_change_t *changes, size_t n)
{
    picture_watched(self->picture, ctx, kind, changes, n, NULL, NULL);
}

err_t directory_put(directory_t *self, ctx_t *ctx, const char *key, const view_t *value,
                    int64_t rev)
{
    return picture_wrote(self->picture, ctx, key, value, rev, NULL, NULL);
}

bool directory_synced(const directory_t *self, directory_kind_t kind)
{
    return picture_synced(self->picture, kind);
}

int64_t directory_rev(const directory_t *self, directory_kind_t kind)
{
    return picture_rev(self->picture, kind);
}

/* --- questions -------------------------------------------------------------------- */

static const Elanus__NodeInfo *s_node(const directory_t *self, const char *role, uint64_t id)
{
    char key[64];
    snprintf(key, sizeof key, "session/%s-%llu", role, (unsigned long long)id);
    return picture_get(self->picture, key, NULL);
}

/* Ids that nobody configured are unique; where two roles were given the same
 * one, the roles that other keys name by id go first. */
const Elanus__NodeInfo *directory_node(const directory_t *self, uint64_t id)
{
    static const char *const s_roles[] = { "querynode", "datanode", "indexnode", "proxy", "coord" };
    const Elanus__NodeInfo *found = NULL;
    for (size_t i = 0; i < ARRAY_LEN(s_roles) && !found; i++)
        found = s_node(self, s_roles[i], id);
    return found;
}

static int s_node_by_id(const void *a, const void *b)
{
    uint64_t x = (*(const Elanus__NodeInfo *const *)a)->id;
    uint64_t y = (*(const Elanus__NodeInfo *const *)b)->id;
    return (x > y) - (x < y);
}

size_t directory_nodes(const directory_t *self, ctx_t *ctx, const char *role,
                       const Elanus__NodeInfo ***ret)
{
    return picture_list(self->picture, ctx, ctx_printf(ctx, "session/%s-", role), s_node_by_id,
                        (const void ***)ret);
}

const Elanus__Owner *directory_owner(const directory_t *self, const char *pchannel,
                                     int64_t *ret_rev)
{
    char key[LIMIT_META_KEY_BYTES + 1];
    int len = snprintf(key, sizeof key, "owner/%s", pchannel);
    return len > LIMIT_META_KEY_BYTES ? NULL : picture_get(self->picture, key, ret_rev);
}

const Elanus__NodeInfo *directory_owner_node(const directory_t *self, const char *vchannel,
                                             uint64_t *ret_epoch)
{
    char pchannel[LIMIT_META_KEY_BYTES + 1];
    view_t name = directory_pchannel(vchannel);
    if (name.len >= sizeof pchannel)
        return NULL;
    memcpy(pchannel, name.ptr, name.len);
    pchannel[name.len] = '\0';
    const Elanus__Owner *owner = directory_owner(self, pchannel, NULL);
    if (!owner || owner->state != ELANUS__OWNER_STATE__OWNER_ACTIVE)
        return NULL;
    const Elanus__NodeInfo *node = s_node(self, "datanode", owner->node);
    if (!node || node->incarnation != owner->incarnation)
        return NULL;
    if (ret_epoch)
        *ret_epoch = owner->epoch;
    return node;
}

static int s_owner_by_name(const void *a, const void *b)
{
    return strcmp((*(const Elanus__Owner *const *)a)->pchannel,
                  (*(const Elanus__Owner *const *)b)->pchannel);
}

size_t directory_owners(const directory_t *self, ctx_t *ctx, const Elanus__Owner ***ret)
{
    return picture_list(self->picture, ctx, s_kinds[DIRECTORY_OWNER].root, s_owner_by_name,
                        (const void ***)ret);
}

static int s_replica_by_id(const void *a, const void *b)
{
    uint64_t x = (*(const Elanus__Replica *const *)a)->id;
    uint64_t y = (*(const Elanus__Replica *const *)b)->id;
    return (x > y) - (x < y);
}

size_t directory_replicas(const directory_t *self, ctx_t *ctx, uint64_t collection,
                          const Elanus__Replica ***ret)
{
    const char *prefix = collection
        ? ctx_printf(ctx, "replica/%llu/", (unsigned long long)collection)
        : s_kinds[DIRECTORY_REPLICA].root;
    return picture_list(self->picture, ctx, prefix, s_replica_by_id, (const void ***)ret);
}

const Elanus__Placement *directory_placement(const directory_t *self, uint64_t collection,
                                             uint64_t replica)
{
    char key[64];
    snprintf(key, sizeof key, "place/%llu/%llu", (unsigned long long)collection,
             (unsigned long long)replica);
    return picture_get(self->picture, key, NULL);
}

const Elanus__ResourceGroup *directory_group(const directory_t *self, const char *name)
{
    char key[LIMIT_META_KEY_BYTES + 1];
    int len = snprintf(key, sizeof key, "rg/%s", name);
    return len > LIMIT_META_KEY_BYTES ? NULL : picture_get(self->picture, key, NULL);
}

static int s_group_by_name(const void *a, const void *b)
{
    return strcmp((*(const Elanus__ResourceGroup *const *)a)->name,
                  (*(const Elanus__ResourceGroup *const *)b)->name);
}

size_t directory_groups(const directory_t *self, ctx_t *ctx, const Elanus__ResourceGroup ***ret)
{
    return picture_list(self->picture, ctx, s_kinds[DIRECTORY_GROUP].root, s_group_by_name,
                        (const void ***)ret);
}

/* --- parts -------------------------------------------------------------------------- */

view_t directory_pchannel(const char *vchannel)
{
    const char *cut = strrchr(vchannel, '_');
    return cut ? view_of(vchannel, (size_t)(cut - vchannel)) : view_str(vchannel);
}

const char *directory_key_owner(ctx_t *ctx, const char *pchannel)
{
    return ctx_printf(ctx, "owner/%s", pchannel);
}

const char *directory_key_replica(ctx_t *ctx, uint64_t collection, uint64_t replica)
{
    return ctx_printf(ctx, "replica/%llu/%llu", (unsigned long long)collection,
                      (unsigned long long)replica);
}

const char *directory_key_placement(ctx_t *ctx, uint64_t collection, uint64_t replica)
{
    return ctx_printf(ctx, "place/%llu/%llu", (unsigned long long)collection,
                      (unsigned long long)replica);
}

const char *directory_key_group(ctx_t *ctx, const char *name)
{
    return ctx_printf(ctx, "rg/%s", name);
}
