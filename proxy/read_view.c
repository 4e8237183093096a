/* read_view - see read_view.h */
#include "proxy/read_view.h"

enum {
    GRACEFUL_MS = 5000,         /* common.gracefulTime: what Bounded means */
    MOST_LAG_S = 86400,
    TS_STRONG = 0, TS_EVENTUALLY = 1, TS_BOUNDED = 2,
};

static err_t s_level(ctx_t *ctx, int level, uint64_t guarantee_ts, Elanus__ReadView *ret)
{
    switch (level) {
    case COMMON__CONSISTENCY_LEVEL__Strong:
        ret->strong = true;
        return OK;
    case COMMON__CONSISTENCY_LEVEL__Bounded:
        ret->staleness_ms = GRACEFUL_MS;
        return OK;
    case COMMON__CONSISTENCY_LEVEL__Eventually:
        return OK;
    case COMMON__CONSISTENCY_LEVEL__Session:
    case COMMON__CONSISTENCY_LEVEL__Customized:
        ret->guarantee_ts = guarantee_ts > TS_BOUNDED ? guarantee_ts : 0;
        return OK;
    default:
        return ctx_fail(ctx, ERR_PARAM_INVALID, "unknown consistency level %d: invalid parameter",
                        level);
    }
}

/* Clients from before there were levels say all with the timestamp. */
static void s_by_ts(uint64_t guarantee_ts, Elanus__ReadView *ret)
{
    if (guarantee_ts == TS_BOUNDED)
        ret->staleness_ms = GRACEFUL_MS;
    else if (guarantee_ts > TS_BOUNDED)
        ret->guarantee_ts = guarantee_ts;
}

err_t read_view(ctx_t *ctx, const read_ask_t *ask, Elanus__ReadView *ret)
{
    uint64_t ts = ask->guarantee_ts;
    uint64_t last = (uint64_t)(ask->wall_ms + MOST_LAG_S * 1000) << 18;
    ret->strong = false;
    ret->guarantee_ts = ret->read_ts = 0;
    ret->staleness_ms = 0;
    if (ts > last)
        return ctx_fail(ctx, ERR_PARAM_INVALID, "Timestamp lag too large: guarantee timestamp %llu "
                        "is more than %d s ahead: invalid parameter", (unsigned long long)ts,
                        MOST_LAG_S);
    if (ask->iterator && ts > TS_BOUNDED) {
        ret->read_ts = ret->guarantee_ts = ts;
        return OK;
    }
    if (ask->use_default)
        return s_level(ctx, ask->collection_level, ts, ret);
    if (ask->level == COMMON__CONSISTENCY_LEVEL__Strong && ts > TS_STRONG) {
        s_by_ts(ts, ret);
        return OK;
    }
    return s_level(ctx, ask->level, ts, ret);
}
