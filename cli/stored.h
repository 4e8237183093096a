/* stored - the bytes that daemons keep, opened to look at and never to change
 *
 *     --data DIR       of a standalone, running or not: metadata from a copy of LMDB's file,
 *                      objects and logs as the files they are
 *     --dir DIR        of a running `elanus up`: its etcd and its S3 server
 *     --etcd, --KEY    any cluster's, as its daemons are configured
 *     a path           one file, from wherever
 *
 * Nothing is opened before it is asked for, so metadata can be read while S3 is away.
 */
#ifndef CLI_STORED_H
#define CLI_STORED_H

#include <jansson.h>

#include "cli/args.h"
#include "core/base/config.h"
#include "core/meta/meta.h"
#include "core/store/store.h"

extern const flag_t stored_flags[];     /* --data, --dir, --etcd, --json */

typedef struct stored {
    const args_t *args;
    const char *data;           /* NULL: a cluster's */
    config_t *config;
    meta_t *meta;               /* once it was asked for */
    store_t *store;
    ctx_t memory;
} stored_t;

/* Errors  ERR_PARAM_INVALID, ERR_CONFIG, ERR_NETWORK */
err_t must_use stored_open(ctx_t *ctx, const args_t *args, stored_t *ret);
void stored_close(stored_t *self);
#define stored_scoped __attribute__((cleanup(stored_close))) stored_t

/* The metadata: borrowed.  Errors of meta_lmdb_look, meta_etcd_open as ERR_META */
err_t must_use stored_meta(ctx_t *ctx, stored_t *self, meta_t **ret);

/* An object's body or a file, in the arena, 64-aligned. */
typedef struct stored_bytes {
    const char *name;           /* key or path */
    view_t body;
    const char *checksums;      /* the store's own: "ok", "damaged", "none" */
    const char *damage;         /* what is wrong with those; NULL: nothing.  The body is there. */
} stored_bytes_t;

/* Errors  ERR_KEY_NOT_FOUND; ERR_DISK, ERR_STORE, ERR_MEMORY; ERR_CORRUPT from S3 */
err_t must_use stored_object(ctx_t *ctx, stored_t *self, const char *key, stored_bytes_t *ret);
err_t must_use stored_file(ctx_t *ctx, const char *path, stored_bytes_t *ret);

/* Objects of a cluster's store under a prefix, at most `most`, the last of them. */
err_t must_use stored_list(ctx_t *ctx, stored_t *self, const char *prefix, size_t most,
                           store_list_t *ret);

/* True: this is the path of something in the file system. */
bool stored_is_path(const char *word);
bool stored_is_id(const char *word);

#endif
