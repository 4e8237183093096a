/* pool - one FIFO, one mutex (a leaf), threads started on demand */
#include "core/base/pool.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>

#include "core/base/limits.h"
#include "core/base/log.h"

enum { MOST_THREADS = 256, NICE = 10 };

typedef struct job {
    struct job *next;
    void (*fn)(void *arg);
    void *arg;
} job_t;

struct pool {
    pthread_mutex_t lock;
    pthread_cond_t work;
    job_t *first, **last;
    size_t waiting;
    int idle, started, most;
    bool stopping, nice;
    char name[16];
    pthread_t threads[MOST_THREADS];
};

pool_t *pool_new(const char *name, int n_threads)
{
    check(n_threads > 0 && n_threads <= MOST_THREADS);
    pool_t *self = mem_new(sizeof *self);
    pthread_mutex_init(&self->lock, NULL);
    pthread_cond_init(&self->work, NULL);
    self->last = &self->first;
    self->most = n_threads;
    snprintf(self->name, sizeof self->name, "%s", name);
    return self;
}

void pool_be_nice(pool_t *self)
{
    self->nice = true;
}

/* Called with the lock held; NULL when the pool stops and nothing is left. */
static job_t *s_next(pool_t *self)
{
    while (!self->first && !self->stopping) {
        self->idle++;
        pthread_cond_wait(&self->work, &self->lock);
        self->idle--;
    }
    job_t *job = self->first;
    if (job) {
        self->first = job->next;
        if (!self->first)
            self->last = &self->first;
        self->waiting--;
    }
    return job;
}

static void *s_worker(void *arg)
{
    pool_t *self = arg;
    pthread_setname_np(pthread_self(), self->name);
    if (self->nice && setpriority(PRIO_PROCESS, 0, NICE) != 0)     /* 0: this thread */
        log_event(LOG_WARN, "not_nice", "pool=%s", self->name);
    pthread_mutex_lock(&self->lock);
    for (job_t *job; (job = s_next(self)) != NULL; ) {
        pthread_mutex_unlock(&self->lock);
        job->fn(job->arg);
        mem_free(job);
        pthread_mutex_lock(&self->lock);
    }
    pthread_mutex_unlock(&self->lock);
    return NULL;
}

/* Signals are for the main thread; workers inherit an all-blocked mask. */
static void s_start_thread(pool_t *self)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&self->threads[self->started], NULL, s_worker, self) == 0)
        self->started++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    check(self->started > 0);
}

bool pool_run(pool_t *self, void (*fn)(void *arg), void *arg)
{
    pthread_mutex_lock(&self->lock);
    check(!self->stopping);
    bool fits = self->waiting < LIMIT_POOL_JOBS;
    if (fits) {
        job_t *job = mem_new(sizeof *job);
        *job = (job_t){ .fn = fn, .arg = arg };
        *self->last = job;
        self->last = &job->next;
        self->waiting++;
        if (self->waiting > (size_t)self->idle && self->started < self->most)
            s_start_thread(self);
        pthread_cond_signal(&self->work);
    }
    pthread_mutex_unlock(&self->lock);
    return fits;
}

void pool_destroy(pool_t **self_p)
{
    pool_t *self = *self_p;
    if (!self)
        return;
    pthread_mutex_lock(&self->lock);
    self->stopping = true;
    pthread_cond_broadcast(&self->work);
    pthread_mutex_unlock(&self->lock);
    for (int i = 0; i < self->started; i++)
        pthread_join(self->threads[i], NULL);
    check(self->first == NULL);
    pthread_cond_destroy(&self->work);
    pthread_mutex_destroy(&self->lock);
    mem_free(self);
    *self_p = NULL;
}

size_t pool_waiting(pool_t *self)
{
    pthread_mutex_lock(&self->lock);
    size_t waiting = self->waiting;
    pthread_mutex_unlock(&self->lock);
    return waiting;
}
