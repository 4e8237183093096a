/* ivf_search - near lists first, then their rows
 *
 * One query reads its lists in the order of their distance, so that its top-k knows early what is
 * too far.  Several are taken together: whoever wants a list reads it while it is in the cache,
 * a tile of queries at a time.  A row's score has the same bits either way.
 *
 * Filters.  Let n/nlist · nprobe be the rows that a search without one looks at.  When a filter
 * leaves no more than that, all of them are scored and the answer is exact, at no more than the
 * usual cost; out of codes of IVF_PQ, which are not exact, some lists are read where that is
 * cheaper.  Else the best that are kept lie farther off than the best of all, so more lists are
 * read (s_widened), of which most rows are passed over; and then, for a query that got to see
 * fewer than `want` rows, the next nearest, one at a time.
 *
 * Ranges.  Rows within the range count as seen; behind the nprobe lists a search goes on until
 * some lists in a row had nothing within the radius.
 */
#include <math.h>
#include <stdlib.h>

#include "core/base/limits.h"
#include "core/index/ivf_search_int.h"

/* What steps of a filtered search take, measured (100,000 rows of 100 cells). */
#define PLACE_NS 2              /* finding the place of a row that is kept */
#define TEST_NS 7               /* asking whether the row of a place is kept */
#define CODE_NS 0.6             /* a look-up in a table of IVF_PQ */
#define LIST_NS 100             /* a list with few rows */
#define LEAST_WIDENED 0.05      /* share that is kept */

/* --- lists -------------------------------------------------------------------------------- */

static bool s_descends(const ivf_work_t *w)
{
    return simd_kernel_descends(w->of->coarse);
}

/* Scores of all centroids for the queries of the batch. */
static void s_score_centroids(ivf_work_t *w)
{
    const ivf_t *of = w->of;
    const simd_ops_t *ops = &simd()->ops[of->coarse];
    size_t query = simd_query_bytes(of->coarse, of->dim), row = simd_row_bytes(of->coarse, of->dim);
    if (w->n == 1) {
        ops->scan(w->coarse, of->centroids, of->nlist, of->dim, w->scores);
        return;
    }
    for (size_t c = 0; c < of->nlist; c += IVF_COARSE_ROWS) {
        size_t rows = of->nlist - c < IVF_COARSE_ROWS ? of->nlist - c : IVF_COARSE_ROWS;
        for (size_t q = 0; q < w->n; q += IVF_QUERIES) {
            size_t n = w->n - q < IVF_QUERIES ? w->n - q : IVF_QUERIES;
            ops->tile(w->coarse + q * query, n, of->centroids + c * row, rows, of->dim, w->block);
            for (size_t i = 0; i < n; i++)
                memcpy(w->scores + (q + i) * of->nlist + c, w->block + i * rows,
                       rows * sizeof *w->block);
        }
    }
}

typedef struct place { float score; uint32_t list; } place_t;

/* Nearest first; what is no number last; of equals the first. */
static int s_compare(const void *a, const void *b)
{
    const place_t *x = a, *y = b;
    if (x->score < y->score || (isnan(y->score) && !isnan(x->score)))
        return -1;
    if (x->score > y->score || (isnan(x->score) && !isnan(y->score)))
        return 1;
    return (x->list > y->list) - (x->list < y->list);
}

/* All lists in the order of their distance from query q: owned by the caller; NULL: no memory. */
static place_t *s_sorted(ctx_t *ctx, const ivf_work_t *w, size_t q)
{
    size_t n = w->of->nlist;
    const float *scores = w->scores + q * n;
    place_t *places = mem_try(ctx, n * sizeof *places);
    for (size_t l = 0; places && l < n; l++)
        places[l] = (place_t){ s_descends(w) ? -scores[l] : scores[l], (uint32_t)l };
    if (places)
        qsort(places, n, sizeof *places, s_compare);
    return places;
}

static err_t s_no_memory(ctx_t *ctx, const ivf_work_t *w)
{
    return ctx_fail(ctx, ERR_MEMORY, "no memory to search %zu lists for %zu queries", w->of->nlist,
                    w->ask->n_queries);
}

/* The nprobe lists of query q. */
static err_t s_choose(ctx_t *ctx, ivf_work_t *w, size_t q)
{
    ivf_probe_t *into = w->probes + q * w->nprobe;
    for (size_t i = 0; i < w->nprobe; i++)
        into[i] = (ivf_probe_t){ (uint32_t)i, (uint32_t)q };
    if (w->nprobe == w->of->nlist && w->n > 1 && !w->fast)
        return OK;
    if (w->nearest) {
        topk_reset(w->nearest);
        topk_add_run(w->nearest, w->scores + q * w->of->nlist, w->of->nlist, 0);
        if (topk_hits(w->nearest, w->hits) == w->nprobe) {
            for (size_t i = 0; i < w->nprobe; i++)
                into[i].list = w->hits[i].row;
            return OK;
        }
    }
    place_t *sorted = s_sorted(ctx, w, q);
    if (!sorted)
        return s_no_memory(ctx, w);
    for (size_t i = 0; i < w->nprobe; i++)
        into[i].list = sorted[i].list;
    mem_free(sorted);
    return OK;
}

/* Probes of the batch by list; within one by query. */
static ivf_probe_t *s_by_list(ctx_t *ctx, ivf_work_t *w)
{
    size_t n = w->n * w->nprobe;
    ivf_probe_t *sorted = mem_try(ctx, n * sizeof *sorted);
    if (!sorted)
        return NULL;
    memset(w->counts, 0, (w->of->nlist + 1) * sizeof *w->counts);
    for (size_t i = 0; i < n; i++)
        w->counts[w->probes[i].list + 1]++;
    for (size_t l = 0; l < w->of->nlist; l++)
        w->counts[l + 1] += w->counts[l];
    for (size_t i = 0; i < n; i++)
        sorted[w->counts[w->probes[i].list]++] = w->probes[i];
    return sorted;
}

/* One list for one query; returns its rows within the radius. */
static size_t s_read_list(ivf_work_t *w, size_t list, size_t q)
{
    if (!w->fast)
        return ivf_rows_read(w, list, q);
    ivf_fast_read(w, list, q);
    return 0;
}

/* Lists behind the nprobe nearest, while query q has seen too little. */
static err_t s_go_on(ctx_t *ctx, ivf_work_t *w, size_t q)
{
    const index_ask_t *ask = w->ask;
    size_t most = ask->knobs.max_empty_result_buckets, empty = 0;
    most = most ? most : IVF_EMPTY;
    if (w->seen[q] >= ask->want || w->nprobe == w->of->nlist)
        return OK;
    place_t *sorted = s_sorted(ctx, w, q);
    err_t err = sorted ? OK : s_no_memory(ctx, w);
    for (size_t i = w->nprobe; err == OK && i < w->of->nlist && w->seen[q] < ask->want; i++) {
        err = ctx_alive(ctx);
        empty = s_read_list(w, sorted[i].list, q) ? 0 : empty + 1;
        if (ask->has_range && empty >= most)
            break;
    }
    mem_free(sorted);
    return err;
}

/* All that query q wants. */
static err_t s_read_alone(ctx_t *ctx, ivf_work_t *w, size_t q)
{
    const ivf_probe_t *probes = w->probes + q * w->nprobe;
    if (w->fast)
        ivf_fast_prepare(w, q);
    else
        ivf_rows_prepare(w, q);
    for (size_t i = 0; i < w->nprobe; i++) {
        TRY(ctx_alive(ctx));
        (void)s_read_list(w, probes[i].list, q);
    }
    TRY(s_go_on(ctx, w, q));
    if (w->fast)
        ivf_fast_finish(w, q);
    return OK;
}

static err_t s_read_together(ctx_t *ctx, ivf_work_t *w)
{
    ivf_probe_t *sorted = s_by_list(ctx, w);
    err_t err = sorted ? OK : s_no_memory(ctx, w);
    for (size_t i = 0, end = 0; err == OK && i < w->n * w->nprobe; i = end) {
        for (end = i; end < w->n * w->nprobe && sorted[end].list == sorted[i].list; )
            end++;
        err = ctx_alive(ctx);
        ivf_rows_read_for(w, sorted[i].list, sorted + i, end - i);
    }
    mem_free(sorted);
    for (size_t q = 0; err == OK && q < w->n; q++)
        err = s_go_on(ctx, w, q);
    return err;
}

/* --- batches ------------------------------------------------------------------------------ */

/* Queries as the centroids want them: float32, or bits. */
static void s_coarse_queries(ivf_work_t *w)
{
    const int16_t *cells = (const int16_t *)(const void *)ivf_query(w, 0);
    w->coarse = ivf_query(w, 0);
    if (w->of->base.head.spec.cells != CELL_I8)
        return;
    for (size_t i = 0; i < w->n * w->of->dim; i++)
        w->floats[i] = cells[i];
    w->coarse = (const uint8_t *)w->floats;
}

static err_t s_search_batch(ctx_t *ctx, ivf_work_t *w)
{
    memset(w->seen, 0, w->n * sizeof *w->seen);
    w->prepared = SIZE_MAX;
    s_coarse_queries(w);
    if (!w->exact || (ivf_has_pq(w->of->type) && !w->of->raw.n))
        s_score_centroids(w);
    if (w->exact) {
        for (size_t q = 0; q < w->n; q++) {
            ivf_rows_prepare(w, q);
            TRY(ivf_rows_read_kept(ctx, w, q));
        }
        return OK;
    }
    for (size_t q = 0; q < w->n; q++)
        TRY(s_choose(ctx, w, q));
    if (w->of->raw.n && !w->fast && w->n > 1)
        return s_read_together(ctx, w);
    for (size_t q = 0; q < w->n; q++)
        TRY(s_read_alone(ctx, w, q));
    return OK;
}

static err_t s_room(ctx_t *ctx, ivf_work_t *w, size_t batch)
{
    const ivf_t *of = w->of;
    bool widened = of->base.head.spec.cells == CELL_I8;
    w->scores = mem_try(ctx, batch * of->nlist * sizeof *w->scores);
    w->probes = mem_try(ctx, batch * w->nprobe * sizeof *w->probes);
    w->counts = mem_try(ctx, (of->nlist + 1) * sizeof *w->counts);
    w->hits = mem_try(ctx, w->nprobe * sizeof *w->hits);
    w->seen = mem_try(ctx, batch * sizeof *w->seen);
    w->gathered = mem_try(ctx, IVF_QUERIES * w->query_bytes);
    w->floats = widened ? mem_try(ctx, batch * of->dim * sizeof *w->floats) : NULL;
    if (!w->scores || !w->probes || !w->counts || !w->hits || !w->seen || !w->gathered ||
        (widened && !w->floats))
        return s_no_memory(ctx, w);
    TRY(ivf_rows_room(ctx, w));
    if (w->fast)
        TRY(ivf_fast_room(ctx, w));
    if (w->nprobe < of->nlist && w->nprobe <= LIMIT_TOPK)
        TRY(topk_new(ctx, w->nprobe, s_descends(w), &w->nearest));
    return OK;
}

static void s_fini(ivf_work_t *w)
{
    mem_free(w->scores);
    mem_free(w->probes);
    mem_free(w->counts);
    mem_free(w->hits);
    mem_free(w->seen);
    mem_free(w->gathered);
    mem_free(w->floats);
    mem_free(w->tables);
    bitset_fini(&w->here);
    ivf_fast_fini(w);
    topk_destroy(&w->nearest);
}

/* The lists that find as much of what is kept as nprobe lists find of all: twice as many when a
 * tenth is kept.  The exponent is measured (GloVe, 100 cells, 10 % and 50 % kept). */
static size_t s_widened(const ivf_work_t *w, size_t nprobe)
{
    double share = (double)w->ask->n_kept / (double)w->of->n;
    return share < 1 ? (size_t)ceil((double)nprobe * pow(share, -0.3)) : nprobe;
}

/* Of few rows that are kept, is it cheaper to read all than those of so many lists?  Where codes
 * are all there is, near lists do as well, down to the share that s_widened was measured for. */
static bool s_all_are_cheaper(const ivf_work_t *w, size_t nprobe)
{
    const ivf_t *of = w->of;
    double kept = (double)w->ask->n_kept, lists = (double)nprobe / (double)of->nlist;
    if (of->raw.n || of->type != INDEX_IVF_PQ || kept < LEAST_WIDENED * (double)of->n)
        return true;
    return kept * (double)of->pq.m * CODE_NS * (1 - lists) <= (double)nprobe * LIST_NS;
}

/* Shall the places of what is kept be looked up, once for all queries? */
static bool s_wants_places(const ivf_work_t *w)
{
    const ivf_t *of = w->of;
    if (!w->ask->keep || w->exact)
        return w->exact;
    double rows = (double)of->n * (double)w->nprobe / (double)of->nlist;
    return (double)w->ask->n_kept * PLACE_NS <= rows * TEST_NS * (double)w->ask->n_queries;
}

/* How many lists each query reads at first, and how. */
static void s_plan(ivf_work_t *w)
{
    const ivf_t *of = w->of;
    const index_ask_t *ask = w->ask;
    size_t nprobe = ask->knobs.nprobe ? ask->knobs.nprobe : IVF_NPROBE;
    bool few = ask->keep && ask->n_kept <= (uint64_t)of->n * nprobe / of->nlist;
    size_t wide = ask->keep ? s_widened(w, nprobe) : nprobe;
    w->nprobe = wide < of->nlist ? wide : of->nlist;
    few = few && s_all_are_cheaper(w, w->nprobe);
    w->exact = few && ivf_rows_are_alone(of);
    if (few)
        w->nprobe = of->nlist;                  /* exact, for the usual price */
    w->fast = of->type == INDEX_SCANN && !ask->has_range && !w->exact;
    w->places = s_wants_places(w);
}

static err_t s_search(ctx_t *ctx, ivf_work_t *w)
{
    size_t batch = IVF_BATCH_BYTES / (w->of->nlist * (sizeof(float) + sizeof(ivf_probe_t)));
    batch = batch < 1 ? 1 : batch > IVF_BATCH ? IVF_BATCH : batch;
    batch = batch > w->ask->n_queries ? w->ask->n_queries : batch;
    TRY(s_room(ctx, w, batch));
    if (w->places)
        TRY(ivf_rows_find_kept(ctx, w));
    for (w->q = 0; w->q < w->ask->n_queries; w->q += w->n) {
        size_t left = w->ask->n_queries - w->q;
        w->n = left < batch ? left : batch;
        TRY(s_search_batch(ctx, w));
    }
    return OK;
}

err_t ivf_search(ctx_t *ctx, const index_t *self, const index_ask_t *ask, topk_t *const *best)
{
    const ivf_t *of = (const ivf_t *)self;
    float block[IVF_QUERIES * IVF_BLOCK_ROWS];  /* not in the work: zeros would take a while */
    uint32_t kept[IVF_BLOCK_ROWS], rows[IVF_BLOCK_ROWS];
    ivf_work_t w = { .of = of, .ask = ask, .ops = &simd()->ops[self->kernel], .best = best,
                     .query_bytes = simd_query_bytes(self->kernel, of->dim), .block = block,
                     .kept = kept, .rows = rows };
    s_plan(&w);
    err_t err = s_search(ctx, &w);
    s_fini(&w);
    return err;
}
