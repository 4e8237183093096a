/* data_follow - who reads hears of what was applied
 *
 * A follower names the position it has, and is told what lies behind: new growing
 * segments, whose rows it finds in live.h, and deletes.  It waits when there is nothing.
 * It begins anew when the epoch is another one, or when deletes that it has not
 * seen were forgotten, because a checkpoint passed them.
 *
 * A follower in another process (`remote`) copies the rows.  It tells how many it has of each
 * growing segment and gets the next ones, in pages, of whatever is not flushed.  While they do
 * not all go into one answer, answers bring nothing but rows and leave the position alone; the
 * last one brings the position and the deletes up to it.  So deletes always come behind the
 * rows they hit, nothing is remembered here of who copied how far, and a copy that begins
 * anew at the same owner keeps the rows it has.  It has to begin anew when a segment was
 * flushed whose last rows lie behind its position: they are not here any more.
 */
#include "datanode/data_path.h"

#include <stdlib.h>

#include "core/segment/growing_page.h"
#include "core/wire/pb.h"

enum { MOST_WAIT_MS = 60000 };

typedef struct have { uint64_t id, rows; bool unwanted; } have_t;

typedef struct follower {
    net_from_t from;
    uint64_t seq;               /* what it has */
    int64_t due_ms;
    bool remote;
    have_t *have;               /* [n_have] of a remote one; owned */
    size_t n_have;
} follower_t;

/* --- the answer ----------------------------------------------------------------------- */

/* Local logs count objects on from epoch to epoch, and a position is told under the owner's epoch;
 * logs on the store begin at 1 in each epoch. */
static bool s_is_new(const data_shard_t *shard, wal_position_t at, wal_position_t after)
{
    return data_on_store(shard->channel->node) ? wal_before(after, at) : at.seq > after.seq;
}

static Elanus__GrowingSegment *s_tell(const data_segment_t *segment, ctx_t *ctx,
                                      Elanus__Followed *out)
{
    Elanus__GrowingSegment *one = ctx_new(ctx, sizeof *one);
    elanus__growing_segment__init(one);
    one->id = segment->id;
    one->partition = segment->partition;
    return out->growing[out->n_growing++] = one;
}

static void s_add_growing(const data_shard_t *shard, wal_position_t after, ctx_t *ctx,
                          Elanus__Followed *out)
{
    out->growing = ctx_new(ctx, (shard->segments.len + 1) * sizeof out->growing[0]);
    for (size_t i = 0; i < shard->segments.len; i++) {
        const data_segment_t *segment = *(data_segment_t **)vec_at(&shard->segments, i);
        if (segment->state != DATA_FLUSHED && s_is_new(shard, segment->first, after))
            s_tell(segment, ctx, out);          /* without rows its first is 0 */
    }
}

/* How many rows of this segment it has; UINT64_MAX: it wants none. */
static size_t s_has(const follower_t *to, uint64_t id)
{
    for (size_t i = 0; i < to->n_have; i++)
        if (to->have[i].id == id)
            return to->have[i].unwanted ? SIZE_MAX : to->have[i].rows;
    return 0;
}

static bool s_lacks_rows(const data_shard_t *shard, const follower_t *to)
{
    for (size_t i = 0; to->remote && i < shard->segments.len; i++) {
        const data_segment_t *segment = *(data_segment_t **)vec_at(&shard->segments, i);
        if (segment->state != DATA_FLUSHED &&
            s_has(to, segment->id) < growing_rows(segment->rows))
            return true;
    }
    return false;
}

/* Rows of one segment from `from` on, while *room lasts.  *more: there are others. */
static err_t s_add_pages(ctx_t *ctx, const growing_t *rows, size_t from, size_t *room,
                         Elanus__GrowingSegment *one, bool *more)
{
    growing_snapshot_t snap = growing_at(rows, UINT64_MAX);
    one->rows = snap.n;
    if (from < snap.n && *room)
        one->pages = ctx_new(ctx, snap.n_blocks * sizeof one->pages[0]);
    while (from < snap.n && *room) {
        buf_scoped page = {0};
        size_t n = 0;
        view_t copy;
        buf_init(&page, 0);
        TRY(growing_page_write(ctx, &snap, from, *room, &page, &n));
        TRY(ctx_copy(ctx, buf_view(&page), &copy));
        one->pages[one->n_pages++] = (ProtobufCBinaryData){ copy.len, (uint8_t *)copy.ptr };
        *room -= copy.len < *room ? copy.len : *room;
        from += n;
    }
    *more |= from < snap.n;
    return OK;
}

static err_t s_add_rows(const data_shard_t *shard, const follower_t *to, ctx_t *ctx,
                        Elanus__Followed *out)
{
    size_t room = LIMIT_DATA_PAGE_BYTES;
    bool more = false;
    out->growing = ctx_new(ctx, (shard->segments.len + 1) * sizeof out->growing[0]);
    for (size_t i = 0; i < shard->segments.len; i++) {
        const data_segment_t *segment = *(data_segment_t **)vec_at(&shard->segments, i);
        if (segment->state == DATA_FLUSHED || growing_rows(segment->rows) == 0)
            continue;
        TRY(s_add_pages(ctx, segment->rows, s_has(to, segment->id), &room,
                        s_tell(segment, ctx, out), &more));
    }
    out->more = more;
    return OK;
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
static void s_add_deletes(const data_shard_t *shard, wal_position_t after, size_t most_bytes,
                          ctx_t *ctx, Elanus__Followed *out)
{
    const data_delete_t *runs = shard->deletes.ptr;
    size_t from = s_first_after(shard, after), bytes = 0;
    out->deletes = ctx_new(ctx, (shard->deletes.len - from + 1) * sizeof out->deletes[0]);
    for (size_t i = from; i < shard->deletes.len; i++) {
        if (i > from && bytes + runs[i].bytes.len > most_bytes && s_may_cut(shard, &runs[i])) {
            out->seq = runs[i - 1].at.seq;
            out->last_ts = runs[i - 1].ts;
            return;
        }
        bytes += runs[i].bytes.len;
        out->deletes[out->n_deletes++] = s_run(&runs[i], ctx);
    }
}

static err_t s_pack(const data_shard_t *shard, const follower_t *to, bool reset, ctx_t *ctx,
                    buf_t *bytes)
{
    const data_channel_t *channel = shard->channel;
    wal_position_t had = { 0 };
    if (!reset)
        had = (wal_position_t){ channel->epoch, to->seq };
    Elanus__Followed out = ELANUS__FOLLOWED__INIT;
    out.epoch = channel->epoch;
    out.seq = channel->applied.seq;
    out.last_ts = shard->last_ts;
    out.owner = channel->node->member.self->incarnation;
    out.reset = reset;
    out.ckpt_ts = channel->ckpt_ts;
    if (to->remote)
        TRY(s_add_rows(shard, to, ctx, &out));
    else
        s_add_growing(shard, had, ctx, &out);
    if (!out.more)
        s_add_deletes(shard, had, to->remote ? LIMIT_DATA_PAGE_BYTES : LIMIT_DATA_FOLLOW_BYTES,
                      ctx, &out);
    return wire_pack(ctx, &out.base, bytes);
}

static void s_answer(const data_shard_t *shard, const follower_t *to, bool reset, ctx_t *ctx,
                     actions_t *act)
{
    buf_scoped bytes = {0};
    buf_init(&bytes, 0);
    if (s_pack(shard, to, reset, ctx, &bytes) == OK)
        act_reply_moved(act, to->from, &bytes);
    else
        act_refuse(act, to->from, ERR_MEMORY, "%s", ctx->text);
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

static void s_forget(data_shard_t *shard, size_t i)
{
    mem_free(s_at(shard, i)->have);
    vec_swap_remove(&shard->followers, i);
}

static bool s_wait(data_shard_t *shard, follower_t *follower, int64_t wait_ms, const event_t *ev,
                   actions_t *act)
{
    if (shard->followers.len >= LIMIT_DATA_FOLLOWERS) {
        act_refuse(act, ev->call.from, ERR_QUEUE_FULL, "%s has %u followers already", shard->name,
                   LIMIT_DATA_FOLLOWERS);
        return false;
    }
    if (shard->followers.elem_bytes == 0)
        vec_init(&shard->followers, sizeof(follower_t));
    follower->due_ms = ev->now_ms + (wait_ms < MOST_WAIT_MS ? wait_ms : MOST_WAIT_MS);
    vec_push(&shard->followers, follower);
    data_follow_timer(shard->channel->node, follower->due_ms, ev, act);
    return true;
}

void data_follow_wake(data_shard_t *shard, const event_t *ev, actions_t *act)
{
    for (; shard->followers.len; s_forget(shard, 0))
        s_answer(shard, s_at(shard, 0), false, ev->ctx, act);
}

void data_follow_refuse(data_shard_t *shard, err_t err, const char *why, actions_t *act)
{
    for (; shard->followers.len; s_forget(shard, 0))
        act_refuse(act, s_at(shard, 0)->from, err, "%s: %s", shard->name, why);
}

/* Those whose time is over are told how far things are. */
static int64_t s_due(data_shard_t *shard, const event_t *ev, actions_t *act)
{
    int64_t next = INT64_MAX;
    for (size_t i = 0; i < shard->followers.len; ) {
        follower_t *follower = s_at(shard, i);
        if (follower->due_ms <= ev->now_ms) {
            s_answer(shard, follower, false, ev->ctx, act);
            s_forget(shard, i);
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
                s_forget(shard, i);
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

/* Must it begin anew?  Positions are of the channel's epoch. */
static bool s_begins_anew(const data_shard_t *shard, const Elanus__Follow *ask)
{
    const data_channel_t *channel = shard->channel;
    wal_position_t at = { ask->epoch, ask->seq };
    return ask->epoch != channel->epoch || s_is_new(shard, shard->trimmed, at) ||
           ask->seq > channel->applied.seq || (ask->remote && wal_before(at, shard->flushed));
}

static err_t s_follower(ctx_t *ctx, const Elanus__Follow *ask, net_from_t from, follower_t *ret)
{
    *ret = (follower_t){ .from = from, .seq = ask->seq, .remote = ask->remote };
    if (ask->n_have == 0)
        return OK;
    ret->have = mem_try(ctx, ask->n_have * sizeof *ret->have);
    if (!ret->have)
        return ctx_fail(ctx, ERR_MEMORY, "no memory for a follower's %zu segments", ask->n_have);
    for (size_t i = 0; i < ask->n_have; i++)
        ret->have[ret->n_have++] = (have_t){ .id = ask->have[i]->id, .rows = ask->have[i]->rows,
                                             .unwanted = ask->have[i]->unwanted };
    return OK;
}

static void s_take(data_shard_t *shard, follower_t *follower, const Elanus__Follow *ask,
                   const event_t *ev, actions_t *act)
{
    bool reset = s_begins_anew(shard, ask);
    wal_position_t has = { ask->epoch, ask->seq };
    bool now = reset || s_is_new(shard, shard->last, has) || ask->wait_ms <= 0 ||
               s_lacks_rows(shard, follower);
    if (!now && s_wait(shard, follower, ask->wait_ms, ev, act))
        return;
    if (now)
        s_answer(shard, follower, reset, ev->ctx, act);
    mem_free(follower->have);
}

void data_follow_call(data_node_t *self, const event_t *ev, actions_t *act)
{
    Elanus__Follow *ask = NULL;
    data_shard_t *shard = NULL;
    follower_t follower;
    err_t err = PB_UNPACK(ev->ctx, elanus__follow, ev->call.payload, &ask);
    if (err == OK)
        err = s_find(self, ev->ctx, ask->vchannel, &shard);
    if (err == OK)
        err = s_follower(ev->ctx, ask, ev->call.from, &follower);
    if (err == OK)
        s_take(shard, &follower, ask, ev, act);
    else
        act_refuse(act, ev->call.from, err, "%s", ev->ctx->text);
}
