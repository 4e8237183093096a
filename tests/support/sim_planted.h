/* sim_planted - the bugs that the simulated cluster can be given, to see that it finds them
 *
 * Only `make planted-sim` builds a simulator that has them.
 */
#ifndef TESTS_SUPPORT_SIM_PLANTED_H
#define TESTS_SUPPORT_SIM_PLANTED_H

#include <stddef.h>

#include "tests/support/cluster_sim.h"

typedef struct sim_bug {
    const char *name;
    int data, query, wal;       /* as data_planted.h, query_planted.h, wal_objects.c number them */
} sim_bug_t;

size_t sim_bugs(void);
const sim_bug_t *sim_bug(size_t i);
void sim_plant(const sim_bug_t *bug);   /* NULL: none */

#endif
