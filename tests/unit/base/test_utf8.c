/* utf8: every code point is taken, every short sequence is judged like a slow,
 * literal reading of RFC 3629, and the fast path stops at the right byte. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/base/base.h"
#include "core/base/utf8.h"

static size_t s_encode(uint32_t c, uint8_t *out)
{
    if (c < 0x80)
        return out[0] = (uint8_t)c, 1;
    if (c < 0x800)
        return out[0] = (uint8_t)(0xc0 | c >> 6), out[1] = (uint8_t)(0x80 | (c & 0x3f)), 2;
    if (c < 0x10000) {
        out[0] = (uint8_t)(0xe0 | c >> 12);
        out[1] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
        out[2] = (uint8_t)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (uint8_t)(0xf0 | c >> 18);
    out[1] = (uint8_t)(0x80 | (c >> 12 & 0x3f));
    out[2] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
    out[3] = (uint8_t)(0x80 | (c & 0x3f));
    return 4;
}

/* Length of a character at p, by decoding it and encoding it again; 0: none. */
static size_t s_slow(const uint8_t *p, size_t left)
{
    static const struct { uint8_t mask, lead; } form[5] =
        { {0, 0}, { 0x80, 0 }, { 0xe0, 0xc0 }, { 0xf0, 0xe0 }, { 0xf8, 0xf0 } };
    for (size_t len = 1; len <= 4 && len <= left; len++) {
        if ((p[0] & form[len].mask) != form[len].lead)
            continue;
        uint32_t c = p[0] & (uint8_t)~form[len].mask;
        for (size_t i = 1; i < len; i++) {
            if ((p[i] & 0xc0) != 0x80)
                return 0;
            c = c << 6 | (p[i] & 0x3f);
        }
        uint8_t again[4];
        bool ok = c <= 0x10ffff && (c < 0xd800 || c > 0xdfff) && s_encode(c, again) == len;
        return ok ? len : 0;
    }
    return 0;
}

static size_t s_slow_valid_len(const uint8_t *p, size_t len)
{
    size_t at = 0, step;
    while (at < len && (step = s_slow(p + at, len - at)) > 0)
        at += step;
    return at;
}

static void every_code_point_is_text(void **state)
{
    (void)state;
    for (uint32_t c = 0; c <= 0x110000; c++) {
        uint8_t bytes[4];
        size_t len = s_encode(c, bytes);
        bool want = c <= 0x10ffff && (c < 0xd800 || c > 0xdfff);
        if (utf8_ok(view_of(bytes, len)) != want)
            fail_msg("U+%04X judged wrongly", c);
    }
}

static void every_short_sequence_is_judged(void **state)
{
    (void)state;
    static const uint8_t edge[] = { 0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xff };
    for (uint32_t head = 0; head < 0x10000; head++) {
        for (size_t i = 0; i < ARRAY_LEN(edge) * ARRAY_LEN(edge); i++) {
            uint8_t p[4] = { (uint8_t)(head >> 8), (uint8_t)head,
                             edge[i / ARRAY_LEN(edge)], edge[i % ARRAY_LEN(edge)] };
            for (size_t len = 1; len <= 4; len++) {
                if (utf8_valid_len(view_of(p, len)) != s_slow_valid_len(p, len))
                    fail_msg("%02x %02x %02x %02x, first %zu", p[0], p[1], p[2], p[3], len);
            }
        }
    }
}

static void the_first_bad_byte_is_found(void **state)
{
    (void)state;
    uint8_t text[40];
    for (size_t bad = 0; bad < sizeof text; bad++) {
        memset(text, 'x', sizeof text);
        text[bad] = 0xff;
        assert_int_equal(utf8_valid_len(view_of(text, sizeof text)), bad);
    }
    assert_true(utf8_ok(view_of(NULL, 0)));
    assert_int_equal(utf8_valid_len(view_str("caf\xc3\xa9 \xe2\x82")), 6);     /* cut off */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_point_is_text),
        cmocka_unit_test(every_short_sequence_is_judged),
        cmocka_unit_test(the_first_bad_byte_is_found),
    };
    return cmocka_run_group_tests_name("utf8", tests, NULL, NULL);
}
