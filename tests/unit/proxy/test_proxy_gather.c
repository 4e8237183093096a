/* What the proxy asks several nodes: flush, compaction, segments, load progress.
 *
 * The test is the world around the step function: it shows keys of the metadata,
 * answers calls as data and query nodes would, and lets time pass. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>

#include "core/catalog/catalog.h"
#include "core/catalog/directory.h"
#include "core/catalog/segments.h"
#include "core/wire/pb.h"
#include "elanus.pb-c.h"
#include "milvus.pb-c.h"
#include "proxy/proxy_node.h"

enum { MOST_CALLS = 32, MOST_WATCHES = 16 };

typedef struct asked {
    uint32_t method;            /* 0: a list of metadata */
    char to[64];                /* endpoint, or prefix */
    view_t payload;
    uint64_t cookie;
} asked_t;

typedef struct world {
    void *node;
    actions_t act;
    node_self_t self;
    ctx_t ctx;                  /* of the test's own messages */
    ctx_t request;              /* of the call under test */
    int64_t now_ms, rev;
    struct { char prefix[32]; uint64_t cookie; } watches[MOST_WATCHES];
    size_t n_watches;
    asked_t asked[MOST_CALLS];
    size_t n;
    int64_t timers[110];        /* when due; 0: not set */
    proxy_call_t *answered;
} world_t;

/* --- the world ------------------------------------------------------------------------- */

static void s_ask(world_t *w, const action_t *action, uint32_t method, const char *to)
{
    assert_true(w->n < MOST_CALLS);
    asked_t *asked = &w->asked[w->n++];
    *asked = (asked_t){ .method = method, .cookie = action->cookie };
    snprintf(asked->to, sizeof asked->to, "%s", to);
    assert_int_equal(ctx_copy(&w->ctx, method ? action->call.payload : view_of("", 0),
                              &asked->payload), OK);
}

static void s_read(world_t *w)
{
    for (size_t i = 0; i < w->act.list.len; i++) {
        const action_t *action = vec_at(&w->act.list, i);
        if (action->kind == ACT_META && action->op == META_WATCH) {
            assert_true(w->n_watches < MOST_WATCHES);
            snprintf(w->watches[w->n_watches].prefix, 32, "%s", action->key);
            w->watches[w->n_watches++].cookie = action->cookie;
        } else if (action->kind == ACT_META && action->op == META_LIST) {
            s_ask(w, action, 0, action->key);
        } else if (action->kind == ACT_CALL) {
            s_ask(w, action, action->call.method, action->endpoint);
        } else if (action->kind == ACT_TIMER && action->timer < ARRAY_LEN(w->timers)) {
            w->timers[action->timer] = w->now_ms + action->after_ms;
        } else if (action->kind == ACT_ITEM) {
            assert_null(w->answered);
            w->answered = action->item;
        }
    }
    actions_reset(&w->act);
}

static void s_step(world_t *w, event_t ev)
{
    ctx_t ctx;
    ctx_init(&ctx);
    ev.now_ms = w->now_ms;
    ev.wall_ms = 1700000000000 + w->now_ms;
    ev.ctx = &ctx;
    ev.text = ev.text ? ev.text : "";
    proxy_role.step(w->node, &ev, &w->act);
    s_read(w);
    ctx_fini(&ctx);
}

static void s_show(world_t *w, const char *key, meta_watch_kind_t kind, const void *message)
{
    for (size_t i = 0; i < w->n_watches; i++) {
        if (strncmp(key, w->watches[i].prefix, strlen(w->watches[i].prefix)) != 0)
            continue;
        meta_change_t change = { .kind = kind, .item = { .key = key, .mod_rev = ++w->rev } };
        if (message)
            change.item.value = pb_pack(&w->ctx, message);
        event_t ev = { .kind = EV_WATCH, .cookie = w->watches[i].cookie };
        ev.watch.changes = &change;
        ev.watch.n = 1;
        s_step(w, ev);
        return;
    }
    fail_msg("nobody watches %s", key);
}

/* Let this much time pass, timers and all; calls are not answered meanwhile. */
static void s_wait(world_t *w, int64_t ms)
{
    for (int64_t end = w->now_ms + ms; w->now_ms < end; ) {
        w->now_ms++;
        for (uint32_t t = 0; t < ARRAY_LEN(w->timers); t++) {
            if (w->timers[t] == 0 || w->timers[t] > w->now_ms)
                continue;
            w->timers[t] = 0;
            event_t due = { .kind = EV_TIMER };
            due.timer = t;
            s_step(w, due);
        }
    }
}

/* The oldest question, which must be this one. */
static asked_t s_next(world_t *w, uint32_t method, const char *to)
{
    assert_true(w->n > 0);
    asked_t asked = w->asked[0];
    memmove(w->asked, w->asked + 1, --w->n * sizeof asked);
    assert_int_equal(asked.method, method);
    assert_string_equal(asked.to, to);
    return asked;
}

static void s_answer(world_t *w, asked_t asked, const void *message)
{
    event_t ev = { .kind = EV_REPLY, .cookie = asked.cookie };
    ev.payload = pb_pack(&w->ctx, message);
    s_step(w, ev);
}

static void s_fail(world_t *w, asked_t asked, err_t err)
{
    event_t ev = { .kind = EV_REPLY, .cookie = asked.cookie, .err = err, .text = err_text(err) };
    s_step(w, ev);
}

static void s_list(world_t *w, asked_t asked, Elanus__Segment **segments, size_t n)
{
    event_t ev = { .kind = EV_META, .cookie = asked.cookie };
    ev.meta.items.at = ctx_new(&w->ctx, (n + 1) * sizeof(meta_item_t));
    for (size_t i = 0; i < n; i++)
        ev.meta.items.at[i].value = pb_pack(&w->ctx, segments[i]);
    ev.meta.items.n = n;
    s_step(w, ev);
}

/* --- what there is ----------------------------------------------------------------------- */

static void s_put_node(world_t *w, const char *role, uint64_t id)
{
    Elanus__NodeInfo info = ELANUS__NODE_INFO__INIT;
    info.role = (char *)role;
    info.id = id;
    info.incarnation = id * 100;
    info.address = ctx_printf(&w->ctx, "inproc://%s-%d", role, (int)id);
    s_show(w, ctx_printf(&w->ctx, "session/%s-%d", role, (int)id), META_WATCH_PUT, &info);
}

static void s_put_owner(world_t *w, int channel, uint64_t node)
{
    Elanus__Owner owner = ELANUS__OWNER__INIT;
    owner.pchannel = ctx_printf(&w->ctx, "dml_%d", channel);
    owner.epoch = 1;
    owner.node = node;
    owner.incarnation = node * 100;
    owner.state = ELANUS__OWNER_STATE__OWNER_ACTIVE;
    s_show(w, directory_key_owner(&w->ctx, owner.pchannel), META_WATCH_PUT, &owner);
}

/* Collection `a` (id 7) has shards on dml_0 and dml_1, partitions 70 and 71, an index on `v`. */
static void s_put_collection(world_t *w)
{
    char *vchannels[] = { (char *)"dml_0_7v0", (char *)"dml_1_7v1" };
    Elanus__Field id = ELANUS__FIELD__INIT, vector = ELANUS__FIELD__INIT;
    id.id = FIELD_FIRST;
    id.name = (char *)"id";
    id.type = TYPE_INT64;
    id.primary_key = true;
    Elanus__Pair dim = ELANUS__PAIR__INIT, *params[] = { &dim };
    dim.key = (char *)"dim";
    dim.value = (char *)"4";
    vector.id = FIELD_FIRST + 1;
    vector.name = (char *)"v";
    vector.type = TYPE_FLOAT_VECTOR;
    vector.type_params = params;
    vector.n_type_params = 1;
    Elanus__Field *fields[] = { &id, &vector };
    Elanus__Partition p[2] = { ELANUS__PARTITION__INIT, ELANUS__PARTITION__INIT };
    p[0].id = 70;
    p[0].name = (char *)"_default";
    p[1].id = 71;
    p[1].name = (char *)"other";
    Elanus__Partition *partitions[] = { &p[0], &p[1] };
    Elanus__Collection coll = ELANUS__COLLECTION__INIT;
    coll.id = 7;
    coll.name = (char *)"a";
    coll.db_id = 1;
    coll.fields = fields;
    coll.n_fields = 2;
    coll.vchannels = vchannels;
    coll.n_vchannels = 2;
    coll.partitions = partitions;
    coll.n_partitions = 2;
    s_show(w, "coll/7", META_WATCH_PUT, &coll);
    Elanus__Index index = ELANUS__INDEX__INIT;
    index.id = 9;
    index.collection_id = 7;
    index.field_id = vector.id;
    index.name = (char *)"v_idx";
    s_show(w, "index/7/9", META_WATCH_PUT, &index);
}

static void s_put_load(world_t *w, bool whole)
{
    uint64_t partitions[] = { 70 };
    Elanus__Load load = ELANUS__LOAD__INIT;
    load.collection_id = 7;
    load.whole = whole;
    load.partitions = partitions;
    load.n_partitions = !whole;
    load.replicas = 1;
    s_show(w, "load/7", META_WATCH_PUT, &load);
}

static void s_put_replica(world_t *w, uint64_t id, uint64_t leader0, uint64_t leader1)
{
    uint64_t nodes[] = { leader0, leader1 };
    Elanus__Shard a = ELANUS__SHARD__INIT, b = ELANUS__SHARD__INIT, *shards[] = { &a, &b };
    a.vchannel = (char *)"dml_0_7v0";
    a.leader = leader0;
    b.vchannel = (char *)"dml_1_7v1";
    b.leader = leader1;
    Elanus__Replica replica = ELANUS__REPLICA__INIT;
    replica.id = id;
    replica.collection = 7;
    replica.resource_group = (char *)"__default_resource_group";
    replica.shards = shards;
    replica.n_shards = 2;
    replica.nodes = nodes;
    replica.n_nodes = leader0 == leader1 ? 1 : 2;
    s_show(w, directory_key_replica(&w->ctx, 7, id), META_WATCH_PUT, &replica);
}

static void s_put_leader(world_t *w)
{
    Elanus__NodeInfo info = ELANUS__NODE_INFO__INIT;
    info.id = 1;
    info.address = (char *)"inproc://coord";
    Elanus__Leader leader = ELANUS__LEADER__INIT;
    leader.info = &info;
    s_show(w, "leader/coord", META_WATCH_PUT, &leader);
}

static int s_up(void **state)
{
    world_t *w = mem_new(sizeof *w);
    ctx_init(&w->ctx);
    ctx_init(&w->request);
    actions_init(&w->act);
    w->now_ms = 1000;
    w->self = (node_self_t){ .role = "proxy", .cluster = "c", .address = "inproc://proxy", .id = 3,
                             .incarnation = 33, .lease_ttl_ms = 9000, .ops_address = "", .host = "",
                             .version = "t", .standalone = true };
    w->node = proxy_role.make(&w->self, NULL);
    event_t start = { .kind = EV_START };
    s_step(w, start);
    for (size_t i = 0; i < w->n_watches; i++) {
        s_show(w, w->watches[i].prefix, META_WATCH_RESET, NULL);
        s_show(w, w->watches[i].prefix, META_WATCH_SYNCED, NULL);
    }
    Elanus__Database db = ELANUS__DATABASE__INIT;
    db.id = 1;
    db.name = (char *)"default";
    s_show(w, "db/1", META_WATCH_PUT, &db);
    s_put_collection(w);
    s_put_node(w, "datanode", 11);
    s_put_node(w, "datanode", 12);
    s_put_node(w, "querynode", 21);
    s_put_node(w, "querynode", 22);
    s_put_leader(w);
    s_put_owner(w, 0, 11);
    s_put_owner(w, 1, 12);
    w->n = 0;
    *state = w;
    return 0;
}

static void s_forget(world_t *w)
{
    if (w->answered) {
        buf_fini(&w->answered->body);
        mem_free(w->answered);
        w->answered = NULL;
    }
    ctx_fini(&w->request);
    ctx_init(&w->request);
}

static int s_down(void **state)
{
    world_t *w = *state;
    s_forget(w);
    proxy_role.end(w->node);
    actions_fini(&w->act);
    ctx_fini(&w->request);
    ctx_fini(&w->ctx);
    mem_free(w);
    return 0;
}

static void s_send(world_t *w, const char *rpc, const void *request)
{
    s_forget(w);
    char path[128];
    snprintf(path, sizeof path, "/milvus.proto.milvus.MilvusService/%s", rpc);
    proxy_call_t *call = mem_new(sizeof *call);
    *call = (proxy_call_t){ .method = methods_find(view_str(path)), .ctx = &w->request,
                            .message = pb_pack(&w->ctx, request) };
    assert_non_null(call->method);
    event_t ev = { .kind = EV_ITEM };
    ev.item = call;
    s_step(w, ev);
}

static void *s_got(world_t *w, const ProtobufCMessageDescriptor *type)
{
    assert_non_null(w->answered);
    assert_int_equal(w->answered->grpc_status, 0);
    assert_int_equal(w->n, 0);
    ProtobufCMessage *message = NULL;
    assert_int_equal(wire_unpack(&w->ctx, type, buf_view(&w->answered->body), &message), OK);
    return message;
}

/* --- flush ---------------------------------------------------------------------------------- */

static void s_flush(world_t *w)
{
    const char *names[] = { "a" };
    Milvus__FlushRequest request = MILVUS__FLUSH_REQUEST__INIT;
    request.collection_names = names;
    request.n_collection_names = 1;
    s_send(w, "Flush", &request);
}

static Elanus__Sealed s_sealed(uint64_t *segment, uint64_t ts)
{
    Elanus__Sealed sealed = ELANUS__SEALED__INIT;
    sealed.segments = segment;
    sealed.n_segments = 1;
    sealed.ts = ts;
    return sealed;
}

static void a_flush_seals_at_every_owner(void **state)
{
    world_t *w = *state;
    s_flush(w);
    asked_t first = s_next(w, ELANUS__METHOD__METHOD_SEAL, "inproc://datanode-11");
    asked_t second = s_next(w, ELANUS__METHOD__METHOD_SEAL, "inproc://datanode-12");
    Elanus__SealAsk *ask = NULL;
    assert_int_equal(PB_UNPACK(&w->ctx, elanus__seal_ask, second.payload, &ask), OK);
    assert_int_equal(ask->collection, 7);
    assert_int_equal(ask->n_vchannels, 1);
    assert_string_equal(ask->vchannels[0], "dml_1_7v1");
    uint64_t ids[] = { 100, 200 }, flushed[] = { 50 };
    Elanus__Sealed a = s_sealed(&ids[0], 5), b = s_sealed(&ids[1], 9);
    b.flushed = flushed;
    b.n_flushed = 1;
    s_answer(w, second, &b);
    assert_null(w->answered);
    s_answer(w, first, &a);
    Milvus__FlushResponse *r = s_got(w, &milvus__flush_response__descriptor);
    assert_int_equal(r->status->code, 0);
    assert_int_equal(r->n_coll_segids, 1);
    assert_string_equal(r->coll_segids[0]->key, "a");
    assert_int_equal(r->coll_segids[0]->value->n_data, 2);
    assert_int_equal(r->coll_segids[0]->value->data[1], 200);
    assert_int_equal(r->flush_coll_segids[0]->value->data[0], 50);
    assert_int_equal(r->coll_flush_ts[0]->value, 9);
    assert_int_equal(r->coll_seal_times[0]->value, 1700000001);
}

static void a_flush_waits_for_an_owner_and_asks_the_new_one(void **state)
{
    world_t *w = *state;
    s_show(w, "owner/dml_1", META_WATCH_DELETE, NULL);
    s_flush(w);
    assert_int_equal(w->n, 0);
    s_wait(w, 500);
    assert_int_equal(w->n, 0);
    s_put_owner(w, 1, 12);
    asked_t first = s_next(w, ELANUS__METHOD__METHOD_SEAL, "inproc://datanode-11");
    asked_t second = s_next(w, ELANUS__METHOD__METHOD_SEAL, "inproc://datanode-12");
    uint64_t id = 100;
    Elanus__Sealed sealed = s_sealed(&id, 5);
    s_answer(w, first, &sealed);
    s_fail(w, second, ERR_MOVED);
    assert_null(w->answered);
    s_put_owner(w, 1, 11);                      /* one node has both now */
    asked_t both = s_next(w, ELANUS__METHOD__METHOD_SEAL, "inproc://datanode-11");
    Elanus__SealAsk *ask = NULL;
    assert_int_equal(PB_UNPACK(&w->ctx, elanus__seal_ask, both.payload, &ask), OK);
    assert_int_equal(ask->n_vchannels, 2);
    s_answer(w, both, &sealed);
    Milvus__FlushResponse *r = s_got(w, &milvus__flush_response__descriptor);
    assert_int_equal(r->coll_segids[0]->value->n_data, 1);
}

static void patience_has_an_end(void **state)
{
    world_t *w = *state;
    s_show(w, "owner/dml_1", META_WATCH_DELETE, NULL);
    s_flush(w);
    s_wait(w, 9000);
    assert_null(w->answered);
    s_wait(w, 1100);
    Milvus__FlushResponse *r = s_got(w, &milvus__flush_response__descriptor);
    assert_int_equal(r->status->code, 503);
    assert_string_equal(r->status->reason, "channel not available[channel=dml_1_7v1]: "
                        "no data node has it open");
}

static void what_is_dropped_meanwhile_is_not_found(void **state)
{
    world_t *w = *state;
    s_show(w, "owner/dml_1", META_WATCH_DELETE, NULL);
    s_flush(w);
    s_show(w, "coll/7", META_WATCH_DELETE, NULL);
    s_wait(w, 200);
    Milvus__FlushResponse *r = s_got(w, &milvus__flush_response__descriptor);
    assert_int_equal(r->status->code, 100);
}

static void an_error_that_stays_ends_the_call(void **state)
{
    world_t *w = *state;
    s_flush(w);
    asked_t first = s_next(w, ELANUS__METHOD__METHOD_SEAL, "inproc://datanode-11");
    asked_t second = s_next(w, ELANUS__METHOD__METHOD_SEAL, "inproc://datanode-12");
    s_fail(w, first, ERR_NETWORK);              /* passes, */
    s_fail(w, second, ERR_DISK);                /* but this one does not */
    Milvus__FlushResponse *r = s_got(w, &milvus__flush_response__descriptor);
    assert_int_equal(r->status->code, err_code(ERR_DISK));
    assert_string_equal(r->status->reason, err_text(ERR_DISK));
}

static void s_answer_states(world_t *w, Elanus__SegmentState state, uint64_t min_ts)
{
    Elanus__Segment segment = ELANUS__SEGMENT__INIT, *list[] = { &segment };
    segment.id = 100;
    segment.state = state;
    segment.min_ts = min_ts;
    Elanus__SegmentList some = ELANUS__SEGMENT_LIST__INIT, none = some;
    some.segments = list;
    some.n_segments = 1;
    s_answer(w, s_next(w, ELANUS__METHOD__METHOD_SEGMENTS, "inproc://datanode-11"), &some);
    s_answer(w, s_next(w, ELANUS__METHOD__METHOD_SEGMENTS, "inproc://datanode-12"), &none);
}

static void s_ask_state(world_t *w, int64_t *ids, size_t n)
{
    Milvus__GetFlushStateRequest request = MILVUS__GET_FLUSH_STATE_REQUEST__INIT;
    request.segmentids = ids;
    request.n_segmentids = n;
    request.collection_name = "a";
    request.flush_ts = 50;
    s_send(w, "GetFlushState", &request);
}

static bool s_flushed(world_t *w)
{
    Milvus__GetFlushStateResponse *r = s_got(w, &milvus__get_flush_state_response__descriptor);
    assert_int_equal(r->status->code, 0);
    return r->flushed;
}

static void flushed_is_what_no_owner_still_holds(void **state)
{
    world_t *w = *state;
    int64_t ids[] = { 100 };
    s_ask_state(w, ids, 1);
    s_answer_states(w, ELANUS__SEGMENT_STATE__SEGMENT_SEALED, 40);
    assert_null(w->answered);                   /* it looks again before it says no */
    s_wait(w, 25);
    s_answer_states(w, ELANUS__SEGMENT_STATE__SEGMENT_FLUSHED, 40);
    assert_true(s_flushed(w));

    s_ask_state(w, ids, 1);
    for (int i = 0; i < 100 && !w->answered; i++) {
        s_answer_states(w, ELANUS__SEGMENT_STATE__SEGMENT_SEALED, 40);
        if (!w->answered)
            s_wait(w, 21);
    }
    assert_false(s_flushed(w));

    s_ask_state(w, NULL, 0);                    /* by time: what began later does not matter */
    s_answer_states(w, ELANUS__SEGMENT_STATE__SEGMENT_SEALED, 60);
    assert_true(s_flushed(w));
    Milvus__GetFlushStateRequest nothing = MILVUS__GET_FLUSH_STATE_REQUEST__INIT;
    s_send(w, "GetFlushState", &nothing);
    assert_true(s_flushed(w));
}

static void what_grows_again_is_sealed_again(void **state)
{
    world_t *w = *state;
    int64_t ids[] = { 100 };
    s_ask_state(w, ids, 1);
    s_answer_states(w, ELANUS__SEGMENT_STATE__SEGMENT_GROWING, 40);
    uint64_t id = 100;
    Elanus__Sealed sealed = s_sealed(&id, 5);
    s_answer(w, s_next(w, ELANUS__METHOD__METHOD_SEAL, "inproc://datanode-11"), &sealed);
    s_answer(w, s_next(w, ELANUS__METHOD__METHOD_SEAL, "inproc://datanode-12"), &sealed);
    assert_false(s_flushed(w));
    s_ask_state(w, NULL, 0);                    /* after the flush: another matter */
    s_answer_states(w, ELANUS__SEGMENT_STATE__SEGMENT_GROWING, 60);
    assert_true(s_flushed(w));
}

static void flush_all_seals_all_collections(void **state)
{
    world_t *w = *state;
    uint64_t id = 100;
    Elanus__Sealed sealed = s_sealed(&id, UINT64_MAX - 1);
    Milvus__FlushAllRequest request = MILVUS__FLUSH_ALL_REQUEST__INIT;
    s_send(w, "FlushAll", &request);
    s_answer(w, s_next(w, ELANUS__METHOD__METHOD_SEAL, "inproc://datanode-11"), &sealed);
    s_answer(w, s_next(w, ELANUS__METHOD__METHOD_SEAL, "inproc://datanode-12"), &sealed);
    Milvus__FlushAllResponse *r = s_got(w, &milvus__flush_all_response__descriptor);
    assert_true(r->flush_all_ts == UINT64_MAX - 1);
    request.db_name = "elsewhere";
    s_send(w, "FlushAll", &request);
    r = s_got(w, &milvus__flush_all_response__descriptor);
    assert_int_equal(r->flush_all_ts, (uint64_t)(1700000000000 + w->now_ms) << 18);

    Milvus__GetFlushAllStateRequest state_request = MILVUS__GET_FLUSH_ALL_STATE_REQUEST__INIT;
    state_request.flush_all_ts = 50;
    s_send(w, "GetFlushAllState", &state_request);
    s_answer_states(w, ELANUS__SEGMENT_STATE__SEGMENT_SEALED, 60);
    Milvus__GetFlushAllStateResponse *done =
        s_got(w, &milvus__get_flush_all_state_response__descriptor);
    assert_true(done->flushed);
}

/* --- counting --------------------------------------------------------------------------------- */

static Elanus__Segment s_segment(uint64_t id, uint64_t partition, uint64_t rows, bool dropped)
{
    Elanus__Segment segment = ELANUS__SEGMENT__INIT;
    segment.id = id;
    segment.collection = 7;
    segment.partition = partition;
    segment.rows = rows;
    segment.state = dropped ? ELANUS__SEGMENT_STATE__SEGMENT_DROPPED
                            : ELANUS__SEGMENT_STATE__SEGMENT_FLUSHED;
    segment.vchannel = (char *)"dml_0_7v0";
    return segment;
}

static void rows_are_counted_in_metadata(void **state)
{
    world_t *w = *state;
    Elanus__Segment s[] = { s_segment(5, 70, 10, false), s_segment(4, 71, 100, false),
                            s_segment(6, 70, 1000, true) };
    Elanus__Segment *list[] = { &s[0], &s[1], &s[2] };
    Milvus__GetCollectionStatisticsRequest all = MILVUS__GET_COLLECTION_STATISTICS_REQUEST__INIT;
    all.collection_name = "a";
    s_send(w, "GetCollectionStatistics", &all);
    s_list(w, s_next(w, 0, "seg/7/"), list, 3);
    Milvus__GetCollectionStatisticsResponse *r =
        s_got(w, &milvus__get_collection_statistics_response__descriptor);
    assert_string_equal(r->stats[0]->key, "row_count");
    assert_string_equal(r->stats[0]->value, "110");

    Milvus__GetPartitionStatisticsRequest one = MILVUS__GET_PARTITION_STATISTICS_REQUEST__INIT;
    one.collection_name = "a";
    one.partition_name = "other";
    s_send(w, "GetPartitionStatistics", &one);
    s_list(w, s_next(w, 0, "seg/7/"), list, 3);
    Milvus__GetPartitionStatisticsResponse *p =
        s_got(w, &milvus__get_partition_statistics_response__descriptor);
    assert_string_equal(p->stats[0]->value, "100");

    Milvus__DescribeIndexRequest index = MILVUS__DESCRIBE_INDEX_REQUEST__INIT;
    index.collection_name = "a";
    s_send(w, "DescribeIndex", &index);
    s_list(w, s_next(w, 0, "seg/7/"), list, 3);
    Milvus__DescribeIndexResponse *d = s_got(w, &milvus__describe_index_response__descriptor);
    assert_int_equal(d->index_descriptions[0]->total_rows, 110);
    assert_int_equal(d->index_descriptions[0]->indexed_rows, 110);
    assert_int_equal(d->index_descriptions[0]->pending_index_rows, 0);

    Milvus__GetPersistentSegmentInfoRequest info =
        MILVUS__GET_PERSISTENT_SEGMENT_INFO_REQUEST__INIT;
    info.collectionname = "a";
    s_send(w, "GetPersistentSegmentInfo", &info);
    s_list(w, s_next(w, 0, "seg/7/"), list, 3);
    Milvus__GetPersistentSegmentInfoResponse *i =
        s_got(w, &milvus__get_persistent_segment_info_response__descriptor);
    assert_int_equal(i->n_infos, 2);
    assert_int_equal(i->infos[0]->segmentid, 4);
    assert_int_equal(i->infos[0]->num_rows, 100);
    assert_int_equal(i->infos[0]->state, COMMON__SEGMENT_STATE__Flushed);
}

static void metadata_that_is_away_is_an_error(void **state)
{
    world_t *w = *state;
    Milvus__GetCollectionStatisticsRequest all = MILVUS__GET_COLLECTION_STATISTICS_REQUEST__INIT;
    all.collection_name = "a";
    s_send(w, "GetCollectionStatistics", &all);
    asked_t asked = s_next(w, 0, "seg/7/");
    event_t ev = { .kind = EV_META, .cookie = asked.cookie, .err = ERR_META, .text = "etcd: away" };
    s_step(w, ev);
    Milvus__GetCollectionStatisticsResponse *r =
        s_got(w, &milvus__get_collection_statistics_response__descriptor);
    assert_int_equal(r->status->code, err_code(ERR_META));
    assert_true(r->status->retriable);
    assert_string_equal(r->status->reason, "etcd: away");
}

/* --- loading ------------------------------------------------------------------------------------ */

static void s_ask_progress(world_t *w, const char *partition)
{
    Milvus__GetLoadingProgressRequest request = MILVUS__GET_LOADING_PROGRESS_REQUEST__INIT;
    request.collection_name = "a";
    request.partition_names = &partition;
    request.n_partition_names = partition != NULL;
    s_send(w, "GetLoadingProgress", &request);
}

static const Milvus__GetLoadingProgressResponse *s_progress(world_t *w)
{
    return s_got(w, &milvus__get_loading_progress_response__descriptor);
}

static Common__LoadState s_load_state(world_t *w, const char *name, uint32_t percent)
{
    Milvus__GetLoadStateRequest request = MILVUS__GET_LOAD_STATE_REQUEST__INIT;
    request.collection_name = name;
    s_send(w, "GetLoadState", &request);
    Elanus__Loaded loaded = ELANUS__LOADED__INIT;
    loaded.percent = percent;
    while (w->n > 0) {
        const asked_t oldest = w->asked[0];
        s_answer(w, s_next(w, ELANUS__METHOD__METHOD_LOADED, oldest.to), &loaded);
    }
    const Milvus__GetLoadStateResponse *r = s_got(w, &milvus__get_load_state_response__descriptor);
    return r->state;
}

static void what_shall_not_be_loaded_is_not(void **state)
{
    world_t *w = *state;
    s_ask_progress(w, NULL);
    assert_int_equal(s_progress(w)->status->code, 101);
    assert_int_equal(s_load_state(w, "a", 0), COMMON__LOAD_STATE__LoadStateNotLoad);
    assert_int_equal(s_load_state(w, "none", 0), COMMON__LOAD_STATE__LoadStateNotExist);
    s_put_load(w, false);
    s_ask_progress(w, "other");
    assert_int_equal(s_progress(w)->status->code, 101);
}

static void progress_is_the_least_of_the_leaders(void **state)
{
    world_t *w = *state;
    s_put_load(w, true);
    s_put_replica(w, 30, 21, 22);
    Elanus__Loaded part = ELANUS__LOADED__INIT, all = ELANUS__LOADED__INIT;
    part.percent = 40;
    all.percent = 100;
    s_ask_progress(w, "other");
    Elanus__LoadedAsk *ask = NULL;
    for (int i = 0; i < 100 && !w->answered; i++) {     /* a little patience, then the truth */
        asked_t first = s_next(w, ELANUS__METHOD__METHOD_LOADED, "inproc://querynode-21");
        assert_int_equal(PB_UNPACK(&w->ctx, elanus__loaded_ask, first.payload, &ask), OK);
        assert_int_equal(ask->partitions[0], 71);
        s_answer(w, first, &all);
        s_answer(w, s_next(w, ELANUS__METHOD__METHOD_LOADED, "inproc://querynode-22"), &part);
        if (!w->answered)
            s_wait(w, 11);
    }
    assert_int_equal(s_progress(w)->progress, 40);
    assert_int_equal(s_progress(w)->status->code, 0);

    s_ask_progress(w, NULL);
    s_answer(w, s_next(w, ELANUS__METHOD__METHOD_LOADED, "inproc://querynode-21"), &all);
    s_answer(w, s_next(w, ELANUS__METHOD__METHOD_LOADED, "inproc://querynode-22"), &all);
    assert_int_equal(s_progress(w)->progress, 100);
    assert_int_equal(s_load_state(w, "a", 99), COMMON__LOAD_STATE__LoadStateLoading);
    assert_int_equal(s_load_state(w, "a", 100), COMMON__LOAD_STATE__LoadStateLoaded);
    s_show(w, "session/querynode-22", META_WATCH_DELETE, NULL);
    assert_int_equal(s_load_state(w, "a", 100), COMMON__LOAD_STATE__LoadStateLoading);
}

static void who_does_not_answer_has_nothing_and_trouble_is_told(void **state)
{
    world_t *w = *state;
    s_put_load(w, true);
    s_ask_progress(w, NULL);                    /* no replica yet */
    s_wait(w, 200);
    assert_int_equal(s_progress(w)->progress, 0);
    assert_int_equal(s_progress(w)->status->code, 0);
    s_put_replica(w, 30, 21, 21);
    s_ask_progress(w, NULL);
    for (int i = 0; i < 100 && !w->answered; i++) {
        s_fail(w, s_next(w, ELANUS__METHOD__METHOD_LOADED, "inproc://querynode-21"), ERR_NETWORK);
        if (!w->answered)
            s_wait(w, 11);
    }
    assert_int_equal(s_progress(w)->progress, 0);
    s_ask_progress(w, NULL);
    Elanus__Loaded stuck = ELANUS__LOADED__INIT;
    stuck.percent = 10;
    stuck.error = (char *)"out of memory";
    s_answer(w, s_next(w, ELANUS__METHOD__METHOD_LOADED, "inproc://querynode-21"), &stuck);
    assert_int_equal(s_progress(w)->status->code, 604);
    assert_string_equal(s_progress(w)->status->reason, "show collection failed: out of memory");
}

static void what_is_in_memory_is_shown_with_percentages(void **state)
{
    world_t *w = *state;
    s_put_load(w, false);
    s_put_replica(w, 30, 21, 21);
    Elanus__Loaded loaded = ELANUS__LOADED__INIT;
    loaded.percent = 30;
    Milvus__ShowCollectionsRequest request = MILVUS__SHOW_COLLECTIONS_REQUEST__INIT;
    request.type = MILVUS__SHOW_TYPE__InMemory;
    s_send(w, "ShowCollections", &request);
    s_answer(w, s_next(w, ELANUS__METHOD__METHOD_LOADED, "inproc://querynode-21"), &loaded);
    Milvus__ShowCollectionsResponse *r =
        s_got(w, &milvus__show_collections_response__descriptor);
    assert_int_equal(r->n_collection_names, 1);
    assert_int_equal(r->inmemory_percentages[0], 30);
    assert_false(r->query_service_available[0]);

    Milvus__ShowPartitionsRequest parts = MILVUS__SHOW_PARTITIONS_REQUEST__INIT;
    parts.collection_name = "a";
    parts.type = MILVUS__SHOW_TYPE__InMemory;
    s_send(w, "ShowPartitions", &parts);
    loaded.percent = 100;
    s_answer(w, s_next(w, ELANUS__METHOD__METHOD_LOADED, "inproc://querynode-21"), &loaded);
    Milvus__ShowPartitionsResponse *p = s_got(w, &milvus__show_partitions_response__descriptor);
    assert_int_equal(p->n_partition_names, 1);
    assert_string_equal(p->partition_names[0], "_default");
    assert_int_equal(p->inmemory_percentages[0], 100);
}

static void loaded_segments_of_two_replicas_are_one(void **state)
{
    world_t *w = *state;
    s_put_load(w, true);
    s_put_replica(w, 30, 21, 21);
    s_put_replica(w, 31, 22, 22);
    Milvus__GetQuerySegmentInfoRequest request = MILVUS__GET_QUERY_SEGMENT_INFO_REQUEST__INIT;
    request.collectionname = "a";
    s_send(w, "GetQuerySegmentInfo", &request);
    Elanus__LoadedSegment s[2] = { ELANUS__LOADED_SEGMENT__INIT, ELANUS__LOADED_SEGMENT__INIT };
    s[0].id = 100;
    s[0].partition = 70;
    s[0].rows = 5;
    s[0].state = ELANUS__SEGMENT_STATE__SEGMENT_FLUSHED;
    s[1].id = 101;                              /* growing: Milvus does not list it */
    Elanus__LoadedSegment *list[] = { &s[0], &s[1] };
    Elanus__Loaded loaded = ELANUS__LOADED__INIT;
    loaded.segments = list;
    loaded.n_segments = 2;
    s_answer(w, s_next(w, ELANUS__METHOD__METHOD_LOADED, "inproc://querynode-21"), &loaded);
    s_answer(w, s_next(w, ELANUS__METHOD__METHOD_LOADED, "inproc://querynode-22"), &loaded);
    Milvus__GetQuerySegmentInfoResponse *r =
        s_got(w, &milvus__get_query_segment_info_response__descriptor);
    assert_int_equal(r->n_infos, 1);
    assert_int_equal(r->infos[0]->segmentid, 100);
    assert_int_equal(r->infos[0]->collectionid, 7);
    assert_int_equal(r->infos[0]->num_rows, 5);
    assert_int_equal(r->infos[0]->n_nodeids, 2);
    assert_int_equal(r->infos[0]->nodeid, 21);
    assert_string_equal(r->infos[0]->index_name, "v_idx");
    assert_int_equal(r->infos[0]->state, COMMON__SEGMENT_STATE__Sealed);

    Milvus__GetReplicasRequest replicas = MILVUS__GET_REPLICAS_REQUEST__INIT;
    replicas.collectionid = 7;
    replicas.with_shard_nodes = true;
    s_send(w, "GetReplicas", &replicas);
    Milvus__GetReplicasResponse *g = s_got(w, &milvus__get_replicas_response__descriptor);
    assert_int_equal(g->n_replicas, 2);
    assert_int_equal(g->replicas[0]->replicaid, 30);
    assert_int_equal(g->replicas[0]->n_shard_replicas, 2);
    assert_string_equal(g->replicas[0]->shard_replicas[1]->dm_channel_name, "dml_1_7v1");
    assert_string_equal(g->replicas[1]->shard_replicas[0]->leader_addr, "inproc://querynode-22");
    replicas.collectionid = 8;
    s_send(w, "GetReplicas", &replicas);
    g = s_got(w, &milvus__get_replicas_response__descriptor);
    assert_int_equal(g->status->code, 100);
}

/* --- compaction ---------------------------------------------------------------------------------- */

static void s_compact(world_t *w, uint32_t planned)
{
    Milvus__ManualCompactionRequest request = MILVUS__MANUAL_COMPACTION_REQUEST__INIT;
    request.collectionid = 7;
    s_send(w, "ManualCompaction", &request);
    Elanus__IdRange range = ELANUS__ID_RANGE__INIT;
    range.first = 555;
    range.n = 1;
    s_answer(w, s_next(w, ELANUS__METHOD__METHOD_ALLOC_IDS, "inproc://coord"), &range);
    asked_t first = s_next(w, ELANUS__METHOD__METHOD_COMPACT, "inproc://datanode-11");
    Elanus__CompactAsk *ask = NULL;
    assert_int_equal(PB_UNPACK(&w->ctx, elanus__compact_ask, first.payload, &ask), OK);
    assert_int_equal(ask->id, 555);
    assert_int_equal(ask->collection, 7);
    Elanus__Compaction some = ELANUS__COMPACTION__INIT, none = some;
    some.executing = planned;
    s_answer(w, first, &some);
    s_answer(w, s_next(w, ELANUS__METHOD__METHOD_COMPACT, "inproc://datanode-12"), &none);
}

static void a_compaction_has_an_id_when_there_is_something_to_do(void **state)
{
    world_t *w = *state;
    s_compact(w, 2);
    Milvus__ManualCompactionResponse *r =
        s_got(w, &milvus__manual_compaction_response__descriptor);
    assert_int_equal(r->compactionid, 555);
    assert_int_equal(r->compactionplancount, 2);
    s_compact(w, 0);
    r = s_got(w, &milvus__manual_compaction_response__descriptor);
    assert_int_equal(r->compactionid, -1);
    assert_int_equal(r->status->code, 0);

    Milvus__ManualCompactionRequest request = MILVUS__MANUAL_COMPACTION_REQUEST__INIT;
    request.collection_name = "nope";
    s_send(w, "ManualCompaction", &request);
    r = s_got(w, &milvus__manual_compaction_response__descriptor);
    assert_int_equal(r->status->code, 100);
    request.collection_name = "a";
    request.majorcompaction = true;
    s_send(w, "ManualCompaction", &request);
    r = s_got(w, &milvus__manual_compaction_response__descriptor);
    assert_int_equal(r->status->code, 10);
}

static void the_state_of_a_compaction_is_that_of_all_nodes(void **state)
{
    world_t *w = *state;
    uint64_t from[] = { 1, 2 };
    Elanus__CompactionMerge merge = ELANUS__COMPACTION_MERGE__INIT, *merges[] = { &merge };
    merge.from = from;
    merge.n_from = 2;
    merge.into = 3;
    Elanus__Compaction busy = ELANUS__COMPACTION__INIT, done = busy;
    busy.executing = 1;
    done.completed = 4;
    done.failed = 1;
    done.merges = merges;
    done.n_merges = 1;
    Milvus__GetCompactionStateRequest request = MILVUS__GET_COMPACTION_STATE_REQUEST__INIT;
    request.compactionid = 555;
    s_send(w, "GetCompactionState", &request);
    s_answer(w, s_next(w, ELANUS__METHOD__METHOD_COMPACTION, "inproc://datanode-11"), &busy);
    s_answer(w, s_next(w, ELANUS__METHOD__METHOD_COMPACTION, "inproc://datanode-12"), &done);
    Milvus__GetCompactionStateResponse *r =
        s_got(w, &milvus__get_compaction_state_response__descriptor);
    assert_int_equal(r->state, COMMON__COMPACTION_STATE__Executing);
    assert_int_equal(r->completedplanno, 4);
    assert_int_equal(r->failedplanno, 1);

    Milvus__GetCompactionPlansRequest plans = MILVUS__GET_COMPACTION_PLANS_REQUEST__INIT;
    plans.compactionid = 555;
    s_send(w, "GetCompactionStateWithPlans", &plans);
    s_answer(w, s_next(w, ELANUS__METHOD__METHOD_COMPACTION, "inproc://datanode-11"), &done);
    s_answer(w, s_next(w, ELANUS__METHOD__METHOD_COMPACTION, "inproc://datanode-12"), &done);
    Milvus__GetCompactionPlansResponse *p =
        s_got(w, &milvus__get_compaction_plans_response__descriptor);
    assert_int_equal(p->state, COMMON__COMPACTION_STATE__Completed);
    assert_int_equal(p->n_mergeinfos, 2);
    assert_int_equal(p->mergeinfos[0]->sources[1], 2);
    assert_int_equal(p->mergeinfos[0]->target, 3);

    request.compactionid = -1;                  /* nothing was to be done: that is done */
    s_send(w, "GetCompactionState", &request);
    r = s_got(w, &milvus__get_compaction_state_response__descriptor);
    assert_int_equal(r->state, COMMON__COMPACTION_STATE__Completed);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, s_up, s_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_flush_seals_at_every_owner),
        TEST(a_flush_waits_for_an_owner_and_asks_the_new_one),
        TEST(patience_has_an_end),
        TEST(what_is_dropped_meanwhile_is_not_found),
        TEST(an_error_that_stays_ends_the_call),
        TEST(flushed_is_what_no_owner_still_holds),
        TEST(what_grows_again_is_sealed_again),
        TEST(flush_all_seals_all_collections),
        TEST(rows_are_counted_in_metadata),
        TEST(metadata_that_is_away_is_an_error),
        TEST(what_shall_not_be_loaded_is_not),
        TEST(progress_is_the_least_of_the_leaders),
        TEST(who_does_not_answer_has_nothing_and_trouble_is_told),
        TEST(what_is_in_memory_is_shown_with_percentages),
        TEST(loaded_segments_of_two_replicas_are_one),
        TEST(a_compaction_has_an_id_when_there_is_something_to_do),
        TEST(the_state_of_a_compaction_is_that_of_all_nodes),
    };
    log_set_level(LOG_FATAL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
