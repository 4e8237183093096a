/* growing_page: pages of a segment, put together, are the segment, whatever their size; a damaged
 * page, one out of turn and each refused allocation leave the copy as it was. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>

#include "core/base/fault.h"
#include "core/segment/growing_page.h"
#include "tests/support/random_rows.h"

typedef struct fixture {
    ctx_t ctx;
    schema_t *schema;
    growing_t *from, *copy;
} fixture_t;

static int s_setup(void **state)
{
    fixture_t *f = mem_new(sizeof *f);
    rng_t rng;
    rng_seed(&rng, 21);
    ctx_init(&f->ctx);
    f->schema = random_rows_schema(TYPE_VARCHAR);
    f->from = growing_new(f->schema, (segment_id_t){ 1, 2, 3 });
    f->copy = growing_new(f->schema, (segment_id_t){ 1, 2, 3 });
    for (uint64_t ts = 1; ts <= 60; ts++) {
        random_rows_t batch;
        random_rows_init(&batch, f->schema);
        random_rows_add(&batch, f->schema, &rng, 1 + (size_t)rng_below(&rng, 50), 100000);
        assert_int_equal(growing_append(&f->ctx, f->from, batch.columns, ts / 2), OK);
        random_rows_fini(&batch);
    }
    *state = f;
    return 0;
}

static int s_teardown(void **state)
{
    fixture_t *f = *state;
    growing_unref(&f->from);
    growing_unref(&f->copy);
    schema_unref(&f->schema);
    ctx_fini(&f->ctx);
    mem_free(f);
    return 0;
}

static size_t s_page(fixture_t *f, size_t most_bytes, buf_t *page)
{
    growing_snapshot_t snap = growing_at(f->from, UINT64_MAX);
    size_t n = 0;
    buf_reset(page);
    assert_int_equal(growing_page_write(&f->ctx, &snap, growing_rows(f->copy), most_bytes, page,
                                        &n), OK);
    assert_true(n > 0);
    return n;
}

/* The rows of b's block in a, whose blocks are others. */
static void s_same_block(fixture_t *f, const growing_snapshot_t *a, const growing_snapshot_t *b,
                         size_t block)
{
    segment_block_t rows = growing_block(b, block);
    for (size_t i = 0; i < schema_len(f->schema); i++) {
        column_t want, got;
        assert_int_equal(growing_column(&f->ctx, b, block, i, &want), OK);
        for (size_t row = 0; row < rows.n; row++) {
            size_t other = growing_block_of(a, rows.first + row);
            segment_block_t at = growing_block(a, other);
            size_t there = rows.first + row - at.first;
            assert_int_equal(growing_column(&f->ctx, a, other, i, &got), OK);
            assert_true(random_rows_same(&got, there, &want, row));
            assert_int_equal(at.ts[there], rows.ts[row]);
        }
    }
}

static void s_same(fixture_t *f)
{
    growing_snapshot_t a = growing_at(f->copy, UINT64_MAX), b = growing_at(f->from, UINT64_MAX);
    assert_int_equal(a.n, b.n);
    assert_int_equal(growing_max_ts(f->copy), growing_max_ts(f->from));
    assert_int_equal(growing_min_ts(f->copy), growing_min_ts(f->from));
    for (size_t block = 0; block < b.n_blocks; block++)
        s_same_block(f, &a, &b, block);
}

static void pages_together_are_the_segment(void **state)
{
    fixture_t *f = *state;
    static const size_t s_sizes[] = { 1, 700, 20000, 1 << 20, 3000, 1 };
    buf_scoped page = {0};
    size_t pages = 0;
    buf_init(&page, 0);
    for (; growing_rows(f->copy) < growing_rows(f->from); pages++) {
        (void)s_page(f, s_sizes[pages % ARRAY_LEN(s_sizes)], &page);
        buf_t odd;                              /* at an odd address, like bytes of a message */
        buf_init(&odd, 0);
        buf_add_u8(&odd, 0);
        buf_add_view(&odd, buf_view(&page));
        view_t view = view_of(odd.ptr + 1, odd.len - 1);
        assert_int_equal(growing_page_read(&f->ctx, f->copy, view), OK);
        buf_fini(&odd);
    }
    assert_true(pages > 6);
    s_same(f);
}

static void a_wrong_page_changes_nothing(void **state)
{
    fixture_t *f = *state;
    buf_scoped page = {0};
    buf_init(&page, 0);
    size_t n = s_page(f, 3000, &page);
    for (size_t at = 0; at < page.len; at += 1 + at / 8) {
        page.ptr[at] ^= 0x10;
        assert_int_equal(growing_page_read(&f->ctx, f->copy, buf_view(&page)), ERR_CORRUPT);
        page.ptr[at] ^= 0x10;
        assert_int_equal(growing_page_read(&f->ctx, f->copy, view_of(page.ptr, at)), ERR_CORRUPT);
    }
    assert_int_equal(growing_rows(f->copy), 0);
    assert_int_equal(growing_page_read(&f->ctx, f->copy, buf_view(&page)), OK);
    assert_int_equal(growing_page_read(&f->ctx, f->copy, buf_view(&page)), ERR_CORRUPT);
    assert_int_equal(growing_rows(f->copy), n);
}

static void each_refused_allocation_is_made_good(void **state)
{
    fixture_t *f = *state;
    int refused = 0;
    for (int nth = 0; growing_rows(f->copy) < growing_rows(f->from); nth++) {
        growing_snapshot_t snap = growing_at(f->from, UINT64_MAX);
        size_t n = 0, before = growing_rows(f->copy);
        buf_scoped page = {0};
        buf_init(&page, 0);
        fault_arm(nth);
        err_t err = growing_page_write(&f->ctx, &snap, before, 2000, &page, &n);
        if (err == OK)
            err = growing_page_read(&f->ctx, f->copy, buf_view(&page));
        bool fired = fault_disarm();
        assert_int_equal(err, fired ? ERR_MEMORY : OK);
        assert_int_equal(growing_rows(f->copy), fired ? before : before + n);
        refused += fired;
        nth = fired ? nth : -1;
    }
    assert_true(refused > 10);
    s_same(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(pages_together_are_the_segment, s_setup, s_teardown),
        cmocka_unit_test_setup_teardown(a_wrong_page_changes_nothing, s_setup, s_teardown),
        cmocka_unit_test_setup_teardown(each_refused_allocation_is_made_good, s_setup, s_teardown),
    };
    return cmocka_run_group_tests_name("growing page", tests, NULL, NULL);
}
