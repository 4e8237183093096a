/* coord_collection - collections: create, drop, rename, alter
 *
 * The proxy has checked names and schema; here is decided what depends on
 * what else there is.
 */
#include <stdio.h>

#include "coord/coord_int.h"
#include "core/base/limits.h"

/* --- create ----------------------------------------------------------------------- */

static bool s_same_pairs(Elanus__Pair *const *a, size_t n_a, Elanus__Pair *const *b, size_t n_b)
{
    if (n_a != n_b)
        return false;
    for (size_t i = 0; i < n_a; i++) {
        const char *other = catalog_pair(b, n_b, a[i]->key);
        if (!other || strcmp(other, a[i]->value) != 0)
            return false;
    }
    return true;
}

static bool s_same_field(const Elanus__Field *a, const Elanus__Field *b)
{
    return strcmp(a->name, b->name) == 0 && strcmp(a->description, b->description) == 0 &&
           a->type == b->type && a->element == b->element && a->primary_key == b->primary_key &&
           a->auto_id == b->auto_id && a->partition_key == b->partition_key &&
           a->clustering_key == b->clustering_key && a->dynamic == b->dynamic &&
           a->nullable == b->nullable && a->has_default == b->has_default &&
           view_eq(view_of(a->default_value.data, a->default_value.len),
                   view_of(b->default_value.data, b->default_value.len)) &&
           s_same_pairs(a->type_params, a->n_type_params, b->type_params, b->n_type_params);
}

static bool s_same(const Elanus__Collection *known, const Elanus__Ddl *ask)
{
    const Elanus__Collection *want = ask->collection;
    bool same = known->n_fields == want->n_fields && known->n_vchannels == ask->shards &&
                strcmp(known->description, want->description) == 0 &&
                known->consistency == want->consistency &&
                s_same_pairs(known->properties, known->n_properties, want->properties,
                             want->n_properties);
    for (size_t i = 0; same && i < known->n_fields; i++)
        same = s_same_field(known->fields[i], want->fields[i]);
    return same;
}

/* Shards that each physical channel carries already: [channels_most]. */
static void s_count_channels(coord_node_t *self, ctx_t *ctx, size_t *load)
{
    const void **all = NULL;
    size_t n = catalog_list(self->catalog, ctx, CATALOG_COLLECTION, &all);
    for (size_t i = 0; i < n; i++) {
        const Elanus__Collection *coll = all[i];
        for (size_t v = 0; v < coll->n_vchannels; v++) {
            int channel = -1;
            const char *tail = strstr(coll->vchannels[v], "-rootcoord-dml_");
            if (tail && sscanf(tail, "-rootcoord-dml_%d_", &channel) == 1 && channel >= 0 &&
                channel < self->channels_most)
                load[channel]++;
        }
    }
}

/* A channel for each shard, the least loaded first. */
static void s_place(coord_node_t *self, ddl_t *ddl, Elanus__Collection *coll)
{
    ctx_t *ctx = &ddl->memory;
    size_t *load = ctx_new(ctx, (size_t)self->channels_most * sizeof *load);
    s_count_channels(self, ctx, load);
    coll->vchannels = ctx_new(ctx, (ddl->ask->shards + 1) * sizeof(char *));
    for (uint32_t shard = 0; shard < ddl->ask->shards; shard++) {
        int best = 0;
        for (int channel = 1; channel < self->channels_most; channel++)
            best = load[channel] < load[best] ? channel : best;
        load[best]++;
        coll->vchannels[coll->n_vchannels++] =
            ctx_printf(ctx, "%s-rootcoord-dml_%d_%lluv%u", self->member.self->cluster, best,
                       (unsigned long long)coll->id, shard);
    }
}

/* `_default`, or `_default_0`, `_default_1`, … with a partition key. */
static void s_partition(coord_node_t *self, ddl_t *ddl, Elanus__Collection *coll)
{
    ctx_t *ctx = &ddl->memory;
    size_t n = coll->key_partitions > 0 ? (size_t)coll->key_partitions : 1;
    coll->partitions = ctx_new(ctx, n * sizeof(void *));
    for (size_t i = 0; i < n; i++) {
        Elanus__Partition *partition = ctx_new(ctx, sizeof *partition);
        elanus__partition__init(partition);
        partition->id = coord_ddl_id(self, ddl);
        partition->name = coll->key_partitions > 0 ? ctx_printf(ctx, "_default_%zu", i)
                                                   : (char *)"_default";
        partition->created_ts = coll->created_ts;
        coll->partitions[coll->n_partitions++] = partition;
    }
}

static err_t s_check_room(coord_node_t *self, ddl_t *ddl)
{
    const void **all = NULL;
    size_t n = catalog_list(self->catalog, &ddl->memory, CATALOG_COLLECTION, &all);
    if (n >= LIMIT_COLLECTIONS)
        return ctx_fail(&ddl->memory, ERR_COLLECTION_LIMIT,
                        "exceeded the limit number of collections[limit=%d]", LIMIT_COLLECTIONS);
    return OK;
}

err_t coord_create_collection(coord_node_t *self, ddl_t *ddl)
{
    ctx_t *ctx = &ddl->memory;
    const char *name = ddl->ask->collection_name;
    const Elanus__Database *db = NULL;
    TRY(coord_find_database(self, ddl, &db));
    if (!ddl->ask->collection || ddl->ask->shards == 0 || ddl->ask->shards > LIMIT_SHARDS ||
        ddl->ask->collection->key_partitions > LIMIT_PARTITIONS)
        return ctx_fail(ctx, ERR_MALFORMED, "a collection without a schema or shards");
    if (catalog_alias(self->catalog, db->id, name))
        return ctx_fail(ctx, ERR_UNEXPECTED, "collection name [%s] conflicts with an existing "
                        "alias, please choose a unique name", name);
    const Elanus__Collection *known = catalog_collection(self->catalog, db->id, name);
    if (known && s_same(known, ddl->ask))
        return OK;
    if (known)
        return ctx_fail(ctx, ERR_UNEXPECTED, "create duplicate collection with different "
                        "parameters, collection: %s", name);
    TRY(s_check_room(self, ddl));
    Elanus__Collection coll = *ddl->ask->collection;
    coll.id = coord_ddl_id(self, ddl);
    coll.name = ddl->ask->collection_name;
    coll.db_id = db->id;
    coll.created_ts = coll.update_ts = coord_ddl_ts(self, ddl);
    coll.token = ddl->ask->token;
    s_place(self, ddl, &coll);
    s_partition(self, ddl, &coll);
    owned(schema) schema = NULL;
    TRY(catalog_make_schema(ctx, &coll, &schema));
    coord_ddl_put(ddl, catalog_key_collection(ctx, coll.id), &coll);
    return OK;
}

/* --- drop -------------------------------------------------------------------------- */

static err_t s_check_aliases(coord_node_t *self, ctx_t *ctx, const Elanus__Collection *coll)
{
    const Elanus__Alias **aliases = NULL;
    size_t n = catalog_aliases_of(self->catalog, ctx, coll->id, &aliases);
    if (n == 0)
        return OK;
    const char *names = aliases[0]->name;
    for (size_t i = 1; i < n; i++)
        names = ctx_printf(ctx, "%s %s", names, aliases[i]->name);
    return ctx_fail(ctx, ERR_UNEXPECTED, "unable to drop the collection [%s] because it has "
                    "associated aliases [%s], please remove all aliases before dropping the "
                    "collection", coll->name, names);
}

/* A collection that is not there is dropped already.  Its segments are named
 * by no metadata that counts any more: the garbage collector's. */
err_t coord_drop_collection(coord_node_t *self, ddl_t *ddl)
{
    ctx_t *ctx = &ddl->memory;
    const char *name = ddl->ask->collection_name;
    const Elanus__Database *db = NULL;
    TRY(coord_find_database(self, ddl, &db));
    const Elanus__Collection *coll = catalog_collection(self->catalog, db->id, name);
    if (!coll && catalog_alias(self->catalog, db->id, name))
        return ctx_fail(ctx, ERR_UNEXPECTED, "cannot drop the collection via alias = %s", name);
    if (!coll)
        return OK;
    TRY(s_check_aliases(self, ctx, coll));
    const Elanus__Index **indexes = NULL;
    size_t n = catalog_indexes_of(self->catalog, ctx, coll->id, &indexes);
    for (size_t i = 0; i < n; i++)
        coord_ddl_delete(ddl, catalog_key_index(ctx, coll->id, indexes[i]->id));
    if (catalog_load(self->catalog, coll->id))
        coord_ddl_delete(ddl, catalog_key_load(ctx, coll->id));
    coord_replicas_drop(self, ddl, coll->id);
    coord_ddl_delete(ddl, catalog_key_collection(ctx, coll->id));
    return OK;
}

/* --- rename ------------------------------------------------------------------------ */

/* The database it goes to: its own when none is named. */
static err_t s_new_database(coord_node_t *self, ddl_t *ddl, const Elanus__Database *old,
                            const Elanus__Database **ret)
{
    const char *name = ddl->ask->new_db_name;
    const Elanus__Database *db = name[0] ? catalog_database(self->catalog, name) : old;
    if (!db)
        return ctx_fail(&ddl->memory, ERR_UNEXPECTED, "target database:%s not found", name);
    *ret = db;
    return OK;
}

static err_t s_check_target(coord_node_t *self, ddl_t *ddl, const Elanus__Database *to)
{
    ctx_t *ctx = &ddl->memory;
    const char *name = ddl->ask->new_name;
    if (catalog_alias(self->catalog, to->id, name))
        return ctx_fail(ctx, ERR_UNEXPECTED, "cannot rename collection to an existing alias: %s",
                        name);
    if (catalog_collection(self->catalog, to->id, name))
        return ctx_fail(ctx, ERR_UNEXPECTED, "duplicated new collection name %s:%s with other "
                        "collection name or alias", to->name, name);
    return OK;
}

err_t coord_rename_collection(coord_node_t *self, ddl_t *ddl)
{
    ctx_t *ctx = &ddl->memory;
    const char *old = ddl->ask->collection_name;
    const Elanus__Database *db = NULL, *to = NULL;
    TRY(coord_find_database(self, ddl, &db));
    TRY(s_new_database(self, ddl, db, &to));
    const Elanus__Collection *known = catalog_collection(self->catalog, to->id, ddl->ask->new_name);
    if (known && strcmp(known->token, ddl->ask->token) == 0)
        return OK;
    if (catalog_alias(self->catalog, db->id, old))
        return ctx_fail(ctx, ERR_UNEXPECTED, "unsupported use an alias to rename collection, "
                        "alias:%s", old);
    TRY(s_check_target(self, ddl, to));
    TRY(coord_find_collection(self, ddl, &known));
    const Elanus__Alias **aliases = NULL;
    if (to != db && catalog_aliases_of(self->catalog, ctx, known->id, &aliases) > 0)
        return ctx_fail(ctx, ERR_UNEXPECTED, "fail to rename db name, must drop all aliases of "
                        "this collection before rename");
    Elanus__Collection coll = *known;
    coll.name = ddl->ask->new_name;
    coll.db_id = to->id;
    coll.token = ddl->ask->token;
    coll.update_ts = coord_ddl_ts(self, ddl);
    coord_ddl_put(ddl, catalog_key_collection(ctx, coll.id), &coll);
    return OK;
}

/* --- alter --------------------------------------------------------------------------- */

static bool s_names(const Elanus__Ddl *ask, const char *key)
{
    for (size_t i = 0; i < ask->n_delete_keys; i++)
        if (strcmp(ask->delete_keys[i], key) == 0)
            return true;
    return catalog_pair(ask->properties, ask->n_properties, key) != NULL;
}

static err_t s_check_released(coord_node_t *self, ddl_t *ddl, const Elanus__Collection *coll,
                              const char *key, const char *text)
{
    if (!s_names(ddl->ask, key) || !catalog_load(self->catalog, coll->id))
        return OK;
    return ctx_fail(&ddl->memory, ERR_COLLECTION_LOADED,
                    "%s: collection already loaded[collection=%s]", text, coll->name);
}

err_t coord_alter_collection(coord_node_t *self, ddl_t *ddl)
{
    const Elanus__Collection *known = NULL;
    TRY(coord_find_collection(self, ddl, &known));
    TRY(s_check_released(self, ddl, known, "mmap.enabled",
                         "can not alter mmap properties if collection loaded"));
    TRY(s_check_released(self, ddl, known, "lazyload.enabled",
                         "can not alter mmap properties if collection loaded"));
    Elanus__Collection coll = *known;
    const char *level = catalog_pair(ddl->ask->properties, ddl->ask->n_properties,
                                     "consistency_level");
    if (level && level[0] >= '0' && level[0] <= '4' && level[1] == '\0')
        coll.consistency = level[0] - '0';
    coord_alter_pairs(ddl, &coll.properties, &coll.n_properties);
    coll.update_ts = coord_ddl_ts(self, ddl);
    coord_ddl_put(ddl, catalog_key_collection(&ddl->memory, coll.id), &coll);
    return OK;
}

err_t coord_alter_field(coord_node_t *self, ddl_t *ddl)
{
    ctx_t *ctx = &ddl->memory;
    const Elanus__Collection *known = NULL;
    TRY(coord_find_collection(self, ddl, &known));
    const Elanus__Field *old = catalog_field(known, ddl->ask->field_name);
    if (!old)
        return ctx_fail(ctx, ERR_FIELD_NOT_FOUND, "field not found[field=%s]",
                        ddl->ask->field_name);
    TRY(s_check_released(self, ddl, known, "mmap.enabled",
                         "can not alter collection field properties if collection loaded"));
    Elanus__Field field = *old;
    coord_alter_pairs(ddl, &field.type_params, &field.n_type_params);
    Elanus__Collection coll = *known;
    coll.fields = ctx_new(ctx, known->n_fields * sizeof(void *));
    for (size_t i = 0; i < known->n_fields; i++)
        coll.fields[i] = known->fields[i] == old ? &field : known->fields[i];
    coll.update_ts = coord_ddl_ts(self, ddl);
    coord_ddl_put(ddl, catalog_key_collection(ctx, coll.id), &coll);
    return OK;
}
