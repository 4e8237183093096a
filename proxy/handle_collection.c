/* handle_collection - create, drop, rename, alter, describe, has, show and count collections */
#include "core/base/limits.h"
#include "proxy/proxy_gather.h"
#include "proxy/translate.h"
#include "proxy/validate.h"

/* --- changes ----------------------------------------------------------------------- */

static err_t s_read_schema(proxy_call_t *call, const Milvus__CreateCollectionRequest *request,
                           Schema__CollectionSchema **ret)
{
    ctx_t *ctx = call->ctx;
    Schema__CollectionSchema *schema = NULL;
    if (PB_UNPACK(ctx, schema__collection_schema,
                  view_of(request->schema.data, request->schema.len), &schema) != OK)
        return ctx_prefix(ctx, "cannot read the collection schema");
    TRY(validate_create(ctx, request, schema));
    *ret = schema;
    return OK;
}

void handle_create_collection(proxy_node_t *self, proxy_call_t *call, const event_t *ev,
                              actions_t *act)
{
    const Milvus__CreateCollectionRequest *request = (const void *)call->request;
    Schema__CollectionSchema *schema = NULL;
    err_t err = s_read_schema(call, request, &schema);
    if (err != OK) {
        proxy_refuse(self, call, ev, act, err);
        return;
    }
    Elanus__Ddl ask = ELANUS__DDL__INIT;
    ask.collection_name = (char *)request->collection_name;
    ask.collection = translate_collection_in(call->ctx, request, schema);
    ask.shards = request->shards_num > 0 ? (uint32_t)request->shards_num : 1;
    proxy_ddl(self, call, ev, act, ELANUS__METHOD__METHOD_CREATE_COLLECTION, &ask);
}

void handle_drop_collection(proxy_node_t *self, proxy_call_t *call, const event_t *ev,
                            actions_t *act)
{
    const Milvus__DropCollectionRequest *request = (const void *)call->request;
    err_t err = validate_collection_name(call->ctx, "name", request->collection_name);
    if (err != OK) {
        proxy_refuse(self, call, ev, act, err);
        return;
    }
    Elanus__Ddl ask = ELANUS__DDL__INIT;
    ask.collection_name = (char *)request->collection_name;
    proxy_ddl(self, call, ev, act, ELANUS__METHOD__METHOD_DROP_COLLECTION, &ask);
}

void handle_rename_collection(proxy_node_t *self, proxy_call_t *call, const event_t *ev,
                              actions_t *act)
{
    const Milvus__RenameCollectionRequest *request = (const void *)call->request;
    err_t err = validate_collection_name(call->ctx, "name", request->newname);
    if (err != OK) {
        proxy_refuse(self, call, ev, act, err);
        return;
    }
    Elanus__Ddl ask = ELANUS__DDL__INIT;
    ask.collection_name = (char *)request->oldname;
    ask.new_name = (char *)request->newname;
    ask.new_db_name = (char *)request->newdbname;
    proxy_ddl(self, call, ev, act, ELANUS__METHOD__METHOD_RENAME_COLLECTION, &ask);
}

static err_t s_check_alter(ctx_t *ctx, size_t n_properties, size_t n_delete_keys)
{
    if (n_properties && n_delete_keys)
        return ctx_fail(ctx, ERR_PARAM_INVALID,
                        "cannot provide both DeleteKeys and ExtraParams: invalid parameter");
    if (!n_properties && !n_delete_keys)
        return ctx_fail(ctx, ERR_PARAM_INVALID,
                        "cannot provide empty DeleteKeys and ExtraParams: invalid parameter");
    return OK;
}

void handle_alter_collection(proxy_node_t *self, proxy_call_t *call, const event_t *ev,
                             actions_t *act)
{
    const Milvus__AlterCollectionRequest *request = (const void *)call->request;
    err_t err = s_check_alter(call->ctx, request->n_properties, request->n_delete_keys);
    const char *ttl = validate_param(request->properties, request->n_properties,
                                     "collection.ttl.seconds");
    int64_t seconds = 0;
    if (err == OK && ttl && (!validate_number(ttl, &seconds) || seconds < 0))
        err = ctx_fail(call->ctx, ERR_PARAM_INVALID,
                       "collection TTL is out of range, expect [0, 3155760000], got %s: "
                       "invalid parameter", ttl);
    if (err != OK) {
        proxy_refuse(self, call, ev, act, err);
        return;
    }
    Elanus__Ddl ask = ELANUS__DDL__INIT;
    ask.collection_name = (char *)request->collection_name;
    ask.properties = translate_pairs_in(call->ctx, request->properties, request->n_properties);
    ask.n_properties = request->n_properties;
    ask.delete_keys = (char **)request->delete_keys;
    ask.n_delete_keys = request->n_delete_keys;
    proxy_ddl(self, call, ev, act, ELANUS__METHOD__METHOD_ALTER_COLLECTION, &ask);
}

/* What of a field may change: bounds that only new rows feel, and how it is loaded. */
static err_t s_check_field_params(proxy_call_t *call,
                                  const Milvus__AlterCollectionFieldRequest *request)
{
    TRY(s_check_alter(call->ctx, request->n_properties, request->n_delete_keys));
    for (size_t i = 0; i < request->n_properties; i++) {
        const char *key = request->properties[i]->key, *text = request->properties[i]->value;
        int64_t value = 0;
        if (strcmp(key, "max_length") == 0) {
            if (!validate_number(text, &value) || value <= 0 || value > LIMIT_VARCHAR_BYTES)
                return ctx_fail(call->ctx, ERR_PARAM_INVALID, "the maximum length specified for a "
                                "VarChar should be in (0, %d]: invalid parameter",
                                LIMIT_VARCHAR_BYTES);
        } else if (strcmp(key, "max_capacity") == 0) {
            if (!validate_number(text, &value) || value <= 0 || value > LIMIT_ARRAY_CAPACITY)
                return ctx_fail(call->ctx, ERR_UNEXPECTED, "the maximum capacity specified for a "
                                "Array should be in (0, %d]", LIMIT_ARRAY_CAPACITY);
        } else if (strcmp(key, "mmap.enabled") != 0 && strcmp(key, "mmap_enabled") != 0) {
            return ctx_fail(call->ctx, ERR_PARAM_INVALID, "%s does not allow update in collection "
                            "field param: invalid parameter", key);
        }
    }
    return OK;
}

void handle_alter_collection_field(proxy_node_t *self, proxy_call_t *call, const event_t *ev,
                                   actions_t *act)
{
    const Milvus__AlterCollectionFieldRequest *request = (const void *)call->request;
    err_t err = s_check_field_params(call, request);
    if (err != OK) {
        proxy_refuse(self, call, ev, act, err);
        return;
    }
    Elanus__Ddl ask = ELANUS__DDL__INIT;
    ask.collection_name = (char *)request->collection_name;
    ask.field_name = (char *)request->field_name;
    ask.properties = translate_pairs_in(call->ctx, request->properties, request->n_properties);
    ask.n_properties = request->n_properties;
    ask.delete_keys = (char **)request->delete_keys;
    ask.n_delete_keys = request->n_delete_keys;
    proxy_ddl(self, call, ev, act, ELANUS__METHOD__METHOD_ALTER_FIELD, &ask);
}

/* --- describe ---------------------------------------------------------------------- */

/* Clients know this answer by its words or by code 100, and 1 as the legacy code. */
static void s_describe_missing(proxy_node_t *self, proxy_call_t *call, actions_t *act,
                               const char *name)
{
    Milvus__DescribeCollectionResponse response = MILVUS__DESCRIBE_COLLECTION_RESPONSE__INIT;
    response.status = proxy_status_new(call->ctx, ERR_COLLECTION_NOT_FOUND,
                                       ctx_printf(call->ctx, "can't find collection[database=%s]"
                                                  "[collection=%s]", call->db, name));
    response.status->error_code = COMMON__ERROR_CODE__UnexpectedError;
    proxy_answer(self, call, act, &response);
}

/* "by-dev-rootcoord-dml_3" of "by-dev-rootcoord-dml_3_101v0" */
static const char *s_physical(ctx_t *ctx, const char *vchannel)
{
    const char *end = strrchr(vchannel, '_');
    return end ? ctx_printf(ctx, "%.*s", (int)(end - vchannel), vchannel) : vchannel;
}

static void s_channels(ctx_t *ctx, const Elanus__Collection *coll,
                       Milvus__DescribeCollectionResponse *response)
{
    size_t n = coll->n_vchannels;
    response->virtual_channel_names = ctx_new(ctx, (n + 1) * sizeof(char *));
    response->physical_channel_names = ctx_new(ctx, (n + 1) * sizeof(char *));
    for (size_t i = 0; i < n; i++) {
        response->virtual_channel_names[i] = coll->vchannels[i];
        response->physical_channel_names[i] = s_physical(ctx, coll->vchannels[i]);
    }
    response->n_virtual_channel_names = response->n_physical_channel_names = n;
    response->shards_num = (int32_t)n;
}

static void s_describe(proxy_node_t *self, proxy_call_t *call, const Elanus__Collection *coll,
                       const event_t *ev, actions_t *act)
{
    ctx_t *ctx = call->ctx;
    Milvus__DescribeCollectionResponse response = MILVUS__DESCRIBE_COLLECTION_RESPONSE__INIT;
    const Elanus__Database *db = catalog_database_by_id(self->catalog, coll->db_id);
    const Elanus__Alias **aliases = NULL;
    size_t n = catalog_aliases_of(self->catalog, ctx, coll->id, &aliases);
    response.status = proxy_status_new(ctx, OK, NULL);
    response.schema = translate_schema_out(ctx, coll);
    response.collectionid = (int64_t)coll->id;
    s_channels(ctx, coll, &response);
    response.created_timestamp = coll->created_ts;
    response.created_utc_timestamp = coll->created_ts >> 18;
    response.update_timestamp = coll->update_ts;
    response.update_timestamp_str = ctx_printf(ctx, "%llu", (unsigned long long)coll->update_ts);
    response.aliases = ctx_new(ctx, (n + 1) * sizeof(char *));
    for (size_t i = 0; i < n; i++)
        response.aliases[response.n_aliases++] = aliases[i]->name;
    response.consistency_level = (Common__ConsistencyLevel)coll->consistency;
    response.collection_name = coll->name;
    response.properties = translate_pairs_out(ctx, coll->properties, coll->n_properties);
    response.n_properties = coll->n_properties;
    response.db_name = db ? db->name : call->db;
    response.db_id = (int64_t)coll->db_id;
    response.num_partitions = (int64_t)coll->n_partitions;
    response.request_time = (uint64_t)ev->wall_ms << 18;
    proxy_answer(self, call, act, &response);
}

/* By name, or by id when no name is given. */
static err_t s_which(proxy_node_t *self, proxy_call_t *call, const char *name, int64_t id,
                     const Elanus__Collection **ret)
{
    if (name[0] || id == 0)
        return proxy_collection(self, call, name, ret);
    *ret = catalog_collection_by_id(self->catalog, (uint64_t)id);
    return *ret ? OK : ctx_fail(call->ctx, ERR_COLLECTION_NOT_FOUND,
                                "collection not found[collection=%lld]", (long long)id);
}

void handle_describe_collection(proxy_node_t *self, proxy_call_t *call, const event_t *ev,
                                actions_t *act)
{
    const Milvus__DescribeCollectionRequest *request = (const void *)call->request;
    const Elanus__Collection *coll = NULL;
    err_t err = s_which(self, call, request->collection_name, request->collectionid, &coll);
    if (err == OK)
        s_describe(self, call, coll, ev, act);
    else if (err != ERR_COLLECTION_NOT_FOUND)
        proxy_refuse(self, call, ev, act, err);
    else if (!proxy_look_again(self, call, ev, act))
        s_describe_missing(self, call, act, request->collection_name);
}

void handle_has_collection(proxy_node_t *self, proxy_call_t *call, const event_t *ev,
                           actions_t *act)
{
    const Milvus__HasCollectionRequest *request = (const void *)call->request;
    const Elanus__Collection *coll = NULL;
    err_t err = proxy_collection(self, call, request->collection_name, &coll);
    if (err != OK && err != ERR_COLLECTION_NOT_FOUND) {
        proxy_refuse(self, call, ev, act, err);
        return;
    }
    if (err != OK && proxy_look_again(self, call, ev, act))
        return;
    Milvus__BoolResponse response = MILVUS__BOOL_RESPONSE__INIT;
    response.status = proxy_status_new(call->ctx, OK, NULL);
    response.value = err == OK;
    proxy_answer(self, call, act, &response);
}

/* --- lists -------------------------------------------------------------------------- */

static bool s_is_named(const Milvus__ShowCollectionsRequest *request, const char *name)
{
    for (size_t i = 0; i < request->n_collection_names; i++)
        if (strcmp(request->collection_names[i], name) == 0)
            return true;
    return request->n_collection_names == 0;
}

/* Loaded ones only: each that is named must be loaded. */
static err_t s_check_loaded(proxy_node_t *self, proxy_call_t *call,
                            const Milvus__ShowCollectionsRequest *request)
{
    for (size_t i = 0; i < request->n_collection_names; i++) {
        const Elanus__Collection *coll = NULL;
        TRY(proxy_collection(self, call, request->collection_names[i], &coll));
        if (!catalog_load(self->catalog, coll->id))
            return ctx_fail(call->ctx, ERR_COLLECTION_NOT_LOADED,
                            "collection not loaded[collection=%llu]",
                            (unsigned long long)coll->id);
    }
    return OK;
}

/* loaded: how far each is, when only those in memory are asked for; else NULL. */
static void s_show(proxy_node_t *self, proxy_call_t *call, const Elanus__Database *db,
                   const proxy_gather_t *loaded, actions_t *act)
{
    ctx_t *ctx = call->ctx;
    const Milvus__ShowCollectionsRequest *request = (const void *)call->request;
    const void **all = NULL;
    size_t n = catalog_list(self->catalog, ctx, CATALOG_COLLECTION, &all), kept = 0;
    Milvus__ShowCollectionsResponse response = MILVUS__SHOW_COLLECTIONS_RESPONSE__INIT;
    response.status = proxy_status_new(ctx, OK, NULL);
    response.collection_names = ctx_new(ctx, (n + 1) * sizeof(char *));
    response.collection_ids = ctx_new(ctx, (n + 1) * sizeof(int64_t));
    response.created_timestamps = ctx_new(ctx, (n + 1) * sizeof(uint64_t));
    response.created_utc_timestamps = ctx_new(ctx, (n + 1) * sizeof(uint64_t));
    response.shards_num = ctx_new(ctx, (n + 1) * sizeof(int32_t));
    response.inmemory_percentages = ctx_new(ctx, (n + 1) * sizeof(int64_t));
    response.query_service_available = ctx_new(ctx, (n + 1) * sizeof(protobuf_c_boolean));
    for (size_t i = 0; i < n; i++) {
        const Elanus__Collection *coll = all[i];
        if (coll->db_id != db->id || (loaded && (!catalog_load(self->catalog, coll->id) ||
                                                 !s_is_named(request, coll->name))))
            continue;
        response.collection_names[kept] = coll->name;
        response.collection_ids[kept] = (int64_t)coll->id;
        response.created_timestamps[kept] = coll->created_ts;
        response.created_utc_timestamps[kept] = coll->created_ts >> 18;
        response.shards_num[kept] = (int32_t)coll->n_vchannels;
        int64_t percent = loaded ? proxy_gather_percent(loaded, coll->id, NULL) : 0;
        response.inmemory_percentages[kept] = percent;
        response.query_service_available[kept++] = percent == 100;
    }
    response.n_collection_names = response.n_collection_ids = kept;
    response.n_created_timestamps = response.n_created_utc_timestamps = kept;
    response.n_shards_num = kept;
    response.n_inmemory_percentages = response.n_query_service_available = loaded ? kept : 0;
    proxy_answer(self, call, act, &response);
}

static err_t s_find_loaded(proxy_node_t *self, proxy_gather_t *gather, const event_t *ev)
{
    const Milvus__ShowCollectionsRequest *request = (const void *)gather->call->request;
    const Elanus__Database *db = NULL;
    TRY(proxy_database(self, gather->call, &db));
    TRY(s_check_loaded(self, gather->call, request));
    const void **loads = NULL;
    size_t n = catalog_list(self->catalog, ev->ctx, CATALOG_LOAD, &loads);
    for (size_t i = 0; i < n; i++) {
        Elanus__LoadedAsk ask = ELANUS__LOADED_ASK__INIT;
        ask.collection = ((const Elanus__Load *)loads[i])->collection_id;
        const Elanus__Collection *coll = catalog_collection_by_id(self->catalog, ask.collection);
        if (coll && coll->db_id == db->id && s_is_named(request, coll->name))
            proxy_gather_leaders(self, gather, &ask, coll->id);
    }
    return OK;
}

static void s_show_loaded(proxy_node_t *self, proxy_gather_t *gather, const event_t *ev,
                          actions_t *act)
{
    const Elanus__Database *db = NULL;
    err_t err = proxy_database(self, gather->call, &db);
    if (err == OK)
        s_show(self, gather->call, db, gather, act);
    else
        proxy_refuse(self, gather->call, ev, act, err);
}

void handle_show_collections(proxy_node_t *self, proxy_call_t *call, const event_t *ev,
                             actions_t *act)
{
    const Milvus__ShowCollectionsRequest *request = (const void *)call->request;
    const Elanus__Database *db = NULL;
    err_t err = proxy_database(self, call, &db);
    if (err != OK)
        proxy_refuse(self, call, ev, act, err);
    else if (request->type != MILVUS__SHOW_TYPE__InMemory)
        s_show(self, call, db, NULL, act);
    else
        proxy_gather(self, call, &(proxy_gather_t){
            .method = ELANUS__METHOD__METHOD_LOADED, .type = &elanus__loaded__descriptor,
            .find = s_find_loaded, .then = s_show_loaded, .tolerant = true }, ev, act);
}

/* --- statistics --------------------------------------------------------------------- */

static Common__KeyValuePair **s_row_count(ctx_t *ctx, uint64_t rows)
{
    Common__KeyValuePair **stats = ctx_new(ctx, sizeof *stats);
    stats[0] = ctx_new(ctx, sizeof **stats);
    common__key_value_pair__init(stats[0]);
    stats[0]->key = "row_count";
    stats[0]->value = ctx_printf(ctx, "%llu", (unsigned long long)rows);
    return stats;
}

/* As Milvus counts: rows that rest in the store, deleted ones too. */
static void s_count(proxy_node_t *self, proxy_call_t *call, uint64_t collection,
                    Elanus__Segment *const *segments, size_t n, const event_t *ev, actions_t *act)
{
    (void)collection, (void)ev;
    uint64_t rows = 0;
    for (size_t i = 0; i < n; i++)
        rows += segments[i]->rows;
    Milvus__GetCollectionStatisticsResponse response =
        MILVUS__GET_COLLECTION_STATISTICS_RESPONSE__INIT;
    response.status = proxy_status_new(call->ctx, OK, NULL);
    response.stats = s_row_count(call->ctx, rows);
    response.n_stats = 1;
    proxy_answer(self, call, act, &response);
}

void handle_get_collection_statistics(proxy_node_t *self, proxy_call_t *call, const event_t *ev,
                                      actions_t *act)
{
    const Milvus__GetCollectionStatisticsRequest *request = (const void *)call->request;
    const Elanus__Collection *coll = NULL;
    err_t err = proxy_collection(self, call, request->collection_name, &coll);
    if (err == OK)
        proxy_stored(self, call, coll->id, s_count, act);
    else
        proxy_refuse(self, call, ev, act, err);
}

static err_t s_partition(proxy_node_t *self, proxy_call_t *call, const Elanus__Collection **ret,
                         const Elanus__Partition **ret_partition)
{
    const Milvus__GetPartitionStatisticsRequest *request = (const void *)call->request;
    TRY(proxy_collection(self, call, request->collection_name, ret));
    return proxy_partition(call, *ret, request->partition_name, ret_partition);
}

static void s_count_partition(proxy_node_t *self, proxy_call_t *call, uint64_t collection,
                              Elanus__Segment *const *segments, size_t n, const event_t *ev,
                              actions_t *act)
{
    (void)collection;
    const Elanus__Collection *coll = NULL;
    const Elanus__Partition *partition = NULL;
    err_t err = s_partition(self, call, &coll, &partition);     /* again: it may be gone by now */
    if (err != OK) {
        proxy_refuse(self, call, ev, act, err);
        return;
    }
    uint64_t rows = 0;
    for (size_t i = 0; i < n; i++)
        if (segments[i]->partition == partition->id)
            rows += segments[i]->rows;
    Milvus__GetPartitionStatisticsResponse response =
        MILVUS__GET_PARTITION_STATISTICS_RESPONSE__INIT;
    response.status = proxy_status_new(call->ctx, OK, NULL);
    response.stats = s_row_count(call->ctx, rows);
    response.n_stats = 1;
    proxy_answer(self, call, act, &response);
}

void handle_get_partition_statistics(proxy_node_t *self, proxy_call_t *call, const event_t *ev,
                                     actions_t *act)
{
    const Elanus__Collection *coll = NULL;
    const Elanus__Partition *partition = NULL;
    err_t err = s_partition(self, call, &coll, &partition);
    if (err == OK)
        proxy_stored(self, call, coll->id, s_count_partition, act);
    else
        proxy_refuse(self, call, ev, act, err);
}
