/* s3_shim - see s3_shim.h
 *
 * One mutex guards everything shared; it is not held while a socket is read
 * or written.  A connection's thread does what it has to do late (LATE)
 * itself, after it has closed its socket; destroy waits for that too. */
#include "tests/support/s3_shim.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/rng.h"
#include "tests/support/s3_shim_objects.h"
#include "tests/support/s3_shim_tls.h"

enum {
    HEAD_BYTES = 16 << 10, BODY_MOST = 64 << 20, HEADERS_MOST = 32, SLOW_PIECES = 10, NAP_MS = 10,
};

struct s3_shim {
    s3_shim_options_t options;
    SSL_CTX *tls;
    int listen_fd, port;
    pthread_t acceptor;

    pthread_mutex_t lock;           /* all below */
    pthread_cond_t quiet;           /* n_threads fell to 0 */
    bool stopping;
    int n_threads;
    bool has_bucket;
    s3_shim_objects_t objects;
    unsigned armed_ops;
    s3_shim_fault_t armed;
    int armed_left;
    rng_t rng;
    double chance;
    int counts[8];                  /* by bit of s3_shim_op_t */
    int rewrites, rude;
};

typedef struct header { char *name, *value; } header_t;

typedef struct conn {
    s3_shim_t *shim;
    int fd;
    SSL *ssl;
    char head[HEAD_BYTES + 1];
    size_t head_len;                /* bytes in head; what is behind the blank line is body */

    /* The request being answered. */
    char *method, *path, *query;    /* into head */
    header_t headers[HEADERS_MOST];
    size_t n_headers;
    s3_shim_op_t op;
    s3_shim_fault_t fault;
    char name[2048];                /* of the object, decoded; "" for the bucket itself */
    buf_t body;
    bool done_for;                  /* close after this request */
    bool late;                      /* do it after closing */
} conn_t;

/* --- bytes -------------------------------------------------------------------- */

static bool s_stopping(s3_shim_t *shim)
{
    pthread_mutex_lock(&shim->lock);
    bool stopping = shim->stopping;
    pthread_mutex_unlock(&shim->lock);
    return stopping;
}

/* 0: closed or stopping. */
static size_t s_recv(conn_t *conn, void *ptr, size_t len)
{
    while (!s_stopping(conn->shim)) {
        struct pollfd poll_fd = { .fd = conn->fd, .events = POLLIN };
        if (!(conn->ssl && SSL_pending(conn->ssl)) && poll(&poll_fd, 1, NAP_MS) == 0)
            continue;
        ssize_t n = conn->ssl ? SSL_read(conn->ssl, ptr, (int)len) : recv(conn->fd, ptr, len, 0);
        return n > 0 ? (size_t)n : 0;
    }
    return 0;
}

static void s_send(conn_t *conn, const void *ptr, size_t len)
{
    const uint8_t *at = ptr;
    while (len && !conn->done_for) {
        ssize_t n = conn->ssl ? SSL_write(conn->ssl, at, (int)len)
                              : send(conn->fd, at, len, MSG_NOSIGNAL);
        if (n <= 0) {
            conn->done_for = true;
            return;
        }
        at += n;
        len -= (size_t)n;
    }
}

static void s_send_slowly(conn_t *conn, view_t body)
{
    for (size_t i = 0; i < SLOW_PIECES && !s_stopping(conn->shim); i++) {
        size_t from = body.len * i / SLOW_PIECES, to = body.len * (i + 1) / SLOW_PIECES;
        s_send(conn, body.ptr + from, to - from);
        clock_sleep_ms(conn->shim->options.slow_ms / SLOW_PIECES);
    }
}

/* --- answers -------------------------------------------------------------------- */

static void s_answer(conn_t *conn, int status, const char *extra, view_t body)
{
    bool cut = conn->fault == S3_SHIM_TRUNCATE;
    char head[512];
    int n = snprintf(head, sizeof head, "HTTP/1.1 %d Whatever\r\nServer: shim\r\n"
                     "Date: Fri, 02 Jan 2026 03:04:05 GMT\r\nContent-Length: %zu\r\n%s\r\n",
                     status, body.len, extra);
    s_send(conn, head, (size_t)n);
    if (conn->op == S3_SHIM_HEAD)
        return;
    if (conn->fault == S3_SHIM_SLOW)
        s_send_slowly(conn, body);
    else
        s_send(conn, body.ptr, cut ? body.len / 2 : body.len);
    conn->done_for |= cut;
}

static void s_answer_error(conn_t *conn, int status, const char *code)
{
    char xml[512];
    snprintf(xml, sizeof xml, "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>%s</Code>"
             "<Message>the shim says %s</Message><Resource>/x</Resource><RequestId>1</RequestId>"
             "</Error>", code, code);
    s_answer(conn, status, "Content-Type: application/xml\r\n", view_str(xml));
}

/* --- reading a request ------------------------------------------------------------ */

static const char *s_header(const conn_t *conn, const char *name)
{
    for (size_t i = 0; i < conn->n_headers; i++)
        if (strcasecmp(conn->headers[i].name, name) == 0)
            return conn->headers[i].value;
    return NULL;
}

static void s_decode(const char *from, size_t len, char *to, size_t room)
{
    size_t n = 0;
    for (size_t i = 0; i < len && n + 1 < room; i++) {
        unsigned byte = (unsigned char)from[i];
        if (from[i] == '%' && i + 2 < len + 0 && sscanf(from + i + 1, "%2x", &byte) == 1)
            i += 2;
        to[n++] = (char)byte;
    }
    to[n] = '\0';
}

/* The value of ?name=…, decoded; "" when it is not there. */
static void s_query(const conn_t *conn, const char *name, char *ret, size_t room)
{
    ret[0] = '\0';
    size_t len = strlen(name);
    for (const char *at = conn->query; at && *at; at = strchr(at, '&') ? strchr(at, '&') + 1 : NULL)
        if (strncmp(at, name, len) == 0 && (at[len] == '=' || at[len] == '&' || at[len] == '\0'))
            s_decode(at + len + (at[len] == '='), at[len] == '=' ? strcspn(at + len + 1, "&") : 0,
                     ret, room);
}

static bool s_split_head(conn_t *conn, char *end)
{
    *end = '\0';
    char *save = NULL;
    char *line = strtok_r(conn->head, "\r\n", &save);
    char *space = line ? strchr(line, ' ') : NULL;
    char *tail = space ? strchr(space + 1, ' ') : NULL;
    if (!tail)
        return false;
    *space = *tail = '\0';
    conn->method = line;
    conn->path = space + 1;
    conn->query = strchr(conn->path, '?');
    if (conn->query)
        *conn->query++ = '\0';
    conn->n_headers = 0;
    while ((line = strtok_r(NULL, "\r\n", &save)) && conn->n_headers < HEADERS_MOST) {
        char *colon = strchr(line, ':');
        if (!colon)
            return false;
        *colon = '\0';
        conn->headers[conn->n_headers++] = (header_t){ line, colon + 1 + strspn(colon + 1, " ") };
    }
    return true;
}

/* The head up to its blank line; *ret_rest is what came behind it. */
static bool s_read_head(conn_t *conn, view_t *ret_rest)
{
    conn->head_len = 0;
    for (;;) {
        conn->head[conn->head_len] = '\0';
        char *end = strstr(conn->head, "\r\n\r\n");
        if (end) {
            *ret_rest = view_of(end + 4, conn->head_len - (size_t)(end + 4 - conn->head));
            return s_split_head(conn, end);
        }
        size_t n = s_recv(conn, conn->head + conn->head_len, HEAD_BYTES - conn->head_len);
        if (n == 0 || conn->head[0] < 'A' || conn->head[0] > 'Z')      /* TLS, for one */
            return false;
        conn->head_len += n;
    }
}

/* Content-Length bytes; half of them under TRUNCATE.  False: hang up. */
static bool s_read_body(conn_t *conn, view_t rest)
{
    const char *text = s_header(conn, "Content-Length");
    size_t len = text ? (size_t)strtoull(text, NULL, 10) : 0;
    bool cut = conn->fault == S3_SHIM_TRUNCATE && conn->op == S3_SHIM_PUT;
    buf_init(&conn->body, BODY_MOST);
    buf_add_view(&conn->body, rest);
    while (conn->body.len < (cut ? len / 2 : len)) {
        size_t want = len - conn->body.len < 65536 ? len - conn->body.len : 65536;
        uint8_t *at = buf_reserve(&conn->body, want);
        size_t n = at ? s_recv(conn, at, want) : 0;
        if (n == 0)
            return false;
        conn->body.len += n;
    }
    return !cut;
}

/* --- signature and digest ----------------------------------------------------------- */

static int s_compare_headers(const void *a, const void *b)
{
    return strcasecmp(((const header_t *)a)->name, ((const header_t *)b)->name);
}

static void s_string_to_sign(conn_t *conn, buf_t *text)
{
    static const char *const plain[] = { "Content-MD5", "Content-Type", "Date" };
    buf_addf(text, "%s\n", conn->method);
    bool own_date = s_header(conn, "x-amz-date") != NULL;
    for (size_t i = 0; i < ARRAY_LEN(plain); i++) {
        const char *value = i == 2 && own_date ? NULL : s_header(conn, plain[i]);
        buf_addf(text, "%s\n", value ? value : "");
    }
    header_t sorted[HEADERS_MOST];
    memcpy(sorted, conn->headers, conn->n_headers * sizeof sorted[0]);
    qsort(sorted, conn->n_headers, sizeof sorted[0], s_compare_headers);
    for (size_t i = 0; i < conn->n_headers; i++)
        if (strncasecmp(sorted[i].name, "x-amz-", 6) == 0)
            buf_addf(text, "%s:%s\n", sorted[i].name, sorted[i].value);
    buf_addf(text, "%s", conn->path);
    if (conn->query && strncmp(conn->query, "location", 8) == 0)
        buf_addf(text, "?location");
}

/* NULL when the request may pass, else S3's word for why not. */
static const char *s_refusal(conn_t *conn)
{
    const s3_shim_options_t *options = &conn->shim->options;
    const char *given = s_header(conn, "Authorization");
    size_t key_len = strlen(options->access_key);
    if (!given || strncmp(given, "AWS ", 4) != 0)
        return "AccessDenied";
    if (strncmp(given + 4, options->access_key, key_len) != 0 || given[4 + key_len] != ':')
        return "InvalidAccessKeyId";
    buf_scoped text = {0};
    s_string_to_sign(conn, &text);
    uint8_t mac[EVP_MAX_MD_SIZE];
    unsigned mac_len = 0;
    HMAC(EVP_sha1(), options->secret_key, (int)strlen(options->secret_key), text.ptr, text.len, mac,
         &mac_len);
    char want[64];
    EVP_EncodeBlock((unsigned char *)want, mac, (int)mac_len);
    return strcmp(given + 4 + key_len + 1, want) == 0 ? NULL : "SignatureDoesNotMatch";
}

static bool s_md5_fits(const conn_t *conn)
{
    const char *given = s_header(conn, "Content-MD5");
    if (!given)
        return true;
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    EVP_Digest(conn->body.ptr, conn->body.len, digest, &len, EVP_md5(), NULL);
    char want[32];
    EVP_EncodeBlock((unsigned char *)want, digest, (int)len);
    return strcmp(given, want) == 0;
}

/* --- doing it ------------------------------------------------------------------------ */

static void s_store(conn_t *conn)
{
    s3_shim_t *shim = conn->shim;
    pthread_mutex_lock(&shim->lock);
    if (conn->op == S3_SHIM_DELETE)
        s3_shim_objects_remove(&shim->objects, conn->name);
    else if (!s3_shim_objects_put(&shim->objects, conn->name, buf_view(&conn->body),
                                  clock_mono_ms() + shim->options.list_lag_ms))
        shim->rewrites++;
    pthread_mutex_unlock(&shim->lock);
}

static void s_do_put(conn_t *conn)
{
    if (conn->fault == S3_SHIM_FLIP && conn->body.len)
        conn->body.ptr[conn->body.len / 3] ^= 0x10;
    if (!s_md5_fits(conn)) {
        pthread_mutex_lock(&conn->shim->lock);
        conn->shim->rude += conn->fault != S3_SHIM_FLIP;
        pthread_mutex_unlock(&conn->shim->lock);
        s_answer_error(conn, 400, "BadDigest");
        return;
    }
    s_store(conn);
    if (conn->fault == S3_SHIM_LOST_ANSWER)
        conn->done_for = true;
    else
        s_answer(conn, 200, "ETag: \"x\"\r\n", view_of("", 0));
}

static void s_do_get(conn_t *conn)
{
    buf_scoped copy = {0};
    pthread_mutex_lock(&conn->shim->lock);
    const s3_shim_object_t *object = s3_shim_objects_get(&conn->shim->objects, conn->name);
    bool found = object != NULL;
    if (found)
        buf_add(&copy, object->bytes, object->len);
    pthread_mutex_unlock(&conn->shim->lock);
    if (!found) {
        s_answer_error(conn, 404, "NoSuchKey");
        return;
    }
    if (conn->fault == S3_SHIM_LOST_ANSWER) {
        conn->done_for = true;
        return;
    }
    unsigned long long from = 0, to = copy.len ? copy.len - 1 : 0;
    const char *range = s_header(conn, "Range");
    bool ranged = range && conn->fault != S3_SHIM_IGNORE_RANGE &&
                  sscanf(range, "bytes=%llu-%llu", &from, &to) >= 1;
    if (ranged && (from >= copy.len || to < from)) {
        s_answer_error(conn, 416, "InvalidRange");
        return;
    }
    to = to < copy.len ? to : copy.len - 1;
    view_t part = view_of(copy.ptr + from, copy.len ? (size_t)(to - from + 1) : 0);
    if (conn->fault == S3_SHIM_FLIP && part.len)
        copy.ptr[from + part.len / 3] ^= 0x10;
    s_answer(conn, ranged ? 206 : 200, "ETag: \"x\"\r\n", part);
}

static void s_do_list(conn_t *conn)
{
    char prefix[2048], marker[2048], most[16];
    s_query(conn, "prefix", prefix, sizeof prefix);
    s_query(conn, "marker", marker, sizeof marker);
    s_query(conn, "max-keys", most, sizeof most);
    buf_scoped keys = {0}, xml = {0};
    pthread_mutex_lock(&conn->shim->lock);
    bool more = s3_shim_objects_list(&conn->shim->objects, prefix, marker,
                                     most[0] ? atoi(most) : 1000, &keys);
    pthread_mutex_unlock(&conn->shim->lock);
    buf_addf(&xml, "<?xml version=\"1.0\" encoding=\"UTF-8\"?><ListBucketResult xmlns=\"http://s3."
             "amazonaws.com/doc/2006-03-01/\"><Name>b</Name><IsTruncated>%s</IsTruncated>",
             more ? "true" : "false");
    buf_add_view(&xml, buf_view(&keys));
    buf_add_str(&xml, "</ListBucketResult>");
    if (conn->fault == S3_SHIM_LOST_ANSWER)
        conn->done_for = true;
    else
        s_answer(conn, 200, "Content-Type: application/xml\r\n", buf_view(&xml));
}

static void s_do_bucket(conn_t *conn)
{
    bool make = strcmp(conn->method, "PUT") == 0;
    pthread_mutex_lock(&conn->shim->lock);
    conn->shim->has_bucket |= make;
    bool there = conn->shim->has_bucket;
    pthread_mutex_unlock(&conn->shim->lock);
    if (!there)
        s_answer_error(conn, 404, "NoSuchBucket");
    else
        s_answer(conn, 200, "Content-Type: application/xml\r\n",
                 view_str(make ? "" : "<?xml version=\"1.0\"?><LocationConstraint/>"));
}

static void s_do_head(conn_t *conn)
{
    pthread_mutex_lock(&conn->shim->lock);
    const s3_shim_object_t *object = s3_shim_objects_get(&conn->shim->objects, conn->name);
    size_t len = object ? object->len : 0;
    pthread_mutex_unlock(&conn->shim->lock);
    if (conn->fault == S3_SHIM_LOST_ANSWER)
        conn->done_for = true;
    else
        s_answer(conn, object ? 200 : 404, "", view_of(NULL, len));
}

static void s_do(conn_t *conn)
{
    const char *refusal = s_refusal(conn);
    if (refusal) {
        s_answer_error(conn, 403, refusal);
        return;
    }
    switch (conn->op) {
    case S3_SHIM_PUT:    s_do_put(conn); break;
    case S3_SHIM_GET:    s_do_get(conn); break;
    case S3_SHIM_HEAD:   s_do_head(conn); break;
    case S3_SHIM_LIST:   s_do_list(conn); break;
    case S3_SHIM_BUCKET: s_do_bucket(conn); break;
    case S3_SHIM_DELETE:
        s_store(conn);
        if (conn->fault == S3_SHIM_LOST_ANSWER)
            conn->done_for = true;
        else
            s_answer(conn, 204, "", view_of("", 0));
        break;
    case S3_SHIM_ANY:
        break;
    }
}

/* --- faults --------------------------------------------------------------------------- */

static s3_shim_fault_t s_pick_fault(s3_shim_t *shim, s3_shim_op_t op)
{
    s3_shim_fault_t fault = S3_SHIM_FINE;
    pthread_mutex_lock(&shim->lock);
    shim->counts[__builtin_ctz(op)]++;
    if (shim->armed_left > 0 && (shim->armed_ops & op)) {
        shim->armed_left--;
        fault = shim->armed;
    } else if (shim->chance > 0 && rng_chance(&shim->rng, shim->chance)) {
        fault = (s3_shim_fault_t)(1 + rng_below(&shim->rng, S3_SHIM_WEATHER - 1));
        if (fault == S3_SHIM_STALL)
            fault = S3_SHIM_FINE;               /* costs seconds each; has tests of its own */
    }
    pthread_mutex_unlock(&shim->lock);
    return fault;
}

/* Say nothing until the client or the test has had enough. */
static void s_stall(conn_t *conn)
{
    char byte;
    while (s_recv(conn, &byte, 1) != 0)
        continue;
    conn->done_for = true;
}

static void s_hang_up_and_do_late(conn_t *conn)
{
    conn->done_for = true;
    conn->late = conn->op == S3_SHIM_PUT || conn->op == S3_SHIM_DELETE;
}

static void s_serve(conn_t *conn)
{
    static const char html[] = "<html><body>It works!</body></html>";
    switch (conn->fault) {
    case S3_SHIM_STALL:     s_stall(conn); return;
    case S3_SHIM_500:       s_answer_error(conn, 500, "InternalError"); return;
    case S3_SHIM_SLOWDOWN:  s_answer_error(conn, 503, "SlowDown"); return;
    case S3_SHIM_BARE_503:  s_answer(conn, 503, "", view_str("busy")); return;
    case S3_SHIM_FULL:      s_answer_error(conn, 507, "XMinioStorageFull"); return;
    case S3_SHIM_FORBIDDEN: s_answer_error(conn, 403, "AccessDenied"); return;
    case S3_SHIM_DROP:      conn->done_for = true; return;
    case S3_SHIM_LATE:      s_hang_up_and_do_late(conn); return;
    case S3_SHIM_GARBAGE:
        if (conn->op != S3_SHIM_GET && conn->op != S3_SHIM_LIST)
            break;
        s_answer(conn, 200, "Content-Type: text/html\r\n", view_str(html));
        return;
    case S3_SHIM_FINE:
    case S3_SHIM_TRUNCATE:
    case S3_SHIM_FLIP:
    case S3_SHIM_SLOW:
    case S3_SHIM_LOST_ANSWER:
    case S3_SHIM_IGNORE_RANGE:
    case S3_SHIM_WEATHER:
        break;
    }
    s_do(conn);
}

/* --- connections ------------------------------------------------------------------------ */

static s3_shim_op_t s_op(conn_t *conn)
{
    const char *name = conn->path[0] == '/' ? strchr(conn->path + 1, '/') : NULL;
    s_decode(name ? name + 1 : "", name ? strlen(name + 1) : 0, conn->name, sizeof conn->name);
    if (conn->name[0] == '\0') {
        bool list = strcmp(conn->method, "GET") == 0 &&
                    !(conn->query && strncmp(conn->query, "location", 8) == 0);
        return list ? S3_SHIM_LIST : S3_SHIM_BUCKET;
    }
    return strcmp(conn->method, "PUT") == 0 ? S3_SHIM_PUT
         : strcmp(conn->method, "HEAD") == 0 ? S3_SHIM_HEAD
         : strcmp(conn->method, "DELETE") == 0 ? S3_SHIM_DELETE : S3_SHIM_GET;
}

static void s_converse(conn_t *conn)
{
    view_t rest = {0};
    while (!conn->done_for && s_read_head(conn, &rest)) {
        buf_fini(&conn->body);
        conn->op = s_op(conn);
        conn->fault = s_pick_fault(conn->shim, conn->op);
        if (s_header(conn, "Expect")) {
            pthread_mutex_lock(&conn->shim->lock);
            conn->shim->rude++;
            pthread_mutex_unlock(&conn->shim->lock);
        }
        if (!s_read_body(conn, rest))
            return;
        s_serve(conn);
    }
}

static void s_close(conn_t *conn)
{
    if (conn->ssl) {
        SSL_shutdown(conn->ssl);
        SSL_free(conn->ssl);
    }
    close(conn->fd);
}

static void s_nap(s3_shim_t *shim, int ms)
{
    for (int64_t until = clock_mono_ms() + ms; clock_mono_ms() < until && !s_stopping(shim); )
        clock_sleep_ms(NAP_MS);
}

static void *s_serve_connection(void *arg)
{
    conn_t *conn = arg;
    s3_shim_t *shim = conn->shim;
    bool open = true;
    if (shim->tls) {
        conn->ssl = SSL_new(shim->tls);
        SSL_set_fd(conn->ssl, conn->fd);
        open = SSL_accept(conn->ssl) == 1;
    }
    if (open)
        s_converse(conn);
    s_close(conn);
    if (conn->late) {
        s_nap(shim, shim->options.late_ms);
        s_store(conn);
    }
    buf_fini(&conn->body);
    mem_free(conn);
    pthread_mutex_lock(&shim->lock);
    if (--shim->n_threads == 0)
        pthread_cond_signal(&shim->quiet);
    pthread_mutex_unlock(&shim->lock);
    return NULL;
}

static void s_start_connection(s3_shim_t *shim, int fd)
{
    conn_t *conn = mem_new(sizeof *conn);
    conn->shim = shim;
    conn->fd = fd;
    struct timeval most = { .tv_sec = 10 };         /* a client that stops reading */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &most, sizeof most);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof most);
    pthread_mutex_lock(&shim->lock);
    shim->n_threads++;
    pthread_mutex_unlock(&shim->lock);
    pthread_t thread;
    check(pthread_create(&thread, NULL, s_serve_connection, conn) == 0);
    pthread_detach(thread);
}

static void *s_accept(void *arg)
{
    s3_shim_t *shim = arg;
    sigset_t pipe;                                  /* SSL_write has no MSG_NOSIGNAL */
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, NULL);        /* and for the connections' threads */
    while (!s_stopping(shim)) {
        struct pollfd poll_fd = { .fd = shim->listen_fd, .events = POLLIN };
        if (poll(&poll_fd, 1, NAP_MS) <= 0)
            continue;
        int fd = accept4(shim->listen_fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0)
            s_start_connection(shim, fd);
    }
    return NULL;
}

s3_shim_t *s3_shim_new(const s3_shim_options_t *options)
{
    s3_shim_t *self = mem_new(sizeof *self);
    self->options = *options;
    self->has_bucket = options->bucket != NULL;
    pthread_mutex_init(&self->lock, NULL);
    pthread_cond_init(&self->quiet, NULL);
    s3_shim_objects_init(&self->objects);
    if (options->cert_file)
        self->tls = s3_shim_tls_new(options->cert_file);

    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof at;
    self->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    check(self->listen_fd >= 0 && bind(self->listen_fd, (struct sockaddr *)&at, sizeof at) == 0 &&
          listen(self->listen_fd, 64) == 0 &&
          getsockname(self->listen_fd, (struct sockaddr *)&at, &len) == 0);
    self->port = ntohs(at.sin_port);
    check(pthread_create(&self->acceptor, NULL, s_accept, self) == 0);
    return self;
}

void s3_shim_destroy(s3_shim_t **self_p)
{
    s3_shim_t *self = *self_p;
    if (!self)
        return;
    pthread_mutex_lock(&self->lock);
    self->stopping = true;
    pthread_mutex_unlock(&self->lock);
    pthread_join(self->acceptor, NULL);
    pthread_mutex_lock(&self->lock);
    while (self->n_threads)
        pthread_cond_wait(&self->quiet, &self->lock);
    pthread_mutex_unlock(&self->lock);
    close(self->listen_fd);
    SSL_CTX_free(self->tls);
    s3_shim_objects_fini(&self->objects);
    pthread_cond_destroy(&self->quiet);
    pthread_mutex_destroy(&self->lock);
    mem_free(self);
    *self_p = NULL;
}

int s3_shim_port(const s3_shim_t *self)
{
    return self->port;
}

void s3_shim_next(s3_shim_t *self, unsigned ops, s3_shim_fault_t fault, int n)
{
    pthread_mutex_lock(&self->lock);
    self->armed_ops = ops;
    self->armed = fault;
    self->armed_left = n;
    pthread_mutex_unlock(&self->lock);
}

void s3_shim_storm(s3_shim_t *self, uint64_t seed, double chance)
{
    pthread_mutex_lock(&self->lock);
    rng_seed(&self->rng, seed);
    self->chance = chance;
    self->armed_left = 0;
    pthread_mutex_unlock(&self->lock);
}

int s3_shim_count(s3_shim_t *self, unsigned ops)
{
    int n = 0;
    pthread_mutex_lock(&self->lock);
    for (int bit = 0; bit < 6; bit++)
        if (ops & (1u << bit))
            n += self->counts[bit];
    pthread_mutex_unlock(&self->lock);
    return n;
}

int s3_shim_rewrites(s3_shim_t *self)
{
    pthread_mutex_lock(&self->lock);
    int n = self->rewrites;
    pthread_mutex_unlock(&self->lock);
    return n;
}

int s3_shim_rude(s3_shim_t *self)
{
    pthread_mutex_lock(&self->lock);
    int n = self->rude;
    pthread_mutex_unlock(&self->lock);
    return n;
}

bool s3_shim_damage(s3_shim_t *self, const char *name, size_t at)
{
    pthread_mutex_lock(&self->lock);
    s3_shim_object_t *object = s3_shim_objects_get(&self->objects, name);
    bool there = object && at < object->len;
    if (there)
        object->bytes[at] ^= 0x04;
    pthread_mutex_unlock(&self->lock);
    return there;
}

bool s3_shim_has(s3_shim_t *self, const char *name)
{
    pthread_mutex_lock(&self->lock);
    bool there = s3_shim_objects_get(&self->objects, name) != NULL;
    pthread_mutex_unlock(&self->lock);
    return there;
}
