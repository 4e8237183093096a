/* door_conn - one client connection from accept to close
 *
 *     TLS -> SNIFF -> H2 | REST -> LINGER -> closed
 *
 * LINGER: our last word is sent and our side shut; what still comes in is
 * thrown away for a moment.  Closing at once would make the kernel answer
 * unread input with a reset, and a reset destroys the last word on its way.
 *
 * Level-triggered epoll: whoever reads only a part is called again, so one
 * turn takes at most 64 KiB from a connection and the others get their share.
 * (With 256 KiB a flood of PINGs held the others up for 3 ms a turn.)
 */
#include "proxy/door_int.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { ACCEPTS = 64, ACCEPT_PAUSE_MS = 100, TLS_READS = 4, STOP_LINGER_MS = 200 };
enum { LINGER_BYTES = 1 << 20, FLUSH_BYTES = 1 << 20, KEEP_OUT_BYTES = 16 << 10 };

static const char s_preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/* --- due times: a binary heap ------------------------------------------------ */

static void s_place(door_t *door, door_conn_t *conn, size_t at)
{
    door->heap[at] = conn;
    conn->heap_at = at + 1;                     /* 0: not in the heap */
}

static void s_sift_up(door_t *door, size_t at)
{
    door_conn_t *conn = door->heap[at];
    for (; at > 0 && conn->due_ms < door->heap[(at - 1) / 2]->due_ms; at = (at - 1) / 2)
        s_place(door, door->heap[(at - 1) / 2], at);
    s_place(door, conn, at);
}

static void s_sift_down(door_t *door, size_t at)
{
    door_conn_t *conn = door->heap[at];
    for (size_t kid; (kid = 2 * at + 1) < door->heap_len; at = kid) {
        if (kid + 1 < door->heap_len && door->heap[kid + 1]->due_ms < door->heap[kid]->due_ms)
            kid++;
        if (conn->due_ms <= door->heap[kid]->due_ms)
            break;
        s_place(door, door->heap[kid], at);
    }
    s_place(door, conn, at);
}

static void s_leave_heap(door_conn_t *conn)
{
    door_t *door = conn->door;
    conn->due_ms = INT64_MAX;
    if (conn->heap_at == 0)
        return;
    size_t at = conn->heap_at - 1;
    conn->heap_at = 0;
    door_conn_t *last = door->heap[--door->heap_len];
    if (last == conn)
        return;
    s_place(door, last, at);
    s_sift_up(door, at);
    s_sift_down(door, last->heap_at - 1);
}

void door_conn_due(door_conn_t *conn, int64_t at_ms)
{
    door_t *door = conn->door;
    if (at_ms >= conn->due_ms || conn->is_dead)
        return;
    conn->due_ms = at_ms;
    if (conn->heap_at == 0) {
        if (door->heap_len == door->heap_cap) {
            door->heap_cap = door->heap_cap ? 2 * door->heap_cap : 64;
            door->heap = mem_resize(door->heap, door->heap_cap * sizeof door->heap[0]);
        }
        s_place(door, conn, door->heap_len++);
    }
    s_sift_up(door, conn->heap_at - 1);
}

/* --- birth ------------------------------------------------------------------ */

static void s_note_peer(door_conn_t *conn, const struct sockaddr_storage *from)
{
    char ip[INET6_ADDRSTRLEN] = "?";
    if (from->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)from;
        inet_ntop(AF_INET6, &in6->sin6_addr, ip, sizeof ip);
        snprintf(conn->peer, sizeof conn->peer, "[%s]:%u", ip, ntohs(in6->sin6_port));
        conn->ip = in6->sin6_addr;
        if (!IN6_IS_ADDR_V4MAPPED(&conn->ip))
            memset(conn->ip.s6_addr + 8, 0, 8);
        return;
    }
    const struct sockaddr_in *in4 = (const struct sockaddr_in *)from;
    inet_ntop(AF_INET, &in4->sin_addr, ip, sizeof ip);
    snprintf(conn->peer, sizeof conn->peer, "%s:%u", ip, ntohs(in4->sin_port));
    conn->ip.s6_addr[10] = conn->ip.s6_addr[11] = 0xff;
    memcpy(conn->ip.s6_addr + 12, &in4->sin_addr, 4);
}

/* Over a limit: closed without a word.  A word would cost us more than it costs them. */
static bool s_admit(door_t *door, door_conn_t *conn)
{
    static log_gate_t gate = { .per_second = 1 };
    if (door_load(door, open_conns) >= door->opt.conns) {
        door_count(door, refused_conns);
        log_gated(&gate, LOG_WARN, "door_full", "peer=%s connections=%u", conn->peer,
                  door->opt.conns);
        return false;
    }
    if (!door_limits_enter(door, &conn->ip)) {
        door_count(door, refused_ip);
        log_gated(&gate, LOG_WARN, "door_full_ip", "peer=%s connections=%u", conn->peer,
                  door->opt.conns_per_ip);
        return false;
    }
    return true;
}

static void s_enter(door_t *door, door_conn_t *conn)
{
    conn->next = door->conns;
    if (conn->next)
        conn->next->prev = conn;
    door->conns = conn;
    atomic_fetch_add_explicit(&door->count.open_conns, 1, memory_order_relaxed);
    door_count(door, accepted);
    conn->events = EPOLLIN;
    struct epoll_event event = { .events = conn->events, .data.ptr = conn };
    check(epoll_ctl(door->epoll, EPOLL_CTL_ADD, conn->fd, &event) == 0);
    door_conn_due(conn, conn->opened_ms + door->opt.first_ms);
}

static void s_adopt(door_t *door, int fd, const struct sockaddr_storage *from)
{
    door_conn_t *conn = mem_new(sizeof *conn);
    conn->door = door;
    conn->fd = fd;
    conn->due_ms = INT64_MAX;
    conn->opened_ms = conn->read_ms = door->now_ms;
    s_note_peer(conn, from);
    if (!s_admit(door, conn)) {
        close(fd);
        mem_free(conn);
        return;
    }
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    conn->kind = CONN_SNIFF;
    if (door->tls) {
        conn->kind = CONN_TLS;
        door_tls_accept(conn);
    }
    s_enter(door, conn);
}

/* Out of descriptors: an always readable listener would spin, so look away a while. */
static void s_pause_accepting(door_t *door)
{
    static log_gate_t gate = { .per_second = 1 };
    log_gated(&gate, LOG_ERROR, "door_accept", "why=\"%s\" hint=\"raise the limit of open files\"",
              strerror(errno));
    check(epoll_ctl(door->epoll, EPOLL_CTL_DEL, door->listener, NULL) == 0);
    door->accept_again_ms = door->now_ms + ACCEPT_PAUSE_MS;
}

void door_conn_accept(door_t *door)
{
    for (int i = 0; i < ACCEPTS; i++) {
        struct sockaddr_storage from = {0};
        socklen_t len = sizeof from;
        int fd = accept4(door->listener, (struct sockaddr *)&from, &len,
                         SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            s_adopt(door, fd, &from);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            s_pause_accepting(door);
            return;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            return;
        }
    }
}

/* --- death ------------------------------------------------------------------ */

static void s_end_calls(door_conn_t *conn)
{
    while (conn->calls)
        door_call_end(conn->calls);
    while (conn->requests) {                    /* out, their streams were gone before */
        door_request_t *request = conn->requests;
        conn->requests = request->next_;
        request->conn_ = NULL;
        request->prev_ = request->next_ = NULL;
    }
}

void door_conn_kill(door_conn_t *conn)
{
    check(!conn->is_dead);
    conn->is_dead = true;
    s_leave_heap(conn);
    s_end_calls(conn);
    door_tls_conn_destroy(&conn->tls);
    close(conn->fd);                            /* leaves the epoll set with it */
    conn->next_dead = conn->door->dead;
    conn->door->dead = conn;
}

void door_conn_free(door_conn_t *conn)
{
    door_t *door = conn->door;
    check(conn->is_dead && !conn->is_dirty && !conn->calls);
    if (conn->prev)
        conn->prev->next = conn->next;
    else
        door->conns = conn->next;
    if (conn->next)
        conn->next->prev = conn->prev;
    door_limits_leave(door, &conn->ip);
    atomic_fetch_sub_explicit(&door->count.open_conns, 1, memory_order_relaxed);
    door_h2_destroy(&conn->h2);
    door_rest_destroy(&conn->rest);
    buf_fini(&conn->out);
    mem_free(conn);
}

void door_conn_dirty(door_conn_t *conn)
{
    if (conn->is_dirty || conn->is_dead)
        return;
    conn->is_dirty = true;
    conn->next_dirty = conn->door->dirty;
    conn->door->dirty = conn;
}

void door_conn_finish(door_conn_t *conn)
{
    conn->close_after_out = true;
    door_conn_dirty(conn);
}

void door_conn_garbage(door_conn_t *conn, const char *why)
{
    static log_gate_t gate = { .per_second = 5 };
    door_count(conn->door, garbage);
    log_gated(&gate, LOG_WARN, "door_garbage", "peer=%s why=\"%s\" garbage=%llu", conn->peer, why,
              (unsigned long long)door_load(conn->door, garbage));
    door_conn_kill(conn);
}

static void s_linger(door_conn_t *conn)
{
    door_t *door = conn->door;
    s_end_calls(conn);
    conn->kind = CONN_LINGER;
    conn->close_after_out = false;
    conn->read_paused = false;
    if (conn->tls)
        door_tls_end(conn);
    shutdown(conn->fd, SHUT_WR);
    int64_t wait = door->opt.linger_ms;
    if (door->stopping && wait > STOP_LINGER_MS)
        wait = STOP_LINGER_MS;
    conn->linger_until_ms = door->now_ms + wait;
    conn->linger_bytes = LINGER_BYTES;
    door_conn_due(conn, conn->linger_until_ms);
}

void door_conn_drain(door_conn_t *conn)
{
    switch (conn->kind) {
    case CONN_TLS:
    case CONN_SNIFF:
        door_conn_kill(conn);
        break;
    case CONN_H2:
        door_h2_drain(conn);
        break;
    case CONN_REST:
        door_rest_drain(conn);
        break;
    case CONN_LINGER:
        break;
    }
}

/* --- reading ---------------------------------------------------------------- */

static void s_become(door_conn_t *conn, conn_kind_t kind)
{
    conn->kind = kind;
    if (kind == CONN_H2) {
        door_count(conn->door, h2);
        door_h2_open(conn);
    } else {
        door_count(conn->door, rest);
        door_rest_open(conn);
    }
}

static void s_feed(door_conn_t *conn, view_t bytes);

/* How much of `start` the bytes agree with; false at the first difference. */
static bool s_agrees(const door_conn_t *conn, const char *start)
{
    size_t len = strlen(start);
    return memcmp(conn->sniffed, start, conn->n_sniffed < len ? conn->n_sniffed : len) == 0;
}

/* What a client may begin with.  Anything else is not answered: a sentence in HTTP/1.1
 * would be garbage to it, too. */
static const struct { const char *start; conn_kind_t kind; } s_starts[] = {
    { s_preface, CONN_H2 },
    { "POST ", CONN_REST }, { "GET ", CONN_REST }, { "OPTIONS ", CONN_REST },
    { "HEAD ", CONN_REST }, { "PUT ", CONN_REST }, { "DELETE ", CONN_REST },
    { "PATCH ", CONN_REST }, { "CONNECT ", CONN_REST }, { "TRACE ", CONN_REST },
};

static void s_sniff(door_conn_t *conn, view_t bytes)
{
    size_t room = sizeof conn->sniffed - conn->n_sniffed;
    size_t n = bytes.len < room ? bytes.len : room;
    memcpy(conn->sniffed + conn->n_sniffed, bytes.ptr, n);
    conn->n_sniffed += n;
    size_t i = 0;
    while (i < ARRAY_LEN(s_starts) && !s_agrees(conn, s_starts[i].start))
        i++;
    if (i == ARRAY_LEN(s_starts)) {
        door_conn_garbage(conn, conn->sniffed[0] == 0x16 && !conn->tls
                                ? "TLS on a plain-text port" : "neither HTTP/2 nor HTTP/1.1");
        return;
    }
    if (conn->n_sniffed < strlen(s_starts[i].start))
        return;
    s_become(conn, s_starts[i].kind);
    s_feed(conn, view_of(conn->sniffed, conn->n_sniffed));
    if (!conn->is_dead && bytes.len > n)
        s_feed(conn, view_of(bytes.ptr + n, bytes.len - n));
}

static void s_feed(door_conn_t *conn, view_t bytes)
{
    if (conn->close_after_out)
        return;
    switch (conn->kind) {
    case CONN_SNIFF:
        s_sniff(conn, bytes);
        break;
    case CONN_H2:
        door_h2_feed(conn, bytes);
        break;
    case CONN_REST:
        door_rest_feed(conn, bytes);
        break;
    case CONN_LINGER:
        if (bytes.len > conn->linger_bytes)
            door_conn_kill(conn);               /* it goes on shouting */
        else
            conn->linger_bytes -= bytes.len;
        break;
    case CONN_TLS:
        break;
    }
}

static ssize_t s_read(door_conn_t *conn, void *ret, size_t room)
{
    return conn->tls ? door_tls_read(conn, ret, room) : recv(conn->fd, ret, room, 0);
}

/* The first byte of a TLS client is 22.  Anything else is not worth a handshake. */
static bool s_says_hello(door_conn_t *conn)
{
    uint8_t first;
    if (conn->said_hello || recv(conn->fd, &first, 1, MSG_PEEK) != 1)
        return true;
    conn->said_hello = first == 0x16;
    return conn->said_hello;
}

static bool s_shake_hands(door_conn_t *conn)
{
    if (!s_says_hello(conn)) {
        door_conn_garbage(conn, "plain text on a TLS port");
        return false;
    }
    ssize_t done = door_tls_handshake(conn);
    if (done > 0) {
        door_count(conn->door, tls);
        conn->kind = CONN_SNIFF;
        return true;
    }
    if (done < 0 && errno == EAGAIN) {
        door_conn_dirty(conn);                  /* epoll may have to wait for room to write */
        return false;
    }
    static log_gate_t gate = { .per_second = 5 };
    door_count(conn->door, tls_failed);
    log_gated(&gate, LOG_WARN, "door_tls", "peer=%s why=\"handshake failed\"", conn->peer);
    door_conn_kill(conn);
    return false;
}

static void s_readable(door_conn_t *conn)
{
    door_t *door = conn->door;
    if (conn->read_paused) {                    /* only a hang-up gets here */
        door_conn_kill(conn);
        return;
    }
    if (conn->kind == CONN_TLS && !s_shake_hands(conn))
        return;
    int reads = conn->tls ? TLS_READS : 1;      /* a TLS record has 16 KiB */
    for (int i = 0; i < reads && !conn->is_dead && !conn->read_paused; i++) {
        ssize_t n = s_read(conn, door->scratch, sizeof door->scratch);
        if (n > 0) {
            conn->read_ms = door->now_ms;
            s_feed(conn, view_of(door->scratch, (size_t)n));
            if (!conn->tls && (size_t)n < sizeof door->scratch)
                break;
        } else if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            break;
        } else {
            door_conn_kill(conn);               /* the end, or an error: nobody to answer */
            return;
        }
    }
}

void door_conn_event(door_conn_t *conn, uint32_t events)
{
    if (conn->kind == CONN_TLS) {               /* a handshake may wait for either */
        conn->blocked = false;
        s_readable(conn);
        return;
    }
    if (events & EPOLLOUT)
        door_conn_dirty(conn);
    if (events & ~(uint32_t)EPOLLOUT)
        s_readable(conn);
}

/* --- writing ---------------------------------------------------------------- */

static void s_arm(door_conn_t *conn)
{
    uint32_t want = conn->read_paused ? EPOLLRDHUP : EPOLLIN;
    if (conn->blocked)
        want |= EPOLLOUT;
    if (want == conn->events)
        return;
    conn->events = want;
    struct epoll_event event = { .events = want, .data.ptr = conn };
    check(epoll_ctl(conn->door->epoll, EPOLL_CTL_MOD, conn->fd, &event) == 0);
}

static void s_block(door_conn_t *conn)
{
    if (conn->blocked)
        return;
    conn->blocked = true;
    conn->mark_ms = conn->door->now_ms;
    conn->mark_written = conn->written;
    door_conn_due(conn, conn->mark_ms + conn->door->opt.stall_ms);
}

/* One write; false when it is no use to go on in this turn. */
static bool s_write(door_conn_t *conn)
{
    const uint8_t *from = conn->out.ptr + conn->out_at;
    size_t len = conn->out.len - conn->out_at;
    ssize_t n = conn->tls ? door_tls_write(conn, from, len)
                          : send(conn->fd, from, len, MSG_NOSIGNAL);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        s_block(conn);
        return false;
    }
    if (n <= 0) {
        door_conn_kill(conn);
        return false;
    }
    conn->written += (uint64_t)n;
    conn->out_at += (size_t)n;
    if (conn->out_at < conn->out.len) {
        s_block(conn);
        return false;
    }
    conn->out_at = 0;
    if (conn->out.cap > KEEP_OUT_BYTES)
        buf_fini(&conn->out);                   /* ten thousand idle clients keep little */
    else
        buf_reset(&conn->out);
    return true;
}

static bool s_write_all(door_conn_t *conn)
{
    uint64_t enough = conn->written + FLUSH_BYTES;
    for (;;) {
        if (conn->kind == CONN_H2 && !conn->close_after_out)
            door_h2_fill(conn);
        else if (conn->kind == CONN_REST && conn->out.len == 0)
            door_rest_resume(conn);
        if (conn->is_dead)
            return false;
        if (conn->out.len == 0) {
            conn->blocked = false;
            return true;
        }
        if (!s_write(conn))
            return false;
        if (conn->written >= enough) {          /* others wait; epoll brings us back */
            s_block(conn);
            return false;
        }
    }
}

void door_conn_flush(door_conn_t *conn)
{
    if (conn->kind == CONN_TLS) {
        s_arm(conn);                            /* s_shake_hands says what it waits for */
        return;
    }
    bool empty = conn->kind == CONN_LINGER || s_write_all(conn);
    if (conn->is_dead)
        return;
    if (empty && conn->kind != CONN_LINGER &&
        (conn->close_after_out || (conn->kind == CONN_H2 && door_h2_finished(conn))))
        s_linger(conn);
    if (!conn->is_dead)
        s_arm(conn);
}

/* --- time ------------------------------------------------------------------- */

static int64_t s_sooner(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* A socket that takes less than rate_bytes a second belongs to nobody who reads. */
static int64_t s_tick_blocked(door_conn_t *conn)
{
    const door_options_t *opt = &conn->door->opt;
    if (!conn->blocked)
        return INT64_MAX;
    if (conn->door->now_ms < conn->mark_ms + opt->stall_ms)
        return conn->mark_ms + opt->stall_ms;
    if ((conn->written - conn->mark_written) * 1000 <
        (uint64_t)opt->rate_bytes * (uint64_t)opt->stall_ms) {
        door_count(conn->door, stalled);
        door_conn_kill(conn);
        return INT64_MAX;
    }
    conn->mark_ms = conn->door->now_ms;
    conn->mark_written = conn->written;
    return conn->mark_ms + opt->stall_ms;
}

static int64_t s_tick_kind(door_conn_t *conn)
{
    door_t *door = conn->door;
    switch (conn->kind) {
    case CONN_TLS:
    case CONN_SNIFF:
        if (door->now_ms < conn->opened_ms + door->opt.first_ms)
            return conn->opened_ms + door->opt.first_ms;
        door_count(door, slow_first);
        door_conn_kill(conn);
        return INT64_MAX;
    case CONN_LINGER:
        if (door->now_ms < conn->linger_until_ms)
            return conn->linger_until_ms;
        door_conn_kill(conn);
        return INT64_MAX;
    case CONN_H2:
        return door_h2_tick(conn);
    case CONN_REST:
        return door_rest_tick(conn);
    }
    return INT64_MAX;
}

void door_conn_tick(door_conn_t *conn)
{
    s_leave_heap(conn);
    int64_t next = s_tick_kind(conn);
    if (!conn->is_dead)
        next = s_sooner(next, s_tick_blocked(conn));
    if (conn->is_dead)
        return;
    for (door_call_t *call = conn->calls, *after; call; call = after) {
        after = call->next;                     /* a REST call may end here */
        next = s_sooner(next, door_call_tick(call));
    }
    if (next != INT64_MAX)
        door_conn_due(conn, next > conn->door->now_ms ? next : conn->door->now_ms + 1);
}
