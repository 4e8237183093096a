/* write_plan - which rows and keys of a request go where, and the log objects that carry them
 *
 *     rows ──by key──► shard ──by name, or by partition key──► partition
 *     keys to delete ──by key──► shard
 *
 * For each shard that anything goes to, one log object (core/wal/wal_record.h)
 * is made: first the keys to delete, then the rows of each partition, all with
 * timestamp 0 and segment 0 for the channel's owner to fill in, and all with
 * the request's number, by which the owner knows a repeated one.  An object
 * names the epoch its owner is believed to have, so it is made anew, from the
 * same columns, when the channel has moved.
 */
#ifndef PROXY_WRITE_PLAN_H
#define PROXY_WRITE_PLAN_H

#include "core/base/buf.h"
#include "proxy/rows.h"

enum { WRITE_ALL_PARTITIONS = -1 };

/* Rows of one place; rows NULL: the first n, all there are. */
typedef struct write_run {
    const uint32_t *rows;       /* rising */
    size_t n;
} write_run_t;

typedef struct write_plan {
    schema_t *schema;           /* shared: the plan holds a reference */
    int64_t collection;
    size_t n_shards;
    uint64_t request[2];

    const column_t *columns;    /* of the rows, in the schema's order; NULL: no rows */
    size_t n_partitions;
    const int64_t *partitions;  /* [n_partitions] */
    write_run_t *runs;          /* [n_shards][n_partitions] */

    const column_t *deletes;    /* keys; NULL: none */
    int64_t delete_partition;
    write_run_t *delete_runs;   /* [n_shards] */
} write_plan_t;

/* Rows to be inserted: sets columns and runs.  partitions, n_partitions are set by the caller;
 * more than one: the partition key decides.
 *   upsert   of rows with the same key only the last is kept; keys are deleted first
 * Errors  ERR_MEMORY     Cost  a hash a row; with upsert a sort */
err_t must_use write_plan_rows(ctx_t *ctx, write_plan_t *plan, const rows_t *rows, bool upsert);

/* Keys to be deleted: sets deletes and delete_runs.  Borrowed. */
err_t must_use write_plan_deletes(ctx_t *ctx, write_plan_t *plan, const column_t *keys);

/* Does anything go to this shard? */
bool write_plan_touches(const write_plan_t *plan, size_t shard);

/* The object for one shard.
 *   scratch  context for columns that had to be gathered, and for the error
 *   ret      out; moved to the caller, empty before
 * Errors  ERR_PARAM_TOO_LARGE, ERR_MEMORY      Cost  a copy of the columns, a checksum */
err_t must_use write_plan_object(ctx_t *scratch, const write_plan_t *plan, size_t shard,
                                 const char *vchannel, uint64_t epoch, buf_t *ret);

#endif
