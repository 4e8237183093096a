/* wal_meter - what the puts of logs cost: cells of whoever owns the logs, shared by all of them
 *
 * A put is one object in the store, or one group written and synced on disk.
 */
#ifndef CORE_WAL_WAL_METER_H
#define CORE_WAL_WAL_METER_H

#include "core/base/base.h"
#include "core/base/metrics.h"

typedef struct wal_meter {
    metrics_t *to;
    metrics_cell_t *puts, *failed, *put_ms, *entries, *bytes;
} wal_meter_t;

static inline int64_t wal_meter_began(const wal_meter_t *self)
{
    return self ? metrics_began(self->to) : 0;
}

static inline void wal_meter_put(const wal_meter_t *self, int64_t began_us, size_t n_entries,
                                 uint64_t n_bytes, err_t err)
{
    if (!self)
        return;
    metrics_add(err == OK ? self->puts : self->failed, 1);
    if (err != OK)
        return;
    (void)metrics_took_ms(self->put_ms, began_us);
    metrics_observe(self->entries, (double)n_entries);
    metrics_observe(self->bytes, (double)n_bytes);
}

#endif
