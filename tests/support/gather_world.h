/* gather_world - the world around a proxy's node that asks several nodes
 *
 * The test shows keys of the metadata, answers calls and lists in the order in
 * which they were made, and lets time pass.  There are two data nodes (11, 12) and
 * two query nodes (21, 22); collection `a` (7) has a shard on each of dml_0 and
 * dml_1, partitions 70 (_default) and 71 (other), and an index v_idx (9).
 */
#ifndef TESTS_SUPPORT_GATHER_WORLD_H
#define TESTS_SUPPORT_GATHER_WORLD_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/wire/pb.h"
#include "elanus.pb-c.h"
#include "milvus.pb-c.h"
#include "proxy/proxy_node.h"

enum { GW_CALLS = 32, GW_WATCHES = 16 };

typedef struct asked {
    uint32_t method;            /* 0: a list of metadata */
    char to[64];                /* endpoint, or prefix */
    view_t payload;
    uint64_t cookie;
} gw_asked_t;

typedef struct world {
    void *node;
    actions_t act;
    node_self_t self;
    ctx_t ctx;                  /* of the test's own messages */
    ctx_t request;              /* of the call under test */
    int64_t now_ms, rev;
    struct { char prefix[32]; uint64_t cookie; } watches[GW_WATCHES];
    size_t n_watches;
    gw_asked_t asked[GW_CALLS];
    size_t n;
    int64_t timers[110];        /* when due; 0: not set */
    proxy_call_t *answered;
} gw_world_t;

int gw_up(void **state);        /* cmocka's setup and teardown; *state is the world */
int gw_down(void **state);

/* One event for the node; what it does about it is kept. */
void gw_step(gw_world_t *w, event_t ev);

/* A key of the metadata changes; message NULL: no value. */
void gw_show(gw_world_t *w, const char *key, meta_watch_kind_t kind, const void *message);
void gw_put_node(gw_world_t *w, const char *role, uint64_t id);
void gw_put_owner(gw_world_t *w, int channel, uint64_t node);
void gw_put_load(gw_world_t *w, bool whole);    /* else partition 70 only */
void gw_put_replica(gw_world_t *w, uint64_t id, uint64_t leader0, uint64_t leader1);

/* Let this much time pass, timers and all; calls are not answered meanwhile. */
void gw_wait(gw_world_t *w, int64_t ms);

/* The oldest question, which must be this one; method 0: a list of a prefix. */
gw_asked_t gw_next(gw_world_t *w, uint32_t method, const char *to);
void gw_answer(gw_world_t *w, gw_asked_t asked, const void *message);
void gw_fail(gw_world_t *w, gw_asked_t asked, err_t err);
void gw_list(gw_world_t *w, gw_asked_t asked, Elanus__Segment **segments, size_t n);

/* A client's call, and what it was answered: nothing may be asked any more. */
void gw_send(gw_world_t *w, const char *rpc, const void *request);
void *gw_got(gw_world_t *w, const ProtobufCMessageDescriptor *type);

#endif
