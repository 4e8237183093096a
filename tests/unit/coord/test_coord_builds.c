/* coord_builds: what is built, by whom, what becomes of failures, deaths and drops, and what a
 * new leader makes of it.
 *
 * The real coordinator with index nodes that only say what a test wants: each answers a
 * question as its `manner` tells, and notes what it was asked.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>

#include "core/base/limits.h"
#include "core/base/vec.h"
#include "core/catalog/builds.h"
#include "core/index/index.h"
#include "core/catalog/segments.h"
#include "core/node/member.h"
#include "core/wire/pb.h"
#include "tests/support/builds_world.h"

#define DONE    ELANUS__BUILD_STATE__BUILD_DONE
#define FAILED  ELANUS__BUILD_STATE__BUILD_FAILED
#define RUNNING ELANUS__BUILD_STATE__BUILD_RUNNING
#define WAITING ELANUS__BUILD_STATE__BUILD_WAITING
#define ANY     ELANUS__BUILD_STATE__BUILD_NONE
#define FLUSHED ELANUS__SEGMENT_STATE__SEGMENT_FLUSHED
#define DROPPED ELANUS__SEGMENT_STATE__SEGMENT_DROPPED

enum { ROWS = 2000, BUILDERS = 3, TIMER_ANSWER = 100 };

/* --- index nodes ---------------------------------------------------------------------------- */

typedef enum { HOLDS, BUILDS, SAYS_NOT_YET, FAILS, REFUSES, NAMES_OTHERS, NAMES_NONE,
               SAYS_ANOTHER_ATTEMPT } manner_t;

typedef struct { uint64_t build, attempt, segment; int node; } heard_t;

static struct {
    manner_t manner[BUILDERS];
    err_t err;                  /* FAILS, REFUSES */
    vec_t heard;                /* of heard_t: each attempt once a node */
} s_nodes;

typedef struct {
    member_t member;
    int i;                      /* which of them */
    vec_t held;                 /* of asked_t */
} fake_t;

typedef struct { net_from_t from; uint64_t build, attempt; } asked_t;

static void s_fake_answer(fake_t *self, const asked_t *asked, manner_t manner, const event_t *ev,
                          actions_t *act)
{
    (void)self;
    Elanus__Built built = ELANUS__BUILT__INIT;
    char *object = ctx_printf(ev->ctx, "index/%" PRIu64 "/%" PRIu64 "/0",
                              asked->build + (manner == NAMES_OTHERS), asked->attempt);
    built.id = asked->build;
    built.attempt = asked->attempt + (manner == SAYS_ANOTHER_ATTEMPT);
    built.state = manner == SAYS_NOT_YET ? RUNNING : manner == FAILS ? FAILED : DONE;
    built.err = manner == FAILS ? (int32_t)s_nodes.err : 0;
    built.error = manner == FAILS ? (char *)"it went wrong" : (char *)"";
    built.objects = &object;
    built.n_objects = built.state == DONE && manner != NAMES_NONE;
    built.bytes = 1234;
    if (manner == REFUSES)
        act_refuse(act, asked->from, s_nodes.err, "not me");
    else
        act_reply(act, asked->from, pb_pack(ev->ctx, &built));
}

static void s_fake_note(const fake_t *self, const Elanus__BuildAsk *ask)
{
    heard_t heard = { ask->build->id, ask->build->attempt, ask->segment->id, self->i };
    for (size_t i = 0; i < s_nodes.heard.len; i++)
        if (memcmp(vec_at(&s_nodes.heard, i), &heard, sizeof heard) == 0)
            return;
    vec_push(&s_nodes.heard, &heard);
}

static void s_fake_call(fake_t *self, const event_t *ev)
{
    Elanus__BuildAsk *ask = NULL;
    assert_int_equal(PB_UNPACK(ev->ctx, elanus__build_ask, ev->call.payload, &ask), OK);
    assert_int_equal(ask->segment->n_binlogs, 1);
    assert_string_equal(ask->segment->binlogs[0], bw_binlog(ask->segment->id));
    assert_string_equal(ask->field->name, "v");
    assert_true(ask->wait_ms > 0);
    s_fake_note(self, ask);
    vec_push(&self->held, &(asked_t){ ev->call.from, ask->build->id, ask->build->attempt });
}

static void s_fake_timer(fake_t *self, const event_t *ev, actions_t *act)
{
    manner_t manner = s_nodes.manner[self->i];
    for (size_t i = self->held.len; manner != HOLDS && i-- > 0; ) {
        asked_t asked = *(asked_t *)vec_at(&self->held, i);
        vec_remove(&self->held, i);
        s_fake_answer(self, &asked, manner, ev, act);
    }
    act_timer(act, TIMER_ANSWER, 20);
}

static void s_fake_step(void *node, const event_t *ev, actions_t *act)
{
    fake_t *self = node;
    if (member_step(&self->member, self, ev, act))
        return;
    if (ev->kind == EV_CALL)
        s_fake_call(self, ev);
    else if (ev->kind == EV_START || (ev->kind == EV_TIMER && ev->timer == TIMER_ANSWER))
        s_fake_timer(self, ev, act);
}

static void *s_fake_make(const node_self_t *who, const void *options)
{
    (void)options;
    fake_t *self = mem_new(sizeof *self);
    member_init(&self->member, who);
    vec_init(&self->held, sizeof(asked_t));
    for (int i = 0; i < builds_world.options.builders; i++)
        if (strcmp(who->address, sim_self(builds_world.sim, bw_builder(i))->address) == 0)
            self->i = i;
    return self;
}

static void s_fake_end(void *node)
{
    fake_t *self = node;
    vec_fini(&self->held);
    member_fini(&self->member);
    mem_free(self);
}

static bool s_fake_ready(const void *node)
{
    (void)node;
    return true;
}

static const role_t s_fake_role = {
    .name = "indexnode", .make = s_fake_make, .step = s_fake_step, .end = s_fake_end,
    .ready = s_fake_ready,
};

/* --- the world ------------------------------------------------------------------------------ */

/* Nothing outside its leader writes build/, and an attempt has one builder. */
static void s_check(sim_t *sim, void *arg)
{
    (void)arg;
    assert_int_equal(sim_unguarded_writes(sim), 0);
    for (size_t i = 0; i < s_nodes.heard.len; i++)
        for (size_t k = 0; k < i; k++) {
            const heard_t *a = vec_at(&s_nodes.heard, i), *b = vec_at(&s_nodes.heard, k);
            assert_false(a->build == b->build && a->attempt == b->attempt && a->node != b->node);
        }
}

static void s_make(uint64_t seed, int builders, manner_t manner, double meta_lost)
{
    vec_init(&s_nodes.heard, sizeof(heard_t));
    for (int i = 0; i < BUILDERS; i++)
        s_nodes.manner[i] = manner;
    s_nodes.err = ERR_STORE;
    bw_make(&(builds_options_t){
        .seed = seed, .meta_lost = meta_lost, .coords = 2, .builders = builders,
        .builder = &s_fake_role, .verify = s_check,
        .coord = { .channels = 4, .build_rows = 1024, .builds_a_node = 2, .gc = true,
                   .gc_interval_ms = 1000, .gc_drop_ms = 5000 },
    });
    bw_put_collection();
    bw_put_index(BW_INDEX, "IVF_FLAT");
}

static void s_begin(int builders, manner_t manner)
{
    s_make(1, builders, manner, 0);
    bw_start();
}

static void s_end(void)
{
    bw_destroy();
    vec_fini(&s_nodes.heard);
}

static void s_put_segments(uint64_t first, size_t n)
{
    for (size_t i = 0; i < n; i++)
        bw_put_segment(first + i, ROWS, FLUSHED);
}

/* --- what is built -------------------------------------------------------------------------- */

static void a_flushed_segment_gets_its_index(void **state)
{
    (void)state;
    s_begin(1, BUILDS);
    bw_put_segment(1, ROWS, FLUSHED);
    assert_true(bw_until(5000, DONE, 1));
    const Elanus__Build *build = bw_build(1, BW_INDEX);
    assert_int_equal(build->attempt, 1);
    assert_int_equal(build->field, BW_VECTOR);
    assert_int_equal(build->rows, ROWS);
    assert_int_equal(build->bytes, 1234);
    assert_int_equal(build->n_objects, 1);
    assert_string_equal(catalog_pair(build->params, build->n_params, "nlist"), "4");
    assert_true(build->done_ms >= build->started_ms && build->started_ms > 0);
    s_end();
}

static void small_dropped_and_scanned_ones_are_not_built(void **state)
{
    (void)state;
    s_begin(1, BUILDS);
    bw_put_index(BW_INDEX + 1, "FLAT");         /* seen when the leader reads */
    bw_put_segment(1, 1023, FLUSHED);
    bw_put_segment(2, ROWS, DROPPED);
    bw_put_segment(3, 1024, FLUSHED);
    assert_true(bw_until(5000, DONE, 1));
    sim_run(builds_world.sim, 5000);
    assert_int_equal(bw_count(ANY), 1);
    assert_non_null(bw_build(3, BW_INDEX));
    s_end();
}

static void every_definition_of_a_segment_is_built(void **state)
{
    (void)state;
    s_make(1, 2, BUILDS, 0);
    bw_put_index(BW_INDEX + 1, "IVF_FLAT");
    bw_start();
    s_put_segments(1, 3);
    assert_true(bw_until(5000, DONE, 6));
    s_end();
}

static bool s_is_made(const char *name, type_t type, type_t element)
{
    Elanus__Pair pair = ELANUS__PAIR__INIT, *params[] = { &pair };
    pair.key = (char *)"index_type";
    pair.value = (char *)name;
    Elanus__Field field = ELANUS__FIELD__INIT, *fields[] = { &field };
    field.id = BW_VECTOR;
    field.type = type;
    field.element = element;
    Elanus__Collection coll = ELANUS__COLLECTION__INIT;
    coll.fields = fields;
    coll.n_fields = 1;
    Elanus__Index index = ELANUS__INDEX__INIT;
    index.field_id = BW_VECTOR;
    index.params = params;
    index.n_params = 1;
    return builds_makes(&coll, &index);
}

/* A definition is built where there is code for it; FLAT never is. */
static void what_core_index_can_is_built(void **state)
{
    (void)state;
    static const struct { const char *name; type_t type; index_type_t as; } s_types[] = {
        { "FLAT", TYPE_FLOAT_VECTOR, INDEX_NONE }, { "BIN_FLAT", TYPE_BINARY_VECTOR, INDEX_NONE },
        { "IVF_FLAT", TYPE_FLOAT_VECTOR, INDEX_IVF_FLAT },
        { "IVF_FLAT", TYPE_INT8_VECTOR, INDEX_IVF_FLAT },
        { "IVF_FLAT", TYPE_BINARY_VECTOR, INDEX_NONE }, { "IVF_FLAT", TYPE_INT64, INDEX_NONE },
        { "HNSW", TYPE_FLOAT16_VECTOR, INDEX_HNSW },
        { "AUTOINDEX", TYPE_FLOAT_VECTOR, INDEX_HNSW },
        { "AUTOINDEX", TYPE_BINARY_VECTOR, INDEX_BIN_IVF_FLAT },
        { "AUTOINDEX", TYPE_SPARSE_VECTOR, INDEX_SPARSE_INVERTED },
        { "BIN_IVF_FLAT", TYPE_BINARY_VECTOR, INDEX_BIN_IVF_FLAT },
        { "BIN_IVF_FLAT", TYPE_FLOAT_VECTOR, INDEX_NONE },
        { "SPARSE_WAND", TYPE_SPARSE_VECTOR, INDEX_SPARSE_WAND },
    };
    for (size_t i = 0; i < ARRAY_LEN(s_types); i++) {
        assert_int_equal(s_is_made(s_types[i].name, s_types[i].type, TYPE_NONE),
                         index_type_built(s_types[i].as));
    }
}

/* The same of other fields; what a field cannot have was refused before. */
static void what_core_scalar_can_is_built(void **state)
{
    (void)state;
    static const struct { const char *name; type_t type, element; bool made; } s_types[] = {
        { "STL_SORT", TYPE_INT64, TYPE_NONE, true }, { "STL_SORT", TYPE_FLOAT, TYPE_NONE, true },
        { "STL_SORT", TYPE_VARCHAR, TYPE_NONE, false },
        { "INVERTED", TYPE_BOOL, TYPE_NONE, true }, { "INVERTED", TYPE_DOUBLE, TYPE_NONE, true },
        { "INVERTED", TYPE_ARRAY, TYPE_FLOAT, true }, { "INVERTED", TYPE_JSON, TYPE_NONE, false },
        { "BITMAP", TYPE_INT8, TYPE_NONE, true }, { "BITMAP", TYPE_ARRAY, TYPE_VARCHAR, true },
        { "BITMAP", TYPE_DOUBLE, TYPE_NONE, false }, { "BITMAP", TYPE_ARRAY, TYPE_FLOAT, false },
        { "Trie", TYPE_VARCHAR, TYPE_NONE, true }, { "TRIE", TYPE_VARCHAR, TYPE_NONE, true },
        { "TRIE", TYPE_INT64, TYPE_NONE, false },
        { "AUTOINDEX", TYPE_INT32, TYPE_NONE, true }, { "AUTOINDEX", TYPE_JSON, TYPE_NONE, false },
        { "HNSW", TYPE_INT64, TYPE_NONE, false },
        { "INVERTED", TYPE_FLOAT_VECTOR, TYPE_NONE, false },
    };
    for (size_t i = 0; i < ARRAY_LEN(s_types); i++)
        assert_int_equal(s_is_made(s_types[i].name, s_types[i].type, s_types[i].element),
                         s_types[i].made);
}

/* --- who builds ------------------------------------------------------------------------------ */

static void nodes_get_no_more_than_they_may_have(void **state)
{
    (void)state;
    s_begin(2, HOLDS);
    s_put_segments(1, 10);
    assert_true(bw_until(5000, RUNNING, 4));
    sim_run(builds_world.sim, 3000);
    assert_int_equal(bw_count(RUNNING), 4);
    assert_int_equal(bw_count(WAITING), 6);
    size_t on_first = 0;
    for (size_t i = 0; i < s_nodes.heard.len; i++)
        on_first += ((heard_t *)vec_at(&s_nodes.heard, i))->node == 0;
    assert_int_equal(on_first, 2);
    s_nodes.manner[0] = s_nodes.manner[1] = BUILDS;
    assert_true(bw_until(10000, DONE, 10));
    assert_int_equal(s_nodes.heard.len, 10);
    s_end();
}

static void many_segments_go_in_many_transactions(void **state)
{
    (void)state;
    s_make(3, BUILDERS, BUILDS, 0);
    builds_world.options.coord.builds_a_node = 40;
    s_put_segments(1, 3 * LIMIT_BUILD_CHANGES + 5);
    bw_start();
    assert_true(bw_until(60000, DONE, 3 * LIMIT_BUILD_CHANGES + 5));
    s_end();
}

static void without_a_node_builds_wait_for_one(void **state)
{
    (void)state;
    s_make(1, 1, BUILDS, 0);
    bw_put_segment(1, ROWS, FLUSHED);
    bw_start();
    sim_kill(builds_world.sim, bw_builder(0));
    assert_true(bw_until(5000, WAITING, 1));
    sim_run(builds_world.sim, 20000);
    assert_int_equal(bw_count(WAITING), 1);
    sim_start(builds_world.sim, bw_builder(0));
    assert_true(bw_until(5000, DONE, 1));
    s_end();
}

static void a_long_build_is_asked_about_again_and_again(void **state)
{
    (void)state;
    s_begin(1, SAYS_NOT_YET);
    bw_put_segment(1, ROWS, FLUSHED);
    sim_run(builds_world.sim, 20000);
    assert_int_equal(bw_build(1, BW_INDEX)->attempt, 1);
    s_nodes.manner[0] = HOLDS;
    sim_run(builds_world.sim, 30000);           /* longer than any question */
    assert_int_equal(bw_build(1, BW_INDEX)->attempt, 1);
    s_nodes.manner[0] = BUILDS;
    assert_true(bw_until(5000, DONE, 1));
    s_end();
}

/* --- failures --------------------------------------------------------------------------------- */

static void a_failed_attempt_is_repeated_elsewhere(void **state)
{
    (void)state;
    s_begin(2, FAILS);
    bw_put_segment(1, ROWS, FLUSHED);
    sim_run(builds_world.sim, 10000);
    const Elanus__Build *build = bw_build(1, BW_INDEX);
    assert_true(build->attempt >= 3 && build->attempt < 20);        /* later and later */
    assert_string_equal(build->error, "it went wrong");
    const heard_t *first = vec_at(&s_nodes.heard, 0), *second = vec_at(&s_nodes.heard, 1);
    assert_int_not_equal(first->node, second->node);
    s_nodes.manner[0] = s_nodes.manner[1] = BUILDS;
    assert_true(bw_until(60000, DONE, 1));
    assert_string_equal(bw_build(1, BW_INDEX)->error, "");
    s_end();
}

static void refusals_and_wrong_answers_are_failed_attempts(void **state)
{
    (void)state;
    static const manner_t s_wrong[] = { REFUSES, NAMES_OTHERS, NAMES_NONE, SAYS_ANOTHER_ATTEMPT };
    for (size_t i = 0; i < ARRAY_LEN(s_wrong); i++) {
        s_begin(1, s_wrong[i]);
        bw_put_segment(1, ROWS, FLUSHED);
        sim_run(builds_world.sim, 3000);
        assert_true(bw_build(1, BW_INDEX)->attempt >= 2);
        assert_int_equal(bw_count(DONE), 0);
        s_nodes.manner[0] = BUILDS;
        assert_true(bw_until(60000, DONE, 1));
        s_end();
    }
}

static void what_can_never_succeed_is_said(void **state)
{
    (void)state;
    s_make(1, 2, FAILS, 0);
    s_nodes.err = ERR_CORRUPT;
    bw_start();
    bw_put_segment(1, ROWS, FLUSHED);
    assert_true(bw_until(5000, FAILED, 1));
    sim_run(builds_world.sim, 20000);
    assert_int_equal(bw_build(1, BW_INDEX)->attempt, 1);
    assert_string_equal(bw_build(1, BW_INDEX)->error, "it went wrong");
    s_end();
}

static int s_builder_of(uint64_t segment)
{
    uint64_t node = bw_build(segment, BW_INDEX)->node;
    for (int i = 0; i < builds_world.options.builders; i++)
        if (sim_self(builds_world.sim, bw_builder(i))->id == node)
            return i;
    return -1;
}

typedef struct { uint64_t segment, attempt; } attempt_t;

static bool s_is_begun(sim_t *sim, void *arg)
{
    (void)sim;
    const attempt_t *want = arg;
    const Elanus__Build *build = bw_build(want->segment, BW_INDEX);
    return build && build->attempt == want->attempt && build->state == RUNNING;
}

static void a_dead_nodes_builds_move_within_three_seconds(void **state)
{
    (void)state;
    s_begin(2, HOLDS);
    bw_put_segment(1, ROWS, FLUSHED);
    sim_run(builds_world.sim, 5000);
    int was = s_builder_of(1);
    sim_kill(builds_world.sim, bw_builder(was));
    attempt_t second = { 1, 2 };
    assert_true(sim_until(builds_world.sim, 3000, s_is_begun, &second));
    assert_int_not_equal(s_builder_of(1), was);
    s_nodes.manner[!was] = BUILDS;
    assert_true(bw_until(2000, DONE, 1));
    s_end();
}

static void a_frozen_nodes_answer_comes_too_late(void **state)
{
    (void)state;
    s_begin(2, HOLDS);
    bw_put_segment(1, ROWS, FLUSHED);
    sim_run(builds_world.sim, 5000);
    int was = s_builder_of(1);
    sim_pause(builds_world.sim, bw_builder(was));
    attempt_t second = { 1, 2 };
    assert_true(sim_until(builds_world.sim, 3000, s_is_begun, &second));
    s_nodes.manner[was] = BUILDS;
    sim_resume(builds_world.sim, bw_builder(was));
    sim_run(builds_world.sim, 5000);
    assert_int_equal(bw_count(DONE), 0);
    s_nodes.manner[!was] = BUILDS;
    assert_true(bw_until(2000, DONE, 1));
    assert_int_equal(bw_build(1, BW_INDEX)->attempt, 2);
    s_end();
}

static void a_node_that_restarts_begins_anew(void **state)
{
    (void)state;
    s_begin(1, HOLDS);
    bw_put_segment(1, ROWS, FLUSHED);
    sim_run(builds_world.sim, 5000);
    sim_kill(builds_world.sim, bw_builder(0));
    sim_start(builds_world.sim, bw_builder(0));
    s_nodes.manner[0] = BUILDS;
    assert_true(bw_until(20000, DONE, 1));
    assert_int_equal(bw_build(1, BW_INDEX)->attempt, 2);
    s_end();
}

/* Alone and only cut off for a moment it may go on: nobody else could. */
static void the_only_node_keeps_what_it_builds(void **state)
{
    (void)state;
    s_begin(1, HOLDS);
    bw_put_segment(1, ROWS, FLUSHED);
    sim_run(builds_world.sim, 5000);
    sim_cut(builds_world.sim, bw_leader(), bw_builder(0), true);
    sim_run(builds_world.sim, 4000);
    assert_int_equal(bw_build(1, BW_INDEX)->attempt, 1);
    sim_cut(builds_world.sim, bw_leader(), bw_builder(0), false);
    s_nodes.manner[0] = BUILDS;
    assert_true(bw_until(10000, DONE, 1));
    assert_int_equal(bw_build(1, BW_INDEX)->attempt, 1);
    s_end();
}

/* --- drops ----------------------------------------------------------------------------------- */

static void what_is_dropped_loses_its_builds(void **state)
{
    (void)state;
    s_begin(2, BUILDS);
    s_put_segments(1, 3);
    assert_true(bw_until(5000, DONE, 3));
    bw_put_segment(2, ROWS, DROPPED);
    assert_true(bw_until(2000, DONE, 2));
    assert_null(bw_build(2, BW_INDEX));
    bw_delete(segments_key(&builds_world.ctx, BW_COLLECTION, 3));
    assert_true(bw_until(2000, DONE, 1));
    s_nodes.manner[0] = s_nodes.manner[1] = HOLDS;
    bw_put_segment(4, ROWS, FLUSHED);
    assert_true(bw_until(2000, RUNNING, 1));
    bw_put_segment(4, ROWS, DROPPED);           /* while it is built */
    assert_true(bw_until(2000, RUNNING, 0));
    s_nodes.manner[0] = s_nodes.manner[1] = BUILDS;
    sim_run(builds_world.sim, 3000);
    assert_int_equal(bw_count(ANY), 1);
    s_end();
}

static Elanus__Ddl s_ddl(void)
{
    Elanus__Ddl ask = ELANUS__DDL__INIT;
    ask.db_name = (char *)"default";
    ask.collection_name = (char *)"coll";
    ask.index_name = (char *)"index_700";
    ask.token = (char *)"1-1";
    return ask;
}

static void a_dropped_definition_or_collection_takes_all_along(void **state)
{
    (void)state;
    static const uint32_t s_drops[] = { ELANUS__METHOD__METHOD_DROP_INDEX,
                                        ELANUS__METHOD__METHOD_DROP_COLLECTION };
    for (size_t i = 0; i < ARRAY_LEN(s_drops); i++) {
        s_begin(2, BUILDS);
        s_put_segments(1, 60);
        assert_true(bw_until(60000, DONE, 60));
        Elanus__Ddl drop = s_ddl();
        assert_int_equal(bw_ask(s_drops[i], &drop), OK);
        assert_true(bw_until(5000, ANY, 0));
        s_end();
    }
}

/* --- leaders ------------------------------------------------------------------------------- */

static void a_new_leader_goes_on(void **state)
{
    (void)state;
    s_begin(2, HOLDS);
    s_put_segments(1, 6);
    assert_true(bw_until(5000, RUNNING, 4));
    sim_run(builds_world.sim, 1000);
    int leader = bw_leader();
    sim_kill(builds_world.sim, leader);
    sim_run(builds_world.sim, 5000);
    assert_int_equal(bw_leader(), !leader);
    assert_int_equal(bw_count(RUNNING), 4);
    s_nodes.manner[0] = s_nodes.manner[1] = BUILDS;
    assert_true(bw_until(10000, DONE, 6));
    for (uint64_t s = 1; s <= 6; s++)
        assert_int_equal(bw_build(s, BW_INDEX)->attempt, 1);
    s_end();
}

/* Answers of the metadata store get lost, leaders and builders die, of any number of seeds:
 * in the end each segment has one index. */
static void lost_answers_and_deaths_change_nothing(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        s_make(seed, BUILDERS, BUILDS, 0.02);
        bw_start();
        s_put_segments(1, 20);
        rng_t *rng = sim_rng(builds_world.sim);
        for (int round = 0; round < 10; round++) {
            sim_run(builds_world.sim, (int64_t)rng_below(rng, 500));
            int n = (int)rng_below(rng, 2 + BUILDERS);
            if (sim_alive(builds_world.sim, n))
                sim_kill(builds_world.sim, n);
            else
                sim_start(builds_world.sim, n);
        }
        for (int n = 0; n < 2 + BUILDERS; n++)
            if (!sim_alive(builds_world.sim, n))
                sim_start(builds_world.sim, n);
        if (!bw_until(120000, DONE, 20))
            fail_msg("seed %" PRIu64 ": not all is built", seed);
        s_end();
    }
}

/* --- garbage ------------------------------------------------------------------------------- */

static void s_put_object(const char *key)
{
    assert_int_equal(store_put(&builds_world.ctx, builds_world.store, key, view_str("x")), OK);
}

static bool s_has_object(const char *key)
{
    uint64_t len;
    err_t err = store_head(&builds_world.ctx, builds_world.store, key, &len);
    assert_true(err == OK || err == ERR_KEY_NOT_FOUND);
    return err == OK;
}

static const char *s_object(const Elanus__Build *build, uint64_t attempt, int n)
{
    return ctx_printf(&builds_world.ctx, "index/%" PRIu64 "/%" PRIu64 "/%d", build->id, attempt, n);
}

static void objects_without_a_name_go_after_a_while(void **state)
{
    (void)state;
    s_begin(1, BUILDS);
    bw_put_segment(1, ROWS, FLUSHED);
    assert_true(bw_until(5000, DONE, 1));
    s_nodes.manner[0] = HOLDS;
    bw_put_segment(2, ROWS, FLUSHED);
    assert_true(bw_until(5000, RUNNING, 1));
    const Elanus__Build *done = bw_build(1, BW_INDEX), *runs = bw_build(2, BW_INDEX);
    const char *named = s_object(done, 1, 0), *unnamed = s_object(done, 1, 1);
    const char *running = s_object(runs, 1, 7), *later = s_object(runs, 2, 0);
    const char *others[] = { "index/999999/1/0", "index/x/1/0", "index/12", "indexes/1/1/0" };
    s_put_object(named);
    s_put_object(unnamed);
    s_put_object(running);
    s_put_object(later);
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        s_put_object(others[i]);
    sim_run(builds_world.sim, 4000);
    assert_true(s_has_object(unnamed) && s_has_object(others[0]));      /* somebody may read */
    sim_run(builds_world.sim, 5000);
    assert_false(s_has_object(unnamed) || s_has_object(others[0]));
    assert_true(s_has_object(named) && s_has_object(running) && s_has_object(later));
    for (size_t i = 1; i < ARRAY_LEN(others); i++)
        assert_true(s_has_object(others[i]));
    bw_put_segment(1, ROWS, DROPPED);
    sim_run(builds_world.sim, 9000);
    assert_false(s_has_object(named));
    s_end();
}

static void attempts_that_were_overtaken_leave_nothing(void **state)
{
    (void)state;
    s_begin(2, FAILS);
    bw_put_segment(1, ROWS, FLUSHED);
    sim_run(builds_world.sim, 3000);
    s_nodes.manner[0] = s_nodes.manner[1] = BUILDS;
    assert_true(bw_until(60000, DONE, 1));
    const Elanus__Build *build = bw_build(1, BW_INDEX);
    for (uint64_t attempt = 1; attempt <= build->attempt; attempt++)
        s_put_object(s_object(build, attempt, 0));
    sim_run(builds_world.sim, 9000);
    for (uint64_t attempt = 1; attempt <= build->attempt; attempt++)
        assert_int_equal(s_has_object(s_object(build, attempt, 0)), attempt == build->attempt);
    s_end();
}

/* What cannot be read may name anything. */
static void garbage_waits_while_a_build_is_damaged(void **state)
{
    (void)state;
    s_begin(1, BUILDS);
    sim_run(builds_world.sim, 2000);
    s_put_object("index/999999/1/0");
    meta_op_t op = { .kind = META_PUT, .key = "build/9/9/9", .value = view_str("\xff\xff") };
    meta_txn_result_t done = {0};
    assert_int_equal(meta_txn(&builds_world.ctx, sim_meta(builds_world.sim),
                              &(meta_txn_t){ .ops = &op, .n_ops = 1 }, &done), OK);
    sim_run(builds_world.sim, 20000);
    assert_true(s_has_object("index/999999/1/0"));
    bw_delete("build/9/9/9");
    sim_run(builds_world.sim, 20000);
    assert_false(s_has_object("index/999999/1/0"));
    s_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flushed_segment_gets_its_index),
        cmocka_unit_test(small_dropped_and_scanned_ones_are_not_built),
        cmocka_unit_test(every_definition_of_a_segment_is_built),
        cmocka_unit_test(what_core_index_can_is_built),
        cmocka_unit_test(what_core_scalar_can_is_built),
        cmocka_unit_test(nodes_get_no_more_than_they_may_have),
        cmocka_unit_test(many_segments_go_in_many_transactions),
        cmocka_unit_test(without_a_node_builds_wait_for_one),
        cmocka_unit_test(a_long_build_is_asked_about_again_and_again),
        cmocka_unit_test(a_failed_attempt_is_repeated_elsewhere),
        cmocka_unit_test(refusals_and_wrong_answers_are_failed_attempts),
        cmocka_unit_test(what_can_never_succeed_is_said),
        cmocka_unit_test(a_dead_nodes_builds_move_within_three_seconds),
        cmocka_unit_test(a_frozen_nodes_answer_comes_too_late),
        cmocka_unit_test(a_node_that_restarts_begins_anew),
        cmocka_unit_test(the_only_node_keeps_what_it_builds),
        cmocka_unit_test(what_is_dropped_loses_its_builds),
        cmocka_unit_test(a_dropped_definition_or_collection_takes_all_along),
        cmocka_unit_test(a_new_leader_goes_on),
        cmocka_unit_test(lost_answers_and_deaths_change_nothing),
        cmocka_unit_test(objects_without_a_name_go_after_a_while),
        cmocka_unit_test(attempts_that_were_overtaken_leave_nothing),
        cmocka_unit_test(garbage_waits_while_a_build_is_damaged),
    };
    log_set_level(LOG_FATAL);
    return cmocka_run_group_tests_name("coord_builds", tests, NULL, NULL);
}
