/* daemon - what every process does around its nodes
 *
 *     flags, environment, file ─► config ─► log ─► metadata, object store ─► hosts ─► ready line
 *     SIGTERM, SIGINT ─► drain ─► leave with 0
 *
 * A daemon runs one role, standalone runs all of them; both are a list of
 * seats.  Whatever cannot be set up ends the process with one line on stderr
 * that says what to do, and a documented code; nothing is left half-made.
 */
#ifndef CORE_NODE_DAEMON_H
#define CORE_NODE_DAEMON_H

#include "core/base/config.h"
#include "core/node/host.h"
#include "core/ops/ops.h"
#include "core/store/store.h"

/* docs/OPERATING.md tells what to do about each. */
typedef enum {
    EXIT_SERVED = 0, EXIT_BUG = 1, EXIT_USAGE = 2, EXIT_NETWORK = 3, EXIT_META = 4, EXIT_STORE = 5,
    EXIT_LOCKED = 6, EXIT_DISK = 7, EXIT_CORRUPT = 8,
} exit_code_t;

typedef struct daemon daemon_t;

/* Where a role sits in a process. */
typedef struct seat {
    const role_t *role;
    const char *port_key, *ip_key;  /* config keys of its TCP port and address; NULL: any port */
    bool wants_store;

    /* The role's own I/O; each may be NULL.  `options` makes what role->make gets, before the
     * host exists; `open` runs when the host runs and its node is ready; `stop` before the
     * host is stopped; `close` after it has left. */
    err_t (*options)(ctx_t *ctx, daemon_t *daemon, host_options_t *ret);
    err_t (*open)(ctx_t *ctx, daemon_t *daemon, host_t *host);
    void (*stop)(daemon_t *daemon);
    void (*close)(daemon_t *daemon);
    void (*ready_line)(daemon_t *daemon, buf_t *into);      /* " grpc=127.0.0.1:19530" */
} seat_t;

typedef struct daemon_plan {
    const char *name;               /* "elanus-coord": starts its lines */
    const char *about;              /* one sentence for --help */
    const seat_t *seats;            /* ends with a NULL role; stopped in reverse */
    config_program_t config;
    bool standalone;                /* LMDB and a local directory, messages in process */
} daemon_plan_t;

/* All of a process's life; argv[0] is not looked at.  Returns its exit code. */
int daemon_main(const daemon_plan_t *plan, int argc, char **argv);

const config_t *daemon_config(const daemon_t *self);
store_t *daemon_store(const daemon_t *self);
ops_t *daemon_ops(const daemon_t *self);

/* An arena that lives as long as the process's nodes. */
ctx_t *daemon_memory(daemon_t *self);

/* A place for the one role with I/O of its own (the proxy) to keep it. */
void **daemon_slot(daemon_t *self);

/* The stores of a cluster as its configuration names them, for who looks at them from outside.
 * Errors of meta_etcd_open and store_s3_open; caller destroys. */
err_t must_use daemon_open_etcd(ctx_t *ctx, const config_t *config, meta_t **ret);
err_t must_use daemon_open_s3(ctx_t *ctx, const config_t *config, bool make_bucket,
                              store_t **ret);

/* What a failure of this kind ends the process with. */
int daemon_exit_code(err_t err);

#endif
