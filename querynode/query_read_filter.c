/* query_read_filter - filters of reads: their parameters, and plans that are kept
 *
 * The same few filters come again and again, so the last LIMIT_QUERY_PLANS plans are kept, by the
 * schema they were made for, the text and the parameters; the oldest goes.  A plan holds its
 * schema, so an address stands for one schema as long as it is in a key.
 */
#include "querynode/query_read_int.h"

typedef struct plan {
    expr_t *expr;
    buf_t key;
} plan_t;

struct query_plans {
    map_t *by_key;              /* -> plan_t of the ring */
    plan_t ring[LIMIT_QUERY_PLANS];
    size_t next;
};

query_plans_t *query_plans_new(void)
{
    query_plans_t *self = mem_new(sizeof *self);
    self->by_key = map_new();
    return self;
}

void query_plans_destroy(query_plans_t **self_p)
{
    query_plans_t *self = *self_p;
    if (!self)
        return;
    for (size_t i = 0; i < LIMIT_QUERY_PLANS; i++) {
        expr_unref(&self->ring[i].expr);
        buf_fini(&self->ring[i].key);
    }
    map_destroy(&self->by_key);
    mem_free(self);
    *self_p = NULL;
}

/* --- parameters -------------------------------------------------------------------------- */

typedef struct frame {
    const Elanus__ExprValue *from;
    expr_value_t *to;
    size_t next;                /* element of its list */
} frame_t;

/* What a value is but for the elements of a list, for which there is room then. */
static err_t s_value(ctx_t *ctx, const Elanus__ExprValue *from, expr_value_t *to)
{
    to->kind = (expr_kind_t)from->kind;
    switch (to->kind) {
    case EXPR_BOOL:   to->b = from->b; return OK;
    case EXPR_INT:    to->i = from->i; return OK;
    case EXPR_DOUBLE: to->d = from->d; return OK;
    case EXPR_STRING: to->s = view_of(from->s.data, from->s.len); return OK;
    case EXPR_ARRAY: {
        expr_value_t *at = ctx_try(ctx, (from->n_list + 1) * sizeof *at);
        if (!at)
            return ctx_fail(ctx, ERR_MEMORY, "no memory for a list of %zu values", from->n_list);
        to->list.at = at;
        to->list.n = from->n_list;
        return OK;
    }
    case EXPR_NONE:
        break;
    }
    return ctx_fail(ctx, ERR_MALFORMED, "a filter's parameter of kind %u", from->kind);
}

/* Lists in lists with a stack of our own: how deep they are is the client's choice. */
static err_t s_values(ctx_t *ctx, const Elanus__ExprValue *from, expr_value_t *to)
{
    frame_t stack[LIMIT_EXPR_LIST_DEPTH + 1];
    size_t depth = 0;
    TRY(s_value(ctx, from, to));
    stack[depth++] = (frame_t){ .from = from, .to = to };
    while (depth) {
        frame_t *top = &stack[depth - 1];
        if (top->next == top->from->n_list) {
            depth--;
            continue;
        }
        const Elanus__ExprValue *child = top->from->list[top->next];
        expr_value_t *room = (expr_value_t *)top->to->list.at + top->next++;
        TRY(s_value(ctx, child, room));
        if (room->kind != EXPR_ARRAY)
            continue;
        if (depth == ARRAY_LEN(stack))
            return ctx_fail(ctx, ERR_PARAM_TOO_LARGE, "lists in lists deeper than %d",
                            LIMIT_EXPR_LIST_DEPTH);
        stack[depth++] = (frame_t){ .from = child, .to = room };
    }
    return OK;
}

static err_t s_params(ctx_t *ctx, Elanus__ExprParam *const *from, size_t n, expr_param_t **ret)
{
    expr_param_t *params = ctx_try(ctx, (n + 1) * sizeof *params);
    if (!params)
        return ctx_fail(ctx, ERR_MEMORY, "no memory for %zu parameters", n);
    for (size_t i = 0; i < n; i++) {
        Elanus__ExprValue *value = NULL;
        params[i].name = view_str(from[i]->name);
        TRY(PB_UNPACK(ctx, elanus__expr_value, view_of(from[i]->value.data, from[i]->value.len),
                      &value));
        TRY(s_values(ctx, value, &params[i].value));
    }
    *ret = params;
    return OK;
}

/* --- plans ------------------------------------------------------------------------------- */

typedef struct filter {
    const char *text;
    Elanus__ExprParam **params;
    size_t n_params;
} filter_t;

static err_t s_parse(ctx_t *ctx, schema_t *schema, const filter_t *filter, expr_t **ret)
{
    expr_param_t *params = NULL;
    TRY(s_params(ctx, filter->params, filter->n_params, &params));
    err_t err = expr_parse(ctx, view_str(filter->text), schema, params, filter->n_params, ret);
    if (err == ERR_PARAM_INVALID)
        return ctx_prefix(ctx, "failed to create query plan: cannot parse expression: %s, error",
                          filter->text);
    return err;
}

static void s_make_key(const schema_t *schema, const filter_t *filter, buf_t *key)
{
    buf_add_u64(key, (uint64_t)(uintptr_t)schema);
    buf_add_u64(key, strlen(filter->text));
    buf_add_str(key, filter->text);
    for (size_t i = 0; i < filter->n_params; i++) {
        const Elanus__ExprParam *param = filter->params[i];
        buf_add_u64(key, strlen(param->name));
        buf_add_str(key, param->name);
        buf_add_u64(key, param->value.len);
        buf_add(key, param->value.data, param->value.len);
    }
}

/* Moves the key. */
static void s_keep(query_plans_t *plans, buf_t *key, expr_t *expr)
{
    plan_t *plan = &plans->ring[plans->next++ % LIMIT_QUERY_PLANS];
    if (plan->expr)
        map_del(plans->by_key, buf_view(&plan->key));
    expr_unref(&plan->expr);
    buf_fini(&plan->key);
    *plan = (plan_t){ .expr = expr_ref(expr), .key = *key };
    *key = (buf_t){0};
    map_put(plans->by_key, buf_view(&plan->key), plan);
}

err_t query_read_filter(ctx_t *ctx, query_plans_t *plans, query_read_t *read, expr_t **ret)
{
    filter_t filter = read->search
        ? (filter_t){ read->search->filter, read->search->params, read->search->n_params }
        : (filter_t){ read->query->filter, read->query->params, read->query->n_params };
    if (filter.text[0] == '\0')
        return OK;
    buf_scoped key = {0};
    buf_init(&key, LIMIT_QUERY_PLAN_BYTES);
    if (plans)
        s_make_key(read->schema, &filter, &key);
    const plan_t *kept = plans && buf_ok(&key) ? map_get(plans->by_key, buf_view(&key)) : NULL;
    if (kept) {
        *ret = expr_ref(kept->expr);
        return OK;
    }
    TRY(s_parse(ctx, read->schema, &filter, ret));
    if (plans && buf_ok(&key))
        s_keep(plans, &key, *ret);
    return OK;
}
