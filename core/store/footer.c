/* footer - make and check; the bytes are described in footer.h */
#include "core/store/footer.h"

#include "core/base/crc.h"

static const uint32_t s_magic = 0x31464c45;             /* "ELF1" */

enum { AT_BLOCK = 0, AT_COUNT = 4, AT_LEN = 8, AT_CRC = 16, AT_MAGIC = 20 };

static uint32_t s_blocks(uint64_t body_len)
{
    return (uint32_t)((body_len + FOOTER_BLOCK_BYTES - 1) / FOOTER_BLOCK_BYTES);
}

size_t footer_len(uint64_t body_len)
{
    return (size_t)s_blocks(body_len) * 4 + FOOTER_TAIL_BYTES;
}

bool footer_body_len(uint64_t object_len, uint64_t *ret)
{
    if (object_len < FOOTER_TAIL_BYTES)
        return false;
    uint64_t rest = object_len - FOOTER_TAIL_BYTES;
    uint64_t n = (rest + FOOTER_BLOCK_BYTES + 3) / (FOOTER_BLOCK_BYTES + 4);
    if (n * 4 > rest)
        return false;
    uint64_t len = rest - n * 4;
    if (len > LIMIT_STORE_OBJECT_BYTES || s_blocks(len) != n)
        return false;
    *ret = len;
    return true;
}

static uint32_t s_own_crc(const char *key, const uint8_t *footer, size_t len)
{
    return crc32c_add(crc32c(key, strlen(key)), footer, len);
}

err_t footer_make(ctx_t *ctx, const char *key, view_t body, view_t *ret)
{
    check(body.len <= LIMIT_STORE_OBJECT_BYTES);
    size_t len = footer_len(body.len);
    uint8_t *footer = ctx_try(ctx, len);
    if (!footer)
        return ctx_fail(ctx, ERR_MEMORY, "%s: no memory for %zu bytes of checksums", key, len);
    uint32_t n = s_blocks(body.len);
    for (uint32_t i = 0; i < n; i++) {
        size_t at = (size_t)i * FOOTER_BLOCK_BYTES;
        size_t left = body.len - at;
        store_u32(footer + (size_t)i * 4,
                  crc32c(body.ptr + at, left < FOOTER_BLOCK_BYTES ? left : FOOTER_BLOCK_BYTES));
    }
    uint8_t *tail = footer + (size_t)n * 4;
    store_u32(tail + AT_BLOCK, FOOTER_BLOCK_BYTES);
    store_u32(tail + AT_COUNT, n);
    store_u64(tail + AT_LEN, body.len);
    store_u32(tail + AT_CRC, s_own_crc(key, footer, len - FOOTER_TAIL_BYTES + AT_CRC));
    store_u32(tail + AT_MAGIC, s_magic);
    *ret = view_of(footer, len);
    return OK;
}

const char *footer_parse(const char *key, view_t bytes, uint64_t object_len, footer_t *ret)
{
    uint64_t body_len = 0;
    if (!footer_body_len(object_len, &body_len))
        return "no object has this size";
    check(bytes.len == footer_len(body_len));
    const uint8_t *tail = bytes.ptr + bytes.len - FOOTER_TAIL_BYTES;
    if (load_u32(tail + AT_MAGIC) != s_magic)
        return "not an object of this version (magic)";
    size_t covered = bytes.len - FOOTER_TAIL_BYTES + AT_CRC;
    if (load_u32(tail + AT_CRC) != s_own_crc(key, bytes.ptr, covered))
        return "checksum of the footer and the key";
    if (load_u32(tail + AT_BLOCK) != FOOTER_BLOCK_BYTES ||
        load_u32(tail + AT_COUNT) != s_blocks(body_len) || load_u64(tail + AT_LEN) != body_len)
        return "footer and size disagree";
    *ret = (footer_t){ .body_len = body_len, .n_blocks = s_blocks(body_len), .crcs = bytes.ptr };
    return NULL;
}

bool footer_matches(const footer_t *self, uint32_t first, view_t blocks, uint32_t *ret_bad)
{
    uint32_t n = s_blocks(blocks.len);
    check((uint64_t)first + n <= self->n_blocks);
    for (uint32_t i = 0; i < n; i++) {
        size_t at = (size_t)i * FOOTER_BLOCK_BYTES;
        size_t left = blocks.len - at;
        size_t len = left < FOOTER_BLOCK_BYTES ? left : FOOTER_BLOCK_BYTES;
        if (crc32c(blocks.ptr + at, len) != load_u32(self->crcs + ((size_t)first + i) * 4)) {
            *ret_bad = first + i;
            return false;
        }
    }
    return true;
}
