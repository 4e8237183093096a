/* bench_door - calls a second through the door, and what floods do to a bystander
 *
 *     build/release/bench/bench_door          prints a table, writes build/bench/door.json
 *
 * Part one: tiny unary calls, 100 under way at once, over one connection.  CPU is the
 * whole process's, so the second thread that answers is in it, and this client, which
 * writes frame by frame and costs more than the door (serve_echo and h2load show that).
 * Part two: one client calls, one call after the other, first alone, then beside each
 * flood as one attacker can send it (it dials again whenever it is thrown out).  p99 is
 * that client's; memory is what the process grew by during the flood.  On a machine with
 * few cores the attacker takes time from the door simply by running.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "tests/support/echo_door.h"
#include "tests/support/h2_client.h"

enum { ROUNDS = 5, CALLS = 8000, AT_ONCE = 100, FLOOD_MS = 1000, SAMPLES = 200000,
       BIG_WINDOW = 0x7fffffff };

typedef struct flood {
    const char *name;
    const char *frame;          /* sent again and again */
    size_t len;
    bool resets;                /* numbered streams: built anew each time */
    bool raw;                   /* no preface before it */
} flood_t;

#define FRAME(name_, bytes_) { .name = name_, .frame = bytes_, .len = sizeof bytes_ - 1 }

static const flood_t s_floods[] = {
    FRAME("PING", "\0\0\10\6\0\0\0\0\0" "12345678"),
    FRAME("SETTINGS", "\0\0\6\4\0\0\0\0\0" "\0\4\0\1\0\0"),
    FRAME("WINDOW_UPDATE", "\0\0\4\10\0\0\0\0\0" "\0\0\0\1"),
    FRAME("unknown", "\0\0\0\167\0\0\0\0\0"),
    { .name = "rapid reset", .resets = true },
    { .name = "connections", .frame = "?", .len = 1, .raw = true },
};

typedef struct attack {
    const flood_t *flood;
    int port;
    _Atomic bool over;
    long dialled;
} attack_t;

static void s_build_resets(buf_t *into, int32_t first)
{
    for (int32_t i = 0; i < 200; i++) {
        uint8_t number[4] = { 0, (uint8_t)((first + 2 * i) >> 16), (uint8_t)((first + 2 * i) >> 8),
                              (uint8_t)(first + 2 * i) };
        buf_add(into, "\0\0\6\1\5", 5);
        buf_add(into, number, 4);
        buf_add(into, "\202\206\204\1\1t", 6);
        buf_add(into, "\0\0\4\3\0", 5);
        buf_add(into, number, 4);
        buf_add(into, "\0\0\0\10", 4);
    }
}

static void s_attack_once(attack_t *attack)
{
    const flood_t *flood = attack->flood;
    owned(h2_client) client = flood->raw ? h2_client_new_raw(attack->port)
                                         : h2_client_new(attack->port, 65535);
    attack->dialled++;
    for (int32_t first = 1; !atomic_load(&attack->over); first += 400) {
        buf_scoped burst = {0};
        if (flood->resets)
            s_build_resets(&burst, first);
        for (int i = 0; i < 1000 && !flood->resets; i++)
            buf_add(&burst, flood->frame, flood->len);
        if (!h2_client_write(client, burst.ptr, burst.len) || flood->raw)
            return;
    }
}

static void *s_attack(void *arg)
{
    attack_t *attack = arg;
    while (!atomic_load(&attack->over))
        s_attack_once(attack);
    return NULL;
}

static int s_by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Calls one after the other for FLOOD_MS; returns how many. */
static size_t s_sample(h2_client_t *client, int64_t *ret_ns)
{
    size_t n = 0;
    int64_t until = clock_mono_ms() + FLOOD_MS;
    while (clock_mono_ms() < until && n < H2_CLIENT_STREAMS - 10) {
        int64_t from = clock_mono_ns();
        h2_reply_t *reply = h2_client_call(client, ECHO_PATH, view_str("bystander"));
        check(reply->grpc_status == GRPC_OK);
        ret_ns[n++] = clock_mono_ns() - from;
    }
    qsort(ret_ns, n, sizeof ret_ns[0], s_by_value);
    return n;
}

static uint64_t s_rss(void)
{
    FILE *from = fopen("/proc/self/statm", "r");
    unsigned long all = 0, resident = 0;
    check(from && fscanf(from, "%lu %lu", &all, &resident) == 2);
    fclose(from);
    return (uint64_t)resident * 4096;
}

static void s_row(buf_t *json, int port, const flood_t *flood)
{
    static int64_t ns[SAMPLES];
    attack_t attack = { .flood = flood, .port = port };
    pthread_t thread;
    owned(h2_client) client = h2_client_new(port, BIG_WINDOW);
    uint64_t rss = s_rss();
    if (flood)
        check(pthread_create(&thread, NULL, s_attack, &attack) == 0);
    size_t n = s_sample(client, ns);
    atomic_store(&attack.over, true);
    if (flood)
        pthread_join(thread, NULL);
    double p50 = (double)ns[n / 2] / 1000, p99 = (double)ns[n * 99 / 100] / 1000;
    double grown = (double)(int64_t)(s_rss() - rss) / (1 << 20);
    const char *name = flood ? flood->name : "alone";
    printf("%-14s %8zu calls  p50 %8.1f us  p99 %8.1f us  memory %+6.1f MiB  dialled %ld\n", name,
           n, p50, p99, grown, attack.dialled);
    buf_addf(json, ",\n  \"%s\": {\"p50_us\": %.1f, \"p99_us\": %.1f, \"grown_mib\": %.1f}", name,
             p50, p99, grown);
}

static double s_cpu_s(void)
{
    struct timespec spent;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &spent);
    return (double)spent.tv_sec + (double)spent.tv_nsec / 1e9;
}

static int s_by_double(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void s_measure_calls(buf_t *json, int port)
{
    double rate[ROUNDS], cpu[ROUNDS];
    for (int round = 0; round < ROUNDS; round++) {
        owned(h2_client) client = h2_client_new(port, BIG_WINDOW);
        int32_t streams[AT_ONCE];
        double cpu_from = s_cpu_s();
        int64_t from = clock_mono_us();
        for (int i = 0; i < CALLS + AT_ONCE; i++) {
            if (i >= AT_ONCE)
                check(h2_client_wait(client, streams[i % AT_ONCE])->grpc_status == GRPC_OK);
            if (i < CALLS)
                streams[i % AT_ONCE] = h2_client_start(client, ECHO_PATH, view_str("hello"));
        }
        rate[round] = CALLS / ((double)(clock_mono_us() - from) / 1e6);
        cpu[round] = (s_cpu_s() - cpu_from) * 1e6 / CALLS;
    }
    qsort(rate, ROUNDS, sizeof rate[0], s_by_double);
    qsort(cpu, ROUNDS, sizeof cpu[0], s_by_double);
    printf("one connection, %d at once: %.0f calls/s, %.1f us CPU a call with its client\n",
           AT_ONCE, rate[ROUNDS / 2], cpu[ROUNDS / 2]);
    buf_addf(json, "{\n  \"calls_per_s\": %.0f, \"cpu_us\": %.1f", rate[ROUNDS / 2],
             cpu[ROUNDS / 2]);
}

int main(void)
{
    log_set_level(LOG_FATAL);
    ctx_t ctx;
    ctx_init(&ctx);
    owned(echo_door) door = NULL;
    if (echo_door_open(&ctx, NULL, true, &door) != OK) {
        fprintf(stderr, "%s\n", ctx.text);
        return 1;
    }
    buf_scoped json = {0};
    s_measure_calls(&json, echo_door_port(door));
    s_row(&json, echo_door_port(door), NULL);
    for (size_t i = 0; i < ARRAY_LEN(s_floods); i++)
        s_row(&json, echo_door_port(door), &s_floods[i]);
    buf_add_str(&json, "\n}\n");
    mkdir("build/bench", 0777);
    FILE *to = fopen("build/bench/door.json", "w");
    if (to) {
        fputs(buf_str(&json), to);
        fclose(to);
    }
    ctx_fini(&ctx);
    return 0;
}
