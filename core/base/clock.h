/* clock - the only file that asks what time it is
 *
 * Timers, deadlines and intervals use the monotonic clock; wall time is for
 * people and for the physical part of timestamps.  Node logic never calls
 * this: it is told the time with each event, so a simulator can lie to it.
 */
#ifndef CORE_BASE_CLOCK_H
#define CORE_BASE_CLOCK_H

#include <stdint.h>

int64_t clock_mono_ms(void);
int64_t clock_mono_us(void);
int64_t clock_mono_ns(void);

/* Since 1970, UTC. */
int64_t clock_wall_ms(void);
int64_t clock_wall_us(void);

/* Let other threads run; for start-up and tools, never for tests or nodes. */
void clock_sleep_ms(int64_t ms);

#endif
