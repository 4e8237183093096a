/* ops_pages - the pages every daemon has; private to core/ops */
#ifndef CORE_OPS_OPS_PAGES_H
#define CORE_OPS_OPS_PAGES_H

#include "core/ops/ops.h"

typedef struct ops_pages {
    size_t (*health)(void *arg, ops_component_t *ret, size_t most);
    void (*figures)(void *arg, buf_t *into);
    void *arg;
    metrics_t *metrics;
} ops_pages_t;

/* pages: borrowed as long as ops. */
void ops_pages_route(ops_t *ops, ops_pages_t *pages);

#endif
