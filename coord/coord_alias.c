/* coord_alias - aliases: create, drop, alter */
#include "coord/coord_int.h"

static void s_put(ddl_t *ddl, const Elanus__Collection *coll)
{
    Elanus__Alias alias = ELANUS__ALIAS__INIT;
    alias.name = ddl->ask->alias;
    alias.db_id = coll->db_id;
    alias.collection_id = coll->id;
    alias.token = ddl->ask->token;
    coord_ddl_put(ddl, catalog_key_alias(&ddl->memory, coll->db_id, alias.name), &alias);
}

/* A collection by its own name: no alias of an alias. */
static err_t s_target(coord_node_t *self, ddl_t *ddl, const Elanus__Collection **ret)
{
    const Elanus__Database *db = NULL;
    TRY(coord_find_database(self, ddl, &db));
    if (catalog_collection(self->catalog, db->id, ddl->ask->alias))
        return ctx_fail(&ddl->memory, ERR_ALIAS_CONFLICT, "alias and collection name conflict"
                        "[database=%s][alias=%s]", ddl->ask->db_name, ddl->ask->alias);
    const Elanus__Collection *coll = catalog_collection(self->catalog, db->id,
                                                        ddl->ask->collection_name);
    if (!coll)
        return ctx_fail(&ddl->memory, ERR_COLLECTION_NOT_FOUND,
                        "collection not found[database=%s][collection=%s]", ddl->ask->db_name,
                        ddl->ask->collection_name);
    *ret = coll;
    return OK;
}

err_t coord_create_alias(coord_node_t *self, ddl_t *ddl)
{
    const Elanus__Collection *coll = NULL;
    TRY(s_target(self, ddl, &coll));
    const Elanus__Alias *known = catalog_alias(self->catalog, coll->db_id, ddl->ask->alias);
    if (known && known->collection_id == coll->id)
        return OK;
    const Elanus__Collection *other =
        known ? catalog_collection_by_id(self->catalog, known->collection_id) : NULL;
    if (known)
        return ctx_fail(&ddl->memory, ERR_ALIAS_EXISTS, "%s is alias to another collection: %s: "
                        "alias already exist[database=%s][alias=%s]", known->name,
                        other ? other->name : "", ddl->ask->db_name, known->name);
    s_put(ddl, coll);
    return OK;
}

static err_t s_not_found(ddl_t *ddl)
{
    return ctx_fail(&ddl->memory, ERR_ALIAS_NOT_FOUND, "alias not found[database=%s][alias=%s]",
                    ddl->ask->db_name, ddl->ask->alias);
}

err_t coord_alter_alias(coord_node_t *self, ddl_t *ddl)
{
    const Elanus__Collection *coll = NULL;
    TRY(s_target(self, ddl, &coll));
    if (!catalog_alias(self->catalog, coll->db_id, ddl->ask->alias))
        return s_not_found(ddl);
    s_put(ddl, coll);
    return OK;
}

/* An alias that is not there is dropped already. */
err_t coord_drop_alias(coord_node_t *self, ddl_t *ddl)
{
    const Elanus__Database *db = NULL;
    TRY(coord_find_database(self, ddl, &db));
    if (catalog_alias(self->catalog, db->id, ddl->ask->alias))
        coord_ddl_delete(ddl, catalog_key_alias(&ddl->memory, db->id, ddl->ask->alias));
    return OK;
}
