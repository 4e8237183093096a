/* sim - a whole cluster in one thread, from a seed
 *
 * Runs the shipping step functions of real roles in a world that is made up:
 * time jumps from event to event, messages and metadata calls take drawn
 * times, links are cut, processes die, freeze and come back.  The metadata is
 * the memory driver on simulated time.  Everything that happens is decided by
 * the seed; two runs of a seed give the same sim_hash, and ELANUS_SIM_TRACE=1
 * prints every event.
 *
 * What the real net does and the simulated one keeps: a call ends in exactly
 * one reply or a timeout, is sent again with its id when a link heals or the
 * callee restarts, and is done once by each incarnation of the callee; a link
 * whose peer dies turns suspect at the next heartbeat, one whose peer is cut
 * off or frozen after five.
 *
 * With `fibers` a job is not one instant: it waits in simulated time at each
 * read and write (sim_store.h), beside all else that happens.
 */
#ifndef TESTS_SUPPORT_SIM_H
#define TESTS_SUPPORT_SIM_H

#include "core/node/node.h"

typedef struct sim sim_t;

typedef struct sim_options {
    uint64_t seed;
    double meta_lost;           /* chance that a metadata answer is lost (outcome unknown) */
    bool same_clocks;           /* of all nodes, all incarnations; else each is off by its own */
    int64_t skew_ms;            /* at most; 0: an hour */
    bool strip_guards;          /* planted bug: leaders write without the election's guard */
    bool fibers;                /* jobs take their time (sim_fiber.h) */
    double meta_slow;           /* chance that a metadata operation takes seconds */
    void (*item)(sim_t *sim, void *arg, int node, void *item);  /* ACT_ITEM; moved */
    void *item_arg;
    void (*verify)(sim_t *sim, void *arg);  /* after every step */
    void *verify_arg;
} sim_options_t;

typedef void sim_deed_fn(sim_t *sim, void *arg);

sim_t *sim_new(const sim_options_t *options);
void sim_destroy(sim_t **self_p);

/* A node that is not started yet; its number. */
int  sim_add(sim_t *self, const role_t *role);
int  sim_add_with(sim_t *self, const role_t *role, const void *options);    /* borrowed */
void sim_start(sim_t *self, int node);      /* a new incarnation */
void sim_kill(sim_t *self, int node);       /* kill -9 */
void sim_stop(sim_t *self, int node);       /* SIGTERM */
void sim_pause(sim_t *self, int node);      /* SIGSTOP */
void sim_resume(sim_t *self, int node);
bool sim_alive(const sim_t *self, int node);
bool sim_paused(const sim_t *self, int node);
void *sim_node(const sim_t *self, int node);            /* NULL when dead */
const node_self_t *sim_self(const sim_t *self, int node);
int  sim_nodes(const sim_t *self);

/* Messages from a to b are lost while cut; cut both ways with two calls. */
void sim_cut(sim_t *self, int from, int to, bool cut);
void sim_cut_meta(sim_t *self, int node, bool cut);     /* node cannot reach metadata */
void sim_heal(sim_t *self);                             /* all cuts end, all pauses too */

/* Its watches are lost and begin anew: a reset, and everything again. */
void sim_relist(sim_t *self, int node);

/* An EV_ITEM for a node: it stays the caller's.  False: the node is dead. */
bool sim_post(sim_t *self, int node, void *item);

/* Call fn then, whatever became of the nodes; without sim when the world ends before. */
void sim_after(sim_t *self, int64_t us, sim_deed_fn *fn, void *arg);

int64_t sim_now_ms(const sim_t *self);
int64_t sim_now_us(const sim_t *self);
int64_t sim_node_now_ms(const sim_t *self, int node);   /* by its own clock */
void sim_run(sim_t *self, int64_t ms);                  /* this much simulated time */

/* Run until done(sim, arg) or until ms have passed; true when done. */
bool sim_until(sim_t *self, int64_t ms, bool (*done)(sim_t *sim, void *arg), void *arg);

rng_t *sim_rng(sim_t *self);
meta_t *sim_meta(sim_t *self);
uint64_t sim_hash(const sim_t *self);                   /* of everything that happened */
uint64_t sim_steps(const sim_t *self);

/* A key outside session/, leader/ and owner/ was written by a coordinator that did not
 * hold the leader key at that moment: how often.  Must stay 0. */
uint64_t sim_unguarded_writes(const sim_t *self);

#endif
