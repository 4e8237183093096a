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

/* The objects of one kind, of n units of such a width. */
static err_t s_open_parts(ctx_t *ctx, const index_reader_t *reader, section_t kind, size_t n,
                          size_t width, ivf_parts_t *ret)
{
    size_t objects = index_reader_count(reader, kind);
    *ret = (ivf_parts_t){ .n = objects, .width = width, .per = 1 };
    ret->at = mem_try(ctx, objects * sizeof *ret->at);
    if (!ret->at)
        return ctx_fail(ctx, ERR_MEMORY, "no memory for %zu objects", objects);
    if (objects)
        ret->per = (size_t)index_reader_len(reader, kind, 0) / width;
    for (size_t i = 0; i < objects; i++) {
        size_t here = n < ret->per ? n : ret->per;
        view_t bytes;
        if (here == 0)
            return s_corrupt(ctx, reader, "more vectors than rows");
        TRY(index_reader_get(ctx, reader, kind, i, here * width, &bytes));
        ret->at[i] = bytes.ptr;
        n -= here;
    }
    return n == 0 ? OK : s_corrupt(ctx, reader, "vectors are missing");
}

static err_t s_check_offsets(ctx_t *ctx, const index_reader_t *reader, const ivf_t *self)
{
    bool rise = self->offsets[0] == 0 && self->offsets[self->nlist] == self->n;
    for (size_t l = 0; rise && l < self->nlist; l++)
        rise = self->offsets[l] <= self->offsets[l + 1];
    return rise ? OK : s_corrupt(ctx, reader, "lists overlap");
}

/* Each row at most once. */
static err_t s_check_ids(ctx_t *ctx, const index_reader_t *reader, ivf_t *self)
{
    self->places = mem_try(ctx, (size_t)reader->head.rows * sizeof *self->places);
    if (!self->places)
        return ctx_fail(ctx, ERR_MEMORY, "no memory for the places of %zu rows",
                        (size_t)reader->head.rows);
    memset(self->places, 0xff, (size_t)reader->head.rows * sizeof *self->places);
    for (size_t i = 0; i < self->n; i++) {
        uint32_t row = self->ids[i];
        if (row >= reader->head.rows || self->places[row] != IVF_NOWHERE)
            return s_corrupt(ctx, reader, "a row that is not there, or twice");
        self->places[row] = (uint32_t)i;
    }
    return OK;
}

static bool s_finite(const float *at, size_t n)
{
    bool finite = true;
    for (size_t i = 0; at && i < n; i++)
        finite &= isfinite(at[i]) != 0;
    return finite;
}

static err_t s_check_floats(ctx_t *ctx, const index_reader_t *reader, const ivf_t *self)
{
    bool bits = reader->head.spec.cells == CELL_BIN;
    const float *centroids = bits ? NULL : (const float *)(const void *)self->centroids;
    bool finite = s_finite(centroids, self->nlist * self->dim) && s_finite(self->norms, self->n) &&
                  s_finite(self->least, self->dim) && s_finite(self->step, self->dim) &&
                  s_finite(self->scales, self->nlist) && s_finite(self->terms, self->n);
    return finite ? OK : s_corrupt(ctx, reader, "a number that is none");
}

static err_t s_get_floats(ctx_t *ctx, const index_reader_t *reader, section_t kind, size_t n,
                          const float **ret)
{
    view_t view;
    TRY(index_reader_get(ctx, reader, kind, 0, n * sizeof(float), &view));
    *ret = (const float *)(const void *)view.ptr;
    return OK;
}

static err_t s_open_lists(ctx_t *ctx, const index_reader_t *reader, ivf_t *self, size_t width)
{
    bool bits = reader->head.spec.cells == CELL_BIN;
    size_t centroid = bits ? width : self->dim * sizeof(float);
    view_t centroids, offsets, ids;
    TRY(index_reader_get(ctx, reader, SECTION_CENTROIDS, 0, self->nlist * centroid, &centroids));
    TRY(index_reader_get(ctx, reader, SECTION_OFFSETS, 0, 4 * (self->nlist + 1), &offsets));
    TRY(index_reader_get(ctx, reader, SECTION_IDS, 0, 4 * self->n, &ids));
    self->centroids = centroids.ptr;
    self->offsets = (const uint32_t *)(const void *)offsets.ptr;
    self->ids = (const uint32_t *)(const void *)ids.ptr;
    TRY(s_check_offsets(ctx, reader, self));
    return s_check_ids(ctx, reader, self);
}

/* --- codes -------------------------------------------------------------------------------- */

static err_t s_open_bytes(ctx_t *ctx, const index_reader_t *reader, ivf_t *self)
{
    TRY(s_get_floats(ctx, reader, SECTION_SCALES, 2 * self->dim, &self->least));
    self->step = self->least + self->dim;
    return s_open_parts(ctx, reader, SECTION_CODES, self->n, self->dim, &self->codes);
}

/* Codes of a codebook that is not full would point behind it. */
static err_t s_check_codes(ctx_t *ctx, const index_reader_t *reader, const ivf_t *self)
{
    size_t m = self->pq.m, left = self->n;
    bool wide = self->pq.nbits > 8, fits = true;
    if (self->pq.nbits == 8 || self->pq.nbits == PQ_BITS_MOST)
        return OK;
    for (size_t i = 0; i < self->codes.n; i++) {
        size_t here = left < self->codes.per ? left : self->codes.per;
        const uint8_t *at = self->codes.at[i];
        for (size_t c = 0; c < here * m; c++)
            fits &= (wide ? load_u16(at + 2 * c) : at[c]) < self->pq.k;
        left -= here;
    }
    return fits ? OK : s_corrupt(ctx, reader, "a code without a centre");
}

static err_t s_open_pq(ctx_t *ctx, const index_reader_t *reader, ivf_t *self, bool *ret_raw)
{
    view_t params, book;
    bool scann = self->type == INDEX_SCANN;
    TRY(index_reader_get(ctx, reader, SECTION_PARAMS, 0, IVF_PARAMS_BYTES, &params));
    size_t m = load_u32(params.ptr), nbits = load_u32(params.ptr + 4);
    *ret_raw = load_u32(params.ptr + 8) != 0;
    if (!pq_fits(self->dim, m, nbits) || (scann ? nbits != IVF_SCANN_BITS : *ret_raw))
        return s_corrupt(ctx, reader, "codes of a shape that there is not");
    TRY(index_reader_get(ctx, reader, SECTION_CODEBOOK, 0,
                         (self->dim * sizeof(float)) << nbits, &book));
    TRY(pq_open(ctx, &self->pq, self->dim, m, nbits, book));
    TRY(s_get_floats(ctx, reader, SECTION_SCALES, self->nlist, &self->scales));
    if (self->l2)
        TRY(s_get_floats(ctx, reader, SECTION_TERMS, self->n, &self->terms));
    return OK;
}

/* Where the blocks of each list begin. */
static err_t s_open_blocks(ctx_t *ctx, const index_reader_t *reader, ivf_t *self)
{
    self->groups = ivf_groups(self->pq.m);
    self->blocks = mem_try(ctx, (self->nlist + 1) * sizeof *self->blocks);
    if (!self->blocks)
        return ctx_fail(ctx, ERR_MEMORY, "no memory for %zu lists", self->nlist);
    for (size_t l = 0; l < self->nlist; l++)
        self->blocks[l + 1] = self->blocks[l] + (self->offsets[l + 1] - self->offsets[l] +
                                                 SIMD_BLOCK_ROWS - 1) / SIMD_BLOCK_ROWS;
    size_t n = self->blocks[self->nlist];
    TRY(s_open_parts(ctx, reader, SECTION_CODES, n, ivf_block_bytes(self->pq.m), &self->codes));
    if (!self->l2)
        return OK;
    self->block_terms = mem_try(ctx, n * sizeof *self->block_terms);
    if (!self->block_terms)
        return ctx_fail(ctx, ERR_MEMORY, "no memory for %zu blocks", n);
    for (size_t l = 0, block = 0; l < self->nlist; l++)
        for (size_t at = self->offsets[l]; at < self->offsets[l + 1]; block++) {
            float least = self->terms[at];
            for (size_t i = 0; i < SIMD_BLOCK_ROWS && at < self->offsets[l + 1]; i++, at++)
                least = self->terms[at] < least ? self->terms[at] : least;
            self->block_terms[block] = least;
        }
    return OK;
}

static err_t s_open(ctx_t *ctx, const index_reader_t *reader, ivf_t *self, size_t width)
{
    bool raw = self->type == INDEX_IVF_FLAT || self->type == INDEX_BIN_IVF_FLAT, flat = raw;
    TRY(s_open_lists(ctx, reader, self, width));
    if (self->type == INDEX_IVF_SQ8)
        TRY(s_open_bytes(ctx, reader, self));
    if (ivf_has_pq(self->type))
        TRY(s_open_pq(ctx, reader, self, &raw));
    if (self->type == INDEX_SCANN)
        TRY(s_open_blocks(ctx, reader, self));
    if (self->type == INDEX_IVF_PQ) {
        TRY(s_open_parts(ctx, reader, SECTION_CODES, self->n, pq_code_bytes(&self->pq),
                         &self->codes));
        TRY(s_check_codes(ctx, reader, self));
    }
    if (raw)
        TRY(s_open_parts(ctx, reader, flat ? SECTION_CODES : SECTION_RAW, self->n, width,
                         &self->raw));
    if (raw && reader->head.spec.metric == METRIC_COSINE)
        TRY(s_get_floats(ctx, reader, SECTION_NORMS, self->n, &self->norms));
    return s_check_floats(ctx, reader, self);
}

static size_t s_memory(const ivf_t *self, size_t rows)
{
    size_t blocks = self->blocks ? self->blocks[self->nlist] : 0;
    return sizeof *self + (self->raw.n + self->codes.n) * sizeof(uint8_t *) +
           rows * sizeof *self->places + (self->blocks ? 4 * (self->nlist + 1) : 0) +
           (self->block_terms ? 4 * blocks : 0);
}

err_t ivf_open(ctx_t *ctx, const index_reader_t *reader, index_t **ret)
{
    const index_spec_t *spec = &reader->head.spec;
    if (spec->nlist == 0)
        return s_corrupt(ctx, reader, "no list");
    check((uintptr_t)reader->blobs[0].bytes.ptr % sizeof(uint32_t) == 0);
    if (spec->cells == CELL_BIN && spec->type != INDEX_BIN_IVF_FLAT)
        return s_corrupt(ctx, reader, "bits where there are none");
    ivf_t *self = mem_new(sizeof *self);
    simd_kernel_t kernel;
    check(metric_kernel(spec->metric, spec->cells, &kernel));
    *self = (ivf_t){ .type = spec->type, .dim = spec->dim, .nlist = spec->nlist,
                     .n = (size_t)reader->head.indexed, .l2 = spec->metric == METRIC_L2 };
    self->coarse = spec->cells == CELL_BIN ? kernel : self->l2 ? SIMD_F32_L2 : SIMD_F32_IP;
    err_t err = s_open(ctx, reader, self, simd_row_bytes(kernel, spec->dim));
    self->base.bytes = s_memory(self, (size_t)reader->head.rows);
    if (err == OK)
        *ret = &self->base;
    else
        ivf_destroy(&self->base);
    return err;
}

void ivf_destroy(index_t *base)
{
    ivf_t *self = (ivf_t *)base;
    mem_free(self->raw.at);
    mem_free(self->codes.at);
    mem_free(self->places);
    mem_free(self->blocks);
    mem_free(self->block_terms);
    pq_fini(&self->pq);
    mem_free(self);
}
