/* look: made-up answers of docs/pages.md as tables, events and waterfalls; hostile ones too */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "cli/look.h"
#include "cli/table.h"

typedef struct { ctx_t ctx; buf_t text; } world_t;

static int s_up(void **state)
{
    world_t *world = mem_new(sizeof *world);
    ctx_init(&world->ctx);
    *state = world;
    return 0;
}

static int s_down(void **state)
{
    world_t *world = *state;
    buf_fini(&world->text);
    ctx_fini(&world->ctx);
    mem_free(world);
    return 0;
}

static const char *s_table(world_t *world, const char *page, const char *json, size_t width)
{
    json_t *root = json_loads(json, 0, NULL);
    assert_non_null(root);
    buf_reset(&world->text);
    assert_true(look_table(&world->ctx, page, root, width, &world->text));
    json_decref(root);
    return buf_str(&world->text);
}

static void pages_are_tables(void **state)
{
    world_t *world = *state;
    assert_string_equal(s_table(world, "channels",
        "{\"items\": [{\"channel\": \"c0\", \"owner\": null, \"epoch\": 4, \"state\": \"active\","
        " \"frontier\": {\"epoch\": 4, \"seq\": 181}, \"checkpoint\": null, \"growing_rows\": 7,"
        " \"pending_bytes\": 2048, \"followers\": [{\"node\": \"querynode-7\", \"leader\": true},"
        " {\"node\": \"querynode-8\", \"behind_ms\": 1200}]}]}", 100),
        "CHANNEL  OWNER   EPOCH  STATE   FRONTIER  CHECKPOINT  PENDING  GROWING  FOLLOWERS\n"
        "c0       nobody      4  active     4/181           -   2.0 KB        7  querynode-7*, "
        "querynode-8 (…\n");
    assert_string_equal(s_table(world, "segments?collection=x",
        "{\"items\": [{\"id\": \"45\", \"collection\": \"birds\", \"state\": \"flushed\","
        " \"rows\": 50000, \"owner\": null, \"held_by\": [{\"node\": \"querynode-7\"}],"
        " \"indexes\": [{\"type\": \"HNSW\", \"state\": \"running\", \"percent\": 40}],"
        " \"from\": [\"1\", \"2\"]}]}", 61),
        "SEGMENT  COLLECTION  STATE     ROWS  NODES        INDEXES\n"
        "45       birds       flushed  50000  querynode-7  HNSW runni…\n");
    assert_non_null(strstr(s_table(world, "builds", "{\"items\": []}", 80), "no index builds"));
    json_t *none = json_object();
    assert_false(look_table(&world->ctx, "nonsense", none, 80, &world->text));
    json_decref(none);
}

/* Whatever comes instead of what the document says: no page may bring the program down. */
static void strange_answers_are_dashes(void **state)
{
    world_t *world = *state;
    static const char *const s_pages[] = { "nodes", "channels", "segments", "builds", "requests" };
    static const char *const s_items[] = {
        "[null, 7, \"x\", [], {}]",
        "[{\"followers\": 7, \"indexes\": [null], \"held_by\": {}, \"from\": [null, {}, \"5\"]}]",
        "[{\"name\": \"\\u001b[2J\", \"channel\": {}, \"id\": 4.5, \"at_us\": -1, \"rows\": -1}]",
        "{\"a\": 1}", "null",
    };
    for (size_t i = 0; i < ARRAY_LEN(s_pages); i++)
        for (size_t j = 0; j < ARRAY_LEN(s_items); j++)
            assert_null(strchr(s_table(world, s_pages[i], ctx_printf(&world->ctx,
                               "{\"items\": %s}", s_items[j]), 80), '\033'));
}

static const char *s_waterfall(world_t *world, const char *items)
{
    json_t *root = json_loads(ctx_printf(&world->ctx, "{\"items\": %s}", items), 0, NULL);
    assert_non_null(root);
    buf_reset(&world->text);
    look_waterfall(&world->ctx, root, 80, &world->text);
    json_decref(root);
    return buf_str(&world->text);
}

static void a_trace_is_a_waterfall(void **state)
{
    world_t *world = *state;
    const char *text = s_waterfall(world,
        "[{\"id\": \"1\", \"parent\": null, \"node\": \"proxy-4\", \"name\": \"Search\","
        "  \"kind\": \"request\", \"at_us\": 1000000, \"took_us\": 4000},"
        " {\"id\": \"2\", \"parent\": \"1\", \"node\": \"querynode-7\", \"name\": \"SEARCH\","
        "  \"kind\": \"call\", \"at_us\": 1001000, \"took_us\": 2000},"
        " {\"id\": \"4\", \"parent\": \"1\", \"node\": \"querynode-8\", \"name\": \"SEARCH\","
        "  \"kind\": \"call\", \"at_us\": 1003000, \"took_us\": 1000, \"error\": \"MOVED\"},"
        " {\"id\": \"3\", \"parent\": \"2\", \"node\": \"querynode-7\", \"name\": \"scan\","
        "  \"kind\": \"job\", \"at_us\": 1002000, \"took_us\": 500}]");
    const char *body = strstr(text, "\n\n") + 2;
    assert_string_equal(body,
        "proxy-4       Search                          4.0 ms ###########################\n"
        "querynode-7     SEARCH                        2.0 ms       ##############\n"
        "querynode-7       scan (job)                  500 us              ###\n"
        "querynode-8     SEARCH FAILED                 1.0 ms                     #######\n"
        "                MOVED\n");
}

static void a_trace_in_a_circle_ends(void **state)
{
    world_t *world = *state;
    const char *text = s_waterfall(world,
        "[{\"id\": \"1\", \"parent\": \"2\"}, {\"id\": \"2\", \"parent\": \"1\"},"
        " {\"id\": \"3\", \"parent\": \"3\"}, {\"id\": \"3\", \"parent\": \"9\"}, null, {}]");
    assert_non_null(strstr(text, "6 spans"));
    assert_string_equal(s_waterfall(world, "[]") + strlen("1970-01-01 00:00:00.000"),
                        ", 0 us in all, 0 spans\n\n");
}

static void an_event_fits_or_is_wrapped(void **state)
{
    world_t *world = *state;
    json_t *item = json_pack("{s:I, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "at_us", (json_int_t)0,
                             "node", "coord-1", "level", "warn", "event", "node_suspect", "step",
                             "suspect", "text", "node=datanode-3 why=\"no heartbeat for a while\"",
                             "about", "A node does not answer.", "source", "coord/x.c");
    look_event(&world->ctx, item, 80, true, &world->text);
    const char *text = buf_str(&world->text);
    assert_non_null(strstr(text, "coord-1      suspect   warn: node_suspect"));
    assert_non_null(strstr(text, "\n              A node does not answer. [coord/x.c]\n"));
    for (const char *at = text; *at; at += strcspn(at, "\n") + 1)
        assert_true(strcspn(at, "\n") <= 80);
    json_decref(item);
}

#define T(f) cmocka_unit_test_setup_teardown(f, s_up, s_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(pages_are_tables),
        T(strange_answers_are_dashes),
        T(a_trace_is_a_waterfall),
        T(a_trace_in_a_circle_ends),
        T(an_event_fits_or_is_wrapped),
    };
    return cmocka_run_group_tests_name("look", tests, NULL, NULL);
}
