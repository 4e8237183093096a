/* json_rows - rows as REST clients write them, as the messages that gRPC clients send
 *
 * A client's row is an object: members that are fields become cells, others go
 * into the dynamic field as they are.  Numbers may be written as texts, because
 * JavaScript cannot write every int64.  What is JSON but does not fit the
 * schema is left for proxy/rows.h to refuse.
 */
#ifndef PROXY_JSON_ROWS_H
#define PROXY_JSON_ROWS_H

#include <jansson.h>

#include "core/schema/schema.h"
#include "milvus.pb-c.h"

/* A message for each field, in the arena.
 *   data     an array of objects, or one object; borrowed
 *   upsert   an automatic primary key may be given
 * Errors  ERR_REST_INSERT with Milvus's words; ERR_MEMORY */
err_t must_use json_rows(ctx_t *ctx, json_t *data, const schema_t *schema, bool upsert,
                         Schema__FieldData ***ret, size_t *ret_n, uint32_t *ret_rows);

#endif
