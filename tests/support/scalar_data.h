/* scalar_data - scalar indexes over columns in memory, and a plan that is answered by them */
#ifndef TESTS_SUPPORT_SCALAR_DATA_H
#define TESTS_SUPPORT_SCALAR_DATA_H

#include "core/scalar/scalar_index.h"

enum { SCALAR_DATA_FIELDS = 64 };

/* An index for each field that has one. */
typedef struct scalar_data {
    size_t n;                   /* fields */
    buf_t objects[SCALAR_DATA_FIELDS];
    void *memory[SCALAR_DATA_FIELDS];   /* the objects again, aligned */
    scalar_index_t *indexes[SCALAR_DATA_FIELDS];
} scalar_data_t;

/* Build the index of a field in `parts` columns, which are cut from one. */
err_t scalar_data_build(ctx_t *ctx, scalar_type_t type, const column_t *column, size_t parts,
                        uint64_t seed, buf_t *ret);

/* Open an object at an aligned place; *ret_memory is the caller's to free, after failures too. */
err_t scalar_data_open(ctx_t *ctx, view_t object, void **ret_memory, scalar_index_t **ret);

/* For each field an index of a type that fits it, chosen by `pick`; fails the test if one cannot
 * be had. */
void scalar_data_init(scalar_data_t *self, ctx_t *ctx, const column_t *const *columns, size_t n,
                      uint64_t pick);
void scalar_data_fini(scalar_data_t *self);

/* Answer what can be answered, in the arena of ctx; then the rest from rows [first, first +
 * ret->n_bits) of the columns.  Returns how many predicates were answered. */
size_t scalar_data_eval(const scalar_data_t *self, ctx_t *ctx, const expr_t *plan,
                        const column_t *const *columns, size_t first, bitset_t *ret);

#endif
