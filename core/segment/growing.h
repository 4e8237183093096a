/* growing - a segment that still takes rows
 *
 * One writer (the thread that owns the channel) appends and deletes; any number
 * of readers look at the same time, without a lock and without waiting.  A
 * reader takes a snapshot, which is a number of rows and a timestamp, and sees
 * these rows in blocks that never move and never change.
 *
 * Rows come in the order of their timestamps (the order of the log), so what a
 * reader at read_ts may see is a prefix.  What the caller must provide: before
 * a reader starts at read_ts, all writes up to read_ts were applied, and the
 * reader knows that by some acquire of what the writer released.
 */
#ifndef CORE_SEGMENT_GROWING_H
#define CORE_SEGMENT_GROWING_H

#include "core/segment/segment.h"

typedef struct growing growing_t;

/* An empty segment with one reference.  schema is shared; the segment keeps a
 * reference of its own. */
growing_t *growing_new(schema_t *schema, segment_id_t id);
growing_t *growing_ref(growing_t *self);
void growing_unref(growing_t **self_p);
static inline void growing_destroy(growing_t **self_p) { growing_unref(self_p); }

/* Does anybody hold a reference beside the caller?  Once false, and with no table or
 * other place left to get one from, it stays false. */
bool growing_is_shared(const growing_t *self);

schema_t *growing_schema(const growing_t *self);
segment_id_t growing_id(const growing_t *self);

/* --- the writer ------------------------------------------ */

/* Append the rows of one request, all of them or none.
 *
 *   columns   [schema_len] in the schema's order, equal n; copied
 *   ts        of all these rows; not below that of rows before
 *
 * Errors  ERR_MEMORY             refused; nothing was appended; retriable by the caller
 *         ERR_CAPACITY_EXCEEDED  LIMIT_SEGMENT_ROWS; seal the segment
 * Cost    one copy of the cells, a hash a row
 * Thread  the writer */
err_t must_use growing_append(ctx_t *ctx, growing_t *self, const column_t *columns, uint64_t ts);

/* The same with a timestamp of each row, ts[i] not below ts[i - 1]. */
err_t must_use growing_append_each(ctx_t *ctx, growing_t *self, const column_t *columns,
                                   const uint64_t *ts);

/* Delete by primary key: whatever row has one of these keys and a timestamp
 * below ts is dead from ts on.  Keys that are not here are fine.  All or none.
 * For an upsert call it before growing_append, with the same ts.
 *
 *   pks   column of the primary key's type; a key may come twice
 *   ret_n rows that this call hit; may be NULL
 *
 * Errors  ERR_MEMORY   Thread  the writer */
err_t must_use growing_delete(ctx_t *ctx, growing_t *self, const column_t *pks, uint64_t ts,
                              size_t *ret_n);

/* --- anybody ------------------------------------------ */

size_t growing_rows(const growing_t *self);
size_t growing_bytes(const growing_t *self);        /* of memory, indexes included */
uint64_t growing_min_ts(const growing_t *self);     /* of its rows; UINT64_MAX when empty */
uint64_t growing_max_ts(const growing_t *self);     /* 0 when empty */

typedef struct growing_snapshot {
    const growing_t *segment;   /* borrowed: the reader keeps its reference */
    size_t n;                   /* rows with row_ts <= read_ts */
    size_t n_blocks;            /* that hold them */
    uint64_t read_ts;
} growing_snapshot_t;

/* What a reader at read_ts sees; UINT64_MAX: all there is. */
growing_snapshot_t growing_at(const growing_t *self, uint64_t read_ts);

/* Block i < n_blocks of a snapshot; only rows of the snapshot are in it. */
segment_block_t growing_block(const growing_snapshot_t *snap, size_t i);

/* Field `field` (its place in the schema) of block i, borrowed from the segment.
 * ERR_MEMORY: of a nullable field the valid bits may have to be copied to ctx's arena. */
err_t must_use growing_column(ctx_t *ctx, const growing_snapshot_t *snap, size_t i, size_t field,
                              column_t *ret);

/* Memory that lives with a field's block, for what a reader derives from its cells (the norms
 * of vectors): made at the first ask, zeroed, `bytes` for each row the block can ever have;
 * *ret_cap: how many rows that are.  Every later ask gets the same, whatever bytes it
 * names.  Who uses it keeps several threads apart in it.  ERR_MEMORY. */
err_t must_use growing_room(ctx_t *ctx, const growing_snapshot_t *snap, size_t i, size_t field,
                            size_t bytes, void **ret, size_t *ret_cap);

/* Clear the bits of the rows of block i that are dead at read_ts; bits: of at least
 * the block's rows. */
void growing_hide(const growing_snapshot_t *snap, size_t i, bitset_t *bits);

/* When a row of the snapshot died, SEGMENT_ALIVE when it did not. */
uint64_t growing_died(const growing_snapshot_t *snap, size_t row);

/* The block of a row of the snapshot. */
size_t growing_block_of(const growing_snapshot_t *snap, size_t row);

/* The newest visible row with this primary key; false when there is none. */
bool growing_find(const growing_snapshot_t *snap, view_t pk, size_t *ret_row);

#endif
