/* data_pick - see data_pick.h */
#include "datanode/data_pick.h"

#include <stdlib.h>

#include "core/base/limits.h"

static const double s_dense = 0.2;      /* dataCoord.compaction.single.ratio.threshold */

enum {
    MANY_DELTALOGS = 200,               /* dataCoord.compaction.single.deltalog.maxnum */
    LEAST_ALIKE = 4,                    /* segments of about one size that make a group */
};

bool pick_is_dense(const pick_segment_t *segment)
{
    return (double)segment->deleted > s_dense * (double)segment->rows;
}

/* The share of its rows that are expired, if they came at an even pace. */
static double s_expired(const pick_segment_t *segment, uint64_t expire_ts)
{
    if (segment->min_ts >= expire_ts)
        return 0;
    if (segment->max_ts < expire_ts)
        return 1;
    return (double)(expire_ts - segment->min_ts) /
           (double)(segment->max_ts - segment->min_ts + 1);
}

static bool s_wants_rewrite(const pick_segment_t *segment, const pick_policy_t *policy)
{
    double expired = s_expired(segment, policy->expire_ts);
    if (policy->manual)
        return segment->deleted > 0 || expired > 0;
    return (segment->ripe && pick_is_dense(segment)) || expired > s_dense ||
           segment->n_deltalogs >= MANY_DELTALOGS;
}

/* Bytes that are left of it, about. */
static double s_live_bytes(const pick_segment_t *segment)
{
    double rows = (double)(segment->rows ? segment->rows : 1);
    return (double)segment->bytes * (rows - (double)segment->deleted) / rows;
}

typedef struct sized { size_t at; double bytes; } sized_t;

static int s_by_size(const void *a, const void *b)
{
    const sized_t *x = a, *y = b;
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? -1 : 1;
    return (x->at > y->at) - (x->at < y->at);
}

static bool s_worth(const sized_t *group, size_t n, double bytes, const pick_policy_t *policy)
{
    double aim = (double)policy->segment_bytes;
    if (n < 2)
        return false;
    return policy->manual || bytes >= aim * policy->compactable_share ||
           (n >= LEAST_ALIKE && group[n - 1].bytes <= bytes / 2);
}

/* From the smallest on: as many as fit, then without the biggest until it is worth it. */
static size_t s_fill(const sized_t *small, size_t n, const pick_policy_t *policy)
{
    double most = (double)policy->segment_bytes * policy->expansion_rate, bytes = 0;
    size_t taken = 0;
    while (taken < n && taken < LIMIT_MERGE_SEGMENTS && bytes + small[taken].bytes <= most)
        bytes += small[taken++].bytes;
    while (taken && !s_worth(small, taken, bytes, policy))
        bytes -= small[--taken].bytes;
    return taken;
}

size_t pick_merges(ctx_t *ctx, const pick_segment_t *segments, size_t n,
                   const pick_policy_t *policy, pick_group_t **ret)
{
    sized_t *small = ctx_new(ctx, (n + 1) * sizeof *small);
    size_t *places = ctx_new(ctx, (n + 1) * sizeof *places);
    bool *taken = ctx_new(ctx, n + 1);
    pick_group_t *groups = ctx_new(ctx, (n + 1) * sizeof *groups);
    size_t n_small = 0, n_groups = 0, n_places = 0;
    for (size_t i = 0; i < n; i++)
        if (s_live_bytes(&segments[i]) < policy->small_share * (double)policy->segment_bytes)
            small[n_small++] = (sized_t){ i, s_live_bytes(&segments[i]) };
    qsort(small, n_small, sizeof *small, s_by_size);
    for (size_t from = 0, len; (len = s_fill(small + from, n_small - from, policy)); from += len) {
        groups[n_groups++] = (pick_group_t){ .at = places + n_places, .n = len };
        for (size_t i = from; i < from + len; i++) {
            places[n_places++] = small[i].at;
            taken[small[i].at] = true;
        }
    }
    for (size_t i = 0; i < n; i++)
        if (!taken[i] && s_wants_rewrite(&segments[i], policy)) {
            groups[n_groups++] = (pick_group_t){ .at = places + n_places, .n = 1 };
            places[n_places++] = i;
        }
    *ret = groups;
    return n_groups;
}
