/* h2_client - frames by hand; only the decoding of header blocks is nghttp2's */
#include "tests/support/h2_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { GIVE_UP_S = 30, FRAME_BYTES = 16384 };

struct h2_client {
    int fd;
    nghttp2_hd_inflater *inflater;
    h2_reply_t *replies[H2_CLIENT_STREAMS];
    int64_t windows[H2_CLIENT_STREAMS];         /* what may still be sent, beyond the initial */
    int64_t conn_window, initial_window;
    int32_t next;
    int goaway, pings, acks;
    bool closed;
    uint8_t frame[1 << 14];                     /* we never allow larger ones */
};

static size_t s_slot(int32_t stream)
{
    check(stream > 0 && stream % 2 == 1 && stream / 2 < H2_CLIENT_STREAMS);
    return (size_t)stream / 2;
}

int h2_client_dial(int port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct timeval wait = { .tv_sec = GIVE_UP_S };
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0)
        return fd;
    close(fd);
    return -1;
}

h2_client_t *h2_client_new_raw(int port)
{
    h2_client_t *self = mem_new(sizeof *self);
    self->fd = h2_client_dial(port);
    check(self->fd >= 0);
    check(nghttp2_hd_inflate_new(&self->inflater) == 0);
    self->conn_window = self->initial_window = 65535;
    self->next = 1;
    self->goaway = -1;
    return self;
}

static void s_put_be32(uint8_t *to, uint32_t v)
{
    to[0] = (uint8_t)(v >> 24);
    to[1] = (uint8_t)(v >> 16);
    to[2] = (uint8_t)(v >> 8);
    to[3] = (uint8_t)v;
}

static uint32_t s_be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

h2_client_t *h2_client_new(int port, uint32_t window)
{
    h2_client_t *self = h2_client_new_raw(port);
    check(h2_client_write(self, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24));
    uint8_t settings[6] = { 0, 4 };
    s_put_be32(settings + 2, window);
    check(h2_client_frame(self, H2_SETTINGS, 0, 0, view_of(settings, sizeof settings)));
    if (window > 65535) {
        uint8_t more[4];
        s_put_be32(more, window - 65535);
        check(h2_client_frame(self, H2_WINDOW_UPDATE, 0, 0, view_of(more, sizeof more)));
    }
    return self;
}

void h2_client_destroy(h2_client_t **self_p)
{
    h2_client_t *self = *self_p;
    if (!self)
        return;
    close(self->fd);
    nghttp2_hd_inflate_del(self->inflater);
    for (size_t i = 0; i < H2_CLIENT_STREAMS; i++) {
        if (self->replies[i])
            buf_fini(&self->replies[i]->body);
        mem_free(self->replies[i]);
    }
    mem_free(self);
    *self_p = NULL;
}

/* --- sending -------------------------------------------------------------------- */

bool h2_client_write(h2_client_t *self, const void *bytes, size_t len)
{
    for (const uint8_t *at = bytes; len > 0; ) {
        ssize_t n = send(self->fd, at, len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        at += n;
        len -= (size_t)n;
    }
    return true;
}

bool h2_client_frame(h2_client_t *self, uint8_t type, uint8_t flags, int32_t stream, view_t payload)
{
    buf_scoped out = {0};
    uint8_t head[9] = { (uint8_t)(payload.len >> 16), (uint8_t)(payload.len >> 8),
                        (uint8_t)payload.len, type, flags };
    s_put_be32(head + 5, (uint32_t)stream);
    buf_add(&out, head, sizeof head);
    buf_add_view(&out, payload);
    return h2_client_write(self, out.ptr, out.len);
}

static void s_add_literal(buf_t *block, const char *name, const char *value)
{
    size_t lens[2] = { strlen(name), strlen(value) };
    const char *texts[2] = { name, value };
    buf_add_u8(block, 0);                       /* literal, not indexed, new name */
    for (int i = 0; i < 2; i++) {
        size_t len = lens[i];
        buf_add_u8(block, (uint8_t)(len < 127 ? len : 127));
        if (len >= 127) {
            for (len -= 127; len >= 128; len >>= 7)
                buf_add_u8(block, (uint8_t)(len | 128));
            buf_add_u8(block, (uint8_t)len);
        }
        buf_add(block, texts[i], lens[i]);
    }
}

bool h2_client_headers(h2_client_t *self, int32_t stream, uint8_t flags, const char *method,
                       const char *path, const h2_header_t *more, size_t n_more)
{
    buf_scoped block = {0};
    s_add_literal(&block, ":method", method);
    s_add_literal(&block, ":scheme", "http");
    s_add_literal(&block, ":path", path);
    s_add_literal(&block, ":authority", "test");
    for (size_t i = 0; i < n_more; i++)
        s_add_literal(&block, more[i].name, more[i].value);
    return h2_client_frame(self, H2_HEADERS, flags | H2_END_HEADERS, stream, buf_view(&block));
}

int32_t h2_client_next(h2_client_t *self)
{
    int32_t stream = self->next;
    self->next += 2;
    return stream;
}

bool h2_client_data(h2_client_t *self, int32_t stream, view_t bytes, bool end)
{
    size_t slot = s_slot(stream);
    for (size_t at = 0; at < bytes.len || (at == 0 && bytes.len == 0); ) {
        int64_t window = self->initial_window + self->windows[slot];
        if (window > self->conn_window)
            window = self->conn_window;
        size_t n = bytes.len - at < FRAME_BYTES ? bytes.len - at : FRAME_BYTES;
        if ((int64_t)n > window) {
            h2_reply_t *reply = h2_client_reply(self, stream);
            if (reply->ended || reply->reset || !h2_client_pump(self))
                return false;
            continue;
        }
        bool last = at + n == bytes.len;
        if (!h2_client_frame(self, H2_DATA, last && end ? H2_END_STREAM : 0, stream,
                             view_of(bytes.ptr + at, n)))
            return false;
        self->windows[slot] -= (int64_t)n;
        self->conn_window -= (int64_t)n;
        at += n;
        if (last)
            break;
    }
    return true;
}

void h2_client_frame_message(buf_t *into, view_t message, uint8_t flag)
{
    uint8_t head[5] = { flag };
    s_put_be32(head + 1, (uint32_t)message.len);
    buf_add(into, head, sizeof head);
    buf_add_view(into, message);
}

int32_t h2_client_start(h2_client_t *self, const char *path, view_t message)
{
    static const h2_header_t more[] = { { "content-type", "application/grpc" },
                                        { "te", "trailers" } };
    int32_t stream = h2_client_next(self);
    buf_scoped framed = {0};
    h2_client_frame_message(&framed, message, 0);
    if (h2_client_headers(self, stream, 0, "POST", path, more, 2))
        (void)h2_client_data(self, stream, buf_view(&framed), true);
    return stream;
}

/* --- receiving ------------------------------------------------------------------- */

h2_reply_t *h2_client_reply(h2_client_t *self, int32_t stream)
{
    h2_reply_t **at = &self->replies[s_slot(stream)];
    if (!*at) {
        *at = mem_new(sizeof **at);
        (*at)->grpc_status = -1;
    }
    return *at;
}

static void s_apply_header(h2_reply_t *reply, const nghttp2_nv *nv)
{
    const char *name = (const char *)nv->name, *value = (const char *)nv->value;
    if (strcmp(name, ":status") == 0)
        reply->http_status = atoi(value);
    else if (strcmp(name, "grpc-status") == 0)
        reply->grpc_status = atoi(value);
    else if (strcmp(name, "grpc-message") == 0)
        snprintf(reply->text, sizeof reply->text, "%s", value);
    else if (strcmp(name, "content-type") == 0)
        snprintf(reply->content_type, sizeof reply->content_type, "%s", value);
}

static void s_apply_headers(h2_client_t *self, int32_t stream, const uint8_t *at, size_t len)
{
    h2_reply_t *reply = h2_client_reply(self, stream);
    for (int flags = 0; !(flags & NGHTTP2_HD_INFLATE_FINAL); ) {
        nghttp2_nv nv;
        ssize_t n = nghttp2_hd_inflate_hd2(self->inflater, &nv, &flags, at, len, 1);
        check(n >= 0);
        at += n;
        len -= (size_t)n;
        if (flags & NGHTTP2_HD_INFLATE_EMIT)
            s_apply_header(reply, &nv);
    }
    nghttp2_hd_inflate_end_headers(self->inflater);
}

static void s_apply_settings(h2_client_t *self, uint8_t flags, const uint8_t *at, size_t len)
{
    if (flags & H2_ACK)
        return;
    for (; len >= 6; at += 6, len -= 6)
        if (at[0] == 0 && at[1] == 4)
            self->initial_window = s_be32(at + 2);
    (void)h2_client_frame(self, H2_SETTINGS, H2_ACK, 0, (view_t){0});
}

static void s_apply_window(h2_client_t *self, int32_t stream, const uint8_t *at)
{
    int64_t more = s_be32(at) & 0x7fffffff;
    if (stream == 0)
        self->conn_window += more;
    else
        self->windows[s_slot(stream)] += more;
}

static void s_apply(h2_client_t *self, uint8_t type, uint8_t flags, int32_t stream,
                    const uint8_t *at, size_t len)
{
    if (type == H2_DATA)
        buf_add(&h2_client_reply(self, stream)->body, at, len);
    else if (type == H2_HEADERS)
        s_apply_headers(self, stream, at, len);
    else if (type == H2_SETTINGS)
        s_apply_settings(self, flags, at, len);
    else if (type == H2_WINDOW_UPDATE)
        s_apply_window(self, stream, at);
    else if (type == H2_GOAWAY)
        self->goaway = (int)s_be32(at + 4);
    else if (type == H2_PING && (flags & H2_ACK))
        self->acks++;
    else if (type == H2_PING)
        self->pings++;
    if (type == H2_RST_STREAM) {
        h2_client_reply(self, stream)->reset = true;
        h2_client_reply(self, stream)->reset_code = s_be32(at);
    }
    if ((type == H2_DATA || type == H2_HEADERS) && (flags & H2_END_STREAM))
        h2_client_reply(self, stream)->ended = true;
}

static bool s_read(h2_client_t *self, void *to, size_t len)
{
    for (uint8_t *at = to; len > 0; ) {
        ssize_t n = recv(self->fd, at, len, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0 || (n < 0 && errno != EAGAIN))
            self->closed = true;
        if (n <= 0)
            return false;
        at += n;
        len -= (size_t)n;
    }
    return true;
}

bool h2_client_pump(h2_client_t *self)
{
    uint8_t head[9];
    if (!s_read(self, head, sizeof head))
        return false;
    size_t len = (size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2];
    if (len > sizeof self->frame || !s_read(self, self->frame, len))
        return false;
    s_apply(self, head[3], head[4], (int32_t)(s_be32(head + 5) & 0x7fffffff), self->frame, len);
    return true;
}

bool h2_client_closed(h2_client_t *self)
{
    while (h2_client_pump(self))
        continue;
    return self->closed;
}

h2_reply_t *h2_client_wait(h2_client_t *self, int32_t stream)
{
    h2_reply_t *reply = h2_client_reply(self, stream);
    while (!reply->ended && !reply->reset && h2_client_pump(self))
        continue;
    return reply;
}

h2_reply_t *h2_client_call(h2_client_t *self, const char *path, view_t message)
{
    return h2_client_wait(self, h2_client_start(self, path, message));
}

int h2_client_fd(const h2_client_t *self)       { return self->fd; }
int h2_client_goaway(const h2_client_t *self)   { return self->goaway; }
int h2_client_pings(const h2_client_t *self)    { return self->pings; }
int h2_client_acks(const h2_client_t *self)     { return self->acks; }
