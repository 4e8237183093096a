/* queue - typed pointers from many threads to one, with a file descriptor
 *
 * The mailbox of a node: workers and the door put jobs in, the node's loop
 * takes them out when the descriptor turns readable.  Bounded; a full queue
 * says so to the putter, who must answer for it.  One mutex, held for a few
 * instructions (it is a leaf: nothing is called under it).
 */
#ifndef CORE_BASE_QUEUE_H
#define CORE_BASE_QUEUE_H

#include "core/base/base.h"

typedef struct queue queue_t;

/* most: items it holds at the most, up to LIMIT_QUEUE_ITEMS. */
queue_t *queue_new(size_t most);

/* Must be empty: whatever is inside would leak. */
void queue_destroy(queue_t **self_p);

/* False when full; the item then still belongs to the caller. */
bool must_use queue_put(queue_t *self, void *item);

/* The oldest item, NULL when empty.  Never blocks. */
void *queue_take(queue_t *self);

/* Readable while the queue is not empty; for poll only, never read it. */
int queue_fd(const queue_t *self);

size_t queue_len(queue_t *self);

#endif
