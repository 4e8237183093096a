/* ivf_search_fast - SCANN: four-bit codes choose a few rows, vectors decide among them
 *
 * A query's tables are rounded to so many steps that four of them fit into a byte, and all into
 * 15 bits.  What the reorder_k best rows so far have, less what all rows of a list have in common
 * (q·centre), is the least sum that a row of this list needs; a block of 32 rows is nearly
 * always done with one comparison.  Places of what is left go into a top-k by their approximate
 * scores, greater is better: q·x, or for L2 -|q-x|².
 */
#include <math.h>

#include "core/base/limits.h"
#include "core/index/ivf_search_int.h"

enum { STEP_MOST = 63, SUM_MOST = 32767 };

err_t ivf_fast_room(ctx_t *ctx, ivf_work_t *w)
{
    const ivf_t *of = w->of;
    size_t want = w->ask->knobs.reorder_k, most = LIMIT_TOPK + 1;
    want = want > w->ask->want ? want : w->ask->want;
    w->reorder = want < 1 ? 1 : want < most ? want : most;
    w->quick = mem_try(ctx, of->groups * SIMD_TABLE_BYTES);
    w->chosen_hits = mem_try(ctx, w->reorder * sizeof *w->chosen_hits);
    if (!w->tables)
        w->tables = mem_try(ctx, pq_table_cells(&of->pq) * sizeof *w->tables);
    if (!w->quick || !w->chosen_hits || !w->tables)
        return ctx_fail(ctx, ERR_MEMORY, "no memory to choose %zu rows", w->reorder);
    return topk_new(ctx, w->reorder, true, &w->chosen);
}

void ivf_fast_fini(ivf_work_t *w)
{
    mem_free(w->quick);
    mem_free(w->chosen_hits);
    topk_destroy(&w->chosen);
}

/* --- tables --------------------------------------------------------------------------------- */

/* The least of each table and the range of the widest; returns the sum of all ranges. */
static float s_ranges(const ivf_work_t *w, float *ret_low, float *ret_widest)
{
    float all = 0, low = 0, widest = 0;
    for (size_t s = 0; s < w->of->pq.m; s++) {
        const float *table = w->tables + s * w->of->pq.k;
        float least = table[0], most = table[0];
        for (size_t c = 1; c < w->of->pq.k; c++) {
            least = table[c] < least ? table[c] : least;
            most = table[c] > most ? table[c] : most;
        }
        low += least;
        all += most - least;
        widest = most - least > widest ? most - least : widest;
    }
    *ret_low = low;
    *ret_widest = widest;
    return all;
}

/* One table, twice over, where `nibbles` looks for it. */
static void s_put_table(const ivf_work_t *w, size_t s)
{
    static const size_t order[SIMD_GROUP_CODES] = { 0, 2, 1, 3 };
    const float *table = w->tables + s * w->of->pq.k;
    uint8_t *into = w->quick + s / SIMD_GROUP_CODES * SIMD_TABLE_BYTES +
                    order[s % SIMD_GROUP_CODES] * 32;
    float least = table[0], per = w->quick_unit > 0 ? 1 / w->quick_unit : 0;
    for (size_t c = 1; c < w->of->pq.k; c++)
        least = table[c] < least ? table[c] : least;
    for (size_t c = 0; c < w->of->pq.k; c++) {
        float steps = (table[c] - least) * per + 0.5f;
        into[c] = into[16 + c] = (uint8_t)(steps < STEP_MOST ? steps : STEP_MOST);
    }
}

void ivf_fast_prepare(ivf_work_t *w, size_t q)
{
    const ivf_t *of = w->of;
    topk_reset(w->chosen);
    w->prepared = q;
    pq_tables(&of->pq, ivf_float_query(w, q), true, w->tables);
    float widest, all = s_ranges(w, &w->quick_low, &widest);
    float by_step = widest / STEP_MOST, by_sum = all / (float)(SUM_MOST - (int)of->pq.m);
    w->quick_unit = by_step > by_sum ? by_step : by_sum;
    for (size_t s = 0; s < of->pq.m; s++)
        s_put_table(w, s);
}

/* --- lists ---------------------------------------------------------------------------------- */

/* The least sum with which a row of this list, all else known, may still be chosen. */
static unsigned s_least(const ivf_work_t *w, float rest)
{
    float bound = topk_bound(w->chosen), unit = w->of->l2 ? 2 * w->quick_unit : w->quick_unit;
    float steps = (bound - rest) / unit;
    if (!(steps > 0))                           /* all may, also where that is not known */
        return 0;
    return steps < SUM_MOST ? (unsigned)steps : SUM_MOST + 1;
}

typedef struct block {
    size_t at, n;               /* places */
    float rest;                 /* of all its rows */
    const uint16_t *sums;
} block_t;

static void s_choose(ivf_work_t *w, const block_t *b, uint32_t bits, size_t q)
{
    const ivf_t *of = w->of;
    float unit = of->l2 ? 2 * w->quick_unit : w->quick_unit;
    for (; bits; bits &= bits - 1) {
        size_t i = (size_t)__builtin_ctz(bits), place = b->at + i;
        if (w->ask->keep && !bitset_has(w->ask->keep, of->ids[place]))
            continue;
        float score = b->rest + unit * (float)b->sums[i] - (of->l2 ? of->terms[place] : 0);
        topk_add(w->chosen, score, (uint32_t)place);
        w->seen[q]++;
    }
}

/* Rows of a block that are there, and kept as far as places are known. */
static uint32_t s_kept(const ivf_work_t *w, const block_t *b)
{
    uint32_t bits = b->n < SIMD_BLOCK_ROWS ? (1u << b->n) - 1 : UINT32_MAX;
    if (!w->here.words)
        return bits;
    const uint64_t *words = w->here.words + b->at / 64;
    size_t shift = b->at % 64;
    uint64_t word = words[0] >> shift;
    if (shift + b->n > 64)
        word |= words[1] << (64 - shift);
    return bits & (uint32_t)word;
}

void ivf_fast_read(ivf_work_t *w, size_t list, size_t q)
{
    const ivf_t *of = w->of;
    const simd_codes_t *codes = &simd()->codes;
    float centre = w->scores[q * of->nlist + list];
    float rest = of->l2 ? 2 * w->quick_low - centre : w->quick_low + of->scales[list] * centre;
    uint16_t sums[SIMD_BLOCK_ROWS];
    size_t end = of->offsets[list + 1], block = of->blocks[list];
    block_t b = { .at = of->offsets[list], .rest = rest, .sums = sums };
    for (; b.at < end; b.at += SIMD_BLOCK_ROWS, block++) {
        const uint8_t *at = of->codes.at[block / of->codes.per] +
                            block % of->codes.per * of->codes.width;
        b.n = end - b.at < SIMD_BLOCK_ROWS ? end - b.at : SIMD_BLOCK_ROWS;
        uint32_t kept = s_kept(w, &b);
        unsigned least = s_least(w, rest - (of->l2 ? of->block_terms[block] : 0));
        if (least > SUM_MOST || !kept)
            continue;
        uint32_t bits = kept & codes->nibbles(w->quick, at, of->groups, (uint16_t)least, sums);
        if (bits)
            s_choose(w, &b, bits, q);
    }
}

/* --- the second look ------------------------------------------------------------------------ */

/* Vectors of chosen places of one object: n in w->kept, from its first one on. */
static void s_score_vectors(ivf_work_t *w, size_t object, size_t n, size_t q)
{
    const ivf_t *of = w->of;
    const float *norms = of->norms ? of->norms + object * of->raw.per : NULL;
    w->ops->gather(ivf_query(w, q), of->raw.at[object], w->kept, n, of->dim, w->block);
    for (size_t i = 0; norms && i < n; i++)
        w->block[i] = w->block[i] * norms[w->kept[i]] * ivf_factor(w, q);
    topk_add_rows(w->best[w->q + q], w->block, n, w->ask->first, w->rows);
}

static void s_finish_object(ivf_work_t *w, size_t object, size_t n_hits, size_t q)
{
    const ivf_t *of = w->of;
    size_t first = object * of->raw.per, n = 0;
    for (size_t i = 0; i < n_hits; i++) {
        size_t place = w->chosen_hits[i].row;
        if (place < first || place - first >= of->raw.per)
            continue;
        w->kept[n] = (uint32_t)(place - first);
        w->rows[n++] = of->ids[place];
        if (n < IVF_BLOCK_ROWS)
            continue;
        s_score_vectors(w, object, n, q);
        n = 0;
    }
    if (n)
        s_score_vectors(w, object, n, q);
}

static void s_finish_decoded(ivf_work_t *w, size_t n_hits, size_t q)
{
    for (size_t at = 0, n = 0; at < n_hits; at += n) {
        n = n_hits - at < IVF_BLOCK_ROWS ? n_hits - at : IVF_BLOCK_ROWS;
        for (size_t i = 0; i < n; i++) {
            w->kept[i] = w->chosen_hits[at + i].row;
            w->rows[i] = w->of->ids[w->kept[i]];
        }
        ivf_rows_decoded(w, w->kept, n, q, w->block);
        topk_add_rows(w->best[w->q + q], w->block, n, w->ask->first, w->rows);
    }
}

void ivf_fast_finish(ivf_work_t *w, size_t q)
{
    size_t n = topk_any(w->chosen, w->chosen_hits);
    if (!w->of->raw.n)
        s_finish_decoded(w, n, q);
    for (size_t object = 0; object < w->of->raw.n; object++)
        s_finish_object(w, object, n, q);
}
