/* rng - xoshiro256** seeded by splitmix64 */
#include "core/base/rng.h"

#include <sys/random.h>

#include "core/base/base.h"

static uint64_t s_splitmix(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

void rng_seed(rng_t *rng, uint64_t seed)
{
    for (int i = 0; i < 4; i++)
        rng->s[i] = s_splitmix(&seed);
}

static uint64_t s_rotl(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

uint64_t rng_u64(rng_t *rng)
{
    uint64_t *s = rng->s;
    uint64_t out = s_rotl(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = s_rotl(s[3], 45);
    return out;
}

uint64_t rng_below(rng_t *rng, uint64_t n)
{
    check(n > 0);
    uint64_t limit = UINT64_MAX - UINT64_MAX % n;
    uint64_t x;
    do
        x = rng_u64(rng);
    while (x >= limit);
    return x % n;
}

double rng_unit(rng_t *rng)
{
    return (double)(rng_u64(rng) >> 11) * 0x1.0p-53;
}

bool rng_chance(rng_t *rng, double p)
{
    return rng_unit(rng) < p;
}

uint64_t rng_from_os(void)
{
    uint64_t value = 0;
    check(getrandom(&value, sizeof value, 0) == sizeof value);
    return value ? value : 1;
}
