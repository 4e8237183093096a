/* bench_data - what a write costs the data node's thread
 *
 *     build/release/bench/bench_data [DIR]       log below DIR (default /tmp)
 *
 * The step function alone, with a log on the real disk: small writes (one row of 16 bytes and
 * an id) arrive while a commit runs on another thread, as they do in the daemon; then
 * inserts of 60 MiB one after the other, beside a memcpy of as much.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/fault.h"
#include "core/wire/pb.h"
#include "tests/support/data_world.h"

enum { SMALL = 200000, LARGE = 6, LARGE_ROWS = 60 << 10, TEXT_BYTES = 1000 };

static char g_dir[256];

static err_t s_open_disk(ctx_t *ctx, void *arg, const char *pchannel, wal_disk_t **ret)
{
    (void)arg;
    return wal_disk_open(ctx, ctx_printf(ctx, "%s/%s", g_dir, pchannel), ret);
}

/* --- a commit on a thread of its own, as the host's workers do it ---------------------------- */

typedef struct {
    pthread_t thread;
    ctx_t ctx;
    action_t ask;
    err_t err;
    _Atomic bool done;
    bool there;
} worker_t;

typedef struct {
    void *node;
    actions_t act;
    worker_t worker;
    size_t answered, jobs;
    err_t refused;
} bench_t;

static void *s_run(void *arg)
{
    worker_t *worker = arg;
    worker->err = worker->ask.fn(&worker->ctx, worker->ask.item);
    atomic_store(&worker->done, true);
    return NULL;
}

static void s_act(bench_t *self)
{
    for (size_t i = 0; i < self->act.list.len; i++) {
        const action_t *action = vec_at(&self->act.list, i);
        if (action->kind == ACT_REPLY) {
            self->answered++;
            self->refused = action->err != OK ? action->err : self->refused;
        } else if (action->kind == ACT_JOB) {
            check(!self->worker.there);
            self->worker = (worker_t){ .ask = *action, .there = true };
            ctx_init(&self->worker.ctx);
            check(pthread_create(&self->worker.thread, NULL, s_run, &self->worker) == 0);
            self->jobs++;
        }
    }
    actions_reset(&self->act);
}

static void s_step(bench_t *self, event_t *ev)
{
    ctx_t ctx;
    ctx_init(&ctx);
    ev->now_ms = clock_mono_ms();
    ev->wall_ms = clock_wall_ms();
    ev->ctx = &ctx;
    ev->text = "";
    data_role.step(self->node, ev, &self->act);
    ctx_fini(&ctx);
    s_act(self);
}

/* Take what the worker has done; wait for it when `wait`. */
static void s_poll(bench_t *self, bool wait)
{
    worker_t *worker = &self->worker;
    if (!worker->there || (!wait && !atomic_load(&worker->done)))
        return;
    pthread_join(worker->thread, NULL);
    event_t ev = { .kind = EV_JOB, .cookie = worker->ask.cookie, .err = worker->err };
    ctx_fini(&worker->ctx);
    worker->there = false;
    s_step(self, &ev);
}

static void s_write(bench_t *self, view_t payload)
{
    static const net_peer_t peer;
    event_t ev = { .kind = EV_CALL };
    ev.call.peer = &peer;
    ev.call.method = ELANUS__METHOD__METHOD_WRITE;
    ev.call.payload = payload;
    ev.call.deadline_ms = INT64_MAX;
    s_step(self, &ev);
}

/* Copies of one request under ids of their own. */
static void s_payloads(buf_t *all, size_t *at, size_t n)
{
    rows_t rows = { .kind = WAL_INSERT, .n = 1, .text_bytes = 16 };
    for (size_t i = 0; i < n; i++) {
        at[i] = all->len;
        rows.first = (int64_t)i;
        dw_bytes(&rows, i + 1, all);
    }
    at[n] = all->len;
}

static double s_cpu_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static void s_small(bench_t *self)
{
    buf_scoped all;
    buf_init(&all, 0);
    size_t *at = mem_new((SMALL + 1) * sizeof *at);
    s_payloads(&all, at, SMALL);
    self->answered = self->jobs = 0;
    double cpu = s_cpu_us();
    int64_t start = clock_mono_ns();
    for (size_t i = 0; i < SMALL; i++) {
        s_write(self, view_of(all.ptr + at[i], at[i + 1] - at[i]));
        s_poll(self, false);
    }
    while (self->worker.there)
        s_poll(self, true);
    double us = (double)(clock_mono_ns() - start) / 1e3;
    cpu = s_cpu_us() - cpu;
    check(self->answered == SMALL && self->refused == OK);
    printf("small writes    %.0f/s, %.2f us of the node's thread each, %zu commits\n",
           SMALL / us * 1e6, cpu / SMALL, self->jobs);
    mem_free(at);
}

static void s_large(bench_t *self)
{
    buf_scoped bytes;
    buf_init(&bytes, 0);
    rows_t rows = { .kind = WAL_INSERT, .n = LARGE_ROWS, .text_bytes = TEXT_BYTES };
    dw_bytes(&rows, 0, &bytes);
    uint8_t *copy = mem_new(bytes.len);
    memcpy(copy, bytes.ptr, bytes.len);
    int64_t start = clock_mono_ns();
    memcpy(copy, bytes.ptr, bytes.len);
    double copy_ms = (double)(clock_mono_ns() - start) / 1e6;
    double arrive = 0, commit = 0, apply = 0;
    for (int i = 0; i < LARGE; i++) {
        int64_t t0 = clock_mono_ns();
        s_write(self, buf_view(&bytes));
        int64_t t1 = clock_mono_ns();
        while (!atomic_load(&self->worker.done))
            clock_sleep_ms(1);
        int64_t t2 = clock_mono_ns();
        s_poll(self, true);
        arrive += (double)(t1 - t0) / 1e6 / LARGE;
        commit += (double)(t2 - t1) / 1e6 / LARGE;
        apply += (double)(clock_mono_ns() - t2) / 1e6 / LARGE;
    }
    check(self->refused == OK);
    printf("%zu MiB inserts  arrive %.1f ms, commit %.1f ms (worker), apply %.1f ms; a memcpy "
           "takes %.1f ms\n", bytes.len >> 20, arrive, commit, apply, copy_ms);
    mem_free(copy);
}

int main(int argc, char **argv)
{
    snprintf(g_dir, sizeof g_dir, "%s/elanus-bench-data-XXXXXX", argc > 1 ? argv[1] : "/tmp");
    if (!mkdtemp(g_dir)) {
        perror(g_dir);
        return 1;
    }
    log_set_level(LOG_FATAL);
    dw_up(NULL);
    data_world.options.open_disk = s_open_disk;
    data_world.options.wal_file_bytes = 0;
    dw_open_well();
    bench_t bench = { .node = sim_node(data_world.sim, DATA_WORLD_NODE) };
    actions_init(&bench.act);
    bench.act.next_cookie = 1ull << 40;         /* none that the simulator has given */
    s_small(&bench);
    s_large(&bench);
    actions_fini(&bench.act);
    dw_down(NULL);
    buf_scoped command;
    buf_init(&command, 0);
    buf_addf(&command, "rm -r '%s'", g_dir);
    return system(buf_str(&command));
}
