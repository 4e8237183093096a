/* segment - the words that growing and sealed segments share
 *
 * A segment's rows lie in blocks: every field has one column a block, and row
 * i of the segment is row i - first of the block that holds it.  Filters and
 * kernels work block by block, so nothing about them depends on which kind of
 * segment they read.
 *
 * A row is visible to a reader at read_ts when it was there by then and was not
 * deleted by then:
 *
 *     row_ts <= read_ts  and no delete of its pk with row_ts < delete_ts <= read_ts
 *
 * A delete does not hide rows of its own timestamp: an upsert is a delete and an
 * insert with one timestamp, and its row must stay.  So all that has to be
 * kept of deletes is, for each row, the earliest that hits it: the row's death,
 * SEGMENT_ALIVE when there is none.
 *
 * A primary key travels as the cell it is in its column: 8 bytes for Int64, the
 * text for VarChar.
 */
#ifndef CORE_SEGMENT_SEGMENT_H
#define CORE_SEGMENT_SEGMENT_H

#include "core/schema/column.h"

#define SEGMENT_ALIVE UINT64_MAX

typedef struct segment_id { uint64_t collection, partition, segment; } segment_id_t;

typedef struct segment_block {
    size_t first, n;            /* rows [first, first + n) of the segment */
    const uint64_t *ts;         /* [n]; borrowed from the segment */
} segment_block_t;

/* Order of two primary keys of one type: numbers by value, texts by bytes. */
static inline int pk_cmp(type_t type, view_t a, view_t b)
{
    if (type != TYPE_INT64)
        return view_cmp(a, b);
    int64_t x = load_i64(a.ptr), y = load_i64(b.ptr);
    return (x > y) - (x < y);
}

#endif
