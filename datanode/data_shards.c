/* data_shards - the channels and shards of a node as others ask for them; checkpoints, drops */
#include "datanode/data_path.h"

data_channel_t *data_channel_live(const data_node_t *self, const char *pchannel)
{
    data_channel_t *channel = map_get_str(self->channels, pchannel);
    return channel && channel->state == CHANNEL_ACTIVE && channel->replayed ? channel : NULL;
}

data_channel_t *data_channel_of(const data_node_t *self, const char *vchannel)
{
    data_channel_t *channel = map_get(self->channels, directory_pchannel(vchannel));
    return channel && channel->state == CHANNEL_ACTIVE && channel->replayed ? channel : NULL;
}

data_shard_t *data_shard_of(const data_node_t *self, const char *vchannel)
{
    data_channel_t *channel = data_channel_of(self, vchannel);
    return channel ? map_get_str(channel->shards, vchannel) : NULL;
}

data_shard_t *data_next_shard(const data_node_t *self, data_walk_t *walk)
{
    for (; walk->channel < self->all.len; walk->channel++, walk->at = 0) {
        const data_channel_t *channel = *(data_channel_t **)vec_at(&self->all, walk->channel);
        void *shard = NULL;
        if (channel->state == CHANNEL_ACTIVE && channel->replayed &&
            map_next(channel->shards, &walk->at, NULL, &shard))
            return shard;
    }
    return NULL;
}

static bool s_has_vchannel(const Elanus__Collection *coll, const char *vchannel)
{
    for (size_t i = 0; i < coll->n_vchannels; i++)
        if (strcmp(coll->vchannels[i], vchannel) == 0)
            return true;
    return false;
}

data_shard_t *data_channel_shard(data_channel_t *channel, const char *vchannel,
                                 uint64_t collection)
{
    data_shard_t *shard = map_get_str(channel->shards, vchannel);
    if (shard)
        return shard->collection == collection ? shard : NULL;
    catalog_t *catalog = channel->node->catalog;
    const Elanus__Collection *coll = catalog_collection_by_id(catalog, collection);
    if (!coll || !s_has_vchannel(coll, vchannel))
        return NULL;
    shard = data_shard_new(view_str(vchannel), collection, catalog_schema(catalog, collection));
    data_shard_adopt(channel, shard);
    return shard;
}

static bool s_has_partition(const Elanus__Collection *coll, uint64_t partition)
{
    for (size_t i = 0; i < coll->n_partitions; i++)
        if (coll->partitions[i]->id == partition)
            return true;
    return false;
}

void data_channel_sweep(data_channel_t *channel, actions_t *act)
{
    void *value = NULL;
    for (size_t at = 0; map_next(channel->shards, &at, NULL, &value); ) {
        data_shard_t *shard = value;
        const Elanus__Collection *coll = catalog_collection_by_id(channel->node->catalog,
                                                                  shard->collection);
        for (size_t i = 0; coll && i < shard->segments.len; ) {
            const data_segment_t *segment = *(data_segment_t **)vec_at(&shard->segments, i);
            if (s_has_partition(coll, segment->partition))
                i++;
            else
                data_segment_remove(shard, i);
        }
        if (!coll) {
            data_follow_refuse(shard, ERR_COLLECTION_NOT_FOUND, "the collection was dropped", act);
            data_shard_leave(shard);
            data_shard_free(shard);
        }
    }
}

/* --- the checkpoint, and what is cut off the log then ----------------------------------- */

typedef struct cut { data_channel_t *channel; wal_t *log; wal_position_t upto; } cut_t;

static err_t s_cut_job(ctx_t *ctx, void *arg)
{
    const cut_t *cut = arg;
    return wal_truncate(ctx, cut->log, cut->upto);
}

static void s_cut(void *node, void *arg, const event_t *ev, actions_t *act)
{
    (void)node;
    data_channel_t *channel = ((cut_t *)arg)->channel;
    channel->log_busy = false;
    if (ev->err != OK)                          /* the next checkpoint tries again */
        log_event(LOG_WARN, "log_not_truncated", "channel=%s why=\"%s\"", channel->name, ev->text);
    data_channel_work(channel, act);
    data_channel_release(&channel);
}

/* On the store a checkpoint at the very beginning of an epoch leaves those before to be cut. */
bool data_channel_truncate(data_channel_t *channel, actions_t *act)
{
    wal_position_t upto = channel->truncate_to;
    if (upto.seq == 0 && !(upto.epoch > 0 && data_on_store(channel->node)))
        return false;
    cut_t *cut = mem_new(sizeof *cut);
    *cut = (cut_t){ .channel = data_channel_hold(channel), .log = channel->log, .upto = upto };
    channel->truncate_to = (wal_position_t){0};
    channel->log_busy = true;
    act_job(act, s_cut_job, cut, wait_owned(channel->node->member.waits, act, s_cut, cut));
    return true;
}

void data_channel_ckpt(data_channel_t *channel, wal_position_t at, uint64_t ts, actions_t *act)
{
    check(!wal_before(at, channel->ckpt) && !wal_before(channel->applied, at));
    channel->ckpt = channel->truncate_to = at;
    channel->ckpt_ts = ts;
    void *value = NULL;
    for (size_t i = 0; map_next(channel->shards, &i, NULL, &value); )
        data_shard_trim(value, at);
    for (size_t i = channel->twins.len; i-- > 0; )
        if (!wal_before(at, ((data_twin_t *)vec_at(&channel->twins, i))->second))
            vec_swap_remove(&channel->twins, i);
    data_channel_work(channel, act);
}

wal_position_t data_channel_ckpt_most(const data_channel_t *channel, int64_t wall_ms)
{
    const data_request_t *oldest =
        data_requests_since(channel->requests, wall_ms - channel->node->options->repeat_ms);
    if (!oldest || wal_before(channel->applied, oldest->at))
        return channel->applied;
    return (wal_position_t){ .epoch = oldest->at.epoch, .seq = oldest->at.seq - 1 };
}

wal_position_t data_channel_ckpt_untwined(const data_channel_t *channel, wal_position_t at)
{
    for (size_t i = 0; i < channel->twins.len; i++) {
        const data_twin_t *twin = vec_at(&channel->twins, i);
        if (wal_before(at, twin->first) || !wal_before(at, twin->second))
            continue;
        at = (wal_position_t){ twin->first.epoch, twin->first.seq - 1 };
        i = (size_t)-1;                         /* others may lie around that one */
    }
    return at;
}

void data_channel_dropped(data_node_t *self, actions_t *act)
{
    for (size_t i = 0; i < self->all.len; i++) {
        data_channel_t *channel = *(data_channel_t **)vec_at(&self->all, i);
        if (channel->state == CHANNEL_ACTIVE)
            data_channel_sweep(channel, act);
    }
}
