/* handle_flush - Flush, FlushAll, and whether what they sealed has reached the store
 *
 * A flush is a seal: it names the segments that take no more rows from now on,
 * and clients ask until all of them are stored.  It adds nothing to durability,
 * which is the log's; what it is for is the segments.
 *
 * A segment that is asked after and grows again has lost its seal to a restart of
 * its owner: it is sealed once more, or a client would ask for ever.
 */
#include "proxy/proxy_gather.h"
#include "schema.pb-c.h"

enum {
    FLUSH_WAIT_MS = 400,        /* clients sleep 500 ms between two questions; so that the first
                                 * is often the last, it is not answered "no" at once */
    FLUSH_LOOK_MS = 20,
};

static view_t s_seal_ask(ctx_t *ctx, uint64_t collection, const proxy_target_t *target)
{
    Elanus__SealAsk ask = ELANUS__SEAL_ASK__INIT;
    ask.collection = collection;
    ask.vchannels = target->vchannels;
    ask.n_vchannels = target->n_vchannels;
    return pb_pack(ctx, &ask);
}

/* --- Flush ------------------------------------------------------------------------------ */

/* `of` is the place of the name in the request. */
static err_t s_find_named(proxy_node_t *self, proxy_gather_t *gather, const event_t *ev)
{
    (void)ev;
    const Milvus__FlushRequest *request = (const void *)gather->call->request;
    ctx_t *ctx = gather->call->ctx;
    for (size_t i = 0; i < request->n_collection_names; i++) {
        const Elanus__Collection *coll = NULL;
        size_t first = gather->n;
        TRY(proxy_collection(self, gather->call, request->collection_names[i], &coll));
        TRY(proxy_gather_owners(self, gather, coll, i));
        for (size_t t = first; t < gather->n; t++)
            gather->targets[t].payload = s_seal_ask(ctx, coll->id, &gather->targets[t]);
    }
    return OK;
}

static void s_append(ctx_t *ctx, Schema__LongArray *array, const uint64_t *ids, size_t n)
{
    int64_t *all = ctx_new(ctx, (array->n_data + n + 1) * sizeof *all);
    if (array->n_data)
        memcpy(all, array->data, array->n_data * sizeof *all);
    for (size_t i = 0; i < n; i++)
        all[array->n_data + i] = (int64_t)ids[i];
    array->data = all;
    array->n_data += n;
}

/* One name's entry in the four maps of the answer. */
typedef struct {
    Milvus__FlushResponse__CollSegIDsEntry sealed;
    Milvus__FlushResponse__FlushCollSegIDsEntry flushed;
    Milvus__FlushResponse__CollSealTimesEntry time;
    Milvus__FlushResponse__CollFlushTsEntry ts;
    Schema__LongArray sealed_ids, flushed_ids;
} entry_t;

static entry_t *s_entry(proxy_gather_t *gather, const char *name, size_t at, int64_t wall_ms)
{
    ctx_t *ctx = gather->call->ctx;
    entry_t *entry = ctx_new(ctx, sizeof *entry);
    milvus__flush_response__coll_seg_ids_entry__init(&entry->sealed);
    milvus__flush_response__flush_coll_seg_ids_entry__init(&entry->flushed);
    milvus__flush_response__coll_seal_times_entry__init(&entry->time);
    milvus__flush_response__coll_flush_ts_entry__init(&entry->ts);
    schema__long_array__init(&entry->sealed_ids);
    schema__long_array__init(&entry->flushed_ids);
    entry->sealed.key = entry->flushed.key = entry->time.key = entry->ts.key = (char *)name;
    entry->sealed.value = &entry->sealed_ids;
    entry->flushed.value = &entry->flushed_ids;
    entry->time.value = wall_ms / 1000;
    for (size_t t = 0; t < gather->n; t++) {
        if (gather->targets[t].of != at)
            continue;
        const Elanus__Sealed *sealed = gather->targets[t].answer;
        s_append(ctx, &entry->sealed_ids, sealed->segments, sealed->n_segments);
        s_append(ctx, &entry->flushed_ids, sealed->flushed, sealed->n_flushed);
        entry->ts.value = sealed->ts > entry->ts.value ? sealed->ts : entry->ts.value;
    }
    return entry;
}

static void s_flushed(proxy_node_t *self, proxy_gather_t *gather, const event_t *ev,
                      actions_t *act)
{
    ctx_t *ctx = gather->call->ctx;
    const Milvus__FlushRequest *request = (const void *)gather->call->request;
    size_t n = request->n_collection_names;
    Milvus__FlushResponse response = MILVUS__FLUSH_RESPONSE__INIT;
    response.status = proxy_status_new(ctx, OK, NULL);
    response.db_name = gather->call->db;
    response.coll_segids = ctx_new(ctx, (n + 1) * sizeof(void *));
    response.flush_coll_segids = ctx_new(ctx, (n + 1) * sizeof(void *));
    response.coll_seal_times = ctx_new(ctx, (n + 1) * sizeof(void *));
    response.coll_flush_ts = ctx_new(ctx, (n + 1) * sizeof(void *));
    for (size_t i = 0; i < n; i++) {
        entry_t *entry = s_entry(gather, request->collection_names[i], i, ev->wall_ms);
        response.coll_segids[i] = &entry->sealed;
        response.flush_coll_segids[i] = &entry->flushed;
        response.coll_seal_times[i] = &entry->time;
        response.coll_flush_ts[i] = &entry->ts;
    }
    response.n_coll_segids = response.n_flush_coll_segids = n;
    response.n_coll_seal_times = response.n_coll_flush_ts = n;
    proxy_answer(self, gather->call, act, &response);
}

void handle_flush(proxy_node_t *self, proxy_call_t *call, const event_t *ev, actions_t *act)
{
    proxy_gather(self, call, &(proxy_gather_t){
        .method = ELANUS__METHOD__METHOD_SEAL, .type = &elanus__sealed__descriptor,
        .find = s_find_named, .then = s_flushed }, ev, act);
}

/* --- FlushAll ----------------------------------------------------------------------------- */

static bool s_names(const Milvus__FlushAllTarget *target, const char *db,
                    const Elanus__Collection *coll)
{
    if (strcmp(target->db_name[0] ? target->db_name : "default", db) != 0)
        return false;
    for (size_t i = 0; i < target->n_collection_names; i++)
        if (strcmp(target->collection_names[i], coll->name) == 0)
            return true;
    return target->n_collection_names == 0;
}

/* The one database or the targets that newer clients may name; else everything. */
static bool s_is_meant(proxy_node_t *self, const char *db_name, Milvus__FlushAllTarget *const *list,
                       size_t n, const Elanus__Collection *coll)
{
    const Elanus__Database *db = catalog_database_by_id(self->catalog, coll->db_id);
    const char *name = db ? db->name : "";
    for (size_t i = 0; i < n; i++)
        if (s_names(list[i], name, coll))
            return true;
    return n == 0 && (!db_name[0] || strcmp(db_name, name) == 0);
}

static err_t s_find_meant(proxy_node_t *self, proxy_gather_t *gather, const char *db_name,
                          Milvus__FlushAllTarget *const *list, size_t n)
{
    const void **all = NULL;
    size_t n_all = catalog_list(self->catalog, gather->call->ctx, CATALOG_COLLECTION, &all);
    for (size_t i = 0; i < n_all; i++) {
        const Elanus__Collection *coll = all[i];
        if (s_is_meant(self, db_name, list, n, coll))
            TRY(proxy_gather_owners(self, gather, coll, coll->id));
    }
    return OK;
}

static err_t s_find_all(proxy_node_t *self, proxy_gather_t *gather, const event_t *ev)
{
    (void)ev;
    const Milvus__FlushAllRequest *request = (const void *)gather->call->request;
    TRY(s_find_meant(self, gather, request->db_name, request->flush_targets,
                     request->n_flush_targets));
    for (size_t i = 0; i < gather->n; i++)
        gather->targets[i].payload = s_seal_ask(gather->call->ctx, gather->targets[i].of,
                                                &gather->targets[i]);
    return OK;
}

static void s_all_flushed(proxy_node_t *self, proxy_gather_t *gather, const event_t *ev,
                          actions_t *act)
{
    Milvus__FlushAllResponse response = MILVUS__FLUSH_ALL_RESPONSE__INIT;
    response.status = proxy_status_new(gather->call->ctx, OK, NULL);
    response.flush_all_ts = (uint64_t)ev->wall_ms << 18;
    for (size_t i = 0; i < gather->n; i++) {
        const Elanus__Sealed *sealed = gather->targets[i].answer;
        if (sealed->ts > response.flush_all_ts)
            response.flush_all_ts = sealed->ts;
    }
    proxy_answer(self, gather->call, act, &response);
}

void handle_flush_all(proxy_node_t *self, proxy_call_t *call, const event_t *ev, actions_t *act)
{
    proxy_gather(self, call, &(proxy_gather_t){
        .method = ELANUS__METHOD__METHOD_SEAL, .type = &elanus__sealed__descriptor,
        .find = s_find_all, .then = s_all_flushed }, ev, act);
}

/* --- is it there? --------------------------------------------------------------------------- */

typedef struct {
    const int64_t *ids;         /* these, when any are given */
    size_t n;
    uint64_t ts;                /* else all with rows up to here; 0: all that are sealed */
} wanted_t;

static bool s_is_wanted(const wanted_t *wanted, const Elanus__Segment *segment)
{
    for (size_t i = 0; i < wanted->n; i++)
        if ((uint64_t)wanted->ids[i] == segment->id)
            return true;
    bool grows = segment->state == ELANUS__SEGMENT_STATE__SEGMENT_GROWING;
    bool old = segment->min_ts > 0 && segment->min_ts <= wanted->ts;
    return wanted->n == 0 && (old || (!grows && (wanted->ts == 0 || segment->min_ts == 0)));
}

typedef struct {
    bool done;
    bool unsealed;              /* a wanted one grows */
} state_t;

static state_t s_state(const proxy_gather_t *gather, const wanted_t *wanted)
{
    state_t state = { .done = true };
    for (size_t i = 0; i < gather->n; i++) {
        const Elanus__SegmentList *list = gather->targets[i].answer;
        for (size_t s = 0; s < list->n_segments; s++) {
            const Elanus__Segment *segment = list->segments[s];
            bool grows = segment->state == ELANUS__SEGMENT_STATE__SEGMENT_GROWING;
            bool sealed = segment->state == ELANUS__SEGMENT_STATE__SEGMENT_SEALED;
            if ((!grows && !sealed) || !s_is_wanted(wanted, segment))
                continue;
            state.done = false;
            state.unsealed |= grows;
        }
    }
    return state;
}

static void s_tell(proxy_node_t *self, proxy_call_t *call, actions_t *act, bool flushed)
{
    ctx_t *ctx = call->ctx;
    if (call->method->response == &milvus__get_flush_all_state_response__descriptor) {
        Milvus__GetFlushAllStateResponse all = MILVUS__GET_FLUSH_ALL_STATE_RESPONSE__INIT;
        all.status = proxy_status_new(ctx, OK, NULL);
        all.flushed = flushed;
        proxy_answer(self, call, act, &all);
        return;
    }
    Milvus__GetFlushStateResponse one = MILVUS__GET_FLUSH_STATE_RESPONSE__INIT;
    one.status = proxy_status_new(ctx, OK, NULL);
    one.flushed = flushed;
    proxy_answer(self, call, act, &one);
}

static void s_sealed_again(proxy_node_t *self, proxy_gather_t *gather, const event_t *ev,
                           actions_t *act)
{
    (void)ev;
    s_tell(self, gather->call, act, false);
}

static err_t s_find_again(proxy_node_t *self, proxy_gather_t *gather, const event_t *ev)
{
    const proxy_gather_t *looked = gather->arg;
    TRY(looked->find(self, gather, ev));
    for (size_t i = 0; i < gather->n; i++)
        gather->targets[i].payload = s_seal_ask(gather->call->ctx, gather->targets[i].of,
                                                &gather->targets[i]);
    return OK;
}

static void s_looked(proxy_node_t *self, proxy_gather_t *gather, const event_t *ev, actions_t *act)
{
    state_t state = s_state(gather, gather->arg);
    if (state.unsealed)
        proxy_gather(self, gather->call, &(proxy_gather_t){
            .method = ELANUS__METHOD__METHOD_SEAL, .type = &elanus__sealed__descriptor,
            .find = s_find_again, .then = s_sealed_again, .arg = gather }, ev, act);
    else if (!state.done && ev->now_ms - gather->began_ms < FLUSH_WAIT_MS)
        proxy_gather_again(self, gather, ev, act, FLUSH_LOOK_MS);
    else
        s_tell(self, gather->call, act, state.done);
}

static void s_ask_segments(proxy_gather_t *gather)
{
    for (size_t i = 0; i < gather->n; i++) {
        Elanus__SegmentsAsk ask = ELANUS__SEGMENTS_ASK__INIT;
        ask.collections = &gather->targets[i].of;
        ask.n_collections = 1;
        gather->targets[i].payload = pb_pack(gather->call->ctx, &ask);
    }
}

/* Segments without their collection's name are looked for everywhere. */
static err_t s_find_state(proxy_node_t *self, proxy_gather_t *gather, const event_t *ev)
{
    (void)ev;
    const Milvus__GetFlushStateRequest *request = (const void *)gather->call->request;
    const Elanus__Collection *coll = NULL;
    if (request->collection_name[0]) {
        TRY(proxy_collection(self, gather->call, request->collection_name, &coll));
        TRY(proxy_gather_owners(self, gather, coll, coll->id));
    } else {
        TRY(s_find_meant(self, gather, "", NULL, 0));
    }
    s_ask_segments(gather);
    return OK;
}

static void s_look(proxy_node_t *self, proxy_call_t *call, const wanted_t *wanted,
                   err_t (*find)(proxy_node_t *, proxy_gather_t *, const event_t *),
                   const event_t *ev, actions_t *act)
{
    wanted_t *copy = ctx_new(call->ctx, sizeof *copy);
    *copy = *wanted;
    proxy_gather(self, call, &(proxy_gather_t){
        .method = ELANUS__METHOD__METHOD_SEGMENTS, .type = &elanus__segment_list__descriptor,
        .find = find, .then = s_looked, .arg = copy }, ev, act);
}

void handle_get_flush_state(proxy_node_t *self, proxy_call_t *call, const event_t *ev,
                            actions_t *act)
{
    const Milvus__GetFlushStateRequest *request = (const void *)call->request;
    if (request->n_segmentids == 0 && !request->collection_name[0]) {
        s_tell(self, call, act, true);          /* nothing that could be missing */
        return;
    }
    s_look(self, call, &(wanted_t){ .ids = request->segmentids, .n = request->n_segmentids,
                                    .ts = request->flush_ts }, s_find_state, ev, act);
}

static err_t s_find_all_state(proxy_node_t *self, proxy_gather_t *gather, const event_t *ev)
{
    (void)ev;
    const Milvus__GetFlushAllStateRequest *request = (const void *)gather->call->request;
    TRY(s_find_meant(self, gather, request->db_name, request->flush_targets,
                     request->n_flush_targets));
    s_ask_segments(gather);
    return OK;
}

void handle_get_flush_all_state(proxy_node_t *self, proxy_call_t *call, const event_t *ev,
                                actions_t *act)
{
    const Milvus__GetFlushAllStateRequest *request = (const void *)call->request;
    s_look(self, call, &(wanted_t){ .ts = request->flush_all_ts }, s_find_all_state, ev, act);
}
