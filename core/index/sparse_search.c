/* sparse_search - rows that have enough in common with a query, window by window
 *
 * The terms of a query are of two kinds.  Those whose greatest additions together do not reach the
 * bound, the score that a row needs to be wanted, cannot lift a row over it alone: they are not
 * essential (MaxScore).  In a window of rows
 *
 *     1  the essential terms' postings are added up, in float, to a score for each row
 *     2  rows that the other terms could still lift over the bound are candidates
 *     3  term by term, what adds most for its length first, the others are added: for all rows if
 *        that is less work, else by looking the candidates up; after each of them candidates that
 *        can no longer reach the bound are dropped
 *
 * and at the end of a page the candidates that are still good enough are scored exactly, which for
 * a list of rows is cheap.  Which terms are not essential is free to choose as long as they stay
 * below the bound; those with the most postings for what they add go first, so the long lists of
 * frequent terms are hardly ever read whole.
 *
 * As long as there are no `want` rows yet, and so no bound, and in a window where most rows are
 * candidates (equal scores, say), all terms are added up exactly, in double and in their order.
 * Where a filter leaves so few rows that looking them up is less work than adding up lists, that
 * is done.
 *
 * The bound follows the `want` best rows seen.  Of candidates only about the score is known, so
 * what the error may be is taken off it.
 */
#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "core/base/limits.h"
#include "core/index/sparse_int.h"

enum {
    SEEK_COST = 8,              /* of looking up a row in a list, in postings added up */
    MOST_SHARE = 8,             /* one in so many rows of a window may be a candidate */
    REFINE = 10,                /* drop_ratio_search: candidates for each row that is wanted */
};

/* --- what is good enough -------------------------------------------------------------------- */

float sparse_bound(const sparse_work_t *w)
{
    float bound = topk_bound(w->best);
    if (w->n_heap == w->heap_cap && !(w->heap[0] <= bound))
        bound = w->heap[0];
    return bound > FLT_TRUE_MIN ? bound : FLT_TRUE_MIN;
}

/* The least of the heap went: sift `score` down from the root. */
static void s_sift_down(float *heap, size_t n, float score)
{
    size_t at = 0;
    for (size_t next = 1; next < n; next = 2 * at + 1) {
        if (next + 1 < n && heap[next + 1] < heap[next])
            next++;
        if (!(heap[next] < score))
            break;
        heap[at] = heap[next];
        at = next;
    }
    heap[at] = score;
}

void sparse_note(sparse_work_t *w, float score)
{
    const index_ask_t *ask = w->ask;
    if (ask->has_range && !(score <= ask->inner))
        return;
    if (w->n_heap == w->heap_cap) {
        if (score > w->heap[0])
            s_sift_down(w->heap, w->n_heap, score);
        return;
    }
    size_t at = w->n_heap++;
    for (; at > 0 && w->heap[(at - 1) / 2] > score; at = (at - 1) / 2)
        w->heap[at] = w->heap[(at - 1) / 2];
    w->heap[at] = score;
}

void sparse_add(sparse_work_t *w, const sparse_page_t *page, const uint32_t *rows,
                const float *scores, size_t n)
{
    float bound = sparse_bound(w);
    for (size_t i = 0; i < n; i++)
        if (scores[i] >= bound)
            topk_add(w->best, scores[i], w->ask->first + page->first + rows[i]);
}

/* --- exactly --------------------------------------------------------------------------------- */

/* Rows [base, base + n) of the page, all terms in their order. */
static void s_add_up(sparse_work_t *w, uint32_t base, uint32_t n)
{
    double *sums = w->sums;
    memset(sums, 0, n * sizeof *sums);
    for (size_t l = 0; l < w->n; l++) {
        sparse_list_t *list = &w->lists[l];
        uint32_t at = sparse_seek(list->rows, list->at, list->n, base);
        for (; at < list->n && list->rows[at] < base + n; at++)
            sums[list->rows[at] - base] += list->weight * (double)list->values[at];
        list->at = at;
    }
    for (size_t i = 0; i < n; i++)
        w->scores[i] = (float)sums[i];
}

static void s_exact_window(sparse_work_t *w, const sparse_page_t *page, uint32_t base, uint32_t n)
{
    s_add_up(w, base, n);
    size_t found = simd()->survivors(w->scores, n, sparse_bound(w), true, w->found);
    for (size_t i = 0; i < found; i++) {
        uint32_t row = base + w->found[i];
        float score = w->scores[w->found[i]];
        if (!sparse_keeps(w, page, row))
            continue;
        topk_add(w->best, score, w->ask->first + page->first + row);
        sparse_note(w, score);
    }
}

/* Rows that a filter leaves, one by one. */
static err_t s_look_up_kept(ctx_t *ctx, sparse_work_t *w, const sparse_page_t *page)
{
    size_t row = page->first, end = page->first + page->n_rows;
    while (row < end) {
        size_t n = 0;
        TRY(ctx_alive(ctx));
        for (row = bitset_next(w->ask->keep, row); row < end && n < SPARSE_WINDOW;
             row = bitset_next(w->ask->keep, row + 1))
            w->found[n++] = (uint32_t)(row - page->first);
        sparse_score(w, w->found, n);
        sparse_add(w, page, w->found, w->scores, n);
        for (size_t i = 0; i < n; i++)
            if (w->scores[i] > 0)
                sparse_note(w, w->scores[i]);
    }
    return OK;
}

static size_t s_count_kept(const sparse_work_t *w, const sparse_page_t *page, size_t most)
{
    size_t n = 0, row = page->first, end = page->first + page->n_rows;
    while (n <= most && (row = bitset_next(w->ask->keep, row)) < end) {
        row++;
        n++;
    }
    return n;
}

/* Is looking the kept rows up less work than adding up the lists? */
static bool s_few_kept(const sparse_work_t *w, const sparse_page_t *page)
{
    uint64_t postings = 0;
    if (!w->ask->keep)
        return false;
    for (size_t l = 0; l < w->n; l++)
        postings += w->lists[l].n;
    size_t most = (size_t)(postings / (SEEK_COST * w->n));
    return s_count_kept(w, page, most) <= most;
}

/* --- bounded -------------------------------------------------------------------------------- */

/* The walk of one query through one page. */
typedef struct walk {
    const sparse_page_t *page;
    double error;               /* of a score in float, at most */
    size_t n_optional;          /* ranks[0, n_optional) are not essential */
    double optional;            /* what they add at most */
} walk_t;

static int s_compare(const void *a, const void *b)
{
    const sparse_rank_t *x = a, *y = b;
    if (x->price != y->price)
        return (x->price > y->price) - (x->price < y->price);
    return (x->list > y->list) - (x->list < y->list);
}

/* Lists by what they add for their length, the least first. */
static void s_rank(sparse_work_t *w)
{
    for (uint32_t l = 0; l < w->n; l++)
        w->ranks[l] = (sparse_rank_t){ w->lists[l].most / w->lists[l].n, l };
    qsort(w->ranks, w->n, sizeof *w->ranks, s_compare);
}

/* Each product and each sum in float is off by half a bit of it, and so is the score itself; twice
 * that.  Infinite where a float may not hold the sums. */
static double s_error(const sparse_work_t *w)
{
    double sizes = 0;
    for (size_t l = 0; l < w->n; l++)
        sizes += w->lists[l].size;
    return sizes < FLT_MAX / 4 ? 0x1p-23 * sizes * (double)(w->n + 2) + FLT_MIN : INFINITY;
}

/* The bound rises, and with it the number of terms that cannot reach it.  They are not even let
 * near it: what they may add makes candidates, and with half the bound left to the essential terms
 * there are so few that a search is a fifth quicker (30 terms of 30,000, 100,000 rows). */
static void s_choose(const sparse_work_t *w, walk_t *walk, double bound)
{
    for (; walk->n_optional < w->n; walk->n_optional++) {
        double more = walk->optional + w->lists[w->ranks[walk->n_optional].list].most;
        if (!(more + 2 * walk->error < bound / 2))
            return;
        walk->optional = more;
    }
}

/* Scores of rows [base, base + n) with the postings of a list. */
static void s_add_list(sparse_list_t *list, uint32_t base, uint32_t n, float *scores)
{
    float weight = (float)list->weight;
    uint32_t at = sparse_seek(list->rows, list->at, list->n, base);
    for (; at < list->n && list->rows[at] < base + n; at++)
        scores[list->rows[at] - base] += weight * list->values[at];
    list->at = at;
}

/* The same for some of the rows. */
static void s_look_up(sparse_list_t *list, uint32_t base, const uint32_t *rows, size_t n,
                      float *scores)
{
    float weight = (float)list->weight;
    for (size_t i = 0; i < n && list->at < list->n; i++) {
        list->at = sparse_seek(list->rows, list->at, list->n, base + rows[i]);
        if (list->at < list->n && list->rows[list->at] == base + rows[i])
            scores[rows[i]] += weight * list->values[list->at];
    }
}

/* A float that is not greater. */
static float s_limit(double x)
{
    return nextafterf((float)x, -INFINITY);
}

/* Add the terms that are not essential, as long as there are candidates; returns how many. */
static size_t s_refine(sparse_work_t *w, const walk_t *walk, uint32_t base, uint32_t n,
                       size_t found, double bound)
{
    double rest = walk->optional;
    for (size_t r = walk->n_optional; r-- > 0 && found; ) {
        sparse_list_t *list = &w->lists[w->ranks[r].list];
        if (found * SEEK_COST > (uint64_t)list->n * n / walk->page->n_rows)
            s_add_list(list, base, n, w->scores);
        else
            s_look_up(list, base, w->found, found, w->scores);
        rest -= list->most;
        float limit = s_limit(bound - rest - walk->error);
        size_t left = 0;
        for (size_t i = 0; i < found; i++) {
            w->found[left] = w->found[i];
            left += w->scores[w->found[i]] >= limit;
        }
        found = left;
    }
    return found;
}

static size_t s_drop_filtered(sparse_work_t *w, const sparse_page_t *page, uint32_t base,
                              size_t found)
{
    size_t left = 0;
    for (size_t i = 0; i < found; i++)
        if (sparse_keeps(w, page, base + w->found[i]))
            w->found[left++] = w->found[i];
    return left;
}

/* Candidates that are still good enough, exactly, to the top-k. */
static void s_settle(sparse_work_t *w, const walk_t *walk)
{
    float limit = s_limit(sparse_bound(w) - walk->error);
    size_t left = 0;
    for (size_t i = 0; i < w->n_kept; i++) {
        w->kept[left] = w->kept[i];
        left += w->guesses[i] >= limit;
    }
    w->n_kept = 0;
    sparse_score(w, w->kept, left);
    sparse_add(w, walk->page, w->kept, w->scores, left);
}

static void s_keep_candidates(sparse_work_t *w, const walk_t *walk, uint32_t base, size_t found)
{
    const index_ask_t *ask = w->ask;
    for (size_t i = 0; i < found; i++) {
        float guess = w->scores[w->found[i]];
        w->kept[w->n_kept] = base + w->found[i];
        w->guesses[w->n_kept++] = guess;
        if (!ask->has_range || guess + walk->error <= ask->inner)
            sparse_note(w, s_limit(guess - walk->error));
    }
}

/* False: that does not pay here, nothing was found yet. */
static bool s_bounded_window(sparse_work_t *w, walk_t *walk, uint32_t base, uint32_t n)
{
    double bound = sparse_bound(w);
    s_choose(w, walk, bound);
    float limit = s_limit(bound - walk->optional - walk->error);
    if (!(limit > 0))
        return false;
    memset(w->scores, 0, n * sizeof *w->scores);
    for (size_t r = walk->n_optional; r < w->n; r++)
        s_add_list(&w->lists[w->ranks[r].list], base, n, w->scores);
    size_t found = simd()->survivors(w->scores, n, limit, true, w->found);
    found = w->ask->keep ? s_drop_filtered(w, walk->page, base, found) : found;
    found = s_refine(w, walk, base, n, found, bound);
    if (found > n / MOST_SHARE + 1)
        return false;
    s_keep_candidates(w, walk, base, found);
    return true;
}

void sparse_maxscore_page(sparse_work_t *w, const sparse_page_t *page)
{
    walk_t walk = { .page = page, .error = s_error(w) };
    s_rank(w);
    for (uint32_t base = 0; base < page->n_rows; base += SPARSE_WINDOW) {
        uint32_t left = page->n_rows - base, n = left < SPARSE_WINDOW ? left : SPARSE_WINDOW;
        if (w->n_kept + SPARSE_WINDOW / MOST_SHARE + 1 > SPARSE_WINDOW)
            s_settle(w, &walk);
        if (s_bounded_window(w, &walk, base, n))
            continue;
        for (size_t l = 0; l < w->n; l++)
            w->lists[l].at = 0;
        s_exact_window(w, page, base, n);
    }
    s_settle(w, &walk);
}

/* --- queries --------------------------------------------------------------------------------- */

/* All pages for w->query, to w->best. */
static err_t s_run(ctx_t *ctx, sparse_work_t *w)
{
    bool wand = w->of->base.head.spec.type == INDEX_SPARSE_WAND;
    w->n_heap = 0;
    for (size_t p = 0; p < w->of->n_pages; p++) {
        const sparse_page_t *page = &w->of->pages[p];
        TRY(ctx_alive(ctx));
        sparse_find_lists(w, page);
        if (w->n == 0)
            continue;
        if (s_few_kept(w, page))
            TRY(s_look_up_kept(ctx, w, page));
        else if (wand)
            sparse_wand_page(w, page);
        else
            sparse_maxscore_page(w, page);
    }
    return OK;
}

static int s_compare_sizes(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static float s_size(view_t query, size_t pair)
{
    float value;
    memcpy(&value, query.ptr + pair * SPARSE_PAIR_BYTES + 4, sizeof value);
    return fabsf(value);
}

/* The query without its smallest values. */
static view_t s_reduce(sparse_work_t *w, view_t query)
{
    size_t n = query.len / SPARSE_PAIR_BYTES, left = 0;
    size_t nth = (size_t)((double)w->ask->knobs.drop_ratio_search * (double)n);
    for (size_t i = 0; i < n; i++)
        w->sizes[i] = s_size(query, i);
    qsort(w->sizes, n, sizeof *w->sizes, s_compare_sizes);
    for (size_t i = 0; i < n; i++)
        if (s_size(query, i) >= w->sizes[nth])
            memcpy(w->reduced + left++ * SPARSE_PAIR_BYTES, query.ptr + i * SPARSE_PAIR_BYTES,
                   SPARSE_PAIR_BYTES);
    return view_of(w->reduced, left * SPARSE_PAIR_BYTES);
}

static int s_compare_rows(const void *a, const void *b)
{
    const topk_hit_t *x = a, *y = b;
    return (x->row > y->row) - (x->row < y->row);
}

/* Rows of the draft, with all of the query, to the top-k. */
static err_t s_rank_again(ctx_t *ctx, sparse_work_t *w, size_t n_hits)
{
    const sparse_page_t *page = w->of->pages;
    w->n_heap = 0;
    qsort(w->hits, n_hits, sizeof *w->hits, s_compare_rows);
    for (size_t i = 0; i < n_hits; ) {
        size_t n = 0;
        TRY(ctx_alive(ctx));
        while (w->hits[i].row - page->first >= page->n_rows)
            page++;
        for (; i < n_hits && n < SPARSE_WINDOW && w->hits[i].row - page->first < page->n_rows; i++)
            w->found[n++] = w->hits[i].row - page->first;
        sparse_find_lists(w, page);
        sparse_score(w, w->found, n);
        sparse_add(w, page, w->found, w->scores, n);
    }
    return OK;
}

/* With drop_ratio_search: what is left of the query finds more rows than are wanted. */
static err_t s_search_reduced(ctx_t *ctx, sparse_work_t *w, view_t query, topk_t *best)
{
    const index_ask_t *ask = w->ask;
    index_ask_t reduced = { .keep = ask->keep, .n_kept = ask->n_kept };
    w->query = s_reduce(w, query);
    w->ask = &reduced;
    w->best = w->draft;
    topk_reset(w->draft);
    err_t err = s_run(ctx, w);
    w->ask = ask;
    w->query = query;
    w->best = best;
    return err == OK ? s_rank_again(ctx, w, topk_hits(w->draft, w->hits)) : err;
}

/* --- room ------------------------------------------------------------------------------------- */

static void s_fini(sparse_work_t *w)
{
    mem_free(w->lists);
    mem_free(w->ranks);
    mem_free(w->heap);
    mem_free(w->sizes);
    mem_free(w->reduced);
    mem_free(w->hits);
    topk_destroy(&w->draft);
    mem_free(w);
}

static err_t s_no_memory(ctx_t *ctx)
{
    return ctx_fail(ctx, ERR_MEMORY, "no memory to search an index of sparse vectors");
}

static err_t s_room(ctx_t *ctx, sparse_work_t *w)
{
    const index_ask_t *ask = w->ask;
    size_t rows = (size_t)w->of->base.head.rows, k = ask->want ? ask->want : 1, bytes = 0;
    bool reduces = ask->knobs.drop_ratio_search > 0;
    for (size_t q = 0; q < ask->n_queries; q++) {
        size_t len = (size_t)(ask->offsets[q + 1] - ask->offsets[q]);
        bytes = len > bytes ? len : bytes;
    }
    k = reduces ? k * REFINE : k;
    k = reduces && k > LIMIT_TOPK + 1 ? LIMIT_TOPK + 1 : k;
    w->heap_cap = k < rows ? k : rows;
    w->lists = mem_try(ctx, bytes / SPARSE_PAIR_BYTES * sizeof *w->lists);
    w->ranks = mem_try(ctx, bytes / SPARSE_PAIR_BYTES * sizeof *w->ranks);
    w->heap = mem_try(ctx, w->heap_cap * sizeof *w->heap);
    if (!w->lists || !w->ranks || !w->heap)
        return s_no_memory(ctx);
    if (!reduces)
        return OK;
    w->sizes = mem_try(ctx, bytes / SPARSE_PAIR_BYTES * sizeof *w->sizes);
    w->reduced = mem_try(ctx, bytes);
    w->hits = mem_try(ctx, k * sizeof *w->hits);
    if (!w->sizes || !w->reduced || !w->hits)
        return s_no_memory(ctx);
    return topk_new(ctx, k, true, &w->draft);
}

static err_t s_search(ctx_t *ctx, sparse_work_t *w, topk_t *const *best)
{
    const index_ask_t *ask = w->ask;
    TRY(s_room(ctx, w));
    for (size_t q = 0; q < ask->n_queries; q++) {
        w->query = view_of((const uint8_t *)ask->queries + ask->offsets[q],
                           (size_t)(ask->offsets[q + 1] - ask->offsets[q]));
        w->best = best[q];
        TRY(w->draft ? s_search_reduced(ctx, w, w->query, best[q]) : s_run(ctx, w));
    }
    return OK;
}

err_t sparse_search(ctx_t *ctx, const index_t *self, const index_ask_t *ask, topk_t *const *best)
{
    sparse_work_t *w = mem_try(ctx, sizeof *w);
    if (!w)
        return s_no_memory(ctx);
    w->of = (const sparse_t *)self;
    w->ask = ask;
    err_t err = s_search(ctx, w, best);
    s_fini(w);
    return err;
}
