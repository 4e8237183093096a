/* hostinfo - see hostinfo.h
 *
 * The only state is the last processor reading, kept behind a mutex (a leaf)
 * because "since the call before" is a question about the process, whoever asks.
 */
#include "core/base/hostinfo.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/fault.h"

enum { FILE_BYTES = 4096, LEAST_INTERVAL_MS = 100 };

static pthread_mutex_t s_lock = PTHREAD_MUTEX_INITIALIZER;
static struct { int64_t at_ms; double seconds, percent; } s_last;

/* The start of a small file as a string; false when it cannot be read. */
static bool s_slurp(const char *path, char text[FILE_BYTES])
{
    int fd = fault_hit() ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t len = read(fd, text, FILE_BYTES - 1);
    close(fd);
    text[len > 0 ? len : 0] = '\0';
    return len > 0;
}

/* The number behind `name` at the start of a line of a /proc table; 0 when not there. */
static uint64_t s_field(const char *table, const char *name)
{
    size_t len = strlen(name);
    for (const char *line = table; line; line = strchr(line, '\n'), line += line != NULL)
        if (strncmp(line, name, len) == 0)
            return strtoull(line + len, NULL, 10);
    return 0;
}

/* A cgroup file with one number; UINT64_MAX for "max", absent or nonsense. */
static uint64_t s_cgroup_number(const char *path)
{
    char text[FILE_BYTES];
    if (!s_slurp(path, text) || text[0] < '0' || text[0] > '9')
        return UINT64_MAX;
    return strtoull(text, NULL, 10);
}

/* --- processor ------------------------------------------------------------- */

static int32_t s_cgroup_cores(void)
{
    char text[FILE_BYTES];
    long long quota = 0, period = 0;
    if (s_slurp("/sys/fs/cgroup/cpu.max", text)) {
        if (sscanf(text, "%lld %lld", &quota, &period) != 2)
            return INT32_MAX;                   /* "max 100000" */
    } else if (s_slurp("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", text)) {
        quota = atoll(text);
        period = (long long)s_cgroup_number("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
    }
    if (quota <= 0 || period <= 0)
        return INT32_MAX;
    return (int32_t)((quota + period - 1) / period);
}

int32_t hostinfo_cores(void)
{
    cpu_set_t set;
    int32_t cores = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    int32_t quota = s_cgroup_cores();
    cores = cores < quota ? cores : quota;
    return cores > 0 ? cores : 1;
}

static double s_cpu_seconds(void)
{
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
           (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

static double s_cpu_percent(double seconds, int64_t up_ms)
{
    int64_t now = clock_mono_ms();
    pthread_mutex_lock(&s_lock);
    int64_t elapsed = s_last.at_ms ? now - s_last.at_ms : up_ms;
    if (elapsed >= LEAST_INTERVAL_MS) {
        double used = seconds - s_last.seconds;
        s_last.percent = used > 0 ? used * 1e5 / (double)elapsed : 0;
        s_last.at_ms = now;
        s_last.seconds = seconds;
    }
    double percent = s_last.percent;
    pthread_mutex_unlock(&s_lock);
    return percent;
}

/* --- memory and disk ------------------------------------------------------- */

static bool s_machine_memory(hostinfo_t *ret)
{
    char text[FILE_BYTES];
    if (!s_slurp("/proc/meminfo", text))
        return false;
    ret->memory_total_bytes = s_field(text, "MemTotal:") * 1024;
    uint64_t free = s_field(text, "MemAvailable:") * 1024;
    ret->memory_used_bytes = ret->memory_total_bytes > free ? ret->memory_total_bytes - free : 0;
    return ret->memory_total_bytes > 0;
}

/* A container's limit, where there is one below the machine's memory. */
static void s_container_memory(hostinfo_t *ret)
{
    char text[FILE_BYTES];
    bool v2 = true;
    uint64_t limit = s_cgroup_number("/sys/fs/cgroup/memory.max");
    if (limit == UINT64_MAX) {
        v2 = false;
        limit = s_cgroup_number("/sys/fs/cgroup/memory/memory.limit_in_bytes");
    }
    if (limit >= ret->memory_total_bytes)
        return;
    uint64_t used = s_cgroup_number(v2 ? "/sys/fs/cgroup/memory.current"
                                       : "/sys/fs/cgroup/memory/memory.usage_in_bytes");
    uint64_t cache = 0;
    if (s_slurp(v2 ? "/sys/fs/cgroup/memory.stat" : "/sys/fs/cgroup/memory/memory.stat", text))
        cache = s_field(text, v2 ? "inactive_file " : "total_inactive_file ");
    ret->memory_total_bytes = limit;
    ret->memory_used_bytes = used == UINT64_MAX ? 0 : used > cache ? used - cache : 0;
}

static void s_disk(const char *path, hostinfo_t *ret)
{
    struct statvfs fs;
    if (statvfs(path, &fs) != 0)
        return;                                 /* zeros: not known, which is no failure */
    ret->disk_total_bytes = (uint64_t)fs.f_blocks * fs.f_frsize;
    ret->disk_used_bytes = (uint64_t)(fs.f_blocks - fs.f_bfree) * fs.f_frsize;
}

/* --- this process ---------------------------------------------------------- */

/* /proc/self/stat: field 20 threads, 22 start (ticks since boot), 23 virtual bytes, 24 resident
 * pages.  The name in field 2 may hold anything, so counting starts behind its last ')'. */
static bool s_process(hostinfo_t *ret)
{
    char text[FILE_BYTES];
    if (!s_slurp("/proc/self/stat", text))
        return false;
    const char *tail = strrchr(text, ')');
    long threads = 0, pages = 0;
    unsigned long long start = 0, bytes = 0;
    if (!tail || sscanf(tail + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d"
                                  " %*d %*d %ld %*d %llu %llu %ld",
                        &threads, &start, &bytes, &pages) != 4)
        return false;
    ret->threads = (uint32_t)threads;
    ret->virtual_bytes = bytes;
    ret->rss_bytes = (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);

    struct timespec boot;
    clock_gettime(CLOCK_BOOTTIME, &boot);
    int64_t since_boot_ms = (int64_t)boot.tv_sec * 1000 + boot.tv_nsec / 1000000;
    int64_t start_ms = (int64_t)start * 1000 / sysconf(_SC_CLK_TCK);
    int64_t up_ms = since_boot_ms - start_ms;
    ret->started_ms = clock_wall_ms() - up_ms;
    ret->cpu_seconds = s_cpu_seconds();
    ret->cpu_percent = s_cpu_percent(ret->cpu_seconds, up_ms);
    return true;
}

static void s_fds(hostinfo_t *ret)
{
    struct rlimit most;
    if (getrlimit(RLIMIT_NOFILE, &most) == 0)
        ret->most_fds = most.rlim_cur > UINT32_MAX ? UINT32_MAX : (uint32_t)most.rlim_cur;
    DIR *dir = opendir("/proc/self/fd");
    if (!dir)
        return;
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL; )
        ret->open_fds += entry->d_name[0] != '.';
    ret->open_fds -= 1;                         /* the one that opendir holds */
    closedir(dir);
}

err_t hostinfo_read(ctx_t *ctx, const char *disk_path, hostinfo_t *ret)
{
    hostinfo_t info = { .cpu_cores = hostinfo_cores() };
    if (!s_machine_memory(&info) || !s_process(&info))
        return ctx_fail(ctx, ERR_IO_FAILED, "cannot read /proc/meminfo and /proc/self/stat: %s; "
                                            "is /proc mounted?", strerror(errno));
    s_container_memory(&info);
    s_disk(disk_path ? disk_path : ".", &info);
    s_fds(&info);
    *ret = info;
    return OK;
}

void hostinfo_name(char *ret, size_t room)
{
    check(room > 0);
    if (gethostname(ret, room) != 0 || ret[0] == '\0')
        snprintf(ret, room, "localhost");
    ret[room - 1] = '\0';
}

void hostinfo_ip(char *ret, size_t room)
{
    snprintf(ret, room, "127.0.0.1");
    struct ifaddrs *all = NULL;
    if (getifaddrs(&all) != 0)
        return;
    for (const struct ifaddrs *at = all; at; at = at->ifa_next) {
        if (!at->ifa_addr || at->ifa_addr->sa_family != AF_INET || !(at->ifa_flags & IFF_UP))
            continue;
        struct in_addr ip = ((const struct sockaddr_in *)(const void *)at->ifa_addr)->sin_addr;
        uint32_t bits = ntohl(ip.s_addr);
        if (bits >> 24 == 127 || bits >> 16 == 0xa9fe || bits >> 28 >= 0xe)
            continue;                           /* loopback, link-local, multicast */
        inet_ntop(AF_INET, &ip, ret, (socklen_t)room);
        break;
    }
    freeifaddrs(all);
}
