/* query_collect - see query_collect.h */
#include "core/query/query_collect.h"

#include "core/segment/segment.h"

enum { SLACK = 256 };           /* least room behind what is kept */

static size_t s_cap(const pick_plan_t *plan)
{
    return 2 * plan->k * (plan->grouped ? plan->group_size : 1) + SLACK;
}

size_t collector_bytes(const pick_plan_t *plan)
{
    return 2 * s_cap(plan) * sizeof(pick_hit_t);
}

err_t collector_init(ctx_t *ctx, collector_t *self, pick_t *pick, const pick_plan_t *plan)
{
    *self = (collector_t){ .pick = pick, .plan = plan, .cap = s_cap(plan) };
    self->hits = mem_try(ctx, self->cap * sizeof *self->hits);
    self->picked = mem_try(ctx, self->cap * sizeof *self->picked);
    if (self->hits && self->picked)
        return OK;
    collector_fini(self);
    return ctx_fail(ctx, ERR_MEMORY, "no memory for %zu candidates: ask for fewer hits or groups",
                    s_cap(plan));
}

void collector_fini(collector_t *self)
{
    mem_free(self->hits);
    mem_free(self->picked);
    *self = (collector_t){0};
}

err_t collector_settle(ctx_t *ctx, collector_t *self)
{
    size_t n = 0;
    bool full = false;
    pick_sort(self->pick, self->hits, self->n);
    pick_list_t list = { self->hits, self->n };
    TRY(pick_run(ctx, self->pick, &list, 1, self->picked, &n, &full));
    pick_hit_t *was = self->hits;
    self->hits = self->picked;
    self->picked = was;
    self->n = n;
    if (!full)
        return OK;
    pick_key_t key = {0};
    self->plan->key(self->plan->arg, &self->hits[n - 1], &key);
    self->full = true;
    self->bound = self->hits[n - 1].score;
    self->bound_pk = key.pk;
    return OK;
}

/* Certainly not among the picked. */
static bool s_hopeless(const collector_t *self, const pick_hit_t *hit)
{
    if (!self->full)
        return false;
    if (hit->score != self->bound)
        return self->plan->descends ? hit->score < self->bound : hit->score > self->bound;
    if (self->plan->grouped || !self->bound_pk.ptr)
        return false;
    pick_key_t key;
    self->plan->key(self->plan->arg, hit, &key);
    return pk_cmp(self->plan->pk, key.pk, self->bound_pk) > 0;
}

err_t collector_add(ctx_t *ctx, collector_t *self, const pick_hit_t *hit)
{
    if (s_hopeless(self, hit))
        return OK;
    self->hits[self->n++] = *hit;
    return self->n == self->cap ? collector_settle(ctx, self) : OK;
}
