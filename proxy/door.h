/* door - where clients knock: gRPC and REST on one port
 *
 * One thread owns every client connection.  A request that has arrived whole
 * is handed to a callback on that thread; its answer may come from any thread
 * and finds its way back by itself.  What does not obey the limits is refused
 * here, and the other clients do not notice.
 *
 *     client ──bytes──▶ door thread ──request()──▶ the node's queue, workers …
 *     client ◀──bytes── door thread ◀─door_answer()──────────┘
 *
 * Protocols are told apart by the first bytes: HTTP/2's preface is gRPC (or
 * REST by a client that likes HTTP/2), a request line is REST, 0x16 is TLS.
 */
#ifndef PROXY_DOOR_H
#define PROXY_DOOR_H

#include "core/base/base.h"
#include "core/base/buf.h"

typedef struct door door_t;

/* gRPC status codes, as the wire numbers them. */
typedef enum grpc_code {
    GRPC_OK = 0, GRPC_CANCELLED = 1, GRPC_UNKNOWN = 2, GRPC_INVALID_ARGUMENT = 3,
    GRPC_DEADLINE_EXCEEDED = 4, GRPC_NOT_FOUND = 5, GRPC_ALREADY_EXISTS = 6,
    GRPC_PERMISSION_DENIED = 7, GRPC_RESOURCE_EXHAUSTED = 8, GRPC_FAILED_PRECONDITION = 9,
    GRPC_ABORTED = 10, GRPC_OUT_OF_RANGE = 11, GRPC_UNIMPLEMENTED = 12, GRPC_INTERNAL = 13,
    GRPC_UNAVAILABLE = 14, GRPC_DATA_LOSS = 15, GRPC_UNAUTHENTICATED = 16,
} grpc_code_t;

typedef struct door_header {
    const char *name;           /* lower case */
    const char *value;          /* NUL-terminated, no control characters */
} door_header_t;

/* One complete request.  Whoever got it gives it back with door_answer, once;
 * until then all of it stays readable, whatever becomes of the client. */
typedef struct door_request {
    ctx_t ctx;                  /* the errand: deadline, `cancelled`, an arena that dies with it */
    uint64_t number;            /* unique in this process; what `cancelled` names */
    bool is_rest;
    bool is_secure;             /* came over TLS */
    const void *method;         /* gRPC: what options.lookup returned; REST: NULL */
    const char *verb;           /* "POST" … */
    const char *path;           /* "/milvus.proto.milvus.MilvusService/Search", without "?…" */
    const char *query;          /* REST: behind the "?", else "" */
    const char *peer;           /* "10.0.0.7:53412" */
    view_t message;             /* gRPC message (inflated) or REST body; owned by the request */
    int64_t arrived_us;         /* clock_mono_us() when it was complete */

    door_header_t *headers;     /* [n_headers], no pseudo headers; use door_header() */
    size_t n_headers, cap_headers_;
    buf_t body_;
    door_t *door_;
    struct door_call *call_;    /* NULL once its stream is gone */
    struct door_conn *conn_;    /* NULL once its connection is gone */
    struct door_request *prev_, *next_;         /* of the same connection */
    size_t held_bytes_, reserved_bytes_;
    bool is_out_;               /* counted as handed over */
    int mail_;                  /* why it lies in the door's mailbox */
    struct door_answer *answer_;
} door_request_t;

typedef struct door_answer {
    grpc_code_t status;         /* gRPC */
    int http_status;            /* REST: 200, 401 …; 0: 200 */
    const char *text;           /* gRPC: grpc-message, UTF-8, copied; NULL: none */
    const char *content_type;   /* REST: a literal; NULL: application/json */
    buf_t body;                 /* moved: the gRPC message (status OK) or the REST document */
} door_answer_t;

typedef enum { DOOR_PLAIN = 0, DOOR_TLS = 1, DOOR_MUTUAL_TLS = 2 } door_tls_mode_t;

/* Every 0 or NULL takes the default named in core/base/limits.h. */
typedef struct door_options {
    const char *host;           /* NULL: "0.0.0.0" */
    int port;                   /* 0: the kernel picks, see door_port */
    door_tls_mode_t tls_mode;   /* common.security.tlsMode */
    const char *cert_file, *key_file, *ca_file;
    const char *const *services;/* NULL-terminated: the gRPC services lookup knows methods of */

    void *arg;                  /* first argument of the three below; all on the door's thread */
    const void *(*lookup)(void *arg, const char *path);         /* NULL: no such method */
    void (*request)(void *arg, door_request_t *request);        /* moved */
    void (*cancelled)(void *arg, uint64_t number);  /* client gone or deadline past; may be NULL */

    size_t message_bytes;       /* LIMIT_REQUEST_BYTES */
    size_t answer_bytes;        /* LIMIT_RESPONSE_BYTES */
    size_t budget_bytes;        /* ctx.budget_bytes of each request; 0: no bound */
    size_t conn_bytes;          /* LIMIT_DOOR_CONN_BYTES */
    size_t total_bytes;         /* bodies and answers in all; 0: a quarter of RAM */
    size_t header_bytes;        /* LIMIT_DOOR_HEADER_BYTES */
    uint32_t conns, conns_per_ip, streams;
    uint32_t requests;          /* handed over and not answered, all connections */
    uint32_t control_frames;    /* in 10 s, one connection */
    uint32_t reset_burst, reset_rate;
    uint32_t rate_bytes;        /* least bytes a second, bodies and answers */
    int64_t first_ms;           /* TLS, preface and first headers within */
    int64_t grace_ms;           /* a body may be slow this long */
    int64_t stall_ms;           /* an answer must move within */
    int64_t ping_idle_ms, ping_wait_ms;
    int64_t rest_idle_ms;       /* keep-alive between two REST requests */
    int64_t rest_ms;            /* a REST request without Request-Timeout */
    int64_t linger_ms;          /* to let a last word be read before the socket closes */
} door_options_t;

/* Listen and start the thread.
 *
 *   options  borrowed, strings copied
 *   ret      out, caller owns
 *
 * Errors  ERR_NETWORK  the port is taken or the host is not ours; names proxy.port
 *         ERR_CONFIG   certificate, key or CA cannot be used; names the file and the key */
err_t must_use door_open(ctx_t *ctx, const door_options_t *options, door_t **ret);

int door_port(const door_t *self);

/* Give a request back with its answer.  Any thread; never blocks.  Answering a
 * client that is gone, or after door_stop, only frees.
 *   request_p  moved; NULL afterwards
 *   answer     body moved; NULL: UNAVAILABLE, for requests dropped on the way out */
void door_answer(door_t *self, door_request_t **request_p, door_answer_t *answer);

/* The value of a header (lower-case name), NULL when it was not sent. */
const char *door_header(const door_request_t *request, const char *name);

/* Stop taking connections, tell clients to go away, let open requests finish for at
 * most drain_ms, close everything and join the thread.  Idempotent. */
void door_stop(door_t *self, int64_t drain_ms);

/* Stops without draining when door_stop was not called.  Every request must have been
 * given back by now. */
void door_destroy(door_t **self_p);

#define DOOR_COUNTERS(X) \
    X(turns)                /* of the door's loop: stands still while nobody knocks */ \
    X(accepted)             /* connections taken */ \
    X(h2)                   /* of which HTTP/2 */ \
    X(rest)                 /* of which HTTP/1.1 */ \
    X(tls)                  /* TLS handshakes done */ \
    X(requests)             /* handed over */ \
    X(answers)              /* sent, the door's own refusals too */ \
    X(cancelled)            /* client gone before the answer */ \
    X(timed_out)            /* deadline past before the answer */ \
    X(unknown)              /* unknown method */ \
    X(refused_conns)        /* over conns */ \
    X(refused_ip)           /* over conns_per_ip */ \
    X(refused_size)         /* message too large */ \
    X(refused_headers)      /* header list too large */ \
    X(refused_memory)       /* over total_bytes */ \
    X(refused_busy)         /* over requests */ \
    X(flood_control)        /* connections ended: too many control frames */ \
    X(flood_reset)          /* connections ended: too many resets */ \
    X(slow_first)           /* connections ended: first_ms */ \
    X(slow_body)            /* requests ended: body too slow */ \
    X(stalled)              /* answers or connections ended: client does not read */ \
    X(dead_peer)            /* connections ended: ping not answered */ \
    X(malformed)            /* protocol errors */ \
    X(garbage)              /* neither HTTP/2 nor HTTP/1.1 nor the TLS we expect */ \
    X(tls_failed)           /* handshakes that failed */

#define DOOR_GAUGES(X) \
    X(open_conns) \
    X(open_requests)        /* handed over and not answered */ \
    X(held_bytes)           /* of messages and answers */

typedef struct door_stats {
#define X(name) uint64_t name;
    DOOR_COUNTERS(X)
    DOOR_GAUGES(X)
#undef X
} door_stats_t;

/* Any thread. */
void door_stats(const door_t *self, door_stats_t *ret);

#endif
