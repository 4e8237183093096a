/* data_frontier - how far things are: FRONTIER and SEGMENTS
 *
 * FRONTIER makes a promise about the future: nothing will be stamped at or below
 * complete_ts any more.  Nothing is promised that lies ahead of the clock, and a question
 * about the future waits.  In standalone the next owner keeps the promise because time goes
 * on: it is the same machine.
 *
 * With logs on the store the next owner is another machine, whose clock may be behind, and we
 * may not be the owner any more without knowing.  So an answer waits for a fence question that
 * was sent after it was asked (data_fence.c): whatever had been acknowledged by then was so by
 * us or before us.  And nothing is promised above channel.bound, which the fence question
 * writes to clock/<pchannel> some seconds ahead of time: who takes the channel reads it after
 * the claim, when it cannot grow any more, and stamps above.  While metadata has no room for
 * that, the promise goes only as far as what is in the log: whoever takes the channel stamps
 * above that in any case.  Then questions about several channels may have to wait.
 */
#include "datanode/data_path.h"

#include "core/wire/pb.h"
#include "datanode/data_planted.h"

enum { MOST_WAIT_MS = 1000, MOST_AHEAD_MS = 86400 * 1000 };

uint64_t data_now(data_node_t *self, const event_t *ev)
{
    uint64_t wall = (uint64_t)ev->wall_ms << 18;
    self->last_ts = wall > self->last_ts ? wall : self->last_ts + 1;
    return self->last_ts;
}

/* Another owner's clock is ahead of ours: go on from there, so that who reads from both need not
 * wait for us to catch up.  But not to nowhere. */
static void s_catch_up(data_node_t *self, uint64_t stamped_ts, const event_t *ev)
{
    bool sane = (int64_t)(stamped_ts >> 18) - ev->wall_ms <= MOST_AHEAD_MS;
    if (sane && stamped_ts > self->last_ts)
        self->last_ts = stamped_ts;
}

/* --- FRONTIER ------------------------------------------------------------------------- */

typedef struct question {
    net_from_t from;
    int64_t deadline_ms;
    uint64_t round;             /* fence questions sent before it was asked */
    ctx_t memory;
    Elanus__FrontierAsk *ask;
} question_t;

static uint64_t s_most_promised(const data_channel_t *channel)
{
    return channel->applied_ts > channel->bound ? channel->applied_ts : channel->bound;
}

/* Is the channel ours for sure, and may this much be promised?  *complete is lowered to what may
 * be while nothing can be written. */
static bool s_is_fenced(data_channel_t *channel, uint64_t round, uint64_t *complete,
                        const event_t *ev, actions_t *act)
{
    if (!data_on_store(channel->node) || PLANTED(BUG_OLD_FRONTIER))
        return true;
    bool promised = *complete <= channel->bound;
    if (!promised && data_fence_full(channel->node, ev->now_ms)) {
        uint64_t most = s_most_promised(channel);
        *complete = most < *complete ? most : *complete;
        promised = true;
    }
    if (channel->fence_passed > round && promised)
        return true;
    channel->bound_wanted |= !promised;
    data_fence_want(channel, ev, act);
    return false;
}

/* OK with *ret_done false: something is under way.  ERR_MOVED: one is not ours. */
static err_t s_look(data_node_t *self, const Elanus__FrontierAsk *ask, uint64_t round,
                    const event_t *ev, actions_t *act, bool *ret_done, Elanus__Frontier *out)
{
    uint64_t now = data_now(self, ev), complete = now;
    bool fenced = true;
    for (size_t i = 0; i < ask->n_vchannels; i++) {
        data_channel_t *channel = data_channel_of(self, ask->vchannels[i]);
        if (!channel || self->stopping)
            return ctx_fail(ev->ctx, ERR_MOVED, "the channel of %s is not open at this data node",
                            ask->vchannels[i]);
        const data_shard_t *shard = map_get_str(channel->shards, ask->vchannels[i]);
        out->last_ts[i] = shard ? shard->last_ts : 0;
        uint64_t first = data_write_first_ts(channel);
        complete = first && first <= complete ? first - 1 : complete;
        uint64_t promise = now;
        fenced &= s_is_fenced(channel, round, &promise, ev, act);
        complete = promise < complete ? promise : complete;
    }
    out->complete_ts = complete;
    *ret_done = fenced && complete >= ask->at_least;
    return OK;
}

/* True: it was answered. */
static bool s_try(data_node_t *self, net_from_t from, const Elanus__FrontierAsk *ask,
                  uint64_t round, const event_t *ev, actions_t *act)
{
    Elanus__Frontier out = ELANUS__FRONTIER__INIT;
    out.n_last_ts = ask->n_vchannels;
    out.last_ts = ctx_new(ev->ctx, (ask->n_vchannels + 1) * sizeof out.last_ts[0]);
    bool done = false;
    err_t err = s_look(self, ask, round, ev, act, &done, &out);
    if (err != OK)
        act_refuse(act, from, err, "%s", ev->ctx->text);
    else if (done)
        act_reply(act, from, pb_pack(ev->ctx, &out));
    return err != OK || done;
}

static void s_free(question_t *question)
{
    ctx_fini(&question->memory);
    mem_free(question);
}

static question_t *s_at(const data_node_t *self, size_t i)
{
    return *(question_t **)vec_at(&self->questions, i);
}

/* When the clock is there; what waits for commits is looked at after each. */
static void s_wait_for_clock(data_node_t *self, const question_t *question, const event_t *ev,
                             actions_t *act)
{
    int64_t at_ms = (int64_t)(question->ask->at_least >> 18) + 1;
    int64_t wait = at_ms - ev->wall_ms < MOST_WAIT_MS ? at_ms - ev->wall_ms : MOST_WAIT_MS;
    if (wait > 0)
        data_follow_timer(self, ev->now_ms + wait, ev, act);
}

static void s_wait(data_node_t *self, uint64_t round, const event_t *ev, actions_t *act)
{
    if (self->questions.len >= LIMIT_DATA_QUESTIONS) {
        act_refuse(act, ev->call.from, ERR_QUEUE_FULL, "%zu questions wait for what is being "
                   "written", self->questions.len);
        return;
    }
    question_t *question = mem_new(sizeof *question);
    *question = (question_t){ .from = ev->call.from, .deadline_ms = ev->call.deadline_ms,
                               .round = round };
    ctx_init(&question->memory);
    check(PB_UNPACK(&question->memory, elanus__frontier_ask, ev->call.payload,
                    &question->ask) == OK);
    vec_push(&self->questions, &question);
    s_wait_for_clock(self, question, ev, act);
}

void data_frontier_call(data_node_t *self, const event_t *ev, actions_t *act)
{
    Elanus__FrontierAsk *ask = NULL;
    uint64_t round = self->fence_round;
    if (PB_UNPACK(ev->ctx, elanus__frontier_ask, ev->call.payload, &ask) != OK) {
        act_refuse(act, ev->call.from, ERR_MALFORMED, "%s", ev->ctx->text);
        return;
    }
    s_catch_up(self, ask->stamped_ts, ev);
    if (!s_try(self, ev->call.from, ask, round, ev, act))
        s_wait(self, round, ev, act);
}

void data_frontier_look(data_node_t *self, const event_t *ev, actions_t *act)
{
    for (size_t i = 0; i < self->questions.len; ) {
        question_t *question = s_at(self, i);
        if (question->deadline_ms > ev->now_ms &&
            !s_try(self, question->from, question->ask, question->round, ev, act)) {
            s_wait_for_clock(self, question, ev, act);
            i++;
            continue;
        }
        s_free(question);
        vec_swap_remove(&self->questions, i);
    }
}

void data_frontier_cancelled(data_node_t *self, net_from_t from)
{
    for (size_t i = 0; i < self->questions.len; i++) {
        question_t *question = s_at(self, i);
        if (question->from.link != from.link || question->from.request_id != from.request_id)
            continue;
        s_free(question);
        vec_swap_remove(&self->questions, i);
        return;
    }
}

void data_frontier_end(data_node_t *self)
{
    for (size_t i = 0; i < self->questions.len; i++)
        s_free(s_at(self, i));
    vec_fini(&self->questions);
}

/* --- SEGMENTS ------------------------------------------------------------------------- */

static bool s_wanted(const uint64_t *ids, size_t n, uint64_t id)
{
    for (size_t i = 0; i < n; i++)
        if (ids[i] == id)
            return true;
    return n == 0;
}

static void s_add(vec_t *found, const Elanus__Segment *segment)
{
    vec_push(found, &segment);
}

static void s_add_growing(const data_shard_t *shard, const Elanus__SegmentsAsk *ask, ctx_t *ctx,
                          vec_t *found)
{
    for (size_t i = 0; i < shard->segments.len; i++) {
        const data_segment_t *segment = *(data_segment_t **)vec_at(&shard->segments, i);
        if (segment->state == DATA_FLUSHED ||
            !s_wanted(ask->segments, ask->n_segments, segment->id))
            continue;
        Elanus__Segment *one = ctx_new(ctx, sizeof *one);
        elanus__segment__init(one);
        one->id = segment->id;
        one->collection = shard->collection;
        one->partition = segment->partition;
        one->vchannel = shard->name;
        one->state = segment->state == DATA_SEALED ? ELANUS__SEGMENT_STATE__SEGMENT_SEALED
                                                   : ELANUS__SEGMENT_STATE__SEGMENT_GROWING;
        one->rows = growing_rows(segment->rows);
        one->min_ts = one->rows ? growing_min_ts(segment->rows) : 0;
        one->max_ts = growing_max_ts(segment->rows);
        one->bytes = growing_bytes(segment->rows);
        s_add(found, one);
    }
}

/* Metadata's, of our channels.  Dropped ones only when they are asked for by their ids. */
static void s_add_stored(data_node_t *self, const Elanus__SegmentsAsk *ask, ctx_t *ctx,
                         vec_t *found)
{
    const Elanus__Segment **all = NULL;
    size_t n = segments_of(self->segments, ctx, ask->n_collections == 1 ? ask->collections[0] : 0,
                           &all);
    for (size_t i = 0; i < n; i++)
        if (s_wanted(ask->collections, ask->n_collections, all[i]->collection) &&
            s_wanted(ask->segments, ask->n_segments, all[i]->id) &&
            (ask->n_segments || all[i]->state == ELANUS__SEGMENT_STATE__SEGMENT_FLUSHED) &&
            data_channel_of(self, all[i]->vchannel))
            s_add(found, all[i]);
}

void data_segments_call(data_node_t *self, const event_t *ev, actions_t *act)
{
    Elanus__SegmentsAsk *ask = NULL;
    if (PB_UNPACK(ev->ctx, elanus__segments_ask, ev->call.payload, &ask) != OK) {
        act_refuse(act, ev->call.from, ERR_MALFORMED, "%s", ev->ctx->text);
        return;
    }
    vec_scoped found;
    vec_init(&found, sizeof(Elanus__Segment *));
    data_shard_t *shard = NULL;
    for (data_walk_t walk = {0}; (shard = data_next_shard(self, &walk)) != NULL; )
        if (s_wanted(ask->collections, ask->n_collections, shard->collection))
            s_add_growing(shard, ask, ev->ctx, &found);
    s_add_stored(self, ask, ev->ctx, &found);
    Elanus__SegmentList out = ELANUS__SEGMENT_LIST__INIT;
    out.segments = found.ptr;
    out.n_segments = found.len;
    act_reply(act, ev->call.from, pb_pack(ev->ctx, &out));
}
