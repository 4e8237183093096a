/* sim_int - what the files of the simulator share: the world and what is in it */
#ifndef TESTS_SUPPORT_SIM_INT_H
#define TESTS_SUPPORT_SIM_INT_H

#include "core/base/map.h"
#include "tests/support/sim.h"

enum {
    MOST_NODES = 16,
    HEARTBEAT_MS = 200,
    MISSED = 5,
    RESEND_MS = 300,
    META_TIMEOUT_MS = 5000,
    TICK_MS = 50,
};

typedef enum {
    I_EVENT, I_TIMER, I_META, I_CALL, I_REPLY, I_EXPIRE, I_LINK, I_JOB, I_DEED,
} item_kind_t;

/* A job of a node, on a stack of its own. */
typedef struct sim_job {
    sim_t *sim;
    int node;
    uint64_t generation;
    action_t ask;
    ctx_t ctx;
    err_t err;
    struct sim_fiber *fiber;
    bool began, ended, doomed;  /* doomed: its node is dead */
    int64_t slept_ms;           /* since then */
} sim_job_t;

typedef struct item {
    int64_t at_us;
    uint64_t number;
    item_kind_t kind;
    int node;                   /* whom it concerns */
    uint64_t generation, incarnation;
    ctx_t mem;                  /* owns what the rest points to */
    event_t ev;                 /* EVENT */
    net_peer_t peer;
    action_t ask;               /* META, JOB */
    uint64_t id;                /* CALL, REPLY, EXPIRE: the call; TIMER: its version */
    uint32_t timer;
    int link;                   /* LINK */
    bool arrived;               /* the node would have it, but is frozen */
    err_t err;                  /* REPLY */
    view_t payload;
    const char *text;
    sim_job_t *job;             /* JOB with fibers */
    sim_deed_fn *deed;          /* DEED */
    void *deed_arg;
} item_t;

typedef struct {
    uint64_t id;
    int caller, callee;
    uint64_t caller_generation, done_generation;
    uint64_t cookie;
    ctx_t mem;
    uint32_t method;
    view_t payload;
    int64_t deadline_us;
} call_t;

typedef struct {
    char endpoint[64];
    bool open, up, told;
    int missed;
} link_t;

typedef struct {
    sim_t *sim;
    int node;
    uint64_t generation, cookie;
    char *prefix;               /* owned */
    int64_t last_us;            /* batches of one watch do not overtake each other */
    meta_watch_t *watch;
} follow_t;

typedef struct {
    const role_t *role;
    const void *options;
    node_self_t self;
    char address[32];
    void *node;
    actions_t act;
    bool alive, paused, meta_cut;
    uint64_t generation;
    int64_t clock_us;           /* its clocks are off by this */
    vec_t held;                 /* of item_t *, while paused */
    vec_t unseen;               /* of item_t *: watch batches, while cut from metadata */
    vec_t links;                /* of link_t */
    vec_t follows;              /* of follow_t * */
    vec_t jobs;                 /* of sim_job_t *, with fibers */
    struct { uint32_t timer; uint64_t version; } timers[16];
} sim_node_t;

struct sim {
    sim_options_t options;
    rng_t rng;
    int64_t now_us, ticked_us;
    uint64_t numbers, hash, steps, unguarded;
    item_t **heap;
    size_t n_heap, cap_heap;
    meta_t *meta;
    map_t *calls;               /* id -> call_t */
    sim_node_t nodes[MOST_NODES];
    int n_nodes;
    bool cut[MOST_NODES][MOST_NODES];
    bool trace;
    int at;                     /* node that steps or whose job runs; -1: none */
    sim_job_t *job;             /* that runs */
};

extern sim_t *sim_current;      /* the newest; whose clock is everybody's (sim_time.c) */

/* sim.c: time, chance and the queue of what happens next */
item_t *sim_item(sim_t *self, item_kind_t kind, int node, int64_t after_us);
void sim_push(sim_t *self, item_t *item);
void sim_item_free(item_t *item);
int64_t sim_latency(sim_t *self);
void sim_note(sim_t *self, const char *what, int node, uint64_t detail);
void sim_step(sim_t *self, int n, event_t *ev);
int sim_by_address(const sim_t *self, const char *address);

/* sim_job.c: jobs as fibers */
sim_job_t *sim_job_here(const sim_t *self);     /* whose fiber runs now; NULL: none */
void sim_job_begin(sim_t *self, int n, const action_t *action);
void sim_job_wake(sim_job_t *job, int64_t after_us);
void sim_job_run(sim_t *self, item_t *item);
bool sim_job_wait(sim_t *self, int64_t us);     /* in a job; false: its node is dead */
void sim_job_give_way(sim_t *self);             /* in a job: let others run */
void sim_jobs_end(sim_t *self, int n);
void sim_deed_run(sim_t *self, item_t *item);

/* sim_net.c: calls and links */
void sim_net_call(sim_t *self, int n, const action_t *action);
void sim_net_cancel(sim_t *self, int n, uint64_t cookie);
void sim_net_reply(sim_t *self, int n, const action_t *action);
void sim_net_dial(sim_t *self, int n, const char *endpoint);
void sim_net_hang_up(sim_t *self, int n, const char *endpoint);
void sim_net_forget(sim_t *self, call_t *call);
void sim_net_run_call(sim_t *self, item_t *item);
void sim_net_run_reply(sim_t *self, item_t *item);
void sim_net_run_link(sim_t *self, item_t *item);
void sim_net_run_expire(sim_t *self, item_t *item);

/* sim_meta.c: metadata */
void sim_meta_run(sim_t *self, item_t *item);
err_t sim_meta_txn(sim_t *self, uint64_t incarnation, ctx_t *ctx, meta_txn_t txn,
                   meta_txn_result_t *ret);
void sim_meta_tick(sim_t *self);
void sim_meta_unfollow(follow_t *follow);

#endif
