/* proxy_world - see proxy_world.h */
#include "tests/support/proxy_world.h"

#include <stdio.h>

#include "core/schema/schema.h"
#include "tests/support/field_data.h"

/* --- the world -------------------------------------------------------------------------- */

static void s_keep_call(pw_world_t *w, action_t *action)
{
    assert_true(w->n_sent < PW_CALLS);
    pw_sent_t *sent = &w->sent[w->n_sent++];
    view_t payload = action->call.payload;
    uint8_t *copy = ctx_new(&w->ctx, payload.len + 1);  /* 8-aligned */
    if (payload.len)
        memcpy(copy, payload.ptr, payload.len);
    *sent = (pw_sent_t){ .cookie = action->cookie, .method = action->call.method,
                      .payload = view_of(copy, payload.len),
                      .timeout_ms = action->call.timeout_ms };
    snprintf(sent->endpoint, sizeof sent->endpoint, "%s", action->endpoint);
    if (action->moved) {
        buf_t bytes = { .ptr = (uint8_t *)(uintptr_t)payload.ptr };
        buf_fini(&bytes);
    }
}

static void s_read(pw_world_t *w)
{
    for (size_t i = 0; i < w->act.list.len; i++) {
        action_t *action = vec_at(&w->act.list, i);
        if (action->kind == ACT_META && action->op == META_WATCH)
            map_put_str(w->watches, action->key, (void *)(uintptr_t)action->cookie);
        if (action->kind == ACT_META && action->op == META_LIST) {
            snprintf(w->listed, sizeof w->listed, "%s", action->key);
            w->list_cookie = action->cookie;
        }
        if (action->kind == ACT_CALL)
            s_keep_call(w, action);
        if (action->kind == ACT_CANCEL) {
            assert_true(w->n_cancelled < PW_CALLS);
            w->cancelled[w->n_cancelled++] = action->cookie;
        }
        if (action->kind == ACT_HANG_UP)
            snprintf(w->hung_up, sizeof w->hung_up, "%s", action->endpoint);
        if (action->kind == ACT_TIMER)
            w->timer_ms[action->timer] = w->now_ms + action->after_ms;
        if (action->kind == ACT_JOB) {
            w->job = action->fn;
            w->job_arg = action->item;
            w->job_cookie = action->cookie;
        }
        if (action->kind == ACT_ITEM) {
            w->answered = action->item;
            w->open = w->open == action->item ? NULL : w->open;
        }
    }
    actions_reset(&w->act);
}

static void s_step(pw_world_t *w, event_t ev)
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

void pw_show(pw_world_t *w, const char *prefix, const char *const *keys,
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
    pw_show(w, prefix, (const char *const[]){ keys, NULL }, \
            (const void *const[]){ __VA_ARGS__, NULL }, n)

 Elanus__NodeInfo *pw_info(pw_world_t *w, const char *role, uint64_t id)
 {
     Elanus__NodeInfo *info = ctx_new(&w->ctx, sizeof *info);
    elanus__node_info__init(info);
    info->id = id;
    info->role = (char *)role;
    info->incarnation = 100 + id;
    info->address = ctx_printf(&w->ctx, "inproc://%s-%d", role, (int)id);
    return info;
}

void pw_show_leader(pw_world_t *w)
{
    Elanus__Leader leader = ELANUS__LEADER__INIT;
    leader.info = pw_info(w, "coord", PW_LEADER);
    SHOW(w, "leader/", 1, "leader/coord", &leader);
}

void pw_show_nodes(pw_world_t *w)
{
    pw_show(w, "session/", (const char *const[]){ "session/datanode-2", "session/datanode-3" },
            (const void *const[]){ pw_info(w, "datanode", PW_DATA_NODE),
                                   pw_info(w, "datanode", PW_OTHER_NODE) }, 2);
}

static Elanus__Owner *s_owner(pw_world_t *w, const char *pchannel, uint64_t node, uint64_t epoch)
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

void pw_show_owners(pw_world_t *w, uint64_t first, uint64_t second, uint64_t epoch)
{
    pw_show(w, "owner/", (const char *const[]){ "owner/dml_0", "owner/dml_1" },
            (const void *const[]){ s_owner(w, "dml_0", first, epoch),
                                   s_owner(w, "dml_1", second, epoch) }, 2);
}

void pw_show_load(pw_world_t *w, const uint64_t *partitions, size_t n)
{
    Elanus__Load load = ELANUS__LOAD__INIT;
    load.collection_id = 9;
    load.whole = n == 0;
    load.partitions = (uint64_t *)(uintptr_t)partitions;
    load.n_partitions = n;
    SHOW(w, "load/", 1, "load/9", &load);
}

void pw_show_query_nodes(pw_world_t *w)
{
    pw_show(w, "session/", (const char *const[]){ "session/querynode-4", "session/querynode-5",
                                                  "session/querynode-6" },
            (const void *const[]){ pw_info(w, "querynode", PW_QUERY_NODE),
                                   pw_info(w, "querynode", PW_OTHER_QUERY_NODE),
                                   pw_info(w, "querynode", PW_THIRD_QUERY_NODE) }, 3);
}

void pw_show_replica(pw_world_t *w, uint64_t first, uint64_t second)
{
    Elanus__Shard one = ELANUS__SHARD__INIT, two = ELANUS__SHARD__INIT;
    Elanus__Shard *shards[2];
    Elanus__Replica replica = ELANUS__REPLICA__INIT;
    one.vchannel = (char *)"dml_0_9v0";
    one.leader = first;
    two.vchannel = (char *)"dml_1_9v1";
    two.leader = second;
    replica.id = 1;
    replica.collection = 9;
    replica.shards = shards;
    if (first)
        shards[replica.n_shards++] = &one;
    if (second)
        shards[replica.n_shards++] = &two;
    SHOW(w, "replica/", 1, "replica/9/1", &replica);
}

static Elanus__Replica *s_replica(pw_world_t *w, uint64_t id, uint64_t leader)
{
    static const char *const s_vchannels[] = { "dml_0_9v0", "dml_1_9v1" };
    Elanus__Replica *replica = ctx_new(&w->ctx, sizeof *replica);
    elanus__replica__init(replica);
    replica->id = id;
    replica->collection = 9;
    replica->shards = ctx_new(&w->ctx, ARRAY_LEN(s_vchannels) * sizeof(void *));
    for (size_t i = 0; i < ARRAY_LEN(s_vchannels); i++) {
        Elanus__Shard *shard = ctx_new(&w->ctx, sizeof *shard);
        elanus__shard__init(shard);
        shard->vchannel = (char *)s_vchannels[i];
        shard->leader = leader;
        replica->shards[replica->n_shards++] = shard;
    }
    return replica;
}

void pw_show_two_replicas(pw_world_t *w, uint64_t first, uint64_t second)
{
    pw_show(w, "replica/", (const char *const[]){ "replica/9/1", "replica/9/2" },
            (const void *const[]){ s_replica(w, 1, first), s_replica(w, 2, second) }, 2);
}

void pw_show_query_node_left(pw_world_t *w)
{
    SHOW(w, "session/", 1, "session/querynode-5", pw_info(w, "querynode", PW_OTHER_QUERY_NODE));
}

void pw_peer(pw_world_t *w, const char *endpoint, net_peer_state_t state)
{
    net_peer_t peer = { .incarnation = 1 };
    event_t ev = { .kind = EV_PEER };
    ev.peer.endpoint = endpoint;
    ev.peer.who = &peer;
    ev.peer.state = state;
    s_step(w, ev);
}

bool pw_is_cancelled(const pw_world_t *w, const pw_sent_t *sent)
{
    for (size_t i = 0; i < w->n_cancelled; i++)
        if (w->cancelled[i] == sent->cookie)
            return true;
    return false;
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


/* coll/9 "kites": id, group, vec; partitions _default (or two by key) and, without a key, p. */
static void s_show_collection(pw_world_t *w, pw_kind_t kind)
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

static void s_show_catalog(pw_world_t *w, pw_kind_t kind)
{
    Elanus__Database db = ELANUS__DATABASE__INIT;
    db.id = 1;
    db.name = (char *)"default";
    SHOW(w, "db/", 1, "db/1", &db);
    s_show_collection(w, kind);
    pw_show(w, "alias/", NULL, NULL, 0);
    pw_show(w, "load/", NULL, NULL, 0);
    pw_show(w, "index/", NULL, NULL, 0);
}

pw_world_t *pw_up(pw_kind_t kind)
{
    pw_world_t *w = mem_new(sizeof *w);
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

void pw_forget(pw_world_t *w)
{
    if (w->answered) {
        json_decref(w->answered->json);
        buf_fini(&w->answered->body);
        mem_free(w->answered);
        w->answered = NULL;
    }
    ctx_fini(&w->request);
    ctx_init(&w->request);
    w->n_sent = w->n_cancelled = 0;
}

void pw_down(pw_world_t *w)
{
    pw_forget(w);
    proxy_role.end(w->node);
    mem_free(w->open);
    actions_fini(&w->act);
    map_destroy(&w->watches);
    ctx_fini(&w->request);
    ctx_fini(&w->ctx);
    ctx_fini(&fd_ctx);
    mem_free(w);
}

void pw_send(pw_world_t *w, const char *rpc, const void *request)
{
    proxy_call_t *call = mem_new(sizeof *call);
    char path[128];
    snprintf(path, sizeof path, "/milvus.proto.milvus.MilvusService/%s", rpc);
    call->method = methods_find(view_str(path));
    call->ctx = &w->request;
    call->message = pb_pack(&w->ctx, request);
    event_t ev = { .kind = EV_ITEM };
    ev.item = w->open = call;
    s_step(w, ev);
}

void pw_page(pw_world_t *w, const char *name, const char *query)
{
    proxy_call_t *call = mem_new(sizeof *call);
    call->page = pages_find(name);
    assert_non_null(call->page);
    call->page_query = query;
    call->ctx = &w->request;
    event_t ev = { .kind = EV_ITEM };
    ev.item = w->open = call;
    s_step(w, ev);
}

void pw_list(pw_world_t *w, err_t err, const char *const *keys, const void *const *messages,
             size_t n)
{
    meta_item_t *items = ctx_new(&w->request, (n + 1) * sizeof *items);
    event_t ev = { .kind = EV_META, .cookie = w->list_cookie, .err = err,
                   .text = err == OK ? "" : err_text(err) };
    for (size_t i = 0; i < n; i++)
        items[i] = (meta_item_t){ .key = keys[i], .value = pb_pack(&w->request, messages[i]) };
    ev.meta.items = (meta_items_t){ .at = items, .n = n };
    w->list_cookie = 0;
    w->listed[0] = '\0';
    s_step(w, ev);
}

void pw_stop(pw_world_t *w)
{
    event_t ev = { .kind = EV_STOP };
    s_step(w, ev);
}

void pw_reply(pw_world_t *w, const pw_sent_t *sent, err_t err, const char *text,
              const void *message)
{
    event_t ev = { .kind = EV_REPLY, .cookie = sent->cookie, .err = err, .text = text };
    ev.payload = message ? pb_pack(&w->ctx, message) : view_of("", 0);
    s_step(w, ev);
}

void pw_written(pw_world_t *w, const pw_sent_t *sent, uint64_t ts)
{
    Elanus__Written written = ELANUS__WRITTEN__INIT;
    written.ts = ts;
    pw_reply(w, sent, OK, "", &written);
}

/* Run the job that was asked for last. */
void pw_run_job(pw_world_t *w)
{
    assert_non_null(w->job);
    ctx_t ctx;
    ctx_init(&ctx);
    err_t err = w->job(&ctx, w->job_arg);
    event_t ev = { .kind = EV_JOB, .cookie = w->job_cookie, .err = err, .text = ctx.text };
    ev.item = w->job_arg;
    w->job = NULL;
    s_step(w, ev);
    ctx_fini(&ctx);
}

/* Time goes on, to the next timer at most. */
void pw_wait(pw_world_t *w, int64_t ms)
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

void *pw_answer(pw_world_t *w, const ProtobufCMessageDescriptor *type)
{
    assert_non_null(w->answered);
    assert_int_equal(w->answered->grpc_status, 0);
    ProtobufCMessage *message = NULL;
    assert_int_equal(wire_unpack(&w->ctx, type, buf_view(&w->answered->body), &message), OK);
    return message;
}

Milvus__MutationResult *pw_result(pw_world_t *w)
{
    return pw_answer(w, &milvus__mutation_result__descriptor);
}

void pw_is_refused(pw_world_t *w, int code, const char *text)
{
    Milvus__MutationResult *result = pw_result(w);
    assert_string_equal(result->status->reason, text);
    assert_int_equal(result->status->code, code);
    assert_int_not_equal(result->status->error_code, 0);
    pw_forget(w);
}
