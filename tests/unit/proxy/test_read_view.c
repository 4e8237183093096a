/* read_view, read_filter: what clients say of freshness, as a table; template values of every
 * kind as the parser and as the nodes get them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/base/fault.h"
#include "core/base/limits.h"
#include "core/wire/pb.h"
#include "proxy/read_filter.h"
#include "proxy/read_view.h"

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

/* --- freshness --------------------------------------------------------------------------- */

enum { STRONG, SESSION, BOUNDED, EVENTUALLY, CUSTOMIZED };

static void levels_and_timestamps(void **state)
{
    (void)state;
    const uint64_t ts = 1700000000000ull << 18;
    const struct {
        uint64_t guarantee_ts;
        int level;
        bool use_default;
        int collection;
        bool iterator;
        bool strong;
        uint64_t waits_for, reads_at;
        int64_t staleness_ms;
    } rows[] = {
        { 0, STRONG, false, BOUNDED, false,         true, 0, 0, 0 },
        { ts, SESSION, false, BOUNDED, false,       false, ts, 0, 0 },
        { 1, SESSION, false, BOUNDED, false,        false, 0, 0, 0 },   /* nothing written yet */
        { 2, BOUNDED, false, STRONG, false,         false, 0, 0, 5000 },
        { 1, EVENTUALLY, false, STRONG, false,      false, 0, 0, 0 },
        { ts, EVENTUALLY, false, STRONG, false,     false, 0, 0, 0 },
        { ts, CUSTOMIZED, false, STRONG, false,     false, ts, 0, 0 },
        { ts, 0, true, STRONG, false,               true, 0, 0, 0 },
        { 1, 0, true, BOUNDED, false,               false, 0, 0, 5000 },
        { ts, 0, true, SESSION, false,              false, ts, 0, 0 },
        /* old clients: level 0 and the timestamp says it */
        { 1, STRONG, false, STRONG, false,          false, 0, 0, 0 },
        { 2, STRONG, false, STRONG, false,          false, 0, 0, 5000 },
        { ts, STRONG, false, STRONG, false,         false, ts, 0, 0 },
        /* pages of an iterator: the first by level, the others at its instant */
        { 0, 0, true, STRONG, true,                 true, 0, 0, 0 },
        { ts, 0, true, STRONG, true,                false, ts, ts, 0 },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        Elanus__ReadView view = ELANUS__READ_VIEW__INIT;
        read_ask_t ask = {
            .guarantee_ts = rows[i].guarantee_ts, .level = rows[i].level,
            .use_default = rows[i].use_default, .collection_level = rows[i].collection,
            .iterator = rows[i].iterator, .wall_ms = 1700000000000,
        };
        assert_int_equal(read_view(&s_ctx, &ask, &view), OK);
        assert_int_equal(view.strong, rows[i].strong);
        assert_int_equal(view.guarantee_ts, rows[i].waits_for);
        assert_int_equal(view.read_ts, rows[i].reads_at);
        assert_int_equal(view.staleness_ms, rows[i].staleness_ms);
    }
}

static void impossible_asks(void **state)
{
    (void)state;
    Elanus__ReadView view = ELANUS__READ_VIEW__INIT;
    read_ask_t ask = { .guarantee_ts = UINT64_MAX, .level = SESSION, .wall_ms = 1700000000000 };
    assert_int_equal(read_view(&s_ctx, &ask, &view), ERR_PARAM_INVALID);
    assert_non_null(strstr(s_ctx.text, "Timestamp lag too large"));
    ask = (read_ask_t){ .level = 9, .wall_ms = 1700000000000 };
    assert_int_equal(read_view(&s_ctx, &ask, &view), ERR_PARAM_INVALID);
    assert_string_equal(s_ctx.text, "unknown consistency level 9: invalid parameter");
}

/* --- templates --------------------------------------------------------------------------- */

static schema_t *s_schema(void)
{
    const field_t fields[] = {
        { .id = 100, .name = "id", .type = TYPE_INT64, .primary_key = true },
        { .id = 101, .name = "name", .type = TYPE_VARCHAR, .max_length = 9 },
        { .id = 102, .name = "doc", .type = TYPE_JSON },
        { .id = 103, .name = "x", .type = TYPE_DOUBLE },
        { .id = 104, .name = "flag", .type = TYPE_BOOL },
    };
    return schema_new(fields, ARRAY_LEN(fields));
}

static Schema__TemplateArrayValue s_texts(const char *const *texts, size_t n)
{
    Schema__TemplateArrayValue value = SCHEMA__TEMPLATE_ARRAY_VALUE__INIT;
    value.data_case = SCHEMA__TEMPLATE_ARRAY_VALUE__DATA_JSON_DATA;
    value.json_data = ctx_new(&s_ctx, sizeof *value.json_data);
    schema__jsonarray__init(value.json_data);
    value.json_data->data = ctx_new(&s_ctx, n * sizeof *value.json_data->data);
    value.json_data->n_data = n;
    for (size_t i = 0; i < n; i++)
        value.json_data->data[i] = (ProtobufCBinaryData){
            .data = (uint8_t *)(uintptr_t)texts[i], .len = strlen(texts[i]) };
    return value;
}

static Elanus__ExprValue *s_param(const read_filter_t *filter, size_t i)
{
    Elanus__ExprValue *value = NULL;
    view_t bytes = view_of(filter->params[i]->value.data, filter->params[i]->value.len);
    assert_int_equal(PB_UNPACK(&s_ctx, elanus__expr_value, bytes, &value), OK);
    return value;
}

static void scalars_of_every_kind(void **state)
{
    (void)state;
    owned(schema) schema = s_schema();
    Schema__TemplateValue i = SCHEMA__TEMPLATE_VALUE__INIT, d = i, s = i, b = i;
    i.val_case = SCHEMA__TEMPLATE_VALUE__VAL_INT64_VAL;
    i.int64_val = INT64_MIN;
    d.val_case = SCHEMA__TEMPLATE_VALUE__VAL_FLOAT_VAL;
    d.float_val = 0.5;
    s.val_case = SCHEMA__TEMPLATE_VALUE__VAL_STRING_VAL;
    s.string_val = "a\"b";
    b.val_case = SCHEMA__TEMPLATE_VALUE__VAL_BOOL_VAL;
    b.bool_val = true;
    const template_value_t values[] = { { "i", &i }, { "d", &d }, { "s", &s }, { "b", &b } };
    read_filter_t filter = {0};
    assert_int_equal(read_filter(&s_ctx, schema, "id > {i} and x < {d} and name == {s} and "
                                 "flag == {b}", values, 4, &filter), OK);
    assert_non_null(filter.plan);
    assert_int_equal(filter.n_params, 4);
    assert_string_equal(filter.params[2]->name, "s");
    assert_int_equal(s_param(&filter, 0)->kind, EXPR_INT);
    assert_true(s_param(&filter, 0)->i == INT64_MIN);
    assert_true(s_param(&filter, 1)->kind == EXPR_DOUBLE && s_param(&filter, 1)->d == 0.5);
    assert_int_equal(s_param(&filter, 2)->s.len, 3);
    assert_true(s_param(&filter, 3)->kind == EXPR_BOOL && s_param(&filter, 3)->b);
    read_filter_fini(&filter);
}

static void lists_of_every_kind(void **state)
{
    (void)state;
    owned(schema) schema = s_schema();
    int64_t longs[] = { 3, 1, 2 };
    Schema__LongArray array = SCHEMA__LONG_ARRAY__INIT;
    array.data = longs;
    array.n_data = 3;
    Schema__TemplateArrayValue list = SCHEMA__TEMPLATE_ARRAY_VALUE__INIT;
    list.data_case = SCHEMA__TEMPLATE_ARRAY_VALUE__DATA_LONG_DATA;
    list.long_data = &array;
    static const char *const s_mixed[] = { "1", "\"two\"", "[3.5, [true]]" };
    Schema__TemplateArrayValue mixed = s_texts(s_mixed, 3);
    Schema__TemplateValue a = SCHEMA__TEMPLATE_VALUE__INIT, m = a;
    a.val_case = m.val_case = SCHEMA__TEMPLATE_VALUE__VAL_ARRAY_VAL;
    a.array_val = &list;
    m.array_val = &mixed;
    const template_value_t values[] = { { "a", &a }, { "m", &m } };
    read_filter_t filter = {0};
    assert_int_equal(read_filter(&s_ctx, schema, "id in {a} and json_contains_any(doc[\"k\"], {m})",
                                 values, 2, &filter), OK);
    Elanus__ExprValue *value = s_param(&filter, 0);
    assert_int_equal(value->kind, EXPR_ARRAY);
    assert_int_equal(value->n_list, 3);
    assert_int_equal(value->list[0]->i, 3);
    value = s_param(&filter, 1);
    assert_int_equal(value->list[1]->kind, EXPR_STRING);
    assert_int_equal(value->list[2]->n_list, 2);
    assert_true(value->list[2]->list[0]->d == 3.5);
    assert_true(value->list[2]->list[1]->list[0]->b);
    read_filter_fini(&filter);
}

static void s_refused(const template_value_t *value, const char *text)
{
    owned(schema) schema = s_schema();
    read_filter_t filter = {0};
    assert_int_equal(read_filter(&s_ctx, schema, "id in {a}", value, 1, &filter),
                     ERR_PARAM_INVALID);
    assert_non_null(strstr(s_ctx.text, text));
    assert_null(filter.plan);
}

static void values_that_are_none(void **state)
{
    (void)state;
    Schema__TemplateValue a = SCHEMA__TEMPLATE_VALUE__INIT;
    const template_value_t value = { "a", &a };
    s_refused(&value, "expression template variable {a} has a value of a kind that is not");
    static const char *const s_object[] = { "{\"a\":1}" }, *const s_broken[] = { "[1" };
    Schema__TemplateArrayValue list = s_texts(s_object, 1);
    a.val_case = SCHEMA__TEMPLATE_VALUE__VAL_ARRAY_VAL;
    a.array_val = &list;
    s_refused(&value, "neither bool, number, string nor list");
    list = s_texts(s_broken, 1);
    s_refused(&value, "an expression template value is no JSON");
    char deep[64] = "";
    memset(deep, '[', 20);
    memset(deep + 20, ']', 20);
    const char *const texts[] = { deep };
    list = s_texts(texts, 1);
    s_refused(&value, "nested deeper than 16");
}

static void a_long_expression_is_cut_in_the_text(void **state)
{
    (void)state;
    owned(schema) schema = s_schema();
    char text[2000];
    memset(text, 'z', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    read_filter_t filter = {0};
    assert_int_equal(read_filter(&s_ctx, schema, text, NULL, 0, &filter), ERR_PARAM_INVALID);
    assert_non_null(strstr(s_ctx.text, "…, error: "));
}

static void every_fault_is_reported(void **state)
{
    (void)state;
    owned(schema) schema = s_schema();
    static const char *const s_mixed[] = { "1", "[2, 3]" };
    Schema__TemplateArrayValue list = s_texts(s_mixed, 2);
    Schema__TemplateValue a = SCHEMA__TEMPLATE_VALUE__INIT;
    a.val_case = SCHEMA__TEMPLATE_VALUE__VAL_ARRAY_VAL;
    a.array_val = &list;
    const template_value_t value = { "a", &a };
    for (int nth = 0; ; nth++) {
        read_filter_t filter = {0};
        fault_arm(nth);
        err_t err = read_filter(&s_ctx, schema, "json_contains_any(doc[\"k\"], {a})", &value, 1,
                                &filter);
        bool fired = fault_disarm();
        read_filter_fini(&filter);
        if (!fired) {
            assert_int_equal(err, OK);
            assert_true(nth > 6);
            break;
        }
        assert_int_equal(err, ERR_MEMORY);
    }
}

#define T(f) cmocka_unit_test_setup_teardown(f, s_up, s_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(levels_and_timestamps),
        T(impossible_asks),
        T(scalars_of_every_kind),
        T(lists_of_every_kind),
        T(values_that_are_none),
        T(a_long_expression_is_cut_in_the_text),
        T(every_fault_is_reported),
    };
    return cmocka_run_group_tests_name("read_view", tests, NULL, NULL);
}
