/* envelope - the first frame of every message between two nodes
 *
 * proto/elanus.proto says what the fields mean; this is the only file that
 * turns them into bytes and back.  What comes in is small and may be hostile:
 * its size, its strings and its numbers are checked here, and unpacking gets
 * a fixed room instead of the heap, so no message can make it ask for more.
 */
#ifndef CORE_WIRE_ENVELOPE_H
#define CORE_WIRE_ENVELOPE_H

#include "core/base/base.h"
#include "core/base/limits.h"

enum { ENVELOPE_LAYOUT = 1 };

typedef enum envelope_type {
    ENVELOPE_CALL = 1, ENVELOPE_REPLY, ENVELOPE_CANCEL, ENVELOPE_PING, ENVELOPE_PONG,
    ENVELOPE_HELLO, ENVELOPE_WELCOME, ENVELOPE_BYE,
} envelope_type_t;

typedef struct envelope {
    envelope_type_t type;
    uint32_t kind;              /* CALL: the method */
    uint64_t request_id;        /* CALL, REPLY, CANCEL: not 0 */
    int64_t deadline_ms;        /* CALL: milliseconds left */
    uint64_t trace, span, epoch;        /* core/base/spans.h; the owner's */
    err_t error;                /* REPLY, WELCOME */
    const char *error_text;     /* borrowed; NULL goes out as ""; never NULL on the way in */
    bool has_hello;             /* HELLO, WELCOME */
    struct {
        const char *cluster, *version, *role;   /* borrowed, like error_text */
        uint64_t node_id, incarnation;
    } hello;
} envelope_t;

/* Where the strings of one unpacked envelope lie; reuse it for the next. */
typedef struct envelope_room {
    _Alignas(16) uint8_t bytes[2 * LIMIT_NET_ENVELOPE_BYTES];
} envelope_room_t;

/* Write the envelope to out and return its length.  An error text longer than
 * LIMIT_NET_TEXT_BYTES is cut; names longer than LIMIT_NAME_BYTES are a
 * programmer's mistake. */
size_t envelope_pack(const envelope_t *envelope, uint8_t out[LIMIT_NET_ENVELOPE_BYTES]);

/* Read an envelope.
 *
 *   room    borrowed; *ret points into it
 *
 * Errors  ERR_MALFORMED  too long, not protobuf, or a field out of its range
 *         ERR_VERSION    a layout other than ENVELOPE_LAYOUT; both are named
 */
err_t must_use envelope_unpack(ctx_t *ctx, view_t bytes, envelope_room_t *room, envelope_t *ret);

#endif
