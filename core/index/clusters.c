/* clusters - see clusters.h
 *
 * Nearly all time goes into clusters_assign, so it is a matrix product: 16 points side by side
 * against every centre (simd's `nearest`), |c|² - 2xc for L2, whose cancellation does not matter
 * for a choice among centres.
 */
#include "core/index/clusters.h"

#include <math.h>
#include <stdlib.h>

#include "core/base/rng.h"
#include "core/index/crew.h"

enum {
    ROUNDS = 8,
    ITEM_POINTS = 2048,         /* of one item of a crew */
    ITEM_CENTRES = 64,
    SEED_POINTS = 12,           /* points looked at for each centre when seeding */
    SEED_CENTRES = 4096,        /* more are taken by chance: seeding is quadratic */
    LANE = SIMD_SCREEN_Q,
    BIT_QUERIES = 12, BIT_ROWS = 128,
};

err_t clusters_init(ctx_t *ctx, clusters_t *self, const index_spec_t *spec, size_t k)
{
    bool bits = spec->cells == CELL_BIN;
    *self = (clusters_t){ .dim = spec->dim, .k = k, .bits = bits,
                          .width = bits ? spec->dim / 8 : spec->dim * sizeof(float),
                          .sphere = spec->metric == METRIC_IP || spec->metric == METRIC_COSINE };
    check(metric_kernel(spec->metric, spec->cells, &self->kernel));
    self->centres = mem_try(ctx, k * self->width);
    self->base = mem_try(ctx, k * sizeof *self->base);
    return self->centres && self->base ? OK
         : ctx_fail(ctx, ERR_MEMORY, "no memory for %zu centres of %zu bytes", k, self->width);
}

void clusters_fini(clusters_t *self)
{
    mem_free(self->centres);
    mem_free(self->base);
    *self = (clusters_t){0};
}

size_t clusters_point_bytes(const clusters_t *self)
{
    return self->width;
}

void clusters_points(const clusters_t *self, cell_t cells, const void *rows, size_t n, void *ret)
{
    size_t all = n * self->dim;
    const int8_t *small = rows;
    float *into = ret;
    switch (cells) {
    case CELL_F16:
        simd()->f32_from_f16(rows, all, into);
        break;
    case CELL_BF16:
        simd()->f32_from_bf16(rows, all, into);
        break;
    case CELL_I8:
        for (size_t i = 0; i < all; i++)
            into[i] = small[i];
        break;
    case CELL_F32:
    case CELL_BIN:
        memcpy(ret, rows, n * self->width);
        break;
    case CELL_SPARSE:
        check(!"sparse vectors have no centres");
    }
}

/* --- whose is nearest ------------------------------------------------------------------- */

/* Up to LANE points side by side, zeros for those that are not there. */
static void s_turn(const float *points, size_t n, size_t dim, float *ret)
{
    for (size_t p = 0; p < LANE; p++)
        for (size_t i = 0; i < dim; i++)
            ret[i * LANE + p] = p < n ? points[p * dim + i] : 0;
}

static void s_assign_floats(const clusters_t *self, const float *points, size_t n, uint32_t *ret)
{
    float best[LANE], *turned = mem_new(LANE * self->width);
    uint32_t rows[LANE];
    for (size_t at = 0; at < n; at += LANE) {
        size_t here = n - at < LANE ? n - at : LANE;
        s_turn(points + at * self->dim, here, self->dim, turned);
        for (size_t p = 0; p < LANE; p++) {
            best[p] = INFINITY;
            rows[p] = 0;
        }
        simd()->nearest(turned, self->centres, self->k, self->dim, self->base,
                        self->sphere ? -1 : -2, 0, best, rows);
        memcpy(ret + at, rows, here * sizeof *rows);
    }
    mem_free(turned);
}

static void s_assign_bits(const clusters_t *self, const uint8_t *points, size_t n, uint32_t *ret)
{
    float scores[BIT_QUERIES * BIT_ROWS], best[BIT_QUERIES];
    for (size_t at = 0; at < n; at += BIT_QUERIES) {
        size_t here = n - at < BIT_QUERIES ? n - at : BIT_QUERIES;
        for (size_t p = 0; p < here; p++) {
            best[p] = INFINITY;
            ret[at + p] = 0;
        }
        for (size_t c = 0; c < self->k; c += BIT_ROWS) {
            size_t rows = self->k - c < BIT_ROWS ? self->k - c : BIT_ROWS;
            simd()->ops[self->kernel].tile(points + at * self->width, here,
                                           self->centres + c * self->width, rows, self->dim,
                                           scores);
            for (size_t i = 0; i < here * rows; i++)
                if (scores[i] < best[i / rows]) {
                    best[i / rows] = scores[i];
                    ret[at + i / rows] = (uint32_t)(c + i % rows);
                }
        }
    }
}

void clusters_assign(const clusters_t *self, const void *points, size_t n, uint32_t *ret)
{
    if (self->bits)
        s_assign_bits(self, points, n, ret);
    else
        s_assign_floats(self, points, n, ret);
}

/* --- training ---------------------------------------------------------------------------- */

typedef struct training {
    clusters_t *of;
    const uint8_t *points;
    size_t n;
    rng_t rng;
    uint32_t *nearest;          /* owned; [n] */
    uint32_t *order;            /* owned; [n] points by centre */
    uint32_t *from;             /* owned; [k + 1] where a centre's points begin */
    float *gaps;                /* owned; [n] to the nearest seed so far */
    float *scores;              /* owned; [n] */
} training_t;

static uint8_t *s_centre(const clusters_t *of, size_t c)
{
    return of->centres + c * of->width;
}

/* Centres of a sphere have length 1; one without a direction stays as it is. */
static void s_finish_centre(clusters_t *of, size_t c)
{
    float *centre = (float *)(void *)s_centre(of, c), norm2 = 0;
    if (of->bits)
        return;
    simd()->ops[SIMD_F32_IP].norm2(centre, 1, of->dim, &norm2);
    of->base[c] = of->sphere ? 0 : norm2;
    for (size_t i = 0; of->sphere && norm2 > 0 && i < of->dim; i++)
        centre[i] /= sqrtf(norm2);
}

static void s_take_point(training_t *t, size_t c, size_t p)
{
    memcpy(s_centre(t->of, c), t->points + p * t->of->width, t->of->width);
    s_finish_centre(t->of, c);
}

/* How far each of the first n points is from centre c, where that is nearer than before. */
static void s_note_gaps(training_t *t, size_t n, size_t c)
{
    const clusters_t *of = t->of;
    simd_kernel_t kernel = of->bits ? of->kernel : of->sphere ? SIMD_F32_IP : SIMD_F32_L2;
    simd()->ops[kernel].scan(s_centre(of, c), t->points, n, of->dim, t->scores);
    for (size_t p = 0; p < n; p++) {
        float gap = of->sphere ? 1 - t->scores[p] : t->scores[p];
        if (c == 0 || gap < t->gaps[p])
            t->gaps[p] = gap > 0 ? gap : 0;
    }
}

/* A point, by chance in proportion to its gap; n where all gaps are nothing. */
static size_t s_draw(training_t *t, size_t n)
{
    double sum = 0;
    for (size_t p = 0; p < n; p++)
        sum += (double)t->gaps[p];
    double left = rng_unit(&t->rng) * sum;
    if (!(sum > 0) || !isfinite(sum))
        return n;
    for (size_t p = 0; p < n; p++) {
        left -= (double)t->gaps[p];
        if (left < 0)
            return p;
    }
    return n - 1;
}

/* Points are in a random order, so the first ones are a sample. */
static err_t s_seed(ctx_t *ctx, training_t *t)
{
    size_t k = t->of->k, n = k * SEED_POINTS < t->n ? k * SEED_POINTS : t->n;
    bool far = k <= SEED_CENTRES;
    s_take_point(t, 0, 0);
    for (size_t c = 1; c < k; c++) {
        size_t p = n;
        TRY(ctx_alive(ctx));
        if (far) {
            s_note_gaps(t, n, c - 1);
            p = s_draw(t, n);
        }
        s_take_point(t, c, p < n ? p : c);
    }
    return OK;
}

static void s_assign_item(void *arg, size_t i)
{
    training_t *t = arg;
    size_t at = i * ITEM_POINTS, left = t->n - at;
    clusters_assign(t->of, t->points + at * t->of->width, left < ITEM_POINTS ? left : ITEM_POINTS,
                    t->nearest + at);
}

/* Points by centre, in their order. */
static void s_sort(training_t *t)
{
    size_t k = t->of->k;
    memset(t->from, 0, (k + 1) * sizeof *t->from);
    for (size_t p = 0; p < t->n; p++)
        t->from[t->nearest[p] + 1]++;
    for (size_t c = 0; c < k; c++)
        t->from[c + 1] += t->from[c];
    for (size_t p = 0; p < t->n; p++)
        t->order[t->from[t->nearest[p]]++] = (uint32_t)p;
    memmove(t->from + 1, t->from, k * sizeof *t->from);
    t->from[0] = 0;
}

static void s_mean(training_t *t, size_t c, double *sums)
{
    const clusters_t *of = t->of;
    float *centre = (float *)(void *)s_centre(of, c);
    size_t begin = t->from[c], end = t->from[c + 1];
    memset(sums, 0, of->dim * sizeof *sums);
    for (size_t i = begin; i < end; i++) {
        const float *point = (const float *)(const void *)(t->points + t->order[i] * of->width);
        for (size_t d = 0; d < of->dim; d++)
            sums[d] += (double)point[d];
    }
    for (size_t d = 0; d < of->dim; d++)
        centre[d] = (float)(sums[d] / (double)(end - begin));
}

/* What most of its points have; none at all would be as far from everything in JACCARD. */
static void s_majority(training_t *t, size_t c, double *sums)
{
    const clusters_t *of = t->of;
    size_t begin = t->from[c], end = t->from[c + 1], set = 0;
    memset(sums, 0, of->dim * sizeof *sums);
    for (size_t i = begin; i < end; i++) {
        const uint8_t *point = t->points + t->order[i] * of->width;
        for (size_t d = 0; d < of->dim; d++)
            sums[d] += point[d / 8] >> d % 8 & 1;
    }
    for (size_t d = 0; d < of->dim; d++)
        set += 2 * sums[d] > (double)(end - begin);
    if (set == 0)
        return;
    memset(s_centre(of, c), 0, of->width);
    for (size_t d = 0; d < of->dim; d++)
        if (2 * sums[d] > (double)(end - begin))
            s_centre(of, c)[d / 8] |= (uint8_t)(1 << d % 8);
}

static void s_move_item(void *arg, size_t i)
{
    training_t *t = arg;
    size_t end = (i + 1) * ITEM_CENTRES < t->of->k ? (i + 1) * ITEM_CENTRES : t->of->k;
    double *sums = mem_new(t->of->dim * sizeof *sums);
    for (size_t c = i * ITEM_CENTRES; c < end; c++) {
        if (t->from[c] == t->from[c + 1])
            continue;
        if (t->of->bits)
            s_majority(t, c, sums);
        else
            s_mean(t, c, sums);
        s_finish_centre(t->of, c);
    }
    mem_free(sums);
}

static size_t s_fullest(const training_t *t, const uint32_t *taken)
{
    size_t best = 0, most = 0;
    for (size_t c = 0; c < t->of->k; c++) {
        size_t n = (t->from[c + 1] - t->from[c]) >> taken[c];
        if (n > most) {
            most = n;
            best = c;
        }
    }
    return best;
}

/* A centre without points goes to a point of the fullest one, chosen by chance. */
static void s_fill_empty(training_t *t)
{
    size_t k = t->of->k;
    uint32_t *taken = NULL;
    for (size_t c = 0; c < k; c++) {
        if (t->from[c] < t->from[c + 1])
            continue;
        if (!taken)
            taken = mem_new(k * sizeof *taken);
        size_t full = s_fullest(t, taken), n = t->from[full + 1] - t->from[full];
        taken[full] += taken[full] < 31;
        s_take_point(t, c, t->order[t->from[full] + rng_below(&t->rng, n)]);
    }
    mem_free(taken);
}

static err_t s_rounds(ctx_t *ctx, training_t *t, const index_how_t *how)
{
    TRY(s_seed(ctx, t));
    for (size_t round = 0; round < ROUNDS; round++) {
        TRY(crew_run(ctx, how, s_assign_item, t, (t->n + ITEM_POINTS - 1) / ITEM_POINTS));
        s_sort(t);
        TRY(crew_run(ctx, how, s_move_item, t, (t->of->k + ITEM_CENTRES - 1) / ITEM_CENTRES));
        s_fill_empty(t);
    }
    return OK;
}

static void s_make_unit(const clusters_t *self, float *points, size_t n)
{
    for (size_t p = 0; p < n; p++, points += self->dim) {
        float norm2 = 0;
        simd()->ops[SIMD_F32_IP].norm2(points, 1, self->dim, &norm2);
        for (size_t i = 0; norm2 > 0 && i < self->dim; i++)
            points[i] /= sqrtf(norm2);
    }
}

err_t clusters_train(ctx_t *ctx, clusters_t *self, void *points, size_t n, uint64_t seed,
                     const index_how_t *how)
{
    check(n >= self->k && n <= UINT32_MAX);
    if (self->sphere)
        s_make_unit(self, points, n);
    training_t t = { .of = self, .points = points, .n = n };
    rng_seed(&t.rng, seed);
    t.nearest = mem_try(ctx, n * sizeof *t.nearest);
    t.order = mem_try(ctx, n * sizeof *t.order);
    t.from = mem_try(ctx, (self->k + 1) * sizeof *t.from);
    t.gaps = mem_try(ctx, n * sizeof *t.gaps);
    t.scores = mem_try(ctx, n * sizeof *t.scores);
    err_t err = t.nearest && t.order && t.from && t.gaps && t.scores ? s_rounds(ctx, &t, how)
              : ctx_fail(ctx, ERR_MEMORY, "no memory to cluster %zu vectors", n);
    mem_free(t.nearest);
    mem_free(t.order);
    mem_free(t.from);
    mem_free(t.gaps);
    mem_free(t.scores);
    return err;
}
