/* proxy_gather - ask several nodes the same and go on when all have answered
 *
 *     find ─► a call to each target ─► all answered ─► then
 *      ▲ │                                 │
 *      │ └ a channel has no owner …        └ some error that passes: moved, unreachable
 *      └────────── news of the directory, or RETRY_MS ◄──────┘
 *
 * What is asked so can be asked again: questions, and seals and compactions,
 * which are done once however often they are asked for.  A try begins with find,
 * because meanwhile the owners may be others, or the collection gone.  Everything
 * lives in the call's arena, and the call ends only when no answer is due any more.
 */
#include "proxy/proxy_gather.h"

enum {
    PATIENCE_MS = 10000,        /* for clients that set no deadline */
    ONE_TRY_MS = 3000,
    RETRY_MS = 100,
};

typedef struct asked {
    proxy_gather_t *gather;
    size_t at;
} asked_t;

static void s_try(proxy_node_t *self, proxy_gather_t *gather, const event_t *ev, actions_t *act);

/* May the same, asked a little later, end better? */
static bool s_passes(err_t err)
{
    return err == ERR_NETWORK || err == ERR_OUTCOME_UNKNOWN || err == ERR_TIMEOUT ||
           err == ERR_MOVED || err == ERR_QUEUE_FULL || err == ERR_NODE_NOT_MATCH ||
           err == ERR_CHANNEL_NOT_AVAILABLE || err == ERR_SERVICE_NOT_READY ||
           err == ERR_NODE_NOT_AVAILABLE;
}

static void s_news(proxy_node_t *self, void *arg, const event_t *ev, actions_t *act)
{
    s_try(self, arg, ev, act);
}

void proxy_gather_again(proxy_node_t *self, proxy_gather_t *gather, const event_t *ev,
                        actions_t *act, int64_t wait_ms)
{
    check(gather->waiting == 0);
    proxy_news(self, ev, act, wait_ms, s_news, gather);
}

/* err and its text are in the call's ctx. */
static void s_failed(proxy_node_t *self, proxy_gather_t *gather, const event_t *ev, actions_t *act,
                     err_t err)
{
    if (s_passes(err) && ev->now_ms + RETRY_MS < gather->give_up_ms)
        proxy_gather_again(self, gather, ev, act, RETRY_MS);
    else
        proxy_refuse(self, gather->call, ev, act, err);
}

static void s_all_in(proxy_node_t *self, proxy_gather_t *gather, const event_t *ev, actions_t *act)
{
    const proxy_target_t *bad = NULL;
    for (size_t i = 0; i < gather->n && !gather->tolerant; i++)
        if (gather->targets[i].err != OK && (!bad || s_passes(bad->err)))
            bad = &gather->targets[i];          /* the one that does not pass says it best */
    if (!bad) {
        gather->then(self, gather, ev, act);
        return;
    }
    ctx_fail(gather->call->ctx, bad->err, "%s", bad->text);
    s_failed(self, gather, ev, act, bad->err);
}

static void s_replied(void *node, void *arg, const event_t *ev, actions_t *act)
{
    proxy_node_t *self = node;
    const asked_t *asked = arg;
    proxy_gather_t *gather = asked->gather;
    proxy_target_t *target = &gather->targets[asked->at];
    ctx_t *ctx = gather->call->ctx;
    target->err = ev->err;
    target->text = ev->err == OK ? "" : ctx_strdup(ctx, ev->text);
    if (ev->err == OK) {
        target->err = wire_unpack(ctx, gather->type, ev->payload,
                                  (ProtobufCMessage **)&target->answer);
        target->text = target->err == OK ? "" : ctx_strdup(ctx, ctx->text);
    }
    if (--gather->waiting == 0)
        s_all_in(self, gather, ev, act);
}

static void s_send(proxy_node_t *self, proxy_gather_t *gather, size_t at, const event_t *ev,
                   actions_t *act)
{
    int64_t left = gather->give_up_ms - ev->now_ms;
    const proxy_target_t *target = &gather->targets[at];
    asked_t *asked = ctx_new(gather->call->ctx, sizeof *asked);
    *asked = (asked_t){ .gather = gather, .at = at };
    act_call(act, target->address, gather->method, target->payload,
             left < ONE_TRY_MS ? (left > 0 ? left : 1) : ONE_TRY_MS,
             wait_once(self->member.waits, act, s_replied, asked));
}

static void s_try(proxy_node_t *self, proxy_gather_t *gather, const event_t *ev, actions_t *act)
{
    gather->n = 0;
    err_t err = gather->find(self, gather, ev);
    if (err != OK) {
        s_failed(self, gather, ev, act, err);
        return;
    }
    gather->waiting = gather->n;
    for (size_t i = 0; i < gather->n; i++)
        s_send(self, gather, i, ev, act);
    if (gather->n == 0)
        gather->then(self, gather, ev, act);
}

void proxy_gather(proxy_node_t *self, proxy_call_t *call, const proxy_gather_t *what,
                  const event_t *ev, actions_t *act)
{
    proxy_gather_t *gather = ctx_new(call->ctx, sizeof *gather);
    *gather = *what;
    gather->call = call;
    gather->began_ms = ev->now_ms;
    gather->give_up_ms = ev->now_ms + PATIENCE_MS;
    if (call->ctx->deadline_ms < gather->give_up_ms)
        gather->give_up_ms = call->ctx->deadline_ms;
    s_try(self, gather, ev, act);
}

/* --- targets ---------------------------------------------------------------------------- */

proxy_target_t *proxy_gather_target(proxy_gather_t *gather, const Elanus__NodeInfo *node,
                                    uint64_t of)
{
    ctx_t *ctx = gather->call->ctx;
    for (size_t i = 0; i < gather->n; i++)
        if (gather->targets[i].of == of && strcmp(gather->targets[i].address, node->address) == 0)
            return &gather->targets[i];
    if (gather->n == gather->room) {
        gather->room = gather->room ? gather->room * 2 : 8;
        proxy_target_t *more = ctx_new(ctx, gather->room * sizeof *more);
        if (gather->n > 0)
            memcpy(more, gather->targets, gather->n * sizeof *more);
        gather->targets = more;
    }
    proxy_target_t *target = &gather->targets[gather->n++];
    *target = (proxy_target_t){ .node = node->id, .of = of, .text = "",
                                .address = ctx_strdup(ctx, node->address) };
    return target;
}

err_t proxy_gather_owners(proxy_node_t *self, proxy_gather_t *gather,
                          const Elanus__Collection *coll, uint64_t of)
{
    ctx_t *ctx = gather->call->ctx;
    for (size_t v = 0; v < coll->n_vchannels; v++) {
        const Elanus__NodeInfo *node =
            directory_owner_node(self->directory, coll->vchannels[v], NULL);
        if (!node)
            return ctx_fail(ctx, ERR_CHANNEL_NOT_AVAILABLE, "channel not available[channel=%s]: "
                            "no data node has it open", coll->vchannels[v]);
        proxy_target_t *target = proxy_gather_target(gather, node, of);
        if (!target->vchannels)
            target->vchannels = ctx_new(ctx, coll->n_vchannels * sizeof(char *));
        target->vchannels[target->n_vchannels++] = ctx_strdup(ctx, coll->vchannels[v]);
    }
    return OK;
}

bool proxy_gather_leaders(proxy_node_t *self, proxy_gather_t *gather,
                          const Elanus__LoadedAsk *ask, uint64_t of)
{
    ctx_t *ctx = gather->call->ctx;
    view_t payload = pb_pack(ctx, ask);
    const Elanus__Replica **replicas = NULL;
    size_t n = directory_replicas(self->directory, ctx, ask->collection, &replicas);
    bool whole = n > 0;
    for (size_t r = 0; r < n; r++) {
        for (size_t s = 0; s < replicas[r]->n_shards; s++) {
            const Elanus__NodeInfo *node = directory_node(self->directory,
                                                          replicas[r]->shards[s]->leader);
            if (node)
                proxy_gather_target(gather, node, of)->payload = payload;
            else
                whole = false;
        }
    }
    return whole;
}

int64_t proxy_gather_percent(const proxy_gather_t *gather, uint64_t of, const char **ret_why)
{
    int64_t least = 100;
    bool any = false;
    for (size_t i = 0; i < gather->n; i++) {
        const proxy_target_t *target = &gather->targets[i];
        if (target->of != of)
            continue;
        const Elanus__Loaded *loaded = target->answer;
        int64_t percent = target->err == OK ? loaded->percent : 0;
        least = percent < least ? percent : least;
        any = true;
        if (ret_why && target->err == OK && percent < 100 && loaded->error[0])
            *ret_why = loaded->error;
    }
    return any ? least : 0;
}
