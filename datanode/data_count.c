/* data_count - see data_count.h */
#include "datanode/data_count.h"

#include <stdio.h>

#include "datanode/data_int.h"

static const double s_entries[] = { 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000 };
static const double s_bytes[] = { 1e3, 1e4, 1e5, 2.5e5, 1e6, 2.5e6, 1e7, 2.5e7, 1e8 };
static const double s_long_ms[] = { 1, 5, 10, 20, 50, 100, 250, 500, 1000, 2000, 5000, 10000,
                                    20000, 50000, 60000, 300000, 600000, 3600000, 10000000 };
/* A local disk answers within a millisecond, a store does not. */
static const double s_put_ms[] = { 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 3000, 10000 };

#define COUNTER(name, help) \
    metrics_cell(metrics_counter(self->to, name, help, "node_id"), self->node)
#define LABELLED(name, help, label, value) \
    metrics_cell(metrics_counter(self->to, name, help, "node_id," label), self->node, value)
#define HISTOGRAM(name, help, bounds) \
    metrics_cell(metrics_histogram(self->to, name, help, "node_id", bounds, ARRAY_LEN(bounds)), \
                 self->node)

static void s_init_log(data_count_t *self)
{
    self->wal.to = self->to;
    self->wal.puts = COUNTER("elanus_wal_puts_total",
        "writes of logs: objects put, or groups synced to disk");
    self->wal.failed = COUNTER("elanus_wal_put_failures_total", "and those that failed");
    self->wal.put_ms = HISTOGRAM("elanus_wal_put_latency", "of one such write, in ms", s_put_ms);
    self->wal.entries = HISTOGRAM("elanus_wal_put_entries", "entries in one of them", s_entries);
    self->wal.bytes = HISTOGRAM("elanus_wal_put_bytes", "bytes of one of them", s_bytes);
    self->commit_ms = HISTOGRAM("elanus_wal_commit_latency", "from a request's arrival in the log "
        "to its answer: put, and asked whether the channel is still ours; in ms", s_put_ms);
    self->stalls = COUNTER("elanus_wal_stalls_total",
        "times a channel stalled: its log could not be written");
    self->takeovers = COUNTER("elanus_channel_takeovers_total",
        "channels this node took over: opened under another epoch than the first");
    self->lost = COUNTER("elanus_channel_losses_total",
        "channels this node lost to another owner");
}

static void s_init_fence(data_count_t *self)
{
    self->questions = COUNTER("elanus_fence_questions_total",
        "questions to the metadata whether channels are still this node's");
    self->question_ms = HISTOGRAM("elanus_fence_latency", "of one question, in ms", s_put_ms);
    self->refused = COUNTER("elanus_fence_refused_total",
        "questions answered no: another node owns a channel");
    self->unanswered = COUNTER("elanus_fence_unanswered_total", "questions without an answer");
}

static void s_init_rows(data_count_t *self)
{
    self->inserted = LABELLED("milvus_datanode_msg_rows_count",
        "rows and deletes applied from the log", "msg_type", "insert");
    self->deleted = LABELLED("milvus_datanode_msg_rows_count",
        "rows and deletes applied from the log", "msg_type", "delete");
    static const char s_flushes[] = "flushes of segments and how they ended; total is all of them";
    self->flushes = LABELLED("milvus_datanode_flush_req_count", s_flushes, "status", "total");
    self->flushes_good = LABELLED("milvus_datanode_flush_req_count", s_flushes, "status",
                                  "success");
    self->flushes_failed = LABELLED("milvus_datanode_flush_req_count", s_flushes, "status", "fail");
    self->flushed_rows = LABELLED("milvus_datanode_flushed_data_rows", "rows of flushed segments",
                                  "data_source", "streaming");
    self->flushed_bytes = LABELLED("milvus_datanode_flushed_data_size",
                                   "bytes of their objects", "data_source", "streaming");
    self->save_ms = metrics_cell(metrics_histogram(self->to, "milvus_datanode_save_latency",
        "putting the objects of a segment, in ms", "node_id,msg_type", s_long_ms,
        ARRAY_LEN(s_long_ms)), self->node, "insert");
    self->merge_ms = metrics_cell(metrics_histogram(self->to, "milvus_datanode_compaction_latency",
        "of one compaction, in ms", "node_id,compaction_type", s_long_ms, ARRAY_LEN(s_long_ms)),
        self->node, "MixCompaction");
    self->merges = LABELLED("elanus_data_compactions_total", "compactions and how they ended",
                            "status", "success");
    self->merges_failed = LABELLED("elanus_data_compactions_total",
                                   "compactions and how they ended", "status", "fail");
}

static void s_init_channels(data_count_t *self)
{
    self->epoch = metrics_gauge(self->to, "elanus_channel_epoch",
        "epoch under which this node owns the channel", "node_id,channel_name");
    self->pending = metrics_gauge(self->to, "elanus_channel_pending_bytes",
        "writes that wait for its log", "node_id,channel_name");
    self->stalled = metrics_gauge(self->to, "elanus_channel_stalled",
        "1 while its log cannot be written", "node_id,channel_name");
    self->checkpoint = metrics_gauge(self->to, "elanus_channel_checkpoint_seconds",
        "time of the channel's checkpoint, since 1970: a replay begins there",
        "node_id,channel_name");
    self->shards = metrics_cell(metrics_gauge(self->to, "milvus_datanode_flowgraph_num",
        "shards of collections in the channels this node owns", "node_id"), self->node);
    self->logs = metrics_cell(metrics_gauge(self->to, "milvus_datanode_producer_num",
        "logs this node writes", "node_id"), self->node);
}

void data_count_init(data_count_t *self, const node_self_t *who)
{
    *self = (data_count_t){ .to = who->metrics };
    snprintf(self->node, sizeof self->node, "%llu", (unsigned long long)who->id);
    if (!self->to)
        return;
    s_init_log(self);
    s_init_fence(self);
    s_init_rows(self);
    s_init_channels(self);
}

static void s_show(const data_count_t *self, const data_channel_t *channel)
{
    metrics_set(metrics_cell(self->epoch, self->node, channel->name), (double)channel->epoch);
    metrics_set(metrics_cell(self->pending, self->node, channel->name),
                (double)channel->pending_bytes);
    metrics_set(metrics_cell(self->stalled, self->node, channel->name), channel->stalled);
    if (channel->ckpt_ts)
        metrics_set(metrics_cell(self->checkpoint, self->node, channel->name),
                    (double)(channel->ckpt_ts >> 18) / 1000);
}

void data_count_measure(void *of, int64_t wall_ms)
{
    const data_node_t *node = of;
    const data_count_t *self = &node->count;
    metrics_family_t *const families[] = { self->epoch, self->pending, self->stalled,
                                           self->checkpoint };
    size_t n = 0, shards = 0;
    (void)wall_ms;
    for (size_t i = 0; i < ARRAY_LEN(families); i++)
        metrics_mark(families[i]);
    for (size_t i = 0; i < node->all.len; i++) {
        const data_channel_t *channel = *(data_channel_t **)vec_at(&node->all, i);
        if (channel->state != CHANNEL_ACTIVE)
            continue;
        s_show(self, channel);
        n++;
        shards += map_len(channel->shards);
    }
    for (size_t i = 0; i < ARRAY_LEN(families); i++)
        metrics_sweep(families[i]);
    metrics_set(self->logs, (double)n);
    metrics_set(self->shards, (double)shards);
}

void data_count_tell(const void *node, ctx_t *ctx, Elanus__NodeStatus *into)
{
    (void)ctx;
    into->growing_bytes = ((const data_node_t *)node)->bytes;
}
