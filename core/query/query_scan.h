/* query_scan - the rows of the sources as blocks, the work over them as parts
 *
 * Blocks of all sources are numbered through, so a row is (block, row of it) for
 * everything in this room.  A part is some whole blocks one after the other, or a
 * piece of one big block that begins at a multiple of 64 rows.
 */
#ifndef CORE_QUERY_QUERY_SCAN_H
#define CORE_QUERY_QUERY_SCAN_H

#include "core/query/query_answers.h"
#include "core/query/query_int.h"

typedef struct scan_block {
    size_t source, i;           /* block i of that source */
    size_t first, n;            /* its rows in the segment */
    const uint64_t *ts;         /* [n] */
    column_t pks;
} scan_block_t;

typedef struct scan_part {
    size_t begin, end;          /* blocks */
    size_t from, n;             /* rows; of the one block, or of all */
    const index_t *index;       /* it is searched by; the part is the segment.  NULL: scanned */
} scan_part_t;

/* A row. */
typedef struct scan_place { uint32_t block, row; } scan_place_t;

typedef struct scan_source {
    growing_t *growing;         /* a reference to one of both */
    sealed_t *sealed;
    growing_snapshot_t snap;
    field_index_t *index;       /* a reference; NULL: it is scanned */
    answers_t *answers;         /* owned; NULL: no predicate of the filter has an index */
    size_t begin, end;          /* its blocks */
} scan_source_t;

typedef struct scan {
    schema_t *schema;
    expr_t *filter;             /* NULL: all rows */
    uint64_t read_ts;
    uint64_t expire_ts;         /* older rows are not seen; 0: none. Set after scan_init */
    scan_source_t *sources;
    scan_block_t *blocks;
    scan_part_t *parts;
    size_t n_sources, n_blocks, n_parts;
} scan_t;

/* Take references.  Errors  ERR_MEMORY; then fini is still needed */
err_t must_use scan_init(ctx_t *ctx, scan_t *self, schema_t *schema, expr_t *filter,
                         uint64_t read_ts, const query_source_t *sources, size_t n_sources);
void scan_fini(scan_t *self);

/* Search segments by the indexes of this field that they have at this moment, if they are of
 * this metric.  Before scan_cut. */
void scan_use_indexes(scan_t *self, size_t field, metric_t metric);

/* Cut into parts of about part_rows rows.  ERR_MEMORY */
err_t must_use scan_cut(ctx_t *ctx, scan_t *self, size_t part_rows);

/* Rows [from, from + n) of block b that belong to part p; b in [begin, end). */
void scan_rows(const scan_t *self, const scan_part_t *part, size_t b, size_t *ret_from,
               size_t *ret_n);

/* A field of a block; it may lie in ctx's arena.  Errors of sealed_column. */
err_t must_use scan_column(ctx_t *ctx, const scan_t *self, size_t b, size_t field, column_t *ret);

/* The newest row with this key that a reader at read_ts sees in one source. */
bool scan_find(const scan_t *self, size_t source, view_t pk, size_t *ret_block, size_t *ret_row);

/* A field of these rows, one after the other, appended to `into`.
 *   places  [n]
 * Errors  of scan_column; ERR_MEMORY; ERR_UNEXPECTED  the answer's bound */
err_t must_use scan_copy(ctx_t *ctx, const scan_t *self, size_t field, const scan_place_t *places,
                         size_t n, answer_t *answer, column_builder_t *into);

/* Predicates of the filter that indexes have answered so far, in all segments. */
size_t scan_answered(const scan_t *self);

/* Do all rows of the segment that block b is of take part?  In O(1); false may be wrong. */
bool scan_keeps_all(const scan_t *self, size_t b);

/* Which of rows [from, from + n) of block b does a reader at read_ts see, the filter take?
 *   cells   a column of these rows whose nulls do not take part; NULL: none
 *   ret     made here, of n bits; the caller's to fini, on failure too
 *   ret_n   bits that are set */
err_t must_use scan_keep(ctx_t *ctx, const scan_t *self, size_t b, size_t from, size_t n,
                         const column_t *cells, bitset_t *ret, size_t *ret_n);

#endif
