/* handle_catalog - what there is: ListDatabases, ShowCollections */
#include "proxy/proxy_int.h"

static void s_databases(proxy_node_t *self, proxy_call_t *call, const event_t *ev, actions_t *act)
{
    ctx_t *ctx = call->ctx;
    Elanus__DatabaseList *list = NULL;
    if (ev->err != OK) {
        proxy_status(self, call, act, ev->err, ev->text);
        return;
    }
    if (PB_UNPACK(ctx, elanus__database_list, ev->payload, &list) != OK) {
        proxy_status(self, call, act, ERR_INTERNAL, ctx->text);
        return;
    }
    Milvus__ListDatabasesResponse response = MILVUS__LIST_DATABASES_RESPONSE__INIT;
    size_t n = list->n_databases;
    response.status = proxy_status_new(ctx, OK, NULL);
    response.db_names = ctx_new(ctx, (n + 1) * sizeof(char *));
    response.created_timestamp = ctx_new(ctx, (n + 1) * sizeof(uint64_t));
    response.db_ids = ctx_new(ctx, (n + 1) * sizeof(int64_t));
    for (size_t i = 0; i < n; i++) {
        response.db_names[i] = list->databases[i]->name;
        response.created_timestamp[i] = list->databases[i]->created_ts;
        response.db_ids[i] = (int64_t)list->databases[i]->id;
    }
    response.n_db_names = response.n_created_timestamp = response.n_db_ids = n;
    proxy_answer(self, call, act, &response);
}

void handle_list_databases(proxy_node_t *self, proxy_call_t *call, const event_t *ev,
                           actions_t *act)
{
    proxy_ask(self, call, ev, act, ELANUS__METHOD__METHOD_LIST_DATABASES, view_of("", 0),
              s_databases);
}

static void s_collections(proxy_node_t *self, proxy_call_t *call, const event_t *ev, actions_t *act)
{
    ctx_t *ctx = call->ctx;
    Elanus__CollectionList *list = NULL;
    if (ev->err != OK) {
        proxy_status(self, call, act, ev->err, ctx_strdup(ctx, ev->text));
        return;
    }
    if (PB_UNPACK(ctx, elanus__collection_list, ev->payload, &list) != OK) {
        proxy_status(self, call, act, ERR_INTERNAL, ctx->text);
        return;
    }
    Milvus__ShowCollectionsResponse response = MILVUS__SHOW_COLLECTIONS_RESPONSE__INIT;
    size_t n = list->n_collections;
    response.status = proxy_status_new(ctx, OK, NULL);
    response.collection_names = ctx_new(ctx, (n + 1) * sizeof(char *));
    response.collection_ids = ctx_new(ctx, (n + 1) * sizeof(int64_t));
    response.created_timestamps = ctx_new(ctx, (n + 1) * sizeof(uint64_t));
    response.created_utc_timestamps = ctx_new(ctx, (n + 1) * sizeof(uint64_t));
    for (size_t i = 0; i < n; i++) {
        response.collection_names[i] = list->collections[i]->name;
        response.collection_ids[i] = (int64_t)list->collections[i]->id;
        response.created_timestamps[i] = list->collections[i]->created_ts;
        response.created_utc_timestamps[i] = list->collections[i]->created_ts >> 18;
    }
    response.n_collection_names = response.n_collection_ids = n;
    response.n_created_timestamps = response.n_created_utc_timestamps = n;
    proxy_answer(self, call, act, &response);
}

void handle_show_collections(proxy_node_t *self, proxy_call_t *call, const event_t *ev,
                             actions_t *act)
{
    Elanus__ShowCollections ask = ELANUS__SHOW_COLLECTIONS__INIT;
    ask.db_name = call->db;
    proxy_ask(self, call, ev, act, ELANUS__METHOD__METHOD_SHOW_COLLECTIONS,
              pb_pack(call->ctx, &ask), s_collections);
}
