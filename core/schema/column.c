/* column - see column.h */
#include "core/schema/column.h"

#include "core/base/limits.h"

enum { HEAD_BYTES = 24, FLAG_NULLS = 1 };

static size_t s_words(size_t n)
{
    return (n + 63) / 64;
}

column_t column_slice(const column_t *c, size_t from, size_t n)
{
    check(from <= c->n && n <= c->n - from && (!c->valid || from % 64 == 0));
    column_t part = *c;
    part.n = n;
    if (c->width)
        part.cells = c->cells + from * c->width;
    else
        part.offsets = c->offsets + from;
    if (c->valid)
        part.valid = c->valid + from / 64;
    return part;
}

/* --- arrays --- */

bool array_len(view_t cell, uint32_t *ret)
{
    if (cell.len < 4)
        return false;
    *ret = load_u32(cell.ptr);
    return true;
}

static bool s_array_walk(view_t cell, uint32_t i, view_t *ret)
{
    size_t at = 4;
    for (uint32_t k = 0; at + 4 <= cell.len; k++) {
        size_t len = load_u32(cell.ptr + at);
        at += 4;
        if (len > cell.len - at)
            return false;
        if (k == i) {
            *ret = view_of(cell.ptr + at, len);
            return true;
        }
        at += len;
    }
    return false;
}

bool array_at(view_t cell, type_t element, uint32_t i, view_t *ret)
{
    uint32_t n = 0;
    if (!array_len(cell, &n) || i >= n)
        return false;
    size_t width = type_width(element, 0);
    if (width == 0)
        return s_array_walk(cell, i, ret);
    if (cell.len - 4 < (size_t)n * width)
        return false;
    *ret = view_of(cell.ptr + 4 + (size_t)i * width, width);
    return true;
}

/* --- building --- */

void column_builder_init(column_builder_t *b, const field_t *field)
{
    *b = (column_builder_t){
        .type = field->type, .element = field->element,
        .width = type_width(field->type, field->dim),
    };
    if (b->width == 0)
        buf_add_u64(&b->offsets, 0);
}

void column_builder_fini(column_builder_t *b)
{
    buf_fini(&b->cells);
    buf_fini(&b->offsets);
    buf_fini(&b->valid);
}

static void s_end_cell(column_builder_t *b, bool valid)
{
    if (b->width == 0)
        buf_add_u64(&b->offsets, b->cells.len);
    size_t row = b->n++;
    bool tracked = b->valid.len > 0;
    if (!tracked && valid)
        return;
    for (size_t word = tracked ? s_words(row) : 0; word < s_words(b->n); word++)
        if (word * 8 >= b->valid.len)
            buf_add_u64(&b->valid, ~0ull);
    if (!valid && buf_ok(&b->valid))
        ((uint64_t *)(void *)b->valid.ptr)[row >> 6] &= ~(1ull << (row & 63));
}

void column_builder_add(column_builder_t *b, view_t cell)
{
    check(b->width == 0 || cell.len == b->width);
    buf_add_view(&b->cells, cell);
    s_end_cell(b, true);
}

void column_builder_add_null(column_builder_t *b)
{
    uint8_t *zeros = b->width ? buf_reserve(&b->cells, b->width) : NULL;
    if (zeros) {
        memset(zeros, 0, b->width);
        b->cells.len += b->width;
    }
    s_end_cell(b, false);
}

void column_builder_copy(column_builder_t *b, const column_t *from, size_t row)
{
    check(b->type == from->type);
    if (column_is_null(from, row))
        column_builder_add_null(b);
    else
        column_builder_add(b, column_cell(from, row));
}

bool column_builder_ok(const column_builder_t *b)
{
    return buf_ok(&b->cells) && buf_ok(&b->offsets) && buf_ok(&b->valid);
}

column_t column_builder_view(const column_builder_t *b)
{
    return (column_t){
        .type = b->type, .element = b->element, .width = b->width, .n = b->n, .cells = b->cells.ptr,
        .offsets = b->width ? NULL : (const uint64_t *)(const void *)b->offsets.ptr,
        .valid = b->valid.len ? (const uint64_t *)(const void *)b->valid.ptr : NULL,
    };
}

/* --- as bytes --- */

static size_t s_cells_len(const column_t *c)
{
    return c->width ? c->n * c->width : (size_t)(c->offsets[c->n] - c->offsets[0]);
}

static void s_write_offsets(const column_t *c, buf_t *into)
{
    for (size_t i = 0; i <= c->n; i++)
        buf_add_u64(into, c->offsets[i] - c->offsets[0]);
}

/* Bits past the last row are written as 0 whatever a slice drags along. */
static void s_write_valid(const column_t *c, buf_t *into)
{
    for (size_t i = 0; i < s_words(c->n); i++) {
        uint64_t word = c->valid[i];
        if (i + 1 == s_words(c->n) && c->n % 64)
            word &= (1ull << (c->n % 64)) - 1;
        buf_add_u64(into, word);
    }
}

void column_write(const column_t *c, buf_t *into)
{
    size_t cells_len = s_cells_len(c);
    buf_add_u8(into, (uint8_t)c->type);
    buf_add_u8(into, (uint8_t)c->element);
    uint8_t flags[2] = { c->valid ? FLAG_NULLS : 0, 0 };
    buf_add(into, flags, sizeof flags);
    buf_add_u32(into, (uint32_t)c->width);
    buf_add_u64(into, c->n);
    buf_add_u64(into, cells_len);
    if (c->width == 0)
        s_write_offsets(c, into);
    if (c->valid)
        s_write_valid(c, into);
    buf_add(into, c->width ? c->cells : c->cells + c->offsets[0], cells_len);
    static const uint8_t s_zeros[8];
    buf_add(into, s_zeros, -cells_len & 7);
}

static bool s_offsets_rise(const column_t *c, size_t cells_len)
{
    if (c->offsets[0] != 0 || c->offsets[c->n] != cells_len)
        return false;
    for (size_t i = 0; i < c->n; i++)
        if (c->offsets[i] > c->offsets[i + 1])
            return false;
    return true;
}

err_t column_read(ctx_t *ctx, view_t bytes, column_t *ret, size_t *ret_len)
{
    check((uintptr_t)bytes.ptr % 8 == 0);
    if (bytes.len < HEAD_BYTES)
        return ctx_fail(ctx, ERR_CORRUPT, "column: %zu bytes are no header", bytes.len);
    column_t c = {
        .type = (type_t)bytes.ptr[0], .element = (type_t)bytes.ptr[1],
        .width = load_u32(bytes.ptr + 4), .n = load_u64(bytes.ptr + 8),
    };
    uint64_t cells_len = load_u64(bytes.ptr + 16);
    uint16_t flags = load_u16(bytes.ptr + 2);
    size_t left = bytes.len - HEAD_BYTES, at = HEAD_BYTES;
    if (c.n > LIMIT_BITSET_BITS || cells_len > left || flags > FLAG_NULLS ||
        (c.width && cells_len != c.n * c.width))
        return ctx_fail(ctx, ERR_CORRUPT, "column: %zu rows of width %zu in %llu bytes", c.n,
                        c.width, (unsigned long long)cells_len);
    size_t offsets_len = c.width ? 0 : 8 * (c.n + 1);
    size_t valid_len = flags & FLAG_NULLS ? 8 * s_words(c.n) : 0;
    size_t padded = (size_t)cells_len + (-cells_len & 7);
    if (offsets_len > left || valid_len > left - offsets_len ||
        padded > left - offsets_len - valid_len)
        return ctx_fail(ctx, ERR_CORRUPT, "column: cut off, %zu rows in %zu bytes", c.n, bytes.len);
    if (offsets_len)
        c.offsets = (const uint64_t *)(const void *)(bytes.ptr + at);
    if (valid_len)
        c.valid = (const uint64_t *)(const void *)(bytes.ptr + at + offsets_len);
    c.cells = bytes.ptr + at + offsets_len + valid_len;
    if (offsets_len && !s_offsets_rise(&c, (size_t)cells_len))
        return ctx_fail(ctx, ERR_CORRUPT, "column: offsets do not rise to %llu",
                        (unsigned long long)cells_len);
    *ret_len = at + offsets_len + valid_len + padded;
    *ret = c;
    return OK;
}
