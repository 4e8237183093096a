/* proxy_lots - see proxy_lots.h */
#include "proxy/proxy_lots.h"

enum {
    ONE_CALL_MS = 60000,        /* for one answer, for clients that set no deadline */
    SLOW_MS = 1000,             /* whoever was late is asked after others for so long */
};

/* --- whom to ask ---------------------------------------------------------------------- */

static bool s_was_asked(const read_lot_t *lot, uint64_t node)
{
    for (const read_call_t *call = lot ? lot->calls : NULL; call; call = call->next)
        if (call->node == node)
            return true;
    return false;
}

static bool s_is_avoided(const proxy_read_t *read, uint64_t node, int64_t now_ms)
{
    for (size_t i = 0; i < ARRAY_LEN(read->avoid); i++)
        if (read->avoid[i].node == node && now_ms < read->avoid[i].until_ms)
            return true;
    return false;
}

/* A question: who serves these vchannels? */
typedef struct {
    proxy_node_t *self;
    const proxy_read_t *read;
    const read_lot_t *lot;      /* whoever it has asked is out of question; NULL: nobody */
    const bool *wanted;         /* [n_vchannels] */
    int64_t now_ms;
    const Elanus__Replica **replicas;
    size_t n_replicas, turn;
} quest_t;

/* The leader of a vchannel in a replica, NULL when there is none or it should not be asked. */
static const Elanus__NodeInfo *s_leader(const quest_t *q, size_t r, size_t v)
{
    const Elanus__Replica *replica = q->replicas[(q->turn + r) % q->n_replicas];
    const Elanus__NodeInfo *node = NULL;
    for (size_t i = 0; i < replica->n_shards && !node; i++)
        if (strcmp(replica->shards[i]->vchannel, q->read->vchannels[v]) == 0)
            node = directory_node(q->self->directory, replica->shards[i]->leader);
    if (!node || !proxy_link_usable(q->self, node->address) || s_was_asked(q->lot, node->id) ||
        s_is_avoided(q->read, node->id, q->now_ms))
        return NULL;
    return node;
}

/* How much there is to be said against a node: its calls, or worse. */
static size_t s_load(const quest_t *q, const Elanus__NodeInfo *node)
{
    const proxy_link_t *link = proxy_link(q->self, node->address);
    if (!link)
        return SIZE_MAX / 2;
    size_t slow = q->now_ms < link->slow_until_ms ? SIZE_MAX / 4 : 0;
    return link->in_flight + slow + (link->state == LINK_UP ? 0 : SIZE_MAX / 8);
}

/* The most loaded of a replica's nodes says what the replica is worth; false: one is missing. */
static bool s_weigh(const quest_t *q, size_t r, size_t *ret_load)
{
    size_t most = 0;
    for (size_t v = 0; v < q->read->n_vchannels; v++) {
        if (!q->wanted[v])
            continue;
        const Elanus__NodeInfo *node = s_leader(q, r, v);
        if (!node)
            return false;
        size_t load = s_load(q, node);
        most = load > most ? load : most;
    }
    *ret_load = most;
    return true;
}

/* One replica for all, the least loaded that has them. */
static bool s_choose_replica(const quest_t *q, const Elanus__NodeInfo **nodes)
{
    size_t best = SIZE_MAX, least = SIZE_MAX, load = 0;
    for (size_t r = 0; r < q->n_replicas; r++) {
        if (!s_weigh(q, r, &load) || load >= least)
            continue;
        least = load;
        best = r;
    }
    for (size_t v = 0; best != SIZE_MAX && v < q->read->n_vchannels; v++)
        nodes[v] = q->wanted[v] ? s_leader(q, best, v) : NULL;
    return best != SIZE_MAX;
}

static const Elanus__NodeInfo *s_choose_node(const quest_t *q, size_t v)
{
    const Elanus__NodeInfo *best = NULL;
    for (size_t r = 0; r < q->n_replicas; r++) {
        const Elanus__NodeInfo *node = s_leader(q, r, v);
        if (node && (!best || s_load(q, node) < s_load(q, best)))
            best = node;
    }
    return best;
}

/* False when a vchannel has nobody; *ret_missing is its name. */
static bool s_choose(proxy_node_t *self, const proxy_read_t *read, const read_lot_t *lot,
                     const bool *wanted, const event_t *ev, const Elanus__NodeInfo **nodes,
                     const char **ret_missing)
{
    quest_t q = { .self = self, .read = read, .lot = lot, .wanted = wanted,
                  .now_ms = ev->now_ms, .turn = self->read_turn++ };
    q.n_replicas = directory_replicas(self->directory, ev->ctx, read->collection, &q.replicas);
    if (s_choose_replica(&q, nodes))
        return true;
    bool all = true;
    for (size_t v = 0; v < read->n_vchannels; v++) {
        nodes[v] = wanted[v] ? s_choose_node(&q, v) : NULL;
        if (nodes[v] || !wanted[v])
            continue;
        all = false;
        *ret_missing = read->vchannels[v];
    }
    return all;
}

/* --- asking -------------------------------------------------------------------------- */

static void s_replied(void *node, void *arg, const event_t *ev, actions_t *act)
{
    proxy_node_t *self = node;
    read_call_t *call = arg;
    call->ended = true;
    if (ev->err == OK && call->link)
        call->link->slow_until_ms = 0;
    if (ev->err == OK)
        proxy_pace_took(self, call->lot->part->read->collection, ev->now_ms - call->sent_ms);
    proxy_link_release(self, call->link, act);
    call->link = NULL;
    proxy_read_answered(self, call, ev, act);
}

/* The message for one node, with the vchannels of the call. */
static err_t s_pack(const read_call_t *call, buf_t *into)
{
    const proxy_read_t *read = call->lot->part->read;
    Elanus__ReadView *view = call->lot->part->view;
    ctx_t *ctx = read->call->ctx;
    view->vchannels = ctx_new(ctx, read->n_vchannels * sizeof(char *));
    view->n_vchannels = 0;
    for (size_t v = 0; v < read->n_vchannels; v++)
        if (call->has[v])
            view->vchannels[view->n_vchannels++] = read->vchannels[v];
    return wire_pack(ctx, call->lot->part->ask, into);
}

static err_t s_send(proxy_node_t *self, read_call_t *call, const char *address, const event_t *ev,
                    actions_t *act)
{
    proxy_read_t *read = call->lot->part->read;
    buf_t payload;
    buf_init(&payload, 0);
    if (s_pack(call, &payload) != OK) {
        buf_fini(&payload);
        return ERR_MEMORY;
    }
    int64_t deadline_ms = read->call->ctx->deadline_ms;
    int64_t left = deadline_ms == INT64_MAX ? ONE_CALL_MS : deadline_ms - ev->now_ms;
    call->ended = false;
    call->link = proxy_link_take(self, address);
    call->sent_ms = ev->now_ms;
    call->cookie = wait_once(self->member.waits, act, s_replied, call);
    call->lot->tries[call->at].n_left++;
    read->refs++;
    act_call_moved(act, address, read->method, &payload, left > 0 ? left : 1, call->cookie);
    return OK;
}

/* A call of the lot's newest try to the node of vchannel `first`, for all that are its own: they
 * are taken out of nodes. */
static err_t s_ask(proxy_node_t *self, read_lot_t *lot, size_t first,
                   const Elanus__NodeInfo **nodes, const event_t *ev, actions_t *act)
{
    size_t n = lot->part->read->n_vchannels;
    const Elanus__NodeInfo *node = nodes[first];
    read_call_t *call = mem_new(sizeof *call + n * sizeof call->has[0]);
    call->lot = lot;
    call->at = lot->n_tries - 1;
    call->node = node->id;
    call->ended = true;                         /* until it is sent */
    call->next = lot->calls;
    lot->calls = call;
    for (size_t v = first; v < n; v++) {
        if (!lot->has[v] || !nodes[v] || nodes[v]->id != call->node)
            continue;
        call->has[v] = true;
        nodes[v] = NULL;
    }
    return s_send(self, call, node->address, ev, act);
}

static void s_set_late(proxy_node_t *self, read_lot_t *lot, const event_t *ev, actions_t *act)
{
    bool more = lot->n_tries < LOT_TRIES && !self->options->no_hedge;
    lot->late_ms = INT64_MAX;
    if (more)
        lot->late_ms = ev->now_ms + proxy_pace_late_ms(self, lot->part->read->collection);
    proxy_read_look_at(self, more ? lot->late_ms : INT64_MAX, ev, act);
}

/* A lot of what is the first vchannel's node's, which is not open any more. */
static read_lot_t *s_lot(read_part_t *part, size_t first, const Elanus__NodeInfo **nodes)
{
    size_t n = part->read->n_vchannels;
    read_lot_t *lot = mem_new(sizeof *lot + n * sizeof lot->has[0]);
    lot->part = part;
    lot->next = part->lots;
    lot->n_tries = 1;
    part->lots = lot;
    part->n_lots++;
    for (size_t v = first; v < n; v++) {
        if (!nodes[v] || nodes[v]->id != nodes[first]->id)
            continue;
        lot->has[v] = true;
        part->open[v] = false;
    }
    return lot;
}

static err_t s_route(proxy_node_t *self, read_part_t *part, const event_t *ev, actions_t *act,
                     const char **ret_missing)
{
    size_t n = part->read->n_vchannels;
    const Elanus__NodeInfo **nodes = ctx_new(ev->ctx, (n + 1) * sizeof *nodes);
    (void)s_choose(self, part->read, NULL, part->open, ev, nodes, ret_missing);
    for (size_t v = 0; v < n; v++) {
        if (!nodes[v])
            continue;
        read_lot_t *lot = s_lot(part, v, nodes);
        TRY(s_ask(self, lot, v, nodes, ev, act));
        s_set_late(self, lot, ev, act);
    }
    return OK;
}

err_t proxy_lots_route(proxy_node_t *self, proxy_read_t *read, const event_t *ev, actions_t *act,
                       const char **ret_missing)
{
    for (size_t i = 0; i < read->n_parts; i++)
        TRY(s_route(self, &read->parts[i], ev, act, ret_missing));
    return OK;
}

const Elanus__NodeInfo *proxy_lots_cut_off(proxy_node_t *self, const proxy_read_t *read,
                                           const char *vchannel, const event_t *ev,
                                           actions_t *act)
{
    const Elanus__NodeInfo *found = NULL;
    const Elanus__Replica **replicas = NULL;
    size_t n = directory_replicas(self->directory, ev->ctx, read->collection, &replicas);
    for (size_t r = 0; r < n; r++) {
        for (size_t s = 0; s < replicas[r]->n_shards; s++) {
            if (strcmp(replicas[r]->shards[s]->vchannel, vchannel) != 0)
                continue;
            found = directory_node(self->directory, replicas[r]->shards[s]->leader);
            if (!found || !proxy_link_cut_off(self, found->address, ev, act))
                return NULL;
        }
    }
    return found;
}

/* --- another one --------------------------------------------------------------------- */

/* Those that kept us waiting are asked after others now. */
static void s_note_slow(const read_lot_t *lot, const event_t *ev)
{
    for (const read_call_t *call = lot->calls; call; call = call->next)
        if (!call->ended && call->link)
            call->link->slow_until_ms = ev->now_ms + SLOW_MS;
}

static void s_hedge(proxy_node_t *self, read_lot_t *lot, const event_t *ev, actions_t *act)
{
    size_t n = lot->part->read->n_vchannels;
    const Elanus__NodeInfo **nodes = ctx_new(ev->ctx, (n + 1) * sizeof *nodes);
    const char *missing = NULL;
    if (s_choose(self, lot->part->read, lot, lot->has, ev, nodes, &missing)) {
        read_try_t *attempt = &lot->tries[lot->n_tries++];
        s_note_slow(lot, ev);
        self->hedged++;
        for (size_t v = 0; v < n; v++)
            if (nodes[v] && s_ask(self, lot, v, nodes, ev, act) != OK)
                attempt->failed = true;         /* without memory the first try has to do */
    }
    s_set_late(self, lot, ev, act);
}

int64_t proxy_lots_hedge(proxy_node_t *self, proxy_read_t *read, const event_t *ev, actions_t *act)
{
    int64_t next_ms = INT64_MAX;
    for (size_t i = 0; i < read->n_parts; i++) {
        for (read_lot_t *lot = read->parts[i].lots; lot; lot = lot->next) {
            if (!lot->over && lot->late_ms <= ev->now_ms)
                s_hedge(self, lot, ev, act);
            if (!lot->over && lot->late_ms < next_ms)
                next_ms = lot->late_ms;
        }
    }
    return next_ms;
}

/* --- ends ---------------------------------------------------------------------------- */

/* Those of one try, or of all others. */
static void s_cancel(const read_lot_t *lot, size_t at, bool others, actions_t *act)
{
    for (const read_call_t *call = lot->calls; call; call = call->next)
        if (!call->ended && (call->at == at) != others)
            act_cancel(act, call->cookie);
}

void proxy_lot_won(proxy_node_t *self, read_call_t *call, actions_t *act)
{
    read_lot_t *lot = call->lot;
    read_part_t *part = lot->part;
    read_answer_t *answer = lot->tries[call->at].answers;
    self->hedges_won += call->at > 0;
    lot->over = true;
    part->n_lots--;
    s_cancel(lot, call->at, true, act);
    while (answer) {
        read_answer_t *next = answer->next;
        answer->next = part->answers;
        part->answers = answer;
        part->n_answers++;
        answer = next;
    }
}

void proxy_lot_failed(read_call_t *call, const event_t *ev, actions_t *act)
{
    read_lot_t *lot = call->lot;
    read_part_t *part = lot->part;
    proxy_read_t *read = part->read;
    size_t slot = read->n_avoided++ % ARRAY_LEN(read->avoid);
    read->avoid[slot].node = call->node;
    read->avoid[slot].until_ms = ev->now_ms + READ_RETRY_MS;
    lot->tries[call->at].failed = true;
    s_cancel(lot, call->at, false, act);
    for (size_t i = 0; i < lot->n_tries; i++)
        if (!lot->tries[i].failed)
            return;
    lot->over = true;
    part->n_lots--;
    for (size_t v = 0; v < read->n_vchannels; v++)
        part->open[v] |= lot->has[v];
}

void proxy_lots_cancel(proxy_read_t *read, actions_t *act)
{
    for (size_t i = 0; i < read->n_parts; i++)
        for (const read_lot_t *lot = read->parts[i].lots; lot; lot = lot->next)
            s_cancel(lot, LOT_TRIES, true, act);
}

void proxy_lots_free(proxy_read_t *read)
{
    for (size_t i = 0; i < read->n_parts; i++) {
        for (read_lot_t *lot = read->parts[i].lots, *next; lot; lot = next) {
            next = lot->next;
            while (lot->calls) {
                read_call_t *call = lot->calls;
                lot->calls = call->next;
                mem_free(call);
            }
            mem_free(lot);
        }
    }
}
