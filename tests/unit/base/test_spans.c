/* spans: what ended is found by trace and node, in its order; new ones take the place of old ones;
 * nobody's work leaves nothing; adding is cheap. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

#include "core/base/clock.h"
#include "core/base/limits.h"
#include "core/base/spans.h"

enum { NODE = 7, OTHER_NODE = 8, MANY = 100000 };

static void s_add(uint64_t trace, uint64_t node, const char *name)
{
    spans_end((trace_t){ trace, 1 }, spans_id(), node, SPAN_JOB, name, clock_mono_us(), OK);
}

static size_t s_count(uint64_t trace, uint64_t node)
{
    ctx_t ctx;
    ctx_init(&ctx);
    span_t *spans = NULL;
    size_t n = spans_of(&ctx, trace, node, &spans);
    ctx_fini(&ctx);
    return n;
}

static void a_span_comes_back(void **state)
{
    (void)state;
    ctx_t ctx;
    ctx_init(&ctx);
    int64_t began_us = clock_wall_us();
    spans_end((trace_t){ 11, 22 }, 33, NODE, SPAN_META, "get owner/x", clock_mono_us() - 5000,
              ERR_TIMEOUT);
    s_add(11, NODE, "second");
    s_add(12, NODE, "another's");
    s_add(11, OTHER_NODE, "elsewhere");
    span_t *spans = NULL;
    assert_int_equal(spans_of(&ctx, 11, NODE, &spans), 2);
    assert_int_equal(spans[0].id, 33);
    assert_int_equal(spans[0].parent, 22);
    assert_int_equal(spans[0].node, NODE);
    assert_int_equal(spans[0].err, ERR_TIMEOUT);
    assert_string_equal(spans[0].name, "get owner/x");
    assert_string_equal(span_kind_name(spans[0].kind), "meta");
    assert_in_range(spans[0].took_us, 5000, 5000000);
    assert_in_range(spans[0].at_us, began_us - 5001000, began_us + 5000000);
    assert_string_equal(spans[1].name, "second");
    assert_int_equal(s_count(13, NODE), 0);
    ctx_fini(&ctx);
}

static void nobodys_work_leaves_nothing(void **state)
{
    (void)state;
    s_add(0, NODE, "background");
    assert_int_equal(s_count(0, NODE), 0);
}

static void a_long_name_is_cut(void **state)
{
    (void)state;
    ctx_t ctx;
    ctx_init(&ctx);
    char name[3 * SPAN_NAME_BYTES];
    memset(name, 'x', sizeof name);
    name[sizeof name - 1] = '\0';
    s_add(14, NODE, name);
    span_t *spans = NULL;
    assert_int_equal(spans_of(&ctx, 14, NODE, &spans), 1);
    assert_int_equal(strlen(spans[0].name), SPAN_NAME_BYTES - 1);
    ctx_fini(&ctx);
}

static void the_newest_stay(void **state)
{
    (void)state;
    s_add(15, NODE, "old");
    for (size_t i = 1; i < LIMIT_SPANS; i++)
        s_add(16, NODE, "new");
    assert_int_equal(s_count(15, NODE), 1);
    s_add(16, NODE, "one more");
    assert_int_equal(s_count(15, NODE), 0);
    assert_int_equal(s_count(16, NODE), LIMIT_SPANS);
}

static void ids_differ(void **state)
{
    (void)state;
    uint64_t before = 0;
    for (size_t i = 0; i < MANY; i++) {
        uint64_t id = spans_id();
        assert_true(id != 0 && id != before);
        before = id;
    }
}

static void adding_is_cheap(void **state)
{
    (void)state;
    int64_t began_ns = clock_mono_ns();
    for (size_t i = 0; i < MANY; i++)
        s_add(17, NODE, "cheap");
    print_message("note: %lld ns a span\n", (long long)(clock_mono_ns() - began_ns) / MANY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_span_comes_back),
        cmocka_unit_test(nobodys_work_leaves_nothing),
        cmocka_unit_test(a_long_name_is_cut),
        cmocka_unit_test(the_newest_stay),
        cmocka_unit_test(ids_differ),
        cmocka_unit_test(adding_is_cheap),
    };
    return cmocka_run_group_tests_name("spans", tests, NULL, NULL);
}
