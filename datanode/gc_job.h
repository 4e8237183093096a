/* gc_job - finding and removing objects that nothing names
 *
 * Objects without a name in metadata are what attempts left behind that failed or
 * whose process died.  A look walks the store page by page and reports objects that
 * were begun long ago (the attempt number tells); the node compares these with metadata
 * that is newer than the list, and hands what remains to a sweep.  Metadata older than
 * the list would miss an object that was put and named in between.
 */
#ifndef DATANODE_GC_JOB_H
#define DATANODE_GC_JOB_H

#include "core/base/limits.h"
#include "core/base/vec.h"
#include "core/store/store.h"

typedef struct gc_found {
    const char *key;            /* of the look's memory, until the next page */
    uint64_t collection, segment;
} gc_found_t;

typedef struct gc_look {
    ctx_t memory;               /* of one page */
    store_t *store;             /* borrowed */
    int64_t before_ms;          /* wall clock: younger objects are left alone */
    unsigned kind;              /* which prefix */
    char after[LIMIT_STORE_KEY_BYTES + 1];  /* where the next page begins; "": at the front */
    vec_t found;                /* of gc_found_t: this page's */
    bool done;                  /* there is no other page */
} gc_look_t;

gc_look_t *gc_look_new(store_t *store, int64_t before_ms);
void gc_look_destroy(gc_look_t **self_p);

/* A job_fn: one page.  Errors of store_list; the next run begins where this one did. */
err_t gc_look_run(ctx_t *ctx, void *look);

typedef struct gc_sweep {
    ctx_t memory;
    store_t *store;             /* borrowed */
    vec_t keys;                 /* of const char * */
    size_t n_done;
} gc_sweep_t;

gc_sweep_t *gc_sweep_new(store_t *store);
void gc_sweep_destroy(gc_sweep_t **self_p);
void gc_sweep_add(gc_sweep_t *self, const char *key);       /* copied */

/* A job_fn: delete all of them.  Errors of store_delete; may be run again. */
err_t gc_sweep_run(ctx_t *ctx, void *sweep);

#endif
