/* placeholders - the query vectors of a search
 *
 * They come as a PlaceholderGroup, a message inside a bytes field, with one
 * value a vector.  They leave as a column of the vector field's type.
 */
#ifndef PROXY_PLACEHOLDERS_H
#define PROXY_PLACEHOLDERS_H

#include "core/base/buf.h"
#include "core/schema/column.h"

/* How many vectors a group holds.  ERR_PARAM_INVALID: it is no group. */
err_t must_use placeholders_count(ctx_t *ctx, view_t group, size_t *ret);

/* The vectors as a column's bytes (core/schema/column.h), appended to `into`.
 *   nq   as the request says, checked against the group
 * Errors  ERR_UNEXPECTED  another type or dimension than the field's, with Milvus's texts
 *         ERR_PARAM_INVALID  no group, or another number of vectors than nq
 *         ERR_MEMORY */
err_t must_use placeholders_read(ctx_t *ctx, view_t group, const field_t *field, size_t nq,
                                 buf_t *into);

#endif
