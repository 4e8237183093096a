/* index_progress - how far an index is built, as clients are told
 *
 * Counted over the flushed segments: what is too small to be indexed, and every
 * row of an index whose type is scanned, counts as built.  A segment without a
 * build is one whose turn comes: the coord has not seen it yet.
 */
#ifndef PROXY_INDEX_PROGRESS_H
#define PROXY_INDEX_PROGRESS_H

#include "common.pb-c.h"
#include "core/base/base.h"
#include "elanus.pb-c.h"

typedef struct index_progress {
    int64_t total, indexed, pending;    /* rows */
    Common__IndexState state;           /* Finished, InProgress, Failed */
    const char *reason;                 /* Failed: which segments, and why; arena */
} index_progress_t;

typedef struct index_progress_of {
    const Elanus__Collection *coll;
    Elanus__Segment *const *segments;   /* [n_segments] of it, FLUSHED */
    size_t n_segments;
    Elanus__Build *const *builds;       /* [n_builds] of it, of all its indexes */
    size_t n_builds;
    uint64_t build_rows;
} index_progress_of_t;

void index_progress(ctx_t *ctx, const index_progress_of_t *of, const Elanus__Index *index,
                    index_progress_t *ret);

#endif
