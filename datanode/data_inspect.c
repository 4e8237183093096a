/* data_inspect - what a data node tells of its channels and of what it has not flushed */
#include "datanode/data_path.h"

#include "core/node/inspect.h"

/* --- channels ------------------------------------------------------------------------------ */

/* In the words of docs/pages.md; NULL: it is not ours, or not yet. */
static const char *s_state(const data_channel_t *channel)
{
    switch (channel->state) {
    case CHANNEL_CLAIMING:
    case CHANNEL_GONE:
        return NULL;
    case CHANNEL_LOOKING:
    case CHANNEL_OPENING:
    case CHANNEL_ACTIVATING:
        return "recovering";
    case CHANNEL_ACTIVE:
        return channel->leaving ? "released" : channel->stalled ? "stalled"
             : channel->replayed ? "active" : "replaying";
    case CHANNEL_CLOSING:
        return channel->release ? "released" : channel->reopen ? "recovering" : NULL;
    }
    return NULL;
}

static uint64_t s_growing_rows(const data_shard_t *shard)
{
    uint64_t n = 0;
    for (size_t i = 0; i < shard->segments.len; i++) {
        const data_segment_t *segment = *(data_segment_t **)vec_at(&shard->segments, i);
        n += segment->state != DATA_FLUSHED ? growing_rows(segment->rows) : 0;
    }
    return n;
}

static Elanus__ShardView *s_shard(const data_shard_t *shard, ctx_t *ctx)
{
    Elanus__ShardView *view = ctx_new(ctx, sizeof *view);
    elanus__shard_view__init(view);
    view->vchannel = shard->name;
    view->epoch = shard->last.epoch;
    view->seq = shard->last.seq;
    view->ts = shard->last_ts;
    return view;
}

static Elanus__ChannelView *s_channel(const data_channel_t *channel, const char *state, ctx_t *ctx)
{
    Elanus__ChannelView *view = ctx_new(ctx, sizeof *view);
    elanus__channel_view__init(view);
    view->pchannel = channel->name;
    view->epoch = channel->epoch;
    view->state = (char *)state;
    view->pending_bytes = channel->pending_bytes;
    if (channel->state != CHANNEL_ACTIVE)
        return view;
    view->frontier_epoch = channel->applied.epoch;
    view->frontier_seq = channel->applied.seq;
    view->frontier_ts = channel->applied_ts;
    view->shards = ctx_new(ctx, (map_len(channel->shards) + 1) * sizeof view->shards[0]);
    void *shard = NULL;
    for (size_t at = 0; map_next(channel->shards, &at, NULL, &shard); ) {
        view->growing_rows += s_growing_rows(shard);
        view->shards[view->n_shards++] = s_shard(shard, ctx);
    }
    return view;
}

static void s_add_channels(const data_node_t *self, ctx_t *ctx, Elanus__Inspection *into)
{
    into->channels = ctx_new(ctx, (self->all.len + 1) * sizeof into->channels[0]);
    for (size_t i = 0; i < self->all.len; i++) {
        const data_channel_t *channel = *(data_channel_t **)vec_at(&self->all, i);
        const char *state = s_state(channel);
        if (state)
            into->channels[into->n_channels++] = s_channel(channel, state, ctx);
    }
}

/* --- segments ------------------------------------------------------------------------------ */

static void s_add_segment(const data_shard_t *shard, const data_segment_t *segment, ctx_t *ctx,
                          Elanus__Inspection *into)
{
    Elanus__SegmentView *view = ctx_new(ctx, sizeof *view);
    elanus__segment_view__init(view);
    view->id = segment->id;
    view->collection = shard->collection;
    view->partition = segment->partition;
    view->vchannel = shard->name;
    view->state = segment->state == DATA_SEALED ? ELANUS__SEGMENT_STATE__SEGMENT_SEALED
                                                : ELANUS__SEGMENT_STATE__SEGMENT_GROWING;
    view->rows = growing_rows(segment->rows);
    view->bytes = growing_bytes(segment->rows);
    into->segments[into->n_segments++] = view;
}

static void s_add_segments(const data_node_t *self, const Elanus__InspectAsk *ask, ctx_t *ctx,
                           Elanus__Inspection *into)
{
    const data_shard_t *shard = NULL;
    size_t most = 0;
    for (data_walk_t walk = {0}; (shard = data_next_shard(self, &walk)) != NULL; )
        most += shard->segments.len;
    into->segments = ctx_new(ctx, (most + 1) * sizeof into->segments[0]);
    for (data_walk_t walk = {0}; (shard = data_next_shard(self, &walk)) != NULL; )
        for (size_t i = 0; i < shard->segments.len; i++) {
            const data_segment_t *segment = *(data_segment_t **)vec_at(&shard->segments, i);
            if (segment->state != DATA_FLUSHED &&
                inspect_wants(ask, shard->collection, segment->id))
                s_add_segment(shard, segment, ctx, into);
        }
    inspect_cut_segments(ask, into);
}

void data_inspect(const void *node, const Elanus__InspectAsk *ask, ctx_t *ctx,
                  Elanus__Inspection *into)
{
    if (ask->state)
        s_add_channels(node, ctx, into);
    if (ask->segments_most > 0)
        s_add_segments(node, ask, ctx, into);
}
