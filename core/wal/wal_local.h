/* wal_local - the log of one pchannel as files of one directory (standalone)
 *
 *     <seq>.wal       objects (wal_record.h) one after the other, the first is seq (16 hex
 *                     digits); then zeros: files are allocated before they are used
 *     epoch           who wrote last, and how far the log reached; see below
 *     new.tmp         a file under way; swept at open
 *     epoch.tmp       the next epoch; there before, so that a full disk opens too
 *
 *     offset  size  epoch
 *     0       4     magic "EWEP"
 *     4       4     version, 1
 *     8       8     log, the random number of every object
 *     16      8     epoch
 *     24      8     end: every seq up to here was durable when this was written
 *     32      16    hash of the object `end`; zeros when end is 0
 *     48      8     largest timestamp up to end
 *     56      4     0
 *     60      4     crc32c of the bytes before
 *
 * Commit: everything appended goes to the end of the last file, with one fdatasync;
 * when a file is full, the next is allocated, synced under another name, renamed,
 * and the directory synced.  So all files but the last are durable and complete.
 *
 * Open: sweep, read and verify every object from the starting point on.  Where
 * no valid next object lies, the log ends.  That is a torn tail and is cut, unless
 * something says that more had been durable: the file `epoch`, the name of a
 * next file, or an object further on whose `stable` reaches past the end.  Then it
 * is damage, and the channel is refused with file and byte.
 *
 * What is read at the end of a log need not be on disk: it may have been written by
 * a process that died before its fdatasync, or survived in the page cache an
 * fdatasync that failed.  So open writes the last group again and syncs it before
 * anybody hears of it, zeroes what lies behind, and then raises the epoch.
 *
 * A failed write or sync is final (wal.h).  An fdatasync is never tried again: the
 * kernel may have dropped the pages and would then say OK.
 */
#ifndef CORE_WAL_WAL_LOCAL_H
#define CORE_WAL_WAL_LOCAL_H

#include "core/wal/wal.h"
#include "core/wal/wal_disk.h"

enum { WAL_LOCAL_FILE_BYTES = 64 << 20 };

typedef struct wal_local_options {
    view_t channel;             /* the pchannel's name; every batch must carry it */
    uint64_t file_bytes;        /* 0: WAL_LOCAL_FILE_BYTES; a larger object has a larger file */
    uint64_t least_epoch;       /* the new epoch is at least this, and above the last */
    wal_position_t after;       /* the checkpoint: replay what lies after it */
    wal_replay_fn *replay;      /* NULL: only verify */
    void *arg;                  /* what replay built is void when open fails */
} wal_local_options_t;

/* Take over the log on this disk, which must stay until the log is destroyed; an
 * empty disk becomes an empty log.  I/O worker.
 *
 * Errors  ERR_CORRUPT    damage before the end, files missing, another channel's files, or
 *                        a checkpoint that is not in the log: nothing was changed
 *         ERR_VERSION    written by a newer program
 *         ERR_DISK, ERR_DISK_FULL, ERR_DENIED, ERR_MEMORY, or the callback's
 */
err_t must_use wal_local_open(ctx_t *ctx, wal_disk_t *disk, const wal_local_options_t *options,
                              wal_t **ret);

#endif
