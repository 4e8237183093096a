/* rest_alter - REST v2: properties of collections, fields, databases and indexes; flush, compact */
#ifndef PROXY_REST_ALTER_H
#define PROXY_REST_ALTER_H

#include "proxy/rest.h"

/* The route of a path, NULL when it is none of these. */
const rest_route_t *rest_alter_route(const char *path);

#endif
