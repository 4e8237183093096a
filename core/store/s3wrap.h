/* s3wrap - what stands between libs3 and libcurl
 *
 * Debian's libs3 2.0 switches certificate checks off, knows no deadline, asks
 * `Expect: 100-continue` before every body and follows redirects with its
 * signature.  It is linked statically, and the linker's --wrap sends its (and
 * everybody's) curl_easy_setopt and curl_easy_perform through s3wrap.c.
 * Between s3wrap_enter and s3wrap_leave on a thread, those calls are libs3's
 * and get what is missing; all others pass through untouched.
 *
 * Its two other habits that threads do not survive are wrapped as well: gmtime,
 * which dates requests in a shared buffer, and its parser of the dates in lists,
 * which nobody needs and which takes the C library's time zone lock.
 */
#ifndef CORE_STORE_S3WRAP_H
#define CORE_STORE_S3WRAP_H

#include "core/base/base.h"

enum { S3WRAP_TEXT_BYTES = 256 /* CURL_ERROR_SIZE */, S3WRAP_TAIL_BYTES = 64 };

typedef struct s3wrap {
    ctx_t *ctx;                 /* borrowed: deadline and cancellation */
    const char *ca_file;        /* borrowed; NULL: the system's */

    /* What libs3 does not tell. */
    bool failed;                /* no whole answer came */
    bool untrusted;             /* because of the server's certificate */
    int http_status;            /* 0: none */
    char text[S3WRAP_TEXT_BYTES];   /* curl's words when failed */

    char tail[S3WRAP_TAIL_BYTES + 1];   /* the end of the answer's body, as text */

    /* Private: where libs3 wants the body; is it still moving? */
    size_t (*write)(char *ptr, size_t size, size_t n, void *arg);
    void *write_arg;
    size_t tail_len;
    int64_t stall_ms, moved_ms, moved_bytes;
    bool stalled;
} s3wrap_t;

/* The calls of this thread until s3wrap_leave belong to `call`, borrowed.  Blocks
 * SIGPIPE on this thread for good: OpenSSL writes to closed connections. */
void s3wrap_enter(s3wrap_t *call);
void s3wrap_leave(void);

#endif
