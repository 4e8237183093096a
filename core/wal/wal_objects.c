/* wal_objects - see wal_objects.h
 *
 * Locks: `lock` guards pending and the numbers below it; a leaf, held for moves of pointers.
 * All else belongs to the one job that runs.
 */
#include "core/wal/wal_objects.h"

#include <pthread.h>
#include <stdlib.h>

/* Bugs that the tests plant to see that they are found. */
#ifdef WAL_PLANTED
enum { OBJECTS_BUG_NONE, OBJECTS_BUG_NO_PROBE, OBJECTS_BUG_PAST_SEAL };
static int objects_planted;
#define PLANTED(bug) (objects_planted == (bug))
#else
#define PLANTED(bug) false
#endif

enum { PROBES = 4, LIST_MOST = 1000 };

typedef struct object_log {
    wal_t base;
    store_t *store;             /* borrowed */
    char *channel;              /* owned */
    uint64_t epoch;
    uint8_t prev[WAL_HASH_BYTES];   /* of the last object stored, or of the seal before */
    vec_t seals;                /* of wal_seal_t: the epochs before */
    vec_t working;              /* of wal_batch_t *: taken by a commit */

    pthread_mutex_t lock;
    vec_t pending;              /* of wal_batch_t *: appended, not yet taken */
    size_t pending_bytes;       /* of both */
    size_t group_bytes;         /* of the object that the last appended batch will be in */
    uint64_t appended, appended_ts;     /* its seq */
    uint64_t stored;            /* frontier */
    uint64_t max_ts;
    bool broken;
} object_log_t;

static const char *s_prefix(ctx_t *ctx, view_t channel, uint64_t epoch)
{
    return ctx_printf(ctx, "wal/%.*s/%016llx/", (int)channel.len, (const char *)channel.ptr,
                      (unsigned long long)epoch);
}

static const char *s_key(ctx_t *ctx, view_t channel, wal_position_t at)
{
    return ctx_printf(ctx, "wal/%.*s/%016llx/%016llx", (int)channel.len,
                      (const char *)channel.ptr, (unsigned long long)at.epoch,
                      (unsigned long long)at.seq);
}

static view_t s_channel(const object_log_t *self)
{
    return view_str(self->channel);
}

/* The seq that a listed key names; 0: no object of a log. */
static uint64_t s_seq_of(const char *key, size_t prefix_len)
{
    char *end = NULL;
    const char *digits = key + prefix_len;
    uint64_t seq = strtoull(digits, &end, 16);
    return strlen(digits) == 16 && *end == '\0' ? seq : 0;
}

/* --- reading --------------- */

/* Fetch one object and verify that it is the one that belongs there. */
static err_t s_fetch(ctx_t *ctx, store_t *store, view_t channel, wal_position_t at,
                     wal_reader_t *reader)
{
    const char *key = s_key(ctx, channel, at);
    view_t bytes = {0};
    err_t err = store_get(ctx, store, key, &bytes);
    if (err == ERR_KEY_NOT_FOUND)
        return ctx_fail(ctx, ERR_CORRUPT, "%s is missing: what was acknowledged in it is lost "
                        "unless a backup has it", key);
    TRY(err);
    if (((uintptr_t)bytes.ptr & 7) != 0) {      /* columns are read where they lie */
        uint8_t *copy = ctx_try(ctx, bytes.len);
        if (!copy)
            return ctx_fail(ctx, ERR_MEMORY, "no memory for %s", key);
        bytes = view_of(memcpy(copy, bytes.ptr, bytes.len), bytes.len);
    }
    err = wal_reader_open(ctx, reader, bytes);
    if (err != OK)
        return ctx_prefix(ctx, "%s", key);
    const wal_head_t *head = &reader->head;
    if (view_cmp(head->channel, channel) != 0 || head->link.at.epoch != at.epoch ||
        head->link.at.seq != at.seq || head->len != bytes.len)
        return ctx_fail(ctx, ERR_CORRUPT, "%s holds another object: epoch %llx, seq %llx", key,
                        (unsigned long long)head->link.at.epoch,
                        (unsigned long long)head->link.at.seq);
    return OK;
}

/* Is it chained to the one before?  prev NULL: that is gone, nothing can be said. */
static err_t s_chained(ctx_t *ctx, view_t channel, const wal_head_t *head, const uint8_t *prev)
{
    if (!prev || memcmp(head->link.prev, prev, WAL_HASH_BYTES) == 0)
        return OK;
    return ctx_fail(ctx, ERR_CORRUPT, "%s does not follow the object before it: the log was "
                    "changed or mixed with another", s_key(ctx, channel, head->link.at));
}

/* --- takeover: how far did an epoch get --------------- */

/* The last of the contiguous run behind `from`, as a list shows it. */
static err_t s_listed_end(ctx_t *ctx, store_t *store, view_t channel, wal_position_t from,
                          uint64_t *ret_end)
{
    const char *prefix = s_prefix(ctx, channel, from.epoch);
    const char *after = from.seq ? s_key(ctx, channel, from) : NULL;
    uint64_t end = from.seq;
    for (bool more = true; more; ) {
        store_list_t list = {0};
        TRY(store_list(ctx, store, prefix, after, LIST_MOST, &list));
        for (size_t i = 0; i < list.n; i++) {
            uint64_t seq = s_seq_of(list.at[i].key, strlen(prefix));
            if (seq == end + 1)
                end = seq;
        }
        more = list.more && list.n > 0;
        after = list.n ? list.at[list.n - 1].key : after;
    }
    *ret_end = end;
    return OK;
}

/* Lists may be late: ask for the next numbers until PROBES in a row are not there.  One that
 * is there behind one that is not belongs to no contiguous run. */
static err_t s_probed_end(ctx_t *ctx, store_t *store, view_t channel, wal_position_t *at)
{
    for (uint64_t ahead = 1; ahead <= PROBES && !PLANTED(OBJECTS_BUG_NO_PROBE); ahead++) {
        uint64_t len = 0;
        wal_position_t next = { at->epoch, at->seq + ahead };
        err_t err = store_head(ctx, store, s_key(ctx, channel, next), &len);
        if (err == ERR_KEY_NOT_FOUND) {
            ctx_clear(ctx);
            continue;
        }
        TRY(err);
        if (ahead > 1)
            continue;
        at->seq++;
        ahead = 0;
    }
    return OK;
}

/* prev: hash before `from`, NULL when it is not known; replaced by the one at the end. */
static err_t s_survey_epoch(ctx_t *ctx, store_t *store, view_t channel, wal_position_t from,
                            const uint8_t *prev, wal_seal_t *seal)
{
    wal_position_t at = from;
    TRY(s_listed_end(ctx, store, channel, from, &at.seq));
    TRY(s_probed_end(ctx, store, channel, &at));
    seal->end = at.seq;
    if (at.seq == 0)
        return OK;
    wal_reader_t tail;
    TRY(s_fetch(ctx, store, channel, at, &tail));
    if (at.seq == from.seq + 1)
        TRY(s_chained(ctx, channel, &tail.head, prev));
    memcpy(seal->hash, tail.head.hash, WAL_HASH_BYTES);
    seal->max_ts = tail.head.max_ts > seal->max_ts ? tail.head.max_ts : seal->max_ts;
    return OK;
}

err_t wal_objects_survey(ctx_t *ctx, store_t *store, view_t channel, uint64_t epoch,
                         wal_position_t ckpt, const wal_seal_t *known, size_t n_known, vec_t *ret)
{
    wal_seal_t seal = { .epoch = ckpt.epoch ? ckpt.epoch - 1 : 0 };
    const uint8_t *prev = ckpt.epoch ? NULL : seal.hash;
    if (n_known && known[n_known - 1].epoch >= seal.epoch) {
        seal = known[n_known - 1];
        prev = seal.hash;
    }
    for (seal.epoch++; seal.epoch < epoch; seal.epoch++) {
        bool holds_ckpt = seal.epoch == ckpt.epoch;
        wal_position_t from = { seal.epoch, holds_ckpt ? ckpt.seq : 0 };
        TRY(s_survey_epoch(ctx, store, channel, from, from.seq ? NULL : prev, &seal));
        vec_push(ret, &seal);
        prev = seal.end || prev ? seal.hash : NULL;
    }
    return OK;
}

/* --- replay --------------- */

static err_t s_replay_object(ctx_t *ctx, object_log_t *self, wal_position_t at,
                             const uint8_t *prev, wal_replay_fn *fn, void *arg,
                             uint8_t ret_hash[WAL_HASH_BYTES])
{
    wal_reader_t reader;
    TRY(s_fetch(ctx, self->store, s_channel(self), at, &reader));
    TRY(s_chained(ctx, s_channel(self), &reader.head, prev));
    memcpy(ret_hash, reader.head.hash, WAL_HASH_BYTES);
    for (;;) {
        wal_entry_t entry;
        bool more = false;
        TRY(wal_reader_next(ctx, &reader, &entry, &more));
        if (!more)
            return OK;
        TRY(fn(ctx, arg, &reader.head, &entry));
    }
}

/* Objects (from, to] of one epoch; each in memory of its own. */
static err_t s_replay_epoch(ctx_t *ctx, object_log_t *self, wal_position_t from, uint64_t to,
                            wal_replay_fn *fn, void *arg)
{
    uint8_t hash[WAL_HASH_BYTES];
    const uint8_t *prev = NULL;
    for (uint64_t seq = from.seq + 1; seq <= to; seq++) {
        ctx_t one;
        ctx_init(&one);
        one.deadline_ms = ctx->deadline_ms;
        err_t err = s_replay_object(&one, self, (wal_position_t){ from.epoch, seq }, prev, fn, arg,
                                    hash);
        if (err != OK)
            err = ctx_fail(ctx, err, "%s", one.text);
        ctx_fini(&one);
        TRY(err);
        prev = hash;
    }
    return OK;
}

static err_t s_replay_all(ctx_t *ctx, object_log_t *self, wal_position_t after, wal_replay_fn *fn,
                          void *arg)
{
    for (size_t i = 0; i < self->seals.len; i++) {
        const wal_seal_t *seal = vec_at(&self->seals, i);
        if (seal->epoch < after.epoch)
            continue;
        wal_position_t from = { seal->epoch, seal->epoch == after.epoch ? after.seq : 0 };
        uint64_t to = seal->end + (PLANTED(OBJECTS_BUG_PAST_SEAL) ? 1 : 0);
        TRY(s_replay_epoch(ctx, self, from, to, fn, arg));
    }
    return OK;
}

static err_t s_replay(ctx_t *ctx, wal_t *base, wal_position_t after, wal_replay_fn *fn, void *arg)
{
    object_log_t *self = (object_log_t *)base;
    pthread_mutex_lock(&self->lock);
    uint64_t stored = self->stored;
    pthread_mutex_unlock(&self->lock);
    TRY(s_replay_all(ctx, self, after, fn, arg));
    wal_position_t from = { self->epoch, after.epoch == self->epoch ? after.seq : 0 };
    return s_replay_epoch(ctx, self, from, stored, fn, arg);
}

/* --- writing --------------- */

static err_t s_broken(ctx_t *ctx, const object_log_t *self)
{
    return ctx_fail(ctx, ERR_DISK, "the log of %s failed before in epoch %llu; the channel has to "
                    "be opened again", self->channel, (unsigned long long)self->epoch);
}

static size_t s_body_len(const wal_batch_t *batch)
{
    return batch->bytes.len - batch->head_len;
}

static err_t s_append(ctx_t *ctx, wal_t *base, wal_batch_t *batch)
{
    object_log_t *self = (object_log_t *)base;
    size_t len = s_body_len(batch);
    pthread_mutex_lock(&self->lock);
    bool broken = self->broken;
    bool full = !broken && len > LIMIT_WAL_PENDING_BYTES - self->pending_bytes;
    if (!broken && !full) {
        check(batch->n > 0 && batch->min_ts >= self->appended_ts);
        bool joins = self->pending.len > 0 && self->group_bytes + len <= LIMIT_WAL_PUT_BYTES;
        self->group_bytes = joins ? self->group_bytes + len : len;
        self->appended += joins ? 0 : 1;
        self->appended_ts = batch->max_ts;
        self->pending_bytes += len;
        batch->at = (wal_position_t){ self->epoch, self->appended };
        vec_push(&self->pending, &batch);
    }
    pthread_mutex_unlock(&self->lock);
    if (broken)
        return s_broken(ctx, self);
    return full ? ctx_fail(ctx, ERR_QUEUE_FULL, "%u bytes of %s wait for the store",
                           LIMIT_WAL_PENDING_BYTES, self->channel) : OK;
}

static wal_batch_t *s_work(const object_log_t *self, size_t i)
{
    return *(wal_batch_t **)vec_at(&self->working, i);
}

/* The batches of one object, [from, to), as one batch: their own when there is one only. */
static err_t s_join(ctx_t *ctx, object_log_t *self, size_t from, size_t to, wal_batch_t *room,
                    wal_batch_t **ret)
{
    *ret = s_work(self, from);
    if (to - from == 1)
        return OK;
    for (size_t i = from; i < to; i++)
        TRY(wal_batch_join(ctx, room, s_work(self, i)));
    room->at = s_work(self, from)->at;
    *ret = room;
    return OK;
}

static err_t s_put(ctx_t *ctx, object_log_t *self, wal_batch_t *batch, size_t body_bytes)
{
    wal_link_t link = { .at = batch->at, .stable = batch->at.seq - 1 };
    memcpy(link.prev, self->prev, WAL_HASH_BYTES);
    view_t bytes = {0};
    uint8_t hash[WAL_HASH_BYTES];
    TRY(wal_batch_seal(ctx, batch, &link, &bytes, hash));
    int64_t deadline = ctx->deadline_ms;
    ctx_limit_ms(ctx, WAL_PUT_MS);
    err_t err = store_put(ctx, self->store, s_key(ctx, s_channel(self), batch->at), bytes);
    ctx->deadline_ms = deadline;
    pthread_mutex_lock(&self->lock);
    self->broken = self->broken || err != OK;
    if (err == OK) {
        self->stored = batch->at.seq;
        self->max_ts = batch->max_ts;
        self->pending_bytes -= body_bytes;
    }
    pthread_mutex_unlock(&self->lock);
    if (err != OK)      /* it may be there, or arrive: whoever opens next finds out */
        return ctx_fail(ctx, ERR_OUTCOME_UNKNOWN, "%s", ctx_strdup(ctx, ctx->text));
    memcpy(self->prev, hash, WAL_HASH_BYTES);
    return OK;
}

static err_t s_put_group(ctx_t *ctx, object_log_t *self, size_t from, size_t to)
{
    wal_batch_t room, *whole = NULL;
    wal_batch_init(&room, s_channel(self));
    size_t bytes = 0;
    for (size_t i = from; i < to; i++)
        bytes += s_body_len(s_work(self, i));
    err_t err = s_join(ctx, self, from, to, &room, &whole);
    if (err == OK)
        err = s_put(ctx, self, whole, bytes);
    wal_batch_fini(&room);
    return err;
}

static err_t s_commit(ctx_t *ctx, wal_t *base)
{
    object_log_t *self = (object_log_t *)base;
    pthread_mutex_lock(&self->lock);
    bool broken = self->broken;
    for (size_t i = 0; i < self->pending.len; i++)
        vec_push(&self->working, vec_at(&self->pending, i));
    self->pending.len = 0;
    pthread_mutex_unlock(&self->lock);
    if (broken)
        return s_broken(ctx, self);
    err_t err = OK;
    size_t done = 0;
    while (err == OK && done < self->working.len) {
        size_t to = done + 1;
        while (to < self->working.len && s_work(self, to)->at.seq == s_work(self, done)->at.seq)
            to++;
        err = s_put_group(ctx, self, done, to);
        done = err == OK ? to : done;
    }
    size_t left = self->working.len - done;
    if (done && left)
        memmove(self->working.ptr, (wal_batch_t **)self->working.ptr + done,
                left * sizeof(wal_batch_t *));
    self->working.len = left;
    return err;
}

static void s_discard(wal_t *base)
{
    object_log_t *self = (object_log_t *)base;
    pthread_mutex_lock(&self->lock);
    self->pending.len = self->working.len = 0;
    self->pending_bytes = 0;
    self->appended = self->stored;
    self->appended_ts = self->max_ts;
    pthread_mutex_unlock(&self->lock);
}

static wal_position_t s_frontier(wal_t *base)
{
    object_log_t *self = (object_log_t *)base;
    pthread_mutex_lock(&self->lock);
    wal_position_t frontier = { self->epoch, self->stored };
    pthread_mutex_unlock(&self->lock);
    return frontier;
}

static uint64_t s_max_ts(wal_t *base)
{
    object_log_t *self = (object_log_t *)base;
    pthread_mutex_lock(&self->lock);
    uint64_t max_ts = self->max_ts;
    pthread_mutex_unlock(&self->lock);
    return max_ts;
}

/* --- forgetting --------------- */

/* Oldest first, so that what a crash leaves has no gap.  Epochs before the checkpoint's go whole,
 * with what arrived behind their seals.  The checkpoint's own object stays: its hash and its
 * timestamp are what a later takeover goes on from. */
static err_t s_truncate(ctx_t *ctx, wal_t *base, wal_position_t upto)
{
    object_log_t *self = (object_log_t *)base;
    const char *prefix = ctx_printf(ctx, "wal/%s/", self->channel);
    const char *last = s_key(ctx, s_channel(self), upto), *after = NULL;
    for (bool more = true; more; ) {
        store_list_t list = {0};
        TRY(store_list(ctx, self->store, prefix, after, LIST_MOST, &list));
        more = list.more && list.n > 0;
        for (size_t i = 0; i < list.n; i++) {
            if (strcmp(list.at[i].key, last) >= 0) {
                more = false;
                break;
            }
            TRY(store_delete(ctx, self->store, list.at[i].key));
        }
        after = list.n ? list.at[list.n - 1].key : after;
    }
    return OK;
}

/* --- open, destroy --------------- */

static void s_destroy(wal_t *base)
{
    object_log_t *self = (object_log_t *)base;
    vec_fini(&self->seals);
    vec_fini(&self->working);
    vec_fini(&self->pending);
    pthread_mutex_destroy(&self->lock);
    mem_free(self->channel);
    mem_free(self);
}

static const wal_driver_t s_driver = {
    .append = s_append, .commit = s_commit, .discard = s_discard, .frontier = s_frontier,
    .max_ts = s_max_ts, .replay = s_replay, .truncate = s_truncate, .destroy = s_destroy,
};

err_t wal_objects_open(ctx_t *ctx, store_t *store, const wal_objects_options_t *options,
                       wal_t **ret)
{
    check(ret && !*ret && options->epoch > 0);
    check(options->channel.len >= 1 && options->channel.len <= LIMIT_NAME_BYTES);
    object_log_t *self = mem_new(sizeof *self);
    *self = (object_log_t){ .base = { .driver = &s_driver }, .store = store,
                            .epoch = options->epoch };
    self->channel = mem_new(options->channel.len + 1);
    memcpy(self->channel, options->channel.ptr, options->channel.len);
    vec_init(&self->seals, sizeof(wal_seal_t));
    vec_init(&self->working, sizeof(wal_batch_t *));
    vec_init(&self->pending, sizeof(wal_batch_t *));
    pthread_mutex_init(&self->lock, NULL);
    for (size_t i = 0; i < options->n_seals; i++)
        vec_push(&self->seals, &options->seals[i]);
    if (options->n_seals) {
        const wal_seal_t *last = &options->seals[options->n_seals - 1];
        check(last->epoch == options->epoch - 1);
        memcpy(self->prev, last->hash, WAL_HASH_BYTES);
        self->max_ts = self->appended_ts = last->max_ts;
    }
    err_t err = options->replay ? s_replay_all(ctx, self, options->ckpt, options->replay,
                                               options->arg) : OK;
    if (err == OK)
        *ret = &self->base;
    else
        s_destroy(&self->base);
    return err;
}
