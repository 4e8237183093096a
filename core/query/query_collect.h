/* query_collect - the best hits of one query when a plain top-k is not enough
 *
 * A collector takes hits in any order and keeps those that pick would pick: groups,
 * repeated keys and ties by key are settled whenever its buffer is full.
 */
#ifndef CORE_QUERY_QUERY_COLLECT_H
#define CORE_QUERY_QUERY_COLLECT_H

#include "core/query/pick.h"

typedef struct collector {
    pick_t *pick;               /* borrowed; of one thread */
    const pick_plan_t *plan;    /* borrowed; pick's */
    pick_hit_t *hits;           /* owned; [cap] candidates */
    pick_hit_t *picked;         /* owned; [cap] */
    size_t n, cap;
    bool full;                  /* nothing worse than bound counts any more */
    float bound;
    view_t bound_pk;            /* of equal scores, no greater key counts; ungrouped */
} collector_t;

/* ERR_MEMORY: then it is empty. */
err_t must_use collector_init(ctx_t *ctx, collector_t *self, pick_t *pick,
                              const pick_plan_t *plan);
void collector_fini(collector_t *self);

/* Bytes that one takes. */
size_t collector_bytes(const pick_plan_t *plan);

/* Add a hit that is no NaN.  ERR_MEMORY. */
err_t must_use collector_add(ctx_t *ctx, collector_t *self, const pick_hit_t *hit);

/* What was picked, best first: self->hits [self->n].  ERR_MEMORY. */
err_t must_use collector_settle(ctx_t *ctx, collector_t *self);

#endif
