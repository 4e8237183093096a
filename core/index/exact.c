/* exact - see exact.h: blocks of places, all of one part, go through `gather` */
#include "core/index/exact.h"

enum { DECODED_BYTES = 16 << 10, ALIVE_BLOCKS = 16 };

typedef struct block {
    uint32_t within[EXACT_BLOCK];        /* of the part */
    uint32_t rows[EXACT_BLOCK];
    float scores[EXACT_BLOCK];
    float decoded[DECODED_BYTES / sizeof(float)];
} block_t;

static size_t s_count_range(const exact_t *self, const index_ask_t *ask, const float *scores,
                            size_t n)
{
    bool descends = simd_kernel_descends(self->kernel);
    size_t found = 0;
    for (size_t i = 0; i < n; i++)
        found += descends ? scores[i] > ask->radius && scores[i] <= ask->inner
                          : scores[i] < ask->radius && scores[i] >= ask->inner;
    return found;
}

static void s_score_decoded(const exact_t *self, const exact_query_t *query,
                            const uint32_t *places, size_t n, block_t *b)
{
    size_t most = ARRAY_LEN(b->decoded) / self->dim;
    float *one = most ? NULL : mem_new(self->dim * sizeof *one);    /* longer than the block */
    float *into = one ? one : b->decoded;
    most = most ? most : 1;
    for (size_t at = 0, here; at < n; at += here) {
        here = n - at < most ? n - at : most;
        for (size_t i = 0; i < here; i++)
            self->decode(self->arg, places[at + i], into + i * self->dim);
        simd()->ops[self->kernel].scan(query->query, into, here, self->dim, b->scores + at);
    }
    mem_free(one);
    for (size_t i = 0; query->ask->factors && i < n; i++)
        b->scores[i] *= query->factor;
}

/* n places of one part. */
static void s_score(const exact_t *self, const exact_query_t *query, const uint32_t *places,
                    size_t n, block_t *b)
{
    size_t part = places[0] / self->per_part, first = part * self->per_part;
    for (size_t i = 0; i < n; i++)
        b->within[i] = (uint32_t)(places[i] - first);
    simd()->ops[self->kernel].gather(query->query, self->parts[part], b->within, n, self->dim,
                                     b->scores);
    for (size_t i = 0; self->norms && i < n; i++) {
        float norm;
        memcpy(&norm, self->norms + places[i] * self->norm_step, sizeof norm);
        b->scores[i] = b->scores[i] * norm * query->factor;
    }
}

static size_t s_add(const exact_t *self, const exact_query_t *query, const uint32_t *places,
                    size_t n, block_t *b)
{
    if (self->decode)
        s_score_decoded(self, query, places, n, b);
    else
        s_score(self, query, places, n, b);
    for (size_t i = 0; i < n; i++)
        b->rows[i] = self->rows ? self->rows[places[i]] : places[i];
    topk_add_rows(query->best, b->scores, n, query->ask->first, b->rows);
    return query->ask->has_range ? s_count_range(self, query->ask, b->scores, n) : n;
}

size_t exact_rank(const exact_t *self, const exact_query_t *query, const uint32_t *places,
                  size_t n)
{
    block_t b;
    size_t found = 0;
    for (size_t at = 0, end; at < n; at = end) {
        size_t part = self->decode ? 0 : places[at] / self->per_part;
        for (end = at + 1; end < n && end - at < EXACT_BLOCK; end++)
            if (!self->decode && places[end] / self->per_part != part)
                break;
        found += s_add(self, query, places + at, end - at, &b);
    }
    return found;
}

size_t exact_next_kept(const exact_t *self, const bitset_t *keep, size_t *at, uint32_t *ret)
{
    size_t n = 0;
    if (!keep || self->rows) {
        for (; *at < self->n && n < EXACT_BLOCK; ++*at) {
            ret[n] = (uint32_t)*at;
            n += !keep || bitset_has(keep, self->rows[*at]);
        }
        return n;
    }
    for (; *at < self->n && n + 64 <= EXACT_BLOCK; *at = (*at | 63) + 1) {
        uint64_t word = keep->words[*at >> 6] & (~0ull << (*at & 63));
        for (; word; word &= word - 1)
            ret[n++] = (uint32_t)((*at & ~63ull) + (size_t)__builtin_ctzll(word));
    }
    return n;
}

err_t exact_scan(ctx_t *ctx, const exact_t *self, const exact_query_t *query)
{
    uint32_t places[EXACT_BLOCK];
    size_t at = 0, n, blocks = 0;
    while ((n = exact_next_kept(self, query->ask->keep, &at, places))) {
        if (blocks++ % ALIVE_BLOCKS == 0)
            TRY(ctx_alive(ctx));
        (void)exact_rank(self, query, places, n);
    }
    return OK;
}
