/* proxy_seat - see proxy_seat.h */
#include "proxy/proxy_seat.h"

#include <stdlib.h>

#include "proxy/proxy_actor.h"
#include "proxy/proxy_requests.h"

typedef struct {
    proxy_options_t options;
    proxy_actor_t *actor;
    proxy_requests_t *requests;
    const char *host;           /* the door's address, for the ready line */
} place_t;

static place_t *s_place(daemon_t *daemon)
{
    return *daemon_slot(daemon);
}

static err_t s_options(ctx_t *ctx, daemon_t *daemon, host_options_t *ret)
{
    (void)ctx;
    const config_t *config = daemon_config(daemon);
    place_t *place = mem_new(sizeof *place);
    *daemon_slot(daemon) = place;
    place->requests = proxy_requests_new(config_int(config, "proxy.slowQuerySpanInSeconds"));
    place->options = (proxy_options_t){
        .requests = place->requests,
        .authorization = config_bool(config, "common.security.authorizationEnabled"),
        .root_password = config_str(config, "common.security.defaultRootPassword"),
        .no_hedge = !config_bool(config, "elanus.proxy.hedge"),
        .hedge_ms = config_int(config, "elanus.proxy.hedgeDelay"),
        .build_rows = (uint64_t)config_int(config,
                                           "indexCoord.segment.minSegmentNumRowsToEnableIndex"),
    };
    place->actor = proxy_actor_new(place->requests);
    ret->role_options = &place->options;
    ret->sink = proxy_actor_sink;
    ret->sink_arg = place->actor;
    return OK;
}

#define X(name) \
    static double s_count_##name(void *arg) \
    { \
        door_stats_t stats = {0}; \
        proxy_actor_stats(arg, &stats); \
        return (double)stats.name; \
    }
DOOR_COUNTERS(X)
DOOR_GAUGES(X)
#undef X

/* What the door counted, for /metrics. */
static void s_show_counters(daemon_t *daemon, proxy_actor_t *actor)
{
    metrics_t *metrics = ops_metrics(daemon_ops(daemon));
#define X(name) \
    metrics_counter_fn(metrics, "elanus_door_" #name "_total", \
                       "counted at the clients' port: " #name, s_count_##name, actor);
    DOOR_COUNTERS(X)
#undef X
#define X(name) \
    metrics_gauge_fn(metrics, "elanus_door_" #name, "at the clients' port now: " #name, \
                     s_count_##name, actor);
    DOOR_GAUGES(X)
#undef X
}

static err_t s_open(ctx_t *ctx, daemon_t *daemon, host_t *host)
{
    const config_t *config = daemon_config(daemon);
    place_t *place = s_place(daemon);
    place->host = config_str(config, "elanus.proxy.address");
    const char *tls_mode = config_str(config, "common.security.tlsMode");
    door_options_t options = {
        .host = place->host, .port = (int)config_int(config, "proxy.port"),
        .tls_mode = (door_tls_mode_t)strtol(tls_mode, NULL, 10),
        .cert_file = config_str(config, "tls.serverPemPath"),
        .key_file = config_str(config, "tls.serverKeyPath"),
        .ca_file = config_str(config, "tls.caPemPath"),
        .message_bytes = (size_t)config_int(config, "proxy.grpc.serverMaxRecvSize"),
        .answer_bytes = (size_t)config_int(config, "proxy.grpc.serverMaxSendSize"),
    };
    TRY(proxy_actor_open(ctx, place->actor, host, &options));
    proxy_actor_pages(place->actor, host, daemon_ops(daemon));
    proxy_requests_count(place->requests, ops_metrics(daemon_ops(daemon)), host_self(host)->id);
    s_show_counters(daemon, place->actor);
    return OK;
}

static void s_stop(daemon_t *daemon)
{
    proxy_actor_stop(s_place(daemon)->actor,
                     config_int(daemon_config(daemon), "proxy.gracefulStopTimeout"));
}

static void s_close(daemon_t *daemon)
{
    place_t *place = s_place(daemon);
    if (!place)
        return;
    proxy_actor_destroy(&place->actor);
    proxy_requests_destroy(&place->requests);
    mem_free(place);
    *daemon_slot(daemon) = NULL;
}

static void s_ready_line(daemon_t *daemon, buf_t *into)
{
    const place_t *place = s_place(daemon);
    buf_addf(into, " grpc=%s:%d", place->host, proxy_actor_port(place->actor));
}

const seat_t proxy_seat = {
    .role = &proxy_role, .ip_key = "proxy.ip", .options = s_options, .open = s_open,
    .stop = s_stop, .close = s_close, .ready_line = s_ready_line,
};
