/* disk_int - a graph on disk with a sketch of it in memory, between its files
 *
 *     disk_build.c    vectors ──► graph (disk_graph.c), codes (pq.c) ──► objects
 *     disk_open.c     objects ──► records where they lie, validated; the codes; a cache
 *     disk_read.c     a node ──► its record
 *     disk_search.c   queries ──► a walk by codes ──► exact scores of where it has been
 *
 * Of a vector, memory has a code of an eighth of its size.  The vector and its node's links are
 * a record on disk.  A walk (disk_graph.h) sees neighbours by their codes, and reads a record
 * only to go on from there; the record brings the vector with it, so every node that a walk has
 * been at is scored exactly for nothing more, and codes decide only about where to go.
 *
 *     in memory   codes 1/8, a cache of the records around the entry 1/10, and 1 KiB a dimension,
 *                 of the vectors' size; rows of places where there are nulls
 *     on disk     records, a query reads about as many as its list is long
 *
 * The graph is one for |x - y|².  COSINE: vectors have length 1 in it.  IP: the greatest would be
 * everybody's neighbours, so each gets one more cell √(max|x|² - |x|²), and then all are of one
 * length; a query has 0 there, which leaves the order by IP (Bachrach et al. 2014).  Codes are of
 * the vectors without that cell, for their IP.
 *
 * A place is a row's number without the nulls; nodes are numbered by it.  A record:
 *
 *     u32 n           links, at most degree
 *     u32 [degree]    places; zeros behind n
 *     f32             1 / |row|; COSINE only
 *     cells           the vector, as the column has it; zeros up to a multiple of 4 bytes
 *
 * Records lie in pages of 4 KiB of the object, from its second page on: as many to a page as fit,
 * or, of longer ones, each in pages of its own; so a record is read by one page where that can
 * be.  Sections:
 *
 *     PARAMS    u32 degree, u32 list it was built with, u32 entry, u32 bytes of a code
 *     IDS       [n] u32 rising: the row of each place; only when there are nulls
 *     CODEBOOK  of the codes (pq.h)
 *     CODES     [n][bytes]
 *     BLOCKS    zeros up to the second page of the object, pages; in several objects of equally
 *               many records, the last one with the rest
 *
 * Without a row there are only PARAMS.
 *
 * Rejected: codes of neighbours in their node's record, which needs no codes in memory at all
 * (AiSAQ), because records get five times as long; direct I/O, because a machine's spare memory
 * is then no help.
 *
 * Source  Subramanya et al. 2019, "DiskANN", 3 (layout, beam search, caching, implicit re-ranking)
 */
#ifndef CORE_INDEX_DISK_INT_H
#define CORE_INDEX_DISK_INT_H

#include <stdatomic.h>

#include "core/index/index_int.h"
#include "core/index/pq.h"

enum {
    DISK_DEGREE = 56, DISK_BUILD_LIST = 100, DISK_LIST = 16, DISK_BEAM = 8,
    DISK_CODE_SHARE = 8, DISK_CACHE_SHARE = 10, DISK_CODE_BITS = 8,
    DISK_PAGE = 4096, DISK_PARAMS_BYTES = 16,
};

/* How records lie. */
typedef struct disk_layout {
    size_t degree, width;       /* width: bytes of a vector */
    size_t norm, cells, record; /* where they begin in a record; its length */
    size_t per_page;            /* records; 0: one takes `pages` */
    size_t pages;
} disk_layout_t;

void disk_layout_init(disk_layout_t *self, const index_spec_t *spec, size_t degree);

/* Of records that begin a section of an object: where record i begins, and where i of them end. */
size_t disk_layout_at(const disk_layout_t *self, size_t i);
size_t disk_layout_end(const disk_layout_t *self, size_t n);

/* An object's records. */
typedef struct disk_part {
    const uint8_t *at;          /* borrowed */
    int file;                   /* where they are to be read, borrowed; 0: at `at` */
} disk_part_t;

/* Records of nodes near the entry.  Slots: 1 + place in `nodes`, 0 free; open addressing. */
typedef struct disk_cache {
    size_t n, mask;
    uint32_t *nodes, *slots;    /* owned; [n]; [mask + 1] */
    uint8_t *records;           /* owned; [n] */
} disk_cache_t;

typedef struct disk {
    index_t base;
    size_t dim, n;              /* n: places */
    disk_layout_t layout;
    uint32_t entry;
    pq_t pq;
    const uint8_t *codes;       /* borrowed from the objects, as all of these */
    const uint32_t *ids;        /* NULL: places are rows */
    disk_part_t *parts;         /* owned; [n_parts] */
    size_t n_parts, per_part;   /* records of each but the last */
    disk_cache_t cache;
    _Atomic uint64_t reads;
} disk_t;

err_t must_use disk_build(ctx_t *ctx, const index_spec_t *spec, const index_source_t *source,
                          const index_sink_t *sink, const index_how_t *how, index_built_t *ret);
err_t must_use disk_open(ctx_t *ctx, const index_reader_t *reader, index_t **ret);
void disk_destroy(index_t *self);
err_t must_use disk_search(ctx_t *ctx, const index_t *self, const index_ask_t *ask,
                           topk_t *const *best);

/* --- records (disk_read.c) ------------------------------------------------------------------ */

/* Of one search. */
typedef struct disk_desk {
    const disk_t *of;
    uint8_t *buffer;            /* borrowed; [layout.record] */
    bool blind;                 /* the file system cannot tell whether a read would wait */
    uint64_t reads;
} disk_desk_t;

/* The record of a node, when no disk has to be waited for; it stays until the next read. */
bool disk_peek(disk_desk_t *self, uint32_t node, const uint8_t **ret);

/* Let the disk begin to read it. */
void disk_foresee(const disk_desk_t *self, uint32_t node);

/* Wait for it.
 * Errors  ERR_DISK  it cannot be read, or has changed since it was verified */
err_t must_use disk_read(ctx_t *ctx, disk_desk_t *self, uint32_t node, const uint8_t **ret);

/* Fill the cache with most records around the entry; without a file nothing is cached.
 * Errors  ERR_MEMORY */
err_t must_use disk_cache_fill(ctx_t *ctx, disk_t *self, size_t most);
void disk_cache_fini(disk_cache_t *self);

#endif
