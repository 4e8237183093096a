/* proxy_read and the handlers on it: who is asked for what, what comes of the answers, and what
 * happens when a node fails, moves, is slow, or nobody is there.
 *
 * The test plays query nodes of coll/9 "kites" (id, group, vec; two shards). */
#include <math.h>

#include "core/base/limits.h"
#include "core/schema/column.h"
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

/* --- requests ---------------------------------------------------------------------------- */

enum { PAIRS = 12 };

typedef struct pairs {
    Common__KeyValuePair at[PAIRS];
    Common__KeyValuePair *list[PAIRS];
    size_t n;
} pairs_t;

static void s_set(pairs_t *pairs, const char *key, const char *value)
{
    common__key_value_pair__init(&pairs->at[pairs->n]);
    pairs->at[pairs->n].key = key;
    pairs->at[pairs->n].value = value;
    pairs->list[pairs->n] = &pairs->at[pairs->n];
    pairs->n++;
}

static Milvus__SearchRequest s_search(pw_world_t *w, pairs_t *pairs, const char *topk)
{
    static float s_vec[] = { 1, 0 };
    Common__PlaceholderValue value = COMMON__PLACEHOLDER_VALUE__INIT;
    Common__PlaceholderValue *values = &value;
    Common__PlaceholderGroup group = COMMON__PLACEHOLDER_GROUP__INIT;
    ProtobufCBinaryData vec = { .data = (uint8_t *)s_vec, .len = sizeof s_vec };
    value.type = COMMON__PLACEHOLDER_TYPE__FloatVector;
    value.values = &vec;
    value.n_values = 1;
    group.placeholders = &values;
    group.n_placeholders = 1;
    view_t packed = pb_pack(&w->ctx, &group);
    Milvus__SearchRequest request;
    milvus__search_request__init(&request);
    request.collection_name = "kites";
    request.search_input_case = MILVUS__SEARCH_REQUEST__SEARCH_INPUT_PLACEHOLDER_GROUP;
    request.placeholder_group = (ProtobufCBinaryData){ .data = (uint8_t *)(uintptr_t)packed.ptr,
                                                       .len = packed.len };
    request.nq = 1;
    *pairs = (pairs_t){0};
    s_set(pairs, "topk", topk);
    s_set(pairs, "metric_type", "L2");
    request.search_params = pairs->list;
    request.n_search_params = pairs->n;
    return request;
}

static Milvus__QueryRequest s_query(pairs_t *pairs, const char *expr, const char *limit)
{
    Milvus__QueryRequest request = MILVUS__QUERY_REQUEST__INIT;
    request.collection_name = "kites";
    request.expr = expr;
    *pairs = (pairs_t){0};
    if (limit)
        s_set(pairs, "limit", limit);
    request.query_params = pairs->list;
    request.n_query_params = pairs->n;
    return request;
}

/* The call to the node at this address; it must have been made. */
static const pw_sent_t *s_sent_to(const pw_world_t *w, const char *endpoint)
{
    for (size_t i = w->n_sent; i > 0; i--)
        if (strcmp(w->sent[i - 1].endpoint, endpoint) == 0)
            return &w->sent[i - 1];
    fail_msg("nobody asked %s", endpoint);
    return NULL;
}

static const Elanus__Search *s_asked(pw_world_t *w, const pw_sent_t *sent)
{
    Elanus__Search *search = NULL;
    assert_int_equal(sent->method, ELANUS__METHOD__METHOD_SEARCH);
    assert_int_equal(PB_UNPACK(&w->ctx, elanus__search, sent->payload, &search), OK);
    return search;
}

static const Elanus__Query *s_asked_rows(pw_world_t *w, const pw_sent_t *sent)
{
    Elanus__Query *query = NULL;
    assert_int_equal(sent->method, ELANUS__METHOD__METHOD_QUERY);
    assert_int_equal(PB_UNPACK(&w->ctx, elanus__query, sent->payload, &query), OK);
    return query;
}

/* --- answers of nodes -------------------------------------------------------------------- */

static ProtobufCBinaryData s_longs(pw_world_t *w, const int64_t *numbers, size_t n)
{
    column_t column = { .type = TYPE_INT64, .width = 8, .n = n,
                        .cells = (const uint8_t *)numbers };
    buf_scoped bytes;
    buf_init(&bytes, 0);
    column_write(&column, &bytes);
    uint8_t *copy = ctx_new(&w->ctx, bytes.len + 1);
    memcpy(copy, bytes.ptr, bytes.len);
    return (ProtobufCBinaryData){ .data = copy, .len = bytes.len };
}

typedef struct hit { int64_t id; float score; } hit_t;

/* One query's hits; the group field is ten times the key, if it was asked for. */
static void s_found(pw_world_t *w, const pw_sent_t *sent, uint64_t ts, const hit_t *hits, size_t n)
{
    const Elanus__Search *asked = s_asked(w, sent);
    Elanus__Found found = ELANUS__FOUND__INIT;
    uint32_t per_query = (uint32_t)n;
    int64_t *ids = ctx_new(&w->ctx, (n + 1) * sizeof *ids);
    int64_t *tens = ctx_new(&w->ctx, (n + 1) * sizeof *tens);
    float *scores = ctx_new(&w->ctx, (n + 1) * sizeof *scores);
    ProtobufCBinaryData output;
    for (size_t i = 0; i < n; i++) {
        ids[i] = hits[i].id;
        tens[i] = hits[i].id * 10;
        scores[i] = hits[i].score;
    }
    output = s_longs(w, tens, n);
    found.read_ts = ts;
    found.hits = &per_query;
    found.n_hits = 1;
    found.scores = (ProtobufCBinaryData){ .data = (uint8_t *)scores, .len = n * sizeof *scores };
    found.pks = s_longs(w, ids, n);
    found.outputs = &output;
    found.n_outputs = asked->n_outputs;
    if (asked->group_field)
        found.groups = output;
    pw_reply(w, sent, OK, "", &found);
}

#define FOUND(w, sent, ts, ...) \
    s_found(w, sent, ts, (const hit_t[]){ __VA_ARGS__ }, \
            ARRAY_LEN(((const hit_t[]){ __VA_ARGS__ })))

static void s_rows(pw_world_t *w, const pw_sent_t *sent, uint64_t ts, const int64_t *ids, size_t n)
{
    const Elanus__Query *asked = s_asked_rows(w, sent);
    Elanus__Rows rows = ELANUS__ROWS__INIT;
    uint64_t *all_ts = ctx_new(&w->ctx, (n + 1) * sizeof *all_ts);
    ProtobufCBinaryData output = s_longs(w, ids, n);
    for (size_t i = 0; i < n; i++)
        all_ts[i] = ts;
    rows.read_ts = ts;
    rows.count = n;
    rows.pks = output;
    rows.ts = (ProtobufCBinaryData){ .data = (uint8_t *)all_ts, .len = n * sizeof *all_ts };
    rows.outputs = &output;
    rows.n_outputs = asked->n_outputs;
    pw_reply(w, sent, OK, "", &rows);
}

#define ROWS(w, sent, ts, ...) \
    s_rows(w, sent, ts, (const int64_t[]){ __VA_ARGS__ }, \
           ARRAY_LEN(((const int64_t[]){ __VA_ARGS__ })))

static Milvus__SearchResults *s_results(pw_world_t *w)
{
    Milvus__SearchResults *results = pw_answer(w, &milvus__search_results__descriptor);
    assert_int_equal(results->status->code, 0);
    return results;
}

static void s_ids_are(const Milvus__SearchResults *results, const int64_t *ids, size_t n)
{
    assert_int_equal(results->results->ids->int_id->n_data, n);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(results->results->ids->int_id->data[i], ids[i]);
}

#define IDS_ARE(results, ...) s_ids_are(results, (const int64_t[]){ __VA_ARGS__ }, \
                                        ARRAY_LEN(((const int64_t[]){ __VA_ARGS__ })))

static void s_refused(pw_world_t *w, const ProtobufCMessageDescriptor *type, int code,
                      const char *text)
{
    /* SearchResults and QueryResults both begin with their status. */
    const Milvus__SearchResults *results = pw_answer(w, type);
    assert_string_equal(results->status->reason, text);
    assert_int_equal(results->status->code, code);
    assert_int_not_equal(results->status->error_code, 0);
    pw_forget(w);
}

#define SEARCH_REFUSED(w, code, text) \
    s_refused(w, &milvus__search_results__descriptor, code, text)
#define QUERY_REFUSED(w, code, text) \
    s_refused(w, &milvus__query_results__descriptor, code, text)

/* --- search ------------------------------------------------------------------------------ */

static void each_node_is_asked_for_its_shard(void **state)
{
    pw_world_t *w = *state;
    static const char *s_outputs[] = { "group" };
    pairs_t pairs;
    Milvus__SearchRequest request = s_search(w, &pairs, "3");
    request.output_fields = s_outputs;
    request.n_output_fields = 1;
    request.dsl = "id > 1";
    pw_send(w, "Search", &request);
    assert_int_equal(w->n_sent, 2);
    const Elanus__Search *asked = s_asked(w, s_sent_to(w, s_at_4));
    assert_int_equal(asked->view->collection, 9);
    assert_int_equal(asked->view->n_vchannels, 1);
    assert_string_equal(asked->view->vchannels[0], "dml_0_9v0");
    assert_true(asked->view->strong);
    assert_int_equal(asked->topk, 3);
    assert_int_equal(asked->field, 102);
    assert_string_equal(asked->filter, "id > 1");
    assert_int_equal(asked->outputs[0], 101);
    FOUND(w, s_sent_to(w, s_at_4), 5, { 7, 0.25f }, { 2, 0.5f });
    assert_null(w->answered);
    FOUND(w, s_sent_to(w, s_at_5), 6, { 3, 0.125f }, { 9, 0.5f }, { 4, 8 });
    Milvus__SearchResults *results = s_results(w);
    IDS_ARE(results, 3, 7, 2);
    assert_true(results->results->scores[0] == 0.125f);
    assert_int_equal(results->results->topks[0], 3);
    assert_int_equal(results->results->n_topks, 1);
    assert_string_equal(results->results->fields_data[0]->field_name, "group");
    assert_int_equal(results->results->fields_data[0]->scalars->long_data->data[1], 70);
    assert_string_equal(results->results->primary_field_name, "id");
    assert_string_equal(results->collection_name, "kites");
    assert_int_equal(results->session_ts, 0);
}

static void one_node_is_asked_once_for_all(void **state)
{
    pw_world_t *w = *state;
    pairs_t pairs;
    pw_show_replica(w, PW_QUERY_NODE, PW_QUERY_NODE);
    Milvus__SearchRequest request = s_search(w, &pairs, "2");
    s_set(&pairs, "offset", "1");
    s_set(&pairs, "round_decimal", "1");
    request.n_search_params = pairs.n;
    pw_send(w, "Search", &request);
    assert_int_equal(w->n_sent, 1);
    assert_int_equal(s_asked(w, &w->sent[0])->view->n_vchannels, 2);
    assert_int_equal(s_asked(w, &w->sent[0])->topk, 3);
    FOUND(w, &w->sent[0], 5, { 7, 0.25f }, { 2, 0.44f }, { 1, 9 });
    IDS_ARE(s_results(w), 2, 1);
    assert_true(s_results(w)->results->scores[0] == roundf(4.4f) / 10);
}

/* Nobody has a row: lists without elements, but every list is there. */
static void nothing_is_an_answer(void **state)
{
    pw_world_t *w = *state;
    pairs_t pairs;
    Milvus__SearchRequest request = s_search(w, &pairs, "3");
    pw_send(w, "Search", &request);
    s_found(w, s_sent_to(w, s_at_4), 5, NULL, 0);
    s_found(w, s_sent_to(w, s_at_5), 5, NULL, 0);
    Milvus__SearchResults *results = s_results(w);
    assert_int_equal(results->results->n_topks, 1);
    assert_int_equal(results->results->topks[0], 0);
    assert_int_equal(results->results->ids->id_field_case, SCHEMA__IDS__ID_FIELD_INT_ID);
}

static void a_node_that_fails_is_asked_again(void **state)
{
    pw_world_t *w = *state;
    static const err_t s_again[] = { ERR_NETWORK, ERR_MOVED, ERR_SERVICE_NOT_READY,
                                     ERR_COLLECTION_PARTLY_LOADED };
    pairs_t pairs;
    Milvus__SearchRequest request = s_search(w, &pairs, "3");
    pw_send(w, "Search", &request);
    FOUND(w, s_sent_to(w, s_at_4), 5, { 7, 0.25f });
    for (size_t i = 0; i < ARRAY_LEN(s_again); i++) {
        size_t before = w->n_sent;
        pw_reply(w, s_sent_to(w, s_at_5), s_again[i], "not now", NULL);
        assert_null(w->answered);
        assert_int_equal(w->n_sent, before);
        pw_wait(w, 100);
        assert_int_equal(w->n_sent, before + 1);    /* and the one that answered is not */
    }
    assert_string_equal(s_asked(w, s_sent_to(w, s_at_5))->view->vchannels[0], "dml_1_9v1");
    FOUND(w, s_sent_to(w, s_at_5), 6, { 3, 0.125f });
    IDS_ARE(s_results(w), 3, 7);
}

/* The shard has moved: its new leader is asked as soon as the directory says so. */
static void a_shard_that_moved_is_found(void **state)
{
    pw_world_t *w = *state;
    pairs_t pairs;
    Milvus__SearchRequest request = s_search(w, &pairs, "3");
    pw_send(w, "Search", &request);
    pw_reply(w, s_sent_to(w, s_at_5), ERR_CHANNEL_NOT_AVAILABLE, "gone", NULL);
    pw_show_replica(w, PW_QUERY_NODE, PW_QUERY_NODE);
    assert_int_equal(w->n_sent, 3);
    assert_string_equal(w->sent[2].endpoint, s_at_4);
    assert_string_equal(s_asked(w, &w->sent[2])->view->vchannels[0], "dml_1_9v1");
    FOUND(w, &w->sent[2], 6, { 3, 0.125f });
    assert_null(w->answered);
    FOUND(w, &w->sent[0], 6, { 4, 0.5f });
    IDS_ARE(s_results(w), 3, 4);
}

static void a_final_error_ends_it_at_once(void **state)
{
    pw_world_t *w = *state;
    pairs_t pairs;
    Milvus__SearchRequest request = s_search(w, &pairs, "3");
    pw_send(w, "Search", &request);
    pw_reply(w, s_sent_to(w, s_at_5), ERR_MEMORY, "no room", NULL);
    pw_sent_t late = *s_sent_to(w, s_at_4);
    Elanus__Found found = ELANUS__FOUND__INIT;
    SEARCH_REFUSED(w, 3, "failed to search: no room");
    pw_reply(w, &late, OK, "", &found);         /* when the client's memory is long gone */
    assert_null(w->answered);
}

static void nobody_there_is_said_in_the_end(void **state)
{
    pw_world_t *w = *state;
    pairs_t pairs;
    pw_show_replica(w, PW_QUERY_NODE, 0);
    w->request.deadline_ms = w->now_ms + 450;
    Milvus__SearchRequest request = s_search(w, &pairs, "3");
    pw_send(w, "Search", &request);
    assert_int_equal(w->n_sent, 1);
    assert_true(w->sent[0].timeout_ms <= 450);
    pw_wait(w, 400);
    assert_null(w->answered);
    pw_wait(w, 100);
    SEARCH_REFUSED(w, 503, "failed to search: channel not available[channel=dml_1_9v1]");
}

static void a_damaged_answer_is_no_answer(void **state)
{
    pw_world_t *w = *state;
    pairs_t pairs;
    pw_show_replica(w, PW_QUERY_NODE, PW_QUERY_NODE);
    Milvus__SearchRequest request = s_search(w, &pairs, "3");
    pw_send(w, "Search", &request);
    Elanus__Found found = ELANUS__FOUND__INIT;
    uint32_t hits = 5;
    found.hits = &hits;
    found.n_hits = 1;
    pw_reply(w, &w->sent[0], OK, "", &found);
    SEARCH_REFUSED(w, 1100, "a node's answer is damaged: hits");
}

/* --- what is not loaded, partitions ------------------------------------------------------ */

static void what_is_not_loaded_is_not_read(void **state)
{
    pw_world_t *w = *state;
    static const char *s_p[] = { "p" }, *s_q[] = { "q" };
    static const uint64_t s_default[] = { 50 };
    pairs_t pairs;
    Milvus__SearchRequest request = s_search(w, &pairs, "3");
    request.partition_names = s_q;
    request.n_partition_names = 1;
    pw_send(w, "Search", &request);
    SEARCH_REFUSED(w, 65535, "partition name q not found");
    request.partition_names = s_p;
    pw_show_load(w, s_default, 1);
    pw_send(w, "Search", &request);
    SEARCH_REFUSED(w, 201, "partition not loaded[partition=51]");
    request.n_partition_names = 0;
    pw_send(w, "Search", &request);
    assert_int_equal(s_asked(w, &w->sent[0])->view->n_partitions, 1);
    assert_int_equal(s_asked(w, &w->sent[0])->view->partitions[0], 50);
}

static void collections_that_cannot_be_searched(void **state)
{
    (void)state;
    pw_world_t *w = pw_up((pw_kind_t){ .shards = 1, .keyed = true });
    static const char *s_p[] = { "_default_0" };
    pairs_t pairs;
    Milvus__SearchRequest request = s_search(w, &pairs, "3");
    pw_send(w, "Search", &request);
    SEARCH_REFUSED(w, 101, "collection not loaded[collection=9]");
    request.partition_names = s_p;
    request.n_partition_names = 1;
    pw_send(w, "Search", &request);
    SEARCH_REFUSED(w, 65535, "not support manually specifying the partition names if partition key "
                   "mode is used");
    request.collection_name = "hawks";
    pw_send(w, "Search", &request);
    SEARCH_REFUSED(w, 100, "collection not found[database=default][collection=hawks]");
    pw_down(w);
}

/* --- iterators --------------------------------------------------------------------------- */

static Milvus__SearchRequest s_page(pw_world_t *w, pairs_t *pairs, const char *batch)
{
    Milvus__SearchRequest request = s_search(w, pairs, batch);
    s_set(pairs, "iterator", "True");
    s_set(pairs, "search_iter_v2", "True");
    s_set(pairs, "search_iter_batch_size", batch);
    request.n_search_params = pairs->n;
    return request;
}

/* A page does not end between two hits of one score. */
static void a_page_ends_between_scores(void **state)
{
    pw_world_t *w = *state;
    pairs_t pairs;
    pw_show_replica(w, PW_QUERY_NODE, PW_QUERY_NODE);
    Milvus__SearchRequest request = s_page(w, &pairs, "3");
    pw_send(w, "Search", &request);
    assert_int_equal(s_asked(w, &w->sent[0])->topk, 4);
    FOUND(w, &w->sent[0], 77, { 1, 1 }, { 2, 2 }, { 3, 3 }, { 4, 3 });
    Milvus__SearchResults *results = s_results(w);
    IDS_ARE(results, 1, 2);
    assert_int_equal(results->session_ts, 77);
    assert_true(results->results->search_iterator_v2_results->last_bound == 2);
    assert_true(strlen(results->results->search_iterator_v2_results->token) > 0);
    pw_forget(w);

    s_set(&pairs, "search_iter_last_bound", "2");
    s_set(&pairs, "search_iter_id", "t");
    request.n_search_params = pairs.n;
    request.guarantee_timestamp = 77;
    pw_send(w, "Search", &request);
    const Elanus__Search *asked = s_asked(w, &w->sent[0]);
    assert_int_equal(asked->view->read_ts, 77);
    assert_true(asked->has_range_filter && asked->range_filter > 2);
    FOUND(w, &w->sent[0], 77, { 3, 3 }, { 4, 3 }, { 5, 4 });
    IDS_ARE(s_results(w), 3, 4, 5);
    assert_string_equal(s_results(w)->results->search_iterator_v2_results->token, "t");
    pw_forget(w);

    pw_send(w, "Search", &request);
    s_found(w, &w->sent[0], 77, NULL, 0);
    assert_int_equal(s_results(w)->results->topks[0], 0);
    assert_true(s_results(w)->results->search_iterator_v2_results->last_bound == 2);
}

/* All of a page and more have one score: then the page is all of them. */
static void a_page_of_one_score_is_whole(void **state)
{
    pw_world_t *w = *state;
    pairs_t pairs;
    pw_show_replica(w, PW_QUERY_NODE, PW_QUERY_NODE);
    Milvus__SearchRequest request = s_page(w, &pairs, "2");
    pw_send(w, "Search", &request);
    FOUND(w, &w->sent[0], 77, { 1, 1 }, { 2, 1 }, { 3, 1 });
    assert_null(w->answered);
    assert_int_equal(w->n_sent, 2);
    const Elanus__Search *asked = s_asked(w, &w->sent[1]);
    assert_int_equal(asked->topk, LIMIT_TOPK);
    assert_int_equal(asked->view->read_ts, 77);
    FOUND(w, &w->sent[1], 77, { 1, 1 }, { 2, 1 }, { 3, 1 }, { 4, 1 }, { 5, 2 });
    IDS_ARE(s_results(w), 1, 2, 3, 4);
    assert_true(s_results(w)->results->search_iterator_v2_results->last_bound == 1);
}

/* --- groups, hybrid ---------------------------------------------------------------------- */

static void groups_come_with_their_values(void **state)
{
    pw_world_t *w = *state;
    pairs_t pairs;
    Milvus__SearchRequest request = s_search(w, &pairs, "2");
    s_set(&pairs, "group_by_field", "group");
    request.n_search_params = pairs.n;
    pw_send(w, "Search", &request);
    assert_int_equal(s_asked(w, &w->sent[0])->group_field, 101);
    FOUND(w, s_sent_to(w, s_at_4), 5, { 7, 1 }, { 8, 3 });
    FOUND(w, s_sent_to(w, s_at_5), 5, { 9, 2 });
    Milvus__SearchResults *results = s_results(w);
    IDS_ARE(results, 7, 9);
    assert_int_equal(results->results->group_by_field_value->scalars->long_data->data[1], 90);
    assert_int_equal(results->results->n_group_by_field_values, 1);
}

static void parts_of_a_hybrid_search_run_together(void **state)
{
    pw_world_t *w = *state;
    static const char *s_outputs[] = { "group" };
    pairs_t one, two, rank = {0};
    pw_show_replica(w, PW_QUERY_NODE, PW_QUERY_NODE);
    Milvus__SearchRequest a = s_search(w, &one, "3"), b = s_search(w, &two, "3");
    Milvus__SearchRequest *parts[] = { &a, &b };
    Milvus__HybridSearchRequest request = MILVUS__HYBRID_SEARCH_REQUEST__INIT;
    request.collection_name = "kites";
    request.requests = parts;
    request.n_requests = 2;
    request.output_fields = s_outputs;
    request.n_output_fields = 1;
    s_set(&rank, "limit", "2");
    s_set(&rank, "offset", "1");
    s_set(&rank, "strategy", "rrf");
    s_set(&rank, "params", "{\"k\": 1}");
    request.rank_params = rank.list;
    request.n_rank_params = rank.n;
    pw_send(w, "HybridSearch", &request);
    assert_int_equal(w->n_sent, 2);
    FOUND(w, &w->sent[1], 5, { 1, 1 }, { 2, 2 });           /* 1: 1/2, 2: 1/3 */
    assert_null(w->answered);
    FOUND(w, &w->sent[0], 5, { 3, 1 }, { 2, 2 }, { 1, 3 }); /* 3: 1/2, 2: 1/3, 1: 1/4 */
    Milvus__SearchResults *results = s_results(w);
    IDS_ARE(results, 2, 3);                     /* 1 is the best and left out by the offset */
    assert_true(results->results->scores[0] == 1.0f / 3 + 1.0f / 3);
    assert_int_equal(results->results->fields_data[0]->scalars->long_data->data[1], 30);
}

static void hybrid_searches_that_are_none(void **state)
{
    pw_world_t *w = *state;
    pairs_t one, rank = {0};
    Milvus__SearchRequest a = s_search(w, &one, "3"), b = a;
    Milvus__SearchRequest *parts[] = { &a, &b };
    Milvus__HybridSearchRequest request = MILVUS__HYBRID_SEARCH_REQUEST__INIT;
    request.collection_name = "kites";
    pw_send(w, "HybridSearch", &request);
    SEARCH_REFUSED(w, 65535, "minimum of ann search requests is 1");
    request.requests = parts;
    request.n_requests = 2;
    pw_send(w, "HybridSearch", &request);
    SEARCH_REFUSED(w, 65535, "limit not found in rank_params");
    s_set(&rank, "limit", "2");
    request.rank_params = rank.list;
    request.n_rank_params = rank.n;
    b.nq = 2;
    pw_send(w, "HybridSearch", &request);
    SEARCH_REFUSED(w, 1100, "nq [2] is invalid, the placeholder group has 1 vectors: invalid "
                   "parameter");
    s_set(&rank, "group_by_field", "nope");
    b.nq = 1;
    request.n_rank_params = rank.n;
    pw_send(w, "HybridSearch", &request);
    SEARCH_REFUSED(w, 1700, "groupBy field not found in schema: field not found[field=nope]");
}

/* --- query ------------------------------------------------------------------------------- */

static void rows_by_key_from_all_shards(void **state)
{
    pw_world_t *w = *state;
    pairs_t pairs;
    Milvus__QueryRequest request = s_query(&pairs, "group > 3", "2");
    s_set(&pairs, "offset", "1");
    request.n_query_params = pairs.n;
    pw_send(w, "Query", &request);
    const Elanus__Query *asked = s_asked_rows(w, s_sent_to(w, s_at_4));
    assert_int_equal(asked->limit, 3);
    assert_int_equal(asked->n_outputs, 1);      /* the key comes along unasked */
    assert_int_equal(asked->outputs[0], 100);
    ROWS(w, s_sent_to(w, s_at_5), 6, 2, 4, 6);
    ROWS(w, s_sent_to(w, s_at_4), 5, 1, 3);
    Milvus__QueryResults *results = pw_answer(w, &milvus__query_results__descriptor);
    assert_int_equal(results->status->code, 0);
    assert_int_equal(results->n_fields_data, 1);
    const Schema__LongArray *ids = results->fields_data[0]->scalars->long_data;
    assert_int_equal(ids->n_data, 2);
    assert_int_equal(ids->data[0], 2);
    assert_int_equal(ids->data[1], 3);
    assert_string_equal(results->output_fields[0], "id");
    assert_string_equal(results->primary_field_name, "id");
}

static void counts_are_added(void **state)
{
    pw_world_t *w = *state;
    static const char *s_count[] = { "count(*)" };
    pairs_t pairs;
    Milvus__QueryRequest request = s_query(&pairs, "", NULL);
    request.output_fields = s_count;
    request.n_output_fields = 1;
    pw_send(w, "Query", &request);
    assert_true(s_asked_rows(w, &w->sent[0])->count);
    Elanus__Rows rows = ELANUS__ROWS__INIT;
    rows.count = 40;
    pw_reply(w, &w->sent[0], OK, "", &rows);
    rows.count = 2;
    pw_reply(w, &w->sent[1], OK, "", &rows);
    Milvus__QueryResults *results = pw_answer(w, &milvus__query_results__descriptor);
    assert_string_equal(results->fields_data[0]->field_name, "count(*)");
    assert_int_equal(results->fields_data[0]->scalars->long_data->data[0], 42);
    pw_forget(w);
    s_set(&pairs, "limit", "5");
    request.n_query_params = pairs.n;
    pw_send(w, "Query", &request);
    QUERY_REFUSED(w, 65535, "count entities with pagination is not allowed");
}

/* The first page of an iterator tells its instant, the others read there. */
static void pages_of_a_query_iterator(void **state)
{
    pw_world_t *w = *state;
    pairs_t pairs;
    Milvus__QueryRequest request = s_query(&pairs, "id < 99", "1");
    s_set(&pairs, "iterator", "True");
    s_set(&pairs, "collection_id", "9");
    request.n_query_params = pairs.n;
    pw_send(w, "Query", &request);
    ROWS(w, s_sent_to(w, s_at_4), 500, 1);
    ROWS(w, s_sent_to(w, s_at_5), 600, 2);
    Milvus__QueryResults *results = pw_answer(w, &milvus__query_results__descriptor);
    assert_int_equal(results->session_ts, 600);
    pw_forget(w);
    request.guarantee_timestamp = 600;
    request.use_default_consistency = true;
    pw_send(w, "Query", &request);
    assert_int_equal(s_asked_rows(w, &w->sent[0])->view->read_ts, 600);
    assert_int_equal(s_asked_rows(w, &w->sent[1])->view->read_ts, 600);
}

static void queries_that_are_none(void **state)
{
    static const struct { const char *expr, *key, *value; int code; const char *text; } s_bad[] = {
        { "", NULL, NULL, 1100, "empty expression should be used with limit: invalid parameter" },
        { "id > 0", "limit", "0", 65535, "invalid max query result window, limit [0] is invalid, "
          "should be greater than 0" },
        { "id > 0", "limit", "x", 65535, "limit [x] is invalid" },
        { "id > 0", "limit", "16385", 65535, "invalid max query result window, (offset+limit) "
          "should be in range [1, 16384], but got 16385" },
        { "id > 0", "collection_id", "8", 1100, "Input collection id is not consistent to "
          "collectionID in the context,alias or database may have changed: invalid parameter" },
        { "id > 0", "collection_id", "x", 1100, "value for collection id is invalid: invalid "
          "parameter[expected=int value for collection_id][actual=x]" },
        { "id > 0", "order_by_fields", "id:desc", 1100, "query param order_by_fields is not "
          "supported: invalid parameter" },
    };
    pw_world_t *w = *state;
    for (size_t i = 0; i < ARRAY_LEN(s_bad); i++) {
        pairs_t pairs;
        Milvus__QueryRequest request = s_query(&pairs, s_bad[i].expr, NULL);
        if (s_bad[i].key)
            s_set(&pairs, s_bad[i].key, s_bad[i].value);
        request.n_query_params = pairs.n;
        pw_send(w, "Query", &request);
        QUERY_REFUSED(w, s_bad[i].code, s_bad[i].text);
    }
    static const char *s_nope[] = { "nope" };
    pairs_t pairs;
    Milvus__QueryRequest request = s_query(&pairs, "id > 0", NULL);
    request.output_fields = s_nope;
    request.n_output_fields = 1;
    pw_send(w, "Query", &request);
    QUERY_REFUSED(w, 65535, "field nope not exist");
}

/* The text shows the expression, cut; not within a character. */
static void a_refusal_is_always_utf8(void **state)
{
    pw_world_t *w = *state;
    char expr[1600] = "x";
    for (size_t at = 1; at + 4 < sizeof expr; at += 3)
        memcpy(expr + at, "\xe2\x82\xac", 4);
    for (size_t skip = 0; skip < 2; skip++) {
        pairs_t pairs;
        Milvus__QueryRequest request = s_query(&pairs, expr + skip, NULL);
        pw_send(w, "Query", &request);
        Milvus__QueryResults *results = pw_answer(w, &milvus__query_results__descriptor);
        assert_int_equal(results->status->code, 1100);
        pw_forget(w);
    }
}

/* What is big is put together by a job. */
static void big_answers_are_work_for_a_job(void **state)
{
    pw_world_t *w = *state;
    enum { MANY = 20000 };
    static int64_t s_ids[MANY];
    for (size_t i = 0; i < MANY; i++)
        s_ids[i] = (int64_t)i * 2;
    pairs_t pairs;
    Milvus__QueryRequest request = s_query(&pairs, "id >= 0", NULL);
    pw_send(w, "Query", &request);
    s_rows(w, s_sent_to(w, s_at_4), 5, s_ids, MANY);
    ROWS(w, s_sent_to(w, s_at_5), 5, 1);
    assert_null(w->answered);
    pw_run_job(w);
    Milvus__QueryResults *results = pw_answer(w, &milvus__query_results__descriptor);
    assert_int_equal(results->fields_data[0]->scalars->long_data->n_data, MANY + 1);
    assert_int_equal(results->fields_data[0]->scalars->long_data->data[1], 1);
}

/* --- the end ----------------------------------------------------------------------------- */

static void a_node_that_ends_forgets_its_reads(void **state)
{
    (void)state;
    void *inner = NULL;
    s_up(&inner);
    pw_world_t *w = inner;
    pairs_t pairs;
    pw_show_replica(w, PW_QUERY_NODE, 0);       /* one call under way, one wait for news */
    Milvus__SearchRequest request = s_search(w, &pairs, "3");
    pw_send(w, "Search", &request);
    assert_null(w->answered);
    pw_down(w);
}

#define T(f) cmocka_unit_test_setup_teardown(f, s_up, s_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(each_node_is_asked_for_its_shard),
        T(one_node_is_asked_once_for_all),
        T(nothing_is_an_answer),
        T(a_node_that_fails_is_asked_again),
        T(a_shard_that_moved_is_found),
        T(a_final_error_ends_it_at_once),
        T(nobody_there_is_said_in_the_end),
        T(a_damaged_answer_is_no_answer),
        T(what_is_not_loaded_is_not_read),
        cmocka_unit_test(collections_that_cannot_be_searched),
        T(a_page_ends_between_scores),
        T(a_page_of_one_score_is_whole),
        T(groups_come_with_their_values),
        T(parts_of_a_hybrid_search_run_together),
        T(hybrid_searches_that_are_none),
        T(rows_by_key_from_all_shards),
        T(counts_are_added),
        T(pages_of_a_query_iterator),
        T(queries_that_are_none),
        T(a_refusal_is_always_utf8),
        T(big_answers_are_work_for_a_job),
        cmocka_unit_test(a_node_that_ends_forgets_its_reads),
    };
    return cmocka_run_group_tests_name("proxy_read", tests, NULL, NULL);
}
