/* buf - bytes that grow
 *
 * Adding never fails on the spot: a buffer that would pass its bound, or finds
 * no memory, remembers it, ignores what follows, and says so once at the end
 * through buf_ok.  So a formatter is a plain list of adds.
 */
#ifndef CORE_BASE_BUF_H
#define CORE_BASE_BUF_H

#include "core/base/base.h"

typedef struct buf {
    uint8_t *ptr;
    size_t len, cap;
    size_t most_bytes;          /* bound; SIZE_MAX: none */
    bool failed;
} buf_t;

/* most_bytes 0 means no bound.  Free with buf_fini; `buf_free_on_exit` does it. */
void buf_init(buf_t *buf, size_t most_bytes);
void buf_fini(buf_t *buf);
#define buf_scoped __attribute__((cleanup(buf_fini))) buf_t

void buf_add(buf_t *buf, const void *ptr, size_t len);
void buf_add_view(buf_t *buf, view_t bytes);
void buf_add_str(buf_t *buf, const char *text);
void buf_addf(buf_t *buf, const char *format, ...) printf_like(2, 3);
void buf_add_u8(buf_t *buf, uint8_t v);
void buf_add_u32(buf_t *buf, uint32_t v);       /* little-endian, like all of these */
void buf_add_u64(buf_t *buf, uint64_t v);

/* Room for len more bytes at the end, to be filled by the caller, who then
 * adds to len; NULL when refused. */
uint8_t *buf_reserve(buf_t *buf, size_t len);

/* Drop the first n bytes (they were consumed). */
void buf_consume(buf_t *buf, size_t n);

/* Forget the content, keep the memory, clear `failed`. */
void buf_reset(buf_t *buf);

static inline bool   buf_ok(const buf_t *buf)   { return !buf->failed; }
static inline view_t buf_view(const buf_t *buf) { return view_of(buf->ptr, buf->len); }

/* The content as a NUL-terminated string, borrowed until the next add. */
const char *buf_str(buf_t *buf);

#endif
