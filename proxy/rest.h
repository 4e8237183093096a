/* rest - REST v2 as another spelling of the same calls
 *
 * A route names the RPC it stands for, how its JSON body becomes that RPC's
 * request, and how the response becomes JSON.  So validation, privileges and
 * errors are the RPC's, whichever way a client came.
 *
 *     success  {"code":0,"data":…}     failure  {"code":<Milvus code>,"message":"…"}
 */
#ifndef PROXY_REST_H
#define PROXY_REST_H

#include <jansson.h>
#include <protobuf-c/protobuf-c.h>

#include "core/base/base.h"
#include "core/base/buf.h"
#include "core/schema/schema.h"

typedef struct rest_route {
    const char *path;           /* "/v2/vectordb/collections/list" */
    const char *rpc;            /* path of the gRPC method it stands for */

    /* body: a JSON object, borrowed; the request lives in the ctx arena.
     * Errors  ERR_REST_MISSING, ERR_PARAM_INVALID … with Milvus's text */
    err_t (*read)(ctx_t *ctx, json_t *body, ProtobufCMessage **ret);

    /* The "data" of a successful response; a new reference. */
    json_t *(*write)(const ProtobufCMessage *response);

    /* Instead of write: the whole body, for answers that are big or have more than data. */
    void (*render)(const ProtobufCMessage *response, buf_t *into);

    /* After read, with the schema of the collection that the request names: rows and vectors
     * mean nothing without it.  May be called again.  NULL: not needed.  Errors as read. */
    err_t (*with_schema)(ctx_t *ctx, json_t *body, const schema_t *schema,
                         ProtobufCMessage *request);

    /* Further RPCs of the same body, one after the other while they succeed: the path and the
     * request of number step, from 1 on; *rpc stays NULL behind the last.  The client is
     * answered with what the last one said.  NULL: there are none. */
    err_t (*then)(ctx_t *ctx, json_t *body, size_t step, const char **rpc, ProtobufCMessage **ret);
} rest_route_t;

/* The route of a path, NULL when there is none. */
const rest_route_t *rest_route(const char *path);

/* Parse a body: ERR_REST_JSON when it is empty or no JSON object.  *ret is a new reference. */
err_t must_use rest_parse(ctx_t *ctx, view_t body, json_t **ret);

/* A string member, "" when it is not there or null.  ERR_REST_JSON */
err_t must_use rest_text(ctx_t *ctx, json_t *body, const char *key, const char **ret);

/* Refusals: a member is no WHAT; the validator of a request misses a member. */
err_t rest_wrong(ctx_t *ctx, const char *key, const char *what);
err_t rest_missing(ctx_t *ctx, const char *request, const char *name);

/* A value as compact JSON, in the arena. */
char *rest_dump_text(ctx_t *ctx, json_t *value);

/* A document as compact JSON; takes the reference. */
void rest_dump(buf_t *into, json_t *root);

/* {"code":code,"message":text} */
void rest_error(buf_t *into, int code, const char *text);

/* {"code":0,"data":data}; takes the reference. */
void rest_success(buf_t *into, json_t *data);

#endif
