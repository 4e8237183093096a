/* data_seat - see data_seat.h */
#include "datanode/data_seat.h"

#include <errno.h>
#include <sys/stat.h>

#include "core/base/hostinfo.h"
#include "datanode/data_node.h"

enum { REPLAY_READERS = 8 };    /* a round trip each, more than work */

/* <elanus.data.dir>/wal/<pchannel> */
static err_t s_open_disk(ctx_t *ctx, void *arg, const char *pchannel, wal_disk_t **ret)
{
    const char *dir = arg;
    if (mkdir(dir, 0750) != 0 && errno != EEXIST)
        return ctx_fail(ctx, errno == ENOSPC ? ERR_DISK_FULL : ERR_DISK,
                        "cannot make the directory %s: %s; check elanus.data.dir (--data)", dir,
                        strerror(errno));
    return wal_disk_open(ctx, ctx_printf(ctx, "%s/%s", dir, pchannel), ret);
}

static err_t s_memory(ctx_t *ctx, const config_t *config, uint64_t *ret)
{
    *ret = (uint64_t)config_int(config, "elanus.data.memory");
    if (!config_bool(config, "quotaAndLimits.enabled") ||
        !config_bool(config, "quotaAndLimits.limitWriting.memProtection.enabled"))
        *ret = 0;
    else if (*ret == 0) {
        hostinfo_t host = {0};
        TRY(hostinfo_read(ctx, NULL, &host));
        *ret = host.memory_total_bytes / 4;
    }
    return OK;
}

static uint64_t s_bytes(const config_t *config, const char *key)
{
    return (uint64_t)config_int(config, key);
}

static uint64_t s_share(const config_t *config, const char *bytes, const char *share)
{
    return (uint64_t)((double)config_int(config, bytes) * config_real(config, share));
}

static void s_read(const config_t *config, data_options_t *ret)
{
    ret->readers = REPLAY_READERS;
    ret->repeat_ms = config_int(config, "elanus.data.repeatTime");
    ret->seal_bytes = s_share(config, "dataCoord.segment.maxSize",
                              "dataCoord.segment.sealProportion");
    ret->seal_age_ms = config_int(config, "dataCoord.segment.maxLife");
    ret->seal_idle_ms = config_int(config, "dataCoord.segment.maxIdleTime");
    ret->seal_idle_bytes = s_bytes(config, "dataCoord.segment.minSizeFromIdleToSealed");
    ret->delete_bytes = s_bytes(config, "dataNode.segment.deleteBufBytes");
    ret->delete_age_ms = config_int(config, "dataNode.segment.syncPeriod");
    ret->segment_bytes = s_bytes(config, "dataCoord.segment.maxSize");
    ret->small_share = config_real(config, "dataCoord.segment.smallProportion");
    ret->compactable_share = config_real(config, "dataCoord.segment.compactableProportion");
    ret->expansion_rate = config_real(config, "dataCoord.segment.expansionRate");
    ret->retention_ms = config_int(config, "common.retentionDuration");
    ret->expire_ms = config_int(config, "common.entityExpiration");
    ret->compaction = config_bool(config, "dataCoord.enableCompaction");
    ret->auto_compaction = config_bool(config, "dataCoord.compaction.enableAutoCompaction");
    ret->gc = config_bool(config, "dataCoord.enableGarbageCollection");
    ret->gc_interval_ms = config_int(config, "dataCoord.gc.interval");
    ret->gc_missing_ms = config_int(config, "dataCoord.gc.missingTolerance");
    ret->gc_drop_ms = config_int(config, "dataCoord.gc.dropTolerance");
}

static err_t s_options(ctx_t *ctx, daemon_t *daemon, host_options_t *ret)
{
    const config_t *config = daemon_config(daemon);
    data_options_t *options = ctx_new(daemon_memory(daemon), sizeof *options);
    s_read(config, options);
    TRY(s_memory(ctx, config, &options->memory_bytes));
    options->store = daemon_store(daemon);
    if (ret->self.standalone) {
        options->open_disk = s_open_disk;
        options->disk_arg = ctx_printf(daemon_memory(daemon), "%s/wal",
                                       config_str(config, "elanus.data.dir"));
    }
    ret->role_options = options;
    return OK;
}

const seat_t data_seat = {
    .role = &data_role, .port_key = "dataNode.port", .ip_key = "dataNode.ip",
    .wants_store = true, .options = s_options,
};
