/* pages - see pages.h */
#include "proxy/pages.h"

#include <stdlib.h>
#include <ctype.h>

#include "core/node/inspect.h"
#include "proxy/proxy_gather.h"
#include "proxy/proxy_links.h"

static const page_t *const s_pages[] = {
    &page_nodes, &page_channels, &page_segments, &page_builds, &page_events, &page_requests,
    &page_trace,
};

const page_t *pages_at(size_t i)
{
    return i < ARRAY_LEN(s_pages) ? s_pages[i] : NULL;
}

const page_t *pages_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(s_pages); i++)
        if (strcmp(s_pages[i]->name, name) == 0)
            return s_pages[i];
    return NULL;
}

/* --- parts ------------------------------------------------------------------------- */

static int s_hex(char c)
{
    if (isdigit((unsigned char)c))
        return c - '0';
    return isxdigit((unsigned char)c) ? tolower((unsigned char)c) - 'a' + 10 : -1;
}

/* In place: %41 is A, + is a space; what is no escape stays as it is. */
static void s_unescape(char *text)
{
    char *to = text;
    for (const char *at = text; *at; at++) {
        if (*at == '%' && s_hex(at[1]) >= 0 && s_hex(at[2]) >= 0) {
            *to++ = (char)(s_hex(at[1]) << 4 | s_hex(at[2]));
            at += 2;
        } else {
            *to++ = (char)(*at == '+' ? ' ' : *at);
        }
    }
    *to = '\0';
}

const char *page_param(proxy_call_t *call, const char *name)
{
    size_t len = strlen(name);
    for (const char *at = call->page_query; *at; ) {
        size_t part = strcspn(at, "&");
        if (part > len && strncmp(at, name, len) == 0 && at[len] == '=') {
            char *value = ctx_printf(call->ctx, "%.*s", (int)(part - len - 1), at + len + 1);
            s_unescape(value);
            return value;
        }
        at += part;
        at += *at == '&';
    }
    return "";
}

err_t page_number(proxy_call_t *call, const char *name, uint64_t most, uint64_t *ret)
{
    const char *text = page_param(call, name);
    if (!text[0])
        return OK;
    char *end = NULL;
    unsigned long long value = strtoull(text, &end, 10);
    if (!isdigit((unsigned char)text[0]) || *end || value > most)
        return ctx_fail(call->ctx, ERR_PARAM_INVALID, "%s has to be a number from 0 to %llu, not "
                        "\"%s\"", name, (unsigned long long)most, text);
    *ret = value;
    return OK;
}

err_t page_find_items(proxy_node_t *self, page_look_t *look)
{
    enum { USUAL = 500 };
    proxy_call_t *call = look->call;
    look->most = USUAL;
    TRY(page_number(call, "most", LIMIT_PAGE_ITEMS, &look->most));
    TRY(page_number(call, "before", UINT64_MAX, &look->before));
    const char *name = page_param(call, "collection"), *db = page_param(call, "db");
    const char *db_name = db[0] ? db : "default";
    if (!name[0])
        return OK;
    if (!catalog_synced(self->catalog))
        return ctx_fail(call->ctx, ERR_SERVICE_NOT_READY, "this proxy has not read the catalog "
                        "yet");
    const Elanus__Database *there = catalog_database(self->catalog, db_name);
    if (!there)
        return ctx_fail(call->ctx, ERR_DATABASE_NOT_FOUND, "there is no database \"%s\"",
                        db_name);
    const Elanus__Collection *coll = catalog_find(self->catalog, there->id, name);
    if (!coll)
        return ctx_fail(call->ctx, ERR_COLLECTION_NOT_FOUND, "there is no collection \"%s\" in "
                        "database \"%s\"", name, db_name);
    look->collection = coll->id;
    return OK;
}

uint64_t page_key_id(const char *key, size_t i)
{
    for (key = strchr(key, '/'); key; key = strchr(key, '/'), i--) {
        key++;
        if (i == 0)
            return strtoull(key, NULL, 10);
    }
    return 0;
}

json_t *page_id(uint64_t id)
{
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)id);
    return json_string(text);
}

json_t *page_text(const char *text)
{
    json_t *value = text && text[0] ? json_string(text) : NULL;
    return value ? value : json_null();         /* no text, or none in UTF-8 */
}

json_t *page_count(bool known, uint64_t value)
{
    return known ? json_integer((json_int_t)value) : json_null();
}

json_t *page_ts_ms(uint64_t ts)
{
    return ts ? json_integer((json_int_t)(ts >> 18)) : json_null();
}

static char *s_name(ctx_t *ctx, const char *role, uint64_t id)
{
    return ctx_printf(ctx, "%s-%llu", role, (unsigned long long)id);
}

json_t *page_node_name(ctx_t *ctx, const char *role, uint64_t id)
{
    return id ? json_string(s_name(ctx, role, id)) : json_null();
}

const char *page_collection_name(const proxy_node_t *self, uint64_t id)
{
    const Elanus__Collection *coll = catalog_collection_by_id(self->catalog, id);
    return coll ? coll->name : NULL;
}

void page_missing(page_look_t *look, const char *what, const char *why, const char *what_to_do)
{
    json_t *entry = json_object();
    json_object_set_new(entry, "what", json_string(what));
    json_object_set_new(entry, "why", page_text(why));
    json_object_set_new(entry, "do", json_string(what_to_do));
    json_array_append_new(look->missing, entry);
}

/* --- the answer ---------------------------------------------------------------------- */

static void s_end(proxy_node_t *self, proxy_call_t *call, actions_t *act, int status, json_t *root)
{
    call->http_status = status;
    rest_dump(&call->body, root);
    proxy_end(self, call, act);
}

void pages_fail(proxy_node_t *self, proxy_call_t *call, actions_t *act, int http_status,
                const char *text, const char *what)
{
    json_t *root = json_object();
    json_object_set_new(root, "error", page_text(text));
    json_object_set_new(root, "do", json_string(what));
    s_end(self, call, act, http_status, root);
}

/* The leader's key outlives a leader that died: who does not answer does not lead. */
bool page_leads(const proxy_node_t *self, const page_node_t *node)
{
    return self->member.leader_there && node->info->id == self->member.leader_id && node->found;
}

static const char *s_leader(const proxy_node_t *self, const page_look_t *look)
{
    for (size_t i = 0; i < look->n_nodes; i++)
        if (page_leads(self, &look->nodes[i]))
            return look->nodes[i].name;
    return NULL;
}

static void s_say_missing(const proxy_node_t *self, page_look_t *look)
{
    const member_t *member = &self->member;
    ctx_t *ctx = look->call->ctx;
    if (!s_leader(self, look))
        page_missing(look, "leading coord", member->leader_there
                     ? ctx_printf(ctx, "%s, which the metadata names, does not answer",
                                  s_name(ctx, "coord", member->leader_id)) : "nobody leads",
                     "start a coord, or look at the log of one: without a leader no collection is "
                     "made and no dead node replaced");
    if (member->state != MEMBER_JOINED || member->failures > 0)
        page_missing(look, "metadata", "this proxy cannot keep its registration", "is etcd up and "
                     "reachable?  Who is registered and who owns what may be out of date");
    for (size_t i = 0; i < look->n_nodes; i++)
        if (!look->nodes[i].found)
            page_missing(look, look->nodes[i].name, look->nodes[i].why,
                         "it may be dead, frozen or cut off: look at its process and its log");
}

static void s_answer(proxy_node_t *self, page_look_t *look, actions_t *act)
{
    const node_self_t *who = self->member.self;
    json_t *root = json_object();
    json_object_set_new(root, "at_ms", json_integer((json_int_t)look->wall_ms));
    json_object_set_new(root, "cluster", json_string(who->cluster));
    json_object_set_new(root, "mode", json_string(who->standalone ? "standalone" : "cluster"));
    json_object_set_new(root, "version", json_string(ELANUS_VERSION));
    json_object_set_new(root, "proxy", json_string(s_name(look->call->ctx, "proxy", who->id)));
    json_object_set_new(root, "leader", page_text(s_leader(self, look)));
    look->items = json_array();
    look->missing = json_array();
    s_say_missing(self, look);
    look->page->fill(self, look);
    if (look->not_found) {
        json_decref(look->items);
        json_decref(look->missing);
        json_decref(root);
        pages_fail(self, look->call, act, 404, look->not_found, look->what_to_do);
        return;
    }
    json_object_set_new(root, "missing", look->missing);
    if (look->more) {
        json_object_update(root, look->more);
        json_decref(look->more);
    }
    json_object_set_new(root, "items", look->items);
    s_end(self, look->call, act, 200, root);
}

/* --- asking ---------------------------------------------------------------------------- */

static void s_next_prefix(proxy_node_t *self, page_look_t *look, const event_t *ev,
                          actions_t *act);

/* The list lives as long as the event: keep it. */
static err_t s_keep(ctx_t *ctx, const meta_items_t *from, meta_items_t *ret)
{
    *ret = *from;
    ret->at = ctx_new(ctx, (from->n + 1) * sizeof ret->at[0]);
    for (size_t i = 0; i < from->n; i++) {
        ret->at[i] = from->at[i];
        ret->at[i].key = ctx_strdup(ctx, from->at[i].key);
        TRY(ctx_copy(ctx, from->at[i].value, &ret->at[i].value));
    }
    return OK;
}

static const char *s_prefix(const page_look_t *look)
{
    const char *root = look->page->prefixes[look->next_prefix];
    return look->collection ? ctx_printf(look->call->ctx, "%s%llu/", root,
                                         (unsigned long long)look->collection) : root;
}

static void s_listed(void *node, void *arg, const event_t *ev, actions_t *act)
{
    page_look_t *look = arg;
    const char *prefix = s_prefix(look);
    meta_items_t *keys = &look->keys[look->next_prefix];
    err_t err = ev->err == OK ? s_keep(look->call->ctx, &ev->meta.items, keys) : ev->err;
    if (err != OK) {
        pages_fail(node, look->call, act, 503,
                   ctx_printf(look->call->ctx, "the metadata (%s) cannot be read: %s", prefix,
                              ev->err == OK ? look->call->ctx->text : ev->text),
                   "is etcd up and reachable?  Ask again when it is");
        return;
    }
    look->next_prefix++;
    s_next_prefix(node, look, ev, act);
}

static void s_next_prefix(proxy_node_t *self, page_look_t *look, const event_t *ev,
                          actions_t *act)
{
    const char *const *prefixes = look->page->prefixes;
    if (prefixes && prefixes[look->next_prefix]) {
        check(look->next_prefix < PAGE_PREFIXES);
        act_meta_list(act, s_prefix(look),
                      wait_once(self->member.waits, act, s_listed, look));
        return;
    }
    look->wall_ms = ev->wall_ms;
    s_answer(self, look, act);
}

static bool s_is_self(const proxy_node_t *self, const Elanus__NodeInfo *info)
{
    return info->id == self->member.self->id;
}

static Elanus__Inspection *s_copy(ctx_t *ctx, const Elanus__Inspection *found)
{
    Elanus__Inspection *copy = NULL;
    err_t err = PB_UNPACK(ctx, elanus__inspection, pb_pack(ctx, found), &copy);
    return err == OK ? copy : NULL;
}

static void s_self_found(void *node, void *arg, const event_t *ev, actions_t *act,
                         Elanus__Inspection *found)
{
    proxy_node_t *self = node;
    page_look_t *look = arg;
    for (size_t i = 0; i < look->n_nodes; i++) {
        if (!s_is_self(self, look->nodes[i].info))
            continue;
        look->nodes[i].found = found ? s_copy(look->call->ctx, found) : NULL;
        look->nodes[i].why = found ? "" : ctx_strdup(look->call->ctx, ev->text);
    }
    s_next_prefix(self, look, ev, act);
}

static const Elanus__InspectAsk *s_ask_of(page_look_t *look, const page_node_t *node)
{
    Elanus__InspectAsk *ask = ctx_new(look->call->ctx, sizeof *ask);
    *ask = look->ask;
    if (node && look->page->ask_node)
        look->page->ask_node(look, node, ask);
    return ask;
}

static const page_node_t *s_self_of(const proxy_node_t *self, const page_look_t *look)
{
    for (size_t i = 0; i < look->n_nodes; i++)
        if (s_is_self(self, look->nodes[i].info))
            return &look->nodes[i];
    return NULL;
}

static void s_gathered(proxy_node_t *self, proxy_gather_t *gather, const event_t *ev,
                       actions_t *act)
{
    page_look_t *look = gather->arg;
    for (size_t i = 0; i < gather->n; i++) {
        page_node_t *node = &look->nodes[gather->targets[i].of];
        node->found = gather->targets[i].answer;
        node->why = gather->targets[i].text;
    }
    inspect_self(&self->member, s_ask_of(look, s_self_of(self, look)), s_self_found, look, act);
}

/* Everybody who is registered, whom a proxy has a link to or not. */
static err_t s_find(proxy_node_t *self, proxy_gather_t *gather, const event_t *ev)
{
    page_look_t *look = gather->arg;
    (void)ev;
    for (size_t i = 0; i < look->n_nodes; i++) {
        if (s_is_self(self, look->nodes[i].info))
            continue;
        const Elanus__InspectAsk *ask = s_ask_of(look, &look->nodes[i]);
        proxy_gather_target(gather, look->nodes[i].info, i)->payload =
            pb_pack(look->call->ctx, ask);
    }
    return OK;
}

static Elanus__NodeInfo *s_keep_info(ctx_t *ctx, const Elanus__NodeInfo *info)
{
    Elanus__NodeInfo *copy = NULL;
    check(PB_UNPACK(ctx, elanus__node_info, pb_pack(ctx, info), &copy) == OK);
    return copy;
}

static void s_add_nodes(const proxy_node_t *self, page_look_t *look, const char *role)
{
    ctx_t *ctx = look->call->ctx;
    const Elanus__NodeInfo **found = NULL;
    size_t n = directory_nodes(self->directory, ctx, role, &found);
    page_node_t *all = ctx_new(ctx, (look->n_nodes + n + 1) * sizeof *all);
    if (look->n_nodes > 0)
        memcpy(all, look->nodes, look->n_nodes * sizeof *all);
    look->nodes = all;
    for (size_t i = 0; i < n; i++) {
        page_node_t *node = &all[look->n_nodes++];
        node->info = s_keep_info(ctx, found[i]);
        node->why = "no answer";
        snprintf(node->name, sizeof node->name, "%s", s_name(ctx, role, found[i]->id));
    }
}

static void s_not_found(proxy_node_t *self, proxy_call_t *call, actions_t *act, err_t err)
{
    const char *text = call->ctx->text;
    if (err == ERR_PARAM_INVALID)
        pages_fail(self, call, act, 400, text, "see docs/pages.md");
    else if (err == ERR_SERVICE_NOT_READY)
        pages_fail(self, call, act, 503, text, "is etcd up and reachable?  Ask again in a moment");
    else
        pages_fail(self, call, act, 404, text, "say db= and collection=; "
                   "/v2/vectordb/databases/list and /v2/vectordb/collections/list name what "
                   "there is");
}

void pages_handle(proxy_node_t *self, proxy_call_t *call, const event_t *ev, actions_t *act)
{
    static const char *const s_roles[] = { "coord", "proxy", "datanode", "querynode",
                                           "indexnode" };
    page_look_t *look = ctx_new(call->ctx, sizeof *look);
    *look = (page_look_t){ .page = call->page, .call = call };
    elanus__inspect_ask__init(&look->ask);
    if (call->page->ask(call, &look->ask) != OK) {
        pages_fail(self, call, act, 400, call->ctx->text, "see docs/pages.md");
        return;
    }
    err_t err = call->page->find ? call->page->find(self, look) : OK;
    if (err != OK) {
        s_not_found(self, call, act, err);
        return;
    }
    if (!directory_synced(self->directory, DIRECTORY_SESSION)) {
        pages_fail(self, call, act, 503, "this proxy has not read the metadata yet",
                   "is etcd up and reachable?  Ask again in a moment");
        return;
    }
    if (call->page->prefixes && self->member.failures > 0) {    /* a list would take seconds */
        pages_fail(self, call, act, 503, "the metadata does not answer this proxy",
                   "is etcd up and reachable?  Ask again when it is");
        return;
    }
    proxy_links_look(self, ev, act);
    for (size_t i = 0; i < ARRAY_LEN(s_roles); i++)
        s_add_nodes(self, look, s_roles[i]);
    proxy_gather(self, call, &(proxy_gather_t){
        .method = ELANUS__METHOD__METHOD_INSPECT, .type = &elanus__inspection__descriptor,
        .find = s_find, .then = s_gathered, .tolerant = true, .arg = look,
    }, ev, act);
}
