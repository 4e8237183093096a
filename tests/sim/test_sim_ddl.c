/* The catalog under leader changes: nothing lost, nothing twice.
 *
 * Three coordinators, and clients that make, rename and drop things of their
 * own, one after the other, each until it is acknowledged: a request without an
 * answer is sent again, with its token, to whoever leads then.  Coordinators
 * die, freeze and are cut off meanwhile, and answers of the metadata store get
 * lost.
 *
 * After every acknowledgement the metadata itself is compared with what the
 * client was told; at all times no two collections of a database have one
 * name, and no id was given out twice.  The planted bug is a client that takes
 * a new token for each attempt: the checker must see what that breaks.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "coord/coord_node.h"
#include "core/base/map.h"
#include "core/catalog/catalog.h"
#include "core/node/member.h"
#include "core/wire/pb.h"
#include "tests/support/sim.h"

enum { COORDS = 3, CLIENTS = 2, NODES = COORDS + CLIENTS, DEFAULT_SEEDS = 30, ROUNDS = 60 };
enum { TIMER_CLIENT = 100, TRY_MS = 600, PAUSE_MS = 30 };

/* --- a client, as a node of the cluster ------------------------------------------------ */

typedef enum { DO_DATABASE, DO_CREATE, DO_RENAME, DO_DROP, DO_DROP_DATABASE, DO_KINDS } do_t;

typedef struct {
    member_t member;
    do_t now;                   /* what is being asked for */
    unsigned turn;              /* counts the databases it made and dropped */
    unsigned attempt, done;
    bool acked;                 /* the last answer was OK; the checker takes it back */
    unsigned refused;           /* finally: must not happen */
    char why[256];
} client_t;

static bool s_fresh_tokens;     /* the planted bug; roles get no options in the simulator */

static void *s_make(const node_self_t *who, const void *options)
{
    (void)options;
    client_t *self = mem_new(sizeof *self);
    member_init(&self->member, who);
    return self;
}

static void s_end(void *node)
{
    member_fini(&((client_t *)node)->member);
    mem_free(node);
}

static void s_name(const client_t *self, char into[32], const char *what)
{
    snprintf(into, 32, "%s_%" PRIu64 "_%u", what, self->member.self->id, self->turn);
}

static Elanus__Collection *s_schema(ctx_t *ctx)
{
    Elanus__Collection *coll = ctx_new(ctx, sizeof *coll);
    elanus__collection__init(coll);
    Elanus__Field *field = ctx_new(ctx, sizeof *field);
    elanus__field__init(field);
    field->id = FIELD_FIRST;
    field->name = (char *)"id";
    field->type = TYPE_INT64;
    field->primary_key = true;
    coll->fields = ctx_new(ctx, sizeof(void *));
    coll->fields[0] = field;
    coll->n_fields = 1;
    return coll;
}

static void s_replied(void *node, void *arg, const event_t *ev, actions_t *act);

static void s_ask(client_t *self, const event_t *ev, actions_t *act)
{
    static const uint32_t s_methods[DO_KINDS] = {
        [DO_DATABASE] = ELANUS__METHOD__METHOD_CREATE_DATABASE,
        [DO_CREATE] = ELANUS__METHOD__METHOD_CREATE_COLLECTION,
        [DO_RENAME] = ELANUS__METHOD__METHOD_RENAME_COLLECTION,
        [DO_DROP] = ELANUS__METHOD__METHOD_DROP_COLLECTION,
        [DO_DROP_DATABASE] = ELANUS__METHOD__METHOD_DROP_DATABASE,
    };
    if (!self->member.leader_there) {
        act_timer(act, TIMER_CLIENT, PAUSE_MS);
        return;
    }
    char db[32], old[32], new[32];
    s_name(self, db, "db");
    s_name(self, old, "old");
    s_name(self, new, "new");
    Elanus__Ddl ask = ELANUS__DDL__INIT;
    ask.db_name = db;
    ask.collection_name = self->now == DO_DROP ? new : old;
    ask.new_name = new;
    ask.collection = self->now == DO_CREATE ? s_schema(ev->ctx) : NULL;
    ask.shards = 2;
    ask.token = ctx_printf(ev->ctx, "%" PRIu64 "-%u-%u-%u", self->member.self->incarnation,
                           self->turn, self->now, s_fresh_tokens ? self->attempt : 0);
    self->attempt++;
    act_call(act, self->member.leader_address, s_methods[self->now], pb_pack(ev->ctx, &ask),
             TRY_MS, wait_once(self->member.waits, act, s_replied, self));
}

static void s_replied(void *node, void *arg, const event_t *ev, actions_t *act)
{
    (void)arg;
    client_t *self = node;
    if (ev->err == OK) {
        self->acked = true;
        self->done++;
        self->turn += self->now == DO_DROP_DATABASE;
        self->now = (do_t)((self->now + 1) % DO_KINDS);
    } else if (ev->err != ERR_NETWORK && ev->err != ERR_TIMEOUT &&
               ev->err != ERR_OUTCOME_UNKNOWN && ev->err != ERR_SERVICE_NOT_READY) {
        self->refused++;
        snprintf(self->why, sizeof self->why, "%d: %s", self->now, ev->text);
        self->now = (do_t)((self->now + 1) % DO_KINDS);
    }
    act_timer(act, TIMER_CLIENT, PAUSE_MS);
}

static void s_step(void *node, const event_t *ev, actions_t *act)
{
    client_t *self = node;
    if (member_step(&self->member, self, ev, act))
        return;
    if (ev->kind == EV_START)
        act_timer(act, TIMER_CLIENT, PAUSE_MS);
    else if (ev->kind == EV_TIMER && ev->timer == TIMER_CLIENT)
        s_ask(self, ev, act);
}

static bool s_client_ready(const void *node)
{
    (void)node;
    return true;
}

static const role_t s_client_role = {
    .name = "proxy", .make = s_make, .step = s_step, .end = s_end, .ready = s_client_ready,
};

/* --- the checker ------------------------------------------------------------------------ */

typedef struct {
    uint64_t seed;
    unsigned acked;             /* answers compared */
} world_t;

/* The catalog as metadata has it now; a name twice or an id twice fails here. */
static void s_read(sim_t *sim, world_t *world, ctx_t *ctx, catalog_t *catalog)
{
    owned(map) ids = map_new();
    owned(map) names = map_new();
    for (int kind = 0; kind < CATALOG_KINDS; kind++) {
        meta_items_t items = {0};
        assert_int_equal(meta_list(ctx, sim_meta(sim), catalog_root((catalog_kind_t)kind), &items),
                         OK);
        for (size_t i = 0; i < items.n; i++)
            assert_int_equal(catalog_put(catalog, ctx, items.at[i].key, items.at[i].value, 1), OK);
    }
    const void **all = NULL;
    size_t n = catalog_list(catalog, ctx, CATALOG_COLLECTION, &all);
    for (size_t i = 0; i < n; i++) {
        const Elanus__Collection *coll = all[i];
        const char *name = ctx_printf(ctx, "%" PRIu64 "/%s", coll->db_id, coll->name);
        if (map_put_str(names, name, ids) || map_put_u64(ids, coll->id, ids) ||
            map_put_u64(ids, coll->partitions[0]->id, ids))
            fail_msg("seed %" PRIu64 ": %s or one of its ids is there twice", world->seed, name);
    }
    n = catalog_list(catalog, ctx, CATALOG_DATABASE, &all);
    for (size_t i = 0; i < n; i++) {
        const Elanus__Database *db = all[i];
        if (map_put_str(names, db->name, ids) || map_put_u64(ids, db->id, ids))
            fail_msg("seed %" PRIu64 ": database %s or its id is there twice", world->seed,
                     db->name);
    }
}

/* What a client was told is so: `now` is what it will ask next. */
static void s_compare(world_t *world, const client_t *client, const catalog_t *catalog)
{
    char db_name[32], old[32], new[32];
    s_name(client, db_name, "db");
    s_name(client, old, "old");
    s_name(client, new, "new");
    const Elanus__Database *db = catalog_database(catalog, db_name);
    bool has_old = db && catalog_collection(catalog, db->id, old);
    bool has_new = db && catalog_collection(catalog, db->id, new);
    bool right = client->now == DO_DATABASE ? !db
               : client->now == DO_CREATE ? db && !has_old && !has_new
               : client->now == DO_RENAME ? has_old && !has_new
               : client->now == DO_DROP ? has_new && !has_old
               : db && !has_old && !has_new;
    if (!right)
        fail_msg("seed %" PRIu64 ": client %" PRIu64 " was told that step %d of turn %u is done; "
                 "database %d, old %d, new %d", world->seed, client->member.self->id,
                 (client->now + DO_KINDS - 1) % DO_KINDS, client->turn, db != NULL, has_old,
                 has_new);
}

static void s_check(sim_t *sim, void *arg)
{
    world_t *world = arg;
    if (sim_unguarded_writes(sim) > 0)
        fail_msg("seed %" PRIu64 ": a write without the leader key", world->seed);
    for (int n = COORDS; n < NODES; n++) {
        client_t *client = sim_node(sim, n);
        if (!client || !client->acked)
            continue;
        client->acked = false;
        world->acked++;
        ctx_t ctx;
        ctx_init(&ctx);
        owned(catalog) catalog = catalog_new();
        s_read(sim, world, &ctx, catalog);
        s_compare(world, client, catalog);
        ctx_fini(&ctx);
    }
}

/* --- scenarios ---------------------------------------------------------------------------- */

static void s_misfortune(sim_t *sim)
{
    rng_t *rng = sim_rng(sim);
    int n = (int)rng_below(rng, COORDS), m = (int)rng_below(rng, NODES);
    switch (rng_below(rng, 7)) {
    case 0: sim_kill(sim, n); break;
    case 1:
    case 2: if (!sim_alive(sim, n)) sim_start(sim, n); break;
    case 3: sim_pause(sim, n); break;
    case 4: if (sim_paused(sim, n)) sim_resume(sim, n); break;
    case 5: sim_cut(sim, n, m, rng_chance(rng, 0.6)); break;
    default: sim_cut_meta(sim, n, rng_chance(rng, 0.5)); break;
    }
}

static unsigned s_done(sim_t *sim)
{
    unsigned done = 0;
    for (int n = COORDS; n < NODES; n++)
        done += ((client_t *)sim_node(sim, n))->done;
    return done;
}

static bool s_goes_on(sim_t *sim, void *arg)
{
    return s_done(sim) >= *(unsigned *)arg;
}

/* How many requests were refused that should not have been. */
static unsigned s_chaos(world_t *world, unsigned *ret_done, char why[256])
{
    owned(sim) sim = sim_new(&(sim_options_t){
        .seed = world->seed, .meta_lost = 0.02, .verify = s_check, .verify_arg = world });
    for (int n = 0; n < NODES; n++)
        sim_start(sim, sim_add(sim, n < COORDS ? &coord_role : &s_client_role));
    for (int round = 0; round < ROUNDS; round++) {
        sim_run(sim, (int64_t)rng_below(sim_rng(sim), 1500));
        s_misfortune(sim);
    }
    sim_heal(sim);
    sim_run(sim, 1);
    for (int n = 0; n < COORDS; n++)
        if (!sim_alive(sim, n))
            sim_start(sim, n);
    unsigned want = s_done(sim) + 20, refused = 0;
    if (!sim_until(sim, 90000, s_goes_on, &want))
        fail_msg("seed %" PRIu64 ": no change of the catalog 90 s after everything healed",
                 world->seed);
    for (int n = COORDS; n < NODES; n++) {
        const client_t *client = sim_node(sim, n);
        refused += client->refused;
        if (client->refused)
            snprintf(why, 256, "%s", client->why);
    }
    *ret_done += s_done(sim);
    return refused;
}

static uint64_t s_env(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : otherwise;
}

static void acknowledged_changes_hold(void **state)
{
    (void)state;
    bool one = getenv("ELANUS_SIM_SEED") != NULL;
    uint64_t first = s_env("ELANUS_SIM_SEED", 1);
    uint64_t seeds = one ? 1 : s_env("ELANUS_SIM_SEEDS", DEFAULT_SEEDS);
    unsigned done = 0, acked = 0;
    char why[256] = "";
    s_fresh_tokens = false;
    for (uint64_t seed = first; seed < first + seeds; seed++) {
        world_t world = { .seed = seed };
        if (s_chaos(&world, &done, why) > 0)
            fail_msg("seed %" PRIu64 ": refused: %s", seed, why);
        acked += world.acked;
    }
    printf("          %" PRIu64 " seeds, %u changes, %u compared\n", seeds, done, acked);
    assert_true(acked > 0 && acked <= done);
}

/* Each attempt with a token of its own: a change that was done, and whose answer was
 * lost, is refused as a duplicate. */
static void the_checker_finds_attempts_without_a_common_token(void **state)
{
    (void)state;
    unsigned done = 0, found = 0;
    char why[256] = "";
    s_fresh_tokens = true;
    for (uint64_t seed = 1; seed <= DEFAULT_SEEDS; seed++) {
        world_t world = { .seed = seed };
        found += s_chaos(&world, &done, why) > 0;
    }
    s_fresh_tokens = false;
    printf("          found with %u of %d seeds\n", found, DEFAULT_SEEDS);
    assert_true(found > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(acknowledged_changes_hold),
        cmocka_unit_test(the_checker_finds_attempts_without_a_common_token),
    };
    log_set_level(LOG_FATAL);
    return cmocka_run_group_tests_name("sim_ddl", tests, NULL, NULL);
}
