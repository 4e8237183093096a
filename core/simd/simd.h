/* simd - distances between vectors, as fast as this processor reads them
 *
 * One table of functions per instruction level (core/simd/cpu.h), chosen once.
 * A kernel is a pair of what the rows are and what is computed:
 *
 *     kernel        a row                    a prepared query    score
 *     F32_L2, _IP   dim float32              dim float32         Σ(q-r)²,  Σqr
 *     F16_L2, _IP   dim float16              dim float32         the same
 *     BF16_L2, _IP  dim bfloat16             dim float32         the same
 *     I8_L2, _IP    dim int8                 dim int16           the same, exact sums
 *     BIN_HAMMING   dim/8 bytes              the same bytes      bits that differ
 *     BIN_JACCARD   dim/8 bytes              the same bytes      1 - |q&r|/|q|r|; both empty: 1
 *
 * COSINE is _IP times the inverse norms, which the caller keeps (`norm2` makes
 * them).  Rows are cells of a column (core/schema/column.h): one after the
 * other, no padding, any alignment; nothing past the last byte is read.
 *
 * A score depends only on the level, the query and the row: pair, scan, gather
 * and tile give the same bits, so a filter or a batch never changes a result.
 * Levels agree within the bound, u = 2^-24, S = the sum of the terms' sizes:
 *
 *     floats    |error| <= (dim/8 + 12) u S      no flushing of small numbers
 *     int8      one rounding of an exact sum; dim up to 32768 cannot overflow
 *     hamming   exact up to 2^24 bits;   jaccard   two roundings
 *
 * Inputs have no NaN (inserts refuse them).  A float32 sum past 3.4e38 is inf
 * for L2 and ±inf or NaN for IP; topk never picks a NaN.
 */
#ifndef CORE_SIMD_SIMD_H
#define CORE_SIMD_SIMD_H

#include "core/base/base.h"
#include "core/simd/cpu.h"

typedef enum simd_kernel {
    SIMD_F32_L2, SIMD_F32_IP, SIMD_F16_L2, SIMD_F16_IP, SIMD_BF16_L2, SIMD_BF16_IP,
    SIMD_I8_L2, SIMD_I8_IP, SIMD_BIN_HAMMING, SIMD_BIN_JACCARD, SIMD_KERNELS
} simd_kernel_t;

enum {
    SIMD_SCREEN_Q = 16,         /* queries that are screened together */
    SIMD_BLOCK_ROWS = 32,       /* rows whose four-bit codes lie together */
    SIMD_GROUP_CODES = 4, SIMD_GROUP_BYTES = 64, SIMD_TABLE_BYTES = 128,    /* of `nibbles` */
};

/* Of one kernel.  query: prepared (simd_prepare).  Any thread, no state. */
typedef struct simd_ops {
    /* One row. */
    float (*pair)(const void *query, const void *row, size_t dim);
    /* n rows in a stretch; ret [n]. */
    void (*scan)(const void *query, const void *rows, size_t n, size_t dim, float *ret);
    /* The rows ids[0..n) of a stretch that begins at rows; ret [n]. */
    void (*gather)(const void *query, const void *rows, const uint32_t *ids, size_t n, size_t dim,
                   float *ret);
    /* Each of n_queries prepared queries, one after the other, against n rows; ret
     * [n_queries][n].  Best when the n rows stay in the first cache levels (16 to 32 KiB). */
    void (*tile)(const void *queries, size_t n_queries, const void *rows, size_t n, size_t dim,
                 float *ret);
    /* Σr² of n rows, the same bits as IP of a row with itself; binary: bits set. */
    void (*norm2)(const void *rows, size_t n, size_t dim, float *ret);
} simd_ops_t;

/* Over quantized vectors, and for making their tables. */
typedef struct simd_codes {
    /* ret[i] += by * x[i];  i < n */
    void (*add_products)(float *ret, const float *x, size_t n, float by);
    /* What a query has with each of n vectors whose cells lie side by side, x [cells][n]:
     * ret[c] = Σ query[i] x[i][c]  or  Σ (query[i] - x[i][c])², in the order of the cells. */
    void (*table_products)(const float *x, size_t n, size_t cells, const float *query, float *ret);
    void (*table_squares)(const float *x, size_t n, size_t cells, const float *query, float *ret);
    /* Scores of rows of a byte a cell, at ids[0..n) of a stretch, or all n when ids is NULL:
     *   l2  Σ (query[i] - step[i] * row[i])²      ip  Σ query[i] * row[i]
     * A row's score has the same bits either way; the bound is that of floats above. */
    void (*bytes_l2)(const float *query, const float *step, const void *rows, const uint32_t *ids,
                     size_t n, size_t dim, float *ret);
    void (*bytes_ip)(const float *query, const void *rows, const uint32_t *ids, size_t n,
                     size_t dim, float *ret);
    /* Sums of table values for SIMD_BLOCK_ROWS rows of codes of four bits, exact integers at
     * every level; bit r of what it returns: the sum of row r is at least `least`.
     *   codes   [groups][2][SIMD_BLOCK_ROWS]: a group is four codes of each row, the first in
     *           the low halves of the first bytes, the second in their high halves, and so on
     *   tables  [groups][4][32]: of the first, third, second and fourth code of a group, each
     *           twice over; the greatest of the four together at most 255, of all 32767
     *   ret     [SIMD_BLOCK_ROWS]; only written when a bit is returned */
    uint32_t (*nibbles)(const uint8_t *tables, const uint8_t *codes, size_t groups,
                        uint16_t least, uint16_t *ret);
} simd_codes_t;

typedef struct simd {
    cpu_level_t level;
    simd_ops_t ops[SIMD_KERNELS];
    /* Places i with scores[i] <= bound (descending: >= bound), rising; returns how many.
     * A NaN is in no place.  ret [n]. */
    size_t (*survivors)(const float *scores, size_t n, float bound, bool descending,
                        uint32_t *ret);
    /* Which of SIMD_SCREEN_Q queries may want which of n float32 rows?  Not those with
     * base[row] + factor[row] * Σ q r > limits[query]; sums in the order of the cells.
     *   queries  [dim][SIMD_SCREEN_Q]: a cell of each side by side
     *   ret      [n * SIMD_SCREEN_Q] row * SIMD_SCREEN_Q + query, rising; returns how many */
    size_t (*screen)(const float *queries, const void *rows, size_t n, size_t dim,
                     const float *base, const float *factor, const float *limits, uint32_t *ret);
    /* To which of n float32 rows is each of SIMD_SCREEN_Q queries nearest, by
     * base[row] + factor * Σ q r, the least; sums as in screen.  Rows are numbered from first.
     *   best, ret_rows  [SIMD_SCREEN_Q] of rows seen before; better ones take their place, so
     *                   of equals the first stays.  NaNs take no place. */
    void (*nearest)(const float *queries, const void *rows, size_t n, size_t dim,
                    const float *base, float factor, uint32_t first, float *best,
                    uint32_t *ret_rows);
    /* scores[i] = (scores[i] * by[i]) * by_all */
    void (*scale)(float *scores, size_t n, const float *by, float by_all);
    /* Whole arrays; halves as raw 16-bit cells of any alignment.  To the nearest, ties to
     * even; too big becomes inf. */
    void (*f32_from_f16)(const void *halves, size_t n, float *ret);
    void (*f32_from_bf16)(const void *halves, size_t n, float *ret);
    simd_codes_t codes;
} simd_t;

/* The table in use.  Without simd_setup the first call settles it: ELANUS_SIMD,
 * else the best there is.  Thread: any. */
const simd_t *simd(void);

/* Choose a level by the value of common.simdType (auto, scalar, avx2, avx512); the
 * environment's ELANUS_SIMD goes first; never above what the processor has.  False when
 * the word that counts is none of these: nothing changes.  Call at start, before threads. */
bool simd_setup(const char *type);

/* A certain level's table, NULL where the processor cannot run it: for tests and benches. */
const simd_t *simd_at(cpu_level_t level);

/* --- queries ------------------------------------------------------------------ */

/* Bytes of a row and of a prepared query; dim 1..LIMIT_DIM, for binary in bits and
 * a multiple of 8 up to 8 * LIMIT_DIM. */
size_t simd_row_bytes(simd_kernel_t kernel, size_t dim);
size_t simd_query_bytes(simd_kernel_t kernel, size_t dim);

/* Turn a cell (a row's shape) into a prepared query; ret has simd_query_bytes.  F32 and BIN
 * cells are prepared as they are and may be used in place. */
void simd_prepare(simd_kernel_t kernel, const void *cell, size_t dim, void *ret);

/* "F32_L2" */
const char *simd_kernel_name(simd_kernel_t kernel);

/* True when a greater score is nearer (IP). */
bool simd_kernel_descends(simd_kernel_t kernel);

#endif
