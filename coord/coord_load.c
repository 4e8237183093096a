/* coord_load - what shall be loaded: collections and partitions
 *
 * The wish is load/<collection>; the replicas that shall serve it are placed in
 * the same transaction (coord_replicas.c).  The query nodes that these name
 * follow the keys and load in the background, so this answers at once.
 */
#include "coord/coord_int.h"
#include "core/base/limits.h"

static bool s_has_index(const Elanus__Index **indexes, size_t n, int64_t field)
{
    for (size_t i = 0; i < n; i++)
        if (indexes[i]->field_id == field)
            return true;
    return false;
}

/* Milvus loads nothing that it could not search. */
static err_t s_check_indexes(coord_node_t *self, ddl_t *ddl, const Elanus__Collection *coll)
{
    ctx_t *ctx = &ddl->memory;
    const Elanus__Index **indexes = NULL;
    size_t n = catalog_indexes_of(self->catalog, ctx, coll->id, &indexes);
    if (n == 0)
        return ctx_fail(ctx, ERR_INDEX_NOT_FOUND, "index not found[collection=%s]", coll->name);
    const char *missing = NULL;
    for (size_t i = 0; i < coll->n_fields; i++) {
        const Elanus__Field *field = coll->fields[i];
        if (type_is_vector((type_t)field->type) && !s_has_index(indexes, n, field->id))
            missing = missing ? ctx_printf(ctx, "%s %s", missing, field->name) : field->name;
    }
    if (missing)
        return ctx_fail(ctx, ERR_UNEXPECTED, "there is no vector index on field: [%s], please "
                        "create index firstly", missing);
    return OK;
}

static err_t s_partition(ddl_t *ddl, const Elanus__Collection *coll, const char *name,
                         uint64_t *ret)
{
    const Elanus__Partition *partition = catalog_partition(coll, name);
    if (!partition)
        return ctx_fail(&ddl->memory, ERR_PARTITION_NOT_FOUND, "partition not found[partition=%s]",
                        name);
    *ret = partition->id;
    return OK;
}

static bool s_listed(const uint64_t *ids, size_t n, uint64_t id)
{
    for (size_t i = 0; i < n; i++)
        if (ids[i] == id)
            return true;
    return false;
}

static bool s_same(const Elanus__Load *a, const Elanus__Load *b)
{
    bool same = a->whole == b->whole && a->replicas == b->replicas &&
                a->n_partitions == b->n_partitions && a->n_fields == b->n_fields &&
                a->n_resource_groups == b->n_resource_groups;
    for (size_t i = 0; i < a->n_resource_groups && same; i++)
        same = strcmp(a->resource_groups[i], b->resource_groups[i]) == 0;
    return same;
}

/* Who loads again and names no groups means those where it is. */
static void s_keep_groups(const Elanus__Load *known, Elanus__Load *load)
{
    bool keeps = known && load->n_resource_groups == 0 &&
                 (known->n_resource_groups == 1 || known->replicas == load->replicas);
    if (keeps) {
        load->resource_groups = known->resource_groups;
        load->n_resource_groups = known->n_resource_groups;
    }
}

err_t coord_load(coord_node_t *self, ddl_t *ddl)
{
    ctx_t *ctx = &ddl->memory;
    const Elanus__Ddl *ask = ddl->ask;
    const Elanus__Collection *coll = NULL;
    TRY(coord_find_collection(self, ddl, &coll));
    TRY(s_check_indexes(self, ddl, coll));
    const Elanus__Load *known = catalog_load(self->catalog, coll->id);
    Elanus__Load load = ELANUS__LOAD__INIT;
    if (ask->load)
        load = *ask->load;
    load.collection_id = coll->id;
    load.replicas = load.replicas > 0 ? load.replicas : 1;
    s_keep_groups(known, &load);
    load.whole = ask->n_partitions == 0 || (known && known->whole);
    load.created_ts = known ? known->created_ts : coord_ddl_ts(self, ddl);
    load.partitions = ctx_new(ctx, (LIMIT_PARTITIONS + ask->n_partitions + 1) * sizeof(uint64_t));
    load.n_partitions = 0;
    for (size_t i = 0; !load.whole && known && i < known->n_partitions; i++)
        load.partitions[load.n_partitions++] = known->partitions[i];
    for (size_t i = 0; i < ask->n_partitions; i++) {
        uint64_t id = 0;
        TRY(s_partition(ddl, coll, ask->partitions[i], &id));
        if (!load.whole && !s_listed(load.partitions, load.n_partitions, id))
            load.partitions[load.n_partitions++] = id;
    }
    if (known && s_same(known, &load))
        return OK;
    TRY(coord_replicas_check(self, ddl, &load));
    coord_ddl_put(ddl, catalog_key_load(ctx, coll->id), &load);
    coord_replicas_place(self, ddl, &load);
    return OK;
}

/* What is loaded but the named partitions. */
static err_t s_keep(ddl_t *ddl, const Elanus__Collection *coll, const Elanus__Load *known,
                    Elanus__Load *load)
{
    ctx_t *ctx = &ddl->memory;
    uint64_t *gone = ctx_new(ctx, (ddl->ask->n_partitions + 1) * sizeof *gone);
    for (size_t i = 0; i < ddl->ask->n_partitions; i++)
        TRY(s_partition(ddl, coll, ddl->ask->partitions[i], &gone[i]));
    load->whole = false;
    load->partitions = ctx_new(ctx, (coll->n_partitions + 1) * sizeof(uint64_t));
    load->n_partitions = 0;
    for (size_t i = 0; i < coll->n_partitions; i++) {
        uint64_t id = coll->partitions[i]->id;
        if ((known->whole || s_listed(known->partitions, known->n_partitions, id)) &&
            !s_listed(gone, ddl->ask->n_partitions, id))
            load->partitions[load->n_partitions++] = id;
    }
    return OK;
}

/* What is not loaded is released already. */
err_t coord_release(coord_node_t *self, ddl_t *ddl)
{
    const Elanus__Collection *coll = NULL;
    TRY(coord_find_collection(self, ddl, &coll));
    const Elanus__Load *known = catalog_load(self->catalog, coll->id);
    if (!known)
        return OK;
    Elanus__Load load = *known;
    load.n_partitions = 0;
    if (ddl->ask->n_partitions > 0)
        TRY(s_keep(ddl, coll, known, &load));
    const char *key = catalog_key_load(&ddl->memory, coll->id);
    if (load.n_partitions == 0) {
        coord_ddl_delete(ddl, key);
        coord_replicas_drop(self, ddl, coll->id);
    } else if (load.n_partitions != known->n_partitions || known->whole) {
        coord_ddl_put(ddl, key, &load);
    }
    return OK;
}
