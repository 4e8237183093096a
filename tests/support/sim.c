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

#include "tests/support/sim_int.h"

/* --- heap --- */

static bool s_before(const item_t *a, const item_t *b)
{
    return a->at_us < b->at_us || (a->at_us == b->at_us && a->number < b->number);
}

void sim_push(sim_t *self, item_t *item)
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

item_t *sim_item(sim_t *self, item_kind_t kind, int node, int64_t after_us)
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

void sim_item_free(item_t *item)
{
    ctx_fini(&item->mem);
    mem_free(item);
}

static int64_t s_between(sim_t *self, int64_t low_us, int64_t high_us)
{
    return low_us + (int64_t)rng_below(&self->rng, (uint64_t)(high_us - low_us + 1));
}

/* Mostly quick, now and then very slow. */
int64_t sim_latency(sim_t *self)
{
    return rng_chance(&self->rng, 0.01) ? s_between(self, 100000, 700000)
                                        : s_between(self, 100, 8000);
}

void sim_note(sim_t *self, const char *what, int node, uint64_t detail)
{
    const uint64_t words[] = { (uint64_t)self->now_us, (uint64_t)node, detail, (uint64_t)what[0] };
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        self->hash = (self->hash ^ words[i]) * 0x100000001b3u;
    if (self->trace)
        fprintf(stderr, "%10.3f %-10s %s-%" PRIu64 " %" PRIu64 "\n", (double)self->now_us / 1000,
                what, self->nodes[node].role->name, self->nodes[node].self.id, detail);
}

/* --- stepping --- */

static void s_act(sim_t *self, int node);

static int64_t s_sim_ms(void *arg)
{
    return ((sim_t *)arg)->now_us / 1000;
}

void sim_step(sim_t *self, int n, event_t *ev)
{
    sim_node_t *node = &self->nodes[n];
    ctx_t ctx;
    ctx_init(&ctx);
    ev->now_ms = (self->now_us + node->clock_us) / 1000;
    ev->wall_ms = 1700000000000 + ev->now_ms;
    ev->ctx = &ctx;
    if (!ev->text)
        ev->text = "";
    sim_note(self, ev->kind == EV_PEER ? "peer" : ev->kind == EV_META ? "meta" :
                 ev->kind == EV_WATCH ? "watch" : ev->kind == EV_TIMER ? "timer" : "event", n,
           (uint64_t)ev->kind * 1000003 + ev->cookie + (uint64_t)ev->err * 7919);
    self->steps++;
    self->at = n;
    node->role->step(node->node, ev, &node->act);
    s_act(self, n);
    self->at = -1;
    ctx_fini(&ctx);
    if (self->options.verify)
        self->options.verify(self, self->options.verify_arg);
}

static void s_drop_all(vec_t *items)
{
    for (size_t i = 0; i < items->len; i++)
        sim_item_free(*(item_t **)vec_at(items, i));
    items->len = 0;
}

/* What was put aside happens now, in its order. */
static void s_release(sim_t *self, vec_t *items)
{
    for (size_t i = 0; i < items->len; i++) {
        item_t *item = *(item_t **)vec_at(items, i);
        item->at_us = self->now_us;
        item->number = self->numbers++;
        sim_push(self, item);
    }
    items->len = 0;
}

static void s_end_node(sim_t *self, int n)
{
    sim_node_t *node = &self->nodes[n];
    node->alive = false;
    node->generation++;
    for (size_t i = 0; i < node->follows.len; i++)
        sim_meta_unfollow(*(follow_t **)vec_at(&node->follows, i));
    node->follows.len = 0;
    sim_jobs_end(self, n);
    s_drop_all(&node->held);
    s_drop_all(&node->unseen);
    node->links.len = 0;
    memset(node->timers, 0, sizeof node->timers);
    node->role->end(node->node);
    node->node = NULL;
    actions_fini(&node->act);
    node->paused = false;
}

/* --- actions --- */

int sim_by_address(const sim_t *self, const char *address)
{
    for (int i = 0; i < self->n_nodes; i++)
        if (strcmp(self->nodes[i].address, address) == 0)
            return i;
    return -1;
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
            item_t *due = sim_item(self, I_TIMER, n, after_ms * 1000);
            due->timer = timer;
            due->id = node->timers[i].version;
            sim_push(self, due);
        }
        return;
    }
    check(!"too many timers for one node");
}

static void s_do_work(sim_t *self, int n, const action_t *action)
{
    item_t *item = sim_item(self, action->kind == ACT_JOB ? I_JOB : I_META, n, sim_latency(self));
    item->ask = *action;
    if (action->kind == ACT_META) {
        item->ask.key = ctx_strdup(&item->mem, action->key);
        item->ask.txn = act_copy_txn(&item->mem, &action->txn);
    }
    sim_push(self, item);
}

static bool s_act_one(sim_t *self, int n, const action_t *action)
{
    switch (action->kind) {
    case ACT_CALL:    sim_net_call(self, n, action); break;
    case ACT_CANCEL:  sim_net_cancel(self, n, action->cookie); break;
    case ACT_REPLY:   sim_net_reply(self, n, action); break;
    case ACT_DIAL:    sim_net_dial(self, n, action->endpoint); break;
    case ACT_HANG_UP: sim_net_hang_up(self, n, action->endpoint); break;
    case ACT_TIMER:   s_do_timer(self, n, action->timer, action->after_ms); break;
    case ACT_META:    s_do_work(self, n, action); break;
    case ACT_JOB:
        if (self->options.fibers)
            sim_job_begin(self, n, action);
        else
            s_do_work(self, n, action);
        break;
    case ACT_ITEM:
        check(self->options.item != NULL);
        self->options.item(self, self->options.item_arg, n, action->item);
        break;
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

/* --- the loop --- */

static void s_run_timer(sim_t *self, item_t *item)
{
    sim_node_t *node = &self->nodes[item->node];
    for (size_t i = 0; i < ARRAY_LEN(node->timers); i++) {
        if (node->timers[i].timer == item->timer && node->timers[i].version == item->id) {
            event_t ev = { .kind = EV_TIMER, .timer = item->timer };
            sim_step(self, item->node, &ev);
            break;
        }
    }
    sim_item_free(item);
}

static void s_run_job(sim_t *self, item_t *item)
{
    event_t ev = { .kind = EV_JOB, .cookie = item->ask.cookie };
    ev.err = item->ask.fn(&item->mem, item->ask.item);
    ev.text = item->mem.text;
    ev.item = item->ask.item;
    sim_step(self, item->node, &ev);
    sim_item_free(item);
}

/* A transaction that was on its way when its node died may still arrive. */
static void s_run_orphan(sim_t *self, item_t *item)
{
    if (item->kind == I_META && item->ask.op == META_TXN && rng_chance(&self->rng, 0.5)) {
        meta_txn_result_t ignored = {0};
        err_t err = sim_meta_txn(self, item->incarnation, &item->mem, item->ask.txn, &ignored);
        sim_note(self, "orphan", item->node, (uint64_t)err);
    }
    sim_item_free(item);
}

static void s_run_item(sim_t *self, item_t *item)
{
    sim_node_t *node = &self->nodes[item->node];
    if (item->kind == I_DEED) {
        sim_deed_run(self, item);
        return;
    }
    if (item->kind != I_REPLY && (!node->alive || node->generation != item->generation)) {
        s_run_orphan(self, item);
        return;
    }
    bool on_the_wire = item->kind == I_META || item->kind == I_CALL || item->kind == I_REPLY;
    bool watch = item->kind == I_EVENT && item->ev.kind == EV_WATCH;
    if (watch && node->meta_cut && !item->arrived) {
        vec_push(&node->unseen, &item);
        return;
    }
    if (node->alive && node->paused && !on_the_wire) {
        item->arrived = true;                   /* a cut that begins now comes too late for it */
        vec_push(&node->held, &item);
        return;
    }
    switch (item->kind) {
    case I_EVENT:
        sim_step(self, item->node, &item->ev);
        sim_item_free(item);
        break;
    case I_TIMER:  s_run_timer(self, item); break;
    case I_META:   sim_meta_run(self, item); break;
    case I_CALL:   sim_net_run_call(self, item); break;
    case I_REPLY:  sim_net_run_reply(self, item); break;
    case I_EXPIRE: sim_net_run_expire(self, item); break;
    case I_LINK:   sim_net_run_link(self, item); break;
    case I_JOB:
        if (item->job)
            sim_job_run(self, item);
        else
            s_run_job(self, item);
        break;
    case I_DEED:   break;
    }
}

bool sim_until(sim_t *self, int64_t ms, bool (*done)(sim_t *sim, void *arg), void *arg)
{
    int64_t end = self->now_us + ms * 1000;
    while (!(done && done(self, arg))) {
        if (self->n_heap == 0 || self->heap[0]->at_us > end) {
            self->now_us = end;
            sim_meta_tick(self);
            return false;
        }
        item_t *item = s_pop(self);
        self->now_us = item->at_us > self->now_us ? item->at_us : self->now_us;
        sim_meta_tick(self);
        s_run_item(self, item);
    }
    return true;
}

void sim_run(sim_t *self, int64_t ms)
{
    sim_until(self, ms, NULL, NULL);
}

/* --- the hand of fate --- */

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
    vec_init(&node->jobs, sizeof(sim_job_t *));
    return n;
}

int sim_add_with(sim_t *self, const role_t *role, const void *options)
{
    int n = sim_add(self, role);
    self->nodes[n].options = options;
    return n;
}

void sim_start(sim_t *self, int n)
{
    sim_node_t *node = &self->nodes[n];
    check(!node->alive);
    node->alive = true;
    node->self.incarnation = rng_u64(&self->rng);
    int64_t skew_ms = self->options.skew_ms ? self->options.skew_ms : 3600000;
    node->clock_us = self->options.same_clocks ? 0 : s_between(self, 0, skew_ms * 1000);
    actions_init(&node->act);
    rng_seed(&node->act.rng, node->self.incarnation);
    node->node = node->role->make(&node->self, node->options);
    item_t *start = sim_item(self, I_EVENT, n, 0);
    start->ev = (event_t){ .kind = EV_START };
    start->ev.seed = node->self.incarnation;
    sim_push(self, start);
}

void sim_kill(sim_t *self, int n)
{
    sim_note(self, "kill", n, 0);
    if (self->nodes[n].alive)
        s_end_node(self, n);
}

void sim_stop(sim_t *self, int n)
{
    sim_note(self, "stop", n, 0);
    item_t *stop = sim_item(self, I_EVENT, n, 0);
    stop->ev = (event_t){ .kind = EV_STOP };
    sim_push(self, stop);
}

void sim_pause(sim_t *self, int n)
{
    sim_note(self, "pause", n, 0);
    self->nodes[n].paused = self->nodes[n].alive;
}

void sim_resume(sim_t *self, int n)
{
    sim_node_t *node = &self->nodes[n];
    sim_note(self, "resume", n, 0);
    node->paused = false;
    s_release(self, &node->held);
}

void sim_cut(sim_t *self, int from, int to, bool cut)
{
    sim_note(self, cut ? "cut" : "heal", from, (uint64_t)to);
    self->cut[from][to] = cut;
}

void sim_cut_meta(sim_t *self, int n, bool cut)
{
    sim_note(self, cut ? "cut-meta" : "heal-meta", n, 0);
    sim_node_t *node = &self->nodes[n];
    node->meta_cut = cut;
    if (cut)
        return;
    if (!node->paused) {
        s_release(self, &node->unseen);
        return;
    }
    for (size_t i = 0; i < node->unseen.len; i++) {     /* behind what it has not looked at yet */
        item_t *item = *(item_t **)vec_at(&node->unseen, i);
        item->arrived = true;
        vec_push(&node->held, &item);
    }
    node->unseen.len = 0;
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

/* --- making and looking --- */

sim_t *sim_current;

int64_t sim_node_now_ms(const sim_t *self, int n)
{
    return (self->now_us + self->nodes[n].clock_us) / 1000;
}

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
    self->at = -1;
    sim_current = self;
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
        vec_fini(&self->nodes[n].jobs);
    }
    while (self->n_heap) {
        item_t *item = s_pop(self);
        if (item->kind == I_DEED)
            item->deed(NULL, item->deed_arg);
        sim_item_free(item);
    }
    mem_free(self->heap);
    void *call = NULL;
    for (size_t at = 0; map_next(self->calls, &at, NULL, &call); )
        sim_net_forget(self, call);
    map_destroy(&self->calls);
    meta_destroy(&self->meta);
    sim_current = sim_current == self ? NULL : sim_current;
    mem_free(self);
    *self_p = NULL;
}

bool sim_alive(const sim_t *self, int n)             { return self->nodes[n].alive; }
bool sim_paused(const sim_t *self, int n)            { return self->nodes[n].paused; }
void *sim_node(const sim_t *self, int n)             { return self->nodes[n].node; }
const node_self_t *sim_self(const sim_t *self, int n) { return &self->nodes[n].self; }
int sim_nodes(const sim_t *self)                     { return self->n_nodes; }
int64_t sim_now_ms(const sim_t *self)                { return self->now_us / 1000; }
int64_t sim_now_us(const sim_t *self)                { return self->now_us; }
rng_t *sim_rng(sim_t *self)                          { return &self->rng; }
meta_t *sim_meta(sim_t *self)                        { return self->meta; }
uint64_t sim_hash(const sim_t *self)                 { return self->hash; }
uint64_t sim_steps(const sim_t *self)                { return self->steps; }
uint64_t sim_unguarded_writes(const sim_t *self)     { return self->unguarded; }
