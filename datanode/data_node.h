/* data_node - the owner of write channels
 *
 * It takes the channels that the leading coordinator gives it, each under an
 * epoch of its own, orders what is written to them, keeps the log, holds the rows
 * of growing segments and turns them into sealed ones.  data_int.h tells how.
 */
#ifndef DATANODE_DATA_NODE_H
#define DATANODE_DATA_NODE_H

#include "core/node/node.h"
#include "core/store/store.h"
#include "core/wal/wal_disk.h"

/* What the node is made with; sizes in bytes, times in ms. */
typedef struct data_options {
    store_t *store;             /* of sealed segments; borrowed.  NULL: nothing is flushed */

    /* Open the disk under a channel's log, on an I/O worker; the node destroys it.  NULL: logs
     * are on the store; without one no channel can be opened. */
    err_t (*open_disk)(ctx_t *ctx, void *arg, const char *pchannel, wal_disk_t **ret);
    void *disk_arg;

    uint64_t wal_file_bytes;    /* 0: wal_local.h's */
    unsigned readers;           /* threads that fetch a log of the store for a replay; 0: one */
    uint64_t memory_bytes;      /* of growing rows and deletes not yet flushed; 0: no bound */
    int64_t repeat_ms;          /* a request that comes again within this time is known */

    uint64_t seal_bytes;        /* a growing segment seals at this size; 0: LIMIT_SEGMENT_ROWS */
    int64_t seal_age_ms, seal_idle_ms;  /* at this age; when nothing came for so long */
    uint64_t seal_idle_bytes;   /* and it has this size at least */
    uint64_t delete_bytes;      /* of a channel, kept in memory before they are flushed */
    int64_t delete_age_ms;      /* they are flushed at this age anyway */

    uint64_t segment_bytes;     /* of a full segment: what a compaction aims at */
    double small_share, compactable_share, expansion_rate;
    int64_t retention_ms;       /* a row dead for so long has no reader any more */
    int64_t expire_ms;          /* age of rows that expire where no TTL is set; <= 0: never */
    bool compaction, auto_compaction, gc;
    int64_t gc_interval_ms, gc_missing_ms, gc_drop_ms;
} data_options_t;

extern const role_t data_role;

#endif
