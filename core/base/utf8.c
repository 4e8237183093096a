/* utf8 - see utf8.h
 *
 * Most text is ASCII, so eight bytes are looked at together until one of them
 * has its top bit set.  A longer character is checked by its first byte, which
 * says how many follow, and its second, which is where overlong forms,
 * surrogates and too great code points show.
 */
#include "core/base/utf8.h"

static bool s_follows(uint8_t byte)
{
    return (byte & 0xc0) == 0x80;
}

/* Bytes of the character that starts with lead, given the byte after it; 0: bad. */
static size_t s_character_len(uint8_t lead, uint8_t second)
{
    if (!s_follows(second))
        return 0;
    if (lead >= 0xc2 && lead <= 0xdf)
        return 2;
    if (lead >= 0xe0 && lead <= 0xef)
        return (lead == 0xe0 && second < 0xa0) || (lead == 0xed && second > 0x9f) ? 0 : 3;
    if (lead >= 0xf0 && lead <= 0xf4)
        return (lead == 0xf0 && second < 0x90) || (lead == 0xf4 && second > 0x8f) ? 0 : 4;
    return 0;
}

static size_t s_skip_ascii(view_t bytes, size_t at)
{
    while (bytes.len - at >= 8 && (load_u64(bytes.ptr + at) & 0x8080808080808080u) == 0)
        at += 8;
    while (at < bytes.len && bytes.ptr[at] < 0x80)
        at++;
    return at;
}

size_t utf8_valid_len(view_t bytes)
{
    size_t at = 0;
    while ((at = s_skip_ascii(bytes, at)) < bytes.len) {
        const uint8_t *p = bytes.ptr + at;
        size_t left = bytes.len - at;
        size_t len = left >= 2 ? s_character_len(p[0], p[1]) : 0;
        if (len == 0 || len > left)
            return at;
        if ((len > 2 && !s_follows(p[2])) || (len > 3 && !s_follows(p[3])))
            return at;
        at += len;
    }
    return at;
}
