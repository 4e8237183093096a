/* view - bytes somebody else owns, and little-endian numbers inside them
 *
 * All formats of Elanus are little-endian.  The load and store helpers take
 * any alignment and compile to one instruction on the machines we run on.
 */
#ifndef CORE_BASE_VIEW_H
#define CORE_BASE_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct view {
    const uint8_t *ptr;         /* borrowed; may be NULL when len is 0 */
    size_t len;
} view_t;

static inline view_t view_of(const void *ptr, size_t len)
{
    return (view_t){ .ptr = ptr, .len = len };
}

static inline view_t view_str(const char *text)
{
    return (view_t){ .ptr = (const uint8_t *)text, .len = strlen(text) };
}

static inline bool view_eq(view_t a, view_t b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool view_starts(view_t whole, view_t prefix)
{
    return whole.len >= prefix.len && view_eq(view_of(whole.ptr, prefix.len), prefix);
}

/* Bytewise order, shorter first where one is a prefix of the other. */
static inline int view_cmp(view_t a, view_t b)
{
    size_t shared = a.len < b.len ? a.len : b.len;
    int order = shared ? memcmp(a.ptr, b.ptr, shared) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

static inline uint16_t load_u16(const void *p) { uint16_t v; memcpy(&v, p, sizeof v); return v; }
static inline uint32_t load_u32(const void *p) { uint32_t v; memcpy(&v, p, sizeof v); return v; }
static inline uint64_t load_u64(const void *p) { uint64_t v; memcpy(&v, p, sizeof v); return v; }
static inline int64_t  load_i64(const void *p) { int64_t  v; memcpy(&v, p, sizeof v); return v; }
static inline void store_u16(void *p, uint16_t v) { memcpy(p, &v, sizeof v); }
static inline void store_u32(void *p, uint32_t v) { memcpy(p, &v, sizeof v); }
static inline void store_u64(void *p, uint64_t v) { memcpy(p, &v, sizeof v); }
static inline void store_i64(void *p, int64_t v)  { memcpy(p, &v, sizeof v); }

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "Elanus stores little-endian numbers as they lie in memory"
#endif

#endif
