/* health - see health.h */
#include "cli/health.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "core/base/base.h"
#include "core/node/daemon.h"

enum { PATIENCE_S = 4, ANSWER_BYTES = 4096 };

static int s_connect(const char *host, const char *port)
{
    const struct addrinfo want = { .ai_socktype = SOCK_STREAM };
    struct addrinfo *found = NULL;
    if (getaddrinfo(host, port, &want, &found) != 0)
        return -1;
    int fd = -1;
    for (struct addrinfo *at = found; at && fd < 0; at = at->ai_next) {
        fd = socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC, at->ai_protocol);
        const struct timeval patience = { .tv_sec = PATIENCE_S };
        if (fd >= 0) {
            setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
            setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
        }
        if (fd >= 0 && connect(fd, at->ai_addr, at->ai_addrlen) != 0) {
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(found);
    return fd;
}

/* The whole answer, as text. */
static bool s_ask(int fd, const char *host, char answer[ANSWER_BYTES + 1])
{
    size_t len = 0;
    dprintf(fd, "GET /healthz HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", host);
    for (ssize_t n = 1; n > 0 && len < ANSWER_BYTES; len += n > 0 ? (size_t)n : 0)
        n = read(fd, answer + len, ANSWER_BYTES - len);
    answer[len] = '\0';
    return strncmp(answer, "HTTP/1.1 ", 9) == 0;
}

int health_main(int argc, char **argv)
{
    const char *address = argc > 0 ? argv[0] : "127.0.0.1:9091";
    const char *colon = strrchr(address, ':');
    if (argc > 1 || !colon || address[0] == '-') {
        fprintf(stderr, "elanus health - is the daemon behind this ops port well?\n\n"
                "  elanus health [HOST:PORT]      127.0.0.1:9091 when none is given\n");
        return EXIT_USAGE;
    }
    char host[256], answer[ANSWER_BYTES + 1];
    snprintf(host, sizeof host, "%.*s", (int)(colon - address), address);
    int fd = s_connect(host, colon + 1);
    bool answered = fd >= 0 && s_ask(fd, host, answer);
    if (fd >= 0)
        close(fd);
    if (!answered) {
        fprintf(stderr, "elanus health: nothing answers at %s; is the daemon up, and is this its "
                "elanus.ops.port?\n", address);
        return EXIT_NETWORK;
    }
    const char *body = strstr(answer, "\r\n\r\n");
    puts(body ? body + 4 : answer);
    return strncmp(answer + 9, "200", 3) == 0 ? EXIT_SERVED : EXIT_BUG;
}
