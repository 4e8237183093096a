/* expr_reference - filters once more, slowly: a row is a tree of values, a filter a tree of nodes
 *
 * Written apart from core/expr and sharing nothing with it: no columns, no
 * blocks, no JSON text, recursion everywhere.  A test makes random rows and
 * filters, writes the rows into columns and the filter as text, and compares
 * what core/expr says with what this says.
 */
#ifndef TESTS_SUPPORT_EXPR_REFERENCE_H
#define TESTS_SUPPORT_EXPR_REFERENCE_H

#include "core/base/base.h"
#include "core/base/buf.h"
#include "core/schema/schema.h"

typedef enum ref_kind {
    REF_NULL, REF_BOOL, REF_INT, REF_DOUBLE, REF_STRING, REF_ARRAY, REF_OBJECT,
} ref_kind_t;

typedef struct ref_value ref_value_t;

struct ref_value {
    ref_kind_t kind;
    bool b;
    int64_t i;
    double d;
    const char *s;
    size_t n;                   /* ARRAY, OBJECT */
    ref_value_t *items;         /* [n] */
    const char **keys;          /* [n] OBJECT */
};

/* A field, or what a path in it leads to. */
typedef struct ref_place {
    size_t field;
    const char *name;           /* as the filter's text has it; NULL: the field's own */
    size_t n_path;
    ref_value_t path[3];        /* STRING: key; INT: index */
} ref_place_t;

typedef enum ref_op { REF_LT, REF_LE, REF_GT, REF_GE, REF_EQ, REF_NE } ref_op_t;

typedef enum ref_node_kind {
    REF_AND, REF_OR, REF_NOT, REF_COMPARE, REF_FLIPPED, REF_RANGE, REF_IN, REF_NOT_IN, REF_LIKE,
    REF_ARITH, REF_LENGTH, REF_FIELDS, REF_CONTAINS, REF_CONTAINS_ALL, REF_CONTAINS_ANY, REF_EXISTS,
    REF_IS_NULL, REF_IS_NOT_NULL,
} ref_node_kind_t;

typedef struct ref_node ref_node_t;

struct ref_node {
    ref_node_kind_t kind;
    ref_op_t op, op2;           /* RANGE: low op place op2 high, both up or both down */
    char arith;                 /* + - * / % */
    ref_place_t place, other;
    ref_value_t a, b;           /* constants: a; of RANGE a and b as written; of ARITH a is the
                                   operand and b what is compared with */
    const ref_node_t *left, *right;
};

/* Ways to be wrong, to show that a comparison can fail. */
typedef enum ref_bug {
    REF_BUG_NONE, REF_BUG_NULL_IS_FALSE, REF_BUG_LOOSE_RANGE, REF_BUG_MISSING_IS_EQUAL,
    REF_BUG_NO_UNDERSCORE, REF_BUG_FLIP_KEPT, REF_BUG_ANY_FOR_ALL, REF_BUG_COUNT,
} ref_bug_t;

/* 1 true, 0 false, -1 neither.  row: [schema_len] */
int ref_eval(const ref_node_t *node, const schema_t *schema, const ref_value_t *row, ref_bug_t bug);

/* The filter as a client would write it.  spelling: any number, picks among equal ways. */
void ref_write(const ref_node_t *node, const schema_t *schema, uint64_t spelling, buf_t *into);

/* A value as JSON text. */
void ref_write_json(const ref_value_t *value, uint64_t spelling, buf_t *into);

#endif
