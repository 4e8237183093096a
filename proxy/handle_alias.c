/* handle_alias - create, drop, alter, describe, list aliases */
#include "proxy/proxy_int.h"
#include "proxy/validate.h"

static void s_change(proxy_node_t *self, proxy_call_t *call, const event_t *ev, actions_t *act,
                     uint32_t method, const char *alias, const char *collection)
{
    bool drop = method == ELANUS__METHOD__METHOD_DROP_ALIAS;
    err_t err = validate_collection_name(call->ctx, "alias", alias);
    if (err == OK && !drop)
        err = validate_collection_name(call->ctx, "name", collection);
    if (err != OK) {
        proxy_refuse(self, call, ev, act, err);
        return;
    }
    Elanus__Ddl ask = ELANUS__DDL__INIT;
    ask.collection_name = (char *)collection;
    ask.alias = (char *)alias;
    proxy_ddl(self, call, ev, act, method, &ask);
}

void handle_create_alias(proxy_node_t *self, proxy_call_t *call, const event_t *ev, actions_t *act)
{
    const Milvus__CreateAliasRequest *request = (const void *)call->request;
    s_change(self, call, ev, act, ELANUS__METHOD__METHOD_CREATE_ALIAS, request->alias,
             request->collection_name);
}

void handle_alter_alias(proxy_node_t *self, proxy_call_t *call, const event_t *ev, actions_t *act)
{
    const Milvus__AlterAliasRequest *request = (const void *)call->request;
    s_change(self, call, ev, act, ELANUS__METHOD__METHOD_ALTER_ALIAS, request->alias,
             request->collection_name);
}

void handle_drop_alias(proxy_node_t *self, proxy_call_t *call, const event_t *ev, actions_t *act)
{
    const Milvus__DropAliasRequest *request = (const void *)call->request;
    s_change(self, call, ev, act, ELANUS__METHOD__METHOD_DROP_ALIAS, request->alias, "");
}

static err_t s_find(proxy_node_t *self, proxy_call_t *call, const char *name,
                    const Elanus__Alias **ret)
{
    const Elanus__Database *db = NULL;
    TRY(validate_collection_name(call->ctx, "alias", name));
    TRY(proxy_database(self, call, &db));
    const Elanus__Alias *alias = catalog_alias(self->catalog, db->id, name);
    if (!alias || !catalog_collection_by_id(self->catalog, alias->collection_id))
        return ctx_fail(call->ctx, ERR_ALIAS_NOT_FOUND, "alias not found[database=%s][alias=%s]",
                        call->db, name);
    *ret = alias;
    return OK;
}

void handle_describe_alias(proxy_node_t *self, proxy_call_t *call, const event_t *ev,
                           actions_t *act)
{
    const Milvus__DescribeAliasRequest *request = (const void *)call->request;
    const Elanus__Alias *alias = NULL;
    err_t err = s_find(self, call, request->alias, &alias);
    if (err != OK) {
        proxy_refuse(self, call, ev, act, err);
        return;
    }
    Milvus__DescribeAliasResponse response = MILVUS__DESCRIBE_ALIAS_RESPONSE__INIT;
    response.status = proxy_status_new(call->ctx, OK, NULL);
    response.db_name = call->db;
    response.alias = alias->name;
    response.collection = catalog_collection_by_id(self->catalog, alias->collection_id)->name;
    proxy_answer(self, call, act, &response);
}

/* Of one collection when it is named, else of the database. */
void handle_list_aliases(proxy_node_t *self, proxy_call_t *call, const event_t *ev, actions_t *act)
{
    const Milvus__ListAliasesRequest *request = (const void *)call->request;
    const Elanus__Collection *coll = NULL;
    const Elanus__Database *db = NULL;
    err_t err = proxy_database(self, call, &db);
    if (err == OK && request->collection_name[0])
        err = proxy_collection(self, call, request->collection_name, &coll);
    if (err != OK) {
        proxy_refuse(self, call, ev, act, err);
        return;
    }
    const void **all = NULL;
    size_t n = catalog_list(self->catalog, call->ctx, CATALOG_ALIAS, &all);
    Milvus__ListAliasesResponse response = MILVUS__LIST_ALIASES_RESPONSE__INIT;
    response.status = proxy_status_new(call->ctx, OK, NULL);
    response.db_name = call->db;
    response.collection_name = request->collection_name;
    response.aliases = ctx_new(call->ctx, (n + 1) * sizeof(char *));
    for (size_t i = 0; i < n; i++) {
        const Elanus__Alias *alias = all[i];
        if (alias->db_id == db->id && (!coll || alias->collection_id == coll->id))
            response.aliases[response.n_aliases++] = alias->name;
    }
    proxy_answer(self, call, act, &response);
}
