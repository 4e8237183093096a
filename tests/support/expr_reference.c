/* expr_reference - see expr_reference.h */
#include "tests/support/expr_reference.h"

#include <math.h>
#include <stdio.h>

enum { NO, YES, NEITHER = -1 };

/* --- values ------------------------------------------------------------------------------- */

static bool s_number(const ref_value_t *v)
{
    return v->kind == REF_INT || v->kind == REF_DOUBLE;
}

/* An 80-bit number holds every int64 and every double. */
static long double s_real(const ref_value_t *v)
{
    return v->kind == REF_INT ? (long double)v->i : (long double)v->d;
}

/* -1, 0, 1, or 2 for values that do not compare. */
static int s_order(const ref_value_t *a, const ref_value_t *b)
{
    if (s_number(a) && s_number(b))
        return (s_real(a) > s_real(b)) - (s_real(a) < s_real(b));
    if (a->kind != b->kind)
        return 2;
    if (a->kind == REF_STRING) {
        int order = strcmp(a->s, b->s);
        return (order > 0) - (order < 0);
    }
    return a->kind == REF_BOOL ? a->b - b->b : 2;
}

static bool s_equal(const ref_value_t *a, const ref_value_t *b)
{
    if (a->kind != REF_ARRAY || b->kind != REF_ARRAY)
        return s_order(a, b) == 0;
    for (size_t i = 0; a->n == b->n && i < a->n; i++)
        if (!s_equal(&a->items[i], &b->items[i]))
            return false;
    return a->n == b->n;
}

static bool s_holds(ref_op_t op, int order)
{
    switch (op) {
    case REF_LT:
        return order < 0;
    case REF_LE:
        return order <= 0;
    case REF_GT:
        return order > 0;
    case REF_GE:
        return order >= 0;
    case REF_EQ:
        return order == 0;
    case REF_NE:
        break;
    }
    return order != 0;
}

/* --- places ------------------------------------------------------------------------------- */

typedef struct found {
    bool null;                  /* the cell is */
    bool json, array;           /* what the field is */
    bool whole;                 /* no path */
    type_t type;                /* of the field, or of its elements behind an index */
    const ref_value_t *value;   /* NULL: the path leads nowhere */
} found_t;

static const ref_value_t *s_step(const ref_value_t *v, const ref_value_t *by)
{
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)by->i);
    const char *key = by->kind == REF_INT ? text : by->s;
    if (v->kind == REF_ARRAY) {
        for (size_t i = 0; i < v->n; i++) {
            char index[32];
            snprintf(index, sizeof index, "%zu", i);
            if (strcmp(index, key) == 0)
                return &v->items[i];
        }
    }
    for (size_t i = 0; v->kind == REF_OBJECT && i < v->n; i++)
        if (strcmp(v->keys[i], key) == 0)
            return &v->items[i];
    return NULL;
}

static found_t s_find(const ref_place_t *place, const schema_t *schema, const ref_value_t *row)
{
    const field_t *field = schema_at(schema, place->field);
    found_t f = { .value = &row[place->field], .json = field->type == TYPE_JSON,
                  .array = field->type == TYPE_ARRAY, .type = field->type,
                  .whole = place->n_path == 0 };
    f.null = f.value->kind == REF_NULL;
    if (f.array && place->n_path > 0)
        f.type = field->element;
    for (size_t i = 0; !f.null && f.value && i < place->n_path; i++)
        f.value = s_step(f.value, &place->path[i]);
    return f;
}

/* A constant as a cell of the type would hold it. */
static ref_value_t s_cast(const found_t *f, const ref_value_t *c)
{
    ref_value_t v = *c;
    if (f->type == TYPE_FLOAT && s_number(c))
        v = (ref_value_t){ .kind = REF_DOUBLE, .d = (double)(float)s_real(c) };
    return v;
}

static int s_test(const found_t *f, ref_op_t op, const ref_value_t *constant, ref_bug_t bug)
{
    if (!f->value)                              /* nothing is unequal in JSON only */
        return f->json && op == (bug == REF_BUG_MISSING_IS_EQUAL ? REF_EQ : REF_NE);
    if (constant->kind == REF_ARRAY) {
        bool same = f->value->kind == REF_ARRAY && s_equal(f->value, constant);
        return op == REF_EQ ? same : op == REF_NE && !same;
    }
    ref_value_t c = s_cast(f, constant);
    int order = s_order(f->value, &c);
    return order == 2 ? op == REF_NE && f->json : s_holds(op, order);
}

/* --- the kinds ---------------------------------------------------------------------------- */

static ref_op_t s_flip(ref_op_t op)
{
    return op == REF_LT ? REF_GT : op == REF_LE ? REF_GE : op == REF_GT ? REF_LT
         : op == REF_GE ? REF_LE : op;
}

static int s_range(const ref_node_t *node, const found_t *f, ref_bug_t bug)
{
    ref_op_t low = s_flip(node->op), high = node->op2;
    if (bug == REF_BUG_LOOSE_RANGE) {
        low = low == REF_GT ? REF_GE : low == REF_LT ? REF_LE : low;
        high = high == REF_LT ? REF_LE : high == REF_GT ? REF_GE : high;
    }
    return f->value && s_order(f->value, &node->a) != 2 && s_order(f->value, &node->b) != 2 &&
           s_test(f, low, &node->a, REF_BUG_NONE) && s_test(f, high, &node->b, REF_BUG_NONE);
}

static bool s_in(const found_t *f, const ref_value_t *list)
{
    for (size_t i = 0; f->value && i < list->n; i++) {
        ref_value_t c = s_cast(f, &list->items[i]);
        if (s_equal(f->value, &c))
            return true;
    }
    return false;
}

static size_t s_char_len(const char *s)
{
    size_t len = 1;
    while ((s[len] & 0xc0) == 0x80)
        len++;
    return len;
}

static bool s_like(const char *p, const char *s, ref_bug_t bug)
{
    if (*p == '\0')
        return *s == '\0';
    if (*p == '%') {
        for (; *s; s += s_char_len(s))
            if (s_like(p + 1, s, bug))
                return true;
        return s_like(p + 1, s, bug);
    }
    if (*p == '_' && bug != REF_BUG_NO_UNDERSCORE)
        return *s && s_like(p + 1, s + s_char_len(s), bug);
    if (*p == '\\' && p[1])
        p++;
    return *p == *s && s_like(p + 1, s + 1, bug);
}

static int64_t s_int_arith(char op, int64_t a, int64_t b)
{
    return op == '+' ? (int64_t)((uint64_t)a + (uint64_t)b)
         : op == '-' ? (int64_t)((uint64_t)a - (uint64_t)b)
         : op == '*' ? (int64_t)((uint64_t)a * (uint64_t)b)
         : op == '/' ? (b == -1 ? (int64_t)-(uint64_t)a : a / b) : b == -1 ? 0 : a % b;
}

static bool s_arith(const found_t *f, char op, const ref_value_t *b, ref_value_t *ret)
{
    const ref_value_t *a = f->value;
    if (!a || !s_number(a))
        return false;
    if (f->type == TYPE_FLOAT) {
        float x = (float)a->d, y = (float)s_real(b);
        float z = op == '+' ? x + y : op == '-' ? x - y : op == '*' ? x * y : x / y;
        *ret = (ref_value_t){ .kind = REF_DOUBLE, .d = (double)z };
        return true;
    }
    bool whole = a->kind == REF_INT && b->kind == REF_INT;
    if (whole || op == '%') {
        int64_t x = (int64_t)s_real(a), y = (int64_t)s_real(b);
        if (y == 0 && op == '%')
            return false;
        *ret = (ref_value_t){ .kind = REF_INT, .i = s_int_arith(op, x, y) };
        return true;
    }
    double x = (double)s_real(a), y = (double)s_real(b);
    *ret = (ref_value_t){ .kind = REF_DOUBLE, .d = op == '+' ? x + y : op == '-' ? x - y
                                                : op == '*' ? x * y : x / y };
    return true;
}

static int s_arith_test(const ref_node_t *node, const found_t *f)
{
    ref_value_t done;
    if (!s_arith(f, node->arith, &node->a, &done))
        return f->json && node->op == REF_NE;
    ref_value_t c = s_cast(f, &node->b);
    return s_holds(node->op, s_order(&done, &c));
}

static bool s_has(const found_t *f, const ref_value_t *want)
{
    ref_value_t c = *want;
    const ref_value_t *list = f->value;
    for (size_t i = 0; i < list->n; i++) {
        found_t element = { .type = f->array ? TYPE_FLOAT : TYPE_JSON };
        if (f->array && list->items[i].kind == REF_DOUBLE)
            c = s_cast(&element, want);         /* the only real elements here are Float */
        if (s_equal(&list->items[i], &c))
            return true;
    }
    return false;
}

static int s_contains(const ref_node_t *node, const found_t *f, ref_bug_t bug)
{
    bool all = node->kind == REF_CONTAINS_ALL && bug != REF_BUG_ANY_FOR_ALL;
    if (node->kind != REF_CONTAINS && node->a.n == 0)
        return node->kind == REF_CONTAINS_ALL;
    if (!f->value || f->value->kind != REF_ARRAY)
        return NO;
    if (node->kind == REF_CONTAINS)
        return s_has(f, &node->a);
    for (size_t i = 0; i < node->a.n; i++)
        if (s_has(f, &node->a.items[i]) != all)
            return !all;
    return all;
}

static int s_fields(const ref_node_t *node, const found_t *l, const found_t *r)
{
    int order = l->value && r->value ? s_order(l->value, r->value) : 2;
    return order != 2 && s_holds(node->op, order);
}

static int s_leaf(const ref_node_t *node, const schema_t *schema, const ref_value_t *row,
                  ref_bug_t bug)
{
    found_t f = s_find(&node->place, schema, row), other;
    bool nothing = f.null || !f.value || f.value->kind == REF_NULL;
    if (node->kind == REF_IS_NULL || node->kind == REF_IS_NOT_NULL)
        return nothing == (node->kind == REF_IS_NULL);
    if (f.null)
        return NEITHER;
    ref_value_t length = { .kind = REF_INT };
    switch ((int)node->kind) {
    case REF_COMPARE:
        return s_test(&f, node->op, &node->a, bug);
    case REF_FLIPPED:
        return s_test(&f, bug == REF_BUG_FLIP_KEPT ? node->op : s_flip(node->op), &node->a, bug);
    case REF_RANGE:
        return s_range(node, &f, bug);
    case REF_IN:
        return s_in(&f, &node->a);
    case REF_NOT_IN:
        return !s_in(&f, &node->a);
    case REF_LIKE:
        return f.value && f.value->kind == REF_STRING && s_like(node->a.s, f.value->s, bug);
    case REF_ARITH:
        return s_arith_test(node, &f);
    case REF_LENGTH:
        length.i = f.value && f.value->kind == REF_ARRAY ? (int64_t)f.value->n : 0;
        return s_holds(node->op, s_order(&length, &node->a));
    case REF_FIELDS:
        other = s_find(&node->other, schema, row);
        return other.null ? NEITHER : s_fields(node, &f, &other);
    case REF_EXISTS:
        return f.value != NULL;
    default:
        return s_contains(node, &f, bug);
    }
}

int ref_eval(const ref_node_t *node, const schema_t *schema, const ref_value_t *row, ref_bug_t bug)
{
    if (node->kind > REF_NOT) {
        int leaf = s_leaf(node, schema, row, bug);
        return leaf == NEITHER && bug == REF_BUG_NULL_IS_FALSE ? NO : leaf;
    }
    int left = ref_eval(node->left, schema, row, bug);
    if (node->kind == REF_NOT)
        return left == NEITHER ? NEITHER : !left;
    int right = ref_eval(node->right, schema, row, bug);
    int decides = node->kind == REF_OR ? YES : NO;
    if (left == decides || right == decides)
        return decides;
    return left == NEITHER || right == NEITHER ? NEITHER : !decides;
}

/* --- as text ------------------------------------------------------------------------------ */

static void s_write_string(const char *s, char quote, bool json, buf_t *into)
{
    buf_addf(into, "%c", quote);
    for (; *s; s++) {
        if (*s == quote || *s == '\\')
            buf_addf(into, "\\%c", *s);
        else if (json && *s == '\n')
            buf_add_str(into, "\\n");
        else if (json && *s == 'k')
            buf_add_str(into, "\\u006b");       /* keys and texts need reading, not comparing */
        else
            buf_addf(into, "%c", *s);
    }
    buf_addf(into, "%c", quote);
}

static void s_write_double(double d, buf_t *into)
{
    char text[64];
    snprintf(text, sizeof text, "%.17g", d);
    buf_add_str(into, text);
    if (!strpbrk(text, ".e"))
        buf_add_str(into, ".0");
}

static void s_write_value(const ref_value_t *v, uint64_t spelling, bool json, buf_t *into)
{
    static const char *const words[2][3] = { { "false", "False", "FALSE" },
                                             { "true", "True", "TRUE" } };
    const char *space = spelling >> 7 & 1 ? " " : "";
    switch (v->kind) {
    case REF_NULL:
        buf_add_str(into, "null");
        break;
    case REF_BOOL:
        buf_add_str(into, words[v->b][json ? 0 : spelling % 3]);
        break;
    case REF_INT:
        buf_addf(into, "%lld", (long long)v->i);
        break;
    case REF_DOUBLE:
        s_write_double(v->d, into);
        break;
    case REF_STRING:
        s_write_string(v->s, json || spelling & 1 ? '"' : '\'', json && spelling & 2, into);
        break;
    case REF_ARRAY:
    case REF_OBJECT:
        buf_add_str(into, v->kind == REF_ARRAY ? "[" : "{");
        for (size_t i = 0; i < v->n; i++) {
            buf_addf(into, "%s%s", i ? "," : "", space);
            if (v->kind == REF_OBJECT) {
                s_write_string(v->keys[i], '"', spelling & 2, into);
                buf_addf(into, "%s:%s", space, space);
            }
            s_write_value(&v->items[i], spelling >> 1 | spelling << 63, json, into);
        }
        buf_addf(into, "%s%s", space, v->kind == REF_ARRAY ? "]" : "}");
        break;
    }
}

void ref_write_json(const ref_value_t *value, uint64_t spelling, buf_t *into)
{
    s_write_value(value, spelling, true, into);
}

static void s_write_place(const ref_place_t *place, const schema_t *schema, buf_t *into)
{
    buf_add_str(into, place->name ? place->name : schema_at(schema, place->field)->name);
    for (size_t i = place->name ? 1 : 0; i < place->n_path; i++) {
        if (place->path[i].kind == REF_INT)
            buf_addf(into, "[%lld]", (long long)place->path[i].i);
        else
            buf_addf(into, "[\"%s\"]", place->path[i].s);
    }
}

static const char *s_sign(ref_op_t op)
{
    static const char *const signs[] = { "<", "<=", ">", ">=", "==", "!=" };
    return signs[op];
}

/* Tight to loose: 0 leaves, 1 not, 2 and, 3 or.  A child looser than its parent needs
 * brackets; so does a right child of the same level, or it would be read the other way;
 * and `not` takes only what binds tighter than a comparison. */
static int s_level(const ref_node_t *node)
{
    return node->kind == REF_NOT ? 1 : node->kind == REF_AND ? 2 : node->kind == REF_OR ? 3 : 0;
}

static void s_write_child(const ref_node_t *child, const schema_t *schema, uint64_t spelling,
                          int most, buf_t *into)
{
    bool bracket = s_level(child) > most || spelling % 5 == 0;
    if (bracket)
        buf_add_str(into, "(");
    ref_write(child, schema, spelling / 5, into);
    if (bracket)
        buf_add_str(into, ")");
}

static void s_write_logic(const ref_node_t *node, const schema_t *schema, uint64_t spelling,
                          buf_t *into)
{
    static const char *const words[3][3] = {
        { " and ", "&&", " AND " }, { " or ", " || ", " OR " }, { "not ", "!", "NOT " },
    };
    const char *word = words[node->kind][spelling % 3];
    int level = s_level(node);
    if (node->kind == REF_NOT) {
        bool tight = node->left->kind == REF_NOT || node->left->kind == REF_LIKE ||
                     node->left->kind >= REF_CONTAINS;
        buf_add_str(into, word);
        s_write_child(node->left, schema, spelling / 3, tight ? 1 : -1, into);
        return;
    }
    s_write_child(node->left, schema, spelling / 3, level, into);
    buf_add_str(into, word);
    s_write_child(node->right, schema, spelling / 7, level - 1, into);
}

static const char *s_contains_word(const ref_node_t *node, bool array, bool upper)
{
    static const char *const words[3][2][2] = {
        { { "json_contains", "JSON_CONTAINS" }, { "array_contains", "ARRAY_CONTAINS" } },
        { { "json_contains_all", "JSON_CONTAINS_ALL" },
          { "array_contains_all", "ARRAY_CONTAINS_ALL" } },
        { { "json_contains_any", "JSON_CONTAINS_ANY" },
          { "array_contains_any", "ARRAY_CONTAINS_ANY" } },
    };
    return words[node->kind - REF_CONTAINS][array][upper];
}

static void s_write_leaf(const ref_node_t *node, const schema_t *schema, uint64_t spelling,
                         const char *place, const char *a, const char *b, buf_t *into)
{
    const char *space = spelling & 4 ? " " : "";
    buf_scoped other = {0};
    s_write_place(&node->other, schema, &other);
    switch ((int)node->kind) {
    case REF_COMPARE:
        buf_addf(into, "%s%s%s%s%s", place, space, s_sign(node->op), space, a);
        break;
    case REF_FLIPPED:
        buf_addf(into, "%s%s%s%s%s", a, space, s_sign(node->op), space, place);
        break;
    case REF_RANGE:
        buf_addf(into, "%s%s%s %s%s%s%s", a, s_sign(node->op), space, place, space,
                 s_sign(node->op2), b);
        break;
    case REF_IN: case REF_NOT_IN:
        buf_addf(into, "%s %s%s", place, node->kind == REF_IN ? "in" : "not in", a);
        break;
    case REF_LIKE:
        buf_addf(into, "%s like%s%s", place, space, a);
        break;
    case REF_ARITH:
        if (spelling & 8 && (node->arith == '+' || node->arith == '*'))
            buf_addf(into, "%s%s%c %s %s %s", a, space, node->arith, place, s_sign(node->op), b);
        else
            buf_addf(into, "%s%s%c %s %s %s", place, space, node->arith, a, s_sign(node->op), b);
        break;
    case REF_LENGTH:
        buf_addf(into, "array_length(%s)%s%s%s%s", place, space, s_sign(node->op), space, a);
        break;
    case REF_FIELDS:
        buf_addf(into, "%s%s%s %s", place, space, s_sign(node->op), buf_str(&other));
        break;
    case REF_EXISTS:
        buf_addf(into, "exists %s", place);
        break;
    case REF_IS_NULL: case REF_IS_NOT_NULL:
        buf_addf(into, "%s %s", place, node->kind == REF_IS_NULL ? "is null" : "IS NOT NULL");
        break;
    default:
        buf_addf(into, "%s(%s,%s%s)",
                 s_contains_word(node, spelling & 8, spelling & 16), place, space, a);
    }
}

void ref_write(const ref_node_t *node, const schema_t *schema, uint64_t spelling, buf_t *into)
{
    if (node->kind <= REF_NOT) {
        s_write_logic(node, schema, spelling, into);
        return;
    }
    buf_scoped place = {0}, a = {0}, b = {0};
    s_write_place(&node->place, schema, &place);
    s_write_value(&node->a, spelling, false, &a);
    s_write_value(&node->b, spelling >> 3, false, &b);
    s_write_leaf(node, schema, spelling, buf_str(&place), buf_str(&a), buf_str(&b), into);
}
