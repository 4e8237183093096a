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
    bool balance;               /* what is well placed may move, too … */
    size_t moved;               /* … and so much did, or went elsewhere for another reason */
    size_t led;                 /* leaders that moved by it: at most one of a replica */
} plan_t;

/* Where one segment is to be. */
typedef struct spot {
    const Elanus__Segment *segment;
    server_t *server;           /* NULL: nowhere yet */
} spot_t;

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

/* Has it memory for so many bytes more? */
bool coord_plan_fits(const server_t *server, uint64_t bytes);

/* coord_placement.c: where the segments of a replica are from now on; its nodes and shards are
 * as they will be. */
void coord_placement_plan(plan_t *plan, const Elanus__Load *load, const Elanus__Replica *replica);

/* coord_balance.c: when it is time, and what moves then; `done` says when it is time again.
 *   leaders   [n_shards] of a replica, whose nodes are [n] */
bool coord_balance_due(const coord_node_t *self, int64_t now_ms, int64_t *due_ms);
void coord_balance_done(coord_node_t *self, const plan_t *plan);
void coord_balance_segments(plan_t *plan, const Elanus__Replica *replica, spot_t *spots, size_t n);
void coord_balance_leaders(plan_t *plan, server_t **nodes, size_t n, server_t **leaders,
                           size_t n_shards);

#endif
