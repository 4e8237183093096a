/* coord_placement - which node of a replica holds which flushed segment
 *
 *     seg/<collection>/…, replica/<collection>/<id> ─► place/<collection>/<id>
 *
 * A segment stays where it is while that node lives.  A new one, and one whose
 * node is lost, goes to the node with the least: of this replica first, so that
 * a search of it is spread, then of all.  Big ones choose first.  A node's limit
 * is what it says it has memory for, against the bytes of what is placed there;
 * what fits nowhere is not placed, and the placement says so, for those who ask
 * how far loading is.
 *
 * A segment that was compacted stays until the one it went into is placed,
 * which is as a rule in the same change: the shard's leader reads the old ones
 * until the new one is held.
 */
#include <stdlib.h>

#include "coord/coord_plan.h"
#include "core/base/limits.h"

enum { COMPACTED_AGAIN = 32, GLOBAL_SHARE = 10, MIB = 1 << 20 };

typedef struct {
    plan_t *plan;
    const Elanus__Load *load;
    const Elanus__Replica *replica;
    const Elanus__Placement *known;     /* NULL: none */
    spot_t *spots;              /* by segment */
    size_t n;
} placing_t;

/* --- what is to be placed --------------------------------------------------------- */

static bool s_is_loaded(const Elanus__Load *load, uint64_t partition)
{
    bool listed = load->whole;
    for (size_t i = 0; i < load->n_partitions && !listed; i++)
        listed = load->partitions[i] == partition;
    return listed;
}

static server_t *s_known_server(const placing_t *placing, uint64_t segment, size_t *at)
{
    const Elanus__Placement *known = placing->known;
    while (known && *at < known->n_places && known->places[*at]->segment < segment)
        ++*at;
    if (!known || *at == known->n_places || known->places[*at]->segment != segment)
        return NULL;
    server_t *server = coord_plan_server(placing->plan, known->places[*at]->node);
    return server && server->replica == placing->replica->id ? server : NULL;
}

static void s_take(placing_t *placing)
{
    const Elanus__Segment **segments = NULL;
    ctx_t *ctx = &placing->plan->ddl->memory;
    size_t n = segments_of(placing->plan->self->segments, ctx, placing->replica->collection,
                           &segments);
    placing->spots = ctx_new(ctx, (n + 1) * sizeof *placing->spots);
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        if (!s_is_loaded(placing->load, segments[i]->partition))
            continue;
        server_t *server = s_known_server(placing, segments[i]->id, &at);
        if (segments[i]->state == ELANUS__SEGMENT_STATE__SEGMENT_FLUSHED || server)
            placing->spots[placing->n++] = (spot_t){ segments[i], server };
        if (server)
            server->own_bytes += segments[i]->bytes;
    }
}

/* --- where ------------------------------------------------------------------------- */

static uint64_t s_score(const server_t *server)
{
    return server->own_bytes + server->bytes / GLOBAL_SHARE;
}

static server_t *s_emptiest(const placing_t *placing, uint64_t bytes)
{
    server_t *best = NULL;
    for (size_t i = 0; i < placing->replica->n_nodes; i++) {
        server_t *server = coord_plan_of(placing->plan, placing->replica, i);
        if (server && coord_plan_fits(server, bytes) &&
            (!best || s_score(server) < s_score(best)))
            best = server;
    }
    return best;
}

static int s_biggest(const void *a, const void *b)
{
    const Elanus__Segment *x = (*(spot_t *const *)a)->segment, *y = (*(spot_t *const *)b)->segment;
    return x->bytes != y->bytes ? (x->bytes < y->bytes) - (x->bytes > y->bytes)
                                : (x->id > y->id) - (x->id < y->id);
}

static void s_settle(placing_t *placing)
{
    spot_t **homeless = ctx_new(&placing->plan->ddl->memory, (placing->n + 1) * sizeof *homeless);
    size_t n = 0;
    for (size_t i = 0; i < placing->n; i++)
        if (!placing->spots[i].server)
            homeless[n++] = &placing->spots[i];
    qsort(homeless, n, sizeof *homeless, s_biggest);
    for (size_t i = 0; i < n; i++) {
        uint64_t bytes = homeless[i]->segment->bytes;
        homeless[i]->server = s_emptiest(placing, bytes);
        if (homeless[i]->server) {
            homeless[i]->server->bytes += bytes;
            homeless[i]->server->own_bytes += bytes;
        }
    }
}

/* --- what was compacted ---------------------------------------------------------------- */

static const spot_t *s_spot(const placing_t *placing, uint64_t segment)
{
    size_t low = 0, high = placing->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        uint64_t id = placing->spots[mid].segment->id;
        if (id == segment)
            return &placing->spots[mid];
        if (id < segment)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

/* The one in which its rows are now waits for a place. */
static bool s_is_needed(const placing_t *placing, const Elanus__Segment *segment)
{
    for (int i = 0; i < COMPACTED_AGAIN && segment; i++) {
        if (segment->state == ELANUS__SEGMENT_STATE__SEGMENT_FLUSHED) {
            const spot_t *spot = s_spot(placing, segment->id);
            return spot && !spot->server;
        }
        segment = segments_get(placing->plan->self->segments, segment->into, NULL);
    }
    return false;
}

/* --- the placement ---------------------------------------------------------------------- */

static void s_add(Elanus__Placement *placement, ctx_t *ctx, const spot_t *spot)
{
    Elanus__Place *place = ctx_new(ctx, sizeof *place);
    elanus__place__init(place);
    place->segment = spot->segment->id;
    place->node = spot->server->id;
    placement->places[placement->n_places++] = place;
}

/* Milvus's words for it. */
static void s_tell_lack(const placing_t *placing, Elanus__Placement *placement, uint64_t lacks)
{
    uint64_t most = 0, used = 0, total = 0;
    for (size_t i = 0; i < placing->n; i++)
        if (!placing->spots[i].server && placing->spots[i].segment->bytes > most)
            most = placing->spots[i].segment->bytes;
    for (size_t i = 0; i < placing->replica->n_nodes; i++) {
        const server_t *server = coord_plan_of(placing->plan, placing->replica, i);
        used += server ? server->bytes : 0;
        total += server ? server->limit : 0;
    }
    placement->err = ERR_SEGMENT_LOAD_FAILED;
    placement->error = (char *)ctx_printf(&placing->plan->ddl->memory,
        "load segment failed, OOM if load, maxSegmentSize = %.3f MB, memUsage = %.3f MB, "
        "predictMemUsage = %.3f MB, totalMem = %.3f MB", (double)most / MIB, (double)used / MIB,
        (double)(used + lacks) / MIB, (double)total / MIB);
}

static bool s_same(const Elanus__Placement *a, const Elanus__Placement *b)
{
    if (!a || a->n_places != b->n_places || strcmp(a->error, b->error) != 0)
        return false;
    for (size_t i = 0; i < a->n_places; i++)
        if (a->places[i]->segment != b->places[i]->segment ||
            a->places[i]->node != b->places[i]->node)
            return false;
    return true;
}

static void s_put(const placing_t *placing)
{
    ctx_t *ctx = &placing->plan->ddl->memory;
    Elanus__Placement placement = ELANUS__PLACEMENT__INIT;
    placement.replica = placing->replica->id;
    placement.collection = placing->replica->collection;
    placement.token = placing->known ? placing->known->token : placement.token;
    placement.places = ctx_new(ctx, (placing->n + 1) * sizeof(void *));
    uint64_t lacks = 0;
    for (size_t i = 0; i < placing->n; i++) {
        const spot_t *spot = &placing->spots[i];
        bool flushed = spot->segment->state == ELANUS__SEGMENT_STATE__SEGMENT_FLUSHED;
        bool room = spot->server && placement.n_places < LIMIT_PLACES;
        if (room && (flushed || s_is_needed(placing, spot->segment)))
            s_add(&placement, ctx, spot);
        else if (flushed)
            lacks += spot->segment->bytes;
    }
    if (lacks > 0)
        s_tell_lack(placing, &placement, lacks);
    if (!s_same(placing->known, &placement))
        coord_plan_put(placing->plan, directory_key_placement(ctx, placement.collection,
                                                              placement.replica), &placement);
}

static void s_mark_servers(const placing_t *placing)
{
    plan_t *plan = placing->plan;
    for (size_t i = 0; i < plan->n; i++)
        plan->servers[i].own_bytes = 0;
    for (size_t i = 0; i < placing->replica->n_nodes; i++) {
        server_t *server = coord_plan_of(plan, placing->replica, i);
        if (server)
            server->replica = placing->replica->id;
    }
}

void coord_placement_plan(plan_t *plan, const Elanus__Load *load, const Elanus__Replica *replica)
{
    placing_t placing = { .plan = plan, .load = load, .replica = replica };
    placing.known = directory_placement(plan->self->directory, replica->collection, replica->id);
    s_mark_servers(&placing);
    s_take(&placing);
    s_settle(&placing);
    coord_balance_segments(plan, replica, placing.spots, placing.n);
    s_put(&placing);
}
