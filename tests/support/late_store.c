/* late_store - see late_store.h */
#include "tests/support/late_store.h"

#include "core/base/buf.h"
#include "core/base/vec.h"
#include "core/store/store_int.h"

typedef struct { char *key; buf_t bytes; } late_put_t;

struct late_store {
    store_t *store;
    store_driver_t driver;      /* that of `stable`, with another put */
    const store_driver_t *stable;
    void *impl;
    rng_t *rng;
    double trouble;
    vec_t late;                 /* of late_put_t */
};

static late_store_t *g_late;    /* a driver's put is not told whose it is */

static err_t s_put_late(ctx_t *ctx, void *impl, const char *key, const store_parts_t *parts)
{
    late_store_t *self = g_late;
    self->impl = impl;
    if (!rng_chance(self->rng, self->trouble))
        return self->stable->put(ctx, impl, key, parts);
    late_put_t late = { .key = NULL };
    switch (rng_below(self->rng, 3)) {
    case 0:
        break;
    case 1:
        TRY(self->stable->put(ctx, impl, key, parts));
        break;
    default:
        late.key = mem_strdup(key);
        buf_init(&late.bytes, 0);
        buf_add_view(&late.bytes, parts->at[0]);
        buf_add_view(&late.bytes, parts->at[1]);
        vec_push(&self->late, &late);
    }
    return ctx_fail(ctx, ERR_STORE, "no answer to the put of %s", key);
}

late_store_t *late_store_new(rng_t *rng)
{
    late_store_t *self = mem_new(sizeof *self);
    check(!g_late);
    *self = (late_store_t){ .store = store_memory_new(), .rng = rng };
    vec_init(&self->late, sizeof(late_put_t));
    self->stable = self->store->driver;
    self->driver = *self->stable;
    self->driver.put = s_put_late;
    self->store->driver = &self->driver;
    g_late = self;
    return self;
}

static void s_drop(late_store_t *self, size_t i)
{
    late_put_t *late = vec_at(&self->late, i);
    mem_free(late->key);
    buf_fini(&late->bytes);
    vec_swap_remove(&self->late, i);
}

void late_store_destroy(late_store_t **self_p)
{
    late_store_t *self = *self_p;
    if (!self)
        return;
    while (self->late.len > 0)
        s_drop(self, 0);
    vec_fini(&self->late);
    store_destroy(&self->store);
    mem_free(self);
    g_late = NULL;
    *self_p = NULL;
}

store_t *late_store_of(late_store_t *self)
{
    return self->store;
}

void late_store_trouble(late_store_t *self, double chance)
{
    self->trouble = chance;
}

void late_store_land(late_store_t *self)
{
    for (size_t i = self->late.len; i-- > 0; ) {
        late_put_t *late = vec_at(&self->late, i);
        if (!rng_chance(self->rng, 0.02))
            continue;
        ctx_t ctx;
        ctx_init(&ctx);
        store_parts_t parts = { .at = { buf_view(&late->bytes) } };
        check(self->stable->put(&ctx, self->impl, late->key, &parts) == OK);
        ctx_fini(&ctx);
        s_drop(self, i);
    }
}
