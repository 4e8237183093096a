/* alarm: a heap against an array that is searched, over random sets, clears and rings. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/base/rng.h"
#include "core/net/alarm.h"

enum { N = 200 };

static int64_t s_earliest(const alarm_t *alarm)
{
    int64_t least = INT64_MAX;
    for (int i = 0; i < N; i++)
        if (alarm[i].place && alarm[i].due_ms < least)
            least = alarm[i].due_ms;
    return least;
}

static void the_earliest_rings_first(void **state)
{
    (void)state;
    alarm_t alarm[N] = {0};
    alarms_t alarms;
    alarms_init(&alarms);
    rng_t rng;
    rng_seed(&rng, 3);
    for (int round = 0; round < 20000; round++) {
        alarm_t *one = &alarm[rng_below(&rng, N)];
        switch (rng_below(&rng, 3)) {
        case 0: case 1:
            alarms_set(&alarms, one, (int64_t)rng_below(&rng, 1000));
            break;
        default:
            alarms_clear(&alarms, one);
            assert_int_equal(one->place, 0);
        }
        int64_t least = s_earliest(alarm);
        assert_true(alarms_next_ms(&alarms) == least);
        if (!rng_chance(&rng, 0.2))
            continue;
        assert_null(alarms_ring(&alarms, least - 1));
        alarm_t *rang = alarms_ring(&alarms, 1000);
        assert_true(least == INT64_MAX ? rang == NULL : rang->due_ms == least && !rang->place);
    }
    int64_t last = 0;
    for (alarm_t *rang; (rang = alarms_ring(&alarms, 1000)) != NULL; last = rang->due_ms)
        assert_true(rang->due_ms >= last);
    assert_true(s_earliest(alarm) == INT64_MAX);
    alarms_fini(&alarms);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(the_earliest_rings_first) };
    return cmocka_run_group_tests_name("alarm", tests, NULL, NULL);
}
