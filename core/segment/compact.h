/* compact - several sealed segments to one, without what nobody can see any more
 *
 * The plan is a flush's: pure, put object by object, named by metadata afterwards.
 * Rows keep their timestamps.  Deletes that are newer than `safe_ts` stay
 * deletes, in the new segment's deltalog; what is applied to the inputs after the
 * plan was made has to be applied to the new segment too, before it takes over.
 */
#ifndef CORE_SEGMENT_COMPACT_H
#define CORE_SEGMENT_COMPACT_H

#include "core/segment/flush.h"

typedef struct compact_options {
    flush_options_t flush;      /* id: the new segment's */
    uint64_t safe_ts;           /* no reader before this is left: rows dead by then go */
    uint64_t expire_ts;         /* rows older than this go too (TTL); 0: none */
} compact_options_t;

/* Plan to merge n segments of one schema, in this order; each is referenced until the plan
 * is destroyed.  flush_files(plan)->n_rows may be 0: nothing is left.
 * ERR_MEMORY, and the store's when a lazy field has to be read.  Thread: I/O worker. */
err_t must_use compact_plan(ctx_t *ctx, sealed_t *const *inputs, size_t n,
                            const compact_options_t *options, flush_t **ret);
/* The newest death of a row that such a plan leaves out because it is dead; 0: none is.  Who reads
 * the result at an older instant would miss that row.  Cost O(rows). */
uint64_t compact_purged(sealed_t *const *inputs, size_t n, uint64_t safe_ts);

#endif
