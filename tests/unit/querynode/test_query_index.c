/* query node: an index is used when it is there; one that cannot be opened is told to the coord,
 * if building again helps, and the next attempt takes its place */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/store/store_int.h"
#include "tests/support/querynode_world.h"

enum { ROWS = 50, OBJECTS = 2 };

static void s_run_out(querynode_world_t *w)
{
    while (!qw_idle(w))
        qw_one(w);
}

static void s_pass(querynode_world_t *w, int64_t ms)
{
    qw_pass(w, ms);
    s_run_out(w);
}

/* One segment, flushed and loaded; an index is defined. */
static querynode_world_t *s_world(void)
{
    querynode_world_t *w = qw_new(5, NULL);
    int64_t pks[ROWS];
    for (int64_t i = 0; i < ROWS; i++)
        pks[i] = i;
    qw_create(w);
    qw_define_index(w);
    qw_lead_coord(w);
    qw_insert(w, QW_PART, pks, ROWS, false);
    qw_plan_flush(w, QW_PART);
    qw_commit_flush(w);
    qw_load(w, true, false, false);
    s_run_out(w);
    return w;
}

static bool s_used(querynode_world_t *w)
{
    ctx_t ctx;
    ctx_init(&ctx);
    const Elanus__Loaded *loaded = qw_loaded(w, &ctx);
    assert_int_equal(loaded->percent, 100);
    assert_int_equal(loaded->n_segments, 1);
    bool used = loaded->segments[0]->n_indexes == 1;
    assert_true(!used || loaded->segments[0]->indexes[0] == QW_INDEX);
    ctx_fini(&ctx);
    return used;
}

static size_t s_told(const querynode_world_t *w)
{
    size_t n;
    (void)qw_damaged(w, &n);
    return n;
}

static void s_flip(querynode_world_t *w, const char *key)
{
    ctx_t ctx;
    ctx_init(&ctx);
    view_t body = {0};
    assert_int_equal(store_get(&ctx, qw_store(w), key, &body), OK);
    uint8_t *copy = ctx_new(&ctx, body.len);
    memcpy(copy, body.ptr, body.len);
    copy[body.len / 2] ^= 0x40;
    assert_int_equal(store_put(&ctx, qw_store(w), key, view_of(copy, body.len)), OK);
    ctx_fini(&ctx);
}

static void s_remove(querynode_world_t *w, const char *key)
{
    ctx_t ctx;
    ctx_init(&ctx);
    assert_int_equal(store_delete(&ctx, qw_store(w), key), OK);
    ctx_fini(&ctx);
}

static void an_index_is_used_when_it_is_there(void **state)
{
    (void)state;
    querynode_world_t *w = s_world();
    assert_false(s_used(w));
    qw_build(w, 0, 1);
    s_run_out(w);
    assert_true(s_used(w));
    qw_build(w, 0, 2);
    s_run_out(w);
    assert_true(s_used(w));
    assert_int_equal(s_told(w), 0);
    qw_free(&w);
}

/* Three times, 1 s and 2 s apart, then it is told, each time until somebody builds it. */
static void s_is_told(void (*hurt)(querynode_world_t *w, const char *key), size_t object)
{
    querynode_world_t *w = s_world();
    qw_build(w, 0, 1);
    const char *key = qw_build_object(w, 1, object);
    hurt(w, key);
    s_run_out(w);
    s_pass(w, 1000);
    assert_int_equal(s_told(w), 0);
    s_pass(w, 2000);
    assert_int_equal(s_told(w), 1);
    size_t n;
    const Elanus__BuildDamaged *damaged = qw_damaged(w, &n);
    assert_int_equal(damaged->collection, QW_COLL);
    assert_true(damaged->segment > 0);
    assert_int_equal(damaged->index, QW_INDEX);
    assert_int_equal(damaged->build, QW_BUILD);
    assert_int_equal(damaged->attempt, 1);
    assert_non_null(strstr(damaged->why, key));
    s_pass(w, 4000);
    assert_int_equal(s_told(w), 2);             /* nobody has built: it is said again */
    assert_false(s_used(w));
    qw_build(w, 0, 2);
    s_run_out(w);                               /* at once, whatever the one before waits for */
    assert_true(s_used(w));
    s_pass(w, 60000);
    assert_int_equal(s_told(w), 2);
    qw_free(&w);
}

static void damaged_objects_are_told(void **state)
{
    (void)state;
    for (size_t object = 0; object < OBJECTS; object++)
        s_is_told(s_flip, object);
}

static void missing_objects_are_told(void **state)
{
    (void)state;
    for (size_t object = 0; object < OBJECTS; object++)
        s_is_told(s_remove, object);
}

/* Is the attempt after a damaged one damaged, too, it takes longer to say so. */
static void damage_again_and_again_is_told_more_seldom(void **state)
{
    (void)state;
    querynode_world_t *w = s_world();
    int64_t took_ms[3] = {0};
    for (uint64_t attempt = 1; attempt <= ARRAY_LEN(took_ms); attempt++) {
        qw_build(w, 0, attempt);
        s_flip(w, qw_build_object(w, attempt, 0));
        s_run_out(w);
        for (; s_told(w) < attempt; s_pass(w, 500))
            took_ms[attempt - 1] += 500;
    }
    assert_true(took_ms[0] <= 3500 && took_ms[1] > 3 * took_ms[0] && took_ms[2] > took_ms[1]);
    qw_free(&w);
}

static store_driver_t g_driver;
static bool g_unreachable;

static const store_driver_t *g_stable;

static err_t s_get(ctx_t *ctx, void *impl, const char *key, uint64_t offset, uint64_t len,
                   store_sink_t *sink)
{
    if (g_unreachable)
        return ctx_fail(ctx, ERR_STORE, "no answer to the get of %s", key);
    return g_stable->get(ctx, impl, key, offset, len, sink);
}

/* A store that is away says nothing of its objects. */
static void a_store_that_is_away_is_not_damage(void **state)
{
    (void)state;
    querynode_world_t *w = s_world();
    qw_build(w, 0, 1);
    g_stable = qw_store(w)->driver;
    g_driver = *g_stable;
    g_driver.get = s_get;
    qw_store(w)->driver = &g_driver;
    g_unreachable = true;
    s_run_out(w);
    for (int i = 0; i < 10; i++)
        s_pass(w, 60000);
    assert_false(s_used(w));
    g_unreachable = false;
    s_pass(w, 60000);
    assert_true(s_used(w));
    assert_int_equal(s_told(w), 0);
    qw_free(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_index_is_used_when_it_is_there),
        cmocka_unit_test(damaged_objects_are_told),
        cmocka_unit_test(missing_objects_are_told),
        cmocka_unit_test(damage_again_and_again_is_told_more_seldom),
        cmocka_unit_test(a_store_that_is_away_is_not_damage),
    };
    log_set_level(LOG_FATAL);
    return cmocka_run_group_tests_name("query_index", tests, NULL, NULL);
}
