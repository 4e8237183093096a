/* data_pick - which flushed segments are worth writing anew
 *
 * Pure: from what metadata says of one partition's segments in one vchannel to groups.
 *
 * A segment is *rewritten* when a fifth of its rows are dead or expired, or when it has
 * gathered many deltalogs: whoever opens it reads them all.  Small segments are *merged*.
 * Milvus fills one bucket up to the maximum size, from whatever is small; repeated, that
 * writes the biggest of them again for each handful of tiny ones.  So here a group must
 * fill a segment, or consist of several of about one size: then a row is written
 * O(log n) times, and the number of segments stays logarithmic too.
 */
#ifndef DATANODE_DATA_PICK_H
#define DATANODE_DATA_PICK_H

#include "core/base/base.h"

typedef struct pick_segment {
    uint64_t id, bytes, rows, deleted;
    uint64_t min_ts, max_ts;
    size_t n_deltalogs;
    bool ripe;                  /* its dead rows have been dead long enough to be left out */
} pick_segment_t;

typedef struct pick_policy {
    uint64_t segment_bytes;     /* aim of a merge */
    double small_share;         /* below this share of it a segment is small */
    double compactable_share;   /* from this share on a group fills a segment */
    double expansion_rate;      /* a group may pass the aim by this factor */
    uint64_t expire_ts;         /* rows older than this are expired; 0: none */
    bool manual;                /* somebody asked: whatever helps at all */
} pick_policy_t;

typedef struct pick_group {
    const size_t *at;           /* [n] places in the input; arena */
    size_t n;
} pick_group_t;

/* Groups of disjoint segments, an array in the arena of ctx.  O(n log n) */
size_t pick_merges(ctx_t *ctx, const pick_segment_t *segments, size_t n,
                   const pick_policy_t *policy, pick_group_t **ret);

/* Is so much of it dead, if its deaths are counted or not, that it is to be rewritten? */
bool pick_is_dense(const pick_segment_t *segment);

#endif
