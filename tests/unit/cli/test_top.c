/* top: frames of made-up answers: they fit, rates come from two answers, nothing old is shown */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "cli/table.h"
#include "cli/top.h"

static json_t *s_answer(int64_t at_ms, int64_t calls, const char *state)
{
    return json_pack("{s:I, s:s, s:s, s:s, s:s, s:s, s:[{s:s, s:s, s:s}],"
                     " s:[{s:s, s:s, s:f, s:I, s:I, s:I, s:s, s:b}, {s:s, s:s, s:n, s:n}]}",
                     "at_ms", (json_int_t)at_ms, "cluster", "elanus", "mode", "cluster",
                     "version", "0.1.0", "proxy", "proxy-4", "leader", "coord-1", "missing",
                     "what", "datanode-3", "why", "no answer within 1000 ms", "do", "look",
                     "items", "name", "coord-1", "state", "up", "cpu_percent", 1.25,
                     "memory_used", (json_int_t)1 << 20, "calls", (json_int_t)calls,
                     "started_ms", (json_int_t)at_ms - 5000, "ops_address", "h:1", "leader", 1,
                     "name", "datanode-3", "state", state, "cpu_percent", "calls");
}

static const char *s_frame(ctx_t *ctx, const top_t *top, size_t width, size_t height, bool bold)
{
    buf_scoped text = {0};
    top_frame(ctx, top, width, height, bold, &text);
    return ctx_strdup(ctx, buf_str(&text));
}

static size_t s_lines(const char *text)
{
    size_t n = 0;
    for (; *text; text++)
        n += *text == '\n';
    return n;
}

/* Escapes take no room. */
static size_t s_widest(const char *text)
{
    size_t widest = 0, here = 0;
    bool escape = false;
    for (; *text; text++) {
        escape = escape || *text == '\033';
        if (*text == '\n')
            here = 0;
        else if (!escape && ((unsigned char)*text & 0xc0) != 0x80)
            widest = ++here > widest ? here : widest;
        if (escape && *text == 'm')
            escape = false;
    }
    return widest;
}

static void s_drop(top_t *top)
{
    json_decref(top->nodes);
    json_decref(top->before);
    json_decref(top->page);
}

static void rates_come_from_two_answers(void **state)
{
    (void)state;
    ctx_t ctx;
    ctx_init(&ctx);
    top_t top = { .nodes = s_answer(3000, 150, "silent") };
    assert_null(strstr(s_frame(&ctx, &top, 80, 0, false), "25.0"));
    top.before = s_answer(1000, 100, "up");
    const char *frame = s_frame(&ctx, &top, 80, 0, false);
    assert_non_null(strstr(frame, "25.0"));
    assert_non_null(strstr(frame, "leader coord-1, 2 nodes, 1 NOT UP"));
    assert_non_null(strstr(frame, "MISSING datanode-3: no answer within 1000 ms"));
    assert_non_null(strstr(frame, "up, leads"));
    assert_null(strchr(frame, '\033'));
    json_decref(top.before);
    top.before = s_answer(1000, 200, "up");     /* the counter began anew */
    assert_null(strstr(s_frame(&ctx, &top, 80, 0, false), "25.0"));
    s_drop(&top);
    ctx_fini(&ctx);
}

static void a_frame_is_exactly_as_large_as_the_terminal(void **state)
{
    (void)state;
    static const size_t s_sizes[][2] = { { 80, 24 }, { 120, 50 }, { 40, 10 }, { 20, 6 } };
    ctx_t ctx;
    ctx_init(&ctx);
    for (top_view_t view = 0; view < TOP_VIEWS; view++) {
        top_t top = { .view = view, .nodes = s_answer(3000, 150, "silent") };
        if (view != TOP_NODES)
            top.page = json_pack("{s:[], s:[]}", "items", "missing");
        for (size_t i = 0; i < ARRAY_LEN(s_sizes); i++) {
            const char *frame = s_frame(&ctx, &top, s_sizes[i][0], s_sizes[i][1], true);
            assert_true(s_lines(frame) <= s_sizes[i][1] || s_sizes[i][1] < 10);
            assert_true(s_sizes[i][1] < 24 || s_lines(frame) == s_sizes[i][1]);
            assert_true(s_widest(frame) <= s_sizes[i][0] || s_sizes[i][0] < 80);
        }
        s_drop(&top);
    }
    ctx_fini(&ctx);
}

static void no_answer_shows_nothing_old(void **state)
{
    (void)state;
    ctx_t ctx;
    ctx_init(&ctx);
    top_t top = { .nodes = s_answer(3000, 150, "up"), .error = "nothing answers at h:1 (refused)",
                  .error_ms = 5200 };
    const char *frame = s_frame(&ctx, &top, 80, 24, false);
    assert_non_null(strstr(frame, "NO ANSWER for 5.2 s"));
    assert_non_null(strstr(frame, "nothing answers at h:1 (refused)"));
    assert_null(strstr(frame, "coord-1"));
    s_drop(&top);
    ctx_fini(&ctx);
}

static void events_end_with_the_newest_and_can_be_scrolled(void **state)
{
    (void)state;
    ctx_t ctx;
    ctx_init(&ctx);
    top_t top = { .view = TOP_EVENTS, .nodes = s_answer(3000, 150, "up"),
                  .page = json_pack("{s:[]}", "items") };
    for (int i = 0; i < 60; i++)
        json_array_append_new(json_object_get(top.page, "items"),
            json_pack("{s:I, s:s, s:s, s:s, s:s, s:n, s:n}", "at_us", (json_int_t)i * 1000000,
                      "node", "coord-1", "level", "info", "event",
                      ctx_printf(&ctx, "happened_%02d", i), "text", "a=1", "step", "about"));
    const char *frame = s_frame(&ctx, &top, 80, 24, false);
    assert_non_null(strstr(frame, "happened_59"));
    assert_null(strstr(frame, "happened_20"));
    top.scroll = 1000;
    frame = s_frame(&ctx, &top, 80, 24, false);
    assert_non_null(strstr(frame, "happened_00"));
    assert_null(strstr(frame, "happened_59"));
    s_drop(&top);
    ctx_fini(&ctx);
}

static void help_tells_the_keys(void **state)
{
    (void)state;
    ctx_t ctx;
    ctx_init(&ctx);
    top_t top = { .nodes = s_answer(3000, 150, "up"), .help = true };
    assert_non_null(strstr(s_frame(&ctx, &top, 80, 24, false), "another view"));
    s_drop(&top);
    ctx_fini(&ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rates_come_from_two_answers),
        cmocka_unit_test(a_frame_is_exactly_as_large_as_the_terminal),
        cmocka_unit_test(no_answer_shows_nothing_old),
        cmocka_unit_test(events_end_with_the_newest_and_can_be_scrolled),
        cmocka_unit_test(help_tells_the_keys),
    };
    return cmocka_run_group_tests_name("top", tests, NULL, NULL);
}
