/* expr_plan_int - between the planner's walk and the rules for each kind of predicate */
#ifndef CORE_EXPR_EXPR_PLAN_INT_H
#define CORE_EXPR_EXPR_PLAN_INT_H

#include "core/expr/expr_int.h"

typedef enum item_kind {
    ITEM_VALUE,                 /* a constant */
    ITEM_FIELD,
    ITEM_ARITH,                 /* place arith operand; or the length of place */
    ITEM_TRUTH,                 /* a predicate, its steps are written */
} item_kind_t;

/* Arithmetic that parses but that no comparison takes, and why. */
typedef enum odd { ODD_NO, ODD_FIELDS, ODD_REVERSED, ODD_NESTED } odd_t;

typedef struct item {
    item_kind_t kind;
    type_t type;                /* as Milvus's messages name it */
    uint32_t from, to;          /* bytes of the text */
    bool literal;               /* VALUE: written, not computed: no predicate by itself */
    bool template;              /* VALUE: given as a parameter */
    bool only_negative;         /* VALUE: 2^63, which is an int64 behind a minus only */
    uint8_t depth;              /* VALUE: lists in lists */
    odd_t odd;                  /* ARITH */
    tok_t arith;                /* ARITH */
    place_t place;              /* FIELD, ARITH */
    expr_value_t value;         /* VALUE; ARITH: the operand */
} item_t;

typedef struct planner {
    ctx_t *ctx;
    expr_t *plan;
    view_t text;
    const expr_param_t *params;
    size_t n_params;
    item_t *items;              /* owned */
    size_t n, cap;
} planner_t;

#define planner_fail(p, ...) ctx_fail((p)->ctx, ERR_PARAM_INVALID, __VA_ARGS__)

/* What a name or path stands for in the schema. */
err_t must_use planner_place(planner_t *p, uint32_t from, uint32_t to, place_t *ret);

/* Refuse 9223372036854775808 where no minus stands before it. */
err_t must_use planner_usable(planner_t *p, const item_t *item);

/* The item's type, of an array its elements' (NONE when they differ). */
type_t planner_type(const item_t *item);

/* Append a leaf and push the predicate it is. */
err_t must_use planner_leaf(planner_t *p, const node_t *node, const leaf_t *leaf);

/* Push what a comparison of constants came to. */
err_t must_use planner_truth(planner_t *p, const node_t *node, bool truth);

err_t must_use planner_arith(planner_t *p, const node_t *node, const item_t *left,
                             const item_t *right, item_t *ret);
err_t must_use planner_compare(planner_t *p, const node_t *node, const item_t *left,
                               const item_t *right);
err_t must_use planner_range(planner_t *p, const node_t *node, const item_t *low,
                             const item_t *high);
err_t must_use planner_term(planner_t *p, const node_t *node, const item_t *left,
                            const item_t *right);
err_t must_use planner_like(planner_t *p, const node_t *node, const item_t *left,
                            const item_t *right);
err_t must_use planner_contains(planner_t *p, const node_t *node, const item_t *left,
                                const item_t *right);

#endif
