/* sim - see sim.h
 *
 * One heap of items ordered by (time, number).  Items for a node carry its
 * generation: what was meant for a dead incarnation is dropped.  A frozen
 * node's items are put aside and handed over when it wakes.
 */
#include "tests/support/sim.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/map.h"
#include "core/node/member.h"
#include "core/wire/pb.h"

enum {
    MOST_NODES = 16,
    HEARTBEAT_MS = 200,
    MISSED = 5,
    RESEND_MS = 300,
    META_TIMEOUT_MS = 5000,
    TICK_MS = 50,
};

typedef enum { I_EVENT, I_TIMER, I_META, I_CALL, I_REPLY, I_EXPIRE, I_LINK, I_JOB } item_kind_t;

typedef struct item {
    int64_t at_us;
    uint64_t number;
    item_kind_t kind;
    int node;                   /* whom it concerns */
    uint64_t generation, incarnation;
    ctx_t mem;                  /* owns what the rest points to */
    event_t ev;                 /* EVENT */
    net_peer_t peer;
    action_t ask;               /* META, JOB */
    uint64_t id;                /* CALL, REPLY, EXPIRE: the call; TIMER: its version */
    uint32_t timer;
    int link;                   /* LINK */
    err_t err;                  /* REPLY */
    view_t payload;
    const char *text;
} item_t;

typedef struct {
    uint64_t id;
    int caller, callee;
    uint64_t caller_generation, done_generation;
    uint64_t cookie;
    ctx_t mem;
    uint32_t method;
    view_t payload;
    int64_t deadline_us;
} call_t;

typedef struct {
    char endpoint[64];
    bool open, up, told;
    int missed;
} link_t;

typedef struct {
    sim_t *sim;
    int node;
    uint64_t generation, cookie;
    int64_t last_us;            /* batches of one watch do not overtake each other */
    meta_watch_t *watch;
} follow_t;

typedef struct {
    const role_t *role;
    node_self_t self;
    char address[32];
    void *node;
    actions_t act;
    bool alive, paused, meta_cut;
    uint64_t generation;
    int64_t clock_us;           /* its clocks are off by this */
    vec_t held;                 /* of item_t *, while paused */
    vec_t unseen;               /* of item_t *: watch batches, while cut from metadata */
    vec_t links;                /* of link_t */
    vec_t follows;              /* of follow_t * */
    struct { uint32_t timer; uint64_t version; } timers[16];
} sim_node_t;

struct sim {
    sim_options_t options;
    rng_t rng;
    int64_t now_us, ticked_us;
    uint64_t numbers, hash, steps, unguarded;
    item_t **heap;
    size_t n_heap, cap_heap;
    meta_t *meta;
    map_t *calls;               /* id -> call_t */
    sim_node_t nodes[MOST_NODES];
    int n_nodes;
    bool cut[MOST_NODES][MOST_NODES];
    bool trace;
};

/* --- heap ---------------------------------------------------------------------- */

static bool s_before(const item_t *a, const item_t *b)
{
    return a->at_us < b->at_us || (a->at_us == b->at_us && a->number < b->number);
}

static void s_push(sim_t *self, item_t *item)
{
    if (self->n_heap == self->cap_heap) {
        self->cap_heap = self->cap_heap ? self->cap_heap * 2 : 256;
        self->heap = mem_resize(self->heap, self->cap_heap * sizeof self->heap[0]);
    }
    size_t at = self->n_heap++;
    for (; at > 0 && s_before(item, self->heap[(at - 1) / 2]); at = (at - 1) / 2)
        self->heap[at] = self->heap[(at - 1) / 2];
    self->heap[at] = item;
}

static item_t *s_pop(sim_t *self)
{
    item_t *top = self->heap[0], *last = self->heap[--self->n_heap];
    size_t at = 0;
    for (size_t child; (child = at * 2 + 1) < self->n_heap; at = child) {
        if (child + 1 < self->n_heap && s_before(self->heap[child + 1], self->heap[child]))
            child++;
        if (!s_before(self->heap[child], last))
            break;
        self->heap[at] = self->heap[child];
    }
    if (self->n_heap)
        self->heap[at] = last;
    return top;
}

static item_t *s_item(sim_t *self, item_kind_t kind, int node, int64_t after_us)
{
    item_t *item = mem_new(sizeof *item);
    item->kind = kind;
    item->at_us = self->now_us + after_us;
    item->number = self->numbers++;
    item->node = node;
    item->generation = self->nodes[node].generation;
    item->incarnation = self->nodes[node].self.incarnation;
    ctx_init(&item->mem);
    return item;
}

static void s_free(item_t *item)
{
    ctx_fini(&item->mem);
    mem_free(item);
}

static int64_t s_between(sim_t *self, int64_t low_us, int64_t high_us)
{
    return low_us + (int64_t)rng_below(&self->rng, (uint64_t)(high_us - low_us + 1));
}

/* Mostly quick, now and then very slow. */
static int64_t s_latency(sim_t *self)
{
    return rng_chance(&self->rng, 0.01) ? s_between(self, 100000, 700000)
                                        : s_between(self, 100, 8000);
}

static void s_note(sim_t *self, const char *what, int node, uint64_t detail)
{
    const uint64_t words[] = { (uint64_t)self->now_us, (uint64_t)node, detail, (uint64_t)what[0] };
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        self->hash = (self->hash ^ words[i]) * 0x100000001b3u;
    if (self->trace)
        fprintf(stderr, "%10.3f %-10s %s-%" PRIu64 " %" PRIu64 "\n", (double)self->now_us / 1000,
                what, self->nodes[node].role->name, self->nodes[node].self.id, detail);
}

/* --- stepping -------------------------------------------------------------------- */

static void s_act(sim_t *self, int node);

static int64_t s_sim_ms(void *arg)
{
    return ((sim_t *)arg)->now_us / 1000;
}

static void s_step(sim_t *self, int n, event_t *ev)
{
    sim_node_t *node = &self->nodes[n];
    ctx_t ctx;
    ctx_init(&ctx);
    ev->now_ms = (self->now_us + node->clock_us) / 1000;
    ev->wall_ms = 1700000000000 + ev->now_ms;
    ev->ctx = &ctx;
    if (!ev->text)
        ev->text = "";
    s_note(self, ev->kind == EV_PEER ? "peer" : ev->kind == EV_META ? "meta" :
                 ev->kind == EV_WATCH ? "watch" : ev->kind == EV_TIMER ? "timer" : "event", n,
           (uint64_t)ev->kind * 1000003 + ev->cookie + (uint64_t)ev->err * 7919);
    self->steps++;
    node->role->step(node->node, ev, &node->act);
    s_act(self, n);
    ctx_fini(&ctx);
    if (self->options.verify)
        self->options.verify(self, self->options.verify_arg);
}

static void s_drop_all(vec_t *items)
{
    for (size_t i = 0; i < items->len; i++)
        s_free(*(item_t **)vec_at(items, i));
    items->len = 0;
}

/* What was put aside happens now, in its order. */
static void s_release(sim_t *self, vec_t *items)
{
    for (size_t i = 0; i < items->len; i++) {
        item_t *item = *(item_t **)vec_at(items, i);
        item->at_us = self->now_us;
        item->number = self->numbers++;
        s_push(self, item);
    }
    items->len = 0;
}

static void s_end_node(sim_t *self, int n)
{
    sim_node_t *node = &self->nodes[n];
    node->alive = false;
    node->generation++;
    for (size_t i = 0; i < node->follows.len; i++) {
        follow_t *follow = *(follow_t **)vec_at(&node->follows, i);
        meta_unwatch(&follow->watch);
        mem_free(follow);
    }
    node->follows.len = 0;
    s_drop_all(&node->held);
    s_drop_all(&node->unseen);
    node->links.len = 0;
    memset(node->timers, 0, sizeof node->timers);
    node->role->end(node->node);
    node->node = NULL;
    actions_fini(&node->act);
    node->paused = false;
}

/* --- actions ------------------------------------------------------------------------ */

static int s_by_address(const sim_t *self, const char *address)
{
    for (int i = 0; i < self->n_nodes; i++)
        if (strcmp(self->nodes[i].address, address) == 0)
            return i;
    return -1;
}

static bool s_hears(const sim_t *self, int from, int to)
{
    return self->nodes[to].alive && !self->cut[from][to];
}

static void s_do_call(sim_t *self, int n, const action_t *action)
{
    call_t *call = mem_new(sizeof *call);
    *call = (call_t){
        .id = ++self->numbers, .caller = n, .callee = s_by_address(self, action->endpoint),
        .caller_generation = self->nodes[n].generation, .done_generation = UINT64_MAX,
        .cookie = action->cookie, .method = action->call.method,
        .deadline_us = self->now_us + action->call.timeout_ms * 1000,
    };
    ctx_init(&call->mem);
    check(ctx_copy(&call->mem, action->call.payload, &call->payload) == OK);
    map_put_u64(self->calls, call->id, call);
    item_t *send = s_item(self, I_CALL, n, s_latency(self));
    send->id = call->id;
    s_push(self, send);
    item_t *expire = s_item(self, I_EXPIRE, n, action->call.timeout_ms * 1000);
    expire->id = call->id;
    s_push(self, expire);
}

static void s_do_reply(sim_t *self, int n, const action_t *action)
{
    item_t *reply = s_item(self, I_REPLY, n, s_latency(self));
    reply->id = action->from.request_id;
    reply->err = action->err;
    reply->text = ctx_strdup(&reply->mem, action->text);
    check(ctx_copy(&reply->mem, action->payload, &reply->payload) == OK);
    s_push(self, reply);
}

static void s_do_dial(sim_t *self, int n, const char *endpoint)
{
    sim_node_t *node = &self->nodes[n];
    int at = -1;
    for (size_t i = 0; i < node->links.len; i++)
        if (strcmp(((link_t *)vec_at(&node->links, i))->endpoint, endpoint) == 0)
            at = (int)i;
    if (at < 0) {
        link_t fresh = {0};
        snprintf(fresh.endpoint, sizeof fresh.endpoint, "%s", endpoint);
        vec_push(&node->links, &fresh);
        at = (int)node->links.len - 1;
    }
    link_t *link = vec_at(&node->links, (size_t)at);
    if (link->open)
        return;
    *link = (link_t){ .open = true };
    snprintf(link->endpoint, sizeof link->endpoint, "%s", endpoint);
    item_t *tick = s_item(self, I_LINK, n, s_latency(self));
    tick->link = at;
    s_push(self, tick);
}

static void s_do_hang_up(sim_t *self, int n, const char *endpoint)
{
    sim_node_t *node = &self->nodes[n];
    for (size_t i = 0; i < node->links.len; i++) {
        link_t *link = vec_at(&node->links, i);
        if (strcmp(link->endpoint, endpoint) == 0)
            link->open = false;
    }
}

static void s_do_timer(sim_t *self, int n, uint32_t timer, int64_t after_ms)
{
    sim_node_t *node = &self->nodes[n];
    for (size_t i = 0; i < ARRAY_LEN(node->timers); i++) {
        if (node->timers[i].timer != timer && node->timers[i].timer != 0)
            continue;
        node->timers[i].timer = timer;
        node->timers[i].version = ++self->numbers;
        if (after_ms >= 0) {
            item_t *due = s_item(self, I_TIMER, n, after_ms * 1000);
            due->timer = timer;
            due->id = node->timers[i].version;
            s_push(self, due);
        }
        return;
    }
    check(!"too many timers for one node");
}

static void s_copy_txn(ctx_t *mem, meta_txn_t *txn)
{
    meta_cmp_t *cmps = ctx_new(mem, (txn->n_cmps + 1) * sizeof *cmps);
    meta_op_t *ops = ctx_new(mem, (txn->n_ops + 1) * sizeof *ops);
    for (size_t i = 0; i < txn->n_cmps; i++) {
        cmps[i] = txn->cmps[i];
        cmps[i].key = ctx_strdup(mem, cmps[i].key);
        check(ctx_copy(mem, cmps[i].value, &cmps[i].value) == OK);
    }
    for (size_t i = 0; i < txn->n_ops; i++) {
        ops[i] = txn->ops[i];
        ops[i].key = ctx_strdup(mem, ops[i].key);
        check(ctx_copy(mem, ops[i].value, &ops[i].value) == OK);
    }
    txn->cmps = cmps;
    txn->ops = ops;
}

static void s_do_work(sim_t *self, int n, const action_t *action)
{
    item_t *item = s_item(self, action->kind == ACT_JOB ? I_JOB : I_META, n, s_latency(self));
    item->ask = *action;
    if (action->kind == ACT_META) {
        item->ask.key = ctx_strdup(&item->mem, action->key);
        s_copy_txn(&item->mem, &item->ask.txn);
    }
    s_push(self, item);
}

static bool s_act_one(sim_t *self, int n, const action_t *action)
{
    switch (action->kind) {
    case ACT_CALL:    s_do_call(self, n, action); break;
    case ACT_REPLY:   s_do_reply(self, n, action); break;
    case ACT_DIAL:    s_do_dial(self, n, action->endpoint); break;
    case ACT_HANG_UP: s_do_hang_up(self, n, action->endpoint); break;
    case ACT_TIMER:   s_do_timer(self, n, action->timer, action->after_ms); break;
    case ACT_META:
    case ACT_JOB:     s_do_work(self, n, action); break;
    case ACT_ITEM:    check(!"no role of the simulator has clients yet"); break;
    case ACT_LEAVE:   return true;
    }
    return false;
}

static void s_act(sim_t *self, int n)
{
    sim_node_t *node = &self->nodes[n];
    bool leaves = false;
    for (size_t i = 0; i < node->act.list.len; i++)
        leaves |= s_act_one(self, n, vec_at(&node->act.list, i));
    actions_reset(&node->act);
    if (leaves)
        s_end_node(self, n);
}

/* --- metadata ------------------------------------------------------------------------- */

static void s_on_change(void *arg, const meta_change_t *changes, size_t n)
{
    follow_t *follow = arg;
    sim_t *self = follow->sim;
    int64_t after = s_latency(self);
    if (self->now_us + after < follow->last_us)
        after = follow->last_us - self->now_us;
    item_t *item = s_item(self, I_EVENT, follow->node, after);
    follow->last_us = item->at_us;
    item->generation = follow->generation;
    item->ev = (event_t){ .kind = EV_WATCH, .cookie = follow->cookie };
    meta_change_t *copy = ctx_new(&item->mem, (n + 1) * sizeof *copy);
    for (size_t i = 0; i < n; i++) {
        copy[i] = changes[i];
        copy[i].item.key = copy[i].item.key ? ctx_strdup(&item->mem, copy[i].item.key) : NULL;
        check(ctx_copy(&item->mem, copy[i].item.value, &copy[i].item.value) == OK);
    }
    item->ev.watch.changes = copy;
    item->ev.watch.n = n;
    s_push(self, item);
}

static bool s_starts(const char *key, const char *prefix)
{
    return strncmp(key, prefix, strlen(prefix)) == 0;
}

/* Does a write of this node need the election's guard, and does it hold the key now? */
static void s_check_guard(sim_t *self, uint64_t incarnation, const meta_txn_t *txn)
{
    bool guarded_key = false;
    for (size_t i = 0; i < txn->n_ops; i++)
        guarded_key |= !s_starts(txn->ops[i].key, MEMBER_SESSIONS) &&
                       !s_starts(txn->ops[i].key, MEMBER_LEADER_ROOT);
    if (!guarded_key)
        return;
    ctx_t ctx;
    ctx_init(&ctx);
    meta_item_t item = {0};
    Elanus__Leader *leader = NULL;
    bool holds = meta_get(&ctx, self->meta, MEMBER_LEADER_KEY, &item) == OK &&
                 PB_UNPACK(&ctx, elanus__leader, item.value, &leader) == OK &&
                 leader->info->incarnation == incarnation;
    if (!holds)
        self->unguarded++;
    ctx_fini(&ctx);
}

static err_t s_txn(sim_t *self, uint64_t incarnation, ctx_t *ctx, meta_txn_t txn,
                   meta_txn_result_t *ret)
{
    size_t kept = 0;
    meta_cmp_t cmps[16];
    for (size_t i = 0; i < txn.n_cmps; i++) {
        bool guard = strcmp(txn.cmps[i].key, MEMBER_LEADER_KEY) == 0 &&
                     strcmp(txn.ops[0].key, MEMBER_LEADER_KEY) != 0;
        check(kept < ARRAY_LEN(cmps));
        if (!(self->options.strip_guards && guard))
            cmps[kept++] = txn.cmps[i];
    }
    txn.cmps = cmps;
    txn.n_cmps = kept;
    meta_txn_result_t result = {0};
    TRY(meta_txn(ctx, self->meta, &txn, &result));
    if (result.applied)
        s_check_guard(self, incarnation, &txn);
    *ret = result;
    return OK;
}

static err_t s_run_op(sim_t *self, item_t *item, ctx_t *ctx, event_t *ev)
{
    const action_t *ask = &item->ask;
    switch (ask->op) {
    case META_GET:    return meta_get(ctx, self->meta, ask->key, &ev->meta.item);
    case META_LIST:   return meta_list(ctx, self->meta, ask->key, &ev->meta.items);
    case META_TXN:    return s_txn(self, item->incarnation, ctx, ask->txn, &ev->meta.txn);
    case META_GRANT:  return meta_lease_grant(ctx, self->meta, ask->ttl_ms, &ev->meta.lease);
    case META_KEEP:   return meta_lease_keep(ctx, self->meta, ask->lease);
    case META_REVOKE: return meta_lease_revoke(ctx, self->meta, ask->lease);
    case META_WATCH:  break;
    }
    return OK;
}

static void s_run_watch(sim_t *self, item_t *item)
{
    sim_node_t *node = &self->nodes[item->node];
    follow_t *follow = mem_new(sizeof *follow);
    *follow = (follow_t){ .sim = self, .node = item->node, .generation = node->generation,
                          .cookie = item->ask.cookie };
    vec_push(&node->follows, &follow);
    ctx_t ctx;
    ctx_init(&ctx);
    check(meta_watch(&ctx, self->meta, item->ask.key, s_on_change, follow, &follow->watch) == OK);
    ctx_fini(&ctx);
}

static void s_run_meta(sim_t *self, item_t *item)
{
    bool cut = self->nodes[item->node].meta_cut;
    if (item->ask.op == META_WATCH) {
        if (cut) {                              /* the host tries again until it works */
            item->at_us = self->now_us + 500000;
            item->number = self->numbers++;
            s_push(self, item);
            return;
        }
        s_run_watch(self, item);
        s_free(item);
        return;
    }
    item_t *back = s_item(self, I_EVENT, item->node, s_latency(self));
    back->ev = (event_t){ .kind = EV_META, .cookie = item->ask.cookie };
    bool lost = rng_chance(&self->rng, self->options.meta_lost);
    bool happens = !cut && (!lost || rng_chance(&self->rng, 0.5));
    if (happens)
        back->ev.err = s_run_op(self, item, &back->mem, &back->ev);
    if (cut || lost) {
        back->at_us += META_TIMEOUT_MS * 1000;
        back->ev.err = item->ask.op == META_TXN && lost ? ERR_OUTCOME_UNKNOWN : ERR_META;
    }
    back->ev.text = err_text(back->ev.err);
    s_push(self, back);
    s_free(item);
}

/* --- calls and links ---------------------------------------------------------------------- */

static void s_call_free(sim_t *self, call_t *call)
{
    map_del_u64(self->calls, call->id);
    ctx_fini(&call->mem);
    mem_free(call);
}

static void s_end_call(sim_t *self, call_t *call, err_t err, const char *text, view_t payload)
{
    sim_node_t *caller = &self->nodes[call->caller];
    if (caller->alive && caller->generation == call->caller_generation) {
        event_t ev = { .kind = EV_REPLY, .cookie = call->cookie, .err = err, .text = text };
        ev.payload = payload;
        s_step(self, call->caller, &ev);
    }
    s_call_free(self, call);
}

/* Deliver to the callee once for each of its incarnations; try until the deadline. */
static void s_run_call(sim_t *self, item_t *item)
{
    call_t *call = map_get_u64(self->calls, item->id);
    if (!call || self->nodes[call->caller].generation != call->caller_generation) {
        s_free(item);
        return;
    }
    bool there = call->callee >= 0 && s_hears(self, call->caller, call->callee) &&
                 !self->nodes[call->callee].paused;
    if (there && self->nodes[call->callee].generation != call->done_generation) {
        call->done_generation = self->nodes[call->callee].generation;
        const node_self_t *who = &self->nodes[call->caller].self;
        event_t ev = { .kind = EV_CALL };
        net_peer_t peer = { .node_id = who->id, .incarnation = who->incarnation };
        snprintf(peer.role, sizeof peer.role, "%s", who->role);
        ev.call.peer = &peer;
        ev.call.from = (net_from_t){ .request_id = call->id };
        ev.call.method = call->method;
        ev.call.payload = call->payload;
        ev.call.deadline_ms = (call->deadline_us + self->nodes[call->callee].clock_us) / 1000;
        s_step(self, call->callee, &ev);
    }
    item->at_us = self->now_us + RESEND_MS * 1000;
    item->number = self->numbers++;
    s_push(self, item);
}

static void s_run_reply(sim_t *self, item_t *item)
{
    call_t *call = map_get_u64(self->calls, item->id);
    bool frozen = call && self->nodes[call->caller].paused;
    if (call && (frozen || !s_hears(self, call->callee, call->caller))) {
        item->at_us = self->now_us + RESEND_MS * 1000;      /* asked again, answered again */
        item->number = self->numbers++;
        s_push(self, item);
        return;
    }
    if (call)
        s_end_call(self, call, item->err, item->text, item->payload);
    s_free(item);
}

static void s_tell_peer(sim_t *self, item_t *item, link_t *link, net_peer_state_t state)
{
    event_t ev = { .kind = EV_PEER };
    char endpoint[64];
    snprintf(endpoint, sizeof endpoint, "%s", link->endpoint);
    int other = s_by_address(self, endpoint);
    net_peer_t peer = {0};
    if (other >= 0) {
        peer.node_id = self->nodes[other].self.id;
        peer.incarnation = self->nodes[other].self.incarnation;
    }
    ev.peer.endpoint = endpoint;
    ev.peer.who = &peer;
    ev.peer.state = state;
    s_step(self, item->node, &ev);
}

static void s_run_link(sim_t *self, item_t *item)
{
    sim_node_t *node = &self->nodes[item->node];
    link_t *link = vec_at(&node->links, (size_t)item->link);
    if (!link->open) {
        s_free(item);
        return;
    }
    int other = s_by_address(self, link->endpoint);
    bool dead = other < 0 || !self->nodes[other].alive;
    bool hears = !dead && !self->nodes[other].paused && s_hears(self, item->node, other) &&
                 s_hears(self, other, item->node);
    link->missed = hears ? 0 : link->missed + (dead ? MISSED : 1);
    item->at_us = self->now_us + HEARTBEAT_MS * 1000;
    item->number = self->numbers++;
    s_push(self, item);
    bool was_up = link->up, was_told = link->told;
    if (hears && !was_up) {
        link->up = link->told = true;
        s_tell_peer(self, item, link, NET_UP);
    } else if (!hears && link->missed >= MISSED && (was_up || !was_told)) {
        link->up = false;
        link->told = true;
        s_tell_peer(self, item, link, NET_SUSPECT);
    }
}

/* --- the loop ------------------------------------------------------------------------------- */

static void s_run_timer(sim_t *self, item_t *item)
{
    sim_node_t *node = &self->nodes[item->node];
    for (size_t i = 0; i < ARRAY_LEN(node->timers); i++) {
        if (node->timers[i].timer == item->timer && node->timers[i].version == item->id) {
            event_t ev = { .kind = EV_TIMER, .timer = item->timer };
            s_step(self, item->node, &ev);
            break;
        }
    }
    s_free(item);
}

static void s_run_job(sim_t *self, item_t *item)
{
    event_t ev = { .kind = EV_JOB, .cookie = item->ask.cookie };
    ev.err = item->ask.fn(&item->mem, item->ask.item);
    ev.text = item->mem.text;
    ev.item = item->ask.item;
    s_step(self, item->node, &ev);
    s_free(item);
}

static void s_run_expire(sim_t *self, item_t *item)
{
    call_t *call = map_get_u64(self->calls, item->id);
    if (call)
        s_end_call(self, call, ERR_TIMEOUT, "no answer in time", view_of("", 0));
    s_free(item);
}

/* A transaction that was on its way when its node died may still arrive. */
static void s_run_orphan(sim_t *self, item_t *item)
{
    if (item->kind == I_META && item->ask.op == META_TXN && rng_chance(&self->rng, 0.5)) {
        meta_txn_result_t ignored = {0};
        err_t err = s_txn(self, item->incarnation, &item->mem, item->ask.txn, &ignored);
        s_note(self, "orphan", item->node, (uint64_t)err);
    }
    s_free(item);
}

static void s_run_item(sim_t *self, item_t *item)
{
    sim_node_t *node = &self->nodes[item->node];
    if (item->kind != I_REPLY && (!node->alive || node->generation != item->generation)) {
        s_run_orphan(self, item);
        return;
    }
    bool on_the_wire = item->kind == I_META || item->kind == I_CALL || item->kind == I_REPLY;
    if (node->alive && node->paused && !on_the_wire) {
        vec_push(&node->held, &item);
        return;
    }
    if (item->kind == I_EVENT && item->ev.kind == EV_WATCH && node->meta_cut) {
        vec_push(&node->unseen, &item);
        return;
    }
    switch (item->kind) {
    case I_EVENT:
        s_step(self, item->node, &item->ev);
        s_free(item);
        break;
    case I_TIMER:  s_run_timer(self, item); break;
    case I_META:   s_run_meta(self, item); break;
    case I_CALL:   s_run_call(self, item); break;
    case I_REPLY:  s_run_reply(self, item); break;
    case I_EXPIRE: s_run_expire(self, item); break;
    case I_LINK:   s_run_link(self, item); break;
    case I_JOB:    s_run_job(self, item); break;
    }
}

/* Leases end inside metadata calls, so there must be one now and then. */
static void s_tick(sim_t *self)
{
    if (self->now_us - self->ticked_us < TICK_MS * 1000)
        return;
    self->ticked_us = self->now_us;
    ctx_t ctx;
    ctx_init(&ctx);
    meta_item_t none;
    check(meta_get(&ctx, self->meta, "tick", &none) == ERR_KEY_NOT_FOUND);
    ctx_fini(&ctx);
}

bool sim_until(sim_t *self, int64_t ms, bool (*done)(sim_t *sim, void *arg), void *arg)
{
    int64_t end = self->now_us + ms * 1000;
    while (!(done && done(self, arg))) {
        if (self->n_heap == 0 || self->heap[0]->at_us > end) {
            self->now_us = end;
            s_tick(self);
            return false;
        }
        item_t *item = s_pop(self);
        self->now_us = item->at_us > self->now_us ? item->at_us : self->now_us;
        s_tick(self);
        s_run_item(self, item);
    }
    return true;
}

void sim_run(sim_t *self, int64_t ms)
{
    sim_until(self, ms, NULL, NULL);
}

/* --- the hand of fate -------------------------------------------------------------------------- */

int sim_add(sim_t *self, const role_t *role)
{
    check(self->n_nodes < MOST_NODES);
    int n = self->n_nodes++;
    sim_node_t *node = &self->nodes[n];
    snprintf(node->address, sizeof node->address, "sim://%s-%d", role->name, n);
    node->role = role;
    node->self = (node_self_t){
        .role = role->name, .cluster = "sim", .address = node->address, .ops_address = "",
        .host = "sim", .version = "sim", .id = (uint64_t)n + 1, .lease_ttl_ms = 10000,
        .heartbeat_ms = HEARTBEAT_MS,
    };
    vec_init(&node->held, sizeof(item_t *));
    vec_init(&node->unseen, sizeof(item_t *));
    vec_init(&node->links, sizeof(link_t));
    vec_init(&node->follows, sizeof(follow_t *));
    return n;
}

void sim_start(sim_t *self, int n)
{
    sim_node_t *node = &self->nodes[n];
    check(!node->alive);
    node->alive = true;
    node->self.incarnation = rng_u64(&self->rng);
    node->clock_us = s_between(self, 0, 3600000000);
    actions_init(&node->act);
    rng_seed(&node->act.rng, node->self.incarnation);
    node->node = node->role->make(&node->self, NULL);
    item_t *start = s_item(self, I_EVENT, n, 0);
    start->ev = (event_t){ .kind = EV_START };
    start->ev.seed = node->self.incarnation;
    s_push(self, start);
}

void sim_kill(sim_t *self, int n)
{
    s_note(self, "kill", n, 0);
    if (self->nodes[n].alive)
        s_end_node(self, n);
}

void sim_stop(sim_t *self, int n)
{
    s_note(self, "stop", n, 0);
    item_t *stop = s_item(self, I_EVENT, n, 0);
    stop->ev = (event_t){ .kind = EV_STOP };
    s_push(self, stop);
}

void sim_pause(sim_t *self, int n)
{
    s_note(self, "pause", n, 0);
    self->nodes[n].paused = self->nodes[n].alive;
}

void sim_resume(sim_t *self, int n)
{
    sim_node_t *node = &self->nodes[n];
    s_note(self, "resume", n, 0);
    node->paused = false;
    s_release(self, &node->held);
}

void sim_cut(sim_t *self, int from, int to, bool cut)
{
    s_note(self, cut ? "cut" : "heal", from, (uint64_t)to);
    self->cut[from][to] = cut;
}

void sim_cut_meta(sim_t *self, int n, bool cut)
{
    s_note(self, cut ? "cut-meta" : "heal-meta", n, 0);
    self->nodes[n].meta_cut = cut;
    if (!cut)
        s_release(self, &self->nodes[n].unseen);
}

void sim_heal(sim_t *self)
{
    memset(self->cut, 0, sizeof self->cut);
    for (int n = 0; n < self->n_nodes; n++) {
        sim_cut_meta(self, n, false);
        if (self->nodes[n].paused)
            sim_resume(self, n);
    }
}

/* --- making and looking -------------------------------------------------------------------------- */

sim_t *sim_new(const sim_options_t *options)
{
    map_fix_seed(options->seed + 1);
    sim_t *self = mem_new(sizeof *self);
    self->options = *options;
    rng_seed(&self->rng, options->seed);
    self->meta = meta_memory_new(s_sim_ms, self);
    self->calls = map_new();
    self->hash = 0xcbf29ce484222325u;
    self->trace = getenv("ELANUS_SIM_TRACE") != NULL;
    return self;
}

void sim_destroy(sim_t **self_p)
{
    sim_t *self = *self_p;
    if (!self)
        return;
    for (int n = 0; n < self->n_nodes; n++) {
        if (self->nodes[n].alive)
            s_end_node(self, n);
        vec_fini(&self->nodes[n].held);
        vec_fini(&self->nodes[n].unseen);
        vec_fini(&self->nodes[n].links);
        vec_fini(&self->nodes[n].follows);
    }
    while (self->n_heap)
        s_free(s_pop(self));
    mem_free(self->heap);
    void *call = NULL;
    for (size_t at = 0; map_next(self->calls, &at, NULL, &call); )
        s_call_free(self, call);
    map_destroy(&self->calls);
    meta_destroy(&self->meta);
    mem_free(self);
    *self_p = NULL;
}

bool sim_alive(const sim_t *self, int n)             { return self->nodes[n].alive; }
bool sim_paused(const sim_t *self, int n)            { return self->nodes[n].paused; }
void *sim_node(const sim_t *self, int n)             { return self->nodes[n].node; }
const node_self_t *sim_self(const sim_t *self, int n) { return &self->nodes[n].self; }
int sim_nodes(const sim_t *self)                     { return self->n_nodes; }
int64_t sim_now_ms(const sim_t *self)                { return self->now_us / 1000; }
rng_t *sim_rng(sim_t *self)                          { return &self->rng; }
meta_t *sim_meta(sim_t *self)                        { return self->meta; }
uint64_t sim_hash(const sim_t *self)                 { return self->hash; }
uint64_t sim_steps(const sim_t *self)                { return self->steps; }
uint64_t sim_unguarded_writes(const sim_t *self)     { return self->unguarded; }
