/* rest_create - see rest_create.h
 *
 * A collection is made in one of two ways: with `dimension`, quick, with two
 * fields, an index and a load; or with a schema, and then it has the indexes
 * that `indexParams` names and is loaded if there are any.  A failure on the way
 * leaves what was made before it, as it does in Milvus.
 */
#include "proxy/rest_create.h"

#include "common.pb-c.h"
#include "core/wire/pb.h"
#include "proxy/rest_schema.h"

#define RPC(name) "/milvus.proto.milvus.MilvusService/" name

/* --- members ---------------------------------------------------------------------------- */

typedef struct pairs {
    Common__KeyValuePair **list;
    size_t n;
} pairs_t;

static pairs_t s_pairs(ctx_t *ctx, size_t most)
{
    return (pairs_t){ .list = ctx_new(ctx, (most + 1) * sizeof(void *)) };
}

static void s_add(ctx_t *ctx, pairs_t *pairs, const char *key, const char *value)
{
    pairs->list[pairs->n++] = rest_schema_pair(ctx, key, value);
}

/* A value as text: strings as they are, all else as JSON. */
static void s_carry(ctx_t *ctx, pairs_t *pairs, json_t *from, const char *member, const char *key)
{
    json_t *value = json_object_get(from, member);
    if (value && !json_is_null(value))
        s_add(ctx, pairs, key, rest_schema_text(ctx, value));
}

static bool s_is_quick(json_t *body)
{
    return json_integer_value(json_object_get(body, "dimension")) != 0 ||
           (!json_object_get(body, "schema") && json_object_get(body, "dimension"));
}

static const char *s_or(ctx_t *ctx, json_t *body, const char *key, const char *usual)
{
    const char *text = json_string_value(json_object_get(body, key));
    return text && text[0] ? ctx_strdup(ctx, text) : usual;
}

/* --- the collection ------------------------------------------------------------------------ */

static err_t s_shards(ctx_t *ctx, json_t *params, Milvus__CreateCollectionRequest *to)
{
    json_t *shards = json_object_get(params, "shardsNum");
    json_t *partitions = json_object_get(params, "partitionsNum");
    if ((shards && !json_is_integer(shards)) || (partitions && !json_is_integer(partitions)))
        return rest_wrong(ctx, "shardsNum and partitionsNum", "whole numbers");
    to->shards_num = shards ? (int32_t)json_integer_value(shards) : 1;
    to->num_partitions = json_integer_value(partitions);
    return OK;
}

static err_t s_level(ctx_t *ctx, json_t *params, Common__ConsistencyLevel *ret)
{
    const char *name = "";
    TRY(rest_text(ctx, params, "consistencyLevel", &name));
    *ret = COMMON__CONSISTENCY_LEVEL__Bounded;
    if (name[0] == '\0')
        return OK;
    const ProtobufCEnumValue *level =
        protobuf_c_enum_descriptor_get_value_by_name(&common__consistency_level__descriptor, name);
    if (!level)
        return ctx_fail(ctx, ERR_PARAM_INVALID, "consistencyLevel can only be [Strong, Session, "
                        "Bounded, Eventually, Customized], default: Bounded: invalid parameter"
                        "[expected=Strong, Session, Bounded, Eventually, Customized][actual=%s]",
                        name);
    *ret = (Common__ConsistencyLevel)level->value;
    return OK;
}

static err_t s_properties(ctx_t *ctx, json_t *params, Milvus__CreateCollectionRequest *to)
{
    pairs_t pairs = s_pairs(ctx, 4);
    s_carry(ctx, &pairs, params, "ttlSeconds", "collection.ttl.seconds");
    s_carry(ctx, &pairs, params, "partitionKeyIsolation", "partitionkey.isolation");
    s_carry(ctx, &pairs, params, "mmap.enabled", "mmap.enabled");
    s_carry(ctx, &pairs, params, "mmapEnabled", "mmap.enabled");
    to->properties = pairs.list;
    to->n_properties = pairs.n;
    return OK;
}

static err_t s_read_collection(ctx_t *ctx, json_t *body, ProtobufCMessage **ret)
{
    Milvus__CreateCollectionRequest *to = ctx_new(ctx, sizeof *to);
    milvus__create_collection_request__init(to);
    Schema__CollectionSchema *schema = NULL;
    json_t *params = json_object_get(body, "params");
    TRY(rest_text(ctx, body, "collectionName", &to->collection_name));
    if (to->collection_name[0] == '\0')
        return rest_missing(ctx, "CollectionReq", "CollectionName");
    TRY(rest_text(ctx, body, "dbName", &to->db_name));
    TRY(s_shards(ctx, params, to));
    TRY(s_level(ctx, params, &to->consistency_level));
    TRY(s_properties(ctx, params, to));
    if (s_is_quick(body))
        TRY(rest_schema_quick(ctx, body, &schema));
    else
        TRY(rest_schema_read(ctx, json_object_get(body, "schema"), &schema));
    schema->name = to->collection_name;
    TRY(rest_text(ctx, body, "description", &schema->description));
    view_t packed = pb_pack(ctx, schema);
    to->schema = (ProtobufCBinaryData){ .data = (uint8_t *)(uintptr_t)packed.ptr,
                                        .len = packed.len };
    *ret = (ProtobufCMessage *)to;
    return OK;
}

/* --- indexes ------------------------------------------------------------------------------- */

/* The parameters beside index_type and metric_type: under params, or, older, beside those. */
static void s_index_params(ctx_t *ctx, json_t *given, pairs_t *pairs)
{
    json_t *params = json_object_get(given, "params"), *value = NULL;
    const char *key = NULL;
    s_carry(ctx, pairs, given, "indexType", "index_type");
    if (!json_object_get(given, "indexType"))
        s_carry(ctx, pairs, params, "index_type", "index_type");
    s_carry(ctx, pairs, given, "metricType", "metric_type");
    json_object_foreach(params, key, value)
        if (strcmp(key, "index_type") != 0)
            s_add(ctx, pairs, ctx_strdup(ctx, key), rest_schema_text(ctx, value));
}

static err_t s_index(ctx_t *ctx, json_t *body, json_t *given, ProtobufCMessage **ret)
{
    Milvus__CreateIndexRequest *to = ctx_new(ctx, sizeof *to);
    milvus__create_index_request__init(to);
    pairs_t pairs = s_pairs(ctx, 3 + json_object_size(json_object_get(given, "params")));
    TRY(rest_text(ctx, body, "dbName", &to->db_name));
    TRY(rest_text(ctx, body, "collectionName", &to->collection_name));
    TRY(rest_text(ctx, given, "fieldName", &to->field_name));
    if (to->field_name[0] == '\0')
        return rest_missing(ctx, "IndexParam", "FieldName");
    TRY(rest_text(ctx, given, "indexName", &to->index_name));
    s_index_params(ctx, given, &pairs);
    to->extra_params = pairs.list;
    to->n_extra_params = pairs.n;
    *ret = (ProtobufCMessage *)to;
    return OK;
}

static err_t s_quick_index(ctx_t *ctx, json_t *body, ProtobufCMessage **ret)
{
    Milvus__CreateIndexRequest *to = ctx_new(ctx, sizeof *to);
    milvus__create_index_request__init(to);
    pairs_t pairs = s_pairs(ctx, 1);
    TRY(rest_text(ctx, body, "dbName", &to->db_name));
    TRY(rest_text(ctx, body, "collectionName", &to->collection_name));
    to->field_name = to->index_name = s_or(ctx, body, "vectorFieldName", "vector");
    s_add(ctx, &pairs, "metric_type", s_or(ctx, body, "metricType", "COSINE"));
    to->extra_params = pairs.list;
    to->n_extra_params = pairs.n;
    *ret = (ProtobufCMessage *)to;
    return OK;
}

static err_t s_load(ctx_t *ctx, json_t *body, ProtobufCMessage **ret)
{
    Milvus__LoadCollectionRequest *to = ctx_new(ctx, sizeof *to);
    milvus__load_collection_request__init(to);
    to->replica_number = 1;
    TRY(rest_text(ctx, body, "dbName", &to->db_name));
    TRY(rest_text(ctx, body, "collectionName", &to->collection_name));
    *ret = (ProtobufCMessage *)to;
    return OK;
}

/* After the collection: its indexes, then a load if it has any. */
static err_t s_then(ctx_t *ctx, json_t *body, size_t step, const char **rpc,
                    ProtobufCMessage **ret)
{
    bool quick = s_is_quick(body);
    json_t *indexes = json_object_get(body, "indexParams");
    size_t n = quick ? 1 : json_array_size(indexes);
    if (n == 0 || step > n + 1)
        return OK;
    *rpc = step <= n ? RPC("CreateIndex") : RPC("LoadCollection");
    if (step > n)
        return s_load(ctx, body, ret);
    return quick ? s_quick_index(ctx, body, ret)
                 : s_index(ctx, body, json_array_get(indexes, step - 1), ret);
}

static err_t s_read_index(ctx_t *ctx, json_t *body, ProtobufCMessage **ret)
{
    json_t *indexes = json_object_get(body, "indexParams");
    const char *name = "";
    TRY(rest_text(ctx, body, "collectionName", &name));
    if (name[0] == '\0')
        return rest_missing(ctx, "IndexParamReq", "CollectionName");
    if (json_array_size(indexes) == 0)
        return rest_missing(ctx, "IndexParamReq", "IndexParams");
    return s_index(ctx, body, json_array_get(indexes, 0), ret);
}

static err_t s_next_index(ctx_t *ctx, json_t *body, size_t step, const char **rpc,
                          ProtobufCMessage **ret)
{
    json_t *indexes = json_object_get(body, "indexParams");
    if (step >= json_array_size(indexes))
        return OK;
    *rpc = RPC("CreateIndex");
    return s_index(ctx, body, json_array_get(indexes, step), ret);
}

/* --- the table ------------------------------------------------------------------------------- */

static json_t *s_nothing(const ProtobufCMessage *message)
{
    (void)message;
    return json_object();
}

static const rest_route_t s_routes[] = {
    { .path = "/v2/vectordb/collections/create", .rpc = RPC("CreateCollection"),
      .read = s_read_collection, .write = s_nothing, .then = s_then },
    { .path = "/v2/vectordb/indexes/create", .rpc = RPC("CreateIndex"), .read = s_read_index,
      .write = s_nothing, .then = s_next_index },
};

const rest_route_t *rest_create_route(const char *path)
{
    for (size_t i = 0; i < ARRAY_LEN(s_routes); i++)
        if (strcmp(s_routes[i].path, path) == 0)
            return &s_routes[i];
    return NULL;
}
