/* coord_replicas - every loaded collection gets its replicas
 *
 *     load/<collection> ─► replica/<collection>/<id>: nodes of one resource group, a leader for
 *                          every vchannel among them
 *
 * A replica serves all of a collection; a query node serves at most one replica
 * of a collection.  The nodes of a group are shared out evenly among a
 * collection's replicas there.  Load, release and drop write replicas and their
 * placements in their own transaction.  What happens to nodes and segments is
 * looked after from time to time: one more change in the queue of the catalog's,
 * guarded like all of them, that gives what the lost nodes had to others and adds
 * or removes replicas.
 *
 * A node changes its replica only when another one has less than its share, and
 * what is well placed moves only when it is time to balance: moving costs loading.
 * A new leader waits a moment for nodes that it has not seen yet before it gives
 * away what they have: when everything starts anew, they are about to come.
 */
#include <stdlib.h>

#include "coord/coord_groups.h"
#include "core/base/limits.h"
#include "core/wire/pb.h"

/* A replica of the collection at hand, as it will be. */
typedef struct {
    const Elanus__Replica *known;   /* NULL: it is new */
    uint64_t id;
    const char *group;
    size_t living;              /* shards whose leader lives */
    server_t **nodes;           /* [plan.n] that live */
    size_t n_nodes;
} draft_t;

typedef struct {
    plan_t *plan;
    const Elanus__Load *load;
    const Elanus__Collection *coll;
    draft_t *drafts;            /* those that stay first */
    size_t n, n_known;
} drafts_t;

/* --- which replicas ------------------------------------------------------------------ */

size_t coord_replicas_wanted(const Elanus__Load *load)
{
    return load->replicas > 0 ? (size_t)load->replicas : 1;
}

const char *coord_replicas_group(const Elanus__Load *load, size_t i)
{
    return load->n_resource_groups == 0 ? COORD_DEFAULT_GROUP
                                        : load->resource_groups[i % load->n_resource_groups];
}

static size_t s_nodes_of_group(const plan_t *plan, const char *group)
{
    size_t n = 0;
    for (size_t i = 0; i < plan->n; i++)
        n += strcmp(plan->servers[i].group, group) == 0;
    return n;
}

static int s_soundest(const void *a, const void *b)
{
    const draft_t *x = a, *y = b;
    return x->living != y->living ? (x->living < y->living) - (x->living > y->living)
                                  : (x->id > y->id) - (x->id < y->id);
}

static size_t s_living(const plan_t *plan, const Elanus__Replica *replica)
{
    size_t n = 0;
    for (size_t s = 0; s < replica->n_shards; s++)
        n += coord_plan_server(plan, replica->shards[s]->leader) != NULL;
    return n;
}

static void s_take_known(drafts_t *drafts)
{
    const plan_t *plan = drafts->plan;
    for (size_t i = 0; i < plan->n_replicas; i++) {
        const Elanus__Replica *replica = plan->replicas[i];
        if (replica->collection == drafts->coll->id)
            drafts->drafts[drafts->n_known++] = (draft_t){ .known = replica, .id = replica->id,
                .living = s_living(plan, replica) };
    }
    qsort(drafts->drafts, drafts->n_known, sizeof *drafts->drafts, s_soundest);
}

static draft_t *s_free_draft(drafts_t *drafts, const char *group)
{
    for (size_t i = 0; i < drafts->n_known; i++) {
        draft_t *draft = &drafts->drafts[i];
        if (!draft->group && (!group || strcmp(draft->known->resource_group, group) == 0))
            return draft;
    }
    return NULL;
}

/* How many of its wanted replicas a group has nodes for.  A group that has lost all nodes
 * keeps what it had: who comes back under its old id goes on with it. */
static size_t s_most(const drafts_t *drafts, const char *group)
{
    size_t n = s_nodes_of_group(drafts->plan, group);
    return n > 0 ? n : SIZE_MAX;
}

static size_t s_in_group(const drafts_t *drafts, const char *group)
{
    size_t n = 0;
    for (size_t i = 0; i < drafts->n; i++)
        n += drafts->drafts[i].group && strcmp(drafts->drafts[i].group, group) == 0;
    return n;
}

/* First those that are in a group that is wanted, then any that can move there, then new
 * ones where there are nodes for them. */
static void s_choose(coord_node_t *self, drafts_t *drafts)
{
    size_t want = coord_replicas_wanted(drafts->load);
    bool *found = ctx_new(&drafts->plan->ddl->memory, want * sizeof *found);
    for (int pass = 0; pass < 3; pass++) {
        for (size_t i = 0; i < want; i++) {
            const char *group = coord_replicas_group(drafts->load, i);
            if (found[i] || s_in_group(drafts, group) >= s_most(drafts, group))
                continue;
            draft_t *draft = pass < 2 ? s_free_draft(drafts, pass == 0 ? group : NULL) : NULL;
            if (pass == 2 && s_nodes_of_group(drafts->plan, group) > 0) {
                draft = &drafts->drafts[drafts->n++];
                draft->id = coord_ddl_id(self, drafts->plan->ddl);
            }
            found[i] = draft != NULL;
            if (draft)
                draft->group = group;
        }
    }
}

/* --- which nodes --------------------------------------------------------------------- */

/* Nodes of a replica stay with it, unless they are lost or have left the group. */
static void s_keep_nodes(drafts_t *drafts, draft_t *draft)
{
    plan_t *plan = drafts->plan;
    draft->nodes = ctx_new(&plan->ddl->memory, (plan->n + 1) * sizeof(void *));
    for (size_t i = 0; draft->known && i < draft->known->n_nodes; i++) {
        server_t *server = coord_plan_of(plan, draft->known, i);
        if (!server || server->replica != 0 || strcmp(server->group, draft->group) != 0)
            continue;
        server->replica = draft->id;
        draft->nodes[draft->n_nodes++] = server;
    }
}

/* The one with the fewest, or the most, nodes of a group. */
static draft_t *s_extreme(drafts_t *drafts, const char *group, bool most)
{
    draft_t *best = NULL;
    for (size_t i = 0; i < drafts->n; i++) {
        draft_t *draft = &drafts->drafts[i];
        if (!draft->group || strcmp(draft->group, group) != 0)
            continue;
        if (!best || (most ? draft->n_nodes > best->n_nodes : draft->n_nodes < best->n_nodes))
            best = draft;
    }
    return best;
}

/* The node it misses the least: the one that leads the fewest shards of it. */
static server_t *s_give_up(draft_t *draft)
{
    size_t best = 0, fewest = SIZE_MAX;
    for (size_t i = draft->n_nodes; i-- > 0; ) {
        size_t leads = 0;
        for (size_t s = 0; draft->known && s < draft->known->n_shards; s++)
            leads += draft->known->shards[s]->leader == draft->nodes[i]->id;
        if (leads < fewest) {
            fewest = leads;
            best = i;
        }
    }
    server_t *server = draft->nodes[best];
    for (size_t i = best + 1; i < draft->n_nodes; i++)
        draft->nodes[i - 1] = draft->nodes[i];
    draft->n_nodes--;
    server->replica = 0;
    return server;
}

static void s_give(draft_t *draft, server_t *server)
{
    server->replica = draft->id;
    size_t at = draft->n_nodes++;
    for (; at > 0 && draft->nodes[at - 1]->id > server->id; at--)
        draft->nodes[at] = draft->nodes[at - 1];
    draft->nodes[at] = server;
}

/* The nodes of a group go to whoever has the fewest, and from one that has two more than it. */
static void s_share_group(drafts_t *drafts, const char *group)
{
    for (size_t i = 0; i < drafts->plan->n; i++) {
        server_t *server = &drafts->plan->servers[i];
        draft_t *least = s_extreme(drafts, group, false);
        if (least && server->replica == 0 && strcmp(server->group, group) == 0)
            s_give(least, server);
    }
    for (size_t i = 0; i < drafts->plan->n; i++) {
        draft_t *least = s_extreme(drafts, group, false), *most = s_extreme(drafts, group, true);
        if (!least || most->n_nodes < least->n_nodes + 2)
            return;
        s_give(least, s_give_up(most));
    }
}

static void s_share_nodes(drafts_t *drafts)
{
    for (size_t i = 0; i < drafts->plan->n; i++)
        drafts->plan->servers[i].replica = 0;
    for (size_t i = 0; i < drafts->n; i++)
        if (drafts->drafts[i].group)
            s_keep_nodes(drafts, &drafts->drafts[i]);
    for (size_t i = 0; i < coord_replicas_wanted(drafts->load); i++)
        s_share_group(drafts, coord_replicas_group(drafts->load, i));
}

/* --- which leaders --------------------------------------------------------------------- */

static uint64_t s_leader_of(const Elanus__Replica *replica, const char *vchannel)
{
    for (size_t s = 0; replica && s < replica->n_shards; s++)
        if (strcmp(replica->shards[s]->vchannel, vchannel) == 0)
            return replica->shards[s]->leader;
    return 0;
}

static server_t *s_least_busy(const draft_t *draft)
{
    server_t *best = NULL;
    for (size_t i = 0; i < draft->n_nodes; i++) {
        server_t *server = draft->nodes[i];
        if (!best || server->own_shards < best->own_shards ||
            (server->own_shards == best->own_shards && server->shards < best->shards))
            best = server;
    }
    return best;
}

static void s_add_shard(Elanus__Replica *replica, ctx_t *ctx, char *vchannel, server_t *leader)
{
    Elanus__Shard *shard = ctx_new(ctx, sizeof *shard);
    elanus__shard__init(shard);
    shard->vchannel = vchannel;
    shard->leader = leader->id;
    replica->shards[replica->n_shards++] = shard;
}

/* Whoever lives and is still of the replica goes on leading; the others' shards go to the
 * least busy. */
static void s_lead(const drafts_t *drafts, const draft_t *draft, Elanus__Replica *replica)
{
    const Elanus__Collection *coll = drafts->coll;
    ctx_t *ctx = &drafts->plan->ddl->memory;
    server_t **leaders = ctx_new(ctx, (coll->n_vchannels + 1) * sizeof(void *));
    for (size_t i = 0; i < draft->n_nodes; i++)
        draft->nodes[i]->own_shards = 0;
    for (size_t v = 0; v < coll->n_vchannels; v++) {
        server_t *known = coord_plan_server(drafts->plan, s_leader_of(draft->known,
                                                                      coll->vchannels[v]));
        leaders[v] = known && known->replica == draft->id ? known : NULL;
        if (leaders[v])
            leaders[v]->own_shards++;
    }
    for (size_t v = 0; v < coll->n_vchannels; v++) {
        if (!leaders[v]) {
            leaders[v] = s_least_busy(draft);
            leaders[v]->own_shards++;
            leaders[v]->shards++;
        }
    }
    coord_balance_leaders(drafts->plan, draft->nodes, draft->n_nodes, leaders, coll->n_vchannels);
    for (size_t v = 0; v < coll->n_vchannels; v++)
        s_add_shard(replica, ctx, coll->vchannels[v], leaders[v]);
}

/* --- writing -------------------------------------------------------------------------------- */

static bool s_same(ctx_t *ctx, const Elanus__Replica *a, const Elanus__Replica *b)
{
    return a && view_eq(pb_pack(ctx, a), pb_pack(ctx, b));
}

/* The replica as it should be, and then what it holds. */
static void s_put(drafts_t *drafts, draft_t *draft)
{
    plan_t *plan = drafts->plan;
    ctx_t *ctx = &plan->ddl->memory;
    if (draft->n_nodes == 0)
        return;                                 /* all are lost: as it is until one is there */
    Elanus__Replica *replica = ctx_new(ctx, sizeof *replica);
    elanus__replica__init(replica);
    replica->id = draft->id;
    replica->collection = drafts->coll->id;
    replica->resource_group = (char *)draft->group;
    replica->shards = ctx_new(ctx, (drafts->coll->n_vchannels + 1) * sizeof(void *));
    replica->nodes = ctx_new(ctx, draft->n_nodes * sizeof(uint64_t));
    for (size_t i = 0; i < draft->n_nodes; i++)
        replica->nodes[replica->n_nodes++] = draft->nodes[i]->id;
    s_lead(drafts, draft, replica);
    const char *key = directory_key_replica(ctx, drafts->coll->id, draft->id);
    bool same = s_same(ctx, draft->known, replica);
    plan->moved += !same;
    if (same || coord_plan_put(plan, key, replica))
        coord_placement_plan(plan, drafts->load, replica);
}

static void s_drop(coord_node_t *self, ddl_t *ddl, const Elanus__Replica *replica)
{
    ctx_t *ctx = &ddl->memory;
    uint64_t coll = replica->collection, id = replica->id;
    coord_ddl_delete(ddl, directory_key_replica(ctx, coll, id));
    if (directory_placement(self->directory, coll, id))
        coord_ddl_delete(ddl, directory_key_placement(ctx, coll, id));
}

/* As many replicas as were asked for, and as there are nodes for.  Without any node all
 * stays as it is: who comes back under its old id goes on with what it had. */
static void s_plan(coord_node_t *self, plan_t *plan, const Elanus__Load *load)
{
    drafts_t drafts = { .plan = plan, .load = load };
    drafts.coll = catalog_collection_by_id(self->catalog, load->collection_id);
    if (!drafts.coll || plan->n == 0)
        return;
    size_t most = plan->n_replicas + coord_replicas_wanted(load);
    drafts.drafts = ctx_new(&plan->ddl->memory, most * sizeof *drafts.drafts);
    s_take_known(&drafts);
    drafts.n = drafts.n_known;
    s_choose(self, &drafts);
    s_share_nodes(&drafts);
    for (size_t i = 0; i < drafts.n; i++) {
        draft_t *draft = &drafts.drafts[i];
        if (coord_plan_full(plan))
            return;
        if (draft->group) {
            s_put(&drafts, draft);
        } else {
            coord_plan_count(plan, draft->known, false);
            s_drop(self, plan->ddl, draft->known);
        }
    }
}

void coord_replicas_place(coord_node_t *self, ddl_t *ddl, const Elanus__Load *load)
{
    plan_t plan;
    int64_t due_ms = INT64_MAX;
    coord_plan_begin(&plan, self, ddl, &due_ms);
    s_plan(self, &plan, load);
    coord_balance_done(self, &plan);
}

void coord_replicas_drop(coord_node_t *self, ddl_t *ddl, uint64_t collection)
{
    const Elanus__Replica **replicas = NULL;
    size_t n = directory_replicas(self->directory, &ddl->memory, collection, &replicas);
    for (size_t i = 0; i < n; i++)
        s_drop(self, ddl, replicas[i]);
}

static const char *s_all_groups(ctx_t *ctx, const Elanus__Load *load)
{
    const char *text = "";
    for (size_t i = 0; i < load->n_resource_groups; i++)
        text = ctx_printf(ctx, "%s%s%s", text, i ? "," : "", load->resource_groups[i]);
    return text;
}

static size_t s_wanted_in(const Elanus__Load *load, const char *group)
{
    size_t n = 0;
    for (size_t i = 0; i < coord_replicas_wanted(load); i++)
        n += strcmp(coord_replicas_group(load, i), group) == 0;
    return n;
}

static err_t s_check_group(const plan_t *plan, const Elanus__Load *load, const char *group)
{
    ctx_t *ctx = &plan->ddl->memory;
    if (strcmp(group, COORD_DEFAULT_GROUP) != 0 && !directory_group(plan->self->directory, group))
        return ctx_fail(ctx, ERR_RESOURCE_GROUP_NOT_FOUND, "failed to load collection: resource "
                        "group not found[rg=%s]", group);
    size_t n = s_nodes_of_group(plan, group), want = s_wanted_in(load, group);
    if (plan->n > 0 && want > n)
        return ctx_fail(ctx, ERR_RESOURCE_GROUP_NODES, "failed to load collection: resource "
                        "group node not enough[rg=%s][currentNodeNum=%zu][expectedNodeNum=%zu]",
                        group, n, want);
    return OK;
}

/* More replicas than nodes are refused when they are asked for.  When no node is there at
 * all the wish is noted: in a starting cluster they are about to come. */
err_t coord_replicas_check(coord_node_t *self, ddl_t *ddl, const Elanus__Load *load)
{
    size_t want = coord_replicas_wanted(load);
    if (load->n_resource_groups > 1 && load->n_resource_groups != want)
        return ctx_fail(&ddl->memory, ERR_UNEXPECTED, "failed to load collection: replica=[%zu] "
                        "resource group=[%s], resource group num can only be 0, 1 or same as "
                        "replica number", want, s_all_groups(&ddl->memory, load));
    plan_t plan;
    int64_t due_ms = INT64_MAX;
    coord_plan_begin(&plan, self, ddl, &due_ms);
    for (size_t i = 0; i < want; i++)
        TRY(s_check_group(&plan, load, coord_replicas_group(load, i)));
    return OK;
}

/* --- all of them ------------------------------------------------------------------------------ */

/* What does not fit into one transaction is found by the look that follows it. */
static err_t s_plan_all(coord_node_t *self, ddl_t *ddl)
{
    self->replicas_queued = false;
    plan_t plan;
    int64_t due_ms = INT64_MAX;
    coord_plan_begin(&plan, self, ddl, &due_ms);
    plan.balance = coord_balance_due(self, ddl->now_ms, &due_ms);
    coord_groups_settle(&plan, NULL, 0);
    for (size_t i = 0; i < plan.n_replicas && !coord_plan_full(&plan); i++)
        if (!catalog_load(self->catalog, plan.replicas[i]->collection))
            s_drop(self, ddl, plan.replicas[i]);
    const void **loads = NULL;
    size_t n = catalog_list(self->catalog, &ddl->memory, CATALOG_LOAD, &loads);
    for (size_t i = 0; i < n && !coord_plan_full(&plan); i++)
        s_plan(self, &plan, loads[i]);
    coord_balance_done(self, &plan);
    return OK;
}

/* Who has something and is not registered. */
static bool s_lacks_nodes(const coord_node_t *self, ctx_t *ctx, peer_t **nodes, size_t n)
{
    const Elanus__Replica **replicas = NULL;
    size_t n_replicas = directory_replicas(self->directory, ctx, 0, &replicas);
    for (size_t r = 0; r < n_replicas; r++) {
        for (size_t i = 0; i < replicas[r]->n_nodes; i++) {
            bool there = false;
            for (size_t p = 0; p < n && !there; p++)
                there = nodes[p]->id == replicas[r]->nodes[i];
            if (!there)
                return true;
        }
    }
    return false;
}

void coord_replicas_look(coord_node_t *self, const event_t *ev, actions_t *act, int64_t *due_ms)
{
    peer_t **nodes = NULL;
    size_t n = coord_peers_of(self, ev->ctx, "querynode", &nodes);
    for (size_t i = 0; i < n; i++)
        coord_peer_lost(self, nodes[i], ev->now_ms, due_ms);   /* for when to look again */
    coord_balance_due(self, ev->now_ms, due_ms);
    if (ev->now_ms < self->patient_until_ms && s_lacks_nodes(self, ev->ctx, nodes, n)) {
        *due_ms = *due_ms < self->patient_until_ms ? *due_ms : self->patient_until_ms;
        return;
    }
    if (self->replicas_queued || !self->peers_listed)
        return;
    self->replicas_queued = true;
    coord_ddl_wish(self, s_plan_all, ev, act);
}
