/* crew - a piece of work cut into items that several threads do
 *
 * The caller does items itself and is joined by whoever of the pool is free, so it never waits
 * for a thread that another job of the same pool holds, and a pool that is busy costs time only.
 */
#ifndef CORE_INDEX_CREW_H
#define CORE_INDEX_CREW_H

#include "core/index/index.h"

/* Call item(arg, i) for each i < n, once each, in any order and on several threads; return
 * when all have ended.
 *   how     NULL: on this thread only
 * Errors  ERR_CANCELED, ERR_TIMEOUT  asked between items; some were left out then */
err_t must_use crew_run(ctx_t *ctx, const index_how_t *how, void (*item)(void *arg, size_t i),
                        void *arg, size_t n);

#endif
