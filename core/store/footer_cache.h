/* footer_cache - the footers of objects that are read by ranges
 *
 * A ranged read needs the checksums of its blocks; asking for them costs two
 * round trips, so the last used ones stay here, within a bound in bytes.
 * Objects never change, so an entry is right until its object is deleted;
 * a reader whose bytes do not match drops the entry before it looks again.
 * One mutex, a leaf, held for a lookup and a copy.
 */
#ifndef CORE_STORE_FOOTER_CACHE_H
#define CORE_STORE_FOOTER_CACHE_H

#include "core/base/base.h"

typedef struct footer_cache footer_cache_t;

footer_cache_t *footer_cache_new(size_t most_bytes);
void footer_cache_destroy(footer_cache_t **self_p);

/* A copy of the footer kept for key, in the ctx arena; false when there is
 * none (or no memory for it).  *ret_object_len is the object's size. */
bool footer_cache_get(footer_cache_t *self, ctx_t *ctx, const char *key,
                      view_t *ret_footer, uint64_t *ret_object_len);

/* Keep a copy; drops the least recently used ones to make room. */
void footer_cache_put(footer_cache_t *self, const char *key, view_t footer, uint64_t object_len);

void footer_cache_drop(footer_cache_t *self, const char *key);

/* Bytes held; for tests. */
size_t footer_cache_bytes(footer_cache_t *self);

#endif
