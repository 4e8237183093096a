/* wire - protobuf messages from and to bytes, for bytes that strangers send
 *
 * Packing is protobuf-c's.  Unpacking is our own, because protobuf-c's cannot
 * be bounded from outside: it recurses once per nested message without a
 * limit, keeps every unknown field, merges repeated occurrences in quadratic
 * space, cuts strings at a NUL and takes bytes that are not UTF-8, on which
 * clients then choke.  The structs filled are protobuf-c's generated ones.
 */
#ifndef CORE_WIRE_WIRE_H
#define CORE_WIRE_WIRE_H

#include <protobuf-c/protobuf-c.h>

#include "core/base/base.h"
#include "core/base/buf.h"

/* Read one proto3 message.
 *
 *   desc    e.g. &milvus__insert_request__descriptor
 *   bytes   borrowed for the call; nothing of the message points into it
 *   ret     out; arena of ctx, so it dies with ctx and is never freed
 *
 * Unknown fields are skipped and forgotten.  Refused besides broken framing:
 * group wire types, a field of another wire type than its own, text that is not
 * UTF-8, NUL inside a string (bytes fields may hold it, also the values of a
 * StringArray), and a singular message field given twice (the format would
 * have them merged; no encoder does that).
 *
 * Errors  ERR_MALFORMED        with message, field and byte offset; not retriable
 *         ERR_PARAM_TOO_LARGE  deeper than LIMIT_PROTO_DEPTH (the outermost counts as 1) or
 *                              more messages than LIMIT_PROTO_MESSAGES
 *         ERR_MEMORY           the budget of ctx, or the machine, refused
 * Cost    O(bytes), each read at most twice; memory at most 8 bytes per byte of
 *         input plus the structs of the messages in it
 * Thread  any; reads constants only */
err_t must_use wire_unpack(ctx_t *ctx, const ProtobufCMessageDescriptor *desc, view_t bytes,
                           ProtobufCMessage **ret);

/* The same without copying bytes fields: they point into `bytes`, which must
 * live as long as the message.  For inserts, where they are most of the data. */
err_t must_use wire_unpack_borrow(ctx_t *ctx, const ProtobufCMessageDescriptor *desc, view_t bytes,
                                  ProtobufCMessage **ret);

/* Append a message to buf; the message is ours, so it is trusted.
 * Errors  ERR_MEMORY  buf refused; nothing was added */
err_t must_use wire_pack(ctx_t *ctx, const ProtobufCMessage *message, buf_t *buf);

#endif
