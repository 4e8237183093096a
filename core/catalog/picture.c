/* picture - see picture.h
 *
 * A deletion of our own leaves an item without a message (a grave) until the
 * watch has told of it, so that an older put that is still on its way does not
 * bring the key back.
 */
#include "core/catalog/picture.h"

#include <stdlib.h>

#include "core/base/arena.h"
#include "core/base/log.h"
#include "core/base/map.h"

typedef struct item {
    unsigned kind;
    char *key;                          /* owned */
    arena_t memory;                     /* of the message */
    ProtobufCMessage *message;          /* NULL: a grave */
    int64_t rev;
    uint64_t round;                     /* of the watch that last showed it */
} item_t;

struct picture {
    const picture_kind_t *kinds;
    unsigned n_kinds;
    map_t *items;                       /* key -> item_t, owned */
    struct {
        uint64_t round;                 /* counts the RESETs */
        int64_t rev;                    /* of the last list; 0 while one comes in */
        int64_t seen;                   /* the newest revision of all that was told */
        bool synced;
    } state[PICTURE_KINDS];
};

/* Who hears of changes. */
typedef struct ear {
    picture_fn *fn;
    void *arg;
} ear_t;

picture_t *picture_new(const picture_kind_t *kinds, unsigned n)
{
    check(n <= PICTURE_KINDS);
    picture_t *self = mem_new(sizeof *self);
    self->kinds = kinds;
    self->n_kinds = n;
    self->items = map_new();
    return self;
}

static void s_item_free(item_t *item)
{
    if (!item)
        return;
    arena_fini(&item->memory);
    mem_free(item->key);
    mem_free(item);
}

void picture_destroy(picture_t **self_p)
{
    picture_t *self = *self_p;
    if (!self)
        return;
    void *item = NULL;
    for (size_t at = 0; map_next(self->items, &at, NULL, &item); )
        s_item_free(item);
    map_destroy(&self->items);
    mem_free(self);
    *self_p = NULL;
}

/* --- changes ------------------------------------------------------------------ */

static void s_tell(const ear_t *ear, unsigned kind, const item_t *was, const item_t *now)
{
    const void *before = was ? was->message : NULL, *after = now ? now->message : NULL;
    if (ear->fn && (before || after))
        ear->fn(ear->arg, kind, before, after);
}

/* now (owned; NULL: nothing) takes the place of what is at its key. */
static void s_place(picture_t *self, const char *key, unsigned kind, item_t *now, const ear_t *ear)
{
    item_t *was = now ? map_put_str(self->items, key, now) : map_del_str(self->items, key);
    s_tell(ear, kind, was, now);
    s_item_free(was);
}

static item_t *s_item(const picture_t *self, unsigned kind, const char *key, int64_t rev)
{
    item_t *item = mem_new(sizeof *item);
    *item = (item_t){ .kind = kind, .key = mem_strdup(key), .rev = rev,
                      .round = self->state[kind].round };
    return item;
}

/* The message, in an arena of its own that *ret_memory gets. */
static err_t s_unpack(const picture_kind_t *kind, ctx_t *ctx, const char *key, view_t value,
                      arena_t *ret_memory, ProtobufCMessage **ret)
{
    ctx_t memory;
    ctx_init(&memory);
    ProtobufCMessage *message = NULL;
    if (wire_unpack(&memory, kind->type, value, &message) != OK) {
        ctx_fail(ctx, ERR_CORRUPT, "%s: %s", key, memory.text);
        ctx_fini(&memory);
        return ERR_CORRUPT;
    }
    const char *own = kind->key(ctx, message);
    if (strcmp(own, key) != 0) {
        ctx_fini(&memory);
        return ctx_fail(ctx, ERR_CORRUPT, "%s: what lies there belongs at %s", key, own);
    }
    *ret_memory = memory.arena;
    *ret = message;
    return OK;
}

static err_t s_put(picture_t *self, ctx_t *ctx, unsigned kind, const char *key, view_t value,
                   int64_t rev, const ear_t *ear)
{
    arena_t memory;
    ProtobufCMessage *message = NULL;
    TRY(s_unpack(&self->kinds[kind], ctx, key, value, &memory, &message));
    item_t *item = s_item(self, kind, key, rev);
    item->memory = memory;
    item->message = message;
    s_place(self, key, kind, item, ear);
    return OK;
}

/* Something as new is known of this key: only say that the watch has shown it. */
static bool s_known(picture_t *self, unsigned kind, const meta_item_t *told)
{
    item_t *item = map_get_str(self->items, told->key);
    if (!item || item->rev < told->mod_rev)
        return told->mod_rev <= self->state[kind].rev;  /* it was deleted before the list */
    item->round = self->state[kind].round;
    return true;
}

static void s_watched_put(picture_t *self, ctx_t *ctx, unsigned kind, const meta_item_t *told,
                          const ear_t *ear)
{
    if (!s_known(self, kind, told) &&
        s_put(self, ctx, kind, told->key, told->value, told->mod_rev, ear) != OK)
        log_event(LOG_DEBUG, "picture_damaged", "key=%s why=\"%s\"", told->key, ctx->text);
}

static void s_watched_delete(picture_t *self, unsigned kind, const meta_item_t *told,
                             const ear_t *ear)
{
    const item_t *item = map_get_str(self->items, told->key);
    if (item && item->rev <= told->mod_rev)     /* a grave has told of this before */
        s_place(self, told->key, kind, NULL, ear);
}

/* What the list at rev did not show is gone, but for what we wrote after it. */
static void s_synced(picture_t *self, unsigned kind, int64_t rev, const ear_t *ear)
{
    void *value = NULL;
    for (size_t at = 0; map_next(self->items, &at, NULL, &value); ) {
        item_t *item = value;
        if (item->kind != kind || item->round == self->state[kind].round || item->rev > rev)
            continue;
        map_del_str(self->items, item->key);
        s_tell(ear, kind, item, NULL);
        s_item_free(item);
    }
    self->state[kind].synced = true;
    if (self->state[kind].rev < rev)
        self->state[kind].rev = rev;
}

void picture_watched(picture_t *self, ctx_t *ctx, unsigned kind, const meta_change_t *changes,
                     size_t n, picture_fn *fn, void *arg)
{
    check(kind < self->n_kinds);
    const ear_t ear = { .fn = fn, .arg = arg };
    for (size_t i = 0; i < n; i++) {
        const meta_item_t *told = &changes[i].item;
        if (self->state[kind].seen < told->mod_rev)
            self->state[kind].seen = told->mod_rev;
        switch (changes[i].kind) {
        case META_WATCH_RESET:
            self->state[kind].round++;
            self->state[kind].rev = 0;
            break;
        case META_WATCH_PUT:
            s_watched_put(self, ctx, kind, told, &ear);
            break;
        case META_WATCH_DELETE:
            s_watched_delete(self, kind, told, &ear);
            break;
        case META_WATCH_SYNCED:
            s_synced(self, kind, told->mod_rev, &ear);
            break;
        }
    }
}

err_t picture_wrote(picture_t *self, ctx_t *ctx, const char *key, const view_t *value, int64_t rev,
                    picture_fn *fn, void *arg)
{
    const ear_t ear = { .fn = fn, .arg = arg };
    const item_t *known = map_get_str(self->items, key);
    if (known && known->rev >= rev)
        return OK;                              /* the watch was faster */
    for (unsigned kind = 0; kind < self->n_kinds; kind++) {
        if (strncmp(key, self->kinds[kind].root, strlen(self->kinds[kind].root)) != 0)
            continue;
        if (value)
            return s_put(self, ctx, kind, key, *value, rev, &ear);
        s_place(self, key, kind, s_item(self, kind, key, rev), &ear);
        return OK;
    }
    return ctx_fail(ctx, ERR_CORRUPT, "%s: not a key of this picture", key);
}

/* --- questions ------------------------------------------------------------------ */

bool picture_synced(const picture_t *self, unsigned kind)
{
    return self->state[kind].synced;
}

int64_t picture_rev(const picture_t *self, unsigned kind)
{
    return self->state[kind].seen;
}

const void *picture_get(const picture_t *self, const char *key, int64_t *ret_rev)
{
    const item_t *item = map_get_str(self->items, key);
    if (!item || !item->message)
        return NULL;
    if (ret_rev)
        *ret_rev = item->rev;
    return item->message;
}

size_t picture_list(const picture_t *self, ctx_t *ctx, const char *prefix,
                    int (*compare)(const void *, const void *), const void ***ret)
{
    const void **found = ctx_new(ctx, (map_len(self->items) + 1) * sizeof *found);
    size_t n = 0, len = strlen(prefix);
    void *value = NULL;
    for (size_t at = 0; map_next(self->items, &at, NULL, &value); ) {
        const item_t *item = value;
        if (item->message && strncmp(item->key, prefix, len) == 0)
            found[n++] = item->message;
    }
    qsort(found, n, sizeof *found, compare);
    *ret = found;
    return n;
}
