/* expr_int - what the files of core/expr share: tokens, the parsed form, the plan
 *
 *     text --expr_lex--> tokens --expr_ast--> nodes in postfix order
 *          --expr_plan--> a program of leaves and logic --expr_eval--> bits
 *
 * Postfix everywhere: a node follows its operands, an instruction the two it
 * combines.  So every pass is a loop with a stack of bounded height, and none
 * recurses over what a client wrote.
 */
#ifndef CORE_EXPR_EXPR_INT_H
#define CORE_EXPR_EXPR_INT_H

#include "core/expr/expr.h"
#include "core/expr/jsonpath.h"
#include "core/expr/like.h"

/* --- tokens -------------------------------------------------------------------------- */

typedef enum tok {
    TOK_END, TOK_BAD, TOK_INT, TOK_FLOAT, TOK_STRING, TOK_TRUE, TOK_FALSE,
    TOK_NAME,                   /* a, $meta */
    TOK_PATH,                   /* a["b"][0] */
    TOK_TEMPLATE,               /* {a} */
    TOK_LEFT, TOK_RIGHT, TOK_OPEN, TOK_CLOSE, TOK_COMMA,        /* ( ) [ ] , */
    TOK_LT, TOK_LE, TOK_GT, TOK_GE, TOK_EQ, TOK_NE,
    TOK_ADD, TOK_SUB, TOK_MUL, TOK_DIV, TOK_MOD, TOK_POW,
    TOK_SHL, TOK_SHR, TOK_BAND, TOK_BOR, TOK_BXOR, TOK_BNOT,
    TOK_AND, TOK_OR, TOK_NOT, TOK_IN, TOK_LIKE, TOK_EXISTS, TOK_NULL, TOK_NOT_NULL,
    TOK_CONTAINS, TOK_CONTAINS_ALL, TOK_CONTAINS_ANY, TOK_LENGTH,
} tok_t;

typedef struct token {
    tok_t tok;
    uint32_t from, to;          /* bytes of the text */
} token_t;

/* The token at or behind byte `at`.  text.ptr[text.len] must be 0. */
token_t expr_lex(view_t text, uint32_t at);

/* The characters a string literal stands for: a view into the text, or, where there
 * are escapes, memory of ctx.  ERR_PARAM_INVALID, ERR_MEMORY. */
err_t must_use expr_lex_string(ctx_t *ctx, view_t literal, view_t *ret);

/* --- the parsed form ----------------------------------------------------------------- */

typedef enum node_kind {
    NODE_INT, NODE_FLOAT, NODE_STRING, NODE_BOOL, NODE_FIELD, NODE_TEMPLATE, NODE_LIST,
    NODE_UNARY,                 /* tok: + - ~ not */
    NODE_ARITH,                 /* tok: + - * / % ** */
    NODE_BITS,                  /* tok: & ^ | << >> */
    NODE_COMPARE,               /* tok: < <= > >= == != */
    NODE_RANGE,                 /* low tok FIELD tok2 high; at, to_at: where the field is */
    NODE_TERM, NODE_TERM_NOT,   /* in, not in */
    NODE_LIKE, NODE_EXISTS, NODE_NULL, NODE_NOT_NULL,
    NODE_CONTAINS,              /* tok: which */
    NODE_LENGTH,
    NODE_BETWEEN,               /* no operands: stands between those of an and or or */
    NODE_LOGIC,                 /* tok: and, or */
} node_kind_t;

typedef struct node {
    uint8_t kind, tok, tok2;
    uint32_t from, to;          /* bytes of the text, with brackets */
    union {
        uint64_t i;             /* INT: magnitude; BOOL */
        double d;
        view_t s;               /* STRING; TEMPLATE: name */
        uint32_t n;             /* LIST: elements */
        struct { uint32_t from, to; } field;    /* FIELD, LENGTH, RANGE, NULL, NOT_NULL */
    };
} node_t;

typedef struct ast {
    node_t *nodes;              /* [n], postfix; owned */
    size_t n, cap;
} ast_t;

/* Strings with escapes go to ctx's arena.  Errors as expr_parse. */
err_t must_use expr_ast(ctx_t *ctx, view_t text, ast_t *ast);
void expr_ast_fini(ast_t *ast);

/* The node's text without white space, as Milvus's messages show it; cut when long. */
enum { EXPR_SHOWN_BYTES = 256 };
const char *expr_show(view_t text, uint32_t from, uint32_t to, char room[EXPR_SHOWN_BYTES]);

/* --- sets of constants ---------------------------------------------------------------- */

/* A list of constants without repeats, each with a number below n.  A double that is a
 * whole number is kept as an integer, so 1 and 1.0 are one constant. */
typedef struct set {
    int64_t *ints;              /* sorted */
    double *doubles;            /* sorted */
    view_t *strings;            /* sorted */
    const expr_value_t **lists;
    size_t n_ints, n_doubles, n_strings, n_lists, n;
    uint32_t *int_slots, *string_slots;         /* hashed: 1 + index, 0 free; NULL: too few */
    size_t int_mask, string_mask;
    bool has[2];                /* false, true */
} set_t;

err_t must_use set_build(ctx_t *ctx, const expr_value_t *values, size_t n, set_t *ret);

/* Its number, or -1. */
int64_t set_find_int(const set_t *set, int64_t value);
int64_t set_find_double(const set_t *set, double value);
int64_t set_find_string(const set_t *set, view_t value);
int64_t set_find_bool(const set_t *set, bool value);
static inline int64_t set_first_list(const set_t *set)
{
    return (int64_t)(set->n_ints + set->n_doubles + set->n_strings + 2);
}

/* Order of two numbers, exact where an int64 meets a double: -1, 0, 1. */
int value_cmp_number(const expr_value_t *a, const expr_value_t *b);

/* Order of two scalars; false when their kinds do not compare. */
bool value_cmp(const expr_value_t *a, const expr_value_t *b, int *ret);

static inline bool value_is_number(const expr_value_t *v)
{
    return v->kind == EXPR_INT || v->kind == EXPR_DOUBLE;
}

/* As protobuf prints a constant: int64_val:1. */
const char *value_show(const expr_value_t *value, char room[EXPR_SHOWN_BYTES]);

/* --- the plan -------------------------------------------------------------------------- */

/* What is read of a row. */
typedef struct place {
    uint32_t field;
    type_t type, element;       /* of the field */
    bool nullable;
    const view_t *path;         /* JSON: keys; Array: one index */
    uint32_t n_path;
    uint32_t index;             /* Array with a path */
} place_t;

typedef enum leaf_kind {
    LEAF_CONST, LEAF_COMPARE, LEAF_RANGE, LEAF_TERM, LEAF_LIKE, LEAF_FIELDS, LEAF_CONTAINS,
    LEAF_EXISTS, LEAF_NULL,
} leaf_kind_t;

/* Values a number may have: lo..hi, both included, or all others. */
typedef struct span {
    bool negate, empty;
    int64_t lo, hi;             /* integers and Bool */
    double dlo, dhi;            /* Float, Double */
} span_t;

typedef struct leaf {
    leaf_kind_t kind;
    tok_t op;                   /* COMPARE, FIELDS: TOK_LT..NE; CONTAINS: which */
    tok_t arith;                /* COMPARE: TOK_ADD.. before, TOK_LENGTH, or TOK_END for none */
    bool truth;                 /* CONST; NULL: true for `is null` */
    bool low_open, high_open;   /* RANGE: without the bound itself */
    place_t place, other;       /* FIELDS: other is on the right */
    expr_value_t operand;       /* of arith */
    expr_value_t low, high;     /* COMPARE: low; RANGE: both */
    span_t span;                /* COMPARE, RANGE on a field of numbers */
    set_t set;                  /* TERM, CONTAINS */
    like_t like;
} leaf_t;

typedef enum step_kind { STEP_LEAF, STEP_NOT, STEP_BETWEEN, STEP_AND, STEP_OR } step_kind_t;

typedef struct step {
    step_kind_t kind;
    bool either;                /* BETWEEN: of an or */
    uint32_t jump;              /* BETWEEN: behind its AND or OR */
    const leaf_t *leaf;
} step_t;

struct expr {
    _Atomic int refs;
    ctx_t memory;               /* owns all the plan points to */
    view_t text;
    schema_t *schema;
    bool *needs;                /* [schema_len] */
    step_t *steps;              /* [n_steps] postfix */
    size_t n_steps, cap_steps;
    size_t height;              /* most operands held at once */
    size_t most_found;          /* largest set of a contains_all */
};

/* Type the nodes and write the program into plan.  Errors as expr_parse. */
err_t must_use expr_plan(ctx_t *ctx, expr_t *plan, const ast_t *ast, const expr_param_t *params,
                         size_t n_params);

/* --- loops over numbers ------------------------------------------------------------------ */

/* Bits of 64·n_words rows of a numeric or Bool column from `from` on, which is a multiple
 * of 64; rows past the column's end give 0. */
void expr_span_bits(const leaf_t *leaf, const column_t *column, size_t from, size_t n_words,
                    uint64_t *bits);
void expr_term_bits(const leaf_t *leaf, const column_t *column, size_t from, size_t n_words,
                    uint64_t *bits);
/* Fields of two columns of numbers or Bool. */
void expr_fields_bits(const leaf_t *leaf, const column_t *left, const column_t *right, size_t from,
                      size_t n_words, uint64_t *bits);

/* a arith b as the row's type has it; false when there is no such number (x / 0). */
bool expr_arith(tok_t op, const expr_value_t *a, const expr_value_t *b, expr_value_t *ret);

static inline bool expr_holds(tok_t op, int order)
{
    return op == TOK_EQ ? order == 0 : op == TOK_NE ? order != 0 : op == TOK_LT ? order < 0
         : op == TOK_LE ? order <= 0 : op == TOK_GT ? order > 0 : order >= 0;
}

#endif
