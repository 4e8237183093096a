/* handle_load - load and release, and how far loading is
 *
 * Loading is a wish in the catalog, answered at once; how far it has come the
 * shard leaders of the replicas are asked (METHOD_LOADED).  The least of them
 * counts: a collection can be searched when all of it is there.
 */
#include "proxy/proxy_gather.h"
#include "proxy/validate.h"

/* --- load, release ------------------------------------------------------------------ */

static err_t s_no_key(proxy_call_t *call, const Elanus__Collection *coll, const char *verb)
{
    for (size_t i = 0; i < coll->n_fields; i++)
        if (coll->fields[i]->partition_key)
            return ctx_fail(call->ctx, ERR_UNEXPECTED, "disable %s partitions if partition key "
                            "mode is used", verb);
    return OK;
}

typedef struct {
    const char *collection;
    uint32_t method;
    bool by_partition;
    char **partitions;
    size_t n_partitions;
    Elanus__Load *load;
} wish_t;

static void s_change(proxy_node_t *self, proxy_call_t *call, const event_t *ev, actions_t *act,
                     const wish_t *wish)
{
    const Elanus__Collection *coll = NULL;
    bool load = wish->method == ELANUS__METHOD__METHOD_LOAD;
    err_t err = proxy_collection(self, call, wish->collection, &coll);
    if (err == OK && wish->by_partition && wish->n_partitions == 0)
        err = ctx_fail(call->ctx, ERR_PARAM_INVALID, "invalid parameter[expected=any partition]"
                       "[actual=empty partition]");
    if (err == OK && wish->by_partition)
        err = s_no_key(call, coll, load ? "load" : "release");
    if (err != OK) {
        proxy_refuse(self, call, ev, act, err);
        return;
    }
    Elanus__Ddl ask = ELANUS__DDL__INIT;
    ask.collection_name = coll->name;
    ask.partitions = wish->partitions;
    ask.n_partitions = wish->n_partitions;
    ask.load = wish->load;
    proxy_ddl(self, call, ev, act, wish->method, &ask);
}

void handle_load_collection(proxy_node_t *self, proxy_call_t *call, const event_t *ev,
                            actions_t *act)
{
    const Milvus__LoadCollectionRequest *request = (const void *)call->request;
    Elanus__Load load = ELANUS__LOAD__INIT;
    load.replicas = request->replica_number;
    load.resource_groups = (char **)request->resource_groups;
    load.n_resource_groups = request->n_resource_groups;
    load.fields = (char **)request->load_fields;
    load.n_fields = request->n_load_fields;
    s_change(self, call, ev, act, &(wish_t){
        .collection = request->collection_name, .method = ELANUS__METHOD__METHOD_LOAD,
        .load = &load });
}

void handle_load_partitions(proxy_node_t *self, proxy_call_t *call, const event_t *ev,
                            actions_t *act)
{
    const Milvus__LoadPartitionsRequest *request = (const void *)call->request;
    Elanus__Load load = ELANUS__LOAD__INIT;
    load.replicas = request->replica_number;
    load.resource_groups = (char **)request->resource_groups;
    load.n_resource_groups = request->n_resource_groups;
    load.fields = (char **)request->load_fields;
    load.n_fields = request->n_load_fields;
    s_change(self, call, ev, act, &(wish_t){
        .collection = request->collection_name, .method = ELANUS__METHOD__METHOD_LOAD,
        .by_partition = true, .partitions = (char **)request->partition_names,
        .n_partitions = request->n_partition_names, .load = &load });
}

void handle_release_collection(proxy_node_t *self, proxy_call_t *call, const event_t *ev,
                               actions_t *act)
{
    const Milvus__ReleaseCollectionRequest *request = (const void *)call->request;
    s_change(self, call, ev, act, &(wish_t){
        .collection = request->collection_name, .method = ELANUS__METHOD__METHOD_RELEASE });
}

void handle_release_partitions(proxy_node_t *self, proxy_call_t *call, const event_t *ev,
                               actions_t *act)
{
    const Milvus__ReleasePartitionsRequest *request = (const void *)call->request;
    s_change(self, call, ev, act, &(wish_t){
        .collection = request->collection_name, .method = ELANUS__METHOD__METHOD_RELEASE,
        .by_partition = true, .partitions = (char **)request->partition_names,
        .n_partitions = request->n_partition_names });
}

/* --- how far --------------------------------------------------------------------------- */

enum {
    LOAD_WAIT_MS = 150,         /* who polls sleeps 200 to 500 ms between two questions: a load
                                 * that is nearly through is worth waiting for */
    LOAD_LOOK_MS = 10,
    MOST_UNPLACED = 99,         /* percent, while something has no place */
};

typedef struct {
    uint64_t collection;
    uint64_t *partitions;       /* asked for; none: what is to be loaded */
    size_t n;
    bool replicas;              /* all of them have living leaders */
} wanted_t;

static bool s_is_wanted(const Elanus__Load *load, uint64_t partition)
{
    for (size_t i = 0; i < load->n_partitions; i++)
        if (load->partitions[i] == partition)
            return true;
    return load->whole;
}

static err_t s_not_loaded(ctx_t *ctx, uint64_t collection)
{
    return ctx_fail(ctx, ERR_COLLECTION_NOT_LOADED, "collection not loaded[collection=%llu]",
                    (unsigned long long)collection);
}

/* What the names mean.  ERR_COLLECTION_NOT_LOADED: one of them shall not be loaded. */
static err_t s_want(proxy_node_t *self, proxy_call_t *call, const char *name, const char **names,
                    size_t n, wanted_t **ret)
{
    const Elanus__Collection *coll = NULL;
    TRY(proxy_collection(self, call, name, &coll));
    wanted_t *wanted = ctx_new(call->ctx, sizeof *wanted);
    *wanted = (wanted_t){ .collection = coll->id };
    wanted->partitions = ctx_new(call->ctx, (n + 1) * sizeof(uint64_t));
    const Elanus__Load *load = catalog_load(self->catalog, coll->id);
    bool all = load != NULL;
    for (size_t i = 0; i < n; i++) {
        const Elanus__Partition *partition = NULL;
        TRY(proxy_partition(call, coll, names[i], &partition));
        wanted->partitions[wanted->n++] = partition->id;
        all = all && s_is_wanted(load, partition->id);
    }
    if (!all)
        return s_not_loaded(call->ctx, coll->id);
    *ret = wanted;
    return OK;
}

static err_t s_find(proxy_node_t *self, proxy_gather_t *gather, const event_t *ev)
{
    (void)ev;
    wanted_t *wanted = gather->arg;
    if (!catalog_load(self->catalog, wanted->collection))
        return s_not_loaded(gather->call->ctx, wanted->collection);
    Elanus__LoadedAsk ask = ELANUS__LOADED_ASK__INIT;
    ask.collection = wanted->collection;
    ask.partitions = wanted->partitions;
    ask.n_partitions = wanted->n;
    wanted->replicas = proxy_gather_leaders(self, gather, &ask, wanted->collection);
    return OK;
}

/* What has no place anywhere is not loaded, whatever the leaders say of the rest. */
static const char *s_not_placed(const proxy_node_t *self, ctx_t *ctx, uint64_t collection)
{
    const Elanus__Replica **replicas = NULL;
    size_t n = directory_replicas(self->directory, ctx, collection, &replicas);
    for (size_t i = 0; i < n; i++) {
        const Elanus__Placement *placement = directory_placement(self->directory, collection,
                                                                 replicas[i]->id);
        if (placement && placement->error[0])
            return ctx_strdup(ctx, placement->error);
    }
    return NULL;
}

static int64_t s_percent(const proxy_node_t *self, const proxy_gather_t *gather,
                         const char **ret_why)
{
    const wanted_t *wanted = gather->arg;
    int64_t percent = proxy_gather_percent(gather, wanted->collection, ret_why);
    const char *lack = s_not_placed(self, gather->call->ctx, wanted->collection);
    if (lack)
        *ret_why = lack;
    if (lack && percent > MOST_UNPLACED)
        percent = MOST_UNPLACED;
    return wanted->replicas ? percent : 0;
}

static void s_ask_leaders(proxy_node_t *self, proxy_call_t *call, wanted_t *wanted,
                          void (*then)(proxy_node_t *, proxy_gather_t *, const event_t *,
                                       actions_t *), const event_t *ev, actions_t *act)
{
    proxy_gather(self, call, &(proxy_gather_t){
        .method = ELANUS__METHOD__METHOD_LOADED, .type = &elanus__loaded__descriptor,
        .find = s_find, .then = then, .tolerant = true, .arg = wanted }, ev, act);
}

/* --- GetLoadingProgress ------------------------------------------------------------------- */

static void s_progress(proxy_node_t *self, proxy_gather_t *gather, const event_t *ev,
                       actions_t *act)
{
    proxy_call_t *call = gather->call;
    const char *why = NULL;
    int64_t percent = s_percent(self, gather, &why);
    if (percent < 100 && !why && ev->now_ms - gather->began_ms < LOAD_WAIT_MS) {
        proxy_gather_again(self, gather, ev, act, LOAD_LOOK_MS);
        return;
    }
    if (why) {
        proxy_status(self, call, act, ERR_SEGMENT_LOAD_FAILED,
                     ctx_printf(call->ctx, "show collection failed: %s", why));
        return;
    }
    Milvus__GetLoadingProgressResponse response = MILVUS__GET_LOADING_PROGRESS_RESPONSE__INIT;
    response.status = proxy_status_new(call->ctx, OK, NULL);
    response.progress = percent;
    response.refresh_progress = percent;        /* clients wait for it after a refresh */
    proxy_answer(self, call, act, &response);
}

void handle_get_loading_progress(proxy_node_t *self, proxy_call_t *call, const event_t *ev,
                                 actions_t *act)
{
    const Milvus__GetLoadingProgressRequest *request = (const void *)call->request;
    wanted_t *wanted = NULL;
    err_t err = s_want(self, call, request->collection_name, request->partition_names,
                       request->n_partition_names, &wanted);
    if (err == OK)
        s_ask_leaders(self, call, wanted, s_progress, ev, act);
    else
        proxy_refuse(self, call, ev, act, err);
}

/* --- GetLoadState --------------------------------------------------------------------------- */

static void s_add_info(proxy_call_t *call, Common__Status *status, const char *key,
                       const char *value)
{
    Common__Status__ExtraInfoEntry *entry = ctx_new(call->ctx, sizeof *entry);
    common__status__extra_info_entry__init(entry);
    entry->key = (char *)key;
    entry->value = ctx_strdup(call->ctx, value);
    status->extra_info[status->n_extra_info++] = entry;
}

/* REST's answer has the progress too, and what keeps it; gRPC's has no place for them. */
static void s_tell_state(proxy_node_t *self, proxy_call_t *call, actions_t *act,
                         Common__LoadState state, int64_t percent, const char *why)
{
    Milvus__GetLoadStateResponse response = MILVUS__GET_LOAD_STATE_RESPONSE__INIT;
    response.status = proxy_status_new(call->ctx, OK, NULL);
    response.state = state;
    if (call->route) {
        response.status->extra_info = ctx_new(call->ctx, 2 * sizeof(void *));
        s_add_info(call, response.status, "progress",
                   ctx_printf(call->ctx, "%lld", (long long)percent));
        s_add_info(call, response.status, "why", why ? why : "");
    }
    proxy_answer(self, call, act, &response);
}

static void s_state(proxy_node_t *self, proxy_gather_t *gather, const event_t *ev, actions_t *act)
{
    (void)ev;
    const char *why = NULL;
    int64_t percent = s_percent(self, gather, &why);
    s_tell_state(self, gather->call, act, percent < 100 ? COMMON__LOAD_STATE__LoadStateLoading
                                                        : COMMON__LOAD_STATE__LoadStateLoaded,
                 percent, why);
}

/* A collection that does not exist is a state, not an error. */
void handle_get_load_state(proxy_node_t *self, proxy_call_t *call, const event_t *ev,
                           actions_t *act)
{
    const Milvus__GetLoadStateRequest *request = (const void *)call->request;
    wanted_t *wanted = NULL;
    err_t err = s_want(self, call, request->collection_name, request->partition_names,
                       request->n_partition_names, &wanted);
    bool missing = err == ERR_COLLECTION_NOT_FOUND, unloaded = err == ERR_COLLECTION_NOT_LOADED;
    if ((missing || unloaded) && proxy_look_again(self, call, ev, act))
        return;
    if (missing || unloaded)
        s_tell_state(self, call, act, missing ? COMMON__LOAD_STATE__LoadStateNotExist
                                              : COMMON__LOAD_STATE__LoadStateNotLoad, 0, NULL);
    else if (err != OK)
        proxy_refuse(self, call, ev, act, err);
    else
        s_ask_leaders(self, call, wanted, s_state, ev, act);
}
