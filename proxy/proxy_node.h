/* proxy_node - what the proxy decides: who may ask what, and who answers
 *
 *     client ─► door ─► proxy_actor ─► EV_ITEM(call) ─► intercept ─► handler
 *                                                                       │ coordinator asked?
 *     client ◄─ door ◄─ proxy_actor ◄─ ACT_ITEM(call) ◄─ proxy_answer ◄─┘
 *
 * A call is one client request on its way through: made by proxy_actor from
 * what the door delivered, moved to the node, given an answer, moved back.
 * The node knows no HTTP; gRPC and REST differ only in how the bytes become a
 * request message and the response message becomes bytes (proxy/rest.h).
 */
#ifndef PROXY_PROXY_NODE_H
#define PROXY_PROXY_NODE_H

#include "core/base/buf.h"
#include "core/base/limits.h"
#include "core/node/node.h"
#include "proxy/methods.h"
#include "proxy/rest.h"

extern const role_t proxy_role;

typedef struct proxy_options {
    bool authorization;         /* common.security.authorizationEnabled */
    const char *root_password;  /* common.security.defaultRootPassword */
    bool no_hedge;              /* elanus.proxy.hedge */
    int64_t hedge_ms;           /* elanus.proxy.hedgeDelay; 0: the default */
    struct proxy_requests *requests;    /* proxy/proxy_requests.h; borrowed; NULL: none are kept */
    uint64_t build_rows;        /* indexCoord.segment.minSegmentNumRowsToEnableIndex */
} proxy_options_t;

/* gRPC status numbers the node itself gives. */
enum { PROXY_GRPC_OK = 0, PROXY_GRPC_CANCELLED = 1, PROXY_GRPC_INVALID_ARGUMENT = 3,
       PROXY_GRPC_DEADLINE = 4, PROXY_GRPC_PERMISSION_DENIED = 7, PROXY_GRPC_EXHAUSTED = 8,
       PROXY_GRPC_UNIMPLEMENTED = 12, PROXY_GRPC_INTERNAL = 13, PROXY_GRPC_UNAVAILABLE = 14,
       PROXY_GRPC_UNAUTHENTICATED = 16 };

struct proxy_call {
    /* given */
    const method_t *method;
    const rest_route_t *route;  /* NULL: gRPC */
    view_t message;             /* protobuf bytes, or the REST body */
    const char *authorization;  /* header as sent; NULL: none */
    const char *db_header;      /* "dbname"; NULL: none */
    void *door_request;         /* the actor's; the node does not look */
    const struct page *page;    /* of the ops port (proxy/pages.h); NULL: an RPC */
    const char *page_query;     /* behind its "?" */
    bool looks;                 /* by the ops port: somebody looks again and again, no client */
    ctx_t *ctx;                 /* the request's: arena, deadline, budget */
    const char *traceparent;    /* header as sent (W3C Trace Context); NULL: none */
    int64_t arrived_us;         /* clock_mono_us */

    /* worked out */
    ProtobufCMessage *request;
    json_t *json;               /* REST, while with_schema or then may want it; ends with it */
    size_t step;                /* REST: RPCs of this body that are done */
    char db[LIMIT_NAME_BYTES + 1];
    char user[LIMIT_NAME_BYTES + 1];
    int64_t began_us, look_us;  /* for /metrics; 0 without a registry */
    uint64_t vectors;           /* rows written, or vectors searched for */
    bool looked_again;          /* see proxy_look_again */
    trace_t trace;              /* and its span in it; {0, 0}: of no interest */

    /* the answer */
    int grpc_status;
    int http_status;            /* REST */
    const char *text;           /* gRPC: message of a failed status */
    int code;                   /* Status.code, or of gRPC without a Status; 0: success */
    const char *reason;         /* when it is not 0 */
    buf_t body;                 /* packed response, or JSON */
};

#endif
