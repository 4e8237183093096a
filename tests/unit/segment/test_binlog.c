/* binlog: columns of every type, with and without nulls, in one and many pieces, come
 * back cell by cell, read whole, by rows, from memory and from a store; every flipped
 * byte and every cut of small files is refused; each fault is reported. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/base/fault.h"
#include "core/segment/binlog.h"
#include "tests/support/random_rows.h"

enum { KEYS = 1000, PIECES_MOST = 8 };

typedef struct fixture {
    ctx_t ctx;
    schema_t *schema;
    random_rows_t pieces[PIECES_MOST];
    size_t n_pieces, n;
} fixture_t;

static void s_up(fixture_t *fx, uint64_t seed, size_t n_pieces, size_t rows_each)
{
    rng_t rng;
    rng_seed(&rng, seed);
    ctx_init(&fx->ctx);
    fx->schema = random_rows_schema(TYPE_INT64);
    fx->n_pieces = n_pieces;
    fx->n = 0;
    for (size_t i = 0; i < n_pieces; i++) {
        random_rows_init(&fx->pieces[i], fx->schema);
        random_rows_add(&fx->pieces[i], fx->schema, &rng, rng_below(&rng, rows_each + 1), KEYS);
        fx->n += fx->pieces[i].columns[0].n;
    }
}

static void s_down(fixture_t *fx)
{
    for (size_t i = 0; i < fx->n_pieces; i++)
        random_rows_fini(&fx->pieces[i]);
    schema_unref(&fx->schema);
    ctx_fini(&fx->ctx);
}

static err_t s_write(fixture_t *fx, size_t field, buf_t *into)
{
    column_t columns[PIECES_MOST];
    for (size_t i = 0; i < fx->n_pieces; i++)
        columns[i] = fx->pieces[i].columns[field];
    const field_t *f = schema_at(fx->schema, field);
    binlog_head_t head = { .field = f->id, .segment = 77, .first = 640,
                           .raw = type_is_vector(f->type) };
    return binlog_write(&fx->ctx, &head, columns, fx->n_pieces, into);
}

/* c holds rows [from, from + c->n) of the pieces. */
static void s_assert_rows(const fixture_t *fx, size_t field, size_t from, const column_t *c)
{
    size_t row = 0;
    for (size_t i = 0; i < fx->n_pieces; i++)
        for (size_t k = 0; k < fx->pieces[i].columns[0].n; k++, row++)
            if (row >= from && row < from + c->n)
                assert_true(random_rows_same(c, row - from, &fx->pieces[i].columns[field], k));
    assert_true(from + c->n <= row);
}

static void s_read_all_ways(fixture_t *fx, const binlog_t *b, size_t field, rng_t *rng)
{
    ctx_t ctx;
    ctx_init(&ctx);
    column_t c;
    void *memory = NULL;
    assert_int_equal(binlog_rows(b), fx->n);
    assert_int_equal(binlog_expect(&ctx, b, schema_at(fx->schema, field), 77, 640), OK);
    assert_int_equal(binlog_expect(&ctx, b, schema_at(fx->schema, field), 78, 640), ERR_CORRUPT);
    assert_int_equal(binlog_load(&ctx, b, &memory, &c), OK);
    assert_int_equal(c.n, fx->n);
    assert_int_equal((uintptr_t)c.cells % (c.n && memory ? 64 : 1), 0);
    s_assert_rows(fx, field, 0, &c);
    mem_free(memory);
    for (int i = 0; i < 6; i++) {
        size_t from = rng_below(rng, fx->n / 64 + 1) * 64, n = rng_below(rng, fx->n - from + 1);
        assert_int_equal(binlog_read(&ctx, b, from, n, &c), OK);
        assert_int_equal(c.n, n);
        s_assert_rows(fx, field, from, &c);
    }
    ctx_fini(&ctx);
}

/* Files must be aligned; a buf is. */
static void columns_come_back(void **state)
{
    (void)state;
    rng_t rng;
    rng_seed(&rng, 3);
    store_t *store = store_memory_new();
    for (uint64_t seed = 1; seed <= 8; seed++) {
        fixture_t fx;
        s_up(&fx, seed, 1 + seed % 4, seed == 8 ? 12000 : 400);
        for (size_t field = 0; field < schema_len(fx.schema); field++) {
            buf_scoped file = {0};
            owned(binlog) b = NULL;
            owned(binlog) far = NULL;
            assert_int_equal(s_write(&fx, field, &file), OK);
            assert_int_equal(binlog_open(&fx.ctx, buf_view(&file), "b", &b), OK);
            s_read_all_ways(&fx, b, field, &rng);
            assert_int_equal(store_put(&fx.ctx, store, "k/1", buf_view(&file)), OK);
            assert_int_equal(binlog_open_store(&fx.ctx, store, "k/1", &far), OK);
            s_read_all_ways(&fx, far, field, &rng);
            assert_int_equal(store_delete(&fx.ctx, store, "k/1"), OK);
        }
        s_down(&fx);
    }
    store_destroy(&store);
}

static void nothing_is_a_binlog_too(void **state)
{
    (void)state;
    fixture_t fx;
    s_up(&fx, 1, 1, 0);
    for (size_t field = 0; field < schema_len(fx.schema); field++) {
        buf_scoped file = {0};
        owned(binlog) b = NULL;
        rng_t rng;
        rng_seed(&rng, 1);
        assert_int_equal(s_write(&fx, field, &file), OK);
        assert_int_equal(binlog_open(&fx.ctx, buf_view(&file), "b", &b), OK);
        s_read_all_ways(&fx, b, field, &rng);
    }
    s_down(&fx);
}

static void pages_know_their_range(void **state)
{
    (void)state;
    fixture_t fx;
    s_up(&fx, 8, 4, 20000);
    static const size_t fields[] = { 0, 2, 5, 6, 7 };
    for (size_t k = 0; k < ARRAY_LEN(fields); k++) {
        buf_scoped file = {0};
        owned(binlog) b = NULL;
        assert_int_equal(s_write(&fx, fields[k], &file), OK);
        assert_int_equal(binlog_open(&fx.ctx, buf_view(&file), "b", &b), OK);
        for (size_t page = 0; page < binlog_pages(b); page++) {
            size_t first = 0, n = 0;
            uint64_t min = 0, max = 0;
            if (!binlog_range(b, page, &first, &n, &min, &max))
                continue;
            column_t c;
            assert_int_equal(binlog_read(&fx.ctx, b, first, n, &c), OK);
            bool met_min = false;
            for (size_t i = 0; fields[k] == 0 && i < n; i++) {
                int64_t v = load_i64(column_cell(&c, i).ptr);
                assert_true(v >= (int64_t)min && v <= (int64_t)max);
                met_min |= v == (int64_t)min;
            }
            assert_true(met_min || fields[k] != 0);
        }
    }
    s_down(&fx);
}

/* Open and load all of it; what a wrong byte could spoil. */
static err_t s_try(view_t file)
{
    ctx_t ctx;
    ctx_init(&ctx);
    owned(binlog) b = NULL;
    void *memory = NULL;
    column_t c;
    err_t err = binlog_open(&ctx, file, "some/key", &b);
    if (err == OK)
        err = binlog_load(&ctx, b, &memory, &c);
    if (err != OK) {
        assert_non_null(strstr(ctx.text, "some/key"));
        assert_null(memory);
    }
    mem_free(memory);
    ctx_fini(&ctx);
    return err;
}

static void damage_is_found(void **state)
{
    (void)state;
    static const size_t fields[] = { 0, 1, 8, 12, 16, 17, 18 };
    fixture_t fx;
    s_up(&fx, 4, 2, 60);
    for (size_t k = 0; k < ARRAY_LEN(fields); k++) {
        buf_scoped file = {0};
        assert_int_equal(s_write(&fx, fields[k], &file), OK);
        assert_int_equal(s_try(buf_view(&file)), OK);
        for (size_t at = 0; at < file.len; at++) {
            uint8_t was = file.ptr[at];
            file.ptr[at] = (uint8_t)(was ^ (1u << (at % 8)));
            assert_int_equal(s_try(buf_view(&file)), ERR_CORRUPT);
            file.ptr[at] = was;
        }
        for (size_t len = 0; len < file.len; len++)
            assert_int_equal(s_try(view_of(file.ptr, len)), ERR_CORRUPT);
        buf_add(&file, "", 1);
        assert_int_equal(s_try(buf_view(&file)), ERR_CORRUPT);
    }
    s_down(&fx);
}

static void every_fault_is_reported(void **state)
{
    (void)state;
    fixture_t fx;
    s_up(&fx, 5, 3, 300);
    store_t *store = store_memory_new();
    static const size_t fields[] = { 8, 12, 18 };
    for (size_t k = 0; k < ARRAY_LEN(fields); k++) {
        for (int nth = 0; ; nth++) {
            buf_scoped file = {0};
            fault_arm(nth);
            err_t err = s_write(&fx, fields[k], &file);
            if (!fault_disarm()) {
                assert_int_equal(err, OK);
                assert_int_equal(store_put(&fx.ctx, store, "k/1", buf_view(&file)), OK);
                break;
            }
            assert_int_equal(err, ERR_MEMORY);
        }
        for (int nth = 0; ; nth++) {
            owned(binlog) b = NULL;
            void *memory = NULL;
            column_t c;
            fault_arm(nth);
            err_t err = binlog_open_store(&fx.ctx, store, "k/1", &b);
            if (err == OK)
                err = binlog_load(&fx.ctx, b, &memory, &c);
            bool fired = fault_disarm();
            mem_free(memory);
            if (!fired) {
                assert_int_equal(err, OK);
                break;
            }
            /* OK: the store may go on without its cache of footers */
            assert_true(err == OK || err == ERR_MEMORY || err == ERR_STORE);
        }
        assert_int_equal(store_delete(&fx.ctx, store, "k/1"), OK);
    }
    store_destroy(&store);
    s_down(&fx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_come_back),
        cmocka_unit_test(nothing_is_a_binlog_too),
        cmocka_unit_test(pages_know_their_range),
        cmocka_unit_test(damage_is_found),
        cmocka_unit_test(every_fault_is_reported),
    };
    return cmocka_run_group_tests_name("binlog", tests, NULL, NULL);
}
