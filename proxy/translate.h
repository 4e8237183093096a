/* translate - Milvus's messages to Elanus's and back, where both say the same thing */
#ifndef PROXY_TRANSLATE_H
#define PROXY_TRANSLATE_H

#include "core/base/base.h"
#include "elanus.pb-c.h"
#include "milvus.pb-c.h"

/* Lists of pairs, all in the arena. */
Elanus__Pair **translate_pairs_in(ctx_t *ctx, Common__KeyValuePair *const *pairs, size_t n);
Common__KeyValuePair **translate_pairs_out(ctx_t *ctx, Elanus__Pair *const *pairs, size_t n);

/* A valid CreateCollection as the Collection to be made; field ids are given here, and the
 * hidden dynamic field is added. */
Elanus__Collection *translate_collection_in(ctx_t *ctx,
                                            const Milvus__CreateCollectionRequest *request,
                                            const Schema__CollectionSchema *schema);

/* The schema as clients see it: without the hidden field. */
Schema__CollectionSchema *translate_schema_out(ctx_t *ctx, const Elanus__Collection *coll);

#endif
