/* door_int - what the door_*.c files share; nobody else includes it
 *
 *     door.c         the thread: epoll, timers, mailbox, start and stop
 *     door_conn.c    one connection: accept, sniff, read, write, due times, close
 *     door_call.c    one call: its request, deadline, answer, end
 *     door_grpc.c    gRPC: headers, framing, gzip, timeouts, percent-encoding
 *     door_h2.c      the only file that sees nghttp2
 *     door_rest.c    HTTP/1.1 by core/http/h1
 *     door_tls.c     the only file that sees OpenSSL
 *     door_limits.c  defaults, connections per address, token buckets
 *
 * All of it runs on the door's thread, except door_answer, door_stats and the
 * inflating of gzip messages (one pool thread, started when first needed).
 */
#ifndef PROXY_DOOR_INT_H
#define PROXY_DOOR_INT_H

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "core/base/log.h"
#include "core/base/map.h"
#include "core/base/pool.h"
#include "core/base/queue.h"
#include "proxy/door_call.h"

typedef struct door_tls door_tls_t;             /* certificate and key, one a door */
typedef struct door_tls_conn door_tls_conn_t;
typedef struct door_h2 door_h2_t;               /* an nghttp2 session and its counters */
typedef struct door_rest door_rest_t;           /* an h1 parser and where it stands */

#define DOOR_JSON "application/json; charset=utf-8"
#define DOOR_CORS_METHODS "GET, POST, PUT, DELETE, OPTIONS"
#define DOOR_CORS_HEADERS "Content-Type, Authorization, Accept, DB-Name, Request-Timeout, " \
                          "Accept-Type-Allow-Int64"

enum { DOOR_SCRATCH_BYTES = 64 << 10, DOOR_OUT_BYTES = 128 << 10 };

/* Tokens that come back with time; `burst` at the most. */
typedef struct door_bucket {
    double tokens;
    int64_t at_ms;
} door_bucket_t;

typedef enum { CONN_TLS, CONN_SNIFF, CONN_H2, CONN_REST, CONN_LINGER } conn_kind_t;

struct door_conn {
    door_t *door;
    door_conn_t *prev, *next;   /* all connections */
    door_conn_t *next_dirty, *next_dead;
    bool is_dirty, is_dead;
    int fd;
    conn_kind_t kind;
    uint32_t events;            /* what epoll is asked for */
    struct in6_addr ip;         /* IPv4 mapped; IPv6 cut to its /64 */
    char peer[56];
    door_tls_conn_t *tls;       /* NULL: plain */
    bool said_hello;            /* its first byte was TLS's */
    door_h2_t *h2;
    door_rest_t *rest;
    uint8_t sniffed[24];
    size_t n_sniffed;

    buf_t out;                  /* bytes for the socket */
    size_t out_at;
    bool blocked;               /* the socket did not take all of out */
    bool close_after_out;
    bool read_paused;           /* REST: enough input waits */
    uint64_t written;
    uint64_t mark_written;      /* when mark_ms was set */
    int64_t mark_ms;
    int64_t opened_ms, read_ms; /* read_ms: the last bytes came */
    int64_t linger_until_ms;
    size_t linger_bytes;        /* that may still be thrown away */

    int64_t due_ms;             /* when door_conn_tick must run; INT64_MAX: never */
    size_t heap_at;

    door_call_t *calls;
    door_request_t *requests;   /* also those whose stream is gone */
    size_t n_waiting;           /* calls reserved and not granted */
    size_t n_out;               /* requests handed over, also of streams that are gone */
    size_t reserved_bytes;
};

enum { MAIL_NONE, MAIL_ANSWER, MAIL_INFLATED };

typedef struct door_counters {
#define X(name) _Atomic uint64_t name;
    DOOR_COUNTERS(X)
#undef X
    _Atomic uint64_t open_conns, open_requests, held_bytes;
} door_counters_t;

struct door {
    door_options_t opt;
    char *host, *cert_file, *key_file, *ca_file;    /* what opt's strings point at */
    int listener, epoll, wake, port;
    pthread_t thread;
    bool thread_runs;
    int64_t drain_ms;           /* written before stop_asked */
    _Atomic bool stop_asked;

    queue_t *mail;
    pool_t *inflater;
    door_tls_t *tls;
    map_t *ips;                 /* address -> number of connections, as a pointer */

    door_conn_t *conns;
    door_conn_t *dirty, *dead;
    door_conn_t **heap;         /* by due_ms */
    size_t heap_len, heap_cap;
    int64_t now_ms;             /* of this turn of the loop */
    int64_t accept_again_ms;    /* out of descriptors: listen again then; 0: listening */
    bool stopping;
    int64_t stop_by_ms;

    uint64_t next_number;
    door_counters_t count;
    uint8_t scratch[DOOR_SCRATCH_BYTES];
};

#define door_count(door, name) \
    ((void)atomic_fetch_add_explicit(&(door)->count.name, 1, memory_order_relaxed))
#define door_load(door, name) atomic_load_explicit(&(door)->count.name, memory_order_relaxed)

/* --- door_limits.c ---------------------------------------------------------- */
void door_limits_fill(door_options_t *opt);

/* One more connection of this address; false when there are too many. */
bool door_limits_enter(door_t *door, const struct in6_addr *ip);
void door_limits_leave(door_t *door, const struct in6_addr *ip);

/* Count bytes of messages and answers; false when that would pass total_bytes. */
bool door_limits_hold(door_t *door, size_t bytes);
void door_limits_release(door_t *door, size_t bytes);

/* Take one token; false when none is left.  rate in tokens a second. */
bool door_bucket_take(door_bucket_t *bucket, double burst, double rate, int64_t now_ms);

/* --- door_conn.c ------------------------------------------------------------ */
void door_conn_accept(door_t *door);
void door_conn_event(door_conn_t *conn, uint32_t events);
void door_conn_tick(door_conn_t *conn);         /* its due time has come */
void door_conn_flush(door_conn_t *conn);        /* fill, write, arm epoll */
void door_conn_free(door_conn_t *conn);

/* There is something to send, or to reconsider, at the end of this turn. */
void door_conn_dirty(door_conn_t *conn);

/* Close now.  The object stays until the end of this turn. */
void door_conn_kill(door_conn_t *conn);

/* Send what is in out, stop listening to the peer, close when it has read it. */
void door_conn_finish(door_conn_t *conn);

/* Have door_conn_tick called at `at_ms` or before. */
void door_conn_due(door_conn_t *conn, int64_t at_ms);
void door_conn_drain(door_conn_t *conn);        /* the door is closing */

/* Neither protocol: count, log, close. */
void door_conn_garbage(door_conn_t *conn, const char *why);

/* --- door_h2.c -------------------------------------------------------------- */
void door_h2_open(door_conn_t *conn);
void door_h2_destroy(door_h2_t **self_p);
void door_h2_feed(door_conn_t *conn, view_t bytes);
void door_h2_fill(door_conn_t *conn);           /* frames into conn->out */
bool door_h2_finished(const door_conn_t *conn); /* nothing will ever come or go */
void door_h2_answer(door_call_t *call);
void door_h2_reset(door_call_t *call);          /* the client does not read its answer */
void door_h2_refill(door_call_t *call);         /* give ungranted bytes back to the window */
void door_h2_drain(door_conn_t *conn);
int64_t door_h2_tick(door_conn_t *conn);

/* --- door_rest.c ------------------------------------------------------------ */
void door_rest_open(door_conn_t *conn);
void door_rest_destroy(door_rest_t **self_p);
void door_rest_feed(door_conn_t *conn, view_t bytes);
void door_rest_answer(door_call_t *call);
void door_rest_resume(door_conn_t *conn);       /* out is empty: the next request, if any */
void door_rest_drain(door_conn_t *conn);
int64_t door_rest_tick(door_conn_t *conn);

/* --- door_tls.c ------------------------------------------------------------- */
err_t must_use door_tls_open(ctx_t *ctx, const door_options_t *opt, door_tls_t **ret);
void door_tls_destroy(door_tls_t **self_p);
void door_tls_accept(door_conn_t *conn);
void door_tls_conn_destroy(door_tls_conn_t **self_p);

/* As recv and send: bytes, 0 at the end, -1 with errno EAGAIN or an error.  A handshake
 * that waits for room to write sets conn->blocked. */
ssize_t door_tls_handshake(door_conn_t *conn);  /* 1 when done */
ssize_t door_tls_read(door_conn_t *conn, void *ret, size_t room);
ssize_t door_tls_write(door_conn_t *conn, const void *bytes, size_t len);
void door_tls_end(door_conn_t *conn);           /* close_notify */

#endif
