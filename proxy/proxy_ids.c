/* proxy_ids - numbers for rows whose primary key the server makes up
 *
 * The coordinator gives them out in blocks.  The proxy holds two: one it takes
 * from, and one it asked for when the first was begun.  So an insert waits for
 * the coordinator only when it is the first, or larger than a block.  What is
 * left of a block when the next is begun, or when the proxy ends, is lost:
 * there are 2^64.
 */
#include "proxy/proxy_int.h"

enum {
    BLOCK = 1 << 17,
    TRY_MS = 3000,
    RETRY_MS = 100,
};

struct ids_wait {
    ids_wait_t *next;
    uint64_t n;
    proxy_ids_fn *then;
    void *arg;
    int64_t give_up_ms;
};

static void s_ask(proxy_node_t *self, const event_t *ev, actions_t *act);

static bool s_take(ids_range_t *range, uint64_t n, uint64_t *ret)
{
    if (range->n < n)
        return false;
    *ret = range->first;
    range->first += n;
    range->n -= n;
    return true;
}

static bool s_take_any(ids_t *ids, uint64_t n, uint64_t *ret)
{
    if (s_take(&ids->now, n, ret))
        return true;
    if (ids->spare.n < n)
        return false;
    ids->now = ids->spare;
    ids->spare = (ids_range_t){0};
    return s_take(&ids->now, n, ret);
}

/* First come, first served; those behind one that still waits wait too. */
static void s_serve(proxy_node_t *self, const event_t *ev, actions_t *act)
{
    uint64_t first = 0;
    while (self->ids.waits && s_take_any(&self->ids, self->ids.waits->n, &first)) {
        ids_wait_t *wait = self->ids.waits;
        self->ids.waits = wait->next;
        wait->then(self, wait->arg, ev, act, OK, first);
        mem_free(wait);
    }
}

static void s_end_late(proxy_node_t *self, const event_t *ev, actions_t *act)
{
    for (ids_wait_t **at = &self->ids.waits; *at; ) {
        ids_wait_t *wait = *at;
        if (ev->now_ms < wait->give_up_ms) {
            at = &wait->next;
            continue;
        }
        *at = wait->next;
        wait->then(self, wait->arg, ev, act, ERR_SERVICE_UNAVAILABLE, 0);
        mem_free(wait);
    }
}

static void s_again(proxy_node_t *self, void *arg, const event_t *ev, actions_t *act)
{
    (void)arg;
    self->ids.resting = false;
    s_end_late(self, ev, act);
    if (self->ids.waits)
        s_ask(self, ev, act);
}

static err_t s_read(const event_t *ev, ids_range_t *ret)
{
    if (ev->err != OK)
        return ev->err;
    Elanus__IdRange *range = NULL;
    TRY(PB_UNPACK(ev->ctx, elanus__id_range, ev->payload, &range));
    *ret = (ids_range_t){ .first = range->first, .n = range->n };
    return OK;
}

static void s_told(void *node, void *arg, const event_t *ev, actions_t *act)
{
    (void)arg;
    proxy_node_t *self = node;
    ids_range_t range = {0};
    self->ids.asking = false;
    if (s_read(ev, &range) == OK) {
        if (range.n > self->ids.spare.n)
            self->ids.spare = range;
        s_serve(self, ev, act);
    } else {
        self->ids.resting = true;
        proxy_news(self, ev, act, RETRY_MS, s_again, NULL);
    }
    if (!self->ids.resting)
        s_ask(self, ev, act);
}

/* Ask unless there is enough, or a question is out. */
static void s_ask(proxy_node_t *self, const event_t *ev, actions_t *act)
{
    ids_t *ids = &self->ids;
    if (ids->asking || ids->resting || (!ids->waits && ids->spare.n > 0))
        return;
    if (!self->member.leader_there) {
        ids->resting = true;
        proxy_news(self, ev, act, RETRY_MS, s_again, NULL);
        return;
    }
    uint64_t n = ids->waits && ids->waits->n > BLOCK ? ids->waits->n : BLOCK;
    Elanus__AllocIds ask = ELANUS__ALLOC_IDS__INIT;
    ask.n = (uint32_t)n;
    ids->asking = true;
    act_call(act, self->member.leader_address, ELANUS__METHOD__METHOD_ALLOC_IDS,
             pb_pack(ev->ctx, &ask), TRY_MS, wait_once(self->member.waits, act, s_told, NULL));
}

void proxy_ids(proxy_node_t *self, const event_t *ev, actions_t *act, uint64_t n,
               int64_t give_up_ms, proxy_ids_fn *then, void *arg)
{
    check(n > 0 && n <= LIMIT_IDS);
    uint64_t first = 0;
    if (!self->ids.waits && s_take_any(&self->ids, n, &first)) {
        s_ask(self, ev, act);
        then(self, arg, ev, act, OK, first);
        return;
    }
    ids_wait_t *wait = mem_new(sizeof *wait);
    *wait = (ids_wait_t){ .n = n, .then = then, .arg = arg, .give_up_ms = give_up_ms };
    ids_wait_t **at = &self->ids.waits;
    while (*at)
        at = &(*at)->next;
    *at = wait;
    s_ask(self, ev, act);
}

void proxy_ids_fini(proxy_node_t *self)
{
    while (self->ids.waits) {
        ids_wait_t *wait = self->ids.waits;
        self->ids.waits = wait->next;
        mem_free(wait);
    }
}
