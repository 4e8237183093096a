/* query_read_count - what a query node shows on /metrics, by Milvus's names
 *
 * Of a read: how long it waited for its instant and for a thread, how long its
 * own part took, how long all of it.  OnLeader is what a proxy asks a shard's
 * leader for, FromLeader what a leader asks of a node that holds segments.
 */
#ifndef QUERYNODE_QUERY_READ_COUNT_H
#define QUERYNODE_QUERY_READ_COUNT_H

#include "core/node/node.h"
#include "elanus.pb-c.h"

typedef struct query_read query_read_t;

typedef struct query_count {
    metrics_t *to;
    char node[24];              /* node_id */
    metrics_family_t *requests, *latency, *core, *segment, *queued, *waited, *reduced;
    metrics_family_t *segments, *entities, *bytes;
    metrics_cell_t *nq, *topk, *load_ms, *load_failed, *evicted;
    metrics_cell_t *colls, *partitions, *led, *held, *channels, *unsolved, *ready, *running,
                   *disk, *deletes;
} query_count_t;

void query_count_init(query_count_t *self, const node_self_t *who);

/* It has arrived; its timestamp is reached; it has a thread; its own part is done; it ends. */
void query_count_arrived(query_read_t *read);
void query_count_reached(query_read_t *read);
void query_count_started(query_read_t *read);
void query_count_ran(query_read_t *read);
void query_count_ended(query_read_t *read, err_t err);

/* On any thread: one part of it, or the answers of several nodes put together. */
void query_count_part(const query_read_t *read, int64_t began_us);
void query_count_merged(const query_read_t *read, int64_t began_us);

/* member_t.tell: what is held, by partition */
void query_count_tell(const void *node, ctx_t *ctx, Elanus__NodeStatus *into);

/* role_t.measure */
void query_count_measure(void *node, int64_t wall_ms);

#endif
