/* index_node - builder of indexes
 *
 * The leading coord asks for a build and keeps asking how it goes (METHOD_BUILD, a
 * long poll); the node reads the vectors from the store, builds, puts the
 * objects and says which.  It keeps nothing: who dies over a build has it
 * built elsewhere, under the next attempt's number.
 */
#ifndef INDEXNODE_INDEX_NODE_H
#define INDEXNODE_INDEX_NODE_H

#include "core/base/pool.h"
#include "core/node/node.h"
#include "core/store/store.h"

extern const role_t index_role;

/* What role->make is given. */
typedef struct index_options {
    store_t *store;             /* borrowed */
    pool_t *pool;               /* the host's for computing, if it is this node's own: the node
                                   ends it; NULL: shared with others */
    size_t parallel;            /* indexNode.scheduler.buildParallel */
    size_t threads;             /* of one build; with a pool */
    uint64_t memory_bytes;      /* all builds at a time may take; 0: no bound */
    int64_t stop_ms;            /* builds under way may go on for so long at a stop */
} index_options_t;

typedef struct index_node index_node_t;

/* For tests. */
size_t index_node_running(const index_node_t *self);
size_t index_node_waiting(const index_node_t *self);

#endif
