/* expr: what each operator means, what is refused and with which words, and that no input
 * and no failing allocation brings it down.
 *
 * One small table of eight rows; a case is an expression and the rows it takes, written as
 * digits.  Row 7 has a null in every nullable field. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "core/base/fault.h"
#include "core/base/limits.h"
#include "core/expr/expr.h"

enum { ROWS = 8 };

static const field_t s_fields[] = {
    { .id = 100, .name = "id", .type = TYPE_INT64, .primary_key = true },
    { .id = 101, .name = "flag", .type = TYPE_BOOL, .nullable = true },
    { .id = 102, .name = "tiny", .type = TYPE_INT8, .nullable = true },
    { .id = 103, .name = "small", .type = TYPE_INT16 },
    { .id = 104, .name = "mid", .type = TYPE_INT32 },
    { .id = 105, .name = "real", .type = TYPE_FLOAT },
    { .id = 106, .name = "wide", .type = TYPE_DOUBLE, .nullable = true },
    { .id = 107, .name = "text", .type = TYPE_VARCHAR, .max_length = 64, .nullable = true },
    { .id = 108, .name = "doc", .type = TYPE_JSON, .nullable = true },
    { .id = 109, .name = "nums", .type = TYPE_ARRAY, .element = TYPE_INT64, .max_capacity = 9,
      .nullable = true },
    { .id = 110, .name = "words", .type = TYPE_ARRAY, .element = TYPE_VARCHAR, .max_capacity = 9,
      .max_length = 9 },
    { .id = 111, .name = "vec", .type = TYPE_FLOAT_VECTOR, .dim = 2 },
    { .id = 112, .name = "reals", .type = TYPE_ARRAY, .element = TYPE_FLOAT, .max_capacity = 9 },
    { .id = 113, .name = "$meta", .type = TYPE_JSON, .dynamic = true },
};

enum { N_FIELDS = ARRAY_LEN(s_fields) };

static const char *const s_texts[ROWS] = {
    "apple", "Apple", "apricot", "100%", "a_b", "", "\xc3\xa9t\xc3\xa9", NULL,
};

static const char *const s_docs[ROWS] = {
    "{\"n\":1,\"s\":\"x\",\"a\":[1,2,\"q\",[1,2]],\"o\":{\"k\":{\"d\":7}}}",
    "{\"n\":2.0,\"s\":\"y\\\"z\\u00e9\",\"a\":[],\"b\":true}",
    "{ \"n\" : 2.5 , \"s\" : 5, \"a\" : [ 2.0 , true ] , \"b\" : false }",
    "{\"n\":\"2\",\"k\\u0065y\":1,\"z\":null}",
    "{\"n\":null,\"a\":{\"0\":1}}",
    "{}",
    "[10, 20]",
    NULL,
};

static const char *const s_metas[ROWS] = {
    "{\"color\":\"red\",\"size\":1}", "{\"color\":\"blue\"}", "{\"size\":3}", "{}",
    "{\"color\":null,\"tags\":[\"a\",\"b\"]}", "{\"tags\":[]}", "{\"size\":7.5}", "{}",
};

typedef struct table {
    ctx_t ctx;
    schema_t *schema;
    column_builder_t built[N_FIELDS];
    column_t column[N_FIELDS];
    const column_t *columns[N_FIELDS];
} table_t;

static void s_add_text(column_builder_t *b, const char *text)
{
    if (text)
        column_builder_add(b, view_str(text));
    else
        column_builder_add_null(b);
}

/* nums: row r has r elements r, r + 1 ...; words: "w0" to "wr"; reals: 0.1, 0.2 ... */
static void s_add_lists(table_t *t, int64_t row)
{
    uint8_t cell[128];
    store_u32(cell, (uint32_t)row);
    for (int64_t i = 0; i < row; i++)
        store_i64(cell + 4 + 8 * i, row + i);
    if (row == 7)
        column_builder_add_null(&t->built[9]);
    else
        column_builder_add(&t->built[9], view_of(cell, 4 + 8 * (size_t)row));
    for (int64_t i = 0; i < row; i++) {
        store_u32(cell + 4 + 6 * i, 2);
        cell[8 + 6 * i] = 'w';
        cell[9 + 6 * i] = (uint8_t)('0' + i);
    }
    column_builder_add(&t->built[10], view_of(cell, 4 + 6 * (size_t)row));
    for (int64_t i = 0; i < row; i++) {
        float f = (float)(i + 1) / 10;
        memcpy(cell + 4 + 4 * i, &f, 4);
    }
    column_builder_add(&t->built[12], view_of(cell, 4 + 4 * (size_t)row));
}

/* id = row, flag = row is even, tiny = row - 2, small = 100 row, mid = -row, real = row / 10,
 * wide = row / 4. */
static void s_add_row(table_t *t, int64_t row)
{
    uint8_t flag = row % 2 == 0;
    int8_t tiny = (int8_t)(row - 2);
    int16_t small = (int16_t)(100 * row);
    int32_t mid = (int32_t)-row;
    float real = (float)row / 10, vec[2] = {0};
    double wide = (double)row / 4;
    column_builder_add(&t->built[0], view_of(&row, 8));
    column_builder_add(&t->built[3], view_of(&small, 2));
    column_builder_add(&t->built[4], view_of(&mid, 4));
    column_builder_add(&t->built[5], view_of(&real, 4));
    column_builder_add(&t->built[11], view_of(vec, 8));
    if (row == 7) {
        column_builder_add_null(&t->built[1]);
        column_builder_add_null(&t->built[2]);
        column_builder_add_null(&t->built[6]);
    } else {
        column_builder_add(&t->built[1], view_of(&flag, 1));
        column_builder_add(&t->built[2], view_of(&tiny, 1));
        column_builder_add(&t->built[6], view_of(&wide, 8));
    }
    s_add_text(&t->built[7], s_texts[row]);
    s_add_text(&t->built[8], s_docs[row]);
    s_add_text(&t->built[13], s_metas[row]);
    s_add_lists(t, row);
}

static int s_up(void **state)
{
    table_t *t = mem_new(sizeof *t);
    ctx_init(&t->ctx);
    t->schema = schema_new(s_fields, N_FIELDS);
    for (size_t i = 0; i < N_FIELDS; i++)
        column_builder_init(&t->built[i], &s_fields[i]);
    for (int64_t row = 0; row < ROWS; row++)
        s_add_row(t, row);
    for (size_t i = 0; i < N_FIELDS; i++) {
        t->column[i] = column_builder_view(&t->built[i]);
        t->columns[i] = &t->column[i];
    }
    *state = t;
    return 0;
}

static int s_down(void **state)
{
    table_t *t = *state;
    for (size_t i = 0; i < N_FIELDS; i++)
        column_builder_fini(&t->built[i]);
    schema_unref(&t->schema);
    ctx_fini(&t->ctx);
    mem_free(t);
    return 0;
}

/* The rows as digits; or the error's text behind an exclamation mark. */
static const char *s_rows(table_t *t, const char *text, const expr_param_t *params, size_t n,
                          char room[CTX_TEXT_BYTES + 2])
{
    owned(expr) plan = NULL;
    ctx_clear(&t->ctx);
    if (expr_parse(&t->ctx, view_str(text), t->schema, params, n, &plan) != OK) {
        snprintf(room, CTX_TEXT_BYTES + 2, "!%s", t->ctx.text);
        return room;
    }
    const column_t *columns[N_FIELDS] = {0};
    for (size_t i = 0; i < N_FIELDS; i++)
        columns[i] = expr_needs(plan, i) ? t->columns[i] : NULL;
    bitset_t bits;
    assert_int_equal(bitset_init(&t->ctx, &bits, ROWS), OK);
    assert_int_equal(expr_eval(&t->ctx, plan, columns, ROWS, &bits), OK);
    size_t len = 0;
    for (size_t i = 0; i < ROWS; i++)
        if (bitset_has(&bits, i))
            room[len++] = (char)('0' + i);
    room[len] = '\0';
    bitset_fini(&bits);
    return room;
}

typedef struct want {
    const char *text, *rows;
} want_t;

static void s_check(table_t *t, const want_t *wants, size_t n)
{
    char room[CTX_TEXT_BYTES + 2];
    for (size_t i = 0; i < n; i++) {
        const char *got = s_rows(t, wants[i].text, NULL, 0, room);
        if (strcmp(got, wants[i].rows) != 0)
            fail_msg("%s\n    gives  %s\n    wanted %s", wants[i].text, got, wants[i].rows);
    }
}

#define CHECK(...) \
    do { \
        static const want_t s_wants[] = { __VA_ARGS__ }; \
        s_check(*state, s_wants, ARRAY_LEN(s_wants)); \
    } while (0)

static void comparisons(void **state)
{
    CHECK({ "id == 3", "3" }, { "id != 3", "0124567" }, { "id < 3", "012" }, { "id <= 3", "0123" },
          { "id > 5", "67" }, { "id >= 5", "567" }, { "3 == id", "3" }, { "3 > id", "012" },
          { "3 <= id", "34567" }, { "tiny == -2", "0" }, { "tiny < 0", "01" },
          { "tiny == 300", "" }, { "tiny < 300", "0123456" }, { "tiny > 300", "" },
          { "tiny != 300", "0123456" }, { "tiny > -300", "0123456" }, { "small >= 600", "67" },
          { "mid <= -6", "67" }, { "id < 9223372036854775807", "01234567" },
          { "id > -9223372036854775808", "01234567" }, { "id < -9223372036854775808", "" },
          { "real == 0.1", "1" }, { "real > 0.1", "234567" }, { "real >= 0.1", "1234567" },
          { "real < 0.3", "012" }, { "real == 0", "0" }, { "wide == 0.25", "1" },
          { "wide < 1", "0123" }, { "wide != 1", "012356" }, { "flag == true", "0246" },
          { "flag != True", "135" }, { "flag == FALSE", "135" }, { "text == \"apple\"", "0" },
          { "text == 'apple'", "0" }, { "text < \"apple\"", "1345" },
          { "text >= \"apricot\"", "26" }, { "text != \"\"", "012346" },
          { "0x10 > id", "01234567" }, { "id == 0b11", "3" }, { "id == 07", "7" },
          { "wide == 2.5e-1", "1" }, { "wide == 0x1p-2", "1" }, { "wide == .5", "2" });
}

static void ranges(void **state)
{
    CHECK({ "1 < id < 4", "23" }, { "1 <= id < 4", "123" }, { "1 <= id <= 4", "1234" },
          { "4 > id > 1", "23" }, { "4 >= id > 1", "234" }, { "0.1 < real <= 0.3", "23" },
          { "-1 < tiny < 1", "2" }, { "\"a\" < text < \"ap\"", "4" }, { "1 < wide < 2", "56" },
          { "1 < doc[\"n\"] < 2.6", "12" }, { "\"w\" < doc[\"s\"] <= \"x\"", "0" },
          { "2 < nums[0] <= 4", "34" }, { "0 < size <= 3", "02" }, { "1 < tiny < 300", "456" },
          { "1 < id < 3 + 1", "23" }, { "1 < id < 4 and id != 2", "3" },
          { "4 < id < 1", "!invalid range: lowerbound is greater than upperbound" },
          { "1 < id < 1", "!invalid range: lowerbound is greater than upperbound" },
          { "1 <= id <= 1", "1" },
          { "false < flag < true", "!invalid range operations on boolean expr" },
          { "mid < id < 5", "!lowerbound cannot be a non-const expression: mid" },
          { "1 < id < mid", "!upperbound cannot be a non-const expression: mid" },
          { "1.5 < id < 3", "!invalid range operations" },
          { "1 < text < 3", "!invalid range operations" },
          { "1 < id > 3", "!comparisons between Bool and Int64 are not supported" });
}

static void logic_and_precedence(void **state)
{
    CHECK({ "id == 1 or id == 2 and id == 5", "1" }, { "(id == 1 or id == 2) and id == 2", "2" },
          { "id == 1 || id == 2 && id == 2", "12" }, { "id > 1 AND id < 4 OR id == 7", "237" },
          { "not (id > 2)", "012" }, { "!(id > 2)", "012" }, { "NOT (id > 2) and id > 0", "12" },
          { "not (not (id == 1))", "1" }, { "not not (id == 1)", "1" }, { "id == 2 + 3 * 1", "5" },
          { "id == 2 ** 3 - 1", "!cannot cast value to Int64, value: float_val:7" },
          { "wide == 2 ** -1", "2" }, { "wide == -2 ** 2 + 4.25", "1" },
          { "id == 7 - 2 - 1", "4" }, { "id == 7 / 2", "3" }, { "id == 7 % 4", "3" },
          { "id == -(-3)", "3" }, { "1 == 1", "01234567" }, { "1 == 1 and 2 > 3", "" },
          { "1 < 2 or 2 < 1", "01234567" }, { "not (1 == 2)", "01234567" },
          { "\"a\" < \"b\"", "01234567" }, { "", "01234567" }, { "  \t\n", "01234567" },
          { "true && false", "" }, { "id in [1,2] and not (id == 1)", "2" },
          { "not (tiny == 0)", "013456" }, { "tiny == 0 or id == 7", "27" },
          { "not (tiny == 0 or id == 7)", "013456" }, { "not (tiny > 0 and id == 7)", "0123456" },
          { "not (tiny > 0 or id == 0)", "12" }, { "tiny != 0 and id >= 6", "6" },
          { "And == 1", "" }, { "id == 1 and\n(id == 1)", "1" });
}

static void lists(void **state)
{
    CHECK({ "id in [1, 3, 99]", "13" }, { "id not in [1, 3]", "024567" },
          { "id in [1, 3,]", "13" }, { "id in []", "" }, { "id not in []", "01234567" },
          { "tiny not in []", "0123456" }, { "tiny in [0, 1, 300]", "23" },
          { "tiny not in [0]", "013456" }, { "text in [\"apple\", \"a_b\"]", "04" },
          { "text not in [\"apple\"]", "123456" }, { "flag in [true]", "0246" },
          { "real in [0.1, 0.5]", "15" }, { "wide in [1, 0.25]", "14" },
          { "doc[\"n\"] in [1, 2.5, \"2\"]", "023" }, { "doc[\"n\"] in [2]", "1" },
          { "doc[\"n\"] not in [1]", "123456" }, { "nums[0] in [2, 3]", "23" },
          { "nums[1] not in [3]", "013456" }, { "doc[\"a\"] in [[1,2,\"q\",[1,2]], []]", "01" },
          { "id in [1,2,3,4,5,6,1,2,3,4,5,6,7,11,12,13,14,15,16]", "1234567" },
          { "text in ['1','2','3','4','5','6','7','8','9','apple','a_b']", "04" },
          { "id in [0 + 1, -(-2)]", "12" },
          { "id in [1.5]", "!value 'float_val:1.5' in list cannot be casted to Int64" },
          { "id in [\"a\"]", "!value 'string_val:\"a\"' in list cannot be casted to Int64" },
          { "id in 3", "!the right-hand side of 'in' must be a list, but got: 3" },
          { "id in tiny", "!value 'tiny' in list cannot be a non-const expression" },
          { "id in [tiny]", "!array element type must be generic value, but got: tiny" },
          { "1 in [1]", "!'term' can only be used on non-const expression, but got: 1" },
          { "id + 1 in [1]", "!'term' can only be used on single field, but got: id+1" });
}

static void patterns(void **state)
{
    CHECK({ "text like \"ap%\"", "02" }, { "text like \"%e\"", "01" },
          { "text like \"%pp%\"", "01" }, { "text like \"apple\"", "0" },
          { "text like \"\"", "5" }, { "text like \"%\"", "0123456" },
          { "text like \"%%\"", "0123456" }, { "text like \"a_b\"", "4" },
          { "text like \"a_p%\"", "0" }, { "text like \"_pp__\"", "01" },
          { "text like \"100\\%\"", "3" }, { "text like \"100\\\\%\"", "3" },
          { "text like \"100%\"", "3" }, { "text like \"a\\\\_b\"", "4" },
          { "text like \"___\"", "46" }, { "text like \"a%r%t\"", "2" },
          { "text like \"%p%p%\"", "01" }, { "not text like \"a%\"", "1356" },
          { "text LIKE 'ap%' and id > 0", "2" }, { "doc[\"s\"] like \"x%\"", "0" },
          { "doc[\"s\"] like \"y%z_\"", "1" }, { "color like \"%e%\"", "01" },
          { "words[1] like \"w%\"", "234567" },
          { "id like \"a\"", "!like operation on non-string or no-json field is unsupported" },
          { "text like 1", "!line 1:10 mismatched input '1' expecting StringLiteral" },
          { "\"a\" like \"a\"", "!like operation on complicated expr is unsupported" },
          { "words like \"a\"", "!can not comparisons array fields directly" });
}

static void arithmetic(void **state)
{
    CHECK({ "id + 1 == 3", "2" }, { "1 + id == 3", "2" }, { "id - 1 > 4", "67" },
          { "id * 2 == 6", "3" }, { "id / 2 == 1", "23" }, { "id % 2 == 1", "1357" },
          { "3 == id + 1", "2" }, { "tiny + 300 == 298", "0" }, { "tiny * 100 > 300", "6" },
          { "tiny % 2 == -1", "1" }, { "real + 1 == 1.1", "1" }, { "real * 2 > 1", "67" },
          { "wide / 2 == 0.5", "4" }, { "wide + 1 != 2", "012356" },
          { "doc[\"n\"] + 1 == 3", "1" }, { "doc[\"n\"] + 1 > 2.5", "12" },
          { "doc[\"n\"] * 2 != 5", "013456" }, { "doc[\"n\"] % 2 == 0", "12" },
          { "size + 1 == 2", "0" }, { "nums[1] + 1 == 4", "2" }, { "nums[1] + 1 != 4", "3456" },
          { "reals[0] + 1 == 1.1", "1234567" }, { "id + 9223372036854775807 < 0", "1234567" },
          { "array_length(nums) == 2", "2" }, { "array_length(nums) > 4", "56" },
          { "array_length(nums) != 2", "013456" }, { "array_length(doc[\"a\"]) == 2", "2" },
          { "array_length(doc[\"n\"]) == 0", "0123456" }, { "array_length(tags) == 2", "4" },
          { "2 <= ARRAY_LENGTH(words)", "234567" },
          { "id + tiny == 3",
            "!not supported to do arithmetic operations between multiple fields" },
          { "1 - id == 3", "!module field is not yet supported" },
          { "id + 1 + 1 == 3", "!complicated arithmetic operations are not supported" },
          { "real % 2 == 1", "!modulo can only apply on integer types" },
          { "id ** 2 == 4", "!power can only apply on constants: id**2" },
          { "text + 1 == 2",
            "!'+' can only be used between integer or floating or json field expressions" },
          { "id + 1.5 == 2",
            "!'+' can only be used between integer or floating or json field expressions" },
          { "id / 0 == 1", "!division or modulus by zero" },
          { "1 / 0 == id", "!cannot divide by zero" }, { "1 % 0 == id", "!cannot modulo by zero" },
          { "id + 1 == 1.5", "!cannot cast value to Int64, value: float_val:1.5" },
          { "id & 1 == 1", "!BitAnd is not supported: id&1==1" },
          { "id << 1 == 1", "!shift is not supported: id<<1" },
          { "~id == 1", "!unexpected op: ~" }, { "-id == 1", "!unexpected op: -" },
          { "+id == 1", "1" },
          { "array_length(id) == 1",
            "!array_length operation are only supported on json or array fields now, got: "
            "array_length(id)" },
          { "id + 1", "!predicate is not a boolean expression: id + 1, data type: Int64" });
}

static void fields_with_fields(void **state)
{
    CHECK({ "id == small", "0" }, { "id < small", "1234567" }, { "tiny < id", "0123456" },
          { "wide > real", "123456" }, { "id > wide", "123456" }, { "mid != id", "1234567" },
          { "text == text", "0123456" }, { "flag == flag", "0123456" },
          { "nums[0] == id", "123456" }, { "not (tiny == id)", "0123456" },
          { "words[0] != text", "123456" },
          { "id == text", "!comparisons between Int64 and VarChar are not supported" },
          { "doc[\"n\"] == id", "!two column comparison with JSON type is not supported" },
          { "nums == nums", "!can not comparisons array fields directly" },
          { "vec == id", "!comparisons between FloatVector and Int64 are not supported" });
}

static void json_paths(void **state)
{
    CHECK({ "doc[\"n\"] == 1", "0" }, { "doc['n'] == 2", "1" }, { "doc[\"n\"] == 2.5", "2" },
          { "doc[\"n\"] == \"2\"", "3" }, { "doc[\"n\"] != 2", "023456" },
          { "doc[\"n\"] > 1", "12" }, { "doc[\"n\"] < \"3\"", "3" }, { "doc[\"b\"] == true", "1" },
          { "doc[\"b\"] != true", "023456" }, { "doc[\"b\"] == 1", "" },
          { "doc[\"o\"][\"k\"][\"d\"] == 7", "0" }, { "doc[\"a\"][1] == 2", "0" },
          { "doc[\"a\"][3][0] == 1", "0" }, { "doc[\"a\"][0] == 1", "04" },
          { "doc[\"a\"][\"0\"] == 1", "04" }, { "doc[0] == 10", "6" },
          { "doc[\"key\"] == 1", "3" }, { "doc[\"s\"] == \"y\\\"z\\u00e9\"", "1" },
          { "doc[\"a\"] == [1, 2, \"q\", [1, 2]]", "0" }, { "doc[\"a\"] == []", "1" },
          { "doc[\"a\"] != []", "023456" }, { "doc[\"a\"] == [2, true]", "2" },
          { "doc == [10, 20]", "6" }, { "not (doc[\"n\"] == 1)", "123456" },
          { "color == \"red\"", "0" }, { "color != \"red\"", "1234567" }, { "size > 2", "26" },
          { "$meta[\"size\"] > 2", "26" }, { "nope == 1", "" }, { "tags[1] == \"b\"", "4" },
          { "exists doc[\"n\"]", "01234" }, { "exists doc[\"z\"]", "3" },
          { "exists color", "014" }, { "EXISTS doc[\"a\"] and id > 0", "124" },
          { "not exists color", "23567" },
          { "exists id", "!exists operations are only supportted on json field, got:Int64" },
          { "exists doc", "!exists operations are only supportted on json key" },
          { "exists 1", "!exists operations are only supported on single fields now, got: 1" },
          { "id[\"a\"] == 1", "!Int64 data type not supported accessed with []" },
          { "doc[n] == 1", "!json key must be enclosed in double quotes or single quotes: \"n\"" },
          { "doc[\"\"] == 1", "!invalid identifier: doc[\"\"]" });
}

static void nulls(void **state)
{
    CHECK({ "tiny is null", "7" }, { "tiny is not null", "0123456" }, { "tiny IS NULL", "7" },
          { "TINY IS NOT NULL", "" }, { "id is null", "" }, { "id is not null", "01234567" },
          { "doc is null", "7" }, { "nums is not null", "0123456" },
          { "doc[\"n\"] is null", "4567" }, { "doc[\"n\"] is not null", "0123" },
          { "color is null", "234567" }, { "size is not null", "026" },
          { "not tiny is null", "0123456" }, { "tiny is null or id == 0", "07" },
          { "is == 1", "" }, { "(tiny) is null", "!invalid expression: (tiny)isnull" });
}

static void arrays(void **state)
{
    CHECK({ "nums[0] == 3", "3" }, { "nums[0] != 3", "12456" }, { "not (nums[0] == 3)", "012456" },
          { "nums[9] == 1", "" }, { "nums == [2, 3]", "2" }, { "nums != [2, 3]", "013456" },
          { "words[0] == \"w0\"", "1234567" }, { "words == [\"w0\"]", "1" },
          { "reals[0] == 0.1", "1234567" }, { "array_contains(nums, 4)", "34" },
          { "array_contains_all(nums, [4, 5])", "34" },
          { "array_contains_any(nums, [2, 9])", "256" }, { "array_contains(words, \"w5\")", "67" },
          { "ARRAY_CONTAINS_ALL(words, [\"w0\", 'w1', \"w0\"])", "234567" },
          { "array_contains_all(nums, [])", "0123456" }, { "array_contains_any(nums, [])", "" },
          { "not array_contains(nums, 4)", "01256" }, { "array_contains(reals, 0.2)", "234567" },
          { "json_contains(doc[\"a\"], 2)", "02" }, { "json_contains(doc[\"a\"], [1, 2])", "0" },
          { "json_contains(doc[\"a\"], [2, 1])", "" },
          { "json_contains_all(doc[\"a\"], [1, \"q\", [1, 2]])", "0" },
          { "json_contains_any(doc[\"a\"], [\"q\", true])", "02" },
          { "json_contains(doc, 20)", "6" },
          { "json_contains_all(doc[\"a\"], [[1, 2], [1, 2.0]])", "0" },
          { "json_contains(tags, \"b\")", "4" }, { "json_contains(doc[\"n\"], 1)", "" },
          { "JSON_CONTAINS_ANY(tags, [\"x\", \"a\"])", "4" },
          { "nums == 1", "!cannot cast value to Array, value: int64_val:1" },
          { "nums < 1", "!can not comparisons array fields directly" },
          { "nums == [\"a\"]",
            "!comparisons between Array[Int64] and Array[VarChar] are not supported" },
          { "nums[\"a\"] == 1", "!can only access array field with integer index" },
          { "array_contains(id, 1)",
            "!contains operation are only supported on json or array fields now, got: id" },
          { "array_contains(nums, id)",
            "!contains operation are only supported explicitly specified element, got: id" },
          { "array_contains_any(nums, 1)", "!contains_any operation element must be an array" },
          { "array_contains_all(nums, [1, \"a\"])",
            "!contains_all operation can't compare between array element type: Int64 and "
            "VarChar" },
          { "array_contains(nums, 2.5)", "!cannot cast value to Int64, value: float_val:2.5" });
}

static void what_is_refused(void **state)
{
    CHECK({ "true", "!predicate is not a boolean expression: true, data type: Bool" },
          { "flag", "!predicate is not a boolean expression: flag, data type: Bool" },
          { "1", "!predicate is not a boolean expression: 1, data type: Int64" },
          { "id == \"a\"", "!comparisons between Int64 and VarChar are not supported" },
          { "id == 1.5", "!cannot cast value to Int64, value: float_val:1.5" },
          { "1 == \"a\"",
            "!comparison operations cannot be applied to two incompatible operands: 1==\"a\"" },
          { "id == 1 and true", "!'and' can only be used between boolean expressions" },
          { "flag or id == 1", "!'or' can only be used between boolean expressions" },
          { "not id == 1", "!not op can only be applied on boolean expression" },
          { "not flag", "!not op can only be applied on boolean expression" },
          { "(id == 1) == true", "!not supported to combine multiple fields" },
          { "id == 1 id", "!invalid expression: id==1id" },
          { "id ==", "!line 1:5 mismatched input '<EOF>' expecting an operand" },
          { "(id == 1", "!line 1:8 mismatched input '<EOF>' expecting {')', ','}" },
          { "id == 1)", "!invalid expression: id==1)" },
          { "[1", "!line 1:2 mismatched input '<EOF>' expecting {']', ','}" },
          { "id # 1", "!line 1:3 token recognition error at: '#1'" },
          { "text == \"open", "!line 1:8 token recognition error at: '\"open'" },
          { "id == 9223372036854775808",
            "!strconv.ParseInt: parsing \"9223372036854775808\": value out of range" },
          { "wide == 1e999", "!strconv.ParseFloat: parsing \"1e999\": value out of range" },
          { "text_match(text, \"a\")", "!function text_match is not supported" },
          { "id == {x}", "!the value of expression template variable name {x} is not found" },
          { "exists", "!line 1:6 mismatched input '<EOF>' expecting an operand" },
          { "json_contains(doc)", "!line 1:17 mismatched input ')' expecting ','" });
}

static void a_name_needs_a_field_or_a_dynamic_one(void **state)
{
    table_t *t = *state;
    owned(schema) fixed = schema_new(s_fields, N_FIELDS - 1);
    owned(expr) plan = NULL;
    assert_int_equal(expr_parse(&t->ctx, view_str("nope == 1"), fixed, NULL, 0, &plan),
                     ERR_PARAM_INVALID);
    assert_string_equal(t->ctx.text, "field nope not exist");
    assert_null(plan);
}

static void templates_stand_for_constants(void **state)
{
    static const expr_value_t list[] = {
        { .kind = EXPR_INT, .i = 1 }, { .kind = EXPR_INT, .i = 5 },
    };
    const expr_param_t params[] = {
        { view_str("n"), { .kind = EXPR_INT, .i = 3 } },
        { view_str("s"), { .kind = EXPR_STRING, .s = view_str("ap%") } },
        { view_str("l"), { .kind = EXPR_ARRAY, .list = { list, 2 } } },
    };
    static const want_t wants[] = {
        { "id == {n}", "3" }, { "{ n } > id", "012" }, { "id in {l}", "15" },
        { "id not in {l}", "023467" }, { "text like {s}", "02" }, { "1 < id < {n}", "2" },
        { "array_contains_any(nums, {l})", "1345" }, { "id + {n} == 4", "1" },
        { "doc[\"n\"] + {n} == 4", "0" },
        { "id in {n}", "!the value of term expression template variable {n} is not array" },
        { "1 + {n} == 4",
          "!placeholder was not supported between two constants with operator: +" },
        { "{n} == 3", "!placeholder was not supported between two constants with operator: ==" },
        { "id == {s}", "!cannot cast value to Int64, value: string_val:\"ap%\"" },
        { "id in [{n}]", "!array element type must be generic value, but got: {n}" },
    };
    char room[CTX_TEXT_BYTES + 2];
    for (size_t i = 0; i < ARRAY_LEN(wants); i++)
        assert_string_equal(s_rows(*state, wants[i].text, params, ARRAY_LEN(params), room),
                            wants[i].rows);
}

/* --- the plan's face ---------------------------------------------------------------------- */

static bool s_pks(table_t *t, const char *text, expr_pks_t *ret, expr_t **plan)
{
    expr_unref(plan);
    assert_int_equal(expr_parse(&t->ctx, view_str(text), t->schema, NULL, 0, plan), OK);
    return expr_pk_list(*plan, ret);
}

static void a_list_of_keys_is_recognised(void **state)
{
    owned(expr) plan = NULL;
    expr_pks_t pks;
    assert_true(s_pks(*state, "id in [7, 3, 7, 1]", &pks, &plan));
    assert_int_equal(pks.n, 3);
    assert_int_equal(pks.ints[0], 1);
    assert_int_equal(pks.ints[2], 7);
    assert_true(s_pks(*state, "9 == id", &pks, &plan));
    assert_int_equal(pks.n, 1);
    assert_int_equal(pks.ints[0], 9);
    assert_true(s_pks(*state, "(id in [])", &pks, &plan));
    assert_int_equal(pks.n, 0);
    static const char *const others[] = {
        "id not in [1]", "id > 1", "id != 1", "id == 1 and tiny == 1", "tiny in [1]", "id + 1 == 2",
        "", "1 < id < 3", "id == 1 or id == 2",
    };
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        assert_false(s_pks(*state, others[i], &pks, &plan));
}

static void a_text_key_too(void **state)
{
    table_t *t = *state;
    const field_t fields[] = { { .id = 100, .name = "k", .type = TYPE_VARCHAR, .max_length = 9,
                                 .primary_key = true } };
    owned(schema) schema = schema_new(fields, 1);
    owned(expr) plan = NULL;
    expr_pks_t pks;
    assert_int_equal(expr_parse(&t->ctx, view_str("k in ['b', \"a\\x41\", 'b']"), schema, NULL, 0,
                                &plan), OK);
    assert_true(expr_pk_list(plan, &pks));
    assert_int_equal(pks.type, TYPE_VARCHAR);
    assert_int_equal(pks.n, 2);
    assert_true(view_eq(pks.strings[0], view_str("aA")));
    assert_true(view_eq(pks.strings[1], view_str("b")));
}

static void a_plan_says_what_it_needs(void **state)
{
    table_t *t = *state;
    owned(expr) plan = NULL;
    const char *text = "tiny > 0 and size == 1 or real < wide and id is null";
    assert_int_equal(expr_parse(&t->ctx, view_str(text), t->schema, NULL, 0, &plan), OK);
    for (size_t i = 0; i < N_FIELDS; i++)
        assert_int_equal(expr_needs(plan, i), i == 2 || i == 5 || i == 6 || i == 13);
    assert_true(view_eq(expr_text(plan), view_str(text)));
    assert_false(expr_is_always_true(plan));
    expr_pks_t pks;
    assert_false(s_pks(t, " ", &pks, &plan));
    assert_true(expr_is_always_true(plan));
    owned(expr) other = expr_ref(plan);
    assert_ptr_equal(other, plan);
}

static void narrowing_keeps_what_was_struck(void **state)
{
    table_t *t = *state;
    owned(expr) plan = NULL;
    bitset_t bits;
    assert_int_equal(bitset_init(&t->ctx, &bits, ROWS), OK);
    bitset_set(&bits, 1);
    bitset_set(&bits, 5);
    assert_int_equal(expr_parse(&t->ctx, view_str("id > 3 or color == 'blue' and size is null"),
                                t->schema, NULL, 0, &plan), OK);
    assert_int_equal(expr_narrow(&t->ctx, plan, t->columns, ROWS, &bits), OK);
    assert_int_equal(bits.words[0], 1 << 1 | 1 << 5);
    bitset_fini(&bits);
}

/* --- hostile inputs ----------------------------------------------------------------------- */

static err_t s_parse_repeated(table_t *t, const char *head, const char *part, size_t n,
                              const char *tail)
{
    buf_scoped text = {0};
    owned(expr) plan = NULL;
    buf_add_str(&text, head);
    for (size_t i = 0; i < n; i++)
        buf_add_str(&text, part);
    buf_add_str(&text, tail);
    return expr_parse(&t->ctx, buf_view(&text), t->schema, NULL, 0, &plan);
}

/* Of this process: what others do on the machine is not counted. */
static int64_t s_cpu_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void huge_expressions_end_in_an_error_soon(void **state)
{
    table_t *t = *state;
    int64_t begun = s_cpu_ms();
    assert_int_equal(s_parse_repeated(t, "", "(", 1000000, ""), ERR_PARAM_INVALID);
    assert_non_null(strstr(t->ctx.text, "nested deeper"));
    assert_int_equal(s_parse_repeated(t, "", "[", 1000000, ""), ERR_PARAM_INVALID);
    assert_int_equal(s_parse_repeated(t, "", "not ", 1000000, ""), ERR_PARAM_INVALID);
    assert_int_equal(s_parse_repeated(t, "id == 2", "**2", 100000, ""), ERR_PARAM_INVALID);
    assert_int_equal(s_parse_repeated(t, "doc", "[\"a\"]", 100, " == 1"), ERR_PARAM_INVALID);
    assert_int_equal(s_parse_repeated(t, "doc == ", "[", 100, ""), ERR_PARAM_INVALID);
    assert_int_equal(s_parse_repeated(t, "", " ", LIMIT_EXPR_BYTES + 1, ""), ERR_PARAM_INVALID);
    assert_int_equal(s_parse_repeated(t, "id in [", "1,", LIMIT_EXPR_NODES, "]"),
                     ERR_PARAM_INVALID);
    assert_int_equal(s_parse_repeated(t, "doc['a'] in [", "[],", LIMIT_EXPR_LISTS + 1, "]"),
                     ERR_PARAM_INVALID);
    assert_int_equal(s_parse_repeated(t, "id == 1", " or id == 1", 100000, ""), OK);
    assert_int_equal(s_parse_repeated(t, "", "(id == 1 or ", LIMIT_EXPR_DEPTH / 2, "id == 1"),
                     ERR_PARAM_INVALID);
    assert_true(s_cpu_ms() - begun < 20000);     /* 0.2 s; sanitizers take longer */
}

static void deep_but_allowed_is_evaluated(void **state)
{
    table_t *t = *state;
    enum { DEPTH = LIMIT_EXPR_DEPTH / 2 - 1 };
    buf_scoped text = {0};
    char room[CTX_TEXT_BYTES + 2];
    for (int i = 0; i < DEPTH; i++)
        buf_add_str(&text, i % 2 ? "(id > 1 and " : "(id == 0 or ");
    buf_add_str(&text, "id == 3");
    for (int i = 0; i < DEPTH; i++)
        buf_add_str(&text, ")");
    assert_string_equal(s_rows(t, buf_str(&text), NULL, 0, room), "03");
}

static void a_long_list_is_fast(void **state)
{
    table_t *t = *state;
    buf_scoped text = {0};
    buf_add_str(&text, "id in [");
    for (int i = 0; i < 100000; i++)
        buf_addf(&text, "%d,", i * 7 + 3);
    buf_add_str(&text, "]");
    char room[CTX_TEXT_BYTES + 2];
    int64_t begun = s_cpu_ms();
    assert_string_equal(s_rows(t, buf_str(&text), NULL, 0, room), "3");
    assert_true(s_cpu_ms() - begun < 2000);
}

static void every_fault_is_reported(void **state)
{
    table_t *t = *state;
    static const char text[] =
        "(id in [1,2,3,4,5,6,7,8,9,10,11] or text in ['1','2','3','4','5','6','7','8','9','\\n'])"
        " and doc[\"s\"] != \"y\\\"\" and json_contains_all(doc[\"a\"], [1, [2]])"
        " and text like '%a_'";
    for (int nth = 0; ; nth++) {
        owned(expr) plan = NULL;
        bitset_t bits;
        assert_int_equal(bitset_init(&t->ctx, &bits, ROWS), OK);
        fault_arm(nth);
        err_t err = expr_parse(&t->ctx, view_str(text), t->schema, NULL, 0, &plan);
        assert_int_equal(plan == NULL, err != OK);
        if (err == OK)
            err = expr_eval(&t->ctx, plan, t->columns, ROWS, &bits);
        bitset_fini(&bits);
        if (!fault_disarm()) {
            assert_int_equal(err, OK);
            assert_true(nth > 20);
            break;
        }
        assert_int_equal(err, ERR_MEMORY);
    }
}

static void the_budget_is_kept(void **state)
{
    table_t *t = *state;
    ctx_t ctx;
    ctx_init(&ctx);
    ctx.budget_bytes = 4096;
    owned(expr) plan = NULL;
    assert_int_equal(expr_parse(&ctx, view_str("id in [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16]"),
                                t->schema, NULL, 0, &plan), ERR_MEMORY);
    ctx_fini(&ctx);
}

typedef struct sharer {
    table_t *table;
    expr_t *plan;
    uint64_t bits;
} sharer_t;

static void *s_share(void *arg)
{
    sharer_t *s = arg;
    ctx_t ctx;
    ctx_init(&ctx);
    for (int i = 0; i < 200; i++) {
        owned(expr) plan = expr_ref(s->plan);
        bitset_t bits;
        assert_int_equal(bitset_init(&ctx, &bits, ROWS), OK);
        assert_int_equal(expr_eval(&ctx, plan, s->table->columns, ROWS, &bits), OK);
        s->bits = bits.words[0];
        bitset_fini(&bits);
    }
    ctx_fini(&ctx);
    return NULL;
}

static void threads_share_a_plan(void **state)
{
    enum { THREADS = 4 };
    table_t *t = *state;
    owned(expr) plan = NULL;
    sharer_t sharers[THREADS];
    pthread_t threads[THREADS];
    static const char text[] = "json_contains_all(doc['a'], [1, 'q']) or "
                               "id in [1,2,3,4,5,6,7,8,9,10] and text like '%p_le'";
    assert_int_equal(expr_parse(&t->ctx, view_str(text), t->schema, NULL, 0, &plan), OK);
    for (int i = 0; i < THREADS; i++) {
        sharers[i] = (sharer_t){ .table = t, .plan = plan };
        assert_int_equal(pthread_create(&threads[i], NULL, s_share, &sharers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(sharers[i].bits, 3);
    }
}

static void a_cancelled_errand_stops(void **state)
{
    table_t *t = *state;
    enum { MANY = 200000 };
    owned(expr) plan = NULL;
    assert_int_equal(expr_parse(&t->ctx, view_str("id == 0"), t->schema, NULL, 0, &plan), OK);
    column_t zeros = { .type = TYPE_INT64, .width = 8, .n = MANY, .cells = mem_new(MANY * 8) };
    const column_t *columns[N_FIELDS] = { &zeros };
    bitset_t bits;
    ctx_t ctx;
    ctx_init(&ctx);
    assert_int_equal(bitset_init(&ctx, &bits, MANY), OK);
    assert_int_equal(expr_eval(&ctx, plan, columns, MANY, &bits), OK);
    assert_int_equal(bitset_count(&bits), MANY);
    ctx_cancel(&ctx);
    assert_int_equal(expr_eval(&ctx, plan, columns, MANY, &bits), ERR_CANCELED);
    bitset_fini(&bits);
    ctx_fini(&ctx);
    mem_free((void *)zeros.cells);
}

#define T(f) cmocka_unit_test_setup_teardown(f, s_up, s_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(comparisons), T(ranges), T(logic_and_precedence), T(lists), T(patterns), T(arithmetic),
        T(fields_with_fields), T(json_paths), T(nulls), T(arrays), T(what_is_refused),
        T(a_name_needs_a_field_or_a_dynamic_one), T(templates_stand_for_constants),
        T(a_list_of_keys_is_recognised), T(a_text_key_too), T(a_plan_says_what_it_needs),
        T(narrowing_keeps_what_was_struck), T(huge_expressions_end_in_an_error_soon),
        T(deep_but_allowed_is_evaluated), T(a_long_list_is_fast), T(every_fault_is_reported),
        T(the_budget_is_kept), T(threads_share_a_plan), T(a_cancelled_errand_stops),
    };
    return cmocka_run_group_tests_name("expr", tests, NULL, NULL);
}
