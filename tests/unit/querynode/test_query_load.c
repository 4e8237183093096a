/* query node: loading: progress, partitions, what goes wrong and how it is told, every fault */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "tests/support/querynode_world.h"

enum { ROWS = 50, FAULT_STEPS = 120, FAULTS_A_STEP = 40 };

static void s_run_out(querynode_world_t *w)
{
    while (!qw_idle(w))
        qw_one(w);
}

/* Rows of both partitions, three segments of A and one of B flushed, some rows growing, some
 * deleted with deltalogs and some without. */
static querynode_world_t *s_world(uint64_t seed, const query_options_t *options)
{
    querynode_world_t *w = qw_new(seed, options);
    int64_t pks[ROWS];
    qw_create(w);
    for (int64_t k = 0; k < 6; k++) {
        uint64_t partition = k == 3 || k == 5 ? QW_PART_B : QW_PART;
        for (int64_t i = 0; i < ROWS; i++)
            pks[i] = ROWS * k + i;
        qw_insert(w, partition, pks, ROWS, false);
        if (k < 4) {
            qw_plan_flush(w, partition);
            qw_commit_flush(w);
        }
        if (k == 4)
            qw_delete(w, -1, pks, 5);
        if (k == 2) {
            qw_delete(w, -1, (int64_t[]){ 3, 55, 120 }, 3);
            qw_persist_deletes(w);
        }
    }
    qw_delete(w, -1, (int64_t[]){ 7, 66, 130, 160 }, 4);
    return w;
}

static const Elanus__Loaded *s_loaded(querynode_world_t *w)
{
    static ctx_t s_ctx;
    ctx_fini(&s_ctx);
    ctx_init(&s_ctx);
    return qw_loaded(w, &s_ctx);
}

static void s_read(querynode_world_t *w, uint64_t partition, size_t n)
{
    static qw_answer_t answer;
    Elanus__ReadView view = ELANUS__READ_VIEW__INIT;
    view.strong = true;
    view.partitions = &partition;
    view.n_partitions = partition ? 1 : 0;
    qw_query(w, view, false, &answer);
    qw_settle(w);
    assert_true(answer.there);
    const char *wrong = qw_wrong(w, &answer, false, partition);
    if (wrong)
        fail_msg("%s", wrong);
    assert_int_equal(answer.n, n);
}

static void loading_goes_to_the_end(void **state)
{
    (void)state;
    querynode_world_t *w = s_world(3, NULL);
    uint32_t before = 0, steps = 0;
    assert_int_equal(s_loaded(w)->percent, 0);
    qw_load(w, true, false, false);
    for (; !qw_idle(w); qw_one(w)) {
        const Elanus__Loaded *loaded = s_loaded(w);
        assert_true(loaded->percent >= before && loaded->percent <= 100);
        assert_string_equal(loaded->error, "");
        steps += loaded->percent > before;
        before = loaded->percent;
    }
    const Elanus__Loaded *loaded = s_loaded(w);
    assert_int_equal(loaded->percent, 100);
    assert_true(steps > 0 || qw_remote(w));     /* small pages: rows may come last of all */
    assert_int_equal(loaded->n_segments, 6);
    uint64_t rows = 0, growing = 0;
    for (size_t i = 0; i < loaded->n_segments; i++) {
        rows += loaded->segments[i]->rows;
        growing += loaded->segments[i]->state == ELANUS__SEGMENT_STATE__SEGMENT_GROWING;
        assert_true(loaded->segments[i]->bytes > 0);
    }
    assert_int_equal(rows, 6 * ROWS);
    assert_int_equal(growing, 2);
    assert_int_equal(qw_figure(w, "rows"), 4 * ROWS);
    s_read(w, 0, 6 * ROWS - 12);
    qw_free(&w);
}

/* Growing rows count as loaded while their sealed selves are being opened. */
static void a_flush_does_not_unload(void **state)
{
    (void)state;
    querynode_world_t *w = s_world(2, NULL);
    qw_load(w, true, false, false);
    qw_settle(w);
    qw_plan_flush(w, QW_PART);
    qw_commit_flush(w);
    for (; !qw_idle(w); qw_one(w))
        assert_int_equal(s_loaded(w)->percent, 100);
    assert_int_equal(qw_figure(w, "segments"), 5);
    assert_int_equal(qw_figure(w, "growing"), 1);
    qw_free(&w);
}

static void partitions_load_one_by_one(void **state)
{
    (void)state;
    querynode_world_t *w = s_world(3, NULL);
    qw_load(w, false, true, false);
    qw_settle(w);
    assert_int_equal(s_loaded(w)->percent, 100);
    assert_int_equal(qw_figure(w, "segments"), 3);
    assert_int_equal(qw_figure(w, "growing"), 1);
    s_read(w, QW_PART, 4 * ROWS - 11);

    qw_load(w, false, true, true);              /* A goes on while B comes */
    for (; !qw_idle(w); qw_one(w)) {
        static qw_answer_t answer;
        Elanus__ReadView view = ELANUS__READ_VIEW__INIT;
        uint64_t part = QW_PART;
        view.partitions = &part;
        view.n_partitions = 1;
        qw_query(w, view, true, &answer);
        while (!answer.there)
            qw_one(w);
        assert_null(qw_wrong(w, &answer, true, QW_PART));
    }
    qw_settle(w);
    assert_int_equal(s_loaded(w)->percent, 100);
    s_read(w, 0, 6 * ROWS - 12);

    qw_load(w, false, false, true);
    qw_settle(w);
    assert_int_equal(qw_figure(w, "segments"), 1);
    s_read(w, QW_PART_B, 2 * ROWS - 1);
    qw_load(w, true, false, false);
    qw_settle(w);
    assert_int_equal(s_loaded(w)->percent, 100);
    s_read(w, 0, 6 * ROWS - 12);
    qw_free(&w);
}

static void a_dropped_partition_is_out_at_once(void **state)
{
    (void)state;
    querynode_world_t *w = s_world(4, NULL);
    qw_load(w, true, false, false);
    qw_settle(w);
    qw_drop_partition(w);
    s_run_out(w);
    assert_int_equal(qw_figure(w, "segments"), 3);
    assert_int_equal(qw_figure(w, "growing"), 1);
    s_read(w, 0, 4 * ROWS - 11);
    qw_free(&w);
}

/* Neither was it ever loaded, nor is it on a restart: ids tell that it is no new one. */
static void a_partition_dropped_before_is_not_seen(void **state)
{
    (void)state;
    querynode_world_t *w = s_world(5, NULL);
    qw_settle(w);
    qw_drop_partition(w);
    qw_load(w, true, false, false);
    qw_settle(w);
    s_read(w, 0, 4 * ROWS - 11);
    qw_free(&w);
}

static void s_replace(querynode_world_t *w, const char *key, view_t body)
{
    ctx_t ctx;
    ctx_init(&ctx);
    assert_int_equal(store_delete(&ctx, qw_store(w), key), OK);
    if (body.ptr)
        assert_int_equal(store_put(&ctx, qw_store(w), key, body), OK);
    ctx_fini(&ctx);
}

/* The object is named; once it is whole again, loading goes on by itself. */
static void a_damaged_object_is_named_and_tried_again(void **state)
{
    (void)state;
    querynode_world_t *w = s_world(6, NULL);
    ctx_t ctx;
    ctx_init(&ctx);
    const char *key = qw_object(w, "binlog/");
    view_t body = {0};
    assert_int_equal(store_get(&ctx, qw_store(w), key, &body), OK);
    s_replace(w, key, view_of(body.ptr, body.len / 2));
    qw_load(w, true, false, false);
    s_run_out(w);
    const Elanus__Loaded *loaded = s_loaded(w);
    assert_true(loaded->percent < 100);
    assert_int_equal(loaded->err, ERR_SEGMENT_LOAD_FAILED);
    assert_int_equal(err_code((err_t)loaded->err), 604);
    assert_non_null(strstr(loaded->error, key));
    assert_non_null(strstr(loaded->error, "segment load failed[segment="));
    s_replace(w, key, body);
    qw_settle(w);
    assert_int_equal(s_loaded(w)->percent, 100);
    assert_string_equal(s_loaded(w)->error, "");
    s_read(w, 0, 6 * ROWS - 12);
    ctx_fini(&ctx);
    qw_free(&w);
}

static void what_does_not_fit_is_not_loaded(void **state)
{
    (void)state;
    query_options_t options = { .preload = true, .memory_share = 1e-9 };
    querynode_world_t *w = s_world(7, &options);
    qw_load(w, true, false, false);
    s_run_out(w);
    const Elanus__Loaded *loaded = s_loaded(w);
    assert_true(loaded->percent < 100);
    assert_int_equal(err_code((err_t)loaded->err), 604);
    assert_non_null(strstr(loaded->error, "load segment failed, OOM if load, maxSegmentSize = "));
    qw_free(&w);
}

/* A release in every moment of a load: nothing stays, and it can be loaded again. */
static void a_release_stops_a_load(void **state)
{
    (void)state;
    for (int moment = 0; moment < 120; moment += 3) {
        querynode_world_t *w = s_world(8, NULL);
        qw_settle(w);
        qw_load(w, true, false, false);
        for (int i = 0; i < moment; i++)
            qw_one(w);
        qw_release(w);
        qw_settle(w);
        static const char *const s_names[] = { "collections", "segments", "rows", "bytes",
                                               "growing", "opening", "delete_bytes" };
        for (size_t i = 0; i < ARRAY_LEN(s_names); i++)
            assert_int_equal(qw_figure(w, s_names[i]), 0);
        qw_load(w, true, false, false);
        qw_settle(w);
        s_read(w, 0, 6 * ROWS - 12);
        qw_free(&w);
    }
}

/* One refused allocation or failed read in each step, nth by nth: it is made good. */
static bool s_fault(size_t step, int nth)
{
    static qw_answer_t answer;
    Elanus__ReadView view = ELANUS__READ_VIEW__INIT;
    querynode_world_t *w = s_world(9, NULL);
    qw_settle(w);
    qw_load(w, true, false, false);
    qw_fault(w, step, nth);
    for (int i = 0; i < 60; i++)
        qw_one(w);
    qw_delete(w, -1, (int64_t[]){ 20, 70, 170, 260 }, 4);
    qw_plan_flush(w, QW_PART);
    qw_commit_flush(w);
    (void)qw_plan_compaction(w);
    qw_commit_compaction(w);
    qw_query(w, view, false, &answer);
    qw_settle(w);
    assert_true(answer.there);                  /* whatever it says */
    bool fired = qw_fault_fired(w);
    qw_fault(w, SIZE_MAX, 0);
    s_read(w, 0, 6 * ROWS - 16);
    assert_int_equal(s_loaded(w)->percent, 100);
    qw_free(&w);
    return fired;
}

static void every_fault_is_made_good(void **state)
{
    (void)state;
    size_t fired = 0;
    for (size_t step = 0; step < FAULT_STEPS; step++)
        for (int nth = 0; nth < FAULTS_A_STEP; nth += 1 + (int)(step % 3))
            if (s_fault(step, nth))
                fired++;
            else
                break;
    print_message("note: %zu faults\n", fired);
    assert_true(fired > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loading_goes_to_the_end),
        cmocka_unit_test(a_flush_does_not_unload),
        cmocka_unit_test(partitions_load_one_by_one),
        cmocka_unit_test(a_dropped_partition_is_out_at_once),
        cmocka_unit_test(a_partition_dropped_before_is_not_seen),
        cmocka_unit_test(a_damaged_object_is_named_and_tried_again),
        cmocka_unit_test(what_does_not_fit_is_not_loaded),
        cmocka_unit_test(a_release_stops_a_load),
        cmocka_unit_test(every_fault_is_made_good),
    };
    int failed = cmocka_run_group_tests_name("query load", tests, NULL, NULL);
    return failed + cmocka_run_group_tests_name("query load, rows from another process", tests,
                                                qw_setup_remote, NULL);
}
