/* etcd_json - see etcd_json.h */
#include "core/meta/etcd_json.h"

#include <stdlib.h>

#include "core/base/limits.h"

static const char ALPHABET[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* --- writing ---------------------------------------------------------------- */

static uint8_t s_at(view_t first, view_t second, size_t i)
{
    if (i < first.len)
        return first.ptr[i];
    return i - first.len < second.len ? second.ptr[i - first.len] : 0;
}

void etcd_add_bytes(buf_t *body, view_t first, view_t second)
{
    size_t len = first.len + second.len;
    uint8_t *at = buf_reserve(body, (len + 2) / 3 * 4 + 2);
    if (!at)
        return;
    uint8_t *start = at;
    *at++ = '"';
    for (size_t i = 0; i < len; i += 3) {
        uint32_t bits = (uint32_t)s_at(first, second, i) << 16 |
                        (uint32_t)s_at(first, second, i + 1) << 8 | s_at(first, second, i + 2);
        *at++ = (uint8_t)ALPHABET[bits >> 18];
        *at++ = (uint8_t)ALPHABET[bits >> 12 & 63];
        *at++ = i + 1 < len ? (uint8_t)ALPHABET[bits >> 6 & 63] : '=';
        *at++ = i + 2 < len ? (uint8_t)ALPHABET[bits & 63] : '=';
    }
    *at++ = '"';
    body->len += (size_t)(at - start);
}

void etcd_add_range(buf_t *body, const char *root, const char *key, bool is_prefix)
{
    buf_add_str(body, "\"key\":");
    etcd_add_bytes(body, view_str(root), view_str(key));
    if (!is_prefix)
        return;
    /* The first key that is past all with the prefix: its last byte plus one,
     * after dropping those that have no successor. */
    buf_scoped end;
    buf_init(&end, 0);
    buf_add_str(&end, root);
    buf_add_str(&end, key);
    while (end.len > 1 && end.ptr[end.len - 1] == 0xff)
        end.len--;
    if (buf_ok(&end))
        end.ptr[end.len - 1]++;
    else
        body->failed = true;
    buf_add_str(body, ",\"range_end\":");
    etcd_add_bytes(body, buf_view(&end), (view_t){0});
}

/* --- reading ---------------------------------------------------------------- */

int64_t etcd_int(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    if (json_is_integer(value))
        return json_integer_value(value);
    return json_is_string(value) ? strtoll(json_string_value(value), NULL, 10) : 0;
}

const char *etcd_text(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

static int s_sextet(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Base64 into the arena, with a NUL behind it. */
static err_t s_decode(ctx_t *ctx, const json_t *text, view_t *ret)
{
    const char *from = text ? json_string_value(text) : "";
    size_t len = text ? json_string_length(text) : 0;
    while (len && from && from[len - 1] == '=')
        len--;
    if (!from || len % 4 == 1)
        return ctx_fail(ctx, ERR_MALFORMED, "etcd sent bytes that are not base64");
    uint8_t *bytes = ctx_try(ctx, len / 4 * 3 + 4);
    if (!bytes)
        return ctx_fail(ctx, ERR_MEMORY, "no memory for %zu bytes of metadata", len / 4 * 3);
    uint32_t bits = 0;
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        int sextet = s_sextet(from[i]);
        if (sextet < 0)
            return ctx_fail(ctx, ERR_MALFORMED, "etcd sent bytes that are not base64");
        bits = bits << 6 | (uint32_t)sextet;
        if (i % 4 != 0)
            bytes[n++] = (uint8_t)(bits >> (6 - i % 4 * 2));
    }
    bytes[n] = '\0';
    *ret = view_of(bytes, n);
    return OK;
}

err_t etcd_read_item(ctx_t *ctx, const json_t *kv, size_t skip_bytes, meta_item_t *ret)
{
    view_t key = {0}, value = {0};
    TRY(s_decode(ctx, json_object_get(kv, "key"), &key));
    TRY(s_decode(ctx, json_object_get(kv, "value"), &value));
    if (key.len < skip_bytes || memchr(key.ptr, '\0', key.len))
        return ctx_fail(ctx, ERR_MALFORMED, "etcd sent a key that was not asked for");
    *ret = (meta_item_t){
        .key = (const char *)key.ptr + skip_bytes, .value = value, .lease = etcd_int(kv, "lease"),
        .create_rev = etcd_int(kv, "create_revision"), .mod_rev = etcd_int(kv, "mod_revision") };
    return OK;
}
