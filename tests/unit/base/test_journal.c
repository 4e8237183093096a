/* journal: what was logged is read back in order; a reader who comes late is told what it
 * missed; lines of every length take each other's place without mixing. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

#include "core/base/journal.h"
#include "core/base/limits.h"

static void lines_come_back_in_order(void **state)
{
    (void)state;
    ctx_t ctx;
    ctx_init(&ctx);
    journal_part_t part = {0};
    journal_read(&ctx, 0, 1, &part);
    uint64_t before = part.next;
    journal_add(1, LOG_INFO, "one", "n=1");
    journal_add(2, LOG_WARN, "two", "");
    journal_read(&ctx, before, 100, &part);
    assert_int_equal(part.n, 2);
    assert_string_equal(part.lines[0].event, "one");
    assert_string_equal(part.lines[0].text, "n=1");
    assert_int_equal(part.lines[1].level, LOG_WARN);
    assert_string_equal(part.lines[1].text, "");
    assert_int_equal(part.lines[1].at_us, 2);
    assert_int_equal(part.next, before + 2);
    assert_int_equal(part.lost, 0);
    journal_read(&ctx, part.next, 100, &part);
    assert_int_equal(part.n, 0);
    ctx_fini(&ctx);
}

static void what_is_logged_is_in_it_and_quiet_lines_are_not(void **state)
{
    (void)state;
    ctx_t ctx;
    ctx_init(&ctx);
    journal_part_t part = {0};
    journal_read(&ctx, 0, 1, &part);
    log_level_t level = log_level();
    log_set_level(LOG_FATAL);
    log_event(LOG_INFO, "channel_active", "channel=%s epoch=%d", "c\n1", 7);
    log_event(LOG_DEBUG, "noise", "x=%d", 1);
    log_set_level(level);
    journal_read(&ctx, part.next, 10, &part);
    assert_int_equal(part.n, 1);
    assert_string_equal(part.lines[0].event, "channel_active");
    assert_string_equal(part.lines[0].text, "channel=c 1 epoch=7");
    ctx_fini(&ctx);
}

/* A text that tells its own number and length. */
static void s_text(char *into, size_t room, int number, size_t len)
{
    int head = snprintf(into, room, "%d:", number);
    memset(into + head, 'a' + number % 26, len);
    into[(size_t)head + len] = '\0';
}

static void many_lines_of_all_lengths(void **state)
{
    (void)state;
    enum { LINES = 20000, MOST = 900 };
    ctx_t ctx;
    ctx_init(&ctx);
    journal_part_t part = {0};
    journal_read(&ctx, 0, 1, &part);
    uint64_t before = part.next;
    char text[MOST + 32];
    for (int i = 0; i < LINES; i++) {
        s_text(text, sizeof text, i, (size_t)(i * 37 % MOST));
        journal_add(i, LOG_INFO, "many", text);
    }
    journal_read(&ctx, before, LIMIT_JOURNAL_LINES, &part);
    assert_int_equal(part.lost + part.n, LINES);
    assert_int_equal(part.next, before + LINES);
    assert_true(part.n > LIMIT_JOURNAL_BYTES / (MOST + 32));
    for (size_t i = 0; i < part.n; i++) {
        int number = (int)part.lost + (int)i;
        s_text(text, sizeof text, number, (size_t)(number * 37 % MOST));
        assert_string_equal(part.lines[i].text, text);
        assert_int_equal(part.lines[i].at_us, number);
    }
    ctx_fini(&ctx);
}

static void short_lines_are_bounded_by_their_number(void **state)
{
    (void)state;
    ctx_t ctx;
    ctx_init(&ctx);
    for (int i = 0; i < 3 * LIMIT_JOURNAL_LINES; i++)
        journal_add(i, LOG_INFO, "e", "");
    journal_part_t part = {0};
    journal_read(&ctx, 0, 1 << 30, &part);
    assert_int_equal(part.n, LIMIT_JOURNAL_LINES);
    assert_int_equal(part.lines[part.n - 1].at_us, 3 * LIMIT_JOURNAL_LINES - 1);
    char longer[2 * LIMIT_JOURNAL_TEXT];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    journal_add(0, LOG_INFO, "long", longer);
    journal_read(&ctx, part.next, 1, &part);
    assert_int_equal(strlen(part.lines[0].text), LIMIT_JOURNAL_TEXT - 4);
    ctx_fini(&ctx);
}

static void who_comes_from_another_life_begins_anew(void **state)
{
    (void)state;
    ctx_t ctx;
    ctx_init(&ctx);
    journal_add(5, LOG_INFO, "here", "");
    journal_part_t part = {0};
    journal_read(&ctx, 1ull << 60, 1 << 20, &part);
    assert_true(part.n > 0);
    assert_true(journal_process() != 0);
    assert_int_equal(journal_process(), journal_process());
    ctx_fini(&ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_come_back_in_order),
        cmocka_unit_test(what_is_logged_is_in_it_and_quiet_lines_are_not),
        cmocka_unit_test(many_lines_of_all_lengths),
        cmocka_unit_test(short_lines_are_bounded_by_their_number),
        cmocka_unit_test(who_comes_from_another_life_begins_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
