/* coord_count - what a coordinator shows on /metrics, by the names of Milvus's three
 *
 * Counts of requests are of whoever leads.  Gauges of what there is are worked
 * out once a second from the leader's picture of the metadata; who does not lead
 * shows none, so that a sum over all coordinators is right.
 */
#ifndef COORD_COORD_COUNT_H
#define COORD_COORD_COUNT_H

#include "core/node/node.h"
#include "elanus.pb-c.h"

typedef struct ddl ddl_t;

enum { COORD_GAUGES = 32 };

typedef struct coord_count {
    metrics_t *to;
    metrics_family_t *ddl, *ddl_ms, *loads, *releases;
    metrics_cell_t *ids, *load_ms, *release_ms;
    metrics_family_t *gauges[COORD_GAUGES];     /* all of them, by coord_gauge_t */
} coord_count_t;

void coord_count_init(coord_count_t *self, const node_self_t *who);

/* A change of the catalog, or a question that is answered like one, has ended. */
void coord_count_ddl(const coord_count_t *self, const ddl_t *ddl, err_t err);

/* member_t.tell: what is stored, by partition */
void coord_count_tell(const void *node, ctx_t *ctx, Elanus__NodeStatus *into);

/* role_t.measure */
void coord_count_measure(void *node, int64_t wall_ms);

#endif
