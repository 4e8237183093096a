/* binlog - one field of one segment as a file
 *
 * A segment's rows are cut into parts (most segments have one); a binlog holds
 * one field of one part.  Vectors lie uncompressed and aligned, so that a mapped
 * file is a column; everything else is compressed page by page, with the least
 * and greatest value of a page of numbers beside it.  Each byte is under a
 * checksum of its own, whatever the store does.
 *
 *     offset   size     field, little-endian
 *     0        4        magic "ELBL"
 *     4        2        version, 1
 *     6        1, 1     type of the field, of its elements (Array)
 *     8        8        field id; 1 is the rows' timestamps, as Int64
 *     16       8        segment id
 *     24       8        first row: its place in the segment
 *     32       8        n rows
 *     40       4        width of a cell, 0: cells differ
 *     44       4        flags: 1 raw, 2 has nulls
 *     48       12       0
 *     60       4        crc32c of the bytes before
 *     64       ..       pages, each at a multiple of 64, zeros between
 *     D        48*p     directory: an entry a page
 *     D+48p    8        n pages
 *     D+48p+8  8        length of the file
 *     D+48p+16 8        row bytes: of all cells together, without offsets and nulls
 *     D+48p+24 4        crc32c of the header and the directory and the 24 bytes before
 *     D+48p+28 4        magic "ELBE"
 *
 *     entry    size     field
 *     0        8        offset of the page
 *     8        4        bytes stored, without the zeros behind it
 *     12       4        crc32c of the page with the zeros behind it
 *     16       4        bytes when uncompressed
 *     20       4        rows; 0 in raw files
 *     24       4        kind: 0 zstd of column_write's bytes; raw: 1 cells, 2 offsets,
 *                       3 valid words
 *     28       4        flags: 1 min and max follow
 *     32       8, 8     min, max: i64 of integers and Bool, f64 of Float and Double
 *
 * Pages lie one behind the other without a gap from 64 to D.  A zstd page holds a
 * multiple of 64 rows (the last one: the rest).  A raw file has its cells, then
 * offsets (u64 [n+1]), then valid words, each in pages of 1 MiB that continue
 * one another, so that the cells are one stretch from byte 64.  min and max leave
 * nulls out; a page without values or with a NaN has none.
 *
 * Rejected: one checksum at the end (a page could not be read alone); a footer
 * of text or protobuf (a length to trust before anything is verified).
 */
#ifndef CORE_SEGMENT_BINLOG_H
#define CORE_SEGMENT_BINLOG_H

#include "core/base/buf.h"
#include "core/segment/segment.h"
#include "core/store/store.h"

typedef struct binlog_head {
    int64_t field;
    uint64_t segment;
    uint64_t first;             /* row */
    bool raw;                   /* the field's cells are vectors */
} binlog_head_t;

/* Write a binlog of the rows of some columns of one field, one after the other.
 *
 *   columns  [n_columns], at least one; borrowed
 *   into     the file is appended; its start in `into` must be 0
 *
 * Errors  ERR_MEMORY  ERR_PARAM_TOO_LARGE  a page would pass LIMIT_BINLOG_PAGE_BYTES */
err_t must_use binlog_write(ctx_t *ctx, const binlog_head_t *head, const column_t *columns,
                            size_t n_columns, buf_t *into);

/* --- reading ------------------------------------------ */

typedef struct binlog binlog_t;

/* Open a file that is in memory, or mapped; bytes are borrowed until the end and
 * 64-aligned where raw columns shall be used in place.  name is for texts, copied.
 * ERR_CORRUPT with name and offset, for anything but a whole binlog.  Pages are
 * verified when they are read.  ret: out, caller destroys. */
err_t must_use binlog_open(ctx_t *ctx, view_t bytes, const char *name, binlog_t **ret);

/* Open an object of the store by its ends only; pages are fetched when they are
 * asked for.  store is borrowed.  Errors of store_get_range, ERR_CORRUPT. */
err_t must_use binlog_open_store(ctx_t *ctx, store_t *store, const char *key, binlog_t **ret);

void binlog_destroy(binlog_t **self_p);

const binlog_head_t *binlog_head(const binlog_t *self);
size_t binlog_rows(const binlog_t *self);
type_t binlog_type(const binlog_t *self);

/* ERR_CORRUPT unless the file holds this field of this segment, rows from `first`. */
err_t must_use binlog_expect(ctx_t *ctx, const binlog_t *self, const field_t *field,
                             uint64_t segment, uint64_t first);

/* Rows [from, from + n) as a column in ctx's arena, or in place; from is a multiple of
 * 64.  Reads and verifies only the pages that hold them. */
err_t must_use binlog_read(ctx_t *ctx, const binlog_t *self, size_t from, size_t n,
                           column_t *ret);

/* All rows, in memory of their own: *ret_memory is freed with mem_free when the column
 * is done with; it stays NULL when the column lies in the bytes that were opened. */
err_t must_use binlog_load(ctx_t *ctx, const binlog_t *self, void **ret_memory, column_t *ret);

/* What lies where, for who looks at a file; raw pages have no rows of their own. */
typedef struct binlog_place {
    const char *kind;           /* "zstd", "cells", "offsets", "valid" */
    uint64_t offset;
    size_t stored, unpacked, rows;      /* bytes, bytes */
} binlog_place_t;
binlog_place_t binlog_place(const binlog_t *self, size_t page);

/* Pages of numbers: rows [*ret_first, + *ret_n) have values from min to max.  False when
 * page i has none.  Compare with i64 or f64 after the field's type. */
size_t binlog_pages(const binlog_t *self);
bool binlog_range(const binlog_t *self, size_t page, size_t *ret_first, size_t *ret_n,
                  uint64_t *ret_min, uint64_t *ret_max);

#endif
