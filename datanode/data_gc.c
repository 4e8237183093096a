/* data_gc - objects and keys that are not needed any more; see data_keep.h
 *
 * One round in an interval, one thing at a time:
 *
 * 1. Flushed segments of collections and partitions that are gone become DROPPED.  The watch
 *    may lag, so the collection's key itself is asked first.
 * 2. DROPPED segments, when the tolerance is over and the checkpoint has passed their rows
 *    (until then their key keeps a replay from growing them again): first the objects, then
 *    the key.  The other way round a crash in between would leave objects to step 3.
 * 3. Objects that no record names: left by attempts that failed.  Page by page: those that
 *    were begun long ago, that no record of the node's picture names, and whose segment's key,
 *    asked again, does not name them either.  What an errand of this node is writing
 *    is never looked at; what another node writes is young.
 *
 * Each channel's owner does 1 and 2 for its own segments; 3 is done by every data node,
 * because what it needs to know is in metadata, and to delete twice is harmless.  An object's age
 * is told by the clock of the node that put it: the tolerance must be more than twice what a
 * flush takes, and more than clocks may differ.  A node that was frozen for longer than half of it
 * does not name what it had put before (errand_may_name).
 */
#include "datanode/data_keep.h"

#include <inttypes.h>

#include "core/wire/pb.h"

enum {
    DROP_BATCH = 32,            /* records that become DROPPED in one transaction */
    SWEEP_BATCH = 16,           /* segments whose objects go in one job */
    COMMIT_BYTES = 512 << 10,
    LATER_MS = 1000,
};

static void s_go_on(errand_t *errand, const event_t *ev, actions_t *act)
{
    data_node_t *node = errand->node;
    errand_end(errand);
    persist_of(node)->gc_busy = false;
    data_gc_work(node, ev, act);
}

/* This round is over; what is left has time until the next. */
static void s_round_over(data_node_t *node, const event_t *ev)
{
    persist_t *persist = persist_of(node);
    persist->gc_busy = false;
    gc_look_destroy(&persist->gc_look);
    persist->gc_at_ms = ev->now_ms + node->options->gc_interval_ms;
}

/* The watch is behind, or all of it is busy. */
static void s_not_yet(errand_t *errand, const event_t *ev)
{
    persist_t *persist = persist_of(errand->node);
    errand_end(errand);
    persist->gc_busy = false;
    persist->gc_at_ms = ev->now_ms + LATER_MS;
}

static void s_give_up(errand_t *errand, const char *what, err_t err, const event_t *ev)
{
    data_node_t *node = errand->node;
    log_event(LOG_WARN, "gc_failed", "what=%s error=%s why=\"%s\"", what, err_name(err), ev->text);
    errand_end(errand);
    s_round_over(node, ev);
}

static void s_unbusy(errand_t *errand, bool forget)
{
    for (size_t i = 0; i < errand->segments.len; i++) {
        uint64_t segment = *(uint64_t *)vec_at(&errand->segments, i);
        mark_t *mark = map_get_u64(errand->keeper->marks, segment);
        if (mark && forget)
            keeper_forget(errand->keeper, segment);
        else if (mark)
            mark->busy = false;
    }
}

/* --- 1. what belongs to nothing any more ------------------------------------------ */

static bool s_has_partition(const Elanus__Collection *coll, uint64_t partition)
{
    for (size_t i = 0; i < coll->n_partitions; i++)
        if (coll->partitions[i]->id == partition)
            return true;
    return false;
}

static void s_dropped(errand_t *errand, err_t err, const event_t *ev, actions_t *act)
{
    s_unbusy(errand, err == OK);
    if (err == OK)
        s_go_on(errand, ev, act);
    else
        s_give_up(errand, "drop", err, ev);
}

/* coll NULL: there is no such collection. */
static void s_drop_segments(errand_t *errand, uint64_t collection, const Elanus__Collection *coll,
                            const event_t *ev, actions_t *act)
{
    keeper_t *keeper = errand->keeper;
    const Elanus__Segment **records = NULL;
    size_t n = keeper_flushed(keeper, ev->ctx, NULL, collection, &records), n_ops = 0, bytes = 0;
    meta_op_t ops[DROP_BATCH];
    for (size_t i = 0; i < n && n_ops < DROP_BATCH && bytes < COMMIT_BYTES; i++) {
        mark_t *mark = keeper_mark(keeper, records[i]);
        if (mark->busy || (coll && s_has_partition(coll, records[i]->partition)))
            continue;
        Elanus__Segment gone = *records[i];
        gone.state = ELANUS__SEGMENT_STATE__SEGMENT_DROPPED;
        gone.into = 0;
        gone.dropped_ms = ev->wall_ms;
        ops[n_ops] = errand_put_segment(errand, &gone);
        bytes += ops[n_ops++].value.len;
        vec_push(&errand->segments, &gone.id);
        mark->busy = true;
    }
    if (n_ops)
        errand_commit(errand, ops, n_ops, s_dropped, ev, act);
    else
        s_not_yet(errand, ev);
}

static void s_collection_read(void *node, void *arg, const event_t *ev, actions_t *act)
{
    (void)node;
    errand_t *errand = arg;
    Elanus__Collection *coll = NULL;
    err_t err = ev->err;
    if (err == OK)
        err = PB_UNPACK(ev->ctx, elanus__collection, ev->meta.item.value, &coll);
    if (errand->keeper->closed || (err != OK && err != ERR_KEY_NOT_FOUND))
        s_give_up(errand, "collection", err, ev);
    else
        s_drop_segments(errand, errand->segment, coll, ev, act);
}

/* The catalog's picture has no such place: worth asking. */
static bool s_looks_gone(const data_node_t *node, const Elanus__Segment *record)
{
    const Elanus__Collection *coll = catalog_collection_by_id(node->catalog, record->collection);
    return !coll || !s_has_partition(coll, record->partition);
}

static bool s_drop_some(keeper_t *keeper, const event_t *ev, actions_t *act)
{
    data_node_t *node = keeper->channel->node;
    const Elanus__Segment **records = NULL;
    size_t n = keeper_flushed(keeper, ev->ctx, NULL, 0, &records);
    for (size_t i = 0; i < n; i++) {
        if (!s_looks_gone(node, records[i]) || keeper_mark(keeper, records[i])->busy)
            continue;
        errand_t *errand = errand_new(node, keeper);
        errand->segment = records[i]->collection;
        act_meta_get(act, catalog_key_collection(ev->ctx, records[i]->collection),
                     wait_once(node->member.waits, act, s_collection_read, errand));
        return true;
    }
    return false;
}

/* --- 2. what was dropped long ago ------------------------------------------ */

static void s_keys_gone(errand_t *errand, err_t err, const event_t *ev, actions_t *act)
{
    if (err == OK)
        s_go_on(errand, ev, act);
    else
        s_give_up(errand, "keys", err, ev);
}

static void s_objects_gone(errand_t *errand, err_t err, const event_t *ev, actions_t *act)
{
    if (err != OK || errand->keeper->closed) {
        s_give_up(errand, "objects", err, ev);
        return;
    }
    meta_op_t ops[SWEEP_BATCH];
    size_t n = 0;
    for (size_t i = 0; i < errand->segments.len; i++) {
        uint64_t id = *(uint64_t *)vec_at(&errand->segments, i);
        const Elanus__Segment *record = segments_get(errand->node->segments, id, NULL);
        if (record)
            ops[n++] = (meta_op_t){ .kind = META_DELETE, .key = segments_key(
                &errand->memory, record->collection, record->id) };
    }
    if (n)
        errand_commit(errand, ops, n, s_keys_gone, ev, act);
    else
        s_go_on(errand, ev, act);
}

static bool s_is_over(const keeper_t *keeper, const Elanus__Segment *record, int64_t wall_ms)
{
    const data_channel_t *channel = keeper->channel;
    wal_position_t ckpt = channel->ckpt;
    bool passed = record->end_epoch != ckpt.epoch ? record->end_epoch < ckpt.epoch
                                                  : record->end_seq <= ckpt.seq;
    return record->state == ELANUS__SEGMENT_STATE__SEGMENT_DROPPED && passed &&
           record->dropped_ms + channel->node->options->gc_drop_ms <= wall_ms;
}

static bool s_sweep_some(keeper_t *keeper, const event_t *ev, actions_t *act)
{
    data_node_t *node = keeper->channel->node;
    const Elanus__Segment **records = NULL;
    size_t n = keeper_segments(keeper, ev->ctx, NULL, 0, &records);
    errand_t *errand = NULL;
    for (size_t i = 0; i < n; i++) {
        if (!s_is_over(keeper, records[i], ev->wall_ms))
            continue;
        if (!errand) {
            errand = errand_new(node, keeper);
            errand->sweep = gc_sweep_new(node->options->store);
        }
        const char *const *keys = NULL;
        size_t n_keys = data_record_keys(ev->ctx, records[i], &keys);
        for (size_t k = 0; k < n_keys; k++)
            gc_sweep_add(errand->sweep, keys[k]);
        vec_push(&errand->segments, &records[i]->id);
        if (errand->segments.len == SWEEP_BATCH)
            break;
    }
    if (errand)
        errand_job(errand, gc_sweep_run, errand->sweep, s_objects_gone, ev, act);
    return errand != NULL;
}

/* --- 3. what nothing names ------------------------------------------ */

static bool s_names(ctx_t *ctx, const Elanus__Segment *record, const char *key)
{
    const char *const *keys = NULL;
    size_t n = data_record_keys(ctx, record, &keys);
    for (size_t i = 0; i < n; i++)
        if (strcmp(keys[i], key) == 0)
            return true;
    return false;
}

/* An errand of this node may be writing objects of this segment, or rows of it may be flushed
 * at any time. */
static bool s_is_written(const data_node_t *node, uint64_t segment)
{
    const persist_t *persist = persist_of(node);
    for (size_t i = 0; i < persist->errands.len; i++) {
        const errand_t *errand = *(errand_t **)vec_at(&persist->errands, i);
        if ((errand->flush && errand->segment == segment) ||
            (errand->merge && merge_job_id(errand->merge) == segment))
            return true;
    }
    void *value, *shard;
    for (size_t at = 0; map_next(persist->keepers, &at, NULL, &value); ) {
        const keeper_t *keeper = value;
        const mark_t *mark = map_get_u64(keeper->marks, segment);
        if (mark && mark->busy)
            return true;
        for (size_t i = 0; map_next(keeper->channel->shards, &i, NULL, &shard); )
            if (data_segment_find(shard, segment))
                return true;
    }
    return false;
}

static bool s_is_orphan(const data_node_t *node, ctx_t *ctx, const gc_found_t *found)
{
    const Elanus__Segment *record = segments_get(node->segments, found->segment, NULL);
    return !(record && s_names(ctx, record, found->key)) && !s_is_written(node, found->segment);
}

static void s_orphans(errand_t *errand, const event_t *ev, actions_t *act);

static void s_swept(errand_t *errand, err_t err, const event_t *ev, actions_t *act)
{
    if (err != OK) {
        s_give_up(errand, "orphans", err, ev);
        return;
    }
    log_event(LOG_INFO, "orphans_deleted", "objects=%zu", errand->sweep->keys.len);
    gc_sweep_destroy(&errand->sweep);
    s_orphans(errand, ev, act);
}

/* The key itself, newer than the list: sweep what it does not name of this segment. */
static void s_segment_read(void *node, void *arg, const event_t *ev, actions_t *act)
{
    data_node_t *self = node;
    errand_t *errand = arg;
    gc_look_t *look = persist_of(self)->gc_look;
    Elanus__Segment *record = NULL;
    err_t err = ev->err;
    if (err == OK)
        err = PB_UNPACK(ev->ctx, elanus__segment, ev->meta.item.value, &record);
    if (err != OK && err != ERR_KEY_NOT_FOUND) {
        s_give_up(errand, "segment", err, ev);
        return;
    }
    errand->sweep = gc_sweep_new(self->options->store);
    for (; errand->at < look->found.len; errand->at++) {
        const gc_found_t *found = vec_at(&look->found, errand->at);
        if (found->segment != errand->segment)
            break;
        if (s_is_orphan(self, ev->ctx, found) && !(record && s_names(ev->ctx, record, found->key)))
            gc_sweep_add(errand->sweep, found->key);
    }
    errand_job(errand, gc_sweep_run, errand->sweep, s_swept, ev, act);
}

/* From errand->at on: the next object of the page that looks like one. */
static void s_orphans(errand_t *errand, const event_t *ev, actions_t *act)
{
    data_node_t *node = errand->node;
    gc_look_t *look = persist_of(node)->gc_look;
    for (; errand->at < look->found.len; errand->at++) {
        const gc_found_t *found = vec_at(&look->found, errand->at);
        if (!s_is_orphan(node, ev->ctx, found))
            continue;
        errand->segment = found->segment;
        act_meta_get(act, segments_key(ev->ctx, found->collection, found->segment),
                     wait_once(node->member.waits, act, s_segment_read, errand));
        return;
    }
    s_go_on(errand, ev, act);
}

static void s_looked(errand_t *errand, err_t err, const event_t *ev, actions_t *act)
{
    if (err != OK)
        s_give_up(errand, "list", err, ev);
    else
        s_orphans(errand, ev, act);
}

static void s_look_for_orphans(data_node_t *node, const event_t *ev, actions_t *act)
{
    persist_t *persist = persist_of(node);
    if (!persist->gc_look)
        persist->gc_look = gc_look_new(node->options->store,
                                       ev->wall_ms - node->options->gc_missing_ms);
    errand_t *errand = errand_new(node, NULL);
    persist->gc_busy = true;
    errand_job(errand, gc_look_run, persist->gc_look, s_looked, ev, act);
}

/* --- a round ------------------------------------------ */

static bool s_owned(data_node_t *node, const event_t *ev, actions_t *act)
{
    persist_t *persist = persist_of(node);
    void *value;
    for (size_t at = 0; map_next(persist->keepers, &at, NULL, &value); )
        if (s_drop_some(value, ev, act) || s_sweep_some(value, ev, act)) {
            persist->gc_busy = true;
            return true;
        }
    return false;
}

static bool s_may_work(const data_node_t *node)
{
    return node->options->gc && node->options->store && !node->stopping && node->coll_synced &&
           segments_synced(node->segments);
}

void data_gc_work(data_node_t *self, const event_t *ev, actions_t *act)
{
    persist_t *persist = persist_of(self);
    if (!s_may_work(self) || persist->gc_busy || persist->gc_at_ms > ev->now_ms)
        return;
    if (persist->gc_look && persist->gc_look->done)
        s_round_over(self, ev);
    else if (!s_owned(self, ev, act))
        s_look_for_orphans(self, ev, act);
}
