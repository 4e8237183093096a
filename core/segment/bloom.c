/* bloom - see bloom.h */
#include "core/segment/bloom.h"

#include <math.h>
#include <xxhash.h>

enum { WORDS = 8, KEYS_MOST_PER_BLOCK = 120 };

struct bloom {
    size_t n_blocks;
    uint32_t *words;            /* [n_blocks][WORDS], in one allocation with self */
};

static const uint32_t s_odd[WORDS] = {
    0x47b6137bu, 0x44974d91u, 0x8824ad5bu, 0xa2b7289du,
    0x705495c7u, 0x2df1424bu, 0x9efc4947u, 0x5c6bfb31u,
};

/* The rate of false answers when blocks hold `load` keys on average: how many a block
 * holds is Poisson, and with k of them a word has its bit with 1 - (31/32)^k. */
static double s_rate(double load)
{
    double sum = 0, p = exp(-load);
    for (int k = 1; k < 4 * KEYS_MOST_PER_BLOCK; k++) {
        p *= load / k;
        sum += p * pow(1 - pow(31.0 / 32, k), WORDS);
    }
    return sum;
}

size_t bloom_blocks(size_t n_keys, double rate)
{
    check(rate >= 0.0001 && rate <= 0.5);
    double low = 1, high = KEYS_MOST_PER_BLOCK;
    for (int i = 0; i < 30; i++) {
        double mid = (low + high) / 2;
        if (s_rate(mid) <= rate)
            low = mid;
        else
            high = mid;
    }
    return (size_t)((double)n_keys / low) + 1;
}

uint64_t bloom_hash(view_t pk)
{
    return XXH3_64bits(pk.ptr, pk.len);
}

err_t bloom_make(ctx_t *ctx, size_t n_blocks, bloom_t **ret)
{
    check(n_blocks > 0 && *ret == NULL);
    bloom_t *self = mem_try(ctx, sizeof *self + n_blocks * BLOOM_BLOCK_BYTES);
    if (!self)
        return ctx_fail(ctx, ERR_MEMORY, "no memory for a filter of %zu blocks", n_blocks);
    self->n_blocks = n_blocks;
    self->words = (uint32_t *)(void *)(self + 1);
    *ret = self;
    return OK;
}

err_t bloom_copy(ctx_t *ctx, view_t bytes, bloom_t **ret)
{
    check(bytes.len % BLOOM_BLOCK_BYTES == 0);
    TRY(bloom_make(ctx, bytes.len / BLOOM_BLOCK_BYTES, ret));
    memcpy((*ret)->words, bytes.ptr, bytes.len);
    return OK;
}

void bloom_destroy(bloom_t **self_p)
{
    mem_free(*self_p);
    *self_p = NULL;
}

static uint32_t *s_block(const bloom_t *self, uint64_t hash)
{
    return self->words + WORDS * (size_t)(((hash >> 32) * self->n_blocks) >> 32);
}

static uint32_t s_bit(uint64_t hash, int word)
{
    return 1u << (((uint32_t)hash * s_odd[word]) >> 27);
}

void bloom_add(bloom_t *self, uint64_t hash)
{
    uint32_t *block = s_block(self, hash);
    for (int i = 0; i < WORDS; i++)
        block[i] |= s_bit(hash, i);
}

bool bloom_may_have(const bloom_t *self, uint64_t hash)
{
    const uint32_t *block = s_block(self, hash);
    uint32_t missing = 0;
    for (int i = 0; i < WORDS; i++)
        missing |= s_bit(hash, i) & ~block[i];
    return missing == 0;
}

view_t bloom_bytes(const bloom_t *self)
{
    return view_of(self->words, self->n_blocks * BLOOM_BLOCK_BYTES);
}
