/* wal_ahead - see wal_ahead.h
 *
 *     seq     from+1 … next … begun … to
 *                      └── slots ──┘         fetched or being fetched: AHEAD_SLOTS at most
 *
 * Locks: `lock`, a leaf, guards begun, next, ended and which slot is done.
 */
#include "core/wal/wal_ahead.h"

#include <pthread.h>

enum { AHEAD_READERS = 16, AHEAD_SLOTS = 2 * AHEAD_READERS, FETCH_MS = 10000 };

typedef struct slot {
    bool done;
    ctx_t memory;               /* of the bytes, and why there are none */
    view_t bytes;
    err_t err;
} slot_t;

struct wal_ahead {
    store_t *store;
    view_t channel;
    uint64_t epoch, next, to;   /* next: the one that is handed out next */
    int64_t deadline_ms;
    slot_t slots[AHEAD_SLOTS];  /* by seq */
    slot_t *lent;               /* handed out, until the next call */

    pthread_mutex_t lock;
    pthread_cond_t moved;
    uint64_t begun;             /* the next one to fetch */
    bool ended;
    pthread_t threads[AHEAD_READERS];
    unsigned n_threads;
};

const char *wal_object_key(ctx_t *ctx, view_t channel, wal_position_t at)
{
    return ctx_printf(ctx, "wal/%.*s/%016llx/%016llx", (int)channel.len,
                      (const char *)channel.ptr, (unsigned long long)at.epoch,
                      (unsigned long long)at.seq);
}

/* Columns are read where they lie. */
static err_t s_align(ctx_t *ctx, view_t *bytes)
{
    if (((uintptr_t)bytes->ptr & 7) == 0)
        return OK;
    uint8_t *copy = ctx_try(ctx, bytes->len);
    if (!copy)
        return ctx_fail(ctx, ERR_MEMORY, "no memory for %zu bytes of the log", bytes->len);
    *bytes = view_of(memcpy(copy, bytes->ptr, bytes->len), bytes->len);
    return OK;
}

static void s_fetch(wal_ahead_t *self, uint64_t seq, slot_t *slot)
{
    ctx_t *ctx = &slot->memory;
    ctx_init(ctx);
    ctx->deadline_ms = self->deadline_ms;
    ctx_limit_ms(ctx, FETCH_MS);
    const char *key = wal_object_key(ctx, self->channel, (wal_position_t){ self->epoch, seq });
    slot->err = store_get(ctx, self->store, key, &slot->bytes);
    if (slot->err == OK)
        slot->err = s_align(ctx, &slot->bytes);
}

static void *s_reader(void *arg)
{
    wal_ahead_t *self = arg;
    pthread_mutex_lock(&self->lock);
    for (;;) {
        while (!self->ended && self->begun <= self->to && self->begun - self->next >= AHEAD_SLOTS)
            pthread_cond_wait(&self->moved, &self->lock);
        if (self->ended || self->begun > self->to)
            break;
        uint64_t seq = self->begun++;
        slot_t *slot = &self->slots[seq % AHEAD_SLOTS];
        pthread_mutex_unlock(&self->lock);
        s_fetch(self, seq, slot);
        pthread_mutex_lock(&self->lock);
        slot->done = true;
        pthread_cond_broadcast(&self->moved);
    }
    pthread_mutex_unlock(&self->lock);
    return NULL;
}

static void s_start(wal_ahead_t *self, unsigned readers)
{
    uint64_t n = self->to + 1 > self->next ? self->to + 1 - self->next : 0;
    readers = readers < AHEAD_READERS ? readers : AHEAD_READERS;
    readers = n < readers ? (unsigned)n : readers;
    for (unsigned i = 0; readers > 1 && i < readers; i++)
        if (pthread_create(&self->threads[self->n_threads], NULL, s_reader, self) == 0)
            self->n_threads++;
}

wal_ahead_t *wal_ahead_new(store_t *store, view_t channel, wal_position_t from, uint64_t to,
                           unsigned readers, int64_t deadline_ms)
{
    wal_ahead_t *self = mem_new(sizeof *self);
    *self = (wal_ahead_t){ .store = store, .channel = channel, .epoch = from.epoch,
                           .next = from.seq + 1, .begun = from.seq + 1, .to = to,
                           .deadline_ms = deadline_ms };
    pthread_mutex_init(&self->lock, NULL);
    pthread_cond_init(&self->moved, NULL);
    s_start(self, readers);
    return self;
}

static void s_give_back(wal_ahead_t *self)
{
    if (!self->lent)
        return;
    ctx_fini(&self->lent->memory);
    pthread_mutex_lock(&self->lock);
    self->lent->done = false;
    self->lent = NULL;
    self->next++;
    pthread_cond_broadcast(&self->moved);
    pthread_mutex_unlock(&self->lock);
}

err_t wal_ahead_next(ctx_t *ctx, wal_ahead_t *self, view_t *ret)
{
    s_give_back(self);
    check(self->next <= self->to);
    slot_t *slot = &self->slots[self->next % AHEAD_SLOTS];
    if (self->n_threads == 0) {
        s_fetch(self, self->next, slot);
        slot->done = true;
    }
    pthread_mutex_lock(&self->lock);
    while (!slot->done)
        pthread_cond_wait(&self->moved, &self->lock);
    pthread_mutex_unlock(&self->lock);
    self->lent = slot;
    *ret = slot->bytes;
    return slot->err == OK ? OK : ctx_fail(ctx, slot->err, "%s", slot->memory.text);
}

void wal_ahead_destroy(wal_ahead_t **self_p)
{
    wal_ahead_t *self = *self_p;
    if (!self)
        return;
    pthread_mutex_lock(&self->lock);
    self->ended = true;
    pthread_cond_broadcast(&self->moved);
    pthread_mutex_unlock(&self->lock);
    for (unsigned i = 0; i < self->n_threads; i++)
        pthread_join(self->threads[i], NULL);
    for (size_t i = 0; i < AHEAD_SLOTS; i++)
        if (self->slots[i].done)
            ctx_fini(&self->slots[i].memory);
    pthread_cond_destroy(&self->moved);
    pthread_mutex_destroy(&self->lock);
    mem_free(self);
    *self_p = NULL;
}
