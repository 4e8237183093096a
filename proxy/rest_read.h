/* rest_read - REST v2 for entities: search, hybrid_search, query, get */
#ifndef PROXY_REST_READ_H
#define PROXY_REST_READ_H

#include "proxy/rest.h"

/* The route of a path, NULL when it is none of these. */
const rest_route_t *rest_read_route(const char *path);

/* exprParams of a body into the map of a request.
 *   entry   the type of the map's entries: a name and a Schema__TemplateValue
 *   ret     where the request keeps its array of them; untouched when there are none */
err_t must_use rest_read_templates(ctx_t *ctx, json_t *body,
                                   const ProtobufCMessageDescriptor *entry, void *ret,
                                   size_t *ret_n);

#endif
