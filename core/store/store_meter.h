/* store_meter - what a store's calls cost, by Milvus's names
 *
 * Every attempt at the driver is counted, so that what was repeated until it
 * worked shows.  "There is no such object" is an answer and no failure.
 */
#ifndef CORE_STORE_STORE_METER_H
#define CORE_STORE_STORE_METER_H

#include "core/base/base.h"
#include "core/base/metrics.h"

typedef struct store_meter {
    metrics_t *to;              /* NULL: nobody counts */
    metrics_family_t *ops, *latency, *sizes;
} store_meter_t;

void store_meter_init(store_meter_t *self, metrics_t *to);

/* what: "put", "get", "stat", "walk", "remove"; bytes: moved, of put and get. */
void store_meter_count(const store_meter_t *self, const char *what, int64_t began_us, err_t err,
                       uint64_t bytes);

#endif
