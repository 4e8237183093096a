/* proxy_node - see proxy_node.h */
#include "proxy/pages.h"
#include "proxy/proxy_links.h"
#include "proxy/proxy_read.h"
#include "proxy/proxy_requests.h"

static void s_on_leader(void *node, const event_t *ev, actions_t *act)
{
    proxy_ask_parked(node, ev, act);
}

/* While somebody looks in, coords have a link of ours whether they lead or not. */
static bool s_keeps_link(void *node, const char *address)
{
    return proxy_link(node, address) != NULL;
}

static net_peer_state_t s_knows_link(void *node, const char *address)
{
    const proxy_link_t *link = proxy_link(node, address);
    if (!link || link->state == LINK_NEW)
        return NET_GONE;
    return link->state == LINK_UP ? NET_UP : NET_SUSPECT;
}

static void s_inspect(const void *node, const Elanus__InspectAsk *ask, ctx_t *ctx,
                      Elanus__Inspection *into)
{
    const proxy_node_t *self = node;
    size_t most = ask->trace ? LIMIT_REQUESTS_KEPT : ask->requests_most;
    if (self->options->requests && most > 0)
        into->n_requests = proxy_requests_last(self->options->requests, ctx, most, ask->trace,
                                               &into->requests);
}

static void *s_make(const node_self_t *who, const void *options)
{
    static const proxy_options_t s_open_house = { .root_password = "" };
    proxy_node_t *self = mem_new(sizeof *self);
    member_init(&self->member, who);
    self->member.on_leader = s_on_leader;
    self->member.figures = proxy_role.figures;
    self->member.inspect = s_inspect;
    self->member.keeps_link = s_keeps_link;
    self->member.knows_link = s_knows_link;
    self->options = options ? options : &s_open_house;
    proxy_count_init(&self->count, who);
    self->catalog = catalog_new();
    return self;
}

static void s_end(void *node)
{
    proxy_node_t *self = node;
    proxy_ask_fini(self);
    proxy_ids_fini(self);
    proxy_write_fini(self);
    proxy_catalog_fini(self);
    proxy_read_fini(self);
    proxy_directory_fini(self);
    member_fini(&self->member);
    mem_free(self);
}

static bool s_is_one_of(const method_t *method, method_fn *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (method->handler == list[i])
            return true;
    return false;
}

/* Who asks what there is is told of everything that was done before, by whatever proxy. */
static bool s_tells_catalog(const method_t *method)
{
    static method_fn *const s_tellers[] = {
        handle_describe_collection, handle_has_collection, handle_show_collections,
        handle_has_partition, handle_show_partitions, handle_describe_alias, handle_list_aliases,
        handle_describe_index, handle_get_index_state, handle_get_index_build_progress,
        handle_get_index_statistics, handle_describe_database, handle_list_databases,
        handle_get_load_state, handle_get_loading_progress,
    };
    return s_is_one_of(method, s_tellers, ARRAY_LEN(s_tellers));
}

/* Who is asked about the server itself answers before the catalog is known. */
static bool s_needs_catalog(const method_t *method)
{
    static method_fn *const s_without[] = {
        handle_unimplemented, handle_get_version, handle_check_health, handle_health,
        handle_get_component_states, handle_get_metrics, handle_alloc_timestamp, handle_connect,
    };
    return !s_is_one_of(method, s_without, ARRAY_LEN(s_without));
}

/* --- a call's way in: read it, have its route read the rest, handle it ---
 *
 * What is large is read by a job: the node has other clients. */

enum { STEP_BYTES = 256 << 10 };        /* messages up to this size are read in the step */

/* A route reads what it cannot understand without the collection's schema. */
typedef struct schema_job {
    proxy_call_t *call;
    schema_t *schema;           /* held */
} schema_job_t;

static err_t s_read_with_schema(ctx_t *job, void *arg)
{
    schema_job_t *read = arg;
    proxy_call_t *call = read->call;
    (void)job;
    return call->route->with_schema(call->ctx, call->json, read->schema, call->request);
}

static void s_read_all(proxy_node_t *self, proxy_call_t *call, const event_t *ev, actions_t *act,
                       err_t err)
{
    if (err != OK)
        proxy_status(self, call, act, err, ctx_strdup(call->ctx, call->ctx->text));
    else
        call->method->handler(self, call, ev, act);
}

static void s_schema_job_ended(void *node, void *arg, const event_t *ev, actions_t *act)
{
    schema_job_t *read = arg;
    schema_unref(&read->schema);
    s_read_all(node, read->call, ev, act, ev->err);
}

/* The schema of the collection that a request names; NULL when it is missing: then the handler
 * says so. */
static schema_t *s_schema(proxy_node_t *self, proxy_call_t *call)
{
    char *const *name = proxy_field(call->request, "collection_name", PROTOBUF_C_TYPE_STRING);
    check(name != NULL);
    const Elanus__Collection *coll = NULL;
    return proxy_collection(self, call, *name, &coll) == OK
        ? catalog_schema(self->catalog, coll->id) : NULL;
}

void proxy_handle(proxy_node_t *self, proxy_call_t *call, const event_t *ev, actions_t *act)
{
    bool reads = call->json && call->route->with_schema;
    schema_t *schema = reads ? s_schema(self, call) : NULL;
    if (schema && call->message.len > STEP_BYTES) {
        schema_job_t *read = mem_new(sizeof *read);
        *read = (schema_job_t){ .call = call, .schema = schema_ref(schema) };
        act_compute(act, s_read_with_schema, read,
                    wait_owned(self->member.waits, act, s_schema_job_ended, read));
        return;
    }
    schema_job_t read = { .call = call, .schema = schema };
    s_read_all(self, call, ev, act, schema ? s_read_with_schema(ev->ctx, &read) : OK);
}

static void s_enter(proxy_node_t *self, proxy_call_t *call, const event_t *ev, actions_t *act,
                    err_t err)
{
    if (!proxy_enter(self, call, act, err))
        return;
    if (s_tells_catalog(call->method))
        proxy_when(self, call, ev, act, NULL, proxy_look_first);
    else if (s_needs_catalog(call->method))
        proxy_when(self, call, ev, act, NULL, proxy_handle);
    else
        proxy_handle(self, call, ev, act);
}

static err_t s_read_request(ctx_t *job, void *arg)
{
    (void)job;
    return proxy_read_request(arg);
}

static void s_request_job_ended(void *node, void *arg, const event_t *ev, actions_t *act)
{
    s_enter(node, arg, ev, act, ev->err);
}

/* Who only asks whether we are alive would drive out what is worth looking at. */
static bool s_is_probe(const method_t *method)
{
    static method_fn *const s_probes[] = {
        handle_health, handle_check_health, handle_get_component_states,
    };
    return s_is_one_of(method, s_probes, ARRAY_LEN(s_probes));
}

/* A number that no other request and no other span has: it counts, and mixes (splitmix64) what
 * it counts with what is this incarnation's own. */
static uint64_t s_number(proxy_node_t *self)
{
    uint64_t number = self->member.self->incarnation + 0x9e3779b97f4a7c15u * ++self->traces;
    number = (number ^ number >> 30) * 0xbf58476d1ce4e5b9u;
    number = (number ^ number >> 27) * 0x94d049bb133111ebu;
    number ^= number >> 31;
    return number ? number : 1;
}

static void s_trace(proxy_node_t *self, proxy_call_t *call, actions_t *act)
{
    if (call->page || call->looks || s_is_probe(call->method))
        return;
    call->trace.span = s_number(self);
    call->trace.id = proxy_requests_trace(call->traceparent);
    if (call->trace.id == 0)
        call->trace.id = call->trace.span;
    act_trace(act, call->trace);
}

static void s_client(proxy_node_t *self, proxy_call_t *call, const event_t *ev, actions_t *act)
{
    self->open_calls++;
    self->client_calls += call->page == NULL && !call->looks;
    call->began_us = metrics_began(self->count.to);
    s_trace(self, call, act);
    if (!proxy_authenticate(self, call, act))
        return;
    if (call->page)
        pages_handle(self, call, ev, act);
    else if (call->message.len > STEP_BYTES)
        act_compute(act, s_read_request, call,
                    wait_once(self->member.waits, act, s_request_job_ended, call));
    else
        s_enter(self, call, ev, act, proxy_read_request(call));
}

static void s_step(void *node, const event_t *ev, actions_t *act)
{
    proxy_node_t *self = node;
    self->now = ev;
    if (member_step(&self->member, self, ev, act))
        return;
    switch (ev->kind) {
    case EV_ITEM:
        s_client(self, ev->item, ev, act);
        break;
    case EV_TIMER:
        if (ev->timer == TIMER_PROXY_ASK)
            proxy_ask_parked(self, ev, act);
        else if (ev->timer == TIMER_PROXY_WHEN)
            proxy_catalog_timer(self, ev, act);
        else if (ev->timer == TIMER_PROXY_NEWS)
            proxy_directory_timer(self, ev, act);
        else if (ev->timer == TIMER_PROXY_READS)
            proxy_read_timer(self, ev, act);
        else if (ev->timer == TIMER_PROXY_LOOK)
            proxy_links_follow(self, ev, act);
        break;
    case EV_START:
        proxy_catalog_start(self, act);
        proxy_directory_start(self, act);
        break;
    case EV_CALL:
        act_refuse(act, ev->call.from, ERR_UNIMPLEMENTED, "proxy has no method %u",
                   ev->call.method);
        break;
    case EV_PEER:
        proxy_links_event(self, ev, act);
        break;
    case EV_CANCELLED:
    case EV_REPLY:
    case EV_META:
    case EV_WATCH:
    case EV_JOB:
    case EV_STOP:
        break;
    }
}

static bool s_ready(const void *node)
{
    const proxy_node_t *self = node;
    return self->member.state == MEMBER_JOINED && self->member.leader_there &&
           catalog_synced(self->catalog);
}

static int64_t s_open_calls(const void *node)
{
    return (int64_t)((const proxy_node_t *)node)->open_calls;
}

static int64_t s_client_calls(const void *node)
{
    return (int64_t)((const proxy_node_t *)node)->client_calls;
}

static int64_t s_hedged(const void *node)
{
    return (int64_t)((const proxy_node_t *)node)->hedged;
}

static int64_t s_hedges_won(const void *node)
{
    return (int64_t)((const proxy_node_t *)node)->hedges_won;
}

static const figure_t s_figures[] = {
    { "elanus_proxy_open_calls", "client requests that have no answer yet", s_open_calls },
    { "elanus_proxy_client_calls_total", "requests that clients made", s_client_calls },
    { "elanus_proxy_reads_hedged_total", "reads asked of another replica as well", s_hedged },
    { "elanus_proxy_hedges_won_total", "and answered by that one first", s_hedges_won },
    { NULL, NULL, NULL },
};

const role_t proxy_role = {
    .name = "proxy", .make = s_make, .step = s_step, .end = s_end, .ready = s_ready,
    .figures = s_figures,
};
