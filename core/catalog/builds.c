/* builds - see builds.h */
#include "core/catalog/builds.h"

#include <stdio.h>

#include "core/catalog/catalog.h"
#include "core/catalog/picture.h"
#include "core/segment/field_scalar.h"

struct builds {
    picture_t *picture;
};

static const char *s_key(ctx_t *ctx, const void *message)
{
    const Elanus__Build *build = message;
    return builds_key(ctx, build->collection, build->segment, build->index);
}

static const picture_kind_t s_kind = { "build/", &elanus__build__descriptor, s_key };

builds_t *builds_new(void)
{
    builds_t *self = mem_new(sizeof *self);
    self->picture = picture_new(&s_kind, 1);
    return self;
}

void builds_destroy(builds_t **self_p)
{
    if (!*self_p)
        return;
    picture_destroy(&(*self_p)->picture);
    mem_free(*self_p);
    *self_p = NULL;
}

const char *builds_root(void)
{
    return s_kind.root;
}

/* --- changes -------------------------------------------------------------------------- */

typedef struct {
    builds_fn *fn;
    void *arg;
} listener_t;

static void s_changed(void *arg, unsigned kind, const void *was, const void *now)
{
    const listener_t *listener = arg;
    (void)kind;
    if (listener->fn)
        listener->fn(listener->arg, was, now);
}

void builds_watched(builds_t *self, ctx_t *ctx, const meta_change_t *changes, size_t n,
                    builds_fn *fn, void *arg)
{
    listener_t listener = { fn, arg };
    picture_watched(self->picture, ctx, 0, changes, n, s_changed, &listener);
}

bool builds_synced(const builds_t *self)
{
    return picture_synced(self->picture, 0);
}

err_t builds_put(builds_t *self, ctx_t *ctx, const char *key, const view_t *value, int64_t rev)
{
    return picture_wrote(self->picture, ctx, key, value, rev, NULL, NULL);
}

/* --- questions -------------------------------------------------------------------------- */

const Elanus__Build *builds_get(const builds_t *self, uint64_t collection, uint64_t segment,
                                uint64_t index, int64_t *ret_rev)
{
    char key[96];
    snprintf(key, sizeof key, "build/%llu/%llu/%llu", (unsigned long long)collection,
             (unsigned long long)segment, (unsigned long long)index);
    return picture_get(self->picture, key, ret_rev);
}

static int s_by_segment(const void *a, const void *b)
{
    const Elanus__Build *x = *(const Elanus__Build *const *)a;
    const Elanus__Build *y = *(const Elanus__Build *const *)b;
    return x->segment != y->segment ? (x->segment > y->segment) - (x->segment < y->segment)
                                    : (x->index > y->index) - (x->index < y->index);
}

size_t builds_of(const builds_t *self, ctx_t *ctx, uint64_t collection, uint64_t segment,
                 const Elanus__Build ***ret)
{
    check(collection != 0 || segment == 0);
    const char *prefix = s_kind.root;
    if (segment)
        prefix = ctx_printf(ctx, "build/%llu/%llu/", (unsigned long long)collection,
                            (unsigned long long)segment);
    else if (collection)
        prefix = ctx_printf(ctx, "build/%llu/", (unsigned long long)collection);
    return picture_list(self->picture, ctx, prefix, s_by_segment, (const void ***)ret);
}

const char *builds_key(ctx_t *ctx, uint64_t collection, uint64_t segment, uint64_t index)
{
    return ctx_printf(ctx, "build/%llu/%llu/%llu", (unsigned long long)collection,
                      (unsigned long long)segment, (unsigned long long)index);
}

/* --- what is built ----------------------------------------------------------------------- */

static const Elanus__Field *s_field(const Elanus__Collection *coll, int64_t id)
{
    for (size_t i = 0; i < coll->n_fields; i++)
        if (coll->fields[i]->id == id)
            return coll->fields[i];
    return NULL;
}

bool builds_makes(const Elanus__Collection *coll, const Elanus__Index *index)
{
    const char *type = catalog_pair(index->params, index->n_params, "index_type");
    const Elanus__Field *field = s_field(coll, index->field_id);
    return type && field &&
           (field_index_made((type_t)field->type, type) ||
            field_scalar_made((type_t)field->type, (type_t)field->element, type));
}

bool builds_wants(const Elanus__Segment *segment, uint64_t min_rows)
{
    return segment->state == ELANUS__SEGMENT_STATE__SEGMENT_FLUSHED && segment->rows > 0 &&
           segment->rows >= min_rows;
}
