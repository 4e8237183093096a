/* ops - the HTTP port of every daemon: /metrics, /healthz, /log/level
 *
 * One thread with poll owns the listening socket and at most
 * LIMIT_OPS_CONNECTIONS connections; without connections it sleeps for ever.
 * More pages are routes: a function that fills in an answer on that thread at
 * once, or takes the request's id and has ops_answer called later, so that a
 * slow page never keeps a liveness probe waiting.
 *
 *     GET      /healthz         200 "OK" or 500 "Not all components are healthy, 3/5"; as JSON
 *                               where the request's Content-Type or Accept says so
 *     GET      /api/v1/health   {"status":"ok"}: the process is there
 *     GET      /metrics         Prometheus text format 0.0.4
 *     GET PUT  /log/level       {"level":"info"}
 *
 * One connection too many closes the one that has been idle longest; a request
 * that is not complete after 10 s is answered 408; what is not HTTP gets its
 * status, a count in elanus_ops_refused_total and a rate-limited log line.
 */
#ifndef CORE_OPS_OPS_H
#define CORE_OPS_OPS_H

#include "core/base/base.h"
#include "core/base/buf.h"
#include "core/base/metrics.h"
#include "core/http/h1.h"

typedef struct ops ops_t;

/* Milvus's StateCode. */
typedef enum {
    OPS_INITIALIZING, OPS_HEALTHY, OPS_ABNORMAL, OPS_STANDBY, OPS_STOPPING
} ops_state_t;

typedef struct ops_component {
    const char *name;           /* "rootcoord"; lives as long as the ops_t */
    ops_state_t code;           /* healthy and standby count as healthy */
} ops_component_t;

typedef struct ops_options {
    const char *host;           /* numeric address or name to listen on; NULL: 127.0.0.1 */
    int port;                   /* 0: the kernel picks one */
    size_t (*health)(void *arg, ops_component_t *ret, size_t most);
                                /* fills in up to most components, returns how many; quick, on the
                                   ops thread; NULL: nothing to ask */
    void (*figures)(void *arg, buf_t *into);
                                /* more lines for /metrics; quick, on the ops thread; NULL: none */
    void *arg;
    metrics_t *metrics;         /* borrowed; NULL: one of its own */
    int64_t request_ms;         /* a request must be complete this long after its first byte, an
                                   answer taken in three times as long; 0: 10 s */
    int64_t idle_ms;            /* between requests of a connection; 0: 60 s */
    int64_t later_ms;           /* for ops_answer to come; 0: 30 s */
} ops_options_t;

/* Listen and serve.
 * Errors  ERR_NETWORK  the address cannot be listened on; the text names the key to change */
err_t must_use ops_open(ctx_t *ctx, const ops_options_t *options, ops_t **ret);

/* Stops listening, lets answers that are on their way out go (at most 500 ms), joins. */
void ops_destroy(ops_t **self_p);

const char *ops_address(const ops_t *self);     /* "127.0.0.1:9091", with the real port */
int ops_port(const ops_t *self);
metrics_t *ops_metrics(ops_t *self);

typedef struct ops_request {
    uint64_t id;                /* for ops_answer */
    const char *method;
    view_t path, query, body;   /* borrowed until the handler returns */
    const void *head_;          /* for ops_header */
} ops_request_t;

bool ops_header(const ops_request_t *request, const char *name, view_t *ret);

enum { OPS_REPLY_FIELDS = 8, OPS_ETAG_BYTES = 32 };

typedef struct ops_reply {
    int status;                 /* enters as 200 */
    const char *type;           /* enters as "text/plain; charset=utf-8" */
    const char *cache;          /* Cache-Control; enters as "no-store" */
    char etag[OPS_ETAG_BYTES];  /* with its quotes; whoever has it already is told 304.  Enters ""
                                   for none; not for what comes later, like the fields */
    h1_field_t fields[OPS_REPLY_FIELDS];    /* more headers; borrowed until it is written */
    size_t n_fields;
    buf_t body;                 /* enters empty, bounded by LIMIT_OPS_ANSWER_BYTES */
    bool later;                 /* set: ops_answer follows, from any thread, or 504 */
} ops_reply_t;

typedef void (*ops_fn)(void *arg, const ops_request_t *request, ops_reply_t *reply);

/* Serve a path.  A path that ends in a star serves everything below what stands before it;
 * the longest match wins.  method: one word; "GET" covers HEAD.  Any thread, any time; the same
 * path and method again replaces.  strings: borrowed for the ops_t's life. */
void ops_route(ops_t *self, const char *method, const char *path, ops_fn fn, void *arg);

/* Answer a request whose handler said `later`.  body is copied.  Any thread; dropped when the
 * client has gone.  Not after ops_destroy. */
void ops_answer(ops_t *self, uint64_t id, int status, const char *type, view_t body);

#endif
