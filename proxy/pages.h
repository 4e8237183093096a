/* pages - what the proxy's ops port tells of the cluster, as JSON: docs/pages.md
 *
 *     ops thread ─► proxy_actor ─► EV_ITEM(call with a page) ─► page_look ─► METHOD_INSPECT to all
 *     ops thread ◄─ proxy_actor ◄─ ACT_ITEM ◄── page_answer ◄── the page ◄───────┘ who answered
 *
 * A page is a view of what the nodes say of themselves at that moment, and of
 * the metadata that the proxy follows.  It keeps nothing from one asking to the
 * next, so that nothing stale can be shown.
 */
#ifndef PROXY_PAGES_H
#define PROXY_PAGES_H

#include <jansson.h>

#include "proxy/proxy_int.h"

#define PAGES_PREFIX "/api/v1/_elanus/"

typedef struct page_look page_look_t;
typedef struct page_node page_node_t;

typedef struct page {
    const char *name;           /* behind the prefix: "nodes" */

    /* What is asked of every node.  Errors ERR_PARAM_INVALID: the query, with what to do. */
    err_t (*ask)(proxy_call_t *call, Elanus__InspectAsk *ask);

    /* What of the query needs the catalog; NULL: nothing does.
     * Errors  ERR_PARAM_INVALID; ERR_SERVICE_NOT_READY; what is not found */
    err_t (*find)(proxy_node_t *self, page_look_t *look);

    /* What is different for this one; NULL: nothing. */
    void (*ask_node)(page_look_t *look, const page_node_t *node, Elanus__InspectAsk *ask);

    /* Fill look->items and look->more; all that answered is there. */
    void (*fill)(proxy_node_t *self, page_look_t *look);

    /* Prefixes of the metadata whose keys the page wants as well; ends with NULL.  NULL: none.
     * With look->collection, only what lies behind "<prefix><collection>/". */
    const char *const *prefixes;
} page_t;

enum { PAGE_PREFIXES = 4 };

/* Who was asked, and what it said. */
struct page_node {
    const Elanus__NodeInfo *info;       /* of its session */
    char name[64];              /* "querynode-7" */
    Elanus__Inspection *found;  /* NULL: no answer, and why */
    const char *why;
};

struct page_look {
    const page_t *page;
    proxy_call_t *call;
    Elanus__InspectAsk ask;
    page_node_t *nodes;         /* in the order of roles, then of ids */
    size_t n_nodes;
    meta_items_t keys[PAGE_PREFIXES];   /* of page->prefixes */
    size_t next_prefix;
    uint64_t collection;        /* set by page->find; 0: all */
    uint64_t before;            /* items below this id; 0: any */
    uint64_t most;              /* items at most */
    int64_t wall_ms;
    json_t *items;              /* a list; the page's to fill */
    json_t *more;               /* members beside "items"; NULL: none */
    json_t *missing;
    const char *not_found;      /* what is asked for is not there: 404 with this, and */
    const char *what_to_do;
};

/* The page of this name; NULL: there is none. */
const page_t *pages_find(const char *name);

/* The i-th; NULL behind the last. */
const page_t *pages_at(size_t i);

/* proxy_node.c gives calls with a page here; the call ends. */
void pages_handle(proxy_node_t *self, proxy_call_t *call, const event_t *ev, actions_t *act);

/* End it with {"error": text, "do": what} instead. */
void pages_fail(proxy_node_t *self, proxy_call_t *call, actions_t *act, int http_status,
                const char *text, const char *what);

/* --- for the pages ---------------------------------------------------------------- */

/* A parameter of the query, decoded, in the call's arena; "" when it is not there. */
const char *page_param(proxy_call_t *call, const char *name);

/* The same as a number; *ret is left alone when it is not there.  ERR_PARAM_INVALID */
err_t must_use page_number(proxy_call_t *call, const char *name, uint64_t most, uint64_t *ret);

/* page_t.find: "collection" and "db" of the query to look->collection, "most" and "before". */
err_t page_find_items(proxy_node_t *self, page_look_t *look);

/* The i-th number of a key "seg/4501/4522", from 0 on; 0: it has none. */
uint64_t page_key_id(const char *key, size_t i);

/* "ROLE-ID" of a node that may be registered no more; null for 0. */
json_t *page_node_name(ctx_t *ctx, const char *role, uint64_t id);

/* Is it the coord that leads, and lives? */
bool page_leads(const proxy_node_t *self, const page_node_t *node);

/* By the catalog as this proxy follows it; NULL: it is not there (any more). */
const char *page_collection_name(const proxy_node_t *self, uint64_t id);

/* An id as text; a number that may be missing. */
json_t *page_id(uint64_t id);
json_t *page_text(const char *text);    /* NULL and "": null */
json_t *page_count(bool known, uint64_t value);

/* The physical part of a timestamp; 0: null. */
json_t *page_ts_ms(uint64_t ts);

/* Something is not known: name it to whoever reads. */
void page_missing(page_look_t *look, const char *what, const char *why, const char *what_to_do);

/* The item of a request, as "requests" shows it. */
json_t *page_request(ctx_t *ctx, const page_node_t *node, const Elanus__RequestView *view);

extern const page_t page_nodes, page_events, page_channels, page_segments, page_builds,
                    page_requests, page_trace;

#endif
