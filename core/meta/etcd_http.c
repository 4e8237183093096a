/* etcd_http - see etcd_http.h
 *
 * Each attempt borrows a handle from a short list of idle ones, so that the
 * connections inside live on.  Locks: `auth` is held across a login, so that
 * ten threads with an expired token log in once; `lock` is a leaf.
 *
 * What a failure means.  Nothing left the process (no connection, or curl
 * counts no request byte): ERR_NETWORK.  etcd said no before it proposed the
 * request to its peers (bad token, no permission, too large, no space, too
 * many requests): refused.  Everything else, from a reset connection to
 * "request timed out" and "leader changed", leaves open whether it happened.
 * curl itself may send a request a second time when a kept connection turns
 * out to be dead; questions with effects must bear that, and transactions do
 * (etcd_txn.c).
 */
#include "core/meta/etcd_http.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>

#include "core/base/clock.h"
#include "core/base/limits.h"

enum {
    CONNECT_MS = 2000,
    ATTEMPT_LEAST_MS = 500,
    ATTEMPT_MOST_MS = 5000,
    PAUSE_FIRST_MS = 20,
    PAUSE_MOST_MS = 500,
    LAST_CHANCE_MS = 25,                /* less is no time for an attempt */
    IDLE_HANDLES = 16,
    KEEP_ANSWER_BYTES = 1 << 20,        /* bigger buffers are not kept with idle handles */
    PEER_SILENT_MS = 8000,              /* unacknowledged bytes or keep-alives: dead */
};

enum { GRPC_INVALID = 3, GRPC_NOT_FOUND = 5, GRPC_DENIED = 7, GRPC_EXHAUSTED = 8,
       GRPC_PRECONDITION = 9, GRPC_OUT_OF_RANGE = 11, GRPC_UNIMPLEMENTED = 12,
       GRPC_DATA_LOSS = 15, GRPC_UNAUTHENTICATED = 16 };

typedef struct handle {
    struct handle *next;
    CURL *curl;
    buf_t answer;
    char why[CURL_ERROR_SIZE];
} handle_t;

struct etcd_http {
    char *endpoints[LIMIT_META_ENDPOINTS];      /* "http://host:port" */
    size_t n_endpoints;
    _Atomic size_t current;
    char *named;                                /* as configured, for texts */
    char *user, *password, *ca_file, *cert_file, *key_file;     /* NULL: none */

    pthread_mutex_t auth;
    pthread_mutex_t lock;                       /* the rest */
    handle_t *idle;
    size_t n_idle;
    char *token;                                /* NULL: log in first */
    bool open_door;                             /* etcd has authentication switched off */
};

/* --- new and destroy -------------------------------------------------------- */

static void s_curl_init(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

static char *s_dup(const char *text)
{
    return text && *text ? mem_strdup(text) : NULL;
}

/* "host:port", perhaps behind a scheme; the host may be [v6]. */
static bool s_is_endpoint(view_t text)
{
    const uint8_t *colon = memrchr(text.ptr, ':', text.len);
    if (!colon || colon == text.ptr)
        return false;
    size_t digits = text.len - (size_t)(colon + 1 - text.ptr);
    if (digits < 1 || digits > 5)
        return false;
    for (size_t i = 0; i < digits; i++)
        if (colon[1 + i] < '0' || colon[1 + i] > '9')
            return false;
    for (const uint8_t *at = text.ptr; at < colon; at++)
        if (*at <= ' ' || *at == '/' || *at == '@' || *at == '?' || *at == '#')
            return false;
    return true;
}

static err_t s_add_endpoint(ctx_t *ctx, etcd_http_t *self, view_t text, bool tls)
{
    while (text.len && text.ptr[0] == ' ')
        text.ptr++, text.len--;
    while (text.len && text.ptr[text.len - 1] == ' ')
        text.len--;
    if (view_starts(text, view_str("https://")))
        tls = true;
    const uint8_t *host = memmem(text.ptr, text.len, "://", 3);
    if (host)
        text = view_of(host + 3, text.len - (size_t)(host + 3 - text.ptr));
    if (!s_is_endpoint(text) || self->n_endpoints == LIMIT_META_ENDPOINTS)
        return ctx_fail(ctx, ERR_CONFIG, "etcd.endpoints: \"%s\" is not host:port,host:port,... "
                        "(at most %d)", self->named, LIMIT_META_ENDPOINTS);
    self->endpoints[self->n_endpoints++] = mem_strdup(
        ctx_printf(ctx, "http%s://%.*s", tls ? "s" : "", (int)text.len, (const char *)text.ptr));
    return OK;
}

static err_t s_add_endpoints(ctx_t *ctx, etcd_http_t *self, bool tls)
{
    const char *at = self->named;
    for (;;) {
        size_t len = strcspn(at, ",");
        TRY(s_add_endpoint(ctx, self, view_of(at, len), tls));
        if (at[len] == '\0')
            return OK;
        at += len + 1;
    }
}

err_t etcd_http_new(ctx_t *ctx, const meta_etcd_options_t *options, etcd_http_t **ret)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, s_curl_init);
    etcd_http_t *self = mem_new(sizeof *self);
    pthread_mutex_init(&self->auth, NULL);
    pthread_mutex_init(&self->lock, NULL);
    self->named = mem_strdup(options->endpoints ? options->endpoints : "");
    self->user = s_dup(options->user);
    self->password = s_dup(options->password);
    self->ca_file = s_dup(options->ca_file);
    self->cert_file = s_dup(options->cert_file);
    self->key_file = s_dup(options->key_file);
    err_t err = s_add_endpoints(ctx, self, options->tls);
    if (err == OK)
        *ret = self;
    else
        etcd_http_destroy(&self);
    return err;
}

static void s_handle_free(handle_t *handle)
{
    curl_easy_cleanup(handle->curl);
    buf_fini(&handle->answer);
    mem_free(handle);
}

static void s_wipe(char *secret)
{
    if (secret)
        explicit_bzero(secret, strlen(secret));
    mem_free(secret);
}

void etcd_http_destroy(etcd_http_t **self_p)
{
    etcd_http_t *self = *self_p;
    if (!self)
        return;
    while (self->idle) {
        handle_t *handle = self->idle;
        self->idle = handle->next;
        s_handle_free(handle);
    }
    for (size_t i = 0; i < self->n_endpoints; i++)
        mem_free(self->endpoints[i]);
    mem_free(self->named);
    mem_free(self->user);
    s_wipe(self->password);
    s_wipe(self->token);
    mem_free(self->ca_file);
    mem_free(self->cert_file);
    mem_free(self->key_file);
    pthread_mutex_destroy(&self->auth);
    pthread_mutex_destroy(&self->lock);
    mem_free(self);
    *self_p = NULL;
}

size_t etcd_http_endpoint(const etcd_http_t *self)
{
    return atomic_load(&self->current);
}

void etcd_http_rotate(etcd_http_t *self, size_t failed)
{
    atomic_compare_exchange_strong(&self->current, &failed, (failed + 1) % self->n_endpoints);
}

void etcd_http_forget_token(etcd_http_t *self)
{
    pthread_mutex_lock(&self->lock);
    s_wipe(self->token);
    self->token = NULL;
    self->open_door = false;
    pthread_mutex_unlock(&self->lock);
}

/* --- one exchange ----------------------------------------------------------- */

static size_t s_on_answer(char *ptr, size_t size, size_t n, void *arg)
{
    handle_t *handle = arg;
    buf_add(&handle->answer, ptr, size * n);
    return buf_ok(&handle->answer) ? size * n : 0;
}

static int s_on_progress(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    (void)a, (void)b, (void)c, (void)d;
    const ctx_t *ctx = arg;
    return atomic_load_explicit(&ctx->cancelled, memory_order_relaxed);
}

/* A peer that vanished without a word is noticed by unanswered keep-alives. */
static int s_on_socket(void *arg, curl_socket_t fd, curlsocktype purpose)
{
    (void)arg, (void)purpose;
    unsigned silent_ms = PEER_SILENT_MS;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &silent_ms, sizeof silent_ms);
    return CURL_SOCKOPT_OK;
}

static handle_t *s_take_handle(etcd_http_t *self)
{
    pthread_mutex_lock(&self->lock);
    handle_t *handle = self->idle;
    if (handle) {
        self->idle = handle->next;
        self->n_idle--;
    }
    pthread_mutex_unlock(&self->lock);
    if (handle)
        return handle;
    handle = mem_new(sizeof *handle);
    buf_init(&handle->answer, LIMIT_META_ANSWER_BYTES);
    handle->curl = curl_easy_init();
    check(handle->curl != NULL);
    return handle;
}

static void s_give_handle(etcd_http_t *self, handle_t *handle)
{
    if (handle->answer.cap > KEEP_ANSWER_BYTES) {
        buf_fini(&handle->answer);
        buf_init(&handle->answer, LIMIT_META_ANSWER_BYTES);
    }
    pthread_mutex_lock(&self->lock);
    bool keep = self->n_idle < IDLE_HANDLES;
    if (keep) {
        handle->next = self->idle;
        self->idle = handle;
        self->n_idle++;
    }
    pthread_mutex_unlock(&self->lock);
    if (!keep)
        s_handle_free(handle);
}

static void s_set_up(const etcd_http_t *self, CURL *curl, const char *path, const buf_t *body)
{
    char url[512];
    snprintf(url, sizeof url, "%s%s", self->endpoints[etcd_http_endpoint(self)], path);
    curl_easy_reset(curl);                      /* options only: connections stay */
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, (const char *)body->ptr);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body->len);
    curl_easy_setopt(curl, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(curl, CURLOPT_TCP_KEEPIDLE, 4L);
    curl_easy_setopt(curl, CURLOPT_TCP_KEEPINTVL, 2L);
    curl_easy_setopt(curl, CURLOPT_SOCKOPTFUNCTION, s_on_socket);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    if (self->ca_file)
        curl_easy_setopt(curl, CURLOPT_CAINFO, self->ca_file);
    if (self->cert_file)
        curl_easy_setopt(curl, CURLOPT_SSLCERT, self->cert_file);
    if (self->key_file)
        curl_easy_setopt(curl, CURLOPT_SSLKEY, self->key_file);
}

static struct curl_slist *s_headers(const char *token)
{
    struct curl_slist *list = curl_slist_append(NULL, "Content-Type: application/json");
    list = curl_slist_append(list, "Expect:");
    list = curl_slist_append(list, "Grpc-Metadata-Hasleader: true");
    if (token) {
        char line[2048];
        snprintf(line, sizeof line, "Authorization: %s", token);
        list = curl_slist_append(list, line);
        explicit_bzero(line, sizeof line);
    }
    check(list != NULL);
    return list;
}

/* A share of what is left, so that there is time for another attempt. */
static long s_attempt_ms(const ctx_t *ctx)
{
    int64_t left = ctx_left_ms(ctx), share = left / 2;
    share = share < ATTEMPT_LEAST_MS ? ATTEMPT_LEAST_MS : share;
    share = share > ATTEMPT_MOST_MS ? ATTEMPT_MOST_MS : share;
    share = share > left ? left : share;
    return share > 0 ? (long)share : 1;
}

/* Nothing came back: was anything sent?  And what should a person look at? */
static err_t s_curl_error(ctx_t *ctx, const etcd_http_t *self, handle_t *handle, CURLcode code)
{
    const char *why = handle->why[0] ? handle->why : curl_easy_strerror(code);
    if (atomic_load(&ctx->cancelled))
        why = "canceled";
    if (code == CURLE_WRITE_ERROR && !buf_ok(&handle->answer))
        return ctx_fail(ctx, ERR_PARAM_TOO_LARGE, "an answer of etcd exceeds %u bytes",
                        LIMIT_META_ANSWER_BYTES);
    if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE ||
        code == CURLE_SSL_CERTPROBLEM)
        return ctx_fail(ctx, ERR_CONFIG, "no safe connection to etcd at %s: %s; check etcd.ssl.*",
                        self->named, why);
    long sent_bytes = 0;
    curl_easy_getinfo(handle->curl, CURLINFO_REQUEST_SIZE, &sent_bytes);
    return ctx_fail(ctx, sent_bytes == 0 ? ERR_NETWORK : ERR_OUTCOME_UNKNOWN,
                    "etcd cannot be reached at %s: %s; start etcd or correct etcd.endpoints",
                    self->named, why);
}

/* One POST, one body.  *ret_status and *ret are set when HTTP worked. */
static err_t s_exchange(ctx_t *ctx, etcd_http_t *self, const char *path, const buf_t *body,
                        const char *token, long *ret_status, json_t **ret)
{
    size_t endpoint = etcd_http_endpoint(self);
    handle_t *handle = s_take_handle(self);
    buf_reset(&handle->answer);
    handle->why[0] = '\0';
    struct curl_slist *headers = s_headers(token);
    s_set_up(self, handle->curl, path, body);
    curl_easy_setopt(handle->curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(handle->curl, CURLOPT_WRITEFUNCTION, s_on_answer);
    curl_easy_setopt(handle->curl, CURLOPT_WRITEDATA, handle);
    curl_easy_setopt(handle->curl, CURLOPT_ERRORBUFFER, handle->why);
    curl_easy_setopt(handle->curl, CURLOPT_TIMEOUT_MS, s_attempt_ms(ctx));
    curl_easy_setopt(handle->curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(handle->curl, CURLOPT_XFERINFOFUNCTION, s_on_progress);
    curl_easy_setopt(handle->curl, CURLOPT_XFERINFODATA, ctx);
    CURLcode code = curl_easy_perform(handle->curl);
    err_t err = code == CURLE_OK ? OK : s_curl_error(ctx, self, handle, code);
    if (err == OK) {
        curl_easy_getinfo(handle->curl, CURLINFO_RESPONSE_CODE, ret_status);
        *ret = json_loadb((const char *)handle->answer.ptr, handle->answer.len, 0, NULL);
    } else if (err != ERR_PARAM_TOO_LARGE) {
        etcd_http_rotate(self, endpoint);
    }
    curl_slist_free_all(headers);
    s_give_handle(self, handle);
    return err;
}

/* --- what etcd's answers mean ----------------------------------------------- */

static err_t s_invalid(ctx_t *ctx, const etcd_http_t *self, const char *message)
{
    if (strstr(message, "too large") || strstr(message, "too many operations"))
        return ctx_fail(ctx, ERR_PARAM_TOO_LARGE, "etcd at %s: %s", self->named, message);
    if (strstr(message, "user name is empty"))
        return ctx_fail(ctx, ERR_DENIED, "etcd at %s asks for a login: set etcd.auth.userName and "
                        "etcd.auth.password", self->named);
    if (strstr(message, "authentication failed"))
        return ctx_fail(ctx, ERR_DENIED, "etcd at %s does not know user \"%s\" with this password: "
                        "correct etcd.auth.userName and etcd.auth.password", self->named,
                        self->user ? self->user : "");
    return ctx_fail(ctx, ERR_META, "etcd at %s: %s", self->named, message);
}

static err_t s_refusal(ctx_t *ctx, const etcd_http_t *self, int64_t code, const char *message)
{
    switch (code) {
    case GRPC_INVALID:
        return s_invalid(ctx, self, message);
    case GRPC_NOT_FOUND:
        return ctx_fail(ctx, strstr(message, "lease") ? ERR_KEY_NOT_FOUND : ERR_META,
                        "etcd at %s: %s", self->named, message);
    case GRPC_DENIED:
    case GRPC_UNAUTHENTICATED:
        return ctx_fail(ctx, ERR_DENIED, "etcd at %s: %s for user \"%s\" (etcd.auth.userName)",
                        self->named, message, self->user ? self->user : "");
    case GRPC_EXHAUSTED:
        if (strstr(message, "space"))
            return ctx_fail(ctx, ERR_DISK_FULL, "etcd at %s is out of space: compact and "
                            "defragment it, then disarm its alarm (%s)", self->named, message);
        return ctx_fail(ctx, ERR_NETWORK, "etcd at %s: %s", self->named, message);
    case GRPC_OUT_OF_RANGE:
        return ctx_fail(ctx, ERR_CONFLICT, "etcd at %s: %s", self->named, message);
    case GRPC_DATA_LOSS:
        return ctx_fail(ctx, ERR_CORRUPT, "etcd at %s: %s", self->named, message);
    case GRPC_PRECONDITION:
    case GRPC_UNIMPLEMENTED:
        return ctx_fail(ctx, ERR_META, "etcd at %s: %s", self->named, message);
    default:
        return ctx_fail(ctx, ERR_OUTCOME_UNKNOWN, "etcd at %s: %s", self->named, message);
    }
}

/* OK when it is an answer; otherwise why it is none. */
static err_t s_judge(ctx_t *ctx, const etcd_http_t *self, long status, const json_t *answer)
{
    if (status == 200 && json_is_object(answer))
        return OK;
    const char *message = etcd_text(answer, "message");
    if (!*message)
        message = etcd_text(answer, "error");
    if (*message)
        return s_refusal(ctx, self, etcd_int(answer, "code"), message);
    return ctx_fail(ctx, status == 404 ? ERR_NETWORK : ERR_OUTCOME_UNKNOWN,
                    "%s does not answer like the JSON gateway of etcd 3.4 or later (HTTP %ld): "
                    "check etcd.endpoints", self->named, status);
}

/* --- logging in ------------------------------------------------------------- */

static int s_on_json(const char *text, size_t len, void *arg)
{
    buf_add(arg, text, len);
    return 0;
}

static void s_add_json_text(buf_t *body, const char *text)
{
    json_auto_t *value = json_string(text);     /* NULL when it is not UTF-8 */
    if (!value || json_dump_callback(value, s_on_json, body, JSON_ENCODE_ANY) != 0)
        body->failed = true;
}

static void s_keep_token(etcd_http_t *self, const char *token)
{
    pthread_mutex_lock(&self->lock);
    s_wipe(self->token);
    self->token = *token ? mem_strdup(token) : NULL;
    self->open_door = !*token;
    pthread_mutex_unlock(&self->lock);
}

static err_t s_log_in(ctx_t *ctx, etcd_http_t *self)
{
    buf_scoped body;
    buf_init(&body, 0);
    buf_add_str(&body, "{\"name\":");
    s_add_json_text(&body, self->user);
    buf_add_str(&body, ",\"password\":");
    s_add_json_text(&body, self->password ? self->password : "");
    buf_add_str(&body, "}");
    if (!buf_ok(&body))
        return ctx_fail(ctx, ERR_CONFIG, "etcd.auth.userName or etcd.auth.password is not UTF-8");
    json_auto_t *answer = NULL;
    long status = 0;
    err_t err = s_exchange(ctx, self, "/v3/auth/authenticate", &body, NULL, &status, &answer);
    explicit_bzero(body.ptr, body.len);
    TRY(err);
    if (etcd_int(answer, "code") == GRPC_PRECONDITION)
        s_keep_token(self, "");         /* authentication is switched off: come as you are */
    else
        TRY(s_judge(ctx, self, status, answer));
    if (status == 200)
        s_keep_token(self, etcd_text(answer, "token"));
    ctx_clear(ctx);
    return OK;
}

/* A copy of the token in the ctx arena, NULL when none is needed. */
static err_t s_token(ctx_t *ctx, etcd_http_t *self, const char **ret)
{
    *ret = NULL;
    if (!self->user)
        return OK;
    pthread_mutex_lock(&self->auth);
    pthread_mutex_lock(&self->lock);
    bool known = self->token || self->open_door;
    pthread_mutex_unlock(&self->lock);
    err_t err = known ? OK : s_log_in(ctx, self);
    pthread_mutex_lock(&self->lock);
    if (err == OK && self->token)
        *ret = ctx_strdup(ctx, self->token);
    pthread_mutex_unlock(&self->lock);
    pthread_mutex_unlock(&self->auth);
    return err == ERR_OUTCOME_UNKNOWN ? ERR_NETWORK : err;      /* the question was not sent */
}

static bool s_token_is_stale(const json_t *answer)
{
    const char *message = etcd_text(answer, "message");
    return etcd_int(answer, "code") == GRPC_UNAUTHENTICATED ||
           strstr(message, "revision of auth store is old") != NULL ||
           strstr(message, "user name is empty") != NULL;
}

/* Forget the token that failed, unless another thread has a newer one already. */
static void s_drop_token(etcd_http_t *self, const char *failed)
{
    pthread_mutex_lock(&self->lock);
    bool same = failed ? self->token && strcmp(self->token, failed) == 0 : self->open_door;
    pthread_mutex_unlock(&self->lock);
    if (same)
        etcd_http_forget_token(self);
}

/* --- asking ----------------------------------------------------------------- */

err_t etcd_http_try(ctx_t *ctx, etcd_http_t *self, const char *path, buf_t *body, json_t **ret)
{
    if (!buf_ok(body))
        return ctx_fail(ctx, ERR_MEMORY, "no memory for a question to etcd");
    for (int logins = 0; ; logins++) {
        const char *token = NULL;
        TRY(s_token(ctx, self, &token));
        json_auto_t *answer = NULL;
        long status = 0;
        size_t endpoint = etcd_http_endpoint(self);
        TRY(s_exchange(ctx, self, path, body, token, &status, &answer));
        err_t err = s_judge(ctx, self, status, answer);
        if (err == OK) {
            *ret = take(answer);
            return OK;
        }
        if (self->user && logins == 0 && s_token_is_stale(answer)) {
            s_drop_token(self, token);
            continue;
        }
        if (err == ERR_NETWORK || err == ERR_OUTCOME_UNKNOWN)
            etcd_http_rotate(self, endpoint);
        return err;
    }
}

bool etcd_http_pause(ctx_t *ctx, const etcd_http_t *self, int64_t *pause_ms)
{
    int64_t wait_ms = *pause_ms > 0 || self->n_endpoints > 1 ? *pause_ms : PAUSE_FIRST_MS;
    int64_t left_ms = ctx_left_ms(ctx);
    bool worth = left_ms > 2 * LAST_CHANCE_MS && !atomic_load(&ctx->cancelled);
    if (worth)
        clock_sleep_ms(wait_ms < left_ms / 2 ? wait_ms : left_ms / 2);
    *pause_ms = *pause_ms * 2 < PAUSE_FIRST_MS ? PAUSE_FIRST_MS : *pause_ms * 2;
    *pause_ms = *pause_ms > PAUSE_MOST_MS ? PAUSE_MOST_MS : *pause_ms;
    return worth;
}

err_t etcd_http_give_up(ctx_t *ctx, const etcd_http_t *self, err_t err)
{
    if (atomic_load(&ctx->cancelled))
        return ctx_fail(ctx, ERR_CANCELED, "%s", "");
    char why[CTX_TEXT_BYTES];
    memcpy(why, ctx->text, sizeof why);
    return ctx_fail(ctx, err == ERR_NETWORK ? ERR_META : ERR_TIMEOUT, "%s", why);
}

err_t etcd_http_ask(ctx_t *ctx, etcd_http_t *self, const char *path, buf_t *body, json_t **ret)
{
    int64_t pause_ms = 0;
    for (;;) {
        err_t err = etcd_http_try(ctx, self, path, body, ret);
        if (err != ERR_NETWORK && err != ERR_OUTCOME_UNKNOWN)
            return err;
        if (!etcd_http_pause(ctx, self, &pause_ms))
            return etcd_http_give_up(ctx, self, err);
        ctx_clear(ctx);
    }
}

err_t etcd_http_prepare(ctx_t *ctx, etcd_http_t *self, CURL *curl, const char *path,
                        const buf_t *body, struct curl_slist **headers)
{
    const char *token = NULL;
    TRY(s_token(ctx, self, &token));
    s_set_up(self, curl, path, body);
    *headers = s_headers(token);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, *headers);
    return OK;
}
