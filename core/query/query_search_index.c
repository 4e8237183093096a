/* query_search_index - a part that is a segment with an index
 *
 * The index is asked for a few rows more than hits are needed.  Where that was not enough, because
 * keys came twice, rows fell into the same groups, or the last ones are equally good, it is asked
 * again for four times as many, until hits suffice, the index has no more, or LIMIT_TOPK is
 * reached.  Which rows take part is one bitmap over the segment, so deletes, timestamps and
 * filters are settled before.
 */
#include "core/query/query_search_int.h"

#include "core/base/limits.h"

enum { SPARE_HITS = 1, GROUPED_HITS = 4, MORE = 4 };

/* What one ask of the index is answered into. */
typedef struct room {
    size_t k;                   /* of each top-k */
    topk_t **best;              /* owned; [n] */
    size_t n;
    topk_hit_t *hits;           /* owned; [k] */
    pick_hit_t *drawn, *picked; /* owned; [k] */
} room_t;

typedef struct index_part {
    part_work_t *work;
    index_ask_t ask;
    bitset_t keep;              /* owned; of the segment, when it has several blocks */
} index_part_t;

/* --- which rows --------------------------------------------------------------------------- */

static err_t s_join_keeps(ctx_t *ctx, index_part_t *p)
{
    const part_work_t *w = p->work;
    TRY(bitset_init(ctx, &p->keep, w->part->n));
    for (size_t s = 0; s < w->n; s++) {
        const bitset_t *from = &w->stretches[s].keep;
        size_t shift = w->stretches[s].first % 64;
        uint64_t *into = p->keep.words + w->stretches[s].first / 64;
        for (size_t at = 0; at < (from->n_bits + 63) / 64; at++) {
            into[at] |= from->words[at] << shift;
            if (shift && from->words[at] >> (64 - shift))
                into[at + 1] |= from->words[at] >> (64 - shift);
        }
    }
    p->ask.keep = &p->keep;
    return OK;
}

static err_t s_set_keep(ctx_t *ctx, index_part_t *p)
{
    const part_work_t *w = p->work;
    for (size_t s = 0; s < w->n; s++)
        p->ask.n_kept += w->stretches[s].n_kept;
    if (p->ask.n_kept == w->part->n)
        return OK;                              /* all do */
    if (w->n > 1)
        return s_join_keeps(ctx, p);
    p->ask.keep = &w->stretches[0].keep;
    return OK;
}

/* --- asking -------------------------------------------------------------------------------- */

static void s_room_fini(room_t *r)
{
    for (size_t i = 0; i < r->n; i++)
        topk_destroy(&r->best[i]);
    mem_free(r->best);
    mem_free(r->hits);
    mem_free(r->drawn);
    mem_free(r->picked);
    *r = (room_t){0};
}

/* n top-ks of k. */
static err_t s_room_init(ctx_t *ctx, room_t *r, size_t k, size_t n, bool descends)
{
    *r = (room_t){ .k = k };
    r->best = mem_try(ctx, n * sizeof(topk_t *));
    r->hits = mem_try(ctx, k * sizeof *r->hits);
    r->drawn = mem_try(ctx, k * sizeof *r->drawn);
    r->picked = mem_try(ctx, k * sizeof *r->picked);
    if (!r->best || !r->hits || !r->drawn || !r->picked)
        return ctx_fail(ctx, ERR_MEMORY, "no memory for the best %zu rows of %zu queries", k, n);
    for (; r->n < n; r->n++)
        TRY(topk_new(ctx, k, descends, &r->best[r->n]));
    return OK;
}

/* Ask the index for queries [q, q + n). */
static err_t s_ask(ctx_t *ctx, const index_part_t *p, const room_t *r, size_t q, size_t n)
{
    const search_t *self = p->work->search;
    const scorer_t *scorer = &self->scorer;
    index_ask_t ask = p->ask;
    ask.queries = scorer->queries + q * scorer->query_bytes;
    ask.offsets = scorer->sparse ? scorer->offsets + q : NULL;
    ask.factors = scorer->factors ? scorer->factors + q : NULL;
    ask.n_queries = n;
    ask.want = r->k;
    for (size_t i = 0; i < n; i++)
        part_limit_topk(self, q + i, r->best[i]);
    return index_search(ctx, p->work->part->index, &ask, r->best);
}

/* --- answers ------------------------------------------------------------------------------ */

/* May a row that was not drawn be as good as this score, and so go first by its key? */
static bool s_ties(const index_part_t *p, const room_t *r, size_t n_drawn, float score)
{
    return n_drawn > 0 && r->drawn[n_drawn - 1].score == score && !part_rises(p->work);
}

/* The first n_drawn hits of a room, for query q.  ret_done: more rows could not add to them;
 * then, or if there are no more (`last`), they go to the list. */
static err_t s_settle_plain(ctx_t *ctx, const index_part_t *p, const room_t *r, size_t q,
                            size_t n_drawn, bool last, bool *ret_done)
{
    const part_work_t *w = p->work;
    bool full = false;
    size_t n_picked = 0;
    pick_list_t list = { r->drawn, n_drawn };
    TRY(pick_run(ctx, w->pick, &list, 1, r->picked, &n_picked, &full));
    full = n_picked == w->search->pick.k;
    if (full)
        part_tighten(w->search, q, r->picked[n_picked - 1].score);
    *ret_done = last || (full && !s_ties(p, r, n_drawn, r->picked[n_picked - 1].score));
    return *ret_done ? hit_list_add(ctx, w->list, q, r->picked, n_picked) : OK;
}

static err_t s_add_all(ctx_t *ctx, const room_t *r, size_t n, collector_t *collector)
{
    for (size_t i = 0; i < n; i++)
        TRY(collector_add(ctx, collector, &r->drawn[i]));
    return collector_settle(ctx, collector);
}

static err_t s_settle_groups(ctx_t *ctx, const index_part_t *p, const room_t *r, size_t q,
                             size_t n_drawn, bool last, bool *ret_done)
{
    const part_work_t *w = p->work;
    collector_t collector;
    err_t err = collector_init(ctx, &collector, w->pick, &w->search->pick);
    if (err == OK)
        err = s_add_all(ctx, r, n_drawn, &collector);
    *ret_done = last || (err == OK && collector.full && !s_ties(p, r, n_drawn, collector.bound));
    if (err == OK && collector.full)
        part_tighten(w->search, q, collector.bound);
    if (err == OK && *ret_done)
        err = hit_list_add(ctx, w->list, q, collector.hits, collector.n);
    collector_fini(&collector);
    return err;
}

/* What was found for query q, to the list; *ret_done: it was enough. */
static err_t s_settle(ctx_t *ctx, const index_part_t *p, const room_t *r, topk_t *best, size_t q,
                      bool *ret_done)
{
    size_t n_hits = topk_hits(best, r->hits);
    size_t n_drawn = part_draw(p->work, r->hits, n_hits, r->drawn);
    bool last = n_hits < r->k || r->k > LIMIT_TOPK;
    return p->work->search->pick.grouped
         ? s_settle_groups(ctx, p, r, q, n_drawn, last, ret_done)
         : s_settle_plain(ctx, p, r, q, n_drawn, last, ret_done);
}

/* Query q again, with more rows than k, and more each time. */
static err_t s_again(ctx_t *ctx, const index_part_t *p, size_t k, size_t q)
{
    bool done = false;
    err_t err = OK;
    while (err == OK && !done) {
        room_t r;
        k = k * MORE <= LIMIT_TOPK ? k * MORE : LIMIT_TOPK + 1;
        err = s_room_init(ctx, &r, k, 1, p->work->search->pick.descends);
        if (err == OK)
            err = s_ask(ctx, p, &r, q, 1);
        if (err == OK)
            err = s_settle(ctx, p, &r, r.best[0], q, &done);
        s_room_fini(&r);
    }
    return err;
}

static size_t s_first_k(const search_t *self)
{
    size_t k = self->pick.k + SPARE_HITS;
    if (self->pick.grouped)
        k = k * self->pick.group_size * GROUPED_HITS;
    return k <= LIMIT_TOPK ? k : LIMIT_TOPK + 1;
}

static err_t s_run(ctx_t *ctx, index_part_t *p, room_t *r)
{
    const search_t *self = p->work->search;
    size_t nq = self->scorer.nq, k = s_first_k(self);
    size_t most = BATCH_BYTES / (16 * k + 1024) + 1;
    TRY(s_set_keep(ctx, p));
    TRY(s_room_init(ctx, r, k, most < nq ? most : nq, self->pick.descends));
    for (size_t q = 0; q < nq; q += r->n) {
        size_t n = nq - q < r->n ? nq - q : r->n;
        TRY(s_ask(ctx, p, r, q, n));
        for (size_t i = 0; i < n; i++) {
            bool done = false;
            TRY(s_settle(ctx, p, r, r->best[i], q + i, &done));
            if (!done)
                TRY(s_again(ctx, p, k, q + i));
        }
    }
    return OK;
}

err_t part_work_run_index(ctx_t *ctx, part_work_t *w)
{
    const scorer_t *scorer = &w->search->scorer;
    room_t room = {0};
    index_part_t p = {
        .work = w, .ask = { .has_range = scorer->has_range, .radius = scorer->radius,
                            .inner = scorer->inner, .knobs = w->search->knobs },
    };
    err_t err = s_run(ctx, &p, &room);
    s_room_fini(&room);
    bitset_fini(&p.keep);
    return err;
}
