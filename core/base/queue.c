/* queue - a ring under a mutex, and an eventfd that is non-zero while it holds something */
#include "core/base/queue.h"

#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/base/limits.h"

struct queue {
    pthread_mutex_t lock;
    void **ring;
    size_t cap, head, len;
    size_t most;
    int fd;
};

queue_t *queue_new(size_t most)
{
    check(most > 0 && most <= LIMIT_QUEUE_ITEMS);
    queue_t *self = mem_new(sizeof *self);
    pthread_mutex_init(&self->lock, NULL);
    self->most = most;
    self->cap = most < 64 ? most : 64;
    self->ring = mem_new(self->cap * sizeof self->ring[0]);
    self->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    check(self->fd >= 0);
    return self;
}

void queue_destroy(queue_t **self_p)
{
    queue_t *self = *self_p;
    if (!self)
        return;
    check(self->len == 0);
    close(self->fd);
    pthread_mutex_destroy(&self->lock);
    mem_free(self->ring);
    mem_free(self);
    *self_p = NULL;
}

static void s_grow(queue_t *self)
{
    size_t cap = self->cap * 2 < self->most ? self->cap * 2 : self->most;
    void **ring = mem_new(cap * sizeof ring[0]);
    for (size_t i = 0; i < self->len; i++)
        ring[i] = self->ring[(self->head + i) % self->cap];
    mem_free(self->ring);
    self->ring = ring;
    self->cap = cap;
    self->head = 0;
}

bool queue_put(queue_t *self, void *item)
{
    check(item != NULL);
    pthread_mutex_lock(&self->lock);
    bool fits = self->len < self->most;
    if (fits) {
        if (self->len == self->cap)
            s_grow(self);
        self->ring[(self->head + self->len) % self->cap] = item;
        if (self->len++ == 0)
            check(eventfd_write(self->fd, 1) == 0);
    }
    pthread_mutex_unlock(&self->lock);
    return fits;
}

void *queue_take(queue_t *self)
{
    void *item = NULL;
    pthread_mutex_lock(&self->lock);
    if (self->len > 0) {
        item = self->ring[self->head];
        self->head = (self->head + 1) % self->cap;
        if (--self->len == 0) {
            eventfd_t count;
            check(eventfd_read(self->fd, &count) == 0);
        }
    }
    pthread_mutex_unlock(&self->lock);
    return item;
}

int queue_fd(const queue_t *self)
{
    return self->fd;
}

size_t queue_len(queue_t *self)
{
    pthread_mutex_lock(&self->lock);
    size_t len = self->len;
    pthread_mutex_unlock(&self->lock);
    return len;
}
