/* proxy_stored - which segments of a collection rest in the store
 *
 * Read from metadata when somebody wants to know: the proxy keeps no picture of
 * segments, because nothing it does often needs one.
 */
#include <stdlib.h>

#include "core/catalog/segments.h"
#include "proxy/proxy_gather.h"

typedef struct stored {
    proxy_call_t *call;
    uint64_t collection;
    proxy_stored_fn *then;
} stored_t;

static int s_by_id(const void *a, const void *b)
{
    const Elanus__Segment *x = *(Elanus__Segment *const *)a, *y = *(Elanus__Segment *const *)b;
    return (x->id > y->id) - (x->id < y->id);
}

/* What is damaged or dropped is left out. */
static void s_listed(void *node, void *arg, const event_t *ev, actions_t *act)
{
    proxy_node_t *self = node;
    const stored_t *stored = arg;
    proxy_call_t *call = stored->call;
    if (ev->err != OK) {
        proxy_status(self, call, act, ev->err, ctx_strdup(call->ctx, ev->text));
        return;
    }
    const meta_items_t *items = &ev->meta.items;
    Elanus__Segment **segments = ctx_new(call->ctx, (items->n + 1) * sizeof *segments);
    size_t n = 0;
    for (size_t i = 0; i < items->n; i++)
        if (PB_UNPACK(call->ctx, elanus__segment, items->at[i].value, &segments[n]) == OK &&
            segments[n]->state == ELANUS__SEGMENT_STATE__SEGMENT_FLUSHED)
            n++;
    qsort(segments, n, sizeof *segments, s_by_id);
    stored->then(self, call, stored->collection, segments, n, ev, act);
}

void proxy_stored(proxy_node_t *self, proxy_call_t *call, uint64_t collection,
                  proxy_stored_fn *then, actions_t *act)
{
    stored_t *stored = ctx_new(call->ctx, sizeof *stored);
    *stored = (stored_t){ .call = call, .collection = collection, .then = then };
    const char *prefix = ctx_printf(call->ctx, "%s%llu/", segments_root(SEGMENTS_SEG),
                                    (unsigned long long)collection);
    act_meta_list(act, prefix, wait_once(self->member.waits, act, s_listed, stored));
}
