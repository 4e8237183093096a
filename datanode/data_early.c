/* data_early - calls that wait until a channel's rows are there
 *
 * Between ACTIVE and the end of the replay a channel takes writes and cannot say what it has.
 * Whoever asks waits here, with the question as it came, and asks again when the replay
 * has ended or the channel is not ours any more.
 */
#include "datanode/data_path.h"

#include "core/wire/pb.h"

typedef struct early {
    net_from_t from;
    trace_t trace;
    uint32_t method;
    uint64_t epoch;
    int64_t deadline_ms;
    view_t payload;             /* owned, behind this */
    uint8_t bytes[];
} early_t;

static bool s_is_early(const data_channel_t *channel)
{
    return channel && channel->state == CHANNEL_ACTIVE && !channel->replayed;
}

static bool s_concerns(const data_node_t *self, const char *vchannel)
{
    return s_is_early(map_get(self->channels, directory_pchannel(vchannel)));
}

static bool s_any(const data_node_t *self)
{
    bool any = false;
    for (size_t i = 0; i < self->all.len; i++)
        any |= s_is_early(*(data_channel_t **)vec_at(&self->all, i));
    return any;
}

static bool s_asks_early(const data_node_t *self, ctx_t *ctx, view_t payload)
{
    Elanus__FrontierAsk *ask = NULL;
    bool early = false;
    if (PB_UNPACK(ctx, elanus__frontier_ask, payload, &ask) != OK)
        return false;                           /* who answers it says so */
    for (size_t i = 0; i < ask->n_vchannels; i++)
        early |= s_concerns(self, ask->vchannels[i]);
    return early;
}

static bool s_follows_early(const data_node_t *self, ctx_t *ctx, view_t payload)
{
    Elanus__Follow *ask = NULL;
    return PB_UNPACK(ctx, elanus__follow, payload, &ask) == OK && s_concerns(self, ask->vchannel);
}

static bool s_must_wait(const data_node_t *self, ctx_t *ctx, uint32_t method, view_t payload)
{
    if (self->stopping || !s_any(self))
        return false;
    switch (method) {
    case ELANUS__METHOD__METHOD_FOLLOW:     return s_follows_early(self, ctx, payload);
    case ELANUS__METHOD__METHOD_FRONTIER:   return s_asks_early(self, ctx, payload);
    case ELANUS__METHOD__METHOD_SEGMENTS:
    case ELANUS__METHOD__METHOD_SEAL:
    case ELANUS__METHOD__METHOD_COMPACT:
    case ELANUS__METHOD__METHOD_COMPACTION: return true;
    default:                                return false;
    }
}

bool data_early_wait(data_node_t *self, const event_t *ev, actions_t *act)
{
    if (!s_must_wait(self, ev->ctx, ev->call.method, ev->call.payload))
        return false;
    size_t len = ev->call.payload.len;
    early_t *early = self->early.len < LIMIT_DATA_QUESTIONS && len <= LIMIT_DATA_EARLY_BYTES
                   ? mem_try(ev->ctx, sizeof *early + len) : NULL;
    if (!early) {
        act_refuse(act, ev->call.from, ERR_QUEUE_FULL, "a channel is being read, and %zu calls "
                   "wait for that: ask again in a moment", self->early.len);
        return true;
    }
    *early = (early_t){ .from = ev->call.from, .method = ev->call.method, .epoch = ev->call.epoch,
                        .trace = ev->trace, .deadline_ms = ev->call.deadline_ms };
    memcpy(early->bytes, ev->call.payload.ptr, len);
    early->payload = view_of(early->bytes, len);
    vec_push(&self->early, &early);
    return true;
}

static void s_do(data_node_t *self, const early_t *early, const event_t *ev, actions_t *act)
{
    event_t call = { .kind = EV_CALL, .now_ms = ev->now_ms, .wall_ms = ev->wall_ms,
                     .ctx = ev->ctx, .text = "", .trace = early->trace };
    call.call.from = early->from;
    call.call.method = early->method;
    call.call.epoch = early->epoch;
    call.call.deadline_ms = early->deadline_ms;
    call.call.payload = early->payload;
    trace_t before = act_trace(act, early->trace);
    if (early->deadline_ms > ev->now_ms)
        data_node_call(self, &call, act);
    act_trace(act, before);
}

void data_early_look(data_node_t *self, const event_t *ev, actions_t *act)
{
    vec_t waiting = self->early;                /* who has to wait again is appended anew */
    vec_init(&self->early, sizeof(early_t *));
    for (size_t i = 0; i < waiting.len; i++) {
        early_t *early = *(early_t **)vec_at(&waiting, i);
        s_do(self, early, ev, act);
        mem_free(early);
    }
    vec_fini(&waiting);
}

void data_early_cancelled(data_node_t *self, net_from_t from)
{
    for (size_t i = 0; i < self->early.len; i++) {
        early_t *early = *(early_t **)vec_at(&self->early, i);
        if (early->from.link != from.link || early->from.request_id != from.request_id)
            continue;
        mem_free(early);
        vec_remove(&self->early, i);
        return;
    }
}

void data_early_end(data_node_t *self)
{
    for (size_t i = 0; i < self->early.len; i++)
        mem_free(*(early_t **)vec_at(&self->early, i));
    vec_fini(&self->early);
}
