/* simd_conformance - what every table of kernels must do
 *
 * Each kernel against sums in double, all dims 1..300 and a few big ones, at
 * odd addresses that end where the buffer ends (so that asan sees a byte too
 * many); pair, scan, gather and tile with the same bits; norms like a row's
 * product with itself.  Fails the running cmocka test.
 */
#ifndef TESTS_SUPPORT_SIMD_CONFORMANCE_H
#define TESTS_SUPPORT_SIMD_CONFORMANCE_H

#include "core/simd/simd.h"

/* most_dim: leave out bigger ones, for levels that are slow. */
void simd_conformance(const simd_t *level, size_t most_dim);

#endif
