/* proxy_ask - questions to the leading coordinator
 *
 * Leaders change.  A question that finds none, or a standby, or nobody at
 * all, waits and is asked again: when the leader key changes, when a link
 * comes up, and every RETRY_MS, until the client's deadline or PATIENCE_MS.
 */
#include "proxy/proxy_int.h"

enum {
    PATIENCE_MS = 10000,        /* for clients that set no deadline */
    ONE_TRY_MS = 3000,
    RETRY_MS = 100,
};

struct ask {
    ask_t *next;
    proxy_call_t *call;
    uint32_t method;
    view_t payload;             /* in the call's arena */
    proxy_then_fn *then;
    int64_t give_up_ms;
    err_t err;                  /* of the last try */
    const char *text;
};

static void s_replied(void *node, void *arg, const event_t *ev, actions_t *act);

static void s_end(proxy_node_t *self, ask_t *ask, const event_t *ev, actions_t *act)
{
    event_t none = *ev;
    none.kind = EV_REPLY;
    none.err = ERR_SERVICE_UNAVAILABLE;
    none.text = ctx_printf(ask->call->ctx, "service unavailable: internal: the coordinator did not "
                           "answer in time (%s)", ask->text ? ask->text : "no coordinator leads");
    ask->then(self, ask->call, &none, act);
    mem_free(ask);
}

static void s_park(proxy_node_t *self, ask_t *ask, const event_t *ev, actions_t *act)
{
    if (ev->now_ms >= ask->give_up_ms) {
        s_end(self, ask, ev, act);
        return;
    }
    ask->next = self->parked;
    self->parked = ask;
    act_timer(act, TIMER_PROXY_ASK, RETRY_MS);
}

static void s_send(proxy_node_t *self, ask_t *ask, const event_t *ev, actions_t *act)
{
    int64_t left = ask->give_up_ms - ev->now_ms;
    if (!self->member.leader_there || left <= 0) {
        s_park(self, ask, ev, act);
        return;
    }
    trace_t before = act_trace(act, ask->call->trace);
    act_call(act, self->member.leader_address, ask->method, ask->payload,
             left < ONE_TRY_MS ? left : ONE_TRY_MS,
             wait_once(self->member.waits, act, s_replied, ask));
    act_trace(act, before);
}

/* May another try, perhaps with another leader, end better?  Whether a lost one was done makes
 * no difference: a change carries a token, and numbers that nobody got are no harm. */
static bool s_worth_another(err_t err)
{
    return err == ERR_NETWORK || err == ERR_OUTCOME_UNKNOWN ||
           err == ERR_SERVICE_NOT_READY || err == ERR_TIMEOUT || err == ERR_QUEUE_FULL ||
           err == ERR_META;
}

static void s_replied(void *node, void *arg, const event_t *ev, actions_t *act)
{
    proxy_node_t *self = node;
    ask_t *ask = arg;
    if (s_worth_another(ev->err)) {
        ask->err = ev->err;
        ask->text = ctx_strdup(ask->call->ctx, ev->text);
        s_park(self, ask, ev, act);
        return;
    }
    ask->then(self, ask->call, ev, act);
    mem_free(ask);
}

static void s_begin(proxy_node_t *self, proxy_call_t *call, const event_t *ev, actions_t *act,
                    ask_t what, int64_t most_ms)
{
    ask_t *ask = mem_new(sizeof *ask);
    *ask = what;
    ask->call = call;
    ask->give_up_ms = ev->now_ms + most_ms;
    if (call->ctx->deadline_ms < ask->give_up_ms)
        ask->give_up_ms = call->ctx->deadline_ms;
    s_send(self, ask, ev, act);
}

void proxy_ask(proxy_node_t *self, proxy_call_t *call, const event_t *ev, actions_t *act,
               uint32_t method, view_t payload, proxy_then_fn *then)
{
    s_begin(self, call, ev, act, (ask_t){ .method = method, .payload = payload, .then = then },
            PATIENCE_MS);
}

/* A question without a payload, for those who have another way when nobody answers. */
void proxy_ask_within(proxy_node_t *self, proxy_call_t *call, const event_t *ev, actions_t *act,
                      uint32_t method, int64_t most_ms, proxy_then_fn *then)
{
    s_begin(self, call, ev, act, (ask_t){ .method = method, .payload = view_of("", 0),
                                          .then = then }, most_ms);
}

void proxy_ask_parked(proxy_node_t *self, const event_t *ev, actions_t *act)
{
    ask_t *list = self->parked;
    self->parked = NULL;
    while (list) {
        ask_t *ask = list;
        list = ask->next;
        s_send(self, ask, ev, act);
    }
}

void proxy_ask_fini(proxy_node_t *self)
{
    while (self->parked) {
        ask_t *ask = self->parked;
        self->parked = ask->next;
        mem_free(ask);
    }
}
