/* page_requests - what clients asked of all proxies lately; "requests" of docs/pages.md */
#include "proxy/pages.h"

#include <stdlib.h>

enum { MOST_UNSAID = 100 };

static err_t s_params(proxy_call_t *call, uint64_t *ret_most, uint64_t *ret_slow)
{
    *ret_most = MOST_UNSAID;
    *ret_slow = 0;
    TRY(page_number(call, "most", LIMIT_REQUESTS_KEPT, ret_most));
    return page_number(call, "slow", 1, ret_slow);
}

/* The slowest may be anywhere. */
static err_t s_ask(proxy_call_t *call, Elanus__InspectAsk *ask)
{
    uint64_t most = 0, slow = 0;
    TRY(s_params(call, &most, &slow));
    ask->requests_most = slow ? LIMIT_REQUESTS_KEPT : (uint32_t)most;
    return OK;
}

typedef struct found {
    const page_node_t *node;
    const Elanus__RequestView *view;
} found_t;

static int s_newest(const void *a, const void *b)
{
    const found_t *x = a, *y = b;
    return (x->view->at_us < y->view->at_us) - (x->view->at_us > y->view->at_us);
}

static int s_slowest(const void *a, const void *b)
{
    const found_t *x = a, *y = b;
    int order = (x->view->took_us < y->view->took_us) - (x->view->took_us > y->view->took_us);
    return order ? order : s_newest(a, b);
}

static json_t *s_number(int64_t value)
{
    return value >= 0 ? json_integer(value) : json_null();
}

json_t *page_request(ctx_t *ctx, const page_node_t *node, const Elanus__RequestView *view)
{
    json_t *item = json_object();
    json_object_set_new(item, "trace", json_string(ctx_printf(ctx, "%016llx",
                                                   (unsigned long long)view->trace)));
    json_object_set_new(item, "at_us", json_integer(view->at_us));
    json_object_set_new(item, "proxy", json_string(node->name));
    json_object_set_new(item, "method", page_text(view->method));
    json_object_set_new(item, "db", page_text(view->db));
    json_object_set_new(item, "collection", page_text(view->collection));
    json_object_set_new(item, "user", page_text(view->user));
    json_object_set_new(item, "took_us", json_integer(view->took_us));
    json_object_set_new(item, "code", json_integer(view->code));
    json_object_set_new(item, "error", page_text(view->error));
    json_object_set_new(item, "nq", s_number(view->nq));
    json_object_set_new(item, "limit", s_number(view->limit));
    json_object_set_new(item, "filter", page_text(view->filter));
    json_object_set_new(item, "rows", s_number(view->rows));
    return item;
}

static void s_fill(proxy_node_t *self, page_look_t *look)
{
    (void)self;
    uint64_t most = 0, slow = 0;
    check(s_params(look->call, &most, &slow) == OK);    /* as when it was asked */
    size_t n = 0, room = 0;
    for (size_t i = 0; i < look->n_nodes; i++)
        room += look->nodes[i].found ? look->nodes[i].found->n_requests : 0;
    found_t *all = ctx_new(look->call->ctx, (room + 1) * sizeof *all);
    for (size_t i = 0; i < look->n_nodes; i++) {
        const Elanus__Inspection *found = look->nodes[i].found;
        for (size_t r = 0; found && r < found->n_requests; r++)
            all[n++] = (found_t){ &look->nodes[i], found->requests[r] };
    }
    qsort(all, n, sizeof *all, slow ? s_slowest : s_newest);
    for (size_t i = 0; i < n && i < most; i++)
        json_array_append_new(look->items, page_request(look->call->ctx, all[i].node, all[i].view));
}

const page_t page_requests = { .name = "requests", .ask = s_ask, .fill = s_fill };
