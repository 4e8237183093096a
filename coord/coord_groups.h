/* coord_groups - resource groups: what the files about them share */
#ifndef COORD_COORD_GROUPS_H
#define COORD_COORD_GROUPS_H

#include "coord/coord_plan.h"

#define COORD_DEFAULT_GROUP_LIMIT 1000000u      /* nodes; Milvus's */

/* The default group as it is while nobody has configured it; arena. */
const Elanus__ResourceGroup *coord_group_default(ctx_t *ctx);

/* Sort the servers of a plan into groups, note what changes, `changed` groups too: they stand
 * for what the directory has under their names. */
void coord_groups_settle(plan_t *plan, const Elanus__ResourceGroup *const *changed, size_t n);

#endif
