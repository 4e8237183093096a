/* gather_world - see gather_world.h */
#include "tests/support/gather_world.h"

#include <stdio.h>

#include "core/catalog/catalog.h"
#include "core/catalog/directory.h"

/* --- the world ------------------------------------------------------------------------- */

static void s_ask(gw_world_t *w, const action_t *action, uint32_t method, const char *to)
{
    assert_true(w->n < GW_CALLS);
    gw_asked_t *asked = &w->asked[w->n++];
    *asked = (gw_asked_t){ .method = method, .cookie = action->cookie };
    snprintf(asked->to, sizeof asked->to, "%s", to);
    assert_int_equal(ctx_copy(&w->ctx, method ? action->call.payload : view_of("", 0),
                              &asked->payload), OK);
}

static void s_read(gw_world_t *w)
{
    for (size_t i = 0; i < w->act.list.len; i++) {
        const action_t *action = vec_at(&w->act.list, i);
        if (action->kind == ACT_META && action->op == META_WATCH) {
            assert_true(w->n_watches < GW_WATCHES);
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

void gw_step(gw_world_t *w, event_t ev)
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

void gw_show(gw_world_t *w, const char *key, meta_watch_kind_t kind, const void *message)
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
        gw_step(w, ev);
        return;
    }
    fail_msg("nobody watches %s", key);
}

/* Let this much time pass, timers and all; calls are not answered meanwhile. */
void gw_wait(gw_world_t *w, int64_t ms)
{
    for (int64_t end = w->now_ms + ms; w->now_ms < end; ) {
        w->now_ms++;
        for (uint32_t t = 0; t < ARRAY_LEN(w->timers); t++) {
            if (w->timers[t] == 0 || w->timers[t] > w->now_ms)
                continue;
            w->timers[t] = 0;
            event_t due = { .kind = EV_TIMER };
            due.timer = t;
            gw_step(w, due);
        }
    }
}

/* The oldest question, which must be this one. */
gw_asked_t gw_next(gw_world_t *w, uint32_t method, const char *to)
{
    assert_true(w->n > 0);
    gw_asked_t asked = w->asked[0];
    memmove(w->asked, w->asked + 1, --w->n * sizeof asked);
    assert_int_equal(asked.method, method);
    assert_string_equal(asked.to, to);
    return asked;
}

void gw_answer(gw_world_t *w, gw_asked_t asked, const void *message)
{
    event_t ev = { .kind = EV_REPLY, .cookie = asked.cookie };
    ev.payload = pb_pack(&w->ctx, message);
    gw_step(w, ev);
}

void gw_fail(gw_world_t *w, gw_asked_t asked, err_t err)
{
    event_t ev = { .kind = EV_REPLY, .cookie = asked.cookie, .err = err, .text = err_text(err) };
    gw_step(w, ev);
}

void gw_list(gw_world_t *w, gw_asked_t asked, Elanus__Segment **segments, size_t n)
{
    event_t ev = { .kind = EV_META, .cookie = asked.cookie };
    ev.meta.items.at = ctx_new(&w->ctx, (n + 1) * sizeof(meta_item_t));
    for (size_t i = 0; i < n; i++)
        ev.meta.items.at[i].value = pb_pack(&w->ctx, segments[i]);
    ev.meta.items.n = n;
    gw_step(w, ev);
}

/* --- what there is ----------------------------------------------------------------------- */

void gw_put_node(gw_world_t *w, const char *role, uint64_t id)
{
    Elanus__NodeInfo info = ELANUS__NODE_INFO__INIT;
    info.role = (char *)role;
    info.id = id;
    info.incarnation = id * 100;
    info.address = ctx_printf(&w->ctx, "inproc://%s-%d", role, (int)id);
    gw_show(w, ctx_printf(&w->ctx, "session/%s-%d", role, (int)id), META_WATCH_PUT, &info);
}

void gw_put_owner(gw_world_t *w, int channel, uint64_t node)
{
    Elanus__Owner owner = ELANUS__OWNER__INIT;
    owner.pchannel = ctx_printf(&w->ctx, "dml_%d", channel);
    owner.epoch = 1;
    owner.node = node;
    owner.incarnation = node * 100;
    owner.state = ELANUS__OWNER_STATE__OWNER_ACTIVE;
    gw_show(w, directory_key_owner(&w->ctx, owner.pchannel), META_WATCH_PUT, &owner);
}

/* Collection `a` (id 7) has shards on dml_0 and dml_1, partitions 70 and 71, an index on `v`. */
static void s_put_collection(gw_world_t *w)
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
    gw_show(w, "coll/7", META_WATCH_PUT, &coll);
    Elanus__Index index = ELANUS__INDEX__INIT;
    index.id = 9;
    index.collection_id = 7;
    index.field_id = vector.id;
    index.name = (char *)"v_idx";
    gw_show(w, "index/7/9", META_WATCH_PUT, &index);
}

void gw_put_load(gw_world_t *w, bool whole)
{
    uint64_t partitions[] = { 70 };
    Elanus__Load load = ELANUS__LOAD__INIT;
    load.collection_id = 7;
    load.whole = whole;
    load.partitions = partitions;
    load.n_partitions = !whole;
    load.replicas = 1;
    gw_show(w, "load/7", META_WATCH_PUT, &load);
}

void gw_put_replica(gw_world_t *w, uint64_t id, uint64_t leader0, uint64_t leader1)
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
    gw_show(w, directory_key_replica(&w->ctx, 7, id), META_WATCH_PUT, &replica);
}

static void s_put_leader(gw_world_t *w)
{
    Elanus__NodeInfo info = ELANUS__NODE_INFO__INIT;
    info.id = 1;
    info.address = (char *)"inproc://coord";
    Elanus__Leader leader = ELANUS__LEADER__INIT;
    leader.info = &info;
    gw_show(w, "leader/coord", META_WATCH_PUT, &leader);
}

int gw_up(void **state)
{
    gw_world_t *w = mem_new(sizeof *w);
    ctx_init(&w->ctx);
    ctx_init(&w->request);
    actions_init(&w->act);
    w->now_ms = 1000;
    w->self = (node_self_t){ .role = "proxy", .cluster = "c", .address = "inproc://proxy", .id = 3,
                             .incarnation = 33, .lease_ttl_ms = 9000, .ops_address = "", .host = "",
                             .version = "t", .standalone = true };
    w->node = proxy_role.make(&w->self, NULL);
    event_t start = { .kind = EV_START };
    gw_step(w, start);
    for (size_t i = 0; i < w->n_watches; i++) {
        gw_show(w, w->watches[i].prefix, META_WATCH_RESET, NULL);
        gw_show(w, w->watches[i].prefix, META_WATCH_SYNCED, NULL);
    }
    Elanus__Database db = ELANUS__DATABASE__INIT;
    db.id = 1;
    db.name = (char *)"default";
    gw_show(w, "db/1", META_WATCH_PUT, &db);
    s_put_collection(w);
    gw_put_node(w, "datanode", 11);
    gw_put_node(w, "datanode", 12);
    gw_put_node(w, "querynode", 21);
    gw_put_node(w, "querynode", 22);
    s_put_leader(w);
    gw_put_owner(w, 0, 11);
    gw_put_owner(w, 1, 12);
    w->n = 0;
    *state = w;
    return 0;
}

static void s_forget(gw_world_t *w)
{
    if (w->answered) {
        buf_fini(&w->answered->body);
        mem_free(w->answered);
        w->answered = NULL;
    }
    ctx_fini(&w->request);
    ctx_init(&w->request);
}

int gw_down(void **state)
{
    gw_world_t *w = *state;
    s_forget(w);
    proxy_role.end(w->node);
    actions_fini(&w->act);
    ctx_fini(&w->request);
    ctx_fini(&w->ctx);
    mem_free(w);
    return 0;
}

void gw_send(gw_world_t *w, const char *rpc, const void *request)
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
    gw_step(w, ev);
}

void *gw_got(gw_world_t *w, const ProtobufCMessageDescriptor *type)
{
    assert_non_null(w->answered);
    assert_int_equal(w->answered->grpc_status, 0);
    assert_int_equal(w->n, 0);
    ProtobufCMessage *message = NULL;
    assert_int_equal(wire_unpack(&w->ctx, type, buf_view(&w->answered->body), &message), OK);
    return message;
}
