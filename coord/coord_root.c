/* coord_root - what a leader reads before it answers
 *
 *     db/ ─► coll/ ─► alias/ ─► load/ ─► index/ ─► owner/ ─► replica/ ─► place/ ─► rg/
 *        ─► seg/ ─► build/ ─► id/catalog ─► id/global ─► ready
 *
 * One list after the other is good enough: nobody but the holder of the
 * leader key writes these keys, and that is us; owner/ and seg/, which others
 * write, are followed besides.  The same is done again when
 * the outcome of a transaction is unknown: a later read settles it (meta.h),
 * so what is read is what counts.  A round number tells answers of an earlier
 * take-over from this one's.
 */
#include <stdio.h>

#include "coord/coord_int.h"
#include "core/catalog/builds.h"
#include "core/wire/pb.h"

typedef struct {
    uint64_t round;
    int kind;                   /* READINGS: the mark, then the ids */
} reading_t;

enum {
    READ_DIRECTORY = CATALOG_KINDS,
    READ_SEGMENTS = READ_DIRECTORY + DIRECTORY_KINDS - DIRECTORY_OWNER,
    READ_BUILDS,
    READINGS,
    PATIENCE_MS = 1500,         /* for nodes that are about to come; of the 3 s of a loss */
};

static directory_kind_t s_directory_kind(int kind)
{
    return (directory_kind_t)(DIRECTORY_OWNER + kind - READ_DIRECTORY);
}

static const char *s_root(int kind)
{
    return kind < READ_DIRECTORY ? catalog_root((catalog_kind_t)kind)
         : kind < READ_SEGMENTS ? directory_root(s_directory_kind(kind))
         : kind == READ_SEGMENTS ? segments_root(SEGMENTS_SEG) : builds_root();
}

static void s_read_next(coord_node_t *self, uint64_t round, int kind, actions_t *act);

/* A failed read has waited in the driver before it gave up; begin again. */
static void s_again(coord_node_t *self, const char *what, const event_t *ev, actions_t *act)
{
    log_event(LOG_WARN, "load_failed", "what=%s why=\"%s\"", what, ev->text);
    coord_root_load(self, ev, act);
}

/* --- the default database must be there ---------------------------------------- */

static void s_default_made(void *node, void *arg, const event_t *ev, actions_t *act)
{
    const reading_t *reading = arg;
    coord_node_t *self = node;
    if (elect_leads(&self->elect) && reading->round == self->load_round)
        coord_root_load(self, ev, act);         /* look at what is there, whoever wrote it */
}

static reading_t *s_reading(uint64_t round, int kind)
{
    reading_t *reading = mem_new(sizeof *reading);
    *reading = (reading_t){ .round = round, .kind = kind };
    return reading;
}

static void s_make_default(coord_node_t *self, const event_t *ev, actions_t *act)
{
    Elanus__Database db = ELANUS__DATABASE__INIT;
    db.id = COORD_DEFAULT_DB_ID;
    db.name = (char *)COORD_DEFAULT_DB;
    db.created_ts = (uint64_t)ev->wall_ms << 18;
    const char *key = catalog_key_database(ev->ctx, COORD_DEFAULT_DB_ID);
    meta_cmp_t cmps[] = { elect_guard(&self->elect), { .kind = META_IF_ABSENT, .key = key } };
    meta_op_t put = { .kind = META_PUT, .key = key, .value = pb_pack(ev->ctx, &db) };
    act_meta_txn(act, &(meta_txn_t){ .cmps = cmps, .n_cmps = 2, .ops = &put, .n_ops = 1 },
                 wait_owned(self->member.waits, act, s_default_made,
                            s_reading(self->load_round, 0)));
}

/* --- reading --------------------------------------------------------------------- */

static void s_ready(coord_node_t *self, const event_t *ev, actions_t *act)
{
    self->ready = true;
    self->patient_until_ms = ev->now_ms + PATIENCE_MS;
    coord_balance_ready(self, ev->now_ms);
    coord_look_at(self, ev->now_ms, ev, act);
    const void **all = NULL;
    log_event(LOG_INFO, "coord_ready", "node=coord-%llu term=%lld databases=%zu collections=%zu",
              (unsigned long long)self->member.self->id, (long long)self->elect.term,
              catalog_list(self->catalog, ev->ctx, CATALOG_DATABASE, &all),
              catalog_list(self->catalog, ev->ctx, CATALOG_COLLECTION, &all));
    coord_ddl_go_on(self, ev, act);
}

static void s_ids(void *node, void *arg, const event_t *ev, actions_t *act)
{
    coord_node_t *self = node;
    const reading_t *reading = arg;
    if (!elect_leads(&self->elect) || reading->round != self->load_round)
        return;
    Elanus__IdMark *mark = NULL;
    uint64_t next = COORD_FIRST_ID;
    if (ev->err == OK && PB_UNPACK(ev->ctx, elanus__id_mark, ev->meta.item.value, &mark) == OK)
        next = mark->next;
    if (ev->err == OK ? !mark : ev->err != ERR_KEY_NOT_FOUND) {
        s_again(self, COORD_ID_KEY, ev, act);
        return;
    }
    self->next_id = self->end_id = next;        /* the rest of the last block is lost: no matter */
    s_ready(self, ev, act);
}

/* Deleted keys count for how new the catalog is, too. */
static void s_mark(void *node, void *arg, const event_t *ev, actions_t *act)
{
    coord_node_t *self = node;
    const reading_t *reading = arg;
    if (!elect_leads(&self->elect) || reading->round != self->load_round)
        return;
    if (ev->err != OK && ev->err != ERR_KEY_NOT_FOUND) {
        s_again(self, COORD_MARK_KEY, ev, act);
        return;
    }
    Elanus__CatalogMark *mark = NULL;
    bool there = ev->err == OK &&
                 PB_UNPACK(ev->ctx, elanus__catalog_mark, ev->meta.item.value, &mark) == OK;
    if (ev->err == OK && !there)
        log_event(LOG_ERROR, "catalog_damaged", "key=%s why=\"%s\"", COORD_MARK_KEY, ev->ctx->text);
    for (size_t kind = 0; there && kind < mark->n_revisions && kind < CATALOG_KINDS; kind++) {
        bool touched = mark->touched >> kind & 1;
        catalog_saw(self->catalog, (catalog_kind_t)kind,
                    touched ? ev->meta.item.mod_rev : mark->revisions[kind]);
    }
    s_read_next(self, reading->round, reading->kind + 1, act);
}

/* What cannot be read stays where it is and is said: the rest has to go on. */
static void s_take_in(coord_node_t *self, const event_t *ev)
{
    for (size_t i = 0; i < ev->meta.items.n; i++) {
        const meta_item_t *item = &ev->meta.items.at[i];
        if (catalog_put(self->catalog, ev->ctx, item->key, item->value, item->mod_rev) != OK)
            log_event(LOG_ERROR, "catalog_damaged", "key=%s why=\"%s\"", item->key, ev->ctx->text);
    }
}

/* Other nodes' last writes may not have reached our watch yet. */
static void s_take_in_pictures(coord_node_t *self, int kind, const event_t *ev)
{
    const meta_items_t *items = &ev->meta.items;
    meta_change_t *changes = ctx_new(ev->ctx, (items->n + 2) * sizeof *changes);
    changes[0].kind = META_WATCH_RESET;
    for (size_t i = 0; i < items->n; i++)
        changes[i + 1] = (meta_change_t){ .kind = META_WATCH_PUT, .item = items->at[i] };
    changes[items->n + 1] = (meta_change_t){ .kind = META_WATCH_SYNCED,
                                             .item.mod_rev = items->rev };
    if (kind == READ_BUILDS)
        coord_builds_watched(self, ev->ctx, changes, items->n + 2);
    else if (kind == READ_SEGMENTS)
        segments_watched(self->segments, ev->ctx, SEGMENTS_SEG, changes, items->n + 2, NULL, NULL);
    else
        directory_watched(self->directory, ev->ctx, s_directory_kind(kind), changes, items->n + 2);
}

static void s_listed(void *node, void *arg, const event_t *ev, actions_t *act)
{
    coord_node_t *self = node;
    const reading_t *reading = arg;
    if (!elect_leads(&self->elect) || reading->round != self->load_round)
        return;
    if (ev->err != OK) {
        s_again(self, s_root(reading->kind), ev, act);
        return;
    }
    if (reading->kind < CATALOG_KINDS)
        s_take_in(self, ev);
    else
        s_take_in_pictures(self, reading->kind, ev);
    if (reading->kind == CATALOG_DATABASE && ev->meta.items.n == 0)
        s_make_default(self, ev, act);
    else
        s_read_next(self, reading->round, reading->kind + 1, act);
}

static void s_read_next(coord_node_t *self, uint64_t round, int kind, actions_t *act)
{
    waits_t *waits = self->member.waits;
    if (kind < READINGS)
        act_meta_list(act, s_root(kind),
                      wait_owned(waits, act, s_listed, s_reading(round, kind)));
    else if (kind == READINGS)
        act_meta_get(act, COORD_MARK_KEY, wait_owned(waits, act, s_mark, s_reading(round, kind)));
    else
        act_meta_get(act, COORD_ID_KEY, wait_owned(waits, act, s_ids, s_reading(round, kind)));
}

void coord_root_load(coord_node_t *self, const event_t *ev, actions_t *act)
{
    (void)ev;
    self->ready = false;
    catalog_destroy(&self->catalog);
    self->catalog = catalog_new();
    s_read_next(self, ++self->load_round, CATALOG_DATABASE, act);
}
