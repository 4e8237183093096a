/* query_seat - see query_seat.h */
#include "querynode/query_seat.h"

#include "core/base/hostinfo.h"
#include "core/base/limits.h"
#include "core/base/log.h"
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

static const char *s_copies_dir(ctx_t *ctx, const config_t *config)
{
    const char *mapped = config_str(config, "queryNode.mmap.mmapDirPath");
    const char *local = config_str(config, "localStorage.path");
    if (mapped[0] || local[0])
        return mapped[0] ? mapped : local;
    return ctx_printf(ctx, "%s/local", config_str(config, "elanus.data.dir"));
}

/* A place for files that cannot be used costs memory, and no node. */
static void s_copies(ctx_t *ctx, const config_t *config, copies_t **ret)
{
    copies_options_t options = {
        .dir = s_copies_dir(ctx, config),
        .limit_bytes = (uint64_t)config_int(config, "elanus.query.disk"),
        .share = (double)config_int(config, "queryNode.maxDiskUsagePercentage") / 100,
        .least_bytes = LIMIT_STORE_COPY_LEAST,
    };
    if (copies_open(ctx, &options, ret) == OK)
        return;
    log_event(LOG_WARN, "indexes_in_memory", "why=\"%s\" help=\"set localStorage.path\"",
              ctx->text);
    ctx_clear(ctx);
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
    if (options->store && !store_maps(options->store))
        s_copies(ctx, config, &options->copies);
    ret->role_options = options;
    return OK;
}

const seat_t query_seat = {
    .role = &query_role, .port_key = "queryNode.port", .ip_key = "queryNode.ip",
    .wants_store = true, .options = s_options,
};
