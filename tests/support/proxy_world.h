/* proxy_world - a proxy's node and everything around it, played by a test
 *
 * It shows the node a catalog with one collection, who is there and who owns
 * which channel, keeps the calls that the node makes, moves time, and catches
 * what a client is answered.
 */
#ifndef TESTS_SUPPORT_PROXY_WORLD_H
#define TESTS_SUPPORT_PROXY_WORLD_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/base/map.h"
#include "core/wire/pb.h"
#include "elanus.pb-c.h"
#include "proxy/pages.h"
#include "proxy/proxy_node.h"

enum { PW_CALLS = 8, PW_LEADER = 1, PW_DATA_NODE = 2, PW_OTHER_NODE = 3, PW_QUERY_NODE = 4,
       PW_OTHER_QUERY_NODE = 5, PW_THIRD_QUERY_NODE = 6 };

typedef struct sent {
    uint64_t cookie;
    uint32_t method;
    char endpoint[64];
    view_t payload;             /* copied */
    int64_t timeout_ms;
} pw_sent_t;

typedef struct world {
    void *node;
    actions_t act;
    node_self_t self;
    ctx_t ctx;                  /* of the test's own messages */
    ctx_t request;              /* of the call under test */
    int64_t now_ms, rev;
    map_t *watches;             /* prefix -> cookie */
    pw_sent_t sent[PW_CALLS];
    size_t n_sent;
    uint64_t cancelled[PW_CALLS];       /* cookies of calls that nobody wants any more */
    size_t n_cancelled;
    char hung_up[64];           /* the endpoint that was given up last */
    job_fn *job;
    void *job_arg;
    uint64_t job_cookie;
    int64_t timer_ms[256];      /* when each is due; 0: not set */
    char listed[64];            /* the prefix of the metadata that was asked for last */
    uint64_t list_cookie;
    proxy_call_t *answered;
    proxy_call_t *open;         /* sent last and not answered: a node may end with it */
} pw_world_t;

typedef struct { bool auto_id, keyed; size_t shards; } pw_kind_t;

/* Its first event has come and the catalog is known; coll/9 "kites": id, group, vec. */
pw_world_t *pw_up(pw_kind_t kind);
void pw_down(pw_world_t *w);

void pw_show_leader(pw_world_t *w);
void pw_show_nodes(pw_world_t *w);      /* two data nodes */
void pw_show_owners(pw_world_t *w, uint64_t first, uint64_t second, uint64_t epoch);

/* The collection is loaded, these partitions of it (n 0: all). */
void pw_show_load(pw_world_t *w, const uint64_t *partitions, size_t n);

/* The watch of a prefix shows these keys, at most six, and no others. */
void pw_show(pw_world_t *w, const char *prefix, const char *const *keys,
             const void *const *messages, size_t n);
Elanus__NodeInfo *pw_info(pw_world_t *w, const char *role, uint64_t id);

/* Three query nodes; one replica whose shards have these leaders (0: none). */
void pw_show_query_nodes(pw_world_t *w);
void pw_show_replica(pw_world_t *w, uint64_t first, uint64_t second);

/* Two replicas, each led by one node; only the other query node is registered. */
void pw_show_two_replicas(pw_world_t *w, uint64_t first, uint64_t second);
void pw_show_query_node_left(pw_world_t *w);

/* A link's state changes. */
void pw_peer(pw_world_t *w, const char *endpoint, net_peer_state_t state);
bool pw_is_cancelled(const pw_world_t *w, const pw_sent_t *sent);

/* A client's call; the answer to a call of the node. */
void pw_send(pw_world_t *w, const char *rpc, const void *request);

/* Somebody asks for a page of the ops port; the metadata that it wants, in the memory of the
 * request: err, or these keys. */
void pw_page(pw_world_t *w, const char *name, const char *query);
void pw_list(pw_world_t *w, err_t err, const char *const *keys, const void *const *messages,
             size_t n);
void pw_stop(pw_world_t *w);
void pw_reply(pw_world_t *w, const pw_sent_t *sent, err_t err, const char *text,
              const void *message);
void pw_written(pw_world_t *w, const pw_sent_t *sent, uint64_t ts);
void pw_run_job(pw_world_t *w);         /* that was asked for last */
void pw_wait(pw_world_t *w, int64_t ms);        /* time goes on, and timers with it */

/* What the client was answered, as a message of this type. */
void *pw_answer(pw_world_t *w, const ProtobufCMessageDescriptor *type);

/* What the client was answered; then forget it, and the calls that were made. */
Milvus__MutationResult *pw_result(pw_world_t *w);
void pw_is_refused(pw_world_t *w, int code, const char *text);
void pw_forget(pw_world_t *w);

#endif
