/* footer - the checksums behind every stored object
 *
 * An object in the store is its body, as the caller gave it, then a footer:
 *
 *     offset      size   field, little-endian
 *     0           L      body
 *     L           4*n    crc32c of every block of 64 KiB of the body; the last
 *                        block may be shorter, an empty body has none
 *     L+4n        4      block size, 65536
 *     L+4n+4      4      n, number of blocks, ceil(L / 65536)
 *     L+4n+8      8      L
 *     L+4n+16     4      crc32c of the key, then of the footer so far
 *     L+4n+20     4      magic and version, "ELF1"
 *
 * The footer is last, so that a body can be mapped and a footer be written in
 * one pass.  Its size follows from L alone, and L from the object's size: a
 * block adds 65540 bytes, so the size determines n and n determines L.  (Sizes
 * that would leave a last block of 0 bytes but its checksum cannot occur; they
 * are how a foreign or cut object is told apart without reading it.)  So a
 * list costs no further questions.  The key is in the checksum because
 * stores have been seen to answer with another object's bytes.
 *
 * Rejected: one checksum for all (a ranged read could not be verified);
 * checksums between the blocks (the body could not be mapped); a header (it
 * would have to be written before the body has been seen).
 */
#ifndef CORE_STORE_FOOTER_H
#define CORE_STORE_FOOTER_H

#include "core/base/base.h"
#include "core/base/limits.h"

enum { FOOTER_BLOCK_BYTES = 64 << 10, FOOTER_TAIL_BYTES = 24 };

typedef struct footer {
    uint64_t body_len;
    uint32_t n_blocks;
    const uint8_t *crcs;        /* [n_blocks] u32, borrowed from the bytes parsed */
} footer_t;

/* Bytes of the footer of a body of that length. */
size_t footer_len(uint64_t body_len);

/* The body's length in an object of object_len bytes; false when no object has
 * that size. */
bool footer_body_len(uint64_t object_len, uint64_t *ret);

/* The footer of body under key, in the ctx arena.  ERR_MEMORY. */
err_t must_use footer_make(ctx_t *ctx, const char *key, view_t body, view_t *ret);

/* Read the footer `bytes` of an object of object_len bytes.  NULL when all is
 * well, else what is wrong with it, in words. */
const char *must_use footer_parse(const char *key, view_t bytes, uint64_t object_len,
                                  footer_t *ret);

/* True when `blocks`, the body's bytes from block `first` on, whole blocks up
 * to its end, match their checksums; else *ret_bad is the first block that
 * does not. */
bool footer_matches(const footer_t *self, uint32_t first, view_t blocks, uint32_t *ret_bad);

#endif
