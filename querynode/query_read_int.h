/* query_read_int - a read between its arrival and its answer
 *
 *     arrives ──► WAITING for its timestamp ──► QUEUED for a thread ──► RUNNING ──► answered
 *                    ▲                                                     │            ▲
 *                    └── some node failed or lacks what it should have ── GATHERING ────┘
 *
 * GATHERING is a read whose own part is done, and that waits for what other nodes found
 * (query_read_fan.c); it takes no thread's place.
 *
 * RUNNING is one job, or as many as there are idle threads and parts.  Each takes the next part
 * until none is left; the one that ends last merges and writes the answer, so that nothing but
 * the answer itself comes back to the node's thread.
 */
#ifndef QUERYNODE_QUERY_READ_INT_H
#define QUERYNODE_QUERY_READ_INT_H

#include "querynode/querynode_int.h"

typedef enum {
    READ_WAITING, READ_QUEUED, READ_RUNNING, READ_GATHERING,
} query_read_state_t;

typedef struct query_job {
    query_read_t *read;
    ctx_t ctx;
} query_job_t;

struct query_read {
    query_node_t *node;
    query_read_state_t state;
    query_read_t *prev, *next;  /* in list, WAITING and QUEUED */
    query_reads_t *list;
    net_from_t from;
    ctx_t ctx;                  /* the request, and its deadline */
    size_t request_bytes;
    Elanus__Search *search;     /* one of both */
    Elanus__Query *query;
    query_need_t need;
    bool cancelled;
    int64_t arrived_us, reached_us, started_us;     /* for /metrics */

    /* RUNNING */
    uint64_t read_ts, expire_ts;
    schema_t *schema;           /* owned */
    vec_t sources;              /* of query_source_t, with references */
    expr_t *filter;             /* owned; NULL: all rows */
    search_plan_t search_plan;  /* one of both, and its search */
    retrieve_plan_t retrieve_plan;
    column_t pks;
    search_t *searching;
    retrieve_t *retrieving;
    size_t n_parts, n_jobs, jobs_out;
    query_job_t *jobs;          /* [n_jobs], owned */
    _Atomic size_t next_part, jobs_left;
    _Atomic(ctx_t *) failed;    /* of the job that failed first; NULL: none did */
    buf_t answer;

    /* What other nodes do of it. */
    vec_t dists;                /* of query_dist_t *, pinned */
    vec_t calls;                /* of query_call_t *: under way */
    vec_t answers;              /* of buf_t */
    size_t n_calls, answer_bytes;
    ctx_t elsewhere;            /* the first error of those */
    bool again;                 /* it is one that passes */
    unsigned tries;
    search_found_t found;       /* one of both, when others do a part */
    retrieved_t rows;
    query_job_t merging;
};

/* --- query_read.c */

/* It cannot end well any more; ctx says why and lives as long as the read. */
void query_read_fail(query_read_t *read, ctx_t *ctx);

/* Something it waited for has ended: go on when it was the last. */
void query_read_part_ended(query_read_t *read, const event_t *ev, actions_t *act);

/* --- query_read_fan.c */

/* Ask the other nodes of the replica for their parts. */
void query_fan_out(query_read_t *read, const event_t *ev, actions_t *act);

/* Nobody waits for them any more.  act NULL: the node ends. */
void query_fan_drop(query_read_t *read, actions_t *act);

/* --- query_read_merge.c: all parts to one answer, written. */
err_t must_use query_read_merge(ctx_t *ctx, query_read_t *read);

/* --- query_read_plan.c: the request to a search or retrieve over the pinned sources.  plans NULL:
 * not on the node's thread. */
err_t must_use query_read_prepare(ctx_t *ctx, query_read_t *read, query_plans_t *plans);

/* Put together what this node found; write the answer, if no other node has a part in it. */
err_t must_use query_read_finish(ctx_t *ctx, query_read_t *read);

/* found, or rows, as the answer; they are empty then. */
err_t must_use query_read_write(ctx_t *ctx, query_read_t *read);

/* --- query_read_filter.c: the plan of a filter, one reference; *ret NULL: all rows. */
err_t must_use query_read_filter(ctx_t *ctx, query_plans_t *plans, query_read_t *read,
                                 expr_t **ret);

#endif
