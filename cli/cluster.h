/* cluster - a whole cluster as processes of one machine, in one directory
 *
 *     DIR/lock              held by the `elanus up` that runs it
 *     DIR/control           where the other commands talk to it (a Unix socket)
 *     DIR/logs/NAME.log     what each process said
 *     DIR/etcd/  DIR/s3/    the stores' data; they outlive the processes
 *     DIR/NAME/             a daemon's own files
 *
 * `elanus up` is the parent of everything: it starts the stores, then the
 * daemons, says when clients can come, and ends them all when it is told to or
 * dies itself.  It restarts nothing by itself: whoever kills a node wants to
 * see what the others do.
 */
#ifndef CLI_CLUSTER_H
#define CLI_CLUSTER_H

#include "core/base/base.h"

/* `elanus up --dir DIR …`: in the foreground until SIGINT, SIGTERM or `elanus down`. */
int cluster_up(int argc, char **argv);

/* Questions and orders to the one that runs in --dir DIR. */
int cluster_ps(int argc, char **argv);
int cluster_kill(int argc, char **argv);
int cluster_pause(int argc, char **argv);
int cluster_resume(int argc, char **argv);
int cluster_add(int argc, char **argv);
int cluster_logs(int argc, char **argv);
int cluster_down(int argc, char **argv);

/* Put "VERB ARGUMENT" to the one that runs in dir; what it answers is in the arena.
 * Errors  ERR_NETWORK        none runs there
 *         ERR_PARAM_INVALID  it refuses, and says why */
err_t must_use cluster_question(ctx_t *ctx, const char *dir, const char *question,
                                const char **ret);

#endif
