/* proxy_actor - see proxy_actor.h */
#include "proxy/proxy_actor.h"

#include "core/base/clock.h"

enum { CALL_BUDGET_BYTES = 768 << 20 };     /* a 64 MiB insert unpacked, and its answer */

struct proxy_actor {
    host_t *host;
    _Atomic(door_t *) door;
};

proxy_actor_t *proxy_actor_new(void)
{
    return mem_new(sizeof(proxy_actor_t));
}

static void s_free(proxy_call_t *call)
{
    buf_fini(&call->body);
    mem_free(call);
}

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
}

void proxy_actor_destroy(proxy_actor_t **self_p)
{
    proxy_actor_t *self = *self_p;
    if (!self)
        return;
    door_t *door = atomic_load(&self->door);
    door_destroy(&door);
    mem_free(self);
    *self_p = NULL;
}
