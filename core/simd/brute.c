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
 *
 * Once every query of a group has k rows, most rows are too far for all of them.
 * To see that, a score within a known error is enough: |q|² + |r|² - 2qr for L2, -qr
 * for the others, in sums that need no work across lanes (simd's `screen`).  Only what
 * might be near enough is scored by the kernel, so answers have the same bits as
 * without it.  The error of a sum of n products is at most n u Σ|q r|, and
 * Σ|q r| <= (|q|² + |r|²) / 2; SLACK adds what the kernel itself and the norms err.
 */
#include "core/simd/brute.h"

#include <math.h>

#include "core/base/limits.h"

/* QUERIES: a multiple of every level's TILE_Q. */
enum { WORD = 64, BLOCK_BYTES = 32 << 10, BLOCK_ROWS = 1024, QUERIES = 12, ALIVE_BYTES = 1 << 20 };

/* Rows that are screened before the bounds are looked at again; bytes of queries turned. */
enum { SCREEN_ROWS = 64, SLACK = 64, TURNED_BYTES = 16 << 20 };

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

    /* Screening; turned NULL: there is none. */
    float *turned;              /* owned: groups of [dim][SIMD_SCREEN_Q] */
    const float *query_norms;   /* behind turned: |q|² of each */
    float slack;                /* relative */
    float base[BLOCK_ROWS], factor[BLOCK_ROWS];     /* of the block's rows */
    uint32_t may[SCREEN_ROWS * SIMD_SCREEN_Q];
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

/* --- screening ------------------------------------------ */

/* Lay the whole groups of queries out cell by cell.  Few queries, other types: nothing to do. */
static err_t s_turn(ctx_t *ctx, work_t *w, const float *queries, size_t n_queries)
{
    size_t dim = w->of->dim, groups = n_queries / SIMD_SCREEN_Q;
    bool floats = w->of->kernel == SIMD_F32_L2 || w->of->kernel == SIMD_F32_IP;
    size_t n = groups * SIMD_SCREEN_Q;
    if (!floats || groups == 0 || (n * dim + n) * sizeof(float) > TURNED_BYTES)
        return OK;
    w->turned = mem_try(ctx, (n * dim + n) * sizeof(float));
    if (!w->turned)
        return ctx_fail(ctx, ERR_MEMORY, "no memory for %zu queries", n);
    for (size_t q = 0; q < n; q++) {
        float *into = w->turned + q / SIMD_SCREEN_Q * SIMD_SCREEN_Q * dim + q % SIMD_SCREEN_Q;
        for (size_t i = 0; i < dim; i++)
            into[i * SIMD_SCREEN_Q] = queries[q * dim + i];
    }
    w->simd->ops[w->of->kernel].norm2(queries, n, dim, w->turned + n * dim);
    w->query_norms = w->turned + n * dim;
    w->slack = ((float)dim * 1.25f + SLACK) * 0x1p-24f;
    return OK;
}

/* What a row adds to each screened score. */
static void s_screen_base(work_t *w)
{
    const brute_t *of = w->of;
    const block_t *block = &w->block;
    bool l2 = of->kernel == SIMD_F32_L2;
    if (!of->scale)
        w->simd->ops[of->kernel].norm2(block->rows, block->n, of->dim, w->base);
    for (size_t i = 0; i < block->n; i++) {
        w->base[i] = of->scale ? 0 : l2 ? w->base[i] - 2 * w->slack * w->base[i]
                                        : -w->slack * w->base[i];
        w->factor[i] = of->scale ? -of->scale[block->begin + i] : l2 ? -2 : -1;
    }
}

/* Up to where a query's screened score may be good enough; false: it takes any yet. */
static bool s_screen_limit(const work_t *w, size_t q, const float *factors, const topk_t *best,
                           float *ret)
{
    float bound = topk_bound(best), norm = w->query_norms[q], most = norm * w->slack;
    if (bound == (simd_kernel_descends(w->of->kernel) ? -INFINITY : INFINITY))
        return false;
    if (w->of->kernel == SIMD_F32_L2)
        *ret = bound - norm + 2 * most + fabsf(bound) * w->slack;
    else if (factors)
        *ret = -bound / factors[q] + 4 * sqrtf(norm) * w->slack;
    else
        *ret = -bound + most + fabsf(bound) * w->slack;
    *ret += 1e-30f;
    return true;
}

/* Rows [at, at + n) of the block for the group of queries that begins with q; false: not yet. */
static bool s_screen_run(work_t *w, size_t at, size_t n, const uint8_t *queries,
                         const float *factors, size_t q, topk_t *const *best)
{
    const brute_t *of = w->of;
    const block_t *block = &w->block;
    float limits[SIMD_SCREEN_Q];
    for (size_t i = 0; i < SIMD_SCREEN_Q; i++)
        if (!s_screen_limit(w, q + i, factors, best[q + i], &limits[i]))
            return false;
    size_t found = w->simd->screen(w->turned + q * of->dim, block->rows + at * w->width, n,
                                   of->dim, w->base + at, w->factor + at, limits, w->may);
    for (size_t i = 0; i < found; i++) {
        size_t row = at + w->may[i] / SIMD_SCREEN_Q, query = q + w->may[i] % SIMD_SCREEN_Q;
        if (of->keep && !bitset_has(of->keep, block->begin + row))
            continue;
        float score = w->simd->ops[of->kernel].pair(queries + query * w->query_bytes,
                                                    block->rows + row * w->width, of->dim);
        if (factors)
            score = score * of->scale[block->begin + row] * factors[query];
        topk_add(best[query], score, w->first + (uint32_t)(block->begin + row));
    }
    return true;
}

/* As many whole groups of queries as can be screened; returns how many queries that were. */
static size_t s_screen(work_t *w, const uint8_t *queries, const float *factors, size_t n_queries,
                       topk_t *const *best)
{
    size_t q = 0;
    s_screen_base(w);
    for (; q + SIMD_SCREEN_Q <= n_queries; q += SIMD_SCREEN_Q)
        for (size_t at = 0; at < w->block.n; at += SCREEN_ROWS) {
            size_t left = w->block.n - at;
            if (s_screen_run(w, at, left < SCREEN_ROWS ? left : SCREEN_ROWS, queries, factors, q,
                             best))
                continue;
            check(at == 0);                     /* a bound never goes up again */
            return q;
        }
    return q;
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
    size_t done = stretch && w->turned ? s_screen(w, queries, factors, n_queries, best) : 0;
    for (size_t q = done; q < n_queries; q += stretch ? QUERIES : 1) {
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
    err_t err = s_turn(ctx, w, queries, n_queries);
    if (err == OK)
        err = s_search(ctx, w, queries, factors, n_queries, best);
    mem_free(w->turned);
    mem_free(w);
    return err;
}
