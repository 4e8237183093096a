/* query_wait - when a read may start, and at which timestamp
 *
 * A channel is complete up to a timestamp when every entry up to there is in view and the owner
 * will add none.  Who needs more than that asks the owner (FRONTIER): "the last entry so far is L,
 * nothing up to C will come any more".  Once L was followed, the channel is complete up to C.
 *
 *     Strong        a question asked after the read came has to be reached
 *     guarantee_ts  complete up to there: the question says so, the owner moves its clock
 *     read_ts       the same, and the read sees exactly that
 *     staleness     the same with the wall clock less that much
 *     Eventually    what is complete already; it asks on the side, now and then, so that
 *                   channels nobody writes to do not hold back the others
 *
 * A read sees the smallest of its channels' complete timestamps.  One question to an owner is under
 * way at a time; reads that came before it was sent share it, the others wait for the next.  If
 * several owners answered a Strong read, those whose C is below another's L are asked again.
 *
 * A read that names no instant is not at one that a compaction has purged (query_spread.c).
 *
 * `complete` never falls, so no read on this node sees less than one before it did.
 */
#include "querynode/querynode_int.h"

enum {
    ASK_MS = 5000,              /* most time an owner has for an answer */
    RETRY_MS = 20,
    ASIDE_MS = 200,             /* Milvus's tick */
    DELETES_WAIT_MS = 3000,
    LOST_WAIT_MS = 100,         /* for who holds a segment now, before another replica is asked */
};

static const int64_t s_lag_most_ms = 86400 * 1000;      /* Milvus's queryNode.maxTimestampLag */

typedef struct asker {
    bool in_flight;
    int64_t retry_ms;
} asker_t;

typedef struct question {
    uint64_t no, owner;
    size_t n;
    char *names;                /* [n] texts one after the other, behind this structure */
} question_t;

void query_stamped(query_node_t *self, uint64_t ts)
{
    self->stamped_ts = ts > self->stamped_ts ? ts : self->stamped_ts;
}

/* --- wanting -------------------------------------------------------------------------------- */

/* Does one that was answered, and only has to be reached, do? */
static bool s_answered(const query_channel_t *ch, uint64_t after, uint64_t least)
{
    for (size_t i = 0; i < ch->n_fronts; i++)
        if (ch->fronts[i].no > after && ch->fronts[i].complete >= least)
            return true;
    return false;
}

void query_want(query_channel_t *ch, uint64_t after, uint64_t least)
{
    if (s_answered(ch, after, least))
        return;
    if (ch->asking && ch->asked_no > after && ch->asked_least >= least)
        return;
    ch->want_least = least > ch->want_least ? least : ch->want_least;
    if (ch->wanting)
        return;
    ch->wanting = true;
    vec_push(&ch->node->wanting, &ch);
}

void query_fronts_reached(query_channel_t *ch)
{
    while (ch->n_fronts && ch->fronts[0].last_ts <= ch->last_ts) {
        const query_front_t *front = &ch->fronts[0];
        ch->complete = front->complete > ch->complete ? front->complete : ch->complete;
        ch->seen_no = front->no;
        ch->seen_last = front->last_ts;
        ch->fronts[0] = ch->fronts[1];
        ch->n_fronts--;
    }
}

/* --- asking --------------------------------------------------------------------------------- */

static void s_answer_channel(query_channel_t *ch, query_front_t front, const event_t *ev,
                             actions_t *act)
{
    ch->front_ms = ev->now_ms;
    if (front.no <= ch->round_no)
        return;                                 /* asked before the channel began anew */
    if (ch->n_fronts == ARRAY_LEN(ch->fronts))
        ch->n_fronts--;                         /* the newest is newer now; the oldest stays */
    ch->fronts[ch->n_fronts++] = front;
    if (ch->resetting)
        query_dirty(ch->coll);
    else
        query_fronts_reached(ch);
    query_reads_wake(ch->coll, ev, act);
}

static void s_take(query_node_t *self, const question_t *question, const Elanus__Frontier *frontier,
                   const event_t *ev, actions_t *act)
{
    const char *name = question->names;
    for (size_t i = 0; frontier && i < question->n; i++)
        query_stamped(self, frontier->last_ts[i]);
    for (size_t i = 0; i < question->n; i++, name += strlen(name) + 1) {
        query_channel_t *ch = map_get_str(self->channels, name);
        if (!ch || ch->asked_no != question->no)
            continue;
        ch->asking = false;
        if (frontier)
            s_answer_channel(ch, (query_front_t){ question->no, frontier->last_ts[i],
                                                  frontier->complete_ts }, ev, act);
        else
            query_reads_wake(ch->coll, ev, act);        /* they want the next one */
        if (!frontier && ch->resetting)
            query_dirty(ch->coll);
    }
}

static void s_replied(void *node, void *arg, const event_t *ev, actions_t *act)
{
    query_node_t *self = node;
    const question_t *question = arg;
    asker_t *asker = map_get_u64(self->askers, question->owner);
    Elanus__Frontier *frontier = NULL;
    err_t err = ev->err;
    if (err == OK)
        err = PB_UNPACK(ev->ctx, elanus__frontier, ev->payload, &frontier);
    if (err == OK && frontier->n_last_ts != question->n)
        err = ctx_fail(ev->ctx, ERR_MALFORMED, "%zu channels asked, %zu answered", question->n,
                       frontier->n_last_ts);
    asker->in_flight = false;
    if (err != OK) {
        asker->retry_ms = ev->now_ms + RETRY_MS;
        log_event(LOG_DEBUG, "frontier_failed", "err=%s why=\"%s\"", err_name(err),
                  ev->err != OK ? ev->text : ev->ctx->text);
    }
    s_take(self, question, err == OK ? frontier : NULL, ev, act);
}

static asker_t *s_asker(query_node_t *self, uint64_t owner)
{
    asker_t *asker = map_get_u64(self->askers, owner);
    if (!asker) {
        asker = mem_new(sizeof *asker);
        map_put_u64(self->askers, owner, asker);
    }
    return asker;
}

/* The owner to ask about this channel; NULL: nobody now. */
static const Elanus__NodeInfo *s_owner(query_channel_t *ch, const event_t *ev)
{
    query_node_t *self = ch->node;
    const Elanus__NodeInfo *owner = directory_owner_node(self->directory, ch->name, NULL);
    if (!owner)
        return NULL;
    const asker_t *asker = s_asker(self, owner->incarnation);
    if (asker->in_flight)
        return NULL;
    if (asker->retry_ms > ev->now_ms) {
        query_wake_at(self, asker->retry_ms);
        return NULL;
    }
    return owner;
}

static void s_send(query_node_t *self, const Elanus__NodeInfo *owner, Elanus__FrontierAsk *ask,
                   const event_t *ev, actions_t *act)
{
    size_t bytes = 0;
    for (size_t i = 0; i < ask->n_vchannels; i++)
        bytes += strlen(ask->vchannels[i]) + 1;
    question_t *question = mem_new(sizeof *question + bytes);
    *question = (question_t){ .no = self->questions, .owner = owner->incarnation,
                              .n = ask->n_vchannels, .names = (char *)(question + 1) };
    char *at = question->names;
    for (size_t i = 0; i < ask->n_vchannels; i++)
        at = stpcpy(at, ask->vchannels[i]) + 1;
    s_asker(self, owner->incarnation)->in_flight = true;
    query_dial(self, owner, act);
    act_call(act, owner->address, ELANUS__METHOD__METHOD_FRONTIER, pb_pack(ev->ctx, ask), ASK_MS,
             wait_owned(self->member.waits, act, s_replied, question));
}

/* Put a channel into the question under the node's newest number. */
static void s_add(query_channel_t *ch, Elanus__FrontierAsk *ask)
{
    ask->vchannels[ask->n_vchannels++] = ch->name;
    ask->at_least = ch->want_least > ask->at_least ? ch->want_least : ask->at_least;
    ask->stamped_ts = ch->node->stamped_ts;
    ch->wanting = false;
    ch->want_least = 0;
    ch->want_trace = TRACE_NONE;
    ch->asking = true;
    ch->asked_no = ch->node->questions;
}

/* All that is wanted of one owner, from the i-th channel on, in one question. */
static void s_ask_owner(query_node_t *self, const Elanus__NodeInfo *owner, size_t i,
                        const event_t *ev, actions_t *act)
{
    Elanus__FrontierAsk ask = ELANUS__FRONTIER_ASK__INIT;
    ask.vchannels = ctx_new(ev->ctx, self->wanting.len * sizeof *ask.vchannels);
    query_channel_t **asked = ctx_new(ev->ctx, self->wanting.len * sizeof *asked);
    self->questions++;
    while (i < self->wanting.len) {
        query_channel_t *ch = *(query_channel_t **)vec_at(&self->wanting, i);
        if (directory_owner_node(self->directory, ch->name, NULL) != owner) {
            i++;
            continue;
        }
        asked[ask.n_vchannels] = ch;
        s_add(ch, &ask);
        vec_remove(&self->wanting, i);
    }
    for (size_t k = 0; k < ask.n_vchannels; k++)
        asked[k]->asked_least = ask.at_least;
    s_send(self, owner, &ask, ev, act);
}

void query_ask(query_node_t *self, const event_t *ev, actions_t *act)
{
    for (size_t i = 0; i < self->wanting.len; ) {
        query_channel_t *ch = *(query_channel_t **)vec_at(&self->wanting, i);
        const Elanus__NodeInfo *owner = s_owner(ch, ev);
        if (!owner) {
            i++;
            continue;
        }
        trace_t before = act_trace(act, ch->want_trace);
        s_ask_owner(self, owner, i, ev, act);           /* takes the i-th out */
        act_trace(act, before);
    }
}

void query_wait_fini(query_node_t *self)
{
    void *asker = NULL;
    for (size_t at = 0; map_next(self->askers, &at, NULL, &asker); )
        mem_free(asker);
}

/* --- looking -------------------------------------------------------------------------------- */

static err_t s_not_served(query_node_t *self, ctx_t *ctx, const Elanus__ReadView *view)
{
    unsigned long long id = view->collection;
    if (catalog_synced(self->catalog) && !catalog_load(self->catalog, view->collection))
        return ctx_fail(ctx, ERR_COLLECTION_NOT_LOADED, "collection not loaded[collection=%llu]",
                        id);
    return ctx_fail(ctx, ERR_MOVED, "collection %llu is not served by query node %llu", id,
                    (unsigned long long)self->member.self->id);
}

static bool s_loaded(const query_channel_t *ch, const Elanus__ReadView *view)
{
    bool loaded = view->n_partitions || ch->whole_loaded || map_len(ch->loaded);
    for (size_t i = 0; loaded && i < view->n_partitions; i++)
        loaded = query_partition_loaded(ch, view->partitions[i]);
    return loaded && ch->complete;
}

/* Is all that the view names served here, and loaded? */
static err_t s_served(query_node_t *self, ctx_t *ctx, const Elanus__ReadView *view)
{
    const query_coll_t *coll = map_get_u64(self->colls, view->collection);
    if (!coll)
        return s_not_served(self, ctx, view);
    for (size_t i = 0; i < view->n_partitions; i++)
        if (!query_shows(coll, view->partitions[i]))
            return ctx_fail(ctx, ERR_PARTITION_NOT_LOADED, "partition not loaded[partition=%llu]",
                            (unsigned long long)view->partitions[i]);
    for (size_t i = 0; i < view->n_vchannels; i++) {
        const query_channel_t *ch = map_get_str(self->channels, view->vchannels[i]);
        if (!ch || ch->coll != coll || !ch->replica)
            return ctx_fail(ctx, ERR_MOVED, "channel not available[channel=%s]: query node %llu "
                            "does not serve it", view->vchannels[i],
                            (unsigned long long)self->member.self->id);
        if (!s_loaded(ch, view))
            return ctx_fail(ctx, ERR_COLLECTION_PARTLY_LOADED,
                            "collection not fully loaded[collection=%llu]",
                            (unsigned long long)view->collection);
    }
    return OK;
}

static uint64_t s_max(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* The question will be that of the first who wants it. */
static void s_want(query_channel_t *ch, const query_need_t *need, uint64_t after, uint64_t least)
{
    if (!ch->wanting || ch->want_trace.id == 0)
        ch->want_trace = need->trace;
    query_want(ch, after, least);
}

/* The timestamp up to which all of the view's channels have to be complete; false: a question has
 * to be answered first. */
static bool s_least(query_node_t *self, const query_need_t *need, const event_t *ev, uint64_t *ret)
{
    const Elanus__ReadView *view = need->view;
    uint64_t least = s_max(view->guarantee_ts, view->read_ts);
    bool known = true;
    if (view->staleness_ms > 0 && ev->wall_ms > view->staleness_ms)
        least = s_max(least, (uint64_t)(ev->wall_ms - view->staleness_ms) << QUERY_TS_BITS);
    for (size_t i = 0; i < view->n_vchannels; i++) {
        query_channel_t *ch = map_get_str(self->channels, view->vchannels[i]);
        if (!view->read_ts)
            least = s_max(least, ch->purged);
        if (!view->strong)
            continue;
        if (ch->seen_no <= need->after) {
            s_want(ch, need, need->after, least);
            known = false;
        }
        least = s_max(least, ch->seen_last);
    }
    *ret = least;
    return known;
}

/* The owners' clocks are not pushed ahead of time: who wants the future waits for it here.  Unless
 * an owner has stamped it: then its clock is ahead of the others', which are told of it. */
static bool s_is_ahead(query_node_t *self, uint64_t ts, const event_t *ev)
{
    if (ts <= self->stamped_ts)
        return false;
    int64_t ahead_ms = (int64_t)(ts >> QUERY_TS_BITS) - ev->wall_ms;
    if (ahead_ms <= 0)
        return false;
    query_wake_at(self, ev->now_ms + ahead_ms);
    return true;
}

static err_t s_check_lag(ctx_t *ctx, uint64_t ts, const event_t *ev)
{
    int64_t lag_ms = (int64_t)(ts >> QUERY_TS_BITS) - ev->wall_ms;
    if (lag_ms <= s_lag_most_ms)
        return OK;
    return ctx_fail(ctx, ERR_UNEXPECTED, "lag(%llds) max(24h0m0s): Timestamp lag too large",
                    (long long)(lag_ms / 1000));
}

/* --- what a leader asks of who holds its segments ------------------------------------------- */

static err_t s_holds(const query_channel_t *ch, ctx_t *ctx, const Elanus__ReadView *view)
{
    for (size_t i = 0; i < view->n_segments; i++) {
        const query_piece_t *piece = map_get_u64(ch->pieces, view->segments[i]);
        if (!piece || !piece->able || piece->until < view->applied_ts)
            return ctx_fail(ctx, ERR_SEGMENT_NOT_LOADED, "segment not loaded[segment=%llu]: query "
                            "node %llu does not hold it", (unsigned long long)view->segments[i],
                            (unsigned long long)ch->node->member.self->id);
    }
    return OK;
}

/* Deletes do not come for ever, when the owner cannot be reached from here: then the leader had
 * better ask elsewhere. */
static err_t s_wait_for_deletes(ctx_t *ctx, query_need_t *need, const event_t *ev,
                                query_node_t *self)
{
    if (need->lost_ms == 0)
        need->lost_ms = ev->now_ms + DELETES_WAIT_MS;
    query_wake_at(self, need->lost_ms);
    if (ev->now_ms < need->lost_ms)
        return OK;
    return ctx_fail(ctx, ERR_CHANNEL_NOT_AVAILABLE, "channel not available[channel=%s]: query node "
                    "%llu does not hear of its deletes", need->view->vchannels[0],
                    (unsigned long long)self->member.self->id);
}

static err_t s_look_held(query_node_t *self, ctx_t *ctx, query_need_t *need, const event_t *ev,
                         bool *ret_ready, uint64_t *ret_ts)
{
    const Elanus__ReadView *view = need->view;
    const query_channel_t *ch = map_get_str(self->channels, view->vchannels[0]);
    if (!ch || view->n_vchannels != 1 || view->read_ts == 0)
        return ctx_fail(ctx, ERR_SEGMENT_NOT_LOADED, "query node %llu holds nothing of channel %s",
                        (unsigned long long)self->member.self->id, view->vchannels[0]);
    TRY(s_holds(ch, ctx, view));
    *ret_ready = ch->applied_ts >= view->applied_ts;
    for (size_t i = 0; i < view->n_segments && !*ret_ready; i++) {
        const query_piece_t *piece = map_get_u64(ch->pieces, view->segments[i]);
        if (piece->until == UINT64_MAX)
            return s_wait_for_deletes(ctx, need, ev, self);
    }
    *ret_ready = true;                          /* what is read gets none any more */
    *ret_ts = view->read_ts;
    return OK;
}

/* Is something in view that nobody has now?  To be asked again in a moment. */
static bool s_is_lost(query_node_t *self, const Elanus__ReadView *view)
{
    for (size_t i = 0; i < view->n_vchannels; i++) {
        const query_channel_t *ch = map_get_str(self->channels, view->vchannels[i]);
        if (ch->n_lost)
            return true;
    }
    return false;
}

static err_t s_wait_for_lost(ctx_t *ctx, query_need_t *need, const event_t *ev, query_node_t *self)
{
    if (need->lost_ms == 0)
        need->lost_ms = ev->now_ms + LOST_WAIT_MS;
    query_wake_at(self, need->lost_ms);
    if (ev->now_ms < need->lost_ms)
        return OK;
    return ctx_fail(ctx, ERR_CHANNEL_NOT_AVAILABLE, "channel not available[channel=%s]: segments "
                    "of it are being loaded by another query node", need->view->vchannels[0]);
}

err_t query_wait_look(query_node_t *self, ctx_t *ctx, query_need_t *need, const event_t *ev,
                      bool *ret_ready, uint64_t *ret_ts)
{
    const Elanus__ReadView *view = need->view;
    uint64_t least = 0, complete = UINT64_MAX;
    if (view->n_segments)
        return s_look_held(self, ctx, need, ev, ret_ready, ret_ts);
    TRY(s_served(self, ctx, view));
    if (s_is_lost(self, view))
        return s_wait_for_lost(ctx, need, ev, self);
    TRY(s_check_lag(ctx, s_max(view->guarantee_ts, view->read_ts), ev));
    bool ready = s_least(self, need, ev, &least);
    for (size_t i = 0; i < view->n_vchannels; i++) {
        query_channel_t *ch = map_get_str(self->channels, view->vchannels[i]);
        complete = ch->complete < complete ? ch->complete : complete;
        if (ch->complete < least && !s_is_ahead(self, least, ev))
            s_want(ch, need, 0, least);
        else if (ready && ev->now_ms - ch->front_ms > ASIDE_MS)
            query_want(ch, ch->seen_no, 0);
    }
    *ret_ready = ready && complete >= least;
    *ret_ts = view->read_ts ? view->read_ts : complete;
    return OK;
}
