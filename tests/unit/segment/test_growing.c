/* growing: random inserts, deletes and upserts beside a plain list of rows and deletes
 * that says what must be seen at every timestamp; each refused allocation leaves all
 * as it was; readers on other threads while the writer works. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/fault.h"
#include "core/segment/growing.h"
#include "tests/support/random_rows.h"

enum { MOST_ROWS = 6000, MOST_DELETES = 4000 };

/* What was done, told as simply as possible. */
typedef struct model {
    schema_t *schema;
    random_rows_t rows;
    uint64_t ts[MOST_ROWS];
    size_t n;
    struct { uint64_t ts; uint8_t key[32]; size_t len; } deletes[MOST_DELETES];
    size_t n_deletes;
} model_t;

static bool s_visible(const model_t *m, size_t row, uint64_t read_ts)
{
    if (m->ts[row] > read_ts)
        return false;
    view_t pk = column_cell(&m->rows.columns[0], row);
    for (size_t i = 0; i < m->n_deletes; i++)
        if (m->deletes[i].ts > m->ts[row] && m->deletes[i].ts <= read_ts &&
            view_eq(pk, view_of(m->deletes[i].key, m->deletes[i].len)))
            return false;
    return true;
}

static void s_insert(model_t *m, growing_t *g, ctx_t *ctx, const random_rows_t *batch, uint64_t ts)
{
    assert_int_equal(growing_append(ctx, g, batch->columns, ts), OK);
    for (size_t i = 0; i < batch->columns[0].n; i++) {
        random_rows_copy(&m->rows, batch->columns, i);
        m->ts[m->n++] = ts;
    }
}

static void s_delete(model_t *m, growing_t *g, ctx_t *ctx, const column_t *pks, uint64_t ts)
{
    assert_int_equal(growing_delete(ctx, g, pks, ts, NULL), OK);
    for (size_t i = 0; i < pks->n; i++) {
        view_t pk = column_cell(pks, i);
        size_t at = m->n_deletes++;
        m->deletes[at].ts = ts;
        m->deletes[at].len = pk.len;
        memcpy(m->deletes[at].key, pk.ptr, pk.len);
    }
}

static void s_compare(const model_t *m, const growing_t *g, uint64_t read_ts)
{
    ctx_t ctx;
    ctx_init(&ctx);
    growing_snapshot_t snap = growing_at(g, read_ts);
    size_t row = 0;
    for (size_t b = 0; b < snap.n_blocks; b++) {
        segment_block_t block = growing_block(&snap, b);
        bitset_t bits;
        assert_int_equal(bitset_init(&ctx, &bits, block.n), OK);
        bitset_fill(&bits, true);
        growing_hide(&snap, b, &bits);
        assert_int_equal(block.first, row);
        for (size_t f = 0; f < schema_len(m->schema); f++) {
            column_t c;
            assert_int_equal(growing_column(&ctx, &snap, b, f, &c), OK);
            assert_int_equal(c.n, block.n);
            for (size_t i = 0; i < block.n; i++)
                assert_true(random_rows_same(&c, i, &m->rows.columns[f], row + i));
        }
        for (size_t i = 0; i < block.n; i++, row++) {
            assert_int_equal(block.ts[i], m->ts[row]);
            assert_int_equal(bitset_has(&bits, i), s_visible(m, row, read_ts));
            assert_int_equal(growing_block_of(&snap, row), b);
        }
        bitset_fini(&bits);
    }
    assert_int_equal(row, snap.n);
    for (; row < m->n; row++)
        assert_true(m->ts[row] > read_ts);
    ctx_fini(&ctx);
}

static void s_compare_keys(const model_t *m, const growing_t *g, uint64_t read_ts, uint64_t n_keys)
{
    growing_snapshot_t snap = growing_at(g, read_ts);
    for (uint64_t k = 0; k < n_keys; k++) {
        uint8_t room[32];
        view_t pk = random_rows_key(m->rows.columns[0].type, k, room);
        size_t want = SIZE_MAX, got = SIZE_MAX;
        for (size_t row = 0; row < m->n; row++)
            if (view_eq(pk, column_cell(&m->rows.columns[0], row)) && s_visible(m, row, read_ts))
                want = row;
        if (!growing_find(&snap, pk, &got))
            got = SIZE_MAX;
        assert_int_equal(got, want);
    }
}

static void s_run_program(type_t pk, uint64_t seed)
{
    enum { N_KEYS = 400, STEPS = 150 };
    rng_t rng;
    rng_seed(&rng, seed);
    model_t *m = mem_new(sizeof *m);
    owned(schema) schema = random_rows_schema(pk);
    m->schema = schema;
    random_rows_init(&m->rows, schema);
    owned(growing) g = growing_new(schema, (segment_id_t){ 1, 2, 3 });
    ctx_t ctx;
    ctx_init(&ctx);
    for (uint64_t ts = 10; ts < 10 + 2 * STEPS; ts += 2) {
        random_rows_t batch;
        random_rows_init(&batch, schema);
        random_rows_add(&batch, schema, &rng, rng_chance(&rng, 0.1) ? 300 : rng_below(&rng, 20),
                        N_KEYS);
        uint64_t kind = rng_below(&rng, 3);
        if (kind != 0)                          /* delete, upsert */
            s_delete(m, g, &ctx, &batch.columns[0], ts);
        if (kind != 1 && m->n + batch.columns[0].n < MOST_ROWS)
            s_insert(m, g, &ctx, &batch, ts);
        random_rows_fini(&batch);
        if (ts % 50 == 0) {
            s_compare(m, g, UINT64_MAX);
            s_compare(m, g, 10 + rng_below(&rng, ts));
        }
    }
    assert_int_equal(growing_rows(g), m->n);
    assert_int_equal(growing_max_ts(g), m->ts[m->n - 1]);
    assert_int_equal(growing_min_ts(g), m->ts[0]);
    assert_true(growing_bytes(g) > m->n * 100);
    s_compare_keys(m, g, UINT64_MAX, N_KEYS + 5);
    s_compare_keys(m, g, 150, N_KEYS + 5);
    ctx_fini(&ctx);
    random_rows_fini(&m->rows);
    mem_free(m);
}

static void readers_see_what_was_done_by_then(void **state)
{
    (void)state;
    s_run_program(TYPE_INT64, 1);
    s_run_program(TYPE_VARCHAR, 2);
}

/* delete(4)@50 hides row 4@10 from 50 on; an upsert's row stays; a delete that comes
 * before a row does nothing to it. */
static void deletes_hide_what_is_older(void **state)
{
    (void)state;
    const field_t fields[] = {
        { .id = 100, .name = "id", .type = TYPE_INT64, .primary_key = true },
    };
    owned(schema) schema = schema_new(fields, 1);
    owned(growing) g = growing_new(schema, (segment_id_t){0});
    ctx_t ctx;
    ctx_init(&ctx);
    const int64_t four = 4;
    column_t pk = { .type = TYPE_INT64, .width = 8, .n = 1, .cells = (const uint8_t *)&four };
    size_t n = 9, row = 9;
    assert_int_equal(growing_delete(&ctx, g, &pk, 5, &n), OK);
    assert_int_equal(n, 0);
    assert_int_equal(growing_append(&ctx, g, &pk, 10), OK);
    assert_int_equal(growing_delete(&ctx, g, &pk, 50, &n), OK);
    assert_int_equal(n, 1);
    growing_snapshot_t at49 = growing_at(g, 49), at50 = growing_at(g, 50);
    assert_true(growing_find(&at49, view_of(&four, 8), &row) && row == 0);
    assert_false(growing_find(&at50, view_of(&four, 8), &row));

    assert_int_equal(growing_append(&ctx, g, &pk, 60), OK);         /* an upsert, either order */
    assert_int_equal(growing_delete(&ctx, g, &pk, 60, &n), OK);
    assert_int_equal(n, 0);
    growing_snapshot_t at60 = growing_at(g, 60), at9 = growing_at(g, 9);
    assert_true(growing_find(&at60, view_of(&four, 8), &row) && row == 1);
    assert_int_equal(growing_died(&at60, 0), 50);
    assert_int_equal(growing_died(&at60, 1), SEGMENT_ALIVE);
    assert_int_equal(at9.n, 0);
    assert_int_equal(at9.n_blocks, 0);
    assert_int_equal(growing_delete(&ctx, g, &pk, 40, &n), OK);     /* late: death is lowered */
    assert_int_equal(growing_died(&at60, 0), 40);
    ctx_fini(&ctx);
}

/* A chunk of text fills before the rows of its block do. */
static void long_texts_close_blocks(void **state)
{
    (void)state;
    enum { N = 40, BIG = 300000 };
    const field_t fields[] = { { .id = 100, .name = "id", .type = TYPE_INT64, .primary_key = true },
                               { .id = 101, .name = "doc", .type = TYPE_JSON } };
    owned(schema) schema = schema_new(fields, 2);
    owned(growing) g = growing_new(schema, (segment_id_t){0});
    ctx_t ctx;
    ctx_init(&ctx);
    uint8_t *big = mem_new(BIG);
    for (int64_t i = 0; i < N; i++) {
        random_rows_t batch;
        random_rows_init(&batch, schema);
        memset(big, (int)i + 1, BIG);
        column_builder_add(&batch.builders[0], view_of(&i, 8));
        column_builder_add(&batch.builders[1], view_of(big, i % 3 ? BIG : 3));
        column_t columns[] = { column_builder_view(&batch.builders[0]),
                               column_builder_view(&batch.builders[1]) };
        assert_int_equal(growing_append(&ctx, g, columns, 7), OK);
        random_rows_fini(&batch);
    }
    growing_snapshot_t snap = growing_at(g, UINT64_MAX);
    assert_int_equal(snap.n, N);
    assert_true(snap.n_blocks > 1);
    for (size_t row = 0; row < N; row++) {
        column_t c;
        size_t b = growing_block_of(&snap, row);
        assert_int_equal(growing_column(&ctx, &snap, b, 1, &c), OK);
        view_t cell = column_cell(&c, row - growing_block(&snap, b).first);
        assert_int_equal(cell.len, row % 3 ? BIG : 3);
        assert_int_equal(cell.ptr[cell.len - 1], row + 1);
    }
    assert_true(growing_bytes(g) > N / 3 * 2 * (size_t)BIG);
    mem_free(big);
    ctx_fini(&ctx);
}

static void a_refused_write_changes_nothing(void **state)
{
    (void)state;
    rng_t rng;
    rng_seed(&rng, 5);
    model_t *m = mem_new(sizeof *m);
    owned(schema) schema = random_rows_schema(TYPE_VARCHAR);
    m->schema = schema;
    random_rows_init(&m->rows, schema);
    owned(growing) g = growing_new(schema, (segment_id_t){0});
    ctx_t ctx;
    ctx_init(&ctx);
    int refused = 0;
    for (uint64_t ts = 1; ts <= 6; ts++) {
        random_rows_t batch;
        random_rows_init(&batch, schema);
        random_rows_add(&batch, schema, &rng, 120, 500);
        for (int nth = 0; ; nth++) {
            fault_arm(nth);
            err_t err = growing_append(&ctx, g, batch.columns, 2 * ts);
            if (!fault_disarm()) {
                assert_int_equal(err, OK);
                break;
            }
            assert_int_equal(err, ERR_MEMORY);
            refused++;
            assert_int_equal(growing_rows(g), m->n);
            s_compare(m, g, UINT64_MAX);
        }
        for (size_t i = 0; i < batch.columns[0].n; i++) {
            random_rows_copy(&m->rows, batch.columns, i);
            m->ts[m->n++] = 2 * ts;
        }
        random_rows_fini(&batch);
        s_compare(m, g, UINT64_MAX);
    }
    assert_true(refused > 10);

    for (int nth = 0; ; nth++) {
        fault_arm(nth);
        err_t err = growing_delete(&ctx, g, &m->rows.columns[0], 100, NULL);
        if (!fault_disarm()) {
            assert_int_equal(err, OK);
            break;
        }
        assert_int_equal(err, ERR_MEMORY);
        s_compare(m, g, UINT64_MAX);
    }
    growing_snapshot_t snap = growing_at(g, UINT64_MAX);
    for (size_t row = 0; row < snap.n; row++)
        assert_int_equal(growing_died(&snap, row), 100);
    ctx_fini(&ctx);
    random_rows_fini(&m->rows);
    mem_free(m);
}

/* --- readers beside the writer ------------------------------------------------------ */

typedef struct race {
    growing_t *g;
    _Atomic uint64_t applied;   /* everything up to here was done */
    _Atomic bool over;
    _Atomic uint64_t reads;
} race_t;

/* Step i (at ts = i + 1) inserts keys 10i … 10i+9 and deletes 10(i-1) … +4.  Text and
 * nulls follow from the key, so each reader can tell that what it sees is whole. */
static void s_race_step(race_t *race, ctx_t *ctx, uint64_t i)
{
    schema_t *schema = growing_schema(race->g);
    random_rows_t batch;
    random_rows_init(&batch, schema);
    for (int64_t key = 10 * (int64_t)i; key < 10 * (int64_t)i + 10; key++) {
        char text[32];
        column_builder_add(&batch.builders[0], view_of(&key, 8));
        size_t len = (size_t)snprintf(text, sizeof text, "text %lld", (long long)key);
        column_builder_add(&batch.builders[1], view_of(text, len));
        if (key % 3)
            column_builder_add(&batch.builders[2], view_of(&key, 8));
        else
            column_builder_add_null(&batch.builders[2]);
    }
    column_t columns[3];
    for (int f = 0; f < 3; f++)
        columns[f] = column_builder_view(&batch.builders[f]);
    check(growing_append(ctx, race->g, columns, i + 1) == OK);
    int64_t dead[5];
    for (int k = 0; k < 5; k++)
        dead[k] = 10 * ((int64_t)i - 1) + k;
    column_t pks = { .type = TYPE_INT64, .width = 8, .n = 5, .cells = (const uint8_t *)dead };
    check(growing_delete(ctx, race->g, &pks, i + 1, NULL) == OK);
    random_rows_fini(&batch);
    atomic_store_explicit(&race->applied, i + 1, memory_order_release);
}

static void s_check_block(ctx_t *ctx, const growing_snapshot_t *snap, size_t b, size_t *alive)
{
    segment_block_t rows = growing_block(snap, b);
    column_t c[3];
    for (size_t f = 0; f < 3; f++)
        check(growing_column(ctx, snap, b, f, &c[f]) == OK);
    bitset_t bits;
    check(bitset_init(ctx, &bits, rows.n) == OK);
    bitset_fill(&bits, true);
    growing_hide(snap, b, &bits);
    *alive += bitset_count(&bits);
    for (size_t i = 0; i < rows.n; i++) {
        int64_t key = (int64_t)(rows.first + i);
        char text[32];
        size_t len = (size_t)snprintf(text, sizeof text, "text %lld", (long long)key);
        check(load_i64(column_cell(&c[0], i).ptr) == key && rows.ts[i] == (uint64_t)key / 10 + 1);
        check(view_eq(column_cell(&c[1], i), view_of(text, len)));
        check(column_is_null(&c[2], i) == (key % 3 == 0));
        bool dead = key % 10 < 5 && (uint64_t)key / 10 + 2 <= snap->read_ts;
        check(bitset_has(&bits, i) == !dead);
    }
    bitset_fini(&bits);
}

static void *s_reader(void *arg)
{
    race_t *race = arg;
    while (!atomic_load(&race->over)) {
        ctx_t ctx;
        ctx_init(&ctx);
        uint64_t ts = atomic_load_explicit(&race->applied, memory_order_acquire);
        growing_snapshot_t snap = growing_at(race->g, ts);
        check(snap.n == 10 * ts);
        size_t alive = 0, row = 0;
        for (size_t b = 0; b < snap.n_blocks; b++)
            s_check_block(&ctx, &snap, b, &alive);
        check(alive == (ts ? 5 * (ts - 1) + 10 : 0));
        for (int64_t key = 0; key < (int64_t)snap.n + 40; key += 7) {
            bool want = key < (int64_t)snap.n && (key % 10 >= 5 || (uint64_t)key / 10 + 1 == ts);
            bool got = growing_find(&snap, view_of(&key, 8), &row);
            check(got == want && (!got || row == (size_t)key));
        }
        atomic_fetch_add(&race->reads, 1);
        ctx_fini(&ctx);
    }
    return NULL;
}

static void readers_beside_the_writer(void **state)
{
    (void)state;
    const field_t fields[] = {
        { .id = 100, .name = "id", .type = TYPE_INT64, .primary_key = true },
        { .id = 101, .name = "text", .type = TYPE_VARCHAR, .max_length = 32 },
        { .id = 102, .name = "maybe", .type = TYPE_INT64, .nullable = true },
    };
    owned(schema) schema = schema_new(fields, ARRAY_LEN(fields));
    owned(growing) g = growing_new(schema, (segment_id_t){0});
    race_t race = { .g = g };
    pthread_t readers[2];
    for (size_t i = 0; i < ARRAY_LEN(readers); i++)
        assert_int_equal(pthread_create(&readers[i], NULL, s_reader, &race), 0);
    ctx_t ctx;
    ctx_init(&ctx);
    for (uint64_t i = 0; i < 600 || atomic_load(&race.reads) < 20; i++)
        if (i < 3000)
            s_race_step(&race, &ctx, i);
    atomic_store(&race.over, true);
    for (size_t i = 0; i < ARRAY_LEN(readers); i++)
        pthread_join(readers[i], NULL);
    assert_true(atomic_load(&race.reads) >= 20);
    ctx_fini(&ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readers_see_what_was_done_by_then),
        cmocka_unit_test(deletes_hide_what_is_older),
        cmocka_unit_test(long_texts_close_blocks),
        cmocka_unit_test(a_refused_write_changes_nothing),
        cmocka_unit_test(readers_beside_the_writer),
    };
    return cmocka_run_group_tests_name("growing", tests, NULL, NULL);
}
