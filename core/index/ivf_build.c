/* ivf_build - vectors to an inverted file
 *
 *     1  take a sample, by chance, in a random order         one pass over the rows
 *     2  find the centres                                    clusters.c
 *     3  the nearest centre of every row                     one pass
 *     4  rows by list; 5 norms; 6 vectors, object by object  a pass for each object
 *
 * Beside what the source holds, memory is taken for the sample, 12 bytes a row, and one object at
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
    ITEM_ROWS = 1024,
};

#define NOWHERE UINT32_MAX      /* list and place of a null */

typedef struct build {
    index_spec_t spec;
    const index_source_t *source;
    const index_how_t *how;
    size_t width;               /* of a vector */
    size_t n;                   /* rows that have one */
    clusters_t clusters;
    uint32_t *places;           /* owned; [n_rows] first the list, then the place of each row */
    uint32_t *offsets;          /* owned; [nlist + 1] */
    uint32_t *ids;              /* owned; [n] */
    float *norms;               /* owned; [n]; COSINE */
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
    uint32_t *into;             /* owned; [n] a random order */
    uint8_t *points;            /* owned */
    rng_t rng;
} sample_t;

/* Each row with the chance that leaves exactly n in the end (Knuth's algorithm S). */
static err_t s_take(ctx_t *ctx, build_t *b, size_t from, const index_rows_t *rows, void *arg)
{
    (void)ctx, (void)from;
    sample_t *s = arg;
    size_t point = clusters_point_bytes(&b->clusters);
    for (size_t i = 0; i < rows->n; i++) {
        if (!s_valid(rows, i))
            continue;
        if (rng_below(&s->rng, s->left--) >= s->n - s->taken)
            continue;
        clusters_points(&b->clusters, b->spec.cells, rows->cells + i * b->width, 1,
                        s->points + s->into[s->taken++] * point);
    }
    return OK;
}

static void s_shuffle(sample_t *s)
{
    for (size_t i = 0; i < s->n; i++) {
        size_t j = (size_t)rng_below(&s->rng, i + 1);
        s->into[i] = s->into[j];
        s->into[j] = (uint32_t)i;
    }
}

static err_t s_train(ctx_t *ctx, build_t *b)
{
    size_t point = clusters_point_bytes(&b->clusters), k = b->clusters.k;
    size_t most = SAMPLE_BYTES / point > k ? SAMPLE_BYTES / point : k;
    sample_t s = { .n = k * SAMPLE_POINTS, .left = b->n };
    s.n = s.n > b->n ? b->n : s.n > most ? most : s.n;
    rng_seed(&s.rng, b->spec.seed);
    s.into = mem_try(ctx, s.n * sizeof *s.into);
    s.points = mem_try(ctx, s.n * point);
    err_t err = OK;
    if (!s.into || !s.points)
        err = ctx_fail(ctx, ERR_MEMORY, "no memory for a sample of %zu vectors", s.n);
    if (err == OK) {
        s_shuffle(&s);
        err = s_each(ctx, b, s_take, &s);
    }
    index_percent(b->how, 5);
    if (err == OK)
        err = clusters_train(ctx, &b->clusters, s.points, s.n, rng_u64(&s.rng), b->how);
    mem_free(s.into);
    mem_free(s.points);
    return err;
}

/* --- lists -------------------------------------------------------------------------------- */

typedef struct assign {
    build_t *build;
    const index_rows_t *rows;
    size_t from;
} assign_t;

static void s_assign_item(void *arg, size_t item)
{
    const assign_t *a = arg;
    const build_t *b = a->build;
    size_t at = item * ITEM_ROWS, left = a->rows->n - at, n = left < ITEM_ROWS ? left : ITEM_ROWS;
    const uint8_t *cells = a->rows->cells + at * b->width;
    uint32_t *into = b->places + a->from + at;
    uint8_t *points = mem_new(n * clusters_point_bytes(&b->clusters));
    clusters_points(&b->clusters, b->spec.cells, cells, n, points);
    clusters_assign(&b->clusters, points, n, into);
    for (size_t i = 0; i < n; i++)
        if (!s_valid(a->rows, at + i))
            into[i] = NOWHERE;
    mem_free(points);
}

static err_t s_assign(ctx_t *ctx, build_t *b, size_t from, const index_rows_t *rows, void *arg)
{
    (void)arg;
    assign_t a = { b, rows, from };
    TRY(crew_run(ctx, b->how, s_assign_item, &a, (rows->n + ITEM_ROWS - 1) / ITEM_ROWS));
    index_percent(b->how, (unsigned)(50 + 40 * (from + rows->n) / b->source->n_rows));
    return OK;
}

/* From the list of each row to its place. */
static void s_order(build_t *b)
{
    size_t k = b->clusters.k;
    for (size_t row = 0; row < b->source->n_rows; row++)
        if (b->places[row] != NOWHERE)
            b->offsets[b->places[row] + 1]++;
    for (size_t l = 0; l < k; l++)
        b->offsets[l + 1] += b->offsets[l];
    for (size_t row = 0; row < b->source->n_rows; row++)
        if (b->places[row] != NOWHERE) {
            uint32_t place = b->offsets[b->places[row]]++;
            b->ids[place] = (uint32_t)row;
            b->places[row] = place;
        }
    memmove(b->offsets + 1, b->offsets, k * sizeof *b->offsets);
    b->offsets[0] = 0;
}

static err_t s_norms(ctx_t *ctx, build_t *b, size_t from, const index_rows_t *rows, void *arg)
{
    (void)ctx, (void)arg;
    simd_kernel_t kernel;
    check(metric_kernel(b->spec.metric, b->spec.cells, &kernel));
    for (size_t i = 0; i < rows->n; i++) {
        uint32_t place = b->places[from + i];
        float norm2 = 0;
        if (place == NOWHERE)
            continue;
        simd()->ops[kernel].norm2(rows->cells + i * b->width, 1, b->spec.dim, &norm2);
        b->norms[place] = norm2 > 0 ? 1 / sqrtf(norm2) : 0;
    }
    return OK;
}

/* --- writing ------------------------------------------------------------------------------ */

typedef struct codes {
    size_t begin, end;          /* places */
    uint8_t *into;              /* of the first one */
} codes_t;

static err_t s_copy(ctx_t *ctx, build_t *b, size_t from, const index_rows_t *rows, void *arg)
{
    (void)ctx;
    const codes_t *codes = arg;
    for (size_t i = 0; i < rows->n; i++) {
        size_t place = b->places[from + i];
        if (place >= codes->begin && place < codes->end)    /* NOWHERE is past every end */
            memcpy(codes->into + (place - codes->begin) * b->width, rows->cells + i * b->width,
                   b->width);
    }
    return OK;
}

static size_t s_per_object(const build_t *b)
{
    size_t bytes = b->how && b->how->object_bytes ? b->how->object_bytes : LIMIT_INDEX_OBJECT_BYTES;
    size_t n = (bytes - INDEX_HEAD_BYTES) / b->width;
    return n ? n : 1;
}

static err_t s_write_codes(ctx_t *ctx, build_t *b, index_writer_t *writer)
{
    size_t per = s_per_object(b), most = b->n < per ? b->n : per;
    uint8_t *object = mem_try(ctx, INDEX_HEAD_BYTES + most * b->width);
    if (!object)
        return ctx_fail(ctx, ERR_MEMORY, "no memory for an index object of %zu vectors", most);
    err_t err = OK;
    for (size_t at = 0; err == OK && at < b->n; at += per) {
        size_t end = b->n - at < per ? b->n : at + per;
        codes_t codes = { at, end, object + INDEX_HEAD_BYTES };
        err = s_each(ctx, b, s_copy, &codes);
        if (err == OK)
            err = index_writer_put(ctx, writer, SECTION_CODES, object,
                                   INDEX_HEAD_BYTES + (end - at) * b->width);
        index_percent(b->how, (unsigned)(90 + 9 * end / b->n));
    }
    mem_free(object);
    return err;
}

static err_t s_write(ctx_t *ctx, build_t *b, const index_sink_t *sink, index_built_t *ret)
{
    const clusters_t *of = &b->clusters;
    index_head_t head = { .spec = b->spec, .rows = b->source->n_rows, .indexed = b->n };
    head.spec.nlist = of->k;
    index_writer_t writer;
    index_writer_init(&writer, &head, sink, 5 + b->n / s_per_object(b));
    index_writer_add(&writer, SECTION_CENTROIDS, view_of(of->centres, of->k * of->width));
    index_writer_add(&writer, SECTION_OFFSETS, view_of(b->offsets, 4 * (of->k + 1)));
    index_writer_add(&writer, SECTION_IDS, view_of(b->ids, 4 * b->n));
    if (b->norms)
        index_writer_add(&writer, SECTION_NORMS, view_of(b->norms, 4 * b->n));
    err_t err = s_write_codes(ctx, b, &writer);
    if (err == OK)
        err = index_writer_close(ctx, &writer, ret);
    index_writer_fini(&writer);
    return err;
}

/* --- all of it ---------------------------------------------------------------------------- */

static err_t s_room(ctx_t *ctx, build_t *b, size_t nlist)
{
    bool cosine = b->spec.metric == METRIC_COSINE;
    TRY(clusters_init(ctx, &b->clusters, &b->spec, nlist));
    b->places = mem_try(ctx, b->source->n_rows * sizeof *b->places);
    b->offsets = mem_try(ctx, (nlist + 1) * sizeof *b->offsets);
    b->ids = mem_try(ctx, b->n * sizeof *b->ids);
    b->norms = cosine ? mem_try(ctx, b->n * sizeof *b->norms) : NULL;
    return b->places && b->offsets && b->ids && (b->norms || !cosine) ? OK
         : ctx_fail(ctx, ERR_MEMORY, "no memory to index %zu rows", b->n);
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
    if (b->norms)
        TRY(s_each(ctx, b, s_norms, NULL));
    return s_write(ctx, b, sink, ret);
}

err_t ivf_build(ctx_t *ctx, const index_spec_t *spec, const index_source_t *source,
                const index_sink_t *sink, const index_how_t *how, index_built_t *ret)
{
    simd_kernel_t kernel;
    check(spec->nlist >= 1 && metric_kernel(spec->metric, spec->cells, &kernel));
    build_t b = { .spec = *spec, .source = source, .how = how,
                  .width = simd_row_bytes(kernel, spec->dim) };
    err_t err = s_build(ctx, &b, sink, ret);
    clusters_fini(&b.clusters);
    mem_free(b.places);
    mem_free(b.offsets);
    mem_free(b.ids);
    mem_free(b.norms);
    return err;
}
