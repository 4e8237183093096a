/* brute - blocks of rows, each looked at by all queries while it is cached
 *
 * A block is a multiple of 64 rows, so that it begins on a word of the filter,
 * and about 32 KiB, so that it stays in the nearest caches.  What a filter
 * leaves of a block decides how it is read:
 *
 *     nothing         not at all
 *     under half      the rows that are left, one by one (gather)
 *     more            all of it in a stretch; scores of the others become NaN,
 *                     which no topk picks
 */
#include "core/simd/brute.h"

#include <math.h>

#include "core/base/limits.h"

/* QUERIES: a multiple of every level's TILE_Q. */
enum { WORD = 64, BLOCK_BYTES = 32 << 10, BLOCK_ROWS = 1024, QUERIES = 12, ALIVE_BYTES = 1 << 20 };

typedef struct block {
    const uint8_t *rows;
    size_t begin, n;            /* rows of the whole; its place there is a multiple of 64 */
    size_t n_kept;
    uint32_t kept[BLOCK_ROWS];  /* places in the block, when they are read one by one */
} block_t;

typedef struct work {
    const brute_t *of;
    const simd_t *simd;
    uint32_t first;
    size_t width, query_bytes;
    block_t block;
    float scores[QUERIES * BLOCK_ROWS];
} work_t;

static size_t s_block_rows(size_t width)
{
    size_t rows = BLOCK_BYTES / width / WORD * WORD;
    return rows < WORD ? WORD : rows > BLOCK_ROWS ? BLOCK_ROWS : rows;
}

static uint64_t s_word(const block_t *block, const bitset_t *keep, size_t at)
{
    uint64_t word = keep->words[(block->begin + at) / WORD];
    size_t left = block->n - at;
    return left < WORD ? word & ((1ull << left) - 1) : word;
}

static size_t s_count(const block_t *block, const bitset_t *keep)
{
    size_t count = 0;
    for (size_t at = 0; at < block->n; at += WORD)
        count += (size_t)__builtin_popcountll(s_word(block, keep, at));
    return count;
}

static void s_list(block_t *block, const bitset_t *keep)
{
    size_t n = 0;
    for (size_t at = 0; at < block->n; at += WORD)
        for (uint64_t word = s_word(block, keep, at); word; word &= word - 1)
            block->kept[n++] = (uint32_t)at + (uint32_t)__builtin_ctzll(word);
}

static void s_drop(const block_t *block, const bitset_t *keep, float *scores)
{
    for (size_t at = 0; at < block->n; at += WORD) {
        size_t left = block->n - at;
        uint64_t out = ~s_word(block, keep, at);
        if (left < WORD)
            out &= (1ull << left) - 1;
        for (; out; out &= out - 1)
            scores[at + (size_t)__builtin_ctzll(out)] = NAN;
    }
}

/* The whole block for up to QUERIES queries. */
static void s_stretch(work_t *w, const uint8_t *queries, const float *factors, size_t n_queries,
                      topk_t *const *best)
{
    const brute_t *of = w->of;
    const block_t *block = &w->block;
    const simd_ops_t *ops = &w->simd->ops[of->kernel];
    if (n_queries == 1)
        ops->scan(queries, block->rows, block->n, of->dim, w->scores);
    else
        ops->tile(queries, n_queries, block->rows, block->n, of->dim, w->scores);
    for (size_t q = 0; q < n_queries; q++) {
        float *scores = w->scores + q * block->n;
        if (factors)
            w->simd->scale(scores, block->n, of->scale + block->begin, factors[q]);
        if (block->n_kept < block->n)
            s_drop(block, of->keep, scores);
        topk_add_run(best[q], scores, block->n, w->first + (uint32_t)block->begin);
    }
}

static void s_one_by_one(work_t *w, const uint8_t *query, const float *factor, topk_t *best)
{
    const brute_t *of = w->of;
    const block_t *block = &w->block;
    w->simd->ops[of->kernel].gather(query, block->rows, block->kept, block->n_kept, of->dim,
                                    w->scores);
    if (factor)
        for (size_t i = 0; i < block->n_kept; i++)
            w->scores[i] = w->scores[i] * of->scale[block->begin + block->kept[i]] * *factor;
    topk_add_rows(best, w->scores, block->n_kept, w->first + (uint32_t)block->begin, block->kept);
}

static void s_search_block(work_t *w, const uint8_t *queries, const float *factors,
                           size_t n_queries, topk_t *const *best)
{
    block_t *block = &w->block;
    const bitset_t *keep = w->of->keep;
    block->n_kept = keep ? s_count(block, keep) : block->n;
    if (block->n_kept == 0)
        return;
    bool stretch = 2 * block->n_kept >= block->n;
    if (!stretch)
        s_list(block, keep);
    for (size_t q = 0; q < n_queries; q += stretch ? QUERIES : 1) {
        const uint8_t *query = queries + q * w->query_bytes;
        const float *factor = factors ? factors + q : NULL;
        size_t left = n_queries - q;
        if (stretch)
            s_stretch(w, query, factor, left < QUERIES ? left : QUERIES, best + q);
        else
            s_one_by_one(w, query, factor, best[q]);
    }
}

static err_t s_search(ctx_t *ctx, work_t *w, const uint8_t *queries, const float *factors,
                      size_t n_queries, topk_t *const *best)
{
    const brute_t *of = w->of;
    size_t step = s_block_rows(w->width), read_bytes = 0;
    for (size_t begin = 0; begin < of->n; begin += step) {
        w->block.begin = begin;
        w->block.n = of->n - begin < step ? of->n - begin : step;
        w->block.rows = (const uint8_t *)of->rows + begin * w->width;
        s_search_block(w, queries, factors, n_queries, best);
        read_bytes += w->block.n * w->width * n_queries;
        if (read_bytes >= ALIVE_BYTES) {
            TRY(ctx_alive(ctx));
            read_bytes = 0;
        }
    }
    return OK;
}

err_t brute_search(ctx_t *ctx, const brute_t *of, uint32_t first, const void *queries,
                   const float *factors, size_t n_queries, topk_t *const *best)
{
    check(of->n + first <= LIMIT_BITSET_BITS);
    check(!of->keep || of->keep->n_bits == of->n);
    check((of->scale != NULL) == (factors != NULL));
    work_t *w = mem_try(ctx, sizeof *w);
    if (!w)
        return ctx_fail(ctx, ERR_MEMORY, "no memory for a block of scores");
    w->of = of;
    w->simd = simd();
    w->first = first;
    w->width = simd_row_bytes(of->kernel, of->dim);
    w->query_bytes = simd_query_bytes(of->kernel, of->dim);
    err_t err = s_search(ctx, w, queries, factors, n_queries, best);
    mem_free(w);
    return err;
}
