/* echo_door - see echo_door.h; held requests lie in a list under a mutex */
#include "tests/support/echo_door.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "core/base/clock.h"
#include "core/base/limits.h"
#include "core/base/queue.h"
#include "core/base/vec.h"

enum { GIVE_UP_S = 30 };

struct echo_door {
    door_t *door;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    vec_t held;                 /* door_request_t * */
    int n_held, n_cancelled;    /* since the start */
    queue_t *queue;             /* threaded */
    pthread_t thread;
    bool threaded;
    door_request_t stop;        /* ends the thread */
};

static const char s_echo[] = "Echo", s_big[] = "Big", s_fail[] = "Fail", s_hold[] = "Hold";

static const void *s_lookup(void *arg, const char *path)
{
    static const struct { const char *path; const char *method; } rows[] = {
        { ECHO_PATH, s_echo }, { BIG_PATH, s_big }, { FAIL_PATH, s_fail }, { HOLD_PATH, s_hold },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (strcmp(rows[i].path, path) == 0)
            return rows[i].method;
    return NULL;
}

static void s_echo_back(echo_door_t *self, door_request_t *request)
{
    door_answer_t answer = {0};
    if (request->is_rest && request->message.len == 0)
        buf_addf(&answer.body, "%s %s %s", request->verb, request->path, request->query);
    buf_add_view(&answer.body, request->message);
    if (request->is_rest && strcmp(request->path, "/missing") == 0)
        answer.http_status = 404;
    door_answer(self->door, &request, &answer);
}

static void s_answer_big(echo_door_t *self, door_request_t *request)
{
    door_answer_t answer = {0};
    char number[16] = "";
    snprintf(number, sizeof number, "%.*s", (int)request->message.len,
             (const char *)request->message.ptr);
    size_t len = strtoull(number, NULL, 10);
    uint8_t *room = buf_reserve(&answer.body, len);
    check(room);
    memset(room, 'x', len);
    answer.body.len = len;
    door_answer(self->door, &request, &answer);
}

static void s_hold_on(echo_door_t *self, door_request_t *request)
{
    pthread_mutex_lock(&self->lock);
    vec_push(&self->held, &request);
    self->n_held++;
    pthread_cond_broadcast(&self->changed);
    pthread_mutex_unlock(&self->lock);
}

static void s_handle(echo_door_t *self, door_request_t *request)
{
    bool hold = request->is_rest ? strcmp(request->path, "/hold") == 0 : request->method == s_hold;
    if (hold)
        s_hold_on(self, request);
    else if (request->method == s_big)
        s_answer_big(self, request);
    else if (request->method == s_fail)
        door_answer(self->door, &request,
                    &(door_answer_t){ .status = GRPC_NOT_FOUND, .text = FAIL_TEXT });
    else
        s_echo_back(self, request);
}

static void s_on_request(void *arg, door_request_t *request)
{
    echo_door_t *self = arg;
    if (!self->threaded)
        s_handle(self, request);
    else
        check(queue_put(self->queue, request));
}

static void s_on_cancelled(void *arg, uint64_t number)
{
    echo_door_t *self = arg;
    pthread_mutex_lock(&self->lock);
    self->n_cancelled++;
    pthread_cond_broadcast(&self->changed);
    pthread_mutex_unlock(&self->lock);
}

static void *s_run(void *arg)
{
    echo_door_t *self = arg;
    for (;;) {
        struct pollfd fd = { .fd = queue_fd(self->queue), .events = POLLIN };
        poll(&fd, 1, -1);
        for (door_request_t *request; (request = queue_take(self->queue)) != NULL; ) {
            if (request == &self->stop)
                return NULL;
            s_handle(self, request);
        }
    }
}

err_t echo_door_open(ctx_t *ctx, const door_options_t *options, bool threaded, echo_door_t **ret)
{
    static const char *const services[] = { ECHO_SERVICE, NULL };
    owned(echo_door) self = mem_new(sizeof *self);
    pthread_mutex_init(&self->lock, NULL);
    pthread_cond_init(&self->changed, NULL);
    vec_init(&self->held, sizeof(door_request_t *));
    self->queue = queue_new(LIMIT_QUEUE_ITEMS);
    door_options_t opt = options ? *options : (door_options_t){0};
    opt.host = opt.host ? opt.host : "127.0.0.1";
    opt.services = services;
    opt.arg = self;
    opt.lookup = s_lookup;
    opt.request = s_on_request;
    opt.cancelled = s_on_cancelled;
    if (threaded) {
        self->threaded = true;
        check(pthread_create(&self->thread, NULL, s_run, self) == 0);
    }
    TRY(door_open(ctx, &opt, &self->door));
    *ret = take(self);
    return OK;
}

void echo_door_release(echo_door_t *self)
{
    pthread_mutex_lock(&self->lock);
    vec_t held = self->held;
    vec_init(&self->held, sizeof(door_request_t *));
    pthread_mutex_unlock(&self->lock);
    for (size_t i = 0; i < held.len; i++)
        s_echo_back(self, *(door_request_t **)vec_at(&held, i));
    vec_fini(&held);
}

void echo_door_destroy(echo_door_t **self_p)
{
    echo_door_t *self = *self_p;
    if (!self)
        return;
    if (self->door)
        door_stop(self->door, 0);
    if (self->threaded) {
        check(queue_put(self->queue, &self->stop));
        pthread_join(self->thread, NULL);
    }
    if (self->door)
        echo_door_release(self);
    door_destroy(&self->door);
    queue_destroy(&self->queue);
    vec_fini(&self->held);
    pthread_cond_destroy(&self->changed);
    pthread_mutex_destroy(&self->lock);
    mem_free(self);
    *self_p = NULL;
}

door_t *echo_door_inner(echo_door_t *self)      { return self->door; }
int echo_door_port(const echo_door_t *self)     { return door_port(self->door); }
void echo_door_nap(void)                        { clock_sleep_ms(1); }

static bool s_wait_for(echo_door_t *self, const int *count, int n)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += GIVE_UP_S;
    pthread_mutex_lock(&self->lock);
    while (*count < n && pthread_cond_timedwait(&self->changed, &self->lock, &until) == 0)
        continue;
    bool reached = *count >= n;
    pthread_mutex_unlock(&self->lock);
    return reached;
}

bool echo_door_wait_held(echo_door_t *self, int n)
{
    return s_wait_for(self, &self->n_held, n);
}

bool echo_door_wait_cancelled(echo_door_t *self, int n)
{
    return s_wait_for(self, &self->n_cancelled, n);
}
