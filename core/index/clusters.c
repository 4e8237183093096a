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
    ITEM_POINTS = 1024,         /* of one item of a crew */
    ITEM_CENTRES = 16,
    SEED_POINTS = 12,           /* points looked at for each centre when seeding */
    SEED_BLOCK = 256, SEED_TILE = 12, ITEM_BLOCKS = 4,
    SEED_SHARE = 8, SEED_BATCH = 64,    /* seeds between notes: a share of all, at most so many */
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
    uint8_t *points;
    size_t n, sample;           /* points; those of them that seeds are drawn from */
    rng_t rng;
    uint32_t *nearest;          /* owned; [n] */
    uint32_t *order;            /* owned; [n] points by centre */
    uint32_t *from;             /* owned; [k + 1] where a centre's points begin */
    float *gaps;                /* owned; [sample] to the nearest of the seeds that are noted */
    double *sums;               /* owned; of the gaps of each block of SEED_BLOCK points */
    size_t seeded, noted;
} training_t;

/* Trainings of equally many points and centres, step by step and side by side. */
typedef struct crowd {
    training_t *each;           /* owned; [n] */
    size_t n, parts;            /* parts of one training in the present step */
    void (*step)(training_t *t, size_t part);
} crowd_t;

static size_t s_share(size_t n, size_t of)
{
    return (n + of - 1) / of;
}

static size_t s_least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static void s_do_part(void *arg, size_t i)
{
    const crowd_t *crowd = arg;
    crowd->step(&crowd->each[i / crowd->parts], i % crowd->parts);
}

/* Do a step of all trainings, in so many parts each. */
static err_t s_step(ctx_t *ctx, crowd_t *crowd, const index_how_t *how, size_t parts,
                    void (*step)(training_t *t, size_t part))
{
    crowd->parts = parts;
    crowd->step = step;
    return crew_run(ctx, how, s_do_part, crowd, crowd->n * parts);
}

static uint8_t *s_centre(const clusters_t *of, size_t c)
{
    return of->centres + c * of->width;
}

/* Make a vector length 1; one without a direction stays as it is. */
static void s_make_unit(float *vector, size_t dim, float norm2)
{
    float length = sqrtf(norm2);
    for (size_t i = 0; norm2 > 0 && i < dim; i++)
        vector[i] /= length;
}

static void s_unit_part(training_t *t, size_t part)
{
    size_t end = s_least((part + 1) * ITEM_POINTS, t->n), dim = t->of->dim;
    for (size_t p = part * ITEM_POINTS; p < end; p++) {
        float norm2, *point = (float *)(void *)(t->points + p * t->of->width);
        simd()->ops[SIMD_F32_IP].norm2(point, 1, dim, &norm2);
        s_make_unit(point, dim, norm2);
    }
}

/* Centres of a sphere have length 1. */
static void s_finish_centre(clusters_t *of, size_t c)
{
    float *centre = (float *)(void *)s_centre(of, c), norm2;
    if (of->bits)
        return;
    simd()->ops[SIMD_F32_IP].norm2(centre, 1, of->dim, &norm2);
    of->base[c] = of->sphere ? 0 : norm2;
    if (of->sphere)
        s_make_unit(centre, of->dim, norm2);
}

static void s_take_point(training_t *t, size_t c, size_t p)
{
    memcpy(s_centre(t->of, c), t->points + p * t->of->width, t->of->width);
    s_finish_centre(t->of, c);
}

/* --- seeds ---------------------------------------------------------------------------------
 *
 * The next seed is a point by chance, in proportion to its gap: its distance to the nearest seed.
 * Gaps of all points are noted for many new seeds at once, when that is a product of matrices;
 * until then a point is drawn by the gap that is noted, which is too large, and taken with the
 * chance of its true gap over that one: the same choice as if all were noted (Cohen-Addad et al.
 * 2020, "Fast and accurate k-means++ via rejection sampling").  While seeds are few each one
 * changes most gaps, so as many are taken between notes as leave most draws good.
 */

static const simd_ops_t *s_gap_ops(const clusters_t *of)
{
    return &simd()->ops[of->bits ? of->kernel : of->sphere ? SIMD_F32_IP : SIMD_F32_L2];
}

static float s_gap(const clusters_t *of, float score)
{
    float gap = of->sphere ? 1 - score : score;
    return gap > 0 ? gap : 0;
}

/* Gaps of a block of points to the seeds that are not noted yet. */
static void s_note_block(training_t *t, size_t block)
{
    const clusters_t *of = t->of;
    size_t at = block * SEED_BLOCK, n = s_least(SEED_BLOCK, t->sample - at);
    float scores[SEED_TILE * SEED_BLOCK], *gaps = t->gaps + at;
    double sum = 0;
    for (size_t p = 0; t->noted == 0 && p < n; p++)
        gaps[p] = INFINITY;
    for (size_t c = t->noted; c < t->seeded; c += SEED_TILE) {
        size_t seeds = s_least(SEED_TILE, t->seeded - c);
        s_gap_ops(of)->tile(s_centre(of, c), seeds, t->points + at * of->width, n, of->dim, scores);
        for (size_t s = 0; s < seeds; s++)
            for (size_t p = 0; p < n; p++) {
                float gap = s_gap(of, scores[s * n + p]);
                gaps[p] = gap < gaps[p] ? gap : gaps[p];
            }
    }
    for (size_t p = 0; p < n; p++)
        sum += (double)gaps[p];
    t->sums[block] = sum;
}

static void s_note_part(training_t *t, size_t part)
{
    size_t end = s_least((part + 1) * ITEM_BLOCKS, s_share(t->sample, SEED_BLOCK));
    for (size_t block = part * ITEM_BLOCKS; t->seeded < t->of->k && block < end; block++)
        s_note_block(t, block);
}

/* A point by chance, in proportion to the gaps that are noted, whose sum is this. */
static size_t s_draw(training_t *t, double sum)
{
    double left = rng_unit(&t->rng) * sum;
    size_t block = 0, blocks = s_share(t->sample, SEED_BLOCK);
    for (; block + 1 < blocks && left >= t->sums[block]; block++)
        left -= t->sums[block];
    size_t p = block * SEED_BLOCK, end = s_least(p + SEED_BLOCK, t->sample);
    for (; p + 1 < end; p++) {
        left -= (double)t->gaps[p];
        if (left < 0)
            break;
    }
    return p;
}

/* Is a point that was drawn still so far from all seeds? */
static bool s_stays(training_t *t, size_t p)
{
    const clusters_t *of = t->of;
    size_t n = t->seeded - t->noted;
    float scores[SEED_BATCH], least = t->gaps[p];
    if (n == 0)
        return true;
    s_gap_ops(of)->scan(t->points + p * of->width, s_centre(of, t->noted), n, of->dim, scores);
    for (size_t s = 0; s < n; s++)
        least = s_gap(of, scores[s]) < least ? s_gap(of, scores[s]) : least;
    return rng_unit(&t->rng) * (double)t->gaps[p] < (double)least;
}

/* Take seeds until gaps had better be noted again; where all gaps are nothing, any will do. */
static void s_seed_more(training_t *t, size_t part)
{
    (void)part;
    size_t batch = t->seeded / SEED_SHARE;
    batch = batch < 1 ? 1 : s_least(batch, SEED_BATCH);
    size_t end = s_least(t->seeded + batch, t->of->k), blocks = s_share(t->sample, SEED_BLOCK);
    double sum = 0;
    for (size_t block = 0; block < blocks; block++)
        sum += t->sums[block];
    t->noted = t->seeded;
    for (size_t tries = 2 * batch; tries && t->seeded < end; tries--) {
        bool any = sum > 0 && isfinite(sum);
        size_t p = any ? s_draw(t, sum) : t->seeded;
        if (!any || s_stays(t, p))
            s_take_point(t, t->seeded++, p);
    }
}

static bool s_wants_seeds(const crowd_t *crowd)
{
    for (size_t i = 0; i < crowd->n; i++)
        if (crowd->each[i].seeded < crowd->each[i].of->k)
            return true;
    return false;
}

/* Points are in a random order, so the first ones are a sample. */
static err_t s_seed(ctx_t *ctx, crowd_t *crowd, const index_how_t *how)
{
    size_t k = crowd->each->of->k, sample = crowd->each->sample;
    size_t parts = s_share(s_share(sample, SEED_BLOCK), ITEM_BLOCKS);
    for (size_t i = 0; i < crowd->n; i++)
        while (crowd->each[i].seeded < (k > SEED_CENTRES ? k : 1)) {
            size_t c = crowd->each[i].seeded++;
            s_take_point(&crowd->each[i], c, c);
        }
    while (s_wants_seeds(crowd)) {
        TRY(s_step(ctx, crowd, how, parts, s_note_part));
        TRY(s_step(ctx, crowd, how, 1, s_seed_more));
    }
    return OK;
}

/* --- rounds -------------------------------------------------------------------------------- */

static void s_assign_part(training_t *t, size_t part)
{
    size_t at = part * ITEM_POINTS;
    clusters_assign(t->of, t->points + at * t->of->width, s_least(t->n - at, ITEM_POINTS),
                    t->nearest + at);
}

/* Points by centre, in their order. */
static void s_sort(training_t *t, size_t part)
{
    (void)part;
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

static void s_move_part(training_t *t, size_t part)
{
    size_t end = s_least((part + 1) * ITEM_CENTRES, t->of->k);
    double *sums = mem_new(t->of->dim * sizeof *sums);
    for (size_t c = part * ITEM_CENTRES; c < end; c++) {
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
static void s_fill_empty(training_t *t, size_t part)
{
    (void)part;
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

static err_t s_rounds(ctx_t *ctx, crowd_t *crowd, const index_how_t *how)
{
    const training_t *first = crowd->each;
    size_t parts = s_share(first->n, ITEM_POINTS), moves = s_share(first->of->k, ITEM_CENTRES);
    if (first->of->sphere)
        TRY(s_step(ctx, crowd, how, parts, s_unit_part));
    TRY(s_seed(ctx, crowd, how));
    for (size_t round = 0; round < ROUNDS; round++) {
        TRY(s_step(ctx, crowd, how, parts, s_assign_part));
        TRY(s_step(ctx, crowd, how, 1, s_sort));
        TRY(s_step(ctx, crowd, how, moves, s_move_part));
        TRY(s_step(ctx, crowd, how, 1, s_fill_empty));
    }
    return OK;
}

static bool s_room(ctx_t *ctx, training_t *t)
{
    t->nearest = mem_try(ctx, t->n * sizeof *t->nearest);
    t->order = mem_try(ctx, t->n * sizeof *t->order);
    t->from = mem_try(ctx, (t->of->k + 1) * sizeof *t->from);
    t->gaps = mem_try(ctx, t->sample * sizeof *t->gaps);
    t->sums = mem_try(ctx, s_share(t->sample, SEED_BLOCK) * sizeof *t->sums);
    return t->nearest && t->order && t->from && t->gaps && t->sums;
}

static void s_fini(training_t *t)
{
    mem_free(t->nearest);
    mem_free(t->order);
    mem_free(t->from);
    mem_free(t->gaps);
    mem_free(t->sums);
}

err_t clusters_train_all(ctx_t *ctx, const clusters_job_t *jobs, size_t n_jobs, size_t n,
                         const index_how_t *how)
{
    size_t k = jobs->of->k;
    check(n_jobs >= 1 && n >= k && n <= UINT32_MAX);
    crowd_t crowd = { .each = mem_new(n_jobs * sizeof *crowd.each), .n = n_jobs };
    bool room = true;
    for (size_t i = 0; i < n_jobs; i++) {
        training_t *t = &crowd.each[i];
        check(jobs[i].of->k == k);
        *t = (training_t){ .of = jobs[i].of, .points = jobs[i].points, .n = n,
                           .sample = s_least(n, k * SEED_POINTS) };
        rng_seed(&t->rng, jobs[i].seed);
        room = room && s_room(ctx, t);
    }
    err_t err = room ? s_rounds(ctx, &crowd, how)
              : ctx_fail(ctx, ERR_MEMORY, "no memory to cluster %zu vectors", n);
    for (size_t i = 0; i < n_jobs; i++)
        s_fini(&crowd.each[i]);
    mem_free(crowd.each);
    return err;
}

err_t clusters_train(ctx_t *ctx, clusters_t *self, void *points, size_t n, uint64_t seed,
                     const index_how_t *how)
{
    clusters_job_t job = { self, points, seed };
    return clusters_train_all(ctx, &job, 1, n, how);
}
