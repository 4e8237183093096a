/* proxy_requests - the last requests of clients at this proxy, and the slow ones
 *
 * Two rings: LIMIT_REQUESTS_KEPT of all, and LIMIT_SLOW_KEPT of those slower than
 * proxy.slowQuerySpanInSeconds, which stay when the others have gone.  What a
 * request was about is cut to fit; nothing of its rows or vectors is kept.
 *
 * A request that ends leaves the root span of its trace (core/base/spans.h) as
 * well.  A slow read is logged (slow_query) and counted.  Any thread.
 */
#ifndef PROXY_PROXY_REQUESTS_H
#define PROXY_PROXY_REQUESTS_H

#include "core/base/metrics.h"
#include "elanus.pb-c.h"
#include "proxy/proxy_node.h"

typedef struct proxy_requests proxy_requests_t;

/* slow_ms: 0 counts every request as slow. */
proxy_requests_t *proxy_requests_new(int64_t slow_ms);
void proxy_requests_destroy(proxy_requests_t **self_p);

/* Count slow reads here, for this node; metrics: borrowed for the life of self. */
void proxy_requests_count(proxy_requests_t *self, metrics_t *metrics, uint64_t node);

/* A call has its answer, at this clock_mono_us; what it is about lies in it still. */
void proxy_requests_ended(proxy_requests_t *self, const proxy_call_t *call, uint64_t node,
                          int64_t now_us);

/* The newest `most` of all, and the slow ones that are not among them; newest first, in the
 * arena.  trace not 0: only requests with that one. */
size_t proxy_requests_last(proxy_requests_t *self, ctx_t *ctx, size_t most, uint64_t trace,
                           Elanus__RequestView ***ret);

/* What follows "traceparent: 00-<32 hex>-<16 hex>-<2 hex>" as a number: its low 64 bits; 0 when
 * it is NULL or no such header. */
uint64_t proxy_requests_trace(const char *traceparent);

#endif
