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
 * 0, so a local file can be mapped.  footer.h has the bytes.
 *
 * Lists are for finding, not for proving absence: some stores list late.  Who
 * must be sure that a key is not there asks for it (store_head).
 */
#ifndef CORE_STORE_STORE_H
#define CORE_STORE_STORE_H

#include "core/base/base.h"
#include "core/base/metrics.h"

typedef struct store store_t;
typedef struct copies copies_t;

typedef struct store_object {
    const char *key;            /* arena */
    uint64_t len_bytes;         /* of the body; STORE_LEN_UNKNOWN: not an object of ours */
} store_object_t;

#define STORE_LEN_UNKNOWN UINT64_MAX

typedef struct store_list {
    store_object_t *at;         /* [n] by key, arena */
    size_t n;
    bool more;                  /* go on with after = the last key */
} store_list_t;

/* Keys: 1..LIMIT_STORE_KEY_BYTES of [A-Za-z0-9._/=-], no "/" at either end;
 * each part between slashes 1..LIMIT_STORE_KEY_PART_BYTES, none "." or "..".
 * No key is a directory of another ("a" and "a/b"): files could not do it.
 *
 * A remote store is asked again, with growing pauses, until ctx->deadline_ms;
 * without a deadline LIMIT_STORE_TRIES times.
 *
 * Errors of every call below
 *   ERR_STORE      the store failed or cannot be reached, after retries; retriable
 *   ERR_TIMEOUT    ctx->deadline_ms passed before any answer
 *   ERR_CANCELED   ctx_cancel was called
 *   ERR_DENIED     wrong credentials, or a certificate that is not trusted;
 *                  local: no permission
 *   ERR_CONFIG     the server refuses what is asked: no S3, no such bucket
 *   ERR_DISK_FULL  no room; the same call may succeed once there is
 *   ERR_DISK       local: the disk failed
 *   ERR_MEMORY     what is read does not fit the budget of ctx
 *   ERR_PARAM_INVALID    the key is not of the form above
 *   ERR_PARAM_TOO_LARGE  put: body above LIMIT_STORE_OBJECT_BYTES
 * Thread: any I/O thread, several at once. */

/* Durable when it returns OK.  Retries put the same bytes at the same key.
 * After an error the object may be there, or still arrive, but whole. */
err_t must_use store_put(ctx_t *ctx, store_t *store, const char *key, view_t body);

/* The whole body, in the ctx arena (within its budget).
 * ERR_KEY_NOT_FOUND; ERR_CORRUPT when checksums fail again and again. */
err_t must_use store_get(ctx_t *ctx, store_t *store, const char *key, view_t *ret);

/* Bytes [offset, offset + len) of the body, verified; a range that reaches
 * past the end is ERR_PARAM_INVALID. */
err_t must_use store_get_range(ctx_t *ctx, store_t *store, const char *key,
                               uint64_t offset, size_t len, view_t *ret);

/* A whole body that stays readable until store_unmap, whatever becomes of the errand
 * (and of the object).  Zeroed to begin with. */
typedef struct store_mapping {
    view_t body;
    int file;                   /* store_map_file: body begins at its byte 0; 0: none */
    void *mapped;               /* private: a mapped file, or NULL */
    size_t mapped_len;
    copies_t *copies;           /* private: whose file that is, a reference (copies.h), or NULL */
    int copy;                   /* private: and it, until store_map_file makes it `file` */
    arena_t memory;             /* private: else the bytes are here */
} store_mapping_t;

/* Local files are mapped, page-aligned, and verified once, at this call; other stores
 * are read into memory.  ERR_KEY_NOT_FOUND, ERR_CORRUPT. */
err_t must_use store_map(ctx_t *ctx, store_t *store, const char *key, store_mapping_t *ret);
void store_unmap(store_mapping_t *mapping);

/* Does store_map map? */
bool store_maps(const store_t *store);

/* Open the file that a mapping is of, for who wants some bytes now and then and none of the rest
 * in memory: reads of mapping->file leave nothing there that counts as this process's, and go on
 * after the object was deleted.  Where there is no such file it stays 0, and body is all there is.
 * The descriptor belongs to the mapping. */
void store_map_file(store_t *store, const char *key, store_mapping_t *mapping);

/* Give the pages of a mapped file back; they return when body is read. */
void store_map_cool(const store_mapping_t *mapping);

/* ERR_KEY_NOT_FOUND when it is not there. */
err_t must_use store_head(ctx_t *ctx, store_t *store, const char *key, uint64_t *ret_len);

/* Objects whose key starts with prefix ("" takes all, "a/b" also finds "a/bc")
 * and is greater than after (NULL: from the start), by key, at most `most`
 * (1..LIMIT_STORE_LIST).  What is not of the form of a key is left out.
 * "By key" is byte order, but on SeaweedFS "/" comes before all else; going on
 * after the last key works on all, and inside one directory they agree. */
err_t must_use store_list(ctx_t *ctx, store_t *store, const char *prefix, const char *after,
                          size_t most, store_list_t *ret);

/* Deleting what is not there is OK. */
err_t must_use store_delete(ctx_t *ctx, store_t *store, const char *key);

/* Count calls and what they cost there, from now on; before anybody else uses the store. */
void store_count(store_t *self, metrics_t *to);

/* NULL is fine. */
void store_destroy(store_t **self_p);

/* --- drivers ---------------------------------------------------------------- */

store_t *store_memory_new(void);

/* Objects as files below dir (made when missing, not its parents).  A put writes a temporary
 * file, syncs it, renames it and syncs the directory.  Several processes may
 * share dir; the first one sweeps what a crash left behind. */
err_t must_use store_local_open(ctx_t *ctx, const char *dir, store_t **ret);

typedef struct store_s3_options {
    const char *address;        /* host of minio.address, without port or scheme */
    int port;
    const char *access_key, *secret_key;
    const char *bucket;
    const char *root;           /* key prefix inside the bucket, minio.rootPath */
    bool tls;
    const char *ca_file;        /* NULL: the system's */
    bool create_bucket;         /* make the bucket when it is missing */
} store_s3_options_t;

/* S3 by libs3.  Asks for the bucket once, and waits for a server that is not
 * there yet until the deadline of ctx (without one: LIMIT_STORE_TRIES times).
 * Wrong credentials (ERR_DENIED), a bad option or a missing bucket (ERR_CONFIG),
 * no answer (ERR_STORE): the text says what to change.  Strings are copied. */
err_t must_use store_s3_open(ctx_t *ctx, const store_s3_options_t *options, store_t **ret);

#endif
