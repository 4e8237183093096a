/* ranker: rrf and weighted against a slow reference on random lists, groups, and each refusal
 * with Milvus's code and text. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>

#include "core/base/fault.h"
#include "core/base/rng.h"
#include "proxy/ranker.h"

enum { LISTS = 3, KEYS = 40, GROUPS = 5 };

static ctx_t s_ctx;

static int s_up(void **state)
{
    (void)state;
    ctx_init(&s_ctx);
    return 0;
}

static int s_down(void **state)
{
    (void)state;
    ctx_fini(&s_ctx);
    return 0;
}

/* --- parameters -------------------------------------------------------------------------- */

typedef struct pair { const char *key, *value; } pair_t;

static err_t s_read(const pair_t *pairs, size_t n, size_t n_searches, ranker_t *ret)
{
    Common__KeyValuePair *all = ctx_new(&s_ctx, (n + 1) * sizeof *all);
    Common__KeyValuePair **list = ctx_new(&s_ctx, (n + 1) * sizeof *list);
    for (size_t i = 0; i < n; i++) {
        common__key_value_pair__init(&all[i]);
        all[i].key = pairs[i].key;
        all[i].value = pairs[i].value;
        list[i] = &all[i];
    }
    return ranker_read(&s_ctx, list, n, NULL, n_searches, ret);
}

#define READ(ret, ...) s_read((const pair_t[]){ __VA_ARGS__ }, \
                              ARRAY_LEN(((const pair_t[]){ __VA_ARGS__ })), 2, ret)
#define LIMIT { "limit", "10" }

static void s_refused(err_t err, int code, const char *text)
{
    assert_int_equal(err_code(err), code);
    assert_string_equal(s_ctx.text, text);
}

static void what_clients_say(void **state)
{
    (void)state;
    ranker_t r;
    assert_int_equal(READ(&r, LIMIT), OK);
    assert_true(r.kind == RANK_RRF && r.k == 60 && r.limit == 10 && r.offset == 0);
    assert_int_equal(r.round_decimal, -1);
    assert_int_equal(READ(&r, LIMIT, { "offset", "3" }, { "round_decimal", "2" },
                          { "strategy", "rrf" }, { "params", "{\"k\": 7}" }), OK);
    assert_true(r.k == 7 && r.offset == 3 && r.round_decimal == 2);
    assert_int_equal(READ(&r, LIMIT, { "strategy", "weighted" },
                          { "params", "{\"weights\": [0.25, 1], \"norm_score\": false}" },
                          { "group_by_field", "color" }, { "group_size", "2" },
                          { "rank_group_scorer", "avg" }), OK);
    assert_true(r.kind == RANK_WEIGHTED && r.weights[0] == 0.25f && r.weights[1] == 1 && !r.norm);
    assert_true(r.group_size == 2 && r.group_score == SCORE_AVG);
    assert_string_equal(r.group_field, "color");
}

static void a_function_says_the_same(void **state)
{
    (void)state;
    Common__KeyValuePair limit = COMMON__KEY_VALUE_PAIR__INIT, one = limit, two = limit;
    Common__KeyValuePair *pairs[] = { &limit }, *params[] = { &one, &two };
    Schema__FunctionSchema function = SCHEMA__FUNCTION_SCHEMA__INIT;
    Schema__FunctionSchema *functions[] = { &function };
    Schema__FunctionScore score = SCHEMA__FUNCTION_SCORE__INIT;
    ranker_t r;
    limit.key = "limit";
    limit.value = "5";
    one.key = "reranker";
    one.value = "weighted";
    two.key = "weights";
    two.value = "[0.5, 0.5]";
    function.params = params;
    function.n_params = 2;
    score.functions = functions;
    score.n_functions = 1;
    assert_int_equal(ranker_read(&s_ctx, pairs, 1, &score, 2, &r), OK);
    assert_true(r.kind == RANK_WEIGHTED && r.norm && r.weights[1] == 0.5f && r.limit == 5);
    one.value = "rrf";
    function.n_params = 1;
    assert_int_equal(ranker_read(&s_ctx, pairs, 1, &score, 2, &r), OK);
    assert_true(r.kind == RANK_RRF && r.k == 60);
    one.value = "decay";
    s_refused(ranker_read(&s_ctx, pairs, 1, &score, 2, &r), 65535, "unsupported rank type decay");
}

static void refusals(void **state)
{
    (void)state;
    ranker_t r;
    s_refused(READ(&r, { "offset", "1" }), 65535, "limit not found in rank_params");
    s_refused(READ(&r, { "limit", "x" }), 65535, "limit [x] is invalid");
    s_refused(READ(&r, { "limit", "0" }), 65535, "invalid max query result window, limit [0] is "
              "invalid, should be greater than 0");
    s_refused(READ(&r, LIMIT, { "offset", "-1" }), 65535, "invalid max query result window, offset "
              "[-1] is invalid, should be gte than 0");
    s_refused(READ(&r, LIMIT, { "offset", "16384" }), 65535, "invalid max query result window, "
              "(offset+limit) should be in range [1, 16384], but got 16394");
    s_refused(READ(&r, LIMIT, { "round_decimal", "9" }), 65535, "round_decimal [9] is invalid, "
              "should be -1 or an integer in range [0, 6]");
    s_refused(READ(&r, LIMIT, { "strategy", "best" }, { "params", "{}" }), 65535,
              "unsupported rank type best");
    s_refused(READ(&r, LIMIT, { "strategy", "rrf" }), 65535, "params not found in rank_params");
    s_refused(READ(&r, LIMIT, { "strategy", "rrf" }, { "params", "{}" }), 65535,
              "k not found in rank_params");
    s_refused(READ(&r, LIMIT, { "strategy", "rrf" }, { "params", "{\"k\":\"a\"}" }), 65535,
              "The type of rank param k should be float");
    s_refused(READ(&r, LIMIT, { "strategy", "rrf" }, { "params", "{\"k\":16384}" }), 65535,
              "The rank params k should be in range (0, 16384)");
    s_refused(READ(&r, LIMIT, { "strategy", "weighted" }, { "params", "{\"weights\":3}" }), 65535,
              "The weights param should be an array");
    s_refused(READ(&r, LIMIT, { "strategy", "weighted" }, { "params", "{\"weights\":[1,\"a\"]}" }),
              65535, "The type of rank param weight should be float");
    s_refused(READ(&r, LIMIT, { "strategy", "weighted" }, { "params", "{\"weights\":[1,1.5]}" }),
              65535, "rank param weight should be in range [0, 1]");
    s_refused(READ(&r, LIMIT, { "strategy", "weighted" }, { "params", "{\"weights\":[1]}" }), 1100,
              "the length of weights param mismatch with ann search requests: invalid parameter"
              "[expected=2][actual=1]");
    s_refused(READ(&r, LIMIT, { "rank_group_scorer", "min" }), 1100,
              "input group scorer type: min is not supported!: invalid parameter");
}

/* --- against the reference --------------------------------------------------------------- */

/* Lists of distinct keys with scores from best to worst, and a group of each key. */
typedef struct lists {
    int64_t keys[LISTS][KEYS];
    float scores[LISTS][KEYS];
    int64_t groups[LISTS][KEYS];
    column_t pks[LISTS], group_columns[LISTS];
    rank_list_t list[LISTS];
} lists_t;

static int s_falling(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x < y) - (x > y);
}

static void s_make(lists_t *l, rng_t *rng)
{
    static const metric_t s_metrics[LISTS] = { METRIC_COSINE, METRIC_L2, METRIC_IP };
    for (size_t i = 0; i < LISTS; i++) {
        size_t n = rng_below(rng, KEYS);
        int64_t key = 0;
        for (size_t k = 0; k < n; k++) {
            key += 1 + (int64_t)rng_below(rng, 3);
            l->keys[i][k] = key;
            l->groups[i][k] = key % GROUPS;
            l->scores[i][k] = (float)rng_below(rng, 6) / 8;     /* many are equal */
        }
        qsort(l->scores[i], n, sizeof(float), s_falling);
        for (size_t k = 0; s_metrics[i] == METRIC_L2 && k < n / 2; k++) {
            float swap = l->scores[i][k];
            l->scores[i][k] = l->scores[i][n - 1 - k];
            l->scores[i][n - 1 - k] = swap;
        }
        l->pks[i] = (column_t){ .type = TYPE_INT64, .width = 8, .n = n,
                                .cells = (const uint8_t *)l->keys[i] };
        l->group_columns[i] = l->pks[i];
        l->group_columns[i].cells = (const uint8_t *)l->groups[i];
        l->list[i] = (rank_list_t){ .pks = &l->pks[i], .groups = &l->group_columns[i],
                                    .scores = l->scores[i], .n = n, .metric = s_metrics[i] };
    }
}

static double s_norm(metric_t metric, double score)
{
    return metric == METRIC_COSINE ? (1 + score) / 2
         : metric == METRIC_IP ? 0.5 + atan(score) / M_PI : 1 - 2 * atan(score) / M_PI;
}

/* The score of one key, by looking through every list. */
static double s_score(const lists_t *l, const ranker_t *r, int64_t key)
{
    double sum = 0;
    for (size_t i = 0; i < LISTS; i++)
        for (size_t k = 0; k < l->list[i].n; k++)
            if (l->keys[i][k] == key)
                sum += r->kind == RANK_RRF ? 1 / ((double)r->k + (double)k + 1)
                       : (double)r->weights[i] * s_norm(l->list[i].metric,
                                                        (double)l->scores[i][k]);
    return sum;
}

static void s_check_merge(const lists_t *l, const ranker_t *r, const ranked_t *got, size_t n)
{
    bool seen[4 * KEYS] = { false };
    for (size_t i = 0; i < n; i++) {
        int64_t key = l->keys[got[i].search][got[i].row];
        assert_false(seen[key]);
        seen[key] = true;
        assert_true(fabs((double)got[i].score - s_score(l, r, key)) < 1e-5);
        if (i == 0)
            continue;
        int64_t before = l->keys[got[i - 1].search][got[i - 1].row];
        assert_true(got[i - 1].score > got[i].score ||
                    (got[i - 1].score == got[i].score && before < key));
    }
    for (size_t i = 0; i < LISTS; i++)
        for (size_t k = 0; k < l->list[i].n; k++)
            assert_true(seen[l->keys[i][k]]);
}

static void every_key_once_best_first(void **state)
{
    (void)state;
    float weights[LISTS] = { 0.3f, 1, 0.7f };
    rng_t rng;
    rng_seed(&rng, 21);
    for (int round = 0; round < 200; round++) {
        lists_t l;
        s_make(&l, &rng);
        ranker_t r = { .kind = round & 1 ? RANK_RRF : RANK_WEIGHTED, .k = 60, .norm = true,
                       .weights = weights };
        ranked_t *got = NULL;
        size_t n = 0;
        assert_int_equal(ranker_merge(&s_ctx, &r, l.list, LISTS, &got, &n), OK);
        s_check_merge(&l, &r, got, n);
    }
}

/* Groups: at most group_size of each, every group in one run, groups by their score. */
static void s_check_groups(const lists_t *l, const ranker_t *r, const ranked_t *got, size_t n)
{
    bool seen[GROUPS] = { false };
    float last = INFINITY;
    size_t n_groups = 0;
    for (size_t i = 0; i < n; n_groups++) {
        int64_t group = l->groups[got[i].search][got[i].row];
        float score = got[i].score;             /* SCORE_MAX: that of the first */
        size_t size = 0;
        assert_false(seen[group]);
        seen[group] = true;
        for (; i < n && l->groups[got[i].search][got[i].row] == group; i++)
            size++;
        assert_true(size <= r->group_size);
        assert_true(!r->strict_group_size || size == r->group_size);
        assert_true(score <= last);
        last = score;
    }
    assert_true(n_groups <= (size_t)r->limit);
}

static void groups_in_one_run_each(void **state)
{
    (void)state;
    rng_t rng;
    rng_seed(&rng, 22);
    for (int round = 0; round < 200; round++) {
        lists_t l;
        s_make(&l, &rng);
        ranker_t r = { .kind = RANK_RRF, .k = 60, .limit = 3, .offset = round % 2,
                       .group_size = 1 + (uint32_t)(round % 3), .strict_group_size = round % 5 == 0,
                       .group_score = SCORE_MAX };
        ranked_t *got = NULL;
        size_t n = 0;
        assert_int_equal(ranker_merge(&s_ctx, &r, l.list, LISTS, &got, &n), OK);
        assert_int_equal(ranker_group(&s_ctx, &r, l.list, &got, &n), OK);
        s_check_groups(&l, &r, got, n);
    }
}

static void groups_score_by_what_was_asked(void **state)
{
    (void)state;
    const int64_t keys[] = { 1, 2, 3 }, groups[] = { 7, 8, 8 };
    const float scores[] = { 1, 0.6f, 0.5f };
    const column_t pks = { .type = TYPE_INT64, .width = 8, .n = 3,
                           .cells = (const uint8_t *)keys };
    column_t values = pks;
    values.cells = (const uint8_t *)groups;
    const rank_list_t list = { .pks = &pks, .groups = &values, .scores = scores, .n = 3,
                               .metric = METRIC_IP };
    float weight = 1;
    ranker_t r = { .kind = RANK_WEIGHTED, .weights = &weight, .limit = 2, .group_size = 2 };
    static const struct { group_score_t how; int64_t first; } s_rows[] = {
        { SCORE_MAX, 1 }, { SCORE_SUM, 2 }, { SCORE_AVG, 1 },
    };
    for (size_t i = 0; i < ARRAY_LEN(s_rows); i++) {
        ranked_t *got = NULL;
        size_t n = 0;
        r.group_score = s_rows[i].how;
        assert_int_equal(ranker_merge(&s_ctx, &r, &list, 1, &got, &n), OK);
        assert_true(got[0].score == 1);         /* norm_score off: as it is */
        assert_int_equal(ranker_group(&s_ctx, &r, &list, &got, &n), OK);
        assert_int_equal(n, 3);
        assert_int_equal(keys[got[0].row], s_rows[i].first);
    }
}

static void memory_may_be_refused(void **state)
{
    (void)state;
    lists_t l;
    rng_t rng;
    rng_seed(&rng, 23);
    s_make(&l, &rng);
    ranker_t r = { .kind = RANK_RRF, .k = 60, .limit = 3, .group_size = 2 };
    for (int nth = 0; ; nth++) {
        ranked_t *got = NULL;
        size_t n = 0;
        fault_arm(nth);
        err_t err = ranker_merge(&s_ctx, &r, l.list, LISTS, &got, &n);
        if (err == OK)
            err = ranker_group(&s_ctx, &r, l.list, &got, &n);
        if (!fault_disarm()) {
            assert_int_equal(err, OK);
            assert_true(nth >= 5);
            break;
        }
        assert_int_equal(err, ERR_MEMORY);
    }
}

#define T(f) cmocka_unit_test_setup_teardown(f, s_up, s_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(what_clients_say),
        T(a_function_says_the_same),
        T(refusals),
        T(every_key_once_best_first),
        T(groups_in_one_run_each),
        T(groups_score_by_what_was_asked),
        T(memory_may_be_refused),
    };
    return cmocka_run_group_tests_name("ranker", tests, NULL, NULL);
}
