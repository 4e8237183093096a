/* query_held - METHOD_HELD: what this node holds of a shard, told to who leads it
 *
 * A question waits until what is held is another version than the asker knows.  The next question
 * of the same leader takes the place of the one that waits, which is answered then.
 *
 * It also says what the leader reads here.  A segment that is placed elsewhere, or dropped, stays
 * open until the leader of every replica this node belongs to has settled and does not name
 * it.  Only who leads by our picture of replica/ may settle that: an old leader still reads.  A
 * replica that this node left keeps what it names for KEEP_MS, in which it is asked again.
 */
#include "querynode/querynode_int.h"

enum { MOST_WAIT_MS = 30000, KEEP_MS = 10000 };

void query_held_changed(query_channel_t *ch)
{
    ch->held_version = ++ch->node->held_versions;
    ch->node->held_dirty = true;
}

/* --- the answer -------------------------------------------------------------------------- */

static Elanus__HeldSegment *s_segment(ctx_t *ctx, const query_piece_t *piece)
{
    Elanus__HeldSegment *one = ctx_new(ctx, sizeof *one);
    elanus__held_segment__init(one);
    one->id = piece->id;
    one->rows = sealed_rows(piece->sealed);
    one->bytes = sealed_bytes(piece->sealed);
    one->n_indexes = query_index_ids(piece, ctx, &one->indexes);
    return one;
}

static void s_list(const query_channel_t *ch, ctx_t *ctx, Elanus__Held *ret)
{
    void *value = NULL;
    ret->segments = ctx_new(ctx, (map_len(ch->pieces) + 1) * sizeof *ret->segments);
    for (size_t at = 0; map_next(ch->pieces, &at, NULL, &value); ) {
        const query_piece_t *piece = value;
        if (piece->able)
            ret->segments[ret->n_segments++] = s_segment(ctx, piece);
        if (!piece->able && piece->mine && piece->error) {
            ret->error = piece->error;
            ret->err = (int32_t)piece->err;
        }
    }
    if (!ret->err && ch->trouble) {
        ret->error = ch->trouble;
        ret->err = (int32_t)ERR_CHANNEL_NOT_AVAILABLE;
    }
}

/* Versions of channels begin behind 1, so one that comes or goes is news. */
static uint64_t s_version(const query_node_t *self, const char *vchannel)
{
    const query_channel_t *ch = map_get_str(self->channels, vchannel);
    return ch ? ch->held_version : 1;
}

static void s_answer(query_node_t *self, net_from_t from, const char *vchannel, ctx_t *ctx,
                     actions_t *act)
{
    const query_channel_t *ch = map_get_str(self->channels, vchannel);
    Elanus__Held held = ELANUS__HELD__INIT;
    held.version = s_version(self, vchannel);
    held.incarnation = self->member.self->incarnation;
    if (ch)
        s_list(ch, ctx, &held);
    act_reply(act, from, pb_pack(ctx, &held));
}

/* --- waiting ----------------------------------------------------------------------------- */

static query_parked_t *s_at(const query_node_t *self, size_t i)
{
    return vec_at(&self->parked, i);
}

static void s_forget(query_node_t *self, size_t i)
{
    mem_free(s_at(self, i)->vchannel);
    vec_swap_remove(&self->parked, i);
}

static void s_answer_parked(query_node_t *self, size_t i, ctx_t *ctx, actions_t *act)
{
    s_answer(self, s_at(self, i)->from, s_at(self, i)->vchannel, ctx, act);
    s_forget(self, i);
}

void query_held_wake(query_node_t *self, const event_t *ev, actions_t *act)
{
    if (!self->held_dirty)
        return;
    self->held_dirty = false;
    for (size_t i = 0; i < self->parked.len; ) {
        const query_parked_t *parked = s_at(self, i);
        if (parked->version != s_version(self, parked->vchannel) || ev->now_ms >= parked->due_ms) {
            s_answer_parked(self, i, ev->ctx, act);
            continue;
        }
        query_wake_at(self, parked->due_ms);
        i++;
    }
}

void query_held_cancel(query_node_t *self, net_from_t from)
{
    for (size_t i = 0; i < self->parked.len; i++)
        if (memcmp(&s_at(self, i)->from, &from, sizeof from) == 0) {
            s_forget(self, i);
            return;
        }
}

void query_held_fini(query_node_t *self)
{
    while (self->parked.len)
        s_forget(self, 0);
    vec_fini(&self->parked);
}

/* The last question of the same leader, if it still waits. */
static void s_supersede(query_node_t *self, const Elanus__HeldAsk *ask, uint64_t link, ctx_t *ctx,
                        actions_t *act)
{
    for (size_t i = 0; i < self->parked.len; i++) {
        const query_parked_t *parked = s_at(self, i);
        if (parked->replica == ask->replica && parked->from.link == link &&
            strcmp(parked->vchannel, ask->vchannel) == 0) {
            s_answer_parked(self, i, ctx, act);
            return;
        }
    }
}

/* --- who uses what ----------------------------------------------------------------------- */

static query_asker_t *s_asker(query_channel_t *ch, uint64_t replica)
{
    for (size_t i = 0; i < ch->askers.len; i++) {
        query_asker_t *asker = vec_at(&ch->askers, i);
        if (asker->replica == replica)
            return asker;
    }
    query_asker_t *asker = vec_push(&ch->askers, &(query_asker_t){ .replica = replica });
    vec_init(&asker->using, sizeof(uint64_t));
    return asker;
}

/* False: a later question of the same process was here before. */
static bool s_note(query_channel_t *ch, const Elanus__HeldAsk *ask, const event_t *ev)
{
    query_asker_t *asker = s_asker(ch, ask->replica);
    const net_peer_t *who = ev->call.peer;
    if (asker->node == who->node_id && asker->incarnation == who->incarnation &&
        ask->no < asker->no)
        return false;
    asker->node = who->node_id;
    asker->incarnation = who->incarnation;
    asker->no = ask->no;
    asker->at_ms = ev->now_ms;
    asker->settled = ask->settled;
    asker->using.len = 0;
    for (size_t i = 0; i < ask->n_using_; i++)
        vec_push(&asker->using, &ask->using_[i]);
    ch->node->targets_dirty |= ch->mark != ch->node->mark;
    query_dirty(ch->coll);
    return true;
}

void query_askers_free(query_channel_t *ch)
{
    for (size_t i = 0; i < ch->askers.len; i++)
        vec_fini(&((query_asker_t *)vec_at(&ch->askers, i))->using);
    vec_fini(&ch->askers);
}

static bool s_uses(const query_asker_t *asker, uint64_t id)
{
    for (size_t i = 0; i < asker->using.len; i++)
        if (*(uint64_t *)vec_at(&asker->using, i) == id)
            return true;
    return false;
}

static uint64_t s_leader(const Elanus__Replica *replica, const char *vchannel)
{
    for (size_t i = 0; i < replica->n_shards; i++)
        if (strcmp(replica->shards[i]->vchannel, vchannel) == 0)
            return replica->shards[i]->leader;
    return 0;
}

static bool s_belongs(const query_node_t *self, const Elanus__Replica *replica)
{
    for (size_t i = 0; i < replica->n_nodes; i++)
        if (replica->nodes[i] == self->member.self->id)
            return true;
    return false;
}

/* May the leader of this replica read it here? */
static bool s_keeps(const query_piece_t *piece, const Elanus__Replica *replica, const event_t *ev)
{
    query_channel_t *ch = piece->channel;
    query_node_t *self = ch->node;
    uint64_t leader = s_leader(replica, ch->name);
    if (leader == self->member.self->id)
        return false;                           /* that is looked at where it is led */
    const query_asker_t *asker = s_asker(ch, replica->id);
    bool settled = asker->settled && asker->node == leader;
    if (s_belongs(self, replica))
        return !settled || s_uses(asker, piece->id);
    if (!s_uses(asker, piece->id) || ev->now_ms >= asker->at_ms + KEEP_MS)
        return false;
    query_wake_at(self, asker->at_ms + KEEP_MS);
    return true;
}

bool query_held_keeps(const query_piece_t *piece, const event_t *ev)
{
    const query_channel_t *ch = piece->channel;
    const Elanus__Replica **replicas = NULL;
    size_t n = directory_replicas(ch->node->directory, ev->ctx, ch->coll->id, &replicas);
    for (size_t i = 0; piece->able && i < n; i++)
        if (s_keeps(piece, replicas[i], ev))
            return true;
    return false;
}

bool query_held_keeps_any(const query_channel_t *ch, const event_t *ev)
{
    void *piece = NULL;
    for (size_t at = 0; map_next(ch->pieces, &at, NULL, &piece); )
        if (query_held_keeps(piece, ev))
            return true;
    return false;
}

/* --- the question ------------------------------------------------------------------------ */

static void s_park(query_node_t *self, const Elanus__HeldAsk *ask, const event_t *ev,
                   actions_t *act)
{
    if (self->parked.len >= LIMIT_QUERY_HELD_ASKS) {
        act_refuse(act, ev->call.from, ERR_QUEUE_FULL, "%u leaders wait for news of this node "
                   "already", LIMIT_QUERY_HELD_ASKS);
        return;
    }
    int64_t wait_ms = ask->wait_ms < MOST_WAIT_MS ? ask->wait_ms : MOST_WAIT_MS;
    query_parked_t parked = { .from = ev->call.from, .vchannel = mem_strdup(ask->vchannel),
                              .replica = ask->replica, .version = ask->version,
                              .due_ms = ev->now_ms + wait_ms };
    vec_push(&self->parked, &parked);
    self->held_dirty = true;                    /* for the timer; and this step may bring news */
}

void query_held(query_node_t *self, const event_t *ev, actions_t *act)
{
    Elanus__HeldAsk *ask = NULL;
    if (PB_UNPACK(ev->ctx, elanus__held_ask, ev->call.payload, &ask) != OK) {
        act_refuse(act, ev->call.from, ev->ctx->err, "%s", ev->ctx->text);
        return;
    }
    query_channel_t *ch = map_get_str(self->channels, ask->vchannel);
    bool latest = !ch || s_note(ch, ask, ev);
    if (latest)
        s_supersede(self, ask, ev->call.from.link, ev->ctx, act);
    if (latest && ask->version == s_version(self, ask->vchannel))
        s_park(self, ask, ev, act);
    else
        s_answer(self, ev->call.from, ask->vchannel, ev->ctx, act);
}
