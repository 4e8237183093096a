/* retrieve: rows by filter, by keys and counts against a slow model, over growing, sealed and
 * mixed layouts of the same rows, in parts of any order on several threads; bounds, cancelling,
 * faults. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>

#include "core/base/fault.h"
#include "tests/support/query_world.h"

static const size_t s_outputs[] = { W_TAG, W_TEXT, W_SPARSE };

/* --- the model ------------------------------------------ */

static const world_t *s_world;
static size_t s_answered;       /* predicates, by indexes */

/* By key; of one key the newest first. */
static int s_order(const void *a, const void *b)
{
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    const column_t *pks = &s_world->rows.columns[W_ID];
    int order = pk_cmp(pks->type, column_cell(pks, x), column_cell(pks, y));
    return order ? order : x > y ? -1 : 1;
}

static bool s_listed(const column_t *keys, view_t pk)
{
    for (size_t i = 0; keys && i < keys->n; i++)
        if (view_eq(column_cell(keys, i), pk))
            return true;
    return !keys;
}

/* Rows of the answer; *ret_all: before keys are made unique. */
static size_t s_model(const world_t *w, const retrieve_plan_t *plan, size_t filter, size_t *rows,
                      size_t *ret_all)
{
    size_t n = 0, kept = 0;
    const column_t *pks = &w->rows.columns[W_ID];
    for (size_t row = 0; row < w->n; row++)
        if (world_visible(w, row, plan->read_ts) && w->ts[row] >= plan->expire_ts &&
            world_takes(w, filter, row) &&
            s_listed(plan->pks, column_cell(pks, row)))
            rows[n++] = row;
    *ret_all = n;
    s_world = w;
    qsort(rows, n, sizeof *rows, s_order);
    for (size_t i = 0; i < n && (plan->limit == 0 || kept < plan->limit); i++)
        if (kept == 0 || !view_eq(column_cell(pks, rows[i]), column_cell(pks, rows[kept - 1])))
            rows[kept++] = rows[i];
    return kept;
}

/* --- running ------------------------------------------ */

static err_t s_part(ctx_t *ctx, void *arg, size_t i)
{
    return retrieve_run(ctx, arg, i);
}

static err_t s_retrieve(ctx_t *ctx, const retrieve_plan_t *plan, const layout_t *layout,
                        uint64_t seed, size_t n_threads, retrieved_t *ret)
{
    owned(retrieve) retrieve = NULL;
    TRY(retrieve_new(ctx, plan, layout->sources, layout->n, &retrieve));
    err_t err = world_run(seed, n_threads, s_part, retrieve, retrieve_parts(retrieve));
    s_answered += retrieve_answered(retrieve);
    if (err != OK)
        return ctx_fail(ctx, err, "a part");
    return retrieve_finish(ctx, retrieve, ret);
}

static void s_compare(const world_t *w, const retrieve_plan_t *plan, size_t filter,
                      const retrieved_t *rows)
{
    size_t want[WORLD_ROWS], all = 0, n = s_model(w, plan, filter, want, &all);
    column_t pks = column_builder_view(&rows->pks);
    if (plan->count) {
        assert_int_equal(rows->count, all);
        assert_int_equal(pks.n, 0);
        return;
    }
    assert_int_equal(pks.n, n);
    for (size_t i = 0; i < n; i++) {
        assert_true(random_rows_same(&pks, i, &w->rows.columns[W_ID], want[i]));
        assert_int_equal(rows->ts[i], w->ts[want[i]]);
        for (size_t f = 0; f < plan->n_outputs; f++) {
            column_t c = column_builder_view(&rows->outputs[f]);
            assert_true(random_rows_same(&c, i, &w->rows.columns[plan->outputs[f]], want[i]));
        }
    }
}

static void s_random_keys(world_t *w, column_builder_t *into)
{
    uint8_t room[32];
    column_builder_init(into, schema_pk(w->schema));
    for (uint64_t n = rng_below(&w->rng, 30); n > 0; n--)
        column_builder_add(into, random_rows_key(schema_pk(w->schema)->type,
                                                 rng_below(&w->rng, 150), room));
}

static void s_round(world_t *w, const layout_t *layouts, size_t n_layouts)
{
    static const size_t limits[] = { 0, 1, 7, 1000 };
    retrieve_plan_t plan = {
        .schema = w->schema, .count = rng_chance(&w->rng, 0.3), .outputs = s_outputs,
        .read_ts = rng_chance(&w->rng, 0.5) ? UINT64_MAX : rng_below(&w->rng, 10 + 2 * w->n_ops),
        .expire_ts = rng_chance(&w->rng, 0.3) ? rng_below(&w->rng, 2 * w->n_ops) : 0,
        .n_outputs = ARRAY_LEN(s_outputs), .part_rows = 1,
    };
    plan.limit = plan.count ? 0 : limits[rng_below(&w->rng, ARRAY_LEN(limits))];
    column_builder_t keys;
    s_random_keys(w, &keys);
    column_t pks = column_builder_view(&keys);
    plan.pks = rng_chance(&w->rng, 0.4) ? &pks : NULL;
    size_t filter = (size_t)rng_below(&w->rng, 7);
    assert_int_equal(expr_parse(&w->ctx, view_str(world_filter(w, filter)), w->schema, NULL, 0,
                                &plan.filter), OK);
    for (size_t i = 0; i < n_layouts; i++) {
        retrieved_t rows = {0};
        plan.part_rows = i == 2 ? 0 : 1;
        assert_int_equal(s_retrieve(&w->ctx, &plan, &layouts[i], rng_u64(&w->rng), 1 + i % 3,
                                    &rows), OK);
        s_compare(w, &plan, filter, &rows);
        retrieved_fini(&rows);
    }
    expr_unref(&plan.filter);
    column_builder_fini(&keys);
}

static void s_all_layouts(type_t pk, uint64_t seed, bool indexed)
{
    world_t w;
    world_init(&w, pk, seed, 80);
    w.indexed = indexed;
    s_answered = 0;
    static const struct { size_t n; unsigned sealed; } how[] = {
        { 1, 0 }, { 1, 1 }, { 2, 0 }, { 4, 0xa }, { 5, 0x1f },
    };
    layout_t layouts[ARRAY_LEN(how)];
    for (size_t i = 0; i < ARRAY_LEN(how); i++)
        layout_init(&layouts[i], &w, how[i].n, how[i].sealed);
    for (int round = 0; round < 120; round++)
        s_round(&w, layouts, ARRAY_LEN(how));
    assert_true(indexed ? s_answered > 100 : s_answered == 0);
    for (size_t i = 0; i < ARRAY_LEN(how); i++)
        layout_fini(&layouts[i]);
    world_fini(&w);
}

static void every_way_in_every_layout_number_keys(void **state)
{
    (void)state;
    s_all_layouts(TYPE_INT64, 1, false);
}

static void every_way_in_every_layout_text_keys(void **state)
{
    (void)state;
    s_all_layouts(TYPE_VARCHAR, 2, false);
}

static void every_way_with_scalar_indexes(void **state)
{
    (void)state;
    s_all_layouts(TYPE_INT64, 3, true);
    s_all_layouts(TYPE_VARCHAR, 4, true);
}

/* --- many rows, bounds, cancelling, faults ------------------------------------------ */

/* A part's buffer fills and is settled again and again: falling keys are the worst. */
static void the_least_keys_of_many_are_found(void **state)
{
    (void)state;
    world_t w;
    world_init(&w, TYPE_INT64, 5, 0);
    growing_t *g = growing_new(w.schema, (segment_id_t){ 1, 1, 1 });
    random_rows_t batch;
    random_rows_init(&batch, w.schema);
    for (int64_t i = 0; i < 9000; i++)
        for (size_t f = 0; f < W_FIELDS; f++) {
            int64_t key = (9000 - i) / 2;
            uint8_t zeros[32] = {0};
            column_builder_add(&batch.builders[f], f == W_ID ? view_of(&key, 8)
                               : view_of(zeros, batch.builders[f].width));
        }
    for (size_t f = 0; f < W_FIELDS; f++)
        batch.columns[f] = column_builder_view(&batch.builders[f]);
    assert_int_equal(growing_append(&w.ctx, g, batch.columns, 10), OK);
    random_rows_fini(&batch);
    layout_t layout = { .sources = { { .growing = g } }, .n = 1 };
    for (size_t limit = 1; limit < 5000; limit = limit * 5 + 1) {
        retrieve_plan_t plan = { .schema = w.schema, .read_ts = 10, .limit = limit };
        retrieved_t rows = {0};
        assert_int_equal(s_retrieve(&w.ctx, &plan, &layout, 1, 2, &rows), OK);
        column_t pks = column_builder_view(&rows.pks);
        assert_int_equal(pks.n, limit);
        for (size_t i = 0; i < pks.n; i++)
            assert_int_equal(load_i64(column_cell(&pks, i).ptr), i);
        retrieved_fini(&rows);
    }
    growing_unref(&g);
    world_fini(&w);
}

typedef struct small {
    world_t w;
    layout_t layout;
    retrieve_plan_t plan;
} small_t;

static void s_small_init(small_t *s)
{
    world_init(&s->w, TYPE_INT64, 9, 40);
    layout_init(&s->layout, &s->w, 3, 2);
    s->plan = (retrieve_plan_t){ .schema = s->w.schema, .read_ts = UINT64_MAX, .part_rows = 1,
                                 .outputs = s_outputs, .n_outputs = ARRAY_LEN(s_outputs) };
}

static void s_small_fini(small_t *s)
{
    expr_unref(&s->plan.filter);
    layout_fini(&s->layout);
    world_fini(&s->w);
}

static void bounds_and_types_are_kept(void **state)
{
    (void)state;
    small_t s;
    s_small_init(&s);
    retrieved_t rows = {0};
    s.plan.most_bytes = 200;
    assert_int_equal(s_retrieve(&s.w.ctx, &s.plan, &s.layout, 1, 1, &rows), ERR_UNEXPECTED);
    assert_string_equal(s.w.ctx.text, "query results exceed the maxOutputSize Limit 200");
    s.plan.limit = 2;
    assert_int_equal(s_retrieve(&s.w.ctx, &s.plan, &s.layout, 1, 1, &rows), OK);
    retrieved_fini(&rows);
    column_t texts = { .type = TYPE_VARCHAR, .n = 1 };
    s.plan.pks = &texts;
    assert_int_equal(s_retrieve(&s.w.ctx, &s.plan, &s.layout, 1, 1, &rows), ERR_PARAM_INVALID);
    s_small_fini(&s);
}

static void a_cancelled_query_stops(void **state)
{
    (void)state;
    small_t s;
    s_small_init(&s);
    owned(retrieve) retrieve = NULL;
    assert_int_equal(retrieve_new(&s.w.ctx, &s.plan, s.layout.sources, s.layout.n, &retrieve), OK);
    assert_true(retrieve_parts(retrieve) > 3);
    assert_int_equal(retrieve_run(&s.w.ctx, retrieve, 0), OK);
    ctx_cancel(&s.w.ctx);
    assert_int_equal(retrieve_run(&s.w.ctx, retrieve, 1), ERR_CANCELED);
    s_small_fini(&s);
}

static void every_fault_is_reported(void **state)
{
    (void)state;
    static const char *const filters[] = { "num < 15", "id in [1, 2, 50, 400]", "" };
    for (size_t i = 0; i < ARRAY_LEN(filters); i++)
        for (int nth = 0; ; nth++) {
            small_t s;
            s_small_init(&s);
            s.plan.limit = i == 2 ? 20 : 0;
            assert_int_equal(expr_parse(&s.w.ctx, view_str(filters[i]), s.w.schema, NULL, 0,
                                        &s.plan.filter), OK);
            retrieved_t rows = {0};
            fault_arm(nth);
            err_t err = s_retrieve(&s.w.ctx, &s.plan, &s.layout, 1, 1, &rows);
            bool fired = fault_disarm();
            retrieved_fini(&rows);
            s_small_fini(&s);
            if (!fired) {
                assert_int_equal(err, OK);
                assert_true(nth > 10);
                break;
            }
            if (err == OK)
                fail_msg("fault %d of filter %zu was swallowed", nth, i);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_way_in_every_layout_number_keys),
        cmocka_unit_test(every_way_in_every_layout_text_keys),
        cmocka_unit_test(every_way_with_scalar_indexes),
        cmocka_unit_test(the_least_keys_of_many_are_found),
        cmocka_unit_test(bounds_and_types_are_kept),
        cmocka_unit_test(a_cancelled_query_stops),
        cmocka_unit_test(every_fault_is_reported),
    };
    return cmocka_run_group_tests_name("retrieve", tests, NULL, NULL);
}
