/* rest_read - see rest_read.h
 *
 * A JSON body becomes the request of the RPC.  Two things need the schema and
 * come in a second step: query vectors, whose bytes depend on the vector
 * field's type, and `get`, which has to name the primary key.
 */
#include "proxy/rest_read.h"

#include "common.pb-c.h"
#include "core/base/limits.h"
#include "core/wire/pb.h"
#include "milvus.pb-c.h"
#include "proxy/json_vector.h"
#include "proxy/rest_rows.h"

enum { ROWS_UNSAID = 100 };     /* limit, when the body has none */

/* --- members --------------------------------------------------------------------------------- */

static err_t s_texts(ctx_t *ctx, json_t *body, const char *key, const char ***ret, size_t *ret_n)
{
    json_t *list = json_object_get(body, key);
    if (!list || json_is_null(list))
        return OK;
    if (!json_is_array(list))
        return rest_wrong(ctx, key, "a list of strings");
    size_t n = json_array_size(list);
    const char **texts = ctx_new(ctx, (n + 1) * sizeof *texts);
    for (size_t i = 0; i < n; i++) {
        const char *text = json_string_value(json_array_get(list, i));
        if (!text)
            return rest_wrong(ctx, key, "a list of strings");
        texts[i] = ctx_strdup(ctx, text);
    }
    *ret = texts;
    *ret_n = n;
    return OK;
}

static err_t s_number(ctx_t *ctx, json_t *body, const char *key, int64_t usual, int64_t *ret)
{
    json_t *value = json_object_get(body, key);
    *ret = usual;
    if (!value || json_is_null(value))
        return OK;
    if (!json_is_integer(value))
        return rest_wrong(ctx, key, "a whole number");
    *ret = json_integer_value(value);
    return OK;
}

/* --- lists of pairs -------------------------------------------------------------------------- */

enum { PAIRS_MOST = 16 };

typedef struct pairs {
    Common__KeyValuePair **list;
    size_t n;
} pairs_t;

static pairs_t s_pairs(ctx_t *ctx)
{
    return (pairs_t){ .list = ctx_new(ctx, PAIRS_MOST * sizeof(void *)) };
}

static void s_add(ctx_t *ctx, pairs_t *pairs, const char *key, const char *value)
{
    check(pairs->n < PAIRS_MOST);
    Common__KeyValuePair *pair = ctx_new(ctx, sizeof *pair);
    common__key_value_pair__init(pair);
    pair->key = key;
    pair->value = value;
    pairs->list[pairs->n++] = pair;
}

static void s_add_number(ctx_t *ctx, pairs_t *pairs, const char *key, int64_t value)
{
    s_add(ctx, pairs, key, ctx_printf(ctx, "%lld", (long long)value));
}

/* A member of the body under another name, if it is there. */
static err_t s_carry(ctx_t *ctx, pairs_t *pairs, json_t *body, const char *member, const char *key)
{
    json_t *value = json_object_get(body, member);
    if (!value || json_is_null(value))
        return OK;
    if (json_is_string(value) && json_string_length(value) > 0)
        s_add(ctx, pairs, key, ctx_strdup(ctx, json_string_value(value)));
    else if (json_is_integer(value))
        s_add_number(ctx, pairs, key, json_integer_value(value));
    else if (json_is_boolean(value))
        s_add(ctx, pairs, key, json_is_true(value) ? "true" : "false");
    else if (!json_is_string(value))
        return rest_wrong(ctx, member, "a string, a whole number or a boolean");
    return OK;
}

/* --- consistency, templates ------------------------------------------------------------------ */

static err_t s_level(ctx_t *ctx, json_t *body, Common__ConsistencyLevel *ret,
                     protobuf_c_boolean *ret_default)
{
    const char *name = "";
    TRY(rest_text(ctx, body, "consistencyLevel", &name));
    *ret_default = name[0] == '\0';
    *ret = COMMON__CONSISTENCY_LEVEL__Bounded;
    if (*ret_default)
        return OK;
    const ProtobufCEnumValue *level =
        protobuf_c_enum_descriptor_get_value_by_name(&common__consistency_level__descriptor, name);
    if (!level)
        return ctx_fail(ctx, ERR_PARAM_INVALID, "parameter:'%s' is incorrect, please check it: "
                        "invalid parameter", name);
    *ret = (Common__ConsistencyLevel)level->value;
    return OK;
}

static Schema__TemplateValue *s_template_list(ctx_t *ctx, json_t *list, Schema__TemplateValue *to)
{
    Schema__JSONArray *texts = ctx_new(ctx, sizeof *texts);
    schema__jsonarray__init(texts);
    texts->n_data = json_array_size(list);
    texts->data = ctx_new(ctx, (texts->n_data + 1) * sizeof *texts->data);
    for (size_t i = 0; i < texts->n_data; i++) {
        char *text = rest_dump_text(ctx, json_array_get(list, i));
        texts->data[i] = (ProtobufCBinaryData){ .data = (uint8_t *)text, .len = strlen(text) };
    }
    to->val_case = SCHEMA__TEMPLATE_VALUE__VAL_ARRAY_VAL;
    to->array_val = ctx_new(ctx, sizeof *to->array_val);
    schema__template_array_value__init(to->array_val);
    to->array_val->data_case = SCHEMA__TEMPLATE_ARRAY_VALUE__DATA_JSON_DATA;
    to->array_val->json_data = texts;
    return to;
}

static Schema__TemplateValue *s_template(ctx_t *ctx, json_t *value)
{
    Schema__TemplateValue *to = ctx_new(ctx, sizeof *to);
    schema__template_value__init(to);
    if (json_is_array(value))
        return s_template_list(ctx, value, to);
    if (json_is_boolean(value)) {
        to->val_case = SCHEMA__TEMPLATE_VALUE__VAL_BOOL_VAL;
        to->bool_val = json_is_true(value);
    } else if (json_is_integer(value)) {
        to->val_case = SCHEMA__TEMPLATE_VALUE__VAL_INT64_VAL;
        to->int64_val = json_integer_value(value);
    } else if (json_is_real(value)) {
        to->val_case = SCHEMA__TEMPLATE_VALUE__VAL_FLOAT_VAL;
        to->float_val = json_real_value(value);
    } else if (json_is_string(value)) {
        to->val_case = SCHEMA__TEMPLATE_VALUE__VAL_STRING_VAL;
        to->string_val = ctx_strdup(ctx, json_string_value(value));
    }
    return to;
}

/* exprParams into the map of a request; entry: the type of its entries, all of one shape. */
static err_t s_templates(ctx_t *ctx, json_t *body, const ProtobufCMessageDescriptor *entry,
                         void *ret, size_t *ret_n)
{
    json_t *params = json_object_get(body, "exprParams"), *value = NULL;
    const char *name = NULL;
    if (!params || json_is_null(params))
        return OK;
    if (!json_is_object(params))
        return rest_wrong(ctx, "exprParams", "an object");
    void **list = ctx_new(ctx, (json_object_size(params) + 1) * sizeof *list);
    size_t n = 0;
    json_object_foreach(params, name, value) {
        Milvus__QueryRequest__ExprTemplateValuesEntry *to = ctx_new(ctx, entry->sizeof_message);
        protobuf_c_message_init(entry, to);
        to->key = ctx_strdup(ctx, name);
        to->value = s_template(ctx, value);
        list[n++] = to;
    }
    *(void ***)ret = list;
    *ret_n = n;
    return OK;
}

err_t rest_read_templates(ctx_t *ctx, json_t *body, const ProtobufCMessageDescriptor *entry,
                          void *ret, size_t *ret_n)
{
    return s_templates(ctx, body, entry, ret, ret_n);
}

/* --- search ---------------------------------------------------------------------------------- */

/* searchParams: metricType and ignoreGrowing, the rest under params or, newer, beside it. */
static err_t s_search_params(ctx_t *ctx, json_t *body, const char *member, pairs_t *pairs)
{
    json_t *given = json_object_get(body, member);
    if (given && !json_is_null(given) && !json_is_object(given))
        return rest_wrong(ctx, member, "an object");
    TRY(s_carry(ctx, pairs, given, "metricType", "metric_type"));
    TRY(s_carry(ctx, pairs, given, "ignoreGrowing", "ignore_growing"));
    json_t *params = json_object(), *inner = json_object_get(given, "params"), *value = NULL;
    const char *key = NULL;
    json_object_foreach(given, key, value)
        if (strcmp(key, "params") != 0 && strcmp(key, "metricType") != 0)
            json_object_set(params, key, value);
    if (json_is_object(inner))
        json_object_update(params, inner);
    s_add(ctx, pairs, "params", rest_dump_text(ctx, params));
    json_decref(params);
    return OK;
}

/* What Search and each part of a hybrid search have. */
static err_t s_search(ctx_t *ctx, json_t *body, const char *params, Milvus__SearchRequest *to)
{
    int64_t limit = 0;
    pairs_t pairs = s_pairs(ctx);
    milvus__search_request__init(to);
    json_t *data = json_object_get(body, "data");
    if (!data || json_is_null(data))
        return rest_missing(ctx, "SearchReqV2", "Data");
    if (!json_is_array(data))
        return rest_wrong(ctx, "data", "a list of vectors");
    to->nq = (int64_t)json_array_size(data);
    to->dsl_type = COMMON__DSL_TYPE__BoolExprV1;
    TRY(rest_text(ctx, body, "filter", &to->dsl));
    TRY(s_number(ctx, body, "limit", ROWS_UNSAID, &limit));
    s_add_number(ctx, &pairs, "topk", limit);
    TRY(s_carry(ctx, &pairs, body, "offset", "offset"));
    TRY(s_carry(ctx, &pairs, body, "annsField", "anns_field"));
    TRY(s_carry(ctx, &pairs, body, "groupingField", "group_by_field"));
    TRY(s_carry(ctx, &pairs, body, "groupSize", "group_size"));
    TRY(s_carry(ctx, &pairs, body, "strictGroupSize", "strict_group_size"));
    if (strcmp(params, "params") == 0)
        TRY(s_carry(ctx, &pairs, body, "metricType", "metric_type"));
    TRY(s_search_params(ctx, body, params, &pairs));
    to->search_params = pairs.list;
    to->n_search_params = pairs.n;
    return s_templates(ctx, body, &milvus__search_request__expr_template_values_entry__descriptor,
                       &to->expr_template_values, &to->n_expr_template_values);
}

static err_t s_read_search(ctx_t *ctx, json_t *body, ProtobufCMessage **ret)
{
    Milvus__SearchRequest *to = ctx_new(ctx, sizeof *to);
    milvus__search_request__init(to);
    const char *name = "";
    TRY(rest_text(ctx, body, "collectionName", &name));
    if (name[0] == '\0')
        return rest_missing(ctx, "SearchReqV2", "CollectionName");
    TRY(s_search(ctx, body, "searchParams", to));
    to->collection_name = name;
    TRY(rest_text(ctx, body, "dbName", &to->db_name));
    TRY(s_texts(ctx, body, "outputFields", &to->output_fields, &to->n_output_fields));
    TRY(s_texts(ctx, body, "partitionNames", &to->partition_names, &to->n_partition_names));
    TRY(s_level(ctx, body, &to->consistency_level, &to->use_default_consistency));
    *ret = (ProtobufCMessage *)to;
    return OK;
}

/* The vector field that a search means; NULL: the handler will say what is wrong. */
static const field_t *s_anns_field(const schema_t *schema, const Milvus__SearchRequest *request)
{
    const field_t *found = NULL;
    for (size_t i = 0; i < request->n_search_params; i++)
        if (strcmp(request->search_params[i]->key, "anns_field") == 0)
            found = schema_by_name(schema, request->search_params[i]->value);
    for (size_t i = 0; !found && i < schema_len(schema); i++)
        if (type_is_vector(schema_at(schema, i)->type))
            found = schema_at(schema, i);
    return found && type_is_vector(found->type) ? found : NULL;
}

static err_t s_vector(ctx_t *ctx, const field_t *field, json_t *value, ProtobufCBinaryData *ret)
{
    buf_scoped cell;
    buf_init(&cell, 0);
    view_t copy = {0};
    err_t err = json_vector(ctx, field, value, &cell);
    if (err == ERR_PARAM_INVALID)
        return ctx_fail(ctx, ERR_REST_JSON, "%s, error: %s", err_text(ERR_REST_JSON),
                        ctx_strdup(ctx, ctx->text));
    TRY(err);
    TRY(ctx_copy(ctx, buf_view(&cell), &copy));
    *ret = (ProtobufCBinaryData){ .data = (uint8_t *)(uintptr_t)copy.ptr, .len = copy.len };
    return OK;
}

static err_t s_vectors(ctx_t *ctx, json_t *body, const schema_t *schema,
                       Milvus__SearchRequest *to)
{
    const field_t *field = s_anns_field(schema, to);
    json_t *data = json_object_get(body, "data");
    if (!field)
        return OK;
    Common__PlaceholderValue value = COMMON__PLACEHOLDER_VALUE__INIT;
    Common__PlaceholderValue *values = &value;
    Common__PlaceholderGroup group = COMMON__PLACEHOLDER_GROUP__INIT;
    value.tag = "$0";
    value.type = (Common__PlaceholderType)field->type;
    value.n_values = json_array_size(data);
    value.values = ctx_try(ctx, (value.n_values + 1) * sizeof *value.values);
    if (!value.values)
        return ctx_fail(ctx, ERR_MEMORY, "memory limit exceeded: %zu vectors", value.n_values);
    for (size_t i = 0; i < value.n_values; i++)
        TRY(s_vector(ctx, field, json_array_get(data, i), &value.values[i]));
    group.placeholders = &values;
    group.n_placeholders = 1;
    view_t packed = pb_pack(ctx, &group);
    to->search_input_case = MILVUS__SEARCH_REQUEST__SEARCH_INPUT_PLACEHOLDER_GROUP;
    to->placeholder_group = (ProtobufCBinaryData){ .data = (uint8_t *)(uintptr_t)packed.ptr,
                                                   .len = packed.len };
    return OK;
}

static err_t s_schema_search(ctx_t *ctx, json_t *body, const schema_t *schema,
                             ProtobufCMessage *request)
{
    return s_vectors(ctx, body, schema, (Milvus__SearchRequest *)request);
}

/* --- hybrid search --------------------------------------------------------------------------- */

static err_t s_rerank(ctx_t *ctx, json_t *body, pairs_t *pairs)
{
    json_t *rerank = json_object_get(body, "rerank");
    int64_t limit = 0;
    if (rerank && !json_is_null(rerank) && !json_is_object(rerank))
        return rest_wrong(ctx, "rerank", "an object");
    TRY(s_carry(ctx, pairs, rerank, "strategy", "strategy"));
    json_t *params = json_object_get(rerank, "params");
    if (params && !json_is_null(params))
        s_add(ctx, pairs, "params", rest_dump_text(ctx, params));
    TRY(s_number(ctx, body, "limit", ROWS_UNSAID, &limit));
    s_add_number(ctx, pairs, "limit", limit);
    TRY(s_carry(ctx, pairs, body, "offset", "offset"));
    TRY(s_carry(ctx, pairs, body, "groupingField", "group_by_field"));
    TRY(s_carry(ctx, pairs, body, "groupSize", "group_size"));
    return s_carry(ctx, pairs, body, "strictGroupSize", "strict_group_size");
}

static err_t s_searches(ctx_t *ctx, json_t *body, Milvus__HybridSearchRequest *to)
{
    json_t *searches = json_object_get(body, "search");
    if (!searches || json_is_null(searches))
        return rest_missing(ctx, "HybridSearchReq", "Search");
    if (!json_is_array(searches) || json_array_size(searches) > LIMIT_HYBRID_PARTS)
        return rest_wrong(ctx, "search", "a list of searches, 1024 at most");
    to->n_requests = json_array_size(searches);
    to->requests = ctx_new(ctx, (to->n_requests + 1) * sizeof(void *));
    for (size_t i = 0; i < to->n_requests; i++) {
        to->requests[i] = ctx_new(ctx, sizeof *to->requests[i]);
        TRY(s_search(ctx, json_array_get(searches, i), "params", to->requests[i]));
    }
    return OK;
}

static err_t s_read_hybrid(ctx_t *ctx, json_t *body, ProtobufCMessage **ret)
{
    Milvus__HybridSearchRequest *to = ctx_new(ctx, sizeof *to);
    milvus__hybrid_search_request__init(to);
    pairs_t pairs = s_pairs(ctx);
    TRY(rest_text(ctx, body, "collectionName", &to->collection_name));
    if (to->collection_name[0] == '\0')
        return rest_missing(ctx, "HybridSearchReq", "CollectionName");
    TRY(s_searches(ctx, body, to));
    TRY(s_rerank(ctx, body, &pairs));
    to->rank_params = pairs.list;
    to->n_rank_params = pairs.n;
    TRY(rest_text(ctx, body, "dbName", &to->db_name));
    TRY(s_texts(ctx, body, "outputFields", &to->output_fields, &to->n_output_fields));
    TRY(s_texts(ctx, body, "partitionNames", &to->partition_names, &to->n_partition_names));
    TRY(s_level(ctx, body, &to->consistency_level, &to->use_default_consistency));
    *ret = (ProtobufCMessage *)to;
    return OK;
}

static err_t s_schema_hybrid(ctx_t *ctx, json_t *body, const schema_t *schema,
                             ProtobufCMessage *request)
{
    Milvus__HybridSearchRequest *to = (Milvus__HybridSearchRequest *)request;
    json_t *searches = json_object_get(body, "search");
    for (size_t i = 0; i < to->n_requests; i++)
        TRY(s_vectors(ctx, json_array_get(searches, i), schema, to->requests[i]));
    return OK;
}

/* --- query and get --------------------------------------------------------------------------- */

static err_t s_rows(ctx_t *ctx, json_t *body, const char *what, Milvus__QueryRequest *to)
{
    static const char *s_all = "*";
    milvus__query_request__init(to);
    TRY(rest_text(ctx, body, "collectionName", &to->collection_name));
    if (to->collection_name[0] == '\0')
        return rest_missing(ctx, what, "CollectionName");
    to->output_fields = &s_all;
    to->n_output_fields = 1;
    TRY(rest_text(ctx, body, "dbName", &to->db_name));
    TRY(s_texts(ctx, body, "outputFields", &to->output_fields, &to->n_output_fields));
    TRY(s_texts(ctx, body, "partitionNames", &to->partition_names, &to->n_partition_names));
    return s_level(ctx, body, &to->consistency_level, &to->use_default_consistency);
}

static bool s_is_count(const Milvus__QueryRequest *request)
{
    return request->n_output_fields == 1 && strcmp(request->output_fields[0], "count(*)") == 0;
}

static err_t s_read_query(ctx_t *ctx, json_t *body, ProtobufCMessage **ret)
{
    Milvus__QueryRequest *to = ctx_new(ctx, sizeof *to);
    int64_t limit = 0;
    pairs_t pairs = s_pairs(ctx);
    TRY(s_rows(ctx, body, "QueryReqV2", to));
    TRY(rest_text(ctx, body, "filter", &to->expr));
    TRY(s_number(ctx, body, "limit", s_is_count(to) ? 0 : ROWS_UNSAID, &limit));
    if (limit != 0 || json_object_get(body, "limit"))
        s_add_number(ctx, &pairs, "limit", limit);
    TRY(s_carry(ctx, &pairs, body, "offset", "offset"));
    to->query_params = pairs.list;
    to->n_query_params = pairs.n;
    TRY(s_templates(ctx, body, &milvus__query_request__expr_template_values_entry__descriptor,
                    &to->expr_template_values, &to->n_expr_template_values));
    *ret = (ProtobufCMessage *)to;
    return OK;
}

static err_t s_read_get(ctx_t *ctx, json_t *body, ProtobufCMessage **ret)
{
    Milvus__QueryRequest *to = ctx_new(ctx, sizeof *to);
    json_t *id = json_object_get(body, "id");
    TRY(s_rows(ctx, body, "CollectionIDReq", to));
    if (!id || json_is_null(id))
        return rest_missing(ctx, "CollectionIDReq", "ID");
    *ret = (ProtobufCMessage *)to;
    return OK;
}

/* One key as it stands in an expression: numbers may come as text. */
static err_t s_key(ctx_t *ctx, const field_t *pk, json_t *id, buf_t *into)
{
    const char *text = json_string_value(id);
    if (pk->type == TYPE_VARCHAR && text)
        rest_rows_quote(into, view_of(text, json_string_length(id)));
    else if (pk->type == TYPE_VARCHAR && json_is_integer(id))
        buf_addf(into, "\"%lld\"", (long long)json_integer_value(id));
    else if (json_is_integer(id))
        buf_addf(into, "%lld", (long long)json_integer_value(id));
    else if (text && text[0] && strspn(text, "-0123456789") == strlen(text))
        buf_add_str(into, text);
    else
        return ctx_fail(ctx, ERR_REST_PRIMARY_KEY, "%s, error: an id of field %s has to be %s",
                        err_text(ERR_REST_PRIMARY_KEY), pk->name,
                        pk->type == TYPE_VARCHAR ? "a string" : "a whole number");
    return OK;
}

static err_t s_schema_get(ctx_t *ctx, json_t *body, const schema_t *schema,
                          ProtobufCMessage *request)
{
    Milvus__QueryRequest *to = (Milvus__QueryRequest *)request;
    const field_t *pk = schema_pk(schema);
    json_t *id = json_object_get(body, "id");
    size_t n = json_is_array(id) ? json_array_size(id) : 1;
    buf_scoped expr;
    buf_init(&expr, LIMIT_EXPR_BYTES);
    buf_addf(&expr, "%s in [", pk->name);
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buf_add_u8(&expr, ',');
        TRY(s_key(ctx, pk, json_is_array(id) ? json_array_get(id, i) : id, &expr));
    }
    buf_add_str(&expr, "]");
    view_t copy = {0};
    if (!buf_ok(&expr))
        return ctx_fail(ctx, ERR_PARAM_TOO_LARGE, "%zu ids are too many", n);
    TRY(ctx_copy(ctx, buf_view(&expr), &copy));
    to->expr = (const char *)copy.ptr;
    return OK;
}

/* --- the table ------------------------------------------------------------------------------- */

#define PATH(name) "/v2/vectordb/entities/" name
#define RPC(name) "/milvus.proto.milvus.MilvusService/" name

static const rest_route_t s_routes[] = {
    { .path = PATH("search"), .rpc = RPC("Search"), .read = s_read_search,
      .with_schema = s_schema_search, .render = rest_rows_search },
    { .path = PATH("hybrid_search"), .rpc = RPC("HybridSearch"), .read = s_read_hybrid,
      .with_schema = s_schema_hybrid, .render = rest_rows_search },
    { .path = PATH("advanced_search"), .rpc = RPC("HybridSearch"), .read = s_read_hybrid,
      .with_schema = s_schema_hybrid, .render = rest_rows_search },
    { .path = PATH("query"), .rpc = RPC("Query"), .read = s_read_query,
      .render = rest_rows_query },
    { .path = PATH("get"), .rpc = RPC("Query"), .read = s_read_get, .with_schema = s_schema_get,
      .render = rest_rows_query },
};

const rest_route_t *rest_read_route(const char *path)
{
    for (size_t i = 0; i < ARRAY_LEN(s_routes); i++)
        if (strcmp(s_routes[i].path, path) == 0)
            return &s_routes[i];
    return NULL;
}
