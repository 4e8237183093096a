/* pick - which of many hits count: the best first, each primary key once, groups
 *
 * Hits come in lists, each sorted by score, from parts of a search or from
 * nodes.  They are looked at in one order, best first; of equal scores the
 * smaller primary key first, of equal keys the newer row.  A hit whose key was
 * taken is passed over.  Without groups the first k that are left are the answer.
 * With groups a hit of one of the first k group values is taken as long as its
 * group has fewer than group_size:
 *
 *     not strict    up to the first hit of the k-th group, where Milvus's iterator stops
 *     strict        until all k groups are full, or no hit is left
 *
 * Picking from picked lists gives what picking from all hits at once would have
 * given (strict: only when the lists hold all hits of the groups), so parts can
 * be folded together in any order.
 */
#ifndef CORE_QUERY_PICK_H
#define CORE_QUERY_PICK_H

#include "core/schema/schema.h"

/* from: whose it is; row: where there.  What they mean is the caller's. */
typedef struct pick_hit {
    float score;
    uint32_t from, row;
} pick_hit_t;

/* What is asked about a hit only when its turn comes. */
typedef struct pick_key {
    view_t pk, group;           /* borrowed as long as the pick lives */
    bool null_group;            /* nulls are a group of their own */
    uint64_t ts;
} pick_key_t;

typedef void pick_key_fn(const void *arg, const pick_hit_t *hit, pick_key_t *ret);

typedef struct pick_plan {
    type_t pk;
    bool descends;              /* greater scores are better */
    bool grouped, strict;
    size_t k, group_size;       /* at least 1 each */
    pick_key_fn *key;
    const void *arg;            /* of key; borrowed */
} pick_plan_t;

typedef struct pick_list {
    const pick_hit_t *hits;     /* [n] by score, best first; no NaN */
    size_t n;
} pick_list_t;

typedef struct pick pick_t;

pick_t *pick_new(const pick_plan_t *plan);
void pick_destroy(pick_t **self_p);

/* Pick from all lists.
 *   ret       [least of k · group_size and all hits]; best first
 *   ret_full  no hit behind the last one can count any more
 * Equal scores, keys and times: the greater `from`, then the greater row goes first.
 * Errors  ERR_MEMORY
 * Cost    log(n_lists) for each hit up to the last that is taken */
err_t must_use pick_run(ctx_t *ctx, pick_t *self, const pick_list_t *lists, size_t n_lists,
                        pick_hit_t *ret, size_t *ret_n, bool *ret_full);

/* Order by score, best first. */
void pick_sort(const pick_t *self, pick_hit_t *hits, size_t n);

/* Did the last pick_run pick a hit of this group? */
bool pick_has_group(const pick_t *self, const pick_key_t *key);

/* Rearrange the hits that the last pick_run picked: group by group, the best group first,
 * without the first `skip` groups.  Ungrouped: without the first `skip` hits. */
err_t must_use pick_by_group(ctx_t *ctx, const pick_t *self, size_t skip, pick_hit_t *hits,
                             size_t *n);

#endif
