/* index_node - see index_node.h
 *
 *     BUILD ─► WAITING ──room──► RUNNING ──job──► ENDED: the answer is kept
 *                 └────────────────┴── a newer attempt, nobody asks, a stop: cancelled ─► ENDED
 *
 * A task is an attempt at a build.  Who asks for one that is known joins it: the
 * question starts the work once, whoever repeats it, be it another leader.
 * An attempt that has ended is never begun again, so that its objects are put
 * once; its answer is kept for a time in which a coord that had asked for it
 * must have come back.  A task that nobody asks about is given up: its segment
 * was dropped, or its build moved elsewhere while we were not heard.
 */
#include "indexnode/index_node.h"

#include <inttypes.h>
#include <stdio.h>

#include "core/base/limits.h"
#include "core/node/member.h"
#include "core/wire/pb.h"
#include "indexnode/build_job.h"

enum { TIMER_INDEX_LOOK = 100, TIMER_INDEX_STOP = 101 };
enum { LOOK_MS = 200, UNASKED_MS = 30000 };

typedef enum { TASK_WAITING, TASK_RUNNING, TASK_ENDED } task_state_t;

typedef struct {
    net_from_t from;
    int64_t until_ms;
} asker_t;

typedef struct {
    uint64_t build, attempt;
    task_state_t state;
    build_job_t *job;           /* until it has ended; owned */
    const char *cancelled;      /* why; NULL: it is not */
    vec_t askers;               /* of asker_t */
    int64_t asked_ms;           /* somebody asked, or waited, last */
    int64_t began_us;           /* for /metrics */
    buf_t answer;               /* ENDED: a packed Built */
} task_t;

typedef struct index_count {
    metrics_t *to;
    metrics_cell_t *total, *good, *failed, *build_ms;
} index_count_t;

struct index_node {
    member_t member;            /* first: shared by all roles */
    index_options_t options;
    vec_t tasks;                /* of task_t *, owned, in the order they came */
    size_t running;
    uint64_t taken_bytes;       /* by what runs */
    uint64_t n_done, n_failed;
    index_count_t count;
    bool stopping, left, looking;
};

/* --- metrics ------------------------------------------------------------------------------ */

static void s_count_init(index_count_t *self, const node_self_t *who)
{
    static const double s_long_ms[] = { 1, 10, 50, 100, 500, 1000, 5000, 10000, 20000, 50000,
                                        100000, 250000, 600000, 1800000, 3600000, 10000000 };
    char node[24];
    snprintf(node, sizeof node, "%llu", (unsigned long long)who->id);
    metrics_family_t *tasks = metrics_counter(who->metrics, "milvus_indexnode_index_task_count",
        "index builds begun here and how they ended; status total is all of them",
        "node_id,status");
    self->to = who->metrics;
    self->total = metrics_cell(tasks, node, "total");
    self->good = metrics_cell(tasks, node, "success");
    self->failed = metrics_cell(tasks, node, "fail");
    self->build_ms = metrics_cell(metrics_histogram(who->metrics,
        "milvus_indexnode_build_index_latency", "reading a field, building its index, putting the "
        "objects, in ms", "node_id", s_long_ms, ARRAY_LEN(s_long_ms)), node);
}

/* --- tasks -------------------------------------------------------------------------------- */

static task_t *s_at(const index_node_t *self, size_t i)
{
    return *(task_t **)vec_at(&self->tasks, i);
}

/* The newest attempt at a build. */
static task_t *s_find(const index_node_t *self, uint64_t build)
{
    task_t *found = NULL;
    for (size_t i = 0; i < self->tasks.len; i++) {
        task_t *task = s_at(self, i);
        if (task->build == build && (!found || task->attempt > found->attempt))
            found = task;
    }
    return found;
}

static size_t s_count(const index_node_t *self, task_state_t state)
{
    size_t n = 0;
    for (size_t i = 0; i < self->tasks.len; i++)
        n += s_at(self, i)->state == state;
    return n;
}

static void s_free(task_t *task)
{
    build_job_destroy(&task->job);
    vec_fini(&task->askers);
    buf_fini(&task->answer);
    mem_free(task);
}

/* The oldest answers go when there are too many. */
static void s_trim(index_node_t *self)
{
    size_t ended = s_count(self, TASK_ENDED);
    for (size_t i = 0; i < self->tasks.len && ended > LIMIT_BUILDS_KEPT; ) {
        task_t *task = s_at(self, i);
        if (task->state != TASK_ENDED) {
            i++;
            continue;
        }
        vec_remove(&self->tasks, i);
        s_free(task);
        ended--;
    }
}

/* --- answers ------------------------------------------------------------------------------- */

static void s_failure(Elanus__Built *built, err_t err, const char *text)
{
    built->state = ELANUS__BUILD_STATE__BUILD_FAILED;
    built->err = (int32_t)err;
    built->error = (char *)text;
}

static void s_tell_running(task_t *task, net_from_t from, const event_t *ev, actions_t *act)
{
    Elanus__Built built = ELANUS__BUILT__INIT;
    built.id = task->build;
    built.attempt = task->attempt;
    built.state = ELANUS__BUILD_STATE__BUILD_RUNNING;
    built.percent = task->state == TASK_RUNNING ? build_job_percent(task->job) : 0;
    act_reply(act, from, pb_pack(ev->ctx, &built));
}

/* What becomes of the task is said to all who wait, and kept. */
static void s_ends(index_node_t *self, task_t *task, err_t err, const char *text,
                   const event_t *ev, actions_t *act)
{
    Elanus__Built built = ELANUS__BUILT__INIT;
    built.id = task->build;
    built.attempt = task->attempt;
    if (err == OK) {
        built.state = ELANUS__BUILD_STATE__BUILD_DONE;
        built.n_objects = build_job_objects(task->job, ev->ctx, &built.objects);
        built.bytes = build_job_bytes(task->job);
        built.percent = 100;
    } else {
        s_failure(&built, task->cancelled ? ERR_CANCELED : err,
                  task->cancelled ? task->cancelled : text);
    }
    self->n_done += err == OK;
    self->n_failed += err != OK;
    metrics_add(self->count.total, 1);
    metrics_add(err == OK ? self->count.good : self->count.failed, 1);
    if (err == OK)
        (void)metrics_took_ms(self->count.build_ms, task->began_us);
    view_t packed = pb_pack(ev->ctx, &built);
    buf_add(&task->answer, packed.ptr, packed.len);
    task->state = TASK_ENDED;
    build_job_destroy(&task->job);
    for (size_t i = 0; i < task->askers.len; i++)
        act_reply(act, ((asker_t *)vec_at(&task->askers, i))->from, packed);
    task->askers.len = 0;
    log_event(err == OK ? LOG_INFO : LOG_WARN, err == OK ? "build_done" : "build_failed",
              "build=%" PRIu64 " attempt=%" PRIu64 " bytes=%" PRIu64 " why=\"%s\"", task->build,
              task->attempt, built.bytes, built.error);
}

/* --- working ------------------------------------------------------------------------------- */

static void s_start(index_node_t *self, const event_t *ev, actions_t *act);

static void s_worked(void *node, void *arg, const event_t *ev, actions_t *act)
{
    index_node_t *self = node;
    task_t *task = arg;
    self->running--;
    self->taken_bytes -= build_job_need(task->job);
    s_ends(self, task, ev->err, ev->text, ev, act);
    s_trim(self);
    s_start(self, ev, act);
}

/* In the order they came; one that does not fit beside what runs makes the others wait, or it
 * would wait for ever. */
static void s_start(index_node_t *self, const event_t *ev, actions_t *act)
{
    for (size_t i = 0; i < self->tasks.len && self->running < self->options.parallel; i++) {
        task_t *task = s_at(self, i);
        if (task->state != TASK_WAITING)
            continue;
        uint64_t need = build_job_need(task->job);
        uint64_t most = self->options.memory_bytes;
        if (most && self->running > 0 && self->taken_bytes + need > most)
            return;
        task->state = TASK_RUNNING;
        self->running++;
        self->taken_bytes += need;
        task->began_us = metrics_began(self->count.to);
        log_event(LOG_INFO, "build_begins", "build=%" PRIu64 " attempt=%" PRIu64 " segment=%"
                  PRIu64 " rows=%" PRIu64, task->build, task->attempt,
                  build_job_ask(task->job)->segment->id, build_job_ask(task->job)->segment->rows);
        act_compute(act, build_job_run, task->job,
                    wait_once(self->member.waits, act, s_worked, task));
    }
    (void)ev;
}

/* One that runs ends when its worker has noticed. */
static void s_cancel(index_node_t *self, task_t *task, const char *why, const event_t *ev,
                     actions_t *act)
{
    if (task->state == TASK_ENDED || task->cancelled)
        return;
    task->cancelled = why;
    if (task->state == TASK_RUNNING)
        build_job_cancel(task->job);
    else
        s_ends(self, task, ERR_CANCELED, why, ev, act);
}

/* --- questions ------------------------------------------------------------------------------- */

static void s_refuse(const Elanus__BuildAsk *ask, err_t err, const char *text, const event_t *ev,
                     actions_t *act)
{
    Elanus__Built built = ELANUS__BUILT__INIT;
    built.id = ask->build->id;
    built.attempt = ask->build->attempt;
    s_failure(&built, err, text);
    act_reply(act, ev->call.from, pb_pack(ev->ctx, &built));
}

/* Room for one more; else why not, as an answer that makes the coord try again.  One that takes
 * too much by a guess only runs alone. */
static err_t s_admit(const index_node_t *self, const build_job_t *job, ctx_t *ctx)
{
    uint64_t need = build_job_need_least(job), most = self->options.memory_bytes;
    unsigned long long id = (unsigned long long)self->member.self->id;
    if (most && need > most)
        return ctx_fail(ctx, ERR_RESOURCE_INSUFFICIENT, "an index of segment %" PRIu64 " takes "
                        "%" PRIu64 " MiB to build, indexnode-%llu has %" PRIu64 " MiB for builds "
                        "(elanus.index.memory)", build_job_ask(job)->segment->id, need >> 20, id,
                        most >> 20);
    if (s_count(self, TASK_WAITING) >= LIMIT_BUILDS_WAITING)
        return ctx_fail(ctx, ERR_QUEUE_FULL, "%d builds wait at indexnode-%llu already",
                        LIMIT_BUILDS_WAITING, id);
    return OK;
}

/* job is moved. */
static task_t *s_add(index_node_t *self, build_job_t *job)
{
    const Elanus__Build *build = build_job_ask(job)->build;
    task_t *task = mem_new(sizeof *task);
    *task = (task_t){ .build = build->id, .attempt = build->attempt, .job = job };
    vec_init(&task->askers, sizeof(asker_t));
    vec_push(&self->tasks, &task);
    return task;
}

static void s_look_soon(index_node_t *self, actions_t *act)
{
    if (self->looking)
        return;
    self->looking = true;
    act_timer(act, TIMER_INDEX_LOOK, LOOK_MS);
}

/* One more who wants to know; the answer comes when it is there, or after wait_ms. */
static void s_join(index_node_t *self, task_t *task, int64_t wait_ms, const event_t *ev,
                   actions_t *act)
{
    task->asked_ms = ev->now_ms;
    if (task->state == TASK_ENDED) {
        act_reply(act, ev->call.from, buf_view(&task->answer));
    } else if (wait_ms <= 0 || task->askers.len >= LIMIT_BUILD_ASKERS) {
        s_tell_running(task, ev->call.from, ev, act);
    } else {
        vec_push(&task->askers, &(asker_t){ .from = ev->call.from,
                                            .until_ms = ev->now_ms + wait_ms });
        s_look_soon(self, act);
    }
}

/* An attempt that is new here; job is moved. */
static void s_take(index_node_t *self, build_job_t *job, const event_t *ev, actions_t *act)
{
    const Elanus__BuildAsk *ask = build_job_ask(job);
    task_t *known = s_find(self, ask->build->id);
    if (known && known->attempt < ask->build->attempt)
        s_cancel(self, known, "a newer attempt was begun", ev, act);
    err_t err = s_admit(self, job, ev->ctx);
    if (err != OK) {
        s_refuse(ask, err, ev->ctx->text, ev, act);
        build_job_destroy(&job);
        return;
    }
    task_t *task = s_add(self, job);
    s_join(self, task, ask->wait_ms, ev, act);
    s_start(self, ev, act);
}

static void s_build(index_node_t *self, build_job_t **job_p, const event_t *ev, actions_t *act)
{
    const Elanus__BuildAsk *ask = build_job_ask(*job_p);
    task_t *known = s_find(self, ask->build->id);
    if (ask->build->incarnation != self->member.self->incarnation)
        act_refuse(act, ev->call.from, ERR_NODE_NOT_MATCH, "indexnode-%llu has restarted since "
                   "it was given this build", (unsigned long long)self->member.self->id);
    else if (known && known->attempt > ask->build->attempt)
        s_refuse(ask, ERR_CANCELED, "a newer attempt was begun", ev, act);
    else if (known && known->attempt == ask->build->attempt)
        s_join(self, known, ask->wait_ms, ev, act);
    else
        s_take(self, take(*job_p), ev, act);
}

static void s_call(index_node_t *self, const event_t *ev, actions_t *act)
{
    if (ev->call.method != ELANUS__METHOD__METHOD_BUILD) {
        act_refuse(act, ev->call.from, ERR_UNIMPLEMENTED, "indexnode has no method %u",
                   ev->call.method);
        return;
    }
    if (self->stopping) {
        act_refuse(act, ev->call.from, ERR_SERVICE_NOT_READY, "indexnode-%llu is stopping",
                   (unsigned long long)self->member.self->id);
        return;
    }
    build_job_options_t options = { .store = self->options.store, .pool = self->options.pool,
                                    .threads = self->options.threads };
    build_job_t *job = NULL;
    err_t err = build_job_new(ev->ctx, &options, ev->call.payload, &job);
    if (err != OK) {
        act_refuse(act, ev->call.from, err, "%s", ev->ctx->text);
        return;
    }
    s_build(self, &job, ev, act);
    build_job_destroy(&job);
}

static void s_cancelled(index_node_t *self, net_from_t from)
{
    for (size_t t = 0; t < self->tasks.len; t++) {
        vec_t *askers = &s_at(self, t)->askers;
        for (size_t i = askers->len; i-- > 0; ) {
            const asker_t *asker = vec_at(askers, i);
            if (asker->from.link == from.link && asker->from.request_id == from.request_id)
                vec_remove(askers, i);
        }
    }
}

/* --- from time to time ----------------------------------------------------------------------- */

static void s_look_at(index_node_t *self, task_t *task, const event_t *ev, actions_t *act)
{
    if (task->askers.len)
        task->asked_ms = ev->now_ms;
    for (size_t i = task->askers.len; i-- > 0; ) {
        const asker_t asker = *(const asker_t *)vec_at(&task->askers, i);
        if (asker.until_ms > ev->now_ms)
            continue;
        vec_remove(&task->askers, i);
        s_tell_running(task, asker.from, ev, act);
    }
    if (ev->now_ms - task->asked_ms >= UNASKED_MS)
        s_cancel(self, task, "nobody has asked about this build for a while", ev, act);
}

static void s_look(index_node_t *self, const event_t *ev, actions_t *act)
{
    self->looking = false;
    bool open = false;
    for (size_t i = 0; i < self->tasks.len; i++) {
        task_t *task = s_at(self, i);
        if (task->state == TASK_ENDED)
            continue;
        s_look_at(self, task, ev, act);
        open |= task->state != TASK_ENDED;
    }
    if (open)
        s_look_soon(self, act);
}

/* --- the end -------------------------------------------------------------------------------- */

static void s_cancel_all(index_node_t *self, task_state_t state, const event_t *ev, actions_t *act)
{
    for (size_t i = 0; i < self->tasks.len; i++)
        if (s_at(self, i)->state == state)
            s_cancel(self, s_at(self, i), "this index node is stopping", ev, act);
}

/* What waits is built elsewhere; what runs may come to its end, for a while. */
static void s_stop(index_node_t *self, const event_t *ev, actions_t *act)
{
    if (self->stopping)
        return;
    self->stopping = true;
    s_cancel_all(self, TASK_WAITING, ev, act);
    act_timer(act, TIMER_INDEX_STOP, self->options.stop_ms);
}

/* Nothing runs any more: the member says goodbye. */
static void s_leave(index_node_t *self, const event_t *ev, actions_t *act)
{
    if (self->left || self->running > 0)
        return;
    self->left = true;
    event_t stop = { .kind = EV_STOP, .now_ms = ev->now_ms, .wall_ms = ev->wall_ms,
                     .ctx = ev->ctx, .text = "" };
    member_step(&self->member, self, &stop, act);
}

static void s_timer(index_node_t *self, const event_t *ev, actions_t *act)
{
    if (ev->timer == TIMER_INDEX_LOOK)
        s_look(self, ev, act);
    else if (ev->timer == TIMER_INDEX_STOP)
        s_cancel_all(self, TASK_RUNNING, ev, act);
}

/* --- for those who look in -------------------------------------------------------------------- */

static void s_inspect(const void *node, const Elanus__InspectAsk *ask, ctx_t *ctx,
                      Elanus__Inspection *into)
{
    const index_node_t *self = node;
    if (!ask->state)
        return;
    into->builds = ctx_new(ctx, (self->tasks.len + 1) * sizeof into->builds[0]);
    for (size_t i = 0; i < self->tasks.len; i++) {
        const task_t *task = s_at(self, i);
        if (task->state == TASK_ENDED)
            continue;
        Elanus__BuildView *view = ctx_new(ctx, sizeof *view);
        elanus__build_view__init(view);
        view->id = task->build;
        view->attempt = task->attempt;
        view->percent = task->state == TASK_RUNNING ? build_job_percent(task->job) : 0;
        into->builds[into->n_builds++] = view;
    }
}

/* --- life ----------------------------------------------------------------------------------- */

static void *s_make(const node_self_t *who, const void *options)
{
    index_node_t *self = mem_new(sizeof *self);
    member_init(&self->member, who);
    self->member.figures = index_role.figures;
    s_count_init(&self->count, who);
    self->member.inspect = s_inspect;
    self->options = *(const index_options_t *)options;
    vec_init(&self->tasks, sizeof(task_t *));
    return self;
}

static void s_end(void *node)
{
    index_node_t *self = node;
    pool_destroy(&self->options.pool);
    for (size_t i = 0; i < self->tasks.len; i++)
        s_free(s_at(self, i));
    vec_fini(&self->tasks);
    member_fini(&self->member);
    mem_free(self);
}

static void s_dispatch(index_node_t *self, const event_t *ev, actions_t *act)
{
    if (ev->kind == EV_STOP)                    /* the member's when nothing runs */
        s_stop(self, ev, act);
    else if (member_step(&self->member, self, ev, act))
        return;
    else if (ev->kind == EV_CALL)
        s_call(self, ev, act);
    else if (ev->kind == EV_TIMER)
        s_timer(self, ev, act);
    else if (ev->kind == EV_CANCELLED)
        s_cancelled(self, ev->call.from);
}

static void s_step(void *node, const event_t *ev, actions_t *act)
{
    index_node_t *self = node;
    s_dispatch(self, ev, act);
    if (self->stopping)
        s_leave(self, ev, act);
}

static bool s_ready(const void *node)
{
    return ((const index_node_t *)node)->member.state == MEMBER_JOINED;
}

size_t index_node_running(const index_node_t *self) { return self->running; }
size_t index_node_waiting(const index_node_t *self) { return s_count(self, TASK_WAITING); }

static int64_t s_running(const void *node) { return (int64_t)index_node_running(node); }
static int64_t s_waiting(const void *node) { return (int64_t)index_node_waiting(node); }

#define FIGURE(of) \
    static int64_t s_##of(const void *node) { return (int64_t)((const index_node_t *)node)->of; }
FIGURE(taken_bytes)
FIGURE(n_done)
FIGURE(n_failed)
#undef FIGURE

static const figure_t s_figures[] = {
    { "elanus_index_builds_running", "indexes that are being built here", s_running },
    { "elanus_index_builds_waiting", "builds that wait for their turn", s_waiting },
    { "elanus_index_builds_bytes", "memory that the running ones take, about", s_taken_bytes },
    { "elanus_index_builds_done_total", "indexes built since the start", s_n_done },
    { "elanus_index_builds_failed_total", "builds that failed or were given up", s_n_failed },
    { NULL, NULL, NULL },
};

const role_t index_role = {
    .name = "indexnode", .make = s_make, .step = s_step, .end = s_end, .ready = s_ready,
    .figures = s_figures,
};
