/* expr_ask - which predicates of a plan an index could answer, and what they ask
 *
 * Those that compare a whole scalar cell with constants, and those that look for constants in an
 * Array.  Arithmetic, elements by their number, paths into JSON, fields with fields, and lists
 * that hold lists are evaluated only.
 */
#include "core/expr/expr_int.h"

static expr_ask_set_t s_set(const set_t *set)
{
    return (expr_ask_set_t){ .ints = set->ints, .doubles = set->doubles, .strings = set->strings,
                             .n_ints = set->n_ints, .n_doubles = set->n_doubles,
                             .n_strings = set->n_strings, .has = { set->has[0], set->has[1] } };
}

static bool s_ask_numbers(const leaf_t *leaf, expr_ask_t *ret)
{
    const span_t *span = &leaf->span;
    ret->kind = EXPR_ASK_SPAN;
    ret->negate = span->negate;
    ret->empty = span->empty;
    ret->low_int = span->lo;
    ret->high_int = span->hi;
    bool narrow = leaf->place.type == TYPE_FLOAT;       /* as expr_span_bits compares */
    ret->low = narrow ? (double)(float)span->dlo : span->dlo;
    ret->high = narrow ? (double)(float)span->dhi : span->dhi;
    return true;
}

static bool s_ask_text(const leaf_t *leaf, expr_ask_t *ret)
{
    bool range = leaf->kind == LEAF_RANGE;
    bool equal = leaf->op == TOK_EQ || leaf->op == TOK_NE;
    ret->kind = EXPR_ASK_TEXT;
    ret->negate = !range && leaf->op == TOK_NE;
    ret->has_low = range || equal || leaf->op == TOK_GT || leaf->op == TOK_GE;
    ret->has_high = range || equal || leaf->op == TOK_LT || leaf->op == TOK_LE;
    ret->low_open = range ? leaf->low_open : leaf->op == TOK_GT;
    ret->high_open = range ? leaf->high_open : leaf->op == TOK_LT;
    ret->low_text = leaf->low.s;
    ret->high_text = range ? leaf->high.s : leaf->low.s;
    return true;
}

static bool s_ask_set(const leaf_t *leaf, expr_ask_kind_t kind, expr_ask_t *ret)
{
    ret->kind = kind;
    ret->set = s_set(&leaf->set);
    return leaf->set.n_lists == 0;
}

/* Of a scalar field that is looked at whole. */
static bool s_ask_scalar(const leaf_t *leaf, expr_ask_t *ret)
{
    bool text = leaf->place.type == TYPE_VARCHAR;
    if (leaf->kind == LEAF_COMPARE || leaf->kind == LEAF_RANGE)
        return leaf->arith == TOK_END && (text ? s_ask_text(leaf, ret) : s_ask_numbers(leaf, ret));
    if (leaf->kind == LEAF_TERM)
        return s_ask_set(leaf, EXPR_ASK_IN, ret);
    ret->kind = EXPR_ASK_LIKE;
    ret->like = &leaf->like;
    return leaf->kind == LEAF_LIKE && text;
}

static bool s_ask(const leaf_t *leaf, expr_ask_t *ret)
{
    const place_t *place = &leaf->place;
    if (leaf->kind == LEAF_CONST || place->n_path > 0)
        return false;
    ret->field = place->field;
    if (leaf->kind == LEAF_NULL) {
        ret->kind = EXPR_ASK_NULL;
        ret->negate = !leaf->truth;
        return true;
    }
    if (place->type == TYPE_ARRAY)
        return leaf->kind == LEAF_CONTAINS &&
               s_ask_set(leaf, leaf->op == TOK_CONTAINS_ALL ? EXPR_ASK_ALL : EXPR_ASK_ANY, ret);
    bool scalar = type_is_number(place->type) || place->type == TYPE_BOOL ||
                  place->type == TYPE_VARCHAR;
    return scalar && s_ask_scalar(leaf, ret);
}

bool expr_next_ask(const expr_t *self, size_t *at, expr_ask_t *ret)
{
    while (*at < self->n_steps) {
        const step_t *step = &self->steps[*at];
        *ret = (expr_ask_t){ .leaf = (*at)++ };
        if (step->kind == STEP_LEAF && s_ask(step->leaf, ret))
            return true;
    }
    return false;
}

static bool s_is_answered(const expr_answers_t *answers, size_t leaf)
{
    for (size_t i = 0; i < answers->n; i++)
        if (answers->at[i].leaf == leaf)
            return true;
    return false;
}

void expr_needs_beside(const expr_t *self, const expr_answers_t *answers, bool *ret)
{
    memset(ret, 0, schema_len(self->schema) * sizeof *ret);
    for (size_t i = 0; i < self->n_steps; i++) {
        const leaf_t *leaf = self->steps[i].leaf;
        if (self->steps[i].kind != STEP_LEAF || leaf->kind == LEAF_CONST ||
            s_is_answered(answers, i))
            continue;
        ret[leaf->place.field] = true;
        if (leaf->kind == LEAF_FIELDS)
            ret[leaf->other.field] = true;
    }
}
