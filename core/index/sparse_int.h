/* sparse_int - an inverted index over sparse vectors between its files
 *
 *     sparse_build.c     cells ──► pages of postings ──► objects
 *     sparse_open.c      objects ──► pages, validated; terms of a query, and exact scores
 *     sparse_search.c    SPARSE_INVERTED_INDEX: MaxScore, window by window
 *     sparse_wand.c      SPARSE_WAND: block-max WAND
 *
 * An index of a sparse vector is a term here, and a (row, value) under a term a posting.  The rows
 * are cut into pages of up to 65,536, each an inverted index of its own: a row is two bytes in its
 * page, which is nearly as short as packed differences are and needs no unpacking; the greatest
 * values of a term are those of the page, which is closer to the truth than those of the segment;
 * and a build sorts one page at a time.  6 bytes a posting and 16 a term of a page, beside 8 of the
 * cells, so what few rows share costs more than it saves.
 *
 * Every value is kept as it is.  A row's score is added up in double in the order of the terms, as
 * core/simd/sparse.h does it, from the postings of the query's terms: the same bits as a scan's.
 * All bounds below are of sums in another order or in float, with the error they may have on top,
 * and only choose which rows are added up at all.  Of values less than zero the bounds know too.
 * A row whose score is not above zero is no hit, as for scans.  So both types answer exactly, with
 * filters and ranges; but for drop_ratio_build, whose postings are not there, and
 * drop_ratio_search, with which rows are chosen by what is left of the query, and some times more
 * of them than are wanted are then scored with all of it.
 *
 * Sections:
 *
 *     PARAMS     for each page, in the order of rows:
 *                0   u32  rows, 1 to 65,536; together all rows of the segment
 *                4   u32  number of the POSTINGS section it is in: the last page's, or one more
 *                8   u64  where in that section; a multiple of 64, behind the last page
 *                16  u32  terms t
 *                20  u32  postings n
 *     POSTINGS   pages, each filled up with zeros to a multiple of 64:
 *                [t]     u32      terms, rising
 *                [t + 1] u32      where the postings of each begin, rising; n
 *                [t]     float32  its greatest value
 *                [t]     float32  its least value
 *                [n]     float32  values
 *                [b]     float32  greatest value of each 128 postings, b = n / 128 rounded up;
 *                [b]     float32  and the least; both: SPARSE_WAND only
 *                [n]     u16      rows, from the page's first on, rising for each term
 *
 * A block of 128 postings may hold the end of one term and the beginning of another; its bounds
 * are then of both, and a search takes the better of the block's and the term's.
 *
 * Rejected: packed differences (5 bytes a posting, but a block has to be unpacked before a row in
 * it is found, and both searches live from finding single rows); quantized values with the cells
 * kept beside them for the last ranking (9 bytes and more); one index over all rows (u32 rows, and
 * a sort of everything at once).
 *
 * Source  Turtle & Flood 1995 (MaxScore); Ding & Suel 2011 (block-max WAND)
 */
#ifndef CORE_INDEX_SPARSE_INT_H
#define CORE_INDEX_SPARSE_INT_H

#include "core/index/index_int.h"

enum {
    SPARSE_PAGE_ROWS = 65536, SPARSE_BLOCK = 128, SPARSE_PARAM_BYTES = 24, SPARSE_PAIR_BYTES = 8,
};

/* Borrowed from the objects. */
typedef struct sparse_page {
    uint32_t first, n_rows;     /* of the segment */
    uint32_t n_terms, n;        /* n postings */
    const uint32_t *terms, *starts;
    const float *highest, *lowest, *values, *block_highest, *block_lowest;
    const uint16_t *rows;
} sparse_page_t;

typedef struct sparse {
    index_t base;
    sparse_page_t *pages;       /* owned; [n_pages] */
    size_t n_pages;
} sparse_t;

/* Bytes of a page, and what is where in it. */
size_t sparse_page_bytes(size_t n_terms, size_t n, bool blocks);
void sparse_page_lay_out(sparse_page_t *self, const uint8_t *bytes, bool blocks);

/* --- searching ---------------------------------------------------------------------------- */

/* A term of the query in a page that has it. */
typedef struct sparse_list {
    double weight;              /* the query's value */
    double most;                /* no posting adds more to a score; at least 0 */
    double size;                /* nor is the size of what it adds greater than this */
    const uint16_t *rows;       /* [n] */
    const float *values;
    uint32_t n;
    uint32_t start;             /* of the first posting in the page */
    uint32_t at;                /* where a walk is */
    uint32_t block;             /* SPARSE_WAND: the block of the page in which it is */
} sparse_list_t;

/* Least i from `at` on with rows[i] >= row; n: none.  Quick for places near by. */
static inline uint32_t sparse_seek(const uint16_t *rows, uint32_t at, uint32_t n, uint32_t row)
{
    uint32_t step = 1;
    if (at >= n || rows[at] >= row)
        return at;
    while (step < n - at && rows[at + step] < row) {
        at += step;
        step *= 2;
    }
    uint32_t left = (step < n - at ? step : n - at) - 1;    /* rows[at] < row; so many behind it */
    while (left > 0) {
        uint32_t half = (left + 1) / 2;
        bool before = rows[at + half] < row;
        at = before ? at + half : at;
        left = before ? left - half : half - 1;
    }
    return at + 1;
}

/* A list, and what it adds at most for each of its postings. */
typedef struct sparse_rank {
    double price;
    uint32_t list;
} sparse_rank_t;

enum { SPARSE_WINDOW = 4096 };

/* One query in one index, and the room of a thread that searches. */
typedef struct sparse_work {
    const sparse_t *of;
    const index_ask_t *ask;
    view_t query;
    topk_t *best;
    sparse_list_t *lists;       /* owned; the query's terms that the page has, in their order */
    size_t n;
    sparse_rank_t *ranks;       /* owned; [n] */
    float *heap;                /* owned; [heap_cap] the best scores so far, the least first */
    size_t n_heap, heap_cap;
    size_t n_kept;              /* candidates of the page that have to be scored */
    float *sizes;               /* owned; drop_ratio_search: of a query's values */
    uint8_t *reduced;           /* owned; drop_ratio_search: what is left of a query */
    topk_t *draft;              /* owned; drop_ratio_search: rows that are found by it */
    topk_hit_t *hits;           /* owned; of those */
    double sums[SPARSE_WINDOW];
    float scores[SPARSE_WINDOW], guesses[SPARSE_WINDOW];    /* guesses: of kept rows */
    uint32_t found[SPARSE_WINDOW], kept[SPARSE_WINDOW];
} sparse_work_t;

/* The query's terms that a page has, to w->lists. */
void sparse_find_lists(sparse_work_t *w, const sparse_page_t *page);

/* Add up the scores of n rows of the page, rising, at most SPARSE_WINDOW, to w->scores. */
void sparse_score(sparse_work_t *w, const uint32_t *rows, size_t n);

/* No row whose score is less can be wanted any more. */
float sparse_bound(const sparse_work_t *w);

/* A row will be found whose score is this, or more. */
void sparse_note(sparse_work_t *w, float score);

/* Does a row of the page take part? */
static inline bool sparse_keeps(const sparse_work_t *w, const sparse_page_t *page, uint32_t row)
{
    return !w->ask->keep || bitset_has(w->ask->keep, page->first + row);
}

/* Rows of the page with scores[i], to the top-k. */
void sparse_add(sparse_work_t *w, const sparse_page_t *page, const uint32_t *rows,
                const float *scores, size_t n);

/* One page for the query. */
void sparse_maxscore_page(sparse_work_t *w, const sparse_page_t *page);
void sparse_wand_page(sparse_work_t *w, const sparse_page_t *page);

err_t must_use sparse_build(ctx_t *ctx, const index_spec_t *spec, const index_source_t *source,
                            const index_sink_t *sink, const index_how_t *how, index_built_t *ret);
err_t must_use sparse_open(ctx_t *ctx, const index_reader_t *reader, index_t **ret);
void sparse_destroy(index_t *self);
err_t must_use sparse_search(ctx_t *ctx, const index_t *self, const index_ask_t *ask,
                             topk_t *const *best);

#endif
