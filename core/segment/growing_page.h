/* growing_page - rows of a growing segment on their way to another process
 *
 * Rows of a growing segment are in the order of their timestamps and never change, so whoever
 * copies it needs to tell only how many it has, and gets the next ones: a page.  Pages put one
 * after the other are the segment.  Deaths are not in them: they come as deletes.
 *
 *     offset  size  page, little-endian
 *     0       4     magic "EGRP"
 *     4       4     crc32c of all that follows
 *     8       8     its first row
 *     16      8     n rows, at least 1
 *     24      8     f fields
 *     32      8n    timestamps
 *     ..      8f    field ids
 *     ..      ..    f columns (core/schema/column.h)
 */
#ifndef CORE_SEGMENT_GROWING_PAGE_H
#define CORE_SEGMENT_GROWING_PAGE_H

#include "core/segment/growing.h"

/* Append to `into` the page of rows [from, from + *ret_n) of a snapshot: as many as lie in
 * one block and take most_bytes or little more, at least one.
 *
 *   from   below snap->n
 *
 * Errors  ERR_MEMORY; into is of no use then
 * Cost    one copy of the cells */
err_t must_use growing_page_write(ctx_t *ctx, const growing_snapshot_t *snap, size_t from,
                                  size_t most_bytes, buf_t *into, size_t *ret_n);

/* Append the rows of a page to the copy, all or none.
 *
 *   page   any alignment; borrowed
 *
 * Errors  ERR_CORRUPT  damaged, another schema's, or it does not begin where the copy ends
 *         of growing_append
 * Thread  the copy's writer */
err_t must_use growing_page_read(ctx_t *ctx, growing_t *copy, view_t page);

#endif
