/* directory and segments: batches of watches as every driver sends them, damage,
 * own transactions that are ahead of the watch, and the questions. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/catalog/directory.h"
#include "core/catalog/segments.h"
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

static meta_change_t s_deleted(const char *key, int64_t rev)
{
    return (meta_change_t){ .kind = META_WATCH_DELETE, .item = { .key = key, .mod_rev = rev } };
}

static const meta_change_t s_reset = { .kind = META_WATCH_RESET };

static meta_change_t s_synced(int64_t rev)
{
    return (meta_change_t){ .kind = META_WATCH_SYNCED, .item.mod_rev = rev };
}

/* --- values --------------------------------------------------------------------- */

static view_t s_node(const char *role, uint64_t id, uint64_t incarnation)
{
    Elanus__NodeInfo info = ELANUS__NODE_INFO__INIT;
    info.role = (char *)role;
    info.id = id;
    info.incarnation = incarnation;
    info.address = ctx_printf(&s_ctx, "inproc://%s-%llu", role, (unsigned long long)id);
    return pb_pack(&s_ctx, &info);
}

static view_t s_owner(const char *pchannel, uint64_t epoch, uint64_t node, bool active)
{
    Elanus__Owner owner = ELANUS__OWNER__INIT;
    owner.pchannel = (char *)pchannel;
    owner.epoch = epoch;
    owner.node = node;
    owner.incarnation = node * 100;
    owner.state = active ? ELANUS__OWNER_STATE__OWNER_ACTIVE
                         : ELANUS__OWNER_STATE__OWNER_RECOVERING;
    return pb_pack(&s_ctx, &owner);
}

static view_t s_replica(uint64_t collection, uint64_t id)
{
    Elanus__Replica replica = ELANUS__REPLICA__INIT;
    replica.id = id;
    replica.collection = collection;
    return pb_pack(&s_ctx, &replica);
}

static view_t s_segment(uint64_t collection, uint64_t id, uint64_t rows)
{
    Elanus__Segment segment = ELANUS__SEGMENT__INIT;
    segment.id = id;
    segment.collection = collection;
    segment.rows = rows;
    return pb_pack(&s_ctx, &segment);
}

static view_t s_ckpt(const char *pchannel, uint64_t seq)
{
    Elanus__Checkpoint ckpt = ELANUS__CHECKPOINT__INIT;
    ckpt.pchannel = (char *)pchannel;
    ckpt.seq = seq;
    return pb_pack(&s_ctx, &ckpt);
}

/* --- directory --------------------------------------------------------------------- */

static void a_watch_fills_the_directory_and_a_relist_empties_it(void **state)
{
    (void)state;
    owned(directory) dir = directory_new();
    const meta_change_t first[] = {
        s_reset, s_put("session/datanode-12", s_node("datanode", 12, 1200), 5),
        s_put("session/datanode-7", s_node("datanode", 7, 700), 6),
        s_put("session/querynode-8", s_node("querynode", 8, 800), 7), s_synced(9),
    };
    assert_false(directory_synced(dir, DIRECTORY_SESSION));
    directory_watched(dir, &s_ctx, DIRECTORY_SESSION, first, ARRAY_LEN(first));
    assert_true(directory_synced(dir, DIRECTORY_SESSION));
    assert_false(directory_synced(dir, DIRECTORY_OWNER));
    const Elanus__NodeInfo **nodes = NULL;
    assert_int_equal(directory_nodes(dir, &s_ctx, "datanode", &nodes), 2);
    assert_int_equal(nodes[0]->id, 7);
    assert_int_equal(nodes[1]->id, 12);
    assert_string_equal(directory_node(dir, 8)->address, "inproc://querynode-8");
    assert_null(directory_node(dir, 9));

    const meta_change_t again[] = {
        s_reset, s_put("session/datanode-12", s_node("datanode", 12, 1200), 5), s_synced(20),
    };
    directory_watched(dir, &s_ctx, DIRECTORY_SESSION, again, 2);
    assert_non_null(directory_node(dir, 7));    /* until the list is through */
    directory_watched(dir, &s_ctx, DIRECTORY_SESSION, again + 2, 1);
    assert_null(directory_node(dir, 7));
    assert_non_null(directory_node(dir, 12));
    const meta_change_t gone = s_deleted("session/datanode-12", 21);
    directory_watched(dir, &s_ctx, DIRECTORY_SESSION, &gone, 1);
    assert_null(directory_node(dir, 12));
}

static void what_is_damaged_is_left_out(void **state)
{
    (void)state;
    owned(directory) dir = directory_new();
    const meta_change_t changes[] = {
        s_reset, s_put("owner/a", view_str("\xff\xff"), 5),
        s_put("owner/b", s_owner("c", 1, 1, true), 6),      /* under another's key */
        s_put("owner/d", s_owner("d", 1, 1, true), 7), s_synced(9),
        s_put("owner/d", view_str("\x0f"), 10),             /* what was known stays */
    };
    directory_watched(dir, &s_ctx, DIRECTORY_OWNER, changes, ARRAY_LEN(changes));
    const Elanus__Owner **owners = NULL;
    assert_int_equal(directory_owners(dir, &s_ctx, &owners), 1);
    assert_string_equal(owners[0]->pchannel, "d");
}

static void an_owner_is_a_node_only_when_active_registered_and_the_same(void **state)
{
    (void)state;
    owned(directory) dir = directory_new();
    const meta_change_t nodes[] = {
        s_reset, s_put("session/datanode-1", s_node("datanode", 1, 100), 2),
        s_put("session/datanode-2", s_node("datanode", 2, 999), 3),
        s_put("session/querynode-3", s_node("querynode", 3, 300), 3), s_synced(4),
    };
    const meta_change_t owners[] = {
        s_reset, s_put("owner/dml_0", s_owner("dml_0", 4, 1, true), 5),
        s_put("owner/dml_1", s_owner("dml_1", 4, 1, false), 6),
        s_put("owner/dml_2", s_owner("dml_2", 4, 2, true), 7),
        s_put("owner/dml_3", s_owner("dml_3", 4, 3, true), 8), s_synced(9),
    };
    directory_watched(dir, &s_ctx, DIRECTORY_SESSION, nodes, ARRAY_LEN(nodes));
    directory_watched(dir, &s_ctx, DIRECTORY_OWNER, owners, ARRAY_LEN(owners));
    uint64_t epoch = 0;
    int64_t rev = 0;
    assert_int_equal(directory_owner_node(dir, "dml_0_77v0", &epoch)->id, 1);
    assert_int_equal(epoch, 4);
    assert_null(directory_owner_node(dir, "dml_1_77v0", NULL));     /* recovering */
    assert_null(directory_owner_node(dir, "dml_2_77v0", NULL));     /* restarted since */
    assert_null(directory_owner_node(dir, "dml_3_77v0", NULL));     /* no data node */
    assert_null(directory_owner_node(dir, "dml_4_77v0", NULL));
    assert_non_null(directory_owner(dir, "dml_1", &rev));
    assert_int_equal(rev, 6);
    assert_true(view_eq(directory_pchannel("by-dev-rootcoord-dml_3_451v1"),
                        view_str("by-dev-rootcoord-dml_3")));
    assert_true(view_eq(directory_pchannel("plain"), view_str("plain")));
}

static void names_of_any_length_are_only_not_found(void **state)
{
    (void)state;
    owned(directory) dir = directory_new();
    owned(segments) segs = segments_new();
    char name[4096];
    memset(name, 'x', sizeof name);
    name[sizeof name - 1] = '\0';
    assert_null(directory_owner(dir, name, NULL));
    assert_null(directory_owner_node(dir, name, NULL));
    assert_null(segments_ckpt(segs, name, NULL));
}

static void replicas_are_listed_by_collection(void **state)
{
    (void)state;
    owned(directory) dir = directory_new();
    const meta_change_t changes[] = {
        s_reset, s_put("replica/7/30", s_replica(7, 30), 5),
        s_put("replica/7/4", s_replica(7, 4), 6), s_put("replica/77/5", s_replica(77, 5), 7),
        s_synced(9),
    };
    directory_watched(dir, &s_ctx, DIRECTORY_REPLICA, changes, ARRAY_LEN(changes));
    const Elanus__Replica **replicas = NULL;
    assert_int_equal(directory_replicas(dir, &s_ctx, 7, &replicas), 2);
    assert_int_equal(replicas[0]->id, 4);
    assert_int_equal(replicas[1]->id, 30);
    assert_int_equal(directory_replicas(dir, &s_ctx, 0, &replicas), 3);
    assert_int_equal(replicas[1]->id, 5);
    assert_int_equal(directory_replicas(dir, &s_ctx, 8, &replicas), 0);
}

/* A list that was read beside the watch is ahead of it. */
static void a_list_from_elsewhere_is_not_undone_by_the_watch(void **state)
{
    (void)state;
    owned(directory) dir = directory_new();
    const meta_change_t list[] = {
        s_reset, s_put("replica/7/5", s_replica(7, 5), 5), s_synced(10),
    };
    directory_watched(dir, &s_ctx, DIRECTORY_REPLICA, list, ARRAY_LEN(list));
    view_t mine = s_replica(7, 6);
    assert_int_equal(directory_put(dir, &s_ctx, "replica/7/6", &mine, 11), OK);
    const meta_change_t late[] = {
        s_put("replica/7/4", s_replica(7, 4), 6),       /* deleted before the list */
        s_deleted("replica/7/4", 8), s_put("replica/7/8", s_replica(7, 8), 12),
    };
    const Elanus__Replica **replicas = NULL;
    directory_watched(dir, &s_ctx, DIRECTORY_REPLICA, late, 1);
    assert_int_equal(directory_replicas(dir, &s_ctx, 7, &replicas), 2);
    directory_watched(dir, &s_ctx, DIRECTORY_REPLICA, late + 1, 2);
    assert_int_equal(directory_replicas(dir, &s_ctx, 7, &replicas), 3);
    assert_int_equal(replicas[2]->id, 8);
}

/* --- segments ------------------------------------------------------------------------ */

typedef struct {
    unsigned n;
    uint64_t collection, segment, rows;
    bool gone;
} heard_t;

static void s_hear(void *arg, uint64_t collection, uint64_t segment, const Elanus__Segment *now)
{
    heard_t *heard = arg;
    *heard = (heard_t){ .n = heard->n + 1, .collection = collection, .segment = segment,
                        .rows = now ? now->rows : 0, .gone = !now };
}

static void s_watch(segments_t *segs, heard_t *heard, const meta_change_t *changes, size_t n)
{
    segments_watched(segs, &s_ctx, SEGMENTS_SEG, changes, n, s_hear, heard);
}

static void each_change_of_a_segment_is_told_once(void **state)
{
    (void)state;
    owned(segments) segs = segments_new();
    heard_t heard = {0};
    const meta_change_t first[] = {
        s_reset, s_put("seg/7/1", s_segment(7, 1, 10), 5), s_synced(6),
        s_put("seg/7/1", s_segment(7, 1, 11), 7),
    };
    s_watch(segs, &heard, first, 2);
    assert_int_equal(heard.n, 1);
    assert_int_equal(heard.rows, 10);
    s_watch(segs, &heard, first + 2, 2);
    assert_int_equal(heard.n, 2);
    assert_int_equal(heard.rows, 11);
    int64_t rev = 0;
    assert_int_equal(segments_get(segs, 1, &rev)->rows, 11);
    assert_int_equal(rev, 7);

    const Elanus__Segment *same = segments_get(segs, 1, NULL);
    const meta_change_t relist[] = { s_reset, s_put("seg/7/1", s_segment(7, 1, 11), 7),
                                     s_synced(8) };
    s_watch(segs, &heard, relist, 3);
    assert_int_equal(heard.n, 2);                       /* nothing new in it … */
    assert_ptr_equal(segments_get(segs, 1, NULL), same); /* … and what was borrowed lives */

    const meta_change_t empty[] = { s_reset, s_synced(9) };
    s_watch(segs, &heard, empty, 2);
    assert_int_equal(heard.n, 3);
    assert_true(heard.gone);
    assert_int_equal(heard.collection, 7);
    assert_int_equal(heard.segment, 1);
    assert_null(segments_get(segs, 1, NULL));
    const meta_change_t gone = s_deleted("seg/7/1", 10);
    s_watch(segs, &heard, &gone, 1);
    assert_int_equal(heard.n, 3);
}

static void our_own_puts_are_ahead_of_the_watch(void **state)
{
    (void)state;
    owned(segments) segs = segments_new();
    heard_t heard = {0};
    view_t mine = s_segment(7, 1, 20);
    assert_int_equal(segments_put(segs, &s_ctx, "seg/7/1", &mine, 10), OK);
    const meta_change_t older[] = {
        s_reset, s_put("seg/7/1", s_segment(7, 1, 9), 9), s_synced(9),
        s_deleted("seg/7/1", 8),
    };
    s_watch(segs, &heard, older, ARRAY_LEN(older));
    assert_int_equal(segments_get(segs, 1, NULL)->rows, 20);
    const meta_change_t before[] = { s_reset, s_synced(9) };
    s_watch(segs, &heard, before, 2);                   /* a list from before it */
    assert_int_equal(segments_get(segs, 1, NULL)->rows, 20);
    const meta_change_t own = s_put("seg/7/1", mine, 10);
    s_watch(segs, &heard, &own, 1);
    assert_int_equal(heard.n, 0);
    const meta_change_t newer = s_put("seg/7/1", s_segment(7, 1, 30), 11);
    s_watch(segs, &heard, &newer, 1);
    assert_int_equal(heard.n, 1);
    assert_int_equal(segments_put(segs, &s_ctx, "seg/7/1", &mine, 10), OK);   /* late: no matter */
    assert_int_equal(segments_get(segs, 1, NULL)->rows, 30);
}

static void our_own_deletes_are_not_undone_by_an_older_put(void **state)
{
    (void)state;
    owned(segments) segs = segments_new();
    heard_t heard = {0};
    view_t value = s_segment(7, 1, 20);
    const Elanus__Segment **all = NULL;
    assert_int_equal(segments_put(segs, &s_ctx, "seg/7/1", &value, 10), OK);
    assert_int_equal(segments_put(segs, &s_ctx, "seg/7/1", NULL, 12), OK);
    assert_null(segments_get(segs, 1, NULL));
    const meta_change_t late[] = { s_put("seg/7/1", value, 11), s_deleted("seg/7/1", 12) };
    s_watch(segs, &heard, late, 1);
    assert_null(segments_get(segs, 1, NULL));
    assert_int_equal(segments_of(segs, &s_ctx, 7, &all), 0);
    s_watch(segs, &heard, late + 1, 1);
    assert_int_equal(heard.n, 0);
    const meta_change_t reborn = s_put("seg/7/1", value, 13);
    s_watch(segs, &heard, &reborn, 1);
    assert_non_null(segments_get(segs, 1, NULL));
    assert_int_equal(segments_put(segs, &s_ctx, "seg/7/1", NULL, 14), OK);
    const meta_change_t relist[] = { s_reset, s_synced(15) };
    s_watch(segs, &heard, relist, 2);
    assert_int_equal(segments_of(segs, &s_ctx, 0, &all), 0);
}

static void segments_are_listed_by_collection_and_checkpoints_found(void **state)
{
    (void)state;
    owned(segments) segs = segments_new();
    const meta_change_t changes[] = {
        s_reset, s_put("seg/7/30", s_segment(7, 30, 1), 5), s_put("seg/7/4", s_segment(7, 4, 1), 6),
        s_put("seg/77/5", s_segment(77, 5, 1), 7), s_synced(9),
    };
    s_watch(segs, &(heard_t){0}, changes, ARRAY_LEN(changes));
    assert_false(segments_synced(segs));
    const Elanus__Segment **all = NULL;
    assert_int_equal(segments_of(segs, &s_ctx, 7, &all), 2);
    assert_int_equal(all[0]->id, 4);
    assert_int_equal(all[1]->id, 30);
    assert_int_equal(segments_of(segs, &s_ctx, 0, &all), 3);
    assert_int_equal(all[1]->id, 5);

    const meta_change_t ckpt[] = { s_reset, s_put("ckpt/dml_0", s_ckpt("dml_0", 44), 8),
                                   s_synced(9) };
    segments_watched(segs, &s_ctx, SEGMENTS_CKPT, ckpt, ARRAY_LEN(ckpt), NULL, NULL);
    assert_true(segments_synced(segs));
    int64_t rev = 0;
    assert_int_equal(segments_ckpt(segs, "dml_0", &rev)->seq, 44);
    assert_int_equal(rev, 8);
    assert_null(segments_ckpt(segs, "dml_1", NULL));
    assert_string_equal(segments_key(&s_ctx, 7, 4), "seg/7/4");
    assert_string_equal(segments_key_ckpt(&s_ctx, "dml_0"), "ckpt/dml_0");
    assert_string_equal(segments_root(SEGMENTS_CKPT), "ckpt/");
    assert_string_equal(directory_root(DIRECTORY_REPLICA), "replica/");
}

static void a_wrong_put_is_refused_and_changes_nothing(void **state)
{
    (void)state;
    owned(segments) segs = segments_new();
    view_t value = s_segment(7, 1, 20), junk = view_str("\x0f");
    assert_int_equal(segments_put(segs, &s_ctx, "seg/7/1", &value, 10), OK);
    assert_int_equal(segments_put(segs, &s_ctx, "seg/7/1", &junk, 11), ERR_CORRUPT);
    assert_int_equal(segments_put(segs, &s_ctx, "seg/7/2", &value, 11), ERR_CORRUPT);
    assert_int_equal(segments_put(segs, &s_ctx, "coll/7", &value, 11), ERR_CORRUPT);
    assert_int_equal(segments_get(segs, 1, NULL)->rows, 20);
    assert_null(segments_get(segs, 2, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_watch_fills_the_directory_and_a_relist_empties_it),
        cmocka_unit_test(what_is_damaged_is_left_out),
        cmocka_unit_test(an_owner_is_a_node_only_when_active_registered_and_the_same),
        cmocka_unit_test(names_of_any_length_are_only_not_found),
        cmocka_unit_test(replicas_are_listed_by_collection),
        cmocka_unit_test(a_list_from_elsewhere_is_not_undone_by_the_watch),
        cmocka_unit_test(each_change_of_a_segment_is_told_once),
        cmocka_unit_test(our_own_puts_are_ahead_of_the_watch),
        cmocka_unit_test(our_own_deletes_are_not_undone_by_an_older_put),
        cmocka_unit_test(segments_are_listed_by_collection_and_checkpoints_found),
        cmocka_unit_test(a_wrong_put_is_refused_and_changes_nothing),
    };
    return cmocka_run_group_tests(tests, s_setup, s_teardown);
}
