/* local - objects as files below one directory
 *
 *     DIR/wal/ch0/1/0000000000000001      the object of that key
 *     DIR/~tmp/<random>-<n>               a put under way ("~" is in no key)
 *     DIR/~lock                           held (shared) by every process that has DIR open
 *
 * A put is: make the directories, write DIR/~tmp/x, fsync it, rename it to its
 * place, fsync the directory.  So a file under its key is whole, and when the
 * put returns OK it is on disk.  That also needs every directory above it to be
 * on disk, and finding one there does not say so: the thread that made it may
 * not have synced its parent yet.  `durable` remembers the directories this
 * process has synced into their parents itself; any other is synced first.
 * For that to stay true directories are never removed, only files.
 *
 * An fsync that failed is never repeated: the kernel may have dropped the dirty
 * pages and would then say OK.  The temporary file is removed, the caller told.
 *
 * Opening takes the lock exclusively if it can: then no other process puts
 * here, and what lies in ~tmp was left by a crash and is swept.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/fault.h"
#include "core/base/limits.h"
#include "core/base/map.h"
#include "core/base/rng.h"
#include "core/store/local_int.h"

static const char s_tmp_dir[] = "~tmp", s_lock_file[] = "~lock";

enum { CHUNK_BYTES = 4 << 20, DIR_MODE = 0750, FILE_MODE = 0640, TMP_NAME_BYTES = 64 };

/* A place where the n-th-fault tests may say "this system call failed". */
static bool s_fault(int error)
{
    if (!fault_hit())
        return false;
    errno = error;
    return true;
}

err_t local_fail(ctx_t *ctx, const local_t *self, const char *what, const char *name)
{
    int error = errno;
    switch (error) {
    case ENOSPC:
    case EDQUOT:
        return ctx_fail(ctx, ERR_DISK_FULL, "no room left on the disk of %s to %s %s",
                        self->dir, what, name);
    case EACCES:
    case EPERM:
        return ctx_fail(ctx, ERR_DENIED, "no permission to %s %s/%s", what, self->dir, name);
    case EMFILE:
    case ENFILE:
        return ctx_fail(ctx, ERR_DISK, "too many open files to %s %s/%s: raise ulimit -n",
                        what, self->dir, name);
    default:
        return ctx_fail(ctx, ERR_DISK, "cannot %s %s/%s: %s", what, self->dir, name,
                        strerrordesc_np(error));
    }
}

/* --- durable directories ------------------------------------------------------ */

static int s_sync_dir(const local_t *self, const char *name)
{
    int fd = s_fault(EIO) ? -1 : openat(self->root_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    int failed = s_fault(EIO) ? -1 : fsync(fd);
    int error = errno;
    close(fd);
    errno = error;
    return failed;
}

static bool s_known(local_t *self, const char *dir)
{
    pthread_mutex_lock(&self->lock);
    bool known = map_get_str(self->durable, dir) != NULL;
    pthread_mutex_unlock(&self->lock);
    return known;
}

/* Forgetting only costs fsyncs. */
static void s_forget_dirs(local_t *self)
{
    map_destroy(&self->durable);
    self->durable = map_new();
}

static void s_remember(local_t *self, const char *dir)
{
    pthread_mutex_lock(&self->lock);
    if (map_len(self->durable) >= LIMIT_STORE_LOCAL_DIRS)
        s_forget_dirs(self);
    map_put_str(self->durable, dir, self);
    pthread_mutex_unlock(&self->lock);
}

/* Make one directory, unless it is there. */
static err_t s_mkdir(ctx_t *ctx, local_t *self, const char *dir)
{
    if (!s_fault(EIO) && mkdirat(self->root_fd, dir, DIR_MODE) == 0)
        return OK;
    struct stat st;
    if (errno == EEXIST && fstatat(self->root_fd, dir, &st, 0) == 0)
        errno = S_ISDIR(st.st_mode) ? 0 : ENOTDIR;
    if (errno == 0)
        return OK;
    if (errno == ENOTDIR)
        return ctx_fail(ctx, ERR_PARAM_INVALID, "%s/%s is an object, so there can be none below it",
                        self->dir, dir);
    return local_fail(ctx, self, "make the directory", dir);
}

/* Every directory above key, on disk; *ret_dir is the lowest, "." at the top. */
static err_t s_make_dirs(ctx_t *ctx, local_t *self, const char *key, const char **ret_dir)
{
    const char *parent = ".";
    for (const char *slash = strchr(key, '/'); slash; slash = strchr(slash + 1, '/')) {
        const char *dir = ctx_printf(ctx, "%.*s", (int)(slash - key), key);
        if (!s_known(self, dir)) {
            TRY(s_mkdir(ctx, self, dir));
            if (s_sync_dir(self, parent) != 0)
                return local_fail(ctx, self, "sync the directory", parent);
            s_remember(self, dir);
        }
        parent = dir;
    }
    *ret_dir = parent;
    return OK;
}

/* --- put ------------------------------------------------------------------------ */

static err_t s_write(ctx_t *ctx, local_t *self, int fd, const char *key, view_t bytes)
{
    while (bytes.len) {
        TRY(ctx_alive(ctx));
        size_t want = bytes.len < CHUNK_BYTES ? bytes.len : CHUNK_BYTES;
        ssize_t n = s_fault(ENOSPC) ? -1 : write(fd, bytes.ptr, want);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return local_fail(ctx, self, "write", key);
        bytes = view_of(bytes.ptr + n, bytes.len - (size_t)n);
    }
    return OK;
}

/* Room is taken first: a full disk is then told before anything is written. */
static err_t s_fill(ctx_t *ctx, local_t *self, int fd, const char *key, const store_parts_t *parts)
{
    off_t len = (off_t)store_parts_len(parts);
    int failed = s_fault(ENOSPC) ? -1 : len ? fallocate(fd, 0, 0, len) : 0;
    if (failed && errno != EOPNOTSUPP && errno != ENOSYS)
        return local_fail(ctx, self, "write", key);
    TRY(s_write(ctx, self, fd, key, parts->at[0]));
    TRY(s_write(ctx, self, fd, key, parts->at[1]));
    if (s_fault(EIO) || fsync(fd) != 0)
        return local_fail(ctx, self, "sync", key);
    return OK;
}

static err_t s_write_tmp(ctx_t *ctx, local_t *self, const char *tmp, const char *key,
                         const store_parts_t *parts)
{
    int fd = s_fault(EIO) ? -1 : openat(self->root_fd, tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
                                        FILE_MODE);
    if (fd < 0)
        return local_fail(ctx, self, "create", tmp);
    err_t err = s_fill(ctx, self, fd, key, parts);
    int failed = s_fault(EIO) ? (close(fd), errno = EIO, -1) : close(fd);
    if (err == OK && failed)
        err = local_fail(ctx, self, "close", tmp);
    return err;
}

static err_t s_rename(ctx_t *ctx, local_t *self, const char *tmp, const char *key)
{
    if (!s_fault(EIO) && renameat(self->root_fd, tmp, self->root_fd, key) == 0)
        return OK;
    int error = errno;
    if (error == EISDIR)
        return ctx_fail(ctx, ERR_PARAM_INVALID, "there are objects below %s/%s/, so it can be none",
                        self->dir, key);
    if (error == ENOENT) {                      /* somebody else removed a directory */
        pthread_mutex_lock(&self->lock);
        s_forget_dirs(self);
        pthread_mutex_unlock(&self->lock);
    }
    errno = error;
    return local_fail(ctx, self, "rename a new file to", key);
}

static err_t s_local_put(ctx_t *ctx, void *impl, const char *key, const store_parts_t *parts)
{
    local_t *self = impl;
    const char *dir = NULL;
    TRY(s_make_dirs(ctx, self, key, &dir));
    char tmp[TMP_NAME_BYTES];
    snprintf(tmp, sizeof tmp, "%s/%016llx-%llu", s_tmp_dir, (unsigned long long)self->token,
             (unsigned long long)atomic_fetch_add(&self->n_puts, 1));
    err_t err = s_write_tmp(ctx, self, tmp, key, parts);
    if (err == OK)
        err = s_rename(ctx, self, tmp, key);
    if (err != OK) {
        unlinkat(self->root_fd, tmp, 0);
        return err;
    }
    if (s_sync_dir(self, dir) != 0)
        return local_fail(ctx, self, "sync the directory", dir);
    return OK;
}

/* --- get, head, delete ------------------------------------------------------------- */

static err_t s_missing(ctx_t *ctx, const local_t *self, const char *key)
{
    return ctx_fail(ctx, ERR_KEY_NOT_FOUND, "no object %s in %s", key, self->dir);
}

static err_t s_read(ctx_t *ctx, local_t *self, int fd, const char *key, uint64_t offset,
                    store_sink_t *sink, uint64_t len)
{
    while (sink->len < len) {
        TRY(ctx_alive(ctx));
        size_t want = len - sink->len < CHUNK_BYTES ? len - sink->len : CHUNK_BYTES;
        ssize_t n = s_fault(EIO) ? -1 : pread(fd, sink->ptr + sink->len, want,
                                              (off_t)(offset + sink->len));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return local_fail(ctx, self, "read", key);
        if (n == 0)
            return ctx_fail(ctx, ERR_DISK, "file %s/%s shrank while it was read", self->dir, key);
        sink->len += (size_t)n;
    }
    return OK;
}

static err_t s_read_part(ctx_t *ctx, local_t *self, int fd, const char *key, uint64_t offset,
                         uint64_t len, store_sink_t *sink)
{
    struct stat st;
    if (s_fault(EIO) || fstat(fd, &st) != 0)
        return local_fail(ctx, self, "look at", key);
    if (!S_ISREG(st.st_mode))
        return s_missing(ctx, self, key);
    uint64_t size = (uint64_t)st.st_size;
    if (len == STORE_WHOLE)
        len = size;
    if (offset > size || len > size - offset)
        return ctx_fail(ctx, ERR_CORRUPT, "object %s is damaged: its file has only %llu bytes", key,
                        (unsigned long long)size);
    TRY(store_sink_open(ctx, sink, key, len));
    return s_read(ctx, self, fd, key, offset, sink, len);
}

static err_t s_local_get(ctx_t *ctx, void *impl, const char *key, uint64_t offset, uint64_t len,
                         store_sink_t *sink)
{
    local_t *self = impl;
    int fd = s_fault(EIO) ? -1 : openat(self->root_fd, key,
                                        O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return s_missing(ctx, self, key);
    if (fd < 0)
        return local_fail(ctx, self, "open", key);
    err_t err = s_read_part(ctx, self, fd, key, offset, len, sink);
    close(fd);
    return err;
}

static err_t s_map_file(ctx_t *ctx, local_t *self, int fd, const char *key, void **ret_ptr,
                        size_t *ret_len)
{
    struct stat st;
    if (s_fault(EIO) || fstat(fd, &st) != 0)
        return local_fail(ctx, self, "look at", key);
    if (!S_ISREG(st.st_mode))
        return s_missing(ctx, self, key);
    void *ptr = s_fault(ENOMEM) || st.st_size == 0
              ? MAP_FAILED : mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (ptr == MAP_FAILED)
        return OK;                              /* then it is read */
    *ret_ptr = ptr;
    *ret_len = (size_t)st.st_size;
    return OK;
}

/* An object's file is never written again, and a deleted one lives as long as it is mapped. */
static err_t s_local_map(ctx_t *ctx, void *impl, const char *key, void **ret_ptr, size_t *ret_len)
{
    local_t *self = impl;
    int fd = s_fault(EIO) ? -1 : openat(self->root_fd, key,
                                        O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return s_missing(ctx, self, key);
    if (fd < 0)
        return local_fail(ctx, self, "open", key);
    err_t err = s_map_file(ctx, self, fd, key, ret_ptr, ret_len);
    close(fd);
    return err;
}

static int s_local_file(void *impl, const char *key)
{
    const local_t *self = impl;
    int fd = s_fault(EIO) ? -1 : openat(self->root_fd, key,
                                        O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    int above = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (fd >= 0)
        close(fd);
    return above;
}

static err_t s_local_head(ctx_t *ctx, void *impl, const char *key, uint64_t *ret_object_len)
{
    local_t *self = impl;
    struct stat st;
    int failed = s_fault(EIO) ? -1 : fstatat(self->root_fd, key, &st, AT_SYMLINK_NOFOLLOW);
    if (failed && errno != ENOENT && errno != ENOTDIR)
        return local_fail(ctx, self, "look at", key);
    if (failed || !S_ISREG(st.st_mode))
        return s_missing(ctx, self, key);
    *ret_object_len = (uint64_t)st.st_size;
    return OK;
}

/* Not synced: a deleted object that comes back after a crash is deleted again. */
static err_t s_local_remove(ctx_t *ctx, void *impl, const char *key)
{
    local_t *self = impl;
    if (!s_fault(EIO) && unlinkat(self->root_fd, key, 0) == 0)
        return OK;
    if (errno == ENOENT || errno == ENOTDIR || errno == EISDIR)
        return OK;
    return local_fail(ctx, self, "delete", key);
}

/* --- open and close ------------------------------------------------------------------ */

/* What a crash left in ~tmp; only with the lock held exclusively. */
static err_t s_sweep(ctx_t *ctx, local_t *self)
{
    DIR *dir = local_open_dir(self, s_tmp_dir);
    if (!dir)
        return local_fail(ctx, self, "open", s_tmp_dir);
    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir))
        if (entry->d_name[0] != '.')
            unlinkat(dirfd(dir), entry->d_name, 0);
    closedir(dir);
    return OK;
}

static err_t s_open_root(ctx_t *ctx, local_t *self)
{
    if (s_fault(EIO) || (mkdir(self->dir, DIR_MODE) != 0 && errno != EEXIST))
        return local_fail(ctx, self, "make the directory", "");
    self->root_fd = s_fault(EIO) ? -1 : open(self->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (self->root_fd < 0)
        return local_fail(ctx, self, "open", "");
    if (s_sync_dir(self, "..") != 0 && errno != EACCES)
        return local_fail(ctx, self, "sync the directory above", "");
    return s_mkdir(ctx, self, s_tmp_dir);
}

static err_t s_take_lock(ctx_t *ctx, local_t *self)
{
    self->lock_fd = s_fault(EIO) ? -1 : openat(self->root_fd, s_lock_file,
                                               O_RDWR | O_CREAT | O_CLOEXEC, FILE_MODE);
    if (self->lock_fd < 0)
        return local_fail(ctx, self, "create", s_lock_file);
    if (flock(self->lock_fd, LOCK_EX | LOCK_NB) == 0)
        TRY(s_sweep(ctx, self));
    /* Waits for another opener's sweep at the most. */
    if (s_fault(EIO) || flock(self->lock_fd, LOCK_SH) != 0)
        return local_fail(ctx, self, "lock", s_lock_file);
    return OK;
}

static void s_local_destroy(void *impl)
{
    local_t *self = impl;
    if (self->lock_fd >= 0)
        close(self->lock_fd);
    if (self->root_fd >= 0)
        close(self->root_fd);
    map_destroy(&self->durable);
    pthread_mutex_destroy(&self->lock);
    mem_free(self->dir);
    mem_free(self);
}

err_t store_local_open(ctx_t *ctx, const char *dir, store_t **ret)
{
    static const store_driver_t driver = {
        .name = "local", .put = s_local_put, .get = s_local_get, .map = s_local_map,
        .file = s_local_file, .head = s_local_head, .list = local_list, .remove = s_local_remove,
        .destroy = s_local_destroy,
    };
    check(ret && *ret == NULL);
    local_t *self = mem_new(sizeof *self);
    self->dir = mem_strdup(dir);
    self->root_fd = self->lock_fd = -1;
    self->token = rng_from_os();
    self->durable = map_new();
    pthread_mutex_init(&self->lock, NULL);
    err_t err = s_open_root(ctx, self);
    if (err == OK)
        err = s_take_lock(ctx, self);
    if (err != OK) {
        s_local_destroy(self);
        return err;
    }
    *ret = store_new(&driver, self);
    return OK;
}
