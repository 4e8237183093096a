/* inspect - what a node tells of itself to those who look in: METHOD_INSPECT
 *
 * The member answers it for every role: what the process uses, how much was
 * asked of it, its figures, the last lines of its journal.  A role adds what
 * only it knows in member_t.inspect: a data node its channels, a query node its
 * segments.  Nothing here changes anything.
 */
#ifndef CORE_NODE_INSPECT_H
#define CORE_NODE_INSPECT_H

#include "core/node/member.h"

/* EV_CALL with METHOD_INSPECT: one answer follows, after a job has measured. */
void inspect_call(member_t *member, const event_t *ev, actions_t *act);

/* The same for the node itself, which does not call itself: `then` gets what the answer would be,
 * in the arena of ev->ctx; NULL and ev->err when measuring failed.  ask and arg are borrowed. */
typedef void inspect_then_fn(void *node, void *arg, const event_t *ev, actions_t *act,
                             Elanus__Inspection *found);
void inspect_self(member_t *member, const Elanus__InspectAsk *ask, inspect_then_fn *then,
                  void *arg, actions_t *act);

/* --- for the roles ------------------------------------------------------------------- */

/* Is a segment among those that are asked for? */
bool inspect_wants(const Elanus__InspectAsk *ask, uint64_t collection, uint64_t segment);

/* into->segments: the newest first, and no more of them than were asked for. */
void inspect_cut_segments(const Elanus__InspectAsk *ask, Elanus__Inspection *into);

#endif
