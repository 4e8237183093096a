/* meta: the conformance suite on the memory and the LMDB driver, then what only
 * they have: an outside clock, a lagging watcher, every fault in turn, and a
 * directory that is locked, full, cut, damaged, foreign or simply reopened. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/fault.h"
#include "core/base/limits.h"
#include "tests/support/meta_conformance.h"
#include "tests/support/meta_recorder.h"

/* --- directories ------------------------------------------------------------ */

static char s_root[] = "/tmp/elanus-meta-XXXXXX";
static int s_dirs;

static const char *s_new_dir(void)
{
    static char dir[64];
    snprintf(dir, sizeof dir, "%s/%d", s_root, s_dirs++);
    return dir;
}

static const char *s_data_file(const char *dir)
{
    static char path[96];
    snprintf(path, sizeof path, "%s/data.mdb", dir);
    return path;
}

static meta_t *s_open_dir(const char *dir)
{
    ctx_t ctx;
    ctx_init(&ctx);
    meta_t *meta = NULL;
    if (meta_lmdb_open(&ctx, dir, &meta) != OK)
        fail_msg("%s", ctx.text);
    ctx_fini(&ctx);
    return meta;
}

/* The error of opening, whose text must name the directory. */
static err_t s_open_error(const char *dir)
{
    ctx_t ctx;
    ctx_init(&ctx);
    meta_t *meta = NULL;
    err_t err = meta_lmdb_open(&ctx, dir, &meta);
    assert_int_not_equal(err, OK);
    assert_null(meta);
    assert_non_null(strstr(ctx.text, dir));
    ctx_fini(&ctx);
    return err;
}

/* --- suites ----------------------------------------------------------------- */

static int64_t s_now = 1000;
static int64_t s_told_time(void *arg)      { (void)arg; return s_now; }
static void s_tell(void *arg, int64_t ms)  { (void)arg; s_now += ms; }
static void s_wait(void *arg, int64_t ms)  { (void)arg; clock_sleep_ms(ms); }

static meta_t *s_new_told(void *arg)       { (void)arg; return meta_memory_new(s_told_time, NULL); }
static meta_t *s_new_memory(void *arg)     { (void)arg; return meta_memory_new(NULL, NULL); }
static meta_t *s_new_lmdb(void *arg)       { (void)arg; return s_open_dir(s_new_dir()); }

static const meta_suite_t s_suites[] = {
    { "memory, outside clock", s_new_told, s_tell, NULL, 30000 },
    { "memory", s_new_memory, s_wait, NULL, 400 },
    { "lmdb", s_new_lmdb, s_wait, NULL, 400 },
};

/* --- both drivers ----------------------------------------------------------- */

/* With an outside clock nothing happens by itself and everything before return. */
static void an_outside_clock_is_obeyed(void **state)
{
    (void)state;
    meta_t *meta = meta_memory_new(s_told_time, NULL);
    recorder_t rec;
    recorder_init(&rec);
    ctx_t ctx;
    ctx_init(&ctx);
    meta_watch_t *watch = NULL;
    assert_int_equal(meta_watch(&ctx, meta, "", recorder_watch, &rec, &watch), OK);
    assert_int_equal(recorder_len(&rec), 2);
    int64_t lease = 0;
    assert_int_equal(meta_lease_grant(&ctx, meta, 500, &lease), OK);
    meta_op_t op = { META_PUT, "k", view_str("v"), lease };
    meta_txn_t txn = { .ops = &op, .n_ops = 1 };
    meta_txn_result_t result;
    assert_int_equal(meta_txn(&ctx, meta, &txn, &result), OK);
    assert_string_equal(recorder_text(&rec, 2), "PUT k=v");
    s_now += 499;
    assert_non_null(meta_get_text(meta, "k"));
    s_now += 1;
    assert_null(meta_get_text(meta, "k"));
    assert_string_equal(recorder_text(&rec, 3), "DELETE k");
    meta_destroy(&meta);                        /* ends the watch, too */
    meta_destroy(&meta);
    recorder_fini(&rec);
    ctx_fini(&ctx);
}

typedef struct slow {
    recorder_t rec;
    pthread_mutex_t gate;
} slow_t;

static void s_slow_watch(void *arg, const meta_change_t *changes, size_t n)
{
    slow_t *slow = arg;
    pthread_mutex_lock(&slow->gate);
    pthread_mutex_unlock(&slow->gate);
    recorder_watch(&slow->rec, changes, n);
}

/* A watcher that is stuck while more happens than fits gets a RESET, and ends
 * up with the truth; a quick one beside it loses nothing. */
static void a_lagging_watcher_starts_over(void **state)
{
    (void)state;
    meta_t *meta = meta_memory_new(NULL, NULL);
    slow_t slow = { .gate = PTHREAD_MUTEX_INITIALIZER };
    recorder_init(&slow.rec);
    ctx_t ctx;
    ctx_init(&ctx);
    meta_watch_t *watch = NULL;
    assert_int_equal(meta_watch(&ctx, meta, "k", s_slow_watch, &slow, &watch), OK);
    assert_true(recorder_wait(&slow.rec, 2));
    pthread_mutex_lock(&slow.gate);
    char names[100][24];
    meta_op_t ops[100];
    for (int i = 0; i < 100; i++) {
        snprintf(names[i], sizeof names[i], "k%d", i);
        ops[i] = (meta_op_t){ META_PUT, names[i], view_str("v"), 0 };
    }
    meta_txn_t txn = { .ops = ops, .n_ops = 100 };
    meta_txn_result_t result;
    for (int i = 0; i < LIMIT_META_WATCH_PENDING / 100 + 10; i++)
        assert_int_equal(meta_txn(&ctx, meta, &txn, &result), OK);
    int64_t last = meta_put_text(meta, "k0", "last");
    pthread_mutex_unlock(&slow.gate);
    assert_true(recorder_wait_for(&slow.rec, META_WATCH_PUT, "k0", last));
    assert_int_equal(recorder_resets(&slow.rec), 2);
    meta_unwatch(&watch);
    recorder_check_order(&slow.rec);
    meta_destroy(&meta);
    recorder_fini(&slow.rec);
    ctx_fini(&ctx);
}

/* One pass over everything that can fail; OK only if all of it succeeded. */
static err_t s_exercise(ctx_t *ctx, meta_t *meta)
{
    meta_txn_result_t result;
    int64_t lease = 0;
    TRY(meta_lease_grant(ctx, meta, 60000, &lease));
    meta_op_t ops[] = { { META_PUT, "f/a", view_str("1"), 0 },
                        { META_PUT, "f/b", view_str("2"), lease },
                        { META_DELETE_PREFIX, "g/", {0}, 0 } };
    TRY(meta_txn(ctx, meta, &(meta_txn_t){ .ops = ops, .n_ops = 3 }, &result));
    meta_cmp_t cmp = { META_IF_VALUE, "f/a", 0, view_str("1") };
    meta_op_t more[] = { { META_PUT, "g/a", view_str("1"), 0 }, { META_DELETE, "f/a", {0}, 0 } };
    TRY(meta_txn(ctx, meta, &(meta_txn_t){ &cmp, 1, more, 2 }, &result));
    meta_item_t item;
    TRY(meta_get(ctx, meta, "g/a", &item));
    meta_items_t items;
    TRY(meta_list(ctx, meta, "", &items));
    return meta_lease_revoke(ctx, meta, lease);
}

static void s_walk_faults(meta_t *meta)
{
    int nth = 0;
    for (;; nth++) {
        ctx_t ctx;
        ctx_init(&ctx);
        fault_arm(nth);
        err_t err = s_exercise(&ctx, meta);
        bool fired = fault_disarm();
        if (fired) {
            assert_true(err == ERR_MEMORY || err == ERR_DISK_FULL);
            assert_true(strlen(ctx.text) > 0);
        } else {
            assert_int_equal(err, OK);
        }
        ctx_fini(&ctx);
        /* either both of a transaction's writes are there or neither is */
        assert_int_equal(meta_get_text(meta, "g/a") != NULL, meta_get_text(meta, "f/a") == NULL);
        meta_op_t ops[] = { { META_PUT, "f/a", view_str("1"), 0 },
                            { META_DELETE, "g/a", {0}, 0 } };
        meta_txn_t back = { .ops = ops, .n_ops = 2 };
        meta_txn_result_t result;
        ctx_init(&ctx);
        assert_int_equal(meta_txn(&ctx, meta, &back, &result), OK);
        ctx_fini(&ctx);
        if (!fired)
            break;
    }
    assert_true(nth > 10);
}

static void every_fault_is_reported(void **state)
{
    (void)state;
    meta_t *meta = meta_memory_new(s_told_time, NULL);
    meta_put_text(meta, "f/a", "1");
    s_walk_faults(meta);
    meta_destroy(&meta);
    meta = s_open_dir(s_new_dir());
    meta_put_text(meta, "f/a", "1");
    s_walk_faults(meta);
    meta_destroy(&meta);
}

/* --- LMDB only -------------------------------------------------------------- */

static void reopening_finds_everything_but_leases(void **state)
{
    (void)state;
    const char *dir = s_new_dir();
    meta_t *meta = s_open_dir(dir);
    int64_t rev = meta_put_text(meta, "stays", "here");
    ctx_t ctx;
    ctx_init(&ctx);
    int64_t lease = 0;
    assert_int_equal(meta_lease_grant(&ctx, meta, 60000, &lease), OK);
    meta_op_t op = { META_PUT, "session", view_str("x"), lease };
    meta_txn_result_t result;
    assert_int_equal(meta_txn(&ctx, meta, &(meta_txn_t){ .ops = &op, .n_ops = 1 }, &result), OK);
    meta_destroy(&meta);
    meta = s_open_dir(dir);
    assert_string_equal(meta_get_text(meta, "stays"), "here");
    assert_null(meta_get_text(meta, "session"));
    meta_item_t item;
    assert_int_equal(meta_get(&ctx, meta, "stays", &item), OK);
    assert_int_equal(item.mod_rev, rev);
    assert_true(meta_put_text(meta, "next", "x") > result.rev);
    meta_destroy(&meta);
    ctx_fini(&ctx);
}

static void a_directory_has_one_owner(void **state)
{
    (void)state;
    const char *dir = s_new_dir();
    meta_t *meta = s_open_dir(dir);
    assert_int_equal(s_open_error(dir), ERR_LOCKED);
    meta_put_text(meta, "k", "v");
    meta_destroy(&meta);
    meta = s_open_dir(dir);
    meta_destroy(&meta);
}

static void unusable_directories_are_named(void **state)
{
    (void)state;
    assert_int_equal(s_open_error("/proc/no/such/dir"), ERR_DISK);
    const char *dir = s_new_dir();
    assert_int_equal(close(open(dir, O_CREAT | O_WRONLY, 0600)), 0);
    assert_int_equal(s_open_error(dir), ERR_DISK);              /* a file */
    dir = s_new_dir();
    mkdir(dir, 0700);
    int fd = open(s_data_file(dir), O_CREAT | O_WRONLY, 0600);
    for (int i = 0; i < 2000; i++)
        assert_int_equal(write(fd, "somebody else's data", 20), 20);
    close(fd);
    assert_int_equal(s_open_error(dir), ERR_CORRUPT);
}

/* More than the first map: it grows; what was read before stays readable. */
static void the_map_grows(void **state)
{
    (void)state;
    const char *dir = s_new_dir();
    meta_t *meta = s_open_dir(dir);
    size_t len = 1 << 20;
    char *value = mem_new(len + 1);
    memset(value, 'v', len);
    for (int i = 0; i < 40; i++) {
        char key[24];
        snprintf(key, sizeof key, "big/%d", i);
        value[0] = (char)('A' + i % 26);
        meta_put_text(meta, key, value);
    }
    meta_destroy(&meta);
    meta = s_open_dir(dir);
    ctx_t ctx;
    ctx_init(&ctx);
    meta_items_t items;
    assert_int_equal(meta_list(&ctx, meta, "big/", &items), OK);
    assert_int_equal(items.n, 40);
    for (size_t i = 0; i < items.n; i++)
        assert_int_equal(items.at[i].value.len, len);
    ctx_fini(&ctx);
    mem_free(value);
    meta_destroy(&meta);
}

/* In a child, because the limit on file size is the process's. */
static void s_fill_up(const char *dir)
{
    meta_t *meta = s_open_dir(dir);
    meta_put_text(meta, "before", "1");
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit limit = { 1 << 20, 1 << 20 };
    setrlimit(RLIMIT_FSIZE, &limit);
    ctx_t ctx;
    ctx_init(&ctx);
    char *value = ctx_new(&ctx, 300000);
    memset(value, 'v', 300000);
    err_t err = OK;
    int written = 0;
    for (; written < 20 && err == OK; written++) {
        char key[24];
        snprintf(key, sizeof key, "full/%d", written);
        meta_op_t op = { META_PUT, key, view_of(value, 300000), 0 };
        meta_txn_result_t result;
        err = meta_txn(&ctx, meta, &(meta_txn_t){ .ops = &op, .n_ops = 1 }, &result);
    }
    bool said = err == ERR_DISK_FULL && strstr(ctx.text, dir) && written > 1;
    bool reads = meta_get_text(meta, "before") && meta_get_text(meta, "full/0");
    meta_put_text(meta, "small", "still fits");
    meta_destroy(&meta);
    ctx_fini(&ctx);
    _exit(said && reads ? 0 : 1);
}

static void a_full_disk_refuses_and_harms_nothing(void **state)
{
    (void)state;
    const char *dir = s_new_dir();
    pid_t child = fork();
    if (child == 0)
        s_fill_up(dir);
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    meta_t *meta = s_open_dir(dir);
    assert_string_equal(meta_get_text(meta, "before"), "1");
    assert_string_equal(meta_get_text(meta, "small"), "still fits");
    meta_destroy(&meta);
}

/* Kill a writer at any moment: what it was told is written is there. */
static void a_killed_writer_loses_nothing(void **state)
{
    (void)state;
    const char *dir = s_new_dir();
    int told[2];
    assert_int_equal(pipe(told), 0);
    pid_t child = fork();
    if (child == 0) {
        meta_t *meta = s_open_dir(dir);
        for (int i = 1; i < 100000; i++) {
            char number[16];
            snprintf(number, sizeof number, "%d", i);
            meta_put_text(meta, "count", number);
            if (write(told[1], &i, sizeof i) != sizeof i)
                break;
        }
        _exit(0);
    }
    close(told[1]);
    int last = 0;
    while (last < 30)
        assert_int_equal(read(told[0], &last, sizeof last), sizeof last);
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
    while (read(told[0], &last, sizeof last) == sizeof last)
        continue;
    close(told[0]);
    meta_t *meta = s_open_dir(dir);
    int found = atoi(meta_get_text(meta, "count"));
    assert_true(found == last || found == last + 1);
    meta_destroy(&meta);
}

static void s_flip_text(const char *path, const char *text)
{
    int fd = open(path, O_RDWR);
    struct stat file;
    fstat(fd, &file);
    char *all = mem_new((size_t)file.st_size);
    assert_int_equal(pread(fd, all, (size_t)file.st_size, 0), file.st_size);
    int found = 0;
    for (off_t at = 0; at + (off_t)strlen(text) <= file.st_size; at++) {
        if (memcmp(all + at, text, strlen(text)) != 0)
            continue;
        char other = (char)(all[at] ^ 1);
        assert_int_equal(pwrite(fd, &other, 1, at), 1);
        found++;
    }
    assert_true(found > 0);
    mem_free(all);
    close(fd);
}

static void damage_is_noticed(void **state)
{
    (void)state;
    const char *dir = s_new_dir();
    meta_t *meta = s_open_dir(dir);
    meta_put_text(meta, "good", "value that stays");
    meta_put_text(meta, "bad", "value that rots");
    meta_destroy(&meta);
    s_flip_text(s_data_file(dir), "value that rots");
    assert_int_equal(s_open_error(dir), ERR_CORRUPT);
}

static void a_cut_file_is_noticed(void **state)
{
    (void)state;
    const char *dir = s_new_dir();
    meta_t *meta = s_open_dir(dir);
    for (int i = 0; i < 50; i++) {
        char key[24];
        snprintf(key, sizeof key, "k%d", i);
        meta_put_text(meta, key, "some bytes");
    }
    meta_destroy(&meta);
    struct stat file;
    assert_int_equal(stat(s_data_file(dir), &file), 0);
    for (off_t len = file.st_size - 4096; len > 8192; len -= 4096) {
        assert_int_equal(truncate(s_data_file(dir), len), 0);
        assert_int_equal(s_open_error(dir), ERR_CORRUPT);
    }
}

static int s_group_up(void **state)
{
    (void)state;
    return mkdtemp(s_root) ? 0 : -1;
}

static int s_group_down(void **state)
{
    (void)state;
    char command[96];
    snprintf(command, sizeof command, "rm -rf %s", s_root);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_outside_clock_is_obeyed),
        cmocka_unit_test(a_lagging_watcher_starts_over),
        cmocka_unit_test(every_fault_is_reported),
        cmocka_unit_test(reopening_finds_everything_but_leases),
        cmocka_unit_test(a_directory_has_one_owner),
        cmocka_unit_test(unusable_directories_are_named),
        cmocka_unit_test(the_map_grows),
        cmocka_unit_test(a_full_disk_refuses_and_harms_nothing),
        cmocka_unit_test(a_killed_writer_loses_nothing),
        cmocka_unit_test(damage_is_noticed),
        cmocka_unit_test(a_cut_file_is_noticed),
    };
    int failed = s_group_up(NULL) ? 1 : 0;
    for (size_t i = 0; i < ARRAY_LEN(s_suites) && !failed; i++)
        failed += meta_conformance_run(&s_suites[i]);
    if (!failed)
        failed = cmocka_run_group_tests_name("meta", tests, NULL, NULL);
    return s_group_down(NULL) || failed;
}
