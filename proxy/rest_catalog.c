/* rest_catalog - REST v2 for databases, collections, partitions, aliases, indexes
 *
 * Most routes are one request whose members have their gRPC names in camel
 * case: a table says which member goes into which field.  What a client has to
 * name and does not is refused in the words of Milvus's validator.
 */
#include <stdlib.h>

#include "core/wire/pb.h"
#include "milvus.pb-c.h"
#include "proxy/rest_catalog.h"

/* --- reading: members into string fields -------------------------------------------- */

typedef struct { const char *member, *field, *missing; } slot_t;

static err_t s_missing(ctx_t *ctx, const char *what, const char *name)
{
    return ctx_fail(ctx, ERR_REST_MISSING, "%s, error: Key: '%s.%s' Error:Field validation for "
                    "'%s' failed on the 'required' tag", err_text(ERR_REST_MISSING), what, name,
                    name);
}

/* Put one member of the body where the request wants it; needed: the validator's name of it. */
static err_t s_put(ctx_t *ctx, json_t *body, ProtobufCMessage *into, const slot_t *slot)
{
    json_t *value = json_object_get(body, slot->member);
    if (value && !json_is_string(value))
        return ctx_fail(ctx, ERR_REST_JSON, "%s, error: %s has to be a string",
                        err_text(ERR_REST_JSON), slot->member);
    if (slot->missing && (!value || json_string_length(value) == 0))
        return s_missing(ctx, "CollectionNameReq", slot->missing);
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(into->descriptor, slot->field);
    check(field && field->type == PROTOBUF_C_TYPE_STRING);
    if (value)
        *(const char **)((char *)into + field->offset) = ctx_strdup(ctx, json_string_value(value));
    return OK;
}

static err_t s_read(ctx_t *ctx, json_t *body, const ProtobufCMessageDescriptor *type,
                    const slot_t *slots, ProtobufCMessage **ret)
{
    ProtobufCMessage *request = ctx_new(ctx, type->sizeof_message);
    protobuf_c_message_init(type, request);
    for (size_t i = 0; slots[i].member; i++)
        TRY(s_put(ctx, body, request, &slots[i]));
    *ret = request;
    return OK;
}

#define DB { "dbName", "db_name", NULL }
#define DB_NEEDED { "dbName", "db_name", "DbName" }
#define COLLECTION { "collectionName", "collection_name", "CollectionName" }
#define COLLECTION_ANY { "collectionName", "collection_name", NULL }
#define PARTITION { "partitionName", "partition_name", "PartitionName" }
#define ALIAS { "aliasName", "alias", "AliasName" }
#define INDEX { "indexName", "index_name", "IndexName" }

/* A reader named s_X for a request type, from its slots. */
#define READER(name, type, ...) \
    static err_t s_##name(ctx_t *ctx, json_t *body, ProtobufCMessage **ret) \
    { \
        static const slot_t slots[] = { __VA_ARGS__, { NULL, NULL, NULL } }; \
        return s_read(ctx, body, &milvus__##type##__descriptor, slots, ret); \
    }

READER(has_collection, has_collection_request, DB, COLLECTION)
READER(describe_collection, describe_collection_request, DB, COLLECTION)
READER(collection_stats, get_collection_statistics_request, DB, COLLECTION)
READER(drop_collection, drop_collection_request, DB, COLLECTION)
READER(load_collection, load_collection_request, DB, COLLECTION)
READER(release_collection, release_collection_request, DB, COLLECTION)
READER(rename_collection, rename_collection_request, DB,
       { "collectionName", "oldName", "CollectionName" },
       { "newCollectionName", "newName", "NewCollectionName" },
       { "newDbName", "newDBName", NULL })
READER(create_database, create_database_request, DB_NEEDED)
READER(drop_database, drop_database_request, DB_NEEDED)
READER(describe_database, describe_database_request, DB_NEEDED)
READER(show_partitions, show_partitions_request, DB, COLLECTION)
READER(has_partition, has_partition_request, DB, COLLECTION, PARTITION)
READER(partition_stats, get_partition_statistics_request, DB, COLLECTION, PARTITION)
READER(create_partition, create_partition_request, DB, COLLECTION, PARTITION)
READER(drop_partition, drop_partition_request, DB, COLLECTION, PARTITION)
READER(list_aliases, list_aliases_request, DB, COLLECTION_ANY)
READER(describe_alias, describe_alias_request, DB, ALIAS)
READER(create_alias, create_alias_request, DB, COLLECTION, ALIAS)
READER(alter_alias, alter_alias_request, DB, COLLECTION, ALIAS)
READER(drop_alias, drop_alias_request, DB, ALIAS)
READER(list_indexes, describe_index_request, DB, COLLECTION)
READER(describe_index, describe_index_request, DB, COLLECTION, INDEX)
READER(drop_index, drop_index_request, DB, COLLECTION, INDEX)

/* partitionNames: a list of strings. */
static err_t s_some_partitions(ctx_t *ctx, json_t *body, const char ***ret, size_t *ret_n)
{
    json_t *list = json_object_get(body, "partitionNames");
    size_t n = json_array_size(list);
    const char **names = ctx_new(ctx, (n + 1) * sizeof *names);
    for (size_t i = 0; i < n; i++) {
        const char *name = json_string_value(json_array_get(list, i));
        if (!name)
            return ctx_fail(ctx, ERR_REST_JSON, "%s, error: partitionNames has to hold strings",
                            err_text(ERR_REST_JSON));
        names[i] = ctx_strdup(ctx, name);
    }
    *ret = names;
    *ret_n = n;
    return OK;
}

/* The same, which must not be empty. */
static err_t s_partitions(ctx_t *ctx, json_t *body, const char ***ret, size_t *ret_n)
{
    json_t *list = json_object_get(body, "partitionNames");
    if (!json_is_array(list) || json_array_size(list) == 0)
        return s_missing(ctx, "PartitionsReq", "PartitionNames");
    return s_some_partitions(ctx, body, ret, ret_n);
}

static err_t s_load_state(ctx_t *ctx, json_t *body, ProtobufCMessage **ret)
{
    static const slot_t s_slots[] = { DB, COLLECTION, { NULL, NULL, NULL } };
    TRY(s_read(ctx, body, &milvus__get_load_state_request__descriptor, s_slots, ret));
    Milvus__GetLoadStateRequest *request = (void *)*ret;
    return s_some_partitions(ctx, body, &request->partition_names, &request->n_partition_names);
}

static err_t s_load_partitions(ctx_t *ctx, json_t *body, ProtobufCMessage **ret)
{
    static const slot_t s_slots[] = { DB, COLLECTION, { NULL, NULL, NULL } };
    TRY(s_read(ctx, body, &milvus__load_partitions_request__descriptor, s_slots, ret));
    Milvus__LoadPartitionsRequest *request = (void *)*ret;
    return s_partitions(ctx, body, &request->partition_names, &request->n_partition_names);
}

static err_t s_release_partitions(ctx_t *ctx, json_t *body, ProtobufCMessage **ret)
{
    static const slot_t s_slots[] = { DB, COLLECTION, { NULL, NULL, NULL } };
    TRY(s_read(ctx, body, &milvus__release_partitions_request__descriptor, s_slots, ret));
    Milvus__ReleasePartitionsRequest *request = (void *)*ret;
    return s_partitions(ctx, body, &request->partition_names, &request->n_partition_names);
}

/* --- writing ------------------------------------------------------------------------- */

static json_t *s_nothing(const ProtobufCMessage *message)
{
    (void)message;
    return json_object();
}

static json_t *s_has(const ProtobufCMessage *message)
{
    return json_pack("{s:b}", "has", ((const Milvus__BoolResponse *)message)->value);
}

static json_t *s_names(const char **names, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_string(names[i]));
    return list;
}

static json_t *s_partition_names(const ProtobufCMessage *message)
{
    const Milvus__ShowPartitionsResponse *response = (const void *)message;
    return s_names(response->partition_names, response->n_partition_names);
}

static json_t *s_alias_names(const ProtobufCMessage *message)
{
    const Milvus__ListAliasesResponse *response = (const void *)message;
    return s_names(response->aliases, response->n_aliases);
}

static json_t *s_alias(const ProtobufCMessage *message)
{
    const Milvus__DescribeAliasResponse *response = (const void *)message;
    return json_pack("{s:s, s:s, s:s}", "dbName", response->db_name, "collectionName",
                     response->collection, "aliasName", response->alias);
}

static json_t *s_pairs(Common__KeyValuePair *const *pairs, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_pack("{s:s, s:s}", "key", pairs[i]->key, "value",
                                              pairs[i]->value));
    return list;
}

static json_t *s_database(const ProtobufCMessage *message)
{
    const Milvus__DescribeDatabaseResponse *response = (const void *)message;
    return json_pack("{s:s, s:I, s:o}", "dbName", response->db_name, "dbID",
                     (json_int_t)response->dbid, "properties",
                     s_pairs(response->properties, response->n_properties));
}

static json_t *s_row_count(Common__KeyValuePair *const *stats, size_t n)
{
    long long rows = 0;
    for (size_t i = 0; i < n; i++)
        if (strcmp(stats[i]->key, "row_count") == 0)
            rows = strtoll(stats[i]->value, NULL, 10);
    return json_pack("{s:I}", "rowCount", (json_int_t)rows);
}

static json_t *s_collection_rows(const ProtobufCMessage *message)
{
    const Milvus__GetCollectionStatisticsResponse *response = (const void *)message;
    return s_row_count(response->stats, response->n_stats);
}

static json_t *s_partition_rows(const ProtobufCMessage *message)
{
    const Milvus__GetPartitionStatisticsResponse *response = (const void *)message;
    return s_row_count(response->stats, response->n_stats);
}

static const char *s_enum_name(const ProtobufCEnumDescriptor *type, int value)
{
    const ProtobufCEnumValue *found = protobuf_c_enum_descriptor_get_value(type, value);
    return found ? found->name : "";
}

/* The gRPC answer has no place for these; handle_load puts them beside the status. */
static const char *s_extra_info(const Common__Status *status, const char *key, const char *without)
{
    for (size_t i = 0; i < status->n_extra_info; i++)
        if (strcmp(status->extra_info[i]->key, key) == 0)
            return status->extra_info[i]->value;
    return without;
}

static json_t *s_state(const ProtobufCMessage *message)
{
    const Milvus__GetLoadStateResponse *response = (const void *)message;
    bool loaded = response->state == COMMON__LOAD_STATE__LoadStateLoaded;
    const char *progress = s_extra_info(response->status, "progress", loaded ? "100" : "0");
    return json_pack("{s:s, s:i, s:s}", "loadState",
                     s_enum_name(&common__load_state__descriptor, (int)response->state),
                     "loadProgress", (int)strtol(progress, NULL, 10), "message",
                     s_extra_info(response->status, "why", ""));
}

static json_t *s_field(const Schema__FieldSchema *field)
{
    json_t *out = json_pack(
        "{s:I, s:s, s:s, s:b, s:b, s:b, s:b, s:s, s:b, s:o}", "id", (json_int_t)field->fieldid,
        "name", field->name, "type",
        s_enum_name(&schema__data_type__descriptor, (int)field->data_type), "primaryKey",
        field->is_primary_key, "partitionKey", field->is_partition_key, "clusteringKey",
        field->is_clustering_key, "autoId", field->autoid, "description", field->description,
        "nullable", field->nullable, "params", s_pairs(field->type_params, field->n_type_params));
    if (field->data_type == SCHEMA__DATA_TYPE__Array)
        json_object_set_new(out, "elementType",
                            json_string(s_enum_name(&schema__data_type__descriptor,
                                                    (int)field->element_type)));
    return out;
}

/* Indexes and load state are other calls' answers: indexes/list, collections/get_load_state. */
static json_t *s_collection(const ProtobufCMessage *message)
{
    const Milvus__DescribeCollectionResponse *response = (const void *)message;
    const Schema__CollectionSchema *schema = response->schema;
    json_t *fields = json_array();
    bool auto_id = false;
    for (size_t i = 0; i < schema->n_fields; i++) {
        json_array_append_new(fields, s_field(schema->fields[i]));
        auto_id |= schema->fields[i]->autoid;
    }
    return json_pack(
        "{s:s, s:I, s:s, s:b, s:o, s:o, s:i, s:I, s:s, s:b, s:o}", "collectionName",
        response->collection_name, "collectionID", (json_int_t)response->collectionid,
        "description", schema->description, "autoId", auto_id, "fields", fields, "aliases",
        s_names(response->aliases, response->n_aliases), "shardsNum", (int)response->shards_num,
        "partitionsNum", (json_int_t)response->num_partitions, "consistencyLevel",
        s_enum_name(&common__consistency_level__descriptor, (int)response->consistency_level),
        "enableDynamicField", schema->enable_dynamic_field, "properties",
        s_pairs(response->properties, response->n_properties));
}

static json_t *s_index_names(const ProtobufCMessage *message)
{
    const Milvus__DescribeIndexResponse *response = (const void *)message;
    json_t *list = json_array();
    for (size_t i = 0; i < response->n_index_descriptions; i++)
        json_array_append_new(list, json_string(response->index_descriptions[i]->index_name));
    return list;
}

static const char *s_pair(const Milvus__IndexDescription *index, const char *key)
{
    for (size_t i = 0; i < index->n_params; i++)
        if (strcmp(index->params[i]->key, key) == 0)
            return index->params[i]->value;
    return "";
}

static json_t *s_indexes(const ProtobufCMessage *message)
{
    const Milvus__DescribeIndexResponse *response = (const void *)message;
    json_t *list = json_array();
    for (size_t i = 0; i < response->n_index_descriptions; i++) {
        const Milvus__IndexDescription *index = response->index_descriptions[i];
        json_array_append_new(list, json_pack(
            "{s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:s, s:s}", "indexName", index->index_name,
            "fieldName", index->field_name, "indexType", s_pair(index, "index_type"), "metricType",
            s_pair(index, "metric_type"), "totalRows", (json_int_t)index->total_rows,
            "indexedRows", (json_int_t)index->indexed_rows, "pendingRows",
            (json_int_t)index->pending_index_rows, "indexState",
            s_enum_name(&common__index_state__descriptor, (int)index->state), "failReason",
            index->index_state_fail_reason));
    }
    return list;
}

/* --- the table ------------------------------------------------------------------------- */

#define ROUTE(at, name, reads, writes) \
    { .path = "/v2/vectordb/" at, .rpc = "/milvus.proto.milvus.MilvusService/" name, \
      .read = s_##reads, .write = s_##writes }

static const rest_route_t s_routes[] = {
    ROUTE("collections/has", "HasCollection", has_collection, has),
    ROUTE("collections/describe", "DescribeCollection", describe_collection, collection),
    ROUTE("collections/get_stats", "GetCollectionStatistics", collection_stats, collection_rows),
    ROUTE("collections/get_load_state", "GetLoadState", load_state, state),
    ROUTE("collections/drop", "DropCollection", drop_collection, nothing),
    ROUTE("collections/load", "LoadCollection", load_collection, nothing),
    ROUTE("collections/release", "ReleaseCollection", release_collection, nothing),
    ROUTE("collections/rename", "RenameCollection", rename_collection, nothing),
    ROUTE("databases/create", "CreateDatabase", create_database, nothing),
    ROUTE("databases/drop", "DropDatabase", drop_database, nothing),
    ROUTE("databases/describe", "DescribeDatabase", describe_database, database),
    ROUTE("partitions/list", "ShowPartitions", show_partitions, partition_names),
    ROUTE("partitions/has", "HasPartition", has_partition, has),
    ROUTE("partitions/get_stats", "GetPartitionStatistics", partition_stats, partition_rows),
    ROUTE("partitions/create", "CreatePartition", create_partition, nothing),
    ROUTE("partitions/drop", "DropPartition", drop_partition, nothing),
    ROUTE("partitions/load", "LoadPartitions", load_partitions, nothing),
    ROUTE("partitions/release", "ReleasePartitions", release_partitions, nothing),
    ROUTE("aliases/list", "ListAliases", list_aliases, alias_names),
    ROUTE("aliases/describe", "DescribeAlias", describe_alias, alias),
    ROUTE("aliases/create", "CreateAlias", create_alias, nothing),
    ROUTE("aliases/alter", "AlterAlias", alter_alias, nothing),
    ROUTE("aliases/drop", "DropAlias", drop_alias, nothing),
    ROUTE("indexes/list", "DescribeIndex", list_indexes, index_names),
    ROUTE("indexes/describe", "DescribeIndex", describe_index, indexes),
    ROUTE("indexes/drop", "DropIndex", drop_index, nothing),
};

const rest_route_t *rest_catalog_route(const char *path)
{
    for (size_t i = 0; i < ARRAY_LEN(s_routes); i++)
        if (strcmp(s_routes[i].path, path) == 0)
            return &s_routes[i];
    return NULL;
}
