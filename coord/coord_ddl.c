/* coord_ddl - changes of the catalog, one at a time
 *
 *     call ─► queue ─► plan ─► one guarded transaction ─► the catalog changes ─► answer
 *                       │             │ a compare failed: deposed; all are refused, and the
 *                       │             │ proxy asks the next leader
 *                       │             └ outcome unknown: read everything again, then go on
 *                       └ nothing to do, or Milvus's error: answer
 *
 * A plan looks at the catalog and notes writes; it neither waits nor fails
 * half way.  An answer lost on the way makes the proxy ask again, perhaps
 * another leader; so what a request makes carries the request's token, and a
 * plan that finds its own token has nothing left to do.
 *
 * Ids come from a block that was reserved in metadata, together with the
 * first transaction that needs it: a leader that dies loses its block's rest
 * and no id is given out twice.
 */
#include <stdio.h>

#include "coord/coord_int.h"
#include "core/base/limits.h"
#include "core/catalog/builds.h"
#include "core/wire/pb.h"

enum { ID_BLOCK = 4096, GUARD_AND_MARK = 2 };

static const struct { uint32_t method; ddl_fn *plan; } s_plans[] = {
    { ELANUS__METHOD__METHOD_CREATE_DATABASE, coord_create_database },
    { ELANUS__METHOD__METHOD_DROP_DATABASE, coord_drop_database },
    { ELANUS__METHOD__METHOD_ALTER_DATABASE, coord_alter_database },
    { ELANUS__METHOD__METHOD_CREATE_COLLECTION, coord_create_collection },
    { ELANUS__METHOD__METHOD_DROP_COLLECTION, coord_drop_collection },
    { ELANUS__METHOD__METHOD_RENAME_COLLECTION, coord_rename_collection },
    { ELANUS__METHOD__METHOD_ALTER_COLLECTION, coord_alter_collection },
    { ELANUS__METHOD__METHOD_ALTER_FIELD, coord_alter_field },
    { ELANUS__METHOD__METHOD_CREATE_PARTITION, coord_create_partition },
    { ELANUS__METHOD__METHOD_DROP_PARTITION, coord_drop_partition },
    { ELANUS__METHOD__METHOD_CREATE_ALIAS, coord_create_alias },
    { ELANUS__METHOD__METHOD_DROP_ALIAS, coord_drop_alias },
    { ELANUS__METHOD__METHOD_ALTER_ALIAS, coord_alter_alias },
    { ELANUS__METHOD__METHOD_CREATE_INDEX, coord_create_index },
    { ELANUS__METHOD__METHOD_DROP_INDEX, coord_drop_index },
    { ELANUS__METHOD__METHOD_ALTER_INDEX, coord_alter_index },
    { ELANUS__METHOD__METHOD_LOAD, coord_load },
    { ELANUS__METHOD__METHOD_RELEASE, coord_release },
    { ELANUS__METHOD__METHOD_LOAD_BALANCE, coord_load_balance },
    { ELANUS__METHOD__METHOD_CREATE_GROUP, coord_create_group },
    { ELANUS__METHOD__METHOD_DROP_GROUP, coord_drop_group },
    { ELANUS__METHOD__METHOD_UPDATE_GROUPS, coord_update_groups },
    { ELANUS__METHOD__METHOD_TRANSFER_NODES, coord_transfer_nodes },
    { ELANUS__METHOD__METHOD_TRANSFER_REPLICAS, coord_transfer_replicas },
    { ELANUS__METHOD__METHOD_BUILD_AGAIN, coord_builds_again },
};

static ddl_fn *s_plan_of(uint32_t method)
{
    for (size_t i = 0; i < ARRAY_LEN(s_plans); i++)
        if (s_plans[i].method == method)
            return s_plans[i].plan;
    return NULL;
}

/* --- what plans use ------------------------------------------------------------- */

void coord_ddl_put(ddl_t *ddl, const char *key, const void *message)
{
    vec_push(&ddl->ops, &(meta_op_t){ .kind = META_PUT, .key = key,
                                      .value = pb_pack(&ddl->memory, message) });
}

void coord_ddl_delete(ddl_t *ddl, const char *key)
{
    vec_push(&ddl->ops, &(meta_op_t){ .kind = META_DELETE, .key = key });
}

void coord_ddl_expect(ddl_t *ddl, const char *key, int64_t rev)
{
    vec_push(&ddl->cmps, &(meta_cmp_t){ .kind = META_IF_MOD_REV, .key = key, .rev = rev });
}

static void s_reserve(coord_node_t *self, ddl_t *ddl, uint64_t n)
{
    if (self->next_id + n <= self->end_id)
        return;
    bool noted = false;
    for (size_t i = 0; i < ddl->ops.len; i++)
        noted |= strcmp(((meta_op_t *)vec_at(&ddl->ops, i))->key, COORD_ID_KEY) == 0;
    check(!noted);                              /* ID_BLOCK is more than any plan takes */
    self->end_id = self->next_id + n + ID_BLOCK;
    Elanus__IdMark mark = ELANUS__ID_MARK__INIT;
    mark.next = self->end_id;
    coord_ddl_put(ddl, COORD_ID_KEY, &mark);
}

uint64_t coord_ddl_id(coord_node_t *self, ddl_t *ddl)
{
    if (self->next_id == self->end_id)
        s_reserve(self, ddl, 1);
    return self->next_id++;
}

uint64_t coord_ddl_ts(coord_node_t *self, const ddl_t *ddl)
{
    uint64_t now = (uint64_t)ddl->wall_ms << 18;
    self->last_ts = now > self->last_ts ? now : self->last_ts + 1;
    return self->last_ts;
}

bool coord_ddl_is_done(const ddl_t *ddl, const char *token)
{
    return token[0] && strcmp(token, ddl->ask->token) == 0;
}

err_t coord_find_database(coord_node_t *self, ddl_t *ddl, const Elanus__Database **ret)
{
    const Elanus__Database *db = catalog_database(self->catalog, ddl->ask->db_name);
    if (!db)
        return ctx_fail(&ddl->memory, ERR_DATABASE_NOT_FOUND, "database not found[database=%s]",
                        ddl->ask->db_name);
    *ret = db;
    return OK;
}

err_t coord_find_collection(coord_node_t *self, ddl_t *ddl, const Elanus__Collection **ret)
{
    const Elanus__Database *db = NULL;
    TRY(coord_find_database(self, ddl, &db));
    const Elanus__Collection *coll = catalog_find(self->catalog, db->id,
                                                  ddl->ask->collection_name);
    if (!coll)
        return ctx_fail(&ddl->memory, ERR_COLLECTION_NOT_FOUND,
                        "collection not found[database=%s][collection=%s]", ddl->ask->db_name,
                        ddl->ask->collection_name);
    *ret = coll;
    return OK;
}

static bool s_named(char **keys, size_t n, const char *key)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(keys[i], key) == 0)
            return true;
    return false;
}

void coord_alter_pairs(ddl_t *ddl, Elanus__Pair ***pairs, size_t *n)
{
    const Elanus__Ddl *ask = ddl->ask;
    Elanus__Pair **all = ctx_new(&ddl->memory, (*n + ask->n_properties + 1) * sizeof *all);
    size_t kept = 0;
    for (size_t i = 0; i < *n; i++)
        if (!catalog_pair(ask->properties, ask->n_properties, (*pairs)[i]->key) &&
            !s_named(ask->delete_keys, ask->n_delete_keys, (*pairs)[i]->key))
            all[kept++] = (*pairs)[i];
    for (size_t i = 0; i < ask->n_properties; i++)
        all[kept++] = ask->properties[i];
    *pairs = all;
    *n = kept;
}

/* --- the queue --------------------------------------------------------------------- */

static void s_free(ddl_t *ddl)
{
    vec_fini(&ddl->ops);
    vec_fini(&ddl->cmps);
    ctx_fini(&ddl->memory);
    mem_free(ddl);
}

static ddl_t *s_pop(coord_node_t *self)
{
    ddl_t *ddl = self->ddl_first;
    if (ddl) {
        self->ddl_first = ddl->next;
        if (!self->ddl_first)
            self->ddl_last = NULL;
    }
    return ddl;
}

static void s_push(coord_node_t *self, ddl_t *ddl)
{
    if (self->ddl_last)
        self->ddl_last->next = ddl;
    else
        self->ddl_first = ddl;
    self->ddl_last = ddl;
}

static void s_refuse(coord_node_t *self, ddl_t *ddl, actions_t *act, err_t err, const char *text)
{
    coord_count_ddl(&self->count, ddl, err);
    if (ddl->method != ELANUS__METHOD__METHOD_NONE)
        act_refuse(act, ddl->from, err, "%s", text);
    else if (err != ERR_SERVICE_NOT_READY)
        log_event(LOG_WARN, "wish_failed", "why=\"%s\"", text);
}

/* rev: of its transaction; 0: there was nothing to write. */
static void s_answer(coord_node_t *self, ddl_t *ddl, int64_t rev, actions_t *act)
{
    if (ddl->method == ELANUS__METHOD__METHOD_NONE)
        return;
    int64_t revisions[CATALOG_KINDS];
    for (int kind = 0; kind < CATALOG_KINDS; kind++)
        revisions[kind] = catalog_rev(self->catalog, (catalog_kind_t)kind);
    Elanus__DdlDone done = ELANUS__DDL_DONE__INIT;
    done.revisions = revisions;
    done.n_revisions = CATALOG_KINDS;
    done.rev = rev;
    Elanus__IdRange range = ELANUS__ID_RANGE__INIT;
    range.first = ddl->first_id;
    range.n = ddl->n_ids;
    bool ids = ddl->method == ELANUS__METHOD__METHOD_ALLOC_IDS;
    coord_count_ddl(&self->count, ddl, OK);
    act_reply(act, ddl->from, pb_pack(&ddl->memory, ids ? (void *)&range : (void *)&done));
}

static bool s_starts(const char *key, const char *root)
{
    return strncmp(key, root, strlen(root)) == 0;
}

/* What this node itself writes of it. */
static bool s_is_directory(const char *key)
{
    return s_starts(key, directory_root(DIRECTORY_REPLICA)) ||
           s_starts(key, directory_root(DIRECTORY_PLACE)) ||
           s_starts(key, directory_root(DIRECTORY_GROUP));
}

static void s_apply_op(coord_node_t *self, ddl_t *ddl, const meta_op_t *op, int64_t rev)
{
    bool gone = op->kind == META_DELETE;
    if (s_is_directory(op->key))
        check(directory_put(self->directory, &ddl->memory, op->key, gone ? NULL : &op->value,
                            rev) == OK);
    else if (s_starts(op->key, builds_root()))
        check(coord_builds_wrote(self, &ddl->memory, op->key, gone ? NULL : &op->value, rev) == OK);
    else if (gone)
        catalog_delete(self->catalog, op->key, rev);
    else
        check(catalog_put(self->catalog, &ddl->memory, op->key, op->value, rev) == OK);
}

/* Catalog and directory after our own transaction; what follows from it is looked for soon. */
static void s_apply(coord_node_t *self, ddl_t *ddl, const event_t *ev, actions_t *act)
{
    bool look = false;
    for (size_t i = 0; i < ddl->ops.len; i++) {
        const meta_op_t *op = vec_at(&ddl->ops, i);
        s_apply_op(self, ddl, op, ev->meta.txn.rev);
        look |= s_starts(op->key, catalog_root(CATALOG_COLLECTION)) ||
                s_starts(op->key, catalog_root(CATALOG_LOAD)) ||
                s_starts(op->key, catalog_root(CATALOG_INDEX)) ||
                s_starts(op->key, builds_root()) ||
                s_is_directory(op->key);
    }
    if (look)
        coord_look_at(self, ev->now_ms, ev, act);
}

static void s_done(void *node, void *arg, const event_t *ev, actions_t *act)
{
    coord_node_t *self = node;
    ddl_t *ddl = arg;
    check(self->ddl_now == ddl);
    self->ddl_now = NULL;
    bool leads = elect_leads(&self->elect);
    if (ev->err == OK && ev->meta.txn.applied && leads) {
        s_apply(self, ddl, ev, act);
        s_answer(self, ddl, ev->meta.txn.rev, act);
    } else {
        /* Who waits and asks again would wait for somebody to make room. */
        s_refuse(self, ddl, act, ev->err == ERR_DISK_FULL ? ERR_DISK_FULL : ERR_SERVICE_NOT_READY,
                 ctx_printf(&ddl->memory, "coord-%llu %s",
                            (unsigned long long)self->member.self->id,
                            ev->err != OK ? ev->text : "does not lead any more"));
        if (leads)
            coord_root_load(self, ev, act);     /* what is in metadata counts */
    }
    s_free(ddl);
    coord_ddl_go_on(self, ev, act);
}

/* What is deleted leaves nothing to list.  A leader that reads the catalog anew would take it for
 * older than it is, and proxies that lag would believe to be up to date: so a mark stays behind. */
static void s_mark_deletes(coord_node_t *self, ddl_t *ddl)
{
    Elanus__CatalogMark mark = ELANUS__CATALOG_MARK__INIT;
    int64_t revisions[CATALOG_KINDS];
    mark.revisions = revisions;
    mark.n_revisions = CATALOG_KINDS;
    for (int kind = 0; kind < CATALOG_KINDS; kind++) {
        revisions[kind] = catalog_rev(self->catalog, (catalog_kind_t)kind);
        for (size_t i = 0; i < ddl->ops.len; i++) {
            const meta_op_t *op = vec_at(&ddl->ops, i);
            bool of_kind = s_starts(op->key, catalog_root((catalog_kind_t)kind));
            if (op->kind == META_DELETE && of_kind)
                mark.touched |= 1u << kind;
        }
    }
    if (mark.touched)
        coord_ddl_put(ddl, COORD_MARK_KEY, &mark);
}

static void s_write(coord_node_t *self, ddl_t *ddl, actions_t *act)
{
    s_mark_deletes(self, ddl);
    meta_cmp_t guard = elect_guard(&self->elect);
    vec_push(&ddl->cmps, &guard);
    self->ddl_now = ddl;
    trace_t before = act_trace(act, ddl->trace);
    act_meta_txn(act, &(meta_txn_t){ .cmps = ddl->cmps.ptr, .n_cmps = ddl->cmps.len,
                                     .ops = ddl->ops.ptr, .n_ops = ddl->ops.len },
                 wait_once(self->member.waits, act, s_done, ddl));
    act_trace(act, before);
}

static err_t s_plan(coord_node_t *self, ddl_t *ddl)
{
    if (ddl->method == ELANUS__METHOD__METHOD_CATALOG)
        return OK;
    if (ddl->method == ELANUS__METHOD__METHOD_ALLOC_IDS) {
        s_reserve(self, ddl, ddl->n_ids);
        ddl->first_id = self->next_id;
        self->next_id += ddl->n_ids;
        return OK;
    }
    TRY(ddl->plan(self, ddl));
    if (ddl->ops.len + ddl->cmps.len + GUARD_AND_MARK > LIMIT_META_TXN_OPS)
        return ctx_fail(&ddl->memory, ERR_PARAM_TOO_LARGE, "one change of %zu metadata keys",
                        ddl->ops.len);
    for (size_t i = 0; i < ddl->ops.len; i++)
        if (((meta_op_t *)vec_at(&ddl->ops, i))->value.len > LIMIT_META_VALUE_BYTES)
            return ctx_fail(&ddl->memory, ERR_PARAM_TOO_LARGE, "the description of this "
                            "collection would pass %u bytes", LIMIT_META_VALUE_BYTES);
    return OK;
}

/* An id mark that is not written must not count. */
static void s_forget_ids(coord_node_t *self, uint64_t next, uint64_t end)
{
    self->next_id = next;
    self->end_id = end;
}

void coord_ddl_go_on(coord_node_t *self, const event_t *ev, actions_t *act)
{
    while (self->ready && !self->ddl_now && self->ddl_first) {
        ddl_t *ddl = s_pop(self);
        ddl->wall_ms = ev->wall_ms;
        ddl->now_ms = ev->now_ms;
        uint64_t next = self->next_id, end = self->end_id;
        err_t err = s_plan(self, ddl);
        if (err == OK && ddl->ops.len > 0) {
            s_write(self, ddl, act);
            return;
        }
        if (err == OK) {
            s_answer(self, ddl, 0, act);
        } else {
            s_forget_ids(self, next, end);
            s_refuse(self, ddl, act, err, ddl->memory.text);
        }
        s_free(ddl);
    }
}

/* The one being written ends by itself, in s_done. */
void coord_ddl_lost(coord_node_t *self, actions_t *act)
{
    for (ddl_t *ddl = s_pop(self); ddl; ddl = s_pop(self)) {
        s_refuse(self, ddl, act, ERR_SERVICE_NOT_READY,
                 ctx_printf(&ddl->memory, "coord-%llu does not lead any more",
                            (unsigned long long)self->member.self->id));
        s_free(ddl);
    }
    self->replicas_queued = false;
}

static err_t s_read(ddl_t *ddl, view_t payload)
{
    if (ddl->method == ELANUS__METHOD__METHOD_CATALOG)
        return OK;
    if (ddl->method == ELANUS__METHOD__METHOD_BUILD_AGAIN)
        return PB_UNPACK(&ddl->memory, elanus__build_damaged, payload, &ddl->damaged);
    if (ddl->method != ELANUS__METHOD__METHOD_ALLOC_IDS)
        return PB_UNPACK(&ddl->memory, elanus__ddl, payload, &ddl->ask);
    Elanus__AllocIds *ask = NULL;
    TRY(PB_UNPACK(&ddl->memory, elanus__alloc_ids, payload, &ask));
    if (ask->n == 0 || ask->n > LIMIT_IDS)
        return ctx_fail(&ddl->memory, ERR_PARAM_INVALID, "%u ids at once, 1 to %u are given",
                        ask->n, LIMIT_IDS);
    ddl->n_ids = ask->n;
    return OK;
}

static ddl_t *s_new(uint32_t method, ddl_fn *plan)
{
    ddl_t *ddl = mem_new(sizeof *ddl);
    *ddl = (ddl_t){ .method = method, .plan = plan };
    ctx_init(&ddl->memory);
    vec_init(&ddl->ops, sizeof(meta_op_t));
    vec_init(&ddl->cmps, sizeof(meta_cmp_t));
    return ddl;
}

/* Something that we ourselves find necessary, in its turn. */
void coord_ddl_wish(coord_node_t *self, ddl_fn *plan, const event_t *ev, actions_t *act)
{
    s_push(self, s_new(ELANUS__METHOD__METHOD_NONE, plan));
    coord_ddl_go_on(self, ev, act);
}

void coord_ddl_call(coord_node_t *self, const event_t *ev, actions_t *act)
{
    uint32_t method = ev->call.method;
    if (method != ELANUS__METHOD__METHOD_ALLOC_IDS && method != ELANUS__METHOD__METHOD_CATALOG &&
        !s_plan_of(method)) {
        act_refuse(act, ev->call.from, ERR_UNIMPLEMENTED, "coord has no method %u",
                   method);
        return;
    }
    ddl_t *ddl = s_new(method, s_plan_of(method));
    ddl->from = ev->call.from;
    ddl->began_us = metrics_began(self->count.to);
    ddl->trace = ev->trace;
    if (s_read(ddl, ev->call.payload) != OK) {
        act_refuse(act, ddl->from, ddl->memory.err, "%s", ddl->memory.text);
        s_free(ddl);
        return;
    }
    s_push(self, ddl);
    coord_ddl_go_on(self, ev, act);
}

void coord_ddl_fini(coord_node_t *self)
{
    for (ddl_t *ddl = s_pop(self); ddl; ddl = s_pop(self))
        s_free(ddl);
    if (self->ddl_now)
        s_free(self->ddl_now);
    self->ddl_now = NULL;
    catalog_destroy(&self->catalog);
}
