/* coord_plan - see coord_plan.h */
#include "coord/coord_plan.h"

#include "core/base/limits.h"
#include "core/wire/pb.h"

enum { ID_AND_GUARD = 2, KEYS_BYTES = 1 << 16 };

server_t *coord_plan_server(const plan_t *plan, uint64_t id)
{
    size_t low = 0, high = plan->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (plan->servers[mid].id == id)
            return &plan->servers[mid];
        if (plan->servers[mid].id < id)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

server_t *coord_plan_of(const plan_t *plan, const Elanus__Replica *replica, size_t i)
{
    return coord_plan_server(plan, replica->nodes[i]);
}

void coord_plan_count(plan_t *plan, const Elanus__Replica *replica, bool in)
{
    uint64_t sign = in ? 1 : (uint64_t)-1;      /* wraps: what goes out has come in */
    for (size_t s = 0; s < replica->n_shards; s++) {
        server_t *server = coord_plan_server(plan, replica->shards[s]->leader);
        if (server)
            server->shards += (size_t)sign;
    }
    const Elanus__Placement *placement =
        directory_placement(plan->self->directory, replica->collection, replica->id);
    for (size_t i = 0; placement && i < placement->n_places; i++) {
        const Elanus__Place *place = placement->places[i];
        const Elanus__Segment *segment = segments_get(plan->self->segments, place->segment, NULL);
        server_t *server = segment ? coord_plan_server(plan, place->node) : NULL;
        if (server)
            server->bytes += sign * segment->bytes;
    }
}

/* Nodes that no group names are the default one's. */
static void s_find_groups(plan_t *plan)
{
    const Elanus__ResourceGroup **groups = NULL;
    size_t n = directory_groups(plan->self->directory, &plan->ddl->memory, &groups);
    for (size_t i = 0; i < plan->n; i++)
        plan->servers[i].group = COORD_DEFAULT_GROUP;
    for (size_t g = 0; g < n; g++) {
        for (size_t i = 0; i < groups[g]->n_nodes; i++) {
            server_t *server = coord_plan_server(plan, groups[g]->nodes[i]);
            if (server)
                server->group = groups[g]->name;
        }
    }
}

void coord_plan_begin(plan_t *plan, coord_node_t *self, ddl_t *ddl, int64_t *due_ms)
{
    peer_t **nodes = NULL;
    size_t n = coord_peers_of(self, &ddl->memory, "querynode", &nodes);
    *plan = (plan_t){ .self = self, .ddl = ddl };
    plan->servers = ctx_new(&ddl->memory, (n + 1) * sizeof *plan->servers);
    for (size_t i = 0; i < n; i++)
        if (!coord_peer_lost(self, nodes[i], ddl->now_ms, due_ms))
            plan->servers[plan->n++] = (server_t){ .id = nodes[i]->id,
                .up = coord_peer_up(self, nodes[i]), .limit = nodes[i]->memory_limit };
    s_find_groups(plan);
    plan->n_replicas = directory_replicas(self->directory, &ddl->memory, 0, &plan->replicas);
    for (size_t i = 0; i < plan->n_replicas; i++)
        coord_plan_count(plan, plan->replicas[i], true);
}

bool coord_plan_fits(const server_t *server, uint64_t bytes)
{
    return server->limit == 0 || server->bytes + bytes <= server->limit;
}

bool coord_plan_full(const plan_t *plan)
{
    return plan->ddl->ops.len + ID_AND_GUARD >= LIMIT_META_TXN_OPS;
}

bool coord_plan_put(plan_t *plan, const char *key, const void *message)
{
    size_t bytes = protobuf_c_message_get_packed_size(message);
    if (coord_plan_full(plan) ||
        (plan->bytes > 0 && plan->bytes + bytes > LIMIT_META_TXN_BYTES - KEYS_BYTES))
        return false;
    plan->bytes += bytes;
    coord_ddl_put(plan->ddl, key, message);
    return true;
}
