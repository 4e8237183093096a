/* host_trace: the request that a node works for goes with everything it asks for, to workers, to
 * the metadata and to other nodes, and each piece leaves a span that names what caused it.
 *
 * Two nodes of a small role: "asker" is given an item and calls "worker", which reads a key, runs a
 * job and then answers.  A second call that waits is cancelled. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <semaphore.h>
#include <time.h>

#include "core/node/host.h"
#include "core/node/waits.h"
#include "elanus.pb-c.h"

enum { WORK = ELANUS__METHOD__METHOD_QUERY, HANG = ELANUS__METHOD__METHOD_SEARCH, WAIT_S = 20,
       ASKER = 2, WORKER = 1, REQUEST_SPAN = 5 };

typedef struct {
    uint64_t trace;
    uint32_t method;
    bool cancel;
    err_t err;
    sem_t done;
} wish_t;

typedef struct {
    waits_t *waits;
    const char *friend;         /* NULL: the worker */
    net_from_t from;
    bool up;
} node_t;

static err_t s_think_job(ctx_t *ctx, void *arg)
{
    (void)ctx, (void)arg;
    return OK;
}

static void s_thought(void *node, void *arg, const event_t *ev, actions_t *act)
{
    (void)arg, (void)ev;
    act_reply(act, ((node_t *)node)->from, view_str("done"));
}

static void s_got(void *node, void *arg, const event_t *ev, actions_t *act)
{
    (void)arg, (void)ev;
    act_job(act, s_think_job, NULL, wait_once(((node_t *)node)->waits, act, s_thought, NULL));
}

static void s_replied(void *node, void *arg, const event_t *ev, actions_t *act)
{
    wish_t *wish = arg;
    (void)node;
    wish->err = ev->err;
    act_item(act, wish);
}

static void s_ask(node_t *self, wish_t *wish, actions_t *act)
{
    act_trace(act, (trace_t){ wish->trace, REQUEST_SPAN });
    uint64_t cookie = wait_once(self->waits, act, s_replied, wish);
    act_call(act, self->friend, wish->method, view_str("?"), WAIT_S * 1000, cookie);
    if (wish->cancel)
        act_cancel(act, cookie);
}

static void s_step(void *node, const event_t *ev, actions_t *act)
{
    node_t *self = node;
    switch (ev->kind) {
    case EV_START:
        self->up = !self->friend;
        if (self->friend)
            act_dial(act, self->friend, 0);
        else
            act_timer(act, 1, 0);               /* wakes the host, which tells that it is up */
        break;
    case EV_PEER:
        self->up = ev->peer.state == NET_UP;
        break;
    case EV_CALL:
        self->from = ev->call.from;
        if (ev->call.method == WORK)
            act_meta_get(act, "some/key", wait_once(self->waits, act, s_got, NULL));
        break;
    case EV_CANCELLED:
        act_refuse(act, ev->call.from, ERR_CANCELED, "%s", "");
        break;
    case EV_ITEM:
        s_ask(self, ev->item, act);
        break;
    case EV_STOP:
        act_leave(act, OK, "");
        break;
    case EV_REPLY:
    case EV_META:
    case EV_JOB:
        waits_run(self->waits, self, ev, act);
        break;
    case EV_TIMER:
    case EV_WATCH:
        break;
    }
}

static void *s_make(const node_self_t *self, const void *options)
{
    node_t *node = mem_new(sizeof *node);
    *node = (node_t){ .waits = waits_new(), .friend = options };
    (void)self;
    return node;
}

static void s_end(void *node)
{
    waits_destroy(&((node_t *)node)->waits);
    mem_free(node);
}

static bool s_ready(const void *node)
{
    return ((const node_t *)node)->up;
}

static const role_t s_role = {
    .name = "thinker", .make = s_make, .step = s_step, .end = s_end, .ready = s_ready,
};

/* --- fixture --- */

typedef struct {
    ctx_t ctx;
    meta_t *meta;
    pool_t *io;
    host_t *worker, *asker;
} fixture_t;

static void s_sink(void *arg, void *item)
{
    (void)arg;
    sem_post(&((wish_t *)item)->done);
}

static host_t *s_start(fixture_t *fx, uint64_t id, const char *friend)
{
    host_options_t options = {
        .role = &s_role, .role_options = friend, .listen = "tcp://127.0.0.1:*", .meta = fx->meta,
        .io = fx->io, .sink = s_sink,
        .self = { .role = "thinker", .cluster = "c", .id = id, .incarnation = id * 11,
                  .heartbeat_ms = 50 },
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
    fx->worker = s_start(fx, WORKER, NULL);
    fx->asker = s_start(fx, ASKER, host_self(fx->worker)->address);
    *state = fx;
    return 0;
}

static void s_stop(fixture_t *fx, host_t **host_p)
{
    if (!*host_p)
        return;
    host_stop(*host_p);
    assert_int_equal(host_wait(&fx->ctx, *host_p), OK);
    host_destroy(host_p);
}

static int s_down(void **state)
{
    fixture_t *fx = *state;
    s_stop(fx, &fx->asker);
    s_stop(fx, &fx->worker);
    pool_destroy(&fx->io);
    meta_destroy(&fx->meta);
    ctx_fini(&fx->ctx);
    mem_free(fx);
    return 0;
}

static void s_grant(fixture_t *fx, wish_t *wish)
{
    struct timespec until;
    sem_init(&wish->done, 0, 0);
    assert_true(host_post(fx->asker, wish));
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += WAIT_S;
    assert_int_equal(sem_timedwait(&wish->done, &until), 0);
    sem_destroy(&wish->done);
}

static const span_t *s_find(const span_t *spans, size_t n, span_kind_t kind)
{
    for (size_t i = 0; i < n; i++)
        if (spans[i].kind == kind)
            return &spans[i];
    return NULL;
}

/* --- tests --- */

static void each_piece_of_work_is_a_span_of_its_request(void **state)
{
    fixture_t *fx = *state;
    wish_t wish = { .trace = 1001, .method = WORK };
    s_grant(fx, &wish);
    assert_int_equal(wish.err, OK);
    span_t *asked = NULL, *worked = NULL;
    assert_int_equal(spans_of(&fx->ctx, 1001, ASKER, &asked), 1);
    assert_int_equal(asked[0].kind, SPAN_CALL);
    assert_int_equal(asked[0].parent, REQUEST_SPAN);
    assert_string_equal(asked[0].name, "QUERY");

    size_t n = spans_of(&fx->ctx, 1001, WORKER, &worked);
    assert_int_equal(n, 3);
    const span_t *answer = s_find(worked, n, SPAN_ANSWER);
    const span_t *meta = s_find(worked, n, SPAN_META), *job = s_find(worked, n, SPAN_JOB);
    assert_non_null(answer);
    assert_int_equal(answer->parent, asked[0].id);
    assert_string_equal(answer->name, "QUERY");
    assert_non_null(meta);
    assert_int_equal(meta->parent, answer->id);
    assert_string_equal(meta->name, "get some/key");
    assert_int_equal(meta->err, ERR_KEY_NOT_FOUND);
    assert_non_null(job);
    assert_int_equal(job->parent, answer->id);
    assert_string_equal(job->name, "think");
    assert_true(answer->took_us >= meta->took_us + job->took_us);
    assert_true(asked[0].took_us >= answer->took_us);
}

static void a_cancelled_call_ends_on_both_sides(void **state)
{
    fixture_t *fx = *state;
    wish_t wish = { .trace = 1002, .method = HANG, .cancel = true };
    s_grant(fx, &wish);
    assert_int_equal(wish.err, ERR_CANCELED);
    span_t *asked = NULL, *worked = NULL;
    assert_int_equal(spans_of(&fx->ctx, 1002, ASKER, &asked), 1);
    assert_int_equal(asked[0].err, ERR_CANCELED);
    s_stop(fx, &fx->asker);                     /* and with it whatever was on its way */
    s_stop(fx, &fx->worker);
    size_t n = spans_of(&fx->ctx, 1002, WORKER, &worked);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(worked[i].err, ERR_CANCELED);
}

static void what_is_nobodys_leaves_nothing(void **state)
{
    fixture_t *fx = *state;
    wish_t wish = { .trace = 0, .method = WORK };
    s_grant(fx, &wish);
    assert_int_equal(wish.err, OK);
    span_t *spans = NULL;
    assert_int_equal(spans_of(&fx->ctx, 0, WORKER, &spans), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, s_up, s_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(each_piece_of_work_is_a_span_of_its_request),
        T(a_cancelled_call_ends_on_both_sides),
        T(what_is_nobodys_leaves_nothing),
    };
    return cmocka_run_group_tests_name("host_trace", tests, NULL, NULL);
}
