/* ops - the server: connections, their deadlines, and which page answers
 *
 * A connection is in one of four states and is polled for what that state needs:
 *
 *     READING ---- request complete ---> WRITING --- all sent, keep --> READING
 *        |  \                              ^  \
 *        |   \--- handler says later --> WAITING --- closing --> LINGERING -> gone
 *        \------- refused ------------------^
 *
 * LINGERING reads and throws away for at most a second, so that a client which is
 * still sending gets to read its refusal before the connection is reset.
 * Only the ops thread touches connections.  The lock (a leaf) guards the routes,
 * which others may add to; answers from other threads come through the queue,
 * whose descriptor also wakes the loop to stop.
 */
#include "core/ops/ops.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/fault.h"
#include "core/base/limits.h"
#include "core/base/log.h"
#include "core/base/queue.h"
#include "core/http/h1.h"
#include "core/ops/ops_pages.h"

enum {
    REQUEST_MS = 10000, IDLE_MS = 60000, LATER_MS = 30000, LINGER_MS = 1000, STOP_MS = 500,
    ACCEPT_AGAIN_MS = 100,      /* after accept failed for lack of descriptors or memory */
    READ_BYTES = 16384,
    ACCEPTS_A_ROUND = 16,
};

typedef enum { FREE, READING, WAITING, WRITING, LINGERING } state_t;

typedef struct conn {
    state_t state;
    int fd;
    uint64_t id;                /* of the request being answered */
    int64_t deadline_ms;        /* of this state */
    uint64_t turn;              /* when it last was accepted or asked something: the lower, the
                                   longer ago */
    h1_t *h1;
    buf_t in;                   /* bytes of requests to come */
    buf_t out;
    size_t sent;                /* of out */
    bool close;                 /* after out */
    char peer[64];
} conn_t;

typedef struct route {
    const char *method, *path;
    ops_fn fn;
    void *arg;
} route_t;

typedef struct answer {
    uint64_t id;
    int status;
    char type[64];
    buf_t body;
} answer_t;

struct ops {
    int64_t request_ms, idle_ms, later_ms;
    int listener;
    int64_t accept_at_ms;       /* not to be polled before */
    char address[128];
    int port;
    pthread_t thread;
    _Atomic bool stopping;
    queue_t *answers;           /* answer_t *, owned */
    pthread_mutex_t lock;
    route_t routes[LIMIT_OPS_ROUTES];
    size_t n_routes;
    ops_pages_t pages;
    metrics_t *own_metrics;     /* NULL when the caller gave one */
    metrics_family_t *requests, *refused;
    metrics_cell_t *connections, *wakeups;
    log_gate_t gate;
    uint64_t last_id, last_turn;
    conn_t conns[LIMIT_OPS_CONNECTIONS];
};

/* --- connections ----------------------------------------------------------- */

static void s_close(ops_t *self, conn_t *conn)
{
    close(conn->fd);
    h1_destroy(&conn->h1);
    buf_fini(&conn->in);
    buf_fini(&conn->out);
    *conn = (conn_t){ .state = FREE };
    metrics_shift(self->connections, -1);
}

static void s_count_refusal(ops_t *self, const conn_t *conn, const char *status, const char *why)
{
    metrics_add(metrics_cell(self->refused, status), 1);
    log_gated(&self->gate, LOG_WARN, "ops_refused", "peer=%s status=%s why=\"%s\"", conn->peer,
              status, why);
}

/* The connection that has waited longest for its next request. */
static conn_t *s_most_idle(ops_t *self)
{
    conn_t *best = NULL;
    for (size_t i = 0; i < LIMIT_OPS_CONNECTIONS; i++) {
        conn_t *conn = &self->conns[i];
        bool idle = conn->state == READING || conn->state == LINGERING;
        if (idle && (!best || conn->turn < best->turn))
            best = conn;
    }
    return best;
}

/* A free place, made free if need be; NULL when every connection waits for an answer. */
static conn_t *s_place(ops_t *self)
{
    for (size_t i = 0; i < LIMIT_OPS_CONNECTIONS; i++)
        if (self->conns[i].state == FREE)
            return &self->conns[i];
    conn_t *conn = s_most_idle(self);
    if (conn) {
        s_count_refusal(self, conn, "crowded", "too many connections, this was idle longest");
        s_close(self, conn);
    }
    return conn;
}

static void s_name_peer(const struct sockaddr *address, socklen_t len, char *ret, size_t room)
{
    char host[48] = "?", port[8] = "?";
    getnameinfo(address, len, host, sizeof host, port, sizeof port,
                NI_NUMERICHOST | NI_NUMERICSERV);
    snprintf(ret, room, "%s:%s", host, port);
}

static bool s_accept_one(ops_t *self, int64_t now)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof address;
    int fd = accept4(self->listener, (struct sockaddr *)&address, &len,
                     SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            self->accept_at_ms = now + ACCEPT_AGAIN_MS;
        return false;
    }
    conn_t *conn = s_place(self);
    if (!conn) {
        close(fd);
        return true;
    }
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    h1_limits_t limits = { .body_bytes = LIMIT_OPS_BODY_BYTES };
    *conn = (conn_t){ .state = READING, .fd = fd, .h1 = h1_new(&limits), .turn = ++self->last_turn,
                      .deadline_ms = now + self->request_ms };
    buf_init(&conn->out, LIMIT_OPS_ANSWER_BYTES + LIMIT_H1_HEAD_BYTES);
    s_name_peer((struct sockaddr *)&address, len, conn->peer, sizeof conn->peer);
    metrics_shift(self->connections, 1);
    return true;
}

/* --- answers --------------------------------------------------------------- */

static void s_start_writing(ops_t *self, conn_t *conn, const ops_reply_t *reply)
{
    bool whole = buf_ok(&reply->body);
    h1_field_t fields[OPS_REPLY_FIELDS + 2] = { { "Cache-Control", reply->cache } };
    size_t n_fields = 1;
    if (reply->etag[0])
        fields[n_fields++] = (h1_field_t){ "ETag", reply->etag };
    check(reply->n_fields <= OPS_REPLY_FIELDS);
    for (size_t i = 0; i < reply->n_fields; i++)
        fields[n_fields++] = reply->fields[i];
    h1_answer_t head = { .status = whole ? reply->status : 503, .type = reply->type,
                         .body_bytes = whole ? reply->body.len : 0, .close = conn->close,
                         .wall_ms = clock_wall_ms(), .fields = fields,
                         .n_fields = n_fields };
    buf_reset(&conn->out);
    h1_write_head(&conn->out, &head);
    if (whole && strcmp(h1_method(conn->h1), "HEAD") != 0)
        buf_add_view(&conn->out, buf_view(&reply->body));
    if (!buf_ok(&conn->out)) {                  /* no memory: closing is all that is left */
        buf_reset(&conn->out);
        conn->close = true;
    }
    conn->sent = 0;
    conn->state = WRITING;
    conn->deadline_ms = clock_mono_ms() + 3 * self->request_ms;
}

static ops_reply_t s_new_reply(void)
{
    ops_reply_t reply = { .status = 200, .type = "text/plain; charset=utf-8", .cache = "no-store" };
    buf_init(&reply.body, LIMIT_OPS_ANSWER_BYTES);
    return reply;
}

static void s_say(ops_t *self, conn_t *conn, int status, const char *text)
{
    ops_reply_t reply = s_new_reply();
    reply.status = status;
    buf_addf(&reply.body, "%s\n", text);
    s_start_writing(self, conn, &reply);
    buf_fini(&reply.body);
}

static void s_refuse(ops_t *self, conn_t *conn, int status, const char *why)
{
    char text[8];
    snprintf(text, sizeof text, "%d", status);
    s_count_refusal(self, conn, text, why);
    conn->close = true;
    s_say(self, conn, status, why);
}

/* --- routes ---------------------------------------------------------------- */

/* How well the route's path fits: 0 not, otherwise the more the longer. */
static size_t s_fit(const route_t *route, view_t path)
{
    size_t len = strlen(route->path);
    if (route->path[len - 1] == '*')
        return view_starts(path, view_of(route->path, len - 1)) ? len : 0;
    return view_eq(path, view_of(route->path, len)) ? len + 1 : 0;
}

/* True when a route serves the path; *ret is filled in when it serves the method too. */
static bool s_find_route(ops_t *self, view_t path, const char *method, route_t *ret)
{
    if (strcmp(method, "HEAD") == 0)
        method = "GET";
    size_t best = 0, best_here = 0;
    pthread_mutex_lock(&self->lock);
    for (size_t i = 0; i < self->n_routes; i++) {
        size_t fit = s_fit(&self->routes[i], path);
        best = fit > best ? fit : best;
        if (fit > best_here && strcmp(self->routes[i].method, method) == 0) {
            best_here = fit;
            *ret = self->routes[i];
        }
    }
    pthread_mutex_unlock(&self->lock);
    return best > 0;
}

void ops_route(ops_t *self, const char *method, const char *path, ops_fn fn, void *arg)
{
    check(path[0] == '/' && fn);
    route_t route = { .method = method, .path = path, .fn = fn, .arg = arg };
    pthread_mutex_lock(&self->lock);
    size_t i = 0;
    while (i < self->n_routes && (strcmp(self->routes[i].method, method) != 0 ||
                                  strcmp(self->routes[i].path, path) != 0))
        i++;
    check(i < LIMIT_OPS_ROUTES);
    self->routes[i] = route;
    self->n_routes += i == self->n_routes;
    pthread_mutex_unlock(&self->lock);
}

bool ops_header(const ops_request_t *request, const char *name, view_t *ret)
{
    return h1_header(request->head_, name, ret);
}

/* The client has this very answer already. */
static bool s_is_known(const conn_t *conn, const ops_reply_t *reply)
{
    view_t known = {0};
    return reply->etag[0] && reply->status == 200 &&
           h1_header(conn->h1, "if-none-match", &known) &&
           memmem(known.ptr, known.len, reply->etag, strlen(reply->etag)) != NULL;
}

static void s_call(ops_t *self, conn_t *conn, const route_t *route)
{
    ops_request_t request = {
        .id = conn->id, .method = h1_method(conn->h1), .path = h1_path(conn->h1),
        .query = h1_query(conn->h1), .body = buf_view(h1_body(conn->h1)), .head_ = conn->h1 };
    ops_reply_t reply = s_new_reply();
    route->fn(route->arg, &request, &reply);
    if (s_is_known(conn, &reply)) {
        reply.status = 304;
        buf_reset(&reply.body);
    }
    if (reply.later) {
        conn->state = WAITING;
        conn->deadline_ms = clock_mono_ms() + self->later_ms;
    } else {
        s_start_writing(self, conn, &reply);
    }
    buf_fini(&reply.body);
}

static void s_dispatch(ops_t *self, conn_t *conn)
{
    route_t route = {0};
    conn->id = ++self->last_id;
    conn->turn = ++self->last_turn;
    conn->close = !h1_keep_alive(conn->h1) || atomic_load(&self->stopping);
    bool known = s_find_route(self, h1_path(conn->h1), h1_method(conn->h1), &route);
    metrics_add(metrics_cell(self->requests, route.fn ? route.path : "other"), 1);
    if (route.fn)
        s_call(self, conn, &route);
    else
        s_say(self, conn, known ? 405 : 404, known ? "method not allowed" : "404 page not found");
}

/* --- reading and writing --------------------------------------------------- */

static void s_send_continue(const conn_t *conn)
{
    ssize_t sent = send(conn->fd, H1_CONTINUE, strlen(H1_CONTINUE), MSG_NOSIGNAL);
    (void)sent;                 /* a client that cannot take 25 bytes waits, and sends anyway */
}

/* Parse what is there; true when the state has changed. */
static bool s_parse(ops_t *self, conn_t *conn)
{
    for (;;) {
        size_t used = 0;
        h1_state_t said = h1_feed(conn->h1, buf_view(&conn->in), &used);
        buf_consume(&conn->in, used);
        if (said == H1_MORE)
            return false;
        if (said == H1_HEAD && h1_wants_continue(conn->h1))
            s_send_continue(conn);
        if (said == H1_BAD)
            s_refuse(self, conn, h1_status(conn->h1), h1_why(conn->h1));
        if (said == H1_DONE)
            s_dispatch(self, conn);
        if (said != H1_HEAD)
            return true;
    }
}

/* The answer is out: linger, or be ready for the next request. */
static void s_finish(ops_t *self, conn_t *conn)
{
    int64_t now = clock_mono_ms();
    if (conn->close) {
        shutdown(conn->fd, SHUT_WR);
        conn->state = LINGERING;
        conn->deadline_ms = now + LINGER_MS;
        return;
    }
    buf_fini(&conn->out);
    buf_init(&conn->out, LIMIT_OPS_ANSWER_BYTES + LIMIT_H1_HEAD_BYTES);
    h1_next(conn->h1);
    conn->state = READING;
    conn->deadline_ms = now + (conn->in.len ? self->request_ms : self->idle_ms);
}

/* Send what goes; true when all is sent.  A broken connection is closed. */
static bool s_flush(ops_t *self, conn_t *conn)
{
    while (conn->sent < conn->out.len) {
        ssize_t sent = send(conn->fd, conn->out.ptr + conn->sent, conn->out.len - conn->sent,
                            MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && errno != EAGAIN)
            s_close(self, conn);
        if (sent < 0)
            return false;
        conn->sent += (size_t)sent;
    }
    s_finish(self, conn);
    return true;
}

/* Go on until the socket or another thread has to do something. */
static void s_run(ops_t *self, conn_t *conn)
{
    for (bool moved = true; moved; ) {
        moved = conn->state == READING ? s_parse(self, conn)
              : conn->state == WRITING ? s_flush(self, conn) : false;
    }
    if (conn->state == READING && conn->in.len == 0)
        buf_fini(&conn->in);
}

static void s_read(ops_t *self, conn_t *conn)
{
    char bytes[READ_BYTES];
    ssize_t got = recv(conn->fd, bytes, sizeof bytes, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        s_close(self, conn);
        return;
    }
    if (conn->state == LINGERING)
        return;
    if (h1_idle(conn->h1) && conn->in.len == 0)
        conn->deadline_ms = clock_mono_ms() + self->request_ms;
    buf_add(&conn->in, bytes, (size_t)got);
    if (buf_ok(&conn->in))
        s_run(self, conn);
    else
        s_close(self, conn);
}

/* --- deadlines ------------------------------------------------------------- */

static void s_expire(ops_t *self, conn_t *conn)
{
    bool begun = conn->state == READING && !h1_idle(conn->h1);
    if (begun) {
        s_refuse(self, conn, 408, "the request did not arrive in time");
        s_run(self, conn);
    } else if (conn->state == WAITING) {
        conn->close = true;
        s_say(self, conn, 504, "no answer in time");
        s_run(self, conn);
    } else {
        if (conn->state == WRITING)
            s_count_refusal(self, conn, "stalled", "the answer was not taken in time");
        s_close(self, conn);
    }
}

static int s_timeout(const ops_t *self, int64_t now)
{
    int64_t next = self->accept_at_ms > now ? self->accept_at_ms : INT64_MAX;
    for (size_t i = 0; i < LIMIT_OPS_CONNECTIONS; i++)
        if (self->conns[i].state != FREE && self->conns[i].deadline_ms < next)
            next = self->conns[i].deadline_ms;
    if (next == INT64_MAX)
        return -1;
    return next <= now ? 0 : next - now > 3600000 ? 3600000 : (int)(next - now);
}

static void s_expire_all(ops_t *self, int64_t now)
{
    for (size_t i = 0; i < LIMIT_OPS_CONNECTIONS; i++)
        if (self->conns[i].state != FREE && self->conns[i].deadline_ms <= now)
            s_expire(self, &self->conns[i]);
}

/* --- the loop -------------------------------------------------------------- */

static void s_deliver(ops_t *self, answer_t *answer)
{
    for (size_t i = 0; i < LIMIT_OPS_CONNECTIONS; i++) {
        conn_t *conn = &self->conns[i];
        if (conn->state != WAITING || conn->id != answer->id)
            continue;
        ops_reply_t reply = { .status = answer->status, .type = answer->type, .cache = "no-store",
                              .body = answer->body };
        s_start_writing(self, conn, &reply);
        s_run(self, conn);
    }
}

static void s_free_answer(answer_t *answer)
{
    buf_fini(&answer->body);
    mem_free(answer);
}

static void s_take_answers(ops_t *self)
{
    for (answer_t *answer; (answer = queue_take(self->answers)) != NULL; ) {
        s_deliver(self, answer);
        s_free_answer(answer);
    }
}

void ops_answer(ops_t *self, uint64_t id, int status, const char *type, view_t body)
{
    answer_t *answer = mem_new(sizeof *answer);
    *answer = (answer_t){ .id = id, .status = status };
    snprintf(answer->type, sizeof answer->type, "%s", type);
    buf_init(&answer->body, LIMIT_OPS_ANSWER_BYTES);
    buf_add_view(&answer->body, body);
    if (!queue_put(self->answers, answer))
        s_free_answer(answer);  /* more answers than questions: the client gets its 504 */
}

static short s_wanted(const conn_t *conn)
{
    switch (conn->state) {
    case READING: case LINGERING: return POLLIN;
    case WRITING:                 return POLLOUT;
    case WAITING: case FREE:      return 0;
    }
    check(false);
    return 0;
}

static size_t s_fill_poll(const ops_t *self, bool listen, struct pollfd *fds, size_t *ret_index)
{
    size_t n = 2;
    fds[0] = (struct pollfd){ .fd = queue_fd(self->answers), .events = POLLIN };
    fds[1] = (struct pollfd){ .fd = listen ? self->listener : -1, .events = POLLIN };
    for (size_t i = 0; i < LIMIT_OPS_CONNECTIONS; i++) {
        if (self->conns[i].state == FREE)
            continue;
        ret_index[n] = i;
        fds[n++] = (struct pollfd){ .fd = self->conns[i].fd, .events = s_wanted(&self->conns[i]) };
    }
    return n;
}

static void s_handle(ops_t *self, conn_t *conn, short events)
{
    if (conn->state == WRITING && (events & POLLOUT))
        s_run(self, conn);
    else if (events & POLLIN)
        s_read(self, conn);
    else if (events & (POLLERR | POLLHUP | POLLNVAL))
        s_close(self, conn);
}

static void s_round(ops_t *self, bool listen)
{
    struct pollfd fds[LIMIT_OPS_CONNECTIONS + 2];
    size_t index[LIMIT_OPS_CONNECTIONS + 2];
    int64_t now = clock_mono_ms();
    size_t n = s_fill_poll(self, listen && now >= self->accept_at_ms, fds, index);
    if (poll(fds, n, s_timeout(self, now)) < 0)
        return;
    metrics_add(self->wakeups, 1);
    for (size_t i = 2; i < n; i++)
        if (fds[i].revents)
            s_handle(self, &self->conns[index[i]], fds[i].revents);
    s_expire_all(self, clock_mono_ms());
    if (fds[0].revents)
        s_take_answers(self);
    for (int i = 0; (fds[1].revents & POLLIN) && i < ACCEPTS_A_ROUND; i++)
        if (!s_accept_one(self, clock_mono_ms()))
            break;
}

/* Answers that are being sent may go; who has not asked yet is closed. */
static void s_wind_down(ops_t *self)
{
    int64_t until = clock_mono_ms() + STOP_MS;
    for (size_t i = 0; i < LIMIT_OPS_CONNECTIONS; i++) {
        conn_t *conn = &self->conns[i];
        if (conn->state == READING || conn->state == WAITING)
            s_close(self, conn);
        else if (conn->state != FREE && conn->deadline_ms > until)
            conn->deadline_ms = until;
    }
    for (bool busy = true; busy; ) {
        busy = false;
        for (size_t i = 0; i < LIMIT_OPS_CONNECTIONS; i++)
            busy |= self->conns[i].state == WRITING;
        if (busy)
            s_round(self, false);
    }
    for (size_t i = 0; i < LIMIT_OPS_CONNECTIONS; i++)
        if (self->conns[i].state != FREE)
            s_close(self, &self->conns[i]);
}

static void *s_serve(void *arg)
{
    ops_t *self = arg;
    pthread_setname_np(pthread_self(), "ops");
    while (!atomic_load(&self->stopping))
        s_round(self, true);
    close(self->listener);
    s_wind_down(self);
    return NULL;
}

/* --- opening and closing --------------------------------------------------- */

static int s_listen_on(const struct addrinfo *at)
{
    int fd = fault_hit() ? (errno = EMFILE, -1)
                         : socket(at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, at->ai_addr, at->ai_addrlen) == 0 && listen(fd, SOMAXCONN) == 0)
        return fd;
    int why = errno;
    close(fd);
    errno = why;
    return -1;
}

static err_t s_listen(ctx_t *ctx, const char *host, int port, int *ret)
{
    char service[8];
    snprintf(service, sizeof service, "%d", port);
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE }, *found = NULL;
    int code = getaddrinfo(host, service, &hints, &found);
    if (code != 0)
        return ctx_fail(ctx, ERR_NETWORK, "cannot listen on %s: %s; check elanus.ops.address", host,
                        gai_strerror(code));
    int fd = s_listen_on(found), why = errno;
    freeaddrinfo(found);
    if (fd < 0)
        return ctx_fail(ctx, ERR_NETWORK, "cannot listen on %s:%d: %s; choose another port with "
                        "elanus.ops.port (--ops-port)", host, port, strerror(why));
    *ret = fd;
    return OK;
}

static void s_learn_address(ops_t *self)
{
    struct sockaddr_storage bound;
    socklen_t len = sizeof bound;
    char host[64] = "?", port[8] = "0";
    getsockname(self->listener, (struct sockaddr *)&bound, &len);
    getnameinfo((struct sockaddr *)&bound, len, host, sizeof host, port, sizeof port,
                NI_NUMERICHOST | NI_NUMERICSERV);
    const char *format = strchr(host, ':') ? "[%s]:%s" : "%s:%s";
    snprintf(self->address, sizeof self->address, format, host, port);
    sscanf(port, "%d", &self->port);
}

static void s_set_up_metrics(ops_t *self, metrics_t *given)
{
    self->own_metrics = given ? NULL : metrics_new();
    metrics_t *m = given ? given : self->own_metrics;
    self->pages.metrics = m;
    self->requests = metrics_counter(m, "elanus_ops_requests_total",
                                     "Requests on the ops port by page.", "path");
    self->refused = metrics_counter(m, "elanus_ops_refused_total",
                                    "Requests and connections refused on the ops port.", "status");
    self->connections = metrics_cell(metrics_gauge(m, "elanus_ops_connections",
                                                   "Open connections on the ops port.", NULL));
    self->wakeups = metrics_cell(metrics_counter(m, "elanus_ops_wakeups_total",
                                                 "Times the ops thread woke up.", NULL));
}

/* Signals are for the main thread. */
static err_t s_start(ctx_t *ctx, ops_t *self)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int code = fault_hit() ? EAGAIN : pthread_create(&self->thread, NULL, s_serve, self);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (code != 0)
        return ctx_fail(ctx, ERR_RESOURCE_INSUFFICIENT, "cannot start the ops thread: %s",
                        strerror(code));
    return OK;
}

static void s_free(ops_t *self)
{
    for (answer_t *answer; (answer = queue_take(self->answers)) != NULL; )
        s_free_answer(answer);
    queue_destroy(&self->answers);
    pthread_mutex_destroy(&self->lock);
    metrics_destroy(&self->own_metrics);
    mem_free(self);
}

err_t ops_open(ctx_t *ctx, const ops_options_t *options, ops_t **ret)
{
    check(ret && *ret == NULL);
    int listener = -1;
    TRY(s_listen(ctx, options->host ? options->host : "127.0.0.1", options->port, &listener));
    ops_t *self = mem_new(sizeof *self);
    self->listener = listener;
    self->request_ms = options->request_ms ? options->request_ms : REQUEST_MS;
    self->idle_ms = options->idle_ms ? options->idle_ms : IDLE_MS;
    self->later_ms = options->later_ms ? options->later_ms : LATER_MS;
    self->answers = queue_new(2 * LIMIT_OPS_CONNECTIONS);
    self->gate.per_second = 5;
    pthread_mutex_init(&self->lock, NULL);
    s_learn_address(self);
    s_set_up_metrics(self, options->metrics);
    self->pages.health = options->health;
    self->pages.figures = options->figures;
    self->pages.arg = options->arg;
    ops_pages_route(self, &self->pages);
    err_t err = s_start(ctx, self);
    if (err != OK) {
        close(listener);
        s_free(self);
        return err;
    }
    *ret = self;
    return OK;
}

void ops_destroy(ops_t **self_p)
{
    ops_t *self = *self_p;
    if (!self)
        return;
    atomic_store(&self->stopping, true);
    ops_answer(self, 0, 200, "", view_of(NULL, 0));     /* answers nobody, wakes the loop */
    pthread_join(self->thread, NULL);
    s_free(self);
    *self_p = NULL;
}

const char *ops_address(const ops_t *self) { return self->address; }
int ops_port(const ops_t *self)            { return self->port; }
metrics_t *ops_metrics(ops_t *self)        { return self->pages.metrics; }
