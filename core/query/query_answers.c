/* query_answers - see query_answers.h
 *
 * Costs are in tenths of a nanosecond, measured on one core over a million rows.  They decide the
 * way only, never the answer; so they need to be right to a factor of two, where both ways cost
 * the same anyway.
 */
#include "core/query/query_answers.h"

#include <pthread.h>
#include <stdatomic.h>

#include "core/base/limits.h"

enum {
    SPAN_COST = 2, SPAN_BYTE_COST = 1, SET_COST = 120, TEXT_COST = 60, TEXT_SET_COST = 200,
    LIKE_COST = 80, ARRAY_COST = 600,                               /* a row that is read */
    ROW_COST = 18, TERM_COST = 25, WORD_COST = 60, ASK_COST = 1000, /* what an answer takes */
};

struct answers {
    const expr_t *filter;
    const schema_t *schema;
    field_scalar_t **scalars;   /* owned; [schema_len] references, or NULL */
    size_t n_rows;
    pthread_mutex_t lock;       /* guards making the rest */
    _Atomic bool made;
    bitset_t bits[LIMIT_SCALAR_ANSWERS];
    expr_answer_t at[LIMIT_SCALAR_ANSWERS];
    _Atomic size_t n;
    bool needs[LIMIT_FIELDS + 1];
};

answers_t *answers_new(const expr_t *filter, const schema_t *schema, sealed_t *sealed)
{
    size_t n_fields = schema_len(schema), n = 0;
    answers_t *self = mem_new(sizeof *self);
    *self = (answers_t){ .filter = filter, .schema = schema, .n_rows = sealed_rows(sealed) };
    check(n_fields <= ARRAY_LEN(self->needs));
    pthread_mutex_init(&self->lock, NULL);
    self->scalars = mem_new(n_fields * sizeof(field_scalar_t *));
    for (size_t f = 0; f < n_fields; f++) {
        self->scalars[f] = expr_needs(filter, f) ? sealed_scalar(sealed, f) : NULL;
        n += self->scalars[f] != NULL;
    }
    if (n == 0)
        answers_destroy(&self);
    return self;
}

void answers_destroy(answers_t **self_p)
{
    answers_t *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    for (size_t i = 0; i < ARRAY_LEN(self->bits); i++)
        bitset_fini(&self->bits[i]);
    for (size_t f = 0; f < schema_len(self->schema); f++)
        field_scalar_unref(&self->scalars[f]);
    mem_free(self->scalars);
    pthread_mutex_destroy(&self->lock);
    mem_free(self);
}

/* --- which way ---------------------------------------------------------------------------- */

static uint64_t s_scan_cost(expr_ask_kind_t kind, type_t type)
{
    switch (kind) {
    case EXPR_ASK_SPAN:
        return SPAN_COST + SPAN_BYTE_COST * type_width(type, 0);
    case EXPR_ASK_TEXT:
        return TEXT_COST;
    case EXPR_ASK_IN:
        return type == TYPE_VARCHAR ? TEXT_SET_COST : SET_COST;
    case EXPR_ASK_LIKE:
        return LIKE_COST;
    case EXPR_ASK_ANY:
    case EXPR_ASK_ALL:
        return ARRAY_COST;
    case EXPR_ASK_NULL:
        break;
    }
    return SPAN_COST;
}

bool answers_is_cheaper(const schema_t *schema, size_t n_rows, const expr_ask_t *ask,
                        const scalar_work_t *work)
{
    type_t type = schema_at(schema, ask->field)->type;
    uint64_t scan = n_rows * s_scan_cost(ask->kind, type);
    uint64_t asked = ASK_COST + work->rows * ROW_COST + work->terms * TERM_COST +
                     n_rows / 64 * WORD_COST;
    return asked < scan;
}

/* --- making -------------------------------------------------------------------------------- */

static err_t s_ask(ctx_t *ctx, answers_t *self, const expr_ask_t *ask, size_t *n)
{
    scalar_work_t work;
    if (!self->scalars[ask->field])
        return OK;
    const scalar_index_t *index = field_scalar_of(self->scalars[ask->field]);
    if (!scalar_index_estimate(index, ask, &work) ||
        !answers_is_cheaper(self->schema, self->n_rows, ask, &work))
        return OK;
    bitset_t *bits = &self->bits[*n];
    bitset_fini(bits);                          /* of an attempt that failed */
    TRY(bitset_init(ctx, bits, self->n_rows));
    TRY(scalar_index_answer(ctx, index, ask, bits));
    self->at[(*n)++] = scalar_index_says(index, ask, bits);
    return OK;
}

static err_t s_make(ctx_t *ctx, answers_t *self)
{
    expr_ask_t ask;
    size_t n = 0;
    for (size_t at = 0; n < LIMIT_SCALAR_ANSWERS && expr_next_ask(self->filter, &at, &ask); )
        TRY(s_ask(ctx, self, &ask, &n));
    expr_answers_t all = { .at = self->at, .n = n };
    expr_needs_beside(self->filter, &all, self->needs);
    atomic_store_explicit(&self->n, n, memory_order_relaxed);
    atomic_store_explicit(&self->made, true, memory_order_release);
    return OK;
}

err_t answers_of(ctx_t *ctx, answers_t *self, size_t first, expr_answers_t *ret,
                 const bool **ret_needs)
{
    err_t err = OK;
    if (!self)
        return OK;
    if (!atomic_load_explicit(&self->made, memory_order_acquire)) {
        pthread_mutex_lock(&self->lock);
        if (!atomic_load_explicit(&self->made, memory_order_relaxed))
            err = s_make(ctx, self);
        pthread_mutex_unlock(&self->lock);
    }
    if (err != OK)
        return err;
    size_t n = atomic_load_explicit(&self->n, memory_order_relaxed);
    *ret = (expr_answers_t){ .at = self->at, .n = n, .n_rows = self->n_rows, .first = first };
    *ret_needs = self->needs;
    return OK;
}

size_t answers_count(const answers_t *self)
{
    return self ? atomic_load_explicit(&self->n, memory_order_relaxed) : 0;
}
