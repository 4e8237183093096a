/* proxy_actor - between the door and the node
 *
 * Turns what the door delivers into calls for the node's mailbox, and
 * answered calls into what the door sends.  Decides nothing.
 */
#ifndef PROXY_PROXY_ACTOR_H
#define PROXY_PROXY_ACTOR_H

#include "core/node/host.h"
#include "core/ops/ops.h"
#include "proxy/door.h"
#include "proxy/proxy_node.h"

typedef struct proxy_actor proxy_actor_t;

proxy_actor_t *proxy_actor_new(struct proxy_requests *requests);        /* borrowed */

/* For host_options: the node's answered calls end here. */
void proxy_actor_sink(void *arg, void *item);

/* Open the door in front of a running host.  options: as for door_open; its
 * callbacks are filled in here.  Errors are door_open's. */
err_t must_use proxy_actor_open(ctx_t *ctx, proxy_actor_t *self, host_t *host,
                                const door_options_t *options);

/* Serve the pages of docs/pages.md and REST v2 on the ops port, too, from a running host on. */
void proxy_actor_pages(proxy_actor_t *self, host_t *host, ops_t *ops);

int proxy_actor_port(const proxy_actor_t *self);
void proxy_actor_stats(const proxy_actor_t *self, door_stats_t *ret);

/* Take no new requests, let open ones finish for at most drain_ms; before host_stop. */
void proxy_actor_stop(proxy_actor_t *self, int64_t drain_ms);

/* After host_wait: every call has come back by then. */
void proxy_actor_destroy(proxy_actor_t **self_p);

#endif
