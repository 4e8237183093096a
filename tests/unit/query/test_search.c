/* search: every vector type and metric against a slow model, over growing, sealed and mixed
 * layouts of the same rows, in parts of any size and order on several threads: ties, repeated
 * keys, nulls, deletes, reads in the past, filters, ranges, groups.  Then refusals, bounds,
 * cancelling, faults. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/fault.h"
#include "core/base/limits.h"
#include "tests/support/query_world.h"

static const size_t s_outputs[] = { W_TAG, W_TEXT, W_F32 };

static const struct { size_t field; metric_t metric; } s_kinds[] = {
    { W_F32, METRIC_L2 }, { W_F32, METRIC_IP }, { W_F32, METRIC_COSINE },
    { W_F16, METRIC_L2 }, { W_F16, METRIC_IP }, { W_F16, METRIC_COSINE },
    { W_BF16, METRIC_L2 }, { W_BF16, METRIC_IP }, { W_BF16, METRIC_COSINE },
    { W_I8, METRIC_L2 }, { W_I8, METRIC_IP }, { W_I8, METRIC_COSINE },
    { W_BITS, METRIC_HAMMING }, { W_BITS, METRIC_JACCARD }, { W_SPARSE, METRIC_IP },
};

/* --- the model ------------------------------------------ */

typedef struct hit { size_t row; float score; size_t ordinal; int64_t group; } hit_t;

static const world_t *s_world;
static bool s_descends;

static int s_order(const void *a, const void *b)
{
    const hit_t *x = a, *y = b;
    if (x->score != y->score)
        return (x->score > y->score) == s_descends ? -1 : 1;
    const column_t *pks = &s_world->rows.columns[W_ID];
    int order = pk_cmp(pks->type, column_cell(pks, x->row), column_cell(pks, y->row));
    if (order)
        return order;
    return x->row > y->row ? -1 : 1;            /* rows come in the order of time */
}

static int s_by_group(const void *a, const void *b)
{
    const hit_t *x = a, *y = b;
    if (x->ordinal != y->ordinal)
        return x->ordinal < y->ordinal ? -1 : 1;
    return s_order(a, b);
}

static bool s_in_range(const search_plan_t *plan, float score)
{
    bool in = schema_at(plan->schema, plan->field)->type != TYPE_SPARSE_VECTOR || score > 0;
    if (plan->has_radius)
        in = in && (s_descends ? score > plan->radius : score < plan->radius);
    if (plan->has_radius && plan->has_range_filter)
        in = in && (s_descends ? score <= plan->range_filter : score >= plan->range_filter);
    return in;
}

static int64_t s_group(const world_t *w, size_t field, size_t row)
{
    const column_t *c = &w->rows.columns[field];
    view_t cell = column_cell(c, row);
    return column_is_null(c, row) ? -1 : field == W_KIND ? (int64_t)cell.ptr[1]
         : (int64_t)load_u32(cell.ptr);
}

static size_t s_candidates(const world_t *w, const search_plan_t *plan, size_t filter, size_t q,
                           hit_t *hits)
{
    size_t n = 0;
    for (size_t row = 0; row < w->n; row++) {
        if (!world_visible(w, row, plan->read_ts) || w->ts[row] < plan->expire_ts ||
            !world_takes(w, filter, row) ||
            column_is_null(&w->rows.columns[plan->field], row))
            continue;
        float score = world_score(w, plan->field, plan->metric, &plan->queries, q, row);
        if (s_in_range(plan, score))
            hits[n++] = (hit_t){ .row = row, .score = score, .group =
                plan->group_field == SIZE_MAX ? 0 : s_group(w, plan->group_field, row) };
    }
    qsort(hits, n, sizeof *hits, s_order);
    return n;
}

/* Walk over all candidates, best first; the hits stay at the front. */
static size_t s_model(const world_t *w, const search_plan_t *plan, size_t filter, size_t q,
                      hit_t *hits)
{
    s_world = w;
    s_descends = metric_descends(plan->metric);
    bool grouped = plan->group_field != SIZE_MAX;
    size_t n = s_candidates(w, plan, filter, q, hits), taken = 0, n_groups = 0;
    const column_t *pks = &w->rows.columns[W_ID];
    for (size_t i = 0; i < n && (grouped || taken < plan->topk); i++) {
        hit_t hit = hits[i];
        bool seen = false;
        size_t same = 0;
        hit.ordinal = n_groups;
        for (size_t j = 0; j < taken; j++) {
            seen = seen || view_eq(column_cell(pks, hits[j].row), column_cell(pks, hit.row));
            if (hits[j].group == hit.group) {
                same++;
                hit.ordinal = hits[j].ordinal;
            }
        }
        if (seen || (grouped && (same == plan->group_size || hit.ordinal == plan->topk)))
            continue;
        n_groups += grouped && same == 0;
        hits[taken++] = hit;
        if (grouped && !plan->strict_group_size && n_groups == plan->topk)
            break;
    }
    if (grouped)
        qsort(hits, taken, sizeof *hits, s_by_group);
    return taken;
}

/* --- running ------------------------------------------ */

static err_t s_part(ctx_t *ctx, void *arg, size_t i)
{
    return search_run(ctx, arg, i);
}

static err_t s_search(ctx_t *ctx, const search_plan_t *plan, const layout_t *layout, uint64_t seed,
                      size_t n_threads, search_found_t *ret)
{
    owned(search) search = NULL;
    TRY(search_new(ctx, plan, layout->sources, layout->n, &search));
    err_t err = world_run(seed, n_threads, s_part, search, search_parts(search));
    if (err != OK)
        return ctx_fail(ctx, err, "a part");
    return search_finish(ctx, search, ret);
}

static void s_compare(const world_t *w, const search_plan_t *plan, size_t filter,
                      const search_found_t *found)
{
    size_t at = 0;
    hit_t *want = mem_new(WORLD_ROWS * sizeof *want);
    column_t pks = column_builder_view(&found->pks), groups = column_builder_view(&found->groups);
    column_t outputs[ARRAY_LEN(s_outputs)];
    for (size_t i = 0; i < plan->n_outputs; i++)
        outputs[i] = column_builder_view(&found->outputs[i]);
    for (size_t q = 0; q < plan->queries.n; q++) {
        size_t n = s_model(w, plan, filter, q, want);
        assert_int_equal(found->hits[q], n);
        for (size_t i = 0; i < n; i++, at++) {
            assert_int_equal(load_i64(column_cell(&outputs[0], at).ptr), want[i].row);
            assert_memory_equal(&found->scores[at], &want[i].score, sizeof(float));
            assert_true(random_rows_same(&pks, at, &w->rows.columns[W_ID], want[i].row));
            if (plan->group_field != SIZE_MAX)
                assert_true(random_rows_same(&groups, at, &w->rows.columns[plan->group_field],
                                             want[i].row));
            for (size_t f = 0; f < plan->n_outputs; f++)
                assert_true(random_rows_same(&outputs[f], at,
                                             &w->rows.columns[plan->outputs[f]], want[i].row));
        }
    }
    assert_int_equal(found->n, at);
    mem_free(want);
}

static void s_make_queries(world_t *w, size_t field, size_t nq, column_builder_t *into)
{
    column_builder_init(into, schema_at(w->schema, field));
    for (size_t q = 0; q < nq; q++)
        world_vector(&w->rng, schema_at(w->schema, field), into);
}

static void s_random_plan(world_t *w, size_t kind, search_plan_t *plan)
{
    static const size_t topks[] = { 1, 3, 10, 40, 5000 };
    rng_t *rng = &w->rng;
    *plan = (search_plan_t){
        .schema = w->schema, .field = s_kinds[kind].field, .metric = s_kinds[kind].metric,
        .read_ts = rng_chance(rng, 0.5) ? UINT64_MAX : rng_below(rng, 10 + 2 * w->n_ops),
        .expire_ts = rng_chance(rng, 0.3) ? rng_below(rng, 2 * w->n_ops) : 0,
        .topk = topks[rng_below(rng, ARRAY_LEN(topks))], .group_field = SIZE_MAX,
        .outputs = s_outputs, .n_outputs = ARRAY_LEN(s_outputs), .part_bytes = 1,
        .knobs = { .nprobe = 16 },              /* all lists: exact */
    };
    plan->has_radius = rng_chance(rng, 0.3);
    plan->has_range_filter = rng_chance(rng, 0.5);
    bool unit = plan->metric == METRIC_COSINE || plan->metric == METRIC_JACCARD;
    float low = unit ? 0.25f : 2, high = unit ? 1 : 12;
    plan->radius = metric_descends(plan->metric) ? low : high;
    plan->range_filter = metric_descends(plan->metric) ? high : low;
    if (rng_chance(rng, 0.4)) {
        plan->group_field = rng_chance(rng, 0.5) ? W_GROUP : W_KIND;
        plan->group_size = 1 + rng_below(rng, 4);
        plan->strict_group_size = rng_chance(rng, 0.5);
        plan->topk = 1 + rng_below(rng, 6);
    }
}

/* One random search, in every layout. */
static void s_round(world_t *w, const layout_t *layouts, size_t n_layouts, size_t kind)
{
    search_plan_t plan;
    s_random_plan(w, kind, &plan);
    column_builder_t queries;
    s_make_queries(w, plan.field, 1 + rng_below(&w->rng, 3), &queries);
    plan.queries = column_builder_view(&queries);
    size_t filter = (size_t)rng_below(&w->rng, 7);
    assert_int_equal(expr_parse(&w->ctx, view_str(world_filter(w, filter)), w->schema, NULL, 0,
                                &plan.filter), OK);
    for (size_t i = 0; i < n_layouts; i++) {
        search_found_t found = {0};
        plan.part_bytes = i == 2 ? 0 : 1;
        assert_int_equal(s_search(&w->ctx, &plan, &layouts[i], rng_u64(&w->rng), 1 + i % 3,
                                  &found), OK);
        s_compare(w, &plan, filter, &found);
        search_found_fini(&found);
    }
    expr_unref(&plan.filter);
    column_builder_fini(&queries);
}

static void s_all_layouts(type_t pk, uint64_t seed, bool indexed)
{
    world_t w;
    world_init(&w, pk, seed, 60);
    w.indexed = indexed;
    static const struct { size_t n; unsigned sealed; } how[] = {
        { 1, 0 }, { 1, 1 }, { 2, 0 }, { 4, 0xa }, { 5, 0x1f },
    };
    layout_t layouts[ARRAY_LEN(how)];
    for (size_t i = 0; i < ARRAY_LEN(how); i++)
        layout_init(&layouts[i], &w, how[i].n, how[i].sealed);
    for (size_t kind = 0; kind < ARRAY_LEN(s_kinds); kind++)
        for (int round = 0; round < 12; round++)
            s_round(&w, layouts, ARRAY_LEN(how), kind);
    for (size_t i = 0; i < ARRAY_LEN(how); i++)
        layout_fini(&layouts[i]);
    world_fini(&w);
}

static void every_kind_in_every_layout_number_keys(void **state)
{
    (void)state;
    s_all_layouts(TYPE_INT64, 1, false);
}

static void every_kind_in_every_layout_text_keys(void **state)
{
    (void)state;
    s_all_layouts(TYPE_VARCHAR, 2, false);
}

/* Segments with indexes that read all their lists give the very same answers. */
static void every_kind_by_indexes(void **state)
{
    (void)state;
    s_all_layouts(TYPE_INT64, 3, true);
    s_all_layouts(TYPE_VARCHAR, 4, true);
}

/* --- many of one key, many of one score ------------------------------------------ */

/* A growing segment of n rows, all zeros but for keys and the vectors of W_F32. */
static layout_t s_plain_rows(world_t *w, size_t n, int64_t (*key)(int64_t), void (*vector)(int64_t,
                             float *))
{
    growing_t *g = growing_new(w->schema, (segment_id_t){ 1, 1, 1 });
    random_rows_t batch;
    random_rows_init(&batch, w->schema);
    for (size_t i = 0; i < n; i++)
        for (size_t f = 0; f < W_FIELDS; f++) {
            int64_t pk = key((int64_t)i);
            float cell[WORLD_DIM] = {0};
            uint8_t zeros[32] = {0};
            vector((int64_t)i, cell);
            column_builder_add(&batch.builders[f], f == W_F32 ? view_of(cell, sizeof cell)
                               : f == W_ID ? view_of(&pk, 8)
                               : view_of(zeros, batch.builders[f].width));
        }
    for (size_t f = 0; f < W_FIELDS; f++)
        batch.columns[f] = column_builder_view(&batch.builders[f]);
    assert_int_equal(growing_append(&w->ctx, g, batch.columns, 10), OK);
    random_rows_fini(&batch);
    return (layout_t){ .sources = { { .growing = g } }, .n = 1 };
}

static search_plan_t s_plain_plan(const world_t *w, metric_t metric, size_t topk,
                                  const float *query)
{
    return (search_plan_t){
        .schema = w->schema, .read_ts = 10, .field = W_F32, .metric = metric, .topk = topk,
        .group_field = SIZE_MAX,
        .queries = { .type = TYPE_FLOAT_VECTOR, .width = WORLD_DIM * 4, .n = 1,
                     .cells = (const uint8_t *)query },
    };
}

/* The hits are keys 0, 1, 2 …, in one part and in many. */
static void s_finds_least_keys(world_t *w, search_plan_t *plan, const layout_t *layout,
                               float (*score)(int64_t))
{
    for (size_t part_bytes = 0; part_bytes < 2; part_bytes++) {
        search_found_t found = {0};
        plan->part_bytes = part_bytes;
        assert_int_equal(s_search(&w->ctx, plan, layout, 1, 2, &found), OK);
        column_t pks = column_builder_view(&found.pks);
        assert_int_equal(found.n, plan->topk);
        for (size_t i = 0; i < found.n; i++) {
            assert_int_equal(load_i64(column_cell(&pks, i).ptr), i);
            assert_true(found.scores[i] == score((int64_t)i));
        }
        search_found_fini(&found);
    }
}

static int64_t s_falling_key(int64_t i)         { return 9 - i / 100; }
static int64_t s_rising_key(int64_t i)          { return i / 6; }
static int64_t s_own_key(int64_t i)             { return i; }
static float s_square(int64_t key)              { return (float)(key * key); }
static float s_one(int64_t key)                 { (void)key; return 1; }

static void s_all_like_key(int64_t i, float *cell)
{
    cell[0] = (float)s_rising_key(i);
}

/* Ties: all but the last row of a key are as good as the best of key 5. */
static void s_last_is_better(int64_t i, float *cell)
{
    cell[0] = i % 100 == 99 ? (float)s_falling_key(i) : 5;
}

/* 100 rows, or 6, of each key; no top-k of 6 rows sees six keys. */
static void repeated_keys_do_not_crowd_others_out(void **state)
{
    (void)state;
    world_t w;
    float zero[WORLD_DIM] = {0};
    world_init(&w, TYPE_INT64, 5, 0);
    search_plan_t plan = s_plain_plan(&w, METRIC_L2, 6, zero);
    layout_t layout = s_plain_rows(&w, 1000, s_falling_key, s_last_is_better);
    s_finds_least_keys(&w, &plan, &layout, s_square);
    layout_fini(&layout);
    layout = s_plain_rows(&w, 1000, s_rising_key, s_all_like_key);
    s_finds_least_keys(&w, &plan, &layout, s_square);
    layout_fini(&layout);
    world_fini(&w);
}

/* In floats the cosine of (3, 3) with itself is 1.0000001, with (1, 1) it is 1. */
static void s_three_or_one(int64_t i, float *cell)
{
    cell[0] = cell[1] = i % 2 ? 3 : 1;
}

static void a_cosine_is_at_most_one(void **state)
{
    (void)state;
    float three = 1 / sqrtf(18), one = 1 / sqrtf(2);
    assert_true(18 * three * three > 1 && 6 * one * three == 1);
    world_t w;
    float query[WORLD_DIM] = { 3, 3 };
    world_init(&w, TYPE_INT64, 5, 0);
    layout_t layout = s_plain_rows(&w, 1000, s_own_key, s_three_or_one);
    search_plan_t plan = s_plain_plan(&w, METRIC_COSINE, 400, query);
    plan.has_radius = plan.has_range_filter = true;
    plan.radius = 0.5f;
    plan.range_filter = 1;
    s_finds_least_keys(&w, &plan, &layout, s_one);
    plan.radius = 1;
    search_found_t found = {0};
    assert_int_equal(s_search(&w.ctx, &plan, &layout, 1, 1, &found), OK);
    assert_int_equal(found.n, 0);               /* nothing is more than 1 */
    search_found_fini(&found);
    layout_fini(&layout);
    world_fini(&w);
}

/* --- much at once ------------------------------------------ */

static void s_same_found(const search_found_t *a, const search_found_t *b)
{
    assert_int_equal(a->nq, b->nq);
    assert_int_equal(a->n, b->n);
    assert_memory_equal(a->hits, b->hits, a->nq * sizeof *a->hits);
    assert_memory_equal(a->scores, b->scores, a->n * sizeof *a->scores);
    assert_int_equal(a->pks.cells.len, b->pks.cells.len);
    assert_memory_equal(a->pks.cells.ptr, b->pks.cells.ptr, a->pks.cells.len);
}

/* So many hits wait that parts fold them early: the answer of many small parts is that of
 * few big ones. */
static void many_hits_are_folded_early(void **state)
{
    (void)state;
    world_t w;
    world_init(&w, TYPE_INT64, 11, 60);
    layout_t layout;
    layout_init(&layout, &w, 5, 0x15);
    column_builder_t queries;
    s_make_queries(&w, W_I8, 4000, &queries);
    search_plan_t plan = {
        .schema = w.schema, .read_ts = UINT64_MAX, .field = W_I8, .metric = METRIC_L2,
        .topk = 100, .group_field = SIZE_MAX, .queries = column_builder_view(&queries),
    };
    search_found_t few = {0}, many = {0};
    assert_int_equal(s_search(&w.ctx, &plan, &layout, 1, 1, &few), OK);
    plan.part_bytes = 1;
    assert_int_equal(s_search(&w.ctx, &plan, &layout, 2, 3, &many), OK);
    assert_true(few.n > 300000);
    s_same_found(&few, &many);
    search_found_fini(&few);
    search_found_fini(&many);
    column_builder_fini(&queries);
    layout_fini(&layout);
    world_fini(&w);
}

enum { AT_ONCE = 6 };

static err_t s_part_of_one(ctx_t *ctx, void *arg, size_t i)
{
    search_t **searches = arg;
    return search_run(ctx, searches[i % AT_ONCE], i / AT_ONCE);
}

/* Searches share the norms that segments keep; all of them come first at once. */
static void searches_run_beside_each_other(void **state)
{
    (void)state;
    world_t w;
    world_init(&w, TYPE_INT64, 12, 60);
    column_builder_t queries;
    s_make_queries(&w, W_F32, 2, &queries);
    search_plan_t plan = {
        .schema = w.schema, .read_ts = UINT64_MAX, .field = W_F32, .metric = METRIC_COSINE,
        .topk = 20, .group_field = SIZE_MAX, .queries = column_builder_view(&queries),
        .outputs = s_outputs, .n_outputs = ARRAY_LEN(s_outputs), .part_bytes = 1,
        .knobs = { .nprobe = 16 },              /* all lists: exact */
    };
    for (uint64_t round = 0; round < 10; round++) {
        layout_t layout;
        layout_init(&layout, &w, 3, 5);
        search_t *searches[AT_ONCE] = {0};
        for (size_t i = 0; i < AT_ONCE; i++)
            assert_int_equal(search_new(&w.ctx, &plan, layout.sources, layout.n, &searches[i]),
                             OK);
        assert_int_equal(world_run(round, 4, s_part_of_one, searches,
                                   AT_ONCE * search_parts(searches[0])), OK);
        for (size_t i = 0; i < AT_ONCE; i++) {
            search_found_t found = {0};
            assert_int_equal(search_finish(&w.ctx, searches[i], &found), OK);
            s_compare(&w, &plan, 0, &found);
            search_found_fini(&found);
            search_destroy(&searches[i]);
        }
        layout_fini(&layout);
    }
    column_builder_fini(&queries);
    world_fini(&w);
}

/* --- refusals, bounds, cancelling, faults ------------------------------------------ */

typedef struct small {
    world_t w;
    layout_t layout;
    column_builder_t queries;
    search_plan_t plan;
} small_t;

static void s_small_init(small_t *s, size_t field, metric_t metric)
{
    world_init(&s->w, TYPE_INT64, 9, 40);
    layout_init(&s->layout, &s->w, 3, 2);
    s_make_queries(&s->w, field, 2, &s->queries);
    s->plan = (search_plan_t){
        .schema = s->w.schema, .read_ts = UINT64_MAX, .field = field, .metric = metric, .topk = 9,
        .group_field = SIZE_MAX, .outputs = s_outputs, .n_outputs = ARRAY_LEN(s_outputs),
        .queries = column_builder_view(&s->queries), .part_bytes = 1,
    };
}

static void s_small_fini(small_t *s)
{
    expr_unref(&s->plan.filter);
    column_builder_fini(&s->queries);
    layout_fini(&s->layout);
    world_fini(&s->w);
}

static void s_refused(small_t *s, err_t want, const char *text)
{
    search_found_t found = {0};
    assert_int_equal(s_search(&s->w.ctx, &s->plan, &s->layout, 1, 1, &found), want);
    if (!strstr(s->w.ctx.text, text))
        fail_msg("'%s' is not in '%s'", text, s->w.ctx.text);
}

static void what_makes_no_sense_is_refused(void **state)
{
    (void)state;
    small_t s;
    s_small_init(&s, W_F32, METRIC_L2);
    s.plan.topk = 0;
    s_refused(&s, ERR_PARAM_INVALID, "topk [0] is invalid");
    s.plan.topk = LIMIT_TOPK + 1;
    s_refused(&s, ERR_PARAM_INVALID, "should be in range [1, 16384]");
    s.plan.topk = 5;
    s.plan.metric = METRIC_HAMMING;
    s_refused(&s, ERR_PARAM_INVALID, "f32 is a FloatVector, which has no metric HAMMING");
    s.plan.field = W_SPARSE;
    s.plan.metric = METRIC_L2;
    s_refused(&s, ERR_PARAM_INVALID, "no metric L2");
    s.plan.field = W_BITS;
    s_refused(&s, ERR_PARAM_INVALID, "no metric L2");
    s.plan.field = W_NUM;
    s_refused(&s, ERR_PARAM_INVALID, "num is a Int32");
    s.plan.field = W_F16;
    s_refused(&s, ERR_PARAM_INVALID, "the queries are not vectors of field f16");
    s.plan.field = W_F32;
    s.plan.has_radius = true;
    s.plan.radius = NAN;
    s_refused(&s, ERR_PARAM_INVALID, "must be numbers");
    s.plan.has_radius = false;
    s.plan.group_field = W_KIND;
    s_refused(&s, ERR_PARAM_INVALID, "group_size 0");
    s.plan.group_size = LIMIT_GROUP_SIZE + 1;
    s_refused(&s, ERR_PARAM_INVALID, "is not in [1, 10000]");
    s.plan.group_field = SIZE_MAX;
    s.plan.most_bytes = 300;
    s_refused(&s, ERR_UNEXPECTED, "search results exceed the maxOutputSize Limit 300");
    s_small_fini(&s);
}

static void a_cancelled_search_stops(void **state)
{
    (void)state;
    for (int grouped = 0; grouped < 2; grouped++) {
        small_t s;
        s_small_init(&s, W_F32, METRIC_L2);
        s.plan.group_field = grouped ? W_KIND : SIZE_MAX;
        s.plan.group_size = 1;
        owned(search) search = NULL;
        assert_int_equal(search_new(&s.w.ctx, &s.plan, s.layout.sources, s.layout.n, &search), OK);
        assert_true(search_parts(search) > 3);
        assert_int_equal(search_run(&s.w.ctx, search, 0), OK);
        ctx_cancel(&s.w.ctx);
        assert_int_equal(search_run(&s.w.ctx, search, 1), ERR_CANCELED);
        s_small_fini(&s);
    }
}

static void nothing_to_search_finds_nothing(void **state)
{
    (void)state;
    small_t s;
    s_small_init(&s, W_SPARSE, METRIC_IP);
    layout_t none = {0};
    search_found_t found = {0};
    assert_int_equal(s_search(&s.w.ctx, &s.plan, &none, 1, 1, &found), OK);
    assert_int_equal(found.n, 0);
    assert_int_equal(found.hits[0] + found.hits[1], 0);
    assert_int_equal(found.n_outputs, ARRAY_LEN(s_outputs));
    search_found_fini(&found);
    s.plan.read_ts = 1;                         /* before the first row */
    assert_int_equal(s_search(&s.w.ctx, &s.plan, &s.layout, 1, 1, &found), OK);
    assert_int_equal(found.n, 0);
    search_found_fini(&found);
    s_small_fini(&s);
}

/* Plain, with many ties (a collector), grouped, strict groups: each allocation and read of
 * the store fails once. */
static void every_fault_is_reported(void **state)
{
    (void)state;
    static const struct { size_t field; metric_t metric; size_t group; bool strict; } how[] = {
        { W_F32, METRIC_COSINE, SIZE_MAX, false }, { W_BITS, METRIC_HAMMING, SIZE_MAX, false },
        { W_SPARSE, METRIC_IP, W_GROUP, false }, { W_I8, METRIC_IP, W_GROUP, true },
    };
    for (size_t i = 0; i < ARRAY_LEN(how); i++)
        for (int nth = 0; ; nth++) {
            small_t s;
            s_small_init(&s, how[i].field, how[i].metric);
            s.plan.group_field = how[i].group;
            s.plan.group_size = 3;
            s.plan.strict_group_size = how[i].strict;
            assert_int_equal(expr_parse(&s.w.ctx, view_str("num < 15"), s.w.schema, NULL, 0,
                                        &s.plan.filter), OK);
            search_found_t found = {0};
            fault_arm(nth);
            err_t err = s_search(&s.w.ctx, &s.plan, &s.layout, 1, 1, &found);
            bool fired = fault_disarm();
            search_found_fini(&found);
            s_small_fini(&s);
            if (!fired) {
                assert_int_equal(err, OK);
                assert_true(nth > 50);
                break;
            }
            if (err == OK)
                fail_msg("fault %d of way %zu was swallowed", nth, i);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_in_every_layout_number_keys),
        cmocka_unit_test(every_kind_in_every_layout_text_keys),
        cmocka_unit_test(every_kind_by_indexes),
        cmocka_unit_test(repeated_keys_do_not_crowd_others_out),
        cmocka_unit_test(a_cosine_is_at_most_one),
        cmocka_unit_test(many_hits_are_folded_early),
        cmocka_unit_test(searches_run_beside_each_other),
        cmocka_unit_test(what_makes_no_sense_is_refused),
        cmocka_unit_test(a_cancelled_search_stops),
        cmocka_unit_test(nothing_to_search_finds_nothing),
        cmocka_unit_test(every_fault_is_reported),
    };
    return cmocka_run_group_tests_name("search", tests, NULL, NULL);
}
