/* proxy_count - see proxy_count.h */
#include "proxy/proxy_count.h"

#include <stdio.h>
#include <stdlib.h>

#include "proxy/proxy_int.h"

#define HISTOGRAM(name, help, labels) \
    metrics_histogram(self->to, name, help, labels, metrics_latency_ms, METRICS_LATENCY_N)

static void s_init_requests(proxy_count_t *self)
{
    metrics_t *to = self->to;
    self->requests = metrics_counter(to, "milvus_proxy_req_count",
        "requests by function and how they ended; status total is all of them",
        "node_id,function_name,status,db_name,collection_name");
    self->latency = HISTOGRAM("milvus_proxy_req_latency", "from a request's arrival at the node "
        "to its answer, in ms", "node_id,function_name");
    self->received = metrics_counter(to, "milvus_proxy_receive_bytes_count",
        "bytes of requests", "node_id,msg_type,collection_name");
    self->sent = metrics_cell(metrics_counter(to, "milvus_proxy_send_bytes_count",
        "bytes of answers", "node_id"), self->node);
    self->users = metrics_counter(to, "milvus_proxy_user_rpc_count",
        "requests of users, when authorization is on", "username");
    self->rest_requests = metrics_counter(to, "milvus_proxy_restful_api_req_count",
        "REST requests", "node_id,path");
    self->rest_latency = HISTOGRAM("milvus_proxy_restful_api_req_latency",
        "the same as milvus_proxy_req_latency of REST requests, in ms", "node_id,path");
    self->rest_received = metrics_counter(to, "milvus_proxy_restful_api_receive_bytes_count",
        "bytes of REST requests", "node_id,path");
    self->rest_sent = metrics_counter(to, "milvus_proxy_restful_api_send_bytes_count",
        "bytes of REST answers", "node_id,path");
    self->cache_hits = metrics_counter(to, "milvus_proxy_cache_hit_count",
        "lookups in the proxy's picture of the catalog; miss: the coordinator was asked how new "
        "it has to be", "node_id,cache_name,cache_state");
    self->cache_update = metrics_cell(HISTOGRAM("milvus_proxy_cache_update_latency",
        "from asking so until the picture was that new, in ms", "node_id,cache_name"),
        self->node, "GetCollectionInfo");
}

static void s_init_reads(proxy_count_t *self)
{
    metrics_t *to = self->to;
    self->sq_latency = HISTOGRAM("milvus_proxy_sq_latency",
        "whole searches and queries, in ms", "node_id,query_type,db_name,collection_name");
    self->coll_sq_latency = HISTOGRAM("milvus_proxy_collection_sq_latency",
        "the same without the database, in ms", "node_id,query_type,collection_name");
    self->searched = metrics_counter(to, "milvus_proxy_search_vectors_count",
        "vectors searched for", "node_id,db_name,collection_name");
    self->nq = metrics_counter(to, "milvus_proxy_received_nq",
        "vectors searched for, by kind of search", "node_id,query_type,collection_name");
    self->waited = HISTOGRAM("milvus_proxy_sq_wait_result_latency",
        "from asking query nodes until all have answered, in ms", "node_id,query_type");
    self->reduced = HISTOGRAM("milvus_proxy_sq_reduce_result_latency",
        "putting their answers together, in ms", "node_id,query_type");
    self->decoded = HISTOGRAM("milvus_proxy_sq_decode_result_latency",
        "reading the message of one of them, in ms", "node_id,query_type");
}

static void s_init_writes(proxy_count_t *self)
{
    metrics_t *to = self->to;
    self->mutation_latency = HISTOGRAM("milvus_proxy_mutation_latency",
        "whole inserts, upserts and deletes, in ms", "node_id,msg_type,db_name,collection_name");
    self->coll_mutation_latency = HISTOGRAM("milvus_proxy_collection_mutation_latency",
        "the same without the database, in ms", "node_id,msg_type,collection_name");
    self->inserted = metrics_counter(to, "milvus_proxy_insert_vectors_count",
        "rows inserted", "node_id,db_name,collection_name");
    self->upserted = metrics_counter(to, "milvus_proxy_upsert_vectors_count",
        "rows upserted", "node_id,db_name,collection_name");
    self->deleted = metrics_counter(to, "milvus_proxy_delete_vectors_count",
        "keys deleted", "node_id,db_name,collection_name");
    self->sent_write = HISTOGRAM("milvus_proxy_mutation_send_latency",
        "from sending rows or deletes to the owner of a channel to its word that they are in the "
        "log, in ms", "node_id,msg_type");
    self->apply_pk = metrics_cell(HISTOGRAM("milvus_proxy_apply_pk_latency",
        "getting numbers for automatic keys, in ms", "node_id"), self->node);
}

void proxy_count_init(proxy_count_t *self, const node_self_t *who)
{
    *self = (proxy_count_t){ .to = who->metrics };
    snprintf(self->node, sizeof self->node, "%llu", (unsigned long long)who->id);
    if (!self->to)
        return;
    s_init_requests(self);
    s_init_reads(self);
    s_init_writes(self);
}

/* --- one call --------------------------------------------------------------------------- */

typedef struct about {
    const char *function, *db, *coll;   /* "": there is no such thing */
    double took_ms;
} about_t;

static about_t s_about(proxy_node_t *self, const proxy_call_t *call)
{
    about_t about = { .function = call->method->name, .db = "", .coll = "" };
    const Elanus__Database *db = catalog_database(self->catalog, call->db);
    const char *name = call->request ? proxy_text_field(call->request, "collection_name") : NULL;
    const Elanus__Collection *coll = db && name ? catalog_find(self->catalog, db->id, name) : NULL;
    if (db)
        about.db = db->name;
    if (coll)
        about.coll = coll->name;
    return about;
}

const char *proxy_count_kind(const proxy_call_t *call)
{
    if (call->method->handler == handle_search)
        return "search";
    return call->method->handler == handle_hybrid_search ? "hybrid_search" : "query";
}

static void s_count_read(proxy_count_t *self, const proxy_call_t *call, const about_t *about)
{
    const char *kind = proxy_count_kind(call);
    metrics_observe(metrics_cell(self->sq_latency, self->node, kind, about->db, about->coll),
                    about->took_ms);
    metrics_observe(metrics_cell(self->coll_sq_latency, self->node, kind, about->coll),
                    about->took_ms);
    if (call->method->handler == handle_query)
        return;
    metrics_add(metrics_cell(self->searched, self->node, about->db, about->coll), call->vectors);
    metrics_add(metrics_cell(self->nq, self->node, kind, about->coll), call->vectors);
}

static void s_count_write(proxy_count_t *self, const proxy_call_t *call, const about_t *about,
                          const char *kind, metrics_family_t *rows)
{
    metrics_observe(metrics_cell(self->mutation_latency, self->node, kind, about->db, about->coll),
                    about->took_ms);
    metrics_observe(metrics_cell(self->coll_mutation_latency, self->node, kind, about->coll),
                    about->took_ms);
    metrics_add(metrics_cell(rows, self->node, about->db, about->coll), call->vectors);
}

/* "search", "insert" … of requests for rows; NULL: another. */
static const char *s_kind(const proxy_call_t *call)
{
    static const struct { method_fn *handler; const char *kind; } s_kinds[] = {
        { handle_insert, "insert" }, { handle_upsert, "upsert" }, { handle_delete, "delete" },
        { handle_search, "search" }, { handle_hybrid_search, "hybrid_search" },
        { handle_query, "query" },
    };
    for (size_t i = 0; i < ARRAY_LEN(s_kinds); i++)
        if (call->method->handler == s_kinds[i].handler)
            return s_kinds[i].kind;
    return NULL;
}

/* Latencies and numbers of rows are those of requests that succeeded. */
static void s_count_rows(proxy_count_t *self, const proxy_call_t *call, const about_t *about)
{
    method_fn *handler = call->method->handler;
    const char *kind = s_kind(call);
    if (handler == handle_insert)
        s_count_write(self, call, about, kind, self->inserted);
    else if (handler == handle_upsert)
        s_count_write(self, call, about, kind, self->upserted);
    else if (handler == handle_delete)
        s_count_write(self, call, about, kind, self->deleted);
    else if (kind)
        s_count_read(self, call, about);
}

static void s_count_rest(proxy_count_t *self, const proxy_call_t *call, double took_ms)
{
    const char *path = call->route->path;
    metrics_add(metrics_cell(self->rest_requests, self->node, path), 1);
    metrics_observe(metrics_cell(self->rest_latency, self->node, path), took_ms);
    metrics_add(metrics_cell(self->rest_received, self->node, path), call->message.len);
    metrics_add(metrics_cell(self->rest_sent, self->node, path), call->body.len);
}

void proxy_count_call(proxy_node_t *node, const proxy_call_t *call)
{
    proxy_count_t *self = &node->count;
    if (!self->to || !call->method || call->method->anonymous)
        return;
    about_t about = s_about(node, call);
    bool good = call->grpc_status == PROXY_GRPC_OK && call->code == 0;
    about.took_ms = metrics_took_ms(metrics_cell(self->latency, self->node, about.function),
                                    call->began_us);
    metrics_add(metrics_cell(self->requests, self->node, about.function, "total", about.db,
                             about.coll), 1);
    metrics_add(metrics_cell(self->requests, self->node, about.function, good ? "success" : "fail",
                             about.db, about.coll), 1);
    const char *kind = s_kind(call);
    if (kind)
        metrics_add(metrics_cell(self->received, self->node, kind, about.coll), call->message.len);
    metrics_add(self->sent, call->body.len);
    if (call->user[0] && call->grpc_status != PROXY_GRPC_UNAUTHENTICATED)
        metrics_add(metrics_cell(self->users, call->user), 1);
    if (about.coll[0] && !call->looked_again)
        metrics_add(metrics_cell(self->cache_hits, self->node, "GetCollectionInfo", "hit"), 1);
    if (call->route)
        s_count_rest(self, call, about.took_ms);
    if (good)
        s_count_rows(self, call, &about);
}

void proxy_count_miss(proxy_node_t *self)
{
    metrics_add(metrics_cell(self->count.cache_hits, self->count.node, "GetCollectionInfo",
                             "miss"), 1);
}

void proxy_count_took(proxy_node_t *self, metrics_family_t *of, const char *kind, int64_t began_us)
{
    (void)metrics_took_ms(metrics_cell(of, self->count.node, kind), began_us);
}

/* --- collections that go ------------------------------------------------------------------ */

static const Elanus__Collection *s_renamed(const proxy_node_t *self, ctx_t *ctx,
                                           const meta_change_t *change)
{
    uint64_t id = strtoull(change->item.key + strlen(catalog_root(CATALOG_COLLECTION)), NULL, 10);
    const Elanus__Collection *coll = catalog_collection_by_id(self->catalog, id);
    Elanus__Collection *now = NULL;
    if (!coll || change->kind == META_WATCH_DELETE)
        return coll;
    bool same = PB_UNPACK(ctx, elanus__collection, change->item.value, &now) != OK ||
                strcmp(now->name, coll->name) == 0;
    return same ? NULL : coll;
}

void proxy_count_forget(proxy_node_t *self, const event_t *ev)
{
    for (size_t i = 0; self->count.to && i < ev->watch.n; i++) {
        const meta_change_t *change = &ev->watch.changes[i];
        if (change->kind != META_WATCH_DELETE && change->kind != META_WATCH_PUT)
            continue;
        const Elanus__Collection *coll = s_renamed(self, ev->ctx, change);
        if (coll)
            metrics_forget(self->count.to, "collection_name", coll->name);
    }
}
