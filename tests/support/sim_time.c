/* sim_time - what the machine tells a program, told by the simulator instead
 *
 * A program that is linked with --wrap for these names (Makefile, SIMWRAP) asks here.  While a
 * node steps or its job runs, the time is the node's own, sleeping costs simulated time only,
 * the machine is always the same, and whoever waits for a lock that another job holds gives way.
 * Everywhere else, and in programs that are not linked so, nothing of this is used.
 */
#include <pthread.h>

#include "core/base/clock.h"
#include "core/base/hostinfo.h"
#include "core/base/rng.h"
#include "tests/support/sim_int.h"

#define REAL __attribute__((weak))
int64_t REAL __real_clock_mono_ms(void);
void REAL __real_clock_sleep_ms(int64_t ms);
uint64_t REAL __real_rng_from_os(void);
err_t REAL __real_hostinfo_read(ctx_t *ctx, const char *disk_path, hostinfo_t *ret);
int REAL __real_pthread_mutex_lock(pthread_mutex_t *lock);

int64_t __wrap_clock_mono_ms(void);
void __wrap_clock_sleep_ms(int64_t ms);
uint64_t __wrap_rng_from_os(void);
err_t __wrap_hostinfo_read(ctx_t *ctx, const char *disk_path, hostinfo_t *ret);
int __wrap_pthread_mutex_lock(pthread_mutex_t *lock);

static bool s_simulated(void)
{
    return sim_current && sim_current->at >= 0;
}

int64_t __wrap_clock_mono_ms(void)
{
    if (!s_simulated())
        return __real_clock_mono_ms();
    const sim_job_t *job = sim_job_here(sim_current);
    return sim_node_now_ms(sim_current, sim_current->at) + (job ? job->slept_ms : 0);
}

void __wrap_clock_sleep_ms(int64_t ms)
{
    sim_job_t *job = sim_current ? sim_job_here(sim_current) : NULL;
    if (!job)
        __real_clock_sleep_ms(ms);
    else if (!sim_job_wait(sim_current, ms * 1000))
        job->slept_ms += ms;    /* for the dead time goes on as fast as they like */
}

uint64_t __wrap_rng_from_os(void)
{
    return sim_current ? rng_u64(&sim_current->rng) : __real_rng_from_os();
}

err_t __wrap_hostinfo_read(ctx_t *ctx, const char *disk_path, hostinfo_t *ret)
{
    if (!s_simulated())
        return __real_hostinfo_read(ctx, disk_path, ret);
    *ret = (hostinfo_t){ .cpu_cores = 2, .memory_total_bytes = (uint64_t)8 << 30,
                         .memory_used_bytes = (uint64_t)1 << 30, .rss_bytes = (uint64_t)1 << 28,
                         .virtual_bytes = (uint64_t)1 << 30, .disk_total_bytes = (uint64_t)1 << 40,
                         .disk_used_bytes = (uint64_t)1 << 30, .open_fds = 10, .most_fds = 1000,
                         .threads = 1 };
    return OK;
}

int __wrap_pthread_mutex_lock(pthread_mutex_t *lock)
{
    while (sim_current && sim_job_here(sim_current)) {
        if (pthread_mutex_trylock(lock) == 0)
            return 0;
        sim_job_give_way(sim_current);
    }
    return __real_pthread_mutex_lock(lock);
}
