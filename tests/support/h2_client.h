/* h2_client - an HTTP/2 client that does as it is told, also what it should not
 *
 * Blocking, one socket, frames written by hand.  h2_client_call is a well
 * behaved gRPC call; everything below it lets a test send any frame it likes.
 * Reads give up after half a minute, so a broken server fails a test and does
 * not hang it.
 */
#ifndef TESTS_SUPPORT_H2_CLIENT_H
#define TESTS_SUPPORT_H2_CLIENT_H

#include "core/base/base.h"
#include "core/base/buf.h"

enum { H2_DATA = 0, H2_HEADERS = 1, H2_PRIORITY = 2, H2_RST_STREAM = 3, H2_SETTINGS = 4,
       H2_PING = 6, H2_GOAWAY = 7, H2_WINDOW_UPDATE = 8, H2_CONTINUATION = 9 };
enum { H2_END_STREAM = 1, H2_ACK = 1, H2_END_HEADERS = 4 };
enum { H2_CLIENT_STREAMS = 16384 };             /* one client opens at the most */

typedef struct h2_client h2_client_t;

/* What has come for one stream so far. */
typedef struct h2_reply {
    int http_status;            /* 0: no headers yet */
    int grpc_status;            /* -1: none */
    char text[1024];            /* grpc-message, as sent */
    char content_type[64];
    buf_t body;
    bool ended, reset;
    uint32_t reset_code;
} h2_reply_t;

typedef struct h2_header { const char *name, *value; } h2_header_t;

/* Connects to 127.0.0.1 and sends preface, SETTINGS with this initial window, and (for
 * windows above 65535) a connection window to match. */
h2_client_t *h2_client_new(int port, uint32_t window);

/* Connects and sends nothing. */
h2_client_t *h2_client_new_raw(int port);
void h2_client_destroy(h2_client_t **self_p);

/* A unary gRPC call, start to end; the reply stays valid until destroy. */
h2_reply_t *h2_client_call(h2_client_t *self, const char *path, view_t message);

/* Its two halves.  Returns the stream. */
int32_t h2_client_start(h2_client_t *self, const char *path, view_t message);
h2_reply_t *h2_client_wait(h2_client_t *self, int32_t stream);

/* Bytes as they are; false when the server has closed. */
bool h2_client_write(h2_client_t *self, const void *bytes, size_t len);
bool h2_client_frame(h2_client_t *self, uint8_t type, uint8_t flags, int32_t stream,
                     view_t payload);

/* HEADERS of a gRPC POST with more headers behind, as literals; END_HEADERS set. */
bool h2_client_headers(h2_client_t *self, int32_t stream, uint8_t flags, const char *method,
                       const char *path, const h2_header_t *more, size_t n_more);

/* DATA, cut to 16 KiB frames, waiting for windows; a gRPC prefix is the caller's. */
bool h2_client_data(h2_client_t *self, int32_t stream, view_t bytes, bool end);

/* The next odd stream number. */
int32_t h2_client_next(h2_client_t *self);

/* Read and apply one frame; false at the end of the connection or after half a minute. */
bool h2_client_pump(h2_client_t *self);

/* Read until the server closes; false when it does not in that time. */
bool h2_client_closed(h2_client_t *self);

h2_reply_t *h2_client_reply(h2_client_t *self, int32_t stream);
int  h2_client_fd(const h2_client_t *self);
int  h2_client_goaway(const h2_client_t *self);         /* its error code; -1: none came */
int  h2_client_pings(const h2_client_t *self);          /* from the server, not acks */
int  h2_client_acks(const h2_client_t *self);           /* PING acks */

/* A gRPC message with its five bytes before it. */
void h2_client_frame_message(buf_t *into, view_t message, uint8_t flag);

/* A plain TCP connection to 127.0.0.1 with the same patience; -1 when refused. */
int h2_client_dial(int port);

#endif
