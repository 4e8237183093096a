/* data_follow - who reads hears of what was applied
 *
 * A follower names the position it has, and is told what lies behind: new growing
 * segments, whose rows it finds in live.h, and deletes.  It waits when there is nothing.
 * It begins anew when the epoch is another one, or when deletes that it has not
 * seen were forgotten, because a checkpoint passed them.
 */
#include "datanode/data_path.h"

#include <stdlib.h>

#include "core/wire/pb.h"

enum { MOST_WAIT_MS = 60000 };

typedef struct follower {
    net_from_t from;
    uint64_t seq;               /* what it has */
    int64_t due_ms;
} follower_t;

/* --- the answer ----------------------------------------------------------------------- */

/* Local logs count objects on from epoch to epoch, and a position is told under the owner's epoch;
 * logs on the store begin at 1 in each epoch. */
static bool s_is_new(const data_shard_t *shard, wal_position_t at, wal_position_t after)
{
    return data_on_store(shard->channel->node) ? wal_before(after, at) : at.seq > after.seq;
}

static void s_add_growing(const data_shard_t *shard, wal_position_t after, ctx_t *ctx,
                          Elanus__Followed *out)
{
    out->growing = ctx_new(ctx, (shard->segments.len + 1) * sizeof out->growing[0]);
    for (size_t i = 0; i < shard->segments.len; i++) {
        const data_segment_t *segment = *(data_segment_t **)vec_at(&shard->segments, i);
        if (segment->state == DATA_FLUSHED || !s_is_new(shard, segment->first, after))
            continue;                           /* without rows its first is 0 */
        Elanus__GrowingSegment *one = ctx_new(ctx, sizeof *one);
        elanus__growing_segment__init(one);
        one->id = segment->id;
        one->partition = segment->partition;
        out->growing[out->n_growing++] = one;
    }
}

static size_t s_first_after(const data_shard_t *shard, wal_position_t after)
{
    const data_delete_t *runs = shard->deletes.ptr;
    size_t low = 0, high = shard->deletes.len;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (!s_is_new(shard, runs[mid].at, after))
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static Elanus__DeleteRun *s_run(const data_delete_t *run, ctx_t *ctx)
{
    Elanus__DeleteRun *one = ctx_new(ctx, sizeof *one);
    elanus__delete_run__init(one);
    one->ts = run->ts;
    one->partition = run->partition;
    one->pks = (ProtobufCBinaryData){ .len = run->bytes.len, .data = run->bytes.ptr };
    return one;
}

/* May an answer end before this one?  The entries of one object stay together; so does all of the
 * epochs before on the store, where the follower could not name its position. */
static bool s_may_cut(const data_shard_t *shard, const data_delete_t *run)
{
    const data_channel_t *channel = shard->channel;
    return wal_before(run[-1].at, run->at) &&
           (!data_on_store(channel->node) || run[-1].at.epoch == channel->epoch);
}

/* As many as go into one answer. */
static void s_add_deletes(const data_shard_t *shard, wal_position_t after, ctx_t *ctx,
                          Elanus__Followed *out)
{
    const data_delete_t *runs = shard->deletes.ptr;
    size_t from = s_first_after(shard, after), bytes = 0;
    out->deletes = ctx_new(ctx, (shard->deletes.len - from + 1) * sizeof out->deletes[0]);
    for (size_t i = from; i < shard->deletes.len; i++) {
        if (i > from && bytes + runs[i].bytes.len > LIMIT_DATA_FOLLOW_BYTES &&
            s_may_cut(shard, &runs[i])) {
            out->seq = runs[i - 1].at.seq;
            out->last_ts = runs[i - 1].ts;
            return;
        }
        bytes += runs[i].bytes.len;
        out->deletes[out->n_deletes++] = s_run(&runs[i], ctx);
    }
}

static void s_answer(const data_shard_t *shard, net_from_t from, uint64_t after, bool reset,
                     ctx_t *ctx, actions_t *act)
{
    const data_channel_t *channel = shard->channel;
    wal_position_t had = reset ? (wal_position_t){0} : (wal_position_t){ channel->epoch, after };
    Elanus__Followed out = ELANUS__FOLLOWED__INIT;
    out.epoch = channel->epoch;
    out.seq = channel->applied.seq;
    out.last_ts = shard->last_ts;
    out.owner = channel->node->member.self->incarnation;
    out.reset = reset;
    out.ckpt_ts = channel->ckpt_ts;
    s_add_growing(shard, had, ctx, &out);
    s_add_deletes(shard, had, ctx, &out);
    buf_t bytes;
    buf_init(&bytes, 0);
    if (wire_pack(ctx, &out.base, &bytes) == OK)
        act_reply_moved(act, from, &bytes);
    else
        act_refuse(act, from, ERR_MEMORY, "%s", ctx->text);
    buf_fini(&bytes);
}

/* --- waiting -------------------------------------------------------------------------- */

static follower_t *s_at(const data_shard_t *shard, size_t i)
{
    return vec_at(&shard->followers, i);
}

void data_follow_timer(data_node_t *self, int64_t due_ms, const event_t *ev, actions_t *act)
{
    if (self->parked_due_ms && self->parked_due_ms <= due_ms)
        return;
    self->parked_due_ms = due_ms;
    act_timer(act, TIMER_DATA_PARKED, due_ms > ev->now_ms ? due_ms - ev->now_ms : 1);
}

static void s_wait(data_shard_t *shard, const Elanus__Follow *ask, const event_t *ev,
                   actions_t *act)
{
    if (shard->followers.len >= LIMIT_DATA_FOLLOWERS) {
        act_refuse(act, ev->call.from, ERR_QUEUE_FULL, "%s has %u followers already", shard->name,
                   LIMIT_DATA_FOLLOWERS);
        return;
    }
    if (shard->followers.elem_bytes == 0)
        vec_init(&shard->followers, sizeof(follower_t));
    int64_t wait = ask->wait_ms < MOST_WAIT_MS ? ask->wait_ms : MOST_WAIT_MS;
    follower_t follower = { .from = ev->call.from, .seq = ask->seq, .due_ms = ev->now_ms + wait };
    vec_push(&shard->followers, &follower);
    data_follow_timer(shard->channel->node, follower.due_ms, ev, act);
}

void data_follow_wake(data_shard_t *shard, const event_t *ev, actions_t *act)
{
    for (size_t i = 0; i < shard->followers.len; i++)
        s_answer(shard, s_at(shard, i)->from, s_at(shard, i)->seq, false, ev->ctx, act);
    shard->followers.len = 0;
}

void data_follow_refuse(data_shard_t *shard, err_t err, const char *why, actions_t *act)
{
    for (size_t i = 0; i < shard->followers.len; i++)
        act_refuse(act, s_at(shard, i)->from, err, "%s: %s", shard->name, why);
    shard->followers.len = 0;
}

/* Those whose time is over are told how far things are. */
static int64_t s_due(data_shard_t *shard, const event_t *ev, actions_t *act)
{
    int64_t next = INT64_MAX;
    for (size_t i = 0; i < shard->followers.len; ) {
        follower_t *follower = s_at(shard, i);
        if (follower->due_ms <= ev->now_ms) {
            s_answer(shard, follower->from, follower->seq, false, ev->ctx, act);
            vec_swap_remove(&shard->followers, i);
            continue;
        }
        next = follower->due_ms < next ? follower->due_ms : next;
        i++;
    }
    return next;
}

void data_follow_due(data_node_t *self, const event_t *ev, actions_t *act)
{
    int64_t next = INT64_MAX;
    self->parked_due_ms = 0;
    data_shard_t *shard = NULL;
    for (data_walk_t walk = {0}; (shard = data_next_shard(self, &walk)) != NULL; ) {
        int64_t due = s_due(shard, ev, act);
        next = due < next ? due : next;
    }
    if (next < INT64_MAX)
        data_follow_timer(self, next, ev, act);
    data_frontier_look(self, ev, act);
}

void data_follow_cancelled(data_node_t *self, net_from_t from)
{
    data_shard_t *shard = NULL;
    for (data_walk_t walk = {0}; (shard = data_next_shard(self, &walk)) != NULL; )
        for (size_t i = 0; i < shard->followers.len; i++)
            if (s_at(shard, i)->from.link == from.link &&
                s_at(shard, i)->from.request_id == from.request_id) {
                vec_swap_remove(&shard->followers, i);
                return;
            }
}

/* --- the question --------------------------------------------------------------------- */

/* "<pchannel>_<collection>v<shard>" */
static uint64_t s_collection(const char *vchannel)
{
    size_t skip = directory_pchannel(vchannel).len;
    return vchannel[skip] == '_' ? strtoull(vchannel + skip + 1, NULL, 10) : 0;
}

static err_t s_find(data_node_t *self, ctx_t *ctx, const char *vchannel, data_shard_t **ret)
{
    data_channel_t *channel = data_channel_of(self, vchannel);
    if (!channel || self->stopping)
        return ctx_fail(ctx, ERR_MOVED, "the channel of %s is not open at this data node",
                        vchannel);
    *ret = data_channel_shard(channel, vchannel, s_collection(vchannel));
    return *ret ? OK : ctx_fail(ctx, ERR_SERVICE_NOT_READY, "%s is of no collection that this "
                                "data node knows (yet)", vchannel);
}

void data_follow_call(data_node_t *self, const event_t *ev, actions_t *act)
{
    Elanus__Follow *ask = NULL;
    data_shard_t *shard = NULL;
    err_t err = PB_UNPACK(ev->ctx, elanus__follow, ev->call.payload, &ask);
    if (err == OK)
        err = s_find(self, ev->ctx, ask->vchannel, &shard);
    if (err != OK) {
        act_refuse(act, ev->call.from, err, "%s", ev->ctx->text);
        return;
    }
    const data_channel_t *channel = shard->channel;
    wal_position_t has = { ask->epoch, ask->seq };
    bool reset = ask->epoch != channel->epoch || s_is_new(shard, shard->trimmed, has) ||
                 ask->seq > channel->applied.seq;
    if (reset || s_is_new(shard, shard->last, has) || ask->wait_ms <= 0)
        s_answer(shard, ev->call.from, ask->seq, reset, ev->ctx, act);
    else
        s_wait(shard, ask, ev, act);
}
