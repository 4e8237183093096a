/* sim_store - the object store of a simulated cluster: it takes its time, and has its moods
 *
 * One for all nodes.  Called from a job (sim_fiber.h) a call takes simulated time, and what it
 * does happens somewhere in that time: a put may be there long before its answer, or long after
 * the caller gave up, even after the caller died.  Called from anywhere else it is a store in
 * memory that never fails.
 */
#ifndef TESTS_SUPPORT_SIM_STORE_H
#define TESTS_SUPPORT_SIM_STORE_H

#include "core/store/store.h"
#include "tests/support/sim.h"

typedef struct sim_store sim_store_t;

/* Chances, of one attempt each. */
typedef struct sim_store_moods {
    double fails;               /* nothing was done */
    double unanswered;          /* a put was done, but fails */
    double late;                /* a put fails and is done up to 20 s later */
    double slow;                /* takes up to a second */
    double torn;                /* a read lacks its end, or has a wrong bit */
    int64_t list_lag_ms;        /* lists leave out what is younger, now and then */
} sim_store_moods_t;

sim_store_t *sim_store_new(sim_t *sim);
void sim_store_destroy(sim_store_t **self_p);
store_t *sim_store_of(sim_store_t *self);
void sim_store_mood(sim_store_t *self, const sim_store_moods_t *moods);

/* This node cannot reach it; half of its puts arrive when they have failed. */
void sim_store_cut(sim_store_t *self, int node, bool cut);
void sim_store_heal(sim_store_t *self);     /* no cuts, no moods; what is late is still late */

#endif
