/* meta - the cluster's memory of who owns what
 *
 * One interface, three drivers: memory (tests, simulator), LMDB (standalone),
 * etcd v3 (cluster).  Keys are text under one root, values are bytes, every
 * change has a revision: a number that grows with each applied transaction,
 * across all keys.  Reads are linearizable.  The calls block, so only I/O
 * workers make them; a node asks for them through its actions (core/node).
 *
 * Transactions compare and write.  The outcome of one that timed out is not
 * guessed: the driver settles it (see meta_txn).  A lease says who is there;
 * it never proves ownership, because a paused process does not know that its
 * lease has run out.  Ownership is a key that only compare-and-write changes.
 */
#ifndef CORE_META_META_H
#define CORE_META_META_H

#include "core/base/base.h"
#include "core/base/metrics.h"

typedef struct meta meta_t;
typedef struct meta_watch meta_watch_t;

typedef struct meta_item {
    const char *key;            /* without the root; arena */
    view_t value;               /* arena */
    int64_t create_rev;         /* revision that created the key */
    int64_t mod_rev;            /* revision of its last put */
    int64_t lease;              /* 0: none */
} meta_item_t;

/* One item, or the items under a prefix by key, and the revision they were read at. */
typedef struct meta_items {
    meta_item_t *at;            /* [n], arena */
    size_t n;
    int64_t rev;
} meta_items_t;

typedef enum {
    META_IF_ABSENT,             /* the key does not exist */
    META_IF_PRESENT,
    META_IF_MOD_REV,            /* it exists and was last put at `rev` */
    META_IF_CREATE_REV,         /* it exists and was created at `rev` */
    META_IF_VALUE,              /* it exists and holds `value` */
} meta_if_t;

typedef struct meta_cmp {
    meta_if_t kind;
    const char *key;
    int64_t rev;
    view_t value;
} meta_cmp_t;

typedef enum { META_PUT, META_DELETE, META_DELETE_PREFIX } meta_op_kind_t;

typedef struct meta_op {
    meta_op_kind_t kind;
    const char *key;            /* no key twice in one transaction */
    view_t value;               /* META_PUT */
    int64_t lease;              /* META_PUT; 0: lives until deleted */
} meta_op_t;

/* All compares hold: all writes happen, at one revision.  Else: none.
 * Without ops it is a linearizable question: do the compares hold now? */
typedef struct meta_txn {
    const meta_cmp_t *cmps;
    size_t n_cmps;
    const meta_op_t *ops;       /* at most LIMIT_META_TXN_OPS together with cmps */
    size_t n_ops;
} meta_txn_t;

typedef struct meta_txn_result {
    bool applied;               /* false: a compare did not hold */
    int64_t rev;                /* of the writes when applied, else of the look */
} meta_txn_result_t;

/* RESET comes first and after a gap (compaction): forget everything under the
 * prefix; PUTs of all that is there follow, then SYNCED, then single changes. */
typedef enum {
    META_WATCH_RESET, META_WATCH_PUT, META_WATCH_DELETE, META_WATCH_SYNCED
} meta_watch_kind_t;

typedef struct meta_change {
    meta_watch_kind_t kind;
    meta_item_t item;           /* PUT: all of it; DELETE: key and mod_rev (of the delete);
                                 * SYNCED: mod_rev, of the listing */
} meta_change_t;

/* Called from a thread of the driver, one batch after the other, in revision
 * order; what it is given is borrowed until it returns.  It must not call meta_*
 * and should only hand the changes on: a watcher that lags by more than
 * LIMIT_META_WATCH_PENDING changes gets a RESET instead of them.
 * (A memory store with a clock of its own has no thread: there it is called
 * inside the meta_* call that made the change, before that call returns.) */
typedef void meta_watch_fn(void *arg, const meta_change_t *changes, size_t n);

/* Errors of every call below
 *   ERR_META      the store failed or cannot be reached; retriable
 *   ERR_TIMEOUT   ctx->deadline_ms passed; for meta_txn see there
 *   ERR_DENIED    wrong user or password, or no permission
 *   ERR_DISK_FULL, ERR_DISK, ERR_CORRUPT  the disk under the store
 *   ERR_PARAM_TOO_LARGE  a LIMIT_META_ is exceeded
 *   ERR_PARAM_INVALID    an empty key, a key twice in one transaction
 * Thread: any I/O thread, several at once. */

/* ERR_KEY_NOT_FOUND when it is not there.  ret lives in the ctx arena. */
err_t must_use meta_get(ctx_t *ctx, meta_t *meta, const char *key, meta_item_t *ret);

/* Everything under prefix, by key.  Pages internally. */
err_t must_use meta_list(ctx_t *ctx, meta_t *meta, const char *prefix, meta_items_t *ret);

/* Compare and write.  An answer lost on the way is settled before this
 * returns: OK tells what happened, for sure.  Only when that cannot be learned
 * before the deadline does it return ERR_OUTCOME_UNKNOWN; the caller must then
 * read the keys, not send the transaction again.  A later read through the
 * same meta_t first closes the question, so what it sees stays true.
 * ERR_KEY_NOT_FOUND: the compares hold but a lease of the ops is gone; nothing
 * was written. */
err_t must_use meta_txn(ctx_t *ctx, meta_t *meta, const meta_txn_t *txn, meta_txn_result_t *ret);

/* A lease of about ttl_ms (etcd rounds up to whole seconds and to a minimum);
 * keys put under it vanish when it ends. */
err_t must_use meta_lease_grant(ctx_t *ctx, meta_t *meta, int64_t ttl_ms, int64_t *ret_lease);

/* ERR_KEY_NOT_FOUND when the lease is gone: its keys are too, or soon will be. */
err_t must_use meta_lease_keep(ctx_t *ctx, meta_t *meta, int64_t lease);

/* Delete its keys now.  OK when the lease was gone already. */
err_t must_use meta_lease_revoke(ctx_t *ctx, meta_t *meta, int64_t lease);

/* Follow a prefix until meta_unwatch.  Resumes after broken connections with
 * nothing lost and nothing twice; see meta_watch_kind_t. */
err_t must_use meta_watch(ctx_t *ctx, meta_t *meta, const char *prefix,
                          meta_watch_fn *fn, void *arg, meta_watch_t **ret);

/* fn is not called any more once this returns.  NULL is fine. */
void meta_unwatch(meta_watch_t **watch_p);

/* Count operations and what they cost there, from now on; before anybody else uses it. */
void meta_count(meta_t *self, metrics_t *to);

/* Ends all watches (their handles die with it) and closes; NULL is fine. */
void meta_destroy(meta_t **self_p);

/* --- drivers ---------------------------------------------------------------- */

/* Gone with the process.  now_ms drives lease expiry; NULL: the monotonic clock. */
meta_t *meta_memory_new(int64_t (*now_ms)(void *arg), void *arg);

/* One process, one directory (LMDB; every transaction is on disk when it
 * returns).  ERR_LOCKED when another process has it, ERR_DISK_FULL, ERR_DISK,
 * ERR_CORRUPT.  Leases do not outlive the process. */
err_t must_use meta_lmdb_open(ctx_t *ctx, const char *dir, meta_t **ret);

/* The same directory as it is at this instant, to look at only, whether a process has it open or
 * not: the file is copied into memory, and nothing is locked, written or waited for.  Keys under
 * leases are there while they are in the file.  A transaction is ERR_META.
 * ERR_KEY_NOT_FOUND: there is no metadata; ERR_CORRUPT, ERR_DISK, ERR_CONFLICT: it changes faster
 * than it can be copied. */
err_t must_use meta_lmdb_look(ctx_t *ctx, const char *dir, meta_t **ret);

typedef struct meta_etcd_options {
    const char *endpoints;      /* "host:port,host:port", as in etcd.endpoints */
    const char *root;           /* etcd.rootPath, e.g. "by-dev" */
    const char *user, *password;/* NULL or "": no authentication */
    bool tls;
    const char *ca_file, *cert_file, *key_file;     /* NULL: the system's */
} meta_etcd_options_t;

/* etcd v3 by its JSON gateway.  Does not fail because etcd is away at the moment
 * unless ctx's deadline passes without an answer: the text then says what was tried.
 * ERR_CONFIG at once for endpoints, a root or certificates that cannot be right. */
err_t must_use meta_etcd_open(ctx_t *ctx, const meta_etcd_options_t *options, meta_t **ret);

#endif
