/* picture - some prefixes of the metadata, unpacked, in memory
 *
 * What the pictures of a node have in common: messages by key, kept by batches
 * of watches.  It shows only what belongs: a value that is no message of its
 * kind, or lies under another key than its own, is logged and left out.
 *
 * Who writes keys himself shows his own transaction at once; until the watch
 * has come that far, what it says about those keys is older and is ignored.  A
 * list of all keys that was read beside the watch goes in as RESET, PUT …,
 * SYNCED, and the same holds for it.
 *
 * What a lookup returns is borrowed and lives until the next change of that key.
 * Thread: the node that owns it.
 */
#ifndef CORE_CATALOG_PICTURE_H
#define CORE_CATALOG_PICTURE_H

#include "core/meta/meta.h"
#include "core/wire/wire.h"

enum { PICTURE_KINDS = 8 };             /* most that one picture has */

typedef struct picture_kind {
    const char *root;                   /* "owner/" */
    const ProtobufCMessageDescriptor *type;
    /* Where such a message must lie; arena. */
    const char *(*key)(ctx_t *ctx, const void *message);
} picture_kind_t;

typedef struct picture picture_t;

/* kinds: [n] at most PICTURE_KINDS, static. */
picture_t *picture_new(const picture_kind_t *kinds, unsigned n);
void picture_destroy(picture_t **self_p);

/* A key got another message; NULL: it had none, has none.  Both live during the call. */
typedef void picture_fn(void *arg, unsigned kind, const void *was, const void *now);

/* A batch of the watch on one kind's prefix.  fn may be NULL. */
void picture_watched(picture_t *self, ctx_t *ctx, unsigned kind, const meta_change_t *changes,
                     size_t n, picture_fn *fn, void *arg);

/* Our own transaction put (value) or deleted (NULL) this key at rev.
 * ERR_CORRUPT: the value is not of its kind; the picture keeps what it had. */
err_t must_use picture_wrote(picture_t *self, ctx_t *ctx, const char *key, const view_t *value,
                             int64_t rev, picture_fn *fn, void *arg);

/* That kind's watch has shown the present at least once. */
bool picture_synced(const picture_t *self, unsigned kind);

/* The newest revision at which something of that kind is known to have changed. */
int64_t picture_rev(const picture_t *self, unsigned kind);

/* NULL when there is none; *ret_rev: its mod revision, may be NULL. */
const void *picture_get(const picture_t *self, const char *key, int64_t *ret_rev);

/* Messages under a prefix in the order of qsort's compare, which is given
 * pointers to their pointers; an array in the arena.
 * Cost    O(keys of the picture) */
size_t picture_list(const picture_t *self, ctx_t *ctx, const char *prefix,
                    int (*compare)(const void *, const void *), const void ***ret);

#endif
