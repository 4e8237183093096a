/* query_load - sealed segments: from a record of metadata to one that may come into view
 *
 *     wanted ──job──► open ──META_GET──► compared ──query_delete──► caught up ──query_swap──► in
 *       ▲  failed: later and later   │ deltalogs that came meanwhile: a job reads them
 *       └────────────────────────────┘
 *
 * What is to be held here is for query_place.c to say.  What is not, any more, is closed once
 * nobody reads it here: no leader elsewhere, and not this node's own view.
 *
 * A segment is opened at the record the watch has shown.  The record is read again afterwards:
 * a delete that was moved from the log to a deltalog in between is behind the checkpoint, and
 * the owner need not tell it to a follower any more.  The same comparison is made for all open
 * segments after a reset of the channel (query_follow.c), for the same reason.
 *
 * What goes out of view is freed by a job: giving back a gigabyte takes a while.
 */
#include "querynode/querynode_int.h"

#include <malloc.h>

#include "core/base/hostinfo.h"
#include "core/segment/delta.h"

enum {
    RETRY_MS = 250,             /* the first time; then doubled */
    RETRY_MOST_MS = 30000,
    TELL_FAILURES = 5,          /* of what may mend by itself, before LOADED tells */
    ROW_BYTES = 24,             /* of memory that an open segment takes: key, time, order */
};

static void s_close(query_piece_t *piece);

/* --- work -------------------------------------------------------------------------------- */

query_work_t *query_work_new(query_node_t *self, query_channel_t *ch)
{
    query_work_t *work = mem_new(sizeof *work);
    work->channel = ch;
    work->began_us = metrics_began(self->counted.to);
    ctx_init(&work->memory);
    vec_init(&work->pieces, sizeof(query_piece_t *));
    vec_init(&work->sealeds, sizeof(sealed_t *));
    vec_init(&work->growings, sizeof(growing_t *));
    if (ch)
        ch->users++;
    work->next = self->works;
    if (work->next)
        work->next->prev = work;
    self->works = work;
    return work;
}

static void s_unref_all(query_work_t *work)
{
    for (size_t i = 0; i < work->sealeds.len; i++)
        sealed_unref(vec_at(&work->sealeds, i));
    for (size_t i = 0; i < work->growings.len; i++)
        growing_unref(vec_at(&work->growings, i));
    work->sealeds.len = work->growings.len = 0;
}

/* A shell may last as long as some call: what its jobs opened goes with them. */
static void s_close_shell(query_channel_t *ch)
{
    void *piece = NULL;
    for (size_t at = 0; map_next(ch->pieces, &at, NULL, &piece); )
        if (!((query_piece_t *)piece)->busy && !((query_piece_t *)piece)->indexing)
            s_close(piece);
    if (!ch->applying)
        query_runs_free(ch);
}

void query_work_free(query_node_t *self, query_work_t *work)
{
    if (work->channel && work->channel->gone)
        s_close_shell(work->channel);
    if (work->prev)
        work->prev->next = work->next;
    else
        self->works = work->next;
    if (work->next)
        work->next->prev = work->prev;
    if (work->channel)
        query_channel_put(work->channel);
    s_unref_all(work);
    sealed_unref(&work->sealed);
    field_index_unref(&work->index);
    field_scalar_unref(&work->scalar);
    schema_unref(&work->schema);
    vec_fini(&work->pieces);
    vec_fini(&work->sealeds);
    vec_fini(&work->growings);
    mem_free(work->runs);
    ctx_fini(&work->memory);
    mem_free(work);
}

static err_t s_sweep(ctx_t *ctx, void *arg)
{
    (void)ctx;
    s_unref_all(arg);
    malloc_trim(0);
    return OK;
}

static void s_swept(void *node, void *arg, const event_t *ev, actions_t *act)
{
    (void)ev, (void)act;
    query_work_free(node, arg);
}

void query_garbage(query_node_t *self, actions_t *act)
{
    if (self->old_sealeds.len + self->old_growings.len == 0)
        return;
    query_work_t *work = query_work_new(self, NULL);
    vec_t sealeds = work->sealeds, growings = work->growings;   /* both empty */
    work->sealeds = self->old_sealeds;
    work->growings = self->old_growings;
    self->old_sealeds = sealeds;
    self->old_growings = growings;
    act_job(act, s_sweep, work, wait_once(self->member.waits, act, s_swept, work));
}

/* --- pieces ------------------------------------------------------------------------------ */

static query_piece_t *s_piece(query_channel_t *ch, uint64_t id)
{
    query_piece_t *piece = map_get_u64(ch->pieces, id);
    if (piece)
        return piece;
    piece = mem_new(sizeof *piece);
    *piece = (query_piece_t){ .channel = ch, .id = id, .deltalogs = map_new(),
                              .until = UINT64_MAX, .at = QUERY_NOWHERE, .next = QUERY_NOWHERE };
    query_index_init(piece);
    map_put_u64(ch->pieces, id, piece);
    return piece;
}

/* It had every delete by now: from here on it may be read, and gets those to come. */
static void s_able(query_piece_t *piece)
{
    query_node_t *self = piece->channel->node;
    piece->able = true;
    piece->until = UINT64_MAX;
    self->count.segments++;
    self->count.rows += sealed_rows(piece->sealed);
    query_held_changed(piece->channel);
}

static void s_unable(query_piece_t *piece)
{
    query_node_t *self = piece->channel->node;
    if (!piece->able)
        return;
    piece->able = false;
    self->count.segments--;
    self->count.rows -= sealed_rows(piece->sealed);
    query_held_changed(piece->channel);
}

void query_load_able(query_channel_t *ch)
{
    void *value = NULL;
    for (size_t at = 0; map_next(ch->pieces, &at, NULL, &value); ) {
        query_piece_t *piece = value;
        if (ch->round && !piece->able && piece->sealed && !piece->busy && piece->wanted &&
            piece->round == ch->round && piece->applied == query_runs_end(ch))
            s_able(piece);
    }
}

/* Not open any more, as if it had never been. */
static void s_close(query_piece_t *piece)
{
    s_unable(piece);
    if (piece->sealed)
        vec_push(&piece->channel->node->old_sealeds, &piece->sealed);
    piece->sealed = NULL;
    piece->channel->node->count.bytes -= piece->counted;
    piece->counted = 0;
    piece->indexes.len = 0;
    map_destroy(&piece->deltalogs);
    piece->deltalogs = map_new();
    piece->delta_ts = piece->round = piece->applied = 0;
    piece->until = UINT64_MAX;
}

void query_piece_free(query_piece_t *piece)
{
    s_close(piece);
    map_destroy(&piece->deltalogs);
    vec_fini(&piece->indexes);
    mem_free(piece->error);
    mem_free(piece);
}

static void s_error(query_piece_t *piece, err_t err, const char *text)
{
    mem_free(piece->error);
    piece->error = text ? mem_strdup(text) : NULL;
    piece->err = err;
}

/* May the same work without anybody's help in a moment? */
static bool s_mends(err_t err)
{
    return err == ERR_STORE || err == ERR_TIMEOUT || err == ERR_QUEUE_FULL || err == ERR_META;
}

static void s_failed(query_piece_t *piece, const event_t *ev)
{
    query_channel_t *ch = piece->channel;
    unsigned n = piece->failures < 8 ? piece->failures : 8;
    int64_t ms = (int64_t)RETRY_MS << n;
    piece->failures++;
    piece->retry_ms = ev->now_ms + (ms < RETRY_MOST_MS ? ms : RETRY_MOST_MS);
    query_wake_at(ch->node, piece->retry_ms);
    if ((piece->failures & (piece->failures - 1)) == 0)
        log_event(LOG_WARN, "segment_load_failed", "segment=%llu channel=%s times=%u why=\"%s\"",
                  (unsigned long long)piece->id, ch->name, piece->failures, ev->text);
    if (!s_mends(ev->err) || piece->failures >= TELL_FAILURES)
        s_error(piece, ev->err == ERR_MEMORY || ev->err == ERR_SEGMENT_LOAD_FAILED
                           ? ev->err : ERR_SEGMENT_LOAD_FAILED,
                ctx_printf(ev->ctx, "segment load failed[segment=%llu]: %s",
                           (unsigned long long)piece->id, ev->text));
}

/* Ids that some compaction of the collection has replaced, whether or not their own records
 * show it already. */
static map_t *s_replaced(const Elanus__Segment *const *all, size_t n)
{
    map_t *ids = map_new();
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < all[i]->n_from; k++)
            map_put_u64(ids, all[i]->from[k], ids);
    return ids;
}

static bool s_wanted(const query_channel_t *ch, const Elanus__Segment *record, map_t *replaced)
{
    return record->state == ELANUS__SEGMENT_STATE__SEGMENT_FLUSHED && record->rows > 0 &&
           strcmp(record->vchannel, ch->name) == 0 && query_shows(ch->coll, record->partition) &&
           !map_get_u64(replaced, record->id);
}

/* Is it, or will it be, read here? */
static bool s_is_needed(const query_piece_t *piece, const event_t *ev)
{
    if (piece->busy || piece->indexing || (piece->wanted && piece->mine))
        return true;
    if (piece->in && piece->at == QUERY_HERE)
        return true;
    return query_held_keeps(piece, ev);
}

static void s_close_unneeded(query_channel_t *ch, const event_t *ev)
{
    void *value = NULL;
    for (size_t at = 0; map_next(ch->pieces, &at, NULL, &value); ) {
        query_piece_t *piece = value;
        if (s_is_needed(piece, ev))
            continue;
        if (piece->in || (piece->wanted && ch->replica)) {      /* it is read elsewhere */
            if (piece->sealed)
                s_close(piece);
            if (piece->error)
                s_error(piece, OK, NULL);
            continue;
        }
        map_del_u64(ch->pieces, piece->id);
        query_piece_free(piece);
    }
}

/* Leaders know of every segment, others of those that they hold or shall hold. */
static void s_want(query_channel_t *ch, const Elanus__Segment *record,
                   const query_places_t *places, const event_t *ev)
{
    if (!ch->replica && !map_get_u64(ch->pieces, record->id) &&
        !query_places_here(ch, places, record->id))
        return;
    query_piece_t *piece = s_piece(ch, record->id);
    piece->wanted = true;
    piece->partition = record->partition;
    piece->rows = record->rows;
    piece->bytes = record->bytes;
    query_piece_place(piece, places, ev);
}

/* Its rows are in something that is on its way. */
static bool s_is_ahead(const query_channel_t *ch, const Elanus__Segment *record)
{
    return strcmp(record->vchannel, ch->name) == 0 && query_shows(ch->coll, record->partition) &&
           segments_is_ahead(ch->node->segments, record);
}

void query_load_look(query_channel_t *ch, const Elanus__Segment *const *all, size_t n,
                     const event_t *ev)
{
    map_t *replaced = s_replaced(all, n);
    query_places_t places = query_places(ch, ev->ctx);
    void *value = NULL;
    for (size_t at = 0; map_next(ch->pieces, &at, NULL, &value); )
        ((query_piece_t *)value)->wanted = false;
    ch->behind = false;
    for (size_t i = 0; i < n; i++) {
        ch->behind |= s_is_ahead(ch, all[i]);
        if (s_wanted(ch, all[i], replaced))
            s_want(ch, all[i], &places, ev);
    }
    map_destroy(&replaced);
    s_close_unneeded(ch, ev);
}

/* --- opening ----------------------------------------------------------------------------- */

const char *const *query_load_names(ctx_t *ctx, char *const *from, size_t n)
{
    const char **names = ctx_new(ctx, (n + 1) * sizeof *names);
    for (size_t i = 0; i < n; i++)
        names[i] = ctx_strdup(ctx, from[i]);
    return names;
}

void query_load_reserve(query_node_t *self, query_work_t *work, uint64_t bytes)
{
    work->memory_share = self->options.memory_share;
    work->memory_limit = self->options.memory_limit;
    work->held = self->count.bytes;
    work->reserved = self->opening_bytes;
    work->need = bytes;
    self->opening_bytes += bytes;
}

/* Milvus's words. */
static err_t s_too_much(ctx_t *ctx, const query_work_t *work, uint64_t bytes, uint64_t used,
                        uint64_t total, double share)
{
    double mb = 1 << 20, then = (double)(used + work->reserved + bytes);
    if (then <= (double)total * share)
        return OK;
    return ctx_fail(ctx, ERR_SEGMENT_LOAD_FAILED, "load segment failed, OOM if load, "
                    "maxSegmentSize = %.0f MB, memUsage = %.0f MB, predictMemUsage = %.0f MB, "
                    "totalMem = %.0f MB thresholdFactor = %f", (double)bytes / mb,
                    (double)used / mb, then / mb, (double)total / mb, share);
}

err_t query_load_fits(ctx_t *ctx, const query_work_t *work, uint64_t bytes)
{
    hostinfo_t host;
    if (work->memory_limit)
        TRY(s_too_much(ctx, work, bytes, work->held, work->memory_limit, 1));
    if (work->memory_share <= 0)
        return OK;
    TRY(hostinfo_read(ctx, NULL, &host));
    return s_too_much(ctx, work, bytes, host.memory_used_bytes, host.memory_total_bytes,
                      work->memory_share);
}

static err_t s_open_job(ctx_t *ctx, void *arg)
{
    query_work_t *work = arg;
    if (!work->store)
        return ctx_fail(ctx, ERR_CONFIG, "this query node was given no object store");
    if (work->files.n_rows > LIMIT_SEGMENT_ROWS)
        return ctx_fail(ctx, ERR_CORRUPT, "%llu rows in one segment, at most %u are possible",
                        (unsigned long long)work->files.n_rows, LIMIT_SEGMENT_ROWS);
    TRY(query_load_fits(ctx, work, work->need));
    return sealed_open(ctx, work->store, work->schema, &work->files, work->preload, &work->sealed);
}

static void s_note_deltalogs(query_piece_t *piece, const query_work_t *work)
{
    for (size_t i = 0; i < work->files.n_deltalogs; i++)
        map_put_str(piece->deltalogs, work->files.deltalogs[i], piece);
    piece->delta_ts = work->delta_ts > piece->delta_ts ? work->delta_ts : piece->delta_ts;
}

/* A place to open something is free: others may have waited for it. */
static void s_free_place(query_node_t *self, const query_work_t *work)
{
    void *coll = NULL;
    bool full = self->opening == LIMIT_QUERY_OPENS;
    self->opening--;
    self->opening_bytes -= work->need;
    for (size_t at = 0; full && map_next(self->colls, &at, NULL, &coll); )
        query_dirty(coll);
}

static void s_opened(void *node, void *arg, const event_t *ev, actions_t *act)
{
    query_node_t *self = node;
    query_work_t *work = arg;
    query_piece_t *piece = work->piece;
    (void)act;
    piece->busy = false;
    s_free_place(self, work);
    if (!work->channel->gone)
        query_dirty(work->channel->coll);
    metrics_add(self->counted.load_failed, ev->err != OK);
    if (ev->err != OK && !work->channel->gone) {
        s_failed(piece, ev);
    } else if (ev->err == OK) {
        (void)metrics_took_ms(self->counted.load_ms, work->began_us);
        piece->sealed = take(work->sealed);
        piece->counted = sealed_bytes(piece->sealed);
        self->count.bytes += piece->counted;
        piece->failures = 0;
        s_error(piece, OK, NULL);
        s_note_deltalogs(piece, work);
    }
    query_work_free(self, work);
}

bool query_load_preloads(const query_node_t *self, uint64_t collection)
{
    const Elanus__Collection *coll = catalog_collection_by_id(self->catalog, collection);
    const char *mmap = coll ? catalog_pair(coll->properties, coll->n_properties, "mmap.enabled")
                            : NULL;
    return mmap ? !catalog_true(mmap) : self->options.preload;
}

/* Vectors of which memory is to hold a sketch only (DISKANN) are read when a scan or a client wants
 * them.  Returns the bytes of a row that are so left out. */
static uint64_t s_find_late(query_work_t *work, const query_channel_t *ch)
{
    uint64_t bytes = 0;
    const Elanus__Index **all = NULL;
    size_t n = catalog_indexes_of(ch->node->catalog, &work->memory, ch->coll->id, &all);
    bool *late = ctx_new(&work->memory, schema_len(work->schema) * sizeof *late);
    for (size_t i = 0; i < n; i++) {
        const char *type = catalog_pair(all[i]->params, all[i]->n_params, "index_type");
        const field_t *field = schema_by_id(work->schema, all[i]->field_id);
        if (!type || strcmp(type, "DISKANN") != 0 || !field || !type_is_vector(field->type))
            continue;
        late[schema_index(work->schema, field)] = true;
        bytes += type_width(field->type, field->dim);
    }
    work->files.late = late;
    return bytes;
}

static void s_open(query_piece_t *piece, const Elanus__Segment *record, actions_t *act)
{
    query_channel_t *ch = piece->channel;
    query_node_t *self = ch->node;
    query_work_t *work = query_work_new(self, ch);
    work->piece = piece;
    work->store = self->options.store;
    work->schema = schema_ref(ch->coll->schema);
    size_t n_binlogs = (size_t)record->parts * (schema_len(work->schema) + 1);
    work->files = (sealed_files_t){
        .id = { record->collection, record->partition, record->id }, .n_rows = record->rows,
        .n_parts = record->n_binlogs == n_binlogs ? record->parts : 0,
        .binlogs = query_load_names(&work->memory, record->binlogs, record->n_binlogs),
        .deltalogs = query_load_names(&work->memory, record->deltalogs, record->n_deltalogs),
        .n_deltalogs = record->n_deltalogs,
    };
    work->preload = query_load_preloads(self, record->collection);
    uint64_t late = record->rows * s_find_late(work, ch), bare = record->rows * ROW_BYTES;
    uint64_t early = record->bytes > late ? record->bytes - late : 0;
    query_load_reserve(self, work, work->preload && early > bare ? early : bare);
    work->delta_ts = record->delta_ts;
    self->opening++;
    piece->busy = true;
    piece->applied = ch->first_run;
    act_job(act, s_open_job, work, wait_once(self->member.waits, act, s_opened, work));
}

/* --- comparing --------------------------------------------------------------------------- */

static err_t s_read_deltalog(ctx_t *ctx, query_work_t *work, const char *key)
{
    owned(delta) delta = NULL;
    TRY(delta_load(ctx, work->store, key, &delta));
    if (delta_segment(delta) != work->files.id.segment ||
        delta_pks(delta)->type != schema_pk(sealed_schema(work->sealed))->type)
        return ctx_fail(ctx, ERR_CORRUPT, "%s holds deletes of segment %llu, not of %llu", key,
                        (unsigned long long)delta_segment(delta),
                        (unsigned long long)work->files.id.segment);
    return sealed_delete(ctx, work->sealed, delta_pks(delta), delta_ts(delta), NULL);
}

static err_t s_refresh_job(ctx_t *ctx, void *arg)
{
    query_work_t *work = arg;
    for (size_t i = 0; i < work->files.n_deltalogs; i++)
        TRY(s_read_deltalog(ctx, work, work->files.deltalogs[i]));
    return OK;
}

static void s_refreshed(void *node, void *arg, const event_t *ev, actions_t *act)
{
    query_work_t *work = arg;
    query_piece_t *piece = work->piece;
    (void)act;
    piece->busy = false;
    if (!work->channel->gone) {
        query_dirty(work->channel->coll);
        if (ev->err != OK) {
            s_failed(piece, ev);
        } else {
            s_note_deltalogs(piece, work);
            piece->round = work->round;
            piece->failures = 0;
            s_error(piece, OK, NULL);
        }
    }
    query_work_free(node, work);
}

void query_piece_compare(query_piece_t *piece, const Elanus__Segment *record, uint64_t round,
                         actions_t *act)
{
    query_node_t *self = piece->channel->node;
    if (!record || record->state != ELANUS__SEGMENT_STATE__SEGMENT_FLUSHED) {
        if (piece->until == UINT64_MAX)         /* its successor has to come in */
            piece->until = piece->channel->applied_ts;
        return;
    }
    query_work_t *work = query_work_new(self, piece->channel);
    const char **names = ctx_new(&work->memory, (record->n_deltalogs + 1) * sizeof *names);
    for (size_t i = 0; i < record->n_deltalogs; i++)
        if (!map_get_str(piece->deltalogs, record->deltalogs[i]))
            names[work->files.n_deltalogs++] = ctx_strdup(&work->memory, record->deltalogs[i]);
    work->files.deltalogs = names;
    work->files.id.segment = piece->id;
    work->delta_ts = record->delta_ts;
    if (work->files.n_deltalogs == 0) {
        s_note_deltalogs(piece, work);
        piece->round = round;
        query_work_free(self, work);
        return;
    }
    work->piece = piece;
    work->round = round;
    work->store = self->options.store;
    work->sealed = sealed_ref(piece->sealed);
    piece->busy = true;
    act_job(act, s_refresh_job, work, wait_once(self->member.waits, act, s_refreshed, work));
}

static void s_got(void *node, void *arg, const event_t *ev, actions_t *act)
{
    query_node_t *self = node;
    query_work_t *work = arg;
    query_piece_t *piece = work->piece;
    piece->busy = false;
    if (!work->channel->gone) {
        const char *key = segments_key(ev->ctx, work->channel->coll->id, piece->id);
        query_dirty(work->channel->coll);
        err_t err = ev->err;
        if (err == OK)
            err = segments_put(self->segments, ev->ctx, key, &ev->meta.item.value,
                               ev->meta.item.mod_rev);
        if (err == OK)
            query_piece_compare(piece, segments_get(self->segments, piece->id, NULL), work->round,
                                act);
        else
            s_failed(piece, ev);
    }
    query_work_free(self, work);
}

/* What does metadata have of it now, that it is open? */
static void s_get(query_piece_t *piece, const event_t *ev, actions_t *act)
{
    query_channel_t *ch = piece->channel;
    query_work_t *work = query_work_new(ch->node, ch);
    work->piece = piece;
    work->round = ch->round;
    piece->busy = true;
    act_meta_get(act, segments_key(ev->ctx, ch->coll->id, piece->id),
                 wait_once(ch->node->member.waits, act, s_got, work));
}

/* --- going on ---------------------------------------------------------------------------- */

static void s_go(query_piece_t *piece, const event_t *ev, actions_t *act)
{
    query_channel_t *ch = piece->channel;
    if (piece->retry_ms > ev->now_ms) {
        query_wake_at(ch->node, piece->retry_ms);
        return;
    }
    if (!piece->sealed) {
        const Elanus__Segment *record = segments_get(ch->node->segments, piece->id, NULL);
        if (record && ch->node->opening < LIMIT_QUERY_OPENS)
            s_open(piece, record, act);
    } else if (piece->round < ch->round && (ch->listed || !ch->resetting)) {
        s_get(piece, ev, act);
    }
}

void query_load_go(query_channel_t *ch, const event_t *ev, actions_t *act)
{
    void *value = NULL;
    for (size_t at = 0; map_next(ch->pieces, &at, NULL, &value); ) {
        query_piece_t *piece = value;
        if (piece->wanted && !piece->busy && (piece->mine || piece->sealed))
            s_go(piece, ev, act);
    }
}
