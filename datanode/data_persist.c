/* data_persist - when segments seal and what then follows; METHOD_SEAL.  See data_keep.h
 *
 * A growing segment seals when it is big, old, idle with something in it, when
 * somebody asks, when memory is short, or when it alone keeps the log long: rows that
 * came before 2 * seal_bytes of others that are flushed by now, or deletes that cannot be
 * forgotten.  The last rule bounds what a restart must read.
 *
 * With the log on the object store what a takeover must read is counted in objects, for each
 * costs a round trip however little is in it, and readers wait.  So the rows or deletes that
 * LIMIT_WAL_BEHIND objects lie behind are flushed, too; not earlier than repeat_ms after they
 * came, since no checkpoint passes requests that may still be repeated.
 *
 * Milvus seals at 0.12 * 1024 MB, about 123 MB, having written 16 MB pieces before.  Here a
 * segment is in memory as a whole until it is flushed, so 123 MB is what each partition
 * that is being written to may take; the sum of all is bounded by memory_bytes: at half
 * of it the biggest is flushed, long before writers are refused.  Smaller segments would
 * cost more files and more merging, and save nothing where rows are read too: in one
 * process readers share these rows.
 */
#include "datanode/data_keep.h"

#include <inttypes.h>

#include "core/wire/pb.h"

enum {
    TICK_MS = 1000,             /* between two looks at ages */
    SIZES_MS = 20,              /* between two looks at sizes */
    PAUSE_MS = 200, MOST_PAUSE_MS = 30000,
};

int64_t keeper_pause_ms(uint32_t failures)
{
    int64_t ms = PAUSE_MS;
    while (failures-- > 1 && ms < MOST_PAUSE_MS)
        ms *= 2;
    return ms < MOST_PAUSE_MS ? ms : MOST_PAUSE_MS;
}

static data_segment_t *s_segment(const data_shard_t *shard, size_t i)
{
    return *(data_segment_t **)vec_at(&shard->segments, i);
}

/* --- keepers ------------------------------------------ */

keeper_t *keeper_of(const data_channel_t *channel)
{
    persist_t *persist = persist_of(channel->node);
    return persist ? map_get_str(persist->keepers, channel->name) : NULL;
}

/* Its memory alone: when the node ends, channels end by themselves. */
static void s_free(keeper_t *keeper)
{
    void *mark;
    for (size_t at = 0; map_next(keeper->marks, &at, NULL, &mark); )
        mem_free(mark);
    for (size_t i = 0; i < keeper->wishes.len; i++)
        mem_free(((merge_wish_t *)vec_at(&keeper->wishes, i))->segments);
    map_destroy(&keeper->marks);
    stats_cache_destroy(&keeper->stats);
    vec_fini(&keeper->wishes);
    vec_fini(&keeper->asked);
    mem_free(keeper);
}

static void s_free_unused(keeper_t *keeper)
{
    if (!keeper->closed || keeper->users)
        return;
    data_channel_release(&keeper->channel);
    s_free(keeper);
}

void keeper_release(keeper_t *keeper)
{
    check(keeper->users > 0);
    keeper->users--;
    s_free_unused(keeper);
}

mark_t *keeper_mark(keeper_t *keeper, const Elanus__Segment *record)
{
    mark_t *mark = map_get_u64(keeper->marks, record->id);
    if (mark)
        return mark;
    uint64_t ckpt_ts = keeper->channel->ckpt_ts;
    mark = mem_new(sizeof *mark);
    mark->known_ts = record->delta_ts > ckpt_ts ? record->delta_ts : ckpt_ts;
    map_put_u64(keeper->marks, record->id, mark);
    return mark;
}

void keeper_forget(keeper_t *keeper, uint64_t segment)
{
    mem_free(map_del_u64(keeper->marks, segment));
}

static bool s_is_of(const keeper_t *keeper, const Elanus__Segment *record, const char *vchannel)
{
    if (vchannel)
        return strcmp(record->vchannel, vchannel) == 0;
    return view_eq(directory_pchannel(record->vchannel), view_str(keeper->channel->name));
}

size_t keeper_segments(const keeper_t *keeper, ctx_t *ctx, const char *vchannel,
                       uint64_t collection, const Elanus__Segment ***ret)
{
    const Elanus__Segment **all = NULL;
    size_t n = segments_of(keeper->channel->node->segments, ctx, collection, &all), kept = 0;
    for (size_t i = 0; i < n; i++)
        if (s_is_of(keeper, all[i], vchannel))
            all[kept++] = all[i];
    *ret = all;
    return kept;
}

size_t keeper_flushed(const keeper_t *keeper, ctx_t *ctx, const char *vchannel,
                      uint64_t collection, const Elanus__Segment ***ret)
{
    const Elanus__Segment **all = NULL;
    size_t n = keeper_segments(keeper, ctx, vchannel, collection, &all), kept = 0;
    for (size_t i = 0; i < n; i++)
        if (all[i]->state == ELANUS__SEGMENT_STATE__SEGMENT_FLUSHED)
            all[kept++] = all[i];
    *ret = all;
    return kept;
}

/* A node without a store keeps everything in memory and log. */
static bool s_may_work(const keeper_t *keeper)
{
    const data_node_t *node = keeper->channel->node;
    return !keeper->closed && !node->stopping && node->options->store;
}

void keeper_work(keeper_t *keeper, const event_t *ev, actions_t *act)
{
    if (!s_may_work(keeper))
        return;
    keeper_flush(keeper, ev, act);
    keeper_deltas(keeper, ev, act);
    keeper_ckpt(keeper, ev, act);
    keeper_merge(keeper, ev, act);
}

/* --- sealing ------------------------------------------ */

static bool s_has_rows(const data_segment_t *segment)
{
    return segment->pending > 0 || growing_rows(segment->rows) > 0;
}

bool keeper_lags(const keeper_t *keeper, wal_position_t first, int64_t age_ms)
{
    const data_channel_t *channel = keeper->channel;
    uint64_t upto = channel->applied.seq;
    uint64_t behind = first.epoch == channel->applied.epoch ? upto - first.seq : upto;
    return data_on_store(channel->node) && behind >= LIMIT_WAL_BEHIND &&
           age_ms >= channel->node->options->repeat_ms;
}

static bool s_is_full(keeper_t *keeper, data_segment_t *segment, int64_t wall_ms)
{
    const data_options_t *options = keeper->channel->node->options;
    uint64_t bytes = growing_bytes(segment->rows) + segment->pending_bytes;
    if (segment->flushed_before == 0)
        segment->flushed_before = keeper->flushed_bytes + 1;
    if (options->seal_bytes &&
        (bytes >= options->seal_bytes ||
         keeper->flushed_bytes + 1 - segment->flushed_before >= 2 * options->seal_bytes))
        return true;
    return segment->first.seq &&
           (wall_ms - segment->opened_ms >= options->seal_age_ms ||
            keeper_lags(keeper, segment->first, wall_ms - segment->opened_ms) ||
            (wall_ms - segment->touched_ms >= options->seal_idle_ms &&
             bytes >= options->seal_idle_bytes));
}

static void s_seal_shard(keeper_t *keeper, data_shard_t *shard, const event_t *ev, actions_t *act)
{
    for (size_t i = 0; i < shard->segments.len; i++) {
        data_segment_t *segment = s_segment(shard, i);
        if (segment->state == DATA_GROWING && s_has_rows(segment) &&
            s_is_full(keeper, segment, ev->wall_ms))
            data_segment_seal(shard, segment, ev, act);
    }
}

static void s_seal_full(keeper_t *keeper, const event_t *ev, actions_t *act)
{
    void *shard;
    keeper->sizes_at_ms = ev->now_ms + SIZES_MS;
    for (size_t at = 0; map_next(keeper->channel->shards, &at, NULL, &shard); )
        s_seal_shard(keeper, shard, ev, act);
}

typedef struct place { data_shard_t *shard; data_segment_t *segment; } place_t;

/* The growing segment of a channel that goes before all others by `before`. */
static place_t s_first(const data_channel_t *channel, place_t best,
                       bool before(const data_segment_t *a, const data_segment_t *b))
{
    void *value;
    for (size_t at = 0; map_next(channel->shards, &at, NULL, &value); ) {
        data_shard_t *shard = value;
        for (size_t i = 0; i < shard->segments.len; i++) {
            data_segment_t *segment = s_segment(shard, i);
            if (segment->state == DATA_GROWING && growing_rows(segment->rows) &&
                (!best.segment || before(segment, best.segment)))
                best = (place_t){ shard, segment };
        }
    }
    return best;
}

static bool s_older(const data_segment_t *a, const data_segment_t *b)
{
    return a->first.epoch != b->first.epoch ? a->first.epoch < b->first.epoch
                                            : a->first.seq < b->first.seq;
}

static bool s_bigger(const data_segment_t *a, const data_segment_t *b)
{
    return growing_bytes(a->rows) > growing_bytes(b->rows);
}

/* Deletes that every flushed segment knows by now are kept because the log begins at some old
 * rows: flush those. */
static void s_seal_oldest(keeper_t *keeper, const event_t *ev, actions_t *act)
{
    uint64_t bytes = 0;
    void *shard;
    for (size_t at = 0; map_next(keeper->channel->shards, &at, NULL, &shard); )
        bytes += ((const data_shard_t *)shard)->delete_bytes;
    if (keeper->flushes || bytes < 2 * keeper->channel->node->options->delete_bytes)
        return;
    place_t oldest = s_first(keeper->channel, (place_t){0}, s_older);
    if (oldest.segment)
        data_segment_seal(oldest.shard, oldest.segment, ev, act);
}

/* Is a segment on its way out of memory, or waiting to be tried again?  Then more of them would
 * only be smaller ones. */
static bool s_is_flushing(const data_channel_t *channel)
{
    void *shard;
    for (size_t at = 0; map_next(channel->shards, &at, NULL, &shard); )
        for (size_t i = 0; i < ((const data_shard_t *)shard)->segments.len; i++)
            if (s_segment(shard, i)->state == DATA_SEALED)
                return true;
    return false;
}

/* One at a time: the next when this one's memory is free, or it is not enough. */
static void s_flush_biggest(data_node_t *self, const event_t *ev, actions_t *act)
{
    persist_t *persist = persist_of(self);
    place_t biggest = {0};
    void *value;
    for (size_t at = 0; map_next(persist->keepers, &at, NULL, &value); ) {
        const keeper_t *keeper = value;
        if (keeper->flushes || s_is_flushing(keeper->channel))
            return;
        biggest = s_first(keeper->channel, biggest, s_bigger);
    }
    for (size_t at = 0; map_next(persist->keepers, &at, NULL, &value); )
        s_seal_oldest(value, ev, act);
    if (!biggest.segment)
        return;
    data_segment_seal(biggest.shard, biggest.segment, ev, act);
    keeper_work(keeper_of(biggest.shard->channel), ev, act);
}

void data_persist_pressure(data_node_t *self, const event_t *ev, actions_t *act)
{
    uint64_t most = self->options->memory_bytes;
    if (most && self->bytes > most / 2 && self->options->store && !self->stopping)
        s_flush_biggest(self, ev, act);
}

/* --- hooks ------------------------------------------ */

void data_persist_make(data_node_t *self)
{
    persist_t *persist = mem_new(sizeof *persist);
    persist->keepers = map_new();
    persist->compactions = map_new();
    vec_init(&persist->errands, sizeof(errand_t *));
    vec_init(&persist->compaction_ids, sizeof(uint64_t));
    self->persist = persist;
}

void data_persist_end(data_node_t *self)
{
    persist_t *persist = persist_of(self);
    vec_scoped keepers;         /* closed ones too: found by their errands */
    vec_init(&keepers, sizeof(keeper_t *));
    void *value;
    for (size_t at = 0; map_next(persist->keepers, &at, NULL, &value); )
        vec_push(&keepers, &value);
    for (size_t i = 0; i < persist->errands.len; i++) {
        keeper_t *keeper = (*(errand_t **)vec_at(&persist->errands, i))->keeper;
        if (keeper && keeper->closed && --keeper->users == 0)
            vec_push(&keepers, &keeper);
    }
    errands_end(self);
    for (size_t i = 0; i < keepers.len; i++)
        s_free(*(keeper_t **)vec_at(&keepers, i));
    data_compactions_end(self);
    gc_look_destroy(&persist->gc_look);
    map_destroy(&persist->keepers);
    map_destroy(&persist->compactions);
    vec_fini(&persist->compaction_ids);
    mem_free(persist);
    self->persist = NULL;
}

void data_persist_start(data_node_t *self, const event_t *ev, actions_t *act)
{
    persist_of(self)->gc_at_ms = ev->now_ms + self->options->gc_interval_ms;
    act_timer(act, TIMER_DATA_PERSIST, TICK_MS);
}

void data_persist_opened(data_channel_t *channel, const event_t *ev, actions_t *act)
{
    keeper_t *keeper = mem_new(sizeof *keeper);
    keeper->channel = data_channel_hold(channel);
    keeper->attempts.epoch = channel->epoch;
    keeper->stats = stats_cache_new(LIMIT_STATS_BYTES);
    keeper->marks = map_new();
    vec_init(&keeper->wishes, sizeof(merge_wish_t));
    vec_init(&keeper->asked, sizeof(uint64_t));
    check(!map_put_str(persist_of(channel->node)->keepers, channel->name, keeper));
    s_seal_full(keeper, ev, act);
    keeper_work(keeper, ev, act);
}

void data_persist_closing(data_channel_t *channel)
{
    keeper_t *keeper = keeper_of(channel);
    if (!keeper)
        return;                                 /* it never was ACTIVE */
    keeper_drop_wishes(keeper);
    map_del_str(persist_of(channel->node)->keepers, channel->name);
    keeper->closed = true;
    s_free_unused(keeper);
}

void data_persist_applied(data_channel_t *channel, const event_t *ev, actions_t *act)
{
    keeper_t *keeper = keeper_of(channel);
    if (!keeper)
        return;
    if (keeper->sizes_at_ms <= ev->now_ms)
        s_seal_full(keeper, ev, act);
    if (keeper->sealed && s_may_work(keeper))
        keeper_flush(keeper, ev, act);
    keeper->sealed = false;
}

/* Not at once: this may be in the middle of an object, with more deletes to come of the same
 * instant. */
void data_persist_sealed(data_shard_t *shard, data_segment_t *segment, const event_t *ev,
                         actions_t *act)
{
    (void)segment, (void)ev, (void)act;
    keeper_t *keeper = keeper_of(shard->channel);
    if (keeper)
        keeper->sealed = true;
}

/* A flush of it that comes back finds it by its id, or does not. */
void data_persist_segment_gone(data_shard_t *shard, data_segment_t *segment)
{
    (void)shard, (void)segment;
}

void data_persist_shard_gone(data_shard_t *shard)
{
    (void)shard;
}

void data_persist_saw(data_node_t *self, uint64_t collection, uint64_t segment,
                      const Elanus__Segment *now)
{
    (void)collection;
    persist_t *persist = persist_of(self);
    void *value;
    for (size_t at = 0; !now && persist && map_next(persist->keepers, &at, NULL, &value); ) {
        const mark_t *mark = map_get_u64(((keeper_t *)value)->marks, segment);
        if (mark && !mark->busy)
            keeper_forget(value, segment);
    }
}

/* --- METHOD_SEAL ------------------------------------------ */

typedef struct sealing {
    const Elanus__SealAsk *ask;
    vec_t segments, flushed;    /* of uint64_t */
} sealing_t;

static bool s_asks_vchannel(const Elanus__SealAsk *ask, const char *vchannel)
{
    for (size_t i = 0; i < ask->n_vchannels; i++)
        if (strcmp(ask->vchannels[i], vchannel) == 0)
            return true;
    return ask->n_vchannels == 0;
}

static bool s_asks_partition(const Elanus__SealAsk *ask, uint64_t partition)
{
    for (size_t i = 0; i < ask->n_partitions; i++)
        if (ask->partitions[i] == partition)
            return true;
    return ask->n_partitions == 0;
}

static void s_seal_asked(sealing_t *sealing, data_shard_t *shard, const event_t *ev,
                         actions_t *act)
{
    const Elanus__SealAsk *ask = sealing->ask;
    if ((ask->collection && ask->collection != shard->collection) ||
        !s_asks_vchannel(ask, shard->name))
        return;
    for (size_t i = 0; i < shard->segments.len; i++) {
        data_segment_t *segment = s_segment(shard, i);
        if (segment->state == DATA_FLUSHED || !s_has_rows(segment) ||
            !s_asks_partition(ask, segment->partition))
            continue;
        data_segment_seal(shard, segment, ev, act);
        vec_push(&sealing->segments, &segment->id);
    }
}

static void s_list_flushed(sealing_t *sealing, const keeper_t *keeper, const event_t *ev)
{
    const Elanus__Segment **records = NULL;
    size_t n = keeper_flushed(keeper, ev->ctx, NULL, sealing->ask->collection, &records);
    for (size_t i = 0; i < n; i++)
        if (s_asks_vchannel(sealing->ask, records[i]->vchannel) &&
            s_asks_partition(sealing->ask, records[i]->partition))
            vec_push(&sealing->flushed, &records[i]->id);
}

static void s_seal_channel(sealing_t *sealing, keeper_t *keeper, const event_t *ev, actions_t *act)
{
    void *shard;
    for (size_t at = 0; map_next(keeper->channel->shards, &at, NULL, &shard); )
        s_seal_asked(sealing, shard, ev, act);
    s_list_flushed(sealing, keeper, ev);
    keeper->deltas_asked = true;
    keeper_work(keeper, ev, act);
}

static const char *s_not_here(const data_node_t *self, const Elanus__SealAsk *ask)
{
    for (size_t i = 0; i < ask->n_vchannels; i++) {
        const data_channel_t *channel = data_channel_of(self, ask->vchannels[i]);
        if (!channel || !keeper_of(channel))
            return ask->vchannels[i];
    }
    return NULL;
}

static void s_seal_call(data_node_t *self, const event_t *ev, actions_t *act)
{
    Elanus__SealAsk *ask = NULL;
    if (PB_UNPACK(ev->ctx, elanus__seal_ask, ev->call.payload, &ask) != OK) {
        act_refuse(act, ev->call.from, ERR_MALFORMED, "%s", ev->ctx->text);
        return;
    }
    const char *missing = s_not_here(self, ask);
    if (missing) {
        act_refuse(act, ev->call.from, ERR_MOVED, "%s has another owner now", missing);
        return;
    }
    sealing_t sealing = { .ask = ask };
    vec_init(&sealing.segments, sizeof(uint64_t));
    vec_init(&sealing.flushed, sizeof(uint64_t));
    Elanus__Sealed sealed = ELANUS__SEALED__INIT;
    sealed.ts = data_now(self, ev);             /* what comes later is stamped above */
    void *keeper;
    for (size_t at = 0; map_next(persist_of(self)->keepers, &at, NULL, &keeper); )
        s_seal_channel(&sealing, keeper, ev, act);
    sealed.n_segments = sealing.segments.len;
    sealed.segments = sealing.segments.ptr;
    sealed.n_flushed = sealing.flushed.len;
    sealed.flushed = sealing.flushed.ptr;
    act_reply(act, ev->call.from, pb_pack(ev->ctx, &sealed));
    vec_fini(&sealing.segments);
    vec_fini(&sealing.flushed);
}

/* --- the clock ------------------------------------------ */

/* Flushed segments that no reader of this process shares any more. */
static void s_let_go(data_shard_t *shard)
{
    for (size_t i = shard->segments.len; i-- > 0; ) {
        const data_segment_t *segment = s_segment(shard, i);
        if (segment->state == DATA_FLUSHED && !growing_is_shared(segment->rows))
            data_segment_remove(shard, i);
    }
}

static void s_tick_channel(keeper_t *keeper, const event_t *ev, actions_t *act)
{
    void *shard;
    for (size_t at = 0; map_next(keeper->channel->shards, &at, NULL, &shard); )
        s_let_go(shard);
    s_seal_full(keeper, ev, act);
    s_seal_oldest(keeper, ev, act);
    keeper->sealed = false;
    keeper_work(keeper, ev, act);
}

static void s_tick(data_node_t *self, const event_t *ev, actions_t *act)
{
    void *keeper;
    act_timer(act, TIMER_DATA_PERSIST, TICK_MS);
    for (size_t at = 0; map_next(persist_of(self)->keepers, &at, NULL, &keeper); )
        s_tick_channel(keeper, ev, act);
    data_persist_pressure(self, ev, act);       /* no write that is refused for it would ask */
    errands_due(self, ev, act);
    data_compactions_due(self, ev, act);
    data_gc_work(self, ev, act);
}

bool data_persist_event(data_node_t *self, const event_t *ev, actions_t *act)
{
    if (ev->kind == EV_TIMER && ev->timer == TIMER_DATA_PERSIST)
        s_tick(self, ev, act);
    else if (ev->kind == EV_CALL && ev->call.method == ELANUS__METHOD__METHOD_SEAL)
        s_seal_call(self, ev, act);
    else if (ev->kind == EV_CALL && ev->call.method == ELANUS__METHOD__METHOD_COMPACT)
        data_compact_call(self, ev, act);
    else if (ev->kind == EV_CALL && ev->call.method == ELANUS__METHOD__METHOD_COMPACTION)
        data_compaction_call(self, ev, act);
    else
        return false;
    return true;
}
