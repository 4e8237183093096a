/* s3 - objects in a bucket, by libs3 (SigV2, path style)
 *
 * Each call is one synchronous libs3 request on the calling I/O thread; libs3
 * keeps a stock of curl handles, so connections are reused.  A request_t goes
 * through all callbacks and collects the answer; s3wrap gives the request its
 * deadline and tells what libs3 hides (HTTP status, curl's words).
 *
 * What libs3 must not be believed:
 *   - a body that ends early is StatusOK to it: lengths are compared here;
 *   - it reads the HTTP status of a put when the first byte is asked for, which
 *     without `Expect` is before there is one, and then says ConnectionFailed
 *     to a 200: curl's own result and status decide;
 *   - a server that ignores a range sends everything: same comparison;
 *   - any text is a list to it, also half a list or a page of HTML, and an empty
 *     one where no key was seen: the answer's last bytes must close the list;
 *   - an unknown S3 error has no code in its answer: the HTTP status decides.
 *
 * Content-MD5 goes with every put, so that bytes damaged on the way are
 * refused by the server instead of being acknowledged.
 */
#include <libs3.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>

#include "core/base/limits.h"
#include "core/store/s3wrap.h"
#include "core/store/store_int.h"

enum { PAGE_KEYS = 1000, NAME_BYTES = S3_MAX_KEY_SIZE + 1, TEXT_BYTES = 256, MD5_TEXT_BYTES = 25 };

typedef struct s3 {
    char *host;                 /* "host:port"; owned, like all here */
    char *access_key, *secret_key, *bucket, *ca_file;
    char *root;                 /* "" or "files/" */
    bool tls;
} s3_t;

/* One request and what came of it; the callback data of libs3. */
typedef struct request {
    s3wrap_t wrap;              /* first: entered around the call */
    s3_t *s3;
    ctx_t *ctx;
    const char *what, *key;     /* for texts */
    S3Status status;
    char text[TEXT_BYTES];      /* the server's message */
    err_t err;                  /* a callback's own failure, told in ctx */

    store_parts_t parts;        /* put */
    size_t sent;

    store_sink_t *sink;         /* get */
    uint64_t want;              /* STORE_WHOLE: what Content-Length says */
    uint64_t content_len;       /* get and head */

    store_list_t *list;         /* list */
    size_t most;
    bool full;                  /* store_list_add said so */
    bool truncated;             /* the server has more */
    const char *after;
    char last[NAME_BYTES];      /* last name of the page */
} request_t;

/* --- callbacks ------------------------------------------------------------------ */

static void s_on_complete(S3Status status, const S3ErrorDetails *details, void *arg)
{
    request_t *self = arg;
    self->status = status;
    if (details && details->message)
        snprintf(self->text, sizeof self->text, "%s", details->message);
}

static S3Status s_on_head(const S3ResponseProperties *properties, void *arg)
{
    request_t *self = arg;
    self->content_len = properties->contentLength;
    return S3StatusOK;
}

/* Length known: make room, unless it is not what was asked for. */
static S3Status s_on_get_head(const S3ResponseProperties *properties, void *arg)
{
    request_t *self = arg;
    self->content_len = properties->contentLength;
    if (self->want != STORE_WHOLE && self->want != self->content_len)
        return S3StatusOK;                      /* an error's body, or told by s_check_length */
    self->err = store_sink_open(self->ctx, self->sink, self->key, self->content_len);
    return self->err == OK ? S3StatusOK : S3StatusAbortedByCallback;
}

static S3Status s_on_bytes(int n, const char *bytes, void *arg)
{
    request_t *self = arg;
    store_sink_t *sink = self->sink;
    if (n < 0 || (uint64_t)n > self->content_len - sink->len || (size_t)n > sink->cap - sink->len)
        return S3StatusAbortedByCallback;
    memcpy(sink->ptr + sink->len, bytes, (size_t)n);
    sink->len += (size_t)n;
    return S3StatusOK;
}

/* Footer and body are one stream to the server. */
static int s_on_send(int room, char *buffer, void *arg)
{
    request_t *self = arg;
    size_t done = 0;
    while (done < (size_t)room) {
        bool in_body = self->sent < self->parts.at[0].len;
        view_t part = self->parts.at[in_body ? 0 : 1];
        size_t at = in_body ? self->sent : self->sent - self->parts.at[0].len;
        size_t n = part.len - at < (size_t)room - done ? part.len - at : (size_t)room - done;
        if (n == 0)
            break;
        memcpy(buffer + done, part.ptr + at, n);
        done += n;
        self->sent += n;
    }
    return (int)done;
}

static S3Status s_on_list(int truncated, const char *next, int n,
                          const S3ListBucketContent *contents, int n_common, const char **common,
                          void *arg)
{
    request_t *self = arg;
    (void)next, (void)n_common, (void)common;
    self->truncated = truncated;
    size_t root_len = strlen(self->s3->root);
    for (int i = 0; i < n; i++) {
        snprintf(self->last, sizeof self->last, "%s", contents[i].key);
        if (self->full || strncmp(contents[i].key, self->s3->root, root_len) != 0)
            continue;
        const char *key = contents[i].key + root_len;
        if (strncmp(key, self->key, strlen(self->key)) != 0 || strcmp(key, self->after) == 0)
            continue;
        self->full = !store_list_add(self->ctx, self->list, self->most, key, contents[i].size);
    }
    return S3StatusOK;
}

/* --- verdicts -------------------------------------------------------------------- */

/* What a status means for the caller; ERR_STORE is tried again. */
static err_t s_meaning(const request_t *self)
{
    int http = self->wrap.http_status;
    switch ((int)self->status) {
    case S3StatusErrorNoSuchKey:
    case S3StatusHttpErrorNotFound:
        return ERR_KEY_NOT_FOUND;
    case S3StatusErrorNoSuchBucket:
    case S3StatusErrorInvalidBucketName:
        return ERR_CONFIG;
    case S3StatusErrorAccessDenied:
    case S3StatusErrorAccountProblem:
    case S3StatusErrorExpiredToken:
    case S3StatusErrorInvalidAccessKeyId:
    case S3StatusErrorInvalidSecurity:
    case S3StatusErrorInvalidToken:
    case S3StatusErrorNotSignedUp:
    case S3StatusErrorRequestTimeTooSkewed:
    case S3StatusErrorSignatureDoesNotMatch:
    case S3StatusHttpErrorForbidden:
    case S3StatusServerFailedVerification:
        return ERR_DENIED;
    case S3StatusErrorBadDigest:                /* damaged or cut on the way */
    case S3StatusErrorIncompleteBody:
    case S3StatusErrorInternalError:
    case S3StatusErrorOperationAborted:
    case S3StatusErrorRequestTimeout:
    case S3StatusErrorSlowDown:
        return ERR_STORE;
    default:
        break;
    }
    if (self->wrap.untrusted || http == 401 || http == 403)
        return ERR_DENIED;
    if (http == 507)
        return ERR_DISK_FULL;
    if ((http >= 300 && http < 500 && http != 408 && http != 429) || http == 501)
        return ERR_CONFIG;
    return ERR_STORE;
}

/* The words a person needs beside the server's own. */
static const char *s_advice(const request_t *self, err_t meaning)
{
    switch ((int)self->status) {
    case S3StatusErrorNoSuchBucket:
        return "; create the bucket or set minio.bucketName";
    case S3StatusNameLookupError:
    case S3StatusFailedToConnect:
    case S3StatusConnectionFailed:
        return "; is the S3 server up? check minio.address and minio.port";
    case S3StatusErrorRequestTimeTooSkewed:
        return "; the clocks of this host and of the store differ too much";
    default:
        break;
    }
    if (self->wrap.untrusted)
        return "; set minio.ssl.tlsCACert to the authority that signed the store's certificate";
    if (meaning == ERR_DENIED)
        return "; check minio.accessKeyID and minio.secretAccessKey";
    if (meaning == ERR_DISK_FULL)
        return "; the store has no room left";
    if (meaning == ERR_CONFIG)
        return "; is this an S3 server? check minio.address, minio.port and minio.useSSL";
    if (self->wrap.http_status == 0)
        return "; is the store up? check minio.address and minio.port";
    return "";
}

static err_t s_tell(request_t *self)
{
    if (atomic_load_explicit(&self->ctx->cancelled, memory_order_relaxed))
        return ctx_alive(self->ctx);
    if (self->err != OK)
        return self->err;
    err_t meaning = s_meaning(self);
    if (meaning == ERR_STORE && ctx_left_ms(self->ctx) == 0)
        meaning = ERR_TIMEOUT;
    const char *why = self->wrap.failed ? self->wrap.text : self->text;
    char http[16] = "";
    if (self->wrap.http_status)
        snprintf(http, sizeof http, " (HTTP %d)", self->wrap.http_status);
    return ctx_fail(self->ctx, meaning, "%s%s%s at S3 %s, bucket %s: %s%s%s%s%s", self->what,
                    *self->key ? " " : "", self->key, self->s3->host, self->s3->bucket,
                    S3_get_status_name(self->status), http, *why ? ": " : "", why,
                    s_advice(self, meaning));
}

static err_t s_verdict(request_t *self)
{
    if (self->status == S3StatusOK && self->wrap.failed)
        self->status = S3StatusConnectionFailed;
    bool answered = !self->wrap.failed && self->wrap.http_status / 100 == 2;
    if (self->status == S3StatusConnectionFailed && answered)
        self->status = S3StatusOK;
    return self->status == S3StatusOK ? OK : s_tell(self);
}

/* --- requests --------------------------------------------------------------------- */

static request_t s_request(ctx_t *ctx, s3_t *s3, const char *what, const char *key)
{
    return (request_t){ .wrap = { .ctx = ctx, .ca_file = s3->ca_file }, .s3 = s3, .ctx = ctx,
                        .what = what, .key = key, .status = S3StatusInternalError };
}

static S3BucketContext s_bucket(const s3_t *self)
{
    return (S3BucketContext){
        .hostName = self->host, .bucketName = self->bucket,
        .protocol = self->tls ? S3ProtocolHTTPS : S3ProtocolHTTP, .uriStyle = S3UriStylePath,
        .accessKeyId = self->access_key, .secretAccessKey = self->secret_key,
    };
}

static const char *s_name(ctx_t *ctx, const s3_t *self, const char *key)
{
    return ctx_printf(ctx, "%s%s", self->root, key);
}

/* Base64 of the MD5 of all parts; false where MD5 is forbidden (FIPS): the put
 * then goes without, and only reading would find damage. */
static bool s_md5(const store_parts_t *parts, char ret[MD5_TEXT_BYTES])
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool good = md && EVP_DigestInit_ex(md, EVP_md5(), NULL) &&
                EVP_DigestUpdate(md, parts->at[0].ptr, parts->at[0].len) &&
                EVP_DigestUpdate(md, parts->at[1].ptr, parts->at[1].len) &&
                EVP_DigestFinal_ex(md, digest, &len) && len == 16;
    EVP_MD_CTX_free(md);
    if (good)
        EVP_EncodeBlock((unsigned char *)ret, digest, 16);
    return good;
}

static err_t s_s3_put(ctx_t *ctx, void *impl, const char *key, const store_parts_t *parts)
{
    request_t request = s_request(ctx, impl, "put", key);
    request.parts = *parts;
    char md5[MD5_TEXT_BYTES];
    S3PutProperties properties = { .md5 = s_md5(parts, md5) ? md5 : NULL, .expires = -1,
                                   .cannedAcl = S3CannedAclPrivate };
    S3PutObjectHandler handler = { { s_on_head, s_on_complete }, s_on_send };
    S3BucketContext bucket = s_bucket(impl);
    const char *name = s_name(ctx, impl, key);
    s3wrap_enter(&request.wrap);
    S3_put_object(&bucket, name, store_parts_len(parts), &properties, NULL, &handler, &request);
    s3wrap_leave();
    return s_verdict(&request);
}

static err_t s_s3_get(ctx_t *ctx, void *impl, const char *key, uint64_t offset, uint64_t len,
                      store_sink_t *sink)
{
    request_t request = s_request(ctx, impl, "get", key);
    request.sink = sink;
    request.want = len;
    sink->len = 0;
    S3GetObjectHandler handler = { { s_on_get_head, s_on_complete }, s_on_bytes };
    S3BucketContext bucket = s_bucket(impl);
    const char *name = s_name(ctx, impl, key);
    s3wrap_enter(&request.wrap);
    uint64_t count = len == STORE_WHOLE ? 0 : len;      /* 0 is all to libs3 */
    S3_get_object(&bucket, name, NULL, offset, count, NULL, &handler, &request);
    s3wrap_leave();

    if (request.err == OK && request.wrap.http_status == 416)
        return ctx_fail(ctx, ERR_CORRUPT, "object %s is damaged: it ends before byte %llu", key,
                        (unsigned long long)offset);
    bool answered = request.wrap.http_status / 100 == 2 && request.err == OK;
    uint64_t want = len == STORE_WHOLE ? request.content_len : len;
    if (answered && (request.content_len != want || (!request.wrap.failed && sink->len != want)))
        return ctx_fail(ctx, ERR_STORE, "get %s at S3 %s: %zu of %llu bytes came, %llu were "
                        "announced", key, request.s3->host, sink->len, (unsigned long long)want,
                        (unsigned long long)request.content_len);
    return s_verdict(&request);
}

static err_t s_s3_head(ctx_t *ctx, void *impl, const char *key, uint64_t *ret_object_len)
{
    request_t request = s_request(ctx, impl, "head", key);
    S3ResponseHandler handler = { s_on_head, s_on_complete };
    S3BucketContext bucket = s_bucket(impl);
    const char *name = s_name(ctx, impl, key);
    s3wrap_enter(&request.wrap);
    S3_head_object(&bucket, name, NULL, &handler, &request);
    s3wrap_leave();
    TRY(s_verdict(&request));
    *ret_object_len = request.content_len;
    return OK;
}

static err_t s_s3_remove(ctx_t *ctx, void *impl, const char *key)
{
    request_t request = s_request(ctx, impl, "delete", key);
    S3ResponseHandler handler = { s_on_head, s_on_complete };
    S3BucketContext bucket = s_bucket(impl);
    const char *name = s_name(ctx, impl, key);
    s3wrap_enter(&request.wrap);
    S3_delete_object(&bucket, name, NULL, &handler, &request);
    s3wrap_leave();
    err_t err = s_verdict(&request);
    return err == ERR_KEY_NOT_FOUND ? OK : err;
}

/* One page of names behind `marker`, in the server's order: SeaweedFS compares
 * directory by directory ("b/1" comes before "b-/z"), so order is not checked. */
static err_t s_page(request_t *self, const char *prefix, const char *marker)
{
    S3ListBucketHandler handler = { { s_on_head, s_on_complete }, s_on_list };
    S3BucketContext bucket = s_bucket(self->s3);
    size_t want = self->most - self->list->n + 1;       /* one more says whether there are more */
    self->last[0] = '\0';
    self->truncated = false;
    s3wrap_enter(&self->wrap);
    S3_list_bucket(&bucket, prefix, marker, NULL, want < PAGE_KEYS ? (int)want : PAGE_KEYS, NULL,
                   &handler, self);
    s3wrap_leave();
    TRY(s_verdict(self));
    if (!strstr(self->wrap.tail, "</ListBucketResult>"))
        return ctx_fail(self->ctx, ERR_STORE, "list %s at S3 %s: the answer is not a whole list",
                        self->key, self->s3->host);
    return OK;
}

static err_t s_s3_list(ctx_t *ctx, void *impl, const char *prefix, const char *after, size_t most,
                       store_list_t *list)
{
    request_t request = s_request(ctx, impl, "list", prefix);
    request.list = list;
    request.most = most;
    request.after = after;
    const char *marker = *after ? s_name(ctx, impl, after) : NULL;
    const char *full_prefix = s_name(ctx, impl, prefix);
    do {
        TRY(s_page(&request, full_prefix, marker));
        bool stuck = !request.last[0] || (marker && strcmp(request.last, marker) == 0);
        if (request.truncated && stuck)
            return ctx_fail(ctx, ERR_STORE, "list %s at S3 %s: a page does not go on from the last",
                            prefix, request.s3->host);
        marker = ctx_strdup(ctx, request.last);
    } while (request.truncated && !request.full);
    return OK;
}

/* --- open and close ----------------------------------------------------------------- */

static void s_s3_destroy(void *impl)
{
    s3_t *self = impl;
    mem_free(self->host);
    mem_free(self->access_key);
    mem_free(self->secret_key);
    mem_free(self->bucket);
    mem_free(self->ca_file);
    mem_free(self->root);
    mem_free(self);
}

static S3Status s_library_status = S3StatusInternalError;      /* written once, below */

static void s_start_library(void)
{
    s_library_status = S3_initialize("elanus", S3_INIT_ALL, "localhost");
}

/* Ask for the bucket, make it when it is missing and that is wished. */
static err_t s_find_bucket(ctx_t *ctx, s3_t *self, bool create)
{
    request_t request = s_request(ctx, self, "look for the bucket", "");
    S3ResponseHandler handler = { s_on_head, s_on_complete };
    S3Protocol protocol = self->tls ? S3ProtocolHTTPS : S3ProtocolHTTP;
    char location[64];
    s3wrap_enter(&request.wrap);
    S3_test_bucket(protocol, S3UriStylePath, self->access_key, self->secret_key, self->host,
                   self->bucket, sizeof location, location, NULL, &handler, &request);
    bool missing = request.status == S3StatusErrorNoSuchBucket ||
                   request.status == S3StatusHttpErrorNotFound;
    if (missing && create) {
        request.what = "create the bucket";
        S3_create_bucket(protocol, self->access_key, self->secret_key, self->host, self->bucket,
                         S3CannedAclPrivate, NULL, NULL, &handler, &request);
        if (request.status == S3StatusErrorBucketAlreadyOwnedByYou)     /* somebody was faster */
            request.status = S3StatusOK;
    }
    s3wrap_leave();
    err_t err = s_verdict(&request);
    if (err == ERR_KEY_NOT_FOUND)
        return ctx_fail(ctx, ERR_CONFIG, "S3 %s has no bucket %s: create it or set "
                        "minio.bucketName", self->host, self->bucket);
    return err;
}

typedef struct finding { s3_t *s3; bool create; } finding_t;

static err_t s_find_once(ctx_t *ctx, void *arg)
{
    finding_t *self = arg;
    return s_find_bucket(ctx, self->s3, self->create);
}

static err_t s_check_options(ctx_t *ctx, const store_s3_options_t *options)
{
    if (!options->address || !*options->address || strpbrk(options->address, "/ "))
        return ctx_fail(ctx, ERR_CONFIG, "minio.address \"%s\": want a host name or address, "
                        "without http://", options->address ? options->address : "");
    if (options->port < 1 || options->port > 65535)
        return ctx_fail(ctx, ERR_CONFIG, "minio.port %d: want 1..65535", options->port);
    if (!options->access_key || !*options->access_key || !options->secret_key)
        return ctx_fail(ctx, ERR_CONFIG, "minio.accessKeyID and minio.secretAccessKey must be set");
    if (!options->bucket ||
        S3_validate_bucket_name(options->bucket, S3UriStylePath) != S3StatusOK)
        return ctx_fail(ctx, ERR_CONFIG, "minio.bucketName \"%s\" is not a bucket's name",
                        options->bucket ? options->bucket : "");
    const char *root = options->root ? options->root : "";
    if (*root && (strlen(root) > LIMIT_STORE_ROOT_BYTES || !store_key_ok(root)))
        return ctx_fail(ctx, ERR_CONFIG, "minio.rootPath \"%.80s\": want at most %d of "
                        "[A-Za-z0-9._/=-], no \"/\" at either end", root, LIMIT_STORE_ROOT_BYTES);
    if (options->ca_file && *options->ca_file) {
        FILE *file = fopen(options->ca_file, "re");
        if (!file)
            return ctx_fail(ctx, ERR_CONFIG, "minio.ssl.tlsCACert %s cannot be read",
                            options->ca_file);
        fclose(file);
    }
    return OK;
}

static s3_t *s_new(ctx_t *ctx, const store_s3_options_t *options)
{
    s3_t *self = mem_new(sizeof *self);
    bool bare_v6 = strchr(options->address, ':') && options->address[0] != '[';
    self->host = mem_strdup(ctx_printf(ctx, bare_v6 ? "[%s]:%d" : "%s:%d", options->address,
                                       options->port));
    self->access_key = mem_strdup(options->access_key);
    self->secret_key = mem_strdup(options->secret_key);
    self->bucket = mem_strdup(options->bucket);
    if (options->ca_file && *options->ca_file)
        self->ca_file = mem_strdup(options->ca_file);
    const char *root = options->root ? options->root : "";
    self->root = mem_strdup(ctx_printf(ctx, "%s%s", root, *root ? "/" : ""));
    self->tls = options->tls;
    return self;
}

err_t store_s3_open(ctx_t *ctx, const store_s3_options_t *options, store_t **ret)
{
    static const store_driver_t driver = {
        .name = "s3", .remote = true, .put = s_s3_put, .get = s_s3_get, .head = s_s3_head,
        .list = s_s3_list, .remove = s_s3_remove, .destroy = s_s3_destroy,
    };
    static pthread_once_t once = PTHREAD_ONCE_INIT;     /* libs3 and curl stay until exit */
    check(ret && *ret == NULL);
    pthread_once(&once, s_start_library);
    if (s_library_status != S3StatusOK)
        return ctx_fail(ctx, ERR_INTERNAL, "libs3 does not start: %s",
                        S3_get_status_name(s_library_status));
    TRY(s_check_options(ctx, options));
    s3_t *self = s_new(ctx, options);
    finding_t finding = { .s3 = self, .create = options->create_bucket };
    err_t err = store_retry(ctx, "open", self->bucket, s_find_once, &finding);
    if (err != OK) {
        s_s3_destroy(self);
        return err;
    }
    *ret = store_new(&driver, self);
    return OK;
}
