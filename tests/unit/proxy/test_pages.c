/* What the ops port tells of the cluster: from who answered and from the metadata, with names for
 * what is missing, and nothing that is not true now.
 *
 * Method: a coord, two data nodes, a query node and an index node are registered; a test plays
 * their answers and the metadata. */
#include <jansson.h>

#include "tests/support/field_data.h"
#include "tests/support/proxy_world.h"

enum { INDEX_NODE = 7 };

static int s_up(void **state)
{
    pw_world_t *w = pw_up((pw_kind_t){ .shards = 2 });
    static const char *const s_keys[] = { "session/coord-1", "session/datanode-2",
        "session/datanode-3", "session/querynode-4", "session/indexnode-7" };
    const void *const infos[] = {
        pw_info(w, "coord", PW_LEADER), pw_info(w, "datanode", PW_DATA_NODE),
        pw_info(w, "datanode", PW_OTHER_NODE), pw_info(w, "querynode", PW_QUERY_NODE),
        pw_info(w, "indexnode", INDEX_NODE) };
    pw_show_leader(w);
    pw_show(w, "session/", s_keys, infos, ARRAY_LEN(s_keys));
    pw_show_owners(w, PW_DATA_NODE, PW_OTHER_NODE, 4);
    *state = w;
    return 0;
}

static int s_down(void **state)
{
    pw_down(*state);
    return 0;
}

/* --- asking and answering --------------------------------------------------------------------- */

/* Each node says this (NULL: it does not answer); then the proxy has measured itself. */
typedef struct {
    Elanus__Inspection *coord, *data, *other, *query, *index;
} said_t;

static Elanus__Inspection *s_of(const said_t *said, const char *endpoint)
{
    return strstr(endpoint, "coord") ? said->coord : strstr(endpoint, "query") ? said->query
         : strstr(endpoint, "index") ? said->index
         : strstr(endpoint, "datanode-2") ? said->data : said->other;
}

static void s_ask(pw_world_t *w, const char *page, const char *query, const said_t *said)
{
    pw_page(w, page, query);
    assert_int_equal(w->n_sent, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(w->sent[i].method, ELANUS__METHOD__METHOD_INSPECT);
        Elanus__Inspection *found = s_of(said, w->sent[i].endpoint);
        assert_null(w->answered);
        pw_reply(w, &w->sent[i], found ? OK : ERR_TIMEOUT, found ? "" : "no answer", found);
    }
    pw_run_job(w);
}

/* The page, which must have this status; the caller frees it. */
static json_t *s_got(pw_world_t *w, int status)
{
    assert_non_null(w->answered);
    assert_int_equal(w->answered->http_status, status);
    json_t *root = json_loadb((const char *)w->answered->body.ptr, w->answered->body.len, 0, NULL);
    assert_non_null(root);
    pw_forget(w);
    return root;
}

static const json_t *s_item(const json_t *root, size_t i)
{
    const json_t *item = json_array_get(json_object_get(root, "items"), i);
    assert_non_null(item);
    return item;
}

static const char *s_text(const json_t *item, const char *key)
{
    const json_t *value = json_object_get(item, key);
    assert_non_null(value);
    return json_is_null(value) ? "null" : json_string_value(value);
}

static int64_t s_number(const json_t *item, const char *key)
{
    const json_t *value = json_object_get(item, key);
    assert_true(json_is_integer(value));
    return json_integer_value(value);
}

static bool s_null(const json_t *item, const char *key)
{
    return json_is_null(json_object_get(item, key));
}

/* Is it named, and is there something to do about it? */
static bool s_misses(const json_t *root, const char *what)
{
    const json_t *all = json_object_get(root, "missing");
    for (size_t i = 0; i < json_array_size(all); i++) {
        const json_t *one = json_array_get(all, i);
        assert_true(strlen(s_text(one, "do")) > 10);
        if (strcmp(s_text(one, "what"), what) == 0)
            return true;
    }
    return false;
}

/* --- channels --------------------------------------------------------------------------------- */

static Elanus__ChannelView s_view(const char *pchannel, uint64_t epoch, const char *state)
{
    Elanus__ChannelView view = ELANUS__CHANNEL_VIEW__INIT;
    view.pchannel = (char *)pchannel;
    view.epoch = epoch;
    view.state = (char *)state;
    view.frontier_epoch = epoch;
    view.frontier_seq = 181;
    view.frontier_ts = 9000ull << 18;
    return view;
}

static Elanus__FollowerView s_follower(const char *vchannel, uint64_t epoch, uint64_t seq,
                                       uint64_t heard_ms)
{
    Elanus__FollowerView view = ELANUS__FOLLOWER_VIEW__INIT;
    view.vchannel = (char *)vchannel;
    view.leader = true;
    view.epoch = epoch;
    view.seq = seq;
    view.heard_ts = heard_ms << 18;
    return view;
}

static void s_no_keys(pw_world_t *w, const char *prefix)
{
    assert_string_equal(w->listed, prefix);
    pw_list(w, OK, NULL, NULL, 0);
}

static void a_channel_is_what_its_owner_and_the_metadata_say(void **state)
{
    pw_world_t *w = *state;
    Elanus__Inspection data = ELANUS__INSPECTION__INIT, query = ELANUS__INSPECTION__INIT;
    Elanus__ChannelView view = s_view("dml_0", 4, "active"), *views[] = { &view };
    Elanus__ShardView shard = ELANUS__SHARD_VIEW__INIT, *shards[] = { &shard };
    shard.vchannel = (char *)"dml_0_9v0";
    shard.epoch = 4;
    shard.seq = 180;
    shard.ts = 8000ull << 18;
    view.shards = shards;
    view.n_shards = 1;
    view.growing_rows = 1200;
    data.channels = views;
    data.n_channels = 1;
    Elanus__FollowerView behind = s_follower("dml_0_9v0", 4, 170, 7500);
    Elanus__FollowerView *followers[] = { &behind };
    query.followers = followers;
    query.n_followers = 1;
    s_ask(w, "channels", "", &(said_t){ .data = &data, .query = &query });

    Elanus__Seal seal = ELANUS__SEAL__INIT;
    seal.pchannel = (char *)"dml_0";
    seal.epoch = 3;
    seal.end = 97;
    assert_string_equal(w->listed, "seal/");
    pw_list(w, OK, (const char *const[]){ "seal/dml_0/3" }, (const void *const[]){ &seal }, 1);
    Elanus__Checkpoint ckpt = ELANUS__CHECKPOINT__INIT;
    ckpt.pchannel = (char *)"dml_0";
    ckpt.epoch = 3;
    ckpt.seq = 77;
    assert_string_equal(w->listed, "ckpt/");
    pw_list(w, OK, (const char *const[]){ "ckpt/dml_0" }, (const void *const[]){ &ckpt }, 1);

    json_t *root = s_got(w, 200);
    const json_t *item = s_item(root, 0);
    assert_string_equal(s_text(item, "channel"), "dml_0");
    assert_string_equal(s_text(item, "owner"), "datanode-2");
    assert_int_equal(s_number(item, "epoch"), 4);
    assert_string_equal(s_text(item, "state"), "active");
    assert_int_equal(s_number(json_object_get(item, "frontier"), "seq"), 181);
    assert_int_equal(s_number(item, "frontier_ts_ms"), 9000);
    assert_int_equal(s_number(json_object_get(item, "checkpoint"), "seq"), 77);
    assert_int_equal(s_number(item, "growing_rows"), 1200);
    const json_t *sealed = json_array_get(json_object_get(item, "seals"), 0);
    assert_int_equal(s_number(sealed, "epoch"), 3);
    assert_int_equal(s_number(sealed, "end"), 97);
    const json_t *vchannel = json_array_get(json_object_get(item, "vchannels"), 0);
    assert_string_equal(s_text(vchannel, "name"), "dml_0_9v0");
    assert_string_equal(s_text(vchannel, "collection"), "kites");
    const json_t *follows = json_array_get(json_object_get(item, "followers"), 0);
    assert_string_equal(s_text(follows, "node"), "querynode-4");
    assert_string_equal(s_text(follows, "collection"), "kites");
    assert_int_equal(s_number(follows, "behind_ms"), 501);
    json_decref(root);
}

static void a_silent_owner_leaves_nothing_but_metadata(void **state)
{
    pw_world_t *w = *state;
    Elanus__Inspection other = ELANUS__INSPECTION__INIT;
    Elanus__ChannelView old = s_view("dml_0", 3, "active"), *views[] = { &old };
    other.channels = views;                     /* lost it, and has not heard so */
    other.n_channels = 1;
    s_ask(w, "channels", "", &(said_t){ .other = &other });
    s_no_keys(w, "seal/");
    s_no_keys(w, "ckpt/");
    json_t *root = s_got(w, 200);
    const json_t *item = s_item(root, 0);
    assert_string_equal(s_text(item, "owner"), "datanode-2");
    assert_int_equal(s_number(item, "epoch"), 4);
    assert_true(s_null(item, "state") && s_null(item, "frontier") && s_null(item, "growing_rows") &&
                s_null(item, "checkpoint") && s_null(item, "pending_bytes"));
    assert_true(s_misses(root, "dml_0") && s_misses(root, "datanode-2"));
    assert_true(s_misses(root, "querynode-4"));
    item = s_item(root, 1);                     /* that owner answers, and does not have it */
    assert_string_equal(s_text(item, "owner"), "datanode-3");
    assert_string_equal(s_text(item, "state"), "recovering");
    assert_false(s_misses(root, "dml_1") || s_misses(root, "datanode-3"));
    json_decref(root);
}

static void an_owner_that_is_gone_is_named(void **state)
{
    pw_world_t *w = *state;
    pw_show_owners(w, PW_DATA_NODE, 88, 4);
    Elanus__Inspection data = ELANUS__INSPECTION__INIT;
    Elanus__ChannelView mine = s_view("dml_0", 5, "replaying"), *views[] = { &mine };
    data.channels = views;                      /* newer than what the proxy's watch has shown */
    data.n_channels = 1;
    s_ask(w, "channels", "", &(said_t){ .data = &data });
    s_no_keys(w, "seal/");
    s_no_keys(w, "ckpt/");
    json_t *root = s_got(w, 200);
    assert_int_equal(s_number(s_item(root, 0), "epoch"), 5);
    assert_string_equal(s_text(s_item(root, 0), "state"), "replaying");
    assert_string_equal(s_text(s_item(root, 1), "owner"), "datanode-88");
    assert_true(s_null(s_item(root, 1), "state"));
    assert_true(s_misses(root, "dml_1"));
    json_decref(root);
}

static void who_begins_anew_is_at_no_position(void **state)
{
    pw_world_t *w = *state;
    Elanus__Inspection data = ELANUS__INSPECTION__INIT, query = ELANUS__INSPECTION__INIT;
    Elanus__ChannelView view = s_view("dml_0", 4, "active"), *views[] = { &view };
    data.channels = views;
    data.n_channels = 1;
    Elanus__FollowerView anew = s_follower("dml_0_9v0", 0, 0, 0);
    Elanus__FollowerView old = s_follower("dml_0_9v0", 3, 90, 5000);
    Elanus__FollowerView well = s_follower("dml_0_9v0", 4, 2, 5000);    /* none is of its shard */
    Elanus__FollowerView *followers[] = { &anew, &old, &well };
    query.followers = followers;
    query.n_followers = 3;
    s_ask(w, "channels", "", &(said_t){ .data = &data, .query = &query });
    s_no_keys(w, "seal/");
    s_no_keys(w, "ckpt/");
    json_t *root = s_got(w, 200);
    const json_t *all = json_object_get(s_item(root, 0), "followers");
    assert_true(s_null(json_array_get(all, 0), "epoch") && s_null(json_array_get(all, 0), "seq"));
    assert_true(s_null(json_array_get(all, 0), "behind_ms"));
    assert_int_equal(s_number(json_array_get(all, 1), "epoch"), 3);
    assert_true(s_null(json_array_get(all, 1), "behind_ms"));
    assert_int_equal(s_number(json_array_get(all, 2), "behind_ms"), 0);
    json_decref(root);
}

/* --- segments --------------------------------------------------------------------------------- */

static Elanus__SegmentView s_held(uint64_t id, Elanus__SegmentState what, uint64_t rows)
{
    Elanus__SegmentView view = ELANUS__SEGMENT_VIEW__INIT;
    view.id = id;
    view.collection = 9;
    view.partition = 50;
    view.vchannel = (char *)"dml_0_9v0";
    view.state = what;
    view.rows = rows;
    return view;
}

static Elanus__Segment s_stored(uint64_t id, Elanus__SegmentState what)
{
    Elanus__Segment segment = ELANUS__SEGMENT__INIT;
    segment.id = id;
    segment.collection = 9;
    segment.partition = 50;
    segment.vchannel = (char *)"dml_0_9v0";
    segment.state = what;
    segment.rows = 1000 + id;
    segment.level = 1;
    return segment;
}

static Elanus__Build s_build(uint64_t id, uint64_t segment, Elanus__BuildState what)
{
    Elanus__Build build = ELANUS__BUILD__INIT;
    build.id = id;
    build.collection = 9;
    build.segment = segment;
    build.index = 60;
    build.field = FIELD_FIRST + 2;
    build.state = what;
    build.attempt = 2;
    build.node = INDEX_NODE;
    return build;
}

static void s_show_index(pw_world_t *w)
{
    Elanus__Pair type = ELANUS__PAIR__INIT, *params[] = { &type };
    type.key = (char *)"index_type";
    type.value = (char *)"HNSW";
    Elanus__Index index = ELANUS__INDEX__INIT;
    index.id = 60;
    index.collection_id = 9;
    index.field_id = FIELD_FIRST + 2;
    index.name = (char *)"by_vec";
    index.params = params;
    index.n_params = 1;
    pw_show(w, "index/", (const char *const[]){ "index/9/60" }, (const void *const[]){ &index },
            1);
}

/* 20 dropped into 22; 22 flushed; 24 sealed and already flushed; 26 growing. */
static void s_list_segments(pw_world_t *w)
{
    Elanus__Segment dropped = s_stored(20, ELANUS__SEGMENT_STATE__SEGMENT_DROPPED);
    Elanus__Segment merged = s_stored(22, ELANUS__SEGMENT_STATE__SEGMENT_FLUSHED);
    Elanus__Segment flushed = s_stored(24, ELANUS__SEGMENT_STATE__SEGMENT_FLUSHED);
    uint64_t from[] = { 20 };
    dropped.into = 22;
    merged.from = from;
    merged.n_from = 1;
    merged.level = 2;
    pw_list(w, OK, (const char *const[]){ "seg/9/20", "seg/9/22", "seg/9/24" },
            (const void *const[]){ &dropped, &merged, &flushed }, 3);
}

static void s_ask_segments(pw_world_t *w, const char *query)
{
    Elanus__Inspection data = ELANUS__INSPECTION__INIT, searcher = ELANUS__INSPECTION__INIT;
    Elanus__Inspection builder = ELANUS__INSPECTION__INIT;
    Elanus__SegmentView growing = s_held(26, ELANUS__SEGMENT_STATE__SEGMENT_GROWING, 12);
    Elanus__SegmentView sealed = s_held(24, ELANUS__SEGMENT_STATE__SEGMENT_SEALED, 1024);
    Elanus__SegmentView copy = s_held(26, ELANUS__SEGMENT_STATE__SEGMENT_GROWING, 11);
    Elanus__SegmentView open = s_held(22, ELANUS__SEGMENT_STATE__SEGMENT_FLUSHED, 1022);
    Elanus__SegmentView orphan = s_held(28, ELANUS__SEGMENT_STATE__SEGMENT_GROWING, 3);
    Elanus__SegmentView *owned[] = { &growing, &sealed }, *held[] = { &orphan, &copy, &open };
    uint64_t used[] = { 60 };
    open.indexes = used;
    open.n_indexes = 1;
    data.segments = owned;
    data.n_segments = 2;
    searcher.segments = held;
    searcher.n_segments = 3;
    Elanus__BuildView build = ELANUS__BUILD_VIEW__INIT, *builds[] = { &build };
    build.id = 71;
    build.attempt = 2;
    build.percent = 40;
    builder.builds = builds;
    builder.n_builds = 1;
    s_ask(w, "segments", query, &(said_t){ .data = &data, .query = &searcher,
                                           .index = &builder });
}

static void s_list_builds(pw_world_t *w)
{
    Elanus__Build done = s_build(70, 22, ELANUS__BUILD_STATE__BUILD_DONE);
    Elanus__Build running = s_build(71, 24, ELANUS__BUILD_STATE__BUILD_RUNNING);
    pw_list(w, OK, (const char *const[]){ "build/9/22/60", "build/9/24/60" },
            (const void *const[]){ &done, &running }, 2);
}

static void segments_from_growing_to_dropped(void **state)
{
    pw_world_t *w = *state;
    s_show_index(w);
    s_ask_segments(w, "collection=kites");
    assert_string_equal(w->listed, "seg/9/");
    s_list_segments(w);
    assert_string_equal(w->listed, "build/9/");
    s_list_builds(w);
    json_t *root = s_got(w, 200);
    assert_int_equal(json_array_size(json_object_get(root, "items")), 5);
    assert_true(json_is_false(json_object_get(root, "truncated")));

    const json_t *item = s_item(root, 0);       /* its owner did not answer */
    assert_string_equal(s_text(item, "id"), "28");
    assert_string_equal(s_text(item, "state"), "growing");
    assert_true(s_null(item, "owner"));
    item = s_item(root, 1);
    assert_string_equal(s_text(item, "id"), "26");
    assert_string_equal(s_text(item, "collection"), "kites");
    assert_string_equal(s_text(item, "partition"), "_default");
    assert_string_equal(s_text(item, "owner"), "datanode-2");
    assert_int_equal(s_number(item, "rows"), 12);
    assert_true(s_null(item, "level") && s_null(item, "deleted"));
    const json_t *held = json_array_get(json_object_get(item, "held_by"), 0);
    assert_string_equal(s_text(held, "node"), "querynode-4");
    assert_string_equal(s_text(held, "state"), "growing");

    item = s_item(root, 2);                     /* metadata goes before what the owner still has */
    assert_string_equal(s_text(item, "state"), "flushed");
    assert_true(s_null(item, "owner"));
    const json_t *index = json_array_get(json_object_get(item, "indexes"), 0);
    assert_string_equal(s_text(index, "name"), "by_vec");
    assert_string_equal(s_text(index, "field"), "vec");
    assert_string_equal(s_text(index, "type"), "HNSW");
    assert_string_equal(s_text(index, "state"), "running");
    assert_string_equal(s_text(index, "build"), "71");
    assert_int_equal(s_number(index, "percent"), 40);

    item = s_item(root, 3);
    held = json_array_get(json_object_get(item, "held_by"), 0);
    assert_string_equal(json_string_value(json_array_get(json_object_get(held, "indexes"), 0)),
                        "60");
    assert_string_equal(json_string_value(json_array_get(json_object_get(item, "from"), 0)), "20");
    assert_int_equal(s_number(json_array_get(json_object_get(item, "indexes"), 0), "percent"), 100);
    assert_string_equal(s_text(s_item(root, 4), "state"), "dropped");
    assert_string_equal(s_text(s_item(root, 4), "into"), "22");
    json_decref(root);
}

static void segments_come_in_parts(void **state)
{
    pw_world_t *w = *state;
    s_ask_segments(w, "most=2");
    Elanus__InspectAsk *ask = NULL;
    assert_int_equal(PB_UNPACK(&w->ctx, elanus__inspect_ask, w->sent[1].payload, &ask), OK);
    assert_int_equal(ask->segments_most, 3);
    assert_string_equal(w->listed, "seg/");
    s_list_segments(w);
    s_list_builds(w);
    json_t *root = s_got(w, 200);
    assert_int_equal(json_array_size(json_object_get(root, "items")), 2);
    assert_true(json_is_true(json_object_get(root, "truncated")));
    assert_string_equal(s_text(root, "next"), "26");
    json_decref(root);

    s_ask(w, "segments", "most=2&before=23", &(said_t){0});
    s_list_segments(w);
    s_list_builds(w);
    root = s_got(w, 200);
    assert_int_equal(json_array_size(json_object_get(root, "items")), 2);
    assert_string_equal(s_text(s_item(root, 0), "id"), "22");
    assert_true(json_is_false(json_object_get(root, "truncated")) && s_null(root, "next"));
    json_decref(root);
}

/* --- builds ----------------------------------------------------------------------------------- */

static void open_builds_come_first(void **state)
{
    pw_world_t *w = *state;
    s_show_index(w);
    s_ask(w, "builds", "", &(said_t){0});
    assert_string_equal(w->listed, "build/");
    Elanus__Build failed = s_build(60, 20, ELANUS__BUILD_STATE__BUILD_FAILED);
    Elanus__Build done = s_build(70, 22, ELANUS__BUILD_STATE__BUILD_DONE);
    Elanus__Build running = s_build(65, 24, ELANUS__BUILD_STATE__BUILD_RUNNING);
    failed.error = (char *)"no memory";
    done.rows = 1022;
    done.done_ms = 5;
    pw_list(w, OK, (const char *const[]){ "build/9/20/60", "build/9/22/60", "build/9/24/60" },
            (const void *const[]){ &failed, &done, &running }, 3);
    json_t *root = s_got(w, 200);
    assert_string_equal(s_text(s_item(root, 0), "build"), "65");
    assert_string_equal(s_text(s_item(root, 0), "node"), "indexnode-7");
    assert_true(s_null(s_item(root, 0), "percent"));            /* it did not answer */
    assert_true(s_misses(root, "indexnode-7"));
    assert_string_equal(s_text(s_item(root, 1), "error"), "no memory");
    assert_string_equal(s_text(s_item(root, 1), "state"), "failed");
    assert_true(s_null(s_item(root, 1), "node"));
    assert_string_equal(s_text(s_item(root, 2), "index"), "by_vec");
    assert_int_equal(s_number(s_item(root, 2), "percent"), 100);
    assert_int_equal(s_number(s_item(root, 2), "done_ms"), 5);
    json_decref(root);
}

/* --- what goes wrong -------------------------------------------------------------------------- */

static void s_refused(pw_world_t *w, const char *page, const char *query, int status,
                      const char *text)
{
    pw_page(w, page, query);
    assert_int_equal(w->n_sent, 0);
    json_t *root = s_got(w, status);
    assert_non_null(strstr(s_text(root, "error"), text));
    assert_true(strlen(s_text(root, "do")) > 10);
    json_decref(root);
}

static void bad_questions_are_told_what_to_do(void **state)
{
    pw_world_t *w = *state;
    s_refused(w, "segments", "most=x", 400, "most has to be a number");
    s_refused(w, "segments", "most=5001", 400, "from 0 to 5000");
    s_refused(w, "segments", "before=-1", 400, "before has to be");
    s_refused(w, "segments", "collection=geese", 404, "no collection \"geese\"");
    s_refused(w, "builds", "collection=kites&db=north%20sea", 404, "no database \"north sea\"");
    s_refused(w, "events", "most=9999", 400, "most has to be");
}

static void metadata_that_cannot_be_read_is_said(void **state)
{
    pw_world_t *w = *state;
    s_ask(w, "segments", "", &(said_t){0});
    pw_list(w, ERR_META, NULL, NULL, 0);
    json_t *root = s_got(w, 503);
    assert_non_null(strstr(s_text(root, "error"), "(seg/) cannot be read"));
    json_decref(root);
}

static void before_it_has_read_the_metadata_a_proxy_tells_nothing(void **state)
{
    pw_world_t *w = pw_up((pw_kind_t){ .shards = 2 });
    (void)state;
    s_refused(w, "channels", "", 503, "has not read the metadata yet");
    pw_down(w);
}

static void a_leader_that_is_silent_does_not_lead(void **state)
{
    pw_world_t *w = *state;
    s_ask(w, "nodes", "", &(said_t){0});
    json_t *root = s_got(w, 200);
    assert_true(s_null(root, "leader"));
    assert_true(s_misses(root, "leading coord") && s_misses(root, "coord-1"));
    assert_true(json_is_false(json_object_get(s_item(root, 0), "leader")));
    json_decref(root);
    Elanus__Inspection well = ELANUS__INSPECTION__INIT;
    s_ask(w, "nodes", "", &(said_t){ .coord = &well });
    root = s_got(w, 200);
    assert_string_equal(s_text(root, "leader"), "coord-1");
    assert_false(s_misses(root, "leading coord"));
    assert_true(json_is_true(json_object_get(s_item(root, 0), "leader")));
    json_decref(root);
}

/* Small at any size of a cluster. */
static void very_many_segments_are_a_bounded_answer(void **state)
{
    enum { SEGMENTS = 30000 };
    pw_world_t *w = *state;
    const char **keys = mem_new(SEGMENTS * sizeof *keys);
    const void **records = mem_new(SEGMENTS * sizeof *records);
    Elanus__Segment segment = s_stored(1, ELANUS__SEGMENT_STATE__SEGMENT_FLUSHED);
    s_ask(w, "segments", "", &(said_t){0});
    for (size_t i = 0; i < SEGMENTS; i++) {
        keys[i] = ctx_printf(&w->request, "seg/9/%zu", 1000 + i);
        records[i] = &segment;
    }
    pw_list(w, OK, keys, records, SEGMENTS);
    s_no_keys(w, "build/");
    json_t *root = s_got(w, 200);
    assert_int_equal(json_array_size(json_object_get(root, "items")), 500);
    assert_string_equal(s_text(s_item(root, 0), "id"), "30999");
    assert_string_equal(s_text(root, "next"), "30500");
    json_decref(root);
    mem_free(keys);
    mem_free(records);
}

static void without_a_leader_that_is_said(void **state)
{
    pw_world_t *w = *state;
    pw_show(w, "leader/", NULL, NULL, 0);
    s_ask(w, "builds", "", &(said_t){0});
    s_no_keys(w, "build/");
    json_t *root = s_got(w, 200);
    assert_true(s_null(root, "leader"));
    assert_true(s_misses(root, "leading coord"));
    json_decref(root);
}

static void who_stops_answers_what_it_was_asked(void **state)
{
    pw_world_t *w = *state;
    pw_page(w, "channels", "");
    pw_stop(w);
    for (size_t i = 0; i < 5; i++)
        pw_reply(w, &w->sent[i], ERR_CANCELED, "stopping", NULL);
    pw_run_job(w);
    s_no_keys(w, "seal/");
    s_no_keys(w, "ckpt/");
    json_t *root = s_got(w, 200);
    assert_true(s_misses(root, "metadata") && s_misses(root, "datanode-3"));
    json_decref(root);
}

static void nodes_are_as_the_leader_and_their_silence_say(void **state)
{
    pw_world_t *w = *state;
    Elanus__Inspection leader = ELANUS__INSPECTION__INIT, well = ELANUS__INSPECTION__INIT;
    Elanus__Member suspect = ELANUS__MEMBER__INIT, *members[] = { &suspect };
    suspect.info = pw_info(w, "datanode", PW_OTHER_NODE);
    suspect.health = ELANUS__NODE_HEALTH__NODE_SUSPECT;
    leader.members = members;
    leader.n_members = 1;
    s_ask(w, "nodes", "", &(said_t){ .coord = &leader, .other = &well, .query = &well });
    json_t *root = s_got(w, 200);
    static const struct { const char *name, *state; } s_are[] = {
        { "coord-1", "up" }, { "datanode-2", "silent" }, { "datanode-3", "suspect" },
        { "querynode-4", "up" }, { "indexnode-7", "silent" },
    };
    for (size_t i = 0; i < ARRAY_LEN(s_are); i++) {
        assert_string_equal(s_text(s_item(root, i), "name"), s_are[i].name);
        assert_string_equal(s_text(s_item(root, i), "state"), s_are[i].state);
    }
    assert_true(s_null(s_item(root, 1), "memory_used") && s_null(s_item(root, 1), "figures"));
    assert_true(s_misses(root, "datanode-2") && !s_misses(root, "datanode-3"));
    json_decref(root);
}

#define T(f) cmocka_unit_test_setup_teardown(f, s_up, s_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_channel_is_what_its_owner_and_the_metadata_say),
        T(a_silent_owner_leaves_nothing_but_metadata),
        T(an_owner_that_is_gone_is_named),
        T(who_begins_anew_is_at_no_position),
        T(segments_from_growing_to_dropped),
        T(segments_come_in_parts),
        T(open_builds_come_first),
        T(bad_questions_are_told_what_to_do),
        T(metadata_that_cannot_be_read_is_said),
        cmocka_unit_test(before_it_has_read_the_metadata_a_proxy_tells_nothing),
        T(a_leader_that_is_silent_does_not_lead),
        T(very_many_segments_are_a_bounded_answer),
        T(without_a_leader_that_is_said),
        T(who_stops_answers_what_it_was_asked),
        T(nodes_are_as_the_leader_and_their_silence_say),
    };
    return cmocka_run_group_tests_name("pages", tests, NULL, NULL);
}
