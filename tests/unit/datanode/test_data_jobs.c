/* The jobs of a data node's persistence, without a node: what a flush wrote is opened again
 * and has the rows and deaths of the growing segment; deletes reach those segments that may
 * have the key and no others; a merge leaves out what nobody can see and nothing else;
 * garbage is found by age.  Every fault of store and memory on the way is reported, and a
 * later attempt succeeds beside what the failed one left. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>

#include "core/base/fault.h"
#include "core/segment/delta.h"
#include "datanode/delta_job.h"
#include "datanode/flush_job.h"
#include "datanode/gc_job.h"
#include "datanode/merge_job.h"
#include "tests/support/random_rows.h"

#define VCHANNEL "by-dev-rootcoord-dml_0_1v0"

typedef struct fixture {
    ctx_t ctx;
    store_t *store;
    schema_t *schema;
    stats_cache_t *cache;
    uint64_t attempt;
} fixture_t;

static int fixture_up(void **state)
{
    fixture_t *fx = mem_new(sizeof *fx);
    ctx_init(&fx->ctx);
    fx->store = store_memory_new();
    fx->schema = random_rows_schema(TYPE_INT64);
    fx->cache = stats_cache_new(1 << 20);
    *state = fx;
    return 0;
}

static int fixture_down(void **state)
{
    fixture_t *fx = *state;
    stats_cache_destroy(&fx->cache);
    schema_unref(&fx->schema);
    store_destroy(&fx->store);
    ctx_fini(&fx->ctx);
    mem_free(fx);
    return 0;
}

/* --- small words ------------------------------------------ */

static void s_append(fixture_t *fx, growing_t *g, const uint64_t *keys, size_t n, uint64_t ts)
{
    rng_t rng;
    rng_seed(&rng, ts);
    random_rows_t rows;
    random_rows_init(&rows, fx->schema);
    random_rows_add(&rows, fx->schema, &rng, n, 1);
    uint8_t *cells = (uint8_t *)(uintptr_t)rows.columns[0].cells;
    for (size_t i = 0; i < n; i++)
        store_i64(cells + 8 * i, (int64_t)keys[i]);
    assert_int_equal(growing_append(&fx->ctx, g, rows.columns, ts), OK);
    random_rows_fini(&rows);
}

static column_t s_pks(const int64_t *keys, size_t n)
{
    return (column_t){ .type = TYPE_INT64, .width = 8, .n = n, .cells = (const uint8_t *)keys };
}

static void s_kill(fixture_t *fx, growing_t *g, int64_t key, uint64_t ts)
{
    column_t pks = s_pks(&key, 1);
    assert_int_equal(growing_delete(&fx->ctx, g, &pks, ts, NULL), OK);
}

/* Rows of n keys from `from` on, one a timestamp from `ts` on. */
static growing_t *s_grow(fixture_t *fx, uint64_t id, uint64_t from, size_t n, uint64_t ts)
{
    growing_t *g = growing_new(fx->schema, (segment_id_t){ 1, 2, id });
    for (uint64_t i = 0; i < n; i++)
        s_append(fx, g, (uint64_t[]){ from + i }, 1, ts + i);
    return g;
}

static err_t s_try_flush(fixture_t *fx, growing_t *g, uint64_t delta_ts, Elanus__Segment **ret)
{
    flush_job_options_t options = {
        .store = fx->store, .vchannel = VCHANNEL, .attempt = ++fx->attempt,
        .delta_ts = delta_ts, .end = { 3, 7 },
    };
    owned(flush_job) job = NULL;
    TRY(flush_job_new(&fx->ctx, g, &options, &job));
    TRY(flush_job_run(&fx->ctx, job));
    return data_record_copy(&fx->ctx, flush_job_record(job), ret);
}

static Elanus__Segment *s_flush(fixture_t *fx, growing_t *g, uint64_t delta_ts)
{
    Elanus__Segment *record = NULL;
    assert_int_equal(s_try_flush(fx, g, delta_ts, &record), OK);
    return record;
}

static Elanus__Segment *s_flushed(fixture_t *fx, uint64_t id, uint64_t from, size_t n, uint64_t ts)
{
    growing_t *g = s_grow(fx, id, from, n, ts);
    Elanus__Segment *record = s_flush(fx, g, ts + n);
    growing_unref(&g);
    return record;
}

static sealed_t *s_open(fixture_t *fx, const Elanus__Segment *record)
{
    sealed_files_t files = data_record_files(record);
    sealed_t *s = NULL;
    assert_int_equal(sealed_open(&fx->ctx, fx->store, fx->schema, &files, true, &s), OK);
    return s;
}

static bool s_has(sealed_t *s, int64_t key, uint64_t read_ts)
{
    size_t row;
    return sealed_find(s, view_of(&key, sizeof key), read_ts, &row);
}

static bool s_stored_has(fixture_t *fx, const Elanus__Segment *record, int64_t key, uint64_t ts)
{
    sealed_t *s = s_open(fx, record);
    bool has = s_has(s, key, ts);
    sealed_unref(&s);
    return has;
}

static size_t s_objects(fixture_t *fx)
{
    store_list_t list = {0};
    assert_int_equal(store_list(&fx->ctx, fx->store, "", NULL, 10000, &list), OK);
    return list.n;
}

/* --- flush ------------------------------------------ */

static void s_same(fixture_t *fx, growing_t *g, sealed_t *s)
{
    growing_snapshot_t snap = growing_at(g, UINT64_MAX);
    assert_int_equal(sealed_rows(s), snap.n);
    for (size_t row = 0; row < snap.n; row++) {
        assert_int_equal(sealed_died(s, row), growing_died(&snap, row));
        size_t b = growing_block_of(&snap, row);
        segment_block_t mine = growing_block(&snap, b), its = sealed_block(s, 0);
        assert_int_equal(its.ts[row], mine.ts[row - mine.first]);
        for (size_t f = 0; f < schema_len(fx->schema); f++) {
            column_t x, y;
            assert_int_equal(growing_column(&fx->ctx, &snap, b, f, &x), OK);
            assert_int_equal(sealed_column(&fx->ctx, s, 0, f, &y), OK);
            assert_true(random_rows_same(&x, row - mine.first, &y, row));
        }
    }
}

static void a_flush_keeps_rows_and_deaths(void **state)
{
    fixture_t *fx = *state;
    growing_t *g = s_grow(fx, 9, 100, 200, 1000);
    for (int64_t key = 100; key < 300; key += 7)
        s_kill(fx, g, key, 2000);
    Elanus__Segment *record = s_flush(fx, g, 2000);
    assert_int_equal(record->id, 9);
    assert_int_equal(record->collection, 1);
    assert_int_equal(record->partition, 2);
    assert_string_equal(record->vchannel, VCHANNEL);
    assert_int_equal(record->rows, 200);
    assert_int_equal(record->deleted, 29);
    assert_int_equal(record->min_ts, 1000);
    assert_int_equal(record->max_ts, 1199);
    assert_int_equal(record->delta_ts, 2000);
    assert_int_equal(record->end_epoch, 3);
    assert_int_equal(record->end_seq, 7);
    assert_int_equal(record->level, 1);
    assert_int_equal(record->state, ELANUS__SEGMENT_STATE__SEGMENT_FLUSHED);
    const char *const *keys = NULL;
    assert_int_equal(data_record_keys(&fx->ctx, record, &keys), s_objects(fx));
    assert_true(record->bytes > 0);
    sealed_t *s = s_open(fx, record);
    s_same(fx, g, s);
    sealed_unref(&s);
    growing_unref(&g);
}

/* A delete after the plan is not in the flush, and one before is, even when the objects are
 * put later. */
static void a_plan_is_an_instant(void **state)
{
    fixture_t *fx = *state;
    growing_t *g = s_grow(fx, 9, 0, 10, 100);
    s_kill(fx, g, 3, 200);
    flush_job_options_t options = { .store = fx->store, .vchannel = VCHANNEL, .attempt = 1,
                                    .delta_ts = 200 };
    owned(flush_job) job = NULL;
    assert_int_equal(flush_job_new(&fx->ctx, g, &options, &job), OK);
    s_kill(fx, g, 4, 201);
    assert_int_equal(flush_job_run(&fx->ctx, job), OK);
    sealed_t *s = s_open(fx, flush_job_record(job));
    assert_false(s_has(s, 3, 300));
    assert_true(s_has(s, 4, 300));
    sealed_unref(&s);
    growing_unref(&g);
}

/* Fail the 1st, 2nd, … fallible call; then the same segment is flushed by another attempt,
 * beside whatever the failed one left. */
static void every_fault_of_a_flush(void **state)
{
    fixture_t *fx = *state;
    growing_t *g = s_grow(fx, 9, 0, 20, 100);
    s_kill(fx, g, 3, 200);
    for (int nth = 0; ; nth++) {
        Elanus__Segment *record = NULL;
        fault_arm(nth);
        err_t err = s_try_flush(fx, g, 200, &record);
        if (!fault_disarm()) {
            assert_int_equal(err, OK);
            assert_true(nth > 20);
            break;
        }
        assert_true(err == OK || err == ERR_STORE || err == ERR_MEMORY);
        ctx_clear(&fx->ctx);
        if (err != OK)
            record = s_flush(fx, g, 200);
        sealed_t *s = s_open(fx, record);
        s_same(fx, g, s);
        sealed_unref(&s);
    }
    growing_unref(&g);
}

/* --- deletes ------------------------------------------ */

static delta_job_t *s_deltas(fixture_t *fx, uint64_t upto)
{
    delta_job_options_t options = { .store = fx->store, .cache = fx->cache,
                                    .attempt = ++fx->attempt, .upto_ts = upto };
    return delta_job_new(&options);
}

static void s_add(fixture_t *fx, delta_job_t *job, int64_t key, uint64_t ts, int64_t partition)
{
    column_t pks = s_pks(&key, 1);
    assert_int_equal(delta_job_add(&fx->ctx, job, VCHANNEL, ts, partition, &pks), OK);
}

static const Elanus__Segment *s_hit(delta_job_t *job, size_t i)
{
    uint64_t segment;
    return delta_job_record(job, i, &segment);
}

static void deletes_go_where_the_key_may_be(void **state)
{
    fixture_t *fx = *state;
    Elanus__Segment *a = s_flushed(fx, 1, 0, 10, 100);
    Elanus__Segment *b = s_flushed(fx, 2, 1000, 10, 200);
    Elanus__Segment *c = s_flushed(fx, 3, 0, 10, 300);
    c->partition = 5;           /* the deletes below name another one */
    Elanus__Segment *d = s_flushed(fx, 4, 0, 10, 400);
    d->vchannel = (char *)"by-dev-rootcoord-dml_0_1v1";
    owned(delta_job) job = s_deltas(fx, 900);
    s_add(fx, job, 4, 500, 2);
    s_add(fx, job, 5, 600, 2);
    Elanus__Segment *all[] = { a, b, c, d };
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(delta_job_aim(&fx->ctx, job, all[i], all[i]->delta_ts), OK);
    size_t before = s_objects(fx);
    assert_int_equal(delta_job_run(&fx->ctx, job), OK);
    assert_int_equal(s_objects(fx), before + 1);
    assert_int_equal(delta_job_aims(job), 4);
    for (size_t i = 1; i < 4; i++)
        assert_null(s_hit(job, i));
    const Elanus__Segment *hit = s_hit(job, 0);
    assert_int_equal(hit->delta_ts, 900);
    assert_int_equal(hit->deleted, 2);
    assert_int_equal(hit->n_deltalogs, 1);
    assert_true(hit->bytes > a->bytes);
    sealed_t *s = s_open(fx, hit);
    assert_true(s_has(s, 4, 499));
    assert_false(s_has(s, 4, 500));
    assert_false(s_has(s, 5, 600));
    assert_true(s_has(s, 6, 900));
    sealed_unref(&s);
}

/* What a segment's objects have is not written again, and of a hot key one record a job. */
static void deletes_are_written_once(void **state)
{
    fixture_t *fx = *state;
    Elanus__Segment *a = s_flushed(fx, 1, 0, 10, 100);
    owned(delta_job) job = s_deltas(fx, 5000);
    s_add(fx, job, 1, 150, -1);
    for (uint64_t ts = 1000; ts < 2000; ts++)
        s_add(fx, job, 4, ts, -1);
    assert_int_equal(delta_job_aim(&fx->ctx, job, a, 150), OK);
    assert_int_equal(delta_job_run(&fx->ctx, job), OK);
    const Elanus__Segment *hit = s_hit(job, 0);
    assert_int_equal(hit->deleted, 1);
    assert_true(s_stored_has(fx, hit, 1, 5000));
    assert_true(s_stored_has(fx, hit, 4, 999));
    assert_false(s_stored_has(fx, hit, 4, 1000));

    owned(delta_job) again = s_deltas(fx, 6000);
    s_add(fx, again, 4, 1999, -1);
    assert_int_equal(delta_job_aim(&fx->ctx, again, hit, 5000), OK);
    assert_int_equal(delta_job_run(&fx->ctx, again), OK);
    assert_null(s_hit(again, 0));
}

/* Rows of one key with instants on both sides of a delete: only later deletes settle the key. */
static void a_delete_between_two_rows_of_a_key(void **state)
{
    fixture_t *fx = *state;
    growing_t *g = growing_new(fx->schema, (segment_id_t){ 1, 2, 9 });
    s_append(fx, g, (uint64_t[]){ 7 }, 1, 100);
    s_append(fx, g, (uint64_t[]){ 7 }, 1, 300);
    Elanus__Segment *a = s_flush(fx, g, 100);
    growing_unref(&g);
    owned(delta_job) job = s_deltas(fx, 900);
    s_add(fx, job, 7, 200, -1);
    s_add(fx, job, 7, 400, -1);
    s_add(fx, job, 7, 500, -1);
    assert_int_equal(delta_job_aim(&fx->ctx, job, a, 100), OK);
    assert_int_equal(delta_job_run(&fx->ctx, job), OK);
    sealed_t *s = s_open(fx, s_hit(job, 0));
    assert_int_equal(sealed_died(s, 0), 200);
    assert_int_equal(sealed_died(s, 1), 400);
    assert_int_equal(s_hit(job, 0)->deleted, 2);
    sealed_unref(&s);
}

static err_t s_try_deltas(fixture_t *fx, const Elanus__Segment *a, Elanus__Segment **ret)
{
    owned(stats_cache) cold = stats_cache_new(1 << 20);
    delta_job_options_t options = { .store = fx->store, .cache = cold, .attempt = ++fx->attempt,
                                    .upto_ts = 900 };
    owned(delta_job) fresh = delta_job_new(&options);
    int64_t keys[] = { 4, 5, 6000 };
    column_t pks = s_pks(keys, 3);
    TRY(delta_job_add(&fx->ctx, fresh, VCHANNEL, 500, -1, &pks));
    TRY(delta_job_aim(&fx->ctx, fresh, a, a->delta_ts));
    TRY(delta_job_run(&fx->ctx, fresh));
    check(s_hit(fresh, 0));
    return data_record_copy(&fx->ctx, s_hit(fresh, 0), ret);
}

static void every_fault_of_deletes(void **state)
{
    fixture_t *fx = *state;
    Elanus__Segment *a = s_flushed(fx, 1, 0, 10, 100);
    for (int nth = 0; ; nth++) {
        Elanus__Segment *record = NULL;
        fault_arm(nth);
        err_t err = s_try_deltas(fx, a, &record);
        if (!fault_disarm()) {
            assert_int_equal(err, OK);
            assert_true(nth > 5);
            break;
        }
        assert_true(err == OK || err == ERR_STORE || err == ERR_MEMORY);
        ctx_clear(&fx->ctx);
        if (err != OK)
            assert_int_equal(s_try_deltas(fx, a, &record), OK);
        assert_false(s_stored_has(fx, record, 4, 900));
        assert_true(s_stored_has(fx, record, 6, 900));
    }
}

static void stats_are_kept_within_bounds(void **state)
{
    fixture_t *fx = *state;
    owned(stats_cache) cache = stats_cache_new(400);
    const stats_t *stats = NULL;
    for (uint64_t round = 0; round < 2; round++)
        for (uint64_t id = 1; id <= 5; id++) {
            Elanus__Segment *a = s_flushed(fx, id, 10 * id, 10, 100);
            assert_int_equal(stats_cache_get(&fx->ctx, cache, fx->store, id, a->stats, &stats), OK);
            assert_int_equal(stats->segment, id);
            assert_true(stats_cache_bytes(cache) <= 400);
        }
    assert_true(stats_cache_bytes(cache) > 0);
    assert_int_equal(stats_cache_get(&fx->ctx, cache, fx->store, 99, "stats/1/2/99/1", &stats),
                     ERR_KEY_NOT_FOUND);
}

/* --- merges ------------------------------------------ */

typedef struct merge { uint64_t id, safe_ts, expire_ts; } merge_t;

static err_t s_try_merge(fixture_t *fx, Elanus__Segment *const *inputs, size_t n, merge_t merge,
                         Elanus__Segment **ret)
{
    merge_job_options_t options = {
        .store = fx->store, .schema = fx->schema, .id = merge.id, .attempt = ++fx->attempt,
        .safe_ts = merge.safe_ts, .expire_ts = merge.expire_ts,
    };
    owned(merge_job) job = merge_job_new(&options);
    for (size_t i = 0; i < n; i++)
        TRY(merge_job_add(&fx->ctx, job, inputs[i], inputs[i]->delta_ts));
    TRY(merge_job_run(&fx->ctx, job));
    return data_record_copy(&fx->ctx, merge_job_record(job), ret);
}

static Elanus__Segment *s_merge(fixture_t *fx, Elanus__Segment *const *inputs, size_t n,
                                merge_t merge)
{
    Elanus__Segment *record = NULL;
    assert_int_equal(s_try_merge(fx, inputs, n, merge, &record), OK);
    return record;
}

/* Two segments, each with a row dead since long, one dead of late, and living ones. */
static void s_two(fixture_t *fx, Elanus__Segment *two[2])
{
    for (uint64_t i = 0; i < 2; i++) {
        growing_t *g = s_grow(fx, i + 1, 100 * i, 10, 100 * (i + 1));
        s_kill(fx, g, (int64_t)(100 * i + 3), 400);
        s_kill(fx, g, (int64_t)(100 * i + 4), 600);
        two[i] = s_flush(fx, g, 700 + i);
        growing_unref(&g);
    }
}

static void a_merge_leaves_out_what_nobody_sees(void **state)
{
    fixture_t *fx = *state;
    Elanus__Segment *two[2];
    s_two(fx, two);
    Elanus__Segment *out = s_merge(fx, two, 2, (merge_t){ .id = 7, .safe_ts = 500 });
    assert_int_equal(out->id, 7);
    assert_int_equal(out->rows, 18);
    assert_int_equal(out->deleted, 2);
    assert_int_equal(out->delta_ts, 700);       /* the least of both */
    assert_in_range(out->purged_ts, 101, 500);
    assert_int_equal(out->level, 2);
    assert_int_equal(out->n_from, 2);
    assert_int_equal(out->from[0], 1);
    assert_int_equal(out->from[1], 2);
    assert_int_equal(out->min_ts, 100);
    assert_int_equal(out->max_ts, 209);
    sealed_t *s = s_open(fx, out);
    for (int64_t key = 0; key < 200; key++) {
        int64_t in = key % 100;
        bool there = in < 10 && in != 3;
        assert_int_equal(s_has(s, key, 599), there);
        assert_int_equal(s_has(s, key, 600), there && in != 4);
    }
    sealed_unref(&s);
}

static void a_merge_leaves_out_what_expired(void **state)
{
    fixture_t *fx = *state;
    Elanus__Segment *two[2];
    s_two(fx, two);
    Elanus__Segment *out = s_merge(fx, two, 2,
                                   (merge_t){ .id = 7, .safe_ts = 500, .expire_ts = 205 });
    assert_int_equal(out->rows, 5);
    assert_int_equal(out->min_ts, 205);
    assert_true(s_stored_has(fx, out, 105, 900));
    assert_false(s_stored_has(fx, out, 104, 900));
    assert_false(s_stored_has(fx, out, 9, 900));
}

static void a_merge_of_nothing_that_is_left(void **state)
{
    fixture_t *fx = *state;
    Elanus__Segment *two[2];
    s_two(fx, two);
    size_t before = s_objects(fx);
    Elanus__Segment *out = s_merge(fx, two, 2,
                                   (merge_t){ .id = 7, .safe_ts = 500, .expire_ts = 9000 });
    assert_int_equal(out->rows, 0);
    assert_int_equal(s_objects(fx), before);
}

/* An upsert's delete has its row's instant, and a merge must keep that row. */
static void a_merge_keeps_the_newest_version(void **state)
{
    fixture_t *fx = *state;
    growing_t *g = s_grow(fx, 1, 7, 1, 100), *h = growing_new(fx->schema,
                                                              (segment_id_t){ 1, 2, 2 });
    s_kill(fx, g, 7, 300);
    s_kill(fx, h, 7, 300);
    s_append(fx, h, (uint64_t[]){ 7 }, 1, 300);
    Elanus__Segment *two[] = { s_flush(fx, g, 300), s_flush(fx, h, 300) };
    growing_unref(&g);
    growing_unref(&h);
    Elanus__Segment *out = s_merge(fx, two, 2, (merge_t){ .id = 7, .safe_ts = 1000 });
    assert_int_equal(out->rows, 1);
    assert_int_equal(out->deleted, 0);
    assert_true(s_stored_has(fx, out, 7, 1000));
}

static void every_fault_of_a_merge(void **state)
{
    fixture_t *fx = *state;
    Elanus__Segment *two[2];
    s_two(fx, two);
    for (int nth = 0; ; nth++) {
        Elanus__Segment *out = NULL;
        fault_arm(nth);
        err_t err = s_try_merge(fx, two, 2, (merge_t){ .id = 7, .safe_ts = 500 }, &out);
        if (!fault_disarm()) {
            assert_int_equal(err, OK);
            assert_true(nth > 40);
            break;
        }
        assert_true(err == OK || err == ERR_STORE || err == ERR_MEMORY);
        ctx_clear(&fx->ctx);
        if (err != OK)
            out = s_merge(fx, two, 2, (merge_t){ .id = 7, .safe_ts = 500 });
        assert_int_equal(out->rows, 18);
        assert_true(s_stored_has(fx, out, 105, 900));
    }
}

/* --- garbage ------------------------------------------ */

static void attempts_are_never_the_same(void **state)
{
    (void)state;
    attempts_t a = { .epoch = 3 }, b = { .epoch = 4 };
    uint64_t last = 0;
    for (int i = 0; i < 1000; i++) {
        uint64_t x = attempts_next(&a, 5000), y = attempts_next(&b, 5000);
        assert_true(x > last && y > x);
        last = x;
    }
    assert_true(attempts_next(&a, 6000) > attempts_next(&b, 5000));
    uint64_t coll, segment;
    char key[128];
    snprintf(key, sizeof key, "binlog/1/2/3/100/%llu-0", (unsigned long long)last);
    assert_int_equal(attempts_wall_ms(key, &coll, &segment), 5000);
    assert_int_equal(coll, 1);
    assert_int_equal(segment, 3);
    snprintf(key, sizeof key, "deltalog/1/2/4/%llu", (unsigned long long)last);
    assert_int_equal(attempts_wall_ms(key, &coll, &segment), 5000);
    assert_int_equal(segment, 4);
    static const char *const s_other[] = {
        "wal/1/2/3/4", "binlog/1/2/3/4", "stats/1/2/x/4", "stats/1/2/3/4-0", "stats/1/2/3/",
        "binlog/1/2/3/100/5-", "binlog/1/2/3/100/5-0/6", "deltalog//2/3/4", "stats",
    };
    for (size_t i = 0; i < ARRAY_LEN(s_other); i++)
        assert_int_equal(attempts_wall_ms(s_other[i], &coll, &segment), -1);
}

static void s_put_aged(fixture_t *fx, const char *place, int64_t wall_ms)
{
    attempts_t at = { .epoch = 1 };
    const char *key = ctx_printf(&fx->ctx, "%s%llu", place,
                                 (unsigned long long)attempts_next(&at, wall_ms));
    assert_int_equal(store_put(&fx->ctx, fx->store, key, view_str("x")), OK);
}

static void old_objects_are_found_page_by_page(void **state)
{
    fixture_t *fx = *state;
    for (int i = 0; i < 2500; i++)
        s_put_aged(fx, ctx_printf(&fx->ctx, "deltalog/1/2/%d/", i), i % 2 ? 50000 : 150000);
    s_put_aged(fx, "stats/1/2/9/", 50000);
    assert_int_equal(store_put(&fx->ctx, fx->store, "stats/odd", view_str("x")), OK);
    owned(gc_look) look = gc_look_new(fx->store, 100000);
    size_t n = 0, pages = 0;
    for (int nth = 0; !look->done; pages++) {
        fault_arm(nth);
        err_t err = gc_look_run(&fx->ctx, look);
        nth = fault_disarm() ? nth + 1 : 0;
        if (err != OK)
            continue;
        for (size_t i = 0; i < look->found.len; i++) {
            const gc_found_t *found = vec_at(&look->found, i);
            assert_int_equal(found->collection, 1);
            assert_true(found->segment % 2 == 1);
            n++;
        }
    }
    assert_true(pages > 5);
    assert_int_equal(n, 1251);
}

static void a_sweep_goes_on_where_it_failed(void **state)
{
    fixture_t *fx = *state;
    Elanus__Segment *a = s_flushed(fx, 1, 0, 10, 100), *b = s_flushed(fx, 2, 0, 10, 200);
    const char *const *keys = NULL;
    owned(gc_sweep) sweep = gc_sweep_new(fx->store);
    size_t n = data_record_keys(&fx->ctx, a, &keys), all = s_objects(fx);
    for (size_t i = 0; i < n; i++)
        gc_sweep_add(sweep, keys[i]);
    fault_arm(3);
    assert_int_equal(gc_sweep_run(&fx->ctx, sweep), ERR_STORE);
    assert_true(fault_disarm());
    assert_int_equal(s_objects(fx), all - 3);
    assert_int_equal(gc_sweep_run(&fx->ctx, sweep), OK);
    assert_int_equal(s_objects(fx), all - n);
    assert_true(s_stored_has(fx, b, 5, 900));
}

#define T(f) cmocka_unit_test_setup_teardown(f, fixture_up, fixture_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_flush_keeps_rows_and_deaths),
        T(a_plan_is_an_instant),
        T(every_fault_of_a_flush),
        T(deletes_go_where_the_key_may_be),
        T(deletes_are_written_once),
        T(a_delete_between_two_rows_of_a_key),
        T(every_fault_of_deletes),
        T(stats_are_kept_within_bounds),
        T(a_merge_leaves_out_what_nobody_sees),
        T(a_merge_leaves_out_what_expired),
        T(a_merge_of_nothing_that_is_left),
        T(a_merge_keeps_the_newest_version),
        T(every_fault_of_a_merge),
        T(attempts_are_never_the_same),
        T(old_objects_are_found_page_by_page),
        T(a_sweep_goes_on_where_it_failed),
    };
    return cmocka_run_group_tests_name("data_jobs", tests, NULL, NULL);
}
