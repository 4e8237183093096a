/* column - the cells of one field for a run of rows
 *
 * The one shape in which rows travel and rest: in inserts, WAL entries,
 * growing segments, binlogs and results.  Cells of equal width lie one after
 * the other; others lie in one stretch of bytes with an offset each.
 *
 *     type                  a cell
 *     Bool                  1 byte, 0 or 1
 *     Int8..Int64           little-endian, 1, 2, 4, 8 bytes
 *     Float, Double         IEEE, 4 or 8 bytes
 *     VarChar, JSON         the bytes as given (UTF-8; JSON text)
 *     Array                 u32 n, then n elements: fixed width, or u32 length and bytes each
 *     BinaryVector          dim / 8 bytes
 *     Float.., Float16.., BFloat16.., Int8Vector     dim times 4, 2, 2, 1 bytes
 *     SparseFloatVector     pairs (u32 index, f32 value), indexes rising
 *
 * A null is a valid bit of 0; its cell is zeros, or empty.  `valid` NULL means
 * that no cell is null.
 *
 * column_t only borrows: views into a WAL batch, a mapped file, an arena.
 * column_builder_t owns and grows.
 */
#ifndef CORE_SCHEMA_COLUMN_H
#define CORE_SCHEMA_COLUMN_H

#include "core/base/bitset.h"
#include "core/base/buf.h"
#include "core/schema/schema.h"

typedef struct column {
    type_t type, element;
    size_t width;               /* bytes of a cell; 0: see offsets */
    size_t n;                   /* rows */
    const uint8_t *cells;
    const uint64_t *offsets;    /* [n + 1] into cells, when width is 0 */
    const uint64_t *valid;      /* bitset words; NULL: all valid */
} column_t;

static inline view_t column_cell(const column_t *c, size_t row)
{
    if (c->width)
        return view_of(c->cells + row * c->width, c->width);
    return view_of(c->cells + c->offsets[row], (size_t)(c->offsets[row + 1] - c->offsets[row]));
}

static inline bool column_is_null(const column_t *c, size_t row)
{
    return c->valid && !((c->valid[row >> 6] >> (row & 63)) & 1);
}

/* Rows [from, from + n) of a column whose cells have a width, as a column of its own;
 * from must be a multiple of 64 when there are nulls. */
column_t column_slice(const column_t *c, size_t from, size_t n);

/* Elements of an Array cell; false when the cell is damaged. */
bool array_len(view_t cell, uint32_t *ret);
bool array_at(view_t cell, type_t element, uint32_t i, view_t *ret);

typedef struct column_builder {
    type_t type, element;
    size_t width, n;
    buf_t cells;
    buf_t offsets;              /* of uint64_t, when width is 0 */
    buf_t valid;                /* of uint64_t words; empty: no null so far */
} column_builder_t;

void column_builder_init(column_builder_t *b, const field_t *field);
void column_builder_fini(column_builder_t *b);

/* Append a cell; its length must fit the type (checked: a mistake of ours). */
void column_builder_add(column_builder_t *b, view_t cell);
void column_builder_add_null(column_builder_t *b);

/* Append row `row` of a column of the same type. */
void column_builder_copy(column_builder_t *b, const column_t *from, size_t row);

/* False when an append was refused for want of memory. */
bool column_builder_ok(const column_builder_t *b);

/* What was built so far, borrowed until the next append. */
column_t column_builder_view(const column_builder_t *b);

/* --- as bytes: in WAL entries, binlogs and messages ---------------------------
 *
 *     offset   size        field
 *     0        4           type, u8; element type, u8; flags, u16: 1 has nulls
 *     4        4           width of a cell, 0: offsets follow
 *     8        8           n rows
 *     16       8           n bytes of cells
 *     24       8(n+1)      offsets, when width is 0
 *     ..       8⌈n/64⌉     valid words, when flag 1
 *     ..       n bytes     cells, then zeros up to a multiple of 8
 *
 * The caller adds the checksum.  Parsing copies nothing: the column points
 * into the bytes, which must be 8-aligned. */
void column_write(const column_t *c, buf_t *into);

/* ERR_CORRUPT unless every length and offset is right.  *ret_len: bytes read. */
err_t must_use column_read(ctx_t *ctx, view_t bytes, column_t *ret, size_t *ret_len);

#endif
