/* door - the thread that owns all client connections
 *
 * Workload: up to some thousands of connections, most of them idle, a few with
 * a hundred calls in flight; messages of 100 bytes (searches) to 64 MiB
 * (inserts).  One thread is enough for it because it only moves and frames
 * bytes; everything that thinks runs elsewhere.  One thread also means that no
 * state here has a lock: what comes from other threads (answers, inflated
 * messages) comes through the mailbox.
 *
 * One turn of the loop:
 *
 *     wait until a socket, the mailbox, the wake-up descriptor or the earliest
 *     due time; feed what was read to the protocols; take the mail; run what
 *     is due; then write once to each connection that has something to send
 *     (so a hundred answers to one client are one write); free what was closed.
 *
 * Time: each connection has one due time, kept in a heap.  Things that need
 * time only ever pull it nearer; when it comes, the connection looks at all it
 * has and says when to look again.  So a call costs no heap work unless it is
 * the most urgent one, and a door nobody knocks on never wakes up.
 *
 * Rejected: a thread per core with SO_REUSEPORT (the node behind is one thread
 * too, and framing is not what saturates); libev and the like (epoll is less
 * code than their glue).
 */
#include "proxy/door_int.h"

#include <errno.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/limits.h"

enum { EVENTS = 256, BACKLOG = 1024, MAIL_BATCH = 512 };

/* --- start ------------------------------------------------------------------ */

static err_t s_fail(ctx_t *ctx, const door_options_t *opt, const char *why)
{
    return ctx_fail(ctx, ERR_NETWORK, "cannot listen on %s:%d: %s; stop what uses that port "
                    "or change proxy.port", opt->host, opt->port, why);
}

static int s_bound_port(int fd)
{
    struct sockaddr_storage at;
    socklen_t len = sizeof at;
    check(getsockname(fd, (struct sockaddr *)&at, &len) == 0);
    return ntohs(at.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&at)->sin6_port
                                          : ((struct sockaddr_in *)&at)->sin_port);
}

static err_t s_listen_at(ctx_t *ctx, door_t *self, const struct addrinfo *at)
{
    int fd = socket(at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return s_fail(ctx, &self->opt, strerror(errno));
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, at->ai_addr, at->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0) {
        err_t err = s_fail(ctx, &self->opt, strerror(errno));
        close(fd);
        return err;
    }
    self->listener = fd;
    self->port = s_bound_port(fd);
    return OK;
}

static err_t s_listen(ctx_t *ctx, door_t *self)
{
    char port[16];
    snprintf(port, sizeof port, "%d", self->opt.port);
    struct addrinfo want = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE };
    struct addrinfo *at = NULL;
    int failed = getaddrinfo(self->opt.host, port, &want, &at);
    if (failed)
        return s_fail(ctx, &self->opt, gai_strerror(failed));
    err_t err = s_listen_at(ctx, self, at);
    freeaddrinfo(at);
    return err;
}

static void s_watch(door_t *self, int fd, uint32_t events, void *what)
{
    struct epoll_event event = { .events = events, .data.ptr = what };
    check(epoll_ctl(self->epoll, EPOLL_CTL_ADD, fd, &event) == 0);
}

/* An idle door needs no mailbox pages, no pool thread: only these descriptors. */
static door_t *s_new(const door_options_t *options)
{
    door_t *self = mem_new(sizeof *self);
    self->opt = *options;
    door_limits_fill(&self->opt);
    self->opt.host = self->host = mem_strdup(self->opt.host);
    self->opt.cert_file = self->cert_file =
        options->cert_file ? mem_strdup(options->cert_file) : NULL;
    self->opt.key_file = self->key_file = options->key_file ? mem_strdup(options->key_file) : NULL;
    self->opt.ca_file = self->ca_file = options->ca_file ? mem_strdup(options->ca_file) : NULL;
    self->listener = -1;
    self->epoll = epoll_create1(EPOLL_CLOEXEC);
    self->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    check(self->epoll >= 0 && self->wake >= 0);
    self->mail = queue_new(LIMIT_QUEUE_ITEMS);
    self->inflater = pool_new("door-inflate", 1);
    self->ips = map_new();
    self->next_number = 1;
    s_watch(self, self->wake, EPOLLIN, &self->wake);
    s_watch(self, queue_fd(self->mail), EPOLLIN, self->mail);
    return self;
}

static void *s_run(void *arg);

err_t door_open(ctx_t *ctx, const door_options_t *options, door_t **ret)
{
    check(ret && options->lookup && options->request);
    owned(door) self = s_new(options);
    if (self->opt.tls_mode != DOOR_PLAIN)
        TRY(door_tls_open(ctx, &self->opt, &self->tls));
    TRY(s_listen(ctx, self));
    s_watch(self, self->listener, EPOLLIN, &self->listener);
    int failed = pthread_create(&self->thread, NULL, s_run, self);
    if (failed)
        return ctx_fail(ctx, ERR_RESOURCE_INSUFFICIENT, "cannot start the door's thread: %s",
                        strerror(failed));
    self->thread_runs = true;
    *ret = take(self);
    return OK;
}

int door_port(const door_t *self)
{
    return self->port;
}

/* --- the loop --------------------------------------------------------------- */

static int s_wait_ms(const door_t *self)
{
    int64_t due = self->heap_len ? self->heap[0]->due_ms : INT64_MAX;
    if (self->accept_again_ms && self->accept_again_ms < due)
        due = self->accept_again_ms;
    if (self->stopping && self->stop_by_ms < due)
        due = self->stop_by_ms;
    if (due == INT64_MAX)
        return -1;
    int64_t left = due - clock_mono_ms();
    return left < 0 ? 0 : left > 3600000 ? 3600000 : (int)left;
}

static void s_take_mail(door_t *self)
{
    for (int i = 0; i < MAIL_BATCH; i++) {
        door_request_t *request = queue_take(self->mail);
        if (!request)
            return;
        door_call_mail(self, request);
    }
}

static void s_begin_stop(door_t *self)
{
    self->stopping = true;
    self->stop_by_ms = self->now_ms + self->drain_ms;
    self->accept_again_ms = 0;
    close(self->listener);                      /* leaves the epoll set with it */
    self->listener = -1;
    for (door_conn_t *conn = self->conns; conn; conn = conn->next)
        if (!conn->is_dead)
            door_conn_drain(conn);
}

static void s_on_wake(door_t *self)
{
    eventfd_t count;
    check(eventfd_read(self->wake, &count) == 0);
    if (atomic_load(&self->stop_asked) && !self->stopping)
        s_begin_stop(self);
}

static void s_on_event(door_t *self, const struct epoll_event *event)
{
    void *what = event->data.ptr;
    if (what == &self->listener) {
        if (self->listener >= 0)
            door_conn_accept(self);
    } else if (what == &self->wake) {
        s_on_wake(self);
    } else if (what == self->mail) {
        s_take_mail(self);
    } else {
        door_conn_t *conn = what;
        if (!conn->is_dead)
            door_conn_event(conn, event->events);
    }
}

static void s_run_due(door_t *self)
{
    if (self->accept_again_ms && self->accept_again_ms <= self->now_ms) {
        self->accept_again_ms = 0;
        s_watch(self, self->listener, EPOLLIN, &self->listener);
    }
    while (self->heap_len && self->heap[0]->due_ms <= self->now_ms)
        door_conn_tick(self->heap[0]);
}

static void s_flush_dirty(door_t *self)
{
    for (door_conn_t *conn; (conn = self->dirty) != NULL; ) {
        self->dirty = conn->next_dirty;
        conn->is_dirty = false;
        if (!conn->is_dead)
            door_conn_flush(conn);
    }
}

static void s_bury_dead(door_t *self)
{
    for (door_conn_t *conn; (conn = self->dead) != NULL; ) {
        self->dead = conn->next_dead;
        door_conn_free(conn);
    }
}

static void s_turn(door_t *self)
{
    struct epoll_event events[EVENTS];
    int n = epoll_wait(self->epoll, events, EVENTS, s_wait_ms(self));
    self->now_ms = clock_mono_ms();
    door_count(self, turns);
    for (int i = 0; i < n; i++)
        s_on_event(self, &events[i]);
    s_run_due(self);
    s_flush_dirty(self);
    s_bury_dead(self);
}

static void *s_run(void *arg)
{
    door_t *self = arg;
    pthread_setname_np(pthread_self(), "door");
    sigset_t pipe;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);                  /* OpenSSL writes without MSG_NOSIGNAL */
    pthread_sigmask(SIG_BLOCK, &pipe, NULL);
    self->now_ms = clock_mono_ms();
    while (!self->stopping || (self->conns && self->now_ms < self->stop_by_ms))
        s_turn(self);
    while (self->conns) {
        if (!self->conns->is_dead)
            door_conn_kill(self->conns);
        s_bury_dead(self);
    }
    return NULL;
}

/* --- answers, stop ---------------------------------------------------------- */

void door_answer(door_t *self, door_request_t **request_p, door_answer_t *answer)
{
    door_request_t *request = take(*request_p);
    check(request && request->mail_ == MAIL_NONE);
    request->answer_ = mem_new(sizeof *request->answer_);
    if (answer) {
        *request->answer_ = *answer;
        answer->body = (buf_t){0};
        if (answer->text)
            request->answer_->text = ctx_strdup(&request->ctx, answer->text);
    } else {
        *request->answer_ = (door_answer_t){ .status = GRPC_UNAVAILABLE, .http_status = 503,
                                             .text = "the server is shutting down" };
    }
    request->mail_ = MAIL_ANSWER;
    bool fits = queue_put(self->mail, request); /* opt.requests is below its size */
    check(fits);
}

void door_stop(door_t *self, int64_t drain_ms)
{
    if (!self->thread_runs)
        return;
    self->drain_ms = drain_ms;
    atomic_store(&self->stop_asked, true);
    check(eventfd_write(self->wake, 1) == 0);
    pthread_join(self->thread, NULL);
    self->thread_runs = false;
}

void door_destroy(door_t **self_p)
{
    door_t *self = *self_p;
    if (!self)
        return;
    door_stop(self, 0);
    pool_destroy(&self->inflater);              /* its jobs put their requests into the mail */
    for (door_request_t *request; (request = queue_take(self->mail)) != NULL; )
        door_call_mail(self, request);
    check(door_load(self, open_requests) == 0); /* somebody still holds one */
    queue_destroy(&self->mail);
    door_tls_destroy(&self->tls);
    map_destroy(&self->ips);
    if (self->listener >= 0)
        close(self->listener);
    close(self->wake);
    close(self->epoll);
    mem_free(self->heap);
    mem_free(self->host);
    mem_free(self->cert_file);
    mem_free(self->key_file);
    mem_free(self->ca_file);
    mem_free(self);
    *self_p = NULL;
}

void door_stats(const door_t *self, door_stats_t *ret)
{
#define X(name) ret->name = door_load(self, name);
    DOOR_COUNTERS(X)
#undef X
    ret->open_conns = door_load(self, open_conns);
    ret->open_requests = door_load(self, open_requests);
    ret->held_bytes = door_load(self, held_bytes);
}
