/* proxy_lots: which replica a read goes to, and where else when that one fails, is suspect, or is
 * late; and that no answer counts twice.
 *
 * Reads of coll/9 "kites" (two shards) that count, so what was counted twice would show. */
#include "tests/support/proxy_world.h"

static const char *const s_at_4 = "inproc://querynode-4", *const s_at_5 = "inproc://querynode-5";

static int s_up(void **state)
{
    pw_world_t *w = pw_up((pw_kind_t){ .shards = 2 });
    pw_show_leader(w);
    pw_show_load(w, NULL, 0);
    pw_show_query_nodes(w);
    pw_show_replica(w, PW_QUERY_NODE, PW_OTHER_QUERY_NODE);
    *state = w;
    return 0;
}

static int s_down(void **state)
{
    pw_down(*state);
    return 0;
}

/* A client asks; the call that was made last. */
static const pw_sent_t *s_begin(pw_world_t *w)
{
    static const char *s_count[] = { "count(*)" };
    Milvus__QueryRequest request = MILVUS__QUERY_REQUEST__INIT;
    request.collection_name = "kites";
    request.expr = "";
    request.output_fields = s_count;
    request.n_output_fields = 1;
    pw_send(w, "Query", &request);
    return w->n_sent ? &w->sent[w->n_sent - 1] : NULL;
}

static const Elanus__Query *s_asked(pw_world_t *w, const pw_sent_t *sent)
{
    Elanus__Query *query = NULL;
    assert_int_equal(PB_UNPACK(&w->ctx, elanus__query, sent->payload, &query), OK);
    return query;
}

static void s_counted(pw_world_t *w, const pw_sent_t *sent, uint64_t n)
{
    Elanus__Rows rows = ELANUS__ROWS__INIT;
    rows.count = n;
    pw_reply(w, sent, OK, "", &rows);
}

static void s_count_is(pw_world_t *w, int64_t n)
{
    Milvus__QueryResults *results = pw_answer(w, &milvus__query_results__descriptor);
    assert_int_equal(results->status->code, 0);
    assert_int_equal(results->fields_data[0]->scalars->long_data->data[0], n);
}

static const char *s_other(const pw_sent_t *sent)
{
    return strcmp(sent->endpoint, s_at_4) == 0 ? s_at_5 : s_at_4;
}

static void a_dead_nodes_reads_go_to_the_other_replica_at_once(void **state)
{
    pw_world_t *w = *state;
    static const err_t s_ways[] = { ERR_NETWORK, ERR_OUTCOME_UNKNOWN, ERR_MOVED, ERR_QUEUE_FULL };
    pw_show_two_replicas(w, PW_QUERY_NODE, PW_OTHER_QUERY_NODE);
    for (size_t i = 0; i < ARRAY_LEN(s_ways); i++) {
        const pw_sent_t *first = s_begin(w);
        assert_int_equal(w->n_sent, 1);
        pw_reply(w, first, s_ways[i], "it is dead", NULL);
        assert_int_equal(w->n_sent, 2);
        assert_string_equal(w->sent[1].endpoint, s_other(first));
        assert_int_equal(s_asked(w, &w->sent[1])->view->n_vchannels, 2);
        s_counted(w, &w->sent[1], 3);
        s_count_is(w, 3);
        pw_forget(w);
    }
}

/* A suspect node is not asked, as long as it is; without another the read waits. */
static void suspects_are_not_asked(void **state)
{
    pw_world_t *w = *state;
    pw_show_two_replicas(w, PW_QUERY_NODE, PW_OTHER_QUERY_NODE);
    pw_peer(w, s_at_4, NET_UP);
    pw_peer(w, s_at_5, NET_SUSPECT);
    for (int i = 0; i < 4; i++) {
        const pw_sent_t *sent = s_begin(w);
        assert_string_equal(sent->endpoint, s_at_4);
        s_counted(w, sent, 3);
        pw_forget(w);
    }
    pw_peer(w, s_at_4, NET_SUSPECT);
    s_begin(w);
    pw_wait(w, 400);
    assert_int_equal(w->n_sent, 0);
    pw_peer(w, s_at_5, NET_UP);                 /* no clock is waited for */
    assert_int_equal(w->n_sent, 1);
    assert_string_equal(w->sent[0].endpoint, s_at_5);
    s_counted(w, &w->sent[0], 3);
    s_count_is(w, 3);
}

/* The coordinator has its answer, we have not: no use waiting for somebody to take over. */
static void who_is_away_for_us_only_ends_the_read(void **state)
{
    pw_world_t *w = *state;
    static const char *const s_at[] = { "inproc://querynode-4", "inproc://querynode-5" };
    Elanus__NodeInfo info[2];
    Elanus__NodeStatus status = ELANUS__NODE_STATUS__INIT;
    Elanus__Member members[2], *list[2];
    Elanus__Cluster cluster = ELANUS__CLUSTER__INIT;
    cluster.members = list;
    cluster.n_members = 2;
    for (size_t i = 0; i < 2; i++) {
        elanus__node_info__init(&info[i]);
        elanus__member__init(&members[i]);
        info[i].id = PW_QUERY_NODE + i;
        info[i].address = (char *)s_at[i];
        members[i].info = &info[i];
        list[i] = &members[i];
        pw_peer(w, s_at[i], NET_SUSPECT);
    }
    s_begin(w);
    pw_wait(w, 400);
    assert_int_equal(w->n_sent, 0);
    pw_wait(w, 200);
    assert_int_equal(w->n_sent, 1);
    assert_int_equal(w->sent[0].method, ELANUS__METHOD__METHOD_CLUSTER);
    pw_reply(w, &w->sent[0], OK, "", &cluster); /* it does not reach them either */
    assert_null(w->answered);
    pw_wait(w, 1100);
    assert_int_equal(w->n_sent, 2);
    members[0].status = members[1].status = &status;
    pw_reply(w, &w->sent[1], OK, "", &cluster);
    Milvus__QueryResults *results = pw_answer(w, &milvus__query_results__descriptor);
    assert_int_equal(results->status->code, 2);
    assert_non_null(strstr(results->status->reason, "try another proxy"));
}

/* Least in flight: two requests of one client that does not wait go to two nodes. */
static void the_idle_node_is_asked_first(void **state)
{
    pw_world_t *w = *state;
    pw_show_two_replicas(w, PW_QUERY_NODE, PW_OTHER_QUERY_NODE);
    int asked[2] = {0};
    for (int i = 0; i < 6; i++) {
        pw_sent_t sent = *s_begin(w);
        asked[strcmp(sent.endpoint, s_at_5) == 0]++;
        s_counted(w, &sent, 3);
        pw_forget(w);
    }
    assert_int_equal(asked[0], 3);
    assert_int_equal(asked[1], 3);
    proxy_call_t *open[3];
    const char *first = NULL;
    for (size_t i = 0; i < ARRAY_LEN(open); i++) {
        const pw_sent_t *sent = s_begin(w);
        open[i] = w->open;
        if (i == 0)
            first = sent->endpoint;
        else if (i == 1)
            assert_string_not_equal(sent->endpoint, first);
    }
    for (size_t i = ARRAY_LEN(open); i-- > 0; ) {
        s_counted(w, &w->sent[i], 3);
        assert_ptr_equal(w->answered, open[i]);
        if (i > 0) {
            buf_fini(&w->answered->body);
            mem_free(w->answered);
        }
    }
}

/* Who does not answer in time has company: the first answer counts, the other is called off. */
static void a_late_node_is_hedged(void **state)
{
    pw_world_t *w = *state;
    pw_show_two_replicas(w, PW_QUERY_NODE, PW_OTHER_QUERY_NODE);
    for (int late = 0; late < 2; late++) {
        const pw_sent_t *first = s_begin(w);
        pw_wait(w, 299);
        assert_int_equal(w->n_sent, 1);
        pw_wait(w, 1);
        assert_int_equal(w->n_sent, 2);
        const pw_sent_t *second = &w->sent[1];
        assert_string_equal(second->endpoint, s_other(first));
        const pw_sent_t *winner = late ? first : second, *loser = late ? second : first;
        s_counted(w, winner, 3);
        s_count_is(w, 3);
        assert_int_equal(w->n_cancelled, 1);
        assert_true(pw_is_cancelled(w, loser));
        proxy_call_t *answered = w->answered;
        s_counted(w, loser, 4);      /* it was on its way: no second answer */
        assert_ptr_equal(w->answered, answered);
        pw_forget(w);
    }
    const pw_sent_t *next = s_begin(w);         /* nobody left to ask: no more company */
    pw_wait(w, 5000);
    assert_int_equal(w->n_sent, 2);
    pw_reply(w, next, ERR_NETWORK, "dead", NULL);
    assert_null(w->answered);
    pw_reply(w, &w->sent[1], ERR_NETWORK, "dead too", NULL);
    assert_int_equal(w->n_sent, 2);
    pw_wait(w, 100);
    assert_int_equal(w->n_sent, 3);
    s_counted(w, &w->sent[2], 3);
    s_count_is(w, 3);
}

/* Two nodes do what one was asked for: either both of them count, or that one. */
static void parts_of_a_hedge_count_together(void **state)
{
    pw_world_t *w = *state;
    for (int order = 0; order < 3; order++) {
        pw_show_replica(w, PW_THIRD_QUERY_NODE, PW_THIRD_QUERY_NODE);
        pw_sent_t first = *s_begin(w);
        pw_show_replica(w, PW_QUERY_NODE, PW_OTHER_QUERY_NODE);
        pw_wait(w, 300);
        assert_int_equal(w->n_sent, 3);
        s_counted(w, &w->sent[1], 1);
        assert_null(w->answered);
        if (order == 0) {
            s_counted(w, &w->sent[2], 2);
        } else if (order == 1) {
            s_counted(w, &first, 3);
            assert_true(pw_is_cancelled(w, &w->sent[2]));
        } else {
            pw_reply(w, &w->sent[2], ERR_NETWORK, "dead", NULL);
            assert_null(w->answered);
            assert_int_equal(w->n_sent, 3);     /* the first is still at it */
            s_counted(w, &first, 3);
        }
        s_count_is(w, 3);
        pw_forget(w);
    }
}

/* A node that is asked for slow work is given the time that such work took of late. */
static void slow_collections_are_hedged_later(void **state)
{
    pw_world_t *w = *state;
    pw_show_replica(w, PW_QUERY_NODE, PW_QUERY_NODE);
    for (int i = 0; i < 8; i++) {
        pw_sent_t sent = *s_begin(w);
        pw_wait(w, 200);
        s_counted(w, &sent, 3);
        pw_forget(w);
    }
    pw_show_two_replicas(w, PW_QUERY_NODE, PW_OTHER_QUERY_NODE);
    s_begin(w);
    pw_wait(w, 599);
    assert_int_equal(w->n_sent, 1);
    pw_wait(w, 1);
    assert_int_equal(w->n_sent, 2);
    s_counted(w, &w->sent[1], 3);
}

/* The client has gone: the nodes need not bother. */
static void what_nobody_wants_is_called_off(void **state)
{
    pw_world_t *w = *state;
    const pw_sent_t *sent = s_begin(w);
    ctx_cancel(&w->request);
    pw_wait(w, 1000);
    assert_true(pw_is_cancelled(w, &w->sent[0]) && pw_is_cancelled(w, &w->sent[1]));
    assert_non_null(w->answered);
    pw_sent_t late = *sent;
    pw_forget(w);
    pw_reply(w, &late, ERR_CANCELED, "", NULL);
}

/* A node that leaves has no registration any more, and answers what it was asked. */
static void a_leaving_node_is_heard_out(void **state)
{
    pw_world_t *w = *state;
    pw_show_replica(w, PW_QUERY_NODE, PW_QUERY_NODE);
    pw_sent_t sent = *s_begin(w);
    pw_show_query_node_left(w);
    assert_string_not_equal(w->hung_up, s_at_4);
    s_counted(w, &sent, 3);
    s_count_is(w, 3);
    assert_string_equal(w->hung_up, s_at_4);
}

#define T(f) cmocka_unit_test_setup_teardown(f, s_up, s_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_dead_nodes_reads_go_to_the_other_replica_at_once),
        T(suspects_are_not_asked),
        T(who_is_away_for_us_only_ends_the_read),
        T(the_idle_node_is_asked_first),
        T(a_late_node_is_hedged),
        T(parts_of_a_hedge_count_together),
        T(slow_collections_are_hedged_later),
        T(what_nobody_wants_is_called_off),
        T(a_leaving_node_is_heard_out),
    };
    return cmocka_run_group_tests_name("proxy_lots", tests, NULL, NULL);
}
