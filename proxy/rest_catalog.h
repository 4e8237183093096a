/* rest_catalog - REST v2 for databases, collections, partitions, aliases, indexes */
#ifndef PROXY_REST_CATALOG_H
#define PROXY_REST_CATALOG_H

#include "proxy/rest.h"

/* The route of a path, NULL when it is none of the catalog's. */
const rest_route_t *rest_catalog_route(const char *path);

#endif
