/* pq - see pq.h
 *
 * Training and encoding go through clusters.h and simd's `nearest`, sub-vector by sub-vector.
 * Scoring is plain look-ups, four rows at a time so that their additions do not wait for one
 * another; gathers of vectors of eight were slower on processors whose gathers are.
 */
#include "core/index/pq.h"

#include <math.h>

#include "core/base/rng.h"
#include "core/index/clusters.h"
#include "core/index/crew.h"

enum { SAMPLE_POINTS = 256, ITEM_POINTS = 2048, LANE = SIMD_SCREEN_Q, AHEAD = 12 };

bool pq_fits(size_t dim, size_t m, size_t nbits)
{
    return m >= 1 && m <= dim && nbits >= 1 && nbits <= PQ_BITS_MOST;
}

static void s_shape(pq_t *self, size_t dim, size_t m, size_t nbits)
{
    check(pq_fits(dim, m, nbits));
    *self = (pq_t){ .dim = dim, .m = m, .nbits = nbits, .k = (size_t)1 << nbits };
}

size_t pq_book_bytes(const pq_t *self)
{
    return self->dim * self->k * sizeof(float);
}

size_t pq_code_bytes(const pq_t *self)
{
    return self->nbits > 8 ? 2 * self->m : self->m;
}

size_t pq_sample(size_t nbits)
{
    return (size_t)SAMPLE_POINTS << nbits;
}

void pq_fini(pq_t *self)
{
    mem_free(self->own);
    *self = (pq_t){0};
}

err_t pq_open(ctx_t *ctx, pq_t *ret, size_t dim, size_t m, size_t nbits, view_t book)
{
    pq_t self;
    s_shape(&self, dim, m, nbits);
    if (book.len != pq_book_bytes(&self))
        return ctx_fail(ctx, ERR_CORRUPT, "a codebook of %zu bytes in the place of one of %zu: the "
                        "index has to be built again", book.len, pq_book_bytes(&self));
    check((uintptr_t)book.ptr % sizeof(float) == 0);
    self.book = (const float *)(const void *)book.ptr;
    for (size_t i = 0; i < self.dim * self.k; i++)
        if (!isfinite(self.book[i]))
            return ctx_fail(ctx, ERR_CORRUPT, "a codebook has a number that is none: the index "
                            "has to be built again");
    *ret = self;
    return OK;
}

/* --- training ----------------------------------------------------------------------------- */

/* Sub-vectors [first, first + n) of all points, trained side by side. */
typedef struct group {
    const pq_t *pq;
    const float *points;
    size_t n_points, first, n;
    float *cuts[PQ_TOGETHER];   /* [n_points][cells of the sub-vector] */
    clusters_t clusters[PQ_TOGETHER];
} group_t;

/* One after the other out of each point, which is then read only once. */
static void s_cut_item(void *arg, size_t item)
{
    const group_t *g = arg;
    size_t at = item * ITEM_POINTS;
    size_t end = g->n_points - at < ITEM_POINTS ? g->n_points : at + ITEM_POINTS;
    for (size_t p = at; p < end; p++)
        for (size_t s = 0; s < g->n; s++) {
            size_t begin = pq_begin(g->pq, g->first + s);
            size_t dim = pq_begin(g->pq, g->first + s + 1) - begin;
            memcpy(g->cuts[s] + p * dim, g->points + p * g->pq->dim + begin,
                   dim * sizeof *g->points);
        }
}

/* Centres of one sub-vector into the book; those that few points leave over repeat the first. */
static void s_keep(const pq_t *self, size_t s, const clusters_t *trained)
{
    const float *centres = (const float *)(const void *)trained->centres;
    float *into = self->own + pq_begin(self, s) * self->k;
    for (size_t i = 0; i < trained->dim; i++)
        for (size_t c = 0; c < self->k; c++)
            into[i * self->k + c] = centres[(c < trained->k ? c : 0) * trained->dim + i];
}

static err_t s_train_group(ctx_t *ctx, group_t *g, uint64_t seed, const index_how_t *how)
{
    clusters_job_t jobs[PQ_TOGETHER];
    size_t k = g->n_points < g->pq->k ? g->n_points : g->pq->k;
    TRY(crew_run(ctx, how, s_cut_item, g, (g->n_points + ITEM_POINTS - 1) / ITEM_POINTS));
    for (size_t s = 0; s < g->n; s++) {
        size_t dim = pq_begin(g->pq, g->first + s + 1) - pq_begin(g->pq, g->first + s);
        index_spec_t spec = { .metric = METRIC_L2, .cells = CELL_F32, .dim = dim };
        TRY(clusters_init(ctx, &g->clusters[s], &spec, k));
        jobs[s] = (clusters_job_t){ &g->clusters[s], g->cuts[s], seed + g->first + s };
    }
    TRY(clusters_train_all(ctx, jobs, g->n, g->n_points, how));
    for (size_t s = 0; s < g->n; s++)
        s_keep(g->pq, g->first + s, &g->clusters[s]);
    return OK;
}

static err_t s_train(ctx_t *ctx, const pq_t *self, float *cut, const float *points, size_t n,
                     uint64_t seed, const index_how_t *how)
{
    err_t err = OK;
    for (size_t s = 0; err == OK && s < self->m; s += PQ_TOGETHER) {
        size_t subs = self->m - s < PQ_TOGETHER ? self->m - s : PQ_TOGETHER;
        group_t g = { .pq = self, .points = points, .n_points = n, .first = s, .n = subs };
        for (size_t i = 0; i < subs; i++)
            g.cuts[i] = cut + n * (pq_begin(self, s + i) - pq_begin(self, s));
        err = s_train_group(ctx, &g, seed, how);
        for (size_t i = 0; i < subs; i++)
            clusters_fini(&g.clusters[i]);
    }
    return err;
}

err_t pq_train(ctx_t *ctx, pq_t *ret, size_t dim, size_t m, size_t nbits, const float *points,
               size_t n, uint64_t seed, const index_how_t *how)
{
    s_shape(ret, dim, m, nbits);
    check(n >= 1 && n <= UINT32_MAX);
    float *cut = mem_try(ctx, n * pq_begin(ret, m < PQ_TOGETHER ? m : PQ_TOGETHER) * sizeof *cut);
    ret->book = ret->own = mem_try(ctx, pq_book_bytes(ret));
    err_t err = cut && ret->own ? s_train(ctx, ret, cut, points, n, seed, how)
              : ctx_fail(ctx, ERR_MEMORY, "no memory for a codebook of %zu times %zu centres", m,
                         ret->k);
    mem_free(cut);
    return err;
}

/* --- codes ---------------------------------------------------------------------------------- */

static size_t s_code(const pq_t *self, const uint8_t *row, size_t s)
{
    return self->nbits > 8 ? load_u16(row + 2 * s) : row[s];
}

/* Centres of a sub-vector, one after the other, and |c|² of each. */
static void s_centres(const pq_t *self, size_t begin, size_t dim, float *centres, float *base)
{
    const float *book = self->book + begin * self->k;
    for (size_t c = 0; c < self->k; c++)
        for (size_t i = 0; i < dim; i++)
            centres[c * dim + i] = book[i * self->k + c];
    simd()->ops[SIMD_F32_L2].norm2(centres, self->k, dim, base);
}

/* Up to LANE rows at this place, of which each wants the nearest of the centres. */
static void s_encode_lane(const pq_t *self, const float *rows, size_t n, size_t dim,
                          const float *centres, const float *base, float *turned,
                          uint32_t *ret)
{
    float best[LANE];
    for (size_t i = 0; i < dim; i++)
        for (size_t p = 0; p < LANE; p++)
            turned[i * LANE + p] = p < n ? rows[p * self->dim + i] : 0;
    for (size_t p = 0; p < LANE; p++) {
        best[p] = INFINITY;
        ret[p] = 0;
    }
    simd()->nearest(turned, centres, self->k, dim, base, -2, 0, best, ret);
}

static void s_encode_sub(const pq_t *self, const float *rows, size_t n, size_t s, uint8_t *ret)
{
    size_t begin = pq_begin(self, s), dim = pq_begin(self, s + 1) - begin;
    size_t width = pq_code_bytes(self);
    float *centres = mem_new((self->k * (dim + 1) + LANE * dim) * sizeof *centres);
    float *base = centres + self->k * dim, *turned = base + self->k;
    uint32_t found[LANE];
    s_centres(self, begin, dim, centres, base);
    for (size_t at = 0; at < n; at += LANE) {
        size_t here = n - at < LANE ? n - at : LANE;
        s_encode_lane(self, rows + at * self->dim + begin, here, dim, centres, base, turned,
                      found);
        for (size_t p = 0; p < here; p++) {
            uint8_t *code = ret + (at + p) * width;
            if (self->nbits > 8)
                store_u16(code + 2 * s, (uint16_t)found[p]);
            else
                code[s] = (uint8_t)found[p];
        }
    }
    mem_free(centres);
}

void pq_encode(const pq_t *self, const float *rows, size_t n, uint8_t *ret)
{
    for (size_t s = 0; s < self->m; s++)
        s_encode_sub(self, rows, n, s, ret);
}

void pq_decode(const pq_t *self, const uint8_t *codes, size_t n, float *ret)
{
    size_t width = pq_code_bytes(self);
    for (size_t p = 0; p < n; p++, codes += width, ret += self->dim)
        for (size_t s = 0; s < self->m; s++)
            for (size_t i = pq_begin(self, s); i < pq_begin(self, s + 1); i++)
                ret[i] = self->book[i * self->k + s_code(self, codes, s)];
}

/* --- scores --------------------------------------------------------------------------------- */

void pq_tables(const pq_t *self, const float *query, bool ip, float *ret)
{
    const simd_codes_t *codes = &simd()->codes;
    for (size_t s = 0, end, i = 0; s < self->m; s++, i = end) {
        end = pq_begin(self, s + 1);
        (ip ? codes->table_products : codes->table_squares)
            (self->book + i * self->k, self->k, end - i, query + i, ret + s * self->k);
    }
}

/* Code s of a row. */
static inline __attribute__((always_inline))
float s_look_up(const float *table, const uint8_t *row, size_t s, bool wide)
{
    return table[wide ? load_u16(row + 2 * s) : row[s]];
}

/* Four rows, or the same one four times; `wide`: two bytes a code.  Even and odd codes have sums of
 * their own, else additions would wait for one another. */
static inline __attribute__((always_inline))
void s_four(const pq_t *self, const float *table, const uint8_t *const *row, bool wide, float first,
            float *ret)
{
    const uint8_t *a = row[0], *b = row[1], *c = row[2], *d = row[3];
    const float *next = table + self->k;
    float even[4] = { first, first, first, first }, odd[4] = {0};
    size_t m = self->m, step = 2 * self->k, s = 0;
    for (; s + 2 <= m; s += 2, table += step, next += step) {
        even[0] += s_look_up(table, a, s, wide);
        even[1] += s_look_up(table, b, s, wide);
        even[2] += s_look_up(table, c, s, wide);
        even[3] += s_look_up(table, d, s, wide);
        odd[0] += s_look_up(next, a, s + 1, wide);
        odd[1] += s_look_up(next, b, s + 1, wide);
        odd[2] += s_look_up(next, c, s + 1, wide);
        odd[3] += s_look_up(next, d, s + 1, wide);
    }
#pragma GCC unroll 4
    for (size_t r = 0; r < 4; r++)
        ret[r] = even[r] + odd[r] + (s < m ? s_look_up(table, row[r], s, wide) : 0);
}

/* Scores of rows that lie where `ids` says, or one after the other. */
static inline __attribute__((always_inline))
void s_score(const pq_t *self, const float *tables, const uint8_t *codes, const uint32_t *ids,
             size_t n, float first, float *ret)
{
    size_t width = pq_code_bytes(self);
    for (size_t at = 0; at < n; at += 4) {
        const uint8_t *row[4];
        float scores[4];
        size_t here = n - at < 4 ? n - at : 4;
        for (size_t r = 0; r < 4; r++) {
            size_t i = at + (r < here ? r : 0);
            row[r] = codes + (ids ? ids[i] : i) * width;
            if (ids && i + AHEAD < n)
                __builtin_prefetch(codes + ids[i + AHEAD] * width);
        }
        if (self->nbits > 8)
            s_four(self, tables, row, true, first, scores);
        else
            s_four(self, tables, row, false, first, scores);
        memcpy(ret + at, scores, here * sizeof *scores);
    }
}

void pq_scan(const pq_t *self, const float *tables, const uint8_t *codes, size_t n, float first,
             float *ret)
{
    s_score(self, tables, codes, NULL, n, first, ret);
}

void pq_gather(const pq_t *self, const float *tables, const uint8_t *codes, const uint32_t *ids,
               size_t n, float first, float *ret)
{
    s_score(self, tables, codes, ids, n, first, ret);
}
