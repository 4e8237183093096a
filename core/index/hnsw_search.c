/* hnsw_search - down the layers, around in the lowest one, then exact scores
 *
 * A walk finds the ef nearest by their codes; the vectors of `want` and some more of these are
 * ranked as a scan ranks them.
 *
 * Filters.  There are three ways, of which the cheapest is taken:
 *
 *     exact   the vectors of all rows that are kept            kept · a row
 *     codes   their codes, then the vectors of the best        kept · a code
 *     walk    over rows that are not kept as over others,      width · STEP_CODES · a code
 *             with an ef that is greater by the share that
 *             is lost; only what is kept is ranked
 *
 * A step of a walk looks at some dozen codes, but asks for its links first, and those codes are
 * not read ahead: measured, it costs as much as STEP_CODES of them in the order of their places,
 * for 100 cells as for 384.  A code is a quarter of a row, so reading codes first is cheaper as
 * soon as the ranking at the end is little beside it.
 *
 * Ranges.  As long as the farthest of a walk lies within the radius and fewer than `want` rows
 * were found in the range, the next walk has four times the ef.
 *
 * A walk that found fewer than `want` rows, because a filter keeps what is far away or because the
 * graph does not reach them, is followed by a wider one, and one that would see most rows anyway
 * by a scan; so an answer is short only where there are no more rows.
 */
#include <math.h>

#include "core/base/limits.h"
#include "core/index/hnsw_int.h"

enum {
    WIDER = 4,
    ALIVE_BLOCKS = 16,
    SPARE = 16,                 /* rows behind `want` that are ranked, and half of it */
    STEP_CODES = 80,            /* looked at in the time of a walk's step */
    FEW = 4,                    /* kept rows for each that is ranked, below which all are */
};

typedef struct work {
    const hnsw_t *of;
    const index_ask_t *ask;
    size_t n_kept, ef;
    hnsw_walker_t walker;
    hnsw_target_t target;
    exact_query_t exact;
    int16_t *cells;             /* owned; of the target */
    float *floats;              /* owned; int8 vectors: the query */
    float norm2;                /* of the query */
    uint32_t *places;           /* owned; [walker.cap] what is ranked */
    size_t n;
    topk_t *best_codes;         /* owned; NULL: not needed so far */
    topk_hit_t *hits;           /* owned; room for what it holds */
} work_t;

/* How wide a walk is that finds ef rows that are kept, and an eighth more: by chance there are
 * fewer near one query than near another. */
static size_t s_width(const work_t *w, size_t ef)
{
    size_t n = w->of->n;
    if (w->n_kept == n)
        return ef;
    return (size_t)(1.125 * (double)ef * (double)n / (double)w->n_kept) + 1;
}

/* Would a walk of this width cost more than looking at all that is kept? */
static bool s_scan_is_better(const work_t *w, size_t width)
{
    return width > LIMIT_INDEX_EF || width * STEP_CODES >= w->n_kept;
}

/* Rows that are ranked. */
static size_t s_ranked(const work_t *w)
{
    return w->ask->want + w->ask->want / 2 + SPARE;
}

/* --- one query ------------------------------------------------------------------------------ */

static bool s_is_kept(const work_t *w, uint32_t place)
{
    const uint32_t *rows = w->of->exact.rows;
    return !w->ask->keep || bitset_has(w->ask->keep, rows ? rows[place] : place);
}

/* The query as the codes and as exact scores want it. */
static err_t s_prepare(ctx_t *ctx, work_t *w, size_t q)
{
    const index_ask_t *ask = w->ask;
    const hnsw_t *of = w->of;
    size_t dim = of->codes.dim;
    const uint8_t *query = (const uint8_t *)ask->queries +
                           q * simd_query_bytes(of->base.kernel, dim);
    const float *floats = (const float *)(const void *)query;
    bool widen = of->base.head.spec.cells == CELL_I8;
    if (!w->cells) {
        w->cells = mem_try(ctx, of->codes.block * sizeof *w->cells);
        w->floats = widen ? mem_try(ctx, dim * sizeof *w->floats) : NULL;
        if (!w->cells || (widen && !w->floats))
            return ctx_fail(ctx, ERR_MEMORY, "no memory for a query of %zu cells", dim);
    }
    for (size_t i = 0; widen && i < dim; i++)
        w->floats[i] = ((const int16_t *)(const void *)query)[i];
    floats = widen ? w->floats : floats;
    simd()->ops[SIMD_F32_IP].norm2(floats, 1, dim, &w->norm2);
    w->exact.query = of->exact.decode ? (const void *)floats : query;
    w->exact.factor = ask->factors ? ask->factors[q] : 1;
    hnsw_target_query(&of->codes, floats, w->cells, &w->target);
    return OK;
}

static void s_walk(work_t *w, size_t ef)
{
    const hnsw_t *of = w->of;
    uint32_t node = 0;
    for (size_t l = of->layers - 1; l > 0; l--)
        node = hnsw_descend(&w->walker, &of->at[l], &w->target, node);
    if (of->layers > 1)
        node = of->at[1].places[node];
    hnsw_walk_begin(&w->walker);
    hnsw_walk_add(&w->walker, &of->at[0], &w->target, node, ef);
    hnsw_walk(&w->walker, &of->at[0], &w->target, ef);
}

/* About the score of what is at such a distance. */
static float s_score(const work_t *w, hnsw_key_t key)
{
    float distance = hnsw_key_distance(key);
    if (w->of->codes.metric == METRIC_L2)
        return 2 * distance + w->norm2;
    return -distance * w->exact.factor;
}

static bool s_within(const work_t *w, float score)
{
    return w->of->codes.metric == METRIC_L2 ? score < w->ask->radius : score > w->ask->radius;
}

static bool s_beyond_inner(const work_t *w, float score)
{
    return w->of->codes.metric == METRIC_L2 ? score >= w->ask->inner : score <= w->ask->inner;
}

/* What a walk found and is worth ranking, nearest first; returns how many of them count. */
static size_t s_collect(work_t *w)
{
    const index_ask_t *ask = w->ask;
    const hnsw_walker_t *walker = &w->walker;
    size_t most = ask->has_range ? walker->n : s_ranked(w), found = 0;
    w->n = 0;
    for (size_t i = 0; i < walker->n && w->n < most; i++) {
        uint32_t place = hnsw_key_node(walker->pool[i]);
        if (!s_is_kept(w, place))
            continue;
        float score = s_score(w, walker->pool[i]);
        found += !ask->has_range || (s_within(w, score) && s_beyond_inner(w, score));
        w->places[w->n++] = place;
    }
    return found;
}

/* Is it likely that a wider walk finds more that counts? */
static bool s_wants_more(const work_t *w, size_t found)
{
    const hnsw_walker_t *walker = &w->walker;
    size_t most = w->ask->want < w->n_kept ? w->ask->want : w->n_kept;
    if (found >= most)
        return false;
    return !w->ask->has_range || walker->n == 0 ||
           s_within(w, s_score(w, walker->pool[walker->n - 1]));
}

static err_t s_room(ctx_t *ctx, work_t *w, size_t width)
{
    const hnsw_t *of = w->of;
    if (width <= w->walker.cap)
        return OK;
    hnsw_walker_fini(&w->walker);
    mem_free(w->places);
    w->places = mem_try(ctx, width * sizeof *w->places);
    TRY(hnsw_walker_init(ctx, &w->walker, &of->codes, of->n, 2 * of->degree, width));
    return w->places ? OK : ctx_fail(ctx, ERR_MEMORY, "no memory to rank %zu rows", width);
}

/* --- all that is kept ------------------------------------------------------------------------ */

/* The places with the best codes, into w->hits; how many. */
static err_t s_best_codes(ctx_t *ctx, work_t *w, size_t *ret_n)
{
    const hnsw_t *of = w->of;
    uint32_t places[EXACT_BLOCK];
    float distances[EXACT_BLOCK];
    size_t at = 0, n, blocks = 0;
    topk_reset(w->best_codes);
    while ((n = exact_next_kept(&of->exact, w->ask->keep, &at, places))) {
        if (blocks++ % ALIVE_BLOCKS == 0)
            TRY(ctx_alive(ctx));
        hnsw_distances(&of->codes, &w->target, places, n, distances);
        topk_add_rows(w->best_codes, distances, n, 0, places);
    }
    *ret_n = topk_hits(w->best_codes, w->hits);
    return OK;
}

static err_t s_scan_codes(ctx_t *ctx, work_t *w, size_t most)
{
    size_t n = 0;
    if (!w->best_codes) {
        w->hits = mem_try(ctx, most * sizeof *w->hits);
        if (!w->hits)
            return ctx_fail(ctx, ERR_MEMORY, "no memory to rank %zu rows", most);
        TRY(topk_new(ctx, most, false, &w->best_codes));
    }
    TRY(s_best_codes(ctx, w, &n));
    if (n < most)                               /* codes that are no number */
        return exact_scan(ctx, &w->of->exact, &w->exact);
    for (size_t i = 0, here; i < n; i += here) {
        uint32_t places[EXACT_BLOCK];
        for (here = 0; here < EXACT_BLOCK && i + here < n; here++)
            places[here] = w->hits[i + here].row;
        (void)exact_rank(&w->of->exact, &w->exact, places, here);
    }
    return OK;
}

static err_t s_scan(ctx_t *ctx, work_t *w)
{
    size_t most = s_ranked(w);
    if (w->ask->has_range || most > LIMIT_TOPK || w->n_kept <= FEW * most)
        return exact_scan(ctx, &w->of->exact, &w->exact);
    return s_scan_codes(ctx, w, most);
}

static err_t s_search_one(ctx_t *ctx, work_t *w, size_t q, topk_t *best)
{
    w->exact.best = best;
    for (size_t width = s_width(w, w->ef); !s_scan_is_better(w, width); width *= WIDER) {
        TRY(ctx_alive(ctx));
        TRY(s_room(ctx, w, width));
        TRY(s_prepare(ctx, w, q));
        s_walk(w, width);
        if (s_wants_more(w, s_collect(w)))
            continue;
        (void)exact_rank(&w->of->exact, &w->exact, w->places, w->n);
        return OK;
    }
    TRY(s_prepare(ctx, w, q));
    return s_scan(ctx, w);
}

err_t hnsw_search(ctx_t *ctx, const index_t *self, const index_ask_t *ask, topk_t *const *best)
{
    const hnsw_t *of = (const hnsw_t *)self;
    size_t ef = ask->knobs.ef ? ask->knobs.ef : HNSW_EF;
    work_t w = { .of = of, .ask = ask, .n_kept = ask->keep ? ask->n_kept : of->n,
                 .ef = ef > ask->want ? ef : ask->want, .exact = { .ask = ask } };
    err_t err = OK;
    w.n_kept = w.n_kept < of->n ? w.n_kept : of->n;
    for (size_t q = 0; err == OK && q < ask->n_queries; q++)
        err = s_search_one(ctx, &w, q, best[q]);
    hnsw_walker_fini(&w.walker);
    topk_destroy(&w.best_codes);
    mem_free(w.hits);
    mem_free(w.places);
    mem_free(w.floats);
    mem_free(w.cells);
    return err;
}
