/* validate - is what a client wants to call or make something allowed?
 *
 * Names, and the schema of a collection, with Milvus's codes and texts.  What
 * depends on what else there is, is decided by the coordinator.
 */
#ifndef PROXY_VALIDATE_H
#define PROXY_VALIDATE_H

#include "core/base/base.h"
#include "milvus.pb-c.h"

/* what: "name" or "alias". */
err_t must_use validate_collection_name(ctx_t *ctx, const char *what, const char *name);
err_t must_use validate_database_name(ctx_t *ctx, const char *name);
err_t must_use validate_partition_name(ctx_t *ctx, const char *name);
err_t must_use validate_field_name(ctx_t *ctx, const char *name);
err_t must_use validate_group_name(ctx_t *ctx, const char *name);
err_t must_use validate_index_name(ctx_t *ctx, const char *name);

/* Everything about a CreateCollection that can be told without looking at the catalog. */
err_t must_use validate_create(ctx_t *ctx, const Milvus__CreateCollectionRequest *request,
                               const Schema__CollectionSchema *schema);

/* One field of it; the type parameters too. */
err_t must_use validate_field(ctx_t *ctx, const char *collection,
                              const Schema__FieldSchema *field);

/* A whole decimal number; false when it is none. */
bool validate_number(const char *text, int64_t *ret);

const char *validate_param(Common__KeyValuePair *const *pairs, size_t n, const char *key);

/* "Int64", as Go prints a schema.DataType. */
const char *validate_type_name(int type);

#endif
