/* proxy_actor - see proxy_actor.h */
#include "proxy/proxy_actor.h"

#include <pthread.h>
#include <stdio.h>

#include "core/base/clock.h"
#include "proxy/pages.h"
#include "proxy/proxy_requests.h"
#include "proxy/webui.h"

enum { CALL_BUDGET_BYTES = 768 << 20 };     /* a 64 MiB insert unpacked, and its answer */

/* A call that came by the ops port, which has no door_request to live in. */
typedef struct ops_call {
    proxy_call_t call;          /* first: what the node is given */
    struct ops_call *prev, *next;
    ctx_t ctx;
    uint64_t id;                /* for ops_answer */
} ops_call_t;

struct proxy_actor {
    host_t *host;
    _Atomic(door_t *) door;
    ops_t *ops;
    proxy_requests_t *requests; /* borrowed */
    pthread_mutex_t lock;       /* a leaf; of the two below */
    bool closed;                /* no more calls from the ops port */
    ops_call_t *ops_calls;      /* with the node */
};

proxy_actor_t *proxy_actor_new(proxy_requests_t *requests)
{
    proxy_actor_t *self = mem_new(sizeof *self);
    pthread_mutex_init(&self->lock, NULL);
    self->requests = requests;
    return self;
}

static void s_free(proxy_call_t *call)
{
    buf_fini(&call->body);
    mem_free(call);
}

/* --- by the ops port ------------------------------------------------------------------ */

static void s_ops_free(ops_call_t *mine)
{
    ctx_fini(&mine->ctx);
    s_free(&mine->call);
}

static void s_ops_done(proxy_actor_t *self, ops_call_t *mine)
{
    proxy_call_t *call = &mine->call;
    int status = call->http_status ? call->http_status : 200;
    ops_answer(self->ops, mine->id, status, "application/json", buf_view(&call->body));
    pthread_mutex_lock(&self->lock);
    if (mine->prev)
        mine->prev->next = mine->next;
    else
        self->ops_calls = mine->next;
    if (mine->next)
        mine->next->prev = mine->prev;
    pthread_mutex_unlock(&self->lock);
    s_ops_free(mine);
}

static char *s_ops_header(ops_call_t *mine, const ops_request_t *request, const char *name)
{
    view_t value = {0};
    if (!ops_header(request, name, &value))
        return NULL;
    return ctx_printf(&mine->ctx, "%.*s", (int)value.len, (const char *)value.ptr);
}

static ops_call_t *s_ops_call(const ops_request_t *request, int64_t most_ms)
{
    ops_call_t *mine = mem_new(sizeof *mine);
    ctx_init(&mine->ctx);
    mine->ctx.budget_bytes = CALL_BUDGET_BYTES;
    ctx_limit_ms(&mine->ctx, most_ms);
    mine->id = request->id;
    mine->call.ctx = &mine->ctx;
    mine->call.arrived_us = clock_mono_us();
    mine->call.traceparent = s_ops_header(mine, request, "traceparent");
    mine->call.authorization = s_ops_header(mine, request, "authorization");
    mine->call.db_header = s_ops_header(mine, request, "db-name");
    mine->call.looks = s_ops_header(mine, request, "elanus-looks") != NULL;
    mine->call.page_query = ctx_printf(&mine->ctx, "%.*s", (int)request->query.len,
                                       (const char *)request->query.ptr);
    return mine;
}

static void s_ops_refuse(ops_reply_t *reply, int status, const char *text, const char *what)
{
    reply->status = status;
    reply->type = "application/json";
    buf_addf(&reply->body, "{\"error\": \"%s\", \"do\": \"%s\"}", text, what);
}

/* The ops port's thread: give it to the node, or say why not. */
static void s_ops_post(proxy_actor_t *self, ops_call_t *mine, ops_reply_t *reply)
{
    pthread_mutex_lock(&self->lock);
    bool open = !self->closed, posted = open && host_post(self->host, &mine->call);
    if (posted) {
        mine->next = self->ops_calls;
        if (mine->next)
            mine->next->prev = mine;
        self->ops_calls = mine;
        reply->later = true;
    }
    pthread_mutex_unlock(&self->lock);
    if (posted)
        return;
    s_ops_free(mine);
    s_ops_refuse(reply, 503, open ? "this proxy has too much to do" : "this proxy is stopping",
                 "ask again, or another proxy");
}

static void s_on_page(void *arg, const ops_request_t *request, ops_reply_t *reply)
{
    char name[64];
    view_t path = request->path;
    snprintf(name, sizeof name, "%.*s", (int)(path.len - strlen(PAGES_PREFIX)),
             (const char *)path.ptr + strlen(PAGES_PREFIX));
    const page_t *page = pages_find(name);
    if (!page) {
        s_ops_refuse(reply, 404, "there is no such page", "docs/pages.md lists them");
        return;
    }
    ops_call_t *mine = s_ops_call(request, LIMIT_PAGE_MS);
    mine->call.page = page;
    s_ops_post(arg, mine, reply);
}

/* A page of another site can make a browser send a form here, but no JSON. */
static bool s_is_json(const ops_request_t *request)
{
    static const char s_json[] = "application/json";
    view_t type = {0};
    return ops_header(request, "content-type", &type) && type.len >= sizeof s_json - 1 &&
           memcmp(type.ptr, s_json, sizeof s_json - 1) == 0;
}

static void s_on_rest(void *arg, const ops_request_t *request, ops_reply_t *reply)
{
    ops_call_t *mine = s_ops_call(request, LIMIT_DOOR_REST_MS);
    proxy_call_t *call = &mine->call;
    const char *path = ctx_printf(&mine->ctx, "%.*s", (int)request->path.len,
                                  (const char *)request->path.ptr);
    call->route = rest_route(path);
    if (!call->route || !s_is_json(request) ||
        ctx_copy(&mine->ctx, request->body, &call->message) != OK) {
        bool known = call->route != NULL;
        s_ops_free(mine);
        s_ops_refuse(reply, known ? 415 : 404, known ? "the body has to be application/json"
                                                     : "there is no such path",
                     known ? "send a Content-Type" : "REST v2 of Milvus has them");
        return;
    }
    call->method = methods_find(view_str(call->route->rpc));
    check(call->method != NULL);
    s_ops_post(arg, mine, reply);
}

void proxy_actor_pages(proxy_actor_t *self, host_t *host, ops_t *ops)
{
    self->host = host;
    self->ops = ops;
    ops_route(ops, "GET", PAGES_PREFIX "*", s_on_page, self);
    ops_route(ops, "POST", "/v2/vectordb/*", s_on_rest, self);
    webui_routes(ops);
}

static bool s_ops_busy(proxy_actor_t *self)
{
    pthread_mutex_lock(&self->lock);
    bool busy = self->ops_calls != NULL;
    self->closed = true;
    pthread_mutex_unlock(&self->lock);
    return busy;
}

/* Whoever looks in waits a second at most; a search may be under way a little longer. */
static void s_ops_stop(proxy_actor_t *self, int64_t drain_ms)
{
    int64_t until_ms = clock_mono_ms() + drain_ms;
    while (s_ops_busy(self) && clock_mono_ms() < until_ms)
        clock_sleep_ms(5);
}

/* --- by the door ---------------------------------------------------------------------- */

/* The door's thread runs before door_open has returned to us. */
static door_t *s_door(proxy_actor_t *self)
{
    door_t *door = NULL;
    while ((door = atomic_load(&self->door)) == NULL)
        clock_sleep_ms(1);
    return door;
}

/* The node's thread: an answered call goes back to its client. */
void proxy_actor_sink(void *arg, void *item)
{
    proxy_actor_t *self = arg;
    proxy_call_t *call = item;
    proxy_requests_ended(self->requests, call, host_self(self->host)->id, clock_mono_us());
    if (!call->door_request) {
        s_ops_done(self, item);
        return;
    }
    door_request_t *request = call->door_request;
    door_answer_t answer = {
        .status = (grpc_code_t)call->grpc_status, .http_status = call->http_status,
        .text = call->text, .body = call->body,
    };
    call->body = (buf_t){0};
    door_answer(s_door(self), &request, &answer);
    s_free(call);
}

static const void *s_lookup(void *arg, const char *path)
{
    (void)arg;
    return methods_find(view_str(path));
}

static void s_refuse_rest(proxy_actor_t *self, door_request_t **request_p, int http_status,
                          const char *text, const char *type)
{
    door_answer_t answer = { .http_status = http_status, .content_type = type };
    buf_add_str(&answer.body, text);
    door_answer(s_door(self), request_p, &answer);
}

/* Which RPC a REST path stands for; false: answered. */
static bool s_route(proxy_actor_t *self, door_request_t **request_p, proxy_call_t *call)
{
    door_request_t *request = *request_p;
    call->route = rest_route(request->path);
    if (!call->route) {
        s_refuse_rest(self, request_p, 404, "404 page not found", "text/plain");
        return false;
    }
    if (strcmp(request->verb, "POST") != 0) {
        s_refuse_rest(self, request_p, 405, "405 method not allowed, use POST", "text/plain");
        return false;
    }
    call->method = methods_find(view_str(call->route->rpc));
    check(call->method != NULL);
    return true;
}

static void s_refuse_full(proxy_actor_t *self, door_request_t **request_p)
{
    door_answer_t answer = { .status = GRPC_RESOURCE_EXHAUSTED, .http_status = 503,
                             .text = err_text(ERR_QUEUE_FULL) };
    if ((*request_p)->is_rest)
        rest_error(&answer.body, err_code(ERR_QUEUE_FULL), err_text(ERR_QUEUE_FULL));
    door_answer(s_door(self), request_p, &answer);
}

/* The door's thread: a request has arrived whole. */
static void s_request(void *arg, door_request_t *request)
{
    proxy_actor_t *self = arg;
    proxy_call_t *call = mem_new(sizeof *call);
    *call = (proxy_call_t){
        .method = request->method, .message = request->message, .ctx = &request->ctx,
        .authorization = door_header(request, "authorization"),
        .db_header = door_header(request, request->is_rest ? "db-name" : "dbname"),
        .traceparent = door_header(request, "traceparent"), .arrived_us = request->arrived_us,
        .door_request = request,
    };
    if (request->is_rest && !s_route(self, &request, call)) {
        s_free(call);
        return;
    }
    if (!host_post(self->host, call)) {
        s_free(call);
        s_refuse_full(self, &request);
    }
}

err_t proxy_actor_open(ctx_t *ctx, proxy_actor_t *self, host_t *host, const door_options_t *options)
{
    static const char *const s_services[] = { "milvus.proto.milvus.MilvusService",
                                              "grpc.health.v1.Health", NULL };
    self->host = host;
    door_options_t all = *options;
    all.services = s_services;
    all.arg = self;
    all.lookup = s_lookup;
    all.request = s_request;
    all.budget_bytes = CALL_BUDGET_BYTES;
    door_t *door = NULL;
    TRY(door_open(ctx, &all, &door));
    atomic_store(&self->door, door);
    return OK;
}

int proxy_actor_port(const proxy_actor_t *self)
{
    return door_port(atomic_load(&self->door));
}

void proxy_actor_stats(const proxy_actor_t *self, door_stats_t *ret)
{
    door_t *door = atomic_load(&self->door);
    if (door)
        door_stats(door, ret);
}

void proxy_actor_stop(proxy_actor_t *self, int64_t drain_ms)
{
    door_t *door = atomic_load(&self->door);
    if (door)
        door_stop(door, drain_ms);
    s_ops_stop(self, drain_ms);
}

void proxy_actor_destroy(proxy_actor_t **self_p)
{
    proxy_actor_t *self = *self_p;
    if (!self)
        return;
    door_t *door = atomic_load(&self->door);
    door_destroy(&door);
    for (ops_call_t *mine = self->ops_calls, *next; mine; mine = next) {
        next = mine->next;
        s_ops_free(mine);
    }
    pthread_mutex_destroy(&self->lock);
    mem_free(self);
    *self_p = NULL;
}
