/* bench_wal - commits of the local log beside plain pwrite + fdatasync of the same sizes
 *
 *     build/release/bench/bench_wal [DIR]        files below DIR (default /tmp)
 *
 * One thread, one commit after the other; the two take turns, so that both see the
 * same disk.  Medians; "plain" writes into a file of the same kind, allocated before.
 * Appending (encoding a column of that many bytes) is timed by itself.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/wal/wal_local.h"

enum { MOST = 64, DIM = 128 };

static int s_compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double s_median(double *us, size_t n)
{
    qsort(us, n, sizeof us[0], s_compare);
    return us[n / 2];
}

static double s_since_us(int64_t start_ns)
{
    return (double)(clock_mono_ns() - start_ns) / 1e3;
}

static void s_want_ok(ctx_t *ctx, err_t err)
{
    if (err == OK)
        return;
    fprintf(stderr, "%s\n", ctx->text);
    exit(1);
}

static void s_add(ctx_t *ctx, wal_batch_t *batch, const uint8_t *cells, size_t len, uint64_t ts)
{
    wal_field_t field = { 101, { .type = TYPE_FLOAT_VECTOR, .width = DIM * 4,
                                 .n = len / (DIM * 4), .cells = cells } };
    wal_entry_t e = { .kind = WAL_INSERT, .timestamp = ts, .vchannel = view_str("ch0_1v0"),
                      .fields = &field, .n_fields = 1 };
    wal_batch_init(batch, view_str("ch0"));
    s_want_ok(ctx, wal_batch_add(ctx, batch, &e));
}

/* A plain file, and the place in it that comes next. */
typedef struct plain { int fd; off_t at; } plain_t;

/* Fresh room each time, outside the clock: blocks that were written before sync faster. */
static void s_plain_room(plain_t *plain, size_t len)
{
    if (plain->at + (off_t)len <= WAL_LOCAL_FILE_BYTES)
        return;
    check(ftruncate(plain->fd, 0) == 0 && fallocate(plain->fd, 0, 0, WAL_LOCAL_FILE_BYTES) == 0);
    check(fsync(plain->fd) == 0);
    plain->at = 0;
}

static void s_plain_write(plain_t *plain, const uint8_t *bytes, size_t len)
{
    check(pwrite(plain->fd, bytes, len, plain->at) == (ssize_t)len);
    check(fdatasync(plain->fd) == 0);
    plain->at += (off_t)len;
}

static void s_time_size(ctx_t *ctx, wal_t *wal, plain_t *plain, size_t len, uint64_t *ts)
{
    double append[MOST], commit[MOST], direct[MOST];
    uint8_t *cells = mem_new(len);
    memset(cells, 7, len);
    size_t n = len >= 1 << 20 ? 24 : MOST;
    for (size_t i = 0; i < n; i++) {
        wal_batch_t batch;
        int64_t start = clock_mono_ns();
        s_add(ctx, &batch, cells, len, ++*ts);
        s_want_ok(ctx, wal_append(ctx, wal, &batch));
        append[i] = s_since_us(start);
        start = clock_mono_ns();
        s_want_ok(ctx, wal_commit(ctx, wal));
        commit[i] = s_since_us(start);
        s_plain_room(plain, len + 4096);
        start = clock_mono_ns();
        s_plain_write(plain, batch.bytes.ptr, wal_batch_len(&batch));
        direct[i] = s_since_us(start);
        wal_batch_fini(&batch);
    }
    mem_free(cells);
    double c = s_median(commit, n), d = s_median(direct, n), a = s_median(append, n);
    printf("%8zu B  append %8.1f us  commit %8.1f us  %7.0f/s %7.1f MB/s   plain %8.1f us  "
           "%7.1f MB/s   commit/plain %.2f\n", len, a, c, 1e6 / c, (double)len / c, d,
           (double)len / d, c / d);
}

/* Every entry once more, from the start. */
static err_t s_count(ctx_t *ctx, void *arg, const wal_head_t *head, const wal_entry_t *entry)
{
    *(size_t *)arg += entry->fields[0].column.n * DIM * 4;
    return OK;
}

int main(int argc, char **argv)
{
    ctx_t ctx;
    ctx_init(&ctx);
    const char *root = argc > 1 ? argv[1] : "/tmp";
    char dir[256], path[300], command[300];
    snprintf(dir, sizeof dir, "%s/bench_wal_XXXXXX", root);
    check(mkdtemp(dir));
    owned(wal_disk) disk = NULL;
    owned(wal) wal = NULL;
    snprintf(path, sizeof path, "%s/ch0", dir);
    s_want_ok(&ctx, wal_disk_open(&ctx, path, &disk));
    wal_local_options_t options = { .channel = view_str("ch0") };
    s_want_ok(&ctx, wal_local_open(&ctx, disk, &options, &wal));
    snprintf(path, sizeof path, "%s/plain", dir);
    plain_t plain = { .fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640) };
    check(plain.fd >= 0 && fallocate(plain.fd, 0, 0, WAL_LOCAL_FILE_BYTES) == 0);
    uint64_t ts = 0;
    static const size_t sizes[] = { 512, 4 << 10, 64 << 10, 1 << 20, 4 << 20 };
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
        s_time_size(&ctx, wal, &plain, sizes[i], &ts);
    size_t bytes = 0;
    int64_t start = clock_mono_ns();
    s_want_ok(&ctx, wal_replay(&ctx, wal, (wal_position_t){ 0 }, s_count, &bytes));
    double us = s_since_us(start);
    printf("replay %.0f MB in %.0f ms, %.0f MB/s\n", (double)bytes / 1e6, us / 1e3,
           (double)bytes / us);
    close(plain.fd);
    snprintf(command, sizeof command, "rm -r %s", dir);
    check(system(command) == 0);
    ctx_fini(&ctx);
    return 0;
}
