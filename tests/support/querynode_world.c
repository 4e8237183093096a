/* querynode_world - see querynode_world.h; here the bag, and the nodes' lives */
#include "tests/support/querynode_world_int.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/base/clock.h"
#include "core/base/fault.h"
#include "core/node/member.h"
#include "core/segment/live.h"
#include "core/wire/pb.h"

/* --- the bag ----------------------------------------------------------------------------- */

static pending_t *s_pend(querynode_world_t *w, pending_kind_t kind, size_t node)
{
    pending_t *p = mem_new(sizeof *p);
    p->kind = kind;
    p->node = node;
    p->incarnation = w->nodes[node].who.incarnation;
    ctx_init(&p->memory);
    vec_push(&w->bag, &p);
    return p;
}

void qw_pending_free(pending_t *p)
{
    ctx_fini(&p->memory);
    mem_free(p);
}

static pending_t *s_reply(querynode_world_t *w, size_t node, uint64_t incarnation, uint64_t cookie,
                          err_t err)
{
    pending_t *p = s_pend(w, P_EVENT, node);
    p->incarnation = incarnation;
    p->ev = (event_t){ .kind = EV_REPLY, .cookie = cookie, .err = err, .text = err_text(err) };
    p->ev.payload = view_of("", 0);
    return p;
}

void qw_reply_later(querynode_world_t *w, const pending_t *call, err_t err, const void *message)
{
    pending_t *p = s_reply(w, call->node, call->incarnation, call->ask.cookie, err);
    if (message)
        p->ev.payload = pb_pack(&p->memory, message);
}

static void s_on_change(void *arg, const meta_change_t *changes, size_t n)
{
    follow_t *follow = arg;
    pending_t *p = s_pend(follow->world, P_WATCH, follow->node);
    p->order = follow->cookie + ((uint64_t)follow->node << 32);
    p->segments = follow->segments;
    p->ev = (event_t){ .kind = EV_WATCH, .cookie = follow->cookie };
    meta_change_t *copy = ctx_new(&p->memory, (n + 1) * sizeof *copy);
    for (size_t i = 0; i < n; i++) {
        copy[i] = changes[i];
        copy[i].item.key = copy[i].item.key ? ctx_strdup(&p->memory, copy[i].item.key) : NULL;
        check(ctx_copy(&p->memory, copy[i].item.value, &copy[i].item.value) == OK);
    }
    p->ev.watch.changes = copy;
    p->ev.watch.n = n;
}

static void s_watch(querynode_world_t *w, size_t node, const action_t *action)
{
    follow_t *follow = mem_new(sizeof *follow);
    *follow = (follow_t){ .world = w, .cookie = action->cookie, .node = node,
                          .segments = strcmp(action->key, "seg/") == 0 };
    vec_push(&w->follows, &follow);
    check(meta_watch(&w->ctx, w->meta, action->key, s_on_change, follow, &follow->watch) == OK);
}

static void s_keep(querynode_world_t *w, size_t node, const action_t *action, pending_kind_t kind)
{
    pending_t *p = s_pend(w, kind, node);
    p->ask = *action;
    if (kind == P_META) {
        p->ask.key = ctx_strdup(&p->memory, action->key);
        p->ask.txn = act_copy_txn(&p->memory, &action->txn);
    } else if (kind == P_CALL) {
        p->ask.endpoint = ctx_strdup(&p->memory, action->endpoint);
        check(ctx_copy(&p->memory, action->call.payload, &p->ask.call.payload) == OK);
    }
}

/* --- reads come back --------------------------------------------------------------------- */

static void s_take_rows(const Elanus__Rows *rows, ctx_t *ctx, qw_answer_t *ret)
{
    ret->read_ts = rows->read_ts;
    ret->count = rows->count;
    if (!rows->pks.len)
        return;
    column_t pks;
    size_t len = 0;
    check(column_read(ctx, view_of(rows->pks.data, rows->pks.len), &pks, &len) == OK);
    check(pks.n <= ARRAY_LEN(ret->pks) && rows->ts.len == 8 * pks.n);
    ret->n = pks.n;
    for (size_t i = 0; i < pks.n; i++)
        ret->pks[i] = load_i64(column_cell(&pks, i).ptr);
    if (pks.n)
        memcpy(ret->ts, rows->ts.data, rows->ts.len);
}

/* The call that a node answers, if the asker still wants it. */
static void s_peer_answered(querynode_world_t *w, const action_t *action)
{
    for (size_t i = 0; i < w->peer_calls.len; i++) {
        peer_call_t call = *(peer_call_t *)vec_at(&w->peer_calls, i);
        if (call.request != action->from.request_id)
            continue;
        vec_swap_remove(&w->peer_calls, i);
        pending_t *p = s_reply(w, call.from, call.incarnation, call.cookie, action->err);
        p->ev.text = ctx_strdup(&p->memory, action->text ? action->text : "");
        if (action->err == OK)
            check(ctx_copy(&p->memory, action->payload, &p->ev.payload) == OK);
        return;
    }
}

static void s_answered(querynode_world_t *w, const action_t *action)
{
    ctx_t ctx;
    ctx_init(&ctx);
    if (action->from.link == LINK_PEER) {
        s_peer_answered(w, action);
        return;
    }
    if (w->loaded_ctx && action->from.link == LINK_LOADED) {
        check(action->err == OK && PB_UNPACK(w->loaded_ctx, elanus__loaded, action->payload,
                                             &w->loaded) == OK);
        return;
    }
    for (size_t i = 0; i < w->asked.len; i++) {
        asked_t asked = *(asked_t *)vec_at(&w->asked, i);
        if (asked.request != action->from.request_id)
            continue;
        asked.ret->there = true;
        asked.ret->err = action->err;
        snprintf(asked.ret->text, sizeof asked.ret->text, "%s", action->text);
        Elanus__Rows *rows = NULL;
        if (action->err == OK) {
            check(PB_UNPACK(&ctx, elanus__rows, action->payload, &rows) == OK);
            s_take_rows(rows, &ctx, asked.ret);
        }
        vec_swap_remove(&w->asked, i);
        ctx_fini(&ctx);
        return;
    }
    check(!"an answer to nobody");
}

/* A call that waits to be sent ends; one that has arrived is answered to nobody. */
static void s_call_off(querynode_world_t *w, size_t node, uint64_t cookie)
{
    for (size_t i = 0; i < w->bag.len; i++) {
        pending_t *p = *(pending_t **)vec_at(&w->bag, i);
        if (p->kind != P_CALL || p->node != node || p->ask.cookie != cookie)
            continue;
        vec_remove(&w->bag, i);
        qw_reply_later(w, p, ERR_CANCELED, NULL);
        qw_pending_free(p);
        return;
    }
    for (size_t i = 0; i < w->peer_calls.len; i++) {
        peer_call_t call = *(peer_call_t *)vec_at(&w->peer_calls, i);
        if (call.from != node || call.cookie != cookie)
            continue;
        vec_swap_remove(&w->peer_calls, i);
        s_reply(w, node, call.incarnation, cookie, ERR_CANCELED);
        pending_t *p = s_pend(w, P_EVENT, call.to);
        p->ev = (event_t){ .kind = EV_CANCELLED };
        p->ev.call.from = (net_from_t){ .link = LINK_PEER, .request_id = call.request };
        return;
    }
}

static void s_act(querynode_world_t *w, size_t node, const action_t *action)
{
    switch (action->kind) {
    case ACT_META:
        if (action->op == META_WATCH)
            s_watch(w, node, action);
        else
            s_keep(w, node, action, P_META);
        break;
    case ACT_JOB:
        s_keep(w, node, action, P_JOB);
        break;
    case ACT_CALL:
        s_keep(w, node, action, P_CALL);
        break;
    case ACT_CANCEL:
        s_call_off(w, node, action->cookie);
        break;
    case ACT_TIMER:
        if (action->timer == 100)
            w->nodes[node].timer_ms = action->after_ms < 0 ? INT64_MAX
                                                           : w->now_ms + action->after_ms;
        break;
    case ACT_REPLY:
        s_answered(w, action);
        if (action->moved)
            buf_fini(&(buf_t){ .ptr = (uint8_t *)action->payload.ptr });
        break;
    case ACT_DIAL:
    case ACT_HANG_UP:
    case ACT_ITEM:
    case ACT_LEAVE:
        break;
    }
}

static void s_fault_begins(querynode_world_t *w)
{
    if (w->fault_armed && w->steps++ == w->fault_step)
        fault_arm(w->fault_nth);
}

static void s_fault_ends(querynode_world_t *w)
{
    if (w->fault_armed && w->steps == w->fault_step + 1)
        w->fault_fired |= fault_disarm();
}

static void s_step(querynode_world_t *w, size_t node, event_t *ev)
{
    actions_t *act = &w->nodes[node].act;
    ctx_t ctx;
    ctx_init(&ctx);
    ev->ctx = &ctx;
    ev->now_ms = w->now_ms;
    ev->wall_ms = WALL_MS + w->now_ms - w->began_ms;
    ev->text = ev->text ? ev->text : "";
    bool watch = ev->kind == EV_WATCH;          /* pictures leave out what they cannot read */
    if (!watch)
        s_fault_begins(w);
    query_role.step(w->nodes[node].node, ev, act);
    if (!watch)
        s_fault_ends(w);
    for (size_t i = 0; i < act->list.len; i++)
        s_act(w, node, vec_at(&act->list, i));
    actions_reset(act);
    ctx_fini(&ctx);
}

/* --- calls ------------------------------------------------------------------------------- */

/* From one query node to another. */
static void s_call_peer(querynode_world_t *w, const pending_t *p, size_t to)
{
    if (!w->nodes[to].node) {
        qw_reply_later(w, p, ERR_NETWORK, NULL);
        return;
    }
    net_peer_t who = { .node_id = w->nodes[p->node].who.id, .incarnation = p->incarnation };
    event_t ev = { .kind = EV_CALL };
    ev.call.peer = &who;
    ev.call.from = (net_from_t){ .link = LINK_PEER, .request_id = ++w->requests };
    ev.call.method = p->ask.call.method;
    ev.call.payload = p->ask.call.payload;
    ev.call.deadline_ms = w->now_ms + p->ask.call.timeout_ms;
    vec_push(&w->peer_calls, &(peer_call_t){ .request = w->requests, .cookie = p->ask.cookie,
                                             .incarnation = p->incarnation, .from = p->node,
                                             .to = to });
    s_step(w, to, &ev);
}

static void s_hear_damage(querynode_world_t *w, const pending_t *p)
{
    check(PB_UNPACK(&w->ctx, elanus__build_damaged, p->ask.call.payload, &w->damaged) == OK);
    w->n_damaged++;
    qw_reply_later(w, p, OK, NULL);
}

/* True: the call was kept. */
static bool s_called(querynode_world_t *w, pending_t *p)
{
    char address[64];
    if (strcmp(p->ask.endpoint, QW_COORD) == 0) {
        check(p->ask.call.method == ELANUS__METHOD__METHOD_BUILD_AGAIN);
        s_hear_damage(w, p);
        return false;
    }
    snprintf(address, sizeof address, "inproc://data-%llu", (unsigned long long)w->incarnation);
    for (size_t i = 0; i < w->n_nodes; i++)
        if (strcmp(w->nodes[i].address, p->ask.endpoint) == 0) {
            s_call_peer(w, p, i);
            return false;
        }
    if (strcmp(address, p->ask.endpoint) == 0)
        return qw_call_owner(w, p);
    qw_reply_later(w, p, ERR_OUTCOME_UNKNOWN, NULL);
    return false;
}

/* --- running ----------------------------------------------------------------------------- */

static void s_run_meta(querynode_world_t *w, pending_t *p)
{
    pending_t *back = s_pend(w, P_EVENT, p->node);
    ctx_t *ctx = &back->memory;
    event_t *ev = &back->ev;
    *ev = (event_t){ .kind = EV_META, .cookie = p->ask.cookie };
    switch (p->ask.op) {
    case META_GET:    ev->err = meta_get(ctx, w->meta, p->ask.key, &ev->meta.item); break;
    case META_LIST:   ev->err = meta_list(ctx, w->meta, p->ask.key, &ev->meta.items); break;
    case META_TXN:    ev->err = meta_txn(ctx, w->meta, &p->ask.txn, &ev->meta.txn); break;
    case META_GRANT:
        ev->err = meta_lease_grant(ctx, w->meta, INT64_C(1) << 40, &ev->meta.lease);
        break;
    case META_KEEP:   ev->err = meta_lease_keep(ctx, w->meta, p->ask.lease); break;
    case META_REVOKE: ev->err = meta_lease_revoke(ctx, w->meta, p->ask.lease); break;
    case META_WATCH:  break;
    }
    ev->text = ev->err == OK ? "" : ctx->text;
}

static void s_run_job(querynode_world_t *w, pending_t *p)
{
    pending_t *back = s_pend(w, P_EVENT, p->node);
    back->ev = (event_t){ .kind = EV_JOB, .cookie = p->ask.cookie };
    back->ev.item = p->ask.item;
    s_fault_begins(w);
    back->ev.err = p->ask.fn(&back->memory, p->ask.item);
    s_fault_ends(w);
    back->ev.text = back->memory.text;
}

/* The i-th, or an older one of the same watch. */
static size_t s_in_order(const querynode_world_t *w, size_t i)
{
    const pending_t *p = *(pending_t **)vec_at(&w->bag, i);
    for (size_t k = 0; p->kind == P_WATCH && k < i; k++) {
        const pending_t *other = *(pending_t **)vec_at(&w->bag, k);
        if (other->kind == P_WATCH && other->order == p->order)
            return k;
    }
    return i;
}

static bool s_may_end(const querynode_world_t *w, size_t i)
{
    return !(w->hold_watches && (*(pending_t **)vec_at(&w->bag, i))->segments);
}

/* Something out of the bag that may end now; false: there is nothing. */
static bool s_draw(querynode_world_t *w, size_t *ret)
{
    size_t n = w->bag.len, from = n ? (size_t)rng_below(&w->rng, n) : 0;
    for (size_t k = 0; k < n; k++) {
        if (!s_may_end(w, (from + k) % n))
            continue;
        *ret = s_in_order(w, (from + k) % n);
        return true;
    }
    return false;
}

static bool s_is_there(const querynode_world_t *w, const pending_t *p)
{
    return w->nodes[p->node].node && w->nodes[p->node].who.incarnation == p->incarnation;
}

void qw_one(querynode_world_t *self)
{
    size_t i = 0;
    if (!s_draw(self, &i))
        return;
    pending_t *p = *(pending_t **)vec_at(&self->bag, i);
    vec_remove(&self->bag, i);
    switch (p->kind) {
    case P_META:
        s_run_meta(self, p);
        break;
    case P_JOB:
        s_run_job(self, p);
        break;
    case P_CALL:
        if (s_called(self, p))
            return;
        break;
    case P_WATCH:
    case P_EVENT:
        if (s_is_there(self, p))
            s_step(self, p->node, &p->ev);
        break;
    }
    qw_pending_free(p);
}

bool qw_idle(const querynode_world_t *self)
{
    for (size_t i = 0; i < self->bag.len; i++)
        if (s_may_end(self, i))
            return false;
    return true;
}

void qw_pass(querynode_world_t *self, int64_t ms)
{
    self->now_ms += ms;
    for (size_t i = 0; i < self->n_nodes; i++) {
        qw_node_t *node = &self->nodes[i];
        if (!node->node || node->timer_ms > self->now_ms)
            continue;
        node->timer_ms = INT64_MAX;
        s_step(self, i, &(event_t){ .kind = EV_TIMER, .timer = 100 });
    }
}

static int64_t s_next_ms(const querynode_world_t *w)
{
    int64_t next_ms = INT64_MAX;
    for (size_t i = 0; i < w->n_nodes; i++)
        if (w->nodes[i].node && w->nodes[i].timer_ms < next_ms)
            next_ms = w->nodes[i].timer_ms;
    return next_ms;
}

void qw_settle(querynode_world_t *self)
{
    for (int i = 0; i < 100000; i++) {
        while (!qw_idle(self))
            qw_one(self);
        int64_t next_ms = s_next_ms(self);
        if (next_ms == INT64_MAX || next_ms > self->now_ms + 60000)
            return;
        qw_pass(self, next_ms > self->now_ms ? next_ms - self->now_ms : 0);
        if (i > (self->n_nodes > 1 ? 60 : 300))
            return;
    }
}

/* --- reads ------------------------------------------------------------------------------- */

uint64_t qw_query(querynode_world_t *self, Elanus__ReadView view, bool count, qw_answer_t *ret)
{
    ctx_t ctx;
    ctx_init(&ctx);
    char *channels[] = { (char *)QW_VCHANNEL };
    Elanus__Query ask = ELANUS__QUERY__INIT;
    view.collection = QW_COLL;
    view.vchannels = channels;
    view.n_vchannels = 1;
    ask.view = &view;
    ask.count = count;
    ret->there = false;
    ret->n = 0;
    asked_t asked = { .request = ++self->requests, .node = self->leader, .count = count,
                      .ret = ret };
    vec_push(&self->asked, &asked);
    event_t ev = { .kind = EV_CALL };
    if (!self->nodes[self->leader].node) {
        *ret = (qw_answer_t){ .there = true, .err = ERR_NETWORK };
        self->asked.len--;
        ctx_fini(&ctx);
        return asked.request;
    }
    ev.call.from = (net_from_t){ .link = LINK_READ, .request_id = asked.request };
    ev.call.method = ELANUS__METHOD__METHOD_QUERY;
    ev.call.payload = pb_pack(&ctx, &ask);
    ev.call.deadline_ms = self->now_ms + 10000;
    s_step(self, self->leader, &ev);
    ctx_fini(&ctx);
    return asked.request;
}

void qw_cancel(querynode_world_t *self, uint64_t request)
{
    event_t ev = { .kind = EV_CANCELLED };
    ev.call.from = (net_from_t){ .link = LINK_READ, .request_id = request };
    s_step(self, self->leader, &ev);
}

const Elanus__Loaded *qw_loaded(querynode_world_t *self, ctx_t *ctx)
{
    Elanus__LoadedAsk ask = ELANUS__LOADED_ASK__INIT;
    ask.collection = QW_COLL;
    event_t ev = { .kind = EV_CALL };
    ev.call.from = (net_from_t){ .link = LINK_LOADED, .request_id = 1 };
    ev.call.method = ELANUS__METHOD__METHOD_LOADED;
    ev.call.payload = pb_pack(ctx, &ask);
    ev.call.deadline_ms = self->now_ms + 1000;
    self->loaded_ctx = ctx;
    s_step(self, self->leader, &ev);
    self->loaded_ctx = NULL;
    return self->loaded;
}

const Elanus__Inspection *qw_inspect(const querynode_world_t *self, ctx_t *ctx,
                                     const Elanus__InspectAsk *ask)
{
    Elanus__Inspection *found = ctx_new(ctx, sizeof *found);
    elanus__inspection__init(found);
    const member_t *member = self->nodes[self->leader].node;
    member->inspect(member, ask, ctx, found);
    return found;
}

/* --- life -------------------------------------------------------------------------------- */

static int64_t s_meta_now(void *arg)
{
    return ((querynode_world_t *)arg)->now_ms;
}

void qw_show_owner(querynode_world_t *w)
{
    if (!w->remote)
        live_begin(w->incarnation);
}

static bool g_remote;

int qw_setup_remote(void **state)
{
    (void)state;
    g_remote = true;
    return 0;
}

void qw_start(querynode_world_t *self, size_t i)
{
    qw_node_t *node = &self->nodes[i];
    check(!node->node);
    actions_init(&node->act);
    node->timer_ms = INT64_MAX;
    snprintf(node->address, sizeof node->address, "inproc://query-%zu", i);
    node->who = (node_self_t){ .role = "querynode", .cluster = "c", .address = node->address,
                               .id = QW_NODE + i, .incarnation = 70 + self->next_incarnation++,
                               .lease_ttl_ms = 1000000, .ops_address = "", .host = "",
                               .version = "t" };
    node->node = query_role.make(&node->who, &self->options);
    s_step(self, i, &(event_t){ .kind = EV_START });
}

querynode_world_t *qw_new(uint64_t seed, const query_options_t *options)
{
    return qw_new_many(seed, options, 1);
}

querynode_world_t *qw_new_many(uint64_t seed, const query_options_t *options, size_t n)
{
    querynode_world_t *w = mem_new(sizeof *w);
    rng_seed(&w->rng, seed);
    ctx_init(&w->ctx);
    vec_init(&w->peer_calls, sizeof(peer_call_t));
    vec_init(&w->bag, sizeof(pending_t *));
    vec_init(&w->held, sizeof(pending_t *));
    vec_init(&w->follows, sizeof(follow_t *));
    vec_init(&w->asked, sizeof(asked_t));
    vec_init(&w->segs, sizeof(seg_t));
    vec_init(&w->parked, sizeof(parked_t));
    w->now_ms = w->began_ms = clock_mono_ms();      /* jobs compare deadlines with the true one */
    w->meta = meta_memory_new(s_meta_now, w);
    w->store = store_memory_new();
    const field_t fields[] = {
        { .id = 100, .name = "id", .type = TYPE_INT64, .primary_key = true },
        { .id = 101, .name = "v", .type = TYPE_FLOAT_VECTOR, .dim = QW_DIM },
    };
    w->schema = schema_new(fields, ARRAY_LEN(fields));
    w->incarnation = 100;
    w->remote = g_remote;
    qw_show_owner(w);
    w->epoch = 1;
    w->next_id = 1000;
    w->options = options ? *options : (query_options_t){ .preload = true, .threads = 2 };
    w->options.store = w->store;
    for (w->n_nodes = 0; w->n_nodes < n; w->n_nodes++)
        qw_start(w, w->n_nodes);
    return w;
}

static void s_free_bag(vec_t *bag)
{
    for (size_t i = 0; i < bag->len; i++)
        qw_pending_free(*(pending_t **)vec_at(bag, i));
    vec_fini(bag);
}

/* A host lets jobs end before it ends the node. */
static void s_end(querynode_world_t *w, size_t node)
{
    for (size_t i = 0; i < w->bag.len; i++) {
        pending_t *p = *(pending_t **)vec_at(&w->bag, i);
        if (p->kind == P_JOB && p->node == node)
            (void)p->ask.fn(&p->memory, p->ask.item);
    }
    query_role.end(w->nodes[node].node);
    w->nodes[node].node = NULL;
    actions_fini(&w->nodes[node].act);
}

/* What is in the bag for it goes; an answer that is on its way to it finds nobody. */
static void s_forget_node(querynode_world_t *w, size_t node)
{
    for (size_t i = 0; i < w->bag.len; ) {
        pending_t *p = *(pending_t **)vec_at(&w->bag, i);
        if (p->node != node) {
            i++;
            continue;
        }
        vec_remove(&w->bag, i);
        qw_pending_free(p);
    }
    for (size_t i = 0; i < w->parked.len; ) {
        pending_t *p = ((parked_t *)vec_at(&w->parked, i))->call;
        if (p->node != node) {
            i++;
            continue;
        }
        vec_remove(&w->parked, i);
        qw_pending_free(p);
    }
    for (size_t i = 0; i < w->follows.len; ) {
        follow_t *follow = *(follow_t **)vec_at(&w->follows, i);
        if (follow->node != node) {
            i++;
            continue;
        }
        meta_unwatch(&follow->watch);
        mem_free(follow);
        vec_remove(&w->follows, i);
    }
}

/* Calls to it end, and those of clients; the others see its link go. */
static void s_part(querynode_world_t *w, size_t node)
{
    for (size_t i = 0; i < w->peer_calls.len; ) {
        peer_call_t call = *(peer_call_t *)vec_at(&w->peer_calls, i);
        if (call.to != node && call.from != node) {
            i++;
            continue;
        }
        vec_swap_remove(&w->peer_calls, i);
        if (call.to == node)
            s_reply(w, call.from, call.incarnation, call.cookie, ERR_OUTCOME_UNKNOWN);
    }
    for (size_t i = 0; i < w->asked.len; ) {
        asked_t asked = *(asked_t *)vec_at(&w->asked, i);
        if (asked.node != node) {
            i++;
            continue;
        }
        vec_swap_remove(&w->asked, i);
        asked.ret->there = true;
        asked.ret->err = ERR_NETWORK;
    }
    for (size_t i = 0; i < w->n_nodes; i++) {
        if (!w->nodes[i].node || rng_below(&w->rng, 2))
            continue;
        pending_t *p = s_pend(w, P_EVENT, i);
        p->ev = (event_t){ .kind = EV_PEER };
        p->ev.peer.endpoint = w->nodes[node].address;
        p->ev.peer.state = NET_SUSPECT;
    }
}

void qw_kill(querynode_world_t *self, size_t node)
{
    s_end(self, node);
    s_forget_node(self, node);
    s_part(self, node);
}

bool qw_lives(const querynode_world_t *self, size_t node)
{
    return self->nodes[node].node != NULL;
}

void qw_lose(querynode_world_t *self)
{
    for (size_t i = 0; i < self->bag.len; i++) {
        pending_t *p = *(pending_t **)vec_at(&self->bag, i);
        if (p->kind != P_CALL || strncmp(p->ask.endpoint, "inproc://query-", 15) != 0)
            continue;
        vec_remove(&self->bag, i);
        qw_reply_later(self, p, rng_below(&self->rng, 2) ? ERR_NETWORK : ERR_OUTCOME_UNKNOWN, NULL);
        qw_pending_free(p);
        return;
    }
    if (self->peer_calls.len == 0)
        return;
    peer_call_t call = *(peer_call_t *)vec_at(&self->peer_calls, 0);
    vec_remove(&self->peer_calls, 0);
    s_reply(self, call.from, call.incarnation, call.cookie, ERR_OUTCOME_UNKNOWN);
}

void qw_free(querynode_world_t **self_p)
{
    querynode_world_t *w = *self_p;
    for (size_t i = 0; i < w->n_nodes; i++)
        if (w->nodes[i].node)
            s_end(w, i);
    for (size_t i = 0; i < w->follows.len; i++)
        meta_unwatch(&(*(follow_t **)vec_at(&w->follows, i))->watch);
    s_free_bag(&w->bag);
    s_free_bag(&w->held);
    flush_destroy(&w->flush);
    flush_destroy(&w->compaction);
    qw_free_segs(w);
    for (size_t i = 0; i < w->n_runs; i++)
        mem_free(w->runs[i].pks);
    for (size_t i = 0; i < w->follows.len; i++)
        mem_free(*(follow_t **)vec_at(&w->follows, i));
    vec_fini(&w->follows);
    vec_fini(&w->asked);
    vec_fini(&w->segs);
    qw_park_free(w);
    vec_fini(&w->parked);
    vec_fini(&w->peer_calls);
    meta_destroy(&w->meta);
    store_destroy(&w->store);
    schema_unref(&w->schema);
    ctx_fini(&w->ctx);
    mem_free(w);
    *self_p = NULL;
}

void qw_hold_watches(querynode_world_t *self, bool hold)
{
    self->hold_watches = hold;
}

void qw_fault(querynode_world_t *self, size_t step, int nth)
{
    self->steps = 0;
    self->fault_step = step;
    self->fault_nth = nth;
    self->fault_armed = true;
    self->fault_fired = false;
}

bool qw_remote(const querynode_world_t *self)           { return self->remote; }
bool qw_fault_fired(const querynode_world_t *self)      { return self->fault_fired; }
size_t qw_frontiers(const querynode_world_t *self)      { return self->frontiers; }
rng_t *qw_rng(querynode_world_t *self)          { return &self->rng; }
store_t *qw_store(querynode_world_t *self)      { return self->store; }
int64_t *qw_now_ms(querynode_world_t *self)     { return &self->now_ms; }

int64_t qw_figure(querynode_world_t *self, const char *name)
{
    for (const figure_t *f = query_role.figures; f->name; f++)
        if (strcmp(f->name + strlen("elanus_querynode_"), name) == 0)
            return f->read(self->nodes[self->leader].node);
    check(!"no such figure");
    return 0;
}

int64_t qw_figures(querynode_world_t *self, const char *name)
{
    int64_t sum = 0;
    size_t leader = self->leader;
    for (self->leader = 0; self->leader < self->n_nodes; self->leader++)
        if (self->nodes[self->leader].node)
            sum += qw_figure(self, name);
    self->leader = leader;
    return sum;
}
