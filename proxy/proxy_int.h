/* proxy_int - what the files of the proxy's node share */
#ifndef PROXY_PROXY_INT_H
#define PROXY_PROXY_INT_H

#include "common.pb-c.h"
#include "core/base/map.h"
#include "core/catalog/catalog.h"
#include "core/catalog/directory.h"
#include "core/node/member.h"
#include "core/schema/column.h"
#include "core/wire/pb.h"
#include "milvus.pb-c.h"
#include "proxy/handlers.h"
#include "proxy/proxy_count.h"
#include "proxy/proxy_node.h"

#define PROXY_VERSION "2.4.23-elanus-" ELANUS_VERSION

enum { TIMER_PROXY_ASK = 100, TIMER_PROXY_WHEN = 101, TIMER_PROXY_NEWS = 102,
       TIMER_PROXY_READS = 103, TIMER_PROXY_LOOK = 104 };

typedef struct ask ask_t;
typedef struct when when_t;
typedef struct news news_t;
typedef struct ids_wait ids_wait_t;
typedef struct proxy_write proxy_write_t;

typedef struct ids_range { uint64_t first, n; } ids_range_t;

/* Numbers for automatic keys; see proxy_ids.c. */
typedef struct ids {
    ids_range_t now, spare;
    bool asking, resting;       /* a question is out; or failed, to be asked again */
    ids_wait_t *waits;
} ids_t;

struct proxy_node {
    member_t member;            /* first: shared by all roles */
    const proxy_options_t *options;
    ask_t *parked;              /* questions that wait for a leader */
    catalog_t *catalog;         /* as the watches show it */
    when_t *whens;              /* calls that wait for it to be newer */
    directory_t *directory;     /* nodes, owners, replicas: as the watches show them */
    news_t *news;               /* who waits for a change of the directory */
    int64_t news_due_ms;        /* when the first of them has waited long enough */
    map_t *links;               /* address -> proxy_link_t (proxy_links.h) */
    map_t *paces;               /* collection -> how long its reads take */
    int64_t look_until_ms;      /* somebody looks in: links to all nodes are kept */
    bool doubting;              /* the coordinator is being asked whom it reaches */
    int64_t doubt_again_ms;
    struct proxy_read *reads;   /* searches and queries under way (proxy_read.h) */
    size_t read_turn;           /* which replica is asked first, of equal ones */
    int64_t reads_due_ms;       /* when reads are looked after; 0: not */
    uint64_t hedged, hedges_won;        /* reads that were sent to another replica as well */
    ids_t ids;
    proxy_write_t *writes;      /* under way */
    uint64_t ddl_count;         /* of this incarnation, for tokens */
    uint64_t traces;            /* likewise, for numbers of requests */
    int64_t last_identifier;
    uint64_t last_ts;
    uint64_t open_calls;
    uint64_t client_calls;      /* so far, without pages and who looks */
    const event_t *now;         /* the event of this step */
    proxy_count_t count;
};

/* What a handler does with the coordinator's answer; ev as in EV_REPLY.  ev->err is set when
 * no answer came in time. */
typedef void proxy_then_fn(proxy_node_t *self, proxy_call_t *call, const event_t *ev,
                           actions_t *act);

/* proxy_node.c: the handler of the call's method, perhaps once more after proxy_look_again. */
void proxy_handle(proxy_node_t *self, proxy_call_t *call, const event_t *ev, actions_t *act);

/* proxy_ask.c */

/* Ask whoever leads; waits for a leader and asks again while the call's deadline allows. */
void proxy_ask(proxy_node_t *self, proxy_call_t *call, const event_t *ev, actions_t *act,
               uint32_t method, view_t payload, proxy_then_fn *then);
void proxy_ask_within(proxy_node_t *self, proxy_call_t *call, const event_t *ev, actions_t *act,
                      uint32_t method, int64_t most_ms, proxy_then_fn *then);
void proxy_ask_parked(proxy_node_t *self, const event_t *ev, actions_t *act);
void proxy_ask_fini(proxy_node_t *self);

/* proxy_catalog.c */

void proxy_catalog_start(proxy_node_t *self, actions_t *act);
void proxy_catalog_fini(proxy_node_t *self);
void proxy_catalog_timer(proxy_node_t *self, const event_t *ev, actions_t *act);

/* Go on in `then` once the catalog is whole and, with revisions, at least that new by kind;
 * at once when it is.  The call ends in a retriable error when that takes too long. */
typedef void proxy_when_fn(proxy_node_t *self, proxy_call_t *call, const event_t *ev,
                           actions_t *act);
void proxy_when(proxy_node_t *self, proxy_call_t *call, const event_t *ev, actions_t *act,
                const int64_t *revisions, proxy_when_fn *then);

/* Have the coordinator change the catalog; the call ends with a Status, OK once our own
 * catalog shows the change.  ask: db_name may be NULL: the call's; the token is filled in. */
void proxy_ddl(proxy_node_t *self, proxy_call_t *call, const event_t *ev, actions_t *act,
               uint32_t method, Elanus__Ddl *ask);

/* A token that no other request has; in the call's arena. */
char *proxy_ddl_token(proxy_node_t *self, proxy_call_t *call);

/* Something is not there: perhaps it came to be by another proxy a moment ago.  True: the
 * coordinator is asked how new the catalog has to be, and the handler will run again. */
bool proxy_look_again(proxy_node_t *self, proxy_call_t *call, const event_t *ev, actions_t *act);

/* Handle a call that asks what there is, once our picture shows what every proxy was told has
 * been done before it came. */
void proxy_look_first(proxy_node_t *self, proxy_call_t *call, const event_t *ev, actions_t *act);

/* End the call with err and the text of call->ctx, or look again first. */
void proxy_refuse(proxy_node_t *self, proxy_call_t *call, const event_t *ev, actions_t *act,
                  err_t err);

/* The call's database; the collection by name or alias.  Errors with Milvus's texts, and
 * for an impossible name what Milvus says of the name. */
err_t proxy_database(proxy_node_t *self, proxy_call_t *call, const Elanus__Database **ret);
err_t proxy_collection(proxy_node_t *self, proxy_call_t *call, const char *name,
                       const Elanus__Collection **ret);
err_t proxy_partition(proxy_call_t *call, const Elanus__Collection *coll, const char *name,
                      const Elanus__Partition **ret);

/* proxy_directory.c: questions about nodes, owners and replicas go to self->directory. */

void proxy_directory_start(proxy_node_t *self, actions_t *act);
void proxy_directory_fini(proxy_node_t *self);
void proxy_directory_timer(proxy_node_t *self, const event_t *ev, actions_t *act);

/* Call `then` once: when the directory has changed, or after wait_ms at the latest.  Who
 * finds no owner or leader waits so and looks again.  arg is borrowed. */
typedef void proxy_news_fn(proxy_node_t *self, void *arg, const event_t *ev, actions_t *act);
void proxy_news(proxy_node_t *self, const event_t *ev, actions_t *act, int64_t wait_ms,
                proxy_news_fn *then, void *arg);
void proxy_news_all(proxy_node_t *self, const event_t *ev, actions_t *act);

/* proxy_ids.c */

/* n numbers that nobody else gets, first to first + n - 1; usually at once.  Ends in an error
 * when there are none by give_up_ms.  arg is borrowed; 0 < n <= LIMIT_IDS. */
typedef void proxy_ids_fn(proxy_node_t *self, void *arg, const event_t *ev, actions_t *act,
                          err_t err, uint64_t first);
void proxy_ids(proxy_node_t *self, const event_t *ev, actions_t *act, uint64_t n,
               int64_t give_up_ms, proxy_ids_fn *then, void *arg);
void proxy_ids_fini(proxy_node_t *self);

/* proxy_write.c; the rest is in proxy_write.h */
void proxy_write_fini(proxy_node_t *self);

/* proxy_find.c: the primary keys of the rows that a filter takes, for deletes by expression.
 * `then` gets a column in the call's arena; NULL and err when that failed, with the text in
 * call->ctx.  Everything given is borrowed until then. */
typedef struct proxy_find {
    const Elanus__Collection *coll;
    const struct read_filter *filter;   /* proxy/read_filter.h */
    const char *partition;      /* NULL: all */
    int consistency;            /* Common__ConsistencyLevel, as the client says */
} proxy_find_t;

typedef void proxy_found_fn(proxy_node_t *self, proxy_call_t *call, const event_t *ev,
                            actions_t *act, void *arg, err_t err, const column_t *keys);
void proxy_find_pks(proxy_node_t *self, proxy_call_t *call, const event_t *ev, actions_t *act,
                    const proxy_find_t *find, proxy_found_fn *then, void *arg);

/* proxy_answer.c */

/* End a call with a response message: pack it, and end the call.  Packing touches the call
 * and nothing else, so a job may do that half. */
void proxy_pack(proxy_call_t *call, const void *response);
void proxy_end(proxy_node_t *self, proxy_call_t *call, actions_t *act);
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

/* intercept.c: authentication; reading the request; database.  What returns a bool has answered
 * the call when it is false. */
bool proxy_authenticate(proxy_node_t *self, proxy_call_t *call, actions_t *act);

/* Where the one value of this field stands in a request; NULL: it has no such field of that type.
 * Requests of most RPCs have a db_name and a collection_name, and no type in common. */
const void *proxy_field(const ProtobufCMessage *request, const char *name, ProtobufCType type);
const char *proxy_text_field(const ProtobufCMessage *request, const char *name);

/* Its message as call->request.  Touches nothing but the call, so a job may do it. */
err_t proxy_read_request(proxy_call_t *call);

/* The request was read, or err says why not. */
bool proxy_enter(proxy_node_t *self, proxy_call_t *call, actions_t *act, err_t err);

#endif
