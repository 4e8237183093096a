/* hostinfo - what this process uses and what its machine has
 *
 * Cheap reads of /proc, /sys/fs/cgroup and statvfs, for heartbeats, GetMetrics
 * and /metrics.  Inside a container the memory and the processor time that the
 * cgroup (v1 or v2) allows count as the machine.
 */
#ifndef CORE_BASE_HOSTINFO_H
#define CORE_BASE_HOSTINFO_H

#include "core/base/base.h"

typedef struct hostinfo {
    int32_t cpu_cores;          /* this process may use, at least 1; a cgroup quota rounds up */
    double cpu_percent;         /* of one core, this process, since the call before (which is at
                                   least 100 ms ago; the first call: since the process began) */
    double cpu_seconds;         /* user and system, of this process since it began */
    uint64_t memory_total_bytes;
    uint64_t memory_used_bytes; /* of the machine or container, without what can be reclaimed */
    uint64_t rss_bytes;         /* resident, this process */
    uint64_t virtual_bytes;     /* address space, this process */
    uint64_t disk_total_bytes;  /* of the file system that holds disk_path */
    uint64_t disk_used_bytes;
    uint32_t open_fds, most_fds;
    uint32_t threads;
    int64_t started_ms;         /* wall clock */
} hostinfo_t;

/* Measure now.  disk_path NULL means the working directory.
 * Errors  ERR_IO_FAILED  /proc cannot be read
 * Cost    some 0.1 ms        Thread  any */
err_t must_use hostinfo_read(ctx_t *ctx, const char *disk_path, hostinfo_t *ret);

/* Cores this process may use, at least 1. */
int32_t hostinfo_cores(void);

/* The machine's name, "localhost" when it has none. */
void hostinfo_name(char *ret, size_t room);

/* The address others reach this machine at, in the order Milvus takes it: the
 * first global unicast IPv4 address of an interface that is up; "127.0.0.1" when there is none. */
void hostinfo_ip(char *ret, size_t room);

#endif
