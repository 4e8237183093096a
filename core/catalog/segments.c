/* segments - see segments.h */
#include "core/catalog/segments.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/base/limits.h"
#include "core/base/map.h"
#include "core/catalog/picture.h"

struct segments {
    picture_t *picture;
    map_t *by_id;               /* segment id -> Elanus__Segment of the picture */
};

static const char *s_segment_key(ctx_t *ctx, const void *message)
{
    const Elanus__Segment *segment = message;
    return segments_key(ctx, segment->collection, segment->id);
}

static const char *s_ckpt_key(ctx_t *ctx, const void *message)
{
    return segments_key_ckpt(ctx, ((const Elanus__Checkpoint *)message)->pchannel);
}

static const picture_kind_t s_kinds[SEGMENTS_KINDS] = {
    [SEGMENTS_SEG] = { "seg/", &elanus__segment__descriptor, s_segment_key },
    [SEGMENTS_CKPT] = { "ckpt/", &elanus__checkpoint__descriptor, s_ckpt_key },
};

segments_t *segments_new(void)
{
    segments_t *self = mem_new(sizeof *self);
    self->picture = picture_new(s_kinds, SEGMENTS_KINDS);
    self->by_id = map_new();
    return self;
}

void segments_destroy(segments_t **self_p)
{
    segments_t *self = *self_p;
    if (!self)
        return;
    map_destroy(&self->by_id);
    picture_destroy(&self->picture);
    mem_free(self);
    *self_p = NULL;
}

const char *segments_root(segments_kind_t kind)
{
    return s_kinds[kind].root;
}

/* --- changes ------------------------------------------------------------------ */

typedef struct {
    segments_t *self;
    segments_fn *fn;
    void *arg;
} ear_t;

static void s_changed(void *arg, unsigned kind, const void *was, const void *now)
{
    const ear_t *ear = arg;
    if (kind != SEGMENTS_SEG)
        return;
    const Elanus__Segment *segment = now ? now : was;
    if (now)
        map_put_u64(ear->self->by_id, segment->id, (void *)(uintptr_t)now);
    else
        map_del_u64(ear->self->by_id, segment->id);
    if (ear->fn)
        ear->fn(ear->arg, segment->collection, segment->id, now);
}

void segments_watched(segments_t *self, ctx_t *ctx, segments_kind_t kind,
                      const meta_change_t *changes, size_t n, segments_fn *fn, void *arg)
{
    ear_t ear = { .self = self, .fn = fn, .arg = arg };
    picture_watched(self->picture, ctx, kind, changes, n, s_changed, &ear);
}

err_t segments_put(segments_t *self, ctx_t *ctx, const char *key, const view_t *value, int64_t rev)
{
    ear_t ear = { .self = self };
    return picture_wrote(self->picture, ctx, key, value, rev, s_changed, &ear);
}

bool segments_synced(const segments_t *self)
{
    return picture_synced(self->picture, SEGMENTS_SEG) &&
           picture_synced(self->picture, SEGMENTS_CKPT);
}

/* --- questions -------------------------------------------------------------------- */

const Elanus__Segment *segments_get(const segments_t *self, uint64_t segment, int64_t *ret_rev)
{
    const Elanus__Segment *found = map_get_u64(self->by_id, segment);
    if (!found || !ret_rev)
        return found;
    char key[64];
    snprintf(key, sizeof key, "seg/%llu/%llu", (unsigned long long)found->collection,
             (unsigned long long)segment);
    return picture_get(self->picture, key, ret_rev);
}

bool segments_is_ahead(const segments_t *self, const Elanus__Segment *record)
{
    int64_t rev = 0;
    if (record->into == 0 || map_get_u64(self->by_id, record->into))
        return false;
    (void)segments_get(self, record->id, &rev);
    return rev >= picture_rev(self->picture, SEGMENTS_SEG);     /* one revision in two batches */
}

const Elanus__Checkpoint *segments_ckpt(const segments_t *self, const char *pchannel,
                                        int64_t *ret_rev)
{
    char key[LIMIT_META_KEY_BYTES + 1];
    int len = snprintf(key, sizeof key, "ckpt/%s", pchannel);
    return len > LIMIT_META_KEY_BYTES ? NULL : picture_get(self->picture, key, ret_rev);
}

static int s_by_id(const void *a, const void *b)
{
    uint64_t x = (*(const Elanus__Segment *const *)a)->id;
    uint64_t y = (*(const Elanus__Segment *const *)b)->id;
    return (x > y) - (x < y);
}

size_t segments_of(const segments_t *self, ctx_t *ctx, uint64_t collection,
                   const Elanus__Segment ***ret)
{
    const char *prefix = collection ? ctx_printf(ctx, "seg/%llu/", (unsigned long long)collection)
                                    : s_kinds[SEGMENTS_SEG].root;
    return picture_list(self->picture, ctx, prefix, s_by_id, (const void ***)ret);
}

const char *segments_key(ctx_t *ctx, uint64_t collection, uint64_t segment)
{
    return ctx_printf(ctx, "seg/%llu/%llu", (unsigned long long)collection,
                      (unsigned long long)segment);
}

const char *segments_key_ckpt(ctx_t *ctx, const char *pchannel)
{
    return ctx_printf(ctx, "ckpt/%s", pchannel);
}
