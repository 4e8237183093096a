/* hnsw_open - objects of a graph, validated, so that a walk need not look again */
#include <math.h>

#include "core/base/limits.h"
#include "core/index/hnsw_int.h"

const index_ops_t hnsw_ops = {
    .build = hnsw_build, .open = hnsw_open, .search = hnsw_search, .destroy = hnsw_destroy,
};

static err_t s_corrupt(ctx_t *ctx, const index_reader_t *reader, const char *what)
{
    return ctx_fail(ctx, ERR_CORRUPT, "%s: %s: the index has to be built again",
                    reader->blobs[0].name, what);
}

static err_t s_open_params(ctx_t *ctx, const index_reader_t *reader, hnsw_t *self,
                           uint32_t *ret_flags)
{
    view_t params;
    TRY(index_reader_get(ctx, reader, SECTION_PARAMS, 0, HNSW_PARAMS_BYTES, &params));
    self->degree = load_u32(params.ptr);
    self->layers = load_u32(params.ptr + 4);
    *ret_flags = load_u32(params.ptr + 8);
    for (size_t l = 0; l < HNSW_LAYERS; l++)
        self->n_at[l] = load_u32(params.ptr + 16 + 4 * l);
    bool good = self->degree >= 1 && self->degree <= LIMIT_INDEX_DEGREE &&
                self->layers <= HNSW_LAYERS && (self->layers > 0) == (self->n > 0) &&
                self->n_at[0] == self->n && *ret_flags <= HNSW_FLAG_RAW &&
                load_u32(params.ptr + 12) == 0;
    for (size_t l = 1; good && l < HNSW_LAYERS; l++)
        good = self->n_at[l] <= self->n_at[l - 1] && (self->n_at[l] > 0) == (l < self->layers);
    return good ? OK : s_corrupt(ctx, reader, "layers that do not fit one another");
}

/* Links of a layer: to nodes of the same, with nothing behind the last. */
static bool s_links_good(const hnsw_layer_t *layer, size_t n)
{
    bool good = true;
    for (size_t node = 0; good && node < n; node++) {
        const uint32_t *links = layer->links + node * layer->degree;
        for (size_t i = 0; i < layer->degree; i++)
            good &= links[i] == HNSW_NONE || (links[i] < n && (i == 0 ||
                                              links[i - 1] != HNSW_NONE));
    }
    return good;
}

static err_t s_open_layers(ctx_t *ctx, const index_reader_t *reader, hnsw_t *self)
{
    view_t links, upper;
    size_t n_upper = self->n_at[1], step = self->degree;
    for (size_t l = 1; l < self->layers; l++)
        n_upper += self->n_at[l] * step;
    TRY(index_reader_get(ctx, reader, SECTION_UPPER, 0, 4 * (uint64_t)n_upper, &upper));
    if (self->n == 0)
        return OK;
    TRY(index_reader_get(ctx, reader, SECTION_LINKS, 0, 4 * (uint64_t)self->n * 2 * step, &links));
    const uint32_t *places = (const uint32_t *)(const void *)upper.ptr, *at = places;
    self->at[0] = (hnsw_layer_t){ (const uint32_t *)(const void *)links.ptr, 2 * step, NULL };
    at += self->n_at[1];
    for (size_t l = 1; l < self->layers; at += self->n_at[l++] * step)
        self->at[l] = (hnsw_layer_t){ at, step, places };
    bool good = true;
    for (size_t u = 0; u < self->n_at[1]; u++)
        good &= places[u] < self->n;
    for (size_t l = 0; good && l < self->layers; l++)
        good = s_links_good(&self->at[l], self->n_at[l]);
    return good ? OK : s_corrupt(ctx, reader, "a link to a row that is not there");
}

static err_t s_open_codes(ctx_t *ctx, const index_reader_t *reader, hnsw_t *self)
{
    view_t codes;
    if (self->n == 0)
        return OK;
    TRY(index_reader_get(ctx, reader, SECTION_CODES, 0, (uint64_t)self->n * self->codes.block,
                         &codes));
    self->codes.at = codes.ptr;
    bool good = true;
    for (size_t p = 0; p < self->n; p++)
        good &= isfinite(hnsw_scale(&self->codes, p)) && isfinite(hnsw_extra(&self->codes, p));
    return good ? OK : s_corrupt(ctx, reader, "a number that is none");
}

/* Rows without the nulls, rising. */
static err_t s_open_rows(ctx_t *ctx, const index_reader_t *reader, hnsw_t *self)
{
    view_t rows;
    if (self->n == reader->head.rows)
        return OK;
    TRY(index_reader_get(ctx, reader, SECTION_IDS, 0, 4 * (uint64_t)self->n, &rows));
    self->exact.rows = (const uint32_t *)(const void *)rows.ptr;
    for (size_t p = 0; p < self->n; p++)
        if (self->exact.rows[p] >= reader->head.rows ||
            (p && self->exact.rows[p] <= self->exact.rows[p - 1]))
            return s_corrupt(ctx, reader, "a row that is not there, or twice");
    return OK;
}

static err_t s_open_raw(ctx_t *ctx, const index_reader_t *reader, hnsw_t *self)
{
    exact_t *exact = &self->exact;
    self->n_raw = index_reader_count(reader, SECTION_RAW);
    self->raw = mem_try(ctx, self->n_raw * sizeof *self->raw);
    if (!self->raw)
        return ctx_fail(ctx, ERR_MEMORY, "no memory for %zu objects", self->n_raw);
    if (self->n_raw)
        exact->per_part = (size_t)index_reader_len(reader, SECTION_RAW, 0) / exact->width;
    size_t left = self->n;
    for (size_t i = 0; i < self->n_raw; i++) {
        size_t here = left < exact->per_part ? left : exact->per_part;
        view_t bytes;
        if (here == 0)
            return s_corrupt(ctx, reader, "more vectors than rows");
        TRY(index_reader_get(ctx, reader, SECTION_RAW, i, here * exact->width, &bytes));
        self->raw[i] = bytes.ptr;
        left -= here;
    }
    exact->parts = self->raw;
    if (self->codes.metric == METRIC_COSINE && self->n) {
        exact->norms = self->codes.at + self->codes.block - 4;
        exact->norm_step = self->codes.block;
    }
    return left == 0 ? OK : s_corrupt(ctx, reader, "vectors are missing");
}

static void s_decode(const void *arg, uint32_t place, float *ret)
{
    hnsw_decode(arg, place, ret);
}

/* Without vectors: decoded codes, as float32s. */
static void s_open_decoded(hnsw_t *self)
{
    self->exact.kernel = self->codes.metric == METRIC_L2 ? SIMD_F32_L2 : SIMD_F32_IP;
    self->exact.width = self->codes.dim * sizeof(float);
    self->exact.decode = s_decode;
    self->exact.arg = &self->codes;
}

static err_t s_open(ctx_t *ctx, const index_reader_t *reader, hnsw_t *self)
{
    uint32_t flags;
    TRY(s_open_params(ctx, reader, self, &flags));
    TRY(s_open_layers(ctx, reader, self));
    TRY(s_open_codes(ctx, reader, self));
    TRY(s_open_rows(ctx, reader, self));
    if (flags & HNSW_FLAG_RAW)
        return s_open_raw(ctx, reader, self);
    s_open_decoded(self);
    return OK;
}

err_t hnsw_open(ctx_t *ctx, const index_reader_t *reader, index_t **ret)
{
    const index_spec_t *spec = &reader->head.spec;
    check((uintptr_t)reader->blobs[0].bytes.ptr % sizeof(uint32_t) == 0);
    hnsw_t *self = mem_new(sizeof *self);
    check(metric_kernel(spec->metric, spec->cells, &self->exact.kernel));
    self->n = (size_t)reader->head.indexed;
    self->codes = (hnsw_codes_t){ spec->metric, spec->dim, hnsw_block_bytes(spec->dim), NULL };
    self->exact.dim = spec->dim;
    self->exact.width = simd_row_bytes(self->exact.kernel, spec->dim);
    self->exact.n = self->n;
    err_t err = s_open(ctx, reader, self);
    self->base.bytes = sizeof *self + self->n_raw * sizeof *self->raw;
    if (err == OK)
        *ret = &self->base;
    else
        hnsw_destroy(&self->base);
    return err;
}

void hnsw_destroy(index_t *base)
{
    hnsw_t *self = (hnsw_t *)base;
    mem_free(self->raw);
    mem_free(self);
}
