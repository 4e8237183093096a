/* data_int - what the files of the data node share; nobody else includes it
 *
 *     OPEN_CHANNEL   data_channel.c   claim, log, ACTIVE; close, lost, given up
 *                    data_rows.c      the replay (data_replay.c), beside new writes
 *                    data_early.c     what has to wait for it
 *     WRITE          data_write.c     check, stamp, append, commit, apply, answer; data_fence.c,
 *                                     data_stall.c: the store does not answer
 *     FOLLOW         data_follow.c    who reads hears of what was applied; data_frontier.c
 *     segments       data_segment.c   growing segments, memory; data_shards.c, data_ids.c
 *     persistence    data_flush.c …   sealed segments to the store, deltalogs, checkpoint,
 *                                     compaction, garbage: the data_persist_* calls
 *
 * One thread, the node's, owns everything here.  Jobs get what they need in an argument of
 * their own and never look at these structures; when they are back, the channel they worked
 * for may be gone: see data_channel_hold.
 */
#ifndef DATANODE_DATA_INT_H
#define DATANODE_DATA_INT_H

#include "datanode/data_node.h"
#include "core/base/limits.h"
#include "core/base/map.h"
#include "core/base/vec.h"
#include "core/catalog/catalog.h"
#include "core/catalog/directory.h"
#include "core/catalog/segments.h"
#include "core/node/member.h"
#include "datanode/data_count.h"
#include "datanode/data_shard.h"

/* Timer numbers: 100.. here, 120.. of persistence */
enum { TIMER_DATA_IDS = 100, TIMER_DATA_PARKED, TIMER_DATA_APPLY, TIMER_DATA_AGAIN,
       TIMER_DATA_STOP, TIMER_DATA_FENCE, TIMER_DATA_LINGER, TIMER_DATA_STALL,
       TIMER_DATA_PERSIST = 120 };

typedef struct data_write data_write_t;
typedef struct data_opening data_opening_t;
typedef struct data_requests data_requests_t;

/* A request that is in the log twice: who wrote it the second time had not read the log yet.  Only
 * the first counts, so a replay must never begin between them. */
typedef struct data_twin { wal_position_t first, second; } data_twin_t;

typedef enum {
    CHANNEL_CLAIMING,           /* owner/ is being compared and swapped */
    CHANNEL_LOOKING,            /* metadata is read as it is after the claim */
    CHANNEL_OPENING,            /* a job opens the log */
    CHANNEL_ACTIVATING,         /* owner/ is being put ACTIVE */
    CHANNEL_ACTIVE,             /* takes writes; others wait for `replayed` */
    CHANNEL_CLOSING,            /* not ours any more, or to be opened again: a job closes the log */
    CHANNEL_GONE,               /* out of the table; somebody holds it */
} channel_state_t;

/* One pchannel that this node owns, or is about to. */
struct data_channel {
    data_node_t *node;
    char *name;
    channel_state_t state;
    uint64_t epoch;
    int64_t owner_rev;          /* revision of owner/<name> that every transaction compares */
    uint32_t users;             /* data_channel_hold */
    bool reopen;                /* once it is closed */
    bool again;                 /* what its state waits for failed; TIMER_DATA_AGAIN */
    uint64_t look;              /* LOOKING: the round that reads what it needs */
    vec_t openers;              /* of net_from_t: who waits for ACTIVE */
    data_opening_t *opening;    /* until `replayed`: argument of the jobs, owned */
    bool reading;               /* a job has it */
    int64_t opening_since_ms;
    bool replayed;              /* ACTIVE, and what the epochs before wrote is in the shards */
    vec_t twins;                /* of data_twin_t, of which no checkpoint has passed the second */
    bool stalled, stall_due;    /* ACTIVE, and its log cannot be written; TIMER_DATA_STALL */
    bool leaving;               /* CLOSE_CHANNEL: no new writes; it closes when all are answered */
    bool release;               /* CLOSING: then owner/ says that nobody has it */

    wal_disk_t *disk;
    wal_t *log;
    bool log_busy;              /* a job has the log that runs alone, or a truncation */
    uint32_t puts;              /* commits under way that run side by side */
    bool lingers, lingered;     /* the next of them waits a little; it has: TIMER_DATA_LINGER */
    bool puts_pause;            /* for want of memory; TIMER_DATA_APPLY */
    wal_position_t truncate_to; /* asked for and not done yet; {0,0}: nothing */

    data_write_t *first, *last; /* appended and not applied, in order */
    uint64_t pending_bytes;
    trace_t commit_for;         /* the first write of the next commit */
    wal_position_t applied;     /* everything up to here is in the shards */
    uint64_t applied_ts;
    wal_position_t ckpt;        /* as metadata has it */
    uint64_t ckpt_ts;

    /* A log on the object store; data_fence.c, data_seals.c */
    vec_t seals;                /* of wal_seal_t: of the epochs before, by epoch */
    size_t seals_named;         /* so many of them are in metadata */
    uint64_t bound;             /* no promise is above it, and metadata says so */
    uint64_t bound_sent;        /* the fence question under way writes this one; 0: none */
    bool bound_wanted;          /* by the next fence question */
    bool fence_wanted;          /* somebody waits for the next question */
    uint64_t fence_sent, fence_passed;  /* rounds: the latest, and the latest that passed */
    wal_position_t fence_at;    /* the frontier before that round was sent */
    wal_position_t fenced;      /* everything up to here is committed */

    map_t *shards;              /* vchannel -> data_shard_t, owned */
    vec_t news;                 /* of data_shard_t *, while a commit is applied */
    data_requests_t *requests;  /* the recent ones; data_requests.c */
};

struct data_node {
    member_t member;            /* first: shared by all roles */
    const data_options_t *options;
    catalog_t *catalog;
    directory_t *directory;
    segments_t *segments;
    map_t *channels;            /* pchannel -> data_channel_t, owned */
    vec_t all;                  /* of data_channel_t *: those that are GONE too */
    map_t *ahead;               /* coll/ key -> revision read before the watch showed it */
    int64_t coll_rev;           /* of the newest change of coll/ the watch has shown */
    bool coll_synced;           /* that watch has shown the present: a node follows no other part
                                 * of the catalog */
    uint64_t last_ts;           /* the clock: nothing is stamped at or below it */
    bool stopping, left;        /* EV_STOP came: no new work; all is closed */
    uint64_t look;              /* rounds of reading metadata for claimed channels, begun */
    uint32_t looks_left;        /* of this round's answers */
    bool look_failed;

    uint64_t next_id, end_id;   /* ids of METHOD_ALLOC_IDS at hand */
    uint64_t spare_id, spare_end;
    bool ids_asked;
    vec_t parked;               /* writes that wait; data_park.c */
    uint64_t parked_bytes;
    vec_t questions;            /* FRONTIERs that wait; data_frontier.c */
    int64_t parked_due_ms;      /* TIMER_DATA_PARKED is set to this; 0: not set */
    uint64_t bytes;             /* of memory: growing and sealed segments, deletes */
    uint64_t rows;              /* of growing and sealed segments */
    uint64_t pending_bytes;     /* of all channels */
    uint64_t commits, writes;   /* figures */
    data_count_t count;

    vec_t early;                /* calls that wait for a replay; data_early.c */
    uint64_t fence_round;       /* questions sent; data_fence.c */
    bool fence_busy;            /* one is under way */
    int64_t fence_us;           /* since then; for /metrics */
    trace_t fence_for;          /* who wanted the next one first */
    bool fence_pauses;          /* the last one failed; TIMER_DATA_FENCE */
    int64_t full_until_ms;      /* metadata has no room: until then questions write nothing */
    bool fence_open;            /* one that writes has no answer: read before the next */
    uint32_t fence_singly;      /* the next ones ask for one channel each */

    void *persist;              /* persistence's own, made by data_persist_make */
};

/* --- data_channel.c ------------------------------------------------------------------- */

void data_channel_open(data_node_t *self, const event_t *ev, actions_t *act);  /* OPEN_CHANNEL */

/* Close it and let metadata say that nobody owns it: here its log cannot be written. */
void data_channel_resign(data_channel_t *channel, const event_t *ev, actions_t *act,
                         const char *why);

/* ACTIVE and replayed, or NULL. */
data_channel_t *data_channel_live(const data_node_t *self, const char *pchannel);
data_channel_t *data_channel_of(const data_node_t *self, const char *vchannel);
data_shard_t *data_shard_of(const data_node_t *self, const char *vchannel);

/* `for (data_walk_t walk = {0}; (shard = data_next_shard(self, &walk)); )`: the shards of all
 * ACTIVE channels; none may be added or dropped meanwhile. */
typedef struct data_walk { size_t channel, at; } data_walk_t;
data_shard_t *data_next_shard(const data_node_t *self, data_walk_t *walk);

/* Across a job or a metadata operation: the structure stays, but `state` may be GONE, or `epoch`
 * another one, when it is back.  Then whatever was being done for it is void. */
data_channel_t *data_channel_hold(data_channel_t *channel);
void data_channel_release(data_channel_t **channel_p);

/* What each transaction for this channel compares; when it was not applied for that reason, the
 * channel is somebody else's: data_channel_lost. */
meta_cmp_t data_channel_guard(const data_channel_t *channel, ctx_t *ctx);
void data_channel_lost(data_channel_t *channel, const event_t *ev, actions_t *act);

/* Close and open again under a new epoch: what became of the log's last writes is unknown. */
void data_channel_reopen(data_channel_t *channel, const event_t *ev, actions_t *act,
                         const char *why);

/* Metadata has this checkpoint now: forget deletes behind it and cut the log, when it is free. */
void data_channel_ckpt(data_channel_t *channel, wal_position_t at, uint64_t ts, actions_t *act);

/* The newest position a checkpoint may have at this time, because of requests that may come
 * again (options.repeat_ms): a replay behind it still meets them.  At most `applied`. */
wal_position_t data_channel_ckpt_most(const data_channel_t *channel, int64_t wall_ms);

/* The newest checkpoint not behind this position that no twins lie around. */
wal_position_t data_channel_ckpt_untwined(const data_channel_t *channel, wal_position_t at);

/* Logs are on the object store, where somebody else may take a channel at any time. */
static inline bool data_on_store(const data_node_t *self)
{
    return self->options->open_disk == NULL;
}

/* --- data_seals.c --------------------------------------------------------------------- */

enum { DATA_SEALS_AT_ONCE = 64 };   /* in one transaction */

/* Delete the seals that nobody needs once the checkpoint is here: operations in the arena, their
 * number; the same number is to be forgotten when that was done. */
size_t data_seals_drop(const data_channel_t *channel, wal_position_t ckpt, ctx_t *ctx,
                       meta_op_t ret[DATA_SEALS_AT_ONCE]);
void data_seals_forget(data_channel_t *channel, size_t n);

/* --- data_segment.c ------------------------------------------------------------------- */

data_segment_t *data_segment_find(const data_shard_t *shard, uint64_t id);

/* No more rows.  data_persist_sealed follows once nothing of it is pending: at once or later. */
void data_segment_seal(data_shard_t *shard, data_segment_t *segment, const event_t *ev,
                       actions_t *act);

/* Metadata has it FLUSHED: nobody gets a new reference; deletes are applied while a reader
 * shares it, then it goes by itself. */
void data_segment_flushed(data_shard_t *shard, data_segment_t *segment);

/* An id nobody has; 0: none at hand, they are on their way. */
uint64_t data_id(data_node_t *self, actions_t *act);

/* A timestamp above all given out: nothing is stamped at or below it from now on. */
uint64_t data_now(data_node_t *self, const event_t *ev);

#endif
