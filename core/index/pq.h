/* pq - a vector as a few small codes: product quantization
 *
 * A vector is cut into m sub-vectors, and each is replaced by the number of the nearest of 2^nbits
 * centres that were trained for its place.  A query makes a table of what each centre adds to a
 * score, once; then a row's score is m look-ups and additions, whatever dim is:
 *
 *     q·x  ≈  Σ table[s][code[s]]        table[s][c] = q_s·centre[s][c]  or  |q_s - centre[s][c]|²
 *
 * which is the score of the decoded vector, but for rounding.  m need not divide dim: the first
 * dim % m sub-vectors are one cell longer.  A code takes a byte each, two (little-endian) above
 * 8 bits.
 *
 * The codebook, as it lies in files: for each cell of a vector, float32 [2^nbits], the values
 * that the centres of its sub-vector have there.  Cells first, because tables are made along the
 * centres.
 *
 * Source  Jégou, Douze & Schmid 2011, "Product quantization for nearest neighbor search", II-III
 */
#ifndef CORE_INDEX_PQ_H
#define CORE_INDEX_PQ_H

#include "core/index/index.h"

enum {
    PQ_BITS_MOST = 16,
    PQ_TOGETHER = 8,            /* sub-vectors that are trained side by side */
};

typedef struct pq {
    size_t dim, m, nbits, k;    /* k = 2^nbits */
    const float *book;          /* [dim][k]; borrowed, or what `own` is */
    float *own;                 /* owned; NULL: borrowed */
} pq_t;

/* 1 <= m <= dim and 1 <= nbits <= PQ_BITS_MOST. */
bool pq_fits(size_t dim, size_t m, size_t nbits);

/* Where sub-vector s begins; of s = m: dim. */
static inline size_t pq_begin(const pq_t *self, size_t s)
{
    size_t rest = self->dim % self->m;
    return s * (self->dim / self->m) + (s < rest ? s : rest);
}

size_t pq_book_bytes(const pq_t *self);
size_t pq_code_bytes(const pq_t *self);                 /* of a row */
static inline size_t pq_table_cells(const pq_t *self) { return self->m * self->k; }

/* Rows that training makes use of; more are only slower. */
size_t pq_sample(size_t nbits);

/* Train centres from n float32 vectors in a random order; fewer than 2^nbits leave centres unused.
 * The same for any number of threads.  Memory: beside the points, PQ_TOGETHER sub-vectors of each,
 * with 8 bytes more for each of these.
 *   ret     fini is needed after failures too
 * Errors  ERR_MEMORY; ERR_CANCELED, ERR_TIMEOUT */
err_t must_use pq_train(ctx_t *ctx, pq_t *ret, size_t dim, size_t m, size_t nbits,
                        const float *points, size_t n, uint64_t seed, const index_how_t *how);

/* A codebook that was trained before: pq_book_bytes, 4-aligned, borrowed until fini.
 * Errors  ERR_CORRUPT  its length, or a number that is none */
err_t must_use pq_open(ctx_t *ctx, pq_t *ret, size_t dim, size_t m, size_t nbits, view_t book);
void pq_fini(pq_t *self);

/* Codes of n float32 vectors, the nearest centres; of equals the first.  ret [n][code_bytes].
 * Thread: any */
void pq_encode(const pq_t *self, const float *rows, size_t n, uint8_t *ret);

/* The vectors that codes stand for.  ret [n][dim] */
void pq_decode(const pq_t *self, const uint8_t *codes, size_t n, float *ret);

/* Tables of a float32 query.  ret [m][k] */
void pq_tables(const pq_t *self, const float *query, bool ip, float *ret);

/* first + Σ table[s][code[s]] of n rows that lie together, or of rows ids[0..n) of a stretch.
 * Both give the same bits.  ret [n] */
void pq_scan(const pq_t *self, const float *tables, const uint8_t *codes, size_t n, float first,
             float *ret);
void pq_gather(const pq_t *self, const float *tables, const uint8_t *codes, const uint32_t *ids,
               size_t n, float first, float *ret);

#endif
