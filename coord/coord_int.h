/* coord_int - what the files of the coordinator share; nobody else includes it */
#ifndef COORD_COORD_INT_H
#define COORD_COORD_INT_H

#include "coord/coord_node.h"
#include "core/base/map.h"
#include "core/node/elect.h"

#define COORD_DEFAULT_DB    "default"
#define COORD_DEFAULT_DB_ID 1u
#define COORD_DB_ROOT       "db/"

/* A registered node. */
typedef struct peer {
    uint64_t id, incarnation;
    char role[16];
    char address[128];
    view_t packed;              /* its NodeInfo as registered; owned */
} peer_t;

typedef struct gather gather_t;

struct coord_node {
    member_t member;            /* first: shared by all roles */
    elect_t elect;
    map_t *peers;               /* session key -> peer_t, owned */
    map_t *links;               /* address -> 1 + net_peer_state_t, as last heard */
    bool peers_listed;          /* within a re-list of the sessions */
    map_t *relisted;            /* keys seen since its RESET */
    bool ready;                 /* leading, and the state is read */
    gather_t *gathers;          /* CLUSTER requests being answered */
};

/* coord_peers.c: sessions, links, health */
void coord_peers_start(coord_node_t *self, actions_t *act);
void coord_peers_link(coord_node_t *self, actions_t *act);      /* became leader: dial all */
void coord_peers_unlink(coord_node_t *self, actions_t *act);
void coord_peers_event(coord_node_t *self, const event_t *ev, actions_t *act);
void coord_peers_cluster(coord_node_t *self, const event_t *ev, actions_t *act);
bool coord_peers_keep(coord_node_t *self, const char *address);
void coord_peers_fini(coord_node_t *self);

/* coord_root.c: databases (later: collections, aliases, grants) */
void coord_root_load(coord_node_t *self, const event_t *ev, actions_t *act);
void coord_root_list_databases(coord_node_t *self, const event_t *ev, actions_t *act);
void coord_root_show_collections(coord_node_t *self, const event_t *ev, actions_t *act);

#endif
