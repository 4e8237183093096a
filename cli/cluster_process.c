/* cluster_process - one process of a local cluster: start it, see whether it serves */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/cluster_int.h"
#include "core/base/clock.h"

static const char *const s_parts[PARTS] = {
    "etcd", "s3", "coord", "datanode", "querynode", "indexnode", "proxy",
};

const char *part_name(part_t part)
{
    return s_parts[part];
}

bool part_by_name(const char *name, part_t *ret)
{
    for (part_t part = PART_COORD; part < PARTS; part++) {
        if (strcmp(s_parts[part], name) == 0) {
            *ret = part;
            return true;
        }
    }
    return false;
}

process_t *process_new(part_t part, const char *name, char *const *flags)
{
    size_t n = 0;
    while (flags[n])
        n++;
    process_t *self = mem_new(sizeof *self);
    *self = (process_t){ .part = part, .state = PROCESS_GONE,
                         .argv = mem_new((n + 1) * sizeof *self->argv) };
    for (size_t i = 0; i < n; i++)
        self->argv[i] = mem_strdup(flags[i]);
    snprintf(self->name, sizeof self->name, "%s", name);
    return self;
}

void process_destroy(process_t **self_p)
{
    process_t *self = *self_p;
    if (!self)
        return;
    for (size_t i = 0; self->argv[i]; i++)
        mem_free(self->argv[i]);
    mem_free(self->argv);
    mem_free(self);
    *self_p = NULL;
}

/* In the child: output to the log, no signal blocked, death with the parent. */
static _Noreturn void s_become(const process_t *self, int log, pid_t parent)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setpgid(0, 0);                              /* ctrl-C is for the parent alone */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int nothing = open("/dev/null", O_RDONLY);
    bool ready = nothing >= 0 && dup2(nothing, 0) >= 0 && dup2(log, 1) >= 0 && dup2(log, 2) >= 0;
    if (ready && getppid() == parent)
        execv(self->argv[0], self->argv);
    dprintf(log, "cannot start %s: %s\n", self->argv[0], strerror(errno));
    _exit(127);
}

err_t process_start(ctx_t *ctx, const cluster_t *cluster, process_t *self)
{
    const char *path = ctx_printf(ctx, "%s/logs/%s.log", cluster->dir, self->name);
    int log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    if (log < 0)
        return ctx_fail(ctx, ERR_IO_FAILED, "cannot open %s: %s", path, strerror(errno));
    off_t from = lseek(log, 0, SEEK_END);
    pid_t parent = getpid(), pid = fork();
    if (pid == 0)
        s_become(self, log, parent);
    close(log);
    if (pid < 0)
        return ctx_fail(ctx, ERR_IO_FAILED, "cannot start %s: %s", self->name, strerror(errno));
    self->pid = pid;
    self->state = PROCESS_STARTING;
    self->was_ready = false;
    self->log_from = (long)from;
    self->started_ms = clock_mono_ms();
    return OK;
}

/* Does somebody listen at HOST:PORT of this machine? */
static bool s_listens(const char *address)
{
    const char *colon = strrchr(address, ':');
    long port = colon ? strtol(colon + 1, NULL, 10) : 0;
    struct sockaddr_in to = { .sin_family = AF_INET,
                              .sin_port = htons((uint16_t)port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool yes = fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0;
    if (fd >= 0)
        close(fd);
    return yes;
}

/* The word behind "key=" of a line, "" when it is not there. */
static void s_word(const char *line, const char *key, char *ret, size_t room)
{
    const char *at = strstr(line, key);
    size_t len = at ? strcspn(at + strlen(key), " \n") : 0;
    snprintf(ret, room, "%.*s", (int)len, at ? at + strlen(key) : "");
}

static void s_read_ready_line(const cluster_t *cluster, process_t *self)
{
    char path[4200], line[1024];
    snprintf(path, sizeof path, "%s/logs/%s.log", cluster->dir, self->name);
    FILE *log = fopen(path, "re");
    if (!log)
        return;
    bool there = fseek(log, self->log_from, SEEK_SET) == 0;
    while (there && self->state == PROCESS_STARTING && fgets(line, sizeof line, log)) {
        if (strncmp(line, "elanus", 6) != 0 || !strstr(line, " ready") || !strchr(line, '\n'))
            continue;
        s_word(line, " grpc=", self->grpc, sizeof self->grpc);
        s_word(line, " ops=", self->ops, sizeof self->ops);
        s_word(line, " node=", self->node, sizeof self->node);
        self->state = PROCESS_READY;
    }
    fclose(log);
}

void process_look(const cluster_t *cluster, process_t *self)
{
    if (self->state != PROCESS_STARTING)
        return;
    if (self->part == PART_ETCD && s_listens(cluster->etcd))
        self->state = PROCESS_READY;
    else if (self->part == PART_S3 && s_listens(cluster->s3))
        self->state = PROCESS_READY;
    else if (self->part >= PART_COORD)
        s_read_ready_line(cluster, self);
    self->was_ready |= self->state == PROCESS_READY;
}

const char *process_word(ctx_t *ctx, const process_t *self)
{
    switch (self->state) {
    case PROCESS_STARTING: return "starting";
    case PROCESS_READY:    return "ready";
    case PROCESS_PAUSED:   return "paused";
    case PROCESS_GONE:     break;
    }
    if (self->started_ms == 0)
        return "not started";
    if (WIFSIGNALED(self->status))
        return ctx_printf(ctx, "killed by signal %d", WTERMSIG(self->status));
    return ctx_printf(ctx, "exited with %d", WEXITSTATUS(self->status));
}
