/* coord_balance - segments and leaders move to nodes that have less
 *
 *     nodes or replicas changed ───┐
 *     queryCoord.balanceInterval… ─┴─► a few segments and leaders ─► again, a second later,
 *                                      until nothing moves
 *
 * What counts is the bytes a replica has on its nodes, and the shards they lead
 * of it: a search is as fast as its fullest node.  A segment moves only when it is
 * no more than half of what two nodes differ in, so that nothing goes to and fro,
 * and only between nodes whose links are up.  A move is a wish like every
 * placement: the old node is read until the new one holds the segment.
 *
 * LOAD_BALANCE moves what a client names; then the nodes are left alone for one
 * interval.
 */
#include "coord/coord_plan.h"

enum { STEP_SEGMENTS = 8, STEP_LEADERS = 4, TOLERANCE = 10 };       /* a tenth */
enum { STEP_MS = 1000, JOINED_MS = 1000, READY_MS = 5000 };

/* --- when ---------------------------------------------------------------------------- */

static void s_by(coord_node_t *self, int64_t at_ms)
{
    if (at_ms < self->balance_at_ms)
        self->balance_at_ms = at_ms;
}

void coord_balance_ready(coord_node_t *self, int64_t now_ms)
{
    self->balance_at_ms = now_ms + READY_MS;
}

void coord_balance_joined(coord_node_t *self, int64_t now_ms)
{
    s_by(self, now_ms + JOINED_MS);
}

bool coord_balance_due(const coord_node_t *self, int64_t now_ms, int64_t *due_ms)
{
    if (!self->balances)
        return false;
    if (now_ms < self->balance_at_ms && self->balance_at_ms < *due_ms)
        *due_ms = self->balance_at_ms;
    return now_ms >= self->balance_at_ms;
}

void coord_balance_done(coord_node_t *self, const plan_t *plan)
{
    if (plan->balance)
        self->balance_at_ms = plan->ddl->now_ms + self->balance_interval_ms;
    if (plan->moved > 0)
        s_by(self, plan->ddl->now_ms + STEP_MS);
}

/* --- segments ------------------------------------------------------------------------------ */

/* The fullest and the emptiest of a replica's nodes that are up. */
static bool s_extremes(const plan_t *plan, const Elanus__Replica *replica, server_t **full,
                       server_t **empty)
{
    *full = *empty = NULL;
    for (size_t i = 0; i < replica->n_nodes; i++) {
        server_t *server = coord_plan_of(plan, replica, i);
        if (!server || !server->up)
            continue;
        if (!*full || server->own_bytes > (*full)->own_bytes)
            *full = server;
        if (!*empty || server->own_bytes < (*empty)->own_bytes)
            *empty = server;
    }
    return *full && (*full)->own_bytes > (*empty)->own_bytes + (*full)->own_bytes / TOLERANCE;
}

static void s_move(spot_t *spot, server_t *to)
{
    uint64_t bytes = spot->segment->bytes;
    spot->server->bytes -= bytes;
    spot->server->own_bytes -= bytes;
    to->bytes += bytes;
    to->own_bytes += bytes;
    spot->server = to;
}

static bool s_step(const plan_t *plan, const Elanus__Replica *replica, spot_t *spots, size_t n)
{
    server_t *full = NULL, *empty = NULL;
    if (!s_extremes(plan, replica, &full, &empty))
        return false;
    uint64_t half = (full->own_bytes - empty->own_bytes) / 2;
    spot_t *best = NULL;
    for (size_t i = 0; i < n; i++) {
        uint64_t bytes = spots[i].segment->bytes;
        bool flushed = spots[i].segment->state == ELANUS__SEGMENT_STATE__SEGMENT_FLUSHED;
        if (flushed && spots[i].server == full && bytes > 0 && bytes <= half &&
            coord_plan_fits(empty, bytes) && (!best || bytes > best->segment->bytes))
            best = &spots[i];
    }
    if (best)
        s_move(best, empty);
    return best != NULL;
}

void coord_balance_segments(plan_t *plan, const Elanus__Replica *replica, spot_t *spots, size_t n)
{
    for (int moves = 0; plan->balance && moves < STEP_SEGMENTS; moves++) {
        if (!s_step(plan, replica, spots, n))
            return;
        plan->moved++;
    }
}

/* --- leaders --------------------------------------------------------------------------------- */

void coord_balance_leaders(plan_t *plan, server_t **nodes, size_t n, server_t **leaders,
                           size_t n_shards)
{
    server_t *most = NULL, *least = NULL;
    for (size_t i = 0; i < n; i++) {
        if (!nodes[i]->up)
            continue;
        if (!most || nodes[i]->own_shards > most->own_shards)
            most = nodes[i];
        if (!least || nodes[i]->own_shards < least->own_shards)
            least = nodes[i];
    }
    if (!plan->balance || plan->led == STEP_LEADERS || !most ||
        most->own_shards < least->own_shards + 2)
        return;
    for (size_t v = n_shards; v-- > 0; ) {
        if (leaders[v] != most)
            continue;
        most->own_shards--, most->shards--;
        least->own_shards++, least->shards++;
        leaders[v] = least;
        plan->led++;
        return;
    }
}

/* --- as a client orders it ------------------------------------------------------------------- */

static bool s_listed(const uint64_t *ids, size_t n, uint64_t id)
{
    bool found = false;
    for (size_t i = 0; i < n && !found; i++)
        found = ids[i] == id;
    return found;
}

static err_t s_replica(coord_node_t *self, ddl_t *ddl, uint64_t coll, const Elanus__Replica **ret)
{
    const Elanus__Balance *ask = ddl->ask->balance;
    const Elanus__Replica **all = NULL;
    size_t n = directory_replicas(self->directory, &ddl->memory, coll, &all);
    if (n == 0)
        return ctx_fail(&ddl->memory, ERR_COLLECTION_PARTLY_LOADED, "collection not fully "
                        "loaded[collection=%llu]", (unsigned long long)coll);
    *ret = NULL;
    for (size_t i = 0; i < n; i++)
        if (s_listed(all[i]->nodes, all[i]->n_nodes, ask->from))
            *ret = all[i];
    if (!*ret)
        return ctx_fail(&ddl->memory, ERR_NODE_NOT_FOUND, "source node not found in any replica of "
                        "collection %llu: node not found[node=%llu]", (unsigned long long)coll,
                        (unsigned long long)ask->from);
    for (size_t i = 0; i < ask->n_to; i++)
        if (!s_listed((*ret)->nodes, (*ret)->n_nodes, ask->to[i]))
            return ctx_fail(&ddl->memory, ERR_NODE_NOT_FOUND, "destination node not found in the "
                            "same replica: node not found[node=%llu]",
                            (unsigned long long)ask->to[i]);
    return OK;
}

static err_t s_check_segments(ddl_t *ddl, const Elanus__Placement *placement)
{
    const Elanus__Balance *ask = ddl->ask->balance;
    for (size_t i = 0; i < ask->n_segments; i++) {
        bool there = false;
        for (size_t p = 0; placement && p < placement->n_places && !there; p++)
            there = placement->places[p]->segment == ask->segments[i] &&
                    placement->places[p]->node == ask->from;
        if (!there)
            return ctx_fail(&ddl->memory, ERR_SEGMENT_NOT_FOUND, "segment not found in source "
                            "node: segment not found[segment=%llu]",
                            (unsigned long long)ask->segments[i]);
    }
    return OK;
}

static server_t *s_target(const plan_t *plan, const Elanus__Replica *replica, uint64_t bytes)
{
    const Elanus__Balance *ask = plan->ddl->ask->balance;
    server_t *best = NULL;
    for (size_t i = 0; i < replica->n_nodes; i++) {
        server_t *server = coord_plan_of(plan, replica, i);
        bool may = server && server->up && server->id != ask->from &&
                   (ask->n_to == 0 || s_listed(ask->to, ask->n_to, server->id));
        if (may && coord_plan_fits(server, bytes) && (!best || server->bytes < best->bytes))
            best = server;
    }
    return best;
}

static err_t s_move_asked(plan_t *plan, const Elanus__Replica *replica,
                          const Elanus__Placement *known)
{
    const Elanus__Balance *ask = plan->ddl->ask->balance;
    ctx_t *ctx = &plan->ddl->memory;
    Elanus__Placement placement = *known;
    placement.token = plan->ddl->ask->token;
    placement.places = ctx_new(ctx, (known->n_places + 1) * sizeof(void *));
    for (size_t i = 0; i < known->n_places; i++) {
        Elanus__Place *place = ctx_new(ctx, sizeof *place);
        *place = *known->places[i];
        placement.places[i] = place;
        bool asked = place->node == ask->from &&
                     (ask->n_segments == 0 ||
                      s_listed(ask->segments, ask->n_segments, place->segment));
        const Elanus__Segment *segment = segments_get(plan->self->segments, place->segment, NULL);
        if (!asked || !segment)
            continue;
        server_t *to = s_target(plan, replica, segment->bytes);
        if (!to)
            return ctx_fail(ctx, ERR_NODE_NOT_AVAILABLE, "failed to balance segments: no node has "
                            "room for segment %llu: node not available",
                            (unsigned long long)segment->id);
        to->bytes += segment->bytes;
        place->node = to->id;
    }
    coord_plan_put(plan, directory_key_placement(ctx, known->collection, known->replica),
                   &placement);
    return OK;
}

err_t coord_load_balance(coord_node_t *self, ddl_t *ddl)
{
    const Elanus__Collection *coll = NULL;
    const Elanus__Replica *replica = NULL;
    if (!ddl->ask->balance)
        return ctx_fail(&ddl->memory, ERR_PARAM_INVALID, "a balance without its nodes");
    TRY(coord_find_collection(self, ddl, &coll));
    TRY(s_replica(self, ddl, coll->id, &replica));
    const Elanus__Placement *known = directory_placement(self->directory, coll->id, replica->id);
    if (!known || coord_ddl_is_done(ddl, known->token))
        return OK;
    TRY(s_check_segments(ddl, known));
    plan_t plan;
    int64_t due_ms = INT64_MAX;
    coord_plan_begin(&plan, self, ddl, &due_ms);
    TRY(s_move_asked(&plan, replica, known));
    self->balance_at_ms = ddl->now_ms + self->balance_interval_ms;
    return OK;
}
