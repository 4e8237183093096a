/* query_spread - where the leader of a shard reads each segment, and who must therefore keep it
 *
 *     placed at W ─► W tells it holds it ─► W is told it will be used ─► W says so again: sure
 *         reads go on where they went until then                    reads begin to go to W ◄┘
 *
 * A segment that is in view is read at exactly one place: here, or at a node that is sure to keep
 * it.  What is read elsewhere stands in a distribution, which is made anew when anything of it
 * changes and never changes itself: a read pins the one it began with, and as long as it is
 * pinned, HELD names its segments as used.
 *
 * A segment in view that nobody has any more (its node died) is lost: reads of the channel end
 * with an error that passes, until it is held somewhere again.  It stays in view, for leaving it
 * out would be a wrong answer.
 */
#include <stdlib.h>

#include "querynode/querynode_int.h"

/* --- choosing ---------------------------------------------------------------------------- */

/* In view it has all that is needed; to come into view it must have every delete by now. */
static bool s_here(const query_piece_t *piece)
{
    const query_channel_t *ch = piece->channel;
    if (!piece->able || (piece->in && piece->at == QUERY_HERE))
        return piece->able;
    return piece->until == UINT64_MAX && !piece->busy && piece->round == ch->round &&
           piece->applied == query_runs_end(ch);
}

static bool s_there(const query_piece_t *piece, uint64_t node, bool sure)
{
    if (node == QUERY_HERE || node == QUERY_NOWHERE)
        return false;
    const query_peer_t *peer = query_peer(piece->channel, node);
    const query_told_t *told = peer ? map_get_u64(peer->held, piece->id) : NULL;
    return told && (told->sure || !sure);
}

static uint64_t s_anywhere(const query_piece_t *piece, bool sure)
{
    const query_channel_t *ch = piece->channel;
    for (size_t i = 0; i < ch->peers.len; i++) {
        const query_peer_t *peer = *(query_peer_t **)vec_at(&ch->peers, i);
        if (s_there(piece, peer->node, sure))
            return peer->node;
    }
    return QUERY_NOWHERE;
}

/* sure: who will keep it for us; else also who has it now. */
static uint64_t s_where(const query_piece_t *piece, bool sure)
{
    bool here = s_here(piece);
    if (here && piece->mine)
        return QUERY_HERE;
    if (s_there(piece, piece->place, sure))
        return piece->place;
    if (piece->in && s_there(piece, piece->at, sure))
        return piece->at;
    return here ? QUERY_HERE : s_anywhere(piece, sure);
}

bool query_piece_ready(const query_piece_t *piece)
{
    return piece->wanted && s_where(piece, true) != QUERY_NOWHERE;
}

/* --- in and out -------------------------------------------------------------------------- */

/* A compaction left out what was dead for long; but a read whose channels stand still may be at an
 * instant from before, and would find neither the old row nor the new one. */
void query_purged(query_channel_t *ch, uint64_t segment)
{
    const Elanus__Segment *record = segments_get(ch->node->segments, segment, NULL);
    for (int i = 0; record && i < QUERY_CHAIN_MOST; i++) {
        ch->purged = record->purged_ts > ch->purged ? record->purged_ts : ch->purged;
        record = record->into ? segments_get(ch->node->segments, record->into, NULL) : NULL;
    }
}

void query_piece_show(query_piece_t *piece)
{
    check(!piece->in);
    piece->at = s_where(piece, true);
    check(piece->at != QUERY_NOWHERE);
    piece->in = true;
    piece->channel->dist_dirty = true;
    query_purged(piece->channel, piece->id);
}

void query_piece_hide(query_piece_t *piece)
{
    if (!piece->in)
        return;
    piece->in = false;
    piece->channel->dist_dirty = true;
    if (piece->channel->coll)
        query_dirty(piece->channel->coll);      /* query_load_look frees it */
}

void query_spread(query_channel_t *ch)
{
    void *value = NULL;
    ch->n_lost = 0;
    for (size_t at = 0; map_next(ch->pieces, &at, NULL, &value); ) {
        query_piece_t *piece = value;
        piece->next = piece->wanted || piece->in ? s_where(piece, false) : QUERY_NOWHERE;
        if (!piece->in)
            continue;
        uint64_t where = s_where(piece, true);
        if (where != piece->at) {
            log_event(LOG_DEBUG, "segment_moved", "channel=%s segment=%llu from=%llu to=%llu",
                      ch->name, (unsigned long long)piece->id, (unsigned long long)piece->at,
                      (unsigned long long)where);
            ch->dist_dirty = true;
            query_dirty(ch->coll);              /* a copy here may not be needed any more */
        }
        piece->at = where;
        ch->n_lost += where == QUERY_NOWHERE;
    }
}

/* --- distributions ----------------------------------------------------------------------- */

static bool s_is_elsewhere(const query_piece_t *piece)
{
    return piece->in && piece->at != QUERY_HERE && piece->at != QUERY_NOWHERE;
}

static query_share_t *s_share(query_dist_t *dist, uint64_t node)
{
    for (size_t i = 0; i < dist->n_shares; i++)
        if (dist->shares[i].node == node)
            return &dist->shares[i];
    check(!"a segment is read at a node that is none of the replica's");
    return NULL;
}

/* Room for so many segments at every peer, in one block. */
static query_dist_t *s_dist_new(query_channel_t *ch, size_t n_pieces)
{
    query_dist_t *dist = mem_new(sizeof *dist);
    size_t heads = ch->peers.len * sizeof *dist->shares;
    *dist = (query_dist_t){ .refs = 1, .channel = ch, .n_shares = ch->peers.len };
    dist->shares = mem_new(heads + ch->peers.len * n_pieces * 2 * sizeof(uint64_t));
    uint64_t *ids = (uint64_t *)(dist->shares + ch->peers.len);
    for (size_t i = 0; i < ch->peers.len; i++, ids += 2 * n_pieces)
        dist->shares[i] = (query_share_t){
            .node = (*(query_peer_t **)vec_at(&ch->peers, i))->node,
            .ids = ids, .partitions = ids + n_pieces,
        };
    ch->users++;
    return dist;
}

void query_dist_unref(query_dist_t **self_p)
{
    query_dist_t *self = *self_p;
    *self_p = NULL;
    if (!self || --self->refs)
        return;
    query_channel_t *ch = self->channel;
    for (size_t i = 0; i < ch->dists.len; i++)
        if (*(query_dist_t **)vec_at(&ch->dists, i) == self) {
            vec_swap_remove(&ch->dists, i);
            break;
        }
    mem_free(self->shares);
    mem_free(self);
    if (ch->coll)
        query_dirty(ch->coll);                  /* HELD names less as used */
    query_channel_put(ch);
}

void query_dist_renew(query_channel_t *ch)
{
    void *value = NULL;
    size_t n = 0;
    if (!ch->dist_dirty)
        return;
    ch->dist_dirty = false;
    for (size_t at = 0; map_next(ch->pieces, &at, NULL, &value); )
        n += s_is_elsewhere(value);
    query_dist_t *before = ch->dist;
    ch->dist = n ? s_dist_new(ch, n) : NULL;
    for (size_t at = 0; n && map_next(ch->pieces, &at, NULL, &value); ) {
        const query_piece_t *piece = value;
        if (!s_is_elsewhere(piece))
            continue;
        query_share_t *share = s_share(ch->dist, piece->at);
        share->ids[share->n] = piece->id;
        share->partitions[share->n++] = piece->partition;
    }
    if (ch->dist)
        vec_push(&ch->dists, &ch->dist);
    query_dist_unref(&before);
}

/* --- what is used ------------------------------------------------------------------------ */

static void s_use(vec_t *list, uint64_t id)
{
    vec_push(list, &id);
}

static int s_rising(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

void query_using(const query_channel_t *ch, uint64_t node, vec_t *ret)
{
    void *value = NULL;
    for (size_t at = 0; map_next(ch->pieces, &at, NULL, &value); ) {
        const query_piece_t *piece = value;
        if ((piece->in && piece->at == node) || piece->next == node)
            s_use(ret, piece->id);
    }
    for (size_t i = 0; i < ch->dists.len; i++) {
        const query_dist_t *dist = *(query_dist_t **)vec_at(&ch->dists, i);
        for (size_t s = 0; s < dist->n_shares; s++)
            for (size_t k = 0; dist->shares[s].node == node && k < dist->shares[s].n; k++)
                s_use(ret, dist->shares[s].ids[k]);
    }
    uint64_t *ids = ret->ptr;
    size_t n = 0;
    if (ret->len)
        qsort(ids, ret->len, sizeof *ids, s_rising);
    for (size_t i = 0; i < ret->len; i++)
        if (n == 0 || ids[n - 1] != ids[i])
            ids[n++] = ids[i];
    ret->len = n;
}
