/* wal_local: on a real directory; every single fault; every cut and every flipped byte of a
 * small log; full disks; what must be refused.  test_wal_crash has the rest. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/base/crc.h"
#include "core/base/fault.h"
#include "core/wal/wal_local.h"

enum { FILE_BYTES = 2048, NOTE_BYTES = 300 };

/* What a replay saw: entry k carries request {k, 0} and notes of k's byte. */
typedef struct seen { uint64_t next; bool wrong; } seen_t;

static err_t s_see(ctx_t *ctx, void *arg, const wal_head_t *head, const wal_entry_t *entry)
{
    seen_t *seen = arg;
    uint8_t note[NOTE_BYTES];
    uint64_t k = seen->next++;
    memset(note, (int)k, sizeof note);
    if (head->link.at.seq != k || entry->request[0] != k ||
        !view_eq(entry->note, view_of(note, sizeof note)))
        seen->wrong = true;
    return OK;
}

static err_t s_open(ctx_t *ctx, wal_disk_t *disk, uint64_t after, seen_t *seen, wal_t **ret)
{
    *seen = (seen_t){ .next = after + 1 };
    wal_local_options_t options = { .channel = view_str("ch0"), .file_bytes = FILE_BYTES,
                                    .after = { 1, after }, .replay = s_see, .arg = seen };
    return wal_local_open(ctx, disk, &options, ret);
}

/* Batch k; the caller ends it. */
static err_t s_make(ctx_t *ctx, wal_batch_t *batch, uint64_t k)
{
    uint8_t note[NOTE_BYTES];
    memset(note, (int)k, sizeof note);
    wal_batch_init(batch, view_str("ch0"));
    wal_entry_t e = { .kind = WAL_BARRIER, .timestamp = k, .request = { k, 0 },
                      .note = view_of(note, sizeof note) };
    return wal_batch_add(ctx, batch, &e);
}

/* Batches k..k+n-1 in one commit. */
static err_t s_write(ctx_t *ctx, wal_t *wal, uint64_t k, size_t n)
{
    wal_batch_t batches[8];
    err_t err = OK;
    for (size_t i = 0; i < n; i++) {
        err_t made = s_make(ctx, &batches[i], k + i);
        if (err == OK)
            err = made;
        if (err == OK)
            err = wal_append(ctx, wal, &batches[i]);
    }
    if (err == OK)
        err = wal_commit(ctx, wal);
    if (err == ERR_DISK_FULL || err == ERR_MEMORY)
        wal_discard(wal);
    for (size_t i = 0; i < n; i++)
        wal_batch_fini(&batches[i]);
    return err;
}

static void a_directory_keeps_what_was_committed(void **state)
{
    (void)state;
    ctx_t ctx;
    ctx_init(&ctx);
    char dir[] = "/tmp/test_wal_XXXXXX", path[64];
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/ch0", dir);
    for (uint64_t round = 0; round < 4; round++) {
        owned(wal_disk) disk = NULL;
        owned(wal_disk) second = NULL;
        owned(wal) wal = NULL;
        seen_t seen;
        assert_int_equal(wal_disk_open(&ctx, path, &disk), OK);
        assert_int_equal(wal_disk_open(&ctx, path, &second), ERR_LOCKED);
        uint64_t after = round == 3 ? 20 : 0;
        assert_int_equal(s_open(&ctx, disk, after, &seen, &wal), OK);
        assert_false(seen.wrong);
        assert_int_equal(seen.next, round * 8 + 1);
        assert_int_equal(wal_frontier(wal).epoch, round + 1);
        assert_int_equal(wal_max_ts(wal), round * 8);
        assert_int_equal(s_write(&ctx, wal, round * 8 + 1, 8), OK);
        assert_int_equal(wal_frontier(wal).seq, round * 8 + 8);
        if (round == 2)
            assert_int_equal(wal_truncate(&ctx, wal, (wal_position_t){ 3, 20 }), OK);
    }
    owned(wal_disk) disk = NULL;
    owned(wal) wal = NULL;
    seen_t seen;
    assert_int_equal(wal_disk_open(&ctx, path, &disk), OK);
    assert_int_equal(s_open(&ctx, disk, 3, &seen, &wal), ERR_CORRUPT);  /* 4.. was dropped */
    assert_int_equal(s_open(&ctx, disk, 99, &seen, &wal), ERR_CORRUPT); /* never written */
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", dir);
    assert_int_equal(system(command), 0);
    ctx_fini(&ctx);
}

/* open, two commits, truncate, replay, destroy: fail the n-th call of all that. */
static err_t s_life(ctx_t *ctx, wal_disk_t *disk, uint64_t *durable)
{
    owned(wal) wal = NULL;
    seen_t seen;
    TRY(s_open(ctx, disk, 0, &seen, &wal));
    assert_false(seen.wrong);
    err_t err = s_write(ctx, wal, wal_frontier(wal).seq + 1, 4);
    *durable = wal_frontier(wal).seq;
    TRY(err);
    err = s_write(ctx, wal, *durable + 1, 5);
    *durable = wal_frontier(wal).seq;
    TRY(err);
    return wal_replay(ctx, wal, (wal_position_t){ 0 }, s_see, &(seen_t){ .next = 1 });
}

static void every_fault_is_survived(void **state)
{
    (void)state;
    for (int nth = 0;; nth++) {
        ctx_t ctx;
        ctx_init(&ctx);
        owned(wal_disk) disk = wal_ram_new(0);
        uint64_t durable = 0;
        fault_arm(nth);
        err_t err = s_life(&ctx, disk, &durable);
        bool fired = fault_disarm();
        assert_true(fired || err == OK);
        assert_true(err == OK || *ctx.text);
        wal_ram_kill(disk);
        owned(wal) wal = NULL;
        seen_t seen;
        assert_int_equal(s_open(&ctx, disk, 0, &seen, &wal), OK);
        assert_false(seen.wrong);
        assert_true(seen.next > durable);
        wal_destroy(&wal);
        ctx_fini(&ctx);
        if (!fired) {
            assert_true(nth > 25);
            break;
        }
    }
}

/* Six objects in three commits in one file, not closed: 1-2, 3-4, 5-6. */
static wal_disk_t *s_small_log(ctx_t *ctx, uint64_t ends[7])
{
    wal_disk_t *disk = wal_ram_new(0);
    owned(wal) wal = NULL;
    seen_t seen;
    wal_local_options_t options = { .channel = view_str("ch0"), .file_bytes = 4096,
                                    .replay = s_see, .arg = &seen };
    assert_int_equal(wal_local_open(ctx, disk, &options, &wal), OK);
    for (uint64_t k = 1; k < 7; k += 2)
        assert_int_equal(s_write(ctx, wal, k, 2), OK);
    wal_batch_t batch;
    assert_int_equal(s_make(ctx, &batch, 1), OK);
    for (uint64_t k = 0; k < 7; k++)
        ends[k] = k * wal_batch_len(&batch);
    wal_batch_fini(&batch);
    return disk;
}

/* As if the process had been killed: `epoch` says what it said at the start. */
static wal_disk_t *s_killed_log(ctx_t *ctx, uint64_t ends[7])
{
    wal_disk_t *disk = s_small_log(ctx, ends);
    uint64_t len = 0;
    uint8_t *epoch = wal_ram_bytes(disk, "epoch", &len);
    memset(epoch + 24, 0, 32);                  /* end, hash and timestamp */
    store_u32(epoch + 60, crc32c(epoch, 60));
    return disk;
}

/* What an open made of it: how many entries, -1 when refused. */
static int s_outcome(ctx_t *ctx, wal_disk_t *disk)
{
    owned(wal) wal = NULL;
    seen_t seen;
    wal_ram_kill(disk);
    err_t err = s_open(ctx, disk, 0, &seen, &wal);
    assert_true(err == OK || err == ERR_CORRUPT || err == ERR_VERSION);
    assert_false(seen.wrong);
    if (err != OK) {
        assert_non_null(strstr(ctx->text, "ram"));
        return -1;
    }
    assert_int_equal(wal_frontier(wal).seq, seen.next - 1);
    assert_int_equal(s_write(ctx, wal, seen.next, 1), OK);     /* and it goes on */
    return (int)seen.next - 1;
}

/* A log of a killed process: what lies before the last commit is proved durable, by that
 * commit; the last commit may be torn. */
static void every_flip_is_refused_or_cut(void **state)
{
    (void)state;
    ctx_t ctx;
    ctx_init(&ctx);
    uint64_t ends[7], len = 0;
    for (size_t at = 0; at < 4096; at++) {
        owned(wal_disk) disk = s_killed_log(&ctx, ends);
        wal_ram_bytes(disk, "0000000000000001.wal", &len)[at] ^= (uint8_t)(1 << at % 8);
        int n = s_outcome(&ctx, disk);
        if (at < ends[4])
            assert_int_equal(n, -1);
        else if (at < ends[6])
            assert_true(n == (at < ends[5] ? 4 : 5) || (n == -1 && at % 8 >= 4 && at % 8 < 6));
        else
            assert_int_equal(n, 6);
    }
    assert_int_equal(len, 4096);
    ctx_fini(&ctx);
}

/* The same after an orderly end: nothing may be cut. */
static void after_a_close_every_flip_is_refused(void **state)
{
    (void)state;
    ctx_t ctx;
    ctx_init(&ctx);
    uint64_t ends[7], len = 0;
    for (size_t at = 0; at < 4096; at++) {
        owned(wal_disk) disk = s_small_log(&ctx, ends);
        wal_ram_bytes(disk, "0000000000000001.wal", &len)[at] ^= (uint8_t)(1 << at % 8);
        assert_int_equal(s_outcome(&ctx, disk), at < ends[6] ? -1 : 6);
    }
    for (size_t at = 0; at < 64; at++) {
        owned(wal_disk) disk = s_small_log(&ctx, ends);
        wal_ram_bytes(disk, "epoch", &len)[at] ^= (uint8_t)(1 << at % 8);
        assert_int_equal(s_outcome(&ctx, disk), -1);
    }
    ctx_fini(&ctx);
}

static void every_cut_keeps_whole_objects(void **state)
{
    (void)state;
    ctx_t ctx;
    ctx_init(&ctx);
    uint64_t ends[7], len = 0;
    for (uint64_t cut = 0; cut <= 4096; cut++) {
        owned(wal_disk) disk = s_killed_log(&ctx, ends);
        const wal_disk_driver_t *driver = disk->driver;
        int file = -1, whole = 0;
        assert_int_equal(driver->open(disk, "0000000000000001.wal", false, &file, &len), 0);
        assert_int_equal(driver->truncate(disk, file, cut), 0);
        driver->close(disk, file);
        for (int k = 1; k < 7; k++)
            whole += cut >= ends[k];
        assert_int_equal(s_outcome(&ctx, disk), whole);
    }
    ctx_fini(&ctx);
}

static void a_full_disk_loses_nothing_and_is_survived(void **state)
{
    (void)state;
    ctx_t ctx;
    ctx_init(&ctx);
    owned(wal_disk) disk = wal_ram_new(FILE_BYTES + 200);
    owned(wal) wal = NULL;
    seen_t seen;
    assert_int_equal(s_open(&ctx, disk, 0, &seen, &wal), OK);
    assert_int_equal(s_write(&ctx, wal, 1, 3), OK);
    assert_int_equal(s_write(&ctx, wal, 4, 3), ERR_DISK_FULL);
    uint64_t durable = wal_frontier(wal).seq;
    assert_true(durable >= 3 && durable < 6);
    assert_int_equal(s_write(&ctx, wal, durable + 1, 3), ERR_DISK_FULL);
    assert_int_equal(wal_frontier(wal).seq, durable);
    wal_destroy(&wal);
    wal_ram_set_room(disk, 1);                  /* less than is used */
    assert_int_equal(s_open(&ctx, disk, 0, &seen, &wal), OK);
    assert_int_equal(s_write(&ctx, wal, durable + 1, 3), ERR_DISK_FULL);
    wal_ram_set_room(disk, 0);
    assert_int_equal(s_write(&ctx, wal, durable + 1, 3), OK);
    seen = (seen_t){ .next = 1 };
    assert_int_equal(wal_replay(&ctx, wal, (wal_position_t){ 0 }, s_see, &seen), OK);
    assert_true(!seen.wrong && seen.next == durable + 4);
    ctx_fini(&ctx);
}

/* An object larger than a file; and more than may wait. */
static void sizes_have_bounds(void **state)
{
    (void)state;
    ctx_t ctx;
    ctx_init(&ctx);
    owned(wal_disk) disk = wal_ram_new(0);
    owned(wal) wal = NULL;
    seen_t seen;
    assert_int_equal(s_open(&ctx, disk, 0, &seen, &wal), OK);
    size_t len = 60 << 20, n = 0;
    uint8_t *note = mem_new(len);
    wal_batch_t batches[6];
    err_t err = OK;
    for (; n < 6 && err == OK; n++) {
        wal_batch_init(&batches[n], view_str("ch0"));
        wal_entry_t e = { .kind = WAL_BARRIER, .timestamp = n, .note = view_of(note, len) };
        assert_int_equal(wal_batch_add(&ctx, &batches[n], &e), OK);
        err = wal_append(&ctx, wal, &batches[n]);
    }
    assert_int_equal(err, ERR_QUEUE_FULL);
    assert_int_equal(n, 5);
    wal_discard(wal);
    assert_int_equal(wal_append(&ctx, wal, &batches[0]), OK);
    assert_int_equal(wal_commit(&ctx, wal), OK);
    assert_int_equal(wal_frontier(wal).seq, 1);
    for (size_t i = 0; i < n; i++)
        wal_batch_fini(&batches[i]);
    mem_free(note);
    ctx_fini(&ctx);
}

enum { MANY = 400 };

typedef struct worker { wal_t *wal; _Atomic bool stop; err_t err; } worker_t;

/* The I/O worker: commits over and over, and once more after the last append. */
static void *s_commit_loop(void *arg)
{
    worker_t *worker = arg;
    ctx_t ctx;
    ctx_init(&ctx);
    for (bool last = false; !last && worker->err == OK; ) {
        last = atomic_load(&worker->stop);
        worker->err = wal_commit(&ctx, worker->wal);
    }
    ctx_fini(&ctx);
    return NULL;
}

/* The node appends and asks for the frontier while a worker commits. */
static void appends_go_on_beside_commits(void **state)
{
    (void)state;
    static wal_batch_t batches[MANY];
    ctx_t ctx;
    ctx_init(&ctx);
    owned(wal_disk) disk = wal_ram_new(0);
    owned(wal) wal = NULL;
    seen_t seen;
    assert_int_equal(s_open(&ctx, disk, 0, &seen, &wal), OK);
    worker_t worker = { .wal = wal };
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, s_commit_loop, &worker), 0);
    uint64_t frontier = 0;
    for (size_t i = 0; i < MANY; i++) {
        assert_int_equal(s_make(&ctx, &batches[i], i + 1), OK);
        assert_int_equal(wal_append(&ctx, wal, &batches[i]), OK);
        assert_int_equal(batches[i].at.seq, i + 1);
        uint64_t now = wal_frontier(wal).seq;
        assert_true(now >= frontier && now <= i + 1);
        frontier = now;
    }
    atomic_store(&worker.stop, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(worker.err, OK);
    assert_int_equal(wal_frontier(wal).seq, MANY);
    seen = (seen_t){ .next = 1 };
    assert_int_equal(wal_replay(&ctx, wal, (wal_position_t){ 0 }, s_see, &seen), OK);
    assert_true(!seen.wrong && seen.next == MANY + 1);
    for (size_t i = 0; i < MANY; i++)
        wal_batch_fini(&batches[i]);
    ctx_fini(&ctx);
}

static void strange_logs_are_refused(void **state)
{
    (void)state;
    ctx_t ctx;
    ctx_init(&ctx);
    uint64_t ends[7];
    owned(wal_disk) disk = s_small_log(&ctx, ends);
    owned(wal) wal = NULL;
    wal_local_options_t options = { .channel = view_str("ch1") };
    assert_int_equal(wal_local_open(&ctx, disk, &options, &wal), ERR_CORRUPT);
    assert_non_null(strstr(ctx.text, "another log"));
    assert_int_equal(disk->driver->rename(disk, "epoch", "gone"), 0);
    assert_int_equal(s_outcome(&ctx, disk), -1);
    assert_int_equal(disk->driver->rename(disk, "gone", "epoch"), 0);
    assert_int_equal(disk->driver->rename(disk, "0000000000000001.wal", "gone"), 0);
    options.channel = view_str("ch0");
    assert_int_equal(wal_local_open(&ctx, disk, &options, &wal), ERR_CORRUPT);
    assert_non_null(strstr(ctx.text, "missing"));
    ctx_fini(&ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_directory_keeps_what_was_committed),
        cmocka_unit_test(every_fault_is_survived),
        cmocka_unit_test(every_flip_is_refused_or_cut),
        cmocka_unit_test(after_a_close_every_flip_is_refused),
        cmocka_unit_test(every_cut_keeps_whole_objects),
        cmocka_unit_test(a_full_disk_loses_nothing_and_is_survived),
        cmocka_unit_test(sizes_have_bounds),
        cmocka_unit_test(appends_go_on_beside_commits),
        cmocka_unit_test(strange_logs_are_refused),
    };
    return cmocka_run_group_tests_name("wal_local", tests, NULL, NULL);
}
