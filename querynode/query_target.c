/* query_target - what this node has to serve, as the pictures of metadata show it
 *
 *     replica/ names us leader of a vchannel    ┐
 *     or place/ names us for a segment of it    ├─► collection, channel
 *     load/ has the collection                  │
 *     coll/ has it, with its partitions         ┘
 *     seg/ has FLUSHED segments of the channel  ──► pieces (query_load.c, query_place.c)
 *
 * A change only marks collections dirty.  They are settled at the end of the step, from the
 * pictures alone, so it does not matter in which order the watches speak.
 *
 * A partition that coll/ does not show is either dropped, and then its rows must not be seen,
 * or so new that the watch lags behind its rows, and then they must.  Ids rise, and so `newest`
 * tells them apart: when the collection is first met it is the largest id of anything it has;
 * a partition made later is above.
 */
#include "querynode/querynode_int.h"

#include <stdlib.h>

enum { ROUNDS = 4 };            /* of settling in a step: what one frees, the next one notices */

/* --- pictures ---------------------------------------------------------------------------- */

void query_dirty(query_coll_t *coll)
{
    coll->dirty = coll->node->dirty = true;
}

static void s_all_dirty(query_node_t *self)
{
    void *coll = NULL;
    for (size_t at = 0; map_next(self->colls, &at, NULL, &coll); )
        query_dirty(coll);
}

static void s_catalog(void *node, void *arg, const event_t *ev, actions_t *act)
{
    query_node_t *self = node;
    (void)act;
    if (ev->kind != EV_WATCH)
        return;
    catalog_watched(self->catalog, ev->ctx, *(const catalog_kind_t *)arg, ev->watch.changes,
                    ev->watch.n);
    self->targets_dirty = true;
}

/* Who is gone is not talked to any more. */
static void s_hang_up(query_node_t *self, ctx_t *ctx, actions_t *act)
{
    const Elanus__NodeInfo **nodes = NULL;
    const Elanus__NodeInfo **peers = NULL;
    size_t n = directory_nodes(self->directory, ctx, "datanode", &nodes);
    size_t n_peers = directory_nodes(self->directory, ctx, "querynode", &peers);
    void *address = NULL;
    for (size_t at = 0; map_next(self->dialled, &at, NULL, &address); ) {
        bool there = false;
        for (size_t i = 0; i < n && !there; i++)
            there = strcmp(nodes[i]->address, address) == 0;
        for (size_t i = 0; i < n_peers && !there; i++)
            there = strcmp(peers[i]->address, address) == 0;
        if (there)
            continue;
        act_hang_up(act, address);
        map_del_str(self->dialled, address);
        mem_free(address);
    }
}

static void s_directory(void *node, void *arg, const event_t *ev, actions_t *act)
{
    query_node_t *self = node;
    directory_kind_t kind = *(const directory_kind_t *)arg;
    if (ev->kind != EV_WATCH)
        return;
    directory_watched(self->directory, ev->ctx, kind, ev->watch.changes, ev->watch.n);
    self->targets_dirty |= kind == DIRECTORY_REPLICA || kind == DIRECTORY_PLACE;
    s_all_dirty(self);                          /* the owner of a channel may be another */
    if (kind == DIRECTORY_SESSION && directory_synced(self->directory, kind))
        s_hang_up(self, ev->ctx, act);
}

static void s_segment(void *arg, uint64_t collection, uint64_t segment, const Elanus__Segment *now)
{
    query_node_t *self = arg;
    (void)segment;
    query_coll_t *coll = map_get_u64(self->colls, collection);
    if (now && !map_get_str(self->channels, now->vchannel))
        self->targets_dirty = true;             /* it may be placed here */
    if (coll)
        query_dirty(coll);
}

static void s_segments(void *node, void *arg, const event_t *ev, actions_t *act)
{
    query_node_t *self = node;
    (void)act;
    if (ev->kind != EV_WATCH)
        return;
    bool synced = segments_synced(self->segments);
    segments_kind_t kind = *(const segments_kind_t *)arg;
    segments_watched(self->segments, ev->ctx, kind, ev->watch.changes, ev->watch.n, s_segment,
                     self);
    if (kind == SEGMENTS_CKPT)
        s_all_dirty(self);                      /* deletes may go */
    if (synced != segments_synced(self->segments))
        self->targets_dirty = true;
}

void query_target_start(query_node_t *self, actions_t *act)
{
    static const catalog_kind_t s_catalogs[] = {
        CATALOG_DATABASE, CATALOG_COLLECTION, CATALOG_ALIAS, CATALOG_LOAD, CATALOG_INDEX,
    };
    static const directory_kind_t s_directories[] = {
        DIRECTORY_SESSION, DIRECTORY_OWNER, DIRECTORY_REPLICA, DIRECTORY_PLACE,
    };
    static const segments_kind_t s_kinds[] = { SEGMENTS_SEG, SEGMENTS_CKPT };
    waits_t *waits = self->member.waits;
    for (size_t i = 0; i < ARRAY_LEN(s_catalogs); i++)
        act_meta_watch(act, catalog_root(s_catalogs[i]),
                       wait_always(waits, act, s_catalog, (void *)&s_catalogs[i]));
    for (size_t i = 0; i < ARRAY_LEN(s_directories); i++)
        act_meta_watch(act, directory_root(s_directories[i]),
                       wait_always(waits, act, s_directory, (void *)&s_directories[i]));
    for (size_t i = 0; i < ARRAY_LEN(s_kinds); i++)
        act_meta_watch(act, segments_root(s_kinds[i]),
                       wait_always(waits, act, s_segments, (void *)&s_kinds[i]));
}

/* --- collections ------------------------------------------------------------------------- */

/* The largest id of anything this collection is known to have. */
static uint64_t s_newest(query_node_t *self, ctx_t *ctx, uint64_t id)
{
    const Elanus__Segment **all = NULL;
    size_t n = segments_of(self->segments, ctx, id, &all);
    return n ? all[n - 1]->id : 0;              /* they are sorted by id */
}

static query_coll_t *s_coll(query_node_t *self, ctx_t *ctx, uint64_t id)
{
    query_coll_t *coll = map_get_u64(self->colls, id);
    if (coll)
        return coll;
    coll = mem_new(sizeof *coll);
    *coll = (query_coll_t){ .node = self, .id = id, .targets = map_new(), .known = map_new(),
                            .newest = s_newest(self, ctx, id) };
    vec_init(&coll->channels, sizeof(query_channel_t *));
    map_put_u64(self->colls, id, coll);
    return coll;
}

static query_channel_t *s_channel(query_coll_t *coll, const char *name)
{
    query_channel_t *ch = map_get_str(coll->node->channels, name);
    if (ch)
        return ch;
    ch = query_channel_new(coll, name);
    vec_push(&coll->channels, &ch);
    map_put_str(coll->node->channels, name, ch);
    log_event(LOG_INFO, "channel_served", "node=querynode-%llu channel=%s",
              (unsigned long long)coll->node->member.self->id, name);
    return ch;
}

static void s_release_channel(query_coll_t *coll, size_t i)
{
    query_channel_t *ch = *(query_channel_t **)vec_at(&coll->channels, i);
    log_event(LOG_INFO, "channel_released", "node=querynode-%llu channel=%s",
              (unsigned long long)coll->node->member.self->id, ch->name);
    vec_swap_remove(&coll->channels, i);
    map_del_str(coll->node->channels, ch->name);
    query_channel_release(ch);
}

static void s_set(map_t **map_p, const uint64_t *ids, size_t n)
{
    map_destroy(map_p);
    *map_p = map_new();
    for (size_t i = 0; i < n; i++)
        map_put_u64(*map_p, ids[i], *map_p);
}

static int64_t s_ttl_ms(const query_node_t *self, const Elanus__Collection *of)
{
    const char *ttl = catalog_pair(of->properties, of->n_properties, "collection.ttl.seconds");
    int64_t seconds = ttl ? strtoll(ttl, NULL, 10) : self->options.expire_ms / 1000;
    return seconds > 0 && seconds < INT64_MAX / 1000 ? 1000 * seconds : 0;
}

/* Copy what coll/ and load/ say now. */
static void s_refresh(query_coll_t *coll, const Elanus__Collection *of, const Elanus__Load *load)
{
    schema_t *before = coll->schema;
    coll->schema = schema_ref(catalog_schema(coll->node->catalog, coll->id));
    schema_unref(&before);
    coll->whole = load->whole;
    coll->ttl_ms = s_ttl_ms(coll->node, of);
    s_set(&coll->targets, load->partitions, load->n_partitions);
    s_set(&coll->known, NULL, 0);
    for (size_t i = 0; i < of->n_partitions; i++) {
        uint64_t id = of->partitions[i]->id;
        map_put_u64(coll->known, id, coll);
        coll->newest = id > coll->newest ? id : coll->newest;
    }
    query_dirty(coll);
}

bool query_shows(const query_coll_t *coll, uint64_t partition)
{
    if (!map_get_u64(coll->known, partition) && partition <= coll->newest)
        return false;
    return coll->whole || map_get_u64(coll->targets, partition);
}

/* The channel of this name, noted as one to be served. */
static query_channel_t *s_mark(query_node_t *self, ctx_t *ctx, const Elanus__Collection *of,
                               const Elanus__Load *load, const char *vchannel)
{
    query_coll_t *coll = s_coll(self, ctx, of->id);
    if (coll->mark != self->mark)
        s_refresh(coll, of, load);
    coll->mark = self->mark;
    query_channel_t *ch = s_channel(coll, vchannel);
    ch->mark = self->mark;
    return ch;
}

static void s_serve(query_node_t *self, ctx_t *ctx, const Elanus__Replica *replica)
{
    const Elanus__Collection *of = catalog_collection_by_id(self->catalog, replica->collection);
    const Elanus__Load *load = catalog_load(self->catalog, replica->collection);
    const Elanus__Placement *placement = directory_placement(self->directory, replica->collection,
                                                             replica->id);
    for (size_t i = 0; of && load && i < replica->n_shards; i++) {
        if (replica->shards[i]->leader != self->member.self->id)
            continue;
        query_channel_t *ch = s_mark(self, ctx, of, load, replica->shards[i]->vchannel);
        if (ch->leads_mark != self->mark)       /* the first one, if it leads in several */
            ch->leads_replica = replica->id;
        ch->leads_mark = self->mark;
    }
    for (size_t i = 0; of && load && placement && i < placement->n_places; i++) {
        if (placement->places[i]->node != self->member.self->id)
            continue;
        const Elanus__Segment *record = segments_get(self->segments,
                                                     placement->places[i]->segment, NULL);
        if (record && record->collection == of->id &&
            record->state == ELANUS__SEGMENT_STATE__SEGMENT_FLUSHED)
            s_mark(self, ctx, of, load, record->vchannel);
    }
}

/* Somebody reads what we hold of it: it stays for a while although nothing is placed here. */
static bool s_lingers(const query_channel_t *ch, const event_t *ev)
{
    query_node_t *self = ch->node;
    if (!catalog_load(self->catalog, ch->coll->id) || !query_held_keeps_any(ch, ev))
        return false;
    self->lingering = true;
    return true;
}

static void s_release_old(query_coll_t *coll, uint64_t mark, const event_t *ev, actions_t *act)
{
    for (size_t i = 0; i < coll->channels.len; ) {
        query_channel_t *ch = *(query_channel_t **)vec_at(&coll->channels, i);
        if (ch->mark != mark && !s_lingers(ch, ev)) {
            s_release_channel(coll, i);
            continue;
        }
        query_channel_lead(ch, ch->leads_mark == mark ? ch->leads_replica : 0);
        i++;
    }
    query_reads_wake(coll, ev, act);            /* those of a released channel end */
}

/* Compare all of replica/, load/ and coll/ with what is served. */
static void s_targets(query_node_t *self, const event_t *ev, actions_t *act)
{
    if (!catalog_synced(self->catalog) || !segments_synced(self->segments) ||
        !directory_synced(self->directory, DIRECTORY_REPLICA) ||
        !directory_synced(self->directory, DIRECTORY_PLACE))
        return;
    self->targets_dirty = self->lingering = false;
    self->mark++;
    const Elanus__Replica **replicas = NULL;
    size_t n = directory_replicas(self->directory, ev->ctx, 0, &replicas);
    for (size_t i = 0; i < n; i++)
        s_serve(self, ev->ctx, replicas[i]);
    void *value = NULL;
    for (size_t at = 0; map_next(self->colls, &at, NULL, &value); ) {
        query_coll_t *coll = value;
        s_release_old(coll, self->mark, ev, act);
        if (coll->channels.len)
            continue;
        map_del_u64(self->colls, coll->id);
        query_coll_free(coll);
    }
}

void query_coll_free(query_coll_t *coll)
{
    check(coll->waiting.n == 0);
    while (coll->channels.len)
        s_release_channel(coll, 0);
    vec_fini(&coll->channels);
    map_destroy(&coll->targets);
    map_destroy(&coll->known);
    schema_unref(&coll->schema);
    mem_free(coll);
}

/* --- settling ---------------------------------------------------------------------------- */

static void s_settle(query_coll_t *coll, const event_t *ev, actions_t *act)
{
    const Elanus__Segment **all = NULL;
    size_t n = segments_of(coll->node->segments, ev->ctx, coll->id, &all);
    for (size_t i = 0; i < coll->channels.len; i++) {
        query_channel_t *ch = *(query_channel_t **)vec_at(&coll->channels, i);
        query_follow_take(ch, ch->resetting ? &ch->next : &ch->growing);
        if (ch->replica)
            query_peers_look(ch, ev->ctx);
        query_load_look(ch, all, n, ev);
        query_load_go(ch, ev, act);
        query_runs_apply(ch, ev, act);
        query_load_able(ch);
        query_index_go(ch, ev, act);
        query_swap(ch);
        query_advance(ch);
        query_runs_trim(ch);
        query_follow(ch, ev, act);
        if (ch->replica)
            query_peers_poll(ch, ev, act);
    }
    query_reads_wake(coll, ev, act);
}

void query_target_settle(query_node_t *self, const event_t *ev, actions_t *act)
{
    if (self->targets_dirty)
        s_targets(self, ev, act);
    for (int round = 0; self->dirty && round < ROUNDS; round++) {
        void *value = NULL;
        self->dirty = false;
        for (size_t at = 0; map_next(self->colls, &at, NULL, &value); ) {
            query_coll_t *coll = value;
            if (!coll->dirty)
                continue;
            coll->dirty = false;
            s_settle(coll, ev, act);
        }
    }
}

/* --- METHOD_LOADED ----------------------------------------------------------------------- */

/* What an answer is counted from. */
typedef struct tally {
    const Elanus__LoadedAsk *ask;
    const query_coll_t *coll;
    uint64_t total, done;       /* rows, and one for each channel and segment */
    bool complete;
    err_t err;
    const char *error;
    vec_t segments;             /* of Elanus__LoadedSegment * */
} tally_t;

static bool s_asked(const tally_t *tally, uint64_t partition)
{
    if (!query_shows(tally->coll, partition))
        return false;
    for (size_t i = 0; i < tally->ask->n_partitions; i++)
        if (tally->ask->partitions[i] == partition)
            return true;
    return tally->ask->n_partitions == 0;
}

static void s_tell(tally_t *tally, ctx_t *ctx, Elanus__LoadedSegment what)
{
    Elanus__LoadedSegment *segment = ctx_new(ctx, sizeof *segment);
    *segment = what;
    vec_push(&tally->segments, &segment);
}

static void s_tally_piece(tally_t *tally, ctx_t *ctx, const query_piece_t *piece)
{
    if (!s_asked(tally, piece->partition))
        return;
    if (piece->wanted) {
        bool covered = query_covered(piece->channel, piece, &piece->channel->growing);
        tally->total += piece->rows + 1;
        tally->done += covered ? piece->rows + 1 : 0;
        if (piece->error && !tally->error) {
            tally->err = piece->err;
            tally->error = piece->error;
        }
    }
    if (!piece->in || piece->at == QUERY_NOWHERE)
        return;
    Elanus__LoadedSegment what = ELANUS__LOADED_SEGMENT__INIT;
    what.id = piece->id;
    what.partition = piece->partition;
    what.state = ELANUS__SEGMENT_STATE__SEGMENT_FLUSHED;
    if (piece->at == QUERY_HERE) {
        what.node = piece->channel->node->member.self->id;
        what.rows = sealed_rows(piece->sealed);
        what.bytes = sealed_bytes(piece->sealed);
        what.n_indexes = query_index_ids(piece, ctx, &what.indexes);
    } else {
        const query_peer_t *peer = query_peer(piece->channel, piece->at);
        const query_told_t *told = peer ? map_get_u64(peer->held, piece->id) : NULL;
        what.node = piece->at;
        what.rows = told ? told->rows : piece->rows;
        what.bytes = told ? told->bytes : piece->bytes;
        what.indexes = told ? (uint64_t *)(uintptr_t)told->indexes : NULL;
        what.n_indexes = told ? told->n_indexes : 0;
    }
    s_tell(tally, ctx, what);
}

static void s_tally_growing(tally_t *tally, ctx_t *ctx, const query_growing_t *growing)
{
    if (!s_asked(tally, growing->partition))
        return;
    /* A copy is on its way; shared memory may come as a sealed one in a moment. */
    if (!growing->held && !growing->owner && !tally->error) {
        tally->err = ERR_CHANNEL_NOT_AVAILABLE;
        tally->error = ctx_printf(ctx, "growing segment %llu is not in its owner's memory any more",
                                  (unsigned long long)growing->id);
    }
    if (!growing->held)
        return;
    Elanus__LoadedSegment what = ELANUS__LOADED_SEGMENT__INIT;
    what.id = growing->id;
    what.partition = growing->partition;
    what.rows = growing_rows(growing->held);
    what.bytes = growing_bytes(growing->held);
    what.state = ELANUS__SEGMENT_STATE__SEGMENT_GROWING;
    s_tell(tally, ctx, what);
}

static bool s_channel_loaded(const tally_t *tally, const query_channel_t *ch)
{
    void *value = NULL;
    view_t key;
    if (tally->ask->n_partitions == 0 && tally->coll->whole)
        return ch->whole_loaded;
    for (size_t i = 0; i < tally->ask->n_partitions; i++)
        if (!query_partition_loaded(ch, tally->ask->partitions[i]))
            return false;
    for (size_t at = 0; map_next(tally->coll->targets, &at, &key, &value); )
        if (tally->ask->n_partitions == 0 && !query_partition_loaded(ch, load_u64(key.ptr)))
            return false;
    return true;
}

/* Why something is not held at any other node. */
static void s_tally_elsewhere(tally_t *tally, const query_channel_t *ch)
{
    const Elanus__Placement *placement =
        directory_placement(ch->node->directory, ch->coll->id, ch->replica);
    if (placement && placement->err && !tally->error) {
        tally->err = (err_t)placement->err;
        tally->error = placement->error;
    }
    for (size_t i = 0; i < ch->peers.len && !tally->error; i++) {
        const query_peer_t *peer = *(query_peer_t **)vec_at(&ch->peers, i);
        tally->err = peer->error ? peer->err : tally->err;
        tally->error = peer->error;
    }
}

static void s_tally_channel(tally_t *tally, ctx_t *ctx, const query_channel_t *ch)
{
    bool loaded = s_channel_loaded(tally, ch);
    tally->complete &= loaded;
    tally->total++;
    tally->done += loaded;
    if (ch->trouble && !loaded && !tally->error) {
        tally->err = ERR_CHANNEL_NOT_AVAILABLE;
        tally->error = ch->trouble;
    }
    void *piece = NULL;
    for (size_t at = 0; map_next(ch->pieces, &at, NULL, &piece); )
        s_tally_piece(tally, ctx, piece);
    s_tally_elsewhere(tally, ch);
    for (size_t i = 0; i < ch->growing.len; i++)
        s_tally_growing(tally, ctx, vec_at(&ch->growing, i));
}

static void s_answer(const event_t *ev, actions_t *act, tally_t *tally)
{
    Elanus__Loaded answer = ELANUS__LOADED__INIT;
    uint64_t percent = tally->total ? 100 * tally->done / tally->total : 0;
    answer.percent = tally->complete ? 100 : percent > 99 ? 99 : (uint32_t)percent;
    if (tally->error && !tally->complete) {
        answer.err = (int32_t)tally->err;
        answer.error = (char *)tally->error;
    }
    answer.segments = tally->segments.ptr;
    answer.n_segments = tally->segments.len;
    act_reply(act, ev->call.from, pb_pack(ev->ctx, &answer));
}

void query_loaded(query_node_t *self, const event_t *ev, actions_t *act)
{
    Elanus__LoadedAsk *ask = NULL;
    if (PB_UNPACK(ev->ctx, elanus__loaded_ask, ev->call.payload, &ask) != OK) {
        act_refuse(act, ev->call.from, ev->ctx->err, "%s", ev->ctx->text);
        return;
    }
    const query_coll_t *coll = map_get_u64(self->colls, ask->collection);
    Elanus__Loaded nothing = ELANUS__LOADED__INIT;
    if (!coll) {                                /* replica/ and load/ may be on their way */
        act_reply(act, ev->call.from, pb_pack(ev->ctx, &nothing));
        return;
    }
    tally_t tally = { .ask = ask, .coll = coll, .complete = true };
    vec_init(&tally.segments, sizeof(Elanus__LoadedSegment *));
    for (size_t i = 0; i < coll->channels.len; i++) {
        const query_channel_t *ch = *(query_channel_t **)vec_at(&coll->channels, i);
        if (ch->replica)
            s_tally_channel(&tally, ev->ctx, ch);
    }
    s_answer(ev, act, &tally);
    vec_fini(&tally.segments);
}
