/* querynode_world - see querynode_world.h; here the bag, and the data node as the node sees it */
#include "tests/support/querynode_world_int.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/base/clock.h"
#include "core/base/fault.h"
#include "core/segment/growing_page.h"
#include "core/segment/live.h"
#include "core/wire/pb.h"

/* --- the bag ----------------------------------------------------------------------------- */

static pending_t *s_pend(querynode_world_t *w, pending_kind_t kind)
{
    pending_t *p = mem_new(sizeof *p);
    p->kind = kind;
    ctx_init(&p->memory);
    vec_push(&w->bag, &p);
    return p;
}

void qw_pending_free(pending_t *p)
{
    ctx_fini(&p->memory);
    mem_free(p);
}

void qw_reply_later(querynode_world_t *w, uint64_t cookie, err_t err, const void *message)
{
    pending_t *p = s_pend(w, P_EVENT);
    p->ev = (event_t){ .kind = EV_REPLY, .cookie = cookie, .err = err, .text = err_text(err) };
    p->ev.payload = message ? pb_pack(&p->memory, message) : view_of("", 0);
}

static void s_on_change(void *arg, const meta_change_t *changes, size_t n)
{
    follow_t *follow = arg;
    pending_t *p = s_pend(follow->world, P_WATCH);
    p->order = follow->cookie;
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

static void s_watch(querynode_world_t *w, const action_t *action)
{
    follow_t *follow = mem_new(sizeof *follow);
    *follow = (follow_t){ .world = w, .cookie = action->cookie,
                          .segments = strcmp(action->key, "seg/") == 0 };
    vec_push(&w->follows, &follow);
    check(meta_watch(&w->ctx, w->meta, action->key, s_on_change, follow, &follow->watch) == OK);
}

static void s_keep(querynode_world_t *w, const action_t *action, pending_kind_t kind)
{
    pending_t *p = s_pend(w, kind);
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

static void s_answered(querynode_world_t *w, const action_t *action)
{
    ctx_t ctx;
    ctx_init(&ctx);
    if (w->loaded_ctx && action->from.link == 2) {
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

static void s_act(querynode_world_t *w, const action_t *action)
{
    switch (action->kind) {
    case ACT_META:
        if (action->op == META_WATCH)
            s_watch(w, action);
        else
            s_keep(w, action, P_META);
        break;
    case ACT_JOB:
        s_keep(w, action, P_JOB);
        break;
    case ACT_CALL:
        s_keep(w, action, P_CALL);
        break;
    case ACT_TIMER:
        if (action->timer == 100)
            w->timer_ms = action->after_ms < 0 ? INT64_MAX : w->now_ms + action->after_ms;
        break;
    case ACT_REPLY:
        s_answered(w, action);
        if (action->moved)
            buf_fini(&(buf_t){ .ptr = (uint8_t *)action->payload.ptr });
        break;
    case ACT_CANCEL:
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

static void s_step(querynode_world_t *w, event_t *ev)
{
    ctx_t ctx;
    ctx_init(&ctx);
    ev->ctx = &ctx;
    ev->now_ms = w->now_ms;
    ev->wall_ms = WALL_MS + w->now_ms - w->began_ms;
    ev->text = ev->text ? ev->text : "";
    bool watch = ev->kind == EV_WATCH;          /* pictures leave out what they cannot read */
    if (!watch)
        s_fault_begins(w);
    query_role.step(w->node, ev, &w->act);
    if (!watch)
        s_fault_ends(w);
    for (size_t i = 0; i < w->act.list.len; i++)
        s_act(w, vec_at(&w->act.list, i));
    actions_reset(&w->act);
    ctx_fini(&ctx);
}

/* --- the data node as others see it ------------------------------------------------------ */

uint64_t qw_clock(querynode_world_t *w)
{
    uint64_t wall = (uint64_t)(WALL_MS + w->now_ms - w->began_ms) << 18;
    w->last_ts = wall > w->last_ts ? wall : w->last_ts + 1;
    return w->last_ts;
}

seg_t *qw_seg(const querynode_world_t *w, size_t i)
{
    return vec_at(&w->segs, i);
}

static void s_pack_run(querynode_world_t *w, const run_t *run, ctx_t *ctx, Elanus__DeleteRun *out)
{
    column_builder_t b;
    buf_t bytes;
    buf_init(&bytes, 0);
    column_builder_init(&b, schema_pk(w->schema));
    for (size_t i = 0; i < run->n; i++)
        column_builder_add(&b, view_of(&run->pks[i], 8));
    column_t column = column_builder_view(&b);
    column_write(&column, &bytes);
    view_t copy;
    check(ctx_copy(ctx, buf_view(&bytes), &copy) == OK);
    out->ts = run->ts;
    out->partition = run->partition;
    out->pks = (ProtobufCBinaryData){ .len = copy.len, .data = (uint8_t *)copy.ptr };
    column_builder_fini(&b);
    buf_fini(&bytes);
}

static size_t s_has(const Elanus__Follow *ask, uint64_t id)
{
    for (size_t i = 0; i < ask->n_have; i++)
        if (ask->have[i]->id == id)
            return ask->have[i]->unwanted ? SIZE_MAX : ask->have[i]->rows;
    return 0;
}

/* As the data node does it, with answers that are small now and then. */
static void s_add_rows(querynode_world_t *w, ctx_t *ctx, const seg_t *seg, size_t from,
                       size_t *room, Elanus__GrowingSegment *one, bool *more)
{
    growing_snapshot_t snap = growing_at(seg->rows, UINT64_MAX);
    one->rows = snap.n;
    one->pages = ctx_new(ctx, (snap.n_blocks + 1) * sizeof one->pages[0]);
    while (from < snap.n && *room) {
        buf_scoped page = {0};
        size_t n = 0;
        view_t copy;
        buf_init(&page, 0);
        check(growing_page_write(&w->ctx, &snap, from, *room, &page, &n) == OK);
        check(ctx_copy(ctx, buf_view(&page), &copy) == OK);
        one->pages[one->n_pages++] = (ProtobufCBinaryData){ copy.len, (uint8_t *)copy.ptr };
        *room -= copy.len < *room ? copy.len : *room;
        from += n;
    }
    *more |= from < snap.n;
}

static void s_tell_growing(querynode_world_t *w, const Elanus__Follow *ask, ctx_t *ctx,
                           Elanus__Followed *out)
{
    size_t room = 1 << 20;
    if (ask->remote && rng_below(&w->rng, 2))
        room = 1 + (size_t)rng_below(&w->rng, 3000);
    bool more = false;
    out->growing = ctx_new(ctx, (w->segs.len + 1) * sizeof *out->growing);
    for (size_t i = 0; i < w->segs.len; i++) {
        const seg_t *seg = qw_seg(w, i);
        if (seg->flushed || (!ask->remote && !out->reset && seg->first_seq <= ask->seq))
            continue;
        Elanus__GrowingSegment *one = ctx_new(ctx, sizeof *one);
        elanus__growing_segment__init(one);
        one->id = seg->id;
        one->partition = seg->partition;
        out->growing[out->n_growing++] = one;
        if (ask->remote)
            s_add_rows(w, ctx, seg, s_has(ask, seg->id), &room, one, &more);
    }
    out->more = more;
}

static void s_tell(querynode_world_t *w, uint64_t cookie, const Elanus__Follow *ask, bool reset)
{
    ctx_t ctx;
    ctx_init(&ctx);
    Elanus__Followed out = ELANUS__FOLLOWED__INIT;
    out.epoch = w->epoch;
    out.seq = w->seq;
    out.last_ts = w->entry_ts;
    out.owner = w->incarnation;
    out.reset = reset;
    out.ckpt_ts = w->ckpt_ts;
    s_tell_growing(w, ask, &ctx, &out);
    out.deletes = ctx_new(&ctx, (w->n_runs + 1) * sizeof *out.deletes);
    for (size_t i = 0; !out.more && i < w->n_runs; i++) {
        if (w->runs[i].seq <= w->ckpt_seq || (!reset && w->runs[i].seq <= ask->seq))
            continue;
        Elanus__DeleteRun *one = ctx_new(&ctx, sizeof *one);
        elanus__delete_run__init(one);
        s_pack_run(w, &w->runs[i], &ctx, one);
        out.deletes[out.n_deletes++] = one;
    }
    qw_reply_later(w, cookie, OK, &out);
    ctx_fini(&ctx);
}

static Elanus__Follow *s_ask(const pending_t *p, ctx_t *ctx)
{
    Elanus__Follow *ask = NULL;
    check(PB_UNPACK(ctx, elanus__follow, p->ask.call.payload, &ask) == OK);
    return ask;
}

void qw_park_free(querynode_world_t *w)
{
    for (size_t i = 0; i < w->parked.len; i++)
        qw_pending_free(((parked_t *)vec_at(&w->parked, i))->call);
    w->parked.len = 0;
}

void qw_wake(querynode_world_t *w)
{
    ctx_t ctx;
    ctx_init(&ctx);
    for (size_t i = 0; i < w->parked.len; i++) {
        parked_t p = *(parked_t *)vec_at(&w->parked, i);
        s_tell(w, p.cookie, s_ask(p.call, &ctx), false);
    }
    qw_park_free(w);
    ctx_fini(&ctx);
}

static bool s_lacks_rows(const querynode_world_t *w, const Elanus__Follow *ask)
{
    for (size_t i = 0; ask->remote && i < w->segs.len; i++)
        if (!qw_seg(w, i)->flushed &&
            s_has(ask, qw_seg(w, i)->id) < growing_rows(qw_seg(w, i)->rows))
            return true;
    return false;
}

/* True: the call was kept. */
static bool s_call_follow(querynode_world_t *w, pending_t *p)
{
    ctx_t ctx;
    ctx_init(&ctx);
    const Elanus__Follow *ask = s_ask(p, &ctx);
    check(ask->remote == w->remote);
    bool reset = ask->epoch != w->epoch || ask->seq < w->ckpt_seq;
    for (size_t i = 0; i < w->segs.len; i++) {  /* it never heard of one that is gone already */
        const seg_t *seg = qw_seg(w, i);
        reset |= seg->flushed && (ask->remote ? seg->last_seq : seg->first_seq) > ask->seq;
    }
    bool keep = !reset && ask->seq == w->seq && !s_lacks_rows(w, ask);
    if (keep)
        vec_push(&w->parked, &(parked_t){ p->ask.cookie, p });
    else
        s_tell(w, p->ask.cookie, ask, reset);
    ctx_fini(&ctx);
    return keep;
}

static void s_call_frontier(querynode_world_t *w, const pending_t *p)
{
    Elanus__FrontierAsk *ask = NULL;
    ctx_t ctx;
    ctx_init(&ctx);
    check(PB_UNPACK(&ctx, elanus__frontier_ask, p->ask.call.payload, &ask) == OK);
    Elanus__Frontier out = ELANUS__FRONTIER__INIT;
    if (ask->at_least > w->last_ts)
        w->last_ts = ask->at_least;
    uint64_t last = w->entry_ts;
    out.complete_ts = qw_clock(w);
    out.last_ts = &last;
    out.n_last_ts = ask->n_vchannels;
    check(ask->n_vchannels == 1);
    qw_reply_later(w, p->ask.cookie, OK, &out);
    ctx_fini(&ctx);
}

/* True: the call was kept. */
static bool s_called(querynode_world_t *w, pending_t *p)
{
    char address[64];
    snprintf(address, sizeof address, "inproc://data-%llu", (unsigned long long)w->incarnation);
    if (strcmp(address, p->ask.endpoint) != 0) {
        qw_reply_later(w, p->ask.cookie, ERR_OUTCOME_UNKNOWN, NULL);
    } else if (p->ask.call.method == ELANUS__METHOD__METHOD_FOLLOW) {
        return s_call_follow(w, p);
    } else {
        check(p->ask.call.method == ELANUS__METHOD__METHOD_FRONTIER);
        w->frontiers++;
        if (w->hold_frontiers) {
            vec_push(&w->held, &p);
            return true;
        }
        s_call_frontier(w, p);
    }
    return false;
}

void qw_hold_frontiers(querynode_world_t *self, bool hold)
{
    self->hold_frontiers = hold;
    for (size_t i = 0; !hold && i < self->held.len; i++)
        vec_push(&self->bag, vec_at(&self->held, i));
    self->held.len = hold ? self->held.len : 0;
}

/* --- running ----------------------------------------------------------------------------- */

static void s_run_meta(querynode_world_t *w, pending_t *p)
{
    pending_t *back = s_pend(w, P_EVENT);
    ctx_t *ctx = &back->memory;
    event_t *ev = &back->ev;
    *ev = (event_t){ .kind = EV_META, .cookie = p->ask.cookie };
    switch (p->ask.op) {
    case META_GET:    ev->err = meta_get(ctx, w->meta, p->ask.key, &ev->meta.item); break;
    case META_LIST:   ev->err = meta_list(ctx, w->meta, p->ask.key, &ev->meta.items); break;
    case META_TXN:    ev->err = meta_txn(ctx, w->meta, &p->ask.txn, &ev->meta.txn); break;
    case META_GRANT:  ev->err = meta_lease_grant(ctx, w->meta, 1000000, &ev->meta.lease); break;
    case META_KEEP:   ev->err = meta_lease_keep(ctx, w->meta, p->ask.lease); break;
    case META_REVOKE: ev->err = meta_lease_revoke(ctx, w->meta, p->ask.lease); break;
    case META_WATCH:  break;
    }
    ev->text = ev->err == OK ? "" : ctx->text;
}

static void s_run_job(querynode_world_t *w, pending_t *p)
{
    pending_t *back = s_pend(w, P_EVENT);
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
        s_step(self, &p->ev);
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
    if (self->timer_ms > self->now_ms)
        return;
    self->timer_ms = INT64_MAX;
    s_step(self, &(event_t){ .kind = EV_TIMER, .timer = 100 });
}

void qw_settle(querynode_world_t *self)
{
    for (int i = 0; i < 100000; i++) {
        while (!qw_idle(self))
            qw_one(self);
        if (self->timer_ms == INT64_MAX || self->timer_ms > self->now_ms + 60000)
            return;
        qw_pass(self, self->timer_ms - self->now_ms);
        if (i > 300)
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
    asked_t asked = { .request = ++self->requests, .count = count, .ret = ret };
    vec_push(&self->asked, &asked);
    event_t ev = { .kind = EV_CALL };
    ev.call.from = (net_from_t){ .link = 1, .request_id = asked.request };
    ev.call.method = ELANUS__METHOD__METHOD_QUERY;
    ev.call.payload = pb_pack(&ctx, &ask);
    ev.call.deadline_ms = self->now_ms + 10000;
    s_step(self, &ev);
    ctx_fini(&ctx);
    return asked.request;
}

void qw_cancel(querynode_world_t *self, uint64_t request)
{
    event_t ev = { .kind = EV_CANCELLED };
    ev.call.from = (net_from_t){ .link = 1, .request_id = request };
    s_step(self, &ev);
}

const Elanus__Loaded *qw_loaded(querynode_world_t *self, ctx_t *ctx)
{
    Elanus__LoadedAsk ask = ELANUS__LOADED_ASK__INIT;
    ask.collection = QW_COLL;
    event_t ev = { .kind = EV_CALL };
    ev.call.from = (net_from_t){ .link = 2, .request_id = 1 };
    ev.call.method = ELANUS__METHOD__METHOD_LOADED;
    ev.call.payload = pb_pack(ctx, &ask);
    ev.call.deadline_ms = self->now_ms + 1000;
    self->loaded_ctx = ctx;
    s_step(self, &ev);
    self->loaded_ctx = NULL;
    return self->loaded;
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

querynode_world_t *qw_new(uint64_t seed, const query_options_t *options)
{
    querynode_world_t *w = mem_new(sizeof *w);
    rng_seed(&w->rng, seed);
    ctx_init(&w->ctx);
    actions_init(&w->act);
    vec_init(&w->bag, sizeof(pending_t *));
    vec_init(&w->held, sizeof(pending_t *));
    vec_init(&w->follows, sizeof(follow_t *));
    vec_init(&w->asked, sizeof(asked_t));
    vec_init(&w->segs, sizeof(seg_t));
    vec_init(&w->parked, sizeof(parked_t));
    w->now_ms = w->began_ms = clock_mono_ms();      /* jobs compare deadlines with the true one */
    w->timer_ms = INT64_MAX;
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
    w->who = (node_self_t){ .role = "querynode", .cluster = "c", .address = "inproc://query",
                            .id = QW_NODE, .incarnation = 70, .lease_ttl_ms = 1000000,
                            .ops_address = "", .host = "", .version = "t" };
    w->node = query_role.make(&w->who, &w->options);
    s_step(w, &(event_t){ .kind = EV_START });
    return w;
}

static void s_free_bag(vec_t *bag)
{
    for (size_t i = 0; i < bag->len; i++)
        qw_pending_free(*(pending_t **)vec_at(bag, i));
    vec_fini(bag);
}

void qw_free(querynode_world_t **self_p)
{
    querynode_world_t *w = *self_p;
    for (size_t i = 0; i < w->bag.len; i++) {   /* a host lets jobs end before it ends the node */
        pending_t *p = *(pending_t **)vec_at(&w->bag, i);
        if (p->kind == P_JOB)
            (void)p->ask.fn(&p->memory, p->ask.item);
    }
    query_role.end(w->node);
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
    meta_destroy(&w->meta);
    store_destroy(&w->store);
    schema_unref(&w->schema);
    actions_fini(&w->act);
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
            return f->read(self->node);
    check(!"no such figure");
    return 0;
}
