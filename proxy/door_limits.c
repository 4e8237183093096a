/* door_limits - what one stranger may take
 *
 * Defaults are in core/base/limits.h.  An IPv6 client is its /64: whoever has
 * one address there has 2^64 of them.
 */
#include "core/base/limits.h"

#include <unistd.h>

#include "proxy/door_int.h"

#define DEFAULT(field, value) do { if (opt->field == 0) opt->field = (value); } while (0)

static size_t s_quarter_of_ram(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    return pages > 0 && size > 0 ? (size_t)pages / 4 * (size_t)size : 1u << 30;
}

void door_limits_fill(door_options_t *opt)
{
    DEFAULT(host, "0.0.0.0");
    DEFAULT(message_bytes, LIMIT_REQUEST_BYTES);
    DEFAULT(answer_bytes, LIMIT_RESPONSE_BYTES);
    DEFAULT(conn_bytes, LIMIT_DOOR_CONN_BYTES);
    DEFAULT(total_bytes, s_quarter_of_ram());
    DEFAULT(header_bytes, LIMIT_DOOR_HEADER_BYTES);
    DEFAULT(conns, LIMIT_DOOR_CONNS);
    DEFAULT(conns_per_ip, LIMIT_DOOR_CONNS_PER_IP);
    DEFAULT(streams, LIMIT_DOOR_STREAMS);
    DEFAULT(requests, LIMIT_DOOR_REQUESTS);
    DEFAULT(control_frames, LIMIT_DOOR_CONTROL_FRAMES);
    DEFAULT(reset_burst, LIMIT_DOOR_RESET_BURST);
    DEFAULT(reset_rate, LIMIT_DOOR_RESET_RATE);
    DEFAULT(rate_bytes, LIMIT_DOOR_RATE_BYTES);
    DEFAULT(first_ms, LIMIT_DOOR_FIRST_MS);
    DEFAULT(grace_ms, LIMIT_DOOR_GRACE_MS);
    DEFAULT(stall_ms, LIMIT_DOOR_STALL_MS);
    DEFAULT(ping_idle_ms, LIMIT_DOOR_PING_IDLE_MS);
    DEFAULT(ping_wait_ms, LIMIT_DOOR_PING_WAIT_MS);
    DEFAULT(rest_idle_ms, LIMIT_DOOR_REST_IDLE_MS);
    DEFAULT(rest_ms, LIMIT_DOOR_REST_MS);
    DEFAULT(linger_ms, LIMIT_DOOR_LINGER_MS);
    check(opt->requests <= LIMIT_QUEUE_ITEMS);
}

bool door_limits_enter(door_t *door, const struct in6_addr *ip)
{
    view_t key = view_of(ip, sizeof *ip);
    uintptr_t there = (uintptr_t)map_get(door->ips, key);
    if (there >= door->opt.conns_per_ip)
        return false;
    map_put(door->ips, key, (void *)(there + 1));
    return true;
}

void door_limits_leave(door_t *door, const struct in6_addr *ip)
{
    view_t key = view_of(ip, sizeof *ip);
    uintptr_t there = (uintptr_t)map_get(door->ips, key);
    check(there > 0);
    if (there == 1)
        map_del(door->ips, key);
    else
        map_put(door->ips, key, (void *)(there - 1));
}

/* Only the door's thread writes held_bytes; the atomic is for door_stats. */
bool door_limits_hold(door_t *door, size_t bytes)
{
    uint64_t held = door_load(door, held_bytes);
    if (bytes > door->opt.total_bytes || held > door->opt.total_bytes - bytes)
        return false;
    atomic_store_explicit(&door->count.held_bytes, held + bytes, memory_order_relaxed);
    return true;
}

void door_limits_release(door_t *door, size_t bytes)
{
    uint64_t held = door_load(door, held_bytes);
    check(held >= bytes);
    atomic_store_explicit(&door->count.held_bytes, held - bytes, memory_order_relaxed);
}

bool door_bucket_take(door_bucket_t *bucket, double burst, double rate, int64_t now_ms)
{
    if (bucket->at_ms == 0)
        bucket->tokens = burst;
    else
        bucket->tokens += (double)(now_ms - bucket->at_ms) * rate / 1000.0;
    bucket->at_ms = now_ms;
    if (bucket->tokens > burst)
        bucket->tokens = burst;
    if (bucket->tokens < 1.0)
        return false;
    bucket->tokens -= 1.0;
    return true;
}
