/* pool - worker threads for what a node must not do itself
 *
 * I/O pools run blocking calls (meta, store), compute pools run searches and
 * builds.  A job is a whole piece of work, never a row: the hand-over costs a
 * wake-up.  What a job produces goes back through the owner's queue_t.
 */
#ifndef CORE_BASE_POOL_H
#define CORE_BASE_POOL_H

#include "core/base/base.h"

typedef struct pool pool_t;

/* Threads start at the first job that finds none idle, up to n_threads, so an
 * unused pool costs nothing.  name shows in `top -H`, at most 15 bytes. */
pool_t *pool_new(const char *name, int n_threads);

/* Its threads give way to all others of the machine.  Before the first job. */
void pool_be_nice(pool_t *self);

/* Runs what is queued, then joins the threads. */
void pool_destroy(pool_t **self_p);

/* Run fn(arg) on a worker.  False when LIMIT_POOL_JOBS wait already. */
bool must_use pool_run(pool_t *self, void (*fn)(void *arg), void *arg);

size_t pool_waiting(pool_t *self);

#endif
