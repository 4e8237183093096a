/* fuzz_expr - a filter's text, and a JSON cell for it, into parser and evaluator
 *
 * The input is a filter, and behind a line end the JSON text of a row.  Promises:
 *
 *   refused   as a wrong parameter or for want of memory, with a text
 *   taken     the budget was kept; evaluation gives the same bits for a row
 *             whatever rows lie around it; a filter and its `not (…)` are never both
 *             true; a list of keys, when there is one, takes just the rows it names
 */
#include "core/base/base.h"
#include "core/expr/expr.h"
#include "tests/support/replay.h"

enum { BUDGET_BYTES = 4 << 20, ROWS = 67 };

static const field_t s_fields[] = {
    { .id = 100, .name = "id", .type = TYPE_INT64, .primary_key = true },
    { .id = 101, .name = "flag", .type = TYPE_BOOL, .nullable = true },
    { .id = 102, .name = "tiny", .type = TYPE_INT8, .nullable = true },
    { .id = 103, .name = "real", .type = TYPE_FLOAT },
    { .id = 104, .name = "wide", .type = TYPE_DOUBLE, .nullable = true },
    { .id = 105, .name = "text", .type = TYPE_VARCHAR, .max_length = 64, .nullable = true },
    { .id = 106, .name = "doc", .type = TYPE_JSON, .nullable = true },
    { .id = 107, .name = "nums", .type = TYPE_ARRAY, .element = TYPE_INT64, .max_capacity = 9 },
    { .id = 108, .name = "words", .type = TYPE_ARRAY, .element = TYPE_VARCHAR, .max_capacity = 9,
      .max_length = 9, .nullable = true },
    { .id = 109, .name = "vec", .type = TYPE_FLOAT_VECTOR, .dim = 2 },
    { .id = 110, .name = "$meta", .type = TYPE_JSON, .dynamic = true },
};

enum { N_FIELDS = ARRAY_LEN(s_fields) };

/* Rows with even numbers are alike in all but the key; odd ones are null or zero. */
static view_t s_cell(const field_t *field, size_t row, view_t json, uint8_t room[64])
{
    static const char words[] = "\x02\x00\x00\x00\x01\x00\x00\x00" "a\x02\x00\x00\x00" "b%";
    size_t width = type_width(field->type, field->dim);
    memset(room, 0, 64);
    if (field->primary_key)
        memcpy(room, &row, sizeof row);
    else if (row % 2 == 0 && width == 8)
        memcpy(room, &(double){ 1.5 }, 8);
    else if (row % 2 == 0 && width > 0)
        room[0] = 1;
    if (field->type == TYPE_JSON)
        return row % 2 ? view_str("{}") : json;
    if (field->type == TYPE_VARCHAR)
        return view_str(row % 2 ? "" : "a_b%\xc3\xa9");
    if (field->type == TYPE_ARRAY && field->element == TYPE_VARCHAR)
        return view_of(words, sizeof words - 1);
    room[0] = field->type == TYPE_ARRAY ? 3 : room[0];
    return view_of(room, field->type == TYPE_ARRAY ? 28 : width);
}

static void s_fill(column_builder_t *b, const field_t *field, view_t json)
{
    uint8_t room[64];
    column_builder_init(b, field);
    for (size_t row = 0; row < ROWS; row++) {
        if (field->nullable && row % 4 == 3)
            column_builder_add_null(b);
        else
            column_builder_add(b, s_cell(field, row, json, room));
    }
}

static void s_eval(ctx_t *ctx, const expr_t *plan, column_builder_t *built, size_t n, bitset_t *ret)
{
    column_t column[N_FIELDS];
    const column_t *columns[N_FIELDS];
    for (size_t i = 0; i < N_FIELDS; i++) {
        column_t all = column_builder_view(&built[i]);
        column[i] = column_slice(&all, 0, n);
        columns[i] = expr_needs(plan, i) ? &column[i] : NULL;
    }
    ctx->budget_bytes = 0;
    check(bitset_init(ctx, ret, n) == OK);
    check(expr_eval(ctx, plan, columns, n, ret) == OK);
}

static void s_check_keys(const expr_t *plan, const bitset_t *bits)
{
    expr_pks_t pks;
    if (!expr_pk_list(plan, &pks))
        return;
    size_t named = 0;
    for (size_t i = 0; i < pks.n; i++) {
        check(i == 0 || pks.ints[i - 1] < pks.ints[i]);
        named += pks.ints[i] >= 0 && pks.ints[i] < ROWS && bitset_has(bits, (size_t)pks.ints[i]);
    }
    check(named == bitset_count(bits));
}

/* The other way round; NULL for a filter too deep to be put in brackets. */
static expr_t *s_opposite(ctx_t *ctx, view_t text, schema_t *schema)
{
    expr_t *plan = NULL;
    buf_scoped not = {0};
    buf_addf(&not, "not (%.*s)", (int)text.len, (const char *)text.ptr);
    return expr_parse(ctx, buf_view(&not), schema, NULL, 0, &plan) == OK ? plan : NULL;
}

static void s_check_taken(ctx_t *ctx, const expr_t *plan, view_t text, schema_t *schema,
                          view_t json)
{
    column_builder_t built[N_FIELDS];
    bitset_t all = {0}, some = {0}, none = {0};
    for (size_t i = 0; i < N_FIELDS; i++)
        s_fill(&built[i], &s_fields[i], json);
    s_eval(ctx, plan, built, ROWS, &all);
    s_eval(ctx, plan, built, 5, &some);
    check((all.words[0] & 31) == some.words[0]);
    s_check_keys(plan, &all);
    owned(expr) opposite = s_opposite(ctx, text, schema);
    if (opposite) {
        s_eval(ctx, opposite, built, ROWS, &none);
        bitset_and(&none, &all);
        check(bitset_count(&none) == 0);
    }
    bitset_fini(&all);
    bitset_fini(&some);
    bitset_fini(&none);
    for (size_t i = 0; i < N_FIELDS; i++)
        column_builder_fini(&built[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const expr_value_t three = { .kind = EXPR_INT, .i = 3 };
    const expr_param_t params[] = {
        { view_str("n"), three }, { view_str("l"), { .kind = EXPR_ARRAY, .list = { &three, 1 } } },
    };
    const uint8_t *line = size ? memchr(data, '\n', size) : NULL;
    view_t text = view_of(data, line ? (size_t)(line - data) : size);
    view_t json = line ? view_of(line + 1, size - text.len - 1) : view_str("{}");
    owned(schema) schema = schema_new(s_fields, N_FIELDS);
    owned(expr) plan = NULL;
    ctx_t ctx;
    ctx_init(&ctx);
    ctx.budget_bytes = BUDGET_BYTES;
    err_t err = expr_parse(&ctx, text, schema, params, ARRAY_LEN(params), &plan);
    check((err == OK) == (plan != NULL) && ctx.spent_bytes <= BUDGET_BYTES);
    if (err == OK)
        s_check_taken(&ctx, plan, text, schema, json);
    else
        check((err == ERR_PARAM_INVALID || err == ERR_MEMORY) && ctx.text[0]);
    ctx_fini(&ctx);
    return 0;
}
