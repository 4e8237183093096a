/* ivf_int - an inverted file between its files
 *
 *     ivf_build.c       vectors ──► clusters ──► lists ──► objects
 *     ivf_coder.c       a row ──► its code, and what a codebook is trained from
 *     ivf_open.c        objects ──► lists, validated
 *     ivf_search.c      queries ──► lists that are near: probing, filters, ranges, batches
 *     ivf_search_rows.c a list ──► scores of its rows, whatever they are kept as
 *     ivf_search_fast.c the same for SCANN: a list ──► few rows that deserve a second look
 *
 * Vectors are kept by the centre they are nearest to: rows of a list lie one after the other, in
 * the order of the segment.  A place is a row's number in that order.  A search looks at the
 * lists of the nprobe nearest centres only.  What types differ in is what is kept of a row:
 *
 *     IVF_FLAT, BIN_IVF_FLAT   the vector
 *     IVF_SQ8   a byte a cell: least[i] + step[i] * byte, the same for all rows
 *     IVF_PQ    the residual, what is left of the vector without its centre, as codes (pq.h)
 *     SCANN     the same with two cells and four bits a code, and the vector, unless the spec is
 *               without_raw.  Codes choose reorder_k rows, which are then scored again
 *
 * Under COSINE a code is of the vector made length 1.  The residual is x - scale[l] * centre[l],
 * where for IP and COSINE, whose centres have length 1, the scale is how long the rows of the
 * list are along it; for L2 it is 1.  So a query's tables (q·residual) are the same for all lists:
 *
 *     q·x     = scale q·centre + Σ tables
 *     |q-x|²  = |q - centre|² + term - 2 Σ tables,    term = |residual|² + 2 centre·residual
 *
 * A score of IVF_SQ8, IVF_PQ and of SCANN without vectors is that of the decoded vector; all
 * others are the kernel's own.
 *
 * Four-bit codes lie in blocks of 32 rows (simd.h: nibbles), in which the table of a query stays
 * in registers; each list begins a block of its own.  Sums are of tables rounded to six bits, so
 * that four fit into a byte: what that loses is little beside what the codes have lost.
 *
 * SCANN for IP and COSINE codes a row so that what is lost along the row itself weighs more than
 * what is lost across it, since the former is what changes the product with queries that are
 * near (Guo et al.): codes are chosen in turn, each given the others.
 *
 * Sections:
 *
 *     CENTROIDS  [nlist] float32 vectors; BIN_IVF_FLAT: bits
 *     OFFSETS    [nlist + 1] u32, rising: list l has the places [offsets[l], offsets[l + 1])
 *     IDS        [indexed] u32: the row of each place
 *     NORMS      [indexed] float32: 1 / |row| of each place; COSINE, where vectors are kept
 *     PARAMS     IVF_PQ, SCANN: u32 m, u32 nbits, u32 1: vectors are kept, u32 0
 *     SCALES     IVF_PQ, SCANN: [nlist] float32;  IVF_SQ8: least [dim], step [dim] float32
 *     CODEBOOK   IVF_PQ, SCANN: of pq.h
 *     TERMS      IVF_PQ, SCANN: [indexed] float32; L2 only
 *     CODES      by place, what the type keeps: vectors, bytes, codes; SCANN: blocks
 *     RAW        SCANN: vectors by place, as the column has them
 *
 * CODES and RAW are in several objects of equally many rows (or blocks), the last one with the
 * rest.
 *
 * Source  Jégou et al. 2011 (pq.h), IV: residuals and their distances; André, Kermarrec & Le
 *         Scouarnec 2017, "Accelerated nearest neighbor search with quick ADC": tables in
 *         registers; Guo et al. 2020, "Accelerating large-scale inference with anisotropic
 *         vector quantization", 3: the weights, and T = 0.2
 */
#ifndef CORE_INDEX_IVF_INT_H
#define CORE_INDEX_IVF_INT_H

#include "core/index/clusters.h"
#include "core/index/index_int.h"
#include "core/index/pq.h"

enum { IVF_NPROBE = 8, IVF_EMPTY = 2, IVF_SCANN_BITS = 4, IVF_SCANN_CELLS = 2, IVF_PQ_BITS = 8,
       IVF_PARAMS_BYTES = 16 };

#define IVF_NOWHERE UINT32_MAX  /* place of a null */

/* What is kept of rows, by place or by block, in several objects. */
typedef struct ivf_parts {
    const uint8_t **at;         /* owned array; [n] */
    size_t n, per;              /* rows or blocks of each but the last */
    size_t width;               /* of one */
} ivf_parts_t;

typedef struct ivf {
    index_t base;
    index_type_t type;
    size_t dim, nlist, n;       /* n: places */
    simd_kernel_t coarse;       /* queries as float32, or bits, against centroids */
    bool l2;
    const uint8_t *centroids;   /* borrowed from the objects, as all of these */
    const uint32_t *offsets, *ids;
    const float *norms;         /* NULL: not COSINE, or no vectors */
    const float *least, *step;  /* IVF_SQ8 */
    const float *scales;        /* IVF_PQ, SCANN */
    const float *terms;         /* the same for L2; else NULL */
    pq_t pq;                    /* the same */
    ivf_parts_t raw;            /* vectors; n = 0: not kept */
    ivf_parts_t codes;          /* IVF_SQ8, IVF_PQ, SCANN */
    uint32_t *places;           /* owned; [rows] where each row is, or IVF_NOWHERE */
    uint32_t *blocks;           /* owned; SCANN: [nlist + 1] the first block of each list */
    float *block_terms;         /* owned; SCANN for L2: [blocks] the least term in it */
    size_t groups;              /* SCANN: of four codes */
} ivf_t;

static inline bool ivf_keeps_raw(const index_spec_t *spec)
{
    return spec->type == INDEX_IVF_FLAT || spec->type == INDEX_BIN_IVF_FLAT ||
           (spec->type == INDEX_SCANN && !spec->without_raw);
}

static inline bool ivf_has_pq(index_type_t type)
{
    return type == INDEX_IVF_PQ || type == INDEX_SCANN;
}

static inline size_t ivf_groups(size_t m)
{
    return (m + SIMD_GROUP_CODES - 1) / SIMD_GROUP_CODES;
}

static inline size_t ivf_block_bytes(size_t m)      /* of 32 rows */
{
    return ivf_groups(m) * SIMD_GROUP_BYTES;
}

/* Where a block has the byte of code s of a row; codes s and s ^ 1 share it, the odd one above. */
static inline size_t ivf_nibble(size_t s, size_t row)
{
    return s / 2 * SIMD_BLOCK_ROWS + row;
}

/* The list that has a place. */
static inline size_t ivf_list_of(const uint32_t *offsets, size_t nlist, size_t place)
{
    size_t low = 0, high = nlist;               /* offsets[low] <= place < offsets[high] */
    while (high - low > 1) {
        size_t middle = (low + high) / 2;
        if (offsets[middle] <= place)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* --- coding --------------------------------------------------------------------------------- */

/* How rows become codes. */
typedef struct ivf_coder {
    index_spec_t spec;
    const clusters_t *clusters; /* borrowed */
    float *scales;              /* owned; [nlist] */
    float *ranges;              /* owned; IVF_SQ8: least, step */
    pq_t pq;
    float weight;               /* SCANN: of what is lost along the row; 0: as across */
    size_t width;               /* of a row's code; SCANN: of m, before it goes to its block */
} ivf_coder_t;

/* fini is needed after failures too. */
err_t must_use ivf_coder_init(ctx_t *ctx, ivf_coder_t *self, const index_spec_t *spec,
                              const clusters_t *clusters);
void ivf_coder_fini(ivf_coder_t *self);

/* Cells as the float32 that are coded: COSINE makes them length 1. */
void ivf_coder_points(const ivf_coder_t *self, const uint8_t *cells, size_t n, float *ret);

/* IVF_SQ8: ranges [2 dim] of no point, with one point more, and put to those of the coder; when all
 * are, these become what codes are made with. */
void ivf_coder_begin_ranges(const ivf_coder_t *self, float *ret);
void ivf_coder_note(const ivf_coder_t *self, const float *point, float *ranges);
void ivf_coder_join_ranges(ivf_coder_t *self, const float *ranges);
void ivf_coder_end_ranges(ivf_coder_t *self);

/* How far each point goes along the centre of its list. */
void ivf_coder_along(const ivf_coder_t *self, const float *points, const uint32_t *lists, size_t n,
                     float *ret);

/* Rows that a codebook is trained from, and training; points are overwritten. */
size_t ivf_coder_sample(const ivf_coder_t *self);
err_t must_use ivf_coder_train(ctx_t *ctx, ivf_coder_t *self, float *points, size_t n,
                               uint64_t seed, const index_how_t *how);

/* Code n points of these lists; points are overwritten.
 *   codes   [n][width]
 *   terms   [n] for L2; NULL: not wanted */
void ivf_coder_encode(const ivf_coder_t *self, float *points, const uint32_t *lists, size_t n,
                      uint8_t *codes, float *terms);

/* --- the calls ------------------------------------------------------------------------------ */

err_t must_use ivf_build(ctx_t *ctx, const index_spec_t *spec, const index_source_t *source,
                         const index_sink_t *sink, const index_how_t *how, index_built_t *ret);
err_t must_use ivf_open(ctx_t *ctx, const index_reader_t *reader, index_t **ret);
void ivf_destroy(index_t *self);
err_t must_use ivf_search(ctx_t *ctx, const index_t *self, const index_ask_t *ask,
                          topk_t *const *best);

#endif
