/* What the coordinator plans for query nodes: groups, placement, balance.
 *
 * A plan is made of pictures of the metadata and a list of nodes, and notes writes:
 * so it is tested without a coordinator, by what it notes.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "coord/coord_groups.h"
#include "core/wire/pb.h"

enum { COLLECTION = 7, REPLICA = 9, PARTITION = 3 };

typedef struct {
    coord_node_t node;
    ddl_t ddl;
    plan_t plan;
    server_t servers[8];
    uint64_t nodes[8];
    Elanus__Replica replica;
    Elanus__Load load;
    int64_t rev;
} world_t;

static int s_up(void **state)
{
    world_t *w = mem_new(sizeof *w);
    w->node.directory = directory_new();
    w->node.segments = segments_new();
    ctx_init(&w->ddl.memory);
    vec_init(&w->ddl.ops, sizeof(meta_op_t));
    w->plan = (plan_t){ .self = &w->node, .ddl = &w->ddl, .servers = w->servers };
    elanus__replica__init(&w->replica);
    w->replica.id = REPLICA;
    w->replica.collection = COLLECTION;
    w->replica.nodes = w->nodes;
    elanus__load__init(&w->load);
    w->load.whole = true;
    *state = w;
    return 0;
}

static int s_down(void **state)
{
    world_t *w = *state;
    directory_destroy(&w->node.directory);
    segments_destroy(&w->node.segments);
    vec_fini(&w->ddl.ops);
    ctx_fini(&w->ddl.memory);
    mem_free(w);
    return 0;
}

/* Nodes 1 … n, all of them of the replica, with so much memory. */
static void s_nodes(world_t *w, size_t n, uint64_t limit)
{
    w->plan.n = w->replica.n_nodes = n;
    for (size_t i = 0; i < n; i++) {
        w->nodes[i] = i + 1;
        w->servers[i] = (server_t){ .id = i + 1, .up = true, .limit = limit,
                                    .group = COORD_DEFAULT_GROUP };
    }
}

static void s_segment(world_t *w, uint64_t id, uint64_t bytes, Elanus__SegmentState state,
                      uint64_t into)
{
    ctx_t *ctx = &w->ddl.memory;
    Elanus__Segment segment = ELANUS__SEGMENT__INIT;
    segment.id = id;
    segment.collection = COLLECTION;
    segment.partition = PARTITION;
    segment.bytes = bytes;
    segment.state = state;
    segment.into = into;
    view_t value = pb_pack(ctx, &segment);
    assert_int_equal(segments_put(w->node.segments, ctx, segments_key(ctx, COLLECTION, id), &value,
                                  ++w->rev), OK);
}

static void s_flushed(world_t *w, uint64_t id, uint64_t bytes)
{
    s_segment(w, id, bytes, ELANUS__SEGMENT_STATE__SEGMENT_FLUSHED, 0);
}

/* Plan, let the pictures show what was noted, count the servers anew; how many writes. */
static size_t s_round(world_t *w)
{
    w->plan.bytes = w->plan.moved = 0;
    for (size_t i = 0; i < w->plan.n; i++)
        w->servers[i].bytes = w->servers[i].replica = 0;
    coord_plan_count(&w->plan, &w->replica, true);
    coord_placement_plan(&w->plan, &w->load, &w->replica);
    size_t n = w->ddl.ops.len;
    for (size_t i = 0; i < n; i++) {
        const meta_op_t *op = vec_at(&w->ddl.ops, i);
        assert_int_equal(directory_put(w->node.directory, &w->ddl.memory, op->key, &op->value,
                                       ++w->rev), OK);
    }
    w->ddl.ops.len = 0;
    return n;
}

static const Elanus__Placement *s_placement(const world_t *w)
{
    return directory_placement(w->node.directory, COLLECTION, REPLICA);
}

static uint64_t s_where(const world_t *w, uint64_t segment)
{
    const Elanus__Placement *placement = s_placement(w);
    for (size_t i = 0; placement && i < placement->n_places; i++)
        if (placement->places[i]->segment == segment)
            return placement->places[i]->node;
    return 0;
}

/* --- placement --------------------------------------------------------------------- */

static void segments_spread_and_stay(void **state)
{
    world_t *w = *state;
    s_nodes(w, 3, 0);
    for (uint64_t id = 1; id <= 6; id++)
        s_flushed(w, id, 100);
    assert_int_equal(s_round(w), 1);
    uint64_t was[7];
    for (uint64_t id = 1; id <= 6; id++)
        assert_true((was[id] = s_where(w, id)) != 0);
    for (uint64_t node = 1; node <= 3; node++)
        assert_int_equal(w->servers[node - 1].own_bytes, 200);
    assert_int_equal(s_round(w), 0);            /* nothing new: nothing is written */
    s_flushed(w, 7, 10);
    assert_int_equal(s_round(w), 1);
    for (uint64_t id = 1; id <= 6; id++)
        assert_int_equal(s_where(w, id), was[id]);
}

static void a_lost_nodes_segments_move_and_only_they(void **state)
{
    world_t *w = *state;
    s_nodes(w, 3, 0);
    for (uint64_t id = 1; id <= 9; id++)
        s_flushed(w, id, 100);
    s_round(w);
    uint64_t was[10];
    for (uint64_t id = 1; id <= 9; id++)
        was[id] = s_where(w, id);
    s_nodes(w, 2, 0);
    assert_int_equal(s_round(w), 1);
    for (uint64_t id = 1; id <= 9; id++) {
        assert_in_range(s_where(w, id), 1, 2);
        if (was[id] <= 2)
            assert_int_equal(s_where(w, id), was[id]);
    }
}

static void a_compacted_segment_leaves_when_its_heir_has_a_place(void **state)
{
    world_t *w = *state;
    s_nodes(w, 2, 250);
    s_flushed(w, 1, 100);
    s_flushed(w, 2, 100);
    s_round(w);
    s_segment(w, 1, 100, ELANUS__SEGMENT_STATE__SEGMENT_DROPPED, 3);
    s_segment(w, 2, 100, ELANUS__SEGMENT_STATE__SEGMENT_DROPPED, 3);
    s_flushed(w, 3, 200);                       /* fits nowhere beside them */
    s_round(w);
    assert_int_equal(s_where(w, 3), 0);
    assert_true(s_where(w, 1) && s_where(w, 2));
    assert_true(s_placement(w)->error[0]);
    s_flushed(w, 3, 150);
    s_round(w);
    assert_true(s_where(w, 3));
    assert_false(s_where(w, 1) || s_where(w, 2));
    assert_string_equal(s_placement(w)->error, "");
}

static void what_fits_nowhere_is_said_and_the_rest_is_placed(void **state)
{
    world_t *w = *state;
    s_nodes(w, 2, 100);
    s_flushed(w, 1, 90);
    s_flushed(w, 2, 300);
    s_flushed(w, 3, 60);
    s_round(w);
    assert_int_equal(s_where(w, 2), 0);
    assert_true(s_where(w, 1) && s_where(w, 3));
    assert_int_equal(s_placement(w)->err, ERR_SEGMENT_LOAD_FAILED);
    assert_non_null(strstr(s_placement(w)->error, "OOM if load"));
}

static void only_loaded_partitions_are_placed(void **state)
{
    world_t *w = *state;
    s_nodes(w, 1, 0);
    s_flushed(w, 1, 100);
    w->load.whole = false;
    s_round(w);
    assert_int_equal(s_where(w, 1), 0);
    uint64_t partition = PARTITION;
    w->load.partitions = &partition;
    w->load.n_partitions = 1;
    s_round(w);
    assert_int_equal(s_where(w, 1), 1);
}

/* --- balance ------------------------------------------------------------------------ */

static void a_node_that_joins_gets_its_share_and_then_all_rests(void **state)
{
    world_t *w = *state;
    s_nodes(w, 1, 0);
    for (uint64_t id = 1; id <= 12; id++)
        s_flushed(w, id, 100);
    s_round(w);
    s_nodes(w, 2, 0);
    assert_int_equal(s_round(w), 0);            /* not before it is time */
    w->plan.balance = true;
    for (int i = 0; i < 3; i++)
        s_round(w);
    assert_int_equal(w->servers[0].own_bytes, 600);
    assert_int_equal(w->servers[1].own_bytes, 600);
    assert_int_equal(s_round(w), 0);
}

static void nothing_moves_to_a_node_that_is_suspect_or_full(void **state)
{
    world_t *w = *state;
    s_nodes(w, 1, 0);
    for (uint64_t id = 1; id <= 4; id++)
        s_flushed(w, id, 100);
    s_round(w);
    s_nodes(w, 2, 0);
    w->plan.balance = true;
    w->servers[1].up = false;
    assert_int_equal(s_round(w), 0);
    w->servers[1].up = true;
    w->servers[1].limit = 150;
    assert_int_equal(s_round(w), 1);
    assert_int_equal(w->servers[1].own_bytes, 100);
}

static void one_leader_of_a_replica_moves_at_a_time(void **state)
{
    world_t *w = *state;
    s_nodes(w, 2, 0);
    server_t *nodes[] = { &w->servers[0], &w->servers[1] };
    server_t *leaders[] = { nodes[0], nodes[0], nodes[0], nodes[0] };
    w->servers[0].own_shards = w->servers[0].shards = 4;
    coord_balance_leaders(&w->plan, nodes, 2, leaders, 4);
    assert_int_equal(w->servers[1].own_shards, 0);
    w->plan.balance = true;
    coord_balance_leaders(&w->plan, nodes, 2, leaders, 4);
    assert_int_equal(w->servers[1].own_shards, 1);
    for (int i = 0; i < 5; i++)
        coord_balance_leaders(&w->plan, nodes, 2, leaders, 4);
    assert_int_equal(w->servers[1].own_shards, 2);
    assert_true(leaders[0] == nodes[0] && leaders[3] == nodes[1]);
}

/* --- groups -------------------------------------------------------------------------- */

static void s_group(world_t *w, const char *name, uint32_t requests, uint32_t limits,
                    const uint64_t *nodes, size_t n)
{
    ctx_t *ctx = &w->ddl.memory;
    Elanus__ResourceGroup group = ELANUS__RESOURCE_GROUP__INIT;
    group.name = (char *)name;
    group.requests = requests;
    group.limits = limits;
    group.nodes = (uint64_t *)nodes;
    group.n_nodes = n;
    view_t value = pb_pack(ctx, &group);
    assert_int_equal(directory_put(w->node.directory, ctx, directory_key_group(ctx, name), &value,
                                   ++w->rev), OK);
}

static size_t s_in(const world_t *w, const char *group)
{
    size_t n = 0;
    for (size_t i = 0; i < w->plan.n; i++)
        n += strcmp(w->servers[i].group, group) == 0;
    return n;
}

static void a_group_that_lacks_nodes_gets_them_and_gives_what_is_too_much(void **state)
{
    world_t *w = *state;
    s_nodes(w, 4, 0);
    s_group(w, "a", 2, 2, NULL, 0);
    coord_groups_settle(&w->plan, NULL, 0);
    assert_int_equal(s_in(w, "a"), 2);
    assert_int_equal(s_in(w, COORD_DEFAULT_GROUP), 2);
    assert_int_equal(w->ddl.ops.len, 1);        /* the default group needs no list */
    w->ddl.ops.len = 0;
    s_group(w, "a", 0, 1, (const uint64_t[]){ 1, 2, 3 }, 3);
    coord_groups_settle(&w->plan, NULL, 0);
    assert_int_equal(s_in(w, "a"), 1);
    assert_int_equal(s_in(w, COORD_DEFAULT_GROUP), 3);
}

static void a_lost_node_is_replaced_from_where_nodes_are_spare(void **state)
{
    world_t *w = *state;
    s_nodes(w, 3, 0);
    s_group(w, "a", 1, 1, (const uint64_t[]){ 8 }, 1);      /* 8 is lost */
    s_group(w, "b", 2, 2, (const uint64_t[]){ 1, 2 }, 2);
    coord_groups_settle(&w->plan, NULL, 0);
    assert_int_equal(s_in(w, "a"), 1);
    assert_int_equal(s_in(w, "b"), 2);          /* it has no more than it requests */
    assert_string_equal(w->servers[2].group, "a");
}

static void labels_that_no_node_has_keep_all_out(void **state)
{
    world_t *w = *state;
    s_nodes(w, 2, 0);
    Elanus__Pair label = ELANUS__PAIR__INIT, *labels[] = { &label };
    Elanus__ResourceGroup group = ELANUS__RESOURCE_GROUP__INIT;
    group.name = (char *)"picky";
    group.requests = group.limits = 2;
    group.labels = labels;
    group.n_labels = 1;
    const Elanus__ResourceGroup *changed[] = { &group };
    coord_groups_settle(&w->plan, changed, 1);
    assert_int_equal(s_in(w, "picky"), 0);
    assert_int_equal(w->ddl.ops.len, 1);        /* but it is there */
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, s_up, s_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(segments_spread_and_stay),
        TEST(a_lost_nodes_segments_move_and_only_they),
        TEST(a_compacted_segment_leaves_when_its_heir_has_a_place),
        TEST(what_fits_nowhere_is_said_and_the_rest_is_placed),
        TEST(only_loaded_partitions_are_placed),
        TEST(a_node_that_joins_gets_its_share_and_then_all_rests),
        TEST(nothing_moves_to_a_node_that_is_suspect_or_full),
        TEST(one_leader_of_a_replica_moves_at_a_time),
        TEST(a_group_that_lacks_nodes_gets_them_and_gives_what_is_too_much),
        TEST(a_lost_node_is_replaced_from_where_nodes_are_spare),
        TEST(labels_that_no_node_has_keep_all_out),
    };
    log_set_level(LOG_FATAL);
    return cmocka_run_group_tests_name("coord_plan", tests, NULL, NULL);
}
