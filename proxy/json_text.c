/* json_text - see json_text.h
 *
 * An automaton with two states of mind, "a value comes" and "a value is over",
 * and a stack of one bit a level: object or array.
 */
#include "proxy/json_text.h"

#include <stdio.h>

#include "core/base/limits.h"
#include "core/base/utf8.h"

const char *const json_text_key_refused = "key refused";

static const char *const s_cut = "unexpected end of JSON input";

typedef struct walk {
    const uint8_t *at, *end;
    char *why;
    uint32_t depth;
    uint64_t objects[(LIMIT_JSON_DEPTH + 63) / 64];     /* bit d: level d is an object */
} walk_t;

static const char *s_unexpected(const walk_t *w, const char *where)
{
    if (w->at == w->end)
        return s_cut;
    if (*w->at < 0x20 || *w->at > 0x7e)
        snprintf(w->why, JSON_WHY_BYTES, "invalid character '\\x%02x' %s", *w->at, where);
    else
        snprintf(w->why, JSON_WHY_BYTES, "invalid character '%c' %s", *w->at, where);
    return w->why;
}

static void s_space(walk_t *w)
{
    while (w->at < w->end && (*w->at == ' ' || *w->at == '\n' || *w->at == '\r' || *w->at == '\t'))
        w->at++;
}

/* --- strings ---------------------------------------------------------------------------- */

static bool s_hex4(const walk_t *w, const uint8_t *at, uint32_t *ret)
{
    uint32_t v = 0;
    for (int i = 0; i < 4; i++) {
        if (at + i >= w->end)
            return false;
        uint8_t c = at[i], low = (uint8_t)(c | 0x20);
        if (c >= '0' && c <= '9')
            v = v << 4 | (uint32_t)(c - '0');
        else if (low >= 'a' && low <= 'f')
            v = v << 4 | (uint32_t)(low - 'a' + 10);
        else
            return false;
    }
    *ret = v;
    return true;
}

/* Behind the backslash. */
static const char *s_escape(walk_t *w)
{
    static const char s_short[] = "\"\\/bfnrt";
    uint32_t code = 0;
    if (w->at == w->end)
        return s_cut;
    if (*w->at == 'u' && s_hex4(w, w->at + 1, &code)) {
        w->at += 5;
        return NULL;
    }
    if (*w->at == 'u')
        return "invalid character in \\u hexadecimal character escape";
    if (!memchr(s_short, *w->at, sizeof s_short - 1))
        return s_unexpected(w, "in string escape code");
    w->at++;
    return NULL;
}

/* A string from its opening quote; *ret: what is between the quotes. */
static const char *s_string(walk_t *w, view_t *ret)
{
    const uint8_t *begin = ++w->at;
    while (w->at < w->end && *w->at != '"') {
        if (*w->at < 0x20)
            return s_unexpected(w, "in string literal");
        if (*w->at++ != '\\')
            continue;
        const char *wrong = s_escape(w);
        if (wrong)
            return wrong;
    }
    if (w->at == w->end)
        return s_cut;
    *ret = view_of(begin, (size_t)(w->at - begin));
    w->at++;
    return NULL;
}

static size_t s_put_utf8(uint8_t *to, uint32_t c)
{
    if (c < 0x80) {
        to[0] = (uint8_t)c;
        return 1;
    }
    if (c < 0x800) {
        to[0] = (uint8_t)(0xc0 | c >> 6);
        to[1] = (uint8_t)(0x80 | (c & 0x3f));
        return 2;
    }
    to[0] = (uint8_t)(0xe0 | c >> 12);
    to[1] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
    to[2] = (uint8_t)(0x80 | (c & 0x3f));
    return 3;
}

/* Field names are ASCII, so what a surrogate pair becomes does not matter. */
static view_t s_plain_key(const walk_t *w, view_t raw, uint8_t into[LIMIT_NAME_BYTES + 4])
{
    size_t n = 0;
    for (size_t i = 0; i < raw.len && n <= LIMIT_NAME_BYTES; ) {
        uint32_t code = 0;
        if (raw.ptr[i] != '\\') {
            into[n++] = raw.ptr[i++];
        } else if (raw.ptr[i + 1] == 'u' && s_hex4(w, raw.ptr + i + 2, &code)) {
            n += s_put_utf8(into + n, code);
            i += 6;
        } else {
            into[n++] = raw.ptr[i + 1];
            i += 2;
        }
    }
    return view_of(into, n);
}

static bool s_takes_key(const walk_t *w, view_t raw, json_key_fn *key, void *arg)
{
    if (!raw.len || !memchr(raw.ptr, '\\', raw.len))
        return key(arg, raw);
    uint8_t plain[LIMIT_NAME_BYTES + 4];
    return key(arg, s_plain_key(w, raw, plain));
}

/* --- other values ----------------------------------------------------------------------- */

static size_t s_digits(walk_t *w)
{
    const uint8_t *begin = w->at;
    while (w->at < w->end && *w->at >= '0' && *w->at <= '9')
        w->at++;
    return (size_t)(w->at - begin);
}

static const char *s_number(walk_t *w)
{
    if (*w->at == '-')
        w->at++;
    if (w->at < w->end && *w->at == '0')
        w->at++;
    else if (s_digits(w) == 0)
        return s_unexpected(w, "in numeric literal");
    if (w->at < w->end && *w->at == '.') {
        w->at++;
        if (s_digits(w) == 0)
            return s_unexpected(w, "after decimal point in numeric literal");
    }
    if (w->at < w->end && (*w->at | 0x20) == 'e') {
        w->at++;
        if (w->at < w->end && (*w->at == '+' || *w->at == '-'))
            w->at++;
        if (s_digits(w) == 0)
            return s_unexpected(w, "in exponent of numeric literal");
    }
    return NULL;
}

static const char *s_word(walk_t *w, const char *word)
{
    size_t len = strlen(word);
    if ((size_t)(w->end - w->at) < len || memcmp(w->at, word, len) != 0)
        return s_unexpected(w, "looking for beginning of value");
    w->at += len;
    return NULL;
}

static const char *s_scalar(walk_t *w)
{
    view_t text;
    if (w->at == w->end)
        return s_cut;
    switch (*w->at) {
    case '"': return s_string(w, &text);
    case 't': return s_word(w, "true");
    case 'f': return s_word(w, "false");
    case 'n': return s_word(w, "null");
    default:
        break;
    }
    if (*w->at == '-' || (*w->at >= '0' && *w->at <= '9'))
        return s_number(w);
    return s_unexpected(w, "looking for beginning of value");
}

/* --- levels ----------------------------------------------------------------------------- */

static bool s_in_object(const walk_t *w)
{
    uint32_t level = w->depth - 1;
    return w->depth > 0 && (w->objects[level / 64] >> (level % 64) & 1);
}

static const char *s_open(walk_t *w)
{
    if (w->depth == LIMIT_JSON_DEPTH)
        return "exceeded max depth";
    uint64_t bit = 1ull << (w->depth % 64);
    uint64_t *word = &w->objects[w->depth / 64];
    *word = *w->at == '{' ? *word | bit : *word & ~bit;
    w->depth++;
    w->at++;
    return NULL;
}

/* Inside an object: a key and its colon. */
static const char *s_key(walk_t *w, json_key_fn *key, void *arg)
{
    view_t raw;
    s_space(w);
    if (w->at == w->end || *w->at != '"')
        return s_unexpected(w, "looking for beginning of object key string");
    const char *wrong = s_string(w, &raw);
    if (wrong)
        return wrong;
    if (key && w->depth == 1 && !s_takes_key(w, raw, key, arg))
        return json_text_key_refused;
    s_space(w);
    if (w->at == w->end || *w->at != ':')
        return s_unexpected(w, "after object key");
    w->at++;
    return NULL;
}

/* A value has ended: close levels, up to the comma before the next value.  *ret_more false:
 * the outermost value is over. */
static const char *s_after(walk_t *w, json_key_fn *key, void *arg, bool *ret_more)
{
    for (; w->depth > 0; w->depth--, w->at++) {
        s_space(w);
        bool object = s_in_object(w);
        if (w->at < w->end && *w->at == ',') {
            w->at++;
            *ret_more = true;
            return object ? s_key(w, key, arg) : NULL;
        }
        if (w->at == w->end || *w->at != (object ? '}' : ']'))
            return s_unexpected(w, object ? "after object key:value pair" : "after array element");
    }
    *ret_more = false;
    return NULL;
}

/* At a value: a scalar, an empty list or object, or into one. */
static const char *s_value(walk_t *w, json_key_fn *key, void *arg, bool *ret_inside)
{
    s_space(w);
    *ret_inside = false;
    if (w->at == w->end || (*w->at != '{' && *w->at != '['))
        return s_scalar(w);
    const char *wrong = s_open(w);
    if (wrong)
        return wrong;
    s_space(w);
    if (w->at < w->end && *w->at == (s_in_object(w) ? '}' : ']')) {
        w->at++;
        w->depth--;
        return NULL;
    }
    *ret_inside = true;
    return s_in_object(w) ? s_key(w, key, arg) : NULL;
}

static const char *s_kind(uint8_t first)
{
    switch (first) {
    case '[':           return "array";
    case '"':           return "string";
    case 't': case 'f': return "bool";
    case 'n':           return "null";
    default:            return "number";
    }
}

static const char *s_walk(walk_t *w, json_key_fn *key, void *arg)
{
    for (bool more = true; more; ) {
        bool inside = false;
        const char *wrong = s_value(w, key, arg, &inside);
        if (!wrong && !inside)
            wrong = s_after(w, key, arg, &more);
        if (wrong)
            return wrong;
    }
    s_space(w);
    return w->at == w->end ? NULL : s_unexpected(w, "after top-level value");
}

const char *json_text_check(view_t text, json_key_fn *key, void *arg, char why[JSON_WHY_BYTES])
{
    walk_t w = { .at = text.ptr, .end = text.ptr + text.len, .why = why };
    if (!utf8_ok(text))
        return "invalid UTF-8";
    s_space(&w);
    uint8_t first = w.at < w.end ? *w.at : 0;
    const char *wrong = s_walk(&w, key, arg);
    if (wrong || !key || first == '{')
        return wrong;
    snprintf(why, JSON_WHY_BYTES, "json: cannot unmarshal %s into Go value of type "
             "map[string]interface {}", s_kind(first));
    return why;
}
