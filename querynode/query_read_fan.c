/* query_read_fan - the part of a read that other nodes do: one call for each node and channel
 *
 * The calls go out before the read's own part begins, so all work at the same time.  Each names
 * the segments of the pinned distribution, the timestamp, and how far deletes must be applied.
 *
 * A node that cannot be reached or lacks a segment makes the whole read begin again, with the
 * distribution as it is then: what was found elsewhere may be of segments that have been
 * compacted since, and beginning again is seldom.  Calls that nobody waits for any more are
 * called off.
 */
#include "querynode/query_read_int.h"

struct query_call {
    query_read_t *read;         /* NULL: it does not wait any more */
    query_channel_t *channel;   /* held */
    uint64_t node;
    size_t at;                  /* in read->calls */
    uint64_t cookie;
};

/* May the same read, begun anew in a moment, end better? */
static bool s_passes(err_t err)
{
    return err == ERR_NETWORK || err == ERR_OUTCOME_UNKNOWN || err == ERR_MOVED ||
           err == ERR_SEGMENT_NOT_LOADED || err == ERR_QUEUE_FULL || err == ERR_NODE_NOT_MATCH ||
           err == ERR_SERVICE_NOT_READY || err == ERR_COLLECTION_PARTLY_LOADED ||
           err == ERR_CHANNEL_NOT_AVAILABLE;
}

/* --- answers ----------------------------------------------------------------------------- */

void query_fan_drop(query_read_t *read, actions_t *act)
{
    for (size_t i = 0; i < read->calls.len; i++) {
        query_call_t *call = *(query_call_t **)vec_at(&read->calls, i);
        call->read = NULL;
        if (act)
            act_cancel(act, call->cookie);
    }
    read->calls.len = 0;
    for (size_t i = 0; i < read->answers.len; i++)
        buf_fini(vec_at(&read->answers, i));
    read->answers.len = read->answer_bytes = 0;
    for (size_t i = 0; i < read->dists.len; i++)
        query_dist_unref(vec_at(&read->dists, i));
    read->dists.len = 0;
    read->n_calls = 0;
}

static void s_forget(query_read_t *read, const query_call_t *call)
{
    size_t at = call->at;
    vec_swap_remove(&read->calls, at);
    if (at < read->calls.len)
        (*(query_call_t **)vec_at(&read->calls, at))->at = at;
}

static void s_keep(query_read_t *read, view_t payload)
{
    buf_t bytes;
    buf_init(&bytes, 0);
    buf_add(&bytes, payload.ptr, payload.len);
    read->answer_bytes += payload.len;
    vec_push(&read->answers, &bytes);
}

/* The first error tells; the others come because of it. */
static void s_failed(query_read_t *read, const query_call_t *call, const event_t *ev)
{
    if (read->elsewhere.err != OK)
        return;
    (void)ctx_fail(&read->elsewhere, ev->err, "%s", ev->text);
    (void)ctx_prefix(&read->elsewhere, "query node %llu", (unsigned long long)call->node);
    read->again = s_passes(ev->err);
    query_read_fail(read, &read->elsewhere);
}

static void s_replied(void *node, void *arg, const event_t *ev, actions_t *act)
{
    const query_call_t *call = arg;
    query_channel_t *ch = call->channel;
    query_read_t *read = call->read;
    (void)node;
    if (ev->err != OK && !ch->gone && s_passes(ev->err) && ev->err != ERR_QUEUE_FULL)
        query_peer_doubt(ch, call->node);
    if (read) {
        s_forget(read, call);
        if (ev->err == OK)
            s_keep(read, ev->payload);
        else
            s_failed(read, call, ev);
    }
    query_channel_put(ch);
    if (read)
        query_read_part_ended(read, ev, act);
}

/* --- questions --------------------------------------------------------------------------- */

static err_t s_pack(ctx_t *ctx, const query_read_t *read, Elanus__ReadView *view, buf_t *into)
{
    if (read->search) {
        Elanus__Search ask = *read->search;
        ask.view = view;
        return wire_pack(ctx, &ask.base, into);
    }
    Elanus__Query ask = *read->query;
    ask.view = view;
    return wire_pack(ctx, &ask.base, into);
}

static void s_call(query_read_t *read, query_channel_t *ch, const query_peer_t *peer,
                   Elanus__ReadView *view, const event_t *ev, actions_t *act)
{
    query_node_t *self = read->node;
    buf_t bytes;
    buf_init(&bytes, 0);
    if (s_pack(ev->ctx, read, view, &bytes) != OK) {
        buf_fini(&bytes);
        (void)ctx_fail(&read->elsewhere, ev->ctx->err, "%s", ev->ctx->text);
        query_read_fail(read, &read->elsewhere);
        return;
    }
    int64_t left = read->ctx.deadline_ms - ev->now_ms;
    query_call_t *call = mem_new(sizeof *call);
    *call = (query_call_t){ .read = read, .channel = ch, .node = peer->node,
                            .at = read->calls.len };
    ch->users++;
    vec_push(&read->calls, &call);
    read->n_calls++;
    call->cookie = wait_owned(self->member.waits, act, s_replied, call);
    act_call_moved(act, peer->address, read->search ? ELANUS__METHOD__METHOD_SEARCH
                                                    : ELANUS__METHOD__METHOD_QUERY,
                   &bytes, left > 0 ? left : 1, call->cookie);
}

/* What of this share the read is about, at its node. */
static void s_ask(query_read_t *read, query_channel_t *ch, const query_share_t *share,
                  const event_t *ev, actions_t *act)
{
    const Elanus__ReadView *whole = read->need.view;
    Elanus__ReadView view = ELANUS__READ_VIEW__INIT;
    view.segments = ctx_new(ev->ctx, (share->n + 1) * sizeof *view.segments);
    for (size_t i = 0; i < share->n; i++)
        if (query_is_read(ch, share->partitions[i], whole))
            view.segments[view.n_segments++] = share->ids[i];
    if (view.n_segments == 0)
        return;
    view.collection = whole->collection;
    view.vchannels = &ch->name;
    view.n_vchannels = 1;
    view.read_ts = read->read_ts;
    view.applied_ts = ch->view_ts < read->read_ts ? ch->view_ts : read->read_ts;
    s_call(read, ch, query_peer(ch, share->node), &view, ev, act);
}

void query_fan_out(query_read_t *read, const event_t *ev, actions_t *act)
{
    const Elanus__ReadView *view = read->need.view;
    for (size_t i = 0; i < view->n_vchannels; i++) {
        query_channel_t *ch = map_get_str(read->node->channels, view->vchannels[i]);
        query_dist_t *dist = ch->dist;
        if (!dist)
            continue;
        dist->refs++;
        vec_push(&read->dists, &dist);
        for (size_t s = 0; s < dist->n_shares; s++)
            s_ask(read, ch, &dist->shares[s], ev, act);
    }
}
