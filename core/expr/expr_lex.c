/* expr_lex - characters to tokens
 *
 * Without state: a token is found from a byte offset alone, so looking ahead
 * is calling again.  Words are keywords in all-lower or all-upper letters only
 * (true and false also as True and False); `And` is a field's name.
 */
#include <stdlib.h>

#include "core/expr/expr_int.h"

static bool s_is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static bool s_is_hex(uint8_t c)
{
    return s_is_digit(c) || ((c | 32) >= 'a' && (c | 32) <= 'f');
}

static bool s_is_word(uint8_t c)
{
    return c == '_' || s_is_digit(c) || ((c | 32) >= 'a' && (c | 32) <= 'z');
}

static bool s_is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static uint32_t s_space(const uint8_t *p, uint32_t at)
{
    while (s_is_space(p[at]))
        at++;
    return at;
}

/* The byte behind a string literal whose quote is at `at`; 0 when it never ends. */
static uint32_t s_string_end(const uint8_t *p, uint32_t at)
{
    uint8_t quote = p[at++];
    while (p[at] && p[at] != quote && p[at] != '\n' && p[at] != '\r') {
        if (p[at] == '\\' && p[at + 1])
            at++;
        at++;
    }
    return p[at] == quote ? at + 1 : 0;
}

/* --- numbers --------------------------------------------------------------------------- */

static uint32_t s_digits(const uint8_t *p, uint32_t at, bool hex)
{
    while (hex ? s_is_hex(p[at]) : s_is_digit(p[at]))
        at++;
    return at;
}

/* An exponent, when one with digits stands at `at`. */
static uint32_t s_exponent(const uint8_t *p, uint32_t at, uint8_t letter)
{
    if ((p[at] | 32) != letter)
        return at;
    uint32_t digits = at + 1 + (p[at + 1] == '+' || p[at + 1] == '-');
    return s_is_digit(p[digits]) ? s_digits(p, digits, false) : at;
}

static token_t s_prefixed(const uint8_t *p, uint32_t at)
{
    if ((p[at + 1] | 32) == 'b') {
        uint32_t to = at + 2;
        while (p[to] == '0' || p[to] == '1')
            to++;
        return (token_t){ TOK_INT, at, to };
    }
    uint32_t whole = s_digits(p, at + 2, true);
    uint32_t part = p[whole] == '.' ? s_digits(p, whole + 1, true) : whole;
    uint32_t to = s_exponent(p, part, 'p');
    return to > part ? (token_t){ TOK_FLOAT, at, to } : (token_t){ TOK_INT, at, whole };
}

static token_t s_number(const uint8_t *p, uint32_t at)
{
    uint8_t next = p[at] == '0' ? p[at + 1] | 32 : 0;
    if ((next == 'x' && (s_is_hex(p[at + 2]) || p[at + 2] == '.')) ||
        (next == 'b' && (p[at + 2] == '0' || p[at + 2] == '1')))
        return s_prefixed(p, at);
    uint32_t whole = s_digits(p, at, false);
    uint32_t part = p[whole] == '.' ? s_digits(p, whole + 1, false) : whole;
    uint32_t to = s_exponent(p, part, 'e');
    return (token_t){ to > whole ? TOK_FLOAT : TOK_INT, at, to };
}

/* --- words ------------------------------------------------------------------------------- */

typedef struct word {
    const char *text;
    tok_t tok;
} word_t;

/* Lower case; the upper case spelling counts too. */
static const word_t s_words[] = {
    { "and", TOK_AND }, { "or", TOK_OR }, { "not", TOK_NOT }, { "in", TOK_IN },
    { "like", TOK_LIKE }, { "exists", TOK_EXISTS }, { "true", TOK_TRUE }, { "false", TOK_FALSE },
    { "json_contains", TOK_CONTAINS }, { "array_contains", TOK_CONTAINS },
    { "json_contains_all", TOK_CONTAINS_ALL }, { "array_contains_all", TOK_CONTAINS_ALL },
    { "json_contains_any", TOK_CONTAINS_ANY }, { "array_contains_any", TOK_CONTAINS_ANY },
    { "array_length", TOK_LENGTH },
};

/* Equal in all-lower, or in all-upper letters. */
static bool s_spells(view_t text, const char *lower)
{
    if (text.len != strlen(lower))
        return false;
    bool small = true, big = true;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = (uint8_t)lower[i];
        small &= text.ptr[i] == c;
        big &= text.ptr[i] == (c == '_' ? c : c - 32);
    }
    return small || big;
}

static tok_t s_keyword(view_t text)
{
    for (size_t i = 0; i < ARRAY_LEN(s_words); i++)
        if (s_spells(text, s_words[i].text))
            return s_words[i].tok;
    if (view_eq(text, view_str("True")))
        return TOK_TRUE;
    return view_eq(text, view_str("False")) ? TOK_FALSE : TOK_NAME;
}

static uint32_t s_word_end(const uint8_t *p, uint32_t at)
{
    while (s_is_word(p[at]))
        at++;
    return at;
}

/* `is null` and `is not null` are one token each; any other `is` is a name. */
static bool s_null_test(const uint8_t *p, uint32_t from, uint32_t is_end, token_t *ret)
{
    uint32_t at = s_space(p, is_end), to = s_word_end(p, at);
    bool not = s_spells(view_of(p + at, to - at), "not");
    if (not) {
        at = s_space(p, to);
        to = s_word_end(p, at);
    }
    if (!s_spells(view_of(p + at, to - at), "null"))
        return false;
    *ret = (token_t){ not ? TOK_NOT_NULL : TOK_NULL, from, to };
    return true;
}

/* ["key"], [0] or, to be refused with a text of its own, [word]. */
static uint32_t s_subscript(const uint8_t *p, uint32_t at)
{
    if (p[at] != '[')
        return at;
    uint32_t to = p[at + 1] == '"' || p[at + 1] == '\'' ? s_string_end(p, at + 1)
                                                        : s_word_end(p, at + 1);
    return to > at + 1 && p[to] == ']' ? to + 1 : at;
}

static bool s_is_quote(uint8_t c)
{
    return c == '"' || c == '\'';
}

static token_t s_word(const uint8_t *p, uint32_t at)
{
    uint32_t to = s_word_end(p, at + 1);
    view_t text = view_of(p + at, to - at);
    if (s_is_quote(p[to]) && (view_eq(text, view_str("u8")) || view_eq(text, view_str("u")) ||
                              view_eq(text, view_str("U")) || view_eq(text, view_str("L")))) {
        uint32_t end = s_string_end(p, to);
        return (token_t){ end ? TOK_STRING : TOK_BAD, at, end ? end : to + 1 };
    }
    token_t null_test;
    if (s_spells(text, "is") && s_null_test(p, at, to, &null_test))
        return null_test;
    tok_t tok = s_keyword(text);
    if (tok != TOK_NAME)
        return (token_t){ tok, at, to };
    uint32_t end = to;
    for (uint32_t next = s_subscript(p, end); next > end; next = s_subscript(p, end))
        end = next;
    return (token_t){ end > to ? TOK_PATH : TOK_NAME, at, end };
}

static token_t s_template(const uint8_t *p, uint32_t at)
{
    uint32_t from = s_space(p, at + 1), to = s_word_end(p, from), close = s_space(p, to);
    bool good = to > from && !s_is_digit(p[from]) && p[close] == '}';
    return (token_t){ good ? TOK_TEMPLATE : TOK_BAD, at, good ? close + 1 : at + 1 };
}

/* --- signs ------------------------------------------------------------------------------- */

/* Longer ones first. */
static const word_t s_signs[] = {
    { "<=", TOK_LE }, { "<<", TOK_SHL }, { ">=", TOK_GE }, { ">>", TOK_SHR }, { "==", TOK_EQ },
    { "!=", TOK_NE }, { "**", TOK_POW }, { "&&", TOK_AND }, { "||", TOK_OR }, { "<", TOK_LT },
    { ">", TOK_GT }, { "+", TOK_ADD }, { "-", TOK_SUB }, { "*", TOK_MUL }, { "/", TOK_DIV },
    { "%", TOK_MOD }, { "&", TOK_BAND }, { "|", TOK_BOR }, { "^", TOK_BXOR }, { "~", TOK_BNOT },
    { "!", TOK_NOT }, { "(", TOK_LEFT }, { ")", TOK_RIGHT }, { "[", TOK_OPEN }, { "]", TOK_CLOSE },
    { ",", TOK_COMMA },
};

static token_t s_sign(const uint8_t *p, uint32_t at)
{
    for (size_t i = 0; i < ARRAY_LEN(s_signs); i++) {
        const char *sign = s_signs[i].text;
        if (p[at] == (uint8_t)sign[0] && (!sign[1] || p[at + 1] == (uint8_t)sign[1]))
            return (token_t){ s_signs[i].tok, at, at + (uint32_t)strlen(sign) };
    }
    return (token_t){ TOK_BAD, at, at + 1 };
}

token_t expr_lex(view_t text, uint32_t at)
{
    const uint8_t *p = text.ptr;
    at = s_space(p, at);
    uint8_t c = p[at];
    if (at >= text.len)
        return (token_t){ TOK_END, (uint32_t)text.len, (uint32_t)text.len };
    if (s_is_digit(c) || (c == '.' && s_is_digit(p[at + 1])))
        return s_number(p, at);
    view_t rest = view_of(p + at, text.len - at);
    if (s_is_word(c) || (c == '$' && view_starts(rest, view_str("$meta"))))
        return s_word(p, at);
    if (s_is_quote(c)) {
        uint32_t end = s_string_end(p, at);
        return (token_t){ end ? TOK_STRING : TOK_BAD, at, end ? end : at + 1 };
    }
    return c == '{' ? s_template(p, at) : s_sign(p, at);
}

/* --- string literals --------------------------------------------------------------------- */

static int s_digit_value(uint8_t c)
{
    return s_is_digit(c) ? c - '0' : s_is_hex(c) ? (c | 32) - 'a' + 10 : 99;
}

/* Up to `most` digits of a base; how many were there. */
static size_t s_code(view_t text, size_t at, size_t most, int base, uint32_t *ret)
{
    size_t n = 0;
    for (*ret = 0; n < most && at + n < text.len && s_digit_value(text.ptr[at + n]) < base; n++)
        *ret = *ret * (uint32_t)base + (uint32_t)s_digit_value(text.ptr[at + n]);
    return n;
}

static size_t s_put_utf8(uint8_t *to, uint32_t code)
{
    if (code >= 0xd800 && code < 0xe000)
        code = 0xfffd;
    if (code < 0x80) {
        to[0] = (uint8_t)code;
        return 1;
    }
    size_t len = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = len - 1; i > 0; i--, code >>= 6)
        to[i] = (uint8_t)(0x80 | (code & 63));
    to[0] = (uint8_t)((len == 2 ? 0xc0 : len == 3 ? 0xe0 : 0xf0) | code);
    return len;
}

/* \x41, \101, \u0041, \U00000041; returns the bytes read behind the backslash, 0 for none. */
static size_t s_coded(view_t text, size_t at, uint8_t **to)
{
    uint8_t c = text.ptr[at];
    uint32_t code = 0;
    size_t n = 0;
    if (c == 'u' || c == 'U') {
        size_t want = c == 'u' ? 4 : 8;
        n = s_code(text, at + 1, want, 16, &code);
        if (n < want || code > 0x10ffff)
            return 0;
        *to += s_put_utf8(*to, code);
        return n + 1;
    }
    n = c == 'x' ? s_code(text, at + 1, 2, 16, &code) : s_code(text, at, 3, 8, &code);
    if (n == 0 || code > 255)
        return 0;
    *to += s_put_utf8(*to, code);               /* so that text stays UTF-8 */
    return n + (c == 'x');
}

/* An escape that nobody defined stays as it is written: "100\%" is meant for like. */
static size_t s_escape(view_t text, size_t at, uint8_t **to)
{
    static const char from[] = "'\"?abfnrtv\\", plain[] = "'\"?\a\b\f\n\r\t\v\\";
    size_t coded = s_coded(text, at, to);
    if (coded)
        return coded;
    const char *found = strchr(from, text.ptr[at]);
    if (found && *found) {
        *(*to)++ = (uint8_t)plain[found - from];
    } else {
        *(*to)++ = '\\';
        *(*to)++ = text.ptr[at];
    }
    return 1;
}

err_t expr_lex_string(ctx_t *ctx, view_t literal, view_t *ret)
{
    size_t skip = 1;
    while (!s_is_quote(literal.ptr[skip - 1]))
        skip++;
    view_t text = view_of(literal.ptr + skip, literal.len - skip - 1);
    if (text.len == 0 || !memchr(text.ptr, '\\', text.len)) {
        *ret = text;
        return OK;
    }
    uint8_t *start = ctx_try(ctx, text.len), *to = start;
    if (!start)
        return ctx_fail(ctx, ERR_MEMORY, "no memory for a string of %zu bytes", text.len);
    for (size_t at = 0; at < text.len; ) {
        uint8_t c = text.ptr[at++];
        if (c == '\\' && at < text.len)
            at += s_escape(text, at, &to);
        else
            *to++ = c;
    }
    *ret = view_of(start, (size_t)(to - start));
    return OK;
}
