/* store_conformance - what every store driver must do, as cmocka tests
 *
 * Each case works below a prefix of its own, so a bucket may be used again.
 */
#ifndef TESTS_SUPPORT_STORE_CONFORMANCE_H
#define TESTS_SUPPORT_STORE_CONFORMANCE_H

#include "core/store/store.h"

/* Run all cases as one group, each with a store from open(arg), which is
 * destroyed afterwards.  `base` is a prefix nothing else uses.  own_order: the
 * store may list in another order than that of bytes.  Returns the number of
 * failed cases. */
int store_conformance_run(const char *group, store_t *(*open)(void *arg), void *arg,
                          const char *base, bool own_order);

/* The bytes that follow from the seed. */
view_t store_test_body(ctx_t *ctx, uint64_t seed, size_t len);

#endif
