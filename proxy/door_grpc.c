/* door_grpc - gRPC over HTTP/2, the unary half of it
 *
 * A request is headers, then one message in DATA frames cut anywhere:
 *
 *     offset  size  field
 *     0       1     0: as is, 1: compressed as grpc-encoding says
 *     1       4     n, length, big-endian
 *     5       n     the message
 *
 * Texts are grpc-go's, because Milvus is a grpc-go server and clients have
 * been seen to match them.
 */
#include "proxy/door_int.h"

#include <stdio.h>
#include <zlib.h>

#include "core/base/clock.h"
#include "core/base/limits.h"

bool door_grpc_is(const char *content_type)
{
    if (!content_type || strncmp(content_type, "application/grpc", 16) != 0)
        return false;
    return content_type[16] == '\0' || content_type[16] == '+' || content_type[16] == ';';
}

/* --- headers ------------------------------------------------------------------ */

int64_t door_grpc_timeout_ms(const char *text)
{
    static const struct { char unit; int64_t us; } units[] = {
        { 'H', 3600000000 }, { 'M', 60000000 }, { 'S', 1000000 }, { 'm', 1000 }, { 'u', 1 },
    };
    int64_t n = 0;
    size_t digits = 0;
    for (; text[digits] >= '0' && text[digits] <= '9'; digits++) {
        if (digits == 8)
            return -1;
        n = n * 10 + (text[digits] - '0');
    }
    if (digits == 0 || text[digits] == '\0' || text[digits + 1] != '\0')
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(units); i++)
        if (units[i].unit == text[digits])
            return (n * units[i].us + 999) / 1000;
    return text[digits] == 'n' ? (n + 999999) / 1000000 : -1;
}

char *door_grpc_escape(const char *text)
{
    static const char hex[] = "0123456789ABCDEF";
    char *ret = mem_new(strlen(text) * 3 + 1), *to = ret;
    for (const uint8_t *p = (const uint8_t *)text; *p; p++) {
        if (*p >= ' ' && *p <= '~' && *p != '%') {
            *to++ = (char)*p;
        } else {
            *to++ = '%';
            *to++ = hex[*p >> 4];
            *to++ = hex[*p & 15];
        }
    }
    return ret;
}

static bool s_serves(const door_t *door, view_t service)
{
    const char *const *at = door->opt.services;
    for (; at && *at; at++)
        if (view_eq(view_str(*at), service))
            return true;
    return false;
}

static void s_refuse_unknown(door_call_t *call)
{
    door_t *door = call->conn->door;
    const char *path = call->request->path;
    const char *name = path[0] == '/' ? path + 1 : path;
    const char *slash = strrchr(name, '/');
    door_count(door, unknown);
    if (!slash)
        door_call_refuse(call, GRPC_UNIMPLEMENTED, 200, "malformed method name: \"%s\"", path);
    else if (s_serves(door, view_of(name, (size_t)(slash - name))))
        door_call_refuse(call, GRPC_UNIMPLEMENTED, 200, "unknown method %s for service %.*s",
                         slash + 1, (int)(slash - name), name);
    else
        door_call_refuse(call, GRPC_UNIMPLEMENTED, 200, "unknown service %.*s",
                         (int)(slash - name), name);
}

static bool s_take_timeout(door_call_t *call)
{
    door_request_t *request = call->request;
    const char *text = door_header(request, "grpc-timeout");
    if (!text)
        return true;
    int64_t ms = door_grpc_timeout_ms(text);
    if (ms < 0) {
        door_call_refuse(call, GRPC_INTERNAL, 400, "malformed grpc-timeout: \"%s\"", text);
        return false;
    }
    request->ctx.deadline_ms = call->conn->door->now_ms + ms;
    door_conn_due(call->conn, request->ctx.deadline_ms);
    return true;
}

void door_grpc_begin(door_call_t *call)
{
    door_t *door = call->conn->door;
    door_request_t *request = call->request;
    if (strcmp(request->verb, "POST") != 0) {
        door_call_refuse(call, GRPC_INTERNAL, 405,
                         "Received a HEADERS frame with :method \"%s\" which should be POST",
                         request->verb);
        return;
    }
    const char *encoding = door_header(request, "grpc-encoding");
    call->gzip = encoding && strcmp(encoding, "gzip") == 0;
    if (encoding && !call->gzip && encoding[0] && strcmp(encoding, "identity") != 0) {
        call->bad_encoding = true;
        door_call_refuse(call, GRPC_UNIMPLEMENTED, 200,
                         "grpc: Decompressor is not installed for grpc-encoding \"%s\"", encoding);
        return;
    }
    request->method = door->opt.lookup(door->opt.arg, request->path);
    if (!request->method)
        s_refuse_unknown(call);
    else
        (void)s_take_timeout(call);
}

/* --- the message ---------------------------------------------------------------- */

static uint32_t s_load_be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* The five bytes are there: judge them before a byte of the message is kept. */
static bool s_begin_message(door_call_t *call)
{
    door_t *door = call->conn->door;
    uint8_t flag = call->prefix[0];
    call->want_bytes = s_load_be32(call->prefix + 1);
    call->compressed = flag == 1;
    if (flag > 1) {
        door_call_refuse(call, GRPC_INTERNAL, 200, "grpc: received unexpected payload format %u",
                         flag);
    } else if (call->compressed && !call->gzip) {
        door_call_refuse(call, GRPC_INTERNAL, 200,
                         "grpc: compressed flag set with identity or empty encoding");
    } else if (call->want_bytes > door->opt.message_bytes) {
        door_count(door, refused_size);
        door_call_refuse(call, GRPC_RESOURCE_EXHAUSTED, 200,
                         "grpc: received message larger than max (%u vs. %zu)", call->want_bytes,
                         door->opt.message_bytes);
    } else {
        door_call_reserve(call, call->want_bytes);
        size_t soon = call->want_bytes < LIMIT_DOOR_STREAM_WINDOW ? call->want_bytes
                                                                  : LIMIT_DOOR_STREAM_WINDOW;
        buf_reserve(&call->request->body_, soon);
        return true;
    }
    return false;
}

void door_grpc_data(door_call_t *call, view_t bytes)
{
    while (call->n_prefix < 5 && bytes.len) {
        call->prefix[call->n_prefix++] = *bytes.ptr;
        bytes = view_of(bytes.ptr + 1, bytes.len - 1);
        if (call->n_prefix == 5 && !s_begin_message(call))
            return;
    }
    if (bytes.len == 0)
        return;
    if (bytes.len > call->want_bytes - call->request->body_.len)
        door_call_refuse(call, GRPC_INTERNAL, 200, "more than one message in a unary call");
    else
        (void)door_call_grow(call, bytes);
}

static void s_inflate_job(void *arg)
{
    door_request_t *request = arg;
    door_grpc_inflate(request->door_, request);
    request->mail_ = MAIL_INFLATED;
    bool fits = queue_put(request->door_->mail, request);   /* admitted: opt.requests bounds it */
    check(fits);
}

void door_grpc_done(door_call_t *call)
{
    door_request_t *request = call->request;
    if (call->n_prefix == 0) {
        door_call_refuse(call, GRPC_INTERNAL, 200, "the call has no message");
        return;
    }
    if (call->n_prefix < 5 || request->body_.len < call->want_bytes) {
        door_call_refuse(call, GRPC_INTERNAL, 200, "unexpected EOF");
        return;
    }
    if (!door_call_admit(call))
        return;
    if (!call->compressed) {
        request->message = buf_view(&request->body_);
        door_call_hand_over(call);
        return;
    }
    call->state = CALL_INFLATING;
    bool fits = pool_run(call->conn->door->inflater, s_inflate_job, request);
    check(fits);                                /* LIMIT_POOL_JOBS is above opt.requests */
}

/* --- gzip ------------------------------------------------------------------------- */

/* 64 KiB can become 64 MiB, hence not on the door's thread: a few such clients would
 * hold up all others. */
static int s_inflate_all(z_stream *z, buf_t *into, size_t most)
{
    for (;;) {
        uint8_t *room = buf_reserve(into, 64 << 10);
        if (!room)
            return Z_MEM_ERROR;
        z->next_out = room;
        z->avail_out = 64 << 10;
        int code = inflate(z, Z_NO_FLUSH);
        into->len += (64u << 10) - z->avail_out;
        if (into->len > most)
            return Z_BUF_ERROR;
        if (code == Z_STREAM_END && z->avail_in > 0)
            code = inflateReset(z);             /* gzip members may follow each other */
        else if (code == Z_STREAM_END)
            return Z_OK;
        if (code != Z_OK)
            return Z_DATA_ERROR;
    }
}

void door_grpc_inflate(door_t *door, door_request_t *request)
{
    z_stream z = { .next_in = request->body_.ptr, .avail_in = (uInt)request->body_.len };
    size_t most = door->opt.message_bytes;
    buf_t plain;
    buf_init(&plain, most + (64 << 10) + 1);
    int code = Z_DATA_ERROR;
    if (inflateInit2(&z, 15 + 16) == Z_OK) {    /* 16: gzip wrapping only */
        code = s_inflate_all(&z, &plain, most);
        inflateEnd(&z);
    }
    if (code == Z_OK) {
        buf_fini(&request->body_);
        request->body_ = plain;
        return;
    }
    if (code == Z_BUF_ERROR)
        (void)ctx_fail(&request->ctx, ERR_PARAM_TOO_LARGE,
                       "grpc: received message after decompression larger than max (%zu vs. %zu)",
                       most + 1, most);
    else if (code == Z_MEM_ERROR)
        (void)ctx_fail(&request->ctx, ERR_MEMORY, "no memory to decompress the request");
    else
        (void)ctx_fail(&request->ctx, ERR_MALFORMED,
                       "grpc: failed to decompress the received message: not gzip");
    buf_fini(&plain);
}
