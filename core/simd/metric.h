/* metric - Milvus's metrics by name, and which kernel computes them for which vectors */
#ifndef CORE_SIMD_METRIC_H
#define CORE_SIMD_METRIC_H

#include "core/simd/simd.h"

/* The numbers are in index files. */
typedef enum { METRIC_L2, METRIC_IP, METRIC_COSINE, METRIC_HAMMING, METRIC_JACCARD } metric_t;

/* What vectors are made of; sparse ones have no kernel (core/simd/sparse.h).  The numbers are in
 * index files. */
typedef enum { CELL_F32, CELL_F16, CELL_BF16, CELL_I8, CELL_BIN, CELL_SPARSE } cell_t;

/* "L2" …; false: there is no such metric. */
bool metric_parse(const char *name, metric_t *ret);
bool metric_descends(metric_t metric);          /* greater is nearer */
const char *metric_name(metric_t metric);

/* COSINE is the kernel of IP times inverse norms.  False: such vectors have no such metric, or are
 * sparse. */
bool metric_kernel(metric_t metric, cell_t cells, simd_kernel_t *ret);

#endif
