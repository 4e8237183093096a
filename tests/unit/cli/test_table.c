/* table: columns fit, names cannot do harm; and what show.h makes of values */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>

#include "cli/show.h"
#include "cli/table.h"

static const table_column_t s_columns[] = {
    { .title = "NAME", .elastic = true }, { .title = "ROWS", .right = true },
    { .title = "WHY", .rank = 1, .elastic = true }, { .title = "HOST", .rank = 2 },
};

static const char *s_print(ctx_t *ctx, size_t width, const char *const (*rows)[4], size_t n)
{
    table_scoped table;
    table_init(&table, ctx, s_columns, ARRAY_LEN(s_columns));
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < 4; j++)
            table_add(&table, rows[i][j]);
    buf_scoped text = {0};
    table_print(&table, width, &text);
    return ctx_strdup(ctx, buf_str(&text));
}

static void columns_line_up(void **state)
{
    (void)state;
    ctx_t ctx;
    ctx_init(&ctx);
    const char *const rows[][4] = { { "birds", "7", "", "a" }, { "b", "12000", NULL, "box" } };
    assert_string_equal(s_print(&ctx, 0, rows, 2),
                        "NAME    ROWS  WHY  HOST\n"
                        "birds      7  -    a\n"
                        "b      12000  -    box\n");
    ctx_fini(&ctx);
}

static void what_is_too_wide_goes_by_rank_and_is_cut_then(void **state)
{
    (void)state;
    ctx_t ctx;
    ctx_init(&ctx);
    const char *const rows[][4] = {
        { "a_collection_with_a_name", "7", "no reason at all", "box" },
    };
    assert_string_equal(s_print(&ctx, 44, rows, 1),
                        "NAME                  ROWS  WHY\n"
                        "a_collection_with_a…     7  no reason at all\n");
    assert_string_equal(s_print(&ctx, 24, rows, 1),
                        "NAME                ROWS\n"
                        "a_collection_with…     7\n");
    ctx_fini(&ctx);
}

static void no_cell_moves_the_cursor(void **state)
{
    (void)state;
    ctx_t ctx;
    ctx_init(&ctx);
    assert_string_equal(text_safe(&ctx, "a\033[2Jb\nc\x7f\xc2\x9b", 0), "a?[2Jb?c???");
    assert_string_equal(text_safe(&ctx, "Vögel \xff\xe2\x82", 0), "Vögel ???");
    assert_string_equal(text_safe(&ctx, "Vögel und Fische", 6), "Vögel…");
    assert_string_equal(text_safe(&ctx, "Vögel", 5), "Vögel");
    assert_string_equal(text_safe(&ctx, "", 5), "");
    ctx_fini(&ctx);
}

static void long_text_is_wrapped_at_words(void **state)
{
    (void)state;
    buf_scoped text = {0};
    text_wrap("one two  three four five six seven", 2, 23, &text);
    assert_string_equal(buf_str(&text), "  one two three four\n  five six seven\n");
    buf_reset(&text);
    text_wrap("", 2, 22, &text);
    assert_int_equal(text.len, 0);
}

static void values_read_well(void **state)
{
    (void)state;
    ctx_t ctx;
    ctx_init(&ctx);
    assert_string_equal(show_bytes(&ctx, 512), "512 B");
    assert_string_equal(show_bytes(&ctx, 71303168), "68.0 MB");
    assert_string_equal(show_took(&ctx, 850), "850 us");
    assert_string_equal(show_took(&ctx, 4210), "4.2 ms");
    assert_string_equal(show_took(&ctx, 1500000), "1.50 s");
    assert_string_equal(show_age(&ctx, 4200), "4.2 s");
    assert_string_equal(show_age(&ctx, 720000), "12 m");
    assert_string_equal(show_age(&ctx, -5), "0.0 s");
    setenv("TZ", "UTC", 1);
    assert_string_equal(show_clock(&ctx, 1790000000123000), "14:13:20.123");
    assert_string_equal(show_ts(&ctx, 1790000000123u << 18 | 5), "2026-09-21 14:13:20.123 +5");
    assert_string_equal(show_hex(&ctx, view_of("\x01\xff\x02", 3), 2), "01ff…");
    ctx_fini(&ctx);
}

/* A page of another version, or a node that knows less, must not break a table. */
static void members_of_another_kind_are_not_known(void **state)
{
    (void)state;
    ctx_t ctx;
    ctx_init(&ctx);
    json_t *item = json_pack("{s:n, s:s, s:i, s:[], s:{s:i, s:i}}", "null", "text", "word",
                             "count", 7, "list", "at", "epoch", 4, "seq", 181);
    assert_string_equal(show_text(item, "text"), "word");
    assert_string_equal(show_text(item, "count"), "");
    assert_string_equal(show_count_of(&ctx, item, "count"), "7");
    assert_string_equal(show_count_of(&ctx, item, "null"), "-");
    assert_string_equal(show_bytes_of(&ctx, item, "list"), "-");
    assert_int_equal(show_int(item, "none", -1), -1);
    assert_false(show_known(item, "null"));
    assert_string_equal(show_position(&ctx, json_object_get(item, "at")), "4/181");
    assert_string_equal(show_position(&ctx, NULL), "-");
    json_decref(item);
    ctx_fini(&ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_line_up),
        cmocka_unit_test(what_is_too_wide_goes_by_rank_and_is_cut_then),
        cmocka_unit_test(no_cell_moves_the_cursor),
        cmocka_unit_test(long_text_is_wrapped_at_words),
        cmocka_unit_test(values_read_well),
        cmocka_unit_test(members_of_another_kind_are_not_known),
    };
    return cmocka_run_group_tests_name("table", tests, NULL, NULL);
}
