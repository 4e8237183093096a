/* data_fence - is the channel still ours?  Asked before what was stored is believed
 *
 *     put returned ─► frontier noted ─► question to metadata ─► yes ─► applied, answered, shown
 *                                                            └► no ──► lost: outcome unknown
 *
 * A log on the object store can be written by a node that is its owner no more and does not
 * know it; the next owner has then decided already where this epoch ends.  So whoever has put
 * objects asks afterwards, linearizably, whether owner/<pchannel> is as it left it.  If so, the
 * puts came before any claim of another, hence before its survey, hence they are inside.
 * The order matters: the frontier is noted, then the question sent; what is stored
 * meanwhile belongs to the next one.
 *
 * One question is under way at a time for all channels of the node, so that busy channels
 * share it: at most one read of etcd in flight, whatever the load.  It is a transaction
 * without operations.  When FRONTIER needs a higher bound for what it promises (data_frontier.c)
 * the question writes that too, under the same compares.
 *
 * Metadata without room (etcd's quota) refuses writes and answers questions.  For a while then
 * no bound is written: what was put is still confirmed, and FRONTIER makes do with less.
 *
 * A question that names several channels and is answered "no" does not say which: those are
 * asked for one by one.  No answer: it is asked again; nobody is told anything until then.
 */
#include "datanode/data_path.h"

#include "core/wire/pb.h"
#include "datanode/data_planted.h"

enum { AGAIN_MS = 100, BOUND_MS = 3000, FULL_MS = 1000, CHANNELS_AT_ONCE = LIMIT_META_TXN_OPS / 2 };

static void s_send_next(data_node_t *self, const event_t *ev, actions_t *act);

wal_position_t data_committed(const data_channel_t *channel)
{
    bool believed = !data_on_store(channel->node) || PLANTED(BUG_NO_FENCE);
    return believed ? wal_frontier(channel->log) : channel->fenced;
}

void data_fence_reset(data_channel_t *channel)
{
    channel->fence_wanted = channel->bound_wanted = false;
    channel->fence_sent = channel->fence_passed = channel->bound_sent = 0;
    channel->fence_at = channel->fenced = channel->applied;
}

/* --- the answer ------------------------------------------------------------------------ */

static void s_passed(data_channel_t *channel, const event_t *ev, actions_t *act)
{
    channel->fence_passed = channel->fence_sent;
    channel->fenced = PLANTED(BUG_EARLY_FENCE) ? wal_frontier(channel->log) : channel->fence_at;
    if (channel->bound < channel->bound_sent)
        channel->bound = channel->bound_sent;
    data_write_fenced(channel, ev, act);
}

/* Not all channels of this question are ours, or nobody knows. */
static void s_again(data_channel_t *channel)
{
    channel->fence_wanted = true;
    channel->bound_wanted |= channel->bound_sent > 0;
}

static bool s_was_asked_for(const data_node_t *self, const data_channel_t *channel)
{
    return channel->state == CHANNEL_ACTIVE && channel->fence_sent == self->fence_round;
}

static uint32_t s_count_asked(const data_node_t *self)
{
    uint32_t n = 0;
    for (size_t i = 0; i < self->all.len; i++)
        n += s_was_asked_for(self, *(data_channel_t **)vec_at(&self->all, i));
    return n;
}

static void s_pause(data_node_t *self, bool wrote, const event_t *ev, actions_t *act)
{
    log_event(LOG_WARN, "fence_unanswered", "error=%s why=\"%s\"", err_name(ev->err), ev->text);
    self->fence_open |= wrote && ev->err != ERR_DISK_FULL;
    if (ev->err == ERR_DISK_FULL)
        self->full_until_ms = ev->now_ms + FULL_MS;
    self->fence_pauses = true;
    act_timer(act, TIMER_DATA_FENCE, AGAIN_MS);
}

/* arg of s_was_answered */
enum { ASKED_ONE = 1, ASKED_WRITING = 2 };

static void s_was_answered(void *node, void *arg, const event_t *ev, actions_t *act)
{
    data_node_t *self = node;
    uintptr_t how = (uintptr_t)arg;
    bool no = ev->err == OK && !ev->meta.txn.applied;
    (void)metrics_took_ms(self->count.question_ms, self->fence_us);
    metrics_add(self->count.refused, no);
    metrics_add(self->count.unanswered, ev->err != OK);
    if (no && !(how & ASKED_ONE))
        self->fence_singly = s_count_asked(self);
    for (size_t i = self->all.len; i-- > 0; ) {
        data_channel_t *channel = *(data_channel_t **)vec_at(&self->all, i);
        if (!s_was_asked_for(self, channel))
            continue;
        if (ev->err == OK && !no)
            s_passed(channel, ev, act);
        else if (no && (how & ASKED_ONE))
            data_channel_lost(channel, ev, act);
        else
            s_again(channel);
    }
    self->fence_busy = false;
    if (ev->err != OK)
        s_pause(self, how & ASKED_WRITING, ev, act);
    else
        s_send_next(self, ev, act);
    data_frontier_look(self, ev, act);
}

/* --- the question ---------------------------------------------------------------------- */

/* A write that nobody answered could still happen and undo the next one; a read settles it. */
static void s_settled(void *node, void *arg, const event_t *ev, actions_t *act)
{
    (void)arg;
    data_node_t *self = node;
    self->fence_busy = false;
    if (ev->err != OK && ev->err != ERR_KEY_NOT_FOUND) {
        s_pause(self, true, ev, act);
        return;
    }
    self->fence_open = false;
    s_send_next(self, ev, act);
}

static void s_settle(data_node_t *self, const char *key, actions_t *act)
{
    self->fence_busy = true;
    act_meta_get(act, key, wait_once(self->member.waits, act, s_settled, NULL));
}

static meta_op_t s_put_bound(data_channel_t *channel, const event_t *ev)
{
    Elanus__Clock clock = ELANUS__CLOCK__INIT;
    uint64_t now = data_now(channel->node, ev);
    clock.pchannel = channel->name;
    clock.ts = channel->bound_sent = now + ((uint64_t)BOUND_MS << 18);
    return (meta_op_t){ .kind = META_PUT, .key = data_key_clock(ev->ctx, channel->name),
                        .value = pb_pack(ev->ctx, &clock) };
}

static void s_include(data_channel_t *channel, const event_t *ev, meta_txn_t *txn,
                      meta_cmp_t *cmps, meta_op_t *ops)
{
    cmps[txn->n_cmps++] = data_channel_guard(channel, ev->ctx);
    channel->bound_sent = 0;
    if (channel->bound_wanted && !data_fence_full(channel->node, ev->now_ms))
        ops[txn->n_ops++] = s_put_bound(channel, ev);
    channel->fence_at = wal_frontier(channel->log);
    channel->fence_sent = channel->node->fence_round;
    channel->fence_wanted = channel->bound_wanted = false;
}

static void s_ask_for(data_node_t *self, const event_t *ev, actions_t *act, size_t most)
{
    meta_cmp_t cmps[CHANNELS_AT_ONCE];
    meta_op_t ops[CHANNELS_AT_ONCE];
    meta_txn_t txn = { .cmps = cmps, .ops = ops };
    self->fence_round++;
    for (size_t i = 0; i < self->all.len && txn.n_cmps < most; i++) {
        data_channel_t *channel = *(data_channel_t **)vec_at(&self->all, i);
        if (channel->fence_wanted && channel->state == CHANNEL_ACTIVE)
            s_include(channel, ev, &txn, cmps, ops);
    }
    uintptr_t how = (txn.n_cmps == 1 ? ASKED_ONE : 0u) | (txn.n_ops ? ASKED_WRITING : 0u);
    self->fence_busy = true;
    self->fence_us = metrics_began(self->count.to);
    metrics_add(self->count.questions, 1);
    trace_t before = act_trace(act, self->fence_for);
    self->fence_for = TRACE_NONE;
    act_meta_txn(act, &txn, wait_once(self->member.waits, act, s_was_answered, (void *)how));
    act_trace(act, before);
}

static const data_channel_t *s_first_wanted(const data_node_t *self)
{
    for (size_t i = 0; i < self->all.len; i++) {
        const data_channel_t *channel = *(data_channel_t **)vec_at(&self->all, i);
        if (channel->fence_wanted && channel->state == CHANNEL_ACTIVE)
            return channel;
    }
    return NULL;
}

static void s_send_next(data_node_t *self, const event_t *ev, actions_t *act)
{
    bool may = !self->fence_busy && !self->fence_pauses;
    const data_channel_t *first = may ? s_first_wanted(self) : NULL;
    if (!first)
        return;
    if (self->fence_open) {
        s_settle(self, directory_key_owner(ev->ctx, first->name), act);
        return;
    }
    bool singly = self->fence_singly > 0;
    self->fence_singly -= singly;
    s_ask_for(self, ev, act, singly ? 1 : CHANNELS_AT_ONCE);
}

bool data_fence_full(const data_node_t *self, int64_t now_ms)
{
    return now_ms < self->full_until_ms;
}

void data_fence_want(data_channel_t *channel, const event_t *ev, actions_t *act)
{
    channel->fence_wanted = true;
    if (channel->node->fence_for.id == 0)
        channel->node->fence_for = act->trace;
    s_send_next(channel->node, ev, act);
}

void data_fence_due(data_node_t *self, const event_t *ev, actions_t *act)
{
    self->fence_pauses = false;
    s_send_next(self, ev, act);
}
