/* merge: hits and rows of several nodes against a slow reading of the rules, with random ties,
 * repeated keys and groups; answers that do not fit are refused; every fault is reported. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/fault.h"
#include "core/base/rng.h"
#include "core/query/merge.h"

enum { MOST_PARTS = 5, MOST_NQ = 4, MOST_ROWS = 300 };

/* A node's hits, and the columns they lie in. */
typedef struct node {
    uint32_t hits[MOST_NQ];
    float scores[MOST_ROWS];
    uint64_t ts[MOST_ROWS];
    column_builder_t pks, groups, texts;
    column_t output;
} node_t;

typedef struct world {
    ctx_t ctx;
    schema_t *schema;
    rng_t rng;
    size_t nq, n_parts;
    node_t nodes[MOST_PARTS];
    found_part_t found[MOST_PARTS];
    rows_part_t rows[MOST_PARTS];
} world_t;

static const size_t s_outputs[] = { 2 };

static schema_t *s_schema(type_t pk)
{
    const field_t fields[] = {
        { .id = 100, .name = "id", .type = pk, .max_length = 32, .primary_key = true },
        { .id = 101, .name = "g", .type = TYPE_INT32, .nullable = true },
        { .id = 102, .name = "t", .type = TYPE_VARCHAR, .max_length = 64 },
    };
    return schema_new(fields, ARRAY_LEN(fields));
}

static view_t s_pk(type_t pk, uint64_t key, uint8_t *room)
{
    if (pk == TYPE_INT64) {
        store_i64(room, (int64_t)key - 10);
        return view_of(room, 8);
    }
    return view_of(room, (size_t)snprintf((char *)room, 32, "k%llu", (unsigned long long)key));
}

static void s_add_row(world_t *w, size_t part, uint64_t key, float score, uint64_t ts)
{
    node_t *node = &w->nodes[part];
    uint8_t room[64];
    size_t row = node->pks.n;
    check(row < MOST_ROWS);
    node->scores[row] = score;
    node->ts[row] = ts;
    column_builder_add(&node->pks, s_pk(schema_pk(w->schema)->type, key, room));
    uint32_t group = (uint32_t)(key % 7);       /* a key has one group, wherever it is */
    if (group == 6)
        column_builder_add_null(&node->groups);
    else
        column_builder_add(&node->groups, view_of(&group, 4));
    int len = snprintf((char *)room, sizeof room, "node %zu row %zu", part, row);
    column_builder_add(&node->texts, view_of(room, (size_t)len));
}

static void s_init_sized(world_t *w, type_t pk, uint64_t seed, size_t nq, size_t n_parts)
{
    memset(w, 0, sizeof *w);
    ctx_init(&w->ctx);
    rng_seed(&w->rng, seed);
    w->schema = s_schema(pk);
    w->nq = nq;
    w->n_parts = n_parts;
    for (size_t i = 0; i < w->n_parts; i++) {
        column_builder_init(&w->nodes[i].pks, schema_at(w->schema, 0));
        column_builder_init(&w->nodes[i].groups, schema_at(w->schema, 1));
        column_builder_init(&w->nodes[i].texts, schema_at(w->schema, 2));
    }
}

static void s_init(world_t *w, type_t pk, uint64_t seed)
{
    rng_t rng;
    rng_seed(&rng, ~seed);
    s_init_sized(w, pk, seed, 1 + rng_below(&rng, MOST_NQ), rng_below(&rng, MOST_PARTS + 1));
}

static void s_fini(world_t *w)
{
    for (size_t i = 0; i < w->n_parts; i++) {
        column_builder_fini(&w->nodes[i].pks);
        column_builder_fini(&w->nodes[i].groups);
        column_builder_fini(&w->nodes[i].texts);
    }
    schema_unref(&w->schema);
    ctx_fini(&w->ctx);
}

static void s_show(world_t *w)
{
    for (size_t i = 0; i < w->n_parts; i++) {
        node_t *node = &w->nodes[i];
        node->output = column_builder_view(&node->texts);
        w->found[i] = (found_part_t){
            .hits = node->hits, .n = node->pks.n, .scores = node->scores,
            .pks = column_builder_view(&node->pks), .groups = column_builder_view(&node->groups),
            .outputs = &node->output,
        };
        w->rows[i] = (rows_part_t){ .count = node->pks.n, .pks = w->found[i].pks,
                                    .ts = node->ts, .outputs = &node->output };
    }
}

static void s_random_hits(world_t *w)
{
    for (size_t i = 0; i < w->n_parts; i++)
        for (size_t q = 0; q < w->nq; q++) {
            uint64_t n = rng_below(&w->rng, 30);
            for (uint64_t k = 0; k < n; k++)        /* few scores and keys: ties and repeats */
                s_add_row(w, i, rng_below(&w->rng, 40), (float)rng_below(&w->rng, 9), 0);
            w->nodes[i].hits[q] = (uint32_t)n;
        }
    s_show(w);
}

/* --- the rules once more, slowly ------------------------------------------ */

typedef struct row { size_t part, row; float score; view_t pk; int group; size_t ordinal; } row_t;

static const merge_search_t *s_how;

static int s_order(const void *a, const void *b)
{
    const row_t *x = a, *y = b;
    if (x->score != y->score)
        return (x->score < y->score) == metric_descends(s_how->metric) ? 1 : -1;
    int order = pk_cmp(schema_pk(s_how->schema)->type, x->pk, y->pk);
    if (order)
        return order;
    if (x->part != y->part)
        return x->part < y->part ? -1 : 1;
    return x->row > y->row ? -1 : 1;
}

static int s_by_ordinal(const void *a, const void *b)
{
    const row_t *x = a, *y = b;
    if (x->ordinal != y->ordinal)
        return x->ordinal < y->ordinal ? -1 : 1;
    return s_order(a, b);
}

static size_t s_gather(const world_t *w, size_t q, row_t *rows)
{
    size_t n = 0;
    for (size_t i = 0; i < w->n_parts; i++) {
        size_t at = 0;
        for (size_t before = 0; before < q; before++)
            at += w->nodes[i].hits[before];
        for (size_t row = at; row < at + w->nodes[i].hits[q]; row++)
            rows[n++] = (row_t){
                .part = i, .row = row, .score = w->nodes[i].scores[row],
                .pk = column_cell(&w->found[i].pks, row),
                .group = column_is_null(&w->found[i].groups, row) ? -1
                       : (int)load_u32(column_cell(&w->found[i].groups, row).ptr),
            };
    }
    return n;
}

static size_t s_reference(const world_t *w, size_t q, row_t *ret)
{
    row_t rows[MOST_PARTS * 40];
    size_t n = s_gather(w, q, rows), taken = 0, n_groups = 0, k = s_how->offset + s_how->limit;
    qsort(rows, n, sizeof *rows, s_order);
    bool grouped = s_how->group_field != SIZE_MAX;
    for (size_t i = 0; i < n; i++) {
        size_t same = 0, before = SIZE_MAX;
        bool seen = false;
        for (size_t j = 0; j < taken; j++) {
            seen = seen || view_eq(ret[j].pk, rows[i].pk);
            if (ret[j].group == rows[i].group) {
                same++;
                before = ret[j].ordinal;
            }
        }
        if (seen || (!grouped && taken == k))
            continue;
        if (grouped && (same == s_how->group_size || (same == 0 && n_groups == k)))
            continue;
        ret[taken] = rows[i];
        ret[taken++].ordinal = !grouped ? 0 : same ? before : n_groups++;
        if (grouped && !s_how->strict_group_size && n_groups == k)
            break;
    }
    if (!grouped) {
        size_t skip = s_how->offset < taken ? s_how->offset : taken;
        memmove(ret, ret + skip, (taken - skip) * sizeof *ret);
        return taken - skip;
    }
    qsort(ret, taken, sizeof *ret, s_by_ordinal);
    size_t skip = 0;
    while (skip < taken && ret[skip].ordinal < s_how->offset)
        skip++;
    memmove(ret, ret + skip, (taken - skip) * sizeof *ret);
    return taken - skip;
}

static void s_compare(const world_t *w, const search_found_t *found)
{
    size_t at = 0;
    column_t pks = column_builder_view(&found->pks);
    column_t texts = column_builder_view(&found->outputs[0]);
    for (size_t q = 0; q < w->nq; q++) {
        row_t want[MOST_PARTS * 40];
        size_t n = s_reference(w, q, want);
        assert_int_equal(found->hits[q], n);
        for (size_t i = 0; i < n; i++, at++) {
            assert_true(found->scores[at] == want[i].score);
            assert_true(view_eq(column_cell(&pks, at), want[i].pk));
            assert_true(view_eq(column_cell(&texts, at),
                                column_cell(&w->nodes[want[i].part].output, want[i].row)));
        }
    }
    assert_int_equal(found->n, at);
    assert_int_equal(pks.n, at);
}

static merge_search_t s_random_how(world_t *w)
{
    return (merge_search_t){
        .schema = w->schema, .metric = rng_chance(&w->rng, 0.5) ? METRIC_L2 : METRIC_IP,
        .nq = w->nq, .offset = rng_chance(&w->rng, 0.5) ? rng_below(&w->rng, 12) : 0,
        .limit = 1 + rng_below(&w->rng, 30),
        .group_field = rng_chance(&w->rng, 0.5) ? 1 : SIZE_MAX,
        .group_size = 1 + rng_below(&w->rng, 4), .strict_group_size = rng_chance(&w->rng, 0.5),
        .outputs = s_outputs, .n_outputs = 1,
    };
}

static void hits_are_merged_by_the_rules(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 400; seed++) {
        world_t w;
        s_init(&w, seed % 2 ? TYPE_INT64 : TYPE_VARCHAR, seed);
        s_random_hits(&w);
        merge_search_t how = s_random_how(&w);
        s_how = &how;
        search_found_t found = {0};
        assert_int_equal(merge_search(&w.ctx, &how, w.found, w.n_parts, &found), OK);
        s_compare(&w, &found);
        search_found_fini(&found);
        s_fini(&w);
    }
}

/* --- rows ------------------------------------------ */

static void s_random_rows(world_t *w)
{
    for (size_t i = 0; i < w->n_parts; i++)
        for (uint64_t key = 0; key < 10; key++)     /* k0 to k9: rising as texts too */
            if (rng_chance(&w->rng, 0.5))
                s_add_row(w, i, key, 0, rng_below(&w->rng, 4));
    s_show(w);
}

static void rows_are_merged_by_key_and_time(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 200; seed++) {
        world_t w;
        s_init(&w, seed % 2 ? TYPE_INT64 : TYPE_VARCHAR, seed);
        s_random_rows(&w);
        merge_rows_t how = { .schema = w.schema, .offset = rng_below(&w.rng, 4),
                             .limit = rng_below(&w.rng, 8), .outputs = s_outputs, .n_outputs = 1 };
        retrieved_t rows = {0};
        assert_int_equal(merge_rows(&w.ctx, &how, w.rows, w.n_parts, &rows), OK);
        column_t pks = column_builder_view(&rows.pks);
        column_t texts = column_builder_view(&rows.outputs[0]);
        size_t seen = 0, at = 0;
        for (uint64_t key = 0; key < 10; key++) {
            uint8_t room[32];
            view_t pk = s_pk(schema_pk(w.schema)->type, key, room);
            size_t part = SIZE_MAX, row = 0;
            for (size_t i = 0; i < w.n_parts; i++)
                for (size_t r = 0; r < w.rows[i].pks.n; r++)
                    if (view_eq(pk, column_cell(&w.rows[i].pks, r)) &&
                        (part == SIZE_MAX || w.rows[i].ts[r] > w.rows[part].ts[row])) {
                        part = i;
                        row = r;
                    }
            if (part == SIZE_MAX || seen++ < how.offset || (how.limit && at == how.limit))
                continue;
            assert_true(at < pks.n && view_eq(pk, column_cell(&pks, at)));
            assert_int_equal(rows.ts[at], w.rows[part].ts[row]);
            assert_true(view_eq(column_cell(&texts, at),
                                column_cell(&w.nodes[part].output, row)));
            at++;
        }
        assert_int_equal(pks.n, at);
        retrieved_fini(&rows);
        s_fini(&w);
    }
}

static void counts_are_added(void **state)
{
    (void)state;
    world_t w;
    s_init(&w, TYPE_INT64, 1);
    rows_part_t parts[] = { { .count = 5 }, { .count = 0 }, { .count = 1ull << 40 } };
    merge_rows_t how = { .schema = w.schema };
    retrieved_t rows = {0};
    assert_int_equal(merge_rows(&w.ctx, &how, parts, 3, &rows), OK);
    assert_int_equal(rows.count, (1ull << 40) + 5);
    retrieved_fini(&rows);
    s_fini(&w);
}

/* --- what is refused ------------------------------------------ */

static world_t *s_fixed(void)
{
    static world_t w;
    s_init_sized(&w, TYPE_INT64, 7, 2, 2);
    for (size_t i = 0; i < 2; i++) {
        for (uint64_t key = 0; key < 6; key++)
            s_add_row(&w, i, key, (float)key, key);
        w.nodes[i].hits[0] = 4;
        w.nodes[i].hits[1] = 2;
    }
    s_show(&w);
    return &w;
}

static merge_search_t s_plain(const world_t *w)
{
    return (merge_search_t){ .schema = w->schema, .nq = 2, .limit = 5, .group_field = 1,
                             .group_size = 2, .outputs = s_outputs, .n_outputs = 1 };
}

static void answers_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    world_t *w = s_fixed();
    merge_search_t how = s_plain(w);
    for (int wrong = 0; wrong < 7; wrong++) {
        s_show(w);
        w->nodes[0].hits[0] = wrong == 0 ? 3 : 4;
        w->nodes[1].scores[2] = wrong == 1 ? NAN : 2;
        w->found[1].pks.n -= wrong == 2;
        w->found[1].groups.n -= wrong == 3;
        w->nodes[1].output.n -= wrong == 4;
        if (wrong == 5)
            w->found[0].pks = w->found[0].groups;
        search_found_t found = {0};
        err_t err = merge_search(&w->ctx, &how, w->found, 2, &found);
        assert_int_equal(err, wrong == 6 ? OK : ERR_MALFORMED);
        search_found_fini(&found);
    }
    s_show(w);
    merge_rows_t all = { .schema = w->schema, .outputs = s_outputs, .n_outputs = 1 };
    column_builder_copy(&w->nodes[1].pks, &w->found[0].pks, 0);         /* keys fall */
    column_builder_copy(&w->nodes[1].texts, &w->nodes[0].output, 0);
    s_show(w);
    retrieved_t rows = {0};
    assert_int_equal(merge_rows(&w->ctx, &all, w->rows, 2, &rows), ERR_MALFORMED);
    s_fini(w);
}

static void an_answer_past_its_bound_is_refused(void **state)
{
    (void)state;
    world_t *w = s_fixed();
    merge_search_t how = s_plain(w);
    search_found_t found = {0};
    how.most_bytes = 100;
    assert_int_equal(merge_search(&w->ctx, &how, w->found, 2, &found), ERR_UNEXPECTED);
    assert_string_equal(w->ctx.text, "search results exceed the maxOutputSize Limit 100");
    merge_rows_t all = { .schema = w->schema, .outputs = s_outputs, .n_outputs = 1,
                         .most_bytes = 100 };
    retrieved_t rows = {0};
    assert_int_equal(merge_rows(&w->ctx, &all, w->rows, 2, &rows), ERR_UNEXPECTED);
    assert_string_equal(w->ctx.text, "query results exceed the maxOutputSize Limit 100");
    all.most_bytes = how.most_bytes = 1000;
    assert_int_equal(merge_search(&w->ctx, &how, w->found, 2, &found), OK);
    assert_int_equal(merge_rows(&w->ctx, &all, w->rows, 2, &rows), OK);
    search_found_fini(&found);
    retrieved_fini(&rows);
    s_fini(w);
}

static void every_fault_is_reported(void **state)
{
    (void)state;
    world_t *w = s_fixed();
    merge_search_t how = s_plain(w);
    merge_rows_t all = { .schema = w->schema, .outputs = s_outputs, .n_outputs = 1 };
    for (int nth = 0; ; nth++) {
        search_found_t found = {0};
        retrieved_t rows = {0};
        fault_arm(nth);
        err_t err = merge_search(&w->ctx, &how, w->found, 2, &found);
        if (err == OK)
            err = merge_rows(&w->ctx, &all, w->rows, 2, &rows);
        bool fired = fault_disarm();
        search_found_fini(&found);
        retrieved_fini(&rows);
        if (!fired) {
            assert_int_equal(err, OK);
            assert_true(nth > 12);
            break;
        }
        assert_int_equal(err, ERR_MEMORY);
    }
    s_fini(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hits_are_merged_by_the_rules),
        cmocka_unit_test(rows_are_merged_by_key_and_time),
        cmocka_unit_test(counts_are_added),
        cmocka_unit_test(answers_that_do_not_fit_are_refused),
        cmocka_unit_test(an_answer_past_its_bound_is_refused),
        cmocka_unit_test(every_fault_is_reported),
    };
    return cmocka_run_group_tests_name("merge", tests, NULL, NULL);
}
