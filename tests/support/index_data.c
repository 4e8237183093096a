/* index_data - see index_data.h */
#include "tests/support/index_data.h"

#include <math.h>

#include "core/base/fault.h"
#include "core/simd/brute.h"
#include "core/simd/half.h"

enum { CENTRES = 200 };

/* Nearly normal: a sum of six. */
static float s_noise(rng_t *rng)
{
    double sum = -3;
    for (int i = 0; i < 6; i++)
        sum += rng_unit(rng);
    return (float)sum;
}

static void s_cell(rng_t *rng, const index_spec_t *spec, const float *centre, uint8_t *ret)
{
    for (size_t d = 0; d < spec->dim; d++) {
        float x = 0.5f * centre[d] + 0.6f * s_noise(rng);
        uint16_t half = spec->cells == CELL_F16 ? half_f16_from_f32(x)
                                                : half_bf16_from_f32(x);
        int8_t small = (int8_t)lrintf(fmaxf(-127, fminf(127, 24 * x)));
        switch (spec->cells) {
        case CELL_F32:
            memcpy(ret + 4 * d, &x, sizeof x);
            break;
        case CELL_F16:
        case CELL_BF16:
            memcpy(ret + 2 * d, &half, sizeof half);
            break;
        case CELL_I8:
            memcpy(ret + d, &small, 1);
            break;
        case CELL_BIN:
            ret[d / 8] = (uint8_t)((ret[d / 8] & ~(1 << d % 8)) | (x > 0) << d % 8);
            break;
        case CELL_SPARSE:
            check(!"sparse rows are made elsewhere");
        }
    }
}

static void s_fill(rng_t *rng, const index_data_t *self, const float *centres, size_t n,
                   uint8_t *ret)
{
    for (size_t i = 0; i < n; i++)
        s_cell(rng, &self->spec, centres + rng_below(rng, CENTRES) * self->spec.dim,
               ret + i * self->width);
}

static float *s_inverse_norms(const index_data_t *self, const uint8_t *cells, size_t n)
{
    float *norms = mem_new(n * sizeof *norms);
    simd()->ops[self->kernel].norm2(cells, n, self->spec.dim, norms);
    for (size_t i = 0; i < n; i++)
        norms[i] = norms[i] > 0 ? 1 / sqrtf(norms[i]) : 0;
    return norms;
}

void index_data_init(index_data_t *self, const index_spec_t *spec, size_t n, size_t n_queries,
                     uint64_t seed)
{
    rng_t rng;
    rng_seed(&rng, seed);
    *self = (index_data_t){ .spec = *spec, .n = n, .n_queries = n_queries };
    check(metric_kernel(spec->metric, spec->cells, &self->kernel));
    self->width = simd_row_bytes(self->kernel, spec->dim);
    self->query_bytes = simd_query_bytes(self->kernel, spec->dim);
    float *centres = mem_new(CENTRES * spec->dim * sizeof *centres);
    for (size_t i = 0; i < CENTRES * spec->dim; i++)
        centres[i] = s_noise(&rng);
    self->rows = mem_new(n * self->width);
    s_fill(&rng, self, centres, n, self->rows);
    uint8_t *cells = mem_new(n_queries * self->width);
    s_fill(&rng, self, centres, n_queries, cells);
    self->queries = mem_new(n_queries * self->query_bytes);
    for (size_t q = 0; q < n_queries; q++)
        simd_prepare(self->kernel, cells + q * self->width, spec->dim,
                     self->queries + q * self->query_bytes);
    if (spec->metric == METRIC_COSINE) {
        self->factors = s_inverse_norms(self, cells, n_queries);
        self->norms = s_inverse_norms(self, self->rows, n);
    }
    mem_free(cells);
    mem_free(centres);
}

static void s_forget(index_data_t *self)
{
    for (size_t i = 0; i < INDEX_DATA_OBJECTS; i++)
        buf_fini(&self->objects[i]);
    memset(self->objects, 0, sizeof self->objects);
}

void index_data_fini(index_data_t *self)
{
    s_forget(self);
    mem_free(self->rows);
    mem_free(self->valid);
    mem_free(self->queries);
    mem_free(self->factors);
    mem_free(self->norms);
}

void index_data_nulls(index_data_t *self, double share, uint64_t seed)
{
    rng_t rng;
    rng_seed(&rng, seed);
    self->valid = mem_new((self->n + 63) / 64 * sizeof *self->valid);
    for (size_t i = 0; i < self->n; i++)
        if (!rng_chance(&rng, share))
            self->valid[i / 64] |= 1ull << i % 64;
}

/* --- an index ----------------------------------------------------------------------------- */

static err_t s_read(ctx_t *ctx, void *arg, size_t from, index_rows_t *ret)
{
    const index_data_t *self = arg;
    size_t most = self->stretch ? self->stretch : self->n, left = self->n - from;
    if (fault_hit())
        return ctx_fail(ctx, ERR_STORE, "a fault");
    *ret = (index_rows_t){ .cells = self->rows + from * self->width,
                           .n = left < most ? left : most,
                           .valid = self->valid ? self->valid + from / 64 : NULL };
    return OK;
}

static err_t s_put(ctx_t *ctx, void *arg, size_t number, view_t bytes)
{
    index_data_t *self = arg;
    if (fault_hit())
        return ctx_fail(ctx, ERR_STORE, "a fault");
    check(number < INDEX_DATA_OBJECTS && self->objects[number].len == 0);
    buf_add_view(&self->objects[number], bytes);
    return buf_ok(&self->objects[number]) ? OK : ctx_fail(ctx, ERR_MEMORY, "no memory");
}

err_t index_data_build(index_data_t *self, ctx_t *ctx, const index_how_t *how)
{
    s_forget(self);
    check(self->stretch % 64 == 0);
    index_source_t source = { .n_rows = self->n, .read = s_read, .arg = self };
    index_sink_t sink = { s_put, self };
    return index_build(ctx, &self->spec, &source, &sink, how, &self->built);
}

err_t index_data_open(index_data_t *self, ctx_t *ctx, index_t **ret)
{
    for (size_t i = 0; i < self->built.n_objects; i++)
        self->blobs[i] = (index_blob_t){ .name = "object",
                                           .bytes = buf_view(&self->objects[i]) };
    return index_open(ctx, self->blobs, self->built.n_objects, ret);
}

/* --- searches ------------------------------------------------------------------------------ */

static void s_search_exact(index_data_t *self, ctx_t *ctx, const bitset_t *keep,
                           topk_t *const *best)
{
    bitset_t both = {0};
    check(bitset_init(ctx, &both, self->n) == OK);
    for (size_t i = 0; i < self->n; i++)
        if ((!keep || bitset_has(keep, i)) &&
            (!self->valid || (self->valid[i / 64] >> i % 64 & 1)))
            bitset_set(&both, i);
    brute_t brute = { .kernel = self->kernel, .dim = self->spec.dim, .rows = self->rows,
                      .n = self->n, .keep = &both, .scale = self->norms };
    check(brute_search(ctx, &brute, 0, self->queries, self->factors, self->n_queries, best) == OK);
    bitset_fini(&both);
}

static void s_search_index(index_data_t *self, ctx_t *ctx, const index_t *index, size_t k,
                           const bitset_t *keep, const index_knobs_t *knobs, topk_t *const *best)
{
    index_ask_t ask = { .queries = self->queries, .factors = self->factors,
                        .n_queries = self->n_queries, .keep = keep,
                        .n_kept = keep ? bitset_count(keep) : 0, .want = k, .knobs = *knobs };
    check(index_search(ctx, index, &ask, best) == OK);
}

void index_data_search(index_data_t *self, ctx_t *ctx, const index_t *index, size_t k,
                       const bitset_t *keep, const index_knobs_t *knobs, uint32_t *ret)
{
    topk_t **best = mem_new(self->n_queries * sizeof *best);
    topk_hit_t *hits = mem_new(k * sizeof *hits);
    for (size_t q = 0; q < self->n_queries; q++)
        check(topk_new(ctx, k, simd_kernel_descends(self->kernel), &best[q]) == OK);
    if (index)
        s_search_index(self, ctx, index, k, keep, knobs, best);
    else
        s_search_exact(self, ctx, keep, best);
    for (size_t q = 0; q < self->n_queries; q++) {
        size_t n = topk_hits(best[q], hits);
        for (size_t i = 0; i < k; i++)
            ret[q * k + i] = i < n ? hits[i].row : UINT32_MAX;
        topk_destroy(&best[q]);
    }
    mem_free(best);
    mem_free(hits);
}

double index_data_recall(const uint32_t *exact, const uint32_t *found, size_t n_queries, size_t k)
{
    size_t hits = 0, all = 0;
    for (size_t q = 0; q < n_queries; q++)
        for (size_t i = 0; i < k && exact[q * k + i] != UINT32_MAX; i++, all++)
            for (size_t j = 0; j < k; j++)
                hits += found[q * k + j] == exact[q * k + i];
    return all ? (double)hits / (double)all : 1;
}
