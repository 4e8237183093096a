/* expr_plan_rules - which predicates there are on which types
 *
 * Comparison, ranges, lists, patterns, arithmetic, containment: each function
 * takes what stands left and right and writes one leaf, or refuses.  The rules
 * are those of Milvus 2.4 and 2.5; where a later one takes more, we do too
 * (array lengths in any comparison, array elements against fields).
 */
#include <math.h>
#include <stdio.h>

#include "core/base/limits.h"
#include "core/expr/expr_plan_int.h"

err_t planner_usable(planner_t *p, const item_t *item)
{
    if (item->only_negative)
        return planner_fail(p, "strconv.ParseInt: parsing \"9223372036854775808\": value out of"
                            " range");
    return OK;
}

static const char *s_show(planner_t *p, const item_t *item, char room[EXPR_SHOWN_BYTES])
{
    return expr_show(p->text, item->from, item->to, room);
}

static bool s_is_real(type_t type)
{
    return type == TYPE_FLOAT || type == TYPE_DOUBLE;
}

/* --- names -------------------------------------------------------------------------------- */

/* The field called name, or the dynamic one with the name as first key. */
static err_t s_find_field(planner_t *p, view_t name, const field_t **ret, bool *ret_dynamic)
{
    char text[LIMIT_NAME_BYTES + 1];
    size_t len = name.len < LIMIT_NAME_BYTES ? name.len : LIMIT_NAME_BYTES;
    memcpy(text, name.ptr, len);
    text[len] = '\0';
    const field_t *field = len == name.len ? schema_by_name(p->plan->schema, text) : NULL;
    *ret_dynamic = !field;
    if (!field)
        field = schema_dynamic(p->plan->schema);
    if (!field)
        return planner_fail(p, "field %s not exist", text);
    *ret = field;
    return OK;
}

/* One subscript from *at on, its brackets included; *at moves behind it. */
static err_t s_key(planner_t *p, uint32_t *at, bool array, view_t *ret)
{
    const uint8_t *t = p->text.ptr;
    uint32_t from = ++*at;
    bool quoted = t[from] == '"' || t[from] == '\'';
    token_t token = expr_lex(p->text, from);
    uint32_t to = token.to;
    *at = to + 1;
    view_t raw = view_of(t + from, to - from);
    if (quoted && array)
        return planner_fail(p, "can only access array field with integer index");
    if (quoted)
        return expr_lex_string(p->ctx, raw, ret);
    if (token.tok != TOK_INT || (raw.len > 1 && raw.ptr[0] == '0'))
        return planner_fail(p, "json key must be enclosed in double quotes or single quotes: "
                            "\"%.*s\"", (int)(raw.len < 255 ? raw.len : 255),
                            (const char *)raw.ptr);
    *ret = raw;
    return OK;
}

static err_t s_array_index(planner_t *p, place_t *place)
{
    view_t key = place->path[0];
    if (place->n_path > 1)
        return planner_fail(p, "can only access array field with one integer index");
    uint64_t index = 0;
    for (size_t i = 0; i < key.len; i++)
        index = index < UINT32_MAX ? index * 10 + key.ptr[i] - '0' : index;
    place->index = index < UINT32_MAX ? (uint32_t)index : UINT32_MAX;
    return OK;
}

/* name, name[..][..] */
err_t planner_place(planner_t *p, uint32_t from, uint32_t to, place_t *ret)
{
    char shown[EXPR_SHOWN_BYTES];
    const uint8_t *t = p->text.ptr;
    uint32_t name_to = from;
    while (name_to < to && t[name_to] != '[')
        name_to++;
    view_t name = view_of(t + from, name_to - from), keys[LIMIT_EXPR_PATH_KEYS];
    const field_t *field = NULL;
    bool dynamic = false;
    TRY(s_find_field(p, name, &field, &dynamic));
    if (name_to < to && field->type != TYPE_JSON && field->type != TYPE_ARRAY)
        return planner_fail(p, "%s data type not supported accessed with []",
                            type_name(field->type));
    uint32_t n = 0;
    if (dynamic)
        keys[n++] = name;
    for (uint32_t at = name_to; at < to; n++) {
        if (n == LIMIT_EXPR_PATH_KEYS)
            return planner_fail(p, "a json path has more than %d keys", LIMIT_EXPR_PATH_KEYS);
        TRY(s_key(p, &at, field->type == TYPE_ARRAY, &keys[n]));
        if (keys[n].len == 0)
            return planner_fail(p, "invalid identifier: %s", expr_show(p->text, from, to, shown));
    }
    view_t *path = ctx_try(p->ctx, (n + 1) * sizeof *path);
    if (!path)
        return ctx_fail(p->ctx, ERR_MEMORY, "no memory for a json path");
    memcpy(path, keys, n * sizeof *path);
    *ret = (place_t){
        .field = (uint32_t)schema_index(p->plan->schema, field), .type = field->type,
        .element = field->element, .nullable = field->nullable, .path = path, .n_path = n,
    };
    return field->type == TYPE_ARRAY && n > 0 ? s_array_index(p, ret) : OK;
}

static bool s_whole_array(const item_t *item)
{
    return item->kind == ITEM_FIELD && item->type == TYPE_ARRAY && item->place.n_path == 0;
}

/* --- arithmetic --------------------------------------------------------------------------- */

static const char *s_sign(tok_t op)
{
    static const char *const signs[] = {
        [TOK_ADD] = "+", [TOK_SUB] = "-", [TOK_MUL] = "*", [TOK_DIV] = "/", [TOK_MOD] = "%",
        [TOK_POW] = "**", [TOK_LT] = "<", [TOK_LE] = "<=", [TOK_GT] = ">", [TOK_GE] = ">=",
        [TOK_EQ] = "==", [TOK_NE] = "!=",
    };
    return signs[op];
}

static err_t s_constants_only(planner_t *p, const node_t *node, const item_t *left,
                              const item_t *right)
{
    if (left->template || right->template)
        return planner_fail(p, "placeholder was not supported between two constants with operator:"
                            " %s", s_sign(node->tok));
    return OK;
}

static double s_double(const expr_value_t *v)
{
    return v->kind == EXPR_INT ? (double)v->i : v->d;
}

/* Both sides are constants: what is it? */
static err_t s_fold(planner_t *p, const node_t *node, const item_t *left, const item_t *right,
                    item_t *ret)
{
    tok_t op = node->tok;
    const expr_value_t *a = &left->value, *b = &right->value;
    TRY(s_constants_only(p, node, left, right));
    if (!value_is_number(a) || !value_is_number(b))
        return planner_fail(p, "'%s' can only be used between integer or floating or json field "
                            "expressions", s_sign(op));
    ret->kind = ITEM_VALUE;
    ret->literal = true;
    if (op == TOK_POW) {
        ret->value = (expr_value_t){ .kind = EXPR_DOUBLE, .d = pow(s_double(a), s_double(b)) };
    } else {
        if (op == TOK_MOD && (a->kind != EXPR_INT || b->kind != EXPR_INT))
            return planner_fail(p, "modulo can only apply on integer");
        if (!expr_arith(op, a, b, &ret->value))
            return planner_fail(p, "cannot %s by zero", op == TOK_MOD ? "modulo" : "divide");
    }
    ret->type = ret->value.kind == EXPR_INT ? TYPE_INT64 : TYPE_DOUBLE;
    return OK;
}

/* The type of `a op b`, or NONE: integers with integers, floating with both, JSON with any. */
static type_t s_arith_type(type_t a, type_t b)
{
    bool a_number = type_is_number(a), b_number = type_is_number(b);
    if ((!a_number && a != TYPE_JSON) || (!b_number && b != TYPE_JSON))
        return TYPE_NONE;
    if (s_is_real(a) || s_is_real(b))
        return TYPE_DOUBLE;
    return a_number || b_number ? TYPE_INT64 : TYPE_JSON;
}

static err_t s_check_operand(planner_t *p, const node_t *node, const item_t *field, item_t *value)
{
    type_t type = planner_type(field);
    expr_value_t *v = &value->value;
    if (type != TYPE_JSON && type_is_integer(type) && v->kind == EXPR_DOUBLE)
        return planner_fail(p, "'%s' can only be used between integer or floating or json field "
                            "expressions", s_sign(node->tok));
    if (s_is_real(type) && v->kind == EXPR_INT)
        *v = (expr_value_t){ .kind = EXPR_DOUBLE, .d = (double)v->i };
    if (type == TYPE_FLOAT)
        v->d = (double)(float)v->d;
    if ((node->tok == TOK_DIV || node->tok == TOK_MOD) && s_double(v) == 0)
        return planner_fail(p, "division or modulus by zero");
    return OK;
}

static bool s_for_modulo(type_t type)
{
    return type_is_integer(type) || type == TYPE_JSON;
}

err_t planner_arith(planner_t *p, const node_t *node, const item_t *left, const item_t *right,
                    item_t *ret)
{
    char shown[EXPR_SHOWN_BYTES];
    tok_t op = node->tok;
    bool left_value = left->kind == ITEM_VALUE, right_value = right->kind == ITEM_VALUE;
    if (left_value && right_value)
        return s_fold(p, node, left, right, ret);
    if (op == TOK_POW)
        return planner_fail(p, "power can only apply on constants: %s",
                            expr_show(p->text, node->from, node->to, shown));
    if (s_whole_array(left) || s_whole_array(right))
        return planner_fail(p, "can not comparisons array fields directly");
    type_t a = planner_type(left), b = planner_type(right);
    ret->type = s_arith_type(a, b);
    if (ret->type == TYPE_NONE)
        return planner_fail(p, "'%s' can only be used between integer or floating or json field "
                            "expressions", s_sign(op));
    if (op == TOK_MOD && (!s_for_modulo(a) || !s_for_modulo(b)))
        return planner_fail(p, "modulo can only apply on integer types");
    const item_t *field = left_value ? right : left;
    item_t value = left_value ? *left : *right;
    ret->kind = ITEM_ARITH;
    ret->arith = op;
    ret->place = field->place;
    if (field->kind != ITEM_FIELD || (value.kind != ITEM_VALUE && value.kind != ITEM_FIELD))
        ret->odd = ODD_NESTED;
    else if (value.kind == ITEM_FIELD)
        ret->odd = ODD_FIELDS;
    else if (left_value && op != TOK_ADD && op != TOK_MUL)
        ret->odd = ODD_REVERSED;
    else
        TRY(s_check_operand(p, node, field, &value));
    ret->value = value.value;
    return OK;
}

/* --- comparison --------------------------------------------------------------------------- */

static bool s_comparable(type_t a, type_t b)
{
    if (a == TYPE_JSON)
        return true;
    if (a == TYPE_BOOL || a == TYPE_VARCHAR)
        return b == a || b == TYPE_JSON;
    return type_is_number(a) && (type_is_number(b) || b == TYPE_JSON);
}

static const char *s_type_text(const item_t *item, char room[64])
{
    if (item->type != TYPE_ARRAY)
        return type_name(item->type);
    snprintf(room, 64, "Array[%s]", type_name(planner_type(item)));
    return room;
}

/* Make the constant one of the type, the way Milvus casts; float only widens. */
static bool s_cast(type_t type, expr_value_t *v)
{
    if (type == TYPE_JSON)
        return true;
    if (s_is_real(type) && v->kind == EXPR_INT)
        *v = (expr_value_t){ .kind = EXPR_DOUBLE, .d = (double)v->i };
    if (type == TYPE_FLOAT && v->kind == EXPR_DOUBLE)
        v->d = (double)(float)v->d;             /* what a cell could hold */
    return type == TYPE_BOOL ? v->kind == EXPR_BOOL : type == TYPE_VARCHAR ? v->kind == EXPR_STRING
         : type == TYPE_ARRAY ? v->kind == EXPR_ARRAY
         : type_is_integer(type) ? v->kind == EXPR_INT
         : s_is_real(type) ? v->kind == EXPR_DOUBLE : false;
}

static tok_t s_flip(tok_t op)
{
    return op == TOK_LT ? TOK_GT : op == TOK_LE ? TOK_GE : op == TOK_GT ? TOK_LT
         : op == TOK_GE ? TOK_LE : op;
}

/* The integers x with `x op c`. */
static span_t s_int_span(tok_t op, int64_t c)
{
    span_t s = { .lo = INT64_MIN, .hi = INT64_MAX, .negate = op == TOK_NE };
    if (op == TOK_EQ || op == TOK_NE)
        s.lo = s.hi = c;
    else if (op == TOK_LE)
        s.hi = c;
    else if (op == TOK_GE)
        s.lo = c;
    else if (op == TOK_LT && c > INT64_MIN)
        s.hi = c - 1;
    else if (op == TOK_GT && c < INT64_MAX)
        s.lo = c + 1;
    else
        s.empty = true;
    return s;
}

/* The next number of a type towards to. */
static double s_next(type_t type, double from, double to)
{
    return type == TYPE_FLOAT ? (double)nextafterf((float)from, (float)to) : nextafter(from, to);
}

/* The same for Float and Double; infinities are numbers like others. */
static span_t s_real_span(type_t type, tok_t op, double c)
{
    span_t s = { .dlo = -INFINITY, .dhi = INFINITY, .negate = op == TOK_NE };
    if (op == TOK_EQ || op == TOK_NE)
        s.dlo = s.dhi = c;
    else if (op == TOK_LE)
        s.dhi = c;
    else if (op == TOK_GE)
        s.dlo = c;
    else if (op == TOK_LT && c > -INFINITY)
        s.dhi = s_next(type, c, -INFINITY);
    else if (op == TOK_GT && c < INFINITY)
        s.dlo = s_next(type, c, INFINITY);
    else
        s.empty = true;
    return s;
}

static span_t s_span(type_t type, tok_t op, const expr_value_t *c)
{
    if (s_is_real(type))
        return s_real_span(type, op, c->d);
    return s_int_span(op, c->kind == EXPR_BOOL ? c->b : c->i);
}

static span_t s_both(type_t type, span_t a, span_t b)
{
    a.empty |= b.empty;
    if (s_is_real(type)) {
        a.dlo = a.dlo > b.dlo ? a.dlo : b.dlo;
        a.dhi = a.dhi < b.dhi ? a.dhi : b.dhi;
        a.empty |= a.dlo > a.dhi;
    } else {
        a.lo = a.lo > b.lo ? a.lo : b.lo;
        a.hi = a.hi < b.hi ? a.hi : b.hi;
        a.empty |= a.lo > a.hi;
    }
    return a;
}

static bool s_has_span(type_t type)
{
    return type_is_number(type) || type == TYPE_BOOL;
}

static err_t s_odd(planner_t *p, odd_t odd)
{
    return planner_fail(p, "%s", odd == ODD_FIELDS
                        ? "not supported to do arithmetic operations between multiple fields"
                        : odd == ODD_REVERSED ? "module field is not yet supported"
                        : "complicated arithmetic operations are not supported");
}

static err_t s_compare_value(planner_t *p, const node_t *node, tok_t op, const item_t *side,
                             const item_t *value)
{
    char shown[EXPR_SHOWN_BYTES];
    if (side->kind == ITEM_TRUTH)
        return planner_fail(p, "not supported to combine multiple fields");
    const place_t *place = &side->place;
    bool arith = side->kind == ITEM_ARITH, json = place->type == TYPE_JSON;
    type_t type = arith && side->arith == TOK_LENGTH ? TYPE_INT64
                : place->type == TYPE_ARRAY && place->n_path > 0 ? place->element : place->type;
    leaf_t leaf = { .kind = LEAF_COMPARE, .op = op, .arith = TOK_END, .place = *place,
                    .low = value->value };
    bool good = arith && json && side->arith != TOK_LENGTH ? value_is_number(&leaf.low)
                                                           : s_cast(type, &leaf.low);
    if (!good)
        return planner_fail(p, "cannot cast value to %s, value: %s",
                            type_name(arith ? side->type : type), value_show(&leaf.low, shown));
    if (arith && side->odd != ODD_NO)
        return s_odd(p, side->odd);
    if (arith) {
        leaf.arith = side->arith;
        leaf.operand = side->value;
    }
    if (s_has_span(type))
        leaf.span = s_span(type, op, &leaf.low);
    if (place->type == TYPE_ARRAY && place->n_path == 0 && !arith && op != TOK_EQ && op != TOK_NE)
        return planner_fail(p, "can not comparisons array fields directly");
    return planner_leaf(p, node, &leaf);
}

static err_t s_compare_fields(planner_t *p, const node_t *node, const item_t *left,
                              const item_t *right)
{
    if (left->kind != ITEM_FIELD || right->kind != ITEM_FIELD)
        return planner_fail(p, "only comparison between two fields is supported");
    if (left->type == TYPE_JSON || right->type == TYPE_JSON)
        return planner_fail(p, "two column comparison with JSON type is not supported");
    if (s_whole_array(left) || s_whole_array(right))
        return planner_fail(p, "can not comparisons array fields directly");
    leaf_t leaf = { .kind = LEAF_FIELDS, .op = node->tok, .arith = TOK_END, .place = left->place,
                    .other = right->place };
    return planner_leaf(p, node, &leaf);
}

/* Two constants; what comes out is a constant again. */
static err_t s_compare_values(planner_t *p, const node_t *node, const item_t *left,
                              const item_t *right)
{
    char shown[EXPR_SHOWN_BYTES];
    int order = 0;
    bool order_only = node->tok != TOK_EQ && node->tok != TOK_NE;
    TRY(s_constants_only(p, node, left, right));
    if (!value_cmp(&left->value, &right->value, &order) ||
        (order_only && left->value.kind == EXPR_BOOL))
        return planner_fail(p, "comparison operations cannot be applied to two incompatible "
                            "operands: %s", expr_show(p->text, node->from, node->to, shown));
    return planner_truth(p, node, expr_holds(node->tok, order));
}

err_t planner_compare(planner_t *p, const node_t *node, const item_t *left, const item_t *right)
{
    char a[64], b[64];
    bool left_value = left->kind == ITEM_VALUE, right_value = right->kind == ITEM_VALUE;
    if (left_value && right_value)
        return s_compare_values(p, node, left, right);
    if (node->tok != TOK_EQ && node->tok != TOK_NE && (s_whole_array(left) || s_whole_array(right)))
        return planner_fail(p, "can not comparisons array fields directly");
    if (!left->template && !right->template &&
        !s_comparable(planner_type(left), planner_type(right)))
        return planner_fail(p, "comparisons between %s and %s are not supported",
                            s_type_text(left, a), s_type_text(right, b));
    if (left_value)
        return s_compare_value(p, node, s_flip(node->tok), right, left);
    if (right_value)
        return s_compare_value(p, node, node->tok, left, right);
    return s_compare_fields(p, node, left, right);
}

/* --- ranges ------------------------------------------------------------------------------- */

static err_t s_bound(planner_t *p, type_t type, const item_t *item, bool low, expr_value_t *ret)
{
    char shown[EXPR_SHOWN_BYTES];
    if (item->kind != ITEM_VALUE)
        return planner_fail(p, "%s cannot be a non-const expression: %s",
                            low ? "lowerbound" : "upperbound", s_show(p, item, shown));
    if (type == TYPE_BOOL)
        return planner_fail(p, "invalid range operations on boolean expr");
    *ret = item->value;
    bool scalar = value_is_number(ret) || ret->kind == EXPR_STRING;
    if (!scalar || !s_cast(type, ret))
        return planner_fail(p, "invalid range operations");
    return OK;
}

/* `low < field < high`, or the other way round. */
err_t planner_range(planner_t *p, const node_t *node, const item_t *left, const item_t *right)
{
    bool up = node->tok == TOK_LT || node->tok == TOK_LE;
    const item_t *low = up ? left : right, *high = up ? right : left;
    tok_t low_op = up ? node->tok : node->tok2, high_op = up ? node->tok2 : node->tok;
    leaf_t leaf = { .kind = LEAF_RANGE, .arith = TOK_END };
    TRY(planner_place(p, node->field.from, node->field.to, &leaf.place));
    if (leaf.place.type == TYPE_ARRAY && leaf.place.n_path == 0)
        return planner_fail(p, "can not comparisons array fields directly");
    type_t type = leaf.place.type == TYPE_ARRAY ? leaf.place.element : leaf.place.type;
    TRY(s_bound(p, type, low, true, &leaf.low));
    TRY(s_bound(p, type, high, false, &leaf.high));
    leaf.low_open = low_op == TOK_LT || low_op == TOK_GT;
    leaf.high_open = high_op == TOK_LT || high_op == TOK_GT;
    int order = 0;
    if (!value_cmp(&leaf.low, &leaf.high, &order))
        return planner_fail(p, "invalid range operations");
    if (order > 0 || (order == 0 && (leaf.low_open || leaf.high_open)))
        return planner_fail(p, "invalid range: lowerbound is greater than upperbound");
    if (s_has_span(type))
        leaf.span = s_both(type, s_span(type, leaf.low_open ? TOK_GT : TOK_GE, &leaf.low),
                           s_span(type, leaf.high_open ? TOK_LT : TOK_LE, &leaf.high));
    return planner_leaf(p, node, &leaf);
}

/* --- lists -------------------------------------------------------------------------------- */

static err_t s_term_list(planner_t *p, const item_t *right)
{
    char shown[EXPR_SHOWN_BYTES];
    if (right->kind != ITEM_VALUE)
        return planner_fail(p, "value '%s' in list cannot be a non-const expression",
                            s_show(p, right, shown));
    if (right->value.kind == EXPR_ARRAY)
        return OK;
    if (right->template)
        return planner_fail(p, "the value of term expression template variable %s is not array",
                            s_show(p, right, shown));
    return planner_fail(p, "the right-hand side of 'in' must be a list, but got: %s",
                        s_show(p, right, shown));
}

err_t planner_term(planner_t *p, const node_t *node, const item_t *left, const item_t *right)
{
    char shown[EXPR_SHOWN_BYTES];
    if (left->kind == ITEM_VALUE)
        return planner_fail(p, "'term' can only be used on non-const expression, but got: %s",
                            s_show(p, left, shown));
    if (left->kind != ITEM_FIELD)
        return planner_fail(p, "'term' can only be used on single field, but got: %s",
                            s_show(p, left, shown));
    TRY(s_term_list(p, right));
    leaf_t leaf = { .kind = LEAF_TERM, .arith = TOK_END, .place = left->place };
    type_t type = left->type == TYPE_ARRAY && left->place.n_path ? left->place.element : left->type;
    size_t n = right->value.list.n;
    expr_value_t *values = ctx_try(p->ctx, n * sizeof *values);
    if (!values)
        return ctx_fail(p->ctx, ERR_MEMORY, "no memory for a list of %zu constants", n);
    for (size_t i = 0; i < n; i++) {
        values[i] = right->value.list.at[i];
        if (!s_cast(type, &values[i]))
            return planner_fail(p, "value '%s' in list cannot be casted to %s",
                                value_show(&values[i], shown), type_name(type));
    }
    if (type_is_vector(type))
        return planner_fail(p, "'term' can only be used on single field, but got: %s",
                            s_show(p, left, shown));
    TRY(set_build(p->ctx, values, n, &leaf.set));
    return planner_leaf(p, node, &leaf);
}

/* --- patterns ----------------------------------------------------------------------------- */

err_t planner_like(planner_t *p, const node_t *node, const item_t *left, const item_t *right)
{
    char shown[EXPR_SHOWN_BYTES];
    if (left->kind != ITEM_FIELD)
        return planner_fail(p, "like operation on complicated expr is unsupported");
    if (s_whole_array(left))
        return planner_fail(p, "can not comparisons array fields directly");
    if (planner_type(left) != TYPE_VARCHAR && left->type != TYPE_JSON)
        return planner_fail(p, "like operation on non-string or no-json field is unsupported");
    if (right->value.kind != EXPR_STRING)
        return planner_fail(p, "the pattern of like must be a string, but got: %s",
                            s_show(p, right, shown));
    leaf_t leaf = { .kind = LEAF_LIKE, .arith = TOK_END, .place = left->place };
    TRY(like_compile(p->ctx, right->value.s, &leaf.like));
    return planner_leaf(p, node, &leaf);
}

/* --- containment -------------------------------------------------------------------------- */

/* Constants sought in an Array field must be comparable with its elements. */
static err_t s_check_elements(planner_t *p, const char *what, type_t element, bool one,
                              expr_value_t *values, size_t n)
{
    char shown[EXPR_SHOWN_BYTES];
    for (size_t i = 0; i < n; i++) {
        expr_value_t cast = values[i];
        bool good = s_cast(element, &cast);
        if (!good && one)
            return planner_fail(p, "cannot cast value to %s, value: %s", type_name(element),
                                value_show(&values[i], shown));
        if (!good && !(value_is_number(&values[i]) && type_is_number(element)))
            return planner_fail(p, "%s operation can't compare between array element type: %s and"
                                " %s", what, type_name(element),
                                values[i].kind == EXPR_BOOL ? "Bool" : values[i].kind == EXPR_STRING
                                ? "VarChar" : values[i].kind == EXPR_ARRAY ? "Array"
                                : values[i].kind == EXPR_INT ? "Int64" : "Double");
        values[i] = cast;
    }
    return OK;
}

err_t planner_contains(planner_t *p, const node_t *node, const item_t *left, const item_t *right)
{
    char shown[EXPR_SHOWN_BYTES];
    bool one = node->tok == TOK_CONTAINS;
    const char *what = one ? "contains" : node->tok == TOK_CONTAINS_ALL ? "contains_all"
                     : "contains_any";
    if (left->kind != ITEM_FIELD || (left->type != TYPE_JSON && !s_whole_array(left)))
        return planner_fail(p, "%s operation are only supported on json or array fields now, "
                            "got: %s", what, s_show(p, left, shown));
    if (right->kind != ITEM_VALUE)
        return planner_fail(p, "%s operation are only supported explicitly specified element, "
                            "got: %s", what, s_show(p, right, shown));
    if (!one && right->value.kind != EXPR_ARRAY)
        return planner_fail(p, "%s operation element must be an array", what);
    const expr_value_t *from = one ? &right->value : right->value.list.at;
    size_t n = one ? 1 : right->value.list.n;
    expr_value_t *values = ctx_try(p->ctx, n * sizeof *values);
    if (!values)
        return ctx_fail(p->ctx, ERR_MEMORY, "no memory for a list of %zu constants", n);
    if (n)
        memcpy(values, from, n * sizeof *values);
    if (left->type == TYPE_ARRAY)
        TRY(s_check_elements(p, what, left->place.element, one, values, n));
    leaf_t leaf = { .kind = LEAF_CONTAINS, .op = node->tok, .arith = TOK_END,
                    .place = left->place };
    TRY(set_build(p->ctx, values, n, &leaf.set));
    return planner_leaf(p, node, &leaf);
}
