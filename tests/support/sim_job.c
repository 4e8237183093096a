/* sim_job - jobs of simulated nodes as fibers, and what happens by itself
 *
 * A job begins some time after it was asked for, waits in simulated time wherever it reads or
 * writes (sim_job_wait), and its node hears of its end some time after that.  When the node
 * dies its jobs are run to their ends at once, every wait over and nothing done any more, so
 * that they give back what they hold.
 */
#include "tests/support/sim_fiber.h"
#include "tests/support/sim_int.h"

static void s_run(void *arg)
{
    sim_job_t *job = arg;
    job->err = job->ask.fn(&job->ctx, job->ask.item);
}

sim_job_t *sim_job_here(const sim_t *self)
{
    return sim_fiber_here() ? self->job : NULL;
}

void sim_job_begin(sim_t *self, int n, const action_t *action)
{
    sim_job_t *job = mem_new(sizeof *job);
    *job = (sim_job_t){ .sim = self, .node = n, .ask = *action };
    job->generation = self->nodes[n].generation;
    ctx_init(&job->ctx);
    job->fiber = sim_fiber_new(s_run, job);
    vec_push(&self->nodes[n].jobs, &job);
    sim_job_wake(job, sim_latency(self) / 4);
}

void sim_job_wake(sim_job_t *job, int64_t after_us)
{
    item_t *item = sim_item(job->sim, I_JOB, job->node, after_us);
    item->job = job;
    sim_push(job->sim, item);
}

static void s_detach(sim_job_t *job)
{
    vec_t *jobs = &job->sim->nodes[job->node].jobs;
    for (size_t i = 0; i < jobs->len; i++) {
        if (*(sim_job_t **)vec_at(jobs, i) == job) {
            vec_remove(jobs, i);
            return;
        }
    }
}

static void s_free(sim_job_t *job)
{
    ctx_fini(&job->ctx);
    sim_fiber_destroy(&job->fiber);
    mem_free(job);
}

static bool s_resume(sim_job_t *job)
{
    sim_t *self = job->sim;
    self->job = job;
    self->at = job->node;
    job->began = true;
    job->ended = sim_fiber_resume(job->fiber);
    self->job = NULL;
    self->at = -1;
    return job->ended;
}

static void s_tell(sim_job_t *job)
{
    event_t ev = { .kind = EV_JOB, .cookie = job->ask.cookie, .err = job->err,
                   .text = job->ctx.text };
    ev.item = job->ask.item;
    s_detach(job);              /* the step may be the node's last */
    sim_step(job->sim, job->node, &ev);
    s_free(job);
}

void sim_job_run(sim_t *self, item_t *item)
{
    sim_job_t *job = item->job;
    sim_item_free(item);
    sim_note(self, job->ended ? "job-ends" : "job", job->node, job->ask.cookie);
    if (job->ended)
        s_tell(job);
    else if (s_resume(job))
        sim_job_wake(job, sim_latency(self) / 4);
}

bool sim_job_wait(sim_t *self, int64_t us)
{
    sim_job_t *job = sim_job_here(self);
    check(job != NULL);
    if (job->doomed)
        return false;
    sim_job_wake(job, us);
    sim_fiber_yield();
    return !job->doomed;
}

void sim_job_give_way(sim_t *self)
{
    sim_job_t *job = sim_job_here(self);
    check(job != NULL);
    if (!job->doomed)
        sim_job_wake(job, 100);
    sim_fiber_yield();
}

void sim_jobs_end(sim_t *self, int n)
{
    vec_t *jobs = &self->nodes[n].jobs;
    for (size_t i = 0; i < jobs->len; i++)
        (*(sim_job_t **)vec_at(jobs, i))->doomed = true;
    while (jobs->len > 0) {     /* in turn: one may hold what another waits for */
        for (size_t i = jobs->len; i-- > 0; ) {
            sim_job_t *job = *(sim_job_t **)vec_at(jobs, i);
            if (!job->ended && job->began && !s_resume(job))
                continue;
            s_detach(job);
            s_free(job);
        }
    }
}

/* --- what happens by itself --------------------------------------------------------- */

void sim_after(sim_t *self, int64_t us, sim_deed_fn *fn, void *arg)
{
    item_t *item = sim_item(self, I_DEED, 0, us);
    item->deed = fn;
    item->deed_arg = arg;
    sim_push(self, item);
}

void sim_deed_run(sim_t *self, item_t *item)
{
    sim_deed_fn *fn = item->deed;
    void *arg = item->deed_arg;
    sim_item_free(item);
    fn(self, arg);
}

/* --- clients ------------------------------------------------------------------------ */

bool sim_post(sim_t *self, int n, void *item)
{
    if (!self->nodes[n].alive)
        return false;
    item_t *post = sim_item(self, I_EVENT, n, sim_latency(self));
    post->ev = (event_t){ .kind = EV_ITEM };
    post->ev.item = item;
    sim_push(self, post);
    return true;
}
