/* coord_builds: what is built, by whom, what becomes of failures, deaths and drops, and what a
 * new leader makes of it.
 *
 * The real coordinator with index nodes that only say what a test wants.
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
#include "tests/support/fake_builders.h"

#define DONE    ELANUS__BUILD_STATE__BUILD_DONE
#define FAILED  ELANUS__BUILD_STATE__BUILD_FAILED
#define RUNNING ELANUS__BUILD_STATE__BUILD_RUNNING
#define WAITING ELANUS__BUILD_STATE__BUILD_WAITING
#define ANY     ELANUS__BUILD_STATE__BUILD_NONE
#define FLUSHED ELANUS__SEGMENT_STATE__SEGMENT_FLUSHED
#define DROPPED ELANUS__SEGMENT_STATE__SEGMENT_DROPPED

enum { ROWS = 2000, BUILDERS = FAKE_BUILDERS };

/* --- the world ------------------------------------------------------------------------------ */

/* Nothing outside its leader writes build/, and an attempt has one builder. */
static void s_check(sim_t *sim, void *arg)
{
    (void)arg;
    assert_int_equal(sim_unguarded_writes(sim), 0);
    for (size_t i = 0; i < fake_builders.heard.len; i++)
        for (size_t k = 0; k < i; k++) {
            const fake_heard_t *a = vec_at(&fake_builders.heard, i);
            const fake_heard_t *b = vec_at(&fake_builders.heard, k);
            assert_false(a->build == b->build && a->attempt == b->attempt && a->node != b->node);
        }
}

static void s_make(uint64_t seed, int builders, fake_manner_t manner, double meta_lost)
{
    fake_builders_make(manner);
    bw_make(&(builds_options_t){
        .seed = seed, .meta_lost = meta_lost, .coords = 2, .builders = builders,
        .builder = &fake_builder_role, .verify = s_check,
        .coord = { .channels = 4, .build_rows = 1024, .builds_a_node = 2, .gc = true,
                   .gc_interval_ms = 1000, .gc_drop_ms = 5000 },
    });
    bw_put_collection();
    bw_put_index(BW_INDEX, "IVF_FLAT");
}

static void s_begin(int builders, fake_manner_t manner)
{
    s_make(1, builders, manner, 0);
    bw_start();
}

static void s_end(void)
{
    bw_destroy();
    fake_builders_free();
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
    for (size_t i = 0; i < fake_builders.heard.len; i++)
        on_first += ((fake_heard_t *)vec_at(&fake_builders.heard, i))->node == 0;
    assert_int_equal(on_first, 2);
    fake_builders.manner[0] = fake_builders.manner[1] = BUILDS;
    assert_true(bw_until(10000, DONE, 10));
    assert_int_equal(fake_builders.heard.len, 10);
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
    fake_builders.manner[0] = HOLDS;
    sim_run(builds_world.sim, 30000);           /* longer than any question */
    assert_int_equal(bw_build(1, BW_INDEX)->attempt, 1);
    fake_builders.manner[0] = BUILDS;
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
    const fake_heard_t *first = vec_at(&fake_builders.heard, 0);
    const fake_heard_t *second = vec_at(&fake_builders.heard, 1);
    assert_int_not_equal(first->node, second->node);
    fake_builders.manner[0] = fake_builders.manner[1] = BUILDS;
    assert_true(bw_until(60000, DONE, 1));
    assert_string_equal(bw_build(1, BW_INDEX)->error, "");
    s_end();
}

static void refusals_and_wrong_answers_are_failed_attempts(void **state)
{
    (void)state;
    static const fake_manner_t s_wrong[] = { REFUSES, NAMES_OTHERS, NAMES_NONE,
                                             SAYS_ANOTHER_ATTEMPT };
    for (size_t i = 0; i < ARRAY_LEN(s_wrong); i++) {
        s_begin(1, s_wrong[i]);
        bw_put_segment(1, ROWS, FLUSHED);
        sim_run(builds_world.sim, 3000);
        assert_true(bw_build(1, BW_INDEX)->attempt >= 2);
        assert_int_equal(bw_count(DONE), 0);
        fake_builders.manner[0] = BUILDS;
        assert_true(bw_until(60000, DONE, 1));
        s_end();
    }
}

static void what_can_never_succeed_is_said(void **state)
{
    (void)state;
    s_make(1, 2, FAILS, 0);
    fake_builders.err = ERR_CORRUPT;
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
    fake_builders.manner[!was] = BUILDS;
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
    fake_builders.manner[was] = BUILDS;
    sim_resume(builds_world.sim, bw_builder(was));
    sim_run(builds_world.sim, 5000);
    assert_int_equal(bw_count(DONE), 0);
    fake_builders.manner[!was] = BUILDS;
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
    fake_builders.manner[0] = BUILDS;
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
    fake_builders.manner[0] = BUILDS;
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
    fake_builders.manner[0] = fake_builders.manner[1] = HOLDS;
    bw_put_segment(4, ROWS, FLUSHED);
    assert_true(bw_until(2000, RUNNING, 1));
    bw_put_segment(4, ROWS, DROPPED);           /* while it is built */
    assert_true(bw_until(2000, RUNNING, 0));
    fake_builders.manner[0] = fake_builders.manner[1] = BUILDS;
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

/* --- objects ------------------------------------------------------------------------------- */

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

/* --- damage -------------------------------------------------------------------------------- */

static Elanus__BuildDamaged s_damaged(const Elanus__Build *build)
{
    Elanus__BuildDamaged damaged = ELANUS__BUILD_DAMAGED__INIT;
    damaged.collection = build->collection;
    damaged.segment = build->segment;
    damaged.index = build->index;
    damaged.build = build->id;
    damaged.attempt = build->attempt;
    damaged.why = (char *)"a byte has changed";
    return damaged;
}

static err_t s_say_damaged(const Elanus__BuildDamaged *damaged)
{
    return bw_ask(ELANUS__METHOD__METHOD_BUILD_AGAIN, damaged);
}

static void a_damaged_index_is_built_again(void **state)
{
    (void)state;
    s_begin(2, BUILDS);
    bw_put_segment(1, ROWS, FLUSHED);
    assert_true(bw_until(5000, DONE, 1));
    const Elanus__Build *was = bw_build(1, BW_INDEX);
    const char *first = s_object(was, 1, 0);
    s_put_object(first);
    fake_builders.manner[0] = fake_builders.manner[1] = HOLDS;
    Elanus__BuildDamaged damaged = s_damaged(was);
    assert_int_equal(s_say_damaged(&damaged), OK);
    const Elanus__Build *now = bw_build(1, BW_INDEX);
    assert_int_equal(now->n_objects, 0);
    assert_int_equal(now->done_ms, 0);
    assert_string_equal(now->error, "a byte has changed");
    assert_true(bw_until(2000, RUNNING, 1));
    assert_int_equal(bw_build(1, BW_INDEX)->attempt, 2);
    fake_builders.manner[0] = fake_builders.manner[1] = BUILDS;
    assert_true(bw_until(5000, DONE, 1));
    now = bw_build(1, BW_INDEX);
    assert_int_equal(now->id, was->id);
    assert_string_equal(now->objects[0], s_object(was, 2, 0));
    assert_string_equal(now->error, "");
    assert_int_not_equal(now->incarnation, was->incarnation);   /* another makes another mistake */
    sim_run(builds_world.sim, 9000);
    assert_false(s_has_object(first));
    s_end();
}

/* Two query nodes find the same, or one says it again: once is enough.  What is known of another
 * attempt, of another build, of none, or while it is built, changes nothing. */
static void damage_that_is_known_changes_nothing(void **state)
{
    (void)state;
    s_begin(1, BUILDS);
    bw_put_segment(1, ROWS, FLUSHED);
    assert_true(bw_until(5000, DONE, 1));
    Elanus__BuildDamaged damaged = s_damaged(bw_build(1, BW_INDEX));
    fake_builders.manner[0] = HOLDS;
    assert_int_equal(s_say_damaged(&damaged), OK);
    assert_int_equal(s_say_damaged(&damaged), OK);
    assert_true(bw_until(2000, RUNNING, 1));
    damaged.attempt = 2;
    assert_int_equal(s_say_damaged(&damaged), OK);
    assert_int_equal(bw_count(RUNNING), 1);
    fake_builders.manner[0] = BUILDS;
    assert_true(bw_until(5000, DONE, 1));
    for (int i = 0; i < 5; i++) {
        Elanus__BuildDamaged other = s_damaged(bw_build(1, BW_INDEX));
        other.collection += i == 0;
        other.segment += i == 1;
        other.index += i == 2;
        other.build += i == 3;
        other.attempt -= i == 4;
        assert_int_equal(s_say_damaged(&other), OK);
    }
    sim_run(builds_world.sim, 3000);
    assert_int_equal(bw_build(1, BW_INDEX)->attempt, 2);
    assert_int_equal(bw_count(DONE), 1);
    s_end();
}

static void s_start_dead(void)
{
    for (int n = 0; n < sim_nodes(builds_world.sim); n++)
        if (!sim_alive(builds_world.sim, n))
            sim_start(builds_world.sim, n);
}

/* Answers of the metadata store get lost and leaders die over it: said again until it was
 * heard, as query nodes do, it is one more attempt, not two. */
static void damage_is_heard_once(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        s_make(seed, 2, BUILDS, 0.02);
        bw_start();
        bw_put_segment(1, ROWS, FLUSHED);
        assert_true(bw_until(60000, DONE, 1));
        Elanus__BuildDamaged damaged = s_damaged(bw_build(1, BW_INDEX));
        uint64_t attempt = damaged.attempt;
        for (int i = 0; i < 3; i++) {
            assert_int_equal(s_say_damaged(&damaged), OK);
            if (i == 1 && bw_leader() >= 0)
                sim_kill(builds_world.sim, bw_leader());
            s_start_dead();
        }
        assert_true(bw_until(60000, DONE, 1));
        assert_int_equal(bw_build(1, BW_INDEX)->attempt, attempt + 1);
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
    fake_builders.manner[0] = fake_builders.manner[1] = BUILDS;
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
        s_start_dead();
        if (!bw_until(120000, DONE, 20))
            fail_msg("seed %" PRIu64 ": not all is built", seed);
        s_end();
    }
}

/* --- garbage ------------------------------------------------------------------------------- */

static void objects_without_a_name_go_after_a_while(void **state)
{
    (void)state;
    s_begin(1, BUILDS);
    bw_put_segment(1, ROWS, FLUSHED);
    assert_true(bw_until(5000, DONE, 1));
    fake_builders.manner[0] = HOLDS;
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
    fake_builders.manner[0] = fake_builders.manner[1] = BUILDS;
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
        cmocka_unit_test(a_damaged_index_is_built_again),
        cmocka_unit_test(damage_that_is_known_changes_nothing),
        cmocka_unit_test(damage_is_heard_once),
        cmocka_unit_test(a_new_leader_goes_on),
        cmocka_unit_test(lost_answers_and_deaths_change_nothing),
        cmocka_unit_test(objects_without_a_name_go_after_a_while),
        cmocka_unit_test(attempts_that_were_overtaken_leave_nothing),
        cmocka_unit_test(garbage_waits_while_a_build_is_damaged),
    };
    log_set_level(LOG_FATAL);
    return cmocka_run_group_tests_name("coord_builds", tests, NULL, NULL);
}
