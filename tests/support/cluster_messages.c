/* cluster_messages - what the simulated clients say and hear, as Milvus's messages
 *
 * Collections have an id, a version, and a vector of two that is the key and the version again,
 * so that a search shows whether vector and scalars belong together.
 */
#include "schema.pb-c.h"
#include "tests/support/cluster_sim.h"

#include <inttypes.h>

#define MAKE(ctx, type, init) ({ type *made_ = ctx_new((ctx), sizeof *made_); init(made_); made_; })

static Common__KeyValuePair *s_pair(ctx_t *ctx, const char *key, const char *value)
{
    Common__KeyValuePair *pair = MAKE(ctx, Common__KeyValuePair, common__key_value_pair__init);
    pair->key = key;
    pair->value = value;
    return pair;
}

static Common__KeyValuePair **s_pairs(ctx_t *ctx, const char *const *texts, size_t n)
{
    Common__KeyValuePair **pairs = ctx_new(ctx, (n + 1) * sizeof *pairs);
    for (size_t i = 0; i < n; i++)
        pairs[i] = s_pair(ctx, texts[2 * i], texts[2 * i + 1]);
    return pairs;
}

/* --- the collection ----------------------------------------------------------------- */

static Schema__FieldSchema *s_field(ctx_t *ctx, const char *name, Schema__DataType type)
{
    Schema__FieldSchema *field = MAKE(ctx, Schema__FieldSchema, schema__field_schema__init);
    field->name = name;
    field->data_type = type;
    field->is_primary_key = strcmp(name, "id") == 0;
    if (type == SCHEMA__DATA_TYPE__FloatVector) {
        static const char *const s_dim[] = { "dim", "2" };
        field->type_params = s_pairs(ctx, s_dim, 1);
        field->n_type_params = 1;
    }
    return field;
}

static view_t s_create(cs_request_t *request)
{
    ctx_t *ctx = &request->ctx;
    Schema__FieldSchema *fields[] = {
        s_field(ctx, "id", SCHEMA__DATA_TYPE__Int64),
        s_field(ctx, "version", SCHEMA__DATA_TYPE__Int64),
        s_field(ctx, "vec", SCHEMA__DATA_TYPE__FloatVector),
    };
    Schema__CollectionSchema schema = SCHEMA__COLLECTION_SCHEMA__INIT;
    schema.name = request->collection;
    schema.fields = fields;
    schema.n_fields = ARRAY_LEN(fields);
    view_t packed = pb_pack(ctx, &schema);
    Milvus__CreateCollectionRequest ask = MILVUS__CREATE_COLLECTION_REQUEST__INIT;
    ask.collection_name = request->collection;
    ask.schema = (ProtobufCBinaryData){ .data = (uint8_t *)(uintptr_t)packed.ptr,
                                        .len = packed.len };
    ask.shards_num = 2;
    return pb_pack(ctx, &ask);
}

static view_t s_index(cs_request_t *request)
{
    static const char *const s_how[] = { "index_type", "IVF_FLAT", "metric_type", "L2",
                                         "params", "{\"nlist\": 8}" };
    Milvus__CreateIndexRequest ask = MILVUS__CREATE_INDEX_REQUEST__INIT;
    ask.collection_name = request->collection;
    ask.field_name = "vec";
    ask.index_name = "vec_idx";
    ask.extra_params = s_pairs(&request->ctx, s_how, 3);
    ask.n_extra_params = 3;
    return pb_pack(&request->ctx, &ask);
}

#define NAMED(type, init) \
    ({ type ask_ = init; \
       ask_.collection_name = request->collection; \
       pb_pack(&request->ctx, &ask_); })

static view_t s_flush(cs_request_t *request)
{
    Milvus__FlushRequest ask = MILVUS__FLUSH_REQUEST__INIT;
    ask.collection_names = &request->collection;
    ask.n_collection_names = 1;
    return pb_pack(&request->ctx, &ask);
}

/* --- writes ------------------------------------------------------------------------- */

static Schema__FieldData *s_data(ctx_t *ctx, const char *name, Schema__DataType type)
{
    Schema__FieldData *data = MAKE(ctx, Schema__FieldData, schema__field_data__init);
    data->field_name = name;
    data->type = type;
    return data;
}

static Schema__FieldData *s_longs(ctx_t *ctx, const char *name, const int64_t *values, size_t n)
{
    Schema__FieldData *data = s_data(ctx, name, SCHEMA__DATA_TYPE__Int64);
    data->field_case = SCHEMA__FIELD_DATA__FIELD_SCALARS;
    data->scalars = MAKE(ctx, Schema__ScalarField, schema__scalar_field__init);
    data->scalars->data_case = SCHEMA__SCALAR_FIELD__DATA_LONG_DATA;
    data->scalars->long_data = MAKE(ctx, Schema__LongArray, schema__long_array__init);
    data->scalars->long_data->data = ctx_new(ctx, n * sizeof *values);
    memcpy(data->scalars->long_data->data, values, n * sizeof *values);
    data->scalars->long_data->n_data = n;
    return data;
}

static Schema__FieldData *s_vectors(ctx_t *ctx, const int64_t *keys, const int64_t *versions,
                                    size_t n)
{
    Schema__FieldData *data = s_data(ctx, "vec", SCHEMA__DATA_TYPE__FloatVector);
    data->field_case = SCHEMA__FIELD_DATA__FIELD_VECTORS;
    data->vectors = MAKE(ctx, Schema__VectorField, schema__vector_field__init);
    data->vectors->dim = 2;
    data->vectors->data_case = SCHEMA__VECTOR_FIELD__DATA_FLOAT_VECTOR;
    data->vectors->float_vector = MAKE(ctx, Schema__FloatArray, schema__float_array__init);
    float *cells = ctx_new(ctx, n * 2 * sizeof *cells);
    for (size_t i = 0; i < n; i++) {
        cells[2 * i] = (float)keys[i];
        cells[2 * i + 1] = (float)versions[i];
    }
    data->vectors->float_vector->data = cells;
    data->vectors->float_vector->n_data = n * 2;
    return data;
}

static view_t s_rows(cs_request_t *request)
{
    ctx_t *ctx = &request->ctx;
    int64_t keys[CS_MOST_ROWS];
    for (size_t i = 0; i < request->n; i++)
        keys[i] = (int64_t)request->keys[i];
    Schema__FieldData *data[] = {
        s_longs(ctx, "id", keys, request->n),
        s_longs(ctx, "version", request->versions, request->n),
        s_vectors(ctx, keys, request->versions, request->n),
    };
    if (request->kind == CS_UPSERT) {
        Milvus__UpsertRequest ask = MILVUS__UPSERT_REQUEST__INIT;
        ask.collection_name = request->collection;
        ask.fields_data = data;
        ask.n_fields_data = ARRAY_LEN(data);
        ask.num_rows = (uint32_t)request->n;
        return pb_pack(ctx, &ask);
    }
    Milvus__InsertRequest ask = MILVUS__INSERT_REQUEST__INIT;
    ask.collection_name = request->collection;
    ask.fields_data = data;
    ask.n_fields_data = ARRAY_LEN(data);
    ask.num_rows = (uint32_t)request->n;
    return pb_pack(ctx, &ask);
}

static const char *s_filter(cs_request_t *request)
{
    if (request->n == 0)
        return "id >= 0";
    char *text = ctx_strdup(&request->ctx, "id in [");
    for (size_t i = 0; i < request->n; i++)
        text = ctx_printf(&request->ctx, "%s%s%zu", text, i ? ", " : "", request->keys[i]);
    return ctx_printf(&request->ctx, "%s]", text);
}

static view_t s_delete(cs_request_t *request)
{
    Milvus__DeleteRequest ask = MILVUS__DELETE_REQUEST__INIT;
    ask.collection_name = request->collection;
    ask.expr = s_filter(request);
    return pb_pack(&request->ctx, &ask);
}

/* --- reads -------------------------------------------------------------------------- */

static Common__ConsistencyLevel s_level(const cs_request_t *request)
{
    return request->level == ROW_STRONG ? COMMON__CONSISTENCY_LEVEL__Strong
         : request->level == ROW_SESSION ? COMMON__CONSISTENCY_LEVEL__Session
         : COMMON__CONSISTENCY_LEVEL__Eventually;
}

static uint64_t s_guarantee(const cs_request_t *request)
{
    return request->level == ROW_STRONG ? 0 : request->level == ROW_SESSION ? request->session_ts
                                                                             : 1;
}

static view_t s_query(cs_request_t *request)
{
    static const char *s_rows_of[] = { "id", "version" }, *s_count_of[] = { "count(*)" };
    Milvus__QueryRequest ask = MILVUS__QUERY_REQUEST__INIT;
    bool count = request->kind == CS_COUNT;
    ask.collection_name = request->collection;
    ask.expr = count ? "" : s_filter(request);
    ask.output_fields = count ? s_count_of : s_rows_of;
    ask.n_output_fields = count ? 1 : 2;
    ask.consistency_level = s_level(request);
    ask.guarantee_timestamp = s_guarantee(request);
    return pb_pack(&request->ctx, &ask);
}

static view_t s_search(cs_request_t *request)
{
    static const char *const s_how[] = { "topk", "200", "metric_type", "L2", "anns_field", "vec",
                                         "params", "{\"nprobe\": 8}" };
    static const char *s_outputs[] = { "version" };
    static float s_vec[] = { 0, 0 };
    ctx_t *ctx = &request->ctx;
    Common__PlaceholderValue value = COMMON__PLACEHOLDER_VALUE__INIT, *values = &value;
    Common__PlaceholderGroup group = COMMON__PLACEHOLDER_GROUP__INIT;
    ProtobufCBinaryData vec = { .data = (uint8_t *)s_vec, .len = sizeof s_vec };
    value.type = COMMON__PLACEHOLDER_TYPE__FloatVector;
    value.values = &vec;
    value.n_values = 1;
    group.placeholders = &values;
    group.n_placeholders = 1;
    view_t packed = pb_pack(ctx, &group);
    Milvus__SearchRequest ask;
    milvus__search_request__init(&ask);
    ask.collection_name = request->collection;
    ask.search_input_case = MILVUS__SEARCH_REQUEST__SEARCH_INPUT_PLACEHOLDER_GROUP;
    ask.placeholder_group = (ProtobufCBinaryData){ .data = (uint8_t *)(uintptr_t)packed.ptr,
                                                   .len = packed.len };
    ask.nq = 1;
    ask.output_fields = s_outputs;
    ask.n_output_fields = 1;
    ask.search_params = s_pairs(ctx, s_how, 4);
    ask.n_search_params = 4;
    ask.consistency_level = s_level(request);
    ask.guarantee_timestamp = s_guarantee(request);
    return pb_pack(ctx, &ask);
}

/* --- all ---------------------------------------------------------------------------- */

#define ANSWERS(type) request->answers = &milvus__##type##__descriptor

static view_t s_admin(cs_request_t *request, const char **ret_rpc)
{
    request->answers = &common__status__descriptor;
    switch ((int)request->kind) {
    case CS_CREATE:
        *ret_rpc = "CreateCollection";
        return s_create(request);
    case CS_INDEX:
        *ret_rpc = "CreateIndex";
        return s_index(request);
    case CS_LOAD:
        *ret_rpc = "LoadCollection";
        return NAMED(Milvus__LoadCollectionRequest, MILVUS__LOAD_COLLECTION_REQUEST__INIT);
    case CS_RELEASE:
        *ret_rpc = "ReleaseCollection";
        return NAMED(Milvus__ReleaseCollectionRequest, MILVUS__RELEASE_COLLECTION_REQUEST__INIT);
    case CS_DROP:
        *ret_rpc = "DropCollection";
        return NAMED(Milvus__DropCollectionRequest, MILVUS__DROP_COLLECTION_REQUEST__INIT);
    case CS_PROGRESS:
        *ret_rpc = "GetLoadingProgress";
        ANSWERS(get_loading_progress_response);
        return NAMED(Milvus__GetLoadingProgressRequest,
                     MILVUS__GET_LOADING_PROGRESS_REQUEST__INIT);
    case CS_DESCRIBE:
        *ret_rpc = "DescribeCollection";
        ANSWERS(describe_collection_response);
        return NAMED(Milvus__DescribeCollectionRequest, MILVUS__DESCRIBE_COLLECTION_REQUEST__INIT);
    case CS_COMPACT:
        *ret_rpc = "ManualCompaction";
        ANSWERS(manual_compaction_response);
        return NAMED(Milvus__ManualCompactionRequest, MILVUS__MANUAL_COMPACTION_REQUEST__INIT);
    default:
        *ret_rpc = "Flush";
        ANSWERS(flush_response);
        return s_flush(request);
    }
}

view_t cs_message(cs_request_t *request, const char **ret_rpc)
{
    switch ((int)request->kind) {
    case CS_UPSERT:
    case CS_INSERT:
        *ret_rpc = request->kind == CS_UPSERT ? "Upsert" : "Insert";
        ANSWERS(mutation_result);
        return s_rows(request);
    case CS_DELETE:
        *ret_rpc = "Delete";
        ANSWERS(mutation_result);
        return s_delete(request);
    case CS_GET:
    case CS_SCAN:
    case CS_COUNT:
        *ret_rpc = "Query";
        ANSWERS(query_results);
        return s_query(request);
    case CS_SEARCH:
        *ret_rpc = "Search";
        ANSWERS(search_results);
        return s_search(request);
    default:
        return s_admin(request, ret_rpc);
    }
}

/* --- answers ------------------------------------------------------------------------ */

static const Schema__LongArray *s_column(Schema__FieldData *const *data, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(data[i]->field_name, name) == 0 &&
            data[i]->field_case == SCHEMA__FIELD_DATA__FIELD_SCALARS &&
            data[i]->scalars->data_case == SCHEMA__SCALAR_FIELD__DATA_LONG_DATA)
            return data[i]->scalars->long_data;
    return NULL;
}

static bool s_hits_of(const Milvus__SearchResults *response, cs_row_fn *fn, void *arg)
{
    const Schema__SearchResultData *hits = response->results;
    size_t n = hits && hits->ids && hits->ids->int_id ? hits->ids->int_id->n_data : 0;
    const Schema__LongArray *versions = hits ? s_column(hits->fields_data, hits->n_fields_data,
                                                        "version") : NULL;
    if (n == 0)
        return hits != NULL;
    if (!versions || versions->n_data != n || hits->n_scores != n)
        return false;
    for (size_t i = 0; i < n; i++)
        fn(arg, hits->ids->int_id->data[i], versions->data[i], &hits->scores[i]);
    return true;
}

bool cs_rows_of(const cs_request_t *request, const ProtobufCMessage *message, cs_row_fn *fn,
                void *arg)
{
    if (request->kind == CS_SEARCH)
        return s_hits_of((const void *)message, fn, arg);
    const Milvus__QueryResults *response = (const void *)message;
    const Schema__LongArray *keys = s_column(response->fields_data, response->n_fields_data, "id");
    const Schema__LongArray *versions = s_column(response->fields_data, response->n_fields_data,
                                                 "version");
    if (!keys || !versions || keys->n_data != versions->n_data)
        return false;
    for (size_t i = 0; i < keys->n_data; i++)
        fn(arg, keys->data[i], versions->data[i], NULL);
    return true;
}

bool cs_count_of(const ProtobufCMessage *message, int64_t *ret)
{
    const Milvus__QueryResults *response = (const void *)message;
    const Schema__LongArray *count = s_column(response->fields_data, response->n_fields_data,
                                              "count(*)");
    if (!count || count->n_data != 1)
        return false;
    *ret = count->data[0];
    return true;
}
