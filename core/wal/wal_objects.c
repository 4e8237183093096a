/* wal_objects - see wal_objects.h
 *
 *     pending ──► group ──► sealed: its hash goes into the next ──► put ──► stored
 *                 one commit at a time (`order`)              side by side   frontier
 *
 * Puts overtake each other; the frontier is the last of those that have all before them.
 * The one that fails ends the log: the others are told to give up too, because what is behind
 * a gap cannot be acknowledged any more.
 *
 * Locks: `order`, then `lock`.  `order` is held while a group is taken and sealed, so that each
 * object names the one before it; `lock` guards everything below it, for moves of pointers.
 */
#include "core/wal/wal_objects.h"

#include <pthread.h>
#include <stdlib.h>

#include "core/wal/wal_ahead.h"

/* Bugs that the tests plant to see that they are found. */
#ifdef WAL_PLANTED
enum { OBJECTS_BUG_NONE, OBJECTS_BUG_NO_PROBE, OBJECTS_BUG_PAST_SEAL, OBJECTS_BUG_GAP };
static int objects_planted;
#define PLANTED(bug) (objects_planted == (bug))
#else
#define PLANTED(bug) false
#endif

enum { PROBES = 4, LIST_MOST = 1000 };

/* A put under way, or one that is stored and has a gap before it. */
typedef struct flight {
    uint64_t seq, max_ts;       /* seq 0: a free place */
    size_t bytes;
    ctx_t *ctx;                 /* of who puts it; NULL: stored */
} flight_t;

typedef struct object_log {
    wal_t base;
    store_t *store;             /* borrowed */
    char *channel;              /* owned */
    uint64_t epoch;
    vec_t seals;                /* of wal_seal_t: the epochs before */

    pthread_mutex_t order;
    uint8_t prev[WAL_HASH_BYTES];   /* of the last object sealed, or of the seal before */

    pthread_mutex_t lock;
    vec_t pending;              /* of wal_batch_t *: appended, not yet taken */
    size_t pending_bytes;       /* of them and of all flights */
    size_t group_bytes;         /* of the object that the last appended batch will be in */
    uint64_t appended, appended_ts;     /* its seq */
    flight_t flights[WAL_PUTS_AT_ONCE];
    uint64_t stored;            /* frontier */
    uint64_t max_ts;
    bool broken;
} object_log_t;

static const char *s_prefix(ctx_t *ctx, view_t channel, uint64_t epoch)
{
    return ctx_printf(ctx, "wal/%.*s/%016llx/", (int)channel.len, (const char *)channel.ptr,
                      (unsigned long long)epoch);
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

/* Verify that these bytes are the object that belongs there. */
static err_t s_verify(ctx_t *ctx, view_t channel, wal_position_t at, view_t bytes,
                      wal_reader_t *reader)
{
    const char *key = wal_object_key(ctx, channel, at);
    if (wal_reader_open(ctx, reader, bytes) != OK)
        return ctx_prefix(ctx, "%s", key);
    const wal_head_t *head = &reader->head;
    if (view_cmp(head->channel, channel) != 0 || head->link.at.epoch != at.epoch ||
        head->link.at.seq != at.seq || head->len != bytes.len)
        return ctx_fail(ctx, ERR_CORRUPT, "%s holds another object: epoch %llx, seq %llx", key,
                        (unsigned long long)head->link.at.epoch,
                        (unsigned long long)head->link.at.seq);
    return OK;
}

/* The next one, and that it is the one at this position. */
static err_t s_fetch(ctx_t *ctx, wal_ahead_t *ahead, view_t channel, wal_position_t at,
                     wal_reader_t *reader)
{
    view_t bytes = {0};
    err_t err = wal_ahead_next(ctx, ahead, &bytes);
    if (err == ERR_KEY_NOT_FOUND)
        return ctx_fail(ctx, ERR_CORRUPT, "%s is missing: what was acknowledged in it is lost "
                        "unless a backup has it", wal_object_key(ctx, channel, at));
    TRY(err);
    return s_verify(ctx, channel, at, bytes, reader);
}

/* Is it chained to the one before?  prev NULL: that is gone, nothing can be said. */
static err_t s_chained(ctx_t *ctx, view_t channel, const wal_head_t *head, const uint8_t *prev)
{
    if (!prev || memcmp(head->link.prev, prev, WAL_HASH_BYTES) == 0)
        return OK;
    return ctx_fail(ctx, ERR_CORRUPT, "%s does not follow the object before it: the log was "
                    "changed or mixed with another", wal_object_key(ctx, channel, head->link.at));
}

/* --- takeover: how far did an epoch get --------------- */

/* The last of the contiguous run behind `from`, as a list shows it. */
static err_t s_listed_end(ctx_t *ctx, store_t *store, view_t channel, wal_position_t from,
                          uint64_t *ret_end)
{
    const char *prefix = s_prefix(ctx, channel, from.epoch);
    const char *after = from.seq ? wal_object_key(ctx, channel, from) : NULL;
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
        err_t err = store_head(ctx, store, wal_object_key(ctx, channel, next), &len);
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

/* The last object of an epoch says how the next one's first is chained, and where clocks are. */
static err_t s_read_tail(ctx_t *ctx, store_t *store, view_t channel, wal_position_t at,
                         const uint8_t *prev, wal_seal_t *seal)
{
    wal_reader_t tail;
    wal_position_t before = { at.epoch, at.seq - 1 };
    wal_ahead_t *ahead = wal_ahead_new(store, channel, before, at.seq, 1, ctx->deadline_ms);
    err_t err = s_fetch(ctx, ahead, channel, at, &tail);
    if (err == OK)
        err = s_chained(ctx, channel, &tail.head, prev);
    if (err == OK) {
        memcpy(seal->hash, tail.head.hash, WAL_HASH_BYTES);
        seal->max_ts = tail.head.max_ts > seal->max_ts ? tail.head.max_ts : seal->max_ts;
    }
    wal_ahead_destroy(&ahead);
    return err;
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
    return s_read_tail(ctx, store, channel, at, at.seq == from.seq + 1 ? prev : NULL, seal);
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

static err_t s_replay_object(ctx_t *ctx, const wal_objects_options_t *what, wal_ahead_t *ahead,
                             wal_position_t at, const uint8_t *prev,
                             uint8_t ret_hash[WAL_HASH_BYTES])
{
    wal_reader_t reader;
    TRY(s_fetch(ctx, ahead, what->channel, at, &reader));
    TRY(s_chained(ctx, what->channel, &reader.head, prev));
    memcpy(ret_hash, reader.head.hash, WAL_HASH_BYTES);
    for (;;) {
        wal_entry_t entry;
        bool more = false;
        TRY(wal_reader_next(ctx, &reader, &entry, &more));
        if (!more)
            return OK;
        TRY(what->replay(ctx, what->arg, &reader.head, &entry));
    }
}

/* Objects (from, to] of one epoch; each in memory of its own. */
static err_t s_replay_epoch(ctx_t *ctx, store_t *store, const wal_objects_options_t *what,
                            wal_position_t from, uint64_t to)
{
    uint8_t hash[WAL_HASH_BYTES];
    const uint8_t *prev = NULL;
    err_t err = OK;
    wal_ahead_t *ahead = wal_ahead_new(store, what->channel, from, to, what->readers,
                                       ctx->deadline_ms);
    for (uint64_t seq = from.seq + 1; err == OK && seq <= to; seq++) {
        ctx_t one;
        ctx_init(&one);
        one.deadline_ms = ctx->deadline_ms;
        err = s_replay_object(&one, what, ahead, (wal_position_t){ from.epoch, seq }, prev, hash);
        if (err != OK)
            err = ctx_fail(ctx, err, "%s", one.text);
        ctx_fini(&one);
        prev = hash;
    }
    wal_ahead_destroy(&ahead);
    return err;
}

err_t wal_objects_replay(ctx_t *ctx, store_t *store, const wal_objects_options_t *what)
{
    for (size_t i = 0; i < what->n_seals; i++) {
        const wal_seal_t *seal = &what->seals[i];
        if (seal->epoch < what->ckpt.epoch)
            continue;
        wal_position_t from = { seal->epoch, seal->epoch == what->ckpt.epoch ? what->ckpt.seq : 0 };
        uint64_t to = seal->end + (PLANTED(OBJECTS_BUG_PAST_SEAL) ? 1 : 0);
        TRY(s_replay_epoch(ctx, store, what, from, to));
    }
    return OK;
}

static err_t s_replay(ctx_t *ctx, wal_t *base, wal_position_t after, wal_replay_fn *fn, void *arg)
{
    object_log_t *self = (object_log_t *)base;
    pthread_mutex_lock(&self->lock);
    uint64_t stored = self->stored;
    pthread_mutex_unlock(&self->lock);
    wal_objects_options_t what = {
        .channel = s_channel(self), .epoch = self->epoch, .seals = self->seals.ptr,
        .n_seals = self->seals.len, .ckpt = after, .replay = fn, .arg = arg,
    };
    TRY(wal_objects_replay(ctx, self->store, &what));
    wal_position_t from = { self->epoch, after.epoch == self->epoch ? after.seq : 0 };
    return s_replay_epoch(ctx, self->store, &what, from, stored);
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

/* What shares one object: taken by one commit. */
typedef struct group {
    vec_t batches;              /* of wal_batch_t * */
    wal_batch_t room;           /* all of them in one, when they are several */
    size_t bytes, entries;
    flight_t *flight;
    view_t object;              /* as it is put … */
    ctx_t putting;              /* … under this, which others may cancel */
} group_t;

static wal_batch_t *s_at(const vec_t *batches, size_t i)
{
    return *(wal_batch_t **)vec_at(batches, i);
}

/* A free place among the flights, so that no put is WAL_PUTS_AT_ONCE ahead of the frontier. */
static flight_t *s_free_flight(object_log_t *self)
{
    flight_t *flight = NULL;
    for (size_t i = 0; !flight && i < WAL_PUTS_AT_ONCE; i++)
        flight = self->flights[i].seq == 0 ? &self->flights[i] : NULL;
    return flight;
}

/* The first batches that are waiting and share a seq.  Nothing: they were taken meanwhile, or
 * those that are stored wait for one that is not. */
static err_t s_take(ctx_t *ctx, object_log_t *self, group_t *group)
{
    pthread_mutex_lock(&self->lock);
    bool broken = self->broken;
    flight_t *flight = broken || !self->pending.len ? NULL : s_free_flight(self);
    size_t n = 0;
    while (flight && n < self->pending.len &&
           s_at(&self->pending, n)->at.seq == s_at(&self->pending, 0)->at.seq) {
        wal_batch_t *batch = s_at(&self->pending, n++);
        vec_push(&group->batches, &batch);
        group->bytes += s_body_len(batch);
        group->entries += batch->n;
    }
    if (n) {
        wal_batch_t *last = s_at(&group->batches, n - 1);
        *flight = (flight_t){ .seq = last->at.seq, .max_ts = last->max_ts,
                              .bytes = group->bytes, .ctx = &group->putting };
        group->flight = flight;
        memmove(self->pending.ptr, (wal_batch_t **)self->pending.ptr + n,
                (self->pending.len - n) * sizeof(wal_batch_t *));
        self->pending.len -= n;
    }
    pthread_mutex_unlock(&self->lock);
    return broken ? s_broken(ctx, self) : OK;
}

/* It is not sealed, so it can still wait: in its old place, which is the first. */
static void s_put_back(object_log_t *self, group_t *group)
{
    pthread_mutex_lock(&self->lock);
    size_t n = group->batches.len;
    for (size_t i = 0; i < n; i++)
        vec_push(&self->pending, vec_at(&group->batches, i));
    wal_batch_t **at = self->pending.ptr;
    memmove(at + n, at, (self->pending.len - n) * sizeof *at);
    memcpy(at, group->batches.ptr, n * sizeof *at);
    group->flight->seq = 0;
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

static err_t s_seal(ctx_t *ctx, object_log_t *self, group_t *group)
{
    wal_batch_t *whole = s_at(&group->batches, 0);
    size_t n = group->batches.len;
    for (size_t i = 0; n > 1 && i < n; i++)
        TRY(wal_batch_join(ctx, &group->room, s_at(&group->batches, i)));
    if (n > 1) {
        group->room.at = whole->at;
        whole = &group->room;
    }
    wal_link_t link = { .at = whole->at, .stable = s_frontier(&self->base).seq };
    memcpy(link.prev, self->prev, WAL_HASH_BYTES);
    return wal_batch_seal(ctx, whole, &link, &group->object, self->prev);
}

/* Nothing behind it will be acknowledged: who puts it may stop. */
static void s_break(object_log_t *self)
{
    self->broken = true;
    for (size_t i = 0; i < WAL_PUTS_AT_ONCE; i++)
        if (self->flights[i].seq && self->flights[i].ctx)
            ctx_cancel(self->flights[i].ctx);
}

static flight_t *s_next_stored(object_log_t *self)
{
    flight_t *next = NULL;
    for (size_t i = 0; i < WAL_PUTS_AT_ONCE; i++) {
        flight_t *flight = &self->flights[i];
        bool first = flight->seq == self->stored + 1 || PLANTED(OBJECTS_BUG_GAP);
        if (flight->seq && !flight->ctx && first)
            next = flight;
    }
    return next;
}

static void s_landed(object_log_t *self, flight_t *flight, err_t err)
{
    pthread_mutex_lock(&self->lock);
    flight->ctx = NULL;
    if (err != OK) {
        flight->seq = 0;
        s_break(self);
    }
    for (flight_t *next; (next = s_next_stored(self)) != NULL; next->seq = 0) {
        self->stored = next->seq > self->stored ? next->seq : self->stored;
        self->max_ts = next->max_ts > self->max_ts ? next->max_ts : self->max_ts;
        self->pending_bytes -= next->bytes;
    }
    pthread_mutex_unlock(&self->lock);
}

static err_t s_put(ctx_t *ctx, object_log_t *self, group_t *group)
{
    wal_position_t at = { self->epoch, group->flight->seq };
    ctx_t *putting = &group->putting;
    putting->deadline_ms = ctx->deadline_ms;
    ctx_limit_ms(putting, WAL_PUT_MS);
    int64_t began_us = wal_meter_began(self->base.meter);
    err_t err = store_put(putting, self->store, wal_object_key(ctx, s_channel(self), at),
                          group->object);
    wal_meter_put(self->base.meter, began_us, group->entries, group->object.len, err);
    s_landed(self, group->flight, err);
    if (err != OK)      /* it may be there, or arrive: whoever opens next finds out */
        return ctx_fail(ctx, ERR_OUTCOME_UNKNOWN, "%s", putting->text);
    return OK;
}

static err_t s_commit_group(ctx_t *ctx, object_log_t *self, group_t *group)
{
    pthread_mutex_lock(&self->order);
    err_t err = s_take(ctx, self, group);
    if (err == OK && group->flight) {
        err = s_seal(ctx, self, group);
        if (err != OK)
            s_put_back(self, group);
    }
    pthread_mutex_unlock(&self->order);
    return err == OK && group->flight ? s_put(ctx, self, group) : err;
}

static err_t s_commit(ctx_t *ctx, wal_t *base)
{
    object_log_t *self = (object_log_t *)base;
    group_t group = { .bytes = 0 };
    vec_init(&group.batches, sizeof(wal_batch_t *));
    wal_batch_init(&group.room, s_channel(self));
    ctx_init(&group.putting);
    err_t err = s_commit_group(ctx, self, &group);
    ctx_fini(&group.putting);
    wal_batch_fini(&group.room);
    vec_fini(&group.batches);
    return err;
}

static size_t s_waiting(wal_t *base)
{
    object_log_t *self = (object_log_t *)base;
    size_t bytes = 0;
    pthread_mutex_lock(&self->lock);
    for (size_t i = 0; i < self->pending.len && s_free_flight(self); i++)
        bytes += s_body_len(s_at(&self->pending, i));
    pthread_mutex_unlock(&self->lock);
    return bytes;
}

static void s_discard(wal_t *base)
{
    object_log_t *self = (object_log_t *)base;
    pthread_mutex_lock(&self->lock);
    for (size_t i = 0; i < WAL_PUTS_AT_ONCE; i++)
        check(self->flights[i].seq == 0);
    self->pending.len = 0;
    self->pending_bytes = 0;
    self->appended = self->stored;
    self->appended_ts = self->max_ts;
    pthread_mutex_unlock(&self->lock);
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
    const char *last = wal_object_key(ctx, s_channel(self), upto), *after = NULL;
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
    vec_fini(&self->pending);
    pthread_mutex_destroy(&self->lock);
    pthread_mutex_destroy(&self->order);
    mem_free(self->channel);
    mem_free(self);
}

static const wal_driver_t s_driver = {
    .append = s_append, .commit = s_commit, .discard = s_discard, .frontier = s_frontier,
    .max_ts = s_max_ts, .replay = s_replay, .truncate = s_truncate, .destroy = s_destroy,
    .waiting = s_waiting, .commits = WAL_PUTS_AT_ONCE,
};

err_t wal_objects_open(ctx_t *ctx, store_t *store, const wal_objects_options_t *options,
                       wal_t **ret)
{
    check(ret && !*ret && options->epoch > 0);
    check(options->channel.len >= 1 && options->channel.len <= LIMIT_NAME_BYTES);
    if (options->n_seals && options->seals[options->n_seals - 1].epoch != options->epoch - 1)
        return ctx_fail(ctx, ERR_FENCED, "the last epoch of %.*s that has ended is %llu, so "
                        "%llu is not the one to be written", (int)options->channel.len,
                        (const char *)options->channel.ptr,
                        (unsigned long long)options->seals[options->n_seals - 1].epoch,
                        (unsigned long long)options->epoch);
    object_log_t *self = mem_new(sizeof *self);
    *self = (object_log_t){ .base = { .driver = &s_driver }, .store = store,
                            .epoch = options->epoch };
    self->channel = mem_new(options->channel.len + 1);
    memcpy(self->channel, options->channel.ptr, options->channel.len);
    vec_init(&self->seals, sizeof(wal_seal_t));
    vec_init(&self->pending, sizeof(wal_batch_t *));
    pthread_mutex_init(&self->order, NULL);
    pthread_mutex_init(&self->lock, NULL);
    for (size_t i = 0; i < options->n_seals; i++)
        vec_push(&self->seals, &options->seals[i]);
    if (options->n_seals) {
        const wal_seal_t *last = &options->seals[options->n_seals - 1];
        memcpy(self->prev, last->hash, WAL_HASH_BYTES);
        self->max_ts = self->appended_ts = last->max_ts;
    }
    err_t err = options->replay ? wal_objects_replay(ctx, store, options) : OK;
    if (err == OK)
        *ret = &self->base;
    else
        s_destroy(&self->base);
    return err;
}
