/* proxy_node: the step function alone, no door, no net, no clock.
 *
 * The test plays the world: it makes calls as proxy_actor would, hands in
 * events, and reads the actions that come back. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>

#include "core/catalog/catalog.h"
#include "core/wire/pb.h"
#include "elanus.pb-c.h"
#include "milvus.pb-c.h"
#include "proxy/proxy_node.h"

static const char *const s_leader_at = "inproc://coord";

typedef struct world {
    void *node;
    actions_t act;
    node_self_t self;
    proxy_options_t options;
    ctx_t ctx;                  /* of the test's own messages */
    ctx_t request;              /* of the call under test */
    int64_t now_ms;
    uint64_t watch, asked;      /* cookies seen in actions */
    uint64_t catalog[CATALOG_KINDS];    /* of the watches of the catalog */
    proxy_call_t *answered;     /* the last ACT_ITEM */
    bool dialled, timer;
} world_t;

static void s_watches(world_t *w, const action_t *action)
{
    if (strcmp(action->key, "leader/") == 0)
        w->watch = action->cookie;
    for (int kind = 0; kind < CATALOG_KINDS; kind++)
        if (strcmp(action->key, catalog_root((catalog_kind_t)kind)) == 0)
            w->catalog[kind] = action->cookie;
}

/* Read the actions of a step as the host would. */
static void s_read(world_t *w)
{
    w->asked = 0;
    w->timer = false;
    for (size_t i = 0; i < w->act.list.len; i++) {
        const action_t *action = vec_at(&w->act.list, i);
        if (action->kind == ACT_META && action->op == META_WATCH)
            s_watches(w, action);
        if (action->kind == ACT_CALL) {
            assert_string_equal(action->endpoint, s_leader_at);
            w->asked = action->cookie;
        }
        w->dialled |= action->kind == ACT_DIAL;
        w->timer |= action->kind == ACT_TIMER;
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

static void s_a_leader_appears(world_t *w)
{
    Elanus__NodeInfo info = ELANUS__NODE_INFO__INIT;
    info.id = 1;
    info.address = (char *)s_leader_at;
    Elanus__Leader leader = ELANUS__LEADER__INIT;
    leader.info = &info;
    meta_change_t changes[] = {
        { .kind = META_WATCH_RESET },
        { .kind = META_WATCH_PUT, .item = { .key = "leader/coord", .mod_rev = 5,
                                            .value = pb_pack(&w->ctx, &leader) } },
        { .kind = META_WATCH_SYNCED },
    };
    event_t ev = { .kind = EV_WATCH, .cookie = w->watch };
    ev.watch.changes = changes;
    ev.watch.n = ARRAY_LEN(changes);
    s_step(w, ev);
}

/* Every watch shows the present; there is one database. */
static void s_the_catalog_appears(world_t *w, int64_t rev)
{
    Elanus__Database db = ELANUS__DATABASE__INIT;
    db.id = 1;
    db.name = (char *)"default";
    for (int kind = 0; kind < CATALOG_KINDS; kind++) {
        bool first = kind == CATALOG_DATABASE;
        meta_change_t changes[] = {
            { .kind = META_WATCH_RESET },
            { .kind = META_WATCH_PUT, .item = { .key = first ? "db/1" : "elsewhere", .mod_rev = rev,
                                                .value = pb_pack(&w->ctx, &db) } },
            { .kind = META_WATCH_SYNCED, .item = { .mod_rev = rev } },
        };
        event_t ev = { .kind = EV_WATCH, .cookie = w->catalog[kind] };
        ev.watch.changes = changes;
        ev.watch.n = ARRAY_LEN(changes);
        s_step(w, ev);
    }
}

static int s_up(void **state)
{
    world_t *w = mem_new(sizeof *w);
    ctx_init(&w->ctx);
    ctx_init(&w->request);
    actions_init(&w->act);
    w->self = (node_self_t){ .role = "proxy", .cluster = "c", .address = "inproc://proxy", .id = 3,
                             .incarnation = 33, .lease_ttl_ms = 9000, .ops_address = "", .host = "",
                             .version = "t" };
    w->options = (proxy_options_t){ .root_password = "Milvus" };
    w->node = proxy_role.make(&w->self, &w->options);
    event_t start = { .kind = EV_START };
    s_step(w, start);
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

static void s_send(world_t *w, proxy_call_t what, const char *rpc, const void *request)
{
    proxy_call_t *call = mem_new(sizeof *call);
    *call = what;
    char path[128];
    snprintf(path, sizeof path, "/milvus.proto.milvus.MilvusService/%s", rpc);
    call->method = methods_find(view_str(path));
    assert_non_null(call->method);
    call->ctx = &w->request;
    call->message = request ? pb_pack(&w->ctx, request) : call->message;
    event_t ev = { .kind = EV_ITEM };
    ev.item = call;
    s_step(w, ev);
}

static void s_reply(world_t *w, err_t err, const char *text, const void *message)
{
    event_t ev = { .kind = EV_REPLY, .cookie = w->asked, .err = err, .text = text };
    ev.payload = message ? pb_pack(&w->ctx, message) : view_of("", 0);
    s_step(w, ev);
}

static void *s_answer(world_t *w, const ProtobufCMessageDescriptor *type)
{
    assert_non_null(w->answered);
    assert_int_equal(w->answered->grpc_status, 0);
    ProtobufCMessage *message = NULL;
    assert_int_equal(wire_unpack(&w->ctx, type, buf_view(&w->answered->body), &message), OK);
    return message;
}

static const Elanus__DdlDone *s_done(int64_t rev)
{
    static int64_t revisions[CATALOG_KINDS];
    static Elanus__DdlDone done = ELANUS__DDL_DONE__INIT;
    revisions[CATALOG_DATABASE] = rev;
    done.revisions = revisions;
    done.n_revisions = CATALOG_KINDS;
    return &done;
}

/* --- tests --- */

static void version_and_connect_need_nobody(void **state)
{
    world_t *w = *state;
    Milvus__GetVersionRequest version = MILVUS__GET_VERSION_REQUEST__INIT;
    s_send(w, (proxy_call_t){0}, "GetVersion", &version);
    Milvus__GetVersionResponse *v = s_answer(w, &milvus__get_version_response__descriptor);
    assert_string_equal(v->version, "2.4.23-elanus-" ELANUS_VERSION);
    s_forget(w);

    int64_t last = 0;
    for (int i = 0; i < 3; i++) {
        Milvus__ConnectRequest connect = MILVUS__CONNECT_REQUEST__INIT;
        s_send(w, (proxy_call_t){0}, "Connect", &connect);
        Milvus__ConnectResponse *c = s_answer(w, &milvus__connect_response__descriptor);
        assert_true(c->identifier > last);
        assert_string_equal(c->server_info->deploy_mode, "DISTRIBUTED");
        last = c->identifier;
        s_forget(w);
    }
}

static void a_question_waits_for_the_catalog(void **state)
{
    world_t *w = *state;
    Milvus__ListDatabasesRequest request = MILVUS__LIST_DATABASES_REQUEST__INIT;
    s_send(w, (proxy_call_t){0}, "ListDatabases", &request);
    assert_null(w->answered);
    assert_false(proxy_role.ready(w->node));
    s_the_catalog_appears(w, 7);
    assert_int_equal(w->asked, 0);
    Milvus__ListDatabasesResponse *r = s_answer(w, &milvus__list_databases_response__descriptor);
    assert_int_equal(r->n_db_names, 1);
    assert_string_equal(r->db_names[0], "default");
}

/* A change is answered when our own catalog is as new as the coordinator says. */
static void a_change_is_answered_when_it_can_be_seen(void **state)
{
    world_t *w = *state;
    s_the_catalog_appears(w, 7);
    Milvus__CreateDatabaseRequest request = MILVUS__CREATE_DATABASE_REQUEST__INIT;
    request.db_name = "shelf";
    s_send(w, (proxy_call_t){0}, "CreateDatabase", &request);
    assert_int_equal(w->asked, 0);              /* no leader yet */
    s_a_leader_appears(w);
    assert_true(w->dialled);
    assert_int_not_equal(w->asked, 0);
    s_reply(w, OK, "", s_done(9));
    assert_null(w->answered);
    s_the_catalog_appears(w, 8);
    assert_null(w->answered);
    s_the_catalog_appears(w, 9);
    Common__Status *status = s_answer(w, &common__status__descriptor);
    assert_int_equal(status->code, 0);
}

/* A standby, a dead leader, a timeout: asked again; an answer that is an error is one. */
static void a_question_is_asked_again_until_it_is_answered(void **state)
{
    world_t *w = *state;
    static const err_t s_again[] = { ERR_NETWORK, ERR_SERVICE_NOT_READY, ERR_TIMEOUT, ERR_META };
    s_the_catalog_appears(w, 7);
    s_a_leader_appears(w);
    Milvus__ShowCollectionsRequest request = MILVUS__SHOW_COLLECTIONS_REQUEST__INIT;
    request.db_name = "nope";
    s_send(w, (proxy_call_t){0}, "ShowCollections", &request);
    for (size_t i = 0; i < ARRAY_LEN(s_again); i++) {
        assert_int_not_equal(w->asked, 0);
        s_reply(w, s_again[i], "not now", NULL);
        assert_null(w->answered);
        assert_true(w->timer);
        w->now_ms += 100;
        event_t due = { .kind = EV_TIMER };
        due.timer = 100;
        s_step(w, due);
    }
    s_reply(w, OK, "", s_done(7));              /* our catalog is new enough: it is not there */
    Milvus__ShowCollectionsResponse *r =
        s_answer(w, &milvus__show_collections_response__descriptor);
    assert_int_equal(r->status->code, 800);
    assert_int_not_equal(r->status->error_code, 0);
    assert_string_equal(r->status->reason, "database not found[database=nope]");
}

/* Another proxy may have changed it: the leader says how new our picture has to be.  Without a
 * leader that answers, what we know is the best there is. */
static void what_is_there_is_told_as_new_as_it_is(void **state)
{
    world_t *w = *state;
    s_the_catalog_appears(w, 7);
    s_a_leader_appears(w);
    Milvus__ListDatabasesRequest request = MILVUS__LIST_DATABASES_REQUEST__INIT;
    s_send(w, (proxy_call_t){0}, "ListDatabases", &request);
    assert_null(w->answered);
    s_reply(w, OK, "", s_done(8));
    assert_null(w->answered);
    s_the_catalog_appears(w, 8);
    s_answer(w, &milvus__list_databases_response__descriptor);
    s_forget(w);
    s_send(w, (proxy_call_t){0}, "ListDatabases", &request);
    for (int64_t begin = w->now_ms; !w->answered && w->now_ms < begin + 2000; w->now_ms += 100) {
        event_t due = { .kind = EV_TIMER };
        due.timer = 100;
        if (w->asked)
            s_reply(w, ERR_NETWORK, "nobody leads", NULL);
        else
            s_step(w, due);
    }
    Milvus__ListDatabasesResponse *r = s_answer(w, &milvus__list_databases_response__descriptor);
    assert_int_equal(r->n_db_names, 1);
}

static void patience_ends_with_the_clients_deadline(void **state)
{
    world_t *w = *state;
    w->request.deadline_ms = 500;
    Milvus__CheckHealthRequest request = MILVUS__CHECK_HEALTH_REQUEST__INIT;
    s_send(w, (proxy_call_t){0}, "CheckHealth", &request);
    for (w->now_ms = 100; w->now_ms < 500; w->now_ms += 100) {
        event_t due = { .kind = EV_TIMER };
        due.timer = 100;
        s_step(w, due);
        assert_null(w->answered);
    }
    event_t due = { .kind = EV_TIMER };
    due.timer = 100;
    s_step(w, due);
    Milvus__CheckHealthResponse *r = s_answer(w, &milvus__check_health_response__descriptor);
    assert_false(r->ishealthy);
    assert_int_equal(r->status->code, 0);       /* being unhealthy is an answer */
    assert_int_equal(r->n_reasons, 1);
}

static void what_is_not_implemented_says_so(void **state)
{
    world_t *w = *state;
    s_send(w, (proxy_call_t){0}, "ReplicateMessage", NULL);
    assert_int_equal(w->answered->grpc_status, PROXY_GRPC_UNIMPLEMENTED);
    s_forget(w);
    proxy_call_t garbage = { .message = view_str("\xff\xff\xff garbage") };
    s_send(w, garbage, "GetVersion", NULL);
    assert_int_equal(w->answered->grpc_status, PROXY_GRPC_INTERNAL);
}

/* base64 of the user and password that the header carries. */
static void only_root_is_let_in_when_authorization_is_on(void **state)
{
    world_t *w = *state;
    static const struct { const char *header; int status; } s_rows[] = {
        { NULL, PROXY_GRPC_UNAUTHENTICATED },
        { "", PROXY_GRPC_UNAUTHENTICATED },
        { "not base64!", PROXY_GRPC_UNAUTHENTICATED },
        { "cm9vdA==", PROXY_GRPC_UNAUTHENTICATED },                 /* root */
        { "cm9vdDo=", PROXY_GRPC_UNAUTHENTICATED },                 /* root: */
        { "cm9vdDp3cm9uZw==", PROXY_GRPC_UNAUTHENTICATED },         /* root:wrong */
        { "YWRtaW46TWlsdnVz", PROXY_GRPC_UNAUTHENTICATED },         /* admin:Milvus */
        { "QEBtaWx2dXMtbWVtYmVyQEA=", PROXY_GRPC_UNAUTHENTICATED }, /* @@milvus-member@@ */
        { "cm9vdDpNaWx2dXM=", PROXY_GRPC_OK },                      /* root:Milvus */
    };
    w->options.authorization = true;
    for (size_t i = 0; i < ARRAY_LEN(s_rows); i++) {
        Milvus__ConnectRequest connect = MILVUS__CONNECT_REQUEST__INIT;
        s_send(w, (proxy_call_t){ .authorization = s_rows[i].header }, "Connect", &connect);
        assert_int_equal(w->answered->grpc_status, s_rows[i].status);
        s_forget(w);
    }
}

static void rest_is_the_same_call_in_json(void **state)
{
    world_t *w = *state;
    s_the_catalog_appears(w, 7);
    const rest_route_t *route = rest_route("/v2/vectordb/databases/list");
    s_send(w, (proxy_call_t){ .route = route, .message = view_str("{}") }, "ListDatabases", NULL);
    assert_string_equal(buf_str(&w->answered->body), "{\"code\":0,\"data\":[\"default\"]}");
    s_forget(w);

    static const char *const s_bad[] = { "", "[]", "{", "{\"a\":1,\"a\":2}" };
    for (size_t i = 0; i < ARRAY_LEN(s_bad); i++) {
        s_send(w, (proxy_call_t){ .route = route, .message = view_str(s_bad[i]) }, "ListDatabases",
               NULL);
        assert_int_equal(w->answered->http_status, 200);
        assert_non_null(strstr(buf_str(&w->answered->body), "\"code\":1801"));
        s_forget(w);
    }
    char deep[300] = "{\"a\":";
    memset(deep + 5, '[', 200);
    s_send(w, (proxy_call_t){ .route = route, .message = view_str(deep) }, "ListDatabases", NULL);
    assert_non_null(strstr(buf_str(&w->answered->body), "nested deeper"));
    assert_null(rest_route("/v2/vectordb/no/such"));
}

#define T(f) cmocka_unit_test_setup_teardown(f, s_up, s_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(version_and_connect_need_nobody),
        T(a_question_waits_for_the_catalog),
        T(a_change_is_answered_when_it_can_be_seen),
        T(a_question_is_asked_again_until_it_is_answered),
        T(what_is_there_is_told_as_new_as_it_is),
        T(patience_ends_with_the_clients_deadline),
        T(what_is_not_implemented_says_so),
        T(only_root_is_let_in_when_authorization_is_on),
        T(rest_is_the_same_call_in_json),
    };
    log_set_level(LOG_FATAL);
    return cmocka_run_group_tests_name("proxy_node", tests, NULL, NULL);
}
