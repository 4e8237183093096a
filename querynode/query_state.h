/* query_state - what the query node keeps: see querynode_int.h, which is the one to include */
#ifndef QUERYNODE_QUERY_STATE_H
#define QUERYNODE_QUERY_STATE_H

#include "core/base/limits.h"
#include "core/base/map.h"
#include "core/catalog/builds.h"
#include "core/catalog/catalog.h"
#include "core/catalog/directory.h"
#include "core/catalog/segments.h"
#include "core/node/member.h"
#include "core/query/query.h"
#include "core/wire/pb.h"
#include "querynode/query_read_count.h"
#include "querynode/query_node.h"
#include "querynode/query_others.h"

enum { TIMER_QUERY = 100, QUERY_TS_BITS = 18 };  /* of a timestamp, below its milliseconds */

typedef struct query_node query_node_t;
typedef struct query_coll query_coll_t;
typedef struct query_piece query_piece_t;
typedef struct query_work query_work_t;
typedef struct query_plans query_plans_t;
typedef struct query_call query_call_t;

#define QUERY_HERE    0ull          /* as the node where a piece is read */
#define QUERY_NOWHERE UINT64_MAX

/* The keys of one delete. */
typedef struct query_run {
    uint64_t ts;
    int64_t partition;          /* -1: all */
    column_t pks;               /* into bytes */
    size_t len;
    uint8_t bytes[] __attribute__((aligned(8)));
} query_run_t;

/* A growing segment the owner told of. */
typedef struct query_growing {
    uint64_t id, partition;
    growing_t *held;            /* NULL: not asked for, or not (any more) to be had */
    growing_t *copy;            /* of an owner in another process; NULL: none; see query_copy.c */
    uint64_t owner;             /* incarnation of that one; 0: memory is shared */
    uint64_t applied;           /* runs with smaller numbers are in the copy, once it is held */
    bool unwanted;              /* a FOLLOW under way will not bring all of it */
} query_growing_t;

/* A sealed segment: held here, read here or elsewhere by the leader of its shard, or both.  It is
 * in the leader's view once `in`; until then its rows are seen in what it replaces. */
struct query_piece {
    query_channel_t *channel;
    uint64_t id, partition, rows, bytes;
    uint64_t place;             /* where it should be held, as our replica wants it; 0: unknown */
    bool mine;                  /* it is to be held here */
    sealed_t *sealed;           /* NULL: not open here */
    bool able;                  /* open, and had every delete once: may be read here */
    uint64_t until;             /* able: deletes behind this will not come any more */
    uint64_t at, next;          /* leader: the node it is read at, and where it is to be read */
    int64_t homeless_ms;        /* leader: since when nobody has it or will; 0: somebody does */
    map_t *deltalogs;           /* names that are applied, to themselves */
    uint64_t delta_ts;          /* every delete up to here is in those */
    uint64_t round;             /* of the channel in which metadata was last compared */
    uint64_t applied;           /* runs with smaller numbers are in it */
    bool wanted;                /* metadata has it FLUSHED and its partition is loaded */
    bool busy;                  /* a job or a question has it: it must stay */
    bool in;                    /* leader only */
    unsigned failures;          /* in a row */
    int64_t retry_ms;           /* not before */
    err_t err;                  /* of the last failure */
    char *error;                /* owned; NULL: none */
    uint64_t counted;           /* bytes in query_node.count */
    vec_t indexes;              /* that it is searched with, or will be: query_index.c */
    unsigned indexing;          /* so many jobs open one: it must stay */
};

/* "By the time question `no` arrived, last_ts was the newest, and complete is all there is." */
typedef struct query_front { uint64_t no, last_ts, complete; } query_front_t;

/* One vchannel that this node leads, or holds segments of. */
struct query_channel {
    query_node_t *node;
    query_coll_t *coll;         /* NULL when gone */
    char *name, *pchannel;
    uint64_t mark;              /* of the last look at replica/ that showed it */
    uint64_t replica;           /* that it leads; 0: none, it only works for leaders */
    uint64_t leads_mark, leads_replica;     /* as that look found it */
    uint32_t users;             /* jobs and calls that point here */
    bool gone;                  /* released; a shell until users is 0 */

    uint64_t owner, epoch, seq; /* followed up to here; owner: an incarnation, 0: nobody yet */
    uint64_t heard_ts;          /* of the last entry up to there */
    uint64_t ckpt_ts;
    uint64_t follow_no;         /* of the FOLLOW under way; 0: none */
    uint64_t follow_owner;      /* whom it was sent to */
    bool remote;                /* who is another process */
    unsigned follow_failures;
    int64_t follow_retry_ms;
    char *trouble;              /* why following does not work; NULL: it does */

    uint64_t round;             /* counts the resets */
    bool resetting;             /* `next` is being made to replace `growing` */
    bool anew;                  /* and the owner has not been asked for all of it yet */
    bool filling;               /* rows of `next` are still being sent */
    bool listing, listed;       /* metadata is being, was listed after the reset */
    bool behind;                /* a segment was replaced by one that metadata has not shown yet */
    int64_t list_retry_ms;
    uint64_t round_no;          /* questions asked before the reset do not count */
    vec_t growing, next;        /* of query_growing_t */

    vec_t runs;                 /* of query_run_t *, owned */
    uint64_t first_run;         /* number of runs[0] */
    size_t run_bytes;
    bool applying;              /* a job reads runs: nothing is taken out */
    int64_t apply_retry_ms;

    uint64_t applied_ts;        /* every delete up to here is in every able piece; never falls */
    uint64_t reset_ckpt_ts;     /* of the checkpoint at the last reset */
    uint64_t held_version;      /* of what is held here */
    vec_t askers;               /* of query_asker_t */

    vec_t peers;                /* leader: of query_peer_t *, owned */
    query_dist_t *dist;         /* leader: what reads begin with; NULL: nothing is elsewhere */
    vec_t dists;                /* of query_dist_t *: all that are still used */
    bool dist_dirty;
    size_t n_lost;              /* pieces in view that nobody has now */

    uint64_t last_ts;           /* every entry up to here is in what is in view */
    uint64_t view_ts;           /* applied_ts when that was noted */
    uint64_t complete;          /* and nothing up to here will come any more; never falls */
    uint64_t purged;            /* rows that died up to here may be missing from the view */
    uint64_t seen_no, seen_last;        /* the newest question that counts, and its last_ts */
    query_front_t fronts[2];    /* answered, not reached yet: the oldest and the newest */
    size_t n_fronts;
    int64_t front_ms;           /* when the last one came */
    bool asking;                /* a question with this channel is out: */
    uint64_t asked_no, asked_least;
    bool wanting;               /* in query_node.wanting: */
    uint64_t want_least;
    trace_t want_trace;         /* whose question it will be */

    map_t *pieces;              /* id -> query_piece_t, owned */
    map_t *loaded;              /* partitions that were complete once */
    bool whole_loaded;
};

/* Reads in the order of arrival. */
typedef struct query_reads {
    query_read_t *first, *last;
    size_t n;
} query_reads_t;

/* One collection of which this node leads channels or holds segments. */
struct query_coll {
    query_node_t *node;
    uint64_t id, mark;
    bool dirty;
    schema_t *schema;
    vec_t channels;             /* of query_channel_t *, owned */
    bool whole;
    int64_t ttl_ms;             /* older rows are not seen; 0: all are */
    map_t *targets, *known;     /* partitions to be loaded, and that there are */
    uint64_t newest;            /* unknown partitions above this are new, not dropped */
    query_reads_t waiting;
};

/* A job: what it needs, and what it brings back. */
struct query_work {
    query_work_t *prev, *next;  /* query_node.works */
    query_channel_t *channel;   /* held; NULL: none */
    query_piece_t *piece;       /* busy; NULL: none */
    ctx_t memory;
    int64_t began_us;           /* for /metrics */
    store_t *store;
    schema_t *schema;           /* owned */
    sealed_files_t files;       /* open; refresh: deltalogs only */
    bool preload;
    uint64_t held, reserved, need;      /* bytes: there, that other opens will take, and this */
    uint64_t memory_limit;
    double memory_share;
    sealed_t *sealed;           /* owned */
    copies_t *copies;
    uint64_t whole;             /* bytes that an index takes in memory, if it has to be there */
    int64_t index_field;        /* an index: of this field, its objects are files.binlogs */
    uint64_t index_id, index_build, index_attempt;
    field_index_t *index;       /* owned; of a vector */
    field_scalar_t *scalar;     /* owned; of any other field */
    uint64_t round, delta_ts;
    vec_t pieces;               /* apply: of query_piece_t *, busy */
    query_run_t **runs;
    uint64_t first_run, end_run;
    vec_t sealeds, growings;    /* garbage: to be unreferenced */
};

struct query_node {
    member_t member;            /* first: shared by all roles */
    query_options_t options;
    catalog_t *catalog;
    directory_t *directory;
    segments_t *segments;
    builds_t *builds;
    map_t *colls;               /* id -> query_coll_t, owned */
    map_t *channels;            /* vchannel -> query_channel_t */
    vec_t shells;               /* of query_channel_t *, gone but used; owned */
    map_t *dialled;             /* address -> itself, owned */
    bool targets_dirty, dirty;
    bool lingering;             /* a channel stays only for those who still read it */
    uint64_t mark;

    query_work_t *works;
    size_t opening, opening_indexes;
    uint64_t opening_bytes;
    vec_t old_sealeds, old_growings;    /* to be freed by a job */

    uint64_t questions, follows;        /* counted */
    uint64_t stamped_ts;        /* the newest stamp of any owner */
    uint64_t copied_bytes;      /* growing rows since the last look at memory */
    map_t *askers;              /* owner's incarnation -> asker, in query_wait.c */
    vec_t parked;               /* of query_parked_t */
    uint64_t held_versions, polls;      /* counted */
    bool held_dirty;            /* somebody who waits may be answered */
    vec_t wanting;              /* of query_channel_t *: a question is wanted */

    map_t *reads;               /* net_from_t -> query_read_t, owned */
    query_reads_t queued;       /* may run, and wait for a thread */
    size_t n_waiting, n_running;
    query_plans_t *plans;
    struct {
        uint64_t segments, rows, bytes, growing, run_bytes;
    } count;                    /* what is in view, for figures */
    query_count_t counted;      /* for /metrics */
    int64_t wake_ms;            /* earliest that something is due; INT64_MAX: nothing */
    int64_t timer_ms;           /* what the timer is set to */
};

/* Step again by then, at the latest. */
static inline void query_wake_at(query_node_t *self, int64_t ms)
{
    self->wake_ms = ms < self->wake_ms ? ms : self->wake_ms;
}

#endif
