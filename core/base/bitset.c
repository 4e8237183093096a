/* bitset - see bitset.h */
#include "core/base/bitset.h"

#include <roaring/roaring.h>

#include "core/base/limits.h"

static size_t s_words(size_t n_bits)
{
    return (n_bits + 63) / 64;
}

/* Bits past the end stay 0, so that counts and searches need no mask. */
static void s_trim(bitset_t *bits)
{
    if (bits->n_bits % 64)
        bits->words[s_words(bits->n_bits) - 1] &= (1ull << (bits->n_bits % 64)) - 1;
}

err_t bitset_init(ctx_t *ctx, bitset_t *bits, size_t n_bits)
{
    check(n_bits <= LIMIT_BITSET_BITS);
    uint64_t *words = mem_try(ctx, s_words(n_bits) * sizeof *words);
    if (!words)
        return ctx_fail(ctx, ERR_MEMORY, "no memory for a bitset of %zu bits", n_bits);
    *bits = (bitset_t){ .words = words, .n_bits = n_bits };
    return OK;
}

void bitset_fini(bitset_t *bits)
{
    mem_free(bits->words);
    *bits = (bitset_t){0};
}

void bitset_fill(bitset_t *bits, bool value)
{
    memset(bits->words, value ? 0xff : 0, s_words(bits->n_bits) * 8);
    s_trim(bits);
}

void bitset_not(bitset_t *bits)
{
    for (size_t i = 0; i < s_words(bits->n_bits); i++)
        bits->words[i] = ~bits->words[i];
    s_trim(bits);
}

void bitset_and(bitset_t *into, const bitset_t *other)
{
    check(into->n_bits == other->n_bits);
    for (size_t i = 0; i < s_words(into->n_bits); i++)
        into->words[i] &= other->words[i];
}

void bitset_or(bitset_t *into, const bitset_t *other)
{
    check(into->n_bits == other->n_bits);
    for (size_t i = 0; i < s_words(into->n_bits); i++)
        into->words[i] |= other->words[i];
}

void bitset_andnot(bitset_t *into, const bitset_t *other)
{
    check(into->n_bits == other->n_bits);
    for (size_t i = 0; i < s_words(into->n_bits); i++)
        into->words[i] &= ~other->words[i];
}

size_t bitset_count(const bitset_t *bits)
{
    size_t count = 0;
    for (size_t i = 0; i < s_words(bits->n_bits); i++)
        count += (size_t)__builtin_popcountll(bits->words[i]);
    return count;
}

size_t bitset_next(const bitset_t *bits, size_t from)
{
    if (from >= bits->n_bits)
        return bits->n_bits;
    size_t i = from >> 6;
    uint64_t word = bits->words[i] & (~0ull << (from & 63));
    while (word == 0)
        if (++i == s_words(bits->n_bits))
            return bits->n_bits;
        else
            word = bits->words[i];
    return i * 64 + (size_t)__builtin_ctzll(word);
}

void bitset_pack(const bitset_t *bits, buf_t *into)
{
    roaring_bitmap_t *r = roaring_bitmap_create();
    check(r != NULL);
    for (size_t i = bitset_next(bits, 0); i < bits->n_bits; i = bitset_next(bits, i + 1))
        roaring_bitmap_add(r, (uint32_t)i);
    roaring_bitmap_run_optimize(r);

    buf_add_u64(into, bits->n_bits);
    size_t len = roaring_bitmap_portable_size_in_bytes(r);
    uint8_t *at = buf_reserve(into, len);
    if (at) {
        roaring_bitmap_portable_serialize(r, (char *)at);
        into->len += len;
    }
    roaring_bitmap_free(r);
}

static bool s_add_row(uint32_t row, void *arg)
{
    bitset_t *bits = arg;
    if (row >= bits->n_bits)
        return false;
    bitset_set(bits, row);
    return true;
}

err_t bitset_unpack(ctx_t *ctx, bitset_t *bits, size_t n_bits, view_t packed)
{
    if (packed.len < 12 || load_u64(packed.ptr) != n_bits)    /* less, and CRoaring prints */
        return ctx_fail(ctx, ERR_CORRUPT, "bitset: not one of %zu bits", n_bits);
    const char *body = (const char *)packed.ptr + 8;
    size_t body_len = packed.len - 8;
    if (roaring_bitmap_portable_deserialize_size(body, body_len) != body_len)
        return ctx_fail(ctx, ERR_CORRUPT, "bitset: damaged in %zu bytes", packed.len);
    roaring_bitmap_t *r = roaring_bitmap_portable_deserialize_safe(body, body_len);
    if (!r)
        return ctx_fail(ctx, ERR_CORRUPT, "bitset: damaged in %zu bytes", packed.len);

    err_t err = bitset_init(ctx, bits, n_bits);
    if (err == OK && !roaring_iterate(r, s_add_row, bits)) {
        bitset_fini(bits);
        err = ctx_fail(ctx, ERR_CORRUPT, "bitset: a row past %zu", n_bits);
    }
    roaring_bitmap_free(r);
    return err;
}
