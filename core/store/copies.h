/* copies - objects of a remote store as files of this machine
 *
 *     store ──parts, verified──► DIR/(no name) ──► mapped, and read at places
 *
 * An index that is searched for days is read once from S3 and then, a page at a time, for ever:
 * from a file the system keeps as much of it in memory as there is room for, and gives that room
 * to others when they need it; a body in memory is there until it is let go.
 *
 * A copy is a file without a name (O_TMPFILE, or removed as soon as it is made where there is no
 * such thing): it ends with its last use, be that store_unmap or kill -9, and nobody else can find
 * it.  So nothing is left behind by a crash that somebody would have to know for garbage, any
 * number of processes may share a directory, and there is no lock.  Only between making and
 * removing, on the second way, a crash leaves a name; copies_open removes such names, and if one
 * belongs to a process that is about to remove it itself, it does no harm.
 *
 * The directory holds room for limit_bytes of ours, and as much of its file system as `share`
 * says; who would pass that, or finds the disk full, is told ERR_DISK_FULL and may read the object
 * into memory instead.  `df` shows copies, `du` does not: copies_bytes is a metric.
 *
 * Rejected: files with names under a lock of the process, swept by who takes the lock next, since
 * then nobody sweeps where nobody starts again; the part of a file that is asked for only (a sparse
 * cache), since an index is read whole when it is opened.
 */
#ifndef CORE_STORE_COPIES_H
#define CORE_STORE_COPIES_H

#include "core/store/store.h"

typedef struct copies_options {
    const char *dir;            /* made when missing, and its parents */
    uint64_t limit_bytes;       /* of all copies at a time; 0: no bound but the next */
    double share;               /* of the file system that may be in use; 0: all */
    uint64_t least_bytes;       /* smaller objects are read into memory */
} copies_options_t;

/* Make and try the directory.
 * Errors  ERR_DISK, ERR_DISK_FULL, ERR_DENIED  it cannot be used, with the reason
 * Thread  blocks */
err_t must_use copies_open(ctx_t *ctx, const copies_options_t *options, copies_t **ret);

/* Let go of; what is mapped stays so. */
void copies_unref(copies_t **self_p);
static inline void copies_destroy(copies_t **self_p) { copies_unref(self_p); }

/* As store_map, but the bytes of a store that cannot map are in a file of ours: store_map_file
 * has it, store_map_cool works.  Memory: LIMIT_STORE_COPY_BYTES at a time.
 *   self  NULL: store_map
 * Errors  of store_map; ERR_DISK_FULL, ERR_DISK, ERR_DENIED  of our directory: store_map may do
 * Thread  I/O worker: blocks */
err_t must_use copies_map(ctx_t *ctx, copies_t *self, store_t *store, const char *key,
                          store_mapping_t *ret);

/* In files now. */
uint64_t copies_bytes(const copies_t *self);

/* For store_unmap. */
void copies_end(copies_t **self_p, uint64_t bytes);

#endif
