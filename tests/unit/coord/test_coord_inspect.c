/* What a coordinator tells those who look in: the leader how each node is, a standby nothing. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/node/member.h"
#include "tests/support/builds_world.h"
#include "tests/support/fake_builders.h"

#define UP ELANUS__NODE_HEALTH__NODE_UP
#define SUSPECT ELANUS__NODE_HEALTH__NODE_SUSPECT

static const Elanus__Inspection *s_look(int node, bool asks)
{
    Elanus__InspectAsk ask = ELANUS__INSPECT_ASK__INIT;
    Elanus__Inspection *found = ctx_new(&builds_world.ctx, sizeof *found);
    elanus__inspection__init(found);
    ask.state = asks;
    const member_t *member = sim_node(builds_world.sim, node);      /* the first of every role */
    member->inspect(member, &ask, &builds_world.ctx, found);
    return found;
}

static size_t s_count(const Elanus__Inspection *found, const char *role,
                      Elanus__NodeHealth health)
{
    size_t n = 0;
    for (size_t i = 0; i < found->n_members; i++)
        n += found->members[i]->health == health &&
             strcmp(found->members[i]->info->role, role) == 0;
    return n;
}

static void the_leader_says_whom_it_suspects(void **state)
{
    (void)state;
    fake_builders_make(BUILDS);
    bw_make(&(builds_options_t){ .seed = 7, .coords = 2, .builders = 2,
                                 .builder = &fake_builder_role,
                                 .coord = { .channels = 4, .builds_a_node = 2 } });
    bw_start();
    sim_run(builds_world.sim, 3000);
    int leader = bw_leader();
    assert_in_range(leader, 0, 1);
    const Elanus__Inspection *found = s_look(leader, true);
    assert_int_equal(s_count(found, "coord", UP), 2);
    assert_int_equal(s_count(found, "indexnode", UP), 2);
    assert_int_equal(s_look(1 - leader, true)->n_members, 0);
    assert_int_equal(s_look(leader, false)->n_members, 0);

    sim_kill(builds_world.sim, bw_builder(0));
    sim_run(builds_world.sim, 1500);
    found = s_look(leader, true);
    assert_int_equal(s_count(found, "indexnode", UP), 1);
    assert_int_equal(s_count(found, "indexnode", SUSPECT), 1);
    bw_destroy();
    fake_builders_free();
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(the_leader_says_whom_it_suspects) };
    log_set_level(LOG_FATAL);
    return cmocka_run_group_tests_name("coord_inspect", tests, NULL, NULL);
}
