/* json_vector - a vector as REST clients write it: a list of numbers, an object of a sparse one,
 * base64 of its bytes */
#ifndef PROXY_JSON_VECTOR_H
#define PROXY_JSON_VECTOR_H

#include <jansson.h>

#include "core/base/buf.h"
#include "core/schema/schema.h"

/* Append the cell of a vector field.
 *
 *   FloatVector                   [0.1, 0.2]
 *   Float16Vector, BFloat16Vector the same, or base64 of the halves
 *   Int8Vector                    [1, -2], or base64
 *   BinaryVector                  base64, or the bytes as numbers
 *   SparseFloatVector             {"1": 0.5, "7": 0.2} or {"indices": [1, 7], "values": [0.5, 0.2]}
 *
 * Errors  ERR_PARAM_INVALID  it is none, or of another dimension
 *         ERR_MEMORY */
err_t must_use json_vector(ctx_t *ctx, const field_t *field, json_t *value, buf_t *into);

#endif
