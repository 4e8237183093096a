/* door_h2 - HTTP/2 by nghttp2, and what nghttp2 leaves to its user
 *
 * nghttp2 frames, compresses headers, keeps the windows' arithmetic, refuses
 * malformed frames and answers PING and SETTINGS.  Ours are the policies:
 *
 *   windows     1 MiB a stream, 16 MiB a connection.  The connection's is given
 *               back at once (bytes are copied out), a stream's when its
 *               message has a reservation (door_call.c).  So one call that
 *               waits never stops the others.
 *   floods      every frame that costs us and carries nothing is a control
 *               frame: PING, SETTINGS, PRIORITY, RST_STREAM, CONTINUATION,
 *               unknown ones, nearly empty DATA, anything on a stream that is
 *               no more, PING and WINDOW_UPDATE beyond three for each DATA frame
 *               we sent (grpc-go pings at every answer to measure bandwidth).
 *               More than opt.control_frames in ten seconds end the connection
 *               with ENHANCE_YOUR_CALM.  nghttp2 does not mention frames it
 *               ignores, so we count frame heads ourselves (s_scan) and take
 *               off what it showed us and we found useful.
 *   resets      a token bucket for streams that the client resets (CVE-2023-44487)
 *               or makes us reset (CVE-2025-8671).
 *   the rest    nghttp2's own: 1000 unsent acks, 8 CONTINUATIONs in one header
 *               block, 32 settings in one frame.
 *
 * Header blocks over header_bytes are decoded to their end, because HPACK's
 * state is shared by all streams, but not kept.
 */
#include "proxy/door_int.h"

#include <nghttp2/nghttp2.h>
#include <stdio.h>

#include "core/base/limits.h"

enum { PREFACE_BYTES = 24, CONTROL_WINDOW_MS = 10000 };
enum { TINY_BYTES = 16, TINY_FREE = 8, PAID_MOST = 65536 };

struct door_h2 {
    nghttp2_session *session;
    bool broken;                /* input is over: protocol error or flood; GOAWAY goes out */
    bool seen_call;             /* the first header block is complete */
    bool draining;
    int32_t last_stream, gap_from, gap_to;      /* the last numbers skipped by the client */
    int64_t block_since_ms;     /* a header block is open since; 0: none is */
    int64_t ping_sent_ms;       /* 0: none under way */
    uint8_t head[9];            /* of the frame that s_scan is in */
    uint8_t n_head;
    size_t skip;                /* bytes until the next head: the rest of preface or payload */
    uint64_t n_frames, n_useful;
    int64_t mark_ms;            /* the ten seconds began then, */
    uint64_t mark_control;      /* with so many control frames */
    uint32_t paid_for;          /* PINGs and WINDOW_UPDATEs that our DATA frames allow */
    door_bucket_t resets;
};

static void s_end_session(door_conn_t *conn, uint32_t code)
{
    door_h2_t *h2 = conn->h2;
    h2->broken = true;
    nghttp2_session_terminate_session(h2->session, code);
    door_conn_dirty(conn);
}

/* --- floods -------------------------------------------------------------------- */

static void s_scan(door_h2_t *h2, view_t bytes)
{
    while (bytes.len) {
        if (h2->skip) {
            size_t n = h2->skip < bytes.len ? h2->skip : bytes.len;
            h2->skip -= n;
            bytes = view_of(bytes.ptr + n, bytes.len - n);
            continue;
        }
        h2->head[h2->n_head++] = *bytes.ptr;
        bytes = view_of(bytes.ptr + 1, bytes.len - 1);
        if (h2->n_head < sizeof h2->head)
            continue;
        h2->n_head = 0;
        h2->skip = (size_t)h2->head[0] << 16 | (size_t)h2->head[1] << 8 | h2->head[2];
        h2->n_frames++;
    }
}

static void s_judge_control(door_conn_t *conn)
{
    static log_gate_t gate = { .per_second = 5 };
    door_t *door = conn->door;
    door_h2_t *h2 = conn->h2;
    uint64_t control = h2->n_frames - h2->n_useful;
    if (door->now_ms - h2->mark_ms >= CONTROL_WINDOW_MS) {
        h2->mark_ms = door->now_ms;
        h2->mark_control = control;
    }
    if (control - h2->mark_control <= door->opt.control_frames || h2->broken)
        return;
    door_count(door, flood_control);
    log_gated(&gate, LOG_WARN, "door_flood", "peer=%s why=\"control frames\"", conn->peer);
    s_end_session(conn, NGHTTP2_ENHANCE_YOUR_CALM);
}

static void s_count_reset(door_conn_t *conn)
{
    static log_gate_t gate = { .per_second = 5 };
    door_t *door = conn->door;
    if (door_bucket_take(&conn->h2->resets, door->opt.reset_burst, door->opt.reset_rate,
                         door->now_ms) ||
        conn->h2->broken)
        return;
    door_count(door, flood_reset);
    log_gated(&gate, LOG_WARN, "door_flood", "peer=%s why=\"stream resets\"", conn->peer);
    s_end_session(conn, NGHTTP2_ENHANCE_YOUR_CALM);
}

static bool s_is_useful(door_conn_t *conn, const nghttp2_frame_hd *hd)
{
    door_h2_t *h2 = conn->h2;
    if (hd->type == NGHTTP2_HEADERS)
        return true;                            /* pays with a stream */
    bool is_flow = hd->type == NGHTTP2_WINDOW_UPDATE || hd->type == NGHTTP2_PING;
    if (is_flow && h2->paid_for) {
        h2->paid_for--;
        return true;
    }
    if (hd->type != NGHTTP2_DATA)
        return false;
    if (hd->length >= TINY_BYTES || (hd->flags & NGHTTP2_FLAG_END_STREAM))
        return true;
    door_call_t *call = nghttp2_session_get_stream_user_data(h2->session, hd->stream_id);
    return call && ++call->tiny_frames <= TINY_FREE;
}

/* Skipping a stream number closes it for ever (RFC 9113, 5.1.1).  nghttp2 ignores HEADERS
 * on such a stream, as if it had been open once; that would let numbers run backwards. */
static void s_check_number(door_conn_t *conn, int32_t stream)
{
    door_h2_t *h2 = conn->h2;
    if (stream > h2->last_stream) {
        if (stream > h2->last_stream + 2) {
            h2->gap_from = h2->last_stream + 1;
            h2->gap_to = stream - 1;
        }
        h2->last_stream = stream;
    } else if (stream >= h2->gap_from && stream <= h2->gap_to && !h2->broken) {
        door_count(conn->door, malformed);
        s_end_session(conn, NGHTTP2_PROTOCOL_ERROR);
    }
}

static int s_on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *hd, void *arg)
{
    door_conn_t *conn = arg;
    if (hd->type == NGHTTP2_HEADERS && hd->stream_id % 2 == 1)
        s_check_number(conn, hd->stream_id);
    conn->h2->n_useful += s_is_useful(conn, hd);
    return 0;
}

/* --- requests ------------------------------------------------------------------- */

static int s_on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    door_conn_t *conn = arg;
    conn->h2->block_since_ms = conn->door->now_ms;
    door_conn_due(conn, conn->door->now_ms + conn->door->opt.first_ms);
    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;                               /* trailers: nothing in them is for us */
    door_call_t *call = door_call_new(conn, frame->hd.stream_id);
    nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, call);
    return 0;
}

static void s_take_path(door_call_t *call, view_t value)
{
    door_request_t *request = call->request;
    char *path = ctx_new(&request->ctx, value.len + 1);
    memcpy(path, value.ptr, value.len);
    char *mark = strchr(path, '?');
    if (mark) {
        *mark = '\0';
        request->query = mark + 1;
    }
    request->path = path;
}

static void s_take_pseudo(door_call_t *call, view_t name, view_t value)
{
    call->header_bytes += name.len + value.len + 32;
    if (call->header_bytes > call->conn->door->opt.header_bytes)
        return;
    if (view_eq(name, view_str(":path")))
        s_take_path(call, value);
    else if (view_eq(name, view_str(":method")))
        call->request->verb =
            memcpy(ctx_new(&call->request->ctx, value.len + 1), value.ptr, value.len);
    else if (view_eq(name, view_str(":authority")))
        (void)door_call_header(call, view_str("host"), value);
}

static int s_on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                       size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                       void *arg)
{
    door_call_t *call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (!call || call->state != CALL_HEADERS)
        return 0;
    if (name_len && name[0] == ':')
        s_take_pseudo(call, view_of(name, name_len), view_of(value, value_len));
    else
        (void)door_call_header(call, view_of(name, name_len), view_of(value, value_len));
    return 0;
}

static void s_headers_done(door_conn_t *conn, const nghttp2_frame *frame)
{
    conn->h2->block_since_ms = 0;
    conn->h2->seen_call = true;
    door_call_t *call =
        nghttp2_session_get_stream_user_data(conn->h2->session, frame->hd.stream_id);
    if (call && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
        door_call_begin(call);
}

static int s_on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    door_conn_t *conn = arg;
    if (frame->hd.type == NGHTTP2_RST_STREAM) {
        s_count_reset(conn);
        return 0;
    }
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)
        return 0;
    if (frame->hd.type == NGHTTP2_HEADERS)
        s_headers_done(conn, frame);
    if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) {
        door_call_t *call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
        if (call)
            door_call_done(call);
    }
    return 0;
}

void door_h2_refill(door_call_t *call)
{
    nghttp2_session_consume_stream(call->conn->h2->session, call->stream_id, call->ungranted_bytes);
    call->ungranted_bytes = 0;
    door_conn_dirty(call->conn);
}

static int s_on_data(nghttp2_session *session, uint8_t flags, int32_t stream_id,
                     const uint8_t *bytes, size_t len, void *arg)
{
    nghttp2_session_consume_connection(session, len);
    door_call_t *call = nghttp2_session_get_stream_user_data(session, stream_id);
    if (!call)
        return 0;
    call->ungranted_bytes += len;
    door_call_data(call, view_of(bytes, len));
    if (call->granted)
        door_h2_refill(call);
    return 0;
}

static int s_on_stream_close(nghttp2_session *session, int32_t stream_id, uint32_t code, void *arg)
{
    door_call_t *call = nghttp2_session_get_stream_user_data(session, stream_id);
    if (call)
        door_call_end(call);
    return 0;
}

static int s_on_invalid(nghttp2_session *session, const nghttp2_frame *frame, int error, void *arg)
{
    door_count(((door_conn_t *)arg)->door, malformed);
    return 0;
}

/* --- answers --------------------------------------------------------------------- */

#define NV(name_, value_, len_) (nghttp2_nv){ \
    .name = (uint8_t *)(uintptr_t)(name_), .namelen = sizeof(name_) - 1, \
    .value = (uint8_t *)(uintptr_t)(value_), .valuelen = (len_), \
    .flags = NGHTTP2_NV_FLAG_NO_COPY_NAME }
#define NV_LITERAL(name_, value_) (nghttp2_nv){ \
    .name = (uint8_t *)(uintptr_t)(name_), .namelen = sizeof(name_) - 1, \
    .value = (uint8_t *)(uintptr_t)(value_), .valuelen = sizeof(value_) - 1, \
    .flags = NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE }

static size_t s_status_nv(const door_call_t *call, nghttp2_nv *ret, char number[8])
{
    size_t n = 0;
    if (call->answer.status == GRPC_OK) {
        ret[n++] = NV_LITERAL("grpc-status", "0");
        return n;
    }
    int len = snprintf(number, 8, "%d", (int)call->answer.status);
    ret[n++] = NV("grpc-status", number, (size_t)len);
    if (call->text)
        ret[n++] = NV("grpc-message", call->text, strlen(call->text));
    return n;
}

static void s_copy_out(door_call_t *call, uint8_t *to, size_t len)
{
    size_t head = call->is_grpc ? sizeof call->out_prefix : 0;
    if (call->out_at < head) {
        size_t n = head - call->out_at < len ? head - call->out_at : len;
        memcpy(to, call->out_prefix + call->out_at, n);
        call->out_at += n;
        to += n;
        len -= n;
    }
    if (len)
        memcpy(to, call->answer.body.ptr + (call->out_at - head), len);
    call->out_at += len;
}

static ssize_t s_read_answer(nghttp2_session *session, int32_t stream_id, uint8_t *to, size_t room,
                             uint32_t *flags, nghttp2_data_source *source, void *arg)
{
    door_call_t *call = source->ptr;
    size_t total = (call->is_grpc ? sizeof call->out_prefix : 0) + call->answer.body.len;
    size_t left = total - call->out_at;
    size_t n = left < room ? left : room;
    s_copy_out(call, to, n);
    if (n < left)
        return (ssize_t)n;
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (call->is_grpc) {
        nghttp2_nv nv[2];
        char number[8];
        size_t n_nv = s_status_nv(call, nv, number);
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        if (nghttp2_submit_trailer(session, stream_id, nv, n_nv) != 0)
            return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    return (ssize_t)n;
}

static void s_answer_grpc(door_call_t *call)
{
    nghttp2_session *session = call->conn->h2->session;
    nghttp2_nv nv[5] = { NV_LITERAL(":status", "200"),
                         NV_LITERAL("content-type", "application/grpc") };
    size_t n = 2;
    if (call->answer.status == GRPC_OK) {
        size_t len = call->answer.body.len;
        call->out_prefix[1] = (uint8_t)(len >> 24);
        call->out_prefix[2] = (uint8_t)(len >> 16);
        call->out_prefix[3] = (uint8_t)(len >> 8);
        call->out_prefix[4] = (uint8_t)len;
        nghttp2_data_provider from = { .source.ptr = call, .read_callback = s_read_answer };
        nghttp2_submit_response(session, call->stream_id, nv, n, &from);
        return;
    }
    char number[8], status[8];
    if (call->answer.http_status && call->answer.http_status != 200)
        nv[0] = NV(":status", status,
                   (size_t)snprintf(status, sizeof status, "%d", call->answer.http_status));
    if (call->bad_encoding)
        nv[n++] = NV_LITERAL("grpc-accept-encoding", "identity,gzip");
    n += s_status_nv(call, nv + n, number);
    nghttp2_submit_response(session, call->stream_id, nv, n, NULL);
}

static void s_answer_rest(door_call_t *call)
{
    const door_answer_t *answer = &call->answer;
    char status[8], length[24];
    const char *type = answer->content_type ? answer->content_type : DOOR_JSON;
    size_t len = answer->body.len;
    int code = answer->http_status ? answer->http_status : 200;
    nghttp2_nv nv[] = {
        NV(":status", status, (size_t)snprintf(status, sizeof status, "%d", code)),
        NV("content-type", type, strlen(type)),
        NV("content-length", length, (size_t)snprintf(length, sizeof length, "%zu", len)),
        NV_LITERAL("access-control-allow-origin", "*"),
        NV_LITERAL("access-control-allow-methods", DOOR_CORS_METHODS),
        NV_LITERAL("access-control-allow-headers", DOOR_CORS_HEADERS),
        NV_LITERAL("access-control-max-age", "86400"),
    };
    size_t n_nv = code == 204 ? ARRAY_LEN(nv) : 4;
    nghttp2_data_provider from = { .source.ptr = call, .read_callback = s_read_answer };
    bool has_body = !call->is_head && len > 0;
    nghttp2_submit_response(call->conn->h2->session, call->stream_id, nv, n_nv,
                            has_body ? &from : NULL);
}

/* A refusal that wears HTTP clothes, too: a client that is no gRPC client (a browser,
 * h2spec) gets its status code, a gRPC client finds grpc-status beside it. */
void door_h2_answer(door_call_t *call)
{
    if (call->is_grpc)
        s_answer_grpc(call);
    else
        s_answer_rest(call);
    door_conn_dirty(call->conn);
}

void door_h2_reset(door_call_t *call)
{
    nghttp2_submit_rst_stream(call->conn->h2->session, NGHTTP2_FLAG_NONE, call->stream_id,
                              NGHTTP2_ENHANCE_YOUR_CALM);
    door_conn_dirty(call->conn);
}

static bool s_is_error_reset(const nghttp2_frame *frame)
{
    uint32_t code = frame->rst_stream.error_code;
    return code != NGHTTP2_NO_ERROR && code != NGHTTP2_CANCEL && code != NGHTTP2_ENHANCE_YOUR_CALM;
}

static int s_on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    door_conn_t *conn = arg;
    door_h2_t *h2 = conn->h2;
    if (frame->hd.type == NGHTTP2_DATA && h2->paid_for < PAID_MOST)
        h2->paid_for += 3;
    if (frame->hd.type == NGHTTP2_RST_STREAM && s_is_error_reset(frame))
        s_count_reset(conn);
    if (frame->hd.type != NGHTTP2_DATA && frame->hd.type != NGHTTP2_HEADERS)
        return 0;
    door_call_t *call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (!call || !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
        return 0;
    call->local_done = true;
    if (!call->remote_done)                     /* it may stop sending: nobody listens */
        nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, call->stream_id, NGHTTP2_NO_ERROR);
    return 0;
}

/* --- the session ----------------------------------------------------------------- */

static nghttp2_session_callbacks *s_new_callbacks(void)
{
    nghttp2_session_callbacks *ret = NULL;
    check(nghttp2_session_callbacks_new(&ret) == 0);
    nghttp2_session_callbacks_set_on_begin_frame_callback(ret, s_on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(ret, s_on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(ret, s_on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(ret, s_on_frame_recv);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(ret, s_on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(ret, s_on_stream_close);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(ret, s_on_invalid);
    nghttp2_session_callbacks_set_on_frame_send_callback(ret, s_on_frame_send);
    return ret;
}

static nghttp2_option *s_new_option(const door_options_t *opt)
{
    nghttp2_option *ret = NULL;
    check(nghttp2_option_new(&ret) == 0);
    nghttp2_option_set_no_auto_window_update(ret, 1);
    /* Ours comes first and counts; this one only catches what ours should miss. */
    nghttp2_option_set_stream_reset_rate_limit(ret, 2 * opt->reset_burst, 2 * opt->reset_rate);
    return ret;
}

void door_h2_open(door_conn_t *conn)
{
    const door_options_t *opt = &conn->door->opt;
    door_h2_t *h2 = conn->h2 = mem_new(sizeof *h2);
    h2->skip = PREFACE_BYTES;
    nghttp2_session_callbacks *callbacks = s_new_callbacks();
    nghttp2_option *option = s_new_option(opt);
    check(nghttp2_session_server_new2(&h2->session, callbacks, conn, option) == 0);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_settings_entry settings[] = {
        { NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, opt->streams },
        { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, LIMIT_DOOR_STREAM_WINDOW },
        { NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)opt->header_bytes },
    };
    nghttp2_submit_settings(h2->session, NGHTTP2_FLAG_NONE, settings, ARRAY_LEN(settings));
    nghttp2_session_set_local_window_size(h2->session, NGHTTP2_FLAG_NONE, 0,
                                          LIMIT_DOOR_CONN_WINDOW);
    door_conn_due(conn, conn->door->now_ms + opt->ping_idle_ms);
    door_conn_dirty(conn);
}

void door_h2_destroy(door_h2_t **self_p)
{
    if (!*self_p)
        return;
    nghttp2_session_del((*self_p)->session);
    mem_free(*self_p);
    *self_p = NULL;
}

void door_h2_feed(door_conn_t *conn, view_t bytes)
{
    static log_gate_t gate = { .per_second = 5 };
    door_h2_t *h2 = conn->h2;
    if (h2->broken)
        return;
    s_scan(h2, bytes);
    ssize_t n = nghttp2_session_mem_recv(h2->session, bytes.ptr, bytes.len);
    door_conn_dirty(conn);
    if (n >= 0) {
        s_judge_control(conn);
        return;
    }
    if (n == NGHTTP2_ERR_BAD_CLIENT_MAGIC) {
        door_conn_garbage(conn, "bad HTTP/2 preface");
        return;
    }
    log_gated(&gate, LOG_WARN, "door_h2", "peer=%s why=\"%s\"", conn->peer,
              nghttp2_strerror((int)n));
    if (n == NGHTTP2_ERR_FLOODED)
        door_count(conn->door, flood_control);
    else
        door_count(conn->door, malformed);
    s_end_session(conn,
                  n == NGHTTP2_ERR_FLOODED ? NGHTTP2_ENHANCE_YOUR_CALM : NGHTTP2_INTERNAL_ERROR);
}

void door_h2_fill(door_conn_t *conn)
{
    while (conn->out.len - conn->out_at < DOOR_OUT_BYTES) {
        const uint8_t *bytes;
        ssize_t n = nghttp2_session_mem_send(conn->h2->session, &bytes);
        if (n > 0)
            buf_add(&conn->out, bytes, (size_t)n);
        if (n < 0 || !buf_ok(&conn->out)) {
            door_conn_kill(conn);
            return;
        }
        if (n == 0)
            return;
    }
}

bool door_h2_finished(const door_conn_t *conn)
{
    nghttp2_session *session = conn->h2->session;
    return !nghttp2_session_want_read(session) && !nghttp2_session_want_write(session);
}

void door_h2_drain(door_conn_t *conn)
{
    door_h2_t *h2 = conn->h2;
    if (h2->broken || h2->draining)
        return;
    h2->draining = true;
    /* Streams above the last one we took are untouched: gRPC clients send them elsewhere. */
    nghttp2_submit_goaway(h2->session, NGHTTP2_FLAG_NONE,
                          nghttp2_session_get_last_proc_stream_id(h2->session), NGHTTP2_NO_ERROR,
                          NULL, 0);
    door_conn_dirty(conn);
}

/* --- time --------------------------------------------------------------------------- */

static int64_t s_tick_ping(door_conn_t *conn)
{
    const door_options_t *opt = &conn->door->opt;
    door_h2_t *h2 = conn->h2;
    int64_t now = conn->door->now_ms;
    if (h2->ping_sent_ms && conn->read_ms >= h2->ping_sent_ms)
        h2->ping_sent_ms = 0;                   /* whatever it said, it lives */
    if (h2->ping_sent_ms) {
        if (now < h2->ping_sent_ms + opt->ping_wait_ms)
            return h2->ping_sent_ms + opt->ping_wait_ms;
        door_count(conn->door, dead_peer);
        door_conn_kill(conn);
        return INT64_MAX;
    }
    if (now < conn->read_ms + opt->ping_idle_ms)
        return conn->read_ms + opt->ping_idle_ms;
    h2->ping_sent_ms = now;
    nghttp2_submit_ping(h2->session, NGHTTP2_FLAG_NONE, NULL);
    door_conn_dirty(conn);
    return now + opt->ping_wait_ms;
}

/* A connection without a call in its first seconds is told to come back when it has one
 * (gRPC clients do, unasked); one that stops inside a header block is an attack. */
static int64_t s_tick_first(door_conn_t *conn)
{
    door_h2_t *h2 = conn->h2;
    int64_t now = conn->door->now_ms;
    int64_t since = h2->block_since_ms ? h2->block_since_ms : conn->opened_ms;
    if (h2->broken || (h2->seen_call && !h2->block_since_ms))
        return INT64_MAX;
    if (now < since + conn->door->opt.first_ms)
        return since + conn->door->opt.first_ms;
    door_count(conn->door, slow_first);
    s_end_session(conn, h2->block_since_ms ? NGHTTP2_ENHANCE_YOUR_CALM : NGHTTP2_NO_ERROR);
    return INT64_MAX;
}

int64_t door_h2_tick(door_conn_t *conn)
{
    int64_t first = s_tick_first(conn);
    int64_t ping = s_tick_ping(conn);
    return first < ping ? first : ping;
}
