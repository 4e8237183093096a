/* store: the footer's arithmetic and its cache; the conformance suite on memory
 * and on a local directory; every system call of the local driver failing in
 * turn; what a crash leaves behind; a disk that is really full; and the retry
 * loop, against a driver that fails on demand. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/fault.h"
#include "core/base/limits.h"
#include "core/store/footer.h"
#include "core/store/store_int.h"
#include "tests/support/store_conformance.h"

enum { B = FOOTER_BLOCK_BYTES };

static char s_dir[64];              /* fresh for the whole program, removed at its end */

static int s_remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st, (void)flag, (void)ftw;
    return remove(path);
}

static void s_remove_tree(const char *path)
{
    nftw(path, s_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static store_t *s_open_memory(void *arg)
{
    (void)arg;
    return store_memory_new();
}

static store_t *s_open_local(void *arg)
{
    ctx_t ctx;
    ctx_init(&ctx);
    store_t *store = NULL;
    if (store_local_open(&ctx, arg, &store) != OK)
        fprintf(stderr, "%s\n", ctx.text);
    ctx_fini(&ctx);
    return store;
}

/* --- footer --------------------------------------------------------------------- */

static void sizes_invert(void **state)
{
    (void)state;
    uint64_t found = 0, expect = 0;
    for (uint64_t size = 0; size < 3 * (B + 4) + 100; size++) {
        uint64_t len = 0;
        if (!footer_body_len(size, &len))
            continue;
        assert_int_equal(len, expect);          /* every length, once, in order */
        assert_int_equal(len + footer_len(len), size);
        expect++;
        found++;
    }
    assert_true(found > 3 * B);
    static const uint64_t big[] = { LIMIT_STORE_OBJECT_BYTES, LIMIT_STORE_OBJECT_BYTES - 1,
                                    1234567890 % LIMIT_STORE_OBJECT_BYTES, 512ull << 20 };
    for (size_t i = 0; i < ARRAY_LEN(big); i++) {
        uint64_t len = 0;
        assert_true(footer_body_len(big[i] + footer_len(big[i]), &len));
        assert_int_equal(len, big[i]);
    }
    uint64_t len = 0;
    assert_false(footer_body_len(UINT64_MAX, &len));
    uint64_t above = LIMIT_STORE_OBJECT_BYTES + 1;
    assert_false(footer_body_len(above + footer_len(above), &len));
}

/* The bytes are a promise to every later version. */
static void the_footer_is_these_bytes(void **state)
{
    (void)state;
    static const uint8_t want[] = {
        0x83, 0x92, 0x06, 0xe3,                             /* crc32c("123456789") */
        0x00, 0x00, 0x01, 0x00,  0x01, 0x00, 0x00, 0x00,    /* 65536, one block */
        0x09, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,     /* nine bytes */
    };
    ctx_t ctx;
    ctx_init(&ctx);
    view_t footer = {0};
    assert_int_equal(footer_make(&ctx, "k", view_str("123456789"), &footer), OK);
    assert_int_equal(footer.len, sizeof want + 8);
    assert_memory_equal(footer.ptr, want, sizeof want);
    assert_memory_equal(footer.ptr + sizeof want + 4, "ELF1", 4);
    footer_t parsed;
    assert_null(footer_parse("k", footer, 9 + footer.len, &parsed));
    assert_non_null(footer_parse("l", footer, 9 + footer.len, &parsed));
    ctx_fini(&ctx);
}

static void the_cache_forgets_the_oldest(void **state)
{
    (void)state;
    ctx_t ctx;
    ctx_init(&ctx);
    owned(footer_cache) cache = footer_cache_new(4000);
    uint8_t bytes[1000] = {0};
    view_t got;
    uint64_t len = 0;
    for (int i = 0; i < 3; i++) {
        bytes[0] = (uint8_t)i;
        footer_cache_put(cache, ctx_printf(&ctx, "k%d", i), view_of(bytes, sizeof bytes), 5);
    }
    assert_true(footer_cache_get(cache, &ctx, "k0", &got, &len));
    footer_cache_put(cache, "k3", view_of(bytes, sizeof bytes), 7);
    assert_true(footer_cache_bytes(cache) <= 4000);
    assert_true(footer_cache_get(cache, &ctx, "k0", &got, &len));
    assert_int_equal(got.ptr[0], 0);
    assert_false(footer_cache_get(cache, &ctx, "k1", &got, &len));
    assert_true(footer_cache_get(cache, &ctx, "k3", &got, &len));
    assert_int_equal(len, 7);
    footer_cache_drop(cache, "k3");
    footer_cache_drop(cache, "k3");
    assert_false(footer_cache_get(cache, &ctx, "k3", &got, &len));
    uint8_t huge[5000] = {0};
    footer_cache_put(cache, "huge", view_of(huge, sizeof huge), 9);
    assert_int_equal(footer_cache_bytes(cache), 0);
    ctx_fini(&ctx);
}

/* --- local ---------------------------------------------------------------------- */

static size_t s_count_tmp(const char *root)
{
    char path[128];
    snprintf(path, sizeof path, "%s/~tmp", root);
    size_t n = 0;
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir))
        n += entry->d_name[0] != '.';
    closedir(dir);
    return n;
}

static const char *s_fresh(ctx_t *ctx, const char *name)
{
    const char *path = ctx_printf(ctx, "%s/%s", s_dir, name);
    s_remove_tree(path);
    return path;
}

/* Fail each system call of a put in turn: the object is absent or whole, the
 * temporary file gone, and the next put succeeds. */
static void every_fault_of_a_put_leaves_nothing_half(void **state)
{
    (void)state;
    ctx_t ctx;
    ctx_init(&ctx);
    view_t body = store_test_body(&ctx, 1, B + 100);
    int nth = 0, full = 0, failed = 0;
    for (bool fired = true; fired; nth++) {
        const char *root = s_fresh(&ctx, "faults");
        owned(store) store = s_open_local((void *)root);
        fault_arm(nth);
        err_t err = store_put(&ctx, store, "a/b/c", body);
        fired = fault_disarm();
        assert_int_equal(s_count_tmp(root), 0);
        view_t got = {0};
        err_t there = store_get(&ctx, store, "a/b/c", &got);
        assert_true(there == ERR_KEY_NOT_FOUND || (there == OK && view_eq(got, body)));
        if (!fired) {
            assert_int_equal(err, OK);
            break;
        }
        assert_true(err == ERR_DISK || err == ERR_DISK_FULL || err == ERR_MEMORY);
        full += err == ERR_DISK_FULL;
        failed += err == ERR_DISK;
        assert_int_equal(store_put(&ctx, store, "a/b/c", body), OK);
    }
    assert_int_equal(full, 3);                  /* fallocate, body, footer */
    assert_true(failed >= 9);
    ctx_fini(&ctx);
}

static void every_fault_of_a_read_is_told(void **state)
{
    (void)state;
    ctx_t ctx;
    ctx_init(&ctx);
    view_t body = store_test_body(&ctx, 2, 2 * B);
    const char *root = s_fresh(&ctx, "reads");
    int failed = 0;
    for (int nth = 0; ; nth++) {
        owned(store) store = s_open_local((void *)root);
        assert_int_equal(store_put(&ctx, store, "r/x", body), OK);
        view_t whole = {0}, part = {0};
        store_list_t list = {0};
        store_mapping_t map = {0};
        fault_arm(nth);
        err_t err = store_get(&ctx, store, "r/x", &whole);
        err = err ? err : store_get_range(&ctx, store, "r/x", B, 10, &part);
        err = err ? err : store_list(&ctx, store, "r/", NULL, 10, &list);
        err = err ? err : store_map(&ctx, store, "r/x", &map);
        store_unmap(&map);
        err = err ? err : store_delete(&ctx, store, "r/x");
        if (!fault_disarm()) {
            assert_int_equal(err, OK);
            break;
        }
        if (err == OK)                          /* no footer kept, or read and not mapped */
            continue;
        assert_true(err == ERR_DISK || err == ERR_MEMORY);
        failed += err == ERR_DISK;
    }
    assert_true(failed >= 10);
    ctx_fini(&ctx);
}

static void every_fault_of_an_open_is_told(void **state)
{
    (void)state;
    ctx_t ctx;
    ctx_init(&ctx);
    for (int nth = 0; ; nth++) {
        store_t *store = NULL;
        const char *root = s_fresh(&ctx, "opens");
        fault_arm(nth);
        err_t err = store_local_open(&ctx, root, &store);
        if (!fault_disarm()) {
            assert_int_equal(err, OK);
            store_destroy(&store);
            assert_true(nth >= 7);
            break;
        }
        assert_int_equal(err, ERR_DISK);
        assert_non_null(strstr(ctx.text, "opens"));
        assert_null(store);
    }
    ctx_fini(&ctx);
}

static void s_touch(const char *root, const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", root, name);
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    close(fd);
}

/* A crash leaves files in ~tmp: they are never listed, and swept at open, but
 * not while another process has the directory. */
static void leftovers_are_swept_when_alone(void **state)
{
    (void)state;
    ctx_t ctx;
    ctx_init(&ctx);
    const char *root = s_fresh(&ctx, "sweep");
    store_t *store = s_open_local((void *)root);
    assert_int_equal(store_put(&ctx, store, "x", view_str("1")), OK);
    s_touch(root, "~tmp/0123456789abcdef-7");
    s_touch(root, "not a key");
    store_list_t list;
    assert_int_equal(store_list(&ctx, store, "", NULL, 10, &list), OK);
    assert_int_equal(list.n, 1);
    assert_string_equal(list.at[0].key, "x");

    store_t *second = s_open_local((void *)root);
    assert_int_equal(s_count_tmp(root), 1);     /* it could be the first one's */
    store_destroy(&second);
    store_destroy(&store);
    store = s_open_local((void *)root);
    assert_int_equal(s_count_tmp(root), 0);
    view_t got = {0};
    assert_int_equal(store_get(&ctx, store, "x", &got), OK);
    store_destroy(&store);
    ctx_fini(&ctx);
}

static void keys_cannot_be_directories_of_keys(void **state)
{
    ctx_t ctx;
    ctx_init(&ctx);
    owned(store) store = *state ? s_open_local((void *)s_fresh(&ctx, "clash")) : store_memory_new();
    assert_int_equal(store_put(&ctx, store, "a/b", view_str("1")), OK);
    assert_int_equal(store_put(&ctx, store, "a/b/c", view_str("1")), ERR_PARAM_INVALID);
    assert_int_equal(store_put(&ctx, store, "a/b/c/d", view_str("1")), ERR_PARAM_INVALID);
    assert_int_equal(store_put(&ctx, store, "a", view_str("1")), ERR_PARAM_INVALID);
    view_t got = {0};
    assert_int_equal(store_get(&ctx, store, "a", &got), ERR_KEY_NOT_FOUND);
    assert_int_equal(store_get(&ctx, store, "a/b/c", &got), ERR_KEY_NOT_FOUND);
    assert_int_equal(store_delete(&ctx, store, "a"), OK);
    assert_int_equal(store_put(&ctx, store, "a-b", view_str("1")), OK);
    assert_int_equal(store_delete(&ctx, store, "a/b"), OK);
    assert_int_equal(store_put(&ctx, store, "a/b/c", view_str("2")), OK);
    assert_int_equal(store_get(&ctx, store, "a/b/c", &got), OK);
    ctx_fini(&ctx);
}

/* More files than one batch of the walk holds, and empty directories between them. */
static void big_and_empty_directories_list(void **state)
{
    (void)state;
    ctx_t ctx;
    ctx_init(&ctx);
    const char *root = s_fresh(&ctx, "many");
    owned(store) store = s_open_local((void *)root);
    enum { N = 5000 };
    assert_int_equal(store_put(&ctx, store, "d/f", view_str("1")), OK);
    for (int i = 0; i < N; i++)
        s_touch(root, ctx_printf(&ctx, "d/%05d", (i * 7919) % N));
    for (int i = 0; i < 1500; i++)
        assert_int_equal(mkdir(ctx_printf(&ctx, "%s/d/%05d-", root, i * 3), 0700), 0);
    store_list_t list;
    size_t seen = 0;
    const char *after = NULL;
    do {
        assert_int_equal(store_list(&ctx, store, "d/", after, 700, &list), OK);
        for (size_t i = 0; i < list.n && seen < N; i++, seen++)
            assert_string_equal(list.at[i].key, ctx_printf(&ctx, "d/%05zu", seen));
        after = list.at[list.n - 1].key;
    } while (list.more);
    assert_int_equal(seen, N);
    assert_string_equal(after, "d/f");
    assert_int_equal(list.at[0].len_bytes, STORE_LEN_UNKNOWN);      /* empty files are no objects */
    ctx_fini(&ctx);
}

static void an_unusable_directory_is_told(void **state)
{
    (void)state;
    ctx_t ctx;
    ctx_init(&ctx);
    store_t *store = NULL;
    assert_int_equal(store_local_open(&ctx, "/proc/nothing/here", &store), ERR_DISK);
    assert_non_null(strstr(ctx.text, "/proc/nothing/here"));
    s_touch(s_dir, "plain-file");
    const char *plain = ctx_printf(&ctx, "%s/plain-file", s_dir);
    assert_int_equal(store_local_open(&ctx, plain, &store), ERR_DISK);
    assert_null(store);
    ctx_fini(&ctx);
}

/* In a child with a mount namespace of its own: a 1 MiB file system. */
static int s_fill_a_small_disk(const char *root)
{
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("tmpfs", root, "tmpfs", 0, "size=1m") != 0)
        return 77;
    ctx_t ctx;
    ctx_init(&ctx);
    store_t *store = s_open_local((void *)root);
    view_t body = store_test_body(&ctx, 3, 700 << 10), got = {0};
    bool good = store && store_put(&ctx, store, "first", body) == OK &&
                store_put(&ctx, store, "second", body) == ERR_DISK_FULL &&
                strstr(ctx.text, root) && s_count_tmp(root) == 0 &&
                store_get(&ctx, store, "second", &got) == ERR_KEY_NOT_FOUND &&
                store_get(&ctx, store, "first", &got) == OK && view_eq(got, body) &&
                store_delete(&ctx, store, "first") == OK &&
                store_put(&ctx, store, "second", body) == OK;
    if (!good)
        fprintf(stderr, "small disk: %s\n", ctx.text);
    store_destroy(&store);
    ctx_fini(&ctx);
    return good ? 0 : 1;
}

static void a_full_disk_is_told_and_survived(void **state)
{
    (void)state;
    ctx_t ctx;
    ctx_init(&ctx);
    const char *root = s_fresh(&ctx, "small");
    assert_int_equal(mkdir(root, 0700), 0);
    pid_t pid = fork();
    if (pid == 0)
        _exit(s_fill_a_small_disk(root));
    int status = 0;
    waitpid(pid, &status, 0);
    ctx_fini(&ctx);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77) {
        print_message("skipped: no right to mount a small file system\n");
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* --- the retry loop ---------------------------------------------------------------- */

/* A remote driver that fails so many times, then finds nothing. */
typedef struct flaky { int failures, calls; err_t with; } flaky_t;

static err_t s_flaky_head(ctx_t *ctx, void *impl, const char *key, uint64_t *ret_object_len)
{
    flaky_t *self = impl;
    if (self->calls++ < self->failures)
        return ctx_fail(ctx, self->with, "the weather");
    *ret_object_len = FOOTER_TAIL_BYTES;
    return OK;
}

static void s_flaky_destroy(void *impl) { (void)impl; }

static const store_driver_t s_flaky = { .name = "flaky", .remote = true, .head = s_flaky_head,
                                        .destroy = s_flaky_destroy };

static void failures_are_retried_until_the_deadline(void **state)
{
    (void)state;
    ctx_t ctx;
    ctx_init(&ctx);
    flaky_t flaky = { .failures = 3, .with = ERR_STORE };
    owned(store) store = store_new(&s_flaky, &flaky);
    uint64_t len = 0;
    assert_int_equal(store_head(&ctx, store, "k", &len), OK);
    assert_int_equal(flaky.calls, 4);

    flaky = (flaky_t){ .failures = 1000, .with = ERR_STORE };
    int64_t start = clock_mono_ms();
    ctx_limit_ms(&ctx, 200);
    assert_int_equal(store_head(&ctx, store, "k", &len), ERR_STORE);
    assert_true(clock_mono_ms() - start < 250);
    assert_true(flaky.calls >= 3);
    assert_non_null(strstr(ctx.text, "the weather"));
    assert_non_null(strstr(ctx.text, "gave up after"));

    ctx.deadline_ms = INT64_MAX;
    flaky = (flaky_t){ .failures = 1000, .with = ERR_DENIED };
    assert_int_equal(store_head(&ctx, store, "k", &len), ERR_DENIED);
    assert_int_equal(flaky.calls, 1);
    ctx_fini(&ctx);
}

int main(void)
{
    snprintf(s_dir, sizeof s_dir, "/tmp/elanus-store-XXXXXX");
    if (!mkdtemp(s_dir))
        return 1;
    char root[128];
    snprintf(root, sizeof root, "%s/conformance", s_dir);

    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_invert),
        cmocka_unit_test(the_footer_is_these_bytes),
        cmocka_unit_test(the_cache_forgets_the_oldest),
        cmocka_unit_test(every_fault_of_a_put_leaves_nothing_half),
        cmocka_unit_test(every_fault_of_a_read_is_told),
        cmocka_unit_test(every_fault_of_an_open_is_told),
        cmocka_unit_test(leftovers_are_swept_when_alone),
        cmocka_unit_test_prestate(keys_cannot_be_directories_of_keys, NULL),
        cmocka_unit_test_prestate(keys_cannot_be_directories_of_keys, s_dir),
        cmocka_unit_test(big_and_empty_directories_list),
        cmocka_unit_test(an_unusable_directory_is_told),
        cmocka_unit_test(a_full_disk_is_told_and_survived),
        cmocka_unit_test(failures_are_retried_until_the_deadline),
    };
    int failed = cmocka_run_group_tests_name("store", tests, NULL, NULL);
    failed += store_conformance_run("store on memory", s_open_memory, NULL, "c", false);
    failed += store_conformance_run("store on a local directory", s_open_local, root, "c", false);
    s_remove_tree(s_dir);
    return failed;
}
