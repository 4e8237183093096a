/* index_progress - see index_progress.h */
#include "proxy/index_progress.h"

#include <inttypes.h>

#include "core/base/map.h"
#include "core/catalog/builds.h"

enum { REASONS = 10 };          /* more failed segments than that say nothing new */

typedef struct {
    size_t open, failed;
} counts_t;

static void s_count(ctx_t *ctx, const Elanus__Segment *segment, const Elanus__Build *build,
                    counts_t *counts, index_progress_t *ret)
{
    Elanus__BuildState state = build ? build->state : ELANUS__BUILD_STATE__BUILD_WAITING;
    if (state == ELANUS__BUILD_STATE__BUILD_DONE) {
        ret->indexed += (int64_t)segment->rows;
        return;
    }
    ret->pending += (int64_t)segment->rows;
    if (state != ELANUS__BUILD_STATE__BUILD_FAILED)
        counts->open++;
    else if (counts->failed++ < REASONS)
        ret->reason = ctx_printf(ctx, "%s%" PRIu64 ": %s;", ret->reason, segment->id,
                                 build->error);
}

void index_progress(ctx_t *ctx, const index_progress_of_t *of, const Elanus__Index *index,
                    index_progress_t *ret)
{
    bool made = builds_makes(of->coll, index);
    map_t *builds = map_new();                  /* segment -> its build of this index */
    for (size_t i = 0; i < of->n_builds; i++)
        if (of->builds[i]->index == index->id)
            map_put_u64(builds, of->builds[i]->segment, of->builds[i]);
    counts_t counts = {0};
    *ret = (index_progress_t){ .reason = "" };
    for (size_t i = 0; i < of->n_segments; i++) {
        const Elanus__Segment *segment = of->segments[i];
        ret->total += (int64_t)segment->rows;
        if (made && builds_wants(segment, of->build_rows))
            s_count(ctx, segment, map_get_u64(builds, segment->id), &counts, ret);
        else
            ret->indexed += (int64_t)segment->rows;
    }
    map_destroy(&builds);
    ret->state = counts.failed ? COMMON__INDEX_STATE__Failed
               : counts.open ? COMMON__INDEX_STATE__InProgress : COMMON__INDEX_STATE__Finished;
}
