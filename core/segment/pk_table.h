/* pk_table - from primary keys to rows, one writer beside many readers
 *
 * Open addressing over a power of two, at most 60% full.  A slot is one atomic
 * word: the upper half of the key's hash and the row, plus one so that an empty
 * slot is 0.  The keys themselves stay in the segment, which compares them; the
 * table only proposes rows.  A row of a key that is here already takes over its
 * slot, and the segment remembers which row it replaced.
 *
 * A table that grows publishes a copy; the old one lives until the end, because
 * some reader may still be in it (all of them together are smaller than the last).
 */
#ifndef CORE_SEGMENT_PK_TABLE_H
#define CORE_SEGMENT_PK_TABLE_H

#include "core/base/base.h"

typedef struct pk_table pk_table_t;

#define PK_NO_ROW UINT32_MAX

/* Does this row have the key that is asked for? */
typedef bool pk_match_fn(const void *arg, uint32_t row);

pk_table_t *pk_table_new(uint64_t seed);
void pk_table_destroy(pk_table_t **self_p);

uint64_t pk_table_hash(const pk_table_t *self, view_t pk);

/* Room for n_more keys; ERR_MEMORY.  The writer. */
err_t must_use pk_table_reserve(ctx_t *ctx, pk_table_t *self, size_t n_more);

/* Link row under its hash.  *ret_before is the row that had the key, PK_NO_ROW when none;
 * it is written before anybody can find the row.  Room was reserved.  The writer. */
void pk_table_put(pk_table_t *self, uint64_t hash, uint32_t row, uint32_t *ret_before,
                  pk_match_fn *match, const void *arg);

/* The row last linked under this key, PK_NO_ROW when there is none.  Any thread.  A
 * reader sees every row whose linking it knows of by some acquire, and perhaps later ones. */
uint32_t pk_table_find(const pk_table_t *self, uint64_t hash, pk_match_fn *match, const void *arg);

size_t pk_table_bytes(const pk_table_t *self);      /* the writer */

#endif
