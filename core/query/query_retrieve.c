/* query_retrieve - rows by filter or by key, in parts
 *
 *     find    keys are given and nothing else is asked of a row: each segment looks them up
 *             in its index; a part is a segment
 *     scan    else; a part is a run of rows, as in a search
 *
 * A part leaves a list of rows by key, each key once, not more than the limit.  Two lists that
 * were made of as many parts are merged by whoever leaves the second one, so the work of
 * merging is spread over the threads and few lists wait.  A row of a key is chosen by
 * timestamp, then by its place, so it does not matter who merges what.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "core/base/limits.h"
#include "core/query/query_int.h"
#include "core/query/query_scan.h"

enum { PART_ROWS = 16 << 10, SLACK = 1024 };

typedef struct ref {
    view_t pk;                  /* borrowed from the segment */
    uint64_t ts;
    uint32_t block, row;
} ref_t;

/* Rows by key, each key once. */
typedef struct list {
    struct list *next;
    size_t level;               /* made of 2^level parts, about */
    buf_t refs;                 /* of ref_t */
} list_t;

struct retrieve {
    scan_t scan;
    bool count, find;
    size_t limit;               /* SIZE_MAX: none */
    view_t *keys;               /* owned; [n_keys] sorted; NULL: any key */
    size_t n_keys;
    size_t *outputs;            /* owned; [n_outputs] */
    size_t n_outputs, most_bytes;
    pthread_mutex_t lock;       /* guards parked */
    list_t *parked;
    _Atomic uint64_t counted;
    _Atomic size_t done;        /* parts */
};

static size_t s_len(const list_t *list)
{
    return list->refs.len / sizeof(ref_t);
}

static ref_t *s_refs(const list_t *list)
{
    return (ref_t *)(void *)list->refs.ptr;
}

static void s_list_destroy(list_t **list_p)
{
    list_t *list = *list_p;
    *list_p = NULL;
    while (list) {
        list_t *next = list->next;
        buf_fini(&list->refs);
        mem_free(list);
        list = next;
    }
}

/* --- life ------------------------------------------ */

static int s_compare_keys(const void *a, const void *b, void *arg)
{
    return pk_cmp(*(const type_t *)arg, *(const view_t *)a, *(const view_t *)b);
}

static err_t s_take_keys(ctx_t *ctx, retrieve_t *self, const column_t *pks, const expr_pks_t *list)
{
    size_t n = pks ? pks->n : list->n;
    type_t type = schema_pk(self->scan.schema)->type;
    self->keys = mem_try(ctx, (n + 1) * sizeof *self->keys);    /* none is not NULL */
    if (!self->keys)
        return ctx_fail(ctx, ERR_MEMORY, "no memory for %zu primary keys", n);
    for (size_t i = 0; i < n; i++)
        self->keys[i] = pks ? column_cell(pks, i)
                      : list->ints ? view_of(&list->ints[i], sizeof list->ints[i])
                      : list->strings[i];
    qsort_r(self->keys, n, sizeof *self->keys, s_compare_keys, &type);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || !view_eq(self->keys[i], self->keys[self->n_keys - 1]))
            self->keys[self->n_keys++] = self->keys[i];
    return OK;
}

static err_t s_choose_way(ctx_t *ctx, retrieve_t *self, const retrieve_plan_t *plan)
{
    expr_pks_t list = {0};
    bool listed = self->scan.filter && !plan->pks && expr_pk_list(self->scan.filter, &list);
    if (plan->pks && plan->pks->n && plan->pks->type != schema_pk(plan->schema)->type)
        return ctx_fail(ctx, ERR_PARAM_INVALID, "keys of type %s are asked for, the primary key is "
                        "%s", type_name(plan->pks->type), type_name(schema_pk(plan->schema)->type));
    self->find = !plan->count && (listed || (plan->pks && !self->scan.filter));
    return plan->pks || (listed && self->find) ? s_take_keys(ctx, self, plan->pks, &list) : OK;
}

err_t retrieve_new(ctx_t *ctx, const retrieve_plan_t *plan, const query_source_t *sources,
                   size_t n_sources, retrieve_t **ret)
{
    check(ret && *ret == NULL);
    owned(retrieve) self = mem_new(sizeof *self);
    pthread_mutex_init(&self->lock, NULL);
    self->count = plan->count;
    self->limit = plan->limit ? plan->limit : SIZE_MAX;
    self->most_bytes = plan->most_bytes;
    self->n_outputs = plan->n_outputs;
    self->outputs = mem_new(plan->n_outputs * sizeof *self->outputs);
    if (plan->n_outputs)
        memcpy(self->outputs, plan->outputs, plan->n_outputs * sizeof *self->outputs);
    TRY(scan_init(ctx, &self->scan, plan->schema, plan->filter, plan->read_ts, sources,
                  n_sources));
    self->scan.expire_ts = plan->expire_ts;
    TRY(scan_cut(ctx, &self->scan, plan->part_rows ? plan->part_rows : PART_ROWS));
    TRY(s_choose_way(ctx, self, plan));
    *ret = take(self);
    return OK;
}

void retrieve_destroy(retrieve_t **self_p)
{
    retrieve_t *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    s_list_destroy(&self->parked);
    mem_free(self->keys);
    mem_free(self->outputs);
    scan_fini(&self->scan);
    pthread_mutex_destroy(&self->lock);
    mem_free(self);
}

size_t retrieve_parts(const retrieve_t *self)
{
    return self->find ? self->scan.n_sources : self->scan.n_parts;
}

size_t retrieve_answered(const retrieve_t *self)
{
    return scan_answered(&self->scan);
}

/* --- lists ------------------------------------------ */

/* By key, the newest row of a key first. */
static int s_compare(const void *a, const void *b, void *arg)
{
    const ref_t *x = a, *y = b;
    int order = pk_cmp(*(const type_t *)arg, x->pk, y->pk);
    if (order)
        return order;
    if (x->ts != y->ts)
        return x->ts > y->ts ? -1 : 1;
    if (x->block != y->block)
        return x->block > y->block ? -1 : 1;
    return (x->row < y->row) - (x->row > y->row);
}

static err_t s_add(ctx_t *ctx, list_t *list, const ref_t *ref)
{
    if (s_len(list) >= LIMIT_QUERY_ROWS)
        return ctx_fail(ctx, ERR_PARAM_TOO_LARGE, "more than %d rows match: narrow the filter or "
                        "set a limit", LIMIT_QUERY_ROWS);
    buf_add(&list->refs, ref, sizeof *ref);
    return buf_ok(&list->refs) ? OK
         : ctx_fail(ctx, ERR_MEMORY, "no memory for the places of %zu rows", s_len(list));
}

/* Sort, leave one row a key, and not more than the limit. */
static void s_settle(const retrieve_t *self, list_t *list)
{
    type_t type = schema_pk(self->scan.schema)->type;
    ref_t *refs = s_refs(list);
    size_t n = s_len(list), kept = 0;
    bool sorted = true;
    for (size_t i = 1; sorted && i < n; i++)
        sorted = s_compare(&refs[i - 1], &refs[i], &type) <= 0;
    if (!sorted)
        qsort_r(refs, n, sizeof *refs, s_compare, &type);
    for (size_t i = 0; i < n && kept < self->limit; i++)
        if (kept == 0 || !view_eq(refs[i].pk, refs[kept - 1].pk))
            refs[kept++] = refs[i];
    list->refs.len = kept * sizeof *refs;
}

/* Two lists to one; both are freed. */
static err_t s_merge(ctx_t *ctx, const retrieve_t *self, list_t *a, list_t *b, list_t **ret)
{
    type_t type = schema_pk(self->scan.schema)->type;
    list_t *into = mem_try(ctx, sizeof *into);
    err_t err = into ? OK : ctx_fail(ctx, ERR_MEMORY, "no memory to merge rows");
    size_t i = 0, j = 0;
    while (err == OK && s_len(into) < self->limit && (i < s_len(a) || j < s_len(b))) {
        bool left = j == s_len(b) ||
                    (i < s_len(a) && s_compare(&s_refs(a)[i], &s_refs(b)[j], &type) <= 0);
        const ref_t *ref = left ? &s_refs(a)[i++] : &s_refs(b)[j++];
        if (s_len(into) == 0 || !view_eq(ref->pk, s_refs(into)[s_len(into) - 1].pk))
            err = s_add(ctx, into, ref);
    }
    if (err == OK)
        into->level = (a->level > b->level ? a->level : b->level) + 1;
    s_list_destroy(&a);
    s_list_destroy(&b);
    if (err == OK)
        *ret = into;
    else
        s_list_destroy(&into);
    return err;
}

/* A parked list of this level, the caller's from now on; else *mine is parked, which moves it,
 * and NULL comes back. */
static list_t *s_park(retrieve_t *self, list_t **mine)
{
    pthread_mutex_lock(&self->lock);
    list_t **at = &self->parked, *found = NULL;
    while (*at && (*at)->level != (*mine)->level)
        at = &(*at)->next;
    if (*at) {
        found = *at;
        *at = found->next;
        found->next = NULL;
    } else {
        (*mine)->next = self->parked;
        self->parked = take(*mine);
    }
    pthread_mutex_unlock(&self->lock);
    return found;
}

/* --- a part ------------------------------------------ */

static bool s_wanted(const retrieve_t *self, view_t pk)
{
    if (!self->keys)
        return true;
    type_t type = schema_pk(self->scan.schema)->type;
    size_t low = 0, high = self->n_keys;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = pk_cmp(type, self->keys[mid], pk);
        if (order == 0)
            return true;
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return false;
}

/* A row that matches.  bound: the greatest key that can still be in the answer. */
static err_t s_offer(ctx_t *ctx, const retrieve_t *self, const ref_t *ref, list_t *list,
                     view_t *bound)
{
    type_t type = schema_pk(self->scan.schema)->type;
    if (bound->ptr && pk_cmp(type, ref->pk, *bound) > 0)
        return OK;
    TRY(s_add(ctx, list, ref));
    if (self->limit == SIZE_MAX || s_len(list) < 2 * self->limit + SLACK)
        return OK;
    s_settle(self, list);
    if (s_len(list) == self->limit)
        *bound = s_refs(list)[self->limit - 1].pk;
    return OK;
}

static err_t s_take_rows(ctx_t *ctx, retrieve_t *self, size_t b, size_t from, const bitset_t *keep,
                         list_t *list, view_t *bound)
{
    const scan_block_t *block = &self->scan.blocks[b];
    uint64_t counted = 0;
    for (size_t i = bitset_next(keep, 0); i < keep->n_bits; i = bitset_next(keep, i + 1)) {
        ref_t ref = { .pk = column_cell(&block->pks, from + i), .ts = block->ts[from + i],
                      .block = (uint32_t)b, .row = (uint32_t)(from + i) };
        if (!s_wanted(self, ref.pk))
            continue;
        counted++;
        if (!self->count)
            TRY(s_offer(ctx, self, &ref, list, bound));
    }
    atomic_fetch_add(&self->counted, counted);
    return OK;
}

static err_t s_scan_block(ctx_t *ctx, retrieve_t *self, const scan_part_t *part, size_t b,
                          list_t *list, view_t *bound)
{
    size_t from = 0, n = 0, n_kept = 0;
    scan_rows(&self->scan, part, b, &from, &n);
    bitset_t keep;
    err_t err = scan_keep(ctx, &self->scan, b, from, n, NULL, &keep, &n_kept);
    if (err == OK && self->count && !self->keys)
        atomic_fetch_add(&self->counted, n_kept);
    else if (err == OK)
        err = s_take_rows(ctx, self, b, from, &keep, list, bound);
    bitset_fini(&keep);
    return err;
}

static err_t s_find(ctx_t *ctx, retrieve_t *self, size_t source, list_t *list)
{
    for (size_t i = 0; i < self->n_keys && s_len(list) < self->limit; i++) {
        size_t b = 0, row = 0;
        if (i % 1024 == 0)
            TRY(ctx_alive(ctx));
        if (!scan_find(&self->scan, source, self->keys[i], &b, &row))
            continue;
        const scan_block_t *block = &self->scan.blocks[b];
        TRY(s_add(ctx, list, &(ref_t){ .pk = column_cell(&block->pks, row), .ts = block->ts[row],
                                       .block = (uint32_t)b, .row = (uint32_t)row }));
    }
    return OK;
}

static err_t s_run(ctx_t *ctx, retrieve_t *self, size_t i, list_t *list)
{
    if (self->find)
        return s_find(ctx, self, i, list);
    const scan_part_t *part = &self->scan.parts[i];
    view_t bound = {0};
    for (size_t b = part->begin; b < part->end; b++)
        TRY(s_scan_block(ctx, self, part, b, list, &bound));
    s_settle(self, list);
    return OK;
}

err_t retrieve_run(ctx_t *ctx, retrieve_t *self, size_t i)
{
    check(i < retrieve_parts(self));
    TRY(ctx_alive(ctx));
    list_t *list = mem_try(ctx, sizeof *list), *other = NULL;
    if (!list)
        return ctx_fail(ctx, ERR_MEMORY, "no memory for a list of rows");
    err_t err = s_run(ctx, self, i, list);
    while (err == OK && s_len(list) && (other = s_park(self, &list)))
        err = s_merge(ctx, self, take(list), other, &list);
    s_list_destroy(&list);                      /* empty, or of a part that failed */
    if (err == OK)
        atomic_fetch_add(&self->done, 1);
    return err;
}

/* --- the answer ------------------------------------------ */

static err_t s_merge_parked(ctx_t *ctx, retrieve_t *self, list_t **ret)
{
    list_t *all = take(self->parked);
    while (all && all->next) {
        list_t *a = all, *b = a->next, *rest = b->next, *both = NULL;
        a->next = b->next = NULL;
        err_t err = s_merge(ctx, self, a, b, &both);
        if (err != OK) {
            s_list_destroy(&rest);
            return err;
        }
        both->next = rest;
        all = both;
    }
    *ret = all;
    return OK;
}

static err_t s_fill(ctx_t *ctx, const retrieve_t *self, const scan_place_t *places, size_t n,
                    retrieved_t *rows)
{
    const scan_t *scan = &self->scan;
    size_t pk = schema_index(scan->schema, schema_pk(scan->schema));
    answer_t answer = { .what = "query", .most_bytes = self->most_bytes };
    TRY(scan_copy(ctx, scan, pk, places, n, &answer, &rows->pks));
    for (size_t f = 0; f < self->n_outputs; f++)
        TRY(scan_copy(ctx, scan, self->outputs[f], places, n, &answer, &rows->outputs[f]));
    return OK;
}

static err_t s_make_rows(ctx_t *ctx, const retrieve_t *self, const list_t *list, retrieved_t *rows)
{
    size_t n = list ? s_len(list) : 0;
    TRY(retrieved_make(ctx, self->scan.schema, self->outputs, self->n_outputs, n, rows));
    scan_place_t *places = mem_try(ctx, n * sizeof *places);
    if (!places)
        return ctx_fail(ctx, ERR_MEMORY, "no memory for the places of %zu rows", n);
    for (size_t i = 0; i < n; i++) {
        const ref_t *ref = &s_refs(list)[i];
        rows->ts[i] = ref->ts;
        places[i] = (scan_place_t){ ref->block, ref->row };
    }
    err_t err = s_fill(ctx, self, places, n, rows);
    mem_free(places);
    return err;
}

err_t retrieve_finish(ctx_t *ctx, retrieve_t *self, retrieved_t *ret)
{
    check(atomic_load(&self->done) == retrieve_parts(self));
    list_t *all = NULL;
    retrieved_t rows = {0};
    err_t err = s_merge_parked(ctx, self, &all);
    if (err == OK)
        err = s_make_rows(ctx, self, all, &rows);
    if (err == OK && self->count)
        rows.count = atomic_load(&self->counted);
    s_list_destroy(&all);
    if (err == OK)
        *ret = rows;
    else
        retrieved_fini(&rows);
    return err;
}
