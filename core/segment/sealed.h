/* sealed - a segment that takes no more rows, opened from the store
 *
 * Its columns never change.  Only deaths are added, by deletes that arrive after
 * it was sealed, and they only ever go down, so any number of readers look
 * without a lock.  Timestamps and primary keys are loaded when it is opened,
 * other fields at first use or all at once; vectors of local files are mapped.
 */
#ifndef CORE_SEGMENT_SEALED_H
#define CORE_SEGMENT_SEALED_H

#include "core/segment/field_index.h"
#include "core/segment/field_scalar.h"
#include "core/segment/segment.h"
#include "core/store/store.h"

/* The objects of a segment: what metadata names.  Rows are cut into parts; a part
 * has a binlog for each field in the schema's order and one for the timestamps. */
typedef struct sealed_files {
    segment_id_t id;
    uint64_t n_rows;
    size_t n_parts;
    const char *const *binlogs;     /* [n_parts][schema_len + 1], timestamps last */
    const char *const *deltalogs;   /* [n_deltalogs] */
    size_t n_deltalogs;
    const char *stats;              /* NULL: none */
    const bool *late;               /* [fields] not even with preload; NULL: none */
} sealed_files_t;

typedef struct sealed sealed_t;

/* Open a segment: timestamps, keys and deltalogs; every field when `preload`,
 * but those that are `late`.
 *
 *   store    borrowed as long as the segment lives
 *   schema   shared, kept
 *   files    copied
 *   ret      out, one reference
 *
 * Errors  of store_get; ERR_CORRUPT when objects do not fit one another; ERR_MEMORY
 * Thread  I/O worker: blocks */
err_t must_use sealed_open(ctx_t *ctx, store_t *store, schema_t *schema,
                           const sealed_files_t *files, bool preload, sealed_t **ret);
sealed_t *sealed_ref(sealed_t *self);
void sealed_unref(sealed_t **self_p);
static inline void sealed_destroy(sealed_t **self_p) { sealed_unref(self_p); }

schema_t *sealed_schema(const sealed_t *self);
segment_id_t sealed_id(const sealed_t *self);
size_t sealed_rows(const sealed_t *self);
size_t sealed_bytes(const sealed_t *self);          /* of memory and maps */
uint64_t sealed_min_ts(const sealed_t *self);
uint64_t sealed_max_ts(const sealed_t *self);

/* Blocks are the parts. */
size_t sealed_blocks(const sealed_t *self);
segment_block_t sealed_block(const sealed_t *self, size_t i);

/* Field `field` (its place in the schema) of block i, borrowed from the segment.  The
 * first use of a lazy field reads it: errors of the store then.  Any thread. */
err_t must_use sealed_column(ctx_t *ctx, sealed_t *self, size_t i, size_t field, column_t *ret);

/* Clear the bits of the rows of block i that a reader at read_ts does not see: dead, or
 * not there yet.  Any thread. */
void sealed_hide(const sealed_t *self, size_t i, uint64_t read_ts, bitset_t *bits);

/* The same for rows [from, from + bits->n_bits) of block i. */
void sealed_hide_rows(const sealed_t *self, size_t i, size_t from, uint64_t read_ts,
                      bitset_t *bits);

/* Does a reader at read_ts see every row?  In O(1); false may be wrong.  Any thread. */
bool sealed_shows_all(const sealed_t *self, uint64_t read_ts);

/* Memory that lives with a field's block, for what a reader derives from its cells (the
 * norms of vectors): made at the first ask, zeroed; every later ask gets the same, whatever
 * bytes it names.  Who uses it keeps several threads apart in it.  ERR_MEMORY.  Any thread. */
err_t must_use sealed_room(ctx_t *ctx, sealed_t *self, size_t i, size_t field, size_t bytes,
                           void **ret);

/* Search a vector field by this index from now on (core/segment/field_index.h); NULL: scan it.
 *   index  moved; NULL in it: none */
void sealed_set_index(sealed_t *self, size_t field, field_index_t **index);

/* A reference to the index of a field, the caller's; NULL: there is none.  Any thread. */
field_index_t *sealed_index(sealed_t *self, size_t field);

/* The same for the index of a scalar field, which answers filters. */
void sealed_set_scalar(sealed_t *self, size_t field, field_scalar_t **scalar);
field_scalar_t *sealed_scalar(sealed_t *self, size_t field);

/* When a row died, SEGMENT_ALIVE when it did not. */
uint64_t sealed_died(const sealed_t *self, size_t row);

/* The newest row with this key that a reader at read_ts sees. */
bool sealed_find(const sealed_t *self, view_t pk, uint64_t read_ts, size_t *ret_row);

/* Deletes that came after sealing; as growing_delete, but one timestamp a key ([pks->n]),
 * in any order, from any thread, several at once.  What a reader at T must know of has to be
 * applied before it starts.  ERR_MEMORY: nothing was applied. */
err_t must_use sealed_delete(ctx_t *ctx, sealed_t *self, const column_t *pks, const uint64_t *ts,
                             size_t *ret_n);

#endif
