/* handle_compact - compactions that clients ask for, and how they went
 *
 * Each owner of the collection's channels picks what is worth merging and keeps
 * count under the id that the proxy got from the coordinator.  Whoever asks later
 * names only the id, so every data node is asked; one that was restarted since
 * knows nothing of it, and has nothing of it under way either.
 */
#include "proxy/proxy_gather.h"

/* --- begin ----------------------------------------------------------------------------- */

typedef struct {
    uint64_t collection;
    uint64_t id;                /* of the compaction */
} wish_t;

static view_t s_ask(ctx_t *ctx, uint64_t id, uint64_t collection)
{
    Elanus__CompactAsk ask = ELANUS__COMPACT_ASK__INIT;
    ask.id = id;
    ask.collection = collection;
    return pb_pack(ctx, &ask);
}

static err_t s_find_owners(proxy_node_t *self, proxy_gather_t *gather, const event_t *ev)
{
    (void)ev;
    const wish_t *wish = gather->arg;
    ctx_t *ctx = gather->call->ctx;
    const Elanus__Collection *coll = catalog_collection_by_id(self->catalog, wish->collection);
    if (!coll)
        return ctx_fail(ctx, ERR_COLLECTION_NOT_FOUND, "collection not found[collection=%llu]",
                        (unsigned long long)wish->collection);
    TRY(proxy_gather_owners(self, gather, coll, coll->id));
    for (size_t i = 0; i < gather->n; i++)
        gather->targets[i].payload = s_ask(ctx, wish->id, coll->id);
    return OK;
}

/* Nothing to do is no error: id -1, which counts as completed. */
static void s_begun(proxy_node_t *self, proxy_gather_t *gather, const event_t *ev, actions_t *act)
{
    (void)ev;
    const wish_t *wish = gather->arg;
    int32_t plans = 0;
    for (size_t i = 0; i < gather->n; i++) {
        const Elanus__Compaction *compaction = gather->targets[i].answer;
        plans += (int32_t)(compaction->executing + compaction->completed + compaction->failed);
    }
    Milvus__ManualCompactionResponse response = MILVUS__MANUAL_COMPACTION_RESPONSE__INIT;
    response.status = proxy_status_new(gather->call->ctx, OK, NULL);
    response.compactionid = plans > 0 ? (int64_t)wish->id : -1;
    response.compactionplancount = plans;
    proxy_answer(self, gather->call, act, &response);
}

/* By name; older clients send the id only. */
static err_t s_collection(proxy_node_t *self, proxy_call_t *call, const Elanus__Collection **ret)
{
    const Milvus__ManualCompactionRequest *request = (const void *)call->request;
    if (request->collection_name[0])
        return proxy_collection(self, call, request->collection_name, ret);
    *ret = catalog_collection_by_id(self->catalog, (uint64_t)request->collectionid);
    return *ret ? OK : ctx_fail(call->ctx, ERR_COLLECTION_NOT_FOUND,
                                "collection not found[collection=%lld]",
                                (long long)request->collectionid);
}

static void s_got_id(proxy_node_t *self, proxy_call_t *call, const event_t *ev, actions_t *act)
{
    Elanus__IdRange *range = NULL;
    const Elanus__Collection *coll = NULL;
    err_t err = ev->err;
    if (err != OK)
        ctx_fail(call->ctx, err, "%s", ev->text);
    else
        err = PB_UNPACK(call->ctx, elanus__id_range, ev->payload, &range);
    if (err == OK)
        err = s_collection(self, call, &coll);
    if (err != OK) {
        proxy_refuse(self, call, ev, act, err);
        return;
    }
    wish_t *wish = ctx_new(call->ctx, sizeof *wish);
    *wish = (wish_t){ .collection = coll->id, .id = range->first };
    proxy_gather(self, call, &(proxy_gather_t){
        .method = ELANUS__METHOD__METHOD_COMPACT, .type = &elanus__compaction__descriptor,
        .find = s_find_owners, .then = s_begun, .arg = wish }, ev, act);
}

void handle_manual_compaction(proxy_node_t *self, proxy_call_t *call, const event_t *ev,
                              actions_t *act)
{
    const Milvus__ManualCompactionRequest *request = (const void *)call->request;
    const Elanus__Collection *coll = NULL;
    err_t err = s_collection(self, call, &coll);
    if (err == OK && request->majorcompaction)
        err = ctx_fail(call->ctx, ERR_UNIMPLEMENTED, "clustering compaction is not implemented; "
                       "compact without is_clustering merges segments");
    if (err != OK) {
        proxy_refuse(self, call, ev, act, err);
        return;
    }
    Elanus__AllocIds ask = ELANUS__ALLOC_IDS__INIT;
    ask.n = 1;
    proxy_ask(self, call, ev, act, ELANUS__METHOD__METHOD_ALLOC_IDS, pb_pack(call->ctx, &ask),
              s_got_id);
}

/* --- how far ------------------------------------------------------------------------------ */

static int64_t s_id(const proxy_call_t *call)
{
    if (call->method->request == &milvus__get_compaction_plans_request__descriptor)
        return ((const Milvus__GetCompactionPlansRequest *)call->request)->compactionid;
    return ((const Milvus__GetCompactionStateRequest *)call->request)->compactionid;
}

static err_t s_find_data_nodes(proxy_node_t *self, proxy_gather_t *gather, const event_t *ev)
{
    ctx_t *ctx = gather->call->ctx;
    int64_t id = s_id(gather->call);
    const Elanus__NodeInfo **nodes = NULL;
    size_t n = id > 0 ? directory_nodes(self->directory, ev->ctx, "datanode", &nodes) : 0;
    for (size_t i = 0; i < n; i++)
        proxy_gather_target(gather, nodes[i], 0)->payload = s_ask(ctx, (uint64_t)id, 0);
    return OK;
}

/* All nodes together. */
static Elanus__Compaction *s_sum(proxy_gather_t *gather)
{
    Elanus__Compaction *sum = ctx_new(gather->call->ctx, sizeof *sum);
    elanus__compaction__init(sum);
    size_t room = 0;
    for (size_t i = 0; i < gather->n; i++)
        room += ((const Elanus__Compaction *)gather->targets[i].answer)->n_merges;
    sum->merges = ctx_new(gather->call->ctx, (room + 1) * sizeof(void *));
    for (size_t i = 0; i < gather->n; i++) {
        const Elanus__Compaction *one = gather->targets[i].answer;
        sum->executing += one->executing;
        sum->completed += one->completed;
        sum->failed += one->failed;
        for (size_t m = 0; m < one->n_merges; m++)
            sum->merges[sum->n_merges++] = one->merges[m];
    }
    return sum;
}

static Common__CompactionState s_state(const Elanus__Compaction *sum)
{
    return sum->executing > 0 ? COMMON__COMPACTION_STATE__Executing
                              : COMMON__COMPACTION_STATE__Completed;
}

static void s_counted(proxy_node_t *self, proxy_gather_t *gather, const event_t *ev,
                      actions_t *act)
{
    (void)ev;
    const Elanus__Compaction *sum = s_sum(gather);
    Milvus__GetCompactionStateResponse response = MILVUS__GET_COMPACTION_STATE_RESPONSE__INIT;
    response.status = proxy_status_new(gather->call->ctx, OK, NULL);
    response.state = s_state(sum);
    response.executingplanno = sum->executing;
    response.completedplanno = sum->completed;
    response.failedplanno = sum->failed;
    proxy_answer(self, gather->call, act, &response);
}

/* A merge that is told of is done; it goes by the segment it made. */
static Milvus__CompactionMergeInfo *s_merge(proxy_call_t *call,
                                            const Elanus__CompactionMerge *from)
{
    ctx_t *ctx = call->ctx;
    Milvus__CompactionMergeInfo *out = ctx_new(ctx, sizeof *out);
    milvus__compaction_merge_info__init(out);
    out->sources = ctx_new(ctx, (from->n_from + 1) * sizeof(int64_t));
    for (size_t i = 0; i < from->n_from; i++)
        out->sources[out->n_sources++] = (int64_t)from->from[i];
    out->target = out->plan_id = (int64_t)from->into;
    out->targets = ctx_new(ctx, sizeof(int64_t));
    out->targets[out->n_targets++] = (int64_t)from->into;
    out->trigger_id = s_id(call);
    out->type = COMMON__COMPACTION_TYPE__CompactionTypeMix;
    out->state = COMMON__COMPACTION_TASK_STATE__CompactionTaskStateCompleted;
    return out;
}

static void s_planned(proxy_node_t *self, proxy_gather_t *gather, const event_t *ev,
                      actions_t *act)
{
    (void)ev;
    ctx_t *ctx = gather->call->ctx;
    const Elanus__Compaction *sum = s_sum(gather);
    Milvus__GetCompactionPlansResponse response = MILVUS__GET_COMPACTION_PLANS_RESPONSE__INIT;
    response.status = proxy_status_new(ctx, OK, NULL);
    response.state = s_state(sum);
    response.mergeinfos = ctx_new(ctx, (sum->n_merges + 1) * sizeof(void *));
    for (size_t i = 0; i < sum->n_merges; i++)
        response.mergeinfos[response.n_mergeinfos++] = s_merge(gather->call, sum->merges[i]);
    proxy_answer(self, gather->call, act, &response);
}

void handle_get_compaction_state(proxy_node_t *self, proxy_call_t *call, const event_t *ev,
                                 actions_t *act)
{
    proxy_gather(self, call, &(proxy_gather_t){
        .method = ELANUS__METHOD__METHOD_COMPACTION, .type = &elanus__compaction__descriptor,
        .find = s_find_data_nodes, .then = s_counted }, ev, act);
}

void handle_get_compaction_plans(proxy_node_t *self, proxy_call_t *call, const event_t *ev,
                                 actions_t *act)
{
    proxy_gather(self, call, &(proxy_gather_t){
        .method = ELANUS__METHOD__METHOD_COMPACTION, .type = &elanus__compaction__descriptor,
        .find = s_find_data_nodes, .then = s_planned }, ev, act);
}
