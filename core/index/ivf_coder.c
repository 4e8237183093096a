/* ivf_coder - a row to its code: bytes, product-quantized residuals, weighted ones (ivf_int.h) */
#include <math.h>

#include "core/index/crew.h"
#include "core/index/ivf_int.h"

enum {
    SAMPLE_LEAST = 1 << 15,     /* rows a codebook is trained from */
    ITEM_POINTS = 1024,         /* of one item of a crew */
    SWEEPS = 3,                 /* over the codes of a row, each given the others */
    BYTE_MOST = 255,
};

#define ANISOTROPY_T 0.2f       /* cosine from which on a query counts as near a row */

/* What is lost along the row over what is lost across it: (d - 1) T² / (1 - T²), theorem 3.4. */
static float s_weight(const index_spec_t *spec)
{
    const float t2 = ANISOTROPY_T * ANISOTROPY_T;
    if (spec->type != INDEX_SCANN || spec->metric == METRIC_L2)
        return 0;
    float ratio = (float)(spec->dim - 1) * t2 / (1 - t2);
    return ratio > 1 ? ratio - 1 : 0;
}

err_t ivf_coder_init(ctx_t *ctx, ivf_coder_t *self, const index_spec_t *spec,
                     const clusters_t *clusters)
{
    *self = (ivf_coder_t){ .spec = *spec, .clusters = clusters, .weight = s_weight(spec) };
    bool ranges = spec->type == INDEX_IVF_SQ8;
    self->width = ranges ? spec->dim : 0;
    self->scales = mem_try(ctx, clusters->k * sizeof *self->scales);
    self->ranges = ranges ? mem_try(ctx, 2 * spec->dim * sizeof *self->ranges) : NULL;
    if (!self->scales || (ranges && !self->ranges))
        return ctx_fail(ctx, ERR_MEMORY, "no memory to code vectors of %zu cells", spec->dim);
    for (size_t l = 0; l < clusters->k; l++)
        self->scales[l] = 1;
    if (ranges)
        ivf_coder_begin_ranges(self, self->ranges);
    return OK;
}

void ivf_coder_fini(ivf_coder_t *self)
{
    mem_free(self->scales);
    mem_free(self->ranges);
    pq_fini(&self->pq);
}

void ivf_coder_points(const ivf_coder_t *self, const uint8_t *cells, size_t n, float *ret)
{
    size_t dim = self->spec.dim;
    clusters_points(self->clusters, self->spec.cells, cells, n, ret);
    for (size_t p = 0; self->spec.metric == METRIC_COSINE && p < n; p++, ret += dim) {
        float norm2 = 0;
        simd()->ops[SIMD_F32_IP].norm2(ret, 1, dim, &norm2);
        float length = sqrtf(norm2);
        for (size_t i = 0; norm2 > 0 && i < dim; i++)
            ret[i] /= length;
    }
}

/* --- bytes -------------------------------------------------------------------------------- */

void ivf_coder_begin_ranges(const ivf_coder_t *self, float *ret)
{
    size_t dim = self->spec.dim;
    for (size_t i = 0; i < dim; i++) {
        ret[i] = INFINITY;
        ret[dim + i] = -INFINITY;
    }
}

/* Make ranges so wide that others are in them. */
static void s_widen(size_t dim, float *ranges, const float *low, const float *high)
{
    float *least = ranges, *most = ranges + dim;
    for (size_t i = 0; i < dim; i++) {
        least[i] = low[i] < least[i] ? low[i] : least[i];
        most[i] = high[i] > most[i] ? high[i] : most[i];
    }
}

void ivf_coder_note(const ivf_coder_t *self, const float *point, float *ranges)
{
    s_widen(self->spec.dim, ranges, point, point);
}

void ivf_coder_join_ranges(ivf_coder_t *self, const float *ranges)
{
    s_widen(self->spec.dim, self->ranges, ranges, ranges + self->spec.dim);
}

/* From least and most to least and step; of no rows at all both are 0. */
void ivf_coder_end_ranges(ivf_coder_t *self)
{
    size_t dim = self->spec.dim;
    float *least = self->ranges, *step = least + dim;
    for (size_t i = 0; i < dim; i++) {
        bool any = least[i] <= step[i];
        step[i] = any ? step[i] / BYTE_MOST - least[i] / BYTE_MOST : 0;
        least[i] = any ? least[i] : 0;
    }
}

static void s_encode_bytes(const ivf_coder_t *self, const float *points, size_t n, uint8_t *codes)
{
    size_t dim = self->spec.dim;
    const float *least = self->ranges, *step = least + dim;
    for (size_t p = 0; p < n; p++)
        for (size_t i = 0; i < dim; i++, points++) {
            float x = step[i] > 0 ? (*points - least[i]) / step[i] + 0.5f : 0;
            *codes++ = (uint8_t)(x > BYTE_MOST ? BYTE_MOST : x > 0 ? x : 0);
        }
}

/* --- residuals ------------------------------------------------------------------------------ */

static const float *s_centre(const ivf_coder_t *self, size_t list)
{
    return (const float *)(const void *)self->clusters->centres + list * self->spec.dim;
}

void ivf_coder_along(const ivf_coder_t *self, const float *points, const uint32_t *lists, size_t n,
                     float *ret)
{
    for (size_t p = 0; p < n; p++)
        ret[p] = simd()->ops[SIMD_F32_IP].pair(points + p * self->spec.dim,
                                               s_centre(self, lists[p]), self->spec.dim);
}

static void s_subtract(const ivf_coder_t *self, float *points, const uint32_t *lists, size_t n)
{
    size_t dim = self->spec.dim;
    for (size_t p = 0; p < n; p++, points += dim)
        simd()->codes.add_products(points, s_centre(self, lists[p]), dim,
                                   -self->scales[lists[p]]);
}

size_t ivf_coder_sample(const ivf_coder_t *self)
{
    size_t bits = self->spec.type == INDEX_SCANN ? IVF_SCANN_BITS
                : self->spec.nbits ? self->spec.nbits : IVF_PQ_BITS, n = pq_sample(bits);
    return n > SAMPLE_LEAST ? n : SAMPLE_LEAST;
}

typedef struct training {
    const ivf_coder_t *of;
    float *points;
    size_t n;
} training_t;

/* Some points to their residuals. */
static void s_residual_item(void *arg, size_t item)
{
    const training_t *t = arg;
    size_t at = item * ITEM_POINTS, n = t->n - at < ITEM_POINTS ? t->n - at : ITEM_POINTS;
    float *points = t->points + at * t->of->spec.dim;
    uint32_t lists[ITEM_POINTS];
    clusters_assign(t->of->clusters, points, n, lists);
    s_subtract(t->of, points, lists, n);
}

err_t ivf_coder_train(ctx_t *ctx, ivf_coder_t *self, float *points, size_t n, uint64_t seed,
                      const index_how_t *how)
{
    const index_spec_t *spec = &self->spec;
    bool scann = spec->type == INDEX_SCANN;
    size_t m = scann ? (spec->dim + IVF_SCANN_CELLS - 1) / IVF_SCANN_CELLS : spec->m;
    size_t nbits = scann ? IVF_SCANN_BITS : spec->nbits ? spec->nbits : IVF_PQ_BITS;
    training_t training = { self, points, n };
    TRY(crew_run(ctx, how, s_residual_item, &training, (n + ITEM_POINTS - 1) / ITEM_POINTS));
    TRY(pq_train(ctx, &self->pq, spec->dim, m, nbits, points, n, seed, how));
    self->width = pq_code_bytes(&self->pq);
    return OK;
}

/* |residual|² + 2 centre·residual of the decoded residual. */
static float s_term(const ivf_coder_t *self, const float *decoded, size_t list)
{
    size_t dim = self->spec.dim;
    float norm2 = 0;
    simd()->ops[SIMD_F32_IP].norm2(decoded, 1, dim, &norm2);
    return norm2 + 2 * simd()->ops[SIMD_F32_IP].pair(decoded, s_centre(self, list), dim);
}

static void s_note_terms(const ivf_coder_t *self, const uint8_t *codes, const uint32_t *lists,
                         size_t n, float *terms)
{
    float *decoded = mem_new(self->spec.dim * sizeof *decoded);
    for (size_t p = 0; p < n; p++) {
        pq_decode(&self->pq, codes + p * self->width, 1, decoded);
        terms[p] = s_term(self, decoded, lists[p]);
    }
    mem_free(decoded);
}

/* --- residuals with weights --------------------------------------------------------------- */

/* One row: what is lost so far (decoded - residual), and how much of it lies along the row. */
typedef struct weighing {
    const ivf_coder_t *of;
    const float *residual, *along;      /* along: the row made length 1 */
    float lost_along;
} weighing_t;

/* What sub-vector s would lose with centre c: across and along. */
static float s_loss(const weighing_t *w, size_t s, size_t c, float *ret_along)
{
    const pq_t *pq = &w->of->pq;
    float across = 0, along = 0;
    for (size_t i = pq_begin(pq, s); i < pq_begin(pq, s + 1); i++) {
        float lost = pq->book[i * pq->k + c] - w->residual[i];
        across += lost * lost;
        along += lost * w->along[i];
    }
    *ret_along = along;
    return across;
}

/* The best centre of a sub-vector, while the others stay; whether that is another one. */
static bool s_choose_again(weighing_t *w, size_t s, uint8_t *code)
{
    float had, best = INFINITY, best_along = 0;
    size_t found = *code;
    (void)s_loss(w, s, *code, &had);
    float others = w->lost_along - had;
    for (size_t c = 0; c < w->of->pq.k; c++) {
        float along, across = s_loss(w, s, c, &along);
        float loss = across + w->of->weight * (others + along) * (others + along);
        if (loss < best) {
            best = loss;
            best_along = along;
            found = c;
        }
    }
    if (found == *code)
        return false;
    w->lost_along = others + best_along;
    *code = (uint8_t)found;
    return true;
}

static void s_weigh_row(const ivf_coder_t *self, const float *residual, const float *along,
                        uint8_t *codes)
{
    weighing_t w = { self, residual, along, 0 };
    for (size_t s = 0; s < self->pq.m; s++) {
        float lost;
        (void)s_loss(&w, s, codes[s], &lost);
        w.lost_along += lost;
    }
    bool moved = true;
    for (size_t sweep = 0; moved && sweep < SWEEPS; sweep++) {
        moved = false;
        for (size_t s = 0; s < self->pq.m; s++)
            moved |= s_choose_again(&w, s, &codes[s]);
    }
}

/* Codes that are nearest already, changed for what matters to products. */
static void s_weigh(const ivf_coder_t *self, const float *residuals, const float *points, size_t n,
                    uint8_t *codes)
{
    size_t dim = self->spec.dim;
    float *along = mem_new(dim * sizeof *along);
    for (size_t p = 0; p < n; p++) {
        float norm2 = 0;
        simd()->ops[SIMD_F32_IP].norm2(points + p * dim, 1, dim, &norm2);
        if (!(norm2 > 0))
            continue;
        float length = sqrtf(norm2);
        for (size_t i = 0; i < dim; i++)
            along[i] = points[p * dim + i] / length;
        s_weigh_row(self, residuals + p * dim, along, codes + p * self->width);
    }
    mem_free(along);
}

void ivf_coder_encode(const ivf_coder_t *self, float *points, const uint32_t *lists, size_t n,
                      uint8_t *codes, float *terms)
{
    size_t bytes = n * self->spec.dim * sizeof *points;
    if (self->spec.type == INDEX_IVF_SQ8) {
        s_encode_bytes(self, points, n, codes);
        return;
    }
    float *whole = self->weight > 0 ? mem_new(bytes) : NULL;
    if (whole)
        memcpy(whole, points, bytes);
    s_subtract(self, points, lists, n);
    pq_encode(&self->pq, points, n, codes);
    if (whole)
        s_weigh(self, points, whole, n, codes);
    if (terms)
        s_note_terms(self, codes, lists, n, terms);
    mem_free(whole);
}
