/* bench_net - what a call between nodes costs beside bare ZeroMQ
 *
 *     build/release/bench/bench_net           prints a table, writes build/bench/net.json
 *
 * Two echo servers, each a process of its own, over TCP loopback: one a bare
 * ROUTER, one a net_t.  This process is the client of both, a bare DEALER and a
 * net_t.  Rounds alternate, so that both see the same machine; the figures are
 * medians over rounds.
 *
 *   round trip   64 bytes, one after the other; a round's figure is its median
 *   pipelined    64 bytes, 256 under way; calls divided by the CPU seconds of both
 *                processes with all their threads (client and server, so a node
 *                that only does one of the two does about twice as many)
 *
 * Exits 1 when the round trip takes more than 1.3 times the bare one, or fewer than
 * 100000 calls are made per second and core.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

#include "core/base/clock.h"
#include "core/net/net.h"

enum { ROUNDS = 9, TRIPS = 1500, CALLS = 40000, WINDOW = 256, BYTES = 64 };

static const double MOST_RATIO = 1.3, LEAST_PER_CORE = 100000;

typedef struct server {
    pid_t pid;
    char endpoint[128];
} server_t;

/* --- servers --- */

static void s_serve_bare(int ready)
{
    void *router = zmq_socket(zmq_ctx_new(), ZMQ_ROUTER);
    char endpoint[128] = {0};
    size_t len = sizeof endpoint;
    check(zmq_bind(router, "tcp://127.0.0.1:*") == 0);
    check(zmq_getsockopt(router, ZMQ_LAST_ENDPOINT, endpoint, &len) == 0);
    check(write(ready, endpoint, sizeof endpoint) == sizeof endpoint);
    for (;;) {
        zmq_msg_t id, body;
        zmq_msg_init(&id);
        zmq_msg_init(&body);
        check(zmq_msg_recv(&id, router, 0) >= 0);
        check(zmq_msg_recv(&body, router, 0) >= 0);
        check(zmq_msg_send(&id, router, ZMQ_SNDMORE) >= 0);
        check(zmq_msg_send(&body, router, 0) >= 0);
    }
}

static net_t *s_open(const char *listen, const char *role)
{
    ctx_t ctx;
    ctx_init(&ctx);
    net_options_t options = { .listen = listen, .cluster = "bench", .role = role, .node_id = 1 };
    net_t *net = NULL;
    if (net_open(&ctx, &options, &net) != OK)
        fprintf(stderr, "%s\n", ctx.text);
    check(net);
    ctx_fini(&ctx);
    return net;
}

static void s_serve_net(int ready)
{
    net_t *net = s_open("tcp://127.0.0.1:*", "server");
    char endpoint[128];
    snprintf(endpoint, sizeof endpoint, "%s", net_endpoint(net));
    check(write(ready, endpoint, sizeof endpoint) == sizeof endpoint);
    for (;;) {
        net_event_t events[64];
        size_t n = net_poll(net, -1, events, ARRAY_LEN(events));
        for (size_t i = 0; i < n; i++) {
            if (events[i].kind == NET_CALL)
                net_reply(net, events[i].from, OK, "", events[i].payload);
            net_free(&events[i]);
        }
    }
}

static server_t s_start(void (*serve)(int ready))
{
    int ready[2];
    server_t server;
    check(pipe(ready) == 0);
    server.pid = fork();
    check(server.pid >= 0);
    if (server.pid == 0)
        serve(ready[1]);
    check(read(ready[0], server.endpoint, sizeof server.endpoint) == sizeof server.endpoint);
    close(ready[0]);
    close(ready[1]);
    return server;
}

static void s_stop(server_t *server)
{
    kill(server->pid, SIGKILL);
    waitpid(server->pid, NULL, 0);
}

/* --- clients --- */

static uint8_t s_payload[BYTES];

static int64_t s_bare_trip(void *dealer)
{
    uint8_t back[BYTES];
    int64_t begin = clock_mono_ns();
    check(zmq_send(dealer, s_payload, BYTES, 0) == BYTES);
    check(zmq_recv(dealer, back, BYTES, 0) == BYTES);
    return clock_mono_ns() - begin;
}

static void s_net_ask(net_t *net, const char *endpoint)
{
    net_call_t call = { .method = 1, .payload = view_of(s_payload, BYTES), .timeout_ms = 10000 };
    uint64_t id;
    check(net_call(net, endpoint, &call, &id) == OK);
}

/* Wait for answers; how many came. */
static size_t s_net_take(net_t *net)
{
    net_event_t events[64];
    size_t replies = 0, n = net_poll(net, -1, events, ARRAY_LEN(events));
    for (size_t i = 0; i < n; i++) {
        if (events[i].kind == NET_REPLY) {
            check(events[i].err == OK && events[i].payload.len == BYTES);
            replies++;
        }
        net_free(&events[i]);
    }
    return replies;
}

static int64_t s_net_trip(net_t *net, const char *endpoint)
{
    int64_t begin = clock_mono_ns();
    s_net_ask(net, endpoint);
    while (s_net_take(net) == 0)
        continue;
    return clock_mono_ns() - begin;
}

static double s_cpu(clockid_t id)
{
    struct timespec used;
    check(clock_gettime(id, &used) == 0);
    return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

static double s_cpu_both(pid_t server)
{
    clockid_t id;
    check(clock_getcpuclockid(server, &id) == 0);
    return s_cpu(CLOCK_PROCESS_CPUTIME_ID) + s_cpu(id);
}

static void s_bare_pipeline(void *dealer)
{
    uint8_t back[BYTES];
    for (int asked = 0, got = 0; got < CALLS; got++) {
        for (; asked < CALLS && asked - got < WINDOW; asked++)
            check(zmq_send(dealer, s_payload, BYTES, 0) == BYTES);
        check(zmq_recv(dealer, back, BYTES, 0) == BYTES);
    }
}

static void s_net_pipeline(net_t *net, const char *endpoint)
{
    for (int asked = 0, got = 0; got < CALLS; got += (int)s_net_take(net))
        for (; asked < CALLS && asked - got < WINDOW; asked++)
            s_net_ask(net, endpoint);
}

/* --- figures --- */

typedef struct figures {
    double trip_us[ROUNDS], per_core[ROUNDS], per_second[ROUNDS];
} figures_t;

static int s_by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double s_median(double *values, size_t n)
{
    qsort(values, n, sizeof *values, s_by_value);
    return values[n / 2];
}

static void s_trips(figures_t *figures, int round, void *dealer, net_t *net, const char *endpoint)
{
    static double took[TRIPS];
    for (int i = 0; i < TRIPS; i++)
        took[i] = (double)(dealer ? s_bare_trip(dealer) : s_net_trip(net, endpoint)) / 1e3;
    figures->trip_us[round] = s_median(took, TRIPS);
}

static void s_pipeline(figures_t *figures, int round, void *dealer, net_t *net,
                       const server_t *server)
{
    double cpu = s_cpu_both(server->pid);
    int64_t begin = clock_mono_ns();
    if (dealer)
        s_bare_pipeline(dealer);
    else
        s_net_pipeline(net, server->endpoint);
    figures->per_second[round] = CALLS / ((double)(clock_mono_ns() - begin) / 1e9);
    figures->per_core[round] = CALLS / (s_cpu_both(server->pid) - cpu);
}

static int s_report(figures_t *bare, figures_t *net)
{
    double bare_us = s_median(bare->trip_us, ROUNDS), net_us = s_median(net->trip_us, ROUNDS);
    double bare_core = s_median(bare->per_core, ROUNDS), net_core = s_median(net->per_core, ROUNDS);
    double bare_all = s_median(bare->per_second, ROUNDS), all = s_median(net->per_second, ROUNDS);
    double ratio = net_us / bare_us;
    bool reached = ratio <= MOST_RATIO && net_core >= LEAST_PER_CORE;
    printf("%-34s %12s %12s %8s\n", "TCP loopback, 64 bytes", "bare ZeroMQ", "net", "ratio");
    printf("%-34s %12.1f %12.1f %8.2f\n", "round trip, us", bare_us, net_us, ratio);
    printf("%-34s %12.0f %12.0f %8.2f\n", "pipelined calls/s per core", bare_core, net_core,
           net_core / bare_core);
    printf("%-34s %12.0f %12.0f %8.2f\n", "pipelined calls/s", bare_all, all, all / bare_all);
    printf("targets: round trip ratio <= %.1f, calls/s per core >= %.0f: %s\n", MOST_RATIO,
           LEAST_PER_CORE, reached ? "reached" : "MISSED");
    mkdir("build", 0755);
    mkdir("build/bench", 0755);
    FILE *file = fopen("build/bench/net.json", "w");
    check(file);
    fprintf(file, "{\"round_trip_us\": %.1f, \"bare_round_trip_us\": %.1f, \"ratio\": %.3f, "
            "\"calls_per_core\": %.0f, \"bare_calls_per_core\": %.0f, \"calls_per_second\": %.0f, "
            "\"reached\": %s}\n", net_us, bare_us, ratio, net_core, bare_core, all,
            reached ? "true" : "false");
    check(fclose(file) == 0);
    return reached ? 0 : 1;
}

int main(void)
{
    server_t bare_server = s_start(s_serve_bare), net_server = s_start(s_serve_net);
    void *context = zmq_ctx_new(), *dealer = zmq_socket(context, ZMQ_DEALER);
    check(zmq_connect(dealer, bare_server.endpoint) == 0);
    net_t *net = s_open(NULL, "client");
    check(net_dial(net, net_server.endpoint, 0) == OK);

    static figures_t bare, ours;
    for (int round = 0; round < ROUNDS; round++) {
        s_trips(&bare, round, dealer, NULL, NULL);
        s_trips(&ours, round, NULL, net, net_server.endpoint);
        s_pipeline(&bare, round, dealer, NULL, &bare_server);
        s_pipeline(&ours, round, NULL, net, &net_server);
    }
    int status = s_report(&bare, &ours);
    net_destroy(&net);
    zmq_close(dealer);
    zmq_ctx_term(context);
    s_stop(&bare_server);
    s_stop(&net_server);
    return status;
}
