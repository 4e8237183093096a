/* coord_index - index definitions: create, drop, alter
 *
 * A definition says what to build; the builds, segment by segment, are tasks
 * that refer to it.
 */
#include "coord/coord_int.h"

static bool s_same_params(const Elanus__Index *a, const Elanus__Ddl *b)
{
    if (a->n_params != b->n_properties)
        return false;
    for (size_t i = 0; i < a->n_params; i++) {
        const char *other = catalog_pair(b->properties, b->n_properties, a->params[i]->key);
        if (!other || strcmp(other, a->params[i]->value) != 0)
            return false;
    }
    return true;
}

/* An index without a name is the field's own, or called like the field. */
static const char *s_name(const Elanus__Ddl *ask, int64_t field, const Elanus__Index **known,
                          size_t n)
{
    if (ask->index_name[0])
        return ask->index_name;
    for (size_t i = 0; i < n; i++)
        if (known[i]->field_id == field)
            return known[i]->name;
    return ask->field_name;
}

/* OK with *ret_exists when the same index is there. */
static err_t s_compare(ddl_t *ddl, const char *name, int64_t field, const Elanus__Index **known,
                       size_t n, bool *ret_exists)
{
    for (size_t i = 0; i < n; i++) {
        bool same_name = strcmp(known[i]->name, name) == 0;
        bool same_field = known[i]->field_id == field;
        if (same_name && same_field && s_same_params(known[i], ddl->ask)) {
            *ret_exists = true;
            return OK;
        }
        if (same_name)
            return ctx_fail(&ddl->memory, ERR_UNEXPECTED, "CreateIndex failed: at most one "
                            "distinct index is allowed per field");
        if (same_field)
            return ctx_fail(&ddl->memory, ERR_UNEXPECTED, "CreateIndex failed: creating multiple "
                            "indexes on same field is not supported");
    }
    return OK;
}

err_t coord_create_index(coord_node_t *self, ddl_t *ddl)
{
    ctx_t *ctx = &ddl->memory;
    const Elanus__Collection *coll = NULL;
    TRY(coord_find_collection(self, ddl, &coll));
    const Elanus__Field *field = catalog_field(coll, ddl->ask->field_name);
    if (!field)
        return ctx_fail(ctx, ERR_UNEXPECTED, "cannot create index on non-exist field: %s",
                        ddl->ask->field_name);
    const Elanus__Index **known = NULL;
    size_t n = catalog_indexes_of(self->catalog, ctx, coll->id, &known);
    const char *name = s_name(ddl->ask, field->id, known, n);
    bool exists = false;
    TRY(s_compare(ddl, name, field->id, known, n, &exists));
    if (exists)
        return OK;
    Elanus__Index index = ELANUS__INDEX__INIT;
    index.id = coord_ddl_id(self, ddl);
    index.collection_id = coll->id;
    index.field_id = field->id;
    index.name = ctx_strdup(ctx, name);
    index.params = ddl->ask->properties;
    index.n_params = ddl->ask->n_properties;
    index.created_ts = coord_ddl_ts(self, ddl);
    index.automatic = ddl->ask->automatic;
    coord_ddl_put(ddl, catalog_key_index(ctx, coll->id, index.id), &index);
    return OK;
}

/* By the names given; what is not there is dropped already. */
err_t coord_drop_index(coord_node_t *self, ddl_t *ddl)
{
    ctx_t *ctx = &ddl->memory;
    const Elanus__Collection *coll = NULL;
    TRY(coord_find_collection(self, ddl, &coll));
    const Elanus__Field *field = catalog_field(coll, ddl->ask->field_name);
    const Elanus__Index **known = NULL;
    size_t n = catalog_indexes_of(self->catalog, ctx, coll->id, &known);
    for (size_t i = 0; i < n; i++) {
        bool named = !ddl->ask->index_name[0] || strcmp(known[i]->name, ddl->ask->index_name) == 0;
        bool of_field = ddl->ask->index_name[0] || !field || field->id == known[i]->field_id;
        if (named && of_field)
            coord_ddl_delete(ddl, catalog_key_index(ctx, coll->id, known[i]->id));
    }
    if (ddl->ops.len > 0 && catalog_load(self->catalog, coll->id))
        return ctx_fail(ctx, ERR_UNEXPECTED, "index cannot be dropped, collection is loaded, "
                        "please release it first");
    return OK;
}

err_t coord_alter_index(coord_node_t *self, ddl_t *ddl)
{
    ctx_t *ctx = &ddl->memory;
    const Elanus__Collection *coll = NULL;
    TRY(coord_find_collection(self, ddl, &coll));
    const Elanus__Index **known = NULL;
    size_t n = catalog_indexes_of(self->catalog, ctx, coll->id, &known), at = 0;
    while (at < n && strcmp(known[at]->name, ddl->ask->index_name) != 0)
        at++;
    if (at == n)
        return ctx_fail(ctx, ERR_INDEX_NOT_FOUND, "index not found[indexName=%s]",
                        ddl->ask->index_name);
    if (catalog_load(self->catalog, coll->id))
        return ctx_fail(ctx, ERR_COLLECTION_LOADED, "can't alter index on loaded collection, "
                        "please release the collection first: collection already loaded"
                        "[collection=%s]", coll->name);
    Elanus__Index index = *known[at];
    coord_alter_pairs(ddl, &index.params, &index.n_params);
    coord_ddl_put(ddl, catalog_key_index(ctx, coll->id, index.id), &index);
    return OK;
}
