/* coord_database - databases: create, drop, alter */
#include "coord/coord_int.h"
#include "core/base/limits.h"

err_t coord_create_database(coord_node_t *self, ddl_t *ddl)
{
    ctx_t *ctx = &ddl->memory;
    const Elanus__Database *known = catalog_database(self->catalog, ddl->ask->db_name);
    if (known && strcmp(known->token, ddl->ask->token) == 0)
        return OK;
    if (known)
        return ctx_fail(ctx, ERR_UNEXPECTED, "database already exist: %s", known->name);
    const void **all = NULL;
    if (catalog_list(self->catalog, ctx, CATALOG_DATABASE, &all) >= LIMIT_DATABASES)
        return ctx_fail(ctx, ERR_DATABASE_LIMIT,
                        "exceeded the limit number of database[limit=%d]", LIMIT_DATABASES);
    Elanus__Database db = ELANUS__DATABASE__INIT;
    db.id = coord_ddl_id(self, ddl);
    db.name = ddl->ask->db_name;
    db.created_ts = coord_ddl_ts(self, ddl);
    db.properties = ddl->ask->properties;
    db.n_properties = ddl->ask->n_properties;
    db.token = ddl->ask->token;
    coord_ddl_put(ddl, catalog_key_database(ctx, db.id), &db);
    return OK;
}

static bool s_is_empty(coord_node_t *self, ctx_t *ctx, uint64_t db)
{
    const void **all = NULL;
    size_t n = catalog_list(self->catalog, ctx, CATALOG_COLLECTION, &all);
    for (size_t i = 0; i < n; i++)
        if (((const Elanus__Collection *)all[i])->db_id == db)
            return false;
    return true;
}

/* A database that is not there is dropped already. */
err_t coord_drop_database(coord_node_t *self, ddl_t *ddl)
{
    ctx_t *ctx = &ddl->memory;
    const char *name = ddl->ask->db_name;
    if (strcmp(name, COORD_DEFAULT_DB) == 0)
        return ctx_fail(ctx, ERR_UNEXPECTED, "can not drop default database");
    const Elanus__Database *db = catalog_database(self->catalog, name);
    if (!db)
        return OK;
    if (!s_is_empty(self, ctx, db->id))
        return ctx_fail(ctx, ERR_UNEXPECTED, "database:%s not empty, must drop all collections "
                        "before drop database", name);
    coord_ddl_delete(ddl, catalog_key_database(ctx, db->id));
    return OK;
}

err_t coord_alter_database(coord_node_t *self, ddl_t *ddl)
{
    const Elanus__Database *known = NULL;
    TRY(coord_find_database(self, ddl, &known));
    Elanus__Database db = *known;
    coord_alter_pairs(ddl, &db.properties, &db.n_properties);
    coord_ddl_put(ddl, catalog_key_database(&ddl->memory, db.id), &db);
    return OK;
}
