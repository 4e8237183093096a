/* builds - which indexes of which segments are built, or are being built
 *
 *     build/<collection>/<segment>/<index>     Build
 *
 * A picture of these, as the catalog is one of others.  The leading coord puts
 * them; query nodes search with what is DONE; clients ask how far it is.
 *
 * What a lookup returns is borrowed and lives until the next change of that
 * key.  Thread: the node that owns it.
 */
#ifndef CORE_CATALOG_BUILDS_H
#define CORE_CATALOG_BUILDS_H

#include "core/meta/meta.h"
#include "elanus.pb-c.h"

typedef struct builds builds_t;

builds_t *builds_new(void);
void builds_destroy(builds_t **self_p);

const char *builds_root(void);          /* "build/" */

/* now NULL: it was deleted; then `was` is what it was. */
typedef void builds_fn(void *arg, const Elanus__Build *was, const Elanus__Build *now);

/* A batch of the watch; fn (may be NULL) hears of every key that changed by it.  What
 * builds_put has shown already does not change. */
void builds_watched(builds_t *self, ctx_t *ctx, const meta_change_t *changes, size_t n,
                    builds_fn *fn, void *arg);
bool builds_synced(const builds_t *self);

/* Our own transaction was applied at rev: show it before the watch does.  value NULL: deleted. */
err_t must_use builds_put(builds_t *self, ctx_t *ctx, const char *key, const view_t *value,
                          int64_t rev);

/* *ret_rev: mod revision of the key, for a compare; may be NULL. */
const Elanus__Build *builds_get(const builds_t *self, uint64_t collection, uint64_t segment,
                                uint64_t index, int64_t *ret_rev);

/* Of one collection (0: of all), of one segment of it (0: of all): by segment and index; an
 * array in the arena. */
size_t builds_of(const builds_t *self, ctx_t *ctx, uint64_t collection, uint64_t segment,
                 const Elanus__Build ***ret);

/* Is an index of this definition made of such a field at all?  If not, it counts as built for
 * every row, and searches scan. */
bool builds_makes(const Elanus__Collection *coll, const Elanus__Index *index);

/* The same of one segment: flushed, and with at least min_rows rows. */
bool builds_wants(const Elanus__Segment *segment, uint64_t min_rows);

const char *builds_key(ctx_t *ctx, uint64_t collection, uint64_t segment, uint64_t index);

#endif
