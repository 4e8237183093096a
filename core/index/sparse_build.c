/* sparse_build - cells to pages of postings
 *
 *     1  count pairs, and the longest row                     a pass over the rows
 *     2  drop_ratio_build: which size of a value is dropped   two passes
 *     3  page by page: gather, sort by term, write            a pass
 *
 * The value at the share is found by counting: the bits of a size, as a number, are in the order
 * of the sizes, so one pass counts by the upper half of them and another by the lower half among
 * those with the right upper half.  As in Milvus what is less than that value is dropped, and what
 * equals it stays.
 *
 * Memory: 24 bytes for each posting of a page, 100 MiB at most, and an object.
 */
#include <math.h>

#include "core/base/limits.h"
#include "core/index/sparse_int.h"

enum {
    PAGE_POSTINGS = 4 << 20,    /* of a page, unless one row has more */
    OBJECT_BYTES = 64 << 20,    /* of an object that nobody set a size for */
    DIGIT_BITS = 11, DIGITS = 3, HALF = 1 << 16,
};

typedef struct posting {
    uint32_t term, row;
    float value;
} posting_t;

typedef struct build {
    index_spec_t spec;
    const index_source_t *source;
    const index_how_t *how;
    index_writer_t *writer;
    size_t n_valid, n_pairs, longest;   /* rows with a vector; of all; of one row */
    uint32_t least;             /* bits of the least size that stays */
    posting_t *postings;        /* owned; [cap] of the page, by row */
    posting_t *sorted;          /* owned; [cap] */
    size_t n, cap;
    uint32_t n_rows;            /* of the page */
    buf_t params, object;
    uint32_t objects;
} build_t;

static bool s_valid(const index_rows_t *rows, size_t i)
{
    return !rows->valid || (rows->valid[i >> 6] >> (i & 63) & 1);
}

/* Call fn for each row; the cell of a null is empty. */
typedef err_t row_fn(ctx_t *ctx, build_t *b, bool valid, view_t cell, void *arg);

static err_t s_each(ctx_t *ctx, build_t *b, row_fn *fn, void *arg)
{
    index_rows_t rows;
    for (size_t from = 0; from < b->source->n_rows; from += rows.n) {
        TRY(b->source->read(ctx, b->source->arg, from, &rows));
        check(rows.n > 0 && rows.n <= b->source->n_rows - from && rows.offsets);
        for (size_t i = 0; i < rows.n; i++) {
            uint64_t at = rows.offsets[i], end = rows.offsets[i + 1];
            if (i % 1024 == 0)
                TRY(ctx_alive(ctx));
            bool valid = s_valid(&rows, i);
            TRY(fn(ctx, b, valid, view_of(rows.cells + at, valid ? (size_t)(end - at) : 0), arg));
        }
    }
    return OK;
}

static uint32_t s_size_bits(view_t cell, size_t pair)
{
    return load_u32(cell.ptr + pair * SPARSE_PAIR_BYTES + 4) & 0x7fffffff;
}

static bool s_is_sound(view_t cell)
{
    size_t n = cell.len / SPARSE_PAIR_BYTES;
    bool sound = cell.len % SPARSE_PAIR_BYTES == 0;
    for (size_t i = 0; sound && i < n; i++)
        sound = s_size_bits(cell, i) < 0x7f800000 &&            /* finite */
                (i == 0 || load_u32(cell.ptr + (i - 1) * SPARSE_PAIR_BYTES) <
                           load_u32(cell.ptr + i * SPARSE_PAIR_BYTES));
    return sound;
}

static err_t s_count(ctx_t *ctx, build_t *b, bool valid, view_t cell, void *arg)
{
    size_t n = cell.len / SPARSE_PAIR_BYTES;
    (void)arg;
    if (!s_is_sound(cell))
        return ctx_fail(ctx, ERR_CORRUPT, "a row is no sparse vector: its %zu bytes are not pairs "
                        "of rising indexes and numbers", cell.len);
    b->n_valid += valid;
    b->n_pairs += n;
    b->longest = n > b->longest ? n : b->longest;
    return OK;
}

/* --- what is dropped ---------------------------------------------------------------------- */

typedef struct sizes {
    uint64_t counts[HALF];
    bool lower;                 /* count lower halves of those with this upper one */
    uint32_t upper;
} sizes_t;

static err_t s_count_sizes(ctx_t *ctx, build_t *b, bool valid, view_t cell, void *arg)
{
    sizes_t *sizes = arg;
    (void)ctx, (void)b, (void)valid;
    for (size_t i = 0; i < cell.len / SPARSE_PAIR_BYTES; i++) {
        uint32_t bits = s_size_bits(cell, i);
        if (!sizes->lower)
            sizes->counts[bits >> 16]++;
        else if (bits >> 16 == sizes->upper)
            sizes->counts[bits & (HALF - 1)]++;
    }
    return OK;
}

/* The half in which number *nth falls; *nth is its number there afterwards. */
static uint32_t s_half_of(const sizes_t *sizes, uint64_t *nth)
{
    uint32_t half = 0;
    while (*nth >= sizes->counts[half])
        *nth -= sizes->counts[half++];
    return half;
}

static err_t s_find_least(ctx_t *ctx, build_t *b)
{
    uint64_t nth = (uint64_t)((double)b->spec.drop_ratio_build * (double)b->n_pairs);
    if (nth == 0)
        return OK;
    check(nth < b->n_pairs);
    sizes_t *sizes = mem_try(ctx, sizeof *sizes);
    if (!sizes)
        return ctx_fail(ctx, ERR_MEMORY, "no memory to count values");
    err_t err = s_each(ctx, b, s_count_sizes, sizes);
    if (err == OK) {
        sizes->lower = true;
        sizes->upper = s_half_of(sizes, &nth);
        memset(sizes->counts, 0, sizeof sizes->counts);
        err = s_each(ctx, b, s_count_sizes, sizes);
    }
    if (err == OK)
        b->least = sizes->upper << 16 | s_half_of(sizes, &nth);
    mem_free(sizes);
    return err;
}

/* --- a page -------------------------------------------------------------------------------- */

/* By one digit of the term, stable; false: it is the same in all, nothing was moved. */
static bool s_sort_digit(const posting_t *from, size_t n, unsigned shift, posting_t *into)
{
    enum { MASK = (1 << DIGIT_BITS) - 1 };
    uint32_t starts[MASK + 1] = {0}, sum = 0;
    for (size_t i = 0; i < n; i++)
        starts[from[i].term >> shift & MASK]++;
    if (starts[from[0].term >> shift & MASK] == n)
        return false;
    for (size_t d = 0; d <= MASK; d++) {
        uint32_t count = starts[d];
        starts[d] = sum;
        sum += count;
    }
    for (size_t i = 0; i < n; i++)
        into[starts[from[i].term >> shift & MASK]++] = from[i];
    return true;
}

/* By term; of one term by row, as they came. */
static void s_sort(build_t *b)
{
    for (unsigned digit = 0; b->n && digit < DIGITS; digit++)
        if (s_sort_digit(b->postings, b->n, digit * DIGIT_BITS, b->sorted)) {
            posting_t *was = b->postings;
            b->postings = b->sorted;
            b->sorted = was;
        }
}

static size_t s_count_terms(const build_t *b)
{
    size_t n = b->n > 0;
    for (size_t i = 1; i < b->n; i++)
        n += b->postings[i].term != b->postings[i - 1].term;
    return n;
}

/* The greatest and least of n values. */
static void s_bounds(const float *values, size_t n, float *highest, float *lowest)
{
    *highest = *lowest = values[0];
    for (size_t i = 1; i < n; i++) {
        *highest = values[i] > *highest ? values[i] : *highest;
        *lowest = values[i] < *lowest ? values[i] : *lowest;
    }
}

/* The sorted postings, to the places that a layout says; they are in memory of ours. */
static void s_fill(const build_t *b, const sparse_page_t *page)
{
    uint32_t *terms = (uint32_t *)page->terms, *starts = (uint32_t *)page->starts;
    float *highest = (float *)page->highest, *lowest = (float *)page->lowest;
    float *values = (float *)page->values;
    uint16_t *rows = (uint16_t *)page->rows;
    size_t t = 0;
    for (size_t i = 0; i < b->n; i++) {
        if (i == 0 || b->postings[i].term != b->postings[i - 1].term) {
            terms[t] = b->postings[i].term;
            starts[t++] = (uint32_t)i;
        }
        values[i] = b->postings[i].value;
        rows[i] = (uint16_t)b->postings[i].row;
    }
    starts[t] = (uint32_t)b->n;
    for (t = 0; t < page->n_terms; t++)
        s_bounds(values + starts[t], starts[t + 1] - starts[t], &highest[t], &lowest[t]);
    for (size_t at = 0; page->block_highest && at < b->n; at += SPARSE_BLOCK)
        s_bounds(values + at, b->n - at < SPARSE_BLOCK ? b->n - at : SPARSE_BLOCK,
                 (float *)page->block_highest + at / SPARSE_BLOCK,
                 (float *)page->block_lowest + at / SPARSE_BLOCK);
}

/* The object that is being filled, if any. */
static err_t s_put_object(ctx_t *ctx, build_t *b)
{
    if (b->object.len == 0)
        return OK;
    TRY(index_writer_put(ctx, b->writer, SECTION_POSTINGS, b->object.ptr, b->object.len));
    buf_reset(&b->object);
    b->objects++;
    return OK;
}

static err_t s_add_page(ctx_t *ctx, build_t *b, const sparse_page_t *of, size_t bytes)
{
    bool blocks = b->spec.type == INDEX_SPARSE_WAND;
    sparse_page_t page = *of;
    size_t most = b->how && b->how->object_bytes ? b->how->object_bytes : OBJECT_BYTES;
    if (b->object.len + bytes > most)
        TRY(s_put_object(ctx, b));
    size_t head = b->object.len ? 0 : INDEX_HEAD_BYTES;
    uint8_t *into = buf_reserve(&b->object, head + bytes);
    if (!into)
        return ctx_fail(ctx, ERR_MEMORY, "no memory for a page of %zu bytes", bytes);
    memset(into, 0, head + bytes);
    sparse_page_lay_out(&page, into + head, blocks);
    s_fill(b, &page);
    b->object.len += head + bytes;
    buf_add_u32(&b->params, page.n_rows);
    buf_add_u32(&b->params, b->objects);
    buf_add_u64(&b->params, b->object.len - bytes - INDEX_HEAD_BYTES);
    buf_add_u32(&b->params, page.n_terms);
    buf_add_u32(&b->params, page.n);
    return OK;
}

/* The rows that were gathered. */
static err_t s_close_page(ctx_t *ctx, build_t *b)
{
    TRY(ctx_alive(ctx));
    s_sort(b);
    sparse_page_t page = { .n_rows = b->n_rows, .n = (uint32_t)b->n,
                           .n_terms = (uint32_t)s_count_terms(b) };
    size_t bytes = sparse_page_bytes(page.n_terms, page.n, b->spec.type == INDEX_SPARSE_WAND);
    if (bytes > LIMIT_INDEX_OBJECT_BYTES - INDEX_HEAD_BYTES)
        return ctx_fail(ctx, ERR_PARAM_TOO_LARGE, "a sparse vector of %zu values is too long to be "
                        "indexed", b->longest);
    TRY(s_add_page(ctx, b, &page, bytes));
    b->n_rows = 0;
    b->n = 0;
    return OK;
}

static err_t s_gather(ctx_t *ctx, build_t *b, bool valid, view_t cell, void *arg)
{
    size_t *done = arg;
    (void)valid;
    size_t n = cell.len / SPARSE_PAIR_BYTES;
    if (b->n_rows == SPARSE_PAGE_ROWS || (b->n_rows && b->n + n > b->cap)) {
        TRY(s_close_page(ctx, b));
        index_percent(b->how, (unsigned)(20 + 79 * *done / b->source->n_rows));
    }
    check(n <= b->cap - b->n);                      /* the source shows the same every time */
    for (size_t i = 0; i < n; i++) {
        const uint8_t *pair = cell.ptr + i * SPARSE_PAIR_BYTES;
        posting_t posting = { .term = load_u32(pair), .row = b->n_rows };
        memcpy(&posting.value, pair + 4, sizeof posting.value);
        if (s_size_bits(cell, i) >= b->least)
            b->postings[b->n++] = posting;
    }
    b->n_rows++;
    (*done)++;
    return OK;
}

/* --- all of it ---------------------------------------------------------------------------- */

static err_t s_write(ctx_t *ctx, build_t *b, index_built_t *ret)
{
    size_t done = 0;
    b->cap = b->n_pairs < PAGE_POSTINGS ? b->n_pairs : PAGE_POSTINGS;
    b->cap = b->longest > b->cap ? b->longest : b->cap;
    b->postings = mem_try(ctx, b->cap * sizeof *b->postings);
    b->sorted = mem_try(ctx, b->cap * sizeof *b->sorted);
    if (!b->postings || !b->sorted)
        return ctx_fail(ctx, ERR_MEMORY, "no memory to sort %zu values", b->cap);
    TRY(s_each(ctx, b, s_gather, &done));
    if (b->n_rows)
        TRY(s_close_page(ctx, b));
    TRY(s_put_object(ctx, b));
    if (!buf_ok(&b->params))
        return ctx_fail(ctx, ERR_MEMORY, "no memory for %zu pages", b->params.len);
    index_writer_add(b->writer, SECTION_PARAMS, buf_view(&b->params));
    return index_writer_close(ctx, b->writer, ret);
}

static err_t s_build(ctx_t *ctx, build_t *b, const index_sink_t *sink, index_built_t *ret)
{
    TRY(s_each(ctx, b, s_count, NULL));
    index_percent(b->how, 10);
    TRY(s_find_least(ctx, b));
    index_percent(b->how, 20);
    index_head_t head = { .spec = b->spec, .rows = b->source->n_rows, .indexed = b->n_valid };
    size_t pages = b->source->n_rows / SPARSE_PAGE_ROWS + b->n_pairs / (PAGE_POSTINGS / 2) + 2;
    index_writer_t writer;
    head.spec.nlist = 0;
    index_writer_init(&writer, &head, sink, pages + 1);
    b->writer = &writer;
    err_t err = s_write(ctx, b, ret);
    index_writer_fini(&writer);
    return err;
}

err_t sparse_build(ctx_t *ctx, const index_spec_t *spec, const index_source_t *source,
                   const index_sink_t *sink, const index_how_t *how, index_built_t *ret)
{
    check(spec->dim == 0 && spec->cells == CELL_SPARSE);
    check(spec->drop_ratio_build >= 0 && spec->drop_ratio_build < 1);
    build_t b = { .spec = *spec, .source = source, .how = how };
    buf_init(&b.params, 0);
    buf_init(&b.object, 0);
    err_t err = s_build(ctx, &b, sink, ret);
    mem_free(b.postings);
    mem_free(b.sorted);
    buf_fini(&b.params);
    buf_fini(&b.object);
    return err;
}
