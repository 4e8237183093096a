/* query_search_part - what one thread does with one part: see query_search.c */
#include "core/query/query_search_int.h"

#include <math.h>

/* --- bounds ------------------------------------------ */

static float s_worst(const search_t *self)
{
    return self->pick.descends ? -INFINITY : INFINITY;
}

static bool s_better(const search_t *self, float a, float b)
{
    return self->pick.descends ? a > b : a < b;
}

static float s_bound(const search_t *self, size_t q)
{
    return atomic_load_explicit(&self->bounds[q], memory_order_relaxed);
}

void part_tighten(search_t *self, size_t q, float score)
{
    float now = s_bound(self, q);
    while (s_better(self, score, now) &&
           !atomic_compare_exchange_weak_explicit(&self->bounds[q], &now, score,
                                                  memory_order_relaxed, memory_order_relaxed))
        ;
}

/* Before the first row of query q. */
void part_limit_topk(const search_t *self, size_t q, topk_t *best)
{
    const scorer_t *scorer = &self->scorer;
    float bound = s_bound(self, q), worst = s_worst(self);
    float radius = bound == worst ? worst : nextafterf(bound, worst);
    topk_reset(best);
    if (scorer->has_range && s_better(self, scorer->radius, radius))
        radius = scorer->radius;
    if (scorer->has_range || bound != worst)
        topk_range(best, radius, scorer->inner);
}

static void s_limit_collector(const search_t *self, size_t q, collector_t *collector)
{
    float bound = s_bound(self, q);
    if (bound == s_worst(self))
        return;
    collector->full = true;
    collector->bound = bound;
}

/* --- a part ------------------------------------------ */

void part_work_fini(part_work_t *w)
{
    for (size_t i = 0; i < w->batch; i++) {
        if (w->best)
            topk_destroy(&w->best[i]);
        if (w->collectors)
            collector_fini(&w->collectors[i]);
    }
    for (size_t i = 0; w->stretches && i < w->n; i++)
        stretch_fini(&w->stretches[i]);
    mem_free(w->best);
    mem_free(w->collectors);
    mem_free(w->stretches);
    mem_free(w->hits);
    mem_free(w->drawn);
    mem_free(w->picked);
    pick_destroy(&w->pick);
    hit_list_destroy(&w->list);
}

err_t part_work_open(ctx_t *ctx, part_work_t *w, bool *ret_any)
{
    const scan_t *scan = &w->search->scan;
    size_t n = w->part->end - w->part->begin;
    w->stretches = mem_try(ctx, n * sizeof *w->stretches);
    if (!w->stretches)
        return ctx_fail(ctx, ERR_MEMORY, "no memory for %zu blocks", n);
    for (size_t b = w->part->begin; b < w->part->end; b++) {
        size_t from = 0, rows = 0;
        scan_rows(scan, w->part, b, &from, &rows);
        stretch_t *stretch = &w->stretches[w->n++];
        if (w->part->index && !w->exact)
            TRY(stretch_open_keep(ctx, scan, b, stretch));
        else
            TRY(stretch_open(ctx, scan, &w->search->scorer, b, from, rows, stretch));
        *ret_any = *ret_any || stretch->n_kept;
    }
    return OK;
}

/* --- reading with collectors ------------------------------------------ */

/* Leave the rows whose group was picked by `members`. */
static void s_keep_members(const search_t *self, const stretch_t *stretch, const pick_t *members,
                           chunk_t *chunk)
{
    size_t n = 0;
    for (size_t i = 0; i < chunk->n_kept; i++) {
        pick_hit_t hit = { .from = (uint32_t)stretch->block,
                           .row = (uint32_t)(stretch->from + chunk->at) + chunk->kept[i] };
        pick_key_t key;
        search_key(self, &hit, &key);
        if (pick_has_group(members, &key))
            chunk->kept[n++] = chunk->kept[i];
    }
    chunk->n_kept = n;
}

static err_t s_collect_chunk(ctx_t *ctx, const search_t *self, const stretch_t *stretch,
                             const chunk_t *chunk, collector_t *collector)
{
    for (size_t i = 0; i < chunk->n_kept; i++) {
        pick_hit_t hit = { .score = chunk->scores[i], .from = (uint32_t)stretch->block,
                           .row = (uint32_t)(stretch->from + chunk->at) + chunk->kept[i] };
        if (!isnan(hit.score) && scorer_in_range(&self->scorer, hit.score))
            TRY(collector_add(ctx, collector, &hit));
    }
    return OK;
}

err_t part_work_collect(ctx_t *ctx, const part_work_t *w, collector_t *collectors, size_t q,
                        size_t n, pick_t *const *members)
{
    const search_t *self = w->search;
    chunk_t chunk, left;
    for (size_t s = 0; s < w->n; s++) {
        const stretch_t *stretch = &w->stretches[s];
        for (size_t at = 0; stretch->n_kept && at < stretch->n; at += chunk.n) {
            chunk_open(&self->scorer, stretch, at, &chunk);
            for (size_t i = 0; chunk.n_kept && i < n; i++) {
                TRY(ctx_alive(ctx));
                chunk_t *now = &chunk;
                if (members) {
                    left = chunk;
                    now = &left;
                    s_keep_members(self, stretch, members[i], now);
                }
                chunk_score(&self->scorer, stretch, q + i, now);
                TRY(s_collect_chunk(ctx, self, stretch, now, &collectors[i]));
            }
        }
    }
    return OK;
}

static err_t s_take_collected(ctx_t *ctx, part_work_t *w, collector_t *collector, size_t q)
{
    TRY(collector_settle(ctx, collector));
    if (collector->full)
        part_tighten(w->search, q, collector->bound);
    return hit_list_add(ctx, w->list, q, collector->hits, collector->n);
}

static err_t s_run_grouped(ctx_t *ctx, part_work_t *w)
{
    search_t *self = w->search;
    size_t nq = self->scorer.nq, most = BATCH_BYTES / collector_bytes(&self->pick) + 1;
    w->collectors = mem_try(ctx, (most < nq ? most : nq) * sizeof *w->collectors);
    if (!w->collectors)
        return ctx_fail(ctx, ERR_MEMORY, "no memory for %zu queries", nq);
    for (size_t q = 0; q < nq; q += w->batch) {
        size_t n = nq - q < most ? nq - q : most;
        for (size_t i = 0; i < w->batch; i++)
            collector_fini(&w->collectors[i]);
        for (w->batch = 0; w->batch < n; w->batch++) {
            TRY(collector_init(ctx, &w->collectors[w->batch], w->pick, &self->pick));
            s_limit_collector(self, q + w->batch, &w->collectors[w->batch]);
        }
        TRY(part_work_collect(ctx, w, w->collectors, q, n, NULL));
        for (size_t i = 0; i < n; i++)
            TRY(s_take_collected(ctx, w, &w->collectors[i], q + i));
    }
    return OK;
}

/* --- reading with top-ks ------------------------------------------ */

/* Which stretch has this row of the segment? */
static const stretch_t *s_stretch_of(const part_work_t *w, size_t row)
{
    size_t low = 0, high = w->n;
    while (high - low > 1) {
        size_t mid = low + (high - low) / 2;
        if (w->stretches[mid].first <= row)
            low = mid;
        else
            high = mid;
    }
    return &w->stretches[low];
}

static bool s_column_rises(const column_t *pks, size_t from, size_t n)
{
    for (size_t i = from + 1; i < from + n; i++)
        if (pk_cmp(pks->type, column_cell(pks, i - 1), column_cell(pks, i)) >= 0)
            return false;
    return true;
}

bool part_rises(part_work_t *w)
{
    const scan_block_t *blocks = w->search->scan.blocks;
    for (size_t i = 0; w->rises < 0 && i < w->n; i++) {
        const stretch_t *s = &w->stretches[i];
        const column_t *pks = &blocks[s->block].pks;
        if (!s_column_rises(pks, s->from, s->n))
            w->rises = 0;
        if (i == 0 || s->n == 0 || w->rises == 0)
            continue;
        const column_t *before = &blocks[s->block - 1].pks;
        if (pk_cmp(pks->type, column_cell(before, before->n - 1), column_cell(pks, 0)) >= 0)
            w->rises = 0;
    }
    if (w->rises < 0)
        w->rises = 1;
    return w->rises;
}

/* Are the n_picked of the first k hits the answer, although there are more rows behind? */
static bool s_settled(part_work_t *w, size_t n_picked)
{
    const search_t *self = w->search;
    size_t k = self->pick.k;
    float last = w->drawn[k - 1].score;
    if (n_picked < k)
        return false;                           /* a key came twice */
    if (last != w->drawn[k].score)
        return true;
    bool clamped = self->scorer.metric == METRIC_COSINE && (last >= 1 || last <= -1);
    return !clamped && part_rises(w);
}

static err_t s_collect_one(ctx_t *ctx, part_work_t *w, size_t q, size_t n_picked)
{
    search_t *self = w->search;
    collector_t collector;
    if (n_picked == self->pick.k)               /* k different keys are at least that good */
        part_tighten(self, q, w->drawn[self->pick.k - 1].score);
    err_t err = collector_init(ctx, &collector, w->pick, &self->pick);
    if (err == OK) {
        s_limit_collector(self, q, &collector);
        err = part_work_collect(ctx, w, &collector, q, 1, NULL);
    }
    if (err == OK)
        err = s_take_collected(ctx, w, &collector, q);
    collector_fini(&collector);
    return err;
}

size_t part_draw(const part_work_t *w, const topk_hit_t *from, size_t n, pick_hit_t *ret)
{
    size_t n_drawn = 0;
    for (size_t i = 0; i < n; i++) {
        const stretch_t *stretch = s_stretch_of(w, from[i].row);
        float score = scorer_show(&w->search->scorer, from[i].score);
        if (scorer_in_range(&w->search->scorer, score))
            ret[n_drawn++] = (pick_hit_t){
                .score = score, .from = (uint32_t)stretch->block,
                .row = (uint32_t)(from[i].row - stretch->first + stretch->from),
            };
    }
    return n_drawn;
}

/* From the top-k of query q to its hits. */
static err_t s_settle(ctx_t *ctx, part_work_t *w, topk_t *best, size_t q)
{
    search_t *self = w->search;
    size_t k = self->pick.k, n_hits = topk_hits(best, w->hits), n_picked = 0;
    size_t n = part_draw(w, w->hits, n_hits, w->drawn);
    bool full = false;
    pick_list_t list = { w->drawn, n < k ? n : k };
    TRY(pick_run(ctx, w->pick, &list, 1, w->picked, &n_picked, &full));
    if (n_hits > k && !s_settled(w, n_picked))
        return s_collect_one(ctx, w, q, n_picked);
    if (full)
        part_tighten(self, q, w->picked[n_picked - 1].score);
    return hit_list_add(ctx, w->list, q, w->picked, n_picked);
}

static err_t s_plain_room(ctx_t *ctx, part_work_t *w, size_t batch)
{
    const search_t *self = w->search;
    size_t k = self->pick.k + 1;
    w->best = mem_try(ctx, batch * sizeof(topk_t *));
    w->hits = mem_try(ctx, k * sizeof *w->hits);
    w->drawn = mem_try(ctx, k * sizeof *w->drawn);
    w->picked = mem_try(ctx, k * sizeof *w->picked);
    if (!w->best || !w->hits || !w->drawn || !w->picked)
        return ctx_fail(ctx, ERR_MEMORY, "no memory for the best %zu rows of %zu queries", k,
                        batch);
    for (; w->batch < batch; w->batch++)
        TRY(topk_new(ctx, k, self->pick.descends, &w->best[w->batch]));
    return OK;
}

static err_t s_run_plain(ctx_t *ctx, part_work_t *w)
{
    const scorer_t *scorer = &w->search->scorer;
    size_t nq = scorer->nq, most = BATCH_BYTES / (16 * (w->search->pick.k + 1) + 1024) + 1;
    TRY(s_plain_room(ctx, w, most < nq ? most : nq));
    for (size_t q = 0; q < nq; q += w->batch) {
        size_t n = nq - q < w->batch ? nq - q : w->batch;
        for (size_t i = 0; i < n; i++)
            part_limit_topk(w->search, q + i, w->best[i]);
        for (size_t s = 0; s < w->n; s++)
            TRY(scorer_search(ctx, scorer, &w->stretches[s], q, n, w->best));
        for (size_t i = 0; i < n; i++)
            TRY(s_settle(ctx, w, w->best[i], q + i));
    }
    return OK;
}

err_t part_work_run(ctx_t *ctx, part_work_t *w)
{
    TRY(hit_list_new(ctx, w->search->scorer.nq, &w->list));
    w->pick = pick_new(&w->search->pick);
    if (w->part->index)
        return part_work_run_index(ctx, w);
    return w->search->pick.grouped ? s_run_grouped(ctx, w) : s_run_plain(ctx, w);
}
