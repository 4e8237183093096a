/* cluster_sim - a whole simulated cluster with clients, misfortunes and a checker
 *
 * Real coordinators, data nodes, query nodes and a proxy on simulated metadata, store, network
 * and clocks (sim.h, sim_store.h).  Clients talk to the proxy in Milvus's messages; each answer
 * is compared with what row_model.h says may be seen.  Everything follows from the seed.
 */
#ifndef TESTS_SUPPORT_CLUSTER_SIM_H
#define TESTS_SUPPORT_CLUSTER_SIM_H

#include "coord/coord_node.h"
#include "core/wire/pb.h"
#include "datanode/data_node.h"
#include "milvus.pb-c.h"
#include "proxy/proxy_node.h"
#include "querynode/query_node.h"
#include "tests/support/row_model.h"
#include "tests/support/sim.h"
#include "tests/support/sim_store.h"

enum {
    CS_COORDS = 2, CS_DATAS = 2, CS_QUERIES = 2, CS_PROXIES = 1,
    CS_COORD = 0, CS_DATA = CS_COORD + CS_COORDS, CS_QUERY = CS_DATA + CS_DATAS,
    CS_PROXY = CS_QUERY + CS_QUERIES, CS_NODES = CS_PROXY + CS_PROXIES,
    CS_CLIENTS = 3, CS_DDL = CS_CLIENTS,
    CS_KEYS = 120, CS_SIDE_KEYS = 4, CS_MOST_ROWS = 4,
};

typedef struct cluster_sim cluster_sim_t;
typedef struct cs_request cs_request_t;

/* What became of a request: OK, or what the status says; payload: the response.  err is
 * ERR_OUTCOME_UNKNOWN when there was no answer. */
typedef void cs_then_fn(cluster_sim_t *self, cs_request_t *request, err_t err, const char *why,
                        const ProtobufCMessage *response);

typedef enum {
    CS_UPSERT, CS_INSERT, CS_DELETE, CS_GET, CS_SCAN, CS_COUNT, CS_SEARCH, CS_FLUSH, CS_COMPACT,
    CS_CREATE, CS_INDEX, CS_LOAD, CS_PROGRESS, CS_RELEASE, CS_DROP, CS_DESCRIBE, CS_KINDS,
} cs_kind_t;

struct cs_request {
    cluster_sim_t *world;
    cs_kind_t kind;
    int client;
    const char *collection;
    row_model_t *rows;          /* of the collection */
    int64_t began_us;
    size_t keys[CS_MOST_ROWS];
    int64_t versions[CS_MOST_ROWS];
    size_t n;
    row_level_t level;
    uint64_t session_ts;
    cs_then_fn *then;

    proxy_call_t *call;         /* owned */
    ctx_t ctx;                  /* of the call */
    const ProtobufCMessageDescriptor *answers;
    int proxy;
    int64_t give_up_us;
};

typedef struct cs_client {
    int no;
    bool busy;
    uint64_t last_ts;           /* of its last acknowledged write */
    cluster_sim_t *world;
} cs_client_t;

struct cluster_sim {
    uint64_t seed;
    sim_t *sim;
    sim_store_t *store;
    coord_options_t coord;
    data_options_t data;
    query_options_t query;
    proxy_options_t proxy;
    row_model_t *rows;
    cs_client_t clients[CS_CLIENTS + 1];
    row_model_t *side;          /* of the collection that comes and goes; NULL: none */
    char side_name[32];
    int side_step, sides;       /* cluster_ddl.c */
    bool side_unsure;           /* an answer to this step was lost */
    vec_t open;                 /* of cs_request_t * */
    bool taken[CS_KEYS];        /* an insert of this key is under way, or nobody knows of it */
    int64_t versions;
    bool history;               /* each request and answer is told (ELANUS_SIM_HISTORY) */
    bool set_up;                /* the collection is there and loaded */
    bool calm;                  /* clients begin nothing more */
    uint64_t done[CS_KINDS], failed[CS_KINDS];
    bool last_done;             /* the last look of cluster_sim_settle */
    int64_t last_count;
    const char *last_why;       /* of the last failure; in the arena of memory */
    ctx_t memory;
};

cluster_sim_t *cluster_sim_new(uint64_t seed);
void cluster_sim_destroy(cluster_sim_t **self_p);

/* Up, with the collection made and loaded, and clients at work.  False: it did not come to be. */
bool cluster_sim_start(cluster_sim_t *self);

/* Something bad happens. */
void cluster_sim_misfortune(cluster_sim_t *self);

/* Everything that was broken works; whoever is dead starts. */
void cluster_sim_heal(cluster_sim_t *self);

/* In peace: everything is served within that time and is what was acknowledged. */
void cluster_sim_settle(cluster_sim_t *self, int64_t ms);

const char *cluster_sim_verdict(const cluster_sim_t *self);     /* NULL: nothing was wrong */

/* --- cluster_clients.c ------------------------------------------------------------------- */

void cs_clients_start(cluster_sim_t *self);

/* A node died: what it was asked has no answer. */
void cs_proxy_died(cluster_sim_t *self, int node);
void cs_clients_end(cluster_sim_t *self);
void cs_answered(sim_t *sim, void *arg, int node, void *item);  /* sim_options_t.item */

/* One request by client `no`, whatever the others do. */
cs_request_t *cs_request(cluster_sim_t *self, int no, cs_kind_t kind, cs_then_fn *then);
void cs_send(cs_request_t *request);

/* What the answer to a request says is taken down and compared. */
void cs_check(cluster_sim_t *self, cs_request_t *request, err_t err, const char *why,
              const ProtobufCMessage *response);

/* --- cluster_ddl.c ----------------------------------------------------------------------- */

/* One more client: makes a collection, loads it, writes, reads, releases and drops it, and now and
 * then releases and loads the one that the others work with. */
void cs_ddl_start(cluster_sim_t *self);

/* --- cluster_messages.c ------------------------------------------------------------------ */

/* The request's bytes, in its arena, and what it is called. */
view_t cs_message(cs_request_t *request, const char **ret_rpc);

/* Rows of an answer to a get, scan or search, as the model wants them.  False: it is malformed. */
typedef void cs_row_fn(void *arg, int64_t key, int64_t version, const float *score);
bool cs_rows_of(const cs_request_t *request, const ProtobufCMessage *response, cs_row_fn *fn,
                void *arg);
bool cs_count_of(const ProtobufCMessage *response, int64_t *ret);

#endif
