/* row_hash and write_plan: known hashes; every row and key in the one object where it belongs,
 * in order; of rows with one key the last; every memory fault.
 *
 * What an object holds is read back with the log's own reader. */
#include "core/base/fault.h"
#include "core/wal/wal_record.h"
#include "proxy/row_hash.h"
#include "proxy/write_plan.h"
#include "tests/support/field_data.h"

static const char *const s_vchannels[] = { "dml_0_7v0", "dml_1_7v1", "dml_2_7v2" };
static const int64_t s_partitions[] = { 70, 71, 72, 73 };

/* 34 is from the Iceberg specification's table of the same hash; the others from a murmur3
 * in Python that agrees with published vectors. */
static void hashes_are_milvuss(void **state)
{
    (void)state;
    assert_int_equal(row_hash_int64(34), 2017239379);
    assert_int_equal(row_hash_int64(0), 1669671676);
    assert_int_equal(row_hash_int64(1), 1392991556);
    assert_int_equal(row_hash_int64(-1), 1651860712);       /* without the sign bit */
    assert_int_equal(row_hash_int64(INT64_MIN), 1366273829);
    assert_int_equal(row_hash_int64(450000000000000001), 796121180);
    assert_int_equal(row_hash_text(view_str("")), 0);
    assert_int_equal(row_hash_text(view_str("123456789")), 0xcbf43926);     /* CRC-32's own */
    char text[101];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = "kite"[i % 4];
    assert_int_equal(row_hash_text(view_of(text, 100)), 2656327431);
    assert_int_equal(row_hash_text(view_of(text, 101)), 2656327431);        /* 100 bytes count */
}

/* --- a plan and what it makes ------------------------------------------------------------ */

static const field_t s_text_key = { .name = "id", .type = TYPE_VARCHAR, .max_length = 20,
                                    .primary_key = true };
static const field_t s_group = { .name = "group", .type = TYPE_INT64, .partition_key = true };

static write_plan_t s_plan(schema_t *schema, size_t n_shards, size_t n_partitions)
{
    return (write_plan_t){
        .schema = schema, .collection = 7, .n_shards = n_shards, .request = { 11, 12 },
        .partitions = s_partitions, .n_partitions = n_partitions, .delete_partition = 70,
    };
}

typedef void s_entry_fn(const wal_entry_t *entry, size_t shard, void *arg);

/* Make the object of a shard and show each of its entries. */
static void s_open(const write_plan_t *plan, size_t shard, s_entry_fn *fn, void *arg)
{
    buf_scoped object = {0};
    ctx_t scratch;
    ctx_init(&scratch);
    assert_int_equal(write_plan_object(&scratch, plan, shard, s_vchannels[shard], 5, &object), OK);
    wal_reader_t reader;
    wal_entry_t entry;
    bool more = true;
    assert_int_equal(wal_reader_open(&scratch, &reader, buf_view(&object)), OK);
    assert_int_equal(reader.head.link.at.epoch, 5);
    assert_int_equal(reader.head.channel.len, strlen("dml_0"));
    assert_memory_equal(reader.head.channel.ptr, s_vchannels[shard], strlen("dml_0"));
    for (;;) {
        assert_int_equal(wal_reader_next(&scratch, &reader, &entry, &more), OK);
        if (!more)
            break;
        assert_int_equal(entry.collection, 7);
        assert_int_equal(entry.timestamp, 0);
        assert_int_equal(entry.segment, 0);
        assert_true(entry.request[0] == 11 && entry.request[1] == 12);
        assert_true(view_eq(entry.vchannel, view_str(s_vchannels[shard])));
        fn(&entry, shard, arg);
    }
    ctx_fini(&scratch);
}

typedef struct { size_t rows, keys; int64_t last; bool keys_first; } count_t;

static void s_count_ints(const wal_entry_t *entry, size_t shard, void *arg)
{
    count_t *count = arg;
    const column_t *keys = entry->deletes ? entry->deletes : &entry->fields[0].column;
    for (size_t i = 0; i < keys->n; i++) {
        int64_t key = load_i64(column_cell(keys, i).ptr);
        assert_int_equal(row_hash_int64(key) % 3, shard);
        if (entry->deletes)
            continue;
        assert_int_equal(entry->fields[0].id, FIELD_FIRST);
        assert_int_equal(entry->fields[1].id, FIELD_FIRST + 1);
        float x;
        memcpy(&x, column_cell(&entry->fields[1].column, i).ptr, sizeof x);
        assert_true(x == (float)key);           /* the row's other cells came along */
        assert_true(i == 0 || key > count->last);
        count->last = key;
    }
    count->rows += entry->deletes ? 0 : keys->n;
    count->keys += entry->deletes ? keys->n : 0;
    if (entry->deletes) {
        assert_int_equal(entry->kind, WAL_DELETE);
        assert_int_equal(entry->partition, 70);
        count->keys_first = count->rows == 0;
    }
}

/* Rows 0..n-1 with key i and vector (i, 0). */
static rows_t s_rows(schema_t *schema, rows_kind_t kind, size_t n)
{
    int64_t *keys = ctx_new(&fd_ctx, n * sizeof *keys);
    float *cells = ctx_new(&fd_ctx, 2 * n * sizeof *cells);
    for (size_t i = 0; i < n; i++) {
        keys[i] = (int64_t)i;
        cells[2 * i] = (float)i;
    }
    return fd_take(kind, schema, (uint32_t)n, DATA(fd_longs("id", keys, n),
                                                   fd_float_vectors("vec", 2, cells, 2 * n)));
}

static void rows_go_to_their_shards(void **state)
{
    (void)state;
    owned(schema) schema = SCHEMA(fd_vec);
    rows_t rows = s_rows(schema, ROWS_INSERT, 1000);
    write_plan_t plan = s_plan(schema, 3, 1);
    assert_int_equal(write_plan_rows(&fd_ctx, &plan, &rows, false), OK);
    count_t all = {0};
    for (size_t shard = 0; shard < 3; shard++) {
        count_t count = { .last = -1 };
        assert_true(write_plan_touches(&plan, shard));
        s_open(&plan, shard, s_count_ints, &count);
        assert_int_equal(count.keys, 0);
        assert_true(count.rows > 250);
        all.rows += count.rows;
    }
    assert_int_equal(all.rows, 1000);
}

static void an_upsert_deletes_before_it_inserts(void **state)
{
    (void)state;
    owned(schema) schema = SCHEMA(fd_vec);
    rows_t rows = s_rows(schema, ROWS_UPSERT, 100);
    write_plan_t plan = s_plan(schema, 3, 1);
    assert_int_equal(write_plan_rows(&fd_ctx, &plan, &rows, true), OK);
    count_t all = {0};
    for (size_t shard = 0; shard < 3; shard++) {
        count_t count = { .last = -1 };
        s_open(&plan, shard, s_count_ints, &count);
        assert_true(count.keys_first);
        assert_int_equal(count.keys, count.rows);
        all.rows += count.rows;
    }
    assert_int_equal(all.rows, 100);
}

/* One place for all rows: the columns are used as they are. */
static void one_shard_gathers_nothing(void **state)
{
    (void)state;
    owned(schema) schema = SCHEMA(fd_vec);
    rows_t rows = s_rows(schema, ROWS_INSERT, 10);
    write_plan_t plan = s_plan(schema, 1, 1);
    assert_int_equal(write_plan_rows(&fd_ctx, &plan, &rows, false), OK);
    assert_null(plan.runs[0].rows);
    assert_int_equal(plan.runs[0].n, 10);
}

static void s_see_groups(const wal_entry_t *entry, size_t shard, void *arg)
{
    size_t *seen = arg;
    (void)shard;
    for (size_t i = 0; i < entry->fields[0].column.n; i++) {
        int64_t group = load_i64(column_cell(&entry->fields[1].column, i).ptr);
        assert_int_equal(entry->partition, s_partitions[row_hash_int64(group) % 4]);
        (*seen)++;
    }
}

static void a_partition_key_chooses_the_partition(void **state)
{
    (void)state;
    const field_t others[] = { s_group, fd_vec };
    owned(schema) schema = fd_schema(s_text_key, others, 2);
    rows_t rows = fd_take(ROWS_INSERT, schema, 5, DATA(
        TEXTS("id", "a", "b", "c", "d", "e"), LONGS("group", 1, 2, 3, 1, 9),
        VECTORS("vec", 2, 0, 0, 1, 0, 2, 0, 3, 0, 4, 0)));
    write_plan_t plan = s_plan(schema, 2, 4);
    assert_int_equal(write_plan_rows(&fd_ctx, &plan, &rows, false), OK);
    size_t seen = 0;
    for (size_t shard = 0; shard < 2; shard++)
        if (write_plan_touches(&plan, shard))
            s_open(&plan, shard, s_see_groups, &seen);
    assert_int_equal(seen, 5);
}

static void s_see_last(const wal_entry_t *entry, size_t shard, void *arg)
{
    static const float s_want[] = { 2, 4, 5 };  /* rows b, a, c in the order they came */
    (void)shard;
    if (entry->deletes)
        return;
    assert_int_equal(entry->fields[0].column.n, 3);
    for (size_t i = 0; i < 3; i++)
        assert_memory_equal(column_cell(&entry->fields[1].column, i).ptr, &s_want[i], 4);
    *(bool *)arg = true;
}

static void of_rows_with_one_key_the_last_is_kept(void **state)
{
    (void)state;
    owned(schema) schema = fd_schema(s_text_key, &fd_vec, 1);
    rows_t rows = fd_take(ROWS_UPSERT, schema, 5, DATA(
        TEXTS("id", "a", "b", "a", "a", "c"),
        VECTORS("vec", 2, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0)));
    write_plan_t plan = s_plan(schema, 1, 1);
    bool seen = false;
    assert_int_equal(write_plan_rows(&fd_ctx, &plan, &rows, true), OK);
    s_open(&plan, 0, s_see_last, &seen);
    assert_true(seen);
    rows.replaced = NULL;                       /* an insert keeps them all */
    plan = s_plan(schema, 1, 1);
    assert_int_equal(write_plan_rows(&fd_ctx, &plan, &rows, false), OK);
    assert_int_equal(plan.runs[0].n, 5);
}

static void s_see_replaced(const wal_entry_t *entry, size_t shard, void *arg)
{
    int64_t want = entry->deletes ? 5 : 900;
    const column_t *keys = entry->deletes ? entry->deletes : &entry->fields[0].column;
    assert_int_equal(load_i64(column_cell(keys, 0).ptr), want);
    assert_int_equal(row_hash_int64(want) % 3, shard);
    (*(int *)arg)++;
}

/* With automatic keys the old key goes from its shard, the new one may be of another. */
static void an_automatic_key_is_replaced_by_a_new_one(void **state)
{
    (void)state;
    owned(schema) schema = fd_schema(fd_auto_id, &fd_vec, 1);
    rows_t rows = fd_take(ROWS_UPSERT, schema, 1, DATA(LONGS("id", 5), VECTORS("vec", 2, 1, 2)));
    assert_int_equal(rows_number(&fd_ctx, schema, &rows, 900), OK);
    write_plan_t plan = s_plan(schema, 3, 1);
    assert_int_equal(write_plan_rows(&fd_ctx, &plan, &rows, true), OK);
    int seen = 0;
    for (size_t shard = 0; shard < 3; shard++)
        if (write_plan_touches(&plan, shard))
            s_open(&plan, shard, s_see_replaced, &seen);
    assert_int_equal(seen, 2);
}

static void keys_to_delete_go_to_their_shards(void **state)
{
    (void)state;
    owned(schema) schema = SCHEMA(fd_vec);
    rows_t rows = s_rows(schema, ROWS_INSERT, 90);
    write_plan_t plan = s_plan(schema, 3, 0);
    assert_int_equal(write_plan_deletes(&fd_ctx, &plan, &rows.columns[0]), OK);
    size_t keys = 0;
    for (size_t shard = 0; shard < 3; shard++) {
        count_t count = {0};
        s_open(&plan, shard, s_count_ints, &count);
        assert_int_equal(count.rows, 0);
        keys += count.keys;
    }
    assert_int_equal(keys, 90);
}

static err_t s_all(ctx_t *ctx, write_plan_t *plan, const rows_t *rows, buf_t *object)
{
    TRY(write_plan_rows(ctx, plan, rows, true));
    return write_plan_object(ctx, plan, 1, s_vchannels[1], 5, object);
}

static void every_fault_is_told(void **state)
{
    (void)state;
    owned(schema) schema = SCHEMA(fd_vec);
    rows_t rows = s_rows(schema, ROWS_UPSERT, 100);
    for (int nth = 0; ; nth++) {
        ctx_t ctx;
        ctx_init(&ctx);
        write_plan_t plan = s_plan(schema, 3, 1);
        buf_scoped object = {0};
        fault_arm(nth);
        err_t err = s_all(&ctx, &plan, &rows, &object);
        bool fired = fault_disarm();
        ctx_fini(&ctx);
        assert_int_equal(err, fired ? ERR_MEMORY : OK);
        assert_true(!fired || object.len == 0);
        if (!fired) {
            assert_true(nth >= 10);
            return;
        }
    }
}

#define T(f) cmocka_unit_test_setup_teardown(f, fd_up, fd_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(hashes_are_milvuss), T(rows_go_to_their_shards), T(an_upsert_deletes_before_it_inserts),
        T(one_shard_gathers_nothing), T(a_partition_key_chooses_the_partition),
        T(of_rows_with_one_key_the_last_is_kept), T(an_automatic_key_is_replaced_by_a_new_one),
        T(keys_to_delete_go_to_their_shards), T(every_fault_is_told),
    };
    return cmocka_run_group_tests_name("write_plan", tests, NULL, NULL);
}
