/* expr - plans as others hold them; see expr.h */
#include "core/expr/expr.h"

#include <stdatomic.h>

#include "core/base/limits.h"
#include "core/expr/expr_int.h"

static bool s_is_blank(view_t text)
{
    return expr_lex(text, 0).tok == TOK_END;
}

static err_t s_always(expr_t *self)
{
    leaf_t *leaf = ctx_try(&self->memory, sizeof *leaf);
    self->steps = ctx_try(&self->memory, sizeof *self->steps);
    if (!leaf || !self->steps)
        return ctx_fail(&self->memory, ERR_MEMORY, "no memory for a plan");
    *leaf = (leaf_t){ .kind = LEAF_CONST, .truth = true };
    self->steps[0] = (step_t){ .kind = STEP_LEAF, .leaf = leaf };
    self->n_steps = self->height = 1;
    return OK;
}

static err_t s_build(expr_t *self, view_t text, const expr_param_t *params, size_t n_params)
{
    ctx_t *memory = &self->memory;
    TRY(ctx_copy(memory, text, &self->text));
    self->needs = ctx_try(memory, schema_len(self->schema));
    if (!self->needs)
        return ctx_fail(memory, ERR_MEMORY, "no memory for a plan");
    if (memchr(self->text.ptr, 0, self->text.len))
        return ctx_fail(memory, ERR_PARAM_INVALID, "an expression cannot hold a NUL character");
    if (s_is_blank(self->text))
        return s_always(self);
    ast_t ast = {0};
    err_t err = expr_ast(memory, self->text, &ast);
    if (err == OK)
        err = expr_plan(memory, self, &ast, params, n_params);
    expr_ast_fini(&ast);
    return err;
}

/* Memory of the plan counts against the caller's budget; errors are told to the caller. */
err_t expr_parse(ctx_t *ctx, view_t text, schema_t *schema, const expr_param_t *params,
                 size_t n_params, expr_t **ret)
{
    check(ret && *ret == NULL && (n_params == 0 || params));
    if (text.len > LIMIT_EXPR_BYTES)
        return ctx_fail(ctx, ERR_PARAM_INVALID, "expression of %zu bytes is longer than %u",
                        text.len, LIMIT_EXPR_BYTES);
    if (ctx->budget_bytes && ctx->budget_bytes == ctx->spent_bytes)
        return ctx_fail(ctx, ERR_MEMORY, "no memory for a plan");
    owned(expr) self = mem_new(sizeof *self);
    self->refs = 1;
    self->schema = schema_ref(schema);
    ctx_init(&self->memory);
    if (ctx->budget_bytes)
        self->memory.budget_bytes = ctx->budget_bytes - ctx->spent_bytes;
    err_t err = s_build(self, text, params, n_params);
    if (err != OK)
        return ctx_fail(ctx, err, "%s", self->memory.text);
    check(ctx_spend(ctx, self->memory.spent_bytes));
    *ret = take(self);
    return OK;
}

expr_t *expr_ref(expr_t *self)
{
    check(atomic_fetch_add(&self->refs, 1) > 0);
    return self;
}

void expr_unref(expr_t **self_p)
{
    expr_t *self = *self_p;
    *self_p = NULL;
    if (!self || atomic_fetch_sub(&self->refs, 1) > 1)
        return;
    schema_unref(&self->schema);
    ctx_fini(&self->memory);
    mem_free(self);
}

view_t expr_text(const expr_t *self)
{
    return self->text;
}

bool expr_is_always_true(const expr_t *self)
{
    const leaf_t *leaf = self->steps[0].leaf;
    return self->n_steps == 1 && leaf->kind == LEAF_CONST && leaf->truth;
}

bool expr_needs(const expr_t *self, size_t field)
{
    check(field < schema_len(self->schema));
    return self->needs[field];
}

static bool s_one_pk(const leaf_t *leaf, expr_pks_t *ret)
{
    if (leaf->op != TOK_EQ || leaf->arith != TOK_END)
        return false;
    bool text = leaf->place.type == TYPE_VARCHAR;
    *ret = (expr_pks_t){ .type = leaf->place.type, .n = 1, .ints = text ? NULL : &leaf->low.i,
                         .strings = text ? &leaf->low.s : NULL };
    return true;
}

bool expr_pk_list(const expr_t *self, expr_pks_t *ret)
{
    const leaf_t *leaf = self->steps[0].leaf;
    const field_t *pk = schema_pk(self->schema);
    if (self->n_steps != 1 || (leaf->kind != LEAF_COMPARE && leaf->kind != LEAF_TERM) ||
        leaf->place.field != schema_index(self->schema, pk))
        return false;
    if (leaf->kind == LEAF_COMPARE)
        return s_one_pk(leaf, ret);
    bool text = pk->type == TYPE_VARCHAR;
    *ret = (expr_pks_t){
        .type = pk->type, .n = text ? leaf->set.n_strings : leaf->set.n_ints,
        .ints = text ? NULL : leaf->set.ints, .strings = text ? leaf->set.strings : NULL,
    };
    return true;
}
