/* clock - clock_gettime under four names */
#include "core/base/clock.h"

#include <time.h>

static int64_t s_ns(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t clock_mono_ns(void) { return s_ns(CLOCK_MONOTONIC); }
int64_t clock_mono_us(void) { return s_ns(CLOCK_MONOTONIC) / 1000; }
int64_t clock_mono_ms(void) { return s_ns(CLOCK_MONOTONIC) / 1000000; }
int64_t clock_wall_ms(void) { return s_ns(CLOCK_REALTIME) / 1000000; }
int64_t clock_wall_us(void) { return s_ns(CLOCK_REALTIME) / 1000; }

void clock_sleep_ms(int64_t ms)
{
    struct timespec want = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };
    while (nanosleep(&want, &want) != 0)
        continue;
}
