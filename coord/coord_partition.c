/* coord_partition - partitions: create, drop */
#include "coord/coord_int.h"
#include "core/base/limits.h"

/* The collection with other partitions, as a write. */
static void s_put(coord_node_t *self, ddl_t *ddl, const Elanus__Collection *known,
                  Elanus__Partition **partitions, size_t n)
{
    Elanus__Collection coll = *known;
    coll.partitions = partitions;
    coll.n_partitions = n;
    coord_ddl_put(ddl, catalog_key_collection(&ddl->memory, coll.id), &coll);
}

static err_t s_find(coord_node_t *self, ddl_t *ddl, const Elanus__Collection **ret)
{
    if (ddl->ask->n_partitions != 1)
        return ctx_fail(&ddl->memory, ERR_MALFORMED, "one partition has to be named");
    return coord_find_collection(self, ddl, ret);
}

err_t coord_create_partition(coord_node_t *self, ddl_t *ddl)
{
    ctx_t *ctx = &ddl->memory;
    const Elanus__Collection *coll = NULL;
    TRY(s_find(self, ddl, &coll));
    if (catalog_partition(coll, ddl->ask->partitions[0]))
        return OK;
    if (coll->n_partitions >= LIMIT_PARTITIONS)
        return ctx_fail(ctx, ERR_UNEXPECTED, "partition number (%zu) exceeds max configuration "
                        "(%d), collection: %s", coll->n_partitions, LIMIT_PARTITIONS, coll->name);
    Elanus__Partition partition = ELANUS__PARTITION__INIT;
    partition.id = coord_ddl_id(self, ddl);
    partition.name = ddl->ask->partitions[0];
    partition.created_ts = coord_ddl_ts(self, ddl);
    partition.token = ddl->ask->token;
    Elanus__Partition **all = ctx_new(ctx, (coll->n_partitions + 1) * sizeof *all);
    memcpy(all, coll->partitions, coll->n_partitions * sizeof *all);
    all[coll->n_partitions] = &partition;
    s_put(self, ddl, coll, all, coll->n_partitions + 1);
    return OK;
}

static bool s_is_loaded(const Elanus__Load *load, uint64_t partition)
{
    for (size_t i = 0; load && i < load->n_partitions; i++)
        if (load->partitions[i] == partition)
            return true;
    return load && load->whole;
}

/* A partition that is not there is dropped already. */
err_t coord_drop_partition(coord_node_t *self, ddl_t *ddl)
{
    ctx_t *ctx = &ddl->memory;
    const Elanus__Collection *coll = NULL;
    TRY(s_find(self, ddl, &coll));
    const Elanus__Partition *gone = catalog_partition(coll, ddl->ask->partitions[0]);
    if (!gone)
        return OK;
    if (strcmp(gone->name, "_default") == 0)
        return ctx_fail(ctx, ERR_UNEXPECTED, "default partition cannot be deleted");
    if (s_is_loaded(catalog_load(self->catalog, coll->id), gone->id))
        return ctx_fail(ctx, ERR_UNEXPECTED, "partition cannot be dropped, partition is loaded, "
                        "please release it first");
    Elanus__Partition **left = ctx_new(ctx, coll->n_partitions * sizeof *left);
    size_t n = 0;
    for (size_t i = 0; i < coll->n_partitions; i++)
        if (coll->partitions[i] != gone)
            left[n++] = coll->partitions[i];
    s_put(self, ddl, coll, left, n);
    return OK;
}
