/* proxy_int - what the files of the proxy's node share */
#ifndef PROXY_PROXY_INT_H
#define PROXY_PROXY_INT_H

#include "common.pb-c.h"
#include "core/node/member.h"
#include "core/wire/pb.h"
#include "milvus.pb-c.h"
#include "proxy/handlers.h"
#include "proxy/proxy_node.h"

#define PROXY_VERSION "2.4.23-elanus-" ELANUS_VERSION

enum { TIMER_PROXY_ASK = 100 };

typedef struct ask ask_t;

struct proxy_node {
    member_t member;            /* first: shared by all roles */
    const proxy_options_t *options;
    ask_t *parked;              /* questions that wait for a leader */
    int64_t last_identifier;
    uint64_t open_calls;
};

/* What a handler does with the coordinator's answer; ev as in EV_REPLY.  ev->err is set when
 * no answer came in time. */
typedef void proxy_then_fn(proxy_node_t *self, proxy_call_t *call, const event_t *ev,
                           actions_t *act);

/* proxy_ask.c */

/* Ask whoever leads; waits for a leader and asks again while the call's deadline allows. */
void proxy_ask(proxy_node_t *self, proxy_call_t *call, const event_t *ev, actions_t *act,
               uint32_t method, view_t payload, proxy_then_fn *then);
void proxy_ask_parked(proxy_node_t *self, const event_t *ev, actions_t *act);
void proxy_ask_fini(proxy_node_t *self);

/* proxy_answer.c */

/* End a call with a response message. */
void proxy_answer(proxy_node_t *self, proxy_call_t *call, actions_t *act, const void *response);

/* End a call with a gRPC status instead of a response; REST gets the HTTP status and the
 * JSON that go with it. */
void proxy_fail(proxy_node_t *self, proxy_call_t *call, actions_t *act, int grpc_status,
                const char *format, ...) printf_like(5, 6);

/* End a call whose response holds nothing but a Status: every response type has one. */
void proxy_status(proxy_node_t *self, proxy_call_t *call, actions_t *act, err_t err,
                  const char *text);

/* A Status for err; text NULL: the table's.  In the arena. */
Common__Status *proxy_status_new(ctx_t *ctx, err_t err, const char *text);

/* intercept.c: authentication, database, privilege; false: the call was answered. */
bool proxy_intercept(proxy_node_t *self, proxy_call_t *call, actions_t *act);

#endif
