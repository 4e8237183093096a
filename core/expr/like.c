/* like - see like.h */
#include "core/expr/like.h"

enum { MARK_NONE, MARK_ONE, MARK_ANY };

/* Drop backslashes and write down which bytes are wildcards; runs of % become one. */
static size_t s_unescape(view_t pattern, uint8_t *bytes, uint8_t *marks)
{
    size_t n = 0;
    for (size_t i = 0; i < pattern.len; i++) {
        uint8_t c = pattern.ptr[i], mark = c == '%' ? MARK_ANY : c == '_' ? MARK_ONE : MARK_NONE;
        if (c == '\\' && i + 1 < pattern.len) {
            c = pattern.ptr[++i];
            mark = MARK_NONE;
        }
        if (mark == MARK_ANY && n > 0 && marks[n - 1] == MARK_ANY)
            continue;
        bytes[n] = c;
        marks[n++] = mark;
    }
    return n;
}

static like_kind_t s_kind(const uint8_t *marks, size_t n, bool front, bool back)
{
    for (size_t i = front; i < n - back; i++)
        if (marks[i] != MARK_NONE)
            return LIKE_GENERAL;
    return front && back ? LIKE_INNER : front ? LIKE_SUFFIX : back ? LIKE_PREFIX : LIKE_EQUAL;
}

err_t like_compile(ctx_t *ctx, view_t pattern, like_t *ret)
{
    uint8_t *bytes = ctx_try(ctx, pattern.len + 1), *marks = ctx_try(ctx, pattern.len + 1);
    if (!bytes || !marks)
        return ctx_fail(ctx, ERR_MEMORY, "no memory for a pattern of %zu bytes", pattern.len);
    size_t n = s_unescape(pattern, bytes, marks);
    bool front = n > 0 && marks[0] == MARK_ANY;
    bool back = n > front && marks[n - 1] == MARK_ANY;
    like_kind_t kind = s_kind(marks, n, front, back);
    bool whole = kind == LIKE_GENERAL;
    *ret = (like_t){
        .kind = kind, .marks = marks,
        .part = whole ? view_of(bytes, n) : view_of(bytes + front, n - front - back),
    };
    return OK;
}

static size_t s_character(view_t text, size_t at)
{
    size_t len = 1;
    while (at + len < text.len && len < 4 && (text.ptr[at + len] & 0xc0) == 0x80)
        len++;
    return text.ptr[at] < 0xc0 ? 1 : len;
}

static bool s_match(const like_t *self, view_t text)
{
    const view_t p = self->part;
    size_t at = 0, t = 0, back_at = SIZE_MAX, back_t = 0;
    while (t < text.len) {
        if (at < p.len && self->marks[at] == MARK_ANY) {
            back_at = ++at;
            back_t = t;
        } else if (at < p.len && self->marks[at] == MARK_ONE) {
            at++;
            t += s_character(text, t);
        } else if (at < p.len && p.ptr[at] == text.ptr[t]) {
            at++;
            t++;
        } else if (back_at != SIZE_MAX) {
            at = back_at;                       /* the last % takes one character more */
            back_t += s_character(text, back_t);
            t = back_t;
        } else {
            return false;
        }
    }
    while (at < p.len && self->marks[at] == MARK_ANY)
        at++;
    return at == p.len;
}

bool like_match(const like_t *self, view_t text)
{
    const view_t part = self->part;
    switch (self->kind) {
    case LIKE_EQUAL:
        return view_eq(text, part);
    case LIKE_PREFIX:
        return view_starts(text, part);
    case LIKE_SUFFIX:
        return text.len >= part.len &&
               view_eq(view_of(text.ptr + text.len - part.len, part.len), part);
    case LIKE_INNER:
        return part.len == 0 || (text.len && memmem(text.ptr, text.len, part.ptr, part.len));
    case LIKE_GENERAL:
        break;
    }
    return s_match(self, text);
}
