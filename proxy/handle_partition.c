/* handle_partition - create, drop, has, show partitions */
#include "proxy/proxy_gather.h"
#include "proxy/validate.h"

/* With a partition key the partitions are the server's business. */
static err_t s_no_key(proxy_call_t *call, const Elanus__Collection *coll, const char *verb)
{
    for (size_t i = 0; i < coll->n_fields; i++)
        if (coll->fields[i]->partition_key)
            return ctx_fail(call->ctx, ERR_UNEXPECTED, "disable %s partition if partition key mode "
                            "is used", verb);
    return OK;
}

static void s_change(proxy_node_t *self, proxy_call_t *call, const event_t *ev, actions_t *act,
                     uint32_t method, const char *collection, const char *partition)
{
    const Elanus__Collection *coll = NULL;
    bool create = method == ELANUS__METHOD__METHOD_CREATE_PARTITION;
    err_t err = proxy_collection(self, call, collection, &coll);
    if (err == OK)
        err = validate_partition_name(call->ctx, partition);
    if (err == OK)
        err = s_no_key(call, coll, create ? "create" : "drop");
    if (err != OK) {
        proxy_refuse(self, call, ev, act, err);
        return;
    }
    char *names[] = { (char *)partition };
    Elanus__Ddl ask = ELANUS__DDL__INIT;
    ask.collection_name = coll->name;
    ask.partitions = names;
    ask.n_partitions = 1;
    proxy_ddl(self, call, ev, act, method, &ask);
}

void handle_create_partition(proxy_node_t *self, proxy_call_t *call, const event_t *ev,
                             actions_t *act)
{
    const Milvus__CreatePartitionRequest *request = (const void *)call->request;
    s_change(self, call, ev, act, ELANUS__METHOD__METHOD_CREATE_PARTITION,
             request->collection_name, request->partition_name);
}

void handle_drop_partition(proxy_node_t *self, proxy_call_t *call, const event_t *ev,
                           actions_t *act)
{
    const Milvus__DropPartitionRequest *request = (const void *)call->request;
    s_change(self, call, ev, act, ELANUS__METHOD__METHOD_DROP_PARTITION,
             request->collection_name, request->partition_name);
}

void handle_has_partition(proxy_node_t *self, proxy_call_t *call, const event_t *ev,
                          actions_t *act)
{
    const Milvus__HasPartitionRequest *request = (const void *)call->request;
    const Elanus__Collection *coll = NULL;
    err_t err = proxy_collection(self, call, request->collection_name, &coll);
    if (err == OK)
        err = validate_partition_name(call->ctx, request->partition_name);
    if (err != OK) {
        proxy_refuse(self, call, ev, act, err);
        return;
    }
    bool found = catalog_partition(coll, request->partition_name) != NULL;
    if (!found && proxy_look_again(self, call, ev, act))
        return;
    Milvus__BoolResponse response = MILVUS__BOOL_RESPONSE__INIT;
    response.status = proxy_status_new(call->ctx, OK, NULL);
    response.value = found;
    proxy_answer(self, call, act, &response);
}

static bool s_is_loaded(const Elanus__Load *load, uint64_t partition)
{
    for (size_t i = 0; load && i < load->n_partitions; i++)
        if (load->partitions[i] == partition)
            return true;
    return load && load->whole;
}

static bool s_is_named(const Milvus__ShowPartitionsRequest *request, const char *name)
{
    for (size_t i = 0; i < request->n_partition_names; i++)
        if (strcmp(request->partition_names[i], name) == 0)
            return true;
    return request->n_partition_names == 0;
}

/* loaded: how far each is, when only those in memory are asked for; else NULL. */
static void s_show(proxy_node_t *self, proxy_call_t *call, const Elanus__Collection *coll,
                   const proxy_gather_t *loaded, actions_t *act)
{
    ctx_t *ctx = call->ctx;
    const Milvus__ShowPartitionsRequest *request = (const void *)call->request;
    const Elanus__Load *load = catalog_load(self->catalog, coll->id);
    size_t n = coll->n_partitions, kept = 0;
    Milvus__ShowPartitionsResponse response = MILVUS__SHOW_PARTITIONS_RESPONSE__INIT;
    response.status = proxy_status_new(ctx, OK, NULL);
    response.partition_names = ctx_new(ctx, (n + 1) * sizeof(char *));
    response.partitionids = ctx_new(ctx, (n + 1) * sizeof(int64_t));
    response.created_timestamps = ctx_new(ctx, (n + 1) * sizeof(uint64_t));
    response.created_utc_timestamps = ctx_new(ctx, (n + 1) * sizeof(uint64_t));
    response.inmemory_percentages = ctx_new(ctx, (n + 1) * sizeof(int64_t));
    for (size_t i = 0; i < n; i++) {
        const Elanus__Partition *partition = coll->partitions[i];
        bool is_loaded = s_is_loaded(load, partition->id);
        if (!s_is_named(request, partition->name) || (loaded && !is_loaded))
            continue;
        response.partition_names[kept] = partition->name;
        response.partitionids[kept] = (int64_t)partition->id;
        response.created_timestamps[kept] = partition->created_ts;
        response.created_utc_timestamps[kept] = partition->created_ts >> 18;
        response.inmemory_percentages[kept++] =
            loaded ? proxy_gather_percent(loaded, partition->id, NULL) : is_loaded ? 100 : 0;
    }
    response.n_partition_names = response.n_partitionids = kept;
    response.n_created_timestamps = response.n_created_utc_timestamps = kept;
    response.n_inmemory_percentages = kept;
    proxy_answer(self, call, act, &response);
}

static err_t s_find_shown(proxy_node_t *self, proxy_call_t *call, const Elanus__Collection **ret)
{
    const Milvus__ShowPartitionsRequest *request = (const void *)call->request;
    const Elanus__Collection *coll = NULL;
    if (!request->collection_name[0] && request->collectionid != 0)
        coll = catalog_collection_by_id(self->catalog, (uint64_t)request->collectionid);
    if (!coll)
        TRY(proxy_collection(self, call, request->collection_name, &coll));
    const Elanus__Partition *partition = NULL;
    for (size_t i = 0; i < request->n_partition_names; i++)
        TRY(proxy_partition(call, coll, request->partition_names[i], &partition));
    *ret = coll;
    return OK;
}

static err_t s_find_loaded(proxy_node_t *self, proxy_gather_t *gather, const event_t *ev)
{
    (void)ev;
    const Milvus__ShowPartitionsRequest *request = (const void *)gather->call->request;
    const Elanus__Collection *coll = NULL;
    TRY(s_find_shown(self, gather->call, &coll));
    const Elanus__Load *load = catalog_load(self->catalog, coll->id);
    for (size_t i = 0; i < coll->n_partitions; i++) {
        Elanus__Partition *partition = coll->partitions[i];
        if (!s_is_loaded(load, partition->id) || !s_is_named(request, partition->name))
            continue;
        Elanus__LoadedAsk ask = ELANUS__LOADED_ASK__INIT;
        ask.collection = coll->id;
        ask.partitions = &partition->id;
        ask.n_partitions = 1;
        proxy_gather_leaders(self, gather, &ask, partition->id);
    }
    return OK;
}

static void s_show_loaded(proxy_node_t *self, proxy_gather_t *gather, const event_t *ev,
                          actions_t *act)
{
    const Elanus__Collection *coll = NULL;
    err_t err = s_find_shown(self, gather->call, &coll);
    if (err == OK)
        s_show(self, gather->call, coll, gather, act);
    else
        proxy_refuse(self, gather->call, ev, act, err);
}

void handle_show_partitions(proxy_node_t *self, proxy_call_t *call, const event_t *ev,
                            actions_t *act)
{
    const Milvus__ShowPartitionsRequest *request = (const void *)call->request;
    const Elanus__Collection *coll = NULL;
    err_t err = s_find_shown(self, call, &coll);
    if (err != OK)
        proxy_refuse(self, call, ev, act, err);
    else if (request->type != MILVUS__SHOW_TYPE__InMemory)
        s_show(self, call, coll, NULL, act);
    else
        proxy_gather(self, call, &(proxy_gather_t){
            .method = ELANUS__METHOD__METHOD_LOADED, .type = &elanus__loaded__descriptor,
            .find = s_find_loaded, .then = s_show_loaded, .tolerant = true }, ev, act);
}
