/* ivf_build - vectors to an inverted file
 *
 *     1  take a sample, by chance, in a random order         one pass over the rows
 *     2  find the centres                                    clusters.c
 *     3  the nearest centre of every row                     one pass
 *     4  rows by list; norms                                 one pass
 *     5  what codes need: ranges of cells; or how far rows go along their centres, and a
 *        codebook from another sample                        two passes
 *     6  vectors and codes, object by object                 a pass for each object
 *
 * Beside what the source holds, memory is taken for the sample, 16 bytes a row, and one object at
 * a time: the vectors themselves are never all there a second time, unless one object holds them.
 */
#include <math.h>

#include "core/base/limits.h"
#include "core/base/rng.h"
#include "core/index/clusters.h"
#include "core/index/crew.h"
#include "core/index/ivf_int.h"

enum {
    LIST_POINTS_LEAST = 39,     /* rows a list has on average, or there are fewer lists */
    SAMPLE_POINTS = 128,        /* of each list */
    SAMPLE_BYTES = 256 << 20,   /* of all */
    ITEM_ROWS = 1024, ITEM_CELLS = 1 << 20,     /* of one item of a crew, at most */
    RANGE_ITEMS = 16,
};

typedef struct build {
    index_spec_t spec;
    const index_source_t *source;
    const index_how_t *how;
    size_t width;               /* of a vector */
    size_t n;                   /* rows that have one */
    clusters_t clusters;
    uint32_t *places;           /* owned; [n_rows] first the list, then the place of each row */
    uint32_t *offsets;          /* owned; [nlist + 1] */
    uint32_t *blocks;           /* owned; [nlist + 1] the first block of each list */
    uint32_t *ids;              /* owned; [n] */
    float *norms;               /* owned; [n]; COSINE with vectors */
    float *terms;               /* owned; [n]; codes for L2; before that, rows along centres */
    bool codes;                 /* rows are coded */
    ivf_coder_t coder;
} build_t;

static bool s_valid(const index_rows_t *rows, size_t i)
{
    return !rows->valid || (rows->valid[i >> 6] >> (i & 63) & 1);
}

/* Call fn for each stretch. */
typedef err_t stretch_fn(ctx_t *ctx, build_t *b, size_t from, const index_rows_t *rows, void *arg);

static err_t s_each(ctx_t *ctx, build_t *b, stretch_fn *fn, void *arg)
{
    index_rows_t rows;
    for (size_t from = 0; from < b->source->n_rows; from += rows.n) {
        TRY(ctx_alive(ctx));
        TRY(b->source->read(ctx, b->source->arg, from, &rows));
        check(rows.n > 0 && rows.n <= b->source->n_rows - from);
        TRY(fn(ctx, b, from, &rows, arg));
    }
    return OK;
}

/* Items of rows of one stretch. */
typedef struct stretch {
    build_t *build;
    const index_rows_t *rows;
    size_t from, item_rows;
    void *arg;
} stretch_t;

static size_t s_item_rows(const build_t *b)
{
    size_t most = ITEM_CELLS / b->spec.dim;
    return most < 16 ? 16 : most < ITEM_ROWS ? most : ITEM_ROWS;
}

static err_t s_crew(ctx_t *ctx, stretch_t *of, void (*item)(void *arg, size_t i))
{
    of->item_rows = s_item_rows(of->build);
    return crew_run(ctx, of->build->how, item, of,
                    (of->rows->n + of->item_rows - 1) / of->item_rows);
}

/* Where an item begins; returns how many rows it has. */
static size_t s_item(const stretch_t *of, size_t item, size_t *ret_at)
{
    size_t at = item * of->item_rows, left = of->rows->n - at;
    *ret_at = at;
    return left < of->item_rows ? left : of->item_rows;
}

/* --- the sample --------------------------------------------------------------------------- */

static err_t s_count(ctx_t *ctx, build_t *b, size_t from, const index_rows_t *rows, void *arg)
{
    (void)ctx, (void)from, (void)arg;
    for (size_t i = 0; i < rows->n; i++)
        b->n += s_valid(rows, i);
    return OK;
}

typedef struct sample {
    size_t n, taken, left;      /* left: rows not seen yet */
    size_t before;              /* taken out of stretches before this one */
    bool coded;                 /* points as they are coded */
    uint32_t *into;             /* owned; [n] a random order */
    uint32_t *rows;             /* owned; [n] of their stretches */
    uint8_t *points;            /* owned */
    rng_t rng;
} sample_t;

static void s_take_item(void *arg, size_t item)
{
    const stretch_t *of = arg;
    const build_t *b = of->build;
    const sample_t *s = of->arg;
    size_t point = clusters_point_bytes(&b->clusters), at = s->before + item * of->item_rows;
    size_t end = s->taken - at < of->item_rows ? s->taken : at + of->item_rows;
    for (size_t i = at; i < end; i++) {
        const uint8_t *cells = of->rows->cells + s->rows[i] * b->width;
        uint8_t *into = s->points + s->into[i] * point;
        if (s->coded)
            ivf_coder_points(&b->coder, cells, 1, (float *)(void *)into);
        else
            clusters_points(&b->clusters, b->spec.cells, cells, 1, into);
    }
}

/* Each row with the chance that leaves exactly n in the end (Knuth's algorithm S). */
static err_t s_take(ctx_t *ctx, build_t *b, size_t from, const index_rows_t *rows, void *arg)
{
    sample_t *s = arg;
    s->before = s->taken;
    for (size_t i = 0; i < rows->n; i++)
        if (s_valid(rows, i) && rng_below(&s->rng, s->left--) < s->n - s->taken)
            s->rows[s->taken++] = (uint32_t)i;
    stretch_t of = { .build = b, .rows = rows, .from = from, .item_rows = s_item_rows(b),
                     .arg = s };
    return crew_run(ctx, b->how, s_take_item, &of,
                    (s->taken - s->before + of.item_rows - 1) / of.item_rows);
}

static void s_shuffle(sample_t *s)
{
    for (size_t i = 0; i < s->n; i++) {
        size_t j = (size_t)rng_below(&s->rng, i + 1);
        s->into[i] = s->into[j];
        s->into[j] = (uint32_t)i;
    }
}

static void s_sample_fini(sample_t *s)
{
    mem_free(s->into);
    mem_free(s->rows);
    mem_free(s->points);
}

/* n rows, or all there are; fini is needed after failures too. */
static err_t s_sample(ctx_t *ctx, build_t *b, size_t n, uint64_t seed, bool coded, sample_t *s)
{
    size_t point = clusters_point_bytes(&b->clusters), k = b->clusters.k;
    size_t most = SAMPLE_BYTES / point > k ? SAMPLE_BYTES / point : k;
    *s = (sample_t){ .left = b->n, .coded = coded };
    s->n = n > b->n ? b->n : n > most ? most : n;
    rng_seed(&s->rng, seed);
    s->into = mem_try(ctx, s->n * sizeof *s->into);
    s->rows = mem_try(ctx, s->n * sizeof *s->rows);
    s->points = mem_try(ctx, s->n * point);
    if (!s->into || !s->rows || !s->points)
        return ctx_fail(ctx, ERR_MEMORY, "no memory for a sample of %zu vectors", s->n);
    s_shuffle(s);
    return s_each(ctx, b, s_take, s);
}

static err_t s_train(ctx_t *ctx, build_t *b)
{
    sample_t s;
    err_t err = s_sample(ctx, b, b->clusters.k * SAMPLE_POINTS, b->spec.seed, false, &s);
    index_percent(b->how, 5);
    if (err == OK)
        err = clusters_train(ctx, &b->clusters, s.points, s.n, rng_u64(&s.rng), b->how);
    s_sample_fini(&s);
    return err;
}

/* --- lists -------------------------------------------------------------------------------- */

static void s_assign_item(void *arg, size_t item)
{
    const stretch_t *of = arg;
    const build_t *b = of->build;
    size_t at, n = s_item(of, item, &at);
    uint32_t *into = b->places + of->from + at;
    uint8_t *points = mem_new(n * clusters_point_bytes(&b->clusters));
    clusters_points(&b->clusters, b->spec.cells, of->rows->cells + at * b->width, n, points);
    clusters_assign(&b->clusters, points, n, into);
    for (size_t i = 0; i < n; i++)
        if (!s_valid(of->rows, at + i))
            into[i] = IVF_NOWHERE;
    mem_free(points);
}

static err_t s_assign(ctx_t *ctx, build_t *b, size_t from, const index_rows_t *rows, void *arg)
{
    stretch_t of = { .build = b, .rows = rows, .from = from, .arg = arg };
    TRY(s_crew(ctx, &of, s_assign_item));
    index_percent(b->how, (unsigned)(50 + 30 * (from + rows->n) / b->source->n_rows));
    return OK;
}

/* From the list of each row to its place. */
static void s_order(build_t *b)
{
    size_t k = b->clusters.k;
    for (size_t row = 0; row < b->source->n_rows; row++)
        if (b->places[row] != IVF_NOWHERE)
            b->offsets[b->places[row] + 1]++;
    for (size_t l = 0; l < k; l++)
        b->offsets[l + 1] += b->offsets[l];
    for (size_t row = 0; row < b->source->n_rows; row++)
        if (b->places[row] != IVF_NOWHERE) {
            uint32_t place = b->offsets[b->places[row]]++;
            b->ids[place] = (uint32_t)row;
            b->places[row] = place;
        }
    memmove(b->offsets + 1, b->offsets, k * sizeof *b->offsets);
    b->offsets[0] = 0;
}

static void s_norms_item(void *arg, size_t item)
{
    const stretch_t *of = arg;
    const build_t *b = of->build;
    simd_kernel_t kernel;
    check(metric_kernel(b->spec.metric, b->spec.cells, &kernel));
    size_t at, n = s_item(of, item, &at);
    for (size_t i = at; i < at + n; i++) {
        uint32_t place = b->places[of->from + i];
        float norm2 = 0;
        if (place == IVF_NOWHERE)
            continue;
        simd()->ops[kernel].norm2(of->rows->cells + i * b->width, 1, b->spec.dim, &norm2);
        b->norms[place] = norm2 > 0 ? 1 / sqrtf(norm2) : 0;
    }
}

static err_t s_norms(ctx_t *ctx, build_t *b, size_t from, const index_rows_t *rows, void *arg)
{
    stretch_t of = { .build = b, .rows = rows, .from = from, .arg = arg };
    return s_crew(ctx, &of, s_norms_item);
}

/* --- what codes need ------------------------------------------------------------------------ */

/* Rows [at, at + n) of a stretch with places in [begin, end): their points and lists. */
typedef struct picked {
    size_t n;
    uint32_t *places, *lists;   /* owned */
    float *points;              /* owned */
} picked_t;

static void s_pick(const stretch_t *of, size_t item, size_t begin, size_t end, picked_t *ret)
{
    const build_t *b = of->build;
    size_t at, n = s_item(of, item, &at);
    *ret = (picked_t){ .places = mem_new(n * sizeof(uint32_t)),
                       .lists = mem_new(n * sizeof(uint32_t)),
                       .points = mem_new(n * b->spec.dim * sizeof(float)) };
    for (size_t i = at; i < at + n; i++) {
        size_t place = b->places[of->from + i];
        if (place < begin || place >= end)                  /* IVF_NOWHERE is past every end */
            continue;
        ivf_coder_points(&b->coder, of->rows->cells + i * b->width, 1,
                         ret->points + ret->n * b->spec.dim);
        ret->places[ret->n] = (uint32_t)place;
        ret->lists[ret->n++] = (uint32_t)ivf_list_of(b->offsets, b->clusters.k, place);
    }
}

static void s_picked_fini(picked_t *self)
{
    mem_free(self->places);
    mem_free(self->lists);
    mem_free(self->points);
}

static void s_along_item(void *arg, size_t item)
{
    const stretch_t *of = arg;
    picked_t picked;
    s_pick(of, item, 0, of->build->n, &picked);
    float *along = mem_new(picked.n * sizeof *along);
    ivf_coder_along(&of->build->coder, picked.points, picked.lists, picked.n, along);
    for (size_t i = 0; i < picked.n; i++)
        of->build->terms[picked.places[i]] = along[i];
    mem_free(along);
    s_picked_fini(&picked);
}

static err_t s_along(ctx_t *ctx, build_t *b, size_t from, const index_rows_t *rows, void *arg)
{
    stretch_t of = { .build = b, .rows = rows, .from = from, .arg = arg };
    return s_crew(ctx, &of, s_along_item);
}

/* How long the rows of each list are along its centre. */
static void s_mean_scales(build_t *b)
{
    for (size_t l = 0; l < b->clusters.k; l++) {
        double sum = 0;
        for (size_t place = b->offsets[l]; place < b->offsets[l + 1]; place++)
            sum += (double)b->terms[place];
        size_t n = b->offsets[l + 1] - b->offsets[l];
        b->coder.scales[l] = n ? (float)(sum / (double)n) : 1;
    }
}

/* Ranges of RANGE_ITEMS items at a time, each beside the others. */
typedef struct ranging {
    stretch_t stretch;
    size_t at, n;               /* rows of the stretch that it is about */
    float *points;              /* owned; [RANGE_ITEMS][dim] */
    float *ranges;              /* owned; [RANGE_ITEMS][2 dim] */
} ranging_t;

static void s_ranges_item(void *arg, size_t item)
{
    const ranging_t *r = arg;
    const stretch_t *of = &r->stretch;
    const build_t *b = of->build;
    size_t dim = b->spec.dim, at = r->at + item * of->item_rows, end = r->at + r->n;
    float *point = r->points + item * dim, *ranges = r->ranges + item * 2 * dim;
    ivf_coder_begin_ranges(&b->coder, ranges);
    for (size_t i = at; i < end && i < at + of->item_rows; i++)
        if (s_valid(of->rows, i)) {
            ivf_coder_points(&b->coder, of->rows->cells + i * b->width, 1, point);
            ivf_coder_note(&b->coder, point, ranges);
        }
}

/* Items are joined in the order of their rows: of a zero and its negative the first counts. */
static err_t s_ranges(ctx_t *ctx, build_t *b, size_t from, const index_rows_t *rows, void *arg)
{
    ranging_t *r = arg;
    size_t step = s_item_rows(b), most = RANGE_ITEMS * step;
    r->stretch = (stretch_t){ .build = b, .rows = rows, .from = from, .item_rows = step };
    for (r->at = 0; r->at < rows->n; r->at += r->n) {
        r->n = rows->n - r->at < most ? rows->n - r->at : most;
        size_t items = (r->n + step - 1) / step;
        TRY(crew_run(ctx, b->how, s_ranges_item, r, items));
        for (size_t i = 0; i < items; i++)
            ivf_coder_join_ranges(&b->coder, r->ranges + i * 2 * b->spec.dim);
    }
    return OK;
}

static err_t s_find_ranges(ctx_t *ctx, build_t *b)
{
    size_t cells = RANGE_ITEMS * b->spec.dim;
    ranging_t r = { .points = mem_new(cells * sizeof *r.points),
                    .ranges = mem_new(2 * cells * sizeof *r.ranges) };
    err_t err = s_each(ctx, b, s_ranges, &r);
    ivf_coder_end_ranges(&b->coder);
    mem_free(r.points);
    mem_free(r.ranges);
    return err;
}

static err_t s_prepare_coder(ctx_t *ctx, build_t *b)
{
    TRY(ivf_coder_init(ctx, &b->coder, &b->spec, &b->clusters));
    if (b->spec.type == INDEX_IVF_SQ8)
        return s_find_ranges(ctx, b);
    if (b->spec.metric != METRIC_L2) {
        TRY(s_each(ctx, b, s_along, NULL));
        s_mean_scales(b);
    }
    sample_t s;
    err_t err = s_sample(ctx, b, ivf_coder_sample(&b->coder), b->spec.seed + 1, true, &s);
    if (err == OK && s.n == 0) {                /* no rows: a codebook of nothing */
        mem_free(s.points);
        s.points = mem_new(clusters_point_bytes(&b->clusters));
        s.n = 1;
    }
    if (err == OK)
        err = ivf_coder_train(ctx, &b->coder, (float *)(void *)s.points, s.n, rng_u64(&s.rng),
                              b->how);
    s_sample_fini(&s);
    return err;
}

/* --- writing ------------------------------------------------------------------------------ */

/* What is kept of the rows, unit by unit: rows, or blocks of them. */
typedef struct part {
    section_t kind;
    size_t n, width, per;       /* units; bytes of one; units of an object */
    stretch_fn *fill;
} part_t;

typedef struct filling {
    const part_t *part;
    size_t begin, end;          /* units */
    uint8_t *into;              /* of the first one */
} filling_t;

static void s_copy_item(void *arg, size_t item)
{
    const stretch_t *of = arg;
    const build_t *b = of->build;
    const filling_t *f = of->arg;
    size_t at, n = s_item(of, item, &at);
    for (size_t i = at; i < at + n; i++) {
        size_t place = b->places[of->from + i];
        if (place >= f->begin && place < f->end)
            memcpy(f->into + (place - f->begin) * b->width, of->rows->cells + i * b->width,
                   b->width);
    }
}

static err_t s_copy(ctx_t *ctx, build_t *b, size_t from, const index_rows_t *rows, void *arg)
{
    stretch_t of = { .build = b, .rows = rows, .from = from, .arg = arg };
    return s_crew(ctx, &of, s_copy_item);
}

/* Codes of a row into its place of the block; odd ones above the even ones before them. */
static void s_put_nibbles(const uint8_t *codes, size_t m, size_t row, uint8_t *block)
{
    for (size_t s = 0; s < m; s++)
        block[ivf_nibble(s, row)] |= (uint8_t)(codes[s] << 4 * (s & 1));
}

static void s_put_code(const build_t *b, const filling_t *f, size_t place, size_t list,
                       const uint8_t *code)
{
    if (b->spec.type != INDEX_SCANN) {
        memcpy(f->into + (place - f->begin) * f->part->width, code, f->part->width);
        return;
    }
    size_t nth = place - b->offsets[list];
    size_t block = b->blocks[list] + nth / SIMD_BLOCK_ROWS - f->begin;
    s_put_nibbles(code, b->coder.pq.m, nth % SIMD_BLOCK_ROWS, f->into + block * f->part->width);
}

/* Places of the units [begin, end). */
static size_t s_place_of(const build_t *b, size_t unit)
{
    if (b->spec.type != INDEX_SCANN)
        return unit;
    size_t list = ivf_list_of(b->blocks, b->clusters.k, unit);
    size_t place = b->offsets[list] + (unit - b->blocks[list]) * SIMD_BLOCK_ROWS;
    return unit >= b->blocks[b->clusters.k] ? b->n : place;
}

static void s_encode_item(void *arg, size_t item)
{
    const stretch_t *of = arg;
    const build_t *b = of->build;
    const filling_t *f = of->arg;
    size_t width = b->coder.width;
    picked_t picked;
    s_pick(of, item, s_place_of(b, f->begin), s_place_of(b, f->end), &picked);
    uint8_t *codes = mem_new(picked.n * width);
    float *terms = b->terms ? mem_new(picked.n * sizeof *terms) : NULL;
    ivf_coder_encode(&b->coder, picked.points, picked.lists, picked.n, codes, terms);
    for (size_t i = 0; i < picked.n; i++) {
        s_put_code(b, f, picked.places[i], picked.lists[i], codes + i * width);
        if (terms)
            b->terms[picked.places[i]] = terms[i];
    }
    mem_free(terms);
    mem_free(codes);
    s_picked_fini(&picked);
}

static err_t s_encode(ctx_t *ctx, build_t *b, size_t from, const index_rows_t *rows, void *arg)
{
    stretch_t of = { .build = b, .rows = rows, .from = from, .arg = arg };
    return s_crew(ctx, &of, s_encode_item);
}

static void s_size_part(const build_t *b, part_t *part)
{
    size_t bytes = b->how && b->how->object_bytes ? b->how->object_bytes : LIMIT_INDEX_OBJECT_BYTES;
    size_t n = (bytes - INDEX_HEAD_BYTES) / part->width;
    part->per = n ? n : 1;
}

static err_t s_write_part(ctx_t *ctx, build_t *b, const part_t *part, index_writer_t *writer)
{
    size_t most = part->n < part->per ? part->n : part->per;
    uint8_t *object = mem_try(ctx, INDEX_HEAD_BYTES + most * part->width);
    if (!object)
        return ctx_fail(ctx, ERR_MEMORY, "no memory for an index object of %zu vectors", most);
    err_t err = OK;
    for (size_t at = 0; err == OK && at < part->n; at += part->per) {
        size_t end = part->n - at < part->per ? part->n : at + part->per;
        filling_t filling = { part, at, end, object + INDEX_HEAD_BYTES };
        if (at)                                 /* it came as zeros */
            memset(object, 0, INDEX_HEAD_BYTES + most * part->width);
        err = s_each(ctx, b, part->fill, &filling);
        if (err == OK)
            err = index_writer_put(ctx, writer, part->kind, object,
                                   INDEX_HEAD_BYTES + (end - at) * part->width);
        index_percent(b->how, (unsigned)(80 + 19 * end / part->n));
    }
    mem_free(object);
    return err;
}

/* The parts this type has, codes first; returns how many. */
static size_t s_parts(const build_t *b, part_t *ret)
{
    size_t n = 0;
    if (b->spec.type == INDEX_SCANN)
        ret[n++] = (part_t){ SECTION_CODES, b->blocks[b->clusters.k],
                             ivf_block_bytes(b->coder.pq.m), 0, s_encode };
    else if (b->codes)
        ret[n++] = (part_t){ SECTION_CODES, b->n, b->coder.width, 0, s_encode };
    if (ivf_keeps_raw(&b->spec))
        ret[n++] = (part_t){ b->codes ? SECTION_RAW : SECTION_CODES, b->n, b->width, 0, s_copy };
    for (size_t i = 0; i < n; i++)
        s_size_part(b, &ret[i]);
    return n;
}

static void s_add_codebook(const build_t *b, uint8_t *params, index_writer_t *writer)
{
    const ivf_coder_t *coder = &b->coder;
    store_u32(params, (uint32_t)coder->pq.m);
    store_u32(params + 4, (uint32_t)coder->pq.nbits);
    store_u32(params + 8, ivf_keeps_raw(&b->spec));
    index_writer_add(writer, SECTION_PARAMS, view_of(params, IVF_PARAMS_BYTES));
    index_writer_add(writer, SECTION_SCALES, view_of(coder->scales, 4 * b->clusters.k));
    index_writer_add(writer, SECTION_CODEBOOK, view_of(coder->pq.book, pq_book_bytes(&coder->pq)));
    if (b->terms)
        index_writer_add(writer, SECTION_TERMS, view_of(b->terms, 4 * b->n));
}

static void s_add_sections(const build_t *b, uint8_t *params, index_writer_t *writer)
{
    const clusters_t *of = &b->clusters;
    index_writer_add(writer, SECTION_CENTROIDS, view_of(of->centres, of->k * of->width));
    index_writer_add(writer, SECTION_OFFSETS, view_of(b->offsets, 4 * (of->k + 1)));
    index_writer_add(writer, SECTION_IDS, view_of(b->ids, 4 * b->n));
    if (b->norms)
        index_writer_add(writer, SECTION_NORMS, view_of(b->norms, 4 * b->n));
    if (ivf_has_pq(b->spec.type))
        s_add_codebook(b, params, writer);
    else if (b->codes)
        index_writer_add(writer, SECTION_SCALES, view_of(b->coder.ranges, 8 * b->spec.dim));
}

static err_t s_write(ctx_t *ctx, build_t *b, const index_sink_t *sink, index_built_t *ret)
{
    index_head_t head = { .spec = b->spec, .rows = b->source->n_rows, .indexed = b->n };
    head.spec.nlist = b->clusters.k;
    part_t parts[2];
    size_t n = s_parts(b, parts), most = 8;
    for (size_t i = 0; i < n; i++)
        most += 1 + parts[i].n / parts[i].per;
    uint8_t params[IVF_PARAMS_BYTES] = {0};
    index_writer_t writer;
    index_writer_init(&writer, &head, sink, most);
    s_add_sections(b, params, &writer);
    err_t err = OK;
    for (size_t i = 0; err == OK && i < n; i++)
        err = s_write_part(ctx, b, &parts[i], &writer);
    if (err == OK)
        err = index_writer_close(ctx, &writer, ret);
    index_writer_fini(&writer);
    return err;
}

/* --- all of it ---------------------------------------------------------------------------- */

static err_t s_room(ctx_t *ctx, build_t *b, size_t nlist)
{
    bool norms = b->spec.metric == METRIC_COSINE && ivf_keeps_raw(&b->spec);
    bool terms = ivf_has_pq(b->spec.type);
    TRY(clusters_init(ctx, &b->clusters, &b->spec, nlist));
    b->places = mem_try(ctx, b->source->n_rows * sizeof *b->places);
    b->offsets = mem_try(ctx, (nlist + 1) * sizeof *b->offsets);
    b->blocks = mem_try(ctx, (nlist + 1) * sizeof *b->blocks);
    b->ids = mem_try(ctx, b->n * sizeof *b->ids);
    b->norms = norms ? mem_try(ctx, b->n * sizeof *b->norms) : NULL;
    b->terms = terms ? mem_try(ctx, b->n * sizeof *b->terms) : NULL;
    return b->places && b->offsets && b->blocks && b->ids && (b->norms || !norms) &&
           (b->terms || !terms) ? OK
         : ctx_fail(ctx, ERR_MEMORY, "no memory to index %zu rows", b->n);
}

static void s_count_blocks(build_t *b)
{
    for (size_t l = 0; l < b->clusters.k; l++)
        b->blocks[l + 1] = b->blocks[l] + (b->offsets[l + 1] - b->offsets[l] +
                                           SIMD_BLOCK_ROWS - 1) / SIMD_BLOCK_ROWS;
}

/* Codes have terms for L2 only; until then their room was for something else. */
static void s_drop_terms(build_t *b)
{
    if (b->spec.metric == METRIC_L2)
        return;
    mem_free(b->terms);
    b->terms = NULL;
}

static err_t s_build(ctx_t *ctx, build_t *b, const index_sink_t *sink, index_built_t *ret)
{
    TRY(s_each(ctx, b, s_count, NULL));
    size_t most = b->n / LIST_POINTS_LEAST, nlist = b->spec.nlist < most ? b->spec.nlist : most;
    TRY(s_room(ctx, b, nlist ? nlist : 1));
    if (b->n)
        TRY(s_train(ctx, b));
    index_percent(b->how, 50);
    TRY(s_each(ctx, b, s_assign, NULL));
    s_order(b);
    s_count_blocks(b);
    if (b->norms)
        TRY(s_each(ctx, b, s_norms, NULL));
    if (b->codes)
        TRY(s_prepare_coder(ctx, b));
    s_drop_terms(b);
    return s_write(ctx, b, sink, ret);
}

err_t ivf_build(ctx_t *ctx, const index_spec_t *spec, const index_source_t *source,
                const index_sink_t *sink, const index_how_t *how, index_built_t *ret)
{
    simd_kernel_t kernel;
    check(spec->nlist >= 1 && metric_kernel(spec->metric, spec->cells, &kernel));
    if (spec->type == INDEX_IVF_PQ && !pq_fits(spec->dim, spec->m, spec->nbits ? spec->nbits : 1))
        return ctx_fail(ctx, ERR_PARAM_INVALID, "IVF_PQ needs m of 1 to %zu and nbits of 1 to %d",
                        spec->dim, PQ_BITS_MOST);
    build_t b = { .spec = *spec, .source = source, .how = how,
                  .codes = spec->type == INDEX_IVF_SQ8 || ivf_has_pq(spec->type),
                  .width = simd_row_bytes(kernel, spec->dim) };
    err_t err = s_build(ctx, &b, sink, ret);
    ivf_coder_fini(&b.coder);
    clusters_fini(&b.clusters);
    mem_free(b.places);
    mem_free(b.offsets);
    mem_free(b.blocks);
    mem_free(b.ids);
    mem_free(b.norms);
    mem_free(b.terms);
    return err;
}
