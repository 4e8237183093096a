/* wal_ahead - objects of a store, fetched some ahead of their reader, handed out in order
 *
 * A log of many small objects is read at the speed of one round trip each; what a takeover
 * waits for is therefore asked for by several threads at once.
 */
#ifndef CORE_WAL_WAL_AHEAD_H
#define CORE_WAL_WAL_AHEAD_H

#include "core/store/store.h"
#include "core/wal/wal_record.h"

typedef struct wal_ahead wal_ahead_t;

/* Objects (from, to] of one epoch.  readers: threads, 1: none, the reader itself fetches.
 * store and channel are borrowed. */
wal_ahead_t *wal_ahead_new(store_t *store, view_t channel, wal_position_t from, uint64_t to,
                           unsigned readers, int64_t deadline_ms);

/* wal/<channel>/<epoch>/<seq> */
const char *wal_object_key(ctx_t *ctx, view_t channel, wal_position_t at);

/* The next one's bytes, 8-aligned, until the next call.  There is one: the caller counts.
 * Errors  of store_get, ERR_KEY_NOT_FOUND among them; then nothing more can be asked for */
err_t must_use wal_ahead_next(ctx_t *ctx, wal_ahead_t *self, view_t *ret);

void wal_ahead_destroy(wal_ahead_t **self_p);

#endif
