/* ivf_open - objects of an inverted file, validated, so that a search need not look again */
#include <math.h>

#include "core/index/ivf_int.h"

const index_ops_t ivf_ops = {
    .build = ivf_build, .open = ivf_open, .search = ivf_search, .destroy = ivf_destroy,
};

static err_t s_corrupt(ctx_t *ctx, const index_reader_t *reader, const char *what)
{
    return ctx_fail(ctx, ERR_CORRUPT, "%s: %s: the index has to be built again",
                    reader->blobs[0].name, what);
}

static err_t s_open_codes(ctx_t *ctx, const index_reader_t *reader, ivf_t *self)
{
    self->n_codes = index_reader_count(reader, SECTION_CODES);
    self->codes = mem_try(ctx, self->n_codes * sizeof *self->codes);
    if (!self->codes)
        return ctx_fail(ctx, ERR_MEMORY, "no memory for %zu objects", self->n_codes);
    if (self->n_codes)
        self->per_code = (size_t)index_reader_len(reader, SECTION_CODES, 0) / self->width;
    size_t left = self->n;
    for (size_t i = 0; i < self->n_codes; i++) {
        size_t here = left < self->per_code ? left : self->per_code;
        view_t bytes;
        if (here == 0)
            return s_corrupt(ctx, reader, "more vectors than rows");
        TRY(index_reader_get(ctx, reader, SECTION_CODES, i, here * self->width, &bytes));
        self->codes[i] = bytes.ptr;
        left -= here;
    }
    return left == 0 ? OK : s_corrupt(ctx, reader, "vectors are missing");
}

static err_t s_check_offsets(ctx_t *ctx, const index_reader_t *reader, const ivf_t *self)
{
    bool rise = self->offsets[0] == 0 && self->offsets[self->nlist] == self->n;
    for (size_t l = 0; rise && l < self->nlist; l++)
        rise = self->offsets[l] <= self->offsets[l + 1];
    return rise ? OK : s_corrupt(ctx, reader, "lists overlap");
}

/* Each row at most once. */
static err_t s_check_ids(ctx_t *ctx, const index_reader_t *reader, const ivf_t *self)
{
    bitset_t seen = {0};
    TRY(bitset_init(ctx, &seen, (size_t)reader->head.rows));
    err_t err = OK;
    for (size_t i = 0; err == OK && i < self->n; i++) {
        uint32_t row = self->ids[i];
        if (row >= reader->head.rows || bitset_has(&seen, row))
            err = s_corrupt(ctx, reader, "a row that is not there, or twice");
        else
            bitset_set(&seen, row);
    }
    bitset_fini(&seen);
    return err;
}

static err_t s_check_floats(ctx_t *ctx, const index_reader_t *reader, const ivf_t *self)
{
    const float *centroids = (const float *)(const void *)self->centroids;
    bool finite = true;
    for (size_t i = 0; reader->head.spec.cells != CELL_BIN && i < self->nlist * self->dim; i++)
        finite &= isfinite(centroids[i]) != 0;
    for (size_t i = 0; self->norms && i < self->n; i++)
        finite &= isfinite(self->norms[i]) != 0;
    return finite ? OK : s_corrupt(ctx, reader, "a number that is none");
}

static err_t s_open(ctx_t *ctx, const index_reader_t *reader, ivf_t *self)
{
    size_t centroid = reader->head.spec.cells == CELL_BIN ? self->width
                    : self->dim * sizeof(float);
    view_t centroids, offsets, ids, norms = {0};
    TRY(index_reader_get(ctx, reader, SECTION_CENTROIDS, 0, self->nlist * centroid, &centroids));
    TRY(index_reader_get(ctx, reader, SECTION_OFFSETS, 0, 4 * (self->nlist + 1), &offsets));
    TRY(index_reader_get(ctx, reader, SECTION_IDS, 0, 4 * self->n, &ids));
    if (reader->head.spec.metric == METRIC_COSINE)
        TRY(index_reader_get(ctx, reader, SECTION_NORMS, 0, 4 * self->n, &norms));
    self->centroids = centroids.ptr;
    self->offsets = (const uint32_t *)(const void *)offsets.ptr;
    self->ids = (const uint32_t *)(const void *)ids.ptr;
    self->norms = (const float *)(const void *)norms.ptr;
    TRY(s_open_codes(ctx, reader, self));
    TRY(s_check_offsets(ctx, reader, self));
    TRY(s_check_ids(ctx, reader, self));
    return s_check_floats(ctx, reader, self);
}

err_t ivf_open(ctx_t *ctx, const index_reader_t *reader, index_t **ret)
{
    const index_spec_t *spec = &reader->head.spec;
    if (spec->nlist == 0)
        return s_corrupt(ctx, reader, "no list");
    check((uintptr_t)reader->blobs[0].bytes.ptr % sizeof(uint32_t) == 0);
    ivf_t *self = mem_new(sizeof *self);
    simd_kernel_t kernel;
    check(metric_kernel(spec->metric, spec->cells, &kernel));
    self->dim = spec->dim;
    self->width = simd_row_bytes(kernel, spec->dim);
    self->nlist = spec->nlist;
    self->n = (size_t)reader->head.indexed;
    self->coarse = spec->cells == CELL_BIN ? kernel
                 : spec->metric == METRIC_L2 ? SIMD_F32_L2 : SIMD_F32_IP;
    err_t err = s_open(ctx, reader, self);
    self->base.bytes = sizeof *self + self->n_codes * sizeof *self->codes;
    if (err == OK)
        *ret = &self->base;
    else
        ivf_destroy(&self->base);
    return err;
}

void ivf_destroy(index_t *base)
{
    ivf_t *self = (ivf_t *)base;
    mem_free(self->codes);
    mem_free(self);
}
