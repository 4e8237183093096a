/* coord_node - the coordinator: who is there, and who does what
 *
 * Any number of coordinators run; elect.h makes one of them lead.  The leader
 * keeps a link to every registered node, so that it learns of a death from a
 * closed socket or five missed heartbeats and not from a lease.  All of its
 * state is read from metadata when it takes over; every write carries the
 * election's guard.
 *
 *     metadata it reads       session/<role>-<id>, leader/coord, and what it writes
 *     metadata it writes      the catalog (core/catalog/catalog.h), id/global,
 *                             replica/, place/, rg/, build/
 *     it follows              owner/, seg/, and has channels opened by data nodes
 *     calls it answers        CLUSTER, ALLOC_IDS and every Ddl (leader only), STATUS
 */
#ifndef COORD_COORD_NODE_H
#define COORD_COORD_NODE_H

#include "core/node/node.h"
#include "core/store/store.h"

extern const role_t coord_role;

/* What role->make may be given; NULL: the defaults of the configuration. */
typedef struct coord_options {
    int64_t channels;           /* rootCoord.dmlChannelNum */
    int64_t groups;             /* quotaAndLimits.limits.maxResourceGroupNumOfQueryNode */
    bool balance;               /* queryCoord.autoBalance */
    int64_t balance_interval_ms; /* queryCoord.balanceIntervalSeconds */
    uint64_t build_rows;        /* indexCoord.segment.minSegmentNumRowsToEnableIndex */
    size_t builds_a_node;       /* at a time, one more than it works at: the next is at hand */
    store_t *store;             /* borrowed; NULL: no garbage is collected */
    bool gc;                    /* dataCoord.enableGarbageCollection */
    int64_t gc_interval_ms, gc_drop_ms;     /* dataCoord.gc.interval, .dropTolerance */
} coord_options_t;

typedef struct coord_node coord_node_t;

/* For the simulator's checks. */
bool    coord_node_leads(const coord_node_t *self);     /* leading and ready to answer */
int64_t coord_node_term(const coord_node_t *self);      /* 0: does not lead */
size_t  coord_node_members(const coord_node_t *self, bool only_up);

#endif
