/* crc - CRC32C, polynomial 0x1EDC6F41 reflected (0x82F63B78)
 *
 * The interleaved loop runs three independent crc32 chains over three
 * neighbouring stretches of STRETCH bytes.  Joining them needs the effect of
 * appending STRETCH zero bytes to a crc, which is linear over GF(2): four
 * 256-entry tables, made at first use (method: Mark Adler's crc32c.c essay).
 */
#include "core/base/crc.h"

#include <pthread.h>
#include <stdbool.h>

#include "core/base/view.h"

enum { STRETCH = 1024 };

static uint32_t s_table[8][256];        /* slicing-by-8 */
static uint32_t s_skip[4][256];         /* crc of (x, then STRETCH zero bytes) */
static bool s_has_sse42;
static pthread_once_t s_once = PTHREAD_ONCE_INIT;

static uint32_t s_raw_zeros(uint32_t raw, size_t n)
{
    while (n--)
        raw = s_table[0][raw & 0xff] ^ (raw >> 8);
    return raw;
}

static void s_init(void)
{
    for (uint32_t n = 0; n < 256; n++) {
        uint32_t crc = n;
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ (crc & 1 ? 0x82f63b78u : 0);
        s_table[0][n] = crc;
    }
    for (int t = 1; t < 8; t++)
        for (uint32_t n = 0; n < 256; n++)
            s_table[t][n] = s_table[0][s_table[t - 1][n] & 0xff] ^ (s_table[t - 1][n] >> 8);

    /* The map is linear: work it out for 32 single bits, then combine. */
    uint32_t bit_image[32];
    for (int bit = 0; bit < 32; bit++)
        bit_image[bit] = s_raw_zeros(1u << bit, STRETCH);
    for (int byte = 0; byte < 4; byte++)
        for (uint32_t n = 0; n < 256; n++)
            for (int bit = 0; bit < 8; bit++)
                if (n & (1u << bit))
                    s_skip[byte][n] ^= bit_image[byte * 8 + bit];
#if defined(__x86_64__)
    s_has_sse42 = __builtin_cpu_supports("sse4.2");
#endif
}

static uint32_t s_raw_table(uint32_t raw, const uint8_t *p, size_t len)
{
    for (; len >= 8; p += 8, len -= 8) {
        uint64_t word = load_u64(p) ^ raw;
        raw = s_table[7][word & 0xff] ^ s_table[6][(word >> 8) & 0xff] ^
              s_table[5][(word >> 16) & 0xff] ^ s_table[4][(word >> 24) & 0xff] ^
              s_table[3][(word >> 32) & 0xff] ^ s_table[2][(word >> 40) & 0xff] ^
              s_table[1][(word >> 48) & 0xff] ^ s_table[0][word >> 56];
    }
    for (; len; p++, len--)
        raw = s_table[0][(raw ^ *p) & 0xff] ^ (raw >> 8);
    return raw;
}

#if defined(__x86_64__)
static uint32_t s_skip_stretch(uint32_t raw)
{
    return s_skip[0][raw & 0xff] ^ s_skip[1][(raw >> 8) & 0xff] ^
           s_skip[2][(raw >> 16) & 0xff] ^ s_skip[3][raw >> 24];
}

__attribute__((target("sse4.2")))
static uint32_t s_raw_sse42(uint32_t raw, const uint8_t *p, size_t len)
{
    uint64_t a = raw;
    for (; len >= 3 * STRETCH; p += 3 * STRETCH, len -= 3 * STRETCH) {
        uint64_t b = 0, c = 0;
        for (size_t i = 0; i < STRETCH; i += 8) {
            a = __builtin_ia32_crc32di(a, load_u64(p + i));
            b = __builtin_ia32_crc32di(b, load_u64(p + STRETCH + i));
            c = __builtin_ia32_crc32di(c, load_u64(p + 2 * STRETCH + i));
        }
        a = s_skip_stretch((uint32_t)a) ^ b;
        a = s_skip_stretch((uint32_t)a) ^ c;
    }
    for (; len >= 8; p += 8, len -= 8)
        a = __builtin_ia32_crc32di(a, load_u64(p));
    uint32_t tail = (uint32_t)a;
    for (; len; p++, len--)
        tail = __builtin_ia32_crc32qi(tail, *p);
    return tail;
}
#endif

uint32_t crc32c_add_portable(uint32_t crc, const void *ptr, size_t len)
{
    pthread_once(&s_once, s_init);
    return ~s_raw_table(~crc, ptr, len);
}

uint32_t crc32c_add(uint32_t crc, const void *ptr, size_t len)
{
    pthread_once(&s_once, s_init);
#if defined(__x86_64__)
    if (s_has_sse42)
        return ~s_raw_sse42(~crc, ptr, len);
#endif
    return ~s_raw_table(~crc, ptr, len);
}

uint32_t crc32c(const void *ptr, size_t len)
{
    return crc32c_add(0, ptr, len);
}
