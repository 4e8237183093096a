/* proxy_catalog - the proxy's picture of what there is
 *
 * It follows the metadata by itself, so that a question about a collection
 * costs no round trip and is answered while no coordinator leads.  Two rules
 * keep it from lying to a client:
 *
 *   - a change is answered only when our own picture shows it: the coordinator
 *     says how new the picture has to be, by kind of thing;
 *   - "there is no such collection" is said only after the coordinator was asked
 *     once how new the picture ought to be: another proxy may have made it a
 *     moment ago; and so it is asked before we say what there is, because another proxy
 *     may have dropped or changed it.  (In standalone there is no other proxy.)
 *
 * Inserts and reads do not ask: they may find a collection for the few milliseconds
 * that the watch needs to tell us that it was dropped elsewhere.
 */
#include <stdio.h>

#include "proxy/proxy_int.h"
#include "proxy/validate.h"

enum {
    PATIENCE_MS = 10000,        /* for clients that set no deadline */
    LOOK_MS = 100,
    FIRST_MS = 1500,            /* for the coordinator to say how new; a standby takes less */
};

struct when {
    when_t *next;
    proxy_call_t *call;
    proxy_when_fn *then;
    int64_t revisions[CATALOG_KINDS];
    int64_t give_up_ms;
};

/* --- waiting for it -------------------------------------------------------------- */

static bool s_is_new_enough(const proxy_node_t *self, const int64_t *revisions)
{
    for (int kind = 0; revisions && kind < CATALOG_KINDS; kind++)
        if (catalog_rev(self->catalog, (catalog_kind_t)kind) < revisions[kind])
            return false;
    return catalog_synced(self->catalog);
}

void proxy_when(proxy_node_t *self, proxy_call_t *call, const event_t *ev, actions_t *act,
                const int64_t *revisions, proxy_when_fn *then)
{
    if (s_is_new_enough(self, revisions)) {
        then(self, call, ev, act);
        return;
    }
    when_t *when = mem_new(sizeof *when);
    *when = (when_t){ .call = call, .then = then, .next = self->whens,
                      .give_up_ms = ev->now_ms + PATIENCE_MS };
    if (call->ctx->deadline_ms < when->give_up_ms)
        when->give_up_ms = call->ctx->deadline_ms;
    if (revisions)
        memcpy(when->revisions, revisions, sizeof when->revisions);
    if (!self->whens)
        act_timer(act, TIMER_PROXY_WHEN, LOOK_MS);
    self->whens = when;
}

/* Let go who has waited long enough, or for long enough. */
static void s_wake(proxy_node_t *self, const event_t *ev, actions_t *act)
{
    when_t *list = self->whens;
    self->whens = NULL;
    while (list) {
        when_t *when = list;
        list = when->next;
        if (s_is_new_enough(self, when->revisions)) {
            trace_t before = act_trace(act, when->call->trace);
            when->then(self, when->call, ev, act);
            act_trace(act, before);
            mem_free(when);
        } else if (ev->now_ms >= when->give_up_ms) {
            proxy_status(self, when->call, act, ERR_SERVICE_UNAVAILABLE, "service unavailable: "
                         "internal: Milvus Proxy is not ready yet. please wait");
            mem_free(when);
        } else {
            when->next = self->whens;
            self->whens = when;
        }
    }
}

void proxy_catalog_timer(proxy_node_t *self, const event_t *ev, actions_t *act)
{
    s_wake(self, ev, act);
    if (self->whens)
        act_timer(act, TIMER_PROXY_WHEN, LOOK_MS);
}

static void s_watched(void *node, void *arg, const event_t *ev, actions_t *act)
{
    proxy_node_t *self = node;
    catalog_kind_t kind = (catalog_kind_t)(uintptr_t)arg;
    if (ev->kind != EV_WATCH) {
        log_event(LOG_ERROR, "watch_failed", "prefix=%s why=\"%s\"", catalog_root(kind), ev->text);
        return;
    }
    if (kind == CATALOG_COLLECTION)
        proxy_count_forget(self, ev);
    catalog_watched(self->catalog, ev->ctx, kind, ev->watch.changes, ev->watch.n);
    s_wake(self, ev, act);
}

void proxy_catalog_start(proxy_node_t *self, actions_t *act)
{
    for (int kind = 0; kind < CATALOG_KINDS; kind++)
        act_meta_watch(act, catalog_root((catalog_kind_t)kind),
                       wait_always(self->member.waits, act, s_watched, (void *)(uintptr_t)kind));
}

void proxy_catalog_fini(proxy_node_t *self)
{
    while (self->whens) {
        when_t *when = self->whens;
        self->whens = when->next;
        mem_free(when);
    }
    catalog_destroy(&self->catalog);
}

/* --- changing it -------------------------------------------------------------------- */

static void s_shown(proxy_node_t *self, proxy_call_t *call, const event_t *ev, actions_t *act)
{
    (void)ev;
    proxy_status(self, call, act, OK, NULL);
}

static err_t s_revisions(proxy_call_t *call, const event_t *ev, int64_t revisions[CATALOG_KINDS])
{
    Elanus__DdlDone *done = NULL;
    TRY(PB_UNPACK(call->ctx, elanus__ddl_done, ev->payload, &done));
    for (size_t i = 0; i < done->n_revisions && i < CATALOG_KINDS; i++)
        revisions[i] = done->revisions[i];
    return OK;
}

static void s_changed(proxy_node_t *self, proxy_call_t *call, const event_t *ev, actions_t *act)
{
    int64_t revisions[CATALOG_KINDS] = {0};
    if (ev->err != OK)
        proxy_status(self, call, act, ev->err, ctx_strdup(call->ctx, ev->text));
    else if (s_revisions(call, ev, revisions) != OK)
        proxy_status(self, call, act, ERR_INTERNAL, call->ctx->text);
    else
        proxy_when(self, call, ev, act, revisions, s_shown);
}

char *proxy_ddl_token(proxy_node_t *self, proxy_call_t *call)
{
    return ctx_printf(call->ctx, "%016llx-%llu",
                      (unsigned long long)self->member.self->incarnation,
                      (unsigned long long)++self->ddl_count);
}

void proxy_ddl(proxy_node_t *self, proxy_call_t *call, const event_t *ev, actions_t *act,
               uint32_t method, Elanus__Ddl *ask)
{
    if (!ask->db_name || !ask->db_name[0])
        ask->db_name = call->db;
    ask->token = proxy_ddl_token(self, call);
    proxy_ask(self, call, ev, act, method, pb_pack(call->ctx, ask), s_changed);
}

/* --- looking again -------------------------------------------------------------------- */

static void s_looked(proxy_node_t *self, proxy_call_t *call, const event_t *ev, actions_t *act)
{
    (void)metrics_took_ms(self->count.cache_update, call->look_us);
    proxy_handle(self, call, ev, act);
}

static void s_told(proxy_node_t *self, proxy_call_t *call, const event_t *ev, actions_t *act)
{
    int64_t revisions[CATALOG_KINDS] = {0};
    if (ev->err == OK && s_revisions(call, ev, revisions) == OK)
        proxy_when(self, call, ev, act, revisions, s_looked);
    else
        proxy_handle(self, call, ev, act);          /* what we know is the best there is */
}

bool proxy_look_again(proxy_node_t *self, proxy_call_t *call, const event_t *ev, actions_t *act)
{
    if (call->looked_again || self->member.self->standalone || !self->member.leader_there)
        return false;
    call->looked_again = true;
    call->look_us = metrics_began(self->count.to);
    proxy_count_miss(self);
    proxy_ask(self, call, ev, act, ELANUS__METHOD__METHOD_CATALOG, view_of("", 0), s_told);
    return true;
}

void proxy_look_first(proxy_node_t *self, proxy_call_t *call, const event_t *ev, actions_t *act)
{
    if (self->member.self->standalone || !self->member.leader_there) {
        proxy_handle(self, call, ev, act);
        return;
    }
    call->looked_again = true;
    call->look_us = metrics_began(self->count.to);
    proxy_ask_within(self, call, ev, act, ELANUS__METHOD__METHOD_CATALOG, FIRST_MS, s_told);
}

void proxy_refuse(proxy_node_t *self, proxy_call_t *call, const event_t *ev, actions_t *act,
                  err_t err)
{
    bool missing = err == ERR_DATABASE_NOT_FOUND || err == ERR_COLLECTION_NOT_FOUND ||
                   err == ERR_PARTITION_NOT_FOUND || err == ERR_ALIAS_NOT_FOUND ||
                   err == ERR_INDEX_NOT_FOUND || err == ERR_COLLECTION_NOT_LOADED;
    if (!missing || !proxy_look_again(self, call, ev, act))
        proxy_status(self, call, act, err, ctx_strdup(call->ctx, call->ctx->text));
}

/* --- looking ---------------------------------------------------------------------------- */

err_t proxy_database(proxy_node_t *self, proxy_call_t *call, const Elanus__Database **ret)
{
    const Elanus__Database *db = catalog_database(self->catalog, call->db);
    if (!db)
        return ctx_fail(call->ctx, ERR_DATABASE_NOT_FOUND, "database not found[database=%s]",
                        call->db);
    *ret = db;
    return OK;
}

err_t proxy_collection(proxy_node_t *self, proxy_call_t *call, const char *name,
                       const Elanus__Collection **ret)
{
    const Elanus__Database *db = NULL;
    TRY(validate_collection_name(call->ctx, "name", name));
    TRY(proxy_database(self, call, &db));
    const Elanus__Collection *coll = catalog_find(self->catalog, db->id, name);
    if (!coll)
        return ctx_fail(call->ctx, ERR_COLLECTION_NOT_FOUND,
                        "collection not found[database=%s][collection=%s]", call->db, name);
    *ret = coll;
    return OK;
}

err_t proxy_partition(proxy_call_t *call, const Elanus__Collection *coll, const char *name,
                      const Elanus__Partition **ret)
{
    const Elanus__Partition *partition = catalog_partition(coll, name);
    if (!partition)
        return ctx_fail(call->ctx, ERR_PARTITION_NOT_FOUND, "partition not found[partition=%s]",
                        name);
    *ret = partition;
    return OK;
}
