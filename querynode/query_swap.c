/* query_swap - which segments of a channel are in view
 *
 * A read takes everything that is in view between two events, so what changes inside one call
 * here changes in one step: a read sees a row in exactly one segment.
 *
 *     growing S      ──S flushed, opened, caught up──►            sealed S
 *     sealed A, B    ──compacted into T, T opened, caught up──►   sealed T
 *     growing A, B   ──the same, before A and B were opened──►    sealed T
 *     A ─► T ─► U    T was never opened: A stays until U is ready
 *
 * Opened is a segment, here or in the last line, wherever it is held: query_spread.c says whether
 * it can be read, and where.  Channels that this node does not lead have no view.
 *
 * A record that was read by itself may say that its segment was replaced before the watch has
 * shown by what.  While that is so (`behind`) nobody can tell what is all there is: no reset
 * ends, and nothing counts as loaded that did not before.
 *
 * A dropped segment without a successor (its partition was dropped, all its rows were dead) goes
 * at once; one whose records are gone altogether goes when all that is wanted is in view.
 *
 * Covered is a wanted segment whose rows can all be seen: itself, its growing self, or all that it
 * was made from.  A partition counts as loaded when once everything wanted of it was covered;
 * from then on everything always is, for new segments only come from what is in view.
 */
#include "querynode/querynode_int.h"


/* --- in and out -------------------------------------------------------------------------- */

void query_growing_drop(query_channel_t *ch, query_growing_t *growing)
{
    if (growing->copy)
        vec_push(&ch->node->old_growings, &growing->copy);
    growing->copy = NULL;
    if (!growing->held)
        return;
    vec_push(&ch->node->old_growings, &growing->held);
    growing->held = NULL;
    ch->node->count.growing--;
}

/* --- who replaces whom ------------------------------------------------------------------- */

static bool s_made_from(const Elanus__Segment *record, uint64_t id)
{
    for (size_t i = 0; record && i < record->n_from; i++)
        if (record->from[i] == id)
            return true;
    return false;
}

/* Do the rows of segment id live on in piece? */
static bool s_replaces(const query_piece_t *piece, uint64_t id)
{
    const segments_t *segments = piece->channel->node->segments;
    const Elanus__Segment *record = segments_get(segments, piece->id, NULL);
    for (int i = 0; id && i < QUERY_CHAIN_MOST; i++) {
        if (id == piece->id || s_made_from(record, id))
            return true;
        const Elanus__Segment *of = segments_get(segments, id, NULL);
        id = of ? of->into : 0;
    }
    return false;
}

/* Has metadata dropped it, with nothing to come after it?  A successor that is not known is on
 * its way: a single record may have been read ahead of the watch. */
static bool s_nowhere(const query_channel_t *ch, uint64_t id)
{
    const Elanus__Segment *record = segments_get(ch->node->segments, id, NULL);
    for (int i = 0; record && i < QUERY_CHAIN_MOST; i++) {
        if (record->state == ELANUS__SEGMENT_STATE__SEGMENT_FLUSHED)
            return record->rows == 0;
        if (record->into == 0)
            return true;
        record = segments_get(ch->node->segments, record->into, NULL);
    }
    return false;
}

static bool s_known(const query_channel_t *ch, uint64_t id)
{
    return segments_get(ch->node->segments, id, NULL) != NULL;
}

static bool s_held(const vec_t *list, uint64_t id)
{
    for (size_t i = 0; i < list->len; i++) {
        const query_growing_t *growing = vec_at(list, i);
        if (growing->id == id)
            return growing->held != NULL;
    }
    return false;
}

static bool s_in(const query_channel_t *ch, uint64_t id)
{
    const query_piece_t *piece = map_get_u64(ch->pieces, id);
    return piece && piece->in;
}

bool query_covered(const query_channel_t *ch, const query_piece_t *piece, const vec_t *growing)
{
    if (piece->in || s_held(growing, piece->id))
        return true;
    const Elanus__Segment *record = segments_get(ch->node->segments, piece->id, NULL);
    for (size_t i = 0; record && i < record->n_from; i++)
        if (!s_in(ch, record->from[i]) && !s_held(growing, record->from[i]))
            return false;
    return record && record->n_from > 0;
}

/* --- growing segments -------------------------------------------------------------------- */

/* Take those out of a list that are seen, or gone, otherwise. */
static void s_clean(query_channel_t *ch, vec_t *list, bool (*counts)(const query_piece_t *piece))
{
    for (size_t i = 0; i < list->len; ) {
        query_growing_t *growing = vec_at(list, i);
        bool out = s_nowhere(ch, growing->id);
        if (!query_shows(ch->coll, growing->partition))         /* flushed, or dropped for good */
            out |= s_known(ch, growing->id) ||
                   !map_get_u64(ch->coll->known, growing->partition);
        void *piece = NULL;
        for (size_t at = 0; !out && map_next(ch->pieces, &at, NULL, &piece); )
            out = counts(piece) && s_replaces(piece, growing->id);
        if (!out) {
            i++;
            continue;
        }
        query_purged(ch, growing->id);
        query_growing_drop(ch, growing);
        vec_remove(list, i);
    }
}

/* Is the owner's memory of something that must be seen out of reach? */
static bool s_missing(const query_channel_t *ch, const vec_t *list)
{
    for (size_t i = 0; i < list->len; i++) {
        const query_growing_t *growing = vec_at(list, i);
        if (!growing->held && query_shows(ch->coll, growing->partition) &&
            query_partition_loaded(ch, growing->partition))
            return true;
    }
    return false;
}

/* --- pieces ------------------------------------------------------------------------------ */

static bool s_is_in(const query_piece_t *piece)
{
    return piece->in;
}

static bool s_all_in(const query_channel_t *ch)
{
    void *piece = NULL;
    for (size_t at = 0; map_next(ch->pieces, &at, NULL, &piece); )
        if (((query_piece_t *)piece)->wanted && !((query_piece_t *)piece)->in)
            return false;
    return true;
}

/* Nobody's successor: out of view at once. */
static void s_drop(query_channel_t *ch)
{
    void *value = NULL;
    bool all_in = s_all_in(ch) && !ch->behind;
    for (size_t at = 0; map_next(ch->pieces, &at, NULL, &value); ) {
        query_piece_t *piece = value;
        if (!piece->in || piece->wanted)
            continue;
        if (!query_shows(ch->coll, piece->partition) || s_nowhere(ch, piece->id) ||
            (all_in && !s_known(ch, piece->id))) {
            query_purged(ch, piece->id);
            query_piece_hide(piece);
        }
    }
}

static void s_install(query_piece_t *piece)
{
    query_channel_t *ch = piece->channel;
    void *value = NULL;
    for (size_t at = 0; map_next(ch->pieces, &at, NULL, &value); ) {
        query_piece_t *other = value;
        if (other->in && !other->wanted && s_replaces(piece, other->id))
            query_piece_hide(other);
    }
    query_piece_show(piece);
}

static void s_install_ready(query_channel_t *ch)
{
    void *value = NULL;
    for (size_t at = 0; map_next(ch->pieces, &at, NULL, &value); ) {
        query_piece_t *piece = value;
        if (!piece->in && query_piece_ready(piece))
            s_install(piece);
    }
    s_clean(ch, &ch->growing, s_is_in);
}

/* --- the end of a reset ------------------------------------------------------------------ */

/* Would all of this piece be seen with the ready pieces and `next`? */
static bool s_will_be(const query_channel_t *ch, const query_piece_t *piece)
{
    if (query_piece_ready(piece) || s_held(&ch->next, piece->id))
        return true;
    const Elanus__Segment *record = segments_get(ch->node->segments, piece->id, NULL);
    for (size_t i = 0; record && i < record->n_from; i++)
        if (!s_held(&ch->next, record->from[i]))
            return false;
    return record && record->n_from > 0;
}

static bool s_may_end(query_channel_t *ch)
{
    if (ch->round == 0 || ch->anew || !ch->listed || ch->behind)
        return false;
    if (ch->n_fronts == 0) {
        query_want(ch, ch->round_no, 0);
        return false;
    }
    if (ch->fronts[0].last_ts > ch->heard_ts)
        return false;
    s_clean(ch, &ch->next, query_piece_ready);
    if (s_missing(ch, &ch->next) || query_copy_lacks(ch, &ch->next))
        return false;
    void *value = NULL;
    for (size_t at = 0; map_next(ch->pieces, &at, NULL, &value); ) {
        const query_piece_t *piece = value;
        if (piece->wanted && query_partition_loaded(ch, piece->partition) && !s_will_be(ch, piece))
            return false;
    }
    return true;
}

/* The ready pieces and `next` are all there is from now on. */
static void s_end_reset(query_channel_t *ch)
{
    if (!s_may_end(ch))
        return;
    for (size_t i = 0; i < ch->growing.len; i++)
        query_growing_drop(ch, vec_at(&ch->growing, i));
    vec_t emptied = ch->growing;
    ch->growing = ch->next;
    ch->next = emptied;
    ch->next.len = 0;
    void *value = NULL;
    for (size_t at = 0; map_next(ch->pieces, &at, NULL, &value); ) {
        query_piece_t *piece = value;
        if (!query_piece_ready(piece))
            query_piece_hide(piece);
        else if (!piece->in)
            query_piece_show(piece);
    }
    ch->resetting = false;
    log_event(LOG_INFO, "channel_followed", "node=querynode-%llu channel=%s epoch=%llu seq=%llu "
              "leads=%d", (unsigned long long)ch->node->member.self->id, ch->name,
              (unsigned long long)ch->epoch, (unsigned long long)ch->seq, ch->replica != 0);
    query_dirty(ch->coll);
}

/* --- loaded ------------------------------------------------------------------------------ */

bool query_partition_loaded(const query_channel_t *ch, uint64_t partition)
{
    return ch->whole_loaded || map_get_u64(ch->loaded, partition);
}

bool query_is_read(const query_channel_t *ch, uint64_t partition, const Elanus__ReadView *view)
{
    bool asked = view->n_partitions == 0;
    for (size_t i = 0; i < view->n_partitions && !asked; i++)
        asked = view->partitions[i] == partition;
    return asked && query_partition_loaded(ch, partition) && query_shows(ch->coll, partition);
}

/* Partitions of which something cannot be seen yet. */
static map_t *s_lacking(const query_channel_t *ch)
{
    map_t *lacking = map_new();
    void *value = NULL;
    for (size_t at = 0; map_next(ch->pieces, &at, NULL, &value); ) {
        const query_piece_t *piece = value;
        if (piece->wanted && !query_covered(ch, piece, &ch->growing))
            map_put_u64(lacking, piece->partition, lacking);
    }
    for (size_t i = 0; i < ch->growing.len; i++) {
        const query_growing_t *growing = vec_at(&ch->growing, i);
        bool whole = growing->held && !query_copy_lacks_one(ch, growing);
        if (!whole && query_shows(ch->coll, growing->partition))
            map_put_u64(lacking, growing->partition, lacking);
    }
    return lacking;
}

static void s_forget_released(query_channel_t *ch)
{
    view_t key;
    for (size_t at = 0; map_next(ch->loaded, &at, &key, NULL); )
        if (!query_shows(ch->coll, load_u64(key.ptr)))
            map_del(ch->loaded, key);
}

static void s_note_loaded(query_channel_t *ch)
{
    const query_coll_t *coll = ch->coll;
    view_t key;
    map_t *lacking = s_lacking(ch);
    if (coll->whole && map_len(lacking) == 0)
        ch->whole_loaded = true;
    for (size_t at = 0; map_next(coll->targets, &at, &key, NULL); )
        if (!map_get(lacking, key) || ch->whole_loaded)
            map_put(ch->loaded, key, ch);
    ch->whole_loaded &= coll->whole;            /* only some of it, from now on */
    s_forget_released(ch);
    map_destroy(&lacking);
}

/* --- all that can be done now ------------------------------------------------------------ */

bool query_caught_up(const query_channel_t *ch)
{
    void *value = NULL;
    for (size_t at = 0; map_next(ch->pieces, &at, NULL, &value); ) {
        const query_piece_t *piece = value;
        if (piece->able && piece->until == UINT64_MAX && piece->applied < query_runs_end(ch))
            return false;
    }
    return !ch->applying && !query_copy_lacks(ch, &ch->growing) &&
           !query_copy_lacks(ch, &ch->next);
}

/* Does every piece that may be read here have what metadata had after the reset? */
static bool s_all_compared(const query_channel_t *ch)
{
    void *value = NULL;
    if (ch->round == 0 || ch->anew || !ch->listed)
        return false;
    for (size_t at = 0; map_next(ch->pieces, &at, NULL, &value); ) {
        const query_piece_t *piece = value;
        if (piece->able && piece->until == UINT64_MAX && piece->round != ch->round)
            return false;
    }
    return true;
}

void query_swap(query_channel_t *ch)
{
    if (!ch->replica) {
        ch->resetting &= !s_all_compared(ch);
        return;
    }
    query_spread(ch);
    s_drop(ch);
    if (ch->resetting)
        s_end_reset(ch);
    else
        s_install_ready(ch);
    if (!ch->resetting && !ch->behind)
        s_note_loaded(ch);
    query_dist_renew(ch);
}

/* What was heard is in every able piece. */
static void s_note_applied(query_channel_t *ch)
{
    uint64_t ts = ch->heard_ts > ch->reset_ckpt_ts ? ch->heard_ts : ch->reset_ckpt_ts;
    if (ts > ch->applied_ts && query_caught_up(ch) && s_all_compared(ch))
        ch->applied_ts = ts;
}

void query_advance(query_channel_t *ch)
{
    s_note_applied(ch);
    if (!ch->replica || ch->resetting || !query_caught_up(ch) || s_missing(ch, &ch->growing))
        return;
    ch->last_ts = ch->heard_ts;
    ch->view_ts = ch->heard_ts > ch->view_ts ? ch->heard_ts : ch->view_ts;
    ch->complete = ch->heard_ts > ch->complete ? ch->heard_ts : ch->complete;
    query_fronts_reached(ch);
}
