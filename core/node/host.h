/* host - runs one node with real sockets, metadata and workers
 *
 * One thread per node: it sleeps in net_poll, turns what woke it into an
 * event, lets the role step, and carries out the actions.  Metadata calls and
 * jobs run on the shared I/O pool and come back through the mailbox.  A
 * daemon has one host, standalone has one per role, all in one process.
 *
 * Start and stop are handshakes: host_start returns when the node has had its
 * EV_START, host_stop lets it drain, host_wait returns when it has left and
 * nothing of it runs any more.
 */
#ifndef CORE_NODE_HOST_H
#define CORE_NODE_HOST_H

#include "core/base/pool.h"
#include "core/node/node.h"

typedef struct host host_t;

typedef struct host_options {
    const role_t *role;
    const void *role_options;   /* for role->make; borrowed */
    node_self_t self;           /* strings are copied; address is filled in */
    const char *listen;         /* for net_open */

    /* The address to tell others, from the endpoint that was bound; NULL: that one. */
    const char *(*advertise)(ctx_t *ctx, void *arg, const char *bound);
    void *advertise_arg;
    const net_curve_t *curve;   /* NULL: plain */
    meta_t *meta;               /* borrowed, like io */
    pool_t *io;
    pool_t *compute;            /* borrowed; NULL: io does that work too */
    void (*sink)(void *arg, void *item);    /* ACT_ITEM: the item is moved to it; node's thread */
    void *sink_arg;
    void (*left)(void *arg);    /* the node has left by itself or after host_stop; node's thread */
    void *left_arg;
} host_options_t;

/* Bind and make the node; nothing runs yet.  Errors are net_open's. */
err_t must_use host_open(ctx_t *ctx, const host_options_t *options, host_t **ret);

void host_start(host_t *self);

/* Give the node an EV_ITEM.  False when its mailbox is full: the item stays the caller's. */
bool must_use host_post(host_t *self, void *item);

/* Ask the node to drain and leave; any thread, returns at once. */
void host_stop(host_t *self);

/* Wait until it has left, and why it did: OK, or an error with its text in ctx.  Once. */
err_t must_use host_wait(ctx_t *ctx, host_t *self);

/* After host_wait, or when host_start was never called. */
void host_destroy(host_t **self_p);

const node_self_t *host_self(const host_t *self);
const char *host_role(const host_t *self);

/* Any thread: can the node do its work now, and its figures as of its last step. */
bool host_ready(const host_t *self);

/* Wait for host_ready at most ms; false when it did not come true, or the node has left. */
bool host_wait_ready(host_t *self, int64_t ms);

/* The i-th figure; false behind the last. */
bool host_figure(const host_t *self, size_t i, const figure_t **ret, int64_t *ret_value);

/* Any thread: what its net end counted, as of its last step. */
void host_net_stats(host_t *self, net_stats_t *ret);

/* The next number no node of this cluster ever had (`id/node` in metadata). */
err_t must_use host_new_id(ctx_t *ctx, meta_t *meta, uint64_t *ret);

#endif
