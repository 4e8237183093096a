/* pb_json - protobuf messages as JSON, by their descriptors alone
 *
 * As proto3's JSON: 64-bit integers are strings, enums are names, NaN and the
 * infinities are strings.  Two things differ, for readers of proto/elanus.proto:
 * fields keep the names they have there, and bytes are hex, as hashes are elsewhere.
 * What is empty (text, lists, bytes, false) is left out; numbers and enums are not.
 */
#ifndef CLI_PB_JSON_H
#define CLI_PB_JSON_H

#include <jansson.h>
#include <protobuf-c/protobuf-c.h>

#include "core/base/base.h"

/* The message, as deep as wire_unpack lets messages be. */
json_t *pb_json(ctx_t *ctx, const ProtobufCMessage *message);

/* Metadata: the value of a key, by the table its key is in.  What is of no table we know, or
 * cannot be read as its table says, is {"hex": …} with the reason in "damage" (or "unknown").
 *   ret_type  "Owner"; "" when not known */
json_t *pb_json_meta(ctx_t *ctx, const char *key, view_t value, const char **ret_type);

#endif
