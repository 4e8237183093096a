/* data_write - a request's way into the log and into the segments
 *
 *     object of a proxy ─► checked ─► stamped, segments chosen ─► appended   (in one step)
 *                                                                   │
 *     answer ◄─ applied, in order ◄─ behind the frontier ◄─ commit (job), one at a time
 *
 * On the object store what is behind the frontier waits for the fence question (data_fence.c),
 * and several commits run side by side, each a put.  The first begins at once, so that an idle
 * channel answers at the speed of one put.  While some are under way the next one lingers
 * a little, or until there is enough for a whole object: a put costs the store the same
 * for one request as for twenty.  Answers go out in the order of the log whatever the order
 * in which puts end.
 *
 * What arrives while a commit runs is in the next one.  Nothing is visible or answered
 * before its commit.  A request that comes again is told the first answer, or waits for it.
 * While the rows of the epochs before are still being read (data_rows.c) what is committed
 * is answered and not yet applied.
 *
 * A full disk means that nothing behind the frontier was written: the writers are told so
 * and the channel goes on.  After any other failure nobody knows, and the channel
 * is opened again, which settles it.  Memory that is short when a durable write is to
 * be applied only delays it, and all that comes behind it.
 */
#include "datanode/data_path.h"

#include "core/wire/pb.h"
#include "datanode/data_planted.h"

enum { APPLY_AGAIN_MS = 50, LINGER_MS = 1 };

struct data_write {
    data_write_t *next;
    vec_t from;                 /* of net_from_t: who is to be answered */
    wal_batch_t batch;          /* lent to the log until it is durable, or the log is closed */
    uint64_t ts;
    int64_t began_us;           /* for /metrics */
    uint32_t applied;           /* entries: the rest waits for memory */
    bool answered;              /* before it was applied */
    wal_position_t twin;        /* where the same request is in the log before; {0,0}: nowhere */
    data_request_t *request;    /* NULL: it has no id */
};

static void s_free(data_write_t *write)
{
    vec_fini(&write->from);
    wal_batch_fini(&write->batch);
    mem_free(write);
}

static void s_answer(const data_channel_t *channel, net_from_t from, uint64_t ts, ctx_t *ctx,
                     actions_t *act)
{
    Elanus__Written written = ELANUS__WRITTEN__INIT;
    written.ts = ts;
    written.epoch = channel->epoch;
    act_reply(act, from, pb_pack(ctx, &written));
}

static void s_answer_all(data_channel_t *channel, data_write_t *write, ctx_t *ctx, actions_t *act)
{
    if (write->from.len)
        (void)metrics_took_ms(channel->node->count.commit_ms, write->began_us);
    for (size_t i = 0; i < write->from.len; i++)
        s_answer(channel, *(net_from_t *)vec_at(&write->from, i), write->ts, ctx, act);
    write->from.len = 0;
}

static void s_refuse_all(data_write_t *write, err_t err, const char *why, actions_t *act)
{
    for (size_t i = 0; i < write->from.len; i++)
        act_refuse(act, *(net_from_t *)vec_at(&write->from, i), err, "%s", why);
    write->from.len = 0;
}

/* --- what may come in ----------------------------------------------------------------- */

/* A request as it is looked through. */
typedef struct inbox {
    data_node_t *node;
    data_channel_t *channel;
    data_shard_t *shard;
    const Elanus__Collection *coll;
    wal_reader_t reader;
    view_t vchannel;
    uint64_t id[2], collection;
    size_t bytes;               /* of rows and keys */
    uint32_t n_new;             /* segments that have to be made */
    bool missing;               /* what was not found might be there and not known here yet */
} inbox_t;

static void s_rewind(wal_reader_t *reader)
{
    reader->at = reader->n_read = 0;
    reader->last_ts = reader->head.min_ts;
}

static err_t s_find_channel(ctx_t *ctx, inbox_t *in)
{
    const wal_head_t *head = &in->reader.head;
    const data_node_t *node = in->node;
    in->channel = map_get(node->channels, head->channel);
    if (node->stopping || !in->channel || in->channel->state != CHANNEL_ACTIVE ||
        in->channel->leaving || in->channel->stalled)
        return ctx_fail(ctx, ERR_MOVED, "channel %.*s is not open at this data node",
                        (int)head->channel.len, (const char *)head->channel.ptr);
    if (head->link.at.epoch != in->channel->epoch)
        return ctx_fail(ctx, ERR_MOVED, "channel %s has epoch %llu, not %llu", in->channel->name,
                        (unsigned long long)in->channel->epoch,
                        (unsigned long long)head->link.at.epoch);
    return OK;
}

/* All entries are of one vchannel and one request. */
static err_t s_first_entry(ctx_t *ctx, inbox_t *in, const wal_entry_t *entry)
{
    in->vchannel = entry->vchannel;
    in->collection = (uint64_t)entry->collection;
    memcpy(in->id, entry->request, sizeof in->id);
    const char *name = ctx_printf(ctx, "%.*s", (int)entry->vchannel.len,
                                  (const char *)entry->vchannel.ptr);
    if (!view_eq(directory_pchannel(name), view_str(in->channel->name)))
        return ctx_fail(ctx, ERR_MALFORMED, "vchannel %s is not of channel %s", name,
                        in->channel->name);
    in->shard = data_channel_shard(in->channel, name, in->collection);
    in->coll = catalog_collection_by_id(in->node->catalog, in->collection);
    if (!in->shard || !in->coll) {
        in->missing = true;
        return ctx_fail(ctx, ERR_COLLECTION_NOT_FOUND, "collection not found[collection=%llu]",
                        (unsigned long long)in->collection);
    }
    return OK;
}

static err_t s_check_partition(ctx_t *ctx, inbox_t *in, const wal_entry_t *entry)
{
    for (size_t i = 0; i < in->coll->n_partitions; i++)
        if ((int64_t)in->coll->partitions[i]->id == entry->partition)
            return OK;
    if (entry->partition == -1 && entry->kind == WAL_DELETE)
        return OK;
    in->missing = true;
    return ctx_fail(ctx, ERR_PARTITION_NOT_FOUND, "partition not found[partition=%lld]",
                    (long long)entry->partition);
}

static err_t s_check_entry(ctx_t *ctx, inbox_t *in, const wal_entry_t *entry)
{
    column_t columns[LIMIT_WAL_FIELDS];
    if (entry->kind == WAL_BARRIER || !view_eq(entry->vchannel, in->vchannel) ||
        (uint64_t)entry->collection != in->collection ||
        memcmp(entry->request, in->id, sizeof in->id) != 0)
        return ctx_fail(ctx, ERR_MALFORMED, "entries of a write that do not belong together");
    TRY(s_check_partition(ctx, in, entry));
    if (entry->deletes)
        TRY(data_check_keys(ctx, in->shard->schema, entry->deletes));
    if (entry->n_fields)
        TRY(data_columns(ctx, in->shard->schema, entry, columns));
    if (entry->n_fields && !data_segment_taking(in->shard, (uint64_t)entry->partition))
        in->n_new++;
    in->bytes += data_entry_bytes(entry);
    return OK;
}

static err_t s_check(ctx_t *ctx, inbox_t *in)
{
    wal_entry_t entry;
    TRY(s_find_channel(ctx, in));
    for (bool more = true, first = true;; first = false) {
        TRY(wal_reader_next(ctx, &in->reader, &entry, &more));
        if (!more)
            return OK;
        if (first)
            TRY(s_first_entry(ctx, in, &entry));
        TRY(s_check_entry(ctx, in, &entry));
    }
}

static err_t s_check_room(ctx_t *ctx, const inbox_t *in)
{
    const data_node_t *node = in->node;
    uint64_t most = node->options->memory_bytes;
    if (most && node->bytes + node->pending_bytes + in->bytes > most)
        return ctx_fail(ctx, ERR_QUOTA_EXCEEDED, "quota exceeded[reason=memory quota exceeded, "
                        "please allocate more resources]");
    if (node->pending_bytes + in->bytes > LIMIT_DATA_PENDING_BYTES)
        return ctx_fail(ctx, ERR_QUEUE_FULL, "%llu bytes of writes wait for the disk: write again "
                        "in a moment", (unsigned long long)node->pending_bytes);
    return OK;
}

/* --- into the log --------------------------------------------------------------------- */

/* The segment for an entry's rows.  There is an id: that was looked at before. */
static data_segment_t *s_choose(inbox_t *in, const wal_entry_t *entry, actions_t *act)
{
    data_segment_t *segment = data_segment_taking(in->shard, (uint64_t)entry->partition);
    if (!segment) {
        uint64_t id = data_id(in->node, act);
        check(id != 0);
        segment = data_segment_add(in->shard, id, (uint64_t)entry->partition);
    }
    segment->pending++;
    segment->pending_bytes += data_entry_bytes(entry);
    segment->pending_rows += entry->fields[0].column.n;
    return segment;
}

/* Full after this entry: the next one gets another. */
static void s_seal_full(data_shard_t *shard, const event_t *ev, actions_t *act)
{
    uint64_t most = shard->channel->node->options->seal_bytes;
    for (size_t i = shard->segments.len; i-- > 0; ) {
        data_segment_t *segment = *(data_segment_t **)vec_at(&shard->segments, i);
        if (segment->state != DATA_GROWING)
            continue;
        uint64_t rows = growing_rows(segment->rows) + segment->pending_rows;
        uint64_t bytes = growing_bytes(segment->rows) + segment->pending_bytes;
        if (rows >= LIMIT_SEGMENT_ROWS / 2 || (most && bytes >= most))
            data_segment_seal(shard, segment, ev, act);
    }
}

static void s_give_back(data_shard_t *shard, data_segment_t *segment, const wal_entry_t *entry,
                        const event_t *ev, actions_t *act)
{
    data_segment_arrived(shard, segment, data_entry_bytes(entry), entry->fields[0].column.n, ev,
                         act);
}

/* The entries of a write that will not be applied are not pending any more. */
static void s_forget_entries(data_channel_t *channel, data_write_t *write, const event_t *ev,
                             actions_t *act)
{
    wal_reader_t reader;
    wal_entry_t entry;
    wal_reader_own(&reader, &write->batch);
    for (bool more = true; wal_reader_next(ev->ctx, &reader, &entry, &more) == OK && more; ) {
        data_shard_t *shard = map_get(channel->shards, entry.vchannel);
        data_segment_t *segment = shard && entry.n_fields
                                ? data_segment_find(shard, (uint64_t)entry.segment) : NULL;
        if (segment)
            s_give_back(shard, segment, &entry, ev, act);
    }
}

static err_t s_copy_entries(ctx_t *ctx, inbox_t *in, data_write_t *write, actions_t *act)
{
    wal_entry_t entry;
    s_rewind(&in->reader);
    for (bool more = true;;) {
        TRY(wal_reader_next(ctx, &in->reader, &entry, &more));
        if (!more)
            return OK;
        entry.timestamp = write->ts;
        entry.early = !in->channel->replayed;
        entry.segment = 0;
        entry.note = view_of(NULL, 0);
        data_segment_t *segment = entry.n_fields ? s_choose(in, &entry, act) : NULL;
        entry.segment = segment ? (int64_t)segment->id : 0;
        err_t err = wal_batch_add(ctx, &write->batch, &entry);
        if (err != OK && segment) {
            segment->pending--;
            segment->pending_bytes -= data_entry_bytes(&entry);
            segment->pending_rows -= entry.fields[0].column.n;
        }
        TRY(err);
    }
}

static void s_queue(inbox_t *in, data_write_t *write)
{
    data_channel_t *channel = in->channel;
    if (channel->last)
        channel->last->next = write;
    else
        channel->first = write;
    channel->last = write;
    channel->pending_bytes += wal_batch_len(&write->batch);
    in->node->pending_bytes += wal_batch_len(&write->batch);
    if ((in->id[0] || in->id[1]) && !PLANTED(BUG_FORGET_REQUESTS))
        write->request = data_requests_add(channel->requests, in->vchannel, in->id, write->ts,
                                           write->batch.at, write);
}

static err_t s_apply(data_channel_t *channel, data_write_t *write, const event_t *ev,
                     actions_t *act);
static void s_tell_news(data_channel_t *channel, const event_t *ev, actions_t *act);

static err_t s_append(inbox_t *in, net_from_t from, const event_t *ev, actions_t *act)
{
    data_write_t *write = mem_new(sizeof *write);
    vec_init(&write->from, sizeof(net_from_t));
    wal_batch_init(&write->batch, view_str(in->channel->name));
    write->ts = data_now(in->node, ev);
    write->began_us = metrics_began(in->node->count.to);
    err_t err = s_copy_entries(ev->ctx, in, write, act);
    if (err == OK)
        err = wal_append(ev->ctx, in->channel->log, &write->batch);
    if (err != OK) {
        s_forget_entries(in->channel, write, ev, act);
        s_free(write);
        return err;
    }
    vec_push(&write->from, &from);
    s_queue(in, write);
    if (in->channel->commit_for.id == 0)
        in->channel->commit_for = act->trace;
    if (write->request && data_on_store(in->node))
        write->request->since_ms = ev->wall_ms; /* stamps may run ahead of our clock */
    if (PLANTED(BUG_ACK_BEFORE_SYNC))
        s_answer_all(in->channel, write, ev->ctx, act);
    if (PLANTED(BUG_EARLY_SHOW) && s_apply(in->channel, write, ev, act) == OK)
        s_tell_news(in->channel, ev, act);
    s_seal_full(in->shard, ev, act);
    return OK;
}

/* Done before, or under way: *ret_known. */
static void s_repeated(const inbox_t *in, net_from_t from, bool *ret_known, const event_t *ev,
                       actions_t *act)
{
    const data_request_t *request = data_requests_find(in->channel->requests, in->vchannel, in->id);
    *ret_known = request != NULL;
    if (!*ret_known)
        return;
    if (!request->write || request->write->answered)
        s_answer(in->channel, from, request->ts, ev->ctx, act);
    else
        vec_push(&request->write->from, &from);
}

static void s_accept(inbox_t *in, net_from_t from, int64_t deadline_ms, view_t payload,
                     bool looked, const event_t *ev, actions_t *act)
{
    bool known = false;
    s_repeated(in, from, &known, ev, act);
    if (known)
        return;
    if (in->n_new > data_ids_left(in->node)) {
        data_park_for_id(in->node, from, deadline_ms, payload, looked, ev, act);
        return;
    }
    err_t err = s_check_room(ev->ctx, in);
    if (err == OK)
        err = s_append(in, from, ev, act);
    if (err != OK)
        act_refuse(act, from, err, "%s", ev->ctx->text);
    data_channel_work(in->channel, act);
}

void data_write_take(data_node_t *self, net_from_t from, int64_t deadline_ms, view_t payload,
                     bool looked, const event_t *ev, actions_t *act)
{
    inbox_t in;
    in = (inbox_t){ .node = self };
    view_t bytes = payload;
    err_t err = OK;
    if ((uintptr_t)bytes.ptr % 8)               /* columns are used where they lie */
        err = ctx_copy(ev->ctx, payload, &bytes);
    if (err == OK)
        err = wal_reader_open(ev->ctx, &in.reader, bytes);
    if (err == OK)
        err = s_check(ev->ctx, &in);
    if (err == OK) {
        s_accept(&in, from, deadline_ms, bytes, looked, ev, act);
    } else if (in.missing && !looked) {
        data_park_for_look(self, from, deadline_ms, bytes, in.collection, ev, act);
    } else {
        act_refuse(act, from, err == ERR_CORRUPT ? ERR_MALFORMED : err, "%s", ev->ctx->text);
    }
}

void data_write_call(data_node_t *self, const event_t *ev, actions_t *act)
{
    self->writes++;
    data_write_take(self, ev->call.from, ev->call.deadline_ms, ev->call.payload, false, ev, act);
}

/* --- out of the log ------------------------------------------------------------------- */

static void s_pop(data_channel_t *channel)
{
    data_write_t *write = channel->first;
    channel->first = write->next;
    if (!channel->first)
        channel->last = NULL;
    channel->pending_bytes -= wal_batch_len(&write->batch);
    channel->node->pending_bytes -= wal_batch_len(&write->batch);
    s_free(write);
}

static void s_note_news(data_channel_t *channel, data_shard_t *shard)
{
    if (shard->news)
        return;
    shard->news = true;
    vec_push(&channel->news, &shard);
}

static err_t s_apply_entry(data_channel_t *channel, data_write_t *write, const wal_entry_t *entry,
                           const event_t *ev, actions_t *act)
{
    data_shard_t *shard = map_get(channel->shards, entry->vchannel);
    if (!shard)
        return OK;                              /* its collection was dropped meanwhile */
    TRY(data_apply(ev->ctx, shard, write->batch.at, entry));
    s_note_news(channel, shard);
    metrics_add(channel->node->count.inserted, entry->n_fields ? entry->fields[0].column.n : 0);
    metrics_add(channel->node->count.deleted, entry->deletes ? entry->deletes->n : 0);
    data_segment_t *segment = entry->n_fields
                            ? data_segment_find(shard, (uint64_t)entry->segment) : NULL;
    if (segment)
        s_give_back(shard, segment, entry, ev, act);
    return OK;
}

static err_t s_apply(data_channel_t *channel, data_write_t *write, const event_t *ev,
                     actions_t *act)
{
    wal_reader_t reader;
    wal_entry_t entry;
    wal_reader_own(&reader, &write->batch);
    for (bool more = true;;) {
        TRY(wal_reader_next(ev->ctx, &reader, &entry, &more));
        if (!more)
            return OK;
        if (reader.n_read <= write->applied)
            continue;                           /* before memory ran short */
        TRY(s_apply_entry(channel, write, &entry, ev, act));
        write->applied++;
    }
}

static void s_tell_news(data_channel_t *channel, const event_t *ev, actions_t *act)
{
    for (size_t i = 0; i < channel->news.len; i++) {
        data_shard_t *shard = *(data_shard_t **)vec_at(&channel->news, i);
        shard->news = false;
        data_follow_wake(shard, ev, act);
    }
    channel->news.len = 0;
}

/* Its rows are there already. */
static void s_leave_out(data_channel_t *channel, data_write_t *write, const event_t *ev,
                        actions_t *act)
{
    vec_push(&channel->twins, &(data_twin_t){ write->twin, write->batch.at });
    s_forget_entries(channel, write, ev, act);
}

/* What is committed cannot be applied yet, but it can be answered. */
static void s_answer_durable(data_channel_t *channel, ctx_t *ctx, actions_t *act)
{
    wal_position_t committed = data_committed(channel);
    for (data_write_t *write = channel->first;
         write && !wal_before(committed, write->batch.at); write = write->next) {
        s_answer_all(channel, write, ctx, act);
        write->answered = true;
    }
}

/* Apply and answer what is committed. */
static void s_apply_durable(data_channel_t *channel, const event_t *ev, actions_t *act)
{
    data_node_t *self = channel->node;
    if (!channel->replayed) {
        s_answer_durable(channel, ev->ctx, act);
        return;
    }
    wal_position_t committed = data_committed(channel);
    bool any = false;
    while (channel->first && !wal_before(committed, channel->first->batch.at)) {
        data_write_t *write = channel->first;
        err_t err = OK;
        if (write->twin.epoch)
            s_leave_out(channel, write, ev, act);
        else
            err = s_apply(channel, write, ev, act);
        if (err != OK) {
            log_event(LOG_WARN, "apply_waits", "channel=%s why=\"%s\"", channel->name,
                      ev->ctx->text);
            act_timer(act, TIMER_DATA_APPLY, APPLY_AGAIN_MS);
            break;
        }
        channel->applied = write->batch.at;
        channel->applied_ts = write->ts;
        if (write->request)
            write->request->write = NULL;
        s_answer_all(channel, write, ev->ctx, act);
        s_pop(channel);
        any = true;
    }
    if (!any)
        return;
    s_tell_news(channel, ev, act);
    data_persist_applied(channel, ev, act);
    data_persist_pressure(self, ev, act);
    data_channel_drained(channel, ev, act);
}

/* The same request under its own id, if the log had it before; else it is remembered with those
 * that were read. */
static void s_meet(data_requests_t *requests, data_write_t *write)
{
    uint64_t id[2];
    const data_request_t *early = write->request;
    view_t vchannel = data_request_vchannel(early, id);
    const data_request_t *before = data_requests_find(requests, vchannel, id);
    if (before) {
        write->twin = before->at;
        write->request = NULL;
        return;
    }
    write->request = data_requests_add(requests, vchannel, id, write->ts, write->batch.at, write);
    write->request->since_ms = early->since_ms;
}

void data_write_replayed(data_channel_t *channel, data_requests_t *requests, const event_t *ev,
                         actions_t *act)
{
    for (data_write_t *write = channel->first; write; write = write->next)
        if (write->request)
            s_meet(requests, write);
    data_requests_destroy(&channel->requests);
    channel->requests = requests;
    s_apply_durable(channel, ev, act);
}

/* Nothing behind the frontier was written: tell its writers, go on. */
static void s_discard(data_channel_t *channel, const event_t *ev, actions_t *act)
{
    wal_position_t frontier = wal_frontier(channel->log);
    const char *why = ctx_printf(ev->ctx, "%s.  Nothing of this request was stored; write again "
                                 "when there is room", ev->text);
    log_event(LOG_ERROR, "commit_refused", "channel=%s why=\"%s\"", channel->name, ev->text);
    wal_discard(channel->log);
    data_write_t **at = &channel->first;
    while (*at && (*at)->batch.at.seq <= frontier.seq)
        at = &(*at)->next;                      /* durable, and waiting to be applied */
    for (data_write_t *write = take(*at); write; ) {
        data_write_t *next = write->next;
        s_forget_entries(channel, write, ev, act);
        if (write->request)
            data_requests_forget(channel->requests, write->request);
        s_refuse_all(write, ev->err, why, act);
        channel->pending_bytes -= wal_batch_len(&write->batch);
        channel->node->pending_bytes -= wal_batch_len(&write->batch);
        s_free(write);
        write = next;
    }
    channel->last = NULL;
    for (data_write_t *write = channel->first; write; write = write->next)
        channel->last = write;
}

/* The log is as it was, what could not be written is still in it. */
static void s_pause_puts(data_channel_t *channel, const event_t *ev, actions_t *act)
{
    log_event(LOG_WARN, "commit_waits", "channel=%s why=\"%s\"", channel->name, ev->text);
    channel->puts_pause = true;
    act_timer(act, TIMER_DATA_APPLY, APPLY_AGAIN_MS);
}

static void s_commit_failed(data_channel_t *channel, const event_t *ev, actions_t *act)
{
    bool nothing_written = ev->err == ERR_DISK_FULL || ev->err == ERR_MEMORY;
    if (nothing_written && data_on_store(channel->node))
        s_pause_puts(channel, ev, act);
    else if (nothing_written)
        s_discard(channel, ev, act);
    else if (data_on_store(channel->node))
        data_channel_stall(channel, ev, act);
    else
        data_channel_reopen(channel, ev, act, ev->text);
}

static void s_committed(void *node, void *arg, const event_t *ev, actions_t *act)
{
    data_node_t *self = node;
    data_channel_t *channel = arg;
    if (channel->puts)
        channel->puts--;
    else
        channel->log_busy = false;
    self->commits++;
    if (channel->state == CHANNEL_ACTIVE) {
        if (data_on_store(self))
            data_fence_want(channel, ev, act);
        s_apply_durable(channel, ev, act);
        if (ev->err != OK)
            s_commit_failed(channel, ev, act);
    }
    data_channel_work(channel, act);
    data_channel_release(&channel);
    data_frontier_look(self, ev, act);
}

static err_t s_commit_job(ctx_t *ctx, void *arg)
{
    return wal_commit(ctx, arg);
}

static void s_commit(data_channel_t *channel, actions_t *act)
{
    trace_t before = act_trace(act, channel->commit_for);
    act_job(act, s_commit_job, channel->log,
            wait_once(channel->node->member.waits, act, s_committed, data_channel_hold(channel)));
    channel->commit_for = TRACE_NONE;
    act_trace(act, before);
}

/* Is it worth another put beside those under way? */
static bool s_is_worth(data_channel_t *channel, size_t waiting, actions_t *act)
{
    if (channel->puts == 0 || channel->lingered || waiting >= LIMIT_WAL_PUT_BYTES)
        return true;
    if (!channel->lingers) {
        channel->lingers = true;
        act_timer(act, TIMER_DATA_LINGER, LINGER_MS);
    }
    return false;
}

static void s_commit_beside(data_channel_t *channel, actions_t *act)
{
    size_t waiting = channel->puts_pause || channel->stalled ? 0 : wal_waiting(channel->log);
    if (waiting > 0 && channel->puts < wal_commits(channel->log) &&
        s_is_worth(channel, waiting, act)) {
        channel->lingered = false;
        channel->puts++;
        s_commit(channel, act);
    }
}

void data_write_commit(data_channel_t *channel, actions_t *act)
{
    if (wal_commits(channel->log) > 1) {
        s_commit_beside(channel, act);
    } else if (channel->last && wal_before(wal_frontier(channel->log), channel->last->batch.at)) {
        channel->log_busy = true;
        s_commit(channel, act);
    }
}

void data_write_linger(data_node_t *self, actions_t *act)
{
    for (size_t i = self->all.len; i-- > 0; ) {
        data_channel_t *channel = *(data_channel_t **)vec_at(&self->all, i);
        channel->lingered = channel->lingers;
        channel->lingers = false;
        if (channel->lingered)
            data_channel_work(channel, act);
    }
}

void data_write_fenced(data_channel_t *channel, const event_t *ev, actions_t *act)
{
    s_apply_durable(channel, ev, act);
}

void data_write_again(data_node_t *self, const event_t *ev, actions_t *act)
{
    for (size_t i = self->all.len; i-- > 0; ) {
        data_channel_t *channel = *(data_channel_t **)vec_at(&self->all, i);
        if (channel->state != CHANNEL_ACTIVE)
            continue;
        s_apply_durable(channel, ev, act);
        channel->puts_pause = false;
        data_channel_work(channel, act);
    }
    data_frontier_look(self, ev, act);
}

/* --- the end -------------------------------------------------------------------------- */

void data_write_unknown(data_channel_t *channel, const char *why, actions_t *act)
{
    ctx_t ctx;
    ctx_init(&ctx);
    const char *text = ctx_printf(&ctx, "outcome unknown: channel %s: %s", channel->name, why);
    for (data_write_t *write = channel->first; write; write = write->next)
        s_refuse_all(write, ERR_OUTCOME_UNKNOWN, text, act);
    ctx_fini(&ctx);
}

void data_write_free(data_channel_t *channel)
{
    while (channel->first)
        s_pop(channel);
    channel->commit_for = TRACE_NONE;
}

uint64_t data_write_first_ts(const data_channel_t *channel)
{
    const data_write_t *first = channel->first;
    bool undecided = first && channel->stalled && !channel->puts &&
                     wal_before(wal_frontier(channel->log), first->batch.at);
    return first && !undecided ? first->ts : 0;
}

size_t data_write_waiting(const data_channel_t *channel)
{
    size_t n = 0;
    for (const data_write_t *write = channel->first; write; write = write->next)
        n++;
    return n;
}
