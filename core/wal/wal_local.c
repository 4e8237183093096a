/* wal_local - see wal_local.h
 *
 * Locks: `lock` guards pending, appended, frontier, broken; a leaf, held for moves of
 * pointers.  All else belongs to the one job that runs.
 */
#include "core/wal/wal_local.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/crc.h"
#include "core/base/rng.h"
#include "core/base/vec.h"

/* Bugs that the tests plant to see that they are found. */
#ifdef WAL_PLANTED
enum { BUG_NONE, BUG_ACK_BEFORE_SYNC, BUG_TORN_TAIL, BUG_DOUBLE_APPLY, BUG_CUT_DAMAGE,
       BUG_TRUST_CACHE, BUG_COUNT };
static int wal_planted;
#define PLANTED(bug) (wal_planted == (bug))
#else
#define PLANTED(bug) false
#endif

enum { EPOCH_BYTES = 64, EPOCH_VERSION = 1, NAME_DIGITS = 16, WINDOW_BYTES = 1 << 20,
       MIB = 1 << 20 };
static const char s_epoch_name[] = "epoch", s_epoch_tmp[] = "epoch.tmp", s_new_tmp[] = "new.tmp";
static const char s_suffix[] = ".wal";

/* How far a log reaches. */
typedef struct reach {
    uint64_t seq, epoch, max_ts;
    uint8_t hash[WAL_HASH_BYTES];
} reach_t;

typedef struct local_log {
    wal_t base;
    wal_disk_t *disk;           /* borrowed */
    char *channel;              /* owned */
    uint64_t file_bytes, log;
    vec_t files;                /* of uint64_t: first seq of each, rising */
    int file;                   /* the last of them, open; -1: none yet */
    uint64_t file_len, at;      /* its length, and where the next object goes */
    uint64_t epoch;
    reach_t end;                /* of what is durable */
    vec_t working;              /* of wal_batch_t *: taken by a commit */

    pthread_mutex_t lock;
    vec_t pending;              /* of wal_batch_t *: appended, not yet taken */
    size_t pending_bytes;       /* of both */
    uint64_t appended, appended_ts;
    wal_position_t frontier;
    uint64_t max_ts;
    bool broken;
} local_log_t;

static wal_file_name_t s_name(uint64_t first)
{
    wal_file_name_t name;
    snprintf(name.text, sizeof name.text, "%016llx%s", (unsigned long long)first, s_suffix);
    return name;
}

static err_t s_fail(ctx_t *ctx, const local_log_t *self, int error, const char *what,
                    const char *name)
{
    return wal_disk_fail(ctx, self->disk, error, what, name);
}

/* --- reading: a window over a file --------------------------------------------- */

typedef struct window {
    local_log_t *self;
    wal_file_name_t name;
    int file;
    uint64_t file_len, at;      /* at: of bytes.ptr in the file */
    uint8_t *ptr;               /* owned */
    size_t len, cap;
} window_t;

static err_t s_window_open(ctx_t *ctx, local_log_t *self, uint64_t first, window_t *w)
{
    *w = (window_t){ .self = self, .name = s_name(first), .file = -1 };
    int error = self->disk->driver->open(self->disk, w->name.text, false, &w->file, &w->file_len);
    return error ? s_fail(ctx, self, error, "open", w->name.text) : OK;
}

static void s_window_close(window_t *w)
{
    if (w->file >= 0)
        w->self->disk->driver->close(w->self->disk, w->file);
    mem_free(w->ptr);
    *w = (window_t){ .file = -1 };
}

/* Up to len bytes at a place that is a multiple of 8, less at the end of the file. */
static err_t s_look(ctx_t *ctx, window_t *w, uint64_t at, size_t len, view_t *ret)
{
    if (len > w->file_len - at)
        len = (size_t)(w->file_len - at);
    if (at < w->at || at + len > w->at + w->len) {
        size_t want = len > WINDOW_BYTES ? len : WINDOW_BYTES;
        if (want > w->file_len - at)
            want = (size_t)(w->file_len - at);
        if (want > w->cap) {
            uint8_t *ptr = mem_try(NULL, want);
            if (!ptr)
                return ctx_fail(ctx, ERR_MEMORY, "no memory to read %zu bytes of the log", want);
            mem_free(w->ptr);
            w->ptr = ptr;
            w->cap = want;
        }
        w->len = 0;
        int error = w->self->disk->driver->read(w->self->disk, w->file, at, w->ptr, want);
        if (error)
            return s_fail(ctx, w->self, error, "read", w->name.text);
        w->at = at;
        w->len = want;
    }
    *ret = view_of(w->ptr + (at - w->at), len);
    return OK;
}

/* --- walking --------------------------------------------------------------------- */

typedef struct walk {
    const reach_t *sealed;      /* what `epoch` says was durable */
    wal_position_t after;
    wal_replay_fn *fn;
    void *arg;
    reach_t end;                /* so far */
    bool chained;               /* end.hash is known */
    uint64_t at, suspect_at;    /* in the last file: the end, and the last group's start */
    bool suspect;               /* that group may not be on disk */
    bool clean;                 /* only zeros lie behind the end */
} walk_t;

static err_t s_damage(ctx_t *ctx, const window_t *w, uint64_t at, const char *what)
{
    return ctx_fail(ctx, ERR_CORRUPT, "log %s/%s is damaged at byte %llu: %s.  Restore the file, "
                    "or move the log away to give up what it holds", w->self->disk->name,
                    w->name.text, (unsigned long long)at, what);
}

/* May this head be the next one?  NULL, or why not. */
static const char *s_misfit(const walk_t *walk, const wal_head_t *head)
{
    if (head->link.at.seq != walk->end.seq + 1)
        return "an object with another number";
    if (walk->chained && memcmp(head->link.prev, walk->end.hash, WAL_HASH_BYTES) != 0)
        return "an object that follows another one";
    if (head->link.at.epoch < walk->end.epoch || head->min_ts < walk->end.max_ts)
        return "an object that is older than the one before";
    return NULL;
}

/* Look at the place where the next object should be: *ret_why is NULL when it is there and
 * reader stands before its entries. */
static err_t s_probe(ctx_t *ctx, const walk_t *walk, window_t *w, uint64_t at,
                     wal_reader_t *reader, const char **ret_why)
{
    view_t bytes = {0};
    wal_head_t head;
    *ret_why = "no object";
    TRY(s_look(ctx, w, at, WAL_HEAD_BYTES + LIMIT_NAME_BYTES + 1, &bytes));
    err_t err = wal_head_read(ctx, bytes, &head);
    if (err == ERR_VERSION)
        return ctx_prefix(ctx, "%s/%s, byte %llu", w->self->disk->name, w->name.text,
                          (unsigned long long)at);
    if (err != OK)
        return OK;
    if (head.link.log != w->self->log || !view_eq(head.channel, view_str(w->self->channel)))
        return s_damage(ctx, w, at, "an object of another log");
    *ret_why = s_misfit(walk, &head);
    if (*ret_why)
        return OK;
    TRY(s_look(ctx, w, at, head.len, &bytes));
    if (PLANTED(BUG_TORN_TAIL) && head.len <= bytes.len) {
        *reader = (wal_reader_t){ .head = head, .last_ts = head.min_ts,
                                  .body = view_of(bytes.ptr + head.head_len, head.body_len) };
        return OK;
    }
    if (wal_reader_open(ctx, reader, bytes) != OK)
        *ret_why = "a broken object";
    return OK;
}

static err_t s_deliver(ctx_t *ctx, const walk_t *walk, window_t *w, uint64_t at,
                       wal_reader_t *reader)
{
    wal_entry_t entry;
    for (bool more = true;;) {
        err_t err = wal_reader_next(ctx, reader, &entry, &more);
        if (err != OK)
            return ctx_prefix(ctx, "%s/%s, object at byte %llu", w->self->disk->name, w->name.text,
                              (unsigned long long)at);
        if (!more)
            return OK;
        if (walk->fn)
            TRY(walk->fn(ctx, walk->arg, &reader->head, &entry));
    }
}

/* An object was read: the log reaches further. */
static err_t s_advance(ctx_t *ctx, walk_t *walk, window_t *w, uint64_t at, const wal_head_t *head)
{
    uint64_t seq = head->link.at.seq;
    if (seq == walk->sealed->seq && memcmp(head->hash, walk->sealed->hash, WAL_HASH_BYTES) != 0)
        return s_damage(ctx, w, at, "not the object that was committed");
    if (seq == head->link.stable + 1)
        walk->suspect_at = at;
    walk->suspect = seq > walk->sealed->seq;
    walk->end = (reach_t){ .seq = seq, .epoch = head->link.at.epoch, .max_ts = head->max_ts };
    memcpy(walk->end.hash, head->hash, WAL_HASH_BYTES);
    walk->chained = true;
    return OK;
}

/* Is there an object here that was written when more was durable than we found? */
static err_t s_is_proof(ctx_t *ctx, const walk_t *walk, window_t *w, uint64_t at, bool *ret)
{
    view_t bytes = {0};
    wal_head_t head;
    TRY(s_look(ctx, w, at, WAL_HEAD_BYTES + LIMIT_NAME_BYTES + 1, &bytes));
    *ret = wal_head_there(bytes, &head) && head.link.log == w->self->log &&
           head.link.stable > walk->end.seq && !PLANTED(BUG_CUT_DAMAGE);
    return OK;
}

/* The log ended here: read all that lies behind.  Mostly zeros, so by whole windows. */
static err_t s_search(ctx_t *ctx, walk_t *walk, window_t *w, uint64_t from, const char *why)
{
    walk->clean = true;
    for (uint64_t at = from; at < w->file_len; ) {
        view_t bytes = {0};
        TRY(s_look(ctx, w, at, WINDOW_BYTES, &bytes));
        size_t i = 0;
        while (i + 8 <= bytes.len && load_u64(bytes.ptr + i) == 0)
            i += 8;
        bool proof = false;
        if (i < bytes.len) {
            walk->clean = false;
            TRY(s_is_proof(ctx, walk, w, at + i, &proof));
            i += 8;
        }
        if (proof)
            return s_damage(ctx, w, from, why);
        at += i;
    }
    return OK;
}

/* One file; `next` is the first seq of the one behind it, 0 when it is the last. */
static err_t s_walk_file(ctx_t *ctx, walk_t *walk, window_t *w, uint64_t next)
{
    static const char s_lost[] = "objects that were committed are missing";
    uint64_t at = walk->suspect_at = 0;
    wal_reader_t reader;
    for (;;) {
        const char *why = "the end of the file";
        if (w->file_len - at >= WAL_HEAD_BYTES)
            TRY(s_probe(ctx, walk, w, at, &reader, &why));
        if (why) {
            ctx_clear(ctx);
            walk->at = at;
            if (next ? walk->end.seq + 1 != next : walk->end.seq < walk->sealed->seq)
                return s_damage(ctx, w, at, strcmp(why, "no object") == 0 ? s_lost : why);
            return next ? OK : s_search(ctx, walk, w, at, why);
        }
        size_t len = reader.head.len;
        TRY(s_advance(ctx, walk, w, at, &reader.head));
        if (walk->end.seq > walk->after.seq || PLANTED(BUG_DOUBLE_APPLY))
            TRY(s_deliver(ctx, walk, w, at, &reader));
        at += len;
    }
}

/* The file to start in: the last that begins at or before the first seq wanted. */
static size_t s_start(const local_log_t *self, const walk_t *walk)
{
    size_t start = 0;
    for (size_t i = 0; i < self->files.len; i++)
        if (*(uint64_t *)vec_at(&self->files, i) <= walk->after.seq + 1)
            start = i;
    return start;
}

static err_t s_walk(ctx_t *ctx, local_log_t *self, walk_t *walk)
{
    size_t start = s_start(self, walk);
    uint64_t first = self->files.len ? *(uint64_t *)vec_at(&self->files, start)
                                     : walk->sealed->seq + 1;
    if (first > walk->after.seq + 1)
        return ctx_fail(ctx, ERR_CORRUPT, "log %s begins at %llu, but what follows %llu is needed: "
                        "files are missing", self->disk->name, (unsigned long long)first,
                        (unsigned long long)walk->after.seq);
    walk->end = (reach_t){ .seq = first - 1 };
    walk->chained = first == 1;
    if (first == walk->sealed->seq + 1) {
        walk->end = *walk->sealed;
        walk->chained = true;
    }
    for (size_t i = start; i < self->files.len; i++) {
        __attribute__((cleanup(s_window_close))) window_t w = { .file = -1 };
        bool last = i + 1 == self->files.len;
        TRY(s_window_open(ctx, self, *(uint64_t *)vec_at(&self->files, i), &w));
        TRY(s_walk_file(ctx, walk, &w, last ? 0 : *(uint64_t *)vec_at(&self->files, i + 1)));
    }
    if (walk->end.seq < walk->after.seq)
        return ctx_fail(ctx, ERR_CORRUPT, "log %s ends at %llu, before its checkpoint %llu: files "
                        "are missing", self->disk->name, (unsigned long long)walk->end.seq,
                        (unsigned long long)walk->after.seq);
    return OK;
}

/* --- the file `epoch` --------------------------------------------------------------- */

/* *ret_there false: there is none.  sealed: what it says. */
static err_t s_read_epoch(ctx_t *ctx, local_log_t *self, bool *ret_there, reach_t *sealed)
{
    uint8_t p[EPOCH_BYTES];
    int file = -1;
    uint64_t len = 0;
    int error = self->disk->driver->open(self->disk, s_epoch_name, false, &file, &len);
    *ret_there = error != ENOENT;
    if (error == ENOENT)
        return OK;
    if (error)
        return s_fail(ctx, self, error, "open", s_epoch_name);
    bool whole = len == EPOCH_BYTES;
    error = whole ? self->disk->driver->read(self->disk, file, 0, p, sizeof p) : 0;
    self->disk->driver->close(self->disk, file);
    if (error)
        return s_fail(ctx, self, error, "read", s_epoch_name);
    if (!whole || memcmp(p, "EWEP", 4) != 0 || load_u32(p + 60) != crc32c(p, 60))
        return ctx_fail(ctx, ERR_CORRUPT, "%s/%s is damaged: restore it, or move the log away to "
                        "give up what it holds", self->disk->name, s_epoch_name);
    if (load_u32(p + 4) != EPOCH_VERSION)
        return ctx_fail(ctx, ERR_VERSION, "%s/%s: version %u, this program knows %u",
                        self->disk->name, s_epoch_name, load_u32(p + 4), EPOCH_VERSION);
    self->log = load_u64(p + 8);
    *sealed = (reach_t){ .epoch = load_u64(p + 16), .seq = load_u64(p + 24),
                         .max_ts = load_u64(p + 48) };
    memcpy(sealed->hash, p + 32, WAL_HASH_BYTES);
    return OK;
}

/* Room for the next epoch: a log must open on a full disk too, because what it holds is read
 * then as at any time.  Where this fails, the next epoch looks for room itself. */
static void s_keep_room(local_log_t *self)
{
    static const uint8_t s_nothing[EPOCH_BYTES];
    int ignored = wal_disk_put(self->disk, s_epoch_tmp, s_nothing, EPOCH_BYTES, false);
    (void)ignored;
}

static err_t s_write_epoch(ctx_t *ctx, local_log_t *self)
{
    uint8_t p[EPOCH_BYTES] = "EWEP";
    store_u32(p + 4, EPOCH_VERSION);
    store_u64(p + 8, self->log);
    store_u64(p + 16, self->epoch);
    store_u64(p + 24, self->end.seq);
    memcpy(p + 32, self->end.hash, WAL_HASH_BYTES);
    store_u64(p + 48, self->end.max_ts);
    store_u32(p + 60, crc32c(p, 60));
    int error = wal_disk_put(self->disk, s_epoch_tmp, p, EPOCH_BYTES, true);
    if (!error)
        error = self->disk->driver->rename(self->disk, s_epoch_tmp, s_epoch_name);
    if (!error)
        error = self->disk->driver->sync_dir(self->disk);
    if (!error)
        s_keep_room(self);
    return error ? s_fail(ctx, self, error, "write", s_epoch_name) : OK;
}

/* --- open ----------------------------------------------------------------------------- */

static int s_by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static bool s_is_log_file(const char *name, uint64_t *ret_first)
{
    char *end = NULL;
    *ret_first = strtoull(name, &end, 16);
    return *ret_first > 0 && strcmp(s_name(*ret_first).text, name) == 0;
}

static err_t s_list(ctx_t *ctx, local_log_t *self)
{
    vec_scoped names;
    vec_init(&names, sizeof(wal_file_name_t));
    int error = self->disk->driver->list(self->disk, &names);
    if (error)
        return s_fail(ctx, self, error, "list", "");
    for (size_t i = 0; i < names.len; i++) {
        uint64_t first = 0;
        if (s_is_log_file(((wal_file_name_t *)vec_at(&names, i))->text, &first))
            vec_push(&self->files, &first);
    }
    if (self->files.len)
        qsort(self->files.ptr, self->files.len, sizeof(uint64_t), s_by_number);
    return OK;
}

/* Write the last group again, so that a sync means it. */
static err_t s_rewrite(ctx_t *ctx, local_log_t *self, window_t *w, const walk_t *walk)
{
    for (uint64_t at = walk->suspect_at; at < walk->at; ) {
        size_t n = walk->at - at < WINDOW_BYTES ? (size_t)(walk->at - at) : WINDOW_BYTES;
        view_t bytes = {0};
        TRY(s_look(ctx, w, at, n, &bytes));
        int error = self->disk->driver->write(self->disk, self->file, at, bytes.ptr, n);
        if (error)
            return s_fail(ctx, self, error, "write again", w->name.text);
        at += n;
    }
    return OK;
}

/* Zeros behind the end.  A disk that is full leaves a shorter file. */
static int s_cut(local_log_t *self, uint64_t at)
{
    const wal_disk_driver_t *disk = self->disk->driver;
    int error = disk->truncate(self->disk, self->file, at);
    if (error)
        return error;
    if (disk->allocate(self->disk, self->file, at, self->file_len - at) != 0) {
        error = disk->truncate(self->disk, self->file, at);
        self->file_len = at;
    }
    return error;
}

static err_t s_settle_file(ctx_t *ctx, local_log_t *self, window_t *w, const walk_t *walk)
{
    const wal_disk_driver_t *disk = self->disk->driver;
    int error = disk->open(self->disk, w->name.text, false, &self->file, &self->file_len);
    if (error)
        return s_fail(ctx, self, error, "open", w->name.text);
    if (walk->suspect && !PLANTED(BUG_TRUST_CACHE))
        TRY(s_rewrite(ctx, self, w, walk));
    error = walk->clean ? 0 : s_cut(self, walk->at);
    if (!error && (walk->suspect || !walk->clean) && !PLANTED(BUG_TRUST_CACHE))
        error = disk->sync(self->disk, self->file);
    self->at = walk->at;
    return error ? s_fail(ctx, self, error, "cut", w->name.text) : OK;
}

/* Make what was read durable. */
static err_t s_settle(ctx_t *ctx, local_log_t *self, const walk_t *walk)
{
    if (self->files.len == 0)
        return OK;
    __attribute__((cleanup(s_window_close))) window_t w = { .file = -1 };
    TRY(s_window_open(ctx, self, *(uint64_t *)vec_at(&self->files, self->files.len - 1), &w));
    return s_settle_file(ctx, self, &w, walk);
}

static err_t s_take_over(ctx_t *ctx, local_log_t *self, const wal_local_options_t *options)
{
    reach_t sealed = {0};
    bool there = false;
    TRY(s_list(ctx, self));
    TRY(s_read_epoch(ctx, self, &there, &sealed));
    if (!there && self->files.len)
        return ctx_fail(ctx, ERR_CORRUPT, "%s has log files but no file %s: restore it, or move "
                        "the log away to give up what it holds", self->disk->name, s_epoch_name);
    if (!there)
        self->log = rng_from_os();
    walk_t walk = { .sealed = &sealed, .after = options->after, .fn = options->replay,
                    .arg = options->arg };
    TRY(s_walk(ctx, self, &walk));
    TRY(s_settle(ctx, self, &walk));
    self->end = walk.end;
    if (self->end.max_ts < sealed.max_ts)
        self->end.max_ts = sealed.max_ts;
    self->epoch = sealed.epoch + 1 > options->least_epoch ? sealed.epoch + 1 : options->least_epoch;
    self->disk->driver->remove(self->disk, s_new_tmp);          /* usually not there */
    TRY(s_write_epoch(ctx, self));
    self->appended = self->end.seq;
    self->max_ts = self->appended_ts = self->end.max_ts;
    self->frontier = (wal_position_t){ .epoch = self->epoch, .seq = self->end.seq };
    return OK;
}

/* --- append ------------------------------------------------------------------------------ */

static err_t s_broken(ctx_t *ctx, const local_log_t *self)
{
    return ctx_fail(ctx, ERR_DISK, "the log %s failed to write and takes nothing until it is "
                    "opened again", self->disk->name);
}

static err_t s_append(ctx_t *ctx, wal_t *base, wal_batch_t *batch)
{
    local_log_t *self = (local_log_t *)base;
    size_t len = wal_batch_len(batch);
    check(batch->n > 0 && batch->bytes.len > batch->head_len);
    check(memcmp(batch->bytes.ptr + WAL_HEAD_BYTES, self->channel, strlen(self->channel)) == 0);
    err_t err = OK;
    pthread_mutex_lock(&self->lock);
    if (self->broken) {
        err = s_broken(ctx, self);
    } else if (self->pending_bytes + len > LIMIT_WAL_PENDING_BYTES) {
        err = ctx_fail(ctx, ERR_QUEUE_FULL, "%zu bytes wait for the disk of the log %s",
                       self->pending_bytes, self->disk->name);
    } else {
        check(batch->min_ts >= self->appended_ts);
        batch->at = (wal_position_t){ .epoch = self->epoch, .seq = ++self->appended };
        self->appended_ts = batch->max_ts;
        self->pending_bytes += len;
        vec_push(&self->pending, &batch);
    }
    pthread_mutex_unlock(&self->lock);
    return err;
}

/* --- commit ------------------------------------------------------------------------------ */

static wal_batch_t *s_work(const local_log_t *self, size_t i)
{
    return *(wal_batch_t **)vec_at(&self->working, i);
}

/* From here on nobody knows what is on the disk. */
static err_t s_break(ctx_t *ctx, local_log_t *self, int error, const char *what)
{
    pthread_mutex_lock(&self->lock);
    self->broken = true;
    pthread_mutex_unlock(&self->lock);
    s_fail(ctx, self, error == ENOSPC || error == EDQUOT ? EIO : error, what, "the log");
    return ctx_prefix(ctx, "outcome unknown, the log must be opened again");
}

/* There is no next file.  For want of room: the one failure after which the log goes on. */
static err_t s_no_room(ctx_t *ctx, local_log_t *self, int error, uint64_t len)
{
    if (error == ENOSPC || error == EDQUOT)
        return ctx_fail(ctx, ERR_DISK_FULL, "no room left on the disk for the next %llu MiB of "
                        "the log %s: free some space there", (unsigned long long)(len + MIB - 1) /
                        MIB, self->disk->name);
    return s_break(ctx, self, error, "create the next file of");
}

/* A file of zeros under its final name, all of it on disk. */
static err_t s_next_file(ctx_t *ctx, local_log_t *self, uint64_t first, uint64_t len)
{
    const wal_disk_driver_t *disk = self->disk->driver;
    wal_file_name_t name = s_name(first);
    int file = -1;
    uint64_t had = 0;
    int error = disk->open(self->disk, s_new_tmp, true, &file, &had);
    if (error)
        return s_no_room(ctx, self, error, len);
    error = disk->allocate(self->disk, file, 0, len);
    if (!error)
        error = disk->sync(self->disk, file);
    if (!error)
        error = disk->rename(self->disk, s_new_tmp, name.text);
    if (error) {
        disk->close(self->disk, file);
        disk->remove(self->disk, s_new_tmp);
        return s_no_room(ctx, self, error, len);
    }
    if (self->file >= 0)
        disk->close(self->disk, self->file);
    vec_push(&self->files, &first);
    self->file = file;
    self->file_len = len;
    self->at = 0;
    error = disk->sync_dir(self->disk);
    return error ? s_break(ctx, self, error, "sync the directory of") : OK;
}

/* How many batches from `from` on go into the file at hand. */
static size_t s_fitting(const local_log_t *self, size_t from, uint64_t *ret_bytes)
{
    uint64_t bytes = 0;
    size_t n = 0;
    for (; from + n < self->working.len; n++) {
        uint64_t len = wal_batch_len(s_work(self, from + n));
        if (self->file < 0 || self->at + bytes + len > self->file_len)
            break;
        bytes += len;
    }
    *ret_bytes = bytes;
    return n;
}

/* All heads before any byte is written: memory may run out, and then nothing has happened. */
static err_t s_seal(ctx_t *ctx, local_log_t *self, size_t from, size_t n, reach_t *ret_end)
{
    reach_t end = self->end;
    for (size_t i = from; i < from + n; i++) {
        wal_batch_t *batch = s_work(self, i);
        wal_link_t link = { .log = self->log, .stable = self->end.seq, .at = batch->at };
        check(batch->at.seq == end.seq + 1);
        memcpy(link.prev, end.hash, WAL_HASH_BYTES);
        view_t bytes = {0};
        TRY(wal_batch_seal(ctx, batch, &link, &bytes, end.hash));
        end.seq = batch->at.seq;
        end.max_ts = batch->max_ts;
    }
    *ret_end = end;
    return OK;
}

static err_t s_write_group(ctx_t *ctx, local_log_t *self, size_t from, size_t n, uint64_t bytes)
{
    reach_t end;
    TRY(s_seal(ctx, self, from, n, &end));
    uint64_t at = self->at;
    size_t entries = 0;
    int64_t began_us = wal_meter_began(self->base.meter);
    for (size_t i = from; i < from + n; i++) {
        wal_batch_t *batch = s_work(self, i);
        entries += batch->n;
        size_t len = wal_batch_len(batch);
        int error = self->disk->driver->write(self->disk, self->file, at, batch->bytes.ptr, len);
        if (error)
            return s_break(ctx, self, error, "write to");
        at += len;
    }
    int error = PLANTED(BUG_ACK_BEFORE_SYNC) ? 0 : self->disk->driver->sync(self->disk, self->file);
    wal_meter_put(self->base.meter, began_us, entries, bytes, error ? ERR_DISK : OK);
    if (error)
        return s_break(ctx, self, error, "sync");
    self->at = at;
    self->end = end;
    pthread_mutex_lock(&self->lock);
    self->pending_bytes -= bytes;
    self->frontier.seq = end.seq;
    self->max_ts = end.max_ts;
    pthread_mutex_unlock(&self->lock);
    return OK;
}

static err_t s_work_off(ctx_t *ctx, local_log_t *self, size_t *done)
{
    while (*done < self->working.len) {
        uint64_t bytes = 0;
        size_t n = s_fitting(self, *done, &bytes);
        if (n > 0) {
            TRY(s_write_group(ctx, self, *done, n, bytes));
            *done += n;
            continue;
        }
        const wal_batch_t *batch = s_work(self, *done);
        uint64_t len = wal_batch_len(batch) > self->file_bytes ? wal_batch_len(batch)
                                                               : self->file_bytes;
        if (self->file >= 0 && self->at == 0 && self->files.len > 0) {
            int error = self->disk->driver->allocate(self->disk, self->file, 0, len);
            if (error)                          /* an empty file that is too short: no second */
                return s_no_room(ctx, self, error, len);
            self->file_len = len;
            continue;
        }
        TRY(s_next_file(ctx, self, batch->at.seq, len));
    }
    return OK;
}

static err_t s_commit(ctx_t *ctx, wal_t *base)
{
    local_log_t *self = (local_log_t *)base;
    pthread_mutex_lock(&self->lock);
    bool broken = self->broken;
    for (size_t i = 0; i < self->pending.len; i++)
        vec_push(&self->working, vec_at(&self->pending, i));
    self->pending.len = 0;
    pthread_mutex_unlock(&self->lock);
    if (broken)
        return s_broken(ctx, self);
    size_t done = 0;
    err_t err = s_work_off(ctx, self, &done);
    size_t left = self->working.len - done;
    if (done && left)
        memmove(self->working.ptr, (wal_batch_t **)self->working.ptr + done,
                left * sizeof(wal_batch_t *));
    self->working.len = left;
    return err;
}

static void s_discard(wal_t *base)
{
    local_log_t *self = (local_log_t *)base;
    pthread_mutex_lock(&self->lock);
    self->pending.len = self->working.len = 0;
    self->pending_bytes = 0;
    self->appended = self->frontier.seq;
    self->appended_ts = self->max_ts;
    pthread_mutex_unlock(&self->lock);
}

/* --- the rest ------------------------------------------------------------------------------ */

static wal_position_t s_frontier(wal_t *base)
{
    local_log_t *self = (local_log_t *)base;
    pthread_mutex_lock(&self->lock);
    wal_position_t frontier = self->frontier;
    pthread_mutex_unlock(&self->lock);
    return frontier;
}

static uint64_t s_max_ts(wal_t *base)
{
    local_log_t *self = (local_log_t *)base;
    pthread_mutex_lock(&self->lock);
    uint64_t max_ts = self->max_ts;
    pthread_mutex_unlock(&self->lock);
    return max_ts;
}

static err_t s_replay(ctx_t *ctx, wal_t *base, wal_position_t after, wal_replay_fn *fn, void *arg)
{
    local_log_t *self = (local_log_t *)base;
    pthread_mutex_lock(&self->lock);
    bool broken = self->broken;
    pthread_mutex_unlock(&self->lock);
    if (broken)
        return s_broken(ctx, self);
    reach_t sealed = self->end;
    walk_t walk = { .sealed = &sealed, .after = after, .fn = fn, .arg = arg };
    return s_walk(ctx, self, &walk);
}

/* Oldest first, so that what a crash leaves has no gap. */
static err_t s_drop_before(ctx_t *ctx, wal_t *base, wal_position_t upto)
{
    local_log_t *self = (local_log_t *)base;
    check(upto.seq <= self->end.seq);
    while (self->files.len > 1 && *(uint64_t *)vec_at(&self->files, 1) <= upto.seq + 1) {
        wal_file_name_t name = s_name(*(uint64_t *)vec_at(&self->files, 0));
        int error = self->disk->driver->remove(self->disk, name.text);
        if (error && error != ENOENT)
            return s_fail(ctx, self, error, "delete", name.text);
        vec_remove(&self->files, 0);
    }
    return OK;
}

static void s_fini(local_log_t *self)
{
    if (self->file >= 0)
        self->disk->driver->close(self->disk, self->file);
    vec_fini(&self->files);
    vec_fini(&self->working);
    vec_fini(&self->pending);
    pthread_mutex_destroy(&self->lock);
    mem_free(self->channel);
    mem_free(self);
}

/* The epoch is written once more, so that damage to the last group will be noticed.
 * Whether that works out does not matter. */
static void s_destroy(wal_t *base)
{
    local_log_t *self = (local_log_t *)base;
    ctx_t ctx;
    ctx_init(&ctx);
    err_t ignored = self->broken ? OK : s_write_epoch(&ctx, self);
    (void)ignored;
    ctx_fini(&ctx);
    s_fini(self);
}

static const wal_driver_t s_driver = {
    .append = s_append, .commit = s_commit, .discard = s_discard, .frontier = s_frontier,
    .max_ts = s_max_ts, .replay = s_replay, .truncate = s_drop_before, .destroy = s_destroy,
};

err_t wal_local_open(ctx_t *ctx, wal_disk_t *disk, const wal_local_options_t *options, wal_t **ret)
{
    check(ret && !*ret);
    local_log_t *self = mem_new(sizeof *self);
    *self = (local_log_t){ .base = { .driver = &s_driver }, .disk = disk, .file = -1 };
    self->channel = mem_new(options->channel.len + 1);
    memcpy(self->channel, options->channel.ptr, options->channel.len);
    self->file_bytes = options->file_bytes ? options->file_bytes : WAL_LOCAL_FILE_BYTES;
    vec_init(&self->files, sizeof(uint64_t));
    vec_init(&self->working, sizeof(wal_batch_t *));
    vec_init(&self->pending, sizeof(wal_batch_t *));
    pthread_mutex_init(&self->lock, NULL);
    err_t err = s_take_over(ctx, self, options);
    if (err != OK)
        s_fini(self);
    else
        *ret = &self->base;
    return err;
}
