/* index_gc - objects of indexes that no build names any more; see index_gc.h
 *
 *     list a page of index/ ─► read build/ ─► which have no name ─► since long? delete ─► next
 *
 * What nothing names: attempts that failed, were overtaken or whose node died
 * over them; indexes of segments that were compacted or dropped, of definitions
 * that were dropped.
 *
 * Build ids are never used twice and attempts only grow, both are in metadata
 * before the first object is put, and build/ is read after the objects were
 * listed.  So an object whose build is gone, or has a newer attempt, or has
 * ended this attempt without naming it, will never be named again, whoever
 * leads by now.  That makes it safe to be slow, to be deposed on the way, and to
 * keep the list of orphans from one term to the next.
 *
 * It may still be read: a query node that was told of the index a moment ago
 * opens it.  A store does not say how old an object is, so an orphan goes when
 * this coord has known it as one for dataCoord.gc.dropTolerance, by its own
 * clock.  A new leader begins to count anew: garbage waits.
 */
#include "coord/index_gc.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "coord/coord_builds.h"
#include "core/base/limits.h"
#include "core/store/store.h"
#include "core/wire/pb.h"

#define ROOT "index/"

enum { PAGE = 1000 };

typedef struct orphan {
    int64_t since_ms;
    uint64_t round;             /* seen last */
} orphan_t;

typedef struct index_page {
    ctx_t memory;               /* of one page */
    store_t *store;             /* borrowed */
    char after[LIMIT_STORE_KEY_BYTES + 1];
    store_list_t list;
    vec_t doomed;               /* of const char *, borrowed from the list */
    size_t n_deleted;
} index_page_t;

/* --- jobs ----------------------------------------------------------------------------- */

static err_t s_list(ctx_t *ctx, void *arg)
{
    index_page_t *page = arg;
    ctx_fini(&page->memory);
    ctx_init(&page->memory);
    page->list = (store_list_t){0};
    page->doomed.len = 0;
    page->n_deleted = 0;
    err_t err = store_list(&page->memory, page->store, ROOT, page->after[0] ? page->after : NULL,
                           PAGE, &page->list);
    return err == OK ? OK : ctx_fail(ctx, err, "%s", page->memory.text);
}

static err_t s_delete(ctx_t *ctx, void *arg)
{
    index_page_t *page = arg;
    for (; page->n_deleted < page->doomed.len; page->n_deleted++) {
        TRY(ctx_alive(ctx));
        TRY(store_delete(ctx, page->store,
                         *(const char **)vec_at(&page->doomed, page->n_deleted)));
    }
    return OK;
}

/* --- a round -------------------------------------------------------------------------- */

static void s_page_destroy(index_page_t **page_p)
{
    index_page_t *page = *page_p;
    *page_p = NULL;
    if (!page)
        return;
    vec_fini(&page->doomed);
    ctx_fini(&page->memory);
    mem_free(page);
}

/* Orphans that a whole round did not find are gone. */
static void s_forget_gone(index_gc_t *gc)
{
    void *value;
    view_t key;
    for (size_t at = 0; map_next(gc->orphans, &at, &key, &value); )
        if (((const orphan_t *)value)->round != gc->round) {
            map_del(gc->orphans, key);
            mem_free(value);
        }
}

static void s_end(coord_node_t *self, bool whole, const event_t *ev, actions_t *act)
{
    index_gc_t *gc = &self->building->gc;
    if (whole)
        s_forget_gone(gc);
    s_page_destroy(&gc->page);
    gc->busy = false;
    gc->at_ms = ev->now_ms + self->building->options.gc_interval_ms;
    coord_look_at(self, gc->at_ms, ev, act);
}

static void s_give_up(coord_node_t *self, const char *what, const char *why, const event_t *ev,
                      actions_t *act)
{
    log_event(LOG_WARN, "index_gc_failed", "what=%s why=\"%s\"", what, why);
    s_end(self, false, ev, act);
}

static void s_listed(void *node, void *arg, const event_t *ev, actions_t *act);

static void s_next_page(coord_node_t *self, actions_t *act)
{
    index_page_t *page = self->building->gc.page;
    act_job(act, s_list, page, wait_once(self->member.waits, act, s_listed, page));
}

static void s_deleted(void *node, void *arg, const event_t *ev, actions_t *act)
{
    coord_node_t *self = node;
    index_page_t *page = arg;
    if (ev->err != OK) {
        s_give_up(self, "delete", ev->text, ev, act);
        return;
    }
    if (page->doomed.len)
        log_event(LOG_INFO, "index_objects_deleted", "objects=%zu", page->doomed.len);
    const store_list_t *list = &page->list;
    if (!list->more || !self->ready) {
        s_end(self, !list->more, ev, act);
        return;
    }
    snprintf(page->after, sizeof page->after, "%s", list->at[list->n - 1].key);
    s_next_page(self, act);
}

/* --- what has no name ------------------------------------------------------------------- */

/* "index/<build>/<attempt>/…"; false for a key that is none of ours. */
static bool s_parse(const char *key, uint64_t *ret_build, uint64_t *ret_attempt)
{
    char *end = NULL;
    *ret_build = strtoull(key + strlen(ROOT), &end, 10);
    if (*ret_build == 0 || *end != '/')
        return false;
    *ret_attempt = strtoull(end + 1, &end, 10);
    return *ret_attempt != 0 && *end == '/';
}

static bool s_is_named(const Elanus__Build *build, uint64_t attempt, const char *key)
{
    if (!build || attempt < build->attempt)
        return false;
    if (attempt > build->attempt || build->state == ELANUS__BUILD_STATE__BUILD_RUNNING)
        return true;
    bool named = false;
    for (size_t i = 0; i < build->n_objects && !named; i++)
        named = strcmp(build->objects[i], key) == 0;
    return named;
}

/* An object without a name: doomed when that has been so for long. */
static void s_note(index_gc_t *gc, const char *key, int64_t now_ms, int64_t tolerance_ms)
{
    orphan_t *orphan = map_get_str(gc->orphans, key);
    if (!orphan) {
        if (map_len(gc->orphans) >= LIMIT_INDEX_ORPHANS)
            return;                             /* its turn comes when others are gone */
        orphan = mem_new(sizeof *orphan);
        orphan->since_ms = now_ms;
        map_put_str(gc->orphans, key, orphan);
    }
    orphan->round = gc->round;
    if (now_ms - orphan->since_ms >= tolerance_ms)
        vec_push(&gc->page->doomed, &key);
}

/* Every build by its id; false when one cannot be read: who knows what it names. */
static bool s_index_builds(ctx_t *ctx, const meta_items_t *items, map_t *builds)
{
    for (size_t i = 0; i < items->n; i++) {
        Elanus__Build *build = NULL;
        if (PB_UNPACK(ctx, elanus__build, items->at[i].value, &build) != OK)
            return false;
        map_put_u64(builds, build->id, build);
    }
    return true;
}

static void s_find_orphans(coord_node_t *self, map_t *builds, int64_t now_ms)
{
    index_gc_t *gc = &self->building->gc;
    const store_list_t *list = &gc->page->list;
    for (size_t i = 0; i < list->n; i++) {
        const char *key = list->at[i].key;
        uint64_t build = 0, attempt = 0;
        if (s_parse(key, &build, &attempt) &&
            !s_is_named(map_get_u64(builds, build), attempt, key))
            s_note(gc, key, now_ms, self->building->options.gc_drop_ms);
    }
}

static void s_builds_read(void *node, void *arg, const event_t *ev, actions_t *act)
{
    coord_node_t *self = node;
    index_page_t *page = arg;
    map_t *builds = map_new();
    bool read = ev->err == OK && s_index_builds(ev->ctx, &ev->meta.items, builds);
    if (read)
        s_find_orphans(self, builds, ev->now_ms);
    map_destroy(&builds);
    if (read)
        act_job(act, s_delete, page, wait_once(self->member.waits, act, s_deleted, page));
    else
        s_give_up(self, "builds", ev->err != OK ? ev->text : ev->ctx->text, ev, act);
}

static void s_listed(void *node, void *arg, const event_t *ev, actions_t *act)
{
    coord_node_t *self = node;
    if (ev->err != OK)
        s_give_up(self, "list", ev->text, ev, act);
    else
        act_meta_list(act, builds_root(), wait_once(self->member.waits, act, s_builds_read, arg));
}

/* --- life -------------------------------------------------------------------------------- */

void index_gc_look(coord_node_t *node, const event_t *ev, actions_t *act, int64_t *due_ms)
{
    const coord_options_t *options = &node->building->options;
    index_gc_t *gc = &node->building->gc;
    if (!options->gc || !options->store || gc->busy)
        return;
    if (gc->at_ms == 0)
        gc->at_ms = ev->now_ms + options->gc_interval_ms;
    if (ev->now_ms < gc->at_ms) {
        *due_ms = gc->at_ms < *due_ms ? gc->at_ms : *due_ms;
        return;
    }
    gc->busy = true;
    gc->round++;
    gc->page = mem_new(sizeof *gc->page);
    *gc->page = (index_page_t){ .store = options->store };
    ctx_init(&gc->page->memory);
    vec_init(&gc->page->doomed, sizeof(const char *));
    s_next_page(node, act);
}

void index_gc_init(index_gc_t *self)
{
    *self = (index_gc_t){ .orphans = map_new() };
}

void index_gc_fini(index_gc_t *self)
{
    void *orphan;
    for (size_t at = 0; map_next(self->orphans, &at, NULL, &orphan); )
        mem_free(orphan);
    map_destroy(&self->orphans);
    s_page_destroy(&self->page);
}
