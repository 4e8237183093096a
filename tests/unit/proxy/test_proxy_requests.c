/* proxy_requests: what is kept of a request, which ones are kept, which are slow, and the number a
 * client gives its own trace. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/base/clock.h"
#include "core/base/limits.h"
#include "proxy/proxy_requests.h"

enum { NODE = 4, SLOW_MS = 1000 };

typedef struct {
    ctx_t ctx;
    proxy_requests_t *kept;
    proxy_call_t call;
} fixture_t;

static int s_up(void **state)
{
    fixture_t *fx = mem_new(sizeof *fx);
    ctx_init(&fx->ctx);
    fx->kept = proxy_requests_new(SLOW_MS);
    *state = fx;
    return 0;
}

static int s_down(void **state)
{
    fixture_t *fx = *state;
    proxy_requests_destroy(&fx->kept);
    ctx_fini(&fx->ctx);
    mem_free(fx);
    return 0;
}

/* A call of this RPC has ended after so long. */
static void s_end(fixture_t *fx, uint64_t trace, const char *rpc, void *request, int64_t took_ms)
{
    char *path = ctx_printf(&fx->ctx, "/milvus.proto.milvus.MilvusService/%s", rpc);
    fx->call = (proxy_call_t){
        .method = methods_find(view_str(path)), .request = request, .ctx = &fx->ctx,
        .db = "default", .user = "root", .trace = { trace, trace + 1 },
        .arrived_us = clock_mono_us() - took_ms * 1000,
    };
    assert_non_null(fx->call.method);
    proxy_requests_ended(fx->kept, &fx->call, NODE, clock_mono_us());
}

static Elanus__RequestView *s_newest(fixture_t *fx)
{
    Elanus__RequestView **views = NULL;
    assert_true(proxy_requests_last(fx->kept, &fx->ctx, 1, 0, &views) >= 1);
    return views[0];
}

static void a_search_tells_what_it_asked_for(void **state)
{
    fixture_t *fx = *state;
    Milvus__SearchRequest search;
    milvus__search_request__init(&search);
    Common__KeyValuePair topk = COMMON__KEY_VALUE_PAIR__INIT, *pairs[] = { &topk };
    topk.key = (char *)"topk";
    topk.value = (char *)"10";
    search.collection_name = (char *)"birds";
    search.dsl = (char *)"wings == 2";
    search.nq = 3;
    search.search_params = pairs;
    search.n_search_params = 1;
    s_end(fx, 100, "Search", &search, 5);
    const Elanus__RequestView *view = s_newest(fx);
    assert_int_equal(view->trace, 100);
    assert_string_equal(view->method, "Search");
    assert_string_equal(view->db, "default");
    assert_string_equal(view->collection, "birds");
    assert_string_equal(view->user, "root");
    assert_string_equal(view->filter, "wings == 2");
    assert_int_equal(view->nq, 3);
    assert_int_equal(view->limit, 10);
    assert_int_equal(view->rows, -1);
    assert_int_equal(view->code, 0);
    assert_in_range(view->took_us, 5000, 5000000);

    span_t *spans = NULL;
    assert_int_equal(spans_of(&fx->ctx, 100, NODE, &spans), 1);
    assert_int_equal(spans[0].id, 101);
    assert_int_equal(spans[0].parent, 0);
    assert_string_equal(spans[0].name, "Search");
    assert_string_equal(span_kind_name(spans[0].kind), "request");
}

static void writes_and_queries_do_too(void **state)
{
    fixture_t *fx = *state;
    Milvus__InsertRequest insert;
    milvus__insert_request__init(&insert);
    insert.collection_name = (char *)"birds";
    insert.num_rows = 7;
    s_end(fx, 1, "Insert", &insert, 1);
    assert_int_equal(s_newest(fx)->rows, 7);
    assert_int_equal(s_newest(fx)->nq, -1);

    Milvus__DeleteRequest delete;
    milvus__delete_request__init(&delete);
    delete.expr = (char *)"id in [1]";
    s_end(fx, 2, "Delete", &delete, 1);
    assert_string_equal(s_newest(fx)->filter, "id in [1]");

    Milvus__QueryRequest query;
    milvus__query_request__init(&query);
    s_end(fx, 3, "Query", &query, 1);
    assert_int_equal(s_newest(fx)->limit, -1);
}

static void an_error_is_told(void **state)
{
    fixture_t *fx = *state;
    s_end(fx, 4, "Search", NULL, 1);            /* it could not be read at all */
    fx->call.code = err_code(ERR_COLLECTION_NOT_FOUND);
    fx->call.reason = "collection not found[collection=birds]";
    fx->call.trace = (trace_t){ 5, 6 };
    proxy_requests_ended(fx->kept, &fx->call, NODE, clock_mono_us());
    const Elanus__RequestView *view = s_newest(fx);
    assert_int_equal(view->code, err_code(ERR_COLLECTION_NOT_FOUND));
    assert_string_equal(view->error, "collection not found[collection=birds]");
    span_t *spans = NULL;
    assert_int_equal(spans_of(&fx->ctx, 5, NODE, &spans), 1);
    assert_int_equal(spans[0].err, ERR_COLLECTION_NOT_FOUND);
}

/* A cut text is still UTF-8. */
static void long_texts_are_cut(void **state)
{
    fixture_t *fx = *state;
    char filter[2000] = "x";
    for (size_t at = 1; at + 3 < sizeof filter; at += 2)
        memcpy(filter + at, "\xc3\xa9", 3);
    Milvus__QueryRequest query;
    milvus__query_request__init(&query);
    query.expr = filter;
    s_end(fx, 7, "Query", &query, 1);
    assert_int_equal(strlen(s_newest(fx)->filter) % 2, 1);
    assert_in_range(strlen(s_newest(fx)->filter), 200, 256);
}

static void probes_are_not_kept(void **state)
{
    fixture_t *fx = *state;
    Elanus__RequestView **views = NULL;
    s_end(fx, 0, "CheckHealth", NULL, 1);
    assert_int_equal(proxy_requests_last(fx->kept, &fx->ctx, 10, 0, &views), 0);
}

static void the_newest_and_the_slow_stay(void **state)
{
    fixture_t *fx = *state;
    Elanus__RequestView **views = NULL;
    s_end(fx, 1, "Insert", NULL, SLOW_MS + 1);
    for (uint64_t i = 2; i <= LIMIT_REQUESTS_KEPT + 10; i++)
        s_end(fx, i, "Insert", NULL, 0);
    size_t n = proxy_requests_last(fx->kept, &fx->ctx, 3 * LIMIT_REQUESTS_KEPT, 0, &views);
    assert_int_equal(n, LIMIT_REQUESTS_KEPT + 1);
    assert_int_equal(views[0]->trace, LIMIT_REQUESTS_KEPT + 10);
    assert_int_equal(views[n - 2]->trace, 11);
    assert_int_equal(views[n - 1]->trace, 1);

    for (uint64_t i = 0; i < 2 * LIMIT_SLOW_KEPT; i++)
        s_end(fx, 5000 + i, "Insert", NULL, SLOW_MS + 1);
    n = proxy_requests_last(fx->kept, &fx->ctx, 2, 0, &views);
    assert_int_equal(n, LIMIT_SLOW_KEPT);       /* two of them are among the newest */
    assert_int_equal(proxy_requests_last(fx->kept, &fx->ctx, LIMIT_REQUESTS_KEPT, 5001, &views), 1);
    assert_int_equal(views[0]->trace, 5001);
}

static void slow_reads_are_counted(void **state)
{
    fixture_t *fx = *state;
    metrics_t *metrics = metrics_new();
    proxy_requests_count(fx->kept, metrics, NODE);
    log_level_t level = log_level();
    log_set_level(LOG_FATAL);
    s_end(fx, 1, "Search", NULL, SLOW_MS + 1);
    s_end(fx, 2, "Search", NULL, 0);
    s_end(fx, 3, "Insert", NULL, SLOW_MS + 1);  /* slow, but no read */
    log_set_level(level);
    metrics_family_t *family = metrics_counter(metrics, "milvus_proxy_slow_query_count", "",
                                               "node_id,msg_type");
    assert_int_equal((int)metrics_value(metrics_cell(family, "4", "search")), 1);
    assert_int_equal((int)metrics_value(metrics_cell(family, "4", "query")), 0);
    metrics_destroy(&metrics);
}

static void a_client_may_number_its_trace(void **state)
{
    (void)state;
    static const struct { const char *header; uint64_t want; } s_cases[] = {
        { "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", 0x8448eb211c80319c },
        { "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01", 0x8448eb211c80319c },
        { "00-0af7651916cd43dd8448eb211c80319", 0 },
        { "00-0af7651916cd43ddzzzzeb211c80319c-b7ad6b7169203331-01", 0 },
        { "", 0 }, { NULL, 0 },
    };
    for (size_t i = 0; i < ARRAY_LEN(s_cases); i++)
        assert_true(proxy_requests_trace(s_cases[i].header) == s_cases[i].want);
}

#define T(f) cmocka_unit_test_setup_teardown(f, s_up, s_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_search_tells_what_it_asked_for),
        T(writes_and_queries_do_too),
        T(an_error_is_told),
        T(long_texts_are_cut),
        T(probes_are_not_kept),
        T(the_newest_and_the_slow_stay),
        T(slow_reads_are_counted),
        T(a_client_may_number_its_trace),
    };
    return cmocka_run_group_tests_name("proxy_requests", tests, NULL, NULL);
}
