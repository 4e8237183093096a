/* index_node: what it takes, how much at a time, what it says to whom, and what it leaves behind
 *
 * The node's step function with nothing around it: a test asks, and ends the node's jobs when it
 * wants.  Builds are real ones of small segments in a store in memory, whose gets and puts a
 * test may look into.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>

#include "core/base/fault.h"
#include "core/base/limits.h"
#include "core/node/member.h"
#include "core/segment/field_index.h"
#include "core/store/store_int.h"
#include "core/wire/pb.h"
#include "indexnode/index_node.h"
#include "tests/support/builds_world.h"

#define DONE    ELANUS__BUILD_STATE__BUILD_DONE
#define FAILED  ELANUS__BUILD_STATE__BUILD_FAILED
#define RUNNING ELANUS__BUILD_STATE__BUILD_RUNNING

enum { ROWS = 600, WAIT_MS = 5000, LOOK_MS = 200, UNASKED_MS = 30000, STOP_MS = 10000,
       INCARNATION = 77, TIMER_LOOK = 100, TIMER_STOP = 101, MOST_ROUNDS = 1000 };

/* --- the node ------------------------------------------------------------------------------- */

typedef struct {
    uint64_t request;
    err_t err;                  /* refused; OK: then what it says */
    uint64_t build, attempt;
    Elanus__BuildState state;
    err_t why;                  /* FAILED */
    char error[256];
    size_t n_objects;
} said_t;

typedef void hook_fn(bool put, const char *key);

static struct {
    index_options_t options;
    node_self_t who;
    void *node;
    actions_t act;
    vec_t jobs;                 /* of action_t, in the order they were asked for */
    vec_t said;                 /* of said_t */
    int64_t now_ms, look_ms, stop_ms;   /* timers: 0 is none */
    uint64_t requests;
    bool left;
    store_driver_t driver;      /* of a store in memory, with a look at what it does */
    const store_driver_t *stable;
    hook_fn *hook;
} g;

static err_t s_put(ctx_t *ctx, void *impl, const char *key, const store_parts_t *parts)
{
    if (g.hook)
        g.hook(true, key);
    return g.stable->put(ctx, impl, key, parts);
}

static err_t s_get(ctx_t *ctx, void *impl, const char *key, uint64_t offset, uint64_t len,
                   store_sink_t *sink)
{
    if (g.hook)
        g.hook(false, key);
    return g.stable->get(ctx, impl, key, offset, len, sink);
}

static int s_up(void **state)
{
    (void)state;
    memset(&g, 0, sizeof g);
    bw_make(&(builds_options_t){ .seed = 1 });
    g.stable = builds_world.store->driver;
    g.driver = *g.stable;
    g.driver.put = s_put;
    g.driver.get = s_get;
    builds_world.store->driver = &g.driver;
    g.options = (index_options_t){ .store = builds_world.store, .parallel = 2, .threads = 1,
                                   .stop_ms = STOP_MS };
    g.who = (node_self_t){ .role = "indexnode", .cluster = "elanus", .address = "inproc://i",
                           .ops_address = "", .host = "", .version = "", .id = 7,
                           .incarnation = INCARNATION, .lease_ttl_ms = 3000 };
    g.now_ms = 1000;
    vec_init(&g.jobs, sizeof(action_t));
    vec_init(&g.said, sizeof(said_t));
    actions_init(&g.act);
    return 0;
}

static int s_down(void **state)
{
    (void)state;
    if (g.node)
        index_role.end(g.node);
    actions_fini(&g.act);
    vec_fini(&g.jobs);
    vec_fini(&g.said);
    bw_destroy();
    return 0;
}

static void s_note(const action_t *action, ctx_t *ctx)
{
    said_t said = { .request = action->from.request_id, .err = action->err };
    Elanus__Built *built = NULL;
    if (action->err == OK) {
        assert_int_equal(PB_UNPACK(ctx, elanus__built, action->payload, &built), OK);
        said.build = built->id;
        said.attempt = built->attempt;
        said.state = built->state;
        said.why = built->err ? err_from_wire(built->err) : OK;
        said.n_objects = built->n_objects;
    }
    snprintf(said.error, sizeof said.error, "%s", built ? built->error : action->text);
    vec_push(&g.said, &said);
}

static void s_act(const action_t *action, ctx_t *ctx)
{
    if (action->kind == ACT_JOB) {
        assert_true(action->compute);
        vec_push(&g.jobs, action);
    } else if (action->kind == ACT_REPLY) {
        s_note(action, ctx);
    } else if (action->kind == ACT_TIMER) {
        int64_t *timer = action->timer == TIMER_LOOK ? &g.look_ms : &g.stop_ms;
        *timer = g.now_ms + action->after_ms;
    } else if (action->kind == ACT_LEAVE) {
        g.left = true;
    }
}

static void s_step(event_t ev)
{
    ctx_t ctx;
    ctx_init(&ctx);
    if (!g.node)
        g.node = index_role.make(&g.who, &g.options);
    ev.ctx = &ctx;
    ev.now_ms = g.now_ms;
    ev.text = ev.text ? ev.text : "";
    index_role.step(g.node, &ev, &g.act);
    for (size_t i = 0; i < g.act.list.len; i++)
        s_act(vec_at(&g.act.list, i), &ctx);
    actions_reset(&g.act);
    ctx_fini(&ctx);
}

/* Time goes by, timer after timer. */
static void s_pass(int64_t ms)
{
    int64_t until_ms = g.now_ms + ms;
    while (g.look_ms && g.look_ms <= until_ms) {
        g.now_ms = g.look_ms;
        g.look_ms = 0;
        s_step((event_t){ .kind = EV_TIMER, .timer = TIMER_LOOK });
    }
    g.now_ms = until_ms;
    if (g.stop_ms && g.stop_ms <= until_ms) {
        g.stop_ms = 0;
        s_step((event_t){ .kind = EV_TIMER, .timer = TIMER_STOP });
    }
}

/* The oldest job is done; what came of it. */
static err_t s_work(void)
{
    ctx_t ctx;
    ctx_init(&ctx);
    assert_true(g.jobs.len > 0);
    action_t job = *(action_t *)vec_at(&g.jobs, 0);
    vec_remove(&g.jobs, 0);
    err_t err = job.fn(&ctx, job.item);
    bool fired = fault_disarm();                /* the worker's own, not the node's */
    s_step((event_t){ .kind = EV_JOB, .cookie = job.cookie, .err = err, .text = ctx.text,
                      .item = job.item });
    ctx_fini(&ctx);
    assert_true(!fired || err != OK);
    return err;
}

/* --- asking --------------------------------------------------------------------------------- */

typedef struct { uint64_t build, attempt, rows, incarnation; const char *type; int64_t wait_ms;
                 uint32_t method; uint64_t text_bytes; /* 0: of vectors */ } ask_t;

static void s_send(uint32_t method, view_t payload)
{
    net_peer_t peer = { .node_id = 1 };
    event_t ev = { .kind = EV_CALL };
    ev.call.peer = &peer;
    ev.call.from = (net_from_t){ .link = 1, .request_id = ++g.requests };
    ev.call.method = method;
    ev.call.payload = payload;
    s_step(ev);
}

/* Of segment number `build`; returns the number of the request. */
static uint64_t s_ask(ask_t with)
{
    ctx_t *ctx = &builds_world.ctx;
    Elanus__Pair pairs[3], *params[] = { &pairs[0], &pairs[1], &pairs[2] };
    const char *const keys[] = { "index_type", "metric_type", "nlist" };
    const char *const values[] = { with.type ? with.type : "IVF_FLAT", "L2", "4" };
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        elanus__pair__init(params[i]);
        params[i]->key = (char *)keys[i];
        params[i]->value = (char *)values[i];
    }
    Elanus__Build build = ELANUS__BUILD__INIT;
    build.id = with.build;
    build.attempt = with.attempt ? with.attempt : 1;
    build.incarnation = with.incarnation ? with.incarnation : INCARNATION;
    build.params = params;
    build.n_params = ARRAY_LEN(params);
    Elanus__Pair dim = ELANUS__PAIR__INIT, *dims = &dim;
    dim.key = (char *)"dim";
    dim.value = ctx_printf(ctx, "%d", BW_DIM);
    Elanus__Field field = ELANUS__FIELD__INIT;
    field.id = BW_VECTOR;
    field.name = (char *)"v";
    field.type = with.text_bytes ? TYPE_VARCHAR : TYPE_FLOAT_VECTOR;
    field.type_params = &dims;
    field.n_type_params = 1;
    char *binlog = (char *)bw_binlog(with.build);
    Elanus__Segment segment = ELANUS__SEGMENT__INIT;
    segment.id = with.build;
    segment.rows = with.rows ? with.rows : ROWS;
    segment.binlogs = &binlog;
    segment.n_binlogs = 1;
    segment.bytes = with.text_bytes;
    Elanus__BuildAsk ask = ELANUS__BUILD_ASK__INIT;
    ask.build = &build;
    ask.segment = &segment;
    ask.field = &field;
    ask.wait_ms = with.wait_ms ? with.wait_ms : WAIT_MS;
    s_send(with.method ? with.method : ELANUS__METHOD__METHOD_BUILD, pb_pack(ctx, &ask));
    return g.requests;
}

/* What a request was answered; NULL: nothing yet.  Never twice. */
static const said_t *s_said(uint64_t request)
{
    const said_t *found = NULL;
    for (size_t i = 0; i < g.said.len; i++) {
        const said_t *said = vec_at(&g.said, i);
        assert_false(found && said->request == request);
        if (said->request == request)
            found = said;
    }
    return found;
}

static void s_expect(uint64_t request, Elanus__BuildState state, err_t why)
{
    const said_t *said = s_said(request);
    assert_non_null(said);
    assert_int_equal(said->err, OK);
    assert_int_equal(said->state, state);
    assert_int_equal(said->why, why);
}

static void s_expect_refused(uint64_t request, err_t err)
{
    const said_t *said = s_said(request);
    assert_non_null(said);
    assert_int_equal(said->err, err);
}

/* --- objects -------------------------------------------------------------------------------- */

enum { OBJECTS = 2 };           /* of such an index: lists and rows in one, then its head */

static const char *s_object_at(uint64_t build, uint64_t attempt, size_t i)
{
    return ctx_printf(&builds_world.ctx, "index/%" PRIu64 "/%" PRIu64 "/%zu", build, attempt, i);
}

/* The last one that is put: without it there is no index. */
static const char *s_object(uint64_t build, uint64_t attempt)
{
    return s_object_at(build, attempt, 0);
}

static bool s_has(const char *key)
{
    uint64_t len;
    return store_head(&builds_world.ctx, builds_world.store, key, &len) == OK;
}

/* Its index opens, with all rows in it. */
static void s_opens(uint64_t build, uint64_t attempt)
{
    const char *objects[OBJECTS];
    for (size_t i = 0; i < OBJECTS; i++)
        objects[i] = s_object_at(build, attempt, i);
    field_t field = { .id = BW_VECTOR, .name = "v", .type = TYPE_FLOAT_VECTOR, .dim = BW_DIM };
    field_index_t *index = NULL;
    assert_int_equal(field_index_open(&builds_world.ctx, builds_world.store, NULL, objects, OBJECTS,
                                      &field, ROWS, &index), OK);
    field_index_unref(&index);
}

static void s_put_binlogs(uint64_t n)
{
    for (uint64_t segment = 1; segment <= n; segment++)
        bw_write_binlog(segment, ROWS);
}

/* --- one build ------------------------------------------------------------------------------ */

static void a_build_ends_with_its_objects(void **state)
{
    (void)state;
    s_put_binlogs(1);
    uint64_t request = s_ask((ask_t){ .build = 1 });
    assert_null(s_said(request));
    assert_int_equal(index_node_running(g.node), 1);
    assert_int_equal(s_work(), OK);
    s_expect(request, DONE, OK);
    assert_int_equal(s_said(request)->build, 1);
    assert_int_equal(s_said(request)->attempt, 1);
    assert_int_equal(s_said(request)->n_objects, OBJECTS);
    assert_int_equal(index_node_running(g.node), 0);
    s_opens(1, 1);
}

/* A coord repeats itself, and so does the next one: the work is done once. */
static void the_same_question_joins(void **state)
{
    (void)state;
    s_put_binlogs(1);
    uint64_t first = s_ask((ask_t){ .build = 1 }), second = s_ask((ask_t){ .build = 1 });
    assert_int_equal(g.jobs.len, 1);
    assert_int_equal(s_work(), OK);
    s_expect(first, DONE, OK);
    s_expect(second, DONE, OK);
    uint64_t late = s_ask((ask_t){ .build = 1 });
    s_expect(late, DONE, OK);
    assert_int_equal(s_said(late)->n_objects, OBJECTS);
    assert_int_equal(g.jobs.len, 0);
}

static void who_asks_waits_for_a_while(void **state)
{
    (void)state;
    s_put_binlogs(1);
    uint64_t at_once = s_ask((ask_t){ .build = 1, .wait_ms = -1 });
    s_expect(at_once, RUNNING, OK);
    uint64_t request = s_ask((ask_t){ .build = 1 });
    s_pass(WAIT_MS - LOOK_MS);
    assert_null(s_said(request));
    s_pass(2 * LOOK_MS);
    s_expect(request, RUNNING, OK);
    uint64_t many[LIMIT_BUILD_ASKERS + 1];
    for (size_t i = 0; i < ARRAY_LEN(many); i++)
        many[i] = s_ask((ask_t){ .build = 1 });
    s_expect(many[LIMIT_BUILD_ASKERS], RUNNING, OK);    /* no more may wait */
    event_t gone = { .kind = EV_CANCELLED };
    gone.call.from = (net_from_t){ .link = 1, .request_id = many[0] };
    s_step(gone);
    assert_int_equal(s_work(), OK);
    assert_null(s_said(many[0]));
    for (size_t i = 1; i < LIMIT_BUILD_ASKERS; i++)
        s_expect(many[i], DONE, OK);
}

static void what_cannot_be_built_is_refused(void **state)
{
    (void)state;
    s_expect_refused(s_ask((ask_t){ .build = 1, .type = "FLAT" }), ERR_INDEX_TYPE);
    s_expect_refused(s_ask((ask_t){ .build = 1, .rows = UINT64_MAX }), ERR_MALFORMED);
    s_expect_refused(s_ask((ask_t){ .rows = 1 }), ERR_MALFORMED);
    s_expect_refused(s_ask((ask_t){ .build = 1, .incarnation = 5 }), ERR_NODE_NOT_MATCH);
    s_expect_refused(s_ask((ask_t){ .build = 1, .method = 91 }), ERR_UNIMPLEMENTED);
    s_send(ELANUS__METHOD__METHOD_BUILD, view_str("\xff\xff"));
    s_expect_refused(g.requests, ERR_MALFORMED);
    assert_int_equal(g.jobs.len, 0);
}

/* --- limits --------------------------------------------------------------------------------- */

static void so_many_run_at_a_time_in_their_order(void **state)
{
    (void)state;
    s_put_binlogs(5);
    uint64_t requests[5];
    for (uint64_t i = 0; i < 5; i++)
        requests[i] = s_ask((ask_t){ .build = i + 1 });
    assert_int_equal(index_node_running(g.node), 2);
    assert_int_equal(index_node_waiting(g.node), 3);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(g.jobs.len, i < 4 ? 2 : 1);
        assert_int_equal(s_work(), OK);
        s_expect(requests[i], DONE, OK);
    }
    assert_int_equal(index_node_running(g.node) + index_node_waiting(g.node), 0);
}

/* What one takes is found by asking: with less than that it is refused, with that it runs. */
static size_t s_inspect(bool asks, Elanus__BuildView ***ret)
{
    Elanus__InspectAsk ask = ELANUS__INSPECT_ASK__INIT;
    Elanus__Inspection found = ELANUS__INSPECTION__INIT;
    const member_t *member = g.node;            /* the first of every role */
    ask.state = asks;
    member->inspect(g.node, &ask, &builds_world.ctx, &found);
    *ret = found.builds;
    return found.n_builds;
}

static void who_looks_in_sees_what_is_not_done(void **state)
{
    (void)state;
    Elanus__BuildView **views = NULL;
    s_put_binlogs(3);
    for (uint64_t i = 1; i <= 3; i++)
        s_ask((ask_t){ .build = i, .attempt = i });
    assert_int_equal(s_inspect(false, &views), 0);
    assert_int_equal(s_inspect(true, &views), 3);
    for (uint64_t i = 0; i < 3; i++) {
        assert_int_equal(views[i]->id, i + 1);
        assert_int_equal(views[i]->attempt, i + 1);
        assert_in_range(views[i]->percent, 0, 99);
    }
    assert_int_equal(s_work(), OK);
    assert_int_equal(s_inspect(true, &views), 2);
    assert_int_equal(views[0]->id, 2);
}

static uint64_t s_need(void)
{
    static const uint64_t s_step_bytes = 1024;
    uint64_t bytes = s_step_bytes;
    for (;; bytes += s_step_bytes) {
        g.options.memory_bytes = bytes;
        uint64_t request = s_ask((ask_t){ .build = 1000 });
        bool refused = s_said(request) != NULL;
        if (refused)
            s_expect(request, FAILED, ERR_RESOURCE_INSUFFICIENT);
        else
            s_work();
        index_role.end(g.node);
        g.node = NULL;
        if (!refused)
            return bytes;
    }
}

/* Two would be allowed, memory is there for one and a half. */
static void so_much_memory_is_taken_at_a_time(void **state)
{
    (void)state;
    s_put_binlogs(3);
    uint64_t need = s_need();
    g.options.memory_bytes = need + need / 2;
    s_ask((ask_t){ .build = 1 });
    s_ask((ask_t){ .build = 2 });
    s_ask((ask_t){ .build = 3 });
    for (size_t left = 3; left > 0; left--) {
        assert_int_equal(index_node_running(g.node), 1);
        assert_int_equal(index_node_waiting(g.node), left - 1);
        assert_int_equal(s_work(), OK);
    }
    uint64_t large = s_ask((ask_t){ .build = 4, .rows = 10 * ROWS });
    s_expect(large, FAILED, ERR_RESOURCE_INSUFFICIENT);
    assert_non_null(strstr(s_said(large)->error, "elanus.index.memory"));
}

/* How long texts are is guessed: they are built, but beside nothing else. */
static void what_may_be_too_large_runs_alone(void **state)
{
    (void)state;
    s_put_binlogs(1);
    g.options.memory_bytes = 1 << 20;
    s_ask((ask_t){ .build = 1 });
    uint64_t large = s_ask((ask_t){ .build = 2, .type = "INVERTED", .text_bytes = 1 << 30 });
    s_ask((ask_t){ .build = 3, .type = "INVERTED", .text_bytes = 1 });
    assert_null(s_said(large));
    for (size_t left = 3; left > 0; left--) {
        assert_int_equal(index_node_running(g.node), 1);
        assert_int_equal(index_node_waiting(g.node), left - 1);
        assert_int_equal(s_work(), left == 3 ? OK : ERR_KEY_NOT_FOUND);
    }
}

static void so_many_wait(void **state)
{
    (void)state;
    s_put_binlogs(1);
    for (uint64_t i = 1; i <= LIMIT_BUILDS_WAITING + 2; i++)
        assert_null(s_said(s_ask((ask_t){ .build = i })));
    uint64_t one_more = LIMIT_BUILDS_WAITING + 3;
    s_expect(s_ask((ask_t){ .build = one_more }), FAILED, ERR_QUEUE_FULL);
    assert_int_equal(s_work(), OK);
    assert_null(s_said(s_ask((ask_t){ .build = one_more })));   /* it was not an attempt */
}

/* Answers are kept for who comes back, not for ever. */
static void so_many_answers_are_kept(void **state)
{
    (void)state;
    for (uint64_t i = 1; i <= LIMIT_BUILDS_KEPT + 1; i++) {
        s_ask((ask_t){ .build = i });           /* without a binlog: it fails */
        assert_int_equal(s_work(), ERR_KEY_NOT_FOUND);
    }
    s_expect(s_ask((ask_t){ .build = 2 }), FAILED, ERR_KEY_NOT_FOUND);
    assert_null(s_said(s_ask((ask_t){ .build = 1 })));
    assert_int_equal(g.jobs.len, 1);
}

/* --- giving up ------------------------------------------------------------------------------ */

/* The definition was dropped, say: nobody asks any more. */
static void what_nobody_asks_for_is_given_up(void **state)
{
    (void)state;
    s_put_binlogs(3);
    for (uint64_t i = 1; i <= 3; i++)
        s_ask((ask_t){ .build = i, .wait_ms = LOOK_MS });
    s_pass(UNASKED_MS - 2000);
    assert_int_equal(index_node_waiting(g.node), 1);
    s_ask((ask_t){ .build = 1, .wait_ms = LOOK_MS });
    s_pass(4000);
    assert_int_equal(index_node_waiting(g.node), 0);
    assert_int_equal(index_node_running(g.node), 2);    /* they notice at work */
    assert_int_equal(s_work(), OK);
    assert_int_equal(s_work(), ERR_CANCELED);
    assert_true(s_has(s_object(1, 1)));
    assert_false(s_has(s_object(2, 1)) || s_has(s_object(3, 1)));
    s_expect(s_ask((ask_t){ .build = 2 }), FAILED, ERR_CANCELED);   /* over, and said so */
    s_expect(s_ask((ask_t){ .build = 3 }), FAILED, ERR_CANCELED);
}

static bool g_at_put;

static void s_ask_newer(bool put, const char *key)
{
    (void)key;
    if (put == g_at_put && g.requests == 1)
        s_ask((ask_t){ .build = 1, .attempt = 2 });
}

static void s_overtake(bool at_put)
{
    s_put_binlogs(1);
    g_at_put = at_put;
    g.hook = s_ask_newer;
    uint64_t older = s_ask((ask_t){ .build = 1 }), newer = older + 1;
    assert_int_equal(s_work(), ERR_CANCELED);
    s_expect(older, FAILED, ERR_CANCELED);
    assert_false(s_has(s_object(1, 1)));
    assert_int_equal(s_work(), OK);
    s_expect(newer, DONE, OK);
    assert_int_equal(s_said(newer)->attempt, 2);
    s_opens(1, 2);
    s_expect(s_ask((ask_t){ .build = 1 }), FAILED, ERR_CANCELED);   /* somebody lags behind */
    assert_int_equal(g.jobs.len, 0);
}

static void a_newer_attempt_ends_one_that_reads(void **state)
{
    (void)state;
    s_overtake(false);
}

static void a_newer_attempt_ends_one_that_writes(void **state)
{
    (void)state;
    s_overtake(true);
}

static void a_stop_lets_what_runs_end(void **state)
{
    (void)state;
    s_put_binlogs(3);
    uint64_t requests[3];
    for (uint64_t i = 0; i < 3; i++)
        requests[i] = s_ask((ask_t){ .build = i + 1, .wait_ms = 2 * STOP_MS });
    s_step((event_t){ .kind = EV_STOP });
    s_expect(requests[2], FAILED, ERR_CANCELED);
    s_expect_refused(s_ask((ask_t){ .build = 4 }), ERR_SERVICE_NOT_READY);
    assert_int_equal(s_work(), OK);
    s_expect(requests[0], DONE, OK);
    assert_false(g.left);
    s_pass(STOP_MS);
    assert_int_equal(s_work(), ERR_CANCELED);
    s_expect(requests[1], FAILED, ERR_CANCELED);
    assert_true(g.left);
}

/* --- what goes wrong ------------------------------------------------------------------------- */

/* A node was killed over attempt 1; what it had put by then is nobody's. */
static void a_killed_attempts_leftover_is_left_alone(void **state)
{
    (void)state;
    s_put_binlogs(1);
    const char *leftover = s_object(1, 1);
    assert_int_equal(store_put(&builds_world.ctx, builds_world.store, leftover, view_str("half")),
                     OK);
    uint64_t request = s_ask((ask_t){ .build = 1, .attempt = 2 });
    assert_int_equal(s_work(), OK);
    s_expect(request, DONE, OK);
    s_opens(1, 2);
    view_t body = {0};
    assert_int_equal(store_get(&builds_world.ctx, builds_world.store, leftover, &body), OK);
    assert_true(view_eq(body, view_str("half")));
}

static int g_puts_left;         /* that are answered */

static err_t s_fail_put(ctx_t *ctx, void *impl, const char *key, const store_parts_t *parts)
{
    TRY(g.stable->put(ctx, impl, key, parts));
    return g_puts_left-- > 0 ? OK : ctx_fail(ctx, ERR_STORE, "no answer to the put of %s", key);
}

/* A put that was done and not answered is a failure; the next attempt has names of its own. */
static void a_put_without_an_answer_is_a_failure(void **state)
{
    (void)state;
    s_put_binlogs(1);
    for (uint64_t attempt = 1; attempt <= OBJECTS; attempt++) {
        g.driver.put = s_fail_put;
        g_puts_left = (int)attempt - 1;
        uint64_t request = s_ask((ask_t){ .build = 1, .attempt = attempt });
        assert_int_equal(s_work(), ERR_STORE);
        s_expect(request, FAILED, ERR_STORE);
        assert_int_equal(s_said(request)->n_objects, 0);
        assert_int_equal(s_has(s_object(1, attempt)), attempt == OBJECTS);
        request = s_ask((ask_t){ .build = 1, .attempt = attempt });
        s_expect(request, FAILED, ERR_STORE);   /* not begun again */
    }
    g.driver.put = s_put;
    uint64_t request = s_ask((ask_t){ .build = 1, .attempt = OBJECTS + 1 });
    assert_int_equal(s_work(), OK);
    s_expect(request, DONE, OK);
    s_opens(1, OBJECTS + 1);
}

static void s_same(const char *one, const char *other)
{
    view_t first = {0}, second = {0};
    assert_int_equal(store_get(&builds_world.ctx, builds_world.store, one, &first), OK);
    assert_int_equal(store_get(&builds_world.ctx, builds_world.store, other, &second), OK);
    assert_true(view_eq(first, second));
}

/* Whatever fails, at whichever place: it is said, room is made, and the next attempt builds the
 * same bytes as an undisturbed one. */
static void any_fault_is_a_failed_attempt(void **state)
{
    (void)state;
    s_put_binlogs(1);
    uint64_t attempt = 1;
    for (int nth = 0; ; nth++, attempt++) {
        assert_true(nth < MOST_ROUNDS);
        uint64_t request = s_ask((ask_t){ .build = 1, .attempt = attempt });
        fault_arm(nth);
        err_t err = s_work();
        assert_int_equal(index_node_running(g.node), 0);
        if (err == OK) {
            s_expect(request, DONE, OK);
            break;
        }
        s_expect(request, FAILED, err);
        assert_true(s_said(request)->error[0] != '\0');
    }
    assert_true(attempt > 5);
    s_opens(1, attempt);
    s_ask((ask_t){ .build = 1, .attempt = attempt + 1 });
    assert_int_equal(s_work(), OK);
    for (size_t i = 0; i < OBJECTS; i++)
        s_same(s_object_at(1, attempt, i), s_object_at(1, attempt + 1, i));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_build_ends_with_its_objects, s_up, s_down),
        cmocka_unit_test_setup_teardown(the_same_question_joins, s_up, s_down),
        cmocka_unit_test_setup_teardown(who_asks_waits_for_a_while, s_up, s_down),
        cmocka_unit_test_setup_teardown(what_cannot_be_built_is_refused, s_up, s_down),
        cmocka_unit_test_setup_teardown(so_many_run_at_a_time_in_their_order, s_up, s_down),
        cmocka_unit_test_setup_teardown(who_looks_in_sees_what_is_not_done, s_up, s_down),
        cmocka_unit_test_setup_teardown(so_much_memory_is_taken_at_a_time, s_up, s_down),
        cmocka_unit_test_setup_teardown(what_may_be_too_large_runs_alone, s_up, s_down),
        cmocka_unit_test_setup_teardown(so_many_wait, s_up, s_down),
        cmocka_unit_test_setup_teardown(so_many_answers_are_kept, s_up, s_down),
        cmocka_unit_test_setup_teardown(what_nobody_asks_for_is_given_up, s_up, s_down),
        cmocka_unit_test_setup_teardown(a_newer_attempt_ends_one_that_reads, s_up, s_down),
        cmocka_unit_test_setup_teardown(a_newer_attempt_ends_one_that_writes, s_up, s_down),
        cmocka_unit_test_setup_teardown(a_stop_lets_what_runs_end, s_up, s_down),
        cmocka_unit_test_setup_teardown(a_killed_attempts_leftover_is_left_alone, s_up, s_down),
        cmocka_unit_test_setup_teardown(a_put_without_an_answer_is_a_failure, s_up, s_down),
        cmocka_unit_test_setup_teardown(any_fault_is_a_failed_attempt, s_up, s_down),
    };
    log_set_level(LOG_FATAL);
    return cmocka_run_group_tests_name("index_node", tests, NULL, NULL);
}
