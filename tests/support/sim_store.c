/* sim_store - see sim_store.h.  A driver around the one of the memory store. */
#include "tests/support/sim_store.h"

#include "core/base/clock.h"
#include "core/store/store_int.h"
#include "tests/support/sim_int.h"

enum { CUT_NODES = 16, LATE_US = 20000000 };

struct sim_store {
    sim_t *sim;
    store_t *inner, *outer;
    map_t *born;                /* key -> when it was first there, in us + 1 */
    sim_store_moods_t moods;
    bool cut[CUT_NODES];
};

typedef struct deed {
    sim_store_t *store;
    char *key;
    buf_t bytes;
    int node;                   /* who asked, and in which of its lives */
    uint64_t generation;
    bool dies_too;              /* not done when the asker is dead by then */
} deed_t;

static bool s_chance(sim_store_t *self, double p)
{
    return p > 0 && rng_chance(&self->sim->rng, p);
}

static int64_t s_some_us(sim_store_t *self)
{
    int64_t us = 300 + (int64_t)rng_below(&self->sim->rng, 4000);
    bool slow = s_chance(self, self->moods.slow);
    return slow ? us + (int64_t)rng_below(&self->sim->rng, 1000000) : us;
}

/* Wait, but no longer than the caller does.  OK: it is that time and the caller is there. */
static err_t s_wait(ctx_t *ctx, sim_store_t *self, int64_t us, const char *what, const char *key)
{
    int64_t left_ms = ctx_left_ms(ctx);
    bool late = left_ms < us / 1000;
    if (!sim_job_wait(self->sim, late ? left_ms * 1000 : us))
        return ctx_fail(ctx, ERR_CANCELED, "%s of %s: this node is dead", what, key);
    return late ? ctx_fail(ctx, ERR_TIMEOUT, "no answer to the %s of %s in time", what, key) : OK;
}

static err_t s_luck(ctx_t *ctx, sim_store_t *self, const char *what, const char *key)
{
    const sim_job_t *job = sim_job_here(self->sim);
    if (self->cut[job->node] || s_chance(self, self->moods.fails))
        return ctx_fail(ctx, ERR_STORE, "no answer to the %s of %s", what, key);
    return OK;
}

/* --- puts --------------------------------------------------------------------------- */

static void s_now_there(sim_store_t *self, const char *key)
{
    if (!map_get_str(self->born, key))
        map_put_str(self->born, key, (void *)(uintptr_t)(self->sim->now_us + 1));
}

static void s_do_put(sim_t *sim, void *arg)
{
    deed_t *deed = arg;
    sim_store_t *self = deed->store;
    bool dead = sim && sim->nodes[deed->node].generation != deed->generation;
    if (sim && !(dead && deed->dies_too)) {
        ctx_t ctx;
        ctx_init(&ctx);
        store_parts_t parts = { .at = { buf_view(&deed->bytes) } };
        check(self->inner->driver->put(&ctx, self->inner->impl, deed->key, &parts) == OK);
        ctx_fini(&ctx);
        s_now_there(self, deed->key);
        sim_note(sim, dead ? "late-put" : "put", deed->node, deed->bytes.len);
    }
    buf_fini(&deed->bytes);
    mem_free(deed->key);
    mem_free(deed);
}

static void s_put_at(sim_store_t *self, const char *key, const store_parts_t *parts, int64_t us)
{
    const sim_job_t *job = sim_job_here(self->sim);
    deed_t *deed = mem_new(sizeof *deed);
    *deed = (deed_t){ .store = self, .key = mem_strdup(key), .node = job->node,
                      .generation = job->generation,
                      .dies_too = rng_chance(&self->sim->rng, 0.4) };
    buf_init(&deed->bytes, 0);
    buf_add_view(&deed->bytes, parts->at[0]);
    buf_add_view(&deed->bytes, parts->at[1]);
    sim_after(self->sim, us, s_do_put, deed);
}

static err_t s_put(ctx_t *ctx, void *impl, const char *key, const store_parts_t *parts)
{
    sim_store_t *self = impl;
    const sim_job_t *job = sim_job_here(self->sim);
    if (!job) {
        TRY(self->inner->driver->put(ctx, self->inner->impl, key, parts));
        s_now_there(self, key);
        return OK;
    }
    if (job->doomed)
        return ctx_fail(ctx, ERR_CANCELED, "put of %s: this node is dead", key);
    int64_t there = s_some_us(self), back = s_some_us(self);
    bool cut = self->cut[job->node], late = s_chance(self, cut ? 0.5 : self->moods.late);
    bool fails = cut || late || s_chance(self, self->moods.fails);
    bool unanswered = !fails && s_chance(self, self->moods.unanswered);
    if (late)
        s_put_at(self, key, parts, (int64_t)rng_below(&self->sim->rng, LATE_US) >>
                                   rng_below(&self->sim->rng, 6));
    else if (!fails)
        s_put_at(self, key, parts, there);
    TRY(s_wait(ctx, self, there + back, "put", key));
    return fails || unanswered ? ctx_fail(ctx, ERR_STORE, "no answer to the put of %s", key) : OK;
}

/* --- reads -------------------------------------------------------------------------- */

static void s_tear(sim_store_t *self, store_sink_t *sink)
{
    if (sink->len == 0 || !s_chance(self, self->moods.torn))
        return;
    uint64_t at = rng_below(&self->sim->rng, sink->len);
    if (rng_chance(&self->sim->rng, 0.5))
        sink->ptr[at] ^= (uint8_t)(1 << rng_below(&self->sim->rng, 8));
    else
        memset(sink->ptr + at, 0, sink->len - at);
}

static err_t s_get(ctx_t *ctx, void *impl, const char *key, uint64_t offset, uint64_t len,
                   store_sink_t *sink)
{
    sim_store_t *self = impl;
    if (!sim_job_here(self->sim))
        return self->inner->driver->get(ctx, self->inner->impl, key, offset, len, sink);
    TRY(s_wait(ctx, self, s_some_us(self), "get", key));
    TRY(s_luck(ctx, self, "get", key));
    TRY(self->inner->driver->get(ctx, self->inner->impl, key, offset, len, sink));
    TRY(s_wait(ctx, self, s_some_us(self), "get", key));
    s_tear(self, sink);
    return OK;
}

static err_t s_head(ctx_t *ctx, void *impl, const char *key, uint64_t *ret_len)
{
    sim_store_t *self = impl;
    if (!sim_job_here(self->sim))
        return self->inner->driver->head(ctx, self->inner->impl, key, ret_len);
    TRY(s_wait(ctx, self, s_some_us(self), "head", key));
    TRY(s_luck(ctx, self, "head", key));
    TRY(self->inner->driver->head(ctx, self->inner->impl, key, ret_len));
    return s_wait(ctx, self, s_some_us(self), "head", key);
}

/* Some of the young ones are not in it yet. */
static void s_lag(sim_store_t *self, store_list_t *list)
{
    size_t kept = 0;
    for (size_t i = 0; i < list->n; i++) {
        int64_t born = (int64_t)(uintptr_t)map_get_str(self->born, list->at[i].key) - 1;
        bool young = self->sim->now_us - born < self->moods.list_lag_ms * 1000;
        if (!(young && rng_chance(&self->sim->rng, 0.5)))
            list->at[kept++] = list->at[i];
    }
    list->n = kept;
}

static err_t s_list(ctx_t *ctx, void *impl, const char *prefix, const char *after, size_t most,
                    store_list_t *list)
{
    sim_store_t *self = impl;
    if (!sim_job_here(self->sim))
        return self->inner->driver->list(ctx, self->inner->impl, prefix, after, most, list);
    TRY(s_wait(ctx, self, s_some_us(self), "list", prefix));
    TRY(s_luck(ctx, self, "list", prefix));
    TRY(self->inner->driver->list(ctx, self->inner->impl, prefix, after, most, list));
    s_lag(self, list);
    return s_wait(ctx, self, s_some_us(self), "list", prefix);
}

static err_t s_remove(ctx_t *ctx, void *impl, const char *key)
{
    sim_store_t *self = impl;
    if (sim_job_here(self->sim)) {
        TRY(s_wait(ctx, self, s_some_us(self), "removal", key));
        TRY(s_luck(ctx, self, "removal", key));
    }
    map_del_str(self->born, key);
    TRY(self->inner->driver->remove(ctx, self->inner->impl, key));
    return sim_job_here(self->sim) ? s_wait(ctx, self, s_some_us(self), "removal", key) : OK;
}

static void s_end(void *impl)
{
    (void)impl;
}

static const store_driver_t s_driver = {
    .name = "simulated", .remote = true, .put = s_put, .get = s_get, .head = s_head,
    .list = s_list, .remove = s_remove, .destroy = s_end,
};

/* --- life --------------------------------------------------------------------------- */

sim_store_t *sim_store_new(sim_t *sim)
{
    sim_store_t *self = mem_new(sizeof *self);
    *self = (sim_store_t){ .sim = sim, .inner = store_memory_new(), .born = map_new() };
    self->outer = store_new(&s_driver, self);
    return self;
}

void sim_store_destroy(sim_store_t **self_p)
{
    sim_store_t *self = *self_p;
    if (!self)
        return;
    store_destroy(&self->outer);
    store_destroy(&self->inner);
    map_destroy(&self->born);
    mem_free(self);
    *self_p = NULL;
}

store_t *sim_store_of(sim_store_t *self)
{
    return self->outer;
}

void sim_store_mood(sim_store_t *self, const sim_store_moods_t *moods)
{
    self->moods = *moods;
}

void sim_store_cut(sim_store_t *self, int node, bool cut)
{
    check(node < CUT_NODES);
    sim_note(self->sim, cut ? "cut-store" : "heal-store", node, 0);
    self->cut[node] = cut;
}

void sim_store_heal(sim_store_t *self)
{
    memset(self->cut, 0, sizeof self->cut);
    self->moods = (sim_store_moods_t){0};
}
