/* s3wrap - deadlines, certificate checks and manners for libs3's curl handles
 *
 * One request may take until the deadline of its context; but when nothing
 * moves for half of the time left (1 to 10 s) it is given up, so that a hung
 * server leaves time for another try.  curl's low-speed limit averages over
 * seconds, which hides that an upload has just stopped, so the progress
 * callback, which curl calls at least every second, looks for that itself; the
 * limit stays for bodies that drip, and without a deadline both are all there is.
 */
#include "core/store/s3wrap.h"

#include <curl/curl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "core/base/clock.h"

/* curl.h has type-checking macros of these names. */
#undef curl_easy_setopt
#undef curl_easy_perform

enum {
    CONNECT_MOST_MS = 1500, STALL_LEAST_MS = 1000, STALL_MOST_MS = 10000,
    DRIP_BYTES_PER_S = 1024, DRIP_S = 15,
};

CURLcode __real_curl_easy_setopt(CURL *handle, CURLoption option, ...);
CURLcode __real_curl_easy_perform(CURL *handle);
CURLcode __wrap_curl_easy_setopt(CURL *handle, CURLoption option, ...);
CURLcode __wrap_curl_easy_perform(CURL *handle);
struct tm *__wrap_gmtime(const time_t *when);
int64_t __wrap_parseIso8601Time(const char *text);

/* Thread-local because libs3 passes nothing of ours to curl. */
static _Thread_local s3wrap_t *s_call;

void s3wrap_enter(s3wrap_t *call)
{
    check(s_call == NULL && call->ctx);
    sigset_t pipe;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, NULL);
    s_call = call;
}

void s3wrap_leave(void)
{
    check(s_call != NULL);
    s_call = NULL;
}

struct tm *__wrap_gmtime(const time_t *when)
{
    static _Thread_local struct tm s_tm;
    return gmtime_r(when, &s_tm);
}

int64_t __wrap_parseIso8601Time(const char *text)
{
    (void)text;
    return -1;
}

/* Pass one argument on as what curl will read it as: the thousands of an
 * option's number tell its type. */
static CURLcode s_pass(CURL *handle, CURLoption option, va_list args)
{
    if (option < CURLOPTTYPE_OBJECTPOINT)
        return __real_curl_easy_setopt(handle, option, va_arg(args, long));
    if (option < CURLOPTTYPE_OFF_T || option >= CURLOPTTYPE_BLOB)
        return __real_curl_easy_setopt(handle, option, va_arg(args, void *));
    return __real_curl_easy_setopt(handle, option, va_arg(args, curl_off_t));
}

/* An empty Expect takes the header out.  The list stays libs3's. */
static CURLcode s_set_headers(CURL *handle, struct curl_slist *headers)
{
    struct curl_slist *longer = headers ? curl_slist_append(headers, "Expect:") : NULL;
    return __real_curl_easy_setopt(handle, CURLOPT_HTTPHEADER, longer ? longer : headers);
}

/* What libs3 says to its handle: some of it is kept for s_prepare. */
static CURLcode s_intercept(CURL *handle, CURLoption option, va_list args)
{
    switch ((int)option) {
    case CURLOPT_HTTPHEADER:
        return s_set_headers(handle, va_arg(args, struct curl_slist *));
    case CURLOPT_WRITEFUNCTION:
        s_call->write = va_arg(args, __typeof__(s_call->write));
        return CURLE_OK;
    case CURLOPT_WRITEDATA:
        s_call->write_arg = va_arg(args, void *);
        return CURLE_OK;
    default:
        return s_pass(handle, option, args);
    }
}

CURLcode __wrap_curl_easy_setopt(CURL *handle, CURLoption option, ...)
{
    va_list args;
    va_start(args, option);
    CURLcode code = s_call ? s_intercept(handle, option, args) : s_pass(handle, option, args);
    va_end(args);
    return code;
}

/* Hand the body on to libs3, remember its end. */
static size_t s_on_body(char *ptr, size_t size, size_t n, void *arg)
{
    s3wrap_t *call = arg;
    size_t len = size * n;
    size_t take_len = len < S3WRAP_TAIL_BYTES ? len : S3WRAP_TAIL_BYTES;
    size_t keep = call->tail_len + take_len > S3WRAP_TAIL_BYTES ? S3WRAP_TAIL_BYTES - take_len
                                                                 : call->tail_len;
    memmove(call->tail, call->tail + call->tail_len - keep, keep);
    memcpy(call->tail + keep, ptr + len - take_len, take_len);
    call->tail_len = keep + take_len;
    call->tail[call->tail_len] = '\0';
    return call->write ? call->write(ptr, size, n, call->write_arg) : len;
}

/* Not 0 makes curl give up. */
static int s_progress(void *arg, curl_off_t down_total, curl_off_t down, curl_off_t up_total,
                      curl_off_t up)
{
    s3wrap_t *call = arg;
    (void)down_total, (void)up_total;
    if (atomic_load_explicit(&call->ctx->cancelled, memory_order_relaxed))
        return 1;
    int64_t now = clock_mono_ms();
    if (down + up != call->moved_bytes) {
        call->moved_bytes = down + up;
        call->moved_ms = now;
    }
    call->stalled = now - call->moved_ms >= call->stall_ms;
    return call->stalled;
}

static void s_start_watch(s3wrap_t *call, int64_t left_ms)
{
    int64_t half = left_ms / 2 < STALL_MOST_MS ? left_ms / 2 : STALL_MOST_MS;
    call->stall_ms = half > STALL_LEAST_MS ? half : STALL_LEAST_MS;
    call->moved_ms = clock_mono_ms();
    call->moved_bytes = 0;
    call->stalled = false;
}

typedef struct { CURLoption option; long value; } number_t;

/* False when curl refuses one of them: then nothing is sent. */
static bool s_prepare(CURL *handle, s3wrap_t *call)
{
    int64_t left = ctx_left_ms(call->ctx);
    bool endless = left == INT64_MAX;
    left = left > 0 ? left : 1;                 /* 0 is no limit to curl */
    const number_t numbers[] = {
        { CURLOPT_TIMEOUT_MS, endless ? 0 : left },
        { CURLOPT_CONNECTTIMEOUT_MS, left < CONNECT_MOST_MS ? left : CONNECT_MOST_MS },
        { CURLOPT_LOW_SPEED_LIMIT, DRIP_BYTES_PER_S },
        { CURLOPT_LOW_SPEED_TIME, DRIP_S },
        { CURLOPT_SSL_VERIFYPEER, 1 },
        { CURLOPT_SSL_VERIFYHOST, 2 },
        { CURLOPT_FOLLOWLOCATION, 0 },
        { CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1 },
        { CURLOPT_NOSIGNAL, 1 },
        { CURLOPT_NOPROGRESS, 0 },
    };
    s_start_watch(call, left);
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        if (__real_curl_easy_setopt(handle, numbers[i].option, numbers[i].value) != CURLE_OK)
            return false;
    if (call->ca_file && __real_curl_easy_setopt(handle, CURLOPT_CAINFO, call->ca_file) != CURLE_OK)
        return false;
    return __real_curl_easy_setopt(handle, CURLOPT_PROXY, "") == CURLE_OK &&
           __real_curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, s_on_body) == CURLE_OK &&
           __real_curl_easy_setopt(handle, CURLOPT_WRITEDATA, call) == CURLE_OK &&
           __real_curl_easy_setopt(handle, CURLOPT_XFERINFOFUNCTION, s_progress) == CURLE_OK &&
           __real_curl_easy_setopt(handle, CURLOPT_XFERINFODATA, call) == CURLE_OK &&
           __real_curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, call->text) == CURLE_OK;
}

static bool s_is_untrusted(CURLcode code)
{
    return code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE ||
           code == CURLE_SSL_ISSUER_ERROR || code == CURLE_SSL_INVALIDCERTSTATUS;
}

CURLcode __wrap_curl_easy_perform(CURL *handle)
{
    s3wrap_t *call = s_call;
    if (!call)
        return __real_curl_easy_perform(handle);
    call->text[0] = call->tail[0] = '\0';
    call->tail_len = 0;
    CURLcode code = s_prepare(handle, call) ? __real_curl_easy_perform(handle)
                                            : CURLE_UNKNOWN_OPTION;
    long status = 0;
    curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status);
    call->http_status = (int)status;
    call->failed = code != CURLE_OK;
    call->untrusted = s_is_untrusted(code);
    if (call->stalled)
        snprintf(call->text, sizeof call->text, "nothing moved for %lld ms",
                 (long long)call->stall_ms);
    else if (call->failed && call->text[0] == '\0')
        snprintf(call->text, sizeof call->text, "%s", curl_easy_strerror(code));
    /* The handle goes back to libs3's stock; `call` does not. */
    __real_curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, NULL);
    return code;
}
