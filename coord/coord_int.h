/* coord_int - what the files of the coordinator share; nobody else includes it */
#ifndef COORD_COORD_INT_H
#define COORD_COORD_INT_H

#include "coord/coord_count.h"
#include "coord/coord_node.h"
#include "core/base/map.h"
#include "core/base/vec.h"
#include "core/catalog/catalog.h"
#include "core/catalog/directory.h"
#include "core/catalog/segments.h"
#include "core/node/elect.h"

#define COORD_DEFAULT_DB    "default"
#define COORD_DEFAULT_DB_ID 1u
#define COORD_ID_KEY        "id/global"
#define COORD_MARK_KEY    "id/catalog"
#define COORD_FIRST_ID      100u            /* below: what is always there */

enum { TIMER_COORD_LOOK = 100 };

/* Where no configuration says otherwise. */
enum {
    COORD_CHANNELS = 4, COORD_GROUPS = 1024, COORD_BALANCE_MS = 60000,
    COORD_BUILD_ROWS = 1024, COORD_BUILDS_A_NODE = 2,
};

/* A registered node. */
typedef struct peer {
    uint64_t id, incarnation;
    char role[16];
    char address[128];
    view_t packed;              /* its NodeInfo as registered; owned */
    int64_t started_ms;         /* its wall clock */
    uint64_t memory_limit;      /* bytes of rows and indexes it takes; 0: not known */
    int64_t down_since_ms;      /* since when its link is not up, seen by this leader */
    int64_t vanished_ms;        /* its session ended then, and its link did not; 0: it is there */
} peer_t;

typedef struct gather gather_t;
typedef struct building building_t;

/* Plan a change: look at the catalog, note what to write.  No writes and OK: nothing to do.
 * Errors with Milvus's codes and texts. */
typedef err_t ddl_fn(coord_node_t *self, ddl_t *ddl);

/* One change of the catalog, from its arrival to its answer. */
struct ddl {
    ddl_t *next;
    net_from_t from;
    trace_t trace;
    uint32_t method;            /* 0: our own wish, which nobody waits for */
    ddl_fn *plan;               /* NULL: CATALOG, ALLOC_IDS */
    ctx_t memory;               /* of all below */
    Elanus__Ddl *ask;
    Elanus__BuildDamaged *damaged;      /* BUILD_AGAIN: instead of ask */
    uint32_t n_ids;             /* ALLOC_IDS: how many */
    uint64_t first_id;
    vec_t ops;                  /* of meta_op_t: what to write */
    vec_t cmps;                 /* of meta_cmp_t: what must hold beside the leader's guard */
    int64_t wall_ms, now_ms;    /* when it was planned */
    int64_t began_us;           /* for /metrics */
};

struct coord_node {
    member_t member;            /* first: shared by all roles */
    elect_t elect;
    map_t *peers;               /* session key -> peer_t, owned */
    map_t *links;               /* address -> 1 + net_peer_state_t, as last heard */
    bool peers_listed;          /* within a re-list of the sessions */
    map_t *relisted;            /* keys seen since its RESET */
    bool ready;                 /* leading, and the state is read */
    gather_t *gathers;          /* CLUSTER requests being answered */

    int channels_most;          /* rootCoord.dmlChannelNum */
    directory_t *directory;     /* owner/, replica/, place/ and rg/ */
    segments_t *segments;       /* seg/ */
    map_t *channels;            /* leader: name -> channel_t, owned (coord_channels.c) */
    int64_t level_at_ms;        /* one of them may move then; 0: they are level */
    bool replicas_queued;       /* a look at the replicas waits among the changes */
    int64_t patient_until_ms;   /* a new leader waits so long for nodes it has not seen */
    size_t groups_most;         /* quotaAndLimits.limits.maxResourceGroupNumOfQueryNode */
    bool balances;              /* queryCoord.autoBalance */
    int64_t balance_interval_ms;
    int64_t balance_at_ms;
    building_t *building;       /* coord_builds.h */
    int64_t look_at_ms;         /* TIMER_COORD_LOOK is set for then; 0: not */

    catalog_t *catalog;         /* leader: as its last transaction left it */
    uint64_t load_round;        /* counts take-overs and reloads */
    uint64_t next_id, end_id;   /* ids reserved in metadata and not given out */
    uint64_t last_ts;
    ddl_t *ddl_first, *ddl_last;    /* waiting; one at a time is done */
    ddl_t *ddl_now;
    coord_count_t count;
};

/* coord_peers.c: sessions, links, health */
void coord_peers_start(coord_node_t *self, actions_t *act);
void coord_peers_link(coord_node_t *self, const event_t *ev, actions_t *act);  /* leads: dial */
void coord_peers_unlink(coord_node_t *self, actions_t *act);
void coord_peers_sweep(coord_node_t *self, const event_t *ev, actions_t *act, int64_t *due_ms);
void coord_peers_event(coord_node_t *self, const event_t *ev, actions_t *act);
void coord_peers_cluster(coord_node_t *self, const event_t *ev, actions_t *act);
void coord_peers_inspect(const void *node, const Elanus__InspectAsk *ask, ctx_t *ctx,
                         Elanus__Inspection *into);     /* member_t.inspect */
net_peer_state_t coord_peers_link_state(const coord_node_t *self, const char *address);
bool coord_peers_keep(coord_node_t *self, const char *address);

/* Nodes of a role by id; an array in the arena. */
size_t coord_peers_of(const coord_node_t *self, ctx_t *ctx, const char *role, peer_t ***ret);
bool   coord_peer_up(const coord_node_t *self, const peer_t *peer);

/* Its link is down for so long that its work must go elsewhere.  While it is not yet:
 * *due_ms is lowered to when it will be. */
bool   coord_peer_lost(const coord_node_t *self, const peer_t *peer, int64_t now_ms,
                       int64_t *due_ms);
void coord_peers_fini(coord_node_t *self);

/* coord_node.c: look after channels, replicas and builds at this time, or sooner; leader only */
void coord_look_at(coord_node_t *self, int64_t at_ms, const event_t *ev, actions_t *act);

/* coord_channels.c: every channel in use gets an owner */
void coord_channels_look(coord_node_t *self, const event_t *ev, actions_t *act, int64_t *due_ms);
/* OPEN_CHANNEL of an owner: somebody else should */
void coord_channels_stalled(coord_node_t *self, const event_t *ev, actions_t *act);
void coord_channels_forget(coord_node_t *self);
/* Channels in use, and how many of them have no living owner that takes writes. */
size_t coord_channels_unowned(const coord_node_t *self, ctx_t *ctx, size_t *ret_used);

/* coord_replicas.c: every loaded collection gets its replicas, and they their segments.
 * `place` and `drop` note writes of one collection in a change that is being planned. */
void coord_replicas_look(coord_node_t *self, const event_t *ev, actions_t *act, int64_t *due_ms);
err_t must_use coord_replicas_check(coord_node_t *self, ddl_t *ddl, const Elanus__Load *load);
void coord_replicas_place(coord_node_t *self, ddl_t *ddl, const Elanus__Load *load);
void coord_replicas_drop(coord_node_t *self, ddl_t *ddl, uint64_t collection);

/* How many replicas a load asks for, and the resource group of the i-th. */
size_t      coord_replicas_wanted(const Elanus__Load *load);
const char *coord_replicas_group(const Elanus__Load *load, size_t i);

/* coord_balance.c: this node leads from now on; a query node is up (again) */
void coord_balance_ready(coord_node_t *self, int64_t now_ms);
void coord_balance_joined(coord_node_t *self, int64_t now_ms);

/* coord_builds.c: indexes of flushed segments get built */
void coord_builds_init(coord_node_t *self, const coord_options_t *options);
void coord_builds_fini(coord_node_t *self);
void coord_builds_start(coord_node_t *self, actions_t *act);
void coord_builds_look(coord_node_t *self, const event_t *ev, actions_t *act, int64_t *due_ms);
void coord_builds_lost(coord_node_t *self);     /* leads no more */
size_t coord_builds_open(const coord_node_t *self);     /* neither done nor failed */
ddl_fn coord_builds_again;                      /* what was built is damaged */

/* build/ as the watch, a list of it, or our own transaction shows it (NULL: deleted). */
void coord_builds_watched(coord_node_t *self, ctx_t *ctx, const meta_change_t *changes, size_t n);
err_t must_use coord_builds_wrote(coord_node_t *self, ctx_t *ctx, const char *key,
                                  const view_t *value, int64_t rev);

/* coord_root.c: what a leader reads when it takes over, and again when it does not know what
 * became of a transaction */
void coord_root_load(coord_node_t *self, const event_t *ev, actions_t *act);

/* coord_ddl.c: changes of the catalog, one at a time */
void coord_ddl_call(coord_node_t *self, const event_t *ev, actions_t *act);
void coord_ddl_wish(coord_node_t *self, ddl_fn *plan, const event_t *ev, actions_t *act);
void coord_ddl_go_on(coord_node_t *self, const event_t *ev, actions_t *act);
void coord_ddl_lost(coord_node_t *self, actions_t *act);
void coord_ddl_fini(coord_node_t *self);

/* For those who plan a change: note a write, take an id, a timestamp; expect a key to be as
 * it was put at `rev`. */
void     coord_ddl_put(ddl_t *ddl, const char *key, const void *message);
void     coord_ddl_delete(ddl_t *ddl, const char *key);
void     coord_ddl_expect(ddl_t *ddl, const char *key, int64_t rev);
uint64_t coord_ddl_id(coord_node_t *self, ddl_t *ddl);
uint64_t coord_ddl_ts(coord_node_t *self, const ddl_t *ddl);

/* Is this the token of the request, which then was sent again? */
bool     coord_ddl_is_done(const ddl_t *ddl, const char *token);

err_t coord_find_database(coord_node_t *self, ddl_t *ddl, const Elanus__Database **ret);
err_t coord_find_collection(coord_node_t *self, ddl_t *ddl, const Elanus__Collection **ret);

/* properties and delete_keys of ddl->ask upon a list of pairs; in ddl's arena. */
void coord_alter_pairs(ddl_t *ddl, Elanus__Pair ***pairs, size_t *n);

ddl_fn coord_create_database, coord_drop_database, coord_alter_database;    /* coord_database.c */
ddl_fn coord_create_collection, coord_drop_collection, coord_rename_collection,
       coord_alter_collection, coord_alter_field;                           /* coord_collection.c */
ddl_fn coord_create_partition, coord_drop_partition;                        /* coord_partition.c */
ddl_fn coord_create_alias, coord_drop_alias, coord_alter_alias;             /* coord_alias.c */
ddl_fn coord_create_index, coord_drop_index, coord_alter_index;             /* coord_index.c */
ddl_fn coord_load, coord_release;                                           /* coord_load.c */
ddl_fn coord_create_group, coord_drop_group, coord_update_groups, coord_transfer_nodes,
       coord_transfer_replicas;                                             /* coord_groups.c */
ddl_fn coord_load_balance;                                                  /* coord_balance.c */

#endif
