/* page_trace - where one request spent its time; "trace" of docs/pages.md */
#include "proxy/pages.h"

#include <ctype.h>
#include <stdlib.h>

static err_t s_ask(proxy_call_t *call, Elanus__InspectAsk *ask)
{
    const char *text = page_param(call, "id");
    size_t len = strspn(text, "0123456789abcdefABCDEF");
    ask->trace = strtoull(text, NULL, 16);
    if (len == 0 || len > 16 || text[len] || ask->trace == 0)
        return ctx_fail(call->ctx, ERR_PARAM_INVALID, "id has to be the trace of a request, up to "
                        "16 hexadecimal digits, not \"%s\"", text);
    return OK;
}

typedef struct found {
    const page_node_t *node;
    const Elanus__Span *span;
} found_t;

/* Clocks of two machines differ: of two that began together the longer one is shown first. */
static int s_order(const void *a, const void *b)
{
    const Elanus__Span *x = ((const found_t *)a)->span, *y = ((const found_t *)b)->span;
    bool x_root = x->parent == 0, y_root = y->parent == 0;
    if (x_root != y_root)
        return x_root ? -1 : 1;
    if (x->at_us != y->at_us)
        return x->at_us < y->at_us ? -1 : 1;
    return (x->took_us < y->took_us) - (x->took_us > y->took_us);
}

static json_t *s_item(const found_t *found)
{
    const Elanus__Span *span = found->span;
    json_t *item = json_object();
    json_object_set_new(item, "id", page_id(span->id));
    json_object_set_new(item, "parent", span->parent ? page_id(span->parent) : json_null());
    json_object_set_new(item, "node", json_string(found->node->name));
    json_object_set_new(item, "name", page_text(span->name));
    json_object_set_new(item, "kind", page_text(span->kind));
    json_object_set_new(item, "at_us", json_integer(span->at_us));
    json_object_set_new(item, "took_us", json_integer(span->took_us));
    json_object_set_new(item, "error",
                        page_text(span->err ? err_name(err_from_wire(span->err)) : NULL));
    return item;
}

static json_t *s_request(const page_look_t *look)
{
    for (size_t i = 0; i < look->n_nodes; i++) {
        const Elanus__Inspection *found = look->nodes[i].found;
        if (found && found->n_requests)
            return page_request(look->call->ctx, &look->nodes[i], found->requests[0]);
    }
    return json_null();
}

static void s_fill(proxy_node_t *self, page_look_t *look)
{
    (void)self;
    size_t n = 0, room = 0;
    for (size_t i = 0; i < look->n_nodes; i++)
        room += look->nodes[i].found ? look->nodes[i].found->n_spans : 0;
    found_t *all = ctx_new(look->call->ctx, (room + 1) * sizeof *all);
    for (size_t i = 0; i < look->n_nodes; i++) {
        const Elanus__Inspection *found = look->nodes[i].found;
        for (size_t s = 0; found && s < found->n_spans; s++)
            all[n++] = (found_t){ &look->nodes[i], found->spans[s] };
    }
    if (n == 0) {
        look->not_found = "nobody keeps anything of this request any more, or it never was";
        look->what_to_do = "each process keeps its last spans: take a newer one from "
                           PAGES_PREFIX "requests; a node that is missing took its own with it";
        return;
    }
    qsort(all, n, sizeof *all, s_order);
    for (size_t i = 0; i < n; i++)
        json_array_append_new(look->items, s_item(&all[i]));
    look->more = json_object();
    json_object_set_new(look->more, "request", s_request(look));
}

const page_t page_trace = { .name = "trace", .ask = s_ask, .fill = s_fill };
