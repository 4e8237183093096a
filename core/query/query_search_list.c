/* query_search_list - lists of hits: parked by parts, folded by whoever comes by when many wait */
#include "core/query/query_search_int.h"

#include "core/base/limits.h"

size_t hit_list_len(const hit_list_t *list)
{
    return list->hits.len / sizeof(pick_hit_t);
}

const pick_hit_t *hit_list_hits(const hit_list_t *list)
{
    return (const pick_hit_t *)(const void *)list->hits.ptr;
}

void hit_list_destroy(hit_list_t **list_p)
{
    hit_list_t *list = *list_p;
    *list_p = NULL;
    while (list) {
        hit_list_t *next = list->next;
        mem_free(list->counts);
        buf_fini(&list->hits);
        mem_free(list);
        list = next;
    }
}

err_t hit_list_new(ctx_t *ctx, size_t nq, hit_list_t **ret)
{
    hit_list_t *list = mem_try(ctx, sizeof *list);
    if (list)
        list->counts = mem_try(ctx, nq * sizeof *list->counts);
    if (list && list->counts) {
        *ret = list;
        return OK;
    }
    hit_list_destroy(&list);
    return ctx_fail(ctx, ERR_MEMORY, "no memory for the hits of %zu queries", nq);
}

err_t hit_list_add(ctx_t *ctx, hit_list_t *list, size_t q, const pick_hit_t *hits, size_t n)
{
    if (n > LIMIT_SEARCH_HITS - hit_list_len(list))
        return ctx_fail(ctx, ERR_PARAM_TOO_LARGE, "the search has more than %d hits: ask for fewer "
                        "queries or a smaller limit", LIMIT_SEARCH_HITS);
    list->counts[q] = (uint32_t)n;
    buf_add(&list->hits, hits, n * sizeof *hits);
    return buf_ok(&list->hits) ? OK
         : ctx_fail(ctx, ERR_MEMORY, "no memory for the hits of query %zu", q);
}

hit_list_t *search_unpark(search_t *self)
{
    pthread_mutex_lock(&self->lock);
    hit_list_t *lists = self->parked;
    self->parked = NULL;
    self->parked_hits = 0;
    pthread_mutex_unlock(&self->lock);
    return lists;
}

bool search_park(search_t *self, hit_list_t *list)
{
    pthread_mutex_lock(&self->lock);
    list->next = self->parked;
    self->parked = list;
    self->parked_hits += hit_list_len(list);
    bool enough = self->parked_hits > self->fold_at && list->next;
    pthread_mutex_unlock(&self->lock);
    return enough;
}

/* --- folding ------------------------------------------ */

err_t hit_fold_init(ctx_t *ctx, hit_fold_t *self, const hit_list_t *from, size_t nq)
{
    *self = (hit_fold_t){ .from = from };
    size_t most = 0;
    for (const hit_list_t *l = from; l; l = l->next)
        self->n++;
    for (size_t q = 0; q < nq; q++) {
        size_t n = 0;
        for (const hit_list_t *l = from; l; l = l->next)
            n += l->counts[q];
        most = n > most ? n : most;
    }
    self->lists = mem_try(ctx, self->n * sizeof *self->lists);
    self->at = mem_try(ctx, self->n * sizeof *self->at);
    self->picked = mem_try(ctx, most * sizeof *self->picked);
    return self->lists && self->at && self->picked ? OK
         : ctx_fail(ctx, ERR_MEMORY, "no memory to merge %zu lists of %zu hits", self->n, most);
}

void hit_fold_fini(hit_fold_t *self)
{
    mem_free(self->lists);
    mem_free(self->at);
    mem_free(self->picked);
}

err_t hit_fold_query(ctx_t *ctx, hit_fold_t *self, size_t q, pick_t *pick, size_t *ret_n)
{
    size_t i = 0;
    for (const hit_list_t *l = self->from; l; l = l->next, i++) {
        const pick_hit_t *hits = hit_list_hits(l);
        self->lists[i] = (pick_list_t){ hits ? hits + self->at[i] : NULL, l->counts[q] };
        self->at[i] += l->counts[q];
    }
    bool full = false;
    return pick_run(ctx, pick, self->lists, self->n, self->picked, ret_n, &full);
}

err_t search_fold(ctx_t *ctx, const search_t *self, const hit_list_t *from, bool last,
                  hit_list_t *into)
{
    owned(pick) pick = pick_new(&self->pick);
    hit_fold_t fold;
    err_t err = hit_fold_init(ctx, &fold, from, self->scorer.nq);
    for (size_t q = 0; err == OK && q < self->scorer.nq; q++) {
        size_t n = 0;
        err = hit_fold_query(ctx, &fold, q, pick, &n);
        if (err == OK && last)
            err = pick_by_group(ctx, pick, 0, fold.picked, &n);
        if (err == OK)
            err = hit_list_add(ctx, into, q, fold.picked, n);
    }
    hit_fold_fini(&fold);
    return err;
}

err_t search_fold_parked(ctx_t *ctx, search_t *self)
{
    hit_list_t *from = search_unpark(self), *into = NULL;
    err_t err = hit_list_new(ctx, self->scorer.nq, &into);
    if (err == OK)
        err = search_fold(ctx, self, from, false, into);
    hit_list_destroy(&from);
    if (err != OK) {
        hit_list_destroy(&into);
        return err;
    }
    pthread_mutex_lock(&self->lock);
    size_t again = 2 * hit_list_len(into);          /* what stays is not folded for nothing */
    self->fold_at = again > self->fold_at ? again : self->fold_at;
    pthread_mutex_unlock(&self->lock);
    (void)search_park(self, into);
    return OK;
}
