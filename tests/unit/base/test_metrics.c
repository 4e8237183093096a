/* metrics: the text Prometheus reads, word for word; counting under threads; the bounds. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>

#include "core/base/clock.h"
#include "core/base/limits.h"
#include "core/base/metrics.h"
#include "core/base/pool.h"

/* What is written before the process_* figures. */
static const char *s_page(metrics_t *metrics, buf_t *into)
{
    buf_reset(into);
    metrics_write(metrics, into);
    assert_true(buf_ok(into));
    char *text = (char *)(uintptr_t)buf_str(into);
    char *process = strstr(text, "# HELP process_");
    assert_non_null(process);
    *process = '\0';
    return text;
}

static double s_three(void *arg)
{
    return *(int *)arg;
}

static void the_text_is_what_prometheus_reads(void **state)
{
    (void)state;
    static const double bounds[] = { 0.5, 10 };
    static int three = 3;
    owned(metrics) m = metrics_new();
    buf_scoped page = {0};
    metrics_family_t *c = metrics_counter(m, "req_count", "Requests\nof \\ all", "node_id,status");
    metrics_add(metrics_cell(c, "1", "ok"), 2);
    metrics_add(metrics_cell(c, "1", "a\"b\\c\n\xff"), 1);
    metrics_set(metrics_cell(metrics_gauge(m, "lag", "Lag", NULL)), -1.25);
    metrics_gauge_fn(m, "three", "Three", s_three, &three);
    metrics_counter_fn(m, "threes_total", "Threes", s_three, &three);
    metrics_family_t *h = metrics_histogram(m, "took_ms", "Took", "q", bounds, 2);
    metrics_cell_t *cell = metrics_cell(h, "x");
    metrics_observe(cell, 0.5);
    metrics_observe(cell, 3);
    metrics_observe(cell, 10.5);
    metrics_gauge(m, "unused", "No cell yet", "a");
    assert_string_equal(s_page(m, &page),
        "# HELP req_count Requests\\nof \\\\ all\n# TYPE req_count counter\n"
        "req_count{node_id=\"1\",status=\"ok\"} 2\n"
        "req_count{node_id=\"1\",status=\"a\\\"b\\\\c\\n?\"} 1\n"
        "# HELP lag Lag\n# TYPE lag gauge\nlag -1.25\n"
        "# HELP three Three\n# TYPE three gauge\nthree 3\n"
        "# HELP threes_total Threes\n# TYPE threes_total counter\nthrees_total 3\n"
        "# HELP took_ms Took\n# TYPE took_ms histogram\n"
        "took_ms_bucket{q=\"x\",le=\"0.5\"} 1\ntook_ms_bucket{q=\"x\",le=\"10\"} 2\n"
        "took_ms_bucket{q=\"x\",le=\"+Inf\"} 3\ntook_ms_sum{q=\"x\"} 14\ntook_ms_count{q=\"x\"} 3\n"
        "# HELP unused No cell yet\n# TYPE unused gauge\n");
    assert_true(metrics_value(cell) == 3);
}

static void the_process_is_described(void **state)
{
    (void)state;
    owned(metrics) m = metrics_new();
    buf_scoped page = {0};
    metrics_write(m, &page);
    static const char *const names[] = {
        "process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds",
        "process_max_fds", "process_virtual_memory_bytes", "process_start_time_seconds" };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char line[100];
        snprintf(line, sizeof line, "\n%s ", names[i]);
        const char *at = strstr(buf_str(&page), line);
        assert_non_null(at);
        double value = -1;
        assert_int_equal(sscanf(at + strlen(line), "%lf", &value), 1);
        assert_true(value >= 0);
    }
}

static void a_name_is_one_family(void **state)
{
    (void)state;
    owned(metrics) m = metrics_new();
    metrics_family_t *a = metrics_counter(m, "a_total", "A", "x,yy");
    assert_ptr_equal(metrics_counter(m, "a_total", "A", "x,yy"), a);
    assert_ptr_equal(metrics_cell(a, "1", "2"), metrics_cell(a, "1", "2"));
    assert_ptr_not_equal(metrics_cell(a, "1", "23"), metrics_cell(a, "12", "3"));
    assert_ptr_not_equal(metrics_cell(a, "", "1"), metrics_cell(a, "1", ""));
}

static void odd_values_are_written_right(void **state)
{
    (void)state;
    static const struct { double value; const char *want; } table[] = {
        { NAN, "g NaN\n" }, { INFINITY, "g +Inf\n" }, { -INFINITY, "g -Inf\n" },
        { 1e14, "g 100000000000000\n" }, { 1.5e300, "g 1.5e+300\n" },
        { 0.1, "g 0.1\n" }, { 1.0 / 3, "g 0.3333333333333333\n" },
    };
    owned(metrics) m = metrics_new();
    buf_scoped page = {0};
    metrics_cell_t *g = metrics_cell(metrics_gauge(m, "g", "G", ""));
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        metrics_set(g, table[i].value);
        assert_non_null(strstr(s_page(m, &page), table[i].want));
    }
}

/* Each wrong sequence ends as question marks, each right one as it was. */
static void labels_are_always_utf8(void **state)
{
    (void)state;
    static const struct { const char *value, *want; } table[] = {
        { "caf\xc3\xa9", "\"caf\xc3\xa9\"" }, { "\xe4\xb8\xad\xf0\x9f\xa6\x85", NULL },
        { "\xc3", "\"?\"" }, { "\xc0\x80", "\"??\"" }, { "\xe0\x80\x80", "\"???\"" },
        { "\xed\xa0\x80", "\"???\"" }, { "\xf4\x90\x80\x80", "\"????\"" },
        { "\xf8\x88\x80\x80\x80", "\"?????\"" }, { "\xe4\xb8x", "\"??x\"" }, { "\x80", "\"?\"" },
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        owned(metrics) m = metrics_new();
        buf_scoped page = {0};
        metrics_add(metrics_cell(metrics_counter(m, "c", "C", "v"), table[i].value), 1);
        assert_non_null(strstr(s_page(m, &page), table[i].want ? table[i].want : table[i].value));
    }
}

static void made_up_labels_end_in_one_cell(void **state)
{
    (void)state;
    owned(metrics) m = metrics_new();
    metrics_family_t *c = metrics_counter(m, "c_total", "C", "db,name");
    for (int i = 0; i < LIMIT_METRICS_CELLS + 500; i++) {
        char name[20];
        snprintf(name, sizeof name, "n%d", i);
        metrics_add(metrics_cell(c, "d", name), 1);
    }
    assert_true(metrics_value(metrics_cell(c, "other", "other")) == 500);
    assert_true(metrics_value(metrics_cell(c, "d", "n7")) == 1);
    char longer[1000];
    memset(longer, 'x', sizeof longer);
    longer[999] = '\0';
    metrics_family_t *l = metrics_counter(m, "l_total", "L", "name");
    metrics_cell_t *cut = metrics_cell(l, longer);
    longer[LIMIT_NAME_BYTES] = '\0';
    assert_ptr_equal(metrics_cell(l, longer), cut);
}

static void a_dropped_collection_is_forgotten(void **state)
{
    (void)state;
    owned(metrics) m = metrics_new();
    buf_scoped page = {0};
    metrics_family_t *c = metrics_counter(m, "c_total", "C", "node_id,collection_name");
    metrics_cell_t *gone = metrics_cell(c, "1", "books");
    metrics_add(gone, 5);
    metrics_add(metrics_cell(c, "1", "films"), 6);
    metrics_forget(m, "collection_name", "books");
    assert_null(strstr(s_page(m, &page), "books"));
    assert_non_null(strstr(s_page(m, &page), "films\"} 6"));
    metrics_add(gone, 1);
    assert_ptr_equal(metrics_cell(c, "1", "books"), gone);
    assert_non_null(strstr(s_page(m, &page), "books\"} 0"));
}

/* Collections come and go for ever: their cells serve those that come. */
static void a_full_family_has_room_for_what_comes_after(void **state)
{
    (void)state;
    static const double bounds[] = { 1 };
    owned(metrics) m = metrics_new();
    buf_scoped page = {0};
    metrics_family_t *h = metrics_histogram(m, "h", "H", "name", bounds, 1);
    for (int i = 0; i < 3 * LIMIT_METRICS_HISTOGRAMS; i++) {
        char name[20];
        snprintf(name, sizeof name, "n%d", i);
        metrics_observe(metrics_cell(h, name), 2);
        assert_true(metrics_value(metrics_cell(h, name)) == 1);
        metrics_forget(m, "name", name);
    }
    metrics_observe(metrics_cell(h, "last"), 2);
    assert_non_null(strstr(s_page(m, &page), "h_count{name=\"last\"} 1"));
    assert_null(strstr(s_page(m, &page), "other"));
}

static void gauges_that_are_not_found_again_go(void **state)
{
    (void)state;
    owned(metrics) m = metrics_new();
    buf_scoped page = {0};
    metrics_family_t *g = metrics_gauge(m, "g", "G", "name");
    metrics_set(metrics_cell(g, "stays"), 1);
    metrics_set(metrics_cell(g, "goes"), 2);
    metrics_mark(g);
    assert_non_null(strstr(s_page(m, &page), "goes"));      /* nothing flickers */
    metrics_set(metrics_cell(g, "stays"), 3);
    metrics_sweep(g);
    assert_non_null(strstr(s_page(m, &page), "g{name=\"stays\"} 3"));
    assert_null(strstr(s_page(m, &page), "goes"));
}

static void without_a_registry_nothing_is_counted(void **state)
{
    (void)state;
    static const double bounds[] = { 1 };
    assert_int_equal(metrics_began(NULL), 0);
    assert_null(metrics_counter(NULL, "c", "C", "a"));
    assert_null(metrics_cell(metrics_gauge(NULL, "g", "G", NULL)));
    metrics_cell_t *none = metrics_cell(metrics_histogram(NULL, "h", "H", "a", bounds, 1), "x");
    assert_null(none);
    metrics_counter_fn(NULL, "f", "F", s_three, NULL);
    metrics_add(none, 1);
    metrics_set(none, 1);
    metrics_shift(none, 1);
    metrics_observe(none, 1);
    assert_true(metrics_took_ms(none, 0) == 0 && metrics_value(none) == 0);
    metrics_mark(NULL);
    metrics_sweep(NULL);
    metrics_forget(NULL, "a", "x");
}

static void a_stopwatch_observes_milliseconds(void **state)
{
    (void)state;
    static const double bounds[] = { 1 };
    owned(metrics) m = metrics_new();
    metrics_cell_t *h = metrics_cell(metrics_histogram(m, "h", "H", NULL, bounds, 1));
    assert_true(metrics_took_ms(h, metrics_began(m) - 5000) >= 5);
    assert_true(metrics_value(h) == 1);
}

typedef struct { metrics_t *m; metrics_cell_t *c, *g, *h; } crowd_t;

static void s_count(void *arg)
{
    crowd_t *crowd = arg;
    buf_scoped page = {0};
    for (int i = 0; i < 1000; i++) {
        metrics_add(crowd->c, 1);
        metrics_shift(crowd->g, i % 2 ? -0.5 : 1);
        metrics_observe(crowd->h, i % 7);
        if (i % 250 == 0)
            metrics_write(crowd->m, &page);
    }
}

static void nothing_is_lost_under_threads(void **state)
{
    (void)state;
    enum { JOBS = 8 };
    owned(metrics) m = metrics_new();
    crowd_t crowd = { .m = m,
        .c = metrics_cell(metrics_counter(m, "c", "C", NULL)),
        .g = metrics_cell(metrics_gauge(m, "g", "G", NULL)),
        .h = metrics_cell(metrics_histogram(m, "h", "H", NULL, metrics_latency_ms,
                                            METRICS_LATENCY_N)) };
    owned(pool) pool = pool_new("metrics", 4);
    for (int i = 0; i < JOBS; i++)
        assert_true(pool_run(pool, s_count, &crowd));
    pool_destroy(&pool);
    assert_true(metrics_value(crowd.c) == JOBS * 1000);
    assert_true(metrics_value(crowd.g) == JOBS * 250);
    assert_true(metrics_value(crowd.h) == JOBS * 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_text_is_what_prometheus_reads),
        cmocka_unit_test(the_process_is_described),
        cmocka_unit_test(a_name_is_one_family),
        cmocka_unit_test(odd_values_are_written_right),
        cmocka_unit_test(labels_are_always_utf8),
        cmocka_unit_test(made_up_labels_end_in_one_cell),
        cmocka_unit_test(a_dropped_collection_is_forgotten),
        cmocka_unit_test(a_full_family_has_room_for_what_comes_after),
        cmocka_unit_test(gauges_that_are_not_found_again_go),
        cmocka_unit_test(without_a_registry_nothing_is_counted),
        cmocka_unit_test(a_stopwatch_observes_milliseconds),
        cmocka_unit_test(nothing_is_lost_under_threads),
    };
    return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
