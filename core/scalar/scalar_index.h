/* scalar_index - the values of one scalar field of one sealed segment in order, with their rows
 *
 * Answers what a filter asks of the field (core/expr's expr_ask_t) for all rows of the segment at
 * once, without reading the column: a bit a row, the very bits that evaluating it gives.
 *
 *     build    columns ──► one object
 *     open     the object, in memory or mapped ──► scalar_index_t, which any thread asks
 *     answer   a predicate ──► the rows of which it is true
 *
 *     type        for                                     holds
 *     STL_SORT    numbers                                 every value in order, and its row
 *     INVERTED    Bool, numbers, VarChar, Array of those  each value once, and a list of rows
 *     BITMAP      Bool, integers, VarChar, Array of those the same, and a compressed bitmap
 *     TRIE        VarChar                                 a trie of the values, and lists
 *
 * Rows are numbered by their place in the segment.  A build depends on the rows and the spec
 * only, and takes no threads: a million rows are a fraction of a second.
 */
#ifndef CORE_SCALAR_SCALAR_INDEX_H
#define CORE_SCALAR_SCALAR_INDEX_H

#include "core/expr/expr.h"

/* The numbers are in files. */
typedef enum scalar_type {
    SCALAR_NONE, SCALAR_SORT, SCALAR_INVERTED, SCALAR_BITMAP, SCALAR_TRIE, SCALAR_TYPES
} scalar_type_t;

/* "STL_SORT", "INVERTED", "BITMAP", "Trie", "TRIE"; "AUTOINDEX" is INVERTED.  False: no scalar
 * index is called so. */
bool scalar_type_parse(const char *name, scalar_type_t *ret);
const char *scalar_type_name(scalar_type_t type);

/* Do such fields have such an index? */
bool scalar_type_fits(scalar_type_t type, type_t cells, type_t element);

typedef struct scalar_spec {
    scalar_type_t type;
    type_t cells, element;      /* of the field; element: of an Array's */
    uint64_t seed;              /* of the build: tells its object from another's */
} scalar_spec_t;

/* Build from the columns of the segment, one after the other.
 *   columns  [n] borrowed; type and element of the spec
 *   percent  how far it is; NULL: nobody asks
 *   ret      out, empty before, the caller's; the object
 * Errors  ERR_CORRUPT  an Array cell is damaged; ERR_MEMORY; ERR_CANCELED, ERR_TIMEOUT  ctx says
 *         so; ERR_PARAM_TOO_LARGE  it would pass LIMIT_INDEX_OBJECT_BYTES
 * Cost    memory: 64 bytes a value (SCALAR_VALUE_BYTES), and the object
 * Thread  a compute worker */
err_t must_use scalar_index_build(ctx_t *ctx, const scalar_spec_t *spec, const column_t *columns,
                                  size_t n, _Atomic unsigned *percent, buf_t *ret);

typedef struct scalar_index scalar_index_t;

/* Open a build's object; every byte is verified.
 *   name   for texts; copied where it is kept
 *   bytes  borrowed until the index is destroyed; 64-aligned
 * Errors  ERR_CORRUPT  naming the object; ERR_VERSION  made by a newer program; ERR_MEMORY */
err_t must_use scalar_index_open(ctx_t *ctx, const char *name, view_t bytes, scalar_index_t **ret);
void scalar_index_destroy(scalar_index_t **self_p);

const scalar_spec_t *scalar_index_spec(const scalar_index_t *self);
size_t scalar_index_rows(const scalar_index_t *self);       /* of the segment, with nulls */
size_t scalar_index_terms(const scalar_index_t *self);      /* values that it holds */

/* A bit a row, 0: the value is null; NULL: none is. */
const uint64_t *scalar_index_valid(const scalar_index_t *self);

/* What an answer takes. */
typedef struct scalar_work {
    uint64_t matches;           /* rows of which it is true, about */
    uint64_t rows;              /* that will be set one by one, about; those of lists count
                                   twice, bitmaps' of which there are many less */
    uint64_t terms;             /* values that will be looked at */
} scalar_work_t;

/* False: this index cannot answer it.  Cost  some searches, not more than 64 */
bool scalar_index_estimate(const scalar_index_t *self, const expr_ask_t *ask, scalar_work_t *ret);

/* Which rows is it true of?  Only for what was estimated.
 *   ret  out, initialised by the caller with scalar_index_rows bits, all 0
 * Errors  ERR_MEMORY; ERR_CANCELED, ERR_TIMEOUT
 * Thread  any, many at once */
err_t must_use scalar_index_answer(ctx_t *ctx, const scalar_index_t *self, const expr_ask_t *ask,
                                   bitset_t *ret);

/* Those bits, borrowed, as core/expr takes them. */
expr_answer_t scalar_index_says(const scalar_index_t *self, const expr_ask_t *ask,
                                const bitset_t *bits);

#endif
