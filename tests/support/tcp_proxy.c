/* tcp_proxy - see tcp_proxy.h
 *
 * One poll loop.  Each connection is two sides; what is read from one waits in
 * its buffer, with the time it may leave, until the other takes it.  A lock is
 * held while the loop works, not while it polls; whoever changes something
 * takes it, and writes to a pipe so that the loop looks again.
 */
#include "tests/support/tcp_proxy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/buf.h"
#include "core/base/clock.h"
#include "core/base/vec.h"

enum { CHUNK_BYTES = 64 * 1024, MOST_PAIRS = 512 };

typedef struct chunk {
    struct chunk *next;
    int64_t leaves_ms;
    size_t len, sent;
    uint8_t bytes[];
} chunk_t;

typedef struct side {
    int fd;                     /* -1: closed */
    bool ended;                 /* nothing more comes from it */
    chunk_t *first, **last;     /* read from it, for the other side */
} side_t;

typedef enum { FLOWS, EATS_ANSWER, HELD, RELEASED } pair_state_t;

typedef struct pair {
    struct pair *next;
    side_t client, server;
    pair_state_t state;
} pair_t;

typedef struct rule {
    char text[64];
    int times;
    tcp_proxy_fault_t fault;
} rule_t;

struct tcp_proxy {
    struct sockaddr_in server;
    int listen_fd, port;
    int wake[2];
    pthread_t thread;
    pthread_mutex_t lock;       /* everything below */
    pthread_cond_t changed;
    pair_t *pairs;
    bool refuse, frozen, stopping;
    int64_t delay_ms;
    rule_t rules[TCP_PROXY_RULES];
    int n_rules;
    int done, accepted;
};

/* --- sides and pairs -------------------------------------------------------- */

static void s_side_init(side_t *side, int fd)
{
    int yes = 1;
    *side = (side_t){ .fd = fd };
    side->last = &side->first;
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
}

static void s_side_drop(side_t *side)
{
    while (side->first) {
        chunk_t *chunk = side->first;
        side->first = chunk->next;
        mem_free(chunk);
    }
    side->last = &side->first;
}

static void s_side_close(side_t *side)
{
    if (side->fd >= 0)
        close(side->fd);
    side->fd = -1;
    side->ended = true;
    s_side_drop(side);
}

static void s_pair_close(pair_t *pair)
{
    s_side_close(&pair->client);
    s_side_close(&pair->server);
}

static void s_accept(tcp_proxy_t *self)
{
    int client = accept4(self->listen_fd, NULL, NULL, SOCK_CLOEXEC);
    if (client < 0)
        return;
    self->accepted++;
    int server = self->refuse ? -1 : socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct sockaddr *to = (struct sockaddr *)&self->server;
    if (server >= 0 && connect(server, to, sizeof self->server) != 0) {
        close(server);
        server = -1;
    }
    if (server < 0) {
        close(client);
        return;
    }
    pair_t *pair = mem_new(sizeof *pair);
    s_side_init(&pair->client, client);
    s_side_init(&pair->server, server);
    pair->next = self->pairs;
    self->pairs = pair;
}

/* --- moving bytes ----------------------------------------------------------- */

/* False when the chunk was disposed of. */
static bool s_meet_rule(tcp_proxy_t *self, pair_t *pair, const uint8_t *bytes, size_t len)
{
    rule_t *rule = &self->rules[0];
    if (self->n_rules == 0 || !memmem(bytes, len, rule->text, strlen(rule->text)))
        return true;
    tcp_proxy_fault_t fault = rule->fault;
    if (--rule->times == 0)
        memmove(rule, rule + 1, (size_t)--self->n_rules * sizeof *rule);
    self->done++;
    switch (fault) {
    case PROXY_PASS:         return true;
    case PROXY_LOSE_ANSWER:  pair->state = EATS_ANSWER; return true;
    case PROXY_LOSE_REQUEST: s_pair_close(pair); return false;
    case PROXY_HOLD_REQUEST: pair->state = HELD; return true;
    }
    return true;
}

static void s_on_client_bytes(tcp_proxy_t *self, pair_t *pair, const uint8_t *bytes, size_t len)
{
    if (!s_meet_rule(self, pair, bytes, len))
        return;
    chunk_t *chunk = mem_new(sizeof *chunk + len);
    chunk->len = len;
    chunk->leaves_ms = clock_mono_ms() + self->delay_ms;
    memcpy(chunk->bytes, bytes, len);
    *pair->client.last = chunk;
    pair->client.last = &chunk->next;
}

/* An answer to a spoiled request goes nowhere; it ends the connection. */
static void s_on_server_bytes(tcp_proxy_t *self, pair_t *pair, const uint8_t *bytes, size_t len)
{
    if (pair->state != FLOWS) {
        s_pair_close(pair);
        pthread_cond_broadcast(&self->changed);
        return;
    }
    chunk_t *chunk = mem_new(sizeof *chunk + len);
    chunk->len = len;
    chunk->leaves_ms = clock_mono_ms() + self->delay_ms;
    memcpy(chunk->bytes, bytes, len);
    *pair->server.last = chunk;
    pair->server.last = &chunk->next;
}

static void s_read(tcp_proxy_t *self, pair_t *pair, side_t *side)
{
    uint8_t bytes[CHUNK_BYTES];
    if (side->fd < 0 || side->ended)
        return;
    ssize_t n = recv(side->fd, bytes, sizeof bytes, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0)
        side->ended = true;
    else if (side == &pair->client)
        s_on_client_bytes(self, pair, bytes, (size_t)n);
    else
        s_on_server_bytes(self, pair, bytes, (size_t)n);
}

/* Send what may leave by now. */
static void s_write(side_t *from, side_t *to)
{
    while (from->first && to->fd >= 0 && from->first->leaves_ms <= clock_mono_ms()) {
        chunk_t *chunk = from->first;
        ssize_t n = send(to->fd, chunk->bytes + chunk->sent, chunk->len - chunk->sent,
                         MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN)
            return;
        chunk->sent += n > 0 ? (size_t)n : 0;
        if (n >= 0 && chunk->sent < chunk->len)
            return;
        from->first = chunk->next;
        if (!from->first)
            from->last = &from->first;
        mem_free(chunk);
    }
}

static void s_serve(tcp_proxy_t *self, pair_t *pair)
{
    s_read(self, pair, &pair->client);
    s_read(self, pair, &pair->server);
    if (pair->state == HELD && pair->client.fd >= 0) {
        close(pair->client.fd);                 /* the request itself stays queued */
        pair->client.fd = -1;
        pair->client.ended = true;
    }
    if (pair->state != HELD)
        s_write(&pair->client, &pair->server);
    s_write(&pair->server, &pair->client);
    bool waits = pair->state == HELD || pair->state == RELEASED;
    if (!waits && pair->client.ended && !pair->client.first)
        s_pair_close(pair);
    if (pair->server.ended && !pair->server.first)
        s_pair_close(pair);
}

/* --- the loop --------------------------------------------------------------- */

static void s_bury(tcp_proxy_t *self)
{
    for (pair_t **at = &self->pairs; *at; ) {
        pair_t *pair = *at;
        if (pair->client.fd >= 0 || pair->server.fd >= 0) {
            at = &pair->next;
            continue;
        }
        *at = pair->next;
        s_pair_close(pair);
        mem_free(pair);
        pthread_cond_broadcast(&self->changed);
    }
}

static void s_want(struct pollfd *fds, nfds_t *n, const side_t *side, const side_t *other,
                   bool may_send, int *timeout)
{
    if (side->fd < 0)
        return;
    short events = side->ended ? 0 : POLLIN;
    if (other->first && may_send) {
        int64_t wait = other->first->leaves_ms - clock_mono_ms();
        if (wait <= 0)
            events |= POLLOUT;
        else if (*timeout < 0 || wait < *timeout)
            *timeout = (int)wait;
    }
    if (events)
        fds[(*n)++] = (struct pollfd){ .fd = side->fd, .events = events };
}

static nfds_t s_gather(tcp_proxy_t *self, struct pollfd *fds, int *timeout)
{
    nfds_t n = 0;
    *timeout = -1;
    fds[n++] = (struct pollfd){ .fd = self->wake[0], .events = POLLIN };
    fds[n++] = (struct pollfd){ .fd = self->listen_fd, .events = POLLIN };
    for (pair_t *pair = self->frozen ? NULL : self->pairs; pair; pair = pair->next) {
        check(n + 2 <= 2 * MOST_PAIRS);
        s_want(fds, &n, &pair->client, &pair->server, true, timeout);
        s_want(fds, &n, &pair->server, &pair->client, pair->state != HELD, timeout);
    }
    return n;
}

static void *s_main(void *arg)
{
    tcp_proxy_t *self = arg;
    struct pollfd *mine = mem_new(2 * MOST_PAIRS * sizeof *mine);
    pthread_mutex_lock(&self->lock);
    while (!self->stopping) {
        int timeout;
        nfds_t n = s_gather(self, mine, &timeout);
        pthread_mutex_unlock(&self->lock);
        poll(mine, n, timeout);
        pthread_mutex_lock(&self->lock);
        char drain[64];
        if (mine[0].revents && read(self->wake[0], drain, sizeof drain) < 0)
            continue;
        if (mine[1].revents)
            s_accept(self);
        for (pair_t *pair = self->frozen ? NULL : self->pairs; pair; pair = pair->next)
            s_serve(self, pair);
        s_bury(self);
        pthread_cond_broadcast(&self->changed);
    }
    pthread_mutex_unlock(&self->lock);
    mem_free(mine);
    return NULL;
}

static void s_wake(tcp_proxy_t *self)
{
    if (write(self->wake[1], "!", 1) < 0)
        check(errno == EAGAIN);
}

/* --- the calls -------------------------------------------------------------- */

tcp_proxy_t *tcp_proxy_new(const char *server_host, int server_port)
{
    tcp_proxy_t *self = mem_new(sizeof *self);
    self->server = (struct sockaddr_in){ .sin_family = AF_INET,
                                         .sin_port = htons((uint16_t)server_port) };
    struct sockaddr_in own = { .sin_family = AF_INET,
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof own;
    self->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (inet_pton(AF_INET, server_host, &self->server.sin_addr) != 1 ||
        bind(self->listen_fd, (struct sockaddr *)&own, sizeof own) != 0 ||
        listen(self->listen_fd, 128) != 0 ||
        getsockname(self->listen_fd, (struct sockaddr *)&own, &len) != 0 ||
        pipe2(self->wake, O_NONBLOCK | O_CLOEXEC) != 0) {
        close(self->listen_fd);
        mem_free(self);
        return NULL;
    }
    self->port = ntohs(own.sin_port);
    pthread_mutex_init(&self->lock, NULL);
    pthread_cond_init(&self->changed, NULL);
    check(pthread_create(&self->thread, NULL, s_main, self) == 0);
    return self;
}

void tcp_proxy_destroy(tcp_proxy_t **self_p)
{
    tcp_proxy_t *self = *self_p;
    if (!self)
        return;
    pthread_mutex_lock(&self->lock);
    self->stopping = true;
    s_wake(self);
    pthread_mutex_unlock(&self->lock);
    pthread_join(self->thread, NULL);
    for (pair_t *pair = self->pairs; pair; pair = pair->next)
        s_pair_close(pair);
    s_bury(self);
    close(self->listen_fd);
    close(self->wake[0]);
    close(self->wake[1]);
    pthread_cond_destroy(&self->changed);
    pthread_mutex_destroy(&self->lock);
    mem_free(self);
    *self_p = NULL;
}

int tcp_proxy_port(const tcp_proxy_t *self)
{
    return self->port;
}

static void s_cut_all(tcp_proxy_t *self)
{
    for (pair_t *pair = self->pairs; pair; pair = pair->next)
        if (pair->state != HELD)
            s_pair_close(pair);
    s_bury(self);
}

void tcp_proxy_cut(tcp_proxy_t *self)
{
    pthread_mutex_lock(&self->lock);
    s_cut_all(self);
    s_wake(self);
    pthread_mutex_unlock(&self->lock);
}

void tcp_proxy_refuse(tcp_proxy_t *self, bool refuse)
{
    pthread_mutex_lock(&self->lock);
    self->refuse = refuse;
    if (refuse)
        s_cut_all(self);
    s_wake(self);
    pthread_mutex_unlock(&self->lock);
}

void tcp_proxy_freeze(tcp_proxy_t *self, bool frozen)
{
    pthread_mutex_lock(&self->lock);
    self->frozen = frozen;
    s_wake(self);
    pthread_mutex_unlock(&self->lock);
}

void tcp_proxy_delay_ms(tcp_proxy_t *self, int64_t delay_ms)
{
    pthread_mutex_lock(&self->lock);
    self->delay_ms = delay_ms;
    pthread_mutex_unlock(&self->lock);
}

void tcp_proxy_on(tcp_proxy_t *self, const char *text, int times, tcp_proxy_fault_t fault)
{
    pthread_mutex_lock(&self->lock);
    check(self->n_rules < TCP_PROXY_RULES && times > 0);
    rule_t *rule = &self->rules[self->n_rules++];
    check(strlen(text) < sizeof rule->text);
    snprintf(rule->text, sizeof rule->text, "%s", text);
    rule->times = times;
    rule->fault = fault;
    pthread_mutex_unlock(&self->lock);
}

void tcp_proxy_clear(tcp_proxy_t *self)
{
    pthread_mutex_lock(&self->lock);
    self->n_rules = 0;
    pthread_mutex_unlock(&self->lock);
}

int tcp_proxy_done(tcp_proxy_t *self)
{
    pthread_mutex_lock(&self->lock);
    int done = self->done;
    pthread_mutex_unlock(&self->lock);
    return done;
}

static bool s_any_held(const tcp_proxy_t *self)
{
    for (const pair_t *pair = self->pairs; pair; pair = pair->next)
        if (pair->state == HELD || pair->state == RELEASED)
            return true;
    return false;
}

void tcp_proxy_release(tcp_proxy_t *self)
{
    pthread_mutex_lock(&self->lock);
    for (pair_t *pair = self->pairs; pair; pair = pair->next)
        if (pair->state == HELD)
            pair->state = RELEASED;
    s_wake(self);
    while (s_any_held(self))
        pthread_cond_wait(&self->changed, &self->lock);
    pthread_mutex_unlock(&self->lock);
}

int tcp_proxy_accepted(tcp_proxy_t *self)
{
    pthread_mutex_lock(&self->lock);
    int accepted = self->accepted;
    pthread_mutex_unlock(&self->lock);
    return accepted;
}
