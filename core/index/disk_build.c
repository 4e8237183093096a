/* disk_build - vectors to a graph on disk
 *
 *     1  all vectors as float32, as the graph's distance wants them    two passes over the rows
 *     2  the graph                                                     disk_graph.c
 *     3  a codebook from a sample; the code of each                    pq.c
 *     4  records, object by object                                     one pass
 *
 * Memory: the vectors as float32, 6 degree bytes a row for the graph, the codes, an object.
 */
#include <math.h>

#include "core/base/limits.h"
#include "core/base/rng.h"
#include "core/index/crew.h"
#include "core/index/disk_graph.h"
#include "core/index/disk_int.h"

enum { ITEM_ROWS = 1024, WALK_CELLS = 8 };

typedef struct build {
    index_spec_t spec;
    const index_source_t *source;
    const index_how_t *how;
    simd_kernel_t kernel;
    disk_layout_t layout;
    size_t n;                   /* rows that have a vector */
    size_t cells;               /* floats of a point, zeros behind those that count */
    float *points;              /* owned; [n][cells] */
    uint32_t *ids;              /* owned; [n] the row of each place */
    size_t taken;               /* places so far */
    disk_graph_t graph;
    pq_t pq;
    uint8_t *codes;             /* owned; [n] */
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

static err_t s_count(ctx_t *ctx, build_t *b, size_t from, const index_rows_t *rows, void *arg)
{
    (void)ctx, (void)from, (void)arg;
    for (size_t i = 0; i < rows->n; i++)
        b->n += s_valid(rows, i);
    return OK;
}

/* --- points -------------------------------------------------------------------------------- */

static float s_inverse_norm(const build_t *b, const uint8_t *row)
{
    float norm2 = 0;
    simd()->ops[b->kernel].norm2(row, 1, b->spec.dim, &norm2);
    return norm2 > 0 ? 1 / sqrtf(norm2) : 0;
}

static void s_floats(const build_t *b, const uint8_t *row, float *ret)
{
    size_t dim = b->spec.dim;
    if (b->spec.cells == CELL_F32)
        memcpy(ret, row, dim * sizeof *ret);
    else if (b->spec.cells == CELL_F16)
        simd()->f32_from_f16(row, dim, ret);
    else if (b->spec.cells == CELL_BF16)
        simd()->f32_from_bf16(row, dim, ret);
    else
        for (size_t d = 0; d < dim; d++)
            ret[d] = (int8_t)row[d];
}

static err_t s_take(ctx_t *ctx, build_t *b, size_t from, const index_rows_t *rows, void *arg)
{
    (void)ctx, (void)arg;
    for (size_t i = 0; i < rows->n; i++) {
        if (!s_valid(rows, i))
            continue;
        const uint8_t *row = rows->cells + i * b->layout.width;
        float *point = b->points + b->taken * b->cells;
        s_floats(b, row, point);
        float scale = b->spec.metric == METRIC_COSINE ? s_inverse_norm(b, row) : 1;
        for (size_t d = 0; scale != 1 && d < b->spec.dim; d++)
            point[d] *= scale;
        b->ids[b->taken++] = (uint32_t)(from + i);
    }
    return OK;
}

/* One more cell, which makes all of one length. */
static err_t s_even_out(ctx_t *ctx, build_t *b)
{
    float *squares = mem_try(ctx, b->n * sizeof *squares), most = 0;
    if (!squares)
        return ctx_fail(ctx, ERR_MEMORY, "no memory for the norms of %zu vectors", b->n);
    simd()->ops[SIMD_F32_L2].norm2(b->points, b->n, b->cells, squares);
    for (size_t i = 0; i < b->n; i++)
        most = squares[i] > most ? squares[i] : most;
    for (size_t i = 0; i < b->n; i++)
        b->points[i * b->cells + b->spec.dim] = sqrtf(most - squares[i]);
    mem_free(squares);
    return OK;
}

static err_t s_points(ctx_t *ctx, build_t *b)
{
    size_t used = b->spec.dim + (b->spec.metric == METRIC_IP);
    b->cells = (used + WALK_CELLS - 1) / WALK_CELLS * WALK_CELLS;
    b->points = mem_try(ctx, b->n * b->cells * sizeof *b->points);
    b->ids = mem_try(ctx, b->n * sizeof *b->ids);
    if (!b->points || !b->ids)
        return ctx_fail(ctx, ERR_MEMORY, "no memory for %zu vectors of dim %zu as float32: build "
                        "smaller segments", b->n, b->spec.dim);
    TRY(s_each(ctx, b, s_take, NULL));
    return b->spec.metric == METRIC_IP ? s_even_out(ctx, b) : OK;
}

/* --- codes --------------------------------------------------------------------------------- */

static void s_plain(const build_t *b, size_t point, float *ret)
{
    memcpy(ret, b->points + point * b->cells, b->spec.dim * sizeof *ret);
}

static err_t s_train(ctx_t *ctx, build_t *b, size_t m)
{
    size_t n = b->n < pq_sample(DISK_CODE_BITS) ? b->n : pq_sample(DISK_CODE_BITS);
    uint32_t *order = mem_try(ctx, b->n * sizeof *order);
    float *sample = mem_try(ctx, n * b->spec.dim * sizeof *sample);
    err_t err = OK;
    if (!order || !sample)
        err = ctx_fail(ctx, ERR_MEMORY, "no memory for a sample of %zu vectors", n);
    rng_t rng;
    rng_seed(&rng, b->spec.seed);
    for (size_t i = 0; err == OK && i < b->n; i++)
        order[i] = (uint32_t)i;
    for (size_t i = 0; err == OK && i < n; i++) {
        size_t j = i + (size_t)rng_below(&rng, b->n - i);
        s_plain(b, order[j], sample + i * b->spec.dim);
        order[j] = order[i];
    }
    if (err == OK)
        err = pq_train(ctx, &b->pq, b->spec.dim, m, DISK_CODE_BITS, sample, n, rng_u64(&rng),
                       b->how);
    mem_free(order);
    mem_free(sample);
    return err;
}

static void s_encode_item(void *arg, size_t item)
{
    const build_t *b = arg;
    size_t at = item * ITEM_ROWS, n = b->n - at < ITEM_ROWS ? b->n - at : ITEM_ROWS;
    float *rows = mem_new(n * b->spec.dim * sizeof *rows);
    for (size_t i = 0; i < n; i++)
        s_plain(b, at + i, rows + i * b->spec.dim);
    pq_encode(&b->pq, rows, n, b->codes + at * pq_code_bytes(&b->pq));
    mem_free(rows);
}

static err_t s_encode(ctx_t *ctx, build_t *b)
{
    size_t m = b->layout.width / DISK_CODE_SHARE;
    m = m < 1 ? 1 : m > b->spec.dim ? b->spec.dim : m;
    TRY(s_train(ctx, b, m));
    b->codes = mem_try(ctx, b->n * pq_code_bytes(&b->pq));
    if (!b->codes)
        return ctx_fail(ctx, ERR_MEMORY, "no memory for the codes of %zu rows", b->n);
    return crew_run(ctx, b->how, s_encode_item, b, (b->n + ITEM_ROWS - 1) / ITEM_ROWS);
}

/* --- writing ------------------------------------------------------------------------------- */

typedef struct output {
    index_writer_t *writer;
    uint8_t *object;            /* owned; its section begins behind the head */
    size_t per, n;              /* records it takes; that are in it */
    size_t place;               /* of the next record */
} output_t;

static size_t s_per_object(const build_t *b)
{
    const disk_layout_t *layout = &b->layout;
    size_t bytes = b->how && b->how->object_bytes ? b->how->object_bytes : LIMIT_INDEX_OBJECT_BYTES;
    size_t pages = bytes / DISK_PAGE > 2 ? bytes / DISK_PAGE - 1 : 1;
    size_t n = layout->per_page ? pages * layout->per_page : pages / layout->pages;
    return n ? n : 1;
}

static err_t s_flush(ctx_t *ctx, build_t *b, output_t *out)
{
    size_t len = INDEX_HEAD_BYTES + disk_layout_end(&b->layout, out->n);
    TRY(index_writer_put(ctx, out->writer, SECTION_BLOCKS, out->object, len));
    memset(out->object, 0, len);
    out->n = 0;
    index_percent(b->how, (unsigned)(95 + 4 * out->place / b->n));
    return OK;
}

static err_t s_put(ctx_t *ctx, build_t *b, size_t from, const index_rows_t *rows, void *arg)
{
    (void)from;
    output_t *out = arg;
    const disk_layout_t *layout = &b->layout;
    for (size_t i = 0; i < rows->n; i++) {
        if (!s_valid(rows, i))
            continue;
        const uint8_t *row = rows->cells + i * layout->width;
        const uint32_t *links = disk_graph_links(&b->graph, out->place++);
        uint8_t *record = out->object + INDEX_HEAD_BYTES + disk_layout_at(layout, out->n++);
        for (size_t l = 0; l <= links[0]; l++)
            store_u32(record + 4 * l, links[l]);
        float norm = b->spec.metric == METRIC_COSINE ? s_inverse_norm(b, row) : 0;
        if (layout->cells > layout->norm)
            memcpy(record + layout->norm, &norm, sizeof norm);
        memcpy(record + layout->cells, row, layout->width);
        if (out->n == out->per)
            TRY(s_flush(ctx, b, out));
    }
    return OK;
}

static err_t s_write_records(ctx_t *ctx, build_t *b, index_writer_t *writer)
{
    output_t out = { .writer = writer, .per = s_per_object(b) };
    size_t most = out.per < b->n ? out.per : b->n;
    out.object = mem_try(ctx, INDEX_HEAD_BYTES + disk_layout_end(&b->layout, most));
    if (!out.object)
        return ctx_fail(ctx, ERR_MEMORY, "no memory for an index object of %zu records", most);
    err_t err = s_each(ctx, b, s_put, &out);
    if (err == OK && out.n)
        err = s_flush(ctx, b, &out);
    mem_free(out.object);
    return err;
}

static err_t s_write_rows(ctx_t *ctx, build_t *b, index_writer_t *writer)
{
    if (b->n < b->source->n_rows)
        index_writer_add(writer, SECTION_IDS, view_of(b->ids, 4 * b->n));
    index_writer_add(writer, SECTION_CODEBOOK, view_of(b->pq.book, pq_book_bytes(&b->pq)));
    index_writer_add(writer, SECTION_CODES, view_of(b->codes, b->n * pq_code_bytes(&b->pq)));
    return s_write_records(ctx, b, writer);
}

static err_t s_write(ctx_t *ctx, build_t *b, const index_sink_t *sink, index_built_t *ret)
{
    uint8_t params[DISK_PARAMS_BYTES] = {0};
    store_u32(params, (uint32_t)b->spec.degree);
    store_u32(params + 4, (uint32_t)b->spec.ef_construction);
    store_u32(params + 8, b->graph.entry);
    store_u32(params + 12, b->n ? (uint32_t)pq_code_bytes(&b->pq) : 0);
    index_head_t head = { .spec = b->spec, .rows = b->source->n_rows, .indexed = b->n };
    index_writer_t writer;
    index_writer_init(&writer, &head, sink, 5 + b->n / s_per_object(b));
    index_writer_add(&writer, SECTION_PARAMS, view_of(params, sizeof params));
    err_t err = b->n ? s_write_rows(ctx, b, &writer) : OK;
    if (err == OK)
        err = index_writer_close(ctx, &writer, ret);
    index_writer_fini(&writer);
    return err;
}

/* --- all of it ------------------------------------------------------------------------------ */

static err_t s_make(ctx_t *ctx, build_t *b)
{
    TRY(s_points(ctx, b));
    index_percent(b->how, 10);
    disk_points_t points = { b->points, b->n, b->cells };
    TRY(disk_graph_build(ctx, &b->graph, &points, b->spec.degree, b->spec.ef_construction,
                         b->spec.seed, b->how));
    index_percent(b->how, 90);
    TRY(s_encode(ctx, b));
    index_percent(b->how, 95);
    return OK;
}

err_t disk_build(ctx_t *ctx, const index_spec_t *spec, const index_source_t *source,
                 const index_sink_t *sink, const index_how_t *how, index_built_t *ret)
{
    build_t b = { .spec = *spec, .source = source, .how = how };
    check(metric_kernel(spec->metric, spec->cells, &b.kernel));
    b.spec.degree = spec->degree ? spec->degree : DISK_DEGREE;
    b.spec.ef_construction = spec->ef_construction ? spec->ef_construction : DISK_BUILD_LIST;
    b.spec.nlist = 0;
    check(b.spec.degree <= LIMIT_INDEX_DEGREE);
    disk_layout_init(&b.layout, &b.spec, b.spec.degree);
    err_t err = s_each(ctx, &b, s_count, NULL);
    if (err == OK && b.n)
        err = s_make(ctx, &b);
    if (err == OK)
        err = s_write(ctx, &b, sink, ret);
    disk_graph_fini(&b.graph);
    pq_fini(&b.pq);
    mem_free(b.points);
    mem_free(b.ids);
    mem_free(b.codes);
    return err;
}
