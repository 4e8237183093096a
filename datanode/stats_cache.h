/* stats_cache - which keys a flushed segment certainly does not have, at hand
 *
 * Deletes are routed by it: a segment whose key range or filter denies a key is
 * left alone.  Stats are read from the store when they are first asked for and
 * kept as long as there is room; what was asked for longest ago goes first.
 * One thread at a time: the job that routes a channel's deletes.
 */
#ifndef DATANODE_STATS_CACHE_H
#define DATANODE_STATS_CACHE_H

#include "core/segment/stats.h"

typedef struct stats_cache stats_cache_t;

stats_cache_t *stats_cache_new(size_t most_bytes);
void stats_cache_destroy(stats_cache_t **self_p);

/* The stats object `key` of a segment, borrowed until the next call; it may be larger than
 * the cache.  Errors of stats_load.  Blocks. */
err_t must_use stats_cache_get(ctx_t *ctx, stats_cache_t *self, store_t *store, uint64_t segment,
                               const char *key, const stats_t **ret);

size_t stats_cache_bytes(const stats_cache_t *self);

#endif
