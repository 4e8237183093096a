/* rest_write - REST v2 for entities: insert, upsert, delete */
#ifndef PROXY_REST_WRITE_H
#define PROXY_REST_WRITE_H

#include "proxy/rest.h"

/* The route of a path, NULL when it is none of these. */
const rest_route_t *rest_write_route(const char *path);

#endif
