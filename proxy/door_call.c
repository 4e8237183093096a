/* door_call - one call, from its first header to its last byte
 *
 * A call is what the connection knows; its request is what the node knows.
 * They part when the answer comes, or when the client goes away first: then
 * the request is cancelled, stays readable for whoever holds it, and dies in
 * silence when it is given back.
 *
 * Memory.  A message announces its length, so each call reserves that much of
 * conn_bytes before its window is refilled.  When the reservations of a
 * connection are used up, later calls get no more than the window they began
 * with and wait their turn, oldest first: two big inserts on one connection
 * queue up behind each other instead of failing.  Reservations last until the
 * request is given back.  What is really held, by all clients together, is
 * bounded by total_bytes; over that, calls are refused.
 */
#include "proxy/door_int.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/clock.h"

/* --- birth and death --------------------------------------------------------- */

static door_request_t *s_new_request(door_call_t *call)
{
    door_conn_t *conn = call->conn;
    door_request_t *request = mem_new(sizeof *request);
    ctx_init(&request->ctx);
    request->ctx.budget_bytes = conn->door->opt.budget_bytes;
    request->verb = request->path = request->query = "";
    request->peer = "";
    request->is_secure = conn->tls != NULL;
    request->door_ = conn->door;
    request->call_ = call;
    request->conn_ = conn;
    request->next_ = conn->requests;
    if (request->next_)
        request->next_->prev_ = request;
    conn->requests = request;
    return request;
}

door_call_t *door_call_new(door_conn_t *conn, int32_t stream_id)
{
    door_call_t *call = mem_new(sizeof *call);
    call->conn = conn;
    call->stream_id = stream_id;
    call->started_ms = conn->door->now_ms;
    call->next = conn->calls;
    if (call->next)
        call->next->prev = call;
    conn->calls = call;
    call->request = s_new_request(call);
    return call;
}

static void s_grant_waiting(door_conn_t *conn);

static void s_leave_conn(door_request_t *request)
{
    door_conn_t *conn = request->conn_;
    if (request->prev_)
        request->prev_->next_ = request->next_;
    else
        conn->requests = request->next_;
    if (request->next_)
        request->next_->prev_ = request->prev_;
    conn->reserved_bytes -= request->reserved_bytes_;
    conn->n_out -= request->is_out_;
    if (conn->n_waiting && !conn->is_dead)
        s_grant_waiting(conn);
}

void door_request_free(door_t *door, door_request_t *request)
{
    if (request->conn_)
        s_leave_conn(request);
    if (request->is_out_)
        atomic_fetch_sub_explicit(&door->count.open_requests, 1, memory_order_relaxed);
    door_limits_release(door, request->held_bytes_);
    if (request->answer_) {
        buf_fini(&request->answer_->body);
        mem_free(request->answer_);
    }
    buf_fini(&request->body_);
    ctx_fini(&request->ctx);
    mem_free(request);
}

/* The call goes on without its request. */
static void s_part(door_call_t *call)
{
    door_request_t *request = call->request;
    if (!request)
        return;
    door_t *door = call->conn->door;
    call->request = NULL;
    request->call_ = NULL;
    if (call->reserved && !call->granted)
        call->conn->n_waiting--;
    call->reserved = call->granted = true;      /* what still comes is dropped, not held back */
    if (call->state != CALL_OUT && call->state != CALL_INFLATING) {
        door_request_free(door, request);
        return;
    }
    ctx_cancel(&request->ctx);
    if (call->state == CALL_OUT && door->opt.cancelled)
        door->opt.cancelled(door->opt.arg, request->number);
}

void door_call_end(door_call_t *call)
{
    door_conn_t *conn = call->conn;
    if (call->state == CALL_OUT)
        door_count(conn->door, cancelled);
    s_part(call);
    if (call->prev)
        call->prev->next = call->next;
    else
        conn->calls = call->next;
    if (call->next)
        call->next->prev = call->prev;
    door_limits_release(conn->door, call->held_bytes);
    buf_fini(&call->answer.body);
    mem_free(call->text);
    mem_free(call);
}

/* --- coming in --------------------------------------------------------------- */

static void s_more_headers(door_request_t *request)
{
    size_t cap = request->cap_headers_ ? 2 * request->cap_headers_ : 16;
    door_header_t *moved = ctx_new(&request->ctx, cap * sizeof moved[0]);
    if (request->n_headers)
        memcpy(moved, request->headers, request->n_headers * sizeof moved[0]);
    request->headers = moved;
    request->cap_headers_ = cap;
}

bool door_call_header(door_call_t *call, view_t name, view_t value)
{
    door_request_t *request = call->request;
    call->header_bytes += name.len + value.len + 32;            /* RFC 9113, 6.5.2 */
    if (call->header_bytes > call->conn->door->opt.header_bytes)
        return false;
    if (request->n_headers == request->cap_headers_)
        s_more_headers(request);
    char *text = ctx_new(&request->ctx, name.len + value.len + 2);
    memcpy(text, name.ptr, name.len);
    if (value.len)
        memcpy(text + name.len + 1, value.ptr, value.len);
    request->headers[request->n_headers++] =
        (door_header_t){ .name = text, .value = text + name.len + 1 };
    return true;
}

const char *door_header(const door_request_t *request, const char *name)
{
    for (size_t i = 0; i < request->n_headers; i++)
        if (strcmp(request->headers[i].name, name) == 0)
            return request->headers[i].value;
    return NULL;
}

static bool s_is_json(const char *content_type)
{
    return content_type && strncmp(content_type, "application/json", 16) == 0;
}

void door_call_begin(door_call_t *call)
{
    door_t *door = call->conn->door;
    door_request_t *request = call->request;
    call->state = CALL_BODY;
    call->started_ms = door->now_ms;
    door_conn_due(call->conn, door->now_ms + door->opt.grace_ms);
    const char *type = door_header(request, "content-type");
    call->is_grpc = door_grpc_is(type);
    call->is_head = strcmp(request->verb, "HEAD") == 0;
    if (call->header_bytes > door->opt.header_bytes) {
        door_count(door, refused_headers);
        call->is_grpc = true;                   /* says it in both languages: 431 and status 8 */
        door_call_refuse(call, GRPC_RESOURCE_EXHAUSTED, 431, "header list larger than %zu bytes",
                         door->opt.header_bytes);
    } else if (call->is_grpc) {
        door_grpc_begin(call);
    } else {
        request->is_rest = true;
        call->wrong_type = call->conn->kind == CONN_H2 && strcmp(request->verb, "POST") == 0 &&
                           !s_is_json(type);
    }
}

bool door_call_grow(door_call_t *call, view_t bytes)
{
    door_t *door = call->conn->door;
    door_request_t *request = call->request;
    if (!door_limits_hold(door, bytes.len)) {
        door_count(door, refused_memory);
        door_call_refuse(call, GRPC_RESOURCE_EXHAUSTED, 503, "the server holds too many requests; "
                         "send it again later");
        return false;
    }
    request->held_bytes_ += bytes.len;
    buf_add_view(&request->body_, bytes);
    if (buf_ok(&request->body_))
        return true;
    door_call_refuse(call, GRPC_RESOURCE_EXHAUSTED, 503, "no memory for the request");
    return false;
}

static bool s_fits(const door_conn_t *conn, size_t bytes)
{
    return conn->reserved_bytes == 0 || conn->reserved_bytes + bytes <= conn->door->opt.conn_bytes;
}

static void s_grant(door_call_t *call)
{
    door_request_t *request = call->request;
    call->granted = true;
    call->conn->reserved_bytes += request->reserved_bytes_;
    call->started_ms = call->conn->door->now_ms;
    call->received = 0;
    if (call->ungranted_bytes)
        door_h2_refill(call);
}

void door_call_reserve(door_call_t *call, size_t bytes)
{
    call->reserved = true;
    if (call->conn->n_waiting == 0 && s_fits(call->conn, bytes)) {
        call->request->reserved_bytes_ = bytes;
        s_grant(call);
        return;
    }
    call->want_bytes = (uint32_t)bytes;
    call->conn->n_waiting++;
}

static void s_grant_waiting(door_conn_t *conn)
{
    while (conn->n_waiting) {
        door_call_t *oldest = NULL;
        for (door_call_t *call = conn->calls; call; call = call->next)
            if (call->reserved && !call->granted &&
                (!oldest || call->stream_id < oldest->stream_id))
                oldest = call;
        check(oldest);
        if (!s_fits(conn, oldest->want_bytes))
            return;
        conn->n_waiting--;
        oldest->request->reserved_bytes_ = oldest->want_bytes;
        s_grant(oldest);
    }
}

/* All of it fitted into the first window: it need not wait any longer, and is counted
 * although the connection is full (that is the "and a window each" of the limit). */
static void s_stop_waiting(door_call_t *call)
{
    if (!call->reserved || call->granted)
        return;
    call->conn->n_waiting--;
    call->request->reserved_bytes_ = call->want_bytes;
    s_grant(call);
}

static void s_rest_data(door_call_t *call, view_t bytes)
{
    door_t *door = call->conn->door;
    if (!call->reserved) {
        const char *length = door_header(call->request, "content-length");
        unsigned long long said = length ? strtoull(length, NULL, 10) : door->opt.message_bytes;
        door_call_reserve(call, said < door->opt.message_bytes ? said : door->opt.message_bytes);
    }
    size_t len = call->wrong_type ? call->received : call->request->body_.len + bytes.len;
    if (len > door->opt.message_bytes) {
        door_count(door, refused_size);
        door_call_refuse(call, GRPC_RESOURCE_EXHAUSTED, 413, "body larger than %zu bytes",
                         door->opt.message_bytes);
        return;
    }
    if (!call->wrong_type)
        (void)door_call_grow(call, bytes);
}

/* Late, so that a malformed request is called malformed (nghttp2 does) and not 415. */
static void s_refuse_type(door_call_t *call)
{
    const char *type = door_header(call->request, "content-type");
    char shown[256];
    snprintf(shown, sizeof shown, "%s", type ? type : "");
    call->is_grpc = true;
    door_call_refuse(call, GRPC_INVALID_ARGUMENT, 415, "invalid gRPC request content-type \"%s\"",
                     shown);
}

void door_call_data(door_call_t *call, view_t bytes)
{
    if (call->state != CALL_BODY)
        return;
    call->received += bytes.len;
    if (call->is_grpc)
        door_grpc_data(call, bytes);
    else
        s_rest_data(call, bytes);
}

void door_call_done(door_call_t *call)
{
    call->remote_done = true;
    if (call->state != CALL_BODY)
        return;
    s_stop_waiting(call);
    if (call->is_grpc) {
        door_grpc_done(call);
        return;
    }
    if (call->wrong_type) {
        s_refuse_type(call);
        return;
    }
    if (strcmp(call->request->verb, "OPTIONS") == 0) {
        door_call_refuse(call, GRPC_OK, 204, "%s", "");         /* a browser asks first */
        return;
    }
    call->request->message = buf_view(&call->request->body_);
    if (door_call_admit(call))
        door_call_hand_over(call);
}

/* --- out and back ------------------------------------------------------------- */

bool door_call_admit(door_call_t *call)
{
    door_conn_t *conn = call->conn;
    door_t *door = conn->door;
    if (door_load(door, open_requests) >= door->opt.requests ||
        conn->n_out >= 2 * door->opt.streams) {
        door_count(door, refused_busy);
        door_call_refuse(call, GRPC_RESOURCE_EXHAUSTED, 503,
                         "too many concurrent requests, queue is full");
        return false;
    }
    atomic_fetch_add_explicit(&door->count.open_requests, 1, memory_order_relaxed);
    conn->n_out++;
    call->request->is_out_ = true;
    return true;
}

void door_call_hand_over(door_call_t *call)
{
    door_conn_t *conn = call->conn;
    door_t *door = conn->door;
    door_request_t *request = call->request;
    request->number = door->next_number++;
    request->arrived_us = clock_mono_us();
    request->peer = ctx_strdup(&request->ctx, conn->peer);
    door_conn_due(conn, request->ctx.deadline_ms);
    door_count(door, requests);
    call->state = CALL_OUT;
    door->opt.request(door->opt.arg, request);
}

static void s_fail_answer(door_call_t *call, grpc_code_t status, int http_status, const char *text)
{
    door_answer_t *answer = &call->answer;
    buf_fini(&answer->body);
    *answer = (door_answer_t){ .status = status, .http_status = http_status, .text = text };
    if (!call->is_grpc) {
        answer->content_type = "text/plain; charset=utf-8";
        buf_add_str(&answer->body, text);
    }
}

/* call->answer is set, its text borrowed from somebody who dies soon. */
static void s_send(door_call_t *call)
{
    door_conn_t *conn = call->conn;
    door_t *door = conn->door;
    char text[128];
    size_t len = call->answer.body.len;
    if (len > door->opt.answer_bytes) {
        snprintf(text, sizeof text, "grpc: trying to send message larger than max (%zu vs. %zu)",
                 len, door->opt.answer_bytes);
        s_fail_answer(call, GRPC_RESOURCE_EXHAUSTED, 500, text);
    } else if (!door_limits_hold(door, len)) {
        door_count(door, refused_memory);
        snprintf(text, sizeof text, "the server holds too many answers; send it again later");
        s_fail_answer(call, GRPC_RESOURCE_EXHAUSTED, 503, text);
    } else {
        call->held_bytes = len;
    }
    call->text = call->answer.text ? door_grpc_escape(call->answer.text) : NULL;
    call->answer.text = NULL;
    call->state = CALL_ANSWERED;
    call->mark_ms = door->now_ms;
    call->mark_at = call->out_at;
    door_count(door, answers);
    door_conn_due(conn, door->now_ms + door->opt.stall_ms);
    if (conn->kind == CONN_H2)
        door_h2_answer(call);
    else
        door_rest_answer(call);
}

void door_call_refuse(door_call_t *call, grpc_code_t status, int http_status, const char *format,
                      ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    s_part(call);
    s_fail_answer(call, status, http_status, text);
    s_send(call);
}

static void s_on_inflated(door_t *door, door_request_t *request)
{
    door_call_t *call = request->call_;
    if (!call) {
        door_request_free(door, request);
        return;
    }
    call->state = CALL_BODY;
    err_t err = request->ctx.err;
    char text[CTX_TEXT_BYTES];
    if (err == OK && !door_limits_hold(door, request->body_.len)) {
        door_count(door, refused_memory);
        err = ctx_fail(&request->ctx, ERR_MEMORY, "the server holds too many requests");
    } else if (err == OK) {
        door_limits_release(door, request->held_bytes_);
        request->held_bytes_ = request->body_.len;
    }
    if (err == OK) {
        request->message = buf_view(&request->body_);
        door_call_hand_over(call);
        return;
    }
    door_count(door, refused_size);
    memcpy(text, request->ctx.text, sizeof text);
    door_call_refuse(call, err == ERR_MALFORMED ? GRPC_INTERNAL : GRPC_RESOURCE_EXHAUSTED, 400,
                     "%s", text);
}

void door_call_mail(door_t *door, door_request_t *request)
{
    int kind = request->mail_;
    request->mail_ = MAIL_NONE;
    if (kind == MAIL_INFLATED) {
        s_on_inflated(door, request);
        return;
    }
    check(kind == MAIL_ANSWER);
    door_call_t *call = request->call_;
    if (call) {
        call->answer = *request->answer_;
        request->answer_->body = (buf_t){0};
        request->call_ = NULL;
        call->request = NULL;
        s_send(call);
    }
    door_request_free(door, request);           /* the text was borrowed from it */
}

/* --- time --------------------------------------------------------------------- */

static int64_t s_tick_body(door_call_t *call)
{
    door_t *door = call->conn->door;
    int64_t spent = door->now_ms - call->started_ms;
    int64_t again = door->opt.grace_ms / 4 + 1;
    if (call->reserved && !call->granted) {     /* it waits for us */
        call->started_ms = door->now_ms;
        call->received = 0;
        return door->now_ms + again;
    }
    if (spent < door->opt.grace_ms)
        return call->started_ms + door->opt.grace_ms;
    if ((int64_t)call->received * 1000 >= (int64_t)door->opt.rate_bytes * spent)
        return door->now_ms + (again < 1000 ? again : 1000);
    door_count(door, slow_body);
    door_call_refuse(call, GRPC_DEADLINE_EXCEEDED, 408,
                     "request body slower than %u bytes a second", door->opt.rate_bytes);
    return INT64_MAX;
}

static int64_t s_tick_answer(door_call_t *call)
{
    const door_options_t *opt = &call->conn->door->opt;
    int64_t now = call->conn->door->now_ms;
    if (call->local_done || call->conn->kind != CONN_H2)
        return INT64_MAX;                       /* REST: the connection's own stall rule */
    if (now < call->mark_ms + opt->stall_ms)
        return call->mark_ms + opt->stall_ms;
    if ((int64_t)(call->out_at - call->mark_at) * 1000 < (int64_t)opt->rate_bytes * opt->stall_ms) {
        door_count(call->conn->door, stalled);
        call->state = CALL_IGNORED;
        door_h2_reset(call);
        return INT64_MAX;
    }
    call->mark_ms = now;
    call->mark_at = call->out_at;
    return now + opt->stall_ms;
}

int64_t door_call_tick(door_call_t *call)
{
    door_t *door = call->conn->door;
    int64_t deadline = call->request ? call->request->ctx.deadline_ms : INT64_MAX;
    if (deadline <= door->now_ms && call->state != CALL_HEADERS) {
        door_count(door, timed_out);
        door_call_refuse(call, GRPC_DEADLINE_EXCEEDED, 408, "%s",
                         call->is_grpc ? "context deadline exceeded" : "timeout");
        return call->mark_ms + door->opt.stall_ms;
    }
    int64_t next = INT64_MAX;
    if (call->state == CALL_BODY)
        next = s_tick_body(call);
    else if (call->state == CALL_ANSWERED)
        next = s_tick_answer(call);
    return next < deadline ? next : deadline;
}
