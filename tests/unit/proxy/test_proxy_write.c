/* proxy_write, proxy_ids and the handlers of Insert, Upsert and Delete, by the step function. */
#include "core/base/fault.h"
#include "core/wal/wal_record.h"
#include "tests/support/field_data.h"
#include "tests/support/proxy_world.h"

/* --- requests --------------------------------------------------------------------------- */

/* Rows with keys from, from + 1, …; without keys when from < 0. */
static Milvus__InsertRequest *s_insert(int64_t from, uint32_t n)
{
    Milvus__InsertRequest *r = ctx_new(&fd_ctx, sizeof *r);
    milvus__insert_request__init(r);
    int64_t *keys = ctx_new(&fd_ctx, n * sizeof *keys);
    float *cells = ctx_new(&fd_ctx, 2 * n * sizeof *cells);
    for (uint32_t i = 0; i < n; i++)
        keys[i] = from + i;
    r->collection_name = "kites";
    r->num_rows = n;
    r->fields_data = ctx_new(&fd_ctx, 3 * sizeof(void *));
    r->fields_data[r->n_fields_data++] = fd_longs("group", keys, n);
    r->fields_data[r->n_fields_data++] = fd_float_vectors("vec", 2, cells, 2 * n);
    if (from >= 0)
        r->fields_data[r->n_fields_data++] = fd_longs("id", keys, n);
    return r;
}

static Milvus__UpsertRequest *s_upsert(int64_t from, uint32_t n)
{
    Milvus__InsertRequest *same = s_insert(from, n);
    Milvus__UpsertRequest *r = ctx_new(&fd_ctx, sizeof *r);
    milvus__upsert_request__init(r);
    r->collection_name = same->collection_name;
    r->num_rows = n;
    r->fields_data = same->fields_data;
    r->n_fields_data = same->n_fields_data;
    return r;
}

static Milvus__DeleteRequest *s_delete(const char *expr)
{
    Milvus__DeleteRequest *r = ctx_new(&fd_ctx, sizeof *r);
    milvus__delete_request__init(r);
    r->collection_name = "kites";
    r->expr = expr;
    return r;
}

/* The object a call carries; its entries one after the other. */
typedef struct object { wal_reader_t reader; wal_entry_t entry; } object_t;

static void s_read_object(pw_world_t *w, const pw_sent_t *sent, object_t *into)
{
    assert_int_equal(sent->method, ELANUS__METHOD__METHOD_WRITE);
    assert_int_equal(wal_reader_open(&w->ctx, &into->reader, sent->payload), OK);
}

static bool s_next(pw_world_t *w, object_t *object)
{
    bool more = false;
    assert_int_equal(wal_reader_next(&w->ctx, &object->reader, &object->entry, &more), OK);
    return more;
}

/* --- writing ---------------------------------------------------------------------------- */

static void rows_go_to_the_owner_and_back_comes_what_was_written(void **state)
{
    (void)state;
    pw_world_t *w = pw_up((pw_kind_t){ .shards = 1 });
    pw_show_nodes(w);
    pw_show_owners(w, PW_DATA_NODE, PW_DATA_NODE, 5);
    pw_send(w, "Insert", s_insert(40, 3));
    assert_int_equal(w->n_sent, 1);
    assert_string_equal(w->sent[0].endpoint, "inproc://datanode-2");
    object_t object;
    s_read_object(w, &w->sent[0], &object);
    assert_int_equal(object.reader.head.link.at.epoch, 5);
    assert_true(s_next(w, &object));
    assert_int_equal(object.entry.kind, WAL_INSERT);
    assert_int_equal(object.entry.collection, 9);
    assert_int_equal(object.entry.partition, 50);
    assert_int_equal(object.entry.n_fields, 3);
    assert_false(s_next(w, &object));
    assert_null(w->answered);
    pw_written(w, &w->sent[0], 1234);
    Milvus__MutationResult *result = pw_result(w);
    assert_int_equal(result->status->code, 0);
    assert_int_equal(result->insert_cnt, 3);
    assert_int_equal(result->timestamp, 1234);
    assert_int_equal(result->n_succ_index, 3);
    assert_int_equal(result->succ_index[2], 2);
    assert_int_equal(result->ids->int_id->n_data, 3);
    assert_int_equal(result->ids->int_id->data[2], 42);
    pw_down(w);
}

static void an_upsert_counts_all_three_ways(void **state)
{
    (void)state;
    pw_world_t *w = pw_up((pw_kind_t){ .shards = 1 });
    pw_show_nodes(w);
    pw_show_owners(w, PW_DATA_NODE, PW_DATA_NODE, 5);
    pw_send(w, "Upsert", s_upsert(40, 2));
    object_t object;
    s_read_object(w, &w->sent[0], &object);
    assert_true(s_next(w, &object));
    assert_int_equal(object.entry.kind, WAL_DELETE);
    assert_int_equal(object.entry.partition, 50);       /* only where it is put, as in Milvus */
    assert_true(s_next(w, &object));
    assert_int_equal(object.entry.kind, WAL_INSERT);
    pw_written(w, &w->sent[0], 1);
    Milvus__MutationResult *result = pw_result(w);
    assert_int_equal(result->upsert_cnt, 2);
    assert_int_equal(result->insert_cnt, 2);
    assert_int_equal(result->delete_cnt, 2);
    pw_down(w);
}

static void a_partition_key_upserts_everywhere(void **state)
{
    (void)state;
    pw_world_t *w = pw_up((pw_kind_t){ .shards = 1, .keyed = true });
    pw_show_nodes(w);
    pw_show_owners(w, PW_DATA_NODE, PW_DATA_NODE, 5);
    pw_send(w, "Upsert", s_upsert(0, 64));
    object_t object;
    bool seen[2] = { false, false };
    s_read_object(w, &w->sent[0], &object);
    assert_true(s_next(w, &object));
    assert_int_equal(object.entry.partition, -1);
    while (s_next(w, &object))
        seen[object.entry.partition - 50] = true;
    assert_true(seen[0] && seen[1]);
    pw_written(w, &w->sent[0], 1);
    pw_forget(w);
    Milvus__InsertRequest *named = s_insert(1, 1);
    named->partition_name = "_default_0";
    pw_send(w, "Insert", named);
    pw_is_refused(w, 65535, "not support manually specifying the partition names if partition key "
                 "mode is used");
    pw_down(w);
}

static void the_answer_waits_for_all_channels_and_has_the_latest_time(void **state)
{
    (void)state;
    pw_world_t *w = pw_up((pw_kind_t){ .shards = 2 });
    pw_show_nodes(w);
    pw_show_owners(w, PW_DATA_NODE, PW_OTHER_NODE, 5);
    pw_send(w, "Insert", s_insert(0, 20));
    assert_int_equal(w->n_sent, 2);
    assert_string_equal(w->sent[0].endpoint, "inproc://datanode-2");
    assert_string_equal(w->sent[1].endpoint, "inproc://datanode-3");
    pw_written(w, &w->sent[1], 900);
    assert_null(w->answered);
    pw_written(w, &w->sent[0], 800);
    assert_int_equal(pw_result(w)->timestamp, 900);
    pw_down(w);
}

/* --- owners come, go and refuse --------------------------------------------------------- */

static void rows_wait_for_an_owner(void **state)
{
    (void)state;
    pw_world_t *w = pw_up((pw_kind_t){ .shards = 1 });
    pw_show_nodes(w);
    pw_send(w, "Insert", s_insert(0, 1));
    pw_wait(w, 500);
    assert_int_equal(w->n_sent, 0);
    pw_show_owners(w, PW_OTHER_NODE, PW_OTHER_NODE, 6);
    assert_int_equal(w->n_sent, 1);
    assert_string_equal(w->sent[0].endpoint, "inproc://datanode-3");
    pw_written(w, &w->sent[0], 1);
    assert_int_equal(pw_result(w)->status->code, 0);
    pw_down(w);
}

static void without_an_owner_the_call_ends_in_time(void **state)
{
    (void)state;
    pw_world_t *w = pw_up((pw_kind_t){ .shards = 1 });
    pw_send(w, "Insert", s_insert(0, 1));
    pw_wait(w, 29000);
    assert_null(w->answered);
    pw_wait(w, 1500);
    pw_is_refused(w, 503, "channel not available[channel=dml_0_9v0]");
    w->request.deadline_ms = w->now_ms + 300;   /* the client's own deadline is sooner */
    pw_send(w, "Insert", s_insert(0, 1));
    pw_wait(w, 400);
    pw_is_refused(w, 503, "channel not available[channel=dml_0_9v0]");
    pw_down(w);
}

/* After any loss the same request goes to whoever owns the channel then. */
static void a_lost_request_is_repeated_with_its_number(void **state)
{
    (void)state;
    static const err_t s_losses[] = { ERR_NETWORK, ERR_TIMEOUT, ERR_OUTCOME_UNKNOWN, ERR_MOVED,
                                      ERR_QUEUE_FULL, ERR_FENCED, ERR_SERVICE_NOT_READY };
    pw_world_t *w = pw_up((pw_kind_t){ .shards = 1 });
    pw_show_nodes(w);
    pw_show_owners(w, PW_DATA_NODE, PW_DATA_NODE, 5);
    pw_send(w, "Insert", s_insert(0, 1));
    object_t first, again;
    s_read_object(w, &w->sent[0], &first);
    assert_true(s_next(w, &first));
    for (size_t i = 0; i < ARRAY_LEN(s_losses); i++) {
        pw_sent_t last = w->sent[w->n_sent - 1];
        pw_reply(w, &last, s_losses[i], "lost", NULL);
        assert_null(w->answered);
        w->n_sent = 0;
        pw_show_owners(w, i % 2 ? PW_DATA_NODE : PW_OTHER_NODE, PW_DATA_NODE, 6 + i);
        pw_wait(w, 200);
        assert_int_equal(w->n_sent, 1);
        assert_string_equal(w->sent[0].endpoint,
                            i % 2 ? "inproc://datanode-2" : "inproc://datanode-3");
        s_read_object(w, &w->sent[0], &again);
        assert_true(s_next(w, &again));
        assert_int_equal(again.reader.head.link.at.epoch, 6 + i);
        assert_memory_equal(again.entry.request, first.entry.request, 16);
    }
    pw_written(w, &w->sent[0], 7);
    assert_int_equal(pw_result(w)->timestamp, 7);
    pw_down(w);
}

/* Nothing is sent into a dead link; its coming back is news, and so is another owner. */
static void a_suspect_owner_is_not_asked(void **state)
{
    (void)state;
    pw_world_t *w = pw_up((pw_kind_t){ .shards = 1 });
    pw_show_nodes(w);
    pw_show_owners(w, PW_DATA_NODE, PW_DATA_NODE, 5);
    for (int other = 0; other < 2; other++) {
        pw_peer(w, "inproc://datanode-2", NET_SUSPECT);
        pw_send(w, "Insert", s_insert(0, 1));
        pw_wait(w, 500);
        assert_int_equal(w->n_sent, 0);
        if (other)
            pw_show_owners(w, PW_OTHER_NODE, PW_DATA_NODE, 6);
        else
            pw_peer(w, "inproc://datanode-2", NET_UP);
        assert_int_equal(w->n_sent, 1);
        assert_string_equal(w->sent[0].endpoint,
                            other ? "inproc://datanode-3" : "inproc://datanode-2");
        pw_written(w, &w->sent[0], 7);
        assert_int_equal(pw_result(w)->timestamp, 7);
        pw_forget(w);
    }
    pw_down(w);
}

/* Others reach the owner, so nobody will take the channel over: the client hears of it. */
static void an_owner_that_is_away_for_us_only_ends_the_write(void **state)
{
    (void)state;
    pw_world_t *w = pw_up((pw_kind_t){ .shards = 1 });
    Elanus__NodeInfo info = ELANUS__NODE_INFO__INIT;
    Elanus__NodeStatus status = ELANUS__NODE_STATUS__INIT;
    Elanus__Member member = ELANUS__MEMBER__INIT, *list = &member;
    Elanus__Cluster cluster = ELANUS__CLUSTER__INIT;
    info.id = PW_DATA_NODE;
    info.address = (char *)"inproc://datanode-2";
    member.info = &info;
    member.status = &status;
    cluster.members = &list;
    cluster.n_members = 1;
    pw_show_leader(w);
    pw_show_nodes(w);
    pw_show_owners(w, PW_DATA_NODE, PW_DATA_NODE, 5);
    pw_peer(w, "inproc://datanode-2", NET_SUSPECT);
    pw_send(w, "Insert", s_insert(0, 1));
    pw_wait(w, 600);
    assert_int_equal(w->n_sent, 1);
    assert_int_equal(w->sent[0].method, ELANUS__METHOD__METHOD_CLUSTER);
    pw_reply(w, &w->sent[0], OK, "", &cluster);
    pw_is_refused(w, 2, "node 2 at inproc://datanode-2 cannot be reached from this proxy, but from "
                  "the coordinator; check the network between them, or try another proxy");
    pw_down(w);
}

static void a_final_refusal_is_the_answer(void **state)
{
    (void)state;
    pw_world_t *w = pw_up((pw_kind_t){ .shards = 2 });
    pw_show_nodes(w);
    pw_show_owners(w, PW_DATA_NODE, PW_OTHER_NODE, 5);
    pw_send(w, "Insert", s_insert(0, 20));
    pw_reply(w, &w->sent[0], ERR_QUOTA_EXCEEDED, "quota exceeded[reason=memory]", NULL);
    assert_null(w->answered);                   /* the other may be writing still */
    pw_written(w, &w->sent[1], 900);
    pw_is_refused(w, 9, "quota exceeded[reason=memory]");
    pw_down(w);
}

static void a_request_that_is_lost_for_good_says_why(void **state)
{
    (void)state;
    pw_world_t *w = pw_up((pw_kind_t){ .shards = 1 });
    pw_show_nodes(w);
    pw_show_owners(w, PW_DATA_NODE, PW_DATA_NODE, 5);
    w->request.deadline_ms = w->now_ms + 1000;
    pw_send(w, "Insert", s_insert(0, 1));
    assert_int_equal(w->sent[0].timeout_ms, 1000);
    pw_reply(w, &w->sent[0], ERR_OUTCOME_UNKNOWN, "the peer left", NULL);
    pw_show_owners(w, PW_OTHER_NODE + 1, PW_DATA_NODE, 6);     /* nobody */
    pw_wait(w, 1200);
    pw_is_refused(w, 2, "the peer left");
    pw_down(w);
}

/* --- automatic keys --------------------------------------------------------------------- */

static void s_give_ids(pw_world_t *w, const pw_sent_t *sent, uint64_t first)
{
    assert_int_equal(sent->method, ELANUS__METHOD__METHOD_ALLOC_IDS);
    assert_string_equal(sent->endpoint, "inproc://coord-1");
    Elanus__AllocIds *ask = NULL;
    assert_int_equal(PB_UNPACK(&w->ctx, elanus__alloc_ids, sent->payload, &ask), OK);
    Elanus__IdRange range = ELANUS__ID_RANGE__INIT;
    range.first = first;
    range.n = ask->n;
    pw_reply(w, sent, OK, "", &range);
}

static void automatic_keys_come_from_a_reserve(void **state)
{
    (void)state;
    pw_world_t *w = pw_up((pw_kind_t){ .shards = 1, .auto_id = true });
    pw_show_nodes(w);
    pw_show_owners(w, PW_DATA_NODE, PW_DATA_NODE, 5);
    pw_send(w, "Insert", s_insert(-1, 3));
    pw_wait(w, 300);
    assert_int_equal(w->n_sent, 0);             /* nobody leads */
    pw_show_leader(w);
    pw_wait(w, 200);
    assert_int_equal(w->n_sent, 1);
    pw_reply(w, &w->sent[0], ERR_SERVICE_NOT_READY, "a standby", NULL);
    pw_wait(w, 200);
    assert_int_equal(w->n_sent, 2);
    s_give_ids(w, &w->sent[1], 1000);
    assert_int_equal(w->n_sent, 4);             /* the write, and a question for the reserve */
    const pw_sent_t *write = &w->sent[w->sent[2].method == ELANUS__METHOD__METHOD_WRITE ? 2 : 3];
    const pw_sent_t *more = &w->sent[write == &w->sent[2] ? 3 : 2];
    s_give_ids(w, more, 500000);
    pw_written(w, write, 1);
    Milvus__MutationResult *result = pw_result(w);
    assert_int_equal(result->ids->int_id->data[0], 1000);
    assert_int_equal(result->ids->int_id->data[2], 1002);
    pw_forget(w);
    pw_send(w, "Insert", s_insert(-1, 2));
    assert_int_equal(w->n_sent, 1);             /* no question: the write at once */
    pw_written(w, &w->sent[0], 2);
    assert_int_equal(pw_result(w)->ids->int_id->data[0], 1003);
    pw_down(w);
}

static void without_a_coordinator_there_are_no_keys(void **state)
{
    (void)state;
    pw_world_t *w = pw_up((pw_kind_t){ .shards = 1, .auto_id = true });
    pw_send(w, "Insert", s_insert(-1, 3));
    pw_wait(w, 30500);
    pw_is_refused(w, 2, "service unavailable: internal: the coordinator gave no ids in time");
    pw_down(w);
}

/* --- work elsewhere --------------------------------------------------------------------- */

static void large_requests_are_worked_on_by_a_job(void **state)
{
    (void)state;
    pw_world_t *w = pw_up((pw_kind_t){ .shards = 2 });
    pw_show_nodes(w);
    pw_show_owners(w, PW_DATA_NODE, PW_OTHER_NODE, 5);
    pw_send(w, "Insert", s_insert(0, 8000));
    assert_int_equal(w->n_sent, 0);
    pw_run_job(w);
    assert_int_equal(w->n_sent, 2);
    pw_written(w, &w->sent[0], 1);
    pw_written(w, &w->sent[1], 1);
    assert_int_equal(pw_result(w)->insert_cnt, 8000);
    pw_down(w);
}

/* Two of them: one reads the message, one makes the objects. */
static void very_large_requests_are_read_by_a_job(void **state)
{
    (void)state;
    pw_world_t *w = pw_up((pw_kind_t){ .shards = 1 });
    pw_show_nodes(w);
    pw_show_owners(w, PW_DATA_NODE, PW_DATA_NODE, 5);
    pw_send(w, "Insert", s_insert(0, 40000));
    pw_run_job(w);
    assert_int_equal(w->n_sent, 0);
    pw_run_job(w);
    assert_int_equal(w->n_sent, 1);
    pw_written(w, &w->sent[0], 1);
    assert_int_equal(pw_result(w)->insert_cnt, 40000);
    pw_down(w);
}

/* --- deletes ---------------------------------------------------------------------------- */

static void keys_of_an_expression_are_deleted(void **state)
{
    (void)state;
    pw_world_t *w = pw_up((pw_kind_t){ .shards = 1 });
    pw_show_nodes(w);
    pw_show_owners(w, PW_DATA_NODE, PW_DATA_NODE, 5);
    pw_send(w, "Delete", s_delete("id in [3, 1, 2]"));
    object_t object;
    s_read_object(w, &w->sent[0], &object);
    assert_true(s_next(w, &object));
    assert_int_equal(object.entry.kind, WAL_DELETE);
    assert_int_equal(object.entry.partition, -1);
    assert_int_equal(object.entry.deletes->n, 3);
    assert_false(s_next(w, &object));
    pw_written(w, &w->sent[0], 55);
    Milvus__MutationResult *result = pw_result(w);
    assert_int_equal(result->delete_cnt, 3);
    assert_int_equal(result->timestamp, 55);
    assert_null(result->ids);                   /* a client would take them for the count */
    pw_forget(w);

    Milvus__DeleteRequest *named = s_delete("id == 7");
    named->partition_name = "p";
    pw_send(w, "Delete", named);
    s_read_object(w, &w->sent[0], &object);
    assert_true(s_next(w, &object));
    assert_int_equal(object.entry.partition, 51);
    pw_written(w, &w->sent[0], 56);
    pw_forget(w);

    pw_send(w, "Delete", s_delete("id in []"));  /* nothing to do, and nobody is asked */
    assert_int_equal(w->n_sent, 0);
    assert_int_equal(pw_result(w)->delete_cnt, 0);
    pw_down(w);
}

static void expressions_that_delete_nothing_or_all_are_refused(void **state)
{
    (void)state;
    pw_world_t *w = pw_up((pw_kind_t){ .shards = 1 });
    pw_send(w, "Delete", s_delete(""));
    pw_is_refused(w, 1100, "invalid expression: invalid parameter[expected=valid expr]"
                 "[actual=empty expr]");
    pw_send(w, "Delete", s_delete("1 == 1"));
    pw_is_refused(w, 1100, "delete plan can't be empty or always true : 1 == 1: invalid parameter");
    pw_send(w, "Delete", s_delete("nope == 1"));
    pw_is_refused(w, 1100, "failed to create delete plan: cannot parse expression: nope == 1, "
                 "error: field nope not exist: invalid parameter");
    Milvus__DeleteRequest *named = s_delete("id == 7");
    named->partition_name = "nope";
    pw_send(w, "Delete", named);
    pw_is_refused(w, 200, "partition not found[partition=nope]");
    pw_down(w);
}

/* --- refusals --------------------------------------------------------------------------- */

static void what_does_not_fit_the_collection_is_refused(void **state)
{
    (void)state;
    pw_world_t *w = pw_up((pw_kind_t){ .shards = 1 });
    pw_show_nodes(w);
    pw_show_owners(w, PW_DATA_NODE, PW_DATA_NODE, 5);
    Milvus__InsertRequest *r = s_insert(0, 1);
    r->collection_name = "crows";
    pw_send(w, "Insert", r);
    pw_is_refused(w, 100, "collection not found[database=default][collection=crows]");
    r = s_insert(0, 1);
    r->partition_name = "nope";
    pw_send(w, "Insert", r);
    pw_is_refused(w, 200, "partition not found[partition=nope]");
    r = s_insert(0, 1);
    r->num_rows = 2;
    pw_send(w, "Insert", r);
    pw_is_refused(w, 1100, "the num_rows (1) of field (id) is not equal to passed num_rows (2): "
                 "invalid parameter[expected=2][actual=1]");
    r = s_insert(0, 1);
    r->schema_timestamp = 76;
    pw_send(w, "Insert", r);
    Milvus__MutationResult *result = pw_result(w);
    assert_int_equal(result->status->error_code, 62);   /* clients describe again, and resend */
    pw_is_refused(w, 109, "collection schema mismatch[collection=kites]");
    r = s_insert(0, 1);
    r->schema_timestamp = 77;
    pw_send(w, "Insert", r);
    assert_int_equal(w->n_sent, 1);
    pw_written(w, &w->sent[0], 1);
    assert_int_equal(pw_result(w)->status->code, 0);
    pw_forget(w);
    Milvus__UpsertRequest *partial = s_upsert(0, 1);
    partial->partial_update = true;
    pw_send(w, "Upsert", partial);
    pw_is_refused(w, 3000, "partial updates are not supported by this server, send whole rows: "
                 "unsupported operation");
    pw_down(w);
}

/* --- memory ----------------------------------------------------------------------------- */

/* Whatever is refused memory, the client is told, and the node goes on. */
static void every_fault_is_told(void **state)
{
    (void)state;
    pw_world_t *w = pw_up((pw_kind_t){ .shards = 2 });
    pw_show_nodes(w);
    pw_show_owners(w, PW_DATA_NODE, PW_OTHER_NODE, 5);
    const Milvus__UpsertRequest *request = s_upsert(0, 20);
    for (int nth = 0; ; nth++) {
        fault_arm(nth);
        pw_send(w, "Upsert", request);
        for (size_t i = 0; i < w->n_sent && !w->answered; i++)
            pw_written(w, &w->sent[i], 9);
        bool fired = fault_disarm();
        assert_non_null(w->answered);
        bool unread = w->answered->grpc_status == PROXY_GRPC_EXHAUSTED;
        int code = unread ? 3 : pw_result(w)->status->code;
        assert_int_equal(code, fired ? 3 : 0);
        pw_forget(w);
        if (!fired) {
            assert_true(nth > 10);
            break;
        }
    }
    pw_down(w);
}

#define T(f) cmocka_unit_test(f)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(rows_go_to_the_owner_and_back_comes_what_was_written),
        T(an_upsert_counts_all_three_ways), T(a_partition_key_upserts_everywhere),
        T(the_answer_waits_for_all_channels_and_has_the_latest_time), T(rows_wait_for_an_owner),
        T(without_an_owner_the_call_ends_in_time), T(a_lost_request_is_repeated_with_its_number),
        T(a_suspect_owner_is_not_asked), T(an_owner_that_is_away_for_us_only_ends_the_write),
        T(a_final_refusal_is_the_answer),
        T(a_request_that_is_lost_for_good_says_why),
        T(automatic_keys_come_from_a_reserve), T(without_a_coordinator_there_are_no_keys),
        T(large_requests_are_worked_on_by_a_job),
        T(very_large_requests_are_read_by_a_job), T(keys_of_an_expression_are_deleted),
        T(expressions_that_delete_nothing_or_all_are_refused),
        T(what_does_not_fit_the_collection_is_refused), T(every_fault_is_told),
    };
    return cmocka_run_group_tests_name("proxy_write", tests, NULL, NULL);
}
