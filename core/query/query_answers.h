/* query_answers - predicates of a filter that a segment's scalar indexes answer
 *
 * The first part of a segment that filters rows asks the indexes, for the whole segment; the
 * others find the bits there.  A predicate is asked of an index where that is cheaper than reading
 * the column, by an estimate of both; the rest of the filter is evaluated as ever, so the rows that
 * come out are the same.
 */
#ifndef CORE_QUERY_QUERY_ANSWERS_H
#define CORE_QUERY_QUERY_ANSWERS_H

#include "core/expr/expr.h"
#include "core/segment/sealed.h"

typedef struct answers answers_t;

/* Of one filter over one segment, by the indexes it has at this moment; NULL: none of them is of
 * a field of the filter.
 *   filter, schema  borrowed as long as it lives */
answers_t *answers_new(const expr_t *filter, const schema_t *schema, sealed_t *sealed);
void answers_destroy(answers_t **self_p);

/* What is answered, for rows from `first` of the segment on; made at the first ask.
 *   self       NULL: nothing is
 *   ret        borrowed; n is 0: nothing is answered
 *   ret_needs  [schema_len] fields to read nevertheless; borrowed; untouched if nothing is
 * Errors  of scalar_index_answer
 * Thread  any, beside others */
err_t must_use answers_of(ctx_t *ctx, answers_t *self, size_t first, expr_answers_t *ret,
                          const bool **ret_needs);

/* Is asking the index cheaper than reading the column? */
bool answers_is_cheaper(const schema_t *schema, size_t n_rows, const expr_ask_t *ask,
                        const scalar_work_t *work);

/* How many predicates were answered. */
size_t answers_count(const answers_t *self);

#endif
