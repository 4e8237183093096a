/* meta_local - the engine of the drivers that live in this process
 *
 * Transactions, leases and watches are the same for memory and LMDB; what
 * differs is the table that holds the records.  Private to core/meta.
 */
#ifndef CORE_META_META_LOCAL_H
#define CORE_META_META_LOCAL_H

#include "core/meta/meta_int.h"

/* The engine calls these one at a time, under its lock. */
typedef struct local_table {
    /* The record of a key, copied into the ctx arena (the value only if asked
     * for); ERR_KEY_NOT_FOUND without a text when there is none. */
    err_t (*get)(ctx_t *ctx, void *rows, const char *key, bool with_value, meta_item_t *ret);

    /* Records under a prefix, by key, copied likewise; fills at and n. */
    err_t (*scan)(ctx_t *ctx, void *rows, const char *prefix, bool with_values,
                  meta_items_t *ret);

    /* All of these puts and deletes, and rev as the newest revision; or none.
     * Durable when it returns, if the table is.  Each key occurs once. */
    err_t (*apply)(ctx_t *ctx, void *rows, const meta_change_t *changes, size_t n, int64_t rev);

    void (*destroy)(void **rows_p);
} local_table_t;

/* rows is moved.  rev: the newest revision in it, at least 1.  now_ms NULL:
 * the monotonic clock, and a thread for watches and leases; otherwise the
 * caller's clock, and everything happens inside the calls. */
meta_t *meta_local_new(const local_table_t *table, void *rows, int64_t rev,
                       int64_t (*now_ms)(void *arg), void *arg);

#endif
