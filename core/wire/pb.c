/* pb - see pb.h */
#include "core/wire/pb.h"

view_t pb_pack(ctx_t *ctx, const void *message)
{
    size_t len = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = ctx_new(ctx, len + 1);
    check(protobuf_c_message_pack(message, bytes) == len);
    return view_of(bytes, len);
}
