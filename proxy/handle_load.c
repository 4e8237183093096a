/* handle_load - load and release, and how far loading is
 *
 * A load target in the catalog counts as loaded: nothing has rows yet, so
 * there is nothing to move.  When query nodes load segments, their progress
 * belongs into s_percent.
 */
#include "proxy/proxy_int.h"
#include "proxy/validate.h"

static int64_t s_percent(const Elanus__Load *load, const Elanus__Partition *partition)
{
    if (!load)
        return 0;
    for (size_t i = 0; partition && i < load->n_partitions; i++)
        if (load->partitions[i] == partition->id)
            return 100;
    return !partition || load->whole ? 100 : 0;
}

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

/* The least of the partitions named, of the whole when none is. */
static err_t s_progress(proxy_node_t *self, proxy_call_t *call, const Elanus__Collection *coll,
                        const char **names, size_t n, int64_t *ret)
{
    const Elanus__Load *load = catalog_load(self->catalog, coll->id);
    int64_t least = s_percent(load, NULL);
    for (size_t i = 0; i < n; i++) {
        const Elanus__Partition *partition = NULL;
        TRY(proxy_partition(call, coll, names[i], &partition));
        int64_t percent = s_percent(load, partition);
        least = percent < least ? percent : least;
    }
    *ret = least;
    return OK;
}

void handle_get_loading_progress(proxy_node_t *self, proxy_call_t *call, const event_t *ev,
                                 actions_t *act)
{
    const Milvus__GetLoadingProgressRequest *request = (const void *)call->request;
    const Elanus__Collection *coll = NULL;
    int64_t progress = 0;
    err_t err = proxy_collection(self, call, request->collection_name, &coll);
    if (err == OK)
        err = s_progress(self, call, coll, request->partition_names, request->n_partition_names,
                         &progress);
    if (err == OK && progress == 0)
        err = ctx_fail(call->ctx, ERR_COLLECTION_NOT_LOADED, "collection not loaded"
                       "[collection=%llu]", (unsigned long long)coll->id);
    if (err != OK) {
        proxy_refuse(self, call, ev, act, err);
        return;
    }
    Milvus__GetLoadingProgressResponse response = MILVUS__GET_LOADING_PROGRESS_RESPONSE__INIT;
    response.status = proxy_status_new(call->ctx, OK, NULL);
    response.progress = progress;
    response.refresh_progress = 100;            /* clients wait for it after a refresh */
    proxy_answer(self, call, act, &response);
}

/* A collection that does not exist is a state, not an error. */
void handle_get_load_state(proxy_node_t *self, proxy_call_t *call, const event_t *ev,
                           actions_t *act)
{
    const Milvus__GetLoadStateRequest *request = (const void *)call->request;
    const Elanus__Collection *coll = NULL;
    int64_t progress = 0;
    err_t err = proxy_collection(self, call, request->collection_name, &coll);
    bool missing = err == ERR_COLLECTION_NOT_FOUND;
    if (missing && proxy_look_again(self, call, ev, act))
        return;
    if (err == OK)
        err = s_progress(self, call, coll, request->partition_names, request->n_partition_names,
                         &progress);
    if (err != OK && !missing) {
        proxy_refuse(self, call, ev, act, err);
        return;
    }
    Milvus__GetLoadStateResponse response = MILVUS__GET_LOAD_STATE_RESPONSE__INIT;
    response.status = proxy_status_new(call->ctx, OK, NULL);
    response.state = missing ? COMMON__LOAD_STATE__LoadStateNotExist
                   : progress == 0 ? COMMON__LOAD_STATE__LoadStateNotLoad
                   : progress < 100 ? COMMON__LOAD_STATE__LoadStateLoading
                   : COMMON__LOAD_STATE__LoadStateLoaded;
    proxy_answer(self, call, act, &response);
}
