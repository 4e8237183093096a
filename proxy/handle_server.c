/* handle_server - who is this server, and is it well: Connect, GetVersion, CheckHealth,
 * GetComponentStates, grpc.health.v1, and the answer to what is not implemented */
#include <stdio.h>

#include "health.pb-c.h"
#include "proxy/proxy_int.h"

void handle_unimplemented(proxy_node_t *self, proxy_call_t *call, const event_t *ev, actions_t *act)
{
    (void)ev;
    proxy_fail(self, call, act, PROXY_GRPC_UNIMPLEMENTED,
               "%s is not implemented by this server (%s)", call->method->name, PROXY_VERSION);
}

/* --- Connect --------------------------------------------------------------------- */

/* Never 0 (clients take that for "not supported"), and of one proxy never twice. */
static int64_t s_identifier(proxy_node_t *self, const event_t *ev)
{
    int64_t next = ev->wall_ms << 18 | (int64_t)(self->member.self->id & 0xff) << 10;
    self->last_identifier = next > self->last_identifier ? next : self->last_identifier + 1;
    return self->last_identifier;
}

static void s_connected(proxy_node_t *self, proxy_call_t *call, const event_t *ev, actions_t *act)
{
    Common__ServerInfo *info = ctx_new(call->ctx, sizeof *info);
    common__server_info__init(info);
    info->build_tags = PROXY_VERSION;
    info->build_time = __DATE__ " " __TIME__;
    info->git_commit = ELANUS_VERSION;
    info->go_version = "none: written in C";
    info->deploy_mode = self->member.self->standalone ? "STANDALONE" : "DISTRIBUTED";

    Milvus__ConnectResponse response = MILVUS__CONNECT_RESPONSE__INIT;
    response.status = proxy_status_new(call->ctx, OK, NULL);
    response.identifier = s_identifier(self, ev);
    response.server_info = info;
    proxy_answer(self, call, act, &response);
}

static void s_to_database(proxy_node_t *self, proxy_call_t *call, const event_t *ev,
                          actions_t *act)
{
    const Elanus__Database *db = NULL;
    err_t err = proxy_database(self, call, &db);
    if (err == OK)
        s_connected(self, call, ev, act);
    else
        proxy_refuse(self, call, ev, act, err);
}

void handle_connect(proxy_node_t *self, proxy_call_t *call, const event_t *ev, actions_t *act)
{
    if (strcmp(call->db, "default") == 0)
        s_connected(self, call, ev, act);       /* it is always there */
    else
        proxy_when(self, call, ev, act, NULL, s_to_database);
}

void handle_get_version(proxy_node_t *self, proxy_call_t *call, const event_t *ev, actions_t *act)
{
    (void)ev;
    Milvus__GetVersionResponse response = MILVUS__GET_VERSION_RESPONSE__INIT;
    response.status = proxy_status_new(call->ctx, OK, NULL);
    response.version = PROXY_VERSION;
    proxy_answer(self, call, act, &response);
}

/* --- health ------------------------------------------------------------------------ */

static bool s_needed(const Elanus__Cluster *cluster, const char *role)
{
    for (size_t i = 0; i < cluster->n_members; i++)
        if (strcmp(cluster->members[i]->info->role, role) == 0 &&
            cluster->members[i]->health == ELANUS__NODE_HEALTH__NODE_UP)
            return true;
    return false;
}

/* Healthy: a coordinator leads, and every role has a node that is up. */
static void s_healthy(proxy_node_t *self, proxy_call_t *call, const event_t *ev, actions_t *act)
{
    static const char *const s_roles[] = { "coord", "datanode", "querynode", "indexnode" };
    Milvus__CheckHealthResponse response = MILVUS__CHECK_HEALTH_RESPONSE__INIT;
    response.status = proxy_status_new(call->ctx, OK, NULL);
    response.reasons = ctx_new(call->ctx, (ARRAY_LEN(s_roles) + 1) * sizeof(char *));
    Elanus__Cluster *cluster = NULL;
    if (ev->err != OK)
        response.reasons[response.n_reasons++] = ctx_strdup(call->ctx, ev->text);
    else if (PB_UNPACK(call->ctx, elanus__cluster, ev->payload, &cluster) != OK)
        response.reasons[response.n_reasons++] = ctx_strdup(call->ctx, call->ctx->text);
    for (size_t i = 0; cluster && i < ARRAY_LEN(s_roles); i++)
        if (!s_needed(cluster, s_roles[i]))
            response.reasons[response.n_reasons++] =
                ctx_printf(call->ctx, "no %s is up", s_roles[i]);
    response.ishealthy = response.n_reasons == 0;
    proxy_answer(self, call, act, &response);
}

void handle_check_health(proxy_node_t *self, proxy_call_t *call, const event_t *ev, actions_t *act)
{
    proxy_ask(self, call, ev, act, ELANUS__METHOD__METHOD_CLUSTER, view_of("", 0), s_healthy);
}

static Milvus__ComponentInfo *s_component(ctx_t *ctx, uint64_t id, const char *role, bool up)
{
    Milvus__ComponentInfo *info = ctx_new(ctx, sizeof *info);
    milvus__component_info__init(info);
    info->nodeid = (int64_t)id;
    info->role = ctx_strdup(ctx, role);
    info->state_code = up ? COMMON__STATE_CODE__Healthy : COMMON__STATE_CODE__Abnormal;
    return info;
}

static void s_states(proxy_node_t *self, proxy_call_t *call, const event_t *ev, actions_t *act)
{
    ctx_t *ctx = call->ctx;
    Milvus__ComponentStates response = MILVUS__COMPONENT_STATES__INIT;
    response.status = proxy_status_new(ctx, OK, NULL);
    response.state = s_component(ctx, self->member.self->id, "proxy", true);
    Elanus__Cluster *cluster = NULL;
    if (ev->err == OK && PB_UNPACK(ctx, elanus__cluster, ev->payload, &cluster) == OK) {
        response.subcomponent_states = ctx_new(ctx, (cluster->n_members + 1) * sizeof(void *));
        for (size_t i = 0; i < cluster->n_members; i++) {
            const Elanus__Member *member = cluster->members[i];
            response.subcomponent_states[response.n_subcomponent_states++] =
                s_component(ctx, member->info->id, member->info->role,
                            member->health == ELANUS__NODE_HEALTH__NODE_UP);
        }
    }
    proxy_answer(self, call, act, &response);
}

void handle_get_component_states(proxy_node_t *self, proxy_call_t *call, const event_t *ev,
                                 actions_t *act)
{
    proxy_ask(self, call, ev, act, ELANUS__METHOD__METHOD_CLUSTER, view_of("", 0), s_states);
}

/* grpc.health.v1: the port answers, so it serves. */
void handle_health(proxy_node_t *self, proxy_call_t *call, const event_t *ev, actions_t *act)
{
    (void)ev;
    Health__HealthCheckResponse response = HEALTH__HEALTH_CHECK_RESPONSE__INIT;
    response.status = HEALTH__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING;
    proxy_answer(self, call, act, &response);
}

/* Rising on one proxy, and beside the clock of all: clients only compare it with rows'. */
void handle_alloc_timestamp(proxy_node_t *self, proxy_call_t *call, const event_t *ev,
                            actions_t *act)
{
    uint64_t now = (uint64_t)ev->wall_ms << 18;
    self->last_ts = now > self->last_ts ? now : self->last_ts + 1;
    Milvus__AllocTimestampResponse response = MILVUS__ALLOC_TIMESTAMP_RESPONSE__INIT;
    response.status = proxy_status_new(call->ctx, OK, NULL);
    response.timestamp = self->last_ts;
    proxy_answer(self, call, act, &response);
}
