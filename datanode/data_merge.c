/* data_merge - compaction by the owner of a channel; see data_keep.h
 *
 * One merge of a channel at a time, two of a node: they read and write whole segments, and
 * readers want the disk too.  What to merge is decided anew each time (data_pick.h), from the
 * records as they are then; only what a client asked for is written down beforehand,
 * because the answer says how much it is.
 *
 * Rows that are dead go when they have been dead for longer than `retention_ms`: an iterator
 * reads at one instant for minutes, and opens new segments on the way.  A segment
 * that is full of recent deaths is left until they are old (mark_t.dense_ms), or
 * it would be written again and again to no effect.
 *
 * A manual compaction first flushes the channel's deletes, so that it can apply them, and leaves
 * out what has been dead for seconds: whoever asks for it wants to see less afterwards, as Milvus
 * shows it, more than an iterator that is under way.  Seconds remain, because a read whose
 * instant lies before an upsert must find the old row when it opens its segments.
 */
#include "datanode/data_keep.h"

#include <inttypes.h>
#include <stdlib.h>

#include "core/wire/pb.h"
#include "datanode/data_pick.h"

enum {
    MERGES = 2,                 /* of the node at a time */
    LOOK_MS = 10000,            /* between two looks at what could be merged */
    TRIES = 5,                  /* of a merge that somebody asked for, after the first */
    MANUAL_RETENTION_MS = 5000, /* as old as a Bounded read may be */
    LATER_MS = 200,             /* until a segment is free, or an id at hand */
    COMMIT_BYTES = 512 << 10,   /* of records of one merge; LIMIT_META_TXN_BYTES */
};

/* --- what to merge ------------------------------------------ */

static uint64_t s_ts(int64_t wall_ms)
{
    return wall_ms > 0 ? (uint64_t)wall_ms << 18 : 0;
}

/* Rows of the collection that are older are expired, for every reader; 0: none. */
static uint64_t s_expire_ts(const data_node_t *node, uint64_t collection, int64_t wall_ms)
{
    const Elanus__Collection *coll = catalog_collection_by_id(node->catalog, collection);
    const char *ttl = coll ? catalog_pair(coll->properties, coll->n_properties,
                                          "collection.ttl.seconds") : NULL;
    int64_t seconds = ttl ? strtoll(ttl, NULL, 10) : node->options->expire_ms / 1000;
    if (seconds <= 0 || seconds > wall_ms / 1000)
        return 0;
    return s_ts(wall_ms - node->options->retention_ms - 1000 * seconds);
}

static pick_segment_t s_fact(keeper_t *keeper, const Elanus__Segment *record, int64_t wall_ms)
{
    mark_t *mark = keeper_mark(keeper, record);
    pick_segment_t fact = {
        .id = record->id, .bytes = record->bytes, .rows = record->rows,
        .deleted = record->deleted, .min_ts = record->min_ts, .max_ts = record->max_ts,
        .n_deltalogs = record->n_deltalogs,
    };
    if (!pick_is_dense(&fact))
        mark->dense_ms = 0;
    else if (mark->dense_ms == 0)
        mark->dense_ms = wall_ms;
    fact.ripe = mark->dense_ms &&
                wall_ms - mark->dense_ms >= keeper->channel->node->options->retention_ms;
    return fact;
}

static bool s_one_place(const Elanus__Segment *a, const Elanus__Segment *b)
{
    return a->collection == b->collection && a->partition == b->partition &&
           strcmp(a->vchannel, b->vchannel) == 0;
}

static int s_by_place(const void *x, const void *y)
{
    const Elanus__Segment *a = *(const Elanus__Segment *const *)x;
    const Elanus__Segment *b = *(const Elanus__Segment *const *)y;
    int order = strcmp(a->vchannel, b->vchannel);
    if (order)
        return order;
    if (a->partition != b->partition)
        return a->partition < b->partition ? -1 : 1;
    return (a->id > b->id) - (a->id < b->id);
}

static void s_wish(keeper_t *keeper, const Elanus__Segment *const *records,
                   const pick_group_t *group, uint64_t compaction)
{
    merge_wish_t wish = { .compaction = compaction, .n = group->n };
    wish.segments = mem_new(group->n * sizeof *wish.segments);
    for (size_t i = 0; i < group->n; i++)
        wish.segments[i] = records[group->at[i]]->id;
    vec_push(&keeper->wishes, &wish);
}

/* Groups of n records of one vchannel and partition; how many. */
static size_t s_wish_place(keeper_t *keeper, const Elanus__Segment *const *records, size_t n,
                           uint64_t compaction, const event_t *ev)
{
    const data_options_t *options = keeper->channel->node->options;
    pick_segment_t *facts = ctx_new(ev->ctx, n * sizeof *facts);
    for (size_t i = 0; i < n; i++)
        facts[i] = s_fact(keeper, records[i], ev->wall_ms);
    pick_policy_t policy = {
        .segment_bytes = options->segment_bytes, .small_share = options->small_share,
        .compactable_share = options->compactable_share,
        .expansion_rate = options->expansion_rate, .manual = compaction != 0,
        .expire_ts = s_expire_ts(keeper->channel->node, records[0]->collection, ev->wall_ms),
    };
    pick_group_t *groups = NULL;
    size_t n_groups = pick_merges(ev->ctx, facts, n, &policy, &groups);
    for (size_t i = 0; i < n_groups; i++)
        s_wish(keeper, records, &groups[i], compaction);
    return n_groups;
}

/* Those of the channel that no errand is busy with and whose schema is known, by place. */
static size_t s_free_ones(keeper_t *keeper, ctx_t *ctx, uint64_t collection,
                          const Elanus__Segment ***ret)
{
    const Elanus__Segment **records = NULL;
    size_t n = keeper_flushed(keeper, ctx, NULL, collection, &records), kept = 0;
    for (size_t i = 0; i < n; i++) {
        const schema_t *schema = catalog_schema(keeper->channel->node->catalog,
                                                records[i]->collection);
        bool fits = schema && records[i]->n_binlogs == records[i]->parts * (schema_len(schema) + 1);
        if (fits && !keeper_mark(keeper, records[i])->busy)
            records[kept++] = records[i];
    }
    if (kept)
        qsort(records, kept, sizeof *records, s_by_place);
    *ret = records;
    return kept;
}

/* Wishes for whatever helps; compaction 0: whatever is worth it. */
static size_t s_wish_all(keeper_t *keeper, uint64_t collection, uint64_t compaction,
                         const event_t *ev)
{
    const Elanus__Segment **records = NULL;
    size_t n = s_free_ones(keeper, ev->ctx, collection, &records), found = 0;
    for (size_t from = 0, to; from < n; from = to) {
        for (to = from + 1; to < n && s_one_place(records[from], records[to]); )
            to++;
        found += s_wish_place(keeper, records + from, to - from, compaction, ev);
    }
    return found;
}

/* --- what clients ask for ------------------------------------------ */

static compaction_t *s_compaction(const data_node_t *node, uint64_t id)
{
    return id ? map_get_u64(persist_of(node)->compactions, id) : NULL;
}

static void s_compaction_free(compaction_t *c)
{
    for (size_t i = 0; i < c->merges.len; i++)
        mem_free(((merge_done_t *)vec_at(&c->merges, i))->from);
    vec_fini(&c->merges);
    vec_fini(&c->askers);
    mem_free(c);
}

void data_compactions_end(data_node_t *self)
{
    void *value;
    for (size_t at = 0; map_next(persist_of(self)->compactions, &at, NULL, &value); )
        s_compaction_free(value);
}

static view_t s_answer(ctx_t *ctx, const compaction_t *c)
{
    Elanus__Compaction answer = ELANUS__COMPACTION__INIT;
    answer.id = c->id;
    answer.executing = c->executing;
    answer.completed = c->completed;
    answer.failed = c->failed;
    answer.n_merges = c->merges.len;
    answer.merges = ctx_new(ctx, (c->merges.len + 1) * sizeof *answer.merges);
    for (size_t i = 0; i < c->merges.len; i++) {
        const merge_done_t *done = vec_at(&c->merges, i);
        Elanus__CompactionMerge *merge = ctx_new(ctx, sizeof *merge);
        elanus__compaction_merge__init(merge);
        merge->from = done->from;
        merge->n_from = done->n;
        merge->into = done->into;
        answer.merges[i] = merge;
    }
    return pb_pack(ctx, &answer);
}

static void s_planned(compaction_t *c, ctx_t *ctx, actions_t *act)
{
    if (c->unplanned > 0)
        return;
    for (size_t i = 0; i < c->askers.len; i++)
        act_reply(act, *(net_from_t *)vec_at(&c->askers, i), s_answer(ctx, c));
    c->askers.len = 0;
}

/* Those whose last channel was lost before it had planned. */
void data_compactions_due(data_node_t *self, const event_t *ev, actions_t *act)
{
    void *value;
    for (size_t at = 0; map_next(persist_of(self)->compactions, &at, NULL, &value); )
        s_planned(value, ev->ctx, act);
}

static void s_forget_oldest(persist_t *persist)
{
    for (size_t i = 0; i < persist->compaction_ids.len; i++) {
        uint64_t id = *(uint64_t *)vec_at(&persist->compaction_ids, i);
        compaction_t *c = map_get_u64(persist->compactions, id);
        if (c->unplanned || c->executing)
            continue;
        map_del_u64(persist->compactions, id);
        vec_remove(&persist->compaction_ids, i);
        s_compaction_free(c);
        return;
    }
}

static compaction_t *s_new_compaction(data_node_t *self, const Elanus__CompactAsk *ask)
{
    persist_t *persist = persist_of(self);
    if (persist->compaction_ids.len >= LIMIT_COMPACTIONS)
        s_forget_oldest(persist);
    compaction_t *c = mem_new(sizeof *c);
    *c = (compaction_t){ .id = ask->id, .collection = ask->collection };
    vec_init(&c->merges, sizeof(merge_done_t));
    vec_init(&c->askers, sizeof(net_from_t));
    map_put_u64(persist->compactions, c->id, c);
    vec_push(&persist->compaction_ids, &c->id);
    return c;
}

/* Channels plan when their deletes are flushed; the last of them answers. */
static void s_ask_channels(data_node_t *self, compaction_t *c, const event_t *ev, actions_t *act)
{
    vec_scoped asked;
    vec_init(&asked, sizeof(keeper_t *));
    void *value;
    for (size_t at = 0; map_next(persist_of(self)->keepers, &at, NULL, &value); ) {
        keeper_t *keeper = value;
        const Elanus__Segment **records = NULL;
        if (!keeper_flushed(keeper, ev->ctx, NULL, c->collection, &records))
            continue;
        vec_push(&keeper->asked, &c->id);
        vec_push(&asked, &keeper);
        c->unplanned++;
    }
    s_planned(c, ev->ctx, act);
    for (size_t i = 0; i < asked.len; i++) {
        keeper_t *keeper = *(keeper_t **)vec_at(&asked, i);
        keeper->deltas_asked = true;
        keeper->deltas_at_ms = 0;
        keeper_work(keeper, ev, act);
    }
}

void data_compact_call(data_node_t *self, const event_t *ev, actions_t *act)
{
    Elanus__CompactAsk *ask = NULL;
    err_t err = PB_UNPACK(ev->ctx, elanus__compact_ask, ev->call.payload, &ask);
    if (err != OK || ask->id == 0 || ask->collection == 0) {
        act_refuse(act, ev->call.from, ERR_MALFORMED, "a compaction needs an id and a collection");
        return;
    }
    if (!self->options->compaction) {
        act_refuse(act, ev->call.from, ERR_SERVICE_UNAVAILABLE,
                   "compaction is switched off (dataCoord.enableCompaction)");
        return;
    }
    compaction_t *known = s_compaction(self, ask->id);
    compaction_t *c = known ? known : s_new_compaction(self, ask);
    vec_push(&c->askers, &ev->call.from);
    if (known)
        s_planned(c, ev->ctx, act);
    else
        s_ask_channels(self, c, ev, act);
}

/* Of an id that is not known here: nothing was to be done here, or it is long done. */
void data_compaction_call(data_node_t *self, const event_t *ev, actions_t *act)
{
    Elanus__CompactAsk *ask = NULL;
    if (PB_UNPACK(ev->ctx, elanus__compact_ask, ev->call.payload, &ask) != OK) {
        act_refuse(act, ev->call.from, ERR_MALFORMED, "%s", ev->ctx->text);
        return;
    }
    const compaction_t *c = s_compaction(self, ask->id), none = { .id = ask->id };
    act_reply(act, ev->call.from, s_answer(ev->ctx, c ? c : &none));
}

/* What was thought worth it before may overlap with what is asked for. */
static void s_drop_own_wishes(keeper_t *keeper)
{
    for (size_t i = keeper->wishes.len; i-- > 0; ) {
        merge_wish_t *wish = vec_at(&keeper->wishes, i);
        if (wish->compaction)
            continue;
        mem_free(wish->segments);
        vec_remove(&keeper->wishes, i);
    }
}

void keeper_plan_asked(keeper_t *keeper, const event_t *ev, actions_t *act)
{
    if (keeper->asked.len) {
        s_drop_own_wishes(keeper);
        keeper->merge_at_ms = 0;
    }
    for (size_t i = 0; i < keeper->asked.len; i++) {
        compaction_t *c = s_compaction(keeper->channel->node,
                                       *(uint64_t *)vec_at(&keeper->asked, i));
        c->unplanned--;
        c->executing += (uint32_t)s_wish_all(keeper, c->collection, c->id, ev);
        s_planned(c, ev->ctx, act);
    }
    keeper->asked.len = 0;
}

static void s_count(data_node_t *node, uint64_t id, bool done)
{
    compaction_t *c = s_compaction(node, id);
    if (!c)
        return;
    check(c->executing > 0);
    c->executing--;
    c->completed += done;
    c->failed += !done;
}

/* The channel is not ours any more: what it was asked for is done by nobody. */
void keeper_drop_wishes(keeper_t *keeper)
{
    data_node_t *node = keeper->channel->node;
    for (size_t i = 0; i < keeper->wishes.len; i++) {
        merge_wish_t *wish = vec_at(&keeper->wishes, i);
        s_count(node, wish->compaction, false);
        mem_free(wish->segments);
    }
    for (size_t i = 0; i < keeper->asked.len; i++)
        s_compaction(node, *(uint64_t *)vec_at(&keeper->asked, i))->unplanned--;
    keeper->wishes.len = 0;
    keeper->asked.len = 0;
}

/* --- a merge ------------------------------------------ */

static void s_unbusy(errand_t *errand)
{
    for (size_t i = 0; i < merge_job_inputs(errand->merge); i++) {
        mark_t *mark = map_get_u64(errand->keeper->marks, merge_job_input(errand->merge, i)->id);
        if (mark)
            mark->busy = false;
    }
}

/* Nobody else takes the new segment before it is sure that it is there. */
static void s_new_busy(errand_t *errand, bool busy)
{
    const Elanus__Segment *record = merge_job_record(errand->merge);
    if (record->rows)
        keeper_mark(errand->keeper, record)->busy = busy;
}

static void s_end(errand_t *errand, bool done, const event_t *ev, actions_t *act)
{
    keeper_t *keeper = errand->keeper;
    persist_of(errand->node)->merges--;
    keeper->merging = false;
    keeper->merge_at_ms = done ? 0 : ev->now_ms + keeper_pause_ms(++keeper->merges_failed);
    if (done)
        keeper->merges_failed = 0;
    s_unbusy(errand);
    if (errand->compaction)
        s_count(errand->node, errand->compaction, done);
    keeper_work(keeper, ev, act);
    errand_end(errand);
}

/* What somebody asked for is tried again, after a pause. */
static void s_wish_again(errand_t *errand)
{
    merge_wish_t wish = { .compaction = errand->compaction, .failed = errand->failed + 1,
                          .n = merge_job_inputs(errand->merge) };
    wish.segments = mem_new(wish.n * sizeof *wish.segments);
    for (size_t i = 0; i < wish.n; i++)
        wish.segments[i] = merge_job_input(errand->merge, i)->id;
    vec_push(&errand->keeper->wishes, &wish);
    errand->compaction = 0;                     /* it goes on executing */
}

static void s_failed(errand_t *errand, err_t err, const event_t *ev, actions_t *act)
{
    bool again = errand->compaction && errand->failed < TRIES && !errand->keeper->closed;
    if (again)
        s_wish_again(errand);
    metrics_add(errand->node->count.merges_failed, 1);
    if (!errand->keeper->closed)
        log_event(LOG_WARN, "merge_failed", "channel=%s into=%" PRIu64 " error=%s why=\"%s\"",
                  errand->keeper->channel->name, merge_job_id(errand->merge), err_name(err),
                  ev->text);
    keeper_forget(errand->keeper, merge_job_id(errand->merge));
    s_end(errand, false, ev, act);
}

static void s_note_merge(errand_t *errand, uint64_t into)
{
    compaction_t *c = s_compaction(errand->node, errand->compaction);
    if (!c)
        return;
    merge_done_t done = { .n = merge_job_inputs(errand->merge), .into = into };
    done.from = mem_new(done.n * sizeof *done.from);
    for (size_t i = 0; i < done.n; i++)
        done.from[i] = merge_job_input(errand->merge, i)->id;
    vec_push(&c->merges, &done);
}

static void s_named(errand_t *errand, err_t err, const event_t *ev, actions_t *act)
{
    keeper_t *keeper = errand->keeper;
    if (err != OK) {
        s_failed(errand, err, ev, act);
        return;
    }
    const Elanus__Segment *record = merge_job_record(errand->merge);
    (void)metrics_took_ms(errand->node->count.merge_ms, errand->began_us);
    metrics_add(errand->node->count.merges, 1);
    s_new_busy(errand, false);
    for (size_t i = 0; i < merge_job_inputs(errand->merge); i++)
        keeper_forget(keeper, merge_job_input(errand->merge, i)->id);
    s_note_merge(errand, record->rows ? record->id : 0);
    if (!keeper->closed)
        log_event(LOG_INFO, "merged", "channel=%s inputs=%zu into=%" PRIu64 " rows=%" PRIu64
                  " deleted=%" PRIu64 " bytes=%" PRIu64, keeper->channel->name,
                  merge_job_inputs(errand->merge), record->id, record->rows, record->deleted,
                  record->bytes);
    s_end(errand, true, ev, act);
}

/* The new record in, the old ones out, at one instant. */
static void s_put(errand_t *errand, err_t err, const event_t *ev, actions_t *act)
{
    if (err != OK || !errand_may_name(errand, ev)) {
        s_failed(errand, err != OK ? err : ERR_TIMEOUT, ev, act);
        return;
    }
    const Elanus__Segment *record = merge_job_record(errand->merge);
    meta_op_t ops[LIMIT_MERGE_SEGMENTS + 1];
    size_t n = 0;
    if (record->rows)
        ops[n++] = errand_put_segment(errand, record);
    for (size_t i = 0; i < merge_job_inputs(errand->merge); i++) {
        Elanus__Segment gone = *merge_job_input(errand->merge, i);
        gone.state = ELANUS__SEGMENT_STATE__SEGMENT_DROPPED;
        gone.into = record->rows ? record->id : 0;
        gone.dropped_ms = ev->wall_ms;
        ops[n++] = errand_put_segment(errand, &gone);
    }
    s_new_busy(errand, true);
    errand_commit(errand, ops, n, s_named, ev, act);
}

typedef enum { WISH_READY, WISH_LATER, WISH_VOID } wish_state_t;

/* The records of a wish as they are now: LATER while another errand is busy with one, VOID when
 * one is no more. */
static wish_state_t s_still(keeper_t *keeper, const merge_wish_t *wish, ctx_t *ctx,
                            const Elanus__Segment ***ret, size_t *ret_n)
{
    const Elanus__Segment **records = ctx_new(ctx, wish->n * sizeof *records);
    size_t bytes = 0, n = 0;
    for (; n < wish->n && (n < 2 || bytes < COMMIT_BYTES); n++) {
        records[n] = segments_get(keeper->channel->node->segments, wish->segments[n], NULL);
        if (!records[n] || records[n]->state != ELANUS__SEGMENT_STATE__SEGMENT_FLUSHED)
            return WISH_VOID;
        if (keeper_mark(keeper, records[n])->busy)
            return WISH_LATER;
        bytes += elanus__segment__get_packed_size(records[n]);
    }
    *ret = records;
    *ret_n = n;
    return WISH_READY;
}

static err_t s_add_inputs(keeper_t *keeper, errand_t *errand, const Elanus__Segment **records,
                          size_t n, ctx_t *ctx)
{
    for (size_t i = 0; i < n; i++)
        TRY(merge_job_add(ctx, errand->merge, records[i],
                          keeper_mark(keeper, records[i])->known_ts));
    return OK;
}

static void s_run(keeper_t *keeper, errand_t *errand, const Elanus__Segment **records, size_t n,
                  const event_t *ev, actions_t *act)
{
    persist_of(errand->node)->merges++;
    keeper->merging = true;
    err_t err = s_add_inputs(keeper, errand, records, n, ev->ctx);
    for (size_t i = 0; i < merge_job_inputs(errand->merge); i++)
        keeper_mark(keeper, records[i])->busy = true;
    if (err == OK) {
        errand_job(errand, merge_job_run, errand->merge, s_put, ev, act);
        return;
    }
    event_t failed = *ev;
    failed.text = ev->ctx->text;
    s_failed(errand, err, &failed, act);
}

static wish_state_t s_start(keeper_t *keeper, const merge_wish_t *wish, const event_t *ev,
                            actions_t *act)
{
    data_node_t *node = keeper->channel->node;
    const Elanus__Segment **records = NULL;
    size_t n = 0;
    wish_state_t state = s_still(keeper, wish, ev->ctx, &records, &n);
    if (state != WISH_READY)
        return state;
    schema_t *schema = catalog_schema(node->catalog, records[0]->collection);
    uint64_t id = schema ? data_id(node, act) : 0;
    if (!schema || id == 0)
        return schema ? WISH_LATER : WISH_VOID;
    int64_t retention_ms = node->options->retention_ms;
    if (wish->compaction && retention_ms > MANUAL_RETENTION_MS)
        retention_ms = MANUAL_RETENTION_MS;
    merge_job_options_t options = {
        .store = node->options->store, .schema = schema, .id = id,
        .attempt = attempts_next(&keeper->attempts, ev->wall_ms),
        .safe_ts = s_ts(ev->wall_ms - retention_ms),
        .expire_ts = s_expire_ts(node, records[0]->collection, ev->wall_ms),
    };
    errand_t *errand = errand_new(node, keeper);
    errand->merge = merge_job_new(&options);
    errand->compaction = wish->compaction;
    errand->failed = wish->failed;
    s_run(keeper, errand, records, n, ev, act);
    return WISH_READY;
}

/* The next wish, or what is worth it by itself now and then. */
void keeper_merge(keeper_t *keeper, const event_t *ev, actions_t *act)
{
    data_node_t *node = keeper->channel->node;
    if (keeper->merging || keeper->merge_at_ms > ev->now_ms ||
        persist_of(node)->merges >= MERGES || !node->options->compaction)
        return;
    keeper->merge_at_ms = ev->now_ms + LOOK_MS;
    if (keeper->wishes.len == 0 && node->options->auto_compaction)
        s_wish_all(keeper, 0, 0, ev);
    while (keeper->wishes.len && !keeper->merging) {
        merge_wish_t wish = *(merge_wish_t *)vec_at(&keeper->wishes, 0);
        wish_state_t state = s_start(keeper, &wish, ev, act);
        if (state == WISH_LATER) {
            keeper->merge_at_ms = ev->now_ms + LATER_MS;
            return;
        }
        vec_remove(&keeper->wishes, 0);
        mem_free(wish.segments);
        if (state == WISH_VOID)
            s_count(node, wish.compaction, false);
    }
}
