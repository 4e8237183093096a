/* query_search - exact search over blocks of rows, in parts
 *
 * A part finds its best hits for every query by itself:
 *
 *     plain     a top-k of k + 1 over all its rows (core/simd/brute.h).  When these are k
 *               different keys and the one behind is worse, that is the answer; this is
 *               nearly always so.  Else (a key twice, or equal scores at the end, where
 *               rows are not in the order of their keys) a collector reads the rows again.
 *     grouped   a collector from the beginning
 *
 * and leaves a list.  Lists can be folded together in any order (core/query/pick.h), so the
 * answer does not depend on which part ended first; that is done at the end, or earlier
 * when many hits wait, by whichever part comes by.  Lists hold rows, not cells: output
 * fields are read for the final hits only.
 *
 * Parts tell one another how good a hit must be (`bounds`): when one part has k results for a
 * query, rows worse than its last need not be looked at by others.  That changes lists, not
 * the answer.
 *
 * Strict groups need a second look: which groups are in the answer is known when all
 * parts have ended, and then every row of these groups is scored once more.
 *
 * Locks: `lock` guards `parked` and the loading of `groups`; nothing else is locked under it
 * but a sealed segment's own.
 */
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>

#include "core/base/limits.h"
#include "core/query/query_collect.h"
#include "core/query/query_int.h"
#include "core/query/query_score.h"

enum {
    BATCH_BYTES = 8 << 20,      /* of candidates that a part holds at a time */
    FOLD_HITS = 1 << 20,        /* waiting hits that are worth folding early */
};

/* Hits of all queries, one behind the other. */
typedef struct list {
    struct list *next;
    uint32_t *counts;           /* [nq] */
    buf_t hits;                 /* of pick_hit_t */
} list_t;

/* The group field of a block. */
typedef struct values {
    bool loaded;
    column_t column;
    uint64_t *valid;            /* owned copy; NULL: none, or the segment's */
} values_t;

struct search {
    scan_t scan;
    scorer_t scorer;
    pick_plan_t pick;           /* of parts: group_size is 1 where groups are strict */
    size_t group_field, group_size;
    bool refill;                /* strict groups of more than one */
    size_t *outputs;            /* owned; [n_outputs] */
    size_t n_outputs, most_bytes;
    values_t *groups;           /* owned; [n_blocks]; NULL: not grouped */
    _Atomic float *bounds;      /* owned; [nq] no result is worse; rows that are equal count */
    pthread_mutex_t lock;
    list_t *parked;
    size_t parked_hits, fold_at;
    _Atomic size_t done;        /* parts */
};

static size_t s_list_hits(const list_t *list)
{
    return list->hits.len / sizeof(pick_hit_t);
}

static void s_list_destroy(list_t **list_p)
{
    list_t *list = *list_p;
    *list_p = NULL;
    while (list) {
        list_t *next = list->next;
        mem_free(list->counts);
        buf_fini(&list->hits);
        mem_free(list);
        list = next;
    }
}

static err_t s_list_new(ctx_t *ctx, const search_t *self, list_t **ret)
{
    list_t *list = mem_try(ctx, sizeof *list);
    if (list)
        list->counts = mem_try(ctx, self->scorer.nq * sizeof *list->counts);
    if (list && list->counts) {
        *ret = list;
        return OK;
    }
    s_list_destroy(&list);
    return ctx_fail(ctx, ERR_MEMORY, "no memory for the hits of %zu queries", self->scorer.nq);
}

static err_t s_list_add(ctx_t *ctx, list_t *list, size_t q, const pick_hit_t *hits, size_t n)
{
    if (n > LIMIT_SEARCH_HITS - s_list_hits(list))
        return ctx_fail(ctx, ERR_PARAM_TOO_LARGE, "the search has more than %d hits: ask for fewer "
                        "queries or a smaller limit", LIMIT_SEARCH_HITS);
    list->counts[q] = (uint32_t)n;
    buf_add(&list->hits, hits, n * sizeof *hits);
    return buf_ok(&list->hits) ? OK
         : ctx_fail(ctx, ERR_MEMORY, "no memory for the hits of query %zu", q);
}

/* --- life ------------------------------------------ */

static void s_key(const void *arg, const pick_hit_t *hit, pick_key_t *ret)
{
    const search_t *self = arg;
    const scan_block_t *block = &self->scan.blocks[hit->from];
    *ret = (pick_key_t){ .pk = column_cell(&block->pks, hit->row), .ts = block->ts[hit->row] };
    if (!self->groups)
        return;
    const column_t *values = &self->groups[hit->from].column;
    ret->null_group = column_is_null(values, hit->row);
    ret->group = column_cell(values, hit->row);
}

static err_t s_check_plan(ctx_t *ctx, const search_plan_t *plan)
{
    if (plan->topk == 0 || plan->topk > LIMIT_TOPK)
        return ctx_fail(ctx, ERR_PARAM_INVALID, "topk [%zu] is invalid, it should be in range "
                        "[1, %d], but got %zu", plan->topk, LIMIT_TOPK, plan->topk);
    if ((plan->has_radius && isnan(plan->radius)) ||
        (plan->has_range_filter && isnan(plan->range_filter)))
        return ctx_fail(ctx, ERR_PARAM_INVALID, "radius and range_filter must be numbers");
    if (plan->group_field == SIZE_MAX)
        return OK;
    check(plan->group_field < schema_len(plan->schema));
    if (plan->group_size == 0 || plan->group_size > LIMIT_GROUP_SIZE)
        return ctx_fail(ctx, ERR_PARAM_INVALID, "group_size %zu is not in [1, %d]",
                        plan->group_size, LIMIT_GROUP_SIZE);
    return OK;
}

static search_t *s_new(const search_plan_t *plan)
{
    search_t *self = mem_new(sizeof *self);
    bool grouped = plan->group_field != SIZE_MAX;
    self->refill = grouped && plan->strict_group_size && plan->group_size > 1;
    self->pick = (pick_plan_t){
        .pk = schema_pk(plan->schema)->type, .descends = metric_descends(plan->metric),
        .grouped = grouped, .k = plan->topk, .key = s_key, .arg = self,
        .group_size = grouped && !self->refill ? plan->group_size : 1,
    };
    self->group_field = plan->group_field;
    self->group_size = plan->group_size;
    self->most_bytes = plan->most_bytes;
    self->n_outputs = plan->n_outputs;
    self->outputs = mem_new(plan->n_outputs * sizeof *self->outputs);
    if (plan->n_outputs)
        memcpy(self->outputs, plan->outputs, plan->n_outputs * sizeof *self->outputs);
    self->fold_at = FOLD_HITS;
    pthread_mutex_init(&self->lock, NULL);
    return self;
}

/* --- bounds ------------------------------------------ */

static float s_worst(const search_t *self)
{
    return self->pick.descends ? -INFINITY : INFINITY;
}

static bool s_better(const search_t *self, float a, float b)
{
    return self->pick.descends ? a > b : a < b;
}

static err_t s_make_bounds(ctx_t *ctx, search_t *self)
{
    self->bounds = mem_try(ctx, self->scorer.nq * sizeof *self->bounds);
    if (!self->bounds)
        return ctx_fail(ctx, ERR_MEMORY, "no memory for %zu queries", self->scorer.nq);
    for (size_t q = 0; q < self->scorer.nq; q++)
        atomic_init(&self->bounds[q], s_worst(self));
    return OK;
}

static float s_bound(const search_t *self, size_t q)
{
    return atomic_load_explicit(&self->bounds[q], memory_order_relaxed);
}

static void s_tighten(search_t *self, size_t q, float score)
{
    float now = s_bound(self, q);
    while (s_better(self, score, now) &&
           !atomic_compare_exchange_weak_explicit(&self->bounds[q], &now, score,
                                                  memory_order_relaxed, memory_order_relaxed))
        ;
}

/* Before the first row of query q. */
static void s_limit_topk(const search_t *self, size_t q, topk_t *best)
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

err_t search_new(ctx_t *ctx, const search_plan_t *plan, const query_source_t *sources,
                 size_t n_sources, search_t **ret)
{
    check(ret && *ret == NULL);
    TRY(s_check_plan(ctx, plan));
    owned(search) self = s_new(plan);
    TRY(scorer_init(ctx, &self->scorer, plan));
    TRY(scan_init(ctx, &self->scan, plan->schema, plan->filter, plan->read_ts, sources, n_sources,
                  scorer_part_rows(&self->scorer, plan->part_bytes)));
    TRY(s_make_bounds(ctx, self));
    if (self->pick.grouped) {
        self->groups = mem_try(ctx, self->scan.n_blocks * sizeof *self->groups);
        if (!self->groups)
            return ctx_fail(ctx, ERR_MEMORY, "no memory for %zu blocks", self->scan.n_blocks);
    }
    *ret = take(self);
    return OK;
}

void search_destroy(search_t **self_p)
{
    search_t *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    s_list_destroy(&self->parked);
    for (size_t b = 0; self->groups && b < self->scan.n_blocks; b++)
        mem_free(self->groups[b].valid);
    mem_free(self->groups);
    mem_free(self->bounds);
    mem_free(self->outputs);
    scorer_fini(&self->scorer);
    scan_fini(&self->scan);
    pthread_mutex_destroy(&self->lock);
    mem_free(self);
}

size_t search_parts(const search_t *self)
{
    return self->scan.n_parts;
}

/* --- groups ------------------------------------------ */

/* Once a block; other parts read it after they took the lock for their own blocks or for
 * the lists that name it. */
static err_t s_load_values(ctx_t *ctx, search_t *self, size_t b)
{
    values_t *values = &self->groups[b];
    if (values->loaded)
        return OK;
    TRY(scan_column(ctx, &self->scan, b, self->group_field, &values->column));
    if (values->column.valid) {
        size_t bytes = (values->column.n + 63) / 64 * sizeof *values->valid;
        values->valid = mem_try(ctx, bytes);
        if (!values->valid)
            return ctx_fail(ctx, ERR_MEMORY, "no memory for the nulls of a group field");
        if (bytes)
            memcpy(values->valid, values->column.valid, bytes);
        values->column.valid = values->valid;
    }
    values->loaded = true;
    return OK;
}

static err_t s_load_groups(ctx_t *ctx, search_t *self, const scan_part_t *part)
{
    err_t err = OK;
    pthread_mutex_lock(&self->lock);
    for (size_t b = part->begin; self->groups && err == OK && b < part->end; b++)
        err = s_load_values(ctx, self, b);
    pthread_mutex_unlock(&self->lock);
    return err;
}

/* --- a part ------------------------------------------ */

/* One thread's work on one part. */
typedef struct work {
    search_t *search;
    const scan_part_t *part;
    pick_t *pick;
    stretch_t *stretches;       /* [n] */
    size_t n;
    list_t *list;               /* what comes out */
    topk_t **best;              /* [batch]; plain */
    topk_hit_t *hits;           /* [k + 1] */
    pick_hit_t *drawn, *picked; /* [k + 1] */
    collector_t *collectors;    /* [batch]; grouped */
    size_t batch;
    int rises;                  /* do keys rise from row to row?  -1: not known yet */
} work_t;

static void s_work_fini(work_t *w)
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
    s_list_destroy(&w->list);
}

/* False in *ret_any: no row of the part takes part. */
static err_t s_open_stretches(ctx_t *ctx, work_t *w, bool *ret_any)
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
        s_key(self, &hit, &key);
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

/* Queries [q, q + n) over all stretches; members NULL: rows of any group. */
static err_t s_collect(ctx_t *ctx, const work_t *w, collector_t *collectors, size_t q, size_t n,
                       pick_t *const *members)
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

static err_t s_take_collected(ctx_t *ctx, work_t *w, collector_t *collector, size_t q)
{
    TRY(collector_settle(ctx, collector));
    if (collector->full)
        s_tighten(w->search, q, collector->bound);
    return s_list_add(ctx, w->list, q, collector->hits, collector->n);
}

static err_t s_run_grouped(ctx_t *ctx, work_t *w)
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
        TRY(s_collect(ctx, w, w->collectors, q, n, NULL));
        for (size_t i = 0; i < n; i++)
            TRY(s_take_collected(ctx, w, &w->collectors[i], q + i));
    }
    return OK;
}

/* --- reading with top-ks ------------------------------------------ */

/* Which stretch has this row of the segment? */
static const stretch_t *s_stretch_of(const work_t *w, size_t row)
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

/* Are the part's rows in the order of their keys, each once?  Then a top-k has settled ties. */
static bool s_rises(work_t *w)
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
static bool s_settled(work_t *w, size_t n_picked)
{
    const search_t *self = w->search;
    size_t k = self->pick.k;
    float last = w->drawn[k - 1].score;
    if (n_picked < k)
        return false;                           /* a key came twice */
    if (last != w->drawn[k].score)
        return true;
    bool clamped = self->scorer.metric == METRIC_COSINE && (last >= 1 || last <= -1);
    return !clamped && s_rises(w);
}

static err_t s_collect_one(ctx_t *ctx, work_t *w, size_t q, size_t n_picked)
{
    search_t *self = w->search;
    collector_t collector;
    if (n_picked == self->pick.k)               /* k different keys are at least that good */
        s_tighten(self, q, w->drawn[self->pick.k - 1].score);
    err_t err = collector_init(ctx, &collector, w->pick, &self->pick);
    if (err == OK) {
        s_limit_collector(self, q, &collector);
        err = s_collect(ctx, w, &collector, q, 1, NULL);
    }
    if (err == OK)
        err = s_take_collected(ctx, w, &collector, q);
    collector_fini(&collector);
    return err;
}

/* From the top-k of query q to its hits. */
static err_t s_settle(ctx_t *ctx, work_t *w, topk_t *best, size_t q)
{
    search_t *self = w->search;
    size_t k = self->pick.k, n = 0, n_hits = topk_hits(best, w->hits), n_picked = 0;
    for (size_t i = 0; i < n_hits; i++) {
        const stretch_t *stretch = s_stretch_of(w, w->hits[i].row);
        float score = scorer_show(&self->scorer, w->hits[i].score);
        if (scorer_in_range(&self->scorer, score))
            w->drawn[n++] = (pick_hit_t){
                .score = score, .from = (uint32_t)stretch->block,
                .row = (uint32_t)(w->hits[i].row - stretch->first + stretch->from),
            };
    }
    bool full = false;
    pick_list_t list = { w->drawn, n < k ? n : k };
    TRY(pick_run(ctx, w->pick, &list, 1, w->picked, &n_picked, &full));
    if (n_hits > k && !s_settled(w, n_picked))
        return s_collect_one(ctx, w, q, n_picked);
    if (full)
        s_tighten(self, q, w->picked[n_picked - 1].score);
    return s_list_add(ctx, w->list, q, w->picked, n_picked);
}

static err_t s_plain_room(ctx_t *ctx, work_t *w, size_t batch)
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

static err_t s_run_plain(ctx_t *ctx, work_t *w)
{
    const scorer_t *scorer = &w->search->scorer;
    size_t nq = scorer->nq, most = BATCH_BYTES / (16 * (w->search->pick.k + 1) + 1024) + 1;
    TRY(s_plain_room(ctx, w, most < nq ? most : nq));
    for (size_t q = 0; q < nq; q += w->batch) {
        size_t n = nq - q < w->batch ? nq - q : w->batch;
        for (size_t i = 0; i < n; i++)
            s_limit_topk(w->search, q + i, w->best[i]);
        for (size_t s = 0; s < w->n; s++)
            TRY(scorer_search(ctx, scorer, &w->stretches[s], q, n, w->best));
        for (size_t i = 0; i < n; i++)
            TRY(s_settle(ctx, w, w->best[i], q + i));
    }
    return OK;
}

/* --- folding ------------------------------------------ */

/* What was parked so far, which is the caller's from now on. */
static list_t *s_unpark(search_t *self)
{
    pthread_mutex_lock(&self->lock);
    list_t *lists = self->parked;
    self->parked = NULL;
    self->parked_hits = 0;
    pthread_mutex_unlock(&self->lock);
    return lists;
}

/* True when enough waits to be folded. */
static bool s_park(search_t *self, list_t *list)
{
    pthread_mutex_lock(&self->lock);
    list->next = self->parked;
    self->parked = list;
    self->parked_hits += s_list_hits(list);
    bool enough = self->parked_hits > self->fold_at && list->next;
    pthread_mutex_unlock(&self->lock);
    return enough;
}

typedef struct fold {
    pick_list_t *lists;         /* [n] of one query */
    size_t *at;                 /* [n] where the next query's hits begin */
    size_t n;
    pick_hit_t *picked;         /* [most hits of one query] */
} fold_t;

static err_t s_fold_init(ctx_t *ctx, const search_t *self, const list_t *from, fold_t *fold)
{
    *fold = (fold_t){0};
    size_t most = 0;
    for (const list_t *l = from; l; l = l->next)
        fold->n++;
    for (size_t q = 0; q < self->scorer.nq; q++) {
        size_t n = 0;
        for (const list_t *l = from; l; l = l->next)
            n += l->counts[q];
        most = n > most ? n : most;
    }
    fold->lists = mem_try(ctx, fold->n * sizeof *fold->lists);
    fold->at = mem_try(ctx, fold->n * sizeof *fold->at);
    fold->picked = mem_try(ctx, most * sizeof *fold->picked);
    return fold->lists && fold->at && fold->picked ? OK
         : ctx_fail(ctx, ERR_MEMORY, "no memory to merge %zu lists of %zu hits", fold->n, most);
}

static void s_fold_fini(fold_t *fold)
{
    mem_free(fold->lists);
    mem_free(fold->at);
    mem_free(fold->picked);
}

/* Pick query q's hits from all lists; queries are asked for in turn. */
static err_t s_fold_query(ctx_t *ctx, fold_t *fold, const list_t *from, size_t q, pick_t *pick,
                          size_t *ret_n)
{
    size_t i = 0;
    for (const list_t *l = from; l; l = l->next, i++) {
        const pick_hit_t *hits = (const pick_hit_t *)(const void *)l->hits.ptr;
        fold->lists[i] = (pick_list_t){ hits ? hits + fold->at[i] : NULL, l->counts[q] };
        fold->at[i] += l->counts[q];
    }
    bool full = false;
    return pick_run(ctx, pick, fold->lists, fold->n, fold->picked, ret_n, &full);
}

/* All of `from` as one list.  last: as the client sees them. */
static err_t s_fold(ctx_t *ctx, const search_t *self, const list_t *from, bool last, list_t *into)
{
    owned(pick) pick = pick_new(&self->pick);
    fold_t fold;
    err_t err = s_fold_init(ctx, self, from, &fold);
    for (size_t q = 0; err == OK && q < self->scorer.nq; q++) {
        size_t n = 0;
        err = s_fold_query(ctx, &fold, from, q, pick, &n);
        if (err == OK && last)
            err = pick_by_group(ctx, pick, 0, fold.picked, &n);
        if (err == OK)
            err = s_list_add(ctx, into, q, fold.picked, n);
    }
    s_fold_fini(&fold);
    return err;
}

static err_t s_fold_parked(ctx_t *ctx, search_t *self)
{
    list_t *from = s_unpark(self), *into = NULL;
    err_t err = s_list_new(ctx, self, &into);
    if (err == OK)
        err = s_fold(ctx, self, from, false, into);
    s_list_destroy(&from);
    if (err != OK) {
        s_list_destroy(&into);
        return err;
    }
    pthread_mutex_lock(&self->lock);
    size_t again = 2 * s_list_hits(into);       /* what stays is not folded for nothing */
    self->fold_at = again > self->fold_at ? again : self->fold_at;
    pthread_mutex_unlock(&self->lock);
    (void)s_park(self, into);
    return OK;
}

static err_t s_run(ctx_t *ctx, work_t *w)
{
    search_t *self = w->search;
    bool any = false;
    TRY(s_open_stretches(ctx, w, &any));
    if (!any)
        return OK;
    TRY(s_load_groups(ctx, self, w->part));
    TRY(s_list_new(ctx, self, &w->list));
    w->pick = pick_new(&self->pick);
    TRY(self->pick.grouped ? s_run_grouped(ctx, w) : s_run_plain(ctx, w));
    return s_park(self, take(w->list)) ? s_fold_parked(ctx, self) : OK;
}

err_t search_run(ctx_t *ctx, search_t *self, size_t i)
{
    check(i < self->scan.n_parts);
    work_t work = { .search = self, .part = &self->scan.parts[i], .rises = -1 };
    TRY(ctx_alive(ctx));
    err_t err = s_run(ctx, &work);
    s_work_fini(&work);
    if (err == OK)
        atomic_fetch_add(&self->done, 1);
    return err;
}

/* --- the second look for strict groups ------------------------------------------ */

typedef struct refill {
    pick_plan_t plan;           /* all hits of the chosen groups */
    pick_t *pick;
    size_t n;                   /* queries at a time */
    pick_t **chosen;            /* [n] which groups each query has */
    collector_t *collectors;    /* [n] */
} refill_t;

static void s_refill_reset(refill_t *r)
{
    for (size_t i = 0; i < r->n; i++) {
        pick_destroy(&r->chosen[i]);
        collector_fini(&r->collectors[i]);
    }
}

static void s_refill_fini(refill_t *r)
{
    if (r->chosen && r->collectors)
        s_refill_reset(r);
    mem_free(r->chosen);
    mem_free(r->collectors);
    pick_destroy(&r->pick);
}

static err_t s_refill_init(ctx_t *ctx, const search_t *self, refill_t *r)
{
    *r = (refill_t){ .plan = self->pick };
    r->plan.group_size = self->group_size;
    r->plan.strict = true;
    r->pick = pick_new(&r->plan);
    size_t most = BATCH_BYTES / collector_bytes(&r->plan) + 1;
    r->n = most < self->scorer.nq ? most : self->scorer.nq;
    r->chosen = mem_try(ctx, r->n * sizeof(pick_t *));
    r->collectors = mem_try(ctx, r->n * sizeof *r->collectors);
    return r->chosen && r->collectors ? OK
         : ctx_fail(ctx, ERR_MEMORY, "no memory for the groups of %zu queries", r->n);
}

static err_t s_refill_part(ctx_t *ctx, search_t *self, refill_t *r, size_t part, size_t q,
                           size_t n)
{
    work_t work = { .search = self, .part = &self->scan.parts[part] };
    bool any = false;
    err_t err = s_open_stretches(ctx, &work, &any);
    if (err == OK && any)
        err = s_collect(ctx, &work, r->collectors, q, n, r->chosen);
    s_work_fini(&work);
    return err;
}

/* Queries [q, q + n): choose the groups, read all their rows, keep the best of each. */
static err_t s_refill_batch(ctx_t *ctx, search_t *self, refill_t *r, fold_t *fold,
                            const list_t *from, size_t q, size_t n, list_t *into)
{
    for (size_t i = 0; i < n; i++) {
        size_t n_groups = 0;
        r->chosen[i] = pick_new(&self->pick);
        TRY(collector_init(ctx, &r->collectors[i], r->pick, &r->plan));
        TRY(s_fold_query(ctx, fold, from, q + i, r->chosen[i], &n_groups));
    }
    for (size_t part = 0; part < self->scan.n_parts; part++)
        TRY(s_refill_part(ctx, self, r, part, q, n));
    for (size_t i = 0; i < n; i++) {
        collector_t *c = &r->collectors[i];
        TRY(collector_settle(ctx, c));
        size_t n_hits = c->n;
        TRY(pick_by_group(ctx, r->pick, 0, c->hits, &n_hits));
        TRY(s_list_add(ctx, into, q + i, c->hits, n_hits));
    }
    return OK;
}

static err_t s_refill(ctx_t *ctx, search_t *self, const list_t *from, list_t *into)
{
    refill_t r;
    fold_t fold = {0};
    err_t err = s_refill_init(ctx, self, &r);
    if (err == OK)
        err = s_fold_init(ctx, self, from, &fold);
    for (size_t q = 0; err == OK && q < self->scorer.nq; q += r.n) {
        size_t left = self->scorer.nq - q;
        err = s_refill_batch(ctx, self, &r, &fold, from, q, left < r.n ? left : r.n, into);
        s_refill_reset(&r);
    }
    s_fold_fini(&fold);
    s_refill_fini(&r);
    return err;
}

/* --- the answer ------------------------------------------ */

static err_t s_fill(ctx_t *ctx, const search_t *self, const pick_hit_t *hits,
                    const scan_place_t *places, search_found_t *found)
{
    const scan_t *scan = &self->scan;
    size_t n = found->n, pk = schema_index(scan->schema, schema_pk(scan->schema));
    answer_t answer = { .what = "search", .most_bytes = self->most_bytes };
    TRY(answer_add(ctx, &answer, n * sizeof *found->scores));
    for (size_t i = 0; i < n; i++)
        found->scores[i] = hits[i].score;
    TRY(scan_copy(ctx, scan, pk, places, n, &answer, &found->pks));
    if (self->groups)
        TRY(scan_copy(ctx, scan, self->group_field, places, n, &answer, &found->groups));
    for (size_t f = 0; f < self->n_outputs; f++)
        TRY(scan_copy(ctx, scan, self->outputs[f], places, n, &answer, &found->outputs[f]));
    return OK;
}

static err_t s_make_found(ctx_t *ctx, const search_t *self, const list_t *list,
                          search_found_t *found)
{
    const pick_hit_t *hits = (const pick_hit_t *)(const void *)list->hits.ptr;
    size_t n = s_list_hits(list);
    TRY(found_make(ctx, self->scan.schema, self->group_field, self->outputs, self->n_outputs,
                   self->scorer.nq, n, found));
    memcpy(found->hits, list->counts, found->nq * sizeof *found->hits);
    scan_place_t *places = mem_try(ctx, n * sizeof *places);
    if (!places)
        return ctx_fail(ctx, ERR_MEMORY, "no memory for the places of %zu hits", n);
    for (size_t i = 0; i < n; i++)
        places[i] = (scan_place_t){ hits[i].from, hits[i].row };
    err_t err = s_fill(ctx, self, hits, places, found);
    mem_free(places);
    return err;
}

static err_t s_answer(ctx_t *ctx, search_t *self, const list_t *from, list_t *last,
                      search_found_t *found)
{
    TRY(self->refill ? s_refill(ctx, self, from, last) : s_fold(ctx, self, from, true, last));
    return s_make_found(ctx, self, last, found);
}

err_t search_finish(ctx_t *ctx, search_t *self, search_found_t *ret)
{
    check(atomic_load(&self->done) == self->scan.n_parts);
    search_found_t found = {0};
    list_t *from = s_unpark(self), *last = NULL;
    err_t err = s_list_new(ctx, self, &last);
    if (err == OK)
        err = s_answer(ctx, self, from, last, &found);
    s_list_destroy(&from);
    s_list_destroy(&last);
    if (err == OK)
        *ret = found;
    else
        search_found_fini(&found);
    return err;
}
