/* index_seat - see index_seat.h
 *
 * Builds have threads of their own, as many as there are cores, which give way to all others:
 * in standalone they share the machine with searches, and a build takes longer than anybody
 * waits for a search.
 */
#include "indexnode/index_seat.h"

#include "core/base/hostinfo.h"
#include "indexnode/index_node.h"

static err_t s_memory(ctx_t *ctx, const config_t *config, uint64_t *ret)
{
    hostinfo_t host = {0};
    *ret = (uint64_t)config_int(config, "elanus.index.memory");
    if (*ret == 0) {
        TRY(hostinfo_read(ctx, NULL, &host));
        *ret = host.memory_total_bytes / 4;
    }
    return OK;
}

static err_t s_options(ctx_t *ctx, daemon_t *daemon, host_options_t *ret)
{
    const config_t *config = daemon_config(daemon);
    index_options_t *options = ctx_new(daemon_memory(daemon), sizeof *options);
    TRY(s_memory(ctx, config, &options->memory_bytes));
    options->store = daemon_store(daemon);
    options->parallel = (size_t)config_int(config, "indexNode.scheduler.buildParallel");
    if (!ret->self.standalone)
        options->stop_ms = config_int(config, "indexNode.gracefulStopTimeout");
    size_t cores = (size_t)hostinfo_cores();
    options->threads = cores > options->parallel ? cores / options->parallel : 1;
    options->pool = pool_new("build", (int)(options->threads * options->parallel));
    pool_be_nice(options->pool);
    ret->compute = options->pool;
    ret->role_options = options;
    return OK;
}

const seat_t index_seat = {
    .role = &index_role, .port_key = "indexNode.port", .ip_key = "indexNode.ip",
    .wants_store = true, .options = s_options,
};
