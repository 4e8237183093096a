/* waits - what a node does when something it asked for has ended
 *
 * A multi-step request is written as a chain: ask, then go on in the function
 * given here.
 */
#ifndef CORE_NODE_WAITS_H
#define CORE_NODE_WAITS_H

#include "core/node/node.h"

typedef struct waits waits_t;

typedef void wait_fn(void *node, void *arg, const event_t *ev, actions_t *act);

waits_t *waits_new(void);
void waits_destroy(waits_t **self_p);

/* A cookie whose REPLY, META or JOB event goes to fn, once.  arg is borrowed. */
uint64_t wait_once(waits_t *self, actions_t *act, wait_fn *fn, void *arg);

/* The same; arg is a mem_new block that is freed after fn ran, or with the node. */
uint64_t wait_owned(waits_t *self, actions_t *act, wait_fn *fn, void *arg);

/* A cookie whose WATCH events go to fn for the life of the node.  arg is borrowed. */
uint64_t wait_always(waits_t *self, actions_t *act, wait_fn *fn, void *arg);

/* Give ev to the function that waits for its cookie; false when none does. */
bool waits_run(waits_t *self, void *node, const event_t *ev, actions_t *act);

#endif
