/* field_index - the index of one vector field of one sealed segment, between store and memory
 *
 * Who builds one (the index node), with metadata's Build b and Segment s in hand:
 *
 *     field_index_job_t job = { .segment = s->id, .n_rows = s->rows, .field = &field,
 *                               .binlogs = s->binlogs, .n_binlogs = s->n_binlogs,
 *                               .params = pairs, .n_params = n, .seed = b->id,
 *                               .prefix = "index/<build>/<attempt>", .how = &how };
 *     TRY(field_index_build(ctx, store, &job, &built));   // Built.objects: prefix/0 …
 *
 * on a thread that may be busy for minutes: it reads the store, computes and writes the store.
 * ctx_cancel from another thread ends it within some ms; what was put by then is garbage.
 *
 * Who searches with it (a query node), once Build says DONE, on an I/O thread:
 *
 *     TRY(field_index_open(ctx, store, copies, objects, n, field, sealed_rows(sealed), &index));
 *     sealed_set_index(sealed, place_of_field, &index);       // any thread; the segment keeps it
 *
 * and nothing else: searches that begin afterwards (search_new) use it, those that run end with
 * what they began with.  The same with NULL in it takes it away again.  The
 * segment's own copy of the vectors is read only when someone asks for the vectors themselves, so
 * a segment that is opened without `preload` never loads them for searches.  A search whose metric
 * is not the index's scans.  sealed_bytes counts the index from then on.
 */
#ifndef CORE_SEGMENT_FIELD_INDEX_H
#define CORE_SEGMENT_FIELD_INDEX_H

#include "core/index/index.h"
#include "core/schema/schema.h"
#include "core/store/copies.h"

/* The cells of a vector field as indexes and kernels see them; false: not a vector. */
bool field_index_cells(type_t type, cell_t *ret);

/* Does anybody build an index of this name (index_type) of such a field?  If not, FLAT for one,
 * the field is scanned. */
bool field_index_made(type_t type, const char *name);

/* What to build, read from an index's definition.  The seed is the caller's to set.
 * Errors  of index_spec_read; ERR_INDEX_TYPE  nobody builds it */
err_t must_use field_index_spec(ctx_t *ctx, const field_t *field, const index_pair_t *params,
                                size_t n, index_spec_t *ret);

/* --- building ------------------------------------------------------------------------------- */

typedef struct field_index_job {
    uint64_t segment, n_rows;
    const field_t *field;
    const char *const *binlogs; /* of the whole segment, as metadata names them */
    size_t n_binlogs;
    const index_pair_t *params; /* index_type, metric_type … as of the index's definition */
    size_t n_params;
    uint64_t seed;              /* of the build; the same one builds the same bytes */
    const char *prefix;         /* objects are prefix/0, prefix/1 … */
    const index_how_t *how;     /* NULL: on this thread alone */
} field_index_job_t;

/* Read the field's binlogs, build, put the objects.
 * Errors  of field_index_spec, index_build, store_map, store_put; ERR_CORRUPT  the binlogs
 * Thread  blocks and computes */
err_t must_use field_index_build(ctx_t *ctx, store_t *store, const field_index_job_t *job,
                                 index_built_t *ret);

/* --- searching ------------------------------------------------------------------------------ */

typedef struct field_index field_index_t;   /* shared, immutable */

/* Open what was built.
 *   copies   files for objects of a store that has none; NULL: they are read into memory
 *   objects  [n] keys by number
 *   n_rows   of the segment; an index of another number of rows is ERR_CORRUPT
 *   ret      out, one reference
 * Errors  of copies_map and index_open
 * Thread  I/O worker: blocks */
err_t must_use field_index_open(ctx_t *ctx, store_t *store, copies_t *copies,
                                const char *const *objects, size_t n, const field_t *field,
                                size_t n_rows, field_index_t **ret);
field_index_t *field_index_ref(field_index_t *self);
void field_index_unref(field_index_t **self_p);
static inline void field_index_destroy(field_index_t **self_p) { field_index_unref(self_p); }

const index_t *field_index_of(const field_index_t *self);
size_t field_index_bytes(const field_index_t *self);    /* of memory, and of maps that stay */
size_t field_index_mapped(const field_index_t *self);   /* of these, what memory need not hold */

#endif
