/* query_others - what the query node keeps of other query nodes: whom it asks as the leader of a
 * shard, and who leads a shard and asks it; see querynode_int.h, which is the one to include */
#ifndef QUERYNODE_QUERY_OTHERS_H
#define QUERYNODE_QUERY_OTHERS_H

#include "core/base/map.h"
#include "core/base/vec.h"
#include "core/net/net.h"

typedef struct query_channel query_channel_t;

/* A segment that another node holds. */
typedef struct query_told {
    uint64_t rows, bytes;
    size_t n_indexes;
    bool sure;                  /* it stays there while we say that we use it */
    uint64_t indexes[];
} query_told_t;

/* Another node of the replica, as the leader of a shard sees it: query_peers.c */
typedef struct query_peer {
    uint64_t node, incarnation;
    char *address;
    uint64_t version;           /* of what it told; 0: nothing yet */
    map_t *held;                /* segment -> query_told_t, owned */
    uint64_t poll_no;           /* of the HELD under way; 0: none */
    vec_t asked;                /* the segments that it names as used, rising */
    bool asked_settled;
    bool answers;               /* the last poll did not fail */
    unsigned failures;
    int64_t retry_ms;
    err_t err;                  /* why it does not get further */
    char *error;                /* owned; NULL: it does */
} query_peer_t;

/* What a leader reads at one other node. */
typedef struct query_share {
    uint64_t node;
    size_t n;
    uint64_t *ids, *partitions; /* [n] of the distribution's arrays */
} query_share_t;

/* What a leader reads at other nodes: a version of it, counted, never changed.  Reads pin the
 * one they began with, and nobody lets go what it names. */
typedef struct query_dist {
    uint32_t refs;
    query_channel_t *channel;   /* held */
    size_t n_shares;
    query_share_t *shares;      /* owned, with the arrays behind them */
} query_dist_t;

/* The newest HELD of a replica's leader: what may not go yet. */
typedef struct query_asker {
    uint64_t replica, node, incarnation;
    uint64_t no;                /* of its questions */
    int64_t at_ms;
    bool settled;
    vec_t using;                /* of ids, rising */
} query_asker_t;

/* A HELD that waits for news. */
typedef struct query_parked {
    net_from_t from;
    char *vchannel;             /* owned */
    uint64_t replica, version;
    int64_t due_ms;
} query_parked_t;

#endif
