/* waits - a map from cookies to continuations */
#include "core/node/waits.h"

#include "core/base/map.h"

typedef struct {
    wait_fn *fn;
    void *arg;
    bool always, owned_arg;
} wait_t;

struct waits {
    map_t *by_cookie;           /* of wait_t, owned */
};

waits_t *waits_new(void)
{
    waits_t *self = mem_new(sizeof *self);
    self->by_cookie = map_new();
    return self;
}

static void s_free(wait_t *wait)
{
    if (wait->owned_arg)
        mem_free(wait->arg);
    mem_free(wait);
}

void waits_destroy(waits_t **self_p)
{
    waits_t *self = *self_p;
    if (!self)
        return;
    void *wait = NULL;
    for (size_t at = 0; map_next(self->by_cookie, &at, NULL, &wait); )
        s_free(wait);
    map_destroy(&self->by_cookie);
    mem_free(self);
    *self_p = NULL;
}

static uint64_t s_add(waits_t *self, actions_t *act, wait_t what)
{
    uint64_t cookie = act_cookie(act);
    wait_t *wait = mem_new(sizeof *wait);
    *wait = what;
    check(map_put_u64(self->by_cookie, cookie, wait) == NULL);
    return cookie;
}

uint64_t wait_once(waits_t *self, actions_t *act, wait_fn *fn, void *arg)
{
    return s_add(self, act, (wait_t){ .fn = fn, .arg = arg });
}

uint64_t wait_owned(waits_t *self, actions_t *act, wait_fn *fn, void *arg)
{
    return s_add(self, act, (wait_t){ .fn = fn, .arg = arg, .owned_arg = true });
}

uint64_t wait_always(waits_t *self, actions_t *act, wait_fn *fn, void *arg)
{
    return s_add(self, act, (wait_t){ .fn = fn, .arg = arg, .always = true });
}

bool waits_run(waits_t *self, void *node, const event_t *ev, actions_t *act)
{
    wait_t *wait = map_get_u64(self->by_cookie, ev->cookie);
    if (!wait)
        return false;
    if (!wait->always)
        map_del_u64(self->by_cookie, ev->cookie);
    wait->fn(node, wait->arg, ev, act);
    if (!wait->always)
        s_free(wait);
    return true;
}
