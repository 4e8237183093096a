/* data_shard - one shard of one collection: its segments that are not flushed, and its deletes */
#ifndef DATANODE_DATA_SHARD_H
#define DATANODE_DATA_SHARD_H

#include "core/base/vec.h"
#include "core/segment/growing.h"
#include "core/wal/wal.h"

typedef struct data_channel data_channel_t;
typedef struct data_shard data_shard_t;

typedef enum {
    DATA_GROWING,               /* takes rows */
    DATA_SEALED,                /* no more; to be flushed once `pending` is 0 */
    DATA_FLUSHED,               /* metadata names its objects; kept, for its deletes, as long as a
                                 * reader of this process shares it */
} data_segment_state_t;

typedef struct data_segment {
    uint64_t id, partition;
    growing_t *rows;            /* one reference; shown in live.h until FLUSHED */
    data_segment_state_t state;
    wal_position_t first, last; /* of the applied entries that hold its rows; {0,0}: none yet */
    int64_t opened_ms, touched_ms;      /* wall clock, of its first and last rows */
    uint32_t pending;           /* entries meant for it that are not applied yet */
    uint64_t pending_bytes, pending_rows;
    uint64_t counted, counted_rows;     /* its share of data_node.bytes, .rows */

    /* Persistence's own */
    bool flushing;              /* a plan of it is being put, or named */
    uint32_t flush_failed;      /* times in a row */
    int64_t flush_at_ms;        /* not before */
    uint64_t flushed_before;    /* keeper_t.flushed_bytes when it was first seen, plus 1 */
} data_segment_t;

/* The keys of one entry.  They are kept until the checkpoint has passed them. */
typedef struct data_delete {
    wal_position_t at;
    uint64_t ts;
    int64_t partition;          /* -1: all */
    buf_t bytes;                /* the column as bytes (core/schema/column.h); owned */
    column_t pks;               /* into them */
} data_delete_t;

/* One shard of one collection: a vchannel. */
struct data_shard {
    data_channel_t *channel;
    char *name;                 /* of the vchannel */
    uint64_t collection;
    schema_t *schema;
    vec_t segments;             /* of data_segment_t *, owned, oldest first */
    vec_t deletes;              /* of data_delete_t, by position */
    uint64_t delete_bytes;
    wal_position_t trimmed;     /* last delete forgotten, or first entry of a flushed segment, */
    wal_position_t flushed;     /* and its last, for copies: who is behind begins anew */
    uint64_t last_ts;           /* of its last applied entry */
    wal_position_t last;
    vec_t followers;            /* parked FOLLOWs; data_follow.c */
    bool news;                  /* in data_channel.news: something was applied */
};

#endif
