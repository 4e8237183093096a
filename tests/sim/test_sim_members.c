/* The first scenarios of the simulator: coordinators and data nodes register,
 * beat, are suspected, and change leaders, on the step functions that ship.
 *
 * Safety, after every step: of those who believe they lead, at most one holds
 * the leader key's present revision; nobody writes cluster state without
 * holding the leader key.  Liveness, once everything has healed: one ready
 * leader, and it sees every live node up.
 *
 * ELANUS_SIM_SEED=N runs one seed (add ELANUS_SIM_TRACE=1 to see it all);
 * ELANUS_SIM_SEEDS=N runs that many.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "coord/coord_node.h"
#include "core/node/member.h"
#include "datanode/data_node.h"
#include "tests/support/sim.h"

enum { COORDS = 3, DATANODES = 2, NODES = COORDS + DATANODES, DEFAULT_SEEDS = 40 };

typedef struct {
    uint64_t seed;
    bool expect_unsafe;         /* the planted bug is on: do not stop at a violation */
} world_t;

static uint64_t s_env(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : otherwise;
}

/* --- the model, checked after every step ------------------------------------------ */

static int64_t s_key_term(sim_t *sim)
{
    ctx_t ctx;
    ctx_init(&ctx);
    meta_item_t item = {0};
    int64_t term = meta_get(&ctx, sim_meta(sim), MEMBER_LEADER_KEY, &item) == OK ? item.mod_rev : 0;
    ctx_fini(&ctx);
    return term;
}

static void s_check(sim_t *sim, void *arg)
{
    const world_t *world = arg;
    int64_t term = s_key_term(sim);
    int holders = 0;
    for (int n = 0; n < COORDS; n++)
        if (sim_node(sim, n) && term != 0 && coord_node_term(sim_node(sim, n)) == term)
            holders++;
    if (holders > 1 || (sim_unguarded_writes(sim) > 0 && !world->expect_unsafe))
        fail_msg("seed %" PRIu64 " at %" PRId64 " ms: %d nodes lead term %" PRId64
                 ", %" PRIu64 " unguarded writes", world->seed, sim_now_ms(sim), holders, term,
                 sim_unguarded_writes(sim));
}

static sim_t *s_cluster(world_t *world, double meta_lost)
{
    sim_t *sim = sim_new(&(sim_options_t){
        .seed = world->seed, .meta_lost = meta_lost, .strip_guards = world->expect_unsafe,
        .verify = s_check, .verify_arg = world,
    });
    for (int n = 0; n < NODES; n++)
        sim_start(sim, sim_add(sim, n < COORDS ? &coord_role : &data_role));
    return sim;
}

static int s_leader(sim_t *sim)
{
    int64_t term = s_key_term(sim);
    for (int n = 0; n < COORDS; n++)
        if (sim_node(sim, n) && coord_node_leads(sim_node(sim, n)) &&
            coord_node_term(sim_node(sim, n)) == term)
            return n;
    return -1;
}

static size_t s_alive(sim_t *sim)
{
    size_t alive = 0;
    for (int n = 0; n < NODES; n++)
        alive += sim_alive(sim, n);
    return alive;
}

static bool s_settled(sim_t *sim, void *arg)
{
    (void)arg;
    int leader = s_leader(sim);
    return leader >= 0 && coord_node_members(sim_node(sim, leader), true) == s_alive(sim) &&
           coord_node_members(sim_node(sim, leader), false) == s_alive(sim);
}

static bool s_leads_again(sim_t *sim, void *arg)
{
    int *old = arg;
    int leader = s_leader(sim);
    return leader >= 0 && leader != *old;
}

/* --- scenarios ----------------------------------------------------------------------- */

static void a_cluster_forms(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        world_t world = { .seed = seed };
        owned(sim) sim = s_cluster(&world, 0);
        if (!sim_until(sim, 5000, s_settled, NULL))
            fail_msg("seed %" PRIu64 ": no settled cluster within 5 s", seed);
    }
}

/* A dead leader is replaced within 3 s, without waiting for its lease. */
static void a_killed_leader_is_replaced(void **state)
{
    (void)state;
    int64_t worst = 0;
    for (uint64_t seed = 0; seed < 50; seed++) {
        world_t world = { .seed = seed };
        owned(sim) sim = s_cluster(&world, 0);
        assert_true(sim_until(sim, 5000, s_settled, NULL));
        int old = s_leader(sim);
        sim_kill(sim, old);
        int64_t since = sim_now_ms(sim);
        if (!sim_until(sim, 3000, s_leads_again, &old))
            fail_msg("seed %" PRIu64 ": no new leader within 3 s", seed);
        int64_t took = sim_now_ms(sim) - since;
        worst = took > worst ? took : worst;
        assert_true(sim_until(sim, 15000, s_settled, NULL));   /* the dead session's lease ends */
    }
    printf("          worst takeover after kill: %" PRId64 " ms of simulated time\n", worst);
}

/* A frozen leader is replaced; awake again, it learns that it was deposed. */
static void a_frozen_leader_is_replaced_and_steps_down(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 50; seed++) {
        world_t world = { .seed = seed };
        owned(sim) sim = s_cluster(&world, 0);
        assert_true(sim_until(sim, 5000, s_settled, NULL));
        int old = s_leader(sim);
        sim_pause(sim, old);
        if (!sim_until(sim, 3000, s_leads_again, &old))
            fail_msg("seed %" PRIu64 ": no new leader within 3 s", seed);
        sim_resume(sim, old);
        sim_run(sim, 2000);
        assert_int_equal(coord_node_term(sim_node(sim, old)), 0);
        assert_true(sim_until(sim, 15000, s_settled, NULL));
    }
}

static void a_stopped_leader_hands_over_at_once(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        world_t world = { .seed = seed };
        owned(sim) sim = s_cluster(&world, 0);
        assert_true(sim_until(sim, 5000, s_settled, NULL));
        int old = s_leader(sim);
        sim_stop(sim, old);
        if (!sim_until(sim, 2000, s_leads_again, &old))
            fail_msg("seed %" PRIu64 ": no new leader within 2 s", seed);
        assert_true(sim_until(sim, 3000, s_settled, NULL));     /* its lease was given back */
    }
}

/* A data node that dies is suspect at once, and back after its restart. */
static void a_dead_data_node_is_suspect_then_back(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        world_t world = { .seed = seed };
        owned(sim) sim = s_cluster(&world, 0);
        assert_true(sim_until(sim, 5000, s_settled, NULL));
        sim_kill(sim, COORDS);
        sim_run(sim, 1500);
        coord_node_t *leader = sim_node(sim, s_leader(sim));
        assert_int_equal(coord_node_members(leader, true), NODES - 1);
        sim_start(sim, COORDS);
        assert_true(sim_until(sim, 15000, s_settled, NULL));
    }
}

/* An operator's accident; it makes the next leader write the default database again. */
static void s_lose_databases(sim_t *sim)
{
    ctx_t ctx;
    ctx_init(&ctx);
    meta_op_t all = { .kind = META_DELETE_PREFIX, .key = "db/" };
    meta_txn_t txn = { .ops = &all, .n_ops = 1 };
    meta_txn_result_t result;
    assert_int_equal(meta_txn(&ctx, sim_meta(sim), &txn, &result), OK);
    ctx_fini(&ctx);
}

static void s_misfortune(sim_t *sim)
{
    rng_t *rng = sim_rng(sim);
    int n = (int)rng_below(rng, NODES), m = (int)rng_below(rng, NODES);
    switch (rng_below(rng, 9)) {
    case 0: sim_kill(sim, n); break;
    case 1:
    case 2: if (!sim_alive(sim, n)) sim_start(sim, n); break;
    case 3: sim_pause(sim, n); break;
    case 4: if (sim_paused(sim, n)) sim_resume(sim, n); break;
    case 5: sim_cut(sim, n, m, rng_chance(rng, 0.6)); break;
    case 6: sim_cut_meta(sim, n, rng_chance(rng, 0.5)); break;
    case 7: s_lose_databases(sim); break;
    default: if (sim_alive(sim, n) && rng_chance(rng, 0.3)) sim_stop(sim, n); break;
    }
}

static uint64_t s_chaos(world_t *world)
{
    owned(sim) sim = s_cluster(world, 0.02);
    for (int round = 0; round < 120; round++) {
        sim_run(sim, (int64_t)rng_below(sim_rng(sim), 1500));
        s_misfortune(sim);
    }
    sim_heal(sim);
    sim_run(sim, 1);
    for (int n = 0; n < NODES; n++)
        if (!sim_alive(sim, n))
            sim_start(sim, n);
    if (!sim_until(sim, 90000, s_settled, NULL))
        fail_msg("seed %" PRIu64 ": not settled 90 s after everything healed (leader %d, %zu up, "
                 "%zu alive)", world->seed, s_leader(sim),
                 s_leader(sim) < 0 ? 0 : coord_node_members(sim_node(sim, s_leader(sim)), true),
                 s_alive(sim));
    return sim_hash(sim);
}

static void chaos_is_survived(void **state)
{
    (void)state;
    const char *one = getenv("ELANUS_SIM_SEED");
    uint64_t first = s_env("ELANUS_SIM_SEED", 1000);
    uint64_t seeds = one ? 1 : s_env("ELANUS_SIM_SEEDS", DEFAULT_SEEDS);
    for (uint64_t seed = first; seed < first + seeds; seed++) {
        world_t world = { .seed = seed };
        s_chaos(&world);
    }
    printf("          %" PRIu64 " seeds\n", seeds);
}

static void a_seed_replays_exactly(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 5; seed++) {
        world_t world = { .seed = seed };
        uint64_t first = s_chaos(&world), second = s_chaos(&world);
        assert_true(first == second);
        world_t other = { .seed = seed + 1 };
        assert_true(s_chaos(&other) != first);
    }
}

static bool s_somebody_just_won(sim_t *sim, void *arg)
{
    int *who = arg;
    for (int n = 0; n < COORDS; n++) {
        if (sim_node(sim, n) && coord_node_term(sim_node(sim, n)) > 0 &&
            !coord_node_leads(sim_node(sim, n))) {
            *who = n;
            return true;
        }
    }
    return false;
}

/* A leader freezes between its election and its first write, another one takes over,
 * and the first wakes up and writes: how many such writes got through? */
static uint64_t s_stale_leader_writes(world_t *world)
{
    owned(sim) sim = s_cluster(world, 0);
    assert_true(sim_until(sim, 5000, s_settled, NULL));
    s_lose_databases(sim);
    sim_kill(sim, s_leader(sim));
    int stale = -1;
    assert_true(sim_until(sim, 5000, s_somebody_just_won, &stale));
    sim_pause(sim, stale);
    sim_run(sim, 4000);
    s_lose_databases(sim);
    sim_resume(sim, stale);
    sim_run(sim, 3000);
    return sim_unguarded_writes(sim);
}

static void a_stale_leader_cannot_write(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 50; seed++) {
        world_t world = { .seed = seed };
        assert_int_equal(s_stale_leader_writes(&world), 0);
    }
}

/* The same with the planted bug (no guard on a leader's writes): the checker sees it. */
static void the_checker_finds_unguarded_writes(void **state)
{
    (void)state;
    uint64_t found = 0;
    for (uint64_t seed = 0; seed < 50; seed++) {
        world_t world = { .seed = seed, .expect_unsafe = true };
        found += s_stale_leader_writes(&world) > 0;
    }
    printf("          found with %" PRIu64 " of 50 seeds\n", found);
    assert_true(found > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cluster_forms),
        cmocka_unit_test(a_killed_leader_is_replaced),
        cmocka_unit_test(a_frozen_leader_is_replaced_and_steps_down),
        cmocka_unit_test(a_stopped_leader_hands_over_at_once),
        cmocka_unit_test(a_dead_data_node_is_suspect_then_back),
        cmocka_unit_test(chaos_is_survived),
        cmocka_unit_test(a_seed_replays_exactly),
        cmocka_unit_test(a_stale_leader_cannot_write),
        cmocka_unit_test(the_checker_finds_unguarded_writes),
    };
    log_set_level(LOG_FATAL);
    return cmocka_run_group_tests_name("sim_members", tests, NULL, NULL);
}
