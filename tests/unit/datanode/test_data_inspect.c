/* What a data node tells those who look in: its channels, and what it has not flushed. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/wire/pb.h"
#include "tests/support/data_world.h"

#define g data_world

#define INSERT(from, count) ((rows_t){ .kind = WAL_INSERT, .first = (from), .n = (count) })

static const Elanus__Inspection *s_look(Elanus__InspectAsk ask)
{
    question_t *q = dw_ask(ELANUS__METHOD__METHOD_INSPECT, pb_pack(&g.ctx, &ask), DATA_WORLD_MS);
    assert_int_equal(dw_wait(q), OK);
    Elanus__Inspection *found = NULL;
    assert_int_equal(PB_UNPACK(&g.ctx, elanus__inspection, buf_view(&q->answer), &found), OK);
    return found;
}

static const Elanus__Inspection *s_state(void)
{
    Elanus__InspectAsk ask = ELANUS__INSPECT_ASK__INIT;
    ask.state = true;
    return s_look(ask);
}

static const Elanus__Inspection *s_segments(uint32_t most, uint64_t before, uint64_t of)
{
    Elanus__InspectAsk ask = ELANUS__INSPECT_ASK__INIT;
    ask.segments_most = most;
    ask.segments_before = before;
    ask.segments_of = of;
    return s_look(ask);
}

static void a_channel_shows_how_far_it_is(void **state)
{
    (void)state;
    assert_int_equal(s_state()->n_channels, 0);
    dw_open_well();
    dw_ts(dw_write(INSERT(1, 3)));
    uint64_t ts = dw_ts(dw_write(INSERT(4, 2)));
    const Elanus__Inspection *found = s_state();
    assert_int_equal(found->n_channels, 1);
    assert_int_equal(found->n_segments, 0);
    const Elanus__ChannelView *view = found->channels[0];
    assert_string_equal(view->pchannel, DATA_WORLD_PCHANNEL);
    assert_string_equal(view->state, "active");
    assert_int_equal(view->epoch, g.epoch);
    assert_int_equal(view->frontier_epoch, g.epoch);
    assert_int_equal(view->frontier_seq, 2);
    assert_int_equal(view->frontier_ts, ts);
    assert_int_equal(view->growing_rows, 5);
    assert_int_equal(view->pending_bytes, 0);
    assert_int_equal(view->n_shards, 1);
    assert_string_equal(view->shards[0]->vchannel, DATA_WORLD_VCHANNEL);
    assert_int_equal(view->shards[0]->seq, 2);
    assert_int_equal(view->shards[0]->ts, ts);
}

static void a_channel_that_went_to_somebody_else_is_not_shown(void **state)
{
    (void)state;
    dw_open_well();
    assert_int_equal(s_state()->n_channels, 1);
    Elanus__Owner other = ELANUS__OWNER__INIT;
    other.pchannel = (char *)DATA_WORLD_PCHANNEL;
    other.epoch = g.epoch + 1;
    other.node = other.incarnation = 77;
    meta_op_t op = { .kind = META_PUT, .key = "owner/" DATA_WORLD_PCHANNEL,
                     .value = pb_pack(&g.ctx, &other) };
    meta_txn_result_t done = {0};
    assert_int_equal(meta_txn(&g.ctx, sim_meta(g.sim), &(meta_txn_t){ .ops = &op, .n_ops = 1 },
                              &done), OK);
    sim_run(g.sim, 1000);
    assert_int_equal(s_state()->n_channels, 0);
}

static void growing_segments_are_shown_as_asked(void **state)
{
    (void)state;
    dw_open_well();
    dw_ts(dw_write(INSERT(1, 4)));
    rows_t other = INSERT(10, 5);
    other.partition = 502;
    dw_ts(dw_write(other));
    const Elanus__Inspection *found = s_segments(10, 0, 0);
    assert_int_equal(found->n_channels, 0);
    assert_int_equal(found->n_segments, 2);
    const Elanus__SegmentView *newest = found->segments[0], *oldest = found->segments[1];
    assert_true(newest->id > oldest->id);
    assert_int_equal(newest->partition, 502);
    assert_int_equal(newest->rows, 5);
    assert_true(newest->bytes > 0);
    assert_int_equal(oldest->state, ELANUS__SEGMENT_STATE__SEGMENT_GROWING);
    assert_int_equal(oldest->collection, 500);
    assert_string_equal(oldest->vchannel, DATA_WORLD_VCHANNEL);

    assert_int_equal(s_segments(1, 0, 500)->segments[0]->id, newest->id);
    assert_int_equal(s_segments(1, 0, 500)->n_segments, 1);
    assert_int_equal(s_segments(10, newest->id, 0)->n_segments, 1);
    assert_int_equal(s_segments(10, oldest->id, 0)->n_segments, 0);
    assert_int_equal(s_segments(10, 0, 501)->n_segments, 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, dw_up, dw_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_channel_shows_how_far_it_is), T(a_channel_that_went_to_somebody_else_is_not_shown),
        T(growing_segments_are_shown_as_asked),
    };
    log_set_level(LOG_FATAL);
    return cmocka_run_group_tests_name("data_inspect", tests, NULL, NULL);
}
