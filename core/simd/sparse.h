/* sparse - inner products of sparse vectors
 *
 * A cell (core/schema/column.h) is pairs of u32 index and f32 value, little-
 * endian, indexes rising; it may be empty and lie at any address.  Whoever takes
 * cells in has checked them.  Products and sums are in double, in the order of
 * the indexes:
 *
 *     |error| <= 2^-24 |score| + n 2^-52 S     n common indexes, S the sum of the terms' sizes
 *
 * so a score is the same by every path and at every level.  IP is the only
 * metric that Milvus has for them.
 */
#ifndef CORE_SIMD_SPARSE_H
#define CORE_SIMD_SPARSE_H

#include "core/base/base.h"

/* Cost  a step for each pair of both cells */
float sparse_ip(view_t query, view_t row);

/* n rows: row i is the bytes offsets[i] to offsets[i + 1] of cells; ret [n]. */
void sparse_scan(view_t query, const uint8_t *cells, const uint64_t *offsets, size_t n,
                 float *ret);

/* The rows ids[0..n) of the same; ret [n]. */
void sparse_gather(view_t query, const uint8_t *cells, const uint64_t *offsets,
                   const uint32_t *ids, size_t n, float *ret);

#endif
