/* flush - rows in memory to the objects of a sealed segment
 *
 * A plan fixes at one instant which rows and which deletes are written, and by
 * which names; making the bytes of an object is then a pure function of the
 * plan, one object at a time, so a flush needs memory for one field of one
 * part.  Putting them is a loop; nothing is visible before metadata names them,
 * and a flush that failed is planned again under another attempt number, because
 * a key never stands for two contents:
 *
 *     binlog/<collection>/<partition>/<segment>/<field>/<attempt>-<part>
 *     deltalog/<collection>/<partition>/<segment>/<attempt>
 *     stats/<collection>/<partition>/<segment>/<attempt>
 *
 * compact.h makes such plans from sealed segments.
 */
#ifndef CORE_SEGMENT_FLUSH_H
#define CORE_SEGMENT_FLUSH_H

#include "core/segment/growing.h"
#include "core/segment/sealed.h"

/* Where rows come from: pieces, each a run of rows that is small beside
 * LIMIT_BINLOG_BYTES.  Columns live in the ctx's arena or in what arg holds. */
typedef struct flush_source {
    schema_t *schema;           /* borrowed from arg */
    void *arg;                  /* owned by the plan */
    size_t n_pieces;
    size_t (*rows)(void *arg, size_t piece);
    err_t (*ts)(ctx_t *ctx, void *arg, size_t piece, const uint64_t **ret);
    err_t (*column)(ctx_t *ctx, void *arg, size_t piece, size_t field, column_t *ret);
    uint64_t (*died)(void *arg, size_t piece, size_t at);       /* NULL: nobody died */
    void (*destroy)(void *arg);
} flush_source_t;

typedef struct flush_options {
    segment_id_t id;            /* of the sealed segment; flush_growing takes the growing one's */
    uint64_t attempt;
    uint64_t part_bytes;        /* of a field, where another part begins; 0: LIMIT_BINLOG_BYTES */
} flush_options_t;

typedef struct flush flush_t;

/* Plan to write all rows of a source.  The source is moved, on failure too.
 * ERR_MEMORY, ERR_CAPACITY_EXCEEDED (LIMIT_SEGMENT_ROWS).  ret: out, caller destroys. */
err_t must_use flush_plan(ctx_t *ctx, const flush_source_t *source,
                          const flush_options_t *options, flush_t **ret);

/* Plan to write a growing segment: its rows up to read_ts, and every death known now.
 * Keeps a reference.  Deletes that are applied later must reach the sealed segment by
 * another way.  The writer's thread, or with the writer at rest. */
err_t must_use flush_growing(ctx_t *ctx, growing_t *segment, uint64_t read_ts,
                             const flush_options_t *options, flush_t **ret);
void flush_destroy(flush_t **self_p);

/* The objects, in the order of making. */
size_t flush_objects(const flush_t *self);
const char *flush_key(const flush_t *self, size_t i);
err_t must_use flush_make(ctx_t *ctx, flush_t *self, size_t i, buf_t *into);

/* Make and put every object.  On failure some may be there: they are garbage.
 * Thread  I/O worker: blocks.  Errors of store_put, ERR_MEMORY. */
err_t must_use flush_put(ctx_t *ctx, flush_t *self, store_t *store);

/* What was planned, borrowed; n_rows 0: there is nothing to write, and no object. */
const sealed_files_t *flush_files(const flush_t *self);
uint64_t flush_bytes(const flush_t *self);      /* put so far */
uint64_t flush_deleted(const flush_t *self);    /* of the rows: dead ones */
size_t flush_binlogs(const flush_t *self);      /* names in flush_files()->binlogs */

#endif
