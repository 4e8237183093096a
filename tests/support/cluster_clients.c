/* cluster_clients - the clients of a simulated cluster: what they ask, and what of the answers */
#include <inttypes.h>
#include <stdio.h>

#include "common.pb-c.h"
#include "tests/support/cluster_sim.h"

enum { PATIENCE_MS = 6000, GRACE_MS = 3000, HOT_KEYS = 24 };

static rng_t *s_rng(cluster_sim_t *self)
{
    return sim_rng(self->sim);
}

/* --- sending ------------------------------------------------------------------------ */

cs_request_t *cs_request(cluster_sim_t *self, int no, cs_kind_t kind, cs_then_fn *then)
{
    cs_request_t *request = mem_new(sizeof *request);
    *request = (cs_request_t){ .world = self, .kind = kind, .client = no, .then = then,
                               .collection = "main", .rows = self->rows, .level = ROW_STRONG };
    ctx_init(&request->ctx);
    return request;
}

static void s_free_call(proxy_call_t **call_p)
{
    if (!*call_p)
        return;
    json_decref((*call_p)->json);
    buf_fini(&(*call_p)->body);
    mem_free(*call_p);
    *call_p = NULL;
}

static void s_free(cs_request_t *request)
{
    s_free_call(&request->call);
    ctx_fini(&request->ctx);
    mem_free(request);
}

/* Take it out of the list; false: it is not in it. */
static bool s_close(cluster_sim_t *self, const cs_request_t *request)
{
    for (size_t i = 0; i < self->open.len; i++) {
        if (*(cs_request_t **)vec_at(&self->open, i) != request)
            continue;
        vec_remove(&self->open, i);
        return true;
    }
    return false;
}

static void s_tell(const cs_request_t *request, err_t err, const char *why)
{
    static const char *const s_names[CS_KINDS] = {
        "upsert", "insert", "delete", "get", "scan", "count", "search", "flush", "compact",
        "create", "index", "load", "progress", "release", "drop", "describe",
    };
    static const char *const s_levels[] = { "eventually", "session", "strong" };
    fprintf(stderr, "%" PRId64 " to %" PRId64 " client %d %s %s", request->began_us,
            sim_now_us(request->world->sim), request->client, s_names[request->kind],
            s_levels[request->level]);
    for (size_t i = 0; i < request->n; i++)
        fprintf(stderr, " %zu:%" PRId64, request->keys[i], request->versions[i]);
    fprintf(stderr, " %s %s\n", err == OK ? "ok" : "failed", why);
}

static void s_end(cs_request_t *request, err_t err, const char *why,
                  const ProtobufCMessage *response)
{
    cluster_sim_t *self = request->world;
    if (self->history)
        s_tell(request, err, why);
    ++*(err == OK ? &self->done[request->kind] : &self->failed[request->kind]);
    if (err != OK)
        self->last_why = ctx_strdup(&self->memory, why);
    cs_check(self, request, err, why, response);
    request->then(self, request, err, why, response);
    s_free(request);
}

static void s_no_proxy(sim_t *sim, void *arg)
{
    cs_request_t *request = arg;
    if (sim)
        s_end(request, ERR_OUTCOME_UNKNOWN, "the proxy is dead", NULL);
    else
        s_free(request);
}

void cs_send(cs_request_t *request)
{
    cluster_sim_t *self = request->world;
    proxy_call_t *call = request->call = mem_new(sizeof *call);
    const char *rpc = NULL;
    call->message = cs_message(request, &rpc);
    call->method = methods_find(view_str(
        ctx_printf(&request->ctx, "/milvus.proto.milvus.MilvusService/%s", rpc)));
    check(call->method != NULL);
    call->ctx = &request->ctx;
    call->door_request = request;
    request->began_us = sim_now_us(self->sim);
    request->proxy = CS_PROXY + request->client % CS_PROXIES;
    request->give_up_us = request->began_us + (PATIENCE_MS + GRACE_MS) * 1000;
    request->ctx.deadline_ms = sim_node_now_ms(self->sim, request->proxy) + PATIENCE_MS;
    if (sim_post(self->sim, request->proxy, call))
        vec_push(&self->open, &request);
    else
        sim_after(self->sim, 200000, s_no_proxy, request);
}

/* --- answers ------------------------------------------------------------------------ */

static const Common__Status *s_status(const ProtobufCMessage *response)
{
    if (response->descriptor == &common__status__descriptor)
        return (const void *)response;
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(response->descriptor, "status");
    check(field != NULL);
    return *(Common__Status *const *)((const uint8_t *)response + field->offset);
}

static err_t s_read(cs_request_t *request, const proxy_call_t *call, const char **ret_why,
                    ProtobufCMessage **ret)
{
    ctx_t *ctx = &request->ctx;
    if (call->grpc_status != PROXY_GRPC_OK) {
        *ret_why = ctx_printf(ctx, "gRPC %d: %s", call->grpc_status, call->text ? call->text : "");
        return ERR_OUTCOME_UNKNOWN;
    }
    if (wire_unpack(ctx, request->answers, buf_view(&call->body), ret) != OK) {
        *ret_why = ctx_printf(ctx, "malformed: %s", ctx->text);
        return ERR_MALFORMED;
    }
    const Common__Status *status = s_status(*ret);
    if (!status || (status->code == 0 && status->error_code == 0))
        return OK;
    *ret_why = ctx_printf(ctx, "%d%s: %s", status->code, status->retriable ? " (retriable)" : "",
                          status->reason);
    return ERR_OUTCOME_UNKNOWN;
}

void cs_answered(sim_t *sim, void *arg, int node, void *item)
{
    (void)sim;
    (void)node;
    cluster_sim_t *self = arg;
    proxy_call_t *call = item;
    cs_request_t *request = call->door_request;
    if (!s_close(self, request)) {
        row_model_wrong(self->rows, "answered twice: a request of client %d", request->client);
        return;
    }
    const char *why = "";
    ProtobufCMessage *response = NULL;
    err_t err = s_read(request, call, &why, &response);
    s_end(request, err, why, response);
}

void cs_proxy_died(cluster_sim_t *self, int node)
{
    for (size_t i = 0; i < self->open.len; ) {
        cs_request_t *request = *(cs_request_t **)vec_at(&self->open, i);
        if (request->proxy != node) {
            i++;
            continue;
        }
        vec_remove(&self->open, i);
        s_end(request, ERR_OUTCOME_UNKNOWN, "the proxy died", NULL);
        i = 0;
    }
}

void cs_clients_end(cluster_sim_t *self)
{
    for (size_t i = 0; i < self->open.len; i++)
        s_free(*(cs_request_t **)vec_at(&self->open, i));
    vec_fini(&self->open);
}

/* --- what the model says ------------------------------------------------------------ */

static void s_acked(cluster_sim_t *self, const cs_request_t *request,
                    const Milvus__MutationResult *result)
{
    int64_t now_us = sim_now_us(self->sim);
    for (size_t i = 0; i < request->n; i++) {
        if (request->kind == CS_DELETE)
            row_model_acked_delete(request->rows, request->keys[i], request->began_us, now_us);
        else
            row_model_acked(request->rows, request->keys[i], request->versions[i], now_us);
        if (request->kind == CS_INSERT && request->rows == self->rows)
            self->taken[request->keys[i]] = false;
    }
    cs_client_t *client = &self->clients[request->client];
    client->last_ts = result->timestamp > client->last_ts ? result->timestamp : client->last_ts;
}

static void s_saw(void *arg, int64_t key, int64_t version, const float *score)
{
    const cs_request_t *request = arg;
    row_model_see(request->rows, key, version);
    if (request->world->history)
        fprintf(stderr, "    key %" PRId64 " version %" PRId64 "\n", key, version);
    float want = (float)key * (float)key + (float)version * (float)version;
    if (score && (*score > want * 1.0001f + 1 || *score < want * 0.9999f - 1))
        row_model_wrong(request->rows, "distance: key %" PRId64 " in version %" PRId64
                        " is at %g, not %g", key, version, (double)*score, (double)want);
}

static void s_looked(cluster_sim_t *self, cs_request_t *request,
                     const ProtobufCMessage *response)
{
    row_look_t look = { .level = request->level, .who = request->client,
                        .from_us = request->began_us, .until_us = sim_now_us(self->sim) };
    int64_t count = 0;
    if (request->kind == CS_COUNT) {
        if (cs_count_of(response, &count))
            row_model_count(request->rows, &look, count);
        else
            row_model_wrong(request->rows, "a count without a number");
        return;
    }
    row_model_look(request->rows, &look);
    if (!cs_rows_of(request, response, s_saw, request))
        row_model_wrong(request->rows, "an answer without its columns");
    for (size_t i = 0; i < request->n; i++)
        row_model_compare(request->rows, request->keys[i]);
    if (request->n == 0)
        row_model_compare_all(request->rows);
}

void cs_check(cluster_sim_t *self, cs_request_t *request, err_t err, const char *why,
              const ProtobufCMessage *response)
{
    if (err == ERR_MALFORMED)
        row_model_wrong(request->rows, "%s", why);
    if (err != OK)
        return;
    switch ((int)request->kind) {
    case CS_UPSERT:
    case CS_INSERT:
    case CS_DELETE:
        s_acked(self, request, (const void *)response);
        break;
    case CS_GET:
    case CS_SCAN:
    case CS_COUNT:
    case CS_SEARCH:
        s_looked(self, request, response);
        break;
    }
}

/* --- what clients do ---------------------------------------------------------------- */

static void s_again(cluster_sim_t *self, cs_request_t *request, err_t err, const char *why,
                    const ProtobufCMessage *response);

static cs_kind_t s_draw_kind(cluster_sim_t *self)
{
    static const struct { cs_kind_t kind; unsigned weight; } s_kinds[] = {
        { CS_UPSERT, 30 }, { CS_INSERT, 10 }, { CS_DELETE, 14 }, { CS_GET, 22 }, { CS_SCAN, 8 },
        { CS_COUNT, 5 }, { CS_SEARCH, 8 }, { CS_FLUSH, 4 }, { CS_COMPACT, 2 },
    };
    unsigned all = 0, at = 0;
    for (size_t i = 0; i < ARRAY_LEN(s_kinds); i++)
        all += s_kinds[i].weight;
    unsigned draw = (unsigned)rng_below(s_rng(self), all);
    for (size_t i = 0; i < ARRAY_LEN(s_kinds); i++) {
        at += s_kinds[i].weight;
        if (draw < at)
            return s_kinds[i].kind;
    }
    return CS_GET;
}

static bool s_has(const cs_request_t *request, size_t key)
{
    for (size_t i = 0; i < request->n; i++)
        if (request->keys[i] == key)
            return true;
    return false;
}

/* Keys that nobody ever wrote, for inserts: two rows of a key would be as Milvus has it. */
static void s_draw_new(cluster_sim_t *self, cs_request_t *request, size_t n)
{
    for (size_t key = HOT_KEYS; key < CS_KEYS && request->n < n; key++) {
        if (self->taken[key] || !row_model_never_written(self->rows, key))
            continue;
        self->taken[key] = true;
        request->keys[request->n++] = key;
    }
}

static void s_draw_keys(cluster_sim_t *self, cs_request_t *request, size_t n)
{
    for (size_t tries = 0; tries < 20 && request->n < n; tries++) {
        size_t most = rng_chance(s_rng(self), 0.8) ? HOT_KEYS : CS_KEYS;
        size_t key = (size_t)rng_below(s_rng(self), most);
        bool writes = request->kind == CS_UPSERT || request->kind == CS_DELETE;
        if (!s_has(request, key) && !(writes && self->taken[key]))
            request->keys[request->n++] = key;
    }
}

static void s_begin_writes(cluster_sim_t *self, cs_request_t *request)
{
    for (size_t i = 0; i < request->n; i++) {
        request->versions[i] = request->kind == CS_DELETE ? ROW_ABSENT : ++self->versions;
        row_model_begin(self->rows, request->keys[i], request->versions[i], request->client,
                        sim_now_us(self->sim));
    }
}

static void s_draw_level(cluster_sim_t *self, cs_request_t *request)
{
    uint64_t draw = rng_below(s_rng(self), 4);
    request->level = draw < 2 ? ROW_STRONG : draw == 2 ? ROW_SESSION : ROW_EVENTUALLY;
    request->session_ts = self->clients[request->client].last_ts;
    if (request->session_ts == 0 && request->level == ROW_SESSION)
        request->level = ROW_EVENTUALLY;
}

static void s_act(cluster_sim_t *self, int no)
{
    cs_request_t *request = cs_request(self, no, s_draw_kind(self), s_again);
    size_t n = 1 + (size_t)rng_below(s_rng(self), CS_MOST_ROWS);
    if (request->kind == CS_INSERT)
        s_draw_new(self, request, n);
    if (request->kind == CS_INSERT && request->n == 0)
        request->kind = CS_UPSERT;
    if (request->kind == CS_UPSERT || request->kind == CS_DELETE || request->kind == CS_GET)
        s_draw_keys(self, request, n);
    s_draw_level(self, request);
    if (request->kind == CS_UPSERT || request->kind == CS_INSERT || request->kind == CS_DELETE)
        s_begin_writes(self, request);
    self->clients[no].busy = true;
    cs_send(request);
}

static void s_think(sim_t *sim, void *arg)
{
    cs_client_t *client = arg;
    if (!sim)
        return;
    cluster_sim_t *self = client->world;
    if (!self->calm && !client->busy && self->set_up)
        s_act(self, client->no);
    else if (!client->busy)
        sim_after(sim, 100000, s_think, client);
}

static void s_again(cluster_sim_t *self, cs_request_t *request, err_t err, const char *why,
                    const ProtobufCMessage *response)
{
    (void)err;
    (void)why;
    (void)response;
    cs_client_t *client = &self->clients[request->client];
    client->busy = false;
    sim_after(self->sim, 1000 + (int64_t)rng_below(s_rng(self), 40000), s_think, client);
}

void cs_clients_start(cluster_sim_t *self)
{
    for (int i = 0; i < CS_CLIENTS; i++) {
        self->clients[i].no = i;
        self->clients[i].world = self;
        sim_after(self->sim, (int64_t)rng_below(s_rng(self), 50000), s_think, &self->clients[i]);
    }
}
