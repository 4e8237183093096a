/* crew - see crew.h
 *
 * A helper that comes late finds no item left and only gives its reference back; so the caller
 * waits for items that were taken, not for helpers.
 *
 * Lock: `lock` guards nothing but the sleep on `ended`; a leaf.
 */
#include "core/index/crew.h"

#include <pthread.h>
#include <stdatomic.h>

typedef struct crew {
    _Atomic size_t refs, next, done;
    size_t n;
    void (*item)(void *arg, size_t i);
    void *arg;
    pthread_mutex_t lock;
    pthread_cond_t ended;
} crew_t;

static void s_unref(crew_t *self)
{
    if (atomic_fetch_sub(&self->refs, 1) > 1)
        return;
    pthread_mutex_destroy(&self->lock);
    pthread_cond_destroy(&self->ended);
    mem_free(self);
}

static void s_note_done(crew_t *self, size_t n)
{
    if (n == 0 || atomic_fetch_add(&self->done, n) + n < self->n)
        return;
    pthread_mutex_lock(&self->lock);
    pthread_cond_broadcast(&self->ended);
    pthread_mutex_unlock(&self->lock);
}

static bool s_do_one(crew_t *self)
{
    size_t i = atomic_fetch_add(&self->next, 1);
    if (i >= self->n)
        return false;
    self->item(self->arg, i);
    s_note_done(self, 1);
    return true;
}

static void s_help(void *arg)
{
    crew_t *self = arg;
    while (s_do_one(self))
        ;
    s_unref(self);
}

/* Nobody takes another item: those left count as done. */
static void s_stop(crew_t *self)
{
    size_t next = atomic_exchange(&self->next, self->n);
    s_note_done(self, next < self->n ? self->n - next : 0);
}

static void s_wait(crew_t *self)
{
    pthread_mutex_lock(&self->lock);
    while (atomic_load(&self->done) < self->n)
        pthread_cond_wait(&self->ended, &self->lock);
    pthread_mutex_unlock(&self->lock);
}

static err_t s_alone(ctx_t *ctx, void (*item)(void *arg, size_t i), void *arg, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        TRY(ctx_alive(ctx));
        item(arg, i);
    }
    return OK;
}

err_t crew_run(ctx_t *ctx, const index_how_t *how, void (*item)(void *arg, size_t i), void *arg,
               size_t n)
{
    if (!how || !how->pool || how->threads < 2 || n < 2)
        return s_alone(ctx, item, arg, n);
    crew_t *self = mem_new(sizeof *self);
    *self = (crew_t){ .n = n, .item = item, .arg = arg };
    pthread_mutex_init(&self->lock, NULL);
    pthread_cond_init(&self->ended, NULL);
    atomic_store(&self->refs, 1);
    for (size_t t = 1; t < how->threads && t < n; t++) {
        atomic_fetch_add(&self->refs, 1);
        if (!pool_run(how->pool, s_help, self))
            atomic_fetch_sub(&self->refs, 1);
    }
    err_t err = OK;
    while (err == OK) {
        err = ctx_alive(ctx);
        if (err == OK && !s_do_one(self))
            break;
    }
    if (err != OK)
        s_stop(self);
    s_wait(self);
    s_unref(self);
    return err;
}
