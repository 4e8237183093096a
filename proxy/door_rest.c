/* door_rest - HTTP/1.1 for the REST API, one request at a time
 *
 * A client may send several requests without waiting (pipelining).  They are
 * answered in order because the next one is parsed only when the one before
 * is answered; what has come meanwhile waits, up to LIMIT_DOOR_PIPELINE_BYTES,
 * then the socket is not read any more and TCP makes the client wait.
 *
 *     IDLE -> HEAD -> BODY -> (handed over) -> IDLE | close
 *
 * Browsers ask first (OPTIONS, CORS) and are answered here.
 */
#include "proxy/door_int.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/base/clock.h"
#include "core/base/limits.h"
#include "core/http/h1.h"

struct door_rest {
    h1_t *h1;
    buf_t in;                   /* bytes behind the request that is being answered */
    door_call_t *call;          /* the request under way; NULL: between two */
    size_t fed;                 /* bytes of its body so far */
    int64_t since_ms;           /* idle since, or its first byte came then */
    bool in_head;               /* some bytes of a head are there */
    bool broken;                /* no more requests: an error was answered */
};

/* Headers the node may ask for; others are not kept. */
static const char *const s_kept[] = {
    "authorization", "content-type", "request-timeout", "db-name", "accept-type-allow-int64",
    "accept", "user-agent", "x-request-id", "client-request-id", "identifier",
};

void door_rest_open(door_conn_t *conn)
{
    h1_limits_t limits = { .head_bytes = conn->door->opt.header_bytes,
                           .body_bytes = conn->door->opt.message_bytes };
    conn->rest = mem_new(sizeof *conn->rest);
    conn->rest->h1 = h1_new(&limits);
    conn->rest->since_ms = conn->opened_ms;
}

void door_rest_destroy(door_rest_t **self_p)
{
    if (!*self_p)
        return;
    h1_destroy(&(*self_p)->h1);
    buf_fini(&(*self_p)->in);
    mem_free(*self_p);
    *self_p = NULL;
}

/* --- requests ---------------------------------------------------------------------- */

static char *s_copy(ctx_t *ctx, view_t text)
{
    char *ret = ctx_new(ctx, text.len + 1);
    if (text.len)
        memcpy(ret, text.ptr, text.len);
    return ret;
}

static void s_take_deadline(door_call_t *call)
{
    door_request_t *request = call->request;
    const door_options_t *opt = &call->conn->door->opt;
    const char *text = door_header(request, "request-timeout");
    int64_t ms = opt->rest_ms;
    char *end = NULL;
    long long seconds = text ? strtoll(text, &end, 10) : 0;
    if (text && end != text && *end == '\0' && seconds > 0)
        ms = seconds > 86400 ? 86400000 : seconds * 1000;
    request->ctx.deadline_ms = call->conn->door->now_ms + ms;
    door_conn_due(call->conn, request->ctx.deadline_ms);
}

static void s_begin(door_conn_t *conn)
{
    door_rest_t *rest = conn->rest;
    door_call_t *call = rest->call = door_call_new(conn, 0);
    door_request_t *request = call->request;
    request->is_rest = true;
    request->verb = ctx_strdup(&request->ctx, h1_method(rest->h1));
    request->path = s_copy(&request->ctx, h1_path(rest->h1));
    request->query = s_copy(&request->ctx, h1_query(rest->h1));
    view_t value;
    for (size_t i = 0; i < ARRAY_LEN(s_kept); i++)
        if (h1_header(rest->h1, s_kept[i], &value))
            (void)door_call_header(call, view_str(s_kept[i]), value);
    call->keep_alive = h1_keep_alive(rest->h1);
    call->is_head = strcmp(request->verb, "HEAD") == 0;
    call->state = CALL_BODY;
    call->started_ms = conn->door->now_ms;
    rest->fed = 0;
    rest->in_head = false;
    door_conn_due(conn, conn->door->now_ms + conn->door->opt.grace_ms);
    s_take_deadline(call);
    if (h1_wants_continue(rest->h1)) {
        buf_add_str(&conn->out, H1_CONTINUE);
        door_conn_dirty(conn);
    }
}

static void s_finish_body(door_conn_t *conn)
{
    door_rest_t *rest = conn->rest;
    door_call_t *call = rest->call;
    door_request_t *request = call->request;
    call->remote_done = true;
    request->body_ = *h1_body(rest->h1);
    *h1_body(rest->h1) = (buf_t){0};
    request->message = buf_view(&request->body_);
    if (strcmp(request->verb, "OPTIONS") == 0)
        door_call_refuse(call, GRPC_OK, 204, "%s", "");
    else if (door_call_admit(call))
        door_call_hand_over(call);
}

/* Malformed input: say so, once, and close.  A request being read gets the answer. */
static void s_refuse(door_conn_t *conn, int status, const char *why)
{
    door_rest_t *rest = conn->rest;
    if (!rest->call)
        rest->call = door_call_new(conn, 0);
    if (status == 413)
        door_count(conn->door, refused_size);
    else if (status == 431)
        door_count(conn->door, refused_headers);
    else
        door_count(conn->door, malformed);
    rest->broken = true;
    rest->call->keep_alive = false;
    door_call_refuse(rest->call, GRPC_INTERNAL, status, "%s", why);
}

/* The parser holds the body until it is complete; count it while it grows. */
static bool s_count_body(door_conn_t *conn, size_t used)
{
    door_rest_t *rest = conn->rest;
    door_call_t *call = rest->call;
    rest->fed += used;
    call->received += used;
    if (door_limits_hold(conn->door, used)) {
        call->request->held_bytes_ += used;
        return true;
    }
    door_count(conn->door, refused_memory);
    rest->broken = true;
    call->keep_alive = false;
    door_call_refuse(call, GRPC_RESOURCE_EXHAUSTED, 503, "the server holds too many requests; "
                     "send it again later");
    return false;
}

static bool s_may_parse(const door_conn_t *conn)
{
    const door_rest_t *rest = conn->rest;
    return !rest->broken && !conn->close_after_out && !conn->is_dead &&
           (!rest->call || rest->call->state == CALL_BODY);
}

/* Returns how many bytes were taken; less than all when a request is being answered. */
static size_t s_parse(door_conn_t *conn, view_t bytes)
{
    door_rest_t *rest = conn->rest;
    size_t at = 0;
    while (s_may_parse(conn)) {
        size_t used = 0;
        h1_state_t state = h1_feed(rest->h1, view_of(bytes.ptr + at, bytes.len - at), &used);
        at += used;
        if (rest->call && used && !s_count_body(conn, used))
            return bytes.len;
        if (!rest->call && used && !rest->in_head) {
            rest->in_head = true;
            rest->since_ms = conn->door->now_ms;
            door_conn_due(conn, rest->since_ms + conn->door->opt.first_ms);
        }
        switch (state) {
        case H1_MORE:
            return at;
        case H1_HEAD:
            s_begin(conn);
            break;
        case H1_DONE:
            s_finish_body(conn);
            break;
        case H1_BAD:
            s_refuse(conn, h1_status(rest->h1), h1_why(rest->h1));
            return bytes.len;
        }
    }
    return at;
}

void door_rest_feed(door_conn_t *conn, view_t bytes)
{
    door_rest_t *rest = conn->rest;
    if (rest->broken)
        return;
    size_t used = rest->in.len ? 0 : s_parse(conn, bytes);
    if (conn->is_dead || rest->broken || used == bytes.len)
        return;
    buf_add(&rest->in, bytes.ptr + used, bytes.len - used);
    if (rest->in.len >= LIMIT_DOOR_PIPELINE_BYTES) {
        conn->read_paused = true;
        door_conn_dirty(conn);
    }
}

/* --- answers ------------------------------------------------------------------------- */

static void s_write_head(door_call_t *call, bool keep_alive)
{
    static const h1_field_t cors[] = {
        { "Access-Control-Allow-Origin", "*" },
        { "Access-Control-Allow-Methods", DOOR_CORS_METHODS },
        { "Access-Control-Allow-Headers", DOOR_CORS_HEADERS },
        { "Access-Control-Max-Age", "86400" },
    };
    const door_answer_t *from = &call->answer;
    int status = from->http_status ? from->http_status : 200;
    h1_answer_t head = {
        .status = status,
        .type = status == 204 ? NULL : from->content_type ? from->content_type : DOOR_JSON,
        .body_bytes = from->body.len,
        .close = !keep_alive,
        .wall_ms = clock_wall_ms(),
        .fields = cors,
        .n_fields = status == 204 ? ARRAY_LEN(cors) : 1,
    };
    h1_write_head(&call->conn->out, &head);
}

/* The answer is out of our hands when it is in conn->out: the call ends here and the next
 * request may begin.  door_conn_flush stands between the two, so no recursion. */
void door_rest_answer(door_call_t *call)
{
    door_conn_t *conn = call->conn;
    door_rest_t *rest = conn->rest;
    bool keep_alive = call->keep_alive && call->remote_done && !rest->broken &&
                      !conn->door->stopping;
    s_write_head(call, keep_alive);
    if (!call->is_head && call->answer.body.len)
        buf_add_view(&conn->out, buf_view(&call->answer.body));
    call->local_done = true;
    rest->broken |= !keep_alive;
    if (!buf_ok(&conn->out) || !keep_alive)
        door_conn_finish(conn);
    door_conn_dirty(conn);
}

/* After an answer was written out: take up what has come meanwhile. */
void door_rest_resume(door_conn_t *conn)
{
    door_rest_t *rest = conn->rest;
    if (!rest->call || !rest->call->local_done)
        return;
    door_call_end(rest->call);
    rest->call = NULL;
    rest->since_ms = conn->door->now_ms;
    if (rest->broken)
        return;
    h1_next(rest->h1);
    door_conn_due(conn, rest->since_ms + conn->door->opt.rest_idle_ms);
    size_t used = rest->in.len ? s_parse(conn, buf_view(&rest->in)) : 0;
    if (conn->is_dead)
        return;
    buf_consume(&rest->in, used);
    if (rest->in.len == 0)
        buf_fini(&rest->in);
    conn->read_paused = rest->in.len >= LIMIT_DOOR_PIPELINE_BYTES;
}

/* --- time ------------------------------------------------------------------------------ */

void door_rest_drain(door_conn_t *conn)
{
    if (!conn->rest->call && h1_idle(conn->rest->h1)) {
        conn->rest->broken = true;
        door_conn_finish(conn);
    }
}

int64_t door_rest_tick(door_conn_t *conn)
{
    door_rest_t *rest = conn->rest;
    const door_options_t *opt = &conn->door->opt;
    if (rest->call || rest->broken)
        return INT64_MAX;                       /* door_call_tick has an eye on it */
    int64_t until = rest->since_ms + (rest->in_head ? opt->first_ms : opt->rest_idle_ms);
    if (conn->door->now_ms < until)
        return until;
    if (!rest->in_head) {
        rest->broken = true;
        door_conn_finish(conn);
        return INT64_MAX;
    }
    door_count(conn->door, slow_first);
    rest->broken = true;
    rest->call = door_call_new(conn, 0);
    door_call_refuse(rest->call, GRPC_DEADLINE_EXCEEDED, 408, "%s",
                     "the request's head came too slowly");
    return INT64_MAX;
}
