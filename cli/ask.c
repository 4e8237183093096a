/* ask - see ask.h */
#include "cli/ask.h"

#include <ctype.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/buf.h"
#include "core/base/clock.h"
#include "core/base/limits.h"

enum { HEAD_BYTES = 16 << 10, READ_BYTES = 64 << 10 };

typedef struct { int fd; } line_t;

static void s_hang_up(line_t *line)
{
    if (line->fd >= 0)
        close(line->fd);
}

/* --- the connection ---------------------------------------------------------------- */

static bool s_split(const char *address, char host[256], char port[8])
{
    const char *colon = strrchr(address, ':');
    size_t len = colon ? (size_t)(colon - address) : 0;
    if (len == 0 || len > 255 || strlen(colon + 1) - 1 >= 5 ||
        strspn(colon + 1, "0123456789") != strlen(colon + 1))
        return false;
    bool bracketed = address[0] == '[' && colon[-1] == ']';
    snprintf(host, 256, "%.*s", (int)len - 2 * bracketed, address + bracketed);
    snprintf(port, 8, "%s", colon + 1);
    return host[0];
}

/* True: the descriptor is ready before the deadline. */
static bool s_wait(const ctx_t *ctx, int fd, short events)
{
    struct pollfd one = { .fd = fd, .events = events };
    for (;;) {
        int64_t left = ctx_left_ms(ctx);
        int n = poll(&one, 1, left > 60000 ? 60000 : (int)left);
        if (n > 0)
            return true;
        if (n == 0 && left <= 60000)
            return false;
        if (n < 0 && errno != EINTR)
            return true;                        /* what follows says what is wrong */
    }
}

/* 0, or an errno. */
static int s_dial(const ctx_t *ctx, const struct addrinfo *to, int *ret_fd)
{
    int fd = socket(to->ai_family, to->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return errno;
    int why = connect(fd, to->ai_addr, to->ai_addrlen) == 0 ? 0 : errno;
    if (why == EINPROGRESS) {
        socklen_t len = sizeof why;
        if (!s_wait(ctx, fd, POLLOUT))
            why = ETIMEDOUT;
        else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &why, &len) != 0)
            why = errno;
    }
    if (why == 0)
        *ret_fd = fd;
    else
        close(fd);
    return why;
}

static err_t s_connect(ctx_t *ctx, const ask_t *ask, line_t *ret)
{
    char host[256], port[8];
    if (!s_split(ask->address, host, port))
        return ctx_fail(ctx, ERR_PARAM_INVALID, "\"%s\" is no HOST:PORT", ask->address);
    const struct addrinfo want = { .ai_socktype = SOCK_STREAM };
    struct addrinfo *found = NULL;
    int none = getaddrinfo(host, port, &want, &found);
    if (none != 0)
        return ctx_fail(ctx, ERR_NETWORK, "cannot find the host of %s: %s", ask->address,
                        gai_strerror(none));
    int why = 0;
    for (struct addrinfo *at = found; at && ret->fd < 0; at = at->ai_next)
        why = s_dial(ctx, at, &ret->fd);
    freeaddrinfo(found);
    if (ret->fd < 0)
        return ctx_fail(ctx, ERR_NETWORK, "nothing answers at %s (%s)", ask->address,
                        strerror(why));
    return OK;
}

/* --- the question --------------------------------------------------------------------- */

static void s_base64(view_t from, buf_t *into)
{
    static const char s_letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t at = 0; at < from.len; at += 3) {
        uint32_t bits = 0;
        for (size_t i = 0; i < 3; i++)
            bits = bits << 8 | (at + i < from.len ? from.ptr[at + i] : 0);
        for (size_t i = 0; i < 4; i++)
            buf_add_u8(into, at + i > from.len ? '=' :
                       (uint8_t)s_letters[bits >> (18 - 6 * i) & 63]);
    }
}

static err_t s_send(ctx_t *ctx, const ask_t *ask, const line_t *line)
{
    buf_scoped text = {0};
    buf_addf(&text, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n", ask->path,
             ask->address);
    if (ask->token) {
        buf_add_str(&text, "Authorization: Basic ");
        s_base64(view_str(ask->token), &text);
        buf_add_str(&text, "\r\n");
    }
    buf_add_str(&text, "\r\n");
    for (size_t at = 0; at < text.len; ) {
        if (!s_wait(ctx, line->fd, POLLOUT))
            return ctx_fail(ctx, ERR_TIMEOUT, "%s takes no question", ask->address);
        ssize_t n = send(line->fd, text.ptr + at, text.len - at, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return ctx_fail(ctx, ERR_NETWORK, "%s hung up: %s", ask->address, strerror(errno));
        at += n > 0 ? (size_t)n : 0;
    }
    return OK;
}

/* --- the answer ------------------------------------------------------------------------ */

/* One read; *ret_end: there is no more. */
static err_t s_read(ctx_t *ctx, const ask_t *ask, const line_t *line, buf_t *into, bool *ret_end)
{
    if (!s_wait(ctx, line->fd, POLLIN))
        return ctx_fail(ctx, ERR_TIMEOUT, "%s took the question and did not answer within %.0f s: "
                        "the process stands still, or has too much to do", ask->address,
                        (double)ask->patience_ms / 1000);
    uint8_t *room = buf_reserve(into, READ_BYTES);
    if (!room)
        return ctx_fail(ctx, ERR_PARAM_TOO_LARGE, "%s answers with more than %u bytes",
                        ask->address, LIMIT_OPS_ANSWER_BYTES);
    ssize_t n = read(line->fd, room, READ_BYTES);
    if (n < 0 && errno != EAGAIN && errno != EINTR)
        return ctx_fail(ctx, ERR_NETWORK, "%s hung up: %s", ask->address, strerror(errno));
    into->len += n > 0 ? (size_t)n : 0;
    *ret_end = n == 0;
    return OK;
}

typedef struct { int status; size_t head_len, body_len; } head_t;

/* The value of a header in a head that ends with an empty line; NULL: it is not there. */
static const char *s_header(const char *head, const char *name)
{
    size_t len = strlen(name);
    for (const char *at = strstr(head, "\r\n"); at && at[2] != '\r'; at = strstr(at + 2, "\r\n"))
        if (strncasecmp(at + 2, name, len) == 0 && at[2 + len] == ':')
            return at + 3 + len + strspn(at + 3 + len, " ");
    return NULL;
}

/* False: the head has not come to its end. */
static err_t s_head(ctx_t *ctx, const ask_t *ask, buf_t *bytes, head_t *ret, bool *ret_there)
{
    const char *text = buf_str(bytes), *end = strstr(text, "\r\n\r\n");
    size_t start = strlen("HTTP/1.1 200");
    bool ours = strncmp(text, "HTTP/1.1 ", bytes->len < 9 ? bytes->len : 9) == 0;
    if (!ours || (end && (size_t)(end - text) < start) || (!end && bytes->len > HEAD_BYTES))
        return ctx_fail(ctx, ERR_MALFORMED, "%s does not speak HTTP/1.1: it is no ops port",
                        ask->address);
    *ret_there = end;
    if (!end)
        return OK;
    const char *length = s_header(text, "Content-Length");
    if (!length || !isdigit((unsigned char)length[0]))
        return ctx_fail(ctx, ERR_MALFORMED, "%s does not say how long its answer is: it is no "
                        "ops port of ours", ask->address);
    *ret = (head_t){ .status = (int)strtol(text + 9, NULL, 10),
                     .head_len = (size_t)(end - text) + 4,
                     .body_len = strtoull(length, NULL, 10) };
    if (ret->body_len > LIMIT_OPS_ANSWER_BYTES)
        return ctx_fail(ctx, ERR_PARAM_TOO_LARGE, "%s answers with more than %u bytes",
                        ask->address, LIMIT_OPS_ANSWER_BYTES);
    return OK;
}

static err_t s_receive(ctx_t *ctx, const ask_t *ask, const line_t *line, ask_answer_t *ret)
{
    buf_scoped bytes;
    buf_init(&bytes, LIMIT_OPS_ANSWER_BYTES + HEAD_BYTES + READ_BYTES);
    head_t head = {0};
    bool there = false, end = false;
    while (!there || bytes.len < head.head_len + head.body_len) {
        if (end)
            return ctx_fail(ctx, ERR_NETWORK, "%s hung up in the middle of its answer",
                            ask->address);
        TRY(s_read(ctx, ask, line, &bytes, &end));
        if (!there && bytes.len > 0)
            TRY(s_head(ctx, ask, &bytes, &head, &there));
    }
    ret->status = head.status;
    return ctx_copy(ctx, view_of(bytes.ptr + head.head_len, head.body_len), &ret->body);
}

err_t ask_get(ctx_t *ctx, const ask_t *ask, ask_answer_t *ret)
{
    int64_t before = ctx->deadline_ms;
    __attribute__((cleanup(s_hang_up))) line_t line = { .fd = -1 };
    ctx_limit_ms(ctx, ask->patience_ms);
    err_t err = s_connect(ctx, ask, &line);
    if (err == OK)
        err = s_send(ctx, ask, &line);
    if (err == OK)
        err = s_receive(ctx, ask, &line, ret);
    ctx->deadline_ms = before;
    return err;
}

const char *ask_escape(ctx_t *ctx, const char *text)
{
    buf_scoped into = {0};
    for (const unsigned char *at = (const unsigned char *)text; *at; at++) {
        if (isalnum(*at) || strchr("-_.~", *at))
            buf_add_u8(&into, *at);
        else
            buf_addf(&into, "%%%02X", *at);
    }
    return ctx_strdup(ctx, buf_str(&into));
}
