/* build_job - one attempt at one index: read the vectors, build, put the objects
 *
 *     binlogs of one field ─► core/segment/field_index.h ─► index/<build>/<attempt>/<n>
 *
 * Objects carry the store's checksums and their own.  What a failed or cancelled
 * attempt has put stays behind without a name; the leading coord removes it.
 *
 * Made, cancelled and destroyed by the node; run by a worker.  In between the
 * node looks at no more than its percent.
 */
#ifndef INDEXNODE_BUILD_JOB_H
#define INDEXNODE_BUILD_JOB_H

#include "core/base/pool.h"
#include "core/store/store.h"
#include "elanus.pb-c.h"

typedef struct build_job build_job_t;

typedef struct build_job_options {
    store_t *store;             /* borrowed */
    pool_t *pool;               /* borrowed; threads that help; NULL: none do */
    size_t threads;             /* at most so many build */
} build_job_options_t;

/* payload: a packed BuildAsk, copied.
 * Errors  ERR_MALFORMED; ERR_PARAM_INVALID, ERR_INDEX_TYPE: such a thing is not built */
err_t must_use build_job_new(ctx_t *ctx, const build_job_options_t *options, view_t payload,
                             build_job_t **ret);

/* After it has run, or when it never will. */
void build_job_destroy(build_job_t **self_p);

const Elanus__BuildAsk *build_job_ask(const build_job_t *self);

/* Memory it will take, about: the cells, and what the build of its type needs; rather too much.
 * And the least it may be, where that is a guess: with less, nobody needs to begin. */
uint64_t build_job_need(const build_job_t *self);
uint64_t build_job_need_least(const build_job_t *self);

/* A job_fn.
 * Errors  of field_index_build and field_scalar_build; ERR_CANCELED by build_job_cancel
 * Thread  a worker of a builder's pool: seconds to minutes */
err_t build_job_run(ctx_t *ctx, void *job);

/* Any thread: it ends soon, with ERR_CANCELED unless it was about to end anyway. */
void build_job_cancel(build_job_t *self);
unsigned build_job_percent(const build_job_t *self);

/* What it has put, once it ran and came out OK: names in the arena of ctx. */
size_t build_job_objects(const build_job_t *self, ctx_t *ctx, char ***ret);
uint64_t build_job_bytes(const build_job_t *self);

#endif
