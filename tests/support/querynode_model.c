/* querynode_model - the data node of querynode_world.h: what is written and stored, and what a
 * read has to see of it */
#include <stdio.h>
#include <stdlib.h>

#include "core/segment/compact.h"
#include "core/segment/delta.h"
#include "core/segment/live.h"
#include "core/wire/pb.h"
#include "tests/support/querynode_world_int.h"

/* --- metadata ---------------------------------------------------------------------------- */

static void s_put(querynode_world_t *w, const char *key, const void *message)
{
    meta_op_t op = { .kind = message ? META_PUT : META_DELETE, .key = key };
    if (message)
        op.value = pb_pack(&w->ctx, message);
    meta_txn_result_t result;
    check(meta_txn(&w->ctx, w->meta, &(meta_txn_t){ .ops = &op, .n_ops = 1 }, &result) == OK);
}

static void s_put_owner(querynode_world_t *w)
{
    Elanus__NodeInfo info = ELANUS__NODE_INFO__INIT;
    info.id = 3;
    info.role = "datanode";
    info.incarnation = w->incarnation;
    info.address = ctx_printf(&w->ctx, "inproc://data-%llu", (unsigned long long)w->incarnation);
    s_put(w, "session/datanode-3", &info);
    Elanus__Owner owner = ELANUS__OWNER__INIT;
    owner.pchannel = (char *)QW_PCHANNEL;
    owner.epoch = w->epoch;
    owner.node = 3;
    owner.incarnation = w->incarnation;
    owner.state = ELANUS__OWNER_STATE__OWNER_ACTIVE;
    s_put(w, "owner/dml_0", &owner);
    Elanus__Checkpoint ckpt = ELANUS__CHECKPOINT__INIT;
    ckpt.pchannel = (char *)QW_PCHANNEL;
    ckpt.epoch = w->epoch;
    ckpt.seq = w->ckpt_seq;
    ckpt.ts = w->ckpt_ts;
    s_put(w, "ckpt/dml_0", &ckpt);
}

static void s_put_collection(querynode_world_t *w)
{
    Elanus__Pair dim = ELANUS__PAIR__INIT;
    dim.key = "dim";
    dim.value = "2";
    Elanus__Pair *dims[] = { &dim };
    Elanus__Field id = ELANUS__FIELD__INIT, vec = ELANUS__FIELD__INIT;
    id.id = 100;
    id.name = "id";
    id.type = TYPE_INT64;
    id.primary_key = true;
    vec.id = 101;
    vec.name = "v";
    vec.type = TYPE_FLOAT_VECTOR;
    vec.type_params = dims;
    vec.n_type_params = 1;
    Elanus__Field *fields[] = { &id, &vec };
    Elanus__Partition a = ELANUS__PARTITION__INIT, b = ELANUS__PARTITION__INIT;
    a.id = QW_PART;
    a.name = "_default";
    b.id = QW_PART_B;
    b.name = "b";
    Elanus__Partition *parts[] = { &a, &b };
    char *channels[] = { (char *)QW_VCHANNEL };
    Elanus__Collection coll = ELANUS__COLLECTION__INIT;
    coll.id = QW_COLL;
    coll.name = "c";
    coll.db_id = 1;
    coll.fields = fields;
    coll.n_fields = 2;
    coll.partitions = parts;
    coll.n_partitions = w->part_b_dropped ? 1 : 2;
    coll.vchannels = channels;
    coll.n_vchannels = 1;
    Elanus__Pair ttl = ELANUS__PAIR__INIT;
    ttl.key = "collection.ttl.seconds";
    ttl.value = ctx_printf(&w->ctx, "%lld", (long long)w->ttl);
    Elanus__Pair *properties[] = { &ttl };
    coll.properties = properties;
    coll.n_properties = w->ttl ? 1 : 0;
    s_put(w, "coll/500", &coll);
}

void qw_create(querynode_world_t *self)
{
    Elanus__Database db = ELANUS__DATABASE__INIT;
    db.id = 1;
    db.name = "default";
    s_put(self, "db/1", &db);
    s_put_collection(self);
    s_put_owner(self);
}

void qw_set_ttl(querynode_world_t *self, int64_t seconds)
{
    self->ttl = seconds;
    s_put_collection(self);
}

static void s_put_replica(querynode_world_t *w)
{
    uint64_t nodes[QW_NODES];
    Elanus__Shard shard = ELANUS__SHARD__INIT;
    shard.vchannel = (char *)QW_VCHANNEL;
    shard.leader = QW_NODE + w->leader;
    Elanus__Shard *shards[] = { &shard };
    Elanus__Replica replica = ELANUS__REPLICA__INIT;
    replica.id = 9;
    replica.collection = QW_COLL;
    replica.shards = shards;
    replica.n_shards = 1;
    replica.nodes = nodes;
    for (size_t i = 0; i < w->n_nodes; i++)
        nodes[replica.n_nodes++] = QW_NODE + i;
    s_put(w, "replica/500/9", &replica);
}

void qw_load(querynode_world_t *self, bool whole, bool part_a, bool part_b)
{
    uint64_t parts[2];
    Elanus__Load load = ELANUS__LOAD__INIT;
    load.collection_id = QW_COLL;
    load.whole = whole;
    load.partitions = parts;
    if (part_a)
        parts[load.n_partitions++] = QW_PART;
    if (part_b)
        parts[load.n_partitions++] = QW_PART_B;
    s_put(self, "load/500", &load);
    s_put_replica(self);
}

void qw_lead(querynode_world_t *self, size_t node)
{
    self->leader = node;
    s_put_replica(self);
}

void qw_release(querynode_world_t *self)
{
    s_put(self, "load/500", NULL);
    s_put(self, "replica/500/9", NULL);
}

/* --- writes ------------------------------------------------------------------------------ */

static seg_t *s_growing_seg(querynode_world_t *w, uint64_t partition)
{
    for (size_t i = 0; i < w->segs.len; i++)
        if (qw_seg(w, i)->partition == partition && !qw_seg(w, i)->sealed)
            return qw_seg(w, i);
    segment_id_t id = { QW_COLL, partition, w->next_id++ };
    seg_t seg = { .id = id.segment, .partition = partition, .first_seq = w->seq,
                  .rows = growing_new(w->schema, id) };
    live_put(w->incarnation, seg.rows);
    return vec_push(&w->segs, &seg);
}

static column_builder_t s_pk_column(querynode_world_t *w, const int64_t *pks, size_t n)
{
    column_builder_t b;
    column_builder_init(&b, schema_pk(w->schema));
    for (size_t i = 0; i < n; i++)
        column_builder_add(&b, view_of(&pks[i], 8));
    return b;
}

static void s_append(querynode_world_t *w, growing_t *rows, const int64_t *pks, size_t n,
                     uint64_t ts)
{
    column_builder_t id = s_pk_column(w, pks, n), vec;
    column_builder_init(&vec, schema_at(w->schema, 1));
    for (size_t i = 0; i < n; i++) {
        float cell[QW_DIM] = { (float)pks[i], 1 };
        column_builder_add(&vec, view_of(cell, sizeof cell));
    }
    column_t columns[2] = { column_builder_view(&id), column_builder_view(&vec) };
    check(growing_append(&w->ctx, rows, columns, ts) == OK);
    column_builder_fini(&id);
    column_builder_fini(&vec);
}

/* Into every growing segment that the owner still has rows of in memory. */
static void s_apply_delete(querynode_world_t *w, const run_t *run)
{
    column_builder_t b = s_pk_column(w, run->pks, run->n);
    column_t column = column_builder_view(&b);
    for (size_t i = 0; i < w->segs.len; i++) {
        seg_t *seg = qw_seg(w, i);
        if (seg->rows && (run->partition < 0 || (uint64_t)run->partition == seg->partition))
            check(growing_delete(&w->ctx, seg->rows, &column, run->ts, NULL) == OK);
    }
    column_builder_fini(&b);
}

static void s_note_deaths(querynode_world_t *w, const run_t *run)
{
    for (size_t k = 0; k < run->n; k++)
        for (size_t i = 0; i < w->n_rows; i++) {
            row_t *row = &w->rows[i];
            if (row->pk == run->pks[k] && row->ts < run->ts && row->died > run->ts &&
                (run->partition < 0 || (uint64_t)run->partition == row->partition))
                row->died = run->ts;
        }
}

/* Segments that nobody shares any more go. */
static void s_forget_flushed(querynode_world_t *w)
{
    for (size_t i = 0; i < w->segs.len; i++) {
        seg_t *seg = qw_seg(w, i);
        if (seg->flushed && seg->rows && !growing_is_shared(seg->rows))
            growing_unref(&seg->rows);
    }
}

static void s_entry_delete(querynode_world_t *w, uint64_t ts, int64_t partition, const int64_t *pks,
                           size_t n)
{
    check(w->n_runs < MOST_RUNS);
    run_t *run = &w->runs[w->n_runs++];
    *run = (run_t){ .ts = ts, .seq = w->seq, .partition = partition, .n = n,
                    .pks = mem_new(n * sizeof *pks) };
    memcpy(run->pks, pks, n * sizeof *pks);
    s_forget_flushed(w);
    s_apply_delete(w, run);
    s_note_deaths(w, run);
}

void qw_insert(querynode_world_t *self, uint64_t partition, const int64_t *pks, size_t n,
               bool upsert)
{
    uint64_t ts = qw_clock(self);
    self->seq++;
    if (upsert)
        s_entry_delete(self, ts, -1, pks, n);
    seg_t *seg = s_growing_seg(self, partition);
    seg->last_seq = self->seq;
    s_append(self, seg->rows, pks, n, ts);
    for (size_t i = 0; i < n; i++) {
        check(self->n_rows < MOST_ROWS);
        self->rows[self->n_rows++] = (row_t){ pks[i], ts, UINT64_MAX, partition, seg->id,
                                              self->seq };
    }
    self->entry_ts = ts;
    qw_wake(self);
}

void qw_delete(querynode_world_t *self, int64_t partition, const int64_t *pks, size_t n)
{
    uint64_t ts = qw_clock(self);
    self->seq++;
    s_entry_delete(self, ts, partition, pks, n);
    self->entry_ts = ts;
    qw_wake(self);
}

uint64_t qw_last_ts(const querynode_world_t *self)
{
    return self->entry_ts;
}

/* --- persistence ------------------------------------------------------------------------- */

static Elanus__Segment *s_record(querynode_world_t *w, const flush_t *flush, uint64_t delta_ts)
{
    const sealed_files_t *files = flush_files(flush);
    Elanus__Segment *record = ctx_new(&w->ctx, sizeof *record);
    elanus__segment__init(record);
    record->id = files->id.segment;
    record->collection = files->id.collection;
    record->partition = files->id.partition;
    record->vchannel = (char *)QW_VCHANNEL;
    record->state = ELANUS__SEGMENT_STATE__SEGMENT_FLUSHED;
    record->rows = files->n_rows;
    record->parts = (uint32_t)files->n_parts;
    record->n_binlogs = files->n_parts * (schema_len(w->schema) + 1);
    record->binlogs = (char **)files->binlogs;
    record->n_deltalogs = files->n_deltalogs;
    record->deltalogs = (char **)files->deltalogs;
    record->stats = (char *)files->stats;
    record->delta_ts = delta_ts;
    record->bytes = flush_bytes(flush);
    return record;
}

static size_t s_records(querynode_world_t *w, ctx_t *ctx, Elanus__Segment ***ret)
{
    meta_items_t items;
    check(meta_list(ctx, w->meta, "seg/", &items) == OK);
    Elanus__Segment **records = ctx_new(ctx, (items.n + 1) * sizeof *records);
    for (size_t i = 0; i < items.n; i++)
        check(PB_UNPACK(ctx, elanus__segment, items.at[i].value, &records[i]) == OK);
    *ret = records;
    return items.n;
}

static const char *s_seg_key(querynode_world_t *w, uint64_t id)
{
    return ctx_printf(&w->ctx, "seg/%d/%llu", QW_COLL, (unsigned long long)id);
}

void qw_plan_flush(querynode_world_t *self, uint64_t partition)
{
    for (size_t i = 0; !self->flush && i < self->segs.len; i++) {
        seg_t *seg = qw_seg(self, i);
        if (seg->sealed || seg->partition != partition || growing_rows(seg->rows) == 0)
            continue;
        seg->sealed = true;
        self->flush_id = seg->id;
        self->flush_ts = self->entry_ts;
        flush_options_t options = { .attempt = self->next_id++ };
        check(flush_growing(&self->ctx, seg->rows, UINT64_MAX, &options, &self->flush) == OK);
        check(flush_put(&self->ctx, self->flush, self->store) == OK);
    }
}

void qw_commit_flush(querynode_world_t *self)
{
    if (!self->flush)
        return;
    for (size_t i = 0; i < self->segs.len; i++) {
        seg_t *seg = qw_seg(self, i);
        if (seg->id != self->flush_id)
            continue;
        seg->flushed = true;
        live_drop(self->incarnation, seg->id);
        bool empty = flush_files(self->flush)->n_rows == 0;
        Elanus__Segment *record = s_record(self, self->flush, self->flush_ts);
        if (empty)
            record->state = ELANUS__SEGMENT_STATE__SEGMENT_DROPPED;
        s_put(self, s_seg_key(self, seg->id), record);
    }
    flush_destroy(&self->flush);
    s_forget_flushed(self);
}

/* All deletes in (delta_ts, now] that may hit it, in one more deltalog. */
static void s_add_deltalog(querynode_world_t *w, ctx_t *ctx, Elanus__Segment *record)
{
    column_builder_t pks;
    column_builder_init(&pks, schema_pk(w->schema));
    uint64_t *ts = ctx_new(ctx, 1 << 20);
    size_t n = 0;
    for (size_t i = 0; i < w->n_runs; i++) {
        const run_t *run = &w->runs[i];
        bool hits = run->partition < 0 || (uint64_t)run->partition == record->partition;
        for (size_t k = 0; hits && run->ts > record->delta_ts && k < run->n; k++) {
            column_builder_add(&pks, view_of(&run->pks[k], 8));
            check(n < (1 << 17));
            ts[n++] = run->ts;
        }
    }
    record->delta_ts = w->entry_ts;
    if (n) {
        column_t column = column_builder_view(&pks);
        const char *key = ctx_printf(ctx, "deltalog/%llu/%llu", (unsigned long long)record->id,
                                     (unsigned long long)w->next_id++);
        buf_scoped bytes = {0};
        buf_init(&bytes, 0);
        check(delta_write(ctx, record->id, &column, ts, &bytes) == OK);
        check(store_put(ctx, w->store, key, buf_view(&bytes)) == OK);
        char **names = ctx_new(ctx, (record->n_deltalogs + 1) * sizeof *names);
        for (size_t i = 0; i < record->n_deltalogs; i++)
            names[i] = record->deltalogs[i];
        names[record->n_deltalogs++] = (char *)key;
        record->deltalogs = names;
    }
    s_put(w, s_seg_key(w, record->id), record);
    column_builder_fini(&pks);
}

void qw_persist_deletes(querynode_world_t *self)
{
    if (self->flush || self->compaction)
        return;
    ctx_t ctx;
    ctx_init(&ctx);
    Elanus__Segment **records = NULL;
    size_t n = s_records(self, &ctx, &records);
    for (size_t i = 0; i < n; i++)
        if (records[i]->state == ELANUS__SEGMENT_STATE__SEGMENT_FLUSHED)
            s_add_deltalog(self, &ctx, records[i]);
    uint64_t seq = self->seq;
    for (size_t i = 0; i < self->segs.len; i++)
        if (!qw_seg(self, i)->flushed && qw_seg(self, i)->first_seq <= seq)
            seq = qw_seg(self, i)->first_seq - 1;
    if (seq > self->ckpt_seq) {
        self->ckpt_seq = seq;
        for (size_t i = 0; i < self->n_runs && self->runs[i].seq <= seq; i++)
            self->ckpt_ts = self->runs[i].ts;
        for (size_t i = 0; i < self->n_rows && self->rows[i].seq <= seq; i++)
            self->ckpt_ts = self->rows[i].ts > self->ckpt_ts ? self->rows[i].ts : self->ckpt_ts;
        s_put_owner(self);
    }
    ctx_fini(&ctx);
}

static sealed_t *s_open(querynode_world_t *w, const Elanus__Segment *record)
{
    sealed_files_t files = {
        .id = { record->collection, record->partition, record->id }, .n_rows = record->rows,
        .n_parts = record->parts, .binlogs = (const char *const *)record->binlogs,
        .deltalogs = (const char *const *)record->deltalogs, .n_deltalogs = record->n_deltalogs,
    };
    sealed_t *sealed = NULL;
    check(sealed_open(&w->ctx, w->store, w->schema, &files, true, &sealed) == OK);
    return sealed;
}

bool qw_plan_compaction(querynode_world_t *self)
{
    if (self->compaction || self->flush)
        return false;
    ctx_t ctx;
    ctx_init(&ctx);
    Elanus__Segment **records = NULL;
    sealed_t *inputs[MOST_COMPACTED] = {0};
    size_t n = s_records(self, &ctx, &records), from = (size_t)rng_below(&self->rng, n + 1);
    uint64_t partition = 0;
    self->n_from = 0;
    self->compact_ts = UINT64_MAX;
    for (size_t k = 0; k < n && self->n_from < MOST_COMPACTED; k++) {
        const Elanus__Segment *record = records[(from + k) % n];
        if (record->state != ELANUS__SEGMENT_STATE__SEGMENT_FLUSHED ||
            (partition && record->partition != partition))
            continue;
        partition = record->partition;
        inputs[self->n_from] = s_open(self, record);
        self->compact_from[self->n_from++] = record->id;
        if (record->delta_ts < self->compact_ts)
            self->compact_ts = record->delta_ts;
    }
    if (self->n_from) {
        self->compact_id = self->next_id++;
        compact_options_t options = {
            .flush = { .id = { QW_COLL, partition, self->compact_id }, .attempt = 1 },
        };
        check(compact_plan(&self->ctx, inputs, self->n_from, &options, &self->compaction) == OK);
        check(flush_put(&self->ctx, self->compaction, self->store) == OK);
    }
    for (size_t i = 0; i < self->n_from; i++)
        sealed_unref(&inputs[i]);
    ctx_fini(&ctx);
    return self->n_from > 0;
}

void qw_commit_compaction(querynode_world_t *self)
{
    if (!self->compaction)
        return;
    meta_op_t ops[MOST_COMPACTED + 1];
    Elanus__Segment **records = NULL;
    size_t n = s_records(self, &self->ctx, &records), n_ops = 0;
    Elanus__Segment *made = s_record(self, self->compaction, self->compact_ts);
    made->from = self->compact_from;
    made->n_from = self->n_from;
    made->level = 2;
    ops[n_ops++] = (meta_op_t){ .kind = META_PUT, .key = s_seg_key(self, made->id),
                                .value = pb_pack(&self->ctx, made) };
    bool whole = true;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < self->n_from; k++) {
            if (records[i]->id != self->compact_from[k])
                continue;
            whole &= records[i]->state == ELANUS__SEGMENT_STATE__SEGMENT_FLUSHED;
            records[i]->state = ELANUS__SEGMENT_STATE__SEGMENT_DROPPED;
            records[i]->into = made->rows ? made->id : 0;
            ops[n_ops++] = (meta_op_t){ .kind = META_PUT, .key = s_seg_key(self, records[i]->id),
                                        .value = pb_pack(&self->ctx, records[i]) };
        }
    size_t skip = made->rows ? 0 : 1;
    meta_txn_result_t result;
    meta_txn_t txn = { .ops = ops + skip, .n_ops = n_ops - skip };
    if (whole)
        check(meta_txn(&self->ctx, self->meta, &txn, &result) == OK);
    flush_destroy(&self->compaction);
}

void qw_drop_partition(querynode_world_t *self)
{
    self->part_b_dropped = true;
    s_put_collection(self);
    flush_destroy(&self->flush);
    flush_destroy(&self->compaction);
    for (size_t i = 0; i < self->segs.len; i++) {
        seg_t *seg = qw_seg(self, i);
        if (seg->partition != QW_PART_B)
            continue;
        live_drop(self->incarnation, seg->id);
        seg->sealed = seg->flushed = true;
    }
    Elanus__Segment **records = NULL;
    size_t n = s_records(self, &self->ctx, &records);
    for (size_t i = 0; i < n; i++)
        if (records[i]->partition == QW_PART_B) {
            records[i]->state = ELANUS__SEGMENT_STATE__SEGMENT_DROPPED;
            s_put(self, s_seg_key(self, records[i]->id), records[i]);
        }
    for (size_t i = 0; i < self->n_rows; i++)
        if (self->rows[i].partition == QW_PART_B)
            self->rows[i].died = 0;
}

/* Each of them where it was, or anywhere; what is dropped keeps its place, or loses it. */
void qw_place(querynode_world_t *self)
{
    ctx_t ctx;
    ctx_init(&ctx);
    Elanus__Segment **records = NULL;
    size_t n = s_records(self, &ctx, &records);
    Elanus__Placement placement = ELANUS__PLACEMENT__INIT;
    placement.replica = 9;
    placement.collection = QW_COLL;
    placement.places = ctx_new(&ctx, (n + 1) * sizeof *placement.places);
    for (size_t i = 0; i < n; i++) {
        size_t node = rng_below(&self->rng, 8) ? (size_t)(records[i]->id % self->n_nodes)
                                               : (size_t)rng_below(&self->rng, self->n_nodes);
        bool flushed = records[i]->state == ELANUS__SEGMENT_STATE__SEGMENT_FLUSHED;
        if ((!flushed && rng_below(&self->rng, 2)) || !qw_lives(self, node))
            continue;
        Elanus__Place *place = ctx_new(&ctx, sizeof *place);
        elanus__place__init(place);
        place->segment = records[i]->id;
        place->node = QW_NODE + node;
        placement.places[placement.n_places++] = place;
    }
    s_put(self, "place/500/9", &placement);
    ctx_fini(&ctx);
}

size_t qw_flushed(const querynode_world_t *self)
{
    querynode_world_t *w = (querynode_world_t *)self;
    Elanus__Segment **records = NULL;
    size_t n = s_records(w, &w->ctx, &records), flushed = 0;
    for (size_t i = 0; i < n; i++)
        flushed += records[i]->state == ELANUS__SEGMENT_STATE__SEGMENT_FLUSHED;
    return flushed;
}

const char *qw_object(const querynode_world_t *self, const char *prefix)
{
    querynode_world_t *w = (querynode_world_t *)self;
    store_list_t list;
    check(store_list(&w->ctx, w->store, prefix, NULL, 10, &list) == OK);
    return list.n ? list.at[0].key : NULL;
}

/* --- crashes ----------------------------------------------------------------------------- */

void qw_free_segs(querynode_world_t *w)
{
    live_drop_all(w->incarnation);
    for (size_t i = 0; i < w->segs.len; i++)
        growing_unref(&qw_seg(w, i)->rows);
    w->segs.len = 0;
}

static bool s_known(Elanus__Segment *const *records, size_t n, uint64_t id)
{
    for (size_t i = 0; i < n; i++)
        if (records[i]->id == id)
            return true;
    return false;
}

/* Rows of segments that metadata does not know, and then what was deleted. */
static void s_replay(querynode_world_t *w)
{
    Elanus__Segment **records = NULL;
    size_t n = s_records(w, &w->ctx, &records);
    seg_t *seg = NULL;
    for (size_t i = 0; i < w->n_rows; i++) {
        const row_t *row = &w->rows[i];
        if (row->seq <= w->ckpt_seq || s_known(records, n, row->segment) ||
            (w->part_b_dropped && row->partition == QW_PART_B))
            continue;
        seg = NULL;
        for (size_t k = 0; k < w->segs.len; k++)
            seg = qw_seg(w, k)->id == row->segment ? qw_seg(w, k) : seg;
        if (!seg) {
            segment_id_t id = { QW_COLL, row->partition, row->segment };
            seg = vec_push(&w->segs, &(seg_t){ .id = row->segment, .partition = row->partition,
                                               .first_seq = row->seq,
                                               .rows = growing_new(w->schema, id) });
            live_put(w->incarnation, seg->rows);
        }
        seg->last_seq = row->seq;
        s_append(w, seg->rows, &row->pk, 1, row->ts);
    }
    for (size_t i = 0; i < w->n_runs; i++)
        if (w->runs[i].seq > w->ckpt_seq)
            s_apply_delete(w, &w->runs[i]);
}

void qw_crash(querynode_world_t *self)
{
    flush_destroy(&self->flush);
    flush_destroy(&self->compaction);
    qw_free_segs(self);
    for (size_t i = 0; i < self->parked.len; i++)
        qw_reply_later(self, ((parked_t *)vec_at(&self->parked, i))->call, ERR_OUTCOME_UNKNOWN,
                       NULL);
    qw_park_free(self);
    for (size_t i = 0; i < self->held.len; i++) {
        pending_t *p = *(pending_t **)vec_at(&self->held, i);
        qw_reply_later(self, p, ERR_OUTCOME_UNKNOWN, NULL);
        qw_pending_free(p);
    }
    self->held.len = 0;
    self->incarnation++;
    self->epoch++;
    qw_show_owner(self);
    s_replay(self);
    s_put_owner(self);
}

static int s_by_pk(const void *a, const void *b)
{
    const row_t *x = *(row_t *const *)a, *y = *(row_t *const *)b;
    return x->pk != y->pk ? (x->pk > y->pk) - (x->pk < y->pk) : (x->ts > y->ts) - (x->ts < y->ts);
}

const char *qw_wrong(querynode_world_t *self, const qw_answer_t *answer, bool count,
                     uint64_t partition)
{
    static char text[512];
    row_t **seen = mem_new((self->n_rows + 1) * sizeof *seen);
    size_t n = 0;
    for (size_t i = 0; i < self->n_rows; i++) {
        row_t *row = &self->rows[i];
        if (self->ttl && row->ts + ((uint64_t)self->ttl * 1000 << 18) < answer->read_ts)
            continue;
        if (row->ts <= answer->read_ts && row->died > answer->read_ts &&
            (partition == 0 || row->partition == partition))
            seen[n++] = row;
    }
    qsort(seen, n, sizeof *seen, s_by_pk);
    text[0] = '\0';
    if (answer->err != OK)
        snprintf(text, sizeof text, "error %s: %s", err_name(answer->err), answer->text);
    else if (count && answer->count != n)
        snprintf(text, sizeof text, "%zu rows there, %llu counted", n,
                 (unsigned long long)answer->count);
    else if (!count && answer->n != n)
        snprintf(text, sizeof text, "%zu rows there, %zu read", n, answer->n);
    for (size_t i = 0; !count && !text[0] && i < n; i++)
        if (answer->pks[i] != seen[i]->pk || answer->ts[i] != seen[i]->ts)
            snprintf(text, sizeof text, "row %zu is %lld@%llu, not %lld@%llu", i,
                     (long long)answer->pks[i], (unsigned long long)answer->ts[i],
                     (long long)seen[i]->pk, (unsigned long long)seen[i]->ts);
    mem_free(seen);
    return text[0] ? text : NULL;
}
