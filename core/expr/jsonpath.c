/* jsonpath - see jsonpath.h */
#include "core/expr/jsonpath.h"

#include <stdlib.h>

enum { NUMBER_MOST = 512 };

typedef struct walk {
    const uint8_t *at, *end;
} walk_t;

static void s_space(walk_t *w)
{
    while (w->at < w->end && (*w->at == ' ' || *w->at == '\n' || *w->at == '\t' || *w->at == '\r'))
        w->at++;
}

static bool s_take(walk_t *w, char c)
{
    s_space(w);
    if (w->at == w->end || *w->at != (uint8_t)c)
        return false;
    w->at++;
    return true;
}

/* From behind the opening quote to behind the closing one. */
static bool s_string(walk_t *w, view_t *ret, bool *ret_escaped)
{
    const uint8_t *from = w->at;
    *ret_escaped = false;
    while (w->at < w->end && *w->at != '"') {
        if (*w->at == '\\') {
            *ret_escaped = true;
            w->at++;
            if (w->at == w->end)
                return false;
        }
        w->at++;
    }
    if (w->at == w->end)
        return false;
    *ret = view_of(from, (size_t)(w->at - from));
    w->at++;
    return true;
}

/* An array or object, brackets and all, whatever is inside. */
static bool s_skip_nested(walk_t *w)
{
    size_t depth = 0;
    while (w->at < w->end) {
        uint8_t c = *w->at++;
        if (c == '"') {
            view_t text;
            bool escaped;
            if (!s_string(w, &text, &escaped))
                return false;
        } else if (c == '{' || c == '[') {
            depth++;
        } else if ((c == '}' || c == ']') && --depth == 0) {
            return true;
        }
    }
    return false;
}

static bool s_word(walk_t *w, const char *word)
{
    view_t want = view_str(word);
    if (!view_starts(view_of(w->at, (size_t)(w->end - w->at)), want))
        return false;
    w->at += want.len;
    return true;
}

static bool s_is_number_byte(uint8_t c)
{
    return (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E';
}

/* Digits with an optional minus; false when it is no int64. */
static bool s_int64(view_t text, int64_t *ret)
{
    bool minus = text.len > 0 && text.ptr[0] == '-';
    uint64_t value = 0;
    if (text.len == minus || text.len > 20)
        return false;
    for (size_t i = minus; i < text.len; i++) {
        unsigned digit = (unsigned)text.ptr[i] - '0';
        if (digit > 9 || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, digit, &value))
            return false;
    }
    if (value > (uint64_t)INT64_MAX + minus)
        return false;
    *ret = (int64_t)(minus ? -value : value);
    return true;
}

/* Digits with a point, no exponent: exact when all digits fit 53 bits and the power of
 * ten is one that a double holds, for then there is one rounding only (Clinger 1990). */
static bool s_short_decimal(view_t text, double *ret)
{
    static const double powers[] = { 1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
                                     1e12, 1e13, 1e14, 1e15, 1e16 };
    bool minus = text.ptr[0] == '-', point = false;
    uint64_t value = 0;
    size_t places = 0;
    if (text.len > ARRAY_LEN(powers) || text.len <= minus)
        return false;
    for (size_t i = minus; i < text.len; i++) {
        unsigned digit = (unsigned)text.ptr[i] - '0';
        if (text.ptr[i] == '.' && !point && i > minus && i + 1 < text.len) {
            point = true;
            continue;
        }
        if (digit > 9)
            return false;
        value = value * 10 + digit;
        places += point;
    }
    if (value >> 53)
        return false;
    *ret = (minus ? -(double)value : (double)value) / powers[places];
    return true;
}

static bool s_number(walk_t *w, json_value_t *ret)
{
    const uint8_t *from = w->at;
    while (w->at < w->end && s_is_number_byte(*w->at))
        w->at++;
    ret->raw = view_of(from, (size_t)(w->at - from));
    ret->kind = JSON_INT;
    if (s_int64(ret->raw, &ret->i))
        return true;
    char text[NUMBER_MOST + 1], *end = NULL;
    if (ret->raw.len == 0 || ret->raw.len > NUMBER_MOST)
        return false;
    ret->kind = JSON_DOUBLE;
    if (s_short_decimal(ret->raw, &ret->d))
        return true;
    memcpy(text, from, ret->raw.len);
    text[ret->raw.len] = '\0';
    ret->d = strtod(text, &end);
    return *end == '\0';
}

static bool s_nested(walk_t *w, json_value_t *ret)
{
    const uint8_t *from = w->at;
    ret->kind = *from == '[' ? JSON_ARRAY : JSON_OBJECT;
    if (!s_skip_nested(w))
        return false;
    ret->raw = view_of(from, (size_t)(w->at - from));
    return true;
}

/* The value at the walk's place; the walk ends behind it. */
static bool s_value(walk_t *w, json_value_t *ret)
{
    *ret = (json_value_t){0};
    s_space(w);
    if (w->at == w->end)
        return false;
    switch (*w->at) {
    case '"':
        w->at++;
        ret->kind = JSON_STRING;
        return s_string(w, &ret->raw, &ret->escaped);
    case '{':
    case '[':
        return s_nested(w, ret);
    case 't':
        ret->kind = JSON_BOOL;
        ret->b = true;
        return s_word(w, "true");
    case 'f':
        ret->kind = JSON_BOOL;
        return s_word(w, "false");
    case 'n':
        ret->kind = JSON_NULL;
        return s_word(w, "null");
    default:
        return s_number(w, ret);
    }
}

/* Over one value, without looking into it. */
static bool s_skip(walk_t *w)
{
    s_space(w);
    if (w->at == w->end)
        return false;
    if (*w->at == '{' || *w->at == '[')
        return s_skip_nested(w);
    if (*w->at == '"') {
        view_t text;
        bool escaped;
        w->at++;
        return s_string(w, &text, &escaped);
    }
    while (w->at < w->end && *w->at != ',' && *w->at != '}' && *w->at != ']')
        w->at++;
    return true;
}

/* --- strings ------------------------------------------------------------------------- */

static int s_hex4(const uint8_t *at, const uint8_t *end)
{
    int code = 0;
    if (end - at < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        uint8_t c = at[i];
        int digit = c >= '0' && c <= '9' ? c - '0'
                    : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
        if (digit < 0)
            return -1;
        code = code * 16 + digit;
    }
    return code;
}

static uint8_t *s_put_utf8(uint8_t *to, uint32_t code)
{
    if (code < 0x80) {
        *to++ = (uint8_t)code;
    } else if (code < 0x800) {
        *to++ = (uint8_t)(0xc0 | code >> 6);
        *to++ = (uint8_t)(0x80 | (code & 63));
    } else if (code < 0x10000) {
        *to++ = (uint8_t)(0xe0 | code >> 12);
        *to++ = (uint8_t)(0x80 | (code >> 6 & 63));
        *to++ = (uint8_t)(0x80 | (code & 63));
    } else {
        *to++ = (uint8_t)(0xf0 | code >> 18);
        *to++ = (uint8_t)(0x80 | (code >> 12 & 63));
        *to++ = (uint8_t)(0x80 | (code >> 6 & 63));
        *to++ = (uint8_t)(0x80 | (code & 63));
    }
    return to;
}

/* \uXXXX, two of them for what lies past U+FFFF.  A half alone becomes U+FFFD. */
static bool s_unicode(walk_t *w, uint8_t **to)
{
    int code = s_hex4(w->at, w->end);
    if (code < 0)
        return false;
    w->at += 4;
    uint32_t whole = (uint32_t)code;
    if (code >= 0xd800 && code < 0xe000) {
        int low = w->end - w->at >= 6 && w->at[0] == '\\' && w->at[1] == 'u'
                  ? s_hex4(w->at + 2, w->end) : -1;
        bool pair = code < 0xdc00 && low >= 0xdc00 && low < 0xe000;
        uint32_t both = (uint32_t)(code - 0xd800) << 10 | (uint32_t)(low - 0xdc00);
        whole = pair ? 0x10000 + both : 0xfffd;
        w->at += pair ? 6 : 0;
    }
    *to = s_put_utf8(*to, whole);
    return true;
}

static bool s_escape(walk_t *w, uint8_t **to)
{
    static const char from[] = "\"\\/bfnrt", plain[] = "\"\\/\b\f\n\r\t";
    if (w->at == w->end)
        return false;
    uint8_t c = *w->at++;
    if (c == 'u')
        return s_unicode(w, to);
    const char *found = c ? strchr(from, c) : NULL;
    if (!found)
        return false;
    *(*to)++ = (uint8_t)plain[found - from];
    return true;
}

bool jsonpath_string(const json_value_t *value, buf_t *scratch, view_t *ret)
{
    if (!value->escaped) {
        *ret = value->raw;
        return true;
    }
    scratch->len = 0;                           /* and stays refused if it was */
    uint8_t *start = buf_reserve(scratch, value->raw.len);      /* escapes only shrink */
    if (!start)
        return false;
    uint8_t *to = start;
    for (walk_t w = { value->raw.ptr, value->raw.ptr + value->raw.len }; w.at < w.end; ) {
        uint8_t c = *w.at++;
        if (c != '\\')
            *to++ = c;
        else if (!s_escape(&w, &to))
            return false;
    }
    *ret = view_of(start, (size_t)(to - start));
    return true;
}

/* --- paths --------------------------------------------------------------------------- */

static bool s_key_is(view_t raw, bool escaped, view_t want, buf_t *scratch)
{
    if (!escaped)
        return view_eq(raw, want);
    json_value_t key = { .kind = JSON_STRING, .raw = raw, .escaped = true };
    view_t plain;
    return jsonpath_string(&key, scratch, &plain) && view_eq(plain, want);
}

/* Into an object, to the value of a key. */
static bool s_to_member(walk_t *w, view_t want, buf_t *scratch)
{
    for (bool more = s_take(w, '{'); more; more = s_take(w, ',')) {
        view_t key;
        bool escaped;
        if (!s_take(w, '"') || !s_string(w, &key, &escaped) || !s_take(w, ':'))
            return false;
        if (s_key_is(key, escaped, want, scratch))
            return true;
        if (!s_skip(w))
            return false;
    }
    return false;
}

/* Into an array, to element number want. */
static bool s_to_element(walk_t *w, view_t want)
{
    int64_t left = 0;
    if (!s_int64(want, &left) || left < 0 || (want.len > 1 && want.ptr[0] == '0'))
        return false;
    for (bool more = s_take(w, '['); more; more = s_take(w, ',')) {
        s_space(w);
        if (left-- == 0)
            return w->at < w->end && *w->at != ']';
        if (!s_skip(w))
            return false;
    }
    return false;
}

bool jsonpath_find(view_t text, const view_t *path, size_t n_path, buf_t *scratch,
                   json_value_t *ret)
{
    walk_t w = { text.ptr, text.ptr + text.len };
    for (size_t i = 0; i < n_path; i++) {
        s_space(&w);
        if (w.at == w.end)
            return false;
        bool there = *w.at == '[' ? s_to_element(&w, path[i]) : s_to_member(&w, path[i], scratch);
        if (!there)
            return false;
    }
    return s_value(&w, ret);
}

bool jsonpath_next(view_t array, size_t *at, json_value_t *ret)
{
    walk_t w = { array.ptr + *at, array.ptr + array.len };
    if (!s_take(&w, *at == 0 ? '[' : ','))
        return false;
    if (!s_value(&w, ret))
        return false;
    *at = (size_t)(w.at - array.ptr);
    return true;
}
