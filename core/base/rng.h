/* rng - random numbers one can replay (xoshiro256**, Blackman & Vigna) */
#ifndef CORE_BASE_RNG_H
#define CORE_BASE_RNG_H

#include <stdbool.h>
#include <stdint.h>

typedef struct rng { uint64_t s[4]; } rng_t;

void     rng_seed(rng_t *rng, uint64_t seed);   /* any seed, 0 too */
uint64_t rng_u64(rng_t *rng);
uint64_t rng_below(rng_t *rng, uint64_t n);     /* 0..n-1, unbiased; n > 0 */
double   rng_unit(rng_t *rng);                  /* [0, 1) */
bool     rng_chance(rng_t *rng, double p);

/* From the kernel, for seeds and incarnations; never in node logic or tests. */
uint64_t rng_from_os(void);

#endif
