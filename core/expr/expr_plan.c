/* expr_plan - nodes to a program: names, types, constants
 *
 * The nodes come in postfix order, so a stack of items stands for what Milvus's
 * planner gets from its recursive visit: a constant, a field, arithmetic on a
 * field, or a predicate whose steps are already written.  Texts of refusals
 * are Milvus's, oddities and misspellings included, because people search for
 * them.
 */
#include <math.h>

#include "core/base/limits.h"
#include "core/expr/expr_plan_int.h"

/* --- the stack ---------------------------------------------------------------------------- */

static err_t s_push(planner_t *p, item_t item)
{
    if (p->n == p->cap) {
        size_t cap = p->cap ? 2 * p->cap : 16;
        item_t *grown = mem_try(p->ctx, cap * sizeof *grown);
        if (!grown)
            return ctx_fail(p->ctx, ERR_MEMORY, "no memory for %zu operands", cap);
        if (p->n)
            memcpy(grown, p->items, p->n * sizeof *grown);
        mem_free(p->items);
        p->items = grown;
        p->cap = cap;
    }
    p->items[p->n++] = item;
    return OK;
}

static item_t s_pop(planner_t *p)
{
    check(p->n > 0);
    return p->items[--p->n];
}

static err_t s_push_value(planner_t *p, const node_t *node, expr_value_t value, bool literal)
{
    static const type_t types[] = {
        [EXPR_NONE] = TYPE_NONE, [EXPR_BOOL] = TYPE_BOOL, [EXPR_INT] = TYPE_INT64,
        [EXPR_DOUBLE] = TYPE_DOUBLE, [EXPR_STRING] = TYPE_VARCHAR, [EXPR_ARRAY] = TYPE_ARRAY,
    };
    return s_push(p, (item_t){ .kind = ITEM_VALUE, .type = types[value.kind], .value = value,
                               .literal = literal, .from = node->from, .to = node->to });
}

err_t planner_truth(planner_t *p, const node_t *node, bool truth)
{
    return s_push_value(p, node, (expr_value_t){ .kind = EXPR_BOOL, .b = truth }, false);
}

/* The common type of a list's elements; NONE when they differ or there is none. */
static type_t s_common(const expr_value_t *list)
{
    expr_kind_t kind = list->list.n ? list->list.at[0].kind : EXPR_NONE;
    for (size_t i = 1; i < list->list.n; i++)
        if (list->list.at[i].kind != kind)
            return TYPE_NONE;
    return kind == EXPR_BOOL ? TYPE_BOOL : kind == EXPR_INT ? TYPE_INT64
         : kind == EXPR_DOUBLE ? TYPE_DOUBLE : kind == EXPR_STRING ? TYPE_VARCHAR
         : kind == EXPR_ARRAY ? TYPE_ARRAY : TYPE_NONE;
}

type_t planner_type(const item_t *item)
{
    if (item->type != TYPE_ARRAY)
        return item->type;
    return item->kind == ITEM_VALUE ? s_common(&item->value) : item->place.element;
}

/* --- steps -------------------------------------------------------------------------------- */

static err_t s_step(planner_t *p, step_t step)
{
    expr_t *plan = p->plan;
    if (plan->n_steps == plan->cap_steps) {
        size_t cap = plan->cap_steps ? 2 * plan->cap_steps : 4;
        step_t *grown = ctx_try(p->ctx, cap * sizeof *grown);
        if (!grown)
            return ctx_fail(p->ctx, ERR_MEMORY, "no memory for a plan of %zu steps", cap);
        if (plan->n_steps)
            memcpy(grown, plan->steps, plan->n_steps * sizeof *grown);
        plan->steps = grown;
        plan->cap_steps = cap;
    }
    plan->steps[plan->n_steps++] = step;
    return OK;
}

/* A finished predicate. */
static err_t s_push_truth(planner_t *p, const node_t *node)
{
    return s_push(p, (item_t){ .kind = ITEM_TRUTH, .type = TYPE_BOOL, .from = node->from,
                               .to = node->to });
}

err_t planner_leaf(planner_t *p, const node_t *node, const leaf_t *leaf)
{
    leaf_t *copy = ctx_try(p->ctx, sizeof *copy);
    if (!copy)
        return ctx_fail(p->ctx, ERR_MEMORY, "no memory for a plan");
    *copy = *leaf;
    if (leaf->kind != LEAF_CONST)
        p->plan->needs[leaf->place.field] = true;
    if (leaf->kind == LEAF_FIELDS)
        p->plan->needs[leaf->other.field] = true;
    if (leaf->kind == LEAF_CONTAINS && leaf->op == TOK_CONTAINS_ALL &&
        leaf->set.n > p->plan->most_found)
        p->plan->most_found = leaf->set.n;
    TRY(s_step(p, (step_t){ .kind = STEP_LEAF, .leaf = copy }));
    return s_push_truth(p, node);
}

/* --- constants ---------------------------------------------------------------------------- */

/* Constants of a parameter, strings and lists with them.  Lists in lists are few: the
 * two call each other to LIMIT_EXPR_LIST_DEPTH and no deeper. */
static err_t s_copy_param(planner_t *p, expr_value_t *value, unsigned depth);

static err_t s_copy_list(planner_t *p, expr_value_t *value, unsigned depth)
{
    if (depth == LIMIT_EXPR_LIST_DEPTH)
        return ctx_fail(p->ctx, ERR_PARAM_INVALID, "lists are nested deeper than %d levels",
                        LIMIT_EXPR_LIST_DEPTH);
    size_t n = value->list.n;
    expr_value_t *copy = ctx_try(p->ctx, n * sizeof *copy);
    if (!copy)
        return ctx_fail(p->ctx, ERR_MEMORY, "no memory for a list of %zu constants", n);
    for (size_t i = 0; i < n; i++) {
        copy[i] = value->list.at[i];
        TRY(s_copy_param(p, &copy[i], depth + 1));
    }
    value->list.at = copy;
    return OK;
}

static err_t s_copy_param(planner_t *p, expr_value_t *value, unsigned depth)
{
    if (value->kind == EXPR_STRING)
        return ctx_copy(p->ctx, value->s, &value->s);
    return value->kind == EXPR_ARRAY ? s_copy_list(p, value, depth) : OK;
}

static err_t s_template(planner_t *p, const node_t *node)
{
    for (size_t i = 0; i < p->n_params; i++) {
        if (!view_eq(p->params[i].name, node->s) || p->params[i].value.kind == EXPR_NONE)
            continue;
        expr_value_t value = p->params[i].value;
        TRY(s_copy_param(p, &value, 0));
        TRY(s_push_value(p, node, value, true));
        p->items[p->n - 1].template = true;
        return OK;
    }
    return ctx_fail(p->ctx, ERR_PARAM_INVALID,
                    "the value of expression template variable name {%.*s} is not found",
                    (int)(node->s.len < 255 ? node->s.len : 255), (const char *)node->s.ptr);
}

static err_t s_list(planner_t *p, const node_t *node)
{
    char shown[EXPR_SHOWN_BYTES];
    check(p->n >= node->n);
    expr_value_t *at = ctx_try(p->ctx, node->n * sizeof *at);
    if (!at)
        return ctx_fail(p->ctx, ERR_MEMORY, "no memory for a list of %u constants", node->n);
    unsigned depth = 0;
    for (uint32_t i = 0; i < node->n; i++) {
        const item_t *item = &p->items[p->n - node->n + i];
        if (item->kind != ITEM_VALUE || item->template)
            return planner_fail(p, "array element type must be generic value, but got: %s",
                                expr_show(p->text, item->from, item->to, shown));
        TRY(planner_usable(p, item));
        at[i] = item->value;
        depth = item->depth > depth ? item->depth : depth;
    }
    if (depth == LIMIT_EXPR_LIST_DEPTH)
        return ctx_fail(p->ctx, ERR_PARAM_INVALID, "lists are nested deeper than %d levels",
                        LIMIT_EXPR_LIST_DEPTH);
    p->n -= node->n;
    expr_value_t value = { .kind = EXPR_ARRAY, .list = { .at = at, .n = node->n } };
    TRY(s_push_value(p, node, value, true));
    p->items[p->n - 1].depth = (uint8_t)(depth + 1);
    return OK;
}

static err_t s_int(planner_t *p, const node_t *node)
{
    expr_value_t value = { .kind = EXPR_INT, .i = (int64_t)node->i };
    TRY(s_push_value(p, node, value, true));
    p->items[p->n - 1].only_negative = node->i > INT64_MAX;
    return OK;
}

/* --- unary -------------------------------------------------------------------------------- */

static err_t s_negate(planner_t *p, const node_t *node, item_t child)
{
    if (child.value.kind == EXPR_INT)
        child.value.i = (int64_t)(0 - (uint64_t)child.value.i);
    else if (child.value.kind == EXPR_DOUBLE)
        child.value.d = -child.value.d;
    else
        return planner_fail(p, "unexpected op: -");
    return s_push_value(p, node, child.value, true);
}

static err_t s_unary(planner_t *p, const node_t *node)
{
    item_t child = s_pop(p);
    tok_t op = node->tok;
    bool constant = child.kind == ITEM_VALUE && !child.template;
    if (constant && op == TOK_SUB)
        return s_negate(p, node, child);
    TRY(planner_usable(p, &child));
    if (op == TOK_ADD && (constant || child.kind == ITEM_FIELD || child.kind == ITEM_ARITH)) {
        child.from = node->from;
        return s_push(p, child);
    }
    if (op != TOK_NOT)
        return planner_fail(p, "unexpected op: %c",
                            op == TOK_SUB ? '-' : op == TOK_ADD ? '+' : '~');
    if (constant && child.value.kind == EXPR_BOOL) {
        child.value.b = !child.value.b;
        return s_push_value(p, node, child.value, false);
    }
    if (child.kind != ITEM_TRUTH)
        return planner_fail(p, "not op can only be applied on boolean expression");
    TRY(s_step(p, (step_t){ .kind = STEP_NOT }));
    return s_push_truth(p, node);
}

/* --- and, or ------------------------------------------------------------------------------ */

static err_t s_between(planner_t *p, const node_t *node)
{
    return s_step(p, (step_t){ .kind = STEP_BETWEEN, .either = node->tok == TOK_OR });
}

static err_t s_logic(planner_t *p, const node_t *node)
{
    item_t right = s_pop(p), left = s_pop(p);
    bool either = node->tok == TOK_OR;
    if (left.kind == ITEM_VALUE && right.kind == ITEM_VALUE && left.value.kind == EXPR_BOOL &&
        right.value.kind == EXPR_BOOL && !left.template && !right.template) {
        expr_value_t value = { .kind = EXPR_BOOL };
        value.b = either ? left.value.b || right.value.b : left.value.b && right.value.b;
        p->plan->n_steps--;                     /* the between */
        return s_push_value(p, node, value, false);
    }
    if (left.kind != ITEM_TRUTH || right.kind != ITEM_TRUTH)
        return planner_fail(p, "'%s' can only be used between boolean expressions",
                            either ? "or" : "and");
    TRY(s_step(p, (step_t){ .kind = either ? STEP_OR : STEP_AND }));
    return s_push_truth(p, node);
}

/* --- all of them -------------------------------------------------------------------------- */

static err_t s_bits(planner_t *p, const node_t *node)
{
    char shown[EXPR_SHOWN_BYTES];
    const char *what = node->tok == TOK_BAND ? "BitAnd" : node->tok == TOK_BOR ? "BitOr"
                     : node->tok == TOK_BXOR ? "BitXor" : "shift";
    return planner_fail(p, "%s is not supported: %s", what,
                        expr_show(p->text, node->from, node->to, shown));
}

static err_t s_field(planner_t *p, const node_t *node)
{
    item_t item = { .kind = ITEM_FIELD, .from = node->from, .to = node->to };
    TRY(planner_place(p, node->field.from, node->field.to, &item.place));
    item.type = item.place.type;
    return s_push(p, item);
}

static err_t s_length(planner_t *p, const node_t *node)
{
    char shown[EXPR_SHOWN_BYTES];
    item_t item = { .kind = ITEM_ARITH, .type = TYPE_INT64, .arith = TOK_LENGTH,
                    .from = node->from, .to = node->to };
    TRY(planner_place(p, node->field.from, node->field.to, &item.place));
    bool whole = item.place.type == TYPE_ARRAY && item.place.n_path == 0;
    if (!whole && item.place.type != TYPE_JSON)
        return planner_fail(p, "array_length operation are only supported on json or array fields"
                            " now, got: %s", expr_show(p->text, node->from, node->to, shown));
    return s_push(p, item);
}

/* Nodes of two operands: right is popped first. */
static err_t s_two(planner_t *p, const node_t *node)
{
    item_t right = s_pop(p), left = s_pop(p);
    TRY(planner_usable(p, &left));
    TRY(planner_usable(p, &right));
    switch ((int)node->kind) {
    case NODE_ARITH: {
        item_t done = { .from = node->from, .to = node->to };
        TRY(planner_arith(p, node, &left, &right, &done));
        return s_push(p, done);
    }
    case NODE_COMPARE:
        TRY(planner_compare(p, node, &left, &right));
        break;
    case NODE_RANGE:
        TRY(planner_range(p, node, &left, &right));
        break;
    case NODE_LIKE:
        TRY(planner_like(p, node, &left, &right));
        break;
    case NODE_CONTAINS:
        TRY(planner_contains(p, node, &left, &right));
        break;
    default:
        TRY(planner_term(p, node, &left, &right));
        if (node->kind == NODE_TERM_NOT)
            TRY(s_step(p, (step_t){ .kind = STEP_NOT }));
    }
    return OK;
}

static err_t s_exists(planner_t *p, const node_t *node)
{
    char shown[EXPR_SHOWN_BYTES];
    item_t child = s_pop(p);
    if (child.kind != ITEM_FIELD)
        return planner_fail(p, "exists operations are only supported on single fields now, got: %s",
                            expr_show(p->text, child.from, child.to, shown));
    if (child.type != TYPE_JSON)
        return planner_fail(p, "exists operations are only supportted on json field, got:%s",
                            type_name(child.type));
    if (child.place.n_path == 0)
        return planner_fail(p, "exists operations are only supportted on json key");
    leaf_t leaf = { .kind = LEAF_EXISTS, .place = child.place };
    return planner_leaf(p, node, &leaf);
}

/* A field that cannot be null is not looked at. */
static err_t s_null(planner_t *p, const node_t *node)
{
    leaf_t leaf = { .kind = LEAF_NULL, .truth = node->kind == NODE_NULL };
    TRY(planner_place(p, node->field.from, node->field.to, &leaf.place));
    if (leaf.place.type == TYPE_ARRAY && leaf.place.n_path > 0)
        return planner_fail(p, "null tests are only supported on fields and json keys");
    if (!leaf.place.nullable && leaf.place.n_path == 0)
        leaf = (leaf_t){ .kind = LEAF_CONST, .truth = !leaf.truth };
    return planner_leaf(p, node, &leaf);
}

static err_t s_node(planner_t *p, const node_t *node)
{
    switch ((node_kind_t)node->kind) {
    case NODE_INT:
        return s_int(p, node);
    case NODE_FLOAT:
        return s_push_value(p, node, (expr_value_t){ .kind = EXPR_DOUBLE, .d = node->d }, true);
    case NODE_STRING:
        return s_push_value(p, node, (expr_value_t){ .kind = EXPR_STRING, .s = node->s }, true);
    case NODE_BOOL:
        return s_push_value(p, node, (expr_value_t){ .kind = EXPR_BOOL, .b = node->i }, true);
    case NODE_FIELD:
        return s_field(p, node);
    case NODE_TEMPLATE:
        return s_template(p, node);
    case NODE_LIST:
        return s_list(p, node);
    case NODE_UNARY:
        return s_unary(p, node);
    case NODE_BITS:
        return s_bits(p, node);
    case NODE_EXISTS:
        return s_exists(p, node);
    case NODE_NULL:
    case NODE_NOT_NULL:
        return s_null(p, node);
    case NODE_LENGTH:
        return s_length(p, node);
    case NODE_BETWEEN:
        return s_between(p, node);
    case NODE_LOGIC:
        return s_logic(p, node);
    case NODE_ARITH:
    case NODE_COMPARE:
    case NODE_RANGE:
    case NODE_TERM:
    case NODE_TERM_NOT:
    case NODE_LIKE:
    case NODE_CONTAINS:
        break;
    }
    return s_two(p, node);
}

/* What is left must be a predicate; `1 == 1` is one, `true` is not.  Here Milvus shows the text
 * as it was given, blanks and all. */
static err_t s_whole(planner_t *p, const node_t *last)
{
    check(p->n == 1);
    item_t item = s_pop(p);
    if (item.kind == ITEM_TRUTH)
        return OK;
    if (item.kind == ITEM_VALUE && item.value.kind == EXPR_BOOL && !item.literal) {
        leaf_t leaf = { .kind = LEAF_CONST, .truth = item.value.b };
        return planner_leaf(p, last, &leaf);
    }
    int shown = p->text.len < EXPR_SHOWN_BYTES ? (int)p->text.len : EXPR_SHOWN_BYTES;
    return planner_fail(p, "predicate is not a boolean expression: %.*s, data type: %s", shown,
                        (const char *)p->text.ptr, type_name(item.type));
}

/* Where each BETWEEN leads, and how many operands are held at once. */
static err_t s_link(planner_t *p)
{
    expr_t *plan = p->plan;
    uint32_t *open = mem_try(p->ctx, (plan->n_steps + 1) * sizeof *open);
    if (!open)
        return ctx_fail(p->ctx, ERR_MEMORY, "no memory for a plan");
    size_t n_open = 0, held = 0;
    for (size_t i = 0; i < plan->n_steps; i++) {
        step_kind_t kind = plan->steps[i].kind;
        if (kind == STEP_LEAF && ++held > plan->height)
            plan->height = held;
        if (kind == STEP_BETWEEN)
            open[n_open++] = (uint32_t)i;
        if (kind == STEP_AND || kind == STEP_OR) {
            plan->steps[open[--n_open]].jump = (uint32_t)i + 1;
            held--;
        }
    }
    mem_free(open);
    check(n_open == 0 && held == 1);
    return OK;
}

static err_t s_plan(planner_t *p, const ast_t *ast)
{
    for (size_t i = 0; i < ast->n; i++)
        TRY(s_node(p, &ast->nodes[i]));
    TRY(s_whole(p, &ast->nodes[ast->n - 1]));
    return s_link(p);
}

err_t expr_plan(ctx_t *ctx, expr_t *plan, const ast_t *ast, const expr_param_t *params,
                size_t n_params)
{
    planner_t p = { .ctx = ctx, .plan = plan, .text = plan->text, .params = params,
                    .n_params = n_params };
    err_t err = s_plan(&p, ast);
    mem_free(p.items);
    return err;
}
