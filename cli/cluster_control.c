/* cluster_control - the questions that `elanus ps`, `kill` … ask the one that runs the cluster
 *
 * One question a connection: a line "VERB ARGUMENT"; the answer is text until the end
 * of the connection, its first line "ok" or "error: why".
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli/cluster_int.h"
#include "cli/show.h"
#include "core/base/clock.h"

/* A socket's path has 107 bytes; a directory may be deeper, its descriptor's name is not. */
int cluster_socket(const char *dir, bool listening)
{
    int at = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (at < 0)
        return -1;
    struct sockaddr_un name = { .sun_family = AF_UNIX };
    snprintf(name.sun_path, sizeof name.sun_path, "/proc/self/fd/%d/control", at);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listening)
        unlink(name.sun_path);
    bool good = fd >= 0 && (listening
        ? bind(fd, (struct sockaddr *)&name, sizeof name) == 0 && listen(fd, 16) == 0
        : connect(fd, (struct sockaddr *)&name, sizeof name) == 0);
    int why = errno;
    close(at);
    if (good)
        return fd;
    if (fd >= 0)
        close(fd);
    errno = why;
    return -1;
}

/* --- ps --------------------------------------------------------------------------- */

static double s_resident_mb(pid_t pid)
{
    char path[64];
    long pages = 0;
    snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
    FILE *in = fopen(path, "re");
    if (in && fscanf(in, "%*d %ld", &pages) != 1)
        pages = 0;
    if (in)
        fclose(in);
    return (double)pages * (double)sysconf(_SC_PAGESIZE) / (1 << 20);
}

/* The name that pages and logs know it by: numbers are the cluster's there, not this command's. */
static const char *s_node(ctx_t *ctx, const process_t *p)
{
    return p->node[0] ? ctx_printf(ctx, "%s-%s", part_name(p->part), p->node) : "";
}

static void s_ps_row(ctx_t *ctx, const process_t *p, buf_t *into)
{
    const char *pid = "-", *memory = "-", *up = "-", *node = s_node(ctx, p);
    if (p->pid) {
        pid = ctx_printf(ctx, "%d", (int)p->pid);
        memory = ctx_printf(ctx, "%.1f MB", s_resident_mb(p->pid));
        up = ctx_printf(ctx, "%.1f s", (double)(clock_mono_ms() - p->started_ms) / 1000);
    }
    buf_addf(into, "%-14s %-20s %8s %10s %11s  %s%s%s%s%s%s\n", p->name, process_word(ctx, p), pid,
             memory, up, p->grpc[0] ? "grpc=" : "", p->grpc, p->ops[0] ? " ops=" : "", p->ops,
             node[0] ? " node=" : "", node);
}

static void s_ps(ctx_t *ctx, const cluster_t *self, buf_t *into)
{
    buf_addf(into, "ok\n%-14s %-20s %8s %10s %11s  %s\n", "NAME", "STATE", "PID", "MEMORY", "UP",
             "ADDRESSES");
    for (size_t i = 0; i < self->processes.len; i++)
        s_ps_row(ctx, *(process_t **)vec_at(&self->processes, i), into);
}

static json_t *s_ps_item(ctx_t *ctx, const process_t *p)
{
    json_t *item = json_object();
    json_object_set_new(item, "name", json_string(p->name));
    json_object_set_new(item, "state", json_string(process_word(ctx, p)));
    json_object_set_new(item, "pid", p->pid ? json_integer(p->pid) : json_null());
    json_object_set_new(item, "up_ms", p->pid ? json_integer(clock_mono_ms() - p->started_ms)
                                              : json_null());
    json_object_set_new(item, "memory_used", p->pid
        ? json_integer((json_int_t)(s_resident_mb(p->pid) * (1 << 20))) : json_null());
    json_object_set_new(item, "grpc", p->grpc[0] ? json_string(p->grpc) : json_null());
    json_object_set_new(item, "ops", p->ops[0] ? json_string(p->ops) : json_null());
    json_object_set_new(item, "node", p->node[0] ? json_string(s_node(ctx, p)) : json_null());
    return item;
}

static void s_ps_json(ctx_t *ctx, const cluster_t *self, buf_t *into)
{
    json_t *root = json_object(), *items = json_array();
    json_object_set_new(root, "items", items);
    for (size_t i = 0; i < self->processes.len; i++)
        json_array_append_new(items, s_ps_item(ctx, *(process_t **)vec_at(&self->processes, i)));
    buf_add_str(into, "ok\n");
    show_json(root, JSON_COMPACT, into);
    json_decref(root);
}

/* Where proxies tell of the cluster, a line each. */
static void s_ops(const cluster_t *self, buf_t *into)
{
    buf_add_str(into, "ok\n");
    for (size_t i = 0; i < self->processes.len; i++) {
        const process_t *p = *(process_t **)vec_at(&self->processes, i);
        if (p->part == PART_PROXY && p->pid && p->ops[0])
            buf_addf(into, "%s\n", p->ops);
    }
}

/* What every daemon is told of the stores, a line a configuration key. */
static void s_stores(const cluster_t *self, buf_t *into)
{
    buf_addf(into, "ok\n--etcd.endpoints=%s\n--etcd.rootPath=%s\n--minio.address=%s\n"
             "--minio.accessKeyID=%s\n--minio.secretAccessKey=%s\n--minio.bucketName=%s\n",
             self->etcd, self->root, self->s3, self->s3_key, self->s3_secret, self->root);
}

/* --- orders -------------------------------------------------------------------------- */

static void s_signal(cluster_t *self, process_t *p, int number, const char *done, buf_t *into)
{
    (void)self;
    if (!p->pid || kill(p->pid, number) != 0) {
        buf_addf(into, "error: %s does not run\n", p->name);
        return;
    }
    buf_addf(into, "ok\n%s %s (pid %d)\n", p->name, done, (int)p->pid);
}

static void s_pause(cluster_t *self, process_t *p, buf_t *into)
{
    s_signal(self, p, SIGSTOP, "stands still", into);
    if (p->pid)
        p->state = PROCESS_PAUSED;
}

/* What was paused goes on; what is gone is started again. */
static void s_resume(ctx_t *ctx, cluster_t *self, process_t *p, buf_t *into)
{
    if (p->pid) {
        s_signal(self, p, SIGCONT, "goes on", into);
        p->state = p->was_ready ? PROCESS_READY : PROCESS_STARTING;
    } else if (process_start(ctx, self, p) == OK) {
        buf_addf(into, "ok\n%s is started again (pid %d)\n", p->name, (int)p->pid);
    } else {
        buf_addf(into, "error: %s\n", ctx->text);
    }
}

static void s_add(ctx_t *ctx, cluster_t *self, const char *role, buf_t *into)
{
    part_t part;
    if (!part_by_name(role, &part)) {
        buf_addf(into, "error: no role \"%s\": coord, datanode, querynode, indexnode or proxy\n",
                 role);
        return;
    }
    process_t *made = cluster_add_one(self, part);
    if (process_start(ctx, self, made) == OK)
        buf_addf(into, "ok\n%s is starting (pid %d)\n", made->name, (int)made->pid);
    else
        buf_addf(into, "error: %s\n", ctx->text);
}

static void s_no_such(const cluster_t *self, const char *name, buf_t *into)
{
    buf_addf(into, "error: no process \"%s\"; there are", name);
    for (size_t i = 0; i < self->processes.len; i++)
        buf_addf(into, " %s", (*(process_t **)vec_at(&self->processes, i))->name);
    buf_addf(into, "\n");
}

static void s_down(cluster_t *self, buf_t *into)
{
    self->leaving = true;
    buf_addf(into, "ok\nstopping\n");
}

void cluster_answer(ctx_t *ctx, cluster_t *self, const char *question, buf_t *into)
{
    char verb[16] = "", name[64] = "";
    sscanf(question, "%15s %63s", verb, name);
    process_t *p = cluster_find(self, name);
    if (strcmp(verb, "ps") == 0 && strcmp(name, "--json") == 0)
        s_ps_json(ctx, self, into);
    else if (strcmp(verb, "ps") == 0)
        s_ps(ctx, self, into);
    else if (strcmp(verb, "ops") == 0)
        s_ops(self, into);
    else if (strcmp(verb, "stores") == 0)
        s_stores(self, into);
    else if (strcmp(verb, "add") == 0)
        s_add(ctx, self, name, into);
    else if (strcmp(verb, "down") == 0)
        s_down(self, into);
    else if (!p)
        s_no_such(self, name, into);
    else if (strcmp(verb, "kill") == 0)
        s_signal(self, p, SIGKILL, "is killed", into);
    else if (strcmp(verb, "pause") == 0)
        s_pause(self, p, into);
    else if (strcmp(verb, "resume") == 0)
        s_resume(ctx, self, p, into);
    else
        buf_addf(into, "error: no order \"%s\"\n", verb);
}
