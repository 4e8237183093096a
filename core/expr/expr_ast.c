/* expr_ast - tokens to nodes in postfix order
 *
 * Operator precedence with an explicit stack of frames: an operator waiting
 * for its right side, or an open bracket.  Levels from tight to loose are
 * Milvus's.  Two of its rules need a look ahead: `low < field < high` is one
 * operator of three operands, and `not` belongs to `in` where it follows an
 * operand.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/limits.h"
#include "core/expr/expr_int.h"

enum {
    LEVEL_LIKE = 2, LEVEL_POW, LEVEL_UNARY, LEVEL_MUL, LEVEL_ADD, LEVEL_SHIFT, LEVEL_IN,
    LEVEL_RANGE = 11, LEVEL_LESS, LEVEL_EQUAL, LEVEL_BAND, LEVEL_BXOR, LEVEL_BOR, LEVEL_AND,
    LEVEL_OR, LEVEL_ALL,
};

typedef struct frame {
    bool open;                  /* a bracket: (, [ or the one of a call */
    bool prefix;                /* an operator without a left side */
    uint8_t level;
    token_t bracket;            /* where it opened; of a call: its name */
    uint32_t n_args;
    node_t node;                /* of an operator, or of a call */
} frame_t;

typedef struct parser {
    ctx_t *ctx;
    view_t text;
    ast_t *ast;
    token_t token;              /* the one being looked at */
    frame_t frames[LIMIT_EXPR_DEPTH];
    size_t n_frames;
    uint32_t operands[2 * LIMIT_EXPR_DEPTH + 2];        /* nodes */
    size_t n_operands;
} parser_t;

const char *expr_show(view_t text, uint32_t from, uint32_t to, char room[EXPR_SHOWN_BYTES])
{
    size_t n = 0;
    uint8_t quote = 0;
    for (uint32_t i = from; i < to && n < EXPR_SHOWN_BYTES - 4; i++) {
        uint8_t c = text.ptr[i];
        if (!quote && (c == ' ' || c == '\t' || c == '\n' || c == '\r'))
            continue;
        if (!quote && (c == '"' || c == '\''))
            quote = c;
        else if (quote && c == quote && text.ptr[i - 1] != '\\')
            quote = 0;
        room[n++] = (char)c;
        if (n == EXPR_SHOWN_BYTES - 4) {
            memcpy(room + n, "...", 3);
            n += 3;
        }
    }
    room[n] = '\0';
    return room;
}

/* --- errors ------------------------------------------------------------------------------ */

static err_t s_unexpected(parser_t *p, const char *expecting)
{
    char shown[EXPR_SHOWN_BYTES];
    token_t t = p->token;
    if (t.tok == TOK_BAD)
        return ctx_fail(p->ctx, ERR_PARAM_INVALID, "line 1:%u token recognition error at: '%s'",
                        t.from, expr_show(p->text, t.from, (uint32_t)p->text.len, shown));
    const char *what = t.tok == TOK_END ? "<EOF>" : expr_show(p->text, t.from, t.to, shown);
    return ctx_fail(p->ctx, ERR_PARAM_INVALID, "line 1:%u mismatched input '%s' expecting %s",
                    t.from, what, expecting);
}

/* Behind a whole expression; inside a bracket something else is missing. */
static err_t s_leftover(parser_t *p)
{
    char shown[EXPR_SHOWN_BYTES];
    for (size_t i = p->n_frames; i > 0; i--) {
        const frame_t *f = &p->frames[i - 1];
        if (f->open)
            return s_unexpected(p, f->bracket.tok == TOK_OPEN ? "{']', ','}" : "{')', ','}");
    }
    if (p->token.tok == TOK_BAD)
        return s_unexpected(p, "");
    return ctx_fail(p->ctx, ERR_PARAM_INVALID, "invalid expression: %s",
                    expr_show(p->text, 0, (uint32_t)p->text.len, shown));
}

/* --- nodes ------------------------------------------------------------------------------- */

static err_t s_push_node(parser_t *p, node_t node)
{
    ast_t *ast = p->ast;
    if (ast->n == LIMIT_EXPR_NODES)
        return ctx_fail(p->ctx, ERR_PARAM_INVALID, "expression has more than %u parts",
                        LIMIT_EXPR_NODES);
    if (ast->n == ast->cap) {
        size_t cap = ast->cap ? 2 * ast->cap : 32;
        node_t *grown = mem_try(p->ctx, cap * sizeof *grown);
        if (!grown)
            return ctx_fail(p->ctx, ERR_MEMORY, "no memory for an expression of %zu parts", cap);
        if (ast->n)
            memcpy(grown, ast->nodes, ast->n * sizeof *grown);
        mem_free(ast->nodes);
        ast->nodes = grown;
        ast->cap = cap;
    }
    ast->nodes[ast->n++] = node;
    return OK;
}

static node_t *s_operand(parser_t *p, size_t from_top)
{
    check(from_top < p->n_operands);
    return &p->ast->nodes[p->operands[p->n_operands - 1 - from_top]];
}

/* A node of n operands: they go, it comes. */
static err_t s_push_operand(parser_t *p, node_t node, size_t n)
{
    if (n > 0 && s_operand(p, n - 1)->from < node.from)
        node.from = s_operand(p, n - 1)->from;
    if (n > 0 && s_operand(p, 0)->to > node.to)
        node.to = s_operand(p, 0)->to;
    TRY(s_push_node(p, node));
    p->n_operands -= n;
    p->operands[p->n_operands++] = (uint32_t)(p->ast->n - 1);
    return OK;
}

static err_t s_push_frame(parser_t *p, frame_t frame)
{
    if (p->n_frames == LIMIT_EXPR_DEPTH)
        return ctx_fail(p->ctx, ERR_PARAM_INVALID, "expression is nested deeper than %d levels",
                        LIMIT_EXPR_DEPTH);
    p->frames[p->n_frames++] = frame;
    return OK;
}

/* Finish the operators that bind at least as tightly as level, down to a bracket. */
static err_t s_reduce(parser_t *p, uint8_t level)
{
    while (p->n_frames > 0) {
        const frame_t *top = &p->frames[p->n_frames - 1];
        if (top->open || top->level > level)
            return OK;
        p->n_frames--;
        TRY(s_push_operand(p, top->node, top->prefix ? 1 : 2));
    }
    return OK;
}

static void s_advance(parser_t *p)
{
    p->token = expr_lex(p->text, p->token.to);
}

static node_t s_node(node_kind_t kind, token_t t)
{
    return (node_t){ .kind = (uint8_t)kind, .tok = (uint8_t)t.tok, .from = t.from, .to = t.to };
}

/* --- constants --------------------------------------------------------------------------- */

static err_t s_int(parser_t *p, node_t *node)
{
    view_t text = view_of(p->text.ptr + node->from, node->to - node->from);
    bool zero = text.len > 1 && text.ptr[0] == '0';
    uint8_t letter = zero ? text.ptr[1] | 32 : 0;
    unsigned base = letter == 'x' ? 16 : letter == 'b' ? 2 : zero ? 8 : 10;
    uint64_t value = 0;
    bool good = true;
    for (size_t i = base == 16 || base == 2 ? 2 : 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        unsigned digit = c <= '9' ? c - (unsigned)'0' : (c | 32u) - 'a' + 10;
        good &= digit < base && !__builtin_mul_overflow(value, base, &value) &&
                !__builtin_add_overflow(value, digit, &value);
    }
    if (!good || value > 1ull << 63)
        return ctx_fail(p->ctx, ERR_PARAM_INVALID,
                        "strconv.ParseInt: parsing \"%.*s\": value out of range",
                        (int)(text.len < 64 ? text.len : 64), (const char *)text.ptr);
    node->i = value;
    return OK;
}

static err_t s_float(parser_t *p, node_t *node)
{
    const char *text = (const char *)p->text.ptr + node->from;
    char *end = NULL;
    node->d = strtod(text, &end);
    size_t len = node->to - node->from;
    if (end != text + len || isinf(node->d))
        return ctx_fail(p->ctx, ERR_PARAM_INVALID,
                        "strconv.ParseFloat: parsing \"%.*s\": value out of range",
                        (int)(len < 64 ? len : 64), text);
    return OK;
}

static view_t s_template_name(view_t text, token_t t)
{
    uint32_t from = t.from + 1, to = t.to - 1;
    while (strchr(" \t\r\n", text.ptr[from]))
        from++;
    while (strchr(" \t\r\n", text.ptr[to - 1]))
        to--;
    return view_of(text.ptr + from, to - from);
}

/* A constant, a field or a template. */
static err_t s_atom(parser_t *p)
{
    token_t t = p->token;
    node_t node = s_node(NODE_FIELD, t);
    if (t.tok == TOK_INT) {
        node.kind = NODE_INT;
        TRY(s_int(p, &node));
    } else if (t.tok == TOK_FLOAT) {
        node.kind = NODE_FLOAT;
        TRY(s_float(p, &node));
    } else if (t.tok == TOK_STRING) {
        node.kind = NODE_STRING;
        TRY(expr_lex_string(p->ctx, view_of(p->text.ptr + t.from, t.to - t.from), &node.s));
    } else if (t.tok == TOK_TRUE || t.tok == TOK_FALSE) {
        node.kind = NODE_BOOL;
        node.i = t.tok == TOK_TRUE;
    } else if (t.tok == TOK_TEMPLATE) {
        node.kind = NODE_TEMPLATE;
        node.s = s_template_name(p->text, t);
    } else {
        node.field.from = t.from;
        node.field.to = t.to;
    }
    s_advance(p);
    return s_push_operand(p, node, 0);
}

/* --- where an operand is due ------------------------------------------------------------- */

static err_t s_call(parser_t *p)
{
    token_t name = p->token;
    s_advance(p);
    if (p->token.tok != TOK_LEFT)
        return s_unexpected(p, "'('");
    s_advance(p);
    node_t node = s_node(NODE_CONTAINS, name);
    return s_push_frame(p, (frame_t){ .open = true, .bracket = name, .node = node });
}

/* array_length takes a field, nothing else. */
static err_t s_length(parser_t *p)
{
    node_t node = s_node(NODE_LENGTH, p->token);
    s_advance(p);
    if (p->token.tok != TOK_LEFT)
        return s_unexpected(p, "'('");
    s_advance(p);
    if (p->token.tok != TOK_NAME && p->token.tok != TOK_PATH)
        return s_unexpected(p, "{Identifier, JSONIdentifier}");
    node.field.from = p->token.from;
    node.field.to = p->token.to;
    s_advance(p);
    if (p->token.tok != TOK_RIGHT)
        return s_unexpected(p, "')'");
    node.to = p->token.to;
    s_advance(p);
    return s_push_operand(p, node, 0);
}

static err_t s_close_list(parser_t *p)
{
    frame_t frame = p->frames[--p->n_frames];
    node_t node = s_node(NODE_LIST, frame.bracket);
    node.to = p->token.to;
    node.n = frame.n_args;
    s_advance(p);
    return s_push_operand(p, node, 0);
}

static err_t s_unknown_call(parser_t *p)
{
    token_t t = p->token;
    return ctx_fail(p->ctx, ERR_PARAM_INVALID, "function %.*s is not supported",
                    (int)(t.to - t.from < 64 ? t.to - t.from : 64),
                    (const char *)p->text.ptr + t.from);
}

static err_t s_prefix(parser_t *p)
{
    bool exists = p->token.tok == TOK_EXISTS;
    node_t node = s_node(exists ? NODE_EXISTS : NODE_UNARY, p->token);
    s_advance(p);
    return s_push_frame(p, (frame_t){ .prefix = true, .level = exists ? LEVEL_LIKE : LEVEL_UNARY,
                                      .node = node });
}

/* *done: an operand is complete, an operator may follow. */
static err_t s_before_operand(parser_t *p, bool *done)
{
    const frame_t *top = p->n_frames ? &p->frames[p->n_frames - 1] : NULL;
    *done = false;
    switch ((int)p->token.tok) {
    case TOK_NAME:
        if (expr_lex(p->text, p->token.to).tok == TOK_LEFT)
            return s_unknown_call(p);
        /* fall through */
    case TOK_INT: case TOK_FLOAT: case TOK_STRING: case TOK_TRUE: case TOK_FALSE: case TOK_PATH:
    case TOK_TEMPLATE:
        *done = true;
        return s_atom(p);
    case TOK_ADD: case TOK_SUB: case TOK_BNOT: case TOK_NOT: case TOK_EXISTS:
        return s_prefix(p);
    case TOK_CONTAINS: case TOK_CONTAINS_ALL: case TOK_CONTAINS_ANY:
        return s_call(p);
    case TOK_LENGTH:
        *done = true;
        return s_length(p);
    case TOK_LEFT: case TOK_OPEN: {
        frame_t frame = { .open = true, .bracket = p->token };
        s_advance(p);
        return s_push_frame(p, frame);
    }
    case TOK_CLOSE:                             /* [] or a comma at the end of a list */
        if (!top || !top->open || top->bracket.tok != TOK_OPEN)
            break;
        *done = true;
        return s_close_list(p);
    default:
        break;
    }
    return s_unexpected(p, "an operand");
}

/* --- where an operator is due ------------------------------------------------------------ */

static uint8_t s_level(tok_t tok, node_kind_t *kind)
{
    switch ((int)tok) {
    case TOK_POW:
        *kind = NODE_ARITH;
        return LEVEL_POW;
    case TOK_MUL: case TOK_DIV: case TOK_MOD:
        *kind = NODE_ARITH;
        return LEVEL_MUL;
    case TOK_ADD: case TOK_SUB:
        *kind = NODE_ARITH;
        return LEVEL_ADD;
    case TOK_SHL: case TOK_SHR:
        *kind = NODE_BITS;
        return LEVEL_SHIFT;
    case TOK_IN:
        *kind = NODE_TERM;
        return LEVEL_IN;
    case TOK_LT: case TOK_LE: case TOK_GT: case TOK_GE:
        *kind = NODE_COMPARE;
        return LEVEL_LESS;
    case TOK_EQ: case TOK_NE:
        *kind = NODE_COMPARE;
        return LEVEL_EQUAL;
    case TOK_BAND: case TOK_BXOR: case TOK_BOR:
        *kind = NODE_BITS;
        return tok == TOK_BAND ? LEVEL_BAND : tok == TOK_BXOR ? LEVEL_BXOR : LEVEL_BOR;
    case TOK_AND: case TOK_OR:
        *kind = NODE_LOGIC;
        return tok == TOK_AND ? LEVEL_AND : LEVEL_OR;
    default:
        return 0;
    }
}

static bool s_same_way(tok_t a, tok_t b)
{
    bool up = a == TOK_LT || a == TOK_LE, down = a == TOK_GT || a == TOK_GE;
    return up ? b == TOK_LT || b == TOK_LE : down && (b == TOK_GT || b == TOK_GE);
}

/* Is it `op FIELD op`, both in one direction?  Then that is one operator. */
static bool s_range(parser_t *p, node_t *node)
{
    token_t field = expr_lex(p->text, p->token.to);
    if (field.tok != TOK_NAME && field.tok != TOK_PATH)
        return false;
    token_t second = expr_lex(p->text, field.to);
    if (!s_same_way(p->token.tok, second.tok))
        return false;
    node->kind = NODE_RANGE;
    node->tok2 = (uint8_t)second.tok;
    node->field.from = field.from;
    node->field.to = field.to;
    p->token = second;
    return true;
}

static err_t s_binary(parser_t *p, token_t op)
{
    node_kind_t kind = NODE_COMPARE;
    uint8_t level = s_level(op.tok, &kind);
    node_t node = s_node(kind, op);
    if (level == LEVEL_LESS && s_range(p, &node))
        level = LEVEL_RANGE;
    TRY(s_reduce(p, level));
    if (kind == NODE_LOGIC) {
        node_t between = s_node(NODE_BETWEEN, op);
        TRY(s_push_node(p, between));
    }
    s_advance(p);
    return s_push_frame(p, (frame_t){ .level = level, .node = node });
}

static err_t s_not_in(parser_t *p)
{
    token_t in = expr_lex(p->text, p->token.to);
    if (in.tok != TOK_IN)
        return s_leftover(p);
    p->token = in;
    TRY(s_binary(p, in));
    p->frames[p->n_frames - 1].node.kind = NODE_TERM_NOT;
    return OK;
}

static err_t s_like(parser_t *p)
{
    token_t like = p->token;
    TRY(s_reduce(p, LEVEL_LIKE));
    s_advance(p);
    if (p->token.tok != TOK_STRING && p->token.tok != TOK_TEMPLATE)
        return s_unexpected(p, "StringLiteral");
    TRY(s_atom(p));
    return s_push_operand(p, s_node(NODE_LIKE, like), 2);
}

/* is null: right behind a field. */
static err_t s_null(parser_t *p)
{
    node_t *node = s_operand(p, 0);
    if (node->kind != NODE_FIELD || node->to != node->field.to)
        return s_leftover(p);
    node->kind = p->token.tok == TOK_NULL ? NODE_NULL : NODE_NOT_NULL;
    node->to = p->token.to;
    s_advance(p);
    return OK;
}

/* A comma or a closing bracket ends an argument or element. */
static err_t s_end_item(parser_t *p, bool *done)
{
    tok_t tok = p->token.tok;
    TRY(s_reduce(p, LEVEL_ALL));
    frame_t *top = p->n_frames ? &p->frames[p->n_frames - 1] : NULL;
    bool list = top && top->bracket.tok == TOK_OPEN, group = top && top->bracket.tok == TOK_LEFT;
    if (!top || list != (tok == TOK_CLOSE || (tok == TOK_COMMA && list)) ||
        (group && tok == TOK_COMMA))
        return s_leftover(p);
    top->n_args++;
    *done = tok != TOK_COMMA;
    if (list) {
        p->n_operands--;
        if (tok == TOK_CLOSE)
            return s_close_list(p);
    } else if (group) {
        node_t *inner = s_operand(p, 0);
        inner->from = top->bracket.from;
        inner->to = p->token.to;
        p->n_frames--;
    } else if (top->n_args != (tok == TOK_COMMA ? 1u : 2u)) {
        return s_unexpected(p, tok == TOK_COMMA ? "')'" : "','");
    } else if (tok == TOK_RIGHT) {
        node_t node = top->node;
        node.to = p->token.to;
        p->n_frames--;
        TRY(s_push_operand(p, node, 2));
    }
    s_advance(p);
    return OK;
}

static err_t s_after_operand(parser_t *p, bool *done)
{
    node_kind_t kind;
    *done = false;
    switch ((int)p->token.tok) {
    case TOK_NOT:
        return s_not_in(p);
    case TOK_LIKE:
        *done = true;
        return s_like(p);
    case TOK_NULL: case TOK_NOT_NULL:
        *done = true;
        return s_null(p);
    case TOK_COMMA: case TOK_RIGHT: case TOK_CLOSE:
        return s_end_item(p, done);
    default:
        return s_level(p->token.tok, &kind) ? s_binary(p, p->token) : s_leftover(p);
    }
}

static err_t s_parse(parser_t *p)
{
    bool done = false;                          /* is the operand at hand complete? */
    p->token = expr_lex(p->text, 0);
    while (!done || p->token.tok != TOK_END)
        TRY(done ? s_after_operand(p, &done) : s_before_operand(p, &done));
    TRY(s_reduce(p, LEVEL_ALL));
    if (p->n_frames > 0)
        return s_leftover(p);
    check(p->n_operands == 1);
    return OK;
}

err_t expr_ast(ctx_t *ctx, view_t text, ast_t *ast)
{
    parser_t *p = mem_try(ctx, sizeof *p);
    if (!p)
        return ctx_fail(ctx, ERR_MEMORY, "no memory to parse an expression");
    p->ctx = ctx;
    p->text = text;
    p->ast = ast;
    err_t err = s_parse(p);
    mem_free(p);
    return err;
}

void expr_ast_fini(ast_t *ast)
{
    mem_free(ast->nodes);
    *ast = (ast_t){0};
}
