/* coord_seat - see coord_seat.h */
#include "coord/coord_seat.h"

#include "coord/coord_node.h"

static err_t s_options(ctx_t *ctx, daemon_t *daemon, host_options_t *ret)
{
    coord_options_t *options = ctx_new(ctx, sizeof *options);
    options->channels = config_int(daemon_config(daemon), "rootCoord.dmlChannelNum");
    options->groups = config_int(daemon_config(daemon),
                                 "quotaAndLimits.limits.maxResourceGroupNumOfQueryNode");
    options->balance = config_bool(daemon_config(daemon), "queryCoord.autoBalance");
    options->balance_interval_ms = config_int(daemon_config(daemon),
                                              "queryCoord.balanceIntervalSeconds");
    ret->role_options = options;        /* read while the node is made, which is before ctx ends */
    return OK;
}

const seat_t coord_seat = {
    .role = &coord_role, .port_key = "rootCoord.port", .ip_key = "rootCoord.ip",
    .wants_store = true, .options = s_options,
};
