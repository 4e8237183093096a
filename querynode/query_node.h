/* query_node - holder of loaded segments, searcher
 *
 * It leads the shards for which replica/ names it: follows their owners for growing rows and
 * deletes, asks the other nodes of the replica for what they hold, and answers SEARCH, QUERY and
 * LOADED.  It holds the segments that place/ names it for, and reads them for whoever leads
 * their shard.  querynode_int.h tells how.
 */
#ifndef QUERYNODE_QUERY_NODE_H
#define QUERYNODE_QUERY_NODE_H

#include "core/node/node.h"
#include "core/store/copies.h"

/* What the node is made with; zeros: no store, no bounds. */
typedef struct query_options {
    store_t *store;             /* of sealed segments; borrowed */
    copies_t *copies;           /* files for indexes of a remote store, the node's; NULL: none */
    bool preload;               /* read all fields at load, not at first use */
    uint64_t memory_limit;      /* bytes of segments and indexes that may be open; 0: no bound */
    double memory_share;        /* of the machine's memory that may be used for loading; 0: all */
    int64_t expire_ms;          /* age at which rows are not seen any more, where the collection
                                 * does not say; 0: never */
    size_t threads;             /* reads at a time; 0: one */
    int64_t drain_ms;           /* so long reads may go on when the node leaves */
    size_t most_reads;          /* that may wait; 0: LIMIT_QUERY_READS */
} query_options_t;

extern const role_t query_role;

#endif
