/* field_scalar - the index of one scalar field of one sealed segment, between store and memory
 *
 * What field_index.h is for vectors: the index node builds it with the same job,
 *
 *     TRY(field_scalar_build(ctx, store, &job, &built));      // Built.objects: prefix/0
 *
 * and a query node opens it and hands it to the segment:
 *
 *     TRY(field_scalar_open(ctx, store, copies, objects, n, field, sealed_rows(sealed), &scalar));
 *     sealed_set_scalar(sealed, place_of_field, &scalar);
 *
 * Reads that begin afterwards let it answer filters where that is cheaper than reading the
 * column; what they find is the same.
 */
#ifndef CORE_SEGMENT_FIELD_SCALAR_H
#define CORE_SEGMENT_FIELD_SCALAR_H

#include "core/scalar/scalar_index.h"
#include "core/segment/field_index.h"

/* Is an index of this name (index_type) built of such a field? */
bool field_scalar_made(type_t type, type_t element, const char *name);

/* What to build, of the index_type among the parameters.  The seed is the caller's to set.
 * Errors  ERR_INDEX_TYPE  nobody builds it */
err_t must_use field_scalar_spec(ctx_t *ctx, const field_t *field, const index_pair_t *params,
                                 size_t n, scalar_spec_t *ret);

/* Memory that a build takes, the field's cells too, about.  Of texts and arrays nobody has counted
 * the bytes: what is known is how long each may be, and what the segment's objects take.
 *   bytes  of objects, of which the field's are some; 0: the least that it may take */
uint64_t field_scalar_need(const field_t *field, uint64_t n_rows, uint64_t bytes);

/* Read the field's binlogs, build, put the object.  how: percent is all that is used.
 * Errors  of field_scalar_spec, scalar_index_build, store_map, store_put; ERR_CORRUPT
 * Thread  blocks and computes */
err_t must_use field_scalar_build(ctx_t *ctx, store_t *store, const field_index_job_t *job,
                                  index_built_t *ret);

typedef struct field_scalar field_scalar_t;     /* shared, immutable */

/* Open what was built.
 *   copies   files for objects of a store that has none; NULL: they are read into memory
 *   objects  [n] keys
 *   n_rows   of the segment; an index of another number of rows is ERR_CORRUPT
 *   ret      out, one reference
 * Errors  of copies_map and scalar_index_open
 * Thread  I/O worker: blocks */
err_t must_use field_scalar_open(ctx_t *ctx, store_t *store, copies_t *copies,
                                 const char *const *objects, size_t n, const field_t *field,
                                 size_t n_rows, field_scalar_t **ret);
field_scalar_t *field_scalar_ref(field_scalar_t *self);
void field_scalar_unref(field_scalar_t **self_p);
static inline void field_scalar_destroy(field_scalar_t **self_p) { field_scalar_unref(self_p); }

const scalar_index_t *field_scalar_of(const field_scalar_t *self);
size_t field_scalar_bytes(const field_scalar_t *self);      /* of its map */
size_t field_scalar_mapped(const field_scalar_t *self);     /* what memory need not hold of it */

#endif
