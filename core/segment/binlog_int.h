/* binlog_int - the numbers of the format, for binlog.c (reading) and binlog_write.c */
#ifndef CORE_SEGMENT_BINLOG_INT_H
#define CORE_SEGMENT_BINLOG_INT_H

#include "core/segment/binlog.h"

enum {
    BINLOG_VERSION = 1, BINLOG_ALIGN = 64,
    BINLOG_HEAD_BYTES = 64, BINLOG_ENTRY_BYTES = 48, BINLOG_TAIL_BYTES = 32,
    BINLOG_RAW_PAGE_BYTES = 1 << 20,
};
enum { BINLOG_RAW = 1, BINLOG_NULLS = 2 };                              /* flags of a file */
enum { BINLOG_ZSTD, BINLOG_CELLS, BINLOG_OFFSETS, BINLOG_VALID };       /* kinds of pages */
enum { BINLOG_RANGE = 1 };                                              /* flags of a page */

typedef struct binlog_entry {
    uint64_t offset;
    uint32_t stored, crc, raw, rows, kind, flags;
    uint64_t min, max;
} binlog_entry_t;

static inline uint64_t binlog_aligned(uint64_t bytes)
{
    return (bytes + BINLOG_ALIGN - 1) & ~(uint64_t)(BINLOG_ALIGN - 1);
}

static inline size_t binlog_words(size_t n)
{
    return (n + 63) / 64;
}

#endif
