/* querynode_owner - the data node of querynode_world.h as query nodes see it: FOLLOW, FRONTIER */
#include "core/segment/growing_page.h"
#include "core/wire/pb.h"
#include "tests/support/querynode_world_int.h"

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

static void s_tell(querynode_world_t *w, const pending_t *call, const Elanus__Follow *ask,
                   bool reset)
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
    qw_reply_later(w, call, OK, &out);
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
        s_tell(w, p.call, s_ask(p.call, &ctx), false);
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
    check(!ask->remote || w->remote);
    bool reset = ask->epoch != w->epoch || ask->seq < w->ckpt_seq;
    for (size_t i = 0; i < w->segs.len; i++) {  /* it never heard of one that is gone already */
        const seg_t *seg = qw_seg(w, i);
        reset |= seg->flushed && (ask->remote ? seg->last_seq : seg->first_seq) > ask->seq;
    }
    bool keep = !reset && ask->seq == w->seq && !s_lacks_rows(w, ask);
    if (keep)
        vec_push(&w->parked, &(parked_t){ p->ask.cookie, p });
    else
        s_tell(w, p, ask, reset);
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
    qw_reply_later(w, p, OK, &out);
    ctx_fini(&ctx);
}

bool qw_call_owner(querynode_world_t *w, pending_t *p)
{
    if (p->ask.call.method == ELANUS__METHOD__METHOD_FOLLOW)
        return s_call_follow(w, p);
    check(p->ask.call.method == ELANUS__METHOD__METHOD_FRONTIER);
    w->frontiers++;
    if (!w->hold_frontiers) {
        s_call_frontier(w, p);
        return false;
    }
    vec_push(&w->held, &p);
    return true;
}

void qw_hold_frontiers(querynode_world_t *self, bool hold)
{
    self->hold_frontiers = hold;
    for (size_t i = 0; !hold && i < self->held.len; i++)
        vec_push(&self->bag, vec_at(&self->held, i));
    self->held.len = hold ? self->held.len : 0;
}
