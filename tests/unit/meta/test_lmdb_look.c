/* meta_lmdb_look: what another process has open can be looked at, each look shows one moment, and
 * neither the one that writes nor the file feels it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/meta/meta.h"

enum { KEYS = 200, LOOKS = 40 };

static char s_dir[64];

static int s_up(void **state)
{
    (void)state;
    snprintf(s_dir, sizeof s_dir, "/tmp/elanus-look-XXXXXX");
    assert_non_null(mkdtemp(s_dir));
    return 0;
}

static int s_down(void **state)
{
    (void)state;
    char path[96];
    snprintf(path, sizeof path, "%s/data.mdb", s_dir);
    unlink(path);
    rmdir(s_dir);
    return 0;
}

/* All keys get the same number in one transaction, with a value that grows and shrinks. */
static void s_put_all(meta_t *meta, int number)
{
    ctx_t ctx;
    ctx_init(&ctx);
    meta_op_t ops[KEYS / 2];
    size_t pad = (size_t)(number * 37) % 3000;
    char *value = ctx_new(&ctx, pad + 16);
    memset(value, 'x', pad + 16);
    snprintf(value, 16, "%015d", number);
    for (int i = 0; i < KEYS / 2; i++)
        ops[i] = (meta_op_t){ .kind = META_PUT, .key = ctx_printf(&ctx, "key/%03d", i),
                              .value = view_of(value, pad + 16) };
    meta_txn_result_t result;
    assert_int_equal(meta_txn(&ctx, meta, &(meta_txn_t){ .ops = ops, .n_ops = KEYS / 2 }, &result),
                     OK);
    ctx_fini(&ctx);
}

static int s_look(int64_t *ret_rev)
{
    ctx_t ctx;
    ctx_init(&ctx);
    meta_t *meta = NULL;
    meta_items_t items = {0};
    int number = -1;
    err_t err = meta_lmdb_look(&ctx, s_dir, &meta);
    if (err == ERR_CONFLICT) {                  /* honest: the writer was too fast */
        ctx_fini(&ctx);
        return -1;
    }
    assert_int_equal(err, OK);
    assert_int_equal(meta_list(&ctx, meta, "key/", &items), OK);
    assert_int_equal(items.n, KEYS / 2);
    for (size_t i = 0; i < items.n; i++) {
        int here = (int)strtol((const char *)items.at[i].value.ptr, NULL, 10);
        assert_true(number < 0 || here == number);
        number = here;
    }
    *ret_rev = items.rev;
    meta_destroy(&meta);
    ctx_fini(&ctx);
    return number;
}

typedef struct { meta_t *meta; atomic_bool stop; atomic_int wrote; } writer_t;

static void *s_write(void *arg)
{
    writer_t *writer = arg;
    for (int i = 1; !atomic_load(&writer->stop); i++) {
        s_put_all(writer->meta, i);
        atomic_store(&writer->wrote, i);
    }
    return NULL;
}

static void a_look_is_one_moment_of_a_living_store(void **state)
{
    (void)state;
    ctx_t ctx;
    ctx_init(&ctx);
    writer_t writer = {0};
    pthread_t thread;
    assert_int_equal(meta_lmdb_open(&ctx, s_dir, &writer.meta), OK);
    s_put_all(writer.meta, 0);
    pthread_create(&thread, NULL, s_write, &writer);
    int64_t last = 0;
    for (int i = 0; i < LOOKS; i++) {
        int64_t rev = last;
        int before = atomic_load(&writer.wrote), seen = s_look(&rev);
        assert_true(seen < 0 || seen >= before);
        assert_true(rev >= last);
        last = rev;
    }
    atomic_store(&writer.stop, true);
    pthread_join(thread, NULL);
    assert_int_equal(s_look(&last), atomic_load(&writer.wrote));
    meta_destroy(&writer.meta);
    assert_int_equal(s_look(&last), atomic_load(&writer.wrote));    /* and when nobody runs */
    ctx_fini(&ctx);
}

static void nothing_can_be_written_through_it(void **state)
{
    (void)state;
    ctx_t ctx;
    ctx_init(&ctx);
    meta_t *meta = NULL;
    assert_int_equal(meta_lmdb_open(&ctx, s_dir, &meta), OK);
    s_put_all(meta, 1);
    meta_destroy(&meta);
    assert_int_equal(meta_lmdb_look(&ctx, s_dir, &meta), OK);
    meta_op_t op = { .kind = META_PUT, .key = "x", .value = view_str("y") };
    meta_txn_result_t result;
    assert_int_equal(meta_txn(&ctx, meta, &(meta_txn_t){ .ops = &op, .n_ops = 1 }, &result),
                     ERR_META);
    meta_destroy(&meta);
    ctx_fini(&ctx);
}

static void what_is_no_metadata_is_told(void **state)
{
    (void)state;
    ctx_t ctx;
    ctx_init(&ctx);
    meta_t *meta = NULL;
    char path[96];
    snprintf(path, sizeof path, "%s/data.mdb", s_dir);
    assert_int_equal(meta_lmdb_look(&ctx, s_dir, &meta), ERR_KEY_NOT_FOUND);
    assert_non_null(strstr(ctx.text, s_dir));
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    assert_int_equal(write(fd, "nonsense", 8), 8);
    assert_int_equal(ftruncate(fd, 1 << 16), 0);
    assert_int_equal(meta_lmdb_look(&ctx, s_dir, &meta), ERR_CORRUPT);
    close(fd);
    unlink(path);
    assert_int_equal(meta_lmdb_open(&ctx, s_dir, &meta), OK);
    s_put_all(meta, 2999);
    meta_destroy(&meta);
    assert_int_equal(truncate(path, 3 * 4096), 0);
    assert_int_equal(meta_lmdb_look(&ctx, s_dir, &meta), ERR_CORRUPT);
    assert_non_null(strstr(ctx.text, "cut off"));
    assert_null(meta);
    ctx_fini(&ctx);
}

#define T(f) cmocka_unit_test_setup_teardown(f, s_up, s_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_look_is_one_moment_of_a_living_store),
        T(nothing_can_be_written_through_it),
        T(what_is_no_metadata_is_told),
    };
    return cmocka_run_group_tests_name("lmdb_look", tests, NULL, NULL);
}
