/* query_inspect - what a query node tells of the shards it follows and the segments it holds */
#include "querynode/querynode_int.h"

#include "core/node/inspect.h"

/* What was heard of a channel that begins anew is not in view yet. */
static Elanus__FollowerView *s_follower(const query_channel_t *ch, ctx_t *ctx)
{
    Elanus__FollowerView *view = ctx_new(ctx, sizeof *view);
    elanus__follower_view__init(view);
    view->vchannel = ch->name;
    view->leader = ch->replica != 0;
    if (!ch->resetting) {
        view->epoch = ch->epoch;
        view->seq = ch->seq;
        view->heard_ts = ch->heard_ts;
    }
    return view;
}

static void s_add_followers(const query_node_t *self, ctx_t *ctx, Elanus__Inspection *into)
{
    into->followers = ctx_new(ctx, (map_len(self->channels) + 1) * sizeof into->followers[0]);
    void *ch = NULL;
    for (size_t at = 0; map_next(self->channels, &at, NULL, &ch); )
        into->followers[into->n_followers++] = s_follower(ch, ctx);
}

static Elanus__SegmentView *s_segment(const query_channel_t *ch, uint64_t id, uint64_t partition,
                                      ctx_t *ctx)
{
    Elanus__SegmentView *view = ctx_new(ctx, sizeof *view);
    elanus__segment_view__init(view);
    view->id = id;
    view->collection = ch->coll->id;
    view->partition = partition;
    view->vchannel = ch->name;
    return view;
}

static Elanus__SegmentView *s_piece(const query_piece_t *piece, ctx_t *ctx)
{
    Elanus__SegmentView *view = s_segment(piece->channel, piece->id, piece->partition, ctx);
    view->state = ELANUS__SEGMENT_STATE__SEGMENT_FLUSHED;
    view->rows = sealed_rows(piece->sealed);
    view->bytes = sealed_bytes(piece->sealed);
    view->n_indexes = query_index_ids(piece, ctx, &view->indexes);
    return view;
}

static Elanus__SegmentView *s_growing(const query_channel_t *ch, const query_growing_t *growing,
                                      ctx_t *ctx)
{
    const growing_t *rows = growing->held ? growing->held : growing->copy;
    Elanus__SegmentView *view = s_segment(ch, growing->id, growing->partition, ctx);
    view->state = ELANUS__SEGMENT_STATE__SEGMENT_GROWING;
    view->rows = growing_rows(rows);
    view->bytes = growing_bytes(rows);
    return view;
}

static void s_add_held(const query_channel_t *ch, const Elanus__InspectAsk *ask, ctx_t *ctx,
                       Elanus__Inspection *into)
{
    void *value = NULL;
    for (size_t at = 0; map_next(ch->pieces, &at, NULL, &value); ) {
        const query_piece_t *piece = value;
        if (piece->able && inspect_wants(ask, ch->coll->id, piece->id))
            into->segments[into->n_segments++] = s_piece(piece, ctx);
    }
    for (size_t i = 0; i < ch->growing.len; i++) {
        const query_growing_t *growing = vec_at(&ch->growing, i);
        if ((growing->held || growing->copy) && inspect_wants(ask, ch->coll->id, growing->id))
            into->segments[into->n_segments++] = s_growing(ch, growing, ctx);
    }
}

static void s_add_segments(const query_node_t *self, const Elanus__InspectAsk *ask, ctx_t *ctx,
                           Elanus__Inspection *into)
{
    void *value = NULL;
    size_t most = 0;
    for (size_t at = 0; map_next(self->channels, &at, NULL, &value); ) {
        const query_channel_t *ch = value;
        most += map_len(ch->pieces) + ch->growing.len;
    }
    into->segments = ctx_new(ctx, (most + 1) * sizeof into->segments[0]);
    for (size_t at = 0; map_next(self->channels, &at, NULL, &value); )
        s_add_held(value, ask, ctx, into);
    inspect_cut_segments(ask, into);
}

void query_inspect(const void *node, const Elanus__InspectAsk *ask, ctx_t *ctx,
                   Elanus__Inspection *into)
{
    if (ask->state)
        s_add_followers(node, ctx, into);
    if (ask->segments_most > 0)
        s_add_segments(node, ask, ctx, into);
}
