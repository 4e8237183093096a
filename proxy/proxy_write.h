/* proxy_write - rows and deletes on their way to the owners of their channels
 *
 *     start ─► work ─► for each channel that anything goes to:
 *                        owner known? ──no──► news ──► look again
 *                          │ yes
 *                        object made (work) ─► METHOD_WRITE ─► Written
 *                          ▲                       │ moved, lost, too busy
 *                          └──────── wait ◄────────┘
 *
 * `work` is what costs: reading the rows, sorting them, making the objects.
 * Small requests do it in the step, others on a compute thread.  A request has
 * one number, in every object and every repetition, so an owner that has done it
 * answers again instead of doing it twice; that makes it safe to repeat after
 * any loss, by whoever owns the channel then.
 *
 * The call is answered when every channel has answered, or failed for good, or
 * time is up.  One that failed fails the call, although others may have taken
 * their part: a request is atomic by channel only, as in Milvus.
 */
#ifndef PROXY_PROXY_WRITE_H
#define PROXY_PROXY_WRITE_H

#include "proxy/proxy_int.h"
#include "proxy/write_plan.h"

typedef struct write_channel write_channel_t;

/* Fill in the plan: in a step or on a compute thread, so it touches nothing but the write and
 * its call's arena, where its error text goes too. */
typedef err_t write_prepare_fn(proxy_write_t *write);

/* In the step: all channels have answered OK. */
typedef void write_done_fn(proxy_node_t *self, proxy_write_t *write, actions_t *act);

struct proxy_write {
    proxy_write_t *prev, *next; /* of the node's list */
    proxy_call_t *call;
    write_prepare_fn *prepare;
    write_done_fn *done;
    write_plan_t plan;          /* holds the schema */
    rows_t rows;                /* inserts and upserts */
    rows_kind_t kind;
    uint64_t first_id, n_ids;   /* taken for automatic keys */
    void (*forget)(proxy_write_t *write);       /* when it ends, whatever way; may be NULL */
    void *arg;                  /* the caller's */
    uint64_t ts;                /* of what was written: the latest */
    int64_t give_up_ms;
    int64_t numbering_us;       /* since when; for /metrics */

    write_channel_t *channels;  /* [plan.n_shards] */
    bool planned, working, waiting;
    size_t n_asked;             /* channels with a call under way */
    err_t err;                  /* of the first that failed for good */
};

/* A write to this collection; everything needed of it is copied.  The caller fills in the rest
 * of the plan and starts it.  It answers the call and is gone by itself. */
proxy_write_t *proxy_write_new(proxy_node_t *self, proxy_call_t *call,
                               const Elanus__Collection *coll, const event_t *ev, actions_t *act);
void proxy_write_start(proxy_node_t *self, proxy_write_t *write, const event_t *ev,
                       actions_t *act);

/* End it, and its call, before it was started. */
void proxy_write_fail(proxy_node_t *self, proxy_write_t *write, actions_t *act, err_t err,
                      const char *text);

#endif
