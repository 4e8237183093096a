/* query node: when a read starts, at which timestamp, and how one ends that cannot */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/base/limits.h"
#include "tests/support/querynode_world.h"

static const Elanus__ReadView s_view = ELANUS__READ_VIEW__INIT;

static Elanus__ReadView s_strong(void)
{
    Elanus__ReadView view = s_view;
    view.strong = true;
    return view;
}

/* Ten rows in each partition, half of the first flushed; loaded as a whole. */
static querynode_world_t *s_world(uint64_t seed, const query_options_t *options)
{
    querynode_world_t *w = qw_new(seed, options);
    int64_t pks[10];
    qw_create(w);
    for (int64_t k = 0; k < 3; k++) {
        for (int64_t i = 0; i < 10; i++)
            pks[i] = 10 * k + i;
        qw_insert(w, k < 2 ? QW_PART : QW_PART_B, pks, 10, false);
        if (k == 0) {
            qw_plan_flush(w, QW_PART);
            qw_commit_flush(w);
        }
    }
    qw_load(w, true, false, false);
    qw_settle(w);
    return w;
}

static void s_expect(querynode_world_t *w, const qw_answer_t *answer)
{
    assert_true(answer->there);
    const char *wrong = qw_wrong(w, answer, false, 0);
    if (wrong)
        fail_msg("%s", wrong);
}

static void s_run_out(querynode_world_t *w)
{
    while (!qw_idle(w))
        qw_one(w);
}

/* Reads that come while a question is out need the next one, and share it. */
static void strong_reads_share_questions(void **state)
{
    (void)state;
    querynode_world_t *w = s_world(1, NULL);
    static qw_answer_t a, b[3];
    size_t before = qw_frontiers(w);
    qw_hold_frontiers(w, true);
    qw_query(w, s_strong(), false, &a);
    s_run_out(w);
    assert_int_equal(qw_frontiers(w), before + 1);
    for (size_t i = 0; i < 3; i++)
        qw_query(w, s_strong(), false, &b[i]);
    s_run_out(w);
    assert_int_equal(qw_frontiers(w), before + 1);
    qw_hold_frontiers(w, false);
    s_run_out(w);
    assert_int_equal(qw_frontiers(w) - 1, before + 2);  /* the first was counted when held, too */
    s_expect(w, &a);
    for (size_t i = 0; i < 3; i++)
        s_expect(w, &b[i]);
    assert_true(b[0].read_ts > a.read_ts);
    qw_free(&w);
}

static void a_strong_read_sees_what_was_just_written(void **state)
{
    (void)state;
    querynode_world_t *w = s_world(2, NULL);
    static qw_answer_t a;
    for (int64_t pk = 100; pk < 150; pk++) {
        qw_insert(w, QW_PART, &pk, 1, false);
        if (pk % 3 == 0)
            qw_delete(w, -1, &pk, 1);
        uint64_t last = qw_last_ts(w);
        qw_query(w, s_strong(), false, &a);
        s_run_out(w);
        s_expect(w, &a);
        assert_true(a.read_ts >= last);
    }
    qw_free(&w);
}

/* Eventually asks on the side, and waits for nothing: not even for an owner. */
static void eventually_does_not_wait(void **state)
{
    (void)state;
    querynode_world_t *w = s_world(3, NULL);
    static qw_answer_t a, b;
    qw_hold_frontiers(w, true);
    int64_t pk = 777;
    qw_query(w, s_view, false, &a);
    s_run_out(w);
    s_expect(w, &a);
    qw_insert(w, QW_PART, &pk, 1, false);
    s_run_out(w);                               /* followed: seen without any question */
    qw_query(w, s_view, false, &b);
    s_run_out(w);
    s_expect(w, &b);
    assert_true(b.read_ts >= qw_last_ts(w) && b.n == a.n + 1);
    qw_free(&w);
}

static void no_answer_in_time_is_a_timeout(void **state)
{
    (void)state;
    querynode_world_t *w = s_world(4, NULL);
    static qw_answer_t a;
    qw_hold_frontiers(w, true);
    qw_query(w, s_strong(), false, &a);
    s_run_out(w);
    assert_false(a.there);
    assert_int_equal(qw_figure(w, "reads_waiting"), 1);
    qw_pass(w, 9000);
    assert_false(a.there);
    qw_pass(w, 2000);
    assert_true(a.there);
    assert_int_equal(a.err, ERR_TIMEOUT);
    assert_string_equal(a.text, "context deadline exceeded");
    assert_int_equal(qw_figure(w, "reads_waiting"), 0);
    qw_free(&w);
}

static void a_cancelled_read_is_answered_once(void **state)
{
    (void)state;
    querynode_world_t *w = s_world(5, NULL);
    static qw_answer_t waits, runs;
    qw_hold_frontiers(w, true);
    uint64_t request = qw_query(w, s_strong(), false, &waits);
    s_run_out(w);
    qw_cancel(w, request);
    assert_true(waits.there && waits.err == ERR_CANCELED);
    qw_cancel(w, request);

    request = qw_query(w, s_view, false, &runs);        /* its jobs are in the bag now */
    assert_int_equal(qw_figure(w, "reads_running"), 1);
    qw_cancel(w, request);
    assert_false(runs.there);
    s_run_out(w);
    assert_true(runs.there && (runs.err == ERR_CANCELED || runs.err == OK));
    assert_int_equal(qw_figure(w, "reads_running"), 0);
    qw_free(&w);
}

static void the_future_is_waited_for(void **state)
{
    (void)state;
    querynode_world_t *w = s_world(6, NULL);
    static qw_answer_t a, b;
    Elanus__ReadView view = s_view;
    view.guarantee_ts = qw_last_ts(w) + (3000ull << 18);
    qw_query(w, view, false, &a);
    s_run_out(w);
    assert_false(a.there);
    qw_pass(w, 2500);
    s_run_out(w);
    assert_false(a.there);
    qw_pass(w, 2500);
    s_run_out(w);
    s_expect(w, &a);
    assert_true(a.read_ts >= view.guarantee_ts);

    view.guarantee_ts = qw_last_ts(w) + (90000000ull << 18);    /* 25 hours */
    qw_query(w, view, false, &b);
    assert_true(b.there && b.err == ERR_UNEXPECTED);
    assert_non_null(strstr(b.text, "max(24h0m0s): Timestamp lag too large"));
    qw_free(&w);
}

static void snapshots_stay_what_they_are(void **state)
{
    (void)state;
    querynode_world_t *w = s_world(7, NULL);
    static qw_answer_t a;
    Elanus__ReadView view = s_view;
    view.read_ts = qw_last_ts(w);
    for (int64_t pk = 0; pk < 20; pk++) {
        qw_delete(w, -1, &pk, 1);
        if (pk == 5)
            qw_plan_flush(w, QW_PART_B);
        if (pk == 9)
            qw_commit_flush(w);
        qw_query(w, view, false, &a);
        qw_settle(w);
        s_expect(w, &a);
        assert_int_equal(a.n, 30);
        assert_true(a.read_ts == view.read_ts);
    }
    qw_free(&w);
}

static void growing_rows_can_be_left_out(void **state)
{
    (void)state;
    querynode_world_t *w = s_world(8, NULL);
    static qw_answer_t a;
    Elanus__ReadView view = s_strong();
    view.ignore_growing = true;
    qw_query(w, view, true, &a);
    s_run_out(w);
    assert_int_equal(a.count, 10);
    qw_free(&w);
}

static void rows_have_an_end(void **state)
{
    (void)state;
    querynode_world_t *w = s_world(12, NULL);
    static qw_answer_t a;
    int64_t pk = 50;
    qw_set_ttl(w, 100);
    qw_pass(w, 60000);
    qw_insert(w, QW_PART, &pk, 1, false);
    for (size_t n = 31; n != 0; n = n == 31 ? 1 : 0) {
        for (int count = 0; count < 2; count++) {
            qw_query(w, s_strong(), count, &a);
            s_run_out(w);
            assert_null(qw_wrong(w, &a, count, 0));
            assert_int_equal(count ? a.count : a.n, n);
        }
        qw_pass(w, 50000);
    }
    qw_set_ttl(w, 0);
    qw_settle(w);
    qw_query(w, s_strong(), false, &a);
    qw_settle(w);
    s_expect(w, &a);
    assert_int_equal(a.n, 31);
    qw_free(&w);
}

/* Milvus's codes and texts for what is not there. */
static void what_is_not_loaded_says_so(void **state)
{
    (void)state;
    querynode_world_t *w = qw_new(9, NULL);
    static qw_answer_t a;
    int64_t pk = 1;
    qw_create(w);
    qw_insert(w, QW_PART, &pk, 1, false);
    qw_query(w, s_view, false, &a);             /* metadata is not known yet: look again */
    assert_true(a.there && a.err == ERR_MOVED);
    qw_settle(w);
    qw_query(w, s_view, false, &a);
    assert_true(a.there && a.err == ERR_COLLECTION_NOT_LOADED);
    assert_string_equal(a.text, "collection not loaded[collection=500]");

    qw_load(w, false, true, false);
    while (!a.there || a.err != ERR_COLLECTION_PARTLY_LOADED) {
        assert_false(qw_idle(w));
        qw_one(w);
        qw_query(w, s_view, false, &a);
    }
    assert_string_equal(a.text, "collection not fully loaded[collection=500]");
    assert_true(err_retriable(a.err));
    qw_settle(w);

    Elanus__ReadView view = s_view;
    uint64_t part = QW_PART_B;
    view.partitions = &part;
    view.n_partitions = 1;
    qw_query(w, view, false, &a);
    assert_true(a.there && a.err == ERR_PARTITION_NOT_LOADED);
    assert_string_equal(a.text, "partition not loaded[partition=502]");
    part = QW_PART;
    qw_query(w, view, false, &a);
    s_run_out(w);
    assert_int_equal(a.n, 1);
    qw_free(&w);
}

static void a_release_ends_those_who_wait(void **state)
{
    (void)state;
    querynode_world_t *w = s_world(10, NULL);
    static qw_answer_t waits, runs;
    qw_hold_frontiers(w, true);
    qw_query(w, s_strong(), false, &waits);
    qw_query(w, s_view, false, &runs);
    qw_release(w);
    s_run_out(w);
    /* whichever of replica/ and load/ it hears of first */
    assert_true(waits.there && (waits.err == ERR_COLLECTION_NOT_LOADED || waits.err == ERR_MOVED));
    s_expect(w, &runs);                         /* it had its segments */
    assert_int_equal(qw_figure(w, "segments"), 0);
    assert_int_equal(qw_figure(w, "growing"), 0);
    assert_int_equal(qw_figure(w, "collections"), 0);
    assert_int_equal(qw_figure(w, "delete_bytes"), 0);
    qw_free(&w);
}

static void too_many_reads_are_refused(void **state)
{
    (void)state;
    query_options_t options = { .preload = true, .threads = 1, .most_reads = 5 };
    querynode_world_t *w = s_world(11, &options);
    static qw_answer_t a[6];
    for (size_t i = 0; i < 6; i++)
        qw_query(w, s_view, false, &a[i]);
    assert_true(a[5].there && a[5].err == ERR_QUEUE_FULL);
    assert_string_equal(a[5].text, "too many concurrent requests, queue is full[limit=5]");
    assert_int_equal(qw_figure(w, "reads_running"), 2);
    assert_int_equal(qw_figure(w, "reads_waiting"), 3);
    s_run_out(w);
    for (size_t i = 0; i < 5; i++)
        s_expect(w, &a[i]);
    assert_true(LIMIT_QUERY_READS < LIMIT_NET_IN_FLIGHT);
    qw_free(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strong_reads_share_questions),
        cmocka_unit_test(a_strong_read_sees_what_was_just_written),
        cmocka_unit_test(eventually_does_not_wait),
        cmocka_unit_test(no_answer_in_time_is_a_timeout),
        cmocka_unit_test(a_cancelled_read_is_answered_once),
        cmocka_unit_test(the_future_is_waited_for),
        cmocka_unit_test(snapshots_stay_what_they_are),
        cmocka_unit_test(growing_rows_can_be_left_out),
        cmocka_unit_test(rows_have_an_end),
        cmocka_unit_test(what_is_not_loaded_says_so),
        cmocka_unit_test(a_release_ends_those_who_wait),
        cmocka_unit_test(too_many_reads_are_refused),
    };
    int failed = cmocka_run_group_tests_name("query wait", tests, NULL, NULL);
    return failed + cmocka_run_group_tests_name("query wait, rows from another process", tests,
                                                qw_setup_remote, NULL);
}
