/* catalog - what there is: databases, collections, aliases, load targets, index definitions
 *
 * A picture of some prefixes of the metadata, in memory.  The leading
 * coordinator fills one when it takes over and changes it with each of its own
 * transactions; everybody else follows the watches.  Both ask it the same
 * questions, so a name means the same wherever it is looked up.
 *
 *     db/<id>                    Database
 *     coll/<id>                  Collection
 *     alias/<db id>/<name>       Alias
 *     load/<collection>          Load
 *     index/<collection>/<id>    Index
 *
 * What a lookup returns is borrowed and lives until the next change of that
 * key; schemas are shared.  Thread: the node that owns the catalog.
 */
#ifndef CORE_CATALOG_CATALOG_H
#define CORE_CATALOG_CATALOG_H

#include "core/meta/meta.h"
#include "core/schema/schema.h"
#include "elanus.pb-c.h"

typedef enum {
    CATALOG_DATABASE, CATALOG_COLLECTION, CATALOG_ALIAS, CATALOG_LOAD, CATALOG_INDEX, CATALOG_KINDS
} catalog_kind_t;

typedef struct catalog catalog_t;

catalog_t *catalog_new(void);
void catalog_destroy(catalog_t **self_p);

/* "db/", "coll/", … */
const char *catalog_root(catalog_kind_t kind);

/* --- changes ---------------------------------------------------------------- */

/* Key was put, or deleted, at revision rev.  ERR_CORRUPT: the value is no message of its
 * kind, or describes no possible collection; the catalog then keeps what it had.
 * A key outside the catalog's prefixes is ignored. */
err_t must_use catalog_put(catalog_t *self, ctx_t *ctx, const char *key, view_t value, int64_t rev);
void catalog_delete(catalog_t *self, const char *key, int64_t rev);

/* A batch of the watch on one kind's prefix.  What is damaged is logged and left out. */
void catalog_watched(catalog_t *self, ctx_t *ctx, catalog_kind_t kind,
                     const meta_change_t *changes, size_t n);

/* Every kind's watch has shown the present at least once, and the default database is there. */
bool catalog_synced(const catalog_t *self);

/* Something of this kind changed at rev, perhaps a key that is not there any more. */
void catalog_saw(catalog_t *self, catalog_kind_t kind, int64_t rev);

/* The newest revision at which something of this kind is known to have changed. */
int64_t catalog_rev(const catalog_t *self, catalog_kind_t kind);

/* --- questions: NULL when there is no such thing ------------------------------ */

const Elanus__Database *catalog_database(const catalog_t *self, const char *name);
const Elanus__Database *catalog_database_by_id(const catalog_t *self, uint64_t id);

/* By its own name only; catalog_find also takes an alias. */
const Elanus__Collection *catalog_collection(const catalog_t *self, uint64_t db, const char *name);
const Elanus__Collection *catalog_find(const catalog_t *self, uint64_t db, const char *name);
const Elanus__Collection *catalog_collection_by_id(const catalog_t *self, uint64_t id);
const Elanus__Alias *catalog_alias(const catalog_t *self, uint64_t db, const char *name);
const Elanus__Load *catalog_load(const catalog_t *self, uint64_t collection);
const Elanus__Partition *catalog_partition(const Elanus__Collection *coll, const char *name);
const Elanus__Field *catalog_field(const Elanus__Collection *coll, const char *name);

/* How rows of this collection look; borrowed, schema_ref it to keep it. */
schema_t *catalog_schema(const catalog_t *self, uint64_t collection);

/* Everything of one kind by its key; messages of that kind.  An array in the arena.
 * Cost    O(n log n) of that kind */
size_t catalog_list(const catalog_t *self, ctx_t *ctx, catalog_kind_t kind, const void ***ret);

/* The same of one collection, oldest first: its aliases by name, its indexes by id. */
size_t catalog_aliases_of(const catalog_t *self, ctx_t *ctx, uint64_t collection,
                          const Elanus__Alias ***ret);
size_t catalog_indexes_of(const catalog_t *self, ctx_t *ctx, uint64_t collection,
                          const Elanus__Index ***ret);

/* --- parts -------------------------------------------------------------------- */

/* Key of a thing, in the arena. */
const char *catalog_key_database(ctx_t *ctx, uint64_t id);
const char *catalog_key_collection(ctx_t *ctx, uint64_t id);
const char *catalog_key_alias(ctx_t *ctx, uint64_t db, const char *name);
const char *catalog_key_load(ctx_t *ctx, uint64_t collection);
const char *catalog_key_index(ctx_t *ctx, uint64_t collection, uint64_t index);

/* Value of a pair by its key, NULL when it is not there. */
const char *catalog_pair(Elanus__Pair *const *pairs, size_t n, const char *key);

/* True for "true" in any spelling Go's ParseBool takes. */
bool catalog_true(const char *text);

/* The schema a Collection describes.  ERR_CORRUPT when it describes none. */
err_t must_use catalog_make_schema(ctx_t *ctx, const Elanus__Collection *coll, schema_t **ret);

#endif
