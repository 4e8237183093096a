/* binlog_write - columns to the bytes of a binlog; binlog.h has the format */
#include <zstd.h>

#include "core/base/crc.h"
#include "core/base/fault.h"
#include "core/base/limits.h"
#include "core/base/vec.h"
#include "core/segment/binlog_int.h"

enum { PAGE_ROWS_LEAST = 64, PAGE_BYTES = 256 << 10, LEVEL = 1 };

/* A place in a list of columns. */
typedef struct cursor {
    const column_t *columns;
    size_t n_columns;
    size_t column, row;
} cursor_t;

typedef struct writer {
    ctx_t *ctx;
    buf_t *into;
    vec_t entries;              /* binlog_entry_t */
    ZSTD_CCtx *zstd;
    uint64_t row_bytes;
} writer_t;

static size_t s_cells_len(const column_t *c)
{
    return c->width ? c->n * c->width : (size_t)(c->offsets[c->n] - c->offsets[0]);
}

static bool s_has_nulls(const column_t *columns, size_t n_columns)
{
    for (size_t i = 0; i < n_columns; i++)
        for (size_t row = 0; columns[i].valid && row < columns[i].n; row++)
            if (column_is_null(&columns[i], row))
                return true;
    return false;
}

static err_t s_no_memory(ctx_t *ctx)
{
    return ctx_fail(ctx, ERR_MEMORY, "no memory to write a binlog");
}

/* Close the page that was appended at `start`: zeros behind it, its entry. */
static void s_end_page(writer_t *w, uint64_t start, binlog_entry_t entry)
{
    static const uint8_t s_zeros[BINLOG_ALIGN];
    if (!buf_ok(w->into))
        return;
    entry.offset = start;
    entry.stored = (uint32_t)(w->into->len - start);
    buf_add(w->into, s_zeros, binlog_aligned(entry.stored) - entry.stored);
    if (!buf_ok(w->into))
        return;
    entry.crc = crc32c(w->into->ptr + start, w->into->len - start);
    vec_push(&w->entries, &entry);
}

/* --- compressed ------------------------------------------ */

static bool s_next(cursor_t *at)
{
    while (at->column < at->n_columns && at->row == at->columns[at->column].n) {
        at->column++;
        at->row = 0;
    }
    return at->column < at->n_columns;
}

/* Move rows into the page until it is big enough: a multiple of 64, or all. */
static void s_take_rows(cursor_t *at, column_builder_t *page)
{
    while (s_next(at)) {
        bool full = page->n % PAGE_ROWS_LEAST == 0 &&
                    page->cells.len + page->offsets.len >= PAGE_BYTES;
        if (full)
            return;
        column_builder_copy(page, &at->columns[at->column], at->row++);
    }
}

static int64_t s_integer(type_t type, view_t cell)
{
    switch ((int)type) {
    case TYPE_BOOL:
    case TYPE_INT8:
        return (int8_t)cell.ptr[0];
    case TYPE_INT16:
        return (int16_t)load_u16(cell.ptr);
    case TYPE_INT32:
        return (int32_t)load_u32(cell.ptr);
    default:
        return load_i64(cell.ptr);
    }
}

static double s_real(type_t type, view_t cell)
{
    float f = 0;
    double d = 0;
    if (type == TYPE_FLOAT) {
        memcpy(&f, cell.ptr, sizeof f);
        return f;
    }
    memcpy(&d, cell.ptr, sizeof d);
    return d;
}

static void s_range_of_integers(const column_t *c, binlog_entry_t *entry)
{
    int64_t min = INT64_MAX, max = INT64_MIN;
    for (size_t row = 0; row < c->n; row++) {
        if (column_is_null(c, row))
            continue;
        int64_t v = s_integer(c->type, column_cell(c, row));
        min = v < min ? v : min;
        max = v > max ? v : max;
    }
    if (min > max)
        return;
    entry->flags = BINLOG_RANGE;
    memcpy(&entry->min, &min, sizeof min);
    memcpy(&entry->max, &max, sizeof max);
}

static void s_range_of_reals(const column_t *c, binlog_entry_t *entry)
{
    double min = __builtin_inf(), max = -__builtin_inf();
    for (size_t row = 0; row < c->n; row++) {
        if (column_is_null(c, row))
            continue;
        double v = s_real(c->type, column_cell(c, row));
        if (v != v)
            return;
        min = v < min ? v : min;
        max = v > max ? v : max;
    }
    if (min > max)
        return;
    entry->flags = BINLOG_RANGE;
    memcpy(&entry->min, &min, sizeof min);
    memcpy(&entry->max, &max, sizeof max);
}

static err_t s_compress(writer_t *w, view_t image, binlog_entry_t entry)
{
    if (image.len > LIMIT_BINLOG_PAGE_BYTES)
        return ctx_fail(w->ctx, ERR_PARAM_TOO_LARGE, "binlog: a page of %zu bytes", image.len);
    size_t start = w->into->len, bound = ZSTD_compressBound(image.len);
    uint8_t *room = buf_reserve(w->into, bound);
    if (!room || fault_hit())
        return s_no_memory(w->ctx);
    size_t len = ZSTD_compressCCtx(w->zstd, room, bound, image.ptr, image.len, LEVEL);
    if (ZSTD_isError(len))
        return ctx_fail(w->ctx, ERR_MEMORY, "binlog: zstd: %s", ZSTD_getErrorName(len));
    w->into->len += len;
    entry.raw = (uint32_t)image.len;
    s_end_page(w, start, entry);
    return OK;
}

static err_t s_write_page(writer_t *w, column_builder_t *page)
{
    if (!column_builder_ok(page))
        return s_no_memory(w->ctx);
    column_t view = column_builder_view(page);
    binlog_entry_t entry = { .kind = BINLOG_ZSTD, .rows = (uint32_t)view.n };
    if (type_is_integer(view.type) || view.type == TYPE_BOOL)
        s_range_of_integers(&view, &entry);
    if (view.type == TYPE_FLOAT || view.type == TYPE_DOUBLE)
        s_range_of_reals(&view, &entry);
    buf_scoped image = {0};
    column_write(&view, &image);
    if (!buf_ok(&image))
        return s_no_memory(w->ctx);
    w->row_bytes += s_cells_len(&view);
    return s_compress(w, buf_view(&image), entry);
}

/* A builder for the column's type; the width was decided by the field already. */
static void s_page_init(column_builder_t *page, const column_t *like)
{
    *page = (column_builder_t){ .type = like->type, .element = like->element,
                                .width = like->width };
    if (like->width == 0)
        buf_add_u64(&page->offsets, 0);
}

static err_t s_write_compressed(writer_t *w, const column_t *columns, size_t n_columns)
{
    cursor_t at = { .columns = columns, .n_columns = n_columns };
    while (s_next(&at)) {
        column_builder_t page;
        s_page_init(&page, &columns[0]);
        s_take_rows(&at, &page);
        err_t err = s_write_page(w, &page);
        column_builder_fini(&page);
        TRY(err);
    }
    return OK;
}

/* --- raw ------------------------------------------ */

/* Close pages over what was appended since `start`. */
static void s_end_area(writer_t *w, size_t start, uint32_t kind)
{
    static const uint8_t s_zeros[BINLOG_ALIGN];
    size_t len = w->into->len - start;
    buf_add(w->into, s_zeros, binlog_aligned(len) - len);
    if (!buf_ok(w->into))
        return;
    for (size_t done = 0; done < len; done += BINLOG_RAW_PAGE_BYTES) {
        size_t left = len - done;
        size_t stored = left < BINLOG_RAW_PAGE_BYTES ? left : BINLOG_RAW_PAGE_BYTES;
        binlog_entry_t entry = {
            .offset = start + done, .stored = (uint32_t)stored, .raw = (uint32_t)stored,
            .kind = kind, .crc = crc32c(w->into->ptr + start + done, binlog_aligned(stored)),
        };
        vec_push(&w->entries, &entry);
    }
}

static void s_add_offsets(writer_t *w, const column_t *columns, size_t n_columns)
{
    size_t start = w->into->len;
    uint64_t end = 0;
    buf_add_u64(w->into, 0);
    for (size_t i = 0; i < n_columns; i++) {
        const column_t *c = &columns[i];
        for (size_t row = 1; row <= c->n; row++)
            buf_add_u64(w->into, end + c->offsets[row] - c->offsets[0]);
        end += c->offsets[c->n] - c->offsets[0];
    }
    s_end_area(w, start, BINLOG_OFFSETS);
}

static void s_add_valid(writer_t *w, const column_t *columns, size_t n_columns)
{
    size_t start = w->into->len, n = 0;
    uint64_t word = 0;
    for (size_t i = 0; i < n_columns; i++)
        for (size_t row = 0; row < columns[i].n; row++) {
            word |= (uint64_t)!column_is_null(&columns[i], row) << (n & 63);
            if (++n % 64 == 0) {
                buf_add_u64(w->into, word);
                word = 0;
            }
        }
    if (n % 64)
        buf_add_u64(w->into, word);
    s_end_area(w, start, BINLOG_VALID);
}

static void s_write_raw(writer_t *w, const column_t *columns, size_t n_columns, bool nulls)
{
    size_t start = w->into->len, all = 0;
    for (size_t i = 0; i < n_columns; i++)
        all += s_cells_len(&columns[i]) + 16 * columns[i].n;
    if (!buf_reserve(w->into, all))
        return;
    for (size_t i = 0; i < n_columns; i++) {
        const column_t *c = &columns[i];
        size_t len = s_cells_len(c);
        if (len)
            buf_add(w->into, c->width ? c->cells : c->cells + c->offsets[0], len);
        w->row_bytes += len;
    }
    s_end_area(w, start, BINLOG_CELLS);
    if (columns[0].width == 0)
        s_add_offsets(w, columns, n_columns);
    if (nulls)
        s_add_valid(w, columns, n_columns);
}

/* --- the file ------------------------------------------ */

static void s_add_head(writer_t *w, const binlog_head_t *head, const column_t *like, size_t n,
                       bool nulls)
{
    uint8_t bytes[BINLOG_HEAD_BYTES] = { 'E', 'L', 'B', 'L', BINLOG_VERSION, 0,
                                         (uint8_t)like->type, (uint8_t)like->element };
    store_i64(bytes + 8, head->field);
    store_u64(bytes + 16, head->segment);
    store_u64(bytes + 24, head->first);
    store_u64(bytes + 32, n);
    store_u32(bytes + 40, (uint32_t)like->width);
    store_u32(bytes + 44, (head->raw ? BINLOG_RAW : 0) | (nulls ? BINLOG_NULLS : 0));
    store_u32(bytes + 60, crc32c(bytes, 60));
    buf_add(w->into, bytes, sizeof bytes);
}

static void s_add_entry(buf_t *into, const binlog_entry_t *entry)
{
    buf_add_u64(into, entry->offset);
    buf_add_u32(into, entry->stored);
    buf_add_u32(into, entry->crc);
    buf_add_u32(into, entry->raw);
    buf_add_u32(into, entry->rows);
    buf_add_u32(into, entry->kind);
    buf_add_u32(into, entry->flags);
    buf_add_u64(into, entry->min);
    buf_add_u64(into, entry->max);
}

static void s_add_tail(writer_t *w)
{
    size_t start = w->into->len;
    for (size_t i = 0; i < w->entries.len; i++)
        s_add_entry(w->into, vec_at(&w->entries, i));
    buf_add_u64(w->into, w->entries.len);
    buf_add_u64(w->into, w->into->len + BINLOG_TAIL_BYTES - 8);
    buf_add_u64(w->into, w->row_bytes);
    if (!buf_ok(w->into))
        return;
    uint32_t crc = crc32c(w->into->ptr, BINLOG_HEAD_BYTES);
    buf_add_u32(w->into, crc32c_add(crc, w->into->ptr + start, w->into->len - start));
    buf_add(w->into, "ELBE", 4);
}

static err_t s_write_pages(writer_t *w, const binlog_head_t *head, const column_t *columns,
                           size_t n_columns, bool nulls)
{
    if (head->raw) {
        s_write_raw(w, columns, n_columns, nulls);
        return OK;
    }
    w->zstd = fault_hit() ? NULL : ZSTD_createCCtx();
    if (!w->zstd)
        return s_no_memory(w->ctx);
    err_t err = s_write_compressed(w, columns, n_columns);
    ZSTD_freeCCtx(w->zstd);
    return err;
}

err_t binlog_write(ctx_t *ctx, const binlog_head_t *head, const column_t *columns,
                   size_t n_columns, buf_t *into)
{
    check(n_columns > 0 && into->len == 0);
    bool nulls = s_has_nulls(columns, n_columns);
    size_t n = 0;
    for (size_t i = 0; i < n_columns; i++) {
        check(columns[i].type == columns[0].type && columns[i].width == columns[0].width);
        n += columns[i].n;
    }
    writer_t w = { .ctx = ctx, .into = into };
    vec_init(&w.entries, sizeof(binlog_entry_t));
    s_add_head(&w, head, &columns[0], n, nulls);
    err_t err = s_write_pages(&w, head, columns, n_columns, nulls);
    if (err == OK) {
        s_add_tail(&w);
        check(!buf_ok(into) || w.entries.len <= LIMIT_BINLOG_PAGES);
    }
    vec_fini(&w.entries);
    return err == OK && !buf_ok(into) ? s_no_memory(ctx) : err;
}
