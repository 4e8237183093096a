/* query - reading segments: search (the nearest rows) and retrieve (rows by filter or key)
 *
 * Both are pure work over segments that the caller has pinned: no I/O of its
 * own but the lazy columns of a sealed segment, no network, no metadata.  A
 * read is cut into parts so that several threads can do it:
 *
 *     search_t *s = NULL;
 *     TRY(search_new(ctx, &plan, sources, n, &s));
 *     for (size_t i = 0; i < search_parts(s); i++)        // on any threads, beside each other
 *         TRY(search_run(ctx_of_that_thread, s, i));
 *     TRY(search_finish(ctx, s, &found));                 // when all parts have ended
 *
 * A row takes part when its segment is among the sources, it is visible at
 * read_ts (core/segment/segment.h), and the filter is true for it; in a search
 * its vector must not be null.  Two rows of one primary key (inserted twice) are
 * one result: the best score for a search, the newest for a retrieve.  Only
 * count(*) counts rows, as Milvus does.
 *
 * A sealed segment that has an index of the field and metric (sealed_set_index) is searched by it,
 * as a part of its own; all else is scanned, which is exact.
 *
 * Where a sealed segment has indexes of scalar fields (sealed_set_scalar), they answer what is
 * cheaper so of a filter (query_answers.h); the rows it takes are the same.
 *
 * But for indexes of vectors, the answer depends on the rows alone: not on threads, on the order
 * of parts or on how rows are spread over segments.  Equal scores are ordered by primary key,
 * the smaller first.
 */
#ifndef CORE_QUERY_QUERY_H
#define CORE_QUERY_QUERY_H

#include "core/expr/expr.h"
#include "core/segment/growing.h"
#include "core/segment/sealed.h"
#include "core/simd/metric.h"

/* One segment to read: exactly one of both is set; a reference is taken. */
typedef struct query_source {
    growing_t *growing;
    sealed_t *sealed;
} query_source_t;

/* --- search ------------------------------------------------------------------ */

typedef struct search_plan {
    schema_t *schema;           /* borrowed for the life of the search, as everything here */
    expr_t *filter;             /* NULL: all rows */
    uint64_t read_ts;
    uint64_t expire_ts;         /* rows older than this are not seen (TTL); 0: none */
    size_t field;               /* place of the vector field in the schema */
    metric_t metric;
    size_t topk;                /* 1..LIMIT_TOPK hits; with group_field: groups */
    column_t queries;           /* of the field's type; n = nq */
    bool has_radius, has_range_filter;
    float radius, range_filter; /* Milvus's range search, in the metric's own scores */
    size_t group_field;         /* SIZE_MAX: none */
    size_t group_size;          /* hits a group, 1..LIMIT_GROUP_SIZE */
    bool strict_group_size;     /* fill all groups; else rows behind the last group's first
                                   hit are left out, as Milvus's iterator stops there */
    const size_t *outputs;      /* [n_outputs] places in the schema */
    size_t n_outputs;
    size_t most_bytes;          /* of the answer; 0: no bound */
    index_knobs_t knobs;        /* for segments that have an index of the field and metric */
    size_t part_bytes;          /* of vectors that a part reads, about; 0: 4 MiB */
} search_plan_t;

/* Hits of query q are the next hits[q] of each column, best first; grouped: group by group,
 * the best group first.  Owned by the caller. */
typedef struct search_found {
    size_t nq;
    uint32_t *hits;             /* [nq] */
    size_t n;                   /* all hits */
    float *scores;              /* [n] as clients see them: L2 squared, COSINE in [-1, 1] … */
    column_builder_t pks;
    column_builder_t groups;    /* used with group_field */
    column_builder_t *outputs;  /* [n_outputs] */
    size_t n_outputs;
} search_found_t;

void search_found_fini(search_found_t *self);

typedef struct search search_t;

/* Errors  ERR_MEMORY; ERR_PARAM_INVALID when metric and field do not go together */
err_t must_use search_new(ctx_t *ctx, const search_plan_t *plan, const query_source_t *sources,
                          size_t n_sources, search_t **ret);
void search_destroy(search_t **self_p);

/* How many pieces of work of about equal size; may be 0. */
size_t search_parts(const search_t *self);

/* Predicates of the filter that scalar indexes answered so far, in all segments. */
size_t search_answered(const search_t *self);

/* Do part i, once.  Errors: of expr_eval, brute_search, sealed_column.  Thread  any */
err_t must_use search_run(ctx_t *ctx, search_t *self, size_t i);

/* Merge the parts and read the output fields of the hits; once, all parts have ended well.
 * Errors  of sealed_column; ERR_MEMORY; ERR_UNEXPECTED  more than most_bytes: Milvus's text */
err_t must_use search_finish(ctx_t *ctx, search_t *self, search_found_t *ret);

/* --- retrieve ---------------------------------------------------------------- */

typedef struct retrieve_plan {
    schema_t *schema;
    expr_t *filter;             /* NULL: all rows */
    uint64_t read_ts;
    uint64_t expire_ts;         /* rows older than this are not seen (TTL); 0: none */
    const column_t *pks;        /* these keys only; NULL: any */
    size_t limit;               /* the rows with the least primary keys; 0: all */
    bool count;                 /* only how many rows, repeated keys too; no limit then */
    const size_t *outputs;
    size_t n_outputs;
    size_t most_bytes;          /* of the answer; 0: no bound */
    size_t part_rows;           /* rows of a part, about; 0: 16384 */
} retrieve_plan_t;

/* Rows by primary key, each key once; only `count` when only that was asked for. */
typedef struct retrieved {
    uint64_t count;             /* when that was asked for; then there are no rows */
    column_builder_t pks;
    uint64_t *ts;               /* [pks.n] */
    column_builder_t *outputs;
    size_t n_outputs;
} retrieved_t;

void retrieved_fini(retrieved_t *self);

typedef struct retrieve retrieve_t;

err_t must_use retrieve_new(ctx_t *ctx, const retrieve_plan_t *plan, const query_source_t *sources,
                            size_t n_sources, retrieve_t **ret);
void retrieve_destroy(retrieve_t **self_p);
size_t retrieve_parts(const retrieve_t *self);
size_t retrieve_answered(const retrieve_t *self);       /* as search_answered */
err_t must_use retrieve_run(ctx_t *ctx, retrieve_t *self, size_t i);
err_t must_use retrieve_finish(ctx_t *ctx, retrieve_t *self, retrieved_t *ret);

#endif
