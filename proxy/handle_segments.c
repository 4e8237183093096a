/* handle_segments - which segments there are, which are loaded where, who serves what */
#include "proxy/proxy_gather.h"

/* --- stored ---------------------------------------------------------------------------- */

static Milvus__PersistentSegmentInfo *s_stored_info(ctx_t *ctx, const Elanus__Segment *segment)
{
    Milvus__PersistentSegmentInfo *out = ctx_new(ctx, sizeof *out);
    milvus__persistent_segment_info__init(out);
    out->segmentid = (int64_t)segment->id;
    out->collectionid = (int64_t)segment->collection;
    out->partitionid = (int64_t)segment->partition;
    out->num_rows = (int64_t)segment->rows;
    out->state = COMMON__SEGMENT_STATE__Flushed;
    out->level = COMMON__SEGMENT_LEVEL__L1;     /* L0 holds deletes alone, L2 is clustered */
    out->insert_channel = segment->vchannel;
    out->compaction_from = ctx_new(ctx, (segment->n_from + 1) * sizeof(int64_t));
    for (size_t i = 0; i < segment->n_from; i++)
        out->compaction_from[out->n_compaction_from++] = (int64_t)segment->from[i];
    return out;
}

static void s_stored(proxy_node_t *self, proxy_call_t *call, uint64_t collection,
                     Elanus__Segment *const *segments, size_t n, const event_t *ev, actions_t *act)
{
    (void)collection, (void)ev;
    Milvus__GetPersistentSegmentInfoResponse response =
        MILVUS__GET_PERSISTENT_SEGMENT_INFO_RESPONSE__INIT;
    response.status = proxy_status_new(call->ctx, OK, NULL);
    response.infos = ctx_new(call->ctx, (n + 1) * sizeof(void *));
    for (size_t i = 0; i < n; i++)
        response.infos[response.n_infos++] = s_stored_info(call->ctx, segments[i]);
    proxy_answer(self, call, act, &response);
}

void handle_get_persistent_segment_info(proxy_node_t *self, proxy_call_t *call, const event_t *ev,
                                        actions_t *act)
{
    const Milvus__GetPersistentSegmentInfoRequest *request = (const void *)call->request;
    const Elanus__Collection *coll = NULL;
    err_t err = proxy_collection(self, call, request->collectionname, &coll);
    if (err == OK)
        proxy_stored(self, call, coll->id, s_stored, act);
    else
        proxy_refuse(self, call, ev, act, err);
}

/* --- loaded: sealed ones, as Milvus tells of no others ------------------------------------- */

static err_t s_find_loaded(proxy_node_t *self, proxy_gather_t *gather, const event_t *ev)
{
    (void)ev;
    const Milvus__GetQuerySegmentInfoRequest *request = (const void *)gather->call->request;
    const Elanus__Collection *coll = NULL;
    TRY(proxy_collection(self, gather->call, request->collectionname, &coll));
    if (!catalog_load(self->catalog, coll->id))
        return ctx_fail(gather->call->ctx, ERR_COLLECTION_NOT_LOADED, "collection not loaded"
                        "[collection=%llu]", (unsigned long long)coll->id);
    Elanus__LoadedAsk ask = ELANUS__LOADED_ASK__INIT;
    ask.collection = coll->id;
    proxy_gather_leaders(self, gather, &ask, coll->id);
    return OK;
}

/* The index that a loaded segment is said to have: of the first vector field. */
static const Elanus__Index *s_index(proxy_node_t *self, ctx_t *ctx, uint64_t collection)
{
    const Elanus__Collection *coll = catalog_collection_by_id(self->catalog, collection);
    const Elanus__Index **indexes = NULL;
    size_t n = coll ? catalog_indexes_of(self->catalog, ctx, collection, &indexes) : 0;
    for (size_t f = 0; coll && f < coll->n_fields; f++)
        for (size_t i = 0; i < n; i++)
            if (indexes[i]->field_id == coll->fields[f]->id &&
                type_is_vector((type_t)coll->fields[f]->type))
                return indexes[i];
    return NULL;
}

typedef struct {
    ctx_t *ctx;
    const Elanus__Index *index;
    map_t *known;               /* segment id -> its info */
    Milvus__QuerySegmentInfo **infos;
    size_t n, room;
} list_t;

/* Who holds it: the leader that answered, or another node of its replica. */
static uint64_t s_node(const proxy_target_t *target, const Elanus__LoadedSegment *segment)
{
    return segment->node ? segment->node : target->node;
}

static Milvus__QuerySegmentInfo *s_loaded_info(list_t *list, const proxy_target_t *target,
                                               const Elanus__LoadedSegment *segment)
{
    Milvus__QuerySegmentInfo *out = ctx_new(list->ctx, sizeof *out);
    milvus__query_segment_info__init(out);
    out->segmentid = (int64_t)segment->id;
    out->collectionid = (int64_t)target->of;
    out->partitionid = (int64_t)segment->partition;
    out->mem_size = (int64_t)segment->bytes;
    out->num_rows = (int64_t)segment->rows;
    out->nodeid = (int64_t)s_node(target, segment);
    out->state = COMMON__SEGMENT_STATE__Sealed;
    out->level = COMMON__SEGMENT_LEVEL__L1;
    if (list->index) {
        out->index_name = list->index->name;
        out->indexid = (int64_t)list->index->id;
    }
    return out;
}

/* A segment that several replicas have is one entry with several nodes. */
static void s_list_segment(list_t *list, const proxy_target_t *target,
                           const Elanus__LoadedSegment *segment)
{
    Milvus__QuerySegmentInfo *info = map_get_u64(list->known, segment->id);
    if (!info) {
        info = s_loaded_info(list, target, segment);
        map_put_u64(list->known, segment->id, info);
        list->infos[list->n++] = info;
    }
    int64_t *nodes = ctx_new(list->ctx, (info->n_nodeids + 1) * sizeof *nodes);
    for (size_t i = 0; i < info->n_nodeids; i++)
        nodes[i] = info->nodeids[i];
    nodes[info->n_nodeids++] = (int64_t)s_node(target, segment);
    info->nodeids = nodes;
}

static void s_loaded(proxy_node_t *self, proxy_gather_t *gather, const event_t *ev, actions_t *act)
{
    (void)ev;
    ctx_t *ctx = gather->call->ctx;
    owned(map) known = map_new();
    list_t list = { .ctx = ctx, .known = known };
    for (size_t i = 0; i < gather->n; i++)
        list.room += ((const Elanus__Loaded *)gather->targets[i].answer)->n_segments;
    list.infos = ctx_new(ctx, (list.room + 1) * sizeof *list.infos);
    list.index = gather->n > 0 ? s_index(self, ctx, gather->targets[0].of) : NULL;
    for (size_t i = 0; i < gather->n; i++) {
        const Elanus__Loaded *loaded = gather->targets[i].answer;
        for (size_t s = 0; s < loaded->n_segments; s++)
            if (loaded->segments[s]->state != ELANUS__SEGMENT_STATE__SEGMENT_GROWING)
                s_list_segment(&list, &gather->targets[i], loaded->segments[s]);
    }
    Milvus__GetQuerySegmentInfoResponse response = MILVUS__GET_QUERY_SEGMENT_INFO_RESPONSE__INIT;
    response.status = proxy_status_new(ctx, OK, NULL);
    response.infos = list.infos;
    response.n_infos = list.n;
    proxy_answer(self, gather->call, act, &response);
}

void handle_get_query_segment_info(proxy_node_t *self, proxy_call_t *call, const event_t *ev,
                                   actions_t *act)
{
    proxy_gather(self, call, &(proxy_gather_t){
        .method = ELANUS__METHOD__METHOD_LOADED, .type = &elanus__loaded__descriptor,
        .find = s_find_loaded, .then = s_loaded }, ev, act);
}

/* --- replicas ----------------------------------------------------------------------------- */

static Milvus__ShardReplica *s_shard(proxy_node_t *self, ctx_t *ctx, const Elanus__Shard *shard,
                                     const Elanus__Replica *replica, bool with_nodes)
{
    Milvus__ShardReplica *out = ctx_new(ctx, sizeof *out);
    milvus__shard_replica__init(out);
    const Elanus__NodeInfo *leader = directory_node(self->directory, shard->leader);
    out->leaderid = (int64_t)shard->leader;
    out->leader_addr = leader ? leader->address : "";
    out->dm_channel_name = shard->vchannel;
    if (!with_nodes)
        return out;
    out->node_ids = ctx_new(ctx, (replica->n_nodes + 1) * sizeof(int64_t));
    out->node_ids[out->n_node_ids++] = (int64_t)shard->leader;
    for (size_t i = 0; i < replica->n_nodes; i++)
        if (replica->nodes[i] != shard->leader)
            out->node_ids[out->n_node_ids++] = (int64_t)replica->nodes[i];
    return out;
}

static Milvus__ReplicaInfo *s_replica(proxy_node_t *self, proxy_call_t *call,
                                      const Elanus__Replica *replica, const Elanus__Load *load)
{
    const Milvus__GetReplicasRequest *request = (const void *)call->request;
    ctx_t *ctx = call->ctx;
    Milvus__ReplicaInfo *out = ctx_new(ctx, sizeof *out);
    milvus__replica_info__init(out);
    out->replicaid = (int64_t)replica->id;
    out->collectionid = (int64_t)replica->collection;
    out->resource_group_name = replica->resource_group;
    out->node_ids = ctx_new(ctx, (replica->n_nodes + 1) * sizeof(int64_t));
    for (size_t i = 0; i < replica->n_nodes; i++)
        out->node_ids[out->n_node_ids++] = (int64_t)replica->nodes[i];
    out->shard_replicas = ctx_new(ctx, (replica->n_shards + 1) * sizeof(void *));
    for (size_t i = 0; i < replica->n_shards; i++)
        out->shard_replicas[out->n_shard_replicas++] =
            s_shard(self, ctx, replica->shards[i], replica, request->with_shard_nodes);
    size_t n = load ? load->n_partitions : 0;
    out->partition_ids = ctx_new(ctx, (n + 1) * sizeof(int64_t));
    for (size_t i = 0; i < n; i++)
        out->partition_ids[out->n_partition_ids++] = (int64_t)load->partitions[i];
    return out;
}

/* By name, or by id when no name is given: as clients ask. */
static err_t s_which(proxy_node_t *self, proxy_call_t *call, const Elanus__Collection **ret)
{
    const Milvus__GetReplicasRequest *request = (const void *)call->request;
    if (request->collection_name[0])
        return proxy_collection(self, call, request->collection_name, ret);
    *ret = catalog_collection_by_id(self->catalog, (uint64_t)request->collectionid);
    return *ret ? OK : ctx_fail(call->ctx, ERR_COLLECTION_NOT_FOUND,
                                "collection not found[collection=%lld]",
                                (long long)request->collectionid);
}

/* What is not loaded has no replicas, which is no error. */
void handle_get_replicas(proxy_node_t *self, proxy_call_t *call, const event_t *ev, actions_t *act)
{
    const Elanus__Collection *coll = NULL;
    err_t err = s_which(self, call, &coll);
    if (err != OK) {
        proxy_refuse(self, call, ev, act, err);
        return;
    }
    const Elanus__Replica **replicas = NULL;
    size_t n = directory_replicas(self->directory, call->ctx, coll->id, &replicas);
    Milvus__GetReplicasResponse response = MILVUS__GET_REPLICAS_RESPONSE__INIT;
    response.status = proxy_status_new(call->ctx, OK, NULL);
    response.replicas = ctx_new(call->ctx, (n + 1) * sizeof(void *));
    for (size_t i = 0; i < n; i++)
        response.replicas[response.n_replicas++] =
            s_replica(self, call, replicas[i], catalog_load(self->catalog, coll->id));
    proxy_answer(self, call, act, &response);
}
