/* pick - see pick.h
 *
 * A heap of lists gives the next hit; all hits of its score are drawn together (a run),
 * asked for their keys and sorted.  Most runs have one hit, and nothing is asked about the
 * hits behind the last that is taken.
 */
#include "core/query/pick.h"

#include <stdlib.h>
#include <xxhash.h>

#include "core/base/limits.h"
#include "core/base/rng.h"
#include "core/segment/segment.h"

typedef struct item { pick_hit_t hit; pick_key_t key; } item_t;

typedef struct group { view_t value; bool null; size_t n; } group_t;

/* Numbers under the hash of what they stand for; at most half full. */
typedef struct table {
    uint32_t *slots;            /* owned; number + 1, 0: free */
    size_t cap;                 /* power of two */
} table_t;

struct pick {
    pick_plan_t plan;
    uint64_t seed;
    size_t cap;                 /* of taken, ordinals, groups */
    view_t *taken;              /* keys */
    uint32_t *ordinals;         /* number of the group of each taken hit */
    group_t *groups;            /* NULL: not grouped */
    table_t keys, values;       /* of taken, of groups */
    size_t n, n_groups, n_full;

    item_t *run;
    size_t run_n, run_cap;
    uint32_t *heap;             /* [heap_n] lists, the one with the best hit first */
    size_t *at;                 /* [lists] next hit of each */
    size_t heap_n, heap_cap;
};

pick_t *pick_new(const pick_plan_t *plan)
{
    check(plan->k > 0 && plan->group_size > 0 && plan->key);
    pick_t *self = mem_new(sizeof *self);
    self->plan = *plan;
    self->seed = rng_from_os();
    return self;
}

static void s_free_taken(pick_t *self)
{
    mem_free(self->taken);
    mem_free(self->ordinals);
    mem_free(self->groups);
    mem_free(self->keys.slots);
    mem_free(self->values.slots);
    self->taken = NULL;
    self->ordinals = NULL;
    self->groups = NULL;
    self->keys = self->values = (table_t){0};
    self->cap = 0;
}

static void s_free_heap(pick_t *self)
{
    mem_free(self->heap);
    mem_free(self->at);
    self->heap = NULL;
    self->at = NULL;
    self->heap_cap = 0;
}

void pick_destroy(pick_t **self_p)
{
    pick_t *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    s_free_taken(self);
    s_free_heap(self);
    mem_free(self->run);
    mem_free(self);
}

/* --- the order ------------------------------------------ */

static bool s_better(const pick_t *self, float a, float b)
{
    return self->plan.descends ? a > b : a < b;
}

static int s_compare_scores(const void *a, const void *b, void *arg)
{
    float x = ((const pick_hit_t *)a)->score, y = ((const pick_hit_t *)b)->score;
    return s_better(arg, y, x) - s_better(arg, x, y);
}

void pick_sort(const pick_t *self, pick_hit_t *hits, size_t n)
{
    qsort_r(hits, n, sizeof *hits, s_compare_scores, (void *)(uintptr_t)self);
}

/* Of one score. */
static int s_compare_items(const void *a, const void *b, void *arg)
{
    const item_t *x = a, *y = b;
    const pick_t *self = arg;
    int order = pk_cmp(self->plan.pk, x->key.pk, y->key.pk);
    if (order)
        return order;
    if (x->key.ts != y->key.ts)
        return x->key.ts > y->key.ts ? -1 : 1;
    if (x->hit.from != y->hit.from)
        return x->hit.from > y->hit.from ? -1 : 1;
    return (x->hit.row < y->hit.row) - (x->hit.row > y->hit.row);
}

/* --- drawing from the lists ------------------------------------------ */

static float s_head(const pick_t *self, const pick_list_t *lists, size_t place)
{
    uint32_t list = self->heap[place];
    return lists[list].hits[self->at[list]].score;
}

static void s_sift_down(pick_t *self, const pick_list_t *lists, size_t place)
{
    while (2 * place + 1 < self->heap_n) {
        size_t child = 2 * place + 1;
        if (child + 1 < self->heap_n &&
            s_better(self, s_head(self, lists, child + 1), s_head(self, lists, child)))
            child++;
        if (!s_better(self, s_head(self, lists, child), s_head(self, lists, place)))
            return;
        uint32_t was = self->heap[place];
        self->heap[place] = self->heap[child];
        self->heap[child] = was;
        place = child;
    }
}

static err_t s_heap_lists(ctx_t *ctx, pick_t *self, const pick_list_t *lists, size_t n_lists)
{
    if (n_lists > self->heap_cap) {
        s_free_heap(self);
        self->heap = mem_try(ctx, n_lists * sizeof *self->heap);
        self->at = mem_try(ctx, n_lists * sizeof *self->at);
        if (!self->heap || !self->at)
            return ctx_fail(ctx, ERR_MEMORY, "no memory to merge %zu lists of hits", n_lists);
        self->heap_cap = n_lists;
    }
    self->heap_n = 0;
    for (size_t i = 0; i < n_lists; i++) {
        self->at[i] = 0;
        if (lists[i].n)
            self->heap[self->heap_n++] = (uint32_t)i;
    }
    for (size_t place = self->heap_n / 2; place-- > 0; )
        s_sift_down(self, lists, place);
    return OK;
}

static pick_hit_t s_draw(pick_t *self, const pick_list_t *lists)
{
    uint32_t list = self->heap[0];
    pick_hit_t hit = lists[list].hits[self->at[list]++];
    if (self->at[list] == lists[list].n)
        self->heap[0] = self->heap[--self->heap_n];
    s_sift_down(self, lists, 0);
    return hit;
}

static err_t s_run_room(ctx_t *ctx, pick_t *self)
{
    if (self->run_n < self->run_cap)
        return OK;
    size_t cap = self->run_cap ? self->run_cap * 2 : 16;
    item_t *run = mem_try(ctx, cap * sizeof *run);
    if (!run)
        return ctx_fail(ctx, ERR_MEMORY, "no memory to order %zu hits of one score", cap);
    if (self->run_n)
        memcpy(run, self->run, self->run_n * sizeof *run);
    mem_free(self->run);
    self->run = run;
    self->run_cap = cap;
    return OK;
}

/* All hits of the best score that is left, in order. */
static err_t s_draw_run(ctx_t *ctx, pick_t *self, const pick_list_t *lists)
{
    float score = s_head(self, lists, 0);
    self->run_n = 0;
    while (self->heap_n && !s_better(self, score, s_head(self, lists, 0))) {
        TRY(s_run_room(ctx, self));
        item_t *item = &self->run[self->run_n++];
        item->hit = s_draw(self, lists);
        self->plan.key(self->plan.arg, &item->hit, &item->key);
    }
    if (self->run_n > 1)
        qsort_r(self->run, self->run_n, sizeof *self->run, s_compare_items, self);
    return OK;
}

/* --- what counts ------------------------------------------ */

static err_t s_room(ctx_t *ctx, pick_t *self, size_t n)
{
    if (n > self->cap) {
        s_free_taken(self);
        size_t slots = 16;
        while (slots < 2 * n)
            slots *= 2;
        self->taken = mem_try(ctx, n * sizeof *self->taken);
        self->keys.slots = mem_try(ctx, slots * sizeof *self->keys.slots);
        bool ok = self->taken && self->keys.slots;
        if (self->plan.grouped) {
            self->ordinals = mem_try(ctx, n * sizeof *self->ordinals);
            self->groups = mem_try(ctx, n * sizeof *self->groups);
            self->values.slots = mem_try(ctx, slots * sizeof *self->values.slots);
            ok = ok && self->ordinals && self->groups && self->values.slots;
        }
        if (!ok)
            return ctx_fail(ctx, ERR_MEMORY, "no memory to pick %zu hits", n);
        self->cap = n;
        self->keys.cap = slots;
        self->values.cap = self->plan.grouped ? slots : 0;
    }
    if (self->keys.cap)
        memset(self->keys.slots, 0, self->keys.cap * sizeof *self->keys.slots);
    if (self->values.cap)
        memset(self->values.slots, 0, self->values.cap * sizeof *self->values.slots);
    self->n = self->n_groups = self->n_full = 0;
    return OK;
}

static size_t s_slot(const pick_t *self, const table_t *table, view_t bytes)
{
    return (size_t)XXH3_64bits_withSeed(bytes.ptr, bytes.len, self->seed) & (table->cap - 1);
}

/* Where the key stands, or would. */
static uint32_t *s_find_key(const pick_t *self, view_t pk)
{
    size_t at = s_slot(self, &self->keys, pk);
    while (self->keys.slots[at] && !view_eq(self->taken[self->keys.slots[at] - 1], pk))
        at = (at + 1) & (self->keys.cap - 1);
    return &self->keys.slots[at];
}

static uint32_t *s_find_group(const pick_t *self, const pick_key_t *key)
{
    size_t at = key->null_group ? 0 : s_slot(self, &self->values, key->group);
    for (uint32_t number; (number = self->values.slots[at]); ) {
        const group_t *group = &self->groups[number - 1];
        if (group->null == key->null_group && (group->null || view_eq(group->value, key->group)))
            break;
        at = (at + 1) & (self->values.cap - 1);
    }
    return &self->values.slots[at];
}

/* The hit's group, made when there is room for one more; NULL: it takes no hit. */
static group_t *s_group(pick_t *self, const pick_key_t *key)
{
    uint32_t *slot = s_find_group(self, key);
    if (*slot == 0) {
        if (self->n_groups == self->plan.k)
            return NULL;
        self->groups[self->n_groups] = (group_t){ key->group, key->null_group, 0 };
        *slot = (uint32_t)++self->n_groups;
    }
    group_t *group = &self->groups[*slot - 1];
    return group->n < self->plan.group_size ? group : NULL;
}

/* Is the answer complete? */
static bool s_full(const pick_t *self)
{
    if (!self->plan.grouped)
        return self->n == self->plan.k;
    return self->n_groups == self->plan.k && (!self->plan.strict || self->n_full == self->plan.k);
}

static void s_take(pick_t *self, const item_t *item, pick_hit_t *ret)
{
    uint32_t *slot = s_find_key(self, item->key.pk);
    group_t *group = NULL;
    if (*slot || (self->plan.grouped && !(group = s_group(self, &item->key))))
        return;
    if (group) {
        self->n_full += ++group->n == self->plan.group_size;
        self->ordinals[self->n] = (uint32_t)(group - self->groups);
    }
    self->taken[self->n] = item->key.pk;
    ret[self->n] = item->hit;
    *slot = (uint32_t)++self->n;
}

err_t pick_run(ctx_t *ctx, pick_t *self, const pick_list_t *lists, size_t n_lists, pick_hit_t *ret,
               size_t *ret_n, bool *ret_full)
{
    size_t all = 0, most = self->plan.k * (self->plan.grouped ? self->plan.group_size : 1);
    for (size_t i = 0; i < n_lists; i++)
        all += lists[i].n;
    TRY(s_room(ctx, self, all < most ? all : most));
    TRY(s_heap_lists(ctx, self, lists, n_lists));
    while (self->heap_n && !s_full(self)) {
        TRY(s_draw_run(ctx, self, lists));
        for (size_t i = 0; i < self->run_n && !s_full(self); i++)
            s_take(self, &self->run[i], ret);
    }
    *ret_n = self->n;
    *ret_full = s_full(self);
    return OK;
}

bool pick_has_group(const pick_t *self, const pick_key_t *key)
{
    return self->n && *s_find_group(self, key);
}

static void s_skip(pick_hit_t *hits, size_t *n, size_t skip)
{
    skip = skip < *n ? skip : *n;
    *n -= skip;
    if (skip && *n)
        memmove(hits, hits + skip, *n * sizeof *hits);
}

err_t pick_by_group(ctx_t *ctx, const pick_t *self, size_t skip, pick_hit_t *hits, size_t *n)
{
    check(*n == self->n);
    if (!self->plan.grouped || self->plan.group_size == 1) {
        s_skip(hits, n, skip);
        return OK;
    }
    size_t *start = mem_try(ctx, (self->n_groups + 1) * sizeof *start);
    pick_hit_t *copy = mem_try(ctx, *n * sizeof *copy);
    err_t err = start && copy ? OK
              : ctx_fail(ctx, ERR_MEMORY, "no memory to order %zu hits by group", *n);
    for (size_t g = 0; err == OK && g < self->n_groups; g++)
        start[g + 1] = start[g] + self->groups[g].n;
    size_t skipped = err == OK ? start[skip < self->n_groups ? skip : self->n_groups] : 0;
    for (size_t i = 0; err == OK && i < *n; i++)
        copy[start[self->ordinals[i]]++] = hits[i];
    if (err == OK && *n) {
        memcpy(hits, copy, *n * sizeof *hits);
        s_skip(hits, n, skipped);
    }
    mem_free(start);
    mem_free(copy);
    return err;
}
