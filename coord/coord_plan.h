/* coord_plan - the query nodes and what they have, while a change is planned
 *
 * What is planned counts at once: two choices of one change do not both take
 * the emptiest node.  Everything is in the arena of the change.
 */
#ifndef COORD_COORD_PLAN_H
#define COORD_COORD_PLAN_H

#include "coord/coord_int.h"

#define COORD_DEFAULT_GROUP "__default_resource_group"

/* A query node that is not lost. */
typedef struct server {
    uint64_t id;
    const char *group;
    bool up;                    /* its link is: it may be given what another one has */
    uint64_t limit;             /* bytes it may hold; 0: not known */
    uint64_t bytes;             /* placed there, and shards led there, of all collections … */
    size_t shards;
    uint64_t replica;           /* of the collection at hand, whose node it is; 0: of none */
    uint64_t own_bytes;         /* … and of the replica at hand */
    size_t own_shards;
} server_t;

typedef struct plan {
    coord_node_t *self;
    ddl_t *ddl;
    server_t *servers;          /* by id */
    size_t n;
    const Elanus__Replica **replicas;   /* of every collection, as the directory has them */
    size_t n_replicas;
    size_t bytes;               /* of the values noted through here */
} plan_t;

/* *due_ms is lowered to when a node that is down now will be lost. */
void coord_plan_begin(plan_t *plan, coord_node_t *self, ddl_t *ddl, int64_t *due_ms);

/* By id, and the i-th node of a replica.  NULL: it is lost, or was never there. */
server_t *coord_plan_server(const plan_t *plan, uint64_t id);
server_t *coord_plan_of(const plan_t *plan, const Elanus__Replica *replica, size_t i);

/* Count what a replica has on its nodes in, or out. */
void coord_plan_count(plan_t *plan, const Elanus__Replica *replica, bool in);

/* Note a write.  False: there is no room for it in one transaction; the look that follows
 * every change of these keys finds it. */
bool coord_plan_put(plan_t *plan, const char *key, const void *message);
bool coord_plan_full(const plan_t *plan);

/* coord_placement.c: where the segments of a replica are from now on; its nodes and shards are
 * as they will be. */
void coord_placement_plan(plan_t *plan, const Elanus__Load *load, const Elanus__Replica *replica);

#endif
