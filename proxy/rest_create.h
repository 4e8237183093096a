/* rest_create - REST v2: collections/create and indexes/create, which are several RPCs each */
#ifndef PROXY_REST_CREATE_H
#define PROXY_REST_CREATE_H

#include "proxy/rest.h"

/* The route of a path, NULL when it is none of these. */
const rest_route_t *rest_create_route(const char *path);

#endif
