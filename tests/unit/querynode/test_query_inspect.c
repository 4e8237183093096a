/* What a query node tells those who look in: the shards it follows, and the segments it holds. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "tests/support/querynode_world.h"

enum { ROWS = 50 };

static void s_run_out(querynode_world_t *w)
{
    while (!qw_idle(w))
        qw_one(w);
}

static void s_insert(querynode_world_t *w, int64_t first)
{
    int64_t pks[ROWS];
    for (int64_t i = 0; i < ROWS; i++)
        pks[i] = first + i;
    qw_insert(w, QW_PART, pks, ROWS, false);
}

static void a_shard_is_followed_and_its_segments_held(void **state)
{
    (void)state;
    ctx_t ctx;
    ctx_init(&ctx);
    Elanus__InspectAsk ask = ELANUS__INSPECT_ASK__INIT;
    querynode_world_t *w = qw_new(3, NULL);
    qw_create(w);
    s_insert(w, 0);
    qw_plan_flush(w, QW_PART);
    qw_commit_flush(w);
    s_insert(w, ROWS);
    ask.state = true;
    ask.segments_most = 10;
    assert_int_equal(qw_inspect(w, &ctx, &ask)->n_followers, 0);
    qw_load(w, true, false, false);
    s_run_out(w);

    const Elanus__Inspection *found = qw_inspect(w, &ctx, &ask);
    assert_int_equal(found->n_followers, 1);
    assert_true(found->followers[0]->leader && found->followers[0]->epoch > 0);
    assert_int_equal(found->followers[0]->heard_ts, qw_last_ts(w));
    assert_int_equal(found->n_segments, 2);
    assert_int_equal(found->segments[0]->state, ELANUS__SEGMENT_STATE__SEGMENT_GROWING);
    assert_int_equal(found->segments[1]->state, ELANUS__SEGMENT_STATE__SEGMENT_FLUSHED);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(found->segments[i]->rows, ROWS);
        assert_int_equal(found->segments[i]->collection, QW_COLL);
        assert_int_equal(found->segments[i]->partition, QW_PART);
        assert_true(found->segments[i]->bytes > 0);
    }
    uint64_t seq = found->followers[0]->seq;
    s_insert(w, 2 * ROWS);
    s_run_out(w);
    assert_true(qw_inspect(w, &ctx, &ask)->followers[0]->seq > seq);

    ask.segments_before = found->segments[0]->id;
    assert_int_equal(qw_inspect(w, &ctx, &ask)->n_segments, 1);
    ask = (Elanus__InspectAsk)ELANUS__INSPECT_ASK__INIT;
    assert_int_equal(qw_inspect(w, &ctx, &ask)->n_followers, 0);
    assert_int_equal(qw_inspect(w, &ctx, &ask)->n_segments, 0);
    qw_free(&w);
    ctx_fini(&ctx);
}

/* What was heard of the new owner counts when all of it is in view, not before. */
static void who_begins_anew_says_no_position(void **state)
{
    (void)state;
    ctx_t ctx;
    ctx_init(&ctx);
    Elanus__InspectAsk ask = ELANUS__INSPECT_ASK__INIT;
    ask.state = true;
    querynode_world_t *w = qw_new(4, NULL);
    qw_create(w);
    s_insert(w, 0);
    qw_load(w, true, false, false);
    s_run_out(w);
    uint64_t epoch = qw_inspect(w, &ctx, &ask)->followers[0]->epoch;
    qw_crash(w);
    bool anew = false;
    uint64_t now = epoch;
    for (int step = 0; now <= epoch && step < 10000; step++) {
        if (qw_idle(w))
            qw_pass(w, 50);                     /* it asks the new owner after a while */
        qw_one(w);
        now = qw_inspect(w, &ctx, &ask)->followers[0]->epoch;
        anew |= now == 0;
    }
    assert_true(now > epoch);
    assert_true(anew || !qw_remote(w));         /* at once, where memory is shared */
    qw_free(&w);
    ctx_fini(&ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_shard_is_followed_and_its_segments_held),
        cmocka_unit_test(who_begins_anew_says_no_position),
    };
    log_set_level(LOG_FATAL);
    int failed = cmocka_run_group_tests_name("query_inspect", tests, NULL, NULL);
    return failed + cmocka_run_group_tests_name("query_inspect, rows that travel", tests,
                                                qw_setup_remote, NULL);
}
