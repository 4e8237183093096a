/* proxy_write, proxy_ids and the handlers of Insert, Upsert and Delete, by the step function.
 *
 * The test is the world: it shows the catalog, who is there and who owns which channel, reads
 * the calls that the node makes, and answers them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>

#include "core/base/fault.h"
#include "core/base/map.h"
#include "core/catalog/directory.h"
#include "core/wal/wal_record.h"
#include "core/wire/pb.h"
#include "proxy/proxy_node.h"
#include "tests/support/field_data.h"

enum { MOST_CALLS = 8, LEADER = 1, DATA_NODE = 2, OTHER_NODE = 3 };

typedef struct sent {
    uint64_t cookie;
    uint32_t method;
    char endpoint[64];
    view_t payload;             /* copied */
    int64_t timeout_ms;
} sent_t;

typedef struct world {
    void *node;
    actions_t act;
    node_self_t self;
    ctx_t ctx;                  /* of the test's own messages */
    ctx_t request;              /* of the call under test */
    int64_t now_ms, rev;
    map_t *watches;             /* prefix -> cookie */
    sent_t sent[MOST_CALLS];
    size_t n_sent;
    job_fn *job;
    void *job_arg;
    uint64_t job_cookie;
    int64_t timer_ms[256];      /* when each is due; 0: not set */
    proxy_call_t *answered;
} world_t;

/* --- the world -------------------------------------------------------------------------- */

static void s_keep_call(world_t *w, action_t *action)
{
    assert_true(w->n_sent < MOST_CALLS);
    sent_t *sent = &w->sent[w->n_sent++];
    view_t payload = action->call.payload;
    uint8_t *copy = ctx_new(&w->ctx, payload.len + 1);  /* 8-aligned */
    if (payload.len)
        memcpy(copy, payload.ptr, payload.len);
    *sent = (sent_t){ .cookie = action->cookie, .method = action->call.method,
                      .payload = view_of(copy, payload.len),
                      .timeout_ms = action->call.timeout_ms };
    snprintf(sent->endpoint, sizeof sent->endpoint, "%s", action->endpoint);
    if (action->moved) {
        buf_t bytes = { .ptr = (uint8_t *)(uintptr_t)payload.ptr };
        buf_fini(&bytes);
    }
}

static void s_read(world_t *w)
{
    for (size_t i = 0; i < w->act.list.len; i++) {
        action_t *action = vec_at(&w->act.list, i);
        if (action->kind == ACT_META && action->op == META_WATCH)
            map_put_str(w->watches, action->key, (void *)(uintptr_t)action->cookie);
        if (action->kind == ACT_CALL)
            s_keep_call(w, action);
        if (action->kind == ACT_TIMER)
            w->timer_ms[action->timer] = w->now_ms + action->after_ms;
        if (action->kind == ACT_JOB) {
            w->job = action->fn;
            w->job_arg = action->item;
            w->job_cookie = action->cookie;
        }
        if (action->kind == ACT_ITEM)
            w->answered = action->item;
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

/* The watch of a prefix shows these keys, and no others. */
static void s_show(world_t *w, const char *prefix, const char *const *keys,
                   const void *const *messages, size_t n)
{
    meta_change_t changes[8] = { { .kind = META_WATCH_RESET } };
    w->rev++;
    for (size_t i = 0; i < n; i++)
        changes[i + 1] = (meta_change_t){
            .kind = META_WATCH_PUT, .item = { .key = keys[i], .mod_rev = w->rev,
                                              .value = pb_pack(&w->ctx, messages[i]) } };
    changes[n + 1] = (meta_change_t){ .kind = META_WATCH_SYNCED, .item = { .mod_rev = w->rev } };
    event_t ev = { .kind = EV_WATCH,
                   .cookie = (uint64_t)(uintptr_t)map_get_str(w->watches, prefix) };
    ev.watch.changes = changes;
    ev.watch.n = n + 2;
    s_step(w, ev);
}

#define SHOW(w, prefix, n, keys, ...) \
    s_show(w, prefix, (const char *const[]){ keys, NULL }, \
           (const void *const[]){ __VA_ARGS__, NULL }, n)

static Elanus__NodeInfo *s_info(world_t *w, const char *role, uint64_t id)
{
    Elanus__NodeInfo *info = ctx_new(&w->ctx, sizeof *info);
    elanus__node_info__init(info);
    info->id = id;
    info->role = (char *)role;
    info->incarnation = 100 + id;
    info->address = ctx_printf(&w->ctx, "inproc://%s-%d", role, (int)id);
    return info;
}

static void s_show_leader(world_t *w)
{
    Elanus__Leader leader = ELANUS__LEADER__INIT;
    leader.info = s_info(w, "coord", LEADER);
    SHOW(w, "leader/", 1, "leader/coord", &leader);
}

static void s_show_nodes(world_t *w)
{
    s_show(w, "session/", (const char *const[]){ "session/datanode-2", "session/datanode-3" },
           (const void *const[]){ s_info(w, "datanode", DATA_NODE),
                                  s_info(w, "datanode", OTHER_NODE) }, 2);
}

static Elanus__Owner *s_owner(world_t *w, const char *pchannel, uint64_t node, uint64_t epoch)
{
    Elanus__Owner *owner = ctx_new(&w->ctx, sizeof *owner);
    elanus__owner__init(owner);
    owner->pchannel = (char *)pchannel;
    owner->node = node;
    owner->incarnation = 100 + node;
    owner->epoch = epoch;
    owner->state = ELANUS__OWNER_STATE__OWNER_ACTIVE;
    return owner;
}

static void s_show_owners(world_t *w, uint64_t first, uint64_t second, uint64_t epoch)
{
    s_show(w, "owner/", (const char *const[]){ "owner/dml_0", "owner/dml_1" },
           (const void *const[]){ s_owner(w, "dml_0", first, epoch),
                                  s_owner(w, "dml_1", second, epoch) }, 2);
}

static Elanus__Pair *s_pair(const char *key, const char *value)
{
    Elanus__Pair *pair = ctx_new(&fd_ctx, sizeof *pair);
    elanus__pair__init(pair);
    pair->key = (char *)key;
    pair->value = (char *)value;
    return pair;
}

static Elanus__Field *s_field(int64_t id, const char *name, type_t type)
{
    Elanus__Field *field = ctx_new(&fd_ctx, sizeof *field);
    elanus__field__init(field);
    field->id = id;
    field->name = (char *)name;
    field->type = type;
    field->primary_key = id == FIELD_FIRST;
    if (type == TYPE_FLOAT_VECTOR) {
        field->type_params = ctx_new(&fd_ctx, sizeof(void *));
        field->type_params[field->n_type_params++] = s_pair("dim", "2");
    }
    return field;
}

typedef struct { bool auto_id, keyed; size_t shards; } kind_t;

/* coll/9 "kites": id, group, vec; partitions _default (or two by key) and, without a key, p. */
static void s_show_collection(world_t *w, kind_t kind)
{
    static char *const s_vchannels[] = { (char *)"dml_0_9v0", (char *)"dml_1_9v1" };
    Elanus__Collection *coll = ctx_new(&w->ctx, sizeof *coll);
    elanus__collection__init(coll);
    coll->id = 9;
    coll->db_id = 1;
    coll->name = (char *)"kites";
    coll->update_ts = 77;
    coll->fields = ctx_new(&w->ctx, 3 * sizeof(void *));
    coll->fields[coll->n_fields++] = s_field(FIELD_FIRST, "id", TYPE_INT64);
    coll->fields[coll->n_fields++] = s_field(FIELD_FIRST + 1, "group", TYPE_INT64);
    coll->fields[coll->n_fields++] = s_field(FIELD_FIRST + 2, "vec", TYPE_FLOAT_VECTOR);
    coll->fields[0]->auto_id = kind.auto_id;
    coll->fields[1]->partition_key = kind.keyed;
    coll->vchannels = (char **)s_vchannels;
    coll->n_vchannels = kind.shards;
    coll->partitions = ctx_new(&w->ctx, 2 * sizeof(void *));
    for (size_t i = 0; i < 2; i++) {
        Elanus__Partition *partition = ctx_new(&w->ctx, sizeof *partition);
        elanus__partition__init(partition);
        partition->id = 50 + i;
        partition->name = kind.keyed ? ctx_printf(&w->ctx, "_default_%zu", i)
                        : i == 0 ? (char *)"_default" : (char *)"p";
        coll->partitions[coll->n_partitions++] = partition;
    }
    SHOW(w, "coll/", 1, "coll/9", coll);
}

static void s_show_catalog(world_t *w, kind_t kind)
{
    Elanus__Database db = ELANUS__DATABASE__INIT;
    db.id = 1;
    db.name = (char *)"default";
    SHOW(w, "db/", 1, "db/1", &db);
    s_show_collection(w, kind);
    s_show(w, "alias/", NULL, NULL, 0);
    s_show(w, "load/", NULL, NULL, 0);
    s_show(w, "index/", NULL, NULL, 0);
}

static world_t *s_world(kind_t kind)
{
    world_t *w = mem_new(sizeof *w);
    ctx_init(&fd_ctx);
    ctx_init(&w->ctx);
    ctx_init(&w->request);
    actions_init(&w->act);
    rng_seed(&w->act.rng, 1);
    w->watches = map_new();
    w->now_ms = 1000;
    w->self = (node_self_t){ .role = "proxy", .cluster = "c", .address = "inproc://proxy", .id = 9,
                             .incarnation = 99, .lease_ttl_ms = 9000, .ops_address = "",
                             .host = "", .version = "t", .standalone = true };
    w->node = proxy_role.make(&w->self, NULL);
    event_t start = { .kind = EV_START };
    s_step(w, start);
    s_show_catalog(w, kind);
    return w;
}

static void s_forget(world_t *w)
{
    if (w->answered) {
        json_decref(w->answered->json);
        buf_fini(&w->answered->body);
        mem_free(w->answered);
        w->answered = NULL;
    }
    ctx_fini(&w->request);
    ctx_init(&w->request);
    w->n_sent = 0;
}

static void s_end(world_t *w)
{
    s_forget(w);
    proxy_role.end(w->node);
    actions_fini(&w->act);
    map_destroy(&w->watches);
    ctx_fini(&w->request);
    ctx_fini(&w->ctx);
    ctx_fini(&fd_ctx);
    mem_free(w);
}

static void s_send(world_t *w, const char *rpc, const void *request)
{
    proxy_call_t *call = mem_new(sizeof *call);
    char path[128];
    snprintf(path, sizeof path, "/milvus.proto.milvus.MilvusService/%s", rpc);
    call->method = methods_find(view_str(path));
    call->ctx = &w->request;
    call->message = pb_pack(&w->ctx, request);
    event_t ev = { .kind = EV_ITEM };
    ev.item = call;
    s_step(w, ev);
}

static void s_reply(world_t *w, const sent_t *sent, err_t err, const char *text,
                    const void *message)
{
    event_t ev = { .kind = EV_REPLY, .cookie = sent->cookie, .err = err, .text = text };
    ev.payload = message ? pb_pack(&w->ctx, message) : view_of("", 0);
    s_step(w, ev);
}

static void s_written(world_t *w, const sent_t *sent, uint64_t ts)
{
    Elanus__Written written = ELANUS__WRITTEN__INIT;
    written.ts = ts;
    s_reply(w, sent, OK, "", &written);
}

/* Time goes on, to the next timer at most. */
static void s_wait(world_t *w, int64_t ms)
{
    int64_t until = w->now_ms + ms;
    while (w->now_ms < until) {
        uint32_t next = 0;
        for (uint32_t t = 1; t < ARRAY_LEN(w->timer_ms); t++)
            if (w->timer_ms[t] && (!next || w->timer_ms[t] < w->timer_ms[next]))
                next = t;
        if (!next || w->timer_ms[next] > until) {
            w->now_ms = until;
            return;
        }
        w->now_ms = w->timer_ms[next] > w->now_ms ? w->timer_ms[next] : w->now_ms;
        w->timer_ms[next] = 0;
        event_t due = { .kind = EV_TIMER };
        due.timer = next;
        s_step(w, due);
    }
}

static Milvus__MutationResult *s_result(world_t *w)
{
    assert_non_null(w->answered);
    assert_int_equal(w->answered->grpc_status, 0);
    Milvus__MutationResult *result = NULL;
    assert_int_equal(PB_UNPACK(&w->ctx, milvus__mutation_result, buf_view(&w->answered->body),
                               &result), OK);
    return result;
}

static void s_is_refused(world_t *w, int code, const char *text)
{
    Milvus__MutationResult *result = s_result(w);
    assert_string_equal(result->status->reason, text);
    assert_int_equal(result->status->code, code);
    assert_int_not_equal(result->status->error_code, 0);
    s_forget(w);
}

/* --- requests --------------------------------------------------------------------------- */

/* Rows with keys from, from + 1, …; without keys when from < 0. */
static Milvus__InsertRequest *s_insert(int64_t from, uint32_t n)
{
    Milvus__InsertRequest *r = ctx_new(&fd_ctx, sizeof *r);
    milvus__insert_request__init(r);
    int64_t *keys = ctx_new(&fd_ctx, n * sizeof *keys);
    float *cells = ctx_new(&fd_ctx, 2 * n * sizeof *cells);
    for (uint32_t i = 0; i < n; i++)
        keys[i] = from + i;
    r->collection_name = "kites";
    r->num_rows = n;
    r->fields_data = ctx_new(&fd_ctx, 3 * sizeof(void *));
    r->fields_data[r->n_fields_data++] = fd_longs("group", keys, n);
    r->fields_data[r->n_fields_data++] = fd_float_vectors("vec", 2, cells, 2 * n);
    if (from >= 0)
        r->fields_data[r->n_fields_data++] = fd_longs("id", keys, n);
    return r;
}

static Milvus__UpsertRequest *s_upsert(int64_t from, uint32_t n)
{
    Milvus__InsertRequest *same = s_insert(from, n);
    Milvus__UpsertRequest *r = ctx_new(&fd_ctx, sizeof *r);
    milvus__upsert_request__init(r);
    r->collection_name = same->collection_name;
    r->num_rows = n;
    r->fields_data = same->fields_data;
    r->n_fields_data = same->n_fields_data;
    return r;
}

static Milvus__DeleteRequest *s_delete(const char *expr)
{
    Milvus__DeleteRequest *r = ctx_new(&fd_ctx, sizeof *r);
    milvus__delete_request__init(r);
    r->collection_name = "kites";
    r->expr = expr;
    return r;
}

/* The object a call carries; its entries one after the other. */
typedef struct object { wal_reader_t reader; wal_entry_t entry; } object_t;

static void s_read_object(world_t *w, const sent_t *sent, object_t *into)
{
    assert_int_equal(sent->method, ELANUS__METHOD__METHOD_WRITE);
    assert_int_equal(wal_reader_open(&w->ctx, &into->reader, sent->payload), OK);
}

static bool s_next(world_t *w, object_t *object)
{
    bool more = false;
    assert_int_equal(wal_reader_next(&w->ctx, &object->reader, &object->entry, &more), OK);
    return more;
}

/* --- writing ---------------------------------------------------------------------------- */

static void rows_go_to_the_owner_and_back_comes_what_was_written(void **state)
{
    (void)state;
    world_t *w = s_world((kind_t){ .shards = 1 });
    s_show_nodes(w);
    s_show_owners(w, DATA_NODE, DATA_NODE, 5);
    s_send(w, "Insert", s_insert(40, 3));
    assert_int_equal(w->n_sent, 1);
    assert_string_equal(w->sent[0].endpoint, "inproc://datanode-2");
    object_t object;
    s_read_object(w, &w->sent[0], &object);
    assert_int_equal(object.reader.head.link.at.epoch, 5);
    assert_true(s_next(w, &object));
    assert_int_equal(object.entry.kind, WAL_INSERT);
    assert_int_equal(object.entry.collection, 9);
    assert_int_equal(object.entry.partition, 50);
    assert_int_equal(object.entry.n_fields, 3);
    assert_false(s_next(w, &object));
    assert_null(w->answered);
    s_written(w, &w->sent[0], 1234);
    Milvus__MutationResult *result = s_result(w);
    assert_int_equal(result->status->code, 0);
    assert_int_equal(result->insert_cnt, 3);
    assert_int_equal(result->timestamp, 1234);
    assert_int_equal(result->n_succ_index, 3);
    assert_int_equal(result->succ_index[2], 2);
    assert_int_equal(result->ids->int_id->n_data, 3);
    assert_int_equal(result->ids->int_id->data[2], 42);
    s_end(w);
}

static void an_upsert_counts_all_three_ways(void **state)
{
    (void)state;
    world_t *w = s_world((kind_t){ .shards = 1 });
    s_show_nodes(w);
    s_show_owners(w, DATA_NODE, DATA_NODE, 5);
    s_send(w, "Upsert", s_upsert(40, 2));
    object_t object;
    s_read_object(w, &w->sent[0], &object);
    assert_true(s_next(w, &object));
    assert_int_equal(object.entry.kind, WAL_DELETE);
    assert_int_equal(object.entry.partition, 50);       /* only where it is put, as in Milvus */
    assert_true(s_next(w, &object));
    assert_int_equal(object.entry.kind, WAL_INSERT);
    s_written(w, &w->sent[0], 1);
    Milvus__MutationResult *result = s_result(w);
    assert_int_equal(result->upsert_cnt, 2);
    assert_int_equal(result->insert_cnt, 2);
    assert_int_equal(result->delete_cnt, 2);
    s_end(w);
}

static void a_partition_key_upserts_everywhere(void **state)
{
    (void)state;
    world_t *w = s_world((kind_t){ .shards = 1, .keyed = true });
    s_show_nodes(w);
    s_show_owners(w, DATA_NODE, DATA_NODE, 5);
    s_send(w, "Upsert", s_upsert(0, 64));
    object_t object;
    bool seen[2] = { false, false };
    s_read_object(w, &w->sent[0], &object);
    assert_true(s_next(w, &object));
    assert_int_equal(object.entry.partition, -1);
    while (s_next(w, &object))
        seen[object.entry.partition - 50] = true;
    assert_true(seen[0] && seen[1]);
    s_forget(w);
    Milvus__InsertRequest *named = s_insert(1, 1);
    named->partition_name = "_default_0";
    s_send(w, "Insert", named);
    s_is_refused(w, 65535, "not support manually specifying the partition names if partition key "
                 "mode is used");
    s_end(w);
}

static void the_answer_waits_for_all_channels_and_has_the_latest_time(void **state)
{
    (void)state;
    world_t *w = s_world((kind_t){ .shards = 2 });
    s_show_nodes(w);
    s_show_owners(w, DATA_NODE, OTHER_NODE, 5);
    s_send(w, "Insert", s_insert(0, 20));
    assert_int_equal(w->n_sent, 2);
    assert_string_equal(w->sent[0].endpoint, "inproc://datanode-2");
    assert_string_equal(w->sent[1].endpoint, "inproc://datanode-3");
    s_written(w, &w->sent[1], 900);
    assert_null(w->answered);
    s_written(w, &w->sent[0], 800);
    assert_int_equal(s_result(w)->timestamp, 900);
    s_end(w);
}

/* --- owners come, go and refuse --------------------------------------------------------- */

static void rows_wait_for_an_owner(void **state)
{
    (void)state;
    world_t *w = s_world((kind_t){ .shards = 1 });
    s_show_nodes(w);
    s_send(w, "Insert", s_insert(0, 1));
    s_wait(w, 500);
    assert_int_equal(w->n_sent, 0);
    s_show_owners(w, OTHER_NODE, OTHER_NODE, 6);
    assert_int_equal(w->n_sent, 1);
    assert_string_equal(w->sent[0].endpoint, "inproc://datanode-3");
    s_written(w, &w->sent[0], 1);
    assert_int_equal(s_result(w)->status->code, 0);
    s_end(w);
}

static void without_an_owner_the_call_ends_in_time(void **state)
{
    (void)state;
    world_t *w = s_world((kind_t){ .shards = 1 });
    s_send(w, "Insert", s_insert(0, 1));
    s_wait(w, 9000);
    assert_null(w->answered);
    s_wait(w, 1500);
    s_is_refused(w, 503, "channel not available[channel=dml_0_9v0]");
    w->request.deadline_ms = w->now_ms + 300;   /* the client's own deadline is sooner */
    s_send(w, "Insert", s_insert(0, 1));
    s_wait(w, 400);
    s_is_refused(w, 503, "channel not available[channel=dml_0_9v0]");
    s_end(w);
}

/* After any loss the same request goes to whoever owns the channel then. */
static void a_lost_request_is_repeated_with_its_number(void **state)
{
    (void)state;
    static const err_t s_losses[] = { ERR_NETWORK, ERR_TIMEOUT, ERR_OUTCOME_UNKNOWN, ERR_MOVED,
                                      ERR_QUEUE_FULL, ERR_FENCED, ERR_SERVICE_NOT_READY };
    world_t *w = s_world((kind_t){ .shards = 1 });
    s_show_nodes(w);
    s_show_owners(w, DATA_NODE, DATA_NODE, 5);
    s_send(w, "Insert", s_insert(0, 1));
    object_t first, again;
    s_read_object(w, &w->sent[0], &first);
    assert_true(s_next(w, &first));
    for (size_t i = 0; i < ARRAY_LEN(s_losses); i++) {
        sent_t last = w->sent[w->n_sent - 1];
        s_reply(w, &last, s_losses[i], "lost", NULL);
        assert_null(w->answered);
        w->n_sent = 0;
        s_show_owners(w, i % 2 ? DATA_NODE : OTHER_NODE, DATA_NODE, 6 + i);
        s_wait(w, 200);
        assert_int_equal(w->n_sent, 1);
        assert_string_equal(w->sent[0].endpoint,
                            i % 2 ? "inproc://datanode-2" : "inproc://datanode-3");
        s_read_object(w, &w->sent[0], &again);
        assert_true(s_next(w, &again));
        assert_int_equal(again.reader.head.link.at.epoch, 6 + i);
        assert_memory_equal(again.entry.request, first.entry.request, 16);
    }
    s_written(w, &w->sent[0], 7);
    assert_int_equal(s_result(w)->timestamp, 7);
    s_end(w);
}

static void a_final_refusal_is_the_answer(void **state)
{
    (void)state;
    world_t *w = s_world((kind_t){ .shards = 2 });
    s_show_nodes(w);
    s_show_owners(w, DATA_NODE, OTHER_NODE, 5);
    s_send(w, "Insert", s_insert(0, 20));
    s_reply(w, &w->sent[0], ERR_QUOTA_EXCEEDED, "quota exceeded[reason=memory]", NULL);
    assert_null(w->answered);                   /* the other may be writing still */
    s_written(w, &w->sent[1], 900);
    s_is_refused(w, 9, "quota exceeded[reason=memory]");
    s_end(w);
}

static void a_request_that_is_lost_for_good_says_why(void **state)
{
    (void)state;
    world_t *w = s_world((kind_t){ .shards = 1 });
    s_show_nodes(w);
    s_show_owners(w, DATA_NODE, DATA_NODE, 5);
    w->request.deadline_ms = w->now_ms + 1000;
    s_send(w, "Insert", s_insert(0, 1));
    assert_int_equal(w->sent[0].timeout_ms, 1000);
    s_reply(w, &w->sent[0], ERR_OUTCOME_UNKNOWN, "the peer left", NULL);
    s_show_owners(w, OTHER_NODE + 1, DATA_NODE, 6);     /* nobody */
    s_wait(w, 1200);
    s_is_refused(w, 2, "the peer left");
    s_end(w);
}

/* --- automatic keys --------------------------------------------------------------------- */

static void s_give_ids(world_t *w, const sent_t *sent, uint64_t first)
{
    assert_int_equal(sent->method, ELANUS__METHOD__METHOD_ALLOC_IDS);
    assert_string_equal(sent->endpoint, "inproc://coord-1");
    Elanus__AllocIds *ask = NULL;
    assert_int_equal(PB_UNPACK(&w->ctx, elanus__alloc_ids, sent->payload, &ask), OK);
    Elanus__IdRange range = ELANUS__ID_RANGE__INIT;
    range.first = first;
    range.n = ask->n;
    s_reply(w, sent, OK, "", &range);
}

static void automatic_keys_come_from_a_reserve(void **state)
{
    (void)state;
    world_t *w = s_world((kind_t){ .shards = 1, .auto_id = true });
    s_show_nodes(w);
    s_show_owners(w, DATA_NODE, DATA_NODE, 5);
    s_send(w, "Insert", s_insert(-1, 3));
    s_wait(w, 300);
    assert_int_equal(w->n_sent, 0);             /* nobody leads */
    s_show_leader(w);
    s_wait(w, 200);
    assert_int_equal(w->n_sent, 1);
    s_reply(w, &w->sent[0], ERR_SERVICE_NOT_READY, "a standby", NULL);
    s_wait(w, 200);
    assert_int_equal(w->n_sent, 2);
    s_give_ids(w, &w->sent[1], 1000);
    assert_int_equal(w->n_sent, 4);             /* the write, and a question for the reserve */
    const sent_t *write = &w->sent[w->sent[2].method == ELANUS__METHOD__METHOD_WRITE ? 2 : 3];
    const sent_t *more = &w->sent[write == &w->sent[2] ? 3 : 2];
    s_give_ids(w, more, 500000);
    s_written(w, write, 1);
    Milvus__MutationResult *result = s_result(w);
    assert_int_equal(result->ids->int_id->data[0], 1000);
    assert_int_equal(result->ids->int_id->data[2], 1002);
    s_forget(w);
    s_send(w, "Insert", s_insert(-1, 2));
    assert_int_equal(w->n_sent, 1);             /* no question: the write at once */
    s_written(w, &w->sent[0], 2);
    assert_int_equal(s_result(w)->ids->int_id->data[0], 1003);
    s_end(w);
}

static void without_a_coordinator_there_are_no_keys(void **state)
{
    (void)state;
    world_t *w = s_world((kind_t){ .shards = 1, .auto_id = true });
    s_send(w, "Insert", s_insert(-1, 3));
    s_wait(w, 10500);
    s_is_refused(w, 2, "service unavailable: internal: the coordinator gave no ids in time");
    s_end(w);
}

/* --- work elsewhere --------------------------------------------------------------------- */

static void large_requests_are_worked_on_by_a_job(void **state)
{
    (void)state;
    world_t *w = s_world((kind_t){ .shards = 2 });
    s_show_nodes(w);
    s_show_owners(w, DATA_NODE, OTHER_NODE, 5);
    s_send(w, "Insert", s_insert(0, 8000));
    assert_int_equal(w->n_sent, 0);
    assert_non_null(w->job);
    ctx_t ctx;
    ctx_init(&ctx);
    err_t err = w->job(&ctx, w->job_arg);
    event_t ev = { .kind = EV_JOB, .cookie = w->job_cookie, .err = err, .text = ctx.text };
    ev.item = w->job_arg;
    s_step(w, ev);
    ctx_fini(&ctx);
    assert_int_equal(w->n_sent, 2);
    s_written(w, &w->sent[0], 1);
    s_written(w, &w->sent[1], 1);
    assert_int_equal(s_result(w)->insert_cnt, 8000);
    s_end(w);
}

/* --- deletes ---------------------------------------------------------------------------- */

static void keys_of_an_expression_are_deleted(void **state)
{
    (void)state;
    world_t *w = s_world((kind_t){ .shards = 1 });
    s_show_nodes(w);
    s_show_owners(w, DATA_NODE, DATA_NODE, 5);
    s_send(w, "Delete", s_delete("id in [3, 1, 2]"));
    object_t object;
    s_read_object(w, &w->sent[0], &object);
    assert_true(s_next(w, &object));
    assert_int_equal(object.entry.kind, WAL_DELETE);
    assert_int_equal(object.entry.partition, -1);
    assert_int_equal(object.entry.deletes->n, 3);
    assert_false(s_next(w, &object));
    s_written(w, &w->sent[0], 55);
    Milvus__MutationResult *result = s_result(w);
    assert_int_equal(result->delete_cnt, 3);
    assert_int_equal(result->timestamp, 55);
    assert_null(result->ids);                   /* clients would return them in place of the count */
    s_forget(w);

    Milvus__DeleteRequest *named = s_delete("id == 7");
    named->partition_name = "p";
    s_send(w, "Delete", named);
    s_read_object(w, &w->sent[0], &object);
    assert_true(s_next(w, &object));
    assert_int_equal(object.entry.partition, 51);
    s_written(w, &w->sent[0], 56);
    s_forget(w);

    s_send(w, "Delete", s_delete("id in []"));  /* nothing to do, and nobody is asked */
    assert_int_equal(w->n_sent, 0);
    assert_int_equal(s_result(w)->delete_cnt, 0);
    s_end(w);
}

static void expressions_that_delete_nothing_or_all_are_refused(void **state)
{
    (void)state;
    world_t *w = s_world((kind_t){ .shards = 1 });
    s_send(w, "Delete", s_delete(""));
    s_is_refused(w, 1100, "invalid expression: invalid parameter[expected=valid expr]"
                 "[actual=empty expr]");
    s_send(w, "Delete", s_delete("1 == 1"));
    s_is_refused(w, 1100, "delete plan can't be empty or always true : 1 == 1: invalid parameter");
    s_send(w, "Delete", s_delete("nope == 1"));
    s_is_refused(w, 1100, "failed to create delete plan: cannot parse expression: nope == 1, "
                 "error: field nope not exist: invalid parameter");
    Milvus__DeleteRequest *named = s_delete("id == 7");
    named->partition_name = "nope";
    s_send(w, "Delete", named);
    s_is_refused(w, 200, "partition not found[partition=nope]");
    s_end(w);
}

/* --- refusals --------------------------------------------------------------------------- */

static void what_does_not_fit_the_collection_is_refused(void **state)
{
    (void)state;
    world_t *w = s_world((kind_t){ .shards = 1 });
    s_show_nodes(w);
    s_show_owners(w, DATA_NODE, DATA_NODE, 5);
    Milvus__InsertRequest *r = s_insert(0, 1);
    r->collection_name = "crows";
    s_send(w, "Insert", r);
    s_is_refused(w, 100, "collection not found[database=default][collection=crows]");
    r = s_insert(0, 1);
    r->partition_name = "nope";
    s_send(w, "Insert", r);
    s_is_refused(w, 200, "partition not found[partition=nope]");
    r = s_insert(0, 1);
    r->num_rows = 2;
    s_send(w, "Insert", r);
    s_is_refused(w, 1100, "the num_rows (1) of field (id) is not equal to passed num_rows (2): "
                 "invalid parameter[expected=2][actual=1]");
    r = s_insert(0, 1);
    r->schema_timestamp = 76;
    s_send(w, "Insert", r);
    Milvus__MutationResult *result = s_result(w);
    assert_int_equal(result->status->error_code, 62);   /* clients describe again, and resend */
    s_is_refused(w, 109, "collection schema mismatch[collection=kites]");
    r = s_insert(0, 1);
    r->schema_timestamp = 77;
    s_send(w, "Insert", r);
    assert_int_equal(w->n_sent, 1);
    s_written(w, &w->sent[0], 1);
    assert_int_equal(s_result(w)->status->code, 0);
    s_forget(w);
    Milvus__UpsertRequest *partial = s_upsert(0, 1);
    partial->partial_update = true;
    s_send(w, "Upsert", partial);
    s_is_refused(w, 3000, "partial updates are not supported by this server, send whole rows: "
                 "unsupported operation");
    s_end(w);
}

/* --- memory ----------------------------------------------------------------------------- */

/* Whatever is refused memory, the client is told, and the node goes on. */
static void every_fault_is_told(void **state)
{
    (void)state;
    world_t *w = s_world((kind_t){ .shards = 2 });
    s_show_nodes(w);
    s_show_owners(w, DATA_NODE, OTHER_NODE, 5);
    const Milvus__UpsertRequest *request = s_upsert(0, 20);
    for (int nth = 0; ; nth++) {
        fault_arm(nth);
        s_send(w, "Upsert", request);
        for (size_t i = 0; i < w->n_sent && !w->answered; i++)
            s_written(w, &w->sent[i], 9);
        bool fired = fault_disarm();
        assert_non_null(w->answered);
        bool unread = w->answered->grpc_status == PROXY_GRPC_EXHAUSTED;
        int code = unread ? 3 : s_result(w)->status->code;
        assert_int_equal(code, fired ? 3 : 0);
        s_forget(w);
        if (!fired) {
            assert_true(nth > 10);
            break;
        }
    }
    s_end(w);
}

#define T(f) cmocka_unit_test(f)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(rows_go_to_the_owner_and_back_comes_what_was_written),
        T(an_upsert_counts_all_three_ways), T(a_partition_key_upserts_everywhere),
        T(the_answer_waits_for_all_channels_and_has_the_latest_time), T(rows_wait_for_an_owner),
        T(without_an_owner_the_call_ends_in_time), T(a_lost_request_is_repeated_with_its_number),
        T(a_final_refusal_is_the_answer), T(a_request_that_is_lost_for_good_says_why),
        T(automatic_keys_come_from_a_reserve), T(without_a_coordinator_there_are_no_keys),
        T(large_requests_are_worked_on_by_a_job), T(keys_of_an_expression_are_deleted),
        T(expressions_that_delete_nothing_or_all_are_refused),
        T(what_does_not_fit_the_collection_is_refused), T(every_fault_is_told),
    };
    return cmocka_run_group_tests_name("proxy_write", tests, NULL, NULL);
}
