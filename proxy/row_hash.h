/* row_hash - which shard a primary key belongs to, which partition a partition key
 *
 * Milvus's own functions, so that tools which compute a row's place by
 * themselves find it: murmur3 (x86, 32 bits, seed 0) of the eight little-endian
 * bytes of a number without the sign bit of the result, CRC-32 (IEEE) of the
 * first hundred bytes of a text.  Both modulo the number of places.
 */
#ifndef PROXY_ROW_HASH_H
#define PROXY_ROW_HASH_H

#include "core/base/base.h"

uint32_t row_hash_int64(int64_t key);
uint32_t row_hash_text(view_t key);

#endif
