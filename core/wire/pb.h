/* pb - Elanus's own small messages to bytes and back
 *
 *     view_t bytes = pb_pack(ctx, &info);
 *     Elanus__NodeInfo *info = NULL;
 *     TRY(PB_UNPACK(ctx, elanus__node_info, bytes, &info));
 */
#ifndef CORE_WIRE_PB_H
#define CORE_WIRE_PB_H

#include "core/wire/wire.h"

/* The message's bytes in the ctx arena.  For messages the code sizes. */
view_t pb_pack(ctx_t *ctx, const void *message);

/* wire_unpack with the right types: PB_UNPACK(ctx, elanus__node_info, bytes, &info). */
#define PB_UNPACK(ctx, type, bytes, ret) \
    wire_unpack(ctx, &type##__descriptor, bytes, (ProtobufCMessage **)(ret))

#endif
