/* The data node's write path, asked by hand: what it refuses and with which words, what it
 * does once, what waits, and what it leaves when it stops.
 *
 * tests/support/data_world.h is where the node lives, and who asks. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/segment/growing_page.h"
#include "core/segment/live.h"
#include "core/wire/pb.h"
#include "tests/support/data_world.h"

#define g data_world
enum { NODE = DATA_WORLD_NODE, WRITE_MS = DATA_WORLD_MS };

#define INSERT(from, count) ((rows_t){ .kind = WAL_INSERT, .first = (from), .n = (count) })
#define DELETE(from, count) ((rows_t){ .kind = WAL_DELETE, .first = (from), .n = (count) })

/* --- tests: channels ------------------------------------------------------------------ */

static void a_node_without_a_log_says_so(void **state)
{
    (void)state;
    sim_kill(g.sim, NODE);
    g.options.open_disk = NULL;
    sim_start(g.sim, NODE);
    sim_run(g.sim, 800);
    question_t *q = dw_open();
    assert_int_equal(q->err, ERR_UNIMPLEMENTED);
    assert_non_null(strstr(q->text, "neither a disk nor an object store"));
}

static void a_name_that_is_no_directory_is_refused(void **state)
{
    (void)state;
    static const char *const names[] = { "", "..", ".hidden", "a/b", "../etc", "a\\b", "a b" };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        Elanus__OpenChannel ask = ELANUS__OPEN_CHANNEL__INIT;
        ask.pchannel = (char *)names[i];
        question_t *q = dw_ask(ELANUS__METHOD__METHOD_OPEN_CHANNEL, pb_pack(&g.ctx, &ask),
                               WRITE_MS);
        assert_int_equal(dw_wait(q), ERR_PARAM_INVALID);
    }
}

static void who_asks_the_wrong_owner_is_sent_away(void **state)
{
    (void)state;
    g.epoch = 1;
    assert_int_equal(dw_write(INSERT(1, 1))->err, ERR_MOVED);
    dw_open_well();
    rows_t rows = INSERT(1, 1);
    rows.epoch = g.epoch + 1;
    assert_int_equal(dw_write(rows)->err, ERR_MOVED);
    dw_ts(dw_write(INSERT(1, 1)));
    dw_open_well();                              /* asked again: it is open */
    assert_int_equal(dw_rows(), 1);
}

/* Each open has an epoch of its own, and what was written is there. */
static void a_channel_opens_again_with_its_rows(void **state)
{
    (void)state;
    uint64_t before = 0;
    for (int64_t i = 0; i < 5; i++) {
        dw_open_well();
        assert_true(g.epoch > before);
        before = g.epoch;
        assert_int_equal(dw_rows(), i * 2);
        dw_ts(dw_write(INSERT(i * 2, 2)));
        if (i % 2) {
            sim_disks_power(g.disks, false);
            sim_kill(g.sim, NODE);
            sim_disks_crash(g.disks, sim_rng(g.sim));
        } else {
            sim_stop(g.sim, NODE);
            sim_run(g.sim, 6000);
        }
        assert_false(sim_alive(g.sim, NODE));
        sim_start(g.sim, NODE);
        sim_run(g.sim, 800);
    }
}

static void stopping_answers_what_is_under_way(void **state)
{
    (void)state;
    dw_open_well();
    question_t *under_way = dw_write_soon(INSERT(1, 3)), *parked = dw_follow(g.epoch, 9, 9000);
    sim_run(g.sim, 12);                         /* they have arrived, by this seed's latencies */
    sim_stop(g.sim, NODE);
    assert_int_equal(dw_wait(under_way), OK);
    assert_int_not_equal(dw_wait(parked), ERR_TIMEOUT);
    sim_run(g.sim, 3000);
    assert_false(sim_alive(g.sim, NODE));
    sim_start(g.sim, NODE);
    sim_run(g.sim, 800);
    dw_open_well();
    assert_int_equal(dw_rows(), 3);
}

/* --- tests: what is written ----------------------------------------------------------- */

static void writes_are_stamped_in_order(void **state)
{
    (void)state;
    dw_open_well();
    uint64_t last = 0;
    for (int64_t i = 0; i < 20; i++) {
        uint64_t ts = dw_ts(dw_write(i % 4 == 3 ? DELETE(i - 1, 1) : INSERT(i, 1)));
        assert_true(ts > last);
        last = ts;
    }
    assert_int_equal(dw_rows(), 15);
    rows_t swapped = INSERT(100, 5);            /* columns find their fields by id */
    swapped.swapped = true;
    dw_ts(dw_write(swapped));
    rows_t upsert = INSERT(100, 5);
    upsert.kind = WAL_UPSERT;
    dw_ts(dw_write(upsert));
    assert_int_equal(dw_rows(), 25);
}

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    dw_open_well();
    rows_t bad[] = {
        { .kind = WAL_INSERT, .n = 3, .text_is_number = true },
        { .kind = WAL_INSERT, .n = 3, .no_text = true },
        { .kind = WAL_INSERT, .n = 3, .null_keys = true },
        { .kind = WAL_INSERT, .n = 0 },
        { .kind = WAL_INSERT, .n = 3, .two_requests = true },
        { .kind = WAL_INSERT, .n = 3, .vchannel = "dml_4_500v0" },
        { .kind = WAL_DELETE, .n = 3, .no_keys = true },
        { .kind = WAL_DELETE, .n = 3, .null_keys = true },
        { .kind = WAL_DELETE, .n = 0 },
        { .kind = WAL_BARRIER },
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        question_t *q = dw_write(bad[i]);
        if (q->err != ERR_MALFORMED)
            fail_msg("row %zu: %s %s", i, err_name(q->err), q->text);
    }
    dw_ts(dw_write(INSERT(1, 2)));
    assert_int_equal(dw_rows(), 2);
}

/* Whichever bit is turned, nothing crashes and nothing half-right is taken. */
static void a_damaged_message_is_refused(void **state)
{
    (void)state;
    dw_open_well();
    rows_t rows = INSERT(1, 2);
    buf_scoped bytes;
    buf_init(&bytes, 0);
    dw_bytes(&rows, 77, &bytes);
    for (size_t at = 0; at < bytes.len; at += 3) {
        bytes.ptr[at] ^= (uint8_t)(1u << (at % 8));
        question_t *q = dw_ask(ELANUS__METHOD__METHOD_WRITE, buf_view(&bytes), WRITE_MS);
        assert_int_not_equal(dw_wait(q), OK);
        bytes.ptr[at] ^= (uint8_t)(1u << (at % 8));
    }
    for (size_t len = 0; len < bytes.len; len += 7) {
        question_t *q = dw_ask(ELANUS__METHOD__METHOD_WRITE, view_of(bytes.ptr, len), WRITE_MS);
        assert_int_not_equal(dw_wait(q), OK);
    }
    assert_int_equal(dw_rows(), 0);
    question_t *whole = dw_ask(ELANUS__METHOD__METHOD_WRITE, buf_view(&bytes), WRITE_MS);
    dw_wait(whole);
    dw_ts(whole);
}

static void the_unknown_is_not_found_in_milvus_words(void **state)
{
    (void)state;
    dw_open_well();
    rows_t rows = INSERT(1, 1);
    rows.collection = 777;
    rows.vchannel = "dml_3_777v0";
    question_t *q = dw_write(rows);
    assert_int_equal(q->err, ERR_COLLECTION_NOT_FOUND);
    assert_string_equal(q->text, "collection not found[collection=777]");
    rows = INSERT(1, 1);
    rows.partition = 888;
    q = dw_write(rows);
    assert_int_equal(q->err, ERR_PARTITION_NOT_FOUND);
    assert_string_equal(q->text, "partition not found[partition=888]");
    rows = DELETE(1, 1);
    rows.partition = -1;
    dw_ts(dw_write(rows));
}

/* A proxy may know a collection before this node's watch has shown it. */
static void a_collection_may_be_newer_than_the_watch(void **state)
{
    (void)state;
    dw_open_well();
    for (int64_t i = 0; i < 30; i++) {
        rows_t rows = INSERT(1, 1);
        rows.collection = 600 + i;
        rows.vchannel = ctx_printf(&g.ctx, "dml_3_%" PRId64 "v0", rows.collection);
        dw_put_collection((uint64_t)rows.collection, 1);
        dw_ts(dw_write(rows));
        rows.partition = 502;
        rows.request = 0;
        dw_put_collection((uint64_t)rows.collection, 2);
        dw_ts(dw_write(rows));
    }
}

static void what_is_dropped_is_gone(void **state)
{
    (void)state;
    dw_open_well();
    dw_ts(dw_write(INSERT(1, 4)));
    rows_t other = INSERT(10, 5);
    other.partition = 502;
    dw_ts(dw_write(other));
    assert_int_equal(dw_rows(), 9);
    uint64_t second = dw_segments(500)->segments[1]->id;
    uint64_t owner = sim_self(g.sim, NODE)->incarnation;
    growing_t *held = live_get(owner, second);
    assert_non_null(held);
    growing_unref(&held);

    dw_put_collection(500, 1);
    sim_run(g.sim, 1000);
    assert_int_equal(dw_rows(), 4);
    assert_null(live_get(owner, second));
    other.request = 0;
    assert_int_equal(dw_write(other)->err, ERR_PARTITION_NOT_FOUND);

    question_t *parked = dw_follow(g.epoch, 2, 9000);
    sim_run(g.sim, 50);
    dw_delete_key("coll/500");
    assert_int_equal(dw_wait(parked), ERR_COLLECTION_NOT_FOUND);
    assert_int_equal(dw_write(INSERT(20, 1))->err, ERR_COLLECTION_NOT_FOUND);
    assert_int_equal(dw_segments(500)->n_segments, 0);
}

/* --- tests: what waits, and what is full ---------------------------------------------- */

static void a_write_waits_for_an_id_but_not_for_ever(void **state)
{
    (void)state;
    g.no_ids = true;
    sim_kill(g.sim, NODE);
    sim_start(g.sim, NODE);
    sim_run(g.sim, 800);
    dw_open_well();
    question_t *q = dw_write(INSERT(1, 1));
    assert_int_equal(q->err, ERR_SERVICE_NOT_READY);
    assert_non_null(strstr(q->text, "no coordinator has answered"));
    q = dw_write_soon(INSERT(1, 1));
    sim_run(g.sim, 500);
    assert_false(q->done);
    g.no_ids = false;
    assert_int_equal(dw_wait(q), OK);
    assert_int_equal(dw_rows(), 1);
}

/* Ids come in small blocks here: a segment for each write needs many. */
static void a_full_segment_is_followed_by_another(void **state)
{
    (void)state;
    g.options.seal_bytes = 1;
    dw_open_well();
    for (int64_t i = 0; i < 20; i++)
        dw_ts(dw_write(INSERT(i, 1)));
    const Elanus__SegmentList *list = dw_segments(500);
    assert_int_equal(list->n_segments, 20);
    for (size_t i = 0; i < list->n_segments; i++) {
        assert_int_equal(list->segments[i]->rows, 1);
        assert_int_not_equal(list->segments[i]->state, ELANUS__SEGMENT_STATE__SEGMENT_GROWING);
    }
}

static void memory_is_bounded(void **state)
{
    (void)state;
    g.options.memory_bytes = 300000;
    dw_open_well();
    question_t *q = NULL;
    rows_t rows = INSERT(0, 100);
    rows.text_bytes = 100;
    int taken = 0;
    do {
        q = dw_write(rows);
        rows.first += 100;
        taken += q->err == OK;
    } while (q->err == OK && taken < 100);
    assert_int_equal(q->err, ERR_QUOTA_EXCEEDED);
    assert_string_equal(q->text, "quota exceeded[reason=memory quota exceeded, please allocate "
                        "more resources]");
    assert_true(taken > 3 && taken < 30);
    assert_int_equal(dw_rows(), taken * 100);
}

static void a_full_disk_is_said_and_survived(void **state)
{
    (void)state;
    dw_open_well();
    dw_ts(dw_write(INSERT(0, 1)));
    sim_disks_fill(g.disks, true);
    rows_t rows = INSERT(1, 50);
    rows.text_bytes = 200;
    question_t *q = dw_write(rows);
    assert_int_equal(q->err, ERR_DISK_FULL);
    assert_non_null(strstr(q->text, "Nothing of this request was stored"));
    assert_int_equal(dw_rows(), 1);
    sim_disks_fill(g.disks, false);
    dw_ts(dw_write(rows));
    assert_int_equal(dw_rows(), 51);
    assert_int_equal(dw_epoch(), g.epoch);       /* the channel went on */
}

/* --- tests: once ---------------------------------------------------------------------- */

static void a_request_that_comes_again_is_done_once(void **state)
{
    (void)state;
    dw_open_well();
    rows_t rows = INSERT(1, 3);
    rows.request = 42;
    question_t *first = dw_write_soon(rows), *second = dw_write_soon(rows);
    dw_wait(first);
    dw_wait(second);
    uint64_t ts = dw_ts(first);
    assert_int_equal(dw_ts(second), ts);
    assert_int_equal(dw_ts(dw_write(rows)), ts);
    sim_disks_power(g.disks, false);
    sim_kill(g.sim, NODE);
    sim_disks_crash(g.disks, sim_rng(g.sim));
    sim_start(g.sim, NODE);
    sim_run(g.sim, 800);
    dw_open_well();
    assert_int_equal(dw_ts(dw_write(rows)), ts);
    assert_int_equal(dw_rows(), 3);
}

/* Nobody knows, the channel opens again by itself, and the request is done once. */
static void a_failed_disk_is_settled_by_opening_again(void **state)
{
    (void)state;
    dw_open_well();
    for (uint64_t nth = 1; nth < 12; nth++) {
        rows_t rows = INSERT((int64_t)nth * 10, 2);
        rows.request = nth;
        rows.text_bytes = 300;
        sim_disks_fail_at(g.disks, nth);
        question_t *q = dw_write(rows);
        assert_true(q->err == OK || q->err == ERR_OUTCOME_UNKNOWN || q->err == ERR_DISK_FULL);
        sim_run(g.sim, 3000);
        sim_disks_fail_at(g.disks, 0);
        if (dw_epoch() == 0)                     /* the open failed too: the coordinator asks */
            dw_open_well();
        g.epoch = dw_epoch();
        dw_ts(dw_write(rows));
        assert_int_equal(dw_rows(), nth * 2);
    }
}

/* The n-th allocation of a step fails: refused or done later, never half done. */
static void every_fault_in_a_step_is_survived(void **state)
{
    (void)state;
    dw_open_well();
    uint64_t rows_now = 0;
    for (int pass = 0; pass < 2; pass++) {
        int *fault = pass ? &g.fault_in_job : &g.fault_in_write;
        bool fired = true;
        for (int nth = 0; fired; nth++) {
            rows_t rows = INSERT((int64_t)rows_now, 900);
            rows.kind = WAL_UPSERT;
            rows.text_bytes = 100;
            rows.request = 1000 * (uint64_t)(pass + 1) + (uint64_t)nth;
            g.fault_fired = false;
            *fault = nth;
            question_t *q = dw_write(rows);
            fired = g.fault_fired;
            *fault = -1;
            assert_true(q->err == OK || (fired && q->err == ERR_MEMORY));
            rows_now += 900;
            dw_ts(dw_write(rows));
            assert_int_equal(dw_rows(), rows_now);
        }
    }
    printf("          %" PRIu64 " writes\n", rows_now / 900);
    assert_true(rows_now >= 900 * 6);
}

/* --- tests: who reads ----------------------------------------------------------------- */

static void a_follower_is_told_what_is_new(void **state)
{
    (void)state;
    dw_open_well();
    const Elanus__Followed *news = dw_followed(dw_follow(0, 0, 5000));
    assert_true(news->reset && news->epoch == g.epoch && news->n_growing == 0);

    question_t *parked = dw_follow(news->epoch, news->seq, 5000);
    sim_run(g.sim, 100);
    assert_false(parked->done);
    uint64_t ts = dw_ts(dw_write(INSERT(1, 3)));
    news = dw_followed(parked);
    assert_true(!news->reset && news->n_growing == 1 && news->last_ts == ts);
    assert_int_equal(news->owner, sim_self(g.sim, NODE)->incarnation);

    ts = dw_ts(dw_write(DELETE(2, 1)));
    uint64_t seq = news->seq;
    news = dw_followed(dw_follow(g.epoch, seq, 5000));
    assert_true(!news->reset && news->n_growing == 0 && news->n_deletes == 1);
    assert_true(news->deletes[0]->ts == ts && news->deletes[0]->partition == 501);

    parked = dw_follow(news->epoch, news->seq, 200);
    news = dw_followed(parked);                  /* nothing came: told so */
    assert_true(!news->reset && news->n_growing == 0 && news->n_deletes == 0);
    news = dw_followed(dw_follow(g.epoch + 1, seq, 5000));
    assert_true(news->reset && news->n_growing == 1 && news->n_deletes == 1);
}

/* A follower in another process gets the rows: those it lacks, and when it lacks none it waits. */
static void a_remote_follower_is_sent_rows(void **state)
{
    (void)state;
    dw_open_well();
    rows_t big = INSERT(1, 2000);
    big.text_bytes = 3000;                      /* 6 MB: several answers */
    dw_ts(dw_write(big));
    uint64_t ts = dw_ts(dw_write(DELETE(2, 1)));
    Elanus__GrowingHave have = ELANUS__GROWING_HAVE__INIT, *haves[] = { &have };
    Elanus__Follow ask = ELANUS__FOLLOW__INIT;
    ask.have = haves;
    ask.wait_ms = 5000;
    const Elanus__Followed *news = dw_followed(dw_follow_remote(&ask));
    growing_t *shared = live_get(news->owner, news->growing[0]->id);
    growing_t *copy = growing_new(growing_schema(shared), growing_id(shared));
    int answers = 1;
    for (;; answers++) {
        assert_true(news->reset && news->n_growing == 1 && news->growing[0]->rows == 2000);
        for (size_t i = 0; i < news->growing[0]->n_pages; i++)
            assert_int_equal(growing_page_read(&g.ctx, copy, view_of(
                news->growing[0]->pages[i].data, news->growing[0]->pages[i].len)), OK);
        if (!news->more)
            break;
        assert_true(news->n_deletes == 0);
        have.id = news->growing[0]->id;
        have.rows = growing_rows(copy);
        ask.n_have = 1;
        news = dw_followed(dw_follow_remote(&ask));
    }
    assert_true(answers > 2 && growing_rows(copy) == 2000 && news->last_ts == ts);
    assert_true(news->n_deletes == 1 && growing_max_ts(copy) == growing_max_ts(shared));

    have.rows = 2000;
    ask.epoch = news->epoch;
    ask.seq = news->seq;
    question_t *parked = dw_follow_remote(&ask);
    sim_run(g.sim, 100);
    assert_false(parked->done);
    dw_ts(dw_write(INSERT(5000, 3)));
    news = dw_followed(parked);
    assert_true(!news->reset && !news->more && news->growing[0]->n_pages == 1);
    assert_int_equal(growing_page_read(&g.ctx, copy, view_of(
        news->growing[0]->pages[0].data, news->growing[0]->pages[0].len)), OK);
    assert_int_equal(growing_rows(copy), 2003);
    ask.seq = news->seq;
    have.unwanted = true;                       /* nothing to send, so it waits */
    parked = dw_follow_remote(&ask);
    sim_run(g.sim, 100);
    assert_false(parked->done);
    have.unwanted = false;                      /* and one that lacks rows does not */
    news = dw_followed(dw_follow_remote(&ask));
    assert_true(!news->reset && news->growing[0]->n_pages == 1);
    growing_unref(&copy);
    growing_unref(&shared);
}

static question_t *s_frontier(const char *vchannel, uint64_t at_least)
{
    Elanus__FrontierAsk ask = ELANUS__FRONTIER_ASK__INIT;
    char *name = (char *)vchannel;
    ask.vchannels = &name;
    ask.n_vchannels = 1;
    ask.at_least = at_least;
    return dw_ask(ELANUS__METHOD__METHOD_FRONTIER, pb_pack(&g.ctx, &ask), 2000);
}

static void the_frontier_is_a_promise(void **state)
{
    (void)state;
    assert_int_equal(dw_wait(s_frontier(DATA_WORLD_VCHANNEL, 0)), ERR_MOVED);
    dw_open_well();
    uint64_t ts = dw_ts(dw_write(INSERT(1, 1)));
    question_t *q = s_frontier(DATA_WORLD_VCHANNEL, 0);
    Elanus__Frontier *told = NULL;
    assert_int_equal(dw_wait(q), OK);
    assert_int_equal(PB_UNPACK(&g.ctx, elanus__frontier, buf_view(&q->answer), &told), OK);
    assert_true(told->last_ts[0] == ts && told->complete_ts > ts);
    assert_true(dw_ts(dw_write(INSERT(2, 1))) > told->complete_ts);

    uint64_t soon = ((uint64_t)(1700000000000 + sim_now_ms(g.sim)) + 700) << 18;
    q = s_frontier(DATA_WORLD_VCHANNEL, soon);
    sim_run(g.sim, 300);
    assert_false(q->done);                      /* the clock is not there yet */
    assert_int_equal(dw_wait(q), OK);
    assert_int_equal(PB_UNPACK(&g.ctx, elanus__frontier, buf_view(&q->answer), &told), OK);
    assert_true(told->complete_ts >= soon);
    assert_int_equal(dw_wait(s_frontier(DATA_WORLD_VCHANNEL, UINT64_MAX)), ERR_TIMEOUT);
    assert_true(dw_ts(dw_write(INSERT(3, 1))) < soon + (60000ull << 18));
}

#define T(f) cmocka_unit_test_setup_teardown(f, dw_up, dw_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_node_without_a_log_says_so), T(a_name_that_is_no_directory_is_refused),
        T(who_asks_the_wrong_owner_is_sent_away), T(a_channel_opens_again_with_its_rows),
        T(stopping_answers_what_is_under_way), T(writes_are_stamped_in_order),
        T(what_does_not_fit_is_refused), T(a_damaged_message_is_refused),
        T(the_unknown_is_not_found_in_milvus_words), T(a_collection_may_be_newer_than_the_watch),
        T(what_is_dropped_is_gone), T(a_write_waits_for_an_id_but_not_for_ever),
        T(a_full_segment_is_followed_by_another), T(memory_is_bounded),
        T(a_full_disk_is_said_and_survived), T(a_request_that_comes_again_is_done_once),
        T(a_failed_disk_is_settled_by_opening_again), T(every_fault_in_a_step_is_survived),
        T(a_follower_is_told_what_is_new), T(a_remote_follower_is_sent_rows),
        T(the_frontier_is_a_promise),
    };
    log_set_level(getenv("ELANUS_SIM_LOG") ? LOG_INFO : LOG_FATAL);
    return cmocka_run_group_tests_name("data_write", tests, NULL, NULL);
}
