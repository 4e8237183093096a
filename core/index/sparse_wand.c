/* sparse_wand - block-max WAND over a page
 *
 * The lists of the query's terms are walked together, each at a row, in the order of these rows.
 * The pivot is the first list at which the greatest additions of the lists up to it reach the
 * bound: no row before the pivot's can.  If the greatest additions within the blocks that the
 * pivot's row falls into do not reach it either, all of them are moved behind the nearest end of
 * such a block; else they are moved up to the row, and if they all have it, it is scored, exactly,
 * by every list that has it, in the order of the terms.
 *
 * Sums of bounds are in double; a score is rounded to float, so it may be above them by half a bit,
 * and what they have to reach is less than the bound by more than that.
 *
 * Source  Ding & Suel, "Faster top-k document retrieval using block-max indexes", SIGIR 2011
 */
#include "core/index/sparse_int.h"

enum { END = SPARSE_PAGE_ROWS };

typedef struct walk {
    sparse_work_t *w;
    const sparse_page_t *page;
    double least;               /* sums of bounds that are less cannot be wanted */
} walk_t;

static uint32_t s_row(const sparse_list_t *list)
{
    return list->at < list->n ? list->rows[list->at] : END;
}

static sparse_list_t *s_list(const sparse_work_t *w, size_t rank)
{
    return &w->lists[w->ranks[rank].list];
}

/* Lists by their rows, the first n of which were moved. */
static void s_order(const sparse_work_t *w, size_t n)
{
    sparse_rank_t *ranks = w->ranks;
    for (size_t i = n; i-- > 0; ) {
        sparse_rank_t moved = ranks[i];
        uint32_t row = s_row(&w->lists[moved.list]);
        size_t at = i;
        for (; at + 1 < w->n && s_row(s_list(w, at + 1)) < row; at++)
            ranks[at] = ranks[at + 1];
        ranks[at] = moved;
    }
}

static void s_set_bound(walk_t *walk)
{
    walk->least = (double)sparse_bound(walk->w) * (1 - 0x1p-20);
}

static void s_begin(walk_t *walk)
{
    sparse_work_t *w = walk->w;
    for (uint32_t l = 0; l < w->n; l++) {
        w->ranks[l] = (sparse_rank_t){ w->lists[l].most, l };
        w->lists[l].block = w->lists[l].start / SPARSE_BLOCK;
    }
    s_order(w, w->n);
    s_set_bound(walk);
}

/* How many lists reach the bound together, with all that are at the same row; 0: they never do. */
static size_t s_find_pivot(const walk_t *walk)
{
    const sparse_work_t *w = walk->w;
    double sum = 0;
    size_t n = 0;
    while (n < w->n && sum < walk->least)
        sum += w->ranks[n++].price;
    if (sum < walk->least || s_row(s_list(w, n - 1)) == END)
        return 0;
    while (n < w->n && s_row(s_list(w, n)) == s_row(s_list(w, n - 1)))
        n++;
    return n;
}

/* The last row of the block in which the list may have a row, and what it adds there at most. */
static uint32_t s_block(const walk_t *walk, sparse_list_t *list, uint32_t row, double *ret_most)
{
    const sparse_page_t *page = walk->page;
    uint32_t end = 0;
    for (; ; list->block++) {
        uint32_t last = (list->block + 1) * SPARSE_BLOCK - list->start;
        end = last < list->n ? last : list->n;
        if (list->rows[end - 1] >= row || end == list->n)
            break;
    }
    *ret_most = 0;
    if (list->rows[end - 1] < row)
        return END - 1;
    double high = list->weight * page->block_highest[list->block];
    double low = list->weight * page->block_lowest[list->block];
    double most = high > low ? high : low;
    *ret_most = most < 0 ? 0 : most < list->most ? most : list->most;
    return list->rows[end - 1];
}

/* The first row past `row` that the blocks of the first n lists do not rule out; `row`: they do
 * not rule it out. */
static uint32_t s_next_row(const walk_t *walk, size_t n, uint32_t row)
{
    const sparse_work_t *w = walk->w;
    uint32_t next = n < w->n ? s_row(s_list(w, n)) : END;
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        double most;
        uint32_t last = s_block(walk, s_list(w, i), row, &most);
        next = last + 1 < next ? last + 1 : next;
        sum += most;
    }
    return sum < walk->least ? next : row;
}

static void s_score(walk_t *walk, uint32_t row)
{
    sparse_work_t *w = walk->w;
    double sum = 0;
    if (!sparse_keeps(w, walk->page, row))
        return;
    for (size_t l = 0; l < w->n; l++)
        if (s_row(&w->lists[l]) == row)
            sum += w->lists[l].weight * (double)w->lists[l].values[w->lists[l].at];
    float score = (float)sum;
    if (!(score >= sparse_bound(w)))
        return;
    sparse_add(w, walk->page, &row, &score, 1);
    sparse_note(w, score);
    s_set_bound(walk);
}

/* The first n lists to `row`, or behind it. */
static void s_move(const sparse_work_t *w, size_t n, uint32_t row)
{
    for (size_t i = 0; i < n; i++) {
        sparse_list_t *list = s_list(w, i);
        list->at = sparse_seek(list->rows, list->at, list->n, row);
    }
    s_order(w, n);
}

void sparse_wand_page(sparse_work_t *w, const sparse_page_t *page)
{
    walk_t walk = { .w = w, .page = page };
    s_begin(&walk);
    for (size_t n; (n = s_find_pivot(&walk)) > 0; ) {
        uint32_t row = s_row(s_list(w, n - 1)), next = s_next_row(&walk, n, row);
        if (next == row && s_row(s_list(w, 0)) == row) {
            s_score(&walk, row);
            next++;
        }
        s_move(w, n, next);
    }
}
