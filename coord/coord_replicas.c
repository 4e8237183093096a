/* coord_replicas - every loaded collection gets its replicas
 *
 *     load/<collection> ─► replica/<collection>/<id>, each with a leader for every vchannel
 *
 * A replica serves all of a collection; a query node serves at most one replica
 * of a collection while there are enough nodes.  Load, release and drop write
 * replicas in their own transaction.  What happens to nodes is looked after
 * from time to time: one more change in the queue of the catalog's, guarded like
 * all of them, that moves what the lost nodes led and adds or removes replicas.
 * Nothing moves only because a node came: moving costs loading.
 */
#include <stdlib.h>

#include "coord/coord_int.h"
#include "core/base/limits.h"

#define GROUP "__default_resource_group"

enum { ID_AND_GUARD = 2 };

/* A query node that lives, and what it leads. */
typedef struct {
    uint64_t id;
    size_t shards;              /* of all collections */
    uint64_t replica;           /* of the collection at hand; 0: none */
} server_t;

typedef struct {
    ddl_t *ddl;
    server_t *servers;
    size_t n;
    const Elanus__Replica **all;    /* of every collection, as the directory has them */
    size_t n_all;
} plan_t;

/* --- who could ----------------------------------------------------------------------- */

static server_t *s_server(const plan_t *plan, uint64_t id)
{
    for (size_t i = 0; i < plan->n; i++)
        if (plan->servers[i].id == id)
            return &plan->servers[i];
    return NULL;
}

static void s_count(plan_t *plan, const Elanus__Replica *replica, size_t step)
{
    for (size_t s = 0; s < replica->n_shards; s++) {
        server_t *server = s_server(plan, replica->shards[s]->leader);
        if (server)
            server->shards += step;
    }
}

static void s_begin(coord_node_t *self, plan_t *plan, ddl_t *ddl, int64_t *due_ms)
{
    peer_t **nodes = NULL;
    size_t n = coord_peers_of(self, &ddl->memory, "querynode", &nodes);
    *plan = (plan_t){ .ddl = ddl };
    plan->servers = ctx_new(&ddl->memory, (n + 1) * sizeof *plan->servers);
    for (size_t i = 0; i < n; i++)
        if (!coord_peer_lost(self, nodes[i], ddl->now_ms, due_ms))
            plan->servers[plan->n++].id = nodes[i]->id;
    plan->n_all = directory_replicas(self->directory, &ddl->memory, 0, &plan->all);
    for (size_t i = 0; i < plan->n_all; i++)
        s_count(plan, plan->all[i], 1);
}

/* --- one replica ------------------------------------------------------------------------- */

/* The server with the fewest shards: of this replica, or free for it while it may
 * have more; any when there is neither. */
static server_t *s_choose(plan_t *plan, uint64_t replica, size_t room)
{
    server_t *best = NULL;
    for (int strict = 1; strict >= 0 && !best; strict--) {
        for (size_t i = 0; i < plan->n; i++) {
            server_t *server = &plan->servers[i];
            bool may = server->replica == replica || (server->replica == 0 && room > 0);
            if ((may || !strict) && (!best || server->shards < best->shards))
                best = server;
        }
    }
    return best;
}

static size_t s_nodes(const Elanus__Replica *replica)
{
    size_t n = 0;
    for (size_t s = 0; s < replica->n_shards; s++) {
        bool seen = false;
        for (size_t t = 0; t < s; t++)
            seen |= replica->shards[t]->leader == replica->shards[s]->leader;
        n += !seen;
    }
    return n;
}

static uint64_t s_leader_of(const Elanus__Replica *replica, const char *vchannel)
{
    for (size_t s = 0; replica && s < replica->n_shards; s++)
        if (strcmp(replica->shards[s]->vchannel, vchannel) == 0)
            return replica->shards[s]->leader;
    return 0;
}

static void s_add_shard(plan_t *plan, Elanus__Replica *replica, char *vchannel, server_t *server)
{
    ctx_t *ctx = &plan->ddl->memory;
    Elanus__Shard *shard = ctx_new(ctx, sizeof *shard);
    elanus__shard__init(shard);
    shard->vchannel = vchannel;
    shard->leader = server->id;
    replica->shards[replica->n_shards++] = shard;
    if (server->replica == 0)
        server->replica = replica->id;
    bool listed = false;
    for (size_t i = 0; i < replica->n_nodes; i++)
        listed |= replica->nodes[i] == server->id;
    if (!listed)
        replica->nodes[replica->n_nodes++] = server->id;
}

/* The replica as it should be: what lives stays where it is.  known: as it is, or NULL. */
static void s_put(plan_t *plan, const Elanus__Collection *coll, const Elanus__Replica *known,
                  uint64_t id, size_t most_nodes)
{
    ctx_t *ctx = &plan->ddl->memory;
    Elanus__Replica replica = ELANUS__REPLICA__INIT;
    replica.id = id;
    replica.collection = coll->id;
    replica.resource_group = (char *)GROUP;
    replica.shards = ctx_new(ctx, (coll->n_vchannels + 1) * sizeof(void *));
    replica.nodes = ctx_new(ctx, (coll->n_vchannels + 1) * sizeof(uint64_t));
    bool changed = !known || known->n_shards != coll->n_vchannels;
    for (size_t v = 0; v < coll->n_vchannels; v++) {
        server_t *server = s_server(plan, s_leader_of(known, coll->vchannels[v]));
        if (!server) {
            size_t used = s_nodes(&replica);
            server = s_choose(plan, id, used < most_nodes ? most_nodes - used : 0);
            server->shards++;
            changed = true;
        }
        s_add_shard(plan, &replica, coll->vchannels[v], server);
    }
    if (changed)
        coord_ddl_put(plan->ddl, directory_key_replica(ctx, coll->id, id), &replica);
}

/* --- one collection ------------------------------------------------------------------------ */

/* Servers that lead shards of this replica are its own, unless another one has them. */
static size_t s_claim(plan_t *plan, const Elanus__Replica *replica)
{
    size_t living = 0;
    for (size_t s = 0; s < replica->n_shards; s++) {
        server_t *server = s_server(plan, replica->shards[s]->leader);
        living += server != NULL;
        if (server && server->replica == 0)
            server->replica = replica->id;
    }
    return living;
}

typedef struct {
    const Elanus__Replica *replica;
    size_t living;              /* shards whose leader lives */
} kept_t;

static int s_most_living(const void *a, const void *b)
{
    const kept_t *x = a, *y = b;
    return x->living != y->living ? (x->living < y->living) - (x->living > y->living)
                                  : (x->replica->id > y->replica->id) -
                                    (x->replica->id < y->replica->id);
}

/* Those of this collection, the soundest first. */
static size_t s_known(plan_t *plan, uint64_t collection, kept_t **ret)
{
    kept_t *kept = ctx_new(&plan->ddl->memory, (plan->n_all + 1) * sizeof *kept);
    size_t n = 0;
    for (size_t i = 0; i < plan->n; i++)
        plan->servers[i].replica = 0;
    for (size_t i = 0; i < plan->n_all; i++)
        if (plan->all[i]->collection == collection)
            kept[n++] = (kept_t){ plan->all[i], s_claim(plan, plan->all[i]) };
    qsort(kept, n, sizeof *kept, s_most_living);
    *ret = kept;
    return n;
}

static void s_delete(plan_t *plan, const Elanus__Replica *replica)
{
    for (size_t i = 0; i < plan->n; i++)
        if (plan->servers[i].replica == replica->id)
            plan->servers[i].replica = 0;
    s_count(plan, replica, (size_t)-1);
    coord_ddl_delete(plan->ddl, directory_key_replica(&plan->ddl->memory, replica->collection,
                                                      replica->id));
}

/* As many replicas as were asked for, and as there are nodes for.  Without any node all
 * stays as it is: who comes back under its old id goes on with what it had. */
static void s_plan(coord_node_t *self, plan_t *plan, const Elanus__Load *load)
{
    const Elanus__Collection *coll = catalog_collection_by_id(self->catalog, load->collection_id);
    if (!coll || plan->n == 0)
        return;
    size_t want = load->replicas > 0 ? (size_t)load->replicas : 1;
    want = want < plan->n ? want : plan->n;
    size_t each = plan->n / want;
    kept_t *kept = NULL;
    size_t n = s_known(plan, coll->id, &kept);
    for (size_t i = want; i < n; i++)
        s_delete(plan, kept[i].replica);
    for (size_t i = 0; i < want; i++)
        s_put(plan, coll, i < n ? kept[i].replica : NULL,
              i < n ? kept[i].replica->id : coord_ddl_id(self, plan->ddl), each);
}

void coord_replicas_place(coord_node_t *self, ddl_t *ddl, const Elanus__Load *load)
{
    plan_t plan;
    int64_t due_ms = INT64_MAX;
    s_begin(self, &plan, ddl, &due_ms);
    s_plan(self, &plan, load);
}

void coord_replicas_drop(coord_node_t *self, ddl_t *ddl, uint64_t collection)
{
    const Elanus__Replica **replicas = NULL;
    size_t n = directory_replicas(self->directory, &ddl->memory, collection, &replicas);
    for (size_t i = 0; i < n; i++)
        coord_ddl_delete(ddl, directory_key_replica(&ddl->memory, collection, replicas[i]->id));
}

/* More replicas than nodes are refused when they are asked for.  When no node is there at
 * all the wish is noted: in a starting cluster they are about to come. */
err_t coord_replicas_check(coord_node_t *self, ddl_t *ddl, const Elanus__Load *load)
{
    plan_t plan;
    int64_t due_ms = INT64_MAX;
    s_begin(self, &plan, ddl, &due_ms);
    if (plan.n == 0 || load->replicas <= (int32_t)plan.n)
        return OK;
    return ctx_fail(&ddl->memory, ERR_RESOURCE_GROUP_NODES, "failed to load collection: resource "
                    "group node not enough[rg=" GROUP "][currentNodeNum=%zu][expectedNodeNum=%d]",
                    plan.n, load->replicas);
}

/* --- all of them ------------------------------------------------------------------------------ */

static bool s_full(const plan_t *plan)
{
    return plan->ddl->ops.len + ID_AND_GUARD + LIMIT_SHARDS > LIMIT_META_TXN_OPS;
}

/* What does not fit into one transaction is found by the look that follows it. */
static err_t s_plan_all(coord_node_t *self, ddl_t *ddl)
{
    self->replicas_queued = false;
    plan_t plan;
    int64_t due_ms = INT64_MAX;
    s_begin(self, &plan, ddl, &due_ms);
    for (size_t i = 0; i < plan.n_all && !s_full(&plan); i++)
        if (!catalog_load(self->catalog, plan.all[i]->collection))
            s_delete(&plan, plan.all[i]);
    const void **loads = NULL;
    size_t n = catalog_list(self->catalog, &ddl->memory, CATALOG_LOAD, &loads);
    for (size_t i = 0; i < n && !s_full(&plan); i++)
        s_plan(self, &plan, loads[i]);
    return OK;
}

void coord_replicas_look(coord_node_t *self, const event_t *ev, actions_t *act, int64_t *due_ms)
{
    peer_t **nodes = NULL;
    size_t n = coord_peers_of(self, ev->ctx, "querynode", &nodes);
    for (size_t i = 0; i < n; i++)
        coord_peer_lost(self, nodes[i], ev->now_ms, due_ms);   /* for when to look again */
    if (self->replicas_queued)
        return;
    self->replicas_queued = true;
    coord_ddl_wish(self, s_plan_all, ev, act);
}
