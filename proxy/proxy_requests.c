/* proxy_requests - see proxy_requests.h */
#include "proxy/proxy_requests.h"

#include <ctype.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/clock.h"
#include "core/base/utf8.h"
#include "proxy/proxy_int.h"

enum { NAME_BYTES = 64, TEXT_BYTES = 256 };

typedef struct record {
    uint64_t number;            /* counts from 1 */
    uint64_t trace;
    int64_t at_us, took_us;
    int64_t nq, limit, rows;    /* -1: it has no such thing */
    int32_t code;
    const char *method;         /* a name of methods.c */
    char db[NAME_BYTES], collection[NAME_BYTES], user[NAME_BYTES];
    char filter[TEXT_BYTES], reason[TEXT_BYTES];
} record_t;

struct proxy_requests {
    pthread_mutex_t lock;       /* a leaf; of all below */
    int64_t slow_us;
    metrics_family_t *slow_count;       /* NULL: nobody counts */
    char node[24];
    uint64_t n, n_slow;         /* so far */
    record_t all[LIMIT_REQUESTS_KEPT], slow[LIMIT_SLOW_KEPT];
};

proxy_requests_t *proxy_requests_new(int64_t slow_ms)
{
    proxy_requests_t *self = mem_new(sizeof *self);
    pthread_mutex_init(&self->lock, NULL);
    self->slow_us = slow_ms * 1000;
    return self;
}

void proxy_requests_destroy(proxy_requests_t **self_p)
{
    proxy_requests_t *self = *self_p;
    if (!self)
        return;
    pthread_mutex_destroy(&self->lock);
    mem_free(self);
    *self_p = NULL;
}

void proxy_requests_count(proxy_requests_t *self, metrics_t *metrics, uint64_t node)
{
    metrics_family_t *family = metrics_counter(metrics, "milvus_proxy_slow_query_count",
                                               "reads slower than proxy.slowQuerySpanInSeconds",
                                               "node_id,msg_type");
    pthread_mutex_lock(&self->lock);
    self->slow_count = family;
    snprintf(self->node, sizeof self->node, "%llu", (unsigned long long)node);
    pthread_mutex_unlock(&self->lock);
}

/* --- what a request is about --------------------------------------------------------------- */

static void s_keep(char *ret, size_t room, const char *text)
{
    size_t len = text ? strnlen(text, room - 1) : 0;
    len = utf8_valid_len(view_of(text ? text : "", len));       /* not within a character */
    memcpy(ret, text ? text : "", len);
    ret[len] = '\0';
}

static int64_t s_pair(Common__KeyValuePair *const *pairs, size_t n, const char *key)
{
    for (size_t i = 0; i < n; i++)
        if (pairs[i]->key && pairs[i]->value && strcmp(pairs[i]->key, key) == 0)
            return strtoll(pairs[i]->value, NULL, 10);
    return -1;
}

static void s_describe_read(const ProtobufCMessage *request, record_t *into)
{
    if (request->descriptor == &milvus__search_request__descriptor) {
        const Milvus__SearchRequest *search = (const void *)request;
        into->nq = search->nq;
        into->limit = s_pair(search->search_params, search->n_search_params, "topk");
    } else if (request->descriptor == &milvus__hybrid_search_request__descriptor) {
        const Milvus__HybridSearchRequest *hybrid = (const void *)request;
        into->nq = hybrid->n_requests ? hybrid->requests[0]->nq : 0;
        into->limit = s_pair(hybrid->rank_params, hybrid->n_rank_params, "limit");
    } else if (request->descriptor == &milvus__query_request__descriptor) {
        const Milvus__QueryRequest *query = (const void *)request;
        into->limit = s_pair(query->query_params, query->n_query_params, "limit");
    }
}

static void s_describe(const ProtobufCMessage *request, record_t *into)
{
    const uint32_t *rows = proxy_field(request, "num_rows", PROTOBUF_C_TYPE_UINT32);
    const char *filter = proxy_text_field(request, "dsl");
    into->rows = rows ? (int64_t)*rows : -1;
    s_keep(into->collection, sizeof into->collection,
           proxy_text_field(request, "collection_name"));
    s_keep(into->filter, sizeof into->filter,
           filter ? filter : proxy_text_field(request, "expr"));
    s_describe_read(request, into);
}

/* Of the request as it came: a REST path may stand for several RPCs. */
static const char *s_method(const proxy_call_t *call)
{
    const method_t *method = call->route ? methods_find(view_str(call->route->rpc)) : call->method;
    return method->name;
}

/* --- ending -------------------------------------------------------------------------------- */

/* Milvus's label of a read; NULL: it is none. */
static const char *s_read_type(const char *method)
{
    static const char *const s_types[][2] = {
        { "Search", "search" }, { "Query", "query" }, { "HybridSearch", "hybrid_search" },
    };
    for (size_t i = 0; i < ARRAY_LEN(s_types); i++)
        if (strcmp(method, s_types[i][0]) == 0)
            return s_types[i][1];
    return NULL;
}

static void s_tell_slow(const proxy_requests_t *self, const record_t *record)
{
    const char *type = s_read_type(record->method);
    if (!type)
        return;
    if (self->slow_count)
        metrics_add(metrics_cell(self->slow_count, self->node, type), 1);
    log_event(LOG_WARN, "slow_query", "method=%s db=%s collection=%s took_ms=%lld trace=%016llx "
              "nq=%lld limit=%lld filter=\"%s\"", record->method, record->db, record->collection,
              (long long)record->took_us / 1000, (unsigned long long)record->trace,
              (long long)record->nq, (long long)record->limit, record->filter);
}

static err_t s_err(int code)
{
    for (int err = OK; err < ERR_COUNT_; err++)
        if (err_code((err_t)err) == code)
            return (err_t)err;
    return ERR_UNEXPECTED;
}

void proxy_requests_ended(proxy_requests_t *self, const proxy_call_t *call, uint64_t node,
                          int64_t now_us)
{
    if (call->trace.id == 0)
        return;
    record_t record = {
        .trace = call->trace.id, .took_us = now_us - call->arrived_us, .code = call->code,
        .method = s_method(call), .nq = -1, .limit = -1, .rows = -1,
    };
    record.at_us = clock_wall_us() - record.took_us;
    if (call->request)
        s_describe(call->request, &record);
    s_keep(record.db, sizeof record.db, call->db);
    s_keep(record.user, sizeof record.user, call->user);
    s_keep(record.reason, sizeof record.reason, call->reason);
    spans_end((trace_t){ .id = call->trace.id }, call->trace.span, node, SPAN_REQUEST,
              record.method, call->arrived_us, s_err(call->code));

    bool slow = record.took_us >= self->slow_us;
    pthread_mutex_lock(&self->lock);
    record.number = ++self->n;
    self->all[self->n % LIMIT_REQUESTS_KEPT] = record;
    if (slow)
        self->slow[self->n_slow++ % LIMIT_SLOW_KEPT] = record;
    pthread_mutex_unlock(&self->lock);
    if (slow)
        s_tell_slow(self, &record);
}

/* --- looking ------------------------------------------------------------------------------- */

static Elanus__RequestView *s_view(ctx_t *ctx, const record_t *record)
{
    Elanus__RequestView *view = ctx_new(ctx, sizeof *view);
    elanus__request_view__init(view);
    view->trace = record->trace;
    view->at_us = record->at_us;
    view->method = (char *)record->method;
    view->db = ctx_strdup(ctx, record->db);
    view->collection = ctx_strdup(ctx, record->collection);
    view->user = ctx_strdup(ctx, record->user);
    view->took_us = record->took_us;
    view->code = record->code;
    view->error = ctx_strdup(ctx, record->reason);
    view->nq = record->nq;
    view->limit = record->limit;
    view->filter = ctx_strdup(ctx, record->filter);
    view->rows = record->rows;
    return view;
}

typedef struct listing {
    ctx_t *ctx;
    uint64_t trace;
    Elanus__RequestView **views;
    size_t n;
} listing_t;

static void s_list(listing_t *listing, const record_t *record)
{
    if (listing->trace == 0 || listing->trace == record->trace)
        listing->views[listing->n++] = s_view(listing->ctx, record);
}

size_t proxy_requests_last(proxy_requests_t *self, ctx_t *ctx, size_t most, uint64_t trace,
                           Elanus__RequestView ***ret)
{
    most = most < LIMIT_REQUESTS_KEPT ? most : LIMIT_REQUESTS_KEPT;
    listing_t listing = { .ctx = ctx, .trace = trace };
    listing.views = ctx_new(ctx, (most + LIMIT_SLOW_KEPT) * sizeof listing.views[0]);
    pthread_mutex_lock(&self->lock);
    uint64_t first = self->n > most ? self->n - most + 1 : 1;
    for (uint64_t i = self->n; i >= first; i--)
        s_list(&listing, &self->all[i % LIMIT_REQUESTS_KEPT]);
    for (uint64_t i = self->n_slow; i > 0 && i + LIMIT_SLOW_KEPT > self->n_slow; i--) {
        const record_t *record = &self->slow[(i - 1) % LIMIT_SLOW_KEPT];
        if (record->number < first)
            s_list(&listing, record);
    }
    pthread_mutex_unlock(&self->lock);
    *ret = listing.views;
    return listing.n;
}

uint64_t proxy_requests_trace(const char *traceparent)
{
    enum { LOW = 3 + 16, DIGITS = 16 };
    if (!traceparent || strlen(traceparent) < LOW + DIGITS)
        return 0;
    uint64_t low = 0;
    for (size_t i = LOW; i < LOW + DIGITS; i++) {
        char c = traceparent[i];
        if (!isxdigit((unsigned char)c))
            return 0;
        low = low << 4 | (uint64_t)(isdigit((unsigned char)c) ? c - '0' : tolower(c) - 'a' + 10);
    }
    return low;
}
