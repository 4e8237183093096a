/* rest - see rest.h */
#include "proxy/rest.h"

#include "core/wire/pb.h"
#include "milvus.pb-c.h"
#include "proxy/rest_alter.h"
#include "proxy/rest_catalog.h"
#include "proxy/rest_create.h"
#include "proxy/rest_read.h"
#include "proxy/rest_write.h"

enum { MOST_DEPTH = 64 };

/* --- reading --------------------------------------------------------------------- */

/* Nesting is bounded before jansson, which recurses, sees it. */
static bool s_too_deep(view_t body)
{
    int depth = 0;
    bool text = false;
    for (size_t i = 0; i < body.len; i++) {
        uint8_t c = body.ptr[i];
        if (text) {
            if (c == '\\')
                i++;
            else if (c == '"')
                text = false;
        } else if (c == '"') {
            text = true;
        } else if (c == '{' || c == '[') {
            if (++depth > MOST_DEPTH)
                return true;
        } else if (c == '}' || c == ']') {
            depth--;
        }
    }
    return false;
}

err_t rest_parse(ctx_t *ctx, view_t body, json_t **ret)
{
    const char *says = err_text(ERR_REST_JSON);
    if (body.len == 0)
        return ctx_fail(ctx, ERR_REST_JSON, "%s, error: the request body should not be empty, "
                        "{} is enough", says);
    if (s_too_deep(body))
        return ctx_fail(ctx, ERR_REST_JSON, "%s, error: nested deeper than %d", says, MOST_DEPTH);
    json_error_t error;
    json_t *root = json_loadb((const char *)body.ptr, body.len, JSON_REJECT_DUPLICATES, &error);
    if (!root)
        return ctx_fail(ctx, ERR_REST_JSON, "%s, error: line %d column %d: %s", says, error.line,
                        error.column, error.text);
    if (!json_is_object(root)) {
        json_decref(root);
        return ctx_fail(ctx, ERR_REST_JSON, "%s, error: the body is no JSON object", says);
    }
    *ret = root;
    return OK;
}

err_t rest_wrong(ctx_t *ctx, const char *key, const char *what)
{
    return ctx_fail(ctx, ERR_REST_JSON, "%s, error: %s has to be %s", err_text(ERR_REST_JSON), key,
                    what);
}

err_t rest_missing(ctx_t *ctx, const char *request, const char *name)
{
    return ctx_fail(ctx, ERR_REST_MISSING, "%s, error: Key: '%s.%s' Error:Field validation for "
                    "'%s' failed on the 'required' tag", err_text(ERR_REST_MISSING), request, name,
                    name);
}

err_t rest_text(ctx_t *ctx, json_t *body, const char *key, const char **ret)
{
    json_t *value = json_object_get(body, key);
    if (value && !json_is_null(value) && !json_is_string(value))
        return rest_wrong(ctx, key, "a string");
    const char *text = json_string_value(value);
    *ret = text ? ctx_strdup(ctx, text) : "";
    return OK;
}

static err_t s_list_databases(ctx_t *ctx, json_t *body, ProtobufCMessage **ret)
{
    (void)body;
    Milvus__ListDatabasesRequest *request = ctx_new(ctx, sizeof *request);
    milvus__list_databases_request__init(request);
    *ret = (ProtobufCMessage *)request;
    return OK;
}

static err_t s_list_collections(ctx_t *ctx, json_t *body, ProtobufCMessage **ret)
{
    Milvus__ShowCollectionsRequest *request = ctx_new(ctx, sizeof *request);
    milvus__show_collections_request__init(request);
    TRY(rest_text(ctx, body, "dbName", &request->db_name));
    *ret = (ProtobufCMessage *)request;
    return OK;
}

/* --- writing ---------------------------------------------------------------------- */

static json_t *s_names(const char **names, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_string(names[i]));
    return list;
}

static json_t *s_database_names(const ProtobufCMessage *message)
{
    const Milvus__ListDatabasesResponse *response = (const void *)message;
    return s_names(response->db_names, response->n_db_names);
}

static json_t *s_collection_names(const ProtobufCMessage *message)
{
    const Milvus__ShowCollectionsResponse *response = (const void *)message;
    return s_names(response->collection_names, response->n_collection_names);
}

static int s_add(const char *text, size_t len, void *into)
{
    buf_add(into, text, len);
    return 0;
}

char *rest_dump_text(ctx_t *ctx, json_t *value)
{
    buf_scoped text;
    buf_init(&text, 0);
    if (json_dump_callback(value, s_add, &text, JSON_COMPACT | JSON_ENCODE_ANY) != 0)
        buf_reset(&text);
    return ctx_strdup(ctx, text.len ? buf_str(&text) : "null");
}

void rest_dump(buf_t *into, json_t *root)
{
    if (json_dump_callback(root, s_add, into, JSON_COMPACT) != 0)
        into->failed = true;
    json_decref(root);
}

void rest_error(buf_t *into, int code, const char *text)
{
    json_t *root = json_object();
    json_object_set_new(root, "code", json_integer(code));
    json_object_set_new(root, "message", json_string(text));
    rest_dump(into, root);
}

void rest_success(buf_t *into, json_t *data)
{
    json_t *root = json_object();
    json_object_set_new(root, "code", json_integer(0));
    json_object_set_new(root, "data", data);
    rest_dump(into, root);
}

/* --- the table ----------------------------------------------------------------------- */

#define RPC(name) "/milvus.proto.milvus.MilvusService/" name

static const rest_route_t s_routes[] = {
    { .path = "/v2/vectordb/databases/list", .rpc = RPC("ListDatabases"),
      .read = s_list_databases, .write = s_database_names },
    { .path = "/v2/vectordb/collections/list", .rpc = RPC("ShowCollections"),
      .read = s_list_collections, .write = s_collection_names },
};

const rest_route_t *rest_route(const char *path)
{
    for (size_t i = 0; i < ARRAY_LEN(s_routes); i++)
        if (strcmp(s_routes[i].path, path) == 0)
            return &s_routes[i];
    const rest_route_t *route = rest_catalog_route(path);
    route = route ? route : rest_read_route(path);
    route = route ? route : rest_create_route(path);
    route = route ? route : rest_alter_route(path);
    return route ? route : rest_write_route(path);
}
