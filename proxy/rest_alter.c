/* rest_alter - see rest_alter.h */
#include "proxy/rest_alter.h"

#include <stdlib.h>

#include "common.pb-c.h"
#include "milvus.pb-c.h"
#include "proxy/rest_schema.h"

/* --- members ---------------------------------------------------------------------------- */

/* A name that must be there. */
static err_t s_name(ctx_t *ctx, json_t *body, const char *key, const char *missing,
                    const char **ret)
{
    TRY(rest_text(ctx, body, key, ret));
    return (*ret)[0] ? OK : rest_missing(ctx, "AlterReq", missing);
}

static err_t s_pairs(ctx_t *ctx, json_t *body, const char *key, Common__KeyValuePair ***ret,
                     size_t *ret_n)
{
    json_t *given = json_object_get(body, key), *value = NULL;
    const char *name = NULL;
    if (!given || json_is_null(given))
        return OK;
    if (!json_is_object(given))
        return rest_wrong(ctx, key, "an object");
    *ret = ctx_new(ctx, (json_object_size(given) + 1) * sizeof **ret);
    json_object_foreach(given, name, value)
        (*ret)[(*ret_n)++] = rest_schema_pair(ctx, ctx_strdup(ctx, name),
                                              rest_schema_text(ctx, value));
    return OK;
}

static err_t s_keys(ctx_t *ctx, json_t *body, const char ***ret, size_t *ret_n)
{
    json_t *given = json_object_get(body, "propertyKeys");
    if (!given || json_is_null(given))
        return OK;
    if (!json_is_array(given))
        return rest_wrong(ctx, "propertyKeys", "a list of strings");
    *ret = ctx_new(ctx, (json_array_size(given) + 1) * sizeof **ret);
    for (size_t i = 0; i < json_array_size(given); i++) {
        const char *key = json_string_value(json_array_get(given, i));
        if (!key)
            return rest_wrong(ctx, "propertyKeys", "a list of strings");
        (*ret)[(*ret_n)++] = ctx_strdup(ctx, key);
    }
    return OK;
}

/* --- properties ---------------------------------------------------------------------------- */

static err_t s_collection(ctx_t *ctx, json_t *body, ProtobufCMessage **ret)
{
    Milvus__AlterCollectionRequest *to = ctx_new(ctx, sizeof *to);
    milvus__alter_collection_request__init(to);
    TRY(rest_text(ctx, body, "dbName", &to->db_name));
    TRY(s_name(ctx, body, "collectionName", "CollectionName", &to->collection_name));
    TRY(s_pairs(ctx, body, "properties", &to->properties, &to->n_properties));
    TRY(s_keys(ctx, body, &to->delete_keys, &to->n_delete_keys));
    *ret = (ProtobufCMessage *)to;
    return OK;
}

static err_t s_field(ctx_t *ctx, json_t *body, ProtobufCMessage **ret)
{
    Milvus__AlterCollectionFieldRequest *to = ctx_new(ctx, sizeof *to);
    milvus__alter_collection_field_request__init(to);
    TRY(rest_text(ctx, body, "dbName", &to->db_name));
    TRY(s_name(ctx, body, "collectionName", "CollectionName", &to->collection_name));
    TRY(s_name(ctx, body, "fieldName", "FieldName", &to->field_name));
    TRY(s_pairs(ctx, body, "fieldParams", &to->properties, &to->n_properties));
    *ret = (ProtobufCMessage *)to;
    return OK;
}

static err_t s_database(ctx_t *ctx, json_t *body, ProtobufCMessage **ret)
{
    Milvus__AlterDatabaseRequest *to = ctx_new(ctx, sizeof *to);
    milvus__alter_database_request__init(to);
    TRY(s_name(ctx, body, "dbName", "DbName", &to->db_name));
    TRY(s_pairs(ctx, body, "properties", &to->properties, &to->n_properties));
    TRY(s_keys(ctx, body, &to->delete_keys, &to->n_delete_keys));
    *ret = (ProtobufCMessage *)to;
    return OK;
}

static err_t s_index(ctx_t *ctx, json_t *body, ProtobufCMessage **ret)
{
    Milvus__AlterIndexRequest *to = ctx_new(ctx, sizeof *to);
    milvus__alter_index_request__init(to);
    TRY(rest_text(ctx, body, "dbName", &to->db_name));
    TRY(s_name(ctx, body, "collectionName", "CollectionName", &to->collection_name));
    TRY(s_name(ctx, body, "indexName", "IndexName", &to->index_name));
    TRY(s_pairs(ctx, body, "properties", &to->extra_params, &to->n_extra_params));
    TRY(s_keys(ctx, body, &to->delete_keys, &to->n_delete_keys));
    *ret = (ProtobufCMessage *)to;
    return OK;
}

/* --- flush, compaction, loading anew -------------------------------------------------------- */

static err_t s_flush(ctx_t *ctx, json_t *body, ProtobufCMessage **ret)
{
    Milvus__FlushRequest *to = ctx_new(ctx, sizeof *to);
    milvus__flush_request__init(to);
    to->collection_names = ctx_new(ctx, sizeof(char *));
    TRY(rest_text(ctx, body, "dbName", &to->db_name));
    TRY(s_name(ctx, body, "collectionName", "CollectionName", &to->collection_names[0]));
    to->n_collection_names = 1;
    *ret = (ProtobufCMessage *)to;
    return OK;
}

static err_t s_refresh(ctx_t *ctx, json_t *body, ProtobufCMessage **ret)
{
    Milvus__LoadCollectionRequest *to = ctx_new(ctx, sizeof *to);
    milvus__load_collection_request__init(to);
    TRY(rest_text(ctx, body, "dbName", &to->db_name));
    TRY(s_name(ctx, body, "collectionName", "CollectionName", &to->collection_name));
    to->replica_number = 1;
    to->refresh = true;
    *ret = (ProtobufCMessage *)to;
    return OK;
}

static err_t s_compact(ctx_t *ctx, json_t *body, ProtobufCMessage **ret)
{
    Milvus__ManualCompactionRequest *to = ctx_new(ctx, sizeof *to);
    milvus__manual_compaction_request__init(to);
    TRY(rest_text(ctx, body, "dbName", &to->db_name));
    TRY(s_name(ctx, body, "collectionName", "CollectionName", &to->collection_name));
    to->majorcompaction = json_is_true(json_object_get(body, "isClustering"));
    *ret = (ProtobufCMessage *)to;
    return OK;
}

static err_t s_compaction(ctx_t *ctx, json_t *body, ProtobufCMessage **ret)
{
    Milvus__GetCompactionStateRequest *to = ctx_new(ctx, sizeof *to);
    milvus__get_compaction_state_request__init(to);
    json_t *id = json_object_get(body, "jobID");
    if (!id || json_is_null(id))
        return rest_missing(ctx, "GetCompactionStateReq", "JobID");
    const char *text = json_string_value(id);
    to->compactionid = text ? strtoll(text, NULL, 10) : json_integer_value(id);
    *ret = (ProtobufCMessage *)to;
    return OK;
}

static json_t *s_nothing(const ProtobufCMessage *message)
{
    (void)message;
    return json_object();
}

static json_t *s_compaction_id(const ProtobufCMessage *message)
{
    const Milvus__ManualCompactionResponse *response = (const void *)message;
    return json_pack("{s:I}", "compactionID", (json_int_t)response->compactionid);
}

static json_t *s_compaction_state(const ProtobufCMessage *message)
{
    const Milvus__GetCompactionStateResponse *response = (const void *)message;
    const ProtobufCEnumValue *state = protobuf_c_enum_descriptor_get_value(
        &common__compaction_state__descriptor, (int)response->state);
    return json_pack("{s:s, s:I, s:I, s:I}", "state", state ? state->name : "",
                     "executingPlanNumber", (json_int_t)response->executingplanno,
                     "timeoutPlanNumber", (json_int_t)response->timeoutplanno,
                     "completedPlanNumber", (json_int_t)response->completedplanno);
}

/* --- the table ------------------------------------------------------------------------------- */

#define ROUTE(at, name, reads, writes) \
    { .path = "/v2/vectordb/" at, .rpc = "/milvus.proto.milvus.MilvusService/" name, \
      .read = s_##reads, .write = s_##writes }

static const rest_route_t s_routes[] = {
    ROUTE("collections/alter_properties", "AlterCollection", collection, nothing),
    ROUTE("collections/drop_properties", "AlterCollection", collection, nothing),
    ROUTE("collections/fields/alter_properties", "AlterCollectionField", field, nothing),
    ROUTE("collections/flush", "Flush", flush, nothing),
    ROUTE("collections/refresh_load", "LoadCollection", refresh, nothing),
    ROUTE("collections/compact", "ManualCompaction", compact, compaction_id),
    ROUTE("collections/get_compaction_state", "GetCompactionState", compaction, compaction_state),
    ROUTE("databases/alter", "AlterDatabase", database, nothing),
    ROUTE("databases/alter_properties", "AlterDatabase", database, nothing),
    ROUTE("databases/drop_properties", "AlterDatabase", database, nothing),
    ROUTE("indexes/alter_properties", "AlterIndex", index, nothing),
    ROUTE("indexes/drop_properties", "AlterIndex", index, nothing),
};

const rest_route_t *rest_alter_route(const char *path)
{
    for (size_t i = 0; i < ARRAY_LEN(s_routes); i++)
        if (strcmp(s_routes[i].path, path) == 0)
            return &s_routes[i];
    return NULL;
}
