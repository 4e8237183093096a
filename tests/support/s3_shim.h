/* s3_shim - a small S3 server inside the test, which fails on demand
 *
 * HTTP/1.1 on a loopback port the kernel picks, a thread per connection,
 * objects in memory.  It speaks what libs3 asks for: PUT, GET (with Range), HEAD
 * and DELETE of objects, list v1 of a bucket, ?location, and making a bucket; it
 * checks SigV2 signatures, Content-MD5, and that nobody sends `Expect`.
 *
 * Faults come in two ways: s3_shim_next arms the next n requests of some kinds,
 * s3_shim_storm gives every request a seeded chance of a random fault.
 */
#ifndef TESTS_SUPPORT_S3_SHIM_H
#define TESTS_SUPPORT_S3_SHIM_H

#include "core/base/base.h"

typedef struct s3_shim s3_shim_t;

/* Bits, so that a fault can be armed for several. */
typedef enum {
    S3_SHIM_PUT = 1, S3_SHIM_GET = 2, S3_SHIM_HEAD = 4, S3_SHIM_DELETE = 8, S3_SHIM_LIST = 16,
    S3_SHIM_BUCKET = 32, S3_SHIM_ANY = 63,
} s3_shim_op_t;

typedef enum {
    S3_SHIM_FINE,
    S3_SHIM_TRUNCATE,       /* half of the body, then the connection closes */
    S3_SHIM_FLIP,           /* one bit of the body, of a put before its MD5 check; not of lists */
    S3_SHIM_SLOW,           /* the body in ten pieces over slow_ms */
    S3_SHIM_STALL,          /* no answer at all; nothing is done */
    S3_SHIM_500,
    S3_SHIM_SLOWDOWN,       /* 503 */
    S3_SHIM_BARE_503,       /* as a load balancer says it, without XML */
    S3_SHIM_DROP,           /* closes without doing anything */
    S3_SHIM_LOST_ANSWER,    /* does it, then closes */
    S3_SHIM_LATE,           /* closes, and does it late_ms later (put, delete) */
    S3_SHIM_GARBAGE,        /* 200 and a page of HTML (get, list) */
    S3_SHIM_IGNORE_RANGE,   /* 200 and everything (get) */
    S3_SHIM_WEATHER,        /* the faults up to here pass by themselves, the others stay */
    S3_SHIM_FULL,           /* 507 */
    S3_SHIM_FORBIDDEN,      /* 403 */
} s3_shim_fault_t;

typedef struct s3_shim_options {
    const char *bucket;             /* exists from the start; NULL: none does */
    const char *access_key, *secret_key;
    const char *cert_file;          /* NULL: no TLS; else a new certificate for 127.0.0.1 goes in */
    int slow_ms, late_ms;
    int list_lag_ms;                /* objects show in lists that much later */
} s3_shim_options_t;

/* Borrowed strings must outlive it.  Aborts when there is no port. */
s3_shim_t *s3_shim_new(const s3_shim_options_t *options);

/* Closes all connections and waits for their threads; NULL is fine. */
void s3_shim_destroy(s3_shim_t **self_p);

int s3_shim_port(const s3_shim_t *self);

/* The next n requests of these kinds get this fault. */
void s3_shim_next(s3_shim_t *self, unsigned ops, s3_shim_fault_t fault, int n);

/* Each request has this chance of some weather; 0 ends it (and what is armed). */
void s3_shim_storm(s3_shim_t *self, uint64_t seed, double chance);

/* Requests of these kinds so far. */
int s3_shim_count(s3_shim_t *self, unsigned ops);

/* Puts that brought other bytes than an earlier one of the same key. */
int s3_shim_rewrites(s3_shim_t *self);

/* Requests that broke a rule: a wrong MD5 although no fault was on, an Expect
 * header, a path out of form. */
int s3_shim_rude(s3_shim_t *self);

/* Flip one bit of the stored object (name as in the bucket); false when it is not there. */
bool s3_shim_damage(s3_shim_t *self, const char *name, size_t at);

/* Is it stored? */
bool s3_shim_has(s3_shim_t *self, const char *name);

#endif
