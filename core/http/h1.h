/* h1 - HTTP/1.1 requests out of bytes, and response heads into them
 *
 * No I/O and no clock: the caller feeds whatever arrived and is told what it
 * means.  One parser serves one connection, request after request:
 *
 *     for (;;) {
 *         switch (h1_feed(h1, input, &used)) {        -- then drop `used` bytes of input
 *         case H1_MORE: return;                       -- wait for bytes
 *         case H1_HEAD: look at it, refuse early or go on feeding; break;
 *         case H1_DONE: answer; h1_next(h1); break;   -- the rest of input is the next request
 *         case H1_BAD:  answer h1_status(h1) and close; return;
 *         }
 *     }
 *
 * Strict where leniency has been used to smuggle requests past a proxy: line
 * ends are CR LF, never a bare CR or LF; no folded headers, no blank before a
 * colon; Content-Length at most once and never beside Transfer-Encoding; one
 * Host.  POST without either length header has an empty body (RFC 9112, 6.3:
 * curl -X POST sends it so), hence no 411.
 *
 *     400  malformed                        431  head too long, too many headers
 *     413  body too long                    501  method or transfer coding unknown
 *     414  target too long                  503  no memory for it
 *     417  Expect we do not know            505  neither HTTP/1.0 nor 1.1
 */
#ifndef CORE_HTTP_H1_H
#define CORE_HTTP_H1_H

#include "core/base/base.h"
#include "core/base/buf.h"

typedef struct h1 h1_t;

typedef enum { H1_MORE, H1_HEAD, H1_DONE, H1_BAD } h1_state_t;

typedef struct h1_limits {
    size_t head_bytes;          /* request line and headers; 0: LIMIT_H1_HEAD_BYTES */
    size_t target_bytes;        /* 0: LIMIT_H1_TARGET_BYTES */
    size_t headers;             /* up to and by default LIMIT_H1_HEADERS */
    size_t body_bytes;          /* decoded; 0: LIMIT_REQUEST_BYTES */
} h1_limits_t;

/* limits: NULL means all defaults. */
h1_t *h1_new(const h1_limits_t *limits);
void  h1_destroy(h1_t **self_p);

/* Take bytes in.  Stops after a head and after a request, so what is left of
 * `bytes` belongs to what follows.
 *   ret_used  how many bytes were taken; the caller drops them
 * H1_HEAD comes once a request, before any byte of the body is taken; feed
 * again, also with nothing, to go on.  After H1_DONE call h1_next; H1_BAD is final.
 * Cost  O(bytes), whatever way they are split */
h1_state_t h1_feed(h1_t *self, view_t bytes, size_t *ret_used);

/* Forget the finished request, be ready for the next one. */
void h1_next(h1_t *self);

/* True while no byte of a request has arrived: closing now loses nothing. */
bool h1_idle(const h1_t *self);

/* From H1_HEAD until h1_next, borrowed: */
const char *h1_method(const h1_t *self);    /* GET HEAD POST PUT PATCH DELETE OPTIONS */
view_t h1_path(const h1_t *self);           /* as sent, before '?'; "*" for OPTIONS * */
view_t h1_query(const h1_t *self);          /* after '?', empty when none */
bool   h1_keep_alive(const h1_t *self);     /* the client would use the connection again */
bool   h1_wants_continue(const h1_t *self); /* waits for H1_CONTINUE before it sends the body */

/* The first header of that name (any case), blanks around the value cut off;
 * false when there is none. */
bool h1_header(const h1_t *self, const char *name, view_t *ret);

/* From H1_DONE until h1_next.  The buffer is the parser's; to keep the bytes
 * copy *h1_body and zero it. */
buf_t *h1_body(h1_t *self);

/* After H1_BAD: the status to answer and a sentence for the log or the body. */
int h1_status(const h1_t *self);
const char *h1_why(const h1_t *self);

/* A parameter of a query string or a urlencoded form, percent-decoded, as a C
 * string; false when it is missing, longer than room - 1 or holds a NUL. */
bool h1_param(view_t query, const char *name, char *ret, size_t room);

#define H1_CONTINUE "HTTP/1.1 100 Continue\r\n\r\n"

typedef struct h1_field { const char *name, *value; } h1_field_t;

typedef struct h1_answer {
    int status;
    const char *type;           /* Content-Type; NULL: none */
    size_t body_bytes;          /* Content-Length; the caller sends the body itself */
    bool close;                 /* says Connection: close */
    int64_t wall_ms;            /* for Date; 0: none */
    const h1_field_t *fields;   /* [n_fields] more headers, borrowed; control characters in
                                   values become blanks, so a value cannot add a header */
    size_t n_fields;
} h1_answer_t;

/* Append a response head, blank line included. */
void h1_write_head(buf_t *into, const h1_answer_t *answer);

/* The standard words for a status, "Unknown" for one we never send. */
const char *h1_reason(int status);

#endif
