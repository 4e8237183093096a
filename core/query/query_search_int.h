/* query_search_int - a search between its files
 *
 *     query_search.c         life, the second look for strict groups, the answer
 *     query_search_part.c    what one thread does with one part
 *     query_search_index.c   the same for a segment that has an index
 *     query_search_list.c    lists of hits, and folding them
 */
#ifndef CORE_QUERY_QUERY_SEARCH_INT_H
#define CORE_QUERY_QUERY_SEARCH_INT_H

#include <pthread.h>
#include <stdatomic.h>

#include "core/query/query_collect.h"
#include "core/query/query_score.h"

enum {
    BATCH_BYTES = 8 << 20,      /* of candidates that a part holds at a time */
    FOLD_HITS = 1 << 20,        /* waiting hits that are worth folding early */
};

/* Hits of all queries, one behind the other. */
typedef struct hit_list {
    struct hit_list *next;
    uint32_t *counts;           /* [nq] */
    buf_t hits;                 /* of pick_hit_t */
} hit_list_t;

/* The group field of a block. */
typedef struct values {
    bool loaded;
    column_t column;
    uint64_t *valid;            /* owned copy; NULL: none, or the segment's */
} values_t;

struct search {
    scan_t scan;
    scorer_t scorer;
    pick_plan_t pick;           /* of parts: group_size is 1 where groups are strict */
    size_t group_field, group_size;
    bool refill;                /* strict groups of more than one */
    size_t *outputs;            /* owned; [n_outputs] */
    size_t n_outputs, most_bytes;
    index_knobs_t knobs;
    values_t *groups;           /* owned; [n_blocks]; NULL: not grouped */
    _Atomic float *bounds;      /* owned; [nq] no result is worse; rows that are equal count */
    pthread_mutex_t lock;
    hit_list_t *parked;
    size_t parked_hits, fold_at;
    _Atomic size_t done;        /* parts */
};

/* What a hit's turn to be picked asks for; arg: the search. */
void search_key(const void *arg, const pick_hit_t *hit, pick_key_t *ret);

/* --- lists ------------------------------------------ */

size_t hit_list_len(const hit_list_t *list);
const pick_hit_t *hit_list_hits(const hit_list_t *list);        /* NULL: none */
void hit_list_destroy(hit_list_t **list_p);                     /* and those behind it */
err_t must_use hit_list_new(ctx_t *ctx, size_t nq, hit_list_t **ret);

/* The hits of query q; queries come in turn.  ERR_PARAM_TOO_LARGE past LIMIT_SEARCH_HITS. */
err_t must_use hit_list_add(ctx_t *ctx, hit_list_t *list, size_t q, const pick_hit_t *hits,
                            size_t n);

/* Leave a list for whoever folds.  True when enough waits to be folded now. */
bool search_park(search_t *self, hit_list_t *list);

/* What was parked so far, which is the caller's from now on. */
hit_list_t *search_unpark(search_t *self);

/* Some lists, query by query. */
typedef struct hit_fold {
    const hit_list_t *from;
    pick_list_t *lists;         /* owned; [n] of one query */
    size_t *at;                 /* owned; [n] where the next query's hits begin */
    size_t n;
    pick_hit_t *picked;         /* owned; [most hits of one query] */
} hit_fold_t;

err_t must_use hit_fold_init(ctx_t *ctx, hit_fold_t *self, const hit_list_t *from, size_t nq);
void hit_fold_fini(hit_fold_t *self);

/* Pick query q's hits from all lists, into self->picked; queries are asked for in turn. */
err_t must_use hit_fold_query(ctx_t *ctx, hit_fold_t *self, size_t q, pick_t *pick, size_t *ret_n);

/* All of `from` as one list.  last: as the client sees them. */
err_t must_use search_fold(ctx_t *ctx, const search_t *self, const hit_list_t *from, bool last,
                           hit_list_t *into);

/* All that is parked to one list that is parked. */
err_t must_use search_fold_parked(ctx_t *ctx, search_t *self);

/* --- parts ------------------------------------------ */

/* One thread's work on one part. */
typedef struct part_work {
    search_t *search;
    const scan_part_t *part;
    pick_t *pick;
    stretch_t *stretches;       /* [n] */
    size_t n;
    hit_list_t *list;               /* what comes out */
    topk_t **best;              /* [batch]; plain */
    topk_hit_t *hits;           /* [k + 1] */
    pick_hit_t *drawn, *picked; /* [k + 1] */
    collector_t *collectors;    /* [batch]; grouped */
    size_t batch;
    bool exact;                 /* scan, even where there is an index */
    int rises;                  /* do keys rise from row to row?  -1: not known yet */
} part_work_t;

/* Open the part's stretches.  *ret_any: some row takes part. */
err_t must_use part_work_open(ctx_t *ctx, part_work_t *self, bool *ret_any);
void part_work_fini(part_work_t *self);

/* Queries [q, q + n) over all stretches to collectors [n].
 *   members  [n] only rows whose group was picked there; NULL: rows of any group */
err_t must_use part_work_collect(ctx_t *ctx, const part_work_t *self, collector_t *collectors,
                                 size_t q, size_t n, pick_t *const *members);

/* The best hits of every query, to self->list. */
err_t must_use part_work_run(ctx_t *ctx, part_work_t *self);

/* Before the first row of query q: what need not be found. */
void part_limit_topk(const search_t *self, size_t q, topk_t *best);

/* k results of query q are no worse than this. */
void part_tighten(search_t *self, size_t q, float score);

/* Are the part's rows in the order of their keys, each once?  Then a top-k has settled ties. */
bool part_rises(part_work_t *self);

/* Rows of a top-k, numbered by their place in the segment, as hits; what clients may not see is
 * left out.  Returns how many. */
size_t part_draw(const part_work_t *self, const topk_hit_t *from, size_t n, pick_hit_t *ret);

/* The best hits that the part's index finds for every query, to self->list. */
err_t must_use part_work_run_index(ctx_t *ctx, part_work_t *self);

#endif
