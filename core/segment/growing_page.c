/* growing_page - see growing_page.h */
#include "core/segment/growing_page.h"

#include "core/base/crc.h"
#include "core/base/limits.h"

enum { HEAD_BYTES = 32, CRC_FROM = 8 };

static const char s_magic[4] = { 'E', 'G', 'R', 'P' };

/* --- writing ------------------------------------------------------------------------------- */

/* Valid bits from `from` on, as if they began there. */
static err_t s_shift_valid(ctx_t *ctx, const uint64_t *valid, size_t from, size_t n,
                           const uint64_t **ret)
{
    *ret = valid;
    if (!valid)
        return OK;
    uint64_t *bits = ctx_try(ctx, (n + 63) / 64 * sizeof *bits);
    if (!bits)
        return ctx_fail(ctx, ERR_MEMORY, "no memory for the nulls of %zu rows", n);
    memset(bits, 0, (n + 63) / 64 * sizeof *bits);
    for (size_t i = 0; i < n; i++)
        if ((valid[(from + i) >> 6] >> ((from + i) & 63)) & 1)
            bits[i >> 6] |= 1ull << (i & 63);
    *ret = bits;
    return OK;
}

static err_t s_cut(ctx_t *ctx, column_t *c, size_t from, size_t n)
{
    TRY(s_shift_valid(ctx, c->valid, from, n, &c->valid));
    if (c->width)
        c->cells += from * c->width;
    else
        c->offsets += from;
    c->n = n;
    return OK;
}

static size_t s_row_bytes(const column_t *columns, size_t n_columns, size_t row)
{
    size_t bytes = sizeof(uint64_t);
    for (size_t i = 0; i < n_columns; i++)
        bytes += columns[i].width ? columns[i].width : 8 + column_cell(&columns[i], row).len;
    return bytes;
}

static void s_write(const growing_t *segment, const column_t *columns, const uint64_t *ts,
                    size_t from, buf_t *into)
{
    const schema_t *schema = growing_schema(segment);
    size_t begin = into->len, n = columns[0].n;
    buf_add(into, s_magic, sizeof s_magic);
    buf_add_u32(into, 0);
    buf_add_u64(into, from);
    buf_add_u64(into, n);
    buf_add_u64(into, schema_len(schema));
    buf_add(into, ts, n * sizeof *ts);
    for (size_t i = 0; i < schema_len(schema); i++)
        buf_add_u64(into, (uint64_t)schema_at(schema, i)->id);
    for (size_t i = 0; i < schema_len(schema); i++)
        column_write(&columns[i], into);
    if (!buf_ok(into))
        return;
    uint32_t crc = crc32c(into->ptr + begin + CRC_FROM, into->len - begin - CRC_FROM);
    memcpy(into->ptr + begin + 4, &crc, sizeof crc);
}

err_t growing_page_write(ctx_t *ctx, const growing_snapshot_t *snap, size_t from,
                         size_t most_bytes, buf_t *into, size_t *ret_n)
{
    column_t columns[LIMIT_WAL_FIELDS];
    size_t n_columns = schema_len(growing_schema(snap->segment));
    size_t block = growing_block_of(snap, from), n = 0;
    segment_block_t rows = growing_block(snap, block);
    size_t first = from - rows.first, bytes = 0;
    check(n_columns <= LIMIT_WAL_FIELDS);
    for (size_t i = 0; i < n_columns; i++)
        TRY(growing_column(ctx, snap, block, i, &columns[i]));
    for (; first + n < rows.n && (n == 0 || bytes < most_bytes); n++)
        bytes += s_row_bytes(columns, n_columns, first + n);
    for (size_t i = 0; i < n_columns; i++)
        TRY(s_cut(ctx, &columns[i], first, n));
    s_write(snap->segment, columns, rows.ts + first, from, into);
    if (!buf_ok(into))
        return ctx_fail(ctx, ERR_MEMORY, "no memory for a page of %zu rows", n);
    *ret_n = n;
    return OK;
}

/* --- reading ------------------------------------------------------------------------------- */

static err_t s_damaged(ctx_t *ctx, const growing_t *copy, const char *what)
{
    return ctx_fail(ctx, ERR_CORRUPT, "a page of rows for growing segment %llu %s",
                    (unsigned long long)growing_id(copy).segment, what);
}

static err_t s_read_head(ctx_t *ctx, const growing_t *copy, view_t page)
{
    if (page.len < HEAD_BYTES || memcmp(page.ptr, s_magic, sizeof s_magic) != 0 ||
        crc32c(page.ptr + CRC_FROM, page.len - CRC_FROM) != load_u32(page.ptr + 4))
        return s_damaged(ctx, copy, "is damaged");
    if (load_u64(page.ptr + 8) != growing_rows(copy))
        return s_damaged(ctx, copy, "does not begin where the rows before ended");
    uint64_t n = load_u64(page.ptr + 16), most = page.len / sizeof(uint64_t);
    if (load_u64(page.ptr + 24) != schema_len(growing_schema(copy)))
        return s_damaged(ctx, copy, "has not the fields of the collection");
    if (n == 0 || n > most || n + schema_len(growing_schema(copy)) + HEAD_BYTES / 8 > most)
        return s_damaged(ctx, copy, "is too short");
    return OK;
}

static err_t s_read_column(ctx_t *ctx, const growing_t *copy, const field_t *field, uint64_t id,
                           column_t *c)
{
    if ((uint64_t)field->id != id || c->type != field->type || c->element != field->element ||
        c->width != type_width(field->type, field->dim) || (c->valid && !field->nullable))
        return s_damaged(ctx, copy, "has not the fields of the collection");
    return OK;
}

/* bytes: a page with a valid head, aligned. */
static err_t s_take(ctx_t *ctx, growing_t *copy, view_t bytes)
{
    column_t columns[LIMIT_WAL_FIELDS];
    const schema_t *schema = growing_schema(copy);
    size_t n = (size_t)load_u64(bytes.ptr + 16), n_columns = schema_len(schema);
    const uint64_t *ts = (const void *)(bytes.ptr + HEAD_BYTES), *ids = ts + n;
    size_t at = HEAD_BYTES + 8 * (n + n_columns);
    check(n_columns <= LIMIT_WAL_FIELDS);
    for (size_t i = 0; i < n_columns; i++) {
        size_t len = 0;
        TRY(column_read(ctx, view_of(bytes.ptr + at, bytes.len - at), &columns[i], &len));
        TRY(s_read_column(ctx, copy, schema_at(schema, i), ids[i], &columns[i]));
        if (columns[i].n != n)
            return s_damaged(ctx, copy, "has columns of different lengths");
        at += len;
    }
    bool rising = ts[0] >= growing_max_ts(copy) && ts[n - 1] != UINT64_MAX;
    for (size_t i = 1; i < n; i++)
        rising &= ts[i - 1] <= ts[i];
    return rising ? growing_append_each(ctx, copy, columns, ts)
                  : s_damaged(ctx, copy, "is not in the order of time");
}

err_t growing_page_read(ctx_t *ctx, growing_t *copy, view_t page)
{
    TRY(s_read_head(ctx, copy, page));
    if ((uintptr_t)page.ptr % 8 == 0)
        return s_take(ctx, copy, page);
    uint8_t *aligned = mem_try(ctx, page.len);
    if (!aligned)
        return ctx_fail(ctx, ERR_MEMORY, "no memory for a page of %zu bytes", page.len);
    memcpy(aligned, page.ptr, page.len);
    err_t err = s_take(ctx, copy, view_of(aligned, page.len));
    mem_free(aligned);
    return err;
}
