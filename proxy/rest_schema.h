/* rest_schema - a collection's schema as REST clients write it */
#ifndef PROXY_REST_SCHEMA_H
#define PROXY_REST_SCHEMA_H

#include "milvus.pb-c.h"
#include "proxy/rest.h"

/* {"fields": [{"fieldName": …, "dataType": "Int64", "elementTypeParams": {…} …}], "autoID": …,
 * "enableDynamicField": …}.  Whether it makes sense is for the RPC to say.
 * Errors  ERR_REST_MISSING, ERR_REST_JSON, ERR_PARAM_INVALID */
err_t must_use rest_schema_read(ctx_t *ctx, json_t *from, Schema__CollectionSchema **ret);

/* From `dimension` and the other members of a quick create. */
err_t must_use rest_schema_quick(ctx_t *ctx, json_t *body, Schema__CollectionSchema **ret);

/* In the arena. */
Common__KeyValuePair *rest_schema_pair(ctx_t *ctx, const char *key, const char *value);

/* Strings as they are, all else as JSON. */
const char *rest_schema_text(ctx_t *ctx, json_t *value);

#endif
