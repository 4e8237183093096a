/* topk - a buffer of candidates and a threshold
 *
 * A (score, row) becomes one 64-bit key whose order is the order of hits:
 *
 *     bits 63..32   the score's bits, mapped so that unsigned order is score order,
 *                   negated first when greater is better
 *     bits 31..0    the row
 *
 * Keys at or below the threshold are appended to a buffer of 2k and a bit; when
 * it is full, the k smallest stay (quickselect, linear) and the k-th becomes
 * the new threshold.  So an add is a compare and a store, and over n rows only
 * about k·ln(n/k) rows get past the threshold.  A block of scores is compared
 * with it by vector instructions before any key is made.
 *
 * Rejected: a heap.  With k = 16384 each accepted row costs 14 cache-missing
 * steps, and with k = 10 there are too few accepted rows for it to matter.
 */
#include "core/simd/topk.h"

#include <math.h>

#include "core/base/limits.h"
#include "core/simd/simd.h"

enum { RUN = 256, SLACK = 64 };     /* scores looked at together; least room behind the k */

struct topk {
    size_t k, n, cap;
    bool descending;
    float inner;                /* scores better than this are out */
    uint64_t most;              /* greatest key that is still good enough */
    uint64_t pivot_seed;        /* quickselect's own, so that no input can aim at it */
    uint64_t *keys;             /* [cap]; which of them are the best is not known before s_shrink */
};

static uint64_t s_key(const topk_t *self, float score, uint32_t row)
{
    uint32_t bits;
    score = (self->descending ? -score : score) + 0.0f;     /* + 0: no -0 */
    memcpy(&bits, &score, sizeof bits);
    bits = bits & 0x80000000 ? ~bits : bits | 0x80000000;
    return (uint64_t)bits << 32 | row;
}

static float s_score(const topk_t *self, uint64_t key)
{
    uint32_t bits = (uint32_t)(key >> 32);
    bits = bits & 0x80000000 ? bits & 0x7fffffff : ~bits;
    float score;
    memcpy(&score, &bits, sizeof score);
    return self->descending ? -score + 0.0f : score;
}

err_t topk_new(ctx_t *ctx, size_t k, bool descending, topk_t **ret)
{
    check(k > 0 && k <= LIMIT_TOPK + 1);
    topk_t *self = mem_try(ctx, sizeof *self);
    size_t cap = 2 * k + SLACK;
    if (self)
        self->keys = mem_try(ctx, cap * sizeof *self->keys);
    if (!self || !self->keys) {
        topk_destroy(&self);
        return ctx_fail(ctx, ERR_MEMORY, "no memory for the best %zu rows", k);
    }
    self->k = k;
    self->cap = cap;
    self->descending = descending;
    topk_reset(self);
    *ret = self;
    return OK;
}

void topk_destroy(topk_t **self_p)
{
    if (*self_p)
        mem_free((*self_p)->keys);
    mem_free(*self_p);
    *self_p = NULL;
}

void topk_reset(topk_t *self)
{
    self->n = 0;
    self->pivot_seed = 1;
    self->inner = self->descending ? INFINITY : -INFINITY;
    self->most = s_key(self, self->descending ? -INFINITY : INFINITY, UINT32_MAX);
}

void topk_range(topk_t *self, float radius, float inner)
{
    check(self->n == 0 && !isnan(radius) && !isnan(inner));
    self->inner = inner;
    self->most = s_key(self, radius, 0) - 1;    /* just before the radius itself */
}

/* --- keeping the k smallest ------------------------------------------------------- */

/* Keys of [low, high) below `most` to the front; returns where they end.  Without a branch that
 * depends on keys: those are by chance, and a wrong guess costs more than all the rest. */
static size_t s_partition(uint64_t *keys, size_t low, size_t high, uint64_t most)
{
    size_t end = low;
    for (size_t i = low; i < high; i++) {
        uint64_t key = keys[i];
        keys[i] = keys[end];
        keys[end] = key;
        end += key < most;
    }
    return end;
}

static uint64_t s_pivot(topk_t *self, size_t low, size_t high)
{
    self->pivot_seed = self->pivot_seed * 6364136223846793005ull + 1442695040888963407ull;
    return self->keys[low + (self->pivot_seed >> 33) % (high - low)];
}

/* Keep the k smallest keys; the greatest of them is the new threshold. */
static void s_shrink(topk_t *self)
{
    size_t low = 0, high = self->n, nth = self->k - 1;
    while (high - low > 1) {
        uint64_t pivot = s_pivot(self, low, high);
        size_t end = s_partition(self->keys, low, high, pivot);
        if (nth < end) {
            high = end;
            continue;
        }
        low = s_partition(self->keys, end, high, pivot + 1);    /* those like it */
        if (nth < low) {
            self->most = pivot;
            self->n = self->k;
            return;
        }
    }
    self->most = self->keys[nth];
    self->n = self->k;
}

/* A key equal to the threshold is the threshold's own row over again, or the k-th place of a
 * range: it may come in, the selection decides. */
static void s_add(topk_t *self, float score, uint32_t row)
{
    uint64_t key = s_key(self, score, row);
    if (key > self->most || (self->descending ? score > self->inner : score < self->inner))
        return;
    self->keys[self->n++] = key;
    if (self->n == self->cap)
        s_shrink(self);
}

void topk_add(topk_t *self, float score, uint32_t row)
{
    if (!isnan(score))
        s_add(self, score, row);
}

/* Rows of a run come in rising order, so most ties with the threshold lose by
 * their row; s_add sees to that. */
void topk_add_run(topk_t *self, const float *scores, size_t n, uint32_t first)
{
    uint32_t at[RUN];
    for (size_t i = 0; i < n; i += RUN) {
        size_t part = n - i < RUN ? n - i : RUN;
        float bound = topk_bound(self);
        size_t found = simd()->survivors(scores + i, part, bound, self->descending, at);
        for (size_t j = 0; j < found; j++)
            s_add(self, scores[i + at[j]], first + (uint32_t)i + at[j]);
    }
}

void topk_add_rows(topk_t *self, const float *scores, size_t n, uint32_t first,
                   const uint32_t *places)
{
    uint32_t at[RUN];
    for (size_t i = 0; i < n; i += RUN) {
        size_t part = n - i < RUN ? n - i : RUN;
        float bound = topk_bound(self);
        size_t found = simd()->survivors(scores + i, part, bound, self->descending, at);
        for (size_t j = 0; j < found; j++)
            s_add(self, scores[i + at[j]], first + places[i + at[j]]);
    }
}

void topk_merge(topk_t *self, const topk_t *from)
{
    check(self != from && self->descending == from->descending);
    for (size_t i = 0; i < from->n; i++)
        s_add(self, s_score(from, from->keys[i]), (uint32_t)from->keys[i]);
}

float topk_bound(const topk_t *self)
{
    return s_score(self, self->most);
}

/* --- the answer --------------------------------------------------------------------- */

static void s_insertion_sort(uint64_t *keys, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        uint64_t key = keys[i];
        size_t j = i;
        for (; j > 0 && keys[j - 1] > key; j--)
            keys[j] = keys[j - 1];
        keys[j] = key;
    }
}

/* By one byte, stable, from keys to into; false when all have the same there. */
static bool s_sort_byte(const uint64_t *keys, size_t n, unsigned shift, uint64_t *into)
{
    size_t start[256] = {0}, sum = 0;
    for (size_t i = 0; i < n; i++)
        start[keys[i] >> shift & 255]++;
    if (start[keys[0] >> shift & 255] == n)
        return false;
    for (size_t b = 0; b < 256; b++) {
        size_t count = start[b];
        start[b] = sum;
        sum += count;
    }
    for (size_t i = 0; i < n; i++)
        into[start[keys[i] >> shift & 255]++] = keys[i];
    return true;
}

/* The buffer's second half is free once k are left: radix sort goes to and fro. */
static void s_sort(topk_t *self)
{
    uint64_t *keys = self->keys, *spare = keys + self->k;
    if (self->n <= SLACK) {
        s_insertion_sort(keys, self->n);
        return;
    }
    for (unsigned shift = 0; shift < 64; shift += 8)
        if (s_sort_byte(keys, self->n, shift, spare)) {
            uint64_t *was = keys;
            keys = spare;
            spare = was;
        }
    if (keys != self->keys)
        memcpy(self->keys, keys, self->n * sizeof *keys);
}

static size_t s_list(const topk_t *self, topk_hit_t *ret)
{
    for (size_t i = 0; i < self->n; i++)
        ret[i] = (topk_hit_t){ .score = s_score(self, self->keys[i]),
                               .row = (uint32_t)self->keys[i] };
    return self->n;
}

size_t topk_hits(topk_t *self, topk_hit_t *ret)
{
    if (self->n >= self->k)
        s_shrink(self);
    s_sort(self);
    return s_list(self, ret);
}

size_t topk_any(topk_t *self, topk_hit_t *ret)
{
    if (self->n >= self->k)
        s_shrink(self);
    return s_list(self, ret);
}
