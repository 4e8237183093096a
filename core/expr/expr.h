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

/* --- answers from elsewhere ------------------------------------------------------------------
 *
 * Some predicates can be answered for many rows at once by who keeps the field's values in
 * order: an index.  It is told what they ask, and what it answers stands for reading the
 * column; all that is not answered is evaluated. */

typedef enum expr_ask_kind {
    EXPR_ASK_SPAN,              /* numbers, Bool: of low_int..high_int, low..high */
    EXPR_ASK_TEXT,              /* VarChar: between two texts */
    EXPR_ASK_IN,                /* one of the set */
    EXPR_ASK_LIKE,
    EXPR_ASK_ANY, EXPR_ASK_ALL, /* Array: has one of the set, has all of it */
    EXPR_ASK_NULL,
} expr_ask_kind_t;

/* Constants without repeats; doubles that are whole are among the ints, also where the field
 * is a Float. */
typedef struct expr_ask_set {
    const int64_t *ints;        /* [n_ints] sorted, as the others */
    const double *doubles;
    const view_t *strings;
    size_t n_ints, n_doubles, n_strings;
    bool has[2];                /* false, true */
} expr_ask_set_t;

typedef struct expr_ask {
    expr_ask_kind_t kind;
    size_t leaf;                /* its number in the plan */
    size_t field;               /* place in the schema */
    bool negate;                /* of the rows that have a value, those of which it is not true */
    bool empty;                 /* SPAN: of no value */
    int64_t low_int, high_int;  /* SPAN of integers and Bool: both included */
    double low, high;           /* SPAN of Float and Double: both included, may be NaN */
    bool has_low, has_high;     /* TEXT: there is such a bound … */
    bool low_open, high_open;   /* … and it is not included */
    view_t low_text, high_text;
    expr_ask_set_t set;
    const struct like *like;    /* core/expr/like.h */
} expr_ask_t;

/* The next predicate that an index could answer, from leaf *at on; false: there is none.
 *   at   in and out, 0 at first
 *   ret  borrowed from the plan */
bool expr_next_ask(const expr_t *self, size_t *at, expr_ask_t *ret);

/* What somebody says of one predicate, a bit a row. */
typedef struct expr_answer {
    size_t leaf;
    const uint64_t *truth;      /* it is true of the row; where it is null it does not matter */
    const uint64_t *valid;      /* 0: null, so neither true nor false; NULL: no row is */
} expr_answer_t;

typedef struct expr_answers {
    const expr_answer_t *at;    /* [n] by leaf */
    size_t n;
    size_t n_rows;              /* of every answer */
    size_t first;               /* the row of theirs that is row 0 here */
} expr_answers_t;

/* Which fields have still to be read?  ret: [schema_len] */
void expr_needs_beside(const expr_t *self, const expr_answers_t *answers, bool *ret);

/* As expr_narrow.
 *   columns   those of fields that expr_needs_beside denies may be NULL
 *   answers   borrowed; NULL: none */
err_t must_use expr_narrow_beside(ctx_t *ctx, const expr_t *self, const column_t *const *columns,
                                  const expr_answers_t *answers, size_t n_rows, bitset_t *bits);

#endif
