/* sparse_open - objects to pages, validated, so that a search need not look again; and what both
 * searches do with them */
#include <math.h>

#include "core/index/sparse_int.h"

const index_ops_t sparse_ops = {
    .build = sparse_build, .open = sparse_open, .search = sparse_search,
    .destroy = sparse_destroy,
};

/* --- a page's bytes ----------------------------------------------------------------------- */

static size_t s_blocks(size_t n)
{
    return (n + SPARSE_BLOCK - 1) / SPARSE_BLOCK;
}

size_t sparse_page_bytes(size_t n_terms, size_t n, bool blocks)
{
    size_t words = 4 * n_terms + 1 + n + (blocks ? 2 * s_blocks(n) : 0);
    size_t bytes = words * sizeof(uint32_t) + n * sizeof(uint16_t);
    return (bytes + INDEX_ALIGN - 1) / INDEX_ALIGN * INDEX_ALIGN;
}

void sparse_page_lay_out(sparse_page_t *self, const uint8_t *bytes, bool blocks)
{
    size_t n_terms = self->n_terms, n = self->n;
    self->terms = (const uint32_t *)(const void *)bytes;
    self->starts = self->terms + n_terms;
    self->highest = (const float *)(const void *)(self->starts + n_terms + 1);
    self->lowest = self->highest + n_terms;
    self->values = self->lowest + n_terms;
    self->rows = (const uint16_t *)(const void *)(self->values + n);
    if (!blocks)
        return;
    self->block_highest = self->values + n;
    self->block_lowest = self->block_highest + s_blocks(n);
    self->rows = (const uint16_t *)(const void *)(self->block_lowest + s_blocks(n));
}

/* --- opening ------------------------------------------------------------------------------ */

static err_t s_corrupt(ctx_t *ctx, const index_reader_t *reader, const char *what)
{
    return ctx_fail(ctx, ERR_CORRUPT, "%s: %s: the index has to be built again",
                    reader->blobs[0].name, what);
}

/* Are these the greatest and the least of n values, which are numbers? */
static bool s_bounds_hold(const float *values, size_t n, float highest, float lowest)
{
    float most = values[0], least = values[0];
    bool finite = true;
    for (size_t i = 0; i < n; i++) {
        finite &= isfinite(values[i]) != 0;
        most = values[i] > most ? values[i] : most;
        least = values[i] < least ? values[i] : least;
    }
    return finite && most == highest && least == lowest;
}

static bool s_rows_rise(const sparse_page_t *page, uint32_t t)
{
    uint32_t at = page->starts[t], end = page->starts[t + 1];
    bool rise = page->rows[end - 1] < page->n_rows;
    for (uint32_t i = at + 1; i < end; i++)
        rise &= page->rows[i - 1] < page->rows[i];
    return rise;
}

static bool s_terms_rise(const sparse_page_t *page)
{
    bool rise = page->starts[0] == 0 && page->starts[page->n_terms] == page->n;
    for (uint32_t t = 0; rise && t < page->n_terms; t++)
        rise = page->starts[t] < page->starts[t + 1] && page->starts[t + 1] <= page->n &&
               (t == 0 || page->terms[t - 1] < page->terms[t]);
    return rise;
}

static err_t s_check_page(ctx_t *ctx, const index_reader_t *reader, const sparse_page_t *page)
{
    if (!s_terms_rise(page))
        return s_corrupt(ctx, reader, "terms or their postings overlap");
    for (uint32_t t = 0; t < page->n_terms; t++) {
        uint32_t at = page->starts[t], n = page->starts[t + 1] - at;
        if (!s_rows_rise(page, t))
            return s_corrupt(ctx, reader, "a row that is not there, or twice");
        if (!s_bounds_hold(page->values + at, n, page->highest[t], page->lowest[t]))
            return s_corrupt(ctx, reader, "a value past its bounds");
    }
    for (uint32_t at = 0; page->block_highest && at < page->n; at += SPARSE_BLOCK)
        if (!s_bounds_hold(page->values + at, page->n - at < SPARSE_BLOCK ? page->n - at
                           : SPARSE_BLOCK, page->block_highest[at / SPARSE_BLOCK],
                           page->block_lowest[at / SPARSE_BLOCK]))
            return s_corrupt(ctx, reader, "a value past the bounds of its block");
    return OK;
}

/* Where the pages lie: at the ends of those before. */
typedef struct place {
    uint32_t object;
    uint64_t at, rows;
    view_t section;
} place_t;

static err_t s_next_section(ctx_t *ctx, const index_reader_t *reader, place_t *place)
{
    if (place->at != place->section.len)
        return s_corrupt(ctx, reader, "bytes that belong to no page");
    if (place->object >= index_reader_count(reader, SECTION_POSTINGS))
        return s_corrupt(ctx, reader, "a page in an object that is not there");
    uint64_t len = index_reader_len(reader, SECTION_POSTINGS, place->object);
    place->at = 0;
    return index_reader_get(ctx, reader, SECTION_POSTINGS, place->object++, len, &place->section);
}

static err_t s_open_page(ctx_t *ctx, const index_reader_t *reader, const uint8_t *param,
                         place_t *place, sparse_page_t *page)
{
    bool blocks = reader->head.spec.type == INDEX_SPARSE_WAND;
    *page = (sparse_page_t){ .first = (uint32_t)place->rows, .n_rows = load_u32(param),
                             .n_terms = load_u32(param + 16), .n = load_u32(param + 20) };
    if (load_u32(param + 4) == place->object)
        TRY(s_next_section(ctx, reader, place));
    size_t bytes = sparse_page_bytes(page->n_terms, page->n, blocks);
    if (load_u32(param + 4) + 1 != place->object || load_u64(param + 8) != place->at ||
        bytes > place->section.len - place->at)
        return s_corrupt(ctx, reader, "a page is not in its place");
    if (page->n_rows == 0 || page->n_rows > SPARSE_PAGE_ROWS ||
        page->n_rows > reader->head.rows - place->rows)
        return s_corrupt(ctx, reader, "more rows than there are");
    sparse_page_lay_out(page, place->section.ptr + place->at, blocks);
    place->at += bytes;
    place->rows += page->n_rows;
    return s_check_page(ctx, reader, page);
}

static err_t s_open(ctx_t *ctx, const index_reader_t *reader, sparse_t *self)
{
    view_t params;
    place_t place = {0};
    if (index_reader_count(reader, SECTION_PARAMS) != 1)
        return s_corrupt(ctx, reader, "no list of pages");
    uint64_t len = index_reader_len(reader, SECTION_PARAMS, 0);
    TRY(index_reader_get(ctx, reader, SECTION_PARAMS, 0, len, &params));
    size_t n = (size_t)len / SPARSE_PARAM_BYTES;
    self->pages = mem_try(ctx, n * sizeof *self->pages);
    if (!self->pages)
        return ctx_fail(ctx, ERR_MEMORY, "no memory for %zu pages", n);
    for (; self->n_pages < n; self->n_pages++)
        TRY(s_open_page(ctx, reader, params.ptr + self->n_pages * SPARSE_PARAM_BYTES, &place,
                        &self->pages[self->n_pages]));
    if (len % SPARSE_PARAM_BYTES || place.rows != reader->head.rows ||
        place.at != place.section.len ||
        place.object != index_reader_count(reader, SECTION_POSTINGS))
        return s_corrupt(ctx, reader, "the pages are not all rows, or not all bytes");
    return OK;
}

err_t sparse_open(ctx_t *ctx, const index_reader_t *reader, index_t **ret)
{
    sparse_t *self = mem_new(sizeof *self);
    err_t err = s_open(ctx, reader, self);
    self->base.bytes = sizeof *self + self->n_pages * sizeof *self->pages;
    if (err == OK)
        *ret = &self->base;
    else
        sparse_destroy(&self->base);
    return err;
}

void sparse_destroy(index_t *base)
{
    sparse_t *self = (sparse_t *)base;
    mem_free(self->pages);
    mem_free(self);
}

/* --- a query in a page -------------------------------------------------------------------- */

/* Least t from `at` on with terms[t] >= term; n: none. */
static uint32_t s_seek_term(const uint32_t *terms, uint32_t at, uint32_t n, uint32_t term)
{
    while (at < n) {
        uint32_t middle = at + (n - at) / 2;
        if (terms[middle] < term)
            at = middle + 1;
        else
            n = middle;
    }
    return at;
}

void sparse_find_lists(sparse_work_t *w, const sparse_page_t *page)
{
    uint32_t t = 0;
    w->n = 0;
    for (size_t i = 0; i < w->query.len; i += SPARSE_PAIR_BYTES) {
        uint32_t term = load_u32(w->query.ptr + i);
        float weight;
        memcpy(&weight, w->query.ptr + i + 4, sizeof weight);
        t = s_seek_term(page->terms, t, page->n_terms, term);
        if (t == page->n_terms || page->terms[t] != term)
            continue;
        double high = (double)weight * page->highest[t], low = (double)weight * page->lowest[t];
        w->lists[w->n++] = (sparse_list_t){
            .weight = weight, .most = fmax(0, fmax(high, low)), .size = fmax(fabs(high), fabs(low)),
            .rows = page->rows + page->starts[t], .values = page->values + page->starts[t],
            .start = page->starts[t], .n = page->starts[t + 1] - page->starts[t],
        };
    }
}

void sparse_score(sparse_work_t *w, const uint32_t *rows, size_t n)
{
    memset(w->sums, 0, n * sizeof *w->sums);
    for (size_t l = 0; l < w->n; l++) {
        const sparse_list_t *list = &w->lists[l];
        uint32_t at = 0;
        for (size_t i = 0; i < n && at < list->n; i++) {
            at = sparse_seek(list->rows, at, list->n, rows[i]);
            if (at < list->n && list->rows[at] == rows[i])
                w->sums[i] += list->weight * (double)list->values[at];
        }
    }
    for (size_t i = 0; i < n; i++)
        w->scores[i] = (float)w->sums[i];
}
