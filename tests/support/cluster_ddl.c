/* cluster_ddl - a client of the simulated cluster that makes collections and drops them
 *
 *     create ─► describe ─► index ─► load ─► progress 100 ─► insert ─► scan ─► release ─► drop
 *        ▲                                                                              │
 *        └── maybe release and load the others' collection ◄── describe: it is gone ◄──┘
 *
 * Each step is repeated until it is answered OK.  What was acknowledged must show at once.
 */
#include <inttypes.h>
#include <stdio.h>

#include "tests/support/cluster_sim.h"

enum { NOT_THERE = 100, NOT_LOADED = 101 };     /* Milvus's codes */
enum { STEP_RELEASE = 10, STEP_GONE = 12, STEP_MAIN = 13 };

typedef struct { cs_kind_t kind; bool main; } step_t;

static const step_t s_steps[] = {
    { CS_CREATE, false }, { CS_DESCRIBE, false }, { CS_INDEX, false }, { CS_LOAD, false },
    { CS_PROGRESS, false }, { CS_INSERT, false }, { CS_SCAN, false }, { CS_SCAN, false },
    { CS_UPSERT, false }, { CS_COUNT, false }, { CS_RELEASE, false }, { CS_DROP, false },
    { CS_DESCRIBE, false }, { CS_RELEASE, true }, { CS_LOAD, true }, { CS_PROGRESS, true },
};

static void s_step(cluster_sim_t *self);

static void s_go_on(sim_t *sim, void *arg)
{
    if (sim)
        s_step(arg);
}

static void s_next(cluster_sim_t *self)
{
    self->side_unsure = false;
    self->side_step++;
    bool skip_main = s_steps[self->side_step % (int)ARRAY_LEN(s_steps)].main &&
                     self->side_step == STEP_MAIN && rng_chance(sim_rng(self->sim), 0.6);
    if (skip_main || self->side_step == (int)ARRAY_LEN(s_steps))
        self->side_step = 0;
}

static int s_code(const char *why)
{
    int code = 0;
    return sscanf(why, "%d", &code) == 1 ? code : 0;
}

/* What a step's answer says besides OK; true: the step is done. */
static bool s_done(cluster_sim_t *self, const cs_request_t *request, err_t err, const char *why,
                   const ProtobufCMessage *response)
{
    bool dropped = self->side_step == STEP_GONE;
    if (request->kind == CS_DESCRIBE && dropped && err == OK)
        row_model_wrong(self->rows, "resurrected: %s was dropped and is described",
                        request->collection);
    if (request->kind == CS_DESCRIBE && !dropped && s_code(why) == NOT_THERE)
        row_model_wrong(self->rows, "lost: %s was made and is not there: %s", request->collection,
                        why);
    if (request->kind == CS_DESCRIBE && dropped)
        return s_code(why) == NOT_THERE;
    if (request->kind == CS_CREATE && err != OK && self->side_unsure && strstr(why, "exist"))
        return true;
    if (request->kind == CS_SCAN && s_code(why) == NOT_LOADED)
        row_model_wrong(self->rows, "lost: %s was loaded and is not: %s", request->collection,
                        why);
    if (request->kind == CS_PROGRESS && err == OK)
        return ((const Milvus__GetLoadingProgressResponse *)response)->progress == 100;
    return err == OK;
}

static void s_answered(cluster_sim_t *self, cs_request_t *request, err_t err, const char *why,
                       const ProtobufCMessage *response)
{
    self->side_unsure |= err != OK;
    bool done = s_done(self, request, err, why, response);
    if (done)
        s_next(self);
    else if (request->kind == CS_INSERT)
        self->side_step = STEP_RELEASE; /* it may still happen, and would be there twice */
    else if (request->kind == CS_RELEASE && s_steps[self->side_step].main)
        s_next(self);                   /* it may have happened: what all need is loaded again */
    sim_after(self->sim, done ? 5000 : 150000, s_go_on, self);
}

static void s_begin_side(cluster_sim_t *self)
{
    if (self->side && row_model_verdict(self->side))
        return;
    row_model_destroy(&self->side);
    self->side = row_model_new(CS_SIDE_KEYS);
    snprintf(self->side_name, sizeof self->side_name, "side%d", self->sides++);
}

static void s_step(cluster_sim_t *self)
{
    const step_t *step = &s_steps[self->side_step];
    bool rests = self->calm && !(step->main && step->kind != CS_RELEASE);
    if (rests || cluster_sim_verdict(self)) {
        sim_after(self->sim, 300000, s_go_on, self);
        return;
    }
    if (step->kind == CS_CREATE && !self->side_unsure)
        s_begin_side(self);
    cs_request_t *request = cs_request(self, CS_DDL, step->kind, s_answered);
    if (!step->main) {
        request->collection = self->side_name;
        request->rows = self->side;
    }
    bool writes = step->kind == CS_INSERT || step->kind == CS_UPSERT;
    for (size_t i = 0; writes && i < CS_SIDE_KEYS; i++) {
        request->keys[request->n] = i;
        request->versions[request->n++] = ++self->versions;
        row_model_begin(self->side, i, self->versions, CS_DDL, sim_now_us(self->sim));
    }
    cs_send(request);
}

void cs_ddl_start(cluster_sim_t *self)
{
    self->clients[CS_DDL] = (cs_client_t){ .no = CS_DDL, .world = self };
    sim_after(self->sim, 500000, s_go_on, self);
}
