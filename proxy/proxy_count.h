/* proxy_count - what a proxy shows on /metrics of its clients' requests, by Milvus's names
 *
 * A call is counted once, when it ends, under the names of what it was about if
 * there is such a thing: a client that makes up names fills no tables.  Without
 * a registry all of this does nothing.  docs/metrics.md lists the names.
 */
#ifndef PROXY_PROXY_COUNT_H
#define PROXY_PROXY_COUNT_H

#include "core/meta/meta.h"
#include "core/node/node.h"
#include "proxy/methods.h"

typedef struct proxy_count {
    metrics_t *to;              /* NULL: nowhere */
    char node[24];              /* node_id */
    metrics_family_t *requests, *latency, *sq_latency, *coll_sq_latency, *mutation_latency,
                     *coll_mutation_latency, *searched, *inserted, *upserted, *deleted, *nq,
                     *received, *cache_hits, *rest_requests, *rest_latency, *rest_received,
                     *rest_sent, *users, *waited, *reduced, *decoded, *sent_write;
    metrics_cell_t *sent, *cache_update, *apply_pk;
} proxy_count_t;

void proxy_count_init(proxy_count_t *self, const node_self_t *who);

/* The call has its answer. */
void proxy_count_call(proxy_node_t *self, const proxy_call_t *call);

/* The catalog did not know what the call names, and is to be looked at again. */
void proxy_count_miss(proxy_node_t *self);

/* "search", "hybrid_search" or "query": what a read is for. */
const char *proxy_count_kind(const proxy_call_t *call);

/* Observe the time since began_us for calls of this kind; families of a label more than node_id. */
void proxy_count_took(proxy_node_t *self, metrics_family_t *of, const char *kind,
                      int64_t began_us);

/* Collections are about to change: those that go, or get another name, are shown no more. */
void proxy_count_forget(proxy_node_t *self, const event_t *ev);

#endif
