/* wal_record: entries come back as written; damage anywhere is found; nothing is half added. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/base/crc.h"
#include "core/base/fault.h"
#include "core/wal/wal_record.h"

typedef struct rows { column_builder_t ids, names; } rows_t;

static void s_rows_up(rows_t *rows, size_t n)
{
    field_t id = { .id = 100, .type = TYPE_INT64 }, name = { .id = 101, .type = TYPE_VARCHAR };
    column_builder_init(&rows->ids, &id);
    column_builder_init(&rows->names, &name);
    for (size_t i = 0; i < n; i++) {
        int64_t v = (int64_t)i * 7;
        column_builder_add(&rows->ids, view_of(&v, sizeof v));
        if (i % 3 == 2)
            column_builder_add_null(&rows->names);
        else
            column_builder_add(&rows->names, view_of("abcdefghijk", i % 12));
    }
}

static void s_rows_down(rows_t *rows)
{
    column_builder_fini(&rows->ids);
    column_builder_fini(&rows->names);
}

/* One entry of each kind, at 50, 51, 52, 52. */
static err_t s_fill(ctx_t *ctx, wal_batch_t *batch, const rows_t *rows)
{
    column_t ids = column_builder_view(&rows->ids);
    wal_field_t fields[2] = { { 100, ids }, { 101, column_builder_view(&rows->names) } };
    wal_entry_t e = { .kind = WAL_INSERT, .timestamp = 50, .collection = 7, .partition = 8,
                      .segment = 9, .request = { 1, 2 }, .vchannel = view_str("ch0_7v0"),
                      .fields = fields, .n_fields = 2 };
    TRY(wal_batch_add(ctx, batch, &e));
    e.kind = WAL_UPSERT, e.timestamp = 51, e.deletes = &ids, e.early = true;
    TRY(wal_batch_add(ctx, batch, &e));
    e.kind = WAL_DELETE, e.early = false, e.timestamp = 52, e.fields = NULL, e.n_fields = 0;
    TRY(wal_batch_add(ctx, batch, &e));
    e.kind = WAL_BARRIER, e.deletes = NULL, e.note = view_str("flush");
    return wal_batch_add(ctx, batch, &e);
}

static const wal_link_t s_link = { .log = 77, .stable = 4, .at = { .epoch = 3, .seq = 5 },
                                   .prev = "0123456789abcde" };

static err_t s_read_all(ctx_t *ctx, view_t bytes, size_t *ret_n)
{
    wal_reader_t reader;
    TRY(wal_reader_open(ctx, &reader, bytes));
    *ret_n = 0;
    for (bool more = true;;) {
        wal_entry_t e;
        TRY(wal_reader_next(ctx, &reader, &e, &more));
        if (!more)
            return OK;
        ++*ret_n;
    }
}

static void entries_come_back(void **state)
{
    (void)state;
    ctx_t ctx;
    ctx_init(&ctx);
    rows_t rows;
    s_rows_up(&rows, 100);
    wal_batch_t batch;
    wal_batch_init(&batch, view_str("by-dev-rootcoord-dml_0"));
    assert_int_equal(s_fill(&ctx, &batch, &rows), OK);
    view_t bytes = {0};
    uint8_t hash[WAL_HASH_BYTES];
    assert_int_equal(wal_batch_seal(&ctx, &batch, &s_link, &bytes, hash), OK);
    assert_int_equal(bytes.len, wal_batch_len(&batch));
    wal_reader_t reader;
    assert_int_equal(wal_reader_open(&ctx, &reader, bytes), OK);
    assert_true(view_eq(reader.head.channel, view_str("by-dev-rootcoord-dml_0")));
    assert_memory_equal(reader.head.hash, hash, sizeof hash);
    assert_memory_equal(&reader.head.link, &s_link, sizeof s_link);
    assert_int_equal(reader.head.min_ts, 50);
    assert_int_equal(reader.head.max_ts, 52);
    wal_entry_t e;
    bool more = false;
    static const wal_kind_t kinds[] = { WAL_INSERT, WAL_UPSERT, WAL_DELETE, WAL_BARRIER };
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(wal_reader_next(&ctx, &reader, &e, &more), OK);
        assert_true(more && e.kind == kinds[i] && e.collection == 7 && e.partition == 8);
        assert_true(e.segment == 9 && e.request[0] == 1 && e.request[1] == 2);
        assert_true(view_eq(e.vchannel, view_str("ch0_7v0")));
        assert_int_equal(e.n_fields, i < 2 ? 2 : 0);
        assert_int_equal(e.deletes != NULL, i == 1 || i == 2);
        assert_int_equal(e.early, i == 1);
        for (size_t row = 0; e.n_fields && row < 100; row++) {
            assert_int_equal(load_i64(column_cell(&e.fields[0].column, row).ptr), (int64_t)row * 7);
            assert_int_equal(column_is_null(&e.fields[1].column, row), row % 3 == 2);
        }
        assert_int_equal(e.deletes ? e.deletes->n : 100, 100);
    }
    assert_true(view_eq(e.note, view_str("flush")));
    assert_int_equal(wal_reader_next(&ctx, &reader, &e, &more), OK);
    assert_false(more);
    wal_batch_fini(&batch);
    s_rows_down(&rows);
    ctx_fini(&ctx);
}

static void every_flip_and_cut_is_found(void **state)
{
    (void)state;
    ctx_t ctx;
    ctx_init(&ctx);
    rows_t rows;
    s_rows_up(&rows, 5);
    wal_batch_t batch;
    wal_batch_init(&batch, view_str("ch0"));
    assert_int_equal(s_fill(&ctx, &batch, &rows), OK);
    view_t bytes = {0};
    uint8_t hash[WAL_HASH_BYTES];
    size_t n = 0;
    assert_int_equal(wal_batch_seal(&ctx, &batch, &s_link, &bytes, hash), OK);
    for (size_t bit = 0; bit < bytes.len * 8; bit++) {
        batch.bytes.ptr[bit / 8] ^= (uint8_t)(1 << bit % 8);
        err_t err = s_read_all(&ctx, bytes, &n);
        assert_true(err == ERR_CORRUPT || (err == ERR_VERSION && bit / 8 >= 4 && bit / 8 < 6));
        assert_non_null(strstr(ctx.text, "log object"));
        batch.bytes.ptr[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t len = 0; len < bytes.len; len++)
        assert_int_equal(s_read_all(&ctx, view_of(bytes.ptr, len), &n), ERR_CORRUPT);
    assert_int_equal(s_read_all(&ctx, bytes, &n), OK);
    assert_int_equal(n, 4);
    wal_batch_fini(&batch);
    s_rows_down(&rows);
    ctx_fini(&ctx);
}

/* Nonsense under right checksums: the entries' own checks.  Never a crash, and whatever is
 * accepted can be walked. */
static void resealed_nonsense_is_survived(void **state)
{
    (void)state;
    ctx_t ctx;
    ctx_init(&ctx);
    rows_t rows;
    s_rows_up(&rows, 5);
    size_t n_refused = 0;
    for (size_t at = 0;; at++) {
        wal_batch_t batch;
        wal_batch_init(&batch, view_str("ch0"));
        assert_int_equal(s_fill(&ctx, &batch, &rows), OK);
        bool more = batch.head_len + at < batch.bytes.len;
        for (int v = 0; more && v < 4; v++) {
            static const uint8_t values[] = { 0, 1, 0x7f, 0xff };
            uint8_t *p = batch.bytes.ptr + batch.head_len + at, was = *p;
            *p = values[v];
            view_t bytes = {0};
            uint8_t hash[WAL_HASH_BYTES];
            size_t n = 0;
            assert_int_equal(wal_batch_seal(&ctx, &batch, &s_link, &bytes, hash), OK);
            err_t err = s_read_all(&ctx, bytes, &n);
            assert_true(err == OK || err == ERR_CORRUPT);
            n_refused += err != OK;
            batch.bytes.ptr[batch.head_len + at] = was;
        }
        wal_batch_fini(&batch);
        if (!more)
            break;
    }
    assert_true(n_refused > 500);
    s_rows_down(&rows);
    ctx_fini(&ctx);
}

static void a_failed_add_changes_nothing(void **state)
{
    (void)state;
    ctx_t ctx;
    ctx_init(&ctx);
    rows_t rows;
    s_rows_up(&rows, 1000);
    wal_batch_t batch;
    wal_batch_init(&batch, view_str("ch0"));
    for (int nth = 0;; nth++) {
        uint32_t n = batch.n;
        size_t len = batch.bytes.len;
        fault_arm(nth);
        err_t err = s_fill(&ctx, &batch, &rows);
        if (!fault_disarm()) {
            assert_int_equal(err, OK);
            break;
        }
        assert_int_equal(err, ERR_MEMORY);
        assert_true(batch.n >= n && batch.bytes.len >= len && buf_ok(&batch.bytes));
        wal_batch_fini(&batch);
        wal_batch_init(&batch, view_str("ch0"));
    }
    column_t big = { .type = TYPE_FLOAT_VECTOR, .width = 128, .n = 1 << 21, .cells = NULL };
    wal_field_t field = { 100, big };
    wal_entry_t e = { .kind = WAL_INSERT, .timestamp = 60, .fields = &field, .n_fields = 1 };
    size_t len = batch.bytes.len;
    assert_int_equal(wal_batch_add(&ctx, &batch, &e), ERR_PARAM_TOO_LARGE);
    assert_int_equal(batch.bytes.len, len);
    wal_batch_fini(&batch);
    s_rows_down(&rows);
    ctx_fini(&ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_come_back),
        cmocka_unit_test(every_flip_and_cut_is_found),
        cmocka_unit_test(resealed_nonsense_is_survived),
        cmocka_unit_test(a_failed_add_changes_nothing),
    };
    return cmocka_run_group_tests_name("wal_record", tests, NULL, NULL);
}
