/* row_hash - see row_hash.h; murmur3 is Austin Appleby's, in the public domain */
#include "proxy/row_hash.h"

#include <zlib.h>

enum { TEXT_BYTES = 100 };      /* of a text count for its hash */

static inline uint32_t s_rotate(uint32_t v, int by)
{
    return v << by | v >> (32 - by);
}

static inline uint32_t s_block(uint32_t hash, uint32_t word)
{
    hash ^= s_rotate(word * 0xcc9e2d51u, 15) * 0x1b873593u;
    return s_rotate(hash, 13) * 5 + 0xe6546b64u;
}

uint32_t row_hash_int64(int64_t key)
{
    uint64_t bits = (uint64_t)key;
    uint32_t hash = s_block(s_block(0, (uint32_t)bits), (uint32_t)(bits >> 32));
    hash ^= sizeof key;
    hash = (hash ^ hash >> 16) * 0x85ebca6bu;
    hash = (hash ^ hash >> 13) * 0xc2b2ae35u;
    return (hash ^ hash >> 16) & 0x7fffffffu;
}

uint32_t row_hash_text(view_t key)
{
    size_t len = key.len < TEXT_BYTES ? key.len : TEXT_BYTES;
    return (uint32_t)crc32(0, key.ptr, (unsigned)len);
}
