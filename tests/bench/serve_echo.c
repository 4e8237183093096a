/* serve_echo - the echo door as a program, for h2spec, h2load and real gRPC clients
 *
 *     build/release/bench/serve_echo [PORT] [threaded] [CERT KEY [CA]]
 *
 * Prints "ready PORT" and serves until its standard input ends; then prints
 * the counters that are not zero. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/support/echo_door.h"

static void s_print_stats(door_t *door)
{
    door_stats_t stats;
    door_stats(door, &stats);
#define X(name) if (stats.name) printf("%s %llu\n", #name, (unsigned long long)stats.name);
    DOOR_COUNTERS(X)
#undef X
}

int main(int argc, char **argv)
{
    door_options_t options = { .port = argc > 1 ? atoi(argv[1]) : 0 };
    bool threaded = argc > 2 && strcmp(argv[2], "threaded") == 0;
    char **files = argv + (threaded ? 3 : 2);
    int n_files = argc - (threaded ? 3 : 2);
    if (n_files >= 2) {
        options.tls_mode = n_files > 2 ? DOOR_MUTUAL_TLS : DOOR_TLS;
        options.cert_file = files[0];
        options.key_file = files[1];
        options.ca_file = files[2];
    }
    ctx_t ctx;
    ctx_init(&ctx);
    owned(echo_door) door = NULL;
    if (echo_door_open(&ctx, &options, threaded, &door) != OK) {
        fprintf(stderr, "%s\n", ctx.text);
        return 1;
    }
    printf("ready %d\n", echo_door_port(door));
    fflush(stdout);
    char byte;
    while (read(STDIN_FILENO, &byte, 1) > 0)
        continue;
    s_print_stats(echo_door_inner(door));
    return 0;
}
