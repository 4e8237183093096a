/* delta - delete records of one sealed segment
 *
 * A delete never touches the row it hides.  It is one record here, and a reader
 * at time T skips a row when a record of its key is newer than the row and not
 * newer than T.  A delta is immutable; a later flush writes one more beside it.
 *
 *     offset   size     field, little-endian
 *     0        4        magic "ELDL"
 *     4        2        version, 1
 *     6        1, 1     type of the primary key; 0
 *     8        8        segment id
 *     16       8        n records, 1 or more
 *     24       ..       the keys, as column_write writes them (core/schema/column.h)
 *     ..       8*n      their timestamps; by key, then time, no record twice
 *     ..       4        crc32c of every byte before
 */
#ifndef CORE_SEGMENT_DELTA_H
#define CORE_SEGMENT_DELTA_H

#include "core/base/buf.h"
#include "core/segment/segment.h"
#include "core/store/store.h"

typedef struct delta delta_t;

/* Write records in any order, repeats too; pks->n > 0.  ERR_MEMORY. */
err_t must_use delta_write(ctx_t *ctx, uint64_t segment, const column_t *pks, const uint64_t *ts,
                           buf_t *into);

/* Read one and verify it; the bytes are copied.  ERR_CORRUPT with name: length, magic,
 * order or checksum is wrong; ERR_VERSION; ERR_MEMORY.  ret: out, caller destroys. */
err_t must_use delta_read(ctx_t *ctx, view_t bytes, const char *name, delta_t **ret);
err_t must_use delta_load(ctx_t *ctx, store_t *store, const char *key, delta_t **ret);
void delta_destroy(delta_t **self_p);

uint64_t delta_segment(const delta_t *self);
const column_t *delta_pks(const delta_t *self);         /* borrowed, sorted */
const uint64_t *delta_ts(const delta_t *self);          /* [delta_pks()->n] */

/* True when a row (pk, row_ts) is deleted for a reader at read_ts.  O(log n), any thread. */
bool delta_hides(const delta_t *self, view_t pk, uint64_t row_ts, uint64_t read_ts);

#endif
