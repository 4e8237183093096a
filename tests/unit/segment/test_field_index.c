/* field_index: an index between store and memory.  Of each kind of vector one is built from the
 * binlogs of a segment and opened; every fault of store and memory on the way is reported, and
 * what does not belong to the segment is refused. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/base/fault.h"
#include "core/segment/field_index.h"
#include "core/segment/flush.h"
#include "tests/support/random_rows.h"

enum { ROWS = 200, OBJECTS_MOST = 8 };

typedef struct fixture {
    ctx_t ctx;
    store_t *store;
    copies_t *copies;
    schema_t *schema;
    flush_t *flush;
    const char *objects[OBJECTS_MOST];
    index_built_t built;
} fixture_t;

/* A type for each kind of vector, and those that read the store in ways of their own. */
static const struct { const char *field, *type, *metric, *params; } s_kinds[] = {
    { "vec", "IVF_FLAT", "L2", "{\"nlist\": 4}" },
    { "vec", "HNSW", "COSINE", "{\"M\": 4, \"efConstruction\": 20}" },
    { "vec", "DISKANN", "L2", "{}" },
    { "bits", "BIN_IVF_FLAT", "HAMMING", "{\"nlist\": 4}" },
    { "bytes", "IVF_FLAT", "IP", "{\"nlist\": 4}" },
    { "sparse", "SPARSE_INVERTED_INDEX", "IP", "{}" },
    { "maybe", "SPARSE_WAND", "IP", "{\"drop_ratio_build\": 0.2}" },
};

static void s_open(fixture_t *f, uint64_t seed)
{
    rng_t rng;
    random_rows_t batch;
    rng_seed(&rng, seed);
    *f = (fixture_t){ .store = store_memory_new(), .schema = random_rows_schema(TYPE_INT64) };
    ctx_init(&f->ctx);
    owned(growing) g = growing_new(f->schema, (segment_id_t){ 1, 2, 5 });
    random_rows_init(&batch, f->schema);
    random_rows_add(&batch, f->schema, &rng, ROWS, 1000000);
    assert_int_equal(growing_append(&f->ctx, g, batch.columns, 10), OK);
    flush_options_t options = { .attempt = 1, .part_bytes = 8000 };
    assert_int_equal(flush_growing(&f->ctx, g, UINT64_MAX, &options, &f->flush), OK);
    assert_int_equal(flush_put(&f->ctx, f->flush, f->store), OK);
    random_rows_fini(&batch);
}

static void s_close(fixture_t *f)
{
    flush_destroy(&f->flush);
    schema_unref(&f->schema);
    copies_unref(&f->copies);
    store_destroy(&f->store);
    ctx_fini(&f->ctx);
}

static const field_t *s_field(const fixture_t *f, size_t kind)
{
    size_t i = 0;
    while (strcmp(schema_at(f->schema, i)->name, s_kinds[kind].field) != 0)
        i++;
    return schema_at(f->schema, i);
}

static err_t s_build(fixture_t *f, size_t kind, uint64_t n_rows)
{
    const sealed_files_t *files = flush_files(f->flush);
    index_pair_t params[] = { { "index_type", s_kinds[kind].type },
                              { "metric_type", s_kinds[kind].metric },
                              { "params", s_kinds[kind].params } };
    field_index_job_t job = {
        .segment = files->id.segment, .n_rows = n_rows, .field = s_field(f, kind),
        .binlogs = files->binlogs, .n_binlogs = flush_binlogs(f->flush), .params = params,
        .n_params = ARRAY_LEN(params), .seed = 3, .prefix = "index/1/1",
    };
    return field_index_build(&f->ctx, f->store, &job, &f->built);
}

static err_t s_open_index(fixture_t *f, size_t kind, size_t n_rows, field_index_t **ret)
{
    assert_true(f->built.n_objects <= OBJECTS_MOST);
    for (size_t i = 0; i < f->built.n_objects; i++)
        f->objects[i] = ctx_printf(&f->ctx, "index/1/1/%zu", i);
    return field_index_open(&f->ctx, f->store, f->copies, f->objects, f->built.n_objects,
                            s_field(f, kind), n_rows, ret);
}

static void s_every_fault_of_a_build(fixture_t *f, size_t kind)
{
    for (int nth = 0; ; nth++) {
        ctx_clear(&f->ctx);
        fault_arm(nth);
        err_t err = s_build(f, kind, ROWS);
        bool fired = fault_disarm();
        /* OK after a fault: some memory makes things only quicker */
        assert_true(err == OK || (fired && (err == ERR_MEMORY || err == ERR_STORE)));
        assert_true(err == OK || (f->ctx.err == err && f->ctx.text[0]));
        if (!fired) {
            assert_true(nth > 8);
            break;
        }
    }
}

static void s_every_fault_of_an_open(fixture_t *f, size_t kind)
{
    for (int nth = 0; ; nth++) {
        owned(field_index) index = NULL;
        ctx_clear(&f->ctx);
        fault_arm(nth);
        err_t err = s_open_index(f, kind, ROWS, &index);
        bool fired = fault_disarm();
        assert_true(err == OK || (fired && (err == ERR_MEMORY || err == ERR_STORE)) ||
                    (fired && f->copies && (err == ERR_DISK || err == ERR_DISK_FULL)));
        assert_true((err == OK) == (index != NULL));
        if (!fired) {
            assert_true(nth >= 3);
            assert_int_equal(index_rows(field_index_of(index)), ROWS);
            assert_true(field_index_bytes(index) > 0);
            break;
        }
    }
}

static void every_fault_is_reported(void **state)
{
    (void)state;
    for (size_t kind = 0; kind < ARRAY_LEN(s_kinds); kind++) {
        fixture_t f;
        s_open(&f, kind);
        s_every_fault_of_a_build(&f, kind);
        s_every_fault_of_an_open(&f, kind);
        s_close(&f);
    }
}

static void what_does_not_belong_to_the_segment_is_refused(void **state)
{
    (void)state;
    fixture_t f;
    owned(field_index) index = NULL;
    s_open(&f, 1);
    assert_int_equal(s_build(&f, 5, ROWS + 1), ERR_CORRUPT);
    assert_int_equal(s_build(&f, 5, ROWS), OK);
    assert_int_equal(s_open_index(&f, 5, ROWS + 1, &index), ERR_CORRUPT);   /* other rows */
    assert_int_equal(s_open_index(&f, 0, ROWS, &index), ERR_CORRUPT);       /* another field */
    f.built.n_objects--;
    assert_int_equal(s_open_index(&f, 5, ROWS, &index), ERR_CORRUPT);       /* not all of it */
    f.built.n_objects += 2;
    assert_int_equal(s_open_index(&f, 5, ROWS, &index), ERR_KEY_NOT_FOUND);
    assert_null(index);
    s_close(&f);
}

static int s_remove(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st, (void)kind, (void)at;
    return remove(path);
}

/* The objects of a build, in a store of files. */
static void s_copy_to(fixture_t *f, store_t *files)
{
    for (size_t i = 0; i < f->built.n_objects; i++) {
        const char *key = ctx_printf(&f->ctx, "index/1/1/%zu", i);
        view_t body = {0};
        assert_int_equal(store_get(&f->ctx, f->store, key, &body), OK);
        assert_int_equal(store_put(&f->ctx, files, key, body), OK);
    }
}

static void s_search(fixture_t *f, const index_t *index, topk_hit_t *ret, size_t k)
{
    float *query = ctx_new(&f->ctx, index_spec(index)->dim * sizeof *query);
    index_ask_t ask = { .queries = query, .n_queries = 1, .want = k };
    topk_t *best = NULL;
    assert_int_equal(topk_new(&f->ctx, k, false, &best), OK);
    assert_int_equal(index_search(&f->ctx, index, &ask, &best), OK);
    assert_int_equal(topk_hits(best, ret), k);
    topk_destroy(&best);
}

/* Out of a store that has no files, but with a directory for copies. */
static void a_remote_index_is_in_files(void **state)
{
    (void)state;
    enum { TOPK = 5, DISKANN = 2 };
    char dir[] = "/tmp/elanus-field-index-XXXXXX";
    copies_options_t options = { .dir = dir, .least_bytes = 1 };
    assert_non_null(mkdtemp(dir));
    for (size_t kind = 0; kind <= DISKANN; kind += DISKANN) {
        fixture_t f;
        topk_hit_t by_memory[TOPK], by_files[TOPK];
        owned(field_index) kept = NULL;
        owned(field_index) left = NULL;
        s_open(&f, 1);
        assert_int_equal(s_build(&f, kind, ROWS), OK);
        assert_int_equal(s_open_index(&f, kind, ROWS, &kept), OK);
        assert_int_equal(copies_open(&f.ctx, &options, &f.copies), OK);
        s_every_fault_of_an_open(&f, kind);
        assert_int_equal(copies_bytes(f.copies), 0);
        assert_int_equal(s_open_index(&f, kind, ROWS, &left), OK);
        assert_int_equal(copies_bytes(f.copies), f.built.bytes);
        for (size_t i = 0; i < f.built.n_objects; i++)
            assert_int_equal(store_delete(&f.ctx, f.store, f.objects[i]), OK);
        s_search(&f, field_index_of(kept), by_memory, TOPK);
        s_search(&f, field_index_of(left), by_files, TOPK);
        assert_memory_equal(by_memory, by_files, sizeof by_files);
        assert_int_equal(field_index_mapped(kept), 0);
        assert_int_equal(field_index_mapped(left), kind == DISKANN ? 0 : f.built.bytes);
        assert_true((field_index_bytes(left) < field_index_bytes(kept)) == (kind == DISKANN));
        field_index_unref(&left);
        assert_int_equal(copies_bytes(f.copies), 0);
        s_close(&f);
    }
    assert_int_equal(rmdir(dir), 0);
}

/* Out of a store of files, records stay in them and are not counted as memory; answers are the
 * same. */
static void an_index_on_disk_stays_there(void **state)
{
    (void)state;
    enum { DISKANN = 2, TOPK = 5 };
    fixture_t f;
    char dir[] = "/tmp/elanus-field-index-XXXXXX";
    store_t *memory, *files = NULL;
    owned(field_index) kept = NULL;
    owned(field_index) left = NULL;
    topk_hit_t by_memory[TOPK], by_files[TOPK];
    s_open(&f, 1);
    memory = f.store;
    assert_non_null(mkdtemp(dir));
    assert_int_equal(store_local_open(&f.ctx, dir, &files), OK);
    assert_int_equal(s_build(&f, DISKANN, ROWS), OK);
    assert_int_equal(s_open_index(&f, DISKANN, ROWS, &kept), OK);
    s_copy_to(&f, files);
    f.store = files;
    assert_int_equal(s_open_index(&f, DISKANN, ROWS, &left), OK);
    assert_true(field_index_bytes(left) < field_index_bytes(kept));
    s_search(&f, field_index_of(kept), by_memory, TOPK);
    s_search(&f, field_index_of(left), by_files, TOPK);
    assert_memory_equal(by_memory, by_files, sizeof by_files);
    assert_int_equal(index_reads(field_index_of(kept)), 0);
    assert_true(index_reads(field_index_of(left)) > 0);
    for (size_t i = 0; i < f.built.n_objects; i++)
        assert_int_equal(store_delete(&f.ctx, files, f.objects[i]), OK);
    s_search(&f, field_index_of(left), by_files, TOPK);
    assert_memory_equal(by_memory, by_files, sizeof by_files);
    f.store = memory;
    store_destroy(&files);
    assert_int_equal(nftw(dir, s_remove, 8, FTW_DEPTH | FTW_PHYS), 0);
    s_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_fault_is_reported),
        cmocka_unit_test(what_does_not_belong_to_the_segment_is_refused),
        cmocka_unit_test(a_remote_index_is_in_files),
        cmocka_unit_test(an_index_on_disk_stays_there),
    };
    return cmocka_run_group_tests_name("field index", tests, NULL, NULL);
}
