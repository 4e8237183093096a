/* meta_lmdb - the metadata of a standalone Elanus in one LMDB file
 *
 * The directory belongs to one process: it is flocked, and then LMDB runs
 * without locks of its own (MDB_NOLOCK), since the engine above calls one
 * thing at a time.  A commit is on disk when it returns (LMDB's default).
 *
 * One unnamed database.  Keys are the metadata keys, bytewise sorted, plus
 * "\0elanus", which no metadata key can be.  Little-endian.
 *
 *     record:  offset  size  field              "\0elanus":  offset  size  field
 *              0       8     create revision                 0       4     magic "ELMT"
 *              8       8     mod revision                    4       4     version, 1
 *              16      8     lease, 0: none                  8       8     newest revision
 *              24      4     crc32c of key,                  16      4     crc32c of bytes 0..15
 *                            bytes 0..23, value
 *              28      ..    value
 *
 * LMDB has no checksums and reads its file as memory, where a cut file means
 * SIGBUS; so records carry a crc, and the length is checked when it is opened.
 *
 * Leases end with the process: opening deletes every key that has one.
 *
 * The map starts small and doubles when a commit finds it full.  When writing
 * fails in the last step of a commit, LMDB itself cannot tell what is on disk
 * and refuses to go on (MDB_PANIC): the transaction's outcome is unknown until
 * the next start, and nothing is read or written until then.
 */
#include "core/meta/meta_local.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/crc.h"
#include "core/base/fault.h"
#include "core/base/limits.h"

enum { HEAD_BYTES = 28, STATE_BYTES = 20, VERSION = 1 };
enum { FIRST_MAP_BYTES = 16 << 20 };

static const char STATE_KEY[] = "\0elanus";

typedef struct rows {
    MDB_env *env;
    MDB_dbi db;
    size_t map_bytes;
    int dir_fd;                 /* holds the lock */
    char *dir;
} rows_t;

/* LMDB's codes as ours.  What failed is said once, with the directory. */
static err_t s_fail(ctx_t *ctx, const rows_t *self, int rc, const char *doing)
{
    switch (rc) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return ctx_fail(ctx, ERR_DISK_FULL, "%s %s: %s; free some space", doing, self->dir,
                        mdb_strerror(rc));
    case MDB_MAP_FULL:
        return ctx_fail(ctx, ERR_DISK_FULL, "%s %s: more than %llu bytes of metadata", doing,
                        self->dir, LIMIT_META_DB_BYTES);
    case ENOMEM:
        return ctx_fail(ctx, ERR_MEMORY, "%s %s: no memory", doing, self->dir);
    case MDB_INVALID:
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
        return ctx_fail(ctx, ERR_CORRUPT, "%s %s: %s; restore the directory from a backup",
                        doing, self->dir, mdb_strerror(rc));
    case MDB_VERSION_MISMATCH:
        return ctx_fail(ctx, ERR_VERSION, "%s %s: written by another LMDB version", doing,
                        self->dir);
    case MDB_PANIC:
        return ctx_fail(ctx, ERR_DISK, "%s %s: an earlier write failed half way; repair the disk "
                        "and restart", doing, self->dir);
    default:
        return ctx_fail(ctx, ERR_DISK, "%s %s: %s", doing, self->dir, mdb_strerror(rc));
    }
}

static MDB_val s_val(const void *ptr, size_t len)
{
    return (MDB_val){ .mv_data = (void *)(uintptr_t)ptr, .mv_size = len };
}

/* --- records ---------------------------------------------------------------- */

static uint32_t s_record_crc(MDB_val key, const uint8_t *record, size_t len)
{
    uint32_t crc = crc32c(key.mv_data, key.mv_size);
    crc = crc32c_add(crc, record, HEAD_BYTES - 4);
    return crc32c_add(crc, record + HEAD_BYTES, len - HEAD_BYTES);
}

static err_t s_decode(ctx_t *ctx, const rows_t *self, MDB_val key, MDB_val data, bool with_value,
                      meta_item_t *ret)
{
    const uint8_t *record = data.mv_data;
    if (data.mv_size < HEAD_BYTES ||
        load_u32(record + HEAD_BYTES - 4) != s_record_crc(key, record, data.mv_size))
        return ctx_fail(ctx, ERR_CORRUPT, "metadata key %.*s in %s is damaged; restore the "
                        "directory from a backup", (int)key.mv_size, (char *)key.mv_data,
                        self->dir);
    view_t name = {0}, value = {0};
    TRY(ctx_copy(ctx, view_of(key.mv_data, key.mv_size), &name));
    if (with_value)
        TRY(ctx_copy(ctx, view_of(record + HEAD_BYTES, data.mv_size - HEAD_BYTES), &value));
    *ret = (meta_item_t){ .key = (const char *)name.ptr, .value = value,
                          .create_rev = load_i64(record), .mod_rev = load_i64(record + 8),
                          .lease = load_i64(record + 16) };
    return OK;
}

static int s_put_record(MDB_txn *txn, MDB_dbi db, const meta_item_t *item)
{
    MDB_val key = s_val(item->key, strlen(item->key));
    MDB_val data = s_val(NULL, HEAD_BYTES + item->value.len);
    int rc = mdb_put(txn, db, &key, &data, MDB_RESERVE);
    if (rc != 0)
        return rc;
    uint8_t *record = data.mv_data;
    store_i64(record, item->create_rev);
    store_i64(record + 8, item->mod_rev);
    store_i64(record + 16, item->lease);
    if (item->value.len)
        memcpy(record + HEAD_BYTES, item->value.ptr, item->value.len);
    store_u32(record + HEAD_BYTES - 4, s_record_crc(key, record, data.mv_size));
    return 0;
}

static int s_put_state(MDB_txn *txn, MDB_dbi db, int64_t rev)
{
    uint8_t state[STATE_BYTES] = "ELMT";
    store_u32(state + 4, VERSION);
    store_i64(state + 8, rev);
    store_u32(state + 16, crc32c(state, 16));
    MDB_val key = s_val(STATE_KEY, sizeof STATE_KEY - 1), data = s_val(state, sizeof state);
    return mdb_put(txn, db, &key, &data, 0);
}

/* --- the table -------------------------------------------------------------- */

static err_t s_get(ctx_t *ctx, void *rows, const char *key, bool with_value, meta_item_t *ret)
{
    rows_t *self = rows;
    MDB_txn *txn = NULL;
    int rc = mdb_txn_begin(self->env, NULL, MDB_RDONLY, &txn);
    if (rc != 0)
        return s_fail(ctx, self, rc, "reading");
    MDB_val name = s_val(key, strlen(key)), data;
    rc = mdb_get(txn, self->db, &name, &data);
    err_t err = rc == 0              ? s_decode(ctx, self, name, data, with_value, ret)
              : rc == MDB_NOTFOUND   ? ERR_KEY_NOT_FOUND
                                     : s_fail(ctx, self, rc, "reading");
    mdb_txn_abort(txn);
    return err;
}

static err_t s_scan_with(ctx_t *ctx, const rows_t *self, MDB_cursor *cursor, view_t prefix,
                         bool with_values, meta_items_t *ret)
{
    size_t cap = 0;
    MDB_val key = prefix.len ? s_val(prefix.ptr, prefix.len) : s_val("\1", 1), data;
    int rc = mdb_cursor_get(cursor, &key, &data, MDB_SET_RANGE);
    for (; rc == 0; rc = mdb_cursor_get(cursor, &key, &data, MDB_NEXT)) {
        if (!view_starts(view_of(key.mv_data, key.mv_size), prefix))
            return OK;
        meta_item_t item = {0};
        TRY(s_decode(ctx, self, key, data, with_values, &item));
        TRY(meta_items_push(ctx, ret, &cap, &item));
    }
    return rc == MDB_NOTFOUND ? OK : s_fail(ctx, self, rc, "reading");
}

static err_t s_scan(ctx_t *ctx, void *rows, const char *prefix, bool with_values,
                    meta_items_t *ret)
{
    rows_t *self = rows;
    MDB_txn *txn = NULL;
    MDB_cursor *cursor = NULL;
    int rc = mdb_txn_begin(self->env, NULL, MDB_RDONLY, &txn);
    if (rc == 0)
        rc = mdb_cursor_open(txn, self->db, &cursor);
    err_t err = rc == 0 ? s_scan_with(ctx, self, cursor, view_str(prefix), with_values, ret)
                        : s_fail(ctx, self, rc, "reading");
    if (cursor)
        mdb_cursor_close(cursor);
    if (txn)
        mdb_txn_abort(txn);
    return err;
}

static int s_write(MDB_txn *txn, MDB_dbi db, const meta_change_t *changes, size_t n, int64_t rev)
{
    for (size_t i = 0; i < n; i++) {
        const meta_item_t *item = &changes[i].item;
        MDB_val key = s_val(item->key, strlen(item->key));
        int rc = changes[i].kind == META_WATCH_PUT ? s_put_record(txn, db, item)
                                                   : mdb_del(txn, db, &key, NULL);
        if (rc != 0)
            return rc;
    }
    return s_put_state(txn, db, rev);
}

/* One attempt; *ret_committing says whether it got as far as the commit. */
static int s_commit(rows_t *self, const meta_change_t *changes, size_t n, int64_t rev,
                    bool *ret_committing)
{
    MDB_txn *txn = NULL;
    int rc = mdb_txn_begin(self->env, NULL, 0, &txn);
    if (rc != 0)
        return rc;
    rc = fault_hit() ? ENOSPC : s_write(txn, self->db, changes, n, rev);
    if (rc != 0) {
        mdb_txn_abort(txn);
        return rc;
    }
    *ret_committing = true;
    return mdb_txn_commit(txn);
}

/* Twice the map, when the limit allows. */
static bool s_grow(rows_t *self)
{
    if (self->map_bytes > LIMIT_META_DB_BYTES / 2)
        return false;
    if (mdb_env_set_mapsize(self->env, self->map_bytes * 2) != 0)
        return false;
    self->map_bytes *= 2;
    return true;
}

/* LMDB reports a short write, which is how a full disk begins, as EIO.  Asking
 * for room of our own tells the two apart. */
static int s_true_reason(const rows_t *self, int rc)
{
    enum { ROOM_BYTES = 2 << 20 };
    int fd = -1;
    struct stat file;
    if (rc != EIO || mdb_env_get_fd(self->env, &fd) != 0 || fstat(fd, &file) != 0)
        return rc;
    if (fallocate(fd, 0, file.st_size, ROOM_BYTES) != 0 && (errno == ENOSPC || errno == EFBIG))
        return errno;
    return rc;
}

static bool s_is_dead(const rows_t *self)
{
    MDB_txn *txn = NULL;
    int rc = mdb_txn_begin(self->env, NULL, MDB_RDONLY, &txn);
    if (rc == 0)
        mdb_txn_abort(txn);
    return rc == MDB_PANIC;
}

static err_t s_apply(ctx_t *ctx, void *rows, const meta_change_t *changes, size_t n, int64_t rev)
{
    rows_t *self = rows;
    bool committing = false;
    int rc = s_commit(self, changes, n, rev, &committing);
    while (rc == MDB_MAP_FULL && s_grow(self))
        rc = s_commit(self, changes, n, rev, &committing);
    if (rc == 0)
        return OK;
    if (committing && s_is_dead(self))
        return ctx_fail(ctx, ERR_OUTCOME_UNKNOWN, "writing %s failed in the last step: %s; "
                        "repair the disk and restart", self->dir, mdb_strerror(rc));
    return s_fail(ctx, self, s_true_reason(self, rc), "writing");
}

static void s_destroy(void **rows_p)
{
    rows_t *self = *rows_p;
    if (!self)
        return;
    if (self->env)
        mdb_env_close(self->env);
    if (self->dir_fd >= 0)
        close(self->dir_fd);
    mem_free(self->dir);
    mem_free(self);
    *rows_p = NULL;
}

/* --- opening ---------------------------------------------------------------- */

/* A name in a directory is safe only once the directory itself is on disk. */
static int s_sync_parent(int dir_fd)
{
    int parent = openat(dir_fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (parent < 0)
        return -1;
    int rc = fsync(parent);
    close(parent);
    return rc;
}

static err_t s_lock_dir(ctx_t *ctx, rows_t *self)
{
    bool made = mkdir(self->dir, 0700) == 0;
    if (!made && errno != EEXIST)
        return s_fail(ctx, self, errno, "creating directory");
    self->dir_fd = open(self->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (self->dir_fd < 0 || (made && s_sync_parent(self->dir_fd) != 0))
        return s_fail(ctx, self, errno, "opening directory");
    if (flock(self->dir_fd, LOCK_EX | LOCK_NB) == 0)
        return OK;
    if (errno != EWOULDBLOCK)
        return s_fail(ctx, self, errno, "locking directory");
    return ctx_fail(ctx, ERR_LOCKED, "directory %s is used by another process; stop that one or "
                    "choose another directory", self->dir);
}

/* The file must be as long as LMDB believes, or reading it ends in SIGBUS. */
static err_t s_check_length(ctx_t *ctx, rows_t *self)
{
    MDB_envinfo info;
    MDB_stat stat;
    struct stat file;
    int fd = -1;
    mdb_env_info(self->env, &info);
    mdb_env_stat(self->env, &stat);
    if (mdb_env_get_fd(self->env, &fd) != 0 || fstat(fd, &file) != 0)
        return s_fail(ctx, self, errno, "opening metadata in");
    size_t pages = info.me_last_txnid ? info.me_last_pgno + 1 : 2;
    if ((size_t)file.st_size < pages * stat.ms_psize)
        return ctx_fail(ctx, ERR_CORRUPT, "metadata in %s was cut off: %lld of %zu bytes; restore "
                        "the directory from a backup", self->dir, (long long)file.st_size,
                        pages * stat.ms_psize);
    self->map_bytes = info.me_mapsize;
    return OK;
}

static err_t s_open_env(ctx_t *ctx, rows_t *self)
{
    int rc = mdb_env_create(&self->env);
    if (rc != 0)
        return s_fail(ctx, self, rc, "opening metadata in");
    mdb_env_set_mapsize(self->env, FIRST_MAP_BYTES);
    rc = mdb_env_open(self->env, self->dir, MDB_NOLOCK | MDB_NOTLS, 0600);
    if (rc != 0)
        return s_fail(ctx, self, rc, "opening metadata in");
    return s_check_length(ctx, self);
}

static err_t s_read_state(ctx_t *ctx, const rows_t *self, MDB_val state, int64_t *ret_rev)
{
    const uint8_t *at = state.mv_data;
    if (state.mv_size < STATE_BYTES || memcmp(at, "ELMT", 4) != 0)
        return ctx_fail(ctx, ERR_CORRUPT, "%s holds no Elanus metadata", self->dir);
    if (load_u32(at + 4) != VERSION)
        return ctx_fail(ctx, ERR_VERSION, "metadata in %s has format %u, this Elanus reads %d",
                        self->dir, load_u32(at + 4), VERSION);
    if (load_u32(at + 16) != crc32c(at, 16) || load_i64(at + 8) < 1)
        return ctx_fail(ctx, ERR_CORRUPT, "metadata in %s is damaged; restore the directory from "
                        "a backup", self->dir);
    *ret_rev = load_i64(at + 8);
    return OK;
}

/* The newest revision; 0 in a database that holds nothing at all. */
static err_t s_load_rev(ctx_t *ctx, rows_t *self, int64_t *ret_rev)
{
    MDB_txn *txn = NULL;
    int rc = mdb_txn_begin(self->env, NULL, MDB_RDONLY, &txn);
    if (rc != 0)
        return s_fail(ctx, self, rc, "opening metadata in");
    err_t err = OK;
    MDB_val key = s_val(STATE_KEY, sizeof STATE_KEY - 1), state;
    MDB_stat stat;
    rc = mdb_dbi_open(txn, NULL, 0, &self->db);
    if (rc == 0)
        rc = mdb_stat(txn, self->db, &stat);
    if (rc == 0 && stat.ms_entries == 0)
        *ret_rev = 0;
    else if (rc == 0 && (rc = mdb_get(txn, self->db, &key, &state)) == 0)
        err = s_read_state(ctx, self, state, ret_rev);
    else if (rc == MDB_NOTFOUND)
        err = ctx_fail(ctx, ERR_CORRUPT, "%s holds no Elanus metadata", self->dir);
    else
        err = s_fail(ctx, self, rc, "opening metadata in");
    if (rc == 0)
        mdb_txn_commit(txn);        /* keeps the handle of the database */
    else
        mdb_txn_abort(txn);
    return err;
}

/* Delete what the last process held under leases, and write the first state. */
static err_t s_start_fresh(ctx_t *ctx, rows_t *self, int64_t *rev)
{
    meta_items_t items = {0};
    TRY(s_scan(ctx, self, "", false, &items));
    meta_change_t *changes = ctx_try(ctx, (items.n + 1) * sizeof *changes);
    if (!changes)
        return ctx_fail(ctx, ERR_MEMORY, "no memory to open %zu metadata keys", items.n);
    size_t n = 0;
    for (size_t i = 0; i < items.n; i++)
        if (items.at[i].lease)
            changes[n++] = (meta_change_t){ META_WATCH_DELETE, { .key = items.at[i].key } };
    if (n == 0 && *rev > 0)
        return OK;
    TRY(s_apply(ctx, self, changes, n, *rev + 1));
    *rev += 1;
    if (fsync(self->dir_fd) != 0)
        return s_fail(ctx, self, errno, "syncing directory");
    return OK;
}

static err_t s_open(ctx_t *ctx, rows_t *self, int64_t *ret_rev)
{
    TRY(s_lock_dir(ctx, self));
    TRY(s_open_env(ctx, self));
    TRY(s_load_rev(ctx, self, ret_rev));
    return s_start_fresh(ctx, self, ret_rev);
}

/* A driver of what `open` finds in dir. */
static err_t s_make(ctx_t *ctx, const char *dir, const local_table_t *table,
                    err_t (*open)(ctx_t *ctx, rows_t *self, int64_t *ret_rev), meta_t **ret)
{
    rows_t *self = mem_new(sizeof *self);
    self->dir_fd = -1;
    self->dir = mem_strdup(dir);
    int64_t rev = 0;
    err_t err = open(ctx, self, &rev);
    if (err == OK)
        *ret = meta_local_new(table, self, rev, NULL, NULL);
    else
        s_destroy((void **)&self);
    return err;
}

err_t meta_lmdb_open(ctx_t *ctx, const char *dir, meta_t **ret)
{
    static const local_table_t s_table = { s_get, s_scan, s_apply, s_destroy };
    return s_make(ctx, dir, &s_table, s_open, ret);
}

/* --- looking ---------------------------------------------------------------- */

/* LMDB never writes over what its newest snapshot shows, nor over the one before it: what is freed
 * in transaction N may be used again by N + 2.  So a copy of the file shows a whole snapshot S,
 * the newest of its first two pages, when at its end the newest of the file is S or S + 1. */
enum { LOOK_TRIES = 20, COPY_BYTES = 1 << 20 };

static err_t s_look_only(ctx_t *ctx, void *rows, const meta_change_t *changes, size_t n,
                         int64_t rev)
{
    (void)rows, (void)changes, (void)n, (void)rev;
    return ctx_fail(ctx, ERR_META, "this is a copy of the metadata, opened to look at");
}

static err_t s_copy_file(ctx_t *ctx, const rows_t *self, int from, int to)
{
    uint8_t *chunk = mem_try(ctx, COPY_BYTES);
    if (!chunk)
        return ctx_fail(ctx, ERR_MEMORY, "no memory to copy %s", self->dir);
    ssize_t n = 0;
    off_t at = 0;
    while ((n = pread(from, chunk, COPY_BYTES, at)) > 0 && pwrite(to, chunk, (size_t)n, at) == n)
        at += n;
    mem_free(chunk);
    return n == 0 ? OK : s_fail(ctx, self, errno, "copying");
}

/* An environment that only reads; of a live file nothing but mdb_env_info is asked. */
static err_t s_look_env(ctx_t *ctx, const rows_t *self, const char *path, MDB_env **ret)
{
    int rc = mdb_env_create(ret);
    if (rc == 0)
        rc = mdb_env_open(*ret, path, MDB_NOLOCK | MDB_NOTLS | MDB_RDONLY | MDB_NOSUBDIR, 0600);
    if (rc == ENOENT)
        return ctx_fail(ctx, ERR_KEY_NOT_FOUND, "there is no metadata in %s: is its parent the "
                        "--data directory of a standalone?", self->dir);
    return rc == 0 ? OK : s_fail(ctx, self, rc, "opening metadata in");
}

static size_t s_newest(MDB_env *env)
{
    MDB_envinfo info;
    mdb_env_info(env, &info);
    return info.me_last_txnid;
}

static err_t s_look_copy(ctx_t *ctx, rows_t *self, MDB_env *live, bool *ret_whole)
{
    char path[64];
    int from = -1, to = memfd_create("elanus-meta", MFD_CLOEXEC);
    if (to < 0 || mdb_env_get_fd(live, &from) != 0) {
        err_t err = s_fail(ctx, self, errno, "copying");
        if (to >= 0)
            close(to);
        return err;
    }
    snprintf(path, sizeof path, "/proc/self/fd/%d", to);
    err_t err = s_copy_file(ctx, self, from, to);
    if (err == OK)
        err = s_look_env(ctx, self, path, &self->env);
    close(to);                                  /* LMDB has a descriptor of its own */
    if (err != OK)
        return err;
    *ret_whole = s_newest(live) <= s_newest(self->env) + 1;
    if (*ret_whole)
        return s_check_length(ctx, self);
    mdb_env_close(self->env);
    self->env = NULL;
    return OK;
}

static err_t s_look(ctx_t *ctx, rows_t *self, int64_t *ret_rev)
{
    MDB_env *live = NULL;
    bool whole = false;
    err_t err = s_look_env(ctx, self, ctx_printf(ctx, "%s/data.mdb", self->dir), &live);
    for (int i = 0; err == OK && !whole && i < LOOK_TRIES; i++)
        err = s_look_copy(ctx, self, live, &whole);
    if (live)
        mdb_env_close(live);
    TRY(err);
    if (!whole)
        return ctx_fail(ctx, ERR_CONFLICT, "the metadata in %s changes faster than it can be "
                        "copied; try again", self->dir);
    TRY(s_load_rev(ctx, self, ret_rev));
    return *ret_rev ? OK : ctx_fail(ctx, ERR_KEY_NOT_FOUND, "there is no metadata in %s yet",
                                    self->dir);
}

err_t meta_lmdb_look(ctx_t *ctx, const char *dir, meta_t **ret)
{
    static const local_table_t s_table = { s_get, s_scan, s_look_only, s_destroy };
    return s_make(ctx, dir, &s_table, s_look, ret);
}
