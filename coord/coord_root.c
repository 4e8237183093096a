/* coord_root - databases; collections are none yet
 *
 * What is listed is read from metadata for each answer, so that even a leader
 * that was deposed a moment ago and does not know cannot show an old state.
 */
#include <stdio.h>

#include "coord/coord_int.h"
#include "core/base/limits.h"
#include "core/wire/pb.h"

/* --- take-over: the default database must be there --------------------------- */

static void s_default_made(void *node, void *arg, const event_t *ev, actions_t *act);

static void s_make_default(coord_node_t *self, const event_t *ev, actions_t *act)
{
    Elanus__Database db = ELANUS__DATABASE__INIT;
    db.id = COORD_DEFAULT_DB_ID;
    db.name = (char *)COORD_DEFAULT_DB;
    db.created_ts = (uint64_t)ev->wall_ms << 18;
    char key[32];
    snprintf(key, sizeof key, COORD_DB_ROOT "%u", COORD_DEFAULT_DB_ID);
    meta_cmp_t cmps[] = { elect_guard(&self->elect), { .kind = META_IF_ABSENT, .key = key } };
    meta_op_t put = { .kind = META_PUT, .key = key, .value = pb_pack(ev->ctx, &db) };
    act_meta_txn(act, &(meta_txn_t){ .cmps = cmps, .n_cmps = 2, .ops = &put, .n_ops = 1 },
                 wait_once(self->member.waits, act, s_default_made, NULL));
}

static void s_loaded(void *node, void *arg, const event_t *ev, actions_t *act)
{
    (void)arg;
    coord_node_t *self = node;
    if (!elect_leads(&self->elect))
        return;
    if (ev->err != OK) {
        log_event(LOG_WARN, "load_failed", "what=%s why=\"%s\"", COORD_DB_ROOT, ev->text);
        coord_root_load(self, ev, act);         /* the driver has waited before it gave up */
        return;
    }
    if (ev->meta.items.n == 0) {
        s_make_default(self, ev, act);
        return;
    }
    self->ready = true;
    log_event(LOG_INFO, "coord_ready", "node=coord-%llu term=%lld databases=%zu",
              (unsigned long long)self->member.self->id, (long long)self->elect.term,
              ev->meta.items.n);
}

static void s_default_made(void *node, void *arg, const event_t *ev, actions_t *act)
{
    (void)arg;
    coord_node_t *self = node;
    if (elect_leads(&self->elect))
        coord_root_load(self, ev, act);         /* look at what is there, whoever wrote it */
}

void coord_root_load(coord_node_t *self, const event_t *ev, actions_t *act)
{
    (void)ev;
    act_meta_list(act, COORD_DB_ROOT, wait_once(self->member.waits, act, s_loaded, NULL));
}

/* --- answers ----------------------------------------------------------------- */

typedef struct {
    net_from_t from;
    char db_name[LIMIT_NAME_BYTES + 1];         /* SHOW_COLLECTIONS: which; "": any */
} question_t;

static err_t s_read_databases(ctx_t *ctx, const meta_items_t *items, Elanus__DatabaseList *out)
{
    out->databases = ctx_new(ctx, (items->n + 1) * sizeof(void *));
    for (size_t i = 0; i < items->n; i++) {
        TRY(PB_UNPACK(ctx, elanus__database, items->at[i].value, &out->databases[i]));
        out->n_databases++;
    }
    return OK;
}

static void s_databases(void *node, void *arg, const event_t *ev, actions_t *act)
{
    (void)node;
    const question_t *question = arg;
    Elanus__DatabaseList out = ELANUS__DATABASE_LIST__INIT;
    if (ev->err != OK)
        act_refuse(act, question->from, ev->err, "%s", ev->text);
    else if (s_read_databases(ev->ctx, &ev->meta.items, &out) != OK)
        act_refuse(act, question->from, ERR_CORRUPT, "%s", ev->ctx->text);
    else
        act_reply(act, question->from, pb_pack(ev->ctx, &out));
}

static void s_collections(void *node, void *arg, const event_t *ev, actions_t *act)
{
    (void)node;
    const question_t *question = arg;
    Elanus__DatabaseList dbs = ELANUS__DATABASE_LIST__INIT;
    if (ev->err != OK) {
        act_refuse(act, question->from, ev->err, "%s", ev->text);
        return;
    }
    if (s_read_databases(ev->ctx, &ev->meta.items, &dbs) != OK) {
        act_refuse(act, question->from, ERR_CORRUPT, "%s", ev->ctx->text);
        return;
    }
    for (size_t i = 0; i < dbs.n_databases; i++) {
        if (strcmp(dbs.databases[i]->name, question->db_name) == 0) {
            Elanus__CollectionList none = ELANUS__COLLECTION_LIST__INIT;
            act_reply(act, question->from, pb_pack(ev->ctx, &none));
            return;
        }
    }
    act_refuse(act, question->from, ERR_DATABASE_NOT_FOUND, "database not found[database=%s]",
               question->db_name);
}

static question_t *s_question(const event_t *ev, const char *db_name)
{
    question_t *question = mem_new(sizeof *question);
    question->from = ev->call.from;
    snprintf(question->db_name, sizeof question->db_name, "%s", db_name);
    return question;
}

void coord_root_list_databases(coord_node_t *self, const event_t *ev, actions_t *act)
{
    act_meta_list(act, COORD_DB_ROOT,
                  wait_owned(self->member.waits, act, s_databases, s_question(ev, "")));
}

void coord_root_show_collections(coord_node_t *self, const event_t *ev, actions_t *act)
{
    Elanus__ShowCollections *ask = NULL;
    if (PB_UNPACK(ev->ctx, elanus__show_collections, ev->call.payload, &ask) != OK) {
        act_refuse(act, ev->call.from, ERR_MALFORMED, "%s", ev->ctx->text);
        return;
    }
    act_meta_list(act, COORD_DB_ROOT,
                  wait_owned(self->member.waits, act, s_collections, s_question(ev, ask->db_name)));
}
