/* proxy_read - see proxy_read.h */
#include "proxy/proxy_read.h"

#include "proxy/proxy_lots.h"

enum {
    PATIENCE_MS = 30000,        /* to find a leader, for clients that set no deadline */
    CANCEL_LOOK_MS = 500,       /* for clients that do not want their answer any more */
    BIG_BYTES = 256 << 10,      /* answers that are put together beside the node */
};

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
    proxy_lots_free(read);
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
    proxy_lots_cancel(read, act);
    s_done(self, read, ev, act);
}

static void s_put_together(proxy_read_t *read)
{
    proxy_node_t *self = read->node;
    int64_t began_us = metrics_began(self->count.to);
    read->err = read->finish(read->call->ctx, read);
    proxy_count_took(self, self->count.reduced, proxy_count_kind(read->call), began_us);
}

static err_t s_work(ctx_t *ctx, void *arg)
{
    (void)ctx;
    s_put_together(arg);
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
    proxy_count_took(self, self->count.waited, proxy_count_kind(read->call), read->began_us);
    if (read->bytes > BIG_BYTES) {
        act_compute(act, s_work, read, wait_once(self->member.waits, act, s_worked, read));
        return;
    }
    s_put_together(read);
    s_done(self, read, ev, act);
}

/* --- answers ------------------------------------------------------------------------- */

static bool s_is_complete(const proxy_read_t *read)
{
    for (size_t i = 0; i < read->n_parts; i++) {
        if (read->parts[i].n_lots > 0)
            return false;
        for (size_t v = 0; v < read->n_vchannels; v++)
            if (read->parts[i].open[v])
                return false;
    }
    return true;
}

/* May another try, perhaps of another node, end better?  Reads change nothing, so it makes no
 * difference whether a lost one was done. */
static bool s_worth_another(const proxy_node_t *self, const proxy_read_t *read, err_t err)
{
    /* The query node's picture may be older than ours, or the other way round. */
    if (err == ERR_COLLECTION_NOT_LOADED)
        return catalog_load(self->catalog, read->collection) != NULL;
    return err == ERR_NETWORK || err == ERR_OUTCOME_UNKNOWN || err == ERR_MOVED ||
           err == ERR_NODE_NOT_MATCH ||
           err == ERR_SERVICE_NOT_READY || err == ERR_SERVICE_UNAVAILABLE ||
           err == ERR_CHANNEL_NOT_AVAILABLE || err == ERR_CHANNEL_NOT_FOUND ||
           err == ERR_COLLECTION_PARTLY_LOADED || err == ERR_PARTITION_PARTLY_LOADED ||
           err == ERR_COLLECTION_RECOVERING || err == ERR_QUEUE_FULL;
}

static err_t s_keep(read_call_t *call, view_t payload)
{
    proxy_read_t *read = call->lot->part->read;
    read_try_t *attempt = &call->lot->tries[call->at];
    ctx_t *ctx = read->call->ctx;
    const ProtobufCMessageDescriptor *type =
        read->method == ELANUS__METHOD__METHOD_SEARCH ? &elanus__found__descriptor
                                                      : &elanus__rows__descriptor;
    read_answer_t *answer = ctx_new(ctx, sizeof *answer);
    ProtobufCMessage *message = NULL;
    int64_t began_us = metrics_began(read->node->count.to);
    TRY(wire_unpack(ctx, type, payload, &message));
    proxy_count_took(read->node, read->node->count.decoded, proxy_count_kind(read->call), began_us);
    answer->message = message;
    answer->next = attempt->answers;
    attempt->answers = answer;
    attempt->n_left--;
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

static bool s_is_cancelled(const proxy_read_t *read)
{
    return atomic_load(&read->call->ctx->cancelled);
}

/* What is open has to wait: for news, but not for ever. */
static void s_wait(proxy_node_t *self, proxy_read_t *read, err_t err, const char *text,
                   const event_t *ev, actions_t *act)
{
    int64_t left = read->give_up_ms - ev->now_ms;
    if (left <= 0 || s_is_cancelled(read)) {
        s_fail(self, read, err, text, ev, act);
        return;
    }
    if (read->waiting)
        return;
    read->waiting = true;
    read->refs++;
    proxy_news(self, ev, act, left < READ_RETRY_MS ? left : READ_RETRY_MS, s_news, read);
}

/* Others are asked at once, if there are any. */
static void s_ask_others(proxy_node_t *self, proxy_read_t *read, read_call_t *call,
                         const event_t *ev, actions_t *act)
{
    read->last_err = ev->err;
    read->last_text = ctx_strdup(read->call->ctx, ev->text);
    proxy_lot_failed(call, ev, act);
    if (call->lot->over)
        s_route_all(self, read, ev, act);
}

static void s_take(proxy_node_t *self, proxy_read_t *read, read_call_t *call, const event_t *ev,
                   actions_t *act)
{
    if (s_is_cancelled(read)) {                 /* nobody is left to put it together for */
        s_fail(self, read, ERR_CANCELED, err_text(ERR_CANCELED), ev, act);
        return;
    }
    if (ev->err != OK && s_worth_another(self, read, ev->err)) {
        s_ask_others(self, read, call, ev, act);
        return;
    }
    err_t err = ev->err;
    const char *text = ev->text;
    if (err == OK && (err = s_keep(call, ev->payload)) != OK)
        text = ctx_strdup(read->call->ctx, read->call->ctx->text);
    if (err != OK) {
        s_fail(self, read, err, text, ev, act);
        return;
    }
    if (call->lot->tries[call->at].n_left == 0)
        proxy_lot_won(self, call, act);
    if (s_is_complete(read))
        s_finish(self, read, ev, act);
}

void proxy_read_answered(proxy_node_t *self, read_call_t *call, const event_t *ev, actions_t *act)
{
    proxy_read_t *read = call->lot->part->read;
    if (!read->ended && !call->lot->over && !call->lot->tries[call->at].failed)
        s_take(self, read, call, ev, act);
    s_release(self, read);
}

/* --- asking -------------------------------------------------------------------------- */

static void s_route_all(proxy_node_t *self, proxy_read_t *read, const event_t *ev, actions_t *act)
{
    const char *missing = NULL;
    const Elanus__NodeInfo *cut_off = NULL;
    err_t err = proxy_lots_route(self, read, ev, act, &missing);
    if (missing)
        cut_off = proxy_lots_cut_off(self, read, missing, ev, act);
    if (err != OK)
        s_fail(self, read, err, err_text(err), ev, act);
    else if (cut_off)
        s_fail(self, read, ERR_NETWORK, ctx_printf(read->call->ctx, PROXY_CUT_OFF,
               (unsigned long long)cut_off->id, cut_off->address), ev, act);
    else if (missing && read->last_err != OK)
        s_wait(self, read, read->last_err, read->last_text, ev, act);
    else if (missing)
        s_wait(self, read, ERR_CHANNEL_NOT_AVAILABLE,
               ctx_printf(read->call->ctx, "channel not available[channel=%s]", missing), ev, act);
}

void proxy_read_look_at(proxy_node_t *self, int64_t at_ms, const event_t *ev, actions_t *act)
{
    int64_t soon_ms = ev->now_ms + CANCEL_LOOK_MS;      /* for clients that have left, too */
    at_ms = at_ms < soon_ms ? at_ms : soon_ms;
    if (self->reads_due_ms && self->reads_due_ms <= at_ms)
        return;
    self->reads_due_ms = at_ms;
    act_timer(act, TIMER_PROXY_READS, at_ms > ev->now_ms ? at_ms - ev->now_ms : 0);
}

/* What is late goes elsewhere as well, and what nobody wants any more ends. */
void proxy_read_timer(proxy_node_t *self, const event_t *ev, actions_t *act)
{
    int64_t next_ms = INT64_MAX;
    bool any = false;
    self->reads_due_ms = 0;
    for (proxy_read_t *read = self->reads, *next; read; read = next) {
        next = read->next;
        if (read->ended)
            continue;
        if (s_is_cancelled(read)) {
            s_fail(self, read, ERR_CANCELED, err_text(ERR_CANCELED), ev, act);
            continue;
        }
        trace_t before = act_trace(act, read->call->trace);
        int64_t due_ms = proxy_lots_hedge(self, read, ev, act);
        act_trace(act, before);
        next_ms = due_ms < next_ms ? due_ms : next_ms;
        any = true;
    }
    if (any)
        proxy_read_look_at(self, next_ms, ev, act);
}

proxy_read_t *proxy_read_new(proxy_node_t *self, proxy_call_t *call,
                             const Elanus__Collection *coll, uint32_t method, size_t n_parts)
{
    ctx_t *ctx = call->ctx;
    size_t n = coll->n_vchannels;
    proxy_read_t *read = mem_new(sizeof *read);
    *read = (proxy_read_t){
        .node = self, .call = call, .schema = schema_ref(catalog_schema(self->catalog, coll->id)),
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
    read->began_us = metrics_began(self->count.to);
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
