/* data_count - what a data node shows on /metrics: its logs, its fence, what it flushes
 *
 * Cells are made once, so that counting is an atomic add; without a registry
 * they are NULL and nothing is counted.  docs/metrics.md lists the names.
 */
#ifndef DATANODE_DATA_COUNT_H
#define DATANODE_DATA_COUNT_H

#include "core/node/node.h"
#include "core/wal/wal_meter.h"
#include "elanus.pb-c.h"

typedef struct data_node data_node_t;

typedef struct data_count {
    metrics_t *to;
    char node[24];              /* node_id */
    wal_meter_t wal;
    metrics_cell_t *commit_ms, *stalls, *takeovers, *lost;
    metrics_cell_t *questions, *question_ms, *refused, *unanswered;
    metrics_cell_t *inserted, *deleted;
    metrics_cell_t *flushes, *flushes_good, *flushes_failed, *flushed_rows, *flushed_bytes;
    metrics_cell_t *save_ms, *merge_ms, *merges, *merges_failed;
    metrics_family_t *epoch, *pending, *stalled, *checkpoint;
    metrics_cell_t *shards, *logs;
} data_count_t;

void data_count_init(data_count_t *self, const node_self_t *who);

/* member_t.tell */
void data_count_tell(const void *node, ctx_t *ctx, Elanus__NodeStatus *into);

/* role_t.measure */
void data_count_measure(void *node, int64_t wall_ms);

#endif
