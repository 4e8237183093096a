/* rest_write - see rest_write.h */
#include "proxy/rest_write.h"

#include "milvus.pb-c.h"
#include "proxy/json_rows.h"
#include "proxy/rest_read.h"

/* --- reading ---------------------------------------------------------------------------- */

static err_t s_missing(ctx_t *ctx, const char *what, const char *name)
{
    return ctx_fail(ctx, ERR_REST_MISSING, "%s, error: Key: '%s.%s' Error:Field validation for "
                    "'%s' failed on the 'required' tag", err_text(ERR_REST_MISSING), what, name,
                    name);
}

/* A string member, "" when absent; missing: what the validator calls it when it must be there. */
static err_t s_text(ctx_t *ctx, json_t *body, const char *key, const char *request,
                    const char *missing, const char **ret)
{
    json_t *value = json_object_get(body, key);
    if (value && !json_is_string(value))
        return ctx_fail(ctx, ERR_REST_JSON, "%s, error: %s has to be a string",
                        err_text(ERR_REST_JSON), key);
    if (missing && json_string_length(value) == 0)
        return s_missing(ctx, request, missing);
    *ret = value ? ctx_strdup(ctx, json_string_value(value)) : "";
    return OK;
}

typedef struct { const char **db, **collection, **partition; } names_t;

static err_t s_names(ctx_t *ctx, json_t *body, const char *request, names_t into)
{
    TRY(s_text(ctx, body, "dbName", request, NULL, into.db));
    TRY(s_text(ctx, body, "collectionName", request, "CollectionName", into.collection));
    return s_text(ctx, body, "partitionName", request, NULL, into.partition);
}

static err_t s_has_data(ctx_t *ctx, json_t *body)
{
    json_t *data = json_object_get(body, "data");
    if (!data || json_is_null(data) || (json_is_array(data) && json_array_size(data) == 0))
        return s_missing(ctx, "CollectionDataReq", "Data");
    return OK;
}

static err_t s_insert(ctx_t *ctx, json_t *body, ProtobufCMessage **ret)
{
    Milvus__InsertRequest *r = ctx_new(ctx, sizeof *r);
    milvus__insert_request__init(r);
    TRY(s_names(ctx, body, "CollectionDataReq",
                (names_t){ &r->db_name, &r->collection_name, &r->partition_name }));
    TRY(s_has_data(ctx, body));
    *ret = (ProtobufCMessage *)r;
    return OK;
}

static err_t s_insert_rows(ctx_t *ctx, json_t *body, const schema_t *schema,
                           ProtobufCMessage *request)
{
    Milvus__InsertRequest *r = (void *)request;
    return json_rows(ctx, json_object_get(body, "data"), schema, false, &r->fields_data,
                     &r->n_fields_data, &r->num_rows);
}

static err_t s_upsert(ctx_t *ctx, json_t *body, ProtobufCMessage **ret)
{
    Milvus__UpsertRequest *r = ctx_new(ctx, sizeof *r);
    milvus__upsert_request__init(r);
    TRY(s_names(ctx, body, "CollectionDataReq",
                (names_t){ &r->db_name, &r->collection_name, &r->partition_name }));
    TRY(s_has_data(ctx, body));
    r->partial_update = json_is_true(json_object_get(body, "partialUpdate"));
    *ret = (ProtobufCMessage *)r;
    return OK;
}

static err_t s_upsert_rows(ctx_t *ctx, json_t *body, const schema_t *schema,
                           ProtobufCMessage *request)
{
    Milvus__UpsertRequest *r = (void *)request;
    return json_rows(ctx, json_object_get(body, "data"), schema, true, &r->fields_data,
                     &r->n_fields_data, &r->num_rows);
}

static err_t s_delete(ctx_t *ctx, json_t *body, ProtobufCMessage **ret)
{
    Milvus__DeleteRequest *r = ctx_new(ctx, sizeof *r);
    milvus__delete_request__init(r);
    TRY(s_names(ctx, body, "CollectionFilterReq",
                (names_t){ &r->db_name, &r->collection_name, &r->partition_name }));
    TRY(s_text(ctx, body, "filter", "CollectionFilterReq", "Filter", &r->expr));
    TRY(rest_read_templates(ctx, body,
                            &milvus__delete_request__expr_template_values_entry__descriptor,
                            &r->expr_template_values, &r->n_expr_template_values));
    *ret = (ProtobufCMessage *)r;
    return OK;
}

/* --- writing ---------------------------------------------------------------------------- */

static json_t *s_ids(const Schema__IDs *ids)
{
    json_t *list = json_array();
    bool whole = ids && ids->id_field_case == SCHEMA__IDS__ID_FIELD_INT_ID;
    bool texts = ids && ids->id_field_case == SCHEMA__IDS__ID_FIELD_STR_ID;
    for (size_t i = 0; whole && i < ids->int_id->n_data; i++)
        json_array_append_new(list, json_integer(ids->int_id->data[i]));
    for (size_t i = 0; texts && i < ids->str_id->n_data; i++)
        json_array_append_new(list, json_stringn((const char *)ids->str_id->data[i].data,
                                                 ids->str_id->data[i].len));
    return list;
}

static void s_render(buf_t *into, json_t *data)
{
    rest_dump(into, json_pack("{s:i, s:i, s:o}", "code", 0, "cost", 0, "data", data));
}

static void s_inserted(const ProtobufCMessage *message, buf_t *into)
{
    const Milvus__MutationResult *r = (const void *)message;
    s_render(into, json_pack("{s:I, s:o}", "insertCount", (json_int_t)r->insert_cnt, "insertIds",
                             s_ids(r->ids)));
}

static void s_upserted(const ProtobufCMessage *message, buf_t *into)
{
    const Milvus__MutationResult *r = (const void *)message;
    s_render(into, json_pack("{s:I, s:o}", "upsertCount", (json_int_t)r->upsert_cnt, "upsertIds",
                             s_ids(r->ids)));
}

static void s_deleted(const ProtobufCMessage *message, buf_t *into)
{
    const Milvus__MutationResult *r = (const void *)message;
    s_render(into, json_pack("{s:I}", "deleteCount", (json_int_t)r->delete_cnt));
}

/* --- the table -------------------------------------------------------------------------- */

#define ROUTE(at, name, reads, schema, renders) \
    { .path = "/v2/vectordb/entities/" at, .rpc = "/milvus.proto.milvus.MilvusService/" name, \
      .read = reads, .with_schema = schema, .render = renders }

static const rest_route_t s_routes[] = {
    ROUTE("insert", "Insert", s_insert, s_insert_rows, s_inserted),
    ROUTE("upsert", "Upsert", s_upsert, s_upsert_rows, s_upserted),
    ROUTE("delete", "Delete", s_delete, NULL, s_deleted),
};

const rest_route_t *rest_write_route(const char *path)
{
    for (size_t i = 0; i < ARRAY_LEN(s_routes); i++)
        if (strcmp(s_routes[i].path, path) == 0)
            return &s_routes[i];
    return NULL;
}
