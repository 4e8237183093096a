/* copies: bodies against the store's, of sizes around a part; what is refused for want of room,
 * and that the room comes back; every system call failing in turn; what processes that die leave
 * behind; damage below the checksums; memory while an object is copied. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/fault.h"
#include "core/base/limits.h"
#include "core/store/copies.h"
#include "core/store/store_int.h"
#include "tests/support/store_conformance.h"

enum { K = 1024, PART = LIMIT_STORE_COPY_BYTES };

typedef struct world {
    ctx_t ctx;
    char dir[64], below[80];
    store_t *store;             /* cannot map */
    copies_t *copies;
} world_t;

static copies_t *s_copies(world_t *w, uint64_t limit, double share)
{
    copies_options_t options = { .dir = w->below, .limit_bytes = limit, .share = share,
                                 .least_bytes = K };
    copies_t *copies = NULL;
    if (copies_open(&w->ctx, &options, &copies) != OK)
        fail_msg("%s", w->ctx.text);
    return copies;
}

static void s_begin(world_t *w)
{
    *w = (world_t){ .dir = "/tmp/elanus-copies-XXXXXX" };
    ctx_init(&w->ctx);
    assert_non_null(mkdtemp(w->dir));
    snprintf(w->below, sizeof w->below, "%s/some/local", w->dir);
    w->store = store_memory_new();
    w->copies = s_copies(w, 0, 0);
}

static size_t s_n_names(const world_t *w)
{
    size_t n = 0;
    DIR *dir = opendir(w->below);
    assert_non_null(dir);
    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir))
        n += entry->d_name[0] != '.';
    closedir(dir);
    return n;
}

static void s_end(world_t *w)
{
    assert_int_equal(copies_bytes(w->copies), 0);
    assert_int_equal(s_n_names(w), 0);
    copies_unref(&w->copies);
    store_destroy(&w->store);
    rmdir(w->below);
    rmdir(ctx_printf(&w->ctx, "%s/some", w->dir));
    assert_int_equal(rmdir(w->dir), 0);
    ctx_fini(&w->ctx);
}

static view_t s_put(world_t *w, const char *key, size_t len)
{
    view_t body = store_test_body(&w->ctx, len, len);
    assert_int_equal(store_put(&w->ctx, w->store, key, body), OK);
    return body;
}

static err_t s_map(world_t *w, const char *key, store_mapping_t *ret)
{
    return copies_map(&w->ctx, w->copies, w->store, key, ret);
}

static void bodies_are_in_files(void **state)
{
    (void)state;
    static const size_t sizes[] = { K, 64 * K, 64 * K + 1, PART - 1, PART, PART + 1, 2 * PART + 7 };
    world_t w;
    s_begin(&w);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        const char *key = ctx_printf(&w.ctx, "of/%zu", sizes[i]);
        view_t body = s_put(&w, key, sizes[i]);
        store_mapping_t map = {0};
        assert_int_equal(s_map(&w, key, &map), OK);
        assert_int_equal(copies_bytes(w.copies), sizes[i]);
        assert_int_equal(store_delete(&w.ctx, w.store, key), OK);
        assert_true(view_eq(map.body, body));
        assert_int_equal((uintptr_t)map.body.ptr % 4096, 0);
        store_map_file(w.store, key, &map);
        store_map_cool(&map);
        uint8_t last = 0;
        assert_true(map.file > 2);
        assert_int_equal(pread(map.file, &last, 1, (off_t)sizes[i] - 1), 1);
        assert_int_equal(last, body.ptr[sizes[i] - 1]);
        assert_int_equal(pread(map.file, &last, 1, (off_t)sizes[i]), 0);
        assert_true(view_eq(map.body, body));
        assert_int_equal(s_n_names(&w), 0);
        store_unmap(&map);
        store_unmap(&map);
        assert_int_equal(copies_bytes(w.copies), 0);
    }
    s_end(&w);
}

static void small_ones_and_local_ones_are_not_copied(void **state)
{
    (void)state;
    world_t w;
    s_begin(&w);
    view_t body = s_put(&w, "small", K - 1);
    store_mapping_t map = {0};
    assert_int_equal(s_map(&w, "small", &map), OK);
    assert_true(view_eq(map.body, body) && !map.mapped);
    assert_int_equal(copies_bytes(w.copies), 0);
    store_map_file(w.store, "small", &map);
    assert_int_equal(map.file, 0);
    store_unmap(&map);
    assert_int_equal(s_map(&w, "nothing", &map), ERR_KEY_NOT_FOUND);
    body = s_put(&w, "big", 9 * K);
    assert_int_equal(copies_map(&w.ctx, NULL, w.store, "big", &map), OK);
    assert_true(view_eq(map.body, body) && !map.mapped);
    store_unmap(&map);
    s_end(&w);
}

static void room_is_bounded_and_comes_back(void **state)
{
    (void)state;
    world_t w;
    s_begin(&w);
    s_put(&w, "x", 40 * K);
    s_put(&w, "y", 50 * K);
    copies_t *narrow = s_copies(&w, 100 * K, 0), *full = s_copies(&w, 0, 1e-9);
    store_mapping_t one = {0}, two = {0}, three = {0};
    assert_int_equal(copies_map(&w.ctx, narrow, w.store, "x", &one), OK);
    assert_int_equal(copies_map(&w.ctx, narrow, w.store, "y", &two), OK);
    assert_int_equal(copies_map(&w.ctx, narrow, w.store, "x", &three), ERR_DISK_FULL);
    assert_non_null(strstr(w.ctx.text, "elanus.query.disk"));
    assert_int_equal(copies_bytes(narrow), 90 * K);
    store_unmap(&two);
    assert_int_equal(copies_map(&w.ctx, narrow, w.store, "x", &three), OK);
    assert_int_equal(copies_map(&w.ctx, full, w.store, "y", &two), ERR_DISK_FULL);
    assert_non_null(strstr(w.ctx.text, "maxDiskUsagePercentage"));
    assert_int_equal(copies_bytes(full), 0);
    copies_unref(&narrow);                      /* before its mappings */
    copies_unref(&full);
    assert_true(view_eq(one.body, three.body));
    store_unmap(&one);
    store_unmap(&three);
    s_end(&w);
}

static void every_fault_is_told_and_leaves_nothing(void **state)
{
    (void)state;
    world_t w;
    s_begin(&w);
    view_t body = s_put(&w, "x", 3 * K);
    int disk = 0, full = 0, survived = 0, nth = 0;
    copies_t *copies = s_copies(&w, 0, 1);
    store_mapping_t map = {0};
    assert_int_equal(s_map(&w, "x", &map), OK);      /* its footer is known now */
    store_unmap(&map);
    for (;; nth++) {
        fault_arm(nth);
        err_t err = copies_map(&w.ctx, copies, w.store, "x", &map);
        bool fired = fault_disarm();
        if (err == OK) {
            assert_true(view_eq(map.body, body));
            assert_int_equal(copies_bytes(copies), 3 * K);
            store_unmap(&map);
        }
        assert_int_equal(copies_bytes(copies), 0);
        assert_int_equal(s_n_names(&w), 0);
        if (!fired)
            break;
        assert_true(err == OK || err == ERR_DISK || err == ERR_DISK_FULL || err == ERR_MEMORY ||
                    err == ERR_STORE);
        survived += err == OK;
        if (err == ERR_DISK || err == ERR_DISK_FULL)
            assert_non_null(strstr(w.ctx.text, w.below));
        disk += err == ERR_DISK;
        full += err == ERR_DISK_FULL;
    }
    assert_int_equal(full, 2);                  /* taking room, writing */
    assert_int_equal(disk, 3);                  /* looking for room, syncing, mapping */
    /* a footer that is asked for again; no O_TMPFILE, so that a file had a name for a moment */
    assert_int_equal(survived, 2);
    copies_unref(&copies);
    s_end(&w);
}

static void every_fault_of_an_open_is_told(void **state)
{
    (void)state;
    world_t w;
    s_begin(&w);
    copies_options_t options = { .dir = w.below };
    int failed = 0;
    for (int nth = 0;; nth++) {
        copies_t *copies = NULL;
        fault_arm(nth);
        err_t err = copies_open(&w.ctx, &options, &copies);
        if (!fault_disarm()) {
            assert_int_equal(err, OK);
            copies_unref(&copies);
            break;
        }
        failed += err == ERR_DISK;
        assert_true(err == OK ? copies != NULL : copies == NULL);
        copies_unref(&copies);
    }
    assert_int_equal(failed, 6);                /* four directories, opening, sweeping */
    options.dir = "/proc/nothing/here";
    copies_t *copies = NULL;
    assert_int_equal(copies_open(&w.ctx, &options, &copies), ERR_DISK);
    assert_non_null(strstr(w.ctx.text, options.dir));
    s_end(&w);
}

static void s_touch(const world_t *w, const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", w->below, name);
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    close(fd);
}

static void leftovers_are_swept_and_others_are_not(void **state)
{
    (void)state;
    world_t w;
    s_begin(&w);
    view_t body = s_put(&w, "x", 9 * K);
    store_mapping_t map = {0};
    assert_int_equal(s_map(&w, "x", &map), OK);
    s_touch(&w, "copy-0123456789abcdef");
    s_touch(&w, "somebody-elses");
    copies_t *second = s_copies(&w, 0, 0);      /* as another process in the same place would */
    assert_int_equal(s_n_names(&w), 1);
    assert_true(view_eq(map.body, body));
    store_map_file(w.store, "x", &map);
    uint8_t first = 0;
    assert_int_equal(pread(map.file, &first, 1, 0), 1);
    assert_int_equal(first, body.ptr[0]);
    copies_unref(&second);
    store_unmap(&map);
    unlinkat(AT_FDCWD, ctx_printf(&w.ctx, "%s/somebody-elses", w.below), 0);
    s_end(&w);
}

static void a_killed_process_leaves_nothing(void **state)
{
    (void)state;
    world_t w;
    int ready[2], status = 0;
    char word = 0;
    s_begin(&w);
    s_put(&w, "x", 9 * K);
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
        store_mapping_t map = {0};
        word = s_map(&w, "x", &map) == OK ? '1' : '0';
        if (write(ready[1], &word, 1) == 1)
            pause();
        _exit(0);
    }
    assert_int_equal(read(ready[0], &word, 1), 1);
    assert_int_equal(word, '1');
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, &status, 0), child);
    close(ready[0]);
    close(ready[1]);
    s_end(&w);
}

static void damage_is_found_on_the_way(void **state)
{
    (void)state;
    world_t w;
    s_begin(&w);
    s_put(&w, "x", 200 * K);
    store_sink_t sink = {0};
    store_mapping_t map = {0};
    const store_driver_t *driver = w.store->driver;
    assert_int_equal(driver->get(&w.ctx, w.store->impl, "x", 0, STORE_WHOLE, &sink), OK);
    sink.ptr[150 * K] ^= 4;
    store_parts_t parts = { .at = { view_of(sink.ptr, sink.len), view_of("", 0) } };
    assert_int_equal(driver->put(&w.ctx, w.store->impl, "x", &parts), OK);
    assert_int_equal(s_map(&w, "x", &map), ERR_CORRUPT);
    assert_null(map.body.ptr);
    s_end(&w);
}

/* Three parts pass through the room of less than two, and a cancelled errand ends. */
static void memory_is_that_of_a_part(void **state)
{
    (void)state;
    world_t w;
    s_begin(&w);
    s_put(&w, "x", 3 * PART);
    ctx_t small;
    store_mapping_t map = {0};
    ctx_init(&small);
    small.budget_bytes = PART + PART / 2;
    assert_int_equal(copies_map(&small, w.copies, w.store, "x", &map), OK);
    assert_true(small.arena.held_bytes < 64 * K);
    store_unmap(&map);
    ctx_cancel(&small);
    assert_int_equal(copies_map(&small, w.copies, w.store, "x", &map), ERR_CANCELED);
    ctx_fini(&small);
    s_end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies_are_in_files),
        cmocka_unit_test(small_ones_and_local_ones_are_not_copied),
        cmocka_unit_test(room_is_bounded_and_comes_back),
        cmocka_unit_test(every_fault_is_told_and_leaves_nothing),
        cmocka_unit_test(every_fault_of_an_open_is_told),
        cmocka_unit_test(leftovers_are_swept_and_others_are_not),
        cmocka_unit_test(a_killed_process_leaves_nothing),
        cmocka_unit_test(damage_is_found_on_the_way),
        cmocka_unit_test(memory_is_that_of_a_part),
    };
    return cmocka_run_group_tests_name("copies", tests, NULL, NULL);
}
