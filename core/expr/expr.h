/* expr - Milvus's filter language: text to a plan, a plan over columns to a bitset
 *
 *     expr_t *plan = NULL;
 *     TRY(expr_parse(ctx, view_str("age > 18 and name like \"A%\""), schema, NULL, 0, &plan));
 *     TRY(expr_eval(ctx, plan, columns, n_rows, &bits));
 *     expr_unref(&plan);
 *
 * A plan is immutable and shared: one parse serves every segment and thread.
 * Parsing resolves names against the schema, checks types and folds constants,
 * so that evaluation has nothing left to refuse.  The language is described in
 * core/expr/README.md.
 */
#ifndef CORE_EXPR_EXPR_H
#define CORE_EXPR_EXPR_H

#include "core/base/base.h"
#include "core/base/bitset.h"
#include "core/schema/column.h"
#include "core/schema/schema.h"

typedef struct expr expr_t;

/* A constant: of the text, or given for a `{name}` in it. */
typedef enum expr_kind {
    EXPR_NONE, EXPR_BOOL, EXPR_INT, EXPR_DOUBLE, EXPR_STRING, EXPR_ARRAY,
} expr_kind_t;

typedef struct expr_value expr_value_t;

struct expr_value {
    expr_kind_t kind;
    union {
        bool b;
        int64_t i;
        double d;
        view_t s;
        struct {
            const expr_value_t *at;
            size_t n;
        } list;
    };
};

typedef struct expr_param {
    view_t name;                /* without braces */
    expr_value_t value;
} expr_param_t;

/* Parse and check; everything is copied that the plan needs later.
 *
 *   text      UTF-8, at most LIMIT_EXPR_BYTES; only white space: a plan that is always true
 *   schema    shared; the plan keeps a reference
 *   params    [n_params] values for `{name}`; borrowed for the call
 *   ret       out, caller unrefs; must enter NULL, stays NULL on failure
 *
 * Errors  ERR_PARAM_INVALID  with Milvus's words for what is wrong, and nothing around them;
 *                            ctx_prefix(ctx, "failed to create query plan: cannot parse
 *                            expression: %s, error", text) completes them
 *         ERR_MEMORY         over the budget of ctx
 * Cost    linear in the text, lists are sorted or hashed; no recursion
 * Thread  any */
err_t must_use expr_parse(ctx_t *ctx, view_t text, schema_t *schema, const expr_param_t *params,
                          size_t n_params, expr_t **ret);

expr_t *expr_ref(expr_t *self);
void expr_unref(expr_t **self_p);
static inline void expr_destroy(expr_t **self_p) { expr_unref(self_p); }

/* The text it was parsed from. */
view_t expr_text(const expr_t *self);

/* True for a plan that takes every row without looking (an empty text, `1 == 1`). */
bool expr_is_always_true(const expr_t *self);

/* Does evaluation read schema field i? */
bool expr_needs(const expr_t *self, size_t field);

/* The primary keys of a plan that is exactly `pk in [..]` or `pk == x`: sorted, no
 * repeats, borrowed from the plan.  False for every other plan, which may take rows
 * by anything.  n may be 0 (`pk in []`). */
typedef struct expr_pks {
    type_t type;                /* TYPE_INT64 or TYPE_VARCHAR: which of the two is set */
    const int64_t *ints;
    const view_t *strings;
    size_t n;
} expr_pks_t;

bool expr_pk_list(const expr_t *self, expr_pks_t *ret);

/* Which of rows 0..n-1 satisfy the plan?
 *
 *   columns   [schema_len] by field index, each of n_rows cells; those of fields that
 *             expr_needs denies may be NULL
 *   ret       out, initialised by the caller with n_rows bits; on failure its bits are open
 *
 * A comparison with a null is neither true nor false, and stays so under `not`.
 * Errors  ERR_MEMORY; ERR_CANCELED and ERR_TIMEOUT by ctx, asked every some thousand rows
 * Cost    O(rows × leaves) in blocks that fit the cache; rows that the left side of an
 *         `and` or `or` has decided are not looked at again where a look is dear
 * Thread  any, many at once on one plan */
err_t must_use expr_eval(ctx_t *ctx, const expr_t *self, const column_t *const *columns,
                         size_t n_rows, bitset_t *ret);

/* The same, but only rows whose bit is set on entry can stay set. */
err_t must_use expr_narrow(ctx_t *ctx, const expr_t *self, const column_t *const *columns,
                           size_t n_rows, bitset_t *bits);

#endif
