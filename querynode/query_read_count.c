/* query_read_count - see query_read_count.h */
#include "querynode/query_read_count.h"

#include <stdio.h>

#include "querynode/query_read_int.h"

static const double s_powers[] = { 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192,
                                   16384 };

#define LATENCY(name, help, labels) \
    metrics_histogram(self->to, name, help, labels, metrics_latency_ms, METRICS_LATENCY_N)
#define GAUGE(name, help) \
    metrics_cell(metrics_gauge(self->to, name, help, "node_id"), self->node)

static void s_init_reads(query_count_t *self)
{
    metrics_t *to = self->to;
    self->requests = metrics_counter(to, "milvus_querynode_sq_req_count",
        "searches and queries and how they ended; status total is all of them",
        "node_id,query_type,status,scope,collection_id");
    self->latency = LATENCY("milvus_querynode_sq_req_latency",
        "from arrival to answer, in ms", "node_id,query_type,scope");
    self->waited = LATENCY("milvus_querynode_sq_wait_tsafe_latency",
        "waiting until the rows of the asked instant are here, in ms", "node_id,query_type");
    self->queued = LATENCY("milvus_querynode_sq_queue_latency",
        "waiting for a thread, in ms", "node_id,query_type");
    self->core = LATENCY("milvus_querynode_sq_core_latency",
        "this node's own part, from its first job to its last, in ms", "node_id,query_type");
    self->segment = LATENCY("milvus_querynode_sq_segment_latency",
        "one segment, or a part of one, on one thread, in ms", "node_id,query_type");
    self->reduced = LATENCY("milvus_querynode_sq_reduce_latency",
        "putting together what several nodes found, in ms", "node_id,query_type");
    self->nq = metrics_cell(metrics_histogram(to, "milvus_querynode_search_nq",
        "vectors of a search", "node_id", s_powers, ARRAY_LEN(s_powers)), self->node);
    self->topk = metrics_cell(metrics_histogram(to, "milvus_querynode_search_topk",
        "hits that a search asks for", "node_id", s_powers, ARRAY_LEN(s_powers)), self->node);
    self->evicted = metrics_cell(metrics_counter(to, "milvus_querynode_read_evicted_count",
        "reads refused because too many were here", "node_id"), self->node);
}

static void s_init_segments(query_count_t *self)
{
    metrics_t *to = self->to;
    self->load_ms = metrics_cell(LATENCY("milvus_querynode_load_segment_latency",
        "opening a flushed segment, in ms", "node_id"), self->node);
    self->load_failed = metrics_cell(metrics_counter(to,
        "elanus_querynode_load_failures_total", "segments that could not be opened, by try",
        "node_id"), self->node);
    self->segments = metrics_gauge(to, "milvus_querynode_segment_num", "segments held",
        "node_id,collection_id,segment_state,segment_level");
    self->entities = metrics_gauge(to, "milvus_querynode_entity_num",
        "rows of the segments held, deleted ones too",
        "db_name,collection_name,node_id,collection_id,segment_state");
    self->bytes = metrics_gauge(to, "milvus_querynode_entity_size",
        "bytes of the segments held, in memory or mapped", "node_id,collection_id,segment_state");
}

static void s_init_gauges(query_count_t *self)
{
    self->colls = GAUGE("milvus_querynode_collection_num", "collections served");
    self->partitions = GAUGE("milvus_querynode_partition_num",
                             "partitions of which something is held");
    self->led = GAUGE("milvus_querynode_dml_vchannel_num", "shards this node leads");
    self->held = GAUGE("milvus_querynode_delta_vchannel_num",
                       "shards of which it holds segments and follows deletes only");
    self->channels = GAUGE("milvus_querynode_flowgraph_num", "shards it follows, both kinds");
    self->unsolved = GAUGE("milvus_querynode_read_task_unsolved_len",
                           "reads that wait for their instant");
    self->ready = GAUGE("milvus_querynode_read_task_ready_len", "reads that wait for a thread");
    self->running = GAUGE("milvus_querynode_read_task_concurrency", "reads at work");
    self->disk = GAUGE("milvus_querynode_disk_used_size",
                       "MiB of local copies of indexes");
    self->deletes = GAUGE("milvus_querynode_delete_buffer_size",
                          "bytes of deletes kept for segments to come");
}

void query_count_init(query_count_t *self, const node_self_t *who)
{
    *self = (query_count_t){ .to = who->metrics };
    snprintf(self->node, sizeof self->node, "%llu", (unsigned long long)who->id);
    if (!self->to)
        return;
    s_init_reads(self);
    s_init_segments(self);
    s_init_gauges(self);
}

/* --- a read ------------------------------------------------------------------------------- */

static const char *s_kind(const query_read_t *read)
{
    return read->search ? "search" : "query";
}

static void s_took(const query_read_t *read, metrics_family_t *of, int64_t began_us)
{
    const query_count_t *self = &read->node->counted;
    if (began_us)
        (void)metrics_took_ms(metrics_cell(of, self->node, s_kind(read)), began_us);
}

void query_count_arrived(query_read_t *read)
{
    const query_count_t *self = &read->node->counted;
    read->arrived_us = metrics_began(self->to);
    if (!read->search)
        return;
    metrics_observe(self->nq, (double)read->search->nq);
    metrics_observe(self->topk, (double)read->search->topk);
}

void query_count_reached(query_read_t *read)
{
    if (read->reached_us)
        return;                                 /* it was looked at before */
    s_took(read, read->node->counted.waited, read->arrived_us);
    read->reached_us = metrics_began(read->node->counted.to);
}

void query_count_started(query_read_t *read)
{
    query_count_reached(read);
    s_took(read, read->node->counted.queued, read->reached_us);
    read->started_us = metrics_began(read->node->counted.to);
}

void query_count_ran(query_read_t *read)
{
    s_took(read, read->node->counted.core, read->started_us);
}

void query_count_part(const query_read_t *read, int64_t began_us)
{
    s_took(read, read->node->counted.segment, began_us);
}

void query_count_merged(const query_read_t *read, int64_t began_us)
{
    s_took(read, read->node->counted.reduced, began_us);
}

void query_count_ended(query_read_t *read, err_t err)
{
    const query_count_t *self = &read->node->counted;
    const Elanus__ReadView *view = read->need.view;
    if (!self->to || !view)
        return;
    char coll[24];
    const char *scope = view->n_segments ? "FromLeader" : "OnLeader", *kind = s_kind(read);
    snprintf(coll, sizeof coll, "%llu", (unsigned long long)view->collection);
    const char *id = map_get_u64(read->node->colls, view->collection) ? coll : "";
    metrics_add(metrics_cell(self->requests, self->node, kind, "total", scope, id), 1);
    metrics_add(metrics_cell(self->requests, self->node, kind,
                             err == OK ? "success" : err == ERR_CANCELED ? "cancel" : "fail", scope,
                             id), 1);
    (void)metrics_took_ms(metrics_cell(self->latency, self->node, kind, scope), read->arrived_us);
}

/* --- what is held ------------------------------------------------------------------------- */

typedef struct sums {
    size_t n[3];                /* sealed by level, 0: not told */
    uint64_t rows, bytes, growing, growing_rows, growing_bytes;
} sums_t;

static void s_add_channel(const query_node_t *node, const query_channel_t *ch, sums_t *sums,
                          map_t *partitions)
{
    void *value = NULL;
    for (size_t at = 0; map_next(ch->pieces, &at, NULL, &value); ) {
        const query_piece_t *piece = value;
        if (!piece->able)
            continue;
        const Elanus__Segment *record = segments_get(node->segments, piece->id, NULL);
        sums->n[record && record->level < 3 ? record->level : 0]++;
        sums->rows += sealed_rows(piece->sealed);
        sums->bytes += piece->counted;
        map_put_u64(partitions, piece->partition, partitions);
    }
    for (size_t i = 0; i < ch->growing.len; i++) {
        const query_growing_t *growing = vec_at(&ch->growing, i);
        if (!growing->held)
            continue;
        sums->growing++;
        sums->growing_rows += growing_rows(growing->held);
        sums->growing_bytes += growing_bytes(growing->held);
        map_put_u64(partitions, growing->partition, partitions);
    }
}

static void s_show_state(const query_node_t *node, uint64_t id, const char *state, uint64_t rows,
                         uint64_t bytes)
{
    const query_count_t *self = &node->counted;
    const Elanus__Collection *coll = catalog_collection_by_id(node->catalog, id);
    const Elanus__Database *db = coll ? catalog_database_by_id(node->catalog, coll->db_id) : NULL;
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)id);
    metrics_set(metrics_cell(self->entities, db ? db->name : "", coll ? coll->name : "",
                             self->node, text, state), (double)rows);
    metrics_set(metrics_cell(self->bytes, self->node, text, state), (double)bytes);
}

static void s_show_coll(const query_node_t *node, const query_coll_t *coll, map_t *partitions)
{
    static const char *const s_levels[] = { "", "L1", "L2" };
    const query_count_t *self = &node->counted;
    sums_t sums = {0};
    char id[24];
    snprintf(id, sizeof id, "%llu", (unsigned long long)coll->id);
    for (size_t i = 0; i < coll->channels.len; i++)
        s_add_channel(node, *(query_channel_t **)vec_at(&coll->channels, i), &sums, partitions);
    for (size_t level = 0; level < ARRAY_LEN(s_levels); level++)
        if (sums.n[level])
            metrics_set(metrics_cell(self->segments, self->node, id, "Sealed", s_levels[level]),
                        (double)sums.n[level]);
    metrics_set(metrics_cell(self->segments, self->node, id, "Growing", "L1"),
                (double)sums.growing);
    s_show_state(node, coll->id, "Sealed", sums.rows, sums.bytes);
    s_show_state(node, coll->id, "Growing", sums.growing_rows, sums.growing_bytes);
}

static void s_show_colls(const query_node_t *node)
{
    const query_count_t *self = &node->counted;
    metrics_family_t *const families[] = { self->segments, self->entities, self->bytes };
    map_t *partitions = map_new();
    void *coll = NULL;
    for (size_t i = 0; i < ARRAY_LEN(families); i++)
        metrics_mark(families[i]);
    for (size_t at = 0; map_next(node->colls, &at, NULL, &coll); )
        s_show_coll(node, coll, partitions);
    for (size_t i = 0; i < ARRAY_LEN(families); i++)
        metrics_sweep(families[i]);
    metrics_set(self->partitions, (double)map_len(partitions));
    map_destroy(&partitions);
}

void query_count_measure(void *of, int64_t wall_ms)
{
    const query_node_t *node = of;
    const query_count_t *self = &node->counted;
    size_t led = 0;
    void *channel = NULL;
    (void)wall_ms;
    s_show_colls(node);
    for (size_t at = 0; map_next(node->channels, &at, NULL, &channel); )
        led += ((const query_channel_t *)channel)->replica != 0;
    metrics_set(self->colls, (double)map_len(node->colls));
    metrics_set(self->led, (double)led);
    metrics_set(self->held, (double)(map_len(node->channels) - led));
    metrics_set(self->channels, (double)map_len(node->channels));
    metrics_set(self->unsolved, (double)node->n_waiting);
    metrics_set(self->ready, (double)node->queued.n);
    metrics_set(self->running, (double)node->n_running);
    metrics_set(self->deletes, (double)node->count.run_bytes);
    if (node->options.copies)
        metrics_set(self->disk, (double)copies_bytes(node->options.copies) / (1 << 20));
}

void query_count_tell(const void *of, ctx_t *ctx, Elanus__NodeStatus *into)
{
    const query_node_t *node = of;
    void *channel = NULL, *value = NULL;
    for (size_t at = 0; map_next(node->channels, &at, NULL, &channel); ) {
        const query_channel_t *ch = channel;
        for (size_t i = 0; map_next(ch->pieces, &i, NULL, &value); ) {
            const query_piece_t *piece = value;
            if (piece->able && ch->coll)
                member_add_stock(ctx, into, node->count.segments, ch->coll->id, piece->partition,
                                 sealed_rows(piece->sealed), piece->counted);
        }
        for (size_t i = 0; i < ch->growing.len; i++) {
            const query_growing_t *growing = vec_at(&ch->growing, i);
            into->growing_bytes += growing->held ? growing_bytes(growing->held) : 0;
        }
    }
}
