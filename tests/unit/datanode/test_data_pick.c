/* data_pick: what is merged, what is rewritten, what is left alone; and that a partition that
 * is fed with small segments for ever has few of them, each row having been written a
 * few times. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/base/limits.h"
#include "datanode/data_pick.h"

enum { MB = 1 << 20 };

static const pick_policy_t s_policy = {
    .segment_bytes = 1024ull * MB, .small_share = 0.5, .compactable_share = 0.85,
    .expansion_rate = 1.25,
};

static pick_segment_t s_sized(uint64_t megabytes)
{
    return (pick_segment_t){ .bytes = megabytes * MB, .rows = 1000, .min_ts = 100, .max_ts = 200 };
}

/* Groups as a text: "0 1 2|5". */
static const char *s_pick(ctx_t *ctx, const pick_segment_t *segments, size_t n,
                          const pick_policy_t *policy)
{
    pick_group_t *groups = NULL;
    size_t n_groups = pick_merges(ctx, segments, n, policy, &groups);
    const char *text = "";
    for (size_t i = 0; i < n_groups; i++)
        for (size_t k = 0; k < groups[i].n; k++)
            text = ctx_printf(ctx, "%s%s%zu", text, k ? " " : i ? "|" : "", groups[i].at[k]);
    return text;
}

static void small_ones_are_merged(void **state)
{
    (void)state;
    ctx_t ctx;
    ctx_init(&ctx);
    pick_segment_t eight[8], three[] = { s_sized(120), s_sized(120), s_sized(120) };
    for (size_t i = 0; i < 8; i++)
        eight[i] = s_sized(120);
    assert_string_equal(s_pick(&ctx, eight, 8, &s_policy), "0 1 2 3 4 5 6 7");
    assert_string_equal(s_pick(&ctx, three, 3, &s_policy), "");
    assert_string_equal(s_pick(&ctx, eight, 4, &s_policy), "0 1 2 3");
    pick_segment_t two[] = { s_sized(450), s_sized(440) };
    assert_string_equal(s_pick(&ctx, two, 2, &s_policy), "1 0");    /* fill a segment */
    pick_segment_t uneven[] = { s_sized(400), s_sized(1), s_sized(1), s_sized(1), s_sized(1) };
    assert_string_equal(s_pick(&ctx, uneven, 5, &s_policy), "1 2 3 4");
    pick_segment_t big[] = { s_sized(600), s_sized(600), s_sized(700) };
    assert_string_equal(s_pick(&ctx, big, 3, &s_policy), "");
    ctx_fini(&ctx);
}

static void no_group_passes_the_bounds(void **state)
{
    (void)state;
    ctx_t ctx;
    ctx_init(&ctx);
    pick_segment_t many[100];
    for (size_t i = 0; i < 100; i++)
        many[i] = s_sized(1);
    pick_group_t *groups = NULL;
    size_t n = pick_merges(&ctx, many, 100, &s_policy, &groups);
    assert_int_equal(n, 4);
    assert_int_equal(groups[0].n, LIMIT_MERGE_SEGMENTS);
    for (size_t i = 0; i < 100; i++)
        many[i] = s_sized(400);
    n = pick_merges(&ctx, many, 100, &s_policy, &groups);
    assert_int_equal(n, 33);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(groups[i].n, 3);       /* 1200 of at most 1280 */
    assert_int_equal(pick_merges(&ctx, many, 0, &s_policy, &groups), 0);
    ctx_fini(&ctx);
}

static void the_dead_are_buried(void **state)
{
    (void)state;
    ctx_t ctx;
    ctx_init(&ctx);
    pick_segment_t big[] = { s_sized(900), s_sized(900), s_sized(900), s_sized(900) };
    big[0].deleted = 150;
    big[1].deleted = 250;
    big[2].deleted = 250;
    big[2].ripe = true;
    big[3].n_deltalogs = 200;
    assert_string_equal(s_pick(&ctx, big, 4, &s_policy), "2|3");
    pick_policy_t manual = s_policy, ttl = s_policy;
    manual.manual = true;
    assert_string_equal(s_pick(&ctx, big, 4, &manual), "0|1|2");
    ttl.expire_ts = 130;                        /* 3 in 10 of the rows */
    assert_string_equal(s_pick(&ctx, big, 2, &ttl), "0|1");
    ttl.expire_ts = 110;
    assert_string_equal(s_pick(&ctx, big, 2, &ttl), "");
    ttl.expire_ts = 1000;                       /* all */
    assert_string_equal(s_pick(&ctx, big, 1, &ttl), "0");
    ctx_fini(&ctx);
}

static void whoever_asks_gets_everything_merged(void **state)
{
    (void)state;
    ctx_t ctx;
    ctx_init(&ctx);
    pick_policy_t manual = s_policy;
    manual.manual = true;
    pick_segment_t some[] = { s_sized(400), s_sized(1), s_sized(900) };
    assert_string_equal(s_pick(&ctx, some, 3, &manual), "1 0");
    assert_string_equal(s_pick(&ctx, some + 2, 1, &manual), "");
    some[2].deleted = 700;                      /* what is left of it is small */
    assert_string_equal(s_pick(&ctx, some, 3, &manual), "1 2 0");
    ctx_fini(&ctx);
}

/* A thousand flushes of 10 MB, merged whenever something is worth it. */
static void fed_for_ever_it_stays_small(void **state)
{
    (void)state;
    enum { FLUSHES = 1000 };
    ctx_t ctx;
    ctx_init(&ctx);
    pick_segment_t now[FLUSHES];
    size_t n = 0, most = 0;
    uint64_t written = 0;
    for (int i = 0; i < FLUSHES; i++) {
        now[n++] = s_sized(10);
        pick_group_t *groups = NULL;
        if (pick_merges(&ctx, now, n, &s_policy, &groups)) {
            pick_segment_t out = s_sized(0), kept[FLUSHES];
            size_t n_kept = 0;
            for (size_t k = 0; k < n; k++) {
                bool in = false;
                for (size_t j = 0; j < groups[0].n; j++)
                    in |= groups[0].at[j] == k;
                if (in)
                    out.bytes += now[k].bytes;
                else
                    kept[n_kept++] = now[k];
            }
            kept[n_kept++] = out;
            written += out.bytes;
            memcpy(now, kept, n_kept * sizeof *kept);
            n = n_kept;
        }
        most = n > most ? n : most;
    }
    assert_true(n <= 30 && most <= 30);         /* 10,000 MB are 10 full ones, and some */
    assert_true(written / MB <= 10000 * 6);
    ctx_fini(&ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_ones_are_merged),
        cmocka_unit_test(no_group_passes_the_bounds),
        cmocka_unit_test(the_dead_are_buried),
        cmocka_unit_test(whoever_asks_gets_everything_merged),
        cmocka_unit_test(fed_for_ever_it_stays_small),
    };
    return cmocka_run_group_tests_name("data_pick", tests, NULL, NULL);
}
