/* segments - which segments there are, and from where a log is replayed
 *
 *     seg/<collection>/<segment>     Segment
 *     ckpt/<pchannel>                Checkpoint
 *
 * A picture of these, as the catalog is one of others.  Only the owner of a
 * segment's channel changes them, by transactions that compare owner/<pchannel>.
 */
#ifndef CORE_CATALOG_SEGMENTS_H
#define CORE_CATALOG_SEGMENTS_H

#include "core/meta/meta.h"
#include "elanus.pb-c.h"

typedef enum { SEGMENTS_SEG, SEGMENTS_CKPT, SEGMENTS_KINDS } segments_kind_t;

typedef struct segments segments_t;

segments_t *segments_new(void);
void segments_destroy(segments_t **self_p);

const char *segments_root(segments_kind_t kind);        /* "seg/", "ckpt/" */

/* What changed, as it is told on: now NULL when it was deleted. */
typedef void segments_fn(void *arg, uint64_t collection, uint64_t segment,
                         const Elanus__Segment *now);

/* A batch of the watch; fn (may be NULL) hears of every seg/ key that changed by it.  What
 * segments_put has shown already does not change. */
void segments_watched(segments_t *self, ctx_t *ctx, segments_kind_t kind,
                      const meta_change_t *changes, size_t n, segments_fn *fn, void *arg);
bool segments_synced(const segments_t *self);           /* both kinds */

/* Our own transaction was applied at rev: show it before the watch does.  value NULL: deleted. */
err_t must_use segments_put(segments_t *self, ctx_t *ctx, const char *key, const view_t *value,
                            int64_t rev);

const Elanus__Segment *segments_get(const segments_t *self, uint64_t segment, int64_t *ret_rev);
/* Was it replaced by one that is not known yet?  What was read by itself may be ahead of the
 * watch, which brings both.  False of one whose successor has come and gone. */
bool segments_is_ahead(const segments_t *self, const Elanus__Segment *record);

const Elanus__Checkpoint *segments_ckpt(const segments_t *self, const char *pchannel,
                                        int64_t *ret_rev);

/* Of one collection (0: of all), dropped ones too, by id; an array in the arena. */
size_t segments_of(const segments_t *self, ctx_t *ctx, uint64_t collection,
                   const Elanus__Segment ***ret);

const char *segments_key(ctx_t *ctx, uint64_t collection, uint64_t segment);
const char *segments_key_ckpt(ctx_t *ctx, const char *pchannel);

#endif
