/* expr against the reference: random rows of every type, random filters over them
 *
 * Constants come from small pools that the rows are made of too, so that filters split the
 * rows; every filter must be taken by the parser and give the reference's answer for every row.
 * The same comparison against a reference with a planted bug must fail, for each bug.  And it must
 * not matter whether predicates are evaluated or answered by scalar indexes.
 *
 *     EXPR_SEED=7 EXPR_RUNS=100000 build/release/tests/unit/expr/test_expr_random */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/rng.h"
#include "core/expr/expr.h"
#include "tests/support/expr_reference.h"
#include "tests/support/scalar_data.h"

/* Blocks of 4096 rows are slow to check one by one: most filters see some 200 rows, one in
 * fifty those rows many times over, where each repeat must answer alike. */
enum { ROWS = 200, REPEATS = 50, FILTERS = 4000, TABLES = 8 };

static const field_t s_fields[] = {
    { .id = 100, .name = "id", .type = TYPE_INT64, .primary_key = true },
    { .id = 101, .name = "b", .type = TYPE_BOOL, .nullable = true },
    { .id = 102, .name = "i8", .type = TYPE_INT8, .nullable = true },
    { .id = 103, .name = "i16", .type = TYPE_INT16, .nullable = true },
    { .id = 104, .name = "i32", .type = TYPE_INT32 },
    { .id = 105, .name = "i64", .type = TYPE_INT64, .nullable = true },
    { .id = 106, .name = "f", .type = TYPE_FLOAT, .nullable = true },
    { .id = 107, .name = "d", .type = TYPE_DOUBLE, .nullable = true },
    { .id = 108, .name = "s", .type = TYPE_VARCHAR, .max_length = 64, .nullable = true },
    { .id = 109, .name = "j", .type = TYPE_JSON, .nullable = true },
    { .id = 110, .name = "ai", .type = TYPE_ARRAY, .element = TYPE_INT32, .max_capacity = 9,
      .nullable = true },
    { .id = 111, .name = "as", .type = TYPE_ARRAY, .element = TYPE_VARCHAR, .max_capacity = 9,
      .max_length = 9 },
    { .id = 112, .name = "af", .type = TYPE_ARRAY, .element = TYPE_FLOAT, .max_capacity = 9,
      .nullable = true },
    { .id = 113, .name = "ab", .type = TYPE_ARRAY, .element = TYPE_BOOL, .max_capacity = 9 },
    { .id = 114, .name = "$meta", .type = TYPE_JSON, .dynamic = true },
};

enum { N_FIELDS = ARRAY_LEN(s_fields), META = N_FIELDS - 1 };

typedef struct world {
    rng_t rng;
    ctx_t ctx;                  /* owns rows and filters */
    schema_t *schema;
    ref_value_t rows[ROWS][N_FIELDS];
    column_builder_t built[N_FIELDS];
    column_t column[N_FIELDS];
    const column_t *columns[N_FIELDS];
    scalar_data_t scalars;      /* indexes over the columns */
    size_t n_answered;          /* predicates, by them */
} world_t;

static uint64_t s_below(world_t *w, uint64_t n)
{
    return rng_below(&w->rng, n);
}

/* --- random values ------------------------------------------------------------------------ */

static const char *const s_strings[] = {
    "", "a", "ab", "abc", "ba", "b%", "a_c", "it's", "q\"q", "k", "\xc3\xa9",
    "a\xc3\xa9" "c", "x\\y",
};

static const char *const s_keys[] = { "a", "b", "k", "n", "0", "1" };

static ref_value_t s_int(int64_t i)
{
    return (ref_value_t){ .kind = REF_INT, .i = i };
}

static ref_value_t s_any_int(world_t *w)
{
    static const int64_t far[] = { INT8_MIN, INT8_MAX, INT16_MIN, INT16_MAX, INT32_MIN, INT32_MAX,
                                   300, -300, INT64_MAX, INT64_MIN + 1, 1ll << 53 };
    return s_int(s_below(w, 12) == 0 ? far[s_below(w, ARRAY_LEN(far))]
                                     : (int64_t)s_below(w, 9) - 3);
}

static ref_value_t s_any_double(world_t *w)
{
    static const double odd[] = { 0.1, 0.3, 1e300, -1e-300, 2.7, 9007199254740992.0, 1.5e9 };
    double d = s_below(w, 4) == 0 ? odd[s_below(w, ARRAY_LEN(odd))]
                                  : ((double)s_below(w, 17) - 6) / 2;
    return (ref_value_t){ .kind = REF_DOUBLE, .d = d };
}

static ref_value_t s_any_number(world_t *w)
{
    return s_below(w, 2) ? s_any_int(w) : s_any_double(w);
}

static ref_value_t s_any_string(world_t *w)
{
    return (ref_value_t){ .kind = REF_STRING, .s = s_strings[s_below(w, ARRAY_LEN(s_strings))] };
}

static ref_value_t s_any_bool(world_t *w)
{
    return (ref_value_t){ .kind = REF_BOOL, .b = s_below(w, 2) };
}

static ref_value_t s_any_scalar(world_t *w)
{
    uint64_t pick = s_below(w, 6);
    return pick == 0 ? s_any_bool(w) : pick < 3 ? s_any_int(w) : pick == 3 ? s_any_double(w)
         : s_any_string(w);
}

typedef ref_value_t maker_fn(world_t *w);

static ref_value_t s_list_of(world_t *w, maker_fn *maker, uint64_t most)
{
    ref_value_t v = { .kind = REF_ARRAY, .n = s_below(w, most + 1) };
    v.items = ctx_new(&w->ctx, (v.n + 1) * sizeof *v.items);
    for (size_t i = 0; i < v.n; i++)
        v.items[i] = maker(w);
    return v;
}

static ref_value_t s_nested_constant(world_t *w)
{
    return s_below(w, 5) ? s_any_scalar(w) : s_list_of(w, s_any_scalar, 2);
}

static ref_value_t s_json(world_t *w, int depth);

static ref_value_t s_json_inner(world_t *w)
{
    return s_json(w, 1);
}

static ref_value_t s_json_object(world_t *w, int depth)
{
    ref_value_t v = { .kind = REF_OBJECT };
    v.items = ctx_new(&w->ctx, ARRAY_LEN(s_keys) * sizeof *v.items);
    v.keys = ctx_new(&w->ctx, ARRAY_LEN(s_keys) * sizeof *v.keys);
    for (size_t i = 0; i < ARRAY_LEN(s_keys); i++) {
        if (s_below(w, 3) == 0)
            continue;
        v.keys[v.n] = s_keys[i];
        v.items[v.n++] = s_json(w, depth - 1);
    }
    return v;
}

static ref_value_t s_json(world_t *w, int depth)
{
    uint64_t pick = s_below(w, 10);
    if (depth > 0 && pick < 3)
        return s_json_object(w, depth);
    if (depth > 0 && pick < 5)
        return s_list_of(w, depth > 1 ? s_json_inner : s_any_scalar, 4);
    return pick == 9 ? (ref_value_t){0} : s_any_scalar(w);
}

static ref_value_t s_float_value(world_t *w)
{
    ref_value_t v = s_any_double(w);
    v.d = v.d > 1e30 ? 8.5 : (double)(float)v.d;
    return v;
}

static ref_value_t s_int_within(world_t *w, int bits)
{
    ref_value_t v = s_any_int(w);
    int64_t most = (int64_t)((1ull << (bits - 1)) - 1);
    v.i = v.i > most ? most : v.i < -most - 1 ? -most - 1 : v.i;
    return v;
}

static ref_value_t s_int32_value(world_t *w)
{
    return s_int_within(w, 32);
}

static ref_value_t s_field_value(world_t *w, const field_t *field)
{
    if (field->nullable && s_below(w, 5) == 0)
        return (ref_value_t){0};
    switch ((int)field->type) {
    case TYPE_BOOL:
        return s_any_bool(w);
    case TYPE_INT8:
        return s_int_within(w, 8);
    case TYPE_INT16:
        return s_int_within(w, 16);
    case TYPE_INT32:
        return s_int_within(w, 32);
    case TYPE_INT64:
        return s_any_int(w);
    case TYPE_FLOAT:
        return s_float_value(w);
    case TYPE_DOUBLE:
        return s_any_double(w);
    case TYPE_VARCHAR:
        return s_any_string(w);
    case TYPE_JSON:
        return s_json_object(w, 3);
    default:
        return s_list_of(w, field->element == TYPE_INT32 ? s_int32_value
                          : field->element == TYPE_FLOAT ? s_float_value
                          : field->element == TYPE_BOOL ? s_any_bool : s_any_string, 5);
    }
}

/* --- rows into columns -------------------------------------------------------------------- */

static void s_add_cell(buf_t *cell, type_t type, const ref_value_t *v)
{
    float f = (float)v->d;
    if (type == TYPE_FLOAT)
        buf_add(cell, &f, 4);
    else if (type == TYPE_DOUBLE)
        buf_add(cell, &v->d, 8);
    else if (type == TYPE_BOOL)
        buf_add_u8(cell, v->b);
    else if (type == TYPE_VARCHAR)
        buf_add_str(cell, v->s);
    else
        buf_add(cell, &v->i, type_width(type, 0));
}

static void s_add_list(buf_t *cell, type_t element, const ref_value_t *v)
{
    buf_add_u32(cell, (uint32_t)v->n);
    for (size_t i = 0; i < v->n; i++) {
        if (element == TYPE_VARCHAR)
            buf_add_u32(cell, (uint32_t)strlen(v->items[i].s));
        s_add_cell(cell, element, &v->items[i]);
    }
}

static void s_add(world_t *w, size_t field, const ref_value_t *v)
{
    const field_t *f = &s_fields[field];
    buf_scoped cell = {0};
    if (v->kind == REF_NULL) {
        column_builder_add_null(&w->built[field]);
        return;
    }
    if (f->type == TYPE_JSON)
        ref_write_json(v, rng_u64(&w->rng), &cell);
    else if (f->type == TYPE_ARRAY)
        s_add_list(&cell, f->element, v);
    else
        s_add_cell(&cell, f->type, v);
    column_builder_add(&w->built[field], buf_view(&cell));
}

static world_t *s_world(uint64_t seed)
{
    world_t *w = mem_new(sizeof *w);
    rng_seed(&w->rng, seed);
    ctx_init(&w->ctx);
    w->schema = schema_new(s_fields, N_FIELDS);
    for (size_t i = 0; i < N_FIELDS; i++)
        column_builder_init(&w->built[i], &s_fields[i]);
    for (size_t row = 0; row < ROWS; row++)
        for (size_t i = 0; i < N_FIELDS; i++)
            w->rows[row][i] = s_field_value(w, &s_fields[i]);
    for (size_t i = 0; i < N_FIELDS; i++) {
        for (size_t row = 0; row < ROWS; row++)
            s_add(w, i, &w->rows[row][i]);
        for (size_t row = ROWS; row < ROWS * REPEATS; row++) {
            column_t so_far = column_builder_view(&w->built[i]);
            buf_scoped copy = {0};
            buf_add_view(&copy, column_cell(&so_far, row % ROWS));
            if (column_is_null(&so_far, row % ROWS))
                column_builder_add_null(&w->built[i]);
            else
                column_builder_add(&w->built[i], buf_view(&copy));
        }
        w->column[i] = column_builder_view(&w->built[i]);
        w->columns[i] = &w->column[i];
    }
    scalar_data_init(&w->scalars, &w->ctx, w->columns, N_FIELDS, seed);
    return w;
}

static void s_world_end(world_t *w)
{
    scalar_data_fini(&w->scalars);
    for (size_t i = 0; i < N_FIELDS; i++)
        column_builder_fini(&w->built[i]);
    schema_unref(&w->schema);
    ctx_fini(&w->ctx);
    mem_free(w);
}

/* --- random filters ----------------------------------------------------------------------- */

static ref_op_t s_any_op(world_t *w)
{
    return (ref_op_t)s_below(w, 6);
}

static void s_add_key(world_t *w, ref_place_t *place)
{
    ref_value_t key = s_below(w, 4) == 0 ? s_int((int64_t)s_below(w, 3))
        : (ref_value_t){ .kind = REF_STRING, .s = s_keys[s_below(w, 4)] };
    place->path[place->n_path++] = key;
}

/* j["a"]["b"], $meta["a"], or the dynamic key itself. */
static ref_place_t s_json_place(world_t *w)
{
    ref_place_t place = { .field = s_below(w, 2) ? 9 : META };
    if (place.field == META && s_below(w, 3)) {
        place.name = s_keys[2 + s_below(w, 2)];
        place.path[place.n_path++] = (ref_value_t){ .kind = REF_STRING, .s = place.name };
    } else {
        s_add_key(w, &place);
    }
    while (place.n_path < 3 && s_below(w, 3) == 0)
        s_add_key(w, &place);
    return place;
}

static ref_place_t s_array_place(world_t *w, bool element)
{
    ref_place_t place = { .field = 10 + s_below(w, 4) };
    if (element)
        place.path[place.n_path++] = s_int((int64_t)s_below(w, 5));
    return place;
}

/* What is compared there: NONE for JSON. */
static type_t s_type_at(const ref_place_t *place)
{
    const field_t *f = &s_fields[place->field];
    return f->type == TYPE_JSON ? TYPE_NONE : f->type == TYPE_ARRAY && place->n_path ? f->element
         : f->type;
}

static ref_place_t s_any_place(world_t *w)
{
    uint64_t pick = s_below(w, 5);
    return pick < 3 ? (ref_place_t){ .field = s_below(w, 9) } : pick == 3 ? s_json_place(w)
         : s_array_place(w, true);
}

static ref_value_t s_constant(world_t *w, type_t type)
{
    return type == TYPE_NONE ? s_nested_constant(w) : type == TYPE_BOOL ? s_any_bool(w)
         : type == TYPE_VARCHAR ? s_any_string(w) : type_is_integer(type) ? s_any_int(w)
         : s_any_number(w);
}

static ref_value_t s_constants(world_t *w, type_t type)
{
    ref_value_t v = { .kind = REF_ARRAY, .n = s_below(w, s_below(w, 4) ? 5 : 25) };
    v.items = ctx_new(&w->ctx, (v.n + 1) * sizeof *v.items);
    for (size_t i = 0; i < v.n; i++)
        v.items[i] = s_constant(w, type);
    return v;
}

static bool s_number_at(type_t type)
{
    return type == TYPE_NONE || type_is_number(type);
}

static double s_as_double(const ref_value_t *v, type_t type)
{
    double d = v->kind == REF_INT ? (double)v->i : v->d;
    return type == TYPE_FLOAT ? (double)(float)d : d;
}

/* Bounds in order, with room between them also once they are cells of the type. */
static bool s_make_range(world_t *w, ref_node_t *n)
{
    type_t type = s_type_at(&n->place);
    if (type == TYPE_BOOL)
        return false;
    bool text = type == TYPE_VARCHAR || (type == TYPE_NONE && s_below(w, 3) == 0);
    n->a = text ? s_any_string(w) : type_is_integer(type) ? s_any_int(w) : s_any_number(w);
    n->b = text ? s_any_string(w) : type_is_integer(type) ? s_any_int(w) : s_any_number(w);
    bool up = s_below(w, 2);
    n->op = up ? s_below(w, 2) ? REF_LT : REF_LE : s_below(w, 2) ? REF_GT : REF_GE;
    n->op2 = up ? s_below(w, 2) ? REF_LT : REF_LE : s_below(w, 2) ? REF_GT : REF_GE;
    const ref_value_t *low = up ? &n->a : &n->b, *high = up ? &n->b : &n->a;
    return text ? strcmp(low->s, high->s) < 0
                : s_as_double(low, type) < s_as_double(high, type);
}

static bool s_make_arith(world_t *w, ref_node_t *n)
{
    type_t type = s_type_at(&n->place);
    bool real = type == TYPE_FLOAT || type == TYPE_DOUBLE;
    if (!s_number_at(type))
        return false;
    n->arith = "+-*/%"[s_below(w, real ? 4 : 5)];
    n->a = type_is_integer(type) || n->arith == '%' ? s_any_int(w) : s_any_number(w);
    n->b = type_is_integer(type) ? s_any_int(w) : s_any_number(w);
    n->op = s_any_op(w);
    bool zero = s_as_double(&n->a, type) == 0;
    bool far = type == TYPE_NONE && n->arith == '%';    /* 1e300 % 2 is asked of nobody */
    return !(zero && (n->arith == '/' || n->arith == '%')) && !far;
}

static const char *s_any_pattern(world_t *w)
{
    static const char *const parts[] = { "%", "%", "_", "a", "b", "c", "\\%", "\\_", "\xc3\xa9" };
    buf_scoped text = {0};
    for (uint64_t n = s_below(w, 5); n > 0; n--)
        buf_add_str(&text, parts[s_below(w, ARRAY_LEN(parts))]);
    return ctx_strdup(&w->ctx, buf_str(&text));
}

static bool s_make_fields(world_t *w, ref_node_t *n)
{
    n->other = s_below(w, 4) ? (ref_place_t){ .field = s_below(w, 9) } : s_array_place(w, true);
    type_t a = s_type_at(&n->place), b = s_type_at(&n->other);
    n->op = s_any_op(w);
    return a != TYPE_NONE && (a == b || (type_is_number(a) && type_is_number(b)));
}

static bool s_make_contains(world_t *w, ref_node_t *n)
{
    n->kind = REF_CONTAINS + (ref_node_kind_t)s_below(w, 3);
    n->place = s_below(w, 2) ? s_json_place(w) : s_array_place(w, false);
    type_t type = s_fields[n->place.field].type == TYPE_ARRAY ? s_fields[n->place.field].element
                                                              : TYPE_NONE;
    n->a = n->kind == REF_CONTAINS ? s_constant(w, type) : s_constants(w, type);
    return true;
}

/* Fill in a kind; false when it does not go with the place that fell to it. */
static bool s_make_leaf(world_t *w, ref_node_t *n)
{
    n->place = s_any_place(w);
    type_t type = s_type_at(&n->place);
    n->op = s_any_op(w);
    n->kind = REF_COMPARE + (ref_node_kind_t)s_below(w, REF_IS_NOT_NULL - REF_NOT);
    switch ((int)n->kind) {
    case REF_COMPARE: case REF_FLIPPED:
        n->a = s_constant(w, type);
        return n->a.kind != REF_ARRAY || (n->op >= REF_EQ && n->kind == REF_COMPARE);
    case REF_RANGE:
        return s_make_range(w, n);
    case REF_IN: case REF_NOT_IN:
        n->a = s_constants(w, type);
        return true;
    case REF_LIKE:
        n->a = (ref_value_t){ .kind = REF_STRING, .s = s_any_pattern(w) };
        return type == TYPE_VARCHAR || type == TYPE_NONE;
    case REF_ARITH:
        return s_make_arith(w, n);
    case REF_LENGTH:
        n->place = s_below(w, 2) ? s_json_place(w) : s_array_place(w, false);
        n->a = s_int((int64_t)s_below(w, 5));
        return true;
    case REF_FIELDS:
        return s_make_fields(w, n);
    case REF_EXISTS:
        n->place = s_json_place(w);
        return true;
    case REF_IS_NULL: case REF_IS_NOT_NULL:
        return s_fields[n->place.field].type != TYPE_ARRAY || n->place.n_path == 0;
    default:
        return s_make_contains(w, n);
    }
}

static const ref_node_t *s_filter(world_t *w, int depth)
{
    ref_node_t *n = ctx_new(&w->ctx, sizeof *n);
    uint64_t pick = depth > 0 ? s_below(w, 8) : 7;
    if (pick >= 5) {
        while (!s_make_leaf(w, n))
            memset(n, 0, sizeof *n);
        return n;
    }
    n->kind = pick < 2 ? REF_AND : pick < 4 ? REF_OR : REF_NOT;
    n->left = s_filter(w, depth - 1);
    n->right = n->kind == REF_NOT ? NULL : s_filter(w, depth - 1);
    return n;
}

/* --- the comparison ----------------------------------------------------------------------- */

/* The first row from `first` on which the plan differs when indexes answer for it; -1: none. */
static int64_t s_differ_answered(world_t *w, const expr_t *plan, const bitset_t *want,
                                 size_t first)
{
    column_t part[N_FIELDS];
    const column_t *columns[N_FIELDS];
    size_t n = want->n_bits - first;
    int64_t differs = -1;
    bitset_t bits;
    for (size_t i = 0; i < N_FIELDS; i++) {
        part[i] = column_slice(&w->column[i], first, n);
        columns[i] = &part[i];
    }
    assert_int_equal(bitset_init(&w->ctx, &bits, n), OK);
    w->n_answered += scalar_data_eval(&w->scalars, &w->ctx, plan, columns, first, &bits);
    for (size_t row = 0; row < n && differs < 0; row++)
        if (bitset_has(&bits, row) != bitset_has(want, first + row))
            differs = (int64_t)(first + row);
    bitset_fini(&bits);
    return differs;
}

/* The first row on which they differ; -1: none.  Sometimes all repeats of the rows are asked,
 * which must all answer alike. */
static int64_t s_differ(world_t *w, const ref_node_t *filter, const char *text, size_t n_rows,
                        ref_bug_t bug)
{
    owned(expr) plan = NULL;
    bitset_t bits;
    if (expr_parse(&w->ctx, view_str(text), w->schema, NULL, 0, &plan) != OK)
        fail_msg("%s\n    is refused: %s", text, w->ctx.text);
    column_t part[N_FIELDS];
    const column_t *columns[N_FIELDS];
    for (size_t i = 0; i < N_FIELDS; i++) {
        part[i] = column_slice(&w->column[i], 0, n_rows);
        columns[i] = expr_needs(plan, i) ? &part[i] : NULL;
    }
    assert_int_equal(bitset_init(&w->ctx, &bits, n_rows), OK);
    assert_int_equal(expr_eval(&w->ctx, plan, columns, n_rows, &bits), OK);
    int64_t differs = -1;
    for (size_t row = 0; row < n_rows && differs < 0; row++) {
        bool want = row < ROWS ? ref_eval(filter, w->schema, w->rows[row], bug) == 1
                               : bitset_has(&bits, row % ROWS);
        if (bitset_has(&bits, row) != want)
            differs = (int64_t)row;
    }
    if (differs < 0 && bug == REF_BUG_NONE)
        differs = s_differ_answered(w, plan, &bits, s_below(w, n_rows) / 64 * 64);
    bitset_fini(&bits);
    return differs;
}

static void s_tell(world_t *w, const char *text, int64_t row, uint64_t seed)
{
    buf_scoped json = {0};
    for (size_t i = 0; i < N_FIELDS; i++) {
        buf_addf(&json, "    %s = ", s_fields[i].name);
        ref_write_json(&w->rows[row % ROWS][i], 0, &json);
        buf_add_str(&json, "\n");
    }
    fail_msg("seed %llu, row %lld of\n    %s\n%s", (unsigned long long)seed, (long long)row, text,
             buf_str(&json));
}

/* Compare n filters over one table; returns how many differed, and for NONE fails at once. */
static size_t s_compare(uint64_t seed, size_t n, ref_bug_t bug)
{
    world_t *w = s_world(seed);
    size_t found = 0;
    for (size_t i = 0; i < n; i++) {
        const ref_node_t *filter = s_filter(w, (int)s_below(w, 5));
        buf_scoped text = {0};
        ref_write(filter, w->schema, rng_u64(&w->rng), &text);
        size_t rows = i % 50 == 0 ? ROWS * REPEATS - s_below(w, 100) : ROWS - s_below(w, 70);
        int64_t row = s_differ(w, filter, buf_str(&text), rows, bug);
        found += row >= 0;
        if (row >= 0 && bug == REF_BUG_NONE)
            s_tell(w, buf_str(&text), row, seed);
    }
    if (bug == REF_BUG_NONE)
        assert_true(w->n_answered > n / 2);
    s_world_end(w);
    return found;
}

static uint64_t s_from_env(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : otherwise;
}

static void filters_give_what_the_reference_gives(void **state)
{
    (void)state;
    uint64_t seed = s_from_env("EXPR_SEED", 1), runs = s_from_env("EXPR_RUNS", FILTERS);
    for (uint64_t i = 0; i < TABLES; i++)
        s_compare(seed + i, runs / TABLES, REF_BUG_NONE);
}

static void a_planted_bug_is_found(void **state)
{
    (void)state;
    for (ref_bug_t bug = REF_BUG_NONE + 1; bug < REF_BUG_COUNT; bug++) {
        size_t found = s_compare(77, 600, bug);
        if (found == 0)
            fail_msg("bug %d is not seen", bug);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(filters_give_what_the_reference_gives),
        cmocka_unit_test(a_planted_bug_is_found),
    };
    return cmocka_run_group_tests_name("expr_random", tests, NULL, NULL);
}
