/* ivf_int - an inverted file between its files
 *
 *     ivf_build.c     vectors ──► clusters ──► lists ──► objects
 *     ivf_open.c      objects ──► lists, validated
 *     ivf_search.c    queries ──► lists that are near ──► rows
 *
 * Vectors are kept by the centre they are nearest to: rows of a list lie one after the other, in
 * the order of the segment.  A place is a row's number in that order.  A search looks at the
 * lists of the nprobe nearest centres only.  Sections:
 *
 *     CENTROIDS  [nlist] float32 vectors; BIN_IVF_FLAT: bits
 *     OFFSETS    [nlist + 1] u32, rising: list l has the places [offsets[l], offsets[l + 1])
 *     IDS        [indexed] u32: the row of each place
 *     NORMS      [indexed] float32: 1 / |row| of each place; COSINE only
 *     CODES      vectors by place, as the column has them; in several objects of equally many,
 *                the last one with the rest
 */
#ifndef CORE_INDEX_IVF_INT_H
#define CORE_INDEX_IVF_INT_H

#include "core/index/index_int.h"

enum { IVF_NPROBE = 8, IVF_EMPTY = 2 };

typedef struct ivf {
    index_t base;
    size_t dim, width;          /* of a vector */
    size_t nlist, n;            /* places */
    simd_kernel_t coarse;       /* queries as float32, or bits, against centroids */
    const uint8_t *centroids;   /* borrowed from the objects, as all of these */
    const uint32_t *offsets, *ids;
    const float *norms;         /* NULL: not COSINE */
    const uint8_t **codes;      /* owned array; [n_codes] */
    size_t n_codes, per_code;   /* places of each but the last */
} ivf_t;

err_t must_use ivf_build(ctx_t *ctx, const index_spec_t *spec, const index_source_t *source,
                         const index_sink_t *sink, const index_how_t *how, index_built_t *ret);
err_t must_use ivf_open(ctx_t *ctx, const index_reader_t *reader, index_t **ret);
void ivf_destroy(index_t *self);
err_t must_use ivf_search(ctx_t *ctx, const index_t *self, const index_ask_t *ask,
                          topk_t *const *best);

#endif
