/* identity: metadata and objects of one cluster find together, those of two are told apart */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "core/node/identity.h"
#include "core/store/store_int.h"
#include "core/wire/pb.h"
#include "elanus.pb-c.h"

typedef struct {
    ctx_t ctx;
    meta_t *meta, *other_meta;
    store_t *store, *other_store;
} world_t;

static int s_setup(void **state)
{
    world_t *world = mem_new(sizeof *world);
    ctx_init(&world->ctx);
    world->meta = meta_memory_new(NULL, NULL);
    world->other_meta = meta_memory_new(NULL, NULL);
    world->store = store_memory_new();
    world->other_store = store_memory_new();
    *state = world;
    return 0;
}

static int s_teardown(void **state)
{
    world_t *world = *state;
    meta_destroy(&world->meta);
    meta_destroy(&world->other_meta);
    store_destroy(&world->store);
    store_destroy(&world->other_store);
    ctx_fini(&world->ctx);
    mem_free(world);
    return 0;
}

static err_t s_check(world_t *world, meta_t *meta, store_t *store)
{
    ctx_clear(&world->ctx);
    return identity_check(&world->ctx, meta, store, "the metadata's place", "the objects' place");
}

static void s_refused(world_t *world, meta_t *meta, store_t *store, const char *word)
{
    assert_int_equal(s_check(world, meta, store), ERR_CONFIG);
    assert_non_null(strstr(world->ctx.text, "the metadata's place"));
    assert_non_null(strstr(world->ctx.text, "the objects' place"));
    assert_non_null(strstr(world->ctx.text, word));
}

static void a_new_cluster_finds_itself_again(void **state)
{
    world_t *world = *state;
    assert_int_equal(s_check(world, world->meta, NULL), OK);    /* a coord comes first */
    assert_int_equal(s_check(world, world->meta, world->store), OK);
    assert_int_equal(s_check(world, world->meta, world->store), OK);
}

static void objects_of_another_cluster_are_refused(void **state)
{
    world_t *world = *state;
    assert_int_equal(s_check(world, world->meta, world->store), OK);
    s_refused(world, world->other_meta, world->store, "belongs to cluster");
}

static void metadata_whose_objects_are_elsewhere_is_refused(void **state)
{
    world_t *world = *state;
    assert_int_equal(s_check(world, world->meta, world->store), OK);
    s_refused(world, world->meta, world->other_store, "elsewhere");
}

static void objects_that_no_metadata_knows_are_left_alone(void **state)
{
    world_t *world = *state;
    assert_int_equal(store_put(&world->ctx, world->store, "insert_log/1", view_str("rows")), OK);
    s_refused(world, world->meta, world->store, "insert_log/1");
    uint64_t len = 0;
    assert_int_equal(store_head(&world->ctx, world->store, "cluster", &len), ERR_KEY_NOT_FOUND);
}

/* Daemons that start together all find no marker; one writes it, before another lists. */
static const store_driver_t *s_stable;
static bool s_faster;

static err_t s_list_late(ctx_t *ctx, void *impl, const char *prefix, const char *after,
                         size_t most, store_list_t *list)
{
    world_t *world = impl;
    if (s_faster) {
        s_faster = false;
        TRY(identity_check(ctx, world->meta, world->store, "there", "here"));
    }
    return s_stable->list(ctx, world->store->impl, prefix, after, most, list);
}

static err_t s_get_same(ctx_t *ctx, void *impl, const char *key, uint64_t offset, uint64_t len,
                        store_sink_t *sink)
{
    world_t *world = impl;
    return s_stable->get(ctx, world->store->impl, key, offset, len, sink);
}

static err_t s_put_same(ctx_t *ctx, void *impl, const char *key, const store_parts_t *parts)
{
    world_t *world = impl;
    return s_stable->put(ctx, world->store->impl, key, parts);
}

static void s_keep(void *impl)
{
}

static void daemons_that_start_together_agree(void **state)
{
    world_t *world = *state;
    s_stable = world->store->driver;
    s_faster = true;
    store_driver_t driver = { .name = "late", .put = s_put_same, .get = s_get_same,
                              .list = s_list_late, .destroy = s_keep };
    store_t *late = store_new(&driver, world);
    assert_int_equal(s_check(world, world->meta, late), OK);
    assert_false(s_faster);
    assert_int_equal(s_check(world, world->meta, world->store), OK);
    store_destroy(&late);
}

static void a_node_of_another_version_is_named(void **state)
{
    world_t *world = *state;
    assert_int_equal(identity_check_versions(&world->ctx, world->meta), OK);
    Elanus__NodeInfo info = ELANUS__NODE_INFO__INIT;
    info.id = 7;
    info.role = (char *)"querynode";
    info.host = (char *)"there";
    info.version = (char *)ELANUS_VERSION;
    meta_op_t put = { .kind = META_PUT, .key = "session/querynode-7",
                      .value = pb_pack(&world->ctx, &info) };
    meta_txn_result_t result;
    assert_int_equal(meta_txn(&world->ctx, world->meta, &(meta_txn_t){ .ops = &put, .n_ops = 1 },
                              &result), OK);
    assert_int_equal(identity_check_versions(&world->ctx, world->meta), OK);
    info.version = (char *)"9.9.9";
    put.value = pb_pack(&world->ctx, &info);
    assert_int_equal(meta_txn(&world->ctx, world->meta, &(meta_txn_t){ .ops = &put, .n_ops = 1 },
                              &result), OK);
    assert_int_equal(identity_check_versions(&world->ctx, world->meta), ERR_VERSION);
    assert_non_null(strstr(world->ctx.text, "9.9.9"));
    assert_non_null(strstr(world->ctx.text, ELANUS_VERSION));
    assert_non_null(strstr(world->ctx.text, "querynode-7"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_new_cluster_finds_itself_again, s_setup, s_teardown),
        cmocka_unit_test_setup_teardown(objects_of_another_cluster_are_refused, s_setup,
                                        s_teardown),
        cmocka_unit_test_setup_teardown(metadata_whose_objects_are_elsewhere_is_refused, s_setup,
                                        s_teardown),
        cmocka_unit_test_setup_teardown(objects_that_no_metadata_knows_are_left_alone, s_setup,
                                        s_teardown),
        cmocka_unit_test_setup_teardown(daemons_that_start_together_agree, s_setup, s_teardown),
        cmocka_unit_test_setup_teardown(a_node_of_another_version_is_named, s_setup, s_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
