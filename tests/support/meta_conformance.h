/* meta_conformance - what every driver of meta must do, as one suite
 *
 * Each test opens a store of its own through the suite's `open`, so a driver's
 * test program only says how to do that and how time passes for leases.
 */
#ifndef TESTS_SUPPORT_META_CONFORMANCE_H
#define TESTS_SUPPORT_META_CONFORMANCE_H

#include "core/meta/meta.h"

typedef struct meta_suite {
    const char *name;
    meta_t *(*open)(void *arg);                 /* an empty store; the suite destroys it */
    void (*pass_ms)(void *arg, int64_t ms);     /* let this much time pass */
    void *arg;
    int64_t ttl_ms;             /* a lease that ends soon, but not between two calls */
} meta_suite_t;

/* cmocka's number of failed tests. */
int meta_conformance_run(const meta_suite_t *suite);

#endif
