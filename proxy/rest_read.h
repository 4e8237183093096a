/* rest_read - REST v2 for entities: search, hybrid_search, query, get */
#ifndef PROXY_REST_READ_H
#define PROXY_REST_READ_H

#include "proxy/rest.h"

/* The route of a path, NULL when it is none of these. */
const rest_route_t *rest_read_route(const char *path);

#endif
