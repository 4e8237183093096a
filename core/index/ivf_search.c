/* ivf_search - near lists first, then their rows
 *
 * One query reads its lists in the order of their distance, so that its top-k knows early what is
 * too far.  Several are taken together: whoever wants a list reads it while it is in the cache,
 * a tile of queries at a time.  A row's score has the same bits either way.
 *
 * Filters.  Let n/nlist · nprobe be the rows that a search without one looks at.  When a filter
 * leaves no more than that, all of them are scored and the answer is exact, at no more than the
 * usual cost.  Else nprobe lists are read, and then, for a query that got to see fewer than
 * `want` rows, the next nearest, one at a time.
 *
 * Ranges.  Rows within the range count as seen; behind the nprobe lists a search goes on until
 * some lists in a row had nothing within the radius.
 */
#include <math.h>
#include <stdlib.h>

#include "core/base/limits.h"
#include "core/index/ivf_int.h"

enum {
    BATCH = 256, BATCH_BYTES = 4 << 20,     /* queries together; bytes of their coarse scores */
    QUERIES = 12,                           /* in a tile; a multiple of every level's TILE_Q */
    BLOCK_BYTES = 32 << 10, BLOCK_ROWS = 512, COARSE_ROWS = 64,
};

typedef struct probe { uint32_t list, query; } probe_t;

typedef struct work {
    const ivf_t *of;
    const index_ask_t *ask;
    const simd_ops_t *ops;
    topk_t *const *best;        /* of all queries of the ask */
    size_t nprobe, query_bytes;
    size_t q, n;                /* the batch: queries [q, q + n) */
    const uint8_t *coarse;      /* [n] as the centroids want them */
    float *floats;              /* owned; coarse, where they are not the queries themselves */
    float *scores;              /* owned; [n][nlist] of centroids */
    probe_t *probes;            /* owned; [n][nprobe] */
    uint32_t *counts;           /* owned; [nlist + 1] */
    topk_hit_t *hits;           /* owned; [nprobe] */
    topk_t *nearest;            /* owned; NULL: nprobe is more than a top-k takes, or all */
    uint64_t *seen;             /* owned; [n] rows a query got to see */
    uint8_t *gathered;          /* owned; [QUERIES] queries of a tile */
    float block[QUERIES * BLOCK_ROWS];
    uint32_t kept[BLOCK_ROWS], rows[BLOCK_ROWS];
} work_t;

/* --- rows --------------------------------------------------------------------------------- */

/* Places [at, at + n) of a list, which lie together. */
typedef struct run {
    size_t at, n;
    const uint8_t *codes;
    const uint32_t *rows;       /* [n_kept] */
    const uint32_t *kept;       /* [n_kept] places in the run; NULL: all */
    size_t n_kept;
} run_t;

static size_t s_block_rows(const ivf_t *of, size_t n_queries)
{
    size_t rows = (n_queries == 1 ? 4 : 1) * BLOCK_BYTES / of->width;
    return rows < 16 ? 16 : rows > BLOCK_ROWS ? BLOCK_ROWS : rows;
}

static void s_open_run(work_t *w, size_t at, size_t end, size_t most, run_t *ret)
{
    const ivf_t *of = w->of;
    size_t code = at / of->per_code, first = code * of->per_code;
    size_t n = end - at < most ? end - at : most;
    if (n > first + of->per_code - at)
        n = first + of->per_code - at;
    *ret = (run_t){ .at = at, .n = n, .codes = of->codes[code] + (at - first) * of->width,
                    .rows = of->ids + at, .n_kept = n };
    if (!w->ask->keep)
        return;
    ret->n_kept = 0;
    for (size_t i = 0; i < n; i++) {
        w->kept[ret->n_kept] = (uint32_t)i;
        w->rows[ret->n_kept] = of->ids[at + i];
        ret->n_kept += bitset_has(w->ask->keep, of->ids[at + i]);
    }
    if (ret->n_kept < n) {
        ret->kept = w->kept;
        ret->rows = w->rows;
    }
}

/* Rows within the range, and within its radius only. */
static void s_count(const work_t *w, const float *scores, size_t n, size_t *ret_seen,
                    size_t *ret_near)
{
    const index_ask_t *ask = w->ask;
    bool descends = simd_kernel_descends(w->of->base.kernel);
    size_t near = 0, seen = 0;
    for (size_t i = 0; i < n; i++) {
        bool is_near = descends ? scores[i] > ask->radius : scores[i] < ask->radius;
        near += is_near;
        seen += is_near && (descends ? scores[i] <= ask->inner : scores[i] >= ask->inner);
    }
    *ret_seen = seen;
    *ret_near = near;
}

/* Scores of a run for query q; returns how many lie within the radius. */
static size_t s_add(work_t *w, const run_t *run, size_t q, float *scores)
{
    const index_ask_t *ask = w->ask;
    size_t seen = run->n_kept, near = run->n_kept;
    const float *norms = w->of->norms ? w->of->norms + run->at : NULL;
    if (norms && !run->kept)
        simd()->scale(scores, run->n, norms, ask->factors[w->q + q]);
    for (size_t i = 0; norms && run->kept && i < run->n_kept; i++)
        scores[i] = scores[i] * norms[run->kept[i]] * ask->factors[w->q + q];
    if (ask->has_range)
        s_count(w, scores, run->n_kept, &seen, &near);
    w->seen[q] += seen;
    topk_add_rows(w->best[w->q + q], scores, run->n_kept, ask->first, run->rows);
    return near;
}

static const uint8_t *s_query(const work_t *w, size_t q)
{
    return (const uint8_t *)w->ask->queries + (w->q + q) * w->query_bytes;
}

static void s_score(work_t *w, const run_t *run, const void *query)
{
    if (run->kept)
        w->ops->gather(query, run->codes, run->kept, run->n_kept, w->of->dim, w->block);
    else
        w->ops->scan(query, run->codes, run->n, w->of->dim, w->block);
}

/* One list for one query; returns its rows within the radius. */
static size_t s_read_list(work_t *w, size_t list, size_t q)
{
    const ivf_t *of = w->of;
    size_t near = 0, most = s_block_rows(of, 1);
    run_t run;
    for (size_t at = of->offsets[list]; at < of->offsets[list + 1]; at += run.n) {
        s_open_run(w, at, of->offsets[list + 1], most, &run);
        if (run.n_kept == 0)
            continue;
        s_score(w, &run, s_query(w, q));
        near += s_add(w, &run, q, w->block);
    }
    return near;
}

/* The same for up to QUERIES queries. */
static void s_read_tile(work_t *w, const run_t *run, const probe_t *probes, size_t n)
{
    if (n == 1 || run->kept) {
        for (size_t i = 0; i < n; i++) {
            s_score(w, run, s_query(w, probes[i].query));
            (void)s_add(w, run, probes[i].query, w->block);
        }
        return;
    }
    for (size_t i = 0; i < n; i++)
        memcpy(w->gathered + i * w->query_bytes, s_query(w, probes[i].query), w->query_bytes);
    w->ops->tile(w->gathered, n, run->codes, run->n, w->of->dim, w->block);
    for (size_t i = 0; i < n; i++)
        (void)s_add(w, run, probes[i].query, w->block + i * run->n);
}

static void s_read_list_for(work_t *w, size_t list, const probe_t *probes, size_t n)
{
    const ivf_t *of = w->of;
    size_t most = s_block_rows(of, n);
    run_t run;
    for (size_t at = of->offsets[list]; at < of->offsets[list + 1]; at += run.n) {
        s_open_run(w, at, of->offsets[list + 1], most, &run);
        for (size_t i = 0; run.n_kept && i < n; i += QUERIES)
            s_read_tile(w, &run, probes + i, n - i < QUERIES ? n - i : QUERIES);
    }
}

/* --- lists -------------------------------------------------------------------------------- */

static bool s_descends(const work_t *w)
{
    return simd_kernel_descends(w->of->coarse);
}

/* Scores of all centroids for the queries of the batch. */
static void s_score_centroids(work_t *w)
{
    const ivf_t *of = w->of;
    const simd_ops_t *ops = &simd()->ops[of->coarse];
    size_t query = simd_query_bytes(of->coarse, of->dim), row = simd_row_bytes(of->coarse, of->dim);
    if (w->n == 1) {
        ops->scan(w->coarse, of->centroids, of->nlist, of->dim, w->scores);
        return;
    }
    for (size_t c = 0; c < of->nlist; c += COARSE_ROWS) {
        size_t rows = of->nlist - c < COARSE_ROWS ? of->nlist - c : COARSE_ROWS;
        for (size_t q = 0; q < w->n; q += QUERIES) {
            size_t n = w->n - q < QUERIES ? w->n - q : QUERIES;
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
static place_t *s_sorted(ctx_t *ctx, const work_t *w, size_t q)
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

static err_t s_no_memory(ctx_t *ctx, const work_t *w)
{
    return ctx_fail(ctx, ERR_MEMORY, "no memory to search %zu lists for %zu queries", w->of->nlist,
                    w->ask->n_queries);
}

/* The nprobe lists of query q. */
static err_t s_choose(ctx_t *ctx, work_t *w, size_t q)
{
    probe_t *into = w->probes + q * w->nprobe;
    for (size_t i = 0; i < w->nprobe; i++)
        into[i] = (probe_t){ (uint32_t)i, (uint32_t)q };
    if (w->nprobe == w->of->nlist && w->n > 1)
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
static probe_t *s_by_list(ctx_t *ctx, work_t *w)
{
    size_t n = w->n * w->nprobe;
    probe_t *sorted = mem_try(ctx, n * sizeof *sorted);
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

static err_t s_read_chosen(ctx_t *ctx, work_t *w)
{
    if (w->n == 1) {
        for (size_t i = 0; i < w->nprobe; i++) {
            TRY(ctx_alive(ctx));
            (void)s_read_list(w, w->probes[i].list, 0);
        }
        return OK;
    }
    probe_t *sorted = s_by_list(ctx, w);
    err_t err = sorted ? OK : s_no_memory(ctx, w);
    for (size_t i = 0, end = 0; err == OK && i < w->n * w->nprobe; i = end) {
        for (end = i; end < w->n * w->nprobe && sorted[end].list == sorted[i].list; )
            end++;
        err = ctx_alive(ctx);
        s_read_list_for(w, sorted[i].list, sorted + i, end - i);
    }
    mem_free(sorted);
    return err;
}

/* Lists behind the nprobe nearest, while query q has seen too little. */
static err_t s_go_on(ctx_t *ctx, work_t *w, size_t q)
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

/* --- batches ------------------------------------------------------------------------------ */

/* Queries as the centroids want them: float32, or bits. */
static void s_coarse_queries(work_t *w)
{
    const int16_t *cells = (const int16_t *)(const void *)s_query(w, 0);
    w->coarse = s_query(w, 0);
    if (w->of->base.head.spec.cells != CELL_I8)
        return;
    for (size_t i = 0; i < w->n * w->of->dim; i++)
        w->floats[i] = cells[i];
    w->coarse = (const uint8_t *)w->floats;
}

static err_t s_search_batch(ctx_t *ctx, work_t *w)
{
    memset(w->seen, 0, w->n * sizeof *w->seen);
    s_coarse_queries(w);
    s_score_centroids(w);
    for (size_t q = 0; q < w->n; q++)
        TRY(s_choose(ctx, w, q));
    TRY(s_read_chosen(ctx, w));
    for (size_t q = 0; q < w->n; q++)
        TRY(s_go_on(ctx, w, q));
    return OK;
}

static err_t s_room(ctx_t *ctx, work_t *w, size_t batch)
{
    const ivf_t *of = w->of;
    bool widened = of->base.head.spec.cells == CELL_I8;
    w->scores = mem_try(ctx, batch * of->nlist * sizeof *w->scores);
    w->probes = mem_try(ctx, batch * w->nprobe * sizeof *w->probes);
    w->counts = mem_try(ctx, (of->nlist + 1) * sizeof *w->counts);
    w->hits = mem_try(ctx, w->nprobe * sizeof *w->hits);
    w->seen = mem_try(ctx, batch * sizeof *w->seen);
    w->gathered = mem_try(ctx, QUERIES * w->query_bytes);
    w->floats = widened ? mem_try(ctx, batch * of->dim * sizeof *w->floats) : NULL;
    if (!w->scores || !w->probes || !w->counts || !w->hits || !w->seen || !w->gathered ||
        (widened && !w->floats))
        return s_no_memory(ctx, w);
    if (w->nprobe < of->nlist && w->nprobe <= LIMIT_TOPK)
        TRY(topk_new(ctx, w->nprobe, s_descends(w), &w->nearest));
    return OK;
}

static void s_fini(work_t *w)
{
    mem_free(w->scores);
    mem_free(w->probes);
    mem_free(w->counts);
    mem_free(w->hits);
    mem_free(w->seen);
    mem_free(w->gathered);
    mem_free(w->floats);
    topk_destroy(&w->nearest);
    mem_free(w);
}

/* How many lists each query reads at first. */
static size_t s_nprobe(const ivf_t *of, const index_ask_t *ask)
{
    size_t nprobe = ask->knobs.nprobe ? ask->knobs.nprobe : IVF_NPROBE;
    if (nprobe >= of->nlist)
        return of->nlist;
    if (ask->keep && ask->n_kept <= (uint64_t)of->n * nprobe / of->nlist)
        return of->nlist;                       /* exact, for the usual price */
    return nprobe;
}

static err_t s_search(ctx_t *ctx, work_t *w)
{
    size_t batch = BATCH_BYTES / (w->of->nlist * (sizeof(float) + sizeof(probe_t)));
    batch = batch < 1 ? 1 : batch > BATCH ? BATCH : batch;
    batch = batch > w->ask->n_queries ? w->ask->n_queries : batch;
    TRY(s_room(ctx, w, batch));
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
    work_t *w = mem_try(ctx, sizeof *w);
    if (!w)
        return ctx_fail(ctx, ERR_MEMORY, "no memory to search an index");
    *w = (work_t){ .of = of, .ask = ask, .ops = &simd()->ops[self->kernel], .best = best,
                   .nprobe = s_nprobe(of, ask),
                   .query_bytes = simd_query_bytes(self->kernel, of->dim) };
    err_t err = s_search(ctx, w);
    s_fini(w);
    return err;
}
