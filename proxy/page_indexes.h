/* page_indexes - what there is to say of an index of a segment: for the pages that show builds */
#ifndef PROXY_PAGE_INDEXES_H
#define PROXY_PAGE_INDEXES_H

#include "proxy/pages.h"

typedef struct page_indexes {
    const proxy_node_t *self;
    map_t *definitions;         /* id -> Elanus__Index, the catalog's */
    map_t *running;             /* build -> Elanus__BuildView, of the index nodes */
} page_indexes_t;

/* In words; NULL: not known. */
typedef struct page_index {
    const char *name, *field, *type;
    const char *state;          /* "waiting", "running", "done", "failed" */
    json_t *percent;            /* the caller's */
} page_index_t;

void page_indexes_init(page_indexes_t *self, const proxy_node_t *node, const page_look_t *look);
void page_indexes_fini(page_indexes_t *self);

page_index_t page_indexes_tell(const page_indexes_t *self, const Elanus__Build *build);

#endif
