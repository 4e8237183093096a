/* late_store - a store in memory whose puts fail, lose their answers, and arrive late */
#ifndef TESTS_SUPPORT_LATE_STORE_H
#define TESTS_SUPPORT_LATE_STORE_H

#include "core/base/rng.h"
#include "core/store/store.h"

typedef struct late_store late_store_t;

/* rng is borrowed.  At first nothing goes wrong. */
late_store_t *late_store_new(rng_t *rng);
void late_store_destroy(late_store_t **self_p);
store_t *late_store_of(late_store_t *self);

/* Of the puts so many fail: a third does nothing, a third is done all the same, and a third
 * is done by a later late_store_land. */
void late_store_trouble(late_store_t *self, double chance);

/* Some of those on their way arrive now. */
void late_store_land(late_store_t *self);

#endif
