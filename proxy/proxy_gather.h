/* proxy_gather - ask several nodes the same and go on when all have answered */
#ifndef PROXY_PROXY_GATHER_H
#define PROXY_PROXY_GATHER_H

#include "proxy/proxy_int.h"

typedef struct proxy_target {
    uint64_t node;
    const char *address;
    uint64_t of;                /* what for: a collection, or what the caller takes it for */
    char **vchannels;           /* that this node is asked for; maybe none */
    size_t n_vchannels;
    view_t payload;
    err_t err;                  /* of its answer, with a text */
    const char *text;
    void *answer;               /* unpacked; NULL: err */
} proxy_target_t;

typedef struct proxy_gather proxy_gather_t;
struct proxy_gather {
    uint32_t method;
    const ProtobufCMessageDescriptor *type;     /* of the answers */

    /* Name the targets, as things stand now; no targets and OK is fine.  An error ends the
     * call, unless it is one that passes: then it runs again after the next news. */
    err_t (*find)(proxy_node_t *self, proxy_gather_t *gather, const event_t *ev);
    void (*then)(proxy_node_t *self, proxy_gather_t *gather, const event_t *ev, actions_t *act);
    bool tolerant;              /* a target's error is an answer; else all are asked again, or
                                 * the call ends with it */
    void *arg;                  /* the caller's; in the call's arena */

    proxy_call_t *call;         /* given by the rest of the arguments, or worked out */
    proxy_target_t *targets;
    size_t n, room;
    size_t waiting;
    int64_t began_ms, give_up_ms;
};

/* `what` is copied.  Exactly one of then() and an end of the call follows. */
void proxy_gather(proxy_node_t *self, proxy_call_t *call, const proxy_gather_t *what,
                  const event_t *ev, actions_t *act);

/* From then(): ask all again after so many ms, or sooner when something changed. */
void proxy_gather_again(proxy_node_t *self, proxy_gather_t *gather, const event_t *ev,
                        actions_t *act, int64_t wait_ms);

/* For find(): the target of this node and `of`, made when it is not there. */
proxy_target_t *proxy_gather_target(proxy_gather_t *gather, const Elanus__NodeInfo *node,
                                    uint64_t of);

/* For find(): all owners of a collection's channels, each with its vchannels.
 * ERR_CHANNEL_NOT_AVAILABLE (it passes): one has none. */
err_t must_use proxy_gather_owners(proxy_node_t *self, proxy_gather_t *gather,
                                   const Elanus__Collection *coll, uint64_t of);

/* For find(): the shard leaders of a collection's replicas, to be asked METHOD_LOADED.  False:
 * there is no replica, or one has a shard whose leader is gone. */
bool proxy_gather_leaders(proxy_node_t *self, proxy_gather_t *gather,
                          const Elanus__LoadedAsk *ask, uint64_t of);

/* How much is loaded, by the answers for `of`: the least of them; who does not answer has
 * nothing.  *ret_why (may be NULL): what keeps one back; left alone when nothing does. */
int64_t proxy_gather_percent(const proxy_gather_t *gather, uint64_t of, const char **ret_why);

/* proxy_stored.c: the FLUSHED segments of a collection, as metadata has them now.  It asks no
 * node, so that figures can be had while channels move.  Ends the call when it fails. */
typedef void proxy_stored_fn(proxy_node_t *self, proxy_call_t *call, uint64_t collection,
                             Elanus__Segment *const *segments, size_t n, const event_t *ev,
                             actions_t *act);
void proxy_stored(proxy_node_t *self, proxy_call_t *call, uint64_t collection,
                  proxy_stored_fn *then, actions_t *act);

#endif
