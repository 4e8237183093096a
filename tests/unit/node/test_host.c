/* host: a tiny role on real sockets, workers and memory metadata.
 *
 * The role under test ("parrot") answers calls, counts its timers, writes and
 * reads a key, watches a prefix, runs a job, moves items through, and leaves
 * when told to.  Every wait is for an event, never for a time. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <semaphore.h>
#include <stdio.h>
#include <time.h>

#include "core/node/host.h"
#include "core/node/waits.h"

enum { SAY = 7, TIMER_A = 101, TIMER_B = 102, WAIT_S = 20 };

typedef struct parrot {
    const node_self_t *self;
    waits_t *waits;
    const char *friend;         /* endpoint to call; NULL: nobody */
    int64_t timers, changes, heard, jobs;
    bool read_back;
} parrot_t;

/* What the test asks of a parrot: an item that comes back through the sink. */
typedef struct wish {
    enum { WISH_ECHO, WISH_CALL, WISH_CALL_NOBODY, WISH_LEAVE } kind;
    err_t err;
    char answer[64];
    sem_t done;
} wish_t;

static err_t s_work(ctx_t *ctx, void *arg)
{
    int *number = arg;
    *number += 1;
    return *number == 42 ? OK : ctx_fail(ctx, ERR_INTERNAL, "%d is not the answer", *number);
}

static void s_worked(void *node, void *arg, const event_t *ev, actions_t *act)
{
    (void)arg, (void)act;
    parrot_t *self = node;
    self->jobs += ev->err == OK ? 1 : 100;
}

static void s_got(void *node, void *arg, const event_t *ev, actions_t *act)
{
    (void)arg;
    parrot_t *self = node;
    self->read_back = ev->err == OK && view_eq(ev->meta.item.value, view_str("seed"));
    int *number = mem_new(sizeof *number);
    *number = 41;
    act_job(act, s_work, number, wait_owned(self->waits, act, s_worked, number));
}

static void s_put(void *node, void *arg, const event_t *ev, actions_t *act)
{
    (void)arg;
    parrot_t *self = node;
    if (ev->err == OK && ev->meta.txn.applied)
        act_meta_get(act, "cage/a", wait_once(self->waits, act, s_got, NULL));
}

static void s_changed(void *node, void *arg, const event_t *ev, actions_t *act)
{
    (void)arg, (void)act;
    parrot_t *self = node;
    for (size_t i = 0; i < ev->watch.n; i++)
        self->changes += ev->watch.changes[i].kind == META_WATCH_PUT;
}

static void s_called(void *node, void *arg, const event_t *ev, actions_t *act)
{
    (void)node;
    wish_t *wish = *(wish_t **)arg;
    wish->err = ev->err;
    snprintf(wish->answer, sizeof wish->answer, "%.*s", (int)ev->payload.len,
             (const char *)ev->payload.ptr);
    act_item(act, wish);
}

static void s_wish(parrot_t *self, wish_t *wish, actions_t *act)
{
    wish_t **box = mem_new(sizeof *box);
    *box = wish;
    switch (wish->kind) {
    case WISH_CALL:
    case WISH_CALL_NOBODY:
        act_call(act, wish->kind == WISH_CALL ? self->friend : "inproc://nobody", SAY,
                 view_str("polly"), 5000, wait_owned(self->waits, act, s_called, box));
        return;
    case WISH_LEAVE:
        act_leave(act, ERR_DISK_FULL, "the cage is full");
        break;
    case WISH_ECHO:
        break;
    }
    mem_free(box);
    act_item(act, wish);
}

static void s_start(parrot_t *self, actions_t *act)
{
    meta_op_t put = { .kind = META_PUT, .key = "cage/a", .value = view_str("seed") };
    act_meta_watch(act, "cage/", wait_always(self->waits, act, s_changed, NULL));
    act_meta_txn(act, &(meta_txn_t){ .ops = &put, .n_ops = 1 },
                 wait_once(self->waits, act, s_put, NULL));
    act_timer(act, TIMER_A, 0);
    act_timer(act, TIMER_B, 1);
    act_timer(act, TIMER_B, -1);                /* disarmed: must not fire */
    if (self->friend)
        act_dial(act, self->friend, 0);
}

static void s_step(void *node, const event_t *ev, actions_t *act)
{
    parrot_t *self = node;
    switch (ev->kind) {
    case EV_START:
        s_start(self, act);
        break;
    case EV_TIMER:
        self->timers += ev->timer == TIMER_A ? 1 : 100;
        break;
    case EV_CALL:
        self->heard++;
        if (ev->call.method == SAY)
            act_reply(act, ev->call.from, ev->call.payload);
        else
            act_refuse(act, ev->call.from, ERR_UNIMPLEMENTED, "parrots say, they do not %u",
                       ev->call.method);
        break;
    case EV_ITEM:
        s_wish(self, ev->item, act);
        break;
    case EV_STOP:
        act_leave(act, OK, "");
        break;
    case EV_REPLY:
    case EV_META:
    case EV_WATCH:
    case EV_JOB:
        waits_run(self->waits, self, ev, act);
        break;
    case EV_CANCELLED:
    case EV_PEER:
        break;
    }
}

static void *s_make(const node_self_t *self, const void *options)
{
    parrot_t *parrot = mem_new(sizeof *parrot);
    parrot->self = self;
    parrot->waits = waits_new();
    parrot->friend = options;
    return parrot;
}

static void s_end(void *node)
{
    parrot_t *self = node;
    waits_destroy(&self->waits);
    mem_free(self);
}

/* Ready: everything that EV_START set off has come back. */
static bool s_ready(const void *node)
{
    const parrot_t *self = node;
    return self->timers == 1 && self->changes >= 1 && self->read_back && self->jobs == 1;
}

static int64_t s_heard(const void *node) { return ((const parrot_t *)node)->heard; }

static const figure_t s_figures[] = {
    { "parrot_heard", "calls heard", s_heard },
    { NULL, NULL, NULL },
};

static const role_t s_parrot = {
    .name = "parrot", .make = s_make, .step = s_step, .end = s_end, .ready = s_ready,
    .figures = s_figures,
};

/* --- fixture --- */

typedef struct fixture {
    ctx_t ctx;
    meta_t *meta;
    pool_t *io;
    sem_t left;
} fixture_t;

static void s_sink(void *arg, void *item)
{
    (void)arg;
    sem_post(&((wish_t *)item)->done);
}

static void s_on_left(void *arg)
{
    sem_post(&((fixture_t *)arg)->left);
}

static bool s_await(sem_t *sem)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += WAIT_S;
    return sem_timedwait(sem, &until) == 0;
}

static host_t *s_hatch(fixture_t *fx, const char *listen, const char *friend)
{
    host_options_t options = {
        .role = &s_parrot, .role_options = friend, .listen = listen, .meta = fx->meta,
        .io = fx->io, .sink = s_sink, .left = s_on_left, .left_arg = fx,
        .self = { .role = "parrot", .cluster = "cage", .id = friend ? 2 : 1,
                  .incarnation = friend ? 22 : 11, .heartbeat_ms = 50 },
    };
    host_t *host = NULL;
    assert_int_equal(host_open(&fx->ctx, &options, &host), OK);
    host_start(host);
    assert_true(host_wait_ready(host, WAIT_S * 1000));
    return host;
}

static int s_up(void **state)
{
    fixture_t *fx = mem_new(sizeof *fx);
    ctx_init(&fx->ctx);
    fx->meta = meta_memory_new(NULL, NULL);
    fx->io = pool_new("io", 2);
    sem_init(&fx->left, 0, 0);
    *state = fx;
    return 0;
}

static int s_down(void **state)
{
    fixture_t *fx = *state;
    pool_destroy(&fx->io);
    meta_destroy(&fx->meta);
    sem_destroy(&fx->left);
    ctx_fini(&fx->ctx);
    mem_free(fx);
    return 0;
}

static void s_grant(host_t *host, wish_t *wish)
{
    sem_init(&wish->done, 0, 0);
    assert_true(host_post(host, wish));
    assert_true(s_await(&wish->done));
    sem_destroy(&wish->done);
}

static void s_stop(fixture_t *fx, host_t **host_p, err_t want)
{
    host_stop(*host_p);
    assert_int_equal(host_wait(&fx->ctx, *host_p), want);
    assert_true(s_await(&fx->left));
    host_destroy(host_p);
}

/* --- tests --- */

static void a_node_starts_works_and_leaves(void **state)
{
    fixture_t *fx = *state;
    host_t *host = s_hatch(fx, "inproc://parrot-1", NULL);
    assert_string_equal(host_self(host)->address, "inproc://parrot-1");
    assert_string_equal(host_role(host), "parrot");
    wish_t wish = { .kind = WISH_ECHO };
    s_grant(host, &wish);
    s_stop(fx, &host, OK);
}

static void nodes_call_each_other(void **state)
{
    fixture_t *fx = *state;
    static const char *const s_places[] = { "inproc://parrot-2", "tcp://127.0.0.1:*" };
    for (size_t i = 0; i < ARRAY_LEN(s_places); i++) {
        host_t *one = s_hatch(fx, s_places[i], NULL);
        host_t *two = s_hatch(fx, i ? "tcp://127.0.0.1:*" : "inproc://parrot-3",
                              host_self(one)->address);
        wish_t wish = { .kind = WISH_CALL };
        s_grant(two, &wish);
        assert_int_equal(wish.err, OK);
        assert_string_equal(wish.answer, "polly");
        s_stop(fx, &two, OK);
        s_stop(fx, &one, OK);
    }
}

static void a_call_to_nobody_ends_too(void **state)
{
    fixture_t *fx = *state;
    host_t *host = s_hatch(fx, "inproc://parrot-4", NULL);
    wish_t wish = { .kind = WISH_CALL_NOBODY };
    s_grant(host, &wish);
    assert_int_equal(wish.err, ERR_NETWORK);
    s_stop(fx, &host, OK);
}

/* A node that cannot go on says why, and nobody waits for it in vain. */
static void leaving_has_a_reason(void **state)
{
    fixture_t *fx = *state;
    host_t *host = s_hatch(fx, "inproc://parrot-5", NULL);
    wish_t wish = { .kind = WISH_LEAVE };
    s_grant(host, &wish);
    assert_true(s_await(&fx->left));
    assert_false(host_wait_ready(host, WAIT_S * 1000));
    assert_int_equal(host_wait(&fx->ctx, host), ERR_DISK_FULL);
    assert_string_equal(fx->ctx.text, "the cage is full");
    host_destroy(&host);
}

static void figures_are_read_from_outside(void **state)
{
    fixture_t *fx = *state;
    host_t *one = s_hatch(fx, "inproc://parrot-6", NULL);
    host_t *two = s_hatch(fx, "inproc://parrot-7", host_self(one)->address);
    for (int i = 0; i < 3; i++) {
        wish_t wish = { .kind = WISH_CALL };
        s_grant(two, &wish);
        assert_int_equal(wish.err, OK);
    }
    wish_t after = { .kind = WISH_ECHO };       /* published behind the calls */
    s_grant(one, &after);
    s_stop(fx, &two, OK);
    host_stop(one);
    assert_int_equal(host_wait(&fx->ctx, one), OK);
    const figure_t *figure = NULL;
    int64_t value = 0;
    assert_true(host_figure(one, 0, &figure, &value));
    assert_string_equal(figure->name, "parrot_heard");
    assert_int_equal(value, 3);
    assert_false(host_figure(one, 1, &figure, &value));
    host_destroy(&one);
}

/* A host that was never started, and one whose port is taken. */
static void what_does_not_start_leaves_nothing(void **state)
{
    fixture_t *fx = *state;
    host_options_t options = { .role = &s_parrot, .listen = "tcp://127.0.0.1:*", .meta = fx->meta,
                               .io = fx->io, .self = { .role = "parrot", .cluster = "cage" } };
    host_t *host = NULL, *second = NULL;
    assert_int_equal(host_open(&fx->ctx, &options, &host), OK);
    options.listen = host_self(host)->address;
    assert_int_equal(host_open(&fx->ctx, &options, &second), ERR_NETWORK);
    assert_null(second);
    host_destroy(&host);
}

static void node_ids_are_never_given_twice(void **state)
{
    fixture_t *fx = *state;
    for (uint64_t want = 1; want < 20; want++) {
        uint64_t id = 0;
        assert_int_equal(host_new_id(&fx->ctx, fx->meta, &id), OK);
        assert_int_equal(id, want);
    }
}

#define T(f) cmocka_unit_test_setup_teardown(f, s_up, s_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_node_starts_works_and_leaves),
        T(nodes_call_each_other),
        T(a_call_to_nobody_ends_too),
        T(leaving_has_a_reason),
        T(figures_are_read_from_outside),
        T(what_does_not_start_leaves_nothing),
        T(node_ids_are_never_given_twice),
    };
    return cmocka_run_group_tests_name("host", tests, NULL, NULL);
}
