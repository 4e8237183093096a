/* cluster_sim - see cluster_sim.h */
#include "tests/support/cluster_sim.h"

#include <inttypes.h>
#include <stdlib.h>

#include "core/segment/live.h"
#include "elanus.pb-c.h"
#include "tests/support/sim_int.h"

enum { CHANNELS = 2, SET_UP_MS = 60000, QUIET_MS = 12000 };

static rng_t *s_rng(cluster_sim_t *self)
{
    return sim_rng(self->sim);
}

/* --- making ------------------------------------------------------------------------- */

static data_options_t s_data_options(cluster_sim_t *self)
{
    return (data_options_t){
        .store = sim_store_of(self->store), .repeat_ms = 12000,
        .seal_bytes = 512 << 10, .seal_age_ms = 6000, .seal_idle_ms = 2000,
        .delete_bytes = 2000, .delete_age_ms = 4000, .segment_bytes = 20000, .small_share = 0.5,
        .compactable_share = 0.85, .expansion_rate = 1.25, .retention_ms = 10000,
        .compaction = true, .auto_compaction = true, .gc = true, .gc_interval_ms = 5000,
        .gc_missing_ms = 5000000, .gc_drop_ms = 15000,
    };
}

static void s_add_nodes(cluster_sim_t *self)
{
    self->coord.channels = CHANNELS;
    self->data = s_data_options(self);
    self->query = (query_options_t){ .store = sim_store_of(self->store), .threads = 2,
                                     .preload = rng_chance(s_rng(self), 0.5) };
    self->proxy = (proxy_options_t){ .root_password = "" };
    for (int n = 0; n < CS_NODES; n++) {
        if (n < CS_DATA)
            sim_add_with(self->sim, &coord_role, &self->coord);
        else if (n < CS_QUERY)
            sim_add_with(self->sim, &data_role, &self->data);
        else if (n < CS_PROXY)
            sim_add_with(self->sim, &query_role, &self->query);
        else
            sim_add_with(self->sim, &proxy_role, &self->proxy);
    }
}

cluster_sim_t *cluster_sim_new(uint64_t seed)
{
    cluster_sim_t *self = mem_new(sizeof *self);
    self->seed = seed;
    ctx_init(&self->memory);
    vec_init(&self->open, sizeof(cs_request_t *));
    self->last_why = "";
    self->history = getenv("ELANUS_SIM_HISTORY") != NULL;
    live_apart(true);
    self->sim = sim_new(&(sim_options_t){
        .seed = seed, .meta_lost = seed % 3 ? 0.005 : 0.02, .meta_slow = seed % 5 ? 0 : 0.01,
        .same_clocks = seed % 2, .fibers = true, .item = cs_answered,
        .item_arg = self });
    self->store = sim_store_new(self->sim);
    self->rows = row_model_new(CS_KEYS);
    s_add_nodes(self);
    return self;
}

void cluster_sim_destroy(cluster_sim_t **self_p)
{
    cluster_sim_t *self = *self_p;
    if (!self)
        return;
    sim_destroy(&self->sim);
    cs_clients_end(self);
    sim_store_destroy(&self->store);
    row_model_destroy(&self->rows);
    row_model_destroy(&self->side);
    ctx_fini(&self->memory);
    live_apart(false);
    mem_free(self);
    *self_p = NULL;
}

const char *cluster_sim_verdict(const cluster_sim_t *self)
{
    const char *side = self->side ? row_model_verdict(self->side) : NULL;
    return side ? side : row_model_verdict(self->rows);
}

/* --- the collection ----------------------------------------------------------------- */

static void s_set_up(cluster_sim_t *self, cs_kind_t kind);

static void s_set_up_next(sim_t *sim, void *arg)
{
    cs_request_t *request = arg;
    if (sim)
        s_set_up(request->world, request->kind);
    mem_free(request);
}

static void s_set_up_answer(cluster_sim_t *self, cs_request_t *request, err_t err, const char *why,
                            const ProtobufCMessage *response)
{
    static const cs_kind_t s_next[CS_KINDS] = { [CS_CREATE] = CS_INDEX, [CS_INDEX] = CS_LOAD,
                                                [CS_LOAD] = CS_PROGRESS,
                                                [CS_PROGRESS] = CS_PROGRESS };
    (void)why;
    cs_kind_t next = err == OK ? s_next[request->kind] : request->kind;
    const Milvus__GetLoadingProgressResponse *progress = (const void *)response;
    if (err == OK && request->kind == CS_PROGRESS && progress->progress == 100) {
        self->set_up = true;
        return;
    }
    cs_request_t *again = mem_new(sizeof *again);
    *again = (cs_request_t){ .world = self, .kind = next };
    sim_after(self->sim, 50000, s_set_up_next, again);
}

static void s_set_up(cluster_sim_t *self, cs_kind_t kind)
{
    cs_send(cs_request(self, 0, kind, s_set_up_answer));
}

static bool s_is_set_up(sim_t *sim, void *arg)
{
    (void)sim;
    const cluster_sim_t *self = arg;
    return self->set_up || cluster_sim_verdict(self);
}

bool cluster_sim_start(cluster_sim_t *self)
{
    for (int n = 0; n < CS_NODES; n++)
        sim_start(self->sim, n);
    s_set_up(self, CS_CREATE);
    if (!sim_until(self->sim, SET_UP_MS, s_is_set_up, self))
        row_model_wrong(self->rows, "liveness: no collection after %d s: %s", SET_UP_MS / 1000,
                        self->last_why);
    cs_clients_start(self);
    cs_ddl_start(self);
    return !cluster_sim_verdict(self);
}

/* --- misfortune --------------------------------------------------------------------- */

static void s_kill(cluster_sim_t *self, int n)
{
    sim_kill(self->sim, n);
    if (n >= CS_PROXY)
        cs_proxy_died(self, n);
}

static void s_store_mood(cluster_sim_t *self)
{
    rng_t *rng = s_rng(self);
    sim_store_moods_t moods = {0};
    if (rng_chance(rng, 0.6))
        moods = (sim_store_moods_t){
            .fails = rng_chance(rng, 0.5) ? 0.05 : 0, .unanswered = rng_chance(rng, 0.5) ? 0.1 : 0,
            .late = rng_chance(rng, 0.3) ? 0.05 : 0, .slow = rng_chance(rng, 0.5) ? 0.1 : 0,
            .torn = rng_chance(rng, 0.5) ? 0.02 : 0,
            .list_lag_ms = rng_chance(rng, 0.5) ? (int64_t)rng_below(rng, 5000) : 0 };
    sim_store_mood(self->store, &moods);
}

static void s_toggle_pause(cluster_sim_t *self, int n)
{
    if (sim_paused(self->sim, n))
        sim_resume(self->sim, n);
    else
        sim_pause(self->sim, n);
}

/* Some are on one side, the rest on the other; who is on the smaller one sees less. */
static void s_split(cluster_sim_t *self)
{
    rng_t *rng = s_rng(self);
    bool apart[CS_NODES] = {0}, no_meta = rng_chance(rng, 0.7), no_store = rng_chance(rng, 0.3);
    for (uint64_t i = 1 + rng_below(rng, 3); i > 0; i--)
        apart[rng_below(rng, CS_NODES)] = true;
    for (int a = 0; a < CS_NODES; a++) {
        for (int b = 0; b < CS_NODES; b++)
            sim_cut(self->sim, a, b, apart[a] != apart[b]);
        if (apart[a]) {
            sim_cut_meta(self->sim, a, no_meta);
            sim_store_cut(self->store, a, no_store);
        }
    }
}

/* A data node goes on with its clients, and perhaps its readers, and does not hear that the rest
 * of the cluster has gone on without it. */
static void s_forget_one(cluster_sim_t *self)
{
    rng_t *rng = s_rng(self);
    int zombie = CS_DATA + (int)rng_below(rng, CS_DATAS);
    for (int n = 0; n < CS_DATA; n++) {
        sim_cut(self->sim, n, zombie, true);
        sim_cut(self->sim, zombie, n, true);
    }
    sim_cut_meta(self->sim, zombie, true);
    sim_store_cut(self->store, zombie, rng_chance(rng, 0.2));
    for (int n = CS_QUERY; n < CS_NODES; n++)
        if (rng_chance(rng, 0.6))
            sim_cut_meta(self->sim, n, true);
    sim_run(self->sim, 1000 + (int64_t)rng_below(rng, 4000));
    if (rng_chance(rng, 0.5))
        s_kill(self, CS_DATA + (int)rng_below(rng, CS_DATAS));
    sim_heal(self->sim);
    sim_store_cut(self->store, zombie, false);
}

static void s_start_some(cluster_sim_t *self, double chance)
{
    for (int n = 0; n < CS_NODES; n++)
        if (!sim_alive(self->sim, n) && rng_chance(s_rng(self), chance))
            sim_start(self->sim, n);
}

void cluster_sim_misfortune(cluster_sim_t *self)
{
    rng_t *rng = s_rng(self);
    int n = (int)rng_below(rng, CS_NODES), other = (int)rng_below(rng, CS_NODES);
    for (int proxy = CS_PROXY; proxy < CS_NODES; proxy++)
        if (!sim_alive(self->sim, proxy))
            sim_start(self->sim, proxy);
    switch (rng_below(rng, 18)) {
    case 0:
    case 1: s_kill(self, n); break;
    case 2: sim_cut_meta(self->sim, n, rng_chance(rng, 0.5)); break;
    case 3:
    case 4: sim_cut(self->sim, n, other, rng_chance(rng, 0.5)); break;
    case 5:
        sim_cut(self->sim, n, other, true);
        sim_cut(self->sim, other, n, true);
        break;
    case 6: s_toggle_pause(self, n); break;
    case 7: s_store_mood(self); break;
    case 8: sim_store_cut(self->store, n, rng_chance(rng, 0.5)); break;
    case 9: if (sim_alive(self->sim, n)) sim_relist(self->sim, n); break;
    case 10: s_split(self); break;
    case 11: s_forget_one(self); break;
    case 12:
    case 13: sim_heal(self->sim); sim_store_heal(self->store); break;
    default: s_start_some(self, 0.6);
    }
}

void cluster_sim_heal(cluster_sim_t *self)
{
    sim_store_heal(self->store);
    sim_heal(self->sim);
    for (int n = 0; n < CS_NODES; n++)
        if (!sim_alive(self->sim, n))
            sim_start(self->sim, n);
}

/* --- peace -------------------------------------------------------------------------- */

static bool s_all_answered(sim_t *sim, void *arg)
{
    (void)sim;
    const cluster_sim_t *self = arg;
    return self->open.len == 0 || cluster_sim_verdict(self);
}

/* Is this key of owner/ that of a living node, ACTIVE? */
static bool s_owned(cluster_sim_t *self, ctx_t *ctx, const meta_item_t *item)
{
    Elanus__Owner *owner = NULL;
    check(PB_UNPACK(ctx, elanus__owner, item->value, &owner) == OK);
    for (int n = CS_DATA; n < CS_QUERY; n++)
        if (sim_alive(self->sim, n) && sim_self(self->sim, n)->incarnation == owner->incarnation)
            return owner->state == ELANUS__OWNER_STATE__OWNER_ACTIVE;
    return false;
}

static bool s_all_owned(sim_t *sim, void *arg)
{
    cluster_sim_t *self = arg;
    ctx_t ctx;
    ctx_init(&ctx);
    meta_items_t items = {0};
    check(meta_list(&ctx, sim_meta(sim), "owner/", &items) == OK);
    bool all = items.n == CHANNELS;
    for (size_t i = 0; i < items.n; i++)
        all &= s_owned(self, &ctx, &items.at[i]);
    ctx_fini(&ctx);
    return all || cluster_sim_verdict(self);
}

static void s_count_row(void *arg, int64_t key, int64_t version, const float *score)
{
    (void)key;
    (void)version;
    (void)score;
    ++*(int64_t *)arg;
}

static void s_last_answer(cluster_sim_t *self, cs_request_t *request, err_t err, const char *why,
                          const ProtobufCMessage *response)
{
    (void)why;
    if (err != OK)
        return;
    if (request->kind == CS_COUNT)
        cs_count_of(response, &self->last_count);
    else
        cs_rows_of(request, response, s_count_row, &self->last_count);
    self->last_done = true;
}

/* Ask until it is answered; how many rows there are.  -1: it never was. */
static int64_t s_last_look(cluster_sim_t *self, cs_kind_t kind, int64_t until_ms)
{
    self->last_done = false;
    while (!self->last_done && sim_now_ms(self->sim) < until_ms && !cluster_sim_verdict(self)) {
        self->last_count = 0;
        cs_send(cs_request(self, 0, kind, s_last_answer));
        sim_run(self->sim, 25);
        sim_until(self->sim, 20000, s_all_answered, self);
        sim_run(self->sim, self->last_done ? 0 : 100);
    }
    if (!self->last_done)
        row_model_wrong(self->rows, "liveness: no answer to the last read (%d): %s", (int)kind,
                        self->last_why);
    return self->last_count;
}

void cluster_sim_settle(cluster_sim_t *self, int64_t ms)
{
    int64_t until_ms = sim_now_ms(self->sim) + ms;
    cluster_sim_heal(self);
    self->calm = true;
    if (!sim_until(self->sim, 30000, s_all_answered, self))
        row_model_wrong(self->rows, "liveness: a request got no answer");
    if (!sim_until(self->sim, until_ms - sim_now_ms(self->sim), s_all_owned, self))
        row_model_wrong(self->rows, "liveness: a channel has no owner");
    s_last_look(self, CS_SCAN, until_ms);
    sim_run(self->sim, QUIET_MS);       /* what was asked and never answered may still happen */
    int64_t scanned = s_last_look(self, CS_SCAN, until_ms);
    int64_t counted = s_last_look(self, CS_COUNT, until_ms);
    int64_t found = s_last_look(self, CS_SEARCH, until_ms);
    if (!cluster_sim_verdict(self) && (scanned != counted || scanned != found))
        row_model_wrong(self->rows, "a scan has %" PRId64 " rows, a count %" PRId64
                        ", a search %" PRId64, scanned, counted, found);
    self->calm = false;
}
