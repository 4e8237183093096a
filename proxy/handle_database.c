/* handle_database - CreateDatabase, DropDatabase, ListDatabases, DescribeDatabase, AlterDatabase */
#include "proxy/proxy_int.h"
#include "proxy/translate.h"
#include "proxy/validate.h"

void handle_create_database(proxy_node_t *self, proxy_call_t *call, const event_t *ev,
                            actions_t *act)
{
    const Milvus__CreateDatabaseRequest *request = (const void *)call->request;
    if (validate_database_name(call->ctx, request->db_name) != OK) {
        proxy_refuse(self, call, ev, act, ERR_DATABASE_NAME);
        return;
    }
    Elanus__Ddl ask = ELANUS__DDL__INIT;
    ask.db_name = (char *)request->db_name;
    ask.properties = translate_pairs_in(call->ctx, request->properties, request->n_properties);
    ask.n_properties = request->n_properties;
    proxy_ddl(self, call, ev, act, ELANUS__METHOD__METHOD_CREATE_DATABASE, &ask);
}

void handle_drop_database(proxy_node_t *self, proxy_call_t *call, const event_t *ev,
                          actions_t *act)
{
    const Milvus__DropDatabaseRequest *request = (const void *)call->request;
    if (validate_database_name(call->ctx, request->db_name) != OK) {
        proxy_refuse(self, call, ev, act, ERR_DATABASE_NAME);
        return;
    }
    Elanus__Ddl ask = ELANUS__DDL__INIT;
    ask.db_name = (char *)request->db_name;
    proxy_ddl(self, call, ev, act, ELANUS__METHOD__METHOD_DROP_DATABASE, &ask);
}

void handle_alter_database(proxy_node_t *self, proxy_call_t *call, const event_t *ev,
                           actions_t *act)
{
    const Milvus__AlterDatabaseRequest *request = (const void *)call->request;
    Elanus__Ddl ask = ELANUS__DDL__INIT;
    if (request->n_properties && request->n_delete_keys) {
        proxy_status(self, call, act, ERR_PARAM_INVALID,
                     "cannot provide both DeleteKeys and ExtraParams: invalid parameter");
        return;
    }
    ask.properties = translate_pairs_in(call->ctx, request->properties, request->n_properties);
    ask.n_properties = request->n_properties;
    ask.delete_keys = (char **)request->delete_keys;
    ask.n_delete_keys = request->n_delete_keys;
    proxy_ddl(self, call, ev, act, ELANUS__METHOD__METHOD_ALTER_DATABASE, &ask);
}

void handle_describe_database(proxy_node_t *self, proxy_call_t *call, const event_t *ev,
                              actions_t *act)
{
    const Elanus__Database *db = NULL;
    err_t err = proxy_database(self, call, &db);
    if (err != OK) {
        proxy_refuse(self, call, ev, act, err);
        return;
    }
    Milvus__DescribeDatabaseResponse response = MILVUS__DESCRIBE_DATABASE_RESPONSE__INIT;
    response.status = proxy_status_new(call->ctx, OK, NULL);
    response.db_name = db->name;
    response.dbid = (int64_t)db->id;
    response.created_timestamp = db->created_ts;
    response.properties = translate_pairs_out(call->ctx, db->properties, db->n_properties);
    response.n_properties = db->n_properties;
    proxy_answer(self, call, act, &response);
}

void handle_list_databases(proxy_node_t *self, proxy_call_t *call, const event_t *ev,
                           actions_t *act)
{
    (void)ev;
    ctx_t *ctx = call->ctx;
    const void **all = NULL;
    size_t n = catalog_list(self->catalog, ctx, CATALOG_DATABASE, &all);
    Milvus__ListDatabasesResponse response = MILVUS__LIST_DATABASES_RESPONSE__INIT;
    response.status = proxy_status_new(ctx, OK, NULL);
    response.db_names = ctx_new(ctx, (n + 1) * sizeof(char *));
    response.created_timestamp = ctx_new(ctx, (n + 1) * sizeof(uint64_t));
    response.db_ids = ctx_new(ctx, (n + 1) * sizeof(int64_t));
    for (size_t i = 0; i < n; i++) {
        const Elanus__Database *db = all[i];
        response.db_names[i] = db->name;
        response.created_timestamp[i] = db->created_ts;
        response.db_ids[i] = (int64_t)db->id;
    }
    response.n_db_names = response.n_created_timestamp = response.n_db_ids = n;
    proxy_answer(self, call, act, &response);
}
