/* sim_fiber - functions that stop in the middle and go on later, all in one thread
 *
 * A job of a node blocks where it reads and writes.  In the simulator it must not: it runs on
 * a stack of its own, gives the thread back at each such place, and is resumed when simulated
 * time has come that far.  So what happens between two reads of one job is up to the seed.
 */
#ifndef TESTS_SUPPORT_SIM_FIBER_H
#define TESTS_SUPPORT_SIM_FIBER_H

#include <stdbool.h>

typedef struct sim_fiber sim_fiber_t;

/* fn begins at the first resume; it may use half a MiB of stack. */
sim_fiber_t *sim_fiber_new(void (*fn)(void *arg), void *arg);
void sim_fiber_destroy(sim_fiber_t **self_p);   /* it has ended, or never began */

/* Run it until it yields or ends; true when it has ended. */
bool sim_fiber_resume(sim_fiber_t *self);
void sim_fiber_yield(void);                     /* from inside one */

/* The one that runs; NULL: none does. */
sim_fiber_t *sim_fiber_here(void);

#endif
