/* coord_seat - see coord_seat.h */
#include "coord/coord_seat.h"

#include "coord/coord_node.h"

static err_t s_options(ctx_t *ctx, daemon_t *daemon, host_options_t *ret)
{
    coord_options_t *options = ctx_new(ctx, sizeof *options);
    const config_t *config = daemon_config(daemon);
    *options = (coord_options_t){
        .channels = config_int(config, "rootCoord.dmlChannelNum"),
        .groups = config_int(config, "quotaAndLimits.limits.maxResourceGroupNumOfQueryNode"),
        .balance = config_bool(config, "queryCoord.autoBalance"),
        .balance_interval_ms = config_int(config, "queryCoord.balanceIntervalSeconds"),
        .build_rows = (uint64_t)config_int(config,
                                           "indexCoord.segment.minSegmentNumRowsToEnableIndex"),
        .builds_a_node = 1 + (size_t)config_int(config, "indexNode.scheduler.buildParallel"),
        .store = daemon_store(daemon),
        .gc = config_bool(config, "dataCoord.enableGarbageCollection"),
        .gc_interval_ms = config_int(config, "dataCoord.gc.interval"),
        .gc_drop_ms = config_int(config, "dataCoord.gc.dropTolerance"),
    };
    ret->role_options = options;        /* read while the node is made, which is before ctx ends */
    return OK;
}

const seat_t coord_seat = {
    .role = &coord_role, .port_key = "rootCoord.port", .ip_key = "rootCoord.ip",
    .wants_store = true, .options = s_options,
};
