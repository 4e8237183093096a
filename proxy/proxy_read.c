/* proxy_read - see proxy_read.h */
#include "proxy/proxy_read.h"

enum {
    PATIENCE_MS = 10000,        /* to find a leader, for clients that set no deadline */
    ONE_CALL_MS = 60000,        /* for one answer, for those */
    RETRY_MS = 100,
    BIG_BYTES = 256 << 10,      /* answers that are put together beside the node */
};

/* A call to one node for some of a part's vchannels. */
typedef struct read_call {
    read_part_t *part;
    bool has[];                 /* [n_vchannels] those asked for */
} read_call_t;

static void s_route_all(proxy_node_t *self, proxy_read_t *read, const event_t *ev, actions_t *act);

/* --- the end ------------------------------------------------------------------------- */

static void s_free(proxy_node_t *self, proxy_read_t *read)
{
    if (read->prev)
        read->prev->next = read->next;
    else
        self->reads = read->next;
    if (read->next)
        read->next->prev = read->prev;
    schema_unref(&read->schema);
    for (size_t i = 0; i < read->n_parts; i++)
        mem_free(read->parts[i].open);
    mem_free(read->parts);
    mem_free(read);
}

static void s_release(proxy_node_t *self, proxy_read_t *read)
{
    if (--read->refs == 0)
        s_free(self, read);
}

static void s_done(proxy_node_t *self, proxy_read_t *read, const event_t *ev, actions_t *act)
{
    if (read->err != OK && !read->text)
        read->text = ctx_strdup(read->call->ctx, read->call->ctx->text);
    read->done(self, read, ev, act);
    s_release(self, read);
}

void proxy_read_answer(proxy_node_t *self, proxy_read_t *read, const event_t *ev, actions_t *act)
{
    (void)ev;
    if (read->err != OK)
        proxy_status(self, read->call, act, read->err, read->text);
    else
        proxy_end(self, read->call, act);
}

/* End with an error of a node, or of the way to it. */
static void s_fail(proxy_node_t *self, proxy_read_t *read, err_t err, const char *text,
                   const event_t *ev, actions_t *act)
{
    read->ended = true;
    read->err = err;
    read->text = ctx_printf(read->call->ctx, "failed to %s: %s", read->doing, text);
    s_done(self, read, ev, act);
}

static err_t s_work(ctx_t *ctx, void *arg)
{
    (void)ctx;
    proxy_read_t *read = arg;
    read->err = read->finish(read->call->ctx, read);
    return OK;
}

static void s_worked(void *node, void *arg, const event_t *ev, actions_t *act)
{
    proxy_read_t *read = arg;
    if (ev->err != OK) {
        read->err = ev->err;
        read->text = ctx_strdup(read->call->ctx, ev->text);
    }
    s_done(node, read, ev, act);
}

static void s_finish(proxy_node_t *self, proxy_read_t *read, const event_t *ev, actions_t *act)
{
    read->ended = true;
    if (read->bytes > BIG_BYTES) {
        act_compute(act, s_work, read, wait_once(self->member.waits, act, s_worked, read));
        return;
    }
    read->err = read->finish(read->call->ctx, read);
    s_done(self, read, ev, act);
}

/* --- answers ------------------------------------------------------------------------- */

static bool s_is_complete(const proxy_read_t *read)
{
    for (size_t i = 0; i < read->n_parts; i++) {
        if (read->parts[i].n_asked > 0)
            return false;
        for (size_t v = 0; v < read->n_vchannels; v++)
            if (read->parts[i].open[v])
                return false;
    }
    return true;
}

/* May another try, perhaps of another node, end better? */
static bool s_worth_another(err_t err)
{
    return err == ERR_NETWORK || err == ERR_OUTCOME_UNKNOWN || err == ERR_MOVED ||
           err == ERR_NODE_NOT_MATCH ||
           err == ERR_SERVICE_NOT_READY || err == ERR_SERVICE_UNAVAILABLE ||
           err == ERR_CHANNEL_NOT_AVAILABLE || err == ERR_CHANNEL_NOT_FOUND ||
           err == ERR_COLLECTION_PARTLY_LOADED || err == ERR_PARTITION_PARTLY_LOADED ||
           err == ERR_COLLECTION_RECOVERING || err == ERR_QUEUE_FULL;
}

static err_t s_keep(read_part_t *part, view_t payload)
{
    proxy_read_t *read = part->read;
    ctx_t *ctx = read->call->ctx;
    const ProtobufCMessageDescriptor *type =
        read->method == ELANUS__METHOD__METHOD_SEARCH ? &elanus__found__descriptor
                                                      : &elanus__rows__descriptor;
    read_answer_t *answer = ctx_new(ctx, sizeof *answer);
    ProtobufCMessage *message = NULL;
    TRY(wire_unpack(ctx, type, payload, &message));
    answer->message = message;
    answer->next = part->answers;
    part->answers = answer;
    part->n_answers++;
    read->bytes += payload.len;
    return OK;
}

static void s_news(proxy_node_t *self, void *arg, const event_t *ev, actions_t *act)
{
    proxy_read_t *read = arg;
    read->waiting = false;
    if (!read->ended)
        s_route_all(self, read, ev, act);
    s_release(self, read);
}

/* What is open has to wait: for news, but not for ever. */
static void s_wait(proxy_node_t *self, proxy_read_t *read, err_t err, const char *text,
                   const event_t *ev, actions_t *act)
{
    int64_t left = read->give_up_ms - ev->now_ms;
    if (left <= 0 || atomic_load(&read->call->ctx->cancelled)) {
        s_fail(self, read, err, text, ev, act);
        return;
    }
    if (read->waiting)
        return;
    read->waiting = true;
    read->refs++;
    proxy_news(self, ev, act, left < RETRY_MS ? left : RETRY_MS, s_news, read);
}

static void s_reopen(const read_call_t *call)
{
    for (size_t v = 0; v < call->part->read->n_vchannels; v++)
        call->part->open[v] |= call->has[v];
}

static void s_take(proxy_node_t *self, read_call_t *call, const event_t *ev, actions_t *act)
{
    proxy_read_t *read = call->part->read;
    if (atomic_load(&read->call->ctx->cancelled)) {     /* nobody is left to put it together for */
        s_fail(self, read, ERR_CANCELED, err_text(ERR_CANCELED), ev, act);
        return;
    }
    if (ev->err != OK && s_worth_another(ev->err)) {
        s_reopen(call);
        s_wait(self, read, ev->err, ev->text, ev, act);
        return;
    }
    err_t err = ev->err;
    const char *text = ev->text;
    if (err == OK && (err = s_keep(call->part, ev->payload)) != OK)
        text = ctx_strdup(read->call->ctx, read->call->ctx->text);
    if (err != OK)
        s_fail(self, read, err, text, ev, act);
    else if (s_is_complete(read))
        s_finish(self, read, ev, act);
}

static void s_answered(void *node, void *arg, const event_t *ev, actions_t *act)
{
    read_call_t *call = arg;
    proxy_read_t *read = call->part->read;
    call->part->n_asked--;
    if (!read->ended)
        s_take(node, call, ev, act);
    s_release(node, read);
}

/* --- asking -------------------------------------------------------------------------- */

/* The message for one node, with the vchannels of the call. */
static err_t s_pack(const read_call_t *call, buf_t *into)
{
    const proxy_read_t *read = call->part->read;
    Elanus__ReadView *view = call->part->view;
    ctx_t *ctx = read->call->ctx;
    view->vchannels = ctx_new(ctx, read->n_vchannels * sizeof(char *));
    view->n_vchannels = 0;
    for (size_t v = 0; v < read->n_vchannels; v++)
        if (call->has[v])
            view->vchannels[view->n_vchannels++] = read->vchannels[v];
    return wire_pack(ctx, call->part->ask, into);
}

/* Ask one node; the call is moved. */
static err_t s_ask(proxy_node_t *self, read_call_t *call, const char *address, const event_t *ev,
                   actions_t *act)
{
    proxy_read_t *read = call->part->read;
    buf_t payload;
    buf_init(&payload, 0);
    if (s_pack(call, &payload) != OK) {
        buf_fini(&payload);
        mem_free(call);
        return ERR_MEMORY;
    }
    int64_t deadline_ms = read->call->ctx->deadline_ms;
    int64_t left = deadline_ms == INT64_MAX ? ONE_CALL_MS : deadline_ms - ev->now_ms;
    call->part->n_asked++;
    read->refs++;
    act_call_moved(act, address, read->method, &payload, left > 0 ? left : 1,
                   wait_owned(self->member.waits, act, s_answered, call));
    return OK;
}

/* The leader of a vchannel in a replica, NULL when there is none or it is away. */
static const Elanus__NodeInfo *s_leader(proxy_node_t *self, const Elanus__Replica *replica,
                                        const char *vchannel)
{
    for (size_t i = 0; i < replica->n_shards; i++)
        if (strcmp(replica->shards[i]->vchannel, vchannel) == 0)
            return directory_node(self->directory, replica->shards[i]->leader);
    return NULL;
}

/* Whom to ask for what is open: one replica for all if it can, beginning with another one
 * each time.  False when a vchannel has nobody. */
static bool s_choose(proxy_node_t *self, read_part_t *part, const event_t *ev,
                     const Elanus__NodeInfo **nodes)
{
    proxy_read_t *read = part->read;
    const Elanus__Replica **replicas = NULL;
    size_t n = directory_replicas(self->directory, ev->ctx, read->collection, &replicas);
    size_t turn = self->read_turn++;
    bool all = true;
    for (size_t v = 0; v < read->n_vchannels; v++) {
        nodes[v] = NULL;
        for (size_t r = 0; part->open[v] && !nodes[v] && r < n; r++)
            nodes[v] = s_leader(self, replicas[(turn + r) % n], read->vchannels[v]);
        all &= !part->open[v] || nodes[v];
    }
    return all;
}

/* The call to the node of vchannel `first` for all that are its own; they are no longer open. */
static read_call_t *s_gather(read_part_t *part, size_t first, const Elanus__NodeInfo **nodes)
{
    size_t n = part->read->n_vchannels;
    uint64_t id = nodes[first]->id;
    read_call_t *call = mem_new(sizeof *call + n * sizeof call->has[0]);
    call->part = part;
    for (size_t v = first; v < n; v++) {
        if (!nodes[v] || nodes[v]->id != id)
            continue;
        call->has[v] = true;
        part->open[v] = false;
        nodes[v] = NULL;
    }
    return call;
}

/* Ask every chosen node once. */
static err_t s_route(proxy_node_t *self, read_part_t *part, const event_t *ev, actions_t *act,
                     bool *all)
{
    size_t n = part->read->n_vchannels;
    const Elanus__NodeInfo **nodes = ctx_new(ev->ctx, (n + 1) * sizeof *nodes);
    *all &= s_choose(self, part, ev, nodes);
    for (size_t v = 0; v < n; v++) {
        const Elanus__NodeInfo *node = nodes[v];
        if (node)
            TRY(s_ask(self, s_gather(part, v, nodes), node->address, ev, act));
    }
    return OK;
}

static const char *s_first_open(const proxy_read_t *read)
{
    for (size_t i = 0; i < read->n_parts; i++)
        for (size_t v = 0; v < read->n_vchannels; v++)
            if (read->parts[i].open[v])
                return read->vchannels[v];
    return "";
}

static void s_route_all(proxy_node_t *self, proxy_read_t *read, const event_t *ev, actions_t *act)
{
    bool all = true;
    err_t err = OK;
    for (size_t i = 0; err == OK && i < read->n_parts; i++)
        err = s_route(self, &read->parts[i], ev, act, &all);
    if (err != OK)
        s_fail(self, read, err, err_text(err), ev, act);
    else if (!all)
        s_wait(self, read, ERR_CHANNEL_NOT_AVAILABLE,
               ctx_printf(read->call->ctx, "channel not available[channel=%s]",
                          s_first_open(read)), ev, act);
}

proxy_read_t *proxy_read_new(proxy_node_t *self, proxy_call_t *call,
                             const Elanus__Collection *coll, uint32_t method, size_t n_parts)
{
    ctx_t *ctx = call->ctx;
    size_t n = coll->n_vchannels;
    proxy_read_t *read = mem_new(sizeof *read);
    *read = (proxy_read_t){
        .call = call, .schema = schema_ref(catalog_schema(self->catalog, coll->id)),
        .collection = coll->id, .n_vchannels = n, .method = method, .refs = 1,
        .vchannels = ctx_new(ctx, (n + 1) * sizeof(char *)),
        .parts = mem_new(n_parts * sizeof *read->parts), .n_parts = n_parts,
        .done = proxy_read_answer, .next = self->reads,
        .doing = method == ELANUS__METHOD__METHOD_SEARCH ? "search" : "query",
    };
    for (size_t v = 0; v < n; v++)
        read->vchannels[v] = ctx_strdup(ctx, coll->vchannels[v]);
    for (size_t i = 0; i < n_parts; i++) {
        read->parts[i].read = read;
        read->parts[i].open = mem_new((n + 1) * sizeof(bool));
        memset(read->parts[i].open, true, n * sizeof(bool));
    }
    if (read->next)
        read->next->prev = read;
    self->reads = read;
    return read;
}

void proxy_read_start(proxy_node_t *self, proxy_read_t *read, const event_t *ev, actions_t *act)
{
    read->give_up_ms = ev->now_ms + PATIENCE_MS;
    if (read->call->ctx->deadline_ms != INT64_MAX)
        read->give_up_ms = read->call->ctx->deadline_ms;
    s_route_all(self, read, ev, act);
}

void proxy_read_fini(proxy_node_t *self)
{
    while (self->reads)
        s_free(self, self->reads);
}

uint64_t proxy_read_ts(const read_part_t *part)
{
    uint64_t newest = 0;
    for (const read_answer_t *answer = part->answers; answer; answer = answer->next) {
        uint64_t ts = part->read->method == ELANUS__METHOD__METHOD_SEARCH
                          ? ((const Elanus__Found *)answer->message)->read_ts
                          : ((const Elanus__Rows *)answer->message)->read_ts;
        newest = ts > newest ? ts : newest;
    }
    return newest;
}

/* --- partitions ---------------------------------------------------------------------- */

static bool s_has(const uint64_t *ids, size_t n, uint64_t id)
{
    for (size_t i = 0; i < n; i++)
        if (ids[i] == id)
            return true;
    return false;
}

static err_t s_partition(proxy_call_t *call, const Elanus__Collection *coll, const char *name,
                         const Elanus__Load *load, Elanus__ReadView *view)
{
    const Elanus__Partition *partition = catalog_partition(coll, name);
    if (!partition)
        return ctx_fail(call->ctx, ERR_UNEXPECTED, "partition name %s not found", name);
    if (!load->whole && !s_has(load->partitions, load->n_partitions, partition->id))
        return ctx_fail(call->ctx, ERR_PARTITION_NOT_LOADED, "partition not loaded[partition=%llu]",
                        (unsigned long long)partition->id);
    if (!s_has(view->partitions, view->n_partitions, partition->id))
        view->partitions[view->n_partitions++] = partition->id;
    return OK;
}

static bool s_has_key(const Elanus__Collection *coll)
{
    for (size_t i = 0; i < coll->n_fields; i++)
        if (coll->fields[i]->partition_key)
            return true;
    return false;
}

err_t proxy_read_partitions(proxy_node_t *self, proxy_call_t *call,
                            const Elanus__Collection *coll, const char *const *names, size_t n,
                            Elanus__ReadView *view)
{
    const Elanus__Load *load = catalog_load(self->catalog, coll->id);
    if (n > 0 && s_has_key(coll))
        return ctx_fail(call->ctx, ERR_UNEXPECTED, "not support manually specifying the partition "
                        "names if partition key mode is used");
    if (!load)
        return ctx_fail(call->ctx, ERR_COLLECTION_NOT_LOADED,
                        "collection not loaded[collection=%llu]", (unsigned long long)coll->id);
    view->collection = coll->id;
    view->partitions = ctx_new(call->ctx, (n + load->n_partitions + 1) * sizeof(uint64_t));
    view->n_partitions = 0;
    for (size_t i = 0; i < n; i++)
        TRY(s_partition(call, coll, names[i], load, view));
    for (size_t i = 0; n == 0 && !load->whole && i < load->n_partitions; i++)
        view->partitions[view->n_partitions++] = load->partitions[i];
    return OK;
}
