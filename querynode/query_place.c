/* query_place - which segments this node is to hold
 *
 *     place/ names it                              ─► it holds the segment, as worker or leader
 *     it leads, and its replica has no Placement   ─► it holds all of the shard itself
 *     it leads, and nobody has a segment or will   ─► after a while it holds it itself
 *
 * Without a Placement nothing but a leader is known to be there: an old coord wrote the replica,
 * or the placement is about to be written.  A leader that holds everything is right then, and
 * nothing waits for the coord; what is placed elsewhere later moves there like any segment.
 *
 * The third rule is for the time without a coord.  A segment is homeless when no node holds it
 * and the one it is placed at, if any, does not answer.  A coord that lives places it elsewhere
 * before HOMELESS_MS are over.
 */
#include "querynode/querynode_int.h"

enum { HOMELESS_MS = 2000 };

static uint64_t s_placed(const Elanus__Placement *placement, uint64_t segment)
{
    size_t low = 0, high = placement ? placement->n_places : 0;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        const Elanus__Place *place = placement->places[mid];
        if (place->segment == segment)
            return place->node;
        if (place->segment < segment)
            low = mid + 1;
        else
            high = mid;
    }
    return 0;
}

query_places_t query_places(const query_channel_t *ch, ctx_t *ctx)
{
    const directory_t *directory = ch->node->directory;
    const Elanus__Replica **replicas = NULL;
    size_t n = directory_replicas(directory, ctx, ch->coll->id, &replicas);
    query_places_t places = { .all = ctx_new(ctx, (n + 1) * sizeof *places.all) };
    for (size_t i = 0; i < n; i++) {
        const Elanus__Placement *one = directory_placement(directory, ch->coll->id,
                                                           replicas[i]->id);
        if (one)
            places.all[places.n++] = one;
        if (replicas[i]->id == ch->replica)
            places.led = one;
    }
    return places;
}

bool query_places_here(const query_channel_t *ch, const query_places_t *places, uint64_t segment)
{
    for (size_t i = 0; i < places->n; i++)
        if (s_placed(places->all[i], segment) == ch->node->member.self->id)
            return true;
    return false;
}

/* Nobody has it, and nobody is about to.  What the coord found no memory for is no such thing. */
static bool s_is_homeless(query_piece_t *piece, const query_places_t *places, const event_t *ev)
{
    query_channel_t *ch = piece->channel;
    const query_peer_t *peer = query_peer(ch, piece->place);
    bool refused = piece->place == 0 && places->led->err;
    if (refused || (peer && peer->answers) || query_peers_hold(ch, piece->id)) {
        piece->homeless_ms = 0;
        return false;
    }
    if (piece->homeless_ms == 0)
        piece->homeless_ms = ev->now_ms;
    int64_t due_ms = piece->homeless_ms + HOMELESS_MS;
    if (ev->now_ms < due_ms)
        query_wake_at(ch->node, due_ms);
    return ev->now_ms >= due_ms;
}

void query_piece_place(query_piece_t *piece, const query_places_t *places, const event_t *ev)
{
    query_channel_t *ch = piece->channel;
    piece->place = s_placed(places->led, piece->id);
    piece->mine = (ch->replica && !places->led) || query_places_here(ch, places, piece->id);
    if (ch->replica && !piece->mine)
        piece->mine = s_is_homeless(piece, places, ev);
}
