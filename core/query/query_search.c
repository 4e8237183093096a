/* query_search - search over blocks of rows, in parts
 *
 * A part finds its best hits for every query by itself:
 *
 *     plain     a top-k of k + 1 over all its rows (core/simd/brute.h).  When these are k
 *               different keys and the one behind is worse, that is the answer; this is
 *               nearly always so.  Else (a key twice, or equal scores at the end, where
 *               rows are not in the order of their keys) a collector reads the rows again.
 *     grouped   a collector from the beginning
 *     index     what the segment's index finds (query_search_index.c)
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
#include "core/query/query_search_int.h"

#include <math.h>

#include "core/base/limits.h"
#include "core/query/query_int.h"

/* --- life ------------------------------------------ */

void search_key(const void *arg, const pick_hit_t *hit, pick_key_t *ret)
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
        .grouped = grouped, .k = plan->topk, .key = search_key, .arg = self,
        .group_size = grouped && !self->refill ? plan->group_size : 1,
    };
    self->group_field = plan->group_field;
    self->group_size = plan->group_size;
    self->most_bytes = plan->most_bytes;
    self->knobs = plan->knobs;
    self->n_outputs = plan->n_outputs;
    self->outputs = mem_new(plan->n_outputs * sizeof *self->outputs);
    if (plan->n_outputs)
        memcpy(self->outputs, plan->outputs, plan->n_outputs * sizeof *self->outputs);
    self->fold_at = FOLD_HITS;
    pthread_mutex_init(&self->lock, NULL);
    return self;
}

static err_t s_make_bounds(ctx_t *ctx, search_t *self)
{
    self->bounds = mem_try(ctx, self->scorer.nq * sizeof *self->bounds);
    if (!self->bounds)
        return ctx_fail(ctx, ERR_MEMORY, "no memory for %zu queries", self->scorer.nq);
    for (size_t q = 0; q < self->scorer.nq; q++)
        atomic_init(&self->bounds[q], self->pick.descends ? -INFINITY : INFINITY);
    return OK;
}

err_t search_new(ctx_t *ctx, const search_plan_t *plan, const query_source_t *sources,
                 size_t n_sources, search_t **ret)
{
    check(ret && *ret == NULL);
    TRY(s_check_plan(ctx, plan));
    owned(search) self = s_new(plan);
    TRY(scorer_init(ctx, &self->scorer, plan));
    TRY(scan_init(ctx, &self->scan, plan->schema, plan->filter, plan->read_ts, sources,
                  n_sources));
    self->scan.expire_ts = plan->expire_ts;
    scan_use_indexes(&self->scan, plan->field, plan->metric);
    TRY(scan_cut(ctx, &self->scan, scorer_part_rows(&self->scorer, plan->part_bytes)));
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
    hit_list_destroy(&self->parked);
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

size_t search_answered(const search_t *self)
{
    return scan_answered(&self->scan);
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
static err_t s_run(ctx_t *ctx, part_work_t *w)
{
    search_t *self = w->search;
    bool any = false;
    TRY(part_work_open(ctx, w, &any));
    if (!any)
        return OK;
    TRY(s_load_groups(ctx, self, w->part));
    TRY(part_work_run(ctx, w));
    return search_park(self, take(w->list)) ? search_fold_parked(ctx, self) : OK;
}

err_t search_run(ctx_t *ctx, search_t *self, size_t i)
{
    check(i < self->scan.n_parts);
    part_work_t work = { .search = self, .part = &self->scan.parts[i], .rises = -1 };
    TRY(ctx_alive(ctx));
    err_t err = s_run(ctx, &work);
    part_work_fini(&work);
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
    part_work_t work = { .search = self, .part = &self->scan.parts[part], .exact = true };
    bool any = false;
    err_t err = part_work_open(ctx, &work, &any);
    if (err == OK && any)
        err = part_work_collect(ctx, &work, r->collectors, q, n, r->chosen);
    part_work_fini(&work);
    return err;
}

/* Queries [q, q + n): choose the groups, read all their rows, keep the best of each. */
static err_t s_refill_batch(ctx_t *ctx, search_t *self, refill_t *r, hit_fold_t *fold,
                            const hit_list_t *from, size_t q, size_t n, hit_list_t *into)
{
    for (size_t i = 0; i < n; i++) {
        size_t n_groups = 0;
        r->chosen[i] = pick_new(&self->pick);
        TRY(collector_init(ctx, &r->collectors[i], r->pick, &r->plan));
        TRY(hit_fold_query(ctx, fold, q + i, r->chosen[i], &n_groups));
    }
    for (size_t part = 0; part < self->scan.n_parts; part++)
        TRY(s_refill_part(ctx, self, r, part, q, n));
    for (size_t i = 0; i < n; i++) {
        collector_t *c = &r->collectors[i];
        TRY(collector_settle(ctx, c));
        size_t n_hits = c->n;
        TRY(pick_by_group(ctx, r->pick, 0, c->hits, &n_hits));
        TRY(hit_list_add(ctx, into, q + i, c->hits, n_hits));
    }
    return OK;
}

static err_t s_refill(ctx_t *ctx, search_t *self, const hit_list_t *from, hit_list_t *into)
{
    refill_t r;
    hit_fold_t fold = {0};
    err_t err = s_refill_init(ctx, self, &r);
    if (err == OK)
        err = hit_fold_init(ctx, &fold, from, self->scorer.nq);
    for (size_t q = 0; err == OK && q < self->scorer.nq; q += r.n) {
        size_t left = self->scorer.nq - q;
        err = s_refill_batch(ctx, self, &r, &fold, from, q, left < r.n ? left : r.n, into);
        s_refill_reset(&r);
    }
    hit_fold_fini(&fold);
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

static err_t s_make_found(ctx_t *ctx, const search_t *self, const hit_list_t *list,
                          search_found_t *found)
{
    const pick_hit_t *hits = hit_list_hits(list);
    size_t n = hit_list_len(list);
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

static err_t s_answer(ctx_t *ctx, search_t *self, const hit_list_t *from, hit_list_t *last,
                      search_found_t *found)
{
    TRY(self->refill ? s_refill(ctx, self, from, last) : search_fold(ctx, self, from, true, last));
    return s_make_found(ctx, self, last, found);
}

err_t search_finish(ctx_t *ctx, search_t *self, search_found_t *ret)
{
    check(atomic_load(&self->done) == self->scan.n_parts);
    search_found_t found = {0};
    hit_list_t *from = search_unpark(self), *last = NULL;
    err_t err = hit_list_new(ctx, self->scorer.nq, &last);
    if (err == OK)
        err = s_answer(ctx, self, from, last, &found);
    hit_list_destroy(&from);
    hit_list_destroy(&last);
    if (err == OK)
        *ret = found;
    else
        search_found_fini(&found);
    return err;
}
