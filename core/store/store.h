/* store - immutable objects: WAL, binlogs, indexes
 *
 * One interface, three drivers: memory (tests, simulator), a local directory
 * (standalone), S3 (cluster).  An object is put whole and never changed; a
 * key is never reused for other bytes.  The calls block, so only I/O workers
 * make them.
 *
 * Every object carries its checksums: store.c appends a footer before the
 * driver sees the bytes and verifies every read, whole or ranged, so that a
 * flipped or missing byte anywhere below becomes ERR_CORRUPT, after the read
 * was repeated in case it was damaged on the way.  The body starts at offset
 * 0, so a local file can be mapped.
 */
#ifndef CORE_STORE_STORE_H
#define CORE_STORE_STORE_H

#include "core/base/base.h"

typedef struct store store_t;

typedef struct store_object {
    const char *key;            /* arena */
    uint64_t len_bytes;         /* of the body, without the footer */
} store_object_t;

typedef struct store_list {
    store_object_t *at;         /* [n] by key, arena */
    size_t n;
    bool more;                  /* go on with after = the last key */
} store_list_t;

/* Keys: 1..LIMIT_STORE_KEY_BYTES of [A-Za-z0-9._/=-], no "//", no ".." part,
 * no "/" at either end.
 *
 * Errors of every call below
 *   ERR_STORE      the store failed or cannot be reached, after retries; retriable
 *   ERR_TIMEOUT    ctx->deadline_ms passed
 *   ERR_DENIED     wrong credentials
 *   ERR_DISK_FULL  no room; retriable for the caller once there is
 *   ERR_PARAM_INVALID  the key is not of the form above
 * Thread: any I/O thread, several at once. */

/* Durable when it returns OK.  Retries put the same bytes at the same key.
 * After ERR_TIMEOUT or ERR_STORE the object may be there or still arrive. */
err_t must_use store_put(ctx_t *ctx, store_t *store, const char *key, view_t body);

/* The whole body, in the ctx arena (within its budget).
 * ERR_KEY_NOT_FOUND; ERR_CORRUPT when checksums fail again and again. */
err_t must_use store_get(ctx_t *ctx, store_t *store, const char *key, view_t *ret);

/* Bytes [offset, offset + len) of the body, verified; a range that reaches
 * past the end is ERR_PARAM_INVALID. */
err_t must_use store_get_range(ctx_t *ctx, store_t *store, const char *key,
                               uint64_t offset, size_t len, view_t *ret);

/* ERR_KEY_NOT_FOUND when it is not there. */
err_t must_use store_head(ctx_t *ctx, store_t *store, const char *key, uint64_t *ret_len);

/* Objects whose key starts with prefix and is greater than after (NULL: from
 * the start), at most `most`. */
err_t must_use store_list(ctx_t *ctx, store_t *store, const char *prefix, const char *after,
                          size_t most, store_list_t *ret);

/* Deleting what is not there is OK. */
err_t must_use store_delete(ctx_t *ctx, store_t *store, const char *key);

/* NULL is fine. */
void store_destroy(store_t **self_p);

/* --- drivers ---------------------------------------------------------------- */

store_t *store_memory_new(void);

/* Objects as files below dir (made when missing).  A put writes a temporary
 * file, syncs it, renames it and syncs the directory. */
err_t must_use store_local_open(ctx_t *ctx, const char *dir, store_t **ret);

typedef struct store_s3_options {
    const char *address;        /* "host" of minio.address */
    int port;
    const char *access_key, *secret_key;
    const char *bucket;
    const char *root;           /* key prefix inside the bucket, minio.rootPath */
    bool tls;
    const char *ca_file;        /* NULL: the system's */
    bool create_bucket;         /* make the bucket when it is missing */
} store_s3_options_t;

/* S3 by libs3.  Asks for the bucket once: wrong credentials, an unknown host or
 * a missing bucket are told here, in words that say what to change. */
err_t must_use store_s3_open(ctx_t *ctx, const store_s3_options_t *options, store_t **ret);

#endif
