/* buf - see buf.h */
#include "core/base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/fault.h"

void buf_init(buf_t *buf, size_t most_bytes)
{
    *buf = (buf_t){ .most_bytes = most_bytes ? most_bytes : SIZE_MAX / 4 };
}

void buf_fini(buf_t *buf)
{
    free(buf->ptr);
    *buf = (buf_t){0};
}

uint8_t *buf_reserve(buf_t *buf, size_t len)
{
    if (buf->failed)
        return NULL;
    if (buf->most_bytes == 0)
        buf->most_bytes = SIZE_MAX / 4;         /* a zeroed buf_t is a valid empty one */
    if (len > buf->most_bytes || buf->len > buf->most_bytes - len) {
        buf->failed = true;
        return NULL;
    }
    size_t need = buf->len + len + 1;           /* one for buf_str's NUL */
    if (need > buf->cap) {
        size_t cap = buf->cap ? buf->cap : 64;
        while (cap < need)
            cap *= 2;
        uint8_t *moved = fault_hit() ? NULL : realloc(buf->ptr, cap);
        if (!moved) {
            buf->failed = true;
            return NULL;
        }
        buf->ptr = moved;
        buf->cap = cap;
    }
    return buf->ptr + buf->len;
}

void buf_add(buf_t *buf, const void *ptr, size_t len)
{
    uint8_t *at = buf_reserve(buf, len);
    if (!at)
        return;
    if (len)
        memcpy(at, ptr, len);
    buf->len += len;
}

void buf_add_view(buf_t *buf, view_t bytes)         { buf_add(buf, bytes.ptr, bytes.len); }
void buf_add_str(buf_t *buf, const char *text)      { buf_add(buf, text, strlen(text)); }
void buf_add_u8(buf_t *buf, uint8_t v)              { buf_add(buf, &v, sizeof v); }
void buf_add_u32(buf_t *buf, uint32_t v)            { buf_add(buf, &v, sizeof v); }
void buf_add_u64(buf_t *buf, uint64_t v)            { buf_add(buf, &v, sizeof v); }

void buf_addf(buf_t *buf, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    check(len >= 0);
    uint8_t *at = buf_reserve(buf, (size_t)len);
    if (at) {
        vsnprintf((char *)at, (size_t)len + 1, format, again);
        buf->len += (size_t)len;
    }
    va_end(again);
}

void buf_consume(buf_t *buf, size_t n)
{
    check(n <= buf->len);
    if (n && n < buf->len)
        memmove(buf->ptr, buf->ptr + n, buf->len - n);
    buf->len -= n;
}

void buf_reset(buf_t *buf)
{
    buf->len = 0;
    buf->failed = false;
}

const char *buf_str(buf_t *buf)
{
    if (!buf->ptr)
        return "";
    buf->ptr[buf->len] = '\0';                  /* buf_reserve keeps room for it */
    return (const char *)buf->ptr;
}
