/* etcd_json - the few shapes of etcd's JSON gateway that we write and read
 *
 * Keys and values travel as base64, 64-bit numbers as strings, and a field
 * that has its default value is left out.  Private to core/meta.
 */
#ifndef CORE_META_ETCD_JSON_H
#define CORE_META_ETCD_JSON_H

#include <jansson.h>

#include "core/base/buf.h"
#include "core/meta/meta.h"

/* "base64 of both parts one after the other", with the quotes. */
void etcd_add_bytes(buf_t *body, view_t first, view_t second);

/* `"key":…` and, for a prefix, `,"range_end":…`.  root must not be empty. */
void etcd_add_range(buf_t *body, const char *root, const char *key, bool is_prefix);

/* A number given as a string or as a number; 0 when it is left out. */
int64_t etcd_int(const json_t *object, const char *name);

/* "" when it is left out. */
const char *etcd_text(const json_t *object, const char *name);

/* One "kv" without the first skip_bytes of its key, copied into the ctx arena.
 * ERR_MEMORY; ERR_MALFORMED when it is not what etcd sends. */
err_t must_use etcd_read_item(ctx_t *ctx, const json_t *kv, size_t skip_bytes, meta_item_t *ret);

#endif
