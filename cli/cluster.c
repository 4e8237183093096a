/* cluster - `elanus up` and the commands that talk to it; see cluster.h */
#include "cli/cluster.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/cluster_int.h"
#include "core/base/clock.h"
#include "core/node/daemon.h"

enum {
    LOOK_MS = 50,               /* between looks at who has become ready */
    STOP_MS = 10000,            /* a process may take to leave */
    ANSWER_MS = 2000,           /* for a client that asks and does not read */
    CLIENTS_PORT = 19530, OPS_PORT = 9091,
};

/* --- flags -------------------------------------------------------------------------- */

static int s_usage(const char *why, const char *what)
{
    fprintf(stderr, "elanus up: %s %s; elanus up --help tells its flags\n", why, what);
    return EXIT_USAGE;
}

static bool s_count_flag(cluster_t *self, const char *flag, const char *value)
{
    static const struct { const char *flag; part_t part; } s_counts[] = {
        { "--proxies", PART_PROXY }, { "--coords", PART_COORD }, { "--datanodes", PART_DATANODE },
        { "--querynodes", PART_QUERYNODE }, { "--indexnodes", PART_INDEXNODE },
    };
    for (size_t i = 0; i < ARRAY_LEN(s_counts); i++) {
        char *end = NULL;
        long n = strtol(value, &end, 10);
        if (strcmp(flag, s_counts[i].flag) == 0 && *end == '\0' && n >= 0 && n <= 64) {
            self->counts[s_counts[i].part] = (int)n;
            return true;
        }
    }
    return false;
}

static bool s_text_flag(cluster_t *self, const char *flag, const char *value)
{
    const struct { const char *flag; const char **into; } rows[] = {
        { "--dir", &self->dir }, { "--etcd", &self->etcd }, { "--s3", &self->s3 },
        { "--s3-key", &self->s3_key }, { "--s3-secret", &self->s3_secret },
        { "--root", &self->root },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (strcmp(flag, rows[i].flag) == 0) {
            *rows[i].into = value;
            return true;
        }
    }
    return false;
}

static bool s_port_flag(cluster_t *self, const char *flag, const char *value)
{
    char *end = NULL;
    long port = strtol(value, &end, 10);
    int *into = strcmp(flag, "--port") == 0 ? &self->port
              : strcmp(flag, "--ops-port") == 0 ? &self->ops_port : NULL;
    if (!into || *end != '\0' || port < 0 || port > 65000)
        return false;
    *into = (int)port;
    return true;
}

/* OK, or what is wrong with the flags. */
static const char *s_flags(cluster_t *self, int argc, char **argv)
{
    for (int i = 0; i < argc; i += 2) {
        if (i + 1 == argc || !(s_text_flag(self, argv[i], argv[i + 1]) ||
                               s_count_flag(self, argv[i], argv[i + 1]) ||
                               s_port_flag(self, argv[i], argv[i + 1])))
            return argv[i];
    }
    return NULL;
}

/* --- set-up --------------------------------------------------------------------------- */

static err_t s_make_dirs(ctx_t *ctx, cluster_t *self)
{
    if (mkdir(self->dir, 0750) != 0 && errno != EEXIST)
        return ctx_fail(ctx, ERR_DISK, "cannot make %s: %s", self->dir, strerror(errno));
    char path[PATH_MAX];
    if (!realpath(self->dir, path))
        return ctx_fail(ctx, ERR_DISK, "cannot find %s: %s", self->dir, strerror(errno));
    self->dir = ctx_strdup(&self->memory, path);
    mkdir(ctx_printf(ctx, "%s/logs", self->dir), 0750);
    const char *lock = ctx_printf(ctx, "%s/lock", self->dir);
    self->lock_fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (self->lock_fd < 0)
        return ctx_fail(ctx, ERR_DISK, "cannot open %s: %s", lock, strerror(errno));
    if (flock(self->lock_fd, LOCK_EX | LOCK_NB) != 0)
        return ctx_fail(ctx, ERR_LOCKED, "another `elanus up` runs in %s; `elanus down --dir %s` "
                        "ends it", self->dir, self->dir);
    self->control_fd = cluster_socket(self->dir, true);
    if (self->control_fd < 0)
        return ctx_fail(ctx, ERR_DISK, "cannot listen at %s/control: %s", self->dir,
                        strerror(errno));
    return OK;
}

/* The daemons lie beside this program. */
static err_t s_find_bin(ctx_t *ctx, cluster_t *self)
{
    char path[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    if (n <= 0)
        return ctx_fail(ctx, ERR_IO_FAILED, "cannot read /proc/self/exe: %s", strerror(errno));
    path[n] = '\0';
    *strrchr(path, '/') = '\0';
    self->bin = ctx_strdup(&self->memory, path);
    return OK;
}

static void s_take_signals(cluster_t *self)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    self->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* --- running ----------------------------------------------------------------------------- */

static process_t *s_at(const cluster_t *self, size_t i)
{
    return *(process_t **)vec_at(&self->processes, i);
}

static bool s_part_ready(const cluster_t *self, part_t part)
{
    bool ready = true;
    for (size_t i = 0; i < self->processes.len; i++)
        ready = ready && (s_at(self, i)->part != part || s_at(self, i)->was_ready);
    return ready;
}

/* Daemons start once the stores serve; the daemons find one another. */
static err_t s_start_due(ctx_t *ctx, cluster_t *self)
{
    bool stores = s_part_ready(self, PART_ETCD) && s_part_ready(self, PART_S3);
    for (size_t i = 0; i < self->processes.len; i++) {
        process_t *p = s_at(self, i);
        bool due = p->started_ms == 0 && (p->part < PART_COORD || stores);
        if (due)
            TRY(process_start(ctx, self, p));
    }
    return OK;
}

static void s_reap(cluster_t *self)
{
    int status = 0;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0; ) {
        for (size_t i = 0; i < self->processes.len; i++) {
            process_t *p = s_at(self, i);
            if (p->pid != pid)
                continue;
            p->pid = 0;
            p->state = PROCESS_GONE;
            p->status = status;
            ctx_t ctx;
            ctx_init(&ctx);
            if (!self->leaving)
                printf("%s %s; see %s/logs/%s.log\n", p->name, process_word(&ctx, p), self->dir,
                       p->name);
            fflush(stdout);
            ctx_fini(&ctx);
        }
    }
}

static void s_say_ready(cluster_t *self)
{
    const char *sep = "elanus ready grpc=";
    for (size_t i = 0; i < self->processes.len; i++) {
        if (s_at(self, i)->part != PART_PROXY)
            continue;
        printf("%s%s", sep, s_at(self, i)->grpc);
        sep = ",";
    }
    sep = " ops=";
    for (size_t i = 0; i < self->processes.len; i++) {
        if (s_at(self, i)->part != PART_PROXY)
            continue;
        printf("%s%s", sep, s_at(self, i)->ops);
        sep = ",";
    }
    printf(" dir=%s\n", self->dir);
    fflush(stdout);
    self->said_ready = true;
}

/* A process that ends before it ever served ends the start: it says why in its log. */
static err_t s_look(ctx_t *ctx, cluster_t *self)
{
    bool all = true;
    for (size_t i = 0; i < self->processes.len; i++) {
        process_t *p = s_at(self, i);
        process_look(self, p);
        all = all && p->was_ready;
        if (!self->said_ready && p->started_ms && p->state == PROCESS_GONE)
            return ctx_fail(ctx, ERR_SERVICE_NOT_READY, "%s %s before it was ready; see "
                            "%s/logs/%s.log", p->name, process_word(ctx, p), self->dir, p->name);
    }
    if (all && !self->said_ready)
        s_say_ready(self);
    return OK;
}

static void s_serve_one(ctx_t *ctx, cluster_t *self)
{
    int fd = accept4(self->control_fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0)
        return;
    struct timeval patience = { .tv_sec = ANSWER_MS / 1000 };
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    char question[128] = "";
    buf_scoped answer = {0};
    if (read(fd, question, sizeof question - 1) > 0)
        cluster_answer(ctx, self, question, &answer);
    for (size_t at = 0; at < answer.len; ) {
        ssize_t n = write(fd, answer.ptr + at, answer.len - at);
        if (n <= 0)
            break;
        at += (size_t)n;
    }
    close(fd);
}

static void s_read_signals(cluster_t *self)
{
    struct signalfd_siginfo info;
    while (read(self->signal_fd, &info, sizeof info) == sizeof info) {
        if (info.ssi_signo == SIGCHLD)
            s_reap(self);
        else
            self->leaving = true;
    }
}

static err_t s_run(ctx_t *ctx, cluster_t *self)
{
    while (!self->leaving) {
        TRY(s_start_due(ctx, self));
        TRY(s_look(ctx, self));
        struct pollfd fds[] = { { .fd = self->signal_fd, .events = POLLIN },
                                { .fd = self->control_fd, .events = POLLIN } };
        bool waiting = false;
        for (size_t i = 0; i < self->processes.len; i++)
            waiting = waiting || s_at(self, i)->state == PROCESS_STARTING;
        if (poll(fds, 2, waiting || !self->said_ready ? LOOK_MS : -1) < 0 && errno != EINTR)
            return ctx_fail(ctx, ERR_INTERNAL, "poll: %s", strerror(errno));
        s_read_signals(self);
        if (fds[1].revents)
            s_serve_one(ctx, self);
    }
    return OK;
}

/* --- the end ----------------------------------------------------------------------------- */

static void s_end_part(cluster_t *self, part_t part)
{
    int64_t until = clock_mono_ms() + STOP_MS;
    for (size_t i = 0; i < self->processes.len; i++) {
        process_t *p = s_at(self, i);
        if (p->part == part && p->pid) {
            kill(p->pid, SIGCONT);
            kill(p->pid, SIGTERM);
        }
    }
    for (bool any = true; any; ) {
        s_reap(self);
        any = false;
        for (size_t i = 0; i < self->processes.len; i++) {
            process_t *p = s_at(self, i);
            if (p->part != part || !p->pid)
                continue;
            any = true;
            if (clock_mono_ms() > until)
                kill(p->pid, SIGKILL);
        }
        if (any)
            clock_sleep_ms(10);
    }
}

static void s_end(cluster_t *self)
{
    self->leaving = true;
    for (int part = PARTS - 1; part >= 0; part--)
        s_end_part(self, (part_t)part);
    for (size_t i = 0; i < self->processes.len; i++) {
        process_t *p = s_at(self, i);
        process_destroy(&p);
    }
    vec_fini(&self->processes);
    if (self->control_fd >= 0)                  /* else it is another one's */
        unlink(ctx_printf(&self->memory, "%s/control", self->dir));
    const int fds[] = { self->control_fd, self->signal_fd, self->lock_fd };
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        if (fds[i] >= 0)
            close(fds[i]);
    ctx_fini(&self->memory);
}

static err_t s_up(ctx_t *ctx, cluster_t *self)
{
    TRY(s_make_dirs(ctx, self));
    TRY(s_find_bin(ctx, self));
    TRY(cluster_plan(ctx, self));
    s_take_signals(self);
    return s_run(ctx, self);
}

int cluster_up(int argc, char **argv)
{
    cluster_t self = {
        .port = CLIENTS_PORT, .ops_port = -1,
        .s3_key = "minioadmin", .s3_secret = "minioadmin", .root = "elanus",
        .lock_fd = -1, .control_fd = -1, .signal_fd = -1,
    };
    for (part_t part = PART_COORD; part < PARTS; part++)
        self.counts[part] = 1;
    const char *wrong = s_flags(&self, argc, argv);
    if (wrong)
        return s_usage("cannot take", wrong);
    if (!self.dir)
        return s_usage("needs", "--dir DIR");
    if (self.ops_port < 0)      /* who moves the one, for a second cluster, moves both */
        self.ops_port = self.port == CLIENTS_PORT ? OPS_PORT : 0;
    vec_init(&self.processes, sizeof(process_t *));
    ctx_init(&self.memory);
    ctx_t ctx;
    ctx_init(&ctx);
    err_t err = s_up(&ctx, &self);
    if (err != OK)
        fprintf(stderr, "elanus up: %s\n", ctx.text);
    s_end(&self);
    ctx_fini(&ctx);
    return err == OK ? EXIT_SERVED : daemon_exit_code(err);
}
