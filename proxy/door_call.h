/* door_call - one call, from its first header to its last byte
 *
 * Private to the door, as door_int.h is: what a connection knows of a call, and
 * the gRPC half of reading one.
 */
#ifndef PROXY_DOOR_CALL_H
#define PROXY_DOOR_CALL_H

#include "proxy/door.h"

typedef struct door_conn door_conn_t;
typedef struct door_call door_call_t;

typedef enum {
    CALL_HEADERS, CALL_BODY, CALL_INFLATING, CALL_OUT, CALL_ANSWERED, CALL_IGNORED
} call_state_t;

/* One stream of HTTP/2, or one request of HTTP/1.1.
 *
 *     HEADERS -> BODY -> [INFLATING ->] OUT -> ANSWERED       the plain way
 *     anywhere before OUT: refused -> ANSWERED                what still comes in is dropped
 */
struct door_call {
    door_conn_t *conn;
    door_call_t *prev, *next;
    door_request_t *request;    /* owned until INFLATING or OUT, then borrowed, then NULL */
    call_state_t state;
    int32_t stream_id;
    bool is_grpc, is_head, remote_done, local_done;
    bool keep_alive;            /* REST */

    /* coming in */
    size_t header_bytes;
    int64_t started_ms;         /* of the headers, then of the body */
    uint8_t prefix[5];          /* flag and length of the gRPC message */
    uint8_t n_prefix;
    bool gzip, compressed;      /* grpc-encoding said so; this message is */
    bool bad_encoding;
    bool wrong_type;            /* neither gRPC nor JSON: refused when it is complete */
    uint8_t tiny_frames;        /* nearly empty DATA frames so far */
    uint32_t want_bytes;        /* of the message */
    bool reserved;              /* request->reserved_bytes_ is set */
    bool granted;               /* the stream's window is refilled */
    size_t ungranted_bytes;     /* taken in but not given back to the window */
    size_t received;            /* since started_ms, for the rate */

    /* going out */
    door_answer_t answer;
    char *text;                 /* percent-encoded grpc-message; owned */
    uint8_t out_prefix[5];
    size_t out_at;              /* of prefix + body (gRPC) or of body */
    size_t mark_at;             /* out_at when the stall timer was last wound */
    int64_t mark_ms;
    size_t held_bytes;          /* answer bytes counted in door->held_bytes */
};

/* --- door_call.c ------------------------------------------------------------ */
door_call_t *door_call_new(door_conn_t *conn, int32_t stream_id);

/* The stream or its connection is gone: cancel what is out, free. */
void door_call_end(door_call_t *call);

/* Append a header; copies.  False, and nothing kept, when header_bytes is passed. */
bool door_call_header(door_call_t *call, view_t name, view_t value);

/* All headers are there: gRPC or REST, known or not, busy or not. */
void door_call_begin(door_call_t *call);

/* Bytes of the body, and its end. */
void door_call_data(door_call_t *call, view_t bytes);
void door_call_done(door_call_t *call);

/* The request is whole: give it to the node. */
void door_call_hand_over(door_call_t *call);

/* Append to the body within total_bytes; false when the call was refused for it. */
bool door_call_grow(door_call_t *call, view_t bytes);

/* The body will have this many bytes: its window is refilled as soon as they fit
 * into what the connection may hold. */
void door_call_reserve(door_call_t *call, size_t bytes);

/* Count the request as taken in; false when the call was refused because of too many. */
bool door_call_admit(door_call_t *call);

/* Answer in the door's own name; a request that is out is cancelled. */
void door_call_refuse(door_call_t *call, grpc_code_t status, int http_status,
                      const char *format, ...) printf_like(4, 5);

/* Deadline, body rate, stalled answer; returns when to look again. */
int64_t door_call_tick(door_call_t *call);

/* A request came back with its answer. */
void door_call_mail(door_t *door, door_request_t *request);
void door_request_free(door_t *door, door_request_t *request);

/* --- door_grpc.c ------------------------------------------------------------ */
bool door_grpc_is(const char *content_type);
void door_grpc_begin(door_call_t *call);
void door_grpc_data(door_call_t *call, view_t bytes);
void door_grpc_done(door_call_t *call);
void door_grpc_inflate(door_t *door, door_request_t *request);  /* pool thread */

/* "10S" and the like in milliseconds, rounded up; -1 when it is malformed. */
int64_t door_grpc_timeout_ms(const char *text);

/* grpc-message's form of a text: everything but printable ASCII, and '%', as %XX.
 * Caller frees. */
char *door_grpc_escape(const char *text);

#endif
