/* daemon - see daemon.h */
#include "core/node/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/hostinfo.h"
#include "core/base/metrics.h"
#include "core/node/identity.h"
#include "core/simd/simd.h"

enum {
    READY_MS = 30000,           /* a cluster that forms may take its time */
    STOP_MS = 10000,
    MOST_SEATS = 8,
};

struct daemon {
    const daemon_plan_t *plan;
    config_t *config;
    char host_name[128], ip[64];
    uint64_t incarnation;
    int64_t started_ms;
    meta_t *meta;
    store_t *store;
    pool_t *io, *compute;
    ops_t *ops;
    host_t *hosts[MOST_SEATS];
    _Atomic int n_hosts;        /* the ops thread looks too */
    bool opened[MOST_SEATS];
    void *slot;
    metrics_t *metrics;
    ctx_t memory;               /* lives as long as the process's nodes */
};

/* A figure of a node as a gauge or counter of the process. */
typedef struct {
    host_t *host;
    size_t at;
} gauge_t;

const config_t *daemon_config(const daemon_t *self) { return self->config; }
store_t *daemon_store(const daemon_t *self)         { return self->store; }
ops_t *daemon_ops(const daemon_t *self)             { return self->ops; }
ctx_t *daemon_memory(daemon_t *self)                { return &self->memory; }
void **daemon_slot(daemon_t *self)                  { return &self->slot; }

int daemon_exit_code(err_t err)
{
    /* A list, not a switch over every error there is: what is not here is a bug. */
    static const struct { err_t err; exit_code_t code; } s_codes[] = {
        { ERR_CONFIG, EXIT_USAGE }, { ERR_VERSION, EXIT_USAGE }, { ERR_NETWORK, EXIT_NETWORK },
        { ERR_META, EXIT_META }, { ERR_OUTCOME_UNKNOWN, EXIT_META }, { ERR_STORE, EXIT_STORE },
        { ERR_LOCKED, EXIT_LOCKED }, { ERR_DISK, EXIT_DISK }, { ERR_DISK_FULL, EXIT_DISK },
        { ERR_CORRUPT, EXIT_CORRUPT },
    };
    for (size_t i = 0; i < ARRAY_LEN(s_codes); i++)
        if (s_codes[i].err == err)
            return s_codes[i].code;
    return EXIT_BUG;
}

/* --- stores ------------------------------------------------------------------------ */

static const char *s_or_null(const char *text)
{
    return text && text[0] ? text : NULL;
}

static err_t s_make_dir(ctx_t *ctx, const char *dir)
{
    if (mkdir(dir, 0750) == 0 || errno == EEXIST)
        return OK;
    err_t err = errno == ENOSPC ? ERR_DISK_FULL : ERR_DISK;
    return ctx_fail(ctx, err, "cannot make the directory %s: %s; check elanus.data.dir (--data)",
                    dir, strerror(errno));
}

static const char *s_below_data(ctx_t *ctx, const daemon_t *self, const char *name)
{
    return ctx_printf(ctx, "%s/%s", config_str(self->config, "elanus.data.dir"), name);
}

static err_t s_open_lmdb(ctx_t *ctx, daemon_t *self)
{
    TRY(s_make_dir(ctx, config_str(self->config, "elanus.data.dir")));
    const char *dir = s_below_data(ctx, self, "meta");
    TRY(s_make_dir(ctx, dir));
    return meta_lmdb_open(ctx, dir, &self->meta);
}

err_t daemon_open_etcd(ctx_t *ctx, const config_t *config, meta_t **ret)
{
    buf_scoped endpoints = {0};
    for (size_t i = 0; i < config_list_len(config, "etcd.endpoints"); i++)
        buf_addf(&endpoints, "%s%s", i ? "," : "", config_list_at(config, "etcd.endpoints", i));
    bool auth = config_bool(config, "etcd.auth.enabled");
    meta_etcd_options_t options = {
        .endpoints = buf_str(&endpoints), .root = config_str(config, "etcd.rootPath"),
        .user = auth ? config_str(config, "etcd.auth.userName") : NULL,
        .password = auth ? config_str(config, "etcd.auth.password") : NULL,
        .tls = config_bool(config, "etcd.ssl.enabled"),
        .ca_file = s_or_null(config_str(config, "etcd.ssl.tlsCACert")),
        .cert_file = s_or_null(config_str(config, "etcd.ssl.tlsCert")),
        .key_file = s_or_null(config_str(config, "etcd.ssl.tlsKey")),
    };
    ctx_limit_ms(ctx, config_int(config, "etcd.requestTimeout"));
    err_t err = meta_etcd_open(ctx, &options, ret);
    ctx->deadline_ms = INT64_MAX;
    return err;
}

/* Whatever the driver says went wrong, here it means: no metadata store, no daemon. */
static err_t s_as(ctx_t *ctx, err_t err, err_t kind)
{
    if (err == OK || err == ERR_DISK || err == ERR_DISK_FULL || err == ERR_LOCKED ||
        err == ERR_CORRUPT || err == ERR_CONFIG)
        return err;
    ctx->err = kind;
    return kind;
}

static err_t s_open_meta(ctx_t *ctx, daemon_t *self)
{
    const char *type = config_str(self->config, "metastore.type");
    if (strcmp(type, "memory") == 0) {
        self->meta = meta_memory_new(NULL, NULL);
        return OK;
    }
    err_t err = strcmp(type, "lmdb") == 0 ? s_open_lmdb(ctx, self)
                                          : daemon_open_etcd(ctx, self->config, &self->meta);
    return s_as(ctx, err, ERR_META);
}

err_t daemon_open_s3(ctx_t *ctx, const config_t *config, bool make_bucket, store_t **ret)
{
    store_s3_options_t options = {
        .address = config_str(config, "minio.address"),
        .port = (int)config_int(config, "minio.port"),
        .access_key = config_str(config, "minio.accessKeyID"),
        .secret_key = config_str(config, "minio.secretAccessKey"),
        .bucket = config_str(config, "minio.bucketName"),
        .root = config_str(config, "minio.rootPath"),
        .tls = config_bool(config, "minio.useSSL"),
        .ca_file = s_or_null(config_str(config, "minio.ssl.tlsCACert")),
        .create_bucket = make_bucket,
    };
    ctx_limit_ms(ctx, config_int(config, "minio.requestTimeoutMs"));
    err_t err = store_s3_open(ctx, &options, ret);
    ctx->deadline_ms = INT64_MAX;
    return err;
}

static err_t s_open_store(ctx_t *ctx, daemon_t *self)
{
    bool wanted = false;
    for (const seat_t *seat = self->plan->seats; seat->role; seat++)
        wanted |= seat->wants_store;
    if (!wanted)
        return OK;
    const char *type = config_str(self->config, "common.storageType");
    if (strcmp(type, "memory") == 0) {
        self->store = store_memory_new();
        return OK;
    }
    if (strcmp(type, "local") != 0)
        return s_as(ctx, daemon_open_s3(ctx, self->config, true, &self->store), ERR_STORE);
    TRY(s_make_dir(ctx, config_str(self->config, "elanus.data.dir")));
    return s_as(ctx, store_local_open(ctx, s_below_data(ctx, self, "objects"), &self->store),
                ERR_DISK);
}

/* Are metadata and objects of one cluster?  Memory begins anew with each process. */
static err_t s_check_identity(ctx_t *ctx, daemon_t *self)
{
    const config_t *config = self->config;
    const char *type = config_str(config, "metastore.type");
    bool local = strcmp(config_str(config, "common.storageType"), "local") == 0;
    if (strcmp(type, "memory") == 0 || strcmp(config_str(config, "common.storageType"),
                                              "memory") == 0)
        return OK;
    const char *meta_where = strcmp(type, "lmdb") == 0 ? s_below_data(ctx, self, "meta")
        : ctx_printf(ctx, "etcd.rootPath %s", config_str(config, "etcd.rootPath"));
    const char *store_where = local ? s_below_data(ctx, self, "objects")
        : ctx_printf(ctx, "bucket %s, minio.rootPath %s,", config_str(config, "minio.bucketName"),
                     config_str(config, "minio.rootPath"));
    ctx_limit_ms(ctx, config_int(config, "etcd.requestTimeout"));
    err_t err = identity_check_versions(ctx, self->meta);
    if (err == OK)
        err = identity_check(ctx, self->meta, self->store, meta_where, store_where);
    ctx->deadline_ms = INT64_MAX;
    return err == ERR_VERSION || err == ERR_STORE ? err : s_as(ctx, err, ERR_META);
}

/* --- hosts -------------------------------------------------------------------------- */

static void s_left(void *arg)
{
    (void)arg;
    kill(getpid(), SIGTERM);    /* a node that left by itself ends the process */
}

static err_t s_node_id(ctx_t *ctx, daemon_t *self, int at, uint64_t *ret)
{
    int64_t fixed = config_int(self->config, "elanus.node.id");
    if (self->plan->standalone)
        *ret = (uint64_t)at + 1;        /* nobody else is there to have it */
    else if (fixed > 0)
        *ret = (uint64_t)fixed;
    else {
        ctx_limit_ms(ctx, config_int(self->config, "etcd.requestTimeout"));
        err_t err = host_new_id(ctx, self->meta, ret);
        ctx->deadline_ms = INT64_MAX;
        return s_as(ctx, err, ERR_META);
    }
    return OK;
}

typedef struct {
    const daemon_t *self;
    const char *ip;             /* as configured; "": find out */
} advertise_t;

static void s_addresses(ctx_t *ctx, daemon_t *self, const seat_t *seat, host_options_t *options)
{
    if (self->plan->standalone) {
        options->listen = ctx_printf(ctx, "inproc://%llx-%s", (unsigned long long)self->incarnation,
                                     seat->role->name);
        return;
    }
    /* The proxy's port is its clients'; nobody dials it by number, so its own may be any. */
    int port = seat->port_key ? (int)config_int(self->config, seat->port_key) : 0;
    const char *on = config_str(self->config, "elanus.node.listen");
    options->listen = port ? ctx_printf(ctx, "tcp://%s:%d", on, port)
                           : ctx_printf(ctx, "tcp://%s:*", on);
}

/* A node that listens everywhere tells the others one address of this machine. */
static const char *s_advertise(ctx_t *ctx, void *arg, const char *bound)
{
    const advertise_t *how = arg;
    static const char s_any[] = "tcp://0.0.0.0:";
    const char *port = strrchr(bound, ':');
    bool any = strncmp(bound, s_any, sizeof s_any - 1) == 0;
    if (how->self->plan->standalone || !(any || how->ip[0]))
        return bound;
    return ctx_printf(ctx, "tcp://%s%s", how->ip[0] ? how->ip : how->self->ip, port);
}

static const char *s_config_text(const config_t *config, const char *wanted)
{
    const char *key = NULL, *value = NULL;
    for (size_t at = 0; config_next(config, &at, &key, &value); )
        if (strcmp(key, wanted) == 0)
            return value;
    check(!"a key of the table");
    return "";
}

/* What a role tells of its configuration, by Milvus's names (GetMetrics). */
static const char *const *s_settings(daemon_t *self, const char *role)
{
    static const struct { const char *role, *name, *key; } s_told[] = {
        { "querynode", "simd_type", "common.simdType" },
        { "indexnode", "simd_type", "common.simdType" },
        { "indexnode", "minio_bucket_name", "minio.bucketName" },
        { "datanode", "flush_insert_buffer_size", "dataNode.segment.insertBufSize" },
        { "coord", "segment_max_size", "dataCoord.segment.maxSize" },
        { "coord", "min_segment_size_to_enable_index",
          "indexCoord.segment.minSegmentNumRowsToEnableIndex" },
    };
    const char **told = ctx_new(&self->memory, (2 * ARRAY_LEN(s_told) + 1) * sizeof *told);
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(s_told); i++) {
        if (strcmp(s_told[i].role, role) != 0)
            continue;
        told[n++] = s_told[i].name;
        told[n++] = s_config_text(self->config, s_told[i].key);
    }
    return told;
}

static err_t s_open_host(ctx_t *ctx, daemon_t *self, const seat_t *seat)
{
    const config_t *config = self->config;
    net_curve_t curve = {
        .key_file = config_str(config, "elanus.net.curve.keyFile"),
        .allow_dir = config_str(config, "elanus.net.curve.allowDir"),
        .server_key = s_or_null(config_str(config, "elanus.net.curve.serverKey")),
    };
    advertise_t how = { self, seat->ip_key ? config_str(config, seat->ip_key) : "" };
    host_options_t options = {
        .role = seat->role, .meta = self->meta, .io = self->io, .compute = self->compute,
        .left = s_left,
        .curve = curve.key_file[0] && !self->plan->standalone ? &curve : NULL,
        .advertise = s_advertise, .advertise_arg = &how,
        .self = {
            .role = seat->role->name, .cluster = config_str(config, "etcd.rootPath"),
            .host = self->host_name, .version = ELANUS_VERSION,
            .incarnation = rng_from_os(), .started_ms = self->started_ms,
            .lease_ttl_ms = config_int(config, "common.session.ttl"),
            .heartbeat_ms = config_int(config, "elanus.net.heartbeat"),
            .ops_address = ops_address(self->ops), .standalone = self->plan->standalone,
            .metrics = self->metrics, .settings = s_settings(self, seat->role->name),
        },
    };
    TRY(s_node_id(ctx, self, self->n_hosts, &options.self.id));
    s_addresses(ctx, self, seat, &options);
    if (seat->options)
        TRY(seat->options(ctx, self, &options));
    host_t *host = NULL;
    TRY(host_open(ctx, &options, &host));
    host_start(host);
    self->hosts[self->n_hosts++] = host;
    return OK;
}

static err_t s_wait_ready(ctx_t *ctx, daemon_t *self)
{
    int64_t until = clock_mono_ms() + READY_MS;
    for (int i = 0; i < self->n_hosts; i++) {
        if (!host_wait_ready(self->hosts[i], until - clock_mono_ms()))
            return ctx_fail(ctx, ERR_META, "%s-%llu found no leading coordinator in %d s; is an "
                            "elanus-coord running with the same etcd.endpoints and etcd.rootPath?",
                            host_role(self->hosts[i]),
                            (unsigned long long)host_self(self->hosts[i])->id, READY_MS / 1000);
    }
    return OK;
}

/* --- ops ------------------------------------------------------------------------------ */

static size_t s_health(void *arg, ops_component_t *ret, size_t most)
{
    daemon_t *self = arg;
    size_t n = 0;
    for (int i = 0; i < self->n_hosts && n < most; i++)
        ret[n++] = (ops_component_t){ .name = host_role(self->hosts[i]),
                                      .code = host_ready(self->hosts[i]) ? OPS_HEALTHY
                                                                         : OPS_INITIALIZING };
    return n;
}

static hostinfo_t s_host(const daemon_t *self)
{
    hostinfo_t info = {0};
    ctx_t ctx;
    ctx_init(&ctx);
    const char *dir = config_str(self->config, "elanus.data.dir");
    if (hostinfo_read(&ctx, dir, &info) == OK && info.disk_total_bytes == 0)
        (void)!hostinfo_read(&ctx, NULL, &info);    /* nothing was ever written there */
    ctx_fini(&ctx);
    return info;
}

static double s_disk_used(void *arg)    { return (double)s_host(arg).disk_used_bytes; }
static double s_disk_total(void *arg)   { return (double)s_host(arg).disk_total_bytes; }
static double s_memory_used(void *arg)  { return (double)s_host(arg).memory_used_bytes; }
static double s_memory_total(void *arg) { return (double)s_host(arg).memory_total_bytes; }

static double s_figure(void *arg)
{
    const gauge_t *gauge = arg;
    const figure_t *figure = NULL;
    int64_t value = 0;
    check(host_figure(gauge->host, gauge->at, &figure, &value));
    return (double)value;
}

static bool s_is_total(const char *name)
{
    size_t len = strlen(name);
    return len > 6 && strcmp(name + len - 6, "_total") == 0;
}

/* Every figure of a role becomes a metric that reads what the node last published. */
static void s_show_figures(daemon_t *self, host_t *host)
{
    const figure_t *figure = NULL;
    int64_t value = 0;
    for (size_t at = 0; host_figure(host, at, &figure, &value); at++) {
        gauge_t *gauge = ctx_new(&self->memory, sizeof *gauge);
        *gauge = (gauge_t){ .host = host, .at = at };
        (s_is_total(figure->name) ? metrics_counter_fn : metrics_gauge_fn)(
            self->metrics, figure->name, figure->help, s_figure, gauge);
    }
}

/* What does not change while the process lives. */
static void s_show_self(daemon_t *self)
{
    const config_t *config = self->config;
    metrics_t *to = self->metrics;
    metrics_family_t *nodes = metrics_gauge(to, "milvus_num_node", "1 for each node of this "
                                            "process", "node_id,role_name");
    metrics_set(metrics_cell(metrics_gauge(to, "milvus_build_info", "1; what runs here",
                                           "version"), ELANUS_VERSION), 1);
    metrics_set(metrics_cell(metrics_gauge(to, "milvus_runtime_info", "1; where the log and the "
                                           "metadata are", "mq,meta"),
                             config_str(config, "common.storageType"),
                             config_str(config, "metastore.type")), 1);
    for (int i = 0; i < self->n_hosts; i++) {
        char id[24];
        snprintf(id, sizeof id, "%llu", (unsigned long long)host_self(self->hosts[i])->id);
        metrics_set(metrics_cell(nodes, id, host_role(self->hosts[i])), 1);
    }
    metrics_gauge_fn(to, "elanus_disk_used_bytes", "used of the disk that holds elanus.data.dir",
                     s_disk_used, self);
    metrics_gauge_fn(to, "elanus_disk_total_bytes", "size of that disk", s_disk_total, self);
    metrics_gauge_fn(to, "elanus_memory_used_bytes", "used of the machine, or of what the "
                     "container may have", s_memory_used, self);
    metrics_gauge_fn(to, "elanus_memory_total_bytes", "all of it", s_memory_total, self);
}

/* --- life ------------------------------------------------------------------------------- */

static err_t s_set_up(ctx_t *ctx, daemon_t *self)
{
    TRY(s_open_meta(ctx, self));
    TRY(s_open_store(ctx, self));
    meta_count(self->meta, self->metrics);
    if (self->store)
        store_count(self->store, self->metrics);
    TRY(s_check_identity(ctx, self));
    self->io = pool_new("io", (int)config_int(self->config, "elanus.threads.io"));
    int compute = (int)config_int(self->config, "elanus.threads.compute");
    self->compute = pool_new("compute", compute > 0 ? compute : hostinfo_cores());
    for (const seat_t *seat = self->plan->seats; seat->role; seat++)
        TRY(s_open_host(ctx, self, seat));
    TRY(s_wait_ready(ctx, self));
    for (int i = 0; i < self->n_hosts; i++) {
        const seat_t *seat = &self->plan->seats[i];
        if (seat->open)
            TRY(seat->open(ctx, self, self->hosts[i]));
        self->opened[i] = true;
        s_show_figures(self, self->hosts[i]);
    }
    s_show_self(self);
    return OK;
}

/* Ends everything that was set up.  err is why; a node may have a better reason. */
static err_t s_tear_down(ctx_t *ctx, daemon_t *self, err_t err)
{
    for (int i = self->n_hosts - 1; i >= 0; i--)
        if (self->opened[i] && self->plan->seats[i].stop)
            self->plan->seats[i].stop(self);
    for (int i = self->n_hosts - 1; i >= 0; i--) {
        host_stop(self->hosts[i]);
        err_t left = host_wait(ctx, self->hosts[i]);
        err = left != OK ? left : err;
    }
    ops_destroy(&self->ops);                    /* it looks at what is freed next */
    for (int i = self->n_hosts - 1; i >= 0; i--) {
        if (self->plan->seats[i].close)
            self->plan->seats[i].close(self);
    }
    for (int i = self->n_hosts - 1; i >= 0; i--)
        host_destroy(&self->hosts[i]);
    pool_destroy(&self->compute);
    pool_destroy(&self->io);
    store_destroy(&self->store);
    meta_destroy(&self->meta);
    metrics_destroy(&self->metrics);
    return err;
}

static void s_say_ready(daemon_t *self)
{
    buf_scoped line = {0};
    buf_addf(&line, "%s ready", self->plan->name);
    for (const seat_t *seat = self->plan->seats; seat->role; seat++)
        if (seat->ready_line)
            seat->ready_line(self, &line);
    if (!self->plan->standalone)
        buf_addf(&line, " node=%llu address=%s", (unsigned long long)host_self(self->hosts[0])->id,
                 host_self(self->hosts[0])->address);
    buf_addf(&line, " ops=%s\n", ops_address(self->ops));
    ssize_t written = write(STDOUT_FILENO, line.ptr, line.len);
    (void)written;
}

static sigset_t s_block_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    return set;
}

static err_t s_open_log(ctx_t *ctx, daemon_t *self)
{
    log_level_t level = LOG_INFO;
    check(log_level_parse(config_str(self->config, "log.level"), &level));
    log_set_level(level);
    const char *dir = config_str(self->config, "log.file.rootPath");
    if (!dir[0])
        return OK;
    TRY(s_make_dir(ctx, dir));
    return log_to_file(ctx, ctx_printf(ctx, "%s/%s.log", dir, self->plan->name));
}

/* What the nodes' net ends counted; one family a counter, one cell a role. */
static void s_write_net(void *arg, buf_t *into)
{
    static const struct { const char *name, *help; size_t offset; } s_rows[] = {
        { "calls_in", "calls from other nodes", offsetof(net_stats_t, calls_in) },
        { "calls_out", "calls to other nodes", offsetof(net_stats_t, calls_out) },
        { "repeats_in", "calls that came again and were not done twice",
          offsetof(net_stats_t, repeats_in) },
        { "resent", "calls sent again", offsetof(net_stats_t, resent) },
        { "refused", "peers of another version, cluster or key", offsetof(net_stats_t, refused) },
        { "malformed", "messages that were none of ours", offsetof(net_stats_t, malformed) },
        { "full", "calls refused for want of room", offsetof(net_stats_t, full) },
    };
    daemon_t *self = arg;
    for (size_t row = 0; row < ARRAY_LEN(s_rows); row++) {
        buf_addf(into, "# HELP elanus_net_%s_total %s\n# TYPE elanus_net_%s_total counter\n",
                 s_rows[row].name, s_rows[row].help, s_rows[row].name);
        for (int i = 0; i < self->n_hosts; i++) {
            net_stats_t stats = {0};
            host_net_stats(self->hosts[i], &stats);
            buf_addf(into, "elanus_net_%s_total{role=\"%s\"} %llu\n", s_rows[row].name,
                     host_role(self->hosts[i]),
                     (unsigned long long)load_u64((const uint8_t *)&stats + s_rows[row].offset));
        }
    }
}

static err_t s_open_ops(ctx_t *ctx, daemon_t *self)
{
    ops_options_t options = {
        .host = config_str(self->config, "elanus.ops.address"),
        .port = (int)config_int(self->config, "elanus.ops.port"),
        .health = s_health, .figures = s_write_net, .arg = self, .metrics = self->metrics,
    };
    return ops_open(ctx, &options, &self->ops);
}

/* Every client is a descriptor: take as many as the system lets us have. */
static void s_raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* Several threads allocate, none of them much: two arenas keep idle memory small. */
static void s_tame_malloc(void)
{
    mallopt(M_ARENA_MAX, 2);
    mallopt(M_TRIM_THRESHOLD, 1 << 20);
}

/* Vector instructions are chosen once, before any thread could ask for them. */
static void s_choose_simd(const daemon_t *self)
{
    const char *wanted = config_str(self->config, "common.simdType");
    bool known = simd_setup(wanted);
    log_event(LOG_INFO, "simd", "wanted=%s known=%d uses=%s", wanted, known,
              cpu_level_name(simd()->level));
}

static int s_run(ctx_t *ctx, daemon_t *self)
{
    sigset_t signals = s_block_signals();
    self->metrics = metrics_new();
    err_t err = s_open_log(ctx, self);
    s_choose_simd(self);
    if (err == OK)
        err = s_open_ops(ctx, self);
    if (err == OK)
        err = s_set_up(ctx, self);
    int number = 0;
    if (err == OK) {
        s_say_ready(self);
        sigwait(&signals, &number);
        log_event(LOG_INFO, "stopping", "signal=%d", number);
    }
    err = s_tear_down(ctx, self, err);
    if (err == OK)
        return EXIT_SERVED;
    fprintf(stderr, "%s: %s\n", self->plan->name, ctx->text);
    return daemon_exit_code(err);
}

static int s_help(const daemon_plan_t *plan)
{
    buf_scoped flags = {0};
    config_print_flags(&plan->config, &flags);
    printf("%s - %s\n\n%s  --version      print the version\n", plan->name, plan->about,
           buf_str(&flags));
    return EXIT_SERVED;
}

int daemon_main(const daemon_plan_t *plan, int argc, char **argv)
{
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return s_help(plan);
        if (strcmp(argv[i], "--version") == 0) {
            printf("%s %s\n", plan->name, ELANUS_VERSION);
            return EXIT_SERVED;
        }
    }
    s_tame_malloc();
    s_raise_file_limit();
    daemon_t self = { .plan = plan, .started_ms = clock_wall_ms(), .incarnation = rng_from_os() };
    ctx_t ctx;
    ctx_init(&ctx);
    ctx_init(&self.memory);
    hostinfo_name(self.host_name, sizeof self.host_name);
    hostinfo_ip(self.ip, sizeof self.ip);
    int code = EXIT_USAGE;
    if (config_load(&ctx, argc, argv, &plan->config, &self.config) == OK)
        code = s_run(&ctx, &self);
    else
        fprintf(stderr, "%s: %s\n", plan->name, ctx.text);
    config_destroy(&self.config);
    ctx_fini(&self.memory);
    ctx_fini(&ctx);
    return code;
}
