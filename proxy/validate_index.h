/* validate_index - may this field have that index? */
#ifndef PROXY_VALIDATE_INDEX_H
#define PROXY_VALIDATE_INDEX_H

#include "core/base/base.h"
#include "elanus.pb-c.h"

/* Check the parameters of an index to be made on a field.
 *   pairs, n        in: as the client sent them; out: as clients will see them, arena
 *   ret_automatic   AUTOINDEX, asked for or by default
 * Errors  Milvus's codes and texts */
err_t must_use validate_index(ctx_t *ctx, const Elanus__Field *field, Elanus__Pair ***pairs,
                              size_t *n, bool *ret_automatic);

#endif
