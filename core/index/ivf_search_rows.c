/* ivf_search_rows - a list to scores of its rows, whatever they are kept as (ivf_int.h)
 *
 * Vectors of one list are scored for several queries at a time.  Codes are scored for one query
 * after the other: what is made of a query, tables above all, is what should be in the cache.
 */
#include "core/index/ivf_search_int.h"

#include "core/base/limits.h"

/* Places [at, at + n) of a list, which lie together. */
typedef struct run {
    size_t list, at, n;
    const uint8_t *codes;       /* NULL: blocks of SCANN */
    const uint32_t *rows;       /* [n_kept] */
    const uint32_t *kept;       /* [n_kept] places in the run; NULL: all */
    size_t n_kept;
} run_t;

static const ivf_parts_t *s_parts(const ivf_t *of)
{
    return of->raw.n ? &of->raw : &of->codes;
}

static size_t s_block_rows(const ivf_t *of, size_t n_queries)
{
    size_t rows = (n_queries == 1 ? 4 : 1) * IVF_BLOCK_BYTES / s_parts(of)->width;
    return rows < 16 ? 16 : rows > IVF_BLOCK_ROWS ? IVF_BLOCK_ROWS : rows;
}

/* What the filter keeps of the places [at, at + n), into w->kept and w->rows; returns how many. */
static size_t s_kept_rows(ivf_work_t *w, size_t at, size_t n)
{
    const uint32_t *ids = w->of->ids + at;
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        w->kept[kept] = (uint32_t)i;
        w->rows[kept] = ids[i];
        kept += bitset_has(w->ask->keep, ids[i]);
    }
    return kept;
}

static size_t s_kept_places(ivf_work_t *w, size_t at, size_t n)
{
    size_t kept = 0;
    for (size_t i = 0, here; i < n; i += here) {
        here = 64 - (at + i) % 64 < n - i ? 64 - (at + i) % 64 : n - i;
        uint64_t word = w->here.words[(at + i) / 64] >> (at + i) % 64;
        if (here < 64)
            word &= (1ull << here) - 1;
        for (; word; word &= word - 1) {
            size_t place = i + (size_t)__builtin_ctzll(word);
            w->kept[kept] = (uint32_t)place;
            w->rows[kept++] = w->of->ids[at + place];
        }
    }
    return kept;
}

static void s_open_run(ivf_work_t *w, size_t list, size_t at, size_t most, run_t *ret)
{
    const ivf_t *of = w->of;
    const ivf_parts_t *parts = s_parts(of);
    size_t end = of->offsets[list + 1], n = end - at < most ? end - at : most;
    *ret = (run_t){ .list = list, .at = at, .rows = of->ids + at };
    if (of->raw.n || !of->blocks) {
        size_t code = at / parts->per, first = code * parts->per;
        if (n > first + parts->per - at)
            n = first + parts->per - at;
        ret->codes = parts->at[code] + (at - first) * parts->width;
    }
    ret->n = ret->n_kept = n;
    if (!w->ask->keep)
        return;
    ret->n_kept = w->here.words ? s_kept_places(w, at, n) : s_kept_rows(w, at, n);
    if (ret->n_kept < n) {
        ret->kept = w->kept;
        ret->rows = w->rows;
    }
}

/* --- what comes of scores ----------------------------------------------------------------- */

/* Rows within the range, and within its radius only. */
static void s_count(const ivf_work_t *w, const float *scores, size_t n, size_t *ret_seen,
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

/* Scores of n rows for query q; returns how many lie within the radius. */
static size_t s_add(ivf_work_t *w, const uint32_t *rows, size_t n, size_t q, const float *scores)
{
    size_t seen = n, near = n;
    if (w->ask->has_range)
        s_count(w, scores, n, &seen, &near);
    w->seen[q] += seen;
    topk_add_rows(w->best[w->q + q], scores, n, w->ask->first, rows);
    return near;
}

/* COSINE of vectors: products to cosines. */
static void s_scale(const ivf_work_t *w, const run_t *run, size_t q, float *scores)
{
    const float *norms = w->of->norms ? w->of->norms + run->at : NULL;
    if (norms && !run->kept)
        simd()->scale(scores, run->n, norms, ivf_factor(w, q));
    for (size_t i = 0; norms && run->kept && i < run->n_kept; i++)
        scores[i] = scores[i] * norms[run->kept[i]] * ivf_factor(w, q);
}

/* --- codes ---------------------------------------------------------------------------------- */

err_t ivf_rows_room(ctx_t *ctx, ivf_work_t *w)
{
    const ivf_t *of = w->of;
    w->prepared = SIZE_MAX;
    if (of->raw.n)
        return OK;
    size_t n = of->type == INDEX_IVF_SQ8 ? of->dim : pq_table_cells(&of->pq);
    w->tables = mem_try(ctx, n * sizeof *w->tables);
    return w->tables ? OK
         : ctx_fail(ctx, ERR_MEMORY, "no memory for the tables of a query: %zu cells", n);
}

/* Bytes: Σ q (least + step byte), or Σ (q - least - step byte)². */
static void s_prepare_bytes(ivf_work_t *w, const float *query)
{
    const ivf_t *of = w->of;
    w->first = of->l2 ? 0 : simd()->ops[SIMD_F32_IP].pair(query, of->least, of->dim);
    for (size_t i = 0; i < of->dim; i++)
        w->tables[i] = of->l2 ? query[i] - of->least[i] : query[i] * of->step[i];
}

void ivf_rows_prepare(ivf_work_t *w, size_t q)
{
    const ivf_t *of = w->of;
    if (of->raw.n || w->prepared == q)
        return;
    w->prepared = q;
    if (of->type == INDEX_IVF_SQ8)
        s_prepare_bytes(w, ivf_float_query(w, q));
    else
        pq_tables(&of->pq, ivf_float_query(w, q), true, w->tables);
}

static void s_score_bytes(const ivf_work_t *w, const uint8_t *codes, const uint32_t *kept, size_t n,
                          size_t q, float *ret)
{
    const ivf_t *of = w->of;
    float factor = ivf_factor(w, q);
    if (of->l2) {
        simd()->codes.bytes_l2(w->tables, of->step, codes, kept, n, of->dim, ret);
        return;
    }
    simd()->codes.bytes_ip(w->tables, codes, kept, n, of->dim, ret);
    for (size_t i = 0; i < n; i++)
        ret[i] = (ret[i] + w->first) * factor;
}

/* From Σ tables of rows of one list to their scores, in place.
 *   kept  [n] where they are from `at` on; NULL: one after the other */
static void s_add_centre(const ivf_work_t *w, size_t q, size_t list, size_t at,
                         const uint32_t *kept, size_t n, float *sums)
{
    const ivf_t *of = w->of;
    float centre = w->scores[q * of->nlist + list];
    if (!of->l2) {
        float first = of->scales[list] * centre, factor = ivf_factor(w, q);
        for (size_t i = 0; i < n; i++)
            sums[i] = (first + sums[i]) * factor;
        return;
    }
    for (size_t i = 0; i < n; i++) {
        float score = centre + of->terms[at + (kept ? kept[i] : i)] - 2 * sums[i];
        sums[i] = score > 0 ? score : 0;
    }
}

/* Rows of the run's list, or, of kept ones, from that list on. */
static void s_score_codes(const ivf_work_t *w, const run_t *run, size_t q, float *ret)
{
    const ivf_t *of = w->of;
    if (!run->kept) {
        pq_scan(&of->pq, w->tables, run->codes, run->n, 0, ret);
        s_add_centre(w, q, run->list, run->at, NULL, run->n, ret);
        return;
    }
    pq_gather(&of->pq, w->tables, run->codes, run->kept, run->n_kept, 0, ret);
    for (size_t i = 0, end = 0, list = run->list; i < run->n_kept; i = end, list++) {
        while (end < run->n_kept && run->at + run->kept[end] < of->offsets[list + 1])
            end++;
        if (end > i)
            s_add_centre(w, q, list, run->at, run->kept + i, end - i, ret + i);
    }
}

/* A row of SCANN whose vector is not kept. */
static float s_decoded(const ivf_work_t *w, size_t list, size_t place, size_t q)
{
    const ivf_t *of = w->of;
    size_t nth = place - of->offsets[list], m = of->pq.m;
    size_t block = of->blocks[list] + nth / SIMD_BLOCK_ROWS;
    const uint8_t *codes = of->codes.at[block / of->codes.per] +
                           block % of->codes.per * of->codes.width;
    float sum = 0;
    for (size_t s = 0; s < m; s++)
        sum += w->tables[s * of->pq.k +
                         (codes[ivf_nibble(s, nth % SIMD_BLOCK_ROWS)] >> 4 * (s & 1) & 15)];
    s_add_centre(w, q, list, place, NULL, 1, &sum);
    return sum;
}

void ivf_rows_decoded(const ivf_work_t *w, const uint32_t *places, size_t n, size_t q, float *ret)
{
    const ivf_t *of = w->of;
    for (size_t i = 0; i < n; i++)
        ret[i] = s_decoded(w, ivf_list_of(of->offsets, of->nlist, places[i]), places[i], q);
}

static void s_score(ivf_work_t *w, const run_t *run, size_t q)
{
    const ivf_t *of = w->of;
    if (of->raw.n && run->kept)
        w->ops->gather(ivf_query(w, q), run->codes, run->kept, run->n_kept, of->dim, w->block);
    else if (of->raw.n)
        w->ops->scan(ivf_query(w, q), run->codes, run->n, of->dim, w->block);
    else if (of->type == INDEX_IVF_SQ8)
        s_score_bytes(w, run->codes, run->kept, run->n_kept, q, w->block);
    else if (of->type == INDEX_IVF_PQ)
        s_score_codes(w, run, q, w->block);
    else
        for (size_t i = 0; i < run->n_kept; i++)
            w->block[i] = s_decoded(w, run->list, run->at + (run->kept ? run->kept[i] : i), q);
    s_scale(w, run, q, w->block);
}

/* --- lists -------------------------------------------------------------------------------- */

size_t ivf_rows_read(ivf_work_t *w, size_t list, size_t q)
{
    const ivf_t *of = w->of;
    size_t near = 0, most = s_block_rows(of, 1);
    run_t run;
    for (size_t at = of->offsets[list]; at < of->offsets[list + 1]; at += run.n) {
        s_open_run(w, list, at, most, &run);
        if (run.n_kept == 0)
            continue;
        s_score(w, &run, q);
        near += s_add(w, run.rows, run.n_kept, q, w->block);
    }
    return near;
}

/* A run for up to IVF_QUERIES queries. */
static void s_read_tile(ivf_work_t *w, const run_t *run, const ivf_probe_t *probes, size_t n)
{
    if (n == 1 || run->kept) {
        for (size_t i = 0; i < n; i++) {
            s_score(w, run, probes[i].query);
            (void)s_add(w, run->rows, run->n_kept, probes[i].query, w->block);
        }
        return;
    }
    for (size_t i = 0; i < n; i++)
        memcpy(w->gathered + i * w->query_bytes, ivf_query(w, probes[i].query), w->query_bytes);
    w->ops->tile(w->gathered, n, run->codes, run->n, w->of->dim, w->block);
    for (size_t i = 0; i < n; i++) {
        float *scores = w->block + i * run->n;
        s_scale(w, run, probes[i].query, scores);
        (void)s_add(w, run->rows, run->n, probes[i].query, scores);
    }
}

void ivf_rows_read_for(ivf_work_t *w, size_t list, const ivf_probe_t *probes, size_t n)
{
    const ivf_t *of = w->of;
    size_t most = s_block_rows(of, n);
    run_t run;
    for (size_t at = of->offsets[list]; at < of->offsets[list + 1]; at += run.n) {
        s_open_run(w, list, at, most, &run);
        for (size_t i = 0; run.n_kept && i < n; i += IVF_QUERIES)
            s_read_tile(w, &run, probes + i, n - i < IVF_QUERIES ? n - i : IVF_QUERIES);
    }
}

/* --- what a filter keeps -------------------------------------------------------------------
 *
 * Rows are looked up once for all queries.  Then they are read in the order of places: forward
 * through memory, and the list of one is that of the one before, or soon behind it.
 */

bool ivf_rows_are_alone(const ivf_t *of)
{
    return of->raw.n || !of->blocks;
}

err_t ivf_rows_find_kept(ctx_t *ctx, ivf_work_t *w)
{
    const ivf_t *of = w->of;
    const bitset_t *keep = w->ask->keep;
    TRY(bitset_init(ctx, &w->here, of->n));
    for (size_t at = 0; at < (keep->n_bits + 63) / 64; at++)
        for (uint64_t word = keep->words[at]; word; word &= word - 1) {
            uint32_t place = of->places[64 * at + (size_t)__builtin_ctzll(word)];
            if (place != IVF_NOWHERE)
                bitset_set(&w->here, place);
        }
    return OK;
}

/* w->kept: n places from the first one of an object on; w->rows: their rows. */
static void s_score_alone(ivf_work_t *w, size_t object, size_t n, size_t q)
{
    const ivf_t *of = w->of;
    const ivf_parts_t *parts = s_parts(of);
    size_t at = object * parts->per;
    run_t run = { .list = ivf_list_of(of->offsets, of->nlist, at + w->kept[0]), .at = at, .n = n,
                  .codes = parts->at[object], .rows = w->rows, .kept = w->kept, .n_kept = n };
    s_score(w, &run, q);
    (void)s_add(w, run.rows, n, q, w->block);
}

err_t ivf_rows_read_kept(ctx_t *ctx, ivf_work_t *w, size_t q)
{
    const ivf_t *of = w->of;
    size_t per = s_parts(of)->per, object = 0, n = 0;
    for (size_t at = 0; at < (of->n + 63) / 64; at++)
        for (uint64_t word = w->here.words[at]; word; word &= word - 1) {
            size_t place = 64 * at + (size_t)__builtin_ctzll(word);
            if (n == IVF_BLOCK_ROWS || (n && place >= (object + 1) * per)) {
                TRY(ctx_alive(ctx));
                s_score_alone(w, object, n, q);
                n = 0;
            }
            if (n == 0)
                object = place / per;
            w->kept[n] = (uint32_t)(place - object * per);
            w->rows[n++] = of->ids[place];
        }
    if (n)
        s_score_alone(w, object, n, q);
    return OK;
}
