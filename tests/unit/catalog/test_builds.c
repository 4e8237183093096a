/* builds, placements and resource groups: pictures of the keys that the coord puts */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/catalog/builds.h"
#include "core/catalog/directory.h"
#include "core/wire/pb.h"

static ctx_t s_ctx;

static int s_setup(void **state)
{
    (void)state;
    ctx_init(&s_ctx);
    return 0;
}

static int s_teardown(void **state)
{
    (void)state;
    ctx_fini(&s_ctx);
    return 0;
}

static meta_change_t s_put(const char *key, view_t value, int64_t rev)
{
    return (meta_change_t){ .kind = META_WATCH_PUT,
                            .item = { .key = key, .value = value, .mod_rev = rev } };
}

static view_t s_build(uint64_t segment, uint64_t index, Elanus__BuildState state)
{
    Elanus__Build build = ELANUS__BUILD__INIT;
    build.id = 100 * segment + index;
    build.collection = 7;
    build.segment = segment;
    build.index = index;
    build.state = state;
    return pb_pack(&s_ctx, &build);
}

static void s_hear(void *arg, const Elanus__Build *was, const Elanus__Build *now)
{
    int *heard = arg;
    heard[0] += now != NULL;
    heard[1] += was && !now;
}

static void builds_follow_their_keys(void **state)
{
    (void)state;
    builds_t *self = builds_new();
    const meta_change_t list[] = {
        { .kind = META_WATCH_RESET },
        s_put("build/7/20/3", s_build(20, 3, ELANUS__BUILD_STATE__BUILD_WAITING), 5),
        s_put("build/7/10/4", s_build(10, 4, ELANUS__BUILD_STATE__BUILD_DONE), 6),
        s_put("build/7/10/3", s_build(10, 4, ELANUS__BUILD_STATE__BUILD_DONE), 6), /* elsewhere */
        { .kind = META_WATCH_SYNCED, .item.mod_rev = 6 },
    };
    int heard[2] = { 0, 0 };
    assert_false(builds_synced(self));
    builds_watched(self, &s_ctx, list, ARRAY_LEN(list), s_hear, heard);
    assert_true(builds_synced(self));
    assert_int_equal(heard[0], 2);
    const Elanus__Build **all = NULL;
    assert_int_equal(builds_of(self, &s_ctx, 0, 0, &all), 2);
    assert_int_equal(all[0]->segment, 10);
    assert_int_equal(builds_of(self, &s_ctx, 7, 20, &all), 1);
    assert_int_equal(all[0]->index, 3);
    assert_int_equal(builds_of(self, &s_ctx, 7, 2, &all), 0);
    int64_t rev = 0;
    assert_non_null(builds_get(self, 7, 10, 4, &rev));
    assert_int_equal(rev, 6);

    assert_int_equal(builds_put(self, &s_ctx, builds_key(&s_ctx, 7, 20, 3), NULL, 9), OK);
    assert_null(builds_get(self, 7, 20, 3, NULL));
    const meta_change_t gone = { .kind = META_WATCH_DELETE,
                                 .item = { .key = "build/7/10/4", .mod_rev = 10 } };
    builds_watched(self, &s_ctx, &gone, 1, s_hear, heard);
    assert_int_equal(heard[1], 1);
    builds_destroy(&self);
    assert_null(self);
}

static void a_directory_knows_placements_and_groups(void **state)
{
    (void)state;
    directory_t *self = directory_new();
    Elanus__Place place = ELANUS__PLACE__INIT, *places[] = { &place };
    place.segment = 40;
    place.node = 3;
    Elanus__Placement placement = ELANUS__PLACEMENT__INIT;
    placement.collection = 7;
    placement.replica = 9;
    placement.places = places;
    placement.n_places = 1;
    Elanus__ResourceGroup group = ELANUS__RESOURCE_GROUP__INIT;
    group.name = (char *)"fast";
    const meta_change_t put[] = { s_put("place/7/9", pb_pack(&s_ctx, &placement), 4) };
    const meta_change_t puts[] = { s_put("rg/fast", pb_pack(&s_ctx, &group), 5) };
    directory_watched(self, &s_ctx, DIRECTORY_PLACE, put, 1);
    directory_watched(self, &s_ctx, DIRECTORY_GROUP, puts, 1);
    assert_int_equal(directory_placement(self, 7, 9)->places[0]->node, 3);
    assert_null(directory_placement(self, 7, 8));
    assert_non_null(directory_group(self, "fast"));
    const Elanus__ResourceGroup **groups = NULL;
    assert_int_equal(directory_groups(self, &s_ctx, &groups), 1);
    assert_string_equal(directory_key_group(&s_ctx, groups[0]->name), "rg/fast");
    directory_destroy(&self);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(builds_follow_their_keys, s_setup, s_teardown),
        cmocka_unit_test_setup_teardown(a_directory_knows_placements_and_groups, s_setup,
                                        s_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
