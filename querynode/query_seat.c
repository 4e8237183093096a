/* query_seat - see query_seat.h */
#include "querynode/query_seat.h"

#include "core/base/hostinfo.h"
#include "querynode/query_node.h"

/* What coord may place here: as configured, or that share of the machine's memory. */
static err_t s_memory(ctx_t *ctx, const config_t *config, int64_t percent, uint64_t *ret)
{
    hostinfo_t host;
    *ret = (uint64_t)config_int(config, "elanus.query.memory");
    if (*ret)
        return OK;
    TRY(hostinfo_read(ctx, NULL, &host));
    *ret = host.memory_total_bytes / 100 * (uint64_t)percent;
    return OK;
}

static err_t s_options(ctx_t *ctx, daemon_t *daemon, host_options_t *ret)
{
    const config_t *config = daemon_config(daemon);
    query_options_t *options = ctx_new(daemon_memory(daemon), sizeof *options);
    int64_t compute = config_int(config, "elanus.threads.compute");
    double cores = compute > 0 ? (double)compute : hostinfo_cores();
    double threads = cores * config_real(config, "queryNode.scheduler.maxReadConcurrentRatio");
    int64_t percent = config_int(config, "queryCoord.overloadedMemoryThresholdPercentage");
    uint64_t limit = 0;
    TRY(s_memory(ctx, config, percent, &limit));
    *options = (query_options_t){
        .store = daemon_store(daemon),
        .preload = !config_bool(config, "queryNode.mmap.mmapEnabled"),
        .memory_limit = limit,
        .memory_share = (double)percent / 100,
        .expire_ms = config_int(config, "common.entityExpiration"),
        .threads = threads < 1 ? 1 : (size_t)(threads + 0.5),
        .drain_ms = config_int(config, "queryNode.gracefulStopTimeout"),
        .most_reads = (size_t)config_int(config, "queryNode.scheduler.unsolvedQueueSize"),
    };
    ret->role_options = options;
    return OK;
}

const seat_t query_seat = {
    .role = &query_role, .port_key = "queryNode.port", .ip_key = "queryNode.ip",
    .wants_store = true, .options = s_options,
};
