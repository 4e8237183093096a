/* field_scalar: an index that is built from a segment's binlogs is the one that opens for that
 * field and no other; each fault on the way is reported, and leaves nothing behind. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/base/fault.h"
#include "core/segment/compact.h"
#include "core/segment/field_scalar.h"
#include "tests/support/random_rows.h"

enum { SEGMENT = 5, ROWS = 300, KEYS = 1000 };

static const struct { const char *field, *index; } s_kinds[] = {
    { "id", "STL_SORT" }, { "wide", "STL_SORT" }, { "big", "INVERTED" }, { "flag", "BITMAP" },
    { "text", "Trie" }, { "plain", "INVERTED" }, { "list", "INVERTED" }, { "list", "BITMAP" },
    { "mid", "AUTOINDEX" },
};

typedef struct world {
    ctx_t ctx;
    schema_t *schema;
    store_t *store;
    flush_t *flush;
    size_t rows;
} world_t;

static void s_init(world_t *w)
{
    rng_t rng;
    random_rows_t rows;
    flush_options_t options = { .attempt = 1, .part_bytes = 8 << 10 };     /* many parts */
    *w = (world_t){ .schema = random_rows_schema(TYPE_INT64), .store = store_memory_new() };
    ctx_init(&w->ctx);
    rng_seed(&rng, 11);
    growing_t *g = growing_new(w->schema, (segment_id_t){ 1, 2, SEGMENT });
    random_rows_init(&rows, w->schema);
    random_rows_add(&rows, w->schema, &rng, ROWS, KEYS);
    assert_int_equal(growing_append(&w->ctx, g, rows.columns, 10), OK);
    assert_int_equal(flush_growing(&w->ctx, g, UINT64_MAX, &options, &w->flush), OK);
    assert_int_equal(flush_put(&w->ctx, w->flush, w->store), OK);
    w->rows = flush_files(w->flush)->n_rows;
    random_rows_fini(&rows);
    growing_unref(&g);
}

static void s_fini(world_t *w)
{
    flush_destroy(&w->flush);
    store_destroy(&w->store);
    schema_unref(&w->schema);
    ctx_fini(&w->ctx);
}

static err_t s_build(world_t *w, const field_t *field, const char *index, store_t *into)
{
    const sealed_files_t *files = flush_files(w->flush);
    index_pair_t params[] = { { "index_type", index } };
    index_built_t built = {0};
    field_index_job_t job = {
        .segment = SEGMENT, .n_rows = w->rows, .field = field, .binlogs = files->binlogs,
        .n_binlogs = files->n_parts * (schema_len(w->schema) + 1), .params = params, .n_params = 1,
        .seed = 3, .prefix = "index/1/1",
    };
    err_t err = field_scalar_build(&w->ctx, into, &job, &built);
    assert_int_equal(built.n_objects, err == OK);
    assert_int_equal(built.rows, err == OK ? w->rows : 0);
    return err;
}

static err_t s_open(world_t *w, const field_t *field, size_t rows, field_scalar_t **ret)
{
    const char *object = "index/1/1/0";
    return field_scalar_open(&w->ctx, w->store, NULL, &object, 1, field, rows, ret);
}

static void what_was_built_opens(void **state)
{
    (void)state;
    world_t w;
    s_init(&w);
    for (size_t i = 0; i < ARRAY_LEN(s_kinds); i++) {
        const field_t *field = schema_by_name(w.schema, s_kinds[i].field);
        owned(field_scalar) scalar = NULL;
        scalar_type_t type;
        assert_true(scalar_type_parse(s_kinds[i].index, &type));
        assert_int_equal(s_build(&w, field, s_kinds[i].index, w.store), OK);
        assert_int_equal(s_open(&w, field, w.rows, &scalar), OK);
        assert_int_equal(scalar_index_spec(field_scalar_of(scalar))->type, type);
        assert_int_equal(scalar_index_rows(field_scalar_of(scalar)), w.rows);
        assert_int_equal(scalar_index_valid(field_scalar_of(scalar)) != NULL, field->nullable);
        assert_true(field_scalar_bytes(scalar) > 0);
    }
    s_fini(&w);
}

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    world_t w;
    s_init(&w);
    const field_t *mid = schema_by_name(w.schema, "mid");
    const field_t *vec = schema_by_name(w.schema, "vec");
    field_scalar_t *none = NULL;
    assert_int_equal(s_build(&w, mid, "Trie", w.store), ERR_INDEX_TYPE);
    assert_int_equal(s_build(&w, mid, "HNSW", w.store), ERR_INDEX_TYPE);
    assert_int_equal(s_build(&w, vec, "INVERTED", w.store), ERR_INDEX_TYPE);
    assert_int_equal(s_build(&w, mid, "INVERTED", w.store), OK);
    assert_int_equal(s_open(&w, mid, w.rows + 1, &none), ERR_CORRUPT);
    assert_int_equal(s_open(&w, schema_by_name(w.schema, "big"), w.rows, &none),
                     ERR_CORRUPT);
    assert_int_equal(field_scalar_open(&w.ctx, w.store, NULL, NULL, 0, mid, w.rows, &none),
                     ERR_CORRUPT);
    assert_int_equal(store_put(&w.ctx, w.store, "index/1/1/0", view_str("nothing")), OK);
    assert_int_equal(s_open(&w, mid, w.rows, &none), ERR_CORRUPT);
    assert_null(none);
    s_fini(&w);
}

static void every_fault_is_reported(void **state)
{
    (void)state;
    world_t w;
    s_init(&w);
    for (size_t i = 0; i < ARRAY_LEN(s_kinds); i++) {
        const field_t *field = schema_by_name(w.schema, s_kinds[i].field);
        int nth = 0;
        for (bool fired = true; fired; nth++) {
            owned(field_scalar) scalar = NULL;
            ctx_clear(&w.ctx);
            fault_arm(nth);
            err_t err = s_build(&w, field, s_kinds[i].index, w.store);
            if (err == OK)
                err = s_open(&w, field, w.rows, &scalar);
            fired = fault_disarm();
            /* OK after a fault: the store may go on without a cache */
            assert_true(err == OK || (fired && (err == ERR_MEMORY || err == ERR_STORE)));
            assert_int_equal(scalar != NULL, err == OK);
        }
        assert_true(nth > 3);
    }
    s_fini(&w);
}

/* Of numbers it is known; of texts and arrays it grows with their objects, up to what they may be,
 * and there is a least. */
static void what_a_build_needs_grows_with_its_texts(void **state)
{
    (void)state;
    enum { N = 1000, MIB = 1 << 20 };
    field_t number = { .type = TYPE_INT64 };
    assert_int_equal(field_scalar_need(&number, N, 0), field_scalar_need(&number, N, MIB));
    field_t text = { .type = TYPE_VARCHAR, .max_length = 65535 };
    field_t tiny = { .type = TYPE_VARCHAR, .max_length = 8 };
    field_t array = { .type = TYPE_ARRAY, .element = TYPE_INT32, .max_capacity = 4096 };
    field_t texts = { .type = TYPE_ARRAY, .element = TYPE_VARCHAR, .max_length = 65535,
                      .max_capacity = 4096 };
    const field_t *of[] = { &text, &array, &texts };
    for (size_t i = 0; i < ARRAY_LEN(of); i++) {
        uint64_t least = field_scalar_need(of[i], N, 0);
        assert_true(least >= N * 64);
        assert_true(field_scalar_need(of[i], N, MIB) >= least + 4 * MIB);
        assert_true(field_scalar_need(of[i], N, 2 * MIB) > field_scalar_need(of[i], N, MIB));
    }
    assert_true(field_scalar_need(&array, N, MIB) > field_scalar_need(&text, N, MIB));
    assert_int_equal(field_scalar_need(&tiny, N, MIB), field_scalar_need(&tiny, N, UINT32_MAX));
    assert_true(field_scalar_need(&tiny, N, MIB) < N * 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_built_opens),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(every_fault_is_reported),
        cmocka_unit_test(what_a_build_needs_grows_with_its_texts),
    };
    return cmocka_run_group_tests_name("field_scalar", tests, NULL, NULL);
}
