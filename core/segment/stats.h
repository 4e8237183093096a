/* stats - what one must know of a segment without opening it
 *
 *     offset   size     field, little-endian
 *     0        4        magic "ELST"
 *     4        2        version, 1
 *     6        1, 1     type of the primary key; 0
 *     8        8        segment id
 *     16       8        rows
 *     24       8, 8     least and greatest timestamp
 *     40       4, 4     bytes of the least and of the greatest primary key; 0 without rows
 *     48       4        blocks of the filter, 1 or more
 *     52       4        0
 *     56       ..       the least key, the greatest key, the filter (32 bytes a block)
 *     ..       4        crc32c of every byte before
 */
#ifndef CORE_SEGMENT_STATS_H
#define CORE_SEGMENT_STATS_H

#include "core/base/buf.h"
#include "core/segment/bloom.h"
#include "core/segment/segment.h"
#include "core/store/store.h"

typedef struct stats {
    type_t pk_type;
    uint64_t segment, rows, min_ts, max_ts;
    view_t pk_min, pk_max;      /* owned */
    bloom_t *bloom;             /* owned */
} stats_t;

/* Empty, for about n_rows keys.  ERR_MEMORY.  ret: out, caller destroys. */
err_t must_use stats_make(ctx_t *ctx, type_t pk_type, uint64_t segment, size_t n_rows,
                          stats_t **ret);
void stats_destroy(stats_t **self_p);

/* Take rows in: their keys and their timestamps, [pks->n].  ERR_MEMORY. */
err_t must_use stats_add(ctx_t *ctx, stats_t *self, const column_t *pks, const uint64_t *ts);

void stats_write(const stats_t *self, buf_t *into);

/* The inverse; everything is copied.  ERR_CORRUPT with name, ERR_MEMORY. */
err_t must_use stats_read(ctx_t *ctx, view_t bytes, const char *name, stats_t **ret);
err_t must_use stats_load(ctx_t *ctx, store_t *store, const char *key, stats_t **ret);

/* False: no row of the segment has this key.  True: perhaps one has. */
bool stats_may_have(const stats_t *self, view_t pk);

#endif
