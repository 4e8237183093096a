/* cluster_plan - which processes a local cluster has, with which flags */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cluster_int.h"
#include "core/base/rng.h"

enum { PORT_LOW = 10000, PORT_HIGH = 30000, PORT_TRIES = 200 };

int cluster_free_port(void)
{
    for (int i = 0; i < PORT_TRIES; i++) {
        int port = PORT_LOW + (int)(rng_from_os() % (PORT_HIGH - PORT_LOW));
        struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        bool free_now = fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof at) == 0;
        if (fd >= 0)
            close(fd);
        if (free_now)
            return port;
    }
    return 0;
}

/* --- programs ------------------------------------------------------------------ */

static const char *s_in_dir(ctx_t *ctx, const char *dir, size_t len, const char *name)
{
    const char *path = ctx_printf(ctx, "%.*s/%s", (int)len, dir, name);
    return len > 0 && access(path, X_OK) == 0 ? path : NULL;
}

static const char *s_on_path(ctx_t *ctx, const char *name)
{
    const char *at = getenv("PATH"), *found = NULL;
    while (at && *at && !found) {
        size_t len = strcspn(at, ":");
        found = s_in_dir(ctx, at, len, name);
        at += len + (at[len] == ':');
    }
    return found;
}

/* Where `make deps` puts what Debian does not have. */
static const char *s_tool_dir(ctx_t *ctx)
{
    const char *cache = getenv("ELANUS_CACHE"), *base = getenv("XDG_CACHE_HOME");
    const char *home = getenv("HOME");
    if (cache && cache[0])
        return ctx_printf(ctx, "%s/bin", cache);
    if (base && base[0])
        return ctx_printf(ctx, "%s/elanus/bin", base);
    return ctx_printf(ctx, "%s/.cache/elanus/bin", home ? home : "");
}

static const char *s_tool(ctx_t *ctx, const char *name)
{
    const char *dir = s_tool_dir(ctx), *found = s_on_path(ctx, name);
    return found ? found : s_in_dir(ctx, dir, strlen(dir), name);
}

/* --- the stores ------------------------------------------------------------------- */

static process_t *s_push(cluster_t *self, part_t part, const char *name, const vec_t *flags)
{
    process_t *made = process_new(part, name, flags->ptr);
    vec_push(&self->processes, &made);
    return made;
}

static void s_flag(vec_t *flags, const char *text)
{
    vec_push(flags, &text);
}

static void s_flag_pair(vec_t *flags, const char *name, const char *value)
{
    s_flag(flags, name);
    s_flag(flags, value);
}

static err_t s_plan_etcd(ctx_t *ctx, cluster_t *self)
{
    if (self->etcd)
        return OK;
    const char *program = s_tool(ctx, "etcd");
    if (!program)
        return ctx_fail(ctx, ERR_CONFIG, "there is no etcd on PATH or in %s: `make deps` installs "
                        "one, or name a running one with --etcd HOST:PORT", s_tool_dir(ctx));
    ctx_t *memory = &self->memory;
    self->etcd = ctx_printf(memory, "127.0.0.1:%d", cluster_free_port());
    const char *client = ctx_printf(ctx, "http://%s", self->etcd);
    const char *peer = ctx_printf(ctx, "http://127.0.0.1:%d", cluster_free_port());
    vec_scoped flags;
    vec_init(&flags, sizeof(char *));
    s_flag(&flags, program);
    s_flag_pair(&flags, "--name", "n1");
    s_flag_pair(&flags, "--data-dir", ctx_printf(ctx, "%s/etcd", self->dir));
    s_flag_pair(&flags, "--log-level", "warn");
    s_flag_pair(&flags, "--listen-client-urls", client);
    s_flag_pair(&flags, "--advertise-client-urls", client);
    s_flag_pair(&flags, "--listen-peer-urls", peer);
    s_flag_pair(&flags, "--initial-advertise-peer-urls", peer);
    s_flag_pair(&flags, "--initial-cluster", ctx_printf(ctx, "n1=%s", peer));
    s_flag(&flags, NULL);
    s_push(self, PART_ETCD, "etcd", &flags);
    return OK;
}

static void s_minio_flags(ctx_t *ctx, const cluster_t *self, vec_t *flags)
{
    s_flag(flags, "server");
    s_flag_pair(flags, "--address", self->s3);
    s_flag_pair(flags, "--console-address",
                ctx_printf(ctx, "127.0.0.1:%d", cluster_free_port()));
    s_flag(flags, ctx_printf(ctx, "%s/s3", self->dir));
}

/* SeaweedFS listens in many places, and each has to be told where. */
static void s_weed_flags(ctx_t *ctx, const cluster_t *self, vec_t *flags)
{
    static const char *const s_ports[] = {
        "metricsPort", "master.port", "volume.port", "filer.port", "master.port.grpc",
        "volume.port.grpc", "filer.port.grpc", "s3.port.grpc",
    };
    s_flag(flags, "server");
    s_flag(flags, "-s3");
    s_flag(flags, "-ip=127.0.0.1");
    s_flag(flags, "-ip.bind=127.0.0.1");
    s_flag(flags, ctx_printf(ctx, "-dir=%s/s3", self->dir));
    s_flag(flags, ctx_printf(ctx, "-s3.config=%s/s3.json", self->dir));
    s_flag(flags, "-master.telemetry=false");
    s_flag(flags, "-master.volumeSizeLimitMB=256");
    s_flag(flags, "-volume.max=0");
    s_flag(flags, "-volume.preStopSeconds=0");
    s_flag(flags, "-s3.port.iceberg=0");
    s_flag(flags, "-s3.port.lance=0");
    s_flag(flags, ctx_printf(ctx, "-s3.port=%s", strrchr(self->s3, ':') + 1));
    for (size_t i = 0; i < ARRAY_LEN(s_ports); i++)
        s_flag(flags, ctx_printf(ctx, "-%s=%d", s_ports[i], cluster_free_port()));
}

static err_t s_write_file(ctx_t *ctx, const char *path, const char *text)
{
    FILE *out = fopen(path, "we");
    bool good = out && fputs(text, out) >= 0;
    good = (!out || fclose(out) == 0) && good;
    return good ? OK : ctx_fail(ctx, ERR_IO_FAILED, "cannot write %s: %s", path, strerror(errno));
}

static err_t s_plan_s3(ctx_t *ctx, cluster_t *self)
{
    if (self->s3)
        return OK;
    const char *minio = s_tool(ctx, "minio"), *weed = minio ? NULL : s_tool(ctx, "weed");
    if (!minio && !weed)
        return ctx_fail(ctx, ERR_CONFIG, "there is no S3 server (minio or weed) on PATH or in %s: "
                        "`make deps` gets one, or name a running one with --s3 HOST:PORT",
                        s_tool_dir(ctx));
    self->s3 = ctx_printf(&self->memory, "127.0.0.1:%d", cluster_free_port());
    mkdir(ctx_printf(ctx, "%s/s3", self->dir), 0750);
    setenv("MINIO_ROOT_USER", self->s3_key, 1);
    setenv("MINIO_ROOT_PASSWORD", self->s3_secret, 1);
    setenv("MINIO_UPDATE", "off", 1);
    vec_scoped flags;
    vec_init(&flags, sizeof(char *));
    s_flag(&flags, minio ? minio : weed);
    if (minio)
        s_minio_flags(ctx, self, &flags);
    else
        s_weed_flags(ctx, self, &flags);
    s_flag(&flags, NULL);
    s_push(self, PART_S3, "s3", &flags);
    return minio ? OK : s_write_file(ctx, ctx_printf(ctx, "%s/s3.json", self->dir), ctx_printf(ctx,
        "{\"identities\": [{\"name\": \"root\", \"actions\": [\"Admin\", \"Read\", \"Write\", "
        "\"List\", \"Tagging\"], \"credentials\": [{\"accessKey\": \"%s\", \"secretKey\": "
        "\"%s\"}]}]}\n", self->s3_key, self->s3_secret));
}

/* --- the daemons ------------------------------------------------------------------- */

process_t *cluster_add_one(cluster_t *self, part_t part)
{
    ctx_t ctx;
    ctx_init(&ctx);
    int number = ++self->next[part];
    const char *name = ctx_printf(&ctx, "%s-%d", part_name(part), number);
    int port = part == PART_PROXY && self->port > 0 ? self->port + number - 1 : 0;
    int ops_port = part == PART_PROXY && self->ops_port > 0 ? self->ops_port + number - 1 : 0;
    vec_scoped flags;
    vec_init(&flags, sizeof(char *));
    s_flag(&flags, ctx_printf(&ctx, "%s/elanus-%s", self->bin, part_name(part)));
    s_flag_pair(&flags, "--port", ctx_printf(&ctx, "%d", port));
    s_flag_pair(&flags, "--ops-port", ctx_printf(&ctx, "%d", ops_port));
    s_flag_pair(&flags, "--elanus.data.dir", ctx_printf(&ctx, "%s/%s", self->dir, name));
    s_flag_pair(&flags, "--elanus.node.listen", "127.0.0.1");
    s_flag_pair(&flags, "--elanus.ops.address", "127.0.0.1");
    s_flag_pair(&flags, "--elanus.proxy.address", "127.0.0.1");
    s_flag_pair(&flags, "--etcd.endpoints", self->etcd);
    s_flag_pair(&flags, "--etcd.rootPath", self->root);
    s_flag_pair(&flags, "--minio.address", self->s3);
    s_flag_pair(&flags, "--minio.accessKeyID", self->s3_key);
    s_flag_pair(&flags, "--minio.secretAccessKey", self->s3_secret);
    s_flag_pair(&flags, "--minio.bucketName", self->root);
    s_flag(&flags, NULL);
    process_t *made = s_push(self, part, name, &flags);
    ctx_fini(&ctx);
    return made;
}

err_t cluster_plan(ctx_t *ctx, cluster_t *self)
{
    TRY(s_plan_etcd(ctx, self));
    TRY(s_plan_s3(ctx, self));
    for (part_t part = PART_COORD; part < PARTS; part++)
        for (int i = 0; i < self->counts[part]; i++)
            cluster_add_one(self, part);
    return OK;
}

process_t *cluster_find(const cluster_t *self, const char *name)
{
    for (size_t i = 0; i < self->processes.len; i++) {
        process_t *process = *(process_t **)vec_at(&self->processes, i);
        if (strcmp(process->name, name) == 0)
            return process;
    }
    return NULL;
}
