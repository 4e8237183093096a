/* etcd_process - see etcd_process.h */
#include "tests/support/etcd_process.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/rng.h"

enum { MOST_ARGS = 32, READY_MS = 15000 };

struct etcd_process {
    pid_t pid;                  /* 0: not running */
    int port, peer_port;
    char dir[64], endpoint[32], client_url[48], peer_url[48], cluster[80], data[80];
    const char *args[MOST_ARGS];
};

static int s_free_port(void)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    check(bind(fd, (struct sockaddr *)&at, sizeof at) == 0);
    check(getsockname(fd, (struct sockaddr *)&at, &len) == 0);
    close(fd);
    return ntohs(at.sin_port);
}

static bool s_answers(int port)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    bool there = connect(fd, (struct sockaddr *)&at, sizeof at) == 0;
    close(fd);
    return there;
}

void etcd_process_start(etcd_process_t *self)
{
    check(self->pid == 0);
    self->pid = fork();
    if (self->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);       /* a failed test leaves nothing behind */
        int null = open("/dev/null", O_RDWR);
        dup2(null, 1);
        dup2(null, 2);
        execvp("etcd", (char *const *)(uintptr_t)self->args);
        _exit(127);
    }
    int64_t until = clock_mono_ms() + READY_MS;
    while (!s_answers(self->port)) {
        check(clock_mono_ms() < until);
        check(waitpid(self->pid, NULL, WNOHANG) == 0);
        clock_sleep_ms(10);
    }
}

static bool s_have_etcd(void)
{
    return system("command -v etcd >/dev/null 2>&1") == 0;
}

etcd_process_t *etcd_process_new(const char *const *more)
{
    if (!s_have_etcd())
        return NULL;
    etcd_process_t *self = mem_new(sizeof *self);
    snprintf(self->dir, sizeof self->dir, "/tmp/elanus-etcd-XXXXXX");
    check(mkdtemp(self->dir) != NULL);
    self->port = s_free_port();
    self->peer_port = s_free_port();
    snprintf(self->endpoint, sizeof self->endpoint, "127.0.0.1:%d", self->port);
    bool tls = false;
    for (const char *const *at = more; at && *at; at++)
        tls |= strcmp(*at, "--cert-file") == 0;
    snprintf(self->client_url, sizeof self->client_url, "http%s://127.0.0.1:%d", tls ? "s" : "",
             self->port);
    snprintf(self->peer_url, sizeof self->peer_url, "http://127.0.0.1:%d", self->peer_port);
    snprintf(self->cluster, sizeof self->cluster, "default=%s", self->peer_url);
    snprintf(self->data, sizeof self->data, "%s/data", self->dir);
    const char *fixed[] = {
        "etcd", "--data-dir", self->data, "--listen-client-urls", self->client_url,
        "--advertise-client-urls", self->client_url, "--listen-peer-urls", self->peer_url,
        "--initial-advertise-peer-urls", self->peer_url, "--initial-cluster", self->cluster };
    size_t n = ARRAY_LEN(fixed);
    memcpy(self->args, fixed, sizeof fixed);
    for (; more && *more && n + 1 < MOST_ARGS; more++)
        self->args[n++] = *more;
    etcd_process_start(self);
    return self;
}

void etcd_process_kill(etcd_process_t *self)
{
    if (self->pid == 0)
        return;
    kill(self->pid, SIGKILL);
    waitpid(self->pid, NULL, 0);
    self->pid = 0;
}

void etcd_process_destroy(etcd_process_t **self_p)
{
    etcd_process_t *self = *self_p;
    if (!self)
        return;
    etcd_process_kill(self);
    char command[96];
    snprintf(command, sizeof command, "rm -rf %s", self->dir);
    check(system(command) == 0);
    mem_free(self);
    *self_p = NULL;
}

void etcd_process_pause(etcd_process_t *self, bool paused)
{
    kill(self->pid, paused ? SIGSTOP : SIGCONT);
    siginfo_t info;
    if (paused)                 /* it stands still some time after the signal: wait for that */
        waitid(P_PID, (id_t)self->pid, &info, WSTOPPED | WNOWAIT);
}

int etcd_process_port(const etcd_process_t *self)
{
    return self->port;
}

const char *etcd_process_endpoint(const etcd_process_t *self)
{
    return self->endpoint;
}

/* --- opening stores --------------------------------------------------------- */

const char *etcd_new_root(void)
{
    static char root[48];
    snprintf(root, sizeof root, "test-%016llx", (unsigned long long)rng_from_os());
    return root;
}

meta_t *etcd_open_at(const char *endpoints, const char *root)
{
    ctx_t ctx;
    ctx_init(&ctx);
    ctx_limit_ms(&ctx, 10000);
    meta_t *meta = NULL;
    meta_etcd_options_t options = { .endpoints = endpoints, .root = root };
    if (meta_etcd_open(&ctx, &options, &meta) != OK)
        fail_msg("%s", ctx.text);
    ctx_fini(&ctx);
    return meta;
}

err_t etcd_open_error(const meta_etcd_options_t *options, int64_t limit_ms, char text[1024])
{
    ctx_t ctx;
    ctx_init(&ctx);
    ctx_limit_ms(&ctx, limit_ms);
    meta_t *meta = NULL;
    err_t err = meta_etcd_open(&ctx, options, &meta);
    assert_null(meta);
    snprintf(text, 1024, "%s", ctx.text);
    ctx_fini(&ctx);
    return err;
}
