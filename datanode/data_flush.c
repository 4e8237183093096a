/* data_flush - sealed segments and deletes to the store, then the checkpoint; see data_keep.h
 *
 * A flush is planned between two steps of the log, never in the middle of one object: the
 * segment then has every delete up to `applied_ts`, and the rest is pending for it like
 * for any flushed segment.  Its rows leave memory when no reader of this process shares them.
 *
 * Deletes are flushed for all segments of a channel together, up to one instant.  A segment that
 * none of them hits keeps its record; that it knows them too is only remembered
 * (mark_t.known_ts), and after a restart the checkpoint's timestamp says the same.
 */
#include "datanode/data_keep.h"

#include <inttypes.h>

#include "core/wire/pb.h"
#include "datanode/data_planted.h"

enum {
    FLUSHES = 2,                /* of one channel at a time: one is put while another is made */
    COMMIT_BYTES = 512 << 10,   /* of records in one transaction, about; LIMIT_META_TXN_BYTES */
    COMMIT_OPS = 64,
    CKPT_MS = 1000,             /* between two checkpoints of a channel */
};

static data_shard_t *s_shard(const keeper_t *keeper, const char *vchannel)
{
    return keeper->closed ? NULL : map_get_str(keeper->channel->shards, vchannel);
}

static data_segment_t *s_segment(const data_shard_t *shard, size_t i)
{
    return *(data_segment_t **)vec_at(&shard->segments, i);
}

/* --- a flush ------------------------------------------ */

/* The segment of a flush that came back, as long as it waits for it. */
static data_segment_t *s_waiting(const errand_t *errand, data_shard_t **ret_shard)
{
    data_shard_t *shard = s_shard(errand->keeper, errand->vchannel);
    data_segment_t *segment = shard ? data_segment_find(shard, errand->segment) : NULL;
    *ret_shard = shard;
    return segment && segment->state == DATA_SEALED ? segment : NULL;
}

static void s_flush_failed(errand_t *errand, err_t err, const event_t *ev)
{
    data_shard_t *shard = NULL;
    data_segment_t *segment = s_waiting(errand, &shard);
    errand->keeper->flushes--;
    metrics_add(errand->node->count.flushes_failed, 1);
    keeper_forget(errand->keeper, errand->segment);
    if (segment) {
        segment->flushing = false;
        segment->flush_failed++;
        segment->flush_at_ms = ev->now_ms + keeper_pause_ms(segment->flush_failed);
        log_event(LOG_WARN, "flush_failed", "segment=%" PRIu64 " channel=%s attempts=%u error=%s "
                  "why=\"%s\"", segment->id, errand->vchannel, segment->flush_failed,
                  err_name(err), ev->text);
    }
    errand_end(errand);
}

static void s_flush_named(errand_t *errand, err_t err, const event_t *ev, actions_t *act)
{
    keeper_t *keeper = errand->keeper;
    if (err != OK) {
        s_flush_failed(errand, err, ev);
        return;
    }
    const Elanus__Segment *record = flush_job_record(errand->flush);
    data_shard_t *shard = NULL;
    data_segment_t *segment = s_waiting(errand, &shard);
    mark_t *mark = keeper_mark(keeper, record);
    mark->known_ts = PLANTED(BUG_DELETE_LATE) ? keeper->channel->applied_ts : record->delta_ts;
    mark->busy = false;
    keeper->flushes--;
    metrics_add(errand->node->count.flushes_good, 1);
    metrics_add(errand->node->count.flushed_rows, record->rows);
    metrics_add(errand->node->count.flushed_bytes, record->bytes);
    if (segment) {
        segment->flushing = false;
        keeper->flushed_bytes += growing_bytes(segment->rows);
        data_segment_flushed(shard, segment);
        log_event(LOG_INFO, "flushed", "segment=%" PRIu64 " channel=%s rows=%" PRIu64 " bytes=%"
                  PRIu64, record->id, shard->name, record->rows, record->bytes);
    }
    keeper_work(keeper, ev, act);
    data_persist_pressure(keeper->channel->node, ev, act);
    errand_end(errand);
}

static void s_flush_put(errand_t *errand, err_t err, const event_t *ev, actions_t *act)
{
    data_shard_t *shard = NULL;
    if (err != OK || !errand_may_name(errand, ev) || !s_waiting(errand, &shard)) {
        s_flush_failed(errand, err != OK ? err : ERR_TIMEOUT, ev);
        return;
    }
    (void)metrics_took_ms(errand->node->count.save_ms, errand->began_us);
    const Elanus__Segment *record = flush_job_record(errand->flush);
    keeper_mark(errand->keeper, record)->busy = true;
    meta_op_t op = errand_put_segment(errand, record);
    errand_commit(errand, &op, 1, s_flush_named, ev, act);
}

static void s_flush_one(keeper_t *keeper, data_shard_t *shard, data_segment_t *segment,
                        const event_t *ev, actions_t *act)
{
    flush_job_options_t options = {
        .store = keeper->channel->node->options->store, .vchannel = shard->name,
        .attempt = attempts_next(&keeper->attempts, ev->wall_ms),
        .delta_ts = keeper->channel->applied_ts, .end = segment->last,
    };
    errand_t *errand = errand_new(keeper->channel->node, keeper);
    metrics_add(errand->node->count.flushes, 1);
    errand->vchannel = mem_strdup(shard->name);
    errand->segment = segment->id;
    keeper->flushes++;
    segment->flushing = true;
    err_t err = flush_job_new(ev->ctx, segment->rows, &options, &errand->flush);
    if (err == OK) {
        errand_job(errand, flush_job_run, errand->flush, s_flush_put, ev, act);
        return;
    }
    event_t failed = *ev;
    failed.text = ev->ctx->text;
    s_flush_failed(errand, err, &failed);
}

/* Sealed, all of it there, not under way. */
static bool s_is_due(const data_segment_t *segment, const event_t *ev)
{
    return segment->state == DATA_SEALED && segment->pending == 0 && !segment->flushing &&
           segment->flush_at_ms <= ev->now_ms;
}

static void s_flush_shard(keeper_t *keeper, data_shard_t *shard, const event_t *ev, actions_t *act)
{
    for (size_t i = 0; i < shard->segments.len && keeper->flushes < FLUSHES; i++) {
        data_segment_t *segment = s_segment(shard, i);
        if (!s_is_due(segment, ev))
            continue;
        if (growing_rows(segment->rows) == 0)
            data_segment_flushed(shard, segment);       /* nothing to be named */
        else
            s_flush_one(keeper, shard, segment, ev, act);
    }
}

void keeper_flush(keeper_t *keeper, const event_t *ev, actions_t *act)
{
    void *shard;
    for (size_t at = 0; map_next(keeper->channel->shards, &at, NULL, &shard); )
        s_flush_shard(keeper, shard, ev, act);
}

/* --- deletes ------------------------------------------ */

static const data_delete_t *s_delete(const data_shard_t *shard, size_t i)
{
    return vec_at(&shard->deletes, i);
}

/* The first delete of a shard that is newer than ts; they are in the order of time. */
static size_t s_first_after(const data_shard_t *shard, uint64_t ts)
{
    size_t low = 0, high = shard->deletes.len;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (s_delete(shard, mid)->ts > ts)
            high = mid;
        else
            low = mid + 1;
    }
    return low;
}

/* Deletes from here on are newer than what some flushed segment of the shard knows. */
static size_t s_first_unknown(keeper_t *keeper, const data_shard_t *shard, bool busy_too,
                              const event_t *ev)
{
    const Elanus__Segment **records = NULL;
    size_t n = keeper_flushed(keeper, ev->ctx, shard->name, shard->collection, &records);
    uint64_t known = UINT64_MAX;
    for (size_t i = 0; i < n; i++) {
        const mark_t *mark = keeper_mark(keeper, records[i]);
        if ((busy_too || !mark->busy) && mark->known_ts < known)
            known = mark->known_ts;
    }
    return s_first_after(shard, known);
}

/* Enough of them, or one that is old. */
static bool s_deltas_due(keeper_t *keeper, const event_t *ev)
{
    const data_options_t *options = keeper->channel->node->options;
    uint64_t bytes = 0;
    void *value;
    for (size_t at = 0; map_next(keeper->channel->shards, &at, NULL, &value); ) {
        const data_shard_t *shard = value;
        if (!shard->deletes.len)
            continue;
        size_t first = s_first_unknown(keeper, shard, false, ev);
        const data_delete_t *oldest = first < shard->deletes.len ? s_delete(shard, first) : NULL;
        int64_t age_ms = oldest ? ev->wall_ms - (int64_t)(oldest->ts >> 18) : 0;
        if (oldest && (age_ms > options->delete_age_ms || keeper_lags(keeper, oldest->at, age_ms)))
            return true;
        for (size_t i = first; i < shard->deletes.len && bytes < options->delete_bytes; i++)
            bytes += s_delete(shard, i)->bytes.len;
    }
    return bytes >= options->delete_bytes;
}

/* Segments of a shard that do not know its newest deletes, and those deletes. */
static err_t s_aim_shard(keeper_t *keeper, const data_shard_t *shard, delta_job_t *job,
                         const event_t *ev)
{
    uint64_t upto = delta_job_upto(job), from = UINT64_MAX;
    const Elanus__Segment **records = NULL;
    size_t n = keeper_flushed(keeper, ev->ctx, shard->name, shard->collection, &records);
    for (size_t i = 0; i < n; i++) {
        mark_t *mark = keeper_mark(keeper, records[i]);
        size_t first = s_first_after(shard, mark->known_ts);
        if (mark->busy || first == shard->deletes.len || s_delete(shard, first)->ts > upto)
            continue;
        TRY(delta_job_aim(ev->ctx, job, records[i], mark->known_ts));
        from = mark->known_ts < from ? mark->known_ts : from;
    }
    for (size_t i = s_first_after(shard, from); i < shard->deletes.len; i++) {
        const data_delete_t *run = s_delete(shard, i);
        if (run->ts > upto || PLANTED(BUG_DELETE_LOST))
            break;
        TRY(delta_job_add(ev->ctx, job, shard->name, run->ts, run->partition, &run->pks));
    }
    return OK;
}

static void s_deltas_end(errand_t *errand, err_t err, const event_t *ev, actions_t *act)
{
    keeper_t *keeper = errand->keeper;
    for (size_t i = 0; i < delta_job_aims(errand->deltas); i++) {
        uint64_t segment;
        (void)delta_job_record(errand->deltas, i, &segment);
        mark_t *mark = map_get_u64(keeper->marks, segment);
        if (mark)
            mark->busy = false;
    }
    keeper->deltas = false;
    if (err == OK) {
        keeper->deltas_failed = 0;
    } else if (!keeper->closed) {
        keeper->deltas_at_ms = ev->now_ms + keeper_pause_ms(++keeper->deltas_failed);
        keeper->deltas_asked = true;
        log_event(LOG_WARN, "deltas_failed", "channel=%s attempts=%u error=%s why=\"%s\"",
                  keeper->channel->name, keeper->deltas_failed, err_name(err), ev->text);
    }
    if (!keeper->closed)
        keeper_plan_asked(keeper, ev, act);
    keeper_work(keeper, ev, act);
    errand_end(errand);
}

/* As many aims as fit into one transaction: up to errand->upto; ret: how many records. */
static size_t s_batch(errand_t *errand, meta_op_t ops[COMMIT_OPS])
{
    size_t n = 0, bytes = 0;
    errand->upto = errand->at;
    for (; errand->upto < delta_job_aims(errand->deltas) && n < COMMIT_OPS && bytes < COMMIT_BYTES;
         errand->upto++) {
        uint64_t segment;
        const Elanus__Segment *record = delta_job_record(errand->deltas, errand->upto, &segment);
        if (!record)
            continue;
        ops[n] = errand_put_segment(errand, record);
        bytes += ops[n++].value.len;
    }
    return n;
}

/* What was not hit, or is named now, knows these deletes. */
static void s_deltas_know(errand_t *errand)
{
    for (; errand->at < errand->upto; errand->at++) {
        uint64_t segment;
        (void)delta_job_record(errand->deltas, errand->at, &segment);
        mark_t *mark = map_get_u64(errand->keeper->marks, segment);
        if (mark)
            mark->known_ts = delta_job_upto(errand->deltas);
    }
}

/* Called when the objects are there, and again when a batch of records is. */
static void s_deltas_put(errand_t *errand, err_t err, const event_t *ev, actions_t *act)
{
    meta_op_t ops[COMMIT_OPS];
    if (err == OK)
        s_deltas_know(errand);
    size_t n = err == OK ? s_batch(errand, ops) : 0;
    if (n && !errand_may_name(errand, ev))
        err = ERR_TIMEOUT;
    if (err == OK && n) {
        errand_commit(errand, ops, n, s_deltas_put, ev, act);
        return;
    }
    if (err == OK)
        s_deltas_know(errand);
    s_deltas_end(errand, err, ev, act);
}

static err_t s_aim(keeper_t *keeper, delta_job_t *job, const event_t *ev)
{
    void *shard;
    for (size_t at = 0; map_next(keeper->channel->shards, &at, NULL, &shard); )
        TRY(s_aim_shard(keeper, shard, job, ev));
    return OK;
}

static void s_mark_busy(keeper_t *keeper, const delta_job_t *job)
{
    for (size_t i = 0; i < delta_job_aims(job); i++) {
        uint64_t segment;
        (void)delta_job_record(job, i, &segment);
        ((mark_t *)map_get_u64(keeper->marks, segment))->busy = true;
    }
}

void keeper_deltas(keeper_t *keeper, const event_t *ev, actions_t *act)
{
    if (keeper->deltas || keeper->deltas_at_ms > ev->now_ms ||
        !(keeper->deltas_asked || s_deltas_due(keeper, ev)))
        return;
    data_node_t *node = keeper->channel->node;
    delta_job_options_t options = {
        .store = node->options->store, .cache = keeper->stats,
        .attempt = attempts_next(&keeper->attempts, ev->wall_ms),
        .upto_ts = keeper->channel->applied_ts,
    };
    errand_t *errand = errand_new(node, keeper);
    errand->deltas = delta_job_new(&options);
    keeper->deltas = true;
    keeper->deltas_asked = false;
    err_t err = s_aim(keeper, errand->deltas, ev);
    if (err == OK && delta_job_aims(errand->deltas)) {
        s_mark_busy(keeper, errand->deltas);
        errand_job(errand, delta_job_run, errand->deltas, s_deltas_put, ev, act);
        return;
    }
    event_t now = *ev;
    now.text = ev->ctx->text;
    s_deltas_end(errand, err, &now, act);
}

/* --- the checkpoint ------------------------------------------ */

typedef struct point { wal_position_t at; uint64_t ts; } point_t;

/* Not past this: it begins at `at`, with nothing at or below ts. */
static void s_hold(point_t *point, wal_position_t at, uint64_t ts)
{
    wal_position_t before = { at.epoch, at.seq - 1 };
    if (wal_before(before, point->at))
        point->at = before;
    if (ts < point->ts)
        point->ts = ts;
}

static void s_hold_rows(point_t *point, const data_shard_t *shard)
{
    for (size_t i = 0; i < shard->segments.len && !PLANTED(BUG_CKPT_BEFORE_DATA); i++) {
        const data_segment_t *segment = s_segment(shard, i);
        if (segment->state != DATA_FLUSHED && segment->first.seq)
            s_hold(point, segment->first, growing_min_ts(segment->rows) - 1);
    }
}

static void s_hold_deletes(point_t *point, keeper_t *keeper, const data_shard_t *shard,
                           const event_t *ev)
{
    size_t first = shard->deletes.len ? s_first_unknown(keeper, shard, true, ev) : 0;
    if (first < shard->deletes.len)
        s_hold(point, s_delete(shard, first)->at, s_delete(shard, first)->ts - 1);
}

static point_t s_point(keeper_t *keeper, const event_t *ev)
{
    const data_channel_t *channel = keeper->channel;
    point_t point = { data_channel_ckpt_most(channel, ev->wall_ms),
                      channel->applied_ts > channel->ckpt_ts ? channel->applied_ts
                                                             : channel->ckpt_ts };
    void *shard;
    for (size_t at = 0; map_next(channel->shards, &at, NULL, &shard); ) {
        s_hold_rows(&point, shard);
        s_hold_deletes(&point, keeper, shard, ev);
    }
    point.at = data_channel_ckpt_untwined(channel, point.at);
    return point;
}

static void s_ckpt_named(errand_t *errand, err_t err, const event_t *ev, actions_t *act)
{
    keeper_t *keeper = errand->keeper;
    const Elanus__Checkpoint *ckpt = &errand->ckpt;
    keeper->ckpt = false;
    if (err == OK && !keeper->closed)
        data_seals_forget(keeper->channel, errand->upto);
    if (err == OK && !keeper->closed)
        data_channel_ckpt(keeper->channel, (wal_position_t){ ckpt->epoch, ckpt->seq }, ckpt->ts,
                          act);
    else if (!keeper->closed)
        log_event(LOG_WARN, "ckpt_failed", "channel=%s error=%s why=\"%s\"",
                  keeper->channel->name, err_name(err), ev->text);
    errand_end(errand);
}

void keeper_ckpt(keeper_t *keeper, const event_t *ev, actions_t *act)
{
    data_channel_t *channel = keeper->channel;
    if (keeper->ckpt || keeper->ckpt_at_ms > ev->now_ms)
        return;
    point_t point = s_point(keeper, ev);
    if (!wal_before(channel->ckpt, point.at))
        return;
    check(point.ts >= channel->ckpt_ts || PLANTED(BUG_CKPT_BEFORE_DATA));
    keeper->ckpt = true;
    keeper->ckpt_at_ms = ev->now_ms + CKPT_MS;
    errand_t *errand = errand_new(channel->node, keeper);
    elanus__checkpoint__init(&errand->ckpt);
    errand->ckpt.pchannel = channel->name;
    errand->ckpt.epoch = point.at.epoch;
    errand->ckpt.seq = point.at.seq;
    errand->ckpt.ts = point.ts;
    meta_op_t ops[1 + DATA_SEALS_AT_ONCE] = {
        { .kind = META_PUT, .key = segments_key_ckpt(&errand->memory, channel->name),
          .value = pb_pack(&errand->memory, &errand->ckpt) },
    };
    errand->upto = data_seals_drop(channel, point.at, &errand->memory, &ops[1]);
    errand_commit(errand, ops, 1 + errand->upto, s_ckpt_named, ev, act);
}
