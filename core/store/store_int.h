/* store_int - what a driver of the store implements
 *
 * Only drivers, store.c and tests include this.  A driver moves bytes: keys
 * have been checked, bodies are within limits, checksums and retries belong
 * to store.c.  It makes one attempt, within ctx->deadline_ms, and says with
 * ERR_STORE that another attempt may help.  A second S3 driver (SigV4, say)
 * is one more of these tables.
 */
#ifndef CORE_STORE_STORE_INT_H
#define CORE_STORE_STORE_INT_H

#include "core/store/footer_cache.h"
#include "core/store/store.h"
#include "core/store/store_meter.h"

/* Where a get puts what it reads: arena memory, kept when the read is repeated. */
typedef struct store_sink {
    uint8_t *ptr;
    size_t len, cap;
} store_sink_t;

/* Make room for exactly len bytes; the driver fills ptr and then sets len.
 * ERR_MEMORY; ERR_CORRUPT when no object is that long. */
err_t must_use store_sink_open(ctx_t *ctx, store_sink_t *sink, const char *key, uint64_t len);

/* The two parts of an object: body and footer. */
typedef struct store_parts { view_t at[2]; } store_parts_t;

static inline size_t store_parts_len(const store_parts_t *p) { return p->at[0].len + p->at[1].len; }

#define STORE_WHOLE UINT64_MAX      /* as len of a get: up to the end */

typedef struct store_driver {
    const char *name;
    bool remote;                    /* ERR_STORE is tried again */

    err_t must_use (*put)(ctx_t *ctx, void *impl, const char *key, const store_parts_t *parts);

    /* Exactly len bytes from offset on, or everything for (0, STORE_WHOLE).
     * ERR_KEY_NOT_FOUND; ERR_CORRUPT for an object too short for that. */
    err_t must_use (*get)(ctx_t *ctx, void *impl, const char *key, uint64_t offset, uint64_t len,
                          store_sink_t *sink);

    /* The whole object, read-only, at ret_ptr until munmap; NULL there when this object
     * cannot be mapped.  A driver without it leaves this NULL.  ERR_KEY_NOT_FOUND. */
    err_t must_use (*map)(ctx_t *ctx, void *impl, const char *key, void **ret_ptr,
                          size_t *ret_len);

    /* A descriptor of the file that map maps, above 2; -1: there is none.  NULL as map. */
    int (*file)(void *impl, const char *key);

    /* Size of the object with its footer.  ERR_KEY_NOT_FOUND. */
    err_t must_use (*head)(ctx_t *ctx, void *impl, const char *key, uint64_t *ret_object_len);

    /* Calls store_list_add in the order of keys until that says false.
     * after is "" or begins with prefix. */
    err_t must_use (*list)(ctx_t *ctx, void *impl, const char *prefix, const char *after,
                           size_t most, store_list_t *list);

    err_t must_use (*remove)(ctx_t *ctx, void *impl, const char *key);
    void (*destroy)(void *impl);
} store_driver_t;

/* False when the list holds `most` already: it is then marked as having more.
 * Skips what is no key. */
bool store_list_add(ctx_t *ctx, store_list_t *list, size_t most, const char *key,
                    uint64_t object_len);

bool store_key_ok(const char *key);

/* Call once(ctx, arg) until it returns something else than ERR_STORE, with
 * growing pauses, as long as time and LIMIT_STORE_TRIES allow.  `what` and
 * `key` are for the log; the texts are once's, which names both. */
err_t must_use store_retry(ctx_t *ctx, const char *what, const char *key,
                           err_t (*once)(ctx_t *ctx, void *arg), void *arg);

struct store {
    const store_driver_t *driver;
    void *impl;                     /* owned */
    footer_cache_t *footers;
    store_meter_t meter;
};

/* A store on this driver; impl is moved. */
store_t *store_new(const store_driver_t *driver, void *impl);

#endif
