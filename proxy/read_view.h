/* read_view - how fresh a read has to be, from what the client says of it
 *
 * Clients say it in two ways: a consistency level, and a guarantee timestamp of
 * which 0, 1 and 2 are names of levels too.  Milvus turns both into a timestamp
 * to wait for; here each level becomes what DESIGN calls it:
 *
 *     Strong      everything acknowledged before the request    ReadView.strong
 *     Session     the client's own last write                   guarantee_ts
 *     Bounded     nothing older than 5 s missing                staleness_ms
 *     Eventually  whatever there is                             nothing
 *     Customized  what the client says                          guarantee_ts
 *
 * A page of an iterator reads at the instant of the first page.
 */
#ifndef PROXY_READ_VIEW_H
#define PROXY_READ_VIEW_H

#include "core/base/base.h"
#include "elanus.pb-c.h"
#include "milvus.pb-c.h"

typedef struct read_ask {
    uint64_t guarantee_ts;      /* as sent */
    int level;                  /* as sent: Common__ConsistencyLevel */
    bool use_default;           /* the collection's level counts */
    int collection_level;
    bool iterator;
    int64_t wall_ms;            /* now */
} read_ask_t;

/* Fill in the parts of a view that are about time.
 * Errors  ERR_PARAM_INVALID  an unknown level; a timestamp in the far future */
err_t must_use read_view(ctx_t *ctx, const read_ask_t *ask, Elanus__ReadView *ret);

#endif
